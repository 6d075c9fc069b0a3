"""The tool in the hand: what it is, where its tip and its axis lie, and whether it is the one that was planned with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.lines import unit
from navplan.model.device import Device
from navplan.navigation.frames import AHEAD_S, Chain
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.watchdog import Reason


@dataclass(frozen=True)
class TrackedTool:
    """identity: as the tracker names it; device_id: of the plan's device that it is; length_mm: measured, hub to tip.
    tip_mm, axis: in the tool's frame, the axis towards the tip, of length 1. tip_error_mm: of its calibration, root
    mean square of all coordinates (pivot), axis_error_deg: standard deviation about each axis across. calibrated_s:
    when; shaft: name of a second sensor on the shaft, "" without one, straight_tip_mm: where that sensor's frame has
    the tip of a straight needle.

    Raises InputError for what is not finite, an axis of no length, or an error that is below 0.
    """

    identity: str
    device_id: str
    length_mm: float
    tip_mm: tuple[float, float, float]
    axis: tuple[float, float, float]
    tip_error_mm: float
    axis_error_deg: float
    calibrated_s: float
    shaft: str = ""
    straight_tip_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = [self.length_mm, *self.tip_mm, *self.straight_tip_mm, self.tip_error_mm, self.axis_error_deg]
        if not self.identity or not np.isfinite([*numbers, self.calibrated_s]).all() or min(numbers[-2:]) < 0:
            raise InputError(f"tool {self.identity!r}: {numbers}", "a name, finite numbers, errors of 0 or more")
        object.__setattr__(self, "axis", tuple(float(part) for part in unit(self.axis)))

    def faults(self, device: Device, now_s: float, limits: GuidanceLimits) -> tuple[Reason, ...]:
        """Why it is not the plan's own tool, well calibrated."""
        found = []
        if self.device_id != device.id:
            found.append(Reason("tool:other", f"the tool in use is {self.device_id}, the plan's is {device.id}"))
        if abs(self.length_mm - device.length_mm) > limits.length_mm:
            found.append(
                Reason("tool:length", f"the tool is {self.length_mm:.1f} mm long, the plan's {device.length_mm:.1f} mm")
            )
        age_s = now_s - self.calibrated_s
        if age_s < -AHEAD_S:
            found.append(Reason("tool:clock", "its calibration lies ahead of the clock: the clock went back"))
        elif age_s > limits.tip_age_s:
            words = f"its tip was calibrated {age_s / 3600:.1f} h ago, at most {limits.tip_age_s / 3600:g} h allowed"
            found.append(Reason("tool:calibration-old", words))
        if self.tip_error_mm > limits.tip_error_mm:
            words = f"its tip is known to {self.tip_error_mm:.2f} mm, {limits.tip_error_mm:g} mm asked"
            found.append(Reason("tool:calibration-error", words))
        return tuple(found)


def bent_mm(tip_mm: NDArray[np.float64], shaft: Chain, tool: TrackedTool) -> float:
    """How far the tip (patient frame) lies from where a straight needle on the shaft's sensor would have it, mm."""
    if shaft.transform is None:
        raise InputError("bending without the shaft's pose", "a chain", shaft.why)
    return float(np.linalg.norm(shaft.transform.apply(np.asarray(tool.straight_tip_mm)) - tip_mm))
