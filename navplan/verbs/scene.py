"""scene: a picture of a case, and of a plan's needle in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.errors import FileFormatError, InputError, MismatchError

if TYPE_CHECKING:
    from navplan.model.case import Case
    from navplan.model.plan import Plan

__all__ = ["scene"]


def scene(
    case: Case,
    *,
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    out: str | Path,
    hero: bool = False,
    size: tuple[int, int] | None = None,
) -> Path:
    """Draw the three-dimensional scene into a PNG file, which is written whole or not at all; returns its path.

    The way that is drawn is judged anew: the verdict is the one on the case as it is now.

    plan: a plan or its id in the case; None draws the anatomy alone. trajectory: 0 is the best. image: id, default the
    plan's, or the only one. hero: the whole sheet (scene, slices, fluoroscopy, straightened path); needs a plan.
    size: (width, height) px, default 1600 x 1200, for the sheet 1920 x 1200.

    Raises FileFormatError for any ending but .png, InputError (sheet without a plan, no such trajectory, folder that
    cannot be written to), MismatchError (plan made on another image), ChoiceError (image or plan not chosen).
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise FileFormatError(f"a scene to be written as {out.suffix or 'a file without ending'}", ".png")
    if hero and plan is None:
        raise InputError("a hero sheet without a plan", "a plan whose needle it shows", "Name it with --plan")
    chosen = case.plan(plan) if isinstance(plan, str) else plan
    image_id, volume = case.image(image or (chosen.provenance.image_id if chosen else ""))
    if chosen is not None:
        if chosen.provenance.image_digest != volume.digest:
            raise MismatchError(f"plan {chosen.id} with image {image_id}", "the image that the plan was made on")
        chosen = _judged_now(case, chosen, trajectory)
    if hero and chosen is not None:
        from navplan.view.hero import compose_hero

        shot, words = _bullseye(case, chosen, trajectory, image_id)
        picture = compose_hero(
            case, chosen, trajectory, fluoroscopy=shot, fluoroscopy_words=words, size=size or (1920, 1200),
            image_id=image_id,
        )  # fmt: skip
    else:
        from navplan.view.scene import draw_scene

        picture = draw_scene(case, chosen, trajectory, size=size or (1600, 1200), image_id=image_id)
    _write_png(picture, out)
    return out


def _judged_now(case: Case, plan: Plan, number: int) -> Plan:
    """The plan with that way's report made on the case as it is now: no stored verdict is drawn."""
    from dataclasses import replace

    from navplan.verbs.check import check

    if not 0 <= number < len(plan.trajectories):
        return plan  # refused by the drawing, with its own words
    ways = list(plan.trajectories)
    ways[number] = replace(ways[number], report=check(case, plan, trajectory=number))
    return replace(plan, trajectories=tuple(ways))


def _bullseye(case: Case, plan: Plan, trajectory: int, image_id: str) -> tuple[Any, tuple[str, ...]]:
    """The fluoroscopic view down the needle with its marks, (H, W, 3) uint8, and the lines to write below it."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from navplan.fluoroscopy.picture import shot_png
    from navplan.geometry.carm import dial_words
    from navplan.verbs.fluoro import fluoro

    shot = fluoro(case, view="bullseye", plan=plan, trajectory=trajectory, image=image_id)
    with Image.open(BytesIO(shot_png(shot))) as opened:
        picture = np.asarray(opened.convert("RGB"))
    detector = shot.image.detector
    picture = picture[: round(picture.shape[1] * detector.rows / detector.cols)]  # its own words would be too small
    dial = f"dial {dial_words(shot.dial)}" if shot.dial is not None else "dial angles not known"
    warnings = shot.overlay.warnings
    told = (f"! {warnings[0]}" + (f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""),) if warnings else ()
    return picture, (f"Down the needle: {shot.words}", f"{dial}  ·  simulated", *told)


def _write_png(picture: Any, out: Path) -> None:
    from PIL import Image

    from navplan.files.whole_file import whole_file

    with whole_file(out) as file:
        Image.fromarray(picture).save(file, format="PNG")
