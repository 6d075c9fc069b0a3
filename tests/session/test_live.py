"""While a hand drags: the same margins by the same lines as the check that follows, and nothing is better than it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import navplan as nv
from navplan.errors import InputError
from navplan.geometry.transform import Transform
from navplan.model.plan import Plan
from navplan.model.safety import SafetyReport, Verdict
from navplan.session.document import way_document
from navplan.session.session import Session
from navplan.session.shown import SNAP_MM, live, onto_skin
from tests.session.saved_case import copy_of, fingerprint, saved

pytestmark = pytest.mark.xdist_group("saved case")  # made once


@pytest.fixture(scope="module")
def session() -> Session:
    """Nothing here writes into its folder."""
    return Session(saved("planned"))


def clearances(report: SafetyReport) -> dict[str, tuple[float, float, float, Verdict]]:
    return {
        one.structure: (one.distance.low_mm, one.distance.high_mm, one.required_mm or 0.0, one.verdict)
        for one in report.clearances
        if one.distance is not None
    }


def assert_same(left: SafetyReport, right: SafetyReport) -> None:
    """The same clearances; an entry put on the skin once more may lie a thousandth of a millimetre beside."""
    a, b = clearances(left), clearances(right)
    assert a.keys() == b.keys()
    for name, found in a.items():
        assert found[:3] == pytest.approx(b[name][:3], abs=0.01) and found[3] is b[name][3]


def plan_of(session: Session) -> Plan:
    plan = session.plan_now()
    assert plan is not None
    return plan


shifts = st.floats(-8.0, 8.0)


@given(shifts, shifts, st.tuples(shifts, shifts, shifts) | st.none())
@settings(max_examples=8)
def test_live_says_what_check_says_of_the_same_entry_and_aim(
    session: Session, x: float, z: float, aside: tuple[float, float, float] | None
) -> None:
    shown = session.shown()
    assert shown is not None
    entry = shown.way.entry_mm
    asked = (entry[0] + x, entry[1], entry[2] + z)
    a, b, c = shown.way.target_mm
    aim = None if aside is None else (a + aside[0] / 4, b + aside[1] / 4, c + aside[2] / 4)
    found = session.live(asked, aim)
    report = nv.check(session.case, plan_of(session), entry=found.way.entry_mm, aim=aim)
    assert found.provisional and found.moved
    assert_same(found.ranked.report, report)
    assert found.ranked.report.verdict.rank >= report.verdict.rank  # it may lack a finding of the whole check ...
    lacks = {one.words for one in report.findings} - {one.words for one in found.ranked.report.findings}
    assert not [words for words in lacks if "moved by hand" not in words and "skin map" not in words and
                "the search offers no way" not in words and "from the side of the table" not in words]  # fmt: skip


def test_what_is_dropped_is_what_was_seen(planned) -> None:
    session = Session(planned)
    shown = session.shown()
    assert shown is not None
    entry = shown.way.entry_mm
    asked = (entry[0] + 4.0, entry[1], entry[2] + 6.0)
    dragged = session.live(asked)
    moved = session.move(asked)
    np.testing.assert_allclose(moved.way.entry_mm, dragged.way.entry_mm, atol=1e-3)
    assert_same(dragged.ranked.report, moved.ranked.report)


def test_a_drag_writes_nothing_and_changes_nothing(session: Session) -> None:
    files, drafts, at = fingerprint(session.folder), session.history.drafts, session.history.at
    shown = session.shown()
    assert shown is not None
    session.live(entry_mm=shown.way.entry_mm)
    with pytest.raises(InputError):
        session.live(aim_mm=(900.0, 0.0, 0.0))
    assert (session.history.drafts, session.history.at, fingerprint(session.folder)) == (drafts, at, files)
    assert session.shown() is shown and session.unsaved == ""


def test_without_a_move_the_way_is_where_it_was(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    found = live(shown, session.draft, None, None)
    assert found.way == shown.way and clearances(found.ranked.report) == clearances(shown.ranked.report)


def test_what_changed_since_the_plan_is_told_while_dragging_too(planned) -> None:
    session = Session(planned)
    case = session.case
    liver = case.structures["liver"]
    grown = replace(liver, name="cyst", origin="late")
    nv.save_case(case.with_structures(grown), planned)
    session.reload()
    shown = session.shown()
    assert shown is not None
    words = [one.words for one in session.live(entry_mm=shown.way.entry_mm).ranked.report.findings]
    assert any("structures changed since the plan was made: cyst" in one for one in words)


def test_a_plan_that_a_registration_brought_keeps_its_error_while_dragging(tmp_path) -> None:
    """Else the chance of a touch would be told too small until the hand lets go."""
    folder = copy_of("planned", tmp_path / "case")
    case = nv.open_case(folder)
    volume = case.volumes["ct"]
    later = replace(volume, grid=replace(volume.grid, frame_uid="1.2.3"))
    case = case.with_volume("late", later)
    moved = Transform(np.eye(4), "late", "ct", expected_error_mm=6.0, origin="test")
    carried = nv.transfer(case, plan_of(Session(folder)).id, "late", transform=moved)
    nv.save_case(carried.case.with_plan(carried.plan), folder)
    session = Session(folder)
    session.take_way(0, carried.plan.id)
    shown = session.shown()
    assert shown is not None and shown.plan.carried is not None
    found = session.live(entry_mm=shown.way.entry_mm)
    assert found.situation.error_model.entry_sigma_mm >= 6.0
    report = nv.check(session.case, shown.plan, entry=found.way.entry_mm)
    assert found.ranked.report.hit_probability == pytest.approx(report.hit_probability, abs=0.01)
    assert found.ranked.report.verdict.rank <= Verdict.WARN.rank


def test_a_hand_near_the_skin_holds_the_skin(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    entry, direction = np.asarray(shown.way.entry_mm), shown.way.direction
    for along in (-20.0, -5.0, 8.0, 25.0):
        asked = entry + along * direction
        found = onto_skin(shown.situation, tuple(asked), shown.way.target_mm)
        assert np.linalg.norm(np.asarray(found) - entry) < 1.0
    far = tuple(float(value) for value in entry - (SNAP_MM + 40.0) * direction)
    assert onto_skin(shown.situation, far, shown.way.target_mm) == far
    assert onto_skin(shown.situation, shown.way.target_mm, shown.way.target_mm) == shown.way.target_mm


def test_what_the_page_is_told_of_a_drag_is_marked_as_provisional(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    told = way_document(session.live(entry_mm=shown.way.entry_mm))
    assert told["provisional"] and told["moved"] and told["verdict"] != "PASS"
