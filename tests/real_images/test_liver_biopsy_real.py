"""Liver biopsies on two real abdomens: one labelled, with an invented lesion, and one with a metastasis and no labels.

Distances and tissues are found again here from the voxels alone, by none of the planner's means.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import navplan as nv
from benchmarks.real_targets import METASTASIS_MM, ball_mask
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment

pytestmark = pytest.mark.xdist_group("liver")
LABELLED, UNLABELLED = "ts_abdomen_pelvis_ct", "crlm1004_abdomen_ct"
REQUIRED = {"gallbladder", "colon*", "kidney_right", "inferior_vena_cava", "portal_vein*", "aorta*"}
STEP_MM = 0.25


@pytest.fixture(scope="module")
def case(real_images: Path) -> Case:
    folder = real_images / LABELLED
    made = import_images(folder / "example_ct.nii.gz", image_id="ct", patient_position="HFS")
    made = segment(made, "ct-basic")
    labels = folder / "example_seg_fast_force_split.nii.gz"
    made = segment(made, labels=labels, names=folder / "labels.json", working_resolution_mm=3.0)
    grid = made.volumes["ct"].grid
    lesion = structure_from_mask(ball_mask(grid), grid, "lesion", "ct", "invented", grid, [3.0, 3.0, 3.0])
    return made.with_structures(lesion)


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return nv.plan(case, "liver-biopsy", "lesion", side="R")


@pytest.fixture(scope="module")
def bare(real_images: Path) -> Case:
    return segment(import_images(real_images / UNLABELLED, image_id="ct"), "ct-basic")


@pytest.fixture(scope="module")
def bare_plan(bare: Case) -> Plan:
    return nv.plan(bare, "liver-biopsy", METASTASIS_MM, side="R")


def axis_mm(way: Trajectory) -> NDArray[np.float64]:
    """Points of the needle's axis from the skin to where the throw ends."""
    depths = np.arange(0.0, way.swept_depth_mm + STEP_MM, STEP_MM)
    return np.asarray(way.entry_mm) + np.outer(np.minimum(depths, way.swept_depth_mm), way.direction)


def brute_clearance_mm(structure: Structure, way: Trajectory) -> float:
    """From the needle's surface to the nearest voxel of a structure, a voxel being the whole box; at most STEP_MM/2
    too much."""
    assert structure.grid is not None and structure.occupancy is not None
    index = np.argwhere(structure.occupancy >= 128)
    axis = structure.grid.indices(axis_mm(way))
    near = np.inf
    for start in range(0, len(axis), 40):
        off = np.abs(axis[start : start + 40, None] - index[None]) - 0.5
        near = min(near, float(np.linalg.norm(np.maximum(off, 0.0) * structure.grid.spacing_mm, axis=2).min()))
    return near - way.device.radius_mm


def near_enough(structure: Structure, way: Trajectory) -> bool:
    """Whether brute force is worth its time: within 60 mm, by the box about the structure."""
    assert structure.grid is not None and structure.occupancy is not None
    corners = structure.grid.points_mm(np.argwhere(structure.occupancy >= 128))
    low, high = corners.min(axis=0) - 60, corners.max(axis=0) + 60
    axis = axis_mm(way)
    return bool(((axis >= low) & (axis <= high)).all(axis=1).any())


def labels_on_the_way(case: Case, way: Trajectory) -> set[str]:
    """Structures that hold a voxel that the axis goes through."""
    found = set()
    for name, structure in case.structures.items():
        if structure.presence is not Presence.PRESENT or structure.grid is None or structure.occupancy is None:
            continue
        index = np.rint(structure.grid.indices(axis_mm(way))).astype(int)
        index = index[((index >= 0) & (index < structure.grid.shape)).all(axis=1)]
        if (structure.occupancy[tuple(index.T)] >= 128).any():
            found.add(name)
    return found


def test_ways_cross_wall_liver_and_the_lesion_and_nothing_else(case: Case, plan: Plan) -> None:
    assert plan.trajectories
    for way in plan.trajectories:
        assert labels_on_the_way(case, way.trajectory) <= {"body", "skin", "liver", "lesion"}
        told = [section.structure for section in way.report.path]
        assert set(told) <= {"outside", "unlabelled", "liver", "lesion"}
        assert told.index("liver") < told.index("lesion")
        liver = [section.mean_hu for section in way.report.path if section.structure == "liver"]
        assert all(0 < hu < 120 for hu in liver)


