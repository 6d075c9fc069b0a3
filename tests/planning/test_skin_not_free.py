"""Entries where something lies on the skin or over it: a finding, and no candidate of the search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.protocol import ProcedureProtocol, fits
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.entry_candidates import SkinPoints, body_structure, skin_points
from navplan.planning.situation import Situation
from navplan.planning.skin_not_free import NEAR_MM, covers, rule_out_by_cover
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Box, Sphere
from navplan_phantoms.solid_base import Solid
from tests.planning.scenes import case_of, grid_of, protocol_of, structure_of

GRID = grid_of((3.0, 3.0, 3.0))
NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
ENTRY, TARGET = (-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0)
AT_ENTRY = Sphere((-92.0, 2.0, 0.0), 4.0)


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(GRID)


def situation(case: Case, name: str, solid: Solid, **changes: object) -> Situation:
    covered = case.with_structures(structure_of(name, solid, GRID))
    protocol: ProcedureProtocol = protocol_of(**changes)
    return situation_of(covered, protocol, target_of(dict(covered.structures), "lesion"))


def judged(situation: Situation) -> SafetyReport:
    return judge(Trajectory(ENTRY, TARGET, NEEDLE), situation)


def skin_finding(situation: Situation) -> Finding:
    return next(finding for finding in judged(situation).findings if finding.kind is FindingKind.SKIN)


def searched(situation: Situation) -> SkinPoints:
    skin = skin_points(body_structure(situation.structures), situation.image, np.asarray(TARGET), 140.0)
    return rule_out_by_cover(skin, situation, np.asarray(TARGET), NEEDLE.length_mm)


@pytest.mark.parametrize("name", ["drape_sterile", "dressing", "ecg_lead_2", "plaster", "table", "couch"])
def test_what_lies_on_the_patient_bars_the_entry_whatever_the_protocol_says(case: Case, name: str) -> None:
    asked = situation(case, name, AT_ENTRY)
    found = skin_finding(asked)
    assert found.verdict is Verdict.FAIL and f"skin not free: {name} lies at the entry" in found.words and found.remedy
    skin = searched(asked)
    barred = skin.points_mm[skin.reason == skin.reasons.index(f"skin not free: {name}")]
    assert len(barred) > 3 and np.linalg.norm(barred - ENTRY, axis=1).min() < 4.0


@pytest.mark.parametrize("name", ["stoma", "port", "breast_left", "wound", "nipple_left"])
def test_what_the_protocol_names_bars_the_entry(case: Case, name: str) -> None:
    named = situation(case, name, AT_ENTRY, entry_not_on=(name,))
    found = skin_finding(named)
    assert found.verdict is Verdict.FAIL and name in found.words and "the protocol allows no entry" in found.words
    assert f"skin not free: {name}" in searched(named).reasons
    unnamed = situation(case, name, AT_ENTRY)
    assert judged(unnamed).verdict is not Verdict.PASS  # a structure that the needle may not touch is left


def test_a_scar_is_a_warning_unless_the_protocol_names_it(case: Case) -> None:
    scar = situation(case, "scar", AT_ENTRY)
    found = skin_finding(scar)
    assert found.verdict is Verdict.WARN and "scar" in found.words and found.remedy
    assert searched(scar).reasons == searched(replace(scar, structures=dict(case.structures))).reasons
    assert skin_finding(situation(case, "scar", AT_ENTRY, entry_not_on=("scar*",))).verdict is Verdict.FAIL


def test_a_drape_that_hangs_over_the_entry_bars_it(case: Case) -> None:
    """Far from the entry, but the needle would have to pass through it: no CT number tells."""
    asked = situation(case, "drape", Box((-140.0 + 36.0, 0.0, 0.0), (1.6, 30.0, 30.0)))
    found = skin_finding(asked)
    assert found.verdict is Verdict.FAIL and "would pass through drape" in found.words
    skin = searched(asked)
    barred = skin.reason == skin.reasons.index("skin not free: drape")
    opposite = skin.points_mm[:, 0] > 80
    assert barred.any() and not (barred & opposite).any()


def test_what_lies_elsewhere_bars_nothing(case: Case) -> None:
    asked = situation(case, "dressing", Sphere((92.0, 0.0, 0.0), 5.0))
    assert skin_finding(asked).verdict is Verdict.PASS
    skin = searched(asked)
    near = np.linalg.norm(skin.points_mm - (92.0, 0.0, 0.0), axis=1) < 5.0 + NEAR_MM
    covered = np.array([reason >= 0 and "dressing" in skin.reasons[reason] for reason in skin.reason])
    assert covered[near].all() and not covered[skin.points_mm[:, 0] < 0].any()


def test_the_judgement_and_the_search_agree_entry_by_entry(case: Case) -> None:
    asked = situation(case, "dressing", Sphere((-90.0, 10.0, 5.0), 9.0))
    skin = searched(asked)
    near = np.flatnonzero(np.linalg.norm(skin.points_mm - (-90.0, 10.0, 5.0), axis=1) < 25.0)
    target = np.asarray(TARGET)
    for n in near:
        alone = covers(asked, skin.points_mm[n][None], target, NEEDLE.length_mm)
        searched_reason = skin.reason[n] >= 0 and "dressing" in skin.reasons[skin.reason[n]]
        assert bool(alone) == searched_reason


def test_inside_a_thick_cover_is_covered_too(case: Case) -> None:
    asked = situation(case, "dressing", Box((-90.0, 0.0, 0.0), (19.0, 50.0, 50.0)))
    assert skin_finding(asked).verdict is Verdict.FAIL


def test_the_table_stays_behind_when_the_patient_turns(case: Case) -> None:
    couch = structure_of("couch", Box((0.0, 75.0, 0.0), (100.0, 5.0, 70.0)), GRID)
    dressing = structure_of("dressing", Sphere((0.0, 70.0, 0.0), 6.0), GRID)
    back = np.array([[0.0, 69.0, 0.0]])
    for position, names in (("HFS", {"couch", "dressing"}), ("HFP", {"dressing"})):
        covered = case.with_structures(couch, dressing)
        aim = target_of(dict(covered.structures), "lesion")
        asked = situation_of(covered, protocol_of(), aim, patient_position=position)
        assert {cover.name for cover in covers(asked, back, np.asarray(TARGET), 150.0)} == names


@pytest.mark.parametrize("protocol", ["liver-biopsy", "lung-biopsy"])
def test_the_protocols_that_ship_name_what_bars_an_entry(protocol: str) -> None:
    patterns = registry.protocol(protocol).entry_not_on
    for name in ("drape", "dressing_left", "stoma", "colostomy", "port", "ecg_lead_3", "breast_left", "wound", "drain"):
        assert any(fits(name, pattern) for pattern in patterns), name
    for name in ("stomach", "portal_vein", "scar", "skin", "body", "liver", "lung_upper_lobe_left"):
        assert not any(fits(name, pattern) for pattern in patterns), name
