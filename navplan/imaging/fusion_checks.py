"""Whether two images really lie over each other under a map: checks, each with a value, a limit and words.

None of them is the measure that the map was found by, at the map. They ask what that measure says from elsewhere
(restarts, other starts, half of the points, the images the other way round), and where the edges lie. A map given by
anybody is asked the same. What could not be computed is no pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from navplan.geometry.error_map import ErrorMap
from navplan.imaging.fusion_images import FusionImage
from navplan.imaging.fusion_local import LocalShifts
from navplan.imaging.fusion_metric import likeness
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import Found, Matrix, apart, each, optimised, rigid_about

Verdict = Literal["passed", "failed", "not computed"]
# Limits of lengths in the largest edge of the two images' voxels; what they were set on: docs/decisions/0025.
RESTARTS, OTHER_STARTS, WAY_BACK, HALVES = 0.45, 0.45, 1.6, 1.5
# What 95 of 100 blocks of the body may lie off by themselves, less their spread: in the largest voxel edge; mm; mm of a
# PET, on which skin and inside may ask for different places: its error map tells it, the check would refuse every one.
LOCAL, LOCAL_LEAST_MM, LOCAL_PET_MM = 1.0, 3.0, 10.0
LEAST_MM = 1.5  # no limit of a length is less
EDGES, LIKENESS, OVERLAP = 0.98, 1.1, 0.5
LARGEST_TURN_DEG = 60.0  # as between any two scans of a patient: beyond it, one of them says wrongly where left is
LARGEST_STRETCH = 1.15
SAME = 0.97  # of the best score: from there on another result is a rival
FEWEST_POINTS = 1000  # of one image inside the other one: fewer say nothing
CAP_MM = 12.0  # of the distance of an edge: farther is no farther
STRONG = 0.9  # quantile of the gradient from which there is an edge
PERTURBED = ((4.0, -4.0, 4.0), (5.0, 4.0, -5.0)), ((-4.0, 4.0, 4.0), (-4.0, -5.0, 5.0))  # degrees; mm


@dataclass(frozen=True)
class Check:
    """value: None where it could not be computed; limit: the most (at_least: the least) that passes."""

    name: str
    value: float | None
    limit: float
    words: str
    at_least: bool = False

    @property
    def verdict(self) -> Verdict:
        """A value that is not a number fails: it was not computed."""
        if self.value is None or not np.isfinite(self.value):
            return "not computed"
        return "passed" if (self.value >= self.limit if self.at_least else self.value <= self.limit) else "failed"


@dataclass(frozen=True, eq=False)
class Agreement:
    """Maps other_from_sampled beside the judged one: from restarts, other starts, halves of the points, the other way
    round (as the map of the same direction)."""

    restarts: tuple[Matrix, ...]
    rivals: tuple[Matrix, ...]
    halves: tuple[Matrix, ...]
    back: tuple[Matrix, ...]

    @property
    def all_maps(self) -> tuple[Matrix, ...]:
        """Every one of them."""
        return (*self.restarts, *self.rivals, *self.halves, *self.back)


def agreement(pair: FusionPair, matrix: Matrix, elsewhere: Sequence[Found], affine: bool) -> Agreement:
    """Of a map other_from_sampled; elsewhere: what a search without knowledge of it found."""
    fine = pair.levels[-1]
    centre = fine.sampled.centre_mm
    starts = [matrix, *(matrix @ rigid_about(np.array(t), centre, centre + np.array(s)) for t, s in PERTURBED)]
    first, second = pair.halves
    work = [(fine, one) for one in starts] + [(first, matrix), (second, matrix)]
    back = pair.back(matrix)
    if len(back.points_mm) >= FEWEST_POINTS:
        work.append((back, np.asarray(np.linalg.inv(starts[1]))))
    found = each(lambda one: optimised(one[0], one[1], affine), work)
    best = max((one.score for one in elsewhere), default=0.0)
    rivals = tuple(one.matrix for one in elsewhere if one.score >= SAME * best)
    return Agreement(
        tuple(found[:3]), rivals, tuple(found[3:5]), tuple(np.asarray(np.linalg.inv(one)) for one in found[5:])
    )


def checks_of(pair: FusionPair, matrix: Matrix, agree: Agreement, affine: bool) -> list[Check]:
    """All checks of a map other_from_sampled but that of landmarks."""
    edge = pair.voxel_mm
    told = pair.told(matrix)
    fine = pair.levels[-1]

    def length(name: str, maps: Sequence[Matrix], share: float, words: str) -> Check:
        value = max((pair.apart_mm(matrix, one) for one in maps), default=None)
        limit = max(share * edge, LEAST_MM)
        said = "not computed" if value is None else f"{value:.1f} mm, at most {limit:.1f} allowed"
        return Check(name, value, limit, f"{words}: {said}")

    checks = [
        length("restarts", agree.restarts, RESTARTS, "searched again from here and from near by, the map moves by"),
        length(
            "other starts",
            agree.rivals,
            OTHER_STARTS,
            "a search that does not know this map ends, as good or better, off by",
        ),
        length("other way round", agree.back, WAY_BACK, "the other image carried to this one lies off by"),
        length("halves", agree.halves, HALVES, "half of the body by itself would lie off by"),
    ]
    ratio = edge_ratio(pair, matrix)
    checks.append(
        Check("edges", ratio, EDGES, _said("distance of edges, as a share of that of copies set off", ratio, EDGES))
    )
    gain = likeness_gain(pair, matrix)
    checks.append(
        Check(
            "likeness",
            gain,
            LIKENESS,
            _said("likeness, as a multiple of that of copies set off", gain, LIKENESS, True),
            True,
        )
    )
    shared = likeness(fine.points_mm, fine.bins, fine.other, matrix).overlap
    checks.append(
        Check("overlap", shared, OVERLAP, _said("share of the smaller image in both", shared, OVERLAP, True), True)
    )
    return checks + linear_checks(told, affine)


def linear_checks(matrix: Matrix, affine: bool) -> list[Check]:
    """Whether a map (4, 4) can be one of two images of a patient: by its turn, stretch and handedness."""
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    turn = float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1.0, 1.0))))
    allowed = f"at most {LARGEST_TURN_DEG:.0f} allowed: beyond, one may say wrongly where left is"
    words = f"turned by {turn:.0f} degrees, {allowed}"
    checks = [Check("turn", turn, LARGEST_TURN_DEG, words)]
    if affine or not np.allclose(stretch, 1.0, atol=1e-3) or np.linalg.det(matrix[:3, :3]) < 0:
        most, hand = float(max(stretch.max(), 1 / stretch.min())), float(np.sign(np.linalg.det(matrix[:3, :3])))
        checks.append(Check("stretch", most, LARGEST_STRETCH, _said("stretched or pressed by", most, LARGEST_STRETCH)))
        checks.append(Check("handedness", hand, 1.0, _said("sign of the determinant", hand, 1.0, True), True))
    return checks


def local_check(pair: FusionPair, local: LocalShifts | None) -> Check:
    """By how much parts of the body lie off by themselves; not computed where the images tell it of too few parts."""
    value = None if local is None else local.largest_mm()
    limit = max(LOCAL * pair.voxel_mm, LOCAL_LEAST_MM)
    if "PT" in (pair.fixed[-1].kind, pair.moving[-1].kind):
        limit = max(limit, LOCAL_PET_MM)
    said = "not computed" if value is None else f"{value:.1f} mm, at most {limit:.1f} allowed"
    return Check("local", value, limit, f"parts of the body, each moved alone, lie off in 95 of 100 by up to: {said}")


def _said(words: str, value: float | None, limit: float, at_least: bool = False) -> str:
    asked = f"at least {limit:.2f} needed" if at_least else f"at most {limit:.2f} allowed"
    return f"{words}: not computed" if value is None else f"{words}: {value:.2f}, {asked}"


def _copies(pair: FusionPair, matrix: Matrix, off_mm: float) -> list[Matrix]:
    """The map shifted both ways along each axis, and turned both ways about each, by as much on the body's rim."""
    level = pair.levels[-1]
    centre, radius = level.sampled.centre_mm, float(level.sampled.size_mm.mean()) / 2
    copies = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            way = np.zeros(3)
            way[axis] = sign
            copies.append(matrix @ rigid_about(np.zeros(3), centre, centre + way * off_mm))
            copies.append(matrix @ rigid_about(way * np.degrees(off_mm / radius), centre, centre))
    return copies


