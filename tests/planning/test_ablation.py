"""What is said of an ablation: coverage by the derated zone, protection from the undegraded one, nothing uncomputed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.files.protocol_override import override_from_toml
from navplan.files.protocol_toml import devices_from_toml
from navplan.model.ablation import AblationMargin, AblationZone, MarginGoal, Protection
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.ablation_error import drawn_margins, hull_points, straying_margin, wilson
from navplan.planning.ablation_margin import margin_in
from navplan.planning.ablation_zone import Ellipsoid, zone_of
from navplan.planning.boundary import boundary_of
from navplan.planning.check_plan import judge
from navplan.planning.entry_search import search, trajectory_to
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Capsule, Sphere
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of
from tests.planning.test_ablation_margin import labels

STEADY = ErrorModel("steady", "steady", 0.1, 0.0, "test")
ENTRY, AIM = (-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0)


def zone(width: float, derating: float = 0.8, length: float | None = None, before: float = 10.0) -> AblationZone:
    return AblationZone(f"w{width:g}", f"{width:g} mm", length or width, width, before, derating, "unsourced")


def probe(*zones: AblationZone) -> Device:
    return Device("mwa", "antenna", 14, 2.11, 150.0, 0.0, source="test", zones=zones)


def rules(**changes: object) -> ProcedureProtocol:
    margin = AblationMargin(
        "HCC", 5.0, "Hepatoma Res 2023;9:44", (MarginGoal("CRLM", 10.0, "Hepatoma Res 2023;9:44"),),
        (Protection("colon", 10.0, "unsourced"), Protection("rib_*", 0.0, "unsourced", warn_only=True)),
        heat_sink_mm=3.0, heat_sink_source="test",
    )  # fmt: skip
    return protocol_of(**{"margin": margin, "error_models": (STEADY,), **changes})


def judged(device: Device, case: Case | None = None, protocol: ProcedureProtocol | None = None) -> SafetyReport:
    there = case or case_of()
    situation = situation_of(there, protocol or rules(), target_of(dict(there.structures), "lesion"))
    return judge(trajectory_to(np.asarray(ENTRY), np.asarray(AIM), device), situation)


def told(report: SafetyReport, name: str) -> list[Finding]:
    return [f for f in report.findings if f.kind is FindingKind.ABLATION and f.structure == name]


def coverage(report: SafetyReport) -> Finding:
    return next(f for f in told(report, "lesion") if "expected" not in f.words)


def test_a_zone_that_reaches_the_goal_passes_and_tells_its_figures() -> None:
    """Lesion of 10 mm radius, derated zone of 18 mm: margin 8, whatever the tip's place is before the target."""
    report = judged(probe(zone(45.0)))
    found = coverage(report)
    assert found.verdict is Verdict.PASS and found.required_mm == 5.0
    assert found.distance is not None and found.distance.low_mm <= 8.0 <= found.distance.high_mm
    planned = report.ablation
    assert planned is not None and planned.centre_mm == pytest.approx(AIM) and planned.margin == found.distance
    assert planned.shares[2] > 0.99 and planned.uncovered_ml == (0.0, 0.0)
    assert planned.tumour_ml == pytest.approx(4.19, rel=0.02)
    assert planned.expected.high_mm < planned.margin.high_mm and planned.tumour_left < 0.01


def test_coverage_is_judged_with_the_derated_zone() -> None:
    """34 mm wide: 7 mm of margin undegraded, 3.6 derated to 80 %."""
    assert coverage(judged(probe(zone(34.0, 1.0)))).verdict is Verdict.PASS
    found = coverage(judged(probe(zone(34.0, 0.8))))
    assert found.verdict is Verdict.FAIL and found.distance is not None
    assert found.distance.low_mm <= 3.6 <= found.distance.high_mm


def test_tumour_that_is_left_is_called_so() -> None:
    found = coverage(judged(probe(zone(20.0))))
    assert found.verdict is Verdict.FAIL and "tumour is left" in found.words


