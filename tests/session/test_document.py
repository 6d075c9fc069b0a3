"""What the page is given: plain data, and no verdict that was not computed now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import navplan as nv
from navplan.errors import Cancelled
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.session.document import document, way_document
from navplan.session.session import Session
from tests.session.saved_case import TARGET, copy_of

pytestmark = pytest.mark.xdist_group("saved case")  # made once

LIE = SafetyReport(
    (Finding(FindingKind.CLEARANCE, Verdict.PASS, "a stored verdict", "aorta", Interval(50, 51), 5.0, 0.0),),
    (), 0.99, "robot", "a published series",
)  # fmt: skip
SAYS_PASS = ("PASS", "✓")


def strictly(told: Any) -> str:
    """As JSON that every browser reads: no NaN, no infinity, no half letters."""
    text = json.dumps(told, allow_nan=False)
    assert json.loads(text) == told, "every value is JSON's own: no tuple keys, no numpy number"
    text.encode("utf-8")
    return text


def plain(told: Any) -> Any:
    """With tuples as the lists that they become."""
    if isinstance(told, dict):
        return {key: plain(value) for key, value in told.items()}
    return [plain(one) for one in told] if isinstance(told, list | tuple) else told


def leaves(told: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(told, dict | list):
        items = told.items() if isinstance(told, dict) else enumerate(told)
        for key, value in items:
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, told


def plan_of(session: Session) -> Plan:
    plan = session.plan_now()
    assert plan is not None
    return plan


def with_stored(session: Session, **changes: Any) -> Session:
    """A new session on a case whose plan claims of each way what is not so."""
    plan = plan_of(session)
    ways = tuple(replace(one, report=LIE, **changes) for one in plan.trajectories)
    nv.save_case(session.case.with_plan(replace(plan, trajectories=ways)), session.folder)
    return Session(session.folder)


def at_each_stage(folder: Path) -> Iterator[tuple[str, Session]]:
    session = Session(folder)
    yield "opened", session
    shown = session.shown()
    assert shown is not None
    x, y, z = shown.way.entry_mm
    session.move(entry_mm=(x, y, z + 5.0))
    yield "moved", session
    session.keep_moved()
    yield "kept", session
    session.choose(protocol="lung-biopsy", side="L")
    yield "other choices", session
    session.aim_at((x + 60.0, y, z))
    yield "aimed", session
    session.look(["liver"], {"aorta": [1, 2, 3]})
    session.remark("ü → “quoted” <script>")
    yield "looked", session


def test_it_is_plain_data_at_every_stage(planned: Path) -> None:
    for stage, session in at_each_stage(planned):
        told = plain(document(session))
        strictly(told)
        wrong = [path for path, value in leaves(told) if type(value) not in (str, int, float, bool, type(None))]
        assert wrong == [], stage


def test_so_it_is_without_a_plan_without_structures_and_without_an_image(unplanned: Path, tmp_path: Path) -> None:
    strictly(plain(document(Session(unplanned))))
    strictly(plain(document(Session(copy_of("imported", tmp_path / "imported")))))
    nv.save_case(Case("empty"), tmp_path / "empty")
    told = document(Session(tmp_path / "empty"))
    assert told["case"]["images"] == [] and told["way"] is None and told["structures"] == []
    strictly(plain(told))


def test_what_the_model_holds_of_strange_numbers_is_still_plain(session: Session) -> None:
    plan = plan_of(session)
    odd = replace(plan.best, metrics={"depth_mm": float("nan"), "rib_above_mm": float("inf")})
    session.case = session.case.with_plan(replace(plan, trajectories=(odd,)))
    strictly(plain(document(session)))


def test_it_says_what_check_says(session: Session) -> None:
    told, report = document(session), nv.check(session.case, plan_of(session))
    way = told["way"]
    assert (way["verdict"], way["hit"]) == (report.verdict.value, report.hit_probability)
    assert way["depth_mm"] == round(plan_of(session).best.trajectory.depth_mm, 1)
    assert [one["verdict"] for one in way["open"]] == [one.verdict.value for one in report.open_items]
    near = way["nearest"][0]
    assert near["low_mm"] == min(one.distance.low_mm for one in report.clearances if one.distance)
    rows = told["plan"]["ways"]
    for number, row in enumerate(rows):
        judged = nv.check(session.case, plan_of(session), trajectory=number)
        assert row["verdict"] == judged.verdict.value and row["open"] == len(judged.open_items)


def test_a_verdict_comes_with_word_and_symbol(session: Session) -> None:
    told = document(session)
    for one in (told["way"], *told["plan"]["ways"]):
        assert one["verdict"] in set(Verdict) and one["word"] and one["symbol"]
    assert all(one["verdict"] in {*Verdict, ""} for one in told["structures"])


def test_a_stored_verdict_is_never_shown(session: Session) -> None:
    """The plan in the folder says PASS at 50 mm of each of its ways."""
    session = with_stored(session)
    told = document(session)
    assert "a stored verdict" not in strictly(plain(told))
    for row, stored in zip(told["plan"]["ways"], plan_of(session).trajectories, strict=True):
        assert stored.verdict is Verdict.PASS
        assert row["verdict"] == "WARN" and row["symbol"] not in SAYS_PASS and row["clearance_mm"] < 50
    assert told["way"]["verdict"] == "WARN" and told["way"]["hit"] != 0.99


def through_the_aorta(plan: Plan) -> Plan:
    """The same plan, whose second way goes elsewhere than where it was judged."""
    best, second, *others = plan.trajectories
    x, y, z = second.trajectory.entry_mm
    moved = replace(second.trajectory, entry_mm=(x + 0.0, y, z + 60.0))
    return replace(plan, trajectories=(best, RankedTrajectory(moved, {}, 0.9, LIE), *others))


def test_each_way_of_the_table_is_judged_where_it_goes(session: Session) -> None:
    nv.save_case(session.case.with_plan(through_the_aorta(plan_of(session))), session.folder)
    session.reload()
    row = document(session)["plan"]["ways"][1]
    assert row["verdict"] == nv.check(session.case, plan_of(session), trajectory=1).verdict.value != "PASS"


def other_voxels(session: Session) -> None:
    """The image is another one now: another program saved it under the same id."""
    image = session.case.volumes["ct"]
    changed = replace(image, voxels=np.array(image.voxels) + np.int16(1))
    nv.save_case(replace(session.case, volumes={"ct": changed}), session.folder)
    session.reload()


def test_a_way_that_cannot_be_judged_is_told_and_shown_without_a_verdict(session: Session) -> None:
    session.approve("Dr A", "seen on the reformats", [one["name"] for one in document(session)["way"]["acknowledge"]])
    assert document(session)["approvals"]["stands"]
    other_voxels(session)
    told = document(session)
    assert told["way"] is None and "other voxels" in told["refusal"]
    assert {row["verdict"] for row in told["plan"]["ways"]} == {"NOT_EVALUATED"}
    assert {(row["clearance_mm"], row["hit"], row["nearest"]) for row in told["plan"]["ways"]} == {(None, None, "")}
    assert {one["verdict"] for one in told["structures"]} == {""}
    assert {one["interval"] for one in told["structures"]} == {""}
    assert not told["approvals"]["stands"]
    assert "PASS" not in strictly(plain({**told, "case": None}))
    assert {one["id"]: one["state"] for one in told["steps"]}["check"] != "done"


def test_what_became_known_later_is_judged_at_once(session: Session) -> None:
    """A structure in the needle's way that the plan knew nothing of."""
    shown = session.shown()
    assert shown is not None
    liver = session.case.structures["liver"]
    nv.save_case(session.case.with_structures(replace(liver, name="hepatic_artery", origin="late")), session.folder)
    session.reload()
    told = document(session)
    assert told["way"]["verdict"] == "FAIL" and {row["verdict"] for row in told["plan"]["ways"]} == {"FAIL"}
    row = next(one for one in told["structures"] if one["name"] == "hepatic_artery")
    assert row["verdict"] == "FAIL" and row["low_mm"] <= 0


