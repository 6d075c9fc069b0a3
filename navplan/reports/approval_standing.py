"""Whether an approval still stands: it belongs to one way of one plan, exactly as it was judged.

All that a way was judged on is kept in the approval as digests (`judged_on`). What differs now makes it void, and so
does a record of the case that does not know of it: a plan's file, which anybody may have edited, proves nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Approval, JudgedOn, Plan
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume

APPROVE, WITHDRAW = "approve", "withdraw"  # actions of the case's record
CHANGED = {
    "image": "its image", "structures": "the structures", "way": "the way", "needle": "the needle",
    "rules": "the rules or the guidance", "request": "target, side, position or registration",
}  # fmt: skip


def void_because(case: Case, plan: Plan, approval: Approval, report: SafetyReport | None = None) -> str:
    """Why an approval of a plan no longer stands on the case as it is now; "" where it stands.

    report: of that way, made now, where one is at hand. Then the approval is also void where that says anything else
    than what was approved. Without it digests, the record and the image's age are compared.
    """
    return (
        _taken_back(approval)
        or _unrecorded(case, plan, approval)
        or _changed(case, plan, approval)
        or _too_old(case, plan, approval)
        or (_judged_otherwise(approval, report) if report is not None else "")
    )


def _taken_back(approval: Approval) -> str:
    taken = approval.withdrawn
    return "" if taken is None else f"withdrawn by {taken.who}, {time_words(taken.when)}: {taken.reason}"


def _unrecorded(case: Case, plan: Plan, approval: Approval) -> str:
    digest = approval_digest(approval)
    told = [entry for entry in case.audit if entry.details.get("plan") == plan.id]
    if any(entry.action == WITHDRAW and digest in entry.details.get("approvals", ()) for entry in told):
        return "withdrawn, by the record of this case"
    if not any(entry.action == APPROVE and entry.details.get("approval") == digest for entry in told):
        return "the record of this case does not know of it"
    return ""


def _changed(case: Case, plan: Plan, approval: Approval) -> str:
    if approval.trajectory >= len(plan.trajectories):
        return f"the plan has no way {approval.trajectory + 1}"
    if plan.provenance.image_id not in case.volumes:
        return f"image {plan.provenance.image_id} is not in this case"
    now = judged_on(case, plan, approval.trajectory)
    other = [words for name, words in CHANGED.items() if getattr(now, name) != getattr(approval.judged_on, name)]
    return f"changed since: {'; '.join(other)}" if other else ""


def _too_old(case: Case, plan: Plan, approval: Approval) -> str:
    taken = case.volumes[plan.provenance.image_id].acquisition.day()
    if taken is None:
        return ""
    limit = plan.protocol.max_image_age_days.value
    age, then = ((day - taken).days for day in (today(), datetime.fromisoformat(approval.when).astimezone(UTC).date()))
    return f"the image is {age} days old by now, at most {limit:g} allowed" if age > max(limit, then) else ""


def _judged_otherwise(approval: Approval, report: SafetyReport) -> str:
    if report.verdict is not approval.verdict:
        return f"judged anew it is {report.verdict}, approved was {approval.verdict}"
    missing = unacknowledged(report, approval.acknowledged)
    if missing:
        return f"judged anew, nobody acknowledged {'; '.join(missing)}"
    if report.headline != approval.headline:
        return f"judged anew: {report.headline}; approved was: {approval.headline}"
    return ""


def today() -> date:
    """The day, UTC."""
    return datetime.now(UTC).date()


def time_words(when: str) -> str:
    """A time (ISO 8601) for a person, in UTC."""
    return f"{datetime.fromisoformat(when).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def to_be_acknowledged(report: SafetyReport) -> tuple[str, ...]:
    """What has to be acknowledged, by these names, before a way may be approved.

    That is each structure that no image shows, and all that is not evaluated in the open items: the structure, or the
    words of what has none.
    """
    return tuple(dict.fromkeys(name for name, _, _ in _gates(report)))


def unacknowledged(report: SafetyReport, names: Iterable[str]) -> tuple[str, ...]:
    """What is to be acknowledged and is not among `names`, each with its words. The words of a line beneath an open
    item, as the report prints them, acknowledge all that is in that line, and no more."""
    said = {_plain_name(name) for name in names} - {""}
    missing = [words for name, line, words in _gates(report) if not {_plain_name(name), _plain_name(line)} & said]
    return tuple(dict.fromkeys(missing))


def _gates(report: SafetyReport) -> list[tuple[str, str, str]]:
    """What is to be acknowledged: by which name, or by which line's words, and what it is in words."""
    hidden = [finding for finding in report.findings if finding.kind is FindingKind.NOT_IMAGED]
    gates = [(_name_of(finding), _name_of(finding), f"{_name_of(finding)} (no image shows it)") for finding in hidden]
    for line in (line for item in report.open_items for line in item.lines):
        if line.verdict is not Verdict.NOT_EVALUATED:
            continue
        named = [(f"{f.structure}: {f.words}" if f.structure else f.words, f) for f in line.findings]
        gates += [(_name_of(f), line.words, words) for words, f in named] or [(line.words, line.words, line.words)]
    return gates


