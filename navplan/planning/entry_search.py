"""Search of all ways in from the skin: what is ruled out and why, the Pareto front of the rest, and its ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.device import Device
from navplan.model.plan import RankedTrajectory, SkinMap
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_ways import METRIC as MARGIN
from navplan.planning.ablation_ways import asks_margin, margin_over_goal_mm, placements, surely_missed
from navplan.planning.blockers import Blocker, blockers
from navplan.planning.check_plan import judge
from navplan.planning.criteria import check_metrics
from navplan.planning.device_choice import reach_mm
from navplan.planning.entry_candidates import body_structure, skin_in_reach
from navplan.planning.margins import margins
from navplan.planning.pareto import pareto_front
from navplan.planning.refinement import refined
from navplan.planning.situation import Situation
from navplan.planning.tip_resting import tips_resting
from navplan.planning.way_metrics import desirability_of
from navplan.planning.ways import swept_ends_mm, try_ways

APART_MM = 12.0  # two offered entries lie at least this far apart
SHORTLIST = 2  # judged in full: this many times what is offered
HARD_SHARE = 0.5  # of the probability of touching bone or cartilage: it stops a needle and seldom bleeds (unsourced)
NARROWED = 200  # ways of the front whose clearances are measured exactly
BEYOND_REACH_MM = 50.0  # skin this much farther than the needle reaches is shown, as out of its reach

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The offered ways, best first, the skin map of all candidates, how many ways are on the front, the point aimed at,
    and, where no way is offered, what would open the most."""

    trajectories: tuple[RankedTrajectory, ...]
    skin_map: SkinMap
    front_size: int
    target_mm: NDArray[np.float64]
    blockers: tuple[Blocker, ...] = ()


def trajectory_to(entry_mm: NDArray[np.float64], target_mm: NDArray[np.float64], device: Device) -> Trajectory:
    """The way from an entry to the target; a needle that fires stands short by half its throw, if the way is that
    long, a probe goes past the target until the centre of its zone lies there."""
    depth = float(np.linalg.norm(target_mm - entry_mm))
    short = min(device.stands_short_mm, max(depth - 1.0, 0.0))
    (x, y, z), (u, v, w) = entry_mm.tolist(), target_mm.tolist()
    return Trajectory((float(x), float(y), float(z)), (float(u), float(v), float(w)), device, short)


def search(
    situation: Situation, device: Device, top: int = 5, progress: Progress = lambda words, share: None
) -> SearchResult:
    """Judge every allowed skin point as an entry to the target.

    Raises InputError without a body outline. An empty result is no error: the skin map and the blockers say what is in
    the way.
    """
    check_metrics(situation.protocol)
    body = body_structure(situation.structures)
    target = situation.target_mm
    progress("skin", 0.05)
    skin = skin_in_reach(body, situation.image, target, reach_mm(device) + BEYOND_REACH_MM)
    progress("structures", 0.1)
    _ = situation.blocks, situation.tissues
    progress("ways", 0.4)
    ways = try_ways(situation, device, skin)
    progress("front", 0.6)
    front = pareto_front(-ways.scores)
    best = front[_best_first(situation, ways.metrics, front, ways.value[front])][:NARROWED]
    progress("refining", 0.65)
    entries, metrics, value = refined(situation, device, ways, best, ways.skin.points_mm[ways.free_rows[best]])
    progress("exact clearances", 0.7)
    touched, metrics["clearance_mm"] = exact_clearances(situation, device, entries)
    order = _best_first(situation, metrics, np.arange(len(value)), value * (1.0 - touched))
    ranked = []
    chosen = _apart(entries, order, top * SHORTLIST)
    for n, candidate in enumerate(chosen):
        progress("judging", 0.75 + 0.25 * n / max(len(chosen), 1))
        way = trajectory_to(entries[candidate], target, device)
        values = {name: float(numbers[candidate]) for name, numbers in metrics.items()}
        worth = float(value[candidate])
        placed = [_judged(one, situation, values, worth) for one in placements(way, situation)]
        ranked.append(min(placed, key=_rank))
    ranked.sort(key=_rank)
    ranked = [way for way in ranked if way.verdict is not Verdict.FAIL] or ranked
    in_the_way = () if ranked else blockers(situation, device, skin)
    progress("done", 1.0)
    desirable = np.zeros(len(ways.skin.points_mm), dtype=np.float32)
    desirable[ways.free_rows] = ways.value
    skin_map = SkinMap(ways.skin.points_mm, ways.skin.reason, ways.skin.reasons, desirable, ways.shortfall_mm)
    return SearchResult(tuple(ranked[:top]), skin_map, len(front), target, in_the_way)


