"""How well a way suits the room: against the C-arm's own geometry, and by examples worked out by hand. And how far a
needle keeps from the lower edge of the rib above, where the bundle runs."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.extend import registry
from navplan.geometry.carm import POSITIONS_WITH_A_DIAL, ROUNDING_DEG, CArm, Kinematics, bullseye, dial_from_patient
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.planning.entry_search import trajectory_to
from navplan.planning.reach import reach_metrics
from navplan.planning.ways import RIB_FAR_MM, rib_above_mm
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Box, Capsule, Sphere
from tests.planning.scenes import case_of, grid_of, protocol_of

GRID = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (101, 101, 51))  # its middle lies at (100, 100, 50)
MIDDLE = np.array((100.0, 100.0, 50.0))
NARROW = CArm(primary_reach_deg=(-60.0, 90.0), secondary_reach_deg=(-20.0, 35.0))
MOBILE = CArm(primary_reach_deg=(-40.0, 80.0), secondary_reach_deg=(-30.0, 90.0), kinematics=Kinematics.MOBILE)


def beyond_deg(entry: np.ndarray, position: str, carm: CArm) -> float:
    """The same from the views themselves: by how many degrees the better of the two is out of reach."""
    found = []
    for entry_side in (True, False):
        dial = dial_from_patient(bullseye(MIDDLE - entry, entry_side), position, carm.kinematics)
        low, high = carm.primary_reach_deg
        caudal, cranial = carm.secondary_reach_deg
        excess = [low - dial.primary_deg, dial.primary_deg - high, caudal - dial.secondary_deg]
        found.append(max(0.0, *excess, dial.secondary_deg - cranial))
        assert (found[-1] <= ROUNDING_DEG) == carm.reaches(dial)
    return min(found)


def needle(length_mm: float, throw_mm: float = 0.0) -> Device:
    return Device("n", "needle", 18, 1.27, length_mm, throw_mm, source="test")


@pytest.mark.parametrize("position", POSITIONS_WITH_A_DIAL)
@pytest.mark.parametrize("carm", [CArm(), NARROW, MOBILE])
def test_the_view_along_the_needle_is_as_far_out_of_reach_as_the_c_arm_says(position: str, carm: CArm) -> None:
    outward = np.random.default_rng(len(position)).standard_normal((300, 3))
    outward = np.concatenate([outward, np.eye(3)[:2], -np.eye(3)[:2], [(1.0, 1.0, 0.0), (0.0, -1.0, 1.0)]])
    entries = MIDDLE + 80.0 * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    found = reach_metrics(entries, MIDDLE, needle(150.0), GRID, position, carm)["carm_beyond_deg"]
    np.testing.assert_allclose(found, [beyond_deg(entry, position, carm) for entry in entries], atol=ROUNDING_DEG)
    assert (found == 0).any() and (found > 0).any()


@pytest.mark.parametrize("position", POSITIONS_WITH_A_DIAL)
def test_a_needle_along_the_body_is_out_of_reach_by_its_tilt_alone(position: str) -> None:
    entries = MIDDLE + np.array([(0.0, 0.0, 80.0), (0.0, 0.0, -80.0)])
    found = reach_metrics(entries, MIDDLE, needle(150.0), GRID, position)["carm_beyond_deg"]
    np.testing.assert_allclose(found, 45.0, atol=1e-9)  # 90 degrees cranial or caudal, 45 are reached


def test_by_hand_where_the_hub_stands() -> None:
    """A 150 mm needle 90 mm deep from the right: 60 mm and 30 mm of hub outside, so the hub 180 mm from the target."""
    target = MIDDLE + np.array((5.0, 0.0, 0.0))
    entries = target + np.array([(-90.0, 0.0, 0.0), (0.0, -90.0, 0.0), (-54.0, -72.0, 0.0), (0.0, -72.0, 54.0)])
    found = reach_metrics(entries, target, needle(150.0), GRID, "HFS")
    hub = 180.0
    room = [hub - 5, np.hypot(5, hub), np.hypot(5 - hub * 0.6, hub * 0.8), np.hypot(5, hub * 0.8)]
    np.testing.assert_allclose(found["gantry_room_mm"], 350.0 - np.array(room))
    np.testing.assert_allclose(found["operator_reach_mm"], [215 - 175, 215 - 5, 215 - 103, 215 - 5])
    np.testing.assert_allclose(found["out_of_plane_mm"], [0.0, 0.0, 0.0, 54.0], atol=1e-12)


def test_by_hand_a_needle_all_in_and_a_hub_beyond_the_table() -> None:
    """As deep as it is long: the hub of 30 mm alone is outside. Far aside, the hub lies beyond the table's edge."""
    deep = reach_metrics(MIDDLE + np.array([(0.0, -200.0, 0.0)]), MIDDLE, needle(150.0), GRID, "HFS")
    assert deep["gantry_room_mm"][0] == pytest.approx(350.0 - 230.0)
    wide = reach_metrics(MIDDLE + np.array([(200.0, 0.0, 0.0)]), MIDDLE, needle(250.0), GRID, "HFP")
    assert wide["operator_reach_mm"][0] == 0.0 and wide["gantry_room_mm"][0] == pytest.approx(350.0 - 280.0)


