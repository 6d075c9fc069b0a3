"""ct-vessels: trees of known radius in the lung and in tissue are found and followed; noise and sheets are none."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.vessel_phantoms import STEPS, image_of, shapes
from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.vessel_wall import within_wall
from navplan.imaging.vesselness import find_tubes
from navplan.imaging.vessels_in_part import ELSEWHERE, IN_PART, LUNG, ORGAN, CtVesselsSegmenter
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice, make_chest
from tests.imaging.test_chest import from_line, places
from tests.imaging.test_segment import full_mask

NAMED = {shape.name: shape for shape in shapes()}
GRID = chest_grid((1.5, 1.5, 2.5), (336.0, 226.0, 130.0))
BRANCHES = [((38, -20, 5), (78, -30, 40), 3.0), ((60, -25, 24), (80, 20, 10), 1.6)]  # in the left lung: ends, radius


@pytest.fixture(scope="module")
def chest():
    """Two vessels in the left lung, none in the right but a sheet and a nodule."""
    made = make_chest(GRID)
    points = places(GRID)
    values = np.array(made.volume.voxels, dtype=np.float64)
    tree = np.zeros(GRID.shape, dtype=bool)
    for start, end, radius in BRANCHES:
        tree |= from_line(points, start, end) <= radius
    tree &= made.truth["lung_left"]
    values[tree] = 40
    right = made.truth["lung_right"] & (points[..., 0] < -40)
    values[right & (np.abs(points[..., 2] - 10) < 1.3)] = -600
    values[right & (np.linalg.norm(points - (-75, 10, -30), axis=-1) < 6)] = 40
    volume = Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU")
    return tree, {one.name: one for one in CtVesselsSegmenter().segment(volume, "ct")}


def test_the_vessels_of_a_lung_and_neither_nodule_nor_fissure(chest):
    tree, found = chest
    vessels = full_mask(found["lung_vessels"], GRID)
    deep = tree & (places(GRID)[..., 0] > 45)
    assert vessels[deep].mean() > 0.75
    assert (vessels & ~ndimage.binary_dilation(tree)).sum() < 0.1 * vessels.sum()


def test_what_is_found_says_that_more_may_be_there(chest):
    found = chest[1]
    assert set(found) == {"lung_vessels", "vessels"}
    assert found["lung_vessels"].incomplete == IN_PART and found["vessels"].presence is Presence.UNKNOWN


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("name", ["oblique, r 1.5", "r 6 with a branch of r 3"])
def test_a_tube_with_contrast_is_found_whole(name, step):
    shape = NAMED[name]
    hu = image_of(shape, step)
    mask = find_tubes(hu, np.ones(hu.shape, dtype=bool), ELSEWHERE, step)
    line = np.concatenate([shape.line_mm[20:-20], shape.branch_mm[:-20]])
    assert mask[tuple(np.rint(line / step).astype(int).T)].mean() > 0.97
    truth = image_of(shape, step, seed=1) > 170  # half-way, another noise
    assert dice(mask, truth) > 0.8


def test_vessels_little_brighter_than_their_organ_and_none_in_noise():
    step = (0.8, 0.8, 2.5)
    hu = (image_of(NAMED["oblique, r 3"], step) - 40) * (40 / 260) + 110
    noise = np.random.default_rng(1).normal(0, 15, hu.shape).astype(np.float32)
    region = np.ones(hu.shape, dtype=bool)
    mask = find_tubes(hu + noise, region, ORGAN, step)
    truth = image_of(NAMED["oblique, r 3"], step) > 170
    assert dice(mask, truth) > 0.7
    plain = find_tubes(110 + noise, region, ORGAN, step)
    assert plain.mean() < 0.002
    assert not find_tubes(np.full(hu.shape, -850, dtype=np.float32) + noise, region, LUNG, step).any()


def test_the_wall_about_a_lumen_that_contrast_fills_in_part():
    step = (1.5, 1.5, 2.0)
    x, y, z = (np.arange(n) * s for n, s in zip((60, 60, 40), step, strict=True))
    off_x, off_y = x[:, None, None] - 45 - 0.05 * z, y[None, :, None] - 44 + 0 * z
    whole = np.hypot(off_x, off_y) <= 14
    true = whole & (off_x + 0 * off_y > np.where(z > 50, -20, 6))
    hu = np.where(whole, 60.0, -90.0)
    hu[true] = 350
    hu += np.random.default_rng(0).normal(0, 15, hu.shape)
    body = np.ones(hu.shape, dtype=bool)
    lumen = whole & (z > 50)
    added, along_mm = within_wall(hu.astype(np.float32), body, lumen, np.array([[31, 29, 30]]), step)
    assert dice(added | lumen, whole) > 0.95
    assert along_mm == pytest.approx(52, abs=4)
    full = np.where(whole, 350.0, -90.0).astype(np.float32)
    assert not within_wall(full, body, whole, np.array([[31, 29, 30]]), step)[0].any()
    nothing = np.full(hu.shape, 60, dtype=np.float32)
    assert not within_wall(nothing, body, lumen, np.array([[31, 29, 30]]), step)[0].any()


def test_the_contract():
    check_segmenter(CtVesselsSegmenter)
