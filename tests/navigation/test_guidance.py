"""A needle that is followed: what is measured, what is green and what is not, and that it can be replayed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.guidance_scene import (
    ENTRY,
    LANDMARKS,
    NEEDLE,
    REFERENCE,
    REFERENCE_FROM_PATIENT,
    SHAFT,
    START_S,
    STEP_S,
    STRAIGHT_TIP,
    TARGET,
    TIP_MM,
    TOOL,
    TOUCH_S,
    TRACKER,
    TRACKER_ERROR,
    Stage,
    begun,
    guidance,
    patient_from_tool,
    planned,
    registration,
    step,
    tool,
    tracker_from_reference,
    verified,
)
from navplan.errors import InputError, MismatchError
from navplan.geometry.lines import unit
from navplan.geometry.transform import Transform
from navplan.model.finding import Finding, FindingKind, Verdict
from navplan.model.plan import RankedTrajectory
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathGate, BreathSignal
from navplan.navigation.frames import Edge, Frames, PoseError
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.navigation.live_margin import StructureMargin
from navplan.navigation.patient_registration import RegisteredImage, register_landmarks
from navplan.navigation.reasons import of_margins, of_plan
from navplan.navigation.tool import bent_mm
from navplan.navigation.watchdog import Reason
from navplan.planning.check_plan import judge
from navplan.planning.other_needles import OtherNeedle
from navplan.verbs.situation import situation_of, target_of
from tests.planning.scenes import case_of, protocol_of

AHEAD = np.array([1.0, 0.0, 0.0])


def at_depth(depth_mm: float) -> Stage:
    return Stage(deep=lambda _: depth_mm)


def run(one: Guidance, stage: Stage, time_s: float, frames: int = 40, **changes: float) -> GuidanceFrame:
    for _ in range(frames):
        time_s += STEP_S
        one.breath = BreathSignal(0.2, time_s)
        frame = one.update(stage.poses(time_s, **changes), time_s + 0.005)
    return frame


def test_a_needle_on_its_way_is_green_and_measured() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    frame = run(one, stage, time_s)
    assert frame.verdict is Verdict.PASS and frame.colour == "green" and frame.tone == "" and frame.reasons == ()
    at = frame.approach
    assert at.depth_mm == pytest.approx(20.0, abs=0.6) and at.target_distance_mm == pytest.approx(30.0, abs=0.6)
    assert at.to_target_mm == pytest.approx(30.0, abs=0.6) and at.cross_track_mm < 1.0
    assert at.ahead_mm == pytest.approx(30.0, abs=0.6) and at.angle_deg < 0.5
    assert frame.inserted_mm == pytest.approx(20.0, abs=2.5)
    assert {one.name for one in frame.margins} == {"aorta", "colon", "rib_right_9"}
    assert frame.nearest.name == "rib_right_9" and "rib_right_9" in frame.words
    assert [part.structure for part in one.ahead(frame)] == ["liver", "lesion"]
    assert 0.2 < frame.error.together_mm < 2.0 and "checkpoint skin" in frame.checkpoint


def test_the_needle_as_it_is_shown_lies_within_its_error() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    off = []
    for _ in range(150):
        time_s += STEP_S
        one.breath = BreathSignal(0.2, time_s)
        frame = one.update(stage.poses(time_s), time_s + 0.005)
        wobble = 0.3 * np.sin(3.0 * time_s)
        true = np.asarray(ENTRY) + 20.0 * AHEAD
        found = frame.approach.tip_mm - true
        off.append(np.array([found[0], np.hypot(found[1], found[2]) - abs(wobble)]))
    assert np.sqrt(np.mean(np.square(off), axis=0)).max() < frame.error.together_mm


def test_nothing_is_green_before_all_is_there() -> None:
    stage = at_depth(10.0)
    one = guidance()
    first = one.update(stage.poses(START_S), START_S)
    assert first.verdict is Verdict.NOT_EVALUATED and first.approach is None and first.margins == ()
    assert {"registration", "breath:unknown", "frames"} <= {reason.id for reason in first.reasons}
    one.register(registration())
    one.breath = BreathSignal(0.0, START_S + STEP_S)
    second = one.update(stage.poses(START_S + STEP_S), START_S + STEP_S)
    assert [reason.id for reason in second.reasons] == ["registration"]
    assert second.verdict is Verdict.NOT_EVALUATED and second.approach is not None and second.margins


def test_a_needle_told_in_the_references_frame_is_not_green_without_the_reference_itself() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    assert one.update(stage.poses(time_s + STEP_S), time_s + STEP_S).approach is not None
    for n in range(20):
        now_s = time_s + (2 + n) * STEP_S
        poses = {pose.tool: pose for pose in stage.poses(now_s)}
        within = np.linalg.inv(poses[REFERENCE].matrix) @ poses[TOOL].matrix
        one.breath = BreathSignal(0.2, now_s)
        frame = one.update([ToolPose.measured(TOOL, REFERENCE, within, now_s)], now_s)
    assert frame.verdict is Verdict.NOT_EVALUATED and frame.approach is None and frame.margins == ()
    assert "reference:unseen" in {reason.id for reason in frame.reasons}


def test_no_pose_no_number() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    lost = ToolPose.measured(TOOL, TRACKER, None, time_s + STEP_S)
    frame = one.update([lost], time_s + STEP_S)
    assert frame.approach is None and frame.inserted_mm is None and frame.error is None and frame.margins == ()
    assert frame.nearest is None and one.ahead(frame) == ()


def test_off_the_planned_line_what_was_judged_of_it_no_longer_holds() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    frame = run(one, stage, time_s, aside_mm=7.0)
    assert frame.verdict is Verdict.WARN and frame.reasons[0].id == "plan:off-line"


def test_a_needle_that_leads_into_the_aorta_is_red() -> None:
    one, time_s = begun(at_depth(20.0))
    tip = np.array([-50.0, 0.0, 0.0])
    towards = unit(np.array([15.0, 30.0, 0.0]) - tip)
    long_way = tracker_from_reference(time_s) @ REFERENCE_FROM_PATIENT
    time_s += STEP_S
    one.breath = BreathSignal(0.0, time_s)
    through = tip + 68.0 * towards
    poses = [
        ToolPose(REFERENCE, TRACKER, tracker_from_reference(time_s), time_s, number=900),
        ToolPose(TOOL, TRACKER, long_way @ patient_from_tool(through, towards), time_s, number=900),
    ]
    one.update(poses, time_s)  # the jump
    for n in range(40):
        time_s += STEP_S
        one.breath = BreathSignal(0.0, time_s)
        shaken = patient_from_tool(through + 0.01 * n * np.array([0, 0, 1]), towards)
        reference = tracker_from_reference(time_s)
        poses = [
            ToolPose(REFERENCE, TRACKER, reference, time_s, number=901 + n),
            ToolPose(TOOL, TRACKER, reference @ REFERENCE_FROM_PATIENT @ shaken, time_s, number=901 + n),
        ]
        frame = one.update(poses, time_s)
    assert frame.verdict is Verdict.FAIL and frame.colour == "red" and frame.tone == "continuous"
    assert "margin:aorta" in {reason.id for reason in frame.reasons}


def test_the_whole_shaft_counts_not_the_tip_alone() -> None:
    """The tip stands in the liver, its shaft goes through the colon."""
    one, time_s = begun(at_depth(20.0))
    tip, towards = np.array([-40.0, 0.0, -10.0]), unit(np.array([0.0, 40.0, 30.0]))
    found = []
    for n in range(60):
        time_s += STEP_S
        one.breath = BreathSignal(0.0, time_s)
        reference = tracker_from_reference(time_s)
        true = reference @ REFERENCE_FROM_PATIENT @ patient_from_tool(tip + 0.01 * n * AHEAD, towards)
        poses = [
            ToolPose(REFERENCE, TRACKER, reference, time_s, number=900 + n),
            ToolPose(TOOL, TRACKER, true, time_s, number=900 + n),
        ]
        found = [reason.id for reason in one.update(poses, time_s).reasons]
    assert "margin:colon" in found


def test_what_is_open_in_the_plan_stays_open() -> None:
    situation, ranked = planned()
    left = Finding(FindingKind.NOT_IMAGED, Verdict.WARN, "no image shows it", "costophrenic_recess")
    doubted = replace(ranked, report=replace(ranked.report, findings=(*ranked.report.findings, left)))
    gate = BreathGate(-1, 1, "", "test")
    one = Guidance(situation, doubted, tool(), REFERENCE, TRACKER_ERROR, gate)
    stage = at_depth(10.0)
    one.register(registration())
    verified(one, stage, START_S - 4 * TOUCH_S)
    frame = run(one, stage, START_S)
    assert frame.verdict is Verdict.WARN and "costophrenic_recess" in frame.reasons[0].words
    for report in (replace(ranked.report, image_digest="other"), replace(ranked.report, error_model="")):
        other = Guidance(situation, replace(ranked, report=report), tool(), REFERENCE, TRACKER_ERROR, gate)
        other.register(registration())
        verified(other, stage, START_S + 5)
        frame = run(other, stage, START_S + 6)
        assert frame.verdict is Verdict.NOT_EVALUATED
        assert {reason.id for reason in frame.reasons} <= {"plan:image", "plan:report"}


def test_a_clock_that_went_back_voids_checkpoints_and_makes_nothing_younger() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    calibrated_s, made_s = one.tool.calibrated_s, one.registration.made_s
    frame = run(one, stage, time_s - 500.0)
    assert frame.verdict is Verdict.NOT_EVALUATED and one.checkpoints == ()
    assert one.tool.calibrated_s == pytest.approx(calibrated_s - 500.0, abs=1.0)
    assert one.registration.made_s == pytest.approx(made_s - 500.0, abs=1.0)
    assert run(one, stage, time_s + 1.0).verdict is Verdict.NOT_EVALUATED  # even when the old time is reached again
    verified(one, stage, time_s + 1.0 + 40 * STEP_S)
    assert run(one, stage, time_s + 2.0 + 40 * STEP_S, frames=60).verdict is Verdict.PASS


def knocked(one: Guidance, stage: Stage, time_s: float, name: str, by_mm: float, frames: int) -> GuidanceFrame:
    """From now on one of both sits elsewhere."""
    for _ in range(frames):
        time_s += STEP_S
        one.breath = BreathSignal(0.0, time_s)
        poses = []
        for pose in stage.poses(time_s):
            matrix = np.array(pose.matrix)
            matrix[:3, 3] += (0.0, by_mm, 0.0) if pose.tool == name else (0.0, 0.0, 0.0)
            poses.append(replace(pose, matrix=matrix))
        frame = one.update(poses, time_s + 0.005)
    return frame


@pytest.mark.parametrize(("name", "by_mm"), [(REFERENCE, 12.0), (TOOL, 60.0)])
def test_after_a_jump_a_checkpoint_has_to_be_touched_again(name: str, by_mm: float) -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    true = tuple(np.asarray(ENTRY) + 20.0 * AHEAD)
    knocked(one, stage, time_s, name, by_mm, 3)
    with pytest.raises(InputError, match="jumped"):
        one.touch("skin", true, time_s + 3 * STEP_S + 0.006)
    frame = knocked(one, stage, time_s + 3 * STEP_S, name, by_mm, 100)
    assert frame.verdict in (Verdict.NOT_EVALUATED, Verdict.FAIL)
    assert f"{name} jumped; no checkpoint was touched" in {r.id: r.words for r in frame.reasons}["registration"]
    touched = one.touch("skin", true, time_s + 103 * STEP_S + 0.006)
    assert not touched.holds
    frame = knocked(one, stage, time_s + 103 * STEP_S, name, by_mm, 5)
    assert "does not hold" in {r.id: r.words for r in frame.reasons}["registration"]


def test_a_reference_that_was_long_out_of_sight_needs_a_checkpoint() -> None:
    stage = at_depth(20.0)
    for hidden_s, green in ((5.0, True), (40.0, False)):
        one, time_s = begun(stage)
        for _ in range(int(hidden_s / 0.2)):
            time_s += 0.2
            one.breath = BreathSignal(0.0, time_s)
            poses = [p for p in stage.poses(time_s) if p.tool == TOOL]
            one.update([ToolPose.measured(REFERENCE, TRACKER, None, time_s), *poses], time_s + 0.005)
        frame = run(one, stage, time_s, frames=60)
        assert (frame.verdict is Verdict.PASS) is green
        assert green or "was out of sight for 40 s" in frame.reasons[0].words


def moved(pose: ToolPose, motion: NDArray[np.float64], of_tool: NDArray[np.float64]) -> ToolPose:
    return replace(pose, matrix=motion @ pose.matrix @ (of_tool if pose.tool == TOOL else np.eye(4)))


def test_a_rigid_motion_of_the_tracker_and_another_frame_of_the_tool_change_nothing() -> None:
    motion, of_tool = np.eye(4), np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec((1.0, -2.0, 0.5)).as_matrix()
    motion[:3, 3] = 900, -300, 77
    of_tool[:3, :3] = Rotation.from_rotvec((0.2, 0.7, -1.1)).as_matrix()
    of_tool[:3, 3] = 0.0, 0.0, 0.0  # a turn about its own origin: the arm to the tip stays as long
    frames = []
    for change in (False, True):
        stage, one = at_depth(20.0), guidance()
        if change:
            back = np.linalg.inv(of_tool)
            tip = back @ np.append(TIP_MM, 1.0)
            one = guidance(tip_mm=tuple(tip[:3]), axis=tuple(back[:3, :3] @ (0, 0, 1)))
        one.register(registration())
        for n in range(30):
            time_s = START_S + n * STEP_S
            poses = stage.poses(time_s)
            poses = [moved(pose, motion, of_tool) for pose in poses] if change else poses
            one.breath = BreathSignal(0.0, time_s)
            frame = one.update(poses, time_s)
        frames.append(frame)
    first, second = frames
    assert first.verdict is second.verdict and [r.id for r in first.reasons] == [r.id for r in second.reasons]
    assert np.allclose(first.approach.tip_mm, second.approach.tip_mm, atol=1e-8)
    assert np.allclose(first.approach.direction, second.approach.direction, atol=1e-10)
    assert np.allclose([m.low_mm for m in first.margins], [m.low_mm for m in second.margins], atol=1e-6)
    assert first.error.together_mm == pytest.approx(second.error.together_mm, abs=0.05)  # an end lies on a cell's edge


def test_a_recording_gives_the_same_frames_again() -> None:
    told = []
    for _ in range(2):
        stage = Stage(seed=4)
        one, time_s = begun(stage)
        told.append([step(one, stage, time_s + n * STEP_S).words for n in range(1, 60)])
    assert told[0] == told[1]


def test_a_bent_needle_is_told_by_two_sensors_and_lost_ones_are_named() -> None:
    stage, extra = at_depth(20.0), {"shaft": SHAFT, "straight_tip_mm": tuple(STRAIGHT_TIP)}
    one, time_s = begun(stage, **extra)
    frame = step(one, stage, time_s + STEP_S, shaft=True)
    assert frame.verdict is Verdict.PASS and frame.bent_mm < 1.0
    poses = [pose for pose in stage.poses(time_s + 0.3, shaft=True) if pose.tool != SHAFT]
    frame = one.update(poses, time_s + 0.3)
    assert "bending:unknown" in {reason.id for reason in frame.reasons}
    with pytest.raises(InputError):
        bent_mm(np.zeros(3), Frames().chain("patient", SHAFT, 0.0), one.tool)


def test_names_that_are_not_told_apart_and_times_that_are_none_are_refused() -> None:
    situation, ranked = planned()
    with pytest.raises(InputError):
        Guidance(situation, ranked, tool(), TOOL, TRACKER_ERROR, None)
    with pytest.raises(InputError):
        Guidance(situation, ranked, tool(), REFERENCE, TRACKER_ERROR, None, others=(TOOL,))
    one = guidance()
    with pytest.raises(InputError):
        one.update([], float("nan"))
    with pytest.raises(InputError):
        one.touch("skin", (0, 0, 0), 1.0)
    wrong = registration()
    with pytest.raises(InputError):
        one.register(replace(wrong, transform=replace(wrong.transform, source="elsewhere")))


def test_a_second_way_to_the_patient_that_agrees_does_not_disturb() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    time_s += STEP_S
    true = np.linalg.inv(tracker_from_reference(time_s) @ REFERENCE_FROM_PATIENT)
    edge = Edge("patient", TRACKER, Transform(true, "patient", TRACKER), time_s, 0.1, PoseError(0.5))
    one.frames = one.frames.with_edge(edge)
    assert step(one, stage, time_s).verdict is Verdict.PASS


def test_the_judged_way_of_the_scene_passes() -> None:
    situation, ranked = planned()
    assert judge(ranked.trajectory, situation).verdict is Verdict.PASS


def test_the_error_that_is_told_is_no_less_than_the_true_one_on_any_axis() -> None:
    """Over many procedures: other landmarks' errors, another calibration, other noise."""
    off, told = [], []
    for seed in range(40):
        rng, stage = np.random.default_rng(seed), Stage(seed)
        touched = LANDMARKS @ REFERENCE_FROM_PATIENT[:3, :3].T + REFERENCE_FROM_PATIENT[:3, 3]
        touched = touched + rng.normal(0, 1.0 / np.sqrt(3), touched.shape)
        places = {"target": TARGET, "entry": ENTRY}
        names = tuple(f"{n}" for n in range(len(LANDMARKS)))
        one = guidance(tip_mm=tuple(TIP_MM + rng.normal(0, 0.3 / np.sqrt(3), 3)), tip_error_mm=0.3)
        one.register(register_landmarks(names, LANDMARKS, touched, REFERENCE, places, START_S - 30.0))
        true = np.array([-50.0, 10.0, 5.0])
        reference = tracker_from_reference(START_S)
        needle = reference @ REFERENCE_FROM_PATIENT @ patient_from_tool(true, AHEAD)
        sent = ((REFERENCE, reference), (TOOL, needle))
        poses = [ToolPose.measured(name, TRACKER, stage.shaken(matrix), START_S, number=1) for name, matrix in sent]
        frame = one.update(poses, START_S)
        off.append(frame.approach.tip_mm - true)
        told.append(frame.error.together_mm)
    assert np.sqrt(np.mean(np.square(off), axis=0)).max() < np.mean(told) < 3.0


