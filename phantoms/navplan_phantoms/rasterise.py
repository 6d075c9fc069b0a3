"""Fractional occupancy of an analytic solid on a grid of any spacing and direction.

Promise, with |s| the diagonal of a voxel:

1. every voxel that the solid touches has occupancy >= 1 (of 255);
2. every voxel with occupancy >= 1 has a point of the solid within |s|/2 of its centre.

So a distance to the centres of the voxels with occupancy >= 1 is within |s|/2 of the true distance, on either side.
The first holds for every solid. The second holds exactly where `solid.exact_outside`; for intersections and differences
a voxel may also be marked if its parts' surfaces come within |s|/32 of it but meet a little farther off (their edge).
Spacing, rotation, flips and shear all come from the affine; for a sheared grid |s| is the longest voxel diagonal.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan_phantoms.solid_base import FloatArray, Solid, turned_points

FULL = 255
_SAMPLES_PER_AXIS = (1, 2, 4, 8)
_LARGEST_BLOCK_MM = 24.0
_POINTS_PER_CHUNK = 800_000
_EXTRA_HALVINGS_WHERE_INEXACT = 2
_ROUNDING_MM = 1e-9
_OCTANTS = np.array(list(itertools.product((-0.25, 0.25), repeat=3)))


@dataclass(frozen=True, eq=False)
class CroppedOccupancy:
    """Occupancy (uint8, 0..255) on the index range that starts at `offset` of the whole grid; may be empty."""

    offset: tuple[int, int, int]
    occupancy: NDArray[np.uint8]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index ranges of the crop in the whole grid."""
        i, j, k = (slice(low, low + size) for low, size in zip(self.offset, self.occupancy.shape, strict=True))
        return i, j, k


def longest_diagonal_mm(directions: ArrayLike) -> float:
    """Longest diagonal of the cell spanned by the columns of a 3x3 matrix (the spacing's norm if orthogonal)."""
    columns = np.asarray(directions, dtype=np.float64)
    signs = np.array([(1.0, a, b) for a, b in itertools.product((-1.0, 1.0), repeat=2)])
    return float(np.linalg.norm(signs @ columns.T, axis=1).max())


