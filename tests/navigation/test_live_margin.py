"""Live margins against planning's own judgement, structure by structure: the fast interval holds the exact one, the
breach bound is none too small, and the verdict is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_cases import CASES, planned
from navplan.geometry.lines import unit
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.finding import FindingKind, Interval, Verdict, tenth_above, tenth_below, worst
from navplan.model.protocol import HardLimit, Need, Quantity
from navplan.model.trajectory import Trajectory
from navplan.navigation.live_margin import LiveMargins, worst_of
from navplan.planning.check_plan import clear_or_resting, outside_region
from navplan.planning.margins import margins
from navplan.planning.situation import Situation
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Capsule
from tests.planning.scenes import SOLIDS, case_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
CORE = Device("c16", "16 G core", 16, 1.65, 120.0, 22.0, source="test")
MODELS = (
    ErrorModel("tracked", "tracked", 0.5, 0.0, "test", depth_sigma_mm=0.5),
    ErrorModel("moving", "moving", 1.5, 0.0, "test", motion_sigma_mm=(0.5, 1.0, 3.0), depth_sigma_mm=1.5),
    ErrorModel("bent", "bent", 2.5, 0.6, "test", bend_sigma_per_mm=2e-4, depth_sigma_mm=4.0),
)


def situation(kind: str) -> Situation:
    """Fractional labels, hard ones, or hard ones with a vessel thinner than the voxels, cut by the image's edge."""
    solids = dict(SOLIDS)
    if kind == "thin":
        solids["hepatic_vein"] = (Capsule((-60.0, -30.0, -60.0), (-10.0, 25.0, 60.0), 2.0), 150.0)
    case = case_of(hard=kind != "fractional", solids=solids)
    rules = protocol_of(
        hard=(
            HardLimit("colon", 5.0, "test", Need.REQUIRED),
            HardLimit("aorta", 3.0, "test", Need.REQUIRED),
            HardLimit("rib_*", 0.0, "test", Need.REQUIRED),
        )
    )
    return situation_of(case, rules, target_of(dict(case.structures), "lesion"))


def needles(rng: np.random.Generator, count: int, device: Device) -> list[tuple[Trajectory, Trajectory]]:
    """Whole needles, hub to end, and their part in the body: many of them near the colon, the aorta and the rib."""
    found = []
    for _ in range(count):
        near = np.array([(-40, 0, 0), (15, 30, 0), (-10, -40, -40), (-82, 0, 12)])[rng.integers(4)]
        tip = near + rng.normal(0, 14, 3)
        towards = unit(rng.normal(0, 1, 3))
        hub = tip - device.length_mm * towards
        end = tip + rng.uniform(0, 30) * towards
        skin = tip - rng.uniform(5, 90) * towards
        found.append((Trajectory(tuple(hub), tuple(end), device), Trajectory(tuple(skin), tuple(end), device)))
    return found


@pytest.mark.parametrize("kind", ["fractional", "hard", "thin"])
@pytest.mark.parametrize("device", [NEEDLE, CORE], ids=lambda device: device.id)
def test_the_fast_interval_holds_the_exact_one_and_the_verdict_is_the_same(kind: str, device: Device) -> None:
    scene = situation(kind)
    live, fast, verdicts = LiveMargins(scene, device), 0, set()
    rng = np.random.default_rng(11)
    for n, (whole, inside) in enumerate(needles(rng, 120, device)):
        model = MODELS[n % len(MODELS)]
        under = replace(scene, error_model=model)
        measured = margins(under.boundaries, [whole.entry_mm], [whole.swept_end_mm])
        told = {one.name: one for one in live.judged(whole, inside, model)}
        assert set(told) == {risk.name for risk in under.risks}
        for column, risk in enumerate(under.risks):
            region = risk.boundary.structure.evaluated_in
            outside = outside_region(inside, under, region, risk.required_mm)
            exact = clear_or_resting(whole, under, risk, measured, column, outside)
            clearance = next(f for f in exact if f.kind is FindingKind.CLEARANCE)
            one = told[risk.name]
            assert one.low_mm <= clearance.distance.low_mm + 1e-9
            assert one.high_mm >= clearance.distance.high_mm - 1e-9
            assert one.breach >= clearance.breach_probability - 1e-9
            assert one.verdict is worst([f.verdict for f in exact]), (one, exact)
            fast += not one.exact
            verdicts.add((one.verdict, one.exact))
    assert fast > 100
    assert {(Verdict.PASS, False), (Verdict.FAIL, False)} <= verdicts


def test_a_thin_vessel_is_never_passed_by_the_fast_phase() -> None:
    scene = situation("thin")
    live = LiveMargins(scene, NEEDLE)
    for whole, inside in needles(np.random.default_rng(2), 40, NEEDLE):
        told = {one.name: one for one in live.judged(whole, inside, MODELS[0])}
        assert told["hepatic_vein"].verdict is not Verdict.PASS


