"""Ellipsoid and its parallel bodies, with their true Euclidean distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.primitives import NO_INTERVAL, as_rotation, quadratic_interval
from navplan_phantoms.solid_base import (
    BoolArray,
    ConvexSolid,
    FloatArray,
    as_points,
    as_rigid,
    as_vector,
    lengths,
    move_point,
    positive,
    turned_points,
    unit,
)

_MAXIMUM_STEPS = 80


def signed_distance_and_normal(local: FloatArray, semi_axes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Signed distance (N,) and its gradient (N, 3) at (N, 3) points in the ellipsoid's own axes, to about 1e-10 mm.

    The nearest surface point has coordinates x_i = e_i^2 y_i / (t + e_i^2), with t the largest root of
    G(t) = sum (e_i y_i / (t + e_i^2))^2 = 1 (Eberly, "Distance from a Point to an Ellipse, an Ellipsoid, or a
    Hyperellipsoid", 2013). Here s = t + e_min^2, so that no digits cancel next to the pole, and Newton's method runs on
    1 - G^(-1/2), which is convex and falling: from a start with G >= 1 the steps rise to the root and never pass it.
    """
    smallest = float(semi_axes.min())
    raised = [float(edge**2 - smallest**2) for edge in semi_axes]
    mirrored = [np.maximum(np.abs(local[:, axis]), 1e-13 * smallest) for axis in range(3)]
    weighted = [mirrored[axis] * semi_axes[axis] for axis in range(3)]
    s = np.maximum.reduce([weighted[axis] - raised[axis] for axis in range(3)])
    active = np.arange(len(s))
    here, numerators = s.copy(), [each**2 for each in weighted]
    for _ in range(_MAXIMUM_STEPS):
        total, slope = np.zeros(len(here)), np.zeros(len(here))
        for numerator, shift in zip(numerators, raised, strict=True):
            inverse = 1.0 / (here + shift)
            term = numerator * inverse * inverse
            total += term
            slope += term * inverse
        step = total * (np.sqrt(total) - 1.0) / slope
        going = step > 1e-9 * here
        here = here + np.maximum(step, 0.0)
        s[active] = here
        if not bool(going.any()):
            break
        if 2 * int(np.count_nonzero(going)) < len(going):
            active, here = active[going], here[going]
            numerators = [each[going] for each in numerators]
    t = s - smallest**2
    squared, length = np.zeros(len(s)), np.zeros(len(s))
    normal = np.empty((len(s), 3))
    for axis, shift in enumerate(raised):
        slant = mirrored[axis] / (s + shift)
        squared += (slant * t) ** 2
        length += slant**2
        normal[:, axis] = np.copysign(slant, local[:, axis])
    return np.copysign(np.sqrt(squared), t), normal / np.sqrt(length)[:, None]


