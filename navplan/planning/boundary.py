"""The voxels that a clearance is measured to.

What labels bound (s = spacing vector of the working resolution, |s| its length, D = distance to the nearest voxel
centre):

- fractional labels, every touched voxel > 0: each touched voxel holds a point of the structure, so the true distance
lies in [D - |s|/2, D + |s|/2];
- hard labels by voxel centre: a labelled centre lies in the structure, so the true distance is at most D; where the
  structure is locally thicker than |s| it is at least D - |s|. Where it is thinner nothing is bounded: it may hold no
  voxel centre at all;
- hard labels that were made on a coarser grid and copied to this one are right only to the coarse voxel: D + |s|/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from navplan.geometry.grid import Grid
from navplan.model.structure import Structure

BLOCK_VOXELS = (8, 8, 5)
MOSTLY_INSIDE = 128  # occupancy from which a voxel counts as crossed


def hard_mask(structure: Structure) -> NDArray[np.bool_]:
    """[i, j, k] voxels that count as the structure: every touched one of fractional labels, every full one of hard
    ones."""
    assert structure.occupancy is not None
    return np.asarray(structure.occupancy > 0)


def boundary_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask with at least one of the six neighbours outside it (outside the array counts as outside)."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for shift in (-1, 1):
            inner &= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1]
    return np.asarray(mask & ~inner)


def cut_by_edge(indices: NDArray[np.int64], grid: Grid, region: Grid) -> NDArray[np.bool_]:
    """Which voxels (N, 3) of a grid lie in the outermost layer of the region that was looked at: cut, they may go on
    beyond."""
    position = region.indices(grid.points_mm(indices))
    reach = grid.spacing_mm / region.spacing_mm
    upper = np.asarray(region.shape) - 1.0
    return np.asarray(((position - reach < -0.5) | (position + reach > upper + 0.5)).any(axis=1))


def occupancy_at(structure: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N,) occupancy of the voxels at LPS points (N, 3), 0 outside the structure's grid."""
    assert structure.grid is not None and structure.occupancy is not None
    index = np.rint(structure.grid.indices(points_mm)).astype(int)
    inside = ((index >= 0) & (index < structure.occupancy.shape)).all(axis=1)
    values = np.zeros(len(points_mm), dtype=np.uint8)
    values[inside] = structure.occupancy[tuple(index[inside].T)]
    return values


def crossed_mm(
    structure: Structure, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], step_mm: float = 0.1
) -> float:
    """Length of a segment inside voxels that are mostly the structure's."""
    length = float(np.linalg.norm(end_mm - start_mm))
    count = max(int(np.ceil(length / step_mm)), 1)
    fraction = (np.arange(count) + 0.5) / count
    values = occupancy_at(structure, start_mm + fraction[:, None] * (end_mm - start_mm))
    return float((values >= MOSTLY_INSIDE).sum() * length / count)


@dataclass(frozen=True, eq=False)
class Boundary:
    """The boundary voxels of one structure, in blocks.

    centres_mm: (M, 3) LPS, sorted by block; cut: (M,) whether the edge of the evaluated region cuts there.
    block_start: (B + 1,) first voxel of each block; block_centre_mm (B, 3), block_radius_mm (B,): spheres around them.
    below_mm, above_mm: the true distance lies in [D - below, D + above].
    """

    structure: Structure
    centres_mm: NDArray[np.float64]
    cut: NDArray[np.bool_]
    block_start: NDArray[np.int64]
    block_centre_mm: NDArray[np.float64]
    block_radius_mm: NDArray[np.float64]
    below_mm: float
    above_mm: float

    @property
    def diagonal_mm(self) -> float:
        """|s|, the length of the spacing vector of the working resolution."""
        return float(np.linalg.norm(self.structure.resolution_mm))

    def locally_thick(self, centre_mm: NDArray[np.float64]) -> bool:
        """Whether the labels around a boundary voxel prove the structure thicker than |s|.

        A voxel is a core if every voxel that meets the ball of diameter |s| about it is labelled; the boundary voxel is
        thick if a core lies within 1.5 |s| of it (|s| for the ball, half of it for the sampling). True for fractional
        labels, which bound thin parts as well.
        """
        structure = self.structure
        if structure.fractional:
            return True
        assert structure.grid is not None and structure.occupancy is not None
        spacing, reach = structure.grid.spacing_mm, self.diagonal_mm
        half = np.ceil(2.0 * reach / spacing).astype(int) + 1
        middle = np.rint(structure.grid.indices(centre_mm)).astype(int)
        box = np.zeros(2 * half + 1, dtype=bool)
        low, high = np.maximum(middle - half, 0), np.minimum(middle + half + 1, structure.occupancy.shape)
        source = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        goal = tuple(slice(a, b) for a, b in zip(low - middle + half, high - middle + half, strict=True))
        box[goal] = structure.occupancy[source] > 0
        core = binary_erosion(box, _voxels_meeting_ball(spacing, reach / 2))
        offsets = (np.argwhere(core) - half) * spacing
        return bool(len(offsets) and np.linalg.norm(offsets, axis=1).min() <= 1.5 * reach)


def _voxels_meeting_ball(spacing_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Which voxels around a voxel's centre a ball about that centre reaches into."""
    half = np.ceil(radius_mm / spacing_mm + 0.5).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1)
    gap_mm = np.maximum(np.abs(offsets) - 0.5, 0.0) * spacing_mm
    return np.asarray(np.linalg.norm(gap_mm, axis=-1) < radius_mm)


def boundary_of(structure: Structure) -> Boundary:
    """The boundary of a present structure."""
    assert structure.grid is not None and structure.evaluated_in is not None
    indices = np.argwhere(boundary_mask(hard_mask(structure)))
    cells = indices // np.asarray(BLOCK_VOXELS)
    sizes = cells.max(axis=0) + 1
    key = (cells[:, 0] * sizes[1] + cells[:, 1]) * sizes[2] + cells[:, 2]
    order = np.argsort(key, kind="stable")
    indices, key = indices[order], key[order]
    start = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    centres = structure.grid.points_mm(indices)
    count = np.diff(np.concatenate([start, [len(centres)]]))
    middle = np.add.reduceat(centres, start, axis=0) / count[:, None]
    radius = np.maximum.reduceat(np.linalg.norm(centres - np.repeat(middle, count, axis=0), axis=1), start)
    diagonal = float(np.linalg.norm(structure.resolution_mm))
    coarser = diagonal > structure.grid.diagonal_mm * 1.001
    below, above = (
        (diagonal / 2, diagonal / 2) if structure.fractional else (diagonal, diagonal / 2 if coarser else 0.0)
    )
    return Boundary(
        structure=structure,
        centres_mm=centres,
        cut=cut_by_edge(indices, structure.grid, structure.evaluated_in),
        block_start=np.concatenate([start, [len(centres)]]).astype(np.int64),
        block_centre_mm=middle,
        block_radius_mm=radius,
        below_mm=below,
        above_mm=above,
    )
