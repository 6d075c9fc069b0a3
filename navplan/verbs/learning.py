"""Learning curves of scored attempts, and their table. A teacher's limits decide what a failure is, by his name."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navplan.errors import InputError
from navplan.files.durable import writing
from navplan.files.whole_file import whole_file
from navplan.model.scenario import MetricLimit
from navplan.training.cusum import CusumLimits, LearningCurve, learning_curve
from navplan.training.metrics import NAMES
from navplan.verbs.score import Score

_FORMULA = "=+-@"  # what a spreadsheet would compute


@dataclass(frozen=True)
class LearnersCurve:
    """A learner's attempts at one scenario, in the order of their dates. beyond: of each attempt the limits that it was
    beyond; a number that is not known counts as beyond."""

    scenario: str
    who: str
    limits: tuple[MetricLimit, ...]
    files: tuple[str, ...]
    beyond: tuple[tuple[str, ...], ...]
    curve: LearningCurve


def curves(scores: Sequence[Score], limits: CusumLimits | None = None) -> tuple[LearnersCurve, ...]:
    """One of each learner at each scenario, by the limits of the scenario as it is now.

    Raises InputError for a scenario without limits: navplan sets none.
    """
    groups: dict[tuple[str, str], list[Score]] = {}
    for one in sorted(scores, key=lambda one: (one.head.date, one.path.name)):
        groups.setdefault((one.head.scenario, one.who), []).append(one)
    found = []
    for (scenario, who), members in groups.items():
        asked = members[0].ready.scenario.limits
        if not asked:
            raise InputError(
                f"a learning curve of {scenario}, which sets no limits", "a scenario whose teacher did",
                "Set them in its file: [[limits]] metric, most, source",
            )  # fmt: skip
        beyond = tuple(_beyond(one, asked) for one in members)
        files = tuple(one.path.name for one in members)
        curve = learning_curve([bool(names) for names in beyond], limits)
        found.append(LearnersCurve(scenario, who, asked, files, beyond, curve))
    return tuple(found)


def _beyond(score: Score, limits: Sequence[MetricLimit]) -> tuple[str, ...]:
    values = {one.name: one.value for one in score.metrics}
    return tuple(limit.metric for limit in limits if not values[limit.metric] <= limit.most)


def write_table(path: str | Path, scores: Sequence[Score]) -> None:
    """A CSV, whole or not at all: one row an attempt, units in the columns' names. Nothing in it: the scenario does not
    count that; nan: not known; inf: never. Raises InputError where it cannot be written."""
    counted = [name for name in NAMES if any(name in one.ready.scenario.counted for one in scores)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([
        "file", "scenario", "version", "difficulty", "learner", "date", "seed", "same_bits [0 or 1]",
        *(f"{name} [{NAMES[name][0]}]" for name in counted),
    ])  # fmt: skip
    for one in scores:
        head, values = one.head, {metric.name: repr(metric.value) for metric in one.metrics}
        table.writerow([
            _text(one.path.name), _text(head.scenario), _text(head.version), _text(head.difficulty), _text(one.who),
            head.date, head.seed, int(not one.replay.differs_at), *(values.get(name, "") for name in counted),
        ])  # fmt: skip
    with writing(Path(path).parent), whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def _text(words: str) -> str:
    return f"'{words}" if words[:1] and words[0] in _FORMULA else words
