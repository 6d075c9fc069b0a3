"""plan: no offered way meets a needle that is there already, or goes in where the skin is not free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.model.case import Case
from navplan.model.safety import FindingKind, Verdict
from navplan.planning.other_needles import OtherNeedle, too_close
from navplan_phantoms.primitives import Sphere
from tests.planning.scenes import case_of, grid_of, protocol_of, structure_of

GRID = grid_of((3.0, 3.0, 3.0))
DEVICE = "liver-coaxial-18g-150"


@pytest.fixture(scope="module")
def case() -> Case:
    scene = case_of(GRID)
    return scene.with_plan(nv.plan(scene, protocol_of(), "lesion", device=DEVICE, top=2))


def test_the_ways_offered_pass_the_other_needle(case: Case) -> None:
    (first,) = case.plans.values()
    made = nv.plan(case, protocol_of(), "lesion", device=DEVICE, beside=[first.id])
    other = OtherNeedle(first.best.trajectory, "first", "lesion")
    assert made.trajectories and any(first.id in words for words in made.notes)
    assert made.best.trajectory.entry_mm != first.best.trajectory.entry_mm
    for way in made.trajectories:
        beside = [f for f in way.report.findings if f.kind is FindingKind.DEVICE and first.id in f.words]
        assert len(beside) == 1 and beside[0].verdict is not Verdict.FAIL
    skin = made.skin_map
    met = too_close(
        skin.points_mm, np.asarray(first.best.trajectory.target_mm), first.best.trajectory.device, [other], "lesion"
    )
    assert met.any() and (skin.reason[met] != -1).all()


def test_no_way_goes_in_through_a_dressing(case: Case) -> None:
    (first,) = case.plans.values()
    entry = first.best.trajectory.entry_mm
    covered = case.with_structures(structure_of("dressing", Sphere(entry, 12.0), GRID))
    made = nv.plan(covered, protocol_of(), "lesion", device=DEVICE, top=3)
    assert made.skin_map.counts()["skin not free: dressing"]
    for way in made.trajectories:
        assert np.linalg.norm(np.subtract(way.trajectory.entry_mm, entry)) > 12.0
    assert nv.check(covered, first.id).verdict is Verdict.FAIL


def test_a_needle_too_short_names_those_of_the_protocol_that_reach(case: Case) -> None:
    rules = protocol_of(devices=("liver-coaxial-18g-100", DEVICE))
    made = nv.plan(case, rules, "lesion", device=DEVICE, top=1)
    way = made.best.trajectory
    x, y, z = (float(value) for value in np.asarray(way.target_mm) - 125.0 * way.direction)
    deep = replace(made.best, trajectory=replace(way, entry_mm=(x, y, z)))
    report = nv.check(case, replace(made, trajectories=(deep,)), device="liver-coaxial-18g-100")
    (short,) = [finding for finding in report.findings if "too short" in finding.words]
    assert short.verdict is Verdict.FAIL and f"{DEVICE} (150 mm)" in short.remedy
