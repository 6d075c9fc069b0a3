"""A scenario made ready: its patient, what navplan judges the needle against, the expert's way, and attempts at it.

    ready = rehearsal_of(registry.scenario("lung-biopsy-ct"))
    attempt = ready.attempt(seed=7)            # navplan.training.attempt.Attempt
    ready.metrics(attempt)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.extend import registry
from navplan.files.scenario_toml import located
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.purposes import view_for
from navplan.geometry.carm import ViewAngles, parse_view
from navplan.model.case import Case
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.scenario import GoalKind, PlannedWay, Scenario
from navplan.model.trajectory import Target, Trajectory
from navplan.planning.ablation import chosen_zone
from navplan.planning.check_plan import judge
from navplan.planning.entry_candidates import body_structure
from navplan.planning.moved_way import entry_on_skin, trajectory_to
from navplan.planning.situation import Situation
from navplan.training.attempt import Attempt
from navplan.training.block_patient import BlockPatient
from navplan.training.metrics import Metric, of_attempt
from navplan.training.outcome import not_evaluated
from navplan.training.patient import SimulatedPatient
from navplan.verbs.case_verbs import open_case
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan
from navplan.verbs.segment import absent
from navplan.verbs.situation import device_of, situation_of, target_of

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """scenario; case: the patient, image_id: its image; situation: what ways are judged on; patient: what the needle
    goes into; way: the expert's; promised: what the plan says of it, judged now; views: the C-arm views that are
    judged."""

    scenario: Scenario
    case: Case
    image_id: str
    situation: Situation
    patient: SimulatedPatient
    way: Trajectory
    promised: SafetyReport
    views: tuple[ViewAngles, ...]

    def attempt(self, seed: int = 0, difficulty: str = "") -> Attempt:
        """A new one. seed: of all that differs from attempt to attempt; difficulty: a name of the scenario's, "" as the
        scenario stands. Raises ChoiceError."""
        scenario = self.scenario.at(difficulty) if difficulty else self.scenario
        return Attempt(scenario, self.patient, self.way, seed)

    def metrics(self, attempt: Attempt) -> tuple[Metric, ...]:
        """Those that the scenario counts. Raises InputError for an attempt that is not finished."""
        unknown = {one.structure for one in self.promised.findings if one.verdict is Verdict.NOT_EVALUATED}
        return of_attempt(attempt, self.views, unknown & set(not_evaluated(self.promised)))


def rehearsal_of(scenario: Scenario, progress: Progress = lambda words, share: None) -> Rehearsal:
    """A scenario made ready: seconds. The way is judged anew; one that navplan fails is refused.

    Raises InputError, with the line of the scenario's file, for a patient, protocol, target, way or view that do not
    fit together; MismatchError for a case whose image is another one than the scenario was made on.
    """
    with _about(scenario, "protocol"):
        rules = registry.protocol(scenario.protocol)
    progress("patient", 0.0)
    with _about(scenario, "patient.case" if scenario.patient.case else "patient.phantom"):
        case = _patient(scenario)
        image_id, volume = case.image(scenario.patient.image)
    position = scenario.patient.position or volume.acquisition.patient_position
    with _about(scenario, "target"):
        target = _target(scenario, case, image_id)
    with _about(scenario, "level", "side", "guidance", "way.target_mm" if scenario.way else "target"):
        situation = situation_of(
            case, rules, target, side=scenario.side, level=scenario.level, image=image_id, guidance=scenario.guidance,
            patient_position=position,
        )  # fmt: skip
    progress("the expert's way", 0.4)
    with _about(scenario, "device"):
        device = device_of(situation.protocol, scenario.device)
    if scenario.way is None:
        with _about(scenario, "target"):
            way, situation = _planned(scenario, case, situation)
    else:
        with _about(scenario, "way.entry_mm", "way.target_mm", "way.tip_short_mm", "way"):
            way = _given(situation, scenario.way, trajectory_to(
                np.asarray(scenario.way.entry_mm), np.asarray(scenario.way.target_mm), device
            ))  # fmt: skip
    with _about(scenario, "zone"):
        way = _with_zone(scenario, situation, way)
    progress("what the plan promises", 0.7)
    promised = judge(way, situation)
    failed = [finding.words for finding in promised.findings if finding.verdict is Verdict.FAIL]
    if promised.verdict is Verdict.FAIL:
        words = f"a way that {rules.id} fails: {'; '.join(failed[:3])}"
        raise located(scenario, "way", InputError(words, "a way that it does not fail", "Plan it: navplan plan"))
    with _about(scenario, "goal.kind"):
        _refuse_goal_without_means(scenario, situation, way)
    with _about(scenario, "breath.structures"):
        _refuse_unmoved(scenario, situation)
    progress("views", 0.9)
    with _about(scenario, "views"):
        views = _views(scenario, situation, way)
    with _about(scenario, "patient.printed" if scenario.patient.printed else "patient.block"):
        patient = _simulated(scenario, situation, way)
    return Rehearsal(scenario, case, image_id, situation, patient, way, promised, views)


@contextmanager
def _about(scenario: Scenario, *keys: str) -> Iterator[None]:
    """What is refused within names the line of the key that it speaks of, or of the last one."""
    try:
        yield
    except InputError as error:
        named = [key for key in keys if re.search(rf"\b{key.rpartition('.')[2]}\b", error.received)]
        raise located(scenario, (*named, keys[-1])[0], error) from error


def _patient(scenario: Scenario) -> Case:
    source = scenario.patient
    if source.phantom:
        case = phantom(source.phantom, spacing_mm=source.spacing_mm, seed=source.seed)
        if source.position:  # a phantom lies as it is told to
            (image_id, volume), *_ = case.volumes.items()
            lies = replace(volume, acquisition=replace(volume.acquisition, patient_position=source.position))
            case = replace(case, volumes={image_id: lies})
        for name in source.absent:
            case = absent(case, name, by="the phantom's maker")
        return case
    folder = Path(source.case).expanduser()
    if not folder.is_absolute():
        folder = Path(scenario.origin.folder or ".") / folder
    case = open_case(folder)
    image_id, volume = case.image(source.image)
    if source.digest and volume.digest != source.digest:
        raise MismatchError(
            f"image {image_id} of case {folder.name}, another one than the scenario was made on",
            f"an image with the digest {source.digest[:16]}...", "Make the scenario anew: navplan scenario",
        )  # fmt: skip
    return case


def _simulated(scenario: Scenario, situation: Situation, way: Trajectory) -> SimulatedPatient:
    if scenario.patient.block:
        return BlockPatient(situation, way, scenario.patient.printed)
    return SimulatedPatient(situation, scenario.breath)


def _target(scenario: Scenario, case: Case, image_id: str) -> Target:
    """The way's own end within the structure that is named, or the structure's inner point where no way is given."""
    structures, way = case.structures_of(image_id), scenario.way
    if way is None:
        return target_of(structures, scenario.target)
    if not scenario.target:
        return Target(way.target_mm)
    return Target(way.target_mm, target_of(structures, scenario.target).structure or scenario.target)


def _planned(scenario: Scenario, case: Case, situation: Situation) -> tuple[Trajectory, Situation]:
    found = plan(
        case, situation.stated or situation.protocol, scenario.target, side=scenario.side, level=scenario.level,
        image=situation.image_id, device=scenario.device, guidance=scenario.guidance,
        patient_position=situation.patient_position, top=1,
    )  # fmt: skip
    if not found.trajectories:
        raise InputError(f"no way to {scenario.target}: {'; '.join(found.notes)}", "a target with a way in")
    way = found.trajectories[0].trajectory
    return way, situation.aimed_at(Target(way.target_mm, situation.target.structure))


def _given(situation: Situation, stated: PlannedWay, way: Trajectory) -> Trajectory:
    """The stated way. Raises InputError for one that begins away from the skin or ends outside the target."""
    entry, target = np.asarray(stated.entry_mm), np.asarray(stated.target_mm)
    if not situation.image.grid.contains(entry):
        raise InputError(f"entry_mm {stated.entry_mm} outside the image", f"a point in {situation.image.grid!r}")
    entry_on_skin(body_structure(situation.structures), situation, entry, target)  # raises where it is far from it
    name = situation.target.structure
    if name and not SimulatedPatient(situation).in_structure(name, target)[0]:
        raise InputError(f"target_mm {stated.target_mm} outside {name}", f"a point in {name}")
    return way if stated.tip_short_mm is None else replace(way, tip_short_of_target_mm=stated.tip_short_mm)


def _refuse_goal_without_means(scenario: Scenario, situation: Situation, way: Trajectory) -> None:
    kind, structure = scenario.goal.kind, situation.target.structure
    if kind is GoalKind.SAMPLE and way.device.throw_mm <= 0.0:
        raise InputError(f"kind sample with {way.device.id}, which takes none", "a needle with a throw")
    if kind is GoalKind.ABLATE and not way.device.zones:
        raise InputError(f"kind ablate with {way.device.id}, which has no zone", "an ablation probe")
    if kind in (GoalKind.SAMPLE, GoalKind.ABLATE, GoalKind.CEMENT) and not structure:
        raise InputError(f"kind {kind} without a target structure", "target = the structure's name")
    if kind is GoalKind.EPIDURAL and "spinal_canal" not in situation.structures:
        raise InputError("kind epidural in a patient without a labelled spinal_canal", "a label of spinal_canal")


def _with_zone(scenario: Scenario, situation: Situation, way: Trajectory) -> Trajectory:
    """The way with the probe's setting that is used before all others."""
    zones, boundary = {zone.id: zone for zone in way.device.zones}, situation.target_boundary
    if scenario.zone and scenario.zone not in zones:
        raise ChoiceError(f"zone {scenario.zone!r} of {way.device.id}", ", ".join(zones) or "none: it does not ablate")
    if not zones or (not scenario.zone and boundary is None):
        return way
    if scenario.zone or boundary is None:
        used = zones[scenario.zone]
    else:
        used, _ = chosen_zone(way, boundary, None, scenario.goal.within_mm)
    others = tuple(zone for zone in way.device.zones if zone is not used)
    return replace(way, device=replace(way.device, zones=(used, *others)))


def _refuse_unmoved(scenario: Scenario, situation: Situation) -> None:
    for pattern in scenario.breath.structures if scenario.breath else ():
        if not any(fnmatchcase(name, pattern) for name in situation.structures):
            have = ", ".join(situation.structures)
            raise ChoiceError(f"structures {pattern!r}, which the patient does not have", have)


def _views(scenario: Scenario, situation: Situation, way: Trajectory) -> tuple[ViewAngles, ...]:
    anatomy, position, found = Anatomy(situation.image), situation.patient_position, []
    for words in scenario.views:
        try:
            found.append(parse_view(words, position, way.direction))
        except InputError:
            found.append(view_for(words, anatomy, way, situation.structures, position)[0].angles)
    return tuple(found)
