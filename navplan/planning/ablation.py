"""Whether one probe's zone covers the target, and what else it reaches.

Coverage is judged with the derated zone, neighbours with the undegraded one: one zone for both would be unsafe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.model.ablation import AblationMargin, AblationZone, MarginGoal
from navplan.model.safety import Finding, FindingKind, PlannedMargin, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_capsule import far_from_capsule
from navplan.planning.ablation_error import straying_margin
from navplan.planning.ablation_map import (
    bins_of,
    sectors_of,
    shares_of,
    surface_samples,
    uncovered_ml,
    volume_ml,
)
from navplan.planning.ablation_margin import margin_in
from navplan.planning.ablation_neighbours import neighbours
from navplan.planning.ablation_zone import zone_of
from navplan.planning.boundary import Boundary
from navplan.planning.situation import OTHER_FRAME, OTHER_FRAME_REMEDY, Situation

MORE_REMEDY = "Choose a larger zone, another probe or several of them; or state which lesser margin is meant"
STRAYS_REMEDY = "Check the probe with a control scan, and set it anew, before the energy is on"


@dataclass(frozen=True)
class Ablated:
    """The findings on a zone, and how it covers the target (None where that could not be computed)."""

    findings: tuple[Finding, ...]
    margin: PlannedMargin | None = None


def ablation(trajectory: Trajectory, situation: Situation) -> Ablated:
    """Coverage and protection of one way; nothing where neither protocol nor device is for an ablation."""
    asked, zones = situation.protocol.margin, trajectory.device.zones
    goal = situation.protocol.asked_margin
    if asked is None or goal is None:
        if not zones:
            return Ablated(())
        words = f"{trajectory.device.name} ablates, the protocol sets no margin: coverage and neighbours not evaluated"
        return Ablated((_open(words, "Choose a protocol with a [margin], or a device that does not ablate"),))
    if not zones:
        words = f"{trajectory.device.name} has no ablation zone: the margin is not evaluated"
        return Ablated((_open(words, "Choose a device with zones, or state its zones in a device file"),))
    boundary, name = situation.target_boundary, situation.target.structure
    if boundary is None:
        zone = max(zones, key=lambda one: one.volume_ml)
        coverage = _open("a target without a surface: no margin can be measured", "Name a structure as target", name)
        return Ablated((coverage, *neighbours(trajectory, situation, zone, asked)))
    counted, left_out = _counted(situation, boundary, asked)
    if not counted.any():
        words = f"all of the tumour lies within {asked.leave_out_capsule_mm:g} mm of the {asked.organ}'s surface"
        zone = max(zones, key=lambda one: one.volume_ml)
        coverage = _open(f"{words}: nothing of it is left to judge", "Leave nothing out", name)
        return Ablated((coverage, *neighbours(trajectory, situation, zone, asked)))
    zone, reached = chosen_zone(trajectory, boundary, counted, goal.goal_mm)
    planned = _planned(trajectory, situation, zone, goal, counted, left_out)
    which = "the smallest that reaches the goal" if reached else "the largest; none reaches the goal for sure"
    which = f"{which}, of {len(zones)} settings" if len(zones) > 1 else "the device's one setting"
    findings = (_coverage(situation, boundary, zone, planned, which), _straying(situation, planned))
    return Ablated((*findings, *neighbours(trajectory, situation, zone, asked)), planned)


def chosen_zone(
    trajectory: Trajectory, boundary: Boundary, counted: NDArray[np.bool_] | None, goal_mm: float
) -> tuple[AblationZone, bool]:
    """The smallest of the device's zones whose derated form reaches the goal for sure, else the largest; whether it
    does. counted: (M,) which of the boundary's voxels count."""
    zones = sorted(trajectory.device.zones, key=lambda zone: zone.volume_ml)
    for zone in zones:
        if reaches(trajectory, zone, boundary, counted, goal_mm):
            return zone, True
    return zones[-1], False


def placed_for_zone(trajectory: Trajectory, situation: Situation) -> Trajectory:
    """The way with its tip where the zone that will be used has its centre in the target: of zones whose centres lie
    differently far from the tip, the smallest that reaches the goal there, else the largest."""
    zones, goal, boundary = trajectory.device.zones, situation.protocol.asked_margin, situation.target_boundary
    if len({zone.centre_before_tip_mm for zone in zones}) < 2 or goal is None or boundary is None:
        return trajectory
    placed = trajectory
    for zone in sorted(zones, key=lambda zone: zone.volume_ml):
        placed = replace(trajectory, tip_short_of_target_mm=-zone.centre_before_tip_mm)
        if reaches(placed, zone, boundary, None, goal.goal_mm):
            break
    return placed


def reaches(
    trajectory: Trajectory, zone: AblationZone, boundary: Boundary, counted: NDArray[np.bool_] | None, goal_mm: float
) -> bool:
    """Whether the derated zone's margin reaches the goal for sure; the voxels alone often tell."""
    shape = zone_of(trajectory, zone, derated=True)
    centres = boundary.centres_mm if counted is None else boundary.centres_mm[counted]
    least = float(shape.depth_mm(centres).min())
    if least + boundary.above_mm < goal_mm or least - boundary.below_mm >= goal_mm:
        return least - boundary.below_mm >= goal_mm
    return margin_in(shape, boundary, _unless_all(counted)).interval.low_mm >= goal_mm


