"""Guidance by requests: frames as server-sent events, planes and shots of the needle as it lies, refusals in words."""

from __future__ import annotations

import http.client
import json
import time

import pytest

pytestmark = pytest.mark.xdist_group("saved case")  # made once


@pytest.fixture(scope="class")
def one_run(served):
    """One guidance with the needle moved by hand, for tests that leave it as it is."""
    answer = served.post("/api/guide/start", {"tracker": "simulated"})
    assert answer.status == 200, answer.words
    placed(served)
    yield served
    assert served.post("/api/guide/stop").status == 200


@pytest.fixture
def running(served):
    """Guidance with the needle moved by hand."""
    answer = served.post("/api/guide/start", {"tracker": "simulated"})
    assert answer.status == 200, answer.words
    yield served
    assert served.post("/api/guide/stop").status == 200


class Line:
    """A page's line of frames."""

    def __init__(self, served):
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        self.connection.request("GET", "/api/guide/frames", headers={"Host": served.host})
        self.answer = self.connection.getresponse()

    def next(self) -> dict:
        """The next frame."""
        line = self.answer.readline()
        assert line.startswith(b"data: "), line
        assert self.answer.readline() == b"\n"
        return json.loads(line[6:])

    def close(self) -> None:
        self.connection.close()


def test_frames_come_in_their_order_and_say_that_the_needle_was_hidden(running):
    line = Line(running)
    assert line.answer.getheader("Content-Type") == "text/event-stream"
    assert "default-src 'none'" in line.answer.getheader("Content-Security-Policy")
    numbers = [line.next()["frame"] for _ in range(5)]
    assert numbers == sorted(set(numbers))
    before = running.post("/api/guide/wish", {"seen": False}).json["frame"]
    found = line.next()
    while found["verdict"] != "NOT_EVALUATED":
        found = line.next()
    assert found["frame"] - before <= 2  # of 50 ms
    assert found["at"] is None and "not seen" in found["first"]
    line.close()


def test_a_line_says_that_nothing_runs(served):
    line = Line(served)
    assert line.next()["running"] is False
    assert line.next()["running"] is False  # again: the page knows that the server is there
    line.close()


def test_a_page_that_does_not_read_gets_the_newest_frame(running):
    line = Line(running)
    line.next()
    time.sleep(1.0)
    numbers = [line.next()["frame"] for _ in range(30)]
    assert numbers == sorted(set(numbers))
    assert running.app.guide.guiding.latest()[0] - numbers[-1] < 60
    line.close()


def placed(running) -> None:
    """Wait until the needle's place is known."""
    end = time.monotonic() + 20.0
    while running.app.guide.guiding.tracked() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("path", ["plane?kind=along", "fluoro?view=AP"])
def test_there_is_no_picture_of_a_needle_that_is_not_seen(running, path):
    placed(running)
    running.post("/api/guide/wish", {"seen": False})
    end = time.monotonic() + 20.0
    while running.app.guide.guiding.tracked() is not None:
        assert time.monotonic() < end
        time.sleep(0.01)
    answer = running.get(f"/api/guide/{path}")
    assert (answer.status, answer.body) == (204, b"")


class TestOneRun:
    @pytest.mark.parametrize("kind", ["along", "square", "across"])
    def test_a_plane_of_the_needle_as_it_lies(self, one_run, kind):
        answer = one_run.get(f"/api/guide/plane?kind={kind}&shape=1.5")
        assert answer.status == 200
        size = int.from_bytes(answer.body[:4], "little")
        header = json.loads(answer.body[4 : 4 + size])
        assert (header["width"], header["height"]) == (450, 300) and header["frame"] > 0

    @pytest.mark.parametrize("view", ["down the plan", "AP", "lateral"])
    def test_a_shot_of_the_needle_as_it_lies(self, one_run, view):
        answer = one_run.get(f"/api/guide/fluoro?view={view.replace(' ', '%20')}&size=96")
        assert answer.status == 200
        size = int.from_bytes(answer.body[:4], "little")
        header = json.loads(answer.body[4 : 4 + size])
        assert header["width"] == 96 and any(mark["role"] == "needle" for mark in header["marks"])

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("wish", {"depth_mm": "deep"}), ("wish", {"aside_mm": [1]}), ("wish", {"aside_mm": 1}),
            ("wish", {"tilt_deg": [1, None]}), ("wish", {"seen": "no"}), ("wish", {"depth_mm": 1e9}),
            ("touch", {"name": "landmark 1"}), ("touch", {}), ("lead", {"name": "none such"}), ("lead", {"name": 5}),
            ("breath", {"who": ""}), ("breath", {"who": 5}),
        ],
    )  # fmt: skip
    def test_what_is_refused_is_told(self, one_run, name, arguments):
        before = one_run.app.guide.guiding._started
        answer = one_run.post(f"/api/guide/{name}", arguments)
        assert answer.status == 400 and answer.words
        assert before is not None and one_run.app.guide.guiding._started is before

    @pytest.mark.parametrize("path", ["plane?kind=none", "fluoro?view=none", "fluoro?view=AP&size=9999"])
    def test_a_picture_that_is_none_is_refused(self, one_run, path):
        assert one_run.get(f"/api/guide/{path}").status == 400


