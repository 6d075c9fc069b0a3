"""Distances to the surface inside the voxels: the narrow phase, for labels that say how full each voxel is.

At its nearest point a surface faces the needle. So in each touched voxel the structure is taken as the far part of the
voxel's box, cut off by the plane across the line from the needle's axis to the voxel's centre that leaves the stated
share of the box behind it (planes and shares as in the volume-of-fluid method: Scardovelli and Zaleski, J Comput Phys
164:228, 2000). No shape with that share lies wholly beyond its plane, but it may lie at the voxel's side:

    upper end = least over the voxels of sqrt(plane^2 + aside^2) + s TOLD

A flat surface lies at its plane, or, where a small share is cut by a tilted one, where the line meets the plane across
the gradient of the shares; one that bulges towards the needle lies before it. How much is told by how far the 26 voxels
around depart from that plane, each pair of opposite ones together, so that a tilt cancels, and divided by the squared
distance in voxels, as a bend falls off:

    lower end = least over the voxels of
        max(plane - s (TOLD + CERTAIN + BEND m + SHARP max(m - SHARP_FROM, 0)) - beside,
            near side of the voxel)

s: the voxel's longest edge; m: that misfit; TOLD: half the distance of the samples that the shares were counted from,
in voxels, so far as the shares themselves tell. The numbers were measured (docs/sub-voxel.md) and are no theorem: a
spike thinner than a voxel is bounded by the near side of the voxels that it touches, and by nothing else, where the
voxels beside it look flat. No smoothing: it shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled
from navplan.model.structure import Structure
from navplan.planning.boundary import Boundary, flat_in_file_order, occupancy_at

# Shares of a voxel's longest edge, measured (decision 0008):
CERTAIN_SHARE = 0.08  # what even a flat surface may lie nearer than its plane
ASIDE_SHARE = 0.1  # (of its square) what lies aside of the line to a voxel's centre is nearer than it looks
BEND_SHARE = 0.6  # of a bent surface's misfit; SHARP_SHARE more of it from SHARP_FROM on: an edge, a corner
SHARP_SHARE, SHARP_FROM = 5.0, 0.10
NEAR_SHARE = 0.6  # nearer than this to the axis the line to a voxel's centre tells no direction
FACING = 0.5  # cosine between that line and the gradient from which the plane across the gradient counts
TOLD_TO = 1.0 / 255.0  # a share is rounded to this; a voxel that is touched by less is told to be so full


@dataclass(frozen=True)
class SurfaceDistance:
    """low_mm, high_mm: the distance between an axis and the surface lies between; nearest_mm: the surface's nearest
    point, LPS; along_mm: how far from the start of the axis it is nearest."""

    low_mm: float
    high_mm: float
    nearest_mm: tuple[float, float, float]
    along_mm: float


def surface_distance(
    boundary: Boundary, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64]
) -> SurfaceDistance | None:
    """Distance of an axis to the surface of a structure with fractional labels at their grid's resolution; None for
    others, and where the axis starts inside or passes within a voxel."""
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
    told_share = 0.5 / samples_told(boundary)
    settings = [
        TOLD_TO,
        CERTAIN_SHARE + told_share,
        ASIDE_SHARE,
        BEND_SHARE,
        SHARP_SHARE,
        SHARP_FROM,
        edge_mm,
        NEAR_SHARE,
    ]
    found = _nearest_plane(
        centres,
        indices,
        occupancy,
        shape,
        np.ascontiguousarray(structure.grid.axes.T),
        spacing,
        start,
        direction,
        length,
        np.asarray(settings),
    )
    if found[0] < edge_mm:
        return None
    x, y, z = (float(value) for value in found[4:7])
    high = float(found[2]) + told_share * edge_mm
    return SurfaceDistance(max(float(found[1]), 0.0), high, (x, y, z), float(found[3]))


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


@compiled()
def _nearest_plane(
    centres: NDArray[np.float64],
    indices: NDArray[np.int64],
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    axes: NDArray[np.float64],
    spacing: NDArray[np.float64],
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    length: float,
    settings: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(8,) distance to the nearest plane, lower and upper bound, depth along the axis, nearest point (3), and how badly
    the worst plane foretells. All -1 where the axis runs through the centre of a surface voxel.

    settings: what a share is told to, the shares above, the longest edge, NEAR_SHARE.
    """
    found = np.full(8, -1.0)
    normal, width = np.empty(3), np.empty(3)
    planes = np.empty((len(centres), 6))  # away, plane's offset, extent, normal
    best, best_less, best_voxel, best_along = np.inf, np.inf, -1, 0.0
    along_axes, diagonal2 = axes @ direction, (spacing**2).sum()
    for v in range(len(centres)):
        x, y, z = centres[v, 0] - start[0], centres[v, 1] - start[1], centres[v, 2] - start[2]
        t = min(max(x * direction[0] + y * direction[1] + z * direction[2], 0.0), length)
        x, y, z = x - t * direction[0], y - t * direction[1], z - t * direction[2]
        away = np.sqrt(x * x + y * y + z * z)
        if away < 1e-6:
            return found
        extent = 0.0
        for a in range(3):
            normal[a] = -(x * axes[a, 0] + y * axes[a, 1] + z * axes[a, 2]) / away
            width[a] = spacing[a] * abs(normal[a])
            extent += width[a]
        across = 0.0  # extent of the voxel across the line and the axis
        for a in range(3):
            b, c = (a + 1) % 3, (a + 2) % 3
            across += spacing[a] * abs(normal[b] * along_axes[c] - normal[c] * along_axes[b])
        planes[v, 0], planes[v, 2] = away, extent
        if away - extent / 2 >= best_less:
            continue
        planes[v, 3], planes[v, 4], planes[v, 5] = normal[0], normal[1], normal[2]
        share = occupancy[(indices[v, 2] * shape[1] + indices[v, 1]) * shape[0] + indices[v, 0]] / 255.0
        for a in range(3):
            width[a] = max(width[a], 1e-3 * extent)
        total = width.sum()
        sure = share - settings[0] * (1.0 if share < 2.0 * settings[0] else 0.6)
        for less in range(1, -1, -1):
            below, above = 0.0, total
            for _ in range(24):
                z = (below + above) / 2
                volume = z**3 - max(z - width[0], 0.0) ** 3 - max(z - width[1], 0.0) ** 3 - max(z - width[2], 0.0) ** 3
                volume += (
                    max(z - width[0] - width[1], 0.0) ** 3
                    + max(z - width[0] - width[2], 0.0) ** 3
                    + max(z - width[1] - width[2], 0.0) ** 3
                )
                if volume / (6 * width[0] * width[1] * width[2]) < (sure if less else share):
                    below = z
                else:
                    above = z
            offset = (below + above) / 2 - total / 2
            if less:
                flat = away - offset  # a small share may lie at the voxel's side, a full voxel's near corner does
                aside = max(diagonal2 / 4 - offset * offset, 0.0)
                if 4 * min(t, length - t) ** 2 > diagonal2:  # not beside an end of the axis
                    aside = min(aside, across * across / 4)
                aside *= max(1.0 - sure, 2.0 * sure - 1.0) ** 2
                best_less = min(best_less, np.sqrt(flat * flat + aside))
            else:
                planes[v, 1] = offset
                if away - offset < best:
                    best, best_voxel, best_along = away - offset, v, t
    low, worst = best, 0.0
    for v in range(len(centres)):
        away, offset, extent = planes[v, 0], planes[v, 1], planes[v, 2]
        if away - extent / 2 >= low:
            continue  # its near side lies farther
        i, j, k = indices[v, 0], indices[v, 1], indices[v, 2]
        share = occupancy[(k * shape[1] + j) * shape[0] + i] / 255.0
        normal[:] = 0.0
        for dk in range(-1, 2):
            for dj in range(-1, 2):
                for di in range(-1, 2):
                    p, q, r = i + di, j + dj, k + dk
                    if 0 <= p < shape[0] and 0 <= q < shape[1] and 0 <= r < shape[2]:
                        value = occupancy[(r * shape[1] + q) * shape[0] + p] / 255.0
                        value *= (2 - abs(di)) * (2 - abs(dj)) * (2 - abs(dk))
                        normal[0] -= value * di / spacing[0]
                        normal[1] -= value * dj / spacing[1]
                        normal[2] -= value * dk / spacing[2]
        size = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        if size < 1e-9:
            low, worst = min(low, away - extent / 2), 1.0
            continue
        total = 0.0
        for a in range(3):
            normal[a] /= size
            total += spacing[a] * abs(normal[a])
        for a in range(3):
            width[a] = max(spacing[a] * abs(normal[a]), 1e-3 * total)
        total = width[0] + width[1] + width[2]
        below, above = 0.0, total
        for _ in range(24):
            z = (below + above) / 2
            volume = z**3 - max(z - width[0], 0.0) ** 3 - max(z - width[1], 0.0) ** 3 - max(z - width[2], 0.0) ** 3
            volume += (
                max(z - width[0] - width[1], 0.0) ** 3
                + max(z - width[0] - width[2], 0.0) ** 3
                + max(z - width[1] - width[2], 0.0) ** 3
            )
            if volume / (6 * width[0] * width[1] * width[2]) < share:
                below = z
            else:
                above = z
        own = (below + above) / 2 - total / 2
        flat, facing = away - offset, 0.0
        for a in range(3):
            facing += normal[a] * planes[v, 3 + a]
        if (
            facing > FACING
        ):  # where the line to the voxel's centre meets the plane across the gradient, if that is nearer
            flat = min(flat, away - own / facing)
        bend = 0.0
        for dk in range(2):  # one of each two opposite neighbours: what a tilt of the plane does to them cancels
            for dj in range(-1, 2):
                for di in range(-1, 2):
                    if dk == 0 and (dj < 0 or (dj == 0 and di <= 0)):
                        continue
                    apart, far = 0.0, di * di + dj * dj + dk * dk
                    for side in (-1, 1):
                        p, q, r = i + side * di, j + side * dj, k + side * dk
                        value = 0.0
                        if 0 <= p < shape[0] and 0 <= q < shape[1] and 0 <= r < shape[2]:
                            value = occupancy[(r * shape[1] + q) * shape[0] + p] / 255.0
                        across = di * spacing[0] * normal[0] + dj * spacing[1] * normal[1] + dk * spacing[2] * normal[2]
                        z = min(max(own + total / 2 - side * across, 0.0), total)
                        volume = z**3 - max(z - width[0], 0.0) ** 3 - max(z - width[1], 0.0) ** 3
                        volume -= max(z - width[2], 0.0) ** 3
                        volume += (
                            max(z - width[0] - width[1], 0.0) ** 3
                            + max(z - width[0] - width[2], 0.0) ** 3
                            + max(z - width[1] - width[2], 0.0) ** 3
                        )
                        here = volume / (6 * width[0] * width[1] * width[2]) - value
                        apart += here
                    bend = max(bend, abs(apart) / (2 * far))
        bent = settings[3] * bend + settings[4] * max(bend - settings[5], 0.0)
        slack = settings[6] * (settings[1] + bent)
        # what lies aside of the line to the voxel's centre is nearer than it looks
        slack += np.sqrt(flat * flat + settings[2] * settings[6] * settings[6]) - flat
        if away - extent / 2 < settings[7] * settings[6]:  # so near that the line to the centre tells no direction
            slack = np.inf
        low = min(low, max(flat - slack, away - extent / 2))
        worst = max(worst, bend)
    found[0], found[1], found[2], found[3], found[7] = best, low, best_less, best_along, worst
    for c in range(3):
        found[4 + c] = centres[best_voxel, c]
        for a in range(3):
            found[4 + c] += planes[best_voxel, 1] * planes[best_voxel, 3 + a] * axes[a, c]
    return found
