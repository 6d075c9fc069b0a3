"""The same image with its array axes turned to point left, posterior and superior, and a coarser working grid.

What is computed in this order does not depend on how a file happened to store the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from navplan.geometry.grid import Grid

Mask = NDArray[np.bool_]

IN_PLANE = np.zeros((3, 3, 3), dtype=bool)  # neighbours within one axial slice
IN_PLANE[:, 1, 1] = IN_PLANE[1, :, 1] = True


@dataclass(frozen=True)
class CanonicalOrder:
    """How to turn an array [i, j, k] into [towards left, towards posterior, towards superior] and back.

    order[n] is the array axis that lies closest to LPS axis n; flipped[n] says that it runs the other way.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @staticmethod
    def of(grid: Grid) -> CanonicalOrder:
        """The order for a grid of any orientation: the assignment of axes with the largest sum of |cosines|."""
        _, columns = linear_sum_assignment(-np.abs(grid.axes))
        order = (int(columns[0]), int(columns[1]), int(columns[2]))
        left, posterior, superior = (bool(grid.axes[axis, order[axis]] < 0) for axis in range(3))
        return CanonicalOrder(order, (left, posterior, superior))

    @property
    def _turned(self) -> tuple[slice, slice, slice]:
        first, second, third = (slice(None, None, -1 if flipped else 1) for flipped in self.flipped)
        return first, second, third

    def apply(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """voxels[i, j, k] in canonical order, the first axis fastest in memory; a view where that is so already."""
        return np.asfortranarray(voxels.transpose(self.order)[self._turned])

    def undo(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """A view of an array in canonical order as [i, j, k]."""
        return voxels[self._turned].transpose(np.argsort(self.order))

    def spacing_mm(self, grid: Grid) -> tuple[float, float, float]:
        """Spacing along the canonical axes."""
        left, posterior, superior = (float(grid.spacing_mm[axis]) for axis in self.order)
        return left, posterior, superior


def working_factors(spacing_mm: tuple[float, float, float], at_most_mm: float) -> tuple[int, int, int]:
    """How many voxels along each axis make one of the working grid, whose spacing stays <= at_most_mm where it can."""
    left, posterior, superior = (max(1, int(at_most_mm / spacing)) for spacing in spacing_mm)
    return left, posterior, superior


def coarser(voxels: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means over blocks of `factors` voxels, float32; a last block that is cut is padded with its edge."""
    turned = voxels.T  # the slowest axis first, as images lie in memory
    for axis, factor in enumerate(factors[::-1]):
        if factor > 1:
            missing = -turned.shape[axis] % factor
            if missing:
                turned = np.pad(turned, [(0, missing if n == axis else 0) for n in range(3)], mode="edge")
            sums = turned[_every(axis, 0, factor)].astype(np.float32)
            for offset in range(1, factor):
                sums += turned[_every(axis, offset, factor)]
            turned = sums / np.float32(factor)
    return np.asarray(turned, dtype=np.float32).T


def _every(axis: int, first: int, step: int) -> tuple[slice, slice, slice]:
    pick = [slice(None)] * 3
    pick[axis] = slice(first, None, step)
    return pick[0], pick[1], pick[2]


def finer(mask: NDArray[Any], factors: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[Any]:
    """A working-grid array on the full grid of `shape`: every voxel takes the value of its block."""
    turned = mask.T
    for axis, factor in enumerate(factors[::-1]):
        if factor > 1:
            turned = np.repeat(turned, factor, axis=axis)
    return turned.T[: shape[0], : shape[1], : shape[2]]


def labelled(mask: Mask, structure: Mask | None = None) -> tuple[NDArray[np.int32], int]:
    """Connected parts of a mask (faces touch, or by `structure`), numbered from 1, and how many there are."""
    labels, count = ndimage.label(mask.T, structure=None if structure is None else structure.T)
    return np.asarray(labels.T), int(count)


def _ball_voxels(radius_mm: float, spacing_mm: tuple[float, float, float]) -> list[int]:
    return [int(radius_mm / spacing + 1e-6) for spacing in spacing_mm]


def dilated(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Grown by a ball of radius_mm (whole voxels, rounded down along each axis)."""
    return _grown_or_shrunk(mask, radius_mm, spacing_mm, shrink=False)


def eroded(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Shrunk by a ball of radius_mm; beyond the array the mask is taken to go on."""
    return _grown_or_shrunk(mask, radius_mm, spacing_mm, shrink=True)


def closed(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Dilated, then eroded: gaps narrower than twice radius_mm are filled, at the array's edge too."""
    return eroded(dilated(mask, radius_mm, spacing_mm), radius_mm, spacing_mm)


def box_of(mask: Mask, margin: int | tuple[int, ...] = 0) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds a mask, `margin` voxels wider where the array allows; None for an empty mask."""
    parts = []
    for axis, room in enumerate(np.broadcast_to(margin, 3).tolist()):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not used.size:
            return None
        parts.append(slice(max(0, int(used[0]) - room), min(mask.shape[axis], int(used[-1]) + 1 + room)))
    return parts[0], parts[1], parts[2]


def _grown_or_shrunk(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float], shrink: bool) -> Mask:
    first, second, third = _ball_voxels(radius_mm, spacing_mm)
    box = box_of(mask, 1 if shrink else (first, second, third)) if first or second or third else None
    if box is None:
        return mask
    # Shrinking is growing what is not the mask; room of one voxel is enough for that, since a ball is convex.
    turned = np.ascontiguousarray(mask[box].T)
    grown = _grown(~turned if shrink else turned, (third, second, first))
    result = np.zeros(mask.shape, dtype=bool, order="F")
    result[box] = (~grown if shrink else grown).T
    return result


def _grown(mask: Mask, radius: tuple[int, int, int]) -> Mask:
    """A C-ordered mask grown by the ellipsoid of half axes radius + 1/2 voxels (ITK's ball), row by row of the ball."""
    low, middle, high = (n + 0.5 for n in radius)
    rows: dict[int, list[tuple[int, int]]] = {}
    for slice_offset in range(-radius[0], radius[0] + 1):
        for row_offset in range(-radius[1], radius[1] + 1):
            left = 1.0 - (slice_offset / low) ** 2 - (row_offset / middle) ** 2
            if left >= 0:
                rows.setdefault(int(high * left**0.5 + 1e-9), []).append((slice_offset, row_offset))
    result = mask.copy()
    spread = mask.copy()  # the mask grown along its last axis by `reach`
    for reach in range(max(rows) + 1):
        if reach and reach < mask.shape[2]:
            spread[:, :, reach:] |= mask[:, :, :-reach]
            spread[:, :, :-reach] |= mask[:, :, reach:]
        for slice_offset, row_offset in rows.get(reach, ()):
            here, there = _shifted(slice_offset, mask.shape[0])
            row_here, row_there = _shifted(row_offset, mask.shape[1])
            result[here, row_here] |= spread[there, row_there]
    return result


def _shifted(offset: int, size: int) -> tuple[slice, slice]:
    """Where to write and where to read so that reading lies `offset` further; empty where nothing is in reach."""
    return slice(max(0, -offset), max(0, min(size, size - offset))), slice(
        min(size, max(0, offset)), max(0, size + min(0, offset))
    )
