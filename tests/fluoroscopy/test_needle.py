"""The needle is drawn with its true diameter in the right place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.fluoroscopy.needle import rod_chords_mm, rod_in_beam
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan_phantoms.primitives import Cylinder

STEEL_PER_MM = 1.0  # about that at 60 keV


def needle_line_integrals(beam, detector, hub_mm, tip_mm, diameter_mm):
    """(rows, cols) -log of the mean that steel lets through, one energy, nothing else in the way."""
    image = np.zeros((detector.rows, detector.cols))
    rod = rod_in_beam(beam, detector, hub_mm, tip_mm, diameter_mm)
    image.ravel()[rod.pixels] = -np.log(np.exp(-STEEL_PER_MM * rod.chords_mm).mean(axis=1))
    return image


points = st.tuples(*[st.floats(-40, 40)] * 3)


@settings(max_examples=60, deadline=None)
@given(points, points, st.floats(0.2, 6.0), points)
def test_chords_of_a_rod_are_those_of_a_cylinder(start, end, radius, aim):
    start, end, source = np.asarray(start), np.asarray(end), np.array([3.0, -400.0, 11.0])
    if np.linalg.norm(end - start) < 1.0:
        end = start + np.array([0.0, 0.0, 10.0])
    rod = Cylinder(start, end, radius)
    ends = np.array([aim, (start + end) / 2, end, start + 0.3 * (end - start)])
    directions = (ends - source) / np.linalg.norm(ends - source, axis=1)[:, None]
    chords = rod_chords_mm(source, directions, start, end, radius)
    truth = [rod.chord_mm(source, source + 900 * direction) for direction in directions]
    assert np.allclose(chords, truth, atol=1e-5)


def test_rays_along_and_square_to_the_rod():
    along, across = [(0, 1.0, 0)], [(1.0, 0, 0)]
    assert rod_chords_mm((0, -100, 0), along, (0, 0, 0), (0, 30, 0), 1.0) == 30.0
    assert rod_chords_mm((2, -100, 0), along, (0, 0, 0), (0, 30, 0), 1.0) == 0.0
    assert np.isclose(rod_chords_mm((-100, 10, 0.6), across, (0, 0, 0), (0, 30, 0), 1.0)[0], 1.6)
    assert rod_chords_mm((-100, 31, 0), across, (0, 0, 0), (0, 30, 0), 1.0) == 0.0
    assert rod_chords_mm((100, 10, 0), across, (0, 0, 0), (0, 30, 0), 1.0) == 0.0  # behind


def test_a_needle_across_the_beam_is_as_wide_and_dark_as_its_diameter_says():
    detector = Detector(401, 401, 0.1)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm())
    image = needle_line_integrals(beam, detector, (-60, 0, 0), (5, 0, 0), 2.0)
    column = image[:, 200]
    assert np.isclose(column.max(), STEEL_PER_MM * 2.0, rtol=0.02)
    width_mm = (column > 0).sum() * 0.1 * 800 / 1200
    assert abs(width_mm - 2.0) < 0.2
    row = image[200]
    tip_mm = (np.flatnonzero(row > 0).max() - 200) * 0.1 * 800 / 1200
    assert abs(tip_mm - 5.0) < 0.1


def test_a_pixel_wider_than_the_needle_sees_the_mean_intensity():
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm())
    coarse = needle_line_integrals(beam, Detector(9, 9, 6.0), (-60, 0, 0), (60, 0, 0), 0.7)
    fine = needle_line_integrals(beam, Detector(900, 900, 0.06), (-60, 0, 0), (60, 0, 0), 0.7)
    assert np.isclose(np.exp(-coarse[4, 4]), np.exp(-fine[400:500, 400:500]).mean(), atol=0.02)
    assert coarse[4, 4] > 0.05


def test_in_the_bullseye_view_the_needle_is_a_dark_dot():
    detector = Detector(101, 101, 0.6)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm())
    image = needle_line_integrals(beam, detector, (0, -120, 0), (0, 0, 0), 1.27)
    rows, columns = np.nonzero(image > 0.05)
    assert image[50, 50] > 20 and image.argmax() == 50 * 101 + 50
    assert max(np.ptp(rows), np.ptp(columns)) <= 6


def test_a_needle_outside_the_picture_or_behind_the_source_leaves_no_trace():
    beam, detector = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm()), Detector(64, 64, 1.0)
    assert needle_line_integrals(beam, detector, (500, 0, 0), (400, 0, 0), 1.0).max() == 0.0
    assert needle_line_integrals(beam, detector, (0, 900, 0), (0, 790, 0), 1.0).max() == 0.0
