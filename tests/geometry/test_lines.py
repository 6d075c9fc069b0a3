"""Distances between segments: against brute force, and where segments are parallel, crossing or points."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from navplan.geometry.lines import distance_between_segments, distance_points_to_segment

coordinate = st.integers(-40, 40).map(float) | st.floats(-200.0, 200.0, allow_subnormal=False)
point = st.tuples(coordinate, coordinate, coordinate).map(np.asarray)


def by_least_squares(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> float:
    """The same distance as a bounded least-squares problem in the two places, both in [0, 1]."""
    matrix = np.stack([a1 - a0, b0 - b1], axis=1)
    places = lsq_linear(matrix, b0 - a0, bounds=(0.0, 1.0), method="bvls", tol=1e-14).x
    return float(np.linalg.norm(a0 + places[0] * (a1 - a0) - b0 - places[1] * (b1 - b0)))


@settings(max_examples=300, deadline=None)
@given(point, point, point, point, st.sampled_from(["any", "parallel", "shared end", "point", "two points", "nearly"]))
def test_no_pair_of_points_is_nearer(a0, a1, b0, b1, kind) -> None:
    if kind == "parallel":
        b1 = b0 + 0.7 * (a1 - a0)
    elif kind == "nearly":
        b1 = b0 + 0.7 * (a1 - a0) + 1e-7
    elif kind == "shared end":
        b1 = a1
    elif kind == "point":
        b1 = b0
    elif kind == "two points":
        a1, b1 = a0, b0
    distance, along, other_along = (float(found[0]) for found in distance_between_segments(a0, a1, b0, b1))
    on_a = a0 + along * (a1 - a0) / max(np.linalg.norm(a1 - a0), 1e-300)
    on_b = b0 + other_along * (b1 - b0) / max(np.linalg.norm(b1 - b0), 1e-300)
    assert np.isclose(np.linalg.norm(on_a - on_b), distance, atol=1e-6)  # it is the distance of two of their points
    share = np.linspace(0.0, 1.0, 41)[:, None]
    grid = np.linalg.norm((a0 + share * (a1 - a0))[:, None] - (b0 + share * (b1 - b0))[None], axis=-1)
    assert distance <= grid.min() + 1e-9
    assert distance <= by_least_squares(a0, a1, b0, b1) + 1e-6


@settings(max_examples=100, deadline=None)
@given(point, point, point, point)
def test_the_order_of_segments_and_of_their_ends_does_not_matter(a0, a1, b0, b1) -> None:
    first = distance_between_segments(a0, a1, b0, b1)[0][0]
    assert np.isclose(first, distance_between_segments(b1, b0, a0, a1)[0][0], atol=1e-9)


def test_known_distances() -> None:
    def of(*ends: tuple[float, float, float]) -> tuple[float, float, float]:
        distance, along, other = distance_between_segments(*ends)
        return float(distance[0]), float(along[0]), float(other[0])

    assert of((-10, 0, 0), (10, 0, 0), (0, -10, 5), (0, 30, 5)) == (5.0, 10.0, 10.0)
    assert of((0, 0, 0), (10, 0, 0), (0, 3, 0), (10, 3, 0))[0] == 3.0
    assert of((0, 0, 0), (10, 0, 0), (13, 4, 0), (30, 4, 0)) == (5.0, 10.0, 0.0)
    assert of((0, 0, 0), (10, 0, 0), (4, 0, 0), (20, 0, 0))[0] == 0.0
    assert of((1, 2, 3), (1, 2, 3), (1, 2, 9), (1, 2, 9)) == (6.0, 0.0, 0.0)


def test_many_at_once_are_each_as_alone() -> None:
    rng = np.random.default_rng(3)
    starts, ends = rng.uniform(-90, 90, (2, 200, 3))
    other = rng.uniform(-90, 90, (2, 3))
    distance, along, _ = distance_between_segments(starts, ends, *other)
    alone = [distance_between_segments(a, b, *other) for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_allclose(distance, [found[0][0] for found in alone])
    np.testing.assert_allclose(along, [found[1][0] for found in alone])
    points, _ = distance_points_to_segment(starts, *other)
    np.testing.assert_allclose(distance_between_segments(starts, starts, *other)[0], points)
