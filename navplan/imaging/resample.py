"""Uneven stacks of slices made even, tilted ones orthogonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError

WHOLE_SHIFT = 1e-6  # a shift this close to whole voxels (in voxels) moves them without interpolation
ON_SLICE = 0.02  # of a slice: so near to a measured slice a plane of the grid holds it as it is


def evenly_spaced(
    voxels: NDArray[Any], places: NDArray[np.float64], count: int, left_open: Sequence[int], fill: float,
    padding: float | None = None,
) -> NDArray[Any]:  # fmt: skip
    """Slices at any places put on an even grid of `count` slices, linearly between each slice and the next.

    voxels: [i, j, n], slice n at places[n] (N,), in slices of the grid, rising from 0 to count - 1. left_open: numbers
    of slices between which and the next nothing is interpolated: planes there hold `fill`, except those within half a
    plane of a slice, which hold that slice. What would be interpolated from `padding` holds `fill` too. Returns voxels
    [i, j, k] of the same type.
    """
    result = np.full((count, voxels.shape[1], voxels.shape[0]), fill, dtype=voxels.dtype).T
    below = np.clip(np.searchsorted(places, np.arange(count) + ON_SLICE, side="right") - 1, 0, len(places) - 1)
    for k, n in enumerate(below):
        near = min((n, min(n + 1, len(places) - 1)), key=lambda one: abs(places[one] - k))
        if abs(places[near] - k) <= (0.5 if n in left_open else ON_SLICE):
            result[:, :, k] = voxels[:, :, near]
        elif n not in left_open:
            part = float((k - places[n]) / (places[n + 1] - places[n]))
            lower, upper = voxels[:, :, n], voxels[:, :, n + 1]
            between = (1.0 - part) * lower.astype(np.float32) + part * upper.astype(np.float32)
            if voxels.dtype.kind != "f":
                between = np.rint(between)
            if padding is not None:
                between[(lower == padding) | (upper == padding)] = fill
            result[:, :, k] = between.astype(voxels.dtype)
    return result


def straighten_stack(
    voxels: NDArray[Any], affine: NDArray[np.float64], fill: float, padding: float | None = None
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Slide the slices of a sheared stack (gantry tilt) inside their own planes until they lie above one another.

    voxels: [i, j, k]; affine: (4, 4) index -> LPS mm with orthogonal i and j, k in any direction that leaves the plane.
    Each slice stays in its plane, where it was measured; only within the plane it is interpolated, linearly. The new
    grid is orthogonal, its k axis along the slices' normal, and large enough for all slices. What no slice covers, and
    what was interpolated from `padding`, holds `fill`. Returns voxels of the same type and the new affine.

    Raises GeometryError where i and j are not orthogonal or k lies in their plane.
    """
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    first, second = (affine[:3, :2] / spacing).T
    if abs(float(first @ second)) > 1e-3:
        raise GeometryError("slices whose rows and columns are not at right angles", "right angles within each slice")
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal)
    step = affine[:3, 2]
    gap = float(step @ normal)
    if abs(gap) < 1e-3 * float(np.linalg.norm(step)):
        raise GeometryError("slices that lie in one plane", "slices one above the other")
    per_slice = np.array([step @ first, step @ second]) / spacing  # voxels along i and j
    shifts = np.arange(voxels.shape[2])[:, None] * per_slice
    lowest = shifts.min(axis=0)
    shifts = shifts - lowest
    extra = np.ceil(shifts.max(axis=0) - WHOLE_SHIFT).astype(int)
    shape = (voxels.shape[0] + int(extra[0]), voxels.shape[1] + int(extra[1]))
    result = np.full((voxels.shape[2], shape[1], shape[0]), fill, dtype=voxels.dtype).T
    for k, shift in enumerate(shifts):
        result[:, :, k] = _shifted(voxels[:, :, k], shift, shape, fill, padding)
    straight = affine.copy()
    straight[:3, 2] = gap * normal
    straight[:3, 3] = affine[:3, 3] + lowest[0] * affine[:3, 0] + lowest[1] * affine[:3, 1]
    return result, straight


def _shifted(
    plane: NDArray[Any], shift: NDArray[np.float64], shape: tuple[int, int], fill: float, padding: float | None
) -> NDArray[Any]:
    """One slice moved by `shift` voxels (>= 0 along both axes) on a plane of `shape`."""
    values = np.full(shape, np.nan)
    here = plane.astype(np.float64)
    if padding is not None:
        here[plane == padding] = np.nan
    values[: plane.shape[0], : plane.shape[1]] = here
    for axis in (0, 1):
        whole = int(np.floor(shift[axis] + WHOLE_SHIFT))
        part = float(shift[axis]) - whole
        values = np.roll(values, whole, axis)  # the last rows hold nothing, so nothing comes round
        if part > WHOLE_SHIFT:
            values = (1.0 - part) * values + part * np.roll(values, 1, axis)
    if plane.dtype.kind != "f":
        values = np.rint(values)
    return np.where(np.isnan(values), fill, values).astype(plane.dtype)
