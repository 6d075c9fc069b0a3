"""The skin that is painted with a map of entries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.view.colours import anatomy_colour, free_colour
from navplan.view.meshes import painted
from navplan.view.scene_meshes import skin_surface
from navplan.view.skin_paint import SkinPainter


@pytest.fixture(scope="module")
def skin(case):
    return painted(skin_surface(case.structures, case.volumes["ct"]), anatomy_colour("skin"))


def shut_but(skin_map, free: np.ndarray):
    """The same candidates, all ruled out but these."""
    reason = np.where(free, -1, 0).astype(np.int16)
    return replace(skin_map, reason=reason, desirability=np.where(free, 0.5, 0).astype(np.float32))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_painter_that_has_painted_paints_as_a_new_one_does(skin, plan, sparse):
    used, first = SkinPainter(skin, sparse), plan.skin_map
    used.tint(first), used.dots(first)
    for other in (
        shut_but(first, first.points_mm[:, 2] > 0),
        replace(first, points_mm=first.points_mm + np.array([0.0, 0.0, 4.0])),
        None,
        first,
    ):
        fresh = SkinPainter(skin, sparse)
        (tinted, strength), (wanted, wanted_strength) = used.tint(other), fresh.tint(other)
        assert np.array_equal(tinted.rgb, wanted.rgb) and np.array_equal(strength, wanted_strength)
        dots, wanted_dots = used.dots(other), fresh.dots(other)
        assert np.array_equal(dots.points_mm, wanted_dots.points_mm) and np.array_equal(dots.rgb, wanted_dots.rgb)


def test_the_one_free_entry_has_its_disc_however_many_are_shut(skin, plan):
    for place in range(0, len(plan.skin_map.points_mm), 97):
        free = np.arange(len(plan.skin_map.points_mm)) == place
        dots = SkinPainter(skin, sparse=True).dots(shut_but(plan.skin_map, free))
        green = np.abs(dots.rgb - free_colour(np.ones(1))).max(axis=1) < 1
        assert green.any()
        assert np.linalg.norm(dots.points_mm[green] - plan.skin_map.points_mm[place], axis=1).max() < 8


def test_without_a_map_the_skin_is_bare(skin):
    tinted, strength = SkinPainter(skin).tint(None)
    assert not strength.any() and np.array_equal(tinted.rgb[0], anatomy_colour("skin"))


def test_a_label_that_is_a_thin_layer_does_not_hide_the_skin(case):
    lesion = case.structures["lung_mass_left"]
    whole = skin_surface(case.structures, case.volumes["ct"])
    thin = skin_surface({"skin": replace(lesion, name="skin")}, case.volumes["ct"])
    assert len(thin.triangles) == len(whole.triangles) > 1000
