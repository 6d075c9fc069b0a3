"""Needles of other plans, which a new one must not meet."""

from __future__ import annotations

from collections.abc import Sequence

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Finding, SafetyReport
from navplan.model.trajectory import Trajectory
from navplan.planning.other_needles import OtherNeedle, crowding
from navplan.planning.situation import Situation

Beside = Sequence[str | tuple[str, int]]


def needles_beside(
    case: Case, beside: Beside, image_id: str, not_itself: tuple[Plan, int] | None = None
) -> tuple[OtherNeedle, ...]:
    """The needles named: the id of a plan of the case (its best way), or (id, which way, counted from 0).

    image_id: the image on which the new needle is judged; not_itself: the way that is judged, which cannot stand beside
    itself. Raises ChoiceError (no such plan or way), MismatchError (a plan on another image, or on an image that has
    changed), InputError for a way beside itself.
    """
    named = [beside] if isinstance(beside, str) else list(beside)
    found = {}
    for one in named:
        plan_id, number = (one, 0) if isinstance(one, str) else one
        plan = case.plan(plan_id)
        if not 0 <= number < len(plan.trajectories):
            have = f"0 to {len(plan.trajectories) - 1}" if plan.trajectories else "a plan with a way in"
            raise ChoiceError(f"way {number}, counted from 0, of plan {plan_id} beside this one", have)
        _refuse_other_place(case, plan, image_id)
        way = plan.trajectories[number].trajectory
        if not_itself is not None and (not_itself[0].id, not_itself[1]) == (plan_id, number):
            raise InputError(f"way {number + 1} of plan {plan_id} beside itself", "another way, or another plan")
        error_mm = plan.carried.expected_error_mm if plan.carried is not None else 0.0
        name = f"way {number + 1} of plan {plan_id}"
        found[plan_id, number] = OtherNeedle(way, name, plan.target.structure, error_mm)
    return tuple(found.values())


def _refuse_other_place(case: Case, plan: Plan, image_id: str) -> None:
    """Raises MismatchError unless the plan's millimetres are those of the image."""
    from navplan.verbs.check import refuse_other_image

    refuse_other_image(case, plan)
    made_on = plan.provenance.image_id
    frames = {case.volumes[id].grid.frame_uid for id in (made_on, image_id)}
    if made_on != image_id and (len(frames) > 1 or frames == {""}):
        raise MismatchError(
            f"plan {plan.id} on image {made_on}, to stand beside a way on image {image_id}",
            "a plan on the same image, or on one of the same frame of reference",
            "Plan both on one image",
        )


def crowded(way: Trajectory, situation: Situation, report: SafetyReport) -> tuple[Finding, ...]:
    """What the needles of a situation mean for a way, where its report does not say it yet."""
    finding = crowding(way, situation.others, situation.target.structure)
    return () if finding is None or finding in report.findings else (finding,)
