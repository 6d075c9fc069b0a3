"""What no interval can do: solids that the labels cannot tell apart, though their distances are not alike."""

import numpy as np
import pytest

from benchmarks.sub_voxel import away_from_resolved, held, outcome
from benchmarks.sub_voxel_pairs import Pair, pairs, told_by_shares_mm
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solids import Box, Capsule, Sphere, Union


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_one_interval_holds_both_and_so_is_wider_than_three_tenths_of_a_millimetre(pair: Pair) -> None:
    one, other = pair.labels()
    assert one.occupancy is not None and other.occupancy is not None
    assert one.occupancy.any() and np.array_equal(one.occupancy, other.occupancy)
    truths, (low, high) = pair.truths_mm(), pair.interval_mm()
    assert abs(truths[0] - truths[1]) > 0.3
    assert low <= min(truths) and max(truths) <= high
    assert held(pair)


def test_a_pair_that_can_be_told_apart_or_lies_at_one_distance_is_none() -> None:
    plate = pairs()[0]
    assert not held(Pair("one plate twice", plate.one, plate.one, plate.samples, plate.start, plate.end))
    assert not held(Pair("a plate and a wire", plate.one, pairs()[1].one, plate.samples, plate.start, plate.end))


@pytest.mark.parametrize("count", [1, 5, 40])
def test_what_the_shares_tell_of_any_solid_some_solid_does(count: int) -> None:
    """Small balls about the samples that are the nearest, or the farthest, have these shares."""
    affine = np.diag([1.0, 0.8, 0.9, 1.0])
    affine[:3, 3] = (-3.0, -2.4, -2.7)
    grid = Grid(affine, (7, 7, 7))
    steps = np.moveaxis(np.indices((4, 4, 4)), 0, -1).reshape(-1, 3)
    places = ((steps + 0.5) / 4.0 - 0.5) * grid.spacing_mm
    start, end = np.array([4.0, -8.0, 1.0]), np.array([3.0, 7.0, 0.5])
    along = (end - start) / np.linalg.norm(end - start)
    away = np.linalg.norm(np.cross(places - start, along), axis=1)
    order, found = np.argsort(away), []
    for chosen in (order[:count], order[-count:]):
        solid = (
            Union(*(Sphere(place, 0.001) for place in places[chosen]))
            if count > 1
            else Sphere(places[chosen[0]], 0.001)
        )
        part = rasterise(solid, affine, grid.shape, 4)
        own = grid.crop(part.offset, part.occupancy.shape)
        labels = Structure("structure", Presence.PRESENT, part.occupancy, own, True, grid)
        found.append((part.occupancy, told_by_shares_mm(labels, 4, start, end), solid.segment_distance_mm(start, end)))
    assert np.array_equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    assert found[0][1] == pytest.approx((found[0][2], found[1][2]), abs=0.0011)


@pytest.mark.parametrize("seed", [5_000_897, 5_001_103, 5_001_142])
def test_in_voxels_half_as_wide_as_long_a_smooth_solid_is_known_to_three_tenths_of_a_millimetre(seed: int) -> None:
    found = outcome(seed, resolved=True)
    assert all(not measure.outside(measure.exact) for measure in found.measures)
    passing = away_from_resolved([found])
    assert passing and max(measure.width_mm for measure in passing) <= 0.3


def test_a_wire_between_the_samples_is_in_no_label() -> None:
    """On a wall that fills five eighths of a voxel. What is told of a smooth wall does not hold it; only the near side
    of the voxel would (decision 8, limits)."""
    wall = Box((0.6 - 4.0, 0.1, 0.1), (4.0, 6.0, 6.0))
    wire = Capsule((-1.0, 0.5, 0.5), (0.89, 0.5, 0.5), 0.05)
    start, end = np.array([3.0, 0.5, -2.5]), np.array([3.0, 0.5, 3.5])
    pair = Pair("a wall and a wire on it", wall, Union(wall, wire), 8, start, end)
    one, other = pair.labels()
    assert one.occupancy is not None and other.occupancy is not None
    assert np.array_equal(one.occupancy, other.occupancy)
    truths, (low, high) = pair.truths_mm(), pair.interval_mm()
    assert truths == pytest.approx((2.4, 2.06)) and low <= truths[0] <= high
    assert high - low <= 0.3 and not held(pair)


@pytest.mark.parametrize("seed", [100_575, 115_199])
def test_a_blunt_tip_in_stretched_voxels_is_no_farther_than_told(seed: int) -> None:
    assert all(not measure.outside(measure.exact) for measure in outcome(seed).measures)
