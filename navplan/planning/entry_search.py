"""Search of all ways in from the skin: what is ruled out and why, the Pareto front of the rest, and its ranking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from navplan.model.device import Device
from navplan.model.plan import RankedTrajectory, SkinMap
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.circumstances import LENGTH_RESERVE_MM
from navplan.planning.criteria import check_metrics, desirability, path_metrics, punctures, sample_paths
from navplan.planning.entry_candidates import (
    RE_ENTRY,
    SkinPoints,
    body_structure,
    down_direction,
    lies_as_imaged,
    rule_out_by_access,
    rule_out_by_room,
    skin_points,
)
from navplan.planning.margins import Margins, margins
from navplan.planning.pareto import pareto_front
from navplan.planning.situation import Situation

APART_MM = 12.0  # two offered entries lie at least this far apart
SHORTLIST = 4  # judged in full: this many times what is offered

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The offered ways, best first, the skin map of all candidates, how many ways are on the front, and the point aimed
    at."""

    trajectories: tuple[RankedTrajectory, ...]
    skin_map: SkinMap
    front_size: int
    target_mm: NDArray[np.float64]


def trajectory_to(entry_mm: NDArray[np.float64], target_mm: NDArray[np.float64], device: Device) -> Trajectory:
    """The way from an entry to the target; a needle that fires stands short by half its throw, if the way is that
    long."""
    depth = float(np.linalg.norm(target_mm - entry_mm))
    short = min(device.throw_mm / 2, max(depth - 1.0, 0.0))
    entry, target = (float(x) for x in entry_mm), (float(x) for x in target_mm)
    return Trajectory(tuple(entry), tuple(target), device, short)  # type: ignore[arg-type]


def search(
    situation: Situation, device: Device, top: int = 5, progress: Progress = lambda words, share: None
) -> SearchResult:
    """Judge every allowed skin point as an entry to the target.

    Raises InputError without a body outline. An empty result is no error: the skin map says what is in the way.
    """
    check_metrics(situation.protocol)
    body = body_structure(situation.structures)
    target = situation.target_mm
    progress("skin", 0.05)
    reach = device.length_mm + device.throw_mm / 2 - LENGTH_RESERVE_MM
    skin = skin_points(body, situation.image, target, reach)
    down = down_direction(situation.patient_position)
    as_imaged = lies_as_imaged(situation.image, situation.patient_position)
    skin = rule_out_by_access(skin, situation.image, body, target, down, device.length_mm, as_imaged)
    if as_imaged:
        skin = rule_out_by_room(skin, situation.image, body, target, down, device.length_mm)
    skin = _rule_out_by_entry_place(skin, situation)
    progress("clearances", 0.2)
    depth = np.linalg.norm(skin.points_mm - target, axis=1) if len(skin.points_mm) else np.zeros(0)
    short = np.minimum(device.throw_mm / 2, np.maximum(depth - 1.0, 0.0))
    direction = (target - skin.points_mm) / np.maximum(depth, 1e-9)[:, None]
    ends = skin.points_mm + (depth - short + device.throw_mm)[:, None] * direction
    open_ways = np.flatnonzero(skin.reason == -1)
    measured = margins(situation.boundaries, skin.points_mm[open_ways], ends[open_ways])
    progress("paths", 0.5)
    metrics = _metrics(situation, skin.points_mm[open_ways], target, device.throw_mm / 2)
    outcome = _rule_out_by_limits(situation, measured, metrics, device)
    progress("front", 0.7)
    reason, names, shortfall = _merged(skin, open_ways, outcome)
    free = outcome.reason == -1
    metrics["clearance_mm"] = outcome.clearance_mm
    wishes = [desirability(soft, metrics[soft.metric]) for soft in situation.protocol.soft]
    scores = np.stack(wishes, axis=1) if wishes else np.zeros((len(open_ways), 0))
    weights = np.asarray([soft.weight for soft in situation.protocol.soft])
    value = scores @ weights / max(weights.sum(), 1e-12)
    front = np.flatnonzero(free)[pareto_front(-scores[free])]
    full = np.zeros(len(skin.points_mm), dtype=np.float32)
    full[open_ways[free]] = value[free]
    skin_map = SkinMap(skin.points_mm, reason, names, full, shortfall)
    order = front[np.lexsort((-value[front], outcome.doubtful[front]))]
    chosen = _apart(skin.points_mm[open_ways], order, top * SHORTLIST)
    ranked = []
    for n, candidate in enumerate(chosen):
        progress("judging", 0.75 + 0.25 * n / max(len(chosen), 1))
        trajectory = trajectory_to(skin.points_mm[open_ways[candidate]], target, device)
        values = {name: float(numbers[candidate]) for name, numbers in metrics.items()}
        ranked.append(RankedTrajectory(trajectory, values, float(value[candidate]), judge(trajectory, situation)))
    ranked.sort(key=lambda way: (-way.verdict.rank, open_clearances(way.report), -way.desirability))
    progress("done", 1.0)
    return SearchResult(tuple(ranked[:top]), skin_map, len(front), target)


