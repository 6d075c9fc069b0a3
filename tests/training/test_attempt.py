"""Attempts at a scene with known truth: what is touched, felt and logged, and that it plays again to the bit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.carm import ViewAngles
from navplan.model.device import Device
from navplan.model.scenario import BreathModel, Costs, Goal, GoalKind, Hazard, Variation
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.margins import margins
from navplan.training.actions import (
    Advance,
    Breathe,
    CtScan,
    Finish,
    Fire,
    HoldBreath,
    Inject,
    Lever,
    MoveCarm,
    Pedal,
    Place,
    Turn,
    Wait,
    Xray,
    action_of,
)
from navplan.training.attempt import MOST_ACTIONS, Attempt, replayed
from navplan.training.metrics import metrics_of
from navplan.training.needle_path import NeedlePath
from navplan.training.outcome import outcome_of
from tests.training.training_scene import (
    AORTA_FRONT,
    BREATH,
    ENTRY,
    NEEDLE,
    TARGET,
    patient_of,
    scenario_of,
    way_of,
)

BACK = (0.0, 1.0, 0.0)


def attempt_of(seed: int = 0, breath: bool = False, **changes: object) -> Attempt:
    motion = BREATH if breath else None
    return Attempt(scenario_of(breath=motion, **changes), patient_of(breath=motion), way_of(), seed)


def kinds(entry) -> list[str]:
    return [event.kind for event in entry.events]


def whole(attempt: Attempt) -> Attempt:
    """A bit of everything, the lesion reached."""
    direction = tuple(way_of().direction.tolist())
    for action in (
        MoveCarm(10.0, 5.0, TARGET, 150.0), Xray(), Wait(3.0), Place(ENTRY, direction), HoldBreath(), Advance(30.0),
        CtScan(), Turn(90.0), Advance(20.0), Advance(-8.0), Lever((0.0, 0.0, 1.0), 1.0), Pedal(7.5), Advance(9.0),
        Pedal(0.0), Breathe(), Advance(19.2), Inject(1.0), Fire(), Finish(),
    ):  # fmt: skip
        attempt.act(action)
    return attempt


def test_a_control_scan_costs_by_its_length():
    attempt = attempt_of()
    index = attempt.scenario.costs.ct_scan_mgy
    attempt.act(CtScan(20.0))
    assert attempt.log[-1].ct_mgy_cm == pytest.approx(2.0 * index)
    attempt.act(CtScan(160.0))
    assert attempt.log[-1].ct_mgy_cm == pytest.approx(18.0 * index)
    assert attempt.log[-1].time_s == pytest.approx(2 * attempt.scenario.costs.ct_scan_s)
    for wrong in (0.0, -80.0, 9.0, 401.0, float("nan"), 10**400):
        with pytest.raises(InputError):
            attempt.act(CtScan(wrong))
    assert len(attempt.log) == 2


def test_it_plays_again_to_the_bit_also_from_a_file_of_whole_numbers():
    varied = {"bend_mm_at_100": 5.0, "variation": Variation(3.0, 3.0, 0.3, moves_per_hour=200.0)}
    first = whole(attempt_of(7, breath=True, **varied))
    records = json.loads(json.dumps([entry.action for entry in first.log]).replace("30.0", "30"))
    again = replayed([action_of(one) for one in records], first.scenario, first.patient, first.way, 7)
    assert [entry.chain for entry in again.log] == [entry.chain for entry in first.log]
    other = replayed([action_of(one) for one in records], first.scenario, first.patient, first.way, 8)
    assert other.log[-1].chain != first.log[-1].chain
    told = [[one.value for one in metrics_of(of.log, of.way)] for of in (again, first)]
    np.testing.assert_array_equal(*told)


def test_an_altered_entry_breaks_the_chain():
    first = whole(attempt_of())
    actions = [action_of(entry.action) for entry in first.log]
    actions[5] = Advance(np.nextafter(30.0, 31.0))
    again = replayed(actions, first.scenario, first.patient, first.way, 0)
    assert again.log[4].chain == first.log[4].chain and again.log[5].chain != first.log[5].chain


@pytest.mark.parametrize(
    "action",
    [
        Advance(5.0), Turn(10.0), Lever((0.0, 0.0, 1.0), 2.0), Fire(), Inject(1.0), Xray(), Pedal(7.5), Wait(-1.0),
        Wait(float("nan")), Place((0.0, 0.0, 0.0), BACK), Place(ENTRY, (0.0, -1.0, 0.0)), MoveCarm(200.0, 0.0, TARGET),
        MoveCarm(0.0, 0.0, TARGET, field_mm=10.0), MoveCarm(0.0, 0.0, TARGET, sid_mm=100.0),
        MoveCarm(0.0, 0.0, TARGET, plane=2), MoveCarm(0.0, 0.0, (0.0, float("inf"), 0.0)),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_and_changes_nothing(action):
    attempt, quiet = attempt_of(), attempt_of()
    with pytest.raises(InputError):
        attempt.act(action)
    assert attempt.act(Wait(1.0)).chain == quiet.act(Wait(1.0)).chain


def test_in_the_body_no_second_place_no_axis_no_dry_syringe():
    attempt = attempt_of()
    attempt.act(Place(ENTRY, BACK))
    attempt.act(Advance(10.0))
    attempt.act(MoveCarm(0.0, 0.0, TARGET))
    refused = (Place(ENTRY, BACK), Lever((0.0, 0.0, 0.0), 5.0), Inject(0.0), Inject(50.0), Advance(401.0), Xray(5.0))
    for action in refused:
        with pytest.raises(InputError):
            attempt.act(action)
    attempt.act(Finish())
    with pytest.raises(InputError):
        attempt.act(Wait(1.0))
    assert attempt.ending is not None and not attempt.ending.goal_met


def test_whole_breaths_hide_no_touch():
    breath = BreathModel(("aorta",), (-40.0, 0.0, 0.0), 4.0, 0.1, "test")
    costs = Costs(place_s=4.0, advance_s_per_mm=0.0)
    attempt = Attempt(scenario_of(breath=breath, costs=costs), patient_of(breath=breath), way_of())
    attempt.act(Place((-5.0, -70.0, 0.0), BACK))
    assert not attempt.act(Advance(100.0)).needle.touched
    entry = attempt.act(Wait(4.0))  # the aorta has gone over the needle and back
    assert not entry.needle.touched and kinds(entry) == ["touched"]
    told = {one.name: one.value for one in metrics_of((*attempt.log, attempt.act(Finish())), attempt.way)}
    assert told["no_go_touched"] == 1.0


def test_a_lever_sweeps_what_lies_between_and_no_strength_beats_the_tissue():
    attempt = attempt_of()
    attempt.act(Place(AORTA_FRONT, BACK))
    for turn in (170.0, -100.0, 9e4, -9e4):  # out of the skin, or round and round
        with pytest.raises(InputError):
            attempt.act(Lever((0.0, 0.0, 1.0), turn))
    (touch,) = (risk.boundary for risk in attempt.patient.situation.risks if risk.name == "aorta")
    middle = touch.centres_mm.mean(axis=0)
    attempt.act(Lever((0.0, 0.0, 1.0), 15.0))
    attempt.act(Advance(float(middle[1] - AORTA_FRONT[1])))
    assert not attempt.log[-1].needle.touched
    with pytest.raises(InputError):
        attempt.act(Lever((0.0, 0.0, 1.0), -9e4))
    swept = [attempt.act(Lever((0.0, 0.0, 1.0), -60.0)) for _ in range(13)]
    assert any("touched" in kinds(entry) for entry in swept)
    assert any(event.structure == "aorta" for entry in swept for event in entry.events if event.kind == "entered")


def test_an_attempt_that_is_too_long_can_still_be_finished():
    attempt = attempt_of()
    for _ in range(7):
        attempt.act(Wait(600.0))
    with pytest.raises(InputError):
        attempt.act(Wait(1.0))
    attempt.act(Finish())
    assert attempt.ending is not None and MOST_ACTIONS > 1000


def test_the_aorta_is_touched_where_it_lies_and_for_as_long():
    attempt = attempt_of()
    attempt.act(Place(AORTA_FRONT, BACK))
    assert not attempt.act(Advance(86.0)).needle.touched
    entry = attempt.act(Advance(10.0))
    assert [event.structure for event in entry.events if event.kind == "touched"] == ["aorta"]
    assert entry.needle.touched == ("aorta",) and entry.needle.tissue == "aorta"
    before = entry.touched_s
    assert 0.0 < before < 10.0 * attempt.scenario.costs.advance_s_per_mm
    assert attempt.act(Wait(7.0)).touched_s == pytest.approx(before + 7.0)
    out = attempt.act(Advance(-20.0))
    assert out.needle.touched == () and attempt.act(Wait(50.0)).touched_s == out.touched_s
    attempt.act(Finish())
    told = {one.name: one.value for one in metrics_of(attempt.log, attempt.way)}
    assert told["no_go_touched"] == 1.0 and told["no_go_s"] == out.touched_s


def test_touching_agrees_with_planning():
    """Never touched for sure where planning's interval has no zero; and whatever may be touched by planning may be."""
    patient, rng = patient_of(), np.random.default_rng(3)
    situation, counted = patient.situation, 0
    for _ in range(60):
        point = np.array([*rng.uniform((-85, -70), (85, -70)), rng.uniform(-55, 55)])
        along = np.array([*rng.uniform(-0.5, 0.5, 2), 1.0])[[0, 2, 1]]
        path = NeedlePath.on_skin(point, along)
        for _ in range(180):
            path = path.advanced(0.5, 0.0)
        sure, maybe = patient.touched(path, NEEDLE.radius_mm)
        found = margins(situation.boundaries, path.entry_mm, path.tip_mm)
        low, high = found.low_mm(NEEDLE.radius_mm)[0], found.high_mm(NEEDLE.radius_mm)[0]
        assert {*sure, *maybe} == {risk.name for risk, at in zip(situation.risks, low, strict=True) if at <= 0.0}
        assert {risk.name for risk, at in zip(situation.risks, high, strict=True) if at <= 0.0} <= set(sure)
        for name in sure:  # by the solid's own truth, to the voxels' half diagonal
            assert _true_distance(name, path) <= NEEDLE.radius_mm + 2.2
            counted += 1
    assert counted > 5


