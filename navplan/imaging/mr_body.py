"""The segmenter mr-basic: the body and its skin on MR of any weighting.

Air around the body is noise: dark, and it reaches the edge of the slices. What is brighter than that noise and than a
quarter of the tissue nearby is body; what it encloses (lungs, bowel gas, cortical bone) is filled. A quarter, not half:
the skin is darker than the fat under it on most images, and half of the fat would leave it out. "Nearby" makes it
follow a coil's sensitivity.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.body import WORKING_SPACING_MM
from navplan.imaging.canonical import Mask, closed, dilated, eroded, labelled
from navplan.imaging.segment import SKIN_MM
from navplan.imaging.working import Step
from navplan.imaging.working_mr import WorkingMr
from navplan.model.structure import Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

# Starting values without a published source, set by looking at three real images.
FLOOR = 0.005  # of the bright tissue: below it values differ by rounding only
SMOOTH_MM = 1.5
NEARBY_MM = 10.0
OF_TISSUE = 0.25
AIR_OPENING_MM = 4.0  # dark places that reach the edge through less than twice that are in the body
CLOSING_MM = 4.0
SHEET_MM = 1.5
PART_CM3 = 30.0  # smallest separate part of the body (a hand)
LEAST_CONTRAST = 4.0  # tissue over air: below it, noise
NO_SIGNAL = 0.01  # of the tissue's: darker than that is air, whatever its noise
LEAST_UNREST = 0.3  # SD over mean: noise without signal has .52, tissue at a signal-to-noise ratio of 5 has .2
LEAST_AIR = 0.03  # share of the image that is air around the body
NARROWEST_MM = 50.0  # a body thinner than that is not told from a bright thing in dark tissue
THIN_SLAB = 0.5  # an image so much shorter along one axis is a slab across it


class MrBasicSegmenter:
    """Entry point `navplan.segmenters`: mr-basic.

    Structures: body, and skin (a layer of 2 mm next to air). Where an image shows no air around the body (a field of
    view within it), where nothing stands out of noise, or where the body is thinner than 50 mm, both are unknown.
    """

    name = "mr-basic"
    description = "Body and skin on MR of any weighting, by what stands out of the noise"
    modality = "MR"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """body and skin, on the image's voxels. Raises InputError for an image that is not MR signal."""
        mr = WorkingMr.of(volume, image_id, self.name, WORKING_SPACING_MM)
        try:
            body = find_mr_body(mr.signal, mr.step)
        except InputError as error:
            log.warning("body and skin are unknown: %s; expected: %s", error.received, error.expected)
            body = np.zeros(mr.shape, dtype=bool)
        skin = body & dilated(~body, max(SKIN_MM, 1.01 * min(mr.step)), mr.step) if body.any() else body
        found = [mr.structure(body, "body", "automatic"), mr.structure(skin, "skin", "automatic")]
        if found[0].cut_by_edge:
            log.warning("the field of view cuts the body: no skin is given where it ends")
        return found


def find_mr_body(signal: NDArray[np.float32], step: Step) -> Mask:
    """The body in signal[left, posterior, superior] >= 0; step: spacing in mm.

    Raises InputError where no air lies around it, nothing stands out of the noise, or it is thinner than a body.
    """
    smooth = ndimage.gaussian_filter(signal, [SMOOTH_MM / mm for mm in step])
    dark, air, _ = _air(signal, smooth, step)
    noise = float(np.percentile(smooth[air], 99))
    level = _nearby(smooth, ~dark, step)
    fine = ndimage.gaussian_filter(signal, [min(0.7, 0.5 * SMOOTH_MM / mm) for mm in step])
    mask = fine > np.maximum(noise, OF_TISSUE * level)
    mask = dilated(eroded(mask, SHEET_MM, step), SHEET_MM, step) & mask
    mask = closed(_large_parts(mask, step), CLOSING_MM, step)
    for across in _planes(signal.shape, step):
        mask = _holes_filled(mask, across)
    mask = _large_parts(mask, step)
    thickness = 2 * float(ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling=step).max())
    if thickness < NARROWEST_MM:
        raise InputError(f"nothing thicker than {thickness:.0f} mm in air", f"a body of {NARROWEST_MM:.0f} mm")
    return mask


