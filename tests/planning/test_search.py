"""The search: what is offered is clear and on the front, what is ruled out has the true reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.planning.criteria import desirability, walk
from navplan.planning.entry_candidates import BLOCKED_OUTSIDE, END_SLICE, NO_ROOM, NOT_SKIN, TABLE, skin_points
from navplan.planning.tissue_map import TissueMap
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of

DEVICE = "liver-coaxial-18g-150"


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of()


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return nv.plan(case, protocol_of(), "lesion", device=DEVICE, top=5)


def test_the_best_way_is_clear_and_keeps_every_limit(plan: Plan) -> None:
    assert plan.best.verdict is Verdict.PASS
    for finding in plan.best.report.clearances:
        assert finding.distance.low_mm >= finding.required_mm
    assert [way.verdict.rank for way in plan.trajectories] == sorted(
        (way.verdict.rank for way in plan.trajectories), reverse=True
    )


def test_offered_ways_lie_apart_and_start_on_the_skin(plan: Plan) -> None:
    entries = np.array([way.trajectory.entry_mm for way in plan.trajectories])
    apart = np.linalg.norm(entries[:, None] - entries[None], axis=-1) + 1e9 * np.eye(len(entries))
    assert apart.min() >= 12.0
    for entry in entries:
        assert abs(SOLIDS["body"][0].signed_distance_mm(entry[None])[0]) <= 2.5


def test_every_excluded_entry_has_the_true_reason(plan: Plan) -> None:
    skin, target = plan.skin_map, np.array(plan.target.point_mm)
    radius = plan.best.trajectory.device.radius_mm
    throw = plan.best.trajectory.device.throw_mm
    checked = set()
    for index in range(0, len(skin.points_mm), 3):
        words = skin.reasons[skin.reason[index]] if skin.reason[index] >= 0 else ""
        name = words.split(":")[0]
        entry = skin.points_mm[index]
        end = target + (target - entry) / np.linalg.norm(target - entry) * throw / 2
        for other, (required, solid) in {
            "colon": (5, SOLIDS["colon"][0]),
            "aorta": (5, SOLIDS["aorta"][0]),
            "rib_right_9": (1, SOLIDS["rib_right_9"][0]),
        }.items():
            clearance = max(solid.segment_distance_mm(entry, end), 0.0) - radius
            if not words:
                assert clearance >= required, (other, index)  # what is free is truly free
            elif name == other:
                assert clearance < required + grid_of().diagonal_mm  # what is blamed is near, within the interval
                assert skin.shortfall_mm[index] > 0
                checked.add(other)
    assert {"colon", "rib_right_9"} <= checked
    assert skin.counts()["free"] == int((skin.reason == -1).sum())


def test_nothing_from_below_the_table(plan: Plan) -> None:
    table = plan.skin_map.reasons.index(TABLE)
    points = plan.skin_map.points_mm[plan.skin_map.reason == table]
    assert len(points) and (points[:, 1] > 0).all()
    prone = nv.plan(case_of(patient_position="HFP"), protocol_of(), "lesion", device=DEVICE)
    assert (prone.skin_map.points_mm[prone.skin_map.reason == table][:, 1] < 0).all()


def test_skin_at_the_edge_of_the_field_of_view_is_no_entry() -> None:
    whole = grid_of()
    narrow = whole.crop(
        (12, 0, 8), (whole.shape[0] - 24, whole.shape[1], whole.shape[2] - 16)
    )  # cuts left, right and both ends
    case = case_of(grid=narrow)
    skin = skin_points(case.structures["body"], case.volumes["ct"], np.array((-40.0, 0.0, 0.0)), 200.0)
    sides = np.abs(skin.points_mm[:, 0]) > 78
    assert sides.any() and (skin.reason[sides] >= 0).all()
    ends = np.abs(skin.points_mm[:, 2]) > 52
    assert ends.any() and (skin.reason[ends] >= 0).all()
    assert {skin.reasons[r] for r in np.unique(skin.reason) if r >= 0} == {NOT_SKIN, END_SLICE}
    assert (skin.reason == -1).any()


def test_padding_beside_the_body_is_no_skin() -> None:
    case = case_of(padding_hu=-2048.0)
    image = case.volumes["ct"]
    voxels = image.voxels.copy()
    x = image.grid.points_mm(np.stack(np.meshgrid(*map(np.arange, image.grid.shape), indexing="ij"), -1))[..., 0]
    voxels[x < -80] = -2048
    body = case.structures["body"]
    kept = body.occupancy.copy()
    kept[body.grid.points_mm(np.moveaxis(np.indices(body.grid.shape), 0, -1))[..., 0] < -80] = 0
    skin = skin_points(replace(body, occupancy=kept), replace(image, voxels=voxels), np.array((-40.0, 0, 0)), 200.0)
    cut = skin.points_mm[:, 0] < -77
    assert cut.any() and (skin.reason[cut] == 0).all()


def test_a_required_structure_unknown_makes_every_way_not_evaluated(case: Case) -> None:
    gone = case.with_structures(Structure("aorta", Presence.UNKNOWN))
    made = nv.plan(gone, protocol_of(), "lesion", device=DEVICE, top=3)
    assert made.trajectories and all(way.verdict is Verdict.NOT_EVALUATED for way in made.trajectories)


def test_no_way_in_is_a_plan_without_trajectories(case: Case) -> None:
    walled = protocol_of(pass_through=(), hard=(*protocol_of().hard,))  # the liver itself is now a risk at 0 mm
    made = nv.plan(case, walled, "lesion", device=DEVICE)
    assert made.trajectories == ()
    assert any(words.startswith("liver") for words in made.skin_map.counts())
    with pytest.raises(InputError):
        _ = made.best


def test_planning_is_the_same_twice(case: Case, plan: Plan) -> None:
    again = nv.plan(case, protocol_of(), "lesion", device=DEVICE, top=5)
    assert [way.trajectory for way in again.trajectories] == [way.trajectory for way in plan.trajectories]


def test_without_a_body_there_is_no_skin(case: Case) -> None:
    with pytest.raises(InputError, match="body"):
        nv.plan(
            replace(case, structures={k: v for k, v in case.structures.items() if k != "body"}),
            protocol_of(),
            "lesion",
            device=DEVICE,
        )


def test_rigid_turn_about_the_body_axis_keeps_the_best_clearance(case: Case, plan: Plan) -> None:
    """A grid in another orientation over the same patient: the same skin, the same limits, nearly the same best way."""
    other = case_of(grid=grid_of(spacing=(2.0, 2.5, 3.0)))
    made = nv.plan(other, protocol_of(), "lesion", device=DEVICE)
    assert made.best.verdict is Verdict.PASS
    assert made.best.desirability == pytest.approx(plan.best.desirability, abs=0.08)


def test_punctures_ignore_short_gaps() -> None:
    labels = np.ones((40, 3, 3), dtype=np.uint16, order="F")
    labels[3:10, :, 1] = labels[11:20, :, 1] = 2  # a gap of 1 mm
    labels[3:10, :, 0] = labels[15:20, :, 0] = 2  # a gap of 5 mm
    tissues = TissueMap(labels, ("outside", "unlabelled", "lung_left"), Grid(np.eye(4), (40, 3, 3)))
    entries = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    walked = [walk(tissues, entry[None], entry + np.array([39.0, 0.0, 0.0]), "", "", 0.0)[0] for entry in entries]
    assert [way[2] for way in walked] == [1, 2, 0]
    assert walked[0][0] == pytest.approx(16.0, abs=1.0)


def test_desirability_runs_both_ways() -> None:
    soft = {criterion.metric: criterion for criterion in protocol_of().soft}
    np.testing.assert_allclose(desirability(soft["depth_mm"], np.array([10, 30, 90, 150, 400.0])), [1, 1, 0.5, 0, 0])
    np.testing.assert_allclose(desirability(soft["clearance_mm"], np.array([-3, 0, 10, 20, 50.0])), [0, 0, 0.5, 1, 1])


def with_couch(case: Case, upper: float, beside: float = 0.0, hu: int = 0) -> Case:
    """The scene with a couch: what lies below y = upper, outside the body, and right of x = -beside if given."""
    image = case.volumes["ct"]
    x, y, _ = np.moveaxis(image.grid.points_mm(np.moveaxis(np.indices(image.grid.shape), 0, -1)), -1, 0)
    voxels = image.voxels.copy()
    voxels[(y > upper) & (x < -beside if beside > 0 else np.abs(y) > 72) & (image.voxels < -900)] = hu
    return replace(case, volumes={"ct": replace(image, voxels=voxels)})


def test_the_couch_of_the_image_is_not_in_the_way_of_a_patient_who_turns(case: Case) -> None:
    lain = with_couch(case, 74.0)
    turned = nv.plan(lain, protocol_of(), "lesion", device=DEVICE, patient_position="HFP")
    assert BLOCKED_OUTSIDE not in {words for words, count in turned.skin_map.counts().items() if count}
    posterior = turned.skin_map.points_mm[turned.skin_map.reason == -1][:, 1] > 60
    assert posterior.any() and turned.best.verdict is Verdict.NOT_EVALUATED  # organs move: no verdict on this image
    prone = with_couch(case_of(patient_position="HFP"), 74.0)  # something solid above a patient who lies as imaged
    assert nv.plan(prone, protocol_of(), "lesion", device=DEVICE).skin_map.counts()[BLOCKED_OUTSIDE]


def test_no_way_whose_needle_lies_on_the_cushion(case: Case) -> None:
    lain = with_couch(case, 12.0, beside=96.0, hu=-450)
    made = nv.plan(lain, protocol_of(), "lesion", device=DEVICE, top=2)
    tight = made.skin_map.points_mm[made.skin_map.reason == made.skin_map.reasons.index(NO_ROOM)]
    assert len(tight) and (tight[:, 0] < -80).all() and (tight[:, 1] > -15).all()
    free = made.skin_map.points_mm[made.skin_map.reason == -1]
    assert ((free[:, 0] < -85) & (free[:, 1] < -15)).any()
    drawn = replace(made.best.trajectory, entry_mm=tuple(float(x) for x in tight[np.argmin(np.abs(tight[:, 2]))]))
    report = nv.check(lain, replace(made, trajectories=(replace(made.best, trajectory=drawn),)))
    assert any(finding.words == NO_ROOM and finding.verdict is Verdict.WARN for finding in report.findings)


def test_another_position_is_named_where_the_patient_lies_on_the_nearest_skin(case: Case) -> None:
    low = Sphere((-40.0, 45.0, 0.0), 8.0)
    near_the_back = case_of(
        solids={**SOLIDS, "liver": (Sphere((-40.0, 20.0, 0.0), 45.0), 100.0), "lesion": (low, 60.0)}
    )
    made = nv.plan(near_the_back, protocol_of(), "lesion", device=DEVICE)
    assert any("consider another position" in words for words in made.notes)
    assert not any("another position" in words for words in nv.plan(case, protocol_of(), "lesion", device=DEVICE).notes)
