"""Where the entry is: slice numbers, midline and marker, in every orientation of grid and patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.geometry.table_angles import table_frame
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.reports.entry_position import entry_position, head_axis, slice_position


def grid_of(signs=(1, 1, 1), half=(150.0, 110.0, 40.0), spacing=(2.0, 2.0, 2.5)) -> Grid:
    affine = np.diag([*np.multiply(signs, spacing), 1.0])
    affine[:3, 3] = -np.multiply(signs, half)
    return Grid(affine, tuple(int(n) for n in np.ceil(2 * np.divide(half, spacing)) + 1))


def painted(grid: Grid, name: str, inside) -> Structure:
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    occupancy = np.where(inside(points), 255, 0).astype(np.uint8)
    return Structure(name, Presence.PRESENT, occupancy, grid, False, grid, "ct")


def trunk(points, middle_mm=20.0):
    """An oval of 200 x 140 mm whose middle lies 20 mm to the patient's left."""
    x, y = points[..., 0] - middle_mm, points[..., 1]
    return (x / 100) ** 2 + (y / 70) ** 2 <= 1


def image(grid: Grid, **facts) -> Volume:
    return Volume(np.zeros(grid.shape, dtype=np.int16), grid, acquisition=Acquisition(**facts))


def at(grid, entry, position="HFS", *more, volume=None):
    structures = {s.name: s for s in (painted(grid, "body", trunk), *more)}
    aim = np.array([20.0, 0.0, 10.0])
    return entry_position(volume or image(grid), structures, np.asarray(entry), aim, table_frame(position))


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_slices_are_counted_from_the_feet_whatever_the_order_in_memory(signs):
    grid = grid_of(signs)
    axis, axial = head_axis(grid)
    found = slice_position(grid, np.array([0.0, 0.0, 10.4]), axis)
    assert axial and (found.number, found.count) == (21, 33)
    assert found.z_mm == pytest.approx(10.0)
    assert found.number_from_head == 13


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1)])
@pytest.mark.parametrize(
    ("position", "entry", "side", "length", "below"),
    [
        ("HFS", (60.0, -64.0, 0.0), "left", 40.0, 6.0), ("HFS", (-30.0, -60.0, 0.0), "right", 50.0, 10.0),
        ("HFP", (60.0, 64.0, 0.0), "left", 40.0, 6.0), ("FFP", (-30.0, 60.0, 0.0), "right", 50.0, 10.0),
        ("HFDL", (-79.0, -10.0, 0.0), "front", 10.0, 1.0), ("HFDR", (119.0, 12.0, 0.0), "back", 12.0, 1.0),
    ],
)  # fmt: skip
def test_distance_from_the_middle_of_the_outline(signs, position, entry, side, length, below):
    found = at(grid_of(signs), entry, position)
    assert found.from_middle.side == side
    assert found.from_middle.length_mm == pytest.approx(length, abs=1.5)
    assert found.below_top_mm == pytest.approx(below, abs=2.0)
    assert not found.cautions


def test_an_arm_apart_from_the_trunk_does_not_move_the_midline():
    grid = grid_of()
    arm = painted(grid, "body", lambda p: trunk(p) | ((np.abs(p[..., 0] + 135) < 10) & (np.abs(p[..., 1]) < 10)))
    plain, with_arm = at(grid, (60.0, -64.0, 0.0)), at(grid, (60.0, -64.0, 0.0), "HFS", arm)
    assert with_arm.from_middle == plain.from_middle


def test_the_side_of_the_body_is_steep_and_says_so():
    assert at(grid_of(), (118.0, 0.0, 0.0)).height_matters
    assert not at(grid_of(), (25.0, -69.0, 0.0)).height_matters


def test_an_outline_that_the_field_of_view_cuts_is_no_midline():
    narrow = grid_of(half=(110.0, 110.0, 40.0))
    assert any("field of view cuts" in words for words in at(narrow, (60.0, -64.0, 0.0)).cautions)
    grid = grid_of()
    voxels = np.where(np.abs(grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0]) > 118, -2000, 0)
    padded = Volume(voxels.astype(np.int16), grid, acquisition=Acquisition(padding_hu=-2000.0))
    assert any("field of view cuts" in words for words in at(grid, (60.0, -64.0, 0.0), volume=padded).cautions)


def test_a_spine_off_the_middle_is_told():
    grid = grid_of()
    spine = painted(grid, "vertebrae_L1", lambda p: np.hypot(p[..., 0] + 5, p[..., 1] - 40) < 12)
    assert any("spine" in words and "RIGHT" in words for words in at(grid, (60.0, -64.0, 0.0), "HFS", spine).cautions)


def test_from_a_skin_marker():
    grid = grid_of()
    marker = painted(grid, "skin_marker", lambda p: np.linalg.norm(p - (30.0, -70.0, -20.0), axis=-1) < 4)
    found = at(grid, (60.0, -64.0, 0.0), "HFS", marker).markers[0]
    assert found.across.side == "left" and found.across.length_mm == pytest.approx(30, abs=0.5)
    assert found.along_mm == pytest.approx(20, abs=0.5)


def test_without_an_outline_it_says_so():
    grid = grid_of()
    found = entry_position(image(grid), {}, np.array([60.0, -64, 0]), np.zeros(3), table_frame("HFS"))
    assert found.from_middle is None and "No body outline" in found.cautions[0]
    body = replace(painted(grid, "body", lambda p: p[..., 2] < -30.0))
    found = entry_position(image(grid), {"body": body}, np.array([60.0, -64, 0]), np.zeros(3), table_frame("HFS"))
    assert found.from_middle is None and "holds no body outline" in found.cautions[0]
