"""Which tissue a point lies in: all labels of an image painted into one map, the smaller structure over the larger.

For naming what a path goes through and for soft criteria; never for clearances.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.anatomy import Tissue
from navplan.model.safety import PathSection
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

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


def tissue_map(image: Volume, structures: Iterable[Structure], topmost: str = "") -> TissueMap:
    """Paint present structures, largest first, so that the more specific one shows; `topmost` (the target) last."""
    present = [s for s in structures if s.presence is Presence.PRESENT and s.anatomy.tissue is not Tissue.OUTSIDE]
    volume_mm3 = {s.name: _volume_mm3(s) for s in present}
    labels = np.zeros(image.grid.shape, dtype=np.uint16, order="F")
    names = [OUTSIDE, UNLABELLED]
    for structure in sorted(present, key=lambda s: (s.name == topmost, -volume_mm3[s.name])):
        if structure.anatomy.tissue is Tissue.SKIN:
            number = 1
        else:
            names.append(structure.name)
            number = len(names) - 1
        _paint(labels, image.grid, structure, number)
    return TissueMap(labels, tuple(names), image.grid)


def _volume_mm3(structure: Structure) -> float:
    assert structure.grid is not None and structure.occupancy is not None
    return float(np.count_nonzero(structure.occupancy) * np.prod(structure.grid.spacing_mm))


def _paint(labels: NDArray[np.uint16], grid: Grid, structure: Structure, number: int) -> None:
    assert structure.grid is not None and structure.occupancy is not None
    mask = structure.occupancy >= 128
    corner = grid.indices(structure.grid.origin_mm)
    aligned = np.allclose(structure.grid.affine[:3, :3], grid.affine[:3, :3], atol=1e-4) and np.allclose(
        corner, np.rint(corner), atol=1e-2
    )
    if aligned:
        start = np.rint(corner).astype(int)
        low, high = np.maximum(start, 0), np.minimum(start + mask.shape, grid.shape)
        if (high > low).all():
            part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            source = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
            labels[part][mask[source]] = number
        return
    corners = grid.indices(structure.grid.corners_mm())
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.shape)
    if (high <= low).any():
        return
    for k in range(int(low[2]), int(high[2])):
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
    return steady
