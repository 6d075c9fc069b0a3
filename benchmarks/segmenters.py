"""The segmenters against the labels of three real CTs: Dice, 95 % surface distance and seconds, as a page.

    python benchmarks/segmenters.py IMAGES --out docs/segmenters-measured.md

IMAGES: the folder that holds lidc0001_chest_ct, ts_abdomen_pelvis_ct and ts_thorax_cta_dissection. The labels are a
network's, not a person's, except the mass's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.segmenter_rows import ABDOMEN, CHEST, ROWS, THORAX, Row
from navplan.errors import InputError
from navplan.extend.registry import SEGMENTERS, load
from navplan.geometry.grid import Grid
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
}


@dataclass(frozen=True)
class Result:
    """Of one row: Dice, 95 % surface distance in mm, seconds of its segmenter.

    refused: why nothing came, "unknown" where the segmenter says so.
    """

    row: Row
    dice: float = float("nan")
    distance_mm: float = float("nan")
    seconds: float = float("nan")
    refused: str = ""


def mask_of(grid: Grid, structure: Structure) -> Mask:
    """A structure's voxels [i, j, k] of at least half occupancy on an image's grid, at the nearest voxel."""
    mask = np.zeros(grid.shape, dtype=bool)
    if structure.occupancy is not None and structure.grid is not None:
        points = structure.grid.points_mm(np.argwhere(structure.occupancy >= 128))
        indices = np.rint(grid.indices(points)).astype(int)
        indices = indices[((indices >= 0) & (indices < grid.shape)).all(axis=1)]
        mask[tuple(indices.T)] = True
    return mask


def dice(first: Mask, second: Mask) -> float:
    """2 |A and B| / (|A| + |B|), 0 where both are empty."""
    both = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / max(1, both)


def surface_distance_mm(first: Mask, second: Mask, spacing_mm: NDArray[np.float64]) -> float:
    """95th percentile of the distances between the two masks' outermost voxels, both ways; NaN where one is empty."""
    if not first.any() or not second.any():
        return float("nan")
    box = tuple(
        slice(max(0, used[0] - 1), used[-1] + 2)
        for used in (
            np.flatnonzero((first | second).any(axis=tuple(other for other in range(3) if other != axis)))
            for axis in range(3)
        )
    )
    edges = [mask[box] & ~ndimage.binary_erosion(mask[box], border_value=1) for mask in (first, second)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing_mm) for edge in edges]
    return float(np.percentile(np.concatenate([away[1][edges[0]], away[0][edges[1]]]), 95))


def labelled_case(images: Path, name: str) -> Case:
    """The image of a folder as a case with its labels."""
    image, labels, names = FILES[name]
    folder = images / name
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
        if not mine.any():
            found.append(Result(row, seconds=seconds, refused="unknown"))
            continue
        spacing = np.asarray(volume.grid.spacing_mm)
        if row.beside_gaps_mm:
            mine &= ~_gaps(case, truth, row.beside_gaps_mm)
        if row.in_slices:
            sliced = truth.any(axis=(0, 1))
            mine, truth = mine[:, :, sliced], truth[:, :, sliced]
        found.append(Result(row, dice(mine, truth), surface_distance_mm(mine, truth, spacing), seconds))
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


def page(found: dict[str, list[Result]]) -> str:
    """The page in Markdown."""
    lines = [PROSE.read_text(encoding="utf-8").strip(), ""]
    for name, rows in found.items():
        lines += [
            f"## {name}",
            "",
            "| segmenter | structure | compared with | seeds | Dice | aim | 95 % surface, mm | s |",
        ]
        lines.append("|---|---|---|--:|--:|---|--:|--:|")
        for result in rows:
            row = result.row
            start = f"| `{row.segmenter}` | {row.title} | {row.against} | {len(row.seeds_mm)} |"
            if result.refused:
                lines.append(f"{start} {result.refused} | {_aim(row, 0.0)} | | {result.seconds:.1f} |")
                continue
            distance = "" if np.isnan(result.distance_mm) else f"{result.distance_mm:.1f}"
            lines.append(f"{start} {result.dice:.3f} | {_aim(row, result.dice)} | {distance} | {result.seconds:.1f} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _aim(row: Row, reached: float) -> str:
    return "" if row.aim is None else f"{row.aim:.2f}: {'met' if reached >= row.aim else '**not met**'}"


def main(images: Path, out: Path, say: Callable[[str], object] = print) -> None:
    """Measure all rows and write the page."""
    found = {}
    for name in (CHEST, ABDOMEN, THORAX):
        found[name] = results(labelled_case(images, name), [row for row in ROWS if row.image == name])
        for result in found[name]:
            say(f"{name} {result.row.title}: {result.dice:.3f} {result.distance_mm:.1f} mm {result.refused}")
    out.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    main(chosen.images, chosen.out)
