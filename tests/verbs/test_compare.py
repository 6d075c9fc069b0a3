"""Two plans side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import ChoiceError, MismatchError
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.trajectory import Target, Trajectory
from navplan.verbs.plan import provenance_of
from tests.planning.scenes import case_of, grid_of, protocol_of

LONG = Device("n18", "18 G, 150 mm", 18, 1.27, 150.0, 0.0, source="test")
SHORT = Device("n20", "20 G, 40 mm", 20, 0.91, 40.0, 0.0, source="test")
CLEAR, AORTA = (-90.0, 0.0, 0.0), (90.0, 60.0, 0.0)
AIM = (-40.0, 0.0, 0.0)


def plan_of(case: Case, id: str, *ways: tuple[tuple[float, float, float], Device]) -> Plan:
    rules = protocol_of()
    ranked = [RankedTrajectory(Trajectory(entry, AIM, device), {}, 0.5, SafetyReport(())) for entry, device in ways]
    return Plan(
        id, rules, Target(AIM, "lesion"), "", "HFS", "", rules.error_models[0], tuple(ranked),
        provenance_of(case, "ct"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def case() -> Case:
    scene = case_of(grid_of((4.0, 4.0, 4.0)))
    scene = scene.with_plan(plan_of(scene, "a", (CLEAR, LONG), (AORTA, LONG)))
    return scene.with_plan(plan_of(scene, "b", (CLEAR, SHORT)))


def test_the_better_side_is_named(case: Case) -> None:
    found = nv.compare(case, "a", "a", trajectory_b=1)
    assert (found.verdict_a, found.verdict_b) == (Verdict.PASS, Verdict.FAIL)
    rows = {row.what: row for row in found.rows}
    assert rows["verdict"].better == rows["aorta"].better == rows["depth, skin to target"].better == "A"
    assert "INSIDE" in rows["aorta"].b and rows["aorta"].b.startswith("FAIL")
    assert rows["least clearance, lower end"].a.endswith(" mm")
    assert rows["touches something, at most"].b == "100 % aorta"
    assert any("aorta" in words for words in found.open_b)
    assert not found.open_a


def test_the_other_way_round_says_the_opposite(case: Case) -> None:
    forth, back = nv.compare(case, "a", "a", trajectory_b=1), nv.compare(case, "a", "a", trajectory_a=1)
    opposite = {"A": "B", "B": "A", "=": "=", "": ""}
    assert {row.what: opposite[row.better] for row in forth.rows} == {row.what: row.better for row in back.rows}
    assert forth.open_b == back.open_a
    assert forth.unchanged == back.unchanged


def test_what_if_another_needle_shows_what_changed(case: Case) -> None:
    found = nv.compare(case, "a", "b")
    needle = next(row for row in found.rows if row.what == "needle")
    assert (needle.a, needle.b, needle.better) == (LONG.name, SHORT.name, "")
    assert found.verdict_b is Verdict.FAIL
    assert any("too short" in words for words in found.open_b)
    assert found.apart.startswith("entries 0 mm apart")


def test_no_open_item_is_lost(case: Case) -> None:
    for way in (0, 1):
        found = nv.compare(case, "a", "b", trajectory_a=way)
        for words, number, plan in ((found.open_a, way, "a"), (found.open_b, 0, "b")):
            count = len(nv.check(case, plan, trajectory=number).open_items)
            assert len(words) + len(found.open_both) == count


def test_verdicts_in_a_plan_are_not_taken_over(case: Case) -> None:
    assert case.plans["a"].best.verdict is Verdict.NOT_EVALUATED
    assert nv.compare(case, "a", "b").verdict_a is Verdict.PASS


def test_what_is_refused(case: Case) -> None:
    with pytest.raises(ChoiceError, match="itself"):
        nv.compare(case, "a", "a")
    with pytest.raises(ChoiceError):
        nv.compare(case, "a", "c")
    with pytest.raises(ChoiceError):
        nv.compare(case, "a", "b", trajectory_b=3)
    plan = case.plans["b"]
    elsewhere = replace(plan, provenance=replace(plan.provenance, image_digest="0" * 64, image_id="today"))
    with pytest.raises(MismatchError, match="navplan transfer CASE --plan a --to today"):
        nv.compare(case, "a", elsewhere)


def test_command_line(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "case")
    nv.save_case(case, folder)
    assert main(["compare", folder, "a", "b"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) < 160 for line in text.splitlines())
    heading = next(line for line in text.splitlines() if line.startswith("What the way is like"))
    verdict = next(line for line in text.splitlines() if line.startswith("verdict"))
    assert heading.index("B") == verdict.index("FAIL")
    assert main(["compare", folder, "a", "a", "--trajectory-b", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict_b"] == "FAIL"
    assert main(["compare", folder, "a", "b", "--trajectory-a", "0"]) == 2
