"""The places by which guidance of a session checks its registration, and those that a rehearsal has touched already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from navplan.errors import InputError, NavplanError
from navplan.geometry.landmarks import FEWEST
from navplan.model.trajectory import Trajectory
from navplan.session.hand_tracker import HandTracker
from navplan.verbs.navigate import LiveGuidance

ENTRY = "planned entry"
TOUCHES = 10  # more, where poses grew old while the first step was compiled or the machine was busy
REACHED_S, PAUSE_S = 10.0, 0.02  # for which a rehearsal's needle is waited for, and between two looks


def touchable(live: LiveGuidance) -> list[dict[str, Any]]:
    """What can be touched: landmarks of the registration and the planned entry; holds: None for one that was not."""
    guidance = live.guidance
    names = guidance.registration.names if guidance.registration is not None else ()
    last = {point.name: point.holds for point in guidance.checkpoints}
    return [{"name": name, "holds": last.get(name)} for name in (*names, ENTRY)]


def place_of(live: LiveGuidance, name: str, way: Trajectory) -> tuple[float, float, float]:
    """Where the image has it, LPS mm. Raises InputError for a landmark that is none."""
    if name == ENTRY:
        return way.entry_mm
    made = live.guidance.registration
    if made is None:
        raise InputError(f"landmark {name[:40]!a} of a patient who is not registered", "a registration")
    return made.place_of(name)


def touch_before(live: LiveGuidance, rehearsal: HandTracker, step: Callable[[], None]) -> None:
    """Lead a rehearsal's needle to as many landmarks as are asked for, touch each, and let it go back, until what was
    told of it on its way there is told no longer. step: makes a frame. Raises InputError where one cannot be touched.
    """
    made = live.guidance.registration
    for name in made.names[:FEWEST] if made is not None else ():
        rehearsal.rest_on(place_of(live, name, rehearsal.way))
        _until(lambda: rehearsal.there, step)
        _touch_soon(live, name, step)
    rehearsal.rest_on(None)
    _until(lambda: rehearsal.there and not _clearing(live), step)


def _clearing(live: LiveGuidance) -> bool:
    """Whether an alarm is on whose cause is gone."""
    return live.frame is not None and any(alarm.cleared_s is not None for alarm in live.frame.alarms)


def _until(done: Callable[[], bool], step: Callable[[], None]) -> None:
    end_s = time.monotonic() + REACHED_S
    while not done() and time.monotonic() < end_s:
        time.sleep(PAUSE_S)
        step()


def _touch_soon(live: LiveGuidance, name: str, step: Callable[[], None]) -> None:
    """A step may take longer than a pose may be old, and a fault is told for a while: then once more."""
    for left in range(TOUCHES, -1, -1):
        try:
            live.touch(name)
            return
        except NavplanError:
            if not left:
                raise
            time.sleep(PAUSE_S * (TOUCHES - left))
            step()
