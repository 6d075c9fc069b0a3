"""Electronic shutters show what the CT holds whole, and no more."""

from dataclasses import replace

import numpy as np
import pytest

from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.image import Machine, View
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.fluoroscopy.shutter import BLADE_GREY, GLOW_GREY, Shutters, _largest_rectangle, _without_air, round_field
from navplan.geometry.carm import Detector, parse_view

MACHINE = Machine(detector=Detector(192, 192, 1.6))


def largest_by_trying_all(missed):
    rows, cols = missed.shape
    middle, centre = rows // 2, cols // 2
    return max(
        (bottom - top) * (right - left)
        for top in range(middle + 1) for bottom in range(middle + 1, rows + 1)
        for left in range(centre + 1) for right in range(centre + 1, cols + 1)
        if not missed[top:bottom, left:right].any()
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_the_rectangle_is_the_largest_about_the_middle_without_a_missed_ray(seed):
    rng = np.random.default_rng(seed)
    missed = rng.random((9 + seed % 3, 12 - seed % 4)) < rng.uniform(0.02, 0.3)
    missed[missed.shape[0] // 2, missed.shape[1] // 2] = False
    top, bottom, left, right = _largest_rectangle(missed)
    assert top <= missed.shape[0] // 2 < bottom and left <= missed.shape[1] // 2 < right
    assert not missed[top:bottom, left:right].any()
    assert (bottom - top) * (right - left) == largest_by_trying_all(missed)


def test_shutters_stay_open_where_nothing_is_missed_and_where_the_middle_is():
    missed = np.zeros((8, 10), dtype=bool)
    assert _largest_rectangle(missed) == (0, 8, 0, 10)
    missed[4, 5] = True
    assert _largest_rectangle(missed) == (0, 8, 0, 10)


def test_air_at_the_sides_goes_but_for_a_rim_and_never_all():
    air = np.ones((50, 50), dtype=bool)
    assert _without_air(air, (0, 50, 0, 50)) == (0, 50, 0, 50)
    air[20:30, 5:45] = False
    assert _without_air(air, (0, 50, 0, 50)) == (18, 32, 3, 47)
    assert _without_air(air, (22, 40, 0, 50)) == (22, 32, 3, 47)  # never beyond what was open


def test_nothing_that_the_ct_leaves_out_is_shown(body):
    anatomy = Anatomy(body)
    above = np.asarray(body.grid.points_mm((np.asarray(body.grid.shape) - 1) / 2)) + np.array([0.0, 0.0, 30.0])
    for words in ("AP", "lateral", "LAO 35 CRA 20"):
        view = View(anatomy, parse_view(words), above, MACHINE)
        covered = anatomy.covered(view.beam, view.detector)
        assert (view.shown & ~covered).sum() <= 0.02 * view.shown.sum()  # as fine as the shutters are set
        assert view.shown.sum() > 0.3 * view.shown.size
        pixels, field = view.pixels(), round_field(view.detector)
        assert not pixels[~field].any() and (pixels[field & ~view.shown] <= BLADE_GREY + GLOW_GREY).all()
        open_view = View(anatomy, parse_view(words), above, replace(MACHINE, shutters=False))
        assert open_view.shown.all()


def test_what_a_shutter_hides_is_not_in_the_picture(body):
    middle = np.asarray(body.grid.points_mm((np.asarray(body.grid.shape) - 1) / 2))
    shot = take_shots(subject_of(body, middle), ("AP",), MACHINE)[0]
    corner = shot.image.shown[0, 0], shot.image.shown[-1, -1]
    assert not any(corner) and shot.image.shown[96, 96]
    assert shot.image.attenuation[0, 0] >= 0.0  # hidden, not unknown


def test_a_shutters_edge_is_soft_and_the_middle_is_untouched():
    pixels = np.full((400, 400), 200, np.uint8)
    shutters = Shutters(Detector(400, 400, 1.0), (100, 400, 0, 400), np.zeros((400, 400), np.float32))
    shutters.close(pixels)
    column = pixels[:, 200].astype(int)
    assert (column[:100] == BLADE_GREY).all() and (column[111:] == 200).all()
    assert (np.diff(column[99:111]) > 0).all()


def test_where_most_is_missed_the_shutters_stay_open(body):
    narrow = type(body)(body.voxels[:, :, 50:58], body.grid.crop((0, 0, 50), (*body.grid.shape[:2], 8)))
    at = narrow.grid.points_mm((np.asarray(narrow.grid.shape) - 1) / 2)
    shot = take_shots(subject_of(narrow, at), ("AP",), MACHINE)[0]
    assert (shot.image.shown == round_field(MACHINE.detector)).mean() > 0.9


def test_the_round_field_cuts_the_corners_and_no_side():
    field = round_field(Detector(101, 101, 1.0))
    assert field[50].all() and field[:, 50].all() and not field[0, 0]
    assert (field == field[::-1]).all() and (field == field.T).all()
