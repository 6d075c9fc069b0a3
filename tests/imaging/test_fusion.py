"""Fusion: the map that is found; what the checks say of it, of spoiled ones and of images of different things."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.fusion_scenes import as_mr, carried, random_motion
from navplan.errors import Cancelled, GeometryError, InputError
from navplan.geometry.transform import Transform
from navplan.imaging.fusion import FoundRegistration, Judge, LandmarkPairs, judge_registration, register_images
from navplan.imaging.fusion_checks import Check
from navplan.imaging.fusion_images import fusion_images
from navplan.imaging.fusion_metric import likeness
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import Level, apart, optimised, rigid_about
from navplan.model.volume import Volume
from navplan.verbs.phantom import phantom

SPACING_MM = np.array([6.0, 5.0, 8.0])


@pytest.fixture(scope="module")
def ct() -> Volume:
    return phantom("abdomen", spacing_mm=(6.0, 6.0, 6.0)).volumes["ct"]


@pytest.fixture(scope="module")
def motion(ct: Volume) -> np.ndarray:
    return random_motion(np.random.default_rng(4), ct.grid.corners_mm().mean(axis=0))


@pytest.fixture(scope="module")
def mr(ct: Volume, motion: np.ndarray) -> Volume:
    return carried(as_mr(ct, np.random.default_rng(1)), motion, SPACING_MM)


@pytest.fixture(scope="module")
def judge(ct: Volume, mr: Volume) -> Judge:
    return Judge(ct, mr)


@pytest.fixture(scope="module")
def found(judge: Judge) -> FoundRegistration:
    return judge.best(("ct", "mr"))


@pytest.fixture(scope="module")
def body(ct: Volume) -> np.ndarray:
    return fusion_images(ct)[-1].body_points_mm


def test_an_mr_in_a_frame_of_its_own_is_found(found: FoundRegistration, motion: np.ndarray, body: np.ndarray) -> None:
    assert np.linalg.norm(motion[:3, 3]) > 100.0
    there = body @ motion[:3, :3].T + motion[:3, 3]
    error = np.linalg.norm(found.transform.apply(there) - body, axis=1)
    assert error.mean() < 1.0
    assert found.good, found.words
    assert (found.transform.target, found.transform.source) == ("ct", "mr")
    stated = found.error_map.error_mm(body)
    assert stated.shape == (len(body),)
    assert (stated >= error).all()
    assert found.transform.expected_error_mm == pytest.approx(stated.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("turn_deg", "shift_mm"), [((0, 0, 0), (0, 6, 0)), ((0, 0, 5), (0, 0, 0)), ((12, 0, 0), (0, 0, 20))]
)
def test_a_map_that_was_spoiled_is_flagged(
    judge: Judge, found: FoundRegistration, body: np.ndarray, turn_deg: tuple[float, ...], shift_mm: tuple[float, ...]
) -> None:
    centre = body.mean(axis=0)
    spoil = rigid_about(np.array(turn_deg, dtype=float), centre, centre + shift_mm)
    told = judge(spoil @ found.transform.matrix)
    assert not told.good
    assert np.array_equal(told.transform.matrix, spoil @ found.transform.matrix)
    off = np.linalg.norm(body @ (spoil - np.eye(4))[:3, :3].T + spoil[:3, 3], axis=1)
    assert told.error_map.error_mm(body).mean() > off.mean()


def test_landmarks_are_checked_too(judge: Judge, found: FoundRegistration, body: np.ndarray) -> None:
    places = body[:: len(body) // 6]
    seen = found.transform.inverse().apply(places)
    right = judge(found.transform, landmarks=LandmarkPairs(places, seen))
    assert right.good, right.words
    assert right.kind == "rigid"
    wrong = judge(found.transform, landmarks=LandmarkPairs(places + np.array([0.0, 12.0, 0.0]), seen))
    assert [one.name for one in wrong.checks if one.verdict != "passed"] == ["landmarks"]
    with pytest.raises(GeometryError, match="as many points"):
        judge(found.transform, landmarks=LandmarkPairs(places, seen[1:]))


def test_a_stated_error_is_never_undercut(judge: Judge, found: FoundRegistration, body: np.ndarray) -> None:
    told = judge(replace(found.transform, expected_error_mm=25.0))
    assert told.error_map.error_mm(body).min() == 25.0


def test_a_mirrored_or_stretched_map_is_not_good(judge: Judge, found: FoundRegistration) -> None:
    for change, name in ((np.diag([-1.0, 1.0, 1.0, 1.0]), "handedness"), (np.diag([1.3, 1.0, 1.0, 1.0]), "stretch")):
        told = judge(found.transform.matrix @ change)
        assert name in {one.name for one in told.checks if one.verdict == "failed"}


def test_a_map_that_nobody_judged_is_not_good(ct: Volume, mr: Volume, found: FoundRegistration) -> None:
    told = register_images(ct, mr, start=found.transform, judged=False)
    assert not told.good
    assert told.checks == ()
    assert np.isinf(told.error_map.error_mm(np.zeros((1, 3)))).all()
    assert np.allclose(told.transform.matrix, found.transform.matrix, atol=0.5)


def test_an_affine_map_is_found_from_a_given_start(ct: Volume, body: np.ndarray) -> None:
    turned = rigid_about(np.array([0.0, 0.0, 6.0]), np.zeros(3), np.array([5.0, 0.0, 0.0]))
    change = np.diag([1.05, 1.0, 0.96, 1.0]) @ turned
    points = ct.grid.points_mm(np.moveaxis(np.indices(ct.grid.shape), 0, -1))
    at = np.moveaxis(ct.grid.indices(points @ change[:3, :3].T + change[:3, 3]), -1, 0)
    moved = ndimage.map_coordinates(ct.voxels.astype(np.float32), at, order=1, cval=-1000.0)
    stretched = replace(ct, voxels=np.rint(moved).astype(np.int16))
    told = register_images(ct, stretched, kind="affine", start=np.eye(4))
    there = (body - change[:3, 3]) @ np.linalg.inv(change[:3, :3]).T
    assert np.linalg.norm(told.transform.apply(there) - body, axis=1).mean() < 1.0
    assert told.kind == "affine"
    assert {"stretch"} <= {one.name for one in told.checks}


def test_noise_in_the_shape_of_a_body_is_not_good(ct: Volume) -> None:
    values = np.random.default_rng(0).normal(300.0, 60.0, ct.grid.shape).astype(np.int16)
    noise = Volume(np.where(ct.voxels > -500, values, 5).astype(np.int16), ct.grid, "MR", "signal")
    told = judge_registration(ct, noise, rigid_about(np.array([0.0, 0.0, 9.0]), np.zeros(3), np.array([4.0, 0, 0])))
    assert not told.good


def test_what_was_not_computed_is_no_pass() -> None:
    for value in (None, float("nan"), float("inf")):
        assert Check("likeness", value, 1.0, "", at_least=True).verdict == "not computed"
    assert Check("restarts", 1.0, 1.0, "").verdict == "passed"
    empty = FoundRegistration(Transform.identity("ct"), None, (), "", "rigid")  # type: ignore[arg-type]
    assert not empty.good


def test_the_gradient_is_that_of_the_likeness_and_maps_are_found_to_the_bit(ct: Volume, mr: Volume) -> None:
    pair = FusionPair.of(ct, mr)
    level = pair.levels[1]
    start = rigid_about(np.array([3.0, -2.0, 4.0]), level.sampled.centre_mm, level.other.centre_mm)
    slope = likeness(level.points_mm, level.bins, level.other, start, True).gradient
    for axis in range(3):
        step = np.zeros((4, 4))
        step[axis, 3] = 5e-4
        up, down = (likeness(level.points_mm, level.bins, level.other, start + sign * step) for sign in (1, -1))
        assert slope[axis, 3] == pytest.approx((up.normalised - down.normalised) / 1e-3, rel=0.1, abs=2e-5)
    again = FusionPair.of(ct, mr).levels[1]
    assert np.array_equal(optimised(level, start), optimised(again, start))


def test_what_was_filled_in_around_an_mr_takes_no_part(ct: Volume) -> None:
    turned = rigid_about(np.array([0.0, 25.0, 0.0]), np.zeros(3), np.zeros(3))
    image = fusion_images(carried(as_mr(ct, np.random.default_rng(1)), turned, SPACING_MM))[-1]
    back = image.grid.points_mm(image.taking_part) @ turned[:3, :3]
    assert ct.grid.contains(back, -SPACING_MM.max() / 2).all()
    assert not image.known[0, 0, 0]
    assert image.known.mean() > 0.4


def test_points_are_sampled_in_the_image_that_shows_less(ct: Volume, mr: Volume) -> None:
    grid = ct.grid.crop((20, 15, 10), (30, 25, 20))
    part = replace(ct, voxels=ct.voxels[20:50, 15:40, 10:30], grid=grid)
    pair = FusionPair.of(ct, part)
    assert pair.turned
    assert not FusionPair.of(part, ct).turned
    level = Level.of(pair.moving[1], pair.fixed[1], 4000)
    centre = level.sampled.centre_mm
    off = rigid_about(np.array([0.0, 0.0, 4.0]), centre, centre + np.array([6.0, 0.0, -4.0]))
    assert apart(level.points_mm, optimised(level, off), np.eye(4)).mean() < 1.0


def test_bad_input_is_refused(ct: Volume, mr: Volume) -> None:
    with pytest.raises(InputError, match="rigid or affine"):
        register_images(ct, mr, kind="elastic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="auto"):
        register_images(ct, mr, start="best")  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match="4x4"):
        judge_registration(ct, mr, np.eye(3))
    with pytest.raises(GeometryError):
        register_images(ct, mr, start=LandmarkPairs(np.zeros((3, 3)), np.zeros((3, 3))))
    with pytest.raises(InputError, match=r"contrast|body|nothing"):
        register_images(ct, Volume(np.zeros(ct.grid.shape, dtype=np.int16), ct.grid, "MR", "signal"))
    with pytest.raises(Cancelled):
        register_images(ct, mr, cancelled=lambda: True)
