"""Planes of a structure across the line from a needle's axis to each voxel: a kernel of `sub_voxel`, which says why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled

TIP_FROM = 0.08  # share of a voxel from which what a blunt tip in it reaches out counts in full
FACING = 0.5  # cosine between that line and the gradient from which the plane across the gradient counts


@compiled()
def facing_planes(
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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of M voxels: (6,) distance to the nearest plane, upper bound, depth along the axis, nearest point (3), all -1
    where the axis runs through the centre of a voxel; (M,) lower bound of what each voxel holds, inf where its near
    side lies beyond the upper bound; (M, 3) directions across the shares in axes of the grid, outward, 0 where the
    shares tell none.

    settings: (9,) TOLD_TO, share that a flat surface may lie nearer, ASIDE_SHARE, BEND_SHARE, SHARP_SHARE, SHARP_FROM,
    longest edge, NEAR_SHARE, TIP_SHARE.
    """
    assert len(settings) == 9  # an index beyond the end reads anything
    found = np.full(6, -1.0)
    lows, normals = np.full(len(centres), np.inf), np.zeros((len(centres), 3))
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
            return found, lows, normals
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
    for v in range(len(centres)):
        away, offset, extent = planes[v, 0], planes[v, 1], planes[v, 2]
        if away - extent / 2 >= best_less:
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
            lows[v] = away - extent / 2
            continue
        total = 0.0
        for a in range(3):
            normal[a] /= size
            normals[v, a] = normal[a]
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
        slack = settings[6] * (settings[1] + settings[8] * min(share / TIP_FROM, 1.0) + bent)
        # what lies aside of the line to the voxel's centre is nearer than it looks
        slack += np.sqrt(flat * flat + settings[2] * settings[6] * settings[6]) - flat
        if away - extent / 2 < settings[7] * settings[6]:  # so near that the line to the centre tells no direction
            slack = np.inf
        lows[v] = max(flat - slack, away - extent / 2)
    found[0], found[1], found[2] = best, best_less, best_along
    for c in range(3):
        found[3 + c] = centres[best_voxel, c]
        for a in range(3):
            found[3 + c] += planes[best_voxel, 1] * planes[best_voxel, 3 + a] * axes[a, c]
    return found, lows, normals
