"""A straight way from the skin to a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError
from navplan.model.device import Device

SHORTEST_MM = 1.0  # from the skin to the tip
FARTHEST_BEYOND_MM = 60.0  # that a tip may stand past the target


@dataclass(frozen=True)
class Target:
    """What is aimed at: a point (LPS mm), and the structure it belongs to ("" for a bare point)."""

    point_mm: tuple[float, float, float]
    structure: str = ""

    def __post_init__(self) -> None:
        if len(self.point_mm) != 3 or not np.isfinite(self.point_mm).all():
            raise GeometryError(f"target {self.point_mm}", "three finite LPS coordinates in mm")


@dataclass(frozen=True)
class Trajectory:
    """entry_mm on the skin, target_mm the point aimed at (LPS mm), and the device that follows the line.

    tip_short_of_target_mm: how far before the target the tip stands before the device fires; a cutting needle with a
    throw stands half its throw short, so that the middle of the sample is the target. Negative where the tip stands
    beyond the target: an ablation probe whose zone has its centre behind the tip. The swept end is where the tip gets
    to.

    Raises GeometryError when entry and target coincide or are not finite, or the tip would stand far beyond the target
    or outside the skin.
    """

    entry_mm: tuple[float, float, float]
    target_mm: tuple[float, float, float]
    device: Device
    tip_short_of_target_mm: float = 0.0

    def __post_init__(self) -> None:
        points = np.asarray([self.entry_mm, self.target_mm], dtype=np.float64)
        if points.shape != (2, 3) or not np.isfinite(points).all():
            raise GeometryError(f"entry {self.entry_mm}, target {self.target_mm}", "finite LPS coordinates in mm")
        if self.depth_mm < SHORTEST_MM:
            raise GeometryError(
                f"a way of {self.depth_mm:.2f} mm from entry to target", "an entry on the skin away from the target"
            )
        beyond = FARTHEST_BEYOND_MM if self.device.zones else 0.0
        if not -beyond <= self.tip_short_of_target_mm <= self.depth_mm - SHORTEST_MM + 1e-6:
            raise GeometryError(
                f"a tip {self.tip_short_of_target_mm} mm short of a target at {self.depth_mm:.2f} mm",
                f"a tip {SHORTEST_MM:g} mm or more below the skin, at most {beyond:g} mm past the target",
            )

    @cached_property
    def depth_mm(self) -> float:
        """Skin to target."""
        return float(np.linalg.norm(np.subtract(self.target_mm, self.entry_mm)))

    @property
    def tip_depth_mm(self) -> float:
        """Skin to tip before the device fires."""
        return self.depth_mm - self.tip_short_of_target_mm

    @property
    def swept_depth_mm(self) -> float:
        """Skin to the farthest point that the tip reaches, throw included."""
        return self.tip_depth_mm + self.device.throw_mm

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """(3,) unit vector from entry to target."""
        found = np.asarray(np.subtract(self.target_mm, self.entry_mm) / self.depth_mm)
        found.flags.writeable = False
        return found

    def point_at_mm(self, depth_mm: float) -> NDArray[np.float64]:
        """(3,) LPS point at a depth below the skin."""
        return np.asarray(np.asarray(self.entry_mm) + depth_mm * self.direction)

    @property
    def swept_end_mm(self) -> NDArray[np.float64]:
        """(3,) LPS point that the tip reaches, throw included."""
        return self.point_at_mm(self.swept_depth_mm)