def open_clearances(report: SafetyReport) -> int:
    """How many clearances of a way are in doubt where the needle goes: the required distance is not proven, or a needle
    that strays touches it more often than allowed. Labels too thin for a proof, far from the needle, do not rank a way.
    """
    allowed = report.max_breach_probability or 0.0
    return sum(
        finding.verdict.rank < Verdict.WARN.rank
        or finding.distance is None
        or finding.distance.low_mm < (finding.required_mm or 0.0)
        or (finding.breach_probability or 0.0) > allowed
        for finding in report.clearances
    )


def _rule_out_by_entry_place(skin: SkinPoints, situation: Situation) -> SkinPoints:
    """Entries that the protocol forbids by name: skin over a breast, a stoma, a port, as far as they are labelled."""
    from navplan.model.protocol import fits
    from navplan.planning.boundary import boundary_of

    reason, names = skin.reason.copy(), list(skin.reasons)
    for pattern in situation.protocol.entry_not_on:
        for name, structure in situation.structures.items():
            if structure.occupancy is None or not fits(name, pattern, situation.side):
                continue
            names.append(f"no entry through {name}")
            centres = boundary_of(structure).centres_mm
            from scipy.spatial import cKDTree

            distance, _ = cKDTree(centres).query(skin.points_mm, distance_upper_bound=5.0)
            reason[(reason == -1) & np.isfinite(distance)] = len(names) - 1
    return SkinPoints(skin.points_mm, skin.outward, reason, tuple(names))


def _metrics(
    situation: Situation, entries_mm: NDArray[np.float64], target_mm: NDArray[np.float64], beyond_mm: float
) -> dict[str, NDArray[np.float64]]:
    samples = sample_paths(situation.tissues, entries_mm, target_mm, beyond_mm)
    metrics = path_metrics(
        situation.tissues, samples, entries_mm, target_mm, situation.target.structure, situation.host
    )
    before = samples.depths_mm[None] < samples.depth_mm[:, None]
    metrics["skin_punctures"] = punctures((samples.labels > 0) & before, gap_mm=4.0).astype(np.float64)
    return metrics


@dataclass(frozen=True, eq=False)
class _Outcome:
    """For each open candidate: reason (index into names, -1 free), shortfall, smallest lower bound, whether a PASS is
    in doubt."""

    reason: NDArray[np.int64]
    names: tuple[str, ...]
    shortfall_mm: NDArray[np.float64]
    clearance_mm: NDArray[np.float64]
    doubtful: NDArray[np.int64]


def _rule_out_by_limits(
    situation: Situation, measured: Margins, metrics: dict[str, NDArray[np.float64]], device: Device
) -> _Outcome:
    """Hard limits along the whole swept shaft, punctures and fissures. A limit counts as kept only at the interval's
    lower end."""
    count = len(metrics["depth_mm"])
    reason = np.full(count, -1)
    shortfall = np.full(count, np.nan)
    names: list[str] = []
    low = measured.low_mm(device.radius_mm)
    if low.shape[1]:
        missing = situation.required_mm - low
        worst = np.argmax(missing, axis=1)
        blocked = missing[np.arange(count), worst] > 0
        for column in np.unique(worst[blocked]):
            risk = situation.risks[column]
            names.append(
                f"{risk.name}: less than {risk.required_mm:g} mm" if risk.required_mm else f"{risk.name}: in the way"
            )
            hit = blocked & (worst == column)
            reason[hit] = len(names) - 1
            shortfall[hit] = missing[hit, column]
    limit = situation.protocol.pleura_punctures_max
    for words, bad in (
        (RE_ENTRY, metrics["skin_punctures"] > 1),
        (
            f"more than {limit} pleural puncture{'' if limit == 1 else 's'}",
            metrics["pleura_punctures"] > (np.inf if limit is None else limit),
        ),
        ("a fissure is crossed", metrics["fissure_crossings"] > 0),
    ):
        names.append(words)
        reason[(reason == -1) & bad] = len(names) - 1
    clearance = low.min(axis=1) if low.shape[1] else np.zeros(count)
    return _Outcome(reason, tuple(names), shortfall, clearance, _doubtful(situation, measured, low))


def _doubtful(situation: Situation, measured: Margins, low: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many structures a straying needle would touch with more than the allowed probability, each taken as a
    wall."""
    if not low.shape[1]:
        return np.zeros(len(low), dtype=np.int64)
    sigma = situation.error_model.sigma_mm(measured.along_mm)
    return np.asarray((ndtr(-low / sigma) > situation.protocol.max_breach_probability.value).sum(axis=1))


def _merged(
    skin: SkinPoints, open_ways: NDArray[np.int64], outcome: _Outcome
) -> tuple[NDArray[np.int16], tuple[str, ...], NDArray[np.float32]]:
    reason = skin.reason.copy()
    excluded = outcome.reason >= 0
    reason[open_ways[excluded]] = (outcome.reason[excluded] + len(skin.reasons)).astype(np.int16)
    shortfall = np.full(len(reason), np.nan, dtype=np.float32)
    shortfall[open_ways] = outcome.shortfall_mm
    return reason, (*skin.reasons, *outcome.names), shortfall


def _apart(points_mm: NDArray[np.float64], order: NDArray[np.int64], count: int) -> list[int]:
    """The first of the order, each at least APART_MM from those taken before."""
    chosen: list[int] = []
    for candidate in order:
        if all(np.linalg.norm(points_mm[candidate] - points_mm[other]) >= APART_MM for other in chosen):
            chosen.append(int(candidate))
        if len(chosen) == count:
            break
    return chosen
