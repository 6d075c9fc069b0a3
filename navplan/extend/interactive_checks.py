"""What an interactive segmenter may give back, and the test of one in one line.

    check_interactive(MySegmenter)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from navplan.errors import InputError
from navplan.extend.contract_checks import AT_ONCE_S
from navplan.geometry.grid import Grid
from navplan.model.seams import InteractiveDrawing, InteractiveSegmenter
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

PROMPTS = ("point", "scribble", "lasso", "box")
OFF_GRID = 1e-3  # of a voxel, that voxels may lie beside those of the image


def refuse_misfit(found: Any, image_id: str, grid: Grid, by: str) -> Structure:
    """The structure that an interactive segmenter gave, if it can be one of this image.

    grid: of the image. Raises InputError for anything else: no Structure, of another image or frame, said to be absent,
    voxels that are not voxels of the image or lie outside it, shares that are none.
    """
    if not isinstance(found, Structure):
        raise InputError(f"{by} gave {type(found).__name__}", "a Structure")
    if found.image_id != image_id:
        raise InputError(f"{by} gave a structure of image {found.image_id[:80]!r}", image_id)
    if found.presence is Presence.ABSENT:
        raise InputError(f"{by} gave a structure that is absent", "present or unknown: only a person states the other")
    if found.grid is None or found.occupancy is None:
        return found
    own = found.grid
    if own.frame_uid != grid.frame_uid:
        raise InputError(f"{by} gave a structure in frame {own.frame_uid!r}", f"the image's, {grid.frame_uid!r}")
    ends = grid.indices(own.points_mm(np.array([(0, 0, 0), own.shape]) - [(0, 0, 0), (1, 1, 1)]))
    turned = np.abs(own.affine[:3, :3] - grid.affine[:3, :3]).max() > OFF_GRID * grid.spacing_mm.min()
    if turned or np.abs(ends - np.rint(ends)).max() > OFF_GRID:
        raise InputError(f"{by} gave voxels on another grid", "the image's own voxels")
    if (np.rint(ends) < 0).any() or (np.rint(ends) >= np.asarray(grid.shape)).any():
        raise InputError(f"{by} gave voxels outside the image", "voxels inside it")
    if not found.fractional and ((found.occupancy > 0) & (found.occupancy < 255)).any():
        raise InputError(f"{by} gave shares of voxels that it calls hard labels", "0 and 255")
    return found


def check_interactive(segmenter: Any) -> Structure:
    """Run an interactive segmenter on a small image and judge what it gives; gives the structure after one point.

    Raises InputError: a part of the seam is missing, a `fault` or `place` that does not return at once or is no text, a
    prompt that no person can draw, the image was changed, a structure that is none of this image, voxels left after a
    reset, or a drawing that goes on after it was closed. One with a fault is not opened: its words are the error.
    """
    made = segmenter() if isinstance(segmenter, type) else segmenter
    at = f"interactive segmenter {_part_of(made, InteractiveSegmenter)}"
    fault = _at_once(f"{at}, fault", made.fault)
    if fault or _at_once(f"{at}, place", made.place) is None:
        raise InputError(f"{at}: {fault}", "one that can be used")
    volume = _small_image()
    before = volume.digest
    drawing = made.open(volume, "check", "check")
    try:
        _part_of(drawing, InteractiveDrawing)
        odd = sorted(set(drawing.prompts) - set(PROMPTS))
        if odd or not drawing.prompts:
            raise InputError(f"{at} takes {', '.join(map(str, odd)) or 'nothing'}", ", ".join(PROMPTS))
        kind = next(one for one in PROMPTS if one in drawing.prompts)
        places = volume.grid.points_mm([[14.0, 12.0, 11.0], [18.0, 12.0, 11.0], [18.0, 16.0, 11.0], [14.0, 16.0, 11.0]])
        given = {"point": (places[0],), "scribble": (places[:2],), "lasso": (places,), "box": (places[0], places[2])}
        found = refuse_misfit(getattr(drawing, kind)(*given[kind]), "check", volume.grid, at)
        if refuse_misfit(drawing.reset(), "check", volume.grid, at).presence is not Presence.UNKNOWN:
            raise InputError(f"{at}: voxels after a reset", "a structure that is unknown")
    finally:
        drawing.close()
        drawing.close()
    if not drawing.over:
        raise InputError(f"{at}: it goes on after it was closed", "`over` with the reason")
    if Volume(volume.voxels, volume.grid).digest != before:
        raise InputError(f"{at} changed the image", "an image that is left as it is")
    return found


def _at_once(what: str, call: Callable[[], Any]) -> str:
    began = time.monotonic()
    found = call()
    if time.monotonic() - began > AT_ONCE_S or not isinstance(found, str):
        raise InputError(f"{what}: {type(found).__name__} after {time.monotonic() - began:.1f} s", "text, at once")
    return found


def _part_of(made: Any, seam: Any) -> str:
    parts = {part for part in vars(seam) if not part.startswith("_")} | set(getattr(seam, "__annotations__", ()))
    missing = [part for part in sorted(parts) if not hasattr(made, part)]
    if missing:
        raise InputError(
            f"{type(made).__name__} without {', '.join(missing)}", f"all of navplan.model.seams.{seam.__name__}"
        )
    return str(getattr(made, "name", ""))


def _small_image() -> Volume:
    """A ball of soft tissue in air on flipped axes of three spacings."""
    shape = (32, 28, 24)
    places = np.moveaxis(np.indices(shape), 0, -1)
    voxels = np.where(np.linalg.norm(places - (16, 14, 11), axis=-1) <= 8.0, 40, -1000).astype(np.int16)
    affine = np.diag([-0.9, 1.1, -2.0, 1.0])
    affine[:3, 3] = (40.0, -50.0, 100.0)
    return Volume(voxels, Grid(affine, shape, "1.2.3"))
