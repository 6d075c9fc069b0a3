"""Lesions of known shape planted in a real liver, outlined by ct-region from one seed each: a table.

    python benchmarks/planted_lesions.py IMAGES [--places 4]

IMAGES: the folder that holds crlm1004_abdomen_ct. A ball is blurred by 0.8 mm and averaged over the slice's thickness;
inside it the tissue's own level gives way to the liver's plus the contrast, and the image's texture stays (cut at 30
HU, so that vessels nearly vanish). Seeds lie up to 0.4 radii from the middle. "deep" balls lie wholly in the liver;
the middle of an "edge" one is 0.3 to 0.8 radii inside its surface, and what lies outside it counts to the ball.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.segmenter_measures import dice
from navplan.errors import InputError
from navplan.imaging.region import grown
from navplan.imaging.working import Step, WorkingCt
from navplan.verbs.import_images import import_images

IMAGE = "crlm1004_abdomen_ct"
LIVER_SEED_MM = (-111.0, 11.0, -265.0)  # LPS
RADII_MM, CONTRASTS_HU = (5.0, 8.0, 12.0, 20.0), (-20.0, -40.0, -60.0, 40.0)
BLUR_MM, TEXTURE_MM, TEXTURE_HU = 0.8, 4.0, 30.0
EVEN_HU = 20.0  # of the liver's level: what its smoothed values may differ by where lesions are planted
GOOD = 0.75  # Dice below it is wrong
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tried:
    """One ball: Dice of what came (nan: refused), and whether it came in doubt."""

    dice: float
    doubted: bool = False


def planted(
    hu: NDArray[np.float32], middle: NDArray[np.intp], radius_mm: float, level_hu: float, step: Step
) -> tuple[NDArray[np.float32], Mask]:
    """hu[left, posterior, superior] with a ball of level_hu about the voxel `middle`, and the ball's mask."""
    room = [int((radius_mm + 4) / mm) + 1 for mm in step]
    box = tuple(slice(max(0, m - r), m + r + 1) for m, r in zip(middle.tolist(), room, strict=True))
    axes = [
        (np.arange(b.start, min(b.stop, n)) - m) * mm for b, n, m, mm in zip(box, hu.shape, middle, step, strict=True)
    ]
    across = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2
    share = np.zeros(tuple(len(axis) for axis in axes))
    for part in (np.arange(10) + 0.5) / 10 - 0.5:
        sharp = across + (axes[2] + part * step[2])[None, None, :] ** 2 <= radius_mm**2
        share += ndimage.gaussian_filter(sharp.astype(float), (BLUR_MM / step[0], BLUR_MM / step[1], 0)) / 10
    part_hu = hu[box]
    away = ndimage.gaussian_filter(part_hu, (TEXTURE_MM / step[0], TEXTURE_MM / step[1], 0))
    texture = np.clip(part_hu - away, -TEXTURE_HU, TEXTURE_HU)
    result, truth = hu.copy(), np.zeros(hu.shape, dtype=bool)
    result[box] = (1 - share) * part_hu + share * (level_hu + texture)
    truth[box] = across + axes[2][None, None, :] ** 2 <= radius_mm**2
    return result, truth


def even_liver(ct: WorkingCt) -> tuple[Mask, float]:
    """Where the liver is even, by ct-region from one seed, and its level in HU."""
    whole = grown(ct.hu, ct.body, ct.indices(np.array([LIVER_SEED_MM])), ct.step, "liver").mask
    smooth = ndimage.gaussian_filter(ct.hu, [3.0 / mm if mm < 3.0 else 0.3 for mm in ct.step])
    level = float(np.median(smooth[whole]))
    return np.asarray(ndimage.binary_opening(whole & (np.abs(smooth - level) < EVEN_HU), iterations=3)), level


def middles(
    liver: Mask, radius_mm: float, deep: bool, count: int, step: Step, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Voxels (count, 3) for balls of a radius."""
    depth = ndimage.distance_transform_edt(np.pad(liver, 1), sampling=step)[1:-1, 1:-1, 1:-1]
    fits = depth > radius_mm + 3 if deep else (depth > 0.3 * radius_mm) & (depth < 0.8 * radius_mm)
    places = np.argwhere(fits)
    return np.asarray(places[rng.choice(len(places), count, replace=False)])


def tried(ct: WorkingCt, hu: NDArray[np.float32], truth: Mask | None, seed: NDArray[np.intp]) -> Tried | None:
    """What a seed in hu gives against the truth; without one None where nothing came."""
    try:
        found = grown(hu, ct.body, seed[None], ct.step, "lesion")
    except InputError:
        return Tried(float("nan")) if truth is not None else None
    return Tried(dice(found.mask, truth) if truth is not None else 0.0, bool(found.doubts))


def rows(ct: WorkingCt, places: int) -> Iterator[str]:
    """The table's lines."""
    rng = np.random.default_rng(0)
    liver, level = even_liver(ct)
    yield "| where | r, mm | HU | tried | refused | found | Dice, median | lowest | doubted | wrong, no doubt |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for deep in (True, False):
        for radius_mm in RADII_MM:
            for contrast in CONTRASTS_HU:
                got = []
                for middle in middles(liver, radius_mm, deep, places, ct.step, rng):
                    hu, truth = planted(ct.hu, middle, radius_mm, level + contrast, ct.step)
                    off = rng.normal(size=3)
                    off *= rng.uniform(0, 0.4) * radius_mm / np.linalg.norm(off)
                    one = tried(ct, hu, truth, np.rint(middle + off / np.asarray(ct.step)).astype(np.intp))
                    if one is not None:
                        got.append(one)
                came = [one for one in got if not np.isnan(one.dice)]
                scores = [one.dice for one in came]
                told = f"{np.median(scores):.2f} | {min(scores):.2f}" if scores else " | "
                good = sum(one.dice >= GOOD for one in came)
                silent = sum(one.dice < GOOD and not one.doubted for one in came)
                yield (
                    f"| {'deep' if deep else 'edge'} | {radius_mm:.0f} | {contrast:+.0f} | {len(got)} |"
                    f" {len(got) - len(came)} | {good} | {told} | {sum(one.doubted for one in came)} | {silent} |"
                )
    seeds = np.argwhere(liver)
    chosen = seeds[rng.choice(len(seeds), 8 * places, replace=False)]
    nothing = [tried(ct, ct.hu, None, seed) for seed in chosen]
    came = [one for one in nothing if one is not None]
    yield ""
    yield (
        f"{len(nothing)} seeds at random in the liver as it is: {len(nothing) - len(came)} refused,"
        f" {sum(one.doubted for one in came)} in doubt, {sum(not one.doubted for one in came)} given without a doubt."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--places", type=int, default=4)
    asked = parser.parse_args()
    volume = import_images(asked.images / IMAGE, image_id="ct").image()[1]
    for line in rows(WorkingCt.of(volume, "ct", "ct-region"), asked.places):
        print(line, flush=True)
