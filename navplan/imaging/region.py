"""Liver, kidney, spleen and the like on CT, grown from seeds; a lesion by lung_lesion or organ_lesion.

Smoothed by curvature flow (SimpleITK's), a band of CT numbers about the seeds, opened so that
thin bridges to a neighbour of the same density break, the part with the seeds kept, the band estimated again, holes
filled. A neighbour that lies on with a broad face and the same CT numbers is not told apart: look at what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.beside_heart import TOLD_CM3, place_of, without_heart
from navplan.imaging.bones import find_bone
from navplan.imaging.canonical import IN_PLANE, Mask, box_of, closed, dilated, eroded, labelled
from navplan.imaging.lung_lesion import lung_lesion
from navplan.imaging.necks import without_beyond_necks
from navplan.imaging.organ_lesion import organ_lesion
from navplan.imaging.region_limits import Limits, doubts_of, doubts_of_density, limits_of
from navplan.imaging.working import Step, WorkingCt, ball, parts_near
from navplan.model.structure import Structure
from navplan.model.volume import Volume

SEED_MM = 4.0  # radius about each seed whose CT numbers start the band
LEAST_SD_HU = 7.0  # below this, noise after smoothing says more than the tissue
BAND_SD = 2.6
ROUNDS = 3
SMOOTHING_STEPS = 12
WIDENS = 1.3  # the band may become this much wider than about the seeds
NARROWER = (1.0, 0.8, 0.6)  # what leaked is tried again with a narrower band
FAT_HU, LUNG_HU = -100.0, -500.0
ENHANCED_HU, UNENHANCED_HU = 100.0, 30.0  # a kidney with contrast; without
LUNG_ABOUT_MM, LUNG_SHARE = 30.0, 0.2  # a lesion with so much lung about it lies in the lung
OPENING_MOST_MM = 10.0
CLOSING_MM = 3.0
ALONG = np.zeros((3, 3, 3), dtype=bool)  # a slice more, since erosion takes whole slices
ALONG[1, 1] = True
RIB_GAP_MM = 11.0  # half of what lies between two ribs
NECK_SHARE = 0.6  # of the thickness on both sides: a neck narrower than that leads to something else
CUT_SHARE = 0.1  # of the region: more beyond its necks is worth a word
THIN_SHARE = 0.5  # of the whole's depth: seeds in a part thinner than that may be in something that leads to it


class CtRegionSegmenter:
    """Entry point `navplan.segmenters`: ct-region.

    One structure, named by the caller ("region" without a name), from one or more seeds in it. Seeds in each part that
    looks different (a cyst's wall, an enhancing rim) widen the band. Nothing comes back of a region that is larger than
    its name can be; what is likely to be another structure comes back with an outline_doubt.
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
        found = grown(ct.hu, ct.body, seeds, ct.step, name)
        doubts = list(found.doubts)
        if found.heart_at is not None:
            x, y, z = ct.points_mm(np.array([found.heart_at]))[0]
            doubts.append(
                f"about {x:.0f},{y:.0f},{z:.0f} mm (LPS) {found.heart_cm3:.0f} cm³ beside the heart were cut off:"
                " where it ends there is a guess"
            )
        return [ct.structure(found.mask, name, doubt="; ".join(doubts))]


@dataclass(frozen=True, eq=False)
class Grown:
    """A region's mask, and in words why its outline is in doubt.

    heart_cm3, heart_at: what was cut off beside the heart, and the voxel in its middle; None where too little was.
    """

    mask: Mask
    doubts: tuple[str, ...] = ()
    heart_cm3: float = 0.0
    heart_at: tuple[int, int, int] | None = None


def grown(hu: NDArray[np.float32], body: Mask, seeds: NDArray[np.intp], step: Step, name: str) -> Grown:
    """The region about seeds (n, 3) voxels in hu[left, posterior, superior]; step: spacing in mm.

    Raises InputError where there is nothing at the seeds, or more than the name can be.
    """
    limits = limits_of(name)
    reach = [int(limits.reach_mm / spacing) + 1 for spacing in step]
    low, high = np.maximum(seeds.min(axis=0) - reach, 0), seeds.max(axis=0) + reach + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    near, inside = seeds - low, body[box]
    within = ball(inside.shape, near, limits.reach_mm, step) & inside
    about = ball(inside.shape, near, LUNG_ABOUT_MM, step) & inside
    airy = np.count_nonzero(about & (hu[box] < LUNG_HU)) > LUNG_SHARE * np.count_nonzero(about)
    bone = None
    heart_cm3, heart_at = 0.0, None
    if limits.in_lung and airy:
        lesion = lung_lesion(hu[box], inside, within, near, step)
        region, doubts = lesion.region, lesion.doubts()
    elif limits.in_lung:
        part = organ_lesion(hu[box], within, near, step)
        region, doubts = part.region, part.doubts()
    else:
        bone = find_bone(hu[box], within, step) if limits.caged else None
        smooth = _smoothed(hu[box], within)
        region, doubts = _in_tissue(smooth, _within_ribs(within, bone, near, step), near, step, limits)
        if limits.below_heart and bone is not None:
            beside = without_heart(region, smooth, hu[box], inside, bone, near, step)
            region, heart_cm3 = beside.region, np.count_nonzero(beside.cut) * float(np.prod(step)) / 1000
            at = place_of(beside.cut) if heart_cm3 >= TOLD_CM3 else None
            heart_at = None if at is None else (at[0] + int(low[0]), at[1] + int(low[1]), at[2] + int(low[2]))
    volume_cm3 = np.count_nonzero(region) * float(np.prod(step)) / 1000
    if not region.any():
        stands = limits.in_lung and not airy
        raise InputError(
            f"nothing {'that stands out' if stands else 'even'} at the seed for {name}:"
            f" {float(np.median(hu[box][tuple(near.T)])):.0f} HU there",
            "a seed in something darker or brighter than all about it" if stands
            else f"a seed in something thicker than {2 * limits.opening_mm:.0f} mm",
            "Move the seed, give several, or draw it",
        )
    if volume_cm3 > limits.most_cm3:
        raise InputError(
            f"{name} leaked: too large, {volume_cm3:.0f} cm³",
            f"at most {limits.most_cm3:.0f} cm³ for this name",
            "Move the seed, give several, or draw it",
        )
    result = np.zeros(hu.shape, dtype=bool, order="F")
    result[box] = region
    if limits.caged and bone is not None:
        doubts = (*doubts, *doubts_of_density(region, hu[box], bone, step))
    return Grown(result, (*doubts, *doubts_of(result, body, name, step)), heart_cm3, heart_at)


def _within_ribs(within: Mask, bone: Mask | None, seeds: NDArray[np.intp], step: Step) -> Mask:
    """Without the ribs and what lies between them; as it is where a seed lies there, or no bone is asked for."""
    if bone is None:
        return within
    free = within & ~closed(bone, RIB_GAP_MM, step)
    return free if free[tuple(seeds.T)].all() else within


def _in_tissue(
    smooth: NDArray[np.float32], within: Mask, seeds: NDArray[np.intp], step: Step, limits: Limits
) -> tuple[Mask, tuple[str, ...]]:
    """What grows with the widest band that does not leak, and without what hangs on it by a neck."""
    for narrower in NARROWER:
        whole = _attempt(smooth, within, seeds, step, limits, narrower)
        parted = without_beyond_necks(whole, seeds, NECK_SHARE, step)
        region = parted.region
        volume_cm3, cut_cm3 = (np.count_nonzero(one) * float(np.prod(step)) / 1000 for one in (region, whole & ~region))
        if volume_cm3 <= limits.most_cm3:
            break
    doubts = []
    if narrower < 1.0:
        doubts.append("it leaked at first, and came out with a narrower band of CT numbers only")
    if cut_cm3 > CUT_SHARE * volume_cm3:
        doubts.append(f"{cut_cm3:.0f} cm³ of the same density hang on it and were cut off at a neck")
    if parted.seeds_deep_mm < THIN_SHARE * parted.deep_mm:
        doubts.append(
            f"the seeds lie in a part {2 * parted.seeds_deep_mm:.0f} mm thick, the whole is {2 * parted.deep_mm:.0f} mm"
        )
    return region, tuple(doubts)


def _attempt(
    smooth: NDArray[np.float32],
    within: Mask,
    seeds: NDArray[np.intp],
    step: Step,
    limits: Limits,
    narrower: float,
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
        if limits.enhances and middle > ENHANCED_HU:
            low, high = min(low, (middle + UNENHANCED_HU) / 2), max(high, 2 * middle)
        mask = (smooth >= low) & (smooth <= high) & within
        opening = opening_mm(mask, seeds, limits, step)
        core = parts_near(eroded(mask, opening, step), seeds, opening + max(step), step)
        region = dilated(core, opening + 1.01 * max(step[:2]), step)
        if step[2] > 1.01 * max(step[:2]):
            region = ndimage.binary_dilation(region, ALONG)
        region &= mask
        if not region.any():
            return region
        values = smooth[region]
    # The outermost voxel is partly the organ: half-way to fat, or to lung, is its outline.
    rim = (region | ndimage.binary_dilation(region)) & within & (smooth > (middle + FAT_HU) / 2)
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


def _smoothed(hu: NDArray[np.float32], within: Mask) -> NDArray[np.float32]:
    """Median and curvature flow in the box about `within`; beyond it as it was."""
    result = np.clip(hu, LUNG_HU - 400, 500)
    box = box_of(within, 2)
    if box is None:
        return result
    image = sitk.Median(sitk.GetImageFromArray(np.ascontiguousarray(result[box].T)), [1, 1, 1])
    result[box] = sitk.GetArrayFromImage(sitk.CurvatureFlow(image, 0.0625, SMOOTHING_STEPS)).T
    return result


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
