"""A tip that rests on bone by the protocol's leave: judged, searched for, ruled out alike; never a PASS elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend import registry
from navplan.extend.protocol_lint import Weight, lint
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.protocol import HardLimit, Need, TipContact
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.situation import Situation
from navplan.planning.tip_resting import tips_resting
from navplan.planning.ways import clearances_low_mm
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Box
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of

NEEDLE = Device("n22", "22 G", 22, 0.72, 150.0, 0.0, source="test")
REST = TipContact(5.0, 2.0, "test")
FRONT = -30.0  # of the bone, from the skin at -90 on; 1 mm plate behind it, and the rest of the bone
BONE = Box((-20.0, 0.0, 0.0), (10.0, 15.0, 15.0))
PLATE = Box((-29.5, 0.0, 0.0), (0.5, 15.0, 15.0))


def bony(solid: Box) -> Case:
    shapes = {name: SOLIDS[name] for name in ("body", "liver", "aorta", "colon")}
    return case_of(grid_of((1.0, 1.0, 1.0)), solids={**shapes, "vertebrae_L3": (solid, 400.0)})


@pytest.fixture(scope="module")
def case() -> Case:
    return bony(BONE)


def situated(case: Case, contact: TipContact | None, end_mm: float, **changes: object) -> Situation:
    hard = (
        HardLimit("colon", 5.0, "test", Need.REQUIRED),
        HardLimit("vertebrae_L3", 0.0, "test", Need.REQUIRED, contact=contact),
    )
    target = target_of(dict(case.structures), (end_mm, 0.0, 0.0))
    return situation_of(case, replace(protocol_of(hard=hard), **changes), target)


def judged(case: Case, end_mm: float, contact: TipContact | None = REST) -> SafetyReport:
    way = Trajectory((-90.0, 0.0, 0.0), (end_mm, 0.0, 0.0), NEEDLE)
    return judge(way, situated(case, contact, end_mm))


def of(report: SafetyReport, kind: FindingKind) -> Finding | None:
    return next((f for f in report.findings if f.kind is kind and f.structure == "vertebrae_L3"), None)


def test_a_tip_on_the_surface_is_contact_and_the_shaft_is_judged_apart(case: Case) -> None:
    report = judged(case, FRONT)
    contact, shaft = of(report, FindingKind.CONTACT), of(report, FindingKind.CLEARANCE)
    assert contact is not None and contact.verdict is Verdict.PASS
    assert contact.words.startswith("the tip rests on it: contact ") and "up to 2 mm allowed" in contact.words
    assert shaft is not None and shaft.distance is not None
    truth = REST.tip_mm - NEEDLE.radius_mm
    assert shaft.distance.low_mm <= truth <= shaft.distance.high_mm and shaft.words.startswith("shaft, to 5 mm")
    assert report.headline.startswith("Tip on vertebrae_L3 - ")


def test_without_leave_the_same_way_does_not_pass(case: Case) -> None:
    report = judged(case, FRONT, None)
    assert of(report, FindingKind.CONTACT) is None
    clearance = of(report, FindingKind.CLEARANCE)
    assert clearance is not None and clearance.verdict in (Verdict.WARN, Verdict.FAIL)


def test_short_of_it_there_is_no_contact(case: Case) -> None:
    report = judged(case, FRONT - 4.0)
    assert of(report, FindingKind.CONTACT) is None and "Tip on" not in report.headline


def test_deeper_is_never_a_pass(case: Case) -> None:
    for deep in (2.0, 3.0, 6.0, 12.0):
        report = judged(case, FRONT + deep)
        found = of(report, FindingKind.CONTACT)
        assert found is not None and found.verdict is not Verdict.PASS
        assert report.verdict is Verdict.FAIL or deep < 4.0


def test_a_plate_gone_through_is_never_a_pass() -> None:
    thin = bony(PLATE)
    for beyond in (0.5, 1.0, 1.6, 3.0):
        report = judged(thin, FRONT + 1.0 + beyond)
        assert of(report, FindingKind.CONTACT) is not None
        assert any(
            f.verdict is not Verdict.PASS for f in report.findings
            if f.structure == "vertebrae_L3" and f.kind is FindingKind.CONTACT
        )  # fmt: skip


def test_beyond_where_it_was_looked_for_nothing_is_told(case: Case) -> None:
    bone = case.structures["vertebrae_L3"]
    assert bone.evaluated_in is not None
    grid = bone.evaluated_in
    first = np.floor(grid.indices(np.array([[-32.0, -40.0, -40.0]]))[0]).astype(int)
    seen = replace(bone, evaluated_in=grid.crop(first, (60, 80, 80)))
    found = of(judged(case.with_structures(seen), FRONT), FindingKind.CONTACT)
    assert found is not None and found.verdict is Verdict.NOT_EVALUATED


def test_the_search_rules_out_what_the_judgement_does_not_allow(case: Case) -> None:
    for end_mm in (FRONT - 0.5, FRONT, FRONT + 1.5, FRONT + 6.0):
        situation = situated(case, REST, end_mm)
        rng = np.random.default_rng(5)
        entries = np.stack([np.full(40, -90.0), rng.uniform(-35, 35, 40), rng.uniform(-35, 35, 40)], axis=1)
        column = [risk.name for risk in situation.risks].index("vertebrae_L3")
        low = clearances_low_mm(situation, NEEDLE, entries)[:, column]
        for n in range(len(entries)):
            way = Trajectory(tuple(entries[n].tolist()), (end_mm, 0.0, 0.0), NEEDLE)
            report = judge(way, situation)
            touches, clear = of(report, FindingKind.CONTACT), of(report, FindingKind.CLEARANCE)
            assert clear is not None and clear.distance is not None
            if low[n] >= 0:
                assert touches is None or touches.verdict is Verdict.PASS, (end_mm, n)
                assert clear.distance.low_mm >= 0, (end_mm, n)
        assert (low >= 0).any() == (end_mm <= FRONT), end_mm


def test_leave_is_asked_for_only_where_the_whole_needle_does_not_keep_its_limit(case: Case) -> None:
    situation = situated(case, REST, FRONT)
    entries = np.array([[-90.0, 0.0, 0.0]])
    free = np.full((1, len(situation.risks)), 1.0)
    assert not tips_resting(situation, entries, situation.target_mm[None], NEEDLE.radius_mm, free)


def test_leave_that_makes_no_sense_is_refused() -> None:
    for contact in (TipContact(5.0, 0.0, "x"), TipContact(2.0, 3.0, "x"), TipContact(90.0, 2.0, "x"),
                    TipContact(5.0, 2.0, ""), TipContact(float("nan"), 2.0, "x")):  # fmt: skip
        with pytest.raises(InputError):
            protocol_of(hard=(HardLimit("vertebrae_L3", 0.0, "test", contact=contact),))
    for limit in (HardLimit("vertebrae_L3", 1.0, "test", contact=REST),
                  HardLimit("vertebrae_L3", 0.0, "test", Need.NOT_IMAGED, contact=REST)):  # fmt: skip
        with pytest.raises(InputError, match="the tip rests on it"):
            protocol_of(hard=(limit,))


def test_without_the_level_the_tip_rests_on_no_vertebra() -> None:
    rules = registry.protocol("medial-branch-block")
    assert any(limit.contact for limit in rules.at_level("L4").hard)
    assert not any(limit.contact for limit in rules.at_level("").hard)


def test_the_lint_knows_what_stops_a_needle() -> None:
    rules = registry.protocol("medial-branch-block")

    def told(*limits: HardLimit) -> list[tuple[Weight, str]]:
        found = lint(replace(rules, hard=limits), set(registry.devices()))
        return [(one.weight, one.words) for one in found if one.where == "hard" and one.weight is not Weight.NOTE]

    assert told(HardLimit("vertebrae_{level}", 0.0, "x", contact=REST)) == []
    ((weight, words),) = told(HardLimit("aorta*", 0.0, "x", contact=REST))
    assert weight is Weight.ERROR and "the tip may rest on aorta" in words
    shut = HardLimit("vertebrae*", 3.0, "x"), HardLimit("vertebrae_{level}", 0.0, "x", contact=REST)
    assert any("takes away" in words for _, words in told(*shut))
    deep = HardLimit("vertebrae_{level}", 0.0, "x", contact=TipContact(9.0, 5.0, "x"))
    assert any("5 mm deep" in words for _, words in told(deep))
