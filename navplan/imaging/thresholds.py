"""The segmenter ct-gas: bowel gas, gas that may lie free, bullae, calcification, by thresholds in other masks."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.bones import METAL_HU, find_bone
from navplan.imaging.canonical import Mask, dilated, eroded, labelled
from navplan.imaging.free_gas import doubtful_pockets
from navplan.imaging.lungs import find_lungs
from navplan.imaging.midline import midline_mm
from navplan.imaging.working import Step, WorkingCt
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

BULLAE_IN_PART = "smaller ones, and such as thick slices brighten, are not seen"
GAS_HU = -500.0  # half-way between gas and soft tissue
BOWEL_GAS_CM3 = 0.3  # smallest pocket
SKIN_AWAY_MM = 10.0  # gas nearer to the skin lies in a fold of it, or under it
BULLA_HU = -970.0  # below emphysema on thin slices; a starting value without a source
BULLA_MM = 5.0  # half of what a bulla is wide at least: 1 cm by definition
BULLA_CM3 = 1.0
BRIGHT_HU = 400.0  # with contrast in the vessels: above the blood
CALCIUM_MM3, CALCIUM_MOST_CM3 = 5.0, 5.0
BONE_AWAY_MM = 3.0


class CtGasSegmenter:
    """Entry point `navplan.segmenters`: ct-gas.

    bowel_gas: gas in the body that is neither lung nor windpipe, away from the skin; free air and an abscess's gas are
    in it too. free_gas_suspected_1 and on: the pockets of it that may lie free, the largest first; what speaks for that
    is in their made_with, and in a warning. bulla_left, bulla_right: wide places in a lung darker than emphysema,
    marked as incomplete. calcification: small bright spots outside bone; above 400 HU, so that contrast is none. What
    is not found is unknown.
    """

    name = "ct-gas"
    description = "Bowel gas, gas that may lie free, bullae and calcification on CT by thresholds"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """bowel_gas, free_gas_suspected_1 ..., bulla_left, bulla_right, calcification.

        Raises InputError for an image that is not CT in Hounsfield units.
        """
        ct = WorkingCt.of(volume, image_id, self.name)
        bone = find_bone(ct.hu, ct.body, ct.step)
        chest = find_lungs(ct.hu, ct.body, midline_mm(bone, ct.body, ct.step), ct.step)
        lungs = np.zeros_like(ct.body)
        for part in (chest.left, chest.right, chest.lung):
            if part is not None:
                lungs |= part
        airway = np.zeros_like(ct.body) if chest.airway is None else chest.airway
        gas = bowel_gas(ct.hu, ct.body, lungs | airway, ct.step)
        dark = bullae(ct.hu, lungs & ~airway, ct.step)
        found = [ct.structure(gas, "bowel_gas", "automatic"), *_suspected(ct, gas)]
        for side, lung in (("left", chest.left), ("right", chest.right), ("", chest.lung)):
            if side or lung is not None:
                bulla = dark & lung if lung is not None else np.zeros_like(dark)
                one = ct.structure(bulla, f"bulla_{side}" if side else "bulla_unsided", "automatic")
                found.append(replace(one, incomplete=BULLAE_IN_PART) if one.presence is Presence.PRESENT else one)
        found.append(ct.structure(calcification(ct.hu, ct.body, bone, ct.step), "calcification", "automatic"))
        return found


def _suspected(ct: WorkingCt, gas: Mask) -> list[Structure]:
    """A structure for each pocket that may lie free; its made_with and a warning say where, how large and why."""
    found = []
    for number, pocket in enumerate(doubtful_pockets(ct.hu, gas, ct.step), start=1):
        one = ct.structure(pocket.mask, f"free_gas_suspected_{number}", "automatic")
        x, y, z = ct.points_mm(np.argwhere(pocket.mask).mean(axis=0)[None])[0]
        words = (
            f"{pocket.volume_cm3:.1f} cm³ about {x:.0f},{y:.0f},{z:.0f} mm (LPS) may be free gas:"
            f" {pocket.bare_share:.0%} of its outline lies in fat without a wall"
        )
        log.warning("%s: %s", one.name, words)
        found.append(replace(one, made_with=f"{one.origin}; {words}"))
    return found


def bowel_gas(hu: NDArray[np.float32], body: Mask, lungs: Mask, step: Step) -> Mask:
    """Pockets of gas of at least BOWEL_GAS_CM3 inside the body, none of whose voxels lies in or next to the lungs."""
    gas = (hu < GAS_HU) & eroded(body, SKIN_AWAY_MM, step)
    labels, sizes = _parts(gas, step)
    keep = sizes >= BOWEL_GAS_CM3
    keep[np.unique(labels[dilated(lungs, 1.01 * max(step), step)])] = False
    keep[0] = False
    return np.asarray(keep[labels])


def bullae(hu: NDArray[np.float32], lungs: Mask, step: Step) -> Mask:
    """Places of the lungs below BULLA_HU that are as wide and large as a bulla."""
    dark = (hu < BULLA_HU) & lungs
    core = eroded(dark, BULLA_MM, step)
    labels, sizes = _parts(dilated(core, BULLA_MM, step) & dark, step)
    keep = sizes >= BULLA_CM3
    keep[0] = False
    return np.asarray(keep[labels])


def calcification(hu: NDArray[np.float32], body: Mask, bone: Mask, step: Step) -> Mask:
    """Small spots above BRIGHT_HU, less than metal, away from bone."""
    bright = (hu > BRIGHT_HU) & body
    labels, sizes = _parts(bright, step)
    keep = (sizes >= CALCIUM_MM3 / 1000) & (sizes <= CALCIUM_MOST_CM3)
    # A spot with a rim of contrast may have come in as a small piece of bone.
    pieces, volumes = _parts(bone, step)
    bone = (volumes > CALCIUM_MOST_CM3)[pieces] & bone
    keep[np.unique(labels[dilated(bone, BONE_AWAY_MM, step) | (hu > METAL_HU)])] = False
    keep[0] = False
    return np.asarray(keep[labels])


def _parts(mask: Mask, step: Step) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Numbers of the connected parts, and their volumes in cm³ by number."""
    labels, count = labelled(mask)
    return labels, np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
