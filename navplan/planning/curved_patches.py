"""A curved patch of surface that fits the shares of a voxel and of the 26 around it: one kernel of `sub_voxel`, which
says why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import compiled

FITTED = 0.02  # a worst misfit for which no other start is tried: along the grid a plane on a voxel's face is stuck
FITS = 14  # steps of a fit at most; most are done after four
PRIOR = 0.15  # share of a voxel that a bend of 1 / voxel costs: where nothing tells a bend, there is none
STEPS = 6  # that the search for the nearest point halves before Newton's method finishes it


@compiled()
def curved_patches(
    indices: NDArray[np.int64],
    normals: NDArray[np.float64],
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    spacing: NDArray[np.float64],
    starts: NDArray[np.float64],
    direction: NDArray[np.float64],
    length: float,
    rooms: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(M, 8) of M voxels: distance of the axis to the patch within rooms[0] mm of the voxel's centre across its
    normal, but no farther than twice as far as the voxel reaches there, and within rooms[1]; the worst misfit of a
    share; the largest curvature times the voxel's width along it (how much the slope changes from a voxel to the next);
    the patch's tilt against the grid: voxels that it rises from one to the next along the steeper of the two flatter
    axes; by how many mm what lies behind the patch stops short of the voxel; the largest of the 27 shares; the largest
    curvature times that width squared, mm.

    A patch is height = c0 + c1 u + c2 v + c3 u^2 + c4 u v + c5 v^2 over the plane across the normal, fitted by least
    squares (Levenberg and Marquardt) to the 27 shares; in each voxel it is the plane that touches it there, raised by
    what the bend adds on average.

    indices: (M, 3); normals: (M, 3) unit, outward, in axes of the grid; starts: (M, 3) start of the axis from each
    voxel's centre, direction: (3,), both in axes of the grid, mm; occupancy: in file order; spacing: (3,) mm.
    """
    count = len(indices)
    out = np.empty((count, 8))
    best, tried, basis, gradient, step = np.empty(6), np.empty(6), np.empty(6), np.empty(6), np.empty(6)
    base, kept, squares, kept_squares, root = (
        np.empty(6),
        np.empty(6),
        np.empty((6, 6)),
        np.empty((6, 6)),
        np.empty((6, 6)),
    )
    first, second, width, turned = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for m in range(count):
        normal = normals[m]
        least = 0
        for a in range(1, 3):
            if abs(normal[a]) < abs(normal[least]):
                least = a
        b, c = (least + 1) % 3, (least + 2) % 3
        size = np.sqrt(normal[b] ** 2 + normal[c] ** 2)
        first[least], first[b], first[c] = 0.0, normal[c] / size, -normal[b] / size
        for a in range(3):
            b, c = (a + 1) % 3, (a + 2) % 3
            second[a] = normal[b] * first[c] - normal[c] * first[b]
        spread_uu = spread_uv = spread_vv = 0.0  # variances of a voxel's points
        for a in range(3):
            spread_uu += first[a] * first[a] * spacing[a] ** 2 / 12
            spread_uv += first[a] * second[a] * spacing[a] ** 2 / 12
            spread_vv += second[a] * second[a] * spacing[a] ** 2 / 12
        across_u = across_v = 0.0  # the voxel's extents
        for a in range(3):
            across_u += abs(first[a]) * spacing[a]
            across_v += abs(second[a]) * spacing[a]
        least_apart, worst, filled, fullest = np.inf, 1.0, 0.0, 0.0
        for di in range(-1, 2):
            for dj in range(-1, 2):
                for dk in range(-1, 2):
                    i, j, k = indices[m, 0] + di, indices[m, 1] + dj, indices[m, 2] + dk
                    if 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]:
                        share = occupancy[(k * shape[1] + j) * shape[0] + i] / 255.0
                        filled, fullest = filled + share, max(fullest, share)
        for begin in range(2):  # from the voxel's centre, then from where as much lies behind the plane
            tried[:] = 0.0
            if begin == 1:
                for a in range(3):
                    tried[0] += 3 * spacing[a] * abs(normal[a]) * (filled / 27 - 0.5)
            apart, damping = np.inf, 1e-4
            for turn in range(FITS):
                squares[:], gradient[:] = 0.0, 0.0
                now, worst_now = 0.0, 0.0
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        for dk in range(-1, 2):
                            u = v = height = 0.0
                            for a in range(3):
                                place = spacing[a] * (di if a == 0 else dj if a == 1 else dk)
                                u += place * first[a]
                                v += place * second[a]
                                height += place * normal[a]
                            basis[0], basis[1], basis[2] = 1.0, u, v
                            basis[3], basis[4], basis[5] = u * u + spread_uu, u * v + spread_uv, v * v + spread_vv
                            surface = 0.0
                            for k in range(6):
                                surface += tried[k] * basis[k]
                            slope_u = tried[1] + 2 * tried[3] * u + tried[4] * v
                            slope_v = tried[2] + tried[4] * u + 2 * tried[5] * v
                            size = np.sqrt(1.0 + slope_u * slope_u + slope_v * slope_v)
                            total = 0.0
                            for a in range(3):
                                turned[a] = (normal[a] - slope_u * first[a] - slope_v * second[a]) / size
                                total += spacing[a] * abs(turned[a])
                            for a in range(3):
                                width[a] = max(spacing[a] * abs(turned[a]), 1e-3 * total)
                            total = width[0] + width[1] + width[2]
                            z = min(max((surface - height) / size + total / 2, 0.0), total)
                            volume, area = z**3, z * z
                            for a in range(3):
                                one = max(z - width[a], 0.0)
                                two = max(z - width[a] - width[(a + 1) % 3], 0.0)
                                volume += two**3 - one**3
                                area += two * two - one * one
                            box = 6 * width[0] * width[1] * width[2]
                            area *= 3 / (box * size)
                            i, j, k = indices[m, 0] + di, indices[m, 1] + dj, indices[m, 2] + dk
                            share = 0.0
                            if 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]:
                                share = occupancy[(k * shape[1] + j) * shape[0] + i] / 255.0
                            rest = share - volume / box
                            now += rest * rest
                            worst_now = max(worst_now, abs(rest))
                            for k in range(6):
                                gradient[k] += area * basis[k] * rest
                                for n in range(k + 1):
                                    squares[k, n] += area * area * basis[k] * basis[n]
                for k in range(3, 6):
                    now += (PRIOR * rooms[0] * tried[k]) ** 2
                    gradient[k] -= (PRIOR * rooms[0]) ** 2 * tried[k]
                    squares[k, k] += (PRIOR * rooms[0]) ** 2
                if now < apart:
                    done = turn > 0 and apart - now < 1e-8
                    apart, damping = now, max(damping * 0.1, 1e-7)
                    base[:], kept[:], kept_squares[:] = tried, gradient, squares
                    if now < least_apart:
                        least_apart, worst = now, worst_now
                        best[:] = tried
                    if done:
                        break
                else:
                    damping *= 30.0
                    if damping > 1e3:
                        break
                root[:] = kept_squares
                for k in range(6):  # Cholesky's decomposition, and the step that it gives
                    root[k, k] += damping * (1.0 + kept_squares[k, k])
                    for n in range(k + 1):
                        value = root[k, n]
                        for q in range(n):
                            value -= root[k, q] * root[n, q]
                        root[k, n] = np.sqrt(max(value, 1e-12)) if n == k else value / root[n, n]
                for k in range(6):
                    value = kept[k]
                    for q in range(k):
                        value -= root[k, q] * step[q]
                    step[k] = value / root[k, k]
                for k in range(5, -1, -1):
                    value = step[k]
                    for q in range(k + 1, 6):
                        value -= root[q, k] * step[q]
                    step[k] = value / root[k, k]
                for k in range(6):
                    tried[k] = base[k] + step[k]
            if worst < FITTED:
                break
        for room in range(2):  # the patch's nearest point: by steps that halve, then by Newton's method
            u = v = 0.0
            room_u, room_v = min(rooms[room], across_u), min(rooms[room], across_v)
            nearest, reach, turn = np.inf, 0.5, 0
            while turn < STEPS + 12:
                moved = False
                for way in range(5 if turn < STEPS else 1):
                    new_u, new_v = u, v
                    if turn >= STEPS:
                        new_u, new_v = u + step[0], v + step[1]
                    elif way > 0:
                        new_u += reach * room_u * (1 if way == 1 else -1 if way == 2 else 0)
                        new_v += reach * room_v * (1 if way == 3 else -1 if way == 4 else 0)
                    new_u, new_v = min(max(new_u, -room_u), room_u), min(max(new_v, -room_v), room_v)
                    surface = best[0] + best[1] * new_u + best[2] * new_v
                    surface += best[3] * new_u * new_u + best[4] * new_u * new_v + best[5] * new_v * new_v
                    slope_u = best[1] + 2 * best[3] * new_u + best[4] * new_v
                    slope_v = best[2] + best[4] * new_u + 2 * best[5] * new_v
                    along = 0.0
                    for a in range(3):
                        turned[a] = new_u * first[a] + new_v * second[a] + surface * normal[a] - starts[m, a]
                        along += turned[a] * direction[a]
                    free = 1.0 if 0.0 < along < length else 0.0
                    along = min(max(along, 0.0), length)
                    away = g_u = g_v = axis_u = axis_v = up = 0.0
                    for a in range(3):
                        turned[a] -= along * direction[a]
                        over_u, over_v = first[a] + slope_u * normal[a], second[a] + slope_v * normal[a]
                        away += turned[a] * turned[a]
                        g_u += turned[a] * over_u
                        g_v += turned[a] * over_v
                        axis_u += direction[a] * over_u
                        axis_v += direction[a] * over_v
                        up += turned[a] * normal[a]
                    if away < nearest:
                        moved = nearest - away > 1e-14 * away
                        nearest, u, v = away, new_u, new_v
                        h_uu = 1.0 + slope_u * slope_u + 2 * best[3] * up - free * axis_u * axis_u
                        h_uv = slope_u * slope_v + best[4] * up - free * axis_u * axis_v
                        h_vv = 1.0 + slope_v * slope_v + 2 * best[5] * up - free * axis_v * axis_v
                        determinant = h_uu * h_vv - h_uv * h_uv
                        if determinant > 1e-9 and h_uu > 0.0:
                            step[0] = (h_uv * g_v - h_vv * g_u) / determinant
                            step[1] = (h_uv * g_u - h_uu * g_v) / determinant
                        else:
                            step[0], step[1] = 0.0, 0.0
                        if moved:
                            break
                if not moved:
                    turn += 1 if turn < STEPS else STEPS + 12
                    reach /= 2
                elif turn >= STEPS:
                    turn += 1
            out[m, room] = np.sqrt(nearest)
        out[m, 2] = worst
        # K the curvatures, S = 12 times the voxel's variances: largest eigenvalues of K root(S) and of K S
        spread = np.sqrt(max(spread_uu * spread_vv - spread_uv * spread_uv, 0.0))
        scale = np.sqrt(12.0 / (spread_uu + spread_vv + 2 * spread))
        for power in range(2):
            w_uu = scale * (spread_uu + spread) if power == 0 else 12.0 * spread_uu
            w_uv = scale * spread_uv if power == 0 else 12.0 * spread_uv
            w_vv = scale * (spread_vv + spread) if power == 0 else 12.0 * spread_vv
            middle = best[3] * w_uu + best[4] * w_uv + best[5] * w_vv
            apart = middle * middle - (4 * best[3] * best[5] - best[4] ** 2) * (w_uu * w_vv - w_uv * w_uv)
            out[m, 3 + 4 * power] = abs(middle) + np.sqrt(max(apart, 0.0))
        least_side = most = size = reach = 0.0
        for a in range(3):
            value = normal[a] - best[1] * first[a] - best[2] * second[a]
            size += value * value
            reach += spacing[a] * abs(value) / 2
            value = abs(value) * spacing[a]
            least_side, most = (most, value) if value > most else (max(least_side, value), most)
        out[m, 4] = least_side / most
        out[m, 5] = max(-(best[0] + reach) / np.sqrt(size), 0.0)
        out[m, 6] = fullest
    return out
