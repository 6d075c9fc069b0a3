"""What a liver grown on CT with contrast took of the heart that rests on it, by the heart's brighter blood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import IN_PLANE, Mask, box_of, dilated, eroded, labelled
from navplan.imaging.working import Step, parts_near

# Starting values, set on one portal-venous CT (5 mm slices) whose heart the liver had leaked into.
BRIGHTER_HU, MOST_HU = 20.0, 400.0  # above the liver's level; more is bone or metal
CHAMBER_MM, CHAMBER_CM3 = 6.0, 4.0  # how deep blood in a chamber is, and how much lies that deep
LUNG_HU, LUNG_MM, LUNG_SHARE = -500.0, 15.0, 0.08  # of a chamber's blood so much lies that close to lung
ABOVE = 0.95  # of the liver lies below a chamber's middle
WALL_MM = 8.0  # muscle about the blood, in the plane
TOLD_CM3 = 1.0


@dataclass(frozen=True, eq=False)
class Beside:
    """region: what is left; cut: what lay within WALL_MM of a chamber's blood, or hung on the rest by that alone."""

    region: Mask
    cut: Mask


def without_heart(
    region: Mask, smooth: NDArray[np.float32], hu: NDArray[np.float32], body: Mask, bone: Mask,
    seeds: NDArray[np.intp], step: Step,
) -> Beside:  # fmt: skip
    """A liver's region without the wall of the heart; all arrays [left, posterior, superior], seeds (n, 3) voxels.

    As it is where no blood brighter than the liver lies above it beside lung: without contrast nothing is cut.
    """
    blood = _chambers(region, smooth, hu, body, bone, step)
    if not blood.any():
        return Beside(region, np.zeros_like(region))
    flat = (step[0], step[1], 1e6)  # a ball in it stays in its slice
    wall = region & dilated(blood, WALL_MM, flat)
    rest = region & ~wall
    narrow = eroded(rest, WALL_MM / 4, flat)
    kept = dilated(parts_near(narrow, seeds, WALL_MM, step), WALL_MM / 4 + 1.01 * max(step[:2]), flat) & rest
    kept |= region & ~blood.any(axis=(0, 1))
    return Beside(kept, region & ~kept)


def _chambers(
    region: Mask, smooth: NDArray[np.float32], hu: NDArray[np.float32], body: Mask, bone: Mask, step: Step
) -> Mask:
    found = np.zeros_like(region)
    slices = region.sum(axis=(0, 1))
    if not slices.any():
        return found
    high = int(np.searchsorted(np.cumsum(slices), ABOVE * slices.sum()))
    level = float(np.median(smooth[region]))
    bright = (smooth > level + BRIGHTER_HU) & (smooth < MOST_HU) & body & ~bone
    pieces, count = labelled(eroded(bright, CHAMBER_MM, step))
    volumes_cm3 = np.bincount(pieces.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
    lung = dilated((hu < LUNG_HU) & body, LUNG_MM, step)
    for number in np.flatnonzero(volumes_cm3[1:] >= CHAMBER_CM3) + 1:
        core = pieces == number
        if ndimage.center_of_mass(core)[2] <= high:
            continue
        whole = dilated(core, CHAMBER_MM + 1.01 * max(step[:2]), step) & bright
        if lung[whole].mean() >= LUNG_SHARE:
            found |= whole
    # Slices below a chamber's depth still show its blood, as far as it hangs on it in the plane.
    if found.any():
        low = int(np.flatnonzero(found.any(axis=(0, 1)))[0])
        for z in range(low - 1, max(-1, low - 1 - int(np.ceil(2 * CHAMBER_MM / step[2]))), -1):
            found[:, :, z] = bright[:, :, z] & ndimage.binary_dilation(found[:, :, z + 1], IN_PLANE[:, :, 1])
    return found


def place_of(mask: Mask) -> tuple[int, int, int] | None:
    """The voxel of a mask nearest to its middle; None for an empty one."""
    box = box_of(mask)
    if box is None:
        return None
    voxels = np.argwhere(mask)
    left, posterior, superior = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    return left, posterior, superior