def _unless_all(counted: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    return None if counted is None or counted.all() else counted


def _counted(situation: Situation, boundary: Boundary, asked: AblationMargin) -> tuple[NDArray[np.bool_], str]:
    """(M,) which of the target's boundary voxels count, and in words what does not."""
    counted = far_from_capsule(situation, boundary.centres_mm, asked)
    if counted.all():
        return counted, ""
    share = 1.0 - float(counted.mean())
    return counted, (
        f"{share:.0%} of its surface, within {asked.leave_out_capsule_mm:g} mm of the {asked.organ}'s surface"
        f" ({asked.leave_out_capsule_source})"
    )


def _planned(
    trajectory: Trajectory,
    situation: Situation,
    zone: AblationZone,
    goal: MarginGoal,
    counted: NDArray[np.bool_],
    left_out: str,
) -> PlannedMargin:
    boundary = situation.target_boundary
    assert boundary is not None and situation.protocol.margin is not None
    shape = zone_of(trajectory, zone, derated=True)
    found = margin_in(shape, boundary, _unless_all(counted))
    samples = surface_samples(boundary.structure)
    depth = shape.depth_mm(samples.points_mm)
    seen = far_from_capsule(situation, samples.points_mm, situation.protocol.margin)
    strays = straying_margin(
        trajectory, shape, found, boundary.centres_mm[counted], situation.error_model, goal.goal_mm
    )
    x, y, z = shape.centre_mm.tolist()
    u, v, w = trajectory.direction.tolist()
    a, b, c = found.voxel_mm.tolist()
    return PlannedMargin(
        zone=f"{zone.words}: {zone.shape_words(derated=True)}",
        undegraded=zone.shape_words(derated=False),
        zone_source=zone.source,
        centre_mm=(x, y, z),
        direction=(u, v, w),
        along_mm=shape.along_mm,
        across_mm=shape.across_mm,
        goal_mm=goal.goal_mm,
        goal_words=goal.words,
        goal_source=goal.source,
        margin=found.interval,
        proven=found.proven,
        thinnest_mm=(a, b, c),
        shares=shares_of(depth[seen], samples.area_mm2[seen]),
        bins=bins_of(depth[seen], samples.area_mm2[seen]),
        sectors=sectors_of(samples, depth, seen),
        uncovered_ml=uncovered_ml(shape, boundary),
        tumour_ml=volume_ml(boundary.structure),
        expected=strays.expected,
        goal_met=strays.goal_met,
        tumour_left=strays.tumour_left,
        draws=strays.draws,
        left_out=left_out,
        whole_along_mm=zone.length_mm / 2,
        whole_across_mm=zone.width_mm / 2,
    )


def _coverage(
    situation: Situation, boundary: Boundary, zone: AblationZone, planned: PlannedMargin, which: str
) -> Finding:
    margin, goal = planned.margin, planned.goal_mm
    zone_words = f"zone {planned.zone} ({which})"
    told = f"margin {margin}, {goal:g} mm asked ({planned.goal_words})"
    if planned.left_out:
        told += f", left out: {planned.left_out}"
    verdict, remedy = Verdict.PASS, ""
    if margin.high_mm < goal:
        verdict, remedy = Verdict.FAIL, MORE_REMEDY
        told = f"tumour is left outside: {told}" if margin.high_mm < 0 else told
    elif not situation.same_frame(boundary.structure):
        verdict, told, remedy = Verdict.NOT_EVALUATED, OTHER_FRAME, OTHER_FRAME_REMEDY
    elif boundary.cut.any():
        verdict, told = Verdict.NOT_EVALUATED, f"the target is cut by the edge of the image; of what is seen: {told}"
        remedy = "Take an image that shows it whole"
    elif not planned.proven:
        verdict, told = Verdict.WARN, f"{told}; the target is thinner than the voxels there: not proven"
        remedy = "Look at the reformats; fractional or finer labels would bound it"
    elif margin.low_mm < goal:
        verdict, told = Verdict.WARN, f"{told}: not proven"
        remedy = f"{MORE_REMEDY}; or finer labels"
    return Finding(
        FindingKind.ABLATION, verdict, f"{told}; {zone_words}", situation.target.structure, distance=margin,
        required_mm=goal, nearest_mm=planned.thinnest_mm, remedy=remedy,
        source=f"goal: {planned.goal_source}; zone: {zone.source}",
    )  # fmt: skip


def _straying(situation: Situation, planned: PlannedMargin) -> Finding:
    """The margin under the error model, told beside the planned one."""
    allowed = situation.protocol.max_breach_probability
    words = (
        f"margin expected under {situation.error_model.name}, uncorrected: {planned.expected}; planned "
        f"{planned.margin}; {planned.goal_mm:g} mm reached with at least {planned.goal_met:.0%}, tumour left with up"
        f" to {planned.tumour_left:.0%}"
    )
    strays = planned.tumour_left > allowed.value
    return Finding(
        FindingKind.ABLATION, Verdict.WARN if strays else Verdict.PASS, words, situation.target.structure,
        distance=planned.expected, source=situation.error_model.source, remedy=STRAYS_REMEDY if strays else "",
    )  # fmt: skip


def _open(words: str, remedy: str, structure: str = "") -> Finding:
    return Finding(FindingKind.ABLATION, Verdict.NOT_EVALUATED, words, structure, remedy=remedy)
