"""Attempts kept as files, and read back to the very same bits or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.attempt_file import (
    DIGESTS,
    ENDING,
    AttemptFile,
    AttemptHead,
    learner_name,
    read_attempt,
    write_attempt,
)
from navplan.files.durable import file_stem, folder_made
from navplan.files.recording import versions
from navplan.reports.approval_standing import digest_of
from navplan.training.actions import action_of
from navplan.training.attempt import Attempt
from navplan.training.log import chained
from navplan.training.needle_path import NeedlePath
from navplan.verbs.training import Rehearsal

_TOLD_ONLY = ("title", "words", "counted", "limits", "patient", "way", "difficulties", "difficulty", "origin")
_SOURCES = ("source", "bend_source")
_CALLED = {
    "rules": "the scenario's rules, costs or variation", "image": "the patient's image",
    "structures": "what is outlined on the patient, or printed", "way": "the needle or its way",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Replay:
    """An attempt that was played again. paths: the needle after each entry of its log; differs_at: the entry, counted
    from 1, from which on it comes to other bits than the file has, 0 for none."""

    file: AttemptFile
    attempt: Attempt
    paths: tuple[NeedlePath | None, ...]
    differs_at: int

    @property
    def words(self) -> str:
        """Whether it is the same, in a line."""
        if not self.differs_at:
            return "played again to the same bits"
        made, now = _versions(self.file.head.versions), _versions(versions())
        return f"other bits from action {self.differs_at} on; made with {made}, played again with {now}"


def head_of(ready: Rehearsal, attempt: Attempt, learner: str = "", script: str = "") -> AttemptHead:
    """What an attempt is at, as of now. Raises InputError for a learner's name that cannot be one."""
    scenario, situation, way = attempt.scenario, ready.situation, attempt.way
    structures: dict[str, object] = {
        name: (one.presence, "" if one.occupancy is None else one.digest)  # not who said when that it is absent
        for name, one in situation.structures.items()
    }
    if scenario.patient.block:
        structures["printed in a block"] = ", ".join(sorted(scenario.patient.printed))
    return AttemptHead(
        scenario.id, scenario.version, scenario.difficulty, digest_of(_rules(asdict(scenario))),
        digest_of((situation.image.digest, situation.patient_position)), digest_of(structures),
        digest_of((way.entry_mm, way.target_mm, way.tip_short_of_target_mm, way.device)), attempt.seed,
        datetime.now(UTC).isoformat(timespec="milliseconds"), learner, script,
    )  # fmt: skip


def keep_attempt(
    ready: Rehearsal, attempt: Attempt, folder: str | Path, learner: str = "", script: str = ""
) -> Path:  # fmt: skip
    """A finished attempt as a new file in a folder, which is made where it is missing; whole or not at all.

    learner: stored as given, in the file and in its name: a pseudonym. Raises InputError for a name that cannot be one,
    an attempt that is not finished, a folder that cannot be written to.
    """
    head = head_of(ready, attempt, learner_name(learner), script)
    when = datetime.fromisoformat(head.date).strftime("%Y%m%dT%H%M%S")
    with folder_made(Path(folder)):
        path = Path(folder) / attempt_name(head, "" if script else when)
        write_attempt(path, head, attempt.log)
    return path


def attempt_name(head: AttemptHead, when: str = "") -> str:
    """Of an attempt's file: scenario, difficulty, who, seed, and when a person did it."""
    who = head.script or head.learner or "nobody"
    parts = [head.scenario, head.difficulty, who, f"{head.seed:04d}", when]
    return "-".join(file_stem(part) for part in parts if part) + ENDING


def replay(file: AttemptFile | str | Path, ready: Rehearsal) -> Replay:
    """A finished attempt played again, action by action.

    Raises FileFormatError for a file that is none, was changed or is not finished; MismatchError for another scenario,
    patient or way than it was made on, and for an action that cannot be done again.
    """
    found = file if isinstance(file, AttemptFile) else read_attempt(file)
    found.refuse_unfinished()
    attempt = ready.attempt(found.head.seed, found.head.difficulty)
    _refuse_other(found, head_of(ready, attempt))
    _refuse_changed(found)
    paths, differs_at = [], 0
    for entry in found.log:
        try:
            again = attempt.act(action_of(entry.action))
        except InputError as error:
            raise MismatchError(
                f"{found.path.name}: action {entry.number} cannot be done again: {error.received}",
                f"what made it: {_versions(found.head.versions)}",
            ) from error
        if again.chain != entry.chain and not differs_at:
            differs_at = entry.number
        paths.append(attempt.path)
    return Replay(found, attempt, tuple(paths), differs_at)


def _refuse_changed(file: AttemptFile) -> None:
    """What an entry tells must be what its own link of the chain was made of: else a replay of "the same bits" would
    speak of another story than the file tells."""
    before = ""
    for entry in file.log:
        if chained(before, entry) != entry.chain:
            raise FileFormatError(
                f"{file.path.name}: action {entry.number}, which was changed after it was done",
                "an attempt as it was made",
            )
        before = entry.chain


def _refuse_other(file: AttemptFile, now: AttemptHead) -> None:
    head, name = file.head, file.path.name
    if head.scenario != now.scenario:
        raise MismatchError(f"{name}: an attempt at {head.scenario}", f"an attempt at {now.scenario}")
    other = [_CALLED[part] for part in DIGESTS if getattr(head, part) != getattr(now, part)]
    if other:
        raise MismatchError(
            f"{name}: {', '.join(other)} of {now.scenario} {now.version} are not those of the attempt, which was at "
            f"version {head.version}", "the scenario, patient and plan as they were then",
        )  # fmt: skip


def _rules(told: Any) -> Any:
    """All of a scenario that an attempt's course hangs on: not its words, sources, limits and what is counted; patient
    and way have digests of their own."""
    if isinstance(told, dict):
        return {key: _rules(one) for key, one in told.items() if key not in _TOLD_ONLY and key not in _SOURCES}
    return [_rules(one) for one in told] if isinstance(told, Sequence) and not isinstance(told, str) else told


def _versions(told: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(told.items()))
