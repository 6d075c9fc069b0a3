"""check: the safety report of a plan, or of a line that somebody else drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.extend import registry
from navplan.geometry.conventions import lps_from_ras_points
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.plan import Plan
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.structure import Presence
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.boundary import occupancy_at
from navplan.planning.carried_plan import carried_findings, with_registration_error
from navplan.planning.check_plan import judge
from navplan.planning.entry_candidates import TABLE, body_structure, comes_from_below, down_direction
from navplan.planning.entry_place import skin_near
from navplan.planning.moved_way import moved_way
from navplan.planning.situation import Situation
from navplan.planning.target_judgement import POINT_MET_MM
from navplan.planning.why_not import map_finding, of_the_search
from navplan.verbs.beside import Beside, crowded, needles_beside
from navplan.verbs.situation import device_of, situation_of, target_of

CHOSEN_GOAL = "margin_goal"  # of a protocol: chosen for the plan, as guidance and level are
LINE_STARTS = "start on free skin, end in the named target"


def check(
    case: Case,
    plan: Plan | str | Path,
    *,
    protocol: str | Path | ProcedureProtocol = "",
    trajectory: int = 0,
    device: str = "",
    target: str = "",
    side: str = "",
    level: str = "",
    image: str = "",
    guidance: str = "",
    patient_position: str = "",
    beside: Beside = (),
    entry: Sequence[float] | None = None,
    aim: Sequence[float] | None = None,
) -> SafetyReport:
    """Judge one trajectory anew, on the case as it is now.

    plan: a Plan, the id of one in the case, or a .mrk.json file with a line that somebody drew (then `protocol` and
    `target` are needed, and `device` may be chosen). trajectory: which one, counted from 0 (default: the best).
    beside: needles planned or placed already, as ids of plans of the case or (id, which way, from 0).
    entry, aim: LPS mm; the way is judged as if it went in there, or aimed there. An entry near the skin is put on it,
    and the report says how; what else the search would not offer it for is a WARN. The plan stays as it is.

    Raises MismatchError when the plan was made on another image, patient or frame; InputError for a drawn line that
    does not start on free skin or end in the target (it says whether reversing or flipping it would fit), an entry far
    from the skin, or an aim outside the target; GeometryError for points that are not finite or outside the image.
    """
    from_file = False
    if isinstance(plan, str | Path) and Path(plan).suffix == ".json" and Path(plan).exists():
        if Path(plan).name.endswith(".mrk.json"):
            if entry is not None or aim is not None:
                raise InputError("another entry or aim of a drawn line", "a plan", "Move the line's points themselves")
            return _check_line(
                case, Path(plan), protocol, trajectory, device, target, side, level, image, guidance, patient_position,
                beside,
            )
        from navplan.files.plan_json import read_plan

        plan, from_file = read_plan(Path(plan)), True
    found = plan if isinstance(plan, Plan) else case.plan(str(plan))
    return checked_way(
        case, found, trajectory, protocol=protocol, device=device, side=side, level=level, guidance=guidance,
        patient_position=patient_position, beside=beside, entry=entry, aim=aim, from_file=from_file,
    ).report  # fmt: skip


@dataclass(frozen=True, eq=False)
class CheckedWay:
    """A way as it was judged, moved or not, what it was judged against, and what is told of the move."""

    report: SafetyReport
    trajectory: Trajectory
    situation: Situation
    told: tuple[Finding, ...] = ()


def checked_way(
    case: Case,
    found: Plan,
    trajectory: int = 0,
    *,
    protocol: str | Path | ProcedureProtocol = "",
    device: str = "",
    side: str = "",
    level: str = "",
    guidance: str = "",
    patient_position: str = "",
    beside: Beside = (),
    entry: Sequence[float] | None = None,
    aim: Sequence[float] | None = None,
    from_file: bool = False,
    today: str = "",
) -> CheckedWay:
    """See `check`; from_file: the plan comes from a file that anybody may have edited. today: ISO date and time for the
    image's age, default now. Raises what `check` raises."""
    rules = found.protocol
    if protocol:
        rules = protocol if isinstance(protocol, ProcedureProtocol) else registry.protocol(protocol)
    refuse_other_image(case, found)
    if not 0 <= trajectory < len(found.trajectories):
        raise ChoiceError(
            f"trajectory {trajectory}, counted from 0, of plan {found.id}",
            f"0 to {len(found.trajectories) - 1}" if found.trajectories else "a plan with a way in",
        )
    way = found.trajectories[trajectory].trajectory
    if device:
        chosen = device_of(rules, device)
        short = min(chosen.stands_short_mm, max(way.depth_mm - 1.0, 0.0))
        way = replace(way, device=chosen, tip_short_of_target_mm=short)
    same_guidance = found.error_model.id if found.error_model.id in {model.id for model in rules.error_models} else ""
    situation = situation_of(
        case, rules, found.target, side=side or found.side, level=level or found.level, image=found.provenance.image_id,
        guidance=guidance or same_guidance,
        patient_position=patient_position or found.patient_position, breath_state=found.breath_state,
    )  # fmt: skip
    others = needles_beside(case, beside, situation.image_id, (found, trajectory))
    changes = [*_changed_structures(case, found), *_changed_rules(found, way, bool(protocol), from_file)]
    error_model = with_registration_error(situation.error_model, found.carried)
    situation = replace(situation, others=others, error_model=error_model, today=today or situation.today)
    changes += carried_findings(found.carried)
    if entry is None and aim is None:
        return CheckedWay(judged_way(way, situation, *changes), way, situation)
    moved = moved_way(way, situation, entry, aim)
    report = judged_way(moved.trajectory, moved.situation, *changes, *moved.told)
    start = np.asarray(moved.trajectory.entry_mm)
    report = _with(report, *of_the_search(moved.situation, way.device, start, report.findings))
    asked_alike = way.device == found.trajectories[0].trajectory.device and rules is found.protocol and aim is None
    as_planned = asked_alike and situation.patient_position == found.patient_position
    if found.skin_map is not None and entry is not None and as_planned:
        report = _with(report, map_finding(found.skin_map, entry))
    return CheckedWay(report, moved.trajectory, moved.situation, moved.told)


