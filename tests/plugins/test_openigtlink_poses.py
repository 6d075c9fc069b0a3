"""What a tracker's messages say of its tools: only what is there and rigid is a pose; all else is named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.openigtlink_messages import quaternion, rigid
from navplan.model.pose import PoseStatus
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import (
    Message,
    Position,
    QuaternionTrackingData,
    Status,
    Text,
    TrackedMatrix,
    TrackedQuaternion,
    TrackingData,
    Transform,
)
from navplan_openigtlink.poses import TOOLS_LIMIT, Poses, frame_of, matrix_of
from navplan_openigtlink.sender_clock import SenderClock

OK, MISSING, INVALID = PoseStatus.OK, PoseStatus.MISSING, PoseStatus.INVALID


def transform(name: str = "Needle", matrix: np.ndarray | None = None, **metadata: str) -> Message:
    made = np.eye(4) if matrix is None else matrix
    return Message(Transform(made), name, 3 << 31, 2, 7, metadata)


def tdata(*names: str, device: str = "Polaris") -> Message:
    return Message(TrackingData(tuple(TrackedMatrix(name, np.eye(4)) for name in names)), device)


def told(poses: list) -> dict[str, PoseStatus]:
    return {pose.tool: pose.status for pose in poses}


def test_a_transform_is_a_pose_as_it_was_sent():
    matrix = rigid(np.random.default_rng(1))
    (pose,) = Poses().of(transform("Needle", matrix), 12.5)
    assert (pose.tool, pose.frame, pose.time_s, pose.sent_s, pose.number) == ("Needle", "tracker", 12.5, 1.5, -1)
    assert pose.status is OK and np.array_equal(pose.matrix, matrix)  # no flip between RAS and LPS
    (bare,) = Poses().of(Message(Transform(matrix), "Needle"), 0.0)
    assert math.isnan(bare.sent_s) and bare.number == -1


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("Needle", "tracker"), ("StylusToTracker", "tracker"), ("StylusToReference", "Reference"),
        ("ProbeToTrackerTransform", "tracker"), ("AToBToReference", "Reference"), ("Toto", "tracker"),
        ("To", "tracker"),
    ],
)  # fmt: skip
def test_the_frame_is_the_one_that_the_name_says(name: str, frame: str):
    assert frame_of(name) == frame


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"TransformStatus": "OUT_OF_VIEW"}, "OUT_OF_VIEW"), ({"TransformStatus": ""}, "nothing"),
        ({"TransformValid": "False"}, "not valid"), ({"TransformValid": "0", "TransformStatus": "OK"}, "not valid"),
    ],
)  # fmt: skip
def test_a_last_known_matrix_is_no_pose(metadata: dict[str, str], words: str):
    (pose,) = Poses().of(transform(**metadata), 1.0)
    assert pose.status is MISSING and pose.matrix is None and words in pose.words
    assert told(Poses().of(transform(TransformStatus="ok", TransformValid="True"), 1.0)) == {"Needle": OK}


def test_tools_that_plus_sends_on_in_tdata_are_missing():
    """PLUS leaves lost tools in TDATA, with their last matrix, and says so in the metadata."""
    tools = TrackingData(tuple(TrackedMatrix(name, np.eye(4)) for name in ("NeedleToTracker", "ProbeToTracker")))
    said = {"NeedleToTrackerStatus": "OUT_OF_VOLUME", "ProbeToTrackerStatus": "OK"}
    lost, seen = Poses().of(Message(tools, "PlusServer", 0, 2, metadata=said), 1.0)
    assert (lost.tool, lost.status, seen.status) == ("NeedleToTracker", MISSING, OK) and "OUT_OF_VOLUME" in lost.words
    position = Message(Position((1, 2, 3), (0, 0, 0, 1)), "Needle", 0, 2, metadata={"TransformStatus": "MISSING"})
    assert told(Poses().of(position, 1.0)) == {"Needle": MISSING}


@pytest.mark.parametrize("spoilt", [np.full((4, 4), np.nan), np.diag([2.0, 2, 2, 1]), np.diag([1.0, 1, -1, 1])])
def test_a_matrix_that_is_no_rigid_map_is_invalid(spoilt: np.ndarray):
    matrix = np.eye(4)
    matrix[:3] = spoilt[:3]
    (pose,) = Poses().of(transform(matrix=matrix), 1.0)
    assert pose.status is INVALID and pose.matrix is None and pose.words


def test_quaternions_turn_as_they_say():
    quarter = math.sqrt(0.5)
    matrix, _ = matrix_of((1, 2, 3), (0, 0, quarter, quarter))  # a quarter turn about z: x becomes y
    assert matrix is not None and np.allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1])
    random = np.random.default_rng(3)
    for _ in range(50):
        x, y, z, w = quaternion(random)
        matrix, words = matrix_of((0, 0, 0), (x, y, z, w))
        assert matrix is not None and not words
        assert np.allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3)) and np.linalg.det(matrix[:3, :3]) > 0
        assert np.allclose(matrix[:3, :3] @ (x, y, z), (x, y, z), atol=1e-6)  # the axis stays
        assert np.isclose(np.trace(matrix[:3, :3]), 4 * w * w - 1, atol=1e-5)  # and the angle is the one


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.6, 0.6, 0.3), (math.nan, 0.0, 0.0, 1.0), None])
def test_a_quaternion_that_is_none_is_invalid(turn):
    assert told(Poses().of(Message(Position((1, 2, 3), turn), "Needle"), 1.0)) == {"Needle": INVALID}
    if turn:
        data = QuaternionTrackingData((TrackedQuaternion("Needle", (1, 2, 3), turn),))
        assert told(Poses().of(Message(data, "Polaris"), 1.0)) == {"Needle": INVALID}


def test_a_tool_of_which_only_the_tip_is_known_has_no_pose():
    data = TrackingData((TrackedMatrix("Ball", np.eye(4), 3), TrackedMatrix("Needle", np.eye(4), 4)))
    assert told(Poses().of(Message(data), 1.0)) == {"Ball": INVALID, "Needle": OK}


def test_a_tool_that_is_left_out_is_missing_once():
    poses = Poses()
    assert told(poses.of(tdata("a", "b"), 1.0)) == {"a": OK, "b": OK}
    gone = poses.of(tdata("a"), 2.0)
    assert told(gone) == {"a": OK, "b": MISSING} and "left out" in gone[1].words
    assert told(poses.of(tdata("a"), 3.0)) == {"a": OK}
    assert told(poses.of(tdata("b"), 4.0)) == {"a": MISSING, "b": OK}
    assert told(poses.of(tdata("c", device="Aurora"), 5.0)) == {"c": OK}  # another tracker's tools are its own
    assert told(poses.of(tdata(), 6.0)) == {"b": MISSING}
    poses.of(transform("Needle"), 7.0)
    assert told(poses.of(tdata("d", device=""), 8.0)) == {"d": OK}  # a tool that comes alone is in no group


def test_a_name_that_is_told_twice_is_invalid():
    assert told(Poses().of(tdata("a", "a", "b"), 1.0)) == {"b": OK, "a": INVALID}


def test_a_status_makes_tools_missing():
    poses = Poses()
    for message in (tdata("a", "b"), transform("Needle"), transform("Probe")):
        poses.of(message, 1.0)
    assert told(poses.of(Message(Status(1), "Needle"), 2.0)) == {} and not poses.status
    one = poses.of(Message(Status(16, 0, "NoDevice", "unplugged"), "Needle"), 2.0)
    assert told(one) == {"Needle": MISSING} and "unplugged" in one[0].words and "unplugged" in poses.status
    assert told(poses.of(Message(Status(7), "Polaris"), 3.0)) == {"a": MISSING, "b": MISSING}
    assert told(poses.of(transform("Needle"), 4.0)) == {"Needle": OK} and not poses.status
    assert told(poses.of(Message(Status(3), "nobody knows it"), 5.0)) == {"Needle": MISSING, "Probe": MISSING}
    assert told(poses.of(Message(Status(1), ""), 6.0)) == {} and not poses.status


def test_silence_and_an_end_make_tools_missing_once():
    poses = Poses()
    poses.of(transform("Needle"), 1.0)
    poses.of(transform("Probe"), 1.4)
    assert poses.silent(1.5, 0.5) == []
    assert told(poses.silent(1.6, 0.5)) == {"Needle": MISSING}
    assert poses.silent(1.7, 0.5) == []
    assert told(poses.ended(1.8, "the cable")) == {"Probe": MISSING}
    assert poses.silent(9.0, 0.5) == []


def test_other_messages_are_no_poses_and_endless_names_are_refused():
    poses = Poses()
    assert poses.of(Message(Text("hello")), 1.0) == []
    assert told(poses.of(transform(""), 1.0)) == {"(no name)": OK}
    with pytest.raises(MessageError, match="names of tools"):
        for number in range(TOOLS_LIMIT + 1):
            poses.of(transform(f"n{number}"), 1.0)


class TestSenderClock:
    DAY_S = 1.7e9  # of the day before the monotonic clock, s

    def test_on_one_machine_the_stamp_tells_when_a_pose_was_measured(self) -> None:
        clock = SenderClock(same=True)
        times = [clock.measured_s(self.DAY_S + n - 0.08, float(n), self.DAY_S + n) for n in range(5)]
        assert np.allclose(times, np.arange(5) - 0.08, atol=1e-6)

    def test_the_same_stamp_gives_the_same_time_whenever_it_is_read(self) -> None:
        clock = SenderClock(same=True)
        stamp = self.DAY_S + 0.9
        assert len({clock.measured_s(stamp, 1.0 + 1e-5 * n, self.DAY_S + 1.0 + 2e-5 * n) for n in range(20)}) == 1

    def test_a_clock_of_the_day_that_is_set_is_followed(self) -> None:
        clock = SenderClock(same=True)
        clock.measured_s(self.DAY_S + 0.9, 1.0, self.DAY_S + 1.0)
        assert abs(clock.measured_s(self.DAY_S + 61.9, 2.0, self.DAY_S + 62.0) - 1.9) < 1e-6

    @pytest.mark.parametrize("stamp", [DAY_S + 1.5, 12.0, DAY_S - 3600.0])
    def test_a_stamp_that_cannot_be_of_this_clock_ends_the_trust_in_all(self, stamp: float) -> None:
        clock = SenderClock(same=True)
        assert clock.measured_s(stamp, 1.0, self.DAY_S + 1.0) == 1.0 and not clock.same
        assert clock.measured_s(self.DAY_S + 1.9, 2.0, self.DAY_S + 2.0) == 2.0

    def test_elsewhere_and_without_a_stamp_it_is_when_it_came(self) -> None:
        assert SenderClock(same=False).measured_s(self.DAY_S + 0.5, 1.0, self.DAY_S + 1.0) == 1.0
        assert SenderClock(same=True).measured_s(float("nan"), 1.0, self.DAY_S + 1.0) == 1.0
