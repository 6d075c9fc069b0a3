"""Where a region that was looked at ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid


def cut_by_edge(indices: NDArray[Any], grid: Grid, region: Grid) -> NDArray[np.bool_]:
    """Which voxels (N, 3) of a grid lie in the outermost layer of the region that was looked at: cut, they may go on
    beyond."""
    reach = grid.spacing_mm / region.spacing_mm
    upper = np.asarray(region.shape) - 1.0
    turn = np.linalg.inv(region.affine[:3, :3]) @ grid.affine[:3, :3]
    corner = region.indices(grid.origin_mm)
    cut = np.zeros(len(indices), dtype=bool)
    if np.abs(turn - np.diag(np.diag(turn))).max() < 1e-9:  # axes along each other: one comparison a side
        for axis in range(3):
            position = indices[:, axis] * turn[axis, axis] + corner[axis]
            cut |= (position - reach[axis] < -0.5) | (position + reach[axis] > upper[axis] + 0.5)
        return cut
    position = indices @ turn.T + corner
    return np.asarray(((position - reach < -0.5) | (position + reach > upper + 0.5)).any(axis=1))
