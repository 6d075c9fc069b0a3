"""The planner's question, timed: from labels to the answer.

    python -m benchmarks.planner CASE --target mass [--side L] [--protocol lung-biopsy] [--entries 20000]
        [--structures 80] [--peers] [--out docs/planner-speed.md]

Question: `entries` skin points within reach of a target, `structures` risk structures; intervals of the whole swept
shaft to every structure, hard limits, what lies on the path, the Pareto front, and, of the 200 best ways, exact
clearances and the proof that a structure is thicker than its voxels where it is near. CASE: a navplan case folder with
a body and the target. Kernels are warm but for "new process", which starts Python anew with the cache on disk. What
else the machine does is in the figures; peers (benchmarks.planner_peers) are asked in the same run on the same input.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.skin_entries import skin_entries_mm
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.model.volume import Volume
from navplan.planning import boundary as boundaries_kept
from navplan.planning.broad_phase import boundary_blocks, broad_distances
from navplan.planning.drag import DragMap, drag_map, provisional
from navplan.planning.entry_candidates import SkinPoints
from navplan.planning.margins import gathered, margins
from navplan.planning.pareto import pareto_front
from navplan.planning.situation import Situation
from navplan.planning.sub_voxel import surface_distance
from navplan.planning.tissue_map import forget_maps
from navplan.planning.ways import Ways, swept_ends_mm, try_ways
from navplan.verbs.case_verbs import open_case
from navplan.verbs.situation import device_of, situation_of, target_of

NARROWED = 200
NEAR_MM = 20.0  # thickness is proven, and surfaces inside voxels are looked for, nearer than this


def answer(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> tuple[Ways, int]:
    """The whole question. Returns the ways, and how many of the exact clearances were compared with their limits."""
    count = len(entries_mm)
    outward = entries_mm - situation.target_mm
    outward /= np.linalg.norm(outward, axis=1)[:, None]
    skin = SkinPoints(entries_mm, outward, np.full(count, -1, dtype=np.int16), ())
    ways = try_ways(situation, device, skin)
    rows = ways.free_rows[pareto_front(-ways.scores)]
    if len(rows) < NARROWED:  # the ways that miss least
        missed = np.nan_to_num(ways.shortfall_mm, nan=np.inf)
        rest = np.setdiff1d(np.argsort(missed, kind="stable"), rows, assume_unique=True)
        rows = np.concatenate([rows, rest])
    return ways, exactly(situation, device, entries_mm[rows[:NARROWED]])


def exactly(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> int:
    """The narrow phase of these ways against every structure."""
    ends = swept_ends_mm(entries_mm, situation.target_mm, device)
    measured = margins(situation.boundaries, entries_mm, ends)
    proven = 0
    for column, boundary in enumerate(situation.boundaries):
        near = np.flatnonzero(measured.centre_mm[:, column] < NEAR_MM)
        proven += int(boundary.thick_at(boundary.centres_mm[measured.nearest[near, column]]).sum())
        for n in near if boundary.structure.fractional else ():
            surface_distance(boundary, entries_mm[n], ends[n])
    return proven


def forget_all() -> None:
    """Nothing of the labels is kept."""
    boundaries_kept.forget()
    forget_maps()
    gathered.cache_clear()
    boundary_blocks.cache_clear()


def fresh(situation: Situation, target: Target | None = None) -> Situation:
    """The situation with nothing computed yet."""
    return replace(situation, target=target or situation.target)


def timed(what: Callable[[], object], repeat: int = 3) -> float:
    """Best of a few, s."""
    best = np.inf
    for _ in range(repeat):
        start = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - start)
    return float(best)


def cold(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> None:
    """From labels: nothing of the boundaries is kept."""
    forget_all()
    answer(fresh(situation), device, entries_mm)


def moved_target(situation: Situation) -> Target:
    """A second target in the same lesion, 4 mm along each axis."""
    x, y, z = (float(value) + 4.0 for value in situation.target_mm)
    return Target((x, y, z), situation.target.structure)


def situation_for(options: argparse.Namespace) -> tuple[Situation, Device, Structure]:
    """The case's situation with at most `structures` risks, those nearest to the target by name order."""
    case = open_case(options.case)
    image_id, _ = case.image("")
    protocol = registry.protocol(options.protocol)
    structures = case.structures_of(image_id)
    aim = target_of(structures, options.target)
    situation = situation_of(case, protocol, aim, side=options.side, patient_position=options.position)
    risks = [risk.name for risk in situation.risks if risk.name not in options.without]
    names = set(risks[: options.structures])
    kept = {
        name: structure
        for name, structure in situation.structures.items()
        if name in names or structure.presence is not Presence.PRESENT or name in situation.crossable
        or name in (options.target, "body")
    }  # fmt: skip
    device = device_of(protocol, options.device)
    return replace(situation, structures=kept), device, structures["body"]