def test_a_rigid_motion_of_image_and_plan_changes_nothing() -> None:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec((0.3, 0.4, -0.2)).as_matrix()
    motion[:3, 3] = 40, -60, 25

    def at(points: NDArray[np.float64] | tuple[float, ...]) -> NDArray[np.float64]:
        return np.asarray(points, float) @ motion[:3, :3].T + motion[:3, 3]

    case = case_of(motion=motion)
    situation = situation_of(case, protocol_of(), target_of(dict(case.structures), "lesion"))
    way = Trajectory(tuple(at(ENTRY)), tuple(at(TARGET)), NEEDLE)
    ranked = RankedTrajectory(way, {}, 1.0, judge(way, situation))
    gate = BreathGate(-1, 1, "", "test")
    other = Guidance(situation, ranked, tool(), REFERENCE, TRACKER_ERROR, gate)
    touched = LANDMARKS @ REFERENCE_FROM_PATIENT[:3, :3].T + REFERENCE_FROM_PATIENT[:3, 3]
    touched = touched + np.random.default_rng(2).normal(0, 0.2, touched.shape)
    names = tuple(f"{n}" for n in range(len(LANDMARKS)))
    one, frames = guidance(), []
    for here, marks in ((one, LANDMARKS), (other, at(LANDMARKS))):
        places = {"target": here.way.target_mm}
        here.register(register_landmarks(names, marks, touched, REFERENCE, places, START_S - 30.0))
        stage = at_depth(20.0)
        for n in range(5):
            here.breath = BreathSignal(0.0, START_S + n * STEP_S)
            frame = here.update(stage.poses(START_S + n * STEP_S), START_S + n * STEP_S)
        frames.append(frame)
    first, second = frames
    assert [reason.id for reason in first.reasons] == [reason.id for reason in second.reasons]
    assert np.allclose(at(first.approach.tip_mm), second.approach.tip_mm, atol=1e-6)
    for name in ("depth_mm", "angle_deg", "to_target_mm", "cross_track_mm", "entry_aside_mm", "target_aside_mm"):
        assert getattr(first.approach, name) == pytest.approx(getattr(second.approach, name), abs=1e-5)
    near = {m.name: m for m in second.margins}
    for margin in first.margins:
        assert margin.low_mm == pytest.approx(near[margin.name].low_mm, abs=0.05)
        assert margin.verdict is near[margin.name].verdict
    assert first.error.together_mm == pytest.approx(second.error.together_mm, abs=0.05)  # cells lie otherwise