def refuse_other_image(case: Case, plan: Plan) -> None:
    """Raises MismatchError unless the case holds the very image that a plan was made on."""
    made_on = plan.provenance
    volume = case.volumes.get(made_on.image_id)
    if volume is None or volume.digest != made_on.image_digest:
        what = "is not in this case" if volume is None else "has other voxels or another geometry in this case"
        raise MismatchError(
            f"plan {plan.id}: its image {made_on.image_id} {what}",
            "the image that it was made on",
            "Plan anew on today's image",
        )
    if made_on.frame_uid and volume.grid.frame_uid and made_on.frame_uid != volume.grid.frame_uid:
        raise MismatchError(
            f"plan {plan.id}, made in frame of reference {made_on.frame_uid}",
            f"the image's, {volume.grid.frame_uid}",
            "Plan anew on this image",
        )
    if made_on.patient_digest and case.patient_digest and made_on.patient_digest != case.patient_digest:
        raise MismatchError(f"plan {plan.id} of another patient", "a plan of the patient of this case")


def judged_way(way: Trajectory, situation: Situation, *more: Finding) -> SafetyReport:
    """The judgement of a way with what only the whole request tells: other needles, the side that it comes from, more.
    """
    report = judge(way, situation)
    return _with(report, *more, *_from_below(way, situation), *crowded(way, situation, report))


def _with(report: SafetyReport, *more: Finding) -> SafetyReport:
    return replace(report, findings=tuple(sorted((*report.findings, *more), key=lambda f: f.verdict.rank)))


def _changed_structures(case: Case, plan: Plan) -> list[Finding]:
    """A finding when the structures are not those that the plan was made on: the check used today's."""
    now = {name: structure.digest for name, structure in case.structures_of(plan.provenance.image_id).items()}
    then = plan.provenance.structure_digests
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    if not changed:
        return []
    words = f"structures changed since the plan was made: {', '.join(changed[:6])}{' ...' if len(changed) > 6 else ''}"
    return [Finding(FindingKind.IMAGE, Verdict.WARN, words, remedy="Plan anew with the structures as they are now")]


def _changed_rules(plan: Plan, way: Trajectory, other_rules: bool, from_file: bool) -> list[Finding]:
    """Rules or a needle that a plan carries and that are not those installed under the same id.

    What is not installed cannot be compared: told of a plan's file, which anybody may have edited.
    """
    carried: ProcedureProtocol | Device
    installed: ProcedureProtocol | Device | None
    findings = []
    for what, carried, installed in (
        ("protocol", plan.protocol, registry.protocols().get(plan.protocol.id)),
        ("device", way.device, registry.devices().get(way.device.id)),
    ):
        if what == "protocol" and other_rules:
            continue
        if installed is None and not from_file:
            continue
        if installed is None:
            words = f"{what} {carried.id} is known from the plan's file alone: nothing to compare it with"
        else:
            compared = [part.name for part in fields(carried) if part.compare and part.name != CHOSEN_GOAL]
            other = [name for name in compared if getattr(carried, name) != getattr(installed, name)]
            if not other:
                continue
            words = f"{what} {carried.id} of the plan is not the one installed: other {', '.join(other)}"
        remedy = f"Compare the two, or name the {what} that is meant with --{what}"
        findings.append(Finding(FindingKind.RULES, Verdict.WARN, words, remedy=remedy))
    return findings


