"""A recording: what went in comes out bit for bit; a changed byte is found; a kill leaves what was there."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.recording import (
    Breathed,
    RecordedFrame,
    RecordingHead,
    RecordingWriter,
    Touched,
    frame_digest,
    read_recording,
)
from navplan.files.recording_words import explain
from navplan.files.replay_tracker import ReplayTracker
from navplan.model.finding import Verdict
from navplan.model.plan import JudgedOn
from navplan.model.pose import PoseStatus, ToolPose
from navplan.navigation.breath import BreathGate, BreathSignal, BreathStated
from navplan.navigation.frames import PoseError
from navplan.navigation.guidance import GuidanceFrame
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration, register_landmarks
from navplan.navigation.tool import TrackedTool
from navplan.navigation.watchdog import Reason

HEAD = RecordingHead(
    "biopsy", 0, JudgedOn(*(letter * 64 for letter in "012345")), "2026-01-02T03:04:05+00:00",
    TrackedTool("Needle", "n18", 150.0, (0.0, 0.1, 150.0), (0.0, 0.0, 1.0), 0.1, 0.1, 5.0), "Reference",
    PoseError(0.25, float("nan")), BreathGate(0.1, 0.3, "expiration", "test"), GuidanceLimits(pose_age_s=0.2),
    ("other",),
)  # fmt: skip
MARKS = np.array([[0, 0, 0], [100, 0, 0], [0, 90, 0], [0, 0, 80], [50, 60, 70.0]])


def pose(time_s: float, seed: int = 0) -> ToolPose:
    matrix = np.eye(4)
    matrix[:3, 3] = np.random.default_rng(seed).normal(0, 100, 3)
    return ToolPose("Needle", "tracker", matrix, time_s, number=seed)


def frame(now_s: float, verdict: Verdict = Verdict.WARN) -> GuidanceFrame:
    return GuidanceFrame(now_s, verdict, (Reason("a", f"words at {now_s}", verdict),), ())


def written(path: Path, frames: int = 3, close: bool = True) -> Path:
    writer = RecordingWriter(path, HEAD)
    writer.registered(register_landmarks([*"abcde"], MARKS, MARKS + 0.1, "Reference", {"target": (1, 2, 3)}, 1.5))
    writer.breathed(BreathSignal(float("nan"), 0.1))
    writer.breathed(BreathStated("expiration", "me", 0.1))
    writer.touched("entry", (1.0, 2.0, 1 / 3), 7.0)
    for n in range(frames):
        lost = ToolPose("Reference", "tracker", None, 0.1 * n, PoseStatus.MISSING, words="hidden")
        writer.step(0.1 * n, [pose(0.1 * n, n), lost], "cable" if n == 1 else "", frame(0.1 * n))
    if close:
        writer.close()
        writer.close()
    return path


def test_what_went_in_comes_out_bit_for_bit(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / "a.jsonl"))
    assert found.ended and not found.torn
    for name in ("plan", "trajectory", "judged_on", "today", "tool", "reference", "gate", "limits", "others"):
        assert getattr(found.head, name) == getattr(HEAD, name), name
    assert found.head.tracker_error.position_mm == 0.25 and np.isnan(found.head.tracker_error.turn_deg)
    assert set(found.head.versions) >= {"navplan", "numpy", "python"}
    registration, signalled, stated, touched, *frames = found
    asked = register_landmarks([*"abcde"], MARKS, MARKS + 0.1, "Reference", {"target": (1, 2, 3)}, 1.5)
    assert isinstance(registration, PatientRegistration) and isinstance(signalled, Breathed)
    assert registration.transform.matrix.tobytes() == asked.transform.matrix.tobytes()
    assert registration.error.error_mm(MARKS).tobytes() == asked.error.error_mm(MARKS).tobytes()
    assert registration.words == asked.words and registration.doubts == asked.doubts
    assert isinstance(signalled.told, BreathSignal) and np.isnan(signalled.told.value)
    assert stated == Breathed(BreathStated("expiration", "me", 0.1))
    assert touched == Touched("entry", (1.0, 2.0, 1 / 3), 7.0)
    for n, one in enumerate(frames):
        assert isinstance(one, RecordedFrame)
        now = 0.1 * n
        assert one.now_s == now and one.digest == frame_digest(frame(now)) and one.verdict is Verdict.WARN
        first, second = one.poses
        sent = pose(now, n)
        assert first.matrix is not None and sent.matrix is not None
        assert first.matrix.tobytes() == sent.matrix.tobytes() and first.time_s == now and np.isnan(first.sent_s)
        assert second.status is PoseStatus.MISSING and second.words == "hidden"
        assert one.fault == ("cable" if n == 1 else "")


def test_a_digest_is_of_every_bit_of_a_frame() -> None:
    one = frame(1.0)
    assert frame_digest(one) == frame_digest(frame(1.0))
    for other in (
        replace(one, now_s=np.nextafter(1.0, 2.0)), replace(one, age_s=0.0), replace(one, verdict=Verdict.PASS),
        replace(one, reasons=()), replace(one, checkpoint="a"), replace(one, bent_mm=0.0),
    ):  # fmt: skip
        assert frame_digest(one) != frame_digest(other)


def test_every_changed_byte_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl", 1).read_bytes()
    other = tmp_path / "b.jsonl"
    for place in range(0, len(data) - 1, 3):
        changed = bytearray(data)
        changed[place] ^= 1
        other.write_bytes(changed)
        with pytest.raises(FileFormatError, match=r"line|first"):
            read_recording(other)


def test_a_line_that_is_missing_moved_or_added_is_refused(tmp_path: Path) -> None:
    lines = written(tmp_path / "a.jsonl").read_bytes().splitlines(keepends=True)
    other = tmp_path / "b.jsonl"
    for changed in (
        [lines[0], *lines[2:]], [*lines[:3], lines[4], lines[3], *lines[5:]], [*lines, lines[-1]], lines[1:],
        [*lines[:2], b"\n", *lines[2:]],
    ):  # fmt: skip
        other.write_bytes(b"".join(changed))
        with pytest.raises(FileFormatError):
            read_recording(other)


def test_a_torn_end_is_cut_wherever_it_was_torn(tmp_path: Path) -> None:
    data = written(tmp_path / "a.jsonl").read_bytes()
    head = data.index(b"\n") + 1
    other = tmp_path / "b.jsonl"
    for length in range(head, len(data), 7):
        other.write_bytes(data[:length])
        found = read_recording(other)
        assert not found.ended and found.torn == (data[length - 1 : length] != b"\n")
        assert len(list(found)) == data[:length].count(b"\n") - 1
    for length in (0, 5, head - 1):
        other.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match="first line"):
            read_recording(other)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_kill_leaves_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import sys, itertools; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.files.test_recording import *\n"
        "w = RecordingWriter(Path(sys.argv[1]), HEAD)\n"
        "for n in itertools.count(): w.step(0.1 * n, [pose(0.1 * n, n)], '', frame(0.1 * n))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, "-c", code, str(path), root]) as writing:
        try:
            for _ in range(600):
                if path.exists() and path.stat().st_size > 100_000:
                    break
                time.sleep(0.05)
        finally:
            writing.send_signal(signal.SIGKILL)
    found = read_recording(path)
    assert not found.ended
    times = [one.now_s for one in found.frames()]
    assert len(times) > 50 and times == [0.1 * n for n in range(len(times))]


def test_a_full_disk_stops_the_recording_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RecordingWriter(tmp_path / "a.jsonl", HEAD)
    writer.step(0.0, [], "", frame(0.0))

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    assert writer._file is not None
    writer._file.close()
    monkeypatch.setattr(writer, "_file", Full())
    writer.step(0.1, [], "", frame(0.1))
    assert "No space left" in writer.fault
    writer.step(0.2, [], "", frame(0.2))
    writer.close()
    found = read_recording(tmp_path / "a.jsonl")
    assert len(list(found)) == 1 and not found.ended


def test_nothing_is_written_over_and_no_other_file_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl")
    before = path.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        RecordingWriter(path, HEAD)
    assert path.read_bytes() == before
    with pytest.raises(InputError):
        RecordingWriter(tmp_path / "none" / "a.jsonl", HEAD)
    with pytest.raises(FileFormatError):
        read_recording(tmp_path / "none.jsonl")
    for data in (b"", b"{}\n", b"hello\n", b"\x00\xff\n"):
        (tmp_path / "b.jsonl").write_bytes(data)
        with pytest.raises(FileFormatError):
            read_recording(tmp_path / "b.jsonl")


def test_a_moment_in_words(tmp_path: Path) -> None:
    found = read_recording(written(tmp_path / "a.jsonl"))
    words = explain(found, 0.15)
    assert words.startswith("0.10 s: WARN\n") and "words at 0.1" in words
    assert "Reference: missing (hidden)" in words and "was not known" in words
    for at_s in (-0.1, 0.3, float("nan")):
        with pytest.raises(InputError):
            explain(found, at_s)


def test_the_replay_tracker_gives_the_poses_in_their_pace(tmp_path: Path) -> None:
    from navplan.extend.contract_checks import check_tracker

    path = written(tmp_path / "a.jsonl")
    assert check_tracker(ReplayTracker, str(path))
    now = [100.0]
    link = ReplayTracker(lambda: now[0]).open(str(path))
    assert [one.number for one in link.poses() if one.tool == "Needle"] == [0] and not link.fault()
    now[0] = 100.11
    first, _ = link.poses()
    assert first.number == 1 and first.time_s == pytest.approx(100.1) and link.fault() == "cable"
    now[0] = 105.0
    assert len(link.poses()) == 2 and link.poses() == [] and "ended" in link.fault()
    with pytest.raises(InputError):
        ReplayTracker().open("")


def test_the_recordings_of_a_case_have_a_folder(tmp_path: Path) -> None:
    path = written(tmp_path / "recordings" / "a.jsonl")
    assert read_recording(path).ended
