"""Ways are ranked by how well the zone covers: its direction in a long tumour, its place along the needle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.model.protocol import PassThrough, ProcedureProtocol, SoftCriterion
from navplan.model.safety import Verdict
from navplan.model.trajectory import Target, Trajectory
from navplan.planning import ways as ways_module
from navplan.planning.ablation_ways import (
    LEAST_GAIN_MM,
    METRIC,
    margin_over_goal_mm,
    margins_over_goal_mm,
    placements,
    surely_missed,
)
from navplan.planning.ablation_zone import zone_of
from navplan.planning.check_plan import judge
from navplan.planning.criteria import METRICS
from navplan.planning.entry_search import search, trajectory_to
from navplan.planning.situation import Situation
from navplan.planning.way_metrics import desirability_of
from navplan.verbs.by_hand import search_metrics, worth_of
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Capsule
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of
from tests.planning.test_ablation import probe, rules, zone

WISH = SoftCriterion(METRIC, 0.0, -10.0, 3.0, "mm", "test")
MIDDLE, AXIS = np.asarray((-40.0, 0.0, 0.0)), np.asarray((1.0, 1.0, 0.0)) / np.sqrt(2.0)
ENDS = MIDDLE - 12.0 * AXIS, MIDDLE + 12.0 * AXIS
ASIDE = (-40.0 + 7.0 / np.sqrt(2.0), 7.0 / np.sqrt(2.0), 0.0)  # in it, 7 mm from its middle
LONG = Capsule(*ENDS, 6.0)  # 36 x 12 mm, obliquely from the front
SOLIDS_LONG = {**SOLIDS, "lesion": (LONG, 60.0)}
CIGAR = probe(zone(30.0, 1.0, length=60.0))  # covers it with 5 mm only along the needle


def wishing() -> ProcedureProtocol:
    return rules(soft=(*protocol_of().soft, WISH))


def situation(protocol: ProcedureProtocol, aim: Target | None = None) -> Situation:
    case = case_of(grid_of((2.0, 2.0, 2.0)), solids=SOLIDS_LONG)
    return situation_of(case, protocol, aim or target_of(dict(case.structures), "lesion"))


@pytest.fixture(scope="module")
def there() -> Situation:
    return situation(wishing())


def true_margin_mm(way: Trajectory) -> float:
    """Of the solid itself: its two end balls are hull enough, the depth being concave."""
    shape = zone_of(way, CIGAR.zones[0], derated=True)
    rays = np.random.default_rng(0).standard_normal((4000, 3))
    ball = 6.0 * rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return float(shape.depth_mm(np.concatenate([ball + end for end in ENDS])).min())


def turned(way: Trajectory) -> float:
    """Cosine of the angle between needle and tumour."""
    return float(abs(way.direction @ AXIS))


def test_the_way_along_a_long_tumour_is_offered_first(there: Situation) -> None:
    """From the side the way is shorter, and the zone lies across: without the wish no way is proven to cover."""
    found = search(there, CIGAR, top=3)
    assert found.trajectories
    best = found.trajectories[0]
    assert turned(best.trajectory) > 0.9 and best.verdict is Verdict.PASS
    planned = best.report.ablation
    assert planned is not None and best.metrics[METRIC] == planned.margin.low_mm - planned.goal_mm >= 0.0
    assert planned.margin.low_mm <= true_margin_mm(best.trajectory) <= planned.margin.high_mm
    assert best.desirability == pytest.approx(desirability_of(there.protocol, best.metrics))
    unasked = search(situation(rules()), CIGAR, top=3)
    for way in unasked.trajectories:
        assert way.verdict is not Verdict.PASS and METRIC not in way.metrics
        assert turned(way.trajectory) < turned(best.trajectory)


def test_what_is_said_of_many_ways_is_no_more_than_what_the_judgement_says(there: Situation) -> None:
    rng = np.random.default_rng(3)
    rays = rng.standard_normal((8, 3)) * (1.0, 1.0, 0.3)
    rays = np.concatenate([rays / np.linalg.norm(rays, axis=1, keepdims=True), [AXIS, -AXIS]])
    entries = there.target_mm + 60.0 * rays
    told = margins_over_goal_mm(there, CIGAR, entries)
    missed = surely_missed(there, told)
    assert missed.any() and not missed.all()
    for entry, over, miss in zip(entries, told, missed, strict=True):
        judged = [judge(way, there) for way in placements(trajectory_to(entry, there.target_mm, CIGAR), there)]
        exact = max(margin_over_goal_mm(report) or 0.0 for report in judged)
        assert over <= exact + 0.25  # half a step of the tip
        assert not miss or all(report.verdict is Verdict.FAIL for report in judged)


def test_the_zone_moves_along_the_needle_to_where_it_covers_best() -> None:
    """Aimed at 7 mm from the middle of the tumour: the tip stands deeper or less deep by as much."""
    aimed = situation(wishing(), Target(ASIDE, "lesion"))
    for side in (-1.0, 1.0):
        usual = trajectory_to(MIDDLE + side * 70.0 * AXIS, aimed.target_mm, CIGAR)
        placed, last = placements(usual, aimed)
        centre = zone_of(placed, CIGAR.zones[0], derated=True).centre_mm
        assert last == usual and centre == pytest.approx(MIDDLE, abs=1.01)
        gained = [judge(way, aimed).ablation for way in (placed, usual)]
        assert gained[0] is not None and gained[1] is not None
        assert gained[0].margin.low_mm >= gained[1].margin.low_mm + LEAST_GAIN_MM
    best = search(aimed, CIGAR, top=1).trajectories[0]
    assert true_margin_mm(best.trajectory) > 5.0 and best.verdict is not Verdict.FAIL


def test_the_zone_stays_in_the_point_aimed_at_where_nothing_is_gained(there: Situation) -> None:
    usual = trajectory_to(there.target_mm - 70.0 * AXIS, there.target_mm, CIGAR)
    assert placements(usual, there) == (usual,)
    aimed = situation(rules(), Target(ASIDE, "lesion"))  # nobody asked for it
    usual = trajectory_to(aimed.target_mm - 70.0 * AXIS, aimed.target_mm, CIGAR)
    assert placements(usual, aimed) == (usual,)


def test_a_margin_that_cannot_be_measured_is_worth_nothing_and_is_no_number() -> None:
    open_lesion = (*protocol_of().pass_through, PassThrough("lesion", "test"))
    bare = situation(replace(wishing(), pass_through=open_lesion), Target((-40.0, 0.0, 0.0)))
    entries = np.asarray([(-90.0, 0.0, 0.0), (-40.0, -70.0, 0.0)])
    assert np.isneginf(margins_over_goal_mm(bare, CIGAR, entries)).all()
    assert np.isneginf(margins_over_goal_mm(situation(wishing()), replace(CIGAR, zones=()), entries)).all()
    found = search(bare, CIGAR, top=2).trajectories
    assert found
    for way in found:
        assert METRIC not in way.metrics and way.verdict in (Verdict.NOT_EVALUATED, Verdict.FAIL)
        known = {name: value for name, value in way.metrics.items() if name != METRIC}
        assert way.desirability < desirability_of(bare.protocol, known)


def test_a_protocol_without_the_wish_computes_no_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(ways_module, "margins_over_goal_mm", refused)
    case = case_of()
    plain = situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))
    assert search(plain, replace(CIGAR, zones=()), top=1).trajectories


def test_a_way_by_hand_is_told_every_metric_that_a_protocol_may_wish_for() -> None:
    """No wish is left without a value, and a margin that was not measured is worth nothing."""
    wishes = tuple(SoftCriterion(metric, 1.0, 0.0, 1.0, "", "test") for metric in METRICS)
    there = situation(rules(soft=wishes))
    way = trajectory_to(there.target_mm - 70.0 * AXIS, there.target_mm, CIGAR)
    report = judge(way, there)
    told = search_metrics(there, way, report)
    assert set(METRICS) <= set(told) and told[METRIC] == margin_over_goal_mm(report)
    unknown = search_metrics(there, way, replace(report, ablation=None))
    assert np.isneginf(unknown[METRIC]) and worth_of(there, unknown) <= worth_of(there, told)
