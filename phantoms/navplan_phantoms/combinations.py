"""Union, intersection and difference of solids.

The signed distance of a union is exact outside. That of an intersection or a difference is only a lower bound outside
(too small next to an edge where two surfaces meet); `certified` brackets the true distance. Inside, the size is at most
the depth for a union and exact for the other two if it is exact for their parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.intervals import common_intervals, merged_intervals, remaining_intervals
from navplan_phantoms.solid_base import BoolArray, FloatArray, Solid, as_points


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
            nearest = np.minimum(nearest, part.signed_distance_mm(where))
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
            result |= part.within_around(centres, offsets, threshold_mm)
        return result

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
            bound = np.maximum(bound, part.signed_distance_mm(where))
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
            result &= part.within_around(centres, offsets, threshold_mm)
        return result

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
        for part in self.parts[1:]:
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
            bound = np.maximum(bound, -solid.signed_distance_mm(where))
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
            result &= ~solid.within_around(centres, offsets, -threshold_mm)
        return result

    def bounds_mm(self) -> FloatArray:
        return self.base.bounds_mm()

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(self.base.moved(motion), *(solid.moved(motion) for solid in self.removed))

    def scaled(self, factor: float) -> Self:
        return type(self)(self.base.scaled(factor), *(solid.scaled(factor) for solid in self.removed))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        left = self.base.line_intervals_mm(origin, direction)
        for solid in self.removed:
            left = remaining_intervals(left, solid.line_intervals_mm(origin, direction))
        return left

    def segment_distance_mm(self, start: ArrayLike, stop: ArrayLike) -> float:
        """A lower bound: the distance to the base alone, or 0 where the segment enters what is left."""
        return 0.0 if self.chord_mm(start, stop) > 0.0 else self.base.segment_distance_mm(start, stop)

    def parameters(self) -> dict[str, Any]:
        removed = [solid.parameters() for solid in self.removed]
        return {"kind": "difference", "base": self.base.parameters(), "removed": removed}
