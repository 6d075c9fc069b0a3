"""Closed planar contours to voxels of the slices that they were drawn on.

Even-odd rule, a voxel by its centre: a hole is drawn as a contour within another, or as a keyhole (DICOM PS3.3
C.8.8.6.3), and both come out so. A scan line's crossings are those of Foley, van Dam et al., Computer Graphics, 3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid

PLANAR = 0.5  # of the gap between slices: how far a contour may leave its plane
SAME_PLANE = 0.02  # of that gap
GAP = 1.5  # times the usual distance of planes: beyond it slices were left out
INSIDE = 0.98  # of a contour's voxels within another: it is a hole or an island in it


@dataclass(frozen=True, eq=False)
class FilledContours:
    """mask [i, j, k] on the image's grid; spacing_mm: usual distance of the planes; axis: of the image, across them;
    span: first and last slice index that a plane lies on (may lie outside the image)."""

    mask: NDArray[np.bool_]
    axis: int
    spacing_mm: float
    span: tuple[float, float]
    notes: tuple[str, ...] = ()


def plane_axis(contours: Sequence[NDArray[np.float64]], grid: Grid) -> int | None:
    """The axis of the image that all contours (N, 3; LPS mm) lie across; None where they lie askew to all three."""
    spread = np.zeros(3)
    for points in contours:
        spread = np.maximum(spread, np.ptp(grid.indices(points), axis=0))
    axis = int(np.argmin(spread))
    return axis if spread[axis] <= PLANAR else None


def usual_distance_mm(positions_mm: Sequence[float], tolerance_mm: float) -> float | None:
    """The median distance of neighbouring planes, None where there are fewer than two."""
    places = np.sort(np.asarray(positions_mm, dtype=float))
    gaps = np.diff(places)
    gaps = gaps[gaps > tolerance_mm]
    return float(np.median(gaps)) if gaps.size else None


def fill_contours(
    contours: Sequence[NDArray[np.float64]], grid: Grid, axis: int, usual_mm: float | None = None
) -> FilledContours:
    """The voxels inside contours that lie across an axis of the image.

    A contour stands for a slab as thick as the usual distance of planes (usual_mm where there is one plane only), at
    least for the slice nearest to it. Between planes that lie further apart than GAP times that, nothing is filled.
    """
    notes: list[str] = []
    slice_mm = float(grid.spacing_mm[axis])
    others = [n for n in range(3) if n != axis]
    placed = [grid.indices(points) for points in contours]
    planes: list[tuple[float, list[NDArray[np.float64]]]] = []
    for points in sorted(placed, key=lambda found: float(found[:, axis].mean())):
        at = float(points[:, axis].mean())
        if planes and at - planes[-1][0] <= SAME_PLANE:
            planes[-1][1].append(points[:, others])
        else:
            planes.append((at, [points[:, others]]))
    places = [at for at, _ in planes]
    spacing = usual_distance_mm([at * slice_mm for at in places], SAME_PLANE * slice_mm) or usual_mm or slice_mm
    reach = max(spacing / slice_mm, 1.0) / 2
    mask = np.zeros(grid.shape, dtype=bool, order="F")
    slices = np.moveaxis(mask, axis, 0)
    told: dict[str, int] = {}
    for number, (at, polygons) in enumerate(planes):
        low = _border(places, number, -1, reach)
        high = _border(places, number, 1, reach)
        covered = [k for k in range(int(np.ceil(low)), int(np.floor(high)) + 1) if 0 <= k < len(slices)]
        nearest = int(np.floor(at + 0.5))
        if nearest not in covered and 0 <= nearest < len(slices):
            covered.append(nearest)
        if covered:
            filled = _filled_plane(polygons, (slices.shape[1], slices.shape[2]), told)
            for k in covered:
                slices[k] |= filled
    outside = sum(not -0.5 <= at <= len(slices) - 0.5 for at in places)
    if outside:
        notes.append(f"{outside} of its {len(places)} planes lie beyond the image")
    wide = [gap for gap in np.diff(places) if gap > 2 * reach * GAP]
    if wide:
        words = ", ".join(f"{gap * slice_mm:.1f}" for gap in wide)
        notes.append(f"between its planes are gaps of {words} mm, where nothing is filled")
    if spacing > 1.5 * slice_mm:
        notes.append(f"planes {spacing:.1f} mm apart on slices of {slice_mm:.1f} mm: each stands for a slab so thick")
    off = max(abs(at - round(at)) for at in places) * slice_mm
    if off > 0.1 * slice_mm:
        notes.append(f"planes up to {off:.1f} mm off the image's slices")
    notes += [words.format(count) for words, count in told.items()]
    return FilledContours(mask, axis, spacing, (places[0], places[-1]), tuple(notes))


def _border(places: Sequence[float], number: int, step: int, reach: float) -> float:
    """How far a plane's slab goes towards one side: half way to its neighbour, which both share, or to its own half."""
    at, other = places[number], number + step
    edge = reach - 1e-6  # without a neighbour, a slice at exactly half the distance is not taken
    if 0 <= other < len(places) and abs(places[other] - at) <= 2 * reach * GAP:
        edge = abs(places[other] - at) / 2 + 1e-6
    return at + step * edge


