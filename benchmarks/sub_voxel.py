"""Does a stated clearance hold the truth? Analytic solids as labels, and the interval that a report would state.

    python -m benchmarks.sub_voxel [--scenes 2100] [--resolved 2100] [--first 6000000] [--out docs/sub-voxel.md]

Each scene is a solid whose distance is known (benchmarks/sub_voxel_scenes.py), six axes past it, and its labels:
fractional ones, judged by `margins` and `narrowed` as a report is, and hard ones, by `margins` alone. A violation is a
truth outside the interval. Also: whether a way that the broad phase allows is refused by the exact clearance.

Besides: as many scenes as --resolved says of smooth solids that the voxels resolve, and how wide their intervals are.

Exit code: 0; 1 if any interval was violated (of hard labels: by more than a right-angled edge reaches out of the balls
that decision 4 speaks of), any of the resolved solids' a voxel and more away wider than .3 mm, any pair of solids whose
labels are alike (benchmarks/sub_voxel_pairs.py) not held by one interval, or any allowed way refused.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.sub_voxel_pairs import Pair, pairs, told_by_shares_mm
from benchmarks.sub_voxel_scenes import (
    AXES,
    RESOLVED_VOXELS,
    SHAPES,
    SMOOTH,
    Scene,
    axes_past,
    hard_labels,
    scene,
    truth_mm,
)
from navplan.model.device import Device
from navplan.planning.boundary import Boundary, boundary_of
from navplan.planning.broad_phase import boundary_blocks
from navplan.planning.check_plan import _narrowed as narrowed
from navplan.planning.margins import margins
from navplan.planning.situation import Situation
from navplan.planning.ways import clearances_low_mm

ROUNDING_MM = 1e-6
EDGE_SHARE = (2**0.5 - 1) / 2  # of |s|: a right-angled edge's distance from a ball of diameter |s| in its corner
MARKED_BEYOND = 1 / 32  # of |s|: as far beyond an edge where two surfaces meet rasterise may mark a voxel as touched
WIDTH_MM = 0.3  # that an interval of a resolved solid has at most
WAYS = 24  # to the one target of each scene, for the broad phase
NEEDLE = Device("needle", "needle", 18, 1.2, 200.0)
RADII = [(0.0, 1e-9, "an edge"), (1e-9, 2, "under 2"), (2, 4, "2 to 4"), (4, 6, "4 to 6"), (6, 1e9, "6 and more")]
DISTANCES = [(1e-12, 1, "under 1"), (1, 2, "1 to 2"), (2, 1e9, "over 2")]
HEAD = (
    "| {:s} | number | violated | width: median | 99 % | largest | over .3 mm |"
    " broad: violated | median | 99 % | largest |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Measure:
    """One axis past one solid: truth, exact and broad interval (low, high), what the shares tell of any solid, and what
    it is grouped by."""

    shape: str
    samples: int
    radius_voxels: float
    edge_mm: float
    truth: tuple[float, float]
    exact: tuple[float, float]
    broad: tuple[float, float]
    shares_alone: tuple[float, float]
    allowance_mm: float
    seed: int

    @property
    def width_mm(self) -> float:
        """Of the exact interval."""
        return self.exact[1] - self.exact[0]

    @property
    def distance_mm(self) -> float:
        """The true distance."""
        return self.truth[0]

    def outside(self, interval: tuple[float, float]) -> float:
        """By how much the truth lies outside an interval, 0 where it does not."""
        by = max(interval[0] - self.truth[1], self.truth[0] - interval[1] - self.allowance_mm)
        return by if by > ROUNDING_MM else 0.0


@dataclass(frozen=True)
class Outcome:
    """Of one scene: measures; hard labels' bounds where proven (count, violated, not proven), and the most by which one
    was violated, in |s|; ways that the broad phase allowed, and those of them that the exact clearance refuses."""

    measures: tuple[Measure, ...]
    hard: tuple[int, int, int]
    hard_by: float
    ways: tuple[int, int]


def outcome(seed: int, largest_spacing_mm: float = 1.0, resolved: bool = False) -> Outcome:
    """Make and measure one scene."""
    made = scene(seed, largest_spacing_mm, resolved)
    axes = axes_past(made)
    truths = [truth_mm(made.solid, start, end) for start, end in axes]
    boundary = boundary_of(made.labels)
    allowance = 0.0 if made.solid.exact_outside else MARKED_BEYOND * made.grid.diagonal_mm
    found = []
    for (start, end), truth in zip(axes, truths, strict=True):
        measured = margins([boundary], [start], [end])
        broad, exact = measured.interval(0, 0, 0.0), narrowed(measured, 0, start, end, 0.0)[0]
        edge = float(made.grid.spacing_mm.max())
        alone = told_by_shares_mm(made.labels, made.samples, start, end)
        told = ((exact.low_mm, exact.high_mm), (broad.low_mm, broad.high_mm), alone)
        found.append(Measure(made.shape, made.samples, made.radius_voxels, edge, truth, *told, allowance, seed))
    hard, hard_by = _hard(made, axes, truths)
    return Outcome(tuple(found), hard, hard_by, _allowed(made, boundary, axes[1][1]))


def _hard(
    made: Scene, axes: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], truths: Sequence[tuple[float, float]]
) -> tuple[tuple[int, int, int], float]:
    labels = hard_labels(made)
    if labels is None:
        return (0, 0, 0), 0.0
    boundary = boundary_of(labels)
    proven = violated = unproven = 0
    most = 0.0
    for (start, end), truth in zip(axes, truths, strict=True):
        measured = margins([boundary], [start], [end])
        interval = narrowed(measured, 0, start, end, 0.0)[0]
        if not boundary.locally_thick(boundary.centres_mm[measured.nearest[0, 0]]):
            unproven += 1
            continue
        proven += 1
        by = max(interval.low_mm - truth[1], truth[0] - interval.high_mm)
        violated += by > ROUNDING_MM
        most = max(most, by / made.grid.diagonal_mm)
    return (proven, violated, unproven), most


def _allowed(made: Scene, boundary: Boundary, target_mm: NDArray[np.float64]) -> tuple[int, int]:
    """Ways to one target that the broad phase allows, and those whose exact lower end then misses the limit."""
    rng = np.random.default_rng([made.seed, 2])
    entries = rng.standard_normal((WAYS, 3))
    entries *= rng.uniform(30.0, 60.0, (WAYS, 1)) / np.linalg.norm(entries, axis=1)[:, None]
    required = float(rng.uniform(0.0, 8.0))
    asked = SimpleNamespace(
        boundaries=(boundary,),
        blocks=boundary_blocks((boundary,)),
        required_mm=np.array([required]),
        protocol=SimpleNamespace(soft=()),
        risks=(),
        target_mm=target_mm,
    )
    free = np.flatnonzero(clearances_low_mm(cast(Situation, asked), NEEDLE, entries)[:, 0] >= required)
    refused = 0
    for n in free:
        measured = margins([boundary], [entries[n]], [target_mm])
        refused += narrowed(measured, 0, entries[n], target_mm, NEEDLE.radius_mm)[0].low_mm < required
    return len(free), refused


def line(name: str, measures: Sequence[Measure]) -> str:
    """One line of a table."""
    cells = [name, f"{len(measures):,}"]
    for kind in ("exact", "broad"):
        intervals = [getattr(m, kind) for m in measures]
        width = np.array([high - low for low, high in intervals])
        cells.append(str(sum(m.outside(i) > 0 for m, i in zip(measures, intervals, strict=True))))
        cells += [f"{value:.2f}" for value in (np.median(width), np.percentile(width, 99), width.max())]
        if kind == "exact":
            cells.append(f"{(width > WIDTH_MM).mean():.0%}")
    return f"| {' | '.join(cells)} |"


def _table(first: str, groups: Sequence[tuple[str, list[Measure]]]) -> list[str]:
    return [HEAD.format(first), *(line(name, group) for name, group in groups if group), ""]


def _within(measures: Sequence[Measure], of: str, low: float, high: float) -> list[Measure]:
    return [m for m in measures if low <= getattr(m, of) < high]


def away_from_resolved(resolved: Sequence[Outcome]) -> list[Measure]:
    """Of the axes past resolved solids those that pass a voxel away and more."""
    return [m for o in resolved for m in o.measures if m.distance_mm >= m.edge_mm]


def page(
    outcomes: Sequence[Outcome], resolved: Sequence[Outcome], command: str, largest_spacing_mm: float, seconds: float
) -> str:
    """The page, in Markdown."""
    every = [m for o in outcomes for m in o.measures]
    passing, whole = away_from_resolved(resolved), [m for o in resolved for m in o.measures]
    near = [m for m in whole if 0 < m.distance_mm < m.edge_mm]
    wide = sum(m.width_mm > WIDTH_MM for m in passing)
    widest = max((m.width_mm for m in passing), default=0.0)
    smooth_violated = sum(m.outside(m.exact) > 0 for m in whole)
    apart = [m for m in every if m.distance_mm > 0]
    smooth = [m for m in apart if m.shape in SMOOTH and m.radius_voxels >= 4 and m.distance_mm >= 2 * m.edge_mm]
    fine = [m for m in smooth if m.edge_mm <= 0.8]
    proven, violated, unproven = (sum(o.hard[n] for o in outcomes) for n in range(3))
    by = max((o.hard_by for o in outcomes), default=0.0)
    hard_by = f", by up to {by:.2f} of the voxels' diagonal (sharp edges)" if violated else ""
    allowed, refused = (sum(o.ways[n] for o in outcomes) for n in range(2))
    worst = max((m.outside(m.exact) for m in every), default=0.0)
    by_radius = [(name, _within(apart, "radius_voxels", low, high)) for low, high, name in RADII]
    by_distance = [(name, _within(apart, "distance_mm", low, high)) for low, high, name in DISTANCES]
    count = sum(m.outside(m.exact) > 0 for m in every)
    return "\n".join(
        [
            "# Clearances inside the voxels", "",
            f"Written by `{command}`: {len(outcomes):,} scenes, {AXES} axes past each; {seconds:.0f} s.",
            "Why and how: [decision 8](decisions/0008-the-surface-inside-the-voxels.md).", "",
            f"Voxels of .4 to {largest_spacing_mm:g} mm along each axis, in any direction. Solids whose distance is",
            "known in closed form, or (cut ones: half ball, bowl, shell) between two bounds .004 mm apart. The labels",
            "tell which share of each voxel the solid fills, from 8 x 8 x 8 samples, or from 4 x 4 x 4 as in the",
            "phantoms. Violated: the truth lies outside the interval. Cut solids are given the |s|/32 by which a label",
            "may mark a voxel beyond their edge. Axes that go in (truth 0) count in the first line alone. Widths: mm.",
            "",
            f"**{count} of {len(every):,} intervals were violated**{f', by up to {worst:.3f} mm' * (count > 0)}.", "",
            "## Solids that the voxels resolve", "",
            f"{len(resolved):,} more scenes of balls, capsules and ellipsoids with a radius of curvature of",
            f"{RESOLVED_VOXELS:g} voxels and more, 8 x 8 x 8 samples.",
            f"**{smooth_violated} of {len(whole):,} intervals were violated;",
            f"{wide} of {len(passing):,} a voxel and more away were wider than {WIDTH_MM:g} mm;",
            f"the widest is {widest:.2f} mm.**", "",
            *_table("distance", [("a voxel and more", passing), ("less", near)]),
            *_cannot(apart, passing),
            "## All", "",
            *_table("axes", [("all", every), ("outside", apart), *_by_samples(apart)]),
            "## By shape", "", *_table("shape", [(s, [m for m in apart if m.shape == s]) for s in SHAPES]),
            "## By the least radius of curvature, in voxels", "", *_table("radius", by_radius),
            "## By distance", "", *_table("mm", by_distance),
            "## Smooth, at least two voxels away", "",
            "Spheres, capsules and ellipsoids with a radius of curvature of four voxels and more.", "",
            *_table("voxels", [("all", smooth), ("up to .8 mm", fine), *_by_samples(fine, "up to .8 mm, ")]),
            "## Hard labels", "",
            "The same solids labelled by voxel centre. Where the labels prove the structure thick:",
            f"{violated} of {proven:,} intervals violated{hard_by}. Not proven, and said so: {unproven:,}.", "",
            "## What the broad phase allows", "",
            f"Of {allowed:,} ways that the search's broad phase allowed, the exact clearance refused {refused}.", "",
        ]
    )  # fmt: skip


def _cannot(apart: Sequence[Measure], passing: Sequence[Measure]) -> list[str]:
    """What no interval can do."""
    lines = []
    for pair in pairs():
        one, other = pair.truths_mm()
        low, high = pair.interval_mm()
        lines.append(
            f"| {pair.name}, {pair.samples} x {pair.samples} x {pair.samples} samples |"
            f" {one:.2f}, {other:.2f} | {abs(one - other):.2f} | {low:.2f} to {high:.2f} |"
        )
    alone = [np.array([m.shares_alone[1] - m.shares_alone[0] for m in group]) for group in (apart, passing)]
    return [
        "## What no interval can do", "",
        "Solids whose labels are equal bit for bit, in voxels of 1 mm: whoever reads the labels tells one interval for",
        "both, and if it is never violated it is at least as wide as their distances lie apart.", "",
        "| solids | distances of one axis, mm | apart | told of both |",
        "|---|---|---|---|",
        *lines, "",
        "Of a solid of which nothing is assumed the shares tell no more than how many samples of each voxel it holds.",
        "If those are the nearest ones, or the farthest, its distances lie apart by a median of",
        f"{np.median(alone[0]):.2f} mm past all shapes, and by more than {WIDTH_MM:g} mm for"
        f" {(alone[0] > WIDTH_MM).mean():.0%} of the axes outside;",
        f"past those that the voxels resolve, by {np.median(alone[1]):.2f} mm,"
        f" {(alone[1] > WIDTH_MM).mean():.0%}: there it is their smoothness that tells it.", "",
    ]  # fmt: skip


def held(pair: Pair) -> bool:
    """Whether the labels of a pair are equal, its distances more than .3 mm apart, and both in the one interval."""
    one, other = pair.labels()
    assert one.occupancy is not None and other.occupancy is not None
    truths, (low, high) = pair.truths_mm(), pair.interval_mm()
    apart = max(truths) - min(truths) > WIDTH_MM
    return np.array_equal(one.occupancy, other.occupancy) and apart and low <= min(truths) and max(truths) <= high


def _by_samples(measures: Sequence[Measure], before: str = "") -> list[tuple[str, list[Measure]]]:
    return [(f"{before}{n} x {n} x {n} samples", [m for m in measures if m.samples == n]) for n in (8, 4)]


def main() -> int:
    """Run the campaign, write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=2100)
    parser.add_argument("--resolved", type=int, default=2100)
    parser.add_argument("--first", type=int, default=6_000_000, help="first seed")
    parser.add_argument("--largest-spacing", type=float, default=1.0, help="mm")
    parser.add_argument("--out", default="", help="Markdown file to write")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    begin = time.perf_counter()
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        run = partial(outcome, largest_spacing_mm=chosen.largest_spacing)
        outcomes = list(pool.map(run, range(chosen.first, chosen.first + chosen.scenes), chunksize=28))
        smooth = range(chosen.first, chosen.first + chosen.resolved)
        resolved = list(pool.map(partial(run, resolved=True), smooth, chunksize=28))
    asked = f"--scenes {chosen.scenes} --resolved {chosen.resolved} --first {chosen.first}"
    command = f"python -m benchmarks.sub_voxel {asked}"
    written = page(outcomes, resolved, command, chosen.largest_spacing, time.perf_counter() - begin)
    if chosen.out:
        Path(chosen.out).write_text(written, encoding="utf-8")
    print(written)
    bad = [m for o in (*outcomes, *resolved) for m in o.measures if m.outside(m.exact)]
    for m in bad:
        print(f"violated by {m.outside(m.exact):.4f} mm: {m}", file=sys.stderr)
    wide = [m for m in away_from_resolved(resolved) if m.width_mm > WIDTH_MM]
    for m in wide:
        print(f"{m.width_mm:.3f} mm wide: {m}", file=sys.stderr)
    parted = [pair.name for pair in pairs() if not held(pair)]
    for name in parted:
        print(f"not both held: {name}", file=sys.stderr)
    return 1 if bad or wide or parted or any(o.hard_by > EDGE_SHARE or o.ways[1] for o in (*outcomes, *resolved)) else 0


if __name__ == "__main__":
    sys.exit(main())