def meaningless(report: SafetyReport, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that nothing open in the report is called."""
    open_ones = [finding for finding in report.findings if finding.verdict is not Verdict.PASS]
    known = {_plain_name(_name_of(finding)) for finding in open_ones}
    known |= {_plain_name(line.words) for item in report.open_items for line in item.lines}
    return tuple(name for name in names if _plain_name(name) not in known)


def _name_of(finding: Finding) -> str:
    """What a finding is called when it is acknowledged."""
    return finding.structure if _plain_name(finding.structure) else finding.words


def _plain_name(name: str) -> str:
    """A name without what people write in different ways: capitals, spaces, underscores, the * of a pattern."""
    return " ".join(name.lower().replace("*", " ").replace("_", " ").split())


def judged_on(case: Case, plan: Plan, trajectory: int) -> JudgedOn:
    """Digests of all that one way of a plan (counted from 0) is judged on, on the case as it is now.

    Raises KeyError for an image that the case does not hold, IndexError for a way that the plan does not have.
    """
    image_id = plan.provenance.image_id
    way = plan.trajectories[trajectory].trajectory
    structures = {name: _structure_digest(one) for name, one in case.structures_of(image_id).items()}
    carried_by = (plan.target, plan.side, plan.level, plan.patient_position, plan.breath_state, plan.carried)
    return JudgedOn(
        image=digest_of(_image(case.volumes[image_id])),
        structures=digest_of(structures),
        way=digest_of((way.entry_mm, way.target_mm, way.tip_short_of_target_mm)),
        needle=digest_of((way.device, _other_one(way.device, registry.devices()))),
        rules=digest_of((plan.protocol, plan.error_model, _other_one(plan.protocol, registry.protocols()))),
        request=digest_of(carried_by),
    )


def _image(volume: Volume) -> tuple[Any, ...]:
    return volume.digest, volume.grid.frame_uid, volume.modality, volume.quantity, volume.acquisition


_STRUCTURES: WeakKeyDictionary[Structure, str] = WeakKeyDictionary()


def _structure_digest(structure: Structure) -> str:
    """Kept as long as the structure is: it never changes."""
    if structure not in _STRUCTURES:
        _STRUCTURES[structure] = digest_of(_structure(structure))
    return _STRUCTURES[structure]


def _structure(structure: Structure) -> dict[str, Any]:
    """All of a structure that may decide a verdict; its digest stands for its voxels."""
    told = {part.name: getattr(structure, part.name) for part in fields(structure)}
    return {**told, "occupancy": structure.digest, "image_id": ""}  # a structure may come to name its image later


def _other_one(
    carried: ProcedureProtocol | Device, installed: Mapping[str, ProcedureProtocol] | Mapping[str, Device]
) -> Any:
    """What is installed under the id of what a plan carries, where that is another one."""
    found = installed.get(carried.id)
    return None if found is None or found == carried else found


def approval_digest(approval: Approval) -> str:
    """The digest that the record of a case holds of an approval; the same once it is withdrawn."""
    return digest_of(replace(approval, withdrawn=None))


def digest_of(value: Any) -> str:
    """SHA-256 over values of the model, the same before they are saved and after they are read again."""
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    """As JSON holds it; a number is a number, whether it was written as 30 or as 30.0."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value) if part.compare}
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return float(value) + 0.0