def test_a_needle_whose_hub_lies_inside_a_structure_fails() -> None:
    scene = situation("fractional")
    whole = Trajectory((15.0, 30.0, -20.0), (15.0, 30.0, 20.0), NEEDLE)  # along the aorta's own axis
    told = {one.name: one for one in LiveMargins(scene, NEEDLE).judged(whole, whole, MODELS[0])}
    assert told["aorta"].verdict is Verdict.FAIL


def test_a_needle_that_leaves_the_region_that_was_looked_at_is_not_evaluated() -> None:
    scene = situation("fractional")
    way = Trajectory((-40.0, 0.0, 20.0), (-40.0, 0.0, 84.0), NEEDLE)
    told = LiveMargins(scene, NEEDLE).judged(way, way, MODELS[0])
    assert Verdict.NOT_EVALUATED in {one.verdict for one in told} and worst_of(told) is not Verdict.PASS


def test_without_structures_nothing_is_judged() -> None:
    case = case_of(without=("aorta", "colon", "rib_right_9"))
    scene = situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))
    way = Trajectory((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0), NEEDLE)
    assert LiveMargins(scene, NEEDLE).judged(way, way, MODELS[0]) == ()
    assert worst_of(()) is Verdict.NOT_EVALUATED


def test_at_any_breach_limit_the_verdict_is_plannings() -> None:
    for value in (1e-6, 0.5, 0.999):
        rules = protocol_of(max_breach_probability=Quantity(value, "probability", "test"))
        case = case_of()
        scene = situation_of(case, rules, target_of(dict(case.structures), "lesion"))
        live = LiveMargins(scene, NEEDLE)
        way = Trajectory((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0), NEEDLE)
        measured = margins(scene.boundaries, [way.entry_mm], [way.swept_end_mm])
        told = {one.name: one for one in live.judged(way, way, MODELS[0])}
        for column, risk in enumerate(scene.risks):
            under = replace(scene, error_model=MODELS[0])
            exact = clear_or_resting(way, under, risk, measured, column, False)
            assert told[risk.name].verdict is worst([f.verdict for f in exact])


@pytest.mark.slow
def test_on_a_real_ct_the_fast_phase_says_what_planning_says(real_images: Path) -> None:
    """62 labels of a network on a CT of abdomen and pelvis: hard, thin in places, cut by the image's edge."""
    case, plan = planned(next(one for one in CASES if one.name == "liver"), real_images)
    request = {"side": plan.side, "patient_position": plan.patient_position}
    scene = situation_of(case, plan.protocol, plan.target, image=plan.provenance.image_id, **request)
    way, model, rng = plan.best.trajectory, MODELS[0], np.random.default_rng(3)
    live, under, verdicts = LiveMargins(scene, way.device), replace(scene, error_model=model), set()
    for _ in range(25):
        entry = np.asarray(way.entry_mm) + rng.normal(0, 15, 3)
        end = np.asarray(way.target_mm) + rng.normal(0, 10, 3)
        hub = end - 150.0 * unit(end - entry)
        whole, inside = Trajectory(tuple(hub), tuple(end), way.device), Trajectory(tuple(entry), tuple(end), way.device)
        measured = margins(under.boundaries, [whole.entry_mm], [whole.swept_end_mm])
        told = {one.name: one for one in live.judged(whole, inside, model)}
        for column, risk in enumerate(under.risks):
            region = risk.boundary.structure.evaluated_in
            outside = outside_region(inside, under, region, risk.required_mm)
            exact = clear_or_resting(whole, under, risk, measured, column, outside)
            clearance = next(f for f in exact if f.kind is FindingKind.CLEARANCE)
            one = told[risk.name]
            assert one.low_mm <= clearance.distance.low_mm + 1e-9 and one.breach >= clearance.breach_probability - 1e-9
            assert one.high_mm >= clearance.distance.high_mm - 1e-9
            assert one.verdict is worst([f.verdict for f in exact]), (one, exact)
            verdicts.add(one.verdict)
    assert {Verdict.PASS, Verdict.WARN, Verdict.FAIL} <= verdicts


@pytest.mark.parametrize("mm", [4.96, 4.999, 5.0, 5.04, 0.05, -0.04, 0.1 + 0.2, 12.3])
def test_a_distance_is_never_told_larger_than_it_is(mm: float) -> None:
    low, high = (float(part) for part in str(Interval(mm, mm)).removesuffix(" mm").split(" to "))
    assert low <= mm + 1e-6 and mm - low < 0.1 + 1e-6
    assert high >= mm - 1e-6 and high - mm < 0.1 + 1e-6
    assert tenth_below(mm) == low and tenth_above(mm) == high
