"""The live error model: each part counts in full, unknown stays unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.guidance_scene import planned, tool
from navplan.navigation.live_error import live_error


def test_without_a_second_sensor_bending_is_as_much_as_the_plan_expects() -> None:
    model = replace(planned()[0].error_model, bend_sigma_per_mm=4e-4)
    assert live_error(0.5, tool(), 50.0, model, None, 50.0).bending_mm == pytest.approx(0.5)
    assert live_error(0.5, tool(), 50.0, model, 0.2, 50.0).bending_mm == 0.2
    unknown = live_error(float("nan"), tool(), 50.0, model, None, 50.0)
    assert not unknown.known and "nan" in unknown.words


def test_the_live_model_is_rounded_up_and_keeps_the_plans_motion() -> None:
    planned_model = replace(planned()[0].error_model, motion_sigma_mm=(1.0, 2.0, 5.0))
    error = live_error(1.21, tool(), 40.0, planned_model, None, 40.0)
    model = error.model(planned_model)
    assert error.together_mm <= model.entry_sigma_mm < error.together_mm + 0.1 + 1e-9
    assert model.motion_sigma_mm == (1.0, 2.0, 5.0) and model.depth_sigma_mm == model.entry_sigma_mm


def test_with_a_second_sensor_what_the_way_ahead_is_expected_to_bend_is_added() -> None:
    model = replace(planned()[0].error_model, bend_sigma_per_mm=4e-4)
    there = live_error(0.5, tool(), 50.0, model, 0.3, 50.0, ahead_mm=0.0).bending_mm
    half = live_error(0.5, tool(), 50.0, model, 0.3, 50.0, ahead_mm=25.0).bending_mm
    outside = live_error(0.5, tool(), 50.0, model, 0.3, 50.0, ahead_mm=60.0).bending_mm
    assert there == 0.3
    assert half == pytest.approx(0.3 + 2e-4 * (50.0**2 - 25.0**2))
    assert outside == pytest.approx(0.3 + 0.5)  # as much as is expected of the whole where none of it is in the body
