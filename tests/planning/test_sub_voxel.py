"""Clearances from the surface inside the voxels: they hold the truth, and say nothing where the labels tell nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sub_voxel import outcome
from benchmarks.sub_voxel_scenes import SHAPES, Scene, axes_past, hard_labels, scene, truth_mm
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.planning import sub_voxel as module
from navplan.planning.boundary import boundary_of
from navplan.planning.check_plan import _narrowed as narrowed
from navplan.planning.margins import margins
from navplan.planning.sub_voxel import samples_told, surface_distance
from navplan_phantoms.combinations import Intersection
from navplan_phantoms.primitives import Box, Capsule, HalfSpace, Sphere
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solid_base import Solid
from tests.planning.test_margins import rotation

Point = np.ndarray


def labels_of(solid: Solid, grid: Grid, samples: int = 8) -> Structure:
    """A solid as a structure with fractional labels."""
    part = rasterise(solid, grid.affine, grid.shape, samples)
    own = grid.crop(part.offset, part.occupancy.shape)
    return Structure("structure", Presence.PRESENT, part.occupancy, own, True, grid)


def cube_grid(spacing: tuple[float, float, float] = (0.8, 0.7, 0.9), size_mm: float = 24.0) -> Grid:
    """A grid about the origin."""
    shape = np.ceil(size_mm / np.asarray(spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(shape - 1) / 2 * spacing
    return Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))


@pytest.mark.parametrize("first", [300_000 + 14 * n for n in range(2)])
def test_the_truth_lies_inside_in_every_shape(first: int) -> None:
    for seed in range(first, first + len(SHAPES)):
        found = outcome(seed)
        for measure in found.measures:
            assert not measure.outside(measure.exact), measure
            assert measure.broad[0] - 1e-9 <= measure.exact[0] <= measure.exact[1] <= measure.broad[1] + 1e-9, measure
        assert found.hard[1] == 0 and found.ways[1] == 0


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_no_drawn_scene_violates_it(seed: int) -> None:
    for measure in outcome(1_000_000 + seed).measures:
        assert not measure.outside(measure.exact), measure
        assert measure.broad[0] - 1e-9 <= measure.exact[0] <= measure.exact[1] <= measure.broad[1] + 1e-9, measure


@pytest.mark.parametrize(("height", "samples", "face"), [(0.0, 8, 0), (0.13, 4, 1), (0.31, 8, 5), (-0.38, 4, 3)])
def test_a_wall_along_the_grid_is_known_as_well_as_its_shares_tell(height: float, samples: int, face: int) -> None:
    """All voxels along such a wall have one share: how many samples it was counted from cannot be told, and the
    interval says so; an axis along the wall, and one that ends before it."""
    outward = np.zeros(3)
    outward[face % 3] = 1.0 if face < 3 else -1.0
    grid = cube_grid()
    bound = boundary_of(labels_of(HalfSpace(height * outward, outward), grid, samples))
    for away in (2.0, 5.0, 14.0):
        top, beside = (height + away) * outward, np.roll(outward, 1)
        for start, end in ((top - 5 * beside, top + 6 * beside), (top + 30 * outward + 2 * beside, top)):
            found = surface_distance(bound, start, end)
            assert found is not None and found.low_mm <= away <= found.high_mm
            assert found.high_mm - found.low_mm <= (0.2 + 1.0 / samples_told(bound)) * grid.spacing_mm.max()


def test_an_oblique_wall_is_known_to_a_quarter_of_a_millimetre() -> None:
    grid = cube_grid((0.5, 0.6, 0.7))
    normal = np.array([0.6, -0.3, 0.74])
    normal /= np.linalg.norm(normal)
    bound = boundary_of(labels_of(HalfSpace(0.1 * normal, normal), grid))
    assert samples_told(bound) == 8
    for away in (2.0, 4.0, 9.0):
        found = surface_distance(bound, (away + 30.1) * normal, (away + 0.1) * normal)
        assert found is not None and found.low_mm <= away <= found.high_mm
        assert found.high_mm - found.low_mm <= 0.25
        assert abs((np.asarray(found.nearest_mm) - 0.1 * normal) @ normal) <= 0.1
        assert np.linalg.norm(np.asarray(found.nearest_mm) - 0.1 * normal) <= 1.0
        assert found.along_mm == pytest.approx(30.0)


@pytest.mark.parametrize("radius", [4.0, 6.0, 9.0])
def test_a_ball_of_four_voxels_and_a_vessel_are_known_to_three_tenths_of_a_millimetre(radius: float) -> None:
    """Voxels of 1 mm, 8 x 8 x 8 samples; axes from any side, 2 mm and more away."""
    grid, rng = cube_grid((1.0, 1.0, 1.0), 34.0), np.random.default_rng(int(radius))
    centre = rng.uniform(-0.5, 0.5, 3)
    along = rng.standard_normal(3)
    along *= 12.0 / np.linalg.norm(along)
    for solid in (Sphere(centre, radius), Capsule(centre - along, centre + along, radius)):
        bound = boundary_of(labels_of(solid, grid))
        for _ in range(12):
            start, aside = rng.standard_normal((2, 3))
            start *= 60.0 / np.linalg.norm(start)
            aside -= aside @ start / 3600.0 * start
            away = radius + rng.uniform(2.0, 8.0)
            passing = centre + aside * away / np.linalg.norm(aside)
            first, last = passing + start, passing - start
            truth = solid.segment_distance_mm(first, last)
            if truth < 2.0:
                continue
            found = surface_distance(bound, first, last)
            assert found is not None and found.low_mm <= truth <= found.high_mm
            assert found.high_mm - found.low_mm <= 0.3


@pytest.mark.parametrize("seed", [400_002, 400_003, 400_004, 400_008, 400_011, 400_013])
def test_rigid_motion_of_everything_changes_nothing(seed: int) -> None:
    made = scene(seed)
    rng = np.random.default_rng(seed)
    motion = rotation(rng.uniform(-3, 3, 3))
    motion[:3, 3] = rng.uniform(-500, 500, 3)
    own = made.labels.grid
    assert own is not None
    moved = replace(
        made.labels,
        grid=Grid(motion @ own.affine, own.shape),
        evaluated_in=Grid(motion @ made.grid.affine, made.grid.shape),
    )
    here, there = boundary_of(made.labels), boundary_of(moved)
    compared = 0
    for start, end in axes_past(made):
        first = surface_distance(here, start, end)
        second = surface_distance(there, *(motion[:3, :3] @ point + motion[:3, 3] for point in (start, end)))
        assert (first is None) == (second is None)
        if first is None or second is None:
            continue
        compared += 1
        assert (first.low_mm, first.high_mm) == pytest.approx((second.low_mm, second.high_mm), abs=1e-6)
    assert compared >= 2


def test_an_axis_turned_round_is_at_the_same_distance() -> None:
    made = scene(400_014)
    bound = boundary_of(made.labels)
    for start, end in axes_past(made)[:3]:
        there, back = surface_distance(bound, start, end), surface_distance(bound, end, start)
        assert there is not None and back is not None
        assert (there.low_mm, there.high_mm) == pytest.approx((back.low_mm, back.high_mm), abs=1e-9)


def test_a_touched_voxel_that_is_no_boundary_voxel_counts() -> None:
    """Beside a wall across the diagonals of the voxels those that it halves have six touched neighbours: a spike in one
    of them is nearer than any boundary voxel tells."""
    grid = cube_grid((1.0, 1.0, 1.0))
    normal = np.ones(3) / np.sqrt(3.0)
    middle = grid.points_mm(np.asarray(grid.shape) // 2)
    occupancy = rasterise(HalfSpace(middle, normal), grid.affine, grid.shape, 8).occupancy.copy()
    place = tuple(int(n) // 2 for n in grid.shape)
    bound = boundary_of(Structure("structure", Presence.PRESENT, occupancy, grid, True, grid))
    assert not (bound.voxels.indices == place).all(axis=1).any()
    start = middle + 40.0 * normal
    flat = surface_distance(bound, start, middle + 6.0 * normal)
    occupancy[place] = 230
    spiked = surface_distance(
        boundary_of(Structure("structure", Presence.PRESENT, occupancy, grid, True, grid)), start, middle + 6.0 * normal
    )
    assert flat is not None and spiked is not None
    assert flat.low_mm <= 6.0 <= flat.high_mm
    assert spiked.low_mm < 6.0 - 0.6


def test_shares_counted_from_fewer_samples_are_seen_and_told_less_surely() -> None:
    grid, ball = cube_grid(), Sphere((0.3, -0.2, 0.1), 6.0)
    widths = []
    for samples in (1, 2, 4, 8):
        bound = boundary_of(labels_of(ball, grid, samples))
        assert samples_told(bound) == samples
        found = surface_distance(bound, np.array([40.0, 9.0, 3.0]), np.array([-5.0, 9.0, 1.0]))
        assert found is not None
        truth = ball.segment_distance_mm([40.0, 9.0, 3.0], [-5.0, 9.0, 1.0])
        assert found.low_mm <= truth <= found.high_mm
        widths.append(found.high_mm - found.low_mm)
    assert widths == sorted(widths, reverse=True)


def test_hard_carried_and_coarse_labels_tell_no_surface() -> None:
    made = scene(400_016)
    start, end = axes_past(made)[0]
    assert surface_distance(boundary_of(made.labels), start, end) is not None
    hard = hard_labels(made)
    assert hard is not None
    coarse = np.asarray(made.grid.spacing_mm) * [1.0, 1.0, 2.0]
    carried = replace(made.labels, carried_from="another-ct", carried_error_mm=1.5)
    for bound in (boundary_of(hard), boundary_of(made.labels, coarse), boundary_of(carried)):
        assert surface_distance(bound, start, end) is None
        measured = margins([bound], [start], [end])
        assert narrowed(measured, 0, start, end, 0.6)[0] == measured.interval(0, 0, 0.6)


def test_an_axis_within_a_voxel_of_a_smooth_surface_is_known_from_its_patches() -> None:
    grid = cube_grid((1.0, 0.9, 0.8))
    ball = Sphere((0.2, -0.1, 0.3), 6.0)
    bound = boundary_of(labels_of(ball, grid))
    for away in (0.05, 0.3, 0.7):
        for side in np.eye(3):
            middle = np.asarray(ball.centre) + (6.0 + away) * side
            along = 20.0 * np.roll(side, 1)
            found = surface_distance(bound, middle - along, middle + along)
            assert found is not None and found.low_mm <= away <= found.high_mm
            assert found.high_mm - found.low_mm <= 0.45


@pytest.mark.parametrize("away", [0.05, 0.3, 0.6])
def test_an_axis_that_ends_within_a_voxel_of_a_box(away: float) -> None:
    bound = boundary_of(labels_of(Box((0, 0, 0), (6.0, 5.0, 4.0)), cube_grid()))
    found = surface_distance(bound, np.array([20.0, 0.3, 0.2]), np.array([6.0 + away, 0.3, 0.2]))
    assert found is not None and found.low_mm <= away <= found.high_mm <= away + 0.3


@pytest.mark.parametrize("samples", [4, 8])
@pytest.mark.parametrize("slope_deg", [20, 26, 36])
def test_an_obtuse_edge_is_no_bend(slope_deg: float, samples: int) -> None:
    """Over 27 voxels the two look alike: the edge is nearer than a patch tells."""
    turn = np.radians(slope_deg)
    grid = cube_grid((1.0, 1.0, 1.0), 22.0)
    for off in (-0.45, -0.35, -0.3, 0.0, 0.15, 0.4):
        tip = np.array([off, 0.1, 0.2])
        sides = [HalfSpace(tip, (np.cos(turn), way * np.sin(turn), 0.0)) for way in (1.0, -1.0)]
        bound = boundary_of(labels_of(Intersection(Sphere(tip, 8.0), *sides), grid, samples))
        before, half = tip + np.array([3.0, 0.0, 0.0]), np.array([0.0, 0.0, 4.0])
        found = surface_distance(bound, before - half, before + half)
        assert found is not None and found.low_mm <= 3.02  # the planes alone, worst of 360 such edges


def test_where_no_voxel_is_half_full_no_patch_counts() -> None:
    """A film a fortieth of a voxel thick, along the grid: any patch fits shares that are all but nothing."""
    grid = cube_grid((1.0, 1.0, 1.0), 22.0)
    film = Box((0.1, 0.0, 0.0), (0.013, 8.0, 8.0))
    found = surface_distance(
        boundary_of(labels_of(film, grid)), np.array([1.373, -9.0, 0.2]), np.array([1.373, 9.0, 0.2])
    )
    assert found is not None and found.low_mm <= 1.26 <= found.high_mm


@pytest.mark.parametrize("slice_mm", [2.0, 5.0])
def test_in_stretched_voxels_a_gentle_tilt_is_no_dither(slice_mm: float) -> None:
    grid, rng = cube_grid((0.4, 0.4, slice_mm), 24.0), np.random.default_rng(32)
    for _ in range(12):
        normal = np.r_[rng.uniform(-0.1, 0.1, 2), 1.0] / np.linalg.norm(np.r_[0.05, 0.05, 1.0])
        normal /= np.linalg.norm(normal)
        wall = HalfSpace(rng.uniform(-1.0, 1.0) * normal, normal)
        bound = boundary_of(labels_of(wall, grid, 4))
        away = rng.uniform(5.0, 9.0)
        place = np.asarray(wall.point) + away * normal
        along = 8.0 * np.cross(normal, [1.0, 0.0, 0.0])
        found = surface_distance(bound, place - along, place + along)
        assert found is not None and found.low_mm <= away + 1e-9 and away - 1e-9 <= found.high_mm


def test_an_axis_that_goes_in_touches_and_one_that_starts_inside_tells_no_surface() -> None:
    bound = boundary_of(labels_of(Box((0, 0, 0), (6.0, 5.0, 4.0)), cube_grid()))
    for y in (0.0, 1.3, 4.9):
        found = surface_distance(bound, np.array([20.0, y, 0.2]), np.array([0.0, y, 0.1]))
        assert found is None or found.low_mm == 0.0
    start, end = np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])
    assert surface_distance(bound, start, end) is None
    measured = margins([bound], [start], [end])
    assert narrowed(measured, 0, start, end, 0.5)[0] == measured.interval(0, 0, 0.5)


def test_the_compiled_kernels_agree_with_the_plain_functions() -> None:
    made = scene(400_019)
    bound = boundary_of(made.labels)
    start, end = axes_past(made)[2]
    fast = surface_distance(bound, start, end)
    names = ("_near_voxels", "facing_planes", "curved_patches")
    with pytest.MonkeyPatch.context() as patched:
        for name in names:
            patched.setattr(module, name, getattr(module, name).python)
        plain = surface_distance(bound, start, end)
    assert fast is not None and plain is not None
    assert (fast.low_mm, fast.high_mm, fast.along_mm, *fast.nearest_mm) == pytest.approx(
        (plain.low_mm, plain.high_mm, plain.along_mm, *plain.nearest_mm), abs=1e-9
    )


def test_the_truth_of_the_cut_solids_is_bounded_on_both_sides() -> None:
    """What the campaign measures against: a lower and an upper bound that are near one another."""
    for seed in range(500_007, 500_014):
        made: Scene = scene(seed)
        for start, end in axes_past(made):
            low, high = truth_mm(made.solid, start, end)
            assert 0.0 <= low <= high <= low + 0.005
