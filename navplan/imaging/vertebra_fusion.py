"""Each vertebra of a spine registered rigidly by itself, and judged beside its neighbours.

From a rigid map of the whole and from the neighbours' own maps, by the same information as the whole
(`navplan.imaging.fusion_metric`), over the vertebra and what lies within 10 mm of it. The spine repeats itself: each is
tried one level up and down as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.imaging.fusion_checks import PERTURBED, Agreement, FusionErrorMap, MovesAsOne
from navplan.imaging.fusion_metric import likeness
from navplan.imaging.fusion_search import Level, Matrix, apart, each, optimised, rigid_about
from navplan.imaging.vertebra_images import VertebraPair, vertebra_pair
from navplan.model.structure import Structure
from navplan.model.volume import Volume

RESTARTS, HALVES, LEAST_MM = 0.45, 1.5, 1.5  # in the largest voxel edge, and at least; as of the whole image
OTHER_LEVEL = 0.97  # of the score: a place one level away that reaches it is as likely
GAIN = 1.1  # the score by that of copies set off by two voxels, at least (set off by 4 mm or more)
OVERLAP = 0.8  # of the vertebra's surroundings that the other image shows
MOST_BENT_DEG, MOST_SLID_MM = 20.0, 10.0  # between neighbours, and at the middle between them (unsourced)
COARSE_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class VertebraFit:
    """name; moving_from_fixed: its own rigid map; error: in 95 of 100, by place; reasons: why it is not known, none
    where it is good; told: the figures, in words. inside_mm: (K, 3) places in it, LPS mm of the fixed image; moved_mm:
    by how much it lies from where the map of the whole puts it, mean."""

    name: str
    moving_from_fixed: Matrix
    error: FusionErrorMap
    inside_mm: NDArray[np.float64]
    moved_mm: float
    told: str
    reasons: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """(3,) its middle, LPS mm of the fixed image."""
        return np.asarray(self.inside_mm.mean(axis=0))


def fitted_vertebrae(
    fixed: Volume, moving: Volume, vertebrae: Sequence[Structure], moving_from_fixed: Matrix,
    stop: Callable[[str, float], None] = lambda words, share: None,
) -> list[VertebraFit]:  # fmt: skip
    """Each vertebra of the fixed image, in the order of the spine, by itself. moving_from_fixed: rigid, of the whole;
    stop: is told what is done and the share, and may raise."""
    pairs = {}
    for number, one in enumerate(vertebrae):
        stop(one.name, 0.3 * number / len(vertebrae))
        others = list(vertebrae[max(number - 1, 0) : number]) + list(vertebrae[number + 1 : number + 2])
        pairs[number] = vertebra_pair(fixed, moving, one, others, moving_from_fixed)
    maps = _swept(pairs, moving_from_fixed)
    edge = max(float(one.grid.spacing_mm.max()) for one in (fixed, moving))
    floor_mm = max(one.grid.diagonal_mm for one in (fixed, moving)) / 2
    found = []
    for number, one in enumerate(vertebrae):
        stop(one.name, 0.5 + 0.5 * number / len(vertebrae))
        inside = one.voxel_centres_mm()
        found.append(
            _judged(one.name, pairs[number], maps.get(number), moving_from_fixed, _steps(vertebrae, number), edge,
                    floor_mm, inside[:: max(len(inside) // 500, 1)])
        )  # fmt: skip
    return beside_neighbours(found)


def _swept(pairs: dict[int, VertebraPair | None], whole: Matrix) -> dict[int, Matrix]:
    """The best map of each from that of the whole, then from what its neighbours found, down and up the spine."""
    there = {number: pair for number, pair in pairs.items() if pair is not None}
    found = dict(zip(there, each(lambda pair: _both(pair, whole), list(there.values())), strict=True))
    for order in (sorted(there), sorted(there, reverse=True)):
        for before, number in pairwise(order):
            fine = there[number].levels[-1]
            other = _both(there[number], found[before])
            if fine.score(other) > fine.score(found[number]):
                found[number] = other
    return found


def _both(pair: VertebraPair, start: Matrix) -> Matrix:
    coarse, fine = pair.levels
    return optimised(fine, optimised(coarse, start, most=COARSE_ROUNDS))


def _steps(vertebrae: Sequence[Structure], number: int) -> list[NDArray[np.float64]]:
    """(3,) from a vertebra's middle to those of its neighbours; where it has one, to the other side as far."""
    centres = [one.voxel_centres_mm().mean(axis=0) for one in vertebrae[max(number - 1, 0) : number + 2]]
    mine = centres[0 if number == 0 else 1]
    steps = [one - mine for one in centres if one is not mine]
    return [*steps, -steps[0]] if len(steps) == 1 else steps