@pytest.mark.parametrize(
    "arguments",
    [
        {"tracker": "none such"}, {"tracker": 3}, {"tracker": "openigtlink"},
        {"tracker": "openigtlink", "address": "nowhere"}, {"tracker": "replay", "address": "recordings/a.jsonl"},
        {"record": "yes"}, {"beside": "plan"}, {"beside": ["none such"]}, {"beside": [3]},
    ],
)  # fmt: skip
def test_a_start_that_is_refused_is_told_and_nothing_runs(served, arguments):
    answer = served.post("/api/guide/start", arguments)
    assert answer.status == 400 and answer.words
    assert not served.app.guide.guiding.running


def test_a_start_that_is_refused_while_guidance_runs_is_told(running):
    answer = running.post("/api/guide/start", {"tracker": "none such"})
    assert answer.status == 400 and answer.words


@pytest.mark.parametrize("name", ["wish", "touch", "lead", "breath"])
def test_without_guidance_nothing_is_moved(served, name):
    assert served.post(f"/api/guide/{name}", {}).status == 400


def test_another_site_may_not_start_it(served):
    refused = served.ask("POST", "/api/guide/start", b"{}", {"Content-Type": "application/json"})
    assert refused.status == 403
    foreign = served.ask("GET", "/api/guide/frames", None, {"Origin": "http://elsewhere.example"})
    assert foreign.status == 403


def test_the_trackers_that_are_there(served):
    found = served.get("/api/guide/trackers").json["trackers"]
    assert found[0] == "simulated" and "openigtlink" in found and len(found) == len(set(found))
    assert "replay" not in found  # a recording would look like now


def test_a_frame_that_the_server_kept_says_how_long(running):
    """A page that comes to a server whose stepping stands still gets its last frame, and what tells that it is old."""
    guiding = running.app.guide.guiding
    line = Line(running)
    fresh = line.next()
    assert 0 <= fresh["sent_ms"] - fresh["server_ms"] < 10_000
    line.close()
    with guiding._lock:
        guiding._stop.set()  # its thread ends, as if it had died
    guiding._thread.join(20.0)
    time.sleep(0.6)
    late = Line(running)
    told = late.next()
    assert told["running"] and told["sent_ms"] - told["server_ms"] > 500
    late.close()


def test_a_checkpoint_is_led_to_and_touched(running):
    assert running.post("/api/guide/lead", {"name": "landmark 2"}).status == 200
    line = Line(running)
    found = line.next()
    while found["touching"] != "landmark 2":
        found = line.next()
    assert found["at"] is None and found["verdict"] == "NOT_EVALUATED"
    line.close()
    time.sleep(1.0)
    answer = running.post("/api/guide/touch", {"name": "landmark 2"})
    assert answer.status == 200, answer.words
    assert running.app.guide.guiding._started.live.guidance.checkpoints[-1].holds


def test_the_server_ends_with_a_page_that_listens(tmp_path):
    from navplan.app.scene_views import SceneViews
    from navplan.session.session import Session
    from tests.app.served import Served
    from tests.session.saved_case import copy_of

    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        one = Served(Session(copy_of("planned", tmp_path / "case")))
        one.post("/api/guide/start", {})
        line = Line(one)
        line.next()
        one.close()  # and does not wait for it
        line.close()
        assert not one.app.guide.guiding.running


def set_up(served, tmp_path) -> dict:
    """A real tracker's request: the files of `calibrate`, and the tracker's error. Nobody answers at the address."""
    from datetime import UTC, datetime

    import numpy as np

    from navplan.files.calibration_files import registration_bytes, write_tool
    from navplan.navigation.tool import TrackedTool

    way = served.session.shown().way
    tool = TrackedTool("Probe", way.device.id, way.device.length_mm, (0, 0, 120.0), (0, 0, 1.0), 0.1, 0.1, 0.0)
    write_tool(tmp_path / "tool.toml", tool, datetime.now(UTC))
    points = np.asarray(way.entry_mm) + 60.0 * np.random.default_rng(1).standard_normal((6, 3))
    names = [f"landmark {n}" for n in range(6)]
    return {
        "tracker": "openigtlink", "address": "127.0.0.1:1", "error_mm": 0.25, "error_deg": 0.05,
        "tool_toml": (tmp_path / "tool.toml").read_text(),
        "registration_json": registration_bytes(names, points, points, "Marker", datetime.now(UTC)).decode(),
    }  # fmt: skip


def test_a_real_tracker_is_told_what_was_calibrated(served, tmp_path):
    found = served.post("/api/guide/start", set_up(served, tmp_path))
    assert found.status == 200, found.words
    told = found.json
    assert "6 landmarks" in told["registration"] and not told["rehearsal"]
    live = served.app.guide.guiding._started.live
    assert (live.guidance.tool.identity, live.guidance.reference) == ("Probe", "Marker")
    assert told["verdict"] == "NOT_EVALUATED" and told["at"] is None
    words = " ".join(one["words"] for one in told["reasons"])
    assert "checkpoint" in words and "calibrated" not in words and "not registered" not in words
    served.post("/api/guide/stop")


@pytest.mark.parametrize(
    "changes",
    [{"tool_toml": "none"}, {"tool_toml": 5}, {"registration_json": "{}"}, {"error_mm": -1}, {"error_mm": "small"}],
)
def test_what_was_calibrated_wrongly_is_refused(served, tmp_path, changes):
    answer = served.post("/api/guide/start", {**set_up(served, tmp_path), **changes})
    assert answer.status == 400 and str(tmp_path) not in answer.words
    assert not served.app.guide.guiding.running
