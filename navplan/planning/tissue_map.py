"""Which tissue a point lies in: all labels of an image painted into one map, the smaller structure over the larger.

For naming what a path goes through and for soft criteria; never for clearances.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import THREADS, compiled
from navplan.geometry.grid import Grid
from navplan.model.anatomy import Tissue
from navplan.model.safety import PathSection
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import MOSTLY_INSIDE, flat_in_file_order

SHORTEST_STRETCH_MM = 1.0
OUTSIDE, UNLABELLED = "outside", "unlabelled"


@dataclass(frozen=True, eq=False)
class TissueMap:
    """labels[i, j, k] uint16 on the image's grid: 0 outside the body, 1 in the body without a label, n the structure
    names[n]."""

    labels: NDArray[np.uint16]
    names: tuple[str, ...]
    grid: Grid

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Labels (...) at the nearest voxel of points (..., 3); 0 outside the image."""
        index = np.rint(self.grid.indices(points_mm)).astype(np.int32)
        inside = ((index >= 0) & (index < self.grid.shape)).all(axis=-1)
        found = np.zeros(index.shape[:-1], dtype=np.uint16)
        found[inside] = self.labels[tuple(index[inside].T)]
        return found

    def number(self, name: str) -> int:
        """The label of a name, -1 if it is not in the map."""
        return self.names.index(name) if name in self.names else -1


_KEPT: WeakKeyDictionary[Volume, tuple[tuple[Structure, ...], str, TissueMap]] = WeakKeyDictionary()


def tissue_map(image: Volume, structures: Iterable[Structure], topmost: str = "") -> TissueMap:
    """Paint present structures, largest first, so that the more specific one shows; `topmost` (the target) last.

    The last map of an image is kept as long as the image is, for the next who asks for the same.
    """
    present = tuple(s for s in structures if s.presence is Presence.PRESENT and s.anatomy.tissue is not Tissue.OUTSIDE)
    kept = _KEPT.get(image)
    if kept is not None and kept[1] == topmost and _same(kept[0], present):
        return kept[2]
    made = _painted(image, present, topmost)
    _KEPT[image] = present, topmost, made
    return made


def _same(first: tuple[Structure, ...], second: tuple[Structure, ...]) -> bool:
    """Whether these are the very same structures, in the same order."""
    return len(first) == len(second) and all(one is other for one, other in zip(first, second, strict=True))


def forget_maps() -> None:
    """Keep no map any more: for measuring."""
    _KEPT.clear()


def _painted(image: Volume, present: tuple[Structure, ...], topmost: str) -> TissueMap:
    with ThreadPoolExecutor(THREADS) as pool:
        volume_mm3 = dict(zip((s.name for s in present), pool.map(_volume_mm3, present), strict=True))
    labels = np.zeros(image.grid.shape, dtype=np.uint16, order="F")
    names, painted = [OUTSIDE, UNLABELLED], []
    for structure in sorted(present, key=lambda s: (s.name == topmost, -volume_mm3[s.name])):
        number = 1
        if structure.anatomy.tissue is not Tissue.SKIN:
            names.append(structure.name)
            number = len(names) - 1
        painted.append((structure, number))
    slabs = np.linspace(0, image.grid.shape[2], THREADS + 1).astype(int)

    def paint(low: int, high: int) -> None:
        for structure, number in painted:
            _paint(labels, image.grid, structure, number, low, high)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(paint, slabs[:-1], slabs[1:]))
    return TissueMap(labels, tuple(names), image.grid)


def _volume_mm3(structure: Structure) -> float:
    assert structure.grid is not None and structure.occupancy is not None
    return float(_filled(flat_in_file_order(structure.occupancy)) * np.prod(structure.grid.spacing_mm))


@compiled()
def _filled(occupancy: NDArray[np.uint8]) -> int:
    count = 0
    for n in range(len(occupancy)):
        count += occupancy[n] > 0
    return count


