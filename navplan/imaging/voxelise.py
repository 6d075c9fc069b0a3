"""Closed triangle meshes to occupancy: the share of each voxel's volume that lies inside.

Lines run along k through each voxel at 8 x 8 places of its i-j face. On a line the mesh's crossings are found exactly,
so a share is a mean of exact lengths. Inside is where the winding number is not 0: an inner surface that faces inward
is a cavity, parts that overlap are one. Every voxel that a triangle touches (separating axes: Akenine-Moeller, J Graph
Tools 2001;6:29-33) has occupancy > 0, as `Structure.fractional` asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import compiled
from navplan.geometry.grid import Grid

LINES = 8  # along each edge of a voxel's i-j face
_ASIDE = 1.0e-4 * np.array([0.7320508, 0.4142136])  # voxels: no line runs through a corner that lies on round numbers
MOST_VOXELS = 1 << 29


@dataclass(frozen=True, eq=False)
class Voxelised:
    """occupancy uint8 [i, j, k] on `grid`, a part of the grid asked for; lost: share of lines that met a gap."""

    occupancy: NDArray[np.uint8]
    grid: Grid
    lost: float


def check_closed(triangles: NDArray[np.int64], what: str) -> None:
    """Raises InputError unless each edge is shared by exactly two triangles that run along it either way: a closed
    surface whose triangles all face one way. triangles: (M, 3) indices of points, coincident points merged."""
    if len(triangles) == 0:
        raise InputError(f"{what}: no triangle", "a closed surface")
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    base = int(edges.max()) + 1
    keys, counts = np.unique(edges.min(axis=1) * base + edges.max(axis=1), return_counts=True)
    open_edges, shared = int((counts == 1).sum()), int((counts > 2).sum())
    advice = "Close it, or save the structure as a label map"
    if open_edges:
        raise InputError(f"{what}: a surface with {open_edges} open edges", "a closed surface", advice)
    if shared:
        raise InputError(f"{what}: {shared} edges with more than two triangles", "a manifold surface", advice)
    directed = np.unique(edges[:, 0] * base + edges[:, 1])
    if len(directed) != 2 * len(keys):
        raise InputError(f"{what}: triangles that face both ways", "triangles that all face outward", advice)


def voxelise(points_mm: NDArray[np.float64], triangles: NDArray[np.int64], grid: Grid) -> Voxelised:
    """Occupancy of a closed mesh on the part of a grid that it reaches.

    points_mm: (N, 3) LPS; triangles: (M, 3), see check_closed. Raises InputError where the mesh lies beside the grid.
    """
    points = grid.indices(points_mm)
    low = np.maximum(np.floor(points.min(axis=0) + 0.5) - 1, 0).astype(np.int64)
    high = np.minimum(np.ceil(points.max(axis=0) - 0.5) + 2, grid.shape).astype(np.int64)
    if (high <= low).any():
        raise InputError("a mesh beside the image", "one that reaches into it")
    shape = high - low
    if float(np.prod(shape.astype(float))) > MOST_VOXELS:
        raise InputError(f"a mesh over {shape.tolist()} voxels", f"at most {MOST_VOXELS} of them")
    corners = np.ascontiguousarray((points - low)[triangles])
    order = np.ascontiguousarray(triangles)
    rays = np.ascontiguousarray(shape[:2] * LINES)
    counts = _crossings(corners, order, rays, _ASIDE, np.zeros((0, 0), np.int64), np.zeros(0), np.zeros(0, np.int8))
    first = np.zeros(counts.size + 1, dtype=np.int64)
    np.cumsum(counts.ravel(), out=first[1:])
    starts = first[:-1].reshape(counts.shape).copy()
    depth, turn = np.zeros(int(first[-1])), np.zeros(int(first[-1]), dtype=np.int8)
    _crossings(corners, order, rays, _ASIDE, starts, depth, turn)
    turned = np.zeros((shape[2], shape[1], shape[0]), dtype=np.uint8)
    lost = _fill(first, depth, turn, shape, turned)
    occupancy = turned.T
    _touch(corners, shape, occupancy)
    part = grid.crop(low, shape)
    return Voxelised(occupancy, part, lost / max(int(rays[0] * rays[1]), 1))


@compiled()
def _crossings(
    corners: NDArray[np.float64], order: NDArray[np.int64], rays: NDArray[np.int64], aside: NDArray[np.float64],
    starts: NDArray[np.int64], depth: NDArray[np.float64], turn: NDArray[np.int8],
) -> NDArray[np.int64]:  # fmt: skip
    """Counts the crossings of each line; with `starts` it writes them there, unsorted: k, and which way each faces."""

    def side(ax: float, ay: float, bx: float, by: float, a: int, b: int, x: float, y: float) -> bool:
        # the opposite for b-a, to the last bit: of two triangles that share an edge one has a line there
        if a < b:
            return (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0.0
        return not (ax - bx) * (y - by) - (ay - by) * (x - bx) >= 0.0

    counts = np.zeros((rays[0], rays[1]), np.int64)
    write = starts.size > 0
    for t in range(len(corners)):
        x0, y0, z0 = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
        x1, y1, z1 = corners[t, 1, 0], corners[t, 1, 1], corners[t, 1, 2]
        x2, y2, z2 = corners[t, 2, 0], corners[t, 2, 1], corners[t, 2, 2]
        area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
        if area == 0.0:
            continue
        a, b, c = order[t, 0], order[t, 1], order[t, 2]
        # line n lies at (n + 0.5) / 8 - 0.5 voxels
        low_x = max(int(np.floor((min(x0, x1, x2) + 0.5) * 8 - 0.5)) - 1, 0)
        high_x = min(int(np.ceil((max(x0, x1, x2) + 0.5) * 8 - 0.5)) + 1, rays[0] - 1)
        low_y = max(int(np.floor((min(y0, y1, y2) + 0.5) * 8 - 0.5)) - 1, 0)
        high_y = min(int(np.ceil((max(y0, y1, y2) + 0.5) * 8 - 0.5)) + 1, rays[1] - 1)
        for p in range(low_x, high_x + 1):
            x = (p + 0.5) / 8 - 0.5 + aside[0]
            for q in range(low_y, high_y + 1):
                y = (q + 0.5) / 8 - 0.5 + aside[1]
                first = side(x0, y0, x1, y1, a, b, x, y)
                if side(x1, y1, x2, y2, b, c, x, y) != first or side(x2, y2, x0, y0, c, a, x, y) != first:
                    continue
                if write:
                    w1 = ((x - x0) * (y2 - y0) - (y - y0) * (x2 - x0)) / area
                    w2 = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / area
                    z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                    place = starts[p, q] + counts[p, q]
                    depth[place] = min(max(z, min(z0, z1, z2)), max(z0, z1, z2))
                    turn[place] = 1 if first else -1
                counts[p, q] += 1
    return counts


@compiled()
def _fill(
    first: NDArray[np.int64], depth: NDArray[np.float64], turn: NDArray[np.int8], shape: NDArray[np.int64],
    occupancy: NDArray[np.uint8],
) -> int:  # fmt: skip
    """Occupancy [k, j, i] from the crossings of each voxel's 64 lines, rounded up, 255 only for a full voxel; gives
    back how many lines do not come out again."""
    lines = shape[1] * 8
    lost = 0
    share = np.zeros(shape[2])
    for i in range(shape[0]):
        for j in range(shape[1]):
            sound = 0
            share[:] = 0.0
            for p in range(i * 8, i * 8 + 8):
                for q in range(j * 8, j * 8 + 8):
                    begin, end = first[p * lines + q], first[p * lines + q + 1]
                    total = 0
                    for n in range(begin, end):
                        total += turn[n]
                    if total != 0:
                        lost += 1
                        continue
                    sound += 1
                    if end == begin:
                        continue
                    order = np.argsort(depth[begin:end])
                    winding = 0
                    for n in range(end - begin - 1):
                        winding += turn[begin + order[n]]
                        if winding == 0:
                            continue
                        low = max(depth[begin + order[n]] + 0.5, 0.0)
                        high = min(depth[begin + order[n + 1]] + 0.5, float(shape[2]))
                        k = int(low)
                        while k < high and k < shape[2]:
                            share[k] += min(high, k + 1.0) - max(low, float(k))
                            k += 1
            for k in range(shape[2]):
                value = share[k] / max(sound, 1)
                if value > 0.0:
                    occupancy[k, j, i] = 255 if value >= 1.0 - 1e-6 else min(int(np.ceil(value * 255.0)), 254)
    return lost


@compiled()
def _touch(corners: NDArray[np.float64], shape: NDArray[np.int64], occupancy: NDArray[np.uint8]) -> None:
    """At least 1 in every voxel that a triangle touches."""

    def apart_along(ax: float, ay: float, az: float, triangle: NDArray[np.float64]) -> bool:
        # whether an axis separates a triangle from the unit cube about 0
        reach = 0.5 * (abs(ax) + abs(ay) + abs(az)) + 1e-9
        d0 = ax * triangle[0, 0] + ay * triangle[0, 1] + az * triangle[0, 2]
        d1 = ax * triangle[1, 0] + ay * triangle[1, 1] + az * triangle[1, 2]
        d2 = ax * triangle[2, 0] + ay * triangle[2, 1] + az * triangle[2, 2]
        return min(d0, d1, d2) > reach or max(d0, d1, d2) < -reach

    moved = np.empty((3, 3))
    for t in range(len(corners)):
        triangle = corners[t]
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for n in range(3):
            low[n] = max(int(np.floor(min(triangle[0, n], triangle[1, n], triangle[2, n]) + 0.5 - 1e-9)), 0)
            high[n] = min(
                int(np.floor(max(triangle[0, n], triangle[1, n], triangle[2, n]) + 0.5 + 1e-9)), shape[n] - 1
            )
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    if occupancy[i, j, k]:
                        continue
                    for corner in range(3):
                        moved[corner, 0] = triangle[corner, 0] - i
                        moved[corner, 1] = triangle[corner, 1] - j
                        moved[corner, 2] = triangle[corner, 2] - k
                    ux, uy, uz = moved[1, 0] - moved[0, 0], moved[1, 1] - moved[0, 1], moved[1, 2] - moved[0, 2]
                    vx, vy, vz = moved[2, 0] - moved[0, 0], moved[2, 1] - moved[0, 1], moved[2, 2] - moved[0, 2]
                    wx, wy, wz = vx - ux, vy - uy, vz - uz
                    apart = apart_along(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx, moved)
                    apart = apart or apart_along(0.0, -uz, uy, moved) or apart_along(uz, 0.0, -ux, moved)
                    apart = apart or apart_along(-uy, ux, 0.0, moved) or apart_along(0.0, -vz, vy, moved)
                    apart = apart or apart_along(vz, 0.0, -vx, moved) or apart_along(-vy, vx, 0.0, moved)
                    apart = apart or apart_along(0.0, -wz, wy, moved) or apart_along(wz, 0.0, -wx, moved)
                    apart = apart or apart_along(-wy, wx, 0.0, moved)
                    if not apart:
                        occupancy[i, j, k] = 1
