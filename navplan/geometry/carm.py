"""C-arm geometry: where tube and detector stand, and what a view is called.

Patient angles p (DICOM XA, PS3.3 C.8.7.5.1.2) say where the DETECTOR is about the PATIENT: primary 0 in front of the
patient, +90 at the patient's left (LAO), secondary + towards the head (CRA). Dial angles m are what the machine shows
with the patient in some position: those of a supine, head-first patient in the same place. Reach is tested on m only.
What the two dials of an arm turn, and in which order, is the arm's `Kinematics`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.lines import unit

ROUNDING_DEG = 1e-6
POSITIONS_WITH_A_DIAL = ("HFS", "HFP", "FFS", "FFP")
EXAMPLES_OF_VIEWS = 'AP, PA, lateral, right lateral, "LAO 30 CRA 15", "RAO 20", "AP CAU 10", "dial RAO 30", bullseye'


class Kinematics(StrEnum):
    """What turns inside what, from the floor to the detector.

    ANGIOGRAPHY: the rotation (primary, about the patient's long axis) carries the angulation (secondary): the dial
    reads as DICOM's angles do. MOBILE: an arm beside the table tilts about the patient's left-right axis (secondary,
    t), and the C orbits inside (primary, o): d = (sin o, -cos o cos t, cos o sin t), and its image turns with it.
    """

    ANGIOGRAPHY = "rotation, then angulation"
    MOBILE = "tilt, then orbit"


def wrap_deg(angle_deg: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - angle_deg) % 360.0


@dataclass(frozen=True)
class ViewAngles:
    """Primary and secondary angle, degrees: patient angles p unless the name says dial. Primary wraps to (-180, 180].

    Raises GeometryError when not finite, or when the secondary angle is beyond +-90.
    """

    primary_deg: float
    secondary_deg: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.primary_deg, self.secondary_deg]).all() or abs(self.secondary_deg) > 90.0:
            raise GeometryError(
                f"view angles {self.primary_deg} / {self.secondary_deg}", "finite, secondary within 90 degrees"
            )
        object.__setattr__(self, "primary_deg", wrap_deg(float(self.primary_deg)))
        object.__setattr__(self, "secondary_deg", float(self.secondary_deg))

    @property
    def toward_detector(self) -> NDArray[np.float64]:
        """(3,) unit vector in LPS from the isocentre to the detector: d = (sin a cos b, -cos a cos b, sin b)."""
        a, b = np.radians([self.primary_deg, self.secondary_deg])
        return np.array([np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)])

    @property
    def columns(self) -> NDArray[np.float64]:
        """(3,) unit vector in LPS along which the image's columns count up (to the right): u = (cos a, sin a, 0)."""
        a = np.radians(self.primary_deg)
        return np.array([np.cos(a), np.sin(a), 0.0])

    @property
    def up(self) -> NDArray[np.float64]:
        """(3,) unit vector in LPS to the image's top: v = (-sin a sin b, cos a sin b, cos b); rows run along -v."""
        a, b = np.radians([self.primary_deg, self.secondary_deg])
        return np.array([-np.sin(a) * np.sin(b), np.cos(a) * np.sin(b), np.cos(b)])


def _position_with_a_dial(patient_position: str) -> str:
    if patient_position in POSITIONS_WITH_A_DIAL:
        return patient_position
    decubitus = patient_position in DOWN_BY_PATIENT_POSITION
    raise InputError(
        f"patient position {patient_position!r}" + (" (decubitus)" if decubitus else ""),
        " ".join(POSITIONS_WITH_A_DIAL),
        "C-arm angles of a patient lying on the side are not computed" if decubitus else "State the patient position",
    )


# The patient's axes on the table of a supine, head-first patient.
_ON_THE_TABLE = {"HFS": (1, 1, 1), "HFP": (-1, -1, 1), "FFS": (-1, 1, -1), "FFP": (1, -1, -1)}


def on_the_table(vectors: ArrayLike, patient_position: str) -> NDArray[np.float64]:
    """Directions (..., 3), LPS of a patient in some position, in the LPS axes of a supine, head-first patient in the
    same place; its own inverse. Raises InputError for a decubitus or unstated position."""
    return np.asarray(vectors, dtype=np.float64) * _ON_THE_TABLE[_position_with_a_dial(patient_position)]


def angles_of(toward_detector: ArrayLike) -> ViewAngles:
    """The angles of a direction (3,) from the isocentre to the detector. Raises GeometryError for zero length."""
    d = unit(toward_detector)
    flat = float(np.hypot(d[0], d[1]))
    primary = float(np.degrees(np.arctan2(d[0], -d[1]))) if flat > 1e-9 else 0.0
    return ViewAngles(primary, float(np.degrees(np.arctan2(d[2], flat))))


def _orbit_and_tilt(d: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a mobile arm, the tilt within 90 degrees; a detector below the table is behind an orbit of more than 90."""
    in_plane = np.hypot(d[..., 1], d[..., 2])
    orbit = np.degrees(np.arctan2(d[..., 0], in_plane))
    tilt = np.where(in_plane > 1e-9, np.degrees(np.arctan2(d[..., 2], -d[..., 1])), 0.0)
    behind = np.abs(tilt) > 90.0
    turned = np.where(orbit < 0.0, -180.0 - orbit, 180.0 - orbit)  # within 180
    return np.where(behind, turned, orbit), np.where(behind, tilt - np.copysign(180.0, tilt), tilt)


def dial_from_patient(
    angles: ViewAngles, patient_position: str, kinematics: Kinematics = Kinematics.ANGIOGRAPHY
) -> ViewAngles:
    """Dial angles m of patient angles p. Raises InputError for a decubitus or unstated position.

    Of an angiography system: HFS (a, b); HFP (a - 180, b); FFS (-a, -b); FFP (180 - a, -b). Of a mobile arm: orbit and
    tilt of the same direction on the table.
    """
    a, b = angles.primary_deg, angles.secondary_deg
    dial = {
        "HFS": ViewAngles(a, b), "HFP": ViewAngles(a - 180.0, b),
        "FFS": ViewAngles(-a, -b), "FFP": ViewAngles(180.0 - a, -b),
    }[_position_with_a_dial(patient_position)]  # fmt: skip
    if kinematics is Kinematics.ANGIOGRAPHY:
        return dial
    orbit, tilt = _orbit_and_tilt(dial.toward_detector)
    return ViewAngles(float(orbit), float(tilt))


def patient_from_dial(
    dial: ViewAngles, patient_position: str, kinematics: Kinematics = Kinematics.ANGIOGRAPHY
) -> ViewAngles:
    """Patient angles p of dial angles m: each of the four maps, after wrapping, is its own inverse."""
    if kinematics is Kinematics.MOBILE:
        dial = angles_of(_arm_axes(dial)[2])
    return dial_from_patient(dial, patient_position)


def _arm_axes(dial: ViewAngles) -> NDArray[np.float64]:
    """(3, 3) of a mobile arm at orbit and tilt: columns and up of its image, and the direction to its detector."""
    o, t = np.radians([dial.primary_deg, dial.secondary_deg])
    return np.array([
        [np.cos(o), np.sin(o) * np.cos(t), -np.sin(o) * np.sin(t)],
        [0.0, np.sin(t), np.cos(t)],
        [np.sin(o), -np.cos(o) * np.cos(t), np.cos(o) * np.sin(t)],
    ])  # fmt: skip


def toward_of_dials(
    primary_deg: ArrayLike, secondary_deg: ArrayLike, patient_position: str, carm: CArm
) -> NDArray[np.float64]:
    """(..., 3) directions to the detector, LPS, of dial angles of any shapes that broadcast."""
    first, second = np.radians(primary_deg), np.radians(secondary_deg)
    if carm.kinematics is Kinematics.ANGIOGRAPHY:
        parts = (np.sin(first) * np.cos(second), -np.cos(first) * np.cos(second), np.sin(second) + 0.0 * first)
    else:
        parts = (np.sin(first) + 0.0 * second, -np.cos(first) * np.cos(second), np.cos(first) * np.sin(second))
    return on_the_table(np.stack(np.broadcast_arrays(*parts), axis=-1), patient_position)


def dials_of(
    toward_detector: ArrayLike, patient_position: str, carm: CArm
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Primary and secondary dial angle (...) of directions (..., 3) to the detector, LPS: undoes `toward_of_dials`."""
    d = on_the_table(toward_detector, patient_position)
    if carm.kinematics is Kinematics.MOBILE:
        return _orbit_and_tilt(d)
    flat = np.hypot(d[..., 0], d[..., 1])
    primary = np.where(flat > 1e-9, np.degrees(np.arctan2(d[..., 0], -d[..., 1])), 0.0)
    return primary, np.degrees(np.arctan2(d[..., 2], flat))


def frontal(patient_position: str = "") -> ViewAngles:
    """ "AP": frontal with the detector ABOVE the patient. Supine or unstated p = (0, 0), prone p = (180, 0)."""
    prone = bool(patient_position) and _position_with_a_dial(patient_position).endswith("P")
    return ViewAngles(180.0 if prone else 0.0, 0.0)


def bullseye(direction: ArrayLike, detector_on_entry_side: bool = True) -> ViewAngles:
    """The view down a needle, in which it is a dot. direction (3,): from skin to target, LPS.

    d = -n with the detector on the entry side, else n; b = asin(d_z), a = atan2(d_x, -d_y).
    Raises GeometryError for a direction of zero length.
    """
    needle = unit(direction)
    return angles_of(-needle if detector_on_entry_side else needle)


@dataclass(frozen=True)
class Table:
    """The patient's table, mm: its top's width and thickness with the mattress, how far under the isocentre its upper
    face can stand (a floor-mounted arm moves the table, a mobile one itself: it is the same), and how far to each side
    its middle can be moved. The default is an assumption, not a device's."""

    wide_mm: float = 450.0
    thick_mm: float = 100.0
    below_isocentre_mm: tuple[float, float] = (0.0, 300.0)
    aside_mm: float = 140.0

    def __post_init__(self) -> None:
        numbers = (self.wide_mm, self.thick_mm, self.aside_mm, *self.below_isocentre_mm)
        right = len(numbers) == 5 and np.isfinite(numbers).all() and min(numbers[:3]) >= 0.0
        if not right or self.below_isocentre_mm[0] > self.below_isocentre_mm[1]:
            raise GeometryError(f"a table of {numbers}", "finite, nothing negative, lower before upper")


@dataclass(frozen=True)
class CArm:
    """A C-arm: distances in mm, and the dial angles that it reaches in degrees.

    sid_mm: source to detector; sod_mm: source to isocentre. primary and secondary: what the arm's kinematics call so.
    panel_mm, tube_mm: the housings that may meet the patient, a square panel's side and the radius of a ball about the
    focus; table: what the patient lies on. The default is a cautious assumption, not a device's.
    """

    sid_mm: float = 1200.0
    sod_mm: float = 800.0
    primary_reach_deg: tuple[float, float] = (-110.0, 110.0)
    secondary_reach_deg: tuple[float, float] = (-45.0, 45.0)
    name: str = "generic C-arm"
    source: str = "assumed, not a device's data sheet"
    kinematics: Kinematics = Kinematics.ANGIOGRAPHY
    panel_mm: float = 420.0
    tube_mm: float = 200.0
    table: Table = Table()

    def __post_init__(self) -> None:
        if not (np.isfinite([self.sid_mm, self.sod_mm]).all() and 0.0 < self.sod_mm < self.sid_mm):
            raise GeometryError(f"SID {self.sid_mm} mm, SOD {self.sod_mm} mm", "0 < SOD < SID")
        reach = (*self.primary_reach_deg, *self.secondary_reach_deg, self.panel_mm, self.tube_mm)
        rising = -180.0 <= reach[0] <= reach[1] <= 180.0 and -90.0 <= reach[2] <= reach[3] <= 90.0
        if not np.isfinite(reach).all() or len(reach) != 6 or not rising or min(reach[4:]) < 0.0:
            raise GeometryError(
                f"C-arm {self.name!r} with reach and housings {reach}",
                "finite, lower before upper, primary within 180 and secondary within 90 degrees, no negative housing",
            )

    def dial(self, angles: ViewAngles, patient_position: str) -> ViewAngles:
        """Dial angles m of patient angles p on this arm. Raises InputError for a decubitus or unstated position."""
        return dial_from_patient(angles, patient_position, self.kinematics)

    def at_isocentre_mm(self, on_panel_mm: float) -> float:
        """A length on the panel as it is in the plane through the isocentre: smaller by SOD / SID."""
        return on_panel_mm * self.sod_mm / self.sid_mm

    def beyond_deg(self, primary_deg: ArrayLike, secondary_deg: ArrayLike) -> NDArray[np.float64]:
        """How far DIAL angles (...) are out of reach, degrees, by the worse of the two: 0 within it, to rounding."""
        (low, high), (caudal, cranial) = self.primary_reach_deg, self.secondary_reach_deg
        first, second = np.asarray(primary_deg, dtype=np.float64), np.asarray(secondary_deg, dtype=np.float64)
        beyond = np.maximum(np.maximum(low - first, first - high), np.maximum(caudal - second, second - cranial))
        return np.where(beyond > ROUNDING_DEG, beyond, 0.0)

    def reaches(self, dial: ViewAngles) -> bool:
        """Whether both DIAL angles (never patient angles) are within reach."""
        return not self.beyond_deg(dial.primary_deg, dial.secondary_deg)


@dataclass(frozen=True)
class Detector:
    """rows x cols square pixels, pixel_mm from centre to centre; the detector's middle is the middle of the image."""

    rows: int = 512
    cols: int = 512
    pixel_mm: float = 0.6

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= 8192 and 1 <= self.cols <= 8192 and 0.001 <= self.pixel_mm <= 100.0):
            raise GeometryError(
                f"a detector of {self.rows} x {self.cols} pixels of {self.pixel_mm} mm",
                "1-8192 rows and columns, pixels of 0.001-100 mm",
            )


@dataclass(frozen=True, eq=False)
class Beam:
    """A cone beam: source, detector centre, the detector's directions (columns to the right, up to the top); LPS mm.

    Raises GeometryError when not finite, the directions are not orthonormal, or the source is in the detector's plane.
    """

    source_mm: NDArray[np.float64]
    detector_centre_mm: NDArray[np.float64]
    columns: NDArray[np.float64]
    up: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("source_mm", "detector_centre_mm", "columns", "up"):
            vector = np.array(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise GeometryError(f"{name} {vector.tolist()}", "three finite LPS coordinates")
            vector.flags.writeable = False
            object.__setattr__(self, name, vector)
        axes = np.stack([self.columns, self.up])
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-6) or abs(self.distance_mm) < 1.0:
            raise GeometryError(
                "a beam whose detector is skewed or holds the source", "orthonormal directions, source off the detector"
            )

    @staticmethod
    def of(angles: ViewAngles, isocentre_mm: ArrayLike, carm: CArm, patient_position: str = "") -> Beam:
        """The beam of patient angles p about an isocentre (3,): source = I - SOD d, detector = I + (SID - SOD) d.

        The picture of a mobile arm turns with it; then the patient's position counts (head-first supine where it is not
        stated), and of a feet-first patient the picture is turned round, so that the head is up.
        """
        isocentre, d = np.asarray(isocentre_mm, dtype=np.float64), angles.toward_detector
        columns, up = angles.columns, angles.up
        if carm.kinematics is Kinematics.MOBILE:
            position = patient_position or "HFS"
            columns, up, _ = on_the_table(_arm_axes(carm.dial(angles, position)), position)
            if position.startswith("FF"):
                columns, up = -columns, -up
        return Beam(isocentre - carm.sod_mm * d, isocentre + (carm.sid_mm - carm.sod_mm) * d, columns, up)

    @property
    def distance_mm(self) -> float:
        """Source to detector plane, positive along the normal columns x up."""
        return float((self.detector_centre_mm - self.source_mm) @ np.cross(self.columns, self.up))

    def pixels_mm(self, column: ArrayLike, row: ArrayLike, detector: Detector) -> NDArray[np.float64]:
        """LPS points (..., 3) of continuous pixel indices (whole numbers are pixel centres)."""
        right = (np.asarray(column, dtype=np.float64) - (detector.cols - 1) / 2) * detector.pixel_mm
        down = (np.asarray(row, dtype=np.float64) - (detector.rows - 1) / 2) * detector.pixel_mm
        return np.asarray(self.detector_centre_mm + right[..., None] * self.columns - down[..., None] * self.up)

    def project(self, points_mm: ArrayLike, detector: Detector) -> NDArray[np.float64]:
        """Continuous pixel indices (..., 2), column then row, of LPS points (..., 3); NaN at or behind the source."""
        offset = np.asarray(points_mm, dtype=np.float64) - self.source_mm
        depth = offset @ np.cross(self.columns, self.up) / self.distance_mm
        scale = 1.0 / np.where(depth > 1e-6, depth, np.nan)
        on_plane = self.source_mm + offset * scale[..., None] - self.detector_centre_mm
        column = on_plane @ self.columns / detector.pixel_mm + (detector.cols - 1) / 2
        row = -(on_plane @ self.up) / detector.pixel_mm + (detector.rows - 1) / 2
        return np.stack([column, row], axis=-1)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def view_words(angles: ViewAngles, patient_position: str = "") -> str:
    """What patient angles are called, to 0.1 degree: "AP", "left lateral", "LAO 30 / CRA 15", "LPO 20", "PA / CAU 10".

    LPO and RPO: the detector at the patient's left or right back. `parse_view` reads every one of these back.
    """
    a, b = wrap_deg(round(angles.primary_deg, 1)), round(angles.secondary_deg, 1)
    above = frontal(patient_position).primary_deg
    if a in (0.0, 180.0):
        first = "AP" if a == above else "PA"
    elif abs(a) == 90.0 and b == 0.0:
        first = "left lateral" if a > 0 else "right lateral"
    elif abs(a) <= 90.0:
        first = f"{'LAO' if a > 0 else 'RAO'} {_number(abs(a))}"
    else:
        first = f"{'LPO' if a > 0 else 'RPO'} {_number(180.0 - abs(a))}"
    return first if b == 0.0 else f"{first} / {'CRA' if b > 0 else 'CAU'} {_number(abs(b))}"


def dial_words(dial: ViewAngles, kinematics: Kinematics = Kinematics.ANGIOGRAPHY) -> str:
    """Dial angles as a machine shows them: "RAO 30 / CRA 0", of a mobile arm "orbit -30 / tilt 0"."""
    a, b = round(dial.primary_deg, 1), round(dial.secondary_deg, 1)
    if kinematics is Kinematics.MOBILE:
        return f"orbit {_number(a)} / tilt {_number(b)}"
    return f"{'RAO' if a < 0 else 'LAO'} {_number(abs(a))} / {'CAU' if b < 0 else 'CRA'} {_number(abs(b))}"


_PRIMARY = {"LAO": (0.0, 1.0), "RAO": (0.0, -1.0), "LPO": (180.0, -1.0), "RPO": (-180.0, 1.0)}
_NAMED = {"LAT": 90.0, "LATERAL": 90.0, "LEFT LATERAL": 90.0, "RIGHT LATERAL": -90.0}
_SECONDARY = {"CRA": 1.0, "CRAN": 1.0, "CRANIAL": 1.0, "CAU": -1.0, "CAUD": -1.0, "CAUDAL": -1.0}


def _refuse(words: str, reason: str = "") -> InputError:
    return InputError(f"view {words!r}" + (f": {reason}" if reason else ""), f"for example {EXAMPLES_OF_VIEWS}")


def _angles_of(words: str, text: str, front_deg: float) -> ViewAngles:
    if text in _NAMED:
        return ViewAngles(_NAMED[text], 0.0)
    tokens = re.findall(r"[A-Z]+|\d+(?:\.\d+)?|\S", text)
    primary: float | None = None
    secondary: float | None = None
    while tokens:
        name = tokens.pop(0)
        if name in ("AP", "PA", "FRONTAL") and primary is None:
            primary = front_deg + (180.0 if name == "PA" else 0.0)
            continue
        if not tokens or not tokens[0][0].isdigit():
            raise _refuse(words, f"{name} without degrees" if name in _PRIMARY or name in _SECONDARY else "")
        degrees = float(tokens.pop(0))
        if name in _PRIMARY and primary is None and degrees <= (180.0 if name.endswith("AO") else 90.0):
            zero, sign = _PRIMARY[name]
            primary = zero + sign * degrees
        elif name in _SECONDARY and secondary is None and degrees <= 90.0:
            secondary = _SECONDARY[name] * degrees
        else:
            raise _refuse(words, "an angle too large, or given twice" if name in (*_PRIMARY, *_SECONDARY) else "")
    if primary is None and secondary is None:
        raise _refuse(words)
    return ViewAngles(front_deg if primary is None else primary, secondary or 0.0)


def _dial_of(words: str, text: str, carm: CArm) -> ViewAngles:
    if carm.kinematics is Kinematics.ANGIOGRAPHY:
        return _angles_of(words, text, 0.0)
    found = re.fullmatch(r"ORBIT (-?\d+(?:\.\d+)?)(?: TILT (-?\d+(?:\.\d+)?))?", text)
    if found is None or abs(float(found[1])) > 180.0 or abs(float(found[2] or 0.0)) > 90.0:
        raise _refuse(words, f'the dial of {carm.name} reads "dial orbit 30 tilt 10"')
    return ViewAngles(float(found[1]), float(found[2] or 0.0))


def parse_view(
    words: str, patient_position: str = "", needle_direction: ArrayLike | None = None, carm: CArm | None = None
) -> ViewAngles:
    """Patient angles p of the words of a view.

    "AP" has the detector above the patient, "PA" below; "lateral" has it at the patient's left. LAO, RAO, LPO, RPO are
    sides of the PATIENT, whatever the machine's dial shows; "dial RAO 30" is read as the dial of the given position.
    "bullseye" needs needle_direction (3,), skin to target: the detector on the entry side, unless only the other side
    is within the C-arm's reach. Raises InputError for other words, or a decubitus position.
    """
    text = " ".join(re.sub(r"[/,;°_]|DEG(REES)?\b", " ", words.upper()).split())
    front_deg = frontal(patient_position).primary_deg
    if re.sub(r"[^A-Z]", "", text) == "BULLSEYE":
        if needle_direction is None:
            raise InputError("view bullseye without a needle", "a plan, whose needle it looks along", "Give a plan")
        near, far = bullseye(needle_direction), bullseye(needle_direction, detector_on_entry_side=False)
        if not patient_position:
            return near
        machine = carm or CArm()
        reach = [machine.reaches(machine.dial(angles, patient_position)) for angles in (near, far)]
        return far if reach == [False, True] else near
    if text.startswith("DIAL "):
        kind = (carm or CArm()).kinematics
        return patient_from_dial(_dial_of(words, text.removeprefix("DIAL "), carm or CArm()), patient_position, kind)
    return _angles_of(words, text, front_deg)