def _true_distance(name: str, path: NeedlePath) -> float:
    from tests.planning.scenes import SOLIDS

    return float(SOLIDS[name][0].signed_distance_mm(path.points_mm).min())


def test_bone_stops_a_needle_and_not_one_for_bone():
    aside = (-90.0, 0.0, 13.0)
    for into_bone, stops in ((False, True), (True, False)):
        attempt = attempt_of(into_bone=into_bone)
        attempt.act(Place(aside, (1.0, 0.0, 0.0)))
        entry = attempt.act(Advance(20.0))
        assert ("stopped" in kinds(entry)) is stops
        if stops:
            assert entry.needle.tip_mm[0] == pytest.approx(-82.0 - 5.0, abs=2.5) and entry.needle.inserted_mm < 6.0
            promised = judge(way_of(), attempt.patient.situation)
            rows = outcome_of(attempt, [attempt.path] * len(attempt.log), promised).structures
            assert [row.name for row in rows if row.stopped] == [entry.events[-1].structure]


def test_the_hub_and_the_far_side():
    attempt = Attempt(scenario_of(), patient_of(), Trajectory(ENTRY, TARGET, replace(NEEDLE, length_mm=100.0)))
    attempt.act(Place((60.0, -70.0, 50.0), BACK))
    entry = attempt.act(Advance(120.0))
    assert kinds(entry)[-1] == "hub" and entry.needle.inserted_mm <= 100.0
    through = attempt_of()
    through.act(Place((60.0, -70.0, 50.0), BACK))
    assert kinds(through.act(Advance(145.0))).count("out") == 1


