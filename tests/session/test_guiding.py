"""Guidance of a session: what it shows is of now, and what it does not know it does not show."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.files.recording import read_recording
from navplan.model.finding import Verdict
from navplan.model.pose import PoseStatus, ToolPose
from navplan.navigation.alarms import Alarm
from navplan.navigation.live_margin import StructureMargin
from navplan.navigation.watchdog import Reason
from navplan.session.guide_checkpoints import ENTRY
from navplan.session.guide_document import frame_document
from navplan.session.guiding import Guiding
from navplan.session.hand_tracker import QUICKEST_MM_S, HandTracker
from navplan.session.session import Session
from navplan.verbs.navigate import LiveGuidance
from navplan.verbs.replay import replayed
from tests.session.saved_case import copy_of, saved

pytestmark = pytest.mark.xdist_group("saved case")  # made once


@pytest.fixture
def guiding(session):
    """Steps only when a test says so."""
    made = Guiding(session, step_s=3600.0)
    yield made
    made.stop()


def stepped(guiding: Guiding, seconds: float = 0.6) -> dict:
    """Some frames, as a thread would make them; the newest, after a way through JSON."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        guiding._step()
        time.sleep(0.01)
    return newest(guiding)


def touched(guiding: Guiding, name: str) -> None:
    """Touch it, and once more where a busy machine let the poses grow old."""
    for left in range(20, -1, -1):
        guiding._step()
        try:
            guiding.touch(name)
            return
        except InputError:
            if not left:
                raise


def newest(guiding: Guiding) -> dict:
    return json.loads(json.dumps(guiding.latest()[1], allow_nan=False))


def test_a_rehearsal_shows_where_the_needle_is(guiding):
    guiding.start()
    told = stepped(guiding)
    assert told["running"] and told["rehearsal"]
    assert told["verdict"] in ("WARN", "PASS", "FAIL")  # the phantom's plan has open items
    assert abs(told["at"]["depth_mm"]) < 1.0 and told["at"]["cross_track_mm"] < 1.0
    assert told["at"]["to_target_mm"] == pytest.approx(told["planned"]["target_mm"], abs=1.0)
    assert told["margins"] and told["judged"] > len(told["margins"])
    assert "checkpoint" in told["checkpoint"] and "landmarks" in told["registration"]


def test_the_needle_goes_where_it_is_wished(guiding):
    guiding.start()
    guiding.wish(depth_mm=15.0, aside_mm=(6.0, -3.0))
    told = stepped(guiding, 0.7)
    assert told["at"]["depth_mm"] == pytest.approx(15.0, abs=1.0)
    assert told["at"]["tip_at"] == pytest.approx([6.0, -3.0], abs=0.8)
    assert told["at"]["cross_track_mm"] == pytest.approx(np.hypot(6.0, 3.0), abs=0.8)
    guiding.wish(aside_mm=(0.0, 0.0), tilt_deg=(6.0, 0.0))
    told = stepped(guiding, 0.5)
    assert told["at"]["angle_deg"] == pytest.approx(6.0, abs=0.5)
    assert told["at"]["entry_at"] == pytest.approx([0.0, 0.0], abs=0.8)
    far = told["planned"]["target_mm"] * np.tan(np.radians(6.0))
    assert told["at"]["target_at"] == pytest.approx([far, 0.0], abs=1.2)


def test_a_needle_that_is_hidden_is_known_nowhere_in_the_very_next_frame(guiding):
    guiding.start()
    assert stepped(guiding)["at"] is not None
    guiding.wish(seen=False)
    guiding._step()
    told = newest(guiding)
    assert told["verdict"] == "NOT_EVALUATED"
    assert "not seen" in told["first"] and "hidden" in told["first"]
    assert told["at"] is None and told["margins"] == [] and told["age_ms"] is None and not told["error"]
    assert guiding.tracked() is None
    assert {"double"} == {told["tone"]}
    guiding.wish(seen=True)
    assert stepped(guiding, 0.8)["at"] is not None