@dataclass(frozen=True, eq=False)
class _RoundedEllipsoid(ConvexSolid):
    """An ellipsoid and everything within `margin` mm of it; margin 0 is the ellipsoid itself.

    The parallel body of a convex body: its signed distance is the ellipsoid's less the margin, inside and outside.
    """

    centre: FloatArray
    semi_axes: FloatArray
    rotation: FloatArray
    margin: float

    def _local(self, points: ArrayLike) -> FloatArray:
        return turned_points(as_points(points) - self.centre, self.rotation)

    def signed_distance_mm(self, points: ArrayLike) -> FloatArray:
        return signed_distance_and_normal(self._local(points), self.semi_axes)[0] - self.margin

    def bounds_mm(self) -> FloatArray:
        reach = np.sqrt((self.rotation**2) @ (self.semi_axes**2)) + self.margin
        return np.array([self.centre - reach, self.centre + reach])

    def signed_bounds_mm(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds from the scaled radius q = |y / e|: the radial gap |y| |1 - 1/q| and e_min |q - 1|, on either side."""
        local = self._local(points)
        q, length = lengths(local / self.semi_axes), lengths(local)
        smallest = float(self.semi_axes.min())
        scaled = smallest * (q - 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            radial = np.where(q > 1e-9, length * (1.0 - 1.0 / q), -smallest)
        return np.minimum(scaled, radial) - self.margin - 1e-9, np.maximum(scaled, radial) - self.margin + 1e-9

    def within_around(self, centres: FloatArray, offsets: FloatArray, threshold_mm: float = 0.0) -> BoolArray:
        """Decide from the tangent plane at each centre; only points within its error are evaluated on their own.

        The signed distance f is convex, and a level set f = c has no radius of curvature below
        e_min^2 / e_max + margin + c, so f(x + d) - f(x) - normal . d lies in [0, |d|^2 / (2 radius)].
        """
        reach = float(np.linalg.norm(offsets, axis=1).max())
        low, high = self.signed_bounds_mm(centres)
        result = np.repeat((high - threshold_mm < -reach)[:, None], len(offsets), axis=1)
        rows = np.flatnonzero((low - threshold_mm <= reach) & (high - threshold_mm >= -reach))
        if len(rows):
            result[rows] = self._within_by_tangent(centres[rows], offsets, threshold_mm, reach)
        return result

    def _within_by_tangent(
        self, centres: FloatArray, offsets: FloatArray, threshold_mm: float, reach: float
    ) -> BoolArray:
        signed, normal = signed_distance_and_normal(self._local(centres), self.semi_axes)
        signed = signed - self.margin - threshold_mm
        result = np.repeat((signed <= 0.0)[:, None], len(offsets), axis=1)
        rows = np.flatnonzero(np.abs(signed) <= reach)
        tightest = float(self.semi_axes.min() ** 2 / self.semi_axes.max()) + self.margin + threshold_mm
        radius = tightest + signed[rows] - reach
        slope = turned_points(normal[rows], self.rotation.T)
        tangent = signed[rows, None] + np.einsum("ij,kj->ik", slope, offsets)
        squared = lengths(offsets) ** 2
        with np.errstate(divide="ignore"):
            excess = np.where(radius[:, None] > 0.0, squared / (2.0 * radius[:, None]), np.inf)
        near = tangent <= 0.0
        unsure = np.argwhere((tangent <= 1e-9) & (tangent + excess >= -1e-9))
        if len(unsure):
            points = centres[rows[unsure[:, 0]]] + offsets[unsure[:, 1]]
            decided = self.contains(points) if threshold_mm == 0.0 else self.signed_distance_mm(points) <= threshold_mm
            near[unsure[:, 0], unsure[:, 1]] = decided
        result[rows] = near
        return result


class Ellipsoid(_RoundedEllipsoid):
    """An oriented ellipsoid: centre (3,), semi-axes (3,) mm and a 3x3 rotation whose columns are its axes."""

    def __init__(self, centre: ArrayLike, semi_axes: ArrayLike, rotation: ArrayLike | None = None) -> None:
        sizes = as_vector(semi_axes)
        positive(float(sizes.min()), "semi_axes")
        super().__init__(as_vector(centre), sizes, as_rotation(np.eye(3) if rotation is None else rotation), 0.0)

    def contains(self, points: ArrayLike) -> BoolArray:
        return lengths(self._local(points) / self.semi_axes) <= 1.0

    def moved(self, motion: ArrayLike) -> Self:
        rigid = as_rigid(motion)
        return type(self)(move_point(rigid, self.centre), self.semi_axes, rigid[:3, :3] @ self.rotation)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.centre * factor, self.semi_axes * factor, self.rotation)

    def volume_mm3(self) -> float:
        return 4.0 / 3.0 * math.pi * float(np.prod(self.semi_axes))

    def line_intervals_mm(self, origin: ArrayLike, direction: ArrayLike) -> FloatArray:
        offset = (as_vector(origin) - self.centre) @ self.rotation / self.semi_axes
        ray = unit(direction) @ self.rotation / self.semi_axes
        found = quadratic_interval(float(ray @ ray), float(ray @ offset), float(offset @ offset) - 1.0)
        return NO_INTERVAL if found is None else np.array([found])

    def parameters(self) -> dict[str, Any]:
        place = {"centre_mm": self.centre.tolist(), "semi_axes_mm": self.semi_axes.tolist()}
        return {"kind": "ellipsoid", **place, "axes_as_columns": self.rotation.tolist()}


class Inflated(_RoundedEllipsoid):
    """An ellipsoid and everything within `margin` mm of it: several margins make layers of even thickness."""

    def __init__(self, core: Ellipsoid, margin: float) -> None:
        super().__init__(core.centre, core.semi_axes, core.rotation, positive(margin, "margin"))

    @property
    def core(self) -> Ellipsoid:
        """The ellipsoid inside."""
        return Ellipsoid(self.centre, self.semi_axes, self.rotation)

    def moved(self, motion: ArrayLike) -> Self:
        return type(self)(self.core.moved(motion), self.margin)

    def scaled(self, factor: float) -> Self:
        return type(self)(self.core.scaled(factor), self.margin * factor)

    def parameters(self) -> dict[str, Any]:
        return {"kind": "inflated_ellipsoid", "margin_mm": self.margin, "core": self.core.parameters()}
