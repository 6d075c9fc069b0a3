"""by_hand: a way that a person moved, or gave another needle, as a plan of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from navplan.errors import ChoiceError, InputError
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import SafetyReport
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.ablation_ways import METRIC as MARGIN
from navplan.planning.ablation_ways import margin_over_goal_mm
from navplan.planning.criteria import desirability, path_metrics, walk
from navplan.planning.entry_search import exact_clearances
from navplan.planning.reach import reach_metrics
from navplan.planning.sequence_rules import out_of_pedicle_mm
from navplan.planning.situation import Situation
from navplan.planning.ways import rib_above_mm
from navplan.verbs.check import checked_way, refuse_other_image
from navplan.verbs.plan import provenance_of

SUFFIX = "-by-hand"
NOT_TAKEN_OVER = "judged anew: no verdict and no approval was taken over"
OFFERS_NONE = "the search offers no way"


def by_hand(
    case: Case,
    plan: Plan | str,
    trajectory: int = 0,
    *,
    entry: Sequence[float] | None = None,
    aim: Sequence[float] | None = None,
    device: str = "",
    id: str = "",
) -> Plan:
    """A new plan whose one way is a way of this plan with another entry, aim or needle, judged anew as `check` does.

    plan: a Plan, or the id of one in the case; trajectory: which way, counted from 0. entry, aim: LPS mm (3,); the
    entry is put on the skin. device: id of a needle. id: of the new plan (default: PLAN-by-hand, then -2, -3 ...).

    The new plan aims where the way aims and is made on the structures as they are now. Its notes say what was moved, by
    how much, and from where. The skin map is kept where it still is that of the target, the needle and the structures.
    Other ways, approvals and remarks are not taken over. The case is left as it is: `case.with_plan` adds the plan.

    Raises what `check` raises: MismatchError (another image or patient), ChoiceError (no such plan, way or needle),
    InputError (an entry far from the skin, an aim outside the target), GeometryError (points that are not finite or
    outside the image). InputError also where nothing is moved, and for an id that is taken.
    """
    found = case.plan(plan) if isinstance(plan, str) else plan
    if entry is None and aim is None and not device:
        raise InputError(f"plan {found.id} with nothing moved", "another entry, aim or needle")
    refuse_other_image(case, found)
    draft = _draft(case, found, id, aim)
    judged = checked_way(case, draft, trajectory, device=device, entry=entry, aim=aim)
    report, way, situation, told = judged.report, judged.trajectory, judged.situation, judged.told
    old = found.trajectories[trajectory].trajectory
    metrics = search_metrics(situation, way, report)
    kept = draft.skin_map if _same_needle(found, way) else None
    known = {name: value for name, value in metrics.items() if np.isfinite(value)}
    ranked = RankedTrajectory(way, known, worth_of(situation, metrics), report)
    notes = _notes(found, trajectory, old, way, [finding.words for finding in told], report)
    lost = ("without the skin map of that plan: it is of another target, needle or structures",)
    return replace(
        draft,
        target=situation.target,
        trajectories=(ranked,),
        skin_map=kept,
        notes=notes + (lost if found.skin_map is not None and kept is None else ()),
    )


def _draft(case: Case, found: Plan, id: str, aim: Sequence[float] | None) -> Plan:
    """The plan made on the case as it is now, under its new id, still with the ways as they were."""
    provenance = provenance_of(case, found.provenance.image_id)
    unchanged = provenance.structure_digests == found.provenance.structure_digests
    same_target = aim is None or tuple(float(x) for x in aim) == tuple(found.target.point_mm)
    return replace(
        found,
        id=_new_id(case, found, id),
        provenance=provenance,
        skin_map=found.skin_map if unchanged and same_target else None,
        notes=(),
        approvals=(),
        remarks="",
    )


def search_metrics(situation: Situation, way: Trajectory, report: SafetyReport) -> dict[str, float]:
    """The metrics of one judged way to the situation's target, by the names and the functions of the search, ruled out
    or not."""
    entries = np.asarray([way.entry_mm], dtype=np.float64)
    target, device = np.asarray(way.target_mm, dtype=np.float64), way.device
    aimed = situation.aimed_at(Target(way.target_mm, situation.target.structure))
    walked = walk(aimed.tissues, entries, target, aimed.target.structure, aimed.host, device.ends_beyond_mm)
    found = path_metrics(aimed.tissues, entries, target, aimed.host, walked)
    found |= reach_metrics(entries, target, device, aimed.image.grid, aimed.patient_position)
    found["clearance_mm"] = exact_clearances(aimed, device, entries)[1]
    if any(wish.metric == "rib_above_mm" for wish in aimed.protocol.soft):
        found["rib_above_mm"] = rib_above_mm(aimed, device, entries)
    if any(wish.metric == "pedicle_out_mm" for wish in aimed.protocol.soft):
        found["pedicle_out_mm"] = out_of_pedicle_mm(aimed, device, entries)
    if any(wish.metric == MARGIN for wish in aimed.protocol.soft):
        over_goal_mm = margin_over_goal_mm(report)
        found[MARGIN] = np.asarray([-np.inf if over_goal_mm is None else over_goal_mm])
    return {name: float(numbers[0]) for name, numbers in found.items()}


def worth_of(situation: Situation, metrics: dict[str, float]) -> float:
    """The weighted mean of the protocol's wishes, 0..1, as the search weighs them."""
    wishes = situation.protocol.soft
    worth = sum(wish.weight * float(desirability(wish, np.asarray(metrics[wish.metric]))) for wish in wishes)
    return float(worth / max(sum(wish.weight for wish in wishes), 1e-12))


def _same_needle(found: Plan, way: Trajectory) -> bool:
    """Whether the plan's skin map, which is that of its best way's needle, is that of this one."""
    return way.device == found.trajectories[0].trajectory.device


def _notes(
    found: Plan, trajectory: int, old: Trajectory, way: Trajectory, moved: list[str], report: SafetyReport
) -> tuple[str, ...]:
    notes = [f"way {trajectory + 1} of plan {found.id}, moved by hand; {NOT_TAKEN_OVER}"]
    if moved:
        turned = float(np.degrees(np.arccos(np.clip(way.direction @ old.direction, -1.0, 1.0))))
        deep = f"{way.depth_mm:.1f} mm deep instead of {old.depth_mm:.1f} mm"
        notes += [*moved[:-1], f"{moved[-1]}; turned by {turned:.1f} deg, {deep}"]
    if way.device != old.device:
        notes.append(f"needle {way.device.id} instead of {old.device.id}")
    return (*notes, *(finding.words for finding in report.findings if finding.words.startswith(OFFERS_NONE)))


def _new_id(case: Case, found: Plan, wanted: str) -> str:
    from navplan.files.durable import LONGEST_ID, safe_id

    if wanted:
        if wanted in case.plans or wanted == found.id:
            free = "an id that no plan of the case has"
            raise ChoiceError(f"a plan {wanted}, which there is already", free, "Choose another with --id")
        return safe_id(wanted, "a plan")
    stem = re.sub(rf"{SUFFIX}(-\d+)?$", "", found.id)
    for number in range(1, len(case.plans) + 3):
        ending = SUFFIX if number == 1 else f"{SUFFIX}-{number}"
        free = stem[: LONGEST_ID - len(ending)] + ending
        if free not in case.plans and free != found.id:
            return free
    raise AssertionError("more ids than plans, and none free")