def test_no_pose_at_all_is_known_to_be_old_after_the_limit(guiding):
    guiding.start()
    stepped(guiding)
    live = guiding._started.live
    live.link = Silent()
    limit_s, began = live.guidance.limits.pose_age_s, time.monotonic()
    told = newest(guiding)
    while told["verdict"] != "NOT_EVALUATED":
        assert told["age_ms"] is None or told["age_ms"] <= 1000 * limit_s
        assert time.monotonic() - began < 5.0
        guiding._step()
        told = newest(guiding)
    assert "old" in told["first"]


class Silent:
    def poses(self):
        return []

    def fault(self):
        return ""

    def close(self):
        pass


def test_a_clearance_is_never_rounded_up(guiding):
    guiding.start()
    told = stepped(guiding)
    true = {one.name: one for one in guiding._frame.margins}
    for one in told["margins"]:
        assert one["low_mm"] <= true[one["name"]].low_mm
        assert one["high_mm"] is None or one["high_mm"] >= true[one["name"]].high_mm


def test_what_is_near_comes_first_whatever_its_grade(guiding):
    guiding.start()
    stepped(guiding)
    frame, started = guiding._frame, guiding._started
    grades = [Verdict.WARN, Verdict.PASS, Verdict.WARN, Verdict.NOT_EVALUATED, Verdict.PASS, Verdict.WARN, Verdict.FAIL]
    spare = [90.0, 3.0, 60.0, 200.0, 8.0, 1.0, -2.0]
    margins = tuple(
        StructureMargin(f"one_{n}", mm + 5.0, np.inf, 5.0, grade, "", 0.0)
        for n, (grade, mm) in enumerate(zip(grades, spare, strict=True))
    )
    alarms = tuple(Alarm(f"margin:one_{n}", "far", Verdict.WARN, 0.0) for n in (0, 2, 5))
    alarms += (Alarm("plan:open", "open", Verdict.WARN, 0.0), Alarm("x", "lost", Verdict.NOT_EVALUATED, 0.0))
    told = frame_document(replace(frame, margins=margins, alarms=alarms), started.shown.way, started.across)
    assert [one["name"] for one in told["margins"]] == ["one_6", "one_3", "one_5", "one_1", "one_4"]
    assert [one["id"] for one in told["alarms"]] == ["x", "plan:open", "margin:one_5", "margin:one_2", "margin:one_0"]


def test_more_reasons_are_those_that_one_line_sums_up_as_well(guiding):
    guiding.start()
    stepped(guiding)
    frame, started = guiding._frame, guiding._started
    reasons = (Reason("plan:open", "the worst of 21", Verdict.WARN, 21), Reason("margin:thin", "34", Verdict.WARN, 34))
    told = frame_document(replace(frame, reasons=reasons), started.shown.way, started.across)
    assert told["more"] == 54 and len(told["reasons"]) == 2


def test_a_way_that_changes_ends_what_was_known_of_it(guiding):
    guiding.start()
    stepped(guiding)
    guiding.session.take_way(1)
    guiding._step()
    told = newest(guiding)
    assert told["verdict"] == "NOT_EVALUATED" and "changed" in told["first"]
    assert told["at"] is None and guiding.tracked() is None


def test_a_fault_in_a_frame_is_told_and_does_not_end_guidance(guiding, monkeypatch):
    guiding.start()
    stepped(guiding)
    live = guiding._started.live
    monkeypatch.setattr(live, "step", lambda: 1 / 0)
    guiding._step()
    assert newest(guiding)["verdict"] == "NOT_EVALUATED" and newest(guiding)["at"] is None
    monkeypatch.undo()
    assert stepped(guiding, 0.8)["at"] is not None


def test_what_runs_by_itself_numbers_its_frames_and_stops(session):
    guiding = Guiding(session, step_s=0.01)
    heard = []
    guiding.listeners.append(lambda: heard.append(guiding.latest()[0]))
    guiding.start()
    end = time.monotonic() + 30.0
    while len(heard) < 10 and time.monotonic() < end:
        time.sleep(0.01)
    guiding.stop()
    assert heard == sorted(set(heard)) and len(heard) >= 10
    assert guiding.latest()[1]["running"] is False and not guiding.running
    with pytest.raises(InputError, match="rehearsal"):
        guiding.wish(depth_mm=1.0)
    with pytest.raises(InputError):
        guiding.touch(ENTRY)
    with pytest.raises(InputError):
        guiding.lead_to(ENTRY)


