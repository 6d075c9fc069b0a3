"""How an attempt stands when its needle does what it is for: whether the goal is met, and how far off it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.scenario import Goal, GoalKind
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_margin import margin_in
from navplan.planning.ablation_zone import Ellipsoid
from navplan.training.contrast import UNSAFE, Pattern, at_a_root
from navplan.training.feel import DURA, EPIDURAL
from navplan.training.needle_path import NeedlePath
from navplan.training.patient import SimulatedPatient

SAMPLES = 40  # along a sample


@dataclass(frozen=True)
class Ending:
    """goal_met: by the scenario's own goal; off_mm: from what is aimed at (NaN: nothing was done); share: of a sample
    in the target."""

    goal_met: bool
    off_mm: float
    words: str
    share: float = float("nan")


def fits(goal: Goal, patient: SimulatedPatient, way: Trajectory) -> None:
    """Raises InputError for a goal that this target and device cannot come to."""
    if goal.kind is GoalKind.ABLATE and (not way.device.zones or patient.situation.target_boundary is None):
        raise InputError(
            f"an ablation of {patient.situation.target.structure or 'a point'} with {way.device.name}",
            "a labelled target and a device with zones",
        )
    if goal.kind in (GoalKind.SAMPLE, GoalKind.CEMENT) and patient.situation.target_boundary is None:
        raise InputError(f"a {goal.kind} of a bare point", "a labelled target")
    if goal.kind is GoalKind.EPIDURAL and patient.canal is None:
        raise InputError("an epidural without a labelled spinal canal", "a structure spinal_canal")


def ending_of(
    goal: Goal, patient: SimulatedPatient, way: Trajectory, path: NeedlePath, phase: float,
    contrast: Pattern | None = None, entered: frozenset[str] = frozenset(),
) -> Ending:  # fmt: skip
    """way: the plan's needle; what TIP, EPIDURAL, BLOCK and CEMENT aim at is its tip, moved as the target is. contrast:
    what was seen of an injection at this very place, epidural where the target is a foramen or a root; entered: all
    tissues that the tip went into."""
    target = patient.situation.target.structure
    if goal.kind is GoalKind.SAMPLE:
        return _sampled(goal, patient, way, path, phase)
    if goal.kind is GoalKind.ABLATE:
        return _ablated(goal, patient, way, path, phase)
    aimed = way.point_at_mm(way.tip_depth_mm) + patient.target_shift_mm(phase)
    off = float(np.linalg.norm(path.tip_mm - aimed))
    near, words = off <= goal.within_mm, f"the tip is {off:.1f} mm from the plan's"
    missing: list[str] = []
    if goal.kind is GoalKind.CEMENT and not patient.in_structure(target, path.tip_mm, phase)[0]:
        missing.append(f"outside {target}")
    if goal.kind is GoalKind.EPIDURAL:
        tissue = patient.tissues_at(path.tip_mm, phase)[0]
        missing += [f"in {tissue}"] if tissue != EPIDURAL else []
        missing += ["the thecal sac was entered"] if DURA in entered else []
    if goal.kind in (GoalKind.EPIDURAL, GoalKind.BLOCK) and contrast in UNSAFE:
        missing.append(f"contrast medium was {contrast}")
    if goal.kind in (GoalKind.EPIDURAL, GoalKind.BLOCK) and contrast is None:
        missing.append("no contrast medium was injected here first")
    elif goal.kind is GoalKind.BLOCK and at_a_root(target) and contrast not in (Pattern.EPIDURAL, *UNSAFE):
        missing.append(f"contrast medium was not epidural but {contrast}")
    return Ending(near and not missing, off, ", ".join([words, *missing]))


def _sampled(goal: Goal, patient: SimulatedPatient, way: Trajectory, path: NeedlePath, phase: float) -> Ending:
    target = patient.situation.target.structure
    sample = path.tip_mm + np.linspace(0.0, way.device.throw_mm, SAMPLES)[:, None] * path.direction
    share = float(patient.in_structure(target, sample, phase).mean())
    off = _from_sample_mm(patient.target_mm(phase), path, way.device.throw_mm)
    met = share > 0.0 and off <= goal.within_mm
    return Ending(met, off, f"{share:.0%} of the sample in {target}, its middle {off:.1f} mm off", share)


def _from_sample_mm(aimed: NDArray[np.float64], path: NeedlePath, throw_mm: float) -> float:
    return float(np.linalg.norm(path.tip_mm + throw_mm / 2.0 * path.direction - aimed))


def _ablated(goal: Goal, patient: SimulatedPatient, way: Trajectory, path: NeedlePath, phase: float) -> Ending:
    """Minimal ablative margin of the device's first zone, derated, as planning measures it; the lower end counts."""
    zone, boundary = way.device.zones[0], patient.situation.target_boundary
    assert boundary is not None  # as `fits` saw to
    name, moved = patient.situation.target.structure, patient.target_shift_mm(phase)
    centre = path.tip_mm - zone.centre_before_tip_mm * path.direction
    half_mm = zone.derating * np.asarray([zone.length_mm, zone.width_mm]) / 2
    ellipsoid = Ellipsoid(centre - moved, path.direction, float(half_mm[0]), float(half_mm[1]))
    margin = margin_in(ellipsoid, boundary).interval
    off = float(np.linalg.norm(centre - patient.target_mm(phase)))
    met = margin.low_mm >= goal.within_mm
    return Ending(met, off, f"least margin of {name} in the zone {margin.low_mm:.1f} to {margin.high_mm:.1f} mm")
