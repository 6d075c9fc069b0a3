"""Why not here? All that stands against one entry: by the judgement of its way, and by the rules of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError
from navplan.model.device import Device
from navplan.model.plan import SkinMap
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.planning.check_plan import judge
from navplan.planning.entry_candidates import SkinPoints, body_structure
from navplan.planning.entry_place import skin_near
from navplan.planning.entry_search import trajectory_to
from navplan.planning.situation import Situation
from navplan.planning.ways import try_ways

FREE, OFF_SKIN = "free", "not on the skin"


@dataclass(frozen=True)
class Reason:
    """What the search says of a point: its words ("free" where nothing rules it out), by how much the limit is missed
    (NaN where that is no length), and how far from the point asked for it was looked at."""

    words: str
    shortfall_mm: float
    apart_mm: float = 0.0

    def __str__(self) -> str:
        return self.words + (f", missed by {self.shortfall_mm:.1f} mm" if self.shortfall_mm > 0 else "")


def why_not(situation: Situation, device: Device, entry_mm: ArrayLike) -> tuple[Finding, ...]:
    """What stands against an entry (3,) LPS mm to the situation's target, worst first; () where nothing does.

    The findings of `judge` that are FAIL or NOT_EVALUATED, the limits that are not proven to be kept (the search takes
    them as broken), and what else the search rules it out by. Raises GeometryError for a point that is not finite, or
    at the target; InputError without a body outline.
    """
    entry = np.asarray(entry_mm, dtype=np.float64)
    if entry.shape != (3,) or not np.isfinite(entry).all():
        raise GeometryError(f"entry {entry.tolist()}", "three finite LPS coordinates in mm")
    report = judge(trajectory_to(entry, situation.target_mm, device), situation)
    return worst_first((*against(report), *of_the_search(situation, device, entry, report.findings)))


def against(report: SafetyReport) -> tuple[Finding, ...]:
    """The findings of a report that rule a way out, or would for the search: FAIL, NOT_EVALUATED, and limits that are
    not proven to be kept; worst first."""
    return worst_first([f for f in report.findings if f.verdict.rank < Verdict.WARN.rank or missed_mm(f) > 0])


def missed_mm(finding: Finding) -> float:
    """By how much a limit is missed at the interval's lower end; 0 where it is kept, or no limit."""
    if finding.distance is None or finding.required_mm is None:
        return 0.0
    return max(finding.required_mm - finding.distance.low_mm, 0.0)


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """By verdict, and in each by how much a limit is missed."""
    return tuple(sorted(findings, key=lambda finding: (finding.verdict.rank, -missed_mm(finding))))


def limit_line(finding: Finding) -> str:
    """A finding in one line; of a limit the structure, what is required, the interval, and how deep the place is."""
    name = f"{finding.structure}: " if finding.structure else ""
    if finding.distance is None or finding.required_mm is None:
        return name + finding.words
    crossed = f"the shaft runs {finding.crossed_mm:.1f} mm inside it, " if finding.crossed_mm else ""
    line = f"{name}{crossed}{finding.required_mm:g} mm required, {finding.distance}"
    line += "" if finding.at_depth_mm is None else f", nearest {finding.at_depth_mm:.0f} mm deep"
    told = crossed or finding.words.startswith(f"{finding.distance}")
    return line if told else f"{line}; {finding.gap or finding.words}"


def reason_of_search(situation: Situation, device: Device, entry_mm: NDArray[np.float64]) -> Reason:
    """What the search would say of exactly this point (3,), by its own lines."""
    skin = skin_near(situation, body_structure(situation.structures), entry_mm)
    if skin is None:
        return Reason(OFF_SKIN, np.nan)
    nearest = int(np.argmin(np.linalg.norm(skin.points_mm - entry_mm, axis=1)))
    one = slice(nearest, nearest + 1)
    tried = try_ways(situation, device, SkinPoints(entry_mm[None], skin.outward[one], skin.reason[one], skin.reasons))
    return _reason(tried.skin.reasons, int(tried.skin.reason[0]), float(tried.shortfall_mm[0]))


def reason_on_map(skin_map: SkinMap, entry_mm: ArrayLike) -> Reason:
    """What a plan's skin map says of its candidate nearest to a point (3,) LPS mm."""
    if not len(skin_map.points_mm):
        return Reason(OFF_SKIN, np.nan, np.inf)
    apart = np.linalg.norm(skin_map.points_mm - np.asarray(entry_mm, dtype=np.float64), axis=1)
    n = int(np.argmin(apart))
    return _reason(skin_map.reasons, int(skin_map.reason[n]), float(skin_map.shortfall_mm[n]), float(apart[n]))


def map_finding(skin_map: SkinMap, entry_mm: ArrayLike) -> Finding:
    """What a plan's skin map says near an entry, to set beside the judgement of the very way. No verdict of its own."""
    reason = reason_on_map(skin_map, entry_mm)
    words = f"the plan's skin map, {reason.apart_mm:.1f} mm from the point asked for: {reason}"
    return Finding(FindingKind.RULES, Verdict.PASS, words)


def _reason(reasons: Sequence[str], index: int, shortfall_mm: float, apart_mm: float = 0.0) -> Reason:
    return Reason(FREE, np.nan, apart_mm) if index < 0 else Reason(reasons[index], shortfall_mm, apart_mm)


def of_the_search(
    situation: Situation, device: Device, entry_mm: NDArray[np.float64], said: Sequence[Finding]
) -> tuple[Finding, ...]:
    """A finding where the search rules an entry out by what the findings do not say: too flat, leaves the body ...
    Clearances are left to `judge`, which knows them better."""
    reason = reason_of_search(situation, device, entry_mm)
    if reason.words == FREE or reason.shortfall_mm > 0 or any(reason.words in finding.words for finding in said):
        return ()
    words = f"the search offers no way from here: {reason.words}"
    return (Finding(FindingKind.RULES, Verdict.WARN, words, remedy="Choose another way in"),)
