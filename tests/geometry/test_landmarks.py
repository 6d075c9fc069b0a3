"""Registration by landmarks, and the map of its error: published values, and draws."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.errors import GeometryError
from navplan.geometry.landmarks import fit_landmarks, target_error_mm

SQUARE = np.array([[50, 50, 0], [50, -50, 0], [-50, 50, 0], [-50, -50, 0]], dtype=float)
CORNER = np.array([[0, 0, 0], [50, 0, 0], [0, 30, 0], [0, 0, 40]], dtype=float)
FLAT = np.array([[1, 1, 0], [-0.5, 0.5, 0], [-1, -1, 0], [0.5, -0.5, 0]], dtype=float)


def moved(points: np.ndarray) -> np.ndarray:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    return points @ (turn * np.sign(np.linalg.det(turn))).T + np.array([10.0, -200.0, 33.0])


@pytest.mark.parametrize(
    ("landmarks", "target", "ratio"),
    [(SQUARE, (0, 0, 100), 0.91667), (CORNER, (0, 0, 100), 2.6730), (FLAT, (2, 0, 0), 1.3500)],
)
def test_tre_over_fle_fitzpatrick_1998(landmarks: np.ndarray, target: tuple[float, float, float], ratio: float):
    both = np.vstack([landmarks, target])
    for points in (both, moved(both)):
        error = target_error_mm(points[:-1], points[-1:], 1.0)
        assert error[0] ** 2 == pytest.approx(ratio, rel=2e-5)


def test_anisotropic_tre_danilchenko_fitzpatrick_2011():
    covariance = np.diag([0.1, 0.1, 0.3]) ** 2
    assert target_error_mm(CORNER, [[0, 0, 150]], covariance)[0] == pytest.approx(0.9052, abs=2e-4)


def test_fre_is_what_fle_leaves_fitzpatrick_1998():
    rng, source = np.random.default_rng(1), CORNER + 5.0
    squares = [
        (fit_landmarks(source + rng.normal(0, 1 / np.sqrt(3), source.shape), source).residuals_mm ** 2).mean()
        for _ in range(1500)
    ]
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.7071, rel=0.03)


def test_the_map_agrees_with_draws():
    rng, points = np.random.default_rng(2), np.array([[0.0, 0, 100], [40, 10, -20], [200, 0, 0]])
    squares = np.zeros(len(points))
    for _ in range(3_000):
        fit = fit_landmarks(CORNER + rng.normal(0, 0.2, CORNER.shape), CORNER)
        off = points @ fit.matrix[:3, :3].T + fit.matrix[:3, 3] - points
        squares += (off**2).sum(axis=1) / 3_000
    np.testing.assert_allclose(np.sqrt(squares), target_error_mm(CORNER, points, 3 * 0.2**2), rtol=0.04)


def test_an_exact_motion_is_found_and_mirrored_points_are_not_matched():
    fit = fit_landmarks(moved(CORNER), CORNER)
    np.testing.assert_allclose(CORNER @ fit.matrix[:3, :3].T + fit.matrix[:3, 3], moved(CORNER), atol=1e-9)
    assert fit.fre_mm < 1e-9 and np.linalg.det(fit.matrix[:3, :3]) == pytest.approx(1.0)
    mirrored = fit_landmarks(CORNER * [-1, 1, 1], CORNER)
    assert np.linalg.det(mirrored.matrix[:3, :3]) == pytest.approx(1.0) and mirrored.fre_mm > 5.0


def test_one_wrong_pair_stands_out_when_it_is_left_out():
    points = np.vstack([CORNER, [[60, 60, 60], [-40, 20, 10]]])
    wrong = moved(points)
    wrong[2] += [0.0, 9.0, 0.0]
    fit = fit_landmarks(wrong, points)
    assert int(np.nanargmax(fit.left_out_mm)) == 2 and fit.left_out_mm[2] > 8.0
    assert np.isnan(fit_landmarks(moved(points[:3]), points[:3]).left_out_mm).all()


def test_the_bound_of_the_landmarks_error_is_kept_in_most_draws():
    rng = np.random.default_rng(4)
    bounds = [fit_landmarks(CORNER + rng.normal(0, 1 / np.sqrt(3), CORNER.shape), CORNER).fle_mm for _ in range(1000)]
    assert 0.92 < np.mean(np.asarray(bounds) >= 1.0) < 0.98


ON_A_LINE = np.array([[0, 0, 0], [10, 0, 0], [20, 0, 0.1]])


@pytest.mark.parametrize("points", [CORNER[:2], ON_A_LINE, CORNER * np.nan, CORNER[:, :2]])
def test_landmarks_that_tell_too_little_are_refused(points: np.ndarray):
    with pytest.raises(GeometryError):
        fit_landmarks(points, points)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [3, 5])
def test_95_of_100_draws_lie_within_what_is_told(count: int, weighted: bool):
    """Though each draw has only its own residuals to tell how large the landmarks' error is."""
    rng = np.random.default_rng(5)
    landmarks = np.vstack([CORNER, [[60, 60, 60]]])[:count].astype(float)
    sigma = np.array([0.3, 1.5, 0.6, 3.0, 1.0])[:count, None] if weighted else np.full((count, 1), 1.2)
    weights = 40.0 / sigma[:, 0] ** 2 if weighted else None
    places, draws = np.array([[15.0, 10, 10], [0, 0, 100], [200, 50, 0]]), 700
    within = np.zeros(3)
    for _ in range(draws):
        fit = fit_landmarks(landmarks + rng.normal(size=landmarks.shape) * sigma, landmarks, weights=weights)
        off = np.linalg.norm(places @ fit.matrix[:3, :3].T + fit.matrix[:3, 3] - places, axis=1)
        within += off <= fit.error_95_mm(places)
    assert (np.abs(within / draws - 0.95) < 0.025).all()


def test_weights_make_the_map_better_and_are_refused_where_they_are_none():
    rng, sigma = np.random.default_rng(6), np.array([0.2, 0.2, 0.2, 0.2, 6.0])[:, None]
    points, off = np.vstack([CORNER, [[60, 60, 60]]]), np.zeros(2)
    for _ in range(200):
        seen = points + rng.normal(size=points.shape) * sigma
        for n, weights in enumerate([None, 1 / sigma[:, 0] ** 2]):
            fit = fit_landmarks(seen, points, weights=weights)
            off[n] += np.linalg.norm(fit.matrix[:3, :3] @ [20.0, 10, 10] + fit.matrix[:3, 3] - [20.0, 10, 10])
    assert off[1] < 0.3 * off[0]
    for wrong in ([1, 1, 1, 0], [1, 1, 1, np.nan], [1, 1, 1]):
        with pytest.raises(GeometryError, match="weights"):
            fit_landmarks(CORNER, CORNER, weights=wrong)


def test_landmarks_that_agree_by_chance_are_not_known_better_than_they_can_be():
    fit = fit_landmarks(moved(CORNER), CORNER, least_mm=2.0)
    at = moved(np.array([[0.0, 0, 100]]))
    alike = target_error_mm(moved(CORNER), at, 4.0)
    assert 1.6 * alike < fit.error_95_mm(at) < 1.97 * alike
