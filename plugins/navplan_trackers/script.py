"""What a simulated tracker plays: where the needle goes, when, and what goes wrong meanwhile; from code or a file.

A file is TOML or JSON of the same keys as the classes here:

    seed = 3
    rate_hz = 40
    length_mm = 150                       # hub to tip
    jitter_mm = 0.1
    [[waypoints]]
    time_s = 0
    tip_mm = [-90, 0, 0]                  # patient, LPS
    direction = [1, 0, 0]
    [[dropouts]]
    from_s = 4
    to_s = 4.5
    tool = "Needle"                       # left out: all
    [metal]
    place_mm = [-60, 20, 0]
    most_mm = 6
    reach_mm = 40
    [breathing]
    amplitude_mm = 8
    period_s = 4
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.geometry.lines import unit
from navplan.model.pose import pose_fault

Point = tuple[float, float, float]
LARGEST_FILE = 1 << 20
OUTSIDE_MM = 30.0  # before the skin, where a needle waits
TO_SKIN_S, REST_S, PUSH_MM_S = 1.5, 2.0, 10.0
NEXT_S, BRIEF_S = 0.5, 0.6  # from one checkpoint to the next, and for which it rests there


@dataclass(frozen=True)
class Waypoint:
    """At a time the tip is there (patient, LPS mm) and the needle points so; bend_mm: how far its tip lies beside where
    a straight needle would have it."""

    time_s: float
    tip_mm: Point
    direction: Point
    bend_mm: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite([self.time_s, *self.tip_mm, *self.direction, self.bend_mm]).all():
            raise InputError(f"a waypoint at {self.time_s} s: {self.tip_mm}", "finite numbers")
        unit(self.direction)


@dataclass(frozen=True)
class DropOut:
    """A tool ("": every one) is not seen from a time to another, s since the start."""

    from_s: float
    to_s: float
    tool: str = ""

    def __post_init__(self) -> None:
        if not self.from_s < self.to_s:
            raise InputError(f"a drop-out from {self.from_s} to {self.to_s} s", "a beginning before its end")


@dataclass(frozen=True)
class Metal:
    """Metal in an electromagnetic field: what lies near it (patient, mm) is told up to most_mm and most_deg off, less
    with the distance as a bell of width reach_mm."""

    place_mm: Point
    most_mm: float
    reach_mm: float
    most_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([*self.place_mm, self.most_mm, self.most_deg]).all() and 0 < self.reach_mm < np.inf):
            raise InputError(f"metal at {self.place_mm}, reach {self.reach_mm} mm", "finite numbers, a reach above 0")


@dataclass(frozen=True)
class Breathing:
    """The patient, with reference and needle, moves to and fro: amplitude_mm from end to end along a direction, 0 at
    the start and after each period."""

    amplitude_mm: float
    period_s: float
    direction: Point = (0.0, -0.35, -0.94)

    def __post_init__(self) -> None:
        if not (0 <= self.amplitude_mm < np.inf and 0 < self.period_s < np.inf):
            raise InputError(f"breathing {self.amplitude_mm} mm in {self.period_s} s", "0 or more, a period above 0")
        unit(self.direction)


@dataclass(frozen=True)
class Touch:
    """At a time the tip touches a point of the patient (LPS mm), by which a registration is checked."""

    time_s: float
    name: str
    point_mm: Point


def _patient_matrix() -> tuple[tuple[float, ...], ...]:
    """A patient before a tracker: turned, and 1.5 m away."""
    return ((1.0, 0.0, 0.0, 100.0), (0.0, 0.0, -1.0, -50.0), (0.0, 1.0, 0.0, -1500.0), (0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Script:
    """waypoints: in the order of time, straight between them, still before and after. tool, reference, shaft: as the
    tracker names them; shaft: a second sensor, on the hub, which does not feel the bending that the tool's own, then at
    the tip, does ("": none). length_mm: hub to tip; the tool's frame has its tip at (0, 0, length_mm), its axis is z.
    jitter_mm: standard deviation of each coordinate of each pose, jitter_deg: about each axis; lost_share: of single
    poses that are missing. tracker_from_patient: rigid (4, 4) at rest; reference_mm: where the reference sits on the
    patient; speed_mm_s: with which a needle follows a hand that leads it (`Link.lead`).

    Raises InputError for what cannot be played.
    """

    waypoints: tuple[Waypoint, ...]
    seed: int = 0
    rate_hz: float = 40.0
    tool: str = "Needle"
    reference: str = "Reference"
    shaft: str = ""
    length_mm: float = 150.0
    jitter_mm: float = 0.05
    jitter_deg: float = 0.02
    lost_share: float = 0.0
    tracker_from_patient: tuple[tuple[float, ...], ...] = _patient_matrix()
    reference_mm: Point = (0.0, -100.0, 0.0)
    speed_mm_s: float = 150.0
    dropouts: tuple[DropOut, ...] = ()
    touches: tuple[Touch, ...] = ()
    metal: Metal | None = None
    breathing: Breathing | None = None

    def __post_init__(self) -> None:
        times = [one.time_s for one in self.waypoints]
        if not times or sorted(set(times)) != times:
            raise InputError(f"waypoints at {times} s", "one or more, each later than the one before")
        numbers = [self.jitter_mm, self.jitter_deg, self.lost_share, *self.reference_mm]
        positive = [self.rate_hz, self.length_mm, self.speed_mm_s]
        good = np.isfinite([*numbers, *positive]).all() and min(positive) > 0 and min(numbers[:3]) >= 0
        if not good or self.rate_hz > 1000 or self.lost_share > 1 or self.seed < 0:
            raise InputError(
                f"rate {self.rate_hz} Hz, length {self.length_mm} mm, jitter {self.jitter_mm} mm, seed {self.seed}",
                "numbers above 0, at most 1000 Hz; jitter, share and seed of 0 or more",
            )
        if len({self.tool, self.reference, self.shaft or "-"}) != 3 or not self.tool or not self.reference:
            raise InputError(f"tools {self.tool!r}, {self.reference!r}, {self.shaft!r}", "different names")
        fault = pose_fault(self.patient_matrix)
        if fault:
            raise InputError(f"tracker_from_patient with {fault}", "a rigid (4, 4) matrix in mm")

    @property
    def patient_matrix(self) -> NDArray[np.float64]:
        """(4, 4) tracker_from_patient at rest."""
        return np.array(self.tracker_from_patient, dtype=np.float64)


def along(
    entry_mm: Point, target_mm: Point, tip_depth_mm: float, checkpoints: Sequence[tuple[str, Point]] = (), **more: Any
) -> Script:
    """A needle that touches checkpoints (the entry where none is named), goes back, is set on the skin and pushed along
    a way (patient, LPS mm) to a depth below the entry, and rests there. checkpoints: name and place of each. more: of
    `Script`."""
    entry, direction = np.asarray(entry_mm, dtype=np.float64), unit(np.subtract(target_mm, entry_mm))
    towards, ways, touches, time_s = _point(direction), [], [], 0.0
    for number, (name, place) in enumerate(checkpoints or [("entry", _point(entry))]):
        rests_s = BRIEF_S if number else REST_S  # the first is waited for: who follows has to begin
        ways += [Waypoint(time_s, place, towards), Waypoint(time_s + rests_s, place, towards)]
        touches.append(Touch(time_s + (0.1 if number else 0.75 * REST_S), name, place))
        time_s += rests_s + NEXT_S
    time_s -= NEXT_S
    stops = [(time_s + TO_SKIN_S, -OUTSIDE_MM), (time_s + 2 * TO_SKIN_S, 0.0)]
    stops.append((stops[-1][0] + max(tip_depth_mm, 0.1) / PUSH_MM_S, tip_depth_mm))
    ways += [Waypoint(at_s, _point(entry + depth * direction), towards) for at_s, depth in stops]
    beside = {"reference_mm": _point(entry - 40.0 * np.array([0.0, 0.0, 1.0])), **more}
    return Script(tuple(ways), touches=tuple(touches), **beside)


def read_script(path: str | Path) -> Script:
    """The script of a TOML or JSON file. Raises FileFormatError: it names the key."""
    path = Path(path)
    expected = "a TOML or JSON file of waypoints (time_s, tip_mm, direction)"
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_FILE else b"\0"
        told = json.loads(data) if path.suffix.lower() == ".json" else tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", expected) from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path.name}: {error}", expected) from error
    try:
        return _script(told)
    except InputError as error:
        raise FileFormatError(f"{path.name}: {error.received}", error.expected or expected, error.remedy) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{path.name}: {error}", expected) from error


def _script(told: Any) -> Script:
    facts = _facts(told, Script, "the script")
    if "waypoints" not in facts:
        raise InputError("no waypoints", "one [[waypoints]] or more")
    for key, kind in (("waypoints", Waypoint), ("dropouts", DropOut), ("touches", Touch)):
        if not isinstance(facts.get(key, []), list):
            raise InputError(f"{key} that are no list", f"[[{key}]]")
        facts[key] = tuple(kind(**_facts(one, kind, key)) for one in facts.get(key, []))
    for name, one in (("metal", Metal), ("breathing", Breathing)):
        if name in facts:
            facts[name] = one(**_facts(facts[name], one, name))
    return Script(**facts)


def _facts(told: Any, kind: type, where: str) -> dict[str, Any]:
    """Keys and values of a table, each of the kind that the class asks for."""
    if not isinstance(told, Mapping):
        raise InputError(f"{where}: {told!r:.60}", "a table")
    known = {one.name: str(one.type) for one in fields(kind)}
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise InputError(f"{where}: {unknown[0]!r}", ", ".join(known))
    return {name: _value(value, known[name], f"{where}: {name}") for name, value in told.items()}


def _value(value: Any, kind: str, where: str) -> Any:
    if kind == "Point":
        point = value if isinstance(value, list) else []
        if len(point) != 3 or not all(_is_number(part) for part in point):
            raise InputError(f"{where} = {value!r:.60}", "three numbers")
        return tuple(float(part) for part in point)
    if kind == "float":
        if not _is_number(value):
            raise InputError(f"{where} = {value!r:.60}", "a number")
        return float(value)
    if kind in ("int", "str"):
        if type(value) is not {"int": int, "str": str}[kind]:
            raise InputError(f"{where} = {value!r:.60}", {"int": "a whole number", "str": "text"}[kind])
        return value
    if "tuple[tuple[float" in kind:
        rows = value if isinstance(value, list) else []
        if len(rows) != 4 or not all(isinstance(row, list) and all(_is_number(x) for x in row) for row in rows):
            raise InputError(f"{where}", "four rows of four numbers")
        return tuple(tuple(float(x) for x in row) for row in rows)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
