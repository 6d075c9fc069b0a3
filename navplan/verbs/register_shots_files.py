"""A registration to real pictures as files: result.json, and each picture with the CT's outlines over it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import InputError
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.verbs.given_shots import MOST_SHOTS
from navplan.verbs.register_shots import RegisteredShots, as_data

if TYPE_CHECKING:
    from navplan.fluoroscopy.drr import ProjectedCt

RESULT = "result.json"


def refuse_folder(folder: str | os.PathLike[str]) -> None:
    """Raises InputError for a place that cannot be a folder: told before long work."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}, which is a file", "a folder, or a name for a new one")


def save_registered_shots(
    result: RegisteredShots, ct: ProjectedCt, folder: str | os.PathLike[str],
    outlined: Sequence[Structure] = (), way: Trajectory | None = None,
) -> tuple[Path, ...]:  # fmt: skip
    """Write result.json and overlay-1.png ..., all of them or none, over an earlier result. Raises InputError for a
    folder that cannot be written to."""
    from navplan.files.files_together import write_together

    files = {RESULT: json.dumps(as_data(result), indent=1, ensure_ascii=False).encode()}
    for number in range(len(result.shots)):
        files[f"overlay-{number + 1}.png"] = overlay(result, number, ct, outlined, way)
    target = Path(folder)
    new = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target}: {error.strerror or error}", "a folder that can be written to") from error
    try:
        written = write_together(target, files)
        for number in range(len(result.shots) + 1, MOST_SHOTS + 1):  # of a result that lay here before
            (target / f"overlay-{number}.png").unlink(missing_ok=True)
        return written
    except BaseException:
        if new and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        raise


def overlay(
    result: RegisteredShots, number: int, ct: ProjectedCt, outlined: Sequence[Structure] = (),
    way: Trajectory | None = None,
) -> bytes:  # fmt: skip
    """A PNG of picture `number` (0 the first) with the CT's edges, outlines, way and target, and the expected error."""
    from navplan.fluoroscopy.solid import Solid
    from navplan.view.shot_overlay import ct_edges, overlay_png

    posed, given = result.posed(number), result.shots[number]
    marks = posed.marks([Solid(one) for one in outlined], way)
    if way is not None:
        marks += posed.error_marks(result.found, way)
    pixels = posed.ct_picture(ct)
    place = given.place
    assert place.pixel_mm is not None and place.sid_mm is not None and place.sod_mm is not None
    strength = ct_edges(pixels, place.pixel_mm * place.sod_mm / place.sid_mm)
    told = [f"{given.words}; CT {result.image_id}, start: {result.start_words}", *result.words[1:]]
    bad = [] if result.found.good else [result.words[0]]
    words = [*([] if bad else [result.words[0]]), *told, "Research and training only"]
    return overlay_png(
        given.grey, pixels, strength, marks, posed.letters, given.words, "" if result.found.good else result.word,
        words, [*bad, *result.warnings],
    )  # fmt: skip
