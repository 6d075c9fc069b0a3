"""The surroundings of one vertebra in two images, for a map of that vertebra alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.imaging.fusion_images import BINS, KNOTS, PAD, FusionImage
from navplan.imaging.fusion_search import Level, Matrix
from navplan.imaging.registration_images import AIR_HU, HIGHEST_HU, block_means
from navplan.model.structure import Structure
from navplan.model.volume import Volume

AROUND_MM = 10.0  # of the vertebra that take part: its discs and what lies at it
REACH_MM = 30.0  # of the other image about the place where the vertebra is sought
SIZES = ((2.5, 2.5, 3_000), (1.25, 1.0, 12_000))  # voxels, smoothing in mm, points: coarse and fine
PADDING_HU = -1500.0
FEWEST_VOXELS = 100


@dataclass(frozen=True, eq=False)
class VertebraPair:
    """levels: the fixed image's surroundings of a vertebra to the moving image, coarse and fine; inside_mm: (K, 3)
    places in the vertebra, LPS mm; halves: the fine level by every other block of it, and by the rest."""

    levels: tuple[Level, Level]
    inside_mm: NDArray[np.float64]

    @property
    def halves(self) -> tuple[Level, Level]:
        """By blocks of half the vertebra's size."""
        fine = self.levels[-1]
        low, high = self.inside_mm.min(axis=0), self.inside_mm.max(axis=0)
        blocks = np.floor((fine.points_mm - low) / (high - low) * 2).astype(np.int64).sum(axis=1) % 2 == 0
        first, second = (
            Level(fine.sampled, fine.other, np.ascontiguousarray(fine.points_mm[one]), fine.bins[one])
            for one in (blocks, ~blocks)
        )
        return first, second


def vertebra_pair(
    fixed: Volume, moving: Volume, vertebra: Structure, others: list[Structure], moving_from_fixed: Matrix
) -> VertebraPair | None:
    """A vertebra of the fixed image, its surroundings as far as no other one of `others` is nearer, and the moving
    image about the place where a map puts it. None where too little of it is in both images."""
    inside = vertebra.voxel_centres_mm()
    corners = _box(inside, AROUND_MM)
    there = _box(corners @ moving_from_fixed[:3, :3].T + moving_from_fixed[:3, 3], REACH_MM)
    levels = []
    for spacing_mm, smooth_mm, count in SIZES:
        here, grid = _cropped(fixed, corners, spacing_mm)
        part, other_grid = _cropped(moving, there, spacing_mm)
        if here is None or part is None or grid is None or other_grid is None:
            return None
        mask = _surroundings(vertebra, others, grid) & (here > PADDING_HU if _hu(fixed) else np.ones_like(here, bool))
        if np.count_nonzero(mask) < FEWEST_VOXELS:
            return None
        shown = part > PADDING_HU if _hu(moving) else np.ones(part.shape, dtype=bool)
        sampled = _binned(here, mask, grid, fixed, smooth_mm)
        other = _binned(part, shown, other_grid, moving, smooth_mm)
        if sampled is None or other is None:
            return None
        levels.append(Level.of(sampled, other, count))
    kept = inside[:: max(len(inside) // 500, 1)]
    return VertebraPair((levels[0], levels[1]), kept)


def labels_on(structure: Structure, grid: Grid) -> NDArray[np.bool_]:
    """Which voxels (I, J, K) of a grid have their centre in a present structure."""
    assert structure.occupancy is not None and structure.grid is not None
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    at = structure.grid.indices(grid.points_mm(index)).reshape(-1, 3).T
    values = ndimage.map_coordinates(structure.occupancy, at, order=0, mode="grid-constant", cval=0)
    return np.asarray((values >= 128).reshape(grid.shape))


def _surroundings(vertebra: Structure, others: list[Structure], grid: Grid) -> NDArray[np.bool_]:
    own = labels_on(vertebra, grid)
    if not own.any():
        return own
    near = ndimage.distance_transform_edt(~own, sampling=grid.spacing_mm)
    rest = np.zeros(grid.shape, dtype=bool)
    for one in others:
        rest |= labels_on(one, grid)
    away = ndimage.distance_transform_edt(~rest, sampling=grid.spacing_mm) if rest.any() else np.inf
    return np.asarray((near <= AROUND_MM) & (near < away))


def _box(points: NDArray[np.float64], margin_mm: float) -> NDArray[np.float64]:
    """(8, 3) corners of the box of points along L, P, S, and a margin."""
    ends = np.stack([points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm])
    return np.stack([[ends[bit >> axis & 1][axis] for axis in range(3)] for bit in range(8)])


def _cropped(
    volume: Volume, corners_mm: NDArray[np.float64], spacing_mm: float
) -> tuple[NDArray[np.float32] | None, Grid | None]:
    at = volume.grid.indices(corners_mm)
    low = np.clip(np.floor(at.min(axis=0)).astype(int), 0, volume.grid.shape)
    high = np.clip(np.ceil(at.max(axis=0)).astype(int) + 1, 0, volume.grid.shape)
    factors = [max(round(float(spacing_mm / mm)), 1) for mm in volume.grid.spacing_mm]
    if (high - low < np.maximum(3, factors)).any():
        return None, None
    part = np.asarray(volume.voxels)[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    means, grid = block_means(part, volume.grid.crop(low, high - low), (factors[0], factors[1], factors[2]))
    return (means, grid) if min(means.shape) >= 3 else (None, None)


def _hu(volume: Volume) -> bool:
    return volume.modality == "CT" and volume.quantity == "HU"


def _binned(
    values: NDArray[np.float32], mask: NDArray[np.bool_], grid: Grid, volume: Volume, smooth_mm: float
) -> FusionImage | None:
    """In bins half by rank, half by value, as `navplan.imaging.fusion_images` has them; None without contrast."""
    clipped = np.clip(values, AIR_HU, HIGHEST_HU) if _hu(volume) else values
    smoothed = ndimage.gaussian_filter(clipped, smooth_mm / grid.spacing_mm)
    knots = np.quantile(smoothed[mask], KNOTS) if mask.any() else np.zeros(1)
    span = knots[-1] - knots[0]
    if span <= 0:
        return None
    even = 0.5 * KNOTS + 0.5 * (knots - knots[0]) / span
    bins = np.ascontiguousarray(np.interp(smoothed, knots, even) * (BINS - 1) + PAD, dtype=np.float32)
    known = mask if mask.all() else values > PADDING_HU if _hu(volume) else np.ones(values.shape, dtype=bool)
    return FusionImage(bins, mask, known, grid, volume.modality, np.argwhere(mask))
