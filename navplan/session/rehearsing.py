"""A rehearsal in hand: one attempt at one scenario, what a learner does, and what he is shown.

    rehearsing = Rehearsing(rehearsal_of(scenario), seed=7)
    rehearsing.act({"do": "take"})                    # the needle where the assistant holds it
    rehearsing.act({"do": "advance", "mm": 5})
    rehearsing.told()                                 # plain data for a page

Time that passes while a person thinks goes into the log as `Wait`: the log alone says what happened, and plays again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.image import HELD_PULSES
from navplan.geometry.carm import frontal, parse_view
from navplan.model.scenario import Sight
from navplan.session.asked import point_of
from navplan.session.rehearsing_hand import placed_at, steered, tilted
from navplan.session.rehearsing_scan import Scan
from navplan.session.rehearsing_xray import Contrast, Picture, Xray
from navplan.training.actions import Action, MoveCarm, Pedal, Wait, action_of
from navplan.training.actions import Xray as XrayOn
from navplan.training.attempt import LONGEST_S, MOST_ACTIONS, Attempt, Entry
from navplan.training.contrast import Pattern, Spread
from navplan.training.needle_path import NeedlePath
from navplan.verbs.training import Rehearsal

LEAST_TOLD_S = 0.1  # of thinking, that goes into the log
LONGEST_THOUGHT_S = 600.0
PULSES = (3.0, 7.5, 15.0, 30.0)
USUAL_PULSES = 15.0
WATCHED_S = 1.5  # without a page that asks for pictures, the pedal is let go
LONGEST_TICK_S = 1.0  # of X-rays, in one entry of the log
RUNS_OFF_S = 4.0  # in which contrast medium in a vessel falls to a third (unsourced)
BOTH = 2  # planes of the C-arm
SPARE_ACTIONS = 10  # of an attempt's most, that time is not logged with
XRAYED = (Sight.FLUOROSCOPY, Sight.BIPLANE)
PLAIN = ("advance", "turn", "hold_breath", "breathe", "ct_scan", "inject", "fire", "finish")


class Rehearsing:
    """Thread-safe. difficulty: a name of the scenario's, "" as it stands; kept: called with the attempt when it is
    finished; its words say where it was put."""

    def __init__(
        self, ready: Rehearsal, seed: int = 0, difficulty: str = "", kept: Callable[[Attempt], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.ready, self.seed, self.difficulty = ready, seed, difficulty
        self.key = token_hex(8)  # which attempt a page means
        self.attempt = ready.attempt(seed, difficulty)
        self.lock = threading.RLock()
        self.scans: list[Scan] = []
        self.paths: list[NeedlePath | None] = []  # after each entry of the log
        self.pictures: dict[int, tuple[int, Picture]] = {}  # last image hold of each plane, with its number
        self.saved: list[dict[int, MoveCarm]] = []
        self.injected: list[tuple[Spread, float, float]] = []  # ml, and when
        self.pulses_per_s = USUAL_PULSES
        self.kept_words = ""
        self._kept, self._clock = kept, clock
        self._last = self._looked = clock()
        self._met = False
        self._pedal: int | None = None
        self._frame = self._drawing = 0
        self._xray: Xray | None = None
        if self.xrayed:
            self._stand()

    @property
    def xrayed(self) -> bool:
        """Whether there is a C-arm."""
        return any(sight in XRAYED for sight in self.ready.scenario.sight)

    @property
    def planes(self) -> tuple[int, ...]:
        """Of the C-arm."""
        return (0, 1) if Sight.BIPLANE in self.ready.scenario.sight else (0,) if self.xrayed else ()

    @property
    def position(self) -> str:
        """DICOM code of how the patient lies."""
        return self.ready.situation.patient_position

    @property
    def pedal(self) -> int | None:
        """The plane whose X-rays are on, BOTH for two, None for none."""
        return self._pedal

    @property
    def time_s(self) -> float:
        """Of the room, now."""
        if self.attempt.ending is not None:
            return self.attempt.time_s
        return self.attempt.time_s + max(0.0, self._clock() - self._last)

    @property
    def _open(self) -> bool:
        """Whether anything but finish can still be done."""
        there = self.attempt
        return there.ending is None and there.time_s <= LONGEST_S and len(there.log) < MOST_ACTIONS - SPARE_ACTIONS

    def met(self) -> None:
        """The learner's page is open: his time runs from the first call on, not from when the room was ready."""
        with self.lock:
            if not self._met:
                self._met, self._last = True, self._clock()

    def xray(self) -> Xray:
        """The patient made ready for fluoroscopy: seconds, once."""
        with self.lock:
            if self._xray is None:
                self._xray = Xray(self.ready.situation.image, self.position)
            return self._xray

    def act(self, record: dict[str, Any]) -> Entry:
        """What a hand does: an action of `navplan.training.actions` (advance, turn, hold_breath, breathe, ct_scan,
        inject, fire, finish), or one of the page: take (the needle as it is offered), set (point: on the skin there),
        tilt (towards, deg), carm (see `rehearsing_hand.steered`), shot (plane), save_view, recall_view (number).
        Raises InputError for what cannot be done now."""
        with self.lock:
            action = self._asked(dict(record))  # refused before anything is logged
            self._catch_up()
            entry = self._do(action)
            if isinstance(action, XrayOn):
                self._hold(action.plane)
            return entry

    def press(self, plane: int | None, pulses_per_s: float = USUAL_PULSES) -> None:
        """The pedal pressed for a plane, both (BOTH), or let go (None). Raises InputError for another plane or rate."""
        with self.lock:
            allowed = (*self.planes, *((BOTH,) if len(self.planes) > 1 else ()))
            if plane is not None and (plane not in allowed or pulses_per_s not in PULSES):
                raise InputError(
                    f"the pedal of plane {plane} at {pulses_per_s:g} a second",
                    f"planes {', '.join(map(str, allowed)) or 'none'}; {', '.join(f'{one:g}' for one in PULSES)}",
                )
            if self.attempt.ending is not None and plane is not None:
                raise InputError("X-rays after the end", "a new attempt")
            self._catch_up()
            self._looked = self._clock()
            if plane is None:
                self._release()
            elif plane != self._pedal or pulses_per_s != self.pulses_per_s:
                self._do(Pedal(pulses_per_s, plane))
                self._pedal, self.pulses_per_s = plane, pulses_per_s

    def frame(self, plane: int) -> tuple[int, bool, Picture] | None:
        """The picture of a plane now: its number, whether X-rays are on, and the picture; None before the first."""
        if plane not in self.planes:
            raise InputError(f"plane {plane} of the C-arm", ", ".join(map(str, self.planes)) or "no C-arm here")
        with self.lock:
            if self._pedal not in (plane, BOTH):
                found = self.pictures.get(plane)
                return None if found is None else (found[0], False, found[1])
            if self._clock() - self._last > LONGEST_TICK_S:
                self._catch_up()
                if self._pedal is None:
                    return self.frame(plane)
            self._drawing += 1
            self._frame += 1
            number, standing = self._frame, self.attempt.carm(plane)
            path, moved, contrast = self.attempt.path, self.attempt.moved_mm, self.xray_contrast()
        assert standing is not None
        try:
            seen = self.xray().picture(standing, moved, path, self.ready.way.device, contrast, number)
        finally:
            with self.lock:
                self._drawing -= 1
                self._looked = self._clock()
        with self.lock:
            before = self.pictures.get(plane)
            if before is None or before[0] < number:  # the pedal may have been let go meanwhile
                self.pictures[plane] = (number, seen)
        return number, True, seen

    def held(self) -> bool:
        """Whether the breath is held now."""
        if self.ready.scenario.breath is None:
            return False
        now = self.time_s
        return len({self.attempt.breath_at(now + later) for later in (0.0, 0.01, 0.03)}) == 1

    def metrics(self) -> tuple[Any, ...]:
        """Of a finished attempt."""
        return self.ready.metrics(self.attempt)

    def _asked(self, record: dict[str, Any]) -> Action:
        do = record.pop("do", None)
        path = self.attempt.path
        if do == "take":
            return placed_at(self.ready.patient, *self.attempt.offered)
        if do == "set":
            point = point_of(record.get("point"))
            if point is None:
                raise InputError("a needle set nowhere", "a point on the skin, LPS mm")
            direction = point_of(record.get("direction"), "a direction") or self.attempt.offered[1]
            return placed_at(self.ready.patient, point, direction)
        if do == "tilt":
            if path is None:
                raise InputError("a needle tilted that is not on the skin", "place it first")
            return tilted(path.direction, record.get("towards"), record.get("deg"))
        if do in ("carm", "shot", "save_view", "recall_view"):
            return self._of_carm(do, record)
        if do in PLAIN:
            if do == "ct_scan" and Sight.CT_STEPS not in self.ready.scenario.sight:
                raise InputError("a control scan in a scenario without CT", ", ".join(self.ready.scenario.sight))
            return action_of({"do": do, **record})
        raise InputError(f"{str(do)[:40]!a} done", ", ".join(("take", "set", "tilt", "carm", "shot", *PLAIN)))

    def _of_carm(self, do: str, record: dict[str, Any]) -> Action:
        plane = record.get("plane", 0)
        allowed = (*self.planes, BOTH) if do == "shot" and len(self.planes) > 1 else self.planes
        if isinstance(plane, bool) or plane not in allowed:
            raise InputError(f"plane {str(plane)[:20]}", ", ".join(map(str, allowed)) or "a scenario with a C-arm")
        if do == "shot":
            return XrayOn(0.0, 0.0, plane)
        standing = self.attempt.carm(plane)
        assert standing is not None
        if do == "carm":
            return steered(standing, self.position, record)
        number = record.get("number", len(self.saved) if do == "save_view" else 0)
        if not isinstance(number, int) or not 0 <= number <= 8:
            raise InputError(f"saved view {str(number)[:20]}", "0 to 8")
        if do == "save_view":
            everything = {one: found for one in self.planes if (found := self.attempt.carm(one)) is not None}
            self.saved[number : number + 1] = [everything]
            return Wait(0.0)
        if number >= len(self.saved):
            raise InputError(f"saved view {number + 1}", f"1 to {len(self.saved)}" if self.saved else "none is saved")
        return self.saved[number][plane]

    def _do(self, action: Action) -> Entry:
        begun_s, held = self.attempt.time_s, self.held()
        phase = self.attempt.breath_at(begun_s)
        entry = self.attempt.act(action)
        self.paths.append(self.attempt.path)
        if entry.action["do"] == "ct_scan":
            self._scanned(entry, phase, held)
        if entry.action["do"] == "inject" and (spread := self.attempt.spread) is not None and len(spread.points_mm):
            self.injected.append((spread, float(entry.action["ml"]), entry.time_s))
        if entry.action["do"] == "finish":
            self._pedal = None
            if self._kept is not None:
                self.kept_words = self._kept(self.attempt)
        self._last = self._clock()
        return entry

    def _scanned(self, entry: Entry, phase: float, held: bool) -> None:
        """The picture is of the breath in which it was asked for: what else a scan costs is the way out and back."""
        path = self.attempt.path
        target = self.ready.situation.target_mm
        about: NDArray[np.float64] = target if path is None else path.tip_mm
        length = float(entry.action["length_mm"])
        self.scans.append(Scan(len(self.scans) + 1, entry.time_s, phase, held, path, np.asarray(about), length))

    def _catch_up(self) -> None:
        """Log what time went by since the last action. A page that is gone has let go of the pedal."""
        now = self._clock()
        elapsed, self._last = now - self._last, now
        if not self._open:
            self._pedal = None
            return
        unwatched = 0.0 if self._drawing else now - self._looked - WATCHED_S
        if self._pedal is not None and unwatched > 0.0:
            self._do(Wait(round(min(max(0.0, elapsed - unwatched), LONGEST_THOUGHT_S), 2)))
            self._release()
            elapsed = min(elapsed, unwatched)
        if elapsed >= LEAST_TOLD_S:
            self._do(Wait(round(min(elapsed, LONGEST_THOUGHT_S), 2)))
        else:
            self._last = now - elapsed  # goes into the next

    def _release(self) -> None:
        """The pedal let go: the last picture stays."""
        if self._pedal is not None:
            plane, self._pedal = self._pedal, None
            if self._open:
                self._do(Pedal(0.0, plane))
            self._hold(plane)

    def _hold(self, plane: int) -> None:
        """The picture that stays."""
        device, contrast = self.ready.way.device, self.xray_contrast()
        for one in self.planes if plane == BOTH else (plane,):
            standing = self.attempt.carm(one)
            assert standing is not None
            self._frame += 1
            held = self.xray().picture(
                standing, self.attempt.moved_mm, self.attempt.path, device, contrast, self._frame, HELD_PULSES
            )
            self.pictures[one] = (self._frame, held)

    def xray_contrast(self) -> Contrast | None:
        """What contrast medium a picture shows now: all that was injected, where it went. In a vessel it runs off."""
        if not self.injected:
            return None
        each_ml = []
        for spread, ml, at_s in self.injected:
            vascular, count = spread.pattern is Pattern.VASCULAR, len(spread.points_mm)
            left = float(np.exp(-(self.time_s - at_s) / RUNS_OFF_S)) if vascular else 1.0
            each_ml.append(np.full(count, ml * left / count))
        return Contrast(np.vstack([spread.points_mm for spread, _, _ in self.injected]), np.concatenate(each_ml))

    def _stand(self) -> None:
        """The C-arm as the room is given over: frontal, a second plane from the left, about the target."""
        x, y, z = self.ready.situation.target_mm.tolist()
        views = (frontal(self.position), parse_view("lateral", self.position))
        for plane in self.planes:
            view = views[plane]
            self._do(MoveCarm(view.primary_deg, view.secondary_deg, (x, y, z), plane=plane))