def test_neighbours_fail_by_the_undegraded_zone_where_the_derated_one_would_pass() -> None:
    """A colon 32 mm from the target's middle, 10 mm asked: 14 mm from the zone derated to 18, 9.5 from that of 22.5."""
    solids = {**SOLIDS, "colon": (Capsule((-40.0, -44.0, -40.0), (-40.0, -44.0, 40.0), 12.0), 40.0)}
    case = case_of(grid_of((1.0, 1.0, 1.0)), solids=solids)
    derated_as_whole = judged(probe(zone(36.0, 1.0)), case)
    report = judged(probe(zone(45.0, 0.8)), case)
    assert coverage(report).verdict is coverage(derated_as_whole).verdict is Verdict.PASS
    (kept,), (missed,) = told(derated_as_whole, "colon"), told(report, "colon")
    assert kept.verdict is Verdict.PASS and missed.verdict is Verdict.FAIL
    assert missed.distance is not None and missed.distance.low_mm <= 9.5 <= missed.distance.high_mm < 10.0


def test_a_vessel_in_or_beside_the_zone_is_a_heat_sink() -> None:
    solids = {**SOLIDS, "hepatic_vein": (Capsule((-40.0, 26.0, -20.0), (-40.0, 26.0, 20.0), 3.0), 200.0)}
    (near,) = told(judged(probe(zone(45.0)), case_of(solids=solids)), "hepatic_vein")
    assert near.verdict is Verdict.WARN and "heat sink" in near.words


def test_what_only_warns_warns() -> None:
    solids = {**SOLIDS, "rib_right_9": (Capsule((-56.0, -40.0, 14.0), (-56.0, 50.0, 14.0), 5.0), 500.0)}
    (rib,) = told(judged(probe(zone(45.0)), case_of(solids=solids)), "rib_right_9")
    assert rib.verdict is Verdict.WARN and rib.distance is not None and rib.distance.high_mm < 0


def test_what_is_protected_and_not_known_is_told() -> None:
    margin = rules().margin
    assert margin is not None
    more = rules(margin=replace(margin, protection=(Protection("diaphragm*", 5.0, "unsourced"),)))
    (found,) = told(judged(probe(zone(45.0)), protocol=more), "diaphragm")
    assert found.verdict is Verdict.WARN and "not looked for" in found.words


def test_coverage_refuses_what_is_cut() -> None:
    """The image ends in the tumour: what is not seen is not covered."""
    whole = grid_of()
    at = int(np.ceil(whole.indices(np.asarray([0.0, 0.0, 4.0]))[2]))
    cut = case_of(whole.crop((0, 0, 0), (whole.shape[0], whole.shape[1], at)))
    report = judged(probe(zone(45.0)), cut)
    assert coverage(report).verdict is Verdict.NOT_EVALUATED and "cut by the edge" in coverage(report).words
    assert report.verdict in (Verdict.NOT_EVALUATED, Verdict.FAIL)
    (colon,) = told(report, "colon")
    assert colon.verdict is not Verdict.PASS  # the zone leaves what was looked at


def test_a_device_without_zones_and_a_protocol_without_margin_are_not_evaluated() -> None:
    bare = replace(probe(zone(45.0)), zones=())
    for device, protocol in ((bare, rules()), (probe(zone(45.0)), protocol_of())):
        report = judged(device, protocol=protocol)
        (found,) = [f for f in report.findings if f.kind is FindingKind.ABLATION]
        assert found.verdict is Verdict.NOT_EVALUATED and report.ablation is None
    biopsy = judged(bare, protocol=protocol_of())
    assert not [f for f in biopsy.findings if f.kind is FindingKind.ABLATION]


def test_a_bare_point_has_no_margin_but_neighbours() -> None:
    case = case_of()
    situation = situation_of(case, rules(), Target(AIM))
    report = judge(trajectory_to(np.asarray(ENTRY), np.asarray(AIM), probe(zone(45.0))), situation)
    found = [f for f in report.findings if f.kind is FindingKind.ABLATION]
    assert any(f.verdict is Verdict.NOT_EVALUATED and "without a surface" in f.words for f in found)
    assert any(f.structure == "colon" or "more structures" in f.words for f in found)


