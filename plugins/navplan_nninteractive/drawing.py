"""What a person draws on a slice, as voxels of the image: points, lines, closed outlines, boxes.

A slice is one of the image's own, across any of its axes: the drawing has to lie in one layer of voxels. Masks are
small boxes [i, j, k] with the first voxel of each in the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid

FINEST_STEP = 0.25  # voxels, along a line


@dataclass(frozen=True, eq=False)
class Drawn:
    """mask: uint8 [i, j, k] of 0 and 1, one voxel thick; start: its first voxel in the image."""

    mask: NDArray[np.uint8]
    start: tuple[int, int, int]


def voxel_at(grid: Grid, point_mm: ArrayLike) -> tuple[int, int, int]:
    """The voxel (i, j, k) that holds an LPS point. Raises InputError for one outside the image or not finite."""
    i, j, k = (int(n) for n in np.rint(_indices(grid, [np.asarray(point_mm, dtype=np.float64)], 1)[0]))
    return i, j, k


def box_between(grid: Grid, corner_mm: ArrayLike, opposite_mm: ArrayLike) -> tuple[tuple[int, int], ...]:
    """Half-open ranges (start, stop) along i, j, k of the voxels from one corner's to the other's, both included."""
    one, other = voxel_at(grid, corner_mm), voxel_at(grid, opposite_mm)
    return tuple((min(a, b), max(a, b) + 1) for a, b in zip(one, other, strict=True))


def line_through(
    grid: Grid, points_mm: ArrayLike, thickness: ArrayLike = 1.0, normal: ArrayLike | None = None
) -> Drawn:
    """A scribble: the line through points (N, 3) LPS, as many voxels thick within its slice as `thickness` (one number
    or three along i, j, k) says. normal: (3,) square to that slice. A straight line lies in slices of two directions;
    where no normal tells which, it is one voxel thick across both, so that no slice beside it is marked.

    Raises InputError: no points, one outside the image, or points of several slices.
    """
    indices = _indices(grid, points_mm, 1)
    axis, _ = _slice(indices)
    flat = _flat(indices)
    if normal is not None:
        axis = int(np.argmax(np.abs(grid.axes.T @ np.asarray(normal, dtype=np.float64))))
        if axis not in flat:
            raise _over_slices(indices, axis)
        flat = [axis]
    steps = [indices[:1]]
    for start, stop in pairwise(indices):
        count = max(2, int(np.ceil(np.abs(stop - start).max() / FINEST_STEP)) + 1)
        steps.append(np.linspace(start, stop, count)[1:])
    line = np.concatenate(steps)
    radius = np.broadcast_to(np.asarray(thickness, dtype=np.float64), 3) / 2
    reach = [0 if n in flat else int(np.ceil(radius[n])) for n in range(3)]
    lower = np.maximum(np.floor(line.min(axis=0) + 0.5).astype(int) - reach, 0)
    upper = np.minimum(np.floor(line.max(axis=0) + 0.5).astype(int) + reach, np.asarray(grid.shape) - 1)
    lower[flat] = upper[flat] = np.rint(indices[0, flat])
    mask = np.zeros(upper - lower + 1, dtype=np.uint8)
    inside = np.argwhere(mask == 0) + lower
    across = [n for n in range(3) if n != axis]
    scale = np.maximum(radius, 0.5)[across]
    for point in line:
        near = (((inside - point)[:, across] / scale) ** 2).sum(axis=1) <= 1.0
        mask[tuple((inside[near] - lower).T)] = 1
    nearest = np.clip(np.rint(line).astype(int), lower, upper)
    mask[tuple((nearest - lower).T)] = 1
    return _cropped(mask, lower)


def inside_outline(grid: Grid, points_mm: ArrayLike) -> Drawn:
    """A lasso: the voxels of one slice whose centres lie inside the closed outline through points (N, 3) LPS, and those
    that hold its points.

    The rule is even-odd. Raises InputError: fewer than three points, one outside the image, points of several slices.
    """
    indices = _indices(grid, points_mm, 3)
    axis, layer = _slice(indices)
    nearest = np.rint(indices).astype(int)
    nearest[:, axis] = layer
    lower, upper = nearest.min(axis=0), nearest.max(axis=0)
    mask = np.zeros(upper - lower + 1, dtype=np.uint8)
    u, v = (n for n in range(3) if n != axis)
    centres = np.argwhere(mask == 0)
    x, y = centres[:, u] + lower[u], centres[:, v] + lower[v]
    odd = np.zeros(len(centres), dtype=bool)
    for (ax, ay), (bx, by) in zip(indices[:, (u, v)], np.roll(indices[:, (u, v)], -1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = (ay > y) != (by > y)
        odd ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    mask[tuple(centres[odd].T)] = 1
    mask[tuple((nearest - lower).T)] = 1
    return Drawn(mask, (int(lower[0]), int(lower[1]), int(lower[2])))


def _cropped(mask: NDArray[np.uint8], lower: NDArray[np.int64]) -> Drawn:
    marked = np.argwhere(mask)
    first, last = marked.min(axis=0), marked.max(axis=0)
    start = lower + first
    part = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    return Drawn(mask[part], (int(start[0]), int(start[1]), int(start[2])))


def _indices(grid: Grid, points_mm: ArrayLike, fewest: int) -> NDArray[np.float64]:
    points = np.asarray(points_mm, dtype=np.float64)
    if points.ndim != 2 or points.shape[-1] != 3 or len(points) < fewest:
        raise InputError(f"points of shape {points.shape}", f"at least {fewest} points (N, 3), LPS mm")
    if not np.isfinite(points).all():
        raise InputError("points that are not finite", "LPS mm")
    outside = ~grid.contains(points)
    if outside.any():
        raise InputError(
            f"a point at {np.round(points[outside][0], 1).tolist()} mm, outside the image", "points inside it, LPS mm"
        )
    return np.clip(grid.indices(points), 0, np.asarray(grid.shape) - 1)


def _slice(indices: NDArray[np.float64]) -> tuple[int, int]:
    """The axis that the drawing's slice lies across, and which slice: the thinnest of those that hold all points."""
    flat = _flat(indices)
    if not flat:
        raise _over_slices(indices, int(np.argmin(np.ptp(np.rint(indices), axis=0))))
    axis = min(flat, key=lambda n: float(np.ptp(indices[:, n])))
    return axis, int(np.rint(indices[0, axis]))


def _flat(indices: NDArray[np.float64]) -> list[int]:
    """The axes that all points have one voxel along."""
    return [axis for axis in range(3) if np.ptp(np.rint(indices[:, axis])) == 0]


def _over_slices(indices: NDArray[np.float64], axis: int) -> InputError:
    return InputError(
        f"a drawing over {int(np.ptp(np.rint(indices[:, axis]))) + 1} slices of the image",
        "one slice, across any of the image's axes", "Draw on a slice of the image itself, not on an oblique one",
    )  # fmt: skip
