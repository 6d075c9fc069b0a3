"""Certified distances and sampled volumes against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from navplan_phantoms.certified import sampled_volume_mm3, segment_distance_bounds_mm
from navplan_phantoms.solid_base import Solid
from navplan_phantoms.solids import (
    Box,
    Capsule,
    Cylinder,
    Difference,
    Ellipsoid,
    HalfSpace,
    Inflated,
    Intersection,
    RoundCone,
    Sphere,
    Union,
)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_the_distance_to_an_overlap_of_boxes(seed: int) -> None:
    """The overlap of two boxes is a box, whose distance is exact; near its edges the overlap's own is too small."""
    overlap = Box((0, 0, 0), (10, 6, 8))
    drawn = Intersection(Box((10, 0, 0), (20, 6, 30)), Box((-20, 0, 0), (30, 40, 8)))
    random = np.random.default_rng(seed)
    start, stop = random.uniform(-30, 30, (2, 3)) + np.array([0, 25, 25])
    exact = overlap.segment_distance_mm(start, stop)
    lower, upper = segment_distance_bounds_mm(drawn, start, stop)
    assert lower <= exact + 1e-9
    assert exact <= upper + 1e-9
    assert upper - lower <= 0.02


def test_bounds_hold_the_distance_to_what_a_cut_leaves() -> None:
    left = Difference(Box((0, 0, 0), (10, 6, 8)), Box((10, 0, 0), (10, 20, 20)))
    start, stop = (14.0, -3.0, 2.0), (14.0, 9.0, 1.0)
    lower, upper = segment_distance_bounds_mm(left, start, stop)
    assert lower <= 14.0 <= upper
    assert upper - lower <= 0.05  # a flat face along the segment: the budget of cells ends the search
    assert left.segment_distance_mm(start, stop) <= lower


def test_a_segment_that_enters_is_at_zero() -> None:
    solid = Difference(Sphere((0, 0, 0), 10), Sphere((0, 0, 0), 6))
    assert segment_distance_bounds_mm(solid, (-20, 0, 0), (20, 0, 0)) == (0.0, 0.0)
    lower, upper = segment_distance_bounds_mm(solid, (-2, 0, 0), (2, 0, 0))
    assert lower <= 4.0 <= upper


def test_a_small_budget_of_cells_still_gives_true_bounds() -> None:
    drawn = Intersection(Box((10, 0, 0), (20, 6, 30)), Box((-20, 0, 0), (30, 40, 8)))
    start, stop = (0.0, 20.0, 30.0), (4.0, 22.0, 31.0)
    exact = Box((0, 0, 0), (10, 6, 8)).segment_distance_mm(start, stop)
    lower, upper = segment_distance_bounds_mm(drawn, start, stop, tolerance_mm=1e-6, maximum_cells=5000)
    assert lower <= exact <= upper


@pytest.mark.parametrize(
    "solid",
    [
        Sphere((1, 2, 3), 17),
        Capsule((0, 0, 0), (20, 10, 0), 7),
        Box((0, 0, 0), (9, 4, 6)),
        Cylinder((0, 0, 0), (3, 4, 20), 9),
        Ellipsoid((0, 0, 0), (30, 12, 7)),
        RoundCone((0, 0, 0), (25, 3, 0), 11, 4),
    ],
    ids=lambda solid: type(solid).__name__,
)
def test_sampled_volume_agrees_with_the_closed_form(solid: Solid) -> None:
    exact = solid.volume_mm3()
    sampled, error = sampled_volume_mm3(solid)
    assert exact is not None
    assert abs(sampled - exact) <= 5 * error
    assert error / exact < 1e-3


def test_volume_of_combinations() -> None:
    half = Intersection(Sphere((0, 0, 0), 20), HalfSpace((0, 0, 0), (1, 2, 3)))
    sampled, _ = sampled_volume_mm3(half)
    assert sampled == pytest.approx(2.0 / 3.0 * math.pi * 20**3, rel=2e-3)
    both = Union(Sphere((-30, 0, 0), 10), Sphere((30, 0, 0), 10))
    assert sampled_volume_mm3(both)[0] == pytest.approx(8.0 / 3.0 * math.pi * 10**3, rel=3e-3)
    # Steiner's formula for a ball as the parallel body of a smaller one.
    ball = Inflated(Ellipsoid((0, 0, 0), (6, 6, 6)), 9)
    assert sampled_volume_mm3(ball)[0] == pytest.approx(4.0 / 3.0 * math.pi * 15**3, rel=2e-3)


def test_infinite_solids_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        sampled_volume_mm3(HalfSpace((0, 0, 0), (0, 0, 1)))
