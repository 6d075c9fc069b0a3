"""Liver, kidney, spleen, lesion and the like on CT, grown from seeds.

Smoothed by curvature flow (SimpleITK's), a band of CT numbers about the seeds, opened so that
thin bridges to a neighbour of the same density break, the part with the seeds kept, the band estimated again, holes
filled. A neighbour that lies on with a broad face and the same CT numbers is not told apart: look at what comes out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.canonical import IN_PLANE, Mask, box_of, closed, dilated, eroded, labelled
from navplan.imaging.working import Step, WorkingCt, ball, parts_near
from navplan.model.structure import Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

SEED_MM = 4.0  # radius about each seed whose CT numbers start the band
LEAST_SD_HU = 7.0  # below this, noise after smoothing says more than the tissue
BAND_SD = 2.6
ROUNDS = 3
SMOOTHING_STEPS = 12
WIDENS = 1.3  # the band may become this much wider than about the seeds
NARROWER = (1.0, 0.8, 0.6)  # what leaked is tried again with a narrower band
FAT_HU, AIRY_HU, LUNG_HU = -100.0, -850.0, -500.0
ENHANCED_HU, UNENHANCED_HU = 100.0, 30.0  # a kidney with contrast; without
LUNG_ABOUT_MM, LUNG_SHARE = 30.0, 0.2  # a lesion with so much lung about it lies in the lung
OPENING_MOST_MM = 10.0
CLOSING_MM = 3.0


@dataclass(frozen=True)
class Limits:
    """Of one kind of structure: largest volume, reach from the nearest seed, how thick a bridge is cut (its radius).

    The volumes are about twice what is large in an adult: beyond them something else is in it.
    """

    most_cm3: float
    reach_mm: float
    opening_mm: float
    opening_share: float = 0.4  # of the depth at the seeds: bridges thinner than that are cut
    in_lung: bool = False  # it may lie there
    enhances: bool = False  # unevenly, with contrast: cortex before medulla


LIMITS = {
    "liver": Limits(4000.0, 220.0, 6.0),
    "spleen": Limits(1500.0, 150.0, 5.0),
    "kidney": Limits(400.0, 110.0, 4.0, enhances=True),
    "lesion": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "mass": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "nodule": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "": Limits(4000.0, 220.0, 3.0),
}


def limits_of(structure: str) -> Limits:
    """The limits of the first kind whose word is in the name (kidney_left, lesion_2); the widest for another name."""
    return next((limits for word, limits in LIMITS.items() if word and word in structure), LIMITS[""])


class CtRegionSegmenter:
    """Entry point `navplan.segmenters`: ct-region.

    One structure, named by the caller ("region" without a name), from one or more seeds in it. Seeds in each part that
    looks different (a cyst's wall, an enhancing rim) widen the band. Nothing comes back of a region that leaked.
    """

    name = "ct-region"
    description = "Liver, kidney, spleen, lesion or another even region on CT, from seeds in it"
    modality = "CT"

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """The region about seeds_mm (n, 3), LPS mm.

        Raises InputError: an image that is not CT, a seed outside the body, seeds that do not lie in anything thicker
        than the bridges that are cut, or a region larger than its kind can be ("leaked").
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        name = structure or "region"
        seeds = ct.indices(seeds_mm)
        for seed, point in zip(seeds, seeds_mm, strict=True):
            if not ct.body[tuple(seed)]:
                raise InputError(f"a seed for {name} at {np.round(point, 1).tolist()} mm, in air", "a seed in tissue")
        return [ct.structure(grown(ct.hu, ct.body, seeds, ct.step, name), name)]


def grown(hu: NDArray[np.float32], body: Mask, seeds: NDArray[np.intp], step: Step, name: str) -> Mask:
    """The region about seeds (n, 3) voxels in hu[left, posterior, superior]; step: spacing in mm.

    Raises InputError where there is nothing at the seeds, or more than the name can be.
    """
    limits = limits_of(name)
    reach = [int(limits.reach_mm / spacing) + 1 for spacing in step]
    low, high = np.maximum(seeds.min(axis=0) - reach, 0), seeds.max(axis=0) + reach + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    near, inside = seeds - low, body[box]
    within = ball(inside.shape, near, limits.reach_mm, step) & inside
    smooth = _smoothed(hu[box], step)
    about = ball(inside.shape, near, LUNG_ABOUT_MM, step) & inside
    airy = np.count_nonzero(about & (hu[box] < LUNG_HU)) > LUNG_SHARE * np.count_nonzero(about)
    in_lung = limits.in_lung and bool(airy)
    for narrower in NARROWER:
        region = _attempt(smooth, within, near, step, limits, narrower, in_lung)
        volume_cm3 = np.count_nonzero(region) * float(np.prod(step)) / 1000
        if 0 < volume_cm3 <= limits.most_cm3:
            break
    if not region.any():
        raise InputError(
            f"nothing even at the seed for {name}: {float(np.median(smooth[tuple(near.T)])):.0f} HU there",
            f"a seed in something thicker than {2 * limits.opening_mm:.0f} mm",
            "Move the seed, give several, or draw it",
        )
    if volume_cm3 > limits.most_cm3:
        raise InputError(
            f"{name} leaked: too large, {volume_cm3:.0f} cm³",
            f"at most {limits.most_cm3:.0f} cm³ for this name",
            "Move the seed, give several, or draw it",
        )
    if narrower < 1.0:
        log.warning("%s leaked at first, and came out with a narrower band of CT numbers: look at its outline", name)
    result = np.zeros(hu.shape, dtype=bool, order="F")
    result[box] = region
    return result


def _attempt(
    smooth: NDArray[np.float32],
    within: Mask,
    seeds: NDArray[np.intp],
    step: Step,
    limits: Limits,
    narrower: float,
    in_lung: bool,
) -> Mask:
    """What grows with a band narrower by that factor; empty where nothing does."""
    values = smooth[ball(within.shape, seeds, SEED_MM, step) & within]
    at_seeds = smooth[tuple(seeds.T)]
    first = np.inf
    region = np.zeros_like(within)
    for _ in range(ROUNDS):
        middle = float(np.median(values))
        sd = min(max(LEAST_SD_HU, 1.4826 * float(np.median(np.abs(values - middle)))), WIDENS * first)
        first = min(first, sd)
        spread = narrower * BAND_SD * sd
        low = min(middle - spread, float(at_seeds.min()) - LEAST_SD_HU)
        high = max(middle + spread, float(at_seeds.max()) + LEAST_SD_HU)
        if in_lung:
            low, high = (middle + AIRY_HU) / 2, max(high, middle + 100)
        elif limits.enhances and middle > ENHANCED_HU:
            low, high = min(low, (middle + UNENHANCED_HU) / 2), max(high, 2 * middle)
        mask = (smooth >= low) & (smooth <= high) & within
        opening = opening_mm(mask, seeds, limits, step)
        core = parts_near(eroded(mask, opening, step), seeds, opening + max(step), step)
        region = dilated(core, opening + 1.01 * max(step), step) & mask
        if not region.any():
            return region
        values = smooth[region]
    # The outermost voxel is partly the organ: half-way to fat, or to lung, is its outline.
    rim = (region | ndimage.binary_dilation(region)) & within & (smooth > (low if in_lung else (middle + FAT_HU) / 2))
    return without_holes(closed(region | (rim & (smooth <= high)), CLOSING_MM, step) & within)


def opening_mm(mask: Mask, seeds: NDArray[np.intp], limits: Limits, step: Step) -> float:
    """A share of how deep the seeds lie in the mask, at least what the limits say and a voxel."""
    reach = [int(3 * OPENING_MOST_MM / spacing) + 1 for spacing in step]
    deepest = 0.0
    for seed in seeds:
        low = np.maximum(seed - reach, 0)
        box = tuple(slice(a, b) for a, b in zip(low, seed + reach + 1, strict=True))
        depth = np.asarray(ndimage.distance_transform_edt(mask[box], sampling=step))
        deepest = max(deepest, float(depth[ball(depth.shape, (seed - low)[None], SEED_MM, step)].max()))
    return max(limits.opening_mm, 1.01 * max(step), min(limits.opening_share * deepest, OPENING_MOST_MM))


def _smoothed(hu: NDArray[np.float32], step: Step) -> NDArray[np.float32]:
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.clip(hu, LUNG_HU - 400, 500).T))
    image = sitk.Median(image, [1, 1, 1])
    return np.asarray(sitk.GetArrayFromImage(sitk.CurvatureFlow(image, 0.0625, SMOOTHING_STEPS))).T


def without_holes(region: Mask) -> Mask:
    """Holes of axial slices filled: what a region encloses (vessels, a cyst) belongs to it."""
    box = box_of(region, 1)
    if box is None:
        return region
    part = region[box]
    holes, count = labelled(~part, IN_PLANE)
    open_ones = np.zeros(count + 1, dtype=bool)
    for side in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        open_ones[np.unique(side)] = True
    result = region.copy()
    result[box] = part | ~(open_ones[holes] | part) & (holes > 0)
    return np.asarray(ndimage.binary_fill_holes(result.T).T)
