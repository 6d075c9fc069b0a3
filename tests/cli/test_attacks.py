"""Bad input of every kind: one message, exit 2, standard output empty, nothing changed. Each was once otherwise."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import InputError
from navplan.files.nifti import write_nifti
from navplan.files.nrrd import write_nrrd
from navplan.geometry.grid import Grid
from tests.planning.scenes import case_of, grid_of

PROTOCOL = Path(__file__).with_name("plain-biopsy.toml")
PLAN = ("--protocol", str(PROTOCOL), "--target", "lesion", "--quiet")
GRID = Grid(np.diag([3.0, 3.0, 3.0, 1.0]), (6, 7, 8))
VOXELS = np.full(GRID.shape, -900, dtype=np.int16)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A case folder without a plan."""
    nv.save_case(case_of(grid=grid_of((5.0, 5.0, 5.0))), tmp_path / "case")
    return tmp_path / "case"


def state(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in sorted(root.rglob("*"))
        if path.name != "case.lock"
    }


def refused(capsys: Captured, root: Path, *arguments: object) -> str:
    """The one message of a command that is refused and changes nothing under a folder."""
    before = state(root)
    capsys.readouterr()
    assert main([str(word) for word in arguments]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.strip().splitlines()) == 1, told
    assert state(root) == before
    return told.err


def nifti(path: Path, offset: int, form: str, *values: float) -> Path:
    """A sound file with a part of its header written over."""
    write_nifti(path, VOXELS, GRID)
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(data)
    return path


def nrrd(path: Path, old: str, new: str) -> Path:
    write_nrrd(path, VOXELS, GRID)
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode(), 1))
    return path


