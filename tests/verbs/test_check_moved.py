"""check with another entry or aim: judged by the same lines, what rules it out comes first, the plan stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, SafetyReport, Verdict
from navplan.planning.entry_candidates import TABLE
from tests.planning.scenes import case_of, grid_of, protocol_of

PROTOCOL = str(Path(__file__).parent.parent / "cli" / "plain-biopsy.toml")
OVER_THE_RIB = "--entry=-90,-1.4,14"


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(grid_of((3.0, 3.0, 3.0)))


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return nv.plan(case, protocol_of(), "lesion", device="liver-coaxial-18g-150", top=2)


def clearances(report: SafetyReport) -> dict:
    return {f.structure: (f.distance, f.verdict) for f in report.clearances}


def test_moved_to_where_it_is_nothing_changes(case: Case, plan: Plan) -> None:
    way = plan.best.trajectory
    moved = nv.check(case, plan, entry=way.entry_mm, aim=way.target_mm)
    plain = nv.check(case, plan)
    assert moved.verdict is plain.verdict is Verdict.PASS
    for name, (distance, verdict) in clearances(plain).items():
        other, same = clearances(moved)[name]
        assert same is verdict
        np.testing.assert_allclose([other.low_mm, other.high_mm], [distance.low_mm, distance.high_mm], atol=0.05)


def test_a_moved_way_is_judged_as_if_it_had_been_planned_so(case: Case, plan: Plan) -> None:
    moved = nv.check(case, plan, entry=(-60.0, -70.0, 10.0), aim=(-42.0, 2.0, 0.0), trajectory=1)
    words = next(f.words for f in moved.findings if f.words.startswith("entry moved by hand to"))
    entry = tuple(float(x) for x in words.split("(")[1].split(")")[0].split(","))
    way = replace(plan.trajectories[1].trajectory, entry_mm=entry, target_mm=(-42.0, 2.0, 0.0))
    drawn = nv.check(case, replace(plan, trajectories=(replace(plan.best, trajectory=way),)))
    for name, (distance, _) in clearances(drawn).items():
        assert clearances(moved)[name][0].low_mm == pytest.approx(distance.low_mm, abs=0.1)  # words hold 0.1 mm


def test_what_the_search_would_not_offer_is_no_pass(case: Case, plan: Plan) -> None:
    report = nv.check(case, plan, entry=(-40.0, 70.0, 10.0))
    assert report.verdict is Verdict.WARN
    assert sum(TABLE in f.words and f.verdict is Verdict.WARN for f in report.findings) == 1
    mapped = next(f for f in report.findings if "skin map" in f.words)
    assert TABLE in mapped.words and mapped.kind is FindingKind.RULES


def test_a_drawn_line_is_not_moved(case: Case, tmp_path: Path) -> None:
    line = tmp_path / "line.mrk.json"
    line.write_text("{}")
    with pytest.raises(InputError, match="drawn line"):
        nv.check(case, line, protocol=PROTOCOL, target="lesion", entry=(0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("moved") / "case"
    nv.save_case(case, made)
    assert main(["plan", str(made), "--protocol", PROTOCOL, "--target", "lesion", "--quiet"]) == 0
    return made


def test_on_the_command_line_what_rules_it_out_comes_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["check", str(folder), OVER_THE_RIB]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["FAIL", "against it:"]
    assert "rib_right_9" in lines[2] and "1 mm required" in lines[2] and "mm deep" in lines[2]
    assert main(["check", str(folder), OVER_THE_RIB, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["against"][0]["structure"] == "rib_right_9" and told["against"][0]["at_depth_mm"] >= 0
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "option",
    ["--entry=nan,0,0", "--entry=inf,0,0", "--entry=1,2", "--entry=a,b,c", "--entry=0,0,0", "--entry=900,0,0",
     "--aim=0,0,0", "--aim=nan,0,0", "--aim=-40,0"],
)  # fmt: skip
def test_points_that_cannot_be_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main(["check", str(folder), option]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Expected" in said.err
