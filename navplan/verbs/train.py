"""train: scripted attempts at a scenario, kept as files. What is there already is not done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from navplan.errors import InputError, MismatchError
from navplan.extend import registry
from navplan.files.attempt_file import DIGESTS, read_attempt
from navplan.training.learner import ScriptedLearner
from navplan.training.skills import skill_named
from navplan.verbs.attempts import attempt_name, head_of, keep_attempt
from navplan.verbs.training import Rehearsal, rehearsal_of

MOST_RUNS = 10_000
_ALIKE = ("scenario", "seed", "script", *DIGESTS)


@dataclass(frozen=True)
class Trained:
    """One attempt: its file, its seed, and whether it was made now (else it was there already)."""

    path: Path
    seed: int
    new: bool


def train(
    scenario: str | Path | Rehearsal, learner: str = "expert", *, out: str | Path, seed: int = 0, runs: int = 1,
    difficulty: str = "", progress: Callable[[str, float], None] = lambda words, share: None,
) -> tuple[Trained, ...]:  # fmt: skip
    """Let a scripted learner make attempts with seeds from `seed` on, one file each in a folder.

    scenario: id, TOML file, or one made ready. learner: expert, intermediate or novice; nobody has shown that a person
    of that skill does the same. An attempt is written whole when it is finished: stopped at any moment, the same call
    goes on with the seeds that are missing.

    Raises InputError for a scenario, difficulty or learner that is not known, a number of runs or a folder that cannot
    be, MismatchError for a file of that name that is an attempt at something else.
    """
    skill_named(learner)
    if not 1 <= runs <= MOST_RUNS or seed < 0:
        raise InputError(f"{runs} runs from seed {seed}", f"1 to {MOST_RUNS} runs, a seed of 0 or more")
    ready = scenario if isinstance(scenario, Rehearsal) else rehearsal_of(registry.scenario(scenario), progress)
    found = []
    for number in range(runs):
        progress(f"{learner}, seed {seed + number}", number / runs)
        found.append(_made(ready, learner, seed + number, difficulty, Path(out)))
    return tuple(found)


def _made(ready: Rehearsal, learner: str, seed: int, difficulty: str, out: Path) -> Trained:
    attempt = ready.attempt(seed, difficulty)
    head = head_of(ready, attempt, script=learner)
    path = out / attempt_name(head)
    if path.exists():
        there = read_attempt(path)
        there.refuse_unfinished()
        other = [name for name in _ALIKE if getattr(there.head, name) != getattr(head, name)]
        if other:
            words = f"{path}: an attempt that differs in {', '.join(other)}"
            raise MismatchError(words, "a new folder", "Choose another --out")
        return Trained(path, seed, False)
    ScriptedLearner(skill_named(learner), seed, ready.views).play(attempt)
    return Trained(keep_attempt(ready, attempt, out, script=learner), seed, True)
