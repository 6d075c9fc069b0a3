"""From CT numbers to the attenuation of X-rays of ONE energy.

Monochromatic: no spectrum, so no beam hardening (the mean attenuation of water at 80 kVp falls from .2448 to .2233
per cm between 1 and 30 cm), no scatter, no noise. Good for where things are seen, not for how well they are seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import compiled, prange
from navplan.model.volume import Volume

EFFECTIVE_ENERGY_KEV = 60.0  # a choice: about the mean energy of a filtered 100 kVp beam

# Linear attenuation at 60 keV, per mm. NIST XCOM mass coefficients, as xraydb gives them:
WATER_PER_MM = 0.02059  # 1.000 g/cm3
CORTICAL_BONE_PER_MM = 0.06045  # ICRU-44 cortical bone, 1.92 g/cm3
STEEL_PER_MM = 0.951  # 70 % Fe, 19 % Cr, 10 % Ni, 1 % Mn, 8.0 g/cm3

# The CT number of cortical bone where a 120 kVp scanner has its effective energy (taken as 80 keV):
# 1000 (.4279 / .1837 - 1) HU, from the same tables.
CORTICAL_BONE_HU = 1330.0
BONE_FROM_HU, BONE_FULL_HU = 100.0, 200.0  # soft ramp: below all water, above all a mixture of water and bone
AIR_HU = -1000.0

_TABLE_FROM_HU, _TABLE_TO_HU = -1024, 32767


def attenuation_of_hu(hu: NDArray[Any]) -> NDArray[np.float64]:
    """Linear attenuation at 60 keV, per mm, of CT numbers of any shape; 0 from AIR_HU down, rising everywhere above.

    Below the ramp it is water of the density that HU says. Above it, water and cortical bone by volume, so mixed that
    the CT number is right at the scanner's energy. Metal and iodine are taken for dense bone: too faint, but in
    place.
    """
    numbers = np.asarray(hu, dtype=np.float64)
    soft = WATER_PER_MM * np.maximum(1.0 + numbers / 1000.0, 0.0)
    bone = WATER_PER_MM + numbers / CORTICAL_BONE_HU * (CORTICAL_BONE_PER_MM - WATER_PER_MM)
    along = np.clip((numbers - BONE_FROM_HU) / (BONE_FULL_HU - BONE_FROM_HU), 0.0, 1.0)
    weight = along * along * (3.0 - 2.0 * along)
    return np.asarray((1.0 - weight) * soft + weight * bone)


@compiled(parallel=True)
def _look_up(
    values: NDArray[Any], table: NDArray[np.float32], from_hu: float, padding: float, attenuation: NDArray[np.float32]
) -> None:
    """values: flat CT numbers; table: attenuation of from_hu, from_hu + 1, ...; attenuation: flat, written."""
    last = table.size - 1
    for index in prange(values.size):
        number = float(values[index])
        place = min(max(number - from_hu, 0.0), float(last))
        below = min(int(place), last - 1)
        attenuation[index] = table[below] + (place - below) * (table[below + 1] - table[below])
        if number == padding:
            attenuation[index] = 0.0


def attenuation_per_mm(volume: Volume) -> NDArray[np.float32]:
    """(i, j, k) float32: linear attenuation at 60 keV, per mm, of a CT; padding counts as air.

    Raises InputError for a volume that does not hold Hounsfield units.
    """
    if volume.modality != "CT" or volume.quantity != "HU":
        raise InputError(
            f"an image of modality {volume.modality}, quantity {volume.quantity}",
            "CT in Hounsfield units",
            "Choose the CT: X-ray attenuation cannot be had from another kind of image",
        )
    table = attenuation_of_hu(np.arange(_TABLE_FROM_HU, _TABLE_TO_HU + 1)).astype(np.float32)
    voxels = volume.voxels
    if not (voxels.flags.c_contiguous or voxels.flags.f_contiguous):
        voxels = np.asfortranarray(voxels)
    attenuation = np.empty_like(voxels, dtype=np.float32)  # in the same order in memory
    padding = volume.acquisition.padding_hu
    _look_up(
        voxels.ravel(order="K"), table, float(_TABLE_FROM_HU), np.nan if padding is None else float(padding),
        attenuation.ravel(order="K"),
    )  # fmt: skip
    return attenuation
