"""A training block found in a scan of it, by the balls in its pits; refused where it is not surely this block.

Balls are bright blobs of a ball's volume. Which is which follows from their distances alone: three of them give a rigid
map, which the others bear out or not. A mirrored block fits a mirrored map, and is told so. Each ball's middle is then
found by a model of the voxels about it: ball, block with its pit, and air.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from navplan.errors import GeometryError, InputError, MismatchError
from navplan.geometry.landmarks import LandmarkFit, fit_landmarks
from navplan.geometry.transform import Transform
from navplan.imaging.block_solid import PIT_MM
from navplan.model.block import BLOCK, BlockMark, TrainingBlock
from navplan.model.volume import Volume

SCAN = "scan"
VOXELS_ACROSS = 2.5  # of a ball, at least, along each axis of the scan
BRIGHTER = 300.0  # than the block's material, least (in the scan's unit)
LEVEL = 0.4  # of the way from the block's material to the brightest ball, above which a voxel is of a ball
SMALLEST, LARGEST = 0.3, 2.5  # of a ball's volume, that a blob may have
NEAR_MM = 1.5  # of its place, that a ball is taken for one of the block's
LEFT_MM = 0.6  # at most left over (root mean square) by the map: else it is another block, or printed at another size
MOST_BLOBS = 40
SIZES = (0.99, 1.01, 0.98, 1.02, 0.97, 1.03, 0.96, 1.04, 0.95, 1.05)  # of a print, that are told
AROUND_MM = 2.0  # about a ball, that is modelled
WITHIN_MM, EDGE_MM = 0.45, 0.15  # of samples in a voxel; of an edge
BLUR_MM = 0.4  # of the scan, to begin with
_POINTS = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockFound:
    """A block in a scan. found_mm: (N, 3) the balls' middles, scan's LPS mm, in the block's order; fit: scan from
    block, with what is left over; scale: by which the found ones lie wider apart than the block's."""

    block: TrainingBlock
    found_mm: _POINTS
    fit: LandmarkFit
    scale: float

    @property
    def scan_from_block(self) -> Transform:
        """Where the block lies."""
        return Transform(self.fit.matrix, SCAN, BLOCK, origin="balls of the block", expected_error_mm=self._most_mm)

    @property
    def patient_from_scan(self) -> Transform:
        """The scan in the frame of the plan's image."""
        return self.block.transform @ self.scan_from_block.inverse()

    @property
    def _most_mm(self) -> float:
        ways = [place for way in self.block.ways for place in (way.top_mm, way.tip_mm)]
        places = self.fit.matrix[:3, :3] @ np.asarray(ways or [self.block.size_mm]).T + self.fit.matrix[:3, 3:]
        return float(self.fit.error_mm(places.T).max())

    @property
    def words(self) -> str:
        """What was found."""
        return (
            f"block {self.block.id}: all {len(self.found_mm)} balls, {self.fit.fre_mm:.2f} mm left over, expected error"
            f" along its ways at most {self._most_mm:.2f} mm"
        )


def find_block(volume: Volume, block: TrainingBlock) -> BlockFound:
    """The block in a scan of it with balls in all its pits.

    Raises InputError for a scan too coarse to tell the balls, or without anything as bright; MismatchError for a
    mirrored block, one without all its balls (it says how many were found, and which are missing), another block, and
    one printed at another size.
    """
    spacing = float(volume.grid.spacing_mm.max())
    if spacing * VOXELS_ACROSS > block.ball_mm:
        raise InputError(
            f"a scan with voxels of {spacing:.2g} mm",
            f"at most {block.ball_mm / VOXELS_ACROSS:.2g} mm along each axis, for balls of {block.ball_mm:g} mm",
            "Scan it with thinner slices, or a smaller field of view",
        )  # fmt: skip
    blobs = _blobs(volume, block.ball_mm)
    balls = block.balls_mm
    pairs, matrix = _paired(balls, blobs)
    if len(pairs) < len(balls):
        mirror = balls * (-1.0, 1.0, 1.0)
        mirrored, _ = _paired(mirror, blobs)
        if len(mirrored) > max(len(pairs), 3):
            raise MismatchError(
                f"a mirrored block: {len(mirrored)} of its {len(balls)} balls lie as in a mirror",
                f"block {block.id} as it is",
                "Was the STL or the scan mirrored? Nothing measured on it counts",
            )  # fmt: skip
        sized = _sized(balls, blobs)
        if sized:
            raise _of_another_size(block, sized)
        if len(pairs) >= 4:
            missing = [name for n, name in enumerate(block.names) if n not in pairs]
            raise MismatchError(
                f"{len(pairs)} of {len(balls)} balls of block {block.id}; missing: {', '.join(missing)}",
                "all of them", "Put a ball into each pit, and scan the whole block",
            )  # fmt: skip
        raise MismatchError(
            f"{len(blobs)} things as bright and large as a ball, {len(pairs)} of which lie as balls of {block.id}",
            "the block itself", "Another block? Its id stands on its sheet",
        )  # fmt: skip
    found = np.stack([
        _middle(volume, blobs[pairs[n]], block.ball_mm, mark, matrix[:3, :3])
        for n, mark in enumerate(block.marks)
    ])  # fmt: skip
    try:
        fit = fit_landmarks(found, balls)
    except GeometryError as error:
        raise MismatchError(f"balls that give no map ({error.received})", f"block {block.id}") from error
    scale = _spread(found) / _spread(balls)
    if fit.fre_mm > LEFT_MM:
        if fit_landmarks(found, balls * scale).fre_mm < 0.5 * fit.fre_mm:
            raise _of_another_size(block, scale)
        raise MismatchError(
            f"a block of which {fit.fre_mm:.2f} mm are left over", f"block {block.id}, at most {LEFT_MM:g} mm",
            "Check that every ball sits in its pit",
        )  # fmt: skip
    return BlockFound(block, found, fit, scale)


