"""Where a needle could start: boundary voxels of the body, spread by a seeded choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.brute_force import boundary_centres_mm
from navplan.model.structure import Structure


def skin_entries_mm(
    body: Structure, target_mm: NDArray[np.float64], within_mm: float, count: int, seed: int = 3
) -> NDArray[np.float64]:
    """(N, 3) LPS mm, at most `count` boundary voxel centres of a present body within `within_mm` of a target (3,).

    No voxel of the array's outermost layer is taken: where the image ends there is no skin.
    """
    assert body.occupancy is not None and body.grid is not None
    mask = np.asarray(body.occupancy >= 128)
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1, 1:-1] = True
    points = boundary_centres_mm(mask, body.grid, only=inner)
    points = points[np.linalg.norm(points - target_mm, axis=1) <= within_mm]
    return np.random.default_rng(seed).permutation(points)[:count]
