"""ct-chest: a fissure that shows is found where it is, one that does not is unknown; airways are followed, and where
their wall ends no tree grows into the lung."""

import numpy as np
import pytest
from scipy import ndimage

from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.airways import find_bronchi
from navplan.imaging.chest import CtChestSegmenter
from navplan.imaging.fissures import find_fissures
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, make_chest
from tests.imaging.test_segment import full_mask

GRID = chest_grid((1.5, 1.5, 2.5), (336.0, 226.0, 130.0))
NORMAL = np.array([0.1, -0.62, 0.78]) / np.linalg.norm([0.1, -0.62, 0.78])


def places(grid):
    return grid.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))


@pytest.fixture(scope="module")
def scene():
    """Left: a fissure 1.2 mm thick, of -650 HU. Right: none. A bronchus to each side."""
    chest = make_chest(GRID)
    points = places(GRID)
    off = (points - (75.0, -5.0, 0.0)) @ NORMAL
    values = np.array(chest.volume.voxels, dtype=np.float64)
    left = chest.truth["lung_left"]
    values += np.where(left, 210 * np.exp(-0.5 * (off / 0.9) ** 2), 0)
    lumen = np.zeros(GRID.shape, dtype=bool)
    for side in (1, -1):
        stem = from_line(points, (0, -2, -14), (side * 34, -2, -24))
        branch = from_line(points, (side * 34, -2, -24), (side * 70, -20, -52))
        values[(branch <= 4.6) & (stem > 5.0)] = -100
        lumen |= (stem <= 5.0) | (branch <= 2.6)
    values[lumen] = -1000
    return Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU"), off, lumen, chest.truth["lung_left"]


def from_line(points, start, end):
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    along = np.clip((points - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
    return np.linalg.norm(points - start - along[..., None] * (end - start), axis=-1)


@pytest.fixture(scope="module")
def found(scene):
    return {one.name: one for one in CtChestSegmenter().segment(scene[0], "ct")}


def test_the_fissure_that_shows_is_found_and_the_other_side_is_unknown(scene, found):
    sheet = full_mask(found["fissure_left"], GRID)
    assert (np.abs(scene[1][sheet]) < 3.0).mean() > 0.97
    true = (np.abs(scene[1]) < 1.0) & ndimage.binary_erosion(scene[3], iterations=4)
    assert (ndimage.distance_transform_edt(~sheet, sampling=GRID.spacing_mm)[true] < 3.0).mean() > 0.8
    assert found["fissure_right"].presence is Presence.UNKNOWN


def test_what_is_found_says_that_more_may_be_there(found):
    present = [one for one in found.values() if one.presence is Presence.PRESENT]
    assert {one.name for one in present} == {"fissure_left", "bronchi_left", "bronchi_right"}
    assert all(one.incomplete for one in present)


def test_the_branches_are_followed_on_their_sides_and_stay_in_the_lumen(scene, found):
    x = places(GRID)[..., 0]
    for side, where in (("left", x > 38), ("right", x < -38)):
        tree, lumen = full_mask(found[f"bronchi_{side}"], GRID), scene[2] & where
        assert tree[lumen].mean() > 0.5
        near = ndimage.binary_dilation(scene[2], iterations=2)
        assert (tree & ~near).sum() < 0.05 * tree.sum()
        assert not tree[x * (1 if side == "left" else -1) < 0].any()


def test_a_branch_that_opens_into_dark_lung_does_not_flood_it():
    shape, step = (60, 60, 60), (1.5, 1.5, 1.5)
    hu = np.full(shape, -930.0, dtype=np.float32)  # emphysema, as dark as a lumen's blur
    hu += np.random.default_rng(0).normal(0, 15, shape).astype(np.float32)
    points = np.stack(np.indices(shape), axis=-1) * 1.5
    middle = from_line(points, (45, 45, 30), (45, 45, 90))
    trunk = (from_line(points, (45, 45, 75), (45, 45, 90)) <= 5) & (points[..., 2] > 70)
    branch = middle <= 3
    hu[(middle > 3) & (middle <= 9) & (points[..., 2] > 36)] = -100
    hu[branch | trunk] = -1000
    tree, lengths = find_bronchi(hu, np.ones(shape, dtype=bool), trunk, step)
    assert tree[branch & (points[..., 2] > 40) & (points[..., 2] < 70)].mean() > 0.8
    assert lengths
    assert (tree & ~ndimage.binary_dilation(branch, iterations=2)).sum() < 30


def test_even_lung_has_no_fissure():
    hu = np.random.default_rng(0).normal(-860, 25, (60, 60, 50)).astype(np.float32)
    assert not find_fissures(hu, np.ones(hu.shape, dtype=bool), (1.5, 1.5, 2.0)).any()


def test_the_contract_of_segmenters():
    check_segmenter(CtChestSegmenter)
