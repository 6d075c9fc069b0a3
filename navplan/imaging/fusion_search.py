"""The map under which one image tells most of another: from many starts on coarse images to a few on fine ones.

Maps are optimised by L-BFGS with the analytic gradient of `navplan.imaging.fusion_metric`, in parameters that all have
the unit mm: a shift, and turns (or, affine, all of the linear part) times the radius of the sampled points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from navplan.imaging.fusion_images import FusionImage
from navplan.imaging.fusion_metric import likeness, likenesses

Matrix = NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")
SCALE = 1000.0  # of the normalised information: slopes of about 1 by mm
TINY = 1e-4  # mm, of the derivative of a map by its parameters
ENOUGH_OVERLAP = 0.6  # of the sampled points; below it a map counts for less
TURN_STEP_DEG, LARGEST_TURN_DEG = 16.0, 45.0
MOST_TRIED = 15_000  # maps of the search
CANDIDATES, FINALISTS = 14, 5  # of the search, optimised on coarse images; of those, at most so many on fine ones
NEAR_MM = 2.0  # results nearer than that are one
RIVAL = 0.85  # of the best score on coarse images: from there on a result is followed up
THREADS = 2


@dataclass(frozen=True, eq=False)
class Level:
    """sampled: the image whose points are carried; other: the one they are carried to; points and bins of it."""

    sampled: FusionImage
    other: FusionImage
    points_mm: NDArray[np.float64]
    bins: NDArray[np.int32]

    @staticmethod
    def of(sampled: FusionImage, other: FusionImage, count: int, seed: int = 1) -> Level:
        """With about `count` points."""
        points, bins = sampled.samples(count, seed)
        return Level(sampled, other, points, bins)

    def score(self, matrix: Matrix) -> float:
        """Normalised information above none, less where little is shared; for ranking."""
        found = likeness(self.points_mm, self.bins, self.other, matrix)
        return float(_ranked(found.normalised, found.overlap))


def _ranked(normalised: ArrayLike, overlap: ArrayLike) -> NDArray[np.float64]:
    share = np.minimum(1.0, np.asarray(overlap) / ENOUGH_OVERLAP)
    return np.asarray((np.asarray(normalised) - 1.0) * share)


def optimised(level: Level, start: Matrix, affine: bool = False, most: int = 40) -> Matrix:
    """The map other_from_sampled (4, 4) with the most information, near a start."""
    centre = level.points_mm.mean(axis=0)
    radius = float(np.sqrt(((level.points_mm - centre) ** 2).sum(axis=1).mean()))
    width = 12 if affine else 6

    def matrix_of(values: NDArray[np.float64]) -> Matrix:
        change = np.eye(4)
        if affine:
            change[:3, :3] += values[3:].reshape(3, 3) / radius
        else:
            change[:3, :3] = _turn(values[3:] / radius)
        moved = start.copy()
        moved[:3, :3] = change[:3, :3] @ start[:3, :3]
        moved[:3, 3] = start[:3, :3] @ centre + start[:3, 3] + values[:3] - moved[:3, :3] @ centre
        return moved

    def cost(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        here = matrix_of(values)
        found = likeness(level.points_mm, level.bins, level.other, here, True)
        slopes = np.empty(width)
        for n in range(width):
            step = np.zeros(width)
            step[n] = TINY
            slopes[n] = (found.gradient * (matrix_of(values + step) - here)[:3]).sum() / TINY
        return -SCALE * (found.normalised - 1.0), -SCALE * slopes

    found = minimize(
        cost, np.zeros(width), jac=True, method="L-BFGS-B", options={"maxiter": most, "ftol": 1e-8, "gtol": 1e-3}
    )
    return matrix_of(found.x)


def _turn(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation about a vector by its length, in radians (Rodrigues)."""
    angle = float(np.sqrt(vector @ vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-9:
        return np.asarray(np.eye(3) + cross)
    return np.asarray(np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * (cross @ cross))


def turns_about(limit_deg: float, step_deg: float) -> list[NDArray[np.float64]]:
    """Rotation vectors, degrees, on an even lattice within a ball, the smallest first."""
    ticks = np.arange(-np.floor(limit_deg / step_deg), np.floor(limit_deg / step_deg) + 1) * step_deg
    lattice = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    size = np.linalg.norm(lattice, axis=1)
    kept = lattice[size <= limit_deg + 1e-6]
    return list(kept[np.argsort(np.linalg.norm(kept, axis=1), kind="stable")])


def rigid_about(turn_deg: NDArray[np.float64], centre_mm: NDArray[np.float64], to_mm: NDArray[np.float64]) -> Matrix:
    """A turn that takes a centre to a place."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = to_mm - matrix[:3, :3] @ centre_mm
    return matrix


def searched(level: Level, turns: Sequence[NDArray[np.float64]], keep: int) -> list[Matrix]:
    """The best maps of a lattice of turns and of shifts about the two centres, apart from one another."""
    centre, to = level.sampled.centre_mm, level.other.centre_mm
    reach = np.abs(level.other.size_mm - level.sampled.size_mm) / 2 + 0.12 * level.other.size_mm
    step = 0.1 * float(level.sampled.size_mm.mean())
    while True:
        ticks = [np.arange(-np.floor(one / step), np.floor(one / step) + 1) * step for one in reach]
        if len(turns) * np.prod([len(one) for one in ticks]) <= MOST_TRIED:
            break
        step *= 1.15
    shifts = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    maps = np.repeat([rigid_about(turn, centre, to) for turn in turns], len(shifts), axis=0)
    maps[:, :3, 3] += np.tile(shifts, (len(turns), 1))
    scores = _ranked(*likenesses(level.points_mm, level.bins, level.other, maps))
    return distinct(level, [maps[n] for n in np.argsort(-scores, kind="stable")[: 20 * keep]], 0.6 * step, keep)


def apart(points_mm: NDArray[np.float64], first: Matrix, second: Matrix) -> NDArray[np.float64]:
    """(K,) how far two maps take points (K, 3) from each other, mm."""
    return np.asarray(np.linalg.norm(points_mm @ (first - second)[:3, :3].T + (first - second)[:3, 3], axis=1))


def distinct(level: Level, maps: Sequence[Matrix], nearest_mm: float, keep: int) -> list[Matrix]:
    """The first maps of a list that lie at least `nearest_mm` from one another, mean over the points."""
    points = level.points_mm[:: max(len(level.points_mm) // 100, 1)]
    kept: list[Matrix] = []
    for one in maps:
        if len(kept) == keep:
            break
        if all(apart(points, one, other).mean() >= nearest_mm for other in kept):
            kept.append(one)
    return kept


@dataclass(frozen=True, eq=False)
class Found:
    """One result: the map other_from_sampled, its score on the finest images, what it was started from."""

    matrix: Matrix
    score: float
    start: str


Named = tuple[str, Matrix]


def globally(
    levels: Sequence[Level], starts: Sequence[Named], whole_search: bool, affine: bool, stop: Callable[[float], None]
) -> list[Found]:
    """Results apart from one another, the best first.

    levels: search, coarse and fine, of the same two images; starts: named maps to start from; whole_search: try a
    lattice of turns and shifts as well; stop: is told the share that is done, and may raise.
    """
    search, coarse, fine = levels
    named = list(starts)
    if whole_search:
        found = searched(search, turns_about(LARGEST_TURN_DEG, TURN_STEP_DEG), CANDIDATES)
        named += [("a search over turns and shifts", one) for one in found]
    stop(0.3)
    rough = each(lambda one: (one[0], optimised(coarse, one[1], most=20)), named)
    rough.sort(key=lambda one: -coarse.score(one[1]))
    kept = distinct(coarse, [matrix for _, matrix in rough], NEAR_MM, FINALISTS)
    named = [next(one for one in rough if one[1] is matrix) for matrix in kept]
    stop(0.6)
    best = coarse.score(named[0][1])
    named = [one for one in named if coarse.score(one[1]) >= RIVAL * best]
    maps = each(lambda one: (one[0], optimised(fine, one[1])), named)
    if affine:
        maps = each(lambda one: (one[0], optimised(fine, one[1], True, 80)), maps)
    results = [Found(matrix, fine.score(matrix), start) for start, matrix in maps]
    stop(1.0)
    return sorted(results, key=lambda one: -one.score)


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """work of every item, in their order; each is computed in one thread, so that the threads change no bit."""
    with ThreadPoolExecutor(THREADS, "fusion") as pool:
        return list(pool.map(work, items))
