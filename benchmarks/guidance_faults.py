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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.guidance_changes import (
    Now,
    bent,
    breath,
    checkpoint_off,
    clock,
    counts_back,
    entry_alone,
    fewer_checkpoints,
    flipped,
    frozen,
    hidden,
    needle_beside,
    nothing,
    of_no_image,
    other_tool,
    pushed,
    second_way,
    sends,
    shifted,
    slips,
    stated,
    stops,
    swapped,
    times,
    too_deep,
    unknown_error,
    unregistered,
    with_nan,
)
from benchmarks.guidance_scene import (
    RATE_HZ,
    REFERENCE,
    SHAFT,
    STEP_S,
    STRAIGHT_TIP,
    TOOL,
    Stage,
    begun,
    rigid,
)
from navplan.model.finding import Verdict
from navplan.model.pose import ToolPose
from navplan.navigation.breath import BreathSignal
from navplan.navigation.limits import GuidanceLimits

LIMITS = GuidanceLimits()
GREEN_S, LONGEST_S = 1.5, 4.0  # of a run, before and after the fault
ONE_FRAME_S = STEP_S + 1e-6


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
