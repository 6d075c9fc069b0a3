"""The body of ct-basic: against phantoms whose skin is known, and against another way to find it on real CTs.

No data set labels the body. On a phantom the truth is its body; noise is added as a scanner has it. On a real CT the
other way is Otsu's threshold, the largest connected part, and holes filled slice by slice (SimpleITK): where the two
agree, that is agreement and no truth.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.segmenter_measures import dice, mask_of, surface_distance_mm
from navplan.imaging.body import find_body
from navplan.model.volume import Volume
from navplan.verbs.import_images import import_images
from navplan.verbs.phantom import phantom

Mask = NDArray[np.bool_]
AIM = 0.98
NOISE_HU = (10.0, 40.0)
PHANTOMS = (("abdomen", (2.0, 2.0, 3.0)), ("chest", (2.0, 2.0, 3.0)), ("chest", (3.0, 3.0, 5.0)))
REAL = (
    ("lidc0001_chest_ct", "cxr_int16.nii.gz"),
    ("ts_abdomen_pelvis_ct", "example_ct.nii.gz"),
    ("ts_thorax_cta_dissection", "example_ct.nii.gz"),
)


@dataclass(frozen=True)
class BodyResult:
    """Dice and 95 % surface distance (mm) of the body on `image` against `against`; couch_cm3 of the couch in it, None
    where none is known; seconds of find_body."""

    image: str
    against: str
    dice: float
    distance_mm: float
    couch_cm3: float | None
    seconds: float
    truth: bool


def body_results(images: Path) -> Iterator[BodyResult]:
    """Phantoms first, then the real CTs of the folder `images`."""
    for name, spacing in PHANTOMS:
        for noise in NOISE_HU:
            yield on_phantom(name, spacing, noise)
    for folder, file in REAL:
        volume = import_images(images / folder / file, image_id="ct").image()[1]
        mine, seconds = _timed(volume)
        other = by_otsu(volume)
        away = surface_distance_mm(mine, other, np.asarray(volume.grid.spacing_mm))
        yield BodyResult(folder, "Otsu (agreement)", dice(mine, other), away, None, seconds, False)


def on_phantom(name: str, spacing_mm: tuple[float, float, float], noise_hu: float) -> BodyResult:
    """A shipped phantom with Gaussian noise: its body by half occupancy, and what of its couch came in."""
    case = phantom(name, spacing_mm=spacing_mm)
    plain = case.image()[1]
    noise = np.random.default_rng(0).normal(0.0, noise_hu, plain.voxels.shape)
    volume = Volume(np.rint(plain.voxels + noise).astype(np.int16), plain.grid, "CT", "HU", plain.acquisition)
    mine, seconds = _timed(volume)
    truth = mask_of(plain.grid, case.structures["body"])
    couch = [mask_of(plain.grid, one) for key, one in case.structures.items() if key.startswith(("couch", "table"))]
    voxel_cm3 = float(np.prod(plain.grid.spacing_mm)) / 1000
    in_it = float(np.count_nonzero(mine & ~truth & np.logical_or.reduce(couch))) * voxel_cm3 if couch else None
    away = surface_distance_mm(mine, truth, np.asarray(plain.grid.spacing_mm))
    title = f"phantom {name}, {' x '.join(f'{mm:g}' for mm in spacing_mm)} mm, noise {noise_hu:g} HU"
    return BodyResult(title, "its body", dice(mine, truth), away, in_it, seconds, True)


def by_otsu(volume: Volume) -> Mask:
    """Otsu's threshold of the values from -1024 HU on, the largest connected part, holes filled slice by slice along
    the last axis; the array's last axis is taken to run head-feet, as in the three images."""
    hu = np.clip(volume.voxels, -1024, 1000).astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(hu.T))
    inside = sitk.OtsuThreshold(image, 0, 1)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(inside))
    mask = sitk.GetArrayFromImage(parts).T == 1
    return np.stack([ndimage.binary_fill_holes(mask[:, :, n]) for n in range(mask.shape[2])], axis=2)


def body_lines(found: list[BodyResult]) -> list[str]:
    """The page's section, in Markdown."""
    lines = [
        "## The body",
        "",
        "| image | compared with | Dice | aim | 95 % surface, mm | couch in it, cm³ | s |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for one in found:
        aim = f"{AIM:.2f}: {'met' if one.dice >= AIM else '**not met**'}" if one.truth else ""
        couch = "" if one.couch_cm3 is None else f"{one.couch_cm3:.1f}"
        lines.append(
            f"| {one.image} | {one.against} | {one.dice:.3f} | {aim} | {one.distance_mm:.1f} | {couch}"
            f" | {one.seconds:.1f} |"
        )
    return [*lines, ""]


def _timed(volume: Volume) -> tuple[Mask, float]:
    began = time.perf_counter()
    return find_body(volume).body, time.perf_counter() - began
