"""A simulated procedure for guidance: a body with known organs, a patient that moves, a tracker with noise, a tool in a
hand; every pose made from a true needle, so that what guidance says can be held against the truth."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from navplan.geometry.lines import perpendicular_axes
from navplan.model.device import Device
from navplan.model.plan import RankedTrajectory
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathGate, BreathSignal
from navplan.navigation.frames import PoseError
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration, RegisteredImage, register_landmarks
from navplan.navigation.tool import TrackedTool
from navplan.planning.check_plan import judge
from navplan.planning.situation import Situation
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import case_of, protocol_of

TOOL, REFERENCE, SHAFT, TRACKER = "needle-7", "reference-2", "shaft-7", "tracker"
NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
ENTRY, TARGET = (-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0)
RATE_HZ = 50.0
STEP_S = 1.0 / RATE_HZ
NOISE_MM, NOISE_DEG = 0.08, 0.02  # of each coordinate, about each axis
TRACKER_ERROR = PoseError(0.25, 0.05)
TIP_MM = np.array([0.0, 0.0, 165.0])  # in the tool's frame
START_S = 1000.0
TOUCH_S = 0.25  # from one landmark to the next: no hand is quicker
UPWARDS = np.array([0.0, 0.0, 1.0])
LANDMARKS = np.array(
    [[-85, -40, 30], [-80, 50, -35], [20, -68, 40], [60, -60, -45], [-20, 66, 50], [80, 20, 10], [-60, -65, -10.0]]
)


def rigid(turn_deg: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(turn_deg)).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


REFERENCE_FROM_PATIENT = rigid((20, -40, 75), (30, 110, -60))
STRAIGHT_TIP = np.array([0.0, 0.0, 140.0])  # in the frame of the shaft's sensor


@cache
def planned() -> tuple[Situation, RankedTrajectory]:
    """The scene and a way in it that passes in every respect."""
    case = case_of()
    situation = situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))
    way = Trajectory(ENTRY, TARGET, NEEDLE)
    return situation, RankedTrajectory(way, {}, 1.0, judge(way, situation))


def tool(**changes: object) -> TrackedTool:
    """The plan's own, calibrated a minute before."""
    facts: dict[str, object] = {
        "identity": TOOL, "device_id": NEEDLE.id, "length_mm": 150.2, "tip_mm": tuple(TIP_MM), "axis": (0, 0, 1),
        "tip_error_mm": 0.1, "axis_error_deg": 0.1, "calibrated_s": START_S - 60.0,
    }  # fmt: skip
    return TrackedTool(**{**facts, **changes})  # type: ignore[arg-type]


def registration(
    made_s: float = START_S - 30.0, noise_mm: float = 0.2, of: Situation | None = None
) -> PatientRegistration:
    """By seven landmarks on the skin. of: whose image they were picked in."""
    touched = LANDMARKS @ REFERENCE_FROM_PATIENT[:3, :3].T + REFERENCE_FROM_PATIENT[:3, 3]
    touched = touched + np.random.default_rng(5).normal(0, noise_mm / np.sqrt(3), touched.shape)
    names = tuple(f"landmark {n}" for n in range(1, len(LANDMARKS) + 1))
    here = of or planned()[0]
    image = RegisteredImage(here.image_id, here.image.digest)
    places = {"target": TARGET, "entry": ENTRY}
    return register_landmarks(names, LANDMARKS, touched, REFERENCE, places, made_s, image=image)


def tracker_from_reference(time_s: float) -> NDArray[np.float64]:
    """The patient moves a little, as far as one does who lies still and holds the breath."""
    sway = 0.1 * np.sin(0.5 * (time_s - START_S))
    return rigid((5 + sway, 170, -20 + 0.5 * sway), (100 + 4 * sway, -50, -1500 + 3 * sway))


def patient_from_tool(
    tip_mm: NDArray[np.float64], direction: NDArray[np.float64], upwards: NDArray[np.float64] = UPWARDS
) -> NDArray[np.float64]:
    """Of a needle whose tip is there, which points so, and is turned about itself so that its y axis looks upwards."""
    across = np.cross(upwards, direction)
    across = across / np.linalg.norm(across)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([across, np.cross(direction, across), direction], axis=1)
    matrix[:3, 3] = tip_mm - matrix[:3, :3] @ TIP_MM
    return matrix