def air_level(signal: NDArray[np.float32], step: Step) -> float | None:
    """The signal of the air around a body, smoothed: its noise; None where an image shows no air."""
    try:
        return _air(signal, ndimage.gaussian_filter(signal, [SMOOTH_MM / mm for mm in step]), step)[2]
    except InputError:
        return None


def _air(signal: NDArray[np.float32], smooth: NDArray[np.float32], step: Step) -> tuple[Mask, Mask, float]:
    """What is dark, what of it is surely air, and the air's level; raises InputError as find_mr_body."""
    dark = smooth < _between(smooth)
    air = _reaching_edge(eroded(dark, AIR_OPENING_MM, step), _planes(signal.shape, step)[0])
    if np.count_nonzero(air) < LEAST_AIR * air.size:
        raise InputError("no air around a body in this image", "an image that shows the skin")
    floor, tissue = float(np.median(smooth[air])), float(np.median(smooth[~dark]))
    if tissue < LEAST_CONTRAST * floor:
        raise InputError("noise only, or no air that is clearly darker than tissue", "an image that shows the skin")
    if floor > NO_SIGNAL * tissue and _unrest(signal, air) < LEAST_UNREST:
        raise InputError("what is dark at the edge of this image is tissue, not air", "an image that shows the skin")
    return dark, air, floor


def _unrest(signal: NDArray[np.float32], where: Mask) -> float:
    """Median over `where` of SD over mean in 5 x 5 x 5 voxels: .52 in Rayleigh noise, far less in tissue."""
    mean = ndimage.uniform_filter(signal, 5)[where]
    square = ndimage.uniform_filter(signal.astype(np.float64) ** 2, 5)[where]
    return float(np.median(np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-9)))


def _between(smooth: NDArray[np.float32]) -> float:
    """The value between air and tissue: Otsu's threshold of the logarithm, which fat much brighter than muscle leaves
    below muscle (N. Otsu, IEEE Trans. Syst. Man Cybern. 9, 1979)."""
    floor = FLOOR * float(np.percentile(smooth, 99))
    counts, edges = np.histogram(np.log(smooth + floor), bins=256)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(np.exp(edges[1 + int(np.nanargmax(apart[:-1]))]) - floor)


def _nearby(smooth: NDArray[np.float32], tissue: Mask, step: Step) -> NDArray[np.float32]:
    """Mean of the tissue within about NEARBY_MM; falls to 0 where none is near."""
    sigma = [NEARBY_MM / mm for mm in step]
    weight = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
    return np.asarray(ndimage.gaussian_filter(np.where(tissue, smooth, 0), sigma) / np.maximum(weight, 0.02))


def _planes(shape: tuple[int, ...], step: Step) -> tuple[int, ...]:
    """Axes across which holes are closed, plane by plane: first head-feet, or across a thin slab; then head-feet."""
    extent = [n * mm for n, mm in zip(shape, step, strict=True)]
    thin = int(np.argmin(extent))
    slab = all(extent[thin] < THIN_SLAB * extent[other] for other in range(3) if other != thin)
    return (thin, 2) if slab and thin != 2 else (2,)


def _reaching_edge(mask: Mask, across: int) -> Mask:
    """Parts of a mask, connected in the planes across an axis, that reach those planes' edge."""
    flat = np.zeros((3, 3, 3), dtype=bool)
    for axis in range(3):
        if axis != across:
            flat[tuple(slice(None) if n == axis else 1 for n in range(3))] = True
    labels, count = labelled(mask, flat)
    reaches = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        if axis != across:
            for end in (0, -1):
                reaches[np.unique(np.take(labels, end, axis=axis))] = True
    reaches[0] = False
    return np.asarray(reaches[labels])


def _holes_filled(mask: Mask, across: int) -> Mask:
    return np.asarray(~_reaching_edge(~mask, across))


def _large_parts(mask: Mask, step: Step) -> Mask:
    labels, count = labelled(mask)
    sizes = np.bincount(labels.ravel("K"), minlength=count + 1) * float(np.prod(step)) / 1000
    sizes[0] = 0
    return np.asarray(((sizes >= PART_CM3) | (sizes == sizes.max()) & (sizes > 0))[labels])
