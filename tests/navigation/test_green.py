"""No frame is green that an oracle does not allow, whatever comes: it knows the true needle, the true organs, what was
sent and when, and nothing of guidance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.guidance_scene import (
    ENTRY,
    NEEDLE,
    REFERENCE,
    REFERENCE_FROM_PATIENT,
    START_S,
    STEP_S,
    TARGET,
    TOOL,
    TOUCH_S,
    TRACKER,
    Stage,
    begun,
    patient_from_tool,
    tracker_from_reference,
    verified,
)
from navplan.geometry.lines import unit
from navplan.model.finding import Verdict
from navplan.model.pose import PoseStatus, ToolPose
from navplan.navigation.breath import BreathSignal
from tests.planning.scenes import SOLIDS

REQUIRED_MM = {"colon": 5.0, "aorta": 5.0, "rib_right_9": 1.0}
SLACK_MM = 1.5  # of the shown needle from the true one, registration and noise
FAULTS = ("hidden", "nan", "mirrored", "old", "reference hidden", "silence", "breath", "swapped", "frozen", "jump")


def true_needle(time_s: float, rng_phase: NDArray[np.float64], reach_mm: float) -> tuple[NDArray, NDArray]:
    """Tip and direction: wanders about the planned line, smoothly, by up to reach_mm and some degrees."""
    t = time_s - START_S
    depth = 25.0 + 22.0 * np.sin(0.3 * t + rng_phase[0])
    off = reach_mm * np.array([0.0, np.sin(0.4 * t + rng_phase[1]), np.sin(0.27 * t + rng_phase[2])])
    lean = np.array([1.0, 0.08 * np.sin(0.33 * t + rng_phase[3]), 0.08 * np.sin(0.21 * t + rng_phase[4])])
    return np.asarray(ENTRY) + depth * np.array([1.0, 0.0, 0.0]) + off, unit(lean)


def spoilt(poses: list[ToolPose], fault: str, kept: ToolPose | None) -> list[ToolPose]:
    """The poses of a frame with one thing wrong."""
    found = []
    for pose in poses:
        matrix = np.array(pose.matrix)
        mine = pose.tool == (REFERENCE if fault == "reference hidden" else TOOL)
        if fault in ("hidden", "reference hidden") and mine:
            found.append(ToolPose.measured(pose.tool, TRACKER, None, pose.time_s, pose.sent_s, pose.number))
        elif fault == "nan" and mine:
            matrix[1, 3] = np.nan
            found.append(ToolPose.measured(pose.tool, TRACKER, matrix, pose.time_s, pose.sent_s, pose.number))
        elif fault == "mirrored" and mine:
            matrix[:3, 1] *= -1
            found.append(ToolPose.measured(pose.tool, TRACKER, matrix, pose.time_s, pose.sent_s, pose.number))
        elif fault == "old":
            found.append(replace(pose, time_s=pose.time_s - 0.4, sent_s=pose.sent_s - 0.4))
        elif fault == "swapped" and mine:
            found.append(replace(pose, tool="needle-9"))
        elif fault == "frozen" and mine and kept is not None:
            found.append(replace(pose, matrix=kept.matrix))
        elif fault == "jump" and mine:
            matrix[:3, 3] += (0.0, 0.0, 45.0)
            found.append(replace(pose, matrix=matrix))
        elif fault != "silence":
            found.append(pose)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_no_frame_is_green_that_the_oracle_does_not_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Stage(seed, deep=lambda _: 25.0)
    one, time_s = begun(stage)
    phase, reach = rng.uniform(0, 6.28, 5), (2.0, 6.0, 12.0)[seed % 3]
    green, fault, until_s, last = 0, "", 0.0, dict[str, ToolPose]()
    kept: ToolPose | None = None
    began_s = time_s
    for _ in range(1500):
        time_s += STEP_S
        if time_s > until_s and rng.random() < 0.004:
            fault, until_s, began_s = str(rng.choice(FAULTS)), time_s + rng.uniform(0.02, 1.2), time_s
            kept = last.get(TOOL)
        elif time_s > until_s:
            fault = ""
        tip, direction = true_needle(time_s, phase, reach)
        reference = tracker_from_reference(time_s)
        true = reference @ REFERENCE_FROM_PATIENT @ patient_from_tool(tip, direction)
        stage.number += 1
        poses = [
            ToolPose.measured(name, TRACKER, stage.shaken(m), time_s, time_s - 0.02, stage.number)
            for name, m in ((REFERENCE, reference), (TOOL, true))
        ]
        poses = spoilt(poses, fault, kept) if fault else poses
        one.breath = BreathSignal(3.0 if fault == "breath" else 0.1, time_s)
        frame = one.update(poses, time_s + 0.005)
        last.update({pose.tool: pose for pose in poses})
        if not one.checkpoints and not fault and frame.approach is not None:  # somebody touches one again
            time_s = verified(one, stage, time_s)
            time_s += TOUCH_S
            until_s, last = time_s, {}
        if frame.verdict is not Verdict.PASS:
            continue
        green += 1
        for name in (TOOL, REFERENCE):  # what was sent last is a pose, and of now
            assert last[name].status is PoseStatus.OK
            assert time_s + 0.005 - last[name].time_s <= 0.1 + 1e-9
        silent_s = 0.1 + STEP_S if fault == "silence" else (0.25 + STEP_S if fault == "frozen" else 0.0)
        assert not fault or time_s - began_s <= silent_s, fault  # what can be known at once is never green
        if not fault:
            along = max((np.subtract(TARGET, tip) @ (1.0, 0.0, 0.0)), 0.0)
            hub, end = tip - NEEDLE.length_mm * direction, tip + along * direction
            for name, required in REQUIRED_MM.items():
                clear = SOLIDS[name][0].segment_distance_mm(tuple(hub), tuple(end)) - NEEDLE.radius_mm
                assert clear >= required - SLACK_MM, (name, clear)
            assert np.linalg.norm(frame.approach.tip_mm - tip) < SLACK_MM
    assert green > (300, 40, -1)[seed % 3]
