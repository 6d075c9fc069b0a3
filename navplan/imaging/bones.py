"""Bone and metal on CT, by thresholds and morphology, with dense contrast kept apart where it can be.

Bone is heterogeneous: cortex around marrow. What is dense, even and wide (contrast in the heart, in a large vessel, in
a kidney), or dense and thicker than any bone, is taken for contrast. Contrast that is too narrow or too streaky to be
recognised (a bolus in the veins of an arm) stays in the bone: too much of it, which a needle then avoids, rather than
too little. A disc that bone spurs enclose may come out as bone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import (
    IN_PLANE,
    Mask,
    closed,
    coarser,
    dilated,
    eroded,
    finer,
    labelled,
    working_factors,
)
from navplan.imaging.midline import midline_mm, spine_depth_mm

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
THICK_HU, THICK_MM, THICK_CM3 = 130.0, 6.5, 40.0  # a core this deep and large: a femoral head's is 33
THICK_STEP_MM = 3.0  # grid on which that core is looked for
NEAR_CONTRAST_MM, NEAR_SHARE = 6.0, 0.25  # pieces of vessels: this share of them lies this close to contrast
BRIGHT_SHARE = 0.03  # of a large piece of bone, at least
CLOSING_MM = 3.0
SEALING_MM = 4.5  # gaps of the cortex (twice this) that are bridged to find marrow; two voxels where they are coarse
MARROW_CM2 = 30.0  # largest marrow space in an axial slice: a lumbar body
SPINE_MM = (30.0, 45.0)  # to each side of the midline, before and behind the spine's bone: there a hole may be a canal
BODY_MM, BODY_CM2 = (14.0, 45.0), 20.0  # height and area of the marrow of a vertebral body in a coronal slice
CORONAL = IN_PLANE.swapaxes(1, 2)  # neighbours within one coronal slice
CANAL_HU = (-60.0, 60.0)  # cord, fluid and epidural fat: a hole of this mean is the spinal canal, not marrow
CANAL_CM2 = (0.5, 12.0)  # smallest and largest canal in an axial slice


def find_bone(hu: NDArray[np.float32], body: Mask, step: tuple[float, float, float]) -> Mask:
    """Bone with its marrow in hu[left, posterior, superior]; metal is part of it; step: spacing in mm."""
    dense = (hu > BONE_HU) & body
    contrast = _contrast(hu, (hu > CONTRAST_HU) & body, step) | _thick(hu, body, step)
    dense &= ~contrast
    labels, count = labelled(dense)
    voxels = np.bincount(labels.ravel("K"), minlength=count + 1)
    volume_cm3 = voxels * float(np.prod(step)) / 1000
    cortex = np.bincount(labels[hu > CORTEX_HU], minlength=count + 1)
    bright = np.bincount(labels[hu > BRIGHT_HU], minlength=count + 1)
    keep = (volume_cm3 >= BONE_CM3) & (cortex > 0)
    keep &= (volume_cm3 < SMALL_CM3) | (bright > BRIGHT_SHARE * voxels)
    if contrast.any():
        near = np.bincount(labels[dilated(contrast, NEAR_CONTRAST_MM, step)], minlength=count + 1)
        keep &= ~((near > NEAR_SHARE * voxels) & (bright < 0.1 * voxels))
    keep[0] = False
    room = body & ~contrast
    bone = keep[labels]
    spine = _spine(bone, body, step)
    narrow, wide = max(CLOSING_MM, 1.01 * max(step[:2])), max(SEALING_MM, 2.02 * max(step[:2]))
    # A wide seal closes over a thin bone's marrow, a narrow one leaves a thick bone's open: first the narrow one.
    for fill, seal_mm in ((_bodies, narrow), (_marrow, narrow), (_marrow, wide), (_bodies, narrow)):
        bone |= fill(closed(bone, seal_mm, step) & room, hu, spine, step)
    return np.asarray((closed(bone, narrow, step) & room) | bone)


def _marrow(bone: Mask, hu: NDArray[np.float32], spine: Mask, step: tuple[float, float, float]) -> Mask:
    """Holes of axial slices that are marrow: trabecular bone or fat, not the spinal canal."""
    holes, voxels, mean = _holes(bone, hu, IN_PLANE)
    area_mm2 = voxels * step[0] * step[1]
    keep = (area_mm2 <= MARROW_CM2 * 100) & (mean > -200)
    near = np.bincount(holes[spine], minlength=len(voxels)) > 0.5 * voxels
    keep &= ~(near & (mean > CANAL_HU[0]) & (mean < CANAL_HU[1]) & (area_mm2 < CANAL_CM2[1] * 100))
    for part in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        keep[np.unique(part)] = False
    marrow = keep[holes]
    # A canal that shares its hole with marrow: a place of canal density, as large as a canal.
    fluid, count = labelled(marrow & spine & (hu > CANAL_HU[0]) & (hu < CANAL_HU[1]), IN_PLANE)
    area_mm2 = np.bincount(fluid.ravel("K"), minlength=count + 1) * step[0] * step[1]
    canal = (area_mm2 >= CANAL_CM2[0] * 100) & (area_mm2 < CANAL_CM2[1] * 100)
    canal[0] = False
    return np.asarray(marrow & ~canal[fluid])


def _bodies(bone: Mask, hu: NDArray[np.float32], spine: Mask, step: tuple[float, float, float]) -> Mask:
    """Holes of coronal slices that are the marrow of vertebral bodies, closed by end plates where the wall towards the
    canal is not; lower ones are discs that bone spurs enclose."""
    found = np.zeros(bone.shape, dtype=bool, order="F")
    columns = np.flatnonzero(spine.any(axis=(1, 2)))
    if not columns.size:
        return found
    near = slice(columns[0], columns[-1] + 1)
    holes, voxels, mean = _holes(bone[near], hu[near], CORONAL)
    low, high = np.full(len(voxels), bone.shape[2]), np.full(len(voxels), -1)
    for z in range(bone.shape[2]):
        here = np.unique(holes[:, :, z])
        low[here], high[here] = np.minimum(low[here], z), z
    height_mm = (high - low + 1) * step[2]
    keep = (voxels * step[0] * step[2] <= BODY_CM2 * 100) & (mean > CANAL_HU[1])
    keep &= (height_mm >= BODY_MM[0]) & (height_mm <= BODY_MM[1])
    keep &= np.bincount(holes[spine[near]], minlength=len(voxels)) > 0.8 * voxels
    for part in (holes[0], holes[-1], holes[:, :, 0], holes[:, :, -1]):
        keep[np.unique(part)] = False
    found[near] = keep[holes]
    return found


def _holes(
    bone: Mask, hu: NDArray[np.float32], plane: Mask
) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.float64]]:
    """The parts of what is not bone, slice by slice, numbered from 1 (0: bone, of no mean); the voxels and the
    mean of each."""
    holes, count = labelled(~bone, plane)
    voxels = np.maximum(np.bincount(holes.ravel("K"), minlength=count + 1), 1)
    mean = np.bincount(holes.ravel("K"), weights=hu.ravel("K"), minlength=count + 1) / voxels
    mean[0] = -np.inf
    return holes, voxels, mean


def _spine(bone: Mask, body: Mask, step: tuple[float, float, float]) -> Mask:
    """The boxes about the spine, slice by slice, in which a canal may lie."""
    middle = midline_mm(bone, body, step)
    beside = np.abs(np.arange(bone.shape[0]) * step[0] - middle) < SPINE_MM[0]
    depth = np.arange(bone.shape[1])[:, None] * step[1] - spine_depth_mm(bone, middle, step)
    return np.asfortranarray(beside[:, None, None] & (np.abs(depth) < SPINE_MM[1]))


def _thick(hu: NDArray[np.float32], body: Mask, step: tuple[float, float, float]) -> Mask:
    """Dense places thicker than any bone, without a cortex: heart and great vessels, mixed and streaky contrast too."""
    factors = working_factors(step, THICK_STEP_MM)
    coarse = (step[0] * factors[0], step[1] * factors[1], step[2] * factors[2])
    values = coarser(hu, factors)
    dense = (values > THICK_HU) & (coarser(body, factors) > 0.5)
    labels, count = labelled(eroded(dense, THICK_MM, coarse))
    volume_cm3 = np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(coarse)) / 1000
    found = np.zeros(dense.shape, dtype=bool, order="F")
    for number in np.flatnonzero(volume_cm3[1:] >= THICK_CM3) + 1:
        core = labels == number
        whole = dilated(core, THICK_MM + 1.01 * max(coarse[:2]), coarse) & dense
        rim = values[whole & ~dilated(core, THICK_MM / 2, coarse)]
        if rim.size and np.percentile(rim, 90) < np.median(values[core]) + BRIGHTER_HU:  # else it has a cortex
            found |= whole
    back = finer(found, factors, hu.shape)
    return np.asarray(dilated(np.asarray(back), max(WIDE_MM, 1.01 * max(step[:2])), step) & body & (hu > CONTRAST_HU))


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
