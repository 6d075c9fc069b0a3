"""Why not here? The judgement and the search say the same of one entry; a moved way stays on the skin and in its
target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.errors import GeometryError, InputError
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.planning.entry_candidates import GRAZING, TABLE
from navplan.planning.moved_way import entry_on_skin, moved_way
from navplan.planning.situation import Situation
from navplan.planning.why_not import FREE, OFF_SKIN, limit_line, missed_mm, reason_of_search, reason_on_map, why_not
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import SOLIDS, case_of, protocol_of

DEVICE = "liver-coaxial-18g-150"


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of()


@pytest.fixture(scope="module")
def plan(case: Case) -> Plan:
    return nv.plan(case, protocol_of(), "lesion", device=DEVICE, top=2)


@pytest.fixture(scope="module")
def situation(case: Case) -> Situation:
    return situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))


def test_on_a_candidate_the_search_says_what_its_map_says(plan: Plan, situation: Situation) -> None:
    device = plan.best.trajectory.device
    for n in np.random.default_rng(2).choice(len(plan.skin_map.points_mm), 60, replace=False):
        point = plan.skin_map.points_mm[n]
        here, mapped = reason_of_search(situation, device, point), reason_on_map(plan.skin_map, point)
        assert mapped.apart_mm == 0 and here.words == mapped.words
        np.testing.assert_allclose(here.shortfall_mm, mapped.shortfall_mm, atol=2e-3)


def test_what_is_free_on_the_map_has_nothing_against_it(plan: Plan, situation: Situation) -> None:
    free = plan.skin_map.points_mm[plan.skin_map.reason == -1]
    for point in free[np.random.default_rng(3).choice(len(free), 25, replace=False)]:
        assert why_not(situation, plan.best.trajectory.device, point) == ()


def test_what_the_needle_would_meet_is_named_worst_first(plan: Plan, situation: Situation) -> None:
    device = plan.best.trajectory.device
    found = why_not(situation, device, (-90.0, -1.4, 14.0))  # over the rib
    assert found[0].structure == "rib_right_9" and found[0].verdict is Verdict.FAIL
    line = limit_line(found[0])
    assert "rib_right_9" in line and "1 mm required" in line and "mm deep" in line
    assert [f.verdict.rank for f in found] == sorted(f.verdict.rank for f in found)
    through_both = why_not(situation, device, (90.0, 60.0, 0.0))
    assert through_both[0].structure == "aorta" and missed_mm(through_both[0]) >= 5.0


def test_what_only_the_search_knows_is_told_too(plan: Plan, situation: Situation) -> None:
    words = [f.words for f in why_not(situation, plan.best.trajectory.device, (-40.0, 70.0, 0.0))]
    assert any(TABLE in text for text in words)
    assert reason_of_search(situation, plan.best.trajectory.device, np.array((-40.0, 70.0, 0.0))).words == TABLE
    flat = (-88.0, -70.0, 58.0)  # at the corner of the box the smoothed skin faces elsewhere; far along it is too flat
    assert reason_of_search(situation, plan.best.trajectory.device, np.array(flat)).words in (FREE, GRAZING)
    assert reason_of_search(situation, plan.best.trajectory.device, np.zeros(3)).words == OFF_SKIN


def test_what_was_not_computed_stands_against_every_entry(case: Case, plan: Plan) -> None:
    gone = case.with_structures(Structure("aorta", Presence.UNKNOWN))
    situation = situation_of(gone, protocol_of(), target_of(dict(gone.structures), "lesion"))
    found = why_not(situation, plan.best.trajectory.device, plan.best.trajectory.entry_mm)
    assert [f.verdict for f in found] == [Verdict.NOT_EVALUATED] and found[0].structure == "aorta"


@pytest.mark.parametrize("point", [(np.nan, 0.0, 0.0), (np.inf, 0.0, 0.0), (1.0, 2.0)])
def test_no_answer_for_no_point(plan: Plan, situation: Situation, point: tuple) -> None:
    with pytest.raises(GeometryError):
        why_not(situation, plan.best.trajectory.device, point)
    with pytest.raises(GeometryError):
        moved_way(plan.best.trajectory, situation, entry_mm=point)
    with pytest.raises(GeometryError):
        moved_way(plan.best.trajectory, situation, aim_mm=point)


def test_an_entry_is_put_on_the_skin_along_the_new_line(plan: Plan, situation: Situation) -> None:
    aim = np.array(plan.target.point_mm)
    body = SOLIDS["body"][0]
    rng = np.random.default_rng(5)
    for _ in range(40):
        on_face = np.array((-90.0, *rng.uniform((-60, -50), (60, 50))))
        outward = (on_face - aim) / np.linalg.norm(on_face - aim)
        asked = on_face + rng.uniform(-3.0, 3.0) * outward
        moved = moved_way(plan.best.trajectory, situation, entry_mm=asked)
        entry = np.array(moved.trajectory.entry_mm)
        assert abs(body.signed_distance_mm(entry[None])[0]) <= 1.25
        assert np.linalg.norm(np.cross(entry - aim, outward)) < 1e-9  # on the line that was asked for
        assert moved.trajectory.target_mm == plan.best.trajectory.target_mm
        assert "entry moved by hand" in moved.told[0].words and moved.told[0].kind is FindingKind.SKIN


def test_where_the_line_grazes_the_skin_the_nearest_is_taken(situation: Situation) -> None:
    asked, aim = np.array((-93.0, 0.0, 0.0)), np.array((-88.0, -60.0, 0.0))
    entry, how = entry_on_skin(situation.structures["body"], situation, asked, aim)
    assert abs(SOLIDS["body"][0].signed_distance_mm(entry[None])[0]) <= 1.25
    assert np.linalg.norm(entry - asked) < 4.0 and "onto the nearest skin" in how


def test_the_aim_moves_inside_the_target_only(plan: Plan, situation: Situation) -> None:
    way, risks = plan.best.trajectory, situation.risks
    moved = moved_way(way, situation, aim_mm=(-42.0, 3.0, 2.0))
    assert moved.trajectory.entry_mm == way.entry_mm and moved.trajectory.target_mm == (-42.0, 3.0, 2.0)
    assert moved.situation.target.point_mm == (-42.0, 3.0, 2.0) and moved.situation.target.structure == "lesion"
    assert moved.situation.risks is risks  # nothing is computed twice
    assert moved.trajectory.tip_short_of_target_mm == way.tip_short_of_target_mm
    with pytest.raises(InputError, match="outside lesion"):
        moved_way(way, situation, aim_mm=(-20.0, 0.0, 0.0))
    bare = situation.aimed_at(target_of({}, (-40.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="bare point"):
        moved_way(way, bare, aim_mm=(-41.0, 0.0, 0.0))


@pytest.mark.parametrize(("entry", "error"), [((0.0, 0.0, 0.0), InputError), ((400.0, 0.0, 0.0), GeometryError)])
def test_far_from_the_skin_or_the_image_is_refused(
    plan: Plan, situation: Situation, entry: tuple, error: type[Exception]
) -> None:
    with pytest.raises(error, match="entry"):
        moved_way(plan.best.trajectory, situation, entry_mm=entry)


def test_a_tip_that_somebody_set_stays_so_far_short(plan: Plan, situation: Situation) -> None:
    way = replace(plan.best.trajectory, tip_short_of_target_mm=0.0)
    assert moved_way(way, situation, aim_mm=(-41.0, 0.0, 0.0)).trajectory.tip_short_of_target_mm == 0.0
