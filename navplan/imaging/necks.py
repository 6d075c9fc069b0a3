"""Where a region is parted by necks: the parts of it that a seed's part does not reach except through one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of
from navplan.imaging.working import Step

LEVEL_MM = 1.0  # tops of depth that stand out less are one


@dataclass(frozen=True, eq=False)
class Parted:
    """region: what is left; seeds_deep_mm, deep_mm: the largest depth in the parts that hold the seeds, and in all."""

    region: Mask
    seeds_deep_mm: float
    deep_mm: float


def without_beyond_necks(region: Mask, seeds: NDArray[np.intp], share: float, step: Step) -> Parted:
    """A region without what hangs on the seeds' part by a neck narrower than `share` of both sides' thickness.

    region [left, posterior, superior], seeds (n, 3) voxels; thickness is the depth at the middle of a part, the neck's
    the largest depth on the border between two. Parts are basins of a watershed of the depth; beyond a neck all is
    left out, a part that grows out of another without a neck is kept. No seed in the region: as it is.
    """
    box = box_of(region, 1)
    if box is None:
        return Parted(region, 0.0, 0.0)
    inside = np.ascontiguousarray(region[box].T)
    depth = ndimage.distance_transform_edt(inside, sampling=step[::-1]).astype(np.float32)
    basins = sitk.GetArrayFromImage(sitk.MorphologicalWatershed(sitk.GetImageFromArray(-depth), LEVEL_MM, False, False))
    basins = np.where(inside, basins, 0)
    near = (np.asarray(seeds) - [part.start for part in box])[:, ::-1]
    fits = ((near >= 0) & (near < inside.shape)).all(axis=1)
    start = {int(number) for number in basins[tuple(near[fits].T)]} - {0}
    if not start:
        return Parted(region, float(depth.max()), float(depth.max()))
    peak = np.zeros(int(basins.max()) + 1)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    joined = list(_joined(start, depth, basins, peak, share))
    result = region.copy()
    result[box] = np.isin(basins, joined).T
    return Parted(result, float(peak[list(start)].max()), float(peak[joined].max()))


def _joined(
    start: set[int], depth: NDArray[np.float32], basins: NDArray[np.integer], peak: NDArray[np.float64], share: float
) -> set[int]:
    saddles = _saddles(depth, basins)
    joined, waiting = set(start), list(start)
    while waiting:
        part = waiting.pop()
        for other, neck in saddles.get(part, {}).items():
            if other not in joined and neck >= share * min(peak[part], peak[other]):
                joined.add(other)
                waiting.append(other)
    return joined


def _saddles(depth: NDArray[np.float32], basins: NDArray[np.integer]) -> dict[int, dict[int, float]]:
    """part -> neighbour -> the largest depth on their border."""
    found: dict[int, dict[int, float]] = {}
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        first, second = basins[tuple(here)], basins[tuple(there)]
        border = (first != second) & (first > 0) & (second > 0)
        necks = np.minimum(depth[tuple(here)], depth[tuple(there)])[border]
        for one, other, neck in zip(first[border].tolist(), second[border].tolist(), necks.tolist(), strict=True):
            for a, b in ((one, other), (other, one)):
                known = found.setdefault(a, {})
                known[b] = max(known.get(b, 0.0), neck)
    return found
