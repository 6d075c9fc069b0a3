"""What attempts come to, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf, isnan
from textwrap import wrap
from typing import TYPE_CHECKING

from navplan.cli.output import aligned
from navplan.model.finding import Verdict

if TYPE_CHECKING:
    from navplan.model.finding import Interval
    from navplan.training.outcome import StructureOutcome
    from navplan.verbs.learning import LearnersCurve
    from navplan.verbs.score import BesideRow, Score

NEAREST = 6  # structures that are told where none was touched


def score_lines(one: Score) -> list[str]:
    """All of one attempt."""
    rows = [["metric", "value", "unit", "what it is", "source"]]
    rows += [[m.name, value_words(m.value), m.unit, m.words, m.source] for m in one.metrics]
    return [_title(one), one.replay.words, "", *aligned(rows), "", *_promise_lines(one)]


def table_lines(found: Sequence[Score]) -> list[str]:
    """Several attempts: one table for each scenario, and what its columns mean."""
    lines: list[str] = []
    for id in dict.fromkeys(one.head.scenario for one in found):
        members = [one for one in found if one.head.scenario == id]
        names = [metric.name for metric in members[0].metrics]
        rows = [["attempt", "who", "seed", "same bits", *names]]
        for one in members:
            same = "yes" if not one.replay.differs_at else f"to {one.replay.differs_at - 1}"
            values = [value_words(metric.value) for metric in one.metrics]
            rows.append([one.path.name, one.who, str(one.head.seed), same, *values])
        lines += [*([""] if lines else []), f"{members[0].ready.scenario.title} ({id})", *aligned(rows), ""]
        lines += aligned([[m.name, m.unit, m.words, m.source] for m in members[0].metrics])
    return lines


def beside_lines(name: str, rows: Sequence[BesideRow], other: str) -> list[str]:
    """Where two needles part."""
    table = [["action", "what", "deep mm", "tip off mm", "at s", "the other at s"]]
    for row in rows:
        table.append([
            str(row.number), row.do, f"{row.inserted_mm:.1f}", f"{row.off_mm:.1f}", f"{row.time_s:.0f}",
            "never" if isnan(row.other_s) else f"{row.other_s:.0f}",
        ])  # fmt: skip
    most = max(rows, key=lambda row: row.off_mm, default=None)
    told = f"; farthest apart at action {most.number}: {most.off_mm:.1f} mm" if most is not None else ""
    return [f"{name} beside {other}, at the same depth{told}", *aligned(table)]


def curve_lines(one: LearnersCurve) -> list[str]:
    """A learning curve."""
    limits = one.curve.limits
    rows = [["", "attempt", "beyond", "sum"]]
    for number, (file, names, total) in enumerate(zip(one.files, one.beyond, one.curve.sums, strict=True), 1):
        mark = "  signal" if number in one.curve.signals else ""
        rows.append([str(number), file, ", ".join(names) or "none", f"{total:.2f}{mark}"])
    return [
        f"{one.who} at {one.scenario}: {one.curve.words}",
        *(
            f"  a failure: {limit.metric} above {limit.most:g}, as set by: {limit.source.removeprefix('set by ')}"
            for limit in one.limits
        ),
        f"  acceptable share of failures {limits.p0:g}, unacceptable {limits.p1:g}, errors {limits.alpha:g} and"
        f" {limits.beta:g}: s {limits.step:.4f}, h {limits.height:.4f}",
        *aligned(rows),
    ]


def value_words(value: float) -> str:
    """A metric's value."""
    if isnan(value):
        return "not known"
    if isinf(value):
        return "never"
    return f"{value:.0f}" if value == round(value) or abs(value) >= 1000.0 else f"{value:.1f}"


def _title(one: Score) -> str:
    head, scenario = one.head, one.ready.scenario
    return (
        f"{one.path.name}: {scenario.title} ({head.scenario} {head.version}, {head.difficulty}), {one.who}, "
        f"seed {head.seed}, {head.date[:16].replace('T', ' ')}"
    )


def _promise_lines(one: Score) -> list[str]:
    outcome, promised = one.outcome, one.ready.promised
    lines = [f"the plan: {promised.verdict}: {promised.headline}"]
    if outcome.unevaluated:
        names = f"not evaluated, and may have been touched: {', '.join(name for name, _ in outcome.unevaluated)}"
        lines += wrap(f"{names} (why: --json)", 118, initial_indent="   ", subsequent_indent="      ")
    if outcome.last is None:
        return [*lines, "the needle: none that can be judged"]
    if one.ready.scenario.breath is not None:
        lines.append(f"breath then: {outcome.breath:.0%} of the way from the image's state to its other end")
    lines += [
        f"the needle, as a straight line, by the plan's rules (not the scenario's goal): {outcome.last.verdict}: "
        f"{outcome.last.headline}",
        f"off the plan: entry {outcome.entry_off_mm:.1f} mm, direction {outcome.angle_off_deg:.1f} degrees, depth "
        f"{outcome.depth_off_mm:+.1f} mm, tip {outcome.tip_off_mm:.1f} mm; the shaft bowed by {outcome.bow_mm:.1f} mm",
    ]
    worst = [item for item in outcome.last.open_items if item.verdict is Verdict.FAIL]
    lines[-1:-1] = [f"   FAIL: {item.words}" for item in worst]
    told = {row.name for row in outcome.structures if row.touched or row.stopped or row.maybe_s > 0.0}
    chosen = [row for n, row in enumerate(outcome.structures) if n < NEAREST or row.name in told]
    rows = [["clearance, mm", "asked", "promised", "last needle", "least of all", "touched", "perhaps"]]
    rows += [_structure_row(row) for row in chosen]
    left = len(outcome.structures) - len(chosen)
    return [*lines, *aligned(rows), *([f"and {left} structures that are farther away (--json)"] if left else [])]


def _structure_row(row: StructureOutcome) -> list[str]:
    spared = "not evaluated" if row.touched is None else "the tip stopped on it" if row.stopped else "no"
    touched = f"{row.touched_s:.0f} s" if row.touched else spared
    return [
        row.name, f"{row.required_mm:g}", _interval(row.promised), _interval(row.last), _interval(row.least), touched,
        f"{row.maybe_s:.0f} s" if row.maybe_s > 0.0 else "no",
    ]  # fmt: skip


def _interval(found: Interval | None) -> str:
    return "not measured" if found is None else str(found).removesuffix(" mm")
