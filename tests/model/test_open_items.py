"""Grouping what is open: nothing is dropped, nothing becomes milder, causes stay apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.extend import registry
from navplan.model.finding import NOT_LOOKED_FOR, THIN, TICK, UNLABELLED, Finding, FindingKind, Interval, Verdict
from navplan.model.open_items import Cause, cause_of, open_items
from navplan.model.protocol import Sequence
from navplan.model.safety import SafetyReport
from navplan.planning.sequence_rules import _judged
from navplan.reports.approval_standing import to_be_acknowledged, unacknowledged
from navplan.reports.safety_table import item_row
from navplan.view.colours import spoken_words
from navplan.view.scene_words import OpenWords, open_words

NAMES = ("aorta", "colon", "rib_left_7", "bulla*", "")
GAPS = ("", THIN, NOT_LOOKED_FOR, UNLABELLED, "within reach of a needle that strays", "another frame")
FINDINGS = st.builds(
    Finding,
    kind=st.sampled_from(list(FindingKind)),
    verdict=st.sampled_from(list(Verdict)),
    words=st.sampled_from(("touched", "not known", "image taken HFS", "too short")),
    structure=st.sampled_from(NAMES),
    distance=st.sampled_from((None, Interval(-1.0, 2.0), Interval(5.0, 9.0))),
    breach_probability=st.sampled_from((None, 0.0, 0.2)),
    remedy=st.sampled_from(("Look", "Choose another way in", TICK)),
    gap=st.sampled_from(GAPS),
)
REPORTS = st.builds(
    SafetyReport, st.lists(FINDINGS, max_size=30).map(tuple), error_model=st.sampled_from(("", "robot")),
    max_breach_probability=st.sampled_from((None, 0.05)),
)  # fmt: skip


def identities(findings) -> list[int]:
    return sorted(id(finding) for finding in findings)


@given(REPORTS)
def test_every_open_finding_is_in_one_line_of_one_item(report: SafetyReport) -> None:
    behind = [finding for item in report.open_items for finding in item.findings]
    hidden = [finding for finding in report.findings if finding.kind is FindingKind.NOT_IMAGED]
    told = [*behind, *report.to_tick, *(f for f in hidden if f.verdict is not Verdict.PASS)]
    assert identities(told) == identities(f for f in report.findings if f.verdict is not Verdict.PASS)


@given(REPORTS)
def test_every_structure_and_all_words_stand_beneath_their_item(report: SafetyReport) -> None:
    """In the model, in the report's rows and on the page."""
    for item in report.open_items:
        for line in item.lines:
            for finding in line.findings:
                assert finding.structure in line.words
                alone = not finding.gap or not finding.structure or sum(bool(f.structure) for f in line.findings) == 1
                assert (finding.words if alone else finding.gap) in line.words
    rows = [item_row(item) for item in report.open_items]
    pages = (
        [one for row in rows for one in row.lines or (row,)],
        [one for item in open_words(report) for one in item.lines or (item,)],
    )
    lines = [line for item in report.open_items for line in item.lines]
    for page in pages:
        written = [one.words.replace("*", "") for one in page]
        for line in lines:
            assert any(spoken_words(line.words.replace("*", "")) == words for words in written), (line.words, written)
    assert all(isinstance(one, OpenWords) for one in pages[1])


@given(REPORTS)
def test_no_verdict_becomes_milder(report: SafetyReport) -> None:
    for item in report.open_items:
        lines = [line.verdict for line in item.lines]
        assert item.verdict is lines[0] and item.verdict.rank == min(verdict.rank for verdict in lines)
        assert all(finding.verdict is line.verdict for line in item.lines for finding in line.findings)
        if Verdict.FAIL in lines:  # a broken limit is in no item with what may be looked at
            assert set(lines) == {Verdict.FAIL}
    ranks = [item.verdict.rank for item in report.open_items]
    assert ranks == sorted(ranks)
    if report.verdict in (Verdict.FAIL, Verdict.NOT_EVALUATED):
        hidden = [f.verdict for f in report.findings if f.kind is FindingKind.NOT_IMAGED]
        assert report.verdict in [item.verdict for item in report.open_items] + hidden
    if not report.open_items:
        assert report.verdict is not Verdict.FAIL or any(f.verdict is Verdict.FAIL for f in report.findings)


@given(REPORTS)
def test_the_headline_counts_items_and_all_that_is_behind_them(report: SafetyReport) -> None:
    items = report.open_items
    if items:
        behind = sum(max(len(line.findings), 1) for item in items for line in item.lines)
        plural = [word + "s" * (count != 1) for word, count in (("item", len(items)), ("finding", behind))]
        assert report.headline.endswith(f"- {len(items)} open {plural[0]} ({behind} {plural[1]})")
    assert (f"- {len(report.to_tick)} to tick -" in report.headline) is bool(report.to_tick)
    assert ("nothing left to do" in report.headline) is not bool(items or report.to_tick)


