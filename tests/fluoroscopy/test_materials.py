"""CT numbers to water and bone."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.materials import (
    BONE_STEP,
    CORTICAL_BONE_HU,
    WATER_STEP,
    amount_tables,
    hounsfield,
    water_and_bone_of_hu,
)
from navplan.fluoroscopy.xray import attenuation_per_mm
from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

GRID = Grid(np.eye(4), (4, 5, 6))
WATER_PER_MM, BONE_PER_MM = (float(attenuation_per_mm(name, 80.0)) for name in ("water", "bone"))


def weakening(hu):
    """Linear attenuation at the scanner's energy, per mm."""
    water, bone = water_and_bone_of_hu(np.asarray(hu))
    return water * WATER_PER_MM + bone * BONE_PER_MM


def test_air_water_and_cortical_bone_are_themselves():
    water, bone = water_and_bone_of_hu(np.array([-3000, -2048, -1000, 0, 60, CORTICAL_BONE_HU]))
    assert np.allclose(water, [0, 0, 0, 1, 1.06, 0]) and np.allclose(bone, [0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("hu", [-600, 40, 90, 210, 700, 1329, 2000, 3000])
def test_at_the_scanners_energy_they_weaken_as_the_ct_number_says(hu):
    assert weakening(hu) == pytest.approx(WATER_PER_MM * (1 + hu / 1000), rel=0.01)


def test_attenuation_rises_with_the_ct_number_without_a_jump_at_any_energy():
    water, bone = water_and_bone_of_hu(np.arange(-1000, 4000))
    for kev in (40, 60, 100):
        found = water * attenuation_per_mm("water", kev) + bone * attenuation_per_mm("bone", kev)
        assert np.diff(found).min() > 0 and np.diff(found).max() < found[1000] / 50
    assert bone[:1100].max() == 0.0 and water.min() == 0.0


def test_the_tables_hold_the_amounts_of_every_ct_number():
    water, bone = amount_tables(None)
    exact = water_and_bone_of_hu(np.arange(-32768, 32768))
    assert np.abs(water * WATER_STEP - exact[0]).max() <= WATER_STEP / 2 + 1e-12
    assert np.abs(bone * BONE_STEP - exact[1]).max() <= BONE_STEP / 2 + 1e-12 and bone.max() > 0


def test_padding_counts_as_air_whatever_its_value():
    for table in amount_tables(0.0):
        assert table[32768] == 0
    assert amount_tables(0.0)[0][32769] > 0 and amount_tables(None)[0][32768] == round(1 / WATER_STEP)


@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_whole_numbers_of_either_kind(kind):
    numbers = np.random.default_rng(0).integers(-1100, 3000, GRID.shape)
    assert (hounsfield(Volume(numbers.astype(kind), GRID)) == numbers).all()


@pytest.mark.parametrize("what", [{"modality": "MR", "quantity": "signal"}, {"quantity": "signal"}])
def test_other_images_are_refused(what):
    with pytest.raises(InputError, match="Hounsfield"):
        Anatomy(Volume(np.zeros(GRID.shape, np.int16), GRID, **what))
