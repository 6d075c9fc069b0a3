"""scenarios, train and score on the command line: exit codes, what is printed, what bad input leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from navplan.cli import main
from navplan.files.attempt_file import read_attempt
from tests.verbs.rehearsal_scene import scenario_file


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scenario's file."""
    return str(scenario_file(tmp_path_factory.mktemp("scenario")))


@pytest.fixture(scope="module")
def attempts(scenario: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of the scripted expert and two of the novice."""
    out = tmp_path_factory.mktemp("attempts")
    for learner, runs in (("expert", "1"), ("novice", "2")):
        words = ["train", scenario, "--learner", learner, "--runs", runs, "--out", str(out), "--quiet"]
        assert main(words) == 0
    return sorted(str(path) for path in out.iterdir())


def test_what_can_be_rehearsed_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    out = capsys.readouterr().out
    assert "lung-biopsy-ct" in out and "from thorax" in out
    assert main(["scenarios", "--json"]) == 0
    told = {one["id"]: one for one in json.loads(capsys.readouterr().out)["scenarios"]}
    assert told["vertebroplasty-biplane"]["sight"] == ["biplane"]
    assert "usual" in told["lung-biopsy-ct"]["difficulties"]


@pytest.mark.parametrize("words", [["lung-biopsy-ct"], ["--case", "new"], ["moon", "--case", "new"]])
def test_a_scenario_as_a_case_needs_both(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["scenarios", *words]) == 2
    assert "Expected" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_train_goes_on_where_it_was_stopped(
    scenario: str, attempts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [Path(path).name for path in attempts] == [
        f"small-biopsy-usual-{who}.attempt" for who in ("expert-0000", "novice-0000", "novice-0001")
    ]
    out = str(Path(attempts[0]).parent)
    assert main(["train", scenario, "--learner", "novice", "--runs", "2", "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["attempts"]
    assert main(["train", scenario, "--learner", "novice", "--runs", "2", "--out", out]) == 0
    assert f"navplan score FILES --scenario {scenario}" in capsys.readouterr().out
    assert [(one["seed"], one["new"]) for one in told] == [(0, False), (1, False)]


def test_one_attempt_is_told_with_definitions_and_sources(
    scenario: str, attempts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", attempts[1], "--scenario", scenario]) == 0
    out = capsys.readouterr().out
    assert "scripted novice, seed 0" in out.splitlines()[0] and out.splitlines()[1] == "played again to the same bits"
    assert "PMC3479890" in out and "no_go_touched" in out and "off the plan: entry" in out
    assert "pass" not in out.lower().replace("pass: clear", "")  # no mark, but planning's own verdict
    assert "view_error_deg  not known" in out


def test_several_are_a_table_with_curve_csv_and_another_beside(
    scenario: str, attempts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(scenario).with_name("of-a-teacher.toml")  # as `navplan scenario` writes a limit's source
    own.write_text(Path(scenario).read_text().replace("test's own teacher", "set by Dr X"))
    assert main(["score", attempts[1], "--scenario", str(own), "--curve"]) == 0
    assert "target_off_mm above 2, as set by: Dr X\n" in capsys.readouterr().out
    table = tmp_path / "t.csv"
    words = ["score", *attempts[1:], "--scenario", scenario, "--curve", "--csv", str(table), "--beside", attempts[0]]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "as set by: test's own teacher" in out and "s 0.1452, h 2.7095" in out and "tip off mm" in out
    assert len(table.read_text().splitlines()) == 3
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["attempts"]) == 2 and len(told["curves"]) == 1 and len(told["beside"]) == 2
    assert all(one["same_bits"] and one["structures"] and one["metrics"] for one in told["attempts"])
    assert told["curves"][0]["limits"][0]["source"] == "test's own teacher"
    assert main([*words[:-4], "--limit", "session_s=1", "--by", "Dr X"]) == 0
    out = capsys.readouterr().out
    assert "session_s above 1, as set by: Dr X" in out and "0.85\n2  " in out and "1.71" in out


def test_what_is_wrong_is_2_and_writes_nothing(
    scenario: str, attempts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = tmp_path / "torn.attempt"
    torn.write_bytes(Path(attempts[0]).read_bytes()[:-20])
    copy = tmp_path / "copy.attempt"
    copy.write_bytes(Path(attempts[0]).read_bytes())
    out, of = str(tmp_path / "out"), ["--scenario", scenario]
    for words, said in (
        (["train", scenario, "--runs", "3", "--out", out], "--runs 3 without --learner"),
        (["train", scenario, "--learner", "novice", "--name", "Otter", "--out", out], "--name with --learner"),
        (["train", scenario, "--name", "=cmd", "--out", out], "pseudonym"),
        (["train", scenario, "--difficulty", "absurd", "--out", out], "absurd"),
        (["train", "nothing", "--learner", "novice", "--out", out], "nothing"),
        (["score", str(torn), *of], "torn off"),
        (["score", str(tmp_path / "none"), *of], "No such file"),
        (["score", attempts[0]], "--scenario FILE.toml"),
        (["score", *attempts, *of, "--picture", out + ".png"], "--picture of 3 attempts"),
        (["score", attempts[0], *of, "--picture", out + ".jpg"], "ends in .png"),
        (["score", attempts[0], *of, "--curve", "--p0", "0.3"], "0 < p0 < p1"),
        (["score", attempts[0], *of, "--curve", "--limit", "session_s=9"], "--limit without --curve or --by"),
        (["score", attempts[0], *of, "--curve", "--limit", "shots=9", "--by", "X"], "does not count"),
        (["score", attempts[0], str(copy), *of, "--curve", "--csv", out], "the same attempt"),
        (["score", attempts[0], *of, "--csv", str(tmp_path / "no" / "t.csv")], "cannot write"),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1, (words, error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.attempt", "torn.attempt"]


def test_without_a_learner_the_page_opens_and_keeps_what_is_finished(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from navplan.app.rehearsal_server import RehearsalApp
    from navplan.extend import registry
    from navplan.training.actions import Finish
    from navplan.verbs.training import rehearsal_of

    served: list[RehearsalApp] = []
    monkeypatch.setattr(RehearsalApp, "run", lambda app: served.append(app))
    assert main(["train", scenario, "--port", "0", "--name", "Otter", "--seed", "5", "--out", str(tmp_path / "a")]) == 0
    assert "'Otter' is stored in the file of each attempt: let it be a pseudonym" in capsys.readouterr().err
    pages = served[0].pages
    assert pages._kept is not None and "small-biopsy" in {one.id for one in pages._offered()}
    ready = rehearsal_of(registry.scenario(scenario))
    attempt = ready.attempt(5)
    attempt.act(Finish())
    path = Path(pages._kept(ready, attempt))
    assert path.parent == tmp_path / "a" and read_attempt(path).head.learner == "Otter"
