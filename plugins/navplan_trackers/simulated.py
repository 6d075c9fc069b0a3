"""Entry point `navplan.trackers`: simulated. A needle that follows a script, a plan's way, or a hand on a mouse.

The tracker measures at fixed ticks, whenever it is asked, and each tick has random numbers of its own: the same script
and the same calls give the same poses bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.lines import unit
from navplan.model.pose import ToolPose
from navplan_trackers.motion import (
    bent,
    breath_at,
    distorted,
    needle_at,
    patient_from_tool,
    shaken,
    tracker_from_patient,
)
from navplan_trackers.script import Point, Script, Touch, Waypoint, along, read_script

KEPT_S = 60.0  # of poses that nobody asked for; older ones are skipped, as their count tells
TRACKER = "tracker"


class SimulatedTracker:
    """A needle and a reference on a patient, with what goes wrong with them as told. clock: s, never goes back."""

    name = "simulated"
    description = "a simulated needle: FILE.toml or FILE.json of waypoints and faults; without one, along the plan"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock

    def open(self, address: str) -> SimulatedLink:
        """Play a script's file; "": a needle that lies still. Raises InputError for a file that is no script."""
        script = read_script(address) if address else Script((Waypoint(0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)),))
        return SimulatedLink(script, self.clock)

    def play(self, script: Script, clock: Callable[[], float] | None = None) -> SimulatedLink:
        """Play a script made in code."""
        return SimulatedLink(script, clock or self.clock)

    def along(
        self, entry_mm: Point, target_mm: Point, tip_depth_mm: float, clock: Callable[[], float] | None = None,
        **more: Any,
    ) -> SimulatedLink:  # fmt: skip
        """A needle that follows a plan's way (patient, LPS mm): `navplan_trackers.script.along`."""
        return SimulatedLink(along(entry_mm, target_mm, tip_depth_mm, **more), clock or self.clock)


class SimulatedLink:
    """An open simulation; not for several threads at once. started_s: by the clock, when it was opened."""

    def __init__(self, script: Script, clock: Callable[[], float]) -> None:
        self.script, self.clock, self._open = script, clock, True
        self.started_s, self._tick = clock(), 0
        self._led: tuple[float, Sequence[NDArray[np.float64]], Sequence[NDArray[np.float64]]] | None = None
        self._lost: list[tuple[float, float, str]] = [(one.from_s, one.to_s, one.tool) for one in script.dropouts]
        self._base = unit(script.waypoints[0].direction)

    @property
    def patient_from_reference(self) -> NDArray[np.float64]:
        """(4, 4) the truth, which a registration is to find."""
        matrix = np.eye(4)
        matrix[:3, 3] = self.script.reference_mm
        return matrix

    @property
    def touches(self) -> tuple[Touch, ...]:
        """When the needle touches points of the patient, s since the start."""
        return self.script.touches

    def restart(self) -> None:
        """Play from the start again, now: what comes before a procedure (judging its way) takes time, too."""
        self.started_s, self._tick, self._led = self.clock(), 0, None
        self._lost = [(one.from_s, one.to_s, one.tool) for one in self.script.dropouts]

    def breath(self) -> float | None:
        """A belt's signal now: 0 as in the image, 1 at the other end; None where the patient does not breathe."""
        return None if self.script.breathing is None else breath_at(self.script.breathing, self._passed_s())

    def lead(self, tip_mm: Sequence[float], direction: Sequence[float]) -> None:
        """A hand leads the needle there (patient, LPS mm) from now on, at the script's speed; the waypoints count no
        longer. Raises InputError for numbers that are not finite, or a direction of no length."""
        to = np.asarray(tip_mm, dtype=np.float64)
        if to.shape != (3,) or not np.isfinite(to).all() or not np.isfinite(direction).all():
            raise InputError(f"a needle at {tip_mm} along {direction}", "two points of three finite numbers")
        now_s = self._passed_s()
        tip, towards, _ = self.truth(now_s)
        self._led = (now_s, (tip, towards), (to, unit(direction)))

    def lose(self, tool: str = "", seconds: float = 1.0) -> None:
        """A tool ("": every one) is hidden from now on, for so long."""
        now_s = self._passed_s()
        self._lost.append((now_s, now_s + seconds, tool))

    def truth(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Where the needle truly is: tip (3,) of a straight one, direction (3,), patient, and its bend, s since the
        start."""
        if self._led is None:
            return needle_at(self.script, time_s)
        began_s, (tip, direction), (to_tip, to_direction) = self._led
        far = float(np.linalg.norm(to_tip - tip))
        turn_s = float(np.degrees(np.arccos(np.clip(direction @ to_direction, -1.0, 1.0)))) / 120.0
        needs_s = max(far / self.script.speed_mm_s, turn_s, 1e-9)
        share = float(np.clip((time_s - began_s) / needs_s, 0.0, 1.0))
        towards = (1.0 - share) * direction + share * to_direction
        towards = unit(towards) if np.linalg.norm(towards) > 1e-6 else to_direction
        return (1.0 - share) * tip + share * to_tip, towards, 0.0

    def poses(self) -> list[ToolPose]:
        """What was measured since the last call."""
        if not self._open:
            return []
        last = int(np.floor(self._passed_s() * self.script.rate_hz + 1e-9))
        first = max(self._tick, last - int(KEPT_S * self.script.rate_hz))
        self._tick = max(self._tick, last + 1)
        return [pose for tick in range(first, last + 1) for pose in self._measured(tick)]

    def fault(self) -> str:
        """Why nothing comes."""
        return "" if self._open else "it was closed"

    def close(self) -> None:
        """Stop."""
        self._open = False

    def _passed_s(self) -> float:
        return self.clock() - self.started_s

    def _measured(self, tick: int) -> list[ToolPose]:
        script, passed_s = self.script, tick / self.script.rate_hz
        rng = np.random.default_rng((script.seed, tick))
        patient = tracker_from_patient(script, passed_s)
        tip, direction, bend_mm = self.truth(passed_s)
        straight = patient_from_tool(tip, direction, self._base, script.length_mm)
        held = [(script.reference, self.patient_from_reference)]
        held.append((script.tool, bent(straight, bend_mm, script.length_mm, whole=bool(script.shaft))))
        if script.shaft:
            held.append((script.shaft, straight))
        found = []
        for name, in_patient in held:
            told = distorted(patient @ in_patient, script.metal, in_patient[:3, 3])
            told = shaken(told, script.jitter_mm, script.jitter_deg, rng)
            away = rng.random() < script.lost_share or self._is_lost(name, passed_s)
            found.append(
                ToolPose.measured(
                    name, TRACKER, None if away else told, self.started_s + passed_s, passed_s, tick,
                    words="hidden" if away else "",
                )
            )  # fmt: skip
        return found

    def _is_lost(self, tool: str, passed_s: float) -> bool:
        return any(from_s <= passed_s < to_s and name in ("", tool) for from_s, to_s, name in self._lost)
