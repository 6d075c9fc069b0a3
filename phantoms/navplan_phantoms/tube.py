"""Round cones and tubes: rounded polylines whose radius may change from vertex to vertex."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.intervals import merged_intervals
from navplan_phantoms.primitives import Capsule, segment_to_segment_mm
from navplan_phantoms.solid_base import (
    BoolArray,
    ConvexSolid,
    FloatArray,
    Solid,
    along_axis,
    as_points,
    as_rigid,
    as_vector,
    lengths,
    move_point,
    point_to_segment_mm,
    positive,
)


def round_cone_signed_distance_mm(
    points: FloatArray, start: FloatArray, stop: FloatArray, start_radius: float, stop_radius: float
) -> FloatArray:
    """Signed distance (N,) to the convex hull of two balls: the least |p - c(t)| - r(t) along the axis.

    The lateral surface is a cone whose half opening has sine (start_radius - stop_radius) / length, so the nearest ball
    of a point is found by sliding its foot point along the axis by its distance from the axis times that tangent.
    """
    if start_radius == stop_radius:
        return point_to_segment_mm(points, start, stop) - start_radius
    axis = stop - start
    length = float(np.linalg.norm(axis))
    axis = axis / length
    sine = (start_radius - stop_radius) / length
    tangent = sine / math.sqrt(1.0 - sine * sine)
    offset = points - start
    foot = along_axis(offset, axis)
    away = np.sqrt(np.maximum(lengths(offset) ** 2 - foot * foot, 0.0))
    along = np.clip(foot - away * tangent, 0.0, length)
    return np.hypot(away, foot - along) - (start_radius - sine * along)


@dataclass(frozen=True, eq=False)
class RoundCone(ConvexSolid):
    """The convex hull of two balls."""

    start: FloatArray
    stop: FloatArray
    start_radius: float
    stop_radius: float

    def __init__(self, start: ArrayLike, stop: ArrayLike, start_radius: float, stop_radius: float) -> None:
        object.__setattr__(self, "start", as_vector(start))
        object.__setattr__(self, "stop", as_vector(stop))
        object.__setattr__(self, "start_radius", positive(start_radius, "start_radius"))
        object.__setattr__(self, "stop_radius", positive(stop_radius, "stop_radius"))
        if float(np.linalg.norm(self.stop - self.start)) <= abs(self.start_radius - self.stop_radius):
            raise ValueError("one end ball of a round cone holds the other: use a Sphere")

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        return round_cone_signed_distance_mm(
            as_points(points), self.start, self.stop, self.start_radius, self.stop_radius
        )

    def bounds_mm(self) -> FloatArray:
        low = np.minimum(self.start - self.start_radius, self.stop - self.stop_radius)
        return np.array([low, np.maximum(self.start + self.start_radius, self.stop + self.stop_radius)])

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        ends = move_point(rigid, self.start), move_point(rigid, self.stop)
        return type(self)(*ends, self.start_radius, self.stop_radius)

    def scaled(self, factor: float) -> Self:
        radii = self.start_radius * factor, self.stop_radius * factor
        return type(self)(self.start * factor, self.stop * factor, *radii)

    def volume_mm3(self) -> float:
        """Two spherical caps and the frustum between the circles where the cone touches the balls."""
        length = float(np.linalg.norm(self.stop - self.start))
        sine = (self.start_radius - self.stop_radius) / length
        cosine = math.sqrt(1.0 - sine * sine)
        first, second = self.start_radius * cosine, self.stop_radius * cosine
        height = length - (self.start_radius - self.stop_radius) * sine
        frustum = math.pi * height / 3.0 * (first**2 + first * second + second**2)
        start_cap = _cap_volume(self.start_radius, self.start_radius * (1.0 + sine))
        return frustum + start_cap + _cap_volume(self.stop_radius, self.stop_radius * (1.0 - sine))

    def parameters(self) -> dict[str, Any]:
        ends = {"start_mm": self.start.tolist(), "stop_mm": self.stop.tolist()}
        return {"kind": "round_cone", **ends, "radii_mm": [self.start_radius, self.stop_radius]}


def _cap_volume(radius: float, height: float) -> float:
    """Volume of a spherical cap."""
    return math.pi * height**2 * (3.0 * radius - height) / 3.0


@dataclass(frozen=True, eq=False)
class Tube(Solid):
    """A polyline (M, 3) mm with a radius mm at each vertex: the union of the round cones between neighbours."""

    vertices: FloatArray
    radii: FloatArray
    _pieces: tuple[ConvexSolid, ...]

    def __init__(self, vertices: ArrayLike, radii: ArrayLike | float) -> None:
        path = as_points(vertices).copy()
        sizes = np.array(np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(path),)))
        if len(path) < 2:
            raise ValueError("a tube needs at least two vertices")
        pieces: list[ConvexSolid] = []
        for start, stop, first, second in zip(path[:-1], path[1:], sizes[:-1], sizes[1:], strict=True):
            same = first == second
            pieces.append(Capsule(start, stop, first) if same else RoundCone(start, stop, float(first), float(second)))
        object.__setattr__(self, "vertices", path)
        object.__setattr__(self, "radii", sizes)
        object.__setattr__(self, "_pieces", tuple(pieces))

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        where = as_points(points)
        nearest = self._pieces[0].signed_distance_mm(where)
        for piece in self._pieces[1:]:
            np.minimum(nearest, piece.signed_distance_mm(where), out=nearest)
        return nearest

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        result = self._pieces[0].within_around(centres, offsets, threshold_mm)
        for piece in self._pieces[1:]:
            result |= piece.within_around(centres, offsets, threshold_mm)
        return result

    def bounds_mm(self) -> FloatArray:
        reach = self.radii[:, None]
        return np.array([(self.vertices - reach).min(axis=0), (self.vertices + reach).max(axis=0)])

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(move_point(as_rigid(motion), self.vertices), self.radii)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.vertices * factor, self.radii * factor)

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        return merged_intervals([piece.line_intervals_mm(origin, direction) for piece in self._pieces])

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        first, last, best = as_vector(start), as_vector(stop), math.inf
        for piece, begin, end, radius in zip(
            self._pieces,
            self.vertices[:-1],
            self.vertices[1:],
            np.maximum(self.radii[:-1], self.radii[1:]),
            strict=True,
        ):
            if segment_to_segment_mm(first, last, begin, end) - radius < best:
                best = min(best, piece.segment_distance_mm(first, last))
        return best

    def parameters(self) -> dict[str, Any]:
        return {"kind": "tube", "vertices_mm": self.vertices.tolist(), "radii_mm": self.radii.tolist()}