def test_the_smallest_zone_that_reaches_the_goal_is_used_else_the_largest() -> None:
    three = probe(zone(60.0), zone(44.0), zone(30.0))
    report = judged(three)
    assert report.ablation is not None and report.ablation.zone.startswith("44 mm")
    assert "the smallest that reaches the goal, of 3 settings" in coverage(report).words
    crlm = judged(three, protocol=replace(rules(), margin_goal="CRLM"))
    assert crlm.ablation is not None and crlm.ablation.zone.startswith("60 mm") and crlm.ablation.goal_mm == 10.0
    small = judged(probe(zone(30.0), zone(26.0)))
    assert small.ablation is not None and small.ablation.zone.startswith("30 mm")
    assert "none reaches the goal" in coverage(small).words


def test_the_search_puts_the_centre_of_the_zone_it_uses_into_the_target() -> None:
    case = case_of()
    device = probe(zone(60.0, before=22.0), zone(44.0, before=14.0), zone(30.0, before=4.0))
    situation = situation_of(case, rules(), target_of(dict(case.structures), "lesion"))
    found = search(situation, device, top=2)
    assert found.trajectories
    for way in found.trajectories:
        assert way.trajectory.tip_short_of_target_mm == -14.0
        planned = way.report.ablation
        assert planned is not None and planned.zone.startswith("44 mm")
        assert planned.centre_mm == pytest.approx(way.trajectory.target_mm, abs=1e-9)


def test_near_the_capsule_tumour_is_left_out_on_request_alone() -> None:
    """A lesion at the liver's surface, a zone that lies deeper: what is left out is named."""
    solids = {**SOLIDS, "lesion": (Sphere((-65.0, 0.0, 0.0), 9.5), 60.0)}
    case = case_of(grid_of((1.5, 1.5, 1.5)), solids=solids)
    margin = rules().margin
    assert margin is not None
    asked = replace(margin, leave_out_capsule_mm=5.0, leave_out_capsule_source="QAM", organ="liver")
    device = probe(zone(32.0, 1.0, before=0.0))
    way = Trajectory(ENTRY, (-60.0, 0.0, 0.0), device, 0.0)
    found = []
    for protocol in (rules(), rules(margin=asked)):
        situation = situation_of(case, protocol, target_of(dict(case.structures), "lesion"))
        planned = judge(way, situation).ablation
        assert planned is not None
        found.append(planned)
    whole, part = found
    assert not whole.left_out and "within 5 mm of the liver's surface" in part.left_out
    assert part.margin.low_mm > whole.margin.low_mm and part.margin.high_mm > whole.margin.high_mm + 1.0
    assert part.shares[2] > whole.shares[2]


@pytest.mark.parametrize("seed", [1, 2])
def test_monte_carlo_against_a_million_draws(seed: int) -> None:
    """Sphere 10 in sphere 18: margin 8 - the shift, whose mean under sigma on two axes is sigma sqrt(pi/2)."""
    rng = np.random.default_rng(seed)
    error = ErrorModel("x", "x", 2.0, 1.5, "test", motion_sigma_mm=(0.5, 1.0, 3.0), depth_sigma_mm=2.5)
    tumour = labels(Sphere((0.0, 0.0, 0.0), 10.0), (1.0, 1.0, 1.0))
    device = probe(zone(36.0, 1.0))
    way = Trajectory((0.0, -80.0, 0.0), (0.0, 0.0, 0.0), device, -10.0)
    shape, boundary = zone_of(way, device.zones[0], derated=True), boundary_of(tumour)
    planned = margin_in(shape, boundary)
    found = straying_margin(way, shape, planned, boundary.centres_mm, error, 5.0)
    sigma = np.hypot(2.0, 80.0 * np.radians(1.5))
    shift = rng.normal(0, 1, (1_000_000, 3)) * (0.5, 1.0, 3.0)
    shift[:, 0] += rng.normal(0, sigma, 1_000_000)
    shift[:, 1] += rng.normal(0, 2.5, 1_000_000)
    shift[:, 2] += rng.normal(0, sigma, 1_000_000)
    margins = 8.0 - np.linalg.norm(shift, axis=1)
    assert found.expected.low_mm <= margins.mean() <= found.expected.high_mm
    assert found.goal_met <= (margins >= 5.0).mean()
    assert (margins < 0).mean() <= found.tumour_left < (margins < 0).mean() + 0.12


