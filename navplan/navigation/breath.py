"""Whether the patient breathes as in the image: by a signal that lies in a gate, or by a state that a person states.

A reference on the skin does not see how the organs beneath it move, nor that the patient rolls: the gate speaks of
breath alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.errors import InputError
from navplan.navigation.frames import AHEAD_S
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.watchdog import Reason


@dataclass(frozen=True)
class BreathGate:
    """A signal counts as "as in the image" from low to high, in its own unit (a belt's, a spirometer's). state: the
    breath state in words that a person may state instead; by: how the gate was found. Raises InputError for a gate that
    is none."""

    low: float
    high: float
    state: str
    by: str

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high and self.by):
            raise InputError(f"a breath gate from {self.low} to {self.high} by {self.by!r}", "two numbers, and how")


@dataclass(frozen=True)
class BreathSignal:
    """A value of the signal and when it was measured."""

    value: float
    time_s: float


@dataclass(frozen=True)
class BreathStated:
    """A state as a person states it ("breath held in expiration"), who, and when."""

    state: str
    by: str
    time_s: float


def breath_fault(
    gate: BreathGate | None, told: BreathSignal | BreathStated | None, now_s: float, limits: GuidanceLimits
) -> tuple[Reason, ...]:
    """Why breath is not known to be as in the image; nothing where it is."""
    if gate is None:
        return (Reason("breath:no-gate", "no breath gate: how the patient breathed in the image is not stated"),)
    if told is None:
        return (Reason("breath:unknown", "breath is not measured and nobody states it"),)
    age_s = now_s - told.time_s
    allowed_s = limits.breath_age_s if isinstance(told, BreathSignal) else limits.stated_age_s
    if age_s < -AHEAD_S:
        return (Reason("breath:clock", "breath lies ahead of the clock: the clock went back"),)
    if not age_s <= allowed_s:
        return (Reason("breath:stale", f"breath was told {age_s:.1f} s ago, at most {allowed_s:g} s allowed"),)
    if isinstance(told, BreathStated):
        if not gate.state or told.state != gate.state:
            return (Reason("breath:outside", f"stated: {told.state!r}; in the image: {gate.state or 'not told'!r}"),)
        return ()
    if not gate.low <= told.value <= gate.high:  # NaN, too
        return (Reason("breath:outside", f"breath {told.value:g} is outside its gate, {gate.low:g} to {gate.high:g}"),)
    return ()