def _of_another_size(block: TrainingBlock, scale: float) -> MismatchError:
    return MismatchError(
        f"a block printed at {100 * scale:.1f} %", f"block {block.id} at 100 %", "Print it again, without scaling"
    )


def _spread(points: _POINTS) -> float:
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum()))


def _blobs(volume: Volume, ball_mm: float) -> _POINTS:
    """(K, 3) middles of what is as bright and as large as a ball, LPS mm. Raises InputError where nothing is."""
    voxels = np.asarray(volume.voxels)
    smooth = ndimage.uniform_filter(voxels[::2, ::2, ::2].astype(np.float32), 2)
    low, high = (float(one) for one in np.percentile(smooth, [2.0, 99.9]))
    dense = smooth[smooth > 0.5 * (low + high)] if high > low else smooth
    material, top = float(np.median(dense)), float(np.percentile(voxels, 100.0 * (1.0 - _share(volume, ball_mm))))
    nothing = InputError(
        f"a scan in which nothing is {BRIGHTER:g} brighter than the block's material ({material:.0f})",
        "balls of glass, ceramic or steel in the block's pits",
    )
    if top - material < BRIGHTER:
        raise nothing
    labels, count = ndimage.label(voxels > material + LEVEL * (top - material))
    if not count:
        raise nothing
    ball_voxels = np.pi / 6.0 * ball_mm**3 / float(volume.grid.spacing_mm.prod())
    sizes = np.bincount(labels.ravel())[1:]
    kept = [n for n in np.argsort(-sizes) + 1 if SMALLEST * ball_voxels <= sizes[n - 1] <= LARGEST * ball_voxels]
    if len(kept) > MOST_BLOBS:
        raise InputError(f"{len(kept)} things as bright and large as a ball", f"at most {MOST_BLOBS}")
    if not kept:
        return np.zeros((0, 3))
    above = np.maximum(voxels.astype(np.float32) - material, 0.0)
    return volume.grid.points_mm(np.asarray(ndimage.center_of_mass(above, labels, kept)))


def _share(volume: Volume, ball_mm: float) -> float:
    """Of the scan's voxels that the inner half of one ball fills."""
    ball = 0.5 * np.pi / 6.0 * ball_mm**3 / float(volume.grid.spacing_mm.prod())
    return float(np.clip(ball / volume.voxels.size, 1e-9, 0.01))


def _paired(balls: _POINTS, blobs: _POINTS) -> tuple[dict[int, int], NDArray[np.float64]]:
    """Which blob is which ball, for as many balls as one rigid map brings there, and that map (4, 4)."""
    best: tuple[dict[int, int], NDArray[np.float64], float] = ({}, np.eye(4), np.inf)
    if len(blobs) < 3:
        return best[0], best[1]
    between = cdist(blobs, blobs)
    for three in combinations(range(len(balls)), 3):
        a, b, c = (balls[n] for n in three)
        ab, ac, bc = (np.linalg.norm(one - two) for one, two in ((a, b), (a, c), (b, c)))
        for i, j in np.argwhere(np.abs(between - ab) < NEAR_MM):
            for k in np.flatnonzero((np.abs(between[i] - ac) < NEAR_MM) & (np.abs(between[j] - bc) < NEAR_MM)):
                if len({int(i), int(j), int(k)}) < 3:
                    continue
                try:
                    matrix = fit_landmarks(blobs[[i, j, k]], balls[list(three)]).matrix
                except GeometryError:
                    continue
                pairs, left = _borne_out(balls, blobs, matrix)
                if (len(pairs), -left) > (len(best[0]), -best[2]):
                    best = (pairs, matrix, left)
        if len(best[0]) == len(balls):
            break
    pairs = best[0]
    if len(pairs) < 4:
        return pairs, best[1]
    matrix = fit_landmarks(blobs[list(pairs.values())], balls[list(pairs)]).matrix
    again, _ = _borne_out(balls, blobs, matrix)
    return (again, matrix) if len(again) >= len(pairs) else (pairs, matrix)


