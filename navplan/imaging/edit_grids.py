"""Room for a mask that is to change, and masks of different grids put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.imaging.canonical import Mask

SAME_LATTICE = 1e-3  # voxels


def with_room(mask: Mask, grid: Grid, image_grid: Grid, margin_mm: float, points_mm: Any = None) -> tuple[Mask, Grid]:
    """The same mask on a larger part of its lattice: margin_mm around it, or around it and points (N, 3), as far as the
    image reaches. It is never made smaller. A lattice askew to the image may reach beyond the image's corners: see
    `inside`.
    """
    margin = np.ceil(margin_mm / grid.spacing_mm) + 1
    lower, upper = np.zeros(3), np.asarray(grid.shape) - 1.0
    wanted = np.array([lower - margin, upper + margin])
    if points_mm is not None:
        at = grid.indices(points_mm).reshape(-1, 3)
        wanted = np.array([
            np.minimum(lower, np.floor(at.min(axis=0)) - margin), np.maximum(upper, np.ceil(at.max(axis=0)) + margin)
        ])  # fmt: skip
    corners = grid.indices(image_grid.corners_mm())
    first = np.minimum(lower, np.maximum(wanted[0], np.ceil(corners.min(axis=0) - 1e-6))).astype(int)
    last = np.maximum(upper, np.minimum(wanted[1], np.floor(corners.max(axis=0) + 1e-6))).astype(int)
    larger = np.zeros(tuple(last - first + 1), dtype=bool)
    larger[tuple(slice(-a, -a + n) for a, n in zip(first, grid.shape, strict=True))] = mask
    return larger, grid.crop(first, last - first + 1)


def inside(grid: Grid, region: Grid) -> Mask:
    """Which voxels of a grid have their centre in the box of a region."""
    result = np.zeros(grid.shape, dtype=bool)
    plane = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), [0], indexing="ij")
    columns = grid.points_mm(np.stack(plane, axis=-1))
    for k in range(grid.shape[2]):
        result[:, :, k] = region.contains(columns[:, :, 0] + k * grid.affine[:3, 2])
    return result


def onto(mask: Mask, grid: Grid, target: Grid, outward: bool) -> Mask:
    """A mask on the voxels of another grid. On one lattice they are the same voxels.

    Elsewhere a voxel is taken if its centre lies in a voxel of the mask; with `outward` also if it holds the centre of
    one, so that nothing thin is lost. Raises MismatchError for grids of two frames of reference.
    """
    if grid.frame_uid and target.frame_uid and grid.frame_uid != target.frame_uid:
        raise MismatchError(
            f"masks in frames of reference {grid.frame_uid} and {target.frame_uid}", "one", "Register the images first"
        )
    result = np.zeros(target.shape, dtype=bool)
    offset = same_lattice(grid, target)
    if offset is not None:
        first, last = np.maximum(offset, 0), np.minimum(offset + mask.shape, target.shape)
        if (first < last).all():
            result[_between(first, last)] = mask[_between(first - offset, last - offset)]
        return result
    where = np.argwhere(mask)
    if not len(where):
        return result
    box = _box_in(target, grid, where)
    if box is not None:
        axes = [np.arange(part.start, part.stop) for part in box]
        for k in axes[2]:
            plane = np.stack(np.meshgrid(axes[0], axes[1], [k], indexing="ij"), axis=-1)[:, :, 0]
            index = np.rint(grid.indices(target.points_mm(plane))).astype(int)
            met: Mask = np.asarray(((index >= 0) & (index < mask.shape)).all(axis=-1))
            index = np.where(met[..., None], index, 0)
            result[box[0], box[1], k] = met & mask[index[..., 0], index[..., 1], index[..., 2]]
    if outward:
        _set(result, np.rint(target.indices(grid.points_mm(where))).astype(int))
    return result


def same_lattice(grid: Grid, target: Grid) -> NDArray[np.int64] | None:
    """The index in `target` of the first voxel of `grid`, where all voxels of both fall on one lattice; else None."""
    ends = target.indices(grid.points_mm(np.array([(0, 0, 0), np.asarray(grid.shape) - 1])))
    turn = np.linalg.inv(target.affine[:3, :3]) @ grid.affine[:3, :3]
    far = np.maximum(np.asarray(grid.shape), target.shape).max()
    whole = np.rint(ends)
    if np.abs(turn - np.eye(3)).max() * far > SAME_LATTICE or np.abs(ends - whole).max() > SAME_LATTICE:
        return None
    return np.asarray(whole[0].astype(np.int64))


def common_region(first: Grid, second: Grid) -> Grid:
    """The region in which both were looked for, in voxels of the first that lie in the second wholly.

    Raises InputError where two regions stand askew to each other and neither holds the other, or they share nothing.
    """
    slack = -1e-3
    if second.contains(first.corners_mm(), slack).all():
        return first
    if first.contains(second.corners_mm(), slack).all():
        return second
    turn = np.linalg.inv(first.affine[:3, :3]) @ second.affine[:3, :3]
    along = np.abs(turn) > 1e-6 * np.abs(turn).max()
    if (along.sum(axis=0) != 1).any():
        raise InputError("structures looked for in regions that stand askew", "regions along the same axes")
    corners = first.indices(second.corners_mm())
    lower = np.maximum(np.ceil(corners.min(axis=0) + 0.5 - 1e-6), 0).astype(int)
    upper = np.minimum(np.floor(corners.max(axis=0) - 0.5 + 1e-6), np.asarray(first.shape) - 1).astype(int)
    if (upper < lower).any():
        raise InputError("structures looked for in regions that share nothing", "regions that overlap")
    return first.crop(lower, upper - lower + 1)


def _box_in(target: Grid, grid: Grid, where: NDArray[Any]) -> tuple[slice, slice, slice] | None:
    """The part of `target` around voxels of `grid`, None where there is none."""
    low, high = where.min(axis=0), where.max(axis=0)
    corners = target.indices(grid.crop(low, high - low + 1).corners_mm())
    first = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(corners.max(axis=0)) + 1, target.shape).astype(int)
    if (last <= first).any():
        return None
    return _between(first, last)


def _between(first: NDArray[Any], last: NDArray[Any]) -> tuple[slice, slice, slice]:
    parts = [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)]
    return parts[0], parts[1], parts[2]


def _set(mask: Mask, index: NDArray[Any]) -> None:
    index = index[((index >= 0) & (index < mask.shape)).all(axis=1)]
    mask[tuple(index.T)] = True
