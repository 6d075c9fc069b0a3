"""A needle whose poses come over a real OpenIGTLink connection is followed, and is not evaluated once that ends."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np

from navplan.extend import registry
from navplan.files.recording import read_recording
from navplan.model.case import Case
from navplan.model.finding import Verdict
from navplan.model.plan import Plan
from navplan.navigation.breath import BreathSignal
from navplan.navigation.guidance import GuidanceFrame
from navplan.verbs.navigate import LiveGuidance, guidance_of, registered_image
from navplan.verbs.rehearsal import rehearsal
from navplan.verbs.replay import recorder, replayed
from navplan_openigtlink.messages import Message, TrackedMatrix, TrackingData
from navplan_openigtlink.server import Server, ServerSettings
from navplan_openigtlink.tracker import OpenIGTLinkTracker
from tests.verbs.test_navigate import plain

__all__ = ["plain"]  # the fixture: a scene whose way passes in every respect
PATIENCE_S = 60.0


def test_poses_over_the_network_are_followed_until_they_stop(plain: tuple[Case, Plan], tmp_path: Path) -> None:
    case, planned = plain
    way = planned.trajectories[0].trajectory
    made = rehearsal(way, seed=2, image=registered_image(case, planned.provenance.image_id))
    left = list(made.registration.names[:3])
    server = Server(port=0, settings=ServerSettings())
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.02):
            poses = [pose for pose in made.link.poses()[-2:] if pose.matrix is not None]
            tools = tuple(TrackedMatrix(pose.tool, pose.matrix) for pose in poses)
            if tools:
                server.send(Message(TrackingData(tools), "Tracker", round(time.time() * 2**32)))

    assert isinstance(registry.load(registry.TRACKERS, "openigtlink"), OpenIGTLinkTracker)
    link = OpenIGTLinkTracker().open(f"127.0.0.1:{server.port}")
    guidance = guidance_of(
        case, planned, tool=made.tool, reference=made.reference, tracker_error=made.tracker_error,
        registration=made.registration, gate=made.gate, now_s=time.monotonic(),
    )  # fmt: skip
    path = tmp_path / "procedure.jsonl"
    live = LiveGuidance(guidance, link, recording=recorder(path, case, planned, 0, guidance))

    def until(verdict: Verdict) -> GuidanceFrame:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            live.breathe(BreathSignal(0.0, live.clock()))
            frame = live.step()
            if frame.verdict is verdict or time.monotonic() > end_s:
                return frame
            if left and frame.approach is not None:
                touch_next()
            time.sleep(0.02)

    led = {"": 0.0}

    def touch_next() -> None:
        """Lead the tip to the next landmark, rest there, and touch it; after the last back before the skin."""
        place, now_s = made.registration.place_of(left[0]), live.clock()
        if left[0] not in led:
            led[left[0]] = np.inf
            made.link.lead(place, way.direction)
        elif np.linalg.norm(made.link.truth(now_s - made.link.started_s)[0] - place) < 0.01:
            led[left[0]] = min(led[left[0]], now_s)
            if now_s - led[left[0]] > 1.0:
                live.touch(left.pop(0))
                if not left:
                    made.link.lead(np.asarray(way.entry_mm) - 5.0 * way.direction, way.direction)

    sender = threading.Thread(target=send)
    made.begin()
    sender.start()
    try:
        frame = until(Verdict.PASS)
        assert frame.verdict is Verdict.PASS and frame.approach is not None, frame.words
        tip = made.link.truth(frame.now_s - made.link.started_s)[0]
        assert np.linalg.norm(frame.approach.tip_mm - tip) < 10.0  # it moves: 30 mm/s at most, and some delay
    finally:
        stop.set()
        sender.join()
        server.close()
    frame = until(Verdict.NOT_EVALUATED)
    assert frame.verdict is Verdict.NOT_EVALUATED and frame.approach is None
    live.close()
    assert read_recording(path).ended
    assert len(list(replayed(case, path))) > 10
