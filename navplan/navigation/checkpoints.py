"""Points of the patient that are touched with the tool, by which a registration is trusted, for a while.

What they have to see. An error of a registration is a rigid motion: a shift, or a turn about any axis. One place does
not see a turn about an axis through it, two do not see one about their line; three that do not lie on a line see all.
How much they may miss is what a registration by these places would be off that errs by the allowed distance at each
(`navplan.geometry.landmarks.target_error_mm`): at entry and target no more than a registration itself may be off. The
planned entry is no such place: the needle is led to it by what is shown, so that it agrees with any registration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import dist

import numpy as np

from navplan.errors import GeometryError, InputError
from navplan.geometry.landmarks import FEWEST, target_error_mm
from navplan.navigation.frames import AHEAD_S
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PatientRegistration

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Checkpoint:
    """A point of the patient that was touched with the tool: where the image has it, and where the tip was (patient
    frame, mm), how far apart they may be, and when. carried_mm: where the reference carried the planned entry and
    target then, in the frame that it is told in. Raises InputError for what is no number."""

    name: str
    patient_mm: Point
    touched_mm: Point
    limit_mm: float
    time_s: float
    carried_mm: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        numbers = [*self.patient_mm, *self.touched_mm, self.limit_mm, self.time_s]
        numbers += [part for point in self.carried_mm for part in point]
        if len(numbers) < 8 or not np.isfinite(numbers).all() or not self.limit_mm > 0 or not self.name:
            raise InputError(f"checkpoint {self.name!r}: {numbers}", "two points, a limit above 0 and a time")

    @property
    def distance_mm(self) -> float:
        """Between where it is in the image and where the tip was."""
        return float(np.linalg.norm(np.subtract(self.patient_mm, self.touched_mm)))

    @property
    def holds(self) -> bool:
        """Whether it is within its limit."""
        return self.distance_mm <= self.limit_mm

    @property
    def words(self) -> str:
        """ "checkpoint xiphoid 1.2 mm off, at most 2 mm allowed" """
        return f"checkpoint {self.name} {self.distance_mm:.1f} mm off, at most {self.limit_mm:g} mm allowed"


@dataclass(frozen=True)
class Standing:
    """Whether a registration may be trusted at a time; fault: why not, "" where it may; words: what its checkpoints
    say; verified_s: when the last one held (NaN: none)."""

    fault: str
    words: str
    verified_s: float = float("nan")


def standing(
    registration: PatientRegistration | None, checkpoints: Sequence[Checkpoint], now_s: float, limits: GuidanceLimits,
    way_mm: tuple[Point, Point],
) -> Standing:  # fmt: skip
    """What a registration is worth now, for a way from entry to target (LPS mm). Of each checkpoint the last touch
    since the registration counts; all have to hold, those that are not the planned entry have to see every motion
    between them, and one of them lately. A time that lies ahead tells that a clock went back: it verifies nothing."""
    if registration is None:
        return Standing("the patient is not registered", "")
    if registration.doubts:
        return Standing(f"the registration does not serve: {'; '.join(registration.doubts)}", "")
    age_s = now_s - registration.made_s
    if age_s < -AHEAD_S:
        return Standing("the registration lies ahead of the clock: the clock went back", "")
    if age_s > limits.registration_age_s:
        return Standing(f"the registration is {_minutes(age_s)} old, at most {_minutes(limits.registration_age_s)}", "")
    last: dict[str, Checkpoint] = {}
    for point in sorted(checkpoints, key=lambda one: one.time_s):
        if point.time_s >= registration.made_s:
            last[point.name] = point
    ahead = [point for point in last.values() if point.time_s > now_s + AHEAD_S]
    if ahead:
        return Standing("a checkpoint lies ahead of the clock: the clock went back", ahead[0].words)
    off = [point for point in last.values() if not point.holds or point.distance_mm > limits.checkpoint_mm]
    if off:
        return Standing(f"the registration does not hold: {'; '.join(point.words for point in off)}", off[0].words)
    if not last:
        return Standing("no checkpoint was touched since the registration", "")
    return _trusted(list(last.values()), now_s, limits, way_mm)


def _trusted(held: list[Checkpoint], now_s: float, limits: GuidanceLimits, way_mm: tuple[Point, Point]) -> Standing:
    """Of checkpoints that all hold."""
    newest = max(held, key=lambda point: point.time_s)
    count = [point for point in held if not dist(point.patient_mm, way_mm[0]) < limits.at_entry_mm]
    fault = _unseen(tuple((point.name, point.patient_mm) for point in count), limits, way_mm)
    if fault:
        return Standing(fault, newest.words)
    newest = max(count, key=lambda point: point.time_s)
    since_s = now_s - newest.time_s
    if since_s > limits.checkpoint_age_s:
        return Standing(
            f"the last checkpoint was {_minutes(since_s)} ago, at most {_minutes(limits.checkpoint_age_s)} allowed",
            newest.words, newest.time_s,
        )  # fmt: skip
    return Standing("", newest.words, newest.time_s)


def _unseen(places: tuple[tuple[str, Point], ...], limits: GuidanceLimits, way_mm: tuple[Point, Point]) -> str:
    """What places that hold leave unseen, in words; "" where that is little."""
    names = ", ".join(name for name, _ in places)
    if not places:
        return f"the planned entry agrees with any registration: touch {FEWEST} landmarks elsewhere"
    if len(places) < FEWEST:
        axis = "an axis through it" if len(places) == 1 else "the line through both"
        more = FEWEST - len(places)
        return f"checkpoints at {names} do not see a turn about {axis}: touch {more} more, elsewhere"
    missed = missed_mm(tuple(place for _, place in places), limits.checkpoint_mm, way_mm)
    if not missed <= limits.target_error_mm:
        told = f"{missed:.1f} mm" if missed < 100.0 else "any amount"
        return (
            f"checkpoints at {names} lie so near to one line that a turn which moves entry or target by {told} is not "
            f"seen, at most {limits.target_error_mm:g} mm allowed: touch one farther away"
        )
    return ""


@lru_cache(maxsize=256)
def missed_mm(places: tuple[Point, ...], off_mm: float, way_mm: tuple[Point, Point]) -> float:
    """How far entry or target may be off (root mean square) where each of the places is by off_mm; infinite for places
    on a line."""
    try:
        return float(target_error_mm(places, way_mm, off_mm**2).max())
    except GeometryError:
        return float("inf")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
