"""What ct-chest finds on the real chest CT and ct-gas of planted pockets: fissures against the borders of the labelled
lobes, the airway tree's length, free gas and bullae that were planted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.segmenter_measures import mask_of
from benchmarks.segmenter_rows import CHEST, LEFT_LUNG, RIGHT_LUNG
from navplan.imaging.airways import find_bronchi
from navplan.imaging.bones import find_bone
from navplan.imaging.canonical import Mask, finer
from navplan.imaging.chest import CtChestSegmenter
from navplan.imaging.free_gas import BARE_SHARE, POCKET_CM3, bare_share
from navplan.imaging.lungs import find_lungs
from navplan.imaging.segment import midline_mm
from navplan.imaging.thresholds import bowel_gas, bullae
from navplan.imaging.working import WorkingCt
from navplan.model.case import Case
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment

NEAR_MM = 3.0
GAS_IMAGES = (
    (CHEST, "lidc0001_chest_ct/cxr_int16.nii.gz"),
    ("ts_abdomen_pelvis_ct", "ts_abdomen_pelvis_ct/example_ct.nii.gz"),
    ("crlm1004_abdomen_ct", "crlm1004_abdomen_ct"),
)
PLANTED = 12  # pockets an image
POCKET_MM = (9.0, 6.0, 9.0)  # half axes of a planted pocket of free gas
ROOM_MM = 20.0  # about what is planted
BULLAE_MM = (6.0, 8.0, 12.0)  # radii


@dataclass(frozen=True)
class Lines:
    """A row of the page: image, what, the figures in words."""

    image: str
    what: str
    found: str


def chest_results(images: Path) -> list[Lines]:
    """All rows; `images` holds lidc0001_chest_ct, ts_abdomen_pelvis_ct and crlm1004_abdomen_ct."""
    folder = images / CHEST
    case = import_images(folder / "cxr_int16.nii.gz", image_id="ct", patient_position="HFS")
    case = segment(case, labels=folder / "mask.nii.gz", names=folder / "structures.csv")
    found = [Lines(CHEST, "`ct-chest`, fissures and lobes' borders", words) for words in _fissures(case)]
    found += _in_the_chest(case)
    for name, file in GAS_IMAGES:
        found.append(Lines(name, "`ct-gas`, gas that may lie free", _free_gas(images / file)))
    return found


def chest_lines(found: list[Lines]) -> list[str]:
    """The page's section, in Markdown."""
    lines = ["## Fissures, airways, free gas, bullae", "", "| image | what | found |", "|---|---|---|"]
    return [*lines, *(f"| {one.image} | {one.what} | {one.found} |" for one in found), ""]


def lobe_border(lobes: list[Mask]) -> Mask:
    """Voxels of a lobe that touch another lobe by a face."""
    border = np.zeros_like(lobes[0])
    for number, lobe in enumerate(lobes):
        for other in lobes[:number]:
            border |= (lobe & ndimage.binary_dilation(other)) | (other & ndimage.binary_dilation(lobe))
    return border


def _fissures(case: Case) -> list[str]:
    volume = case.image()[1]
    spacing = volume.grid.spacing_mm
    words = []
    found = {one.name: one for one in CtChestSegmenter().segment(volume, "ct")}
    for side, names in (("left", LEFT_LUNG), ("right", RIGHT_LUNG)):
        border = lobe_border([mask_of(volume.grid, case.structures[name]) for name in names])
        mine = mask_of(volume.grid, found[f"fissure_{side}"])
        if not mine.any():
            words.append(f"{side}: unknown")
            continue
        away = ndimage.distance_transform_edt(~border, sampling=spacing)[mine]
        back = ndimage.distance_transform_edt(~mine, sampling=spacing)[border]
        words.append(
            f"{side}: {np.mean(away < NEAR_MM):.0%} of the voxels within {NEAR_MM:g} mm of the border (95 %:"
            f" {np.percentile(away, 95):.1f} mm); {np.mean(back < NEAR_MM):.0%} of the border found"
        )
    return words


