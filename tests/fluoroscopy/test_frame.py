"""Dose, noise, scatter, collimator, grey scale."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.exposure import Panel, automatic_exposure
from navplan.fluoroscopy.frame import LEAK, open_quanta_kev, read_out, scattered
from navplan.fluoroscopy.monitor import PROGRAMS, GreyScale, Program, program_named
from navplan.fluoroscopy.response import response
from navplan.fluoroscopy.smooth import blurred
from navplan.fluoroscopy.xray import Tube
from navplan.geometry.carm import CArm, Detector

DETECTOR, CARM = Detector(256, 256, 1.2), CArm()
SHARP = Panel(blur_mm=0.0, readout_ngy=0.0)


def flat(mm_of_water, panel=SHARP, frame=0, frames=1, detector=DETECTOR, **more):
    """The panel's signal behind an even layer of water, and the exposure it took."""
    exposure = automatic_exposure(panel, CARM, detector, mm_of_water, 0.0, **more)
    amounts = np.zeros((2, detector.rows, detector.cols), np.float32)
    amounts[0] = mm_of_water
    attenuation, quantum = response(exposure.tube).of(amounts)
    signal = np.exp(-attenuation) + scattered(attenuation, panel, detector, exposure.field_mm)
    return read_out(signal, quantum, panel, exposure, CARM, detector, frame, frames), exposure


def relative_variance(signal):
    middle = signal[64:192, 64:192].astype(np.float64)
    return middle.var() / middle.mean() ** 2


def test_the_panel_gets_its_dose_whatever_the_patient_and_the_voltage_rises_when_the_tube_can_give_no_more():
    doses = [automatic_exposure(SHARP, CARM, DETECTOR, water, 0.0) for water in (50, 120, 200, 280, 340)]
    assert all(abs(one.panel_kerma_ngy - 20.0) < 0.5 for one in doses if not one.limited)
    assert [one.tube.kv for one in doses] == sorted(one.tube.kv for one in doses) and doses[0].tube.kv == 60
    assert all(b.reference_kerma_ugy > a.reference_kerma_ugy for a, b in pairwise(doses))
    too_thick = automatic_exposure(SHARP, CARM, DETECTOR, 600, 20.0)
    assert too_thick.limited and too_thick.panel_kerma_ngy < 20.0 and "limit" in too_thick.words


def test_kerma_falls_with_the_square_of_the_distance_and_dap_does_not():
    exposure = automatic_exposure(SHARP, CARM, DETECTOR, 200, 0.0)
    at_metre = response(exposure.tube).kerma_ugy_per_mas * exposure.mas
    assert exposure.reference_kerma_ugy == pytest.approx(at_metre * (1000 / 650) ** 2)
    for distance_mm in (500.0, 800.0, 1200.0):
        side_cm = DETECTOR.cols * DETECTOR.pixel_mm * distance_mm / CARM.sid_mm / 10
        assert at_metre * (1000 / distance_mm) ** 2 * side_cm**2 == pytest.approx(exposure.dap_ugy_cm2)


def test_a_collimated_field_takes_less_dap_and_the_rest_is_dark():
    whole = automatic_exposure(SHARP, CARM, DETECTOR, 200, 0.0)
    signal, exposure = flat(200.0, field_mm=(150.0, 100.0), frame=-1)
    assert exposure.dap_ugy_cm2 == pytest.approx(whole.dap_ugy_cm2 * 150 * 100 / (256 * 1.2) ** 2)
    assert exposure.reference_kerma_ugy == pytest.approx(whole.reference_kerma_ugy)
    assert signal[10, 128] < 1.5 * LEAK * signal[128, 128] > signal[128, 10]
    wide = np.flatnonzero(signal[128] > 0.5 * signal[128, 128]).size * 1.2
    tall = np.flatnonzero(signal[:, 128] > 0.5 * signal[128, 128]).size * 1.2
    assert abs(wide - 150) < 3 and abs(tall - 100) < 3


