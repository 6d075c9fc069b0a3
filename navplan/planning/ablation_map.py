"""The planned margin over a tumour's surface: shares, directions, and what the zone does not cover. Estimates, but for
the volume, which is bounded.

Area without a mesh: the share phi that a structure fills of each place falls across its surface, and the integral of
|grad phi| over space is the surface's area (the coarea formula; Federer 1959, Trans Am Math Soc 93:418). Each voxel is
a piece of surface with that weight, moved along the gradient to where phi is one half. Hard labels are averaged over
their neighbours first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import SectorMargin
from navplan.model.structure import Structure
from navplan.planning.ablation_zone import Ellipsoid
from navplan.planning.boundary import Boundary

SHARE_EDGES_MM = (0.0, 5.0)  # shares below 0, of 0-5, of 5 mm and more (quantitative ablation margin)
BIN_MM = 2.5
MOVES = 5  # of each sample towards the surface, by half a voxel at most
FEWEST = 0.002  # of the surface, from which a direction has a margin of its own
DIRECTIONS = ("left", "right", "back", "front", "head", "foot")
_WAYS = np.asarray([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SurfaceSamples:
    """Places on a structure's surface (N, 3), LPS mm, and the area that each stands for (N,), mm2."""

    points_mm: NDArray[np.float64]
    area_mm2: NDArray[np.float64]


def surface_samples(structure: Structure) -> SurfaceSamples:
    """Of a present structure."""
    from scipy.ndimage import map_coordinates

    assert structure.occupancy is not None and structure.grid is not None
    grid = structure.grid
    touched = np.argwhere(structure.occupancy > 0)
    first, last = touched.min(axis=0), touched.max(axis=0) + 1
    inside = structure.occupancy[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    share = np.pad(inside.astype(np.float64) / 255.0, 3)
    if not structure.fractional:
        for axis in range(3):
            share = (np.roll(share, 1, axis) + 2.0 * share + np.roll(share, -1, axis)) / 4.0
    slopes: tuple[NDArray[np.float64], ...] = tuple(np.gradient(share, *grid.spacing_mm))
    gradient = np.stack(slopes, axis=-1)
    steep = np.linalg.norm(gradient, axis=-1)
    where = np.argwhere(steep > 1e-3 / float(grid.spacing_mm.max()))
    place, longest = where.astype(np.float64), float(grid.spacing_mm.max())
    for _ in range(MOVES):
        here = np.stack([map_coordinates(part, place.T, order=1, mode="nearest") for part in (share, *slopes)], axis=1)
        size = np.maximum(np.linalg.norm(here[:, 1:], axis=1), 1e-3 / longest)
        aside = np.clip((0.5 - here[:, 0]) / size, -longest / 2, longest / 2)
        place += (aside / size)[:, None] * here[:, 1:] / grid.spacing_mm
    return SurfaceSamples(grid.points_mm(place + first - 3), steep[tuple(where.T)] * float(grid.spacing_mm.prod()))


def shares_of(depth_mm: NDArray[np.float64], area_mm2: NDArray[np.float64]) -> tuple[float, float, float]:
    """Shares of the surface with a margin below 0, of 0-5, and of 5 mm and more; 0, 0, 0 for no surface."""
    total = max(float(area_mm2.sum()), 1e-12)
    low, high = SHARE_EDGES_MM
    left, thin = depth_mm < low, (depth_mm >= low) & (depth_mm < high)
    found = [float(area_mm2[part].sum()) / total for part in (left, thin, depth_mm >= high)]
    return found[0], found[1], found[2]


def bins_of(depth_mm: NDArray[np.float64], area_mm2: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Shares of the surface by margin, in bins of BIN_MM: (from, share), all between the first and the last."""
    if not len(depth_mm):
        return ()
    number = np.floor(depth_mm / BIN_MM).astype(int)
    total = max(float(area_mm2.sum()), 1e-12)
    numbers = range(int(number.min()), int(number.max()) + 1)
    return tuple((n * BIN_MM, float(area_mm2[number == n].sum()) / total) for n in numbers)


def sectors_of(
    samples: SurfaceSamples, depth_mm: NDArray[np.float64], counted: NDArray[np.bool_]
) -> tuple[SectorMargin, ...]:
    """The least margin of the surface that looks left, right, back, front, to the head and to the foot from the middle
    of it all (its 1 % percentile by area: one voxel is no surface)."""
    middle = np.average(samples.points_mm, axis=0, weights=samples.area_mm2)
    way = np.argmax((samples.points_mm - middle) @ _WAYS.T, axis=1)
    total = float(samples.area_mm2.sum())
    found = []
    for n, towards in enumerate(DIRECTIONS):
        part = (way == n) & counted
        share = float(samples.area_mm2[part].sum()) / total
        least = None
        if share >= FEWEST:
            order = np.argsort(depth_mm[part])
            covered = np.cumsum(samples.area_mm2[part][order])
            least = float(depth_mm[part][order][np.searchsorted(covered, 0.01 * covered[-1])])
        found.append(SectorMargin(towards, least, share))
    return tuple(found)


def uncovered_ml(zone: Ellipsoid, boundary: Boundary) -> tuple[float, float]:
    """Lower and upper bound of the target's volume outside the zone: voxels that lie outside for sure, and those that
    may reach out."""
    structure = boundary.structure
    assert structure.occupancy is not None and structure.grid is not None
    touched = np.argwhere(structure.occupancy > 0)
    volume = structure.occupancy[tuple(touched.T)] / 255.0 * float(structure.grid.spacing_mm.prod()) / 1000.0
    depth = zone.depth_mm(structure.grid.points_mm(touched))
    half = structure.grid.diagonal_mm / 2.0
    sure = volume[depth < -max(half, boundary.above_mm)] if structure.fractional else volume[:0]
    least = float(sure.sum())  # hard labels tell no volume for sure
    most = float(volume[depth < max(half, boundary.below_mm)].sum())
    return least, most


def volume_ml(structure: Structure) -> float:
    """What the labels fill."""
    assert structure.occupancy is not None and structure.grid is not None
    return float(structure.occupancy.sum(dtype=np.float64)) / 255.0 * float(structure.grid.spacing_mm.prod()) / 1000.0