@pytest.mark.parametrize("error", [InputError("odd", "even"), ZeroDivisionError(), np.linalg.LinAlgError()], ids=repr)
def test_what_cannot_be_computed_leaves_green_and_comes_back(error: Exception, monkeypatch) -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(one._margins, "judged", fails)
        frame = run(one, stage, time_s, frames=1)
        assert frame.verdict is Verdict.NOT_EVALUATED and frame.approach is None and frame.margins == ()
        assert "could not be computed" in frame.words
        with pytest.raises(InputError, match="computed"):
            one.touch("skin", ENTRY, time_s + STEP_S + 0.006)
    assert run(one, stage, time_s + STEP_S, frames=60).verdict is Verdict.PASS


def test_a_pose_in_a_frame_that_makes_no_sense_is_told() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    time_s += STEP_S
    frame = one.update([ToolPose(TOOL, TOOL, np.eye(4), time_s, number=999)], time_s)
    assert frame.verdict is Verdict.NOT_EVALUATED


def reason(frame: GuidanceFrame, id: str) -> Reason | None:
    return next((one for one in frame.reasons if one.id == id), None)


def test_a_registration_of_another_image_is_refused_and_one_of_none_is_never_green() -> None:
    one, made = guidance(), registration()
    with pytest.raises(MismatchError, match=r"landmarks of image mr .*the plan's is ct"):
        one.register(replace(made, image=RegisteredImage("mr", "0" * 64)))
    assert one.registration is None
    one.register(replace(made, image=None))
    stage = at_depth(20.0)
    frame = run(one, stage, verified(one, stage, START_S) + TOUCH_S)
    assert frame.verdict is Verdict.NOT_EVALUATED and [r.id for r in frame.reasons] == ["registration:image"]
    assert "names no image" in frame.words


