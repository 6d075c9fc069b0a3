"""Pockets of gas that may lie free in the belly: those whose outline lies bare in fat, with no wall of gut about it.

What a wall of 1 to 3 mm leaves of itself on thick voxels is little, and gas between liver and belly wall touches no
fat: a pocket that is not in doubt here may be free all the same, and one in doubt may be gut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of, labelled

Step = tuple[float, float, float]

# Starting values without a published source, set on one belly CT of 3 mm voxels with planted pockets.
POCKET_CM3 = 1.0  # smaller ones show too little outline
BARE_SHARE = 0.55  # of the outline that has fat outside it: from which a pocket is in doubt
FAT_HU = -60.0  # a wall of gut, blurred with the fat behind it, comes out brighter
OUTWARDS_MM = (3.0, 4.5, 6.0, 7.5)  # where the image is read outside the outline: past the blur of the gas
SMOOTH_MM = 2.0  # for the outline's direction


@dataclass(frozen=True, eq=False)
class Pocket:
    """A pocket in doubt: its voxels [left, posterior, superior], cm³, and the share of its outline bare in fat."""

    mask: Mask
    volume_cm3: float
    bare_share: float


def doubtful_pockets(hu: NDArray[np.float32], gas: Mask, step: Step) -> list[Pocket]:
    """The pockets of gas that may lie free, the largest first. hu, gas: on steps of `step` mm."""
    labels, count = labelled(gas)
    sizes = np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
    sizes[0] = 0
    found = []
    for number in np.argsort(-sizes):
        if sizes[number] < POCKET_CM3:
            break
        pocket = np.asarray(labels == number)
        share = bare_share(hu, pocket, step)
        if share >= BARE_SHARE:
            found.append(Pocket(pocket, float(sizes[number]), share))
    return found


def bare_share(hu: NDArray[np.float32], pocket: Mask, step: Step) -> float:
    """Share of a pocket's outermost voxels outside which nothing is brighter than fat."""
    box = box_of(pocket, tuple(int(2 * max(OUTWARDS_MM) / one) + 1 for one in step))
    if box is None:
        return 0.0
    inside, spacing = pocket[box], np.asarray(step)
    outline = inside & ~ndimage.binary_erosion(inside, border_value=1)
    smooth = ndimage.gaussian_filter(inside.astype(np.float32), SMOOTH_MM / spacing)
    outwards = -np.stack([slope[outline] for slope in np.gradient(smooth, *step)], axis=1)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    places = np.argwhere(outline) * spacing
    read = [
        ndimage.map_coordinates(hu[box], ((places + outwards * away) / spacing).T, order=1, mode="nearest")
        for away in OUTWARDS_MM
    ]
    return float((np.max(read, axis=0) < FAT_HU).mean())
