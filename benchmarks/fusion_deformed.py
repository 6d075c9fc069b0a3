"""Registration that bends beside elastix: the same start, the same images, the same run; time and error as ratios.

    python -m benchmarks.fusion_deformed [--chest CASE] [--trials 4] [--most-mm 12]

A trunk in which smooth breathing is applied (and, with --chest, the image `ct` of a case too): along the body most at
the diaphragm, the belly forwards, to nothing at skin and spine, on a scale drawn anew in each trial; noise is added to
one image. The error is that of the map found against the one applied, over the body. Both engines start from the
images' own coordinates, on the same voxels and knots, in one thread, the map alone; elastix runs navplan's settings of
`imaging.deformable_elastix`. Also said: in what share of the body the stated error covers the true one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.bent_scenes import breathing, trunk
from navplan.imaging.deformable import register_deformable
from navplan.imaging.deformable_elastix import by_elastix, refuse_without_elastix
from navplan.imaging.deformable_search import USUAL, bent
from navplan.imaging.fusion_pair import FusionPair
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import open_case

FIRST_SEED = 100
NOISE_HU = 40.0
Motion = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def bent_image(volume: Volume, motion: Motion, rng: np.random.Generator) -> Volume:
    """The image whose place p shows what the volume shows at p + motion(p), linear, with noise."""
    found = np.empty(volume.grid.shape, dtype=np.int16)
    index = np.moveaxis(np.indices((*volume.grid.shape[:2], 1)), 0, -1)
    voxels = np.asarray(volume.voxels)
    for k in range(volume.grid.shape[2]):
        points = volume.grid.points_mm(index + np.array([0, 0, k]))
        at = np.moveaxis(volume.grid.indices(points + motion(points)), -1, 0)
        values = ndimage.map_coordinates(voxels, at, output=np.float32, order=1, mode="nearest")
        found[:, :, k : k + 1] = np.rint(values + rng.normal(0.0, NOISE_HU, values.shape))
    return replace(volume, voxels=np.clip(found, -1024, 3000))


def compared(name: str, moving: Volume, trials: int, most_mm: float) -> None:
    """Prints a row for each trial and the medians."""
    corners = moving.grid.corners_mm()
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + trials):
        rng = np.random.default_rng(seed)
        motion = breathing(corners.min(axis=0), corners.max(axis=0), most_mm * rng.uniform(0.6, 1.4))
        fixed = bent_image(moving, motion, rng)
        pair = FusionPair.of(fixed, moving)
        body = pair.fixed[-1].body_points_mm
        truth, row = motion(body), [float(np.linalg.norm(motion(body), axis=1).mean())]
        for engine in (bent, by_elastix):
            begin = time.process_time()
            field = engine(pair.fixed, pair.moving, np.eye(4), USUAL, lambda share: None)
            spent = time.process_time() - begin
            error = np.linalg.norm(field.at(body) - truth, axis=1)
            row += [float(error.mean()), float(np.percentile(error, 95)), spent]
        found = register_deformable(fixed, moving, start=np.eye(4))
        error = np.linalg.norm(found.to_moving(body) - body - truth, axis=1)
        row += [float((found.error_map.error_mm(body) >= error).mean()), float(found.good)]
        rows.append(row)
        print(f"{name} {seed}: " + " ".join(f"{one:.2f}" for one in row), flush=True)
    before, mine, mine95, spent, theirs, theirs95, theirs_spent, covered, good = np.median(rows, axis=0)
    print(
        f"{name}: before {before:.2f} mm; navplan {mine:.2f} (95 of 100: {mine95:.2f}) in {spent:.1f} s, elastix"
        f" {theirs:.2f} ({theirs95:.2f}) in {theirs_spent:.1f} s; ratio of errors {mine / theirs:.2f}, of times"
        f" {spent / theirs_spent:.2f}; stated error covers {covered:.1%}; good {good:.0f}",
        flush=True,
    )


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chest", metavar="CASE")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--most-mm", type=float, default=12.0)
    given = parser.parse_args()
    refuse_without_elastix()
    compared("trunk", trunk(3.0), given.trials, given.most_mm)
    if given.chest:
        compared("chest CT", open_case(given.chest).volumes["ct"], given.trials, given.most_mm)


if __name__ == "__main__":
    main()
