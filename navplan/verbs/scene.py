"""scene: a case, and a plan's needle in it, as a picture, as a page to turn about, or as meshes for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.errors import FileFormatError, InputError, MismatchError

if TYPE_CHECKING:
    from navplan.model.case import Case
    from navplan.model.plan import Plan
    from navplan.view.scene_fusion import Fused

__all__ = ["scene"]

_ENDINGS = (".png", ".html", ".glb")


def scene(
    case: Case,
    *,
    plan: Plan | str | None = None,
    trajectory: int = 0,
    image: str = "",
    out: str | Path,
    hero: bool = False,
    size: tuple[int, int] | None = None,
    fused: Fused | str | None = None,
) -> Path:
    """Write the three-dimensional scene to a file, whole or not at all; returns its path.

    .png: a picture. .html: a page to hand on: one file without anything outside it, turned by mouse, touch and keys.
    .glb: the meshes as binary glTF. The way that is drawn is judged anew: the verdict is the one on the case as it is
    now. None of them holds more of the patient than position, kind and date of the image, and names of structures.

    plan: a plan or its id in the case; None draws the anatomy alone. trajectory: 0 is the best. image: id, default the
    plan's, or the only one. hero: the whole sheet (scene, slices, fluoroscopy, straightened path); needs a plan.
    size: (width, height) px of a picture, default 1600 x 1200, for the sheet 1920 x 1200. fused: id of a second image
    that is shown over the image in three planes, or all that can be chosen of it; never in the sheet.

    Raises FileFormatError for any ending but these three, InputError (sheet or size of what is no picture, sheet
    without a plan, no such trajectory, folder that cannot be written to), MismatchError (plan made on another image),
    ChoiceError (image or plan not chosen; a second image that nothing ties to the first).
    """
    out = Path(out)
    kind = out.suffix.lower()
    if kind not in _ENDINGS:
        raise FileFormatError(
            f"a scene to be written as {out.suffix or 'a file without ending'}", " or ".join(_ENDINGS),
            ".png is a picture, .html a page to turn about, .glb meshes for other programs",
        )  # fmt: skip
    if kind != ".png" and (hero or size is not None):
        raise InputError(f"{'a hero sheet' if hero else 'a size in pixels'} as {kind}", ".png")
    if hero and plan is None:
        raise InputError("a hero sheet without a plan", "a plan whose needle it shows", "Name it with --plan")
    if hero and fused is not None:
        raise InputError("a second image in a hero sheet", "the scene alone", "Leave out --hero or --fused")
    over = _fused(fused)
    chosen = case.plan(plan) if isinstance(plan, str) else plan
    image_id, volume = case.image(image or (chosen.provenance.image_id if chosen else ""))
    if chosen is not None:
        if chosen.provenance.image_digest != volume.digest:
            raise MismatchError(f"plan {chosen.id} with image {image_id}", "the image that the plan was made on")
        chosen = _judged_now(case, chosen, trajectory)
    if kind == ".html":
        from navplan.view.scene_page import scene_page

        _write(scene_page(case, chosen, trajectory, image_id=image_id, fused=over).encode("utf-8"), out)
    elif kind == ".glb":
        from navplan.view.scene_glb import scene_glb

        _write(scene_glb(case, chosen, trajectory, image_id=image_id, fused=over), out)
    else:
        _write_png(_picture(case, chosen, trajectory, image_id, hero, size, over), out)
    return out


def _picture(
    case: Case, plan: Plan | None, trajectory: int, image_id: str, hero: bool, size: tuple[int, int] | None,
    fused: Fused | None,
) -> Any:  # fmt: skip
    """(H, W, 3) uint8: the scene, or the sheet around it."""
    if not hero or plan is None:
        from navplan.view.scene import draw_scene

        return draw_scene(case, plan, trajectory, size=size or (1600, 1200), image_id=image_id, fused=fused)
    from navplan.view.hero import compose_hero

    shot, words = _bullseye(case, plan, trajectory, image_id)
    return compose_hero(
        case, plan, trajectory, fluoroscopy=shot, fluoroscopy_words=words, size=size or (1920, 1200), image_id=image_id
    )


def _fused(asked: Fused | str | None) -> Fused | None:
    from navplan.view.scene_fusion import Fused

    return Fused(asked) if isinstance(asked, str) else asked


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


def _write(data: bytes, out: Path) -> None:
    from navplan.files.whole_file import whole_file

    with whole_file(out) as file:
        file.write(data)
