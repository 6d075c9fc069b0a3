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

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from navplan.geometry.compiled import THREADS, compiled
from navplan.geometry.edge import cut_by_edge
from navplan.geometry.grid import Grid
from navplan.model.structure import Structure

BLOCK_MM = 8.0  # edge of the blocks that boundary voxels are gathered in
ROUNDING_MM = 1e-6  # a ball that only touches a voxel's corner does not reach into it, however the grid is turned
FEW_CHANGES = 4  # of a label from slice to slice, that show the grid it was made on
MOSTLY_INSIDE = 128  # occupancy from which a voxel counts as crossed


def flat_in_file_order(voxels: NDArray[np.generic]) -> NDArray[np.generic]:
    """[i, j, k] as one read-only row with i fastest: the one layout that kernels are compiled for."""
    flat = np.ravel(voxels, order="F")
    flat = flat.view()
    flat.flags.writeable = False
    return flat


@compiled()
def _boundary(
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    block: NDArray[np.int64],
    least: np.uint8,
    affine: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Boundary voxels of a grid: at least `least`, with one of six neighbours less or off the grid. Indices (M, 3) and
    centres (M, 3), block by block; where each block that holds any begins (B + 1,), and the spheres around them (B, 4).
    """
    ni, nj, nk = shape[0], shape[1], shape[2]
    bi, bj, bk = (ni + block[0] - 1) // block[0], (nj + block[1] - 1) // block[1], (nk + block[2] - 1) // block[2]
    edge = np.empty(ni, np.uint8)
    strip = np.empty((block[1] * block[2] * ni, 3), np.int32)
    found, count = np.empty((4096, 3), np.int32), 0
    first, blocks = np.zeros(1024, np.int64), 0
    for row in range(bj * bk):
        j0, k0 = (row % bj) * block[1], (row // bj) * block[2]
        gathered = 0
        sizes = np.zeros(bi, np.int64)
        for k in range(k0, min(k0 + block[2], nk)):
            for j in range(j0, min(j0 + block[1], nj)):
                at = (k * nj + j) * ni
                here = occupancy[at : at + ni]
                if j == 0 or j == nj - 1 or k == 0 or k == nk - 1:
                    for i in range(ni):
                        edge[i] = here[i] >= least
                else:
                    left, right = occupancy[at - 1 :], occupancy[at + 1 :]
                    before, after = occupancy[at - ni :], occupancy[at + ni :]
                    below, above = occupancy[at - ni * nj :], occupancy[at + ni * nj :]
                    for i in range(ni):
                        edge[i] = (here[i] >= least) & (
                            (left[i] < least)
                            | (right[i] < least)
                            | (before[i] < least)
                            | (after[i] < least)
                            | (below[i] < least)
                            | (above[i] < least)
                        )
                    edge[0], edge[ni - 1] = here[0] >= least, here[ni - 1] >= least
                some = 0
                for i in range(ni):
                    some += edge[i]
                if some == 0:
                    continue
                for i in range(ni):
                    if edge[i]:
                        strip[gathered, 0], strip[gathered, 1], strip[gathered, 2] = i, j, k
                        gathered += 1
                        sizes[i // block[0]] += 1
        if gathered == 0:
            continue
        if count + gathered > len(found):
            longer = np.empty((2 * (count + gathered), 3), np.int32)
            longer[:count] = found[:count]
            found = longer
        if blocks + bi + 1 > len(first):
            more = np.zeros(2 * (blocks + bi + 1), np.int64)
            more[:blocks] = first[:blocks]
            first = more
        goal = np.empty(bi, np.int64)
        for b in range(bi):
            goal[b] = count
            if sizes[b] > 0:
                first[blocks] = count
                blocks += 1
                count += sizes[b]
        for n in range(gathered):
            b = strip[n, 0] // block[0]
            found[goal[b], 0], found[goal[b], 1], found[goal[b], 2] = strip[n, 0], strip[n, 1], strip[n, 2]
            goal[b] += 1
    first[blocks] = count
    centres = np.empty((count, 3))
    spheres = np.zeros((blocks, 4))
    for b in range(blocks):
        for v in range(first[b], first[b + 1]):
            for c in range(3):
                centres[v, c] = (
                    affine[c, 0] * found[v, 0] + affine[c, 1] * found[v, 1] + affine[c, 2] * found[v, 2] + affine[c, 3]
                )
                spheres[b, c] += centres[v, c] / (first[b + 1] - first[b])
        widest = 0.0
        for v in range(first[b], first[b + 1]):
            x, y, z = centres[v, 0] - spheres[b, 0], centres[v, 1] - spheres[b, 1], centres[v, 2] - spheres[b, 2]
            widest = max(widest, x * x + y * y + z * z)
        spheres[b, 3] = np.sqrt(widest)
    return found[:count].copy(), centres, first[: blocks + 1].copy(), spheres


@compiled()
def _profiles(occupancy: NDArray[np.uint8], shape: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
    sums = np.zeros(shape[axis])
    for k in range(shape[2]):
        for j in range(shape[1]):
            row = occupancy[(k * shape[1] + j) * shape[0] : (k * shape[1] + j + 1) * shape[0]]
            if axis == 0:
                for i in range(shape[0]):
                    sums[i] += row[i]
            else:
                total = 0
                for i in range(shape[0]):
                    total += row[i]
                sums[j if axis == 1 else k] += total
    return sums


def profile_of(occupancy: NDArray[np.uint8], axis: int) -> NDArray[np.float64]:
    """Sum of occupancy in each slice across an axis."""
    return np.asarray(_profiles(flat_in_file_order(occupancy), np.asarray(occupancy.shape, dtype=np.int64), axis))


@dataclass(frozen=True, eq=False)
class BoundaryVoxels:
    """indices (M, 3), centres_mm (M, 3) LPS, block_start (B + 1,) first voxel of each block, block_mm (B, 4) centre and
    radius of a sphere around each block's voxel centres."""

    indices: NDArray[np.int32]
    centres_mm: NDArray[np.float64]
    block_start: NDArray[np.int64]
    block_mm: NDArray[np.float64]


def boundary_voxels(occupancy: NDArray[np.uint8], grid: Grid, least: int = 1) -> BoundaryVoxels:
    """The voxels at least `least` full with a six-neighbour that is not (outside the array counts as not), gathered in
    blocks of about BLOCK_MM."""
    block = np.maximum(np.rint(BLOCK_MM / grid.spacing_mm), 1).astype(np.int64)
    shape = np.asarray(occupancy.shape, dtype=np.int64)
    indices, centres, start, spheres = _boundary(
        flat_in_file_order(occupancy), shape, block, np.uint8(least), np.asarray(grid.affine)
    )
    return BoundaryVoxels(indices, centres, start, spheres)


def occupancy_at(structure: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N,) occupancy of the voxels at LPS points (N, 3), 0 outside the structure's grid."""
    assert structure.grid is not None and structure.occupancy is not None
    index = np.rint(structure.grid.indices(points_mm)).astype(int)
    inside = ((index >= 0) & (index < structure.occupancy.shape)).all(axis=1)
    values = np.zeros(len(points_mm), dtype=np.uint8)
    values[inside] = structure.occupancy[tuple(index[inside].T)]
    return values


def voxels_below(structure: Structure, least: int) -> cKDTree:
    """The centres of the voxels in and next to a present structure that are less full than `least`, for queries of the
    nearest; nothing beyond its grid is filled."""
    assert structure.grid is not None and structure.occupancy is not None
    occupancy = np.pad(structure.occupancy, 1)
    near = ndimage.binary_dilation(occupancy > 0, np.ones((3, 3, 3), dtype=bool))
    return cKDTree(structure.grid.points_mm(np.argwhere(near & (occupancy < least)) - 1))


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
    """The boundary voxels of one structure, and what they bound.

    cut: (M,) whether the edge of the evaluated region cuts there. diagonal_mm: |s|, the length of the spacing vector of
    the working resolution. below_mm, above_mm: the true distance lies in [D - below, D + above].
    """

    structure: Structure
    voxels: BoundaryVoxels
    cut: NDArray[np.bool_]
    diagonal_mm: float
    below_mm: float
    above_mm: float

    def __eq__(self, other: object) -> bool:
        """The same structure, and the same bounds: what is gathered of many boundaries can be kept."""
        return isinstance(other, Boundary) and self._key == other._key and self.structure is other.structure

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[int, float, float, float]:
        return id(self.structure), self.diagonal_mm, self.below_mm, self.above_mm

    @property
    def centres_mm(self) -> NDArray[np.float64]:
        """(M, 3) LPS centres of the boundary voxels, block by block."""
        return self.voxels.centres_mm

    def locally_thick(self, centre_mm: NDArray[np.float64]) -> bool:
        """Whether the labels around a boundary voxel (3,) prove the structure thicker than |s| (`thick_at`)."""
        return bool(self.thick_at(np.atleast_2d(centre_mm))[0])

    def thick_at(self, centres_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) whether the labels around boundary voxels (N, 3) prove the structure thicker than |s|.

        A voxel is a core if every voxel that meets the ball of diameter |s| about it is labelled; the boundary voxel is
        thick if a core lies within 1.5 |s| of it (|s| for the ball, half of it for the sampling). True for fractional
        labels, which bound thin parts as well.
        """
        structure = self.structure
        if structure.fractional:
            return np.ones(len(centres_mm), dtype=bool)
        assert structure.grid is not None and structure.occupancy is not None
        spacing = structure.grid.spacing_mm
        ball = _voxels_meeting_ball(tuple(spacing.tolist()), self.diagonal_mm / 2)
        return np.asarray(
            _have_core(
                np.rint(structure.grid.indices(centres_mm)).astype(np.int64),
                flat_in_file_order(structure.occupancy),
                np.asarray(structure.occupancy.shape, dtype=np.int64),
                ball,
                np.floor(1.5 * self.diagonal_mm / spacing).astype(np.int64),
                spacing,
                1.5 * self.diagonal_mm,
            )
        )


@compiled()
def _have_core(
    middles: NDArray[np.int64],
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    ball: NDArray[np.int64],
    reach: NDArray[np.int64],
    spacing: NDArray[np.float64],
    within_mm: float,
) -> NDArray[np.bool_]:
    """(N,) whether a voxel within a distance of each of `middles` (N, 3) has all voxels of the ball (B, 3) labelled."""
    found = np.zeros(len(middles), np.bool_)
    for n in range(len(middles)):
        for dk in range(-reach[2], reach[2] + 1):
            for dj in range(-reach[1], reach[1] + 1):
                for di in range(-reach[0], reach[0] + 1):
                    x, y, z = di * spacing[0], dj * spacing[1], dk * spacing[2]
                    if found[n] or x * x + y * y + z * z > within_mm * within_mm:
                        continue
                    core = True
                    for b in range(len(ball)):
                        i = middles[n, 0] + di + ball[b, 0]
                        j = middles[n, 1] + dj + ball[b, 1]
                        k = middles[n, 2] + dk + ball[b, 2]
                        if i < 0 or j < 0 or k < 0 or i >= shape[0] or j >= shape[1] or k >= shape[2]:
                            core = False
                            break
                        if occupancy[(k * shape[1] + j) * shape[0] + i] == 0:
                            core = False
                            break
                    found[n] |= core
    return found


@lru_cache(maxsize=64)
def _voxels_meeting_ball(spacing_mm: tuple[float, ...], radius_mm: float) -> NDArray[np.int64]:
    """(B, 3) offsets of the voxels around a voxel's centre that a ball about that centre reaches into."""
    spacing = np.asarray(spacing_mm)
    half = np.ceil(radius_mm / spacing + 0.5).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1).reshape(-1, 3)
    gap_mm = np.maximum(np.abs(offsets) - 0.5, 0.0) * spacing
    return np.ascontiguousarray(offsets[np.linalg.norm(gap_mm, axis=1) < radius_mm - ROUNDING_MM])


