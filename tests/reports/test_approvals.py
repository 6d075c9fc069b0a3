"""Reports and cards say who approved a way and why, that nobody did, or why an approval no longer counts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import navplan as nv
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.reports.approval_rows import LONGEST, approval_line, approval_rows
from navplan.reports.freehand_card import FREEHAND, card_content, card_html
from navplan.reports.report_page import Drawn, report_content, report_html
from navplan.verbs.check import check
from tests.reports.plans import FREEHAND as HANDS
from tests.reports.plans import LATERAL, case, grey_pictures, plan

BESIDE = (-90.0, 5.0, 0.0)
REASON = "looked at on the reformats <twice>"


@pytest.fixture(scope="module")
def on() -> Case:
    scene = case()
    return scene.with_plan(replace(plan(scene, (LATERAL, BESIDE)), remarks="Ask for <clotting>.\nCall the ward."))


@pytest.fixture(scope="module")
def signed(on: Case) -> tuple[Case, Plan]:
    return nv.approve(on, "by-hand", who="Dr A", reason=REASON, acknowledge=["recess"])


def judged(case: Case, plan: Plan) -> Plan:
    ways = [replace(way, report=check(case, plan, trajectory=n)) for n, way in enumerate(plan.trajectories)]
    return replace(plan, trajectories=tuple(ways))


def pages(case: Case, plan: Plan, number: int = 0) -> tuple[str, str, str]:
    """The report's first box, the whole report without its card, and the card."""
    now = judged(case, plan)
    guidance = FREEHAND if len(plan.protocol.error_models) > 1 else ""
    by_hand = check(case, plan, trajectory=number, guidance=guidance)
    card = card_content(case, now, number, by_hand, grey_pictures(), "test")
    content = report_content(case, now, number, now.trajectories, Drawn((grey_pictures(),)), "test")
    html = report_html(content, card).split('<section class="card">')[0]
    return html[: html.index("<h2>To do before")], html, card_html(card)


def test_nobody_has_approved_it(on: Case) -> None:
    first, html, card = pages(on, on.plans["by-hand"])
    for page in (first, html, card):
        assert "<b>Not approved</b>" in page and "<b>Approved</b>" not in page
    assert "<h2>Approvals of this way</h2>\n<p>Not approved.</p>" in html


def test_by_whom_when_why_and_what_was_acknowledged(signed: tuple[Case, Plan]) -> None:
    given = signed[1].approvals[0]
    first, html, card = pages(*signed)
    for page in (first, card):
        assert "<b>Approved</b>: by Dr A" in page and "Not approved" not in page
        assert given.when[:10] in page and given.when[11:16] in page and "as WARN" in page
        assert "looked at on the reformats &lt;twice&gt;" in page and "Acknowledged: recess" in page
    table = html[html.index("<h2>Approvals of this way") : html.index("<h2>Provenance")]
    assert "Dr A" in table and "&lt;twice&gt;" in table and "recess" in table and "! WARN" in table
    assert given.headline.split(" - ")[0].replace(">=", "≥") in table


def test_of_another_way_it_says_nothing(signed: tuple[Case, Plan]) -> None:
    for page in pages(*signed, number=1):
        assert "<b>Not approved</b>" in page and "Dr A" not in page


def test_void_is_shown_as_void_with_why(signed: tuple[Case, Plan]) -> None:
    case, plan = signed
    without = replace(case, structures={n: s for n, s in case.structures.items() if n != "gallbladder"})
    for changed, told in (
        ((without, plan), "changed since: the structures"),
        ((replace(case, audit=()), plan), "the record of this case does not know of it"),
        (nv.withdraw(case, plan, "Dr B", "the patient coughs"), "withdrawn by Dr B"),
    ):
        first, html, card = pages(*changed)
        for page in (first, html, card):
            assert "<b>Approval void</b>" in page and told in page and "<b>Approved</b>" not in page


def test_a_verdict_that_grew_worse_makes_it_void(signed: tuple[Case, Plan]) -> None:
    """The same digests, another judgement: made by another version, say."""
    case, plan = signed
    now = judged(case, plan)
    report = now.trajectories[0].report
    worse = replace(report, findings=(replace(report.findings[0], verdict=Verdict.FAIL), *report.findings[1:]))
    ways = (replace(now.trajectories[0], report=worse), *now.trajectories[1:])
    assert approval_rows(case, now, 0)[0].state == "Approved"
    assert "it is FAIL" in approval_rows(case, replace(now, trajectories=ways), 0)[0].void


def test_a_card_says_that_what_was_approved_is_not_by_hand(signed: tuple[Case, Plan]) -> None:
    assert "for robot-held guide, NOT for a needle held by hand" in pages(*signed)[2]
    assert "NOT for a needle held by hand" not in pages(*signed)[0]
    scene = case()
    hands = plan(scene, models=(HANDS,))
    held = nv.approve(scene.with_plan(hands), hands, who="Dr A", reason=REASON, acknowledge=["recess"])
    card = pages(*held)[2]
    assert "<b>Approved</b>: by Dr A" in card and "NOT for a needle held by hand" not in card


def test_all_are_listed_and_the_last_that_stands_comes_first(signed: tuple[Case, Plan]) -> None:
    case, plan = nv.withdraw(*signed, "Dr B", "the patient coughs")
    case, plan = nv.approve(case, plan, who="Dr C", reason="the cough is gone", acknowledge=["recess"])
    first, html, _ = pages(case, plan)
    assert "<b>Approved</b>: by Dr C" in first and "One of 2 approvals" in first and "Dr A" not in first
    table = html[html.index("<h2>Approvals of this way") :]
    assert table.index("Dr A") < table.index("Dr C")


def test_the_first_page_grows_by_a_few_lines_at_most(on: Case) -> None:
    long = "word " * 200
    case, plan = nv.approve(on, "by-hand", who="x" * 500, reason=long, acknowledge=["recess"])
    line = approval_line(approval_rows(case, judged(case, plan), 0))
    assert len(line.words) < 4 * LONGEST
    assert long.strip() in re.sub(r"\s+", " ", pages(case, plan)[1])  # in full further down


def test_remarks_are_printed_as_they_were_written(on: Case) -> None:
    html = pages(on, on.plans["by-hand"])[1]
    assert '<p class="remarks">Ask for &lt;clotting&gt;.\nCall the ward.</p>' in html
    assert "<h3>Remarks" not in pages(on, replace(on.plans["by-hand"], remarks=" "))[1]
