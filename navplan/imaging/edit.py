"""Masks changed by hand: grown, shrunk, smoothed, filled between slices, painted, thresholded, without islands.

All on (mask [i, j, k], grid), lengths in mm, places in LPS. The mask is changed within its array alone: whoever calls
gives it room first (`edit_grids.with_room`). What comes back is a hard mask of the same shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.canonical import Mask
from navplan.model.volume import Volume

LEVELS = (0.25, 0.75)  # of a smoothed mask: beyond them keeping the volume would draw another shape
_ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)  # a vessel that runs askew touches by corners


def grown(mask: Mask, grid: Grid, mm: float, goes_on: Mask | None = None) -> Mask:
    """All voxels whose centre lies within mm of the mask's outline, or inside; for mm < 0 shrunk by as much.

    The outline lies half-way between the centres of voxels inside and outside, so that it is known to half a voxel and
    mm may be less than one. goes_on: where the mask is taken to go on unseen (beyond the region that was looked at):
    shrinking leaves what borders on it. Beyond the array a mask goes on as well.

    Raises InputError for mm that is 0, NaN or infinite.
    """
    if not np.isfinite(mm) or mm == 0:
        raise InputError(f"growing by {mm} mm", "a finite number of mm: above 0 grows, below 0 shrinks")
    if mm > 0:
        return _grown(mask, grid.spacing_mm, mm)
    return mask & ~_grown(~(mask if goes_on is None else mask | goes_on), grid.spacing_mm, -mm)


def _grown(mask: Mask, spacing_mm: NDArray[np.float64], mm: float) -> Mask:
    if not mask.any() or mask.all():
        return mask.copy()
    from_centres = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    half = float(spacing_mm.max()) / 2  # the outline is that near to the centre that it is next to
    result = np.asarray(mask | (from_centres <= mm - half))
    asked = np.argwhere((np.abs(from_centres - mm) <= half + 1e-9) & ~result)
    if len(asked):
        tree = cKDTree(outline_points(mask) * spacing_mm)
        distance, _ = tree.query(asked * spacing_mm, distance_upper_bound=mm + half)
        result[tuple(asked[distance <= mm + 1e-9].T)] = True
    return result


def outline_points(mask: Mask) -> NDArray[np.float64]:
    """(N, 3) indices half-way between each voxel inside and its neighbour (by a face) outside."""
    points = []
    for axis in range(3):
        where = np.argwhere(np.diff(mask, axis=axis)).astype(np.float64)
        where[:, axis] += 0.5
        points.append(where)
    return np.concatenate(points)


def smoothed(mask: Mask, grid: Grid, mm: float) -> Mask:
    """The mask blurred by a Gaussian of standard deviation mm and cut at the level that keeps its volume.

    That level stays within LEVELS: what is thinner than about mm goes all the same, and corners are rounded off.
    `moved_mm` tells by how much. Beyond the array the mask goes on as at its edge. Raises InputError for mm <= 0, NaN.
    """
    _check_positive(mm, "smoothing")
    soft = ndimage.gaussian_filter(mask.astype(np.float32), mm / grid.spacing_mm, mode="nearest", truncate=4.0)
    count = int(np.count_nonzero(mask))
    level = float(np.partition(soft, soft.size - count, axis=None)[soft.size - count]) if count else 1.0
    return np.asarray(soft >= np.clip(level, *LEVELS))


def moved_mm(before: Mask, after: Mask, grid: Grid) -> tuple[float, float, float]:
    """How far an outline moved: root of the mean square, farthest inwards, farthest outwards; inf for one that went."""
    if not before.any() or not after.any():
        return np.inf, np.inf if before.any() else 0.0, 0.0
    old, new = (outline_points(mask) * grid.spacing_mm for mask in (before, after))
    if not len(old) or not len(new):  # a mask that fills its array
        return 0.0, 0.0, 0.0
    distance, _ = cKDTree(new).query(old)
    back, _ = cKDTree(old).query(new)
    rms = float(np.sqrt(max(np.mean(distance**2), np.mean(back**2))))
    removed, added = before & ~after, after & ~before
    inwards = ndimage.distance_transform_edt(~after, sampling=grid.spacing_mm)[removed].max() if removed.any() else 0.0
    outwards = ndimage.distance_transform_edt(~before, sampling=grid.spacing_mm)[added].max() if added.any() else 0.0
    return rms, float(inwards), float(outwards)


def without_islands(
    mask: Mask, grid: Grid, least_ml: float | None = None, containing_mm: Any = None
) -> Mask:
    """The largest connected part; with least_ml all of at least that volume; with containing_mm the one at that place.

    Voxels that share a face, an edge or a corner are connected. Raises InputError for a volume <= 0 or NaN, and for a
    place where the mask has no voxel.
    """
    labels, count = ndimage.label(mask, structure=_ALL_NEIGHBOURS)
    if containing_mm is not None:
        index = np.rint(grid.indices(checked_points(containing_mm)[0])).astype(int)
        inside = bool(((index >= 0) & (index < mask.shape)).all())
        number = int(labels[tuple(index)]) if inside else 0
        if not number:
            raise InputError(f"an island at {_place(containing_mm)}, where there is none", "a place inside it, LPS mm")
        return np.asarray(labels == number)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    if least_ml is None:
        return np.asarray(labels == sizes.argmax()) if count else mask.copy()
    _check_positive(least_ml, "islands of at least", "ml")
    ml = float(np.prod(grid.spacing_mm)) / 1000
    return np.asarray((sizes * ml >= least_ml - 1e-9) & (sizes > 0))[labels]


def filled_between_slices(mask: Mask, grid: Grid, axis: int) -> tuple[Mask, float]:
    """Empty slices across `axis` between drawn ones filled, by the shape: signed distances within each drawn slice go
    over linearly from one to the next. Drawn slices stay as they are. Gives back the widest step between two, in mm.

    Where shapes of two slices lie beside each other without overlap, slices between may stay empty.

    Raises InputError for fewer than two drawn slices, and where no slice is missing.
    Source: Raya, Udupa: Shape-based interpolation of multidimensional objects. IEEE Trans Med Imaging 9 (1990) 32-42.
    """
    if axis not in (0, 1, 2):
        raise InputError(f"the axis {axis!r}", "0, 1 or 2")
    stack = np.moveaxis(mask, axis, 0)
    drawn = np.flatnonzero(stack.any(axis=(1, 2)))
    if len(drawn) < 2 or np.diff(drawn).max() < 2:
        raise InputError(
            f"{len(drawn)} drawn slices across axis {axis} and none missing between", "slices to fill between two"
        )
    spacing = np.delete(grid.spacing_mm, axis)
    result = stack.copy()
    for first, last in zip(drawn[:-1].tolist(), drawn[1:].tolist(), strict=True):
        if last - first < 2:
            continue
        below, above = (_signed_mm(stack[n], spacing) for n in (first, last))
        for n in range(first + 1, last):
            part = (n - first) / (last - first)
            result[n] = (1 - part) * below + part * above > 0
    return np.moveaxis(result, 0, axis), float(np.diff(drawn).max() * grid.spacing_mm[axis])


def _signed_mm(plane: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the outline of a slice, above 0 inside; an empty border is put around it."""
    wide = np.pad(plane, 1)
    inside, outside = (ndimage.distance_transform_edt(side, sampling=spacing_mm) for side in (wide, ~wide))
    return np.asarray(inside - outside)[1:-1, 1:-1]


