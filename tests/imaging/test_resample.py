"""Tilted stacks made orthogonal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.grid import Grid
from navplan.imaging.resample import straighten_stack


def sheared(tilt_deg: tuple[float, float], turned_deg=(0.0, 0.0, 0.0), spacing=(0.8, 0.9, 3.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)
    affine[:2, 2] = np.tan(np.radians(tilt_deg)) * spacing[2]
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return affine


@settings(max_examples=25, deadline=None)
@given(tilt=st.tuples(st.floats(-30, 30), st.floats(-30, 30)), turned=st.tuples(*[st.floats(-90, 90)] * 3))
def test_a_linear_field_keeps_its_value_at_every_place(tilt, turned):
    affine = sheared(tilt, turned)
    shape = (9, 10, 7)
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    slope = np.array([1.0, -2.0, 0.5])
    voxels, straight = straighten_stack((points @ slope).astype(np.float64), affine, -9999.0)
    grid = Grid(straight, voxels.shape)  # orthogonal, or this raises
    here = grid.points_mm(np.moveaxis(np.indices(voxels.shape), 0, -1)) @ slope
    held = voxels != -9999.0
    assert np.abs(voxels - here)[held].max() < 1e-6
    assert held.sum() >= 7 * (9 - 1) * (10 - 1)  # at most one row and one column of each slice are lost


def test_a_stack_without_tilt_is_left_as_it_is():
    voxels = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    found, affine = straighten_stack(voxels, sheared((0, 0)), -2048)
    assert np.array_equal(found, voxels) and np.allclose(affine, sheared((0, 0))) and found.dtype == np.int16


def test_a_point_stays_where_it_was_measured():
    affine = sheared((0, 20))
    voxels = np.zeros((11, 41, 9), dtype=np.int16)
    voxels[5, 20, 8] = 1000
    found, straight = straighten_stack(voxels, affine, 0)
    weights = found.astype(float)
    centre = np.array([np.average(axis, weights=weights) for axis in np.indices(found.shape)])
    true = affine[:3, :3] @ (5, 20, 8) + affine[:3, 3]
    assert np.allclose(Grid(straight, found.shape).points_mm(centre), true, atol=0.02)


def test_padding_does_not_bleed_into_tissue():
    voxels = np.full((6, 12, 5), 40, dtype=np.int16)
    voxels[:, :3] = -2000
    found, _ = straighten_stack(voxels, sheared((0, 11)), -2000, padding=-2000)
    assert set(np.unique(found)) == {-2000, 40}


def test_what_cannot_be_straightened_is_refused():
    flat = np.eye(4)
    flat[:3, 2] = (1, 1, 0)
    with pytest.raises(GeometryError, match="one plane"):
        straighten_stack(np.zeros((3, 3, 3)), flat, 0)
    skewed = np.eye(4)
    skewed[:3, 1] = (0.5, 1, 0)
    with pytest.raises(GeometryError, match="right angles"):
        straighten_stack(np.zeros((3, 3, 3)), skewed, 0)