def _from_below(way: Trajectory, situation: Situation) -> list[Finding]:
    """A needle that comes from the side of the table; the search offers none."""
    if not comes_from_below(way.direction, down_direction(situation.patient_position)):
        return []
    words = f"comes {TABLE}, with the patient {situation.patient_position}"
    return [Finding(FindingKind.SKIN, Verdict.WARN, words, remedy="Choose another way in, or another position")]


def _check_line(
    case: Case, path: Path, protocol: str | Path | ProcedureProtocol, number: int, device: str, target: str, side: str,
    level: str, image: str, guidance: str, patient_position: str, beside: Beside,
) -> SafetyReport:  # fmt: skip
    from navplan.files.markups import read_line

    if not protocol or not target:
        raise InputError("a drawn line without protocol or target", "both", "Add --protocol ID and --target NAME")
    lines = read_line(path)
    if not 0 <= number < len(lines):
        raise ChoiceError(f"line {number}, counted from 0, of {path.name}", f"0 to {len(lines) - 1}")
    start, end, _ = lines[number]
    rules = protocol if isinstance(protocol, ProcedureProtocol) else registry.protocol(protocol)
    image_id, _ = case.image(image)
    named = target_of(case.structures_of(image_id), target)
    aim = Target((float(end[0]), float(end[1]), float(end[2])), named.structure)
    situation = situation_of(
        case, rules, named, side=side, level=level, image=image_id, guidance=guidance, patient_position=patient_position
    )
    _refuse_unfit_line(situation, np.asarray(start, dtype=float), np.asarray(end, dtype=float))
    situation = situation_of(
        case, rules, aim, side=side, level=level, image=image_id, guidance=guidance, patient_position=patient_position
    )
    way = Trajectory((float(start[0]), float(start[1]), float(start[2])), aim.point_mm, device_of(rules, device))
    unproven = Finding(
        FindingKind.IMAGE, Verdict.WARN, "image not proven: a drawn line does not say on which image it was drawn",
        remedy="Look at the line on this image",
    )  # fmt: skip
    return judged_way(way, replace(situation, others=needles_beside(case, beside, image_id)), unproven)


def _refuse_unfit_line(situation: Situation, start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """Raises InputError unless a line starts on free skin and ends in the target; says what would make it fit."""
    problem = _unfit(situation, start, end)
    if not problem:
        return
    fixes = {
        "reversing it": (end, start),
        "reading it in the other of RAS and LPS": (lps_from_ras_points(start), lps_from_ras_points(end)),
        "doing both": (lps_from_ras_points(end), lps_from_ras_points(start)),
    }
    fitting = [words for words, (first, last) in fixes.items() if not _unfit(situation, first, last)]
    remedy = (
        f"It would fit by {fitting[0]}: correct the file"
        if fitting
        else "Neither reversing it nor RAS for LPS would make it fit"
    )
    raise InputError(f"a line that {problem}", LINE_STARTS, remedy)


def _unfit(situation: Situation, start: NDArray[np.float64], end: NDArray[np.float64]) -> str:
    target = situation.structures.get(situation.target.structure)
    if target is not None and target.presence is Presence.PRESENT and not occupancy_at(target, end[None])[0]:
        return f"ends {_place(end)}, outside {situation.target.structure}"
    if not situation.target.structure and np.linalg.norm(end - situation.target_mm) > POINT_MET_MM:
        return f"ends {_place(end)}, not at the target {_place(situation.target_mm)}"
    skin = skin_near(situation, body_structure(situation.structures), start)
    if skin is None:
        return f"starts {_place(start)}, not on the skin"
    nearest = int(np.argmin(np.linalg.norm(skin.points_mm - start, axis=1)))
    if skin.reason[nearest] >= 0:
        return f"starts {_place(start)}, on the {skin.reasons[skin.reason[nearest]]}"
    return ""


def _place(point: NDArray[np.float64]) -> str:
    return f"at ({point[0]:.1f}, {point[1]:.1f}, {point[2]:.1f}) mm LPS"
