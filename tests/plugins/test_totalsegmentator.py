"""TotalSegmentator as a process of its own: called as published, followed, stopped, and each failure told."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from navplan.errors import Cancelled, FileFormatError, InputError, MismatchError, MissingComponentError
from navplan.extend.contract_checks import check_segmenter
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from navplan_totalsegmentator.process import run
from navplan_totalsegmentator.progress import ProgressReader
from navplan_totalsegmentator.segmenter import (
    TotalSegmentatorCT,
    TotalSegmentatorFastCT,
    TotalSegmentatorFastMR,
    TotalSegmentatorMR,
)

ROOT = Path(__file__).resolve().parents[2]
ALL = (TotalSegmentatorCT, TotalSegmentatorFastCT, TotalSegmentatorMR, TotalSegmentatorFastMR)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the program that stands in is a script with a shebang")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TotalSegmentator on the PATH that is not there otherwise; a temporary folder that nothing else uses."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "TotalSegmentator"
    script.write_text(f"#!{sys.executable}\n" + (Path(__file__).parent / "fake_totalsegmentator.py").read_text())
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_NOTES", str(tmp_path / "notes.json"))
    monkeypatch.delenv("NAVPLAN_TOTALSEGMENTATOR", raising=False)
    monkeypatch.delenv("NAVPLAN_TOTALSEGMENTATOR_DEVICE", raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return script


def notes() -> dict:
    return json.loads(Path(os.environ["FAKE_NOTES"]).read_text())


def wait_for_note(key: str) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if Path(os.environ["FAKE_NOTES"]).exists() and key in notes():
            return int(notes()[key])
        time.sleep(0.02)
    raise AssertionError(f"no {key} within 20 s")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    except (FileNotFoundError, ProcessLookupError):
        pass
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def image(modality: str = "CT", thickness_mm: float | None = None) -> Volume:
    """Air, soft tissue and something dense, on axes that are turned, flipped and unequally spaced."""
    voxels = np.full((22, 18, 12), -1000, dtype=np.int16)
    voxels[3:15, 4:16, 2:9] = 40
    voxels[5:8, 6:12, 3:7] = 700
    turn = np.deg2rad(12.0)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1.0]])
    affine = np.eye(4)
    affine[:3, :3] = axes * (0.7, 1.9, 2.5)
    affine[:3, 3] = (-61.234, 17.77, 812.125)
    quantity = "HU" if modality == "CT" else "signal"
    acquisition = Acquisition(slice_thickness_mm=thickness_mm)
    return Volume(voxels, Grid(affine, voxels.shape, "1.2.3"), modality, quantity, acquisition)


def test_its_structures_lie_where_the_voxels_are(program: Path) -> None:
    volume = image()
    found = {one.name: one for one in TotalSegmentatorCT().segment(volume, "img")}
    assert sorted(found) == ["aorta", "hip_left", "liver", "spleen", "vertebrae_S1"]
    assert {name for name, one in found.items() if one.presence is Presence.PRESENT} == {"liver", "vertebrae_S1"}
    assert {one.presence for name, one in found.items() if name not in ("liver", "vertebrae_S1")} == {Presence.UNKNOWN}
    dense = found["vertebrae_S1"]
    assert_array_equal(dense.occupancy, 255)
    assert dense.grid.shape == (3, 6, 4) and dense.grid.frame_uid == "1.2.3"
    assert_allclose(dense.grid.affine[:3, 3], volume.grid.points_mm((5, 6, 3)), atol=1e-9)
    for one in found.values():
        assert one.origin == "TotalSegmentator 2.18.0 total" and one.image_id == "img"
        assert one.evaluated_in.same_as(volume.grid)


def test_the_image_goes_out_exactly(program: Path) -> None:
    volume = image()
    TotalSegmentatorCT().segment(volume, "img")
    seen = notes()
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    assert_allclose(np.reshape(seen["affine"], (3, 4)), ras[:3], atol=1e-4)
    assert seen["shape"] == [22, 18, 12] and seen["dtype"] == "int16"
    assert seen["sum"] == int(volume.voxels.astype(np.int64).sum())


def test_it_is_called_as_published(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = {}
    for made in ALL:
        made().segment(image(made.modality), "img")
        given = notes()["arguments"]
        assert [given[0], given[2]] == ["-i", "-o"] and given[1].endswith(".nii") and given[3].endswith(".nii.gz")
        called[made.name] = given[4:]
    assert called == {
        "totalsegmentator": ["--ml", "--task", "total"],
        "totalsegmentator-fast": ["--ml", "--task", "total", "--fast"],
        "totalsegmentator-mr": ["--ml", "--task", "total_mr"],
        "totalsegmentator-mr-fast": ["--ml", "--task", "total_mr", "--fast"],
    }
    monkeypatch.setenv("NAVPLAN_TOTALSEGMENTATOR_DEVICE", "cpu")
    TotalSegmentatorCT().segment(image(), "img")
    assert notes()["arguments"][-2:] == ["--device", "cpu"]
    TotalSegmentatorCT(device="gpu:1").segment(image(), "img")
    assert notes()["arguments"][-2:] == ["--device", "gpu:1"]


@pytest.mark.parametrize(
    ("made", "thickness_mm", "expected"),
    [
        (TotalSegmentatorCT, None, (1.5, 1.9, 2.5)),
        (TotalSegmentatorCT, 4.0, (1.5, 1.9, 2.5)),
        (TotalSegmentatorFastCT, None, (3.0, 3.0, 3.0)),
        (TotalSegmentatorMR, None, (1.5, 1.9, 2.5)),
        (TotalSegmentatorFastMR, None, (3.0, 3.0, 3.0)),
    ],
)
def test_the_resolution_is_the_coarsest(program: Path, made, thickness_mm, expected) -> None:
    from navplan.imaging.segment import slice_axis

    volume = image(made.modality, thickness_mm)
    wanted = list(expected)
    if thickness_mm is not None:
        wanted[slice_axis(volume.grid)] = thickness_mm
    found = made().segment(volume, "img")
    assert {one.working_resolution_mm for one in found if one.presence is Presence.PRESENT} == {tuple(wanted)}


def test_contract_and_entry_points(program: Path) -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["navplan.segmenters"]
    for made in ALL:
        module, _, name = points[made.name].partition(":")
        assert getattr(import_module(module), name) is made
        assert check_segmenter(made)


def test_progress_comes_while_it_runs(program: Path) -> None:
    told: list[tuple[str, float]] = []
    TotalSegmentatorCT(progress=lambda words, share: told.append((words, share))).segment(image(), "img")
    words = list(dict.fromkeys(said for said, _ in told))
    assert words == ["starting", "resampling", "predicting, part 1 of 2", "predicting, part 2 of 2", "saving", "done"]
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert len({share for said, share in told if said.startswith("predicting, part 1")}) == 5  # each step of the bar


def test_a_second_bar_in_one_part_moves_nothing_back() -> None:
    reader = ProgressReader()
    lines = [
        "Downloading model for Task 291 ...", "Downloading:  50%|##  | 1M/2M", "Predicting...", "100%|####| 4/4",
        "  0%|    | 0/4", " 50%|##  | 2/4", "  Predicted in 3.0s", "Saving segmentations...",
    ]  # fmt: skip
    told = [found for line in lines if (found := reader.read(line)) is not None]
    assert [round(share, 3) for _, share in told] == [0.0, 0.0, 0.05, 0.9, 0.9, 0.9, 0.9]
    assert told[1][0] == "downloading its weights"


def test_nothing_is_left_behind(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "workers")  # it ends, and a worker of it does not
    TotalSegmentatorCT().segment(image(), "img")
    assert notes()["mode"] == "0o700"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert gone(notes()["worker"])


def test_it_can_be_cancelled(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "hang")
    made, ended = TotalSegmentatorCT(), []

    def work() -> None:
        try:
            made.segment(image(), "img")
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    worker = wait_for_note("worker")
    assert alive(worker) and alive(notes()["pid"])
    began = time.monotonic()
    made.cancel()
    thread.join(20)
    assert not thread.is_alive() and time.monotonic() - began < 10
    assert len(ended) == 1 and isinstance(ended[0], Cancelled)
    assert gone(worker) and gone(notes()["pid"])
    assert list((tmp_path / "tmp").iterdir()) == []
    monkeypatch.setenv("FAKE_MODE", "")
    assert made.segment(image(), "img")  # the next run is not cancelled


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_ends_it_too(program: Path, monkeypatch: pytest.MonkeyPatch, error) -> None:
    monkeypatch.setenv("FAKE_MODE", "hang")

    def progress(words: str, share: float) -> None:
        if words.startswith("predicting"):
            wait_for_note("worker")
            raise error

    with pytest.raises(error):
        TotalSegmentatorCT(progress=progress).segment(image(), "img")
    assert gone(notes()["worker"]) and gone(notes()["pid"])


def test_cancelling_what_does_not_run_does_nothing(program: Path) -> None:
    made = TotalSegmentatorCT()
    made.cancel()
    assert made.segment(image(), "img")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        run([str(program), "--version"], lambda text: None, stopped)


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("fail", InputError, r"exit code 1.*CUDA out of memory.*has to work there first"),
        ("nothing", InputError, r"without a label map"),
        ("shifted", MismatchError, r"wrong place"),
        ("unnamed", FileFormatError, r"without a name: 99"),
        ("no table", FileFormatError, r"without a name: 5, 26"),
        ("cut", FileFormatError, r"ends early or is damaged"),
    ],
)
def test_each_failure_is_told(program: Path, tmp_path: Path, monkeypatch, mode: str, error, words: str) -> None:
    monkeypatch.setenv("FAKE_MODE", mode)
    with pytest.raises(error, match=words) as told:
        TotalSegmentatorCT().segment(image(), "img")
    assert "%|" not in str(told.value)
    assert told.value.exit_code == 2
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_program(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAVPLAN_TOTALSEGMENTATOR", str(tmp_path / "nowhere"))
    with pytest.raises(MissingComponentError, match="nowhere"):
        TotalSegmentatorCT().segment(image(), "img")
    monkeypatch.setenv("NAVPLAN_TOTALSEGMENTATOR", str(program))
    monkeypatch.setenv("PATH", "/nowhere")
    assert TotalSegmentatorCT().segment(image(), "img")
    monkeypatch.delenv("NAVPLAN_TOTALSEGMENTATOR")
    with pytest.raises(MissingComponentError, match=r"PATH.*pip install TotalSegmentator"):
        TotalSegmentatorCT().segment(image(), "img")
    program.write_text("#!/nowhere/python\n")
    with pytest.raises(MissingComponentError, match="cannot be run"):
        TotalSegmentatorCT(str(program)).segment(image(), "img")


@pytest.mark.parametrize(
    ("version", "words"), [("1.5.7", "version 2 or newer"), ("of mine", "TotalSegmentator's version")]
)
def test_its_version_counts(program: Path, monkeypatch: pytest.MonkeyPatch, version: str, words: str) -> None:
    monkeypatch.setenv("FAKE_VERSION", version)
    with pytest.raises(InputError, match=words):
        TotalSegmentatorCT().segment(image(), "img")


def test_another_modality_is_refused(program: Path) -> None:
    for made, other in ((TotalSegmentatorCT, "MR"), (TotalSegmentatorMR, "CT")):
        with pytest.raises(InputError, match=f"modality {other}"):
            made().segment(image(other), "img")
    with pytest.raises(InputError, match="Hounsfield"):
        volume = image()
        TotalSegmentatorCT().segment(Volume(volume.voxels, volume.grid, "CT", "signal"), "img")
