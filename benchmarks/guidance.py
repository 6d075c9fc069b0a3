"""How long one pose of live guidance takes, and whether memory grows: `python -m benchmarks.guidance [--out FILE]`.

Phantom: the abdomen phantom's structures (30 of them, the nearest to the way; --structures for another number) and the
best way to its lesion. Or --case FOLDER: the first plan of a case on disk. Or --real NAME --images FOLDER: a case of
benchmarks/real_cases.py ("liver", "lung"), planned first, of that folder of real images. A simulated needle is led
along the way, wandering up to --aside mm off it, with a tracker's noise and a moving reference; each pose goes through
the whole of `Guidance.update`: watchdogs, frames, error, margins to every structure, alarms.

--rate poses a second are asked for on the clock for --seconds; where one takes longer than its time the next is late,
and it is told how often. Times are wall clock, with whatever else the machine does.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.guidance_scene import (
    REFERENCE,
    START_S,
    TIP_MM,
    TOOL,
    TOUCH_S,
    TRACKER,
    TRACKER_ERROR,
    Stage,
    patient_from_tool,
    registration,
    tracker_from_reference,
    verified,
)
from benchmarks.guidance_scene import REFERENCE_FROM_PATIENT as FIXED
from navplan.geometry.lines import perpendicular_axes
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.pose import ToolPose
from navplan.navigation.breath import BreathGate, BreathSignal
from navplan.navigation.guidance import Guidance
from navplan.navigation.tool import TrackedTool
from navplan.planning.margins import margins
from navplan.planning.situation import Situation

MEDIAN_GOAL_MS, LATE_GOAL_MS = 1.0, 5.0


@dataclass(frozen=True, eq=False)
class Run:
    """ms: of each pose; exact: how many structures planning's function itself judged, each; late: poses that began
    after the time of the next; grown_mb: resident memory at the end over that after the first tenth."""

    ms: NDArray[np.float64]
    exact: NDArray[np.int64]
    verdicts: dict[str, int]
    late: int
    grown_mb: float
    structures: int
    voxels: int


def phantom_scene(structures: int) -> tuple[Situation, RankedTrajectory]:
    """The abdomen phantom's way, against the nearest so many of its structures."""
    from benchmarks.mistake_worlds import world

    here = world("abdomen")
    return of_plan(here.case, here.plan, structures)


def case_scene(folder: str, structures: int) -> tuple[Situation, RankedTrajectory]:
    """The first plan of a case."""
    from navplan.verbs.case_verbs import open_case

    case = open_case(folder)
    return of_plan(case, next(iter(case.plans.values())), structures)


def real_scene(name: str, images: Path, structures: int) -> tuple[Situation, RankedTrajectory]:
    """One of the real cases."""
    from benchmarks.real_cases import CASES, planned

    return of_plan(*planned(next(one for one in CASES if one.name == name), images), structures)


def of_plan(case: Case, plan: Plan, structures: int) -> tuple[Situation, RankedTrajectory]:
    """A plan's first way, as it was asked for."""
    from navplan.verbs.situation import situation_of

    request = {"side": plan.side, "level": plan.level, "patient_position": plan.patient_position}
    situation = situation_of(case, plan.protocol, plan.target, image=plan.provenance.image_id, **request)
    return fewer(situation, plan.best, structures)


def fewer(situation: Situation, ranked: RankedTrajectory, count: int) -> tuple[Situation, RankedTrajectory]:
    """With the nearest so many risks only."""
    way = ranked.trajectory
    away = margins(situation.boundaries, [way.entry_mm], [way.swept_end_mm]).centre_mm[0]
    near = [situation.risks[n].name for n in np.argsort(away)[:count]]
    names = {risk.name for risk in situation.risks} - set(near)
    kept = {name: one for name, one in situation.structures.items() if name not in names}
    return replace(situation, structures=kept), ranked


def stream(ranked: RankedTrajectory, count: int, step_s: float, aside_mm: float) -> list[list[ToolPose]]:
    """Poses of reference and tool: the needle goes in and out along its way, and wanders beside it."""
    way, stage = ranked.trajectory, Stage(seed=1)
    across = perpendicular_axes(way.direction)
    found = []
    for n in range(count):
        time_s = START_S + n * step_s
        depth = way.tip_depth_mm * (0.5 - 0.5 * np.cos(0.4 * n * step_s))
        off = aside_mm * np.sin(0.9 * n * step_s) * across[0] + aside_mm * np.sin(0.55 * n * step_s) * across[1]
        lean = way.direction + 0.04 * np.sin(0.7 * n * step_s) * across[1]
        tip = np.asarray(way.entry_mm) + depth * way.direction + off
        reference = tracker_from_reference(time_s)
        true = reference @ FIXED @ patient_from_tool(tip, lean / np.linalg.norm(lean), across[0])
        sent = ((REFERENCE, reference), (TOOL, true))
        found.append(
            [ToolPose.measured(name, TRACKER, stage.shaken(m), time_s, time_s - 0.02, n) for name, m in sent]
        )
    return found


