"""A simulated tracker along a planned way, to rehearse with: a needle that a mouse moves, a reference, some noise.

Everything about it is made up but the plan: where the patient lies before the tracker, how well he is registered, how
he breathes. Whoever shows its frames has to say so.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.lines import perpendicular_axes
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathGate
from navplan.navigation.frames import PoseError
from navplan.navigation.patient_registration import PatientRegistration, RegisteredImage, register_landmarks
from navplan.navigation.tool import TrackedTool
from navplan.verbs.rehearsal import about_the_entry

TOOL, REFERENCE, TRACKER = "needle", "reference", "tracker"
TRACKER_ERROR = PoseError(0.25, 0.05)
NOISE_MM, NOISE_DEG = 0.06, 0.02
GRIP_MM = 15.0  # from the tool's origin to the needle's hub
QUICKEST_MM_S, QUICKEST_DEG_S = 60.0, 30.0  # of the needle that follows the mouse
REACHES_MM_S = 1000.0  # of one that is led to a landmark
FARTHEST_MM, STEEPEST_DEG = 60.0, 45.0
LANDMARKS_MM = np.array(
    [[70, 0, 20], [-60, 40, 0], [0, -80, 35], [40, 60, -50], [-50, -50, -40], [10, 75, 60], [-75, 5, 45.0]]
)
GATE = BreathGate(-1.0, 1.0, "as in the image", "rehearsal")


@dataclass(frozen=True)
class Wish:
    """Where a mouse wants the needle: depth_mm of its tip along the planned line; aside_mm, tilt_deg: along and about
    two axes across it. seen: whether the tracker sees the tool."""

    depth_mm: float = 0.0
    aside_mm: tuple[float, float] = (0.0, 0.0)
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    seen: bool = True

    def __post_init__(self) -> None:
        numbers = np.asarray([self.depth_mm, *self.aside_mm, *self.tilt_deg], dtype=np.float64)
        if len(numbers) != 5 or not np.isfinite(numbers).all():
            raise InputError(f"a needle wished for at {numbers.tolist()}", "five finite numbers")


class HandTracker:
    """A link to the simulated tracker (`navplan.model.seams.TrackerLink`). Its tip begins on the planned entry.

    across: two unit vectors (2, 3) that aside_mm and tilt_deg are told in.
    """

    def __init__(self, way: Trajectory, across: NDArray[np.float64] | None = None, seed: int = 0) -> None:
        self.way = way
        self.across = np.asarray(perpendicular_axes(way.direction) if across is None else across, dtype=np.float64)
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._wish, self._at = Wish(), np.zeros(5)
        self._rest_mm: NDArray[np.float64] | None = None  # where the tip is to rest, whatever is wished
        self._beside_mm = np.zeros(3)  # of the tip, from where the wish has it
        self._time_s, self._number = -np.inf, 0
        self._tracker_from_reference = _rigid((5, 170, -20), (100, -50, -1500))
        self._reference_from_patient = _rigid((20, -40, 75), (30, 110, -60))
        self.tip_mm = np.array([0.0, 0.0, GRIP_MM + way.device.length_mm])

    def wish(self, **changes: object) -> Wish:
        """Move the needle, or hide it from the tracker; it gets there no faster than a calm hand. Depth and what lies
        aside are held within what a needle can do. Raises InputError for what is no number."""
        with self._lock:
            asked = replace(self._wish, **changes)  # type: ignore[arg-type]
            deepest = self.way.depth_mm + FARTHEST_MM
            self._wish = replace(
                asked,
                depth_mm=float(np.clip(asked.depth_mm, -FARTHEST_MM, deepest)),
                aside_mm=_held(asked.aside_mm, FARTHEST_MM),
                tilt_deg=_held(asked.tilt_deg, STEEPEST_DEG),
            )
            return self._wish

    def rest_on(self, place_mm: Sequence[float] | None) -> None:
        """Lead the tip to a point of the patient (LPS mm) and rest there, as to touch a landmark; None: back to where
        it is wished. It gets there as a hand reaches for something."""
        with self._lock:
            self._rest_mm = None if place_mm is None else np.asarray(place_mm, dtype=np.float64)

    @property
    def there(self) -> bool:
        """Whether it got to where it is to rest, or back to where it is wished."""
        with self._lock:
            return float(np.linalg.norm(self._to_go())) < 1e-6

    @property
    def wished(self) -> Wish:
        """Where it was asked to go last."""
        with self._lock:
            return self._wish

    def tool(self, now_s: float) -> TrackedTool:
        """The plan's own device, calibrated a moment ago."""
        x, y, z = self.tip_mm.tolist()
        device = self.way.device
        return TrackedTool(TOOL, device.id, device.length_mm, (x, y, z), (0.0, 0.0, 1.0), 0.1, 0.1, now_s)

    def registration(self, now_s: float, image: RegisteredImage | None = None) -> PatientRegistration:
        """By landmarks about the entry, touched with small errors, the first to be checkpoints. image: the plan's."""
        patient = np.concatenate([about_the_entry(self.way), np.asarray(self.way.entry_mm) + LANDMARKS_MM])
        touched = patient @ self._reference_from_patient[:3, :3].T + self._reference_from_patient[:3, 3]
        touched = touched + self._rng.normal(0, 0.12, touched.shape)
        names = tuple(f"landmark {n}" for n in range(1, len(patient) + 1))
        places = {"target": self.way.target_mm, "entry": self.way.entry_mm}
        return register_landmarks(names, patient, touched, REFERENCE, places, now_s, image=image)

    def poses_at(self, now_s: float) -> list[ToolPose]:
        """Reference and tool at a time."""
        with self._lock:
            self._number += 1
            passed_s = min(max(now_s - self._time_s, 0.0), 0.2)
            self._time_s = now_s
            self._follow(passed_s)
            reference = self._tracker_from_reference
            true = reference @ self._reference_from_patient @ self._patient_from_tool()
            sent = [(REFERENCE, self._shaken(reference)), (TOOL, self._shaken(true) if self._wish.seen else None)]
            words = "hidden, as asked for"
            return [
                ToolPose.measured(
                    name, TRACKER, matrix, now_s, now_s - 0.01, self._number, words="" if matrix is not None else words
                )
                for name, matrix in sent
            ]

    def poses(self) -> list[ToolPose]:
        """Those of now."""
        import time

        return self.poses_at(time.monotonic())

    def fault(self) -> str:
        """It has none."""
        return ""

    def close(self) -> None:
        """Nothing is held."""

    def _follow(self, passed_s: float) -> None:
        wished = np.asarray([self._wish.depth_mm, *self._wish.aside_mm, *self._wish.tilt_deg])
        most = np.asarray([QUICKEST_MM_S] * 3 + [QUICKEST_DEG_S] * 2) * passed_s
        self._at = self._at + np.clip(wished - self._at, -most, most)
        left, most_mm = self._to_go(), REACHES_MM_S * passed_s
        self._beside_mm = self._beside_mm + left * min(1.0, most_mm / max(float(np.linalg.norm(left)), 1e-9))

    def _to_go(self) -> NDArray[np.float64]:
        """(3,) from where the tip is to where it is to rest, or back to where it is wished."""
        beside = np.zeros(3) if self._rest_mm is None else self._rest_mm - self._lies()[0]
        return np.asarray(beside - self._beside_mm)

    def _lies(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tip and direction by the wish, in the patient: turned about the point where the planned line meets the skin,
        then pushed on and moved aside."""
        depth, aside, tilt = self._at[0], self._at[1:3], np.radians(self._at[3:5])
        leant = self.way.direction + np.tan(tilt) @ self.across
        direction = leant / np.linalg.norm(leant)
        return np.asarray(self.way.entry_mm) + depth * direction + aside @ self.across, direction

    def _patient_from_tool(self) -> NDArray[np.float64]:
        tip, direction = self._lies()
        tip = tip + self._beside_mm
        side = np.cross(self.across[1], direction)
        side = side / np.linalg.norm(side)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([side, np.cross(direction, side), direction], axis=1)
        matrix[:3, 3] = tip - matrix[:3, :3] @ self.tip_mm
        return matrix

    def _shaken(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = np.eye(4)
        noise[:3, :3] = Rotation.from_rotvec(np.radians(self._rng.normal(0, NOISE_DEG, 3))).as_matrix()
        found = matrix @ noise
        found[:3, 3] += self._rng.normal(0, NOISE_MM, 3)
        return np.asarray(found)


def _rigid(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(turn_deg)).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def _held(pair: tuple[float, float], most: float) -> tuple[float, float]:
    one, other = np.clip(pair, -most, most).tolist()
    return one, other