def _in_the_chest(case: Case) -> list[Lines]:
    volume = case.image()[1]
    ct = WorkingCt.of(volume, "ct", "benchmark")
    bone = find_bone(ct.hu, ct.body, ct.step)
    chest = find_lungs(ct.hu, ct.body, midline_mm(bone, ct.body, ct.step), ct.step)
    assert chest.left is not None and chest.right is not None and chest.airway is not None
    lungs = chest.left | chest.right
    voxels = ct.order.apply(volume.voxels).astype(np.float32)
    fine = [np.asarray(finer(mask, ct.factors, voxels.shape)) for mask in (lungs, chest.airway)]
    tree, lengths = find_bronchi(voxels, fine[0], fine[1], ct.order.spacing_mm(volume.grid))
    cm3 = float(np.count_nonzero(tree)) * float(np.prod(volume.grid.spacing_mm)) / 1000
    words = f"{len(lengths)} branches, {sum(lengths) / 10:.0f} cm together, {cm3:.1f} cm³; no labels to compare with"
    found = [Lines(CHEST, "`ct-chest`, bronchi", words)]
    rng = np.random.default_rng(0)
    real = np.count_nonzero(bullae(ct.hu, lungs & ~chest.airway, ct.step))
    for radius in BULLAE_MM:
        deep = np.argwhere(ndimage.distance_transform_edt(lungs, sampling=ct.step) > radius + 2)
        shares = []
        for centre in deep[rng.choice(len(deep), 4, replace=False)]:
            box, middle = _around(centre, radius + ROOM_MM, ct)
            share = ball_share(ct.hu[box].shape, middle, (radius,) * 3, ct.step)
            mine = bullae(mixed(ct.hu[box], share, -1000.0), (lungs & ~chest.airway)[box], ct.step)
            truth = share >= 0.5
            shares.append(2 * np.count_nonzero(mine & truth) / max(1, np.count_nonzero(mine) + np.count_nonzero(truth)))
        words = f"Dice of four planted, radius {radius:g} mm: {', '.join(f'{one:.2f}' for one in sorted(shares))}"
        found.append(Lines(CHEST, "`ct-gas`, bullae", f"{words}; without them {real} voxels"))
    return found


def ball_share(
    shape: tuple[int, ...], centre: NDArray[np.intp], half_axes_mm: tuple[float, ...], step: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Share of each voxel that an ellipsoid fills, by 27 points a voxel, then blurred a little as a scanner does."""
    share = np.zeros(shape, dtype=np.float32)
    thirds = (-1 / 3, 0.0, 1 / 3)
    axes = [(np.arange(n) - c) * s for n, c, s in zip(shape, centre, step, strict=True)]
    for x in thirds:
        for y in thirds:
            for z in thirds:
                along = [
                    ((axis + part * s) / half) ** 2
                    for axis, part, s, half in zip(axes, (x, y, z), step, half_axes_mm, strict=True)
                ]
                share += along[0][:, None, None] + along[1][None, :, None] + along[2][None, None, :] <= 1
    return np.asarray(ndimage.gaussian_filter(share / 27, 0.35), dtype=np.float32)


def _around(centre: NDArray[np.intp], reach_mm: float, ct: WorkingCt) -> tuple[tuple[slice, ...], NDArray[np.intp]]:
    """The box of voxels within reach of a voxel, and that voxel's place in it."""
    low = np.maximum(0, centre - np.ceil(reach_mm / np.asarray(ct.step)).astype(int))
    high = centre + np.ceil(reach_mm / np.asarray(ct.step)).astype(int) + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), centre - low


def mixed(hu: NDArray[np.float32], share: NDArray[np.float32], value_hu: float) -> NDArray[np.float32]:
    """The image with something of value_hu in it that fills `share` of each voxel."""
    return (hu * (1 - share) + value_hu * share).astype(np.float32)


def _free_gas(file: Path) -> str:
    ct = WorkingCt.of(import_images(file, image_id="ct").image()[1], "ct", "benchmark")
    bone = find_bone(ct.hu, ct.body, ct.step)
    chest = find_lungs(ct.hu, ct.body, midline_mm(bone, ct.body, ct.step), ct.step)
    lungs = np.logical_or.reduce([part for part in (chest.left, chest.right, chest.lung, chest.airway)
                                  if part is not None] or [np.zeros_like(ct.body)])  # fmt: skip
    gas = bowel_gas(ct.hu, ct.body, lungs, ct.step)
    labels, count = ndimage.label(gas)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(ct.step)) / 1000
    large = [number for number in range(1, count + 1) if sizes[number] >= POCKET_CM3]
    called = sum(bare_share(ct.hu, labels == number, ct.step) >= BARE_SHARE for number in large)
    fat = ((ct.hu < -30) & (ct.hu > -150)).astype(np.float32)
    inside = ndimage.distance_transform_edt(ct.body, sampling=ct.step) > 28
    apart = ndimage.distance_transform_edt(~(gas | lungs), sampling=ct.step) > 14
    size = [max(1, round(15 / one)) for one in ct.step]
    places = np.argwhere((ndimage.uniform_filter(fat, size) > 0.8) & inside & apart)
    seen = 0
    for centre in places[np.random.default_rng(1).choice(len(places), PLANTED, replace=False)]:
        box, middle = _around(centre, max(POCKET_MM) + ROOM_MM, ct)
        hu = mixed(ct.hu[box], ball_share(ct.hu[box].shape, middle, POCKET_MM, ct.step), -1000.0)
        pocket = (hu < -500) & (ct.hu[box] > -300) & ct.body[box]
        seen += bare_share(hu, pocket, ct.step) >= BARE_SHARE
    return f"{called} of {len(large)} real pockets of 1 cm³ and more called; {seen} of {PLANTED} planted in fat"
