"""Convex solids with closed-form signed distances: sphere, capsule, box, cylinder and half-space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.solid_base import (
    ConvexSolid,
    FloatArray,
    along_axis,
    as_points,
    as_rigid,
    as_vector,
    lengths,
    move_point,
    point_to_segment_mm,
    positive,
    turned_points,
    unit,
)

NO_INTERVAL = np.zeros((0, 2))


def as_rotation(matrix: ArrayLike) -> FloatArray:
    """Return a 3x3 rotation whose columns are a solid's own axes; raise ValueError for anything else."""
    motion = np.eye(4)
    rotation = np.asarray(matrix, dtype=np.float64)
    if rotation.shape != (3, 3):
        raise ValueError(f"a rotation is a 3x3 matrix, received shape {rotation.shape}")
    motion[:3, :3] = rotation
    return as_rigid(motion)[:3, :3]


def quadratic_interval(a: float, b: float, c: float) -> tuple[float, float] | None:
    """Where a t^2 + 2 b t + c <= 0 for a > 0, or None."""
    root = b * b - a * c
    if root <= 0.0:
        return None
    half = math.sqrt(root)
    return (-b - half) / a, (-b + half) / a


@dataclass(frozen=True, eq=False)
class Sphere(ConvexSolid):
    """A ball: centre (3,) mm and radius mm."""

    centre: FloatArray
    radius: float

    def __init__(self, centre: ArrayLike, radius: float) -> None:
        object.__setattr__(self, "centre", as_vector(centre))
        object.__setattr__(self, "radius", positive(radius, "radius"))

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        return lengths(as_points(points) - self.centre) - self.radius

    def bounds_mm(self) -> FloatArray:
        return np.array([self.centre - self.radius, self.centre + self.radius])

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(move_point(as_rigid(motion), self.centre), self.radius)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.centre * factor, self.radius * factor)

    def volume_mm3(self) -> float:
        return 4.0 / 3.0 * math.pi * self.radius**3

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        offset, axis = as_vector(origin) - self.centre, unit(direction)
        found = quadratic_interval(1.0, float(offset @ axis), float(offset @ offset) - self.radius**2)
        return NO_INTERVAL if found is None else np.array([found])

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        distance = point_to_segment_mm(self.centre[None], as_vector(start), as_vector(stop))[0]
        return max(0.0, float(distance) - self.radius)

    def parameters(self) -> dict[str, Any]:
        return {"kind": "sphere", "centre_mm": self.centre.tolist(), "radius_mm": self.radius}


@dataclass(frozen=True, eq=False)
class Capsule(ConvexSolid):
    """All points within `radius` mm of the segment start-stop."""

    start: FloatArray
    stop: FloatArray
    radius: float

    def __init__(self, start: ArrayLike, stop: ArrayLike, radius: float) -> None:
        object.__setattr__(self, "start", as_vector(start))
        object.__setattr__(self, "stop", as_vector(stop))
        object.__setattr__(self, "radius", positive(radius, "radius"))

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        return point_to_segment_mm(as_points(points), self.start, self.stop) - self.radius

    def bounds_mm(self) -> FloatArray:
        return np.array(
            [np.minimum(self.start, self.stop) - self.radius, np.maximum(self.start, self.stop) + self.radius]
        )

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        return type(self)(move_point(rigid, self.start), move_point(rigid, self.stop), self.radius)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.start * factor, self.stop * factor, self.radius * factor)

    def volume_mm3(self) -> float:
        length = float(np.linalg.norm(self.stop - self.start))
        return math.pi * self.radius**2 * (length + 4.0 / 3.0 * self.radius)

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        base, ray = as_vector(origin), unit(direction)
        parts = [Sphere(end, self.radius).line_intervals_mm(base, ray) for end in (self.start, self.stop)]
        axis = self.stop - self.start
        length = float(np.linalg.norm(axis))
        if length > 0.0:
            tube = _wall_interval(base - self.start, ray, axis / length, self.radius)
            slab = slab_interval(float((base - self.start) @ axis) / length, float(ray @ axis) / length, 0.0, length)
            low, high = max(tube[0], slab[0]), min(tube[1], slab[1])
            if low < high:
                parts.append(np.array([[low, high]]))
        rows = np.concatenate(parts)
        return NO_INTERVAL if len(rows) == 0 else np.array([[rows[:, 0].min(), rows[:, 1].max()]])

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        between = segment_to_segment_mm(as_vector(start), as_vector(stop), self.start, self.stop)
        return max(0.0, between - self.radius)

    def parameters(self) -> dict[str, Any]:
        ends = {"start_mm": self.start.tolist(), "stop_mm": self.stop.tolist()}
        return {"kind": "capsule", **ends, "radius_mm": self.radius}