def rasterise(
    solid: Solid,
    affine: ArrayLike,
    shape: tuple[int, int, int],
    samples_per_axis: int = 4,
    mark_touched: bool = True,
) -> CroppedOccupancy:
    """Occupancy of `solid` on the grid index (i, j, k) -> affine @ (i, j, k, 1) mm (voxel centres), cropped.

    `samples_per_axis` is 1, 2, 4 or 8: voxels at the surface are sampled at its cube. Without `mark_touched` a voxel
    none of whose sub-samples is inside stays 0: faster, for painting, and no promise. Raises ValueError for another
    number, for an affine that is not an invertible 4x4 matrix and for a shape that is not three positive integers.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    if samples_per_axis not in _SAMPLES_PER_AXIS:
        raise ValueError(f"samples_per_axis is one of {_SAMPLES_PER_AXIS}, received {samples_per_axis}")
    if matrix.shape != (4, 4) or not bool(np.all(np.isfinite(matrix))) or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise ValueError("the affine must be a finite invertible 4x4 matrix")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"the shape must be three positive integers, received {shape}")
    low, high = _index_range(solid, matrix, shape)
    if bool(np.any(high <= low)):
        return CroppedOccupancy((0, 0, 0), np.zeros((0, 0, 0), dtype=np.uint8))
    origin = matrix[:3, :3] @ low + matrix[:3, 3]
    filled = _fill(solid, matrix[:3, :3], origin, high - low, samples_per_axis, mark_touched)
    return _tight(filled, low)


def hard_occupancy(solid: Solid, affine: ArrayLike, fractional: CroppedOccupancy) -> CroppedOccupancy:
    """Centre-sampled labels (0 or 255) on the crop of `fractional`: what a label map of the same solid would hold."""
    matrix = np.asarray(affine, dtype=np.float64)
    hard = np.where(fractional.occupancy == FULL, FULL, 0).astype(np.uint8)
    partial = np.argwhere((fractional.occupancy > 0) & (fractional.occupancy < FULL))
    if len(partial):
        centres = turned_points(partial + np.array(fractional.offset), matrix[:3, :3].T) + matrix[:3, 3]
        hard[tuple(partial.T)] = np.where(solid.contains(centres), FULL, 0)
    return CroppedOccupancy(fractional.offset, hard)


def _index_range(
    solid: Solid, matrix: FloatArray, shape: tuple[int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and past-the-last index of the part of the grid that may touch the solid."""
    bounds = solid.bounds_mm()
    whole = np.zeros(3, dtype=np.int64), np.array(shape, dtype=np.int64)
    if not bool(np.all(np.isfinite(bounds))):
        return whole
    corners = np.array(list(itertools.product(*bounds.T)))
    indices = (corners - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    low = np.floor(indices.min(axis=0) - 0.5).astype(np.int64)
    high = np.ceil(indices.max(axis=0) + 0.5).astype(np.int64) + 1
    return np.maximum(low, whole[0]), np.minimum(high, whole[1])


def _block_sizes(directions: FloatArray, extent: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Block sizes in voxels from coarse to one voxel, about equally long in mm along the three axes."""
    spacing = np.linalg.norm(directions, axis=0)
    levels = np.floor(np.log2(np.maximum(1.0, np.minimum(_LARGEST_BLOCK_MM / spacing, extent)))).astype(int)
    depth = int(levels.max())
    return [2 ** np.clip(levels - step, 0, None) for step in range(depth + 1)]


def _fill(
    solid: Solid,
    directions: FloatArray,
    origin: FloatArray,
    extent: NDArray[np.int64],
    samples_per_axis: int,
    mark_touched: bool,
) -> NDArray[np.uint8]:
    """Occupancy on the whole crop, from coarse blocks down to the voxels at the surface."""
    sizes = _block_sizes(directions, extent)
    counts = -(-extent // sizes[0])
    padded = np.zeros(counts * sizes[0], dtype=np.uint8)
    lows = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3) * sizes[0]
    for level, size in enumerate(sizes):
        if level > 0:
            ratio = sizes[level - 1] // size
            steps = np.array(list(itertools.product(*(range(n) for n in ratio)))) * size
            lows = (lows[:, None, :] + steps).reshape(-1, 3)
            lows = lows[np.all(lows < extent, axis=1)]
        half = 0.5 * longest_diagonal_mm(directions * size)
        signed = _signed_in_chunks(solid, origin + turned_points(lows + 0.5 * (size - 1), directions.T))
        _fill_blocks(padded, lows[signed < -half], size)
        lows = lows[np.abs(signed) <= half + _ROUNDING_MM]
    if len(lows):
        centres = origin + turned_points(lows.astype(np.float64), directions.T)
        padded[tuple(lows.T)] = _surface_occupancy(solid, centres, directions, samples_per_axis, mark_touched)
    return padded[tuple(slice(0, int(n)) for n in extent)]


def _fill_blocks(padded: NDArray[np.uint8], lows: NDArray[np.int64], size: NDArray[np.int64]) -> None:
    """Set all voxels of the blocks that start at `lows` to full."""
    blocks = [length // edge for length, edge in zip(padded.shape, size, strict=True)]
    view = padded.reshape(blocks[0], size[0], blocks[1], size[1], blocks[2], size[2])
    i, j, k = (lows // size).T
    view[i, :, j, :, k, :] = FULL


def _signed_in_chunks(solid: Solid, points: FloatArray) -> FloatArray:
    """Signed distance of many points with bounded memory."""
    chunks = range(0, len(points), _POINTS_PER_CHUNK)
    parts = [solid.signed_distance_mm(points[first : first + _POINTS_PER_CHUNK]) for first in chunks]
    return np.concatenate(parts) if parts else np.zeros(0)


def _surface_occupancy(
    solid: Solid, centres: FloatArray, directions: FloatArray, samples_per_axis: int, mark_touched: bool
) -> NDArray[np.uint8]:
    """Occupancy (N,) of the voxels around (N, 3) centres by regular sub-samples, at least 1 where touched."""
    steps = (np.arange(samples_per_axis) + 0.5) / samples_per_axis - 0.5
    offsets = np.array(list(itertools.product(steps, repeat=3))) @ directions.T
    samples = len(offsets)
    at_once = max(1, _POINTS_PER_CHUNK // samples)
    occupancy = np.zeros(len(centres), dtype=np.uint8)
    for first in range(0, len(centres), at_once):
        here = centres[first : first + at_once]
        inside = solid.within_around(here, offsets).sum(axis=1)
        value = np.rint(inside * (FULL / samples)).astype(np.int64)
        value[(inside > 0) & (value == 0)] = 1
        value[(inside < samples) & (value == FULL)] = FULL - 1
        if mark_touched:
            unknown = np.flatnonzero(inside == 0)
            value[unknown[_touched(solid, here[unknown], offsets, directions / samples_per_axis)]] = 1
        occupancy[first : first + at_once] = value
    return occupancy


def _touched(solid: Solid, centres: FloatArray, offsets: FloatArray, cell: FloatArray) -> NDArray[np.bool_]:
    """Which voxels (N,) the solid may touch though none of their sub-samples, centres + offsets, is inside it.

    A sub-cell (its edges are the columns of `cell`) stays possible if its centre is within its half diagonal of the
    solid. Where the distance is only a lower bound, near the edges of intersections and differences, the possible
    sub-cells are halved twice more. Never drops a voxel that is touched.
    """
    half = 0.5 * longest_diagonal_mm(cell)
    possible = solid.within_around(centres, offsets, half + _ROUNDING_MM)
    touched = np.asarray(possible.any(axis=1))
    marked = np.flatnonzero(touched)
    reach = float(np.linalg.norm(offsets, axis=1).max()) + half
    inexact = marked[~solid.exact_near(centres[marked], reach)]
    touched[inexact] = False
    rows, columns = np.nonzero(possible[inexact])
    owners = inexact[rows]
    cells = centres[owners] + offsets[columns]
    for _ in range(_EXTRA_HALVINGS_WHERE_INEXACT):
        cells = (cells[:, None, :] + _OCTANTS @ cell.T).reshape(-1, 3)
        owners, cell, half = np.repeat(owners, len(_OCTANTS)), 0.5 * cell, 0.5 * half
        signed = _signed_in_chunks(solid, cells)
        touched[owners[signed <= 0.0]] = True
        near = (signed <= half + _ROUNDING_MM) & ~touched[owners]
        owners, cells = owners[near], cells[near]
    touched[owners] = True
    return touched


def _tight(filled: NDArray[np.uint8], low: NDArray[np.int64]) -> CroppedOccupancy:
    """Crop to the touched voxels."""
    ranges = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        touched = np.flatnonzero(filled.any(axis=others))
        if len(touched) == 0:
            return CroppedOccupancy((0, 0, 0), np.zeros((0, 0, 0), dtype=np.uint8))
        ranges.append((int(touched[0]), int(touched[-1]) + 1))
    crop = filled[tuple(slice(first, last) for first, last in ranges)].copy()
    i, j, k = (int(start) + first for start, (first, _) in zip(low, ranges, strict=True))
    return CroppedOccupancy((i, j, k), crop)
