"""Rigid registration: the true error against the stated one, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.imaging.register import Registration, register_rigid, registration_given
from navplan.imaging.registration_error import ErrorParts, local_shift_mm
from navplan.imaging.registration_images import reduced, similarity
from navplan.model.volume import Volume
from navplan.verbs.phantom import phantom

PLACE = np.array([-80.0, -10.0, 10.0])  # in the liver


def motion_of(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> np.ndarray:
    """A rigid motion about the origin."""
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    motion[:3, 3] = shift_mm
    return motion


def seen_again(volume: Volume, motion: np.ndarray, noise_hu: float = 20.0) -> Volume:
    """The patient after a motion, on an axial grid of other voxels, with noise of its own."""
    spacing = np.array([6.0, 5.5, 7.0])
    corners = volume.grid.corners_mm() @ motion[:3, :3].T + motion[:3, 3]
    low = corners.min(axis=0)
    shape = np.ceil((corners.max(axis=0) - low) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    grid = Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))
    back = np.linalg.inv(motion)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) @ back[:3, :3].T + back[:3, 3]
    at = np.moveaxis(volume.grid.indices(points), -1, 0)
    voxels = ndimage.map_coordinates(volume.voxels.astype(np.float32), at, order=1, cval=-1000.0)
    voxels += np.random.default_rng(7).normal(0.0, noise_hu, voxels.shape)
    return replace(volume, voxels=np.rint(voxels).astype(np.int16), grid=grid)


@pytest.fixture(scope="module")
def old() -> Volume:
    return phantom("abdomen", spacing_mm=(6.0, 6.0, 6.0)).volumes["ct"]


@pytest.fixture(scope="module")
def coarse() -> Volume:
    return phantom("abdomen", spacing_mm=(8.0, 8.0, 8.0)).volumes["ct"]


MOTION = motion_of((4.0, -3.0, 12.0), (15.0, -20.0, 25.0))


@pytest.fixture(scope="module")
def found(old: Volume) -> Registration:
    return register_rigid(seen_again(old, MOTION), old, PLACE, fixed_name="today", moving_name="ct")


def test_a_known_motion_is_found_within_the_stated_error(found: Registration) -> None:
    truth = (MOTION @ np.append(PLACE, 1.0))[:3]
    error_mm = float(np.linalg.norm(found.transform.apply(PLACE) - truth))
    assert error_mm <= (found.transform.expected_error_mm or 0.0)
    assert error_mm < 1.0
    assert (found.transform.target, found.transform.source) == ("today", "ct")
    assert found.transform.expected_error_mm == found.parts.expected_mm >= found.parts.floor_mm
    assert found.parts.floor_mm == pytest.approx(np.linalg.norm([6.0, 5.5, 7.0]) / 2)
    turn = found.transform.matrix[:3, :3]
    assert np.allclose(turn.T @ turn, np.eye(3), atol=1e-6)
    assert "expected error" in found.words


def test_the_same_images_give_the_same_map(coarse: Volume) -> None:
    first, again = (register_rigid(seen_again(coarse, MOTION), coarse, PLACE) for _ in range(2))
    assert np.array_equal(again.transform.matrix, first.transform.matrix)
    assert again.parts == first.parts


def test_an_image_that_is_mirrored_is_refused(coarse: Volume) -> None:
    with pytest.raises(InputError, match="not good enough"):
        register_rigid(replace(coarse, voxels=coarse.voxels[::-1]), coarse, PLACE)


def test_an_image_of_noise_is_refused(coarse: Volume) -> None:
    values = np.random.default_rng(0).normal(0.0, 60.0, coarse.grid.shape).astype(np.int16)
    content = np.where(coarse.voxels > -500, values, -1000).astype(np.int16)
    with pytest.raises(InputError, match="not good enough"):
        register_rigid(replace(coarse, voxels=content), coarse, PLACE)


def test_a_patient_turned_round_is_refused_as_mislabelled(coarse: Volume) -> None:
    turned = seen_again(coarse, motion_of((0.0, 0.0, 180.0), (0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="where left is"):
        register_rigid(turned, coarse, PLACE)


def test_a_place_outside_the_image_is_refused(old: Volume) -> None:
    with pytest.raises(InputError, match="a point inside"):
        register_rigid(old, old, (900.0, 0.0, 0.0))


def given(matrix: np.ndarray, error_mm: float | None = 2.0) -> Transform:
    return Transform(matrix, "today", "ct", expected_error_mm=error_mm)


def test_a_given_transform_that_fits_is_taken_with_its_error(old: Volume) -> None:
    image = seen_again(old, MOTION)
    taken = registration_given(image, old, PLACE, given(MOTION))
    assert np.allclose(taken.transform.matrix, MOTION)
    assert (taken.transform.expected_error_mm or 0.0) >= max(2.0, taken.parts.floor_mm)


@pytest.mark.parametrize(
    ("matrix", "error_mm", "words"),
    [
        (motion_of((0, 0, 0), (25.0, 0.0, 0.0)) @ MOTION, 1.0, "from where the images fit|not good enough"),
        (np.linalg.inv(MOTION), 2.0, "inverse"),
        (MOTION @ np.diag([1.1, 1.0, 1.0, 1.0]), 2.0, "scales"),
        (MOTION @ np.diag([-1.0, 1.0, 1.0, 1.0]), 2.0, "mirrors"),
        (MOTION, None, "without an expected error"),
        (MOTION, -1.0, "without an expected error"),
    ],
)
def test_a_given_transform_that_does_not_fit_is_refused(
    old: Volume, matrix: np.ndarray, error_mm: float | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        registration_given(seen_again(old, MOTION), old, PLACE, given(matrix, error_mm))


def test_surroundings_that_moved_by_themselves_are_seen(old: Volume) -> None:
    points = old.grid.points_mm(np.moveaxis(np.indices(old.grid.shape), 0, -1))
    near = np.clip(2.0 - np.linalg.norm(points - PLACE, axis=-1) / 35.0, 0.0, 1.0)
    at = np.moveaxis(old.grid.indices(points - near[..., None] * (0.0, 0.0, 8.0)), -1, 0)
    voxels = ndimage.map_coordinates(old.voxels.astype(np.float32), at, order=1, mode="nearest")
    moved = replace(old, voxels=np.rint(voxels).astype(np.int16))
    pair = (reduced(moved, None, 3.0), reduced(old, None, 3.0))
    assert local_shift_mm(*pair, np.eye(4), PLACE) == pytest.approx(8.0, abs=2.5)
    assert local_shift_mm(pair[1], pair[1], np.eye(4), PLACE) == 0.0


def test_similarity_is_largest_where_the_images_fit(old: Volume) -> None:
    image = reduced(old, None, 6.0)
    here = similarity(image, image, np.eye(4))
    assert here.correlation == pytest.approx(1.0)
    assert here.outline == 1.0
    for shift in (5.0, 20.0):
        assert similarity(image, image, motion_of((0, 0, 0), (shift, 0.0, 0.0))).score < here.score


def test_the_error_is_never_less_than_what_was_stated_or_half_a_voxel() -> None:
    assert ErrorParts(2.0).expected_mm == 2.0
    assert ErrorParts(2.0, stated_mm=6.0).expected_mm == 6.0
    assert ErrorParts(3.0, 4.0).expected_mm == pytest.approx(5.0)
