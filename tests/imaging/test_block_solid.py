"""The printable surface of a training block: closed, of the right volume, with channels of the right width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from navplan.files.block_file import stl_bytes
from navplan.files.mesh_formats import read_stl
from navplan.imaging.block_solid import ENGRAVED_MM, FLOOR_MM, PIT_MM, POST_MM, BlockSolid, block_surface
from navplan.imaging.surfaces import Surface
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import BlockSizes, design_block
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import grid_of, structure_of

NEEDLE = Device("n16", "16 G", 16, 1.65, 120.0, source="test")
THICK = Device("n11", "11 G", 11, 3.05, 120.0, source="test")


@pytest.fixture(scope="module")
def block() -> TrainingBlock:
    """Small, with a channel that leans 25 degrees."""
    way = Trajectory((10.0, -40.0, 0.0), (20.0, -16.0, 5.0), NEEDLE)
    return design_block([(1, way)], "p", "ct", "x" * 64, BlockSizes())


@pytest.fixture(scope="module")
def surface(block: TrainingBlock) -> Surface:
    return block_surface(block)


def test_the_stl_is_closed_faces_outward_and_holds_the_analytic_volume(block: TrainingBlock, surface: Surface) -> None:
    data = stl_bytes(surface.points_mm, surface.triangles, "test")
    corners, loose = read_stl(data)
    whole = np.ascontiguousarray(corners.astype("<f4") + np.float32(0.0)).view("V12").ravel()
    _, first, places = np.unique(whole, return_index=True, return_inverse=True)  # as a printer's program joins them
    points, triangles = corners[first], places.reshape(-1)[loose]
    assert not (triangles == np.roll(triangles, 1, axis=1)).any()
    check_closed(triangles, "block.stl")  # two triangles an edge, in both directions
    assert points.min() == pytest.approx(0.0, abs=1e-3) and np.allclose(points.max(axis=0), block.size_mm, atol=1e-3)
    read = Surface(points, points, triangles)
    x, y, z = block.size_mm
    (way,) = block.ways
    box = x * y * z - block.bevel_mm**2 / 2 * z
    channel = np.pi / 4 * way.channel_mm**2 * way.depth_mm
    pits = 6 * np.pi / 3 * PIT_MM**3
    axes = np.arange(0.1, x, 0.2), np.arange(0.1, y, 0.2), [z - ENGRAVED_MM / 2]
    flat = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    flat = flat[flat[:, :2].sum(axis=1) < x + y - block.bevel_mm]
    round_ones = 3 * np.pi * (PIT_MM - ENGRAVED_MM / 2) ** 2
    round_ones += np.pi / 4 * way.channel_mm**2 / np.cos(np.radians(way.angle_deg))
    letters = ((BlockSolid(block).at(flat) > 0).sum() * 0.04 - round_ones) * ENGRAVED_MM
    assert 10.0 < letters < 150.0
    assert read.volume_mm3 == pytest.approx(box - channel - pits - letters, rel=0.001)
    assert read.volume_mm3 != pytest.approx(box, rel=0.001)


def test_a_channel_is_as_wide_as_told_and_ends_at_the_tip(block: TrainingBlock, surface: Surface) -> None:
    (way,) = block.ways
    shares = np.random.default_rng(0).dirichlet((1.0, 1.0, 1.0), 60)  # of the corners, for places all over a triangle
    places = np.einsum("sn,mnk->smk", shares, surface.points_mm[surface.triangles]).reshape(-1, 3)
    offset = places - way.top_mm
    deep = offset @ way.direction
    aside = np.linalg.norm(offset - deep[:, None] * way.direction, axis=1)
    wall = (deep > 2.0) & (deep < way.depth_mm - 2.0) & (aside < 3.0)
    assert wall.sum() > 2000
    assert 2.0 * aside[wall].min() > way.channel_mm - 0.1 and 2.0 * aside[wall].max() < way.channel_mm + 0.1
    floor = (aside < way.channel_mm / 2 - 0.3) & (np.abs(deep - way.depth_mm) < 2.0)
    assert floor.sum() > 100 and np.median(np.abs(deep[floor] - way.depth_mm)) < 0.001
    assert np.abs(deep[floor] - way.depth_mm).max() < 0.1
    a, b, c = (surface.points_mm[surface.triangles[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    area, solid = np.linalg.norm(across, axis=1), BlockSolid(block)
    step = 0.02 * across / area[:, None]
    outward = solid.at((a + b + c) / 3 - step) < solid.at((a + b + c) / 3 + step)
    assert area[~outward].sum() < 1e-5 * area.sum()  # all but specks in a sharp corner face out of the material


def test_what_would_float_in_a_box_for_gel_gets_a_post_and_its_channel() -> None:
    sphere = Sphere((10.0, -10.0, 0.0), 7.0)
    structure = structure_of("lesion", sphere, grid_of((1.5, 1.5, 1.5)))
    way = Trajectory((10.0, -22.0, 0.0), (10.0, -4.0, 0.0), THICK)
    box = design_block([(1, way)], "p", "ct", "x" * 64, BlockSizes(gel=True))
    found = block_surface(box, [structure])
    check_closed(found.triangles, "box")
    ends = np.stack([found.triangles.ravel(), np.roll(found.triangles, 1, axis=1).ravel()])
    joins = coo_matrix((np.ones(ends.shape[1]), ends), shape=(len(found.points_mm),) * 2)
    assert connected_components(joins)[0] == 1  # nothing floats
    middle, (wide, long, _) = box.transform.inverse().apply([sphere.centre])[0], box.size_mm
    points = found.points_mm[(found.points_mm[:, :2] > 15.0).all(axis=1)]
    points = points[(points[:, 0] < wide - 15.0) & (points[:, 1] < long - 15.0) & (points[:, 2] > FLOOR_MM + 0.5)]
    away, aside = np.linalg.norm(points - middle, axis=1), np.linalg.norm((points - middle)[:, :2], axis=1)
    ball, post = np.abs(away - 7.0) < 0.3, (np.abs(aside - POST_MM) < 0.7) & (points[:, 2] < middle[2] - 6.0)
    (made,) = box.ways
    assert len(found.triangles) < 40_000
    channel = (np.abs(aside - made.channel_mm / 2) < 0.1) & (points[:, 2] > made.tip_mm[2])
    floor = (aside < made.channel_mm / 2) & (np.abs(points[:, 2] - made.tip_mm[2]) < 0.01)
    assert min(ball.sum(), post.sum(), channel.sum(), floor.sum()) > 10
    assert (ball | post | channel | floor).mean() > 0.98  # and there is nothing else in the box


def test_a_ball_rests_in_its_pit(block: TrainingBlock) -> None:
    solid = BlockSolid(block)
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(4000, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    for mark in block.marks:
        at = solid.at(np.asarray(mark.ball_mm) + block.ball_mm / 2 * rays)
        assert -0.001 < at.min() < 0.05  # touches, and nowhere cuts into the block
        assert solid.at(np.asarray([mark.pit_mm]) - 0.01 * np.asarray(mark.out))[0] < 0.0
        assert solid.at(np.asarray([mark.pit_mm]) + 0.01 * np.asarray(mark.out))[0] > 0.0
