"""The segmenters against the labels of real CTs and MRs: Dice, 95 % surface distance and seconds, as a page.

    python benchmarks/segmenters.py IMAGES --out docs/segmenters-measured.md

IMAGES: the folder that holds the images of benchmarks/segmenter_rows.py. The labels are a network's, not a person's,
except the mass's, the cord's and the sarcoma's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import vessel_phantoms
from benchmarks.segmenter_body import body_lines, body_results
from benchmarks.segmenter_chest import chest_lines, chest_results
from benchmarks.segmenter_measures import dice, mask_of, surface_distance_mm
from benchmarks.segmenter_rows import ABDOMEN, ABDOMEN_MR, CHEST, NECK_MR, ROWS, THIGH_MR, THORAX, Row
from navplan.errors import InputError
from navplan.extend.registry import SEGMENTERS, load
from navplan.imaging.canonical import closed
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment

Mask = NDArray[np.bool_]
PROSE = Path(__file__).with_name("segmenters_page.md")  # what the page says before its tables
FILES = {
    CHEST: ("cxr_int16.nii.gz", "mask.nii.gz", "structures.csv"),
    ABDOMEN: ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", "labels.json"),
    THORAX: ("example_ct.nii.gz", "models", ""),
    ABDOMEN_MR: ("example_mr_sm.nii.gz", "example_seg_mr.nii.gz", ""),
    NECK_MR: ("t2.nii.gz", "t2_seg-manual.nii.gz", "drawn_cord"),
    THIGH_MR: ("MR_T1/image", "MR_T1/mask", "drawn_tumour"),
}
MR = (ABDOMEN_MR, NECK_MR, THIGH_MR)


@dataclass(frozen=True)
class Result:
    """Of one row: Dice, 95 % surface distance in mm, seconds of its segmenter.

    refused: why nothing came, "unknown" where the segmenter says so. doubted: whether it came with an outline_doubt.
    """

    row: Row
    dice: float = float("nan")
    distance_mm: float = float("nan")
    seconds: float = float("nan")
    refused: str = ""
    doubted: bool = False


def labelled_case(images: Path, name: str) -> Case:
    """The image of a folder as a case with its labels."""
    image, labels, names = FILES[name]
    folder = images / name
    if name in MR:
        case = import_images(folder / image, image_id="mr", modality="" if name == THIGH_MR else "MR")
        if name == ABDOMEN_MR:
            return segment(case, labels=folder / labels)
        mapped = {1: names} if name == NECK_MR else None
        case = segment(case, labels=folder / labels, names=mapped)
        return case if mapped else case.with_structures(replace(next(iter(case.structures.values())), name=names))
    case = import_images(folder / image, image_id="ct", patient_position="HFS")
    case = segment(case, labels=folder / labels, names=folder / names if names else None)
    if name == CHEST:
        from tests.real_lidc import mass_mask

        volume = case.image()[1]
        mask = mass_mask(folder, volume.grid)
        case = case.with_structures(structure_from_mask(mask, volume.grid, "mass", "ct", "readers", volume.grid))
    return case


def results(case: Case, rows: list[Row]) -> list[Result]:
    """Every row of one image; a segmenter runs once for rows of the same seeds."""
    image_id, volume = case.image()
    ran: dict[tuple[object, ...], tuple[dict[str, Structure], float, str]] = {}
    found = []
    for row in rows:
        key = (row.segmenter, row.seeds_mm, row.name)
        if key not in ran:
            ran[key] = _run(row, volume, image_id)
        made, seconds, refused = ran[key]
        if refused:
            found.append(Result(row, seconds=seconds, refused=refused))
            continue
        mine = _union(volume, made, row.found)
        truth = _union(volume, case.structures, row.labels)
        if row.below_hu is not None:
            truth = truth & (volume.voxels < row.below_hu)
        doubted = any(made[name].outline_doubt for name in row.found if name in made)
        if not mine.any():
            found.append(Result(row, seconds=seconds, refused="unknown"))
            continue
        spacing = np.asarray(volume.grid.spacing_mm)
        if row.beside_gaps_mm:
            mine &= ~_gaps(case, truth, row.beside_gaps_mm)
        if row.in_slices:
            sliced = truth.any(axis=(0, 1))
            mine, truth = mine[:, :, sliced], truth[:, :, sliced]
        found.append(Result(row, dice(mine, truth), surface_distance_mm(mine, truth, spacing), seconds, "", doubted))
    return found


def _run(row: Row, volume: Volume, image_id: str) -> tuple[dict[str, Structure], float, str]:
    segmenter = load(SEGMENTERS, row.segmenter)
    began = time.perf_counter()
    try:
        if row.seeds_mm:
            made = segmenter.segment_from(volume, image_id, np.asarray(row.seeds_mm, dtype=float), row.name)
        else:
            made = segmenter.segment(volume, image_id)
    except InputError as error:
        return {}, time.perf_counter() - began, f"refused: {error.received}"
    return {one.name: one for one in made}, time.perf_counter() - began, ""


def _gaps(case: Case, truth: Mask, half_width_mm: float) -> Mask:
    """Voxels without any label in the gaps of the labels `truth` that a closing by half_width_mm fills."""
    volume = case.image()[1]
    labelled = _union(volume, case.structures, tuple(case.structures))
    spacing = volume.grid.spacing_mm
    return np.asarray(closed(truth, half_width_mm, (spacing[0], spacing[1], spacing[2])) & ~labelled)


def _union(volume: Volume, structures: Mapping[str, Structure], names: tuple[str, ...]) -> Mask:
    mask = np.zeros(volume.grid.shape, dtype=bool)
    for name in names:
        if name in structures:
            mask |= mask_of(volume.grid, structures[name])
    return mask


def page(found: dict[str, list[Result]], more: list[str]) -> str:
    """The page in Markdown; `more` lines come after the tables of the rows."""
    lines = [PROSE.read_text(encoding="utf-8").strip(), ""]
    for name, rows in found.items():
        lines += [
            f"## {name}",
            "",
            "| segmenter | structure | compared with | seeds | Dice | aim | 95 % surface, mm | in doubt | s |",
        ]
        lines.append("|---|---|---|--:|--:|---|--:|---|--:|")
        for result in rows:
            row = result.row
            start = f"| `{row.segmenter}` | {row.title} | {row.against} | {len(row.seeds_mm)} |"
            if result.refused:
                lines.append(f"{start} {result.refused} | {_aim(row, 0.0)} | | | {result.seconds:.1f} |")
                continue
            distance = "" if np.isnan(result.distance_mm) else f"{result.distance_mm:.1f}"
            told = f"{_aim(row, result.dice)} | {distance} | {'yes' if result.doubted else ''}"
            lines.append(f"{start} {result.dice:.3f} | {told} | {result.seconds:.1f} |")
        lines.append("")
    lines += ["## Vessels of known radius", "", *vessel_phantoms.lines(), ""]
    return "\n".join([*lines, *more]).rstrip() + "\n"


def _aim(row: Row, reached: float) -> str:
    return "" if row.aim is None else f"{row.aim:.2f}: {'met' if reached >= row.aim else '**not met**'}"


def main(images: Path, out: Path, say: Callable[[str], object] = print) -> None:
    """Measure all rows and write the page."""
    found = {}
    for name in (CHEST, ABDOMEN, THORAX, *MR):
        found[name] = results(labelled_case(images, name), [row for row in ROWS if row.image == name])
        for result in found[name]:
            say(f"{name} {result.row.title}: {result.dice:.3f} {result.distance_mm:.1f} mm {result.refused}")
    bodies = list(body_results(images))
    chest = chest_results(images)
    for line in (*body_lines(bodies), *chest_lines(chest)):
        say(line)
    out.write_text(page(found, [*body_lines(bodies), *chest_lines(chest)]), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    main(chosen.images, chosen.out)