@compiled()
def _changes(occupancy: NDArray[np.uint8], shape: NDArray[np.int64], axis: int) -> NDArray[np.bool_]:
    """(n,) whether slice s across an axis differs anywhere from slice s - 1 in what is labelled (0: False)."""
    step = 1 if axis == 0 else (shape[0] if axis == 1 else shape[0] * shape[1])
    changed = np.zeros(shape[axis], np.bool_)
    for k in range(1 if axis == 2 else 0, shape[2]):
        for j in range(1 if axis == 1 else 0, shape[1]):
            if axis > 0 and changed[j if axis == 1 else k]:
                continue
            at = (k * shape[1] + j) * shape[0]
            for i in range(1 if axis == 0 else 0, shape[0]):
                if (occupancy[at + i] > 0) != (occupancy[at + i - step] > 0):
                    changed[i if axis == 0 else (j if axis == 1 else k)] = True
    return changed


def blocky_mm(structure: Structure) -> NDArray[np.float64]:
    """(3,) how coarse hard labels look: where they change in every n-th slice only, n spacings, else one.

    Labels that were made on a coarse grid and copied to a fine one do so. Fewer than FEW_CHANGES changes along an axis
    prove nothing (a box has two).
    """
    assert structure.grid is not None and structure.occupancy is not None
    flat, shape = flat_in_file_order(structure.occupancy), np.asarray(structure.occupancy.shape, dtype=np.int64)
    sizes = np.ones(3)
    for axis in range(3):
        where = np.flatnonzero(_changes(flat, shape, axis))
        if len(where) >= FEW_CHANGES and np.diff(where).min() >= 2:
            sizes[axis] = np.ceil(np.diff(where).mean())
    return np.asarray(sizes * structure.grid.spacing_mm)


