"""What a needle went through, and the factors and odds that come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navplan.errors import InputError
from navplan.model.scenario import Hazard
from navplan.training.factors import Passage, factors_of
from navplan.training.hazards import FACTORS, chance_of
from tests.training.training_scene import NEEDLE, patient_of, way_of

LUNG = "lung_upper_lobe_right"
WAY = ["muscle", LUNG, "lung_vessels", LUNG, "nodule_right", LUNG]


def through(passage: Passage, tissues: list[str], step_mm: float = 10.0) -> float:
    for number, tissue in enumerate(tissues, 1):
        passage.goes(tissue, number * step_mm)
    return len(tissues) * step_mm


def test_the_pleura_is_counted_once_each_time_that_lung_is_entered_from_outside():
    passage = Passage()
    deep = through(passage, WAY)
    assert passage.pleura == 1 and passage.lung_mm == pytest.approx(40.0)
    passage.thrown(deep, 22.0)
    assert passage.lung_mm == pytest.approx(62.0)
    passage.back_to(30.0)
    passage.goes("lung_upper_lobe_right", 31.0)
    assert passage.pleura == 1  # still beyond it
    passage.back_to(5.0)
    through(passage, WAY)
    assert passage.pleura == 2
    passage.goes("diaphragm", 70.0)
    passage.goes("lung_lower_lobe_left", 75.0)
    assert passage.pleura == 3


def test_factors_of_a_passage():
    situation = patient_of().situation
    passage = Passage()
    assert factors_of(passage, situation, way_of()) >= {"lesion_below_40mm", "gauge_18_or_thicker", "prone_or_supine"}
    through(passage, [*WAY, "fissure_oblique_right", "bulla_right_1"])
    found = factors_of(passage, situation, way_of())
    assert found >= {"fissure_crossed", "bulla_crossed", "depth_30mm", "no_pleural_contact", "vessel_crossed"}
    assert "several_pleural_punctures" not in found and "several_passes" not in found
    thin = replace(way_of(), device=replace(NEEDLE, gauge=20))
    assert "gauge_18_or_thicker" not in factors_of(passage, situation, thin)
    for position, side, wanted in (("HFDR", "R", set()), ("HFDL", "R", {"prone_or_supine", "side_up"})):
        lying = replace(situation, patient_position=position, side=side)
        assert {"prone_or_supine", "side_up"} & factors_of(passage, lying, way_of()) == wanted
    assert found <= set(FACTORS)


def test_odds_multiply():
    hazard = Hazard("pneumothorax", 0.1, (("bulla_crossed", 6.13), ("fissure_crossed", 3.75)), "test")
    assert chance_of(hazard, ()) == (pytest.approx(0.1), ())
    chance, counted = chance_of(hazard, ("bulla_crossed", "fissure_crossed", "side_up"))
    odds = 0.1 / 0.9 * 6.13 * 3.75
    assert chance == pytest.approx(odds / (1.0 + odds)) and counted == ("bulla_crossed", "fissure_crossed")
    with pytest.raises(InputError):
        chance_of(hazard, ("bad_luck",))
