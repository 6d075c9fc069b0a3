"""How alike two images are block by block, each block shifted by itself: what a map of the whole body cannot see.

The other image is carried to a lattice of the sampled one by the map, whatever kind it is. How much oftener than by
chance two intensities meet is taken from the whole body, as the map lays it; a block is then shifted, and its voxels'
pairs are looked up: the information of each voxel, as in Rogelj et al., Comput Vis Image Underst 90:115 (2003). Tried
too: a correlation ratio of the block's own intensities, which found half of the blocks of a phantom in the contrast of
an MR 4 mm off and farther where nothing had moved; taking off the bias field first, which made a real MR drift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.grid import Grid
from navplan.imaging.fusion_images import BINS, PAD, FusionImage

PointMap = Callable[[NDArray[np.float64]], NDArray[np.float64]]
STEP_MM = 4.0  # of the lattice, and of the shifts
APART, SIDE = 7, 9  # of the blocks' middles, and their sides, in steps: 28 and 36 mm
REACH = 5  # of the shifts, in steps: 20 mm
FEWEST = 0.25  # of a block's voxels: with fewer in the body it is no block
SHARED = 0.6  # of a block's voxels in the body that a shift has to leave in both images
RARE = 0.02  # of chance: what two intensities that never met are taken for


@dataclass(frozen=True, eq=False)
class Blocks:
    """information: (nx, ny, nz, S) nats by voxel, NaN where too little is shown; voxels: (nx, ny, nz) that count, 0
    where there is no block; shifts: (S, 3) in steps of STEP_MM along the axes of the sampled image; grid: of the
    blocks' middles."""

    information: NDArray[np.float32]
    voxels: NDArray[np.int64]
    shifts: NDArray[np.int64]
    grid: Grid


def all_shifts() -> NDArray[np.int64]:
    """(S, 3) those of a cube of 2 REACH + 1 steps, in the order of its array."""
    ticks = np.arange(-REACH, REACH + 1)
    return np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)


