"""The C-arm and the cursor as meshes."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.errors import GeometryError
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.view.live_marks import carm_meshes, cursor_mesh

ISOCENTRE = (12.0, -30.0, 5.0)


def beam_and_corners(angles: ViewAngles):
    detector = Detector()
    beam = Beam.of(angles, ISOCENTRE, CArm())
    last_column, last_row = detector.cols - 1, detector.rows - 1
    return beam, beam.pixels_mm([0, last_column, last_column, 0], [0, 0, last_row, last_row], detector)


@pytest.mark.parametrize("angles", [ViewAngles(0, 0), ViewAngles(-40, 25), ViewAngles(180, 0)])
def test_a_carm_reaches_from_source_to_detector_on_the_side_of_the_images_upper_edge(angles):
    beam, corners = beam_and_corners(angles)
    solid, clear = carm_meshes(beam.source_mm, corners, ISOCENTRE)
    ray = (beam.detector_centre_mm - beam.source_mm) / 1200.0
    along = (solid.points_mm - beam.source_mm) @ ray
    assert -60 < along.min() < 0 and 1190 < along.max() < 1230
    up = (solid.points_mm - beam.source_mm) @ beam.up
    assert up.max() > 590 and up.min() > -60
    assert np.linalg.norm(clear.points_mm - corners[2], axis=1).min() < 2


@pytest.mark.parametrize("turn", [1, -1], ids=["corners one way round", "and the other"])
def test_no_surface_is_inside_out(turn):
    beam, corners = beam_and_corners(ViewAngles(20, -10))
    for mesh in carm_meshes(beam.source_mm, corners[::turn], ISOCENTRE):
        a, b, c = (mesh.points_mm[mesh.triangles[:, corner]] for corner in range(3))
        facing = np.cross(b - a, c - a)
        real = np.linalg.norm(facing, axis=1) > 1e-6
        outward = mesh.normals[mesh.triangles].mean(axis=1)
        assert (np.einsum("ij,ij->i", facing, outward)[real] > 0).all()


def test_rays_are_thinner_than_the_needle_whatever_the_scale():
    beam, corners = beam_and_corners(ViewAngles(0, 0))
    for pixel_mm in (0.2, 2.0):
        solid, _ = carm_meshes(beam.source_mm, corners, ISOCENTRE, pixel_mm)
        offset = solid.points_mm - beam.source_mm
        ray = beam.detector_centre_mm - beam.source_mm
        across = np.linalg.norm(np.cross(offset, ray / np.linalg.norm(ray)), axis=1)
        assert 0.3 * pixel_mm < across[across > 1e-9].min() < 1.5 * pixel_mm


def test_a_cursor_has_six_arms_about_an_open_middle():
    mesh = cursor_mesh((1.0, 2.0, 3.0), 0.5)
    offset = mesh.points_mm - (1.0, 2.0, 3.0)
    assert np.linalg.norm(offset, axis=1).min() > 0.5
    assert np.allclose(offset.max(axis=0), -offset.min(axis=0)) and np.ptp(offset.max(axis=0)) < 1e-9


@pytest.mark.parametrize(
    "given",
    [
        ((0, 0), np.zeros((4, 3)), ISOCENTRE),
        ((0, 0, 0), np.zeros((4, 3)), ISOCENTRE),
        ((0, 0, np.nan), np.eye(4, 3), ISOCENTRE),
        ((0, 0, 0), [(0, 0, 0), (9, 0, 0), (9, 9, 0), (0, 9, 0)], ISOCENTRE),
    ],
    ids=["no point", "no area", "not finite", "source in the detector"],
)
def test_what_is_no_carm_is_refused(given):
    with pytest.raises(GeometryError):
        carm_meshes(*given)
