"""No way that should be stopped may PASS, whatever is missing: omissions planted into cases, and what is then said.

    python -m benchmarks.planted_omissions [--real CASE] [--out docs/planted-omissions.md] [--ways 5] [--workers 2]

CASE: the case folder of a real chest (lidc0001 with its labels, "body" and "mass"); without it only the phantom is
done. Each way truly crosses or comes too close to one structure, and nothing else keeps it from PASS in the case that
is not spoiled; so whatever stops it in the spoiled case is what noticed the omission. Its counterpart is the nearest
way that PASSes: were there none, the table would prove nothing.

Exit code: 0; 1 if any way PASSed that should not; 2 if no counterpart passed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from benchmarks.omission_paths import Candidates, Way, candidates, stopped_by
from benchmarks.omission_plants import PLANTS, Plant
from benchmarks.omission_worlds import World, phantom_world, real_world
from navplan.model.safety import Verdict
from navplan.planning.check_plan import judge

CONTROL_STOPPED, CONTROL_FREE = "none: the same ways, case not spoiled", "none: their free counterparts"


@dataclass(frozen=True)
class Task:
    """One world, named so that another process can make it, and the structures that must stop ways in it."""

    world: str
    structures: tuple[str, ...]


TASKS = (
    Task("phantom", ("lung_right", "gallbladder", "portal_vein", "rib_right_10")),
    Task("real", ("scapula_left", "rib_left_8", "rib_left_7")),
    Task("real 59.7,6.9,-135.0", ("atrial_appendage_left", "heart")),
    Task("real 42.1,65.3,-192.5", ("aorta",)),
)


@dataclass
class Row:
    """Verdicts of one plant on one structure; passed: what each way was that PASSed."""

    plant: str
    case: str
    structure: str
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    passed: list[str] = field(default_factory=list)
    limit: str = ""

    @property
    def control(self) -> bool:
        """Whether nothing was spoiled."""
        return self.plant in (CONTROL_STOPPED, CONTROL_FREE)

    @property
    def line(self) -> str:
        """One line of the table."""
        counts = " | ".join(str(self.verdicts[verdict]) for verdict in Verdict)
        kinds = Counter(words.split(",")[0] for words in self.passed)
        which = "" if self.control else ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"| {self.plant} | {self.case} | {self.structure} | {self.verdicts.total()} | {counts} | {which} |"


def world_of(task: Task, real: str) -> World:
    """The world of a task."""
    if task.world == "phantom":
        return phantom_world()
    from navplan.verbs.case_verbs import open_case

    _, _, place = task.world.partition(" ")
    if not place:
        return real_world(open_case(real))
    x, y, z = (float(part) for part in place.split(","))
    return real_world(open_case(real), paint_mm=(x, y, z))


def campaign(world: World, structures: Sequence[str], ways: int, plants: Sequence[Plant] = PLANTS) -> list[Row]:
    """All plants on some structures of a world: the controls first."""
    found = candidates(world)
    rows: list[Row] = []
    for name in structures:
        stopped = stopped_by(found, name, ways)
        rows += _controls(found, name, stopped)
        rows += [planted(plant, found.world, name, stopped) for plant in plants]
    return rows


def planted(plant: Plant, world: World, name: str, ways: Sequence[Way]) -> Row:
    """One plant on one structure."""
    row = Row(plant.name, world.name, name, limit=plant.limit)
    for situation, chosen in plant.spoil(world, name, ways):
        for way in chosen:
            verdict = judge(way.trajectory, situation).verdict
            row.verdicts[verdict] += 1
            if verdict is Verdict.PASS:
                row.passed.append(words_of(way))
    return row


def words_of(way: Way) -> str:
    """How a way meets the structure, and where it lies."""
    entry, target = (", ".join(f"{x:.1f}" for x in p) for p in (way.trajectory.entry_mm, way.trajectory.target_mm))
    return f"{way.kind}, {way.clearance_mm:.1f} mm of {way.required_mm:g}: from ({entry}) to ({target})"


def _controls(found: Candidates, name: str, ways: Sequence[Way]) -> tuple[Row, Row]:
    stopped = Row(CONTROL_STOPPED, found.world.name, name)
    free = Row(CONTROL_FREE, found.world.name, name)
    for way in ways:
        stopped.verdicts[judge(way.trajectory, found.situation).verdict] += 1
        if way.counterpart is not None:
            free.verdicts[judge(way.counterpart, found.situation).verdict] += 1
    return stopped, free


def _run(task: Task, real: str, ways: int) -> list[Row]:
    return campaign(world_of(task, real), task.structures, ways)


def table(rows: Sequence[Row], seconds: float) -> str:
    """The page: the controls, the plants, their sums, and every way that PASSed."""
    head = (
        "| planted | case | structure | ways | FAIL | NOT_EVALUATED | WARN | PASS | which PASSed |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    counted = [row for row in rows if not row.control and not row.limit]
    untold = [row for row in rows if row.limit]
    sums = {row.plant: Row(row.plant, "all", "all") for row in counted}
    for row in counted:
        sums[row.plant].verdicts += row.verdicts
        sums[row.plant].passed += row.passed
    passes = sum(len(row.passed) for row in counted)
    total = sum(row.verdicts.total() for row in counted)
    told = [
        f"- {row.plant} / {row.case} / {row.structure}: {len(row.passed)} of {row.verdicts.total()}, one of them:"
        f" {row.passed[0]}"
        for row in counted
        if row.passed
    ]
    free = sum((row.verdicts for row in rows if row.plant == CONTROL_FREE), Counter())
    return "\n".join(
        [
            "# Planted omissions", "",
            "Written by `make omissions`. Each way truly crosses (through: a chord of 3 mm or more; grazed: less) or",
            "comes too close to one structure, and nothing else keeps it from PASS in the case that is not spoiled.",
            "The cases, what was stated for them and what counts as the truth: `benchmarks/omission_worlds.py`;",
            "the plants: `benchmarks/omission_plants.py`.", "",
            f"{passes} of {total} judgements of spoiled cases were PASS. Of the {free.total()} free counterparts,",
            f"in the case that is not spoiled, {free[Verdict.PASS]} were. {seconds:.0f} s.", "",
            "## Sums", "", head, *(row.line for row in sums.values()), "",
            "## Not spoiled", "", head, *(row.line for row in rows if row.control), "",
            "## Every structure", "", head, *(row.line for row in counted), "",
            *(["## What nothing in the case can tell (not counted)", "", *{row.limit + "." for row in untold}, "", head,
               *(row.line for row in untold), ""] if untold else []),
            *(["## What PASSed and should not have", "", *told, ""] if told else []),
        ]
    )  # fmt: skip


def main() -> int:
    """Run the campaign, write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", default="", help="case folder of the real chest")
    parser.add_argument("--out", default="", help="Markdown file to write")
    parser.add_argument("--ways", type=int, default=5, help="for each structure")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    if not chosen.real:
        print("NOT RUN: the real chest (no --real CASE)", file=sys.stderr)
    tasks = [task for task in TASKS if task.world == "phantom" or chosen.real]
    start = time.perf_counter()
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_run, task, chosen.real, chosen.ways) for task in tasks]
        rows = [row for done in running for row in done.result()]
    page = table(rows, time.perf_counter() - start)
    if chosen.out:
        Path(chosen.out).write_text(page, encoding="utf-8")
    print(page)
    if any(row.passed for row in rows if not row.control and not row.limit):
        return 1
    return 0 if any(row.verdicts[Verdict.PASS] for row in rows if row.plant == CONTROL_FREE) else 2


if __name__ == "__main__":
    sys.exit(main())
