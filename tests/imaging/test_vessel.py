"""ct-vessel on analytic vessels: radius, where it ends, its centreline."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.vessel import CtVesselSegmenter
from navplan.imaging.vessel_tree import centreline, depth_mm
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice
from tests.imaging.test_body import turned
from tests.imaging.test_segment import dict_of, full_mask

STEP = (1.5, 1.5, 2.0)
GRID = chest_grid(STEP, (200.0, 160.0, 200.0))
POINTS = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
X, Y, Z = np.moveaxis(POINTS, -1, 0)
RADIUS_MM = 11.0
# An arch of 35 mm radius in the plane y = 0, legs downwards; the left one opens into a chamber of 35 mm radius.
FROM_AXIS = np.where(Z > 20, np.hypot(np.hypot(X, Z - 20) - 35, Y), np.hypot(np.abs(X) - 35, Y))
AORTA = (FROM_AXIS <= RADIUS_MM) & ((X < 0) | (Z > -20))
CHAMBER = (X - 40) ** 2 + Y**2 + (Z + 52) ** 2 <= 35**2
BRANCH = (np.hypot(X, Y) < 3) & (Z > 60)


def scene(contrast_hu=350.0) -> Volume:
    values = np.full(GRID.shape, -1000.0)
    values[(X / 98) ** 2 + (Y / 78) ** 2 <= 1] = 40.0
    values[AORTA | CHAMBER | BRANCH] = contrast_hu
    values[(np.abs(X + 52) < 6) & (np.abs(Y - 8) < 8)] = 900.0  # bone that touches it
    noise = np.random.default_rng(2).normal(0, 15, GRID.shape)
    return Volume(np.rint(values + noise).astype(np.int16), GRID, "CT", "HU")


def vessel(volume, *seeds, name="aorta"):
    (found,) = CtVesselSegmenter().segment_from(volume, "ct", np.array(seeds, dtype=float), name)
    assert found.name == (name or "vessel")
    return found


@pytest.mark.parametrize("seed", [(-35, 0, -40), (-38, 4, 0), (0, 0, 55)])
def test_an_arch_without_chamber_bone_and_branch(seed):
    mask = full_mask(vessel(scene(), seed), GRID)
    assert dice(mask, AORTA) > 0.9
    assert mask[CHAMBER & ~AORTA].mean() < 0.08
    assert mask[BRANCH & (Z > 75)].mean() < 0.05


def test_two_lumens_of_two_densities_from_two_seeds():
    volume = scene()
    voxels = np.array(volume.voxels)
    voxels[AORTA & (X < -36)] = 180
    voxels[AORTA & (np.abs(X + 35) < 1)] = 60
    split = Volume(voxels, GRID, "CT", "HU")
    one = full_mask(vessel(split, (-29, 0, -40)), GRID)
    both = full_mask(vessel(split, (-29, 0, -40), (-41, 0, -40)), GRID)
    leg = AORTA & (Z < 0) & (Z > -90) & (X < 0)
    assert one[leg & (X < -38)].mean() < 0.1
    assert both[leg].mean() > 0.8


def test_a_seed_outside_contrast_is_refused():
    with pytest.raises(InputError, match=r"a seed of \d\d HU"):
        vessel(scene(), (0, 40, 0))
    with pytest.raises(InputError, match="in contrast"):
        vessel(scene(contrast_hu=80.0), (-35, 0, -40))


def test_what_is_larger_than_a_vessel_of_that_name_is_refused():
    with pytest.raises(InputError, match=r"portal_vein leaked: 1\d\d cm³"):
        vessel(scene(), (-35, 0, -40), name="portal_vein")


def test_radius_and_centreline():
    line, radius = centreline(AORTA & (Z < 62), STEP)
    points = GRID.points_mm(line)
    off = np.where(
        points[:, 2] > 20,
        np.hypot(np.hypot(points[:, 0], points[:, 2] - 20) - 35, points[:, 1]),
        np.hypot(np.abs(points[:, 0]) - 35, points[:, 1]),
    )
    middle = slice(len(line) // 6, -len(line) // 6)
    assert off[middle].max() < 2.5
    assert np.median(radius) == pytest.approx(RADIUS_MM, abs=1.0)
    assert (np.abs(np.diff(line, axis=0)).max(axis=1) == 1).all()
    length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    assert length == pytest.approx(np.pi * 35 + 40 + 120, rel=0.12)


def test_depth_of_a_ball_is_its_radius():
    ball = X**2 + Y**2 + Z**2 <= 20**2
    assert depth_mm(ball, STEP).max() == pytest.approx(20, abs=1.0)
    assert (depth_mm(ball, STEP)[~ball] == 0).all()


def test_the_centreline_of_nothing_is_refused():
    with pytest.raises(InputError, match="nothing"):
        centreline(np.zeros((3, 3, 3), dtype=bool), STEP)


def test_however_the_array_is_stored_and_the_contract():
    volume = scene()
    plain = vessel(volume, (-35, 0, -40), name="")
    other = vessel(turned(volume, (2, 1, 0), (False, True, True)), (-35, 0, -40), name="")
    assert dict_of(plain) == dict_of(other)
    check_segmenter(CtVesselSegmenter)
