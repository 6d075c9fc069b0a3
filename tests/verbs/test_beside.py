"""A way beside the needles of other plans: told in the report, refused where the places cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.files.markups import write_lines
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.trajectory import Target, Trajectory
from navplan.verbs.beside import needles_beside
from navplan.verbs.plan import provenance_of
from tests.planning.scenes import case_of, grid_of, protocol_of

GRID = grid_of((3.0, 3.0, 3.0))
NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
LESION = (-40.0, 0.0, 0.0)
Point = tuple[float, float, float]


def plan_of(case: Case, id: str, *ways: tuple[Point, Point], target: str = "lesion") -> Plan:
    """A plan by hand."""
    ranked = tuple(RankedTrajectory(Trajectory(*way, NEEDLE), {}, 0.5, SafetyReport(())) for way in ways)
    rules = protocol_of()
    return Plan(
        id, rules, Target(ways[0][1], target), "", "HFS", "", rules.error_models[0], ranked, provenance_of(case, "ct")
    )


@pytest.fixture(scope="module")
def case() -> Case:
    scene = case_of(GRID)
    lateral = ((-90.0, 0.0, 0.0), LESION)
    return (
        scene.with_plan(plan_of(scene, "one", lateral, ((-90.0, 0.0, 30.0), LESION)))
        .with_plan(plan_of(scene, "across", ((-90.0, 0.0, 6.0), (-40.0, 0.0, -9.0)), target="liver"))
        .with_plan(plan_of(scene, "far", ((90.0, 0.0, 0.0), (60.0, 0.0, 0.0)), target="liver"))
    )


def device_findings(report: SafetyReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind is FindingKind.DEVICE]


def test_a_needle_in_the_way_fails_and_one_far_off_is_named(case: Case) -> None:
    assert len(device_findings(nv.check(case, "one"))) == 1
    report = nv.check(case, "one", beside=["across"])
    found = [finding for finding in device_findings(report) if "way 1 of plan across" in finding.words]
    assert [finding.verdict for finding in found] == [Verdict.FAIL] and report.verdict is Verdict.FAIL
    beside = [finding for finding in device_findings(nv.check(case, "one", beside="far")) if "far" in finding.words]
    assert [finding.verdict for finding in beside] == [Verdict.PASS]


def test_ways_of_one_plan_share_their_target(case: Case) -> None:
    found = device_findings(nv.check(case, "one", beside=[("one", 1)]))
    assert found[0].verdict is Verdict.WARN and "lesion, which both aim at" in found[0].words


def test_a_drawn_line_is_judged_beside_needles_too(case: Case, tmp_path: Path) -> None:
    line = tmp_path / "line.mrk.json"
    write_lines(line, [(np.array([-90.0, 0.0, 0.0]), np.array(LESION), "drawn")])
    report = nv.check(case, line, protocol=protocol_of(), target="lesion", device="liver-coaxial-18g-150")
    assert not any("across" in finding.words for finding in report.findings)
    report = nv.check(
        case, line, protocol=protocol_of(), target="lesion", device="liver-coaxial-18g-150", beside=["across"]
    )
    assert any("would touch way 1 of plan across" in finding.words for finding in report.of(Verdict.FAIL))


def test_what_cannot_stand_beside_is_refused(case: Case) -> None:
    with pytest.raises(InputError, match="beside itself"):
        nv.check(case, "one", beside=["one"])
    with pytest.raises(ChoiceError, match="across, far"):
        nv.check(case, "one", beside=["none"])
    with pytest.raises(ChoiceError, match="0 to 1"):
        nv.check(case, "far", beside=[("one", 2)])


def test_a_plan_on_another_image_is_refused_unless_it_shares_the_frame(case: Case) -> None:
    image = case.volumes["ct"]
    other = replace(image, voxels=np.roll(image.voxels, 1))
    two = case.with_volume("later", other)
    with pytest.raises(MismatchError, match=r"image ct.*image later"):
        needles_beside(two, ["one"], "later")
    with pytest.raises(MismatchError, match="other voxels"):
        needles_beside(replace(case, volumes={"ct": other}), ["one"], "ct")
    framed = replace(
        two, volumes={n: replace(v, grid=replace(v.grid, frame_uid="1.2")) for n, v in two.volumes.items()}
    )
    plan = case.plan("one")
    made_on = provenance_of(framed, "ct")
    framed = replace(framed, plans={"one": replace(plan, provenance=made_on)})
    assert needles_beside(framed, ["one"], "later")[0].name == "way 1 of plan one"


def test_the_command_line_counts_from_one(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "case"
    nv.save_case(case, folder)
    assert main(["check", str(folder), "one", "--beside", "across:1", "--quiet"]) == 3
    assert "would touch way 1 of plan across" in capsys.readouterr().out
    assert main(["check", str(folder), "one", "--beside", "far", "--beside", "one:2", "--quiet"]) == 0
    assert "way 2 of plan one" in capsys.readouterr().out
    for wrong in ("across:0", "across:x", "nothing", "one:3", "one"):
        assert main(["check", str(folder), "one", "--beside", wrong, "--quiet"]) == 2
