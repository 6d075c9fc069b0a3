"""Which way the surface of a mask faces, at many points at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.grid import Grid
from navplan.planning.boundary import flat_in_file_order


@compiled()
def _weighted_sums(
    middles: NDArray[np.int64],
    voxels: NDArray[np.unsignedinteger],
    shape: NDArray[np.int64],
    share: NDArray[np.float64],
    offsets: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, 3) sum of share[voxel] * weights over the voxels at middles (N, 3) + offsets (K, 3)."""
    sums = np.zeros((len(middles), 3))
    for n in range(len(middles)):
        a, b, c = 0.0, 0.0, 0.0
        for m in range(len(offsets)):
            i, j, k = middles[n, 0] + offsets[m, 0], middles[n, 1] + offsets[m, 1], middles[n, 2] + offsets[m, 2]
            if i < 0 or j < 0 or k < 0 or i >= shape[0] or j >= shape[1] or k >= shape[2]:
                continue
            value = share[voxels[(k * shape[1] + j) * shape[0] + i]]
            a += value * weights[m, 0]
            b += value * weights[m, 1]
            c += value * weights[m, 2]
        sums[n, 0], sums[n, 1], sums[n, 2] = a, b, c
    return sums


def outward_normals(
    voxels: NDArray[np.unsignedinteger],
    grid: Grid,
    share: NDArray[np.float64],
    points_mm: NDArray[np.float64],
    sigma_mm: float,
) -> NDArray[np.float64]:
    """(N, 3) LPS unit vectors down the gradient of a mask smoothed by a Gaussian, at points (N, 3); 0 where it is flat.

    voxels: [i, j, k] labels on a grid; share: by label, how much of such a voxel belongs to the mask (0..1).
    """
    step = np.maximum(np.rint(0.7 * sigma_mm / grid.spacing_mm), 1).astype(np.int64)
    half = np.floor(3.0 * sigma_mm / (step * grid.spacing_mm)).astype(np.int64)
    around = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1).reshape(-1, 3) * step
    offset_mm = around * grid.spacing_mm
    far = (offset_mm**2).sum(axis=1)
    inside = (far <= (3.0 * sigma_mm) ** 2) & (far > 0)
    weights = offset_mm * np.exp(-far / (2 * sigma_mm**2))[:, None]
    sums = by_rows(
        _weighted_sums,
        [np.rint(grid.indices(points_mm)).astype(np.int64)],
        flat_in_file_order(voxels),
        np.asarray(voxels.shape, dtype=np.int64),
        np.ascontiguousarray(share, dtype=np.float64),
        np.ascontiguousarray(around[inside]),
        np.ascontiguousarray(weights[inside]),
    )
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    flat = length <= 1e-9 * np.abs(weights).sum()
    return np.asarray(np.where(flat, 0.0, -sums / np.where(flat, 1.0, length)) @ grid.axes.T)
