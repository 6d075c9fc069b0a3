"""Vessels filled with contrast on CT, from seeds in them.

A band of CT numbers from half-way between the seeds and tissue without contrast, up to what is clearly brighter. In it
the depth (distance to the band's edge) has ridges along the middle of vessels. The ridge that carries the seed is
followed as far as its depth stays near the seed's: it ends where the vessel opens into a chamber, touches bone on a
broad face, or branches into something much thinner. The vessel is the union of the balls about that ridge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.canonical import Mask, box_of, closed, dilated
from navplan.imaging.vessel_ends import goes_on, words_of
from navplan.imaging.vessel_tree import depth_mm
from navplan.imaging.vessel_wall import within_wall
from navplan.imaging.working import Step, WorkingCt, ball, parts_near
from navplan.model.structure import Structure
from navplan.model.volume import Volume

PLAIN_HU = 50.0  # blood and muscle without contrast
LEAST_CONTRAST_HU = 60.0  # above that, to be told from it
SEED_MM = 3.0
SMOOTHING_MM = 0.6
FLANK = 0.35  # of that radius: how far the lumen may go on beside the balls, where a vessel is not round
CLIMB_MM = 8.0  # a seed may lie this far off the middle
FLAP_MM = 2.0  # half of what closes between the parts that several seeds name: a dissection's flap
RADIUS_RANGE = (0.55, 1.6)  # of the radius at the seeds
THIN_VOXELS = 2.5  # a vessel of a smaller radius is too thin for ridges
THIN_LENGTH_MM = 600.0  # more of that width is no vessel, but rims of whatever has the same density
MOST_CM3 = {"portal_vein": 100.0, "inferior_vena_cava": 250.0, "pulmonary_artery": 400.0, "iliac": 120.0, "": 900.0}
# cm³, by a word of the name: about twice what is large in an adult, an aneurysm for the aorta (unsourced)
RIDGE = 0.85  # of the largest depth within half that depth: a ridge, not a flank


class CtVesselSegmenter:
    """Entry point `navplan.segmenters`: ct-vessel.

    One vessel with contrast, named by the caller ("vessel" without a name), from seeds in it: one, or one in each part
    that is separate, wider or of another density (true and false lumen).
    """

    name = "ct-vessel"
    description = "A vessel filled with contrast on CT, from seeds in it"
    modality = "CT"

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """The vessel about seeds_mm (n, 3), LPS mm; its outline_doubt says where a vessel of its width, or another
        lumen, goes on beside it, and how far only its wall was followed. That needs several seeds.

        Raises InputError: an image that is not CT, a seed that does not lie in contrast, what is larger than any vessel
        of that name.
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        name = structure or "vessel"
        seeds = ct.indices(seeds_mm)
        mask = grown_vessel(ct.hu, ct.body, seeds, ct.step)
        _refuse_leaked(mask, name, ct.step)
        doubts = []
        if len(seeds) > 1:
            wall, along_mm = within_wall(ct.hu, ct.body, mask, seeds, ct.step)
            mask |= wall
            if along_mm:
                doubts.append(f"over {along_mm:.0f} mm contrast fills it in part, and its outer wall was followed")
        doubts += [words_of(found, ct) for found in goes_on(ct.hu, ct.body, mask, ct.step)]
        return [ct.structure(mask, name, doubt="; ".join(doubts))]


def _refuse_leaked(mask: Mask, name: str, step: Step) -> None:
    cm3 = float(np.count_nonzero(mask)) * float(np.prod(step)) / 1000.0
    most = next(limit for word, limit in MOST_CM3.items() if word in name)
    if cm3 > most:
        raise InputError(
            f"{name} leaked: {cm3:.0f} cm³", f"at most {most:.0f} cm³",
            "Put the seed where the vessel stands alone, or draw it",
        )  # fmt: skip


