"""--beside: needles that are planned or placed already."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError

if TYPE_CHECKING:
    from navplan.model.case import Case


def beside_of(options: Namespace, case: Case) -> tuple[tuple[str, int], ...]:
    """--beside PLAN or PLAN:N, N counted from 1, as (plan, N counted from 0)."""
    found = []
    for words in options.beside:
        plan, _, number = words.rpartition(":")
        if words in case.plans or not plan:
            plan, number = words, "1"
        if not number.isdecimal() or int(number) < 1:
            raise InputError(f"--beside {words}", "PLAN, or PLAN:N with N counted from 1")
        count = len(case.plan(plan).trajectories)
        if int(number) > count:
            raise ChoiceError(f"--beside {words}", f"{plan}:1 to {plan}:{count}" if count else "a plan with a way in")
        found.append((plan, int(number) - 1))
    return tuple(found)
