"""What changes in the room from action to action, and what a hand feels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.geometry.lines import perpendicular_axes
from navplan.model.trajectory import Trajectory
from navplan.training.contrast import Spread
from navplan.training.factors import Passage
from navplan.training.feel import OUTSIDE, PRINTED, feel_of, gives_way
from navplan.training.log import Event
from navplan.training.needle_path import NeedlePath

Vector = NDArray[np.float64]


@dataclass
class Room:
    """What changes from action to action."""

    path: NeedlePath | None = None
    time_s: float = 0.0
    held_until_s: float = -1.0
    held_phase: float = 0.0
    ct_mgy_cm: float = 0.0
    table_mm: Vector = field(default_factory=lambda: np.zeros(3))  # by which the patient moved on it
    next_move_s: float = np.inf
    touched: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    looked_s: float = 0.0
    touched_s: float = 0.0
    spread: Spread | None = None
    spread_at: Vector | None = None
    hidden: bool = False
    passage: Passage = field(default_factory=Passage)


def felt(here: str, there: str) -> Event:
    """What a hand feels between two tissues."""
    if gives_way(here, there):
        return Event("gives_way", f"resistance is lost: {there}", there)
    if there == OUTSIDE:
        return Event("out", "the tip comes out of the body", there)
    return Event("entered", f"enters {there}", there, feel_of(there).puncture_n)


def stopped_on(tissue: str) -> Event:
    """The tip against what it cannot go into, a printed structure by its own name."""
    name = tissue.removeprefix(PRINTED)
    return Event("stopped", f"stops hard: {name}{' (printed)' if name != tissue else ''}", name)


def offered_at(
    way: Trajectory, off_mm: float, off_deg: float, rng: np.random.Generator
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Point and direction: where an assistant holds the needle at first: about the planned entry, along about the
    planned way."""
    one, two = perpendicular_axes(way.direction)
    aside, turn = rng.normal(0.0, off_mm / np.sqrt(2.0), 2), rng.normal(0.0, off_deg / np.sqrt(2.0), 2)
    axis = np.radians(turn[0]) * one + np.radians(turn[1]) * two
    direction = Rotation.from_rotvec(axis).apply(np.array(way.direction))
    return triple(np.asarray(way.entry_mm) + aside[0] * one + aside[1] * two), triple(direction)


def triple(point: Vector) -> tuple[float, float, float]:
    """Plain numbers of a point (3,)."""
    return float(point[0]), float(point[1]), float(point[2])
