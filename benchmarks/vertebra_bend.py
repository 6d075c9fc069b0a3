"""Vertebra-wise registration on a real CT that is bent by known motions: error of each vertebra before and after.

    python -m benchmarks.vertebra_bend IMAGES [--mr] [--seed 1] [--degrees 4]

IMAGES: the folder that holds ts_abdomen_pelvis_ct. --mr: the bent image in the contrast of an MR. Before: the rigid map
of the whole that the images ask for.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bent_spine import bent, chain
from benchmarks.fusion_scenes import as_mr
from navplan.imaging.fusion import register_images
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.verbs.import_images import import_images
from navplan.verbs.register import register, with_registered
from navplan.verbs.segment import segment

LEVELS = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")


def bent_case(
    folder: Path, mr: bool, seed: int, degrees: float, names: tuple[str, ...] = LEVELS
) -> tuple[Case, str, list[Structure], list[NDArray[np.float64]]]:
    """A case with images ct (labelled) and bent, the vertebrae, and the true moving_from_fixed of each."""
    from_file = import_images(folder / "example_ct.nii.gz", modality="CT", patient_position="HFS")
    made = segment(from_file, labels=folder / "example_seg_fast_force_split.nii.gz", names=folder / "labels.json")
    image_id, volume = made.image("")
    there = made.structures_of(image_id)
    vertebrae = [
        there[f"vertebrae_{name}"] for name in names
        if f"vertebrae_{name}" in there and there[f"vertebrae_{name}"].presence is Presence.PRESENT
    ]  # fmt: skip
    rng = np.random.default_rng(seed)
    turns = rng.normal(0.0, degrees / 3, (len(vertebrae) - 1, 3)) + np.array([degrees, 0.0, 0.0])
    motions = chain(vertebrae, turns, rng.uniform(-1.0, 1.0, turns.shape))
    middle = motions[len(motions) // 2]
    motions = [np.linalg.inv(middle) @ one for one in motions]
    moved = bent(volume, vertebrae, motions)
    case: Case = made.with_volume("bent", as_mr(moved, rng) if mr else moved)
    return case, image_id, vertebrae, motions


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--mr", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--degrees", type=float, default=4.0)
    options = parser.parse_args()
    case, image_id, vertebrae, motions = bent_case(
        options.images / "ts_abdomen_pelvis_ct", options.mr, options.seed, options.degrees
    )
    begin, used = time.perf_counter(), time.process_time()
    whole = register_images(case.volumes[image_id], case.volumes["bent"], judged=False).transform.inverse()
    print(f"whole: {time.perf_counter() - begin:.1f} s, {time.process_time() - used:.1f} s of processor")
    begin, used = time.perf_counter(), time.process_time()
    case = register(case, image_id, "bent", kind="vertebrae")
    found = case.registration(image_id, "bent")
    print(f"vertebrae: {time.perf_counter() - begin:.1f} s, {time.process_time() - used:.1f} s of processor")
    print("| vertebra | before, mean mm | after, mean mm | after, 95 % mm | told, 95 %, mean mm | covered |")
    print("|---|---|---|---|---|---|")
    for one, motion in zip(vertebrae, motions, strict=True):
        points = one.voxel_centres_mm()
        true = points @ motion[:3, :3].T + motion[:3, 3]
        before = np.linalg.norm(whole.apply(points) - true, axis=1).mean()
        after = np.linalg.norm(found.to_moving(points) - true, axis=1)
        told = found.error_mm(points)
        name, mean_told = one.name.removeprefix("vertebrae_"), np.nanmean(told) if np.isfinite(told).any() else np.nan
        row = (before, after.mean(), np.quantile(after, 0.95), mean_told, (after <= told).mean())
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |")
    for check in found.checks:
        print(check.passed, check.words)
    assert with_registered(case, found)


if __name__ == "__main__":
    main()
