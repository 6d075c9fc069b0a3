"""What reports and cards say of a way's approvals: by whom, when, why, what was acknowledged; void ones as void."""

from __future__ import annotations

from dataclasses import dataclass

from navplan.model.case import Case
from navplan.model.plan import Approval, Plan
from navplan.reports.approval_standing import time_words, void_because
from navplan.reports.wording import Badge, badge
from navplan.view.colours import spoken_words

APPROVED, VOID, NOT_APPROVED = "Approved", "Approval void", "Not approved"
LONGEST = 110  # letters of a reason, or of what was acknowledged, where there is little room


@dataclass(frozen=True)
class ApprovalRow:
    """One approval of a way. void: why it no longer stands, "" where it does; badge, headline: as judged then."""

    who: str
    when: str
    badge: Badge
    headline: str
    reason: str
    acknowledged: str
    void: str

    @property
    def state(self) -> str:
        """In a word or two."""
        return VOID if self.void else APPROVED


@dataclass(frozen=True)
class ApprovalLine:
    """What is said where there is room for one line: the state in bold, then the words, "" for none."""

    state: str
    words: str = ""


def approval_rows(case: Case, plan: Plan, number: int) -> tuple[ApprovalRow, ...]:
    """The approvals of way `number` (from 0), in the order in which they were given. The report that the plan holds of
    the way has to be made now: an approval of another judgement is void."""
    report = plan.trajectories[number].report
    return tuple(
        _row(approval, void_because(case, plan, approval, report))
        for approval in plan.approvals
        if approval.trajectory == number
    )


def _row(approval: Approval, void: str) -> ApprovalRow:
    return ApprovalRow(
        who=approval.who,
        when=time_words(approval.when),
        badge=badge(approval.verdict),
        headline=spoken_words(approval.headline.replace(">=", "≥").replace(" - ", " · ")),
        reason=approval.reason,
        acknowledged="; ".join(_spoken(name) for name in approval.acknowledged),
        void=spoken_words(void),
    )


def approval_line(rows: tuple[ApprovalRow, ...], held_for: str = "", longest: int = LONGEST) -> ApprovalLine:
    """Of the last approval that stands, else of the last that is void, else that there is none.

    held_for: what else is to be known of what was approved, "" for nothing. longest: letters of each part of it; what
    is longer is cut.
    """
    if not rows:
        return ApprovalLine(NOT_APPROVED)
    chosen = next((row for row in reversed(rows) if not row.void), rows[-1])
    by = f"by {_cut(chosen.who, longest)}, {chosen.when}, as {chosen.badge.word}{f', {held_for}' if held_for else ''}"
    if chosen.void:
        words = _ended(f"it was given {by}; {_cut(chosen.void, longest)}")
    else:
        words = _ended(f"{by}{f': {_cut(chosen.reason, longest)}' if chosen.reason else ''}")
        words += _ended(f" Acknowledged: {_cut(chosen.acknowledged, longest)}") if chosen.acknowledged else ""
    words += f" One of {len(rows)} approvals of this way." if len(rows) > 1 else ""
    return ApprovalLine(chosen.state, words)


def _spoken(name: str) -> str:
    return spoken_words(name.replace("_*", "").replace("*", ""))


def _ended(words: str) -> str:
    return words if words.endswith("…") else f"{words}."


def _cut(words: str, longest: int) -> str:
    words = words.rstrip(".")
    return words if len(words) <= longest else words[:longest].rsplit(" ", 1)[0] + " …"
