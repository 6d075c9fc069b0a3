"""check and scene: nothing that a plan carries is taken on trust, and no line is judged that was not meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.errors import InputError, MismatchError
from navplan.files.markups import write_lines
from navplan.files.plan_json import write_plan
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import case_of, grid_of, protocol_of, structure_of

GRID = grid_of((3.0, 3.0, 3.0))


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(GRID)


def sided(case: Case, side: str) -> Plan:
    return nv.plan(case, protocol_of(sided=True), "lesion", device="liver-coaxial-18g-150", side=side, top=1)


def test_a_side_that_nobody_stated_is_not_stated_by_planning(case: Case) -> None:
    unstated, stated = sided(case, ""), sided(case, "R")
    assert unstated.side == "" and stated.side == "right"
    assert nv.check(case, unstated).verdict is unstated.best.verdict is Verdict.WARN
    assert nv.check(case, stated).verdict is stated.best.verdict is Verdict.PASS


@pytest.fixture(scope="module")
def shipped(case: Case) -> Plan:
    """A plan by rules that are installed, edited by nobody."""
    return nv.plan(case, "liver-biopsy", "lesion", top=2)


def rules_findings(report: SafetyReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind is FindingKind.RULES]


def test_rules_or_a_needle_edited_inside_a_plan_are_told(case: Case, shipped: Plan) -> None:
    assert not rules_findings(nv.check(case, shipped))
    lax = tuple(replace(limit, min_clearance_mm=0.0) for limit in shipped.protocol.hard)
    edited = replace(shipped, protocol=replace(shipped.protocol, hard=lax))
    assert "other hard" in rules_findings(nv.check(case, edited))[0].words
    way = shipped.trajectories[0]
    thin = replace(way.trajectory, device=replace(way.trajectory.device, diameter_mm=0.2))
    thinner = replace(shipped, trajectories=(replace(way, trajectory=thin),))
    assert "other diameter_mm" in rules_findings(nv.check(case, thinner))[0].words


def test_rules_known_from_a_plan_s_file_alone_are_no_pass(case: Case, tmp_path: Path) -> None:
    made = sided(case, "R")
    assert nv.check(case, made).verdict is Verdict.PASS
    write_plan(tmp_path / "plan.json", made)
    report = nv.check(case, tmp_path / "plan.json")
    assert report.verdict is Verdict.WARN and "file alone" in rules_findings(report)[0].words


def test_a_stored_verdict_is_never_taken_over(case: Case, shipped: Plan, tmp_path: Path) -> None:
    way = shipped.trajectories[0]
    clear = Finding(FindingKind.CLEARANCE, Verdict.PASS, "", "aorta", Interval(50.0, 53.0), 0.0)
    forged = replace(way, report=replace(way.report, findings=(clear,)))
    plan = replace(shipped, trajectories=(forged,))
    assert plan.best.verdict is Verdict.PASS
    assert nv.check(case, plan).verdict is not Verdict.PASS
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "navplan.view.scene.draw_scene",
            lambda case, plan, *rest, **more: drawn.append(plan) or np.zeros((4, 4, 3), np.uint8),
        )
        nv.scene(case, plan=plan, out=tmp_path / "scene.png")
    assert drawn[0].best.verdict is not Verdict.PASS


def test_structures_replaced_after_planning_are_judged_as_they_are_now(case: Case) -> None:
    made = sided(case, "R")
    middle = made.best.trajectory.point_at_mm(20.0)
    grown = structure_of("colon", Sphere(tuple(float(x) for x in middle), 12.0), GRID)
    report = nv.check(case.with_structures(grown), made)
    assert report.verdict is Verdict.FAIL
    assert any("structures changed" in finding.words for finding in report.findings)


def test_a_plan_made_in_another_frame_is_refused(case: Case) -> None:
    made = sided(case, "R")
    made = replace(made, provenance=replace(made.provenance, frame_uid="9.9"))
    image = case.volumes["ct"]
    with pytest.raises(MismatchError):
        nv.check(replace(case, volumes={"ct": replace(image, grid=replace(image.grid, frame_uid="1.2"))}), made)


def test_a_line_from_the_side_of_the_table_is_no_pass(case: Case, tmp_path: Path) -> None:
    write_lines(tmp_path / "line.mrk.json", [((-40.0, 69.0, 0.0), (-40.0, 0.0, 0.0), "from below")])
    report = nv.check(
        case, tmp_path / "line.mrk.json", protocol=protocol_of(), target="lesion", device="liver-coaxial-18g-150"
    )
    assert any("side of the table" in finding.words for finding in report.of(Verdict.WARN))


def test_a_line_that_ends_elsewhere_than_at_the_point_named_is_refused(case: Case, tmp_path: Path) -> None:
    write_lines(tmp_path / "line.mrk.json", [((-90.0, 0.0, 0.0), (-70.0, 0.0, 0.0), "short")])
    with pytest.raises(InputError, match="not at the target"):
        nv.check(
            case, tmp_path / "line.mrk.json", protocol=protocol_of(), target="-60,0,0", device="liver-coaxial-18g-150"
        )


def test_the_demo_replaces_no_case_but_its_own(case: Case, tmp_path: Path) -> None:
    nv.save_case(case, tmp_path / "case")
    before = (tmp_path / "case" / "case.json").read_bytes()
    with pytest.raises(InputError, match="another case"):
        nv.demo(tmp_path)
    assert (tmp_path / "case" / "case.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["case"]