def painted(
    mask: Mask, grid: Grid, stroke_mm: Any, radius_mm: float, on: bool = True, flat: int | None = None
) -> Mask:
    """With all voxels set (on) or cleared whose centre lies within radius_mm of a stroke: points (N, 3), joined.

    flat: array axis; the brush is then a disc across it, only in slices that the stroke's points lie in. A brush so
    small that it meets no centre sets the voxel of each point, and clears none.

    Raises InputError for a radius <= 0 or NaN, and for points that are none.
    """
    _check_positive(radius_mm, "a brush of")
    points = checked_points(stroke_mm)
    hit = np.zeros(mask.shape, dtype=bool)
    spacing = grid.spacing_mm.copy()
    scaled = grid.indices(points) * spacing
    if flat is not None:
        scaled[:, flat] = np.rint(scaled[:, flat] / spacing[flat]) * spacing[flat]
    for start, end in zip(scaled, scaled[1:] if len(scaled) > 1 else scaled, strict=False):
        _brush(hit, spacing, start, end, radius_mm, flat)
    if on and not hit.any():
        index = np.rint(scaled / spacing).astype(int)
        index = index[((index >= 0) & (index < mask.shape)).all(axis=1)]
        hit[tuple(index.T)] = True
    return np.asarray(mask | hit if on else mask & ~hit)


