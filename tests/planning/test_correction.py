"""The needle half way in: what is said of it, and that following the words brings it to the target."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.geometry.lines import unit
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.correction import MOST_TURN_DEG, correction, turn_words

CUTTING = Device("n18", "18 G cutting needle", 18, 1.27, 150.0, 20.0)
WAY = Trajectory((0.0, -80.0, 0.0), (0.0, 0.0, 0.0), CUTTING, tip_short_of_target_mm=10.0)
SKIN = np.array([0.0, -80.0, 0.0])


def at(depth_mm: float, direction: np.ndarray, skin: np.ndarray = SKIN):
    return correction(WAY, skin + depth_mm * direction, direction, skin)


def test_on_its_way_it_is_pushed_on_to_where_the_plan_has_the_tip():
    found = at(50.0, np.array([0.0, 1.0, 0.0]))
    assert found.words == "advance 20 mm" and found.off_mm == pytest.approx(0.0, abs=1e-9)
    assert found.short_mm == pytest.approx(20.0) and found.miss_mm == pytest.approx(0.0, abs=1e-9)


def test_too_deep_is_drawn_back():
    found = at(78.0, np.array([0.0, 1.0, 0.0]))
    assert found.words == "withdraw 8 mm"


@pytest.mark.parametrize("off", [(3.0, 0.0, 0.0), (0.0, 0.0, 4.0), (4.0, 0.0, -4.0), (0.0, 0.0, 12.0)])
@pytest.mark.parametrize("depth_mm", [20.0, 40.0, 60.0])
def test_following_the_words_brings_it_to_the_target(off: tuple[float, float, float], depth_mm: float):
    """off: deg of the needle to the left, to the front and to the head."""
    direction = unit(np.array([np.tan(np.radians(off[0])), 1.0, np.tan(np.radians(off[2]))]))
    found = at(depth_mm, direction)
    pivot = SKIN + (depth_mm - found.withdraw_mm) * direction
    np.testing.assert_allclose(pivot, found.from_mm, atol=1e-9)
    onward = unit(np.asarray(WAY.target_mm) - pivot)
    tip = pivot + found.advance_mm * (direction if found.turn_deg == 0.0 else onward)
    assert abs(np.linalg.norm(tip - np.asarray(WAY.target_mm)) - 10.0) < 0.3
    assert found.withdraw_mm <= depth_mm + 1e-9
    if found.withdraw_mm < depth_mm - 1e-9:
        assert found.turn_deg <= MOST_TURN_DEG
    line = np.linalg.norm(np.cross(np.asarray(WAY.target_mm) - SKIN, direction))
    assert found.miss_mm == pytest.approx(line)


def test_it_is_drawn_back_no_farther_than_it_must():
    direction = unit(np.array([0.0, 1.0, np.tan(np.radians(4.0))]))
    deep = at(60.0, direction)
    assert 0.0 < deep.withdraw_mm < 60.0
    before = np.asarray(WAY.target_mm) - (deep.from_mm + 0.5 * direction)
    assert np.degrees(np.arccos(unit(before) @ direction)) > MOST_TURN_DEG
    assert deep.words.startswith(f"withdraw {deep.withdraw_mm:.0f} mm, turn the tip 5 deg to the feet, then advance")


def test_words_of_a_turn():
    front_to_back = np.array([0.0, 1.0, 0.0])
    assert turn_words(front_to_back, unit([0.0, 1.0, 0.0875])) == "5 deg to the head"
    assert turn_words(front_to_back, unit([0.0875, 1.0, 0.0])) == "5 deg to the left"
    assert turn_words(front_to_back, unit([-0.07, 1.0, -0.07])) == "4 deg to the feet and 4 deg to the right"
    left_to_right = np.array([-1.0, 0.0, 0.0])
    assert turn_words(left_to_right, unit([-1.0, 0.1, 0.0])) == "6 deg to the back"
    assert turn_words(np.array([0.0, 0.0, 1.0]), unit([0.0, 0.1, 1.0])).endswith("deg to the feet")


def test_a_rigid_shift_changes_nothing():
    direction = unit(np.array([0.05, 1.0, 0.06]))
    one, shift = at(40.0, direction), np.array([100.0, -50.0, 7.0])
    moved = Trajectory(tuple(np.add(WAY.entry_mm, shift)), tuple(np.add(WAY.target_mm, shift)), CUTTING, 10.0)
    other = correction(moved, SKIN + 40.0 * direction + shift, direction, SKIN + shift)
    assert other.words == one.words and other.miss_mm == pytest.approx(one.miss_mm)
