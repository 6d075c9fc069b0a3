"""fluoro: simulated fluoroscopic images of a case."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError, MismatchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from navplan.files.xa_read import XaRun
    from navplan.fluoroscopy.image import Machine
    from navplan.fluoroscopy.shot import FluoroShot, Subject
    from navplan.fluoroscopy.view_finder import FoundView
    from navplan.geometry.carm import CArm, ViewAngles
    from navplan.model.case import Case
    from navplan.model.draft import Point
    from navplan.model.plan import Plan
    from navplan.model.structure import Structure
    from navplan.model.trajectory import Trajectory
    from navplan.model.volume import Volume

__all__ = [
    "find_view", "fluoro", "fluoro_biplane", "fluoro_like", "fluoro_machine", "fluoro_run", "fluoro_subject",
    "fluoro_views", "needle_on_image", "protocol_views",
]  # fmt: skip
MOST_PIXELS = 2e9  # of a run


def fluoro(
    case: Case,
    *,
    view: str | ViewAngles | FoundView = "AP",
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    rows: int = 512,
    cols: int = 512,
    patient_position: str = "",
    isocentre_mm: tuple[float, float, float] | None = None,
    detector_mm: float | None = None,
    carm: CArm | None = None,
) -> FluoroShot:
    """One simulated image: `fluoro(case, view="LAO 30 CRA 15", plan=plan)`. See `fluoro_views`."""
    return fluoro_views(
        case, views=(view,), plan=plan, trajectory=trajectory, image=image, rows=rows, cols=cols,
        patient_position=patient_position, isocentre_mm=isocentre_mm, detector_mm=detector_mm, carm=carm,
    )[0]  # fmt: skip


def fluoro_views(
    case: Case,
    *,
    views: Sequence[str | ViewAngles | FoundView] = (),
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    rows: int = 512,
    cols: int = 512,
    patient_position: str = "",
    isocentre_mm: tuple[float, float, float] | None = None,
    detector_mm: float | None = None,
    carm: CArm | None = None,
) -> tuple[FluoroShot, ...]:
    """Simulated images, one a view; by default AP and lateral, and down the needle where a plan is given.

    views: words ("AP", "lateral", "LAO 30 CRA 15", "bullseye", ...), patient angles, or what `find_view` found. The
    other arguments are those of `fluoro_subject` and `fluoro_machine`.
    """
    from navplan.fluoroscopy.shot import NEEDLE_VIEWS, take_shots

    machine = fluoro_machine(rows=rows, cols=cols, detector_mm=detector_mm, carm=carm)
    subject = fluoro_subject(
        case, plan=plan, trajectory=trajectory, image=image, patient_position=patient_position,
        isocentre_mm=isocentre_mm,
    )  # fmt: skip
    usual = NEEDLE_VIEWS if subject.way is not None else NEEDLE_VIEWS[:2]
    return take_shots(subject, tuple(views) or usual, machine)


def fluoro_machine(
    *,
    rows: int = 512,
    cols: int = 512,
    detector_mm: float | None = None,
    carm: CArm | None = None,
    field_mm: tuple[float, float] | None = None,
    kv: int | None = None,
    shutters: bool = True,
    program: str = "general",
) -> Machine:
    """A C-arm as it is set. detector_mm: of the panel's longer side that is read out, 20 to 600 (307.2; less is a
    zoom); carm: default `CArm()`, `navplan.fluoroscopy.carms` has others; field_mm: collimated width and height at the
    isocentre, up to what the panel shows; kv: instead of the automatic exposure's;
    shutters: electronic ones hide what the CT leaves out, and air alone; program: of the picture, "general" or "spine".

    Raises InputError, ChoiceError.
    """
    from navplan.fluoroscopy.image import Machine
    from navplan.fluoroscopy.monitor import program_named
    from navplan.fluoroscopy.shot import DETECTOR_SIDE_MM
    from navplan.geometry.carm import CArm, Detector

    if not (16 <= rows <= 4096 and 16 <= cols <= 4096):
        raise InputError(f"{rows} rows and {cols} columns", "16 to 4096 of each")
    side = DETECTOR_SIDE_MM if detector_mm is None else detector_mm
    if not 20.0 <= side <= 600.0:
        raise InputError(f"{side:g} mm of the panel", "20 to 600 mm of its longer side")
    detector, arm = Detector(rows, cols, side / max(rows, cols)), carm or CArm()
    return Machine(arm, detector, field_mm=field_mm, kv=kv, shutters=shutters, program=program_named(program))


def fluoro_subject(
    case: Case,
    *,
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    patient_position: str = "",
    isocentre_mm: tuple[float, float, float] | None = None,
    beside: Sequence[tuple[Plan | str, int]] = (),
    fill: Mapping[str, str] | None = None,
    outline: Sequence[str] = (),
) -> Subject:
    """What lies under the C-arm: an image of the case, and what is put on top of it.

    plan: a plan or its id, whose needle `trajectory` (0 the best) is drawn; the isocentre is then its target, else the
    middle of the image. image: id, default the plan's, or the only one. patient_position: on the C-arm's table (DICOM
    code), default the plan's, then the image's; if none says it, no dial angles are given. beside: further needles, as
    plan and trajectory. fill: structure's name -> "iodine", "iodine 300" (mg/ml), "cement", "cement 40" (%). outline:
    names of structures, drawn as lines.
    Raises MismatchError for a plan that was made on another image, ChoiceError, InputError.
    """
    from navplan.fluoroscopy.shot import subject_of
    from navplan.fluoroscopy.solid import Fill, Solid

    image_id, volume, needle, position = needle_on_image(case, plan, trajectory, image, patient_position)
    needles, names, notes = [], [], []
    for other, number in (*(((plan, trajectory),) if plan is not None else ()), *beside):
        chosen = case.plan(other) if isinstance(other, str) else other
        further = needle_on_image(case, chosen, number, image_id, position)[2]
        if further is not None:
            needles.append(further)
            names.append(f"plan {chosen.id}, way {number + 1}")
        if chosen.patient_position and position not in ("", chosen.patient_position):
            notes.append(f"Plan {chosen.id} was made for {chosen.patient_position}, the view is for {position}")
    fills = [Fill.of(_structure(case, image_id, name), words) for name, words in (fill or {}).items()]
    outlines = [Solid(_structure(case, image_id, name)) for name in outline]
    return subject_of(
        volume, isocentre_mm, needle, position, image_id, needles[0 if needle is None else 1 :], fills, outlines, names,
        tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def fluoro_run(
    subject: Subject,
    view: str | ViewAngles | FoundView = "AP",
    *,
    to: str | ViewAngles | FoundView | None = None,
    pictures: int = 30,
    machine: Machine | None = None,
) -> Iterator[FluoroShot]:
    """One pulse a picture. With `to` a sweep of the arm from one view to the other; else a run of one view, in which
    the needle goes from the skin to its place, where there is one.

    Raises InputError as `take_shots`, and for less than 2 or more than 1000 pictures or 2e9 pixels in all, before the
    first picture.
    """
    from navplan.fluoroscopy.run import needle_steps, sweep_views
    from navplan.fluoroscopy.shot import take_run, usual_machine

    if not 2 <= pictures <= 1000:
        raise InputError(f"a run of {pictures} pictures", "2 to 1000")
    used = machine or usual_machine()
    if pictures * used.detector.rows * used.detector.cols > MOST_PIXELS:
        size = f"{used.detector.rows} x {used.detector.cols}"
        raise InputError(f"{pictures} pictures of {size}", f"up to {MOST_PIXELS:.0e} pixels in all")
    if to is not None:
        return take_run(subject, sweep_views(subject, view, to, pictures, used), used)
    if subject.way is None:
        return take_run(subject, [view], used, [None] * pictures)
    return take_run(subject, [view], used, needle_steps(subject.way, pictures))


def fluoro_biplane(
    subject: Subject, views: tuple[str | ViewAngles | FoundView, str | ViewAngles | FoundView] = ("AP", "lateral"), *,
    planes: tuple[Machine, Machine] | None = None,
) -> tuple[FluoroShot, FluoroShot]:  # fmt: skip
    """One shot of each plane of a biplane system, about one isocentre; each says where its housings would meet those of
    the other plane. planes: default those of the C-arm "biplane" and "biplane-lateral"."""
    from navplan.fluoroscopy.carms import carms
    from navplan.fluoroscopy.shot import take_biplane

    if planes is None:
        known = carms()
        planes = fluoro_machine(carm=known["biplane"]), fluoro_machine(carm=known["biplane-lateral"])
    return take_biplane(subject, views, planes)


def fluoro_like(
    subject: Subject, path: str | os.PathLike[str], picture: int = 0, *, machine: Machine | None = None
) -> tuple[FluoroShot, XaRun]:
    """A shot from where a picture (0 the first) of an XA file was taken: its angles, distances and pixels.

    What the file does not say is the machine's, and the shot says which. The isocentre is the subject's: no file tells
    where the patient lay. Raises FileFormatError, and InputError for a file without angles.
    """
    from navplan.files.xa_read import read_xa
    from navplan.fluoroscopy.like import machine_like
    from navplan.fluoroscopy.shot import take_shots, usual_machine

    run = read_xa(path)
    view, used = machine_like(run.place(picture), picture, machine or usual_machine())
    return take_shots(subject, [view], used)[0], run


def _structure(case: Case, image_id: str, name: str) -> Structure:
    from navplan.fluoroscopy.purposes import named_structure

    return named_structure(case.structures_of(image_id), name)


def find_view(
    case: Case,
    purpose: str,
    *,
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    patient_position: str = "",
    carm: CArm | None = None,
) -> tuple[FoundView, Point]:
    """A view for a purpose, with its reason, and the isocentre it is about (LPS mm).

    purpose: "coaxial" or "perpendicular" to a plan's needle, or "free": with least bone over needle and target; a view
    of a labelled vertebra: "AP of vertebrae_L3", lateral, Scottie dog left or right ...; "profile of NAME", a vessel in
    its full length; or a view by the patient's axes: "sacroiliac left" ... Where the C-arm does not reach the ideal,
    the nearest view that it does reach, and how far that is from the ideal. Raises ChoiceError, InputError,
    MismatchError.
    """
    from navplan.fluoroscopy.anatomy import Anatomy
    from navplan.fluoroscopy.purposes import view_for

    image_id, volume, needle, position = needle_on_image(case, plan, trajectory, image, patient_position)
    view, isocentre = view_for(purpose, Anatomy(volume), needle, case.structures_of(image_id), position, carm)
    return view, _point(isocentre)


def protocol_views(
    case: Case, plan: Plan | str, *, trajectory: int = 0, patient_position: str = "", carm: CArm | None = None
) -> tuple[FoundView, ...]:
    """The views that a plan's protocol asks for, about its target, with their purpose.

    "AP" and "lateral" are as the arm takes them (the detector above); a view without angles is solved for from the
    needle. Raises as `find_view`; InputError for a protocol without views.
    """
    from navplan.fluoroscopy.view_finder import coaxial_view, offered
    from navplan.geometry.carm import CArm, ViewAngles, parse_view

    chosen = case.plan(plan) if isinstance(plan, str) else plan
    _, _, needle, position = needle_on_image(case, chosen, trajectory, "", patient_position)
    machine, found = carm or CArm(), []
    for asked in chosen.protocol.views:
        if asked.primary_deg is None or asked.secondary_deg is None:
            if needle is not None:
                found.append(replace(coaxial_view(needle.direction, position, machine), name=asked.name))
            continue
        named = asked.name in ("AP", "PA", "lateral")
        angles = parse_view(asked.name, position) if named else ViewAngles(asked.primary_deg, asked.secondary_deg)
        ways = [angles.toward_detector, -angles.toward_detector][: 2 if asked.name == "lateral" else 1]
        found.append(offered(asked.name, ways, asked.purpose, position, machine))
    if not found:
        raise InputError(f"protocol {chosen.protocol.id}, which asks for no view", "a protocol with views")
    return tuple(found)


def needle_on_image(
    case: Case, plan: Plan | str | None, trajectory: int, image: str, patient_position: str
) -> tuple[str, Volume, Trajectory | None, str]:
    """Image id, image, the plan's needle, the patient's position on the C-arm's table ("" when nobody says it).

    Raises MismatchError for a plan that was made on another image, ChoiceError."""
    chosen = case.plan(plan) if isinstance(plan, str) else plan
    image_id, volume = case.image(image or (chosen.provenance.image_id if chosen is not None else ""))
    needle: Trajectory | None = None
    if chosen is not None:
        if chosen.provenance.image_digest != volume.digest:
            raise MismatchError(
                f"plan {chosen.id}, made on another image than {image_id}",
                f"image {chosen.provenance.image_id} as it was when the plan was made",
                "Plan again on this image",
            )
        count = len(chosen.trajectories)
        if not 0 <= trajectory < count:
            choices = f"0 to {count - 1}" if count else "a plan with a way in"
            raise ChoiceError(f"trajectory {trajectory} of plan {chosen.id}", choices)
        needle = chosen.trajectories[trajectory].trajectory
    position = patient_position or (chosen.patient_position if chosen is not None else "")
    return image_id, volume, needle, position or volume.acquisition.patient_position


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