def test_every_goal_by_its_own_measure():
    reach = way_of().depth_mm
    throw = Device("cut", "cutting", 18, 1.3, 150.0, 20.0)
    sampled = Trajectory(ENTRY, TARGET, throw, 10.0)
    for kind, way, depth, met, off in (
        (GoalKind.TIP, way_of(), reach, True, 0.0), (GoalKind.TIP, way_of(), reach - 8.0, False, 8.0),
        (GoalKind.SAMPLE, sampled, reach - 10.0, True, 0.0), (GoalKind.SAMPLE, sampled, reach + 5.0, False, 15.0),
        (GoalKind.CEMENT, way_of(), reach, True, 0.0), (GoalKind.BLOCK, way_of(), reach, False, 0.0),
    ):  # fmt: skip
        attempt = Attempt(scenario_of(goal=Goal(kind, 5.0)), patient_of(), way, 0)
        attempt.act(Place(ENTRY, tuple(way.direction.tolist())))
        attempt.act(Advance(depth))
        attempt.act(Fire())
        last = attempt.act(Finish())
        assert attempt.ending.goal_met is met and attempt.ending.off_mm == pytest.approx(off, abs=1e-6)
        assert ("goal_met" in kinds(last)) is met


def test_a_block_needs_contrast_at_the_very_place():
    attempt = attempt_of(goal=Goal(GoalKind.BLOCK, 5.0))
    attempt.act(Place(ENTRY, tuple(way_of().direction.tolist())))
    attempt.act(Advance(60.0))
    attempt.act(Inject(1.0))
    attempt.act(Advance(way_of().depth_mm - 60.0))
    assert "no contrast" in attempt.act(Fire()).events[0].words
    attempt.act(Inject(1.0))
    attempt.act(Fire())
    attempt.act(Finish())
    assert attempt.ending.goal_met


