"""The patient's body on CT: everything inside the skin, without couch, clothes and lines.

Air that is enclosed (lungs, bowel, airways) is inside. Where nothing was reconstructed (outside the circular field of
view) is neither body nor air: a body that the field of view cuts has no skin there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import (
    IN_PLANE,
    CanonicalOrder,
    Mask,
    coarser,
    dilated,
    eroded,
    finer,
    labelled,
    working_factors,
)
from navplan.model.volume import Volume

# Starting values without a published source, set by looking at real CTs.
SKIN_HU = -500.0  # half-way between air and skin: where a blurred edge of full contrast is unbiased
TISSUE_HU = -250.0  # below fat, above most of what a couch is made of
PADDING_HU = -1500.0  # nothing that a scanner measures lies below it
FREE_AIR_HU = -950.0  # most of a pocket of free air lies below it
LUNG_HU = (-900.0, -650.0)  # aerated lung; couch foam and clothes have few voxels in this range
LUNG_SHARE = (0.25, 0.5)  # share of a pocket in LUNG_HU: from which it may be lung, from which it is
GAP_CM2 = 6.0  # smallest gap between parts of the body that is looked for; larger than a windpipe
CORNER_RADIUS, CIRCLE_RADIUS = 1.04, 0.97  # of half a slice: surely outside the field of view; perhaps outside
SHEET_MM = 3.0  # half the thickness of what is taken for couch top, blanket or line
PART_CM3 = 30.0  # smallest separate part of the body (a hand)
WORKING_SPACING_MM = 1.5  # the coarsest grid that the morphology works on, if the image is finer


@dataclass(frozen=True, eq=False)
class BodyMasks:
    """Masks on the image's own grid [i, j, k].

    body: inside the skin. outside_air: air around it, with couch and clothes. padding: nothing was reconstructed.
    Every voxel is in exactly one of the three.
    """

    body: Mask
    outside_air: Mask
    padding: Mask


def find_padding(volume: Volume) -> Mask:
    """Voxels [i, j, k] outside the reconstructed field of view.

    They are all values below -1500 HU; else, where the corners of the axial slices hold one single value below -900 HU
    and that is the stated padding or the air inside varies, this value from about the circle outwards.
    """
    order = CanonicalOrder.of(volume.grid)
    voxels = order.apply(volume.voxels)
    padding = voxels < PADDING_HU
    if padding.any():
        return order.undo(padding)
    radius = _radius(voxels.shape[:2])
    values = voxels[radius > CORNER_RADIUS]
    if values.size == 0 or values.min() != values.max() or values.min() >= -900:
        return order.undo(padding)
    value = values.min()
    stated = volume.acquisition.padding_hu
    air = voxels[radius < CIRCLE_RADIUS]
    air = air[air < -900]
    varies = air.size > 1000 and np.count_nonzero(air != value) > 0.2 * air.size
    if varies or (stated is not None and stated == value and stated < -1000):
        padding = (voxels == value) & (radius > CIRCLE_RADIUS)[:, :, None]
    return order.undo(padding)


def _radius(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance from the middle of a slice, 1 at the middle of its sides; 0 for a slice that is not square."""
    if shape[0] != shape[1]:
        return np.zeros(shape)
    offset = (np.arange(shape[0]) - (shape[0] - 1) / 2) / (shape[0] / 2)
    return np.asarray(np.hypot(offset[:, None], offset[None, :]))


def find_body(volume: Volume) -> BodyMasks:
    """Body, air around it and padding of a CT in Hounsfield units; a body mask without voxels when there is none."""
    order = CanonicalOrder.of(volume.grid)
    spacing = order.spacing_mm(volume.grid)
    factors = working_factors(spacing, WORKING_SPACING_MM)
    voxels = order.apply(volume.voxels)
    padding = order.apply(find_padding(volume))
    hu = coarser(np.clip(voxels, -1024, 3000), factors)
    closed_off = coarser(padding, factors) > 0.5
    step = (spacing[0] * factors[0], spacing[1] * factors[1], spacing[2] * factors[2])
    rough = _rough_body(hu, closed_off, step)

    # The outline at full resolution: the threshold decides within a working voxel of the rough outline. What the field
    # of view or the array cuts is not an outline.
    reach = 1.01 * max(step[:2])
    certain = finer(eroded(rough | closed_off, reach, step), factors, voxels.shape)
    possible = finer(dilated(rough, reach, step), factors, voxels.shape)
    body = (certain | (possible & (voxels > SKIN_HU))) & ~padding
    outside = ~body & ~padding
    return BodyMasks(order.undo(body), order.undo(outside), order.undo(padding))


