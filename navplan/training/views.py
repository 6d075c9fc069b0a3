"""How good a C-arm view is: its angle to the wanted one, endplates squared, the pedicle in the eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.vertebra import VertebraFrame, vertebra_frame
from navplan.geometry.carm import ViewAngles
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import MOSTLY_INSIDE
from navplan.planning.situation import Situation

LATERAL_SHARE = 0.8  # of a wanted view that runs so far from side to side, either side is right
FAR_MM = 60.0  # from the target, where its vertebra is looked for
BEHIND_MM = (-14.0, -4.0)  # from the back of the body, where the pedicles lie (unsourced)
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SeenVertebra:
    """The vertebra that views are judged by. pedicles_mm: left and right (3,), None where the label shows none;
    half_wide_mm: of its body."""

    frame: VertebraFrame
    pedicles_mm: tuple[Vector | None, Vector | None]
    half_wide_mm: float


@dataclass(frozen=True)
class JudgedView:
    """off_deg: from the nearest wanted view (NaN: none is wanted); wanted: its number. endplates_deg: between the beam
    and the plane of the endplates' mean, 0 squared. pedicle_share: where in the body's half width, seen along the
    beam, the pedicle nearest to the needle lies: 0 in the middle (the eye of a Scottie dog), 1 at the edge. NaN: not
    known."""

    off_deg: float
    wanted: int
    endplates_deg: float
    pedicle_share: float


def judged(used: ViewAngles, wanted: Sequence[ViewAngles], seen: SeenVertebra | None, entry_mm: Vector) -> JudgedView:
    """One view. entry_mm (3,): of the planned needle, which says whose pedicle counts."""
    offs = [off_deg(used, one) for one in wanted]
    nearest = int(np.argmin(offs)) if offs else -1
    off = offs[nearest] if offs else float("nan")
    if seen is None:
        return JudgedView(off, nearest, float("nan"), float("nan"))
    beam, frame = used.toward_detector, seen.frame
    endplates = float(np.degrees(np.arcsin(np.clip(abs(beam @ frame.superior), 0.0, 1.0))))
    side = 0 if (np.asarray(entry_mm) - frame.centre_mm) @ frame.left >= 0.0 else 1
    pedicle, share = seen.pedicles_mm[side], float("nan")
    across = np.cross(beam, frame.superior)
    if pedicle is not None and np.linalg.norm(across) > 0.1:
        across = across / np.linalg.norm(across)
        share = float(abs((pedicle - frame.centre_mm) @ across)) / seen.half_wide_mm
    return JudgedView(off, nearest, endplates, share)


def off_deg(used: ViewAngles, wanted: ViewAngles) -> float:
    """Angle between two views' beams; a lateral view is right from either side."""
    one, other = used.toward_detector, wanted.toward_detector
    cosine = float(one @ other)
    if abs(float(other[0])) >= LATERAL_SHARE:
        cosine = abs(cosine)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def seen_vertebra(situation: Situation) -> SeenVertebra | None:
    """That of the level asked for, or the nearest labelled one to the target; None where none is near or whole."""
    near: dict[str, float] = {}
    for name, structure in situation.structures.items():
        if name.startswith("vertebrae_") and structure.presence is Presence.PRESENT and structure.grid is not None:
            near[name] = float(np.linalg.norm(structure.grid.corners_mm().mean(axis=0) - situation.target_mm))
    asked = f"vertebrae_{situation.level}"
    name = asked if asked in near else min(near, key=lambda one: near[one], default="")
    if not name or near[name] > FAR_MM:
        return None
    try:
        frame = vertebra_frame(situation.structures[name])
    except InputError:
        return None
    return _of_label(situation.structures[name], frame)


def _of_label(structure: Structure, frame: VertebraFrame) -> SeenVertebra:
    """The body's half width at its middle; pedicles, the middles of what lies behind the body beside the canal."""
    assert structure.grid is not None and structure.occupancy is not None
    points = structure.grid.points_mm(np.argwhere(structure.occupancy >= MOSTLY_INSIDE)) - frame.centre_mm
    left, front, up = points @ frame.left, points @ frame.anterior, points @ frame.superior
    middle = (np.abs(front) < 4.0) & (np.abs(up) < 4.0)
    half_wide = float(np.quantile(np.abs(left[middle]), 0.98)) if middle.any() else 20.0
    midline = np.abs(left) < 3.0
    body = midline & (np.abs(up) < 4.0)
    back = float(front[body & (front > -25.0)].min()) if (body & (front > -25.0)).any() else -15.0
    behind = (front > back + BEHIND_MM[0]) & (front < back + BEHIND_MM[1])
    found: list[Vector | None] = []
    for sign in (1.0, -1.0):
        here = behind & (sign * left > 4.0) & (sign * left < half_wide)
        found.append(points[here].mean(axis=0) + frame.centre_mm if here.sum() >= 5 else None)
    return SeenVertebra(frame, (found[0], found[1]), half_wide)
