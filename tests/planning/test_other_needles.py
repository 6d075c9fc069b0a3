"""A needle beside others: shafts that would touch, hubs without room, and one target on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from navplan.model.device import Device
from navplan.model.safety import FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.other_needles import AT_TARGET_MM, HAND_ROOM_MM, OtherNeedle, crowding, too_close

FINE = Device("fine", "20 G", 20, 0.91, 150.0, 0.0)
CUTTING = Device("cutting", "18 G", 18, 1.47, 150.0, 22.0)
Point = tuple[float, float, float]


def way(entry: Point, target: Point, device: Device = FINE) -> Trajectory:
    depth = float(np.linalg.norm(np.subtract(target, entry)))
    return Trajectory(entry, target, device, min(device.throw_mm / 2, depth - 1.0))


def other(entry: Point, target: Point, device: Device = FINE, aims_at: str = "") -> OtherNeedle:
    return OtherNeedle(way(entry, target, device), "the needle of plan one", aims_at)


DOWN = other((0.0, 0.0, 0.0), (0.0, 0.0, -80.0))


def test_without_other_needles_there_is_nothing_to_say() -> None:
    assert crowding(way((0, 0, 0), (0, 0, -50)), ()) is None
    assert not too_close(np.zeros((3, 3)), np.array([0.0, 0.0, -50.0]), FINE, ()).any()
    assert too_close(np.zeros((0, 3)), np.array([0.0, 0.0, -50.0]), FINE, (DOWN,)).shape == (0,)


def test_shafts_that_cross_in_the_body_fail_and_the_place_is_told() -> None:
    found = crowding(way((40.0, 0.0, 0.0), (-40.0, 0.0, -80.0)), (DOWN,))
    assert found is not None and found.verdict is Verdict.FAIL and found.kind is FindingKind.DEVICE
    assert "the needle of plan one" in found.words and "57 mm deep" in found.words and found.remedy
    np.testing.assert_allclose(found.nearest_mm, (0.0, 0.0, -40.0), atol=1e-6)


def test_one_radius_sum_decides() -> None:
    for gap, verdict in ((0.02, Verdict.PASS), (-0.02, Verdict.FAIL)):
        beside = FINE.diameter_mm + gap
        found = crowding(way((60.0, beside, 0.0), (-20.0, beside, -60.0)), (DOWN,))
        assert found is not None and found.verdict is verdict, found


def test_shafts_that_cross_outside_the_skin_fail() -> None:
    """Two ways that spread in the body meet above it."""
    found = crowding(way((10.0, 0.0, 0.0), (60.0, 0.0, -100.0)), (DOWN,))
    assert found is not None and found.verdict is Verdict.FAIL and "mm outside the skin" in found.words


def test_a_needle_meets_another_on_its_way_in_though_not_in_place() -> None:
    """In place this needle's hub is at the skin; before that it stood outside, where the other one's shaft is."""
    short = Device("short", "short", 20, 0.91, 82.0)
    long = Device("long", "long", 20, 0.91, 250.0)
    leaning = other((0.0, -40.0, 0.0), (0.0, -120.0, -80.0), long)  # it stands over the new entry, 40 mm above the skin
    found = crowding(way((0.0, 0.0, 0.0), (0.0, 0.0, -80.0), short), (leaning,))
    assert found is not None and found.verdict is Verdict.FAIL and "40 mm outside the skin" in found.words


def test_the_throw_counts() -> None:
    aim, entry = (0.0, 0.0, -45.0), (0.0, 0.0, 0.0)
    across = other((-80.0, 0.0, -50.0), (40.0, 0.0, -50.0))
    fine, cutting = (crowding(way(entry, aim, device), (across,)) for device in (FINE, CUTTING))
    assert fine is not None and fine.verdict is not Verdict.FAIL
    assert cutting is not None and cutting.verdict is Verdict.FAIL


@pytest.mark.parametrize(("apart", "verdict"), [(HAND_ROOM_MM - 1, Verdict.WARN), (HAND_ROOM_MM + 1, Verdict.PASS)])
def test_hubs_need_room_for_a_hand(apart: float, verdict: Verdict) -> None:
    found = crowding(way((apart, 0.0, 0.0), (apart, 0.0, -80.0)), (DOWN,))
    assert found is not None and found.verdict is verdict
    assert ("hand" in found.words) == (verdict is Verdict.WARN)
    assert not too_close(np.array([[apart, 0.0, 0.0]]), np.array([apart, 0.0, -80.0]), FINE, (DOWN,)).any()


def test_one_target_point_is_a_fault_unless_both_are_told_to_share_it() -> None:
    aim = (0.0, 0.0, -80.0)
    one, new = other((0.0, 0.0, 0.0), aim, aims_at="lesion"), way((60.0, 0.0, 0.0), aim)
    for told in ("", "another_lesion"):
        assert crowding(new, (one,), told).verdict is Verdict.FAIL
    shared = crowding(new, (one,), "lesion")
    assert shared is not None and shared.verdict is Verdict.WARN and "lesion, which both aim at" in shared.words
    entries, target = np.array([[60.0, 0.0, 0.0]]), np.asarray(aim)
    assert too_close(entries, target, FINE, (one,)).all() and not too_close(entries, target, FINE, (one,), "lesion")


def test_needles_to_one_target_that_run_together_before_it_fail() -> None:
    aim = (0.0, 0.0, -80.0)
    one = other((0.0, 0.0, 0.0), aim, aims_at="lesion")
    met_mm = 2 * AT_TARGET_MM  # before the target the axes come nearer than the diameter here
    beside = 80.0 * FINE.diameter_mm / met_mm
    found = crowding(way((beside, 0.0, 0.0), aim), (one,), "lesion")
    assert found is not None and found.verdict is Verdict.FAIL


def test_only_where_both_are_at_the_target_they_may_meet() -> None:
    """The new tip meets the other shaft, whose own target lies 40 mm deeper in the same lesion."""
    deep = other((0.0, 0.0, 0.0), (0.0, 0.0, -120.0), aims_at="lesion")
    found = crowding(way((60.0, 0.0, 0.0), (0.0, 0.0, -80.0)), (deep,), "lesion")
    assert found is not None and found.verdict is Verdict.FAIL


def test_a_place_that_a_registration_tells_is_no_pass_within_its_error() -> None:
    leaning = way((60.0, 0.0, 0.0), (4.0, 0.0, -80.0))
    for error_mm, verdict in ((0.0, Verdict.PASS), (2.0, Verdict.PASS), (5.0, Verdict.WARN)):
        found = crowding(leaning, (replace(DOWN, place_error_mm=error_mm),))
        assert found is not None and found.verdict is verdict
    assert "known to 5.0 mm" in found.words


def test_the_worst_of_several_is_told() -> None:
    far = OtherNeedle(way((0.0, 90.0, 0.0), (0.0, 90.0, -60.0)), "far")
    crossed = OtherNeedle(way((0.0, 0.0, 0.0), (0.0, 0.0, -80.0)), "crossed")
    found = crowding(way((40.0, 0.0, 0.0), (-40.0, 0.0, -80.0)), (far, crossed))
    assert found is not None and found.verdict is Verdict.FAIL and "crossed" in found.words


coordinate = st.floats(-60.0, 60.0)
entry_point = st.tuples(coordinate, coordinate, st.floats(-3.0, 3.0))
target_point = st.tuples(coordinate, coordinate, st.floats(-110.0, -20.0))


@settings(max_examples=100, deadline=None)
@given(entry_point, target_point, entry_point, target_point, st.sampled_from([FINE, CUTTING]), st.booleans())
def test_the_search_and_the_judgement_agree_with_brute_force(entry, target, start, end, device, shared) -> None:
    one = other(start, end, CUTTING, aims_at="lesion")
    new = way(entry, target, device)
    met = bool(too_close(np.asarray([entry]), np.asarray(target), device, (one,), "lesion" if shared else "")[0])
    found = crowding(new, (one,), "lesion" if shared else "")
    assert found is not None and met == (found.verdict is Verdict.FAIL)
    depths = np.linspace(-device.length_mm, new.swept_depth_mm, 400)
    theirs = np.linspace(one.trajectory.tip_depth_mm - CUTTING.length_mm, one.trajectory.swept_depth_mm, 400)
    points = np.stack([new.point_at_mm(depth) for depth in depths])
    others = np.stack([one.trajectory.point_at_mm(depth) for depth in theirs])
    apart = np.linalg.norm(points[:, None] - others[None], axis=-1)
    if shared:
        at_target = depths > new.depth_mm - AT_TARGET_MM
        apart[np.ix_(at_target, theirs > one.trajectory.depth_mm - AT_TARGET_MM)] = np.inf
    gap = apart.min() - device.radius_mm - CUTTING.radius_mm
    assume(abs(gap) > 0.3)  # as fine as the sampling
    assert met == (gap < 0)


@settings(max_examples=60, deadline=None)
@given(entry_point, target_point, entry_point, target_point)
def test_a_rigid_motion_changes_nothing(entry, target, start, end) -> None:
    turn = np.array([[0.0, -1.0, 0.0], [0.6, 0.0, -0.8], [0.8, 0.0, 0.6]])

    def moved(point: Point) -> Point:
        return tuple(turn @ np.asarray(point) + (5.0, -7.0, 11.0))

    here = crowding(way(entry, target), (other(start, end),))
    there = crowding(way(moved(entry), moved(target)), (other(moved(start), moved(end)),))
    assert here is not None and there is not None and here.distance is not None and there.distance is not None
    assume(here.verdict is there.verdict)  # they part only where a gap is its limit, to the last bit
    assert abs(here.distance.low_mm - there.distance.low_mm) < 1e-6
