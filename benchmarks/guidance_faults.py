"""What guidance does when something goes wrong: `python -m benchmarks.guidance_faults --out docs/guidance-faults.md`.

A simulated needle is followed, green, on the way of a plan that passes; then one thing goes wrong, once. For each: when
it can first be known, when the display left green, and what it said. Without a fault, and with those that are none, it
has to stay green.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.guidance_scene import (
    ENTRY,
    RATE_HZ,
    REFERENCE,
    REFERENCE_FROM_PATIENT,
    SHAFT,
    STEP_S,
    STRAIGHT_TIP,
    TOOL,
    TRACKER,
    Stage,
    begun,
    depth_at,
    rigid,
    tracker_from_reference,
)
from navplan.geometry.transform import Transform
from navplan.model.finding import Verdict
from navplan.model.pose import ToolPose
from navplan.model.trajectory import Trajectory
from navplan.navigation.breath import BreathSignal, BreathStated
from navplan.navigation.frames import Edge, PoseError
from navplan.navigation.guidance import Guidance
from navplan.navigation.limits import GuidanceLimits
from navplan.planning.other_needles import OtherNeedle

LIMITS = GuidanceLimits()
GREEN_S, LONGEST_S = 1.5, 4.0  # of a run, before and after the fault
ONE_FRAME_S = STEP_S + 1e-6


@dataclass
class Now:
    """What a fault may change: the poses of this frame, the time, what is known; since_s: after it began."""

    guidance: Guidance
    stage: Stage
    poses: list[ToolPose]
    now_s: float
    since_s: float
    kept: dict[str, ToolPose]


@dataclass(frozen=True)
class Fault:
    """change: what goes wrong; knowable_s: after how long it can first be known, infinite where poses never tell it;
    when: the same in words; told: the beginning of the reason's id; shaft: with a second sensor on the shaft; stays:
    that it is none."""

    name: str
    change: Callable[[Now], None]
    knowable_s: float
    when: str
    told: str
    shaft: bool = False
    stays: bool = False
    limits: GuidanceLimits = LIMITS


@dataclass(frozen=True)
class Seen:
    """left_s: when the display left green after the fault, None where it did not; verdict and words then, ids: of all
    reasons then; before: frames before the fault that were not green."""

    left_s: float | None
    verdict: Verdict
    words: str
    ids: tuple[str, ...]
    before: int


def matrix_of(now: Now, name: str, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
    """Let a tool send another matrix."""
    now.poses = [
        ToolPose.measured(p.tool, p.frame, change(np.array(p.matrix)), p.time_s, p.sent_s, p.number)
        if p.tool == name and p.matrix is not None
        else p
        for p in now.poses
    ]


def hidden(name: str) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        now.poses = [
            ToolPose.measured(p.tool, p.frame, None, p.time_s, p.sent_s, p.number) if p.tool == name else p
            for p in now.poses
        ]

    return change


def sends(name: str, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[Now], None]:
    return lambda now: matrix_of(now, name, of)


def frozen(name: str) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        for pose in now.poses:
            now.kept.setdefault(pose.tool, pose)
        matrix_of(now, name, lambda _: np.array(now.kept[name].matrix))

    return change


def with_nan(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix[0, 3] = np.nan
    return matrix


def flipped(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the quaternion of the other sign, which is the same turn."""
    matrix[:3, :3] = Rotation.from_quat(-Rotation.from_matrix(matrix[:3, :3]).as_quat()).as_matrix()
    return matrix