def test_a_structure_shows_the_worst_that_is_found_of_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = session.shown()
    assert shown is not None
    more = (
        Finding(FindingKind.IMAGE_READING, Verdict.FAIL, "enhanced vessel", "aorta"),
        Finding(FindingKind.CLEARANCE, Verdict.PASS, "far", "aorta", Interval(90, 91), 5.0),
    )
    report = replace(shown.ranked.report, findings=(*more[:1], *shown.ranked.report.findings, *more[1:]))
    altered = replace(shown, ranked=replace(shown.ranked, report=report))
    monkeypatch.setattr(Session, "shown", lambda self: altered)
    row = next(one for one in document(session)["structures"] if one["name"] == "aorta")
    least = min(one.distance.low_mm for one in report.clearances if one.structure == "aorta" and one.distance)
    assert (row["verdict"], row["low_mm"]) == ("FAIL", round(least, 1))


def test_ways_are_not_judged_again_while_nothing_changed(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    document(session)
    judged: list[int] = []

    def counted(*arguments: Any, **more: Any) -> SafetyReport:
        judged.append(more["trajectory"])
        return nv.check(*arguments, **more)

    monkeypatch.setattr("navplan.session.judged_ways.check", counted)
    document(session)
    session.remark("nothing of it is judged")
    document(session)
    assert judged == []
    session.state_absent(["appendix"], "Dr A")
    document(session)
    ways = len(plan_of(session).trajectories)
    assert sorted(judged) == list(range(1, ways))  # the first is looked at, and judged for that


def test_a_search_of_this_session_is_not_judged_twice(unplanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(unplanned)
    session.choose(protocol="liver-biopsy", target=TARGET, side="R")
    made = session.plan()
    expected = [nv.check(session.case, made, trajectory=n).verdict.value for n in range(len(made.trajectories))]

    def never(*arguments: Any, **more: Any) -> SafetyReport:
        raise AssertionError("judged once more")

    monkeypatch.setattr("navplan.session.judged_ways.check", never)
    assert [row["verdict"] for row in document(session)["plan"]["ways"]] == expected


def test_a_search_stopped_halfway_shows_what_was_there(session: Session) -> None:
    before = plain(document(session))

    def stop(words: str, share: float) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        session.plan(stop)
    assert plain(document(session)) == before


def test_the_lesions_come_first_then_what_is_nearest(session: Session) -> None:
    rows = document(session)["structures"]
    assert rows[0]["name"] == TARGET and rows[0]["lesion"]
    lows = [row["low_mm"] for row in rows[1:] if row["low_mm"] is not None]
    assert lows == sorted(lows) and len(lows) > 10
    by_name = {row["name"]: row for row in rows}
    assert by_name["aorta"]["presence"] == "present" and by_name["aorta"]["drawn"] and not by_name["couch"]["drawn"]


def test_the_strip_follows_the_needle(session: Session) -> None:
    told = way_document(session.shown())["strip"]
    assert told["sections"][0]["from_mm"] == 0 and told["swept_mm"] >= told["target_mm"] >= told["tip_mm"] > 0
    for before, after in zip(told["sections"], told["sections"][1:], strict=False):
        assert before["to_mm"] == after["from_mm"]
    for curve in told["curves"]:
        assert len(curve["low_mm"]) == len(curve["high_mm"]) == len(told["depths_mm"])
        assert all(low <= high for low, high in zip(curve["low_mm"], curve["high_mm"], strict=True))


def test_the_side_is_the_one_that_was_asked_for(session: Session) -> None:
    assert document(session)["case"]["side"] == "right"
    session.choose(side="L")
    assert document(session)["case"]["side"] == "left" and not document(session)["plan"]["answers"]
    session.choose(side="")
    assert document(session)["case"]["side"] == ""


def test_nothing_of_the_patient_and_nothing_of_the_machine_is_told(session: Session) -> None:
    text = strictly(plain(document(session)))
    case = session.case
    assert case.patient_digest and case.patient_digest not in text and case.salt not in text.replace("phantom", "")
    assert str(session.folder.parent) not in text
