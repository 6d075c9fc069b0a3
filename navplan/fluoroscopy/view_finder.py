"""Views for a purpose, with the reason for each, within the C-arm's reach or the nearest that is.

A view is where the detector stands: a unit vector d from the isocentre. Coaxial: d along the needle. Perpendicular: d
square to it. AP and lateral of a vertebra: d along its own axes, so that both endplates are lines and the midline is in
the middle. The Scottie dog: between the two, about the vertebra's own long axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.vertebra import WEDGE_TOLD_DEG, VertebraFrame
from navplan.geometry.carm import (
    Beam,
    CArm,
    Detector,
    Kinematics,
    ViewAngles,
    angles_of,
    frontal,
    patient_from_dial,
    toward_of_dials,
    view_words,
)
from navplan.geometry.lines import unit

SCOTTIE_DEG, CONTRALATERAL_DEG = 40.0, 50.0  # from AP: 30 to 45 and 45 to 60 degrees are usual
PERPENDICULAR_STEP_DEG = 5.0
UNTILTED_DEG = 5.0  # so near a lateral view a mobile arm is not tilted
REACH_STEP_DEG = 1.0
SEEN = Detector(160, 160, 1.8)  # what overlap is judged on
PATH_SAMPLES = 25


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
        """Why it is so, and how far from the ideal where that is out of reach."""
        off = f"; {self.off_deg:.1f} degrees from the ideal, {self.off_why}" if self.off_deg > 0.05 else ""
        return f"{self.name}: {self.why}{off}"

    @property
    def words(self) -> str:
        """For a list."""
        return f"{view_words(self.angles, self.patient_position)}; {self.reason}"


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


def _offered(name: str, toward: Sequence[NDArray[np.float64]], why: str, position: str, carm: CArm) -> FoundView:
    """The first direction that is within reach; else of all the nearest reachable view."""
    wanted = [angles_of(d) for d in toward]
    if not position:
        return FoundView(name, wanted[0], why)
    near = [nearest_within_reach(angles, position, carm) for angles in wanted]
    best = min(range(len(near)), key=lambda n: (round(near[n][1], 6), n))
    angles, off = near[best]
    found = FoundView(name, angles, why, off == 0.0, off, patient_position=position)
    return _untilted(found, wanted[best], carm) if carm.kinematics is Kinematics.MOBILE else found


def _untilted(found: FoundView, wanted: ViewAngles, carm: CArm) -> FoundView:
    """Near a lateral view a mobile arm's tilt turns its picture and hardly moves its detector: it is left alone."""
    orbit = carm.dial(wanted, found.patient_position).primary_deg
    if abs(np.cos(np.radians(orbit))) > np.sin(np.radians(UNTILTED_DEG)):
        return found
    flat = patient_from_dial(ViewAngles(float(np.copysign(90.0, orbit)), 0.0), found.patient_position, carm.kinematics)
    if not carm.reaches(carm.dial(flat, found.patient_position)):
        return found
    off = float(np.degrees(np.arccos(np.clip(flat.toward_detector @ wanted.toward_detector, -1.0, 1.0))))
    return replace(found, angles=flat, off_deg=off, off_why="for which the arm's tilt would turn the picture")


def coaxial_view(direction: ArrayLike, patient_position: str = "", carm: CArm | None = None) -> FoundView:
    """Down the needle, direction (3,) from skin to target: a dot; the detector on the entry side if it gets there."""
    needle = unit(direction)
    return _offered(
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
    across = unit(np.cross(needle, np.eye(3)[int(np.abs(needle).argmin())]))
    beside = np.cross(needle, across)
    turns = np.radians(np.arange(0.0, 360.0, PERPENDICULAR_STEP_DEG))
    around = np.cos(turns)[:, None] * across + np.sin(turns)[:, None] * beside
    why = "the needle's whole length and its depth are seen"
    views = [_offered("perpendicular", [d], why, patient_position, machine) for d in around]
    least = min(view.off_deg for view in views)
    near = [n for n, view in enumerate(views) if view.off_deg <= least + 1e-6]
    if anatomy is None:
        front, side = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])
        best = max(near, key=lambda n: round(max(abs(around[n] @ front), abs(around[n] @ side)), 6))
        return views[best]
    bones = [bone_over_path_mm(anatomy, views[n].angles, skin, target, machine) for n in near]
    best = int(np.argmin(bones))
    if not np.isfinite(bones[best]):
        return views[near[best]]
    why = f"{why}; of {len(near)} such views the one with least bone over the path"
    return replace(views[near[best]], why=why, bone_mm=float(bones[best]))


def bone_over_path_mm(
    anatomy: Anatomy, angles: ViewAngles, skin_mm: NDArray[np.float64], target_mm: NDArray[np.float64], carm: CArm
) -> float:
    """mm of cortical bone that the rays through the path pass, mean over skin to target."""
    beam = Beam.of(angles, (skin_mm + target_mm) / 2.0, carm)
    bone = anatomy.amounts_mm(beam, SEEN, moving=True)[1]
    path = skin_mm + np.linspace(0.0, 1.0, PATH_SAMPLES)[:, None] * (target_mm - skin_mm)
    at = np.rint(beam.project(path, SEEN)[:, ::-1])
    seen = np.isfinite(at).all(axis=1) & (at >= 0).all(axis=1) & (at < bone.shape).all(axis=1)
    if not seen.any():
        return float("inf")
    rows, cols = at[seen].astype(int).T
    return float(bone[rows, cols].mean())


VERTEBRA_VIEWS = ("AP", "lateral", "Scottie dog left", "Scottie dog right", "contralateral left", "contralateral right")


def vertebra_view(name: str, frame: VertebraFrame, patient_position: str = "", carm: CArm | None = None) -> FoundView:
    """One of VERTEBRA_VIEWS of a vertebra. Left and right are the patient's: the side looked at, or the needle's.

    A Scottie dog of the left side is seen along the line from the left back to the right front, so a detector above
    stands at the left back of a prone and at the right front of a supine patient; a contralateral oblique for a needle
    on the left along the other line. Raises InputError for another name.
    """
    machine = carm or CArm()
    behind = frontal(patient_position).toward_detector @ frame.anterior < 0.0
    toward = -frame.anterior if behind else frame.anterior
    squared = "both endplates are lines"
    if frame.endplates_deg > WEDGE_TOLD_DEG:
        squared = f"the endplates, {frame.endplates_deg:.0f} degrees apart in the label, are squared on average"
    if name == "AP":
        why = f"{squared}, the spinous process in the middle"
        return _offered(name, [toward], why, patient_position, machine)
    if name == "lateral":
        why = f"{squared}, both sides over each other"
        return _offered(name, [frame.left, -frame.left], why, patient_position, machine)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for kind, degrees, to_the_side, why in (
            ("Scottie dog", SCOTTIE_DEG, sign, "pedicle, pars and facet joint of that side are free"),
            ("contralateral", CONTRALATERAL_DEG, -sign, "for a needle on that side: its laminae are end-on, a line"),
        ):
            if name == f"{kind} {side}":
                turn = np.radians(degrees)
                aside = to_the_side * (1.0 if behind else -1.0) * frame.left
                d = np.cos(turn) * toward + np.sin(turn) * aside
                return _offered(name, [d], f"{degrees:g} degrees from AP, {squared}, {why}", patient_position, machine)
    raise InputError(f"view {name!r} of a vertebra", ", ".join(VERTEBRA_VIEWS))
