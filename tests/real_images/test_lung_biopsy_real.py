"""The main job on the real chest CT: a lung biopsy, from labels to verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, Verdict
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import crossed_mm
from navplan.planning.check_plan import judge
from navplan.planning.entry_candidates import NOT_SKIN
from navplan.verbs.situation import situation_of
from tests.real_lidc import lidc_case

pytestmark = pytest.mark.xdist_group("lidc")
CHEST_WALL = {"unlabelled", "autochthon_left"}


@pytest.fixture(scope="module")
def unstated(real_images: Path) -> Case:
    return lidc_case(real_images)


@pytest.fixture(scope="module")
def case(unstated: Case) -> Case:
    stated = nv.absent(unstated, "bulla", "a reader of this test")
    return nv.absent(stated, "fissure", "a reader of this test")


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return nv.plan(case, "lung-biopsy", "mass", side="L")


def test_listed_labels_without_voxels_are_unknown_and_told(unstated: Case) -> None:
    unknown = {name for name, structure in unstated.structures.items() if structure.presence is Presence.UNKNOWN}
    assert {"gallbladder", "kidney_cyst_right", "skull", "femur_left"} <= unknown and len(unknown) == 29
    told = [entry.details for entry in unstated.audit if entry.action == "segment" and "empty" in str(entry.details)]
    assert any("skull" in str(details) for details in told)


def test_without_a_word_on_bullae_and_fissures_nothing_is_evaluated(unstated: Case, plan: Plan) -> None:
    report = nv.check(unstated, plan)
    assert report.verdict is Verdict.NOT_EVALUATED
    open_ones = {finding.structure for finding in report.of(Verdict.NOT_EVALUATED)}
    assert open_ones == {"bulla*", "fissure*"}


def test_the_best_shaft_crosses_wall_one_lung_and_the_mass(case: Case, plan: Plan) -> None:
    report = nv.check(case, plan)
    assert report.verdict is Verdict.WARN  # not imaged, not looked for, of unknown date and patient
    names = [section.structure for section in report.path]
    assert set(names) <= CHEST_WALL | {"lung_lower_lobe_left", "lung_left", "mass"} and names[-1] == "mass"
    punctures = next(finding for finding in report.findings if finding.kind is FindingKind.PUNCTURES)
    assert punctures.verdict is Verdict.PASS and punctures.words.startswith("1 pleural puncture")
    assert len(report.open_items) <= 5, [item.words for item in report.open_items]


def test_lying_on_the_mass_is_told_and_prone_has_the_straight_way(case: Case, plan: Plan) -> None:
    """Supine, the scapula and the couch bar the short ways: the plan says so; prone, the way is short and wide of ribs,
    but not evaluated, since organs move."""
    assert any("consider another position" in words for words in plan.notes)
    prone = nv.plan(case, "lung-biopsy", "mass", side="L", patient_position="HFP", top=1)
    best = prone.best
    assert best.trajectory.depth_mm < 60 < plan.best.trajectory.depth_mm
    assert best.metrics["aerated_lung_mm"] < 10 and best.metrics["clearance_mm"] > 1.5
    assert (best.report.hit_probability or 0) > (plan.best.report.hit_probability or 0)
    assert best.verdict is Verdict.NOT_EVALUATED
    assert [f.words for f in best.report.of(Verdict.NOT_EVALUATED)] == ["image taken HFS, procedure HFP: organs move"]


def test_no_offered_needle_touches_the_couch(case: Case, plan: Plan) -> None:
    image, body = case.volumes["ct"], case.structures["body"]
    for way in plan.trajectories:
        outside = way.trajectory.point_at_mm(0.0) - np.outer(np.arange(6.0, 110.0, 1.0), way.trajectory.direction)
        index = np.rint(image.grid.indices(outside)).astype(int)
        index = index[((index >= 0) & (index < image.grid.shape)).all(axis=1)]
        assert image.voxels[tuple(index.T)].max() < -600 and body.grid is not None


def test_lower_bounds_to_ribs_and_great_structures(case: Case, plan: Plan) -> None:
    clearances = {finding.structure: finding for finding in nv.check(case, plan).clearances}
    ribs = [finding for name, finding in clearances.items() if name.startswith("rib_")]
    assert len(ribs) == 24 and min(finding.distance.low_mm for finding in ribs) >= 0
    for name in ("heart", "aorta", "pulmonary_vein", "trachea", "esophagus", "spinal_cord"):
        limit = plan.protocol.limit_for(name, "left")
        assert limit is not None and clearances[name].distance.low_mm >= limit.min_clearance_mm


def test_the_other_lung_is_not_entered(case: Case, plan: Plan) -> None:
    for way in plan.trajectories:
        for name in ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right", "lung_right"):
            start, end = np.asarray(way.trajectory.entry_mm), way.trajectory.swept_end_mm
            assert crossed_mm(case.structures[name], start, end) == 0


def test_entries_are_skin_not_the_edge_of_the_field_of_view(case: Case, plan: Plan) -> None:
    skin = plan.skin_map
    image = case.volumes["ct"]
    free = skin.points_mm[skin.reason == -1]
    padding = np.argwhere(image.voxels[:, :, ::4] <= -2000) * (1, 1, 4)
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(image.grid.points_mm(padding)).query(free)
    assert distance.min() > 3.0
    assert NOT_SKIN in skin.reasons and (skin.reason == skin.reasons.index(NOT_SKIN)).any()


def test_wrong_side_fails_and_another_position_is_not_evaluated(case: Case, plan: Plan) -> None:
    assert nv.check(case, plan, side="R").verdict is Verdict.FAIL
    prone = nv.check(case, plan, patient_position="HFP")
    assert prone.verdict is Verdict.NOT_EVALUATED


@pytest.mark.parametrize("name", ["aorta", "rib_left_7", "heart"])
def test_with_a_label_deleted_no_way_through_it_passes(case: Case, plan: Plan, name: str) -> None:
    """The labels that stand for the same tissue (bone of the basic segmenter) are deleted with it."""
    left = {key: s for key, s in case.structures.items() if key not in (name, "bone")}
    situation = situation_of(Case("x", dict(case.volumes), left), plan.protocol, plan.target, side="L")
    rng = np.random.default_rng(1)
    centres = case.structures[name].voxel_centres_mm()
    target, skin = np.asarray(plan.target.point_mm), plan.skin_map.points_mm
    toward = (skin - target) / np.linalg.norm(skin - target, axis=1)[:, None]
    for centre in centres[rng.choice(len(centres), 12, replace=False)]:
        wanted = (centre - target) / np.linalg.norm(centre - target)
        entry = skin[np.argmax(toward @ wanted)]
        if crossed_mm(case.structures[name], entry, target) < 2.0:
            continue
        way = Trajectory(tuple(entry), tuple(target), plan.best.trajectory.device)
        assert judge(way, situation).verdict is not Verdict.PASS
