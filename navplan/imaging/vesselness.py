"""Bright tubes in a region: how far each voxel stands out as part of one, over several scales, and the tubes' voxels.

The second derivatives of the image smoothed by sigma tell a tube: two strong negative eigenvalues, one weak (Y. Sato et
al., Medical Image Analysis 2, 1998; A. Frangi et al., MICCAI 1998). On the axis of a straight tube of radius r and
contrast C the weaker of the two is -C u exp(-u) / sigma^2, u = r^2 / (2 sigma^2), largest at r = sqrt(2) sigma: times
e sigma^2 it is the tube's contrast in HU, whatever its radius.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of, labelled
from navplan.imaging.working import Step

# Starting values without a published source, set on analytic trees, one chest CT and one portal-venous abdomen CT.
RADII_MM = (1.0, 1.6, 2.5, 4.0, 6.0)
ROUND = 0.4  # least |second| / |strongest| of the eigenvalues: no sheet
ALONG = 0.5  # largest |weakest| / |second| in a tube's core: no ball
NOISE_SD = 3.0
WEAK_SHARE = 0.5  # of the least contrast: goes with a core that it touches
AROUND_MM = 8.0  # smoothing of what lies around
PEAK_MM = 2.5  # how far off a vessel's full value may lie
SMOOTHING_MM = 0.6
LENGTH_MM, LENGTH_RADII = 12.0, 4.0  # the shortest tube, and how many radii it is long


@dataclass(frozen=True)
class Kind:
    """What tubes to look for. clip_hu: the values that count; least_hu: smallest contrast of a tube's core over what
    lies around it; fill: what lies beyond the region counts as the region's median, so that its edge is no tube."""

    clip_hu: tuple[float, float]
    least_hu: float
    fill: bool = True


def find_tubes(hu: NDArray[np.float32], region: Mask, kind: Kind, step: Step) -> Mask:
    """The voxels [left, posterior, superior] of bright tubes of 1 to 6 mm radius in a region; empty where none shows.

    hu: CT numbers on steps of `step` mm. A voxel belongs to a tube where it is brighter than half-way from what lies
    around to the brightest within 2.5 mm.
    """
    found = np.zeros(region.shape, dtype=bool, order="F")
    box = box_of(region, tuple(int(2 * RADII_MM[-1] / s) + 1 for s in step))
    if box is None or min(region[box].shape) < 3:
        return found
    inside = np.ascontiguousarray(region[box])
    values = np.clip(np.ascontiguousarray(hu[box]), *kind.clip_hu)
    if kind.fill:
        values = np.where(inside, values, np.float32(np.median(values[inside])))
    strength, core = tube_strength(values, inside, kind.least_hu, step)
    weak = strength > WEAK_SHARE
    soft = ndimage.gaussian_filter(values, [SMOOTHING_MM / s for s in step])
    around = _around(values, inside & ~weak, step)
    size = [2 * int(PEAK_MM / s) + 1 for s in step]
    peak = ndimage.maximum_filter(np.where(weak, soft, np.float32(kind.clip_hu[0])), size)
    lumen = ndimage.binary_dilation(weak) & inside & (soft > (around + peak) / 2)
    found[box] = _long(lumen, core & (strength > 1), step)
    return found


def tube_strength(
    values: NDArray[np.float32], region: Mask, least_hu: float, step: Step
) -> tuple[NDArray[np.float32], Mask]:
    """Of each voxel in a region its contrast as part of a tube over the least that counts, the largest over the scales,
    0 elsewhere; and whether it is like a tube's core at that scale: neither a sheet nor a ball.

    The least is least_hu, or at a scale where noise bends the image more, NOISE_SD times the spread of what it bends.
    """
    strength = np.zeros(values.shape, dtype=np.float32)
    core = np.zeros(values.shape, dtype=bool)
    for radius in RADII_MM:
        sigma = radius / 2**0.5
        smooth = ndimage.gaussian_filter(values, [sigma / s for s in step], truncate=3.0)
        scale = float(np.e) * sigma**2
        bends = [_bend(smooth, axis, step[axis]) for axis in range(3)]
        spread = max(float(np.median(np.abs(bend[region]))) for bend in bends) * scale * 1.4826
        least = max(least_hu, NOISE_SD * spread)
        # Where the weakest does not bend the other way more than the second, the sum is at least the second.
        where = np.nonzero(region & (scale * -sum(bends) > WEAK_SHARE * least))
        second = np.empty((len(where[0]), 3, 3), dtype=np.float32)
        for axis in range(3):
            second[:, axis, axis] = bends[axis][where]
            slope = np.gradient(smooth, step[axis], axis=axis)
            for other in range(axis + 1, 3):
                bend = np.gradient(slope, step[other], axis=other)[where]
                second[:, axis, other] = second[:, other, axis] = bend
        strongest, middle, weakest = np.linalg.eigvalsh(second).T
        here = np.where(middle < ROUND * strongest, -scale / least * middle, 0).astype(np.float32)
        better = here > strength[where]
        place = tuple(axis[better] for axis in where)
        strength[place] = here[better]
        core[place] = (np.abs(weakest) < -ALONG * middle)[better]
    return strength, core


def _bend(smooth: NDArray[np.float32], axis: int, spacing: float) -> NDArray[np.float32]:
    bend = ndimage.correlate1d(smooth, [1.0, -2.0, 1.0], axis=axis, mode="nearest")
    return np.asarray(bend / np.float32(spacing**2), dtype=np.float32)


def _around(values: NDArray[np.float32], background: Mask, step: Step) -> NDArray[np.float32]:
    """The mean of the background within some AROUND_MM, on every voxel; its median where none is near."""
    sigma = [AROUND_MM / s for s in step]
    weight = ndimage.gaussian_filter(background.astype(np.float32), sigma, truncate=2.0)
    total = ndimage.gaussian_filter(np.where(background, values, np.float32(0)), sigma, truncate=2.0)
    plain = float(np.median(values[background])) if background.any() else float(values.min())
    return np.asarray(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), plain), dtype=np.float32)


def _long(lumen: Mask, core: Mask, step: Step) -> Mask:
    """The parts of a lumen that hold a core and are long: their volume is that of a tube much longer than wide."""
    parts, count = labelled(lumen, np.ones((3, 3, 3), dtype=bool))
    cored = np.zeros(count + 1, dtype=bool)
    cored[np.unique(parts[core])] = True
    cored[0] = False
    volume = float(np.prod(step))
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        if not cored[number] or box is None:
            continue
        part = parts[box] == number
        places = np.argwhere(part) * np.asarray(step)
        length = float(np.linalg.norm(np.ptp(places, axis=0)))
        radius = (len(places) * volume / (np.pi * max(length, 1e-6))) ** 0.5
        cored[number] = length >= max(LENGTH_MM, LENGTH_RADII * radius)
    return np.asarray(cored[parts])
