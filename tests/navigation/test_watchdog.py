"""What a stream of poses gives away, and what it does not: real recordings raise nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.model.pose import ToolPose
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.watchdog import Watchdog
from tests.navigation.recordings import sequence

LIMITS = GuidanceLimits()
STEP_S = 0.02


def pose(n: int, matrix: np.ndarray | None = None, **changes) -> ToolPose:
    moved = np.eye(4)
    moved[:3, 3] = 0.1 * n, 0.02 * n, -0.05 * n
    facts = {"time_s": 10 + n * STEP_S, "sent_s": 9.9 + n * STEP_S, "number": n, **changes}
    return ToolPose.measured("tool", "tracker", moved if matrix is None else matrix, **facts)


def fed(dog: Watchdog, count: int = 20, first: int = 0) -> None:
    for n in range(first, first + count):
        assert dog.seen([pose(n)], 10 + n * STEP_S) == ()


def ids(dog: Watchdog, one: ToolPose | list[ToolPose], now_s: float) -> set[str]:
    return {reason.id for reason in dog.seen(one if isinstance(one, list) else [one], now_s)}


def test_a_jump_is_told_and_held_until_poses_settle() -> None:
    dog = Watchdog("tool", LIMITS)
    fed(dog)
    far = np.eye(4)
    far[:3, 3] = 0, 0, 60
    now_s = 10 + 20 * STEP_S
    assert ids(dog, pose(20, far), now_s) == {"tool:jump"}
    assert ids(dog, pose(21, far + np.diag([0, 0, 0, 0])), now_s + STEP_S) == {"tool:jump"}  # held
    late_s = now_s + LIMITS.settle_s + STEP_S
    near = far.copy()
    near[0, 3] = 0.1
    assert ids(dog, pose(50, near, time_s=late_s, sent_s=late_s - 0.1), late_s) - {"tool:clock-jump"} == set()


def test_a_hand_may_be_quick_and_a_tool_hidden_may_be_elsewhere() -> None:
    dog = Watchdog("tool", LIMITS)
    fed(dog)
    quick = np.eye(4)
    quick[:3, 3] = 2.0 + 25.0, 0, 0  # 25 mm in 20 ms
    assert ids(dog, pose(20, quick), 10 + 20 * STEP_S) == set()
    hidden = ToolPose.measured("tool", "tracker", None, 10.42)
    assert ids(dog, hidden, 10.42) == {"tool:lost"}
    there = np.eye(4)
    there[:3, 3] = 300, 0, 0
    assert ids(dog, pose(42, there), 10 + 42 * STEP_S) == set()  # after .4 s: a hand could be there


def test_a_reference_moves_less_than_a_hand() -> None:
    knocked = np.eye(4)
    knocked[:3, 3] = 2.0 + 12.0, 0, 0
    for on_patient, told in ((False, set()), (True, {"tool:jump"})):
        dog = Watchdog("tool", LIMITS, on_patient)
        for n in range(20):
            dog.seen([pose(n)], 10 + n * STEP_S)
        assert ids(dog, pose(20, knocked), 10 + 20 * STEP_S) == told


def test_the_same_turn_by_the_other_quaternion_is_no_alarm() -> None:
    dog = Watchdog("tool", LIMITS)
    for n in range(60):
        turned = np.eye(4)
        quaternion = Rotation.from_rotvec((0.3, 0.01 * n, 0.2)).as_quat()
        turned[:3, :3] = Rotation.from_quat(quaternion * (-1) ** n).as_matrix()
        assert dog.seen([pose(n, turned)], 10 + n * STEP_S) == ()


def test_frozen_needs_the_same_matrix_for_a_while() -> None:
    dog, same = Watchdog("tool", LIMITS), np.eye(4)
    told = [ids(dog, pose(n, same), 10 + n * STEP_S) for n in range(20)]
    first = next(n for n, found in enumerate(told) if found)
    assert told[first] == {"tool:frozen"} and first == round(LIMITS.tool_frozen_s / STEP_S + 0.49)
    assert all(told[first:])
    moved = np.eye(4)
    moved[0, 3] = 0.001
    assert ids(dog, pose(20, moved), 10 + 20 * STEP_S) == set()


def test_several_poses_that_come_at_once_are_no_jump_when_they_were_sent_apart() -> None:
    dog = Watchdog("tool", LIMITS)
    fed(dog)
    batch = []
    for n in range(20, 24):
        moved = np.eye(4)
        moved[:3, 3] = 2.0 + 8.0 * (n - 19), 0, 0
        batch.append(pose(n, moved, time_s=10 + 24 * STEP_S))
    assert ids(dog, batch, 10 + 24 * STEP_S) == set()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"time_s": 9.0}, "tool:clock-back"),
        ({"sent_s": 5.0}, "tool:sender-back"),
        ({"sent_s": 12.0}, "tool:sender-jump"),
        ({"number": 3}, "tool:count-back"),
    ],
)
def test_clocks_and_counts_that_jump(changes: dict[str, float], told: str) -> None:
    dog = Watchdog("tool", LIMITS)
    fed(dog)
    assert told in ids(dog, pose(20, **changes), 10 + 20 * STEP_S)


def test_the_own_clock_that_jumps_is_told_even_without_poses() -> None:
    dog = Watchdog("tool", LIMITS)
    fed(dog)
    assert ids(dog, [], 9.0) == {"tool:clock-back"}
    assert ids(dog, [], 99.0) == {"tool:clock-jump"}


def test_a_slow_drift_of_two_clocks_is_no_latency() -> None:
    dog = Watchdog("tool", LIMITS)
    for n in range(0, 200_000, 20):
        time_s = 10 + n * STEP_S
        sent_s = 9.9 + n * STEP_S * (1 - 5e-5)
        assert dog.seen([pose(n, time_s=time_s, sent_s=sent_s)], time_s) == ()


@pytest.mark.parametrize(
    ("file", "tool", "on_patient"),
    [
        ("EightLandmarkPointsTrackedForPhantomRegistration.igs.mha", "StylusToTracker", False),
        # the reference is on a phantom that somebody turns in the hand, by 150 deg a second: no patient does that
        ("EightLandmarkPointsTrackedForPhantomRegistration.igs.mha", "ReferenceToTracker", False),
        ("WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha", "StylusToTracker", False),
        ("WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha", "ProbeToTracker", False),
        ("WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha", "ReferenceToTracker", True),
        ("ReferenceToRASCalibration.igs.mha", "StylusToTracker", False),
        ("SpinePhantomFreehand.igs.mha", "ProbeToTracker", False),
    ],
)
def test_real_recordings_raise_no_alarm(real_images: Path, file: str, tool: str, on_patient: bool) -> None:
    told = sequence(real_images / "tracking_plus" / file)
    dog, found = Watchdog("tool", LIMITS, on_patient), []
    for n, (matrix, time_s) in enumerate(zip(told[tool], told["time_s"], strict=True)):
        sent = None if np.isnan(matrix).any() else matrix
        found += dog.seen([ToolPose.measured("tool", "tracker", sent, time_s, number=n)], time_s)
    assert [reason for reason in found if not reason.id.endswith(":lost")] == []


@pytest.mark.parametrize("hidden_s", [1.0, 29.0])
def test_a_reference_that_comes_back_elsewhere_has_jumped_however_long_it_was_hidden(hidden_s):
    dog = Watchdog("Reference", GuidanceLimits(), on_patient=True)
    moved = np.eye(4)
    moved[0, 3] = 40.0
    assert not dog.seen([ToolPose.measured("Reference", "tracker", np.eye(4), 10.0)], 10.0)
    later = 10.0 + hidden_s
    told = dog.seen([ToolPose.measured("Reference", "tracker", moved, later)], later)
    assert any(reason.id == "Reference:jump" for reason in told)