def _rough_body(hu: NDArray[np.float32], closed_off: Mask, step: tuple[float, float, float]) -> Mask:
    tissue = (hu > TISSUE_HU) & ~closed_off
    core = eroded(tissue | closed_off, max(SHEET_MM, min(step[:2])), step) & tissue
    core = _parts_of_the_body(core, hu, float(np.prod(step)))
    if not core.any():
        return core
    solid = tissue & dilated(core, 2 * SHEET_MM, step)
    solid = (hu > SKIN_HU) & ~closed_off & dilated(solid, 1.01 * max(step[:2]), step)
    return _with_enclosed_air(solid, hu, closed_off, step)


def _parts_of_the_body(core: Mask, hu: NDArray[np.float32], voxel_mm3: float) -> Mask:
    """The largest part made of soft tissue, and every other such part that is as large as a hand."""
    labels, count = labelled(core)
    if count == 0:
        return core
    volumes = np.bincount(labels.ravel("K"), minlength=count + 1) * voxel_mm3 / 1000
    soft = np.bincount(labels[(hu > -200) & (hu < 300)], minlength=count + 1) * voxel_mm3 / 1000
    volumes[0] = soft[0] = 0
    keep = (volumes >= PART_CM3) & (soft > 0.7 * volumes)
    keep[int(np.argmax(soft if soft.any() else volumes))] = True
    keep[0] = False
    return np.asarray(keep[labels])


def _with_enclosed_air(
    solid: Mask, hu: NDArray[np.float32], closed_off: Mask, step: tuple[float, float, float]
) -> Mask:
    """Add the air that is inside: pockets of single axial slices, so that an open end slice or mouth lets none out.

    A pocket is outside if it reaches the edge of the field of view and does not look like lung that the edge cuts; or
    if most of it lies over outside air of the next slice and it is doubtful or wide free air (between legs).
    """
    pockets, count = labelled(~solid & ~closed_off, IN_PLANE)
    area = np.bincount(pockets.ravel("K"), minlength=count + 1).astype(float)
    free_air = np.bincount(pockets[hu < FREE_AIR_HU], minlength=count + 1) > 0.5 * area
    lung_share = np.bincount(pockets[(hu > LUNG_HU[0]) & (hu < LUNG_HU[1])], minlength=count + 1) / np.maximum(area, 1)
    at_edge = np.zeros(count + 1, dtype=bool)
    beside_padding = ndimage.binary_dilation(closed_off, structure=IN_PLANE) if closed_off.any() else closed_off
    for part in (pockets[0], pockets[-1], pockets[:, 0], pockets[:, -1], pockets[beside_padding]):
        at_edge[np.unique(part)] = True
    outside = at_edge & (free_air | (lung_share < LUNG_SHARE[0]))
    outside[0] = False
    wide = free_air & ~at_edge & (area * step[0] * step[1] > GAP_CM2 * 100)
    wide |= at_edge & ~outside & (lung_share < LUNG_SHARE[1])
    wide[0] = False
    lower, upper = pockets[:, :, :-1].ravel("K"), pockets[:, :, 1:].ravel("K")
    meet = (lower > 0) & (upper > 0) & (wide[lower] | wide[upper])
    pairs, shared = np.unique(np.stack([lower[meet], upper[meet]]), axis=1, return_counts=True)
    pairs, shared = np.concatenate([pairs, pairs[::-1]], axis=1), np.concatenate([shared, shared])
    for _ in range(solid.shape[2]):
        below_outside = outside[pairs[1]]
        over = np.bincount(pairs[0][below_outside], shared[below_outside], minlength=count + 1)
        opened = wide & ~outside & (over > 0.5 * area)
        if not opened.any():
            break
        outside |= opened
    inside = ~outside
    inside[0] = False
    return np.asarray(solid | inside[pockets])