@pytest.mark.parametrize("position", ["HFDR", "FFDL"])
def test_of_a_patient_on_the_side_the_table_is_as_wide_front_to_back(position: str) -> None:
    found = reach_metrics(MIDDLE + np.array([(0.0, -90.0, 0.0)]), MIDDLE, needle(150.0), GRID, position)
    assert found["operator_reach_mm"][0] == pytest.approx(215.0 - 180.0)


# The rib above

UPPER_MM, LOWER_MM, RIB_MM = 16.0, -16.0, 5.0
RIBS = {
    "body": (Box((0.0, 0.0, 0.0), (90.0, 70.0, 60.0)), -100.0),
    "lung_right": (Box((0.0, 10.0, 0.0), (70.0, 40.0, 55.0)), -800.0),
    "lesion": (Sphere((0.0, 0.0, 0.0), 15.0), 40.0),
    "rib_right_6": (Capsule((-60.0, -55.0, UPPER_MM), (60.0, -55.0, UPPER_MM), RIB_MM), 500.0),
    "rib_right_7": (Capsule((-60.0, -55.0, LOWER_MM), (60.0, -55.0, LOWER_MM), RIB_MM), 500.0),
}
NEEDLE = registry.device("liver-coaxial-18g-150")


def above_mm(case: Case, heights_mm: list[float]) -> np.ndarray:
    """Of needles straight in from the front, at each height through a lesion as large as that."""
    found = []
    for height in heights_mm:
        situation = situation_of(case, protocol_of(), target_of(dict(case.structures), (0.0, 0.0, height)))
        entry = np.array([[0.0, -70.0, height]])
        assert trajectory_to(entry[0], situation.target_mm, NEEDLE).direction[1] == pytest.approx(1.0)
        found.append(rib_above_mm(situation, NEEDLE, entry)[0])
    return np.array(found)


@pytest.mark.parametrize("hard", [False, True])
def test_over_the_lower_rib_is_far_from_the_bundle_and_under_the_upper_one_is_near(hard: bool) -> None:
    grid = grid_of((2.0, 2.0, 2.0))
    case = case_of(grid, hard=hard, solids=RIBS)
    over = LOWER_MM + RIB_MM + NEEDLE.radius_mm + 2.0  # 2 mm above the upper edge of the lower rib
    under = UPPER_MM - RIB_MM - NEEDLE.radius_mm - 2.0  # 2 mm below the lower edge of the upper rib
    far, near = above_mm(case, [over, under])
    slack = grid.diagonal_mm * (2.0 if hard else 1.0)  # a lower end: never more than the truth, and not much less
    for found, truth in ((far, UPPER_MM - over - RIB_MM), (near, 2.0 + NEEDLE.radius_mm)):
        clearance = truth - NEEDLE.radius_mm
        assert clearance - slack - 1e-6 <= found <= clearance + 1e-6
    assert far > near + 10.0


def test_the_rib_below_is_none_above_and_without_ribs_nothing_is_near() -> None:
    case = case_of(grid_of((2.5, 2.5, 2.5)), solids=RIBS)
    assert above_mm(case, [UPPER_MM + RIB_MM + 4.0])[0] == RIB_FAR_MM  # both ribs lie below
    bare = case_of(grid_of((2.5, 2.5, 2.5)), solids={k: v for k, v in RIBS.items() if not k.startswith("rib")})
    assert above_mm(bare, [0.0])[0] == RIB_FAR_MM
    situation = situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))
    assert rib_above_mm(situation, NEEDLE, np.zeros((0, 3))).shape == (0,)


def test_a_needle_through_the_upper_rib_keeps_nothing() -> None:
    assert above_mm(case_of(grid_of((2.5, 2.5, 2.5)), solids=RIBS), [UPPER_MM - 2.0])[0] <= 0.0


def test_a_needle_that_fires_stands_out_by_half_its_throw_more() -> None:
    entry = MIDDLE + np.array([(0.0, -90.0, 0.0)])
    still, fires = (reach_metrics(entry, MIDDLE, needle(150.0, throw), GRID, "HFS") for throw in (0.0, 22.0))
    assert still["gantry_room_mm"][0] - fires["gantry_room_mm"][0] == pytest.approx(11.0)


def test_of_a_patient_on_the_side_no_view_is_known_to_be_in_reach() -> None:
    found = reach_metrics(MIDDLE + np.array([(0.0, -90.0, 0.0)]), MIDDLE, needle(150.0), GRID, "HFDR")
    assert found["carm_beyond_deg"][0] >= 90.0
