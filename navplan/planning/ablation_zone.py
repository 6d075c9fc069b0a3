"""The ellipsoid that a probe ablates, and how deep a point lies in it: exactly.

The distance of a point to an ellipsoid of revolution is that to an ellipse, in the plane through the point and the
axis. Its nearest point is the root of a function that falls and is convex (D. Eberly, Distance from a Point to an
Ellipse, an Ellipsoid, or a Hyperellipsoid, Geometric Tools 2013, section 2); Newton's method from its left side rises
to the root without ever stepping over it.

The depth (positive inside, negative outside) is a concave function of the point, since the ellipsoid is convex, and no
steeper than 1 mm a mm: over a box it is least in a corner, and its tangents lie above it. `ablation_margin` rests on
both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError
from navplan.geometry.compiled import compiled
from navplan.geometry.lines import unit
from navplan.model.ablation import AblationZone
from navplan.model.trajectory import Trajectory


@compiled()
def _depth_in_ellipse(
    along: NDArray[np.float64], across: NDArray[np.float64], half_along: float, half_across: float
) -> NDArray[np.float64]:
    """(N, 3) of N points (along the axis, distance from it >= 0): depth below the ellipse, and the outward normal where
    it is nearest, along and across. For the centre of a circle any of the nearest points."""
    out = np.empty((len(along), 3))
    longer = half_along >= half_across
    e0, e1 = (half_along, half_across) if longer else (half_across, half_along)
    ratio = (e0 / e1) ** 2
    for n in range(len(along)):
        u, r = abs(along[n]), across[n]
        y0, y1 = (u, r) if longer else (r, u)
        z0, z1 = y0 / e0, y1 / e1
        inside = z0 * z0 + z1 * z1 <= 1.0
        if y1 > 1e-12 * e1:
            more = ratio - 1.0
            w = max(z1, ratio * z0 - more)  # Eberly's s + 1: near the middle s itself would round it away
            for _ in range(200):
                p, q = ratio * z0 / (w + more), z1 / w
                slope = 2.0 * (p * p / (w + more) + q * q / w)
                step = (p * p + q * q - 1.0) / slope
                w = max(w + step, z1)
                if abs(step) <= 1e-15 * w:
                    break
            x0, x1 = ratio * y0 / (w + more), y1 / w
        else:
            numerator, denominator = e0 * y0, e0 * e0 - e1 * e1
            if numerator < denominator:
                share = numerator / denominator
                x0, x1 = e0 * share, e1 * np.sqrt(1.0 - share * share)
            else:
                x0, x1 = e0, 0.0
        away = np.sqrt((x0 - y0) ** 2 + (x1 - y1) ** 2)
        n0, n1 = x0 / (e0 * e0), x1 / (e1 * e1)
        size = np.sqrt(n0 * n0 + n1 * n1)
        out[n, 0] = away if inside else -away
        normal_along, normal_across = (n0, n1) if longer else (n1, n0)
        out[n, 1] = normal_along / size * (1.0 if along[n] >= 0 else -1.0)
        out[n, 2] = normal_across / size
    return out


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """centre_mm (3,) LPS, direction (3,) unit, half axes along it and across it in mm."""

    centre_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    along_mm: float
    across_mm: float

    def __post_init__(self) -> None:
        points = np.asarray([self.centre_mm, self.direction], dtype=np.float64)
        if points.shape != (2, 3) or not np.isfinite(points).all() or abs(np.linalg.norm(points[1]) - 1.0) > 1e-6:
            raise GeometryError(
                f"an ellipsoid at {self.centre_mm} along {self.direction}", "a finite LPS point and a unit direction"
            )
        if not (np.isfinite([self.along_mm, self.across_mm]).all() and min(self.along_mm, self.across_mm) > 0):
            raise GeometryError(f"half axes of {self.along_mm} and {self.across_mm} mm", "two finite lengths above 0")

    def places(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Of points (N, 3): how far along the axis from the centre (N,), how far from it (N,), unit vectors away from
        it (N, 3), 0 on the axis."""
        offset = np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - self.centre_mm
        along = offset @ self.direction
        aside = offset - along[:, None] * self.direction
        across = np.linalg.norm(aside, axis=1)
        return along, across, aside / np.maximum(across, 1e-300)[:, None]

    def depth_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(N,) how deep points (N, 3) lie below the surface, mm; negative outside."""
        along, across, _ = self.places(points_mm)
        return np.asarray(depth_in_ellipse(along, across, self.along_mm, self.across_mm)[:, 0])

    def depth_and_normal(self, points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N,) depths, and (N, 3) outward normals of the surface where it is nearest: minus the depth's gradient."""
        along, across, away = self.places(points_mm)
        found = depth_in_ellipse(along, across, self.along_mm, self.across_mm)
        on_axis = (across < 1e-12)[:, None]
        aside = np.where(on_axis, _any_across(self.direction), away)
        return found[:, 0], found[:, 1:2] * self.direction + found[:, 2:3] * aside

    def reach_mm(self, direction: NDArray[np.float64]) -> float:
        """How far it reaches from its centre along a unit direction (3,): its support function."""
        along = float(direction @ self.direction)
        return float(np.sqrt((self.along_mm * along) ** 2 + self.across_mm**2 * max(1.0 - along * along, 0.0)))


def depth_in_ellipse(
    along_mm: NDArray[np.float64], across_mm: NDArray[np.float64], half_along_mm: float, half_across_mm: float
) -> NDArray[np.float64]:
    """(N, 3) depth, and outward normal along and across, of points given by their place along the axis and their
    distance from it."""
    return np.asarray(
        _depth_in_ellipse(
            np.ascontiguousarray(along_mm, dtype=np.float64), np.ascontiguousarray(across_mm, dtype=np.float64),
            float(half_along_mm), float(half_across_mm),
        )
    )  # fmt: skip


def depth_bounds(
    along_mm: NDArray[np.float64], across_mm: NDArray[np.float64], half_along_mm: float, half_across_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bounds of the depth without a root: with g the size at which the ellipsoid, blown up about its
    centre, runs through the point, one is (1 - g) times the shorter half axis, the other the distance along the ray
    from the centre; which is which depends on the side."""
    size = np.hypot(along_mm / half_along_mm, across_mm / half_across_mm)
    ball = (1.0 - size) * min(half_along_mm, half_across_mm)
    ray = np.hypot(along_mm, across_mm) * (1.0 / np.maximum(size, 1e-12) - 1.0)
    ray = np.where(size < 1e-9, max(half_along_mm, half_across_mm), ray)
    return np.minimum(ball, ray), np.maximum(ball, ray)


def zone_of(trajectory: Trajectory, zone: AblationZone, derated: bool) -> Ellipsoid:
    """Where a zone lies when the device stands as the trajectory says: its centre on the axis, centre_before_tip_mm
    behind the tip."""
    factor = zone.derating if derated else 1.0
    centre = trajectory.point_at_mm(trajectory.tip_depth_mm - zone.centre_before_tip_mm)
    return Ellipsoid(centre, trajectory.direction, factor * zone.length_mm / 2, factor * zone.width_mm / 2)


def _any_across(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    return unit(np.cross(np.eye(3)[int(np.argmin(np.abs(direction)))], direction))
