"""Views for a purpose, with the reason for each, within the C-arm's reach or the nearest that is.

A view is where the detector stands: a unit vector d from the isocentre. Coaxial: d along the needle. Perpendicular: d
square to it. Views of a vertebra and of procedures: `procedure_views`; views that are searched for: `free_views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.fluoroscopy.anatomy import Anatomy
from navplan.geometry.carm import (
    Beam,
    CArm,
    Detector,
    Kinematics,
    ViewAngles,
    angles_of,
    patient_from_dial,
    toward_of_dials,
    view_words,
)
from navplan.geometry.lines import unit

PERPENDICULAR_STEP_DEG = 5.0
UNTILTED_DEG, TILT_LET_BE_DEG = 5.0, 0.5  # so near a lateral view a mobile arm is not tilted, but for a trace
REACH_STEP_DEG, TOLD_DEG = 1.0, 0.05
SEEN = Detector(160, 160, 1.8)  # what overlap is judged on
PATH_SAMPLES = 25
LOST_MM = 60.0  # of bone, that a point whose bone is not known is taken for


@dataclass(frozen=True)
class FoundView:
    """One view: what it is for and why it is so; angles are patient angles p.

    off_deg: how far it is from the ideal (0 where it is that), and off_why; ideal_reachable: None where the patient's
    position is not stated. bone_mm: bone that hides the path or the target, mean over it, None where it
    was not looked at.
    """

    name: str
    angles: ViewAngles
    why: str
    ideal_reachable: bool | None = None
    off_deg: float = 0.0
    off_why: str = "which the C-arm does not reach"
    patient_position: str = ""
    bone_mm: float | None = None

    @property
    def reason(self) -> str:
        """What it is for; of one that is not the ideal, what the ideal would be."""
        return f"{self.name}: {self.why}" if self.off_deg <= TOLD_DEG else f"{self.name}, ideally: {self.why}"

    @property
    def warning(self) -> str:
        """How far it is from the ideal, "" where it is that."""
        if self.off_deg <= TOLD_DEG:
            return ""
        return f"Not the ideal view: {self.off_deg:.1f} degrees from it, {self.off_why}"

    @property
    def words(self) -> str:
        """For a list."""
        parts = (view_words(self.angles, self.patient_position), self.reason, self.warning)
        return "; ".join(part for part in parts if part)


def nearest_within_reach(angles: ViewAngles, patient_position: str, carm: CArm) -> tuple[ViewAngles, float]:
    """The reachable view whose detector stands nearest, and how many degrees away: the same and 0 if it is one."""
    if carm.reaches(carm.dial(angles, patient_position)):
        return angles, 0.0
    (low, high), (caudal, cranial) = carm.primary_reach_deg, carm.secondary_reach_deg
    wanted, step = angles.toward_detector, REACH_STEP_DEG
    spans = (low, high), (caudal, cranial)
    for _ in range(3):
        first = np.clip(np.arange(spans[0][0], spans[0][1] + step, step), low, high)
        second = np.clip(np.arange(spans[1][0], spans[1][1] + step, step), caudal, cranial)
        along = toward_of_dials(first[:, None], second[None, :], patient_position, carm) @ wanted
        i, j = np.unravel_index(int(along.argmax()), along.shape)
        spans = (first[i] - step, first[i] + step), (second[j] - step, second[j] + step)
        step /= 10.0
    found = patient_from_dial(ViewAngles(float(first[i]), float(second[j])), patient_position, carm.kinematics)
    off = float(np.degrees(np.arccos(np.clip(found.toward_detector @ wanted, -1.0, 1.0))))
    return found, off


def offered(name: str, toward: Sequence[NDArray[np.float64]], why: str, position: str, carm: CArm) -> FoundView:
    """The first direction that is within reach; else of all the nearest reachable view."""
    wanted = [angles_of(d) for d in toward]
    if not position:
        return FoundView(name, wanted[0], why)
    near = [nearest_within_reach(angles, position, carm) for angles in wanted]
    best = min(range(len(near)), key=lambda n: (round(near[n][1], 6), n))
    angles, off = near[best]
    found = FoundView(name, angles, why, off == 0.0, off, patient_position=position)
    return found


def untilted(found: FoundView, wanted: ViewAngles, carm: CArm) -> FoundView:
    """Near a lateral view a mobile arm's tilt turns its picture and hardly moves its detector: there it is left at 0.
    Not for a view along a needle, in which each degree counts."""
    if carm.kinematics is not Kinematics.MOBILE or not found.patient_position:
        return found
    dial = carm.dial(found.angles, found.patient_position)
    orbit = carm.dial(wanted, found.patient_position).primary_deg
    near = abs(np.cos(np.radians(orbit))) <= np.sin(np.radians(UNTILTED_DEG))
    if not near or abs(dial.secondary_deg) < TILT_LET_BE_DEG:
        return found
    flat = patient_from_dial(ViewAngles(float(np.copysign(90.0, orbit)), 0.0), found.patient_position, carm.kinematics)
    if not carm.reaches(carm.dial(flat, found.patient_position)):
        return found
    off = float(np.degrees(np.arccos(np.clip(flat.toward_detector @ wanted.toward_detector, -1.0, 1.0))))
    why = "for which the arm's tilt would turn the picture"
    return replace(found, angles=flat, off_deg=off, off_why=why, ideal_reachable=found.ideal_reachable and off == 0.0)


def coaxial_view(direction: ArrayLike, patient_position: str = "", carm: CArm | None = None) -> FoundView:
    """Down the needle, direction (3,) from skin to target: a dot; the detector on the entry side if it gets there."""
    needle = unit(direction)
    return offered(
        "coaxial", [-needle, needle], "the needle is a dot over its target", patient_position, carm or CArm()
    )


def perpendicular_view(
    skin_mm: ArrayLike, target_mm: ArrayLike, patient_position: str = "", carm: CArm | None = None,
    anatomy: Anatomy | None = None,
) -> FoundView:  # fmt: skip
    """Square to the needle, where its depth is seen in full: of all such views within reach the one in which least bone
    lies over the path (with an anatomy), else the nearest to a lateral or an AP view."""
    machine = carm or CArm()
    skin, target = np.asarray(skin_mm, dtype=np.float64), np.asarray(target_mm, dtype=np.float64)
    needle = unit(target - skin)
    turns = around(needle)
    why = "the needle's whole length and its depth are seen"
    views = nearest_of("perpendicular", turns, why, patient_position, machine)
    if anatomy is None:
        front, side = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])
        along = [np.abs([front, side] @ view.angles.toward_detector).max() for view in views]
        best = int(np.argmax(np.round(along, 6)))
        return views[best]
    path = path_points(skin, target)
    over = [over_points(anatomy, view.angles, path, machine) for view in views]
    best = min(range(len(views)), key=lambda n: over[n].judged_mm)
    why = f"{why}; of {len(views)} such views the one with least bone over the path{over[best].words}"
    return replace(views[best], why=why, bone_mm=over[best].bone_mm)


def around(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit vectors square to a unit vector, PERPENDICULAR_STEP_DEG apart."""
    across = unit(np.cross(axis, np.eye(3)[int(np.abs(axis).argmin())]))
    turns = np.radians(np.arange(0.0, 360.0, PERPENDICULAR_STEP_DEG))
    return np.asarray(np.cos(turns)[:, None] * across + np.sin(turns)[:, None] * np.cross(axis, across))