def test_a_registration_turned_about_the_entry_agrees_there_and_is_found_by_landmarks() -> None:
    """The worst that the planned entry lets pass: every place but itself and its axis is shown elsewhere."""
    turn = Rotation.from_rotvec(np.radians(12.0) * np.array([0.3, 0.9, 0.3])).as_matrix()
    wrong = np.eye(4)
    wrong[:3, :3] = turn
    wrong[:3, 3] = ENTRY - turn @ np.asarray(ENTRY)
    made = registration()
    turned = replace(made.transform, matrix=wrong @ made.transform.matrix)
    stage, one = at_depth(0.0), guidance()
    one.register(replace(made, transform=turned))
    run(one, stage, START_S)
    assert one.touch("entry", ENTRY, START_S + 40 * STEP_S).holds
    frame = run(one, stage, START_S + 40 * STEP_S)
    assert "agrees with any registration" in reason(frame, "registration").words
    time_s = verified(one, stage, START_S + 80 * STEP_S)
    frame = run(one, stage, time_s + TOUCH_S)
    assert "does not hold" in reason(frame, "registration").words


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_landmarks_are_not_enough(count: int) -> None:
    stage, one = at_depth(20.0), guidance()
    one.register(registration())
    frame = run(one, stage, verified(one, stage, START_S, count) + TOUCH_S)
    assert frame.verdict is Verdict.NOT_EVALUATED and "do not see a turn" in frame.words


