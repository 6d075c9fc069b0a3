"""One attempt at a scenario: actions in, what happens out, all of it in a log that plays again to the same bits.

    attempt = Attempt(scenario, patient, way, seed=7)
    entry = attempt.act(Place(entry_mm, direction))
    entry = attempt.act(Advance(12.0))          # entry.events: "gives way: lung_upper_lobe_left", ...
    attempt.ending

Nothing is drawn but from the seed, in an order that the actions fix; time is the room's own. The scores are computed
from the log alone (`navplan.training.metrics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
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
    Pedal,
    Place,
    Turn,
    Wait,
    Xray,
    checked,
    record_of,
)
from navplan.training.contrast import VASCULAR_SHARE, Spread, at_a_root, spread_of
from navplan.training.dose import DoseEstimate
from navplan.training.endings import Ending, ending_of, fits
from navplan.training.factors import factors_of
from navplan.training.feel import OUTSIDE, SKIN, drag_n, feel_of
from navplan.training.hazards import drawn
from navplan.training.log import Entry as Entry
from navplan.training.log import Event as Event
from navplan.training.log import NeedleState as NeedleState
from navplan.training.log import chained
from navplan.training.needle_path import STEP_MM, NeedlePath, bend_per_mm
from navplan.training.patient import SimulatedPatient
from navplan.training.room import Room, felt, offered_at, stopped_on, triple
from navplan.training.xrays import Xrays

LONGEST_HOLD_S = 20.0  # that a patient holds his breath (unsourced)
LOOK_MM = 2.0  # between places at which it is looked what the shaft touches
SAME_PLACE_MM = 1.5  # within which a tip lies where it was injected, in the same vessel or beside it (unsourced)
FARTHEST_MM, LONGEST_S, MOST_ACTIONS, MOST_ML = 400.0, 3600.0, 20_000, 20.0
BREATH_STEPS = 8  # of a breath, at which it is looked what it brings to the needle
MOST_LEVER_DEG = 60.0  # at once
SHORTEST_SCAN_MM, LONGEST_SCAN_MM = 10.0, 400.0
Vector = NDArray[np.float64]


class Attempt:
    """way: the plan's own needle, for where to begin and what was promised; seed: of all that differs between attempts;
    dose: of X-rays, by default the patient's own estimate. Raises InputError for a goal that the way cannot come to."""

    def __init__(
        self, scenario: Scenario, patient: SimulatedPatient, way: Trajectory, seed: int = 0,
        dose: DoseEstimate | None = None,
    ) -> None:  # fmt: skip
        fits(scenario.goal, patient, way)
        self.scenario, self.patient, self.way, self.seed = scenario, patient, way, seed
        self._xrays = Xrays(dose or patient.dose)
        self._rng, self._vessels = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 3])
        self._room = Room()
        start = np.random.default_rng([seed, 0])
        varied = scenario.variation
        self._bend = bend_per_mm(scenario.bend_mm_at_100) * float(max(0.0, 1.0 + varied.bend_share * start.normal()))
        self.offered = offered_at(way, varied.start_mm, varied.start_deg, start)
        self._bevel_deg = float(start.uniform(0.0, 360.0))
        self._hazard_draws = start.uniform(size=len(scenario.hazards))
        self._log: list[Entry] = []
        self._finished: Ending | None = None
        self._last_ending: Ending | None = None
        self._state: tuple[NeedlePath, float, NeedleState] | None = None
        self._swept: tuple[NeedlePath | None, dict[float, tuple[str, ...]]] = (None, {})
        self._breathing_risks = any(patient.moves(risk.name) for risk in patient.situation.risks)
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
    def time_s(self) -> float:
        """Of the room."""
        return self._room.time_s

    @property
    def spread(self) -> Spread | None:
        """Where the last contrast medium went, None before there was any."""
        return self._room.spread

    @property
    def moved_mm(self) -> Vector:
        """(3,) by which the patient lies elsewhere on the table than at first."""
        return np.array(self._room.table_mm)

    def carm(self, plane: int = 0) -> MoveCarm | None:
        """Where a plane of the C-arm stands."""
        return self._xrays.standing.get(plane)

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
        done = checked(action)
        if self._finished is not None:
            raise InputError("an action after the end", "a new attempt")
        ends = isinstance(done, Finish)
        if (len(self._log) >= MOST_ACTIONS or self._room.time_s > LONGEST_S) and not ends:
            raise InputError(f"more than {MOST_ACTIONS} actions or {LONGEST_S:g} s", "an attempt that ends: finish")
        before_s, pedal, held_s = self._room.time_s, self._xrays.pedal, self._room.held_until_s
        lay = self._room.path
        events = self._done(done)
        events += self._breathed_over(before_s) if self._room.path is lay else []
        events += self._looked() if not ends else []
        events += self._xrays.irradiate(pedal, self._room.time_s - before_s)
        if before_s < held_s <= self._room.time_s and held_s == self._room.held_until_s:
            events.append(Event("breathes", "the breath could not be held any longer"))
        events += self._patient_moves()
        room = self._room
        made = Entry(
            len(self._log) + 1, room.time_s, record_of(done), tuple(events), self._needle_state(),
            self.breath_at(room.time_s), self._xrays.dose, room.ct_mgy_cm, room.touched_s, "",
        )  # fmt: skip
        entry = replace(made, chain=chained(self._log[-1].chain if self._log else "", made))
        self._log.append(entry)
        return entry

    def _done(self, action: Action) -> list[Event]:
        costs, room = self.scenario.costs, self._room
        match action:
            case Place():
                return self._placed(action)
            case Advance():
                return self._advanced(action.mm) if action.mm >= 0.0 else self._pulled(-action.mm)
            case Turn():
                room.path = self._in_hand("turned").rotated(action.deg)
                room.time_s += costs.turn_s
            case Lever():
                return self._levered(action)
            case HoldBreath():
                return self._breath_held()
            case Breathe():
                room.held_until_s = -1.0
            case CtScan():
                return [self._scanned(action.length_mm)]
            case MoveCarm():
                room.time_s += self._xrays.move(action) * costs.carm_s_per_deg
            case Xray():
                events = self._xrays.shoot(action)
                room.time_s += action.seconds or costs.shot_s
                return events
            case Pedal():
                self._xrays.press(action)
            case Inject():
                return self._injected(action.ml)
            case Fire():
                return self._fired()
            case Wait():
                if not 0.0 <= action.seconds <= 600.0:
                    raise InputError(f"a wait of {action.seconds:g} s", "0 to 600 s")
                room.time_s += action.seconds
            case Finish():
                return self._ended()
        return []

    def _placed(self, action: Place) -> list[Event]:
        if self._room.path is not None and self._room.path.inserted_mm > 0.0:
            raise InputError("a needle set elsewhere while it is in the body", "a needle pulled out first")
        path = NeedlePath.on_skin(action.point_mm, action.direction).rotated(self._bevel_deg)
        self._refuse_off_skin(path)
        self._room.path = path
        self._room.passage.passes += 1
        self._room.time_s += self.scenario.costs.place_s
        return [Event("placed", "needle on the skin")]

    def _refuse_off_skin(self, path: NeedlePath) -> None:
        before, within = self.patient.tissues_at(path.tip_mm + np.array([[-6.0], [6.0]]) * path.direction)
        if within == OUTSIDE or before != OUTSIDE:
            raise InputError("a needle that is not set on the skin, pointing in", "a point on the skin, a way in")

    def _levered(self, action: Lever) -> list[Event]:
        """Little by little: bone stops the tip, and what it comes into and the shaft touches on the way is told."""
        path, room = self._in_hand("levered"), self._room
        if np.linalg.norm(action.axis) < 1e-9 or abs(action.deg) > MOST_LEVER_DEG:
            received = f"a needle levered by {action.deg:g} degrees about {action.axis}"
            raise InputError(received, f"at most {MOST_LEVER_DEG:g} degrees about a direction")
        depth = path.inserted_mm
        if depth <= 0.0:
            path = path.levered(action.axis, action.deg)
            self._refuse_off_skin(path)
            room.path, steps = path, 0
        else:
            way_mm = float(np.linalg.norm(path.levered(action.axis, action.deg).tip_mm - path.tip_mm))
            steps = int(np.ceil(way_mm / LOOK_MM)) or 1
        room.time_s += self.scenario.costs.turn_s
        events: list[Event] = []
        here = self._tissue(path.tip_mm, depth)
        for step in range(steps):
            path = path.levered(action.axis, action.deg / steps)
            there = self._tissue(path.tip_mm, depth)
            if there != here and feel_of(there).stops:
                events.append(stopped_on(there))
                break
            if there != here:
                room.passage.goes(there, depth)
                events.append(felt(here, there))
                here = there
            room.path = path
            events += self._looked() if step < steps - 1 else []
        return events

    def _pulled(self, by_mm: float) -> list[Event]:
        path, room = self._in_hand("pulled"), self._room
        room.path = path.withdrawn(by_mm)
        left_mm = room.path.inserted_mm
        room.time_s += (path.inserted_mm - left_mm) * self.scenario.costs.advance_s_per_mm
        room.passage.back_to(left_mm)
        return [] if left_mm > 0.0 or path.inserted_mm <= 0.0 else [Event("out", "the needle is out of the skin")]

    def _advanced(self, by_mm: float) -> list[Event]:
        path, costs, room = self._in_hand("pushed"), self.scenario.costs, self._room
        if by_mm > FARTHEST_MM:
            raise InputError(f"a needle pushed by {by_mm:g} mm", f"at most {FARTHEST_MM:g} mm")
        events: list[Event] = []
        done, since, depth = 0.0, 0.0, path.inserted_mm
        here = self._tissue(path.tip_mm, depth)
        while done < by_mm - 1e-9:
            step = min(STEP_MM, by_mm - done)
            if depth + step > self.way.device.length_mm:
                events.append(Event("hub", "the hub is at the skin: the needle goes no farther"))
                break
            there = self._tissue(path.tip_mm + step * path.direction, depth + step)
            feel = feel_of(there)
            if feel.stops and (feel.hardest or not self.scenario.into_bone):
                events.append(stopped_on(there))
                break
            path = path.advanced(step, self._bend * feel.bends)
            done, since, depth = done + step, since + step, depth + step
            room.time_s += step * costs.advance_s_per_mm
            room.passage.goes(there, depth)
            if there != here:
                events.append(felt(here, there))
                here = there
            if since >= LOOK_MM:
                since, room.path = 0.0, path
                events += self._looked()
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

    def _scanned(self, length_mm: float) -> Event:
        if not SHORTEST_SCAN_MM <= length_mm <= LONGEST_SCAN_MM:
            raise InputError(f"a control scan of {length_mm:g} mm", f"{SHORTEST_SCAN_MM:g} to {LONGEST_SCAN_MM:g} mm")
        costs, room = self.scenario.costs, self._room
        dlp_mgy_cm = costs.ct_scan_mgy * length_mm / 10.0
        room.time_s += costs.ct_scan_s
        room.ct_mgy_cm += dlp_mgy_cm
        return Event("ct_scan", f"control scan of {length_mm:g} mm", value=dlp_mgy_cm)

    def _injected(self, ml: float) -> list[Event]:
        path, room = self._in_hand("injected through"), self._room
        if self.scenario.patient.block:
            raise InputError("contrast medium in a block of gel", "nothing injected: gel shows none")
        if path.inserted_mm <= 0.0 or not 0.0 < ml <= MOST_ML:
            raise InputError(f"{ml:g} ml, {path.inserted_mm:g} mm deep", f"above 0 to {MOST_ML:g} ml, in the body")
        room.time_s += self.scenario.costs.inject_s
        phase = self.breath_at(room.time_s)
        if at_a_root(self.patient.tissues_at(path.tip_mm, phase)[0]):
            if not self._at_last_spread(path):
                room.hidden = bool(self._vessels.uniform() < VASCULAR_SHARE)
        else:
            room.hidden = False
        room.spread, room.spread_at = spread_of(self.patient, path.tip_mm, ml, phase, room.hidden), path.tip_mm
        return [Event("contrast", room.spread.words, str(room.spread.pattern), ml)]

    def _at_last_spread(self, path: NeedlePath) -> bool:
        at = self._room.spread_at
        return at is not None and float(np.linalg.norm(path.tip_mm - at)) <= SAME_PLACE_MM

    def _fired(self) -> list[Event]:
        path, room = self._in_hand("fired"), self._room
        if path.inserted_mm <= 0.0:
            raise InputError("a needle fired outside the body", "a needle at its target")
        room.time_s += self.scenario.costs.fire_s
        contrast = room.spread.pattern if room.spread is not None and self._at_last_spread(path) else None
        found = ending_of(
            self.scenario.goal, self.patient, self.way, path, self.breath_at(room.time_s), contrast,
            frozenset(room.passage.entered),
        )  # fmt: skip
        events = [Event("fired", found.words, self.patient.situation.target.structure, found.off_mm)]
        throw = self.way.device.throw_mm
        if throw > 0.0:  # what the throw sweeps is touched as well
            swept = path.advanced(throw, 0.0)
            new = set(self._touched(swept)[0]) - set(self._touched(path)[0])
            room.passage.touched |= new
            room.passage.thrown(path.inserted_mm, throw)
            events += [Event("touched", f"the throw touches {name}", name) for name in sorted(new)]
        self._last_ending = found
        return events

    def _ended(self) -> list[Event]:
        found = self._last_ending or Ending(False, float("nan"), "nothing was done at the target")
        present = factors_of(self._room.passage, self.patient.situation, self.way)
        events = []
        for hazard, share in zip(self.scenario.hazards, self._hazard_draws, strict=True):
            one = drawn(hazard, present, float(share))
            came, why = "yes" if one.came else "no", ", ".join(one.factors) or "base"
            said = f"{one.name}: {came} (chance {one.chance:.0%}; {why})"
            events.append(Event("hazard_came" if one.came else "hazard", said, one.name, one.chance))
        self._count_touch()
        self._room.path = None
        self._finished = found
        met = [Event("goal_met", found.words)] if found.goal_met else []
        return [Event("finished", found.words, value=found.off_mm), *met, *events]

    def _in_hand(self, done: str) -> NeedlePath:
        if self._room.path is None:
            raise InputError(f"a needle {done} that is not on the skin", "place it first")
        return self._room.path

    def _tissue(self, point_mm: Vector, inserted_mm: float) -> str:
        tissue = self.patient.tissues_at(point_mm, self.breath_at(self._room.time_s))[0]
        return SKIN if inserted_mm < self.patient.skin_mm and not feel_of(tissue).stops else tissue

    def _touched(self, path: NeedlePath) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.patient.touched(path, self.way.device.radius_mm, self.breath_at(self._room.time_s))

    def _count_touch(self) -> None:
        """The time since it was last looked counts as touching where something was touched then."""
        room = self._room
        room.touched_s += room.time_s - room.looked_s if room.touched[0] else 0.0
        room.looked_s = room.time_s

    def _looked(self) -> list[Event]:
        """What the shaft has come to touch since it was last looked."""
        room, path = self._room, self._room.path
        self._count_touch()
        before = set(room.touched[0])
        if path is None:
            room.touched = ((), ())
            return []
        if self._state is None or self._state[0] is not path or self._state[1] != self.breath_at(room.time_s):
            room.touched = self._touched(path)
        new = sorted(set(room.touched[0]) - before)
        room.passage.touched |= set(new)
        return [Event("touched", f"touches {name}", name) for name in new]

    def _breathed_over(self, since_s: float) -> list[Event]:
        """What breath brought to a needle that lay still, and took away again before the action was over."""
        path, room, breath = self._room.path, self._room, self.scenario.breath
        if breath is None or path is None or path.inserted_mm <= 0.0 or not self._breathing_risks:
            return []
        lasted_s = min(room.time_s - since_s, breath.period_s)
        seen = [self.breath_at(room.time_s - lasted_s * part) for part in np.linspace(0.0, 1.0, 33)]
        known = set(room.touched[0])
        if self._swept[0] is not path:
            self._swept = path, {}
        for phase in np.arange(BREATH_STEPS + 1) / BREATH_STEPS:
            if min(seen) < phase < max(seen):
                if phase not in self._swept[1]:
                    radius = self.way.device.radius_mm
                    self._swept[1][phase] = self.patient.touched(path, radius, float(phase))[0]
                known |= set(self._swept[1][phase])
        new = sorted(known - set(room.touched[0]) - set(self._touched(path)[0]))
        room.passage.touched |= set(new)
        return [Event("touched", f"breath brings {name} to the needle", name) for name in new]

    def _needle_state(self) -> NeedleState | None:
        path, phase = self._room.path, self.breath_at(self._room.time_s)
        if path is None:
            return None
        if self._state is None or self._state[0] is not path or self._state[1] != phase:
            inserted = path.inserted_mm
            tissue = OUTSIDE if inserted <= 0.0 else self._tissue(path.tip_mm, inserted)
            lengths = np.linalg.norm(np.diff(path.points_mm, axis=0), axis=1)
            middles = (path.points_mm[1:] + path.points_mm[:-1]) / 2
            force = feel_of(tissue).puncture_n * 0.3
            if len(middles):
                force += drag_n(self.patient.tissues_at(middles, phase), lengths)
            state = NeedleState(
                triple(path.tip_mm), triple(path.direction), triple(path.entry_mm), inserted, force, tissue,
                *self._room.touched,
            )  # fmt: skip
            self._state = path, phase, state
        return self._state[2]

    def _plan_next_move(self) -> None:
        rate = self.scenario.variation.moves_per_hour / 3600.0
        since_s = self._room.next_move_s if np.isfinite(self._room.next_move_s) else self._room.time_s
        self._room.next_move_s = since_s + (self._rng.exponential(1.0 / rate) if rate > 0.0 else np.inf)

    def _patient_moves(self) -> list[Event]:
        events = []
        while self._room.time_s >= self._room.next_move_s:
            by = self._rng.normal(0.0, self.scenario.variation.move_mm / np.sqrt(3.0), 3)
            self._room.table_mm = self._room.table_mm + by
            self._plan_next_move()
            length = float(np.linalg.norm(by))
            said = f"the patient moved by {length:.0f} mm: saved views are off"
            events.append(Event("patient_moved", said, value=length))
        return events


def replayed(
    actions: Sequence[Action], scenario: Scenario, patient: SimulatedPatient, way: Trajectory, seed: int,
    dose: DoseEstimate | None = None,
) -> Attempt:  # fmt: skip
    """The attempt that these actions make again."""
    attempt = Attempt(scenario, patient, way, seed, dose)
    for action in actions:
        attempt.act(action)
    return attempt
