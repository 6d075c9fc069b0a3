"""The report: nothing is left out, nothing is said to be safe that is not, open things come first."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.table_angles import table_frame
from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.reports.freehand_card import card_content
from navplan.reports.pictures import as_the_patient_lies
from navplan.reports.report_page import Drawn, report_content, report_html
from navplan.reports.safety_table import FAR_MM, clearance_row, item_row, safety_table
from navplan.reports.structure_makers import maker_rows
from navplan.reports.wording import Sources, badge, percent, short
from navplan.verbs.check import check
from navplan.view.slices import axial_plane, sagittal_plane
from tests.reports.plans import LATERAL, THROUGH_AORTA, case, grey_pictures, plan


@pytest.fixture(scope="module")
def on():
    return case(quality=(QualityFinding("noise", Severity.WARN, "much noise"),), kernel="B30f", slice_thickness_mm=2.5)


def written(on, made, number=0):
    judged = tuple(
        replace(way, report=check(on, made, trajectory=place)) for place, way in enumerate(made.trajectories)
    )
    now = replace(made, trajectories=judged)
    drawn = Drawn((grey_pictures(),), gaps=("fluoroscopy: a reason",))
    content = report_content(on, now, number, judged, drawn, "navplan test")
    card = card_content(on, now, number, judged[number].report, grey_pictures(), "navplan test")
    return content, report_html(content, card)


@pytest.fixture(scope="module")
def html(on):
    return written(on, plan(on, (LATERAL, THROUGH_AORTA)))[1]


def test_everything_that_a_reader_needs_is_there(html):
    for words in (
        "for research and training", "not for clinical use", "case scene", "2026-11-24", "B30f", "2.5 mm", "much noise",
        "Biopsy of the liver", "HFS, supine, head first", "right", "lesion", "18 G in a 17 G introducer",
        "robot-held guide",
        "L -90.0   P 0.0   S 0.0", "90° from vertical", "Skin to target", "50.0 mm", "Hit probability: that",
        "gallbladder: stated to be absent by a reader, 2026-11-20", "left kidney", "recess", "The pleura reaches lower",
        "right rib 9: in the way", "3 entries tried", "sigma 0.5 mm and 0.5°", "a published series", "Side compared",
        "INR at most 1.5-1.8", "Platelets at least 50", "A note &lt;of&gt; the protocol", "navplan test",
        "Never evaluated: bending", "fluoroscopy: a reason", "capsule of liver at", "target point at 50 mm",
    ):  # fmt: skip
        assert words in html, words
    assert "{{" not in html and "None" not in re.sub(r"data:image[^\"]*", "", html)


def test_who_drew_each_structure_is_told(on):
    grid = on.image("")[1].grid
    drawn = np.zeros(grid.shape, dtype=np.uint8)
    drawn[2:4, 2:4, 2:4] = 255
    cut = np.zeros(grid.shape, dtype=np.uint8)
    cut[:2, 2:4, 2:4] = 255
    by_hand = Structure(
        "liver", Presence.PRESENT, drawn, grid, evaluated_in=grid, made_by="manual", made_on="2026-11-01"
    )
    network = replace(by_hand, name="spleen", made_by="automatic", made_with="net 2.1", confidence=0.25)
    aorta, colon = replace(network, name="aorta", occupancy=cut), Structure("colon", Presence.UNKNOWN)
    rows = maker_rows([by_hand, network, aorta, colon])
    assert [row.structures for row in rows] == ["aorta (cut by the edge), spleen", "liver"]
    assert (rows[0].how, rows[0].with_what, rows[0].confidence) == ("automatic", "net 2.1", "0.25")
    assert (rows[1].how, rows[1].with_what, rows[1].when) == ("by hand", "not stated", "2026-11-01")
    page = written(on, plan(on, (LATERAL,)))[1]
    shown = maker_rows(on.structures.values())
    assert shown and "Who drew the structures" in page and all(row.structures in page for row in shown)


def test_open_things_come_before_everything_else(html):
    order = [
        html.index(f"<h2>{title}") for title in ("To do before", "Not imaged", "The plan", "Safety table", "Image")
    ]
    assert order == sorted(order)


def test_the_page_holds_all_that_it_shows(html):
    assert not re.findall(r"(?:src|href)=\"(?!data:)", html)
    assert "url(" not in html and "<script" not in html


def test_a_way_that_fails_is_never_passed_off(on):
    content, html = written(on, plan(on, (LATERAL, THROUGH_AORTA)), 1)
    assert content.badge.word == "FAIL" and content.headline.startswith("Crosses aorta")
    assert "✕ FAIL" in html
    assert [row.badge.word for row in content.alternatives][1] == "FAIL"
    assert content.alternatives[1].shown and not content.alternatives[0].shown


def test_unsourced_numbers_are_marked(on):
    _, html = written(on, plan(on))
    trajectory = plan(on).trajectories[0].trajectory
    sources = Sources()
    found = {f.structure: clearance_row(f, trajectory, sources).source for f in check(on, plan(on)).clearances}
    assert found["aorta"] == found["rib_right_9"] == "unsourced" and found["colon"] == "[1]"
    assert sources.mark("a series; the split: unsourced") == "[2] in part unsourced"
    assert "5.0 % (unsourced)" in html and "in part unsourced" in html
    open_item = next(item for item in check(on, plan(on, (THROUGH_AORTA,))).open_items if "aorta" in item.words)
    assert item_row(open_item).unsourced


def many_clearances() -> SafetyReport:
    rng = np.random.default_rng(4)
    verdicts = (Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_EVALUATED)
    findings = []
    for number in range(60):
        low = float(rng.uniform(-2, 90))
        verdict = verdicts[number % 4]
        gap = "thinner than the voxels" if verdict is Verdict.WARN and number % 8 == 1 else ""
        findings.append(
            Finding(
                FindingKind.CLEARANCE, verdict, "words", f"vessel_{number}", Interval(low, low + 3), 2.0, 0.01, gap=gap
            )
        )
    findings.append(Finding(FindingKind.CLEARANCE, Verdict.NOT_EVALUATED, "never looked for", "lost_duct"))
    findings.append(Finding(FindingKind.PRESENCE, Verdict.NOT_EVALUATED, "unknown", "colon", remedy="Segment it"))
    return SafetyReport(tuple(findings), error_model="robot")


def test_every_structure_is_listed_once_and_only_harmless_ones_are_condensed(on):
    report = many_clearances()
    table = safety_table(report, plan(on).trajectories[0].trajectory, {}, Sources())
    near = [row.structure for row in table.near]
    far = [words.rsplit(" ", 3)[0] for group in table.far for words in group.structures]
    named = {f"vessel {number}" for number in range(60)}
    assert set(near) | set(far) == named and len(near) + len(far) == 60
    by_name = {f.structure.replace("_", " "): f for f in report.clearances}
    for name in far:
        finding = by_name[name]
        assert finding.distance.low_mm > FAR_MM
        assert finding.verdict is Verdict.PASS or (finding.verdict is Verdict.WARN and finding.gap)
    lows = [by_name[name].distance.low_mm for name in near]
    assert lows == sorted(lows)
    subjects = [row.subject for row in table.not_evaluated]
    assert "lost duct" in subjects and "colon" in subjects
    assert len(table.not_evaluated) == sum(f.verdict is Verdict.NOT_EVALUATED for f in report.findings)


def test_nothing_judged_is_missing_from_the_page(on):
    made = plan(on)
    report = check(on, made)
    content, _ = written(on, made)
    rows = len(content.table.near) + sum(len(group.structures) for group in content.table.far)
    rows += len(content.table.not_imaged) + len(content.table.others)
    rows += sum(row.subject not in {r.structure for r in content.table.near} for row in content.table.not_evaluated)
    assert rows == len(report.findings)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_is_symbol_and_word(verdict):
    shown = badge(verdict)
    assert shown.symbol.strip() and shown.word == verdict.value.replace("_", " ")
    assert len({badge(each).symbol for each in Verdict}) == len(Verdict)


def test_probabilities_are_never_rounded_to_certainty():
    assert percent(0.0) == percent(1e-6) == "< 0.1 %" and percent(0.9999) == "> 99.9 %"
    assert percent(0.034, upper_bound=True) == "≤ 3.4 %" and percent(0.57) == "57 %"
    assert percent(0.0341, upper_bound=True) == "≤ 3.5 %" and percent(0.571, upper_bound=True) == "≤ 58 %"
    assert percent(1.0) == "100 %" and percent(None) == "–"


def test_identifiers_are_shortened():
    assert short("a" * 64) == "a" * 12 + "…" and short("") == "not stated"
    assert short("1.2.840.113619.2.55.3.604688119").endswith("604688119")


@pytest.mark.parametrize(
    ("position", "up"), [("HFS", (0, -1, 0)), ("HFP", (0, 1, 0)), ("HFDL", (-1, 0, 0)), ("FFDR", (1, 0, 0))]
)
def test_a_near_axial_plane_is_turned_as_the_patient_lies(position, up):
    frame = table_frame(position)
    turned = as_the_patient_lies(axial_plane((0, 0, 0)), frame)
    assert -np.asarray(turned.down) == pytest.approx(up)
    assert np.asarray(turned.right) == pytest.approx(frame.right)  # still seen from the feet, never mirrored
    assert turned.into == pytest.approx((0, 0, 1))
    side = sagittal_plane((0, 0, 0))
    assert as_the_patient_lies(side, frame) is side
