"""score: attempts played again, and what they come to. No composite and no pass mark: raw numbers, with their sources.

    found = score("lung-biopsy-ct-usual-expert-0000.attempt")
    found.metrics                     # navplan.training.metrics.Metric, from the replay alone
    found.outcome.structures          # what the plan promised beside what happened
    curves([score(file) for file in files])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, MismatchError
from navplan.extend import registry
from navplan.files.attempt_file import AttemptFile, AttemptHead, read_attempt
from navplan.model.scenario import Scenario
from navplan.training.metrics import Metric
from navplan.training.needle_path import NeedlePath
from navplan.training.outcome import Outcome, last_needle, outcome_of
from navplan.verbs.attempts import Replay, replay
from navplan.verbs.training import Rehearsal, rehearsal_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Score:
    """An attempt, played again. metrics: those that the scenario counts; outcome: beside the plan's promise."""

    ready: Rehearsal
    replay: Replay
    metrics: tuple[Metric, ...]
    outcome: Outcome

    @property
    def path(self) -> Path:
        """Of its file."""
        return self.replay.file.path

    @property
    def head(self) -> AttemptHead:
        """What it was at, who, when."""
        return self.replay.file.head

    @property
    def last(self) -> NeedlePath | None:
        """The last needle (see `navplan.training.outcome.last_needle`)."""
        at = last_needle(self.replay.attempt.log, self.replay.paths)
        return None if at is None else self.replay.paths[at]

    @property
    def who(self) -> str:
        """The learner's name, that of a script, or "nobody"."""
        return self.head.learner or (f"scripted {self.head.script}" if self.head.script else "nobody")


def score(
    attempt: str | Path | AttemptFile, ready: Rehearsal | None = None, *, other_bits: bool = False,
    progress: Progress = lambda words, share: None,
) -> Score:  # fmt: skip
    """An attempt played again on its scenario, and scored by the replay alone.

    ready: the scenario made ready (default: the installed one of the attempt's name). other_bits: score it also where
    the replay comes to other bits than the file has, as another version of navplan or of what it stands on may; it is
    told then (`replay.words`).

    Raises FileFormatError for a file that is none, was changed or is not finished; ChoiceError for a scenario that is
    not installed; MismatchError for another scenario, patient or way, and, without other_bits, for other bits.
    """
    file = attempt if isinstance(attempt, AttemptFile) else read_attempt(attempt)
    file.refuse_unfinished()
    if ready is None:
        ready = rehearsal_of(_installed(file.head.scenario), progress)
    played = replay(file, ready)
    if played.differs_at and not other_bits:
        raise MismatchError(
            f"{file.path.name}: {played.words}", "the same bits",
            "Nothing is scored by what a file says; score the replay all the same with --other-bits",
        )  # fmt: skip
    found = outcome_of(played.attempt, played.paths, ready.promised)
    return Score(ready, played, ready.metrics(played.attempt), found)


def scores(
    attempts: Sequence[str | Path], *, scenario: str | Path = "", other_bits: bool = False,
    progress: Progress = lambda words, share: None,
) -> list[Score]:  # fmt: skip
    """Several, in the order of their dates; each scenario is made ready once. scenario: TOML file of one that is not
    installed. Raises as `score`."""
    files = [read_attempt(path) for path in attempts]
    for file in files:
        file.refuse_unfinished()  # before anything takes long
    files.sort(key=lambda file: (file.head.date, file.path.name))
    ready: dict[str, Rehearsal] = {}
    found = []
    for number, file in enumerate(files):
        progress(file.path.name, number / len(files))
        id = file.head.scenario
        if id not in ready:
            ready[id] = rehearsal_of(registry.scenario(scenario) if scenario else _installed(id), progress)
        found.append(score(file, ready[id], other_bits=other_bits))
    return found


@dataclass(frozen=True)
class BesideRow:
    """An action that moved the needle, beside another attempt. inserted_mm: depth along the way; off_mm: from the tip
    to the other's last needle at that depth, or to its tip where it ends before; other_s: when the other was first so
    deep (NaN: never)."""

    number: int
    do: str
    time_s: float
    other_s: float
    inserted_mm: float
    off_mm: float


def beside(one: Score, other: Score) -> tuple[BesideRow, ...]:
    """Action by action where two attempts' needles part. Raises MismatchError for attempts at two scenarios, and for
    another one whose needle never was in the body."""
    mine, theirs = one.head, other.head
    if (mine.scenario, mine.image, mine.structures) != (theirs.scenario, theirs.image, theirs.structures):
        raise MismatchError(f"{other.path.name} beside {one.path.name}", "attempts at one scenario on one patient")
    shaft = other.last
    if shaft is None:
        raise MismatchError(f"{other.path.name}, whose needle never was in the body", "an attempt with a needle's path")
    rows: list[BesideRow] = []
    before: NeedlePath | None = None
    for entry, path in zip(one.replay.attempt.log, one.replay.paths, strict=True):
        if path is not None and path.inserted_mm > 0.0 and not _same_tip(path, before):
            off = float(np.linalg.norm(path.tip_mm - _at_depth(shaft, path.inserted_mm)))
            other_s = _first_s(other, path.inserted_mm)
            rows.append(BesideRow(entry.number, entry.action["do"], entry.time_s, other_s, path.inserted_mm, off))
        before = path
    return tuple(rows)


def _installed(id: str) -> Scenario:
    try:
        return registry.scenario(id)
    except ChoiceError as fault:
        own = "Of a scenario in a file of yours: navplan score FILES --scenario FILE.toml"
        remedy = fault.remedy.replace("A FILE.toml will do too", own)
        raise ChoiceError(fault.received, fault.expected, remedy) from fault


def _same_tip(path: NeedlePath, before: NeedlePath | None) -> bool:
    return before is not None and bool((path.tip_mm == before.tip_mm).all())


def _at_depth(path: NeedlePath, depth_mm: float) -> NDArray[np.float64]:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path.points_mm, axis=0), axis=1))])
    return np.array([np.interp(depth_mm, along, path.points_mm[:, axis]) for axis in range(3)])


def _first_s(score: Score, depth_mm: float) -> float:
    log = score.replay.attempt.log
    deep = [entry.time_s for entry in log if entry.needle is not None and entry.needle.inserted_mm >= depth_mm]
    return deep[0] if deep else float("nan")