def shifted(by: tuple[float, float, float]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def change(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix[:3, 3] += by
        return matrix

    return change


def times(now: Now, time_s: float = 0.0, sent_s: float = 0.0) -> None:
    """Poses with other times."""
    now.poses = [replace(p, time_s=p.time_s + time_s, sent_s=p.sent_s + sent_s) for p in now.poses]


def clock(by_s: float) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        times(now, by_s)
        now.now_s += by_s
        now.guidance.breath = BreathSignal(0.2, now.now_s)

    return change


def swapped(now: Now) -> None:
    now.poses = [replace(p, tool="needle-9") if p.tool == TOOL else p for p in now.poses]


def other_tool(**changes: object) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        now.guidance.tool = replace(now.guidance.tool, **changes)  # type: ignore[arg-type]

    return change


def breath(value: float | None) -> Callable[[Now], None]:
    def change(now: Now) -> None:
        began_s = now.now_s - now.since_s
        now.guidance.breath = BreathSignal(0.2, began_s) if value is None else BreathSignal(value, now.now_s)

    return change


def stated(now: Now) -> None:
    now.guidance.breath = BreathStated("breathing freely", "nurse", now.now_s)


def bent(now: Now) -> None:
    """The tip goes aside from the shaft."""
    matrix_of(now, SHAFT, lambda matrix: matrix @ rigid((0, 0, 0), (0, 4.0, 0)))


def too_deep(now: Now) -> None:
    began_s = now.now_s - now.since_s
    at_begin = depth_at(began_s)
    now.stage.deep = lambda time_s: at_begin + max(time_s - began_s, 0.0) * 40.0


def slips(now: Now) -> None:
    """The reference slides over the skin, slowly and not far; after three seconds somebody touches a checkpoint."""
    off = np.clip(now.since_s, 0.0, 3.0)
    matrix_of(now, REFERENCE, lambda matrix: matrix @ rigid((0, 0, 0), (0.0, float(off), 0.0)))
    if now.since_s >= 3.0 and "touched" not in now.kept:
        now.kept["touched"] = now.poses[0]
        true = np.asarray(ENTRY) + now.stage.deep(now.now_s) * np.array([1.0, 0.0, 0.0])
        now.guidance.touch("skin again", true.tolist(), now.now_s)


def pushed(now: Now) -> None:
    """The reference is pushed over the skin in sight, no quicker than a patient moves."""
    off = 60.0 * now.since_s
    matrix_of(now, REFERENCE, lambda matrix: matrix @ rigid((0, 0, 0), (0.0, off, 0.0)))


def of_no_image(now: Now) -> None:
    made = now.guidance.registration
    assert made is not None
    now.guidance.registration = replace(made, image=None)


def fewer_checkpoints(now: Now) -> None:
    """All but two are taken back."""
    now.guidance.checkpoints = now.guidance.checkpoints[:2]


def entry_alone(now: Now) -> None:
    """The only place that was touched is the planned entry."""
    first = now.guidance.checkpoints[0]
    now.guidance.checkpoints = (replace(first, name="entry", patient_mm=ENTRY, touched_mm=ENTRY),)


def needle_beside(now: Now) -> None:
    """Another needle was placed across the way."""
    other = Trajectory((-65.0, -60.0, 0.3), (-65.0, 10.0, 0.3), now.guidance.way.device)
    there = OtherNeedle(other, "way 1 of plan other", "elsewhere")
    now.guidance.situation = replace(now.guidance.situation, others=(there,))


def checkpoint_off(now: Now) -> None:
    if "touched" not in now.kept:
        now.kept["touched"] = now.poses[0]
        true = np.asarray(ENTRY) + now.stage.deep(now.now_s) * np.array([1.0, 0.0, 0.0])
        now.guidance.touch("xiphoid", (true + np.array([0.0, 3.5, 0.0])).tolist(), now.now_s)


def unregistered(now: Now) -> None:
    now.guidance.registration = None


def second_way(now: Now) -> None:
    """Another system says where the patient is, and differs."""
    true = np.linalg.inv(tracker_from_reference(now.now_s) @ REFERENCE_FROM_PATIENT)
    off = Transform(rigid((0, 0, 0), (6.0, 0.0, 0.0)) @ true, "patient", TRACKER)
    edge = Edge("patient", TRACKER, off, now.now_s - 0.004, 0.1, PoseError(1.0))
    now.guidance.frames = now.guidance.frames.with_edge(edge)


def unknown_error(now: Now) -> None:
    now.guidance.tracker_error = PoseError(float("nan"))


def counts_back(now: Now) -> None:
    now.poses = [replace(p, number=p.number - 50) for p in now.poses]


def stops(now: Now) -> None:
    now.poses = []


def nothing(now: Now) -> None:
    """No fault."""


AT_ONCE = "at its first frame"
FAULTS = (
    Fault("none", nothing, np.inf, "never: it is none", "", stays=True),
    Fault("tool's quaternion with the other sign", sends(TOOL, flipped), np.inf, "never: it is the same turn", "",
          stays=True),
    Fault("tool hidden", hidden(TOOL), 0.0, AT_ONCE, f"{TOOL}:lost"),
    Fault("tool's pose holds NaN", sends(TOOL, with_nan), 0.0, AT_ONCE, f"{TOOL}:invalid"),
    Fault("tool's pose mirrored", sends(TOOL, lambda m: m @ np.diag([-1.0, 1, 1, 1])), 0.0, AT_ONCE, f"{TOOL}:invalid"),
    Fault("tool's pose scaled by 1.01", sends(TOOL, lambda m: m @ np.diag([1.01, 1.01, 1.01, 1])), 0.0, AT_ONCE,
          f"{TOOL}:invalid"),
    Fault("tool's pose frozen while its count runs", frozen(TOOL), LIMITS.tool_frozen_s,
          "0.25 s: real recordings repeat a pose for up to 0.17 s", f"{TOOL}:frozen"),
    Fault("tool jumps 40 mm", sends(TOOL, shifted((0, 0, 40.0))), 0.0, AT_ONCE, f"{TOOL}:jump"),
    Fault("tool turns by 60 deg at once", sends(TOOL, lambda m: m @ rigid((0, 60, 0), (0, 0, 0))), 0.0, AT_ONCE,
          f"{TOOL}:jump"),
    Fault("another tool in its place", swapped, 0.0, AT_ONCE, "tool:swapped"),
    Fault("tool of another length", other_tool(length_mm=200.0), 0.0, AT_ONCE, "tool:length"),
    Fault("another device than planned", other_tool(device_id="n22"), 0.0, AT_ONCE, "tool:other"),
    Fault("tip calibrated 13 h ago", other_tool(calibrated_s=1000.0 - 13 * 3600), 0.0, AT_ONCE,
          "tool:calibration-old"),
    Fault("tip known to 0.8 mm only", other_tool(tip_error_mm=0.8), 0.0, AT_ONCE, "tool:calibration-error"),
    Fault("reference hidden", hidden(REFERENCE), 0.0, AT_ONCE, f"{REFERENCE}:lost"),
    Fault("reference's pose frozen", frozen(REFERENCE), LIMITS.reference_frozen_s,
          "1 s: real recordings repeat a still reference for up to 0.5 s", f"{REFERENCE}:frozen"),
    Fault("reference knocked by 12 mm", sends(REFERENCE, shifted((0, 12.0, 0))), 0.0, AT_ONCE, f"{REFERENCE}:jump"),
    Fault("reference slips, 1 mm a second", slips, 3.0,
          "not by poses; by the checkpoint that is touched 3 s later", "registration"),
    Fault("reference pushed in sight, 60 mm a second", pushed, 6.0 / 60.0,
          "0.1 s: when it carries the way 5 mm elsewhere than at the checkpoint", "registration"),
    Fault("two checkpoints alone", fewer_checkpoints, 0.0, AT_ONCE, "registration"),
    Fault("the planned entry alone was touched", entry_alone, 0.0, AT_ONCE, "registration"),
    Fault("registration names no image", of_no_image, 0.0, AT_ONCE, "registration:image"),
    Fault("another needle was placed across the way", needle_beside, 0.0, AT_ONCE, "beside"),
    Fault("tracker and tool both stop", stops, LIMITS.pose_age_s, "0.1 s: the age that a pose may have", "frames"),
    Fault("poses come 0.4 s late", lambda now: times(now, 0.0, -0.4), 0.0, AT_ONCE, f"{REFERENCE}:sender-back"),
    Fault("poses wait 0.3 s in a queue", lambda now: times(now, -0.3, -0.3), 0.0, AT_ONCE, f"{REFERENCE}:clock-back"),
    Fault("link slows down, 0.2 s more each second", lambda now: times(now, 0.0, -0.2 * now.since_s),
          LIMITS.latency_s / 0.2, "0.75 s: when it is 0.15 s later than the quickest", f"{REFERENCE}:late"),
    Fault("clock goes back 5 s", clock(-5.0), 0.0, AT_ONCE, f"{TOOL}:clock-back"),
    Fault("clock jumps ahead 30 s", clock(30.0), 0.0, AT_ONCE, f"{TOOL}:clock-jump"),
    Fault("tracker's clock goes back 2 s", lambda now: times(now, 0.0, -2.0), 0.0, AT_ONCE, f"{TOOL}:sender-back"),
    Fault("tracker's clock jumps ahead 2 s", lambda now: times(now, 0.0, 2.0), 0.0, AT_ONCE, f"{TOOL}:sender-jump"),
    Fault("tracker's count goes back", counts_back, 0.0, AT_ONCE, f"{TOOL}:count-back"),
    Fault("breath leaves its gate", breath(1.7), 0.0, AT_ONCE, "breath:outside"),
    Fault("breath signal NaN", breath(float("nan")), 0.0, AT_ONCE, "breath:outside"),
    Fault("breath signal stops", breath(None), LIMITS.breath_age_s, "0.2 s: the age that it may have",
          "breath:stale"),
    Fault("another breath state is stated", stated, 0.0, AT_ONCE, "breath:outside"),
    Fault("needle bent by 4 mm, two sensors", bent, 0.0, AT_ONCE, "bending", shaft=True),
    Fault("needle pushed too deep, 40 mm a second", too_deep, np.inf, "when its tip is 2 mm past the planned depth",
          "plan:too-deep"),
    Fault("last checkpoint too old", nothing, 1.0, "when its age is up (here 3.5 s)", "registration",
          limits=replace(LIMITS, checkpoint_age_s=3.5)),
    Fault("checkpoint touched, 3.5 mm off", checkpoint_off, 0.0, AT_ONCE, "registration"),
    Fault("registration taken back", unregistered, 0.0, AT_ONCE, "registration"),
    Fault("a second way to the patient differs by 6 mm", second_way, 0.0, AT_ONCE, "frames"),
    Fault("tracker's error not known", unknown_error, 0.0, AT_ONCE, "error"),
)  # fmt: skip


def seen(fault: Fault, seed: int = 0) -> Seen:
    """Follow the needle, let the fault begin, and look."""
    stage, extra = Stage(seed), {}
    if fault.shaft:
        extra = {"shaft": SHAFT, "straight_tip_mm": tuple(STRAIGHT_TIP)}
    guidance, time_s = begun(stage, fault.limits, **extra)
    began_s, before, kept = time_s + GREEN_S, 0, dict[str, ToolPose]()
    for _ in range(int((GREEN_S + LONGEST_S) * RATE_HZ)):
        time_s += STEP_S
        guidance.breath = BreathSignal(0.2, time_s)
        now = Now(guidance, stage, stage.poses(time_s, shaft=fault.shaft), time_s + 0.005, time_s - began_s, kept)
        if now.since_s >= -1e-9:
            fault.change(now)
        frame = guidance.update(now.poses, now.now_s)
        if frame.verdict is Verdict.PASS:
            continue
        if now.since_s < -1e-9:
            before += 1
            continue
        told = frame.words
        return Seen(max(now.since_s, 0.0), frame.verdict, told, tuple(r.id for r in frame.reasons), before)
    return Seen(None, Verdict.PASS, "", (), before)


def figures() -> str:
    """The page."""
    rows = []
    for fault in FAULTS:
        found = seen(fault)
        left = "stayed green" if found.left_s is None else f"{found.left_s:.2f} s"
        rows.append(f"| {fault.name} | {fault.when} | {left} | {found.words or '-'} |")
    return "\n".join([HEAD, *rows, "", FOOT, ""])


HEAD = """# Faults in guidance

Made by `python -m benchmarks.guidance_faults --out docs/guidance-faults.md`. A simulated needle on its way into a
liver, 50 poses a second, with a tracker's noise and a patient that moves: green for 1.5 s, then one thing goes wrong.
When it can first be known, when the display left green after it began (0.00 s: at the very frame), and what it said
first. Held to it by `tests/navigation/test_faults.py`. What is simulated tells nothing of a tracker in a theatre.

| fault | can be known | left green after | said |
|---|---|---|---|"""

FOOT = """What no row can show: a reference that slips by less than 5 mm, a patient who rolls beneath it and a needle
that bends with one sensor only look like a patient and a needle that lie otherwise. Poses do not tell; a checkpoint
does, or a second sensor. A delay that is there from the first pose on is known on one machine alone, by the sender's
stamp."""


def main() -> None:
    """Run all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    page = figures()
    print(page)
    if options.out:
        options.out.write_text(page)


if __name__ == "__main__":
    main()