def test_a_checkpoint_off_its_point_ends_trust(guiding):
    guiding.start()
    guiding.wish(depth_mm=10.0)
    stepped(guiding)
    guiding.lead_to(ENTRY)
    touched(guiding, ENTRY)
    guiding._step()
    told = newest(guiding)
    assert told["verdict"] == "NOT_EVALUATED" and "does not hold" in told["first"]
    assert {one["name"]: one["holds"] for one in told["landmarks"]}[ENTRY] is False


def test_a_rehearsal_has_touched_landmarks_and_the_entry_alone_would_not_do(guiding):
    guiding.start()
    told = stepped(guiding)
    held = [one["name"] for one in told["landmarks"] if one["holds"]]
    assert held == ["landmark 1", "landmark 2", "landmark 3"]
    assert told["landmarks"][-1] == {"name": ENTRY, "holds": None}
    live = guiding._started.live
    live.guidance.checkpoints = ()
    guiding.lead_to(ENTRY)
    touched(guiding, ENTRY)
    told = stepped(guiding, 0.8)
    assert told["verdict"] == "NOT_EVALUATED" and "agrees with any registration" in told["first"]


def test_nothing_tells_where_the_needle_is_while_a_checkpoint_is_touched(guiding):
    guiding.start()
    before = stepped(guiding, 0.9)
    guiding.lead_to("landmark 5")
    told = stepped(guiding, 0.5)
    assert told["touching"] == "landmark 5" and told["verdict"] == "NOT_EVALUATED" and "hidden" in told["first"]
    assert told["at"] is None and told["margins"] == [] and told["checkpoint"] == "" and guiding.tracked() is None
    assert " mm" not in json.dumps(told["reasons"]) + json.dumps(told["alarms"])
    with pytest.raises(InputError, match="landmark 5, to which"):
        guiding.touch("landmark 4")
    touched(guiding, "landmark 5")
    told = stepped(guiding, 0.9)
    assert told["touching"] == "" and told["verdict"] == before["verdict"] and told["at"] is not None
    assert "checkpoint landmark 5" in told["checkpoint"]
    with pytest.raises(InputError, match="led to first"):
        guiding.touch("landmark 5")
    with pytest.raises(InputError, match="landmark 99"):
        guiding.lead_to("landmark 99")


def test_a_thread_that_fails_leaves_nothing_standing_and_says_so(session, monkeypatch):
    guiding = Guiding(session, step_s=0.02)
    guiding.start()
    heard = []
    guiding.listeners.append(lambda: heard.append(guiding.latest()))
    monkeypatch.setattr(guiding, "_step", lambda: 1 / 0)
    end = time.monotonic() + 30.0
    while not any(told["verdict"] == "NOT_EVALUATED" for _, told in heard) and time.monotonic() < end:
        time.sleep(0.01)
    told = heard[-1][1]
    assert told["verdict"] == "NOT_EVALUATED" and "ZeroDivisionError" in told["first"]
    assert told["at"] is None and told["margins"] == [] and guiding.tracked() is None
    assert [one for one, _ in heard] == sorted({one for one, _ in heard})  # each is a frame of its own: pages take it
    monkeypatch.undo()
    until = time.monotonic() + 30.0
    while guiding.latest()[1]["at"] is None and time.monotonic() < until:
        time.sleep(0.01)
    assert guiding.latest()[1]["at"] is not None  # the thread lives, and goes on
    guiding.stop()


def test_it_is_recorded_where_that_was_asked_for_and_replays_to_the_same_frames(guiding):
    folder = guiding.session.folder / "recordings"
    guiding.start()
    assert not folder.exists() and newest(guiding)["recording"] == ""
    guiding.start(record=True)
    told = stepped(guiding, 0.5)
    guiding.lead_to("landmark 4")
    stepped(guiding, 0.5)
    touched(guiding, "landmark 4")
    stepped(guiding, 0.3)
    guiding.stop()
    (path,) = folder.iterdir()
    assert told["recording"] == path.name
    recording = read_recording(path)
    assert recording.ended and len(list(replayed(guiding.session.case, recording))) > 20


