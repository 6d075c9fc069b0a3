"""Real cases that a radiologist would do so: at most three open items, nothing hidden to get there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from benchmarks.real_cases import CASES, RealCase, planned
from navplan.model.case import Case
from navplan.model.open_items import Cause
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, Verdict
from navplan.model.structure import Presence
from navplan.reports.approval_standing import to_be_acknowledged, unacknowledged

pytestmark = pytest.mark.xdist_group("real-cases")
SENSIBLE = [one for one in CASES if one.sensible]


@cache
def made(name: str, images: Path) -> tuple[Case, Plan]:
    return planned(next(one for one in CASES if one.name == name), images)


@pytest.mark.parametrize("one", SENSIBLE, ids=lambda one: one.name)
def test_a_sensible_plan_has_at_most_three_open_items(one: RealCase, real_images: Path) -> None:
    report = made(one.name, real_images)[1].best.report
    assert len(report.open_items) <= 3, [item.words for item in report.open_items]
    assert f"- {len(report.open_items)} open item" in report.headline


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_no_case_passes_and_every_structure_is_told(one: RealCase, real_images: Path) -> None:
    """Prone on an image taken supine is not evaluated; what nobody looked for stays open, by name."""
    case, plan = made(one.name, real_images)
    report = plan.best.report
    prone = plan.patient_position == "HFP"
    assert report.verdict is (Verdict.NOT_EVALUATED if prone or one.name == "no-labels" else Verdict.WARN)
    behind = [finding for item in report.open_items for finding in item.findings]
    hidden = [finding for finding in report.findings if finding.kind is FindingKind.NOT_IMAGED]
    told = {id(finding) for finding in (*behind, *report.to_tick, *hidden)}
    assert told == {id(finding) for finding in report.findings if finding.verdict is not Verdict.PASS}
    assert len(behind) > 40
    for item in report.open_items:
        for line in item.lines:
            assert all(finding.structure in line.words for finding in line.findings)
    judged = {finding.structure for finding in report.clearances}
    named = {name for name, structure in case.structures.items() if structure.presence is Presence.PRESENT}
    crossed = {f.structure for f in report.findings if f.kind in (FindingKind.CROSSING, FindingKind.TARGET)}
    missing = named - judged - crossed - {plan.target.structure, "body", "skin"}
    assert all(plan.protocol.may_cross(name, "right" if plan.side == "R" else plan.side) for name in missing), missing


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_nothing_is_stated_to_be_absent_that_is_there(one: RealCase, real_images: Path) -> None:
    case, _ = made(one.name, real_images)
    absent = {name for name, structure in case.structures.items() if structure.presence is Presence.ABSENT}
    assert absent == set(one.absent) and absent <= {"bulla", "fissure", "closed_compartment"}


def test_what_each_case_leaves_open(real_images: Path) -> None:
    told = {one.name: {item.cause for item in made(one.name, real_images)[1].best.report.open_items} for one in CASES}
    image, labels, near, rules = Cause.IMAGE, Cause.LABELS, Cause.NEAR, Cause.RULES
    assert told["lung"] == told["liver"] == told["vertebra"] == told["lung-supine"] == {image, labels, near}
    assert told["kidney"] == told["ilium"] == {image, labels, rules}
    assert told["ilium-front"] == {image, labels, rules, Cause.READING}  # four, and honest
    assert told["no-labels"] == {image, labels, near, Cause.READING, Cause.TARGET}


def test_an_approval_still_asks_for_each_required_structure(real_images: Path) -> None:
    report = made("no-labels", real_images)[1].best.report
    asked = set(to_be_acknowledged(report))
    assert {"gallbladder", "colon*", "kidney_right", "inferior_vena_cava", "portal_vein*", "aorta*"} <= asked
    items = [item.words for item in report.open_items if len(item.lines) > 1]
    assert len(unacknowledged(report, items)) == len(unacknowledged(report, ())) >= 8
