"""The nearest disc in every direction of error: what `navplan.planning.uncertainty` bounds a breach with.

Seen along the needle, a boundary voxel is a disc, divided by the standard deviation along each lateral axis at its
depth. Where the two are alike a disc stays a disc (`nearest_discs`), else it is an ellipse (`nearest_ellipses`). Zeta
is the number of standard deviations to the nearest of them: never more than it is.

Rows: discs that a needle which stops as planned, at ends[0], passes are in row 0; those in row k begin to be reached by
a needle that ends between ends[k - 1] and ends[k], the first of them by one that ends at `first[k]`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled


@compiled()
def nearest_discs(
    centres: NDArray[np.float64],
    block_start: NDArray[np.int64],
    blocks: NDArray[np.float64],
    start: NDArray[np.float64],
    axes: NDArray[np.float64],
    ends: NDArray[np.float64],
    reach: float,
    sigmas: NDArray[np.float64],
    sectors: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """zeta (rows, sectors), number of sigmas to the first disc in each of the directions of error, 0 where a disc
    covers the axis, and first (rows,). Discs farther than 8 sigma count as never. Blocks of discs come nearest first;
    what others hide is passed over.

    sigmas: entry, angle, outline, half the curvature's, and of the anatomy's motion along both axes, here the same."""
    zeta, first = np.full((len(ends), sectors), np.inf), np.full(len(ends), np.inf)
    width, last = 2 * np.pi / sectors, ends[-1]
    nearest = np.empty(len(blocks))  # sigmas below which no disc of a block begins
    for block in range(len(blocks)):
        x, y, z = blocks[block, 0] - start[0], blocks[block, 1] - start[1], blocks[block, 2] - start[2]
        depth, ball = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2], blocks[block, 3]
        if depth + ball < -reach or depth - ball > last + reach:
            nearest[block] = np.inf
            continue
        a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
        b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
        deepest = min(max(depth + ball, 0.0), last)
        square = sigmas[0] ** 2 + (deepest * sigmas[1]) ** 2 + sigmas[2] ** 2 + (deepest * deepest * sigmas[3]) ** 2
        square += max(sigmas[4], sigmas[5]) ** 2
        nearest[block] = max(np.sqrt(a * a + b * b) - ball - reach - 1e-6, 0.0) / np.sqrt(square)
    for block in np.argsort(nearest):
        if nearest[block] >= 8.0:
            break
        x, y, z = blocks[block, 0] - start[0], blocks[block, 1] - start[1], blocks[block, 2] - start[2]
        a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
        b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
        distance, ball = np.sqrt(a * a + b * b), blocks[block, 3] + reach + 1e-6
        # Is it hidden, wherever it could be seen, by what is nearer?
        if nearest[block] > 0.0 and distance > ball:
            angle, half = np.arctan2(b, a), np.arcsin(ball / distance)
            hidden = True
            for sector in range(int(np.floor((angle - half) / width)), int(np.floor((angle + half) / width)) + 1):
                hidden = hidden and zeta[0, sector % sectors] <= nearest[block]
            if hidden:
                continue
        for v in range(block_start[block], block_start[block + 1]):
            x, y, z = centres[v, 0] - start[0], centres[v, 1] - start[1], centres[v, 2] - start[2]
            depth = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]
            if not -reach < depth < last + reach:
                continue
            row = 0
            while depth >= ends[row] + reach:
                row += 1
            at = min(max(depth, 0.0), last)
            square = sigmas[0] ** 2 + (at * sigmas[1]) ** 2 + sigmas[2] ** 2 + (at * at * sigmas[3]) ** 2
            sigma = np.sqrt(square + sigmas[4] ** 2)
            a = (x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]) / sigma
            b = (x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]) / sigma
            distance, size = np.sqrt(a * a + b * b), reach / sigma
            if distance <= size:
                zeta[row, :] = 0.0
                first[row] = min(first[row], depth - reach)
                if row == 0:
                    return zeta, first
                continue
            if distance - size >= 8.0:
                continue
            angle, half = np.arctan2(b, a), np.arcsin(size / distance)
            low, high = int(np.floor((angle - half) / width)), int(np.floor((angle + half) / width))
            for sector in range(low, high + 1):
                here = sector % sectors
                if zeta[0, here] <= distance - size:
                    continue
                first[row] = min(first[row], depth - reach)
                if zeta[row, here] <= distance - size:
                    continue
                # the sector's edge nearest the disc's middle
                turn = min(max(abs((sector + 0.5) * width - angle) - width / 2, 0.0), half)
                across = distance * np.sin(turn)
                begins = distance * np.cos(turn) - np.sqrt(max(size * size - across * across, 0.0))
                zeta[row, here] = min(zeta[row, here], begins)
    return zeta, first


@compiled()
def nearest_ellipses(
    centres: NDArray[np.float64],
    block_start: NDArray[np.int64],
    blocks: NDArray[np.float64],
    start: NDArray[np.float64],
    axes: NDArray[np.float64],
    ends: NDArray[np.float64],
    reach: float,
    sigmas: NDArray[np.float64],
    sectors: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `nearest_discs`, with another sigma of the motion along each of the two axes.

    A ray of the scaled plane at an angle t runs in mm along m = (first cos t, second sin t): it meets the disc of
    radius `reach` about c at the smaller root of |zeta m - c|^2 = reach^2. What it meets is convex, so that zeta falls
    and then rises with t: within a sector it is least at an edge, but in the one with the nearest point of all. There,
    and before anything is computed, n.c' - |E n| bounds it from below for any unit vector n (c' the ellipse's middle,
    E its half axes): exact for n along the nearest point."""
    zeta, first = np.full((len(ends), sectors), np.inf), np.full(len(ends), np.inf)
    width, last = 2 * np.pi / sectors, ends[-1]
    cosines, sines = np.cos(np.arange(sectors) * width), np.sin(np.arange(sectors) * width)
    entry, outline, one, two = sigmas[0] ** 2, sigmas[2] ** 2, sigmas[4] ** 2, sigmas[5] ** 2
    nearest = np.empty(len(blocks))  # sigmas below which no disc of a block begins
    seen = np.empty((len(blocks), 2))  # between which angles it is seen
    for block in range(len(blocks)):
        x, y, z = blocks[block, 0] - start[0], blocks[block, 1] - start[1], blocks[block, 2] - start[2]
        depth, ball = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2], blocks[block, 3]
        nearest[block], seen[block, 0], seen[block, 1] = np.inf, np.inf, -np.inf
        if depth + ball < -reach or depth - ball > last + reach:
            continue
        a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
        b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
        distance, wide = np.sqrt(a * a + b * b), ball + reach + 1e-6
        for end in range(2):  # sigma grows with depth: all between lies between
            at = min(max(depth + (2 * end - 1) * ball, 0.0), last)
            square = entry + (at * sigmas[1]) ** 2 + outline + (at * at * sigmas[3]) ** 2
            nearest[block] = max(distance - wide, 0.0) / np.sqrt(square + max(one, two))
            if distance <= wide:
                continue
            for side in range(-1, 2, 2):
                angle = np.arctan2(b, a) + side * np.arcsin(wide / distance)
                u, v = np.cos(angle) * np.sqrt(square + two), np.sin(angle) * np.sqrt(square + one)
                angle += np.arctan2(np.cos(angle) * v - np.sin(angle) * u, np.cos(angle) * u + np.sin(angle) * v)
                seen[block, 0], seen[block, 1] = min(seen[block, 0], angle), max(seen[block, 1], angle)
    for block in np.argsort(nearest):
        if nearest[block] >= 8.0:
            break
        if nearest[block] > 0.0:  # is it hidden, wherever it could be seen, by what is nearer?
            hidden = True
            for sector in range(int(np.floor(seen[block, 0] / width)), int(np.floor(seen[block, 1] / width)) + 1):
                hidden = hidden and zeta[0, sector % sectors] <= nearest[block]
            if hidden:
                continue
        for voxel in range(block_start[block], block_start[block + 1]):
            x, y, z = centres[voxel, 0] - start[0], centres[voxel, 1] - start[1], centres[voxel, 2] - start[2]
            depth = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]
            if not -reach < depth < last + reach:
                continue
            row = 0
            while depth >= ends[row] + reach:
                row += 1
            a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
            b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
            tangent = a * a + b * b - reach * reach
            if tangent <= 0.0:
                zeta[row, :] = 0.0
                first[row] = min(first[row], depth - reach)
                if row == 0:
                    return zeta, first
                continue
            at = min(max(depth, 0.0), last)
            square = entry + (at * sigmas[1]) ** 2 + outline + (at * at * sigmas[3]) ** 2
            s, t = np.sqrt(square + one), np.sqrt(square + two)
            distance, middle = np.sqrt(a * a + b * b), np.sqrt((a / s) ** 2 + (b / t) ** 2)
            nx, ny = a / (s * middle), b / (t * middle)
            least = middle - reach * np.sqrt((nx / s) ** 2 + (ny / t) ** 2)
            least = max(least, (distance - reach) / max(s, t))
            if least >= 8.0:
                continue
            angle, half = np.arctan2(b, a), np.arcsin(reach / distance)
            ux, uy, vx, vy = np.cos(angle - half), np.sin(angle - half), np.cos(angle + half), np.sin(angle + half)
            begin = angle - half + np.arctan2(ux * uy * (s - t), ux * ux * t + uy * uy * s)
            end = angle + half + np.arctan2(vx * vy * (s - t), vx * vx * t + vy * vy * s)
            low, high = int(np.floor(begin / width)), int(np.floor(end / width))
            hidden, behind = True, True
            for sector in range(low, high + 1):
                here = sector % sectors
                hidden = hidden and zeta[0, here] <= least
                behind = behind and zeta[row, here] <= least
            if hidden:
                continue
            first[row] = min(first[row], depth - reach)
            if behind:
                continue
            before = np.sqrt(tangent) * np.sqrt((ux / s) ** 2 + (uy / t) ** 2)
            best, best_edge, nx, ny = before, low, ux / s, uy / t
            for sector in range(low, high + 1):
                here = sector % sectors
                if sector < high:
                    cx, cy = cosines[(sector + 1) % sectors], sines[(sector + 1) % sectors]
                    mx, my = s * cx, t * cy
                    along, square = mx * a + my * b, mx * mx + my * my
                    after = (along - np.sqrt(max(along * along - square * tangent, 0.0))) / square
                else:
                    cx, cy = vx / s, vy / t
                    after = np.sqrt(tangent) * np.sqrt(cx * cx + cy * cy)
                zeta[row, here] = min(zeta[row, here], max(min(before, after), least))
                if after < best:
                    best, best_edge, nx, ny = after, sector + 1, cx, cy
                before = after
            size = np.sqrt(nx * nx + ny * ny)
            nx, ny = nx / size, ny / size
            least = max(least, nx * a / s + ny * b / t - reach * np.sqrt((nx / s) ** 2 + (ny / t) ** 2))
            for sector in range(max(best_edge - 1, low), min(best_edge, high) + 1):
                zeta[row, sector % sectors] = min(zeta[row, sector % sectors], least)
    return zeta, first
