"""Segments, distances and angles in LPS millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError


def unit(vector: ArrayLike) -> NDArray[np.float64]:
    """(..., 3) scaled to length 1. Raises GeometryError for a zero or non-finite vector."""
    vectors = np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(length).all() or (length < 1e-9).any():
        raise GeometryError("a direction of zero or non-finite length", "two different, finite points")
    return np.asarray(vectors / length)


def distance_points_to_segment(
    points_mm: ArrayLike, start_mm: ArrayLike, end_mm: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of points (N, 3) to a segment, and how far along it (mm from start) the nearest point lies; both
    (N,)."""
    start, end = np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64)
    direction = unit(end - start)
    length = float(np.linalg.norm(end - start))
    offset = np.asarray(points_mm, dtype=np.float64) - start
    along = np.clip(offset @ direction, 0.0, length)
    return np.asarray(np.linalg.norm(offset - along[:, None] * direction, axis=1)), np.asarray(along)


def distance_between_segments(
    start_mm: ArrayLike, end_mm: ArrayLike, other_start_mm: ArrayLike, other_end_mm: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distance between segments (N, 3) and others (N, 3), and how far along each (mm from its start) its nearest point
    lies; all (N,). One of the two may be a single segment (3,).

    Exact for crossing, parallel and degenerate segments (points): the distance is a convex function of the two places,
    so its least value lies where both gradients vanish or at an end of one segment, and all five are tried.
    """
    first = (np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64))
    second = (np.asarray(other_start_mm, dtype=np.float64), np.asarray(other_end_mm, dtype=np.float64))
    a0, a1, b0, b1 = np.broadcast_arrays(*(np.atleast_2d(points) for points in (*first, *second)))
    a, b, offset = a1 - a0, b1 - b0, b0 - a0
    aa, bb = (a * a).sum(axis=1), (b * b).sum(axis=1)
    across = np.cross(a, b)
    sine = (across * across).sum(axis=1)
    crossing = (np.cross(offset, b) * across).sum(axis=1)
    with np.errstate(over="ignore"):  # nearly parallel: an end decides
        s = np.clip(np.divide(crossing, sine, out=np.zeros_like(sine), where=sine > 0), 0.0, 1.0)

    def share(points: NDArray[np.float64], start: NDArray[np.float64], along: NDArray[np.float64]) -> Any:
        """The nearest place, as a share of the segment."""
        length = (along * along).sum(axis=1)
        wanted = ((points - start) * along).sum(axis=1)
        return np.clip(np.divide(wanted, length, out=np.zeros_like(length), where=length > 0), 0.0, 1.0)

    inner = share(a0 + s[:, None] * a, b0, b)
    s = share(b0 + inner[:, None] * b, a0, a)
    zero, one = np.zeros_like(aa), np.ones_like(aa)
    on_a = np.stack([s, zero, one, share(b0, a0, a), share(b1, a0, a)])
    on_b = np.stack([inner, share(a0, b0, b), share(a1, b0, b), zero, one])
    apart = np.linalg.norm(offset + on_b[..., None] * b - on_a[..., None] * a, axis=-1)
    best = np.argmin(apart, axis=0)[None]
    distance, s_best, t_best = (np.take_along_axis(values, best, axis=0)[0] for values in (apart, on_a, on_b))
    return np.asarray(distance), np.asarray(s_best * np.sqrt(aa)), np.asarray(t_best * np.sqrt(bb))


def perpendicular_axes(direction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors that make a right-handed frame (a, b, direction) with a unit direction (3,)."""
    axis = unit(direction)
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = unit(np.cross(helper, axis))
    return first, np.asarray(np.cross(axis, first))
