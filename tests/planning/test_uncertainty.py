"""Closed forms against the published and derived figures, and the swept bound against them."""

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.model.error_model import ErrorModel
from navplan.model.structure import Presence, Structure
from navplan.planning import uncertainty as module
from navplan.planning.boundary import Boundary, boundary_of
from navplan.planning.straying_discs import nearest_discs, nearest_ellipses
from navplan.planning.uncertainty import (
    RADIUS_95_2D,
    ball_probability,
    breach_crossing_tube,
    breach_parallel_tube,
    breach_probability,
    breach_wall,
    hit_probability,
)
from navplan_phantoms.primitives import Box, Sphere
from tests.planning.scenes import grid_of, structure_of

GRID = Grid(np.diag([0.5, 0.5, 0.5, 1.0]), (60, 160, 120))
POINTS = GRID.points_mm(np.moveaxis(np.indices(GRID.shape), 0, -1))
STEADY = ErrorModel("steady", "steady", 2.0, 0.0, "test")


def boundary(mask: np.ndarray) -> Boundary:
    return boundary_of(
        Structure(
            "aorta",
            Presence.PRESENT,
            mask.astype(np.uint8) * 255,
            GRID,
            evaluated_in=GRID,
            working_resolution_mm=(0.5, 0.5, 0.5),
        )
    )


@pytest.mark.parametrize(
    ("form", "expected"), [(breach_parallel_tube, 0.04078), (breach_crossing_tube, 0.06680), (breach_wall, 0.06681)]
)
def test_breach_at_6_mm_of_3_mm_with_sigma_2(form, expected) -> None:
    assert form(6.0, 3.0, 2.0) == pytest.approx(expected, abs=1e-5)


def test_rayleigh_tail_and_95_percent_radius() -> None:
    assert 1 - hit_probability(5.0, 2.0) == pytest.approx(0.04394, abs=1e-5)
    assert hit_probability(RADIUS_95_2D * 3.0, 3.0) == pytest.approx(0.95, abs=1e-9)


def test_swept_bound_of_a_wall_is_exact() -> None:
    wall = boundary(POINTS[..., 0] >= 20.0)
    start, end = np.array([14.0, 40.0, 5.0]), np.array([14.0, 40.0, 55.0])
    expected = breach_wall(20.0 - 14.0, 1.0 + wall.below_mm, 2.0)
    assert breach_probability(wall, start, end, 1.0, STEADY) == pytest.approx(expected, rel=5e-3)


def test_swept_bound_of_a_tube_is_above_the_truth_and_below_a_wall() -> None:
    tube = boundary(np.hypot(POINTS[..., 0] - 15.0, POINTS[..., 1] - 40.0) <= 2.0)
    start, end = np.array([9.0, 40.0, 5.0]), np.array([9.0, 40.0, 55.0])
    bound = breach_probability(tube, start, end, 1.0, STEADY)
    assert breach_parallel_tube(6.0, 3.0, 2.0) <= bound <= breach_wall(6.0, 3.0 + tube.diagonal_mm, 2.0)


def test_monte_carlo_never_exceeds_the_swept_bound() -> None:
    rng = np.random.default_rng(7)
    error = ErrorModel("cone", "cone", 1.0, 4.0, "test")
    ball = boundary(np.linalg.norm(POINTS - (18.0, 44.0, 40.0), axis=-1) <= 5.0)
    start, direction, length = np.array([10.0, 36.0, 2.0]), np.array([0.0, 0.0, 1.0]), 50.0
    bound = breach_probability(ball, start, start + length * direction, 0.6, error)
    draws = rng.standard_normal((4000, 2))
    depth = np.linspace(0, length, 101)
    axis = start + depth[:, None] * direction
    offset = error.sigma_mm(depth)[None, :, None] * np.concatenate([draws, np.zeros((4000, 1))], axis=1)[:, None, :]
    touched = (np.linalg.norm(axis[None] + offset - (18.0, 44.0, 40.0), axis=-1) <= 5.6).any(axis=1)
    assert 0.01 < touched.mean() <= bound + 3 * np.sqrt(bound * (1 - bound) / 4000)