@compiled()
def _paint_aligned(
    labels: NDArray[np.uint16],
    shape: NDArray[np.int64],
    occupancy: NDArray[np.uint8],
    size: NDArray[np.int64],
    start: NDArray[np.int64],
    number: np.uint16,
    low: int,
    high: int,
) -> None:
    """Give `number`, in the slices low..high of the map, to the voxels that are mostly a structure's.

    start: where in the map the structure's first voxel lies."""
    first, last = max(0, -start[0]), min(size[0], shape[0] - start[0])
    for k in range(max(0, low - start[2]), min(size[2], high - start[2])):
        for j in range(size[1]):
            if not 0 <= j + start[1] < shape[1]:
                continue
            here = occupancy[(k * size[1] + j) * size[0] :]
            goal = ((k + start[2]) * shape[1] + j + start[1]) * shape[0] + start[0]
            there = labels[goal + first : goal + last]
            for i in range(last - first):  # always stored: the compiler makes vectors of it
                there[i] = number if here[first + i] >= 128 else there[i]


def _paint(labels: NDArray[np.uint16], grid: Grid, structure: Structure, number: int, first: int, last: int) -> None:
    assert structure.grid is not None and structure.occupancy is not None
    corner = grid.indices(structure.grid.origin_mm)
    aligned = np.allclose(structure.grid.affine[:3, :3], grid.affine[:3, :3], atol=1e-4) and np.allclose(
        corner, np.rint(corner), atol=1e-2
    )
    if aligned:
        _paint_aligned(
            labels.ravel(order="K"),
            np.asarray(grid.shape, dtype=np.int64),
            flat_in_file_order(structure.occupancy),
            np.asarray(structure.occupancy.shape, dtype=np.int64),
            np.rint(corner).astype(np.int64),
            np.uint16(number),
            first,
            last,
        )
        return
    corners = grid.indices(structure.grid.corners_mm())
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.shape)
    if (high <= low).any():
        return
    mask = structure.occupancy >= MOSTLY_INSIDE
    for k in range(max(int(low[2]), first), min(int(high[2]), last)):
        plane = np.stack(
            np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), [k], indexing="ij"), axis=-1
        )
        index = np.rint(structure.grid.indices(grid.points_mm(plane))).astype(int)
        inside = ((index >= 0) & (index < mask.shape)).all(axis=-1)
        hit = np.zeros(inside.shape, dtype=bool)
        hit[inside] = mask[tuple(index[inside].T)]
        labels[low[0] : high[0], low[1] : high[1], k : k + 1][hit] = number


def path_sections(
    tissues: TissueMap, image: Volume, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], step_mm: float = 0.25
) -> tuple[PathSection, ...]:
    """The tissues along an axis in order, with the mean HU of each stretch.

    A stretch shorter than SHORTEST_STRETCH_MM is joined to the one before it: outlines are not that exact.
    """
    length = float(np.linalg.norm(end_mm - start_mm))
    count = max(int(np.ceil(length / step_mm)), 1)
    depth = (np.arange(count) + 0.5) * length / count
    points = start_mm + depth[:, None] * (end_mm - start_mm) / length
    labels = tissues.at(points)
    index = np.rint(image.grid.indices(points)).astype(int)
    inside = ((index >= 0) & (index < image.grid.shape)).all(axis=1)
    values = np.full(count, np.nan)
    values[inside] = image.voxels[tuple(index[inside].T)]
    labels = _without_flicker(labels, int(SHORTEST_STRETCH_MM / step_mm))
    change = np.flatnonzero(np.diff(labels.astype(int))) + 1
    sections = []
    for first, last in zip(np.concatenate([[0], change]), np.concatenate([change, [count]]), strict=True):
        known = values[first:last][np.isfinite(values[first:last])]
        name = tissues.names[labels[first]]
        mean = float(known.mean()) if len(known) else None
        sections.append(PathSection(name, float(first * length / count), float(last * length / count), mean))
    return tuple(sections)


def _without_flicker(labels: NDArray[np.uint16], shortest: int) -> NDArray[np.uint16]:
    """Runs shorter than `shortest` samples take the label of the run before them."""
    steady = labels.copy()
    edges = [0, *(np.flatnonzero(np.diff(labels.astype(int))) + 1).tolist(), len(labels)]
    for first, last in pairwise(edges[1:]):
        if last - first < shortest:
            steady[first:last] = steady[first - 1]
    if len(edges) > 2 and steady[0] == 0 and edges[1] < shortest:  # an entry on the surface, between voxels
        steady[: edges[1]] = steady[edges[1]]
    return steady
