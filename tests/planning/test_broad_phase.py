"""Distances of very many axes: each silent trap of packets and blocks, against one axis and one voxel at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.planning import broad_phase as module
from navplan.planning.boundary import BLOCK_MM, Boundary, boundary_of, boundary_voxels
from navplan.planning.broad_phase import ROUNDING_MM, boundary_blocks, broad_distances, order_of_directions
from navplan.planning.margins import margins

Points = NDArray[np.float64]
SHAPES = [(1, 1, 1), (3, 2, 4), (9, 7, 5), (12, 12, 9)]


def labelled(mask: NDArray[np.bool_], grid: Grid) -> Boundary:
    """The boundary of a hard label on its grid."""
    occupancy = np.where(mask, 255, 0).astype(np.uint8)
    x, y, z = grid.spacing_mm
    resolution = (float(x), float(y), float(z))
    return boundary_of(
        Structure("liver", Presence.PRESENT, occupancy, grid, False, grid, working_resolution_mm=resolution)
    )


def random_boundary(rng: np.random.Generator, spread_mm: float = 40.0, away_mm: float = 0.0) -> Boundary:
    """A ragged lump of voxels somewhere within `spread_mm` of a point that lies `away_mm` off."""
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = q * rng.uniform(0.5, 3.0, 3)
    affine[:3, 3] = rng.uniform(-spread_mm, spread_mm, 3) + away_mm
    shape = SHAPES[rng.integers(len(SHAPES))]
    mask = rng.random(shape) < rng.choice([0.1, 0.5, 1.0])
    mask[tuple(n // 2 for n in shape)] = True
    return labelled(mask, Grid(affine, shape))


def one_by_one(boundaries: list[Boundary], starts: Points, ends: Points) -> Points:
    """(N, S) distance of each axis to each boundary voxel centre, 0 where it starts in a labelled voxel that is farther
    than half a diagonal."""
    ends = np.broadcast_to(ends, starts.shape)
    span = ends - starts
    squared = np.einsum("nc,nc->n", span, span)
    found = np.empty((len(starts), len(boundaries)))
    for s, boundary in enumerate(boundaries):
        best = np.full(len(starts), np.inf)
        for part in np.array_split(boundary.centres_mm, max(len(boundary.centres_mm) * len(starts) // 40_000, 1)):
            offset = part - starts[:, None]
            along = np.clip(np.einsum("nmc,nc->nm", offset, span) / squared[:, None], 0.0, 1.0)
            away = offset - along[:, :, None] * span[:, None]
            best = np.minimum(best, np.linalg.norm(away, axis=2).min(axis=1))
        grid, occupancy = boundary.structure.grid, boundary.structure.occupancy
        index = np.rint(grid.indices(starts)).astype(int)
        valid = ((index >= 0) & (index < grid.shape)).all(axis=1)
        inside = np.zeros(len(starts), dtype=bool)
        inside[valid] = occupancy[tuple(index[valid].T)] > 0
        best[inside & (best > grid.diagonal_mm / 2)] = 0.0
        found[:, s] = best
    return found


def check(boundaries: list[Boundary], starts: Points, ends: Points, far: Points | float = np.inf) -> Points:
    """Broad distances, checked against every pair: never too far, equal below `far`, at least `far` from there on."""
    found = broad_distances(boundary_blocks(tuple(boundaries)), starts, ends, far).astype(np.float64)
    truth = one_by_one(boundaries, starts, ends)
    limit = np.broadcast_to(far, truth.shape)
    assert found.shape == truth.shape
    assert (found >= 0).all() and (found <= truth).all(), (found - truth).max()
    near = truth < limit
    assert (truth[near] - found[near] <= 2 * ROUNDING_MM).all(), (truth - found)[near].max()
    beyond = ~near
    assert (found[beyond] >= limit[beyond] - 2 * ROUNDING_MM).all()
    return found


def around(rng: np.random.Generator, count: int, low_mm: float = 30.0, high_mm: float = 200.0) -> Points:
    """Points all around the origin."""
    points = rng.standard_normal((count, 3))
    return points * (rng.uniform(low_mm, high_mm, count) / np.linalg.norm(points, axis=1))[:, None]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 15, 16, 17, 31, 127, 128, 129, 333])
def test_starts_all_around_the_target(count: int) -> None:
    """Packets straddle the target: mean axes far shorter than their spread, where no cone bounds them."""
    for seed in range(max(4, 60 // count)):
        rng = np.random.default_rng([count, seed])
        boundaries = [random_boundary(rng) for _ in range(4)]
        check(boundaries, around(rng, count), rng.uniform(-20, 20, 3), rng.choice([np.inf, 8.0, 40.0]))


def test_two_opposite_starts_whose_mean_is_the_target() -> None:
    rng = np.random.default_rng(1)
    boundaries = [random_boundary(rng) for _ in range(8)]
    for start in around(rng, 50):
        check(boundaries, np.stack([start, -start]), np.zeros(3), 15.0)
        check(boundaries, np.stack([start, -start]), np.stack([-start, start]), 15.0)


@pytest.mark.parametrize("far", [np.inf, 12.0])
def test_coinciding_axes_keep_the_block_whose_two_bounds_are_one_number(far: float) -> None:
    """Spread is zero: the lower bound of the best block is its upper bound, rounded apart."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        boundaries = [random_boundary(rng) for _ in range(3)]
        start, end = around(rng, 1)[0], rng.uniform(-20, 20, 3)
        found = check(boundaries, np.tile(start, (rng.integers(1, 40), 1)), end, far)
        assert (found == found[0]).all()


