"""fluoro: simulated fluoroscopic images of a case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError, MismatchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from navplan.fluoroscopy.shot import FluoroShot
    from navplan.fluoroscopy.view_finder import FoundView
    from navplan.geometry.carm import CArm, ViewAngles
    from navplan.model.case import Case
    from navplan.model.draft import Point
    from navplan.model.plan import Plan
    from navplan.model.trajectory import Trajectory
    from navplan.model.volume import Volume

__all__ = ["find_view", "fluoro", "fluoro_views", "save_shot"]


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

    views: words ("AP", "lateral", "LAO 30 CRA 15", "bullseye", ...), patient angles, or what `find_view` found. plan: a
    plan or its id, whose needle `trajectory` (0 the best) is drawn; the isocentre is then its target, else the middle
    of the image. image: id, default the plan's, or the only one. patient_position: on the C-arm's table (DICOM code),
    default the plan's, then the image's; if none says it, no dial angles are given. detector_mm: length of the longer
    side (307.2). carm: default `CArm()`; `navplan.fluoroscopy.carms` has others.
    Raises MismatchError for a plan that was made on another image, ChoiceError, InputError.
    """
    from navplan.fluoroscopy.shot import DETECTOR_SIDE_MM, NEEDLE_VIEWS, take_shots
    from navplan.geometry.carm import Detector

    if not (16 <= rows <= 4096 and 16 <= cols <= 4096):
        raise InputError(f"{rows} rows and {cols} columns", "16 to 4096 of each")
    image_id, volume, needle, position = _asked(case, plan, trajectory, image, patient_position)
    return take_shots(
        volume, tuple(views) or (NEEDLE_VIEWS if needle is not None else NEEDLE_VIEWS[:2]), isocentre_mm, needle,
        position, Detector(rows, cols, (detector_mm or DETECTOR_SIDE_MM) / max(rows, cols)), carm, image_name=image_id,
    )  # fmt: skip


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

    purpose: "coaxial" or "perpendicular" to a plan's needle; or a view of a labelled vertebra: "AP of vertebrae_L3",
    and lateral, Scottie dog left or right, contralateral left or right. Where the C-arm does not reach the ideal, the
    nearest view that it does reach, and how far that is from the ideal. Raises ChoiceError, InputError, MismatchError.
    """
    import numpy as np

    from navplan.fluoroscopy.anatomy import Anatomy
    from navplan.fluoroscopy.vertebra import vertebra_frame
    from navplan.fluoroscopy.view_finder import VERTEBRA_VIEWS, coaxial_view, perpendicular_view, vertebra_view

    image_id, volume, needle, position = _asked(case, plan, trajectory, image, patient_position)
    if purpose in ("coaxial", "perpendicular"):
        if needle is None:
            raise InputError(f"a {purpose} view without a needle", "a plan", "Give a plan")
        target = np.asarray(needle.target_mm)
        if purpose == "coaxial":
            return coaxial_view(needle.direction, position, carm), _point(target)
        skin = needle.point_at_mm(0.0)
        return perpendicular_view(skin, target, position, carm, Anatomy(volume)), _point(target)
    kind, of, name = purpose.rpartition(" of ")
    if not of or kind not in VERTEBRA_VIEWS:
        kinds = ", ".join(f'"{view} of NAME"' for view in VERTEBRA_VIEWS)
        raise InputError(f"purpose {purpose!r}", f"coaxial, perpendicular, or of a vertebra {kinds}")
    structures = case.structures_of(image_id)
    if name not in structures:
        spine = sorted(known for known in structures if known.startswith("vertebra"))
        raise ChoiceError(f"structure {name!r}", ", ".join(spine) or "no vertebra is labelled")
    frame = vertebra_frame(structures[name])
    return vertebra_view(kind, frame, position, carm), _point(frame.centre_mm)


def _asked(
    case: Case, plan: Plan | str | None, trajectory: int, image: str, patient_position: str
) -> tuple[str, Volume, Trajectory | None, str]:
    """Image id, image, the plan's needle, the patient's position on the C-arm's table ("" when nobody says it)."""
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


def save_shot(shot: FluoroShot, path: str | os.PathLike[str]) -> Path:
    """Write a shot, whole or not at all, replacing what had that name: .png with its marks and words, .dcm as DICOM XA.

    Raises InputError for a name that ends otherwise, or a place that cannot be written to.
    """
    from navplan.files.whole_file import whole_file
    from navplan.fluoroscopy.picture import shot_png

    target = Path(path)
    if target.suffix.lower() == ".dcm":
        from navplan.files.xa_write import save_xa

        return save_xa((shot,), target)
    if target.suffix.lower() != ".png":
        raise InputError(f"picture {target.name!r}", "a name that ends in .png or .dcm")
    picture = shot_png(shot)
    with whole_file(target) as file:
        file.write(picture)
    return target
