"""session.json: what was being done comes back, and whatever is in the file, the case opens."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navplan.errors import FileFormatError
from navplan.files.session_file import LARGEST_BYTES, NAME, read_session, write_session
from navplan.model.draft import Draft
from navplan.session.session import Session

pytestmark = pytest.mark.xdist_group("saved case")  # made once

coordinates = st.floats(-1e6, 1e6, allow_nan=False)
points = st.none() | st.tuples(coordinates, coordinates, coordinates)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
drafts = st.builds(
    Draft, image_id=words, protocol=words, target=words, aim_mm=points, side=words, device=words, guidance=words,
    patient_position=words, plan_id=words, way=st.integers(0, 99), entry_mm=points, moved_aim_mm=points, remarks=words,
)  # fmt: skip


@given(st.lists(drafts, min_size=1, max_size=4), st.integers(0, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_what_is_written_is_read(tmp_path: Path, kept: list[Draft], at: int) -> None:
    at = min(at, len(kept) - 1)
    write_session(tmp_path, tuple(kept), at)
    assert read_session(tmp_path) == (tuple(kept), at)


def test_no_file_is_no_session(tmp_path: Path) -> None:
    assert read_session(tmp_path) == ((), 0)


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    write_session(tmp_path, (Draft(),), 0)
    write_session(tmp_path, (Draft(), Draft(side="L")), 1)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def document(**changes: object) -> bytes:
    whole = {"format": "navplan session", "schema_version": 1, "drafts": [{}], "at": 0}
    return json.dumps({**whole, **changes}).encode()


DAMAGED = {
    "cut": document()[:-9],
    "empty": b"",
    "no JSON": b"\x00\xff" * 40,
    "another thing": b"[1, 2]",
    "newer": document(schema_version=2),
    "of another program": document(format="something"),
    "a key that nobody knows": document(extra=1),
    "a draft with such a key": document(drafts=[{"rotation": 3}]),
    "a point of two": document(drafts=[{"aim_mm": [1.0, 2.0]}]),
    "a point that is not finite": document(drafts=[{"entry_mm": [1.0, float("nan"), 2.0]}]),
    "a word for a number": document(drafts=[{"way": "1"}]),
    "deep": b"[" * 200_000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_cannot_be_read_is_said_to_be_so_and_the_case_opens(planned: Path, data: bytes) -> None:
    (planned / NAME).write_bytes(data)
    with pytest.raises(FileFormatError, match=NAME):
        read_session(planned)
    session = Session(planned)
    assert [words for words in session.notes if "starts anew" in words and NAME in words]
    assert session.shown() is not None and not session.history.can_undo
    session.choose(side="L")
    assert session.unsaved == "" and Session(planned).draft.side == "L"


def test_a_huge_file_is_refused_without_reading_it_whole(planned: Path) -> None:
    with (planned / NAME).open("wb") as file:
        file.write(document())
        file.truncate(1 << 40)  # a terabyte of nothing
    session = Session(planned)
    assert "starts anew" in session.notes[0] and session.shown() is not None


def test_what_is_written_is_never_too_large_to_be_read(tmp_path: Path) -> None:
    """Long notes on many steps: the oldest steps go, the newest and the one in force stay."""
    kept = tuple(Draft(way=number, remarks="ü" * 20_000) for number in range(200))
    write_session(tmp_path, kept, 199)
    found, at = read_session(tmp_path)
    assert (tmp_path / NAME).stat().st_size <= LARGEST_BYTES
    assert found == kept[-len(found) :] and found[at] == kept[199] and len(found) > 50


def test_of_too_much_the_draft_in_force_stays_even_where_it_is_an_old_one(tmp_path: Path) -> None:
    kept = tuple(Draft(way=number, remarks="ü" * 20_000) for number in range(200))
    write_session(tmp_path, kept, 3)
    found, at = read_session(tmp_path)
    assert found[at] == kept[3]


@pytest.mark.parametrize("at", [-5, 7, 10**30])
def test_a_place_beyond_the_drafts_becomes_the_nearest(planned: Path, at: int) -> None:
    (planned / NAME).write_bytes(document(drafts=[{"side": "L"}, {"side": "R"}], at=at))
    assert Session(planned).draft.side == ("L" if at < 0 else "R")


def test_a_folder_in_its_place_stops_nobody(planned: Path) -> None:
    (planned / NAME).mkdir()
    session = Session(planned)
    session.choose(side="L")
    assert session.draft.side == "L" and session.unsaved
    (planned / NAME).rmdir()
    session.choose(side="R")
    assert session.unsaved == "" and Session(planned).draft.side == "R"


@pytest.mark.parametrize(
    "draft",
    [{"way": -3}, {"way": 99}, {"plan_id": "gone", "way": 4, "entry_mm": [0, 0, 0]}, {"image_id": "another"}],
    ids=str,
)
def test_a_draft_that_points_to_what_is_not_there_is_mended(planned: Path, draft: dict[str, object]) -> None:
    plan_id = Session(planned).draft.plan_id
    (planned / NAME).write_bytes(document(drafts=[{"plan_id": plan_id, **draft}]))
    session = Session(planned)
    assert session.image()[0] == "ct"
    assert session.draft.plan_id in ("", plan_id) and session.draft.way == 0
    assert session.shown() is not None or session.draft.plan_id == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_in_its_place_is_not_waited_for(planned: Path) -> None:
    os.mkfifo(planned / NAME)
    session = Session(planned)
    session.choose(side="L")
    assert Session(planned).draft.side == "L"