_FOUND: WeakKeyDictionary[Structure, tuple[BoundaryVoxels, NDArray[np.bool_]]] = WeakKeyDictionary()


def forget() -> None:
    """Let go of all boundaries that are kept."""
    _FOUND.clear()


def _found_in(structure: Structure) -> tuple[BoundaryVoxels, NDArray[np.bool_]]:
    """Boundary voxels of a structure, and which of them the edge cuts; kept as long as the structure is."""
    if structure not in _FOUND:
        grid, region = structure.grid, structure.evaluated_in
        assert grid is not None and region is not None and structure.occupancy is not None
        voxels = boundary_voxels(structure.occupancy, grid)
        outermost = 1.001 * max(grid.spacing_mm.max(), region.spacing_mm.max())
        inside = region.contains(grid.corners_mm(), outermost).all()
        cut = np.zeros(len(voxels.indices), dtype=bool) if inside else cut_by_edge(voxels.indices, grid, region)
        _FOUND[structure] = voxels, cut
    return _FOUND[structure]


def boundary_of(structure: Structure, resolution_mm: NDArray[np.float64] | None = None) -> Boundary:
    """The boundary of a present structure; resolution_mm (3,) where it is known to be coarser than the structure
    says."""
    assert structure.grid is not None
    voxels, cut = _found_in(structure)
    resolution = structure.resolution_mm if resolution_mm is None else resolution_mm
    if structure.working_resolution_mm is None and not structure.fractional:
        resolution = np.maximum(resolution, blocky_mm(structure))
    diagonal = float(np.linalg.norm(resolution))
    coarser = diagonal > structure.grid.diagonal_mm * 1.001
    below, above = (
        (diagonal / 2, diagonal / 2) if structure.fractional else (diagonal, diagonal / 2 if coarser else 0.0)
    )
    carried = structure.carried_error_mm  # where a registration brought it: it may lie that far aside
    return Boundary(structure, voxels, cut, diagonal, below + carried, above + carried)


def boundaries_of(structures: Sequence[tuple[Structure, NDArray[np.float64] | None]]) -> tuple[Boundary, ...]:
    """The boundaries of many structures with their resolutions, found side by side."""
    with ThreadPoolExecutor(THREADS) as pool:
        return tuple(pool.map(lambda pair: boundary_of(*pair), structures))
