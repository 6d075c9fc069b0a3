"""adjust and approve: a way moved by hand as a plan of its own, and a person's word for a way."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from navplan.cli.moved_way import point_of
from navplan.cli.output import Output
from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.model.case import Case
    from navplan.model.plan import Plan

DONE = 0


def do_adjust(options: Namespace, output: Output) -> int:
    """A moved way as a new plan of the case."""
    from navplan.cli import commands
    from navplan.model.safety import Verdict
    from navplan.verbs.by_hand import by_hand
    from navplan.verbs.case_verbs import open_case

    case = open_case(options.case)
    found = case.plan(options.plan)
    place = commands.place_of(options, found)
    made = by_hand(
        case,
        found,
        place,
        entry=point_of(options.entry, "--entry"),
        aim=point_of(options.aim, "--aim"),
        device=options.device,
        id=options.id,
    )
    moved = "; ".join(made.notes[1:])
    commands.saved_case(
        case.with_plan(made), options.case, "adjust", plan=found.id, way=place + 1, new_plan=made.id, moved=moved
    )
    lines = [f"{made.id}: {made.notes[0]}", *(f"   {words}" for words in made.notes[1:]), *commands.ways_text(made)]
    output.result("\n".join(lines), {**commands.plan_data(made), "verdict": made.best.verdict})
    return commands._exit_code(made.best.verdict, False, Verdict)


def do_approve(options: Namespace, output: Output) -> int:
    """A person's approval of one way of a plan, or all approvals of the plan taken back."""
    from navplan.cli import commands
    from navplan.verbs.approve import approve, withdraw
    from navplan.verbs.case_verbs import open_case

    case = open_case(options.case)
    found = case.plan(options.plan)
    place = commands.place_of(options, found)
    if options.withdraw and (options.acknowledge or options.trajectory != 1):
        raise InputError("--withdraw with --acknowledge or --trajectory", "--withdraw alone: it is of all approvals")
    if options.withdraw:
        case, plan = withdraw(case, found, options.who, options.reason)
        told = f"withdrawn: every approval of plan {plan.id}, by {case.audit[-1].who}"
    else:
        case, plan = approve(
            case, found, place, who=options.who, reason=options.reason, acknowledge=tuple(options.acknowledge)
        )
        given = plan.approvals[-1]
        told = f"approved: way {place + 1} of plan {plan.id}, by {given.who}, as {given.verdict}: {given.headline}"
    commands.saved_case(case, options.case)
    rows = approvals_data(case, plan)
    output.result("\n".join([told, *(_row_text(row) for row in rows)]), {"plan": plan.id, "approvals": rows})
    return DONE


def approvals_data(case: Case, plan: Plan) -> list[dict[str, Any]]:
    """All approvals of a plan, in order; void: why one no longer stands, "" where it does."""
    from navplan.verbs.approve import standing

    return [
        {
            "way": given.trajectory + 1, "who": given.who, "when": given.when, "reason": given.reason,
            "verdict": given.verdict, "headline": given.headline, "acknowledged": given.acknowledged,
            "void": standing(case, plan, given),
        }
        for given in plan.approvals
    ]  # fmt: skip


def _row_text(row: dict[str, Any]) -> str:
    from navplan.reports.approval_standing import time_words

    state = "void" if row["void"] else "approved"
    words = f"   way {row['way']}: {state}, {row['who']}, {time_words(row['when'])}, {row['verdict']}"
    words += f": {row['reason']}" if row["reason"] else ""
    words += f"; acknowledged: {', '.join(row['acknowledged'])}" if row["acknowledged"] else ""
    return words + (f"; void: {row['void']}" if row["void"] else "")
