"""A tip that may rest on bone: its depth and whether it goes through, against solids whose surface is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.geometry.grid import Grid
from navplan.model.protocol import TipContact
from navplan.planning.boundary import boundary_of
from navplan.planning.tip_contact import Through, shaft_ends_mm, tip_depths
from navplan_phantoms.primitives import Box, Capsule, Sphere
from navplan_phantoms.solid_base import Solid
from tests.planning.scenes import structure_of

CONTACT = TipContact(5.0, 2.0, "test")
RADIUS_MM = 0.36
FINE = np.linspace(-1.0, 0.0, 501)  # of a tip, from its end


def grid_about(rng: np.random.Generator, spacing_mm: NDArray[np.float64]) -> Grid:
    """A grid turned at random about the origin, 44 mm wide."""
    shape = np.ceil(44.0 / spacing_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix() * spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((shape - 1) / 2 + rng.uniform(-0.5, 0.5, 3))
    i, j, k = (int(n) for n in shape)
    return Grid(affine, (i, j, k))


def solid(rng: np.random.Generator) -> Solid:
    """A plate as thin as .4 mm, a ball, a rod."""
    kind = int(rng.integers(3))
    if kind == 0:
        return Box((0.0, 0.0, 0.0), (9.0, 9.0, float(rng.uniform(0.2, 4.0))))
    if kind == 1:
        return Sphere((0.0, 0.0, 0.0), float(rng.uniform(2.0, 12.0)))
    return Capsule((-8.0, 0.0, 0.0), (8.0, 1.0, 2.0), float(rng.uniform(1.5, 6.0)))


def needles(rng: np.random.Generator, shape: Solid, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends (N, 3) of needles that end from 2 mm before the surface to 4 mm beyond it."""
    away = rng.standard_normal((count, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    starts = 40.0 * away + rng.uniform(-4.0, 4.0, (count, 3))
    ends = np.empty_like(starts)
    for n in range(count):
        line = -starts[n] / np.linalg.norm(starts[n])
        met = shape.line_intervals_mm(starts[n], line)
        reach = float(met[0, 0]) if len(met) else 40.0
        ends[n] = starts[n] + (reach + rng.uniform(-2.0, 4.0)) * line
    return starts, ends


def truth(shape: Solid, start: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[float, bool]:
    """How deep the needle's surface lies at most over its tip, mm, and whether its axis comes out of the solid."""
    length = float(np.linalg.norm(end - start))
    line = (end - start) / length
    depth = float((-shape.signed_distance_mm(end + FINE[:, None] * CONTACT.tip_mm * line)).max()) + RADIUS_MM
    met = shape.line_intervals_mm(start, line)
    return depth, bool(len(met) and (met[:, 1] < length - 1e-9).any())


@pytest.mark.parametrize(("hard", "scenes"), [(False, 24), (True, 40)])
def test_no_tip_is_allowed_that_is_deeper_or_goes_through(hard: bool, scenes: int) -> None:
    allowed = outside = 0
    for seed in range(scenes):
        rng = np.random.default_rng(700_000 + seed)
        shape = solid(rng)
        spacing = rng.uniform(0.4, 1.4, 3) if seed % 2 else np.full(3, rng.uniform(0.4, 1.4))
        made = structure_of("bone", shape, grid_about(rng, spacing), hard=hard)
        if made.occupancy is None:
            continue
        boundary = boundary_of(made)
        starts, ends = needles(rng, shape, 40)
        found = tip_depths(boundary, starts, ends, RADIUS_MM, CONTACT)
        for n in range(len(starts)):
            nearest = boundary.centres_mm[int(np.argmin(np.linalg.norm(boundary.centres_mm - ends[n], axis=1)))]
            if hard and not boundary.locally_thick(nearest):
                continue  # hard labels bound nothing that is thinner than their voxels: said so, and never a PASS
            depth, through = truth(shape, starts[n], ends[n])
            assert found.high_mm[n] >= depth - 1e-6, (seed, n)
            assert found.low_mm[n] <= depth + 0.02, (seed, n)
            if found.allowed(CONTACT)[n]:
                allowed += 1
                outside += depth < 0
                assert depth <= CONTACT.depth_mm and not through, (seed, n)
            if found.through[n] == Through.YES:
                assert through, (seed, n)
    assert allowed > 100 and outside < allowed


def test_one_needle_and_many_are_told_the_same() -> None:
    """The search asks for many tips at once, the judgement for one."""
    rng = np.random.default_rng(4)
    shape = Sphere((0.0, 0.0, 0.0), 10.0)
    boundary = boundary_of(structure_of("bone", shape, grid_about(rng, np.ones(3))))
    starts, ends = needles(rng, shape, 60)
    many = tip_depths(boundary, starts, ends, RADIUS_MM, CONTACT)
    for n in range(len(starts)):
        one = tip_depths(boundary, starts[n : n + 1], ends[n : n + 1], RADIUS_MM, CONTACT)
        if many.allowed(CONTACT)[n]:
            assert one.allowed(CONTACT)[0]
        assert one.low_mm[0] <= one.high_mm[0]
        assert one.through[0] == many.through[n] or one.allowed(CONTACT)[0]


def test_a_plate_gone_through_within_the_depth_is_not_contact() -> None:
    """A plate of 1 mm, gone through by .5 mm: less than the 2 mm that are allowed, and through bone."""
    rng = np.random.default_rng(1)
    plate = Box((0.0, 0.0, 0.0), (9.0, 9.0, 0.5))
    for spacing in (0.5, 0.8, 1.2):
        boundary = boundary_of(structure_of("bone", plate, grid_about(rng, np.full(3, spacing))))
        start, end = np.array([[0.0, 0.0, 30.0]]), np.array([[0.0, 0.0, -1.0]])
        found = tip_depths(boundary, start, end, RADIUS_MM, CONTACT)
        assert not found.allowed(CONTACT)[0] and found.through[0] != Through.NO


def test_a_tip_on_thick_bone_is_contact_and_deeper_it_fails() -> None:
    rng = np.random.default_rng(2)
    block = Box((0.0, 0.0, -9.0), (9.0, 9.0, 9.0))
    boundary = boundary_of(structure_of("bone", block, grid_about(rng, np.ones(3))))
    start = np.array([[0.0, 0.0, 30.0]])
    on = tip_depths(boundary, start, np.zeros((1, 3)), RADIUS_MM, CONTACT)
    assert on.allowed(CONTACT)[0] and on.low_mm[0] <= RADIUS_MM <= on.high_mm[0]
    deep = tip_depths(boundary, start, np.array([[0.0, 0.0, -4.5]]), RADIUS_MM, CONTACT)
    assert deep.low_mm[0] > CONTACT.depth_mm
    before = tip_depths(boundary, start, np.array([[0.0, 0.0, 4.0]]), RADIUS_MM, CONTACT)
    assert before.high_mm[0] < 0 and before.through[0] == Through.NO


def test_the_shaft_ends_where_the_tip_begins() -> None:
    ends = shaft_ends_mm(np.zeros((1, 3)), np.array([[0.0, 30.0, 40.0]]), CONTACT)
    assert np.allclose(ends, [[0.0, 27.0, 36.0]])
    assert np.isfinite(shaft_ends_mm(np.zeros((1, 3)), np.array([[0.0, 0.0, 3.0]]), replace(CONTACT))).all()
