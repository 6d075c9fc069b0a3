"""liver-mwa on the abdomen phantom, from the plan to the report and the card: the truth is inside, and it is told."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.extend import registry
from navplan.files.plan_json import read_plan, write_plan
from navplan.model.case import Case
from navplan.model.draft import Draft
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, Verdict
from navplan.planning.ablation_zone import Ellipsoid
from navplan.session.document import way_document
from navplan.session.shown import judged
from navplan_phantoms.abdomen import SmallLesionPhantom
from navplan_phantoms.abdomen_anatomy import AbdomenShape, lesion


@pytest.fixture(scope="module")
def case() -> Case:
    return nv.phantom("abdomen", spacing_mm=(3.0, 3.0, 3.0))


@pytest.fixture(scope="module")
def made(case: Case) -> Plan:
    return nv.plan(case, "liver-mwa", "lesion", guidance="robot", top=2)


def lesion_surface(shape: AbdomenShape) -> np.ndarray:
    """(N, 3) points on the phantom's lesion, a flattened ball: the solid's own distance puts them there."""
    solid = lesion(shape)
    rng = np.random.default_rng(0)
    rays = rng.standard_normal((40_000, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    middle = solid.bounds_mm().mean(axis=0)
    low, high = np.zeros(len(rays)), np.full(len(rays), 40.0)
    for _ in range(40):
        half = (low + high) / 2
        inside = solid.signed_distance_mm(middle + half[:, None] * rays) <= 0
        low, high = np.where(inside, half, low), np.where(inside, high, half)
    return middle + low[:, None] * rays


def test_the_planned_margin_holds_the_truth(made: Plan) -> None:
    holds_the_truth(made, lesion_surface(AbdomenShape()))


def holds_the_truth(made: Plan, surface: np.ndarray) -> None:
    for way in made.trajectories:
        planned = way.report.ablation
        assert planned is not None
        zone = Ellipsoid(
            np.asarray(planned.centre_mm), np.asarray(planned.direction), planned.along_mm, planned.across_mm
        )
        truth = float(zone.depth_mm(surface).min())
        assert planned.margin.low_mm <= truth <= planned.margin.high_mm + 0.01
        assert planned.centre_mm == pytest.approx(way.trajectory.target_mm, abs=1e-9)


def test_a_small_lesion_away_from_the_neighbours_is_covered() -> None:
    """13 mm amid the liver: what only a person or a scan can say is left, and nothing FAILs. Nobody looked for a
    second structure, the recess is not imaged: no PASS."""
    small = nv.absent(nv.phantom("abdomen-small-lesion", spacing_mm=(3.0, 3.0, 3.0)), "bile_duct", by="the phantom")
    plan = nv.plan(small, "liver-mwa", "lesion", guidance="robot", top=2)
    assert plan.trajectories
    holds_the_truth(plan, lesion_surface(SmallLesionPhantom().shape))
    for way in plan.trajectories:
        assert way.verdict is Verdict.WARN
        planned = way.report.ablation
        assert planned is not None and planned.margin.low_mm >= planned.goal_mm == 5.0
        assert way.metrics["margin_over_goal_mm"] == planned.margin.low_mm - 5.0
        assert planned.uncovered_ml == (0.0, 0.0) and planned.expected.low_mm > 0.0
        hot = [f for f in way.report.findings if f.kind is FindingKind.ABLATION and f.verdict is not Verdict.PASS]
        assert not hot, [f.words for f in hot]


def test_what_one_antenna_cannot_do_is_said(case: Case, made: Plan) -> None:
    """24 mm of tumour, 40 x 32 mm of derated zone: below 5 mm, whatever the way; the kidney is within 5 mm of the whole
    zone, and the portal vein cools it."""
    report = made.best.report
    found = {f.structure: f for f in report.findings if f.kind is FindingKind.ABLATION and "expected" not in f.words}
    assert report.verdict is Verdict.FAIL
    assert found["lesion"].verdict is Verdict.FAIL and "unsourced" in found["lesion"].source
    assert "the largest; none reaches the goal" in found["lesion"].words
    assert found["portal_vein"].verdict is Verdict.WARN and "heat sink" in found["portal_vein"].words
    assert "margin >=" in report.headline and "of 5 asked" in report.headline
    assert made.best.trajectory.tip_depth_mm == pytest.approx(made.best.trajectory.depth_mm + 14.0)
    again = nv.check(case, made)
    assert again.ablation == report.ablation


def test_a_zone_that_is_large_enough_covers(case: Case) -> None:
    protocol = registry.protocol("liver-mwa")
    small = case.with_structures()
    antenna = registry.devices()["liver-mwa-14g-150"]
    zones = tuple(replace(zone, derating=1.0) for zone in antenna.zones)
    from navplan.planning.check_plan import judge
    from navplan.planning.entry_search import trajectory_to
    from navplan.verbs.situation import situation_of, target_of

    situation = situation_of(small, protocol, target_of(dict(small.structures), "lesion"), guidance="robot")
    made = nv.plan(case, protocol, "lesion", guidance="robot", top=1).best.trajectory
    whole = trajectory_to(np.asarray(made.entry_mm), np.asarray(made.target_mm), replace(antenna, zones=zones))
    report = judge(whole, situation)
    covers = next(f for f in report.findings if f.structure == "lesion" and f.required_mm == 5.0)
    assert covers.verdict is Verdict.PASS
    assert report.verdict is not Verdict.PASS  # the bile ducts are unknown, the recess is not imaged


def test_the_goal_that_was_chosen_stays_with_the_plan(case: Case) -> None:
    crlm = nv.plan(case, "liver-mwa", "lesion", guidance="robot", margin_goal="colorectal metastasis", top=1)
    assert crlm.best.report.ablation is not None and crlm.best.report.ablation.goal_mm == 10.0
    report = nv.check(case, crlm)
    assert report.ablation is not None and report.ablation.goal_mm == 10.0
    assert not [f for f in report.findings if f.kind is FindingKind.RULES and "not the one installed" in f.words]


def test_the_app_is_told_the_zone(case: Case, made: Plan) -> None:
    told = way_document(judged(case.with_plan(made), Draft(plan_id=made.id)))["zone"]
    planned = made.best.report.ablation
    assert planned is not None and told["centre_mm"] == list(planned.centre_mm)
    assert told["derated_mm"] == pytest.approx([20.0, 16.0]) and told["whole_mm"] == [25.0, 20.0]


def test_plan_report_and_card_tell_it(
    case: Case, made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their words; scene and PDFs have tests of their own."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    monkeypatch.setattr("navplan.view.scene.draw_scene", lambda *_, size, **__: np.zeros((*size[::-1], 3), np.uint8))
    write_plan(tmp_path / "plan.json", made)
    assert read_plan(tmp_path / "plan.json").best.report.ablation == made.best.report.ablation
    nv.report(case, made, out=tmp_path / "report")
    page = next((tmp_path / "report").glob("report.html")).read_text("utf-8")
    assert "The ablation zone" in page and "Minimal ablative margin, planned" in page
    assert "do not predict the zones of patients" in page and "no maker&#39;s table" in page
    assert "ablation zone: solid, derated, to cover the target; dashed, whole" in page
    assert "What the undegraded zone comes near to" in page and "14.0 mm beyond the target point" in page
    card = next((tmp_path / "report").glob("freehand-card.html")).read_text("utf-8")
    assert "SET STOP: tip, beyond the target" in card