def _wall_interval(offset: FloatArray, ray: FloatArray, axis: FloatArray, radius: float) -> tuple[float, float]:
    """Where a line is inside an infinite cylinder about `axis` through the origin of `offset`."""
    across, away = ray - (ray @ axis) * axis, offset - (offset @ axis) * axis
    squared, gap = float(across @ across), float(away @ away) - radius**2
    if squared < 1e-18:
        return (-math.inf, math.inf) if gap <= 0.0 else (math.inf, -math.inf)
    found = quadratic_interval(squared, float(across @ away), gap)
    return (math.inf, -math.inf) if found is None else found


def slab_interval(position: float, speed: float, low: float, high: float) -> tuple[float, float]:
    """Where low <= position + t * speed <= high; (inf, -inf) for never."""
    if abs(speed) < 1e-15:
        return (-math.inf, math.inf) if low <= position <= high else (math.inf, -math.inf)
    first, second = (low - position) / speed, (high - position) / speed
    return min(first, second), max(first, second)


def segment_to_segment_mm(p: FloatArray, q: FloatArray, r: FloatArray, s: FloatArray) -> float:
    """Exact distance between the segments p-q and r-s: the line-line point if it is inside both, else an end."""
    first, second, offset = q - p, s - r, p - r
    a, e = float(first @ first), float(second @ second)
    ends = np.concatenate([point_to_segment_mm(np.array([p, q]), r, s), point_to_segment_mm(np.array([r, s]), p, q)])
    best = float(ends.min())
    b, c, f = float(first @ second), float(first @ offset), float(second @ offset)
    denominator = a * e - b * b
    if denominator > 1e-14 * a * e:
        along, across = (b * f - c * e) / denominator, (a * f - b * c) / denominator
        if 0.0 <= along <= 1.0 and 0.0 <= across <= 1.0:
            best = min(best, float(np.linalg.norm(offset + along * first - across * second)))
    return best


@dataclass(frozen=True, eq=False)
class Box(ConvexSolid):
    """An oriented box: centre (3,), half sizes (3,) mm and a 3x3 rotation whose columns are its axes."""

    centre: FloatArray
    half_sizes: FloatArray
    rotation: FloatArray

    def __init__(self, centre: ArrayLike, half_sizes: ArrayLike, rotation: ArrayLike | None = None) -> None:
        object.__setattr__(self, "centre", as_vector(centre))
        object.__setattr__(self, "half_sizes", as_vector(half_sizes))
        object.__setattr__(self, "rotation", as_rotation(np.eye(3) if rotation is None else rotation))
        positive(float(self.half_sizes.min()), "half_sizes")

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        excess = np.abs(turned_points(as_points(points) - self.centre, self.rotation)) - self.half_sizes
        beyond = np.maximum(excess, 0.0)
        return lengths(beyond) + np.minimum(excess.max(axis=1), 0.0)

    def bounds_mm(self) -> FloatArray:
        reach = np.abs(self.rotation) @ self.half_sizes
        return np.array([self.centre - reach, self.centre + reach])

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        return type(self)(move_point(rigid, self.centre), self.half_sizes, rigid[:3, :3] @ self.rotation)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.centre * factor, self.half_sizes * factor, self.rotation)

    def volume_mm3(self) -> float:
        return 8.0 * float(np.prod(self.half_sizes))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        offset, ray = (as_vector(origin) - self.centre) @ self.rotation, unit(direction) @ self.rotation
        slabs = [
            slab_interval(float(position), float(speed), -float(half), float(half))
            for position, speed, half in zip(offset, ray, self.half_sizes, strict=True)
        ]
        low, high = max(slab[0] for slab in slabs), min(slab[1] for slab in slabs)
        return np.array([[low, high]]) if low < high else NO_INTERVAL

    def parameters(self) -> dict[str, Any]:
        place = {"centre_mm": self.centre.tolist(), "half_sizes_mm": self.half_sizes.tolist()}
        return {"kind": "box", **place, "axes_as_columns": self.rotation.tolist()}


