"""block: a training block about the ways of a plan, to be printed, touched, scanned and rehearsed on.

    block = make_block(case, plan, out="block/")        # block.stl, block.json, the sheet, tables, landmarks, a picture
    found = find_block(scan, block)                     # where it lies in a scan, by the balls in its pits
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from navplan.errors import ChoiceError, InputError
from navplan.imaging.block_solid import block_surface
from navplan.imaging.find_block import BlockFound, find_block
from navplan.imaging.surfaces import Surface, surface_of
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.planning.block_design import BlockSizes, design_block
from navplan.verbs.check import checked_way
from navplan.verbs.navigate import plan_named

__all__ = ["BlockFound", "BlockSizes", "find_block", "make_block"]
SOLID_STEP_MM = 0.7  # of the grid that a structure's surface is cut from


def make_block(
    case: Case,
    plan: Plan | str | Path,
    *,
    ways: Sequence[int] = (0,),
    structures: Sequence[str] = (),
    sizes: BlockSizes | None = None,
    out: str | Path = "",
    progress: Callable[[str, float], None] = lambda words, share: None,
) -> TrainingBlock:
    """A block about ways of a plan (counted from 0; the first has its entry on the top face), each judged anew.

    structures: present ones, each as a closed surface of its own in the block's frame. out: a folder, made if need be,
    that all files are written to, or none: block.stl, structure-NAME.stl, block.json, sheet.html, ways.csv,
    fiducials.csv, landmarks.csv, measured.csv, block.png. Without one nothing is written.

    Raises MismatchError for a plan of another image or patient, ChoiceError for a way or structure that is none,
    InputError for ways that no block holds, and a folder that cannot be written to.
    """
    found = plan_named(case, plan)
    if len(set(ways)) < len(ways):
        raise InputError(f"ways {', '.join(str(way + 1) for way in ways)}", "each way once")
    with ExitStack() as stack:
        if str(out):
            stack.enter_context(_folder(Path(out)))
        block, solids = _made(case, found, plan, ways, structures, sizes or BlockSizes(), progress)
        if str(out):
            _write(block, solids, Path(out), progress)
    return block


def _made(
    case: Case, found: Plan, plan: Plan | str | Path, ways: Sequence[int], structures: Sequence[str], sizes: BlockSizes,
    progress: Callable[[str, float], None],
) -> tuple[TrainingBlock, dict[str, Surface]]:  # fmt: skip
    progress("judging", 0.0)
    checked = [checked_way(case, found, number, from_file=isinstance(plan, Path)) for number in ways]
    image_id = found.provenance.image_id
    made = design_block(
        [(number + 1, one.trajectory) for number, one in zip(ways, checked, strict=True)], found.id, image_id,
        case.volumes[image_id].digest, sizes,
    )  # fmt: skip
    notes = [
        f"{way.name} of plan {found.id}, judged when the block was made: {one.report.verdict.value},"
        f" {one.report.headline}"
        for way, one in zip(made.ways, checked, strict=True)
    ]
    block = replace(made, notes=(*notes, *made.notes, *_outside(case, made)))
    return block, {name: _solid(case, image_id, name, block) for name in structures}


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Made before any work is done. Raises InputError."""
    from navplan.files.durable import folder_made

    with ExitStack() as stack:
        try:
            stack.enter_context(folder_made(folder))
        except OSError as error:
            raise InputError(
                f"folder {folder}: {error.strerror or error}", "a folder that can be written to", "Choose another"
            ) from error
        yield


def _outside(case: Case, block: TrainingBlock) -> list[str]:
    """Pits that the image does not hold: they are none of its landmarks."""
    within = case.volumes[block.image].grid.contains(block.transform.apply(block.pits_mm))
    names = [name for name, inside in zip(block.names, within, strict=True) if not inside]
    if not names:
        return []
    return [f"{', '.join(names)} lie outside image {block.image}: navplan calibrate refuses them with that image"]


def _solid(case: Case, image_id: str, name: str, block: TrainingBlock) -> Surface:
    structure = case.structures_of(image_id).get(name)
    if structure is None or structure.occupancy is None or structure.grid is None:
        present = [one.name for one in case.structures_of(image_id).values() if one.occupancy is not None]
        raise ChoiceError(
            f"structure {name!r}, of which there is no shape", ", ".join(sorted(present)) or "none is present"
        )
    found = surface_of(structure.occupancy, structure.grid, SOLID_STEP_MM, np.iinfo(np.int64).max)
    check_closed(found.triangles, name)
    turn = block.transform.matrix[:3, :3]
    return Surface(block.transform.inverse().apply(found.points_mm), found.normals @ turn, found.triangles)


def _write(
    block: TrainingBlock, solids: dict[str, Surface], folder: Path, progress: Callable[[str, float], None]
) -> None:
    from navplan.files.block_file import block_bytes, landmarks_csv, marks_csv, measured_csv, stl_bytes, ways_csv
    from navplan.files.durable import file_stem
    from navplan.files.files_together import write_together
    from navplan.reports.block_sheet import block_sheet_html
    from navplan.view.block_picture import block_png

    progress("its surface", 0.2)
    surface = block_surface(block)
    told = f"block {block.id}, mm, z up"
    files = {"block.stl": stl_bytes(surface.points_mm, surface.triangles, told)}
    for name, solid in solids.items():
        words = f"{name}, in the frame of {told}"
        files[f"structure-{file_stem(name)}.stl"] = stl_bytes(solid.points_mm, solid.triangles, words)
    progress("its picture", 0.7)
    files |= {
        "block.json": block_bytes(block), "sheet.html": block_sheet_html(block).encode(), "ways.csv": ways_csv(block),
        "fiducials.csv": marks_csv(block), "landmarks.csv": landmarks_csv(block), "measured.csv": measured_csv(block),
        "block.png": block_png(block, surface),
    }  # fmt: skip
    progress("writing", 0.95)
    write_together(folder, files)
    progress("done", 1.0)
