"""Slow and plain distances in double precision, that faster answers are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid

_STEP_MM = 0.1


def boundary_centres_mm(
    mask: NDArray[np.bool_], grid: Grid, only: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """(N, 3) LPS centres of the voxels of a mask [i, j, k] that have one of the six neighbours outside it; `only` a
    mask of the voxels to look at."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for shift in (-1, 1):
            inner &= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1]
    found = mask & ~inner
    return grid.points_mm(np.argwhere(found if only is None else found & only))


def segment_to_points_mm(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], points_mm: NDArray[np.float64]
) -> float:
    """Least distance of a segment to points (N, 3)."""
    axis = end_mm - start_mm
    along = np.clip((points_mm - start_mm) @ axis / (axis @ axis), 0.0, 1.0)
    return float(np.linalg.norm(points_mm - start_mm - along[:, None] * axis, axis=1).min(initial=np.inf))


def segment_to_voxels_mm(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], mask: NDArray[np.bool_], grid: Grid, within_mm: float
) -> float:
    """An upper bound, at most .05 mm above it, of the distance of a segment to the boxes of a mask's voxels, 0 where it
    enters one; inf where it is more than `within_mm`."""
    length = float(np.linalg.norm(end_mm - start_mm))
    share = np.linspace(0.0, 1.0, int(np.ceil(length / _STEP_MM)) + 1)
    track = grid.indices(start_mm + share[:, None] * (end_mm - start_mm))
    reach = within_mm / grid.spacing_mm + 1.0
    low = np.clip(np.floor(track.min(axis=0) - reach).astype(int), 0, mask.shape)
    high = np.clip(np.ceil(track.max(axis=0) + reach).astype(int) + 1, 0, mask.shape)
    if (high <= low).any():
        return np.inf
    voxels = np.argwhere(mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]) + low
    scaled = (track[-1] - track[0]) * grid.spacing_mm
    offset = (voxels - track[0]) * grid.spacing_mm
    at = np.clip(offset @ scaled / (scaled @ scaled), 0.0, 1.0)
    apart = np.linalg.norm(offset - at[:, None] * scaled, axis=1)
    near = apart <= within_mm + grid.diagonal_mm / 2
    least = np.inf
    for voxel, middle in zip(voxels[near], at[near], strict=True):
        half = int(np.ceil(grid.diagonal_mm / length * len(share))) + 1
        first = max(round(float(middle) * (len(share) - 1)) - half, 0)
        gaps = np.maximum(np.abs(track[first : first + 2 * half + 1] - voxel) - 0.5, 0.0) * grid.spacing_mm
        least = min(least, float(np.linalg.norm(gaps, axis=1).min()))
        if least == 0.0:
            break
    return least if least <= within_mm else np.inf


def segments_cross_triangles(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], corners_mm: NDArray[np.float64]
) -> bool:
    """Whether a segment meets any of the triangles (T, 3, 3). Moeller and Trumbore, J Graph Tools 1997;2:21-28."""
    axis = end_mm - start_mm
    first, second = corners_mm[:, 1] - corners_mm[:, 0], corners_mm[:, 2] - corners_mm[:, 0]
    across = np.cross(axis, second)
    determinant = np.einsum("ij,ij->i", first, across)
    flat = np.abs(determinant) < 1e-14
    inverse = 1.0 / np.where(flat, 1.0, determinant)
    offset = start_mm - corners_mm[:, 0]
    u = np.einsum("ij,ij->i", offset, across) * inverse
    turned = np.cross(offset, first)
    v = turned @ axis * inverse
    along = np.einsum("ij,ij->i", second, turned) * inverse
    hit = ~flat & (u >= 0) & (v >= 0) & (u + v <= 1) & (along >= 0) & (along <= 1)
    return bool(hit.any())


def segment_to_triangles_mm(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], corners_mm: NDArray[np.float64]
) -> float:
    """Least distance of a segment to triangles (T, 3, 3), 0 where it meets one."""
    if segments_cross_triangles(start_mm, end_mm, corners_mm):
        return 0.0
    axis = end_mm - start_mm
    middle = corners_mm.mean(axis=1)
    size = np.linalg.norm(corners_mm - middle[:, None], axis=2).max(axis=1)
    at = np.clip((middle - start_mm) @ axis / (axis @ axis), 0.0, 1.0)
    apart = np.linalg.norm(middle - start_mm - at[:, None] * axis, axis=1)
    near = corners_mm[apart - size <= apart.min()]
    best = min(_point_to_triangles_mm(point, near) for point in (start_mm, end_mm))
    for corner in range(3):
        best = min(best, _segment_to_segments_mm(start_mm, end_mm, near[:, corner], near[:, (corner + 1) % 3]))
    return best


def _point_to_triangles_mm(point_mm: NDArray[np.float64], corners_mm: NDArray[np.float64]) -> float:
    """Least distance of a point to the triangles above whose face it lies; the edges are the segments' part."""
    a, b, c = corners_mm[:, 0], corners_mm[:, 1], corners_mm[:, 2]
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    above = np.ones(len(a), dtype=bool)
    for tail, head in ((a, b), (b, c), (c, a)):
        above &= np.einsum("ij,ij->i", np.cross(head - tail, point_mm - tail), normal) >= 0
    heights = np.abs(np.einsum("ij,ij->i", point_mm - a, normal))
    return float(heights[above].min(initial=np.inf))


def _segment_to_segments_mm(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], tails: NDArray[np.float64], heads: NDArray[np.float64]
) -> float:
    """Least distance of one segment to segments (T, 3)-(T, 3). Ericson, Real-Time Collision Detection, 5.1.9."""
    first, second, offset = end_mm - start_mm, heads - tails, start_mm - tails
    a, e = float(first @ first), np.einsum("ij,ij->i", second, second)
    b, c, f = second @ first, offset @ first, np.einsum("ij,ij->i", second, offset)
    e = np.maximum(e, 1e-30)
    below = a * e - b * b
    s = np.where(below > 1e-12 * a * e, np.clip((b * f - c * e) / np.where(below == 0, 1.0, below), 0.0, 1.0), 0.0)
    t = (b * s + f) / e
    s = np.where(t < 0, np.clip(-c / a, 0.0, 1.0), np.where(t > 1, np.clip((b - c) / a, 0.0, 1.0), s))
    t = np.clip(t, 0.0, 1.0)
    apart = offset + s[:, None] * first - t[:, None] * second
    return float(np.linalg.norm(apart, axis=1).min(initial=np.inf))