def edges(image: FusionImage) -> NDArray[np.bool_]:
    """Where the gradient is among the strongest of what takes part."""
    slopes = np.gradient(image.values, *image.grid.spacing_mm)
    size = np.sqrt(sum(one**2 for one in slopes))
    size[~ndimage.binary_erosion(image.known, border_value=1)] = 0.0
    part = np.zeros(size.shape, dtype=bool)
    part[tuple(image.taking_part.T)] = True
    return np.asarray(part & (size >= max(float(np.quantile(size[part], STRONG)), 1e-6)))


def edge_ratio(pair: FusionPair, matrix: Matrix) -> float | None:
    """Mean distance of the sampled image's edges to those of the other one under a map, by the mean of that under
    copies of the map set off by two voxels; None where too few edges are in both."""
    level = pair.levels[1]
    mine = level.sampled.grid.points_mm(np.argwhere(edges(level.sampled)))
    away = ndimage.distance_transform_edt(~edges(level.other), sampling=level.other.grid.spacing_mm)
    away = np.minimum(away, CAP_MM)

    def mean_mm(one: Matrix) -> float:
        at = level.other.grid.indices(mine @ one[:3, :3].T + one[:3, 3])
        inside = ((at >= 0) & (at <= np.asarray(away.shape) - 1)).all(axis=1)
        if np.count_nonzero(inside) < 50:
            return np.nan
        return float(ndimage.map_coordinates(away, at[inside].T, order=1).mean())

    here = mean_mm(matrix)
    others = np.array([mean_mm(one) for one in _copies(pair, matrix, max(2 * pair.voxel_mm, 6.0))])
    return float(here / np.nanmean(others)) if np.isfinite(here) and np.isfinite(others).any() else None


