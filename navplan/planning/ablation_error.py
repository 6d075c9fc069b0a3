"""The margin of a probe that strays: Monte Carlo under the declared error model.

Each draw puts the zone where a needle with these errors would carry it: its centre moves across the way by entry error
+ depth times the error of angle + half the squared depth times the curvature (navplan.model.error_model, whose sigma^2
is the sum of the three), along the way by the stop's error, its axis turns by angle and curvature, and the anatomy
moves against it. Nothing is corrected under control images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import perpendicular_axes
from navplan.model.error_model import ErrorModel
from navplan.model.safety import Interval
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_margin import DepthInterval
from navplan.planning.ablation_zone import Ellipsoid, depth_bounds, depth_in_ellipse

DRAWS = 2000
SEED = 20140
SIGMAS_95 = 1.959963984540054
AT_ONCE = 250  # draws in memory together


@dataclass(frozen=True)
class StrayingMargin:
    """expected: the mean margin, 95 % interval of the drawing and the labels' interval together. goal_met: lower end of
    the probability that the margin reaches the goal, tumour_left: upper end of that of a margin below 0 (Wilson 95 %,
    the tumour taken as large as its labels allow)."""

    expected: Interval
    goal_met: float
    tumour_left: float
    draws: int


def straying_margin(
    trajectory: Trajectory,
    zone: Ellipsoid,
    planned: DepthInterval,
    points_mm: NDArray[np.float64],
    error: ErrorModel,
    goal_mm: float,
    draws: int = DRAWS,
) -> StrayingMargin:
    """The margin of a tumour (voxel centres (N, 3), LPS mm) under the error model. The outline is taken to lie as far
    from the voxels' centres as at the place of the planned margin."""
    drawn = drawn_margins(trajectory, zone, hull_points(points_mm), error, draws)
    low, high = planned.interval.low_mm - planned.centre_depth_mm, planned.interval.high_mm - planned.centre_depth_mm
    spread = SIGMAS_95 * float(drawn.std(ddof=1)) / np.sqrt(draws)
    mean = float(drawn.mean())
    pessimistic = drawn + low
    _, left = wilson(int((pessimistic < 0).sum()), draws)
    met, _ = wilson(int((pessimistic >= goal_mm).sum()), draws)
    expected = Interval(float(mean + low - spread), float(mean + high + spread))
    return StrayingMargin(expected, met, left, draws)


def hull_points(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of the convex hull: a concave depth is least in one of them. All points where they span no volume."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        return np.asarray(points_mm[ConvexHull(points_mm).vertices])
    except (QhullError, ValueError):
        return points_mm


def drawn_margins(
    trajectory: Trajectory, zone: Ellipsoid, points_mm: NDArray[np.float64], error: ErrorModel, draws: int
) -> NDArray[np.float64]:
    """(draws,) least depth of points (N, 3) in the zone of a needle that strays; the same draws for the same way."""
    chance = np.random.default_rng(SEED)
    across = np.stack(perpendicular_axes(trajectory.direction))
    depth = float((zone.centre_mm - np.asarray(trajectory.entry_mm)) @ trajectory.direction)
    entry = chance.normal(0.0, error.entry_sigma_mm, (draws, 2))
    angle = chance.normal(0.0, np.radians(error.angle_sigma_deg), (draws, 2))
    bend = chance.normal(0.0, 1.0, (draws, 2)) * error.bend_sigma_per_mm
    motion = chance.normal(0.0, 1.0, (draws, 3)) * np.asarray(error.motion_sigma_mm)
    stop = chance.normal(0.0, 1.0, (draws, 1)) * error.depth_sigma_mm
    centres = zone.centre_mm + (entry + depth * angle + depth**2 / 2.0 * bend) @ across + motion
    directions = trajectory.direction + (angle + depth * bend) @ across
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centres += stop * directions
    found = np.empty(draws)
    for first in range(0, draws, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        found[part] = least_depths(zone, centres[part], directions[part], points_mm)
    return found


def least_depths(
    zone: Ellipsoid, centres: NDArray[np.float64], directions: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(D,) least depth of points (N, 3) in the zone put at centres (D, 3) along directions (D, 3)."""
    points, centres = points - zone.centre_mm, centres - zone.centre_mm  # small numbers: their squares are subtracted
    along = directions @ points.T - (directions * centres).sum(axis=1)[:, None]
    squared = (points**2).sum(axis=1) - 2.0 * centres @ points.T + (centres**2).sum(axis=1)[:, None]
    across = np.sqrt(np.maximum(squared - along**2, 0.0))
    low, high = depth_bounds(along, across, zone.along_mm, zone.across_mm)
    hopeful = low <= high.min(axis=1, keepdims=True) + 1e-6
    rows, columns = np.nonzero(hopeful)
    depth = depth_in_ellipse(along[rows, columns], across[rows, columns], zone.along_mm, zone.across_mm)[:, 0]
    return np.asarray(np.minimum.reduceat(depth, np.searchsorted(rows, np.arange(len(centres)))))


def wilson(count: int, draws: int) -> tuple[float, float]:
    """95 % interval of a probability from draws (Wilson 1927, J Am Stat Assoc 22:209)."""
    share, z2 = count / draws, SIGMAS_95**2
    middle = (share + z2 / (2 * draws)) / (1 + z2 / draws)
    half = SIGMAS_95 / (1 + z2 / draws) * np.sqrt(share * (1 - share) / draws + z2 / (4 * draws**2))
    low = 0.0 if count == 0 else max(float(middle - half), 0.0)
    return low, 1.0 if count == draws else min(float(middle + half), 1.0)
