"""What moved by itself: by how much each part of the body lies off from where a map takes it, with a bound.

Blocks of the body (navplan.imaging.fusion_blocks) are each shifted alone. What the images say of a shift is held
against what they say of the neighbours' (belief propagation on the lattice of blocks, as in Heinrich et al., IEEE TMI
32:1239, 2013, here with all beliefs kept, not the best ones alone): near parts move alike, and seldom not at all alike.
A block without contrast knows what its neighbours leave open, and no more; one without neighbours that know, nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.imaging.fusion_blocks import REACH, STEP_MM, Blocks, PointMap, blocks_of, within_reach
from navplan.imaging.fusion_images import FusionImage

# Set on phantoms with the seeds that docs/decisions/0025 names; reported on others.
INDEPENDENT = 0.05  # of a block's voxels: what they say together
NEIGHBOUR_MM = 5.0  # standard deviation of neighbours' shifts from one another; fitted to the images it came out small
# where most is still, and a quarter of the places that moved were told too little
SELDOM = 0.05  # of pairs of neighbours: not alike at all (where organs slide)
ROUNDS = 4
WIDER = 1.5  # standard deviations that the bound lies beyond the mean shift
ALONE = 0.5  # of the standard deviation that a block's own contrast leaves: what neighbours say of it is a guess
UNEVEN = 0.5  # of the largest difference to a neighbour: what changes within a block
KNOWN_MM = 3.0  # standard deviation up to which a block's shift is known
FEWEST_KNOWN = 8
RULED_OUT = 0.2  # of the shifts, as a tenth as likely or less: else a block tells nothing
MOST_SEEN = 0.7  # of the shifts that have to leave a block in both images
GROWTH = 0.15  # mm by mm away from the nearest block
POWER = 4.0  # of the mean between blocks: near their largest


@dataclass(frozen=True, eq=False)
class LocalShifts:
    """shift_mm: (nx, ny, nz, 3) by how much a block's part of the moving image lies off, along the axes of the sampled
    image; spread_mm: (nx, ny, nz) its standard deviation in the worst direction; alone_mm: the same by what the block
    itself shows, without its neighbours; beyond: (nx, ny, nz) share of belief
    at the end of what was searched; there: which are blocks; tells:
    which of them both images show; grid: of their middles."""

    shift_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]
    alone_mm: NDArray[np.float64]
    beyond: NDArray[np.float64]
    there: NDArray[np.bool_]
    tells: NDArray[np.bool_]
    grid: Grid

    @cached_property
    def bound_mm(self) -> NDArray[np.float64]:
        """(nx, ny, nz) within which 95 of 100 points of a block lie: its shift, its spread, by how much neighbours
        differ, more where its own contrast says little or it may lie beyond what was searched; of a block that tells
        nothing no less than the nearest telling one's, and more with distance."""
        size = np.linalg.norm(self.shift_mm, axis=-1)
        bound = size + WIDER * self.spread_mm + UNEVEN * self.change_mm + ALONE * self.alone_mm
        bound = bound + self.beyond * REACH * STEP_MM
        if not self.tells.any():
            return np.full(bound.shape, 2 * REACH * STEP_MM)
        away, nearest = ndimage.distance_transform_edt(
            ~self.tells, sampling=self.grid.spacing_mm, return_indices=True
        )
        carried = bound[tuple(nearest)] + GROWTH * away
        return np.asarray(np.where(self.there, np.maximum(bound, carried), carried))

    @cached_property
    def change_mm(self) -> NDArray[np.float64]:
        """(nx, ny, nz) by how much a block's shift differs at most from those of its neighbours."""
        most = np.zeros(self.there.shape)
        for axis in range(3):
            before, after = (np.arange(self.there.shape[axis] - 1) + one for one in (0, 1))
            differ = np.linalg.norm(np.diff(self.shift_mm, axis=axis), axis=-1)
            differ[~(np.take(self.there, before, axis) & np.take(self.there, after, axis))] = 0.0
            for part in (before, after):
                index = [slice(None)] * 3
                index[axis] = slice(part[0], part[-1] + 1) if len(part) else slice(0, 0)
                most[tuple(index)] = np.maximum(most[tuple(index)], differ)
        return most

    @property
    def known(self) -> NDArray[np.bool_]:
        """(nx, ny, nz) which blocks the images tell the shift of."""
        return np.asarray(self.tells & (self.spread_mm <= KNOWN_MM))

    def largest_mm(self, share: float = 0.95) -> float | None:
        """By how much, less their spread, a share of the known blocks lies off at most; None with too few of them."""
        known = self.known
        if np.count_nonzero(known) < FEWEST_KNOWN:
            return None
        sure = np.maximum(np.linalg.norm(self.shift_mm, axis=-1) - self.spread_mm, 0.0)
        return float(np.quantile(sure[known], share))

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) the bound at points (K, 3), LPS mm of the sampled image: a mean by the fourth power of the blocks
        around, which lies near the largest of them."""
        at = self.grid.indices(np.atleast_2d(np.asarray(points_mm, dtype=np.float64)))
        held = np.clip(at, 0, np.asarray(self.grid.shape) - 1)
        away = np.linalg.norm((at - held) * self.grid.spacing_mm, axis=1)
        mean = ndimage.map_coordinates(self.bound_mm**POWER, held.T, order=1, mode="nearest")
        return np.asarray(mean ** (1 / POWER) + GROWTH * away)


def local_shifts(sampled: FusionImage, other: FusionImage, other_from_sampled: PointMap) -> LocalShifts | None:
    """Of two images made ready for fusion, and any map of points (N, 3), LPS mm, between them: in the frame of the
    first one. None where it holds no block of a body. Take the image that shows less first (`FusionPair.turned`): a
    block that the other one shows in part tells little."""
    blocks = blocks_of(sampled, other, other_from_sampled)
    return None if blocks is None else settled(blocks)


def settled(blocks: Blocks) -> LocalShifts:
    """The shifts of blocks, each by what it shows and by its neighbours."""
    there = blocks.voxels > 0
    evidence, tells = _evidence(blocks, there)
    beliefs = _beliefs(evidence, there)
    off = blocks.shifts * STEP_MM
    mean, spread = _middle_and_spread(beliefs, off)
    alone = _middle_and_spread(evidence / evidence.sum(axis=1, keepdims=True), off)[1]
    rim = (blocks.shifts**2).sum(axis=1) >= (REACH - 0.5) ** 2
    shift_mm = np.zeros((*there.shape, 3))
    spread_mm, alone_mm, beyond = (np.zeros(there.shape) for _ in range(3))
    shift_mm[there], spread_mm[there], alone_mm[there] = mean, spread, alone
    beyond[there] = beliefs[:, rim].sum(axis=1)
    told = np.zeros(there.shape, dtype=bool)
    told[there] = tells
    return LocalShifts(shift_mm, spread_mm, alone_mm, beyond, there, told, blocks.grid)


def _middle_and_spread(
    beliefs: NDArray[np.float32], off_mm: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B, 3) means of shifts (S, 3), and (B,) standard deviations in the worst direction, by beliefs (B, S)."""
    mean = beliefs @ off_mm
    second = np.einsum("bs,si,sj->bij", beliefs, off_mm, off_mm, optimize=True)
    spread = second - mean[:, :, None] * mean[:, None, :]
    return np.asarray(mean), np.sqrt(np.maximum(np.linalg.eigvalsh(spread)[:, -1], 0.0))


