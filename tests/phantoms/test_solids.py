"""The analytic solids against membership tests and samples that do not use their signed distance."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan_phantoms.intervals import common_intervals, merged_intervals, remaining_intervals
from navplan_phantoms.solid_base import ConvexSolid, Solid
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
    Tube,
    Union,
)


def rotation(seed: int) -> np.ndarray:
    """A random rotation."""
    matrix, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix if np.linalg.det(matrix) > 0 else -matrix


def rigid(seed: int) -> np.ndarray:
    """A random rigid motion."""
    motion = np.eye(4)
    motion[:3, :3] = rotation(seed)
    motion[:3, 3] = np.random.default_rng(seed + 1).uniform(-80, 80, 3)
    return motion


TURN = rotation(3)
SPHERE = Sphere((3, -2, 5), 9)
CAPSULE = Capsule((-8, 1, 2), (9, 6, -4), 4)
BOX = Box((1, 2, 3), (9, 5, 7), TURN)
CYLINDER = Cylinder((-6, 0, 1), (7, 5, 3), 6)
ELLIPSOID = Ellipsoid((2, 1, -3), (14, 8, 5), TURN)
CONE = RoundCone((-7, 0, 0), (8, 3, 2), 6, 2)
TUBE = Tube([(-12, 0, 0), (-2, 7, 1), (6, 2, 8), (12, -5, 3)], [3, 5, 4, 2])
INFLATED = Inflated(Ellipsoid((0, 1, 2), (9, 4, 6), TURN), 3.5)


def in_balls(points: np.ndarray, start: np.ndarray, stop: np.ndarray, first: float, last: float) -> np.ndarray:
    """Membership in the union of many balls along a segment: a round cone from its definition."""
    steps = np.linspace(0, 1, 801)
    centres, radii = start + steps[:, None] * (stop - start), first + steps * (last - first)
    inside = [(np.linalg.norm(point - centres, axis=1) - radii).min() <= 0 for point in points]
    return np.array(inside)


def in_tube(points: np.ndarray) -> np.ndarray:
    pieces = zip(TUBE.vertices[:-1], TUBE.vertices[1:], TUBE.radii[:-1], TUBE.radii[1:], strict=True)
    return np.any([in_balls(points, *piece) for piece in pieces], axis=0)


def in_cylinder(points: np.ndarray) -> np.ndarray:
    axis = (CYLINDER.stop - CYLINDER.start) / np.linalg.norm(CYLINDER.stop - CYLINDER.start)
    along = (points - CYLINDER.start) @ axis
    away = np.linalg.norm(np.cross(points - CYLINDER.start, axis), axis=1)
    return (along >= 0) & (along <= np.linalg.norm(CYLINDER.stop - CYLINDER.start)) & (away <= CYLINDER.radius)


def in_inflated(points: np.ndarray) -> np.ndarray:
    """Within the margin of a dense sample of the core's surface, or in the core."""
    core = INFLATED.core
    directions = np.random.default_rng(0).normal(size=(40_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    surface = core.centre + (directions * core.semi_axes) @ core.rotation.T
    near = np.array([np.min(np.sum((point - surface) ** 2, axis=1)) for point in points]) <= INFLATED.margin**2
    return near | (np.sum((((points - core.centre) @ core.rotation) / core.semi_axes) ** 2, axis=1) <= 1)


MEMBERSHIP: dict[str, tuple[Solid, Callable[[np.ndarray], np.ndarray]]] = {
    "sphere": (SPHERE, lambda p: np.sum((p - SPHERE.centre) ** 2, axis=1) <= 81),
    "capsule": (CAPSULE, lambda p: in_balls(p, CAPSULE.start, CAPSULE.stop, 4, 4)),
    "box": (BOX, lambda p: np.all(np.abs((p - BOX.centre) @ TURN) <= BOX.half_sizes, axis=1)),
    "cylinder": (CYLINDER, in_cylinder),
    "ellipsoid": (
        ELLIPSOID,
        lambda p: np.sum((((p - ELLIPSOID.centre) @ TURN) / ELLIPSOID.semi_axes) ** 2, axis=1) <= 1,
    ),
    "round cone": (CONE, lambda p: in_balls(p, CONE.start, CONE.stop, 6, 2)),
    "tube": (TUBE, in_tube),
    "inflated": (INFLATED, in_inflated),
}
CONVEX = [SPHERE, CAPSULE, BOX, CYLINDER, ELLIPSOID, CONE, INFLATED]
COMBINED: list[Solid] = [
    Union(SPHERE, BOX, CAPSULE),
    Intersection(ELLIPSOID, BOX),
    Difference(BOX, SPHERE, CAPSULE),
    Intersection(TUBE, HalfSpace((0, 2, 0), (0, 1, 0.3))),
]
ALL = [*CONVEX, TUBE, *COMBINED]


def gradient(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Numerical gradient of the signed distance."""
    step = 1e-5
    shifts = step * np.eye(3)
    slopes = [solid.signed_distance_mm(points + s) - solid.signed_distance_mm(points - s) for s in shifts]
    return np.stack(slopes, axis=1) / (2 * step)


@pytest.mark.parametrize("name", MEMBERSHIP)
def test_the_signed_distance_is_the_distance_to_the_set(name: str) -> None:
    solid, inside = MEMBERSHIP[name]
    random = np.random.default_rng(1)
    points = random.uniform(-22, 22, (50, 3))
    signed = solid.signed_distance_mm(points)
    slack = 0.02  # samples of the independent membership
    certain = np.abs(signed) > slack
    assert np.array_equal(inside(points)[certain], (signed <= 0)[certain])
    # No point of the surface is nearer: the ball of that radius is all inside or all outside.
    directions = random.normal(size=(len(points), 8, 3))
    directions /= np.linalg.norm(directions, axis=2)[:, :, None]
    ball = points[:, None] + directions * (np.maximum(np.abs(signed) - slack, 0) * 0.999)[:, None, None]
    same = inside(ball.reshape(-1, 3)).reshape(len(points), 8) == (signed <= 0)[:, None]
    assert np.all(same[certain])
    # And the surface is reached at that distance.
    outside = signed > slack
    touch = points[outside] - (signed[outside] + slack)[:, None] * gradient(solid, points[outside])
    assert np.mean(inside(touch)) > 0.98


@settings(max_examples=60, deadline=None)
@given(
    semi_axes=st.tuples(*[st.floats(0.5, 120)] * 3),
    scaled=st.tuples(*[st.floats(-2, 2)] * 3),
)
def test_ellipsoid_distance_of_any_shape_and_point(
    semi_axes: tuple[float, float, float], scaled: tuple[float, float, float]
) -> None:
    solid = Ellipsoid((0, 0, 0), semi_axes)
    axes = np.array(semi_axes)
    point = np.array(scaled) * axes
    signed = float(solid.signed_distance_mm(point[None])[0])
    assert (signed <= 1e-9) == (np.sum(np.array(scaled) ** 2) <= 1 + 1e-9) or abs(signed) < 1e-7
    directions = np.random.default_rng(0).normal(size=(3000, 3))
    surface = axes * directions / np.linalg.norm(directions, axis=1)[:, None]
    assert abs(signed) <= np.linalg.norm(surface - point, axis=1).min() + 1e-9
    low, high = solid.signed_bounds_mm(point[None])
    assert low[0] <= signed <= high[0]


@pytest.mark.parametrize("semi_axes", [(10, 10, 10), (20, 20, 3), (3, 20, 20), (30, 5, 1)])
def test_ellipsoid_at_its_centre_and_on_its_axes(semi_axes: tuple[float, float, float]) -> None:
    solid = Ellipsoid((0, 0, 0), semi_axes)
    assert solid.signed_distance_mm([[0, 0, 0]])[0] == pytest.approx(-min(semi_axes), abs=1e-9)
    for axis, edge in enumerate(semi_axes):
        point = np.zeros((1, 3))
        point[0, axis] = edge + 4
        assert solid.signed_distance_mm(point)[0] == pytest.approx(4, abs=1e-9)


@pytest.mark.parametrize("solid", ALL, ids=lambda solid: type(solid).__name__)
def test_signed_distance_never_exceeds_the_distance_and_bounds_hold(solid: Solid) -> None:
    random = np.random.default_rng(2)
    points = random.uniform(-25, 25, (400, 3))
    signed = solid.signed_distance_mm(points)
    shift = random.normal(size=points.shape)
    change = np.abs(solid.signed_distance_mm(points + shift) - signed)
    assert np.all(change <= np.linalg.norm(shift, axis=1) + 1e-9)
    low, high = solid.signed_bounds_mm(points)
    assert np.all(low <= signed + 1e-9)
    assert np.all(high >= signed - 1e-9)
    box = solid.bounds_mm()
    inside = points[solid.contains(points)]
    assert np.all((inside >= box[0]) & (inside <= box[1]))
    offsets = random.uniform(-2, 2, (9, 3))
    for threshold in (0.0, 0.7):
        expected = solid.signed_distance_mm((points[:, None] + offsets).reshape(-1, 3)) <= threshold
        assert np.array_equal(solid.within_around(points, offsets, threshold), expected.reshape(-1, 9))


@pytest.mark.parametrize("solid", ALL, ids=lambda solid: type(solid).__name__)
def test_chords_against_samples_along_the_line(solid: Solid) -> None:
    random = np.random.default_rng(4)
    for _ in range(12):
        start, stop = random.uniform(-25, 25, (2, 3))
        steps = (np.arange(20_000) + 0.5) / 20_000
        inside = solid.contains(start + steps[:, None] * (stop - start))
        sampled = float(inside.mean()) * float(np.linalg.norm(stop - start))
        assert solid.chord_mm(start, stop) == pytest.approx(sampled, abs=0.03)


@pytest.mark.parametrize("solid", CONVEX, ids=lambda solid: type(solid).__name__)
def test_closed_form_chords_and_distances_equal_the_convex_search(solid: ConvexSolid) -> None:
    random = np.random.default_rng(5)
    for _ in range(12):
        start, stop = random.uniform(-25, 25, (2, 3))
        found = ConvexSolid.line_intervals_mm(solid, start, stop - start)
        assert np.allclose(solid.line_intervals_mm(start, stop - start), found, atol=2e-6)
        searched = ConvexSolid.segment_distance_mm(solid, start, stop)
        assert solid.segment_distance_mm(start, stop) == pytest.approx(searched, abs=1e-8)


@pytest.mark.parametrize("solid", [*CONVEX, TUBE, COMBINED[0]], ids=lambda solid: type(solid).__name__)
def test_segment_distance_against_samples(solid: Solid) -> None:
    random = np.random.default_rng(6)
    for _ in range(12):
        start, stop = random.uniform(-40, 40, (2, 3))
        count = 4000
        samples = solid.signed_distance_mm(start + np.linspace(0, 1, count)[:, None] * (stop - start))
        nearest = max(0.0, float(samples.min()))
        exact = solid.segment_distance_mm(start, stop)
        assert exact <= nearest + 1e-9
        assert exact >= nearest - 0.5 * np.linalg.norm(stop - start) / (count - 1)


@pytest.mark.parametrize("solid", ALL, ids=lambda solid: type(solid).__name__)
@pytest.mark.parametrize("seed", [0, 7])
def test_rigid_motion_and_scaling_change_nothing_but_the_size(solid: Solid, seed: int) -> None:
    random, motion = np.random.default_rng(seed), rigid(seed)
    points = random.uniform(-25, 25, (200, 3))
    moved = points @ motion[:3, :3].T + motion[:3, 3]
    assert np.allclose(solid.moved(motion).signed_distance_mm(moved), solid.signed_distance_mm(points), atol=1e-9)
    assert np.allclose(solid.scaled(1.3).signed_distance_mm(1.3 * points), 1.3 * solid.signed_distance_mm(points))
    ends, moved_ends = points[:2], moved[:2]
    assert solid.moved(motion).chord_mm(*moved_ends) == pytest.approx(solid.chord_mm(*ends), abs=1e-6)
    assert solid.moved(motion).segment_distance_mm(*moved_ends) == pytest.approx(
        solid.segment_distance_mm(*ends), abs=1e-8
    )


def test_intervals() -> None:
    base, other = np.array([[0.0, 4.0], [6.0, 9.0]]), np.array([[3.0, 7.0]])
    assert merged_intervals([base, other]).tolist() == [[0, 9]]
    assert common_intervals(base, other).tolist() == [[3, 4], [6, 7]]
    assert remaining_intervals(base, other).tolist() == [[0, 3], [7, 9]]
    assert remaining_intervals(base, np.zeros((0, 2))).tolist() == base.tolist()


def test_exactness_is_declared() -> None:
    assert Union(SPHERE, TUBE).exact_outside
    assert not Intersection(SPHERE, BOX).exact_outside
    assert not Union(SPHERE, Difference(BOX, SPHERE)).exact_outside


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sphere((0, 0, 0), 0),
        lambda: Sphere((0, 0, math.nan), 1),
        lambda: Sphere((0, 0), 1),
        lambda: Capsule((0, 0, 0), (1, 0, 0), -1),
        lambda: Cylinder((0, 0, 0), (0, 0, 0), 1),
        lambda: Box((0, 0, 0), (1, 0, 1)),
        lambda: Ellipsoid((0, 0, 0), (1, 1, 1), np.diag([1.0, 1.0, -1.0])),
        lambda: HalfSpace((0, 0, 0), (0, 0, 0)),
        lambda: RoundCone((0, 0, 0), (1, 0, 0), 5, 1),
        lambda: Tube([(0, 0, 0)], 1),
        lambda: Inflated(ELLIPSOID, 0),
        lambda: Union(),
        lambda: Intersection(),
        lambda: SPHERE.moved(np.diag([2.0, 1.0, 1.0, 1.0])),
        lambda: SPHERE.signed_distance_mm([1, 2, 3]),
    ],
)
def test_input_without_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()
