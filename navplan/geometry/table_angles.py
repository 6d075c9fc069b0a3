"""Needle angles as they are set at the table: against the vertical, in the position that the patient lies in.

The axial plane is looked at from the patient's feet, up is up in the room. Supine, the patient's left is then on the
right of the observer; prone it is on the left; both follow from the direction of gravity and need no case of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.lines import unit

HEAD = np.array((0.0, 0.0, 1.0))
POSITION_WORDS: dict[str, str] = {
    "HFS": "supine, head first", "FFS": "supine, feet first", "HFP": "prone, head first", "FFP": "prone, feet first",
    "HFDR": "on the right side, head first", "FFDR": "on the right side, feet first",
    "HFDL": "on the left side, head first", "FFDL": "on the left side, feet first",
}  # fmt: skip
_SIDES = (("left", "right"), ("back", "front"), ("head", "feet"))  # towards +L, -L; +P, -P; +S, -S
_ALONG_BODY = 0.02  # a needle with less than this share across the body has no in-plane angle


def side_of_patient(direction: ArrayLike) -> str:
    """The side of the patient that a direction (3,) points to most: left, right, front, back, head or feet."""
    vector = unit(direction)
    axis = int(np.argmax(np.abs(vector)))
    return _SIDES[axis][0 if vector[axis] > 0 else 1]


@dataclass(frozen=True, eq=False)
class TableFrame:
    """The room around a patient: unit vectors (3,) in LPS. right: of an observer at the feet who looks to the head."""

    position: str
    up: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def right_side(self) -> str:
        """The side of the patient on the observer's right."""
        return side_of_patient(self.right)

    @property
    def left_side(self) -> str:
        """The side of the patient on the observer's left."""
        return side_of_patient(-self.right)


def table_frame(patient_position: str) -> TableFrame:
    """The frame of a DICOM Patient Position. Raises InputError for an unknown one."""
    if patient_position not in DOWN_BY_PATIENT_POSITION:
        raise InputError(f"patient position {patient_position!r}", " ".join(DOWN_BY_PATIENT_POSITION))
    up = -np.asarray(DOWN_BY_PATIENT_POSITION[patient_position], dtype=np.float64)
    return TableFrame(patient_position, up, np.asarray(np.cross(up, -HEAD)))


@dataclass(frozen=True)
class TableAngles:
    """How a needle is set: turn it in the axial plane first, then tilt it out of that plane.

    in_plane_deg: angle of its axial projection to the vertical, -180..180, positive when the hub leans to the right of
    an observer at the feet; beyond 90 the hub is below the entry's level. hub_side: the side of the patient that the
    hub leans to, "" where it is vertical. tilt_deg: angle between needle and axial plane, positive when the hub leans
    to the head. in_plane_known: False for a needle along the body.
    """

    in_plane_deg: float
    hub_side: str
    tilt_deg: float
    in_plane_known: bool = True

    @property
    def from_vertical_deg(self) -> float:
        """The in-plane angle without its sign, 0..180."""
        return abs(self.in_plane_deg)

    @property
    def tilt_side(self) -> str:
        """head or feet: where the hub is tilted to; "" where it stays in the axial plane."""
        return "" if round(abs(self.tilt_deg)) == 0 else "head" if self.tilt_deg > 0 else "feet"

    @property
    def in_plane_words(self) -> str:
        """For a person at the table."""
        if not self.in_plane_known:
            return "the needle runs along the body: no in-plane angle"
        if not self.hub_side:
            below = self.from_vertical_deg > 90
            return "vertical from below, hub straight down" if below else "vertical, hub straight up"
        below_words = ", hub BELOW the level of the entry" if self.from_vertical_deg > 90 else ""
        return f"hub towards the patient's {self.hub_side}, {self.from_vertical_deg:.0f}° from vertical{below_words}"

    @property
    def short_words(self) -> str:
        """For a narrow column: "left 54°, feet 28°"; the words above say what is meant."""
        if not self.in_plane_known:
            return "along the body"
        first = f"{self.hub_side} {self.from_vertical_deg:.0f}°" if self.hub_side else "vertical"
        first += " from below" if self.from_vertical_deg > 90 else ""
        return first + (f", {self.tilt_side} {abs(self.tilt_deg):.0f}°" if self.tilt_side else ", no tilt")

    @property
    def tilt_words(self) -> str:
        """For a person at the table."""
        if not self.tilt_side:
            return "no tilt: the whole needle in the scan plane"
        return f"hub tilted {abs(self.tilt_deg):.0f}° towards the {self.tilt_side}"


def table_angles(entry_mm: ArrayLike, target_mm: ArrayLike, patient_position: str) -> TableAngles:
    """The angles of a needle from entry to target (LPS mm) for a patient who lies in a DICOM Patient Position.

    Raises GeometryError when both points coincide, InputError for an unknown position.
    """
    frame = table_frame(patient_position)
    entry, target = np.asarray(entry_mm, dtype=np.float64), np.asarray(target_mm, dtype=np.float64)
    if entry.shape != (3,) or target.shape != (3,):
        raise GeometryError(f"entry of shape {entry.shape}, target of shape {target.shape}", "two LPS points (3,)")
    outward = unit(entry - target)
    sideways, upward = float(outward @ frame.right), float(outward @ frame.up)
    tilt = float(np.degrees(np.arcsin(np.clip(outward @ HEAD, -1.0, 1.0))))
    known = bool(np.hypot(sideways, upward) >= _ALONG_BODY)
    in_plane = float(np.degrees(np.arctan2(sideways, upward))) if known else 0.0
    upright = round(abs(in_plane)) in (0, 180) or not known
    side = "" if upright else frame.right_side if sideways > 0 else frame.left_side
    return TableAngles(in_plane, side, tilt, known)


def direction_words(offset_mm: ArrayLike, share: float = 0.40) -> str:
    """Where an offset (3,) in LPS points to in the patient: "towards head and left", most first; sides that carry
    less than `share` of it are left out. "" for no offset at all."""
    vector = np.asarray(offset_mm, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        return ""
    order = np.argsort(-np.abs(vector))
    named = [_SIDES[axis][0 if vector[axis] > 0 else 1] for axis in order if abs(vector[axis]) >= share * length]
    return f"towards the {named[0]}" if len(named) == 1 else f"towards {', '.join(named[:-1])} and {named[-1]}"
