"""The printable surface of a training block: closed, of the right volume, with channels of the right width."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.files.block_file import stl_bytes
from navplan.files.mesh_formats import read_stl
from navplan.imaging.block_solid import ENGRAVED_MM, PIT_MM, BlockSolid, block_surface
from navplan.imaging.surfaces import Surface
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import BlockSizes, design_block

NEEDLE = Device("n19", "19 G", 19, 1.07, 120.0, source="test")


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
    offset = surface.points_mm - way.top_mm
    deep = offset @ way.direction
    aside = np.linalg.norm(offset - deep[:, None] * way.direction, axis=1)
    wall = (deep > 2.0) & (deep < way.depth_mm - 2.0) & (aside < 3.0)
    assert wall.sum() > 200
    assert 2.0 * aside[wall].min() > way.channel_mm - 0.1 and 2.0 * aside[wall].max() < way.channel_mm + 0.1
    floor = (aside < way.channel_mm / 2 - 0.05) & (np.abs(deep - way.depth_mm) < 2.0)
    assert floor.any() and np.abs(deep[floor] - way.depth_mm).max() < 0.01
    a, b, c = (surface.points_mm[surface.triangles[:, n]] for n in range(3))
    for middle in ((a + b) / 2, (b + c) / 2, (a + c) / 2, (a + b + c) / 3):  # sag of the triangles in the round wall
        offset = middle - way.top_mm
        deep = offset @ way.direction
        aside = np.linalg.norm(offset - deep[:, None] * way.direction, axis=1)
        wall = (deep > 2.0) & (deep < way.depth_mm - 2.0) & (aside < 3.0)
        assert 2.0 * aside[wall].min() > way.channel_mm - 0.1


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
