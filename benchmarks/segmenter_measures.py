"""How two masks are compared: Dice and 95 % surface distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.model.structure import Structure

Mask = NDArray[np.bool_]


def mask_of(grid: Grid, structure: Structure) -> Mask:
    """A structure's voxels [i, j, k] of at least half occupancy on an image's grid, at the nearest voxel."""
    mask = np.zeros(grid.shape, dtype=bool)
    if structure.occupancy is not None and structure.grid is not None:
        points = structure.grid.points_mm(np.argwhere(structure.occupancy >= 128))
        indices = np.rint(grid.indices(points)).astype(int)
        indices = indices[((indices >= 0) & (indices < grid.shape)).all(axis=1)]
        mask[tuple(indices.T)] = True
    return mask


def dice(first: Mask, second: Mask) -> float:
    """2 |A and B| / (|A| + |B|), 0 where both are empty."""
    both = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / max(1, both)


def surface_distance_mm(first: Mask, second: Mask, spacing_mm: NDArray[np.float64]) -> float:
    """95th percentile of the distances between the two masks' outermost voxels, both ways; NaN where one is empty."""
    if not first.any() or not second.any():
        return float("nan")
    box = tuple(
        slice(max(0, used[0] - 1), used[-1] + 2)
        for used in (
            np.flatnonzero((first | second).any(axis=tuple(other for other in range(3) if other != axis)))
            for axis in range(3)
        )
    )
    edges = [mask[box] & ~ndimage.binary_erosion(mask[box], border_value=1) for mask in (first, second)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing_mm) for edge in edges]
    return float(np.percentile(np.concatenate([away[1][edges[0]], away[0][edges[1]]]), 95))
