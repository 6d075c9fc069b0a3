"""How deep a point can lie below a surface, from the shares that the voxels around it state.

A ball about the point that lies within the structure takes, of no voxel, more than the structure fills of it. So the
radius at which it would take more bounds the depth from above, for whatever shape. In a voxel that is half full, and
about its centre, that is half an edge where the voxel's diagonal alone gives .87 of it.

The shares are taken as larger than they are told by TOLD of the distance of the samples that they were counted from,
and the ball's share of a voxel is counted from PARTS^3 parts, each to its farthest corner.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.planning.boundary import Boundary, flat_in_file_order
from navplan.planning.sub_voxel import samples_told

PARTS = 6  # of a voxel's edge
TOLD = 0.5  # of the samples' distance, as in navplan.planning.sub_voxel


def depth_at_most_mm(boundary: Boundary, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) upper bounds of the depth of points (N, 3) below the surface of a structure with fractional labels at their
    grid's resolution, infinite where no voxel around tells it."""
    structure = boundary.structure
    assert structure.grid is not None and structure.occupancy is not None
    index = np.ascontiguousarray(structure.grid.indices(points_mm))
    shape = np.asarray(structure.occupancy.shape, dtype=np.int64)
    told, occupancy = TOLD / samples_told(boundary), flat_in_file_order(structure.occupancy)
    return np.asarray(by_rows(_depths, [index], occupancy, shape, structure.grid.spacing_mm, told, PARTS))


@compiled()
def _depths(
    index: NDArray[np.float64],
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    spacing: NDArray[np.float64],
    told: float,
    parts: int,
) -> NDArray[np.float64]:
    found = np.full(len(index), np.inf)
    away = np.empty(parts**3)
    sides = np.empty((3, parts))
    for n in range(len(index)):
        for turn in range(-1, 27):  # the voxel about the point first: most others lie beyond what it tells
            step = 13 if turn < 0 else turn
            if turn == 13:
                continue
            place = (step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1)
            gap, at, inside = 0.0, 0, True
            for c in range(2, -1, -1):
                voxel = int(np.rint(index[n, c])) + place[c]
                inside = inside and 0 <= voxel < shape[c]
                at = at * shape[c] + voxel
                middle = voxel - index[n, c]
                gap += (max(abs(middle) - 0.5, 0.0) * spacing[c]) ** 2
                for a in range(parts):
                    part = abs(middle + (a + 0.5) / parts - 0.5) + 0.5 / parts
                    sides[c, a] = (part * spacing[c]) ** 2
            if gap >= found[n] * found[n]:
                continue
            share = occupancy[at] / 255.0 if inside else 0.0
            # so many parts no ball within the structure holds
            filled = int((share + told) * parts**3) + 1 if share > 0.0 else 1
            if filled > parts**3:
                continue
            count = 0
            for a in range(parts):
                for b in range(parts):
                    for c in range(parts):
                        away[count] = sides[0, a] + sides[1, b] + sides[2, c]
                        count += 1
            found[n] = min(found[n], np.sqrt(np.partition(away, filled - 1)[filled - 1]))
    return found
