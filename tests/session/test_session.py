"""A session: what each action does to the draft and to the case, and that a refused one does nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

import navplan as nv
from navplan.errors import Cancelled, ChoiceError, GeometryError, InputError
from navplan.model.draft import Draft
from navplan.model.safety import FindingKind, SafetyReport, Verdict
from navplan.session.document import document
from navplan.session.session import Session
from navplan.verbs.approve import standing, to_be_acknowledged
from navplan.view.colours import spoken_words
from tests.session.saved_case import PROTOCOL, SIDE, TARGET, fingerprint

pytestmark = pytest.mark.xdist_group("saved case")  # made once

REASON = "seen on the reformats"
WHO = "Dr A"


def beside(session: Session, x: float = 0.0, z: float = 6.0) -> tuple[float, float, float]:
    """A point near the entry of the way that is looked at."""
    shown = session.shown()
    assert shown is not None
    entry = shown.way.entry_mm
    return entry[0] + x, entry[1], entry[2] + z


def plus(point: ArrayLike, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A point so far from another, mm."""
    a, b, c = (float(value) for value in np.asarray(point))
    return a + x, b + y, c + z


def acknowledged(session: Session) -> tuple[str, ...]:
    shown = session.shown()
    assert shown is not None
    return to_be_acknowledged(shown.ranked.report)


def state(session: Session) -> tuple[Any, ...]:
    """All that an action may change."""
    return session.history.drafts, session.history.at, session.case.revision, session.hidden, session.colours


def refused(
    session: Session, action: Callable[[], object], match: str = ".", kind: type[Exception] = InputError
) -> None:
    """The action is refused in words, and nothing has changed: not the draft, not the case, not one byte of it."""
    before, files = state(session), fingerprint(session.folder)
    with pytest.raises(kind, match=match) as error:
        action()
    assert len(str(error.value)) < 2_000
    assert state(session) == before and fingerprint(session.folder) == files and session.unsaved == ""


# what is chosen


def test_a_case_with_a_plan_opens_on_its_best_way_as_it_was_asked_for(session: Session) -> None:
    draft = session.draft
    assert (draft.protocol, draft.target, draft.side, draft.way) == (PROTOCOL, TARGET, SIDE, 0)
    shown = session.shown()
    assert shown is not None and not shown.moved and shown.plan is session.plan_now()
    assert session.answers_request(shown.plan) and not session.history.can_undo


def test_a_case_without_a_plan_opens_with_nothing_chosen_but_its_image(unplanned: Path) -> None:
    session = Session(unplanned)
    assert session.draft == Draft(image_id="ct") and session.shown() is None and session.notes == []


def test_choices_are_kept_and_come_back_in_a_new_session(unplanned: Path) -> None:
    session = Session(unplanned)
    session.choose(protocol=PROTOCOL, target=TARGET)
    session.choose(side="R")
    assert Session(unplanned).draft == session.draft == Draft("ct", PROTOCOL, TARGET, side="R")


def test_a_choice_changes_the_draft_and_not_the_case(session: Session) -> None:
    files = fingerprint(session.folder)
    session.choose(device="liver-coaxial-18g-200")
    plan = session.plan_now()
    assert plan is not None and not session.answers_request(plan)
    assert fingerprint(session.folder) == files


def test_another_protocol_forgets_needle_and_guidance_of_the_one_before(session: Session) -> None:
    session.choose(device="liver-coaxial-18g-200", guidance="robot")
    session.choose(protocol=PROTOCOL)
    assert session.draft.device and session.draft.guidance
    session.choose(protocol="lung-biopsy")
    assert (session.draft.device, session.draft.guidance) == ("", "")


