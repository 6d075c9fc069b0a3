"""The guided steps: what each has, and what it still lacks. Nothing is locked; a step says why it can't go on yet.

Words are keys of the page's strings with what is to be put into them, so that they can be translated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from navplan.errors import NavplanError
from navplan.extend import registry
from navplan.model.acquisition import Severity
from navplan.model.image_pair import Tie, image_pair
from navplan.model.protocol import Need, fits
from navplan.model.safety import Verdict
from navplan.model.structure import Presence
from navplan.session.session import Session
from navplan.session.shown import Shown


class State(StrEnum):
    """done; open: to be done next or later; attention: done, but something is to be looked at; idle: not needed."""

    DONE = "done"
    OPEN = "open"
    ATTENTION = "attention"
    IDLE = "idle"


@dataclass(frozen=True)
class Told:
    """A sentence: key of a string, and what goes into it."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """id: of the step; state; told: what it has and what is missing, in order."""

    id: str
    state: State
    told: tuple[Told, ...] = ()


def steps(session: Session, shown: Shown | None) -> tuple[Step, ...]:
    """All steps in their order."""
    return (
        _images(session), _fusion(session), _anatomy(session), _target(session), _way(session, shown),
        _device(session, shown), _fluoroscopy(session, shown), _check(session, shown), _report(session, shown),
    )  # fmt: skip


def _images(session: Session) -> Step:
    if not session.case.volumes:
        return Step("images", State.OPEN, (Told("no_image"),))
    _, volume = session.image()
    found = volume.acquisition.quality
    told = [Told("finding", {"words": one.words}) for one in found if one.severity is not Severity.INFO]
    if not volume.acquisition.patient_digest:
        told.append(Told("patient_unknown"))
    return Step("images", State.ATTENTION if told else State.DONE, tuple(told))


def _fusion(session: Session) -> Step:
    """What ties the other images to the one that is looked at: not needed for a plan; a doubt is to be looked at."""
    case = session.case
    if len(case.volumes) < 2:
        return Step("fusion", State.IDLE, (Told("one_image"),))
    told, ties = [Told("several_images", {"count": len(case.volumes)})], []
    here = session.image()[0]
    for image_id in case.volumes:
        if image_id != here:
            try:
                pair = image_pair(case, here, image_id)
            except NavplanError:
                told.append(Told("not_tied", {"image": image_id}))
                continue
            ties.append(pair.tie)
            told.append(Told("tied", {"image": image_id, "words": pair.words}))
    state = State.ATTENTION if Tie.DOUBTFUL in ties else State.DONE if Tie.GOOD in ties else State.IDLE
    return Step("fusion", state, tuple(told))


def _anatomy(session: Session) -> Step:
    image_id = session.draft.image_id
    if not image_id:
        return Step("anatomy", State.OPEN, (Told("no_image"),))
    structures = session.case.structures_of(image_id)
    present = sum(one.presence is Presence.PRESENT for one in structures.values())
    if not present:
        return Step("anatomy", State.OPEN, (Told("no_structures"),))
    told = [Told("structures", {"count": present})]
    body = structures.get("body")
    if body is None or body.presence is not Presence.PRESENT:
        told.append(Told("no_body"))
    missing = _required_unknown(session)
    if missing:
        told.append(Told("required_unknown", {"names": missing}))
    return Step("anatomy", State.DONE if len(told) == 1 else State.ATTENTION, tuple(told))


def _required_unknown(session: Session) -> list[str]:
    """Patterns of structures that the protocol requires and that nobody looked for."""
    protocol = registry.protocols().get(session.draft.protocol)
    if protocol is None:
        return []
    side = {"L": "left", "R": "right"}.get(session.draft.side, session.draft.side)
    known = [
        one for one in session.case.structures_of(session.draft.image_id).values()
        if one.presence is not Presence.UNKNOWN and not one.incomplete
    ]  # fmt: skip
    return sorted(
        {
            limit.structure.replace("{side}", side or "*")
            for limit in protocol.hard
            if limit.needs is Need.REQUIRED and not any(fits(one.name, limit.structure, side) for one in known)
        }
    )


def _target(session: Session) -> Step:
    draft, lacks = session.draft, []
    if not draft.protocol:
        lacks.append(Told("no_protocol"))
    if not draft.target and draft.aim_mm is None:
        lacks.append(Told("no_target"))
    protocol = registry.protocols().get(draft.protocol)
    if protocol is not None and protocol.sided and not draft.side:
        lacks.append(Told("no_side"))
    if protocol is not None and protocol.levels and not draft.level:
        lacks.append(Told("no_level"))
    volume = session.image()[1] if session.case.volumes else None
    if volume is not None and not draft.patient_position and not volume.acquisition.patient_position:
        lacks.append(Told("no_position"))
    return Step("target", State.OPEN if lacks else State.DONE, tuple(lacks))


def _way(session: Session, shown: Shown | None) -> Step:
    plan = session.plan_now()
    if plan is None:
        return Step("way", State.OPEN, (Told("no_plan"),))
    told = []
    if not session.answers_request(plan):
        told.append(Told("plan_of_other_choices", {"plan": plan.id}))
    if not plan.trajectories:
        told += [Told("no_way_in"), *(Told("finding", {"words": words}) for words in plan.notes if "No way" in words)]
        return Step("way", State.OPEN, tuple(told))
    if shown is not None and shown.moved:
        told.append(Told("way_moved"))
    return Step("way", State.ATTENTION if told else State.DONE, tuple(told))


def _device(session: Session, shown: Shown | None) -> Step:
    if shown is None:
        return Step("device", State.OPEN, (Told("device_with_way"),))
    return Step("device", State.DONE, (Told("device", {"name": shown.way.device.name}),))


def _fluoroscopy(session: Session, shown: Shown | None) -> Step:
    if shown is None:
        return Step("fluoroscopy", State.IDLE, (Told("fluoroscopy_without_way"),))
    seen = session.has_seen("fluoroscopy")
    return Step("fluoroscopy", State.DONE if seen else State.OPEN, () if seen else (Told("fluoroscopy_not_seen"),))


def _check(session: Session, shown: Shown | None) -> Step:
    if shown is None:
        return Step("check", State.OPEN, (Told("no_plan"),))
    report = shown.ranked.report
    told = [Told("open_items", {"count": len(report.open_items)})] if report.open_items else []
    if approval_words(session, shown)[0]:
        return Step("check", State.DONE, tuple(told))
    if report.verdict is Verdict.FAIL:
        return Step("check", State.ATTENTION, (*told, Told("fails")))
    return Step("check", State.OPEN, (*told, Told("not_approved")))


def _report(session: Session, shown: Shown | None) -> Step:
    if shown is None:
        return Step("report", State.OPEN, (Told("no_plan"),))
    written = session.written.get(f"{shown.plan.id}/{shown.number}", "")
    return Step("report", State.DONE, (Told("written", {"when": written}),)) if written else Step("report", State.OPEN)


def approval_words(session: Session, shown: Shown) -> tuple[bool, list[dict[str, str]]]:
    """Whether an approval of the shown way stands, and all approvals of the plan with why one does not."""
    from navplan.verbs.approve import standing

    rows, stands = [], False
    for approval in shown.plan.approvals:
        here = approval.trajectory == shown.number and not shown.moved
        void = standing(session.case, shown.plan, approval, shown.ranked.report if here else None)
        stands |= here and not void
        rows.append(
            {"who": approval.who, "when": approval.when, "reason": approval.reason, "way": str(approval.trajectory + 1),
             "void": void}
        )  # fmt: skip
    return stands, rows
