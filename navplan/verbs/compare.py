"""compare: two plans of a case, or two ways of them, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from navplan.errors import ChoiceError, MismatchError
from navplan.model.case import Case
from navplan.model.open_items import OpenLine
from navplan.model.plan import Plan
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.way_metrics import metrics_of
from navplan.verbs.check import check

FAR_MM = 30.0  # on both ways: no reason to choose between them
DIFFERS_MM, DIFFERS = 0.5, 0.005  # below that two distances, and two probabilities, are called the same
ALIKE = "="


@dataclass(frozen=True)
class ComparisonRow:
    """One thing of both ways. part: the heading it stands under; a, b: its words on either side, with units.

    better: "A", "B", "=" where they are as good as each other, "" where neither is better by itself (a device). same:
    whether both sides read the same.
    """

    part: str
    what: str
    a: str
    b: str
    better: str = ""

    @property
    def same(self) -> bool:
        """Whether both sides read the same."""
        return self.a == self.b


@dataclass(frozen=True)
class Comparison:
    """Two ways, judged anew by one piece of code on the case as it is now.

    a, b: "PLAN, way N"; verdicts; apart: how far entries, targets and axes are from each other, for a person; rows in
    the order in which they matter; far: clearances that differ and are large on both ways; unchanged: how many
    clearances do not differ; open_a, open_b: what is to be done for one way only; open_both: for both, with the words
    of either where they differ.
    """

    a: str
    b: str
    image: str
    verdict_a: Verdict
    verdict_b: Verdict
    apart: str
    rows: tuple[ComparisonRow, ...]
    far: tuple[ComparisonRow, ...]
    open_a: tuple[str, ...]
    open_b: tuple[str, ...]
    open_both: tuple[tuple[str, str], ...]
    unchanged: int

    def part(self, name: str) -> tuple[ComparisonRow, ...]:
        """The rows under one heading."""
        return tuple(row for row in self.rows if row.part == name)


WAY, METRICS, CLEARANCES = "way", "metrics", "clearances"
PARTS: Mapping[str, str] = MappingProxyType(
    {WAY: "What was planned", METRICS: "What the way is like", CLEARANCES: "Clearances that differ (mm)"}
)


def compare(
    case: Case,
    plan_a: Plan | str | Path,
    plan_b: Plan | str | Path,
    *,
    trajectory_a: int = 0,
    trajectory_b: int = 0,
) -> Comparison:
    """Set two ways side by side: what was planned, what each is like, which clearances differ, what is left to do.

    plan_a, plan_b: a Plan, the id of one in the case, or a plan file; the same plan twice compares two of its ways.
    trajectory_a, trajectory_b: counted from 0. Both are judged anew; a verdict in a plan is not taken over.

    Raises MismatchError for plans on different images (transfer one first) or of another patient; ChoiceError for an
    unknown plan or way, and for one and the same way twice.
    """
    plans = (_plan(case, plan_a), _plan(case, plan_b))
    made_on = [plan.provenance for plan in plans]
    if made_on[0].image_digest != made_on[1].image_digest or made_on[0].image_id != made_on[1].image_id:
        raise MismatchError(
            f"plan {plans[0].id} on image {made_on[0].image_id} and plan {plans[1].id} on image {made_on[1].image_id}",
            "two plans on one image",
            f"Carry one over first: navplan transfer CASE --plan {plans[0].id} --to {made_on[1].image_id}",
        )
    if plans[0].id == plans[1].id and trajectory_a == trajectory_b:
        raise ChoiceError(
            f"way {trajectory_a + 1} of plan {plans[0].id} against itself", "two plans, or two ways of one plan"
        )
    reports = (check(case, plans[0], trajectory=trajectory_a), check(case, plans[1], trajectory=trajectory_b))
    ways = (plans[0].trajectories[trajectory_a].trajectory, plans[1].trajectories[trajectory_b].trajectory)
    rows = [*_way_rows(plans, ways), *_metric_rows(plans, (trajectory_a, trajectory_b), ways, reports)]
    near, far, unchanged = _clearance_rows(reports)
    todo = [_steps(report) for report in reports]
    return Comparison(
        a=f"{plans[0].id}, way {trajectory_a + 1}",
        b=f"{plans[1].id}, way {trajectory_b + 1}",
        image=made_on[0].image_id,
        verdict_a=reports[0].verdict,
        verdict_b=reports[1].verdict,
        apart=_apart_words(ways),
        rows=(_verdict_row(reports), *rows, *near),
        far=far,
        open_a=tuple(words for step, words in todo[0].items() if step not in todo[1]),
        open_b=tuple(words for step, words in todo[1].items() if step not in todo[0]),
        open_both=tuple((words, todo[1][step]) for step, words in todo[0].items() if step in todo[1]),
        unchanged=unchanged,
    )


def _steps(report: SafetyReport) -> dict[tuple[str, ...], str]:
    """The words of every open line and of all that is ticked, by what makes it the same thing to do on another way;
    none is lost."""
    steps: dict[tuple[str, ...], str] = {}
    for line in (line for item in report.open_items for line in item.lines):
        step = _same_step(line)
        steps[(*step, line.words) if step in steps else step] = f"{line.verdict}: {line.brief}"
    steps |= {(finding.words, "", ""): f"to tick: {finding.words}" for finding in report.to_tick}
    return steps


def _same_step(line: OpenLine) -> tuple[str, ...]:
    """What makes two open lines the same thing to do, whatever their numbers."""
    first = line.findings[0] if line.findings else None
    if first is None or (not first.gap and not first.structure and first.kind is not FindingKind.IMAGE_READING):
        return line.words, "", ""
    return first.kind.value, first.gap, "" if first.gap else first.structure


def _apart_words(ways: tuple[Trajectory, Trajectory]) -> str:
    entries = float(np.linalg.norm(np.subtract(ways[0].entry_mm, ways[1].entry_mm)))
    targets = float(np.linalg.norm(np.subtract(ways[0].target_mm, ways[1].target_mm)))
    turn = float(np.degrees(np.arccos(np.clip(ways[0].direction @ ways[1].direction, -1.0, 1.0))))
    return f"entries {entries:.0f} mm apart, target points {targets:.0f} mm, axes {turn:.0f} deg"


def _plan(case: Case, plan: Plan | str | Path) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if str(plan) not in case.plans and Path(plan).suffix == ".json" and Path(plan).exists():
        from navplan.files.plan_json import read_plan

        return read_plan(Path(plan))
    if str(plan) not in case.plans:
        raise ChoiceError(f"plan {str(plan)!r}", ", ".join(case.plans) or "a case with plans")
    return case.plans[str(plan)]


def _row(part: str, what: str, sides: list[str], better: str = "") -> ComparisonRow:
    return ComparisonRow(part, what, sides[0], sides[1], better)


def _verdict_row(reports: tuple[SafetyReport, SafetyReport]) -> ComparisonRow:
    ranks = [report.verdict.rank for report in reports]
    return ComparisonRow(
        METRICS, "verdict", reports[0].verdict.value, reports[1].verdict.value, _better(ranks[0], ranks[1], False, 0.0)
    )


def _way_rows(plans: tuple[Plan, Plan], ways: tuple[Trajectory, Trajectory]) -> list[ComparisonRow]:
    """What was asked for: device, guidance, position; entry and target."""
    rows = [_row(WAY, "needle", [way.device.name for way in ways])]
    rows.append(_row(WAY, "protocol", [f"{plan.protocol.id} {plan.protocol.version}" for plan in plans]))
    rows.append(_row(WAY, "guidance", [_guidance(plan) for plan in plans]))
    rows.append(_row(WAY, "patient position", [plan.patient_position for plan in plans]))
    rows.append(_row(WAY, "target", [plan.target.structure or "a point" for plan in plans]))
    rows.append(_row(WAY, "carried from", [_origin(plan) for plan in plans]))
    rows.append(_row(WAY, "entry (LPS mm)", [_point(way.entry_mm) for way in ways]))
    return [row for row in rows if row.a or row.b]


def _guidance(plan: Plan) -> str:
    return plan.error_model.name


def _origin(plan: Plan) -> str:
    return "" if plan.carried is None else f"image {plan.carried.image_id}, {plan.carried.expected_error_mm:.1f} mm"


def _point(point_mm: tuple[float, float, float]) -> str:
    return ", ".join(f"{x:.1f}" for x in point_mm)


UNITS = {"mm": "mm", "deg": "deg"}
WORDS = {
    "clearance_mm": "least clearance, lower end",
    "depth_mm": "depth, skin to target",
    "tilt_deg": "tilt to the axial plane",
    "aerated_lung_mm": "aerated lung crossed",
    "parenchyma_mm": "organ crossed before the target",
    "pleural_angle_deg": "angle to the pleura",
    "capsule_angle_deg": "angle to the organ's surface",
    "pleura_punctures": "pleural punctures",
    "fissure_crossings": "fissures crossed",
    "margin_over_goal_mm": "ablation margin less the goal, lower end",
}


def _metric_rows(
    plans: tuple[Plan, Plan], numbers: tuple[int, int], ways: tuple[Trajectory, Trajectory],
    reports: tuple[SafetyReport, SafetyReport],
) -> list[ComparisonRow]:  # fmt: skip
    rows = []
    hits = [report.hit_probability for report in reports]
    if None not in hits:
        words = [_percent(hit) for hit in hits]
        rows.append(_row(METRICS, "hits the target, first pass", words, _better(hits[0], hits[1], False, DIFFERS)))
    likeliest = [max(report.findings, key=lambda f: f.breach_probability or 0.0) for report in reports]
    breaches = [finding.breach_probability or 0.0 for finding in likeliest]
    rows.append(
        _row(
            METRICS, "touches something, at most", [_named(finding) for finding in likeliest],
            _better(breaches[0], breaches[1], True, DIFFERS),
        )
    )  # fmt: skip
    told = [
        {**plan.trajectories[number].metrics, **metrics_of(way, report, "")}
        for plan, number, way, report in zip(plans, numbers, ways, reports, strict=True)
    ]
    return (
        rows
        + _wished_rows(plans, told)
        + [_row(METRICS, "needle left outside", [f"{_spare(way):.0f} mm" for way in ways])]
    )


def _named(finding: Finding) -> str:
    breach = finding.breach_probability or 0.0
    return f"{_percent(breach)}{f' {finding.structure}' if breach >= 0.01 else ''}"


def _wished_rows(plans: tuple[Plan, Plan], told: list[dict[str, float]]) -> list[ComparisonRow]:
    """Metrics of both ways: the usual ones, and those that a protocol wishes for; better as the protocol says."""
    wishes = {wish.metric: wish for plan in plans for wish in plan.protocol.soft}
    names = list(dict.fromkeys(["clearance_mm", "depth_mm", "tilt_deg", *wishes]))
    rows = []
    for name in names:
        if any(name not in values for values in told):
            continue
        unit = name.rpartition("_")[2] if name.rpartition("_")[2] in ("mm", "deg") else ""
        a, b = told[0][name], told[1][name]
        small = name in ("depth_mm", "tilt_deg") if name not in wishes else wishes[name].ideal < wishes[name].limit
        told_words = [f"{value:.{1 if unit else 0}f} {unit}".strip() for value in (a, b)]
        words = WORDS.get(name, name.removesuffix(f"_{unit}").replace("_", " "))
        rows.append(_row(METRICS, words, told_words, _better(a, b, small, DIFFERS_MM)))
    return rows


def _spare(way: Trajectory) -> float:
    return way.device.length_mm - way.tip_depth_mm


def _better(a: float | None, b: float | None, small: bool, tolerance: float) -> str:
    if a is None or b is None:
        return ""
    if abs(a - b) <= tolerance:
        return ALIKE
    return "A" if (a < b) == small else "B"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else "< 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _clearance_rows(
    reports: tuple[SafetyReport, SafetyReport],
) -> tuple[tuple[ComparisonRow, ...], tuple[ComparisonRow, ...], int]:
    """One row a structure whose clearance, probability or verdict differs, the nearest first: those that matter, those
    that are far from both ways; how many do not differ."""
    found = [
        {f.structure: f for f in report.findings if f.kind is FindingKind.CLEARANCE and f.distance is not None}
        for report in reports
    ]
    rows: list[tuple[float, bool, ComparisonRow]] = []
    unchanged = 0
    for name in dict.fromkeys([*found[0], *found[1]]):
        a, b = found[0].get(name), found[1].get(name)
        if a is not None and b is not None and not _differ(a, b):
            unchanged += 1
            continue
        nearest = min(f.distance.low_mm for f in (a, b) if f is not None and f.distance is not None)
        better = "" if a is None or b is None else _nearer_is_worse(a, b)
        far = a is not None and b is not None and a.verdict is b.verdict and nearest > FAR_MM
        rows.append((nearest, far, ComparisonRow(CLEARANCES, name, _clearance(a), _clearance(b), better)))
    rows.sort(key=lambda row: row[0])
    near_rows, far_rows = ([row for _, is_far, row in rows if is_far is far] for far in (False, True))
    return tuple(near_rows), tuple(far_rows), unchanged


def _differ(a: Finding, b: Finding) -> bool:
    assert a.distance is not None and b.distance is not None
    breach = abs((a.breach_probability or 0.0) - (b.breach_probability or 0.0))
    return a.verdict is not b.verdict or breach > DIFFERS or _apart(a.distance, b.distance) > DIFFERS_MM


def _apart(a: Interval, b: Interval) -> float:
    return max(abs(a.low_mm - b.low_mm), abs(a.high_mm - b.high_mm))


def _nearer_is_worse(a: Finding, b: Finding) -> str:
    assert a.distance is not None and b.distance is not None
    if a.verdict is not b.verdict:
        return "A" if a.verdict.rank > b.verdict.rank else "B"
    return _better(a.distance.low_mm, b.distance.low_mm, False, DIFFERS_MM)


def _clearance(finding: Finding | None) -> str:
    if finding is None or finding.distance is None:
        return "not judged"
    inside = f"INSIDE {finding.crossed_mm:.1f}" if finding.crossed_mm else ""
    words = inside or f"{finding.distance.low_mm:.1f} to {finding.distance.high_mm:.1f}"
    breach = finding.breach_probability or 0.0
    return f"{finding.verdict.value} {words}{f', {_percent(breach)}' if breach >= 0.01 else ''}"