MHA = """NDims = 3
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 3 3 3
DimSize = 6 7 8
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""


def metaimage(path: Path, old: str, new: str) -> Path:
    path.write_bytes(MHA.replace(old, new).encode() + VOXELS.T.tobytes())
    return path


FILES = {
    "data farther than any file is long": lambda at: nifti(at / "x.nii", 108, "<f", 1e30),
    "voxels of 1e30 mm": lambda at: nifti(at / "x.nii", 280, "<12f", 1e30, 0, 0, 0, 0, 1e30, 0, 0, 0, 0, 1e30, 0),
    "voxels of 1e-5 mm": lambda at: nifti(at / "x.nii", 280, "<12f", 1e-5, 0, 0, 0, 0, 1e-5, 0, 0, 0, 0, 1e-5, 0),
    "an origin 1e30 mm away": lambda at: nifti(at / "x.nii", 280, "<12f", 3, 0, 0, 1e30, 0, 3, 0, 0, 0, 0, 3, 0),
    "a skip that is no number": lambda at: nrrd(at / "x.nrrd", "encoding: raw", "encoding: raw\nbyte skip: abc"),
    "a skip of endless lines": lambda at: nrrd(
        at / "x.nrrd", "encoding: raw", "encoding: raw\nline skip: 999999999999"
    ),
    "a skip beyond all files": lambda at: nrrd(at / "x.nrrd", "encoding: raw", f"encoding: raw\nbyte skip: {10**20}"),
    "half a voxel": lambda at: metaimage(at / "x.mha", "DimSize = 6 7 8", "DimSize = 6.5 7 8"),
    "a negative spacing": lambda at: metaimage(at / "x.mha", "ElementSpacing = 3 3 3", "ElementSpacing = -3 3 3"),
}


@pytest.mark.parametrize("what", FILES)
def test_image_files_that_no_program_wrote(what: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    file = FILES[what](tmp_path)
    assert file.name in refused(capsys, tmp_path, "import", file, "--case", folder) or "voxels of" in what
    refused(capsys, tmp_path, "import", file, "--case", tmp_path / "new")
    refused(capsys, tmp_path, "segment", folder, "--labels", file)
    refused(capsys, tmp_path, "inspect", file)


def test_a_sound_metaimage_is_read(tmp_path: Path) -> None:
    assert main(["import", str(metaimage(tmp_path / "x.mha", "", "")), "--case", str(tmp_path / "new")]) == 0


def test_a_plan_is_not_written_over_a_case_or_anything_else(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    for out in (folder / "case.json", tmp_path / "notes.json", folder / "structures" / "x.json"):
        (tmp_path / "notes.json").write_text('{"mine": 1}')
        refused(capsys, tmp_path, "plan", folder, *PLAN, "--out", out)
    nv.open_case(folder)


@contextmanager
def written_by_another(folder: Path) -> Iterator[None]:
    fcntl = pytest.importorskip("fcntl")
    descriptor = os.open(folder / "case.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_a_plan_that_the_case_does_not_take_is_no_file_either(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "plan.json"
    with written_by_another(folder):
        assert "another program" in refused(capsys, tmp_path, "plan", folder, *PLAN, "--out", out)
    assert main(["plan", str(folder), *PLAN, "--out", str(out)]) == 0
    with written_by_another(folder):
        refused(capsys, tmp_path, "plan", folder, *PLAN, "--top", 1, "--out", out)
    assert main(["check", str(folder), str(out), "--quiet"]) == 0


def test_names_nested_without_end(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    write_nifti(tmp_path / "labels.nii", np.ones(GRID.shape, np.uint8), GRID)
    (tmp_path / "names.json").write_text("[" * 100_000)
    refused(
        capsys, tmp_path, "segment", folder, "--labels", tmp_path / "labels.nii", "--names", tmp_path / "names.json"
    )


def test_a_wish_about_what_is_not_measured(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "rules.toml").write_text(PROTOCOL.read_text().replace('metric = "depth_mm"', 'metric = "beauty_mm"'))
    told = refused(
        capsys, tmp_path, "plan", folder, "--protocol", tmp_path / "rules.toml", "--target", "lesion", "--quiet"
    )
    assert "beauty" in told and "depth_mm" in told


def test_a_log_that_cannot_be_written(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert "log" in refused(capsys, tmp_path, "plugins", "--log", tmp_path / "no" / "log")


@pytest.mark.parametrize("words", [("inspect", ""), ("import", "", "--case", "CASE"), ("import", "FILE", "--case", "")])
def test_an_empty_path_is_not_the_folder_one_stands_in(
    words: tuple[str, ...], folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nrrd(tmp_path / "x.nrrd", VOXELS, GRID)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    places = {"CASE": str(folder), "FILE": str(tmp_path / "x.nrrd")}
    refused(capsys, tmp_path, *(places.get(word, word) for word in words))


@pytest.mark.parametrize("words", [("check", "CASE", "LONG.json"), ("import", "FILE", "--case", "LONG")])
def test_names_longer_than_a_disk_takes(words: tuple[str, ...], folder: Path, tmp_path: Path, capsys: Captured) -> None:
    write_nrrd(tmp_path / "x.nrrd", VOXELS, GRID)
    places = {
        "CASE": str(folder),
        "FILE": str(tmp_path / "x.nrrd"),
        "LONG": "x" * 300,
        "LONG.json": "x" * 300 + ".json",
    }
    refused(capsys, tmp_path, *(places.get(word, word) for word in words))


@pytest.mark.parametrize("number", ["0", "-1", "77"])
def test_ways_are_counted_from_1(number: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["plan", str(folder), *PLAN]) == 0
    report = tmp_path / "report"
    assert "1 to " in refused(capsys, tmp_path, "report", folder, "--trajectory", number, "--out", report)
    assert "1 to " in refused(capsys, tmp_path, "fluoro", folder, "--trajectory", number, "--out", tmp_path / "x.png")


def test_a_report_that_is_refused_leaves_no_folder(folder: Path, tmp_path: Path) -> None:
    assert main(["plan", str(folder), *PLAN]) == 0
    case = nv.open_case(folder)
    with pytest.raises(InputError):
        nv.report(case, case.plan(), tmp_path / "deep" / "report", trajectory=77)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case"]


def test_interrupts_work_again_after_a_verb(folder: Path) -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    assert main(["segment", str(folder), "--absent", "spleen", "--by", "Dr A", "--quiet"]) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_told_as_json_holds_no_nan(folder: Path, capsys: Captured) -> None:
    assert main(["plan", str(folder), *PLAN, "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(word))
