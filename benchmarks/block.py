"""Training blocks found in simulated scans: how far off, and what is refused, over seeded poses.

    python -m benchmarks.block [--scans 25] [--refusals 12] --out docs/block-found.md

The simulated scan (`benchmarks.block_scans`) shares the block's solid with navplan, and nothing of the finder.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.block_scans import Scan, any_pose, scan_of
from navplan.errors import InputError
from navplan.imaging.find_block import BlockFound, find_block
from navplan.model.block import TrainingBlock
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.planning.block_design import BlockSizes, design_block

FIRST_SEED = 700
GOAL_MM = 0.2
NEEDLES = (Device("18g", "18 G", 18, 1.27, 150.0), Device("22g", "22 G", 22, 0.72, 120.0))
ROWS = {
    "0.5 x 0.5 x 0.8 mm, noise 20 HU": Scan((0.5, 0.5, 0.8), 20.0),
    "0.6 x 0.6 x 1.0 mm, noise 30 HU": Scan((0.6, 0.6, 1.0), 30.0),
    "0.8 x 0.8 x 1.5 mm, noise 40 HU": Scan((0.8, 0.8, 1.5), 40.0),
    "1.0 x 1.0 x 2.0 mm, noise 60 HU": Scan((1.0, 1.0, 2.0), 60.0),
    "0.6 x 0.6 x 1.0 mm, noise 30 HU, steel balls (clipped at 3071 HU)": Scan((0.6, 0.6, 1.0), 30.0, ball_hu=8000.0),
}
REFUSED = {
    "printed as in a mirror": "mirrored",
    "one ball missing": "5 of 6",
    "another block's scan": "as bright and large as a ball",
    "printed at 97 %": "printed at",
    "slices of 2.5 mm": "voxels of 2.5 mm",
}


@dataclass(frozen=True, eq=False)
class Row:
    """balls_mm: errors of all balls; tips_mm: of the planned tips; within: shares of tips within the error told for 95
    of 100; refused: how many scans were."""

    words: str
    balls_mm: NDArray[np.float64]
    tips_mm: NDArray[np.float64]
    within: float
    refused: int
    scans: int


def block_of(rng: np.random.Generator) -> TrainingBlock:
    """About a way of 40 to 80 mm that leans up to 35 degrees, drawn at random."""
    lean, turn = np.radians([rng.uniform(0, 35), rng.uniform(0, 360)])
    along = np.array([np.sin(lean) * np.cos(turn), np.cos(lean), np.sin(lean) * np.sin(turn)])
    entry = rng.uniform(-80, 80, 3)
    target = entry + rng.uniform(40, 80) * along
    a, b, c = entry.tolist()
    x, y, z = target.tolist()
    way = Trajectory((a, b, c), (x, y, z), NEEDLES[int(rng.integers(len(NEEDLES)))])
    return design_block([(1, way)], "plan", "ct", f"{rng.integers(1 << 60):x}", BlockSizes())


def found_row(words: str, scan: Scan, scans: int, first: int) -> Row:
    """One kind of scan."""
    balls, tips, within, refused = list[float](), list[float](), list[bool](), 0
    for seed in range(first, first + scans):
        rng = np.random.default_rng(seed)
        block, pose = block_of(rng), any_pose(rng)
        try:
            found = find_block(scan_of(block, pose, scan, seed), block)
        except InputError as error:
            refused += 1
            print(f"{words}, seed {seed}: {error}")
            continue
        ball, tip, inside = errors_mm(found, pose)
        balls += ball.tolist()
        tips += tip.tolist()
        within += inside.tolist()
    return Row(words, np.asarray(balls), np.asarray(tips), float(np.mean(within)) if within else 0.0, refused, scans)


def errors_mm(
    found: BlockFound, pose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Of the balls, of the planned tips by the map, and whether those lie within what was told for 95 of 100."""
    block = found.block
    balls = np.linalg.norm(found.found_mm - (block.balls_mm @ pose[:3, :3].T + pose[:3, 3]), axis=1)
    tips = np.asarray([way.tip_mm for way in block.ways])
    mapped = found.scan_from_block.apply(tips)
    off = np.linalg.norm(mapped - (tips @ pose[:3, :3].T + pose[:3, 3]), axis=1)
    return balls, off, off <= found.fit.error_95_mm(mapped)