def _brush(
    hit: Mask, spacing: NDArray[np.float64], start: NDArray[Any], end: NDArray[Any], radius_mm: float, flat: int | None
) -> None:
    """Set what lies within radius_mm of a line; start, end: (3,) index times spacing."""
    reach = np.full(3, radius_mm)
    if flat is not None:
        reach[flat] = 1e-6
    lower = np.maximum(np.ceil((np.minimum(start, end) - reach) / spacing - 1e-9), 0).astype(int)
    upper = np.minimum(np.floor((np.maximum(start, end) + reach) / spacing + 1e-9) + 1, hit.shape).astype(int)
    if (upper <= lower).any():
        return
    axes = [np.arange(a, b) * s for a, b, s in zip(lower, upper, spacing, strict=True)]
    along = end - start
    length = float(along @ along)
    for k, height in enumerate(axes[2], start=int(lower[2])):  # slice by slice: a large brush needs no more memory
        centres = np.stack(np.meshgrid(axes[0], axes[1], height, indexing="ij"), axis=-1)[:, :, 0]
        part = np.clip((centres - start) @ along / length, 0, 1)[..., None] if length else 0.0
        near = np.linalg.norm(centres - start - part * along, axis=-1) <= radius_mm + 1e-9
        hit[lower[0] : upper[0], lower[1] : upper[1], k] |= near


def threshold_in_ball(
    volume: Volume, centre_mm: Any, radius_mm: float, low: float, high: float
) -> tuple[Mask, Grid]:
    """Voxels of an image with low <= value <= high whose centre lies in a ball; on the part of its grid that holds it.

    Raises InputError for a radius <= 0, numbers that are NaN, low above high, and a ball beside the image.
    """
    _check_positive(radius_mm, "a ball of")
    centre = checked_points(centre_mm)[0]
    if not (np.isfinite([low, high]).all() and low <= high):
        raise InputError(f"a threshold from {low} to {high}", "two finite numbers, the lower one first")
    grid = volume.grid
    at = grid.indices(centre)
    lower = np.maximum(np.ceil(at - radius_mm / grid.spacing_mm - 1e-9), 0).astype(int)
    upper = np.minimum(np.floor(at + radius_mm / grid.spacing_mm + 1e-9) + 1, grid.shape).astype(int)
    if (upper <= lower).any():
        raise InputError(f"a ball at {_place(centre)} of {radius_mm:g} mm, beside the image", "one inside the image")
    part = grid.crop(lower, upper - lower)
    values = volume.voxels[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    ball = painted(np.zeros(part.shape, dtype=bool), part, [centre], radius_mm)
    return np.asarray(ball & (values >= low) & (values <= high)), part


def checked_points(points_mm: Any) -> NDArray[np.float64]:
    """Points as (N, 3). Raises InputError for anything that is not finite numbers in threes."""
    try:
        points = np.asarray(points_mm, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim == 1:
        points = points[None]
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"the place {str(points_mm)[:80]}", "three finite LPS coordinates in mm, one or more times")
    return points


def _check_positive(value: float, what: str, unit: str = "mm") -> None:
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"{what} {value} {unit}", f"a finite number of {unit} above 0")


def _place(point: Any) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in np.ravel(point)) + ")"
