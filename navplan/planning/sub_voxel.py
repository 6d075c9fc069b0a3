"""Distances to the surface inside the voxels: the narrow phase, for labels that say how full each voxel is.

Planes. At its nearest point a surface faces the needle. So in each touched voxel the structure is taken as the far part
of the voxel's box, cut off by the plane across the line from the needle's axis to the voxel's centre that leaves the
stated share of the box behind it (planes and shares as in the volume-of-fluid method: Scardovelli and Zaleski, J Comput
Phys 164:228, 2000). No shape with that share lies wholly beyond its plane, but it may lie at the voxel's side:

    upper end = least over the voxels of sqrt(plane^2 + aside^2) + s TOLD

A flat surface lies at its plane, or, where a small share is cut by a tilted one, where the line meets the plane across
the gradient of the shares; one that bulges towards the needle lies before it. How much is told by how far the 26 voxels
around depart from that plane, each pair of opposite ones together, so that a tilt cancels, and divided by the squared
distance in voxels, as a bend falls off:

    lower end = least over the voxels of
        max(plane - s (TOLD + CERTAIN + BEND m + SHARP max(m - SHARP_FROM, 0)) - beside,
            near side of the voxel)

s: the voxel's longest edge; m: that misfit; TOLD: half the distance of the samples that the shares were counted from,
in voxels, so far as the shares themselves tell.

Patches. Where a curved patch fits the shares of a voxel and of the 26 around it, worst misfit w, the surface is known
better than one voxel's share tells it, as a ball's or a vessel's is:

    what the voxel holds is no nearer than patch - s (TOLD t + PATCH + 1.5 w + TIP blunt) - RIDGE rise - short
    and, where the voxel is neither nearly empty nor nearly full, the structure no farther than
    patch + s (TOLD t + PATCH + 1.5 w)

rise: the patch's curvature times the square of the voxel's width along it, which is not the longest where voxels are
stretched: how much the slope changes from one voxel to the next, over a voxel's width. blunt: 0 to 1, where the patch
is bent and does not fit well: a blunt tip may stand before it.

short: how far before the voxel what lies behind the patch stops, though the voxel is touched; if by more than the least
share that is told, the patch does not know what is in it, and counts for nothing.

Within a voxel of the axis no line tells which way a plane faces: there patches alone count, and the voxels' near sides.
t: 1 where the patch lies along the grid, so that all samples of a row change at once, less where it is tilted. The
higher lower end and the lower upper end count.

The numbers were measured (docs/sub-voxel.md) and are no theorem: a spike thinner than a voxel is bounded by the near
side of the voxels that it touches, and by nothing else, where the voxels beside it look flat. No smoothing: it shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled
from navplan.model.structure import Structure
from navplan.planning.boundary import Boundary, flat_in_file_order, occupancy_at
from navplan.planning.curved_patches import curved_patches
from navplan.planning.facing_planes import facing_planes

# Shares of a voxel's longest edge, measured (decision 0008):
CERTAIN_SHARE = 0.17  # what even a flat surface may lie nearer than its plane
TIP_SHARE = 0.09  # more, where the voxel is more than a sliver: a blunt tip rises with the root of its share
ASIDE_SHARE = 0.1  # (of its square) what lies aside of the line to a voxel's centre is nearer than it looks
BEND_SHARE = 0.6  # of a bent surface's misfit; SHARP_SHARE more of it from SHARP_FROM on: an edge, a corner
SHARP_SHARE, SHARP_FROM = 5.0, 0.10
NEAR_SHARE = 0.6  # nearer than this to the axis the line to a voxel's centre tells no direction
PATCH_SHARE, MISFIT = 0.02, 1.5  # what a patch that fits may lie aside, and how much of its worst misfit besides
FIT_SHARE = 0.05  # the worst misfit that still fits, for labels of 8 x 8 x 8 samples (twice that for fewer)
BEND_MAX = 0.5  # curvature times the voxel's width along it; since an obtuse edge looks like a bend, so much of that,
RIDGE_SHARE = 0.25  # times the width again, it is nearer than the patch at its tip
BLUNT_MISFIT, BLUNT_BEND, BLUNT_RAMP = 0.01, 0.25, 0.05  # from which on a bent patch may have a blunt tip before it
FULLEST_FROM = 0.5  # of the 27 shares at least one: where all are small anything fits
ASPECT_MAX = 4.0  # of the voxels' longest edge to the shortest
TILT_SHARE, TILT_LEAST = 0.4, 0.6  # how fast TOLD falls with the patch's tilt times the samples, and how far
PATCH_FACING = 0.3  # cosine between the line to a voxel's centre and the gradient from which its patch counts
EMPTY_TO = 0.08  # of the shares: such a voxel's patch may lie outside it, behind it
TOLD_TO = 1.0 / 255.0  # a share is rounded to this; a voxel that is touched by less is told to be so full


@dataclass(frozen=True)
class SurfaceDistance:
    """low_mm, high_mm: the distance between an axis and the surface lies between, high_mm infinite where nothing tells
    it; nearest_mm: the surface's nearest point, LPS; along_mm: how far from the start of the axis it is nearest."""

    low_mm: float
    high_mm: float
    nearest_mm: tuple[float, float, float]
    along_mm: float


