"""The displacements under which one image tells most of another and that bend little, from a linear map that is given.

Normalised mutual information (`navplan.imaging.fusion_metric`) less a price for bending, by L-BFGS with the analytic
gradient, on three sizes of voxels, the knots half as far apart each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.bspline_field import SplineField
from navplan.imaging.descent import descended
from navplan.imaging.fusion_images import RIM_MM, FusionImage
from navplan.imaging.fusion_metric import pulls
from navplan.imaging.fusion_search import SCALE, Matrix

POINTS = (15_000, 40_000, 100_000)  # of the search images, the coarse and the fine ones
MOST_STEPS = (30, 30, 40)


@dataclass(frozen=True)
class Settings:
    """knots_mm: distance of the knots on the fine images (twice and four times that on the others); stiffness: the
    price of bending; off: by what share of a step the lattice lies further back; seed: of where the points lie in
    their voxels."""

    knots_mm: float = 16.0
    stiffness: float = 4e5
    off: float = 0.0
    seed: int = 1


USUAL = Settings()


def bent(
    sampled: Sequence[FusionImage],
    other: Sequence[FusionImage],
    other_from_sampled: Matrix,
    settings: Settings = USUAL,
    stop: Callable[[float], None] = lambda share: None,
) -> SplineField:
    """The displacements u of the sampled image's frame, so that other_from_sampled(p + u(p)) is the place of p in the
    other image.

    sampled, other: both images on the three sizes of voxels of `fusion_images`; stop: is told the share that is done
    before each step, and may raise.
    """
    corners = sampled[0].grid.corners_mm()
    field = SplineField.nothing(
        corners.min(axis=0) - RIM_MM, corners.max(axis=0) + RIM_MM, 4 * settings.knots_mm, settings.off
    )
    for level, (one, two, count, most) in enumerate(zip(sampled, other, POINTS, MOST_STEPS, strict=True)):
        if level:
            field = field.halved()
        points, bins = one.samples(min(count, len(one.taking_part)), settings.seed)
        field = _optimised(field, points, bins, two, other_from_sampled, settings.stiffness, most, _share(stop, level))
    stop(1.0)
    return field


def _share(stop: Callable[[float], None], level: int) -> Callable[[float], None]:
    begin, end = ((0.0, 0.05), (0.05, 0.25), (0.25, 1.0))[level]
    return lambda share: stop(begin + (end - begin) * share)


def _optimised(
    field: SplineField, points: NDArray[np.float64], bins: NDArray[np.int32], other: FusionImage, matrix: Matrix,
    stiffness: float, most: int, stop: Callable[[float], None],
) -> SplineField:  # fmt: skip
    asked = 0

    def cost(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal asked
        stop(min(asked / (1.2 * most), 1.0))
        asked += 1
        here = field.with_knots(values)
        found, forces = pulls(points + here.at(points), bins, other, matrix)
        price, steeper = here.bending()
        slope = stiffness * steeper - SCALE * here.gradient(points, forces)
        return stiffness * price - SCALE * (found.normalised - 1.0), slope.ravel()

    return field.with_knots(descended(cost, field.knots.ravel(), most))