WRONG: dict[str, dict[str, Any]] = {
    "another name": {"rotation": 3},
    "unknown image": {"image_id": "mr"},
    "no image": {"image_id": ""},
    "unknown protocol": {"protocol": "heart-transplant"},
    "unknown device": {"device": "needle"},
    "unknown target": {"target": "lesion_2"},
    "unknown guidance": {"guidance": "by-eye"},
    "unknown position": {"patient_position": "standing"},
    "a third side": {"side": "M"},
    "a number for a word": {"side": 1},
    "true for a word": {"protocol": True},
    "a list for a word": {"target": ["lesion"]},
    "nothing for a word": {"side": None},
    "half a letter": {"target": "\ud800"},
    "endless": {"target": "x" * 3_000_000},
    "a point of two": {"aim_mm": [1.0, 2.0]},
    "a point in words": {"aim_mm": "abc"},
    "a number for a point": {"aim_mm": 5},
    "a point that is nowhere": {"aim_mm": [float("nan"), 0.0, 0.0]},
    "a point at the end of the world": {"aim_mm": [1e308, 0.0, 0.0]},
    "true in a point": {"aim_mm": [True, 0.0, 0.0]},
    "one right and one wrong": {"side": "L", "target": "nobody"},
}


@pytest.mark.parametrize("choices", WRONG.values(), ids=WRONG)
def test_a_choice_that_is_none_is_refused_and_the_session_goes_on(session: Session, choices: dict[str, Any]) -> None:
    refused(session, lambda: session.choose(**choices))
    session.choose(side="L")
    assert Session(session.folder).draft.side == "L"


def test_a_file_is_no_protocol_and_no_needle_of_a_page(session: Session, tmp_path: Path) -> None:
    secret = tmp_path / "secret.toml"
    secret.write_text('password = "swordfish"\n')
    for choices in ({"protocol": str(secret)}, {"device": str(secret)}, {"device": f"{secret}#a"}):
        refused(session, lambda choices=choices: session.choose(**choices), match="^(?!.*swordfish)", kind=ChoiceError)


