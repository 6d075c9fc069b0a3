"""A second image in a scene: its values at the planes' places, what was carried, and what the words say of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.model.registration import RegistrationCheck
from navplan.model.safety import Verdict
from navplan.view.camera import Camera
from navplan.view.colours import QUIET_TEXT
from navplan.view.fusion import STRIPES_SHARE
from navplan.view.meshes import PaintedMesh, joined
from navplan.view.render import render
from navplan.view.scene import render_scene
from navplan.view.scene_carried import DARK, band_shade, banded_surface, bands
from navplan.view.scene_fusion import Fused, carried_rows, fused_scene
from navplan.view.scene_glb import scene_glb
from navplan.view.scene_meshes import whole_surface
from navplan.view.scene_page import scene_page
from navplan.view.scene_planes import IN_FRONT
from tests.verbs.test_carry import CENTRE, a_case, bump, linear
from tests.view.test_fusion import case as case  # a fixture: a CT of 40 HU, a PET that grows linearly
from tests.view.test_fusion import suv_at, two_spots

AT = (3.0, -4.0, 5.0)


def test_each_corner_of_a_plane_has_the_blend_of_both_images(case) -> None:
    fused = fused_scene(case, "ct", Fused("pet", alpha=0.3, colours="grey", at_mm=AT))
    assert [one.plane.title for one in fused.planes.planes] == ["axial", "coronal", "sagittal"]
    for one, axis in zip(fused.planes.planes, (2, 1, 0), strict=True):  # z, y, x
        points, rgb = one.mesh.points_mm, one.mesh.rgb
        assert np.abs(points[:, axis] - AT[axis]).max() < 1e-6
        at = case.volumes["pet"].grid.indices(case.registration("ct", "pet").to_moving(points))
        inside = ((at >= 0) & (at <= 30)).all(axis=1)
        expected = 0.7 * 127.5 + 0.3 * 25.5 * suv_at(points[inside])
        assert 0.05 < inside.mean() < 0.9
        np.testing.assert_allclose(rgb[inside], np.clip(expected, 0, 255)[:, None].repeat(3, axis=1), atol=0.01)
        beside = rgb[((at < -0.5) | (at > 30.5)).any(axis=1)]
        striped = STRIPES_SHARE * np.array(QUIET_TEXT) + (1 - STRIPES_SHARE) * 127.5
        grey = np.abs(beside - 127.5).max(axis=1) < 0.01
        assert (grey | (np.abs(beside - striped).max(axis=1) < 0.01)).all() and 0.5 < grey.mean() < 1.0
    assert ("striped: no pet there") in [words for words, _ in fused.words]


def test_a_picture_shows_the_planes_values_without_light_and_from_both_sides(case) -> None:
    fused = Fused("pet", alpha=1.0, colours="grey", at_mm=(0.0, 0.0, 0.0))
    for side in (1.0, -1.0):
        camera = Camera((60.0, -90.0, 260.0 * side), (0.0, 0.0, 0.0), (0.0, -1.0, 0.0))
        view = render_scene(case, size=(400, 320), camera=camera, image_id="ct", fused=fused, oversampling=1.0)
        for place in ((20.0, -15.0, 0.0), (10.0, -24.0, 0.0)):
            x, y = camera.project([place], (400, 320))[0]
            expected = 25.5 * float(suv_at(np.array(place)))
            assert np.abs(view.picture[int(y), int(x)].astype(float) - expected).max() < 6


def quad(z: float, rgb: tuple[int, int, int], alpha: float, half: float = 40.0) -> PaintedMesh:
    corners = half * np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) + (0, 0, z)
    count = (4, 1)
    return PaintedMesh(
        corners, np.tile((0.0, 0.0, 1.0), count), np.array([(0, 1, 2), (0, 2, 3)]),
        np.tile(np.array(rgb, dtype=float), count), np.full(4, alpha),
    )  # fmt: skip


@pytest.mark.parametrize("half", [60.0, 500.0], ids=["plane", "plane that fills the picture"])
def test_every_translucent_layer_in_front_of_an_image_plane_is_drawn(half: float) -> None:
    """Without the strip (view.peel_strip) VTK draws the front-most of them alone."""
    camera = Camera((0.0, 0.0, 400.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    layers = [quad(10, (255, 0, 0), 0.3), quad(0, (0, 255, 0), 0.5), quad(-10, (0, 0, 255), 0.5)]
    picture = render(
        camera, (400, 300), solid=[], images=[quad(-30, (90, 90, 90), 1.0, half)], clear=[joined(layers)],
        oversampling=1.0,
    )  # fmt: skip
    red, green, blue = picture[150, 200].astype(int)
    assert red > 60 and green > 60 and blue > 45  # the last has 0.7 x 0.5 x 0.5 of the light
    assert (picture[150, 0] > 60).all() if half > 100 else True  # the strip is not seen


def test_anatomy_before_a_plane_is_faded_and_behind_it_is_not(case) -> None:
    planes = fused_scene(case, "ct", Fused("pet", at_mm=(0.0, 0.0, 0.0))).planes
    eye = np.array([150.0, -200.0, 150.0])
    left = planes.left_of(np.array([(30.0, -40.0, 30.0), (-30.0, 40.0, -30.0), (140.0, -190.0, 140.0)]), eye)
    assert left.tolist() == [IN_FRONT, 1.0, IN_FRONT]
    hit = planes.first_hit(eye, np.array([20.0, -20.0, 0.0]))
    assert hit == pytest.approx((20.0, -20.0, 0.0), abs=1e-6)
    assert planes.first_hit(eye, np.array([400.0, -200.0, 150.0])) is None


@pytest.mark.parametrize("field", [None, bump(8.0)], ids=["rigid", "deformable"])
def test_a_structure_lies_where_the_registration_brings_it_and_says_from_where(field) -> None:
    made = a_case(linear(), field)
    fused = fused_scene(made, "ct", Fused("mr", at_mm=tuple(CENTRE)))
    (mesh,), (mark,) = fused.carried, fused.marks
    seen = made.structures_of("mr")["liver"]
    there = made.registration("ct", "mr").to_fixed(seen.voxel_centres_mm())
    assert mesh.points_mm.mean(axis=0) == pytest.approx(there.mean(axis=0), abs=1.0)
    assert np.abs(mesh.points_mm.max(axis=0) - there.max(axis=0)).max() < 1.5
    back = made.registration("ct", "mr").to_moving(mesh.points_mm)
    away = np.linalg.norm(back - seen.voxel_centres_mm().mean(axis=0), axis=1)
    assert np.abs(away - 22.0).max() < 1.5  # a ball in the image that it was seen on
    assert mark.words == "liver from mr, within 1.5 mm" and mark.verdict is Verdict.PASS
    assert 0.2 < (mesh.alpha > 0.8).mean() < 0.8 and (mesh.alpha < 0.2).any()  # banded


def test_what_is_not_good_enough_is_told() -> None:
    failed = (RegistrationCheck("starts", "starts do not agree", 9.0, 2.0, passed=False),)
    fused = fused_scene(a_case(linear(), checks=failed, error_mm=4.0), "ct", Fused("mr", at_mm=tuple(CENTRE)))
    words = [words for words, _ in fused.words]
    assert "! not good enough: starts do not agree" in words and fused.verdict is Verdict.WARN
    assert "where the planes cross: off by up to 4.0 mm, in 95 of 100" in words
    assert carried_rows(fused.marks)[0][1] == "banded, dashed: ! liver from mr, within 4.0 mm"
    far = fused_scene(a_case(linear()), "ct", Fused("mr", at_mm=(500.0, 0.0, 0.0)))
    assert far.verdict is Verdict.WARN and not far.planes.mesh.points_mm[:, 0].max() > 200
    assert "where the planes cross: error not known" in [words for words, _ in far.words]


def test_nothing_is_drawn_without_a_tie_and_one_frame_alone_is_told() -> None:
    made = a_case(linear())
    with pytest.raises(ChoiceError, match="nobody registered"):
        fused_scene(replace(made, registrations={}), "ct", Fused("mr"))
    fused = fused_scene(two_spots(), "ct", Fused("mr", at_mm=(0.0, 0.0, 0.0)))
    words = [words for words, _ in fused.words]
    assert "? only one frame of reference: not registered, error not known" in words
    assert fused.verdict is Verdict.NOT_EVALUATED and np.isnan(fused.error_mm)


def test_the_surface_of_uptake_is_where_the_suv_is_the_threshold(case) -> None:
    fused = fused_scene(case, "ct", Fused("pet", uptake_suv=4.5))
    assert fused.uptake is not None and fused.legend[0][1] == "pet: SUV above 4.5"
    points = fused.uptake.points_mm
    at = case.volumes["pet"].grid.indices(case.registration("ct", "pet").to_moving(points))
    within = ((at > 1) & (at < 29)).all(axis=1)
    assert within.sum() > 100 and np.abs(suv_at(points[within]) - 4.5).max() < 0.08
    assert ": nowhere" in fused_scene(case, "ct", Fused("pet", uptake_suv=40.0)).legend[0][1]
    with pytest.raises(InputError, match="SUV"):
        fused_scene(a_case(linear()), "ct", Fused("mr", uptake_suv=4.0))


def test_what_the_case_holds_as_carried_is_banded_and_not_drawn_twice() -> None:
    from navplan.verbs.carry import carry

    made = carry(a_case(linear()), "mr", "ct")
    held, seen = made.structures_of("ct")["liver"], made.structures_of("mr")["liver"]
    surface = banded_surface(held, whole_surface(held, 2.0, 4000))
    shade = band_shade(held, surface.points_mm)
    assert shade.min() == pytest.approx(DARK) and shade.max() == 1.0 and 0.3 < (shade > 0.9).mean() < 0.7
    assert (band_shade(seen, surface.points_mm) == 1.0).all()
    heights = np.linspace(0, 44, 4401)
    turns = np.flatnonzero(np.diff(bands(np.stack([heights * 0, heights * 0, heights], axis=1)) > 0.5))
    assert len(turns) == pytest.approx(28, abs=2)  # 14 bands
    assert not fused_scene(made, "ct", Fused("mr")).marks


def test_a_file_of_the_scene_holds_the_planes_and_the_words() -> None:
    made = a_case(linear())
    glb = scene_glb(made, image_id="ct", fused=Fused("mr", at_mm=tuple(CENTRE)))
    for words in (b'"axial plane"', b'"liver from mr"', b"good registration", b"within 1.5 mm"):
        assert words in glb
    page = scene_page(made, image_id="ct", fused=Fused("mr", at_mm=tuple(CENTRE)))
    for told in ("mr (MR) over ct (CT), blend 50 %", "off by up to 1.5 mm", "banded, dashed: liver from mr"):
        assert told in page
    assert '"look":"image"' in page
    assert b'"axial plane"' not in scene_glb(made, image_id="ct")


def test_planes_through_no_place_are_refused() -> None:
    with pytest.raises(InputError, match="three finite"):
        fused_scene(a_case(linear()), "ct", Fused("mr", at_mm=(np.nan, 0.0, 0.0)))