def test_every_limit_is_kept_as_the_voxels_say(case: Case, plan: Plan) -> None:
    best = plan.best
    looked_at = 0
    for name, structure in case.structures.items():
        limit = plan.protocol.limit_for(name, "right")
        if limit is None or structure.presence is not Presence.PRESENT or not near_enough(structure, best.trajectory):
            continue
        looked_at += 1
        assert brute_clearance_mm(structure, best.trajectory) >= limit.min_clearance_mm - STEP_MM, name
    assert looked_at >= 15


def test_no_interval_starts_above_what_the_voxels_say(case: Case, plan: Plan) -> None:
    """A lower end beyond the nearest voxel's centre would be optimism."""
    for finding in nv.check(case, plan).clearances:
        structure = case.structures[finding.structure]
        if finding.distance is None or not near_enough(structure, plan.best.trajectory):
            continue
        assert structure.grid is not None
        half = float(np.linalg.norm(structure.grid.spacing_mm)) / 2
        assert finding.distance.low_mm <= brute_clearance_mm(structure, plan.best.trajectory) + half + STEP_MM


def test_right_is_the_side_of_the_liver(case: Case, plan: Plan) -> None:
    for name, side in (("liver", -1), ("gallbladder", -1), ("spleen", 1), ("kidney_left", 1), ("kidney_right", -1)):
        assert np.sign(case.structures[name].voxel_centres_mm()[:, 0].mean()) == side
    assert all(way.trajectory.entry_mm[0] < 0 for way in plan.trajectories)
    assert nv.check(case, plan, side="L").verdict is Verdict.FAIL


def test_lobes_that_the_image_cuts_off_are_told(case: Case, plan: Plan) -> None:
    """The CT starts below the dome: two lobes of the lung were looked for and not found."""
    open_ones = " ".join(f.words for f in nv.check(case, plan).of(Verdict.WARN) if f.kind is FindingKind.PRESENCE)
    assert "lung_upper_lobe_right" in open_ones and "lung_middle_lobe_right" in open_ones
    assert nv.check(case, plan).verdict is not Verdict.PASS


def test_what_nobody_labelled_is_named_and_nothing_is_called_safe(bare: Case, bare_plan: Plan) -> None:
    assert bare_plan.trajectories
    for number, way in enumerate(bare_plan.trajectories):
        report = nv.check(bare, bare_plan, trajectory=number)
        assert way.verdict is Verdict.NOT_EVALUATED and report.verdict is Verdict.NOT_EVALUATED
        unknown = {f.structure for f in report.of(Verdict.NOT_EVALUATED) if f.kind is FindingKind.PRESENCE}
        assert unknown == REQUIRED
        assert any("bare point" in f.words for f in report.of(Verdict.WARN))
        assert report.hit_probability is None


def test_the_bare_way_keeps_off_bone_and_lung_as_the_image_says(bare: Case, bare_plan: Plan) -> None:
    """The CT numbers on the way, read here: no air beyond the skin, no bone; liver at the point aimed at."""
    volume, way = bare.volumes["ct"], bare_plan.best.trajectory
    index = np.rint(volume.grid.indices(axis_mm(way))).astype(int)
    along = volume.voxels[tuple(index.T)].astype(float)
    assert along[round(5 / STEP_MM) :].min() > -200 and along.max() < 250
    around = np.rint(volume.grid.indices(np.asarray(METASTASIS_MM))).astype(int)
    box = volume.voxels[around[0] - 3 : around[0] + 4, around[1] - 3 : around[1] + 4, around[2]].astype(float)
    assert 40 < box.mean() < 115  # darker than the liver about it, 119 HU
    for name in ("bone", "lung_right", "lung_left"):
        limit = bare_plan.protocol.limit_for(name, "right")
        assert limit is not None
        assert brute_clearance_mm(bare.structures[name], way) >= limit.min_clearance_mm - STEP_MM


def test_feet_first_does_not_turn_right_into_left(bare: Case, bare_plan: Plan) -> None:
    assert bare.volumes["ct"].acquisition.patient_position == "FFS"
    centre = {name: bare.structures[name].voxel_centres_mm()[:, 0].mean() for name in ("lung_left", "lung_right")}
    assert centre["lung_right"] < 0 < centre["lung_left"]
    assert bare_plan.best.trajectory.entry_mm[0] < 0
    assert nv.check(bare, bare_plan, side="L").verdict is Verdict.FAIL
