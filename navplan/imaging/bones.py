"""Bone and metal on CT, by thresholds and morphology, with dense contrast kept apart where it can be.

Bone is heterogeneous: cortex around marrow. What is dense, even and wide (contrast in the heart, in a large vessel, in
a kidney) is taken for contrast. Contrast that is too narrow or too streaky to be recognised stays in the bone: too much
of it, which a needle then avoids, rather than too little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import IN_PLANE, Mask, closed, dilated, eroded, labelled

# Starting values without a published source, set by comparison with labelled CTs.
BONE_HU = 160.0  # trabecular bone of the old is as low
CORTEX_HU = 250.0  # every piece of bone has a voxel of this, a rib on 3 mm voxels too
BRIGHT_HU = 450.0  # above blood in the arterial phase; every large piece of bone has some
SMALL_CM3 = 10.0
METAL_HU = 2500.0
EVEN_HU = 40.0  # standard deviation over three working voxels along each axis, below which a place is even
WIDE_MM = 3.0  # depth from which dense and even is contrast
BRIGHTER_HU = 80.0  # cortex is at least this much above the marrow that it encloses
CONTRAST_HU = 110.0  # blood in the portal phase and more
CONTRAST_CM3 = 0.5  # smallest such depth
BONE_CM3 = 0.3  # smallest piece
NEAR_CONTRAST_MM = 6.0  # rims of contrast lie this close to its depth
CLOSING_MM = 3.0
MARROW_CM2 = 12.0  # largest marrow space in an axial slice
CANAL_HU = (-20.0, 60.0)  # cord and fluid: a hole of this mean is the spinal canal, not marrow
CANAL_CM2 = 0.5  # smallest canal in an axial slice


def find_bone(hu: NDArray[np.float32], body: Mask, step: tuple[float, float, float]) -> Mask:
    """Bone with its marrow in hu[left, posterior, superior]; metal is part of it; step: spacing in mm."""
    dense = (hu > BONE_HU) & body
    contrast = _contrast(hu, (hu > CONTRAST_HU) & body, step)
    dense &= ~contrast
    labels, count = labelled(dense)
    voxels = np.bincount(labels.ravel("K"), minlength=count + 1)
    volume_cm3 = voxels * float(np.prod(step)) / 1000
    cortex = np.bincount(labels[hu > CORTEX_HU], minlength=count + 1)
    bright = np.bincount(labels[hu > BRIGHT_HU], minlength=count + 1)
    keep = (volume_cm3 >= BONE_CM3) & (cortex > 0)
    keep &= (volume_cm3 < SMALL_CM3) | (bright > 0.02 * voxels)
    if contrast.any():
        near = np.bincount(labels[dilated(contrast, NEAR_CONTRAST_MM, step)], minlength=count + 1)
        keep &= ~((near > 0.7 * voxels) & (bright < 0.1 * voxels))
    keep[0] = False
    bone = closed(keep[labels], max(CLOSING_MM, 1.01 * max(step[:2])), step) & body & ~contrast
    return np.asarray(bone | _marrow(bone, hu, step))


def _marrow(bone: Mask, hu: NDArray[np.float32], step: tuple[float, float, float]) -> Mask:
    """Holes of axial slices that are marrow: trabecular bone or fat, not the spinal canal."""
    holes, count = labelled(~bone, IN_PLANE)
    voxels = np.maximum(np.bincount(holes.ravel("K"), minlength=count + 1), 1)
    mean = np.bincount(holes.ravel("K"), weights=hu.ravel("K"), minlength=count + 1) / voxels
    keep = (voxels * step[0] * step[1] <= MARROW_CM2 * 100) & (mean > -200)
    keep &= (mean < CANAL_HU[0]) | (mean > CANAL_HU[1])
    for part in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        keep[np.unique(part)] = False
    keep[0] = False
    marrow = keep[holes]
    # A canal that shares its hole with marrow: a place of canal density, as large as a canal.
    fluid, count = labelled(marrow & (hu > CANAL_HU[0]) & (hu < CANAL_HU[1]), IN_PLANE)
    wide = np.bincount(fluid.ravel("K"), minlength=count + 1) * step[0] * step[1] >= CANAL_CM2 * 100
    wide[0] = False
    return np.asarray(marrow & ~wide[fluid])


def _contrast(hu: NDArray[np.float32], dense: Mask, step: tuple[float, float, float]) -> Mask:
    """Places that are dense, wide and even: blood, kidney or bowel with contrast."""
    deep = eroded(dense, WIDE_MM, step)
    if not deep.any():
        return deep
    turned = hu.T
    mean = ndimage.uniform_filter(turned, 3)
    variance = (ndimage.uniform_filter(turned * turned, 3) - mean * mean) * deep.T
    share = ndimage.uniform_filter(deep.T.astype(np.float32), 5)
    even = deep & (ndimage.uniform_filter(variance, 5) < EVEN_HU**2 * share).T
    labels, count = labelled(even)
    volume = np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
    keep = volume >= CONTRAST_CM3
    keep[0] = False
    depth = keep[labels]
    # To the edge of the dense place, but not into what is clearly brighter than its depth: the cortex around marrow.
    reach = [2 * int(np.ceil(WIDE_MM / spacing)) + 3 for spacing in step[::-1]]
    level = ndimage.maximum_filter(np.where(depth.T, mean, -1024.0), reach).T
    return np.asarray(dilated(depth, WIDE_MM + 1.01 * max(step[:2]), step) & dense & (hu < level + BRIGHTER_HU))
