"""One attempt at a scenario: actions in, what happens out, all of it in a log that plays again to the same bits.

    attempt = Attempt(scenario, patient, way, seed=7)
    entry = attempt.act(Place(entry_mm, direction))
    entry = attempt.act(Advance(12.0))          # entry.events: "gives way: lung_upper_lobe_left", ...
    attempt.finished

Nothing is drawn but from the seed, in an order that the actions fix; time is the room's own. The scores are computed
from the log alone (`navplan.training.metrics`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.fluoroscopy.exposure import Dose
from navplan.geometry.lines import perpendicular_axes
from navplan.model.scenario import Scenario
from navplan.model.trajectory import Trajectory
from navplan.training.actions import (
    Action,
    Advance,
    Breathe,
    CtScan,
    Finish,
    Fire,
    HoldBreath,
    Inject,
    Lever,
    MoveCarm,
    Place,
    Turn,
    Wait,
    Xray,
    record_of,
)
from navplan.training.endings import Ending, ending_of
from navplan.training.feel import OUTSIDE, SKIN, feel_of
from navplan.training.needle_path import STEP_MM, NeedlePath, bend_per_mm
from navplan.training.patient import SimulatedPatient

SKIN_MM = 2.0  # of thickness (unsourced)
LONGEST_HOLD_S = 20.0  # that a patient holds his breath (unsourced)
LOOK_MM = 2.0  # between places at which it is looked what the shaft touches
GIVES_WAY_N = 1.0  # of force that falls away at once, for a hand to feel it (unsourced)
FARTHEST_MM, LONGEST_S, MOST_ACTIONS = 400.0, 3600.0, 20_000
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """What happened: kind, words for the learner, the structure or layer that it is about, a number."""

    kind: str
    words: str
    structure: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class NeedleState:
    """Where the needle is: tip and direction (LPS), entry, length in the body, force on a hand that holds it (N), tissue
    at the tip, structures that the shaft touches, and those that it may touch."""

    tip_mm: tuple[float, float, float]
    direction: tuple[float, float, float]
    entry_mm: tuple[float, float, float]
    inserted_mm: float
    force_n: float
    tissue: str
    touched: tuple[str, ...]
    maybe_touched: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One action and what came of it. time_s: of the room, when it was over; chain: SHA-256 over all so far."""

    number: int
    time_s: float
    action: dict[str, Any]
    events: tuple[Event, ...]
    needle: NeedleState | None
    breath: float
    dose: Dose
    ct_mgy_cm: float
    chain: str


@dataclass
class _Room:
    """What changes from action to action."""

    path: NeedlePath | None = None
    time_s: float = 0.0
    held_until_s: float = -1.0
    held_phase: float = 0.0
    dose: Dose = field(default_factory=Dose)
    ct_mgy_cm: float = 0.0
    carm: dict[int, MoveCarm] = field(default_factory=dict)
    table_mm: Vector = field(default_factory=lambda: np.zeros(3))  # by which the patient moved on it
    next_move_s: float = np.inf
    fired: int = 0


