"""`navplan register-shots`: what it finds, writes and says, its exit codes, and what it refuses before it computes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import navplan as nv
from navplan.cli import main
from navplan.fluoroscopy import register_shots as registering
from navplan.fluoroscopy.rigid_pose import apart_mm, apply
from navplan.verbs.given_shots import given_shots
from navplan.verbs.register_shots import ShotStart, start_pose
from tests.cli.test_attacks import Captured, refused
from tests.verbs import shots_scene as scene


@pytest.fixture(scope="module", autouse=True)
def _small_search():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registering, "POPULATION", 12)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots")
    case = scene.planned_case()
    nv.save_case(case, folder / "case")
    scene.save_pictures(case, folder)
    return folder


def tips(case_folder: Path, up: float = 0.0) -> list[str]:
    (row, column), (other_row, other) = scene.tip_marks(nv.open_case(case_folder))
    return ["--tip", f"{row:.2f},{column:.2f}", "--tip", f"{other_row - up:.2f},{other:.2f}"]


@pytest.fixture(scope="module")
def both(world: Path) -> Path:
    """Both views, the planned tip marked in them."""
    words = ["register-shots", world / "case", "--shot", world / scene.FRONT, "--shot", world / scene.SIDE, "--quiet"]
    assert main([*map(str, words), *tips(world / "case"), "--out", str(world / "both")]) == 0
    return world / "both"


def test_two_views_give_the_pose_the_errors_and_the_overlays(world: Path, both: Path) -> None:
    case = nv.open_case(world / "case")
    told = json.loads((both / "result.json").read_text())
    pose, way = np.array(told["carm_from_ct"]), scene.way_of(case)
    assert told["good"] and told["verdict"] == "GOOD" and told["reasons"] == [] and case.revision == 1
    assert apart_mm(pose, scene.true_pose(case), np.array([way.target_mm, way.entry_mm])) < 1.0
    assert np.array(told["covariance"]).shape == (6, 6) and len(told["views"]) == 2
    target, entry = told["errors"][0], told["errors"][-1]
    assert (target["of"], entry["of"]) == ("target", "entry") and target["seen"] == [1, 2]
    off = np.linalg.norm(apply(pose, target["point_mm"]) - apply(scene.true_pose(case), target["point_mm"]))
    assert off < target["error_95_mm"] < 5.0 and max(target["across_95_mm"]) < target["error_95_mm"]
    assert f"target {target['error_95_mm']:.1f} mm" in told["words"][1]
    assert not any("whose it is" in words for words in told["warnings"])
    assert any("one isocentre" in words for words in told["warnings"])
    for name in ("overlay-1.png", "overlay-2.png"):
        seen = np.asarray(Image.open(both / name).convert("RGB")).astype(int)
        left = seen[28:788, :760]
        for rgb in ((230, 107, 211), (255, 228, 92), (244, 248, 255)):  # way and target, the CT's edges, the error
            assert (np.abs(left - rgb).max(axis=2) < 40).sum() > 60, (name, rgb)


def test_the_tip_is_told_against_the_way_and_is_never_pass(world: Path, both: Path) -> None:
    short = scene.way_of(nv.open_case(world / "case")).tip_short_of_target_mm
    tip = json.loads((both / "result.json").read_text())["tip"]
    assert tip["verdict"] == "WARN" and "the tip alone was judged" in tip["words"][-1]
    assert tip["beside_mm"] < 1.0 and 0.5 < tip["error_95_mm"] < 8.0 and tip["beside_95_mm"] < tip["error_95_mm"]
    assert tip["before_mm"] == pytest.approx(short, abs=1.0)


def test_one_view_is_good_in_plane_alone_and_exits_4(
    world: Path, both: Path, tmp_path: Path, capsys: Captured
) -> None:
    shutil.copytree(both, tmp_path / "one")  # no picture of an earlier result is left beside a new one
    words = ["register-shots", world / "case", "--shot", world / scene.FRONT, "--out", tmp_path / "one", "--json"]
    assert main([*map(str, words), "--quiet"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "GOOD IN PLANE ONLY" and told["good_in_plane"] and not told["good"]
    assert told["errors"][0]["error_95_mm"] is None and told["expected_rms_mm"] is None
    assert "in depth: not told" in told["words"][1] and "depth along the beam is weak" in told["reasons"][0]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["overlay-1.png", "result.json"]
    stamped = np.asarray(Image.open(tmp_path / "one" / "overlay-1.png").convert("RGB")).astype(int)[80:140, :760]
    assert (np.abs(stamped - (230, 159, 0)).max(axis=2) < 30).sum() > 200  # the word stands in the picture itself


def test_what_is_refused_before_anything_is_computed(world: Path, tmp_path: Path, capsys: Captured) -> None:
    case, front, side = world / "case", world / scene.FRONT, world / scene.SIDE

    def told(*words: object) -> str:
        return refused(capsys, tmp_path, "register-shots", case, *words, "--out", tmp_path / "out", "--quiet")

    assert "another patient" in told("--shot", world / scene.OTHER)
    bare = told("--shot", f"{world / scene.BARE}:2")
    assert "does not say its SID, SOD, pixel spacing" in bare and "told without them: the direction" in bare
    assert "picture 9" in told("--shot", f"{front}:9")
    assert "one picture twice" in told("--shot", front, "--shot", front)
    assert "3 pictures" in told("--shot", front, "--shot", side, "--shot", front)
    assert "1 marks of the tip in 2 pictures" in told("--shot", front, "--shot", side, "--tip", "5,5")
    assert "within 128 rows" in told("--shot", front, "--shot", side, "--tip", "5,5", "--tip", "5,400")
    assert "ROW,COLUMN" in told("--shot", front, "--tip", "5")
    assert "no more" not in told("--shot", tmp_path / "none.dcm")
    assert "beside the middle" in told("--shot", front, "--shift=0,0,900")
    assert "structure" in told("--shot", front, "--outline", "nothing")
    (tmp_path / "marks.csv").write_text("x,y,z,shot,row,column\n1,2,3,1,4,nan\n")
    assert "not finite" in told("--shot", front, "--landmarks", tmp_path / "marks.csv")
    (tmp_path / "out").write_text("")
    assert "which is a file" in told("--shot", front)


def test_a_real_run_without_geometry_is_refused_with_what_can_be_told(
    world: Path, real_images: Path, tmp_path: Path, capsys: Captured
) -> None:
    run = real_images / "xa_run" / "HasFragmentSequence.dcm"
    words = ("register-shots", world / "case", "--shot", f"{run}:3", "--out", tmp_path / "out", "--quiet")
    told = refused(capsys, tmp_path, *words)
    assert "does not say its SID, SOD, pixel spacing" in told and "the direction of the view, RAO 32 / CRA 2" in told
    beside = ["fluoro", world / "case", "--like", run, "--picture", 3, "--plan", "none", "--out", tmp_path / "b.png"]
    assert main([*map(str, beside), "--quiet"]) == 0 and (tmp_path / "b.png").stat().st_size > 10_000


def test_landmarks_are_a_start(world: Path, tmp_path: Path) -> None:
    case = nv.open_case(world / "case")
    shots, pose = given_shots(case, [(world / scene.FRONT, 0), (world / scene.SIDE, 0)]), scene.true_pose(case)
    rows = ["name,x,y,z,shot,row,column"]
    for point in ((-60.0, 0.0, 30.0), (-20.0, 30.0, -30.0), (0.0, -30.0, 10.0), (-50.0, -20.0, -10.0)):
        for number, given in enumerate(shots, start=1):
            column, row = given.shot.beam.project(apply(pose, point), scene.DETECTOR)
            rows.append(f"a,{point[0]},{point[1]},{point[2]},{number},{row},{column}")
    (tmp_path / "marks.csv").write_text("\n".join(rows))
    start = ShotStart(landmarks=tmp_path / "marks.csv")
    found, words = start_pose(case.volumes["ct"], shots, None, start)
    assert apart_mm(found, pose, np.array([[0.0, 0, 0], [-50, 30, 20]])) < 0.01
    assert words == "8 landmarks of marks.csv, 0.0 mm root mean square"


def test_nothing_is_half_written(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["register-shots", str(world / "case"), "--shot", str(world / scene.FRONT), "--quiet"]
    monkeypatch.setattr("navplan.fluoroscopy.register_shots.refine", _interrupted)
    assert main([*words, "--out", str(tmp_path / "out")]) == 130
    assert list(tmp_path.iterdir()) == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_folder_that_cannot_be_written_to(world: Path, both: Path, tmp_path: Path, monkeypatch) -> None:
    """What was there before stays whole."""
    out = tmp_path / "out"
    shutil.copytree(both, out)
    os.remove(out / "overlay-1.png")
    (out / "overlay-1.png").mkdir()
    before = (out / "result.json").read_bytes()
    monkeypatch.setattr(registering, "MOST_SEARCHES", 1)
    words = ["register-shots", world / "case", "--shot", world / scene.FRONT, "--quiet", "--out", out]
    assert main([str(word) for word in words]) == 2
    assert (out / "result.json").read_bytes() == before and len(list(out.iterdir())) == 3
