"""Slices: radiological convention, planes of the needle, outlines, and what is unknown stays black."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.errors import InputError
from navplan.geometry.conventions import orientation_letters
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.near_structures import nearest_findings
from navplan.view.slices import (
    SlicePlane,
    axial_plane,
    coronal_plane,
    needle_planes,
    outlines,
    sagittal_plane,
    sample,
    slice_picture,
    windowed,
)
from navplan.view.windows import Window

DEVICE = Device("n", "needle", 18, 1.27, 150.0, 20.0)


def marked(index: tuple[int, int, int], axes=(1, 1, 1)) -> Volume:
    """Air with one bright voxel; axes: direction of each array axis in LPS."""
    affine = np.diag([*axes, 1.0]).astype(float)
    affine[:3, 3] = -affine[:3, :3] @ (20, 20, 20)
    voxels = np.full((41, 41, 41), -1000, dtype=np.int16)
    voxels[index] = 3000
    return Volume(voxels, Grid(affine, voxels.shape))


def brightest(picture) -> tuple[int, int]:
    row, column = np.unravel_index(int(picture[60:-60, 20:-20].max(axis=2).argmax()), picture[60:-60, 20:-20].shape[:2])
    return int(column) + 20, int(row) + 60


@pytest.mark.parametrize("axes", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_the_patient_stands_as_radiologists_look_at_him(axes):
    grid = marked((0, 0, 0), axes).grid
    left_front_head = tuple(int(i) for i in np.round(grid.indices((10.0, -8.0, 6.0))))
    volume = marked(left_front_head, axes)
    size, middle = (200, 200), 99.5

    def place(plane):
        picture = slice_picture(volume, plane, size=size, width_mm=40.0, window=Window.BONE)
        return np.subtract(brightest(picture), middle) * 0.2

    assert np.allclose(place(axial_plane((0, 0, 6))), (10, -8), atol=1.2)  # left at the right, front up
    assert np.allclose(place(coronal_plane((0, -8, 0))), (10, -6), atol=1.2)  # left at the right, head up
    assert np.allclose(place(sagittal_plane((10, 0, 0))), (-8, -6), atol=1.2)  # front at the left, head up


points = st.tuples(*[st.floats(-80, 80)] * 3)


@settings(max_examples=60, deadline=None)
@given(points, points)
def test_the_three_planes_of_any_needle(entry, target):
    if np.linalg.norm(np.subtract(entry, target)) < 30:
        return
    way = Trajectory(entry, target, DEVICE, tip_short_of_target_mm=10.0)
    near_axial, square, across = needle_planes(way)
    for plane in (near_axial, square):
        ends = plane.pixels([way.entry_mm, way.target_mm, way.swept_end_mm], (100, 100), 1.0)
        assert np.abs(ends[:, 2]).max() < 1e-6  # the needle lies in it
    assert abs(float(near_axial.into @ square.into)) < 1e-9
    assert np.allclose(across.into, way.direction)
    assert np.allclose(across.centre_mm, way.point_at_mm(way.tip_depth_mm))
    tilt = np.hypot(*way.direction[:2])
    assert abs(near_axial.into[2]) == pytest.approx(tilt, abs=1e-6)  # no plane that holds it is nearer to axial
    if tilt > 0.75:
        assert orientation_letters(near_axial.right)[0] == "L" and orientation_letters(near_axial.down)[0] == "P"


def test_unknown_is_black_and_never_invented():
    volume = marked((20, 20, 20))
    inside = sample(volume, np.zeros((1, 1, 3)))
    outside = sample(volume, np.full((1, 1, 3), 25.0))
    assert inside[0, 0] == 3000 and np.isnan(outside[0, 0])
    assert windowed(outside, Window.LUNG)[0, 0] == 0
    padded = Volume(
        np.full((5, 5, 5), -2048, dtype=np.int16), Grid(np.eye(4), (5, 5, 5)), acquisition=Acquisition(padding_hu=-2048)
    )
    assert np.isnan(sample(padded, np.full((1, 1, 3), 2.0))).all()


@pytest.mark.parametrize("window", list(Window))
def test_windows_map_level_to_grey(window):
    level, width = window.value
    values = np.array([[level - width, level, level + width]])
    assert windowed(values, window).tolist() == [[0, 128, 255]]


def test_outlines_run_along_the_structure(case):
    aorta = case.structures["aorta"]
    plane = axial_plane((4, 24, 0))
    size, scale = (200, 200), 0.25
    lines = outlines(aorta, plane.points_mm(size, scale))
    assert lines
    radius = np.linalg.norm(np.concatenate(lines) - 99.5, axis=1) * scale
    assert np.abs(radius - 10).max() < 2.0


def test_a_needle_in_the_plane_is_solid_and_out_of_it_dashed(case, plan):
    way, volume = plan.best.trajectory, case.volumes["ct"]
    near_axial, _, across = needle_planes(way)
    off = SlicePlane(tuple(np.asarray(near_axial.centre_mm) + 15 * near_axial.into), near_axial.right, near_axial.down)

    def white(plane):
        bare = slice_picture(volume, plane, width_mm=150.0)
        picture = slice_picture(volume, plane, width_mm=150.0, trajectory=way)
        return int(((picture != bare).any(axis=2) & (picture.min(axis=2) > 200)).sum())

    solid, dashed = white(near_axial), white(off)
    assert 0.2 * solid < dashed < 0.7 * solid
    assert 0 < white(across) < 0.2 * solid  # a dot


def test_the_clearance_ring_is_drawn_at_the_nearest_depth(case, plan):
    way, near = plan.best.trajectory, nearest_findings(plan.best.report)[0]
    plane = needle_planes(way, near.at_depth_mm)[2]
    arguments = {"width_mm": 80.0, "trajectory": way}
    bare = slice_picture(case.volumes["ct"], plane, **arguments)
    ringed = slice_picture(case.volumes["ct"], plane, findings=[near], **arguments)
    changed = np.argwhere((bare != ringed).any(axis=2))
    reach = np.linalg.norm(changed - (239.5, 319.5), axis=1) * 80.0 / 640
    ring = near.distance.low_mm + way.device.radius_mm
    assert (np.abs(reach - ring) < 0.6).sum() > 200


def test_refusals(case):
    with pytest.raises(InputError, match="perpendicular"):
        SlicePlane((0, 0, 0), (1, 0, 0), (1, 0, 0))
    with pytest.raises(InputError, match="16 x 16"):
        slice_picture(case.volumes["ct"], axial_plane((0, 0, 0)), size=(4, 4))