def prepared(situation: Situation, ranked: RankedTrajectory, poses: list[ToolPose]) -> Guidance:
    """Registered and with a checkpoint."""
    device = ranked.trajectory.device
    tool = TrackedTool(
        TOOL, device.id, device.length_mm, (0.0, 0.0, float(TIP_MM[2])), (0.0, 0.0, 1.0), 0.1, 0.1, START_S - 60.0
    )
    gate = BreathGate(-1.0, 1.0, "", "simulated")
    one = Guidance(situation, ranked, tool, REFERENCE, TRACKER_ERROR, gate)
    one.register(registration(of=situation))
    verified(one, Stage(number=-4), START_S - 4 * TOUCH_S)  # counts that come before those of the poses
    one.update(poses, START_S + 0.001)
    chain = one.frames.chain("patient", TOOL, START_S + 0.001)
    assert chain.transform is not None
    one.touch("skin", chain.transform.apply(TIP_MM).tolist(), START_S + 0.001)
    return one


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def run(situation: Situation, ranked: RankedTrajectory, rate_hz: float, seconds: float, aside_mm: float) -> Run:
    """Every pose through guidance, on the clock."""
    count = int(rate_hz * seconds)
    parts = stream(ranked, min(count, 20_000), 1.0 / rate_hz, aside_mm)
    one = prepared(situation, ranked, parts[0])
    for n in range(20):  # compile
        one.breath = BreathSignal(0.0, START_S)
        one.update(parts[n + 1], parts[n + 1][0].time_s + 0.001)
    ms, exact = np.zeros(count), np.zeros(count, dtype=np.int64)
    verdicts: dict[str, int] = {}
    late, after_first = 0, 0.0
    gc.collect()
    begin = time.perf_counter()
    for n in range(21, count):
        due = begin + (n - 21) / rate_hz
        while time.perf_counter() < due:
            time.sleep(max(due - time.perf_counter() - 2e-4, 0.0))
        late += time.perf_counter() > due + 1.0 / rate_hz
        poses = parts[n] if n < len(parts) else again(parts[n % len(parts)], START_S + n / rate_hz, n)
        start = time.perf_counter()
        one.breath = BreathSignal(0.0, poses[0].time_s)
        frame = one.update(poses, poses[0].time_s + 0.001)
        ms[n] = 1e3 * (time.perf_counter() - start)
        exact[n] = sum(margin.exact for margin in frame.margins)
        verdicts[str(frame.verdict)] = verdicts.get(str(frame.verdict), 0) + 1
        if n == count // 10:
            after_first = resident_mb()
    voxels = sum(len(boundary.centres_mm) for boundary in situation.boundaries)
    return Run(ms[21:], exact[21:], verdicts, late, resident_mb() - after_first, len(situation.risks), voxels)


def again(poses: list[ToolPose], time_s: float, number: int) -> list[ToolPose]:
    """Poses that came before, at a new time."""
    return [replace(pose, time_s=time_s, sent_s=time_s - 0.02, number=number) for pose in poses]


def told(found: Run, rate_hz: float, seconds: float, what: str) -> str:
    """The table of one run."""
    median, late, worst = np.percentile(found.ms, [50, 99, 100])
    kept = "kept" if median <= MEDIAN_GOAL_MS and late <= LATE_GOAL_MS else "NOT kept"
    rows = [
        ("structures, boundary voxels", f"{found.structures}, {found.voxels:,}"),
        ("poses", f"{len(found.ms):,} at {rate_hz:g} a second, {seconds:g} s"),
        ("a pose, median / 99 % / longest", f"{median:.2f} / {late:.2f} / {worst:.1f} ms"),
        (f"goal: median {MEDIAN_GOAL_MS:g} ms, 99 % {LATE_GOAL_MS:g} ms", kept),
        ("poses that began after the next was due", f"{found.late:,} ({found.late / len(found.ms):.1%})"),
        ("judged by planning itself, structures a pose", f"mean {found.exact.mean():.2f}, most {found.exact.max()}"),
        ("poses with none of them", f"{(found.exact == 0).mean():.0%}"),
        ("verdicts", ", ".join(f"{name} {n:,}" for name, n in sorted(found.verdicts.items()))),
        ("memory, end over first tenth", f"{found.grown_mb:+.1f} MB"),
        ("load of the machine at the end", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"),
    ]  # fmt: skip
    return "\n".join([f"| {what} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="folder of a case with a plan, instead of the phantom")
    parser.add_argument("--real", help="name of a real case, with --images")
    parser.add_argument("--images", type=Path, help="folder of real images")
    parser.add_argument("--structures", type=int, default=30)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--aside", type=float, default=3.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.real:
        scene = real_scene(options.real, options.images, options.structures)
    else:
        scene = case_scene(options.case, options.structures) if options.case else phantom_scene(options.structures)
    found = run(*scene, options.rate, options.seconds, options.aside)
    what = f"real {options.real}" if options.real else Path(options.case or "abdomen phantom").name
    table = told(found, options.rate, options.seconds, f"{what}, up to {options.aside:g} mm off the way")
    print(table)
    if options.out:
        options.out.write_text(table + "\n")


if __name__ == "__main__":
    main()