def _evidence(blocks: Blocks, there: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(B, S) what each block shows: the likelihood of each shift by its most likely one; a shift under which too little
    is shown counts as the middle of the others. (B,) which blocks tell anything: most shifts leave them in both
    images, and none too, and some are ruled out; the others would be told to lie where they can be seen."""
    told = blocks.information[there] * (blocks.voxels[there] * INDEPENDENT)[:, None]
    near = within_reach(blocks.shifts)
    still = int(np.flatnonzero((blocks.shifts == 0).all(axis=1))[0])
    seen = np.isfinite(told)
    tells = (seen[:, near].mean(axis=1) >= MOST_SEEN) & seen[:, still]
    told[~tells] = 0.0
    clear = told - np.nanmax(np.where(near, told, np.nan), axis=1, keepdims=True) < np.log(0.1)
    seen |= ~tells[:, None]
    middle = np.nanmedian(np.where(seen, told, np.nan), axis=1, keepdims=True)
    told = np.where(seen, told, middle)
    likely = np.exp(told - told[:, near].max(axis=1, keepdims=True))
    likely[:, ~near] = 0.0
    return np.asarray(likely, dtype=np.float32), np.asarray(tells & (clear[:, near].mean(axis=1) >= RULED_OUT))


def _beliefs(evidence: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(B, S) after ROUNDS of messages between neighbours."""
    side = 2 * REACH + 1
    number = np.full(np.asarray(there.shape) + 2, -1)
    number[1:-1, 1:-1, 1:-1][there] = np.arange(np.count_nonzero(there))
    ways = [(axis, step) for axis in range(3) for step in (1, -1)]
    neighbours = [np.roll(number, -step, axis)[1:-1, 1:-1, 1:-1][there] for axis, step in ways]
    ticks = np.arange(side) * STEP_MM
    alike = np.exp(-((ticks[:, None] - ticks) ** 2) / (2 * NEIGHBOUR_MM**2)).astype(np.float32)
    alike /= alike.sum(axis=0)
    messages = [np.full(evidence.shape, 1.0, dtype=np.float32) for _ in ways]  # to each block, from its neighbour

    def spread(beliefs: NDArray[np.float32]) -> NDArray[np.float32]:
        cube = beliefs.reshape(-1, side, side, side)
        for _ in range(3):  # along the three axes by turns
            cube = np.einsum("ak,bijk->baij", alike, cube, optimize=True)
        return np.asarray(cube.reshape(beliefs.shape))

    for _ in range(ROUNDS):
        every = evidence * np.prod(messages, axis=0)
        renewed = []
        for n, neighbour in enumerate(neighbours):
            given = np.ones_like(evidence)
            has = neighbour >= 0
            from_block = neighbour[has]
            sent = every[from_block] / np.maximum(messages[n ^ 1][from_block], 1e-12)  # but what came from here
            sent /= np.maximum(sent.sum(axis=1, keepdims=True), 1e-30)
            given[has] = (1 - SELDOM) * spread(sent) * sent.shape[1] + SELDOM
            renewed.append(given)
        messages = renewed
    found = evidence * np.prod(messages, axis=0)
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-30))
