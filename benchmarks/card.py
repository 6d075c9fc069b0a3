"""From import of the labelled chest CT to the printed freehand card, by commands alone: seconds of each step.

    python benchmarks/card.py IMAGES [--out table.md] [--keep FOLDER] [--repeat 2]

IMAGES: a folder with lidc0001_chest_ct. Each step is a process of its own, as a person would start it; the readers'
mass is written beforehand (benchmarks/real_targets.py), as it would come out of a contouring tool. wall: seconds on the
clock, with whatever else the machine does. processor: user and system seconds of the step. Of --repeat runs the last is
told; the first may still compile kernels, which are then kept on disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.real_targets import write_target

GOAL_S = 60.0


@dataclass(frozen=True)
class Step:
    """One command and what it took."""

    words: str
    wall_s: float
    processor_s: float


def commands(images: Path, mass: Path, folder: Path) -> list[tuple[str, ...]]:
    """The words after `navplan`, in order; relative names as in the table."""
    chest = images / "lidc0001_chest_ct"
    case = str(folder / "case")
    return [
        ("import", str(chest / "cxr_int16.nii.gz"), "--case", case, "--as", "ct", "--patient-position", "HFS"),
        ("segment", case, "--segmenter", "ct-basic"),
        ("segment", case, "--labels", str(chest / "mask.nii.gz"), "--names", str(chest / "structures.csv"),
         "--working-resolution", "1.5"),
        ("segment", case, "--labels", str(mass), "--structure", "mass"),
        ("segment", case, "--absent", "bulla", "--absent", "fissure", "--by", "Dr A"),
        ("plan", case, "--protocol", "lung-biopsy", "--target", "mass", "--side", "L"),
        ("report", case, "--card-only", "--out", str(folder / "card")),
    ]  # fmt: skip


def run(words: tuple[str, ...]) -> Step:
    """Run one command as a process of its own. Raises CalledProcessError where it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "navplan", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shown = " ".join(Path(word).name if os.sep in word else word for word in words)
    return Step(f"navplan {shown}", wall, spent)


def table(steps: list[Step]) -> str:
    """Markdown: a row for each step, and the total."""
    wall, spent = sum(step.wall_s for step in steps), sum(step.processor_s for step in steps)
    rows = [f"| `{step.words}` | {step.wall_s:.1f} | {step.processor_s:.1f} |" for step in steps]
    goal = "within" if wall <= GOAL_S else "NOT within"
    return "\n".join(
        [
            "| step | wall, s | processor, s |", "|---|---|---|", *rows, f"| all | {wall:.1f} | {spent:.1f} |", "",
            f"{goal} {GOAL_S:.0f} s on the clock; load of the machine at the end {os.getloadavg()[0]:.1f} on "
            f"{os.cpu_count()} processors.",
        ]
    )  # fmt: skip


def main() -> None:
    """Run the steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, help="also write the table to a file")
    parser.add_argument("--keep", type=Path, help="keep case and card of the last run in this new folder")
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        mass = Path(work) / "mass.nii.gz"
        write_target("mass", options.images / "lidc0001_chest_ct", mass)
        steps: list[Step] = []
        for number in range(options.repeat):
            last = number == options.repeat - 1
            folder = options.keep if last and options.keep else Path(work) / f"run{number}"
            folder.mkdir(parents=True)
            steps = [run(words) for words in commands(options.images, mass, folder)]
        print(table(steps))
        if options.out:
            options.out.write_text(table(steps) + "\n")


if __name__ == "__main__":
    main()