def test_blocks_of_one_voxel_whose_two_bounds_are_one_number() -> None:
    """No spread and no radius: the lower and the upper bound of such a block are one number, rounded apart."""
    rng = np.random.default_rng(12)
    grid = Grid(np.diag([20.0, 20.0, 20.0, 1.0]), (3, 3, 3))
    one = np.zeros((3, 3, 3), dtype=bool)
    one[1, 1, 1] = True
    boundaries = [labelled(one, Grid(grid.affine + np.pad(rng.uniform(-9, 9, (3, 1)), ((0, 1), (3, 0))), grid.shape))
                  for _ in range(40)]  # fmt: skip
    boundaries.append(labelled(np.ones((3, 3, 3), dtype=bool), grid))
    for start, end in zip(around(rng, 250), rng.uniform(-30, 30, (250, 3)), strict=True):
        check(boundaries, np.tile(start, (rng.integers(1, 4), 1)), end)


def test_a_ring_about_the_axis_hides_no_nearer_voxel() -> None:
    """The middle of the ring's block lies on the axis, none of its voxels does."""
    i, j = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    mask = np.zeros((24, 8, 8), dtype=bool)
    mask[2] = np.abs(np.hypot(i, j) - 3.5) < 0.6
    mask[20, 5, 5] = True
    grid = Grid(np.eye(4), mask.shape)
    boundary = labelled(mask, grid)
    rng = np.random.default_rng(13)
    for count in (1, 3, 40):
        starts = np.array([60.0, 3.5, 3.5]) + rng.uniform(-0.4, 0.4, (count, 3))
        check([boundary], starts, np.array([-9.0, 3.5, 3.5]))


def test_coinciding_starts_with_ends_of_their_own() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        boundaries = [random_boundary(rng) for _ in range(3)]
        start = around(rng, 1)[0]
        check(boundaries, np.tile(start, (70, 1)), rng.uniform(-60, 60, (70, 3)), 20.0)
        check(boundaries, np.tile(start, (70, 1)), start + rng.uniform(-0.02, 0.02, (70, 3)), 20.0)


def test_very_long_and_very_short_axes_in_one_packet() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        boundaries = [random_boundary(rng) for _ in range(3)]
        starts = around(rng, 50, 1.0, 60.0)
        direction = starts + rng.standard_normal((50, 3))
        lengths = 10 ** rng.uniform(-4.0, 3.3, 50)
        ends = starts - direction * (lengths / np.linalg.norm(direction, axis=1))[:, None]
        check(boundaries, starts, ends, rng.choice([np.inf, 10.0]))


@pytest.mark.parametrize("count", [1023, 1024, 1025, 4095, 4096, 5003])
def test_counts_beside_those_at_which_packets_and_threads_change(count: int) -> None:
    rng = np.random.default_rng(count)
    boundaries = [random_boundary(rng) for _ in range(2)]
    check(boundaries, around(rng, count), rng.uniform(-20, 20, 3), np.array([25.0, np.inf]))


def test_each_structure_has_its_own_far() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        boundaries = [random_boundary(rng) for _ in range(5)]
        far = np.array([0.0, 3.0, 15.0, 60.0, np.inf])
        found = check(boundaries, around(rng, 90), rng.uniform(-20, 20, 3), far)
        apart = one_by_one(boundaries[4:], around(rng, 1), np.zeros(3))
        assert found.shape == (90, 5) and np.isfinite(apart).all()


def test_far_from_the_origin_of_the_patient_nothing_is_lost_to_single_precision() -> None:
    rng = np.random.default_rng(6)
    for away in (-2000.0, 900.0, 5000.0):
        boundaries = [random_boundary(rng, 30.0, away) for _ in range(4)]
        check(boundaries, around(rng, 120, 30.0, 400.0) + away, rng.uniform(-20, 20, 3) + away)


def test_axes_that_start_inside_and_never_meet_the_boundary_are_at_zero() -> None:
    grid = Grid(np.eye(4), (40, 40, 40))
    boundary = labelled(np.ones((40, 40, 40), dtype=bool), grid)
    rng = np.random.default_rng(7)
    starts = rng.uniform(15.0, 24.0, (100, 3))
    for far in (np.inf, 2.0):
        assert (broad_distances(boundary_blocks((boundary,)), starts, starts + 1.0, far) == 0).all()
    check([boundary], np.concatenate([starts, around(rng, 100) + 20.0]), np.full(3, 20.0), 6.0)


