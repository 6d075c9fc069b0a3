"""Where a tracked needle is, measured against its planned way: pure geometry, patient frame (LPS of the image), mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import unit
from navplan.model.trajectory import Trajectory

AWAY_COSINE = 0.2  # a needle that points so far from the planned direction is not pushed on along it
FARTHEST_MM = 400.0  # ahead of the tip


@dataclass(frozen=True, eq=False)
class Approach:
    """tip_mm, direction: of the needle. entry_distance_mm: tip to planned entry; entry_aside_mm: how far the needle's
    line passes the planned entry; angle_deg: between its direction and the planned one; depth_mm: of the tip along the
    planned line, below the entry, negative before it. target_distance_mm: tip to target; to_target_mm: along the
    needle, negative past it; target_aside_mm: how far the needle's line passes the target; cross_track_mm: how far the
    tip lies off the planned line. ahead_mm: how far the needle is still to be pushed to the planned depth."""

    tip_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    entry_distance_mm: float
    entry_aside_mm: float
    angle_deg: float
    depth_mm: float
    target_distance_mm: float
    to_target_mm: float
    target_aside_mm: float
    cross_track_mm: float
    ahead_mm: float

    @property
    def end_mm(self) -> NDArray[np.float64]:
        """(3,) where the tip gets to when the needle is pushed on to the planned depth, throw left out."""
        return np.asarray(self.tip_mm + self.ahead_mm * self.direction)


def approach(way: Trajectory, tip_mm: NDArray[np.float64], direction: NDArray[np.float64]) -> Approach:
    """Measure a needle, its tip (3,) and its unit direction (3,), against a way."""
    entry, target = np.asarray(way.entry_mm, dtype=np.float64), np.asarray(way.target_mm, dtype=np.float64)
    along, towards = unit(direction), way.direction
    cosine = float(np.clip(along @ towards, -1.0, 1.0))
    depth = float((tip_mm - entry) @ towards)
    left = (way.tip_depth_mm - depth) / cosine if cosine > AWAY_COSINE else 0.0
    return Approach(
        tip_mm=tip_mm,
        direction=along,
        entry_distance_mm=_length(tip_mm - entry),
        entry_aside_mm=_aside(entry - tip_mm, along),
        angle_deg=float(np.degrees(np.arctan2(_length(np.cross(along, towards)), cosine))),
        depth_mm=depth,
        target_distance_mm=_length(target - tip_mm),
        to_target_mm=float((target - tip_mm) @ along),
        target_aside_mm=_aside(target - tip_mm, along),
        cross_track_mm=_aside(tip_mm - entry, towards),
        ahead_mm=min(max(left, 0.0), FARTHEST_MM),
    )


def _length(vector: NDArray[np.float64]) -> float:
    return float(np.sqrt(vector @ vector))


def _aside(offset: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    return _length(offset - (offset @ direction) * direction)
