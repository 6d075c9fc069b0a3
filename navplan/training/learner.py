"""A scripted learner: skill as noise and habits. It sees nothing but what a person would: pictures with an error, a
force, a depth; and does what a person does: place, push, look, turn, lever, begin again.

For tests of scenarios and metrics, and as an opponent on the learning curve. That it behaves like a person of that
skill is nobody's finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    Turn,
    Wait,
    Xray,
)
from navplan.training.attempt import Attempt
from navplan.training.needle_path import HELD_MM, NeedlePath

Vector = NDArray[np.float64]
SHALLOW_MM, MOST_STEPS = 30.0, 200


@dataclass(frozen=True)
class Skill:
    """Standard deviations: place_mm of the entry, aim_deg of the first direction, see_mm of the tip in a picture, view_deg
    of the C-arm, depth_mm of where he stops. step_mm: pushed between looks; looks: share of steps after which he does
    look; holds: share of pushes in a held breath; corrects_mm: the miss from which he corrects; again_mm: the miss from
    which he pulls back and begins anew; thinks_s: between steps."""

    place_mm: float
    aim_deg: float
    see_mm: float
    view_deg: float
    depth_mm: float
    step_mm: float
    looks: float
    holds: float
    corrects_mm: float
    again_mm: float
    thinks_s: float


EXPERT = Skill(1.0, 0.8, 0.6, 2.0, 0.5, 15.0, 1.0, 1.0, 1.0, 6.0, 2.0)
INTERMEDIATE = Skill(2.5, 2.5, 1.5, 6.0, 1.5, 15.0, 0.8, 0.8, 2.5, 8.0, 6.0)
NOVICE = Skill(5.0, 5.0, 3.0, 14.0, 4.0, 10.0, 0.6, 0.4, 5.0, 10.0, 14.0)
SKILLS = {"expert": EXPERT, "intermediate": INTERMEDIATE, "novice": NOVICE}


class ScriptedLearner:
    """Plays an attempt to its end. wanted_views: the C-arm views that he should use; seed: of his own noise."""

    def __init__(self, skill: Skill, seed: int, wanted_views: tuple[ViewAngles, ...] = ()) -> None:
        self.skill, self.views = skill, wanted_views
        self._rng = np.random.default_rng([seed, 2])

    def play(self, attempt: Attempt) -> None:
        """From the first action to finish."""
        self._carm(attempt)
        self._begin(attempt)
        for _ in range(MOST_STEPS):
            if self._step(attempt):
                break
        path = attempt.path
        if path is not None and path.inserted_mm > 0.0:
            if attempt.scenario.goal.kind in (GoalKind.BLOCK, GoalKind.EPIDURAL):
                self._look(attempt)
                attempt.act(Inject(1.0))
            attempt.act(Fire())
        attempt.act(Finish())

    def _carm(self, attempt: Attempt) -> None:
        for plane, view in enumerate(self.views[:2]):
            off = self._rng.normal(0.0, self.skill.view_deg / np.sqrt(2.0), 2)
            primary = float(np.clip(view.primary_deg + off[0], -180.0, 180.0))
            secondary = float(np.clip(view.secondary_deg + off[1], -90.0, 90.0))
            attempt.act(MoveCarm(primary, secondary, attempt.way.target_mm, plane=plane))

    def _begin(self, attempt: Attempt) -> None:
        """The needle on the skin, about where the plan has it."""
        way, skill = attempt.way, self.skill
        one, two = (np.asarray(axis) for axis in perpendicular_axes(way.direction))
        aside = self._rng.normal(0.0, skill.place_mm / np.sqrt(2.0), 2)
        turn = np.radians(self._rng.normal(0.0, skill.aim_deg / np.sqrt(2.0), 2))
        entry = np.asarray(way.entry_mm) + aside[0] * one + aside[1] * two
        aimed = np.asarray(way.target_mm) - entry
        aimed = aimed / np.linalg.norm(aimed) + np.tan(turn[0]) * one + np.tan(turn[1]) * two
        aimed = aimed / np.linalg.norm(aimed)
        attempt.act(Wait(skill.thinks_s))
        attempt.act(Place(_triple(_on_skin(attempt, entry, aimed)), _triple(aimed)))

    def _step(self, attempt: Attempt) -> bool:
        """One push with what follows it; whether he thinks that he is there."""
        path, skill = attempt.path, self.skill
        assert path is not None
        attempt.act(Wait(skill.thinks_s))
        seen = path.tip_mm
        if path.inserted_mm > 0.0 and self._rng.uniform() < skill.looks:
            self._look(attempt)
            seen = path.tip_mm + self._rng.normal(0.0, skill.see_mm / np.sqrt(3.0), 3)
        to_go, miss = self._ahead(attempt, path, seen)
        if to_go <= max(0.5, abs(self._rng.normal(0.0, skill.depth_mm))):
            return True
        if self._again(attempt, path, miss, to_go):
            return False
        self._correct(attempt, path, miss, to_go)
        if attempt.scenario.breath is not None and self._rng.uniform() < skill.holds:
            attempt.act(HoldBreath())
        wish = min(skill.step_mm, max(to_go, 0.5)) + abs(self._rng.normal(0.0, skill.depth_mm / 4))
        entry = attempt.act(Advance(float(wish)))
        return any(event.kind in ("stopped", "hub", "out") for event in entry.events)

    def _ahead(self, attempt: Attempt, path: NeedlePath, seen: Vector) -> tuple[float, Vector]:
        """How far he thinks it is to where the tip should stand, and by how much a straight push would miss (3,)."""
        way = attempt.way
        aim = np.asarray(way.point_at_mm(way.tip_depth_mm))
        left = aim - seen
        to_go = float(left @ path.direction)
        return to_go, np.asarray(left - to_go * path.direction)

    def _again(self, attempt: Attempt, path: NeedlePath, miss: Vector, to_go: float) -> bool:
        """Back to the skin where the way is lost."""
        off = float(np.linalg.norm(miss))
        if off <= self.skill.again_mm or path.inserted_mm < SHALLOW_MM or to_go > 0.8 * attempt.way.tip_depth_mm:
            return False
        if sum(entry.action["do"] == "place" for entry in attempt.log) >= 4:
            return False
        attempt.act(Advance(-path.inserted_mm - 1.0))
        self._begin(attempt)
        return True

    def _correct(self, attempt: Attempt, path: NeedlePath, miss: Vector, to_go: float) -> None:
        off = float(np.linalg.norm(miss))
        if off <= self.skill.corrects_mm or to_go < 1.0:
            if path.inserted_mm > 0.0:
                attempt.act(Turn(180.0))  # a bevel that is turned over at each step drives the needle straight
            return
        wanted = miss / off
        if path.inserted_mm < SHALLOW_MM:
            axis = np.cross(path.direction, wanted)
            share = float(np.exp(-path.inserted_mm / HELD_MM))
            angle = float(np.degrees(np.arctan2(off, to_go + path.inserted_mm)) / share)
            attempt.act(Lever(_triple(axis), min(angle, 20.0)))
            return
        side = np.cross(path.direction, path.bevel)
        angle = float(np.degrees(np.arctan2(wanted @ side, wanted @ path.bevel)))
        attempt.act(Turn(angle))

    def _look(self, attempt: Attempt) -> None:
        sight = attempt.scenario.sight
        if Sight.BIPLANE in sight and len(self.views) > 1:
            attempt.act(Xray(plane=2))
        elif (Sight.FLUOROSCOPY in sight or Sight.BIPLANE in sight) and self.views:
            attempt.act(Xray())
        elif Sight.CT_STEPS in sight:
            attempt.act(CtScan())


def _on_skin(attempt: Attempt, entry: Vector, direction: Vector) -> Vector:
    """Where a line meets the patient's skin from outside, near an entry."""
    steps = np.arange(-40.0, 41.0, 0.5)[:, None]
    points = entry + steps * direction
    inside = np.array([name != "outside" for name in attempt.patient.tissues_at(points)])
    first = int(np.argmax(inside)) if inside.any() else len(steps) // 2
    return np.asarray(points[first])


def _triple(point: Vector) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
