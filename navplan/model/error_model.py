"""How far the needle may stray from its plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.lines import perpendicular_axes


@dataclass(frozen=True)
class ErrorModel:
    """Lateral error at depth s below the skin, normal, of independent parts. Of the needle, alike in every direction
    across it:

        sigma(s)^2 = entry_sigma_mm^2 + (s * angle_sigma)^2 + (s^2 / 2 * bend_sigma_per_mm)^2

    (a covariance of entry and angle is taken as zero; bend_sigma_per_mm is of the curvature of a needle that bends
    evenly, whose deflection is s^2 / 2 times it: Webster et al. 2006, Int J Robot Res 25:509, for small angles). Of the
    anatomy: motion_sigma_mm, how far it lies from where the image has it, along the patient's left-right, front-back
    and head-foot axes, alike at every depth: what is left of breathing. Along the needle: depth_sigma_mm, how far off
    its stop is, independent of all else. source: where the numbers come from; it is printed wherever they decide
    something.
    """

    id: str
    name: str
    entry_sigma_mm: float
    angle_sigma_deg: float
    source: str
    bend_sigma_per_mm: float = 0.0
    motion_sigma_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    depth_sigma_mm: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.entry_sigma_mm < 50 and 0 <= self.angle_sigma_deg < 30 and self.source):
            raise InputError(
                f"error model {self.id}: {self.entry_sigma_mm} mm, {self.angle_sigma_deg} deg, source {self.source!r}",
                "entry sigma 0-50 mm, angle sigma 0-30 deg, and a source",
            )
        motion = self.motion_sigma_mm
        if not (0 <= self.bend_sigma_per_mm < 0.05 and len(motion) == 3 and all(0 <= part < 50 for part in motion)):
            raise InputError(
                f"error model {self.id}: bend {self.bend_sigma_per_mm} per mm, motion {motion} mm",
                "curvature sigma 0-0.05 per mm, three motion sigmas of 0-50 mm",
            )
        if not 0 <= self.depth_sigma_mm < 50:
            raise InputError(f"error model {self.id}: depth {self.depth_sigma_mm} mm", "a depth sigma of 0-50 mm")

    def needle_sigma_mm(self, depth_mm: ArrayLike) -> NDArray[np.float64]:
        """Of the needle alone, along each lateral axis at depths below the skin, mm."""
        depth = np.asarray(depth_mm, dtype=np.float64)
        straight = np.hypot(self.entry_sigma_mm, depth * np.radians(self.angle_sigma_deg))
        return np.hypot(straight, depth**2 / 2.0 * self.bend_sigma_per_mm)

    def sigma_mm(self, depth_mm: ArrayLike) -> NDArray[np.float64]:
        """With the anatomy's motion: the largest that any axis across any needle may have at depths below the skin."""
        return np.hypot(self.needle_sigma_mm(depth_mm), max(self.motion_sigma_mm))

    def across(self, direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The axes (2, 3) across a needle's unit direction (3,), LPS, along which the anatomy's motion is independent,
        and its standard deviations (2,) along them, mm; the larger last."""
        axes = np.stack(perpendicular_axes(direction))
        if not any(self.motion_sigma_mm):
            return axes, np.zeros(2)
        seen = axes * np.asarray(self.motion_sigma_mm)
        squares, turn = np.linalg.eigh(seen @ seen.T)
        return turn.T @ axes, np.sqrt(np.maximum(squares, 0.0))

    def along_mm(self, direction: NDArray[np.float64]) -> float:
        """Standard deviation of the anatomy's motion along a unit direction (3,), LPS."""
        return float(np.linalg.norm(np.asarray(self.motion_sigma_mm) * direction))

    def end_sigma_mm(self, direction: NDArray[np.float64]) -> float:
        """Standard deviation along a needle's unit direction (3,), LPS, of where its end lies in the anatomy."""
        return float(np.hypot(self.depth_sigma_mm, self.along_mm(direction)))
