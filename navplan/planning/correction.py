"""The needle half way in: how far off the plan it is, and what brings it to the target.

A needle is turned about where it stands in the tissue, so little that it follows: where the turn from its tip is small
it is only pushed on; else it is drawn back along itself until the turn is, and if need be out to the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import unit
from navplan.geometry.table_angles import side_of_patient
from navplan.model.trajectory import Trajectory

STRAIGHT_ON_MM = 2.0  # of the target, that a needle pushed straight on may pass (unsourced)
MOST_TURN_DEG = 5.0  # that a needle in tissue follows (unsourced)
STEP_MM = 0.5


@dataclass(frozen=True, eq=False)
class Correction:
    """off_mm: of the tip from the planned axis; short_mm: of the planned place of the tip, along the planned axis,
    negative: too deep; miss_mm: by which the needle, pushed straight on, would pass the target; withdraw_mm,
    turn_deg, advance_mm: in their order; turn_words: which way the tip turns; from_mm: (3,) LPS, where it turns."""

    off_mm: float
    short_mm: float
    turned_deg: float
    miss_mm: float
    withdraw_mm: float
    turn_deg: float
    turn_words: str
    advance_mm: float
    from_mm: NDArray[np.float64]

    @property
    def words(self) -> str:
        """ "withdraw 12 mm, turn the tip 4 deg to the head, then advance 31 mm" """
        steps = []
        if self.withdraw_mm >= 0.5:
            steps.append(f"withdraw {self.withdraw_mm:.0f} mm")
        if self.turn_deg > 0.0:
            steps.append(f"turn the tip {self.turn_words}")
        if self.advance_mm >= 0.5:
            steps.append(f"{'then ' if steps else ''}advance {self.advance_mm:.0f} mm")
        return ", ".join(steps) or "leave it where it is"

    @property
    def stands(self) -> str:
        """Where the needle is, against the plan."""
        depth = f"{abs(self.short_mm):.0f} mm {'short of' if self.short_mm >= 0 else 'beyond'} its planned place"
        return (
            f"the tip is {self.off_mm:.1f} mm off the planned axis and {depth}, turned by {self.turned_deg:.1f} deg;"
            f" straight on it would pass the target at {self.miss_mm:.1f} mm"
        )


def correction(
    way: Trajectory, tip_mm: NDArray[np.float64], direction: NDArray[np.float64], skin_mm: NDArray[np.float64]
) -> Correction:
    """What brings a needle (tip and unit direction hub to tip, LPS mm; skin_mm: where it goes in) to where the plan has
    its tip: at the target, or short of it before it fires."""
    target = np.asarray(way.target_mm)
    goal = target - way.tip_short_of_target_mm * way.direction
    inside_mm = max(float((tip_mm - skin_mm) @ direction), 0.0)
    off = (tip_mm - np.asarray(way.entry_mm)) - ((tip_mm - np.asarray(way.entry_mm)) @ way.direction) * way.direction
    left = target - tip_mm
    ahead = float(left @ direction)
    miss = float(np.linalg.norm(left - ahead * direction))
    told = {
        "off_mm": float(np.linalg.norm(off)), "short_mm": float((goal - tip_mm) @ way.direction),
        "turned_deg": _between_deg(direction, way.direction), "miss_mm": miss,
    }  # fmt: skip
    short = way.tip_short_of_target_mm
    if miss <= STRAIGHT_ON_MM:
        on = ahead - short
        back = max(-on, 0.0)
        return Correction(
            **told, withdraw_mm=back, turn_deg=0.0, turn_words="", advance_mm=max(on, 0.0), from_mm=tip_mm
        )
    for back in np.append(np.arange(0.0, inside_mm, STEP_MM), inside_mm):
        pivot = tip_mm - back * direction
        onward = target - pivot
        turn = _between_deg(direction, onward)
        if turn <= MOST_TURN_DEG and float(np.linalg.norm(onward)) > short:
            break
    new = unit(onward)
    return Correction(
        **told, withdraw_mm=float(back), turn_deg=turn, turn_words=turn_words(direction, new),
        advance_mm=float(np.linalg.norm(onward)) - short, from_mm=np.asarray(pivot),
    )  # fmt: skip


def _between_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(unit(one) @ unit(other), -1.0, 1.0))))


def turn_words(old: NDArray[np.float64], new: NDArray[np.float64]) -> str:
    """Which way a needle's tip turns: out of the axial plane, and within it, to whole degrees."""
    tilt = float(np.degrees(np.arcsin(np.clip(new[2], -1, 1)) - np.arcsin(np.clip(old[2], -1, 1))))
    flat = [np.array([one[0], one[1], 0.0]) for one in (old, new)]
    parts = []
    if round(abs(tilt)) > 0:
        parts.append(f"{abs(tilt):.0f} deg to the {'head' if tilt > 0 else 'feet'}")
    if min(np.linalg.norm(one) for one in flat) > 0.1:
        swing = _between_deg(*flat)
        if round(swing) > 0:
            side = side_of_patient(unit(flat[1]) - unit(flat[0]))
            parts.append(f"{swing:.0f} deg to the {side}")
    return " and ".join(parts) or f"{_between_deg(old, new):.1f} deg"
