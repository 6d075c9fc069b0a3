"""Provisional ranking of all ways while a person drags the target: coarse, within a hundredth of a second, never a
verdict.

For all structures together the distance to their nearest boundary voxel is kept on a coarse grid. Along each way the
nearest cell's values are read and the least is taken. By how much that can be wrong is known (Bounds in docs: half the
cell's diagonal for the voxels gathered in a cell, as much for reading the nearest cell, half a step along the way):
`DragMap.half_width_mm`. What is shown so ranks; it gives no PASS, and what the search says afterwards replaces it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import THREADS, by_rows, compiled
from navplan.model.device import Device
from navplan.planning.boundary import Boundary
from navplan.planning.criteria import desirability
from navplan.planning.situation import Situation
from navplan.planning.ways import swept_ends_mm

CELL_MM = 4.0
UNIT_MM = 0.25  # distances are kept in these, rounded down
FARTHEST_CELLS = 10  # distances beyond are kept as this many cells
BESIDE_MM = 12.0  # of the map beyond entries and targets


@dataclass(frozen=True, eq=False)
class DragMap:
    """distance: (I, J, K, S) uint8 in UNIT_MM from each cell's centre to the nearest occupied cell's, for S structures;
    origin_mm (3,): centre of the first cell, cells along LPS."""

    distance: NDArray[np.uint8]
    origin_mm: NDArray[np.float64]

    @property
    def half_width_mm(self) -> float:
        """How far the provisional clearance may be from the exact distance to the nearest boundary voxel's centre, for
        distances below FARTHEST_CELLS cells."""
        return float(np.sqrt(3.0) * CELL_MM + CELL_MM / 2 + UNIT_MM)


@dataclass(frozen=True, eq=False)
class Provisional:
    """Rough clearances, no bounds. value (N,): what a way is roughly worth by clearance, depth and tilt; worst (N,):
    the structure whose limit is missed by most, or kept by least, and missed_mm (N,) by how much, negative where it is
    kept (-infinity where there is no structure); units (N, S): distance from the axis in UNIT_MM."""

    units: NDArray[np.uint8]
    radius_mm: float
    worst: NDArray[np.int64]
    missed_mm: NDArray[np.float64]
    value: NDArray[np.float64]

    @property
    def clearance_mm(self) -> NDArray[np.float64]:
        """(N, S) from the needle's surface."""
        return np.asarray(self.units * UNIT_MM - self.radius_mm)

    @property
    def likely_free(self) -> NDArray[np.bool_]:
        """(N,) whether no limit is missed."""
        return self.missed_mm <= 0.0


@compiled()
def _distance_to_cells(occupied: NDArray[np.bool_], reach: int, per_cell: float) -> NDArray[np.uint8]:
    """[i, j, k] distance from each cell to the nearest occupied one, at most `reach` cells; per_cell: units a cell."""
    ni, nj, nk = occupied.shape
    far = (reach + 1) * (reach + 1)
    a = np.full((ni, nj, nk), far, np.int32)
    b = np.full((ni, nj, nk), far, np.int32)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                if occupied[i, j, k]:
                    for other in range(max(0, k - reach), min(nk, k + reach + 1)):
                        a[i, j, other] = min(a[i, j, other], (other - k) * (other - k))
    for i in range(ni):
        for shift in range(-reach, reach + 1):
            for j in range(max(0, -shift), min(nj, nj - shift)):
                for k in range(nk):
                    b[i, j, k] = min(b[i, j, k], a[i, j + shift, k] + shift * shift)
    a[:] = far
    for shift in range(-reach, reach + 1):
        for i in range(max(0, -shift), min(ni, ni - shift)):
            for j in range(nj):
                for k in range(nk):
                    a[i, j, k] = min(a[i, j, k], b[i + shift, j, k] + shift * shift)
    found = np.empty((ni, nj, nk), np.uint8)
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                found[i, j, k] = min(int(np.sqrt(min(a[i, j, k], reach * reach)) * per_cell), 255)
    return found