def test_agrees_with_the_exact_margins_and_with_the_plain_function() -> None:
    rng = np.random.default_rng(8)
    boundaries = [random_boundary(rng) for _ in range(3)]
    starts, blocks = around(rng, 37), boundary_blocks(tuple(boundaries))
    fast = broad_distances(blocks, starts, np.zeros(3))
    exact = margins(boundaries, starts, np.zeros(3)).centre_mm
    np.testing.assert_allclose(fast, np.maximum(exact - ROUNDING_MM, 0.0), atol=1e-4)
    kernel = module._packets
    try:
        module._packets = kernel.python
        plain = broad_distances(blocks, starts[:5], np.zeros(3))
    finally:
        module._packets = kernel
    np.testing.assert_allclose(plain, broad_distances(blocks, starts[:5], np.zeros(3)), atol=1e-5)


def test_no_axis_or_no_structure() -> None:
    rng = np.random.default_rng(9)
    assert broad_distances(boundary_blocks(()), around(rng, 4), np.zeros(3)).shape == (4, 0)
    assert broad_distances(boundary_blocks((random_boundary(rng),)), np.zeros((0, 3)), np.zeros(3)).shape == (0, 1)


def test_the_order_of_directions_puts_neighbours_together() -> None:
    """Each direction once; a packet of 16 of them spans far less than directions at random."""
    directions = around(np.random.default_rng(10), 4096)
    order = order_of_directions(directions)
    assert (np.sort(order) == np.arange(4096)).all()
    unit = (directions / np.linalg.norm(directions, axis=1)[:, None])[order].reshape(-1, 16, 3)
    spread = np.linalg.norm(unit - unit.mean(axis=1, keepdims=True), axis=2).max(axis=1)
    assert np.median(spread) < 0.22 and np.percentile(spread, 95) < 0.4


def plain_boundary(occupancy: NDArray[np.uint8], least: int) -> set[tuple[int, int, int]]:
    """Voxels at least `least` full with a six-neighbour that is not, by padding and shifting."""
    inside = np.pad(occupancy >= least, 1)
    interior = inside[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for shift in (-1, 1):
            interior &= np.roll(inside, shift, axis)[1:-1, 1:-1, 1:-1]
    return set(map(tuple, np.argwhere(inside[1:-1, 1:-1, 1:-1] & ~interior).tolist()))


def check_boundary(occupancy: NDArray[np.uint8], grid: Grid, least: int) -> None:
    found = boundary_voxels(occupancy, grid, least)
    indices = list(map(tuple, found.indices.tolist()))
    assert len(set(indices)) == len(indices) and set(indices) == plain_boundary(occupancy, least)
    np.testing.assert_allclose(found.centres_mm, grid.points_mm(found.indices), atol=1e-9)
    assert found.block_start[0] == 0 and found.block_start[-1] == len(indices)
    assert len(found.block_mm) == len(found.block_start) - 1 and (np.diff(found.block_start) > 0).all()
    size = np.maximum(np.rint(BLOCK_MM / grid.spacing_mm), 1)
    for b, sphere in enumerate(found.block_mm):
        part = slice(found.block_start[b], found.block_start[b + 1])
        assert len(np.unique(found.indices[part] // size, axis=0)) == 1
        assert np.linalg.norm(found.centres_mm[part] - sphere[:3], axis=1).max() <= sphere[3] + 1e-9


@given(
    st.tuples(*[st.integers(1, 19)] * 3),
    st.tuples(*[st.sampled_from([0.9, 1.0, 2.7, 5.0, 20.0])] * 3),
    st.sampled_from([0.02, 0.5, 0.97, 1.0]),
    st.sampled_from([1, 128]),
    st.integers(0, 10**6),
)
@settings(max_examples=150)
def test_boundary_voxels_are_those_of_the_plain_definition(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], share: float, least: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    occupancy = np.where(rng.random(shape) < share, rng.integers(1, 256, shape), 0).astype(np.uint8)
    check_boundary(occupancy, Grid(np.diag([*spacing, 1.0]), shape), least)


@pytest.mark.parametrize("remainder", range(8))
def test_slices_at_the_edge_where_every_voxel_is_boundary(remainder: int) -> None:
    """A full block of voxels with every remainder of its size in each direction."""
    grid = Grid(np.eye(4), (16 + remainder, 8 + (remainder + 3) % 8, 1 + remainder))
    occupancy = np.full(grid.shape, 255, dtype=np.uint8)
    check_boundary(occupancy, grid, 1)
    for axis in range(3):
        for edge in (0, -1):
            slab = np.zeros(grid.shape, dtype=np.uint8)
            slab[(slice(None),) * axis + (edge,)] = 255
            check_boundary(slab, grid, 1)


@pytest.mark.parametrize("spacing", [1.0, 20.0])
def test_more_boundary_voxels_and_blocks_than_the_buffers_begin_with(spacing: float) -> None:
    """Blocks of 8 x 8 x 8 voxels, and of one voxel each; sparse at first, then full, so that buffers grow late."""
    rng = np.random.default_rng(11)
    full = rng.random((37, 33, 29)) < np.linspace(0.0, 0.6, 29)
    check_boundary(np.where(full, 255, 0).astype(np.uint8), Grid(np.diag([spacing] * 3 + [1.0]), full.shape), 1)