def surface_distance(
    boundary: Boundary, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64]
) -> SurfaceDistance | None:
    """Distance of an axis to the surface of a structure with fractional labels at their grid's resolution; None for
    others, and where the axis starts inside or runs through the centre of a surface voxel."""
    structure = boundary.structure
    assert structure.grid is not None and structure.occupancy is not None
    if structure.carried_from or not structure.fractional or boundary.diagonal_mm > structure.grid.diagonal_mm * 1.001:
        return None
    spacing = structure.grid.spacing_mm
    edge_mm = float(spacing.max())
    occupancy, shape = flat_in_file_order(structure.occupancy), np.asarray(structure.occupancy.shape, dtype=np.int64)
    start, end = np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64)
    if occupancy_at(structure, start[None])[0]:
        return None
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / length
    indices, centres = _near_voxels(
        boundary.centres_mm,
        boundary.voxels.indices,
        occupancy,
        shape,
        np.asarray(structure.grid.affine),
        start,
        direction,
        length,
        structure.grid.diagonal_mm,
    )
    samples = samples_told(boundary)
    told_share = 0.5 / samples
    axes = np.ascontiguousarray(structure.grid.axes.T)
    settings = plane_settings(samples, edge_mm)
    found, lows, normals = facing_planes(
        centres, indices, occupancy, shape, axes, spacing, start, direction, length, settings
    )
    if not np.isfinite(lows).any():
        return None
    # within a voxel no line to a centre tells a direction: patches alone count, and need not face it
    high = np.inf if found[0] < edge_mm else float(found[1]) + told_share * edge_mm
    near = np.flatnonzero(np.isfinite(lows) & normals.any(axis=1))
    line = _line_to(centres[near], start, direction, length) @ axes.T
    near = near[(-(normals[near] * line).sum(axis=1) > PATCH_FACING) | (found[0] < 1.5 * edge_mm)]
    patches = curved_patches(
        indices[near],
        normals[near],
        occupancy,
        shape,
        spacing,
        (start - centres[near]) @ axes.T,
        axes @ direction,
        length,
        np.asarray([edge_mm, 0.5 * float(spacing.min())]),
    )
    within, beside, misfit, bend, tilt, short, fullest, rise = patches.T
    told = told_share * np.clip(1.0 - TILT_SHARE * samples * tilt, TILT_LEAST, 1.0)
    slack = (told + PATCH_SHARE + MISFIT * misfit) * edge_mm
    fits = (misfit < FIT_SHARE * (1 if samples >= 8 else 2)) & (bend < BEND_MAX)
    fits &= (fullest > FULLEST_FROM) & (edge_mm < ASPECT_MAX * float(spacing.min()))
    places = indices[near]
    shares = occupancy[(places[:, 2] * shape[1] + places[:, 1]) * shape[0] + places[:, 0]] / 255.0
    raised = fits & ((short == 0.0) | (shares <= TOLD_TO))
    blunt = np.clip(misfit / BLUNT_MISFIT - 1.0, 0.0, 1.0)
    blunt *= np.clip((bend - BLUNT_BEND) / BLUNT_RAMP, 0.0, 1.0)
    low = within - short - slack - RIDGE_SHARE * rise - TIP_SHARE * blunt * edge_mm
    lows[near[raised]] = np.maximum(lows[near[raised]], low[raised])
    sure = fits & (shares > EMPTY_TO)
    high = min(high, float((beside + slack)[sure].min(initial=np.inf)))
    x, y, z = (float(value) for value in found[3:6])
    return SurfaceDistance(max(min(float(lows.min()), high, float(found[1])), 0.0), high, (x, y, z), float(found[2]))


