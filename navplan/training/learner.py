"""A scripted learner: skill as noise and habits. It sees nothing but what a person would: pictures with an error, a
force, a depth; and does what a person does: place, push, look, turn, lever, begin again.

For tests of scenarios and metrics, and as an opponent on the learning curve. That it behaves like a person of that
skill is nobody's finding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.carm import ViewAngles
from navplan.geometry.lines import perpendicular_axes
from navplan.model.scenario import GoalKind, Sight
from navplan.training.actions import (
    Advance,
    CtScan,
    Finish,
    Fire,
    HoldBreath,
    Inject,
    Lever,
    MoveCarm,
    Place,
    Point,
    Turn,
    Wait,
    Xray,
)
from navplan.training.attempt import Attempt
from navplan.training.contrast import UNSAFE, Pattern, at_a_root
from navplan.training.feel import EPIDURAL, OUTSIDE
from navplan.training.needle_path import HELD_MM, NeedlePath
from navplan.training.skills import EXPERT, INTERMEDIATE, NOVICE, SKILLS, Skill

__all__ = ["EXPERT", "INTERMEDIATE", "NOVICE", "SKILLS", "ScriptedLearner", "Skill"]
Vector = NDArray[np.float64]
MOST_PLACES = 10
SHALLOW_MM, MOST_STEPS, MOST_AGAIN, MOST_INJECTIONS = 30.0, 80, 3, 3
BACK_TO_MM = 12.0  # of depth to which he pulls back before he levers anew
CLOSE_MM = 14.0  # from the end, where steps get small if the end is felt or bone is near
FELT_MM = 9.0  # of the planned depth, within which loss of resistance is believed
PULSES_PER_S, ML, MOVED_MM = 7.5, 1.0, 2.0
STEERS_MM = 1.5
MOST_TILTS = 8  # of a tracked needle on the skin
AGAIN_MM, TOLERATED_MM = 8.0, 4.0  # a miss from which he pulls back; one that is left, at the end


class ScriptedLearner:
    """Plays an attempt to its end. wanted_views: the C-arm views that he should use; seed: of his own noise, which is
    another one for each skill."""

    def __init__(self, skill: Skill, seed: int, wanted_views: tuple[ViewAngles, ...] = ()) -> None:
        self.skill, self.views = skill, wanted_views
        self._rng = np.random.default_rng([seed, 2, sum(map(ord, skill.name))])
        self._planes = 1
        self._again_done = 0
        self._second = False

    def play(self, attempt: Attempt) -> None:
        """From the first action to finish."""
        self._carm(attempt)
        self._begin(attempt)
        for _ in range(MOST_STEPS):
            if self._step(attempt):
                break
        if attempt.path is not None and attempt.path.inserted_mm > 0.0:
            self._last_act(attempt)
        attempt.act(Finish())

    def _carm(self, attempt: Attempt) -> None:
        if not {Sight.FLUOROSCOPY, Sight.BIPLANE} & set(attempt.scenario.sight) or not self.views:
            return
        self._planes = 2 if Sight.BIPLANE in attempt.scenario.sight and len(self.views) > 1 else 1
        for plane in range(self._planes):
            self._set_view(attempt, self.views[plane], plane)

    def _set_view(self, attempt: Attempt, view: ViewAngles, plane: int) -> None:
        """Turned until he takes it for right: the less sure, the more often."""
        while True:
            off = self._rng.normal(0.0, self.skill.view_deg / np.sqrt(2.0), 2)
            primary = float(np.clip(view.primary_deg + off[0], -180.0, 180.0))
            secondary = float(np.clip(view.secondary_deg + off[1], -90.0, 90.0))
            at = attempt.way.target_mm
            attempt.act(MoveCarm(primary, secondary, at, field_mm=self.skill.field_mm, plane=plane))
            self._think(attempt)
            attempt.act(Xray(plane=plane))
            if self._rng.uniform() >= 2.0 * self.skill.repeats:
                return

    def _think(self, attempt: Attempt) -> None:
        attempt.act(Wait(float(self._rng.gamma(4.0, self.skill.thinks_s / 4.0))))

    def _begin(self, attempt: Attempt) -> None:
        """The needle on the skin, about where the plan has it."""
        self._think(attempt)
        for left in range(MOST_PLACES, 0, -1):
            try:
                attempt.act(Place(*self._place(attempt)))
                break
            except InputError:  # beside the body, or along it: so he sees
                if left == 1:
                    raise

        if Sight.TRACKED in attempt.scenario.sight:
            self._align(attempt)

    def _align(self, attempt: Attempt) -> None:
        """The tracked line is seen before anything is pushed: tilted until he takes it for right."""
        skill = self.skill
        for _ in range(MOST_TILTS):
            path = attempt.path
            assert path is not None
            self._think(attempt)
            seen = path.tip_mm + self._rng.normal(0.0, skill.see_mm / np.sqrt(3.0), 3)
            to_go, miss = self._ahead(attempt, seen, path)
            if float(np.linalg.norm(miss)) <= skill.corrects_mm:
                return
            try:
                self._tilt(attempt, path, miss, to_go)
            except InputError:  # so flat on the skin that it would not go in: so he sees
                return

    def _place(self, attempt: Attempt) -> tuple[Point, Point]:
        way, skill = attempt.way, self.skill
        one, two = (np.asarray(axis) for axis in perpendicular_axes(way.direction))
        aside = self._rng.normal(0.0, skill.place_mm / np.sqrt(2.0), 2)
        turn = np.radians(self._rng.normal(0.0, skill.aim_deg / np.sqrt(2.0), 2))
        entry = np.asarray(way.entry_mm) + aside[0] * one + aside[1] * two
        aimed = np.asarray(way.target_mm) - entry
        aimed = aimed / np.linalg.norm(aimed) + np.tan(turn[0]) * one + np.tan(turn[1]) * two
        aimed = aimed / np.linalg.norm(aimed)
        return _triple(on_skin(attempt, entry, aimed)), _triple(aimed)

    def _step(self, attempt: Attempt) -> bool:
        """One push with what follows it; whether he thinks that he is there."""
        path, skill = attempt.path, self.skill
        assert path is not None
        self._think(attempt)
        seen = path.tip_mm
        if path.inserted_mm > 0.0:
            self._look(attempt)
            seen = path.tip_mm + self._rng.normal(0.0, skill.see_mm / np.sqrt(3.0), 3)
        to_go, miss = self._ahead(attempt, seen, path)
        there = max(0.5, abs(float(self._rng.normal(0.0, skill.depth_mm))))
        if to_go <= there:
            if self._missed(attempt, path, miss):
                self._back(attempt, path)
                return False
            if path.inserted_mm > 0.0 and to_go < -there:
                attempt.act(Advance(to_go))
            return True
        if self._planes == 1 and len(self.views) > 1 and not self._second and to_go <= CLOSE_MM:
            self._second = True  # one plane: its second view is for the depth
            if attempt.carm() is not None:
                self._set_view(attempt, self.views[1], 0)
        if self._again(attempt, path, miss, to_go):
            return False
        self._correct(attempt, path, miss, to_go)
        if attempt.scenario.breath is not None and self._rng.uniform() < skill.holds:
            attempt.act(HoldBreath())
        return self._push(attempt, to_go)

    def _push(self, attempt: Attempt, to_go: float) -> bool:
        """On by a step, or in small ones where the end is felt; whether he takes what he feels for the end."""
        skill, felt = self.skill, attempt.scenario.goal.kind is GoalKind.EPIDURAL
        if felt and to_go <= CLOSE_MM:
            for _ in range(int(np.ceil((to_go + FELT_MM) / skill.near_mm))):
                entry = attempt.act(Advance(skill.near_mm))
                path = attempt.path
                assert path is not None
                left, _ = self._ahead(attempt, path.tip_mm, path)
                lost = any(event.kind == "gives_way" and event.structure == EPIDURAL for event in entry.events)
                if any(event.kind in ("stopped", "hub") for event in entry.events):
                    return True
                if lost and abs(left) <= FELT_MM and self._rng.uniform() < skill.heeds:
                    return True
                if left < -0.5 * FELT_MM:
                    return True
            return True
        wish = min(skill.step_mm, to_go - CLOSE_MM + 1.0 if felt else to_go)
        wish = max(wish, 0.5) + abs(float(self._rng.normal(0.0, skill.depth_mm / 2.0)))
        entry = attempt.act(Advance(float(wish)))
        kinds = {event.kind for event in entry.events}
        if "hub" in kinds or "out" in kinds:
            return True
        if "stopped" in kinds:
            path = attempt.path
            assert path is not None
            left, _ = self._ahead(attempt, path.tip_mm, path)
            if left <= self._tolerated_mm(attempt) or self._again_done >= MOST_AGAIN:
                return True
            self._back(attempt, path)
        return False

    def _ahead(self, attempt: Attempt, seen: Vector, path: NeedlePath) -> tuple[float, Vector]:
        """How far he thinks it is to where the tip should stand, and by how much a straight push would miss (3,)."""
        way = attempt.way
        left = np.asarray(way.point_at_mm(way.tip_depth_mm)) - seen
        to_go = float(left @ path.direction)
        return to_go, np.asarray(left - to_go * path.direction)

    def _again(self, attempt: Attempt, path: NeedlePath, miss: Vector, to_go: float) -> bool:
        """Back where the way is lost."""
        lost = float(np.linalg.norm(miss)) > AGAIN_MM and path.inserted_mm >= SHALLOW_MM
        if not lost or to_go > 0.8 * attempt.way.tip_depth_mm or self._again_done >= MOST_AGAIN:
            return False
        self._back(attempt, path)
        return True

    def _missed(self, attempt: Attempt, path: NeedlePath, miss: Vector) -> bool:
        """Whether he takes the end for too far off to do there what he came for, and tries again."""
        off = float(np.linalg.norm(miss)) > self._tolerated_mm(attempt)
        return off and self._again_done < MOST_AGAIN

    def _tolerated_mm(self, attempt: Attempt) -> float:
        """A miss with which the goal can be met."""
        goal = attempt.scenario.goal
        return TOLERATED_MM if goal.kind is GoalKind.ABLATE else max(TOLERATED_MM, goal.within_mm)

    def _back(self, attempt: Attempt, path: NeedlePath) -> None:
        """Out and in anew, or back under the skin to be redirected."""
        self._again_done += 1
        if self._rng.uniform() < self.skill.anew or path.inserted_mm <= BACK_TO_MM:
            attempt.act(Advance(-path.inserted_mm - 1.0))
            self._begin(attempt)
        else:
            attempt.act(Advance(BACK_TO_MM - path.inserted_mm))

    def _correct(self, attempt: Attempt, path: NeedlePath, miss: Vector, to_go: float) -> None:
        if float(np.linalg.norm(miss)) <= self.skill.corrects_mm or to_go < 1.0 or path.inserted_mm <= 0.0:
            if path.inserted_mm > 0.0 and attempt.scenario.bend_mm_at_100 >= STEERS_MM:
                attempt.act(Turn(180.0))  # a bevel that is turned over at each step drives the needle straight
            return
        if path.inserted_mm < SHALLOW_MM:
            self._tilt(attempt, path, miss, to_go)
            return
        wanted = self._towards(miss)
        side = np.cross(path.direction, path.bevel)
        attempt.act(Turn(float(np.degrees(np.arctan2(wanted @ side, wanted @ path.bevel)))))

    def _towards(self, miss: Vector) -> Vector:
        """(3,) unit: where he takes the needle to be wanted."""
        sign = -1.0 if self._rng.uniform() < self.skill.misreads else 1.0
        return np.asarray(sign * miss / np.linalg.norm(miss))

    def _tilt(self, attempt: Attempt, path: NeedlePath, miss: Vector, to_go: float) -> None:
        wanted, off = self._towards(miss), float(np.linalg.norm(miss))
        share = float(np.exp(-path.inserted_mm / HELD_MM))
        gain = float(np.exp(self._rng.normal(0.0, self.skill.gain_sd)))
        angle = gain * float(np.degrees(np.arctan2(off, to_go + path.inserted_mm)) / share)
        attempt.act(Lever(_triple(np.cross(path.direction, wanted)), min(angle, 20.0)))

    def _look(self, attempt: Attempt) -> None:
        """A picture, and another one where he is not sure; two planes, or the second view near the end, where given."""
        sight = attempt.scenario.sight
        while True:
            if attempt.carm() is not None:
                plane = 2 if self._planes == 2 else 0
                if self._rng.uniform() < self.skill.screens:
                    attempt.act(Xray(self.skill.screen_s, PULSES_PER_S, plane))
                else:
                    attempt.act(Xray(plane=plane))
            elif Sight.CT_STEPS in sight:
                attempt.act(CtScan(self.skill.scan_mm))
            if self._rng.uniform() >= self.skill.repeats:
                return
            if Sight.TRACKED in sight:
                self._think(attempt)  # another look at the screen

    def _last_act(self, attempt: Attempt) -> None:
        goal = attempt.scenario.goal.kind
        if goal in (GoalKind.BLOCK, GoalKind.EPIDURAL):
            for _ in range(MOST_INJECTIONS):
                attempt.act(Inject(ML))
                self._look(attempt)
                pattern = attempt.spread.pattern if attempt.spread is not None else Pattern.OUTSIDE
                short = at_a_root(attempt.patient.situation.target.structure) and pattern is Pattern.SOFT_TISSUE
                wrong = short or pattern in (*UNSAFE, Pattern.OUTSIDE)
                if not wrong or self._rng.uniform() >= self.skill.heeds:
                    break
                attempt.act(Advance(MOVED_MM if short else -MOVED_MM))
                if attempt.path is None or attempt.path.inserted_mm <= 0.0:
                    return
        elif attempt.scenario.breath is not None and self._rng.uniform() < self.skill.holds:
            attempt.act(HoldBreath())
        attempt.act(Fire())


def on_skin(attempt: Attempt, entry: Vector, direction: Vector) -> Vector:
    """Where a line meets the patient's skin from outside, near an entry: the last place outside before the body, so far
    out that it is on the skin for sure."""
    steps = np.arange(-40.0, 41.0, 0.5)[:, None]
    points = entry + steps * direction
    inside = np.array([name != OUTSIDE for name in attempt.patient.tissues_at(points)])
    near = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
    first = int(near[np.argmin(np.abs(steps[near, 0]))]) if len(near) else len(steps) // 2
    return np.asarray(points[first])


def _triple(point: Vector) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
