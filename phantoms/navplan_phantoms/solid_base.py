"""What every analytic solid offers: a signed distance, chords, segment distances, bounds and rigid motion.

All coordinates are millimetres in one right-handed frame (LPS for the phantoms). A signed distance is negative inside.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_SAMPLES_PER_PASS = 33
_PASSES = 10
_CROSSING_PASSES = 4
_MAXIMUM_STEPS = 200


def as_points(points: ArrayLike) -> FloatArray:
    """Return `points` as an (N, 3) float64 array; raise ValueError for any other shape."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"points must have shape (N, 3), received {array.shape}")
    return array


def as_vector(vector: ArrayLike) -> FloatArray:
    """Return `vector` as a finite (3,) float64 array; raise ValueError otherwise."""
    array = np.array(vector, dtype=np.float64)
    if array.shape != (3,) or not bool(np.all(np.isfinite(array))):
        raise ValueError(f"expected three finite numbers, received {vector!r}")
    return array


def positive(value: float, name: str) -> float:
    """Return `value` if it is a finite number above zero; raise ValueError otherwise."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0, received {value!r}")
    return float(value)


def as_rigid(matrix: ArrayLike) -> FloatArray:
    """Return a 4x4 rigid motion (rotation and translation, no reflection); raise ValueError for anything else."""
    array = np.array(matrix, dtype=np.float64)
    if array.shape != (4, 4) or not bool(np.all(np.isfinite(array))):
        raise ValueError("a rigid motion is a finite 4x4 matrix")
    rotation = array[:3, :3]
    orthonormal = np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-9) and np.linalg.det(rotation) > 0
    if not orthonormal or not np.allclose(array[3], [0, 0, 0, 1], atol=1e-12):
        raise ValueError("the 4x4 matrix is not a rigid motion")
    return array


def turned_points(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """`points @ matrix` for (N, 3) and (3, 3), without the threads that a linear algebra library would start for it."""
    result = np.empty((len(points), 3))
    for column in range(3):
        result[:, column] = along_axis(points, matrix[:, column])
    return result


def along_axis(points: FloatArray, axis: FloatArray) -> FloatArray:
    """The scalar products (N,) of (N, 3) points with one vector."""
    return points[:, 0] * axis[0] + points[:, 1] * axis[1] + points[:, 2] * axis[2]


def lengths(vectors: FloatArray) -> FloatArray:
    """The lengths (N,) of (N, 3) vectors."""
    return np.sqrt(vectors[:, 0] ** 2 + vectors[:, 1] ** 2 + vectors[:, 2] ** 2)


def move_point(motion: FloatArray, point: FloatArray) -> FloatArray:
    """Apply a 4x4 rigid motion to one (3,) point or to (N, 3) points."""
    return point @ motion[:3, :3].T + motion[:3, 3]


def unit(vector: ArrayLike) -> FloatArray:
    """Return the (3,) unit vector along `vector`; raise ValueError for a vector of no length."""
    array = as_vector(vector)
    length = float(np.linalg.norm(array))
    if length < 1e-12:
        raise ValueError("a direction needs a length above 0")
    return array / length


def point_to_segment_mm(points: FloatArray, start: FloatArray, stop: FloatArray) -> FloatArray:
    """Distance (N,) of (N, 3) points to the segment start-stop."""
    axis = stop - start
    squared = float(axis @ axis)
    offset = points - start
    along = np.clip(along_axis(offset, axis) / squared, 0.0, 1.0) if squared > 0 else np.zeros(len(points))
    return lengths(offset - along[:, None] * axis)


def _line_meets_box(base: FloatArray, axis: FloatArray, bounds: FloatArray, length: float | None = None) -> bool:
    """Whether a line, or its part from 0 to `length`, meets an axis-aligned box, with a little to spare."""
    low, high = (-math.inf, math.inf) if length is None else (0.0, length)
    for position, speed, first, last in zip(base, axis, bounds[0] - 1e-6, bounds[1] + 1e-6, strict=True):
        if abs(speed) < 1e-12:
            if not first <= position <= last:
                return False
            continue
        ends = sorted(((first - position) / speed, (last - position) / speed))
        low, high = max(low, ends[0]), min(high, ends[1])
    return low <= high


class Solid(ABC):
    """A closed set of points with a signed distance.

    `exact_outside` tells whether the signed distance outside is the Euclidean distance (primitives and unions) or a
    lower bound of it (intersections and differences). Inside, its size never exceeds the depth. So everywhere
    |signed distance| <= distance to the surface, and it changes by at most 1 mm per mm.
    """

    exact_outside: bool = True

    @abstractmethod
    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        """Signed distance (N,) in mm of (N, 3) points, negative inside."""

    @abstractmethod
    def bounds_mm(self) -> FloatArray:
        """Axis-aligned box (2, 3), lowest and highest corner in mm, that holds the solid; may be infinite."""

    @abstractmethod
    def moved(self, motion: ArrayLike) -> Self:
        """The same solid after a 4x4 rigid motion."""

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """The same solid after a uniform scaling about the origin."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts that describe the solid (for JSON)."""

    @abstractmethod
    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        """Where the line origin + t * unit(direction) is inside: sorted disjoint (M, 2) rows of t in mm."""

    def signed_bounds_mm(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cheap lower and upper bounds, each (N,), of the signed distance; here from the distance to the box alone."""
        low, high = self.bounds_mm()
        beyond = np.maximum(np.maximum(low - points, points - high), 0.0)
        outside = lengths(beyond)
        return np.where(outside > 0.0, outside, -np.inf), np.full(len(points), np.inf)

    def contains(self, points: ArrayLike) -> BoolArray:
        """Whether each of (N, 3) points is inside or on the surface."""
        return self.signed_distance_mm(points) <= 0.0

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        """Whether the signed distance at centres (N, 3) + offsets (M, 3) is <= `threshold_mm`: an (N, M) array.

        Decided from the centre alone where the surface is farther away than the longest offset.
        """
        reach = float(np.linalg.norm(offsets, axis=1).max())
        low, high = self.signed_bounds_mm(centres)
        result = np.repeat((high - threshold_mm < -reach)[:, None], len(offsets), axis=1)
        open_rows = np.flatnonzero((low - threshold_mm <= reach) & (high - threshold_mm >= -reach))
        if len(open_rows):
            signed = self.signed_distance_mm(centres[open_rows]) - threshold_mm
            result[open_rows] = (signed <= 0.0)[:, None]
            unsure = open_rows[np.abs(signed) <= reach]
            if len(unsure):
                result[unsure] = self._within_at_each(centres[unsure], offsets, threshold_mm)
        return result

    def _within_at_each(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float) -> BoolArray:
        """`within_around` evaluated at each of the N * M points."""
        points = (centres[:, None, :] + offsets).reshape(-1, 3)
        inside = self.contains(points) if threshold_mm == 0.0 else self.signed_distance_mm(points) <= threshold_mm
        return inside.reshape(len(centres), len(offsets))

    def exact_near(self, centres: FloatArray, reach_mm: float) -> BoolArray:
        """Whether a signed distance <= `reach_mm` is exact at every point within `reach_mm` of each centre (N,)."""
        return np.full(len(centres), self.exact_outside)

    def volume_mm3(self) -> float | None:
        """The closed-form volume, or None where there is none (see `certified.sampled_volume_mm3`)."""
        return None

    def chord_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """Length in mm of the segment start-stop that lies inside."""
        first, last = as_vector(start), as_vector(stop)
        length = float(np.linalg.norm(last - first))
        if length == 0.0 or not _line_meets_box(first, (last - first) / length, self.bounds_mm(), length):
            return 0.0
        intervals = np.clip(self.line_intervals_mm(first, last - first), 0.0, length)
        return float(np.sum(intervals[:, 1] - intervals[:, 0]))

    @abstractmethod
    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """Distance in mm from the segment start-stop to the solid; 0 where it enters.

        A lower bound where `exact_outside` is False; `certified.segment_distance_bounds_mm` then gives both bounds.
        """


class ConvexSolid(Solid):
    """A convex solid: its signed distance is a convex function, so one-dimensional searches find the exact answer."""

    def _lowest_along(self, start: FloatArray, stop: FloatArray) -> tuple[float, float]:
        """Parameter in [0, 1] and value of the least signed distance along the segment start-stop."""
        low, high = 0.0, 1.0
        where, value = 0.0, math.inf
        for _ in range(_PASSES):
            parameters = np.linspace(low, high, _SAMPLES_PER_PASS)
            values = self.signed_distance_mm(start + parameters[:, None] * (stop - start))
            best = int(np.argmin(values))
            if values[best] < value:
                where, value = float(parameters[best]), float(values[best])
            low, high = float(parameters[max(best - 1, 0)]), float(parameters[min(best + 1, len(values) - 1)])
        return where, value

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """Exact distance by convex minimisation along the segment (to about 1e-9 mm)."""
        return max(0.0, self._lowest_along(as_vector(start), as_vector(stop))[1])

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        """Entry and exit by convex minimisation and bisection (to about 1e-9 mm)."""
        base, axis = as_vector(origin), unit(direction)
        bounds = self.bounds_mm()
        if not bool(np.all(np.isfinite(bounds))):
            raise ValueError("an infinite solid needs a closed form for its chords")
        if not _line_meets_box(base, axis, bounds):
            return np.zeros((0, 2))
        middle = float((bounds.mean(axis=0) - base) @ axis)
        reach = float(np.linalg.norm(bounds[1] - bounds[0])) + 1.0
        near, far = base + (middle - reach) * axis, base + (middle + reach) * axis
        where, value = self._lowest_along(near, far)
        if value >= 0.0:
            return np.zeros((0, 2))
        inside = middle - reach + where * 2.0 * reach
        ends = [self._crossing(base, axis, inside, middle + side * reach) for side in (-1.0, 1.0)]
        return np.array([ends])

    def _crossing(self, base: FloatArray, axis: FloatArray, inside: float, outside: float) -> float:
        """Parameter of the surface between one inside and one outside: subdivision, then false position (Illinois)."""
        for _ in range(_CROSSING_PASSES):
            parameters = np.linspace(inside, outside, _SAMPLES_PER_PASS)
            values = self.signed_distance_mm(base + parameters[:, None] * axis)
            first = max(1, int(np.argmax(values > 0.0)))
            inside, outside = float(parameters[first - 1]), float(parameters[first])

        def signed(parameter: float) -> float:
            return float(self.signed_distance_mm((base + parameter * axis)[None])[0])

        value_in, value_out = signed(inside), signed(outside)
        for _ in range(_MAXIMUM_STEPS):
            if abs(outside - inside) < 1e-11:
                break
            guess = (inside * value_out - outside * value_in) / (value_out - value_in)
            value = signed(guess)
            if abs(value) < 1e-10:
                return guess
            if value > 0.0:
                outside, value_out, value_in = guess, value, 0.5 * value_in
            else:
                inside, value_in, value_out = guess, value, 0.5 * value_out
        return 0.5 * (inside + outside)
