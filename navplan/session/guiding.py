"""Live guidance of a session: started, stopped, and stepped some twenty times a second; the newest frame as plain data.

    guiding = Guiding(session)
    guiding.start()                       # "simulated": a rehearsal along the way that is looked at
    guiding.wish(depth_mm=40.0)           # the rehearsal's needle, moved
    guiding.lead_to("landmark 2")         # hidden until guiding.touch("landmark 2")
    number, told = guiding.latest()       # as often as one likes
    guiding.stop()

The frames of a way end with the way: once another one is looked at, or it was changed, nothing is evaluated any more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, NavplanError
from navplan.files.recording import CASE_FOLDER, RecordingWriter
from navplan.model.seams import TrackerLink
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathSignal, BreathStated
from navplan.navigation.frames import PoseError
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.navigation.patient_registration import PatientRegistration
from navplan.navigation.tool import TrackedTool
from navplan.session.guide_checkpoints import ENTRY, place_of, touch_before, touchable
from navplan.session.guide_document import frame_document, not_evaluated
from navplan.session.hand_tracker import GATE, REFERENCE, TRACKER_ERROR, HandTracker
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.verbs.beside import Beside
from navplan.verbs.navigate import LiveGuidance, guidance_of, registered_image, uncalibrated_tool
from navplan.verbs.replay import recorder
from navplan.view.slices import needle_planes

log = logging.getLogger(__name__)

STEP_S = 0.05
SIMULATED, RECORDED = "simulated", "replay"  # a recording is not followed here: it would look like now


@dataclass(frozen=True, eq=False)
class Started:
    """What is being followed. key: of the session's way; across: unit vectors (2, 3) of the probe's eye."""

    shown: Shown
    key: tuple[Any, ...]
    live: LiveGuidance
    tracker: str
    rehearsal: HandTracker | None
    across: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tracked:
    """The needle where it is: number: of the frame; line: its own, beside the planned way's entry and target; depth_mm:
    of its tip along that line."""

    number: int
    planned: Shown
    frame: GuidanceFrame
    line: Trajectory
    depth_mm: float


class Guiding:
    """Guidance of one session, or none. Calls may come from several threads. listeners: called from the stepping thread
    at each new frame; they must return at once."""

    def __init__(self, session: Session, step_s: float = STEP_S) -> None:
        self.session, self._step_s = session, step_s
        self.listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()  # of the guidance
        self._started: Started | None = None
        self._frame: GuidanceFrame | None = None
        self._number = 0
        self._told: dict[str, Any] = {"running": False}
        self._touching = ""  # the checkpoint that the tip is being led to
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """Whether something is being followed."""
        return self._started is not None

    def latest(self) -> tuple[int, dict[str, Any]]:
        """The newest frame as the page shows it, and its number: it rises by one with each."""
        with self._lock:
            return self._number, self._told

    def tracked(self) -> Tracked | None:
        """The needle in the newest frame; None where its place is not known, or it points away from the plan."""
        with self._lock:
            started, frame, number = self._started, self._frame, self._number
        if started is None or frame is None or frame.approach is None:
            return None
        at, way = frame.approach, started.shown.way
        start, end = (at.tip_mm + float((np.asarray(p) - at.tip_mm) @ at.direction) * at.direction
                      for p in (way.entry_mm, way.target_mm))  # fmt: skip
        if float((end - start) @ at.direction) < 1.0:
            return None
        line = Trajectory(_triple(start), _triple(end), way.device)
        return Tracked(number, started.shown, frame, line, float((at.tip_mm - start) @ at.direction))

    def start(
        self, tracker: str = SIMULATED, address: str = "", *, tool_name: str = "", reference: str = REFERENCE,
        tool: TrackedTool | None = None, registration: PatientRegistration | None = None,
        tracker_error: PoseError | None = None, beside: Beside = (), record: bool = False,
    ) -> None:  # fmt: skip
        """Follow the way that is looked at with a tracker; what ran before ends. beside: needles of other plans that
        are placed already; record: keep all of it in the case's folder `recordings`. Raises InputError without a way,
        for one that was moved and not kept, a tracker or address that is none, and where nothing can be recorded."""
        shown = self.session.shown()
        if shown is None:
            raise InputError("guidance without a way in", "a plan with a way in", "Search the ways in first")
        if shown.moved:
            raise InputError("guidance along a way that was moved", "a plan", "Keep it as a plan first, or put it back")
        self.stop()
        key, now_s = self._way_now(), time.monotonic()
        _, _, eye = needle_planes(shown.way)
        across = np.asarray([eye.right, eye.down])
        rehearsal: HandTracker | None = None
        if tracker == SIMULATED:
            rehearsal = HandTracker(shown.way, across)
            link: TrackerLink = rehearsal
            of_image = registered_image(self.session.case, shown.plan.provenance.image_id)
            tool, registration = rehearsal.tool(now_s), rehearsal.registration(now_s, of_image)
            reference, tracker_error = REFERENCE, TRACKER_ERROR
        else:
            link = _opened(tracker, address)
            tool = tool or uncalibrated_tool(shown.way.device, now_s, tool_name or "Needle")
        try:
            guidance = guidance_of(
                self.session.case, shown.plan, trajectory=shown.number, tool=tool, reference=reference,
                tracker_error=tracker_error, registration=registration, gate=GATE if rehearsal else None,
                beside=beside, now_s=now_s,
            )  # fmt: skip
            kept = self._recorder(shown, guidance, beside) if record else None
        except NavplanError:
            link.close()
            raise
        live = LiveGuidance(guidance, link, recording=kept)
        started = Started(shown, key, live, tracker if not address else f"{tracker} {address}", rehearsal, across)
        with self._lock:
            self._started, self._frame, self._stop = started, None, threading.Event()
            self._step()
            if rehearsal is not None:
                self._touch_landmarks(live, rehearsal)
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="guidance", daemon=True)
            self._thread.start()

    def _recorder(self, shown: Shown, guidance: Guidance, beside: Beside) -> RecordingWriter:
        """A recording in the case's folder, named by the time."""
        name = f"guide-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.jsonl"
        path = self.session.folder / CASE_FOLDER / name
        return recorder(path, self.session.case, shown.plan, shown.number, guidance, beside=beside)

    def _touch_landmarks(self, live: LiveGuidance, rehearsal: HandTracker) -> None:
        """The rehearsal's checkpoints. Raises InputError where one cannot be touched; nothing runs then."""
        try:
            touch_before(live, rehearsal, self._step)
        except NavplanError:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, if it runs."""
        with self._lock:
            started, self._started, self._frame, self._touching = self._started, None, None, ""
            self._stop.set()
            if started is not None:
                self._tell({"running": False})
        if started is not None:
            started.live.close()

    def wish(self, **changes: Any) -> None:
        """Move the rehearsal's needle, or hide it: see `HandTracker.wish`. Raises InputError where there is none."""
        with self._lock:
            rehearsal = None if self._started is None else self._started.rehearsal
        if rehearsal is None:
            raise InputError("a needle moved by hand", "a rehearsal that runs", "Start it with the simulated tracker")
        rehearsal.wish(**changes)

    def lead_to(self, name: str) -> None:
        """The tip is being led to a checkpoint: the planned entry or a landmark of the registration; "": no longer.
        Until it is touched nothing tells where the needle is, so that nobody leads it to where the display has the
        point. A rehearsal's needle goes to a landmark by itself. Raises InputError for a landmark that is none."""
        with self._lock:
            started = self._running()
            place = place_of(started.live, name, started.shown.way) if name else None
            self._touching = name
            if started.rehearsal is not None:
                started.rehearsal.rest_on(None if name == ENTRY else place)
            self._step()

    def touch(self, name: str) -> None:
        """Take where the tip is now as a checkpoint, the one that it was led to. Raises InputError where the tip's
        place is not known, for another one, and for a landmark that is none."""
        with self._lock:
            started = self._running()
            if not name or name != self._touching:
                led = f"{self._touching}, to which the tip is led" if self._touching else "one that it was led to first"
                raise InputError(f"a touch of {name[:40]!a}", led)
            started.live.touch(name, place_of(started.live, name, started.shown.way))
            self._touching = ""
            if started.rehearsal is not None:
                started.rehearsal.rest_on(None)

    def breathe(self, who: str) -> None:
        """State that the patient breathes as in the image. Raises InputError where the plan does not say how, or nobody
        is named."""
        with self._lock:
            live = self._running().live
            gate = live.guidance.gate
            if gate is None or not who:
                raise InputError(f"breath stated by {who!r}", "a name, and a plan that says how the patient breathed")
            live.breathe(BreathStated(gate.state, who, live.clock()))

    def _running(self) -> Started:
        if self._started is None:
            raise InputError("guidance that does not run", "guidance that was started")
        return self._started

    def _way_now(self) -> tuple[Any, ...]:
        """What is looked at, without judging it."""
        draft = self.session.draft
        return (self.session.case.revision, draft.plan_id, draft.way, draft.entry_mm, draft.moved_aim_mm)

    def _run(self, stop: threading.Event) -> None:
        due = time.monotonic()
        while not stop.is_set():
            due = max(due + self._step_s, time.monotonic())
            stop.wait(max(due - time.monotonic(), 0.0))
            with self._lock:
                try:
                    if not stop.is_set():
                        self._step()
                except Exception as error:  # the last frame must not stand as if it were of now
                    log.exception("guidance")
                    self._frame = None
                    words = f"a fault of navplan ({type(error).__name__}); the log says more"
                    self._tell({**self._told, **not_evaluated(words)})

    def _step(self) -> None:
        """One frame. That it fails must not stop it from saying so."""
        started = self._running()
        facts = {
            "running": True, "tracker": started.tracker, "rehearsal": started.rehearsal is not None,
            "plan": started.shown.plan.id, "number": started.shown.number,
            "registration": self._registration(started), "planned": _planned(started.shown.way),
            "target": started.shown.plan.target.structure, "breath": _breath_state(started),
            "landmarks": touchable(started.live), "touching": self._touching,
            "recording": _recorded(started),
            "wish": None if started.rehearsal is None else asdict(started.rehearsal.wished),
        }  # fmt: skip
        try:
            if started.rehearsal is not None:
                started.live.breathe(BreathSignal(0.0, started.live.clock()))
            self._frame = started.live.step()
            told = frame_document(self._frame, started.shown.way, started.across)
        except Exception as error:
            log.exception("a frame of guidance")
            self._frame, told = None, not_evaluated(f"a fault of navplan ({type(error).__name__}); the log says more")
        if self._way_now() != started.key:
            self._frame, told = None, not_evaluated("the way was changed since guidance was started: start it again")
        if self._touching:
            self._frame, told = None, not_evaluated(f"the tip is led to {self._touching}: hidden until it is touched")
        self._tell({**facts, **told})

    def _registration(self, started: Started) -> str:
        made = started.live.guidance.registration
        return made.words if made is not None else "the patient is not registered"

    def _tell(self, told: dict[str, Any]) -> None:
        self._number += 1
        self._told = {**told, "frame": self._number, "server_ms": round(1000 * time.monotonic())}
        for call in self.listeners:
            call()


def _opened(tracker: str, address: str) -> TrackerLink:
    """A link of an installed tracker. Raises InputError for one that is none."""
    from navplan.extend import registry

    known = [name for name in registry.names(registry.TRACKERS) if name != RECORDED]
    if tracker not in known:
        raise InputError(f"tracker {tracker[:40]!a}", ", ".join(dict.fromkeys((SIMULATED, *known))))
    link: TrackerLink = registry.load(registry.TRACKERS, tracker).open(address)
    return link


def _recorded(started: Started) -> str:
    """The recording's name, "" where nothing is recorded, or no longer."""
    kept = started.live.recording
    return kept.path.name if isinstance(kept, RecordingWriter) and not kept.fault else ""


def _breath_state(started: Started) -> str:
    gate = started.live.guidance.gate
    return gate.state if gate is not None else ""


def _planned(way: Trajectory) -> dict[str, Any]:
    """Of the plan, for the depth bar: depths of target and tip below the entry, mm."""
    return {
        "target_mm": round(way.depth_mm, 1), "tip_mm": round(way.tip_depth_mm, 1),
        "entry": list(way.entry_mm), "target": list(way.target_mm), "diameter_mm": way.device.diameter_mm,
    }  # fmt: skip


def _triple(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
