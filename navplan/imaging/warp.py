"""A structure of one image as it lies on another by a map that bends: its voxels are looked up, one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from navplan.geometry.grid import Grid
from navplan.model.registration import ImageRegistration
from navplan.model.structure import Structure

HALF = 128  # of 255: a voxel of which at least half is filled
AROUND = 3  # voxels about the structure that are looked up too
STRIDE = 4  # voxels between the places where it is asked whether somebody looked


def warped(
    structure: Structure, registration: ImageRegistration, grid: Grid
) -> tuple[NDArray[np.uint8], Grid, Grid] | None:
    """Hard labels (0, 255) of a present structure on the part of `grid` that it meets, that part, and the region of
    `grid` in which it was looked for; None where it meets none of it, or no box of it was looked at.

    grid: the fixed image's. A voxel is filled where the structure, linearly between its voxels, fills at least half of
    a voxel at the place that the registration gives.
    """
    assert structure.occupancy is not None and structure.grid is not None
    reach = grid.indices(registration.to_fixed(structure.voxel_centres_mm()))
    wide = AROUND + np.ceil(structure.grid.spacing_mm.max() / grid.spacing_mm).astype(int)
    low = np.clip(np.floor(reach.min(axis=0)).astype(int) - wide, 0, grid.shape)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + wide + 1, 0, grid.shape)
    region = _region(structure, registration, grid)
    if region is None or (high <= low).any():
        return None
    part = grid.crop(low, high - low)
    there = registration.to_moving(part.points_mm(_indices(part.shape)))
    at = structure.grid.indices(there).reshape(-1, 3).T
    share = map_coordinates(structure.occupancy, at, np.float32, order=1, mode="grid-constant", cval=0.0)
    labels = np.where(share.reshape(part.shape) >= HALF, np.uint8(255), np.uint8(0))
    return (labels, part, region) if labels.any() else None


def _region(structure: Structure, registration: ImageRegistration, grid: Grid) -> Grid | None:
    """A box of the grid whose every voxel lies, by the registration, where the structure was looked for."""
    assert structure.evaluated_in is not None
    ticks = [np.unique(np.append(np.arange(0, count, STRIDE), count - 1)) for count in grid.shape]
    index = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1)
    inside = STRIDE * float(grid.spacing_mm.max())  # what lies between two such places may bulge so far
    found = box_of_all(structure.evaluated_in.contains(registration.to_moving(grid.points_mm(index)), inside))
    if found is None:
        return None
    first = np.array([tick[at] for tick, at in zip(ticks, found[0], strict=True)])
    last = np.array([tick[at - 1] for tick, at in zip(ticks, found[1], strict=True)])
    return grid.crop(first, last - first + 1)


def _indices(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    return np.moveaxis(np.indices(shape), 0, -1)


def box_of_all(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """First and one beyond the last index of a box that is all True, found by taking off the side with the largest
    share of False until none is left; None for none."""
    if not mask.any():
        return None
    there = np.argwhere(mask)
    low, high = there.min(axis=0), there.max(axis=0) + 1
    while (high > low).all():
        box = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        if box.all():
            return low, high
        shares = []
        for axis in range(3):
            for end in (0, -1):
                side = np.take(box, end, axis=axis)
                shares.append((1.0 - side.mean(), axis, end))
        worst, axis, end = max(shares)
        if worst == 0.0:  # holes inside: halve along the longest axis
            axis, end = int(np.argmax(high - low)), -1
            high[axis] = low[axis] + (high[axis] - low[axis]) // 2
        elif end == 0:
            low[axis] += 1
        else:
            high[axis] -= 1
    return None
