"""Which ways let a zone cover the target best: for the ranking of ways, and where along the needle the zone lies best.

A zone is an ellipsoid along its needle, so the way decides how it lies in a tumour that is no ball. What is said here
of very many ways is the lower end that the voxels alone give; the judgement (`ablation`) narrows it, and it alone
says whether the goal is reached.

margin_over_goal_mm: lower end of the planned ablative margin, less the goal that is asked; negative: the goal is not
proven. -infinity where no margin can be measured: worth nothing, and never told as a number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.model.ablation import AblationZone
from navplan.model.device import Device
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import FARTHEST_BEYOND_MM, SHORTEST_MM, Trajectory
from navplan.planning.ablation import placed_for_zone, reaches
from navplan.planning.ablation_capsule import far_from_capsule
from navplan.planning.ablation_error import hull_points, least_depths
from navplan.planning.ablation_zone import Ellipsoid
from navplan.planning.situation import Situation

METRIC = "margin_over_goal_mm"
STEP_MM = 0.5  # a tip is not set finer
LEAST_GAIN_MM = 0.5  # of margin, for which the zone's centre leaves the point aimed at


def asks_margin(situation: Situation) -> bool:
    """Whether the protocol ranks ways by the margin."""
    return situation.protocol.margin is not None and any(s.metric == METRIC for s in situation.protocol.soft)


def margin_over_goal_mm(report: SafetyReport) -> float | None:
    """Of a judged way; None where no margin was measured."""
    planned = report.ablation
    return None if planned is None else planned.margin.low_mm - planned.goal_mm


def margins_over_goal_mm(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) of ways from entries (N, 3), LPS mm: of the smallest zone that reaches the goal for sure, else of the
    largest, with its centre in the point aimed at or halfway through the target along the needle."""
    found = np.full(len(entries_mm), -np.inf)
    goal, points = situation.protocol.asked_margin, _outermost(situation)
    if goal is None or not len(points) or not len(entries_mm):
        return found
    assert situation.target_boundary is not None
    aim = situation.target_mm
    span = aim - entries_mm
    directions = span / np.maximum(np.linalg.norm(span, axis=1, keepdims=True), 1e-9)
    along = directions @ (points - aim).T
    halfway = (along.max(axis=1) + along.min(axis=1)) / 2.0
    for zone in _smallest_first(device):
        rows = np.flatnonzero(found < 0.0)
        if not len(rows):
            break
        size = _derated(zone, aim)
        margin = least_depths(size, np.broadcast_to(aim, (len(rows), 3)), directions[rows], points)
        off = np.flatnonzero(np.abs(halfway[rows]) >= LEAST_GAIN_MM)
        if len(off):
            shifted = aim + halfway[rows[off], None] * directions[rows[off]]
            margin[off] = np.maximum(margin[off], least_depths(size, shifted, directions[rows[off]], points))
        found[rows] = margin - situation.target_boundary.below_mm - goal.goal_mm
    return found


def surely_missed(situation: Situation, over_goal_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether even the upper end of the margin misses the goal: a FAIL of the judgement, unless the zone lies
    still better elsewhere along the needle."""
    boundary = situation.target_boundary
    if boundary is None:
        return np.zeros(len(over_goal_mm), dtype=bool)
    return np.asarray(over_goal_mm + boundary.below_mm + boundary.above_mm < 0.0)


def placements(trajectory: Trajectory, situation: Situation) -> tuple[Trajectory, ...]:
    """A way with its tip where the zone covers best: first, where that gains LEAST_GAIN_MM of margin or a smaller zone,
    with the zone's centre before or beyond the point aimed at, on the needle; last as it stands usually. All of them
    are to be judged: a tip that stands deeper comes nearer to what lies there."""
    usual = placed_for_zone(trajectory, situation)
    asked, goal, boundary = situation.protocol.margin, situation.protocol.asked_margin, situation.target_boundary
    points = _outermost(situation)
    if not asks_margin(situation) or asked is None or goal is None or boundary is None or not len(points):
        return (usual,)
    counted = far_from_capsule(situation, boundary.centres_mm, asked)
    placed = usual
    for zone in _smallest_first(trajectory.device):
        centred = replace(trajectory, tip_short_of_target_mm=-zone.centre_before_tip_mm)
        if reaches(centred, zone, boundary, counted, goal.goal_mm):
            return (centred,)
        placed = _shifted(centred, zone, points)
        if reaches(placed, zone, boundary, counted, goal.goal_mm):
            break
    return (usual,) if placed == usual else (placed, usual)


def _shifted(centred: Trajectory, zone: AblationZone, points: NDArray[np.float64]) -> Trajectory:
    """The way with the zone's centre where the margin is largest along the needle, if that is worth it."""
    aim, direction = np.asarray(centred.target_mm, dtype=np.float64), centred.direction
    along = (points - aim) @ direction
    steps = np.arange(np.floor(along.min() / STEP_MM), np.ceil(along.max() / STEP_MM) + 1) * STEP_MM
    short = centred.tip_short_of_target_mm - steps
    steps = steps[(short >= -FARTHEST_BEYOND_MM) & (short <= centred.depth_mm - SHORTEST_MM)]
    steps = np.concatenate([[0.0], steps])
    directions = np.broadcast_to(direction, (len(steps), 3))
    margin = least_depths(_derated(zone, aim), aim + steps[:, None] * direction, directions, points)
    best = int(np.argmax(margin))
    if margin[best] < margin[0] + LEAST_GAIN_MM:
        return centred
    return replace(centred, tip_short_of_target_mm=float(centred.tip_short_of_target_mm - steps[best]))


def _outermost(situation: Situation) -> NDArray[np.float64]:
    """(M, 3) centres of the target's voxels that decide a margin, LPS mm: corners of the hull of those that count.
    None for a target without a surface."""
    boundary, asked = situation.target_boundary, situation.protocol.margin
    if boundary is None or asked is None:
        return np.zeros((0, 3))
    counted = boundary.centres_mm[far_from_capsule(situation, boundary.centres_mm, asked)]
    return hull_points(counted) if len(counted) else counted


def _smallest_first(device: Device) -> list[AblationZone]:
    return sorted(device.zones, key=lambda zone: zone.volume_ml)


def _derated(zone: AblationZone, aim: NDArray[np.float64]) -> Ellipsoid:
    """The size of a zone that covers; where it lies is given with each way."""
    half = zone.derating / 2.0
    return Ellipsoid(aim, np.asarray([0.0, 0.0, 1.0]), half * zone.length_mm, half * zone.width_mm)
