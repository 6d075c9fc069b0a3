"""navigate and calibrate on the command line: exit codes, what is printed, and that bad input leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import navplan as nv
from navplan.cli import main
from navplan.files.recording import read_recording
from tests.planning.scenes import case_of, grid_of

PROTOCOL = str(Path(__file__).with_name("plain-biopsy.toml"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case folder with one plan."""
    folder = tmp_path_factory.mktemp("cases") / "case"
    nv.save_case(case_of(grid=grid_of((3.0, 3.0, 3.0))), folder)
    assert main(["plan", str(folder), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def recorded(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a rehearsal."""
    path = tmp_path_factory.mktemp("recordings") / "procedure.jsonl"
    words = ["navigate", str(planned), "--tracker", "simulated", "--seconds", "4", "--record", str(path), "--quiet"]
    assert main(words) in (0, 3, 4)  # the needle rests on a landmark, away from its way
    return path


def test_a_rehearsal_is_followed_recorded_and_replayed(
    planned: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = read_recording(recorded)
    assert recording.ended and len(list(recording.frames())) > 20
    code = main(["navigate", str(planned), "--tracker", f"replay:{recorded}", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["same"] and told["finished"] and told["verdict"] in ("PASS", "WARN", "NOT_EVALUATED", "FAIL")
    assert code == {"NOT_EVALUATED": 4, "FAIL": 3}.get(told["verdict"], 0)
    assert sum(told["frames"].values()) == len(list(recording.frames()))
    main(["navigate", str(planned), "--tracker", f"replay:{recorded}", "--explain", "0.5"])
    out = capsys.readouterr().out
    assert "no checkpoint was touched" in out and "Needle: ok" in out


def test_lines_come_as_it_goes_and_json_comes_alone(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["navigate", str(planned), "--tracker", "simulated", "--seconds", "1"]) == 4
    out = capsys.readouterr().out.splitlines()
    assert "raised NOT_EVALUATED: no checkpoint was touched since the registration" in out[0]
    assert out[-3:][0] == "NOT_EVALUATED" and "frames:" in out[-1]
    assert main(["navigate", str(planned), "--tracker", "simulated", "--seconds", "1", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "NOT_EVALUATED" and told["reasons"] and told["recording"] is None and told["alarms"]


def test_nothing_is_known_of_a_tracker_that_does_not_answer(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["navigate", str(planned), "--tracker", "openigtlink://127.0.0.1:1", "--seconds", "0.5"]
    assert main([*words, "--json"]) == 4
    reasons = {one["id"] for one in json.loads(capsys.readouterr().out)["reasons"]}
    assert {"tool:calibration-error", "registration", "tracker", "frames"} <= reasons


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process")
def test_ctrl_c_is_how_it_ends(planned: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    words = [sys.executable, "-m", "navplan", "navigate", str(planned), "--tracker", "simulated", "--record", str(path)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as run:
        assert run.stdout is not None and run.stdin is not None
        run.stdin.write("touch here\ndance\ntouch rib 1,2,3\n")
        run.stdin.flush()
        lines = [run.stdout.readline() for _ in range(2)]
        time.sleep(1.5)
        run.send_signal(signal.SIGINT)
        out = "".join(lines) + run.stdout.read()
    assert run.returncode in (0, 4), out
    assert read_recording(path).ended
    assert out.count("not done: ") >= 2 and "landmark 'here'" in out and "touch NAME X,Y,Z" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tracker", "none"], "no tracker 'none'"),
        (["--tracker", ":x"], "NAME:ADDRESS"),
        (["--tracker", "openigtlink:nowhere"], "the address"),
        (["--tracker", "openigtlink"], "the address"),
        (["--tracker", "simulated:none.toml"], "none.toml"),
        (["--tracker", "replay"], ""),
        (["--tracker", "replay:none.jsonl"], "none.jsonl"),
        (["--tracker", "simulated", "--seconds", "0"], "--seconds"),
        (["--tracker", "simulated", "--seconds", "nan"], "--seconds"),
        (["--tracker", "simulated", "--trajectory", "99"], "--trajectory 99"),
        (["--tracker", "simulated", "--trajectory", "0"], "--trajectory 0"),
        (["--tracker", "simulated", "--plan", "none"], "none"),
        (["--tracker", "simulated", "--registration", "none.json"], "none.json"),
        (["--tracker", "simulated", "--tool", "none.toml"], "none.toml"),
        (["--tracker", "simulated", "--tracker-error", "1"], "--tracker-error"),
        (["--tracker", "simulated", "--tracker-error", "1,-2"], "--tracker-error"),
        (["--tracker", "simulated", "--explain", "1"], "--explain"),
        (["--tracker", "simulated", "--beside", "none"], "none"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_left(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    kept = [] if words[1].startswith("replay") else ["--record", str(tmp_path / "a.jsonl")]
    more = [] if "--seconds" in words else ["--seconds", "0.2"]
    assert main(["navigate", str(planned), *words, *more, *kept]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_recording_is_never_written_over(planned: Path, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = recorded.read_bytes()
    words = ["navigate", str(planned), "--tracker", "simulated", "--seconds", "1"]
    assert main([*words, "--record", str(recorded)]) == 2
    assert "is there already" in capsys.readouterr().err and recorded.read_bytes() == before
    assert main([*words, "--record", str(recorded.parent / "none" / "a.jsonl")]) == 2


def test_a_changed_recording_is_refused(
    planned: Path, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(recorded.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.jsonl").write_bytes(data)
    assert main(["navigate", str(planned), "--tracker", f"replay:{tmp_path / 'a.jsonl'}"]) == 2
    assert "was changed" in capsys.readouterr().err


def swung(path: Path) -> Path:
    rng = np.random.default_rng(2)
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.uniform(-0.5, 0.5, (60, 3))).as_matrix()
    poses[:, :3, 3] = (100.0, -50.0, -1200.0) - poses[:, :3, :3] @ (0.0, 0.0, 150.0) + rng.normal(0, 0.05, (60, 3))
    path.write_text(json.dumps(poses.tolist()))
    return path


def test_a_tip_is_calibrated_and_the_tool_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = swung(tmp_path / "poses.json"), tmp_path / "tool.toml"
    assert main(["calibrate", "pivot", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tip_mm"][2] == pytest.approx(150.0, abs=0.2) and told["poses"] == 60 and told["tool"] is None
    words = ["calibrate", "pivot", str(file), "--out", str(out), "--length", "150"]
    assert main(words) == 0
    heard = capsys.readouterr()
    assert "tip (" in heard.out and "axis was not measured" in heard.err and out.exists()
    assert main([*words, "--axis=0,0,1", "--axis-error", "0.2"]) == 0
    assert "axis_error_deg = 0.2" in out.read_text()
    capsys.readouterr()
    out.unlink()
    for wrong in (
        ["--out", str(out)], ["--axis=0,0,1"], ["--out", str(out), "--length", "1", "--axis=0,0"],
        ["--out", str(out), "--length", "1", "--axis=0,0,1"], ["--out", str(out), "--device", "none"],
    ):  # fmt: skip
        assert main(["calibrate", "pivot", str(file), *wrong]) == 2, wrong
    assert main(["calibrate", "pivot", str(tmp_path / "none")]) == 2
    assert not out.exists()


def test_the_real_pointer(real_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = real_images / "tracking_pivot_sksurgery" / "PivotCalibration"
    assert main(["calibrate", "pivot", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["poses"] == 57 and told["outliers"] == 6
    assert told["tip_mm"] == pytest.approx([-14.5, 394.6, -7.4], abs=2.0)


def test_landmarks_say_how_good_they_are(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = np.array([[0, 0, 0], [100, 0, 0], [0, 90, 0], [0, 0, 80], [50, 60, 70.0], [-40, 30, 20]])
    rng = np.random.default_rng(1)
    for name, table in (("f", points), ("m", points + rng.normal(6, 0.2, points.shape))):
        rows = [",".join(map(repr, map(float, row))) for row in table]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,z", *rows]))
    files, out = [str(tmp_path / "f.csv"), str(tmp_path / "m.csv")], tmp_path / "r.json"
    assert main(["calibrate", "landmarks", *files, "--target=-20,10,30", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "mm at target" in text and "off where the others put it" in text and out.exists()
    assert main(["calibrate", "landmarks", *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["serves"] and len(told["left_out_mm"]) == 6 and told["source"] == "Reference"
    words = ["navigate", str(planned), "--tracker", "openigtlink:127.0.0.1:1", "--seconds", "0.3", "--json"]
    assert main([*words, "--registration", str(out)]) == 4
    assert "no checkpoint" in str(json.loads(capsys.readouterr().out)["reasons"])
    navigate = ["navigate", str(planned), "--tracker", "openigtlink:127.0.0.1:1", "--seconds", "0.3"]
    assert main([*navigate, "--registration", str(out), "--json"]) == 4
    assert "names no image" in str(json.loads(capsys.readouterr().out)["reasons"])
    inside = [str(tmp_path / "i.csv"), str(tmp_path / "m.csv")]
    text = (tmp_path / "f.csv").read_text()
    for old, new in (("100.0", "70.0"), ("90.0", "60.0"), ("80.0", "40.0"), ("70.0", "40.0")):
        text = text.replace(old, new)
    (tmp_path / "i.csv").write_text(text)
    (tmp_path / "m.csv").write_text((tmp_path / "i.csv").read_text())
    bound = ["calibrate", "landmarks", *inside, "--target=-20,10,30", "--out", str(out), "--case", str(planned)]
    assert main([*bound, "--image", "none"]) == 2
    assert main(["calibrate", "landmarks", *inside, "--image", "ct"]) == 2
    assert "--case" in capsys.readouterr().err
    assert main([*bound, "--image", "ct"]) == 0 and "by landmarks of image ct" in capsys.readouterr().out
    assert main([*navigate, "--registration", str(out), "--json"]) == 4
    assert "names no image" not in str(json.loads(capsys.readouterr().out)["reasons"])
    told = json.loads(out.read_text())
    out.write_text(json.dumps({**told, "image": {**told["image"], "digest": "0" * 64}}))
    assert main([*navigate, "--registration", str(out)]) == 2
    error = capsys.readouterr().err
    assert "landmarks of image ct (00000000" in error and "the plan's is ct" in error and error.count("\n") == 1
    (tmp_path / "far.csv").write_text((tmp_path / "m.csv").read_text().replace("\n", "\n9", 1))
    assert main(["calibrate", "landmarks", files[0], str(tmp_path / "far.csv")]) == 3
    assert "does not serve" in capsys.readouterr().out
    assert main(["calibrate", "landmarks", files[0], str(tmp_path / "none.csv"), "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()