def test_noise_is_that_of_the_quanta_and_falls_with_the_dose():
    """Relative variance: mean energy a quantum brings over the energy absorbed; its standard error here 1 %."""
    once, exposure = flat(200.0)
    quantum = float(response(exposure.tube).exact({"water": np.array(200.0)})[1])
    absorbed = once[64:192, 64:192].mean() * open_quanta_kev(SHARP, exposure, CARM, DETECTOR)
    assert relative_variance(once) == pytest.approx(quantum / absorbed, rel=0.05)
    for times in (0.25, 4.0):
        panel = replace(SHARP, kerma_per_pulse_ngy=20.0 * times, most_mas_per_pulse=50.0)
        base = replace(SHARP, most_mas_per_pulse=50.0)
        ratio = relative_variance(flat(200.0, panel, kv=80)[0]) / relative_variance(flat(200.0, base, kv=80)[0])
        assert ratio == pytest.approx(1 / times, rel=0.05)


def test_a_last_image_hold_of_many_pulses_has_less_noise():
    assert relative_variance(flat(200.0, frames=8)[0]) == pytest.approx(relative_variance(flat(200.0)[0]) / 8, rel=0.05)


def test_the_same_frame_has_the_same_noise_and_another_has_not():
    assert (flat(150.0, frame=3)[0] == flat(150.0, frame=3)[0]).all()
    one, two = (flat(150.0, frame=number)[0][64:192, 64:192].ravel() for number in (3, 4))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.05
    assert relative_variance(flat(150.0, frame=-1)[0]) < 1e-6


def test_blur_takes_noise_away_and_readout_noise_adds_to_it():
    assert relative_variance(flat(200.0, Panel(blur_mm=1.0, readout_ngy=0.0))[0]) < 0.4 * relative_variance(
        flat(200.0)[0]
    )
    assert relative_variance(flat(200.0, replace(SHARP, readout_ngy=20.0))[0]) > 1.2 * relative_variance(flat(200.0)[0])


def test_scatter_veils_what_the_grid_does_not_keep_away():
    clean, grid, none = (
        flat(200.0, panel, frame=-1)[0][128, 128]
        for panel in (
            replace(SHARP, scatter_share=0.0), SHARP, replace(SHARP, grid_primary=1.0, grid_scatter=1.0),
        )
    )  # fmt: skip
    assert 1.05 < grid / clean < 1.6 and none / clean > 1.8


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"kerma_per_pulse_ngy": 0.0}, {"grid_primary": 1.5}, {"blur_mm": -1.0}, {"readout_ngy": np.nan}):
        with pytest.raises(InputError):
            Panel(**wrong)


@pytest.mark.parametrize("sigma", [1.3, 5.0, 12.0, 25.6])
def test_the_fast_blur_is_a_gaussian_blur(sigma):
    image = gaussian_filter(np.random.default_rng(1).normal(size=(203, 310)).astype(np.float32), 3.0) * 10
    image[60:120, 80:200] += 2.0
    exact = gaussian_filter(image, sigma, mode="nearest", truncate=6.0)
    assert np.abs(blurred(image, sigma) - exact).max() < 0.03 * np.ptp(image)
    assert blurred(np.full((37, 41), 3.0, np.float32), sigma) == pytest.approx(3.0, rel=1e-5)


def test_grey_values_fall_with_attenuation_when_nothing_is_compressed():
    ramp = np.tile(np.linspace(0.3, 6, 64, dtype=np.float32), (64, 1))
    pixels = GreyScale.of(ramp, Program("flat", compression=0.0)).pixels(ramp)
    assert (np.diff(pixels.astype(int), axis=1) <= 0).all() and pixels[0, 0] > 232 and pixels[0, -1] < 30
    with pytest.raises(InputError):
        Program("none left", compression=1.0)


def test_the_spine_program_shows_a_faint_edge_between_lung_and_liver():
    ramp = np.tile(np.linspace(2.0, 6.0, 256, dtype=np.float32), (256, 1))  # lung to liver
    endplate = ramp.copy()
    endplate[126:130] += 0.1
    seen = {}
    for program in PROGRAMS.values():
        scale = GreyScale.of(endplate, program)
        pixels = scale.pixels(endplate).astype(int)
        seen[program.name] = float((pixels[118, 60:200] - pixels[128, 60:200]).mean())
    assert seen["spine"] > 4 * seen["general"] > 0 and seen["spine"] > 30
    with pytest.raises(ChoiceError):
        program_named("knee")


def test_an_empty_beam_is_bright_everywhere():
    empty = np.zeros((32, 32), np.float32)
    assert GreyScale.of(empty).pixels(empty).min() >= 240


def test_a_tube_voltage_can_be_asked_for():
    assert automatic_exposure(SHARP, CARM, DETECTOR, 150, 0.0, kv=95).tube == Tube(95, SHARP.filters)