def likeness_gain(pair: FusionPair, matrix: Matrix) -> float | None:
    """The information under a map by the mean of that under copies set off by two voxels; None without any."""
    level = pair.levels[-1]
    others = float(np.mean([level.score(one) for one in _copies(pair, matrix, max(2 * pair.voxel_mm, 6.0))]))
    return level.score(matrix) / others if others > 0 else None


@dataclass(frozen=True)
class MovesAsOne:
    """An error map of what cannot bend, as a bone: nothing of it lies off by itself."""

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) zeros for points (K, 3)."""
        return np.zeros(len(np.atleast_2d(np.asarray(points_mm, dtype=np.float64))))


@dataclass(frozen=True, eq=False)
class FusionErrorMap:
    """The expected error at any place (navplan.geometry.error_map.ErrorMap): half the larger voxel's diagonal, and how
    far other answers to the same question lie from the map there; root of the sum of squares.

    What moved by itself no whole map can tell: the bound of the blocks' own shifts (navplan.imaging.fusion_local) is
    one more of those parts; where they were not measured the error is not known (infinite).

    matrix: other_from_sampled; turned: whether a fixed point is one of `other`.
    """

    matrix: Matrix
    agree: Agreement
    floor_mm: float
    turned: bool
    local: ErrorMap | None
    least_mm: float = 0.0

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3), LPS mm of the fixed image."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        if self.local is None:
            return np.full(len(points), np.inf)
        if self.turned:
            back = np.linalg.inv(self.matrix)
            points = points @ back[:3, :3].T + back[:3, 3]
        parts = [np.full(len(points), self.floor_mm), self.local.error_mm(points)]
        for maps in (self.agree.restarts, self.agree.rivals, self.agree.back):
            if maps:
                parts.append(np.max([apart(points, self.matrix, one) for one in maps], axis=0))
        if len(self.agree.halves) == 2:
            parts.append(apart(points, *self.agree.halves) / 2)  # the spread of a mean of two
        return np.asarray(np.maximum(np.linalg.norm(parts, axis=0), self.least_mm))
