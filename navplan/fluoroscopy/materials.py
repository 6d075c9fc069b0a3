"""From CT numbers to amounts of water and of cortical bone: what X-rays of any energy can be weakened by.

A voxel holds so many mm of water and of bone per mm of path. Below the ramp it is water of the density that its number
says; above, water and cortical bone by volume, so mixed that the CT number is right at the scanner's energy; beyond
cortical bone, bone alone. Metal and iodine in the CT are taken for dense bone: too faint, but in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.volume import Volume

AIR_HU = -1000.0
# The CT number of cortical bone where a 120 kVp scanner has its effective energy, taken as 80 keV:
# 1000 (.4279 / .1837 - 1) HU, linear attenuation of ICRU-44 cortical bone and of water from NIST XCOM.
CORTICAL_BONE_HU = 1330.0
BONE_FROM_HU, BONE_FULL_HU = 100.0, 200.0  # soft ramp
OUTER_AIR_HU = (
    -950
)  # what a row has outside its outermost voxel above this is air: a CT's air is noisy, and a beam's not
WATER_STEP, BONE_STEP = 1.0 / 16384, 1.0 / 2000  # of the stored amounts
_ALL_HU = np.arange(-32768, 32768)


def water_and_bone_of_hu(hu: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mm of water and of cortical bone in 1 mm of tissue of CT numbers of any shape; both 0 from AIR_HU down."""
    numbers = np.asarray(hu, dtype=np.float64)
    along = np.clip((numbers - BONE_FROM_HU) / (BONE_FULL_HU - BONE_FROM_HU), 0.0, 1.0)
    mixed = along * along * (3.0 - 2.0 * along)
    share = numbers / CORTICAL_BONE_HU
    dense = np.maximum(share, 1.0)  # of cortical bone and more
    bone = np.where(share > 1.0, (1.0 + dense * CORTICAL_BONE_HU / 1e3) / (1.0 + CORTICAL_BONE_HU / 1e3), share)
    water = (1.0 - mixed) * np.maximum(1.0 + numbers / 1e3, 0.0) + mixed * np.maximum(1.0 - share, 0.0)
    return water, np.asarray(mixed * bone)


def amount_tables(padding_hu: float | None) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Of water in WATER_STEP and of bone in BONE_STEP, at [HU + 32768]; padding counts as air."""
    water, bone = water_and_bone_of_hu(_ALL_HU)
    tables = (np.rint(water / WATER_STEP).astype(np.int16), np.rint(bone / BONE_STEP).astype(np.int16))
    if padding_hu is not None and -32768 <= padding_hu <= 32767 and padding_hu == round(padding_hu):
        for table in tables:
            table[int(padding_hu) + 32768] = 0
    return tables


def hounsfield(volume: Volume) -> NDArray[np.int16]:
    """[i, j, k] whole CT numbers. Raises InputError for a volume that does not hold Hounsfield units."""
    if volume.modality != "CT" or volume.quantity != "HU":
        raise InputError(
            f"an image of modality {volume.modality}, quantity {volume.quantity}",
            "CT in Hounsfield units",
            "Choose the CT: X-ray attenuation cannot be had from another kind of image",
        )
    voxels = volume.voxels
    if voxels.dtype == np.int16:
        return voxels
    return np.rint(np.clip(voxels, -32768, 32767)).astype(np.int16)
