"""An attempt at a scenario on disk: chained JSON lines (`navplan.files.chained_lines`) that play again.

The first line says which scenario on which patient, with which needle and seed, who, when, and what made it; then a
line for each action with what came of it; the last one, "end", says that nothing is missing. Scores are not in it: they
are computed from a replay (`navplan.verbs.score`). The learner's name is stored as given: let it be a pseudonym.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from navplan.errors import FileFormatError, InputError
from navplan.files.chained_lines import ChainedWriter, as_json, chained, read_chained
from navplan.files.durable import writing
from navplan.files.recording import versions
from navplan.files.whole_file import whole_file
from navplan.fluoroscopy.exposure import Dose
from navplan.training.actions import action_of
from navplan.training.log import Entry, Event, NeedleState

FORMAT, FORMAT_VERSION, ENDING = "navplan attempt", 1, ".attempt"
LARGEST_BYTES = 64 << 20
DIGESTS = ("rules", "image", "structures", "way")
LEARNER = re.compile(r"[^\W_][\w .-]{0,39}")
_EXPECTED = "an attempt as navplan wrote it"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class AttemptHead:
    """What an attempt was at. rules: of the scenario at that difficulty, all that an attempt's course hangs on; image,
    structures: the patient's image and what is outlined on it; way: the needle and where the plan has it; SHA-256 each.
    seed: of all that differs between attempts; learner: as given, "" for nobody; script: which scripted learner played
    it, "" for a person; date: ISO 8601 with its zone; versions: of what made it.

    Raises InputError for a name or date that cannot be one.
    """

    scenario: str
    version: str
    difficulty: str
    rules: str
    image: str
    structures: str
    way: str
    seed: int
    date: str
    learner: str = ""
    script: str = ""
    versions: dict[str, str] = field(default_factory=versions)

    def __post_init__(self) -> None:
        learner_name(self.learner)
        try:
            if datetime.fromisoformat(self.date).tzinfo is None:
                raise ValueError
        except ValueError:
            raise InputError(f"an attempt of {self.date[:40]!r}", "a date with time and zone, ISO 8601") from None
        for name in DIGESTS:
            if not _DIGEST.fullmatch(getattr(self, name)):
                raise InputError(f"{name} {getattr(self, name)[:40]!r} of an attempt", "64 hexadecimal digits")


def learner_name(name: str) -> str:
    """The name, where it can be one in a table. Raises InputError otherwise."""
    if name and not LEARNER.fullmatch(name):
        raise InputError(
            f"a learner's name {name[:60]!r}", "a letter or digit, then up to 39 of them, spaces, dots or dashes",
            "It is stored in the attempt's file: take a pseudonym",
        )  # fmt: skip
    return name


class AttemptWriter(ChainedWriter):
    """Writes an attempt as it goes on. fault: why it no longer does, "" while it does.

    Raises InputError where the file is there already or cannot be made.
    """

    def __init__(self, path: str | Path, head: AttemptHead) -> None:
        super().__init__(path, _head_told(head), "attempt's file")

    def entry(self, entry: Entry) -> None:
        """One action, and what came of it."""
        self.write_line(_entry_told(entry))


def write_attempt(path: str | Path, head: AttemptHead, log: Sequence[Entry]) -> None:
    """A finished attempt, whole or not at all. Raises InputError where it is there already, cannot be written, or is
    not finished."""
    path = Path(path)
    if path.exists():
        raise InputError(f"{path} is there already", "a new file")
    if not _finished(log):
        raise InputError("an attempt that is not finished", "one that ends with finish")
    data = chained([_head_told(head), *(_entry_told(entry) for entry in log)])
    with writing(path.parent), whole_file(path) as file:
        file.write(data)


@dataclass(frozen=True, eq=False)
class AttemptFile:
    """An attempt that was read. torn: a last line was cut off; ended: it was finished as it should be, so nothing is
    missing."""

    path: Path
    head: AttemptHead
    log: tuple[Entry, ...]
    torn: bool
    ended: bool

    @property
    def finished(self) -> bool:
        """Whether it is whole, and over."""
        return self.ended and _finished(self.log)

    def refuse_unfinished(self) -> None:
        """Raises FileFormatError for one that cannot be scored: it tells what is missing."""
        if not self.finished:
            what = "was torn off" if self.torn else "has no end" if not self.ended else "does not end with finish"
            raise FileFormatError(
                f"{self.path.name}: an attempt that {what}, after {len(self.log)} actions", "a finished one",
                "What was done before it broke off is in the file, but it has no score",
            )  # fmt: skip


def read_attempt(path: str | Path) -> AttemptFile:
    """Read an attempt and prove its sums; it need not be finished. Raises FileFormatError for what is none, was
    changed, or holds an action that is not known."""
    found = read_chained(path, _EXPECTED, LARGEST_BYTES)
    head = _head(found.path, found.lines[0])
    log = tuple(_entry(found.path, number, line) for number, line in enumerate(found.lines[1:], 2))
    for number, entry in enumerate(log, 1):
        if entry.number != number:
            raise FileFormatError(f"{found.path.name}: action {entry.number} in place of {number}", _EXPECTED)
    return AttemptFile(found.path, head, log, found.torn, found.ended)


def _finished(log: Sequence[Entry]) -> bool:
    return bool(log) and log[-1].action["do"] == "finish"


def _head_told(head: AttemptHead) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": "head", "format": FORMAT, "format_version": FORMAT_VERSION}
    return told | dataclasses.asdict(head)


def _entry_told(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = as_json(dataclasses.asdict(entry))
    return {"kind": "entry", **told}


def _head(path: Path, line: bytes) -> AttemptHead:
    try:
        told = dict(json.loads(line))
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path.name}: line 1: {error}", _EXPECTED) from error
    if told.get("format") != FORMAT or told.get("format_version") != FORMAT_VERSION:
        received = f"{path.name}: {told.get('format')!r}, version {told.get('format_version')!r}"
        raise FileFormatError(received, f"{FORMAT!r}, version {FORMAT_VERSION}")
    known = {one.name for one in dataclasses.fields(AttemptHead)}
    try:
        given = {name: told[name] for name in known}
        if not isinstance(given["seed"], int) or isinstance(given["seed"], bool) or given["seed"] < 0:
            raise ValueError(f"seed {given['seed']!r}")
        if not all(isinstance(given[name], str) for name in known - {"seed", "versions"}):
            raise ValueError("text that is none")
        given["versions"] = {str(name): str(number) for name, number in given["versions"].items()}
        return AttemptHead(**given)
    except (AttributeError, KeyError, TypeError, ValueError, InputError) as error:
        raise FileFormatError(f"{path.name}: line 1: {error}", "what the attempt was at, and who made it") from error


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        told = json.loads(line)
        if told.pop("kind") != "entry":
            raise ValueError("no action")
        action_of(told["action"])
        events = tuple(Event(**{**one, "value": float(one["value"])}) for one in told.pop("events"))
        needle = told.pop("needle")
        dose = Dose(**told.pop("dose"))
        action = {name: _tuples(value) for name, value in told.pop("action").items()}
        made = None if needle is None else NeedleState(**{name: _tuples(value) for name, value in needle.items()})
        return Entry(action=action, events=events, needle=made, dose=dose, **told)
    except (AttributeError, KeyError, TypeError, ValueError, InputError) as error:
        raise FileFormatError(f"{path.name}: line {number}: {error}", "an action, and what came of it") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
