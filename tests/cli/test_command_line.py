"""The command line: exit codes, what goes where, and that bad input leaves the case as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.files.markups import write_lines
from tests.planning.scenes import case_of, grid_of

PROTOCOL = str(Path(__file__).with_name("plain-biopsy.toml"))
HEAVY = ("numpy", "scipy", "vtk", "vtkmodules", "SimpleITK", "pydicom", "pyvista", "numba", "pydantic")
VERBS = (
    "demo",
    "phantom",
    "inspect",
    "import",
    "segment",
    "edit",
    "plan",
    "check",
    "carry",
    "adjust",
    "approve",
    "navigate",
    "calibrate",
    "fluoro",
    "scene",
    "report",
    "scenarios",
    "train",
    "score",
    "scenario",
    "block",
    "block-find",
    "block-score",
    "plugins",
    "protocols",
    "devices",
    "phantoms",
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case folder with one plan."""
    folder = tmp_path_factory.mktemp("cases") / "case"
    nv.save_case(case_of(grid=grid_of((3.0, 3.0, 3.0))), folder)
    assert main(["plan", str(folder), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 0
    return folder


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "code", ["import navplan", "from navplan.cli import main; main(['--help'])", "import navplan; navplan.plan"]
)
def test_help_and_import_load_no_numerical_library(code: str) -> None:
    code += f"\nimport sys; print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    if code.startswith("import navplan; navplan.plan"):
        code = code.replace("navplan.plan", "dir(navplan)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        assert verb in capsys.readouterr().out


def test_plan_and_check_say_the_verdict_first(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(planned)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "PASS"
    assert out.splitlines()[1].startswith("Clear >= ")


def test_json_is_one_document_and_nothing_else(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(planned), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "PASS" and told["headline"]
    assert {"aorta", "colon", "rib_right_9"} <= {finding["structure"] for finding in told["findings"]}
    for verb in ("plugins", "protocols", "devices", "phantoms"):
        assert main([verb, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[verb]


def test_strict_turns_warn_into_3(planned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    nv.save_case(replace(case_of(grid=grid_of((3.0, 3.0, 3.0)), patient_digest="")), folder)
    assert main(["plan", str(folder), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 0
    assert main(["check", str(folder), "--quiet"]) == 0
    assert main(["check", str(folder), "--strict", "--quiet"]) == 3


def drawn(path: Path, start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    write_lines(path, [(start, end, "drawn")])
    return str(path)


LINE = ("--protocol", PROTOCOL, "--target", "lesion", "--quiet")


def test_a_drawn_line_is_judged_and_its_image_is_not_proven(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = drawn(tmp_path / "line.mrk.json", (-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0))
    assert main(["check", str(planned), line, *LINE]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "WARN" and "image not proven" in out


def test_a_needle_through_the_aorta_is_fail_and_3(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = drawn(tmp_path / "line.mrk.json", (89.0, 68.0, 0.0), (-40.0, 0.0, 0.0))
    assert main(["check", str(planned), line, *LINE]) == 3
    assert capsys.readouterr().out.splitlines()[0] == "FAIL"


@pytest.mark.parametrize(
    ("start", "end", "fix"),
    [
        ((-40.0, 0.0, 0.0), (-90.0, 0.0, 0.0), "reversing"),
        ((90.0, 0.0, 0.0), (40.0, 0.0, 0.0), "RAS and LPS"),
        ((0.0, 0.0, 0.0), (-40.0, 0.0, 0.0), "Neither"),
        ((-90.0, 0.0, 0.0), (-70.0, 0.0, 0.0), "Neither"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_and_told_how(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], start, end, fix
) -> None:
    line = drawn(tmp_path / "line.mrk.json", start, end)
    assert main(["check", str(planned), line, *LINE]) == 2
    assert fix in capsys.readouterr().err


def test_a_required_structure_unknown_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "case"
    nv.save_case(case_of(grid=grid_of((3.0, 3.0, 3.0)), without=("colon",)), folder)
    assert main(["plan", str(folder), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 4
    capsys.readouterr()
    assert main(["check", str(folder), "--quiet"]) == 4
    assert capsys.readouterr().out.splitlines()[0] == "NOT_EVALUATED"
    assert main(["segment", str(folder), "--absent", "colon", "--by", "Dr B", "--quiet"]) == 0
    assert main(["plan", str(folder), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 0


BAD = [
    (["check", "CASE", "no-such-plan"], "no-such-plan"),
    (["check", "CASE", "--trajectory", "99"], "trajectory"),
    (["plan", "CASE", "--protocol", "no-such-protocol", "--target", "lesion"], "no-such-protocol"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "no_such_target"], "no_such_target"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target=900,0,0"], "outside image"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target=nan,0,0"], "finite"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "lesion", "--position", "upside-down"], "upside-down"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "lesion", "--side", "middle"], "middle"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "lesion", "--device", "spoon"], "spoon"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "lesion", "--guidance", "stars"], "stars"),
    (["plan", "CASE", "--protocol", PROTOCOL, "--target", "lesion", "--top", "0"], "0"),
    (["plan", "no-such-folder", "--protocol", PROTOCOL, "--target", "lesion"], "no-such-folder"),
    (["segment", "CASE", "--labels", "no-such-file.nii.gz"], "no-such-file"),
    (["segment", "CASE"], "exactly one"),
    (["segment", "CASE", "--absent", "colon"], "by"),
    (["edit", "CASE", "liver"], "no operation"),
    (["edit", "CASE", "--grow", "2"], "no structure"),
    (["edit", "CASE", "spleen", "--grow", "2"], "spleen"),
    (["edit", "CASE", "liver", "--grow", "nan"], "finite"),
    (["edit", "CASE", "liver", "--shrink=-2"], "above 0"),
    (["edit", "CASE", "liver", "--grow", "two"], "two"),
    (["edit", "CASE", "liver", "--grow", "0.01"], "changes no voxel"),
    (["edit", "CASE", "liver", "--paint=0,0,0,0"], "radius"),
    (["edit", "CASE", "liver", "--paint=0,0,0"], "3 numbers"),
    (["edit", "CASE", "liver", "--paint=900,0,0,5"], "beside the image"),
    (["edit", "CASE", "liver", "--threshold", "0,100"], "--ball"),
    (["edit", "CASE", "liver", "--threshold", "0,100", "--ball=900,0,0,5"], "beside the image"),
    (["edit", "CASE", "liver", "--threshold", "5000,6000", "--ball=0,0,0,5"], "no voxel from 5000"),
    (["edit", "CASE", "liver", "--union", "spleen"], "spleen"),
    (["edit", "CASE", "liver", "--erase=-35,0,0,60", "--as", "rest"], "at least one"),
    (["edit", "CASE", "liver", "--erase=-35,0,0,60", "--grow", "3"], "leaves nothing"),
    (["edit", "CASE", "liver", "--grow", "3", "--as", "colon"], "there already"),
    (["edit", "CASE", "liver", "--grow", "3", "--whole-image"], "--by"),
    (["edit", "CASE", "--undo"], "none is kept"),
    (["edit", "CASE", "--redo"], "none is kept"),
    (["edit", "CASE", "--undo", "--redo"], "one of them"),
    (["edit", "CASE", "liver", "--redo", "--grow", "2"], "one of them"),
    (["edit", "CASE", "liver", "--undo", "--grow", "2"], "one of them"),
    (["fluoro", "CASE", "--view", "sideways", "--out", "OUT/x.png"], "sideways"),
    (["import", "no-such-file.nii", "--case", "CASE"], "no-such-file"),
    (["phantom", "no-such-phantom", "--out", "OUT/p"], "no-such-phantom"),
    (["frobnicate"], "frobnicate"),
]


@pytest.mark.parametrize(("words", "told"), BAD, ids=[" ".join(words)[:60] for words, _ in BAD])
def test_bad_input_is_one_message_exit_2_and_leaves_the_case(
    words, told, planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(planned)
    arguments = [word.replace("CASE", str(planned)).replace("OUT", str(tmp_path)) for word in words]
    assert main(arguments) == 2
    told_all = capsys.readouterr()
    assert told in told_all.err and told_all.out == ""
    assert "Traceback" not in told_all.err
    assert state(planned) == before
    assert list(tmp_path.iterdir()) == []


def test_a_fault_is_1_with_a_report_file(
    planned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: str) -> None:
        raise ZeroDivisionError("".join(["sec", "ret"]))

    monkeypatch.setattr("navplan.cli.commands.open_case", broken)
    assert main(["check", str(planned)]) == 1
    told = capsys.readouterr().err
    report = Path(told.rsplit(": ", 1)[1].strip())
    text = report.read_text()
    report.unlink()
    assert "ZeroDivisionError" in text and "secret" not in text


def test_stopping_is_130(planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*ignored: object, **also: object) -> None:
        raise KeyboardInterrupt

    before = state(planned)
    monkeypatch.setattr("navplan.planning.entry_search.margins", stopped)
    assert main(["plan", str(planned), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 130
    assert state(planned) == before


def test_a_plan_file_on_another_image_is_refused(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = nv.open_case(planned)
    plan_id = next(iter(case.plans))
    from navplan.files.plan_json import write_plan

    write_plan(tmp_path / "plan.json", case.plans[plan_id])
    other = case_of(grid=grid_of((3.0, 3.0, 3.0)))
    image = other.volumes["ct"]
    nv.save_case(
        replace(other, volumes={"ct": replace(image, voxels=np.asarray(image.voxels) + 1)}), tmp_path / "other"
    )
    assert main(["check", str(planned), str(tmp_path / "plan.json"), "--quiet"]) == 0
    assert main(["check", str(tmp_path / "other"), str(tmp_path / "plan.json"), "--quiet"]) == 2
    assert "other voxels" in capsys.readouterr().err


def test_a_command_begins_without_what_only_others_need() -> None:
    """A quarter of a second of numpy and fluoroscopy once came before every command, its --help too."""
    words = "import sys, navplan.cli.commands; print(sorted({'numpy', 'vtk', 'pydicom'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("value", ["-10,0,-20", "-.5,1e-3,2"])
def test_coordinates_may_begin_with_a_minus(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene", "nowhere", "--fused", "mr", "--at", value, "--out", "x.png"]) == 2
    told = capsys.readouterr().err
    assert "expected one argument" not in told and "nowhere" in told
