"""make_scenario: a teacher's scenario from a case with a plan.

    made = make_scenario(case, "lung-biopsy-nodule", title="The nodule of last week", by="Dr X", out="mine.toml",
                         sight="ct_steps", goal="sample", within_mm=8.0, limits={"target_off_mm": 10.0})
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.extend import registry
from navplan.files.scenario_writing import write_scenario
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.scenario import Goal, GoalKind, MetricLimit, Origin, PatientSource, PlannedWay, Scenario, Sight
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.training.feel import feel_of
from navplan.verbs.training import Progress, Rehearsal, rehearsal_of

_Kind = TypeVar("_Kind", Sight, GoalKind)
TIP_MM = 6.0  # of the way's end in which bone is what the tip rests on, not what it is driven through
ALWAYS = ("no_go_touched", "no_go_s", "target_off_mm", "goal_missed", "session_s", "needle_mm", "skin_contacts")
BY_CT = ("ct_scans", "ct_mgy_cm")
BY_XRAYS = ("shots", "fluoroscopy_s", "dap_ugy_cm2", "view_error_deg")
OF_SPINE = ("endplates_deg", "pedicle_off_share")
LAST = ("redirections", "entry_off_mm", "angle_off_deg")
WORDS = {
    GoalKind.SAMPLE: "Bring the needle to its target and fire: the sample's middle is to lie there.",
    GoalKind.TIP: "Bring the needle's tip to its target, then give what it is for.",
    GoalKind.EPIDURAL: "Go on until resistance is lost behind the ligament: stop. Contrast medium first, then give.",
    GoalKind.BLOCK: "Bring the tip to its target. Contrast medium first, then give.",
    GoalKind.CEMENT: "Bring the tip into the front part of the vertebral body, then give cement.",
    GoalKind.ABLATE: "Place the probe so that its zone covers the target with its margin, then switch on.",
}


@dataclass(frozen=True, eq=False)
class MadeScenario:
    """scenario: as its file reads; path: of the file; notes: what the teacher is told; rehearsal: made ready once."""

    scenario: Scenario
    path: Path
    notes: tuple[str, ...]
    rehearsal: Rehearsal


def make_scenario(
    case: Case, plan: Plan | str, *,
    title: str, by: str, out: str | Path, sight: str | Sequence[str], goal: str, within_mm: float,
    trajectory: int = 0, id: str = "", words: str = "", limits: Mapping[str, float] | None = None,
    counted: Sequence[str] = (), views: Sequence[str] = (), progress: Progress = lambda words, share: None,
) -> MadeScenario:  # fmt: skip
    """Write a scenario of one way of a plan (0 the best) into a new TOML file. The patient is the case's folder, by its
    path from that file, with the image's digest: another case is refused when it is opened.

    by: who sets goal and limits, told beside them; sight: how the needle is seen, one or several; goal: what is to be
    done, within how many mm; limits: of metrics, that an attempt may have at most; counted: metrics in place of the
    usual ones for the sight; views: C-arm views that are judged, default AP and lateral.
    Raises InputError, ChoiceError; MismatchError for a plan that was made on another image. Nothing is written then.
    """
    if not case.folder:
        raise InputError("a case that was not saved", "a case folder", "Save it first")
    if not by.strip():
        raise InputError("goal and limits set by nobody", "who sets them", "Say who with --by")
    path = Path(out).expanduser().absolute()
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder", "a folder that is there, for the scenario", "Make it first")
    chosen = case.plan(plan) if isinstance(plan, str) else plan
    image_id = chosen.provenance.image_id
    _, volume = case.image(image_id)
    if chosen.provenance.image_digest != volume.digest:
        received = f"plan {chosen.id}, made on another image than {image_id}"
        raise MismatchError(received, "the image as it was", "Plan again on this image")
    if not 0 <= trajectory < len(chosen.trajectories):
        raise ChoiceError(f"trajectory {trajectory} of plan {chosen.id}", f"0 to {len(chosen.trajectories) - 1}")
    way = chosen.trajectories[trajectory].trajectory
    seen = _named(Sight, (sight,) if isinstance(sight, str) else tuple(sight), "sight")
    kind = _named(GoalKind, (goal,), "goal")[0]
    xrays = bool({Sight.FLUOROSCOPY, Sight.BIPLANE} & set(seen))
    scenario = Scenario(
        id=id or _id_of(title),
        version="1",
        title=title,
        words=words or WORDS[kind],
        protocol=chosen.protocol.id,
        patient=PatientSource(
            case=_path_from(path.parent, case.folder), image=image_id, digest=volume.digest,
            position=chosen.patient_position,
        ),
        sight=seen,
        goal=Goal(kind, float(within_mm), f"set by {by}"),
        counted=tuple(counted) or _counted(seen, xrays, bool(chosen.level), limits or {}),
        target=chosen.target.structure,
        side=chosen.side,
        level=chosen.level,
        device=way.device.id,
        guidance=chosen.error_model.id,
        way=PlannedWay(way.entry_mm, way.target_mm, way.tip_short_of_target_mm),
        views=tuple(views) or (_views(chosen.target.structure) if xrays else ()),
        limits=tuple(MetricLimit(name, float(most), f"set by {by}") for name, most in (limits or {}).items()),
    )  # fmt: skip
    return _written(scenario, case, chosen, way, volume, path, progress)


def _written(
    scenario: Scenario, case: Case, plan: Plan, way: Trajectory, volume: Volume, path: Path, progress: Progress
) -> MadeScenario:
    ready = rehearsal_of(replace(scenario, origin=Origin(folder=str(path.parent))), progress)
    notes = [f"the plan is judged {ready.promised.verdict}: {ready.promised.headline}"]
    if registry.protocol(plan.protocol.id) != plan.protocol:
        notes.append(f"the plan was made by other numbers of {plan.protocol.id} than those that are installed")
    if ready.way.device != way.device and not ready.way.device.zones:
        notes.append(f"{way.device.id} is not the same now as in the plan")
    bone = _bone_on_the_way(ready)
    if bone:
        scenario = replace(scenario, into_bone=True)
        notes.append(f"the needle is driven through bone: {', '.join(bone)}")
    made = write_scenario(path, scenario)
    return MadeScenario(made, path, (*notes, *_identity_notes(case, volume)), ready)


def _identity_notes(case: Case, volume: Volume) -> tuple[str, ...]:
    """What of the patient goes along when scenario and case are handed on."""
    facts = volume.acquisition
    if facts.source == "phantom":
        return ()
    told = {
        f"the day of the image, {facts.date[:10]}": facts.date,
        "DICOM UIDs": facts.series_uid or facts.study_uid,
        "a digest of the patient's identifiers": facts.patient_digest or case.patient_digest,
    }
    kept = ", ".join(words for words, there in told.items() if there)
    says = f"the case is not anonymised: it keeps {kept}" if kept else "the case does not say who it is"
    return (
        f"{says}; the image itself may show it: hand it on only where the patient's data may go",
        f"the case's folder, {Path(case.folder).name}, stands in the scenario by its name; the patient's name does "
        "not, unless you wrote it there",
    )


def _bone_on_the_way(ready: Rehearsal) -> list[str]:
    depths = np.arange(0.0, max(ready.way.tip_depth_mm - TIP_MM, 0.0), 1.0)
    if not len(depths):
        return []
    tissues = ready.patient.tissues_at(np.array([ready.way.point_at_mm(float(depth)) for depth in depths]))
    return sorted({name for name in tissues if feel_of(name).stops})


def _counted(seen: tuple[Sight, ...], xrays: bool, spine: bool, limits: Mapping[str, float]) -> tuple[str, ...]:
    views = (*(BY_XRAYS if xrays else ()), *(OF_SPINE if xrays and spine else ()))
    usual = (*ALWAYS, *(BY_CT if Sight.CT_STEPS in seen else ()), *views, *LAST)
    return (*usual, *(name for name in limits if name not in usual))


def _views(target: str) -> tuple[str, ...]:
    return (f"AP of {target}", f"lateral of {target}") if target.startswith("vertebrae_") else ("AP", "lateral")


def _path_from(folder: Path, case: str) -> str:
    """The case's folder as seen from the scenario's, with forward slashes; whole where they share no drive."""
    try:
        return Path(os.path.relpath(os.path.realpath(case), os.path.realpath(folder))).as_posix()
    except ValueError:
        return Path(case).absolute().as_posix()


def _id_of(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "scenario"


def _named(kind: type[_Kind], names: tuple[str, ...], what: str) -> tuple[_Kind, ...]:
    known = {one.value: one for one in kind}
    for name in names:
        if name not in known:
            raise ChoiceError(f"{what} {name!r}", ", ".join(known))
    return tuple(known[name] for name in names)
