"""The way that is looked at, judged now: where the search put it, or where a person moved it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.draft import Draft, Point
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.entry_candidates import body_structure
from navplan.planning.moved_way import MovedWay, moved_way
from navplan.planning.refinement import RAY_MM, on_skin
from navplan.planning.situation import Situation
from navplan.planning.way_metrics import desirability_of, metrics_of
from navplan.verbs.by_hand import OFFERS_NONE
from navplan.verbs.check import checked_way, judged_way

SNAP_MM = 60.0  # along the needle's line, from where a hand drops the entry to the skin


@dataclass(frozen=True, eq=False)
class Shown:
    """plan: as stored; number: which of its ways; ranked: that way as it stands now, with a report made now;
    situation: what it was judged against; provisional: while a person drags, the report lacks what only the whole check
    knows of the new way: what the search would say of it."""

    plan: Plan
    number: int
    ranked: RankedTrajectory
    situation: Situation
    moved: bool = False
    provisional: bool = False

    @property
    def way(self) -> Trajectory:
        """The needle's way."""
        return self.ranked.trajectory

    @property
    def key(self) -> str:
        """The same for the same way of the same plan, judged to the same end: by it a page says what it showed."""
        way, report = self.way, self.ranked.report
        which = (self.plan.id, self.plan.provenance.made_on, self.number, self.moved)
        said = (report.verdict.value, report.headline, [line.words for one in report.open_items for line in one.lines])
        whole = (*which, way.entry_mm, way.target_mm, way.device.id, *said)
        return sha256(repr(whole).encode()).hexdigest()[:20]


def judged(case: Case, draft: Draft) -> Shown:
    """The way of a draft, as the verb `check` judges it. Raises InputError where the plan has no such way, and what
    check raises."""
    plan = case.plan(draft.plan_id)
    way_of(plan, draft.way)
    found = checked_way(case, plan, draft.way, entry=draft.entry_mm, aim=draft.moved_aim_mm)
    way, here, report = found.trajectory, found.situation, found.report
    metrics = metrics_of(way, report, here.host)
    if not draft.moved:  # the search knows more of them
        metrics = {**plan.trajectories[draft.way].metrics, **metrics}
    ranked = RankedTrajectory(way, metrics, desirability_of(plan.protocol, metrics), report)
    return Shown(plan, draft.way, ranked, here, draft.moved)


def live(shown: Shown, draft: Draft, entry_mm: Point | None, aim_mm: Point | None) -> Shown:
    """The way as a draft has it, with this entry, this aim or both, while one is dragged: the same margins, by the same
    function, nothing stored. What the whole check says against the plan itself is kept of the report at hand.

    Raises what `moved_to` raises.
    """
    moved = moved_to(shown, draft, entry_mm, aim_mm)
    report = judged_way(moved.trajectory, moved.situation)
    kept = [one for one in shown.ranked.report.findings if _is_of_plan(one) and one not in report.findings]
    findings = sorted((*report.findings, *moved.told, *kept), key=lambda one: one.verdict.rank)
    report = replace(report, findings=tuple(findings))
    metrics = metrics_of(moved.trajectory, report, moved.situation.host)
    ranked = RankedTrajectory(moved.trajectory, metrics, desirability_of(shown.plan.protocol, metrics), report)
    return replace(shown, ranked=ranked, situation=moved.situation, moved=True, provisional=True)


def moved_to(shown: Shown, draft: Draft, entry_mm: Point | None, aim_mm: Point | None) -> MovedWay:
    """Where the way as a draft has it goes with this entry, this aim or both; not judged.

    Raises GeometryError and InputError as planning.moved_way does.
    """
    start = way_of(shown.plan, shown.number)
    aim = aim_mm or draft.moved_aim_mm
    entry = draft.entry_mm if entry_mm is None else onto_skin(shown.situation, entry_mm, aim or start.target_mm)
    return moved_way(start, shown.situation, entry, aim)


def _is_of_plan(finding: Finding) -> bool:
    """Whether a finding of the whole check holds wherever the plan's way goes: other structures, rules or image."""
    if finding.verdict is Verdict.PASS or finding.words.startswith(OFFERS_NONE):
        return False
    return finding.kind in (FindingKind.IMAGE, FindingKind.PATIENT, FindingKind.RULES)


def onto_skin(situation: Situation, entry_mm: Point, aim_mm: Point) -> Point:
    """Where the line from the aim through a point that a hand moves leaves the body, within SNAP_MM; else the point.

    A hand on a slice is not on the skin; what it holds is.
    """
    asked = np.asarray(entry_mm, dtype=np.float64)
    outward = asked - np.asarray(aim_mm, dtype=np.float64)
    far = float(np.linalg.norm(outward))
    if not np.isfinite(far) or far < 1.0:
        return entry_mm
    steps = np.arange(-SNAP_MM, SNAP_MM + 0.1, 2 * RAY_MM)[:, None]
    lines = np.broadcast_to(outward / far, (len(steps), 3))
    found, met = on_skin(body_structure(situation.structures), asked + steps * lines, lines)
    if not met.any():
        return entry_mm
    nearest = found[int(np.argmin(np.where(met, np.linalg.norm(found - asked, axis=1), np.inf)))]
    return float(nearest[0]), float(nearest[1]), float(nearest[2])


def way_of(plan: Plan, number: int) -> Trajectory:
    """A way of a plan. Raises InputError where there is none of that number."""
    if not 0 <= number < len(plan.trajectories):
        have = f"1 to {len(plan.trajectories)}" if plan.trajectories else "a plan with a way in"
        raise InputError(f"way {number + 1} of plan {plan.id}", have)
    return plan.trajectories[number].trajectory
