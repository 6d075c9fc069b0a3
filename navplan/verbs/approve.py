"""approve, withdraw, standing: a person's word for one way of a plan, exactly as it was judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from navplan.errors import InputError, MismatchError
from navplan.model.case import AuditEntry, Case
from navplan.model.plan import SHORTEST_REASON, Approval, Plan, Withdrawal
from navplan.model.safety import SafetyReport, Verdict
from navplan.planning.why_not import limit_line
from navplan.reports.approval_standing import (
    APPROVE,
    WITHDRAW,
    approval_digest,
    digest_of,
    judged_on,
    meaningless,
    to_be_acknowledged,
    unacknowledged,
    void_because,
)
from navplan.verbs.check import check

__all__ = ["approve", "standing", "to_be_acknowledged", "withdraw"]


def approve(
    case: Case,
    plan: Plan | str,
    trajectory: int = 0,
    *,
    who: str,
    reason: str = "",
    acknowledge: Sequence[str] = (),
) -> tuple[Case, Plan]:
    """Judge one way of a plan anew and put a person's approval to it; gives back the case and the plan that hold it.

    plan: a Plan, or the id of one in the case; trajectory: which way, counted from 0. reason: why it is approved; where
    the verdict is not PASS, at least SHORTEST_REASON letters. acknowledge: by name, each structure that no image shows
    and whatever is not evaluated (`to_be_acknowledged` lists the names; an open item's words do as well).

    An earlier approval stays beside the new one. The case's record is told who approved what, and as what.

    Raises InputError for a way that is FAIL (naming the limit), for what nobody acknowledged (by name), for a name that
    nothing open has, for an approval by nobody or without its reason; MismatchError for a plan made on another image,
    or that is not the one which the case holds under its id; ChoiceError for an unknown plan or way.
    """
    found = _with_those_of_the_case(case, case.plan(plan) if isinstance(plan, str) else plan)
    who, reason = _one_line(who), _one_line(reason)
    names = tuple(dict.fromkeys(name for name in map(_one_line, _listed(acknowledge)) if name))
    report = check(case, found, trajectory=trajectory)
    way = f"way {trajectory + 1} of plan {found.id}"
    _refuse_fail(report, way)
    if not who:
        raise InputError(f"an approval of {way} by nobody", "who approves it", "Say it with --who NAME")
    _refuse_unacknowledged(report, names, way)
    if report.verdict is not Verdict.PASS and len(reason) < SHORTEST_REASON:
        raise InputError(
            f"{way}, which is {report.verdict}, approved for the reason {reason!r}",
            f"why it is approved nevertheless, in at least {SHORTEST_REASON} letters",
            "Say it with --reason TEXT",
        )
    approval = Approval(
        who, _now(), reason, trajectory, report.verdict, report.headline, judged_on(case, found, trajectory), names
    )
    approved = replace(found, approvals=(*found.approvals, approval))
    told = {
        "plan": found.id, "way": trajectory + 1, "verdict": str(report.verdict), "headline": report.headline,
        "reason": reason, "acknowledged": list(names), "left_open": _left_open(report),
        "approval": approval_digest(approval),
    }  # fmt: skip
    return case.with_plan(approved).with_audit(AuditEntry(approval.when, who, APPROVE, told)), approved


def _left_open(report: SafetyReport) -> list[str]:
    """Every line of what is open, each with the names of all its structures, and what is ticked when it is done."""
    lines = [line.words for item in report.open_items for line in item.lines]
    return lines + [finding.words for finding in report.to_tick]


def withdraw(case: Case, plan: Plan | str, who: str, reason: str) -> tuple[Case, Plan]:
    """Take back every approval of a plan that was not taken back yet; void ones too, so that none comes back.

    Gives back the case, whose record is told, and the plan. Raises InputError where there is nothing to withdraw, or
    nobody who does, or no reason; MismatchError as `approve`; ChoiceError for an unknown plan.
    """
    found = _with_those_of_the_case(case, case.plan(plan) if isinstance(plan, str) else plan)
    given = [approval for approval in found.approvals if approval.withdrawn is None]
    if not given:
        raise InputError(f"plan {found.id}, which has no approval to withdraw", "a plan that is approved")
    taken = Withdrawal(_one_line(who), _now(), _one_line(reason))
    approvals = tuple(one if one.withdrawn is not None else replace(one, withdrawn=taken) for one in found.approvals)
    left = replace(found, approvals=approvals)
    told = {"plan": found.id, "reason": taken.reason, "approvals": [approval_digest(one) for one in given]}
    return case.with_plan(left).with_audit(AuditEntry(taken.when, taken.who, WITHDRAW, told)), left


def standing(case: Case, plan: Plan, approval: Approval, report: SafetyReport | None = None) -> str:
    """Why an approval of a plan is void on the case as it is now; "" while it stands.

    It is void once it was withdrawn, once anything that the way was judged on has changed (image, structures, way,
    needle, rules, request), once the image is older than the protocol allows, and where the case's record does not
    know of it: an approval goes along to no other case, image, plan or way. report: of that way, made now, where one
    is at hand: any other verdict or headline than the approved one makes it void, too.
    """
    return void_because(case, plan, approval, report)


def _with_those_of_the_case(case: Case, plan: Plan) -> Plan:
    """The plan with all approvals that the case holds of it, in their order; none is lost by an older copy of it.

    Raises MismatchError where the case holds another plan under that id: approving would put this one in its place.
    """
    held = case.plans.get(plan.id)
    if held is None:
        return plan
    if _content(held) != _content(plan):
        raise MismatchError(
            f"a plan {plan.id} that is not the one which the case holds under this id",
            "the plan of the case, or one under an id of its own",
            "Put it into the case first",
        )
    known = {approval_digest(approval) for approval in held.approvals}
    new = [approval for approval in plan.approvals if approval_digest(approval) not in known]
    return replace(plan, approvals=(*held.approvals, *new))


def _content(plan: Plan) -> str:
    """A digest of what a plan is judged by, whatever was said of it."""
    ways = [ranked.trajectory for ranked in plan.trajectories]
    request = (plan.target, plan.side, plan.level, plan.patient_position, plan.breath_state, plan.carried)
    return digest_of((ways, request, plan.protocol, plan.error_model, plan.provenance))


def _refuse_fail(report: SafetyReport, way: str) -> None:
    broken = report.of(Verdict.FAIL)
    if broken:
        raise InputError(
            f"{way} is FAIL: {'; '.join(limit_line(finding) for finding in broken)}",
            "a way that breaks no limit: FAIL cannot be approved",
            "Choose another way in",
        )


def _refuse_unacknowledged(report: SafetyReport, names: tuple[str, ...], way: str) -> None:
    unknown = meaningless(report, names)
    if unknown:
        called = ", ".join(to_be_acknowledged(report)) or "nothing that has to be acknowledged"
        raise InputError(f"acknowledged {', '.join(map(repr, unknown))}, which nothing open in {way} is called", called)
    missing = unacknowledged(report, names)
    if missing:
        raise InputError(
            f"{way}, of which nobody acknowledged {len(missing)}: {'; '.join(missing)}",
            f"each acknowledged by name: {', '.join(to_be_acknowledged(report))}",
            "Look at each, then name it with --acknowledge NAME",
        )


def _now() -> str:
    """The time as ISO 8601, UTC; so fine that no two approvals are the same."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _listed(names: Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _one_line(words: str) -> str:
    return " ".join(str(words).split())
