"""adjust and approve on the command line: exit codes, what is saved, and that a refusal leaves the case as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import navplan as nv
from navplan.cli import main
from navplan.model.structure import Presence, Structure
from tests.planning.scenes import case_of, grid_of

RULES = Path(__file__).with_name("plain-biopsy.toml").read_text()
HIDDEN = """[[hard]]
structure = "recess"
min_clearance_mm = 0.0
needs = "not_imaged"
source = "test"

[[pass_through]]"""
PLAN = "plain-biopsy-lesion"
WHO = ("--who", "Dr A", "--reason", "seen on the reformats")
ENTRY, OVER_THE_RIB = "--entry=-60,-70,10", "--entry=-90,-1.4,14"

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with a plan, one of whose structures no image shows."""
    folder = tmp_path_factory.mktemp("approvals")
    (folder / "rules.toml").write_text(RULES.replace("[[pass_through]]", HIDDEN, 1))
    nv.save_case(case_of(grid=grid_of((4.0, 4.0, 4.0))), folder / "case")
    words = ["plan", str(folder / "case"), "--protocol", str(folder / "rules.toml"), "--target", "lesion", "--quiet"]
    assert main([*words, "--top", "2"]) == 0
    return folder / "case"


@pytest.fixture
def folder(made: Path, tmp_path: Path, capsys: Captured) -> str:
    shutil.copytree(made, tmp_path / "case")
    capsys.readouterr()
    return str(tmp_path / "case")


def state(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_approved_and_in_the_record(folder: str, capsys: Captured) -> None:
    assert main(["approve", folder, PLAN, *WHO, "--acknowledge", "recess"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"approved: way 1 of plan {PLAN}, by Dr A, as WARN: Clear >= ")
    assert "seen on the reformats; acknowledged: recess" in lines[1] and "void" not in lines[1]
    case = nv.open_case(folder)
    given = case.plans[PLAN].approvals[0]
    assert nv.standing(case, case.plans[PLAN], given, nv.check(case, PLAN)) == ""
    assert (case.audit[-1].action, case.audit[-1].who) == ("approve", "Dr A")
    assert len([entry for entry in case.audit if entry.action == "approve"]) == 1


def test_a_second_one_a_withdrawal_and_json(folder: str, capsys: Captured) -> None:
    assert main(["approve", folder, PLAN, *WHO, "--acknowledge", "recess", "--quiet"]) == 0
    more = ["approve", folder, PLAN, "--who", "Dr B", "--reason", "the other way is shorter", "--acknowledge", "recess"]
    capsys.readouterr()
    assert main([*more, "--trajectory", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["approvals"]
    assert [(row["way"], row["who"], row["verdict"], row["void"]) for row in rows] == [
        (1, "Dr A", "WARN", ""), (2, "Dr B", "WARN", ""),
    ]  # fmt: skip
    assert main(["approve", folder, PLAN, "--withdraw", "--who", "Dr C", "--reason", "cough", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["approvals"]
    assert all("withdrawn by Dr C" in row["void"] for row in rows)
    assert nv.open_case(folder).audit[-1].action == "withdraw"


REFUSED = [
    (["approve", "CASE", PLAN, *WHO], "recess"),
    (["approve", "CASE", PLAN, *WHO, "--acknowledge", "recess", "--acknowledge", "aorta"], "'aorta'"),
    (["approve", "CASE", PLAN, "--who", "Dr A", "--acknowledge", "recess"], "at least 10"),
    (["approve", "CASE", PLAN, "--who", " ", "--reason", "seen on the reformats", "--acknowledge", "recess"], "nobody"),
    (["approve", "CASE", PLAN, "--reason", "seen on the reformats"], "--who"),
    (["approve", "CASE", "no-such-plan", *WHO], "no-such-plan"),
    (["approve", "CASE", PLAN, *WHO, "--trajectory", "9"], "1 to 2"),
    (["approve", "CASE", PLAN, *WHO, "--withdraw"], "no approval"),
    (["approve", "CASE", PLAN, *WHO, "--withdraw", "--acknowledge", "recess"], "--withdraw alone"),
    (["adjust", "CASE", PLAN], "nothing moved"),
    (["adjust", "CASE", PLAN, "--entry=0,0,0"], "from the skin"),
    (["adjust", "CASE", PLAN, "--entry=1,2"], "three LPS"),
    (["adjust", "CASE", PLAN, "--aim=0,0,0"], "outside lesion"),
    (["adjust", "CASE", PLAN, "--device", "spoon"], "spoon"),
    (["adjust", "CASE", PLAN, ENTRY, "--id", PLAN], "already"),
    (["adjust", "CASE", PLAN, ENTRY, "--id", "a/b"], "the id"),
    (["adjust", "CASE", PLAN, ENTRY, "--trajectory", "0"], "1 to 2"),
    (["adjust", "CASE", "no-such-plan", ENTRY], "no-such-plan"),
]


@pytest.mark.parametrize(("words", "told"), REFUSED, ids=[" ".join(words)[:70] for words, _ in REFUSED])
def test_what_is_refused_is_one_message_and_changes_nothing(
    words: list[str], told: str, made: Path, capsys: Captured
) -> None:
    before = state(str(made))
    capsys.readouterr()
    assert main([str(made) if word == "CASE" else word for word in words]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.out == "" and "Traceback" not in said.err
    assert state(str(made)) == before


def test_a_moved_way_is_a_plan_of_the_case(folder: str, capsys: Captured) -> None:
    assert main(["adjust", folder, PLAN, ENTRY, "--trajectory", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    new = f"{PLAN}-by-hand"
    assert lines[0].startswith(f"{new}: way 2 of plan {PLAN}, moved by hand")
    assert "entry moved by hand to" in lines[1]
    assert any(line.startswith("1. WARN: Clear >= ") for line in lines)
    case = nv.open_case(folder)
    assert set(case.plans) == {PLAN, new} and len(case.plans[PLAN].trajectories) == 2
    assert (case.audit[-1].action, case.audit[-1].details["new_plan"]) == ("adjust", new)
    assert main(["check", folder, new, "--quiet"]) == 0
    assert main(["compare", folder, PLAN, new, "--quiet"]) == 0
    assert main(["approve", folder, new, *WHO, "--acknowledge", "recess", "--quiet"]) == 0
    assert nv.open_case(folder).plans[PLAN].approvals == ()


def test_a_bad_move_is_kept_and_told_by_the_exit_code(folder: str, capsys: Captured) -> None:
    assert main(["adjust", folder, PLAN, OVER_THE_RIB, "--id", "over-the-rib", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["plan"] == "over-the-rib" and told["verdict"] == "FAIL"
    assert main(["approve", folder, "over-the-rib", *WHO, "--acknowledge", "recess"]) == 2
    assert "rib_right_9" in capsys.readouterr().err


def test_what_is_not_evaluated_is_4(folder: str, capsys: Captured) -> None:
    case = nv.open_case(folder)
    unknown = Structure("colon", Presence.UNKNOWN, image_id=case.structures["colon"].image_id)
    nv.save_case(case.with_structures(unknown), action="test")
    assert main(["adjust", folder, PLAN, ENTRY, "--quiet"]) == 4
    words = ["approve", folder, f"{PLAN}-by-hand", *WHO, "--acknowledge", "recess"]
    capsys.readouterr()
    assert main(words) == 2
    assert "colon" in capsys.readouterr().err
    assert main([*words, "--acknowledge", "colon"]) == 0
    assert "as NOT_EVALUATED" in capsys.readouterr().out