def plane_settings(samples: int, edge_mm: float) -> NDArray[np.float64]:
    """(9,) what `facing_planes` is told of labels of so many samples along a voxel's edge, and of its longest edge."""
    certain = CERTAIN_SHARE + 0.5 / samples
    return np.asarray(
        [TOLD_TO, certain, ASIDE_SHARE, BEND_SHARE, SHARP_SHARE, SHARP_FROM, edge_mm, NEAR_SHARE, TIP_SHARE]
    )


def _line_to(
    centres: NDArray[np.float64], start: NDArray[np.float64], direction: NDArray[np.float64], length: float
) -> NDArray[np.float64]:
    """(M, 3) unit vectors from the nearest points of an axis to M voxels' centres."""
    line = centres - start
    line -= np.clip(line @ direction, 0.0, length)[:, None] * direction
    return np.asarray(line / np.linalg.norm(line, axis=1)[:, None])


_TOLD: WeakKeyDictionary[Structure, int] = WeakKeyDictionary()


def samples_told(boundary: Boundary) -> int:
    """How many samples along each edge of a voxel the shares look like they were counted from: 1, 2, 4, or 8 for more.
    A flat surface may lie half their distance from where such a share says."""
    structure = boundary.structure
    if structure not in _TOLD:
        assert structure.occupancy is not None
        shares = np.unique(structure.occupancy[tuple(boundary.voxels.indices.T)])
        steps = [(n, {1, 254, *np.rint(np.arange(n**3 + 1) * (255.0 / n**3)).astype(int).tolist()}) for n in (1, 2, 4)]
        _TOLD[structure] = next((n for n, told in steps if told.issuperset(shares.tolist())), 8)
    return _TOLD[structure]


@compiled()
def _near_voxels(
    centres: NDArray[np.float64],
    indices: NDArray[np.int32],
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    affine: NDArray[np.float64],
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    length: float,
    diagonal: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices (M, 3) and centres (M, 3) of the touched voxels that may hold the structure's nearest point.

    Not all of them are boundary voxels: beside an oblique surface a voxel that is touched up to its near corner may
    have six touched neighbours; but one of the 26 around it is at the boundary. The nearest point lies within half a
    diagonal of the nearest centre's distance, the centre of its voxel within a whole one.
    """
    away = np.empty(len(centres))
    for v in range(len(centres)):
        x, y, z = centres[v, 0] - start[0], centres[v, 1] - start[1], centres[v, 2] - start[2]
        t = min(max(x * direction[0] + y * direction[1] + z * direction[2], 0.0), length)
        x, y, z = x - t * direction[0], y - t * direction[1], z - t * direction[2]
        away[v] = np.sqrt(x * x + y * y + z * z)
    within = away.min() + 2.0 * diagonal
    picked = np.flatnonzero(away < within)
    least, most = shape.copy(), np.zeros(3, np.int64)
    for n in picked:
        for c in range(3):
            least[c] = min(least[c], max(indices[n, c] - 1, 0))
            most[c] = max(most[c], min(indices[n, c] + 2, shape[c]))
    near = np.zeros((most[0] - least[0], most[1] - least[1], most[2] - least[2]), np.uint8)
    touched = 0
    for n in picked:
        for p in range(max(indices[n, 0] - 1, 0), min(indices[n, 0] + 2, shape[0])):
            for q in range(max(indices[n, 1] - 1, 0), min(indices[n, 1] + 2, shape[1])):
                for r in range(max(indices[n, 2] - 1, 0), min(indices[n, 2] + 2, shape[2])):
                    if (
                        occupancy[(r * shape[1] + q) * shape[0] + p]
                        and not near[p - least[0], q - least[1], r - least[2]]
                    ):
                        near[p - least[0], q - least[1], r - least[2]] = 1
                        touched += 1
    found, places, count = np.empty((touched, 3), np.int64), np.empty((touched, 3)), 0
    for i in range(least[0], most[0]):
        for j in range(least[1], most[1]):
            for k in range(least[2], most[2]):
                if not near[i - least[0], j - least[1], k - least[2]]:
                    continue
                for c in range(3):
                    places[count, c] = affine[c, 0] * i + affine[c, 1] * j + affine[c, 2] * k + affine[c, 3]
                x, y, z = places[count, 0] - start[0], places[count, 1] - start[1], places[count, 2] - start[2]
                t = min(max(x * direction[0] + y * direction[1] + z * direction[2], 0.0), length)
                x, y, z = x - t * direction[0], y - t * direction[1], z - t * direction[2]
                if x * x + y * y + z * z < (within - diagonal) ** 2:
                    found[count, 0], found[count, 1], found[count, 2] = i, j, k
                    count += 1
    return found[:count], places[:count]
