"""Grids: voxel centres, any orientation, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.grid import Grid


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    turn = Rotation.from_euler("xyz", [draw(st.floats(-3.1, 3.1)) for _ in range(3)]).as_matrix()
    signs = np.diag([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    spacing = np.array([draw(st.floats(0.3, 6.0)) for _ in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = turn @ signs * spacing
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return Grid(affine, tuple(draw(st.integers(1, 40)) for _ in range(3)))


@given(grids(), st.integers(0, 10**6))
def test_indices_and_points_are_inverse(grid: Grid, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-300, 300, (20, 3))
    np.testing.assert_allclose(grid.points_mm(grid.indices(points)), points, atol=1e-6)


@given(grids())
def test_the_first_voxel_is_its_centre_and_corners_are_half_a_voxel_out(grid: Grid) -> None:
    np.testing.assert_allclose(grid.points_mm((0, 0, 0)), grid.origin_mm)
    middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    half = np.asarray(grid.shape) * grid.spacing_mm / 2
    np.testing.assert_allclose(np.linalg.norm(grid.corners_mm() - middle, axis=1), np.linalg.norm(half), rtol=1e-9)


@given(grids())
def test_contains_counts_whole_voxels(grid: Grid) -> None:
    assert grid.contains(grid.points_mm((-0.49, 0, 0)))
    assert not grid.contains(grid.points_mm((-0.51, 0, 0)))
    assert not grid.contains(grid.points_mm((0, 0, 0)), margin_mm=0.6 * grid.spacing_mm[0])
    last = np.asarray(grid.shape) - 1
    assert grid.contains(grid.points_mm(last + 0.49)) and not grid.contains(grid.points_mm(last + 0.51))


@given(grids(), st.integers(-3, 3), st.integers(1, 5))
def test_a_crop_keeps_its_voxels_in_place(grid: Grid, start: int, size: int) -> None:
    part = grid.crop((start, 0, 0), (size, 1, 1))
    np.testing.assert_allclose(part.points_mm((1, 0, 0)), grid.points_mm((start + 1, 0, 0)), atol=1e-9)


def test_what_is_no_grid() -> None:
    sheared = np.eye(4)
    sheared[0, 2] = 0.3
    for affine, shape in (
        (np.zeros((4, 4)), (2, 2, 2)),
        (np.diag([1, 1, np.nan, 1]), (2, 2, 2)),
        (sheared, (2, 2, 2)),
        (np.eye(4), (2, 0, 2)),
        (np.eye(3), (2, 2, 2)),
    ):
        with pytest.raises(GeometryError):
            Grid(affine, shape)


def test_same_place_in_another_frame_is_not_the_same_grid() -> None:
    assert Grid(np.eye(4), (2, 2, 2), "1.2").same_as(Grid(np.eye(4), (2, 2, 2), "1.2"))
    assert not Grid(np.eye(4), (2, 2, 2), "1.2").same_as(Grid(np.eye(4), (2, 2, 2), "1.3"))
    assert not Grid(np.eye(4), (2, 2, 2)).same_as(Grid(np.eye(4), (2, 2, 3)))


def test_a_grid_does_not_share_its_affine() -> None:
    affine = np.eye(4)
    grid = Grid(affine, (2, 2, 2))
    affine[0, 3] = 99
    assert grid.origin_mm[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 5
