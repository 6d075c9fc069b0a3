"""Distances of whole shafts: brute force, and analytic truth inside the stated interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan.errors import GeometryError
from navplan.geometry.grid import Grid
from navplan.geometry.lines import distance_points_to_segment
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import boundary_of, occupancy_at
from navplan.planning.margins import margins
from navplan_phantoms.primitives import Box, Capsule, Sphere
from navplan_phantoms.solids import Ellipsoid
from tests.planning.scenes import grid_of, structure_of

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 1.0), (0.7, 0.7, 2.5), (1.5, 1.5, 5.0)]


def rotation(angles: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    return matrix


def random_grid(rng: np.random.Generator, spacing: tuple[float, float, float]) -> Grid:
    affine = rotation(rng.uniform(-np.pi, np.pi, 3)) @ np.diag([*spacing, 1.0])
    shape = np.ceil(70.0 / np.asarray(spacing)).astype(int)
    affine[:3, 3] = -affine[:3, :3] @ ((shape - 1) / 2) + rng.uniform(-1, 1, 3)
    return Grid(affine, tuple(shape))


def random_solid(rng: np.random.Generator, smallest_mm: float, largest_mm: float):
    centre = rng.uniform(-8, 8, 3)
    size = rng.uniform(smallest_mm, largest_mm)
    kind = rng.integers(4)
    if kind == 0:
        return Sphere(centre, size)
    if kind == 1:
        along = rng.standard_normal(3)
        along *= rng.uniform(2, 12) / np.linalg.norm(along)
        return Capsule(centre - along, centre + along, size)
    if kind == 2:
        return Box(centre, rng.uniform(size, 1.5 * size, 3), rotation(rng.uniform(-3, 3, 3))[:3, :3])
    return Ellipsoid(centre, rng.uniform(size, 1.8 * size, 3), rotation(rng.uniform(-3, 3, 3))[:3, :3])


def random_axis(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    start = rng.standard_normal(3)
    start *= 32 / np.linalg.norm(start)
    return start, rng.uniform(-28, 28, 3)


@given(st.integers(0, 10**6), st.sampled_from(SPACINGS))
@settings(max_examples=60, deadline=None)
def test_fractional_labels_bound_the_truth_in_every_case(seed: int, spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    grid, solid = random_grid(rng, spacing), random_solid(rng, 0.4, 9.0)
    boundary = boundary_of(structure_of("aorta", solid, grid))
    for _ in range(5):
        start, end = random_axis(rng)
        interval = margins([boundary], [start], [end]).interval(0, 0, 0.0)
        truth = max(solid.segment_distance_mm(start, end), 0.0)
        assert interval.low_mm - 1e-6 <= truth <= interval.high_mm + 1e-6
        assert interval.high_mm - interval.low_mm <= grid.diagonal_mm + 1e-9


@given(st.integers(0, 10**6), st.sampled_from(SPACINGS))
@settings(max_examples=60, deadline=None)
def test_hard_labels_bound_the_truth_where_they_prove_the_structure_thick(
    seed: int, spacing: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    grid, solid = random_grid(rng, spacing), random_solid(rng, 0.4, 14.0)
    structure = structure_of("aorta", solid, grid, hard=True)
    if structure.presence is not Presence.PRESENT:
        return
    boundary = boundary_of(structure)
    for _ in range(5):
        start, end = random_axis(rng)
        measured = margins([boundary], [start], [end])
        interval = measured.interval(0, 0, 0.0)
        truth = max(solid.segment_distance_mm(start, end), 0.0)
        assert truth <= interval.high_mm + 1e-6
        assert interval.high_mm - interval.low_mm <= grid.diagonal_mm + 1e-9
        if boundary.locally_thick(boundary.centres_mm[measured.nearest[0, 0]]):
            assert interval.low_mm - 1e-6 <= truth


@pytest.mark.parametrize("spacing", SPACINGS)
def test_thick_structures_are_proven_thick_and_thin_ones_are_not(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(3)
    grid = random_grid(rng, spacing)
    thick = boundary_of(structure_of("aorta", Sphere((0, 0, 0), 3.2 * grid.diagonal_mm), grid, hard=True))
    proven = [thick.locally_thick(centre) for centre in thick.centres_mm[:: max(len(thick.centres_mm) // 50, 1)]]
    assert np.mean(proven) > 0.95
    thin = structure_of("aorta", Capsule((-20, 0, 0), (20, 5, 3), 0.45 * grid.diagonal_mm), grid, hard=True)
    if thin.presence is Presence.PRESENT:
        edge = boundary_of(thin)
        assert not any(edge.locally_thick(centre) for centre in edge.centres_mm)


def test_blocks_change_nothing_against_all_voxels_one_by_one() -> None:
    rng = np.random.default_rng(11)
    grid = random_grid(rng, (0.7, 0.7, 2.5))
    boundaries = [boundary_of(structure_of("aorta", random_solid(rng, 4, 12), grid, hard=True)) for _ in range(4)]
    starts = np.stack([random_axis(rng)[0] for _ in range(200)])
    ends = rng.uniform(-25, 25, (200, 3))
    measured = margins(boundaries, starts, ends)
    for column, boundary in enumerate(boundaries):
        for row in range(200):
            distance, along = distance_points_to_segment(boundary.centres_mm, starts[row], ends[row])
            if occupancy_at(boundary.structure, starts[row : row + 1])[0]:
                assert measured.centre_mm[row, column] == 0
                continue
            assert measured.centre_mm[row, column] == pytest.approx(distance.min(), abs=1e-9)
            nearest = measured.nearest[row, column]
            assert distance[nearest] == pytest.approx(distance.min(), abs=1e-9)
            assert measured.along_mm[row, column] == pytest.approx(along[nearest], abs=1e-6)


def test_the_compiled_kernel_agrees_with_the_plain_function() -> None:
    from navplan.planning import margins as module

    rng = np.random.default_rng(5)
    grid = random_grid(rng, (1.5, 1.5, 5.0))
    boundaries = [boundary_of(structure_of("aorta", random_solid(rng, 3, 9), grid)) for _ in range(2)]
    starts = np.stack([random_axis(rng)[0] for _ in range(3)])
    fast = margins(boundaries, starts, np.zeros(3))
    kernel = module._segments_to_voxels
    try:
        module._segments_to_voxels = kernel.python
        plain = margins(boundaries, starts, np.zeros(3))
    finally:
        module._segments_to_voxels = kernel
    np.testing.assert_allclose(fast.centre_mm, plain.centre_mm, atol=1e-12)


def test_rigid_motion_of_everything_changes_no_distance() -> None:
    rng = np.random.default_rng(2)
    motion = rotation(rng.uniform(-3, 3, 3))
    motion[:3, 3] = rng.uniform(-500, 500, 3)
    grid = random_grid(rng, (0.7, 0.7, 2.5))
    moved_grid = Grid(motion @ grid.affine, grid.shape)
    here = structure_of("aorta", Capsule((-9, 2, 0), (8, 4, 9), 6.0), grid)
    there = Structure(
        "aorta",
        Presence.PRESENT,
        here.occupancy,
        moved_grid.crop(np.rint(grid.indices(here.grid.origin_mm)), here.grid.shape),
        True,
        moved_grid,
    )
    start, end = random_axis(rng)

    def move(point: np.ndarray) -> np.ndarray:
        return motion[:3, :3] @ point + motion[:3, 3]

    first = margins([boundary_of(here)], [start], [end])
    second = margins([boundary_of(there)], [move(start)], [move(end)])
    np.testing.assert_allclose(first.centre_mm, second.centre_mm, atol=1e-8)
    np.testing.assert_allclose(first.along_mm, second.along_mm, atol=1e-6)


def test_an_axis_that_starts_and_ends_inside_has_distance_zero() -> None:
    grid = random_grid(np.random.default_rng(1), (1.0, 1.0, 1.0))
    boundary = boundary_of(structure_of("liver", Sphere((0, 0, 0), 25), grid))
    interval = margins([boundary], [[-5.0, 0, 0]], [[5.0, 0, 0]]).interval(0, 0, 0.8)
    assert (interval.low_mm, interval.high_mm) == (-0.8, pytest.approx(boundary.above_mm - 0.8))


@pytest.mark.parametrize("end", [(0.0, 0.0, np.nan), (1.0, 1.0, 1.0)])
def test_axes_without_length_or_with_nan_are_refused(end: tuple[float, float, float]) -> None:
    grid = random_grid(np.random.default_rng(1), (1.0, 1.0, 1.0))
    boundary = boundary_of(structure_of("liver", Sphere((0, 0, 0), 9), grid))
    with pytest.raises(GeometryError):
        margins([boundary], [[1.0, 1.0, 1.0]], [end])


@pytest.mark.parametrize("hard", [False, True])
def test_an_axis_that_starts_in_a_voxel_on_the_boundary_keeps_its_interval(hard: bool) -> None:
    """Such a voxel holds a part of the structure, perhaps not the start of the axis."""
    ball, grid = Sphere((0.0, 0.0, 0.0), 12.0), grid_of((3.0, 2.0, 2.5))
    bound = boundary_of(structure_of("ball", ball, grid, hard=hard))
    rng = np.random.default_rng(3)
    picked = bound.centres_mm[rng.choice(len(bound.centres_mm), 60)]
    starts = picked + rng.uniform(-0.49, 0.49, picked.shape) * grid.spacing_mm
    ends = starts + 30.0 * starts / np.linalg.norm(starts, axis=1)[:, None]
    measured = margins([bound], starts, ends)
    for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
        clearance = measured.interval(n, 0, 0.0)
        truth = max(ball.segment_distance_mm(start, end), 0.0)
        assert clearance.low_mm - 1e-6 <= truth <= clearance.high_mm + 1e-6