def pushed(
    one: Guidance, stage: Stage, time_s: float, far_mm: NDArray[np.float64], breath: float = 0.2
) -> tuple[GuidanceFrame, float]:
    """The reference goes over the skin, in sight: how far in each frame. The last frame, and its time."""
    for far in far_mm:
        time_s += STEP_S
        one.breath = BreathSignal(breath, time_s)
        poses = []
        for pose in stage.poses(time_s):
            matrix = np.array(pose.matrix)
            matrix[:3, 3] += (0.0, far, 0.0) if pose.tool == REFERENCE else (0.0, 0.0, 0.0)
            poses.append(replace(pose, matrix=matrix))
        frame = one.update(poses, time_s + 0.005)
    return frame, time_s


def to_and_fro(far_mm: float) -> NDArray[np.float64]:
    """In 40 frames."""
    return np.concatenate([np.linspace(0.0, far_mm, 20), np.linspace(far_mm, 0.0, 20)])


def test_a_reference_that_was_pushed_slowly_in_sight_has_to_be_checked_again() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    frame, time_s = pushed(one, stage, time_s, np.linspace(0.0, 7.0, 20))  # never quicker than a patient moves
    assert frame.verdict in (Verdict.NOT_EVALUATED, Verdict.FAIL) and one.checkpoints == ()
    assert f"{REFERENCE} moved by" in reason(frame, "registration").words
    assert "at most 5 mm allowed" in reason(frame, "registration").words
    frame, time_s = pushed(one, stage, time_s, np.linspace(7.0, 0.0, 60))
    assert frame.verdict is Verdict.NOT_EVALUATED  # where it was it does not count by itself, either
    time_s = verified(one, stage, time_s)
    assert run(one, stage, time_s + TOUCH_S, frames=60).verdict is Verdict.PASS


