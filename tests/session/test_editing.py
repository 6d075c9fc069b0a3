"""Structures edited in a session: each edit a revision, judged anew, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

import navplan as nv
from navplan.errors import InputError
from navplan.session.document import document
from navplan.session.editing import edit, last_edit, last_undone, redo_edit, undo_edit
from navplan.session.session import Session
from tests.session.saved_case import copy_of, phantom_case

pytestmark = pytest.mark.xdist_group("saved case")  # made once
WHO = "Dr A"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(copy_of("planned", tmp_path / "case"))


def test_a_painted_structure_is_in_the_case_and_the_way_is_judged_on_it(session: Session) -> None:
    shown = session.shown()
    assert shown is not None and document(session)["case"]["last_edit"] == ""
    key, middle = shown.key, [(a + b) / 2 for a, b in zip(shown.way.entry_mm, shown.way.target_mm, strict=True)]
    edit(session, "stent", [["paint", [*middle, 6.0]]], WHO, True)
    told = document(session)
    assert told["case"]["last_edit"].startswith("stent: painted") and told["way"]["verdict"] == "FAIL"
    assert told["plan"]["ways"][session.draft.way]["verdict"] == "FAIL" and told["way"]["key"] != key
    assert nv.open_case(session.folder).structures["stent"].made_by == "manual"
    assert nv.open_case(session.folder).audit[-1].who == WHO
    undo_edit(session, WHO)
    again = session.shown()
    assert again is not None and again.key == key and last_edit(session) == ""
    assert "stent" not in nv.open_case(session.folder).structures
    with pytest.raises(InputError, match="none is kept"):
        undo_edit(session, WHO)
    assert document(session)["case"]["last_undone"].startswith("stent: painted")
    with pytest.raises(InputError, match="by nobody"):
        redo_edit(session, " ")
    redo_edit(session, WHO)
    assert document(session)["way"]["verdict"] == "FAIL" and last_undone(session) == ""
    assert nv.open_case(session.folder).audit[-1].action == "redo edit"


def test_the_target_may_go_and_come_back(session: Session) -> None:
    x, y, z = phantom_case().structures["lesion"].voxel_centres_mm().mean(axis=0)
    edit(session, "lesion", [["erase", [x, y, z, 40.0]]], WHO)
    told = document(session)
    assert told["way"] is None or told["way"]["verdict"] != "PASS"
    undo_edit(session, WHO)
    assert document(session)["way"] is not None


@pytest.mark.parametrize(
    ("structure", "steps", "who", "whole"),
    [
        ("liver", [["grow_mm", 3]], "", False), ("liver", [["grow_mm", 3]], None, False), ("liver", [], WHO, False),
        ("liver", [["grow_mm"]], WHO, False), ("liver", [["grow_mm", "3"]], WHO, False),
        ("", [["grow_mm", 3]], WHO, False), ("liver", [["grow_mm", float("nan")]], WHO, False),
        ("liver", "grow", WHO, False), ("liver", [[1, 3]], WHO, False), ("liver", [["grow_mm", True]], WHO, False),
        ("liver", [["paint", [0, 0, 0, None]]], WHO, False), ("liver", [["paint", [0.0] * 10_001]], WHO, False),
        ("liver", [["grow_mm", 3]] * 21, WHO, False), ("liver", [["grow_mm", 3]], WHO, "yes"),
        ("nobody", [["grow_mm", 3]], WHO, False), (["liver"], [["grow_mm", 3]], WHO, False),
    ],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(
    session: Session, structure: object, steps: object, who: object, whole: object
) -> None:
    before = session.case
    with pytest.raises(InputError):
        edit(session, structure, steps, who, whole)
    assert session.case is before and nv.open_case(session.folder).revision == before.revision
