"""Whether two images really lie over each other under a map that bends, and how far off it may be where.

As for linear maps (`navplan.imaging.fusion_checks`): what the search says from elsewhere (another start and lattice,
other knots and stiffness, the images the other way round), where the edges lie, whether copies that are set off tell
less; and whether the map folds. What could not be computed is no pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from navplan.geometry.error_map import ErrorMap
from navplan.imaging.bspline_field import SplineField
from navplan.imaging.fusion_checks import CAP_MM, EDGES, LIKENESS, OVERLAP, Check, edges
from navplan.imaging.fusion_images import FusionImage
from navplan.imaging.fusion_metric import likeness
from navplan.imaging.fusion_search import Matrix, rigid_about
from navplan.model.displacement import DisplacementField

MOST_OF = 95.0  # percentile over the body at which lengths are judged: a mean would hide a lobe
AGREE, LEAST_MM = 1.2, 3.0  # limit of lengths: so many of the largest voxel edge, no less than that
LEAST_VOLUME, LARGEST_VOLUME = 0.1, 6.0  # of what a voxel becomes; a lung between the ends of a breath: 0.3 to 3
FEWEST_EDGES = 50
POINTS = 60_000
BEYOND_MM = 16.0  # of what the moving image shows: farther out nothing is known

Field = SplineField | DisplacementField


@dataclass(frozen=True, eq=False)
class BentMap:
    """other_from_sampled(p) = matrix applied to p + field(p)."""

    matrix: Matrix
    field: Field

    def bent(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) p + field(p)."""
        return np.asarray(points_mm + self.field.at(points_mm))

    def __call__(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) points of the sampled image in the other one, LPS mm."""
        return np.asarray(self.bent(points_mm) @ self.matrix[:3, :3].T + self.matrix[:3, 3])


@dataclass(frozen=True, eq=False)
class BentPair:
    """Two images on three sizes of voxels, and maps between them: the judged one and the other answers to the same
    question, moving_from_fixed; back: the search the other way round, fixed_from_moving."""

    fixed: Sequence[FusionImage]
    moving: Sequence[FusionImage]
    voxel_mm: float
    judged: BentMap
    restart: BentMap
    stiffer: BentMap
    back: BentMap

    @cached_property
    def body_mm(self) -> NDArray[np.float64]:
        """(K, 3) places of the fixed image's body that the moving image shows."""
        points = self.fixed[-1].body_points_mm
        return points[self.moving[-1].grid.contains(self.judged(points))]

    def off_mm(self, points_mm: NDArray[np.float64], other: BentMap) -> NDArray[np.float64]:
        """(K,) how far another map moving_from_fixed takes points from where the judged one does."""
        return np.asarray(np.linalg.norm(other(points_mm) - self.judged(points_mm), axis=1))

    def way_back_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K,) how far from themselves points come by the judged map and back by the other search."""
        return np.asarray(np.linalg.norm(self.back(self.judged(points_mm)) - points_mm, axis=1))


def bent_checks(pair: BentPair) -> list[Check]:
    """Every check of the map that bends; what its linear part is asked stands beside."""
    limit = max(AGREE * pair.voxel_mm, LEAST_MM)

    def length(name: str, words: str, off: Callable[[], NDArray[np.float64]]) -> Check:
        if len(pair.body_mm) < FEWEST_EDGES:
            return Check(name, None, limit, f"{words}: not computed")
        value = float(np.percentile(off(), MOST_OF))
        return Check(name, value, limit, f"{words}: {value:.1f} mm in {MOST_OF:g} of 100, at most {limit:.1f} allowed")

    field = pair.judged.field
    assert isinstance(field, DisplacementField)
    least, largest = field.least_volume, float(field.volumes.max())
    ratio, gain, overlap = edge_ratio(pair), likeness_gain(pair), _overlap(pair)
    return [
        Check(
            "folding", least, LEAST_VOLUME,
            _said("the most pressed voxel is left with", least, LEAST_VOLUME, True), True,
        ),
        Check("swelling", largest, LARGEST_VOLUME, _said("the most swollen voxel grows by", largest, LARGEST_VOLUME)),
        length(
            "restarts", "from near by and on another lattice the search ends off by",
            lambda: pair.off_mm(pair.body_mm, pair.restart),
        ),
        length(
            "other knots", "with knots farther apart and stiffer the search ends off by",
            lambda: pair.off_mm(pair.body_mm, pair.stiffer),
        ),
        length(
            "other way round", "there and back by the other image carried to this one lies off by",
            lambda: pair.way_back_mm(pair.body_mm),
        ),
        Check("edges", ratio, EDGES, _said("distance of edges, as a share of that of copies set off", ratio, EDGES)),
        Check(
            "likeness", gain, LIKENESS,
            _said("likeness, as a multiple of that of copies set off", gain, LIKENESS, True), True,
        ),
        Check("overlap", overlap, OVERLAP, _said("share of the smaller image in both", overlap, OVERLAP, True), True),
    ]  # fmt: skip


def _said(words: str, value: float | None, limit: float, at_least: bool = False) -> str:
    asked = f"at least {limit:.2f} needed" if at_least else f"at most {limit:.2f} allowed"
    return f"{words}: not computed" if value is None else f"{words}: {value:.2f}, {asked}"


def _copies(pair: BentPair) -> list[Matrix]:
    """Shifts both ways along each axis by two voxels, and turns that move the body's rim as far; before the map."""
    image = pair.fixed[-1]
    off_mm, centre, radius = max(2 * pair.voxel_mm, 6.0), image.centre_mm, float(image.size_mm.mean()) / 2
    found = []
    for way in (*np.eye(3), *-np.eye(3)):
        found.append(rigid_about(np.zeros(3), centre, centre + way * off_mm))
        found.append(rigid_about(way * np.degrees(off_mm / radius), centre, centre))
    return [pair.judged.matrix @ one for one in found]