class Attempt:
    """way: the plan's own needle, for where to begin and what was promised; seed: of all that differs between attempts.
    dose_of: of X-rays for some seconds with the C-arm standing so; None counts no dose."""

    def __init__(
        self, scenario: Scenario, patient: SimulatedPatient, way: Trajectory, seed: int = 0,
        dose_of: Callable[[MoveCarm, Xray], Dose] | None = None,
    ) -> None:  # fmt: skip
        self.scenario, self.patient, self.way, self.seed = scenario, patient, way, seed
        self._dose_of = dose_of
        self._rng = np.random.default_rng([seed, 1])
        self._room = _Room()
        start = np.random.default_rng([seed, 0])
        varied = scenario.variation
        self._bend = bend_per_mm(scenario.bend_mm_at_100) * float(max(0.0, 1.0 + varied.bend_share * start.normal()))
        self.offered = _offered(way, varied.start_mm, varied.start_deg, start)
        self._bevel_deg = float(start.uniform(0.0, 360.0))
        self._hazard_draws = start.uniform(size=len(scenario.hazards))
        self._log: list[Entry] = []
        self._finished: Ending | None = None
        self._last_ending: Ending | None = None
        self._plan_next_move()

    @property
    def log(self) -> tuple[Entry, ...]:
        """Everything so far."""
        return tuple(self._log)

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it goes on."""
        return self._finished

    @property
    def path(self) -> NeedlePath | None:
        """The needle, None while it is away from the skin."""
        return self._room.path

    @property
    def moved_mm(self) -> Vector:
        """(3,) by which the patient lies elsewhere on the table than at first."""
        return np.array(self._room.table_mm)

    def carm(self, plane: int = 0) -> MoveCarm | None:
        """Where a plane of the C-arm stands."""
        return self._room.carm.get(plane)

    def breath_at(self, time_s: float) -> float:
        """The phase, 0 as in the image to 1: Lujan et al. 1999 (Med Phys 26:715), cos^4, longest at 0; held breaths
        stay."""
        breath = self.scenario.breath
        if breath is None:
            return 0.0
        if time_s < self._room.held_until_s:
            return self._room.held_phase
        return float(np.sin(np.pi * time_s / breath.period_s) ** 4)

    def act(self, action: Action) -> Entry:
        """Do it. Raises InputError for what cannot be done now; nothing is changed then."""
        if self._finished is not None:
            raise InputError("an action after the end", "a new attempt")
        if len(self._log) >= MOST_ACTIONS or self._room.time_s > LONGEST_S:
            raise InputError(f"more than {MOST_ACTIONS} actions or {LONGEST_S:g} s", "an attempt that ends: finish")
        events = self._done(action)
        events += self._patient_moves()
        needle = self._needle_state()
        made = Entry(
            len(self._log) + 1, self._room.time_s, record_of(action), tuple(events), needle,
            self.breath_at(self._room.time_s), self._room.dose, self._room.ct_mgy_cm, "",
        )  # fmt: skip
        before = self._log[-1].chain if self._log else ""
        chained = Entry(**{**made.__dict__, "chain": _chained(before, made)})
        self._log.append(chained)
        return chained

    def _done(self, action: Action) -> list[Event]:
        costs, room = self.scenario.costs, self._room
        if isinstance(action, Place):
            return self._placed(action)
        if isinstance(action, Advance):
            return self._advanced(action.mm)
        if isinstance(action, Turn):
            room.path = self._in_hand("turned").rotated(action.deg)
            room.time_s += costs.turn_s
        elif isinstance(action, Lever):
            if not np.any(action.axis):
                raise InputError("a needle levered about no axis", "a direction")
            room.path = self._in_hand("levered").levered(action.axis, action.deg)
            room.time_s += costs.turn_s
        elif isinstance(action, HoldBreath):
            return self._breath_held()
        elif isinstance(action, Breathe):
            room.held_until_s = -1.0
        elif isinstance(action, CtScan):
            room.time_s += costs.ct_scan_s
            room.ct_mgy_cm += costs.ct_scan_mgy_cm
            return [Event("ct_scan", "control scan", value=costs.ct_scan_mgy_cm)]
        elif isinstance(action, MoveCarm):
            return self._carm_moved(action)
        elif isinstance(action, Xray):
            return self._xrayed(action)
        elif isinstance(action, Inject):
            room.time_s += costs.inject_s
            tissue = self._tip_tissue(self._in_hand("injected through"))
            return [Event("contrast", f"contrast medium in {tissue}", tissue, action.ml)]
        elif isinstance(action, Fire):
            return self._fired()
        elif isinstance(action, Wait):
            if not 0.0 <= action.seconds <= 600.0:
                raise InputError(f"a wait of {action.seconds:g} s", "0 to 600 s")
            room.time_s += action.seconds
        elif isinstance(action, Finish):
            return self._ended()
        return []

    def _placed(self, action: Place) -> list[Event]:
        if self._room.path is not None and self._room.path.inserted_mm > 0.0:
            raise InputError("a needle set elsewhere while it is in the body", "a needle pulled out first")
        path = NeedlePath.on_skin(action.point_mm, action.direction).rotated(self._bevel_deg)
        ahead = self.patient.tissues_at(path.tip_mm + np.array([[-6.0], [6.0]]) * path.direction)
        if ahead[1] == OUTSIDE or ahead[0] != OUTSIDE:
            raise InputError("a needle that is not set on the skin, pointing in", "a point on the skin, a way into the body")
        self._room.path = path
        self._room.time_s += self.scenario.costs.place_s
        return [Event("placed", "needle on the skin")]

    def _advanced(self, by_mm: float) -> list[Event]:
        path, costs, room = self._in_hand("pushed"), self.scenario.costs, self._room
        if abs(by_mm) > FARTHEST_MM:
            raise InputError(f"a needle pushed by {by_mm:g} mm", f"at most {FARTHEST_MM:g} mm")
        events: list[Event] = []
        if by_mm < 0.0:
            room.path = path.withdrawn(-by_mm)
            room.time_s += -by_mm * costs.advance_s_per_mm
            return events
        seen = set(self._touched(path)[0])
        done, since = 0.0, 0.0
        here = self._tissue(path.tip_mm, path.inserted_mm)
        while done < by_mm - 1e-9:
            step = min(STEP_MM, by_mm - done)
            if path.inserted_mm + step > self.way.device.length_mm:
                events.append(Event("hub", "the hub is at the skin: the needle goes no farther"))
                break
            there = self._tissue(path.tip_mm + step * path.direction, path.inserted_mm + step)
            if there == OUTSIDE and path.inserted_mm > SKIN_MM:
                events.append(Event("out", "the tip comes out of the body"))
            if feel_of(there).stops and not self.scenario.into_bone:
                events.append(Event("stopped", f"stops hard: {there}", there))
                break
            path = path.advanced(step, self._bend * feel_of(there).bends)
            done, since = done + step, since + step
            room.time_s += step * costs.advance_s_per_mm
            if there != here:
                events += _entered(here, there)
                here = there
            if since >= LOOK_MM or done >= by_mm - 1e-9:
                since = 0.0
                now = set(self._touched(path)[0])
                events += [Event("touched", f"touches {name}", name) for name in sorted(now - seen)]
                seen = now
        room.path = path
        return events

    def _breath_held(self) -> list[Event]:
        breath, room = self.scenario.breath, self._room
        room.time_s += self.scenario.costs.hold_breath_s
        if breath is None:
            return []
        room.held_phase = float(min(abs(self._rng.normal(0.0, breath.hold_sd)), 1.0))
        room.held_until_s = room.time_s + LONGEST_HOLD_S
        return [Event("breath_held", "breath held", value=room.held_phase)]

    def _carm_moved(self, action: MoveCarm) -> list[Event]:
        if action.plane not in (0, 1) or abs(action.primary_deg) > 180 or abs(action.secondary_deg) > 90:
            raise InputError(f"plane {action.plane} at {action.primary_deg:g}/{action.secondary_deg:g} degrees", "a view")
        before = self._room.carm.get(action.plane)
        turned = 0.0
        if before is not None:
            turned = max(abs(action.primary_deg - before.primary_deg), abs(action.secondary_deg - before.secondary_deg))
        self._room.carm[action.plane] = action
        self._room.time_s += turned * self.scenario.costs.carm_s_per_deg
        return []

    def _xrayed(self, action: Xray) -> list[Event]:
        planes = (0, 1) if action.plane == 2 else (action.plane,)
        if any(plane not in self._room.carm for plane in planes):
            raise InputError("X-rays before the C-arm was set", "a view first: move_carm")
        if not 0.0 <= action.seconds <= 60.0 or not 0.0 <= action.pulses_per_s <= 30.0:
            raise InputError(f"{action.seconds:g} s at {action.pulses_per_s:g} pulses a second", "0 to 60 s, 0 to 30")
        if self._dose_of is not None:
            for plane in planes:
                self._room.dose += self._dose_of(self._room.carm[plane], action)
        self._room.time_s += action.seconds or self.scenario.costs.shot_s
        kind = "fluoroscopy" if action.seconds else "shot"
        return [Event(kind, f"{kind} in plane {plane + 1}", str(plane), action.seconds) for plane in planes]

    def _fired(self) -> list[Event]:
        path = self._in_hand("fired")
        if path.inserted_mm <= 0.0:
            raise InputError("a needle fired outside the body", "a needle at its target")
        self._room.time_s += self.scenario.costs.fire_s
        self._room.fired += 1
        phase = self.breath_at(self._room.time_s)
        found = ending_of(self.scenario, self.patient, self.way, path, phase)
        events = [Event("fired", found.words, self.patient.situation.target.structure, found.off_mm)]
        throw = self.way.device.throw_mm
        if throw > 0.0:  # what the throw sweeps is touched as well
            swept = path
            for _ in range(int(np.ceil(throw / STEP_MM))):
                swept = swept.advanced(throw / np.ceil(throw / STEP_MM), 0.0)
            new = set(self._touched(swept)[0]) - set(self._touched(path)[0])
            events += [Event("touched", f"the throw touches {name}", name) for name in sorted(new)]
        self._last_ending = found
        return events

    def _ended(self) -> list[Event]:
        from navplan.training.factors import factors_of
        from navplan.training.hazards import drawn

        found = self._last_ending
        if found is None:
            found = Ending(False, float("nan"), "nothing was done at the target")
        present = factors_of(self._log, self.patient.situation, self.way)
        events = []
        for hazard, share in zip(self.scenario.hazards, self._hazard_draws, strict=True):
            one = drawn(hazard, present, float(share))
            said = f"{one.name}: {'yes' if one.came else 'no'} (chance {one.chance:.0%}; {', '.join(one.factors) or 'base'})"
            events.append(Event("hazard_came" if one.came else "hazard", said, one.name, one.chance))
        self._room.path = None
        self._finished = found
        met = [Event("goal_met", found.words)] if found.goal_met else []
        return [Event("finished", found.words, value=found.off_mm), *met, *events]

    def _in_hand(self, done: str) -> NeedlePath:
        if self._room.path is None:
            raise InputError(f"a needle {done} that is not on the skin", "place it first")
        return self._room.path

    def _tissue(self, point_mm: Vector, inserted_mm: float) -> str:
        if inserted_mm < SKIN_MM:
            return SKIN
        return self.patient.tissues_at(point_mm, self.breath_at(self._room.time_s))[0]

    def _tip_tissue(self, path: NeedlePath) -> str:
        return OUTSIDE if path.inserted_mm <= 0.0 else self._tissue(path.tip_mm, path.inserted_mm)

    def _touched(self, path: NeedlePath) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.patient.touched(path, self.way.device.radius_mm, self.breath_at(self._room.time_s))

    def _needle_state(self) -> NeedleState | None:
        path = self._room.path
        if path is None:
            return None
        sure, maybe = self._touched(path)
        tissue = self._tip_tissue(path)
        force = feel_of(tissue).puncture_n * 0.3 + self._drag_n(path)
        return NeedleState(
            _triple(path.tip_mm), _triple(path.direction), _triple(path.entry_mm), path.inserted_mm, force, tissue, sure,
            maybe,
        )  # fmt: skip

    def _drag_n(self, path: NeedlePath) -> float:
        if len(path.points_mm) < 2:
            return 0.0
        middles = (path.points_mm[1:] + path.points_mm[:-1]) / 2
        lengths = np.linalg.norm(np.diff(path.points_mm, axis=0), axis=1)
        tissues = self.patient.tissues_at(middles, self.breath_at(self._room.time_s))
        return float(sum(feel_of(name).drag_n_per_mm * mm for name, mm in zip(tissues, lengths, strict=True)))

    def _plan_next_move(self) -> None:
        rate = self.scenario.variation.moves_per_hour / 3600.0
        self._room.next_move_s = self._room.time_s + (self._rng.exponential(1.0 / rate) if rate > 0.0 else np.inf)

    def _patient_moves(self) -> list[Event]:
        events = []
        while self._room.time_s >= self._room.next_move_s:
            by = self._rng.normal(0.0, self.scenario.variation.move_mm / np.sqrt(3.0), 3)
            self._room.table_mm = self._room.table_mm + by
            self._plan_next_move()
            length = float(np.linalg.norm(by))
            events.append(Event("patient_moved", f"the patient moved by {length:.0f} mm: saved views are off", value=length))
        return events


def _entered(here: str, there: str) -> list[Event]:
    """What a hand feels between two tissues."""
    before, after = feel_of(here), feel_of(there)
    if before.puncture_n - after.puncture_n >= GIVES_WAY_N and after.puncture_n < before.puncture_n / 2:
        return [Event("gives_way", f"resistance is lost: {there}", there)]
    return [Event("entered", f"enters {there}", there, after.puncture_n)]


def _offered(
    way: Trajectory, off_mm: float, off_deg: float, rng: np.random.Generator
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Where an assistant holds the needle at first: about the planned entry, along about the planned way."""
    one, two = perpendicular_axes(way.direction)
    aside, turn = rng.normal(0.0, off_mm / np.sqrt(2.0), 2), rng.normal(0.0, off_deg / np.sqrt(2.0), 2)
    axis = np.radians(turn[0]) * np.asarray(one) + np.radians(turn[1]) * np.asarray(two)
    direction = Rotation.from_rotvec(axis).apply(np.array(way.direction))
    return _triple(np.asarray(way.entry_mm) + aside[0] * np.asarray(one) + aside[1] * np.asarray(two)), _triple(direction)


def _chained(before: str, entry: Entry) -> str:
    return hashlib.sha256((before + json.dumps(_exact(asdict(entry)), sort_keys=True)).encode()).hexdigest()


def _exact(value: Any) -> Any:
    """Floats by their bits."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _exact(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(one) for one in value]
    return value


def _triple(point: Vector) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def replayed(
    actions: Sequence[Action], scenario: Scenario, patient: SimulatedPatient, way: Trajectory, seed: int,
    dose_of: Callable[[MoveCarm, Xray], Dose] | None = None,
) -> Attempt:  # fmt: skip
    """The attempt that these actions make again."""
    attempt = Attempt(scenario, patient, way, seed, dose_of)
    for action in actions:
        attempt.act(action)
    return attempt
