"""ct-spine on a spine from analytic solids: canal, levels from a seed, what is unsure."""

import numpy as np
import pytest
from scipy import ndimage

from navplan.errors import InputError
from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.spine import CtSpineSegmenter
from navplan.imaging.vertebrae import LEVELS, levels
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice
from tests.imaging.test_body import turned
from tests.imaging.test_segment import dict_of, full_mask

GRID = chest_grid((1.5, 1.5, 2.5), (240.0, 200.0, 220.0))
POINTS = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
X, Y, Z = np.moveaxis(POINTS, -1, 0)
HEIGHT_MM = 32.0
CENTRES = np.arange(-96.0, 97.0, HEIGHT_MM)  # of seven bodies
CANAL_Y = 30.0
CANAL = np.hypot(X, Y - CANAL_Y) <= 8.0


def vertebra(centre_mm):
    """Body with an end plate towards each disc, pedicles in its upper half, laminae and a spinous process."""
    low, high = centre_mm - HEIGHT_MM / 2 + 3, centre_mm + HEIGHT_MM / 2 - 3
    body = (np.hypot(X / 22, (Y - 5) / 16) <= 1) & (low < Z) & (high > Z) & ~CANAL
    pedicles = (np.abs(np.abs(X) - 11) < 3.5) & (np.abs(Y - 25) < 9) & (centre_mm + 1 < Z) & (high - 2 > Z)
    from_canal = np.hypot(X, Y - CANAL_Y)
    arch = (from_canal > 8) & (from_canal < 14) & (Y > CANAL_Y + 2) & (low - 3 < Z) & (high - 3 > Z)
    spinous = (np.abs(X) < 4) & (Y > CANAL_Y + 12) & (Y < CANAL_Y + 34) & (np.abs(Z - centre_mm + 6) < 9)
    return body | pedicles | arch | spinous


BONES = [vertebra(centre) for centre in CENTRES]


def spine(missing=()) -> Volume:
    """missing: vertebrae without bone, as if a tumour had eaten them."""
    values = np.full(GRID.shape, -1000.0)
    values[(X / 115) ** 2 + (Y / 95) ** 2 <= 1] = 40.0
    for number, bone in enumerate(BONES):
        values[bone] = 650.0
        values[ndimage.binary_erosion(bone)] = 220.0
        if number in missing:
            values[bone] = 40.0
    values[CANAL] = 15.0
    rough = np.where(values == 220.0, 70.0, 12.0)  # trabeculae are uneven, contrast is not
    noise = np.random.default_rng(5).normal(0, 1, GRID.shape) * rough
    return Volume(np.rint(values + noise).astype(np.int16), GRID, "CT", "HU")


@pytest.fixture(scope="module")
def found():
    return {one.name: one for one in seeded(spine(), (0, 5, CENTRES[3]), "vertebrae_L1")}


def seeded(volume, seed, name):
    return CtSpineSegmenter().segment_from(volume, "ct", np.array([seed], dtype=float), name)


def test_the_canal_without_a_seed():
    (canal,) = CtSpineSegmenter().segment(spine(), "ct")
    assert canal.name == "spinal_canal" and canal.made_by == "automatic"
    mask = full_mask(canal, GRID)
    assert dice(mask, CANAL) > 0.8 and mask[CANAL].mean() > 0.7  # where foramina are wide open its rim is left out
    assert (mask & ~CANAL).sum() < 0.1 * CANAL.sum()


def test_levels_are_counted_from_the_seed_up_and_down(found):
    names = ["vertebrae_L4", "vertebrae_L3", "vertebrae_L2", "vertebrae_L1", "vertebrae_T12", "vertebrae_T11"]
    for name, bone in zip(names, BONES, strict=False):
        assert dice(full_mask(found[name], GRID), bone) > 0.7, name
        assert found[name].made_by == "semiautomatic"
    assert "vertebrae_L5" not in found


def test_no_voxel_belongs_to_two_levels(found):
    count = sum(full_mask(one, GRID).astype(int) for name, one in found.items() if one.presence is Presence.PRESENT)
    assert count.max() == 1


def test_levels_beyond_one_that_may_be_missing_are_unknown():
    some = {one.name: one for one in seeded(spine(missing=(4,)), (0, 5, CENTRES[2]), "vertebrae_L2")}
    assert some["vertebrae_L1"].presence is Presence.PRESENT
    assert dice(full_mask(some["vertebrae_L2"], GRID), BONES[2]) > 0.6
    beyond = [name for name, one in some.items() if one.presence is Presence.UNKNOWN]
    assert "vertebrae_T12" in beyond and not {"vertebrae_L1", "vertebrae_L3"} & set(beyond)


def test_counting_by_itself():
    even = np.arange(8) * 25.0
    named, unsure = levels(even, 4, "vertebrae_L3")
    assert named[4] == "vertebrae_L3" and named[8] == "vertebrae_T11" and named[2] == "vertebrae_L5"
    assert set(named) == {2, 3, 4, 5, 6, 7, 8} and unsure == []
    assert LEVELS[0] == "vertebrae_L5" and LEVELS[-1] == "vertebrae_C1"
    gap = np.array([0.0, 25, 50, 75, 125, 150, 175])
    named, unsure = levels(gap, 3, "vertebrae_L2")
    assert set(named) == {1, 2, 3, 4} and unsure == ["vertebrae_T12", "vertebrae_T11", "vertebrae_T10"]


@pytest.mark.parametrize(
    ("seeds", "name", "words"),
    [
        ([(0, 5, 0)], "liver", "a vertebra"),
        ([(0, 5, 0)], "", "a vertebra"),
        ([(0, 5, 0), (0, 5, 30)], "vertebrae_L1", "2 seeds"),
        ([(100, 0, 0)], "vertebrae_L1", "mm from the spinal canal"),
    ],
)
def test_seeds_that_name_no_vertebra_are_refused(seeds, name, words):
    with pytest.raises(InputError, match=words):
        CtSpineSegmenter().segment_from(spine(), "ct", np.array(seeds, dtype=float), name)


def test_no_spine_is_unknown_and_with_a_seed_refused():
    values = np.full(GRID.shape, -1000.0)
    values[(X / 115) ** 2 + (Y / 95) ** 2 <= 1] = 40.0
    plain = Volume(values.astype(np.int16), GRID, "CT", "HU")
    assert CtSpineSegmenter().segment(plain, "ct")[0].presence is Presence.UNKNOWN
    with pytest.raises(InputError, match="no spinal canal"):
        seeded(plain, (0, 5, 0), "vertebrae_L1")


def test_however_the_array_is_stored(found):
    other = seeded(turned(spine(), (1, 2, 0), (True, True, False)), (0, 5, CENTRES[3]), "vertebrae_L1")
    assert [one.name for one in other] == list(found)
    for one in other:
        assert dict_of(one) == dict_of(found[one.name]), one.name


def test_the_contract_of_segmenters():
    check_segmenter(CtSpineSegmenter)
