"""A spine bent by known rigid motions of its vertebrae: each moves as a whole, what lies about them goes along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from navplan.model.structure import Structure
from navplan.model.volume import Volume

BLOCK = 16  # slices that are computed at a time


def chain(
    vertebrae: Sequence[Structure], turns_deg: NDArray[np.float64], shifts_mm: NDArray[np.float64] | None = None
) -> list[NDArray[np.float64]]:
    """moved_from_given (4, 4) of each, the first left where it is: every next one turned (N - 1, 3) against the one
    before about the middle between them, and shifted (N - 1, 3)."""
    centres = [one.voxel_centres_mm().mean(axis=0) for one in vertebrae]
    found = [np.eye(4)]
    for n, turn in enumerate(turns_deg):
        middle = (centres[n] + centres[n + 1]) / 2
        step = np.eye(4)
        step[:3, :3] = Rotation.from_rotvec(turn, degrees=True).as_matrix()
        step[:3, 3] = middle - step[:3, :3] @ middle + (0.0 if shifts_mm is None else shifts_mm[n])
        found.append(found[-1] @ step)
    return found


def bent(volume: Volume, vertebrae: Sequence[Structure], motions: Sequence[NDArray[np.float64]]) -> Volume:
    """The image after moved_from_given of each vertebra, on the same grid. Between them the motions are mixed by the
    inverse cube of the distance; linear interpolation, the lowest value beyond the image."""
    grid, values = volume.grid, np.asarray(volume.voxels, dtype=np.float32)
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    points = grid.points_mm(index)
    given, total = np.zeros((*grid.shape, 3)), np.zeros(grid.shape)
    for one, motion in zip(vertebrae, motions, strict=True):
        back = np.linalg.inv(motion)
        from_there = points @ back[:3, :3].T + back[:3, 3]
        assert one.grid is not None and one.occupancy is not None
        at = one.grid.indices(from_there).reshape(-1, 3).T
        label = ndimage.map_coordinates(one.occupancy, at, order=1, mode="grid-constant").reshape(grid.shape) >= 64
        weight = 1.0 / np.maximum(ndimage.distance_transform_edt(~label, sampling=grid.spacing_mm), 0.05) ** 3
        given += weight[..., None] * from_there
        total += weight
    at = grid.indices(given / total[..., None]).reshape(-1, 3).T
    found = ndimage.map_coordinates(values, at, order=1, mode="constant", cval=float(values.min())).reshape(grid.shape)
    return replace(volume, voxels=np.rint(found).astype(np.int16))
