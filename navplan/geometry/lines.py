"""Segments, distances and angles in LPS millimetres."""

from __future__ import annotations

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


def perpendicular_axes(direction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors that make a right-handed frame (a, b, direction) with a unit direction (3,)."""
    axis = unit(direction)
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = unit(np.cross(helper, axis))
    return first, np.asarray(np.cross(axis, first))
