"""Views that are searched for: the needle and its target free of bone, a vessel in its full length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.solid import Solid
from navplan.fluoroscopy.view_finder import FoundView, Over, around, nearest_of, over_points, path_points
from navplan.geometry.carm import CArm, ViewAngles, patient_from_dial

COARSE_DEG, FINE_DEG = 10.0, 2.5
LEAST_LENGTH = 0.5  # of the needle's length that must be seen: shorter, and its depth cannot be told
HIDDEN_MM, DEGREE_MM = 2.0, 0.01  # mm of bone that a needle seen end on, and a degree on a dial, are taken as
TARGET_WEIGHT = 2.0  # of bone over the target against bone over the path
LONGEST_OVER_NEXT = 1.5  # of a structure that has a long axis
STRAIGHT = 0.98  # of its length, and more: not foreshortened


def free_view(
    anatomy: Anatomy, skin_mm: NDArray[np.float64], target_mm: NDArray[np.float64], patient_position: str,
    carm: CArm | None = None,
) -> FoundView:  # fmt: skip
    """Of all views within the C-arm's reach the one in which least bone lies over the needle's path and its target, and
    at least half the needle's length is seen; of about equal ones that with more of the needle and less angulation.
    skin_mm, target_mm: (3,) LPS.

    Raises InputError where the patient's position is not stated: reach is not known then.
    """
    machine = carm or CArm()
    if not patient_position:
        raise InputError("a view free of bone for a patient whose position is not stated", "HFS, HFP, FFS or FFP")
    path = path_points(skin_mm, target_mm)
    points = np.concatenate([path, np.repeat(target_mm[None], round(TARGET_WEIGHT * len(path)), axis=0)])
    needle = (target_mm - skin_mm) / np.linalg.norm(target_mm - skin_mm)
    first, tried = _best(anatomy, points, needle, patient_position, machine, None, COARSE_DEG)
    best, more = _best(anatomy, points, needle, patient_position, machine, first, FINE_DEG)
    found, over, _ = best
    seen = _seen_share(found, needle)
    why = (
        f"of {tried + more} views within reach the one with least bone over needle and target ({over.bone_mm:.1f} mm "
        f"on average{over.words}); the needle is seen at {100 * seen:.0f} % of its length"
    )
    return FoundView("least bone", found, why, True, patient_position=patient_position, bone_mm=over.bone_mm)


_Scored = tuple[ViewAngles, Over, float]  # the view, what lies over it, and what it is judged by


def _best(
    anatomy: Anatomy, points: NDArray[np.float64], needle: NDArray[np.float64], position: str, carm: CArm,
    about: _Scored | None, step_deg: float,
) -> tuple[_Scored, int]:  # fmt: skip
    spans = [carm.primary_reach_deg, carm.secondary_reach_deg]
    if about is not None:
        dial = carm.dial(about[0], position)
        middles = dial.primary_deg, dial.secondary_deg
        spans = [
            (max(low, middle - COARSE_DEG), min(high, middle + COARSE_DEG))
            for middle, (low, high) in zip(middles, spans, strict=True)
        ]
    best, tried = about, 0
    first, second = (np.linspace(low, high, max(1, round((high - low) / step_deg)) + 1) for low, high in spans)
    for primary in first:
        for secondary in second:
            angles = patient_from_dial(ViewAngles(float(primary), float(secondary)), position, carm.kinematics)
            seen = _seen_share(angles, needle)
            if seen < LEAST_LENGTH:
                continue
            tried += 1
            over = over_points(anatomy, angles, points, carm)
            judged = over.judged_mm + HIDDEN_MM * (1.0 - seen) + DEGREE_MM * (abs(primary) + abs(secondary))
            if best is None or judged < best[2] - 1e-6:
                best = angles, over, float(judged)
    if best is None:
        raise InputError("no view within reach that shows the needle", "a C-arm with more reach")
    return best, tried


def _seen_share(angles: ViewAngles, direction: NDArray[np.float64]) -> float:
    """Of a length along a unit vector (3,), what is seen of it."""
    return float(np.sqrt(max(0.0, 1.0 - float(angles.toward_detector @ direction) ** 2)))


def profile_view(
    anatomy: Anatomy, solid: Solid, patient_position: str = "", carm: CArm | None = None
) -> FoundView:
    """A long structure, such as a vessel, in its full length: of the views square to its long axis that are within
    reach (or nearest to it) the one with least bone over it. Raises InputError for a structure without a long axis."""
    machine = carm or CArm()
    if solid.elongation < LONGEST_OVER_NEXT:
        raise InputError(
            f"{solid.name}, {solid.elongation:.1f} times as long as wide", f"{LONGEST_OVER_NEXT:g} times and more",
            "A view without foreshortening needs a long axis: give the view in words",
        )  # fmt: skip
    why = f"{solid.name.replace('_', ' ')} lies square to the beam"
    views = nearest_of("profile", around(solid.long_axis), why, patient_position, machine)
    over = [over_points(anatomy, view.angles, solid.along_mm, machine) for view in views]
    best = min(range(len(views)), key=lambda n: over[n].judged_mm)
    seen = _seen_share(views[best].angles, solid.long_axis)
    told = "without foreshortening" if seen >= STRAIGHT else f"foreshortened to {100 * seen:.0f} % of its length"
    least = f"; of {len(views)} such views the one with least bone over it{over[best].words}"
    return replace(views[best], why=f"{why}, {told}{least}", bone_mm=over[best].bone_mm)
