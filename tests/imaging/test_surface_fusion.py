"""A registration by one surface: found across frames, of a part, and never by a shape that does not tell."""

import numpy as np
import pytest

from benchmarks.fusion_scenes import random_motion
from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.surface_fusion import register_surfaces
from navplan.model.structure import Presence, Structure

HALF_MM = 105.0
STILL = np.eye(4)


def lump(p):
    x, y, z = p[..., 0] / 70, p[..., 1] / 50, p[..., 2] / 90
    bumps = 0.12 * np.sin(3 * x) * np.cos(2.5 * z) + 0.1 * np.cos(4 * y + z) + 0.08 * x * z
    return np.sqrt(x**2 + y**2 + z**2) < 1 + bumps


def ball(p):
    return (p**2).sum(axis=-1) < 50.0**2


def cylinder(p):
    return ((p[..., :2] ** 2).sum(axis=-1) < 40.0**2) & (np.abs(p[..., 2]) < 70)


def shown(inside, spacing_mm, motion=STILL, part=(0.0, 1.0), image="ct"):
    """A solid after a motion, on a grid of the image; part: of its slices that the image has."""
    corners = HALF_MM * np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], dtype=float)
    corners = corners @ motion[:3, :3].T + motion[:3, 3]
    low = corners.min(axis=0)
    count = np.ceil(np.ptp(corners, axis=0) / spacing_mm).astype(int)
    first, last = (int(one * count[2]) for one in part)
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = low + np.array([0, 0, first * spacing_mm[2]])
    grid = Grid(affine, (int(count[0]), int(count[1]), last - first))
    back = np.linalg.inv(motion)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) @ back[:3, :3].T + back[:3, 3]
    voxels = np.where(inside(points), np.uint8(255), np.uint8(0))
    return Structure("liver", Presence.PRESENT, voxels, grid, evaluated_in=grid, image_id=image)


CT, MR = np.array([3.0, 3.0, 4.0]), np.array([4.0, 3.5, 3.0])
MOTION = random_motion(np.random.default_rng(0), np.zeros(3))


@pytest.fixture(scope="module")
def seen() -> Structure:
    return shown(lump, CT)


def off_mm(found, seen) -> tuple[np.ndarray, np.ndarray]:
    points = seen.voxel_centres_mm()[::40]
    there = points @ MOTION[:3, :3].T + MOTION[:3, 3]
    return np.linalg.norm(found.transform.apply(points) - there, axis=1), found.error_map.error_mm(there)


@pytest.mark.parametrize("part", [(0.0, 1.0), (0.3, 0.75)])
def test_a_surface_is_found_far_away_and_in_part(seen, part):
    assert np.linalg.norm(MOTION[:3, 3]) > 500 and np.trace(MOTION[:3, :3]) < 1 + 2 * np.cos(np.radians(20))
    found = register_surfaces(shown(lump, MR, MOTION, part, "mr"), seen, None, "mr", "ct")
    off, told = off_mm(found, seen)
    assert found.good, found.words
    assert off.max() < 2.0 and (off <= told).all()


def test_it_counts_either_way_round(seen):
    found = register_surfaces(seen, shown(lump, MR, MOTION, (0.3, 0.75), "mr"), None, "ct", "mr")
    points = seen.voxel_centres_mm()[::40]
    there = points @ MOTION[:3, :3].T + MOTION[:3, 3]
    off = np.linalg.norm(found.transform.apply(there) - points, axis=1)
    assert found.good and off.max() < 2.0 and (off <= found.error_map.error_mm(points)).all()


@pytest.mark.parametrize("solid", [ball, cylinder])
def test_a_shape_that_leaves_a_turn_open_is_not_good(solid):
    found = register_surfaces(shown(solid, MR, MOTION, image="mr"), shown(solid, CT))
    checks = {one.name: one for one in found.checks}
    assert checks["shape"].verdict == "failed" and "turn about" in checks["shape"].words
    assert checks["residual"].verdict == "passed" and not found.good
    assert np.isinf(found.error_map.error_mm([[0.0, 0, 0]])).all() and found.transform.expected_error_mm is None


def test_another_shape_is_not_good(seen):
    found = register_surfaces(shown(cylinder, MR, MOTION, image="mr"), seen)
    assert {one.name for one in found.checks if one.verdict == "failed"} & {"residual", "symmetric residual", "share"}


def test_too_little_surface_is_refused(seen):
    with pytest.raises(InputError, match="surface"):
        register_surfaces(seen, shown(lump, MR, part=(0.45, 0.5)))
