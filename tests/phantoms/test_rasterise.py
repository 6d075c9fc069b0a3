"""The promise of the rasteriser, on grids of any spacing and direction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navplan_phantoms.grids import axis_directions, phantom_grid
from navplan_phantoms.rasterise import hard_occupancy, longest_diagonal_mm, rasterise
from navplan_phantoms.solid_base import Solid
from navplan_phantoms.solids import (
    Box,
    Capsule,
    Difference,
    Ellipsoid,
    HalfSpace,
    Inflated,
    Intersection,
    Sphere,
    Tube,
    Union,
)

ORIENTATIONS = ["LPS", "RAS", "LAS", "PSL", "oblique", "tilted"]
SPACINGS = [(1.0, 1.0, 2.0), (0.7, 0.7, 5.0), (2.0, 2.0, 2.0), (0.9, 1.7, 3.1)]
SOLIDS: dict[str, Solid] = {
    "ball": Sphere((0.3, 0.2, -0.4), 6),
    "thin capsule": Capsule((-9, -4, -6), (8, 5, 9), 0.4),
    "box": Box((0.1, 0, 0.2), (6.2, 4.1, 0.3), axis_directions("oblique")),
    "ellipsoid": Ellipsoid((0, 0.4, 0), (8, 3, 1.2), axis_directions("oblique")),
    "rounded": Inflated(Ellipsoid((0, 0, 0), (6, 2, 3)), 1.5),
    "tube": Tube([(-8, 0, -6), (0, 4, 0), (7, -3, 8)], [0.8, 1.6, 0.6]),
    "union": Union(Sphere((-4, 0, 0), 3), Box((4, 0, 0), (2, 2, 2))),
    "shell": Difference(Sphere((0, 0, 0), 7), Sphere((0, 0, 0), 6)),
    "wedge": Intersection(Sphere((4, 0, 0), 8), Sphere((-4, 0, 0), 8), HalfSpace((0, 0, 0), (0, 0, 1))),
}


def grid_of(spacing: tuple[float, float, float], orientation: str) -> tuple[np.ndarray, tuple[int, int, int]]:
    grid = phantom_grid(spacing, orientation, (26.0, 24.0, 28.0))
    return grid.affine, grid.shape


def whole(solid: Solid, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The occupancy on the whole grid."""
    crop = rasterise(solid, affine, shape)
    full = np.zeros(shape, dtype=np.uint8)
    full[crop.slices] = crop.occupancy
    return full


def centres_of(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]


def check_promise(solid: Solid, affine: np.ndarray, shape: tuple[int, int, int]) -> None:
    occupancy = whole(solid, affine, shape)
    half = 0.5 * longest_diagonal_mm(affine[:3, :3])
    # 1. No point of an unmarked voxel is in the solid: dense samples, the voxel's faces and corners among them.
    unmarked = centres_of(occupancy == 0, affine)
    near = unmarked[solid.signed_distance_mm(unmarked) <= half + 1e-9]
    steps = np.linspace(-0.5, 0.5, 8)
    offsets = np.array(list(itertools.product(steps, repeat=3))) @ affine[:3, :3].T
    if len(near):
        assert not np.any(solid.contains((near[:, None] + offsets).reshape(-1, 3)))
    # 2. A marked voxel has a point of the solid within half a diagonal.
    marked = centres_of(occupancy > 0, affine)
    assert np.all(solid.signed_distance_mm(marked) <= half + 1e-9)
    # Full voxels are inside, and the fraction is that of the volume.
    assert np.all(solid.contains(centres_of(occupancy == 255, affine)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("name", SOLIDS)
def test_promise(name: str, spacing: tuple[float, float, float], orientation: str) -> None:
    check_promise(SOLIDS[name], *grid_of(spacing, orientation))


@settings(max_examples=40, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.5, 5.0)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
    radius=st.floats(0.2, 6.0),
    stop=st.tuples(*[st.floats(-9, 9)] * 3),
)
def test_promise_for_capsules_on_any_grid(
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float],
    shift: tuple[float, float, float],
    radius: float,
    stop: tuple[float, float, float],
) -> None:
    solid = Capsule((0.5, -1.0, 0.25), stop, radius)
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[first, second], [first, second]] = np.cos(angle)
        step[second, first], step[first, second] = np.sin(angle), -np.sin(angle)
        turn = step @ turn
    shape = tuple(int(np.ceil(24 / edge)) for edge in spacing)
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (0.5 * (np.array(shape) - 1)) + shift
    check_promise(solid, affine, (shape[0], shape[1], shape[2]))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", ["ball", "thin capsule", "ellipsoid", "tube", "union"])