def test_beyond_eight_sigma_and_inside() -> None:
    wall = boundary(POINTS[..., 0] >= 25.0)
    start, end = np.array([2.0, 40.0, 5.0]), np.array([2.0, 40.0, 55.0])
    assert breach_probability(wall, start, end, 0.5, ErrorModel("x", "x", 0.5, 0.0, "test")) < 1e-12
    assert breach_probability(wall, start, np.array([28.0, 40.0, 55.0]), 0.5, STEADY) == 1.0


@pytest.mark.parametrize("face_mm", [10.6, 11.5, 12.9, 13.4])
def test_hard_labels_that_stop_short_of_the_true_wall_still_bound_the_probability(face_mm: float) -> None:
    """Voxel centres lie every 3 mm: the last labelled one is up to 3 mm before the face."""
    grid = grid_of((3.0, 3.0, 3.0))
    wall = boundary_of(structure_of("wall", Box((face_mm - 30.0, 0.0, 0.0), (30.0, 60.0, 60.0)), grid, hard=True))
    start, end = np.array([18.0, -40.0, 2.0]), np.array([18.0, 40.0, 2.0])
    assert breach_probability(wall, start, end, 1.0, STEADY) >= breach_wall(18.0 - face_mm, 1.0, 2.0)


@pytest.mark.parametrize("seed", range(6))
def test_blocks_of_voxels_that_nearer_ones_hide_change_nothing(seed: int) -> None:
    """The directions of error one by one, against one block of all voxels, in which none can be passed over."""
    rng = np.random.default_rng(seed)
    grid = grid_of((1.0, 1.0, 1.0))
    solid = Box((0, 0, 0), rng.uniform(4.0, 14.0, 3)) if seed % 2 else Sphere((1.0, -2.0, 0.5), rng.uniform(5.0, 12.0))
    bound = boundary_of(structure_of("organ", solid, grid, hard=True))
    every = np.asarray([0, len(bound.centres_mm)], dtype=np.int64)
    blocks, one = bound.voxels.block_mm, np.asarray([[0.0, 0.0, 0.0, 1e6]])
    assert len(blocks) >= 8
    seen = 0
    for _ in range(40):
        start, aside = rng.standard_normal((2, 3))
        start *= 40.0 / np.linalg.norm(start)
        aside *= rng.uniform(5.0, 25.0) / np.linalg.norm(aside)
        start, end = start + aside, aside - rng.uniform(0.2, 1.0) * start
        direction = (end - start) / np.linalg.norm(end - start)
        shared = (start, module._axes(*direction.tolist()), np.asarray([float(np.linalg.norm(end - start))]), 1.5)
        bend, motion = rng.uniform(0.0, 0.002), rng.uniform(0.0, 2.0, 2) * (seed % 3 == 0)
        kernel = nearest_ellipses if seed % 3 == 0 else nearest_discs
        sigmas = (np.asarray([2.0, rng.uniform(0.0, 0.1), 0.5, bend, *motion]), 64)
        found, _ = kernel(bound.centres_mm, bound.voxels.block_start, blocks, *shared, *sigmas)
        asked_all, _ = kernel(bound.centres_mm, every, one, *shared, *sigmas)
        assert (found == asked_all).all()
        seen += bool(found.min() > 0 and np.isfinite(found).any())
    assert seen >= 5


BREATH = ErrorModel("breath", "breath", 1.5, 2.0, "test", 0.0005, (0.5, 1.5, 4.0))


def drawn(error: ErrorModel, direction: np.ndarray, depths: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, depths, 3) offsets of needles against an anatomy that moves, drawn from the model's own words: a needle
    keeps its direction of error; the motion is drawn in the patient's axes and seen across the needle."""
    rng = np.random.default_rng(seed)
    axes, motion = error.across(direction)
    square = error.needle_sigma_mm(depths)[:, None] ** 2 + motion[None, :] ** 2
    offsets = rng.standard_normal((count, 1, 2)) * np.sqrt(square)[None]
    return offsets @ axes