def _filled_plane(
    polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int], told: dict[str, int]
) -> NDArray[np.bool_]:
    """Contours of one plane, larger ones first: one within another is a hole (or an island in a hole), one beside it
    an island; one that crosses another is added, since even-odd would cut a hole that nobody drew."""
    masks = sorted(((polygon_mask([one], shape), one) for one in polygons), key=lambda pair: -int(pair[0].sum()))
    result = np.zeros(shape, dtype=bool)
    covered = np.zeros(shape, dtype=bool)  # by any contour so far
    drawn: list[NDArray[np.bool_]] = []
    for mask, polygon in masks:
        size = int(mask.sum())
        if not size:
            _lone_voxel(polygon, covered, result, told)
            continue
        if any(int(other.sum()) == size and (other == mask).all() for other in drawn):
            _tell(told, "{} contours are drawn twice: one of each is taken")
            continue
        within = int((mask & covered).sum()) / size
        if within >= INSIDE or within == 0.0:
            result ^= mask
        else:
            _tell(told, "{} contours cross another of their plane: both are filled")
            result |= mask
        covered |= mask
        drawn.append(mask)
    return result


def _lone_voxel(
    polygon: NDArray[np.float64], covered: NDArray[np.bool_], result: NDArray[np.bool_], told: dict[str, int]
) -> None:
    """A contour too small for the centre of a voxel: the voxel at its middle, unless it is a hole in another."""
    middle = np.rint(polygon.mean(axis=0)).astype(int)
    if ((middle >= 0) & (middle < result.shape)).all() and not covered[tuple(middle)]:
        result[tuple(middle)] = True
        _tell(told, "{} contours hold no voxel's centre: the voxel at the middle of each is taken")


def _tell(told: dict[str, int], words: str) -> None:
    told[words] = told.get(words, 0) + 1


def polygon_mask(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels (centres at whole numbers) of `shape` lie inside polygons (N, 2), by the even-odd rule over all.

    A centre on an edge belongs to the side of higher indices, so that polygons that share an edge share no pixel.
    """
    ends = np.concatenate([np.stack([points, np.roll(points, -1, axis=0)], axis=1) for points in polygons])
    upward = ends[:, 0, 1] <= ends[:, 1, 1]
    lower, upper = np.where(upward[:, None], ends[:, 0], ends[:, 1]), np.where(upward[:, None], ends[:, 1], ends[:, 0])
    first, last = (np.clip(np.ceil(end[:, 1]), 0, shape[1]).astype(int) for end in (lower, upper))
    lines = last - first
    edge = np.repeat(np.arange(len(lines)), lines)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(lines) - lines, lines) + first[edge]
    (xa, ya), (xb, yb) = lower[edge].T, upper[edge].T
    crossing = np.clip(np.ceil(xa + (line - ya) * (xb - xa) / (yb - ya)), 0, shape[0]).astype(int)
    count = np.bincount(crossing * shape[1] + line, minlength=(shape[0] + 1) * shape[1]).reshape(-1, shape[1])
    return np.asarray(np.cumsum(count[:-1], axis=0, dtype=np.int32) % 2 == 1)
