"""What goes wrong with a needle that is followed: each changes the poses of a frame, its time, or what is known."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.guidance_scene import (
    ENTRY,
    REFERENCE,
    REFERENCE_FROM_PATIENT,
    SHAFT,
    TOOL,
    TRACKER,
    Stage,
    depth_at,
    rigid,
    tracker_from_reference,
)
from navplan.geometry.transform import Transform
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathSignal, BreathStated
from navplan.navigation.frames import Edge, PoseError
from navplan.navigation.guidance import Guidance
from navplan.planning.other_needles import OtherNeedle


@dataclass
class Now:
    """What a fault may change: the poses of this frame, the time, what is known; since_s: after it began."""

    guidance: Guidance
    stage: Stage
    poses: list[ToolPose]
    now_s: float
    since_s: float
    kept: dict[str, ToolPose]


def matrix_of(now: Now, name: str, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
    """Let a tool send another matrix."""
    now.poses = [
        ToolPose.measured(p.tool, p.frame, change(np.array(p.matrix)), p.time_s, p.sent_s, p.number)
        if p.tool == name and p.matrix is not None
        else p
        for p in now.poses
    ]


def hidden(name: str) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        now.poses = [
            ToolPose.measured(p.tool, p.frame, None, p.time_s, p.sent_s, p.number) if p.tool == name else p
            for p in now.poses
        ]

    return change


def sends(name: str, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[Now], None]:
    return lambda now: matrix_of(now, name, of)


def frozen(name: str) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        for pose in now.poses:
            now.kept.setdefault(pose.tool, pose)
        matrix_of(now, name, lambda _: np.array(now.kept[name].matrix))

    return change


def with_nan(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix[0, 3] = np.nan
    return matrix


def flipped(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the quaternion of the other sign, which is the same turn."""
    matrix[:3, :3] = Rotation.from_quat(-Rotation.from_matrix(matrix[:3, :3]).as_quat()).as_matrix()
    return matrix


def shifted(by: tuple[float, float, float]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def change(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix[:3, 3] += by
        return matrix

    return change


def times(now: Now, time_s: float = 0.0, sent_s: float = 0.0) -> None:
    """Poses with other times."""
    now.poses = [replace(p, time_s=p.time_s + time_s, sent_s=p.sent_s + sent_s) for p in now.poses]


def clock(by_s: float) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        times(now, by_s)
        now.now_s += by_s
        now.guidance.breath = BreathSignal(0.2, now.now_s)

    return change


def swapped(now: Now) -> None:
    now.poses = [replace(p, tool="needle-9") if p.tool == TOOL else p for p in now.poses]


def other_tool(**changes: object) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        now.guidance.tool = replace(now.guidance.tool, **changes)  # type: ignore[arg-type]

    return change


def breath(value: float | None) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        began_s = now.now_s - now.since_s
        now.guidance.breath = BreathSignal(0.2, began_s) if value is None else BreathSignal(value, now.now_s)

    return change


def stated(now: Now) -> None:
    now.guidance.breath = BreathStated("breathing freely", "nurse", now.now_s)


def bent(now: Now) -> None:
    """The tip goes aside from the shaft."""
    matrix_of(now, SHAFT, lambda matrix: matrix @ rigid((0, 0, 0), (0, 4.0, 0)))


def too_deep(now: Now) -> None:
    began_s = now.now_s - now.since_s
    at_begin = depth_at(began_s)
    now.stage.deep = lambda time_s: at_begin + max(time_s - began_s, 0.0) * 40.0


def slips(now: Now) -> None:
    """The reference slides over the skin, slowly and not far; after three seconds somebody touches a checkpoint."""
    off = np.clip(now.since_s, 0.0, 3.0)
    matrix_of(now, REFERENCE, lambda matrix: matrix @ rigid((0, 0, 0), (0.0, float(off), 0.0)))
    if now.since_s >= 3.0 and "touched" not in now.kept:
        now.kept["touched"] = now.poses[0]
        true = np.asarray(ENTRY) + now.stage.deep(now.now_s) * np.array([1.0, 0.0, 0.0])
        now.guidance.touch("skin again", true.tolist(), now.now_s)


def pushed(now: Now) -> None:
    """The reference is pushed over the skin in sight, no quicker than a patient moves."""
    off = 60.0 * now.since_s
    matrix_of(now, REFERENCE, lambda matrix: matrix @ rigid((0, 0, 0), (0.0, off, 0.0)))


def of_no_image(now: Now) -> None:
    made = now.guidance.registration
    assert made is not None
    now.guidance.registration = replace(made, image=None)


def fewer_checkpoints(now: Now) -> None:
    """All but two are taken back."""
    now.guidance.checkpoints = now.guidance.checkpoints[:2]


def entry_alone(now: Now) -> None:
    """The only place that was touched is the planned entry."""
    first = now.guidance.checkpoints[0]
    now.guidance.checkpoints = (replace(first, name="entry", patient_mm=ENTRY, touched_mm=ENTRY),)


def needle_beside(now: Now) -> None:
    """Another needle was placed across the way."""
    other = Trajectory((-65.0, -60.0, 0.3), (-65.0, 10.0, 0.3), now.guidance.way.device)
    there = OtherNeedle(other, "way 1 of plan other", "elsewhere")
    now.guidance.situation = replace(now.guidance.situation, others=(there,))


def checkpoint_off(now: Now) -> None:
    if "touched" not in now.kept:
        now.kept["touched"] = now.poses[0]
        true = np.asarray(ENTRY) + now.stage.deep(now.now_s) * np.array([1.0, 0.0, 0.0])
        now.guidance.touch("xiphoid", (true + np.array([0.0, 3.5, 0.0])).tolist(), now.now_s)


def unregistered(now: Now) -> None:
    now.guidance.registration = None


def second_way(now: Now) -> None:
    """Another system says where the patient is, and differs."""
    true = np.linalg.inv(tracker_from_reference(now.now_s) @ REFERENCE_FROM_PATIENT)
    off = Transform(rigid((0, 0, 0), (6.0, 0.0, 0.0)) @ true, "patient", TRACKER)
    edge = Edge("patient", TRACKER, off, now.now_s - 0.004, 0.1, PoseError(1.0))
    now.guidance.frames = now.guidance.frames.with_edge(edge)


def unknown_error(now: Now) -> None:
    now.guidance.tracker_error = PoseError(float("nan"))


def counts_back(now: Now) -> None:
    now.poses = [replace(p, number=p.number - 50) for p in now.poses]


def stops(now: Now) -> None:
    now.poses = []


def nothing(now: Now) -> None:
    """No fault."""
