"""plan: the ranked ways to a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from navplan.errors import InputError
from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.plan import Plan, Provenance, RankedTrajectory
from navplan.model.protocol import ProcedureProtocol
from navplan.planning.device_choice import alike
from navplan.planning.entry_search import search_with
from navplan.planning.how_the_patient_lay import header_alone
from navplan.planning.other_position import other_position_words
from navplan.planning.situation import Situation
from navplan.verbs.beside import Beside, needles_beside
from navplan.verbs.situation import device_of, now, situation_of, target_of

Progress = Callable[[str, float], None]


def plan(
    case: Case,
    protocol: str | Path | ProcedureProtocol,
    target: str | tuple[float, float, float],
    *,
    side: str = "",
    level: str = "",
    image: str = "",
    device: str = "",
    guidance: str = "",
    margin_goal: str = "",
    patient_position: str = "",
    breath_state: str = "",
    top: int = 5,
    beside: Beside = (),
    progress: Progress = lambda words, share: None,
) -> Plan:
    """Search every way in from the skin to a target; the Pareto front, ranked, `plan.best` first.

    protocol: id of an installed protocol, path of a TOML file, or the protocol itself; target: name of a structure or
    LPS mm; side: L or R, level: a vertebra's (L4), as requested; device: id of a needle (default: the shortest, of the
    kind that the protocol names first, that finds a way); guidance: id of one of the protocol's error models (default:
    its first); margin_goal: words of one of the protocol's ablative margins (default: its first).
    beside: needles planned or placed already, as ids of plans of the case or (id, which way, from 0).
    A plan without trajectories is no error: plan.skin_map.counts() says what is in the way.

    Raises ChoiceError (no such image, target, device), InputError (no body outline, unknown protocol or position).
    """
    if top < 1:
        raise InputError(f"{top} ways asked for", "at least 1")
    rules = protocol if isinstance(protocol, ProcedureProtocol) else registry.protocol(protocol)
    if margin_goal:
        rules = replace(rules, margin_goal=margin_goal)
    image_id, _ = case.image(image)
    aim = target_of(case.structures_of(image_id), target)
    situation = situation_of(
        case,
        rules,
        aim,
        side=side,
        level=level,
        image=image_id,
        guidance=guidance,
        patient_position=patient_position,
        breath_state=breath_state,
        others=needles_beside(case, beside, image_id),
    )
    choice = (device_of(rules, device),) if device or not situation.devices else alike(situation.devices)
    found = search_with(situation, choice, top, progress)
    free = found.skin_map.counts()["free"]
    notes = (
        f"{len(found.skin_map.points_mm)} entries tried, {free} free, {found.front_size} on the front",
        *(f"beside {needle.name}" for needle in situation.others),
        *(f"No way in, because of {blocker}" for blocker in found.blockers),
        *other_position_words(found, rules.patient_positions, situation.patient_position),
        *filter(None, (header_alone(situation.image, situation.structures),)),
    )
    wanted = f"{rules.id}-{aim.structure or 'point'}"
    return replace(plan_for(case, situation, wanted, found.trajectories), skin_map=found.skin_map, notes=notes)


def plan_for(case: Case, situation: Situation, wanted_id: str, ways: tuple[RankedTrajectory, ...]) -> Plan:
    """A plan of these ways, for what a situation was asked with, on the case as it is now; its id is free in it."""
    return Plan(
        id=_free_id(case, wanted_id),
        protocol=situation.stated or situation.protocol,
        target=situation.target,
        side=situation.requested_side,
        level=situation.level,
        patient_position=situation.patient_position,
        breath_state=situation.breath_state,
        error_model=situation.error_model,
        trajectories=ways,
        provenance=provenance_of(case, situation.image_id),
    )


def provenance_of(case: Case, image_id: str) -> Provenance:
    """What a plan on this image, now, is made on."""
    volume = case.volumes[image_id]
    return Provenance(
        image_id=image_id,
        image_digest=volume.digest,
        frame_uid=volume.grid.frame_uid,
        structure_digests={name: structure.digest for name, structure in sorted(case.structures_of(image_id).items())},
        patient_digest=volume.acquisition.patient_digest,
        made_on=now(),
        made_by=f"navplan {version('navplan')}",
    )


def _free_id(case: Case, wanted: str) -> str:
    number, free = 1, wanted
    while free in case.plans:
        number += 1
        free = f"{wanted}-{number}"
    return free
