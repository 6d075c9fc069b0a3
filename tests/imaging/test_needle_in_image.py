"""A needle painted into a body with ribs, on the voxels that scanners make: found where it is."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.geometry.lines import distance_points_to_segment, perpendicular_axes, unit
from navplan.imaging.needle_in_image import find_needle
from navplan.model.volume import Volume

MIDDLE = np.array([0.0, 0.0, 0.0])


def scanned(
    tip: np.ndarray, hub: np.ndarray, spacing: tuple[float, float, float], radius_mm: float = 0.64, needle: bool = True
) -> Volume:
    """Tissue with a lung and two ribs; the needle's share of each voxel at 8000 HU (steel is denser), cut off where
    scanners do, 20 HU of noise."""
    field = np.array([200.0, 160.0, 80.0])
    shape = tuple(round(side / step) for side, step in zip(field, spacing, strict=True))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -field / 2 + np.asarray(spacing) / 2
    grid = Grid(affine, shape)
    at = grid.points_mm(np.stack(np.indices(shape), axis=-1))
    x, y, z = np.moveaxis(at, -1, 0)
    hu = np.where((x / 90) ** 2 + (y / 70) ** 2 < 1, 40.0, -1000.0)
    hu[(x / 60) ** 2 + (y / 40) ** 2 < 1] = -800.0
    for height in (-12.0, 12.0):
        ring = np.hypot(x / 82, y / 62)
        hu[(abs(ring - 1) < 0.06) & (abs(z - height - 0.2 * x) < 5)] = 900.0
    if needle:
        near = distance_points_to_segment(at.reshape(-1, 3), hub, tip)[0].reshape(shape) < 4.0
        share, offsets = np.zeros(near.sum()), (np.arange(6) + 0.5) / 6 - 0.5
        for i, j, k in np.ndindex(6, 6, 6):
            points = at[near] + np.array([offsets[i], offsets[j], offsets[k]]) * spacing
            share += (distance_points_to_segment(points, hub, tip)[0] <= radius_mm) / 216.0
        hu[near] += share * (8000.0 - hu[near])
    rng = np.random.default_rng(5)
    return Volume(np.rint(np.minimum(hu, 3071.0) + rng.normal(0, 20, shape)).astype(np.int16), grid)


def way(tilt_deg: float, turn_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Entry and target of a way to the middle from the left front."""
    tilt, turn = np.radians([tilt_deg, turn_deg])
    out = np.array([np.cos(tilt) * np.sin(turn), -np.cos(tilt) * np.cos(turn), np.sin(tilt)])
    return 75.0 * out, MIDDLE


@pytest.mark.parametrize(
    ("spacing", "tilt_deg"),
    [((0.8, 0.8, 1.25), 0.0), ((0.8, 0.8, 1.25), 20.0), ((0.8, 0.8, 2.5), 10.0), ((0.8, 0.8, 5.0), 0.0),
     ((0.8, 0.8, 5.0), 15.0)],
)  # fmt: skip
def test_it_is_found_where_it_is(spacing: tuple[float, float, float], tilt_deg: float):
    entry, target = way(tilt_deg, 40.0)
    planned = unit(target - entry)
    one, _ = perpendicular_axes(planned)
    direction = unit(planned + np.tan(np.radians(6.0)) * one)  # it went in 6 degrees off the plan
    tip = entry + 45.0 * direction
    found = find_needle(scanned(tip, tip - 150.0 * direction, spacing), entry, target)
    offset = found.tip_mm - tip
    along = float(offset @ direction)
    assert np.linalg.norm(offset - along * direction) < 1.0
    assert abs(along) < max(1.5, 0.6 * float(np.abs(np.asarray(spacing) * direction).sum()))
    assert np.degrees(np.arccos(found.direction @ direction)) < (2.0 if spacing[2] == 5.0 else 1.0)
    assert found.seen_mm > 40.0 and 0.0 < found.tip_error_mm < 2.0 and 0.0 < found.angle_error_deg < 1.0


def test_a_body_without_one_has_none():
    entry, target = way(0.0, 40.0)
    with pytest.raises(InputError, match="no needle"):
        find_needle(scanned(target, entry, (0.8, 0.8, 2.5), needle=False), entry, target)


def test_a_needle_elsewhere_is_not_this_one():
    entry, target = way(0.0, 40.0)
    other = np.array([-80.0, -60.0, 30.0])
    with pytest.raises(InputError, match="no needle"):
        find_needle(scanned(other + np.array([40.0, 30.0, 0.0]), other, (0.8, 0.8, 2.5)), entry, target)


def test_a_rigid_motion_moves_it_along():
    entry, target = way(5.0, 40.0)
    tip = entry + 0.6 * (target - entry)
    volume = scanned(tip, entry - (target - entry), (1.0, 1.0, 1.5))
    turn = np.eye(4)
    turn[:3, :3] = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turn[:3, 3] = (11.0, -7.0, 5.0)
    moved = Volume(volume.voxels, Grid(turn @ volume.grid.affine, volume.grid.shape))

    def there(point: np.ndarray) -> np.ndarray:
        return turn[:3, :3] @ point + turn[:3, 3]

    one, other = find_needle(volume, entry, target), find_needle(moved, there(entry), there(target))
    np.testing.assert_allclose(there(one.tip_mm), other.tip_mm, atol=0.3)
    assert one.direction @ (turn[:3, :3].T @ other.direction) > 0.9999