def drag(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> tuple[DragMap, float]:
    low, high = entries_mm.min(axis=0), entries_mm.max(axis=0)
    start = time.perf_counter()
    kept = drag_map(situation.boundaries, low, high)
    return kept, time.perf_counter() - start


def table(options: argparse.Namespace) -> list[str]:
    """The figures as lines of a Markdown page."""
    situation, device, body = situation_for(options)
    entries = skin_entries_mm(body, situation.target_mm, 200.0, options.entries)
    cold(situation, device, entries)
    situation = fresh(situation)
    answer(situation, device, entries)
    lines = [
        f"{len(entries)} entries, {len(situation.risks)} structures, image {situation.image.grid!r}, "
        f"{sum(len(b.centres_mm) for b in situation.boundaries)} boundary voxels. Best of 3, s.",
        "",
        "| what | s |",
        "|---|---|",
    ]

    def row(what: str, seconds: float) -> None:
        lines.append(f"| {what} | {seconds:.3f} |")
        print(lines[-1], file=sys.stderr)

    row("labels to answer", timed(lambda: cold(situation, device, entries)))
    row(
        "second target, labels kept",
        timed(lambda: answer(situation.aimed_at(moved_target(situation)), device, entries)),
    )
    ends = swept_ends_mm(entries, situation.target_mm, device)
    row("every pair exact", timed(lambda: broad_distances(situation.blocks, entries, ends)))
    kept, made = drag(situation, device, entries)
    row("map for dragging, once (in the background)", made)
    target = situation.target_mm
    row("dragged target, provisional ranking", timed(lambda: provisional(situation, device, kept, entries, target + 3)))
    row("new process with its cache, imports to answer", new_process(options))
    lines += ["", "| entries | s |", "|---|---|"]
    for count in (10_000, 30_000, 100_000, 300_000, 1_000_000):
        many = spread(entries, count)
        row(f"{count}", timed(partial(cold, situation, device, many), 1))
    lines += ["", f"512 x 512 x 500: {large(situation, device, entries)}"]
    if options.peers:
        from benchmarks.planner_peers import HEADER, Question, ask_peers

        labelled = []
        for risk in situation.risks:
            structure = risk.boundary.structure
            if structure.occupancy is not None and structure.grid is not None:
                labelled.append((risk.name, structure.occupancy, structure.grid))
        question = Question(labelled, entries, target)
        lines += ["", HEADER, *(peer.row for peer in ask_peers(question))]
    return lines


def spread(entries_mm: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """So many entries: repeated, each time shifted by under a voxel."""
    rng = np.random.default_rng(1)
    chosen = np.resize(entries_mm, (count, 3))
    return np.asarray(chosen + rng.uniform(-0.4, 0.4, chosen.shape))


def large(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> str:
    """The same labels repeated along the body to 500 slices: time and peak memory above what labels and image take."""
    shape = (*situation.image.grid.shape[:2], 500)
    times = -(-500 // situation.image.grid.shape[2])
    structures = {}
    for name, structure in situation.structures.items():
        if structure.occupancy is None or structure.grid is None:
            structures[name] = structure
            continue
        first = round(float(situation.image.grid.indices(structure.grid.origin_mm)[2]))
        size = min(structure.occupancy.shape[2] + (times - 1) * situation.image.grid.shape[2], 500 - first)
        tall = np.zeros((*structure.occupancy.shape[:2], size), dtype=np.uint8, order="F")
        for n in range(times):
            low = n * situation.image.grid.shape[2]
            part = structure.occupancy[:, :, : max(size - low, 0)]
            tall[:, :, low : low + part.shape[2]] = part
        grid = Grid(structure.grid.affine, (*structure.grid.shape[:2], size), structure.grid.frame_uid)
        region = Grid(situation.image.grid.affine, shape, structure.grid.frame_uid)
        structures[name] = replace(structure, occupancy=tall, grid=grid, evaluated_in=region)
    voxels = np.resize(situation.image.voxels.T, shape[::-1]).T
    image = Volume(voxels, Grid(situation.image.grid.affine, shape), "CT", "HU", situation.image.acquisition)
    tall_situation = replace(situation, image=image, structures=structures)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    labels = sum(s.occupancy.nbytes for s in structures.values() if s.occupancy is not None) + voxels.nbytes
    forget_all()
    seconds = timed(lambda: cold(tall_situation, device, entries_mm), 1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{seconds:.2f} s, peak {max(grown, 0):.0f} MiB above the {labels / 2**20:.0f} MiB of image and labels"


def new_process(options: argparse.Namespace) -> float:
    """Python started anew, the case's reading taken off; s."""
    command = [sys.executable, "-m", "benchmarks.planner", options.case, "--target", options.target, "--once"]
    command += ["--side", options.side, "--protocol", options.protocol, "--entries", str(options.entries)]
    command += ["--structures", str(options.structures), "--position", options.position, "--device", options.device]
    command += ["--without", *options.without]
    best = np.inf
    for _ in range(2):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        whole = time.perf_counter() - start
        best = min(best, whole - json.loads(done.stdout.splitlines()[-1])["reading_s"])
    return float(best)


def once(options: argparse.Namespace) -> None:
    """For `new_process`: one cold answer, and what reading the case and choosing the entries took."""
    start = time.perf_counter()
    situation, device, body = situation_for(options)
    aim = situation.target_mm
    entries = skin_entries_mm(body, aim, 200.0, options.entries)
    forget_all()
    reading = time.perf_counter() - start
    answer(fresh(situation), device, entries)
    print(json.dumps({"reading_s": reading}))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--target", required=True)
    parser.add_argument("--side", default="")
    parser.add_argument("--position", default="")
    parser.add_argument("--protocol", default="lung-biopsy")
    parser.add_argument("--device", default="")
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--structures", type=int, default=80)
    parser.add_argument(
        "--without", nargs="*", default=["bone"], help="risks left out (bone: computed, all bones again)"
    )
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.once:
        once(options)
        return
    lines = table(options)
    print("\n".join(lines))
    if options.out:
        options.out.write_text(
            "# Speed of the planner\n\n" + __doc__.split("\n\n", 1)[1] + "\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
