"""The outer wall of a vessel whose lumens contrast fills only in part, as a dissected aorta's: plane by plane.

From an axial plane where the lumens show the whole vessel its outline is followed up and down. In each plane it is the
closed path over rays with the steepest fall to fat or lung near the outline before, with the contrast that belongs to
the vessel inside it and fat and lung outside. Where muscle, liver or thrombus lie on the wall nothing shows it: there
it keeps the shape of the plane before. Only where a vessel runs across axial planes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask
from navplan.imaging.closed_path import closed_path
from navplan.imaging.working import Step

Array = NDArray[np.float64]
Flat = NDArray[np.bool_]

# Starting values without a published source, set on one dissected aorta: from the same two seeds Dice there was .86 to
# .91 over eight sets of SHAPE_PRICE (.01 to .05), INSIDE_PRICE, BAND and HARMONICS, three of them below .88, where the
# outline is lost half-way down.
RAYS, RAY_STEP_MM, RAY_MM = 48, 0.5, 40.0
SMOOTHING_MM = 1.0
CLIP_HU = (-100.0, 70.0)  # blood without contrast, and contrast, count the same
FAT_HU, CONTRAST_HU = -20.0, 130.0
SLOPE_HU = 100.0  # the fall over RAY_STEP_MM that gains 1
STEP_PRICE = 0.04  # of RAY_STEP_MM in or out from one ray to the next
SHAPE_PRICE = 0.02  # of a mm off the outline before
INSIDE_PRICE = 0.1  # of a mm of fat inside, or of the vessel's contrast outside
BAND = 2.0  # mm off the outline before, per mm between the planes
HARMONICS = 4  # of the outline's radius about its centre: it has no finer dents
OWN_SHARE = 0.5  # of a patch of contrast that lay in the vessel's own a plane before
WITHIN_SHARE = 0.8  # or that lies inside the outline before
EDGE, EDGE_SHARE = 0.06, 0.4  # the least gain that counts as a wall, on the least share of the rays
AREA_CHANGE = 0.15  # from one plane to the next
LEAST_CONTRAST, MOST_CONTRAST = 0.03, 0.9  # of the outline: less is no vessel, more that is not in it a chamber
ACROSS = 1.3  # times the outline: the vessel's own patch is no larger where it runs across the plane
UNFILLED = 0.75  # of the outline: where the lumens fill less, it is added
RADII = np.arange(RAY_STEP_MM, RAY_MM, RAY_STEP_MM)
ANGLES = np.arange(RAYS) * 2 * np.pi / RAYS
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1)


def within_wall(
    hu: NDArray[np.float32], body: Mask, vessel: Mask, seeds: NDArray[np.intp], step: Step
) -> tuple[Mask, float]:
    """What to add to a vessel's mask inside its outer wall, and over how many mm of planes; empty where its lumens fill
    it, or no wall shows.

    hu[left, posterior, superior] on steps of `step` mm; each of the seeds (n, 3) names an axial plane to start from.
    """
    soft = ndimage.gaussian_filter(np.clip(hu, *CLIP_HU).T, [SMOOTHING_MM / s for s in step[::-1]]).T
    added = np.zeros(vessel.shape, dtype=bool, order="F")
    for seed in seeds:
        patches, _ = ndimage.label(vessel[:, :, seed[2]])
        number = patches[seed[0], seed[1]]
        if number == 0:
            continue
        start = patches == number
        for by in (-1, 1):
            plane, outline, own = int(seed[2]), _Outline.about(start, step), start
            while 0 <= plane + by < vessel.shape[2]:
                plane += by
                bright = (hu[:, :, plane] > CONTRAST_HU) & body[:, :, plane]
                own = _own(bright, own, outline.filled(start.shape, step))
                moved, wall = outline.moved(soft[:, :, plane], own, step)
                inside = moved.filled(start.shape, step) & body[:, :, plane]
                mine = vessel[:, :, plane]
                if wall < EDGE_SHARE or abs(moved.area / outline.area - 1) > AREA_CHANGE or not inside.any():
                    break
                if np.count_nonzero(_touched(mine, inside)) > ACROSS * np.count_nonzero(inside):
                    break
                contrast, filled = float(bright[inside].mean()), float(mine[inside].mean())
                if contrast < LEAST_CONTRAST or (filled < UNFILLED and contrast > MOST_CONTRAST):
                    break
                if filled < UNFILLED:
                    added[:, :, plane] |= inside
                outline = moved.recentred()
    added &= ~vessel
    return added, float(added.any(axis=(0, 1)).sum() * step[2])


class _Outline:
    """centre (2,) mm from the first voxel's centre, radii (RAYS,) mm."""

    def __init__(self, centre: Array, radii: Array) -> None:
        self.centre, self.radii = centre, radii

    @staticmethod
    def about(patch: Flat, step: Step) -> _Outline:
        centre = np.argwhere(patch).mean(axis=0) * step[:2]
        inside = _rays(patch.astype(np.float32), centre, step) > 0.5
        last = RADII.size - 1 - inside[:, ::-1].argmax(axis=1)
        return _Outline(centre, np.where(inside.any(axis=1), RADII[last], RADII[0])).recentred()

    @property
    def area(self) -> float:
        return float((self.radii**2).sum())

    def recentred(self) -> _Outline:
        off = (self.radii**3 @ DIRECTIONS) / 3 / ((self.radii**2).sum() / 2)
        corners = self.radii[:, None] * DIRECTIONS - off
        angles = np.arctan2(corners[:, 1], corners[:, 0]) % (2 * np.pi)
        order = np.argsort(angles)
        radii = np.interp(ANGLES, angles[order], np.hypot(*corners.T)[order], period=2 * np.pi)
        return _Outline(self.centre + off, radii)

    def filled(self, shape: tuple[int, ...], step: Step) -> Flat:
        first, second = (np.arange(n) * s - c for n, s, c in zip(shape, step[:2], self.centre, strict=True))
        angles = np.arctan2(second[None, :], first[:, None]) % (2 * np.pi)
        return np.asarray(
            np.hypot(first[:, None], second[None, :]) <= np.interp(angles, ANGLES, self.radii, period=2 * np.pi)
        )

    def moved(self, soft: NDArray[np.float32], own: Flat, step: Step) -> tuple[_Outline, float]:
        """The outline in another plane, and the share of the rays on which a wall shows."""
        values = _rays(soft, self.centre, step)
        slope = -np.gradient(values, axis=1) / SLOPE_HU
        off = np.abs(RADII - self.radii[:, None])
        outside = _rays(own.astype(np.float32), self.centre, step)[:, ::-1].cumsum(axis=1)[:, ::-1]
        wrong = ((values < FAT_HU).cumsum(axis=1) + outside) * RAY_STEP_MM
        gain = np.where(off <= BAND * step[2], slope - SHAPE_PRICE * off - INSIDE_PRICE * wrong, -9.0)
        chosen = closed_path(gain[None], STEP_PRICE)[0]
        waves = np.fft.rfft(RADII[chosen])
        waves[HARMONICS + 1 :] = 0
        radii = np.maximum(np.fft.irfft(waves, RAYS), RADII[0])
        return _Outline(self.centre, radii), float((slope[np.arange(RAYS), chosen] > EDGE).mean())


def _rays(plane: NDArray[np.float32], centre: Array, step: Step) -> Array:
    at = (centre + RADII[None, :, None] * DIRECTIONS[:, None]) / step[:2]
    return np.asarray(ndimage.map_coordinates(plane, np.moveaxis(at, -1, 0), order=1, mode="nearest"), dtype=float)


def _own(bright: Flat, before: Flat, inside: Flat) -> Flat:
    """The patches of contrast that are the vessel's; a voxel is taken off them first, since they may touch others."""
    patches, count = ndimage.label(ndimage.binary_erosion(bright))
    sizes, held, within = (np.bincount(patches[one], minlength=count + 1) for one in (bright, before, inside))
    chosen = (held >= OWN_SHARE * sizes) | (within >= WITHIN_SHARE * sizes)
    chosen[0] = False
    return np.asarray(ndimage.binary_dilation(chosen[patches]) & bright)


def _touched(mask: Flat, inside: Flat) -> Flat:
    patches, count = ndimage.label(mask)
    chosen = np.zeros(count + 1, dtype=bool)
    chosen[np.unique(patches[inside])] = True
    chosen[0] = False
    return np.asarray(chosen[patches])