def test_the_drawn_ellipsoids_turn_with_the_needle() -> None:
    """Only the angle errs: the zone's centre moves by depth x angle, its axis turns by the angle."""
    error = ErrorModel("x", "x", 1e-9, 3.0, "test")
    device = probe(zone(20.0, 1.0, length=40.0, before=0.0))
    way = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 60.0), device)
    shape = zone_of(way, device.zones[0], derated=True)
    points = np.asarray([[0.0, 0.0, 60.0], [0.0, 0.0, 75.0], [3.0, 2.0, 50.0]])
    drawn = drawn_margins(way, shape, points, error, 500)
    again = np.random.default_rng(20140)
    again.normal(0, 1e-9, (500, 2))
    angle = again.normal(0, np.radians(3.0), (500, 2))
    from navplan.geometry.lines import perpendicular_axes

    across = np.stack(perpendicular_axes(way.direction))
    for n in range(0, 500, 50):
        axis = way.direction + angle[n] @ across
        direction = axis / np.linalg.norm(axis)
        own = Ellipsoid(shape.centre_mm + 60.0 * angle[n] @ across, direction, 20.0, 10.0)
        assert drawn[n] == pytest.approx(own.depth_mm(points).min(), abs=1e-6)


def test_the_hull_is_enough_and_wilson_is_wilson() -> None:
    points = np.random.default_rng(0).normal(0, 3, (3000, 3))
    shape = Ellipsoid(np.zeros(3), np.asarray([0.0, 0.0, 1.0]), 20.0, 12.0)
    assert shape.depth_mm(hull_points(points)).min() == pytest.approx(shape.depth_mm(points).min(), abs=1e-12)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)  # Wilson 1927; Newcombe 1998, Stat Med 17:857
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


DEVICE = """
[[devices]]
id = "a"
name = "antenna"
gauge = 14
diameter_mm = 2.11
length_mm = 150
source = "t"
[[devices.zones]]
id = "z"
words = "100 W, 10 min"
length_mm = 50
width_mm = 40
centre_before_tip_mm = 14
derating = 0.8
source = "t"
"""


def test_zones_are_read_with_the_strictness_of_all_else() -> None:
    (device,) = devices_from_toml(DEVICE, "f")
    assert device.zones[0].shape_words(derated=True) == "40.0 x 32.0 mm, derated to 80%"
    assert device.zones[0].volume_ml == pytest.approx(41.9, abs=0.1)
    head, zone_part = DEVICE.split("[[devices.zones]]")
    bad = {
        'source = "t"\n': "",
        "length_mm = 50": "length_mm = 500",
        "width_mm = 40": "width_mm = 0",
        "derating = 0.8": "derating = 1.2",
        "centre_before_tip_mm = 14": "centre_before_tip_mm = 70",
        'words = "100 W, 10 min"': 'words = " "',
        'id = "z"': 'id = "z"\nsurface_c = 60',
        "width_mm = 40\n": "",
    }
    for old, new in bad.items():
        assert zone_part.count(old) == 1
        with pytest.raises(InputError):
            devices_from_toml(head + "[[devices.zones]]" + zone_part.replace(old, new), "f")
    with pytest.raises(InputError):  # twice the same zone
        devices_from_toml(DEVICE + "[[devices.zones]]" + zone_part, "f")


def test_a_margin_of_ones_own() -> None:
    with pytest.raises(InputError, match="HCC; CRLM"):
        replace(rules(), margin_goal="melanoma")
    with pytest.raises(InputError):
        replace(protocol_of(), margin_goal="HCC")
    text = 'overrides = "test-biopsy"\nby = "Dr A"\n[margin]\ngoal_mm = 7.0\nsource = "house"\n'
    changed = override_from_toml(text, "o").applied(rules())
    assert changed.asked_margin is not None and changed.asked_margin.goal_mm == 7.0
    assert "margin: goal_mm 5.0 -> 7.0" in changed.changes[0]
    with pytest.raises(InputError, match="does not have"):
        override_from_toml(text, "o").applied(protocol_of())
    with pytest.raises(InputError):
        AblationMargin("x", 5.0, "t", leave_out_capsule_mm=5.0, leave_out_capsule_source="QAM")
    with pytest.raises(InputError):
        Protection("*", 5.0, "t")
