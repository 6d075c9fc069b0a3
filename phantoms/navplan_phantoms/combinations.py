"""Union, intersection and difference of solids.

The signed distance of a union is exact outside. That of an intersection or a difference is only a lower bound outside
(too small next to an edge where two surfaces meet); `certified` brackets the true distance. Inside, the size is at most
the depth for a union and exact for the other two if it is exact for their parts. A part is evaluated only at the points
where its cheap bounds say that it can decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.intervals import common_intervals, merged_intervals, remaining_intervals
from navplan_phantoms.solid_base import BoolArray, ConvexSolid, FloatArray, Solid, as_points


def _extreme_bounds(bounds: list[tuple[FloatArray, FloatArray]], choose: np.ufunc) -> tuple[FloatArray, FloatArray]:
    """The bounds of the least (np.minimum) or the largest (np.maximum) of several bounded values."""
    low, high = bounds[0]
    for other_low, other_high in bounds[1:]:
        low, high = choose(low, other_low), choose(high, other_high)
    return low, high


def _one_surface_near(surfaces: list[tuple[Solid, float]], centres: FloatArray, reach_mm: float) -> BoolArray:
    """Whether at most one of the surfaces whose signed distances an intersection takes the largest of is near (N,).

    A point with a signed distance <= reach has its nearest point on that one surface within 2 * reach of the centre;
    there every other condition holds, so the distance is that part's own and exact if the part's is. The sign is -1
    for a removed solid: the distance to its outside is exact for convex solids only.
    """
    count, exact = np.zeros(len(centres), dtype=np.int64), np.ones(len(centres), dtype=np.bool_)
    for solid, sign in surfaces:
        low, high = solid.signed_bounds_mm(centres)
        rows = np.flatnonzero((high if sign > 0.0 else -low) > -2.0 * reach_mm)
        rows = rows[sign * solid.signed_distance_mm(centres[rows]) > -2.0 * reach_mm]
        count[rows] += 1
        exact[rows] &= solid.exact_near(centres[rows], reach_mm) if sign > 0.0 else isinstance(solid, ConvexSolid)
    return exact & (count <= 1)


@dataclass(frozen=True, eq=False)
class Union(Solid):
    """All points of any part."""

    parts: tuple[Solid, ...]

    def __init__(self, *parts: Solid) -> None:
        if not parts:
            raise ValueError("a union needs at least one solid")
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "exact_outside", all(part.exact_outside for part in parts))

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        where = as_points(points)
        nearest = self.parts[0].signed_distance_mm(where)
        for part in self.parts[1:]:
            rows = np.flatnonzero(part.signed_bounds_mm(where)[0] < nearest)
            nearest[rows] = np.minimum(nearest[rows], part.signed_distance_mm(where[rows]))
        return nearest

    def contains(self, points: ArrayLike) -> BoolArray:
        where = as_points(points)
        inside = self.parts[0].contains(where)
        for part in self.parts[1:]:
            inside = inside | part.contains(where)
        return inside

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        result = self.parts[0].within_around(centres, offsets, threshold_mm)
        for part in self.parts[1:]:
            rows = np.flatnonzero(~result.all(axis=1))
            result[rows] |= part.within_around(centres[rows], offsets, threshold_mm)
        return result

    def exact_near(self, centres: FloatArray, reach_mm: float) -> BoolArray:
        exact = np.ones(len(centres), dtype=np.bool_)
        for part in self.parts:
            rows = np.flatnonzero(exact & (part.signed_bounds_mm(centres)[0] <= 2.0 * reach_mm))
            exact[rows] = part.exact_near(centres[rows], reach_mm)
        return exact

    def signed_bounds_mm(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _extreme_bounds([part.signed_bounds_mm(points) for part in self.parts], np.minimum)

    def bounds_mm(self) -> FloatArray:
        bounds = np.array([part.bounds_mm() for part in self.parts])
        return np.array([bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)])

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(*(part.moved(motion) for part in self.parts))

    def scaled(self, factor: float) -> Self:
        return type(self)(*(part.scaled(factor) for part in self.parts))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        return merged_intervals([part.line_intervals_mm(origin, direction) for part in self.parts])

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        return min(part.segment_distance_mm(start, stop) for part in self.parts)

    def parameters(self) -> dict[str, Any]:
        return {"kind": "union", "parts": [part.parameters() for part in self.parts]}


@dataclass(frozen=True, eq=False)
class Intersection(Solid):
    """All points that every part has."""

    parts: tuple[Solid, ...]

    def __init__(self, *parts: Solid) -> None:
        if not parts:
            raise ValueError("an intersection needs at least one solid")
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "exact_outside", False)

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        where = as_points(points)
        bound = self.parts[0].signed_distance_mm(where)
        for part in self.parts[1:]:
            rows = np.flatnonzero(part.signed_bounds_mm(where)[1] > bound)
            bound[rows] = np.maximum(bound[rows], part.signed_distance_mm(where[rows]))
        return bound

    def contains(self, points: ArrayLike) -> BoolArray:
        where = as_points(points)
        inside = self.parts[0].contains(where)
        for part in self.parts[1:]:
            inside = inside & part.contains(where)
        return inside

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        result = self.parts[0].within_around(centres, offsets, threshold_mm)
        for part in self.parts[1:]:
            rows = np.flatnonzero(result.any(axis=1))
            result[rows] &= part.within_around(centres[rows], offsets, threshold_mm)
        return result

    def exact_near(self, centres: FloatArray, reach_mm: float) -> BoolArray:
        return _one_surface_near([(part, 1.0) for part in self.parts], centres, reach_mm)

    def signed_bounds_mm(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _extreme_bounds([part.signed_bounds_mm(points) for part in self.parts], np.maximum)

    def bounds_mm(self) -> FloatArray:
        bounds = np.array([part.bounds_mm() for part in self.parts])
        low, high = bounds[:, 0].max(axis=0), bounds[:, 1].min(axis=0)
        return np.array([low, np.maximum(low, high)])

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(*(part.moved(motion) for part in self.parts))

    def scaled(self, factor: float) -> Self:
        return type(self)(*(part.scaled(factor) for part in self.parts))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        common = self.parts[0].line_intervals_mm(origin, direction)
        for part in self.parts[1:] if len(common) else ():
            common = common_intervals(common, part.line_intervals_mm(origin, direction))
        return common

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """A lower bound: the largest distance to a part."""
        if self.chord_mm(start, stop) > 0.0:
            return 0.0
        return max(part.segment_distance_mm(start, stop) for part in self.parts)

    def parameters(self) -> dict[str, Any]:
        return {"kind": "intersection", "parts": [part.parameters() for part in self.parts]}


@dataclass(frozen=True, eq=False)
class Difference(Solid):
    """The points of `base` that are in none of the `removed` solids, with the cut surfaces."""

    base: Solid
    removed: tuple[Solid, ...]

    def __init__(self, base: Solid, *removed: Solid) -> None:
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "removed", removed)
        object.__setattr__(self, "exact_outside", False)

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        where = as_points(points)
        bound = self.base.signed_distance_mm(where)
        for solid in self.removed:
            rows = np.flatnonzero(-solid.signed_bounds_mm(where)[0] > bound)
            bound[rows] = np.maximum(bound[rows], -solid.signed_distance_mm(where[rows]))
        return bound

    def contains(self, points: ArrayLike) -> BoolArray:
        where = as_points(points)
        inside = self.base.contains(where)
        for solid in self.removed:
            inside = inside & ~solid.contains(where)
        return inside

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        result = self.base.within_around(centres, offsets, threshold_mm)
        for solid in self.removed:
            rows = np.flatnonzero(result.any(axis=1))
            result[rows] &= ~solid.within_around(centres[rows], offsets, -threshold_mm)
        return result

    def exact_near(self, centres: FloatArray, reach_mm: float) -> BoolArray:
        surfaces = [(self.base, 1.0), *((solid, -1.0) for solid in self.removed)]
        return _one_surface_near(surfaces, centres, reach_mm)

    def signed_bounds_mm(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        bounds = [self.base.signed_bounds_mm(points)]
        for solid in self.removed:
            low, high = solid.signed_bounds_mm(points)
            bounds.append((-high, -low))
        return _extreme_bounds(bounds, np.maximum)

    def bounds_mm(self) -> FloatArray:
        return self.base.bounds_mm()

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(self.base.moved(motion), *(solid.moved(motion) for solid in self.removed))

    def scaled(self, factor: float) -> Self:
        return type(self)(self.base.scaled(factor), *(solid.scaled(factor) for solid in self.removed))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        left = self.base.line_intervals_mm(origin, direction)
        for solid in self.removed if len(left) else ():
            left = remaining_intervals(left, solid.line_intervals_mm(origin, direction))
        return left

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """A lower bound: the distance to the base alone, or 0 where the segment enters what is left."""
        return 0.0 if self.chord_mm(start, stop) > 0.0 else self.base.segment_distance_mm(start, stop)

    def parameters(self) -> dict[str, Any]:
        removed = [solid.parameters() for solid in self.removed]
        return {"kind": "difference", "base": self.base.parameters(), "removed": removed}