def refused_count(kind: str, scans: int, first: int) -> tuple[int, int]:
    """How many of so many scans are refused, and how many with the right words."""
    refused = right = 0
    base = Scan((0.8, 0.8, 1.0), 30.0)
    for seed in range(first, first + scans):
        rng = np.random.default_rng(seed)
        block, other, pose = block_of(rng), block_of(rng), any_pose(rng)
        scan = {
            "printed as in a mirror": replace(base, mirrored=True),
            "one ball missing": replace(base, without=(str(rng.choice(block.names)),)),
            "printed at 97 %": replace(base, scale=0.97),
            "slices of 2.5 mm": replace(base, spacing_mm=(0.8, 0.8, 2.5)),
        }.get(kind, base)
        volume = scan_of(other if kind == "another block's scan" else block, pose, scan, seed)
        try:
            find_block(volume, block)
            print(f"{kind}, seed {seed}: NOT REFUSED")
        except InputError as error:
            refused += 1
            right += REFUSED[kind] in str(error)
            if REFUSED[kind] not in str(error):
                print(f"{kind}, seed {seed}: {error}")
    return refused, right


def page(rows: list[Row], refusals: dict[str, tuple[int, int]], asked: argparse.Namespace, seconds: float) -> str:
    """Markdown."""
    command = f"python -m benchmarks.block --scans {asked.scans} --refusals {asked.refusals} --out docs/block-found.md"
    lines = [
        "# Training blocks found in simulated scans", "",
        f"Made by `{command}` in {seconds / 60:.0f} minutes on a shared machine. Each scan: another block (a way of 40"
        " to 80 mm, leaning up to 35 degrees), any pose, its own seed. Balls of 5 mm; block, balls and air of 100, 2000"
        " and -1000 HU (unsourced); partial volume by 27 samples a voxel, a blur of 0.4 mm. The goal is 0.2 mm for each"
        " ball.",
        "",
        "| scan | scans | refused | balls, mean mm | balls, max mm | balls over 0.2 mm | tip, mean mm | tip, max mm |"
        " tips within the error told for 95 of 100 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        over = f"{int((row.balls_mm > GOAL_MM).sum())} of {len(row.balls_mm)}"
        cells = (
            row.words, row.scans, row.refused, f"{row.balls_mm.mean():.3f}", f"{row.balls_mm.max():.3f}", over,
            f"{row.tips_mm.mean():.3f}", f"{row.tips_mm.max():.3f}", f"{100 * row.within:.0f} %",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    head = "| what is scanned (0.8 x 0.8 x 1.0 mm, noise 30 HU) | refused | with the right words |"
    lines += ["", head, "|---|---|---|"]
    of = f"of {asked.refusals}"
    lines += [f"| {kind} | {refused} {of} | {right} {of} |" for kind, (refused, right) in refusals.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=25)
    parser.add_argument("--refusals", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("docs/block-found.md"))
    options = parser.parse_args()
    began = time.monotonic()
    rows = []
    for n, (words, scan) in enumerate(ROWS.items()):
        rows.append(found_row(words, scan, options.scans, FIRST_SEED + 1000 * n))
        print(words, rows[-1].balls_mm.mean(), rows[-1].balls_mm.max(), rows[-1].within, flush=True)
    refusals = {
        kind: refused_count(kind, options.refusals, FIRST_SEED + 100_000 + 1000 * n) for n, kind in enumerate(REFUSED)
    }
    options.out.write_text(page(rows, refusals, options, time.monotonic() - began), encoding="utf-8")


if __name__ == "__main__":
    main()
