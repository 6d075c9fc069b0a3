"""CT numbers to attenuation."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.fluoroscopy.materials import (
    CORTICAL_BONE_HU,
    CORTICAL_BONE_PER_MM,
    WATER_PER_MM,
    attenuation_of_hu,
    attenuation_per_mm,
)
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

GRID = Grid(np.eye(4), (4, 5, 6))


def test_air_water_and_cortical_bone_have_their_tabulated_attenuation():
    assert np.allclose(
        attenuation_of_hu([-3000, -2048, -1000, 0, CORTICAL_BONE_HU]), [0, 0, 0, WATER_PER_MM, CORTICAL_BONE_PER_MM]
    )


def test_attenuation_rises_with_the_ct_number_without_a_jump():
    steps = np.diff(attenuation_of_hu(np.arange(-1000, 4000)))
    assert steps.min() > 0 and steps.max() < WATER_PER_MM / 100


def test_bone_attenuates_more_than_water_of_the_same_ct_number():
    assert attenuation_of_hu(700) > 1.1 * WATER_PER_MM * 1.7
    assert np.isclose(attenuation_of_hu(60), WATER_PER_MM * 1.06)


@pytest.mark.parametrize("kind", ["i2", "f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_volume_is_converted_voxel_by_voxel(kind, order):
    numbers = np.random.default_rng(0).integers(-1100, 3000, GRID.shape)
    voxels = np.array(numbers, dtype=kind, order=order)
    assert np.allclose(attenuation_per_mm(Volume(voxels, GRID)), attenuation_of_hu(numbers), rtol=1e-5, atol=1e-8)
    sliced = np.array(np.repeat(numbers, 2, axis=1), dtype=kind, order=order)[:, ::2]
    assert np.allclose(attenuation_per_mm(Volume(sliced, GRID)), attenuation_of_hu(numbers), rtol=1e-5, atol=1e-8)


def test_padding_counts_as_air_whatever_its_value():
    voxels = np.full(GRID.shape, 40, dtype=np.int16)
    voxels[0], voxels[1] = -2048, 0
    volume = Volume(voxels, GRID, acquisition=Acquisition(padding_hu=0))
    attenuation = attenuation_per_mm(volume)
    assert attenuation[:2].max() == 0.0 and attenuation[2:].min() > WATER_PER_MM


@pytest.mark.parametrize("what", [{"modality": "MR", "quantity": "signal"}, {"quantity": "signal"}])
def test_other_images_are_refused(what):
    with pytest.raises(InputError, match="Hounsfield"):
        attenuation_per_mm(Volume(np.zeros(GRID.shape, np.int16), GRID, **what))