def test_motion_across_a_needle_is_that_of_the_patients_axes() -> None:
    rng = np.random.default_rng(3)
    motion = rng.standard_normal((200_000, 3)) * BREATH.motion_sigma_mm
    for direction in (np.array([0.0, 1.0, 0.0]), np.array([0.6, 0.0, 0.8]), np.array([1.0, 1.0, 1.0]) / np.sqrt(3)):
        axes, sigmas = BREATH.across(direction)
        assert np.allclose(axes @ direction, 0.0, atol=1e-12) and np.allclose(axes @ axes.T, np.eye(2), atol=1e-12)
        seen = motion @ axes.T
        assert np.allclose(seen.std(axis=0), sigmas, rtol=0.01)
        assert abs(np.corrcoef(seen.T)[0, 1]) < 0.01
        assert BREATH.along_mm(direction) == pytest.approx((motion @ direction).std(), rel=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_with_motion_and_bending_a_wall_is_nearly_exact_and_never_below_a_million_draws(seed: int) -> None:
    """A wall along the needle, turned about it: P = Phi(-(D - rho) / sigma across it)."""
    rng = np.random.default_rng(seed)
    direction = np.array([0.0, 0.0, 1.0]) if seed < 4 else np.array([0.0, 1.0, 0.0])
    turn = rng.uniform(0, 2 * np.pi)
    one, two = (np.eye(3)[[0, 1]] if seed < 4 else np.eye(3)[[0, 2]])
    facing = np.cos(turn) * one + np.sin(turn) * two
    start, length = np.array([15.0, 40.0, 30.0]) - 12.0 * direction, 24.0
    wall = boundary((POINTS - start) @ facing >= 5.0)
    bound = breach_probability(wall, start, start + length * direction, 0.6, BREATH)
    axes, motion = BREATH.across(direction)
    square = float(BREATH.needle_sigma_mm(length)) ** 2 + motion**2
    sigma = float(np.sqrt(((axes @ facing) ** 2 * square).sum()))
    true = breach_wall(5.0, 0.6, sigma)
    assert true <= bound
    offsets = drawn(BREATH, direction, np.array([length]), 1_000_000, seed)[:, 0]
    share = float((offsets @ facing >= 5.0 - 0.6).mean())
    assert share == pytest.approx(true, abs=4 * np.sqrt(true / 1e6))
    # the discs stand as far out as a voxel may reach; and the end may lie deeper, where sigma is larger
    farther = breach_wall(5.0, 0.6 + wall.below_mm, sigma)
    still = replace(BREATH, motion_sigma_mm=tuple(np.asarray(BREATH.motion_sigma_mm) * (direction == 0.0)))
    assert breach_probability(wall, start, start + length * direction, 0.6, still) <= farther * 1.03 + 1e-6
    assert bound <= farther * 1.35 + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_with_motion_a_million_draws_never_exceed_the_swept_bound(seed: int) -> None:
    rng = np.random.default_rng(10 + seed)
    middle = np.array([15.0, 40.0, 30.0])
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    axes = BREATH.across(direction)[0]
    aside = rng.standard_normal(2) @ axes
    place = middle + aside / np.linalg.norm(aside) * 7.0
    ball = boundary(np.linalg.norm(POINTS - place, axis=-1) <= 3.0)
    start, length = middle - 12.0 * direction, 24.0
    bound = breach_probability(ball, start, start + length * direction, 0.6, BREATH)
    depths = np.linspace(0.0, length, 9)
    touched = 0
    for part in range(20):
        offsets = drawn(BREATH, direction, depths, 50_000, 100 * seed + part)
        away = start + depths[:, None] * direction - place + offsets
        touched += int((np.einsum("ijk,ijk->ij", away, away) <= 3.6**2).any(axis=1).sum())
    share = touched / 1e6
    assert 0.001 < share <= bound + 3 * np.sqrt(bound / 1e6)


@pytest.mark.parametrize("sigmas", [(2.0, 2.0), (1.0, 3.0), (0.4, 2.0, 5.0), (2.0, 2.0, 2.0), (3.0, 0.0, 0.0)])
def test_the_probability_of_a_ball_is_what_a_million_draws_say(sigmas: tuple[float, ...]) -> None:
    errors = np.random.default_rng(1).standard_normal((1_000_000, len(sigmas))) * sigmas
    for radius in (0.5, 2.0, 5.0, 12.0):
        share = float((np.linalg.norm(errors, axis=1) < radius).mean())
        found = ball_probability(radius, sigmas)
        assert found == pytest.approx(share, abs=4 * np.sqrt(max(share * (1 - share), 1e-7) / 1e6))
    assert ball_probability(5.0, (2.0, 2.0)) == pytest.approx(hit_probability(5.0, 2.0), abs=1e-6)
    assert ball_probability(0.0, sigmas) == 0.0 and ball_probability(1.0, (0.0, 0.0)) == 1.0


def test_a_model_without_motion_and_bending_is_what_it_was() -> None:
    plain = ErrorModel("cone", "cone", 1.0, 4.0, "test")
    depths = np.array([0.0, 50.0, 140.0])
    assert np.allclose(plain.sigma_mm(depths), np.hypot(1.0, depths * np.radians(4.0)))
    assert (plain.sigma_mm(depths) == plain.needle_sigma_mm(depths)).all()
    assert BREATH.sigma_mm(100.0) == pytest.approx(np.sqrt(1.5**2 + (100 * np.radians(2)) ** 2 + 2.5**2 + 4.0**2))


@pytest.mark.parametrize(
    "wrong", [{"bend_sigma_per_mm": -1.0}, {"bend_sigma_per_mm": float("nan")}, {"motion_sigma_mm": (0.0, 0.0)},
              {"motion_sigma_mm": (0.0, -1.0, 0.0)}, {"motion_sigma_mm": (0.0, float("inf"), 0.0)}],
)  # fmt: skip
def test_parts_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        ErrorModel("x", "x", 1.0, 1.0, "test", **wrong)


ROBOT_BREATH = ErrorModel("robot", "robot, breathing", 0.5, 0.84, "test", motion_sigma_mm=(0.46, 1.34, 4.21))


def rays(bound: Boundary, start: np.ndarray, end: np.ndarray, radius: float, error: ErrorModel, count: int) -> float:
    """The bound's own words, ray by ray and disc by disc: mean of exp(-zeta^2 / 2) over directions of error."""
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / length
    axes, motion = error.across(direction)
    reach, offset = radius + bound.below_mm, bound.centres_mm - start
    depth = offset @ direction
    passed = (depth > -reach) & (depth < length + reach)
    needle = error.needle_sigma_mm(np.clip(depth[passed], 0.0, length))
    needle = np.hypot(needle, bound.structure.boundary_sigma_mm or 0.0)
    sigma = np.sqrt(needle[:, None] ** 2 + motion**2)
    middle = offset[passed] @ axes.T
    tangent = (middle**2).sum(axis=1) - reach**2
    found = []
    for angle in np.linspace(0.0, 2.0 * np.pi, count, endpoint=False):
        ray = sigma * (np.cos(angle), np.sin(angle))
        along, square = (ray * middle).sum(axis=1), (ray**2).sum(axis=1)
        root = along**2 - square * tangent
        met = (root >= 0.0) & (along > 0.0)
        zeta = np.where(met, (along - np.sqrt(np.maximum(root, 0.0))) / square, np.inf)
        found.append(0.0 if (tangent <= 0.0).any() else zeta.min(initial=np.inf))
    return float(np.exp(-(np.asarray(found) ** 2) / 2).mean())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("error", [BREATH, ROBOT_BREATH], ids=["breath", "robot"])
def test_uneven_motion_takes_each_disc_as_the_ellipse_that_it_is(seed: int, error: ErrorModel) -> None:
    """Never below the rays one by one, and hardly above; before, discs were divided by the smaller sigma."""
    rng = np.random.default_rng(40 + seed)
    compared = 0
    for _ in range(6):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        middle, size = np.array([15.0, 40.0, 30.0]), rng.uniform(2.0, 6.0)
        aside = rng.standard_normal(2) @ error.across(direction)[0]
        place = middle + aside / np.linalg.norm(aside) * (size + rng.uniform(1.0, 6.0))
        ball = boundary(np.linalg.norm(POINTS - place, axis=-1) <= size)
        if not len(ball.centres_mm):
            continue
        start, end = middle - 14.0 * direction, middle + 14.0 * direction
        expected = rays(ball, start, end, 0.6, error, 1440)
        found = _without_ends(ball, start, end, 0.6, error)
        assert expected * (1 - 1e-9) - 1e-5 <= found <= expected * 1.05 + 1e-5
        compared += expected > 1e-4
    assert compared >= 2


def _without_ends(bound: Boundary, start: np.ndarray, end: np.ndarray, radius: float, error: ErrorModel) -> float:
    """The bound of a needle that ends where it is meant to."""
    length = float(np.linalg.norm(end - start))
    across, motion = error.across((end - start) / length)
    zeta, _ = nearest_ellipses(
        bound.centres_mm, bound.voxels.block_start, bound.voxels.block_mm, start,
        np.stack([*across, (end - start) / length]), np.asarray([length]), radius + bound.below_mm,
        np.asarray([error.entry_sigma_mm, np.radians(error.angle_sigma_deg), 0, error.bend_sigma_per_mm / 2, *motion]),
        720,
    )  # fmt: skip
    return float(np.exp(-(zeta[0] ** 2) / 2).mean())


DEEP = ErrorModel("deep", "deep", 1.5, 2.0, "test", depth_sigma_mm=2.5)


@pytest.mark.parametrize("ahead_mm", [2.0, 4.0, 7.0])
def test_a_wall_ahead_of_the_tip_is_touched_as_often_as_the_end_goes_too_far(ahead_mm: float) -> None:
    """P = Phi(-(D - rho) / depth sigma), against a million draws of where the end lies."""
    start, end = np.array([15.0, 40.0, 5.0]), np.array([15.0, 40.0, 35.0])
    wall = boundary(POINTS[..., 2] >= 35.0 + ahead_mm)
    assert breach_probability(wall, start, end, 0.6, replace(DEEP, depth_sigma_mm=0.0)) == 0.0
    bound = breach_probability(wall, start, end, 0.6, DEEP)
    share = float((np.random.default_rng(5).normal(0.0, 2.5, 1_000_000) >= ahead_mm).mean())
    assert share - 4 * np.sqrt(share / 1e6) <= bound
    assert bound == pytest.approx(breach_wall(ahead_mm, 0.6 + wall.below_mm, 2.5), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("error", [DEEP, replace(BREATH, depth_sigma_mm=2.0)], ids=["still", "breathing"])
def test_a_million_needles_with_an_end_that_is_off_never_exceed_the_bound(seed: int, error: ErrorModel) -> None:
    """A ball beyond the tip and a little aside. Motion is drawn in the patient's axes: across and along belong
    together."""
    rng = np.random.default_rng(60 + seed)
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    start, length = np.array([15.0, 40.0, 30.0]) - 20.0 * direction, 20.0
    aside = rng.standard_normal(2) @ error.across(direction)[0]
    place = start + (length + 5.0) * direction + aside / np.linalg.norm(aside) * rng.uniform(0.5, 5.0)
    ball = boundary(np.linalg.norm(POINTS - place, axis=-1) <= 3.0)
    bound = breach_probability(ball, start, start + length * direction, 0.6, error)
    planned = breach_probability(ball, start, start + length * direction, 0.6, _still_along(error))
    assert planned <= bound
    axes, _ = error.across(direction)
    spread = np.asarray(error.motion_sigma_mm)
    touched = 0
    for _ in range(20):
        lateral, shift = rng.standard_normal((50_000, 2)), rng.standard_normal((50_000, 3)) * spread
        end = length + error.depth_sigma_mm * rng.standard_normal(50_000) + shift @ direction
        hit = np.zeros(50_000, dtype=bool)
        for depth in np.linspace(length / 2, length + 14.0, 18):
            needle = float(error.needle_sigma_mm(depth))
            offset = (lateral * needle + shift @ axes.T) @ axes
            away = start + depth * direction - place + offset
            hit |= (depth <= end) & (np.einsum("ij,ij->i", away, away) <= 3.6**2)
        touched += int(hit.sum())
    share = touched / 1e6
    assert 0.001 < share <= bound + 4 * np.sqrt(bound / 1e6)


def _still_along(error: ErrorModel) -> ErrorModel:
    """The model without an error of depth and without motion."""
    return replace(error, depth_sigma_mm=0.0, motion_sigma_mm=(0.0, 0.0, 0.0))


def test_an_end_that_may_be_off_lowers_the_chance_of_a_hit_as_a_million_draws_say() -> None:
    errors = np.random.default_rng(2).standard_normal((1_000_000, 3)) * (3.0, 3.0, 2.5)
    share = float((np.linalg.norm(errors, axis=1) < 5.0).mean())
    found = ball_probability(5.0, (3.0, 3.0, 2.5))
    assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 1e6)) and found < hit_probability(5.0, 3)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), 60.0])
def test_an_error_of_depth_that_cannot_be_is_refused(wrong: float) -> None:
    with pytest.raises(InputError):
        replace(DEEP, depth_sigma_mm=wrong)
