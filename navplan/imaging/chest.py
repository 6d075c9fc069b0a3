"""The segmenter ct-chest: bronchi beyond the main ones and fissures, as far as a CT shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from navplan.imaging.airways import find_bronchi
from navplan.imaging.bones import find_bone
from navplan.imaging.canonical import Mask, finer, labelled
from navplan.imaging.fissures import find_fissures
from navplan.imaging.lungs import ChestMasks, find_lungs
from navplan.imaging.segment import HIGHEST_HU, LOWEST_HU, midline_mm
from navplan.imaging.working import WorkingCt
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

BRONCHI_IN_PART = "airways were followed only as far as their lumen shows"
FISSURES_IN_PART = "a fissure was found only where it shows as a sheet"


class CtChestSegmenter:
    """Entry point `navplan.segmenters`: ct-chest.

    bronchi_left, bronchi_right: lumens beyond the main bronchi. fissure_left, fissure_right: sheets in the lung, which
    fissure is not told. All are marked as incomplete: beyond what was found a way is not free of them. What is not
    found is unknown.
    """

    name = "ct-chest"
    description = "Bronchi and fissures on CT, as far as they show"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """bronchi_left, bronchi_right, fissure_left, fissure_right; hard labels, bronchi on the image's own voxels,
        fissures on a grid of at most 1.5 mm where the image is finer.

        Raises InputError for an image that is not CT in Hounsfield units.
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        bone = find_bone(ct.hu, ct.body, ct.step)
        chest = find_lungs(ct.hu, ct.body, midline_mm(bone, ct.body, ct.step), ct.step)
        voxels = ct.order.apply(volume.voxels)
        spacing = ct.order.spacing_mm(volume.grid)
        own = replace(ct, factors=(1, 1, 1), step=spacing, hu=np.clip(voxels, LOWEST_HU, HIGHEST_HU).astype(np.float32))
        found = []
        for side, mask in _bronchi(ct, own, chest).items():
            found.append(_in_part(own.structure(mask, f"bronchi_{side}", "automatic"), BRONCHI_IN_PART))
        for side, lung in (("left", chest.left), ("right", chest.right)):
            sheet = np.zeros_like(ct.body) if lung is None else find_fissures(ct.hu, lung, ct.step)
            found.append(_in_part(ct.structure(sheet, f"fissure_{side}", "automatic"), FISSURES_IN_PART))
        return found


def _in_part(structure: Structure, why: str) -> Structure:
    return replace(structure, incomplete=why) if structure.presence is Presence.PRESENT else structure


def _bronchi(ct: WorkingCt, own: WorkingCt, chest: ChestMasks) -> dict[str, Mask]:
    """The bronchi of each side on the image's own voxels: a part of the tree belongs to the lung that holds more of it;
    what touches neither is left out."""
    sides: dict[str, Mask] = {side: np.zeros(own.hu.shape, dtype=bool, order="F") for side in ("left", "right")}
    if chest.airway is None or chest.left is None or chest.right is None:
        return sides
    left, right, trunk = (
        np.asarray(finer(mask, ct.factors, own.hu.shape)) for mask in (chest.left, chest.right, chest.airway)
    )
    tree, _ = find_bronchi(own.hu, left | right, trunk, own.step)
    labels, count = labelled(tree, np.ones((3, 3, 3), dtype=bool))
    held = [np.bincount(labels[lung], minlength=count + 1) for lung in (left, right)]
    for side, (own_lung, other) in zip(sides, (held, held[::-1]), strict=True):
        belongs = own_lung > other
        belongs[0] = False
        sides[side] |= belongs[labels]
    return sides
