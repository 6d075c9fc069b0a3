"""Displacements as a cubic B-spline over an even lattice of knots: at points, their gradient, how much they bend.

As in Rueckert et al., IEEE TMI 18:712 (1999). Knots are halved exactly (Lane and Riesenfeld, IEEE PAMI 2:35, 1980): the
same displacements on the finer lattice. Every sum has a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled
from navplan.geometry.grid import Grid
from navplan.model.displacement import DisplacementField

AROUND = 2  # knots beyond the box on each side, at least
FADES_MM = 40.0  # beyond the image the displacement fades to nothing, at least so far out
FADES = 3.0  # and over so many times the largest displacement


@compiled()
def _displaced(points, origin, step, knots):  # type: ignore[no-untyped-def]
    """(N, 3) displacement at points (N, 3); the lattice holds them all."""
    found = np.zeros((points.shape[0], 3))
    weights, first = np.empty((3, 4)), np.empty(3, np.int64)
    for n in range(points.shape[0]):
        for axis in range(3):
            u = (points[n, axis] - origin[axis]) / step
            at = min(max(int(np.floor(u)), 1), knots.shape[axis] - 3)
            t = min(max(u - at, 0.0), 1.0)
            first[axis] = at - 1
            weights[axis, 0] = (1 - t) ** 3 / 6
            weights[axis, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
            weights[axis, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
            weights[axis, 3] = t**3 / 6
        x, y, z = 0.0, 0.0, 0.0
        for i in range(4):
            for j in range(4):
                row = weights[0, i] * weights[1, j]
                a, b = first[0] + i, first[1] + j
                for k in range(4):
                    weight = row * weights[2, k]
                    x += weight * knots[a, b, first[2] + k, 0]
                    y += weight * knots[a, b, first[2] + k, 1]
                    z += weight * knots[a, b, first[2] + k, 2]
        found[n, 0], found[n, 1], found[n, 2] = x, y, z
    return found


@compiled()
def _gathered(points, forces, origin, step, like):  # type: ignore[no-untyped-def]
    """The gradient by the knots of what has the gradient `forces` (N, 3) by the displacements at the points."""
    found = np.zeros_like(like)
    weights, first = np.empty((3, 4)), np.empty(3, np.int64)
    for n in range(points.shape[0]):
        if forces[n, 0] == 0.0 and forces[n, 1] == 0.0 and forces[n, 2] == 0.0:
            continue
        for axis in range(3):
            u = (points[n, axis] - origin[axis]) / step
            at = min(max(int(np.floor(u)), 1), like.shape[axis] - 3)
            t = min(max(u - at, 0.0), 1.0)
            first[axis] = at - 1
            weights[axis, 0] = (1 - t) ** 3 / 6
            weights[axis, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
            weights[axis, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
            weights[axis, 3] = t**3 / 6
        x, y, z = forces[n, 0], forces[n, 1], forces[n, 2]
        for i in range(4):
            for j in range(4):
                row = weights[0, i] * weights[1, j]
                a, b = first[0] + i, first[1] + j
                for k in range(4):
                    weight = row * weights[2, k]
                    found[a, b, first[2] + k, 0] += weight * x
                    found[a, b, first[2] + k, 1] += weight * y
                    found[a, b, first[2] + k, 2] += weight * z
    return found


@dataclass(frozen=True, eq=False)
class SplineField:
    """knots (I, J, K, 3) in mm, LPS, I, J, K of 4 or more; origin_mm: place of knot (0, 0, 0); step_mm between knots,
    which lie along L, P, S."""

    knots: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    step_mm: float

    @staticmethod
    def nothing(
        low_mm: NDArray[np.float64], high_mm: NDArray[np.float64], step_mm: float, off: float = 0.0
    ) -> SplineField:
        """No displacement, over a box; off: by what share of a step the lattice lies further back."""
        origin = np.asarray(low_mm, dtype=np.float64) - (AROUND + off) * step_mm
        count = np.ceil((high_mm - origin) / step_mm).astype(int) + 1 + AROUND
        return SplineField(np.zeros((*count, 3)), origin, step_mm)

    def with_knots(self, values: NDArray[np.float64]) -> SplineField:
        """The same lattice with other knots, of any shape of that size."""
        return SplineField(values.reshape(self.knots.shape), self.origin_mm, self.step_mm)

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) displacement, mm, at points (N, 3) within the lattice."""
        points = np.ascontiguousarray(points_mm, dtype=np.float64)
        return np.asarray(_displaced(points, self.origin_mm, self.step_mm, self.knots))

    def gradient(self, points_mm: NDArray[np.float64], forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient by the knots of a sum that has the gradient `forces` (N, 3) by the displacement at points."""
        return np.asarray(_gathered(points_mm, forces, self.origin_mm, self.step_mm, self.knots))

    def halved(self) -> SplineField:
        """The same displacements by knots half as far apart."""
        knots = self.knots
        for axis in range(3):
            knots = _halved(knots, axis)
        step = self.step_mm / 2
        return SplineField(np.ascontiguousarray(knots), self.origin_mm + self.step_mm, step)

    def bending(self) -> tuple[float, NDArray[np.float64]]:
        """Mean over the knots of the squared second derivatives, by differences, per mm^2, and its gradient by the
        knots. A field that is affine bends nowhere."""
        knots, scale = self.knots, 1.0 / self.step_mm**4
        slope, total = np.zeros_like(knots), 0.0
        count = float(np.prod(knots.shape[:3]))
        for first in range(3):
            for second in range(first, 3):
                weight = scale * (1.0 if first == second else 2.0) / count
                bent = _second(knots, first, second)
                total += weight * float((bent**2).sum())
                _second_back(bent * (2.0 * weight), first, second, slope)
        return total, slope

    def on_grid(self, box: Grid, step_mm: float) -> DisplacementField:
        """The displacements every step_mm over an image's box, and around it, where they fade to nothing."""
        corners = box.corners_mm()
        low, high = corners.min(axis=0), corners.max(axis=0)
        around = max(FADES_MM, FADES * float(np.abs(self.knots).max()))
        count = np.ceil((high - low + 2 * around) / step_mm).astype(int) + 1
        affine = np.diag([step_mm, step_mm, step_mm, 1.0])
        affine[:3, 3] = low - around
        grid = Grid(affine, (int(count[0]), int(count[1]), int(count[2])), box.frame_uid)
        found = np.empty((*grid.shape, 3), dtype=np.float32)
        for k in range(grid.shape[2]):
            at = np.moveaxis(np.indices((*grid.shape[:2], 1)), 0, -1) + np.array([0, 0, k])
            plane = grid.points_mm(at).reshape(-1, 3)
            inside = np.clip(plane, low, high)
            out = np.clip(np.abs(plane - inside).max(axis=1) / (around - step_mm), 0.0, 1.0)
            found[:, :, k] = (self.at(inside) * (1.0 - out)[:, None]).reshape(*grid.shape[:2], 3)
        return DisplacementField(found, grid)


def _halved(knots: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """From the second knot to the last but one, and between them."""
    rows = np.moveaxis(knots, axis, 0)
    found = np.empty((2 * (len(rows) - 2) - 1, *rows.shape[1:]))
    found[::2] = (rows[:-2] + 6 * rows[1:-1] + rows[2:]) / 8
    found[1::2] = (rows[1:-2] + rows[2:-1]) / 2
    return np.moveaxis(found, 0, axis)


def _part(axis: int, first: int | None, last: int | None) -> tuple[slice, ...]:
    return tuple(slice(first, last) if one == axis else slice(None) for one in range(3))


def _second(knots: NDArray[np.float64], first: int, second: int) -> NDArray[np.float64]:
    if first == second:
        return np.asarray(
            knots[_part(first, None, -2)] - 2 * knots[_part(first, 1, -1)] + knots[_part(first, 2, None)]
        )
    once = knots[_part(first, 1, None)] - knots[_part(first, None, -1)]
    return np.asarray(once[_part(second, 1, None)] - once[_part(second, None, -1)])


def _second_back(values: NDArray[np.float64], first: int, second: int, slope: NDArray[np.float64]) -> None:
    """Adds the transpose of `_second` to a slope."""
    if first == second:
        slope[_part(first, None, -2)] += values
        slope[_part(first, 1, -1)] -= 2 * values
        slope[_part(first, 2, None)] += values
        return
    for one, sign_one in ((_part(first, 1, None), 1.0), (_part(first, None, -1), -1.0)):
        part = slope[one]
        for two, sign_two in ((_part(second, 1, None), 1.0), (_part(second, None, -1), -1.0)):
            part[two] += sign_one * sign_two * values