@dataclass(frozen=True, eq=False)
class Cylinder(ConvexSolid):
    """A flat-ended round cylinder: the points within `radius` mm of the axis start-stop, between its two ends."""

    start: FloatArray
    stop: FloatArray
    radius: float

    def __init__(self, start: ArrayLike, stop: ArrayLike, radius: float) -> None:
        object.__setattr__(self, "start", as_vector(start))
        object.__setattr__(self, "stop", as_vector(stop))
        object.__setattr__(self, "radius", positive(radius, "radius"))
        positive(float(np.linalg.norm(self.stop - self.start)), "length")

    def _length_and_axis(self) -> tuple[float, FloatArray]:
        axis = self.stop - self.start
        length = float(np.linalg.norm(axis))
        return length, axis / length

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        length, axis = self._length_and_axis()
        offset = as_points(points) - 0.5 * (self.start + self.stop)
        along = along_axis(offset, axis)
        radial = lengths(offset - along[:, None] * axis) - self.radius
        axial = np.abs(along) - 0.5 * length
        return np.hypot(np.maximum(radial, 0.0), np.maximum(axial, 0.0)) + np.minimum(np.maximum(radial, axial), 0.0)

    def bounds_mm(self) -> FloatArray:
        _, axis = self._length_and_axis()
        reach = self.radius * np.sqrt(np.maximum(0.0, 1.0 - axis**2))
        return np.array([np.minimum(self.start, self.stop) - reach, np.maximum(self.start, self.stop) + reach])

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        return type(self)(move_point(rigid, self.start), move_point(rigid, self.stop), self.radius)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.start * factor, self.stop * factor, self.radius * factor)

    def volume_mm3(self) -> float:
        return math.pi * self.radius**2 * self._length_and_axis()[0]

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        length, axis = self._length_and_axis()
        offset, ray = as_vector(origin) - self.start, unit(direction)
        tube = _wall_interval(offset, ray, axis, self.radius)
        slab = slab_interval(float(offset @ axis), float(ray @ axis), 0.0, length)
        low, high = max(tube[0], slab[0]), min(tube[1], slab[1])
        return np.array([[low, high]]) if low < high else NO_INTERVAL

    def parameters(self) -> dict[str, Any]:
        ends = {"start_mm": self.start.tolist(), "stop_mm": self.stop.tolist()}
        return {"kind": "cylinder", **ends, "radius_mm": self.radius}


@dataclass(frozen=True, eq=False)
class HalfSpace(ConvexSolid):
    """All points on the far side of a plane: (x - point) . normal <= 0, the unit normal pointing out of the solid."""

    point: FloatArray
    normal: FloatArray

    def __init__(self, point: ArrayLike, normal: ArrayLike) -> None:
        object.__setattr__(self, "point", as_vector(point))
        object.__setattr__(self, "normal", unit(normal))

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        return along_axis(as_points(points) - self.point, self.normal)

    def bounds_mm(self) -> FloatArray:
        return np.array([[-math.inf] * 3, [math.inf] * 3])

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        return type(self)(move_point(rigid, self.point), rigid[:3, :3] @ self.normal)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.point * factor, self.normal)

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        position = float((as_vector(origin) - self.point) @ self.normal)
        low, high = slab_interval(position, float(unit(direction) @ self.normal), -math.inf, 0.0)
        return np.array([[low, high]]) if low < high else NO_INTERVAL

    def parameters(self) -> dict[str, Any]:
        return {"kind": "half_space", "point_mm": self.point.tolist(), "outward_normal": self.normal.tolist()}
