"""A signed distance that agrees with the shares of voxels that a structure fills, for surfaces finer than its voxels.

In each voxel that the surface passes, the distance and its gradient are a plane, and a plane cuts a share off the box
(the corners' cubes, as in the volume-of-fluid method: Scardovelli and Zaleski, J Comput Phys 164:228, 2000). Where the
given share is another one, the surface moves, smoothly, until the shares agree.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.geometry.grid import Grid

ROUNDS = 8
AGREE = 0.005  # of a share, root mean square: rounding to 1/255 and few samples alone give that
LEAST_FACE = 0.02  # a side of the cut box counts as at least this share of the whole, against division by nothing
STEP = 0.25  # of a voxel's edge: the farthest move in one round
SPREAD = 0.7  # voxels over which a move is spread (standard deviation)
SURE_FACE = 0.1  # of a voxel's face: where the plane cuts less, a share says little of the distance


def share_behind(distance: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) share of a box behind a plane: where normal . x < -distance, x from the middle.

    distance: (N,) mm of the box's middle from the plane, negative behind it; sides: (N, 3) |normal| times the box's
    edges, mm.
    """
    total = sides.sum(axis=1)
    sides = np.maximum(sides, LEAST_FACE * total[:, None])
    reach = sides.sum(axis=1) / 2 - distance
    cubes = np.zeros_like(distance)
    for corner in itertools.product((0, 1), repeat=3):
        left = np.maximum(reach - sides @ np.asarray(corner, dtype=float), 0.0)
        cubes += (-1.0) ** sum(corner) * left**3
    share = cubes / (6.0 * sides.prod(axis=1))
    full = reach >= sides.sum(axis=1)  # there the cubes cancel to noise
    return np.asarray(np.where(full, 1.0, np.clip(share, 0.0, 1.0)))


def fitted_to_shares(
    distance: NDArray[np.float32], fine: Grid, occupancy: NDArray[np.uint8], grid: Grid
) -> NDArray[np.float32]:
    """The distance on `fine`, moved until the shares that it cuts off the voxels of `grid` are the occupancy's.

    distance: [i, j, k] mm on the grid `fine`, isotropic and along the axes of `grid`, negative inside; occupancy:
    uint8 [i, j, k] on `grid`, 255 full, with a layer of empty voxels around.
    """
    start = fine.indices(grid.points_mm(np.zeros(3)))
    ratio = grid.spacing_mm / fine.spacing_mm
    filled = occupancy > 0
    passed = ndimage.binary_dilation(filled & (occupancy < 255), np.ones((3, 3, 3)))
    where = np.argwhere(passed | (filled != ndimage.binary_dilation(filled, np.ones((3, 3, 3)))))
    where = where[((where > 0) & (where < np.asarray(occupancy.shape) - 1)).all(axis=1)]
    flat = np.asarray(np.ravel_multi_index(tuple(where.T), occupancy.shape), dtype=np.int64).reshape(-1)
    wanted = occupancy.ravel()[flat] / 255.0
    mean, slope = _plane(distance, (start + where * ratio).T, ratio, float(fine.spacing_mm[0]))
    moved = np.zeros(occupancy.shape, dtype=np.float32)
    edge_mm = float(grid.spacing_mm.min())
    for _ in range(ROUNDS):
        more, tilt = _plane_of_move(moved, flat, grid.spacing_mm)
        length = np.maximum(np.linalg.norm(slope + tilt, axis=1), 1e-6)
        sides = np.abs(slope + tilt) * grid.spacing_mm / length[:, None]
        offset = (mean + more) / length
        off = wanted - share_behind(offset, sides)
        if np.sqrt(np.mean(off**2)) < AGREE:
            break
        pace = 0.02 * sides.sum(axis=1)
        face = (share_behind(offset - pace, sides) - share_behind(offset + pace, sides)) / (2 * pace)  # share per mm
        step = np.clip(off / np.maximum(face, SURE_FACE / edge_mm), -STEP * edge_mm, STEP * edge_mm)
        weight = np.minimum(face * edge_mm, 1.0) + 1e-3
        moved -= _spread(step * weight, flat, occupancy.shape) / np.maximum(
            _spread(weight, flat, occupancy.shape), 1e-4
        )
    return distance + _resampled(moved, fine.shape, start, ratio)


def _spread(values: NDArray[np.float64], flat: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values at flat indices, spread by a Gaussian."""
    whole = np.zeros(shape, dtype=np.float32)
    whole.ravel()[flat] = values
    return np.asarray(ndimage.gaussian_filter(whole, SPREAD, truncate=3.0))


def _plane(
    field: NDArray[np.float32], at: NDArray[np.float64], ratio: NDArray[np.float64], step_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the field over the voxels at (3, N) indices, as far as its second differences tell, and its gradient."""
    middle = ndimage.map_coordinates(field, at, order=1, mode="nearest").astype(np.float64)
    slope, mean = np.empty((at.shape[1], 3)), middle.copy()
    for axis in range(3):
        half = np.zeros((3, 1))
        half[axis] = max(ratio[axis] / 2, 1.0)
        ahead = ndimage.map_coordinates(field, at + half, order=1, mode="nearest").astype(np.float64)
        behind = ndimage.map_coordinates(field, at - half, order=1, mode="nearest").astype(np.float64)
        slope[:, axis] = (ahead - behind) / (2 * half[axis, 0] * step_mm)
        mean += (ahead + behind - 2 * middle) / half[axis, 0] ** 2 * ratio[axis] ** 2 / 24.0
    return mean, slope


def _plane_of_move(
    moved: NDArray[np.float32], flat: NDArray[np.int64], spacing_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of a field on the voxels themselves, at flat indices that are not at its edge."""
    values = moved.ravel()
    middle = values[flat].astype(np.float64)
    slope, mean = np.empty((len(flat), 3)), middle.copy()
    for axis in range(3):
        stride = int(np.prod(moved.shape[axis + 1 :]))
        ahead, behind = values[flat + stride].astype(np.float64), values[flat - stride].astype(np.float64)
        slope[:, axis] = (ahead - behind) / (2 * spacing_mm[axis])
        mean += (ahead + behind - 2 * middle) / 24.0
    return mean, slope


def _resampled(
    coarse: NDArray[np.float32], shape: tuple[int, ...], start: NDArray[np.float64], ratio: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Linear interpolation on the fine grid, axis by axis."""
    result = coarse
    for axis, count in enumerate(shape):
        place = (np.arange(count) - start[axis]) / ratio[axis]
        low = np.clip(np.floor(place).astype(int), 0, coarse.shape[axis] - 2)
        part = np.clip(place - low, 0.0, 1.0).astype(np.float32)
        below, above = (np.take(result, low + more, axis=axis) for more in (0, 1))
        result = below + (above - below) * np.expand_dims(part, [other for other in range(3) if other != axis])
    return np.asarray(result, dtype=np.float32)