def test_needles_beside_are_those_of_plans_that_are_there(guiding):
    with pytest.raises(InputError, match="none such"):
        guiding.start(beside=("none such",))
    with pytest.raises(InputError, match="beside itself"):
        guiding.start(beside=((guiding.session.shown().plan.id, guiding.session.shown().number),))
    assert not guiding.running


def test_a_tracker_that_does_not_answer_is_told(guiding):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    guiding.start("openigtlink", f"127.0.0.1:{port}")
    told = stepped(guiding, 0.3)
    assert told["verdict"] == "NOT_EVALUATED" and not told["rehearsal"] and told["at"] is None
    words = " ".join(one["words"] for one in told["reasons"])
    assert "not registered" in words
    assert "tracker" in words


@pytest.mark.parametrize(("tracker", "address"), [("none such", ""), ("openigtlink", "nowhere"), ("openigtlink", "")])
def test_a_tracker_that_is_none_is_refused(guiding, tracker, address):
    with pytest.raises(InputError):
        guiding.start(tracker, address)
    assert not guiding.running


def test_there_has_to_be_a_kept_way(guiding, tmp_path):
    without = Guiding(Session(copy_of("unplanned", tmp_path / "other")))
    with pytest.raises(InputError, match="way in"):
        without.start()
    entry = guiding.session.shown().way.entry_mm
    guiding.session.move(entry_mm=(entry[0], entry[1], entry[2] + 3.0))
    with pytest.raises(InputError, match="Keep it as a plan"):
        guiding.start()


@pytest.fixture(scope="module")
def way():
    return Session(saved("planned")).shown().way


class TestHandTracker:
    def places(self, tracker: HandTracker, times: np.ndarray) -> np.ndarray:
        """(T, 3) of the tip, in the tracker's frame."""
        found = []
        for time_s in times:
            tool = next(one for one in tracker.poses_at(float(time_s)) if one.tool == "needle")
            found.append(tool.matrix[:3, :3] @ tracker.tip_mm + tool.matrix[:3, 3])
        return np.asarray(found)

    def test_it_is_no_quicker_than_a_calm_hand(self, way):
        tracker = HandTracker(way)
        times = np.arange(0.0, 1.0, 0.05)
        tracker.poses_at(0.0)
        tracker.wish(depth_mm=500.0)
        moved = np.linalg.norm(np.diff(self.places(tracker, times + 0.05), axis=0), axis=1)
        assert moved.max() < QUICKEST_MM_S * 0.05 + 1.0
        assert tracker.wished.depth_mm < 500.0  # a needle has an end

    def test_no_two_matrices_are_the_same(self, way):
        tracker = HandTracker(way)
        poses = [tracker.poses_at(0.05 * n)[0] for n in range(20)]
        assert len({pose.matrix.tobytes() for pose in poses}) == 20

    def test_hidden(self, way):
        tracker = HandTracker(way)
        tracker.wish(seen=False)
        reference, tool = tracker.poses_at(0.0)
        assert isinstance(tool, ToolPose)
        assert (reference.status, tool.status) == (PoseStatus.OK, PoseStatus.MISSING)

    @pytest.mark.parametrize(
        "changes", [{"depth_mm": float("nan")}, {"aside_mm": (float("inf"), 0.0)}, {"tilt_deg": (1.0,)}]
    )
    def test_what_is_no_number_is_refused(self, way, changes):
        tracker = HandTracker(way)
        before = tracker.wished
        with pytest.raises(InputError):
            tracker.wish(**changes)
        assert tracker.wished == replace(before)


def test_a_rehearsal_starts_where_the_first_step_takes_longer_than_a_pose_may_be_old(guiding, monkeypatch):
    step, slow = Guiding._step, iter([0.3, 0.3])

    def slowly(self):
        step(self)
        time.sleep(next(slow, 0.0))

    monkeypatch.setattr(Guiding, "_step", slowly)
    guiding.start()
    assert guiding.running
    guiding.stop()


def test_nothing_runs_where_the_rehearsals_entry_cannot_be_touched(guiding, monkeypatch):
    def refused(self, name, patient_mm=None):
        raise InputError("a touch", "another one")

    monkeypatch.setattr(LiveGuidance, "touch", refused)
    with pytest.raises(InputError):
        guiding.start()
    assert not guiding.running and guiding.latest()[1]["running"] is False
