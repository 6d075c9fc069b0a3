"""A nodule or mass in the lung on CT from seeds in it, parted from chest wall, mediastinum and vessels that it touches.

Everything denser than half-way to lung is one mask. What lies outside the lung's own hull (its air, closed by a large
ball, as a rolling ball would) is wall, unless no ball's hull holds the seeds. Of the rest the smallest erosion
is sought at which the seeds' piece is free of all that reaches far; a watershed of depth from the two cuts at the neck
between them. After Kuhnigk et al., IEEE Trans Med Imaging 2006;25:417, without its fitted convex hulls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, labelled
from navplan.imaging.working import Step, ball

LUNG_HU, AIRY_HU = -500.0, -850.0  # aerated; lung's own density
HULLS_MM = (20.0, 30.0, 45.0)  # radii of the ball that closes the lung: the first whose hull holds the seeds
FAR_MM = 3.0  # within that of the reach's border: not the lesion
EROSION_STEP_MM = 0.5
THIN_MM = 2.0  # vessels and spicules up to that radius do not count
BROAD_NECK = 0.6  # of the lesion's depth: a neck broader than that is a guess
PIECE_SHARE = 0.15  # lung about the lesion in pieces smaller than that share of the largest is gas of something else


@dataclass(frozen=True, eq=False)
class LungLesion:
    """region: mask, empty where the seeds cannot be parted from what reaches far.

    neck_mm: radius of the neck that was cut, 0 where nothing was; deep_mm: of the largest ball about the seeds;
    hull_mm: of the ball whose hull holds them, 0 where none does.
    """

    region: Mask
    neck_mm: float = 0.0
    deep_mm: float = 0.0
    hull_mm: float = 0.0

    def doubts(self) -> tuple[str, ...]:
        """Why its outline is in doubt, in words."""
        found = []
        if self.neck_mm > BROAD_NECK * self.deep_mm:
            found.append(f"cut where it is {2 * self.neck_mm:.0f} mm broad from what is as dense beside it")
        if self.hull_mm == 0.0:
            found.append("it lies outside the lung, or so broadly on its wall that the wall may be in it")
        elif self.hull_mm > HULLS_MM[0]:
            found.append("it lies so broadly on the lung's wall that where it ends there is a guess")
        return tuple(found)


def lung_lesion(hu: NDArray[np.float32], body: Mask, within: Mask, seeds: NDArray[np.intp], step: Step) -> LungLesion:
    """The lesion about seeds (n, 3) voxels in hu[left, posterior, superior], inside `within`, the part of the body that
    ends at the largest distance from the seeds that counts; step: spacing in mm."""
    # A seed near the outline still has the lesion on one side.
    middle = float(np.percentile(hu[ball(within.shape, seeds, 2 * THIN_MM, step) & within], 75))
    solid = (hu > (middle + AIRY_HU) / 2) & within
    hull_mm = 0.0
    for radius in HULLS_MM:
        hull = _hull((hu < LUNG_HU) & body, radius, step)
        if hull[tuple(seeds.T)].all():
            solid, hull_mm = solid & hull, radius
            break
    depth = _distance(solid, step)
    far = solid & ~(_distance(within, step) > FAR_MM)
    climbed = ball(solid.shape, seeds, 2 * THIN_MM, step) & solid
    empty = np.zeros_like(solid)
    if not climbed.any():
        return LungLesion(empty)
    deepest = float(depth[climbed].max())
    for radius in np.arange(0.0, deepest, EROSION_STEP_MM):
        pieces, _ = labelled(depth > radius)
        numbers = np.unique(pieces[climbed & (depth > radius)])
        mine = np.isin(pieces, numbers[numbers > 0])
        if not (mine & far).any():
            break
    else:
        return LungLesion(empty)
    if radius > 0:
        other = (depth > radius) & ~mine
        mine = _watershed(depth, mine, other | far, step) & solid
    mine = _opened(mine, step)
    pieces, _ = labelled(mine)
    numbers = np.unique(pieces[climbed & mine])
    return LungLesion(np.isin(pieces, numbers[numbers > 0]), float(radius), deepest, hull_mm)


def _hull(air: Mask, radius_mm: float, step: Step) -> Mask:
    pieces, _ = labelled(air)
    sizes = np.bincount(pieces.ravel("K"))
    sizes[0] = 0
    lung = (sizes >= PIECE_SHARE * sizes.max())[pieces] & air
    near = _distance(~lung, step) <= radius_mm
    return np.asarray(_distance(near, step) > radius_mm) | lung


def _opened(mask: Mask, step: Step) -> Mask:
    core = _distance(mask, step) > THIN_MM
    return np.asarray(mask & (_distance(~core, step) <= THIN_MM + max(step[:2]))) if core.any() else mask


def _distance(mask: Mask, step: Step) -> NDArray[np.float64]:
    """Distance in mm of a mask's voxels to the nearest one outside it; beyond the array it goes on."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=step))


def _watershed(depth: NDArray[np.float64], mine: Mask, other: Mask, step: Step) -> Mask:
    markers = np.where(other, 2, np.where(mine, 1, 0)).astype(np.uint8)
    images = [sitk.GetImageFromArray(np.ascontiguousarray(array.T)) for array in (-depth.astype(np.float32), markers)]
    for image in images:
        image.SetSpacing(step)
    basins = sitk.MorphologicalWatershedFromMarkers(images[0], images[1], markWatershedLine=False, fullyConnected=False)
    return np.asarray(sitk.GetArrayFromImage(basins).T == 1)
