"""What was found when a way was judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from navplan.errors import InputError

THIN = "thinner than the voxels"  # the gap of a clearance whose interval is not proven: the structure may go on unseen
WORTH_NAMING = 0.01  # probability of touching a structure from which an open item names it


class Verdict(StrEnum):
    """Worst first: FAIL, NOT_EVALUATED, WARN, PASS. What was not computed is never safe."""

    FAIL = "FAIL"
    NOT_EVALUATED = "NOT_EVALUATED"
    WARN = "WARN"
    PASS = "PASS"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of them; NOT_EVALUATED for none at all."""
    return min(verdicts, key=lambda verdict: verdict.rank, default=Verdict.NOT_EVALUATED)


@dataclass(frozen=True)
class Interval:
    """A length known to lie in [low_mm, high_mm]. NaN and infinite ends are refused: they are NOT_EVALUATED, not a
    length."""

    low_mm: float
    high_mm: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low_mm) and np.isfinite(self.high_mm)) or self.low_mm > self.high_mm + 1e-9:
            raise InputError(f"interval [{self.low_mm}, {self.high_mm}] mm", "two finite ends, low <= high")

    def __str__(self) -> str:
        return f"{self.low_mm:.1f} to {self.high_mm:.1f} mm"


class FindingKind(StrEnum):
    """What a finding is about."""

    CLEARANCE = "clearance"
    PRESENCE = "presence"
    NOT_IMAGED = "not_imaged"
    IMAGE_EDGE = "image_edge"
    IMAGE_READING = "image_reading"
    CROSSING = "crossing"
    PUNCTURES = "punctures"
    TARGET = "target"
    SKIN = "skin"
    DEVICE = "device"
    SIDE = "side"
    PATIENT = "patient"
    ABLATION = "ablation"
    RULES = "rules"
    IMAGE = "image"
    ERROR_MODEL = "error_model"


@dataclass(frozen=True)
class Finding:
    """One thing that was judged, and how.

    distance: clearance needle surface to structure surface, as an interval (None: no distance applies or none is
    known).
    nearest_mm: the structure's nearest point; needle_mm: the axis point it is nearest to (LPS mm); at_depth_mm: its
    depth.
    crossed_mm: length of the swept shaft inside the structure's voxels. remedy: the one step that would close the
    gap; gap: the gap in a few words, the same for all findings that the same step closes.
    """

    kind: FindingKind
    verdict: Verdict
    words: str
    structure: str = ""
    distance: Interval | None = None
    required_mm: float | None = None
    breach_probability: float | None = None
    nearest_mm: tuple[float, float, float] | None = None
    needle_mm: tuple[float, float, float] | None = None
    at_depth_mm: float | None = None
    crossed_mm: float = 0.0
    source: str = ""
    remedy: str = ""
    gap: str = ""


@dataclass(frozen=True)
class OpenItem:
    """One thing to do before a way may be trusted: what is open, the step that closes it, and the findings behind
    it."""

    words: str
    remedy: str
    verdict: Verdict
    findings: tuple[Finding, ...]


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

    zone, undegraded: shape in words; centre_mm (LPS), direction: of the ellipsoid, along_mm, across_mm: its half axes,
    derated. margin: minimal ablative margin, tumour surface to zone surface, negative where tumour is left, as an
    interval; thinnest_mm: the tumour's voxel where it is. shares: of the tumour's surface with a margin below 0, of 0-5
    and of 5 mm and more; bins: shares of the margins, each from `from_mm` up. uncovered_ml: volume outside the zone,
    lower and upper bound. expected: mean margin of needles that stray, as an interval; goal_met, tumour_left:
    probabilities under the same model, the first a lower, the second an upper bound. left_out: what was left out.
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
        """Never a bare verdict: the smallest clearance, over how many structures, the margin of an ablation, and how
        many things are open."""
        imaged = f"{_clearance_words(self.clearances)}{self._ablation_words}"
        not_imaged = sum(f.kind is FindingKind.NOT_IMAGED for f in self.findings)
        count = len(self.open_items)
        todo = f"{count} thing{'s' if count != 1 else ''} to do" if count else "nothing left to do"
        return f"{imaged} - {not_imaged} not imaged - {todo}"

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
        """What keeps the verdict from PASS, worst first; findings that one step closes are one item. Not-imaged ones
        apart. Where the verdict comes from what is missing altogether, that is an item without findings."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            if finding.verdict is not Verdict.PASS and finding.kind is not FindingKind.NOT_IMAGED:
                key = (finding.gap or finding.words, "" if finding.gap else finding.structure)
                groups.setdefault(key, []).append(finding)
        items = [_open_item(gap, found) for (gap, _), found in groups.items()]
        if not any(finding.kind is FindingKind.CLEARANCE for finding in self.findings):
            words = "no structure was measured: nothing is known to be clear"
            remedy = "Segment what the needle must stay clear of"
            items.append(OpenItem(words, remedy, Verdict.NOT_EVALUATED, ()))
        if not self.error_model:
            words = "no error model: nothing says how far a needle strays"
            items.append(OpenItem(words, "Choose the guidance", Verdict.NOT_EVALUATED, ()))
        return tuple(sorted(items, key=lambda item: item.verdict.rank))


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


def _open_item(gap: str, found: list[Finding]) -> OpenItem:
    def nearness(finding: Finding) -> float:
        return finding.distance.low_mm if finding.distance else np.inf

    ordered = sorted(found, key=nearness)
    names = [finding.structure for finding in ordered if finding.structure]
    if len(found) == 1:
        words = f"{names[0]}: {found[0].words}" if names else found[0].words
    elif names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        words = f"{len(found)} structures {gap}: {', '.join(names[:3])}{more}"
    else:
        words = "; ".join(finding.words for finding in found)
    likeliest = max(ordered, key=lambda finding: finding.breach_probability or 0.0)
    touched = likeliest.breach_probability or 0.0
    if len(found) > 1 and names and touched >= WORTH_NAMING:
        words += f"; {likeliest.structure} touched with up to {touched:.0%} by a needle that strays"
    first = likeliest if touched >= WORTH_NAMING else ordered[0]
    return OpenItem(words, first.remedy, worst([finding.verdict for finding in found]), tuple(found))
