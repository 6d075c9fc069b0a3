"""How much one image tells of another under an affine map, with its gradient: mutual information of a joint histogram.

As in Mattes et al., IEEE TMI 22:120 (2003), and Thevenaz and Unser, IEEE TIP 9:2083 (2000): the sampled image falls
into whole bins, the other one is spread over four by a cubic B-spline, so that the histogram can be derived by the map.
Normalised (Studholme et al., Pattern Recognit 32:71, 1999): (H1 + H2) / H12, which a changing overlap moves little.
Parts of a fixed size, summed in a fixed order: the same input gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.imaging.fusion_images import BINS, PAD, FusionImage

FEWEST_INSIDE = 100  # points in both images
PART, MOST_PARTS = 50_000, 4  # points that one thread takes at least; parts at most
AT_ONCE = 256  # maps


@dataclass(frozen=True)
class Likeness:
    """normalised: mutual information, 1 (none) to 2; overlap: share of the sampled points that the other image
    shows; gradient: (3, 4) of normalised by the map's rows."""

    normalised: float
    overlap: float
    gradient: NDArray[np.float64]


@compiled()
def _histogram(maps, edges, points, bins, values, known, at):  # type: ignore[no-untyped-def]
    """Of parts (P, 2) of the points under maps (P, 3, 4): joint histograms (P, size, size) and how many points the
    other image shows (P,); into at (N, 3), unless it is empty, the index in it, -1 where it shows nothing."""
    size = BINS + 2 * PAD
    joint = np.zeros((edges.shape[0], size, size))
    count = np.zeros(edges.shape[0])
    ni, nj, nk = values.shape
    for part in range(edges.shape[0]):
        rows = maps[part]
        for n in range(edges[part, 0], edges[part, 1]):
            x, y, z = points[n, 0], points[n, 1], points[n, 2]
            u = rows[0, 0] * x + rows[0, 1] * y + rows[0, 2] * z + rows[0, 3]
            v = rows[1, 0] * x + rows[1, 1] * y + rows[1, 2] * z + rows[1, 3]
            w = rows[2, 0] * x + rows[2, 1] * y + rows[2, 2] * z + rows[2, 3]
            if at.size:
                at[n, 0] = -1.0
            if not (0.0 <= u < ni - 1 and 0.0 <= v < nj - 1 and 0.0 <= w < nk - 1):
                continue
            i, j, k = int(u), int(v), int(w)
            if not known[int(u + 0.5), int(v + 0.5), int(w + 0.5)]:
                continue
            a, b, c = u - i, v - j, w - k
            low = (values[i, j, k] * (1 - a) + values[i + 1, j, k] * a) * (1 - b) + (
                values[i, j + 1, k] * (1 - a) + values[i + 1, j + 1, k] * a
            ) * b
            high = (values[i, j, k + 1] * (1 - a) + values[i + 1, j, k + 1] * a) * (1 - b) + (
                values[i, j + 1, k + 1] * (1 - a) + values[i + 1, j + 1, k + 1] * a
            ) * b
            value = low * (1 - c) + high * c
            if at.size:
                at[n, 0], at[n, 1], at[n, 2] = u, v, w
            count[part] += 1
            first = int(value)
            t = value - first
            row = bins[n]
            joint[part, row, first - 1] += (1 - t) ** 3 / 6
            joint[part, row, first] += (3 * t**3 - 6 * t**2 + 4) / 6
            joint[part, row, first + 1] += (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
            joint[part, row, first + 2] += t**3 / 6
    return joint, count


@compiled()
def _slope(edges, points, bins, values, at, table):  # type: ignore[no-untyped-def]
    """(P, 3, 4) of parts (P, 2) of the points: the sum of the table's slope times the image's
    gradient (by index) times (point, 1)."""
    total = np.zeros((edges.shape[0], 3, 4))
    for part in range(edges.shape[0]):
        for n in range(edges[part, 0], edges[part, 1]):
            u, v, w = at[n, 0], at[n, 1], at[n, 2]
            if u < 0:
                continue
            i, j, k = int(u), int(v), int(w)
            a, b, c = u - i, v - j, w - k
            v000, v100 = values[i, j, k], values[i + 1, j, k]
            v010, v110 = values[i, j + 1, k], values[i + 1, j + 1, k]
            v001, v101 = values[i, j, k + 1], values[i + 1, j, k + 1]
            v011, v111 = values[i, j + 1, k + 1], values[i + 1, j + 1, k + 1]
            e00, e10 = v000 * (1 - a) + v100 * a, v010 * (1 - a) + v110 * a
            e01, e11 = v001 * (1 - a) + v101 * a, v011 * (1 - a) + v111 * a
            low, high = e00 * (1 - b) + e10 * b, e01 * (1 - b) + e11 * b
            du = ((v100 - v000) * (1 - b) + (v110 - v010) * b) * (1 - c) + (
                (v101 - v001) * (1 - b) + (v111 - v011) * b
            ) * c
            dv = (e10 - e00) * (1 - c) + (e11 - e01) * c
            dw = high - low
            value = low * (1 - c) + high * c
            first = int(value)
            t = value - first
            row = bins[n]
            pull = (
                -((1 - t) ** 2) / 2 * table[row, first - 1]
                + (3 * t**2 - 4 * t) / 2 * table[row, first]
                + (-3 * t**2 + 2 * t + 1) / 2 * table[row, first + 1]
                + t**2 / 2 * table[row, first + 2]
            )
            for axis in range(3):
                force = pull * (du if axis == 0 else dv if axis == 1 else dw)
                total[part, axis, 0] += force * points[n, 0]
                total[part, axis, 1] += force * points[n, 1]
                total[part, axis, 2] += force * points[n, 2]
                total[part, axis, 3] += force
    return total


@compiled()
def _forces(bins, values, at, table):  # type: ignore[no-untyped-def]
    """(N, 3) of each point: the table's slope times the image's gradient, by index."""
    found = np.zeros((bins.shape[0], 3))
    for n in range(bins.shape[0]):
        u, v, w = at[n, 0], at[n, 1], at[n, 2]
        if u < 0:
            continue
        i, j, k = int(u), int(v), int(w)
        a, b, c = u - i, v - j, w - k
        e00 = values[i, j, k] * (1 - a) + values[i + 1, j, k] * a
        e10 = values[i, j + 1, k] * (1 - a) + values[i + 1, j + 1, k] * a
        e01 = values[i, j, k + 1] * (1 - a) + values[i + 1, j, k + 1] * a
        e11 = values[i, j + 1, k + 1] * (1 - a) + values[i + 1, j + 1, k + 1] * a
        along = 0.0
        for y in range(2):
            for z in range(2):
                share = (b if y else 1 - b) * (c if z else 1 - c)
                along += share * (values[i + 1, j + y, k + z] - values[i, j + y, k + z])
        low, high = e00 * (1 - b) + e10 * b, e01 * (1 - b) + e11 * b
        value = low * (1 - c) + high * c
        first = int(value)
        t = value - first
        row = bins[n]
        pull = (
            -((1 - t) ** 2) / 2 * table[row, first - 1]
            + (3 * t**2 - 4 * t) / 2 * table[row, first]
            + (-3 * t**2 + 2 * t + 1) / 2 * table[row, first + 1]
            + t**2 / 2 * table[row, first + 2]
        )
        found[n, 0] = pull * along
        found[n, 1] = pull * ((e10 - e00) * (1 - c) + (e11 - e01) * c)
        found[n, 2] = pull * (high - low)
    return found


@dataclass(frozen=True, eq=False)
class _Compared:
    """normalised, overlap: as of Likeness; at, table: of the kernels, and the count of points in both images; None
    where too few are."""

    normalised: float
    overlap: float
    kernels: tuple[NDArray[np.float64], NDArray[np.float64], int] | None


def _parts(count: int) -> NDArray[np.int64]:
    """(P, 2) first and behind the last of so many points: as many parts on every machine, for the same bits."""
    parts = min(max(count // PART, 1), MOST_PARTS)
    edges = np.linspace(0, count, parts + 1).astype(np.int64)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _compared(
    points_mm: NDArray[np.float64], bins: NDArray[np.int32], other: FusionImage, rows: NDArray[np.float64]
) -> _Compared:
    at, edges = np.empty((len(points_mm), 3)), _parts(len(points_mm))
    maps = np.broadcast_to(rows, (len(edges), 3, 4))
    joints, counts = by_rows(_histogram, [maps, edges], points_mm, bins, other.values, other.known, at, least=1)
    joint, count = joints.sum(axis=0), int(counts.sum())
    overlap = count / max(len(points_mm), 1)
    if count < FEWEST_INSIDE:
        return _Compared(1.0, overlap, None)
    joint /= count
    first, second = joint.sum(axis=1), joint.sum(axis=0)
    log_joint, log_first, log_second = (_log(one) for one in (joint, first, second))
    entropies = -float(first @ log_first) - float(second @ log_second)
    together = -float((joint * log_joint).sum())
    if together <= 0:
        return _Compared(1.0, overlap, None)
    apart = log_first[:, None] + log_second[None, :]
    table = (entropies * log_joint - together * apart) / together**2
    return _Compared(entropies / together, overlap, (at, table, count))


def likenesses(
    points_mm: NDArray[np.float64], bins: NDArray[np.int32], other: FusionImage, maps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """normalised and overlap (M,) of `likeness`, of many maps (M, 4, 4)."""
    rows = np.ascontiguousarray((np.linalg.inv(other.grid.affine) @ maps)[:, :3])
    normalised, overlap = np.ones(len(maps)), np.zeros(len(maps))
    nothing = np.empty((0, 3))
    for first in range(0, len(maps), AT_ONCE):
        some = slice(first, min(first + AT_ONCE, len(maps)))
        edges = np.tile(np.array([0, len(points_mm)]), (len(rows[some]), 1))
        joint, count = by_rows(
            _histogram, [rows[some], edges], points_mm, bins, other.values, other.known, nothing, least=8
        )
        overlap[some] = count / max(len(points_mm), 1)
        joint /= np.maximum(count, 1)[:, None, None]
        alone = [joint.sum(axis=axis) for axis in (1, 2)]
        apart = -sum((one * _log(one)).sum(axis=1) for one in alone)
        together = -(joint * _log(joint)).sum(axis=(1, 2))
        told = (count >= FEWEST_INSIDE) & (together > 0)
        normalised[some][told] = apart[told] / together[told]
    return normalised, overlap


def likeness(
    points_mm: NDArray[np.float64],
    bins: NDArray[np.int32],
    other: FusionImage,
    other_from_sampled: NDArray[np.float64],
    with_gradient: bool = False,
) -> Likeness:
    """Of points (N, 3), LPS mm of the sampled image, in its bins (N,), to another image under a map (4, 4)."""
    to_index = np.linalg.inv(other.grid.affine)
    rows = np.ascontiguousarray((to_index @ other_from_sampled)[:3])
    found = _compared(points_mm, bins, other, rows)
    slope = np.zeros((3, 4))
    if with_gradient and found.kernels is not None:
        at, table, count = found.kernels
        slopes = by_rows(_slope, [_parts(len(points_mm))], points_mm, bins, other.values, at, table, least=1)
        slope = to_index[:3, :3].T @ (slopes.sum(axis=0) / count)
    return Likeness(found.normalised, found.overlap, slope)


def pulls(
    points_mm: NDArray[np.float64], bins: NDArray[np.int32], other: FusionImage,
    other_from_sampled: NDArray[np.float64],
) -> tuple[Likeness, NDArray[np.float64]]:  # fmt: skip
    """The likeness of points as `likeness` has it, and (N, 3) its gradient by the place of each of them, per mm in the
    frame of the points; 0 where the other image shows nothing."""
    rows = np.ascontiguousarray((np.linalg.inv(other.grid.affine) @ other_from_sampled)[:3])
    found = _compared(points_mm, bins, other, rows)
    forces = np.zeros((len(points_mm), 3))
    if found.kernels is not None:
        at, table, count = found.kernels
        by_index = _forces(bins, other.values, at, table)
        for axis in range(3):  # no matrix product: its sums depend on the number of threads
            forces[:, axis] = sum(by_index[:, row] * rows[row, axis] for row in range(3)) / count
    return Likeness(found.normalised, found.overlap, np.zeros((3, 4))), forces


def _log(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(share, 1e-12))