def edge_ratio(pair: BentPair) -> float | None:
    """Mean distance of the fixed image's edges to those of the moving one under the map, by the mean of that under
    copies of it set off by two voxels; None where too few edges are in both."""
    one, other = pair.fixed[1], pair.moving[1]
    mine = pair.judged.bent(one.grid.points_mm(np.argwhere(edges(one))))
    away = np.minimum(ndimage.distance_transform_edt(~edges(other), sampling=other.grid.spacing_mm), CAP_MM)

    def mean_mm(matrix: Matrix) -> float:
        at = other.grid.indices(mine @ matrix[:3, :3].T + matrix[:3, 3])
        inside = ((at >= 0) & (at <= np.asarray(away.shape) - 1)).all(axis=1)
        if np.count_nonzero(inside) < FEWEST_EDGES:
            return np.nan
        return float(ndimage.map_coordinates(away, at[inside].T, order=1).mean())

    here, others = mean_mm(pair.judged.matrix), np.array([mean_mm(one) for one in _copies(pair)])
    return float(here / np.nanmean(others)) if np.isfinite(here) and np.isfinite(others).any() else None


def likeness_gain(pair: BentPair) -> float | None:
    """The information under the map by the mean of that under copies set off by two voxels; None without any."""
    points, bins = pair.fixed[-1].samples(POINTS)
    bent = pair.judged.bent(points)
    here, *others = (
        likeness(bent, bins, pair.moving[-1], one).normalised - 1.0 for one in (pair.judged.matrix, *_copies(pair))
    )
    return here / float(np.mean(others)) if np.mean(others) > 0 else None


def _overlap(pair: BentPair) -> float:
    """The share of what the smaller image shows that the other one shows too."""
    points, bins = pair.fixed[-1].samples(POINTS)
    found = likeness(pair.judged.bent(points), bins, pair.moving[-1], pair.judged.matrix).overlap
    shown = found * pair.fixed[-1].shown_mm3
    return float(min(shown / min(pair.fixed[-1].shown_mm3, pair.moving[-1].shown_mm3), 1.0))


@dataclass(frozen=True, eq=False)
class BentErrorMap:
    """Within what distance of the truth a place lies in 95 of 100 (navplan.geometry.error_map.ErrorMap): half the
    larger voxel's diagonal, the farther off of the restart and of the search with other knots, and the way back; root
    of the sum of squares. Infinite more than BEYOND_MM beyond what the moving image shows.

    local: the bound of what parts of the body lie off by themselves (navplan.imaging.fusion_local), another part of the
    sum; None where it was not measured: then the error is infinite.
    """

    pair: BentPair
    floor_mm: float
    local: ErrorMap | None

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3), LPS mm of the fixed image."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        if self.local is None:
            return np.full(len(points), np.inf)
        others = [self.pair.off_mm(points, one) for one in (self.pair.restart, self.pair.stiffer)]
        parts = [np.full(len(points), self.floor_mm), np.max(others, axis=0), self.pair.way_back_mm(points)]
        parts.append(np.asarray(self.local.error_mm(points)))
        shown = self.pair.moving[-1].grid.contains(self.pair.judged(points), -BEYOND_MM)
        return np.asarray(np.where(shown, np.linalg.norm(parts, axis=0), np.inf))
