"""How an attempt stands when its needle does what it is for: whether the goal is met, and how far off it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.model.scenario import GoalKind, Scenario
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_margin import margin_in
from navplan.planning.ablation_zone import Ellipsoid
from navplan.training.feel import EPIDURAL
from navplan.training.needle_path import NeedlePath
from navplan.training.patient import SimulatedPatient

SAMPLES = 40  # along a sample


@dataclass(frozen=True)
class Ending:
    """goal_met: by the scenario's own goal; off_mm: from what is aimed at (NaN: nothing was done); share: of a sample in
    the target, of a target that is covered."""

    goal_met: bool
    off_mm: float
    words: str
    share: float = float("nan")


def ending_of(
    scenario: Scenario, patient: SimulatedPatient, way: Trajectory, path: NeedlePath, phase: float
) -> Ending:
    """way: the plan's needle, whose target is what TIP, BLOCK and CEMENT aim at."""
    goal, target = scenario.goal, patient.situation.target.structure
    aimed = patient.target_mm(phase)
    if goal.kind is GoalKind.SAMPLE:
        along = np.linspace(0.0, way.device.throw_mm, SAMPLES)[:, None]
        sample = path.tip_mm + along * path.direction
        share = float(patient.in_structure(target, sample, phase).mean())
        off = float(np.linalg.norm(sample.mean(axis=0) - aimed))
        met = share > 0.0 and off <= goal.within_mm
        return Ending(met, off, f"{share:.0%} of the sample in {target}, its middle {off:.1f} mm off", share)
    if goal.kind is GoalKind.EPIDURAL:
        tissue = patient.tissues_at(path.tip_mm, phase)[0]
        off = float(np.linalg.norm(path.tip_mm - aimed))
        met = tissue == EPIDURAL and off <= goal.within_mm
        return Ending(met, off, f"the tip is in {tissue}, {off:.1f} mm from the plan's")
    if goal.kind is GoalKind.ABLATE:
        return _ablated(scenario, patient, way, path, phase)
    off = float(np.linalg.norm(path.tip_mm - aimed))
    within = goal.kind is not GoalKind.CEMENT or bool(patient.in_structure(target, path.tip_mm, phase)[0])
    where = "" if within else f", outside {target}"
    return Ending(within and off <= goal.within_mm, off, f"the tip is {off:.1f} mm from the plan's{where}")


def _ablated(
    scenario: Scenario, patient: SimulatedPatient, way: Trajectory, path: NeedlePath, phase: float
) -> Ending:
    """Minimal ablative margin of the device's first zone, derated, as planning measures it; the lower end counts."""
    zone, boundary = way.device.zones[0], patient.situation.target_boundary
    assert boundary is not None  # a scenario of an ablation names a structure
    name = patient.situation.target.structure
    moved = patient.shift_mm(phase) if patient.moves(name) else np.zeros(3)
    centre = path.tip_mm - zone.centre_before_tip_mm * path.direction
    half_mm = zone.derating * np.asarray([zone.length_mm, zone.width_mm]) / 2
    ellipsoid = Ellipsoid(centre - moved, path.direction, float(half_mm[0]), float(half_mm[1]))
    margin = margin_in(ellipsoid, boundary).interval
    off = float(np.linalg.norm(centre - patient.target_mm(phase)))
    met = margin.low_mm >= scenario.goal.within_mm
    return Ending(met, off, f"least margin of {name} in the zone {margin.low_mm:.1f} to {margin.high_mm:.1f} mm")