def nearest_of(name: str, toward: NDArray[np.float64], why: str, position: str, carm: CArm) -> list[FoundView]:
    """Of directions (N, 3) those within reach; else those that are nearest to it."""
    views = [offered(name, [d], why, position, carm) for d in toward]
    least = min(view.off_deg for view in views)
    return [view for view in views if view.off_deg <= least + 1e-6]


def path_points(skin_mm: NDArray[np.float64], target_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) points from the skin to the target."""
    return np.asarray(skin_mm + np.linspace(0.0, 1.0, PATH_SAMPLES)[:, None] * (target_mm - skin_mm))


@dataclass(frozen=True)
class Over:
    """What lies over points in a view. bone_mm: mean of cortical bone that the rays through them pass; lost: share of
    them outside the picture or where the CT ends, whose bone is not known."""

    bone_mm: float
    lost: float

    @property
    def judged_mm(self) -> float:
        """Bone, with what is not known taken as much of it."""
        return (1.0 - self.lost) * self.bone_mm + self.lost * LOST_MM

    @property
    def words(self) -> str:
        """What is not known, for a reason; "" where all is."""
        return f"; {100 * self.lost:.0f} % of it outside the picture or the CT" if self.lost > 0.005 else ""


def over_points(anatomy: Anatomy, angles: ViewAngles, points_mm: NDArray[np.float64], carm: CArm) -> Over:
    """Over points (N, 3), LPS, in a view about their middle."""
    detector = SEEN
    beam = Beam.of(angles, points_mm.mean(axis=0), carm)
    bone = anatomy.bone_mm(beam, detector)
    at = np.rint(beam.project(points_mm, detector)[:, ::-1])
    seen = np.isfinite(at).all(axis=1) & (at >= 0).all(axis=1) & (at < bone.shape).all(axis=1)
    if not seen.any():
        return Over(0.0, 1.0)
    rows, cols = at[seen].astype(int).T
    whole = ~anatomy.cut(beam, detector)[rows, cols]
    lost = 1.0 - float(whole.sum()) / len(points_mm)
    return Over(float(bone[rows, cols][whole].mean()) if whole.any() else 0.0, lost)
