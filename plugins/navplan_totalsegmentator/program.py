"""The program TotalSegmentator: where it is, which version, how it is called.

Its options, as the command line of 2.18.0 gives them (totalsegmentator/bin/TotalSegmentator.py): -i FILE -o FILE, --ml
(one label map with a table of names), --task, --fast, --device, --version.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from navplan.errors import InputError, MissingComponentError
from navplan_totalsegmentator.process import Ended, run
from navplan_totalsegmentator.progress import is_bar

PROGRAM = "TotalSegmentator"
PROGRAM_VARIABLE = "NAVPLAN_TOTALSEGMENTATOR"
DEVICE_VARIABLE = "NAVPLAN_TOTALSEGMENTATOR_DEVICE"
OLDEST = 2  # its first version had other names and no table of them
LINES_TOLD = 5
_VERSION = re.compile(r"(?:TotalSegmentator\s+)?v?(\d+)\.(\d+)(\S*)", re.IGNORECASE)


@dataclass(frozen=True)
class Task:
    """One of its models: the grids that it works on, by totalsegmentator/map_tasks_config.py of 2.18.0 (mm)."""

    name: str
    modality: str
    grid_mm: float
    fast_grid_mm: float


TOTAL = Task("total", "CT", 1.5, 3.0)
TOTAL_MR = Task("total_mr", "MR", 1.5, 3.0)


def find_program(chosen: str = "") -> str:
    """The path of the program: `chosen`, else NAVPLAN_TOTALSEGMENTATOR, else TotalSegmentator on the PATH.

    Raises MissingComponentError where it is not there or cannot be run.
    """
    named = chosen or os.environ.get(PROGRAM_VARIABLE, "")
    found = shutil.which(str(Path(named).expanduser()) if named else PROGRAM)
    if found is None:
        raise MissingComponentError(
            f"no program {named}" if named else f"no program {PROGRAM} on the PATH",
            "TotalSegmentator installed by you, with its weights",
            f"Install it in an environment of its own (pip install TotalSegmentator) and set {PROGRAM_VARIABLE} to the"
            " program's path",
        )
    return found


def version_of(program: str, stop: threading.Event) -> str:
    """The version that it tells, "2.18.0". Raises InputError for a program that fails, tells none, or is too old."""
    ended = _run([program, "--version"], stop)
    if ended.code:
        raise failed(ended, "asked for its version")
    found = [match for text in ended.lines if (match := _VERSION.fullmatch(text.strip()))]
    if not found:
        raise InputError(
            f"{program} --version printed {told(ended)!r}", "TotalSegmentator's version, as 2.18.0",
            "Is it the program?",
        )  # fmt: skip
    if int(found[-1][1]) < OLDEST:
        raise InputError(f"TotalSegmentator {found[-1][0]}", f"version {OLDEST} or newer", "Upgrade it")
    return f"{found[-1][1]}.{found[-1][2]}{found[-1][3]}"


def arguments(image: Path, labels: Path, task: Task, fast: bool, device: str = "") -> list[str]:
    """What it is called with. device: "gpu", "gpu:1", "cpu", "mps"; "" takes NAVPLAN_TOTALSEGMENTATOR_DEVICE, else
    leaves the choice to it."""
    device = device or os.environ.get(DEVICE_VARIABLE, "")
    return [
        "-i", str(image), "-o", str(labels), "--ml", "--task", task.name,
        *(["--fast"] if fast else []), *(["--device", device] if device else []),
    ]  # fmt: skip


def failed(ended: Ended, when: str) -> InputError:
    """The error of a program that ended with an exit code other than 0."""
    how = f"exit code {ended.code}" if ended.code > 0 else f"ended by signal {-ended.code}"
    return InputError(
        f"TotalSegmentator failed when {when} ({how}): {told(ended)}", "exit code 0",
        "Run TotalSegmentator by itself on any image: it has to work there first",
    )  # fmt: skip


def told(ended: Ended) -> str:
    """The last lines that it printed, without bars."""
    return " | ".join([text for text in ended.lines if not is_bar(text)][-LINES_TOLD:]) or "nothing was printed"


def _run(command: list[str], stop: threading.Event) -> Ended:
    try:
        return run(command, lambda text: None, stop)
    except OSError as error:
        raise MissingComponentError(
            f"{command[0]} cannot be run: {error.strerror or error}", "a program that can be run", "Install it anew"
        ) from error
