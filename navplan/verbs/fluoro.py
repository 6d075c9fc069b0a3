"""fluoro: simulated fluoroscopic images of a case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError, MismatchError

if TYPE_CHECKING:
    from navplan.fluoroscopy.shot import FluoroShot
    from navplan.geometry.carm import ViewAngles
    from navplan.model.case import Case
    from navplan.model.plan import Plan
    from navplan.model.trajectory import Trajectory

__all__ = ["fluoro", "fluoro_views", "save_shot"]


def fluoro(
    case: Case,
    *,
    view: str | ViewAngles = "AP",
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    rows: int = 512,
    cols: int = 512,
    patient_position: str = "",
    isocentre_mm: tuple[float, float, float] | None = None,
    detector_mm: float | None = None,
) -> FluoroShot:
    """One simulated image: `fluoro(case, view="LAO 30 CRA 15", plan=plan)`. See `fluoro_views`."""
    return fluoro_views(
        case, views=(view,), plan=plan, trajectory=trajectory, image=image, rows=rows, cols=cols,
        patient_position=patient_position, isocentre_mm=isocentre_mm, detector_mm=detector_mm,
    )[0]  # fmt: skip


def fluoro_views(
    case: Case,
    *,
    views: Sequence[str | ViewAngles] = (),
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    rows: int = 512,
    cols: int = 512,
    patient_position: str = "",
    isocentre_mm: tuple[float, float, float] | None = None,
    detector_mm: float | None = None,
) -> tuple[FluoroShot, ...]:
    """Simulated images, one a view; by default AP and lateral, and down the needle where a plan is given.

    views: words ("AP", "lateral", "LAO 30 CRA 15", "bullseye", ...) or patient angles. plan: a plan or its id, whose
    needle `trajectory` (0 the best) is drawn; the isocentre is then its target, else the middle of the image. image:
    id, default the plan's, or the only one. patient_position: on the C-arm's table (DICOM code), default the plan's,
    then the image's; if none says it, no dial angles are given. detector_mm: length of the longer side (307.2).
    Raises MismatchError for a plan that was made on another image, ChoiceError, InputError.
    """
    from navplan.fluoroscopy.shot import DETECTOR_SIDE_MM, NEEDLE_VIEWS, take_shots
    from navplan.geometry.carm import Detector

    if not (16 <= rows <= 4096 and 16 <= cols <= 4096):
        raise InputError(f"{rows} rows and {cols} columns", "16 to 4096 of each")
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
    return take_shots(
        volume, tuple(views) or (NEEDLE_VIEWS if needle is not None else NEEDLE_VIEWS[:2]), isocentre_mm, needle,
        position or volume.acquisition.patient_position,
        Detector(rows, cols, (detector_mm or DETECTOR_SIDE_MM) / max(rows, cols)), image_name=image_id,
    )  # fmt: skip


def save_shot(shot: FluoroShot, path: str | os.PathLike[str]) -> Path:
    """Write a shot as PNG with its marks and words, whole or not at all, replacing what had that name.

    Raises InputError for a name that does not end in .png, or a place that cannot be written to.
    """
    from navplan.files.whole_file import whole_file
    from navplan.fluoroscopy.picture import shot_png

    target = Path(path)
    if target.suffix.lower() != ".png":
        raise InputError(f"picture {target.name!r}", "a name that ends in .png")
    picture = shot_png(shot)
    with whole_file(target) as file:
        file.write(picture)
    return target
