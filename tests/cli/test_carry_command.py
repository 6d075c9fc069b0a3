"""carry on the command line: what is said of the registration, exit codes, and that bad input leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import navplan as nv
from navplan.cli import main
from navplan.model.structure import Presence
from tests.verbs.test_carry import a_case, linear


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CT and an MR with a liver, registered well."""
    nv.save_case(a_case(linear()), tmp_path / "case")
    return tmp_path / "case"


def test_structures_are_carried_and_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["carry", str(folder), "--from", "mr", "--to", "ct", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "registration of mr to ct, rigid: good" in told
    assert "liver: present, off by up to 1.5 mm in 95 of 100" in told and "NOT EVALUATED" not in told
    case = nv.open_case(folder)
    assert case.revision == 2 and case.structures_of("ct")["liver"].carried_from == "mr"
    assert case.structures_of("mr")["liver"].presence is Presence.PRESENT


def test_a_registration_that_is_not_good_enough_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nv.save_case(a_case(linear(), checks=()), tmp_path / "case")
    words = ["carry", str(tmp_path / "case"), "--from", "mr", "--to", "ct", "--structure", "liver", "--quiet"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["registration"]["good"] and told["doubts"]["liver"] == "nothing of it was checked"
    assert main(words) == 0  # again: what was carried is carried anew
    told = capsys.readouterr().out
    assert "NOT GOOD ENOUGH: nothing of it was checked" in told and "NOT EVALUATED with it" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "ct", "--to", "mr"], "navplan register CASE --fixed mr --moving ct"),
        (["--from", "mr", "--to", "ct", "--structure", "spleen"], "spleen on image mr"),
        (["--from", "mr", "--to", "mr"], "registration of image mr to mr"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["carry", str(folder), *words, "--quiet"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and said in told.err and told.err.count("\n") == 1
    assert nv.open_case(folder).revision == 1
