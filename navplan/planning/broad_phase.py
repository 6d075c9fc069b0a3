"""Distances of very many needle axes to every structure: the broad phase of the search.

Axes with like directions form packets. An axis point moves, from one axis of a packet to its mean axis, by no more than
`spread`, which runs linearly from the start's spread to the end's; so the distance of the mean axis to a sphere about a
block of boundary voxels, less spread and radius, bounds the distances of all axes of the packet from below. Blocks
that cannot hold the nearest voxel of any of them are dropped: for 1024 axes, for 128, for 16, for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.planning.boundary import Boundary, occupancy_at

LANES = 8  # least values kept side by side, as many as a vector register holds
ROUNDING_MM = 1e-3  # taken off every distance for the single precision of the voxels' coordinates
_ORDER = 10  # bits of the Hilbert curve along which directions are sorted


@dataclass(frozen=True, eq=False)
class BoundaryBlocks:
    """The boundary voxels of S structures in one array for the broad phase.

    origin_mm: (3,); x, y, z: (M,) float32 voxel centres relative to it; block_start (B + 1,), block_mm (B, 4): centre
    relative to origin, and radius; blocks_of: (S + 1,) first block of each structure.
    """

    boundaries: tuple[Boundary, ...]
    origin_mm: NDArray[np.float64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    block_start: NDArray[np.int64]
    block_mm: NDArray[np.float64]
    blocks_of: NDArray[np.int64]


@lru_cache(maxsize=2)  # the same structures are asked for again and again
def boundary_blocks(boundaries: tuple[Boundary, ...]) -> BoundaryBlocks:
    """Gather the boundaries of structures."""
    counts = [len(b.centres_mm) for b in boundaries]
    offset = np.cumsum([0, *counts])
    total = int(offset[-1])
    origin = np.mean([b.voxels.block_mm[:, :3].mean(axis=0) for b in boundaries], axis=0) if boundaries else np.zeros(3)
    x, y, z = (np.empty(total, dtype=np.float32) for _ in range(3))
    for n, boundary in enumerate(boundaries):
        part = slice(offset[n], offset[n + 1])
        for axis, values in enumerate((x, y, z)):
            np.subtract(boundary.centres_mm[:, axis], origin[axis], out=values[part], casting="same_kind")
    starts = [b.voxels.block_start[:-1] + first for b, first in zip(boundaries, offset[:-1], strict=True)]
    spheres = [b.voxels.block_mm - [*origin, 0.0] for b in boundaries]
    return BoundaryBlocks(
        boundaries,
        origin,
        x,
        y,
        z,
        np.concatenate([*starts, [total]]).astype(np.int64),
        np.concatenate(spheres) if spheres else np.zeros((0, 4)),
        np.cumsum([0] + [len(b.voxels.block_mm) for b in boundaries]).astype(np.int64),
    )


@compiled(fastmath={"nnan", "nsz", "contract"})
def _packets(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    block_start: NDArray[np.int64],
    block_mm: NDArray[np.float64],
    blocks_of: NDArray[np.int64],
    far: NDArray[np.float64],
    sizes: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(N, S) distance to the nearest voxel centre, or, from far[s] on, a lower bound of it.

    Axes are sorted so that neighbours look alike. sizes: of the packets, largest first, each a multiple of the next.
    """
    count, structures = len(starts), len(blocks_of) - 1
    found = np.empty((count, structures), np.float32)
    widest = 0
    for s in range(structures):
        widest = max(widest, blocks_of[s + 1] - blocks_of[s])
    fullest = 0
    for block in range(len(block_start) - 1):
        fullest = max(fullest, block_start[block + 1] - block_start[block])
    levels = len(sizes)
    per_group = 0
    for level in range(levels):
        per_group += sizes[0] // sizes[level]
    for group in range((count + sizes[0] - 1) // sizes[0]):
        node = np.empty((per_group, 4), np.int64)  # a packet: level, first and past the last axis, first node after it
        mean = np.empty((per_group, 8))  # mean start, mean end, spread at start and end
        nodes = 0
        last_group = min((group + 1) * sizes[0], count)
        for small in range(group * sizes[0], last_group, sizes[levels - 1]):
            for level in range(levels):
                if small % sizes[level] == 0:
                    node[nodes, 0], node[nodes, 1] = level, small
                    node[nodes, 2] = min(small + sizes[level], last_group)
                    nodes += 1
        for n in range(nodes):
            after = n + 1
            while after < nodes and node[after, 0] > node[n, 0]:
                after += 1
            node[n, 3] = after
            first, last = node[n, 1], node[n, 2]
            for c in range(3):
                a, b = 0.0, 0.0
                for ray in range(first, last):
                    a += starts[ray, c]
                    b += ends[ray, c]
                mean[n, c], mean[n, 3 + c] = a / (last - first), b / (last - first)
            a, b = 0.0, 0.0
            for ray in range(first, last):
                e, f = 0.0, 0.0
                for c in range(3):
                    e += (starts[ray, c] - mean[n, c]) ** 2
                    f += (ends[ray, c] - mean[n, 3 + c]) ** 2
                a, b = max(a, e), max(b, f)
            mean[n, 6], mean[n, 7] = np.sqrt(a), np.sqrt(b)
        kept = np.empty((levels + 1, widest), np.int64)
        kept_count = np.zeros(levels + 1, np.int64)
        lows = np.empty(widest)
        near_x, near_y = np.empty(widest, np.float32), np.empty(widest, np.float32)  # of the blocks that are left
        near_z, radius, apart = np.empty(widest, np.float32), np.empty(widest, np.float32), np.empty(widest, np.float32)
        squares = np.empty(fullest + LANES, np.float32)
        lanes = np.empty(LANES, np.float32)
        for s in range(structures):
            kept_count[0] = blocks_of[s + 1] - blocks_of[s]
            for m in range(kept_count[0]):
                kept[0, m] = blocks_of[s] + m
            n = 0
            while n < nodes:
                level, first, last = node[n, 0], node[n, 1], node[n, 2]
                dx, dy, dz = mean[n, 3] - mean[n, 0], mean[n, 4] - mean[n, 1], mean[n, 5] - mean[n, 2]
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                at_start, at_end = mean[n, 6], mean[n, 7]
                most, slope = max(at_start, at_end), 0.0
                if length > 1e-9:
                    dx, dy, dz, slope = dx / length, dy / length, dz / length, (at_end - at_start) / length
                # nearly a cone as wide as it is long: no minimum inside, the widest spread bounds it
                cone = length <= 1e-9 or abs(slope) >= 0.99
                lean = 0.0 if cone else slope / np.sqrt(1.0 - slope * slope)
                least_upper, least_low = np.inf, np.inf
                for m in range(kept_count[level]):
                    b = kept[level, m]
                    px, py, pz = block_mm[b, 0] - mean[n, 0], block_mm[b, 1] - mean[n, 1], block_mm[b, 2] - mean[n, 2]
                    a = px * dx + py * dy + pz * dz
                    foot = min(max(a, 0.0), length)
                    hx, hy, hz = px - a * dx, py - a * dy, pz - a * dz
                    h2 = hx * hx + hy * hy + hz * hz
                    here = np.sqrt(h2 + (a - foot) * (a - foot))
                    if cone:
                        low = here - most
                    else:
                        t = min(max(a + np.sqrt(h2) * lean, 0.0), length)
                        low = np.sqrt(h2 + (a - t) * (a - t)) - at_start - slope * t
                    low -= block_mm[b, 3]
                    lows[m] = low
                    least_low = min(least_low, low)
                    least_upper = min(least_upper, here + at_start + slope * foot + block_mm[b, 3])
                if least_low >= far[s]:
                    for ray in range(first, last):
                        found[ray, s] = least_low
                    n = node[n, 3]
                    continue
                remain = 0
                for m in range(kept_count[level]):
                    if lows[m] <= least_upper + 1e-6:  # where spreads are zero both are one number, rounded apart
                        kept[level + 1, remain] = kept[level, m]
                        remain += 1
                kept_count[level + 1] = remain
                n += 1
                if level < levels - 1:
                    continue
                for m in range(remain):  # side by side, so that the compiler makes vectors of what follows
                    b = kept[levels, m]
                    near_x[m], near_y[m], near_z[m] = block_mm[b, 0], block_mm[b, 1], block_mm[b, 2]
                    radius[m] = block_mm[b, 3] + 1e-3  # more than what single precision loses
                for ray in range(first, last):
                    sx, sy, sz = starts[ray, 0], starts[ray, 1], starts[ray, 2]
                    ex, ey, ez = ends[ray, 0] - sx, ends[ray, 1] - sy, ends[ray, 2] - sz
                    reach = np.sqrt(ex * ex + ey * ey + ez * ez)
                    ex, ey, ez = ex / reach, ey / reach, ez / reach
                    fx, fy, fz = np.float32(sx), np.float32(sy), np.float32(sz)
                    gx, gy, gz = np.float32(ex), np.float32(ey), np.float32(ez)
                    end, zero, best = np.float32(reach), np.float32(0.0), np.float32(np.inf)
                    for m in range(remain):
                        ux, uy, uz = near_x[m] - fx, near_y[m] - fy, near_z[m] - fz
                        along = ux * gx + uy * gy + uz * gz
                        along = along if along > zero else zero
                        along = along if along < end else end
                        ux, uy, uz = ux - along * gx, uy - along * gy, uz - along * gz
                        apart[m] = ux * ux + uy * uy + uz * uz
                    nearest, bound = 0, np.float32(np.inf)
                    for m in range(remain):
                        nearest = m if apart[m] < apart[nearest] else nearest
                    if far[s] < np.inf:
                        nearest_low = np.inf
                        for m in range(remain):
                            nearest_low = min(nearest_low, np.sqrt(np.float64(apart[m])) - radius[m])
                        if nearest_low >= far[s]:
                            found[ray, s] = nearest_low
                            continue
                    for turn in range(-1, remain):
                        m = nearest if turn < 0 else turn
                        if turn >= 0 and (m == nearest or apart[m] >= (bound + radius[m]) * (bound + radius[m])):
                            continue
                        b = kept[levels, m]
                        v0, size = block_start[b], block_start[b + 1] - block_start[b]
                        xs, ys, zs = x[v0 : v0 + size], y[v0 : v0 + size], z[v0 : v0 + size]
                        for v in range(size):  # apart from the search for the least: the compiler makes vectors of it
                            ux, uy, uz = xs[v] - fx, ys[v] - fy, zs[v] - fz
                            along = ux * gx + uy * gy + uz * gz
                            along = along if along > zero else zero
                            along = along if along < end else end
                            ux, uy, uz = ux - along * gx, uy - along * gy, uz - along * gz
                            squares[v] = ux * ux + uy * uy + uz * uz
                        for q in range(LANES):
                            lanes[q], squares[size + q] = best, best
                        for v in range(0, size, LANES):  # so many least values side by side, then the least of them
                            for q in range(LANES):
                                lanes[q] = squares[v + q] if squares[v + q] < lanes[q] else lanes[q]
                        for q in range(LANES):
                            best = lanes[q] if lanes[q] < best else best
                        bound = np.sqrt(best) + np.float32(1e-3)
                    found[ray, s] = np.sqrt(best)
    return found


def broad_distances(
    blocks: BoundaryBlocks,
    starts_mm: NDArray[np.float64],
    ends_mm: NDArray[np.float64],
    far_mm: NDArray[np.float64] | float = np.inf,
) -> NDArray[np.float32]:
    """(N, S) distances of N axes (starts, ends: (N, 3) LPS mm) to the boundary voxel centres of S structures.

    Never more than the true distance, and to ROUNDING_MM equal to it where it is below far_mm (a number, or (S,));
    from there on a lower bound, itself at least far_mm. 0 where an axis starts inside.
    """
    count, structures = len(starts_mm), len(blocks.boundaries)
    if not count or not structures:
        return np.full((count, structures), np.inf, dtype=np.float32)
    order = order_of_directions(starts_mm - ends_mm)
    starts = (starts_mm - blocks.origin_mm)[order]
    ends = (np.broadcast_to(ends_mm, starts_mm.shape) - blocks.origin_mm)[order]
    far = np.broadcast_to(np.asarray(far_mm, dtype=np.float64), (structures,)) + ROUNDING_MM
    sizes = np.asarray([1024, 128, 16] if count >= 4096 else [128, 16], dtype=np.int64)
    found = np.empty((count, structures), dtype=np.float32)
    found[order] = by_rows(
        _packets,
        [starts, ends],
        blocks.x,
        blocks.y,
        blocks.z,
        blocks.block_start,
        blocks.block_mm,
        blocks.blocks_of,
        np.ascontiguousarray(far),
        sizes,
        least=int(sizes[0]),
    )
    found -= np.float32(ROUNDING_MM)
    np.maximum(found, 0.0, out=found)
    x, y, z = np.ascontiguousarray(starts_mm.T)
    for s, boundary in enumerate(blocks.boundaries):  # an axis deep inside may have no boundary voxel on its way
        structure, grid = boundary.structure, boundary.structure.grid
        assert grid is not None
        corners = grid.corners_mm()
        low, high = corners.min(axis=0), corners.max(axis=0)
        rows = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
        rows = rows[(z[rows] >= low[2]) & (z[rows] <= high[2]) & (found[rows, s] > grid.diagonal_mm / 2)]
        found[rows[occupancy_at(structure, starts_mm[rows]) > 0], s] = 0.0
    return found


def order_of_directions(directions: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) indices that sort directions (N, 3) along a Hilbert curve on the unfolded octahedron: neighbours look
    alike."""
    scale = np.maximum(np.abs(directions).sum(axis=1), 1e-12)
    u, v, w = (directions / scale[:, None]).T
    folded = np.where(w < 0, (1 - np.abs(v)) * np.where(u < 0, -1, 1), u)
    v = np.where(w < 0, (1 - np.abs(u)) * np.where(v < 0, -1, 1), v)
    size = 1 << _ORDER
    a, b = (np.clip((value + 1) / 2 * size, 0, size - 1).astype(np.int64) for value in (folded, v))
    key = np.zeros(len(directions), dtype=np.int64)
    half = size >> 1
    while half:
        right, upper = (a & half) > 0, (b & half) > 0
        key += half * half * ((3 * right) ^ upper)
        a, b = a & (half - 1), b & (half - 1)
        flip = ~upper & right
        a, b = np.where(flip, half - 1 - a, a), np.where(flip, half - 1 - b, b)
        a, b = np.where(upper, a, b), np.where(upper, b, a)
        half >>= 1
    return np.argsort(key, kind="stable").astype(np.int64)
