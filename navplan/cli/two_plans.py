"""transfer and compare: a plan on another image, and two plans side by side."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING

from navplan.cli.output import Output
from navplan.errors import ChoiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from navplan.verbs.compare import Comparison, ComparisonRow

DONE, FAILED, NOT_DECIDED = 0, 3, 4
WIDEST = 44  # characters of a column; longer words go on below


def do_transfer(options: Namespace, output: Output) -> int:
    """A plan carried to another image."""
    from navplan.cli import commands
    from navplan.model.safety import Verdict
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.transfer import transfer

    case = open_case(options.case)
    done = transfer(
        case,
        options.plan,
        options.to,
        transform=options.from_file_transform or None,
        error_mm=options.error_mm,
        landmarks=options.landmarks,
        patient_position=options.position,
        progress=output.progress,
    )
    with ExitStack() as stack:
        if options.out:
            from navplan.files.plan_json import plan_beside

            stack.enter_context(plan_beside(options.out, done.plan))
        commands.saved_case(done.case, options.case)
    lines = [f"{done.plan.id}: {len(done.plan.trajectories)} ways on image {options.to}"]
    lines += [f"   {words}" for words in done.plan.notes]
    lines += commands.ways_text(done.plan)
    data = {**commands.plan_data(done.plan), "carried": done.plan.carried}
    output.result("\n".join(lines), data)
    verdicts = [way.verdict for way in done.plan.trajectories]
    if any(verdict in (Verdict.PASS, Verdict.WARN) for verdict in verdicts):
        return DONE
    return FAILED if verdicts and Verdict.NOT_EVALUATED not in verdicts else NOT_DECIDED


def do_needle(options: Namespace, output: Output) -> int:
    """The needle in the image against its plan."""
    from navplan.cli import commands
    from navplan.model.safety import Verdict
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.needle import needle_in

    case = open_case(options.case)
    found = needle_in(case, options.plan, commands.place_of(options, case.plans.get(options.plan)))
    lines = [*found.words, f"once corrected: {found.report.verdict}", f"   {found.report.headline}"]
    data = {"needle": found.needle, "correction": found.correction, "words": found.words}
    output.result("\n".join(lines), {**data, "verdict": found.report.verdict, "headline": found.report.headline})
    return commands._exit_code(found.report.verdict, False, Verdict)


def do_compare(options: Namespace, output: Output) -> int:
    """Two plans, or two ways, side by side."""
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.compare import compare

    for name in ("trajectory_a", "trajectory_b"):
        if getattr(options, name) < 1:
            raise ChoiceError(f"--{name.replace('_', '-')} {getattr(options, name)}", "1 or more")
    found = compare(
        open_case(options.case),
        options.plan_a,
        options.plan_b,
        trajectory_a=options.trajectory_a - 1,
        trajectory_b=options.trajectory_b - 1,
    )
    output.result(comparison_text(found), found)
    return DONE


def comparison_text(found: Comparison) -> str:
    """The comparison as an aligned table for a person."""
    from navplan.verbs.compare import FAR_MM, PARTS

    width = min(max(len(row.what) for row in found.rows), WIDEST)
    column = min(max(max(len(row.a), len(row.b)) for row in found.rows), WIDEST)
    lines = [f"A  {found.a}", f"B  {found.b}", f"on image {found.image}, both judged anew; {found.apart}"]
    for part, heading in PARTS.items():
        rows = found.part(part)
        lines += ["", f"{heading:{width}}  {'A':{column}}  {'B':{column}}  better" if rows else heading]
        lines += _table(rows, width, column)
        if part == "clearances":
            lines.append(f"  {len(found.far)} more that differ, farther than {FAR_MM:g} mm on both ways")
            lines.append(f"  {found.unchanged} structures: no difference")
    for heading, items in (("To do for A only", found.open_a), ("To do for B only", found.open_b)):
        lines += ["", heading, *(f"  {words}" for words in items or ("nothing",))]
    lines += ["", "To do for both"]
    for a, b in found.open_both or (("nothing", "nothing"),):
        lines += [f"  {a}"] if a == b else [f"  A {a}", f"  B {b}"]
    return "\n".join(lines)


def _table(rows: Iterable[ComparisonRow], width: int, column: int) -> list[str]:
    lines = []
    for row in rows:
        parts = [_folded(row.what, width), _folded(row.a, column), _folded(row.b, column)]
        for number in range(max(len(part) for part in parts)):
            cells = [part[number] if number < len(part) else "" for part in parts]
            better = row.better if number == 0 else ""
            lines.append(f"{cells[0]:{width}}  {cells[1]:{column}}  {cells[2]:{column}}  {better}".rstrip())
    return lines


def _folded(words: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(words, width) or [""]
