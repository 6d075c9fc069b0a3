"""Rigid registration on real CT: known motions of one chest, and the chest of somebody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.register import register_rigid
from navplan.imaging.registration_images import block_means
from navplan.model.volume import Volume
from navplan.verbs.import_images import import_images

SHIFT_MM = np.array([12.0, -18.0, 22.0])
PLACE_FROM_MIDDLE = np.array([70.0, 10.0, 20.0])


def small(path: Path, factors: tuple[int, int, int]) -> Volume:
    case = import_images(path, modality="CT", patient_position="HFS")
    volume = next(iter(case.volumes.values()))
    means, grid = block_means(np.asarray(volume.voxels), volume.grid, factors)
    return Volume(np.rint(means).astype(np.int16), grid, "CT", "HU")


@pytest.fixture(scope="module")
def chest(real_images: Path) -> Volume:
    return small(real_images / "lidc0001_chest_ct" / "cxr_int16.nii.gz", (5, 5, 2))


def middle_of(volume: Volume) -> np.ndarray:
    return volume.grid.points_mm((np.array(volume.grid.shape) - 1) / 2)


def motion_about(middle: np.ndarray) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (5.0, -4.0, 10.0), degrees=True).as_matrix()
    motion[:3, 3] = middle - motion[:3, :3] @ middle + SHIFT_MM
    return motion


def seen_again(volume: Volume, motion: np.ndarray, middle: np.ndarray, size_mm: np.ndarray, breath_mm: float) -> Volume:
    """After a motion, in a box about `middle`, with noise; organs about the lower chest moved up by breath_mm first."""
    spacing = np.array([4.0, 4.0, 5.0])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = middle - size_mm / 2
    i, j, k = (int(n) for n in size_mm / spacing)
    grid = Grid(affine, (i, j, k))
    back = np.linalg.inv(motion)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) @ back[:3, :3].T + back[:3, 3]
    inside = np.linalg.norm((points - middle_of(volume) + (0, 0, 60)) / (110, 75, 90), axis=-1)
    points[..., 2] -= breath_mm * np.clip((1.2 - inside) / 0.8, 0.0, 1.0)
    at = np.moveaxis(volume.grid.indices(points), -1, 0)
    voxels = ndimage.map_coordinates(volume.voxels.astype(np.float32), at, order=1, cval=-1000.0)
    voxels += np.random.default_rng(3).normal(0.0, 20.0, voxels.shape)
    return Volume(np.rint(voxels).astype(np.int16), grid, "CT", "HU")


@pytest.mark.parametrize("size_mm", [(340.0, 340.0, 300.0), (340.0, 340.0, 110.0)], ids=["whole chest", "a slab"])
def test_a_known_motion_is_found_within_the_stated_error(chest: Volume, size_mm: tuple[float, ...]) -> None:
    place = middle_of(chest) + PLACE_FROM_MIDDLE
    motion = motion_about(middle_of(chest))
    truth = (motion @ np.append(place, 1.0))[:3]
    box = truth if size_mm[2] < 200 else middle_of(chest) + SHIFT_MM
    found = register_rigid(seen_again(chest, motion, box, np.array(size_mm), 0.0), chest, place)
    error_mm = float(np.linalg.norm(found.transform.apply(place) - truth))
    assert error_mm <= (found.transform.expected_error_mm or 0.0)
    assert error_mm < 1.5


def test_breath_at_the_target_is_seen_in_its_expected_error(chest: Volume) -> None:
    middle = middle_of(chest)
    place = middle + np.array([50.0, 0.0, -60.0])
    image = seen_again(chest, np.eye(4), middle, np.array([340.0, 340.0, 300.0]), 8.0)
    try:
        found = register_rigid(image, chest, place)
    except InputError:
        return  # refused: as good an answer
    true_mm = float(np.linalg.norm(found.transform.apply(place) - (place + np.array([0.0, 0.0, 8.0]))))
    assert true_mm > 4.0
    assert (found.transform.expected_error_mm or 0.0) > 0.8 * true_mm


def test_somebody_elses_chest_is_refused(chest: Volume, real_images: Path) -> None:
    other = small(real_images / "ts_thorax_cta_dissection" / "example_ct.nii.gz", (4, 4, 4))
    with pytest.raises(InputError, match="not good enough"):
        register_rigid(other, chest, middle_of(chest) + PLACE_FROM_MIDDLE)
