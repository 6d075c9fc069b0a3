"""A rehearsal: a simulated needle along a way of a plan, on a simulated patient that is registered like a real one.

The simulated tracker comes by the plugin door like any other. What it knows of itself (its tool, its noise, where its
reference sits) stands for calibration and registration; landmarks are touched with a simulated hand's error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.landmarks import FEWEST
from navplan.geometry.lines import perpendicular_axes
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathGate, BreathSignal
from navplan.navigation.frames import PoseError
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration, RegisteredImage, register_landmarks
from navplan.navigation.tool import TrackedTool
from navplan.verbs.navigate import LiveGuidance

SIMULATED = "simulated"
TOUCH_S = 0.4  # for which a needle rests on a point that it touches
HAND_MM = 0.4  # root mean square by which a simulated hand misses a landmark
LEAST_ERROR = PoseError(0.1, 0.02)  # of a pose, even where no noise is played
TIP_ERROR_MM, AXIS_ERROR_DEG = 0.1, 0.1
GATE_LOW, GATE_HIGH = -0.05, 0.25  # of a simulated belt: 0 as in the image, 1 at the other end of a breath
AROUND_MM = np.array(
    [(70, -60, 50), (-65, 55, -60), (40, 75, 60), (-50, -70, 45), (80, 30, -70), (-75, 10, 65), (10, -40, -80.0)]
)  # landmarks about the middle of the way
RING_MM, BEFORE_MM = 60.0, 10.0  # of landmarks about the entry: their distance from the line, and before the entry


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """An open simulated link, and what guidance is to know of it."""

    link: Any
    tool: TrackedTool
    tracker_error: PoseError
    registration: PatientRegistration
    gate: BreathGate

    @property
    def reference(self) -> str:
        """Its name."""
        return str(self.link.script.reference)

    def begin(self) -> None:
        """The needle begins its way now."""
        self.link.restart()

    def before_step(self, live: LiveGuidance) -> tuple[str, ...]:
        """What a team does meanwhile: tells the belt's signal, and touches the points whose time has come, one a call.
        Gives what was touched, in words."""
        now_s = live.clock()
        signal = self.link.breath()
        live.breathe(BreathSignal(0.0 if signal is None else signal, now_s))
        done = {point.name for point in live.guidance.checkpoints}
        passed_s = now_s - self.link.started_s
        late = {one.name: passed_s - one.time_s for one in self.link.touches if one.name not in done}
        for one in self.link.touches:
            if not 0.0 <= late.get(one.name, -1.0) < TOUCH_S:  # later, and the tip is elsewhere: it was missed
                continue
            try:
                return (live.touch(one.name, one.point_mm).words,)
            except InputError:  # not seen at the moment: touched again at the next step
                return ()
        return ()


def rehearsal(
    way: Trajectory, script: str = "", clock: Callable[[], float] = time.monotonic,
    limits: GuidanceLimits | None = None, image: RegisteredImage | None = None, **more: Any,
) -> Rehearsal:  # fmt: skip
    """A rehearsal along a way, or of a script's file. image: the plan's, that the simulated landmarks are of; without
    it nothing is green. more: of the simulated tracker's script (seed, jitter_mm, ...).

    Raises ChoiceError where the simulated tracker is not installed, FileFormatError for a file that is no script.
    """
    tracker = registry.load(registry.TRACKERS, SIMULATED)
    if script:
        link = tracker.play(tracker.open(script).script, clock)
    else:
        checkpoints = [(name, tuple(place.tolist())) for name, place in _landmarks(way)[:FEWEST]]
        played = {"length_mm": way.device.length_mm, "checkpoints": checkpoints, **more}
        link = tracker.along(way.entry_mm, way.target_mm, way.tip_depth_mm, clock, **played)
    told = link.script
    position = max(LEAST_ERROR.position_mm, float(np.sqrt(3.0)) * told.jitter_mm)
    error = PoseError(position, max(LEAST_ERROR.turn_deg, told.jitter_deg))
    registration = _registered(way, link, clock(), limits, image)
    gate = BreathGate(GATE_LOW, GATE_HIGH, "", "the simulated belt, which stands still in the image's breath state")
    return Rehearsal(link, _tool(told, way.device, link.started_s), error, registration, gate)


def _tool(script: Any, device: Device, now_s: float) -> TrackedTool:
    bend: dict[str, Any] = {}
    if script.shaft:
        bend = {"shaft": script.shaft, "straight_tip_mm": (0.0, 0.0, script.length_mm)}
    return TrackedTool(
        script.tool, device.id, script.length_mm, (0.0, 0.0, script.length_mm), (0.0, 0.0, 1.0), TIP_ERROR_MM,
        AXIS_ERROR_DEG, now_s, **bend,
    )  # fmt: skip


def _landmarks(way: Trajectory) -> list[tuple[str, NDArray[np.float64]]]:
    """Names and places (3,) in the patient: some about the entry, where a needle may touch them, then others."""
    middle = (np.asarray(way.entry_mm) + np.asarray(way.target_mm)) / 2.0
    places = [*about_the_entry(way), *(middle + AROUND_MM)]
    return [(f"simulated landmark {number}", place) for number, place in enumerate(places, 1)]


def about_the_entry(way: Trajectory) -> NDArray[np.float64]:
    """(FEWEST, 3) a ring of simulated landmarks about the planned entry, outside, to be touched as checkpoints."""
    turns = 2.0 * np.pi * np.arange(FEWEST) / FEWEST
    across = np.asarray(perpendicular_axes(way.direction))
    ring = RING_MM * np.stack([np.cos(turns), np.sin(turns)], axis=1) @ across
    return np.asarray(way.entry_mm) - BEFORE_MM * way.direction + ring


def _registered(
    way: Trajectory, link: Any, now_s: float, limits: GuidanceLimits | None, image: RegisteredImage | None
) -> PatientRegistration:
    names, places = zip(*_landmarks(way), strict=True)
    patient = np.asarray(places)
    reference_from_patient = np.linalg.inv(link.patient_from_reference)
    touched = patient @ reference_from_patient[:3, :3].T + reference_from_patient[:3, 3]
    touched = touched + np.random.default_rng(link.script.seed).normal(0.0, HAND_MM / np.sqrt(3.0), touched.shape)
    asked = {"target": way.target_mm, "entry": way.entry_mm}
    return register_landmarks(names, patient, touched, link.script.reference, asked, now_s, limits, image)
