"""Views that procedures ask for: of a vertebra by its own axes, or by the patient's; the obliques are data."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError
from navplan.fluoroscopy.vertebra import WEDGE_TOLD_DEG, VertebraFrame
from navplan.fluoroscopy.view_finder import FoundView, offered, untilted
from navplan.geometry.carm import CArm, ViewAngles, angles_of, frontal

SIDES = {"left": 1.0, "right": -1.0}


@dataclass(frozen=True)
class Oblique:
    """A row of tables/views.toml. of: structures, any of which a view by the patient's axes is about."""

    name: str
    of_vertebra: bool
    oblique_deg: float
    same_side: bool
    cranial_deg: float
    why: str
    purpose: str
    source: str
    of: tuple[str, ...]


@cache
def obliques() -> Mapping[str, Oblique]:
    """By name."""
    text = files("navplan.fluoroscopy").joinpath("tables/views.toml").read_text("utf-8")
    return {
        name: Oblique(
            name, row["frame"] == "vertebra", row["oblique_deg"], row["same_side"], row["cranial_deg"], row["why"],
            row["purpose"], row["source"], tuple(row.get("of", ())),
        )
        for name, row in tomllib.loads(text).items()
    }  # fmt: skip


def views_of(of_vertebra: bool) -> tuple[str, ...]:
    """The names that `vertebra_view` (or `patient_view`) knows."""
    sided = (f"{name} {side}" for name, row in obliques().items() if row.of_vertebra is of_vertebra for side in SIDES)
    return ("AP", "lateral", *sided) if of_vertebra else tuple(sided)


def vertebra_view(name: str, frame: VertebraFrame, patient_position: str = "", carm: CArm | None = None) -> FoundView:
    """A view of a vertebra: one of views_of(True). Left and right are the patient's: the side looked at, or the
    needle's.

    A Scottie dog of the left side is seen along the line from the left back to the right front, so a detector above
    stands at the left back of a prone and at the right front of a supine patient; a contralateral oblique for a needle
    on the left along the other line. Raises ChoiceError for another name.
    """
    machine = carm or CArm()
    behind = bool(frontal(patient_position).toward_detector @ frame.anterior < 0.0)
    toward = -frame.anterior if behind else frame.anterior
    squared = "the beam runs along both endplates"
    if frame.endplates_deg > WEDGE_TOLD_DEG:
        squared = f"the endplates, {frame.endplates_deg:.0f} degrees apart in the label, are squared on average"
    if name == "AP":
        why = f"{squared}, the spinous process in the middle"
        return offered(name, [toward], why, patient_position, machine)
    if name == "lateral":
        why = f"{squared}, both sides over each other"
        found = offered(name, [frame.left, -frame.left], why, patient_position, machine)
        ideal = max((angles_of(d) for d in (frame.left, -frame.left)), key=_near(found))
        return untilted(found, ideal, machine)
    row, side = _row(name, True)
    axes = np.stack([toward, frame.left, frame.superior])
    d = _direction(row, side, axes, behind)
    tilt = squared if row.cranial_deg == 0.0 else f"{_tilt(row, behind)} from squared endplates"
    why = f"{row.oblique_deg:g} degrees from AP, {tilt}, {row.why}"
    return offered(name, [d], why, patient_position, machine)


def _near(found: FoundView) -> Callable[[ViewAngles], float]:
    """How near an ideal is to what was found."""
    return lambda angles: float(angles.toward_detector @ found.angles.toward_detector)


def patient_view(name: str, patient_position: str = "", carm: CArm | None = None) -> FoundView:
    """A view by the patient's own axes: one of views_of(False). Raises ChoiceError for another name."""
    row, side = _row(name, False)
    toward = frontal(patient_position).toward_detector
    axes = np.stack([toward, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    d = _direction(row, side, axes, bool(toward[1] > 0.0))
    tilt = f" and {_tilt(row, bool(toward[1] > 0.0))}" if row.cranial_deg else ""
    return offered(name, [d], f"{row.oblique_deg:g} degrees from AP{tilt}: {row.why}", patient_position, carm or CArm())


def _tilt(row: Oblique, behind: bool) -> str:
    """Of a detector above: from the front the same line tilts the other way."""
    cranial = (row.cranial_deg > 0.0) is behind
    return f"{abs(row.cranial_deg):g} degrees {'cranial' if cranial else 'caudal'}"


def _row(name: str, of_vertebra: bool) -> tuple[Oblique, float]:
    kind, _, side = name.rpartition(" ")
    found = obliques().get(kind)
    if side not in SIDES or found is None or found.of_vertebra is not of_vertebra:
        raise ChoiceError(f"view {name!r}", ", ".join(views_of(of_vertebra)))
    return found, SIDES[side]


def _direction(row: Oblique, side: float, axes: NDArray[np.float64], behind: bool) -> NDArray[np.float64]:
    """axes: towards a detector above, left, superior. From behind, the side asked for is nearer to the detector when it
    turns to that side; from the front, the same line is seen from its other end."""
    turn, tilt = np.radians(row.oblique_deg), np.radians(row.cranial_deg)
    aside = side * (1.0 if row.same_side else -1.0) * (1.0 if behind else -1.0)
    flat = np.cos(turn) * axes[0] + np.sin(turn) * aside * axes[1]
    along = np.sin(tilt) * axes[2] * (1.0 if behind else -1.0)
    return np.asarray(np.cos(tilt) * flat + along)
