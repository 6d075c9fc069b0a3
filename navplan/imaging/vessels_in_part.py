"""The segmenter ct-vessels: vessels of the lungs, of an organ and of the rest of the body, as far as CT shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.bones import find_bone
from navplan.imaging.canonical import Mask, closed, dilated, eroded, finer
from navplan.imaging.lungs import find_lungs
from navplan.imaging.region import grown
from navplan.imaging.segment import HIGHEST_HU, LOWEST_HU, midline_mm
from navplan.imaging.vesselness import Kind, find_tubes
from navplan.imaging.working import WorkingCt
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

IN_PART = "vessels were found only where they show as bright tubes of about 1 to 6 mm radius"
# Starting values without a published source, set on one chest CT and one portal-venous abdomen CT.
LUNG = Kind((-1000.0, 200.0), 300.0)
ORGAN = Kind((0.0, 300.0), 20.0)
ELSEWHERE = Kind((0.0, 400.0), 80.0, fill=False)
CONTRAST_HU = 110.0
RIM_MM = 2.0  # of lung or organ, where its edge looks like a vessel
SKIN_MM, BONE_MM, RIB_GAP_MM = 5.0, 3.0, 11.0  # left out; the last is half of what lies between two ribs
PITH_MM = 5.0  # half of what a kidney's cortex encloses that is less bright
WIDE_MM, WIDE_RIM_MM, WIDE_CLOSING_MM = 9.0, 2.5, 8.0  # heart, aorta, kidneys: bright and wider than what is sought
TISSUE_HU = 40.0


class CtVesselsSegmenter:
    """Entry point `navplan.segmenters`: ct-vessels.

    Without a seed: lung_vessels, and vessels with contrast in the rest of the body outside bone. From seeds in an organ
    with contrast, named: NAME_vessels, liver_vessels of the liver. Arteries and veins are not told apart. All are
    marked as incomplete: beyond what was found a way is not free of them. What is not found is unknown.
    """

    name = "ct-vessels"
    description = "Vessels of the lungs, of an organ and of the body on CT, as far as they show as bright tubes"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """lung_vessels on the image's own voxels, vessels on a grid of at most 1.5 mm where the image is finer.

        Raises InputError for an image that is not CT in Hounsfield units.
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        bone = find_bone(ct.hu, ct.body, ct.step)
        chest = find_lungs(ct.hu, ct.body, midline_mm(bone, ct.body, ct.step), ct.step)
        lung = np.zeros_like(ct.body)
        for part in (chest.left, chest.right, chest.lung):
            if part is not None:
                lung |= part
        return [
            _in_part(_on_own_voxels(ct, lung, LUNG), "lung_vessels", "automatic"),
            _in_part((ct, _elsewhere(ct, bone, lung)), "vessels", "automatic"),
        ]

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """The vessels inside the organ about seeds_mm (n, 3), LPS mm, on the image's own voxels: structure is the
        organ's name ("liver"), or that of its vessels ("liver_vessels"). A doubt about the organ goes with them.

        Raises InputError: see ct-region's.
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        organ = structure.removesuffix("_vessels") or "region"
        found = grown(ct.hu, ct.body, ct.indices(seeds_mm), ct.step, organ)
        doubt = "; ".join(f"{organ} that they were looked for in: {words}" for words in found.doubts)
        return [_in_part(_on_own_voxels(ct, found.mask, ORGAN), f"{organ}_vessels", "semiautomatic", doubt)]


def _on_own_voxels(ct: WorkingCt, region: Mask, kind: Kind) -> tuple[WorkingCt, Mask]:
    step = ct.order.spacing_mm(ct.volume.grid)
    hu = np.clip(ct.order.apply(ct.volume.voxels), LOWEST_HU, HIGHEST_HU).astype(np.float32)
    inside = eroded(np.asarray(finer(region, ct.factors, ct.full_shape)), RIM_MM, step)
    return replace(ct, factors=(1, 1, 1), step=step, hu=hu), find_tubes(hu, inside, kind, step)


def _elsewhere(ct: WorkingCt, bone: Mask, lung: Mask) -> Mask:
    soft = ndimage.gaussian_filter(ct.hu.T, [0.6 / s for s in ct.step[::-1]]).T
    bright = (soft > CONTRAST_HU) & ct.body
    thick = eroded(closed(bright, PITH_MM, ct.step), WIDE_MM, ct.step)
    wide = dilated(thick, WIDE_MM + WIDE_RIM_MM, ct.step)
    wide = closed(wide, WIDE_CLOSING_MM, ct.step)
    near_bone = closed(dilated(bone, BONE_MM, ct.step), RIB_GAP_MM, ct.step)
    region = eroded(ct.body, SKIN_MM, ct.step) & ~near_bone & ~wide & ~dilated(lung, RIM_MM, ct.step)
    hu = np.where(dilated(bone, BONE_MM / 2, ct.step) | wide, np.float32(TISSUE_HU), ct.hu)
    return find_tubes(hu, region, ELSEWHERE, ct.step) & bright


def _in_part(found: tuple[WorkingCt, Mask], name: str, made_by: str, doubt: str = "") -> Structure:
    structure = found[0].structure(found[1], name, made_by, doubt=doubt)
    return replace(structure, incomplete=IN_PART) if structure.presence is Presence.PRESENT else structure
