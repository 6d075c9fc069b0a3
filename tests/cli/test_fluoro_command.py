"""`navplan fluoro`: what it writes, what it says, and what it refuses before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

import navplan as nv
from navplan.cli import main
from tests.cli.test_attacks import PLAN, Captured, refused
from tests.planning.scenes import case_of, grid_of


@pytest.fixture(scope="module")
def case_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with one plan."""
    folder = tmp_path_factory.mktemp("fluoro") / "case"
    nv.save_case(case_of(grid=grid_of((5.0, 5.0, 5.0))), folder)
    assert main(["plan", str(folder), *PLAN]) == 0
    return folder


def made(capsys: Captured, *words: object) -> dict:
    capsys.readouterr()
    assert main(["fluoro", *(str(word) for word in words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_kind_of_file_is_written_and_the_dose_is_told(
    case_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    size = ("--size", "64")
    shot = made(capsys, case_folder, *size, "--field", "80x60", "--zoom", "200", "--out", tmp_path / "shot.png")
    assert shot["dose"]["pulses"] == 4 and Path(shot["path"]).read_bytes().startswith(b"\x89PNG")
    run = made(capsys, case_folder, *size, "--run", "--pictures", "3", "--out", tmp_path / "run.dcm")
    assert run["dose"]["pulses"] == 3 and pydicom.dcmread(run["path"]).NumberOfFrames == 3
    swept = ("--to", "LAO 30", "--pictures", "4", "--enhanced")
    sweep = made(capsys, case_folder, *size, *swept, "--out", tmp_path / "s.dcm")
    assert len(pydicom.dcmread(sweep["path"]).PerFrameFunctionalGroupsSequence) == 4
    both = made(capsys, case_folder, *size, "--biplane", "lateral", "--out", tmp_path / "both.dcm")
    assert [Path(path).name for path in both["paths"]] == ["both-A.dcm", "both-B.dcm"]
    free = made(capsys, case_folder, *size, "--find", "coaxial", "--carm", "mobile", "--out", tmp_path / "c.png")
    assert "coaxial" in free["view"]
    like = made(capsys, case_folder, "--like", sweep["path"], "--picture", "2", "--out", tmp_path / "like.png")
    assert Path(like["path"]).stat().st_size > 10_000
    film = made(capsys, case_folder, *size, "--pictures", "3", "--plan", "none", "--out", tmp_path / "still.mp4")
    assert film["dose"]["pulses"] == 3


def test_a_plan_of_none_draws_no_needle(case_folder: Path, tmp_path: Path, capsys: Captured) -> None:
    pixels = [
        pydicom.dcmread(
            made(capsys, case_folder, "--plan", plan, "--size", "64", "--out", tmp_path / "x.dcm")["path"]
        ).pixel_array
        for plan in ("", "none")
    ]
    assert not np.array_equal(*pixels)
    assert "without a plan" in refused(
        capsys, tmp_path, "fluoro", case_folder, "--plan", "none", "--trajectory", "2", "--out", tmp_path / "y.png"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--find", ""], "without a value"), (["--like", ""], "without a value"),
        (["--biplane", " "], "without a value"), (["--field", ""], "without a value"),
        (["--carm", ""], "without a value"), (["--picture", "2"], "--like"), (["--field", "80"], "width x height"),
        (["--field", "1x1"], "10 mm"), (["--field", "axb"], "width x height"), (["--zoom", "-3"], "mm"),
        (["--zoom", "nan"], "mm"), (["--fill", "lesion"], "NAME=MEDIUM"), (["--fill", "lesion=barium"], "iodine"),
        (["--fill", "lesion=iodine", "--fill", "lesion=cement"], "twice"), (["--outline", "nothing"], "lesion"),
        (["--run"], "as .png"), (["--to", "lateral"], "as .png"), (["--enhanced"], "no .dcm"),
        (["--beside", "PLAN"], "PLAN"), (["--like", "no.dcm"], "no.dcm"), (["--carm", "none"], "angiography"),
        (["--biplane", "lateral", "--carm", "mobile"], "--biplane with --carm mobile"),
        (["--find", "oblique"], "coaxial"),
        (["--biplane", "sideways"], "sideways"), (["--size", "5"], "16 to 4096"),
        (["--program", "knee"], "general, spine"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    words: list[str], told: str, case_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert told in refused(capsys, tmp_path, "fluoro", case_folder, *words, "--out", tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.gif", "x", "none/x.mp4", "none/x.dcm"])
def test_a_run_that_cannot_be_written_is_refused(
    name: str, case_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    small = ("--pictures", "2", "--size", "32")
    refused(capsys, tmp_path, "fluoro", case_folder, "--run", *small, "--out", tmp_path / name)
    refused(capsys, tmp_path, "fluoro", case_folder, "--run", "--pictures", "1", "--out", tmp_path / "x.mp4")
    refused(capsys, tmp_path, "fluoro", case_folder, "--run", "--rate", "0", "--out", tmp_path / "x.mp4")
