"""How deep an axis runs in a bone, and the grade of a pedicle that it proves, against solids that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.depth_in_bone import depth_at_least_mm, depths_about_mm, depths_at_least_mm
from navplan.planning.sequence_rules import PEDICLE_DEEP_MM, pedicle_grade, surely_inside_pedicle
from navplan_phantoms.lumbar_spine import LEVELS, SIDES, bone, place, spinal_canal
from navplan_phantoms.lumbar_truth import pedicle_axis
from navplan_phantoms.primitives import Box, Capsule
from navplan_phantoms.solid_base import Solid
from tests.planning.scenes import structure_of


def turned_grid(rng: np.random.Generator, middle_mm: NDArray[np.float64], half_mm: float, spacing_mm: float) -> Grid:
    """A grid turned at random about a point, 2 half_mm wide."""
    count = int(np.ceil(2 * half_mm / spacing_mm))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix() * spacing_mm
    affine[:3, 3] = middle_mm - affine[:3, :3] @ (np.full(3, (count - 1) / 2) + rng.uniform(-0.5, 0.5, 3))
    return Grid(affine, (count, count, count))


@pytest.mark.parametrize("hard", [False, True])
def test_the_depth_is_never_more_than_the_true_one(hard: bool) -> None:
    told, seeds = [], range(96)
    for seed in seeds:
        rng = np.random.default_rng(810_000 + seed)
        shape: Solid = Capsule((-20.0, 0.0, 0.0), (20.0, 0.0, 0.0), float(rng.uniform(2.5, 6.0)))
        if seed % 3 == 0:
            shape = Box((0.0, 0.0, 0.0), (20.0, float(rng.uniform(2.5, 6.0)), float(rng.uniform(2.5, 6.0))))
        grid = turned_grid(rng, np.zeros(3), 26.0, float(rng.uniform(0.5, 1.2)))
        made = structure_of("vertebrae_L3", shape, grid, hard=hard)
        start, end = (np.array([x, *rng.uniform(-1.5, 1.5, 2)]) for x in (-6.0, 6.0))
        line = start + np.linspace(0.0, 1.0, 201)[:, None] * (end - start)
        truth = float((-shape.signed_distance_mm(line)).min())
        found = depth_at_least_mm(made, start, end, 10.0)
        assert found <= max(truth, 0.0) + 1e-9, seed
        told.append(truth - found)
    assert np.median(told) < (2.2 if hard else 0.35)


def test_an_axis_that_leaves_the_bone_has_no_depth() -> None:
    grid = turned_grid(np.random.default_rng(3), np.zeros(3), 26.0, 1.0)
    rod = structure_of("vertebrae_L3", Capsule((-20.0, 0.0, 0.0), (20.0, 0.0, 0.0), 4.0), grid)
    assert depth_at_least_mm(rod, np.array([0.0, 0.0, 0.0]), np.array([0.0, 0.0, 9.0]), 10.0) == 0.0
    assert depth_at_least_mm(rod, np.array([0.0, 0.0, 9.0]), np.array([0.0, 0.0, 8.0]), 10.0) == 0.0
    assert depth_at_least_mm(rod, np.array([-1.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0]), 0.5) == 0.5


def truly_inside(way: Trajectory, level: str) -> bool:
    """Whether no point of the needle's surface leaves the bone between the canal's front and PEDICLE_DEEP_MM behind
    it, by the solids alone; 1 mm of that room is left to the voxels at each end."""
    depths = np.arange(0.0, way.swept_depth_mm, 0.1)
    axis = np.asarray(way.entry_mm) + depths[:, None] * way.direction
    local = (axis - place(level)[:3, 3]) @ place(level)[:3, :3]
    front = 24.2 - 6.3
    axis = axis[(local[:, 1] > front + 1.0) & (local[:, 1] < front + PEDICLE_DEEP_MM - 1.0)]
    first = np.cross(way.direction, (0.0, 0.0, 1.0))
    first /= np.linalg.norm(first)
    turn = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    ring = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * np.cross(way.direction, first)
    surface = (axis[:, None] + way.device.radius_mm * ring).reshape(-1, 3)
    return bool((bone(level).signed_distance_mm(surface) <= 0.0).all())


@pytest.mark.parametrize("spacing_mm", [1.0, 0.5])
def test_a_proven_grade_is_never_better_than_the_true_one(spacing_mm: float) -> None:
    proven = true = graded = 0
    rng = np.random.default_rng(31)
    for level in LEVELS[1:4] if spacing_mm == 1.0 else LEVELS[2:3]:
        middle = place(level)[:3, 3] + 20.0 * place(level)[:3, 1]
        grid = turned_grid(rng, middle, 42.0, spacing_mm)
        vertebra = structure_of(f"vertebrae_{level}", bone(level), grid)
        canal = structure_of("spinal_canal", spinal_canal(), grid)
        for n in range(100):
            centre, forward = pedicle_axis(level, tuple(SIDES)[n % 2])
            forward = forward + rng.normal(0.0, 0.05, 3)
            forward /= np.linalg.norm(forward)
            through = centre + rng.normal(0.0, 1.0, 3)
            entry, aim = (tuple(float(x) for x in through + by * forward) for by in (-30.0, 20.0))
            needle = Device("n", "cannula", 13, float(rng.choice([1.83, 2.41, 3.05])), 150.0, 0.0)
            way = Trajectory(entry, aim, needle)
            grade = pedicle_grade(way, vertebra, canal)
            inside, sure = truly_inside(way, level), surely_inside_pedicle(way, vertebra, canal)
            assert inside or not sure, (level, n)
            true, proven, graded = true + inside, proven + sure, graded + (grade is not None and grade.grade == "A")
    assert graded > 0.8 * true
    assert proven > 0.7 * true


@pytest.mark.parametrize("hard", [False, True])
def test_depths_of_points_are_bounded_and_about_right(hard: bool) -> None:
    """What the search ranks by never promises more than is true; what a grade is told from is off by little."""
    off = []
    for seed in range(12):
        rng = np.random.default_rng(820_000 + seed)
        shape = Capsule((-20.0, 0.0, 0.0), (20.0, 0.0, 0.0), float(rng.uniform(3.0, 6.0)))
        spacing = float(rng.uniform(0.5, 1.2))
        made = structure_of("vertebrae_L3", shape, turned_grid(rng, np.zeros(3), 26.0, spacing), hard=hard)
        points = rng.uniform((-10.0, -7.0, -7.0), (10.0, 7.0, 7.0), (200, 3))
        truth = -shape.signed_distance_mm(points)
        assert (depths_at_least_mm(made, points) <= truth + 1e-9).all(), seed
        off.append((depths_about_mm(made, points) - truth) / spacing)
    assert abs(np.mean(off)) < 0.15 and np.std(off) < 0.35
