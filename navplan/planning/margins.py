"""Distance of whole shafts to every structure: the one margin function, for a needle that is planned, drawn or
tracked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError
from navplan.geometry.compiled import by_rows, compiled
from navplan.model.safety import Interval
from navplan.planning.boundary import Boundary, occupancy_at


@dataclass(frozen=True, eq=False)
class Margins:
    """Distances of N axes to S structures, in mm.

    centre_mm: (N, S) to the nearest boundary voxel centre, 0 where the axis starts inside; nearest: (N, S) index of
    that voxel; along_mm: (N, S) depth below the start of the axis of the nearest axis point.
    """

    boundaries: tuple[Boundary, ...]
    centre_mm: NDArray[np.float64]
    nearest: NDArray[np.int64]
    along_mm: NDArray[np.float64]

    def low_mm(self, radius_mm: float) -> NDArray[np.float64]:
        """(N, S) lower ends of the clearance between the needle's surface and the structure's; -radius where they may
        cross."""
        below = np.asarray([boundary.below_mm for boundary in self.boundaries])
        return np.asarray(np.maximum(self.centre_mm - below, 0.0) - radius_mm)

    def high_mm(self, radius_mm: float) -> NDArray[np.float64]:
        """(N, S) upper ends of the clearance."""
        above = np.asarray([boundary.above_mm for boundary in self.boundaries])
        return np.asarray(self.centre_mm + above - radius_mm)

    def interval(self, axis: int, structure: int, radius_mm: float) -> Interval:
        """The clearance of one axis to one structure."""
        boundary, distance = self.boundaries[structure], float(self.centre_mm[axis, structure])
        low = max(distance - boundary.below_mm, 0.0) - radius_mm
        return Interval(low, distance + boundary.above_mm - radius_mm)


@compiled()
def _segments_to_voxels(
    starts: NDArray[np.float64],
    directions: NDArray[np.float64],
    lengths: NDArray[np.float64],
    voxels: NDArray[np.float64],
    block_start: NDArray[np.int64],
    block_mm: NDArray[np.float64],
    blocks_of: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """(N, S) distance, nearest voxel and depth: spheres around blocks bound from below, voxels decide."""
    count, structures = starts.shape[0], blocks_of.shape[0] - 1
    distance = np.empty((count, structures))
    nearest = np.empty((count, structures), np.int64)
    along = np.empty((count, structures))
    widest = 0
    for s in range(structures):
        widest = max(widest, blocks_of[s + 1] - blocks_of[s])
    for n in range(count):
        bounds = np.empty(widest)
        for s in range(structures):
            first, last = blocks_of[s], blocks_of[s + 1]
            closest, lowest = first, np.inf
            for b in range(first, last):
                x = block_mm[b, 0] - starts[n, 0]
                y = block_mm[b, 1] - starts[n, 1]
                z = block_mm[b, 2] - starts[n, 2]
                t = x * directions[n, 0] + y * directions[n, 1] + z * directions[n, 2]
                t = min(max(t, 0.0), lengths[n])
                x -= t * directions[n, 0]
                y -= t * directions[n, 1]
                z -= t * directions[n, 2]
                bound = np.sqrt(x * x + y * y + z * z) - block_mm[b, 3]
                bounds[b - first] = bound
                if bound < lowest:
                    closest, lowest = b, bound
            best, best_voxel, best_along = np.inf, -1, 0.0
            for turn in range(last - first + 1):  # the most promising block first, then all that may still beat it
                b = closest if turn == 0 else first + turn - 1
                if turn > 0 and (b == closest or bounds[b - first] * abs(bounds[b - first]) >= best):
                    continue
                for v in range(block_start[b], block_start[b + 1]):
                    x = voxels[v, 0] - starts[n, 0]
                    y = voxels[v, 1] - starts[n, 1]
                    z = voxels[v, 2] - starts[n, 2]
                    t = x * directions[n, 0] + y * directions[n, 1] + z * directions[n, 2]
                    t = min(max(t, 0.0), lengths[n])
                    x -= t * directions[n, 0]
                    y -= t * directions[n, 1]
                    z -= t * directions[n, 2]
                    squared = x * x + y * y + z * z
                    if squared < best:
                        best, best_voxel, best_along = squared, v, t
            distance[n, s] = np.sqrt(best)
            nearest[n, s] = best_voxel - block_start[first]
            along[n, s] = best_along
    return distance, nearest, along


@lru_cache(maxsize=3)  # the same structures are asked for again and again: all, the ribs, the nearest few
def gathered(
    boundaries: tuple[Boundary, ...],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Voxels, where blocks begin, spheres around blocks, and the first block of each structure."""
    blocks = np.cumsum([0] + [len(b.voxels.block_mm) for b in boundaries])
    first_voxel = np.cumsum([0] + [len(b.centres_mm) for b in boundaries])
    block_start = [b.voxels.block_start[:-1] + offset for b, offset in zip(boundaries, first_voxel[:-1], strict=True)]
    return (
        np.concatenate([b.centres_mm for b in boundaries]),
        np.concatenate([*block_start, first_voxel[-1:]]).astype(np.int64),
        np.concatenate([b.voxels.block_mm for b in boundaries]),
        blocks.astype(np.int64),
    )


def margins(boundaries: Sequence[Boundary], starts_mm: ArrayLike, ends_mm: ArrayLike) -> Margins:
    """Distance of N needle axes, from skin to the farthest point that the tip reaches, to every structure.

    starts_mm, ends_mm: (N, 3) LPS mm. Raises GeometryError for non-finite or coinciding ends.
    """
    starts = np.ascontiguousarray(np.atleast_2d(np.asarray(starts_mm, dtype=np.float64)))
    ends = np.ascontiguousarray(np.broadcast_to(np.asarray(ends_mm, dtype=np.float64), starts.shape))
    lengths = np.linalg.norm(ends - starts, axis=1)
    if starts.shape[1] != 3 or not np.isfinite(starts).all() or not np.isfinite(ends).all() or (lengths < 1e-9).any():
        raise GeometryError("needle axes with non-finite or coinciding ends", "two different, finite LPS points each")
    if not boundaries:
        empty = np.zeros((len(starts), 0))
        return Margins((), empty, empty.astype(np.int64), empty)
    distance, nearest, along = by_rows(
        _segments_to_voxels,
        [starts, (ends - starts) / lengths[:, None], lengths],
        *gathered(tuple(boundaries)),
        least=16,
    )
    for s, boundary in enumerate(boundaries):  # an axis that starts deep inside may have no boundary voxel on its way
        grid = boundary.structure.grid
        assert grid is not None
        inside = (occupancy_at(boundary.structure, starts) > 0) & (distance[:, s] > grid.diagonal_mm / 2)
        distance[inside, s], along[inside, s] = 0.0, 0.0
    return Margins(tuple(boundaries), distance, nearest, along)