def test_distances_to_marked_centres_are_within_half_a_diagonal(name: str, orientation: str) -> None:
    solid = SOLIDS[name]
    for spacing in SPACINGS:
        affine, shape = grid_of(spacing, orientation)
        marked = centres_of(whole(solid, affine, shape) > 0, affine)
        half = 0.5 * longest_diagonal_mm(affine[:3, :3])
        points = np.random.default_rng(8).uniform(-40, 40, (100, 3))
        true = np.maximum(solid.signed_distance_mm(points), 0.0)
        mapped = np.linalg.norm(points[:, None] - marked, axis=2).min(axis=1)
        assert np.all(np.abs(mapped - true)[true > 0] <= half + 1e-9)


def test_the_edge_of_an_intersection_is_marked_only_a_little_too_far() -> None:
    """The overlap of two boxes is a box: there the true distance is known where the bound is too small."""
    overlap, drawn = Box((0, 0, 0), (5, 4, 6)), Intersection(Box((5, 0, 0), (10, 4, 9)), Box((0, 0, 0), (5, 9, 6)))
    for spacing in SPACINGS:
        affine, shape = grid_of(spacing, "oblique")
        diagonal = longest_diagonal_mm(affine[:3, :3])
        marked = centres_of(whole(drawn, affine, shape) > 0, affine)
        assert overlap.signed_distance_mm(marked).max() <= 0.5 * diagonal + diagonal / 16
        assert not np.any((whole(overlap, affine, shape) >= 2) & (whole(drawn, affine, shape) == 0))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    "solid",
    [Sphere((0.2, 0.1, 0.3), 10), Ellipsoid((0, 0, 0), (11, 8, 10)), Capsule((-4, 0, 0), (4, 3, 3), 7)],
    ids=lambda solid: type(solid).__name__,
)
def test_volume_to_half_a_percent(solid: Solid, orientation: str) -> None:
    for spacing in SPACINGS:
        affine, shape = grid_of(spacing, orientation)
        voxel = abs(np.linalg.det(affine[:3, :3]))
        drawn = whole(solid, affine, shape).sum(dtype=np.int64) / 255 * voxel
        assert drawn == pytest.approx(solid.volume_mm3(), rel=5e-3)


def test_hard_labels_are_those_of_the_voxel_centres() -> None:
    affine, shape = grid_of((1.0, 1.0, 2.0), "oblique")
    solid = SOLIDS["tube"]
    crop = rasterise(solid, affine, shape)
    full = np.zeros(shape, dtype=np.uint8)
    full[crop.slices] = hard_occupancy(solid, affine, crop).occupancy
    everywhere = centres_of(np.ones(shape, dtype=bool), affine)
    assert np.array_equal(full.ravel() == 255, solid.contains(everywhere))


def test_thin_structures_vanish_from_hard_labels_but_not_from_fractional_ones() -> None:
    affine = np.diag([0.7, 0.7, 5.0, 1.0])
    capsule = Capsule((3.0, 3.0, 2.5), (12.0, 3.0, 2.5), 0.5)
    crop = rasterise(capsule, affine, (30, 10, 2))
    assert crop.occupancy.any()
    assert not hard_occupancy(capsule, affine, crop).occupancy.any()


def test_crop_stays_in_the_grid_and_may_be_empty() -> None:
    affine, shape = grid_of((1.0, 1.0, 2.0), "LPS")
    cut = rasterise(Sphere((13, 0, 0), 6), affine, shape)
    assert all(low >= 0 for low in cut.offset)
    assert all(low + size <= n for low, size, n in zip(cut.offset, cut.occupancy.shape, shape, strict=True))
    assert rasterise(Sphere((300, 0, 0), 6), affine, shape).occupancy.size == 0
    everything = rasterise(HalfSpace((0, 0, 100), (0, 0, 1)), affine, shape)
    assert np.all(everything.occupancy == 255)
    assert everything.occupancy.shape == shape


@pytest.mark.parametrize(
    ("affine", "shape", "samples"),
    [
        (np.eye(4), (4, 4, 4), 3),
        (np.eye(3), (4, 4, 4), 4),
        (np.diag([1.0, 0.0, 1.0, 1.0]), (4, 4, 4), 4),
        (np.diag([1.0, np.nan, 1.0, 1.0]), (4, 4, 4), 4),
        (np.eye(4), (4, 0, 4), 4),
    ],
)
def test_input_without_sense_is_refused(affine: np.ndarray, shape: tuple[int, int, int], samples: int) -> None:
    with pytest.raises(ValueError):
        rasterise(Sphere((0, 0, 0), 1), affine, shape, samples)