def test_goals_that_a_way_cannot_come_to_are_refused():
    for goal in (GoalKind.ABLATE, GoalKind.EPIDURAL):
        with pytest.raises(InputError):
            attempt_of(goal=Goal(goal, 5.0))


def test_breath_moves_what_it_names_where_it_says():
    attempt = attempt_of(breath=True)
    assert attempt.breath_at(0.0) == 0.0 and attempt.breath_at(2.0) == pytest.approx(1.0)
    assert np.mean([attempt.breath_at(t) for t in np.arange(0.0, 4.0, 0.01)]) == pytest.approx(3.0 / 8.0, abs=0.01)
    patient, top = attempt.patient, np.array([-40.0, 0.0, 8.0])
    np.testing.assert_allclose(patient.target_mm(1.0) - patient.target_mm(0.0), [0.0, 3.0, -12.0])
    assert patient.tissues_at(top)[0] == "lesion" and patient.tissues_at(top, 1.0)[0] == "liver"
    below = np.array([-40.0, 3.0, -20.0])
    assert patient.tissues_at(below)[0] == "liver" and patient.tissues_at(below, 1.0)[0] == "lesion"
    assert patient.tissues_at(np.array([15.0, 30.0, 0.0]), 1.0)[0] == "aorta"
    held = attempt.act(HoldBreath())
    assert attempt.act(Wait(5.0)).breath == held.breath < 0.5
    assert "breathes" in kinds(attempt.act(Wait(30.0)))


def test_held_breaths_come_back_about_as_well_as_the_scenario_says():
    phases = [attempt_of(seed, breath=True).act(HoldBreath()).breath for seed in range(300)]
    assert np.sqrt(np.mean(np.square(phases))) == pytest.approx(BREATH.hold_sd, rel=0.15)


def test_patients_move_at_the_rate_that_is_set():
    moves, lengths = 0, []
    for seed in range(20):
        attempt = attempt_of(seed, variation=Variation(0.0, 0.0, 0.0, moves_per_hour=30.0, move_mm=4.0))
        for _ in range(6):
            events = [one for one in attempt.act(Wait(600.0)).events if one.kind == "patient_moved"]
            moves, lengths = moves + len(events), lengths + [one.value**2 for one in events]
        assert np.linalg.norm(attempt.moved_mm) > 0.0
    assert moves == pytest.approx(20 * 30, abs=3 * np.sqrt(600))
    assert np.sqrt(np.mean(lengths)) == pytest.approx(4.0, rel=0.15)