def drag_map(boundaries: tuple[Boundary, ...], low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> DragMap:
    """The map of a box (corners (3,) LPS mm) that holds all entries and targets; structures outside it count as far."""
    origin = low_mm - BESIDE_MM
    shape = np.ceil((high_mm - origin + BESIDE_MM) / CELL_MM).astype(int) + 1
    distance = np.empty((*shape, len(boundaries)), dtype=np.uint8)

    def one(column: int) -> None:
        cell = np.rint((boundaries[column].centres_mm - origin) / CELL_MM).astype(int)
        cell = cell[((cell >= 0) & (cell < shape)).all(axis=1)]
        occupied = np.zeros(shape, dtype=bool)
        occupied[tuple(cell.T)] = True
        distance[..., column] = _distance_to_cells(occupied, FARTHEST_CELLS, CELL_MM / UNIT_MM)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(boundaries))))
    return DragMap(distance, origin)


@compiled()
def _least_along(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    distance: NDArray[np.uint8],
    origin: NDArray[np.float64],
    cell: float,
    required: NDArray[np.float64],
    tips: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64], NDArray[np.float64]]:
    """(N, S) least value of the nearest cells along each axis, of each structure to tips (S,) mm from its end; (N,) the
    least of all, the structure that misses what is required by most, and by how much."""
    found = np.full((len(starts), distance.shape[3]), 255, np.uint8)
    nearest, worst = np.full(len(starts), 255, np.uint8), np.zeros(len(starts), np.int64)
    missed = np.full(len(starts), -np.inf)
    for n in range(len(starts)):
        x, y, z = ends[n, 0] - starts[n, 0], ends[n, 1] - starts[n, 1], ends[n, 2] - starts[n, 2]
        length = np.sqrt(x * x + y * y + z * z)
        steps = int(np.ceil(length / cell))
        least = found[n]
        for step in range(steps + 1):
            t = step / steps
            i = int(np.rint((starts[n, 0] + t * x - origin[0]) / cell))
            j = int(np.rint((starts[n, 1] + t * y - origin[1]) / cell))
            k = int(np.rint((starts[n, 2] + t * z - origin[2]) / cell))
            i = min(max(i, 0), distance.shape[0] - 1)
            j = min(max(j, 0), distance.shape[1] - 1)
            k = min(max(k, 0), distance.shape[2] - 1)
            here = distance[i, j, k]
            for s in range(len(least)):
                if step == 0 or t * length <= length - tips[s]:
                    least[s] = min(least[s], here[s])
        for s in range(len(least)):
            nearest[n] = min(nearest[n], least[s])
            if required[s] - least[s] > missed[n]:
                worst[n], missed[n] = s, required[s] - least[s]
    return found, nearest, worst, missed


def provisional(
    situation: Situation, device: Device, kept: DragMap, entries_mm: NDArray[np.float64], target_mm: NDArray[np.float64]
) -> Provisional:
    """Rank ways from entries (N, 3) to a target (3,) that is being dragged."""
    ends = swept_ends_mm(entries_mm, target_mm, device)
    required = (situation.required_mm + device.radius_mm) / UNIT_MM
    tips = np.asarray([risk.contact.tip_mm if risk.contact else 0.0 for risk in situation.risks])
    units, nearest, worst, missed = by_rows(
        _least_along, [entries_mm, ends], kept.distance, kept.origin_mm, CELL_MM, required, tips
    )
    span = target_mm - entries_mm
    depth = np.linalg.norm(span, axis=1)
    told = {
        "clearance_mm": nearest * UNIT_MM - device.radius_mm if units.shape[1] else np.full(len(depth), np.inf),
        "depth_mm": depth,
        "tilt_deg": np.degrees(np.abs(np.arcsin(np.clip(span[:, 2] / depth, -1.0, 1.0)))),
        "out_of_plane_mm": np.abs(span[:, 2]),
    }
    wishes = [soft for soft in situation.protocol.soft if soft.metric in told]
    value = np.zeros(len(depth))
    for soft in wishes:
        value += soft.weight * desirability(soft, told[soft.metric])
    value /= max(sum(soft.weight for soft in wishes), 1e-12)
    return Provisional(units, device.radius_mm, worst, missed * UNIT_MM, value)
