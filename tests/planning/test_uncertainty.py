"""Closed forms against the published and derived figures, and the swept bound against them."""

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.model.error_model import ErrorModel
from navplan.model.structure import Presence, Structure
from navplan.planning import uncertainty as module
from navplan.planning.boundary import Boundary, boundary_of
from navplan.planning.uncertainty import (
    RADIUS_95_2D,
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
        shared = (start, module._axes(*direction.tolist()), float(np.linalg.norm(end - start)), 1.5)
        sigmas = (np.asarray([2.0, rng.uniform(0.0, 0.1), 0.5]), 64)
        found = module._nearest_in_sectors(bound.centres_mm, bound.voxels.block_start, blocks, *shared, *sigmas)
        asked_all = module._nearest_in_sectors(bound.centres_mm, every, one, *shared, *sigmas)
        assert (found == asked_all).all()
        seen += bool(found.min() > 0 and np.isfinite(found).any())
    assert seen >= 5
