"""Spectra, attenuation and kerma against published figures."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.fluoroscopy.response import response
from navplan.fluoroscopy.xray import (
    Tube,
    air_kerma_ugy,
    attenuation_per_mm,
    half_value_layer_mm,
    mean_energy_kev,
    xray_tables,
)

ALUMINIUM = ("aluminium", 2.5)


def test_a_filtered_tube_has_the_published_half_value_layer_energy_and_kerma():
    """SpekPy's own 80 kVp, 2.5 mm Al + .1 mm Cu, 12 degrees, 1 m of air besides."""
    photons = Tube(80, (ALUMINIUM, ("copper", 0.1))).photons()
    assert half_value_layer_mm(photons) == pytest.approx(4.40, rel=0.01)
    assert mean_energy_kev(photons) == pytest.approx(47.9, rel=0.01)
    assert air_kerma_ugy(photons) == pytest.approx(39.2, rel=0.01)


@pytest.mark.parametrize(("kv", "copper_mm", "ugy_per_mas"), [(70, 0.2, 16.5), (110, 0.3, 46.2)])
def test_kerma_of_other_settings(kv, copper_mm, ugy_per_mas):
    assert air_kerma_ugy(Tube(kv, (ALUMINIUM, ("copper", copper_mm))).photons()) == pytest.approx(ugy_per_mas, rel=0.01)


def test_water_weakens_as_nists_tables_say():
    found = 10 * attenuation_per_mm("water", [20, 40, 60, 80, 100, 120])
    assert np.allclose(found, [0.8098, 0.2683, 0.2059, 0.1837, 0.1707, 0.1614], rtol=0.01)


def test_cortical_bone_and_iodines_edge():
    assert np.allclose(10 * attenuation_per_mm("bone", [60, 80]), [0.6045, 0.4279], rtol=0.01)
    before, behind = attenuation_per_mm("iodine", [32.5, 33.5])
    assert behind > 4 * before  # the K edge at 33.17 keV


@pytest.mark.parametrize(("centimetres", "per_cm"), [(1, 0.2448), (20, 0.2278), (30, 0.2233)])
def test_the_beam_hardens_in_water(centimetres, per_cm):
    thick = np.array(10.0 * centimetres)
    found = response(Tube(80)).exact({"water": thick})[0] / centimetres
    assert float(found) == pytest.approx(per_cm, rel=0.01)


def test_more_filter_hardens_and_weakens():
    soft, hard = Tube(80, (ALUMINIUM,)).photons(), Tube(80, (ALUMINIUM, ("copper", 0.3))).photons()
    assert half_value_layer_mm(hard) > 1.5 * half_value_layer_mm(soft) and air_kerma_ugy(hard) < 0.5 * air_kerma_ugy(
        soft
    )
    assert half_value_layer_mm(soft, "copper") < half_value_layer_mm(soft)


def test_no_photon_has_more_energy_than_the_tube_gives():
    tables = xray_tables()
    for kv in (40, 61, 125):
        assert not tables.photons[kv][tables.energies_kev > kv].any() and tables.photons[kv].sum() > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"kv": 30},
        {"kv": 200},
        {"filters": (("lead", 1.0),)},
        {"filters": (("copper", -1.0),)},
        {"filters": (("copper", np.nan),)},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError):
        Tube(**wrong)
    with pytest.raises(InputError, match="kryptonite"):
        attenuation_per_mm("kryptonite", 60)


def test_the_tables_agree_with_the_sum_over_energies():
    seen, rng = response(Tube(90)), np.random.default_rng(0)
    amounts = np.stack([rng.uniform(0, 400, (20, 30)), rng.uniform(0, 60, (20, 30))]).astype(np.float32)
    fast, quantum = seen.of(amounts)
    exact, quantum_exact = seen.exact({"water": amounts[0], "bone": amounts[1]})
    assert np.abs(fast - exact).max() < 2e-3 and np.allclose(quantum, quantum_exact, rtol=2e-3)


def test_amounts_beyond_the_tables_go_straight_on():
    seen = response(Tube(100))
    far = seen.of(np.array([[[900.0, 1000.0]], [[200.0, 200.0]]], dtype=np.float32))[0]
    exact = seen.exact({"water": np.array([[900.0, 1000.0]]), "bone": np.array([[200.0, 200.0]])})[0]
    assert np.allclose(far, exact, rtol=0.05) and far[0, 1] > far[0, 0]


def test_steel_in_front_of_water_adds_what_the_hardened_beam_says():
    seen = response(Tube(75))
    before = seen.exact({"water": np.array([50.0, 150.0, 250.0])})[0]
    for mm in (0.2, 0.7, 2.0):
        steel = np.full(3, mm)
        both = seen.exact({"water": np.array([50.0, 150.0, 250.0]), "steel": steel})[0]
        assert np.allclose(seen.added(before, "steel", steel), both - before, rtol=0.02)
    assert seen.added(before, "steel", np.zeros(3)) == pytest.approx(0.0)


def test_an_amount_a_little_below_nothing_is_next_to_nothing():
    seen = response(Tube(80))
    below = np.array([[[-15.0, -0.1]], [[-3.0, 0.0]]], dtype=np.float32)
    assert np.abs(seen.of(below)[0]).max() < 1.0
