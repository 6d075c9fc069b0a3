"""A way of a plan followed live with a simulated tracker: recorded, replayed to the same frames, never greener than it
was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.files.recording import frame_digest, read_recording
from navplan.files.recording_words import explain
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.finding import Verdict
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.pose import ToolPose
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Target, Trajectory
from navplan.navigation.breath import BreathSignal, BreathStated
from navplan.navigation.guidance import Guidance, GuidanceFrame
from navplan.verbs.check import check
from navplan.verbs.navigate import LiveGuidance, guidance_of, registered_image, stated_gate, tracked_way
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan, provenance_of
from navplan.verbs.rehearsal import Rehearsal, rehearsal
from navplan.verbs.replay import recorder, replayed
from tests.planning.scenes import case_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
START_S, STEP_S = 500.0, 0.04


class Clock:
    def __init__(self) -> None:
        self.time_s = START_S

    def __call__(self) -> float:
        return self.time_s


@dataclass
class Followed:
    """A rehearsal that is stepped."""

    case: Case
    plan: Plan
    clock: Clock
    rehearsed: Rehearsal
    guidance: Guidance
    live: LiveGuidance

    def run(self, until_s: float) -> list[GuidanceFrame]:
        found = []
        while self.clock.time_s < START_S + until_s - 1e-9:
            self.clock.time_s += STEP_S
            self.rehearsed.before_step(self.live)
            found.append(self.live.step())
        return found


def followed(case: Case, planned: Plan, record: Path | None = None, **script: object) -> Followed:
    clock = Clock()
    image = registered_image(case, planned.provenance.image_id)
    made = rehearsal(planned.trajectories[0].trajectory, clock=clock, image=image, **script)
    guidance = guidance_of(
        case, planned, tool=made.tool, reference=made.reference, tracker_error=made.tracker_error,
        registration=made.registration, gate=made.gate, now_s=clock(),
    )  # fmt: skip
    kept = recorder(record, case, planned, 0, guidance) if record is not None else None
    return Followed(case, planned, clock, made, guidance, LiveGuidance(guidance, made.link, clock, kept))


@pytest.fixture(scope="module")
def abdomen() -> tuple[Case, Plan]:
    case = phantom("abdomen", spacing_mm=(3.0, 3.0, 3.0))
    made = plan(case, "liver-biopsy", "lesion", top=1)
    return case.with_plan(made), made


@pytest.fixture(scope="module")
def plain() -> tuple[Case, Plan]:
    """A scene whose way passes in every respect."""
    case, rules = case_of(), protocol_of()
    way = RankedTrajectory(Trajectory((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0), NEEDLE), {}, 0.5, SafetyReport(()))
    made = Plan(
        "biopsy", rules, Target((-40.0, 0.0, 0.0), "lesion"), "", "HFS", "", rules.error_models[0], (way,),
        provenance_of(case, "ct"),
    )  # fmt: skip
    return case.with_plan(made), made


def test_from_skin_to_target_recorded_and_replayed_to_the_same_frames(
    abdomen: tuple[Case, Plan], tmp_path: Path
) -> None:
    path = tmp_path / "procedure.jsonl"
    run = followed(*abdomen, record=path, seed=3)
    frames = run.run(6.4)
    assert {frame.verdict for frame in frames[: round(3.7 / STEP_S)]} <= {Verdict.NOT_EVALUATED, Verdict.FAIL}
    assert any("no checkpoint" in reason.words for reason in frames[0].reasons)
    assert len(run.guidance.checkpoints) == 3 and all(point.holds for point in run.guidance.checkpoints)
    assert frames[-1].verdict is Verdict.WARN and "open in the plan" in frames[-1].words
    frames += run.run(8.2)
    run.rehearsed.link.lose("Needle", 0.6)
    hidden = run.run(8.5)
    assert all(one.verdict is Verdict.NOT_EVALUATED and one.approach is None for one in hidden[2:])
    assert "Needle is not seen: hidden" in hidden[-1].words
    frames += hidden
    frames += run.run(16.2)
    run.live.close()

    last, way = frames[-1], abdomen[1].best.trajectory
    assert last.verdict is Verdict.WARN and last.approach is not None
    assert last.approach.depth_mm == pytest.approx(way.tip_depth_mm, abs=1.0)
    assert last.approach.cross_track_mm < 1.0 and last.margins and last.nearest is not None
    recording = read_recording(path)
    assert recording.ended and recording.head.plan == abdomen[1].id
    again = [frame for _, frame in replayed(abdomen[0], path)]
    assert [frame_digest(frame) for frame in again] == [frame_digest(frame) for frame in frames]
    words = explain(recording, 8.4)
    assert "Needle is not seen: hidden" in words and "was not known" in words


def test_green_only_where_all_of_it_is_good_and_never_when_the_needle_is_hidden(plain: tuple[Case, Plan]) -> None:
    assert check(*plain).verdict is Verdict.PASS
    run = followed(*plain, seed=1)
    assert run.run(6.4)[-1].verdict is Verdict.PASS
    run.rehearsed.link.lose("", 0.3)
    frames = run.run(7.1)
    first = next(n for n, one in enumerate(frames) if one.verdict is not Verdict.PASS)
    assert first <= 1 and {one.verdict for one in frames[first:]} == {Verdict.NOT_EVALUATED}
    assert "not seen" in frames[first].words
    assert run.run(9.5)[-1].verdict is Verdict.PASS


def test_breath_outside_its_gate_leaves_green(plain: tuple[Case, Plan]) -> None:
    run = followed(*plain)
    assert run.run(6.4)[-1].verdict is Verdict.PASS
    run.live.breathe(BreathSignal(0.9, run.clock()))
    frame = run.live.step()
    assert frame.verdict is Verdict.NOT_EVALUATED and any(one.id.startswith("breath") for one in frame.reasons)


class Silent:
    """A link that has nothing, and says or does not say why."""

    def __init__(self, words: str = "", error: Exception | None = None) -> None:
        self.words, self.error, self.closed = words, error, 0

    def poses(self) -> list[ToolPose]:
        if self.error is not None:
            raise self.error
        return []

    def fault(self) -> str:
        return self.words

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (Silent("no connection"), "gives nothing: no connection"),
        (Silent(), "0.200 s old"),
        (Silent(error=ValueError("bad")), "it fails: ValueError"),
        (Silent(error=InputError("a bad message")), "a bad message"),
    ],
)
def test_a_link_that_gives_nothing_is_not_evaluated_and_says_why(
    plain: tuple[Case, Plan], link: Silent, words: str
) -> None:
    run = followed(*plain)
    run.run(6.4)
    run.live.link = link
    run.clock.time_s += 0.2
    frame = run.live.step()
    assert frame.verdict is Verdict.NOT_EVALUATED and words in frame.words and frame.approach is None
    run.live.close()
    assert link.closed == 1


def test_what_is_left_out_is_unknown_and_never_good(plain: tuple[Case, Plan]) -> None:
    whole = followed(*plain)
    made, known = whole.rehearsed, {"tool", "tracker_error", "registration", "gate"}
    for missing in sorted(known):
        run = followed(*plain)
        given = {key: getattr(run.rehearsed, key) for key in known - {missing}}
        guidance = guidance_of(*plain, reference=made.reference, now_s=run.clock(), **given)
        run.guidance, run.live = guidance, LiveGuidance(guidance, run.rehearsed.link, run.clock)
        frames = run.run(7.5)
        assert not {frame.verdict for frame in frames} & {Verdict.PASS, Verdict.WARN}, missing
        assert frames[-1].verdict is Verdict.NOT_EVALUATED


def test_a_breath_state_is_a_persons_word_and_no_signal_passes_for_it() -> None:
    assert stated_gate("") is None
    gate = stated_gate("expiration")
    assert gate is not None and gate.state == "expiration"
    from navplan.navigation.breath import breath_fault
    from navplan.navigation.limits import GuidanceLimits

    for value in (0.0, 1.0, -1e9, 1e300, float("inf"), float("nan")):
        assert breath_fault(gate, BreathSignal(value, 0.0), 0.0, GuidanceLimits())
    assert not breath_fault(gate, BreathStated("expiration", "me", 0.0), 1.0, GuidanceLimits())
    assert breath_fault(gate, BreathStated("expiration", "me", 0.0), 60.0, GuidanceLimits())


def test_the_tracked_needle_to_be_drawn(plain: tuple[Case, Plan]) -> None:
    run = followed(*plain)
    frame = run.run(1.0)[-1]
    drawn = tracked_way(frame, NEEDLE)
    assert drawn is not None and frame.approach is not None
    assert_allclose(drawn.target_mm, frame.approach.tip_mm)
    assert_allclose(np.linalg.norm(np.subtract(drawn.target_mm, drawn.entry_mm)), NEEDLE.length_mm)
    assert tracked_way(replace(frame, approach=None), NEEDLE) is None


def test_a_touch_of_a_needle_that_is_not_seen_is_refused(plain: tuple[Case, Plan]) -> None:
    run = followed(*plain)
    with pytest.raises(InputError, match="checkpoint xiphoid"):
        run.live.touch("xiphoid", (1.0, 2.0, 3.0))


def test_another_case_does_not_replay(plain: tuple[Case, Plan], abdomen: tuple[Case, Plan], tmp_path: Path) -> None:
    path = tmp_path / "procedure.jsonl"
    run = followed(*plain, record=path)
    run.run(1.0)
    run.live.close()
    case, planned = plain
    assert len(list(replayed(case, path))) == 25
    aorta = case.structures["aorta"]
    other = case.with_structures(replace(aorta, boundary_sigma_mm=(aorta.boundary_sigma_mm or 0.0) + 1.0))
    with pytest.raises(MismatchError, match="structures"):
        next(replayed(other, path))
    moved = replace(planned.trajectories[0], trajectory=Trajectory((-90.0, 1.0, 0.0), (-40.0, 0.0, 0.0), NEEDLE))
    with pytest.raises(MismatchError, match="way"):
        next(replayed(case, path, replace(planned, trajectories=(moved,))))
    with pytest.raises(ChoiceError):
        next(replayed(abdomen[0], path))


def test_frames_that_come_out_differently_are_refused(
    plain: tuple[Case, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "procedure.jsonl"
    run = followed(*plain, record=path)
    run.run(1.0)
    run.live.close()
    update = Guidance.update

    def other(self: Guidance, poses: Sequence[ToolPose], now_s: float, also: Sequence[object] = ()) -> GuidanceFrame:
        frame = update(self, poses, now_s)
        return replace(frame, age_s=float(np.nextafter(frame.age_s, np.inf))) if now_s > START_S + 0.5 else frame

    monkeypatch.setattr(Guidance, "update", other)
    with pytest.raises(MismatchError, match="comes out differently"):
        list(replayed(plain[0], path))


def test_a_guidance_that_has_begun_is_not_recorded(plain: tuple[Case, Plan], tmp_path: Path) -> None:
    run = followed(*plain)
    run.run(2.0)
    with pytest.raises(InputError, match="has begun"):
        recorder(tmp_path / "a.jsonl", *plain, 0, run.guidance)
    assert not list(tmp_path.iterdir())


def test_a_recording_that_stops_is_told(plain: tuple[Case, Plan], tmp_path: Path) -> None:
    run = followed(*plain, record=tmp_path / "a.jsonl")
    run.run(6.4)
    assert run.live.recording is not None
    run.live.recording.fault = "the recording stopped: no space"
    frame = run.live.step()
    assert frame.verdict is Verdict.WARN and "no space" in frame.words and frame.approach is not None
