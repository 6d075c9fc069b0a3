"""Whether the voxels of one grid fall on those of another."""

from __future__ import annotations

import numpy as np

from navplan.geometry.grid import Grid

TOLERANCE_VOXELS = 0.05


def steps_between(fine: Grid, coarse: Grid) -> tuple[int, int, int] | None:
    """How many voxels of `fine` make one step of `coarse` along its i, j, k, where both have their axes in that order
    (either way round) and all voxel centres of `coarse` fall on those of the lattice of `fine`; None where not."""
    turn = np.linalg.inv(fine.affine[:3, :3]) @ coarse.affine[:3, :3]
    steps = np.rint(np.diag(turn))
    ends = fine.indices(coarse.points_mm(np.array([(0, 0, 0), coarse.shape]) - [[0], [1]]))
    off = np.abs(turn - np.diag(steps)).max(axis=0) * np.maximum(np.asarray(coarse.shape) - 1, 1)
    if (steps == 0).any() or off.max() > TOLERANCE_VOXELS or np.abs(ends - np.rint(ends)).max() > TOLERANCE_VOXELS:
        return None
    first, second, third = (abs(int(step)) for step in steps)
    return first, second, third
