"""What a learner's hand asks for in the page, as actions of an attempt: a needle set by a click, tilted by an arrow
key, a C-arm turned by its dials, a table moved under it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import DETECTOR_SIDE_MM
from navplan.geometry.carm import Detector, ViewAngles, dial_from_patient, dial_words, patient_from_dial, view_words
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.lines import unit
from navplan.geometry.table_angles import HEAD, table_frame
from navplan.session.asked import length_of, point_of
from navplan.training.actions import Lever, MoveCarm, Place
from navplan.training.feel import OUTSIDE
from navplan.training.patient import SimulatedPatient

SKIN_WITHIN_MM, SKIN_STEP_MM = 60.0, 0.5  # of a click, along the needle
SIZE_PX = 512  # a side of a fluoroscopic picture
TILTS = ("clockwise", "anticlockwise", "head", "feet")
LEAST_ZOOM_MM, LEAST_FIELD_MM = 100.0, 50.0
MOST_TABLE_MM = 300.0


def placed_at(patient: SimulatedPatient, point_mm: ArrayLike, direction: ArrayLike) -> Place:
    """The needle on the skin that is nearest to a point (3,) along a direction (3,). Raises InputError where there is
    no skin near."""
    along, point = unit(direction), np.asarray(point_mm, dtype=np.float64)
    steps = np.arange(-SKIN_WITHIN_MM, SKIN_WITHIN_MM + SKIN_STEP_MM, SKIN_STEP_MM)
    inside = np.array([name != OUTSIDE for name in patient.tissues_at(point + steps[:, None] * along)])
    enters = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
    if not len(enters):
        raise InputError(f"no skin within {SKIN_WITHIN_MM:g} mm of there along the needle", "a point on the skin")
    nearest = int(enters[np.argmin(np.abs(steps[enters]))])
    return Place(_triple(point + steps[nearest] * along), _triple(along))


def tilted(direction: ArrayLike, towards: Any, deg: Any) -> Lever:
    """The hub tilted towards the head or the feet, or, in an axial picture, clockwise or anticlockwise.

    direction: (3,) of the needle, LPS. In an axial picture left of the patient is at the right and his front up, so
    that clockwise is a turn about the head's direction. Raises InputError for another way to tilt, and for a needle
    along the body, which has no hub towards the head.
    """
    if towards not in TILTS:
        raise InputError(f"a needle tilted {str(towards)[:40]!a}", ", ".join(TILTS))
    angle = length_of(deg, "degrees to tilt by")
    if towards in ("clockwise", "anticlockwise"):
        return Lever(_triple(HEAD), angle if towards == "clockwise" else -angle)
    axis = np.cross(-unit(direction), HEAD)
    if np.linalg.norm(axis) < 1e-3:
        raise InputError("a needle along the body tilted to head or feet", "clockwise or anticlockwise")
    return Lever(_triple(unit(axis)), angle if towards == "head" else -angle)


def machine_of(standing: MoveCarm) -> Machine:
    """The machine as a plane of it is set; `MoveCarm` has the field on the panel, a machine at the isocentre."""
    base = Machine()
    detector = Detector(SIZE_PX, SIZE_PX, (standing.zoom_mm or DETECTOR_SIDE_MM) / SIZE_PX)
    side = base.carm.at_isocentre_mm(min(standing.field_mm, standing.zoom_mm or DETECTOR_SIDE_MM))
    return Machine(base.carm, detector, field_mm=(side, side) if standing.field_mm else None)


def steered(standing: MoveCarm, position: str, asked: dict[str, Any]) -> MoveCarm:
    """The C-arm after what was asked of it: `dial` [primary, secondary] degrees as the machine shows them, or `turn` by
    such; `table` [to the right of who looks from the feet, to the head, up] mm by which the patient is moved; `field`
    and `zoom` mm of the panel. position: DICOM code of the patient's. Raises InputError beyond the arm's reach."""
    unknown = set(asked) - {"dial", "turn", "table", "field", "zoom", "plane"}
    if unknown:
        raise InputError(f"a C-arm with {', '.join(sorted(unknown))[:80]}", "dial, turn, table, field, zoom")
    machine = Machine()
    now = dial_of(standing, position)
    dial = now
    if asked.get("dial") is not None:
        dial = ViewAngles(*_pair(asked["dial"], "the dials"))
    if asked.get("turn") is not None:
        by = _pair(asked["turn"], "a turn")
        dial = ViewAngles(now.primary_deg + by[0], float(np.clip(now.secondary_deg + by[1], -90.0, 90.0)))
    if not machine.carm.reaches(dial) and dial != now:
        (low, high), (caudal, cranial) = machine.carm.primary_reach_deg, machine.carm.secondary_reach_deg
        raise InputError(
            f"{dial_words(dial)}, beyond the arm's reach",
            f"RAO {-low:g} to LAO {high:g}, CAU {-caudal:g} to CRA {cranial:g}",
        )
    angles = patient_from_dial(dial, position) if position else dial
    isocentre = np.asarray(standing.isocentre_mm)
    if asked.get("table") is not None:
        moved = point_of(asked["table"], "the table's way")
        assert moved is not None
        if max(map(abs, moved)) > MOST_TABLE_MM:
            raise InputError(f"a table moved by {moved} mm", f"at most {MOST_TABLE_MM:g} mm at once")
        isocentre = isocentre - table_axes(position).T @ np.asarray(moved)
    field, zoom = (
        length_of(asked.get(key, getattr(standing, f"{key}_mm")), key) for key in ("field", "zoom")
    )
    if not (field == 0.0 or LEAST_FIELD_MM <= field <= DETECTOR_SIDE_MM) or not (
        zoom == 0.0 or LEAST_ZOOM_MM <= zoom <= DETECTOR_SIDE_MM
    ):
        expected = f"0 (open) or {LEAST_FIELD_MM:g} to {DETECTOR_SIDE_MM:g}; 0 or {LEAST_ZOOM_MM:g} to the same"
        raise InputError(f"a field of {field:g} mm, {zoom:g} mm of the panel", expected)
    return MoveCarm(angles.primary_deg, angles.secondary_deg, _triple(isocentre), field, zoom, plane=standing.plane)


def dial_of(standing: MoveCarm, position: str) -> ViewAngles:
    """What the machine shows, degrees; the patient's own angles where the position is not stated."""
    angles = ViewAngles(standing.primary_deg, standing.secondary_deg)
    return dial_from_patient(angles, position) if position else angles


def carm_words(standing: MoveCarm, position: str) -> tuple[str, str]:
    """What the view is called, by the patient's sides, and what the dials read."""
    angles = ViewAngles(standing.primary_deg, standing.secondary_deg)
    return view_words(angles, position), dial_words(dial_of(standing, position)) if position else ""


def table_axes(position: str) -> NDArray[np.float64]:
    """(3, 3), a row each: the right of who stands at the feet and looks to the head, the head, and up; LPS. Supine
    where the position is not stated."""
    frame = table_frame(position if position in DOWN_BY_PATIENT_POSITION else "HFS")
    return np.stack([frame.right, HEAD, frame.up])


def _pair(value: Any, what: str) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InputError(f"{what}: {str(value)[:40]!a}", "two numbers, degrees")
    return length_of(value[0], what), length_of(value[1], what)


def _triple(point: ArrayLike) -> tuple[float, float, float]:
    x, y, z = np.asarray(point, dtype=np.float64).tolist()
    return x, y, z