def depth_at(time_s: float) -> float:
    """The needle is led to the skin, pushed 40 mm deep, and held there: depth of its tip below the entry, mm."""
    return float(np.interp(time_s - START_S, [0.0, 2.0, 6.0], [-10.0, 0.0, 40.0]))


@dataclass
class Stage:
    """The simulated tracker. A fault changes what it sends, or what is known, from a time on."""

    seed: int = 0
    noise: float = 1.0
    number: int = 0
    deep: Callable[[float], float] = depth_at
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def shaken(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = np.eye(4)
        noise[:3, :3] = Rotation.from_rotvec(np.radians(self.rng.normal(0, NOISE_DEG * self.noise, 3))).as_matrix()
        found = matrix @ noise
        found[:3, 3] += self.rng.normal(0, NOISE_MM * self.noise, 3)
        return found

    def poses(self, time_s: float, aside_mm: float = 0.0, shaft: bool = False) -> list[ToolPose]:
        """Reference and tool, as they are at a time; aside_mm: the tip beside the planned line."""
        self.number += 1
        direction = np.subtract(TARGET, ENTRY) / np.linalg.norm(np.subtract(TARGET, ENTRY))
        wobble = 0.3 * np.sin(3.0 * time_s) + aside_mm
        tip = np.asarray(ENTRY) + self.deep(time_s) * direction + wobble * perpendicular_axes(direction)[0]
        reference = tracker_from_reference(time_s)
        true = reference @ REFERENCE_FROM_PATIENT @ patient_from_tool(tip, direction)
        sent = [(REFERENCE, reference), (TOOL, true)]
        if shaft:
            offset = np.eye(4)
            offset[:3, 3] = TIP_MM - STRAIGHT_TIP
            sent.append((SHAFT, true @ offset))
        return [
            ToolPose.measured(name, TRACKER, self.shaken(matrix), time_s, time_s - 0.02, self.number)
            for name, matrix in sent
        ]


def guidance(limits: GuidanceLimits | None = None, **changes: object) -> Guidance:
    """Ready to be followed: not yet registered."""
    situation, ranked = planned()
    gate = BreathGate(-1.0, 1.0, "breath held in expiration", "belt, test")
    return Guidance(situation, ranked, tool(**changes), REFERENCE, TRACKER_ERROR, gate, limits)


def begun(stage: Stage, limits: GuidanceLimits | None = None, **changes: object) -> tuple[Guidance, float]:
    """Registered, checkpoints touched, and a second of poses: green, at the time that is given back."""
    one = guidance(limits, **changes)
    one.register(registration())
    time_s, shaft = START_S, bool(one.tool.shaft)
    verified(one, stage, START_S - 4 * TOUCH_S)
    step(one, stage, time_s, shaft=shaft)
    tip = one.frames.chain("patient", TOOL, time_s)
    assert tip.transform is not None
    direction = np.subtract(TARGET, ENTRY) / np.linalg.norm(np.subtract(TARGET, ENTRY))
    place = np.asarray(ENTRY) + stage.deep(time_s) * direction  # where the tip truly is
    one.touch("skin", tuple(place), time_s)
    for _ in range(int(RATE_HZ)):
        time_s += STEP_S
        step(one, stage, time_s, shaft=shaft)
    return one, time_s


def verified(one: Guidance, stage: Stage, time_s: float, count: int = 3, off_mm: float = 0.0) -> float:
    """The tip led to landmarks, one after another, and each touched; the time of the last. off_mm: beside each."""
    for n in range(count):
        time_s += TOUCH_S
        reference = tracker_from_reference(time_s)
        place = LANDMARKS[n] + np.array([0.0, 0.0, off_mm])
        true = reference @ REFERENCE_FROM_PATIENT @ patient_from_tool(place, np.array([1.0, 0.0, 0.0]))
        stage.number += 1
        sent = [(REFERENCE, reference), (TOOL, true)]
        one.breath = BreathSignal(0.2, time_s)
        number = stage.number
        poses = [ToolPose.measured(name, TRACKER, stage.shaken(m), time_s, time_s - 0.02, number) for name, m in sent]
        one.update(poses, time_s + 0.005)
        one.touch(f"landmark {n + 1}", LANDMARKS[n].tolist(), time_s + 0.005)
    return time_s


def step(one: Guidance, stage: Stage, time_s: float, shaft: bool = False) -> GuidanceFrame:
    """One frame of a procedure without a fault."""
    one.breath = BreathSignal(0.2, time_s)
    return one.update(stage.poses(time_s, shaft=shaft), time_s + 0.005)
