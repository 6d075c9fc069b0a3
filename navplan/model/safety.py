"""What was found when a way was judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.model.finding import THIN as THIN
from navplan.model.finding import Finding as Finding
from navplan.model.finding import FindingKind as FindingKind
from navplan.model.finding import Interval as Interval
from navplan.model.finding import Verdict as Verdict
from navplan.model.finding import worst as worst
from navplan.model.open_items import OpenItem as OpenItem
from navplan.model.open_items import open_items, to_tick


def hit_percent(share: float) -> int:
    """A chance of a hit that is at least so much, in whole per cent: rounded down, never 100."""
    return min(int(100.0 * share), 99)


@dataclass(frozen=True)
class PathSection:
    """A stretch of the swept shaft inside one tissue: name ("unlabelled" where no label says), from, to (depth, mm),
    mean HU."""

    structure: str
    from_mm: float
    to_mm: float
    mean_hu: float | None = None


@dataclass(frozen=True)
class SectorMargin:
    """The part of the tumour's surface that looks one way from its middle: the least margin there (an estimate; None
    where nothing of it counts), and which share of the whole surface it is."""

    towards: str
    least_mm: float | None
    share: float


@dataclass(frozen=True)
class PlannedMargin:
    """How a zone covers its target.

    zone, undegraded: shape in words; centre_mm (LPS), direction: of the ellipsoid, along_mm, across_mm: its half
    axes, derated, whole_along_mm, whole_across_mm: those of the undegraded one (0: not told). margin: minimal
    ablative margin, tumour surface to zone surface, negative where tumour is left, as an interval; thinnest_mm: the
    tumour's voxel where it is. shares: of the tumour's surface with a margin below 0, of 0-5 and of 5 mm and more;
    bins: shares of the margins, each from `from_mm` up. uncovered_ml: volume outside the zone, lower and upper
    bound. expected: mean margin of needles that stray, as an interval; goal_met, tumour_left: probabilities under
    the same model, the first a lower, the second an upper bound. left_out: what was left out.
    """

    zone: str
    undegraded: str
    zone_source: str
    centre_mm: tuple[float, float, float]
    direction: tuple[float, float, float]
    along_mm: float
    across_mm: float
    goal_mm: float
    goal_words: str
    goal_source: str
    margin: Interval
    proven: bool
    thinnest_mm: tuple[float, float, float]
    shares: tuple[float, float, float]
    bins: tuple[tuple[float, float], ...]
    sectors: tuple[SectorMargin, ...]
    uncovered_ml: tuple[float, float]
    tumour_ml: float
    expected: Interval
    goal_met: float
    tumour_left: float
    draws: int
    left_out: str = ""
    whole_along_mm: float = 0.0
    whole_across_mm: float = 0.0


@dataclass(frozen=True)
class SafetyReport:
    """All findings on one trajectory, the path through the tissues, and the verdict: the worst of the findings."""

    findings: tuple[Finding, ...]
    path: tuple[PathSection, ...] = ()
    hit_probability: float | None = None
    error_model: str = ""
    error_model_source: str = ""
    max_breach_probability: float | None = None
    image_digest: str = ""
    checked_on: str = ""
    ablation: PlannedMargin | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst finding; NOT_EVALUATED without findings, without a clearance, or without an error model."""
        verdicts = [finding.verdict for finding in self.findings]
        judged = any(finding.kind is FindingKind.CLEARANCE for finding in self.findings)
        if not judged or not self.error_model:
            verdicts.append(Verdict.NOT_EVALUATED)
        return worst(verdicts)

    def of(self, *verdicts: Verdict) -> tuple[Finding, ...]:
        """The findings with one of these verdicts."""
        return tuple(finding for finding in self.findings if finding.verdict in verdicts)

    @property
    def clearances(self) -> tuple[Finding, ...]:
        """Clearance findings with a distance, nearest first."""
        found = [f for f in self.findings if f.kind is FindingKind.CLEARANCE and f.distance is not None]
        return tuple(sorted(found, key=lambda finding: finding.distance.low_mm if finding.distance else np.inf))

    @property
    def headline(self) -> str:
        """Never a bare verdict: the smallest clearance, over how many structures, the margin of an ablation, how many
        structures no image shows, rules a person ticks, items are open, and findings are behind those."""
        imaged = f"{self._contact_words}{_clearance_words(self.clearances)}{self._ablation_words}"
        not_imaged = sum(f.kind is FindingKind.NOT_IMAGED for f in self.findings)
        tick = f" - {len(self.to_tick)} to tick" if self.to_tick else ""
        open_words = _open_words(self.open_items) or ("nothing else open" if tick else "nothing left to do")
        return f"{imaged} - {not_imaged} not imaged{tick} - {open_words}"

    @property
    def _contact_words(self) -> str:
        """ "Tip on vertebrae_L4 - ", of each structure that the tip rests on by the protocol's leave."""
        rests = [f.structure for f in self.findings if f.kind is FindingKind.CONTACT and f.verdict is Verdict.PASS]
        return f"Tip on {', '.join(rests)} - " if rests else ""

    @property
    def _ablation_words(self) -> str:
        """ " - margin >= 2.3 mm of 5 asked - zone too near to 1 structure", nothing where no zone was judged."""
        if self.ablation is None:
            return ""
        planned = self.ablation
        words = f" - margin >= {planned.margin.low_mm:.1f} mm of {planned.goal_mm:g} asked"
        if planned.margin.high_mm < 0:
            words = f" - tumour left, {-planned.margin.high_mm:.1f} mm and more outside the zone"
        failed = [f for f in self.of(Verdict.FAIL) if f.kind is FindingKind.ABLATION]
        near = len({f.structure for f in failed if f.distance is None or f.distance != planned.margin})
        return words + (f" - zone too near to {near} structure{'s' if near != 1 else ''}" if near else "")

    @property
    def open_items(self) -> tuple[OpenItem, ...]:
        """What keeps the verdict from PASS, worst first: one item a cause, each with all its lines and findings
        (`navplan.model.open_items`). Not imaged ones and what a person ticks are apart."""
        return open_items(self.findings, self.error_model, self.max_breach_probability)

    @property
    def to_tick(self) -> tuple[Finding, ...]:
        """Rules of the protocol that a person follows: nothing in a plan can close them, they are ticked when done."""
        return to_tick(self.findings)


def _open_words(items: tuple[OpenItem, ...]) -> str:
    """ "3 open items (57 findings)"; an item without a finding, for what is missing altogether, counts as one."""
    if not items:
        return ""
    behind = sum(max(len(line.findings), 1) for item in items for line in item.lines)
    return f"{len(items)} open item{'s' * (len(items) != 1)} ({behind} finding{'s' * (behind != 1)})"


def _clearance_words(clearances: tuple[Finding, ...]) -> str:
    """What the clearances (nearest first) amount to; nothing is called clear that is not proven to be."""
    crossed = next((f for f in clearances if f.crossed_mm or (f.distance and f.distance.high_mm < 0)), None)
    if crossed is not None:
        return f"Crosses {crossed.structure}"
    if not clearances or clearances[0].distance is None:
        return "No structure was measured"
    proven = sum(f.verdict is not Verdict.NOT_EVALUATED and f.gap != THIN for f in clearances)
    if not proven:
        return f"Not proven clear of any of {len(clearances)} imaged structures"
    least_mm = clearances[0].distance.low_mm
    if least_mm < 0:
        return f"Not proven clear of {clearances[0].structure}"
    which = f"all {proven}" if proven == len(clearances) else f"{proven} of {len(clearances)}"
    return f"Clear >= {least_mm:.1f} mm of {which} imaged structures"
