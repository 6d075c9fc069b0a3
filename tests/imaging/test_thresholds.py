"""ct-gas on analytic solids: bowel gas, bulla, calcification, and what is none of them."""

import numpy as np
import pytest

from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.thresholds import CtGasSegmenter
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice, make_chest
from tests.imaging.test_segment import full_mask

GRID = chest_grid((2.0, 2.0, 2.5), (360.0, 260.0, 120.0))


@pytest.fixture(scope="module")
def scene():
    chest = make_chest(GRID, contrast_hu=300.0)
    points = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)

    def ball(centre, radius):
        return sum((p - c) ** 2 for p, c in zip((x, y, z), centre, strict=True)) <= radius**2

    truth = {
        "bowel_gas": ball((0, -70, 0), 15),
        "bulla_left": ball((75, -20, 0), 14),
        "calcification": ball((8, 13, 20), 3.2),
    }
    values = np.array(chest.volume.voxels)
    values[truth["bowel_gas"]] = -990
    values[truth["bulla_left"]] = -1000
    values[truth["calcification"]] = 800
    values[ball((145, 30, 0), 3)] = -990  # a fold of the skin
    return Volume(values, GRID, "CT", "HU"), truth


@pytest.fixture(scope="module")
def found(scene):
    return {one.name: one for one in CtGasSegmenter().segment(scene[0], "ct")}


@pytest.mark.parametrize(("name", "least"), [("bowel_gas", 0.95), ("bulla_left", 0.85), ("calcification", 0.75)])
def test_what_is_there_is_found_and_nothing_else(scene, found, name, least):
    assert dice(full_mask(found[name], GRID), scene[1][name]) > least
    assert found[name].made_by == "automatic"


def test_windpipe_lung_spine_and_contrast_are_none_of_them():
    plain = CtGasSegmenter().segment(make_chest(GRID, contrast_hu=300.0).volume, "ct")
    assert {one.name: one.presence for one in plain} == dict.fromkeys(
        ("bowel_gas", "bulla_left", "bulla_right", "calcification"), Presence.UNKNOWN
    )


def test_a_bulla_says_that_others_may_be_there_and_the_other_lung_is_unknown(found):
    assert found["bulla_left"].incomplete
    assert found["bulla_right"].presence is Presence.UNKNOWN


def test_gas_in_fat_is_in_doubt_and_gas_with_a_wall_is_not(scene, caplog):
    points = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    values = np.array(scene[0].voxels)
    from_middle = np.sqrt((x / 2) ** 2 + (y + 70) ** 2 + z**2)
    values[from_middle < 24] = -100
    bare = np.sqrt((x - 22) ** 2 + (y + 70) ** 2 + z**2)
    gut = np.sqrt((x + 22) ** 2 + (y + 70) ** 2 + z**2)
    values[gut < 12] = 40
    values[(bare < 9) | (gut < 8)] = -990
    found = {one.name: one for one in CtGasSegmenter().segment(Volume(values, GRID, "CT", "HU"), "ct")}
    assert "free_gas_suspected_2" not in found
    free = full_mask(found["free_gas_suspected_1"], GRID)
    assert dice(free, bare < 9) > 0.85
    assert "cm³ about 22,-70,0 mm" in found["free_gas_suspected_1"].made_with
    assert "may be free gas" in caplog.text
    assert full_mask(found["bowel_gas"], GRID)[free].all()  # it stays what a way must not cross


def test_the_contract_of_segmenters():
    check_segmenter(CtGasSegmenter)