def within_reach(shifts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which shifts lie in the ball of REACH."""
    return np.asarray((shifts**2).sum(axis=1) <= REACH**2 + 2)


@compiled()
def _information(first, fixed, moved, shifts, side, table, least_shared):  # type: ignore[no-untyped-def]
    """(B, S) of blocks that start at voxels first (B, 3); images in whole bins, negative where they show nothing. Every
    other voxel counts."""
    found = np.full((first.shape[0], shifts.shape[0]), np.nan, dtype=np.float32)
    place = np.empty((side * side * side, 3), dtype=np.int64)
    row = np.empty(side * side * side, dtype=np.int64)
    for b in range(first.shape[0]):
        size = 0
        for i in range(first[b, 0], first[b, 0] + side):
            for j in range(first[b, 1], first[b, 1] + side):
                for k in range(first[b, 2] + (first[b, 2] + i + j) % 2, first[b, 2] + side, 2):
                    if fixed[i, j, k] >= 0:
                        place[size, 0], place[size, 1], place[size, 2] = i, j, k
                        row[size] = fixed[i, j, k]
                        size += 1
        for s in range(shifts.shape[0]):
            di, dj, dk = shifts[s, 0], shifts[s, 1], shifts[s, 2]
            both, told = 0, 0.0
            for n in range(size):
                other = moved[place[n, 0] + di, place[n, 1] + dj, place[n, 2] + dk]
                if other >= 0:
                    both += 1
                    told += table[row[n], other]
            if both >= least_shared * size and both > 0:
                found[b, s] = told / both
    return found


def _table(fixed: NDArray[np.int16], moved: NDArray[np.int16]) -> NDArray[np.float64]:
    """(32, 32) log of how much oftener two intensities meet than by chance, from all voxels that both images show."""
    both = (fixed >= 0) & (moved >= 0)
    pairs = fixed[both].astype(np.int64) * BINS + moved[both]
    joint = np.bincount(pairs, minlength=BINS * BINS).reshape(BINS, BINS).astype(np.float64)
    joint = ndimage.gaussian_filter(joint, 1.0, mode="nearest")
    joint = joint / max(joint.sum(), 1.0)
    chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return np.asarray(np.log((joint + RARE * chance + 1e-12) / (chance * (1 + RARE) + 1e-12)))


def blocks_of(sampled: FusionImage, other: FusionImage, other_from_sampled: PointMap) -> Blocks | None:
    """Of two images and a map of points (N, 3), LPS mm, between them; None where no block holds enough of the body."""
    axes = sampled.grid.axes
    low = sampled.grid.points_mm(sampled.taking_part.min(axis=0))
    span = sampled.taking_part.max(axis=0) - sampled.taking_part.min(axis=0)
    steps = np.ceil(span * sampled.grid.spacing_mm / STEP_MM).astype(np.int64) + 1
    nodes = np.maximum(np.ceil((steps - SIDE) / APART).astype(np.int64), 0) + 1
    held = (nodes - 1) * APART + SIDE  # steps that the blocks cover, the body in their middle
    margin = (held - steps) // 2 + REACH
    shape = tuple(int(n) for n in held + 2 * REACH)
    affine = np.eye(4)
    affine[:3, :3] = axes * STEP_MM
    affine[:3, 3] = low - affine[:3, :3] @ margin
    lattice = Grid(affine, (shape[0], shape[1], shape[2]))
    mine, theirs = _on_lattice(sampled, other, other_from_sampled, lattice)
    first = np.stack(np.meshgrid(*(np.arange(n) * APART + REACH for n in nodes), indexing="ij"), axis=-1)
    counts = _box_counts(mine >= 0, first.reshape(-1, 3)).reshape(tuple(nodes))
    taken = counts >= FEWEST * SIDE**3
    if not taken.any():
        return None
    shifts = all_shifts()
    near = within_reach(shifts)
    told = by_rows(
        _information, (np.ascontiguousarray(first[taken]),), mine, theirs, np.ascontiguousarray(shifts[near]), SIDE,
        _table(mine, theirs), SHARED, least=16,
    )  # fmt: skip
    information = np.full((*taken.shape, len(shifts)), np.nan, dtype=np.float32)
    rows = np.full((len(told), len(shifts)), np.nan, dtype=np.float32)
    rows[:, near] = told
    information[taken] = rows
    middles = np.eye(4)
    middles[:3, :3] = axes * STEP_MM * APART
    middles[:3, 3] = lattice.points_mm(np.full(3, REACH + (SIDE - 1) / 2))
    grid = Grid(middles, (int(nodes[0]), int(nodes[1]), int(nodes[2])))
    return Blocks(information, np.where(taken, counts // 2, 0), shifts, grid)


def _on_lattice(
    sampled: FusionImage, other: FusionImage, other_from_sampled: PointMap, lattice: Grid
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The sampled image's body and rim, and what the other one shows, in bins; negative elsewhere."""
    part = np.zeros(sampled.values.shape, dtype=bool)
    part[tuple(sampled.taking_part.T)] = True
    mine = np.full(lattice.shape, -1, dtype=np.int16)
    theirs = np.full(lattice.shape, -1, dtype=np.int16)
    plane = np.moveaxis(np.indices((*lattice.shape[:2], 1)), 0, -1).reshape(-1, 3)
    for k in range(lattice.shape[2]):
        points = lattice.points_mm(plane + np.array([0, 0, k]))
        mine[:, :, k] = _values(sampled, part, points).reshape(lattice.shape[:2])
        theirs[:, :, k] = _values(other, other.known, other_from_sampled(points)).reshape(lattice.shape[:2])
    return mine, theirs


def _values(image: FusionImage, shown: NDArray[np.bool_], points_mm: NDArray[np.float64]) -> NDArray[np.int16]:
    at = image.grid.indices(points_mm)
    nearest = np.rint(at).astype(np.int64)
    inside = np.asarray(((nearest >= 0) & (nearest < np.asarray(image.grid.shape))).all(axis=1))
    inside[inside] = shown[tuple(nearest[inside].T)]
    found = np.full(len(at), -1, dtype=np.int16)
    there = ndimage.map_coordinates(image.values, at[inside].T, order=1, mode="nearest")
    found[inside] = np.clip(np.rint(there) - PAD, 0, BINS - 1)
    return found


def _box_counts(there: NDArray[np.bool_], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) voxels of boxes of SIDE that start at voxels (B, 3)."""
    sums = np.zeros(np.asarray(there.shape) + 1, dtype=np.int64)
    sums[1:, 1:, 1:] = there.cumsum(0).cumsum(1).cumsum(2)
    total = np.zeros(len(first), dtype=np.int64)
    for corner in np.ndindex(2, 2, 2):
        sign = 1 if sum(corner) % 2 else -1
        total += sign * sums[tuple((first + SIDE * np.array(corner)).T)]
    return total
