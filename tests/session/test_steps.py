"""The guided steps along a whole way: from an imported case to a written report, what each has and what it lacks."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

import navplan as nv
import navplan.session.steps as step_module
from navplan.app.server import PAGE
from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.structure import Presence
from navplan.session.session import Session
from navplan.session.steps import State, Step, steps
from navplan.verbs.approve import to_be_acknowledged
from navplan.verbs.report import ReportFiles
from tests.session.saved_case import PROTOCOL, SIDE, TARGET, copy_of, phantom_case

pytestmark = pytest.mark.xdist_group("saved case")  # made once

ORDER = ("images", "fusion", "anatomy", "target", "way", "device", "fluoroscopy", "check", "report")


def steps_of(session: Session) -> dict[str, Step]:
    found = steps(session, session.shown())
    assert tuple(one.id for one in found) == ORDER
    return {one.id: one for one in found}


def lacks(session: Session, step: str) -> list[str]:
    return [told.key for told in steps_of(session)[step].told]


def states(session: Session) -> dict[str, str]:
    return {name: one.state.value for name, one in steps_of(session).items()}


def test_from_an_image_to_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("navplan.verbs.report.report", lambda *given, **more: ReportFiles(()))  # drawing takes long
    folder = copy_of("imported", tmp_path / "case")
    session = Session(folder)
    assert states(session) == {
        "images": "done", "fusion": "idle", "anatomy": "open", "target": "open", "way": "open", "device": "open",
        "fluoroscopy": "idle", "check": "open", "report": "open",
    }  # fmt: skip
    assert lacks(session, "anatomy") == ["no_structures"]
    assert lacks(session, "target") == ["no_protocol", "no_target"]

    nv.save_case(session.case.with_structures(*phantom_case().structures.values()), folder, "segment")
    session.reload()
    assert states(session)["anatomy"] == "done" and lacks(session, "anatomy") == ["structures"]

    session.choose(protocol=PROTOCOL)
    assert lacks(session, "target") == ["no_target"]
    session.choose(target=TARGET, side=SIDE)
    assert states(session)["target"] == "done" and lacks(session, "way") == ["no_plan"]

    session.plan()
    now = states(session)
    assert (now["way"], now["device"], now["fluoroscopy"], now["report"]) == ("done", "done", "open", "open")
    assert now["check"] == "open" and lacks(session, "check") == ["open_items", "not_approved"]

    assert session.saw("fluoroscopy") and not session.saw("fluoroscopy")
    assert states(session)["fluoroscopy"] == "done"
    session.take_way(1)
    assert states(session)["fluoroscopy"] == "open"
    session.undo()

    entry = session.shown().way.entry_mm
    session.move(entry_mm=(entry[0], entry[1], entry[2] + 5.0))
    assert states(session)["way"] == "attention" and lacks(session, "way") == ["way_moved"]
    session.keep_moved()
    session.saw("fluoroscopy")
    assert states(session)["way"] == "done"

    names = to_be_acknowledged(session.shown().ranked.report)
    session.approve("Dr A", "seen on the reformats", names)
    assert states(session)["check"] == "done" and lacks(session, "check") == ["open_items"]

    session.report(tmp_path / "out", card_only=True)
    assert states(session)["report"] == "done" and lacks(session, "report") == ["written"]
    assert {one.state for one in steps_of(session).values()} <= {State.DONE, State.IDLE}

    session.take_way(0, "liver-biopsy-lesion")
    assert (states(session)["check"], states(session)["report"]) == ("open", "open")


def test_a_side_is_asked_for_where_the_procedure_has_one_and_a_position_where_the_image_says_none(
    unplanned: Path,
) -> None:
    session = Session(unplanned)
    session.choose(protocol="lung-biopsy", target=TARGET)
    assert lacks(session, "target") == ["no_side"] and states(session)["target"] == "open"
    session.choose(side="L")
    assert states(session)["target"] == "done"
    image = session.case.volumes["ct"]
    lying = replace(image, acquisition=replace(image.acquisition, patient_position=""))
    nv.save_case(replace(session.case, volumes={"ct": lying}), unplanned)
    session.reload()
    assert lacks(session, "target") == ["no_position"]
    session.choose(patient_position="HFP")
    assert states(session)["target"] == "done"


def test_other_choices_than_the_plans_are_told(session: Session) -> None:
    assert states(session)["way"] == "done"
    session.choose(side="L")
    assert states(session)["way"] == "attention" and lacks(session, "way") == ["plan_of_other_choices"]


def test_what_is_found_in_the_image_is_looked_at_first(planned: Path) -> None:
    session = Session(planned)
    image = session.case.volumes["ct"]
    found = (QualityFinding("gap", Severity.WARN, "a slice is missing"), QualityFinding("n", Severity.INFO, "note"))
    unknown = replace(image.acquisition, quality=found, patient_digest="")
    nv.save_case(replace(session.case, volumes={"ct": replace(image, acquisition=unknown)}, plans={}), planned)
    session.reload()
    step = steps_of(session)["images"]
    assert step.state is State.ATTENTION
    assert [(one.key, one.values) for one in step.told] == [
        ("finding", {"words": "a slice is missing"}), ("patient_unknown", {}),
    ]  # fmt: skip


def test_a_structure_that_the_protocol_needs_and_nobody_looked_for_is_named(planned: Path) -> None:
    session = Session(planned)
    kept = {name: one for name, one in session.case.structures.items() if name not in ("colon", "body")}
    unknown = replace(session.case.structures["gallbladder"], presence=Presence.UNKNOWN, occupancy=None, grid=None)
    nv.save_case(replace(session.case, structures={**kept, "gallbladder": unknown}), planned)
    session.reload()
    told = {one.key: one.values for one in steps(session, None)[2].told}
    assert "no_body" in told and told["required_unknown"]["names"] == ["colon*", "gallbladder"]
    session.state_absent(["gallbladder"], "Dr A")
    told = {one.key: one.values for one in steps(session, None)[2].told}
    assert told["required_unknown"]["names"] == ["colon*"]


def test_without_a_way_in_the_step_says_why(planned: Path) -> None:
    session = Session(planned)
    plan = session.plan_now()
    assert plan is not None
    none = replace(plan, trajectories=(), notes=("3 entries tried, 0 free", "No way in, because of ribs"))
    nv.save_case(session.case.with_plan(none), planned)
    session.reload()
    assert states(session)["way"] == "open"
    assert [one.values for one in steps_of(session)["way"].told] == [{}, {"words": "No way in, because of ribs"}]
    assert states(session)["device"] == states(session)["check"] == states(session)["report"] == "open"


def test_a_broken_limit_is_told_and_not_to_be_approved(planned: Path) -> None:
    session = Session(planned)
    liver = session.case.structures["liver"]
    nv.save_case(session.case.with_structures(replace(liver, name="hepatic_artery")), planned)
    session.reload()
    assert states(session)["check"] == "attention" and "fails" in lacks(session, "check")


def test_an_approval_that_became_void_is_none(planned: Path) -> None:
    session = Session(planned)
    shown = session.shown()
    assert shown is not None
    session.approve("Dr A", "seen on the reformats", to_be_acknowledged(shown.ranked.report))
    assert states(session)["check"] == "done"
    session.state_absent(["appendix"], "Dr B")
    assert states(session)["check"] == "open" and "not_approved" in lacks(session, "check")


def test_the_page_has_a_sentence_for_all_that_is_told() -> None:
    words = json.loads((PAGE / "words.json").read_text(encoding="utf-8"))
    tree = ast.parse(Path(str(step_module.__file__)).read_text(encoding="utf-8"))
    keys = {
        part.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Told"
        for part in ast.walk(node.args[0])
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    assert len(keys) > 15 and keys <= set(words["told"])
    assert set(ORDER) == set(words["steps"]) and set(State) == set(words["states"]) == set(words["symbols"])
