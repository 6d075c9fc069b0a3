"""The card: numbers of the needle, and a verdict that belongs to a needle held by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navplan.model.safety import FindingKind, PathSection, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.reports.freehand_card import FREEHAND, card_content, card_html, freehand_model
from navplan.reports.needle_setting import depth_stops, needle_setting, straight_ahead, where_words
from navplan.verbs.check import check
from tests.reports.plans import (
    AIM,
    LATERAL,
    NEEDLE,
    ROBOT,
    THROUGH_AORTA,
    case,
    entry_set_at,
    grey_pictures,
    plan,
)
from tests.reports.plans import (
    FREEHAND as HANDS,
)


@pytest.fixture(scope="module")
def on():
    return case()


def card(on, made, guidance=""):
    return card_content(on, made, 0, check(on, made, guidance=guidance), grey_pictures(), "navplan test")


def rows(content):
    return {row.name: row.value for row in (*content.entry_rows, *content.depth_rows)}


def test_numbers_of_a_lateral_needle(on):
    content = card(on, plan(on), FREEHAND)
    found = rows(content)
    assert found["z (DICOM, LPS)"] == "0.0 mm"
    assert found["from the midline"] == "90 mm, patient's RIGHT"
    assert found["SET STOP: tip before firing"] == "39" and found["target"] == "50"
    assert found["tip after firing"] == "61" and found["left outside (of 150)"] == "111"
    assert content.in_plane_big == "90° from vertical" and content.in_plane_words == "hub towards the patient's RIGHT"
    assert content.tilt_words == "whole needle in the scan plane"


def test_prone_keeps_the_patients_sides(on):
    content = card(on, plan(on, (entry_set_at(30.0, 15.0, "HFP"),), position="HFP"), FREEHAND)
    assert content.in_plane_words == "hub towards the patient's RIGHT"  # prone, the right lies to the observer's right
    assert content.tilt_words == "hub towards the HEAD"
    assert "PRONE" in content.position
    left_letter, right_letter = content.in_plane.svg.index(">L<"), content.in_plane.svg.index(">R<")
    assert left_letter < right_letter  # the left letter is drawn first: on the observer's left


def test_the_card_is_judged_for_a_needle_held_by_hand(on):
    made = plan(on)
    content = card(on, made, FREEHAND)
    assert "freehand under CT" in content.judged_for and "robot-held guide" in content.judged_for
    assert content.breach_title == "touched, freehand"
    as_planned = {f.structure: f.breach_probability for f in check(on, made).clearances}
    by_hand = {f.structure: f.breach_probability for f in check(on, made, guidance=FREEHAND).clearances}
    assert max(by_hand.values()) > max(as_planned.values())


def test_without_an_error_model_for_hands_the_card_is_not_evaluated(on):
    made = plan(on, models=(ROBOT,))
    assert freehand_model(made) is None
    content = card(on, made)
    assert content.badge.word == "NOT EVALUATED"
    assert content.headline.startswith("Not evaluated for a needle held by hand")
    assert "no error model" in content.judged_for and "robot-held guide" in content.breach_title
    assert ">PASS<" not in card_html(replace(content, dangers=()))


def test_a_card_with_the_wrong_model_is_not_evaluated(on):
    assert card(on, plan(on)).badge.word == "NOT EVALUATED"  # judged for the robot although the protocol knows hands


def test_a_plan_made_for_hands_needs_no_second_judgement(on):
    content = card(on, plan(on, models=(HANDS,)))
    assert content.badge.word != "NOT EVALUATED" and "judged again" not in content.judged_for


def test_a_needle_that_is_too_short_says_so(on):
    short = replace(NEEDLE, length_mm=30.0)
    made = plan(on)
    way = replace(made.trajectories[0], trajectory=Trajectory(LATERAL, AIM, short, 11.0))
    content = card(on, replace(made, trajectories=(way,)), FREEHAND)
    assert any("9 mm TOO SHORT" in words for words in content.cautions)
    assert content.badge.word == "FAIL"


def test_depth_stops_at_pleura_and_capsule():
    way = Trajectory(LATERAL, AIM, NEEDLE, 11.0)
    path = (
        PathSection("unlabelled", 0, 20), PathSection("lung_lower_lobe_right", 20, 24), PathSection("liver", 25, 40),
        PathSection("lesion", 40, 61),
    )  # fmt: skip
    stops = {stop.name: stop.depth_mm for stop in depth_stops(way, SafetyReport((), path), "lesion")}
    assert stops == {"pleura": 20, "capsule": 25, "tip before firing": 39, "target": 50, "tip after firing": 61}
    at_the_wall = (PathSection("unlabelled", 0, 30), PathSection("mass", 30, 55), PathSection("lung_left", 55, 61))
    found = depth_stops(way, SafetyReport((), at_the_wall), "mass", through_pleura=True)
    assert (found[0].name, found[0].depth_mm) == ("pleura, at the latest", 30)
    plain = depth_stops(Trajectory(LATERAL, AIM, replace(NEEDLE, throw_mm=0.0)), SafetyReport((), ()))
    assert [stop.name for stop in plain] == ["tip, at the target"] and plain[0].sets_stop


def test_what_lies_straight_ahead(on):
    made = plan(on, (tuple(2 * a - b for a, b in zip(AIM, (15.0, 30.0, 0.0), strict=True)),))
    ahead = straight_ahead(on, made, made.trajectories[0].trajectory)
    assert ahead.structure == "aorta"
    assert ahead.beyond_mm == pytest.approx(62.6 - 11.0 - 9.0, abs=2.0)  # centre distance, half a throw, radius
    assert straight_ahead(on, plan(on, (THROUGH_AORTA,)), plan(on, (THROUGH_AORTA,)).trajectories[0].trajectory) is None


def test_where_a_danger_lies(on):
    made = plan(on)
    report = check(on, made)
    words = {f.structure: where_words(f, made.trajectories[0].trajectory) for f in report.clearances}
    assert words["colon"] == "towards front and feet"
    assert words["aorta"].startswith("towards the left") or words["aorta"].startswith("towards left")
    assert words["aorta"].endswith("ahead of the fired tip")
    dangers = needle_setting(on, made, made.trajectories[0].trajectory, report).dangers
    lows = [danger.finding.distance.low_mm for danger in dangers]
    assert len(dangers) == 3 and lows == sorted(lows)


def test_the_page_shows_verdict_with_symbol_and_word_and_is_for_training(on):
    html = card_html(card(on, plan(on, (THROUGH_AORTA,)), FREEHAND))
    assert "✕ FAIL" in html and "Crosses aorta" in html
    assert "for research and training" in html and "not for clinical use" in html
    assert "INSIDE over" in html and "Print at 100 %" in html
    assert "recess" in html


def test_open_items_are_told_or_counted(on):
    made = plan(on)
    report = check(on, made, guidance=FREEHAND)
    many = tuple(
        replace(report.findings[0], kind=FindingKind.IMAGE, verdict=Verdict.WARN, words=f"thing {n} <b>", gap="")
        for n in range(9)
    )
    content = card_content(on, made, 0, replace(report, findings=(*report.findings, *many)), grey_pictures(), "x")
    items = replace(report, findings=(*report.findings, *many)).open_items
    assert len(content.items) + content.more_items == sum(len(item.lines) for item in items)
    html = card_html(content)
    assert f"and {content.more_items} more" in html and "<b>" in html and "&lt;b&gt;" in html