def test_a_reference_that_breath_moves_and_brings_back_keeps_its_checkpoints() -> None:
    stage = at_depth(20.0)
    one, time_s = begun(stage)
    frame, time_s = pushed(one, stage, time_s, to_and_fro(9.0), breath=1.7)  # outside its gate: not held against it
    assert frame.verdict is Verdict.NOT_EVALUATED and len(one.checkpoints) == 4
    frame, time_s = pushed(one, stage, time_s, np.zeros(40))
    assert frame.verdict is Verdict.PASS
    frame, _ = pushed(one, stage, time_s, to_and_fro(2.0))  # as of a patient who lies still
    assert frame.verdict is Verdict.PASS


def crossing(gap_mm: float, error_mm: float = 0.0) -> OtherNeedle:
    """A needle that passes the planned line at a gap, 25 mm deep, and stands away from it outside."""
    middle = np.asarray(ENTRY) + 25.0 * AHEAD + (0.0, 0.0, gap_mm + NEEDLE.diameter_mm)
    towards = unit(np.array([0.5, 1.0, 0.0]))
    ends = middle - 60.0 * towards, middle + 10.0 * towards
    way = Trajectory(tuple(map(float, ends[0])), tuple(map(float, ends[1])), NEEDLE)
    return OtherNeedle(way, "way 1 of plan other", "elsewhere", error_mm)


