"""Depth in an ellipsoid of revolution: against spheres, brute force, and what a concave depth must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.errors import GeometryError
from navplan.model.ablation import AblationZone
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_zone import Ellipsoid, depth_bounds, depth_in_ellipse, zone_of

AXIS = np.asarray([0.0, 0.0, 1.0])


def brute_depth(along: float, across: float, a: float, b: float) -> float:
    """To the nearest of very many points of the ellipse, and of as many between its neighbours."""
    turn = np.linspace(0.0, np.pi, 100_001)
    for _ in range(2):
        away = np.hypot(a * np.cos(turn) - along, b * np.sin(turn) - across)
        at = int(np.argmin(away))
        turn = np.linspace(turn[max(at - 1, 0)], turn[min(at + 1, len(turn) - 1)], 100_001)
    least = float(away.min())
    return least if (along / a) ** 2 + (across / b) ** 2 <= 1.0 else -least


@given(
    st.floats(-40, 40), st.floats(0, 40), st.floats(2, 30), st.floats(2, 30),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_depth_is_that_of_brute_force(along: float, across: float, a: float, b: float) -> None:
    found = depth_in_ellipse(np.asarray([along]), np.asarray([across]), a, b)[0]
    assert found[0] == pytest.approx(brute_depth(along, across, a, b), abs=2e-6)
    assert np.hypot(found[1], found[2]) == pytest.approx(1.0, abs=1e-12)


def test_a_sphere_is_a_sphere() -> None:
    points = np.random.default_rng(1).uniform(-30, 30, (5000, 3))
    sphere = Ellipsoid(np.zeros(3), AXIS, 18.0, 18.0)
    np.testing.assert_allclose(sphere.depth_mm(points), 18.0 - np.linalg.norm(points, axis=1), atol=1e-12)


@pytest.mark.parametrize("a,b", [(20.0, 10.0), (10.0, 20.0), (15.0, 15.0), (60.0, 1.5)])
def test_places_where_root_finding_is_hard(a: float, b: float) -> None:
    """On the axis, in the middle plane, at the centre, on the surface, and within rounding of each."""
    tiny = (0.0, 1e-300, 1e-15, 1e-12, 1e-9, 1e-6)
    focal = a - b * b / a if a > b else a / 2
    pairs = [(u, r) for u in (*tiny, a / 3, focal, a, 2 * a) for r in (*tiny, b / 2, b, 2 * b)]
    found = depth_in_ellipse(*np.asarray(pairs).T, a, b)
    for (u, r), (depth, _, _) in zip(pairs, found, strict=True):
        assert depth == pytest.approx(brute_depth(u, r, a, b), abs=2e-6), (u, r)
    centre = depth_in_ellipse(np.zeros(1), np.zeros(1), a, b)[0, 0]
    assert centre == pytest.approx(min(a, b), abs=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_depth_is_concave_and_no_steeper_than_one(seed: int) -> None:
    """What the bounds over a voxel rest on: least in its corners, tangents above it."""
    rng = np.random.default_rng(seed)
    zone = Ellipsoid(rng.uniform(-5, 5, 3), unit(rng), rng.uniform(3, 30), rng.uniform(3, 30))
    first, second = rng.uniform(-40, 40, (2, 200, 3))
    share = rng.uniform(0, 1, (200, 1))
    between = zone.depth_mm(share * first + (1 - share) * second)
    chord = share[:, 0] * zone.depth_mm(first) + (1 - share[:, 0]) * zone.depth_mm(second)
    assert (between >= chord - 1e-9).all()
    depth, normal = zone.depth_and_normal(first)
    tangent = depth - ((second - first) * normal).sum(axis=1)
    assert (zone.depth_mm(second) <= tangent + 1e-9).all()


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_cheap_bounds_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(2, 30, 2)
    along, across = rng.uniform(-50, 50, 500), rng.uniform(0, 50, 500)
    low, high = depth_bounds(along, across, a, b)
    depth = depth_in_ellipse(along, across, a, b)[:, 0]
    assert (low - 1e-9 <= depth).all() and (depth <= high + 1e-9).all()


def test_the_zone_lies_behind_the_tip_by_what_its_table_says() -> None:
    zone = AblationZone("z", "100 W, 10 min", 50.0, 40.0, 14.0, 0.8, "test")
    probe = Device("p", "probe", 14, 2.11, 150.0, zones=(zone,))
    assert probe.stands_short_mm == -14.0 and probe.ends_beyond_mm == 14.0
    way = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 80.0), probe, probe.stands_short_mm)
    assert way.tip_depth_mm == pytest.approx(94.0) and way.swept_depth_mm == pytest.approx(94.0)
    derated, whole = zone_of(way, zone, derated=True), zone_of(way, zone, derated=False)
    np.testing.assert_allclose(derated.centre_mm, (0.0, 0.0, 80.0), atol=1e-12)
    assert (derated.along_mm, derated.across_mm) == pytest.approx((20.0, 16.0))
    assert (whole.along_mm, whole.across_mm) == pytest.approx((25.0, 20.0))
    assert whole.reach_mm(AXIS) == pytest.approx(25.0) and whole.reach_mm(np.eye(3)[0]) == pytest.approx(20.0)


@pytest.mark.parametrize("a,b,axis", [(0.0, 1.0, AXIS), (1.0, float("nan"), AXIS), (1.0, 1.0, 2 * AXIS)])
def test_what_is_no_ellipsoid_is_refused(a: float, b: float, axis: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Ellipsoid(np.zeros(3), axis, a, b)


def unit(rng: np.random.Generator) -> np.ndarray:
    found = rng.standard_normal(3)
    return found / np.linalg.norm(found)