@given(REPORTS)
def test_an_approval_still_asks_for_each_that_was_not_evaluated(report: SafetyReport) -> None:
    """By its own name, or by the words of its line; the words of an item of several lines acknowledge nothing."""
    hidden = [f for f in report.findings if f.kind is FindingKind.NOT_IMAGED]
    blocked = [f for f in report.of(Verdict.NOT_EVALUATED) if f not in hidden]
    asked = to_be_acknowledged(report)
    for finding in (*blocked, *hidden):
        assert (finding.structure if finding.structure.strip("*") else finding.words) in asked
    assert unacknowledged(report, asked) == ()
    several = [item.words for item in report.open_items if len(item.lines) > 1]
    assert unacknowledged(report, several) == unacknowledged(report, ())


@given(REPORTS, st.randoms())
def test_the_order_of_findings_changes_no_item(report: SafetyReport, random) -> None:
    shuffled = list(report.findings)
    random.shuffle(shuffled)
    other = replace(report, findings=tuple(shuffled))
    told, told_other = (
        sorted((item.cause, item.verdict, identities(item.findings)) for item in one.open_items)
        for one in (report, other)
    )
    assert told == told_other and report.headline.split(" - ")[-1] == other.headline.split(" - ")[-1]


def finding(kind: FindingKind, verdict: Verdict = Verdict.WARN, **more) -> Finding:
    return Finding(kind, verdict, **{"words": "words", **more})


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (finding(FindingKind.PRESENCE, gap=NOT_LOOKED_FOR), Cause.LABELS),
        (finding(FindingKind.ABLATION, gap=NOT_LOOKED_FOR), Cause.LABELS),
        (finding(FindingKind.PRESENCE, Verdict.NOT_EVALUATED), Cause.LABELS),
        (finding(FindingKind.IMAGE_READING, gap=UNLABELLED), Cause.LABELS),
        (finding(FindingKind.IMAGE_READING), Cause.READING),
        (finding(FindingKind.CLEARANCE, gap=THIN, breach_probability=0.0), Cause.LABELS),
        (finding(FindingKind.CLEARANCE, gap=THIN, breach_probability=0.2), Cause.NEAR),
        (finding(FindingKind.CLEARANCE, gap="within reach"), Cause.NEAR),
        (finding(FindingKind.CLEARANCE, Verdict.FAIL), Cause.BROKEN),
        (finding(FindingKind.PUNCTURES, Verdict.FAIL), Cause.BROKEN),
        (finding(FindingKind.RULES, Verdict.FAIL, structure="spinal_canal"), Cause.BROKEN),
        (finding(FindingKind.RULES, Verdict.NOT_EVALUATED), Cause.LABELS),
        (finding(FindingKind.RULES), Cause.RULES),
        (finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED), Cause.IMAGE),
        (finding(FindingKind.IMAGE), Cause.IMAGE),
        (finding(FindingKind.SIDE, Verdict.FAIL), Cause.SIDE),
        (finding(FindingKind.TARGET), Cause.TARGET),
    ],
)  # fmt: skip
def test_the_cause_of_a_finding(found: Finding, cause: Cause) -> None:
    assert cause_of(found, 0.05) is cause


def test_what_is_missing_altogether_joins_the_item_of_its_cause() -> None:
    missing = finding(FindingKind.PRESENCE, Verdict.NOT_EVALUATED, structure="colon")
    (item,) = open_items((missing,), "robot", 0.05)
    assert [line.words for line in item.lines] == [
        "no structure was measured: nothing is known to be clear", "colon: words",
    ]  # fmt: skip
    failed = finding(FindingKind.CLEARANCE, Verdict.FAIL, structure="colon")
    causes = [item.cause for item in open_items((failed, missing), "", 0.05)]
    assert causes == [Cause.BROKEN, Cause.LABELS, Cause.GUIDANCE]


def test_what_a_person_follows_in_any_protocol_is_ticked_and_nothing_else() -> None:
    rules = [rule for one in registry.protocols().values() for rule in one.sequence_rules]
    person = [rule for rule in rules if rule.rule is Sequence.PERSON]
    assert person
    for rule in person:
        report = SafetyReport((_judged(rule, None, None),), error_model="robot")
        assert report.to_tick == report.findings and report.verdict is Verdict.NOT_EVALUATED
    worse = finding(FindingKind.RULES, Verdict.FAIL, remedy=TICK)
    assert SafetyReport((worse,)).to_tick == ()