@pytest.mark.parametrize(
    ("gap_mm", "error_mm", "verdict", "words"),
    [
        (-0.8, 0.0, Verdict.FAIL, "would touch"), (0.7, 0.6, Verdict.WARN, "may touch"),
        (6.0, 0.6, Verdict.PASS, ""),
    ],
)  # fmt: skip
def test_a_needle_that_is_there_already_is_kept_clear_of(
    gap_mm: float, error_mm: float, verdict: Verdict, words: str
) -> None:
    stage = at_depth(10.0)
    one, time_s = begun(stage)
    one.situation = replace(one.situation, others=(crossing(gap_mm, error_mm),))
    frame = run(one, stage, time_s, frames=1)
    found = reason(frame, "beside")
    assert frame.verdict is verdict
    assert (found is None) if not words else (words in found.words and "way 1 of plan other" in found.words)


def test_what_is_summed_up_is_counted() -> None:
    """Beside "54 more reasons" no other number of more stands."""
    left = [Finding(FindingKind.NOT_IMAGED, Verdict.WARN, "no image shows it", f"part {n}") for n in range(21)]
    (told,) = of_plan(left)
    assert told.count == 21 and "the worst of 21" in told.words and "more" not in told.words

    def thin(name: str, low_mm: float, thin: bool = True) -> StructureMargin:
        return StructureMargin(name, low_mm, low_mm, 5.0, Verdict.WARN, "thinner than the voxels", 0.0, thin)

    found = [thin("near", 6.0), thin("far", 30.06), thin("farther", 90.0), thin("other", 60.0, thin=False)]
    told = of_margins(found, 1.0)
    assert [(one.id, one.count, one.verdict) for one in told] == [
        ("margin:near", 1, Verdict.WARN), ("margin:other", 1, Verdict.WARN), ("margin:thin", 2, Verdict.WARN)
    ]  # fmt: skip
    assert "far 30.0 mm and more" in told[-1].words
    assert [one.id for one in of_margins(found[:2], 1.0)] == ["margin:near", "margin:far"]  # one alone says its name
    assert [one.id for one in of_margins(found[:3], 40.0)] == ["margin:near", "margin:far", "margin:farther"]


def test_the_way_ahead_of_a_needle_with_two_sensors_may_bend_as_the_plan_expects() -> None:
    stage = at_depth(10.0)
    one, time_s = begun(stage, shaft=SHAFT, straight_tip_mm=tuple(STRAIGHT_TIP))
    flexible = replace(one.situation.error_model, bend_sigma_per_mm=4e-4)
    one.situation = replace(one.situation, error_model=flexible)
    frame = step(one, stage, time_s + STEP_S, shaft=True)
    assert frame.error.bending_mm > frame.bent_mm + 2e-4 * (45.0**2 - 15.0**2)
