"""All ways of a plan, judged anew: a verdict that was stored is never shown."""

from __future__ import annotations

from typing import Any

from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import SafetyReport
from navplan.reports.approval_standing import judged_on
from navplan.verbs.check import check, refuse_other_image

MOST = 200


class JudgedWays:
    """Reports made by this process, each kept as long as nothing of what it was made on has changed."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], SafetyReport] = {}
        self._last: tuple[Case, Plan, str, tuple[SafetyReport | None, ...]] | None = None  # what was asked last

    def reports(self, case: Case, plan: Plan, day: str) -> tuple[SafetyReport | None, ...]:
        """One report a way; None for a way that cannot be judged on the case as it is. day: an image grows old."""
        if self._last is None or self._last[0] is not case or self._last[1] is not plan or self._last[2] != day:
            found = tuple(self._report(case, plan, number, day) for number in range(len(plan.trajectories)))
            self._last = case, plan, day, found
        return self._last[3]

    def know(self, case: Case, plan: Plan, number: int, report: SafetyReport, day: str) -> None:
        """Take over a report that this process has just made of a way as the plan has it."""
        if len(self._made) >= MOST:
            self._made.clear()
        self._made[_key(case, plan, number, day)] = report

    def _report(self, case: Case, plan: Plan, number: int, day: str) -> SafetyReport | None:
        try:
            refuse_other_image(case, plan)
            key = _key(case, plan, number, day)
            if key not in self._made:
                self.know(case, plan, number, check(case, plan, trajectory=number), day)
            return self._made[key]
        except InputError:
            return None


def _key(case: Case, plan: Plan, number: int, day: str) -> tuple[Any, ...]:
    return plan.id, plan.provenance.made_on, number, judged_on(case, plan, number), day
