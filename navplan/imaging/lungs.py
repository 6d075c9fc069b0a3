"""Left and right lung and the windpipe with its main bronchi on CT, by thresholds and morphology.

Lung here is what is aerated, with the vessels and bronchi inside it; a mass or consolidation that reaches the pleura
is not found by a threshold and stays outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import IN_PLANE, Mask, box_of, closed, dilated, eroded, labelled

# Starting values without a published source, set by comparison with labelled CTs.
AERATED_HU = -400.0  # half-way between lung and soft tissue
GAS_HU = -930.0  # median in the depth of a pocket: gas of bowel and windpipe lies below, lung above
SURELY_LUNG_CM3 = 700.0  # no pocket of gas is so large: emphysema
LUMEN_HU = -600.0  # edge of an airway's lumen
LUNG_CM3 = 40.0  # smallest piece of lung
VESSEL_CLOSING_MM = 6.0  # vessels and bronchi up to twice this width are inside the lung
WINDPIPE_CM2 = (0.7, 7.0)  # area of its hole in an axial slice
WINDPIPE_LENGTH_MM = 30.0  # shortest visible piece that counts
OFF_MIDLINE_MM = 45.0  # farthest that a windpipe may lie from the midline
AIRWAY_CM3 = (3.0, 150.0)  # plausible volumes of windpipe and bronchi
AIRWAY_WALL_MM = 1.5
TRUNK_MM = 3.5  # radius from which an airway is windpipe or main bronchus
CENTRAL_MM = 10.0  # lung this close to the midline says nothing about its side
SMALLER_LUNG = 0.1  # smallest share of a piece that makes it reach over both sides


@dataclass(frozen=True, eq=False)
class ChestMasks:
    """Masks in canonical order on the working grid; None = looked for and not found.

    lung: aerated lung whose side could not be told.
    """

    left: Mask | None
    right: Mask | None
    airway: Mask | None
    lung: Mask | None = None

    def lungs(self, none: Mask) -> Mask:
        """Both, and what has no side, together; none: a mask of the same shape that holds nothing."""
        return np.logical_or.reduce([none, *(one for one in (self.left, self.right, self.lung) if one is not None)])


def find_lungs(hu: NDArray[np.float32], body: Mask, midline_mm: float, step: tuple[float, float, float]) -> ChestMasks:
    """Lungs and airway from hu[left, posterior, superior] with its body mask.

    midline_mm: where the patient's midline lies along the first axis, from its first voxel's centre; step: spacing.
    """
    air = (hu < AERATED_HU) & body
    if not _lung_pieces(air, hu, step).any():
        return ChestMasks(None, None, None)
    airway = find_airway(hu, body, midline_mm, step)
    trunk = None if airway is None else _trunk(airway, hu, step)
    around_trunk = np.zeros_like(air) if trunk is None else dilated(trunk, AIRWAY_WALL_MM, step)
    pieces = _lung_pieces(air if airway is None else air & ~dilated(airway, AIRWAY_WALL_MM, step), hu, step)
    side = _sides(pieces, midline_mm, step)
    masks: list[Mask | None] = []
    for number in (1, 2, 3):
        aerated = side == number
        if not aerated.any():
            masks.append(None)
            continue
        others = (side > 0) & (side != number)
        lung = closed(aerated, VESSEL_CLOSING_MM, step) & body & ~others & ~around_trunk
        for earlier in masks:  # closing may let two lungs reach the same voxel between them
            if earlier is not None:
                lung &= ~earlier
        masks.append(lung)
    return ChestMasks(masks[0], masks[1], trunk, masks[2])


def _lung_pieces(air: Mask, hu: NDArray[np.float32], step: tuple[float, float, float]) -> Mask:
    """The pieces of air that are lung: large, and in their depth denser than gas."""
    labels, count = labelled(air)
    volume_cm3 = np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
    large = volume_cm3 >= LUNG_CM3
    large[0] = False
    deep = eroded(large[labels], 2.0 * max(step[:2]), step)
    depth = np.bincount(labels[deep], minlength=count + 1)
    gas = np.bincount(labels[deep & (hu < GAS_HU)], minlength=count + 1)
    keep = large & (depth > 0) & ((gas < 0.5 * depth) | (volume_cm3 > SURELY_LUNG_CM3))
    keep[0] = False
    return np.asarray(keep[labels])


def find_airway(
    hu: NDArray[np.float32], body: Mask, midline_mm: float, step: tuple[float, float, float]
) -> Mask | None:
    """Lumen of windpipe and bronchi: the gas connected to an upright tube of a windpipe's size; None if not found.

    The threshold is the highest at which the region does not leak into the lung.
    """
    tube = _windpipe(hu, body, midline_mm, step)
    if tube is None:
        return None
    for threshold in (-800, -850, -880, -900, -920, -940, -960, -980):
        labels, _ = labelled((hu < threshold) & body)
        number = int(np.bincount(labels[tube]).argmax())
        if number == 0:
            return None
        airway = labels == number
        volume = np.count_nonzero(airway) * float(np.prod(step)) / 1000
        if volume < AIRWAY_CM3[0]:
            return None
        if volume <= AIRWAY_CM3[1]:
            return np.asarray(airway)
    return None


def _windpipe(hu: NDArray[np.float32], body: Mask, midline_mm: float, step: tuple[float, float, float]) -> Mask | None:
    """The longest upright tube of gas near the midline: round holes of WINDPIPE_CM2 in successive axial slices."""
    holes, count = labelled((hu < -850) & body, IN_PLANE)
    area_cm2 = np.bincount(holes.ravel("K"), minlength=count + 1) * step[0] * step[1] / 100
    tubular = np.zeros(count + 1, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(holes.T), start=1):
        if box is None or not WINDPIPE_CM2[0] <= area_cm2[number] <= WINDPIPE_CM2[1]:
            continue
        across, deep = ((box[axis].stop - box[axis].start) * step[2 - axis] for axis in (2, 1))
        off_midline = abs((box[2].start + box[2].stop - 1) / 2 * step[0] - midline_mm)
        full = area_cm2[number] * 100 / (across * deep)
        tubular[number] = full > 0.55 and 0.5 < across / deep < 2.0 and off_midline < OFF_MIDLINE_MM
    tubes, count = labelled(tubular[holes])
    longest, best = WINDPIPE_LENGTH_MM, None
    for number, box in enumerate(ndimage.find_objects(tubes.T), start=1):
        length = (box[0].stop - box[0].start) * step[2]
        if length >= longest:
            longest, best = length, number
    return None if best is None else np.asarray(tubes == best)


def _trunk(airway: Mask, hu: NDArray[np.float32], step: tuple[float, float, float]) -> Mask | None:
    """The wide part of the airway, windpipe and main bronchi, to the edge of the lumen."""
    wide = dilated(eroded(airway, TRUNK_MM, step), TRUNK_MM, step) & airway
    if not wide.any():
        return None
    return np.asarray(wide | (dilated(wide, max(AIRWAY_WALL_MM, min(step)), step) & (hu < LUMEN_HU)))


def _sides(pieces: Mask, midline_mm: float, step: tuple[float, float, float]) -> NDArray[np.uint8]:
    """1 left, 2 right, 3 unsure for every voxel of the pieces, 0 elsewhere."""
    labels, count = labelled(pieces)
    position_mm = np.arange(pieces.shape[0]) * step[0] - midline_mm  # towards the patient's left
    result = np.zeros(pieces.shape, dtype=np.uint8, order="F")
    for number in range(1, count + 1):
        piece = labels == number
        across = piece.sum(axis=(1, 2))
        share_left = float(across[position_mm > CENTRAL_MM].sum()) / float(across.sum())
        share_right = float(across[position_mm < -CENTRAL_MM].sum()) / float(across.sum())
        if min(share_left, share_right) < SMALLER_LUNG:
            result[piece] = 1 if share_left > share_right else 2
            continue
        parts = _split(piece, step)
        if parts is None:
            result[piece] = 3
            continue
        centres = [float((part.sum(axis=(1, 2)) * position_mm).sum() / part.sum()) for part in parts]
        left = int(np.argmax(centres))
        if centres[left] < 0 or centres[1 - left] > 0:
            result[piece] = 3
            continue
        result[parts[left]], result[parts[1 - left]] = 1, 2
    return result


def _split(piece: Mask, step: tuple[float, float, float]) -> tuple[Mask, Mask] | None:
    """Two lungs that touch, parted at the narrowest place: watershed of the depth from the two parts deep inside."""
    box = box_of(piece, 1)
    if box is None:
        return None
    inside = sitk.GetImageFromArray(np.ascontiguousarray(piece[box].T, dtype=np.uint8))
    inside.SetSpacing(step)
    below = sitk.SignedMaurerDistanceMap(inside, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    depth_mm = -sitk.GetArrayFromImage(below).T
    for least_mm in (1.0, 2.0, 4.0, 6.0, 9.0, 12.0):
        labels, count = labelled(depth_mm > least_mm)
        if count < 2:
            continue
        sizes = np.bincount(labels.ravel("K"))
        sizes[0] = 0
        first, second = np.argsort(sizes)[::-1][:2]
        if sizes[second] < SMALLER_LUNG * sizes.sum():
            continue
        markers = np.where(labels == first, 1, np.where(labels == second, 2, 0)).astype(np.uint8)
        seeds = sitk.GetImageFromArray(np.ascontiguousarray(markers.T))
        seeds.SetSpacing(step)
        basins = sitk.MorphologicalWatershedFromMarkers(below, seeds, markWatershedLine=False, fullyConnected=False)
        basin = np.zeros(piece.shape, dtype=np.uint8, order="F")
        basin[box] = sitk.GetArrayFromImage(basins).T
        return piece & (basin == 1), piece & (basin == 2)
    return None