def _judged(
    name: str, pair: VertebraPair | None, matrix: Matrix | None, whole: Matrix, steps: Sequence[NDArray[np.float64]],
    edge: float, floor_mm: float, inside: NDArray[np.float64],
) -> VertebraFit:  # fmt: skip
    nothing = FusionErrorMap(whole, Agreement((), (), (), ()), floor_mm, False, None)
    if pair is None or matrix is None:
        return VertebraFit(name, whole, nothing, inside, 0.0, "", ("too little of it is in both images",))
    fine = pair.levels[-1]
    centre = inside.mean(axis=0)
    starts = [matrix @ rigid_about(np.array(t), centre, centre + np.array(s)) for t, s in PERTURBED]
    shifted = [matrix @ rigid_about(np.zeros(3), centre, centre + step) for step in steps]
    first, second = pair.halves
    found = each(lambda work: work(), [
        *(lambda one=one: _both(pair, one) for one in (*starts, *shifted)),
        *(lambda half=half: optimised(half, matrix) for half in (first, second)),
    ])  # fmt: skip
    count = len(starts)
    restarts, levels, halves = found[:count], found[count : count + len(shifted)], found[-2:]
    score = fine.score(matrix)
    back = [float(apart(inside, one, matrix).mean()) for one in restarts]
    half = max(float(apart(inside, one, matrix).mean()) for one in halves)
    rivals = [
        fine.score(one) / max(score, 1e-9) for one in levels
        if float(apart(inside, one, matrix).mean()) > 0.4 * float(np.linalg.norm(steps[0]))
    ]  # fmt: skip
    rival, gain = max(rivals, default=0.0), _gain(fine, matrix, centre, max(2 * edge, 4.0))
    overlap = likeness(fine.points_mm, fine.bins, fine.other, matrix).overlap
    limits = max(RESTARTS * edge, LEAST_MM), max(HALVES * edge, LEAST_MM)
    reasons = [
        words
        for wrong, words in (
            (
                not max(back) <= limits[0],
                f"from near by it is drawn {max(back):.1f} mm off, at most {limits[0]:.1f} allowed",
            ),
            (not half <= limits[1], f"half of it would lie off by {half:.1f} mm, at most {limits[1]:.1f} allowed"),
            (not rival < OTHER_LEVEL, f"one level away it fits as well ({rival:.2f} of the information)"),
            (not gain >= GAIN, f"copies set off fit nearly as well (information by {gain:.2f}, at least {GAIN})"),
            (not overlap >= OVERLAP, f"the other image shows {overlap:.0%} of it, at least {OVERLAP:.0%}"),
        )
        if wrong
    ]
    moved = float(apart(inside, matrix, whole).mean())
    told = f"restarts {max(back):.1f} mm, halves {half:.1f} mm, one level away {rival:.2f}, copies set off {gain:.2f}"
    error = FusionErrorMap(matrix, Agreement(tuple(restarts), (), tuple(halves), ()), floor_mm, False, MovesAsOne())
    return VertebraFit(name, matrix, error, inside, moved, told, tuple(reasons))


def _gain(level: Level, matrix: Matrix, centre: NDArray[np.float64], off_mm: float) -> float:
    ways = [sign * way * off_mm for way in np.eye(3) for sign in (-1.0, 1.0)]
    others = [level.score(matrix @ rigid_about(np.zeros(3), centre, centre + way)) for way in ways]
    return level.score(matrix) / max(float(np.mean(others)), 1e-9)


def beside_neighbours(fits: Sequence[VertebraFit]) -> list[VertebraFit]:
    """The same, where those that no neighbour agrees with are doubted: bent or slid against it beyond what a spine can.
    Two that disagree are both doubted unless another neighbour agrees with one of them."""
    good = [one for one in fits if one.good]
    wrong: dict[str, list[str]] = {one.name: [] for one in good}
    right = {one.name: 0 for one in good}
    for first, second in pairwise(good):
        between = np.linalg.inv(first.moving_from_fixed) @ second.moving_from_fixed
        turn = float(np.degrees(Rotation.from_matrix(between[:3, :3]).magnitude()))
        middle = (first.centre_mm + second.centre_mm) / 2
        slid = float(apart(middle[None], first.moving_from_fixed, second.moving_from_fixed)[0])
        if turn <= MOST_BENT_DEG and slid <= MOST_SLID_MM:
            right[first.name] += 1
            right[second.name] += 1
            continue
        for one, other in ((first, second), (second, first)):
            wrong[one.name].append(f"against {other.name} it is turned by {turn:.0f} degrees and slid by {slid:.0f} mm")
    return [
        replace(one, reasons=(*one.reasons, *wrong[one.name]))
        if one.good and wrong[one.name] and not _stands(one.name, good, wrong, right)
        else one
        for one in fits
    ]


def _stands(name: str, good: Sequence[VertebraFit], wrong: dict[str, list[str]], right: dict[str, int]) -> bool:
    """Whether it agrees with one neighbour, and the one that it disagrees with agrees with none."""
    if not right[name]:
        return False
    at = next(n for n, one in enumerate(good) if one.name == name)
    beside = [good[n].name for n in (at - 1, at + 1) if 0 <= n < len(good)]
    return all(not right[one] for one in beside if any(f"against {name} " in words for words in wrong[one]))
