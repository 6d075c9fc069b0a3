"""What a view is wanted for, in words, and the view that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.free_views import free_view, profile_view
from navplan.fluoroscopy.monitor import GENERAL, SPINE, Program
from navplan.fluoroscopy.procedure_views import obliques, patient_view, vertebra_view, views_of
from navplan.fluoroscopy.solid import Solid
from navplan.fluoroscopy.vertebra import vertebra_frame
from navplan.fluoroscopy.view_finder import FoundView, coaxial_view, perpendicular_view
from navplan.geometry.carm import CArm
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory

NEEDLE_PURPOSES = ("coaxial", "perpendicular", "free")


def view_for(
    purpose: str, anatomy: Anatomy, way: Trajectory | None, structures: Mapping[str, Structure],
    patient_position: str = "", carm: CArm | None = None,
) -> tuple[FoundView, NDArray[np.float64]]:  # fmt: skip
    """The view for a purpose, and the isocentre (3,) it is about, LPS mm.

    purpose: "coaxial" or "perpendicular" to the way, or "free": with least bone over it and its target; of a labelled
    vertebra "AP of NAME" ...; "profile of NAME", a vessel in its full length; or by the patient's axes, "sacroiliac
    left" ... Raises ChoiceError, InputError.
    """
    if purpose in NEEDLE_PURPOSES:
        if way is None:
            raise InputError(f"a {purpose} view without a needle", "a plan", "Give a plan")
        target, skin = np.asarray(way.target_mm, dtype=np.float64), way.point_at_mm(0.0)
        if purpose == "coaxial":
            return coaxial_view(way.direction, patient_position, carm), target
        middle = (skin + target) / 2.0  # the whole needle is to be seen
        if purpose == "free":
            return free_view(anatomy, skin, target, patient_position, carm), middle
        return perpendicular_view(skin, target, patient_position, carm, anatomy), middle
    kind, name = parse_purpose(purpose)
    if not name:
        about = obliques()[kind.rpartition(" ")[0]].of
        name = next((one for one in about if one in structures and structures[one].occupancy is not None), "")
        if not name:
            names = " or ".join(about)
            raise ChoiceError(f"{kind!r} without a label of {names}", f"{names} as a structure with voxels")
        return patient_view(kind, patient_position, carm), Solid(structures[name]).middle_mm
    named_structure(structures, name)
    if kind == "profile":
        solid = Solid(structures[name])
        return profile_view(anatomy, solid, patient_position, carm), solid.middle_mm
    frame = vertebra_frame(structures[name])
    return vertebra_view(kind, frame, patient_position, carm), frame.centre_mm


def named_structure(structures: Mapping[str, Structure], name: str) -> Structure:
    """Raises ChoiceError for one that is not there, with those that are most like it."""
    if name in structures:
        return structures[name]
    labelled = sorted(one for one, structure in structures.items() if structure.occupancy is not None)
    like = get_close_matches(name, labelled, 6, 0.4) or labelled[:12]
    some = f"one that is labelled, for example {', '.join(like)}" if like else "a label: the case has none"
    raise ChoiceError(f"structure {name!r}", some)


def purposes_about(
    point_mm: NDArray[np.float64], structures: Mapping[str, Structure], with_needle: bool
) -> tuple[str, ...]:
    """What a person can ask for where the isocentre is a point (3,), LPS: views of the needle, and of the nearest
    labelled vertebra."""
    away_mm = {
        name: float(np.linalg.norm(structure.grid.corners_mm().mean(axis=0) - point_mm))
        for name, structure in structures.items()
        if name.startswith("vertebrae_") and structure.presence is Presence.PRESENT and structure.grid is not None
    }
    near = min(away_mm, key=lambda name: away_mm[name], default="")
    of_spine = tuple(f"{view} of {near}" for view in views_of(True)) if near else ()
    return (*(NEEDLE_PURPOSES if with_needle else ()), *of_spine)


def program_for(purpose: str) -> Program:
    """Of a picture that nobody chose one for: bone is what a view of a vertebra is to show."""
    _, of, name = purpose.rpartition(" of ")
    return SPINE if of and name.startswith("vertebrae_") else GENERAL


def parse_purpose(purpose: str) -> tuple[str, str]:
    """ "Scottie dog left of vertebrae_L3" as view and structure; a view of the patient's axes has no structure. Raises
    InputError for words that are neither."""
    kind, of, name = purpose.rpartition(" of ")
    if of and kind in (*views_of(True), "profile"):
        return kind, name
    if purpose in views_of(False):
        return purpose, ""
    kinds = ", ".join(f'"{view} of NAME"' for view in (*views_of(True), "profile"))
    plain = ", ".join((*NEEDLE_PURPOSES, *views_of(False), "protocol"))
    raise InputError(f"purpose {purpose!r}", f"{plain}, or {kinds}")