def test_a_point_of_the_lesion_is_aimed_at_as_the_lesion(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    aim = plus(plan.target.point_mm, 2.0, 0.0, 0.0)
    session.aim_at(aim)
    assert (session.draft.target, session.draft.aim_mm) == (TARGET, aim)
    assert not session.answers_request(plan)
    session.choose(target=TARGET)
    assert session.draft.aim_mm is None


def test_a_point_of_no_lesion_is_a_bare_point(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    aim = plus(plan.target.point_mm, 0.0, 0.0, 45.0)
    session.aim_at(aim)
    assert (session.draft.target, session.draft.aim_mm) == ("", aim)


def test_a_point_outside_the_image_is_no_aim(session: Session) -> None:
    for point in ((1e5, 0.0, 0.0), (float("nan"), 0.0, 0.0)):
        refused(session, lambda point=point: session.aim_at(point))


# planning


def test_planning_makes_a_revision_and_looks_at_its_best_way(unplanned: Path) -> None:
    session = Session(unplanned)
    session.choose(protocol=PROTOCOL, target=TARGET, side="R")
    told: list[float] = []
    made = session.plan(lambda words, share: told.append(share))
    assert told and session.case.revision == 2 and session.draft.plan_id == made.id
    assert nv.open_case(unplanned).plans[made.id].best.trajectory == made.best.trajectory
    assert session.answers_request(made) and session.case.audit[-1].action == "plan"
    again = Session(unplanned)
    assert again.draft == session.draft
    session.undo()
    assert session.shown() is None and made.id in session.case.plans
    session.redo()
    assert session.shown() is not None


def test_nothing_is_planned_without_protocol_or_target(unplanned: Path) -> None:
    session = Session(unplanned)
    refused(session, session.plan, "no protocol", ChoiceError)
    session.choose(protocol=PROTOCOL)
    refused(session, session.plan, "no target", ChoiceError)


def test_a_search_that_is_stopped_leaves_everything_as_it_was(session: Session) -> None:
    def stop(words: str, share: float) -> None:
        raise Cancelled("stopped")

    refused(session, lambda: session.plan(stop), kind=Cancelled)


def test_undoing_everything_leads_to_where_the_session_began(unplanned: Path) -> None:
    session = Session(unplanned)
    session.choose(protocol=PROTOCOL, target=TARGET, side="R")
    session.plan()
    while session.history.can_undo:
        session.undo()
    assert session.draft == Draft(image_id="ct") and session.shown() is None


# the ways of a plan


def test_another_way_is_looked_at_as_the_search_put_it(session: Session) -> None:
    session.move(entry_mm=beside(session))
    session.take_way(1)
    shown, plan = session.shown(), session.plan_now()
    assert shown is not None and plan is not None and not shown.moved
    assert shown.way == plan.trajectories[1].trajectory
    session.undo()
    assert session.draft.moved and session.draft.way == 0


@pytest.mark.parametrize(
    "arguments",
    [(-1,), (99,), (10**30,), ("1",), (1.0,), (True,), (None,), (0, "gone"), (0, "../case"), (0, 3), (0, "\ud800")],
    ids=str,
)
def test_a_way_that_is_not_there_is_refused(session: Session, arguments: tuple[Any, ...]) -> None:
    refused(session, lambda: session.take_way(*arguments))


# moved by hand


def test_a_moved_entry_is_put_on_the_skin_and_judged_as_check_does(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    asked = beside(session)
    shown = session.move(entry_mm=asked)
    assert shown.moved and shown is session.shown() and not shown.provisional
    assert shown.way.entry_mm == pytest.approx(session.draft.entry_mm)
    report = nv.check(session.case, plan, entry=session.draft.entry_mm)
    assert shown.ranked.report.findings == report.findings
    assert nv.open_case(session.folder).revision == session.case.revision  # nothing of it is in the case yet


def test_entry_and_aim_are_moved_one_after_the_other_and_both_stay(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    aim = plus(plan.target.point_mm, 2.0, 1.0, 0.0)
    first = session.move(entry_mm=beside(session))
    entry = session.draft.entry_mm
    both = session.move(aim_mm=aim)
    assert (session.draft.entry_mm, session.draft.moved_aim_mm) == (entry, aim)
    assert both.way.entry_mm == pytest.approx(first.way.entry_mm, abs=0.01)
    report = nv.check(session.case, plan, entry=entry, aim=aim)
    assert both.ranked.report.findings == report.findings
    third = session.move(entry_mm=beside(session))
    assert third.way.target_mm == aim


def test_a_way_to_a_bare_point_is_moved_as_often_as_one_likes(unplanned: Path) -> None:
    session = Session(unplanned)
    lesion = session.case.structures["lesion"]
    middle = lesion.grid.points_mm((np.asarray(lesion.grid.shape) - 1) / 2)
    session.choose(protocol=PROTOCOL, side="R")
    session.aim_at(plus(middle, 0.0, 0.0, 25.0))
    assert session.draft.target == ""
    session.plan()
    first = session.move(entry_mm=beside(session, z=4.0))
    second = session.move(entry_mm=beside(session, z=4.0))
    assert first.way.entry_mm != second.way.entry_mm and first.way.target_mm == second.way.target_mm


FAR = {
    "inside the body": lambda way: plus(way.target_mm, 0.0, 0.0, 1.0),
    "outside the image": lambda way: (5000.0, 0.0, 0.0),
    "nowhere": lambda way: (float("nan"), 0.0, 0.0),
    "far in the air": lambda way: plus(way.entry_mm, *(-75.0 * way.direction)),
}


@pytest.mark.parametrize("point", FAR.values(), ids=FAR)
def test_an_entry_off_the_skin_is_refused(session: Session, point: Callable[[Any], Any]) -> None:
    session.move(entry_mm=beside(session))
    session.undo()
    assert session.history.can_redo
    shown = session.shown()
    assert shown is not None
    refused(session, lambda: session.move(entry_mm=point(shown.way)))
    session.redo()  # what had been undone is still there
    assert session.draft.moved


def test_an_aim_outside_the_target_is_refused(session: Session) -> None:
    shown = session.shown()
    assert shown is not None
    far = plus(shown.way.target_mm, 0.0, 0.0, 60.0)
    refused(session, lambda: session.move(aim_mm=far), f"outside {TARGET}")
    refused(session, lambda: session.move(aim_mm=(0.0, float("inf"), 0.0)), kind=GeometryError)


def test_a_move_refused_after_many_steps_leaves_the_step_before_it(session: Session) -> None:
    """The history is full: what was refused must not push anything out."""
    for number in range(210):
        session.history.change(remarks=str(number))
    session.choose(side="L")
    refused(session, lambda: session.move(entry_mm=(5000.0, 0.0, 0.0)))
    assert session.draft.side == "L" and not session.draft.moved


def test_a_move_that_the_whole_check_refuses_leaves_no_trace(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(210):
        session.history.change(remarks=str(number))
    session.undo()

    def refuse(*arguments: object, **more: object) -> SafetyReport:
        raise InputError("a way that only the whole check refuses")

    asked = beside(session)
    monkeypatch.setattr("navplan.session.shown.checked_way", refuse)
    refused(session, lambda: session.move(entry_mm=asked), "only the whole check")
    assert session.history.can_redo


def test_put_back_is_a_step_like_any_other(session: Session) -> None:
    session.move(entry_mm=beside(session))
    moved = session.draft
    session.put_back()
    assert not session.draft.moved
    session.undo()
    assert session.draft == moved


def test_a_moved_way_kept_is_a_plan_of_its_own(session: Session) -> None:
    before = session.plan_now()
    assert before is not None
    shown = session.move(entry_mm=beside(session))
    made = session.keep_moved()
    assert session.plan_now() is not before and made.id != before.id and not session.draft.moved
    assert made.best.trajectory.entry_mm == pytest.approx(shown.way.entry_mm, abs=0.05)
    assert nv.open_case(session.folder).plans.keys() == {before.id, made.id}
    assert session.case.audit[-1].action == "adjust"


def test_a_way_whose_aim_was_moved_answers_what_was_asked_for_once_it_is_kept(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    session.aim_at(plus(plan.target.point_mm, 1.0, 0.0, 0.0))
    session.plan()
    session.move(aim_mm=plus(plan.target.point_mm, 2.0, 1.0, 0.0))
    assert session.answers_request(session.keep_moved())


def test_a_way_that_was_not_moved_is_not_kept(session: Session) -> None:
    refused(session, session.keep_moved, "not moved")


def test_where_the_search_finds_no_way_a_person_may_draw_one(unplanned: Path) -> None:
    planned = Session(unplanned)
    planned.choose(protocol=PROTOCOL, target=TARGET, side="R")
    entry = planned.plan().best.trajectory.entry_mm
    planned.undo()
    shown = planned.move(entry_mm=entry)
    assert shown.plan.skin_map is None and shown.plan.id in nv.open_case(unplanned).plans
    assert shown.ranked.report.findings == nv.check(planned.case, shown.plan).findings


# undo and redo over a reload


def test_undo_and_redo_go_on_in_a_new_session(session: Session) -> None:
    session.choose(side="L")
    session.move(entry_mm=beside(session))
    session.take_way(1)
    session.undo()
    again = Session(session.folder)
    assert again.draft == session.draft and again.draft.moved
    assert again.shown() is not None and again.shown().moved
    again.redo()
    assert again.draft.way == 1
    for _ in range(3):
        again.undo()
    assert again.draft.side == SIDE and not again.history.can_undo


def test_nothing_to_undo_is_said(session: Session) -> None:
    refused(session, session.undo)
    refused(session, session.redo)


# approvals


def test_an_approval_needs_each_name_and_stands(session: Session) -> None:
    names = acknowledged(session)
    assert names
    refused(session, lambda: session.approve(WHO, REASON, names[1:]), names[0])
    session.approve(WHO, REASON, names)
    plan = nv.open_case(session.folder).plans[session.draft.plan_id]
    assert [one.who for one in plan.approvals] == [WHO]
    assert document(session)["approvals"]["stands"]
    session.withdraw(WHO, "the wrong side")
    told = document(session)["approvals"]
    assert not told["stands"] and "withdrawn" in told["rows"][0]["void"]


def test_a_moved_way_is_kept_before_it_is_approved(session: Session) -> None:
    before = session.draft.plan_id
    session.move(entry_mm=beside(session))
    session.approve(WHO, REASON, acknowledged(session))
    assert [one.action for one in session.case.audit[-2:]] == ["adjust", "approve"] and session.case.revision == 2
    plan = session.plan_now()
    assert plan is not None and plan.id != before and not session.draft.moved
    assert not session.case.plans[before].approvals
    assert standing(session.case, plan, plan.approvals[0]) == ""
    assert document(session)["approvals"]["stands"]


def test_an_approval_that_is_refused_keeps_no_plan(session: Session) -> None:
    session.move(entry_mm=beside(session))
    refused(session, lambda: session.approve(WHO, REASON, ()), "nobody acknowledged")
    refused(session, lambda: session.approve("", REASON, acknowledged(session)), "by nobody")
    assert session.draft.moved and len(session.case.plans) == 1


@pytest.mark.parametrize("names", ["recess", 5, None, [5], {"recess": 1}, ["\ud800"]], ids=ascii)
def test_what_is_acknowledged_is_a_list_of_names(session: Session, names: Any) -> None:
    refused(session, lambda: session.approve(WHO, REASON, names))


def test_what_is_done_to_an_approved_way_is_not_approved(session: Session) -> None:
    session.approve(WHO, REASON, acknowledged(session))
    session.move(entry_mm=beside(session))
    assert not document(session)["approvals"]["stands"]
    session.put_back()
    assert document(session)["approvals"]["stands"]
    session.take_way(1)
    assert not document(session)["approvals"]["stands"]


def test_an_approval_can_be_withdrawn_when_its_way_can_no_longer_be_judged(session: Session) -> None:
    session.approve(WHO, REASON, acknowledged(session))
    image = session.case.volumes["ct"]
    changed = replace(image, voxels=np.array(image.voxels) + np.int16(1))
    nv.save_case(replace(session.case, volumes={"ct": changed}), session.folder)
    session.reload()
    with pytest.raises(InputError, match="other voxels"):
        session.shown()
    session.withdraw(WHO, "another image")
    assert all(one.withdrawn for one in session.plan_now().approvals)


# what else a person does


def test_a_structure_stated_to_be_absent_is_so_by_somebody(session: Session) -> None:
    session.state_absent(["appendix", "uterus"], WHO)
    stored = nv.open_case(session.folder)
    assert {stored.structures[name].stated_by for name in ("appendix", "uterus")} == {WHO}
    assert [entry.action for entry in stored.audit[-2:]] == ["absent", "absent"]


@pytest.mark.parametrize(
    ("names", "who"),
    [("colon", WHO), (["liver"], WHO), (["appendix"], ""), (["appendix"], 5), ([5], WHO), ([], WHO), (None, WHO),
     (["appendix", "liver"], WHO), ({"appendix": 1}, WHO)],
    ids=ascii,
)  # fmt: skip
def test_what_is_there_or_said_by_nobody_is_not_absent(session: Session, names: Any, who: Any) -> None:
    refused(session, lambda: session.state_absent(names, who))


def test_notes_are_kept_and_go_with_what_is_approved(session: Session) -> None:
    session.remark("aspirin stopped")
    assert Session(session.folder).draft.remarks == "aspirin stopped"
    session.approve(WHO, REASON, acknowledged(session))
    assert nv.open_case(session.folder).plans[session.draft.plan_id].remarks == "aspirin stopped"
    session.remark("")
    refused(session, lambda: session.remark("x" * 20_001))
    refused(session, lambda: session.remark(5))
    refused(session, lambda: session.remark("\udcff"))


def test_notes_of_a_plan_are_not_lost_by_a_session_without_any(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None
    nv.save_case(session.case.with_plan(replace(plan, remarks="of another day")), session.folder)
    session.reload()
    session.approve(WHO, REASON, acknowledged(session))
    assert nv.open_case(session.folder).plans[plan.id].remarks == "of another day"


def test_looks_are_checked(session: Session) -> None:
    session.look(["liver"], {"colon": [1, 2, 255]})
    assert (session.hidden, session.colours) == (("liver",), {"colon": (1, 2, 255)})
    wrong: list[tuple[Any, Any]] = [
        ("liver", {}), (5, {}), ([5], {}), ([], []), ([], {"colon": [1, 2]}), ([], {"colon": [1, 2, 256]}),
        ([], {"colon": [1, 2, -1]}), ([], {"colon": [1.5, 2, 3]}), ([], {"colon": "red"}), ([], {"colon": None}),
        ([], {"\ud800": [1, 2, 3]}), (["x"] * 5000, {}),
    ]  # fmt: skip
    for hidden, colours in wrong:
        refused(session, lambda hidden=hidden, colours=colours: session.look(hidden, colours))


def test_why_not_names_what_stands_against_an_entry(session: Session) -> None:
    plan = session.plan_now()
    assert plan is not None and plan.skin_map is not None
    skin = plan.skin_map
    in_the_way = np.asarray([r >= 0 and "in the way" in skin.reasons[r] for r in skin.reason])
    ribs = [n for n in np.flatnonzero(in_the_way) if "right rib" in spoken_words(skin.reasons[skin.reason[n]])]
    answers = [session.why_not(tuple(float(x) for x in skin.points_mm[n])) for n in ribs]
    assert all("in the way" in told["map"] and "rib" in told["map"] and not told["map_free"] for told in answers)
    stand = [told["against"] for told in answers if told["against"]]
    assert len(stand) >= len(answers) / 2  # the rest the search, which takes whole voxels, refused by a tenth of one
    assert all(told[0]["verdict"] != "PASS" for told in stand) and any("rib" in told[0]["line"] for told in stand)
    free = session.why_not(session.shown().way.entry_mm)
    assert all(one["verdict"] != "FAIL" for one in free["against"])
    with pytest.raises(GeometryError):
        session.why_not((float("nan"), 0.0, 0.0))


def test_two_ways_are_compared_by_their_ids_alone(session: Session, tmp_path: Path) -> None:
    plan_id = session.draft.plan_id
    found = session.compare([plan_id, 0], [plan_id, 1])
    assert found["a"] == f"{plan_id}, way 1" and found["rows"]
    file = next((session.folder / "plans").glob("*.json"))
    for side in ([str(file), 0], [plan_id, 9], [plan_id, -1], [plan_id, True], [plan_id], plan_id, None, [0, plan_id],
                 ["../case", 0], [plan_id, 1.0], {"a": 1}, [["x"], 0]):  # fmt: skip
        refused(session, lambda side=side: session.compare([plan_id, 1], side))


def test_a_card_of_a_moved_way_is_found_again_in_the_case(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)  # a PDF takes long
    session.move(entry_mm=beside(session))
    session.remark("aspirin stopped")
    made = session.report(tmp_path / "out", card_only=True)
    plan = session.plan_now()
    assert plan is not None and plan.id.endswith("by-hand") and plan.remarks == "aspirin stopped"
    assert made.paths[0].name == "freehand-card.html"
    assert session.written.keys() == {f"{plan.id}/0"}
    assert plan.id in nv.open_case(session.folder).plans


def test_without_a_way_nothing_is_reported_approved_or_asked(unplanned: Path, tmp_path: Path) -> None:
    session = Session(unplanned)
    actions: list[Callable[[], object]] = [
        lambda: session.report(tmp_path / "out"), lambda: session.approve(WHO, REASON, ()), session.live,
        lambda: session.why_not((0.0, 0.0, 0.0)), lambda: session.move(aim_mm=(0.0, 0.0, 0.0)),
        lambda: session.take_way(0), session.keep_moved, lambda: session.withdraw(WHO, REASON),
        lambda: session.move(entry_mm=(0.0, 0.0, 0.0)),
    ]  # fmt: skip
    for action in actions:
        refused(session, action)
    assert not (tmp_path / "out").exists()


# several images


def test_another_image_puts_away_plan_and_point_of_the_one_before(session: Session) -> None:
    """A point is of one frame of reference: on another image it would be another place."""
    plan_id, aim = session.draft.plan_id, session.plan_now().target.point_mm
    nv.save_case(session.case.with_volume("late", session.case.volumes["ct"]), session.folder)
    session.reload()
    session.aim_at(aim)
    session.choose(image_id="late")
    assert (session.draft.aim_mm, session.draft.plan_id) == (None, "") and session.shown() is None
    assert document(session)["case"]["image"] == "late" and document(session)["plan"] is None
    session.take_way(0, plan_id)
    assert session.draft.image_id == "ct" and session.shown() is not None


# a verdict is of today


def test_a_verdict_does_not_outlive_the_day(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image grows old while the server runs."""
    session.choose(side="R")
    before = session.shown()
    assert before is not None and session.shown() is before
    for place in ("navplan.session.session.now", "navplan.verbs.situation.now"):
        monkeypatch.setattr(place, lambda: "2099-01-01T00:00:00+00:00")
    after = session.shown()
    assert after is not None and after is not before
    old = [one for one in after.ranked.report.findings if one.kind is FindingKind.IMAGE and "days" in one.words]
    assert old and after.ranked.verdict is Verdict.NOT_EVALUATED
    assert {row["verdict"] for row in document(session)["plan"]["ways"]} == {"NOT_EVALUATED"}
