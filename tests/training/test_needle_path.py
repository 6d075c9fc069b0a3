"""The way that a bevelled needle cuts, against the circle that it must be."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.training.needle_path import HELD_MM, NeedlePath, bend_per_mm

ALONG = np.array([0.6, 0.0, 0.8])


def pushed(path: NeedlePath, mm: float, bend: float) -> NeedlePath:
    for _ in range(round(mm / 0.5)):
        path = path.advanced(0.5, bend)
    return path


def same(one: NeedlePath, other: NeedlePath) -> None:
    np.testing.assert_allclose(one.points_mm, other.points_mm, atol=1e-9)
    np.testing.assert_allclose(one.direction, other.direction, atol=1e-9)
    np.testing.assert_allclose(one.bevel, other.bevel, atol=1e-9)


@pytest.mark.parametrize("aside_mm", [1.0, 4.0, 20.0])
def test_the_tip_runs_on_a_circle_towards_its_bevel(aside_mm):
    bend = bend_per_mm(aside_mm)
    start = NeedlePath.on_skin((1.0, 2.0, 3.0), ALONG)
    path = pushed(start, 100.0, bend)
    middle = start.tip_mm + start.bevel / bend
    np.testing.assert_allclose(np.linalg.norm(path.points_mm - middle, axis=1), 1.0 / bend, rtol=1e-12)
    aside = (path.tip_mm - start.tip_mm) @ start.bevel
    assert aside == pytest.approx((1.0 - np.cos(100.0 * bend)) / bend, rel=1e-9)
    assert aside == pytest.approx(aside_mm, rel=0.03)
    assert abs((path.tip_mm - start.tip_mm) @ np.cross(ALONG, start.bevel)) < 1e-9
    assert path.direction @ path.bevel == pytest.approx(0.0, abs=1e-12)


def test_half_a_turn_undoes_the_bend():
    bend, start = bend_per_mm(5.0), NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG)
    path = pushed(pushed(start, 40.0, bend).rotated(180.0), 40.0, bend)
    np.testing.assert_allclose(path.direction, ALONG, atol=1e-12)
    assert path.tip_mm @ start.bevel == pytest.approx(2.0 * (1.0 - np.cos(40.0 * bend)) / bend, rel=1e-9)


def test_turned_over_at_each_step_it_goes_nearly_straight():
    bend, path = bend_per_mm(5.0), NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG)
    for _ in range(20):
        path = pushed(path, 5.0, bend).rotated(180.0)
    assert np.linalg.norm(path.tip_mm - 100.0 * ALONG) < 0.06 * 5.0


def test_clockwise_seen_from_the_hub():
    path = NeedlePath.on_skin((0.0, 0.0, 0.0), (0.0, 0.0, 1.0))  # pointing to the head, seen from the feet
    quarter = path.rotated(90.0).bevel
    np.testing.assert_allclose(np.cross(path.bevel, quarter), [0.0, 0.0, 1.0], atol=1e-12)
    assert path.rotated(90.0).rotated(-90.0).turned_deg == 0.0


@pytest.mark.parametrize("mm", [0.25, 7.0, 12.3, 40.0, 55.0])
def test_what_is_pulled_back_is_where_it_was(mm):
    bend = bend_per_mm(8.0)
    deep = pushed(pushed(NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG), 40.0, bend).rotated(70.0), 20.0, bend)
    back = deep.withdrawn(mm)
    assert back.inserted_mm == pytest.approx(60.0 - mm, abs=0.01)
    np.testing.assert_allclose(back.points_mm[:-1], deep.points_mm[: len(back.points_mm) - 1])
    assert back.direction @ back.bevel == pytest.approx(0.0, abs=1e-9)


def test_pulled_back_and_pushed_again_it_takes_the_same_way():
    bend, start = bend_per_mm(8.0), NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG)
    deep = pushed(start, 60.0, bend)
    same(pushed(deep.withdrawn(20.0), 20.0, bend), deep)
    same(deep.withdrawn(100.0), start)


def test_levered_at_the_skin_it_turns_whole_and_deep_in_it_is_held():
    axis = (0.0, 1.0, 0.0)
    at_skin = NeedlePath.on_skin((0.0, 0.0, 0.0), (0.0, 0.0, 1.0)).levered(axis, 10.0)
    np.testing.assert_allclose(at_skin.direction, [np.sin(np.radians(10.0)), 0.0, np.cos(np.radians(10.0))])
    deep = pushed(NeedlePath.on_skin((0.0, 0.0, 0.0), (0.0, 0.0, 1.0)), 60.0, 0.0).levered(axis, 10.0)
    held = np.degrees(np.arccos(deep.direction[2]))
    assert held == pytest.approx(10.0 * np.exp(-60.0 / HELD_MM), rel=1e-6)
    assert deep.inserted_mm == pytest.approx(60.0)


def test_chords_lie_on_the_shaft_and_cover_it():
    path = pushed(NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG), 47.0, bend_per_mm(20.0))
    starts, ends = path.chords()
    np.testing.assert_array_equal(starts[1:], ends[:-1])
    np.testing.assert_array_equal(ends[-1], path.tip_mm)
    assert np.linalg.norm(ends - starts, axis=1).max() <= 10.5
    assert NeedlePath.on_skin((0.0, 0.0, 0.0), ALONG).chords()[0].shape == (0, 3)


@pytest.mark.parametrize("point, along", [((0, 0), (0, 0, 1)), ((0, 0, np.nan), (0, 0, 1)), ((0, 0, 0), (0, 0, 0))])
def test_what_is_no_needle_is_refused(point, along):
    with pytest.raises(InputError):
        NeedlePath.on_skin(point, along)