def _sized(balls: _POINTS, blobs: _POINTS) -> float:
    """The size of a print that all balls fit, 0 for none."""
    for size in SIZES:
        pairs, _ = _paired(balls * size, blobs)
        if len(pairs) == len(balls):
            return _spread(blobs[[pairs[n] for n in range(len(balls))]]) / _spread(balls)
    return 0.0


def _borne_out(balls: _POINTS, blobs: _POINTS, matrix: NDArray[np.float64]) -> tuple[dict[int, int], float]:
    apart = cdist(balls @ matrix[:3, :3].T + matrix[:3, 3], blobs)
    nearest = apart.argmin(axis=1)
    near = apart[np.arange(len(balls)), nearest] < NEAR_MM
    pairs = {int(n): int(nearest[n]) for n in np.flatnonzero(near)}
    if len(set(pairs.values())) < len(pairs):
        return {}, np.inf
    return pairs, float(np.sqrt((apart.min(axis=1)[near] ** 2).mean())) if pairs else np.inf


def _middle(
    volume: Volume, start_mm: _POINTS, ball_mm: float, mark: BlockMark, turn: NDArray[np.float64]
) -> _POINTS:
    """(3,) the middle of a ball near start_mm. turn: (3, 3) scan from block.

    What a voxel holds is modelled: ball, block and air on a finer grid, blurred alike, and averaged in each voxel; the
    three values follow by least squares, the middle and the blur by search. Voxels at the scan's largest value are left
    out: a ball of steel is brighter than the scan can tell.
    """
    grid, radius = volume.grid, ball_mm / 2.0
    around = radius + AROUND_MM
    middle = np.rint(grid.indices(start_mm)).astype(int)
    reach = np.ceil(around / grid.spacing_mm).astype(int)
    first, last = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, grid.shape)
    voxels = volume.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].astype(np.float64)
    counts = np.ceil(grid.spacing_mm / WITHIN_MM).astype(int)
    axes = [a + (np.arange((b - a) * n) + 0.5) / n - 0.5 for a, b, n in zip(first, last, counts, strict=True)]
    fine = grid.points_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    points = (fine - start_mm) @ turn  # along the block's axes, from the start
    centres = _averaged(fine[..., 0], counts), _averaged(fine[..., 1], counts), _averaged(fine[..., 2], counts)
    near = np.linalg.norm(np.stack(centres, axis=-1) - start_mm, axis=-1) < around
    near &= voxels < float(volume.voxels.max())
    values = voxels[near]
    out = np.asarray(mark.out)
    pit = np.asarray(mark.pit_mm) - np.asarray(mark.ball_mm)  # of a ball at the origin
    width = grid.spacing_mm / counts

    def left(unknown: NDArray[np.float64]) -> NDArray[np.float64]:
        offset = points - unknown[:3]
        ball = ndtr((radius - np.linalg.norm(offset, axis=-1)) / EDGE_MM)
        deep = offset - pit
        along = deep @ out
        aside = np.sqrt(np.maximum((deep**2).sum(axis=-1) - along**2, 0.0))
        material = np.maximum(along - PIT_MM, (along - aside) * np.sqrt(0.5))  # a face with a cone of 90 degrees
        plastic = (1.0 - ball) * ndtr(-material / EDGE_MM)
        sigma = float(np.exp(unknown[3])) / width
        blurred = (ndimage.gaussian_filter(one, sigma, mode="nearest") for one in (ball, plastic))
        shares = [_averaged(one, counts)[near] for one in blurred]
        design = np.stack([*shares, np.ones(len(values))], axis=1)
        return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])

    begin = np.array([0.0, 0.0, 0.0, np.log(BLUR_MM)])
    bounds = ([-2.0, -2.0, -2.0, np.log(0.05)], [2.0, 2.0, 2.0, np.log(2.0)])
    found = least_squares(left, begin, bounds=bounds, x_scale=(0.1, 0.1, 0.1, 0.2), xtol=1e-4, ftol=1e-5, max_nfev=25)
    return np.asarray(start_mm + turn @ found.x[:3])


def _averaged(fine: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(i, j, k) of an array with so many samples along each axis of a voxel."""
    i, j, k = (size // n for size, n in zip(fine.shape, counts, strict=True))
    return np.asarray(fine.reshape(i, counts[0], j, counts[1], k, counts[2]).mean(axis=(1, 3, 5)))