def test_hazards_come_as_often_as_their_odds_say():
    hazard = Hazard("bleeding", 0.2, (("vessel_crossed", 3.0), ("several_passes", 2.0)), "test")
    came = {False: 0, True: 0}
    for seed in range(250):
        for crossed in (False, True):
            attempt = attempt_of(seed, hazards=(hazard,))
            if crossed:
                attempt.act(Place(AORTA_FRONT, BACK))
                attempt._room.passage.entered.add("aorta")
            last = attempt.act(Finish())
            came[crossed] += "hazard_came" in kinds(last)
            (chance,) = [event.value for event in last.events if event.structure == "bleeding"]
            assert chance == pytest.approx(0.75 / 1.75 if crossed else 0.2)
    for crossed, chance in ((False, 0.2), (True, 0.75 / 1.75)):
        assert came[crossed] / 250 == pytest.approx(chance, abs=3.0 * np.sqrt(chance * (1 - chance) / 250))


def motion() -> np.ndarray:
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xyz", [12.0, -8.0, 20.0], degrees=True).as_matrix()
    moved[:3, 3] = (13.0, -7.0, 21.0)
    return moved


def test_patient_and_actions_moved_together_come_to_the_same_metrics():
    moved, told = motion(), []
    turn = moved[:3, :3]
    for m in (np.eye(4), moved):

        def point(p, m=m):
            return tuple((m[:3, :3] @ np.asarray(p) + m[:3, 3]).tolist())

        def along(d, m=m):
            return tuple((m[:3, :3] @ np.asarray(d)).tolist())

        way = Trajectory(point(ENTRY), point(TARGET), NEEDLE)
        patient = patient_of(None if m is not moved else moved)
        attempt = Attempt(scenario_of(bend_mm_at_100=6.0), patient, way, 4)
        attempt.act(Place(point(AORTA_FRONT), along(BACK)))
        # the bevel lies where the frame put it: turned to the same side of the patient in both
        wanted = m[:3, :3] @ np.array([1.0, 0.0, 0.0])
        path = attempt.path
        angle = np.degrees(np.arctan2(wanted @ np.cross(path.direction, path.bevel), wanted @ path.bevel))
        attempt.act(Turn(float(angle)))
        for action in (
            Advance(50.0), Turn(90.0), Advance(43.0), CtScan(), Wait(4.0), Advance(-60.0), Turn(45.0),
            Lever(along((0.0, 0.0, 1.0)), 3.0), Advance(30.0), Fire(), Finish(),
        ):  # fmt: skip
            attempt.act(action)
        told.append([one.value for one in metrics_of(attempt.log, way)])
    assert turn[0, 1] != 0.0
    np.testing.assert_allclose(told[1], told[0], atol=1e-6)
    assert told[0][0] == 1.0  # the aorta was touched in both


def test_sides_and_units_that_the_learner_sees():
    attempt = attempt_of()
    attempt.act(Place(ENTRY, BACK))
    entry = attempt.act(Advance(25.0))
    np.testing.assert_allclose(entry.needle.tip_mm, np.add(ENTRY, (0.0, 25.0, 0.0)))  # back is +y: mm, LPS
    assert entry.time_s == pytest.approx(20.0 + 25.0 * 0.5)
    left = Attempt(scenario_of(), patient_of(), way_of(), 0)
    left.act(Place((-90.0, 0.0, 13.0), (1.0, 0.0, 0.0)))  # from the patient's right, to his left: +x
    stopped = left.act(Advance(20.0))
    assert stopped.events[-1].structure == "rib_right_9" and stopped.needle.tip_mm[0] < 0.0
    assert ViewAngles(30.0, 0.0).toward_detector[0] > 0.0  # LAO: the detector at the patient's left
    assert ViewAngles(0.0, 20.0).toward_detector[2] > 0.0  # CRA: towards the head
