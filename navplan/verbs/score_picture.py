"""A scored attempt as a picture: its shafts beside the planned one, and beside another attempt's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.files.whole_file import whole_file
from navplan.geometry.table_angles import table_frame
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.reports.pictures import WINDOW_WORDS, as_the_patient_lies
from navplan.training.needle_path import NeedlePath
from navplan.training.outcome import SHORTEST_MM
from navplan.verbs.score import Score
from navplan.view.attempt_picture import ATTEMPT, OTHER, PLANNED, DrawnPath, attempt_picture
from navplan.view.slices import needle_planes
from navplan.view.windows import Window

NEAREST = 5  # structures that are outlined besides target and touched ones
SEEN_MM = 0.5  # by which the target has to have moved, to be drawn there too


def score_picture(score: Score, other: Score | None = None) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: two planes along the planned needle with the plan, all passes of the attempt, and the
    last needle of another one; what was touched is outlined. Structures stand where the image has them."""
    situation, way, outcome = score.ready.situation, score.ready.way, score.outcome
    touched = [row.name for row in outcome.structures if row.touched]
    names = [situation.target.structure, *touched, *(row.name for row in outcome.structures[:NEAREST])]
    outlined = {name: situation.structures[name] for name in dict.fromkeys(names) if name in situation.structures}
    planned = np.stack([np.asarray(way.entry_mm), way.point_at_mm(way.tip_depth_mm)])
    throw = way.device.throw_mm
    paths = [DrawnPath(planned, PLANNED, 6.0, "the plan", throw)]
    if other is not None and other.last is not None:
        paths.append(DrawnPath(other.last.points_mm, OTHER, 3.0, f"{other.who}, seed {other.head.seed}", throw))
    paths += [DrawnPath(path.points_mm, ATTEMPT, 1.5) for path in _passes(score)]
    if score.last is not None:
        paths.append(DrawnPath(score.last.points_mm, ATTEMPT, 3.0, f"{score.who}, seed {score.head.seed}", throw))
    lung = any(anatomy_of(section.structure).tissue is Tissue.LUNG for section in score.ready.promised.path)
    window = Window.WIDE if lung else Window.BONE if score.ready.scenario.into_bone else Window.SOFT_TISSUE
    off = score.ready.patient.target_shift_mm(outcome.breath) if outcome.last is not None else np.zeros(3)
    frame = table_frame(situation.patient_position)
    planes = [as_the_patient_lies(plane, frame) for plane in needle_planes(way)[:2]]
    log = score.replay.attempt.log
    at = [entry.needle.tip_mm for entry in log if entry.needle and any(one.kind == "touched" for one in entry.events)]
    return attempt_picture(
        situation.image, planes, outlined, paths, target=situation.target.structure, touched=touched,
        touched_at_mm=at, window=window, lines=_lines(score, window),
        target_off_mm=off if np.linalg.norm(off) >= SEEN_MM else None,
    )  # fmt: skip


def write_picture(path: str | Path, score: Score, other: Score | None = None) -> Path:
    """The same as a PNG, whole or not at all. Raises InputError where it cannot be written."""
    from PIL import Image

    drawn = score_picture(score, other)
    with whole_file(path) as file:
        Image.fromarray(drawn).save(file, format="PNG")
    return Path(path)


def _passes(score: Score) -> list[NeedlePath]:
    """The deepest shaft of each time that the needle was set on the skin, without that of the last needle."""
    found: list[NeedlePath] = []
    deepest: NeedlePath | None = None
    for entry, path in zip(score.replay.attempt.log, score.replay.paths, strict=True):
        if entry.action["do"] == "place" and deepest is not None:
            found.append(deepest)
            deepest = None
        if path is not None and path.inserted_mm > (deepest.inserted_mm if deepest is not None else SHORTEST_MM):
            deepest = path
    return found


def _lines(score: Score, window: Window) -> list[str]:
    words = "wide window (-350 / 1400 HU)" if window is Window.WIDE else WINDOW_WORDS[window]
    lines = [f"{score.ready.scenario.title}: {score.path.name}; {score.replay.words}; {words}"]
    told = "solid: within half a slice of the plane; dashed: before or behind it; thin: earlier passes, and throws"
    breath = score.ready.scenario.breath
    moves = f"; what moves with breath ({', '.join(breath.structures)}) stands as in the image" if breath else ""
    return [*lines, told + moves, "Simulated. For research, training and rehearsal; not for clinical use."]