def grown_vessel(hu: NDArray[np.float32], body: Mask, seeds: NDArray[np.intp], step: Step) -> Mask:
    """The vessel of seeds (n, 3) voxels in hu[left, posterior, superior]; step: spacing in mm.

    Raises InputError for a seed that is not brighter than tissue without contrast.
    """
    smooth = ndimage.gaussian_filter(hu.T, [SMOOTHING_MM / s for s in step[::-1]]).T
    found = np.zeros(hu.shape, dtype=bool, order="F")
    for seed in seeds:
        level = max(_level(hu, body, seed, reach_mm, step) for reach_mm in (SEED_MM, 1.01 * min(step)))
        if level < PLAIN_HU + LEAST_CONTRAST_HU:
            raise InputError(
                f"a seed of {level:.0f} HU",
                f"one in contrast, at least {PLAIN_HU + LEAST_CONTRAST_HU:.0f} HU",
                "Vessels without contrast: label them by hand",
            )
        band = (smooth > (level + PLAIN_HU) / 2) & (smooth < 2 * level - PLAIN_HU) & body
        found |= _along(parts_near(band, seed[None], SEED_MM, step), seed, step)
    if len(seeds) > 1:
        found = closed(found, max(FLAP_MM, 1.01 * max(step[:2])), step) & body
    return found


def _level(hu: NDArray[np.float32], body: Mask, seed: NDArray[np.intp], reach_mm: float, step: Step) -> float:
    values = hu[ball(hu.shape, seed[None], reach_mm, step) & body]
    return float(np.median(values)) if values.size else -1000.0


def _along(lumen: Mask, seed: NDArray[np.intp], step: Step) -> Mask:
    box = box_of(lumen, 1)
    if box is None:
        return lumen
    inside = lumen[box]
    near = seed - [part.start for part in box]
    depth = depth_mm(inside, step)
    radius = _radius_about(near, depth, step)
    result = np.zeros(lumen.shape, dtype=bool, order="F")
    if radius < THIN_VOXELS * max(step):
        # Too few voxels across for a ridge: all of the lumen that is no wider.
        wide = dilated(depth > RADIUS_RANGE[1] * radius + min(step), radius, step)
        thin = parts_near(inside & ~wide, near[None], max(radius, SEED_MM), step)
        if np.count_nonzero(thin) * float(np.prod(step)) <= THIN_LENGTH_MM * np.pi * (RADIUS_RANGE[1] * radius) ** 2:
            result[box] = thin
            return result
        radius = max(radius, SEED_MM)
    size = [2 * max(1, int(0.5 * radius / s)) + 1 for s in step[::-1]]
    top = ndimage.maximum_filter(depth.T, size).T
    ridge = (depth >= RIDGE * top) & (depth >= RADIUS_RANGE[0] * radius) & (depth <= RADIUS_RANGE[1] * radius)
    ridge &= parts_near(ndimage.binary_dilation(ridge) & inside, near[None], max(radius, SEED_MM), step)
    result[box] = dilated(_balls(ridge, depth, inside, step), max(FLANK * radius, 1.01 * max(step[:2])), step) & inside
    return result


def _radius_about(seed: NDArray[np.intp], depth: NDArray[np.float64], step: Step) -> float:
    """The depth of the ridge nearest to a seed: the largest within reach of the seed's own depth, climbing thrice."""
    radius = SEED_MM
    for _ in range(3):
        reach_mm = max(SEED_MM, min(radius, CLIMB_MM))
        radius = float(depth[ball(depth.shape, seed[None], reach_mm, step)].max())
    return radius


def _balls(ridge: Mask, depth: NDArray[np.float64], inside: Mask, step: Step) -> Mask:
    """The union of the balls about the ridge's voxels, each as large as it is deep."""
    found = np.zeros_like(inside)
    if not ridge.any():
        return found
    width = min(step)
    for low in np.arange(np.floor(depth[ridge].min() / width), np.ceil(depth[ridge].max() / width) + 1) * width:
        centres = ridge & (depth >= low) & (depth < low + width)
        box = box_of(centres, tuple(int((low + 2 * width) / s) + 1 for s in step))
        if box is not None:
            away = ndimage.distance_transform_edt(~centres[box], sampling=step)
            found[box] |= np.asarray(away) <= low + width
    return found & inside