def search_with(
    situation: Situation, devices: Sequence[Device], top: int, progress: Progress = lambda words, share: None
) -> SearchResult:
    """The same for needles of several lengths, shortest first: longer ones are tried until `top` ways are found. Each
    way has the shortest needle that it was found with; the skin map is that of the best way's needle."""
    found: list[SearchResult] = []
    for device in devices:
        found.append(search(situation, device, top, progress))
        if len(found[-1].trajectories) == top:
            break
    ways = [(way, result) for result in found for way in result.trajectories]
    ways.sort(key=lambda pair: _rank(pair[0]))
    if not ways:
        return found[-1]
    entries = np.asarray([way.trajectory.entry_mm for way, _ in ways])
    chosen = [ways[n] for n in _apart(entries, np.arange(len(ways)), top)]
    return replace(chosen[0][1], trajectories=tuple(way for way, _ in chosen))


def _judged(way: Trajectory, situation: Situation, values: dict[str, float], worth: float) -> RankedTrajectory:
    """A way with its report; where the protocol ranks by the ablative margin, worth what the judged margin makes it."""
    report = judge(way, situation)
    if not asks_margin(situation):
        return RankedTrajectory(way, values, worth, report)
    over_goal_mm = margin_over_goal_mm(report)
    worth = desirability_of(situation.protocol, values | {MARGIN: -np.inf if over_goal_mm is None else over_goal_mm})
    told = {name: value for name, value in values.items() if name != MARGIN}
    return RankedTrajectory(way, told if over_goal_mm is None else told | {MARGIN: over_goal_mm}, worth, report)


def _best_first(
    situation: Situation, metrics: dict[str, NDArray[np.float64]], rows: NDArray[np.int64], worth: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Order of ways (N,) that have these rows of the metrics: those whose zone is sure to miss the goal last, then by
    worth."""
    if MARGIN not in metrics:
        return np.argsort(-worth, kind="stable")
    return np.lexsort((-worth, surely_missed(situation, metrics[MARGIN][rows])))


def _rank(way: RankedTrajectory) -> tuple[int, int, float]:
    """Best first: the verdict, then what is not proven, then what the way is worth if it is not lost to a touch."""
    kept = 1.0 - likeliest_touch(way.report)
    over_goal_mm = margin_over_goal_mm(way.report)
    unproven = unproven_clearances(way.report) + int(over_goal_mm is not None and over_goal_mm < 0.0)
    return -way.verdict.rank, unproven, -way.desirability * kept


def exact_clearances(
    situation: Situation, device: Device, entries_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By exact clearances: (N,) the largest probability of touching a structure by a needle that strays, each taken as
    a wall (of bone HARD_SHARE of it); and (N,) the smallest lower end."""
    from scipy.special import ndtr

    if not len(situation.boundaries) or not len(entries_mm):
        return np.zeros(len(entries_mm)), np.full(len(entries_mm), np.inf)
    ends = swept_ends_mm(entries_mm, situation.target_mm, device)
    measured = margins(situation.boundaries, entries_mm, ends)
    low, along = measured.low_mm(device.radius_mm), measured.along_mm.copy()
    for column, rests in tips_resting(situation, entries_mm, ends, device.radius_mm, low).items():
        low[rests.rows, column], along[rests.rows, column] = rests.shaft_low_mm, rests.shaft_along_mm
    sigma = situation.error_model.sigma_mm(along)
    severity = np.asarray([_severity(boundary.structure.name) for boundary in situation.boundaries])
    return np.asarray((ndtr(-low / sigma) * severity).max(axis=1)), low.min(axis=1)


def unproven_clearances(report: SafetyReport) -> int:
    """How many clearances of a way are not proven to keep their limit, or not evaluated. Labels too thin for a proof,
    far from the needle, do not rank a way."""
    return sum(
        finding.verdict.rank < Verdict.WARN.rank
        or finding.distance is None
        or finding.distance.low_mm < (finding.required_mm or 0.0)
        for finding in report.clearances
    )


def likeliest_touch(report: SafetyReport) -> float:
    """The largest breach probability of all clearances; not their sum: a rib and the bone it is part of are one. What
    only stops a needle counts HARD_SHARE of it."""
    touches = ((finding.breach_probability or 0.0) * _severity(finding.structure) for finding in report.clearances)
    return max(touches, default=0.0)


def _severity(name: str) -> float:
    return HARD_SHARE if anatomy_of(name).tissue in (Tissue.BONE, Tissue.CARTILAGE) else 1.0


def _apart(points_mm: NDArray[np.float64], order: NDArray[np.int64], count: int) -> list[int]:
    """The first of the order, each at least APART_MM from those taken before."""
    chosen: list[int] = []
    for candidate in order:
        if all(np.linalg.norm(points_mm[candidate] - points_mm[other]) >= APART_MM for other in chosen):
            chosen.append(int(candidate))
        if len(chosen) == count:
            break
    return chosen
