"""transfer: a plan from the image that it was made on, carried to another image of the same patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError
from navplan.model.anatomy import Tissue
from navplan.model.case import Case
from navplan.model.error_model import ErrorModel
from navplan.model.plan import CarriedOver, Plan, RankedTrajectory, Row
from navplan.model.safety import SafetyReport
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import SHORTEST_MM, Target, Trajectory
from navplan.planning.carried_errors import errors_along, errors_at_structures
from navplan.planning.carried_plan import (
    FARTHEST_SKIN_MM,
    carried_structure,
    entry_on_skin,
    motion_doubt,
    with_registration_error,
)
from navplan.planning.way_metrics import desirability_of, metrics_of
from navplan.verbs.check import check, refuse_other_image
from navplan.verbs.plan import provenance_of
from navplan.verbs.situation import audited, inner_point, situation_of

if TYPE_CHECKING:
    from navplan.geometry.error_map import ErrorMap
    from navplan.geometry.landmarks import LandmarkFit
    from navplan.geometry.transform import Transform
    from navplan.imaging.register import Registration
    from navplan.model.volume import Volume

Progress = Callable[[str, float], None]
BODY, SKIN = "body", "skin"
NOT_TAKEN_OVER = "judged anew on this image: no verdict and no approval was taken over"


@dataclass(frozen=True, eq=False)
class Transferred:
    """case: with the carried structures and the new plan; plan: on the other image, judged anew; transform: of points
    of the plan's image to points of the other one, with its expected error at the target."""

    case: Case
    plan: Plan
    transform: Transform


def transfer(
    case: Case,
    plan: Plan | str | Path,
    to: str,
    *,
    transform: Transform | str | Path | None = None,
    error_mm: float | None = None,
    landmarks: str | Path = "",
    patient_position: str = "",
    progress: Progress = lambda words, share: None,
) -> Transferred:
    """Carry a plan to image `to` of the case through a rigid registration, and judge every way anew there.

    plan: a Plan, the id of one in the case, or a plan file. transform: a map to_from_plan's image that was found
    elsewhere (a Transform, or a file, see files.transform_files) with its error at the target, error_mm; without it the
    two images are registered. landmarks: instead, a CSV file of pairs of points seen on both images
    (files.transform_files.read_landmarks); the error is then the larger of those expected at the target and the entry.
    patient_position: of the procedure (default: the plan's).

    Structures of the image `to` are used where it has them. The others are carried from the plan's image, marked so,
    and keep a verdict from being better than WARN. Entries are put on the skin of the image `to` along their axes.

    Raises MismatchError for an image of another patient or a plan of an image that the case does not hold; ChoiceError
    for an unknown plan or image; InputError for a registration that is not good enough, a target that the image does
    not show, an image without skin.
    """
    found = _plan(case, plan)
    refuse_other_image(case, found)
    made_on = found.provenance.image_id
    to, image = case.image(to)
    if to == made_on:
        raise InputError(f"plan {found.id}, made on image {to} itself", "another image to carry it to")
    old = case.volumes[made_on]
    identities = (old.acquisition.patient_digest, image.acquisition.patient_digest)
    if all(identities) and identities[0] != identities[1]:
        raise MismatchError(f"image {to} of another patient than plan {found.id}", "an image of the same patient")
    case = _images_named(case, made_on)
    case = _with_body(case, to)
    progress("registration", 0.1)
    fit = None
    if landmarks:
        if transform is not None or error_mm is not None:
            raise InputError("landmarks and a transform or its error", "one of the two")
        transform, fit = _by_landmarks(landmarks, found, to)
    registration = _registration(case, found, to, transform, error_mm, fit)
    carry = registration.transform
    target = _point(carry, found.target.point_mm)
    if not image.grid.contains(np.asarray(target)):
        raise InputError(f"a target that lies outside image {to}", "an image that shows it", "Scan the target")
    doubt = motion_doubt(old.acquisition, image.acquisition)
    here = case.structures_of(to)
    progress("the registration's error, place by place", 0.5)
    ways = [ranked.trajectory for ranked in found.trajectories]
    along = errors_along(ways, found.target.point_mm, carry, registration.error_map)
    missing = [one for one in case.structures_of(made_on).values() if _is_missing(one, here.get(one.name))]
    errors = errors_at_structures(missing, ways, found.target.point_mm, carry, registration.error_map)
    brought = [
        carried_structure(
            structure, carry, to, image.grid.frame_uid, doubt,
            errors[structure.name].error_mm if structure.name in errors else None,
        )
        for structure in missing
    ]  # fmt: skip
    case = case.with_structures(*brought)
    carried = CarriedOver(
        found.id, made_on, old.digest, _rows(carry), carry.expected_error_mm or 0.0, registration.words, doubt,
        all(identities), (*along, *(errors[name] for name in sorted(errors))),
    )  # fmt: skip
    draft = Plan(
        id=_free_id(case, f"{found.id}-on-{to}"),
        protocol=found.protocol,
        target=Target(target, found.target.structure),
        side=found.side,
        patient_position=patient_position or found.patient_position,
        breath_state=found.breath_state,
        error_model=with_registration_error(_own_model(found), carried),
        trajectories=(),
        provenance=provenance_of(case, to),
        carried=carried,
        level=found.level,
    )
    progress("judging", 0.7)
    made = _judged(case, draft, found, carry)
    notes = (registration.words, *_frame_words(old, image, carry, found), *_own_target_words(here, made), *made.notes)
    made = replace(made, notes=(NOT_TAKEN_OVER, *notes, _structure_words(here, brought, made_on)))
    case = audited(
        case.with_plan(made), "transfer", plan=found.id, image=made_on, to=to, new_plan=made.id,
        matrix=[list(row) for row in carried.matrix], expected_error_mm=carried.expected_error_mm, how=carried.how,
        carried=sorted(structure.name for structure in brought),
    )  # fmt: skip
    return Transferred(case, made, carry)


def _plan(case: Case, plan: Plan | str | Path) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if str(plan) not in case.plans and Path(plan).suffix == ".json" and Path(plan).exists():
        from navplan.files.plan_json import read_plan

        return read_plan(Path(plan))
    return case.plan(str(plan))


def _own_model(plan: Plan) -> ErrorModel:
    """The error model of the guidance alone, without an earlier registration."""
    return plan.protocol.error_model(plan.error_model.id)


def _images_named(case: Case, image_id: str) -> Case:
    """Structures that name no image are taken to be of the plan's: on the other one they have to be carried."""
    unnamed = [replace(one, image_id=image_id) for one in case.structures.values() if not one.image_id]
    return case.with_structures(*unnamed)


def _own_body(case: Case, image_id: str) -> Structure | None:
    body = case.structures_of(image_id).get(BODY)
    return body if body is not None and body.presence is Presence.PRESENT and not body.carried_from else None


def _with_body(case: Case, image_id: str) -> Case:
    """The case with the outline of the body on an image: its own, or, on CT, found now."""
    if _own_body(case, image_id) is not None:
        return case
    volume = case.volumes[image_id]
    if volume.modality != "CT" or volume.quantity != "HU":
        raise InputError(
            f"image {image_id} ({volume.modality}) without an outline of the body",
            "a structure named body on it: the needle starts on its skin",
            "Segment it first",
        )
    from navplan.imaging.body import find_body
    from navplan.imaging.label_map import structure_from_mask
    from navplan.imaging.segment import image_resolution_mm

    fine = image_resolution_mm(volume)
    body = structure_from_mask(
        find_body(volume).body, volume.grid, BODY, image_id, "outline found for a transfer", volume.grid,
        (float(fine[0]), float(fine[1]), float(fine[2])),
    )  # fmt: skip
    if body.presence is not Presence.PRESENT:
        raise InputError(f"image {image_id}, on which no body is found", "an image that shows the patient's skin")
    return case.with_structures(body)


def _registration(
    case: Case, plan: Plan, to: str, transform: Transform | str | Path | None, error_mm: float | None,
    stated: ErrorMap | None,
) -> Registration:  # fmt: skip
    from navplan.imaging.register import register_rigid, registration_given

    made_on = plan.provenance.image_id
    fixed, moving = case.volumes[to], case.volumes[made_on]
    bodies = _own_body(case, to), _own_body(case, made_on)
    if transform is None:
        if error_mm is not None:
            raise InputError("an error of a transform, and no transform", "both or none")
        return register_rigid(
            fixed, moving, plan.target.point_mm, fixed_name=to, moving_name=made_on, fixed_body=bodies[0],
            moving_body=bodies[1], own_coordinates=_one_frame(moving, fixed),
        )  # fmt: skip
    if isinstance(transform, str | Path):
        from navplan.files.transform_files import read_transform

        transform = read_transform(transform, to, made_on, error_mm)
    elif error_mm is not None:
        transform = replace(transform, expected_error_mm=error_mm)
    if (transform.target, transform.source) != (to, made_on):
        raise MismatchError(f"a transform {transform.target}_from_{transform.source}", f"{to}_from_{made_on}")
    return registration_given(
        fixed, moving, plan.target.point_mm, transform, fixed_body=bodies[0], moving_body=bodies[1], stated_map=stated
    )


def _by_landmarks(path: str | Path, plan: Plan, to: str) -> tuple[Transform, LandmarkFit]:
    """The map that the pairs of a file give, with its error where it is worst: at the target, or at an entry."""
    from navplan.files.transform_files import read_landmarks
    from navplan.geometry.landmarks import fit_landmarks
    from navplan.geometry.transform import Transform

    source, there = read_landmarks(path)
    fit = fit_landmarks(there, source)
    ways = [way.trajectory.entry_mm for way in plan.trajectories]
    places = np.array([plan.target.point_mm, *ways], dtype=np.float64) @ fit.matrix[:3, :3].T + fit.matrix[:3, 3]
    errors = fit.error_mm(places)
    worst = "" if np.isnan(fit.left_out_mm).all() else f"; the pair that fits the others least is {_worst(fit)}"
    skin = f", {errors[1:].max():.1f} mm at the skin" if len(errors) > 1 else ""
    words = (
        f"{len(source)} pairs of landmarks, each to {fit.fle_mm:.1f} mm: expected error {errors[0]:.1f} mm at the"
        f" target{skin}{worst}; {fit.fre_mm:.1f} mm are left at the pairs, which says nothing of the target"
    )
    return Transform(fit.matrix, to, plan.provenance.image_id, "", words, float(errors.max())), fit


def _worst(fit: LandmarkFit) -> str:
    return f"{int(np.nanargmax(fit.left_out_mm)) + 1}, {float(np.nanmax(fit.left_out_mm)):.1f} mm off"


def _one_frame(first: Volume, second: Volume) -> bool:
    return bool(first.grid.frame_uid) and first.grid.frame_uid == second.grid.frame_uid


def _is_missing(structure: Structure, here: Structure | None) -> bool:
    """Whether a structure of the plan's image is the patient's, known, and not seen on the other image itself."""
    if structure.presence is Presence.UNKNOWN or structure.name in (BODY, SKIN):
        return False
    if structure.anatomy.tissue is Tissue.OUTSIDE:
        return False
    return here is None or here.presence is Presence.UNKNOWN or bool(here.carried_from)


def _judged(case: Case, draft: Plan, found: Plan, carry: Transform) -> Plan:
    """The draft with every way that has an entry on the skin, judged anew; the best verdict first, then as it was."""
    to = draft.provenance.image_id
    body = _own_body(case, to)
    assert body is not None
    ways, words = [], []
    for number, ranked in enumerate(found.trajectories, 1):
        old = ranked.trajectory
        target, entry = carry.apply(old.target_mm), carry.apply(old.entry_mm)
        skin = entry_on_skin(body, target, entry)
        if skin is None or np.linalg.norm(target - skin) < SHORTEST_MM:
            near = f"within {FARTHEST_SKIN_MM:g} mm of its entry"
            words.append(f"way {number} left out: its axis meets no skin of image {to} {near}")
            continue
        depth_mm = float(np.linalg.norm(target - skin))
        short_mm = min(old.tip_short_of_target_mm, depth_mm - SHORTEST_MM)
        way = Trajectory(_triple(skin), _triple(target), old.device, short_mm)
        ways.append((number, RankedTrajectory(way, {}, 0.0, SafetyReport(()))))
    plan = replace(draft, trajectories=tuple(way for _, way in ways))
    situation = situation_of(
        case, plan.protocol, plan.target, side=plan.side, level=plan.level, image=to, guidance=plan.error_model.id,
        patient_position=plan.patient_position, breath_state=plan.breath_state,
    )  # fmt: skip
    judged = []
    for index, (number, ranked) in enumerate(ways):
        report = check(case, plan, trajectory=index)
        metrics = metrics_of(ranked.trajectory, report, situation.host)
        score = desirability_of(plan.protocol, metrics)
        judged.append((number, RankedTrajectory(ranked.trajectory, metrics, score, report)))
    judged.sort(key=lambda one: -one[1].verdict.rank)
    for rank, (number, ranked) in enumerate(judged, 1):
        old = found.trajectories[number - 1].trajectory
        words.append(
            f"way {rank} was way {number} of {found.id}: depth {old.depth_mm:.0f} mm there,"
            f" {ranked.trajectory.depth_mm:.0f} mm here"
        )
    return replace(plan, trajectories=tuple(ranked for _, ranked in judged), notes=tuple(words))


def _frame_words(old: Volume, new: Volume, carry: Transform, plan: Plan) -> tuple[str, ...]:
    """What the frames of reference say, which proves nothing about a patient who may have moved."""
    if not _one_frame(old, new):
        return ()
    moved = float(np.linalg.norm(carry.apply(plan.target.point_mm) - np.asarray(plan.target.point_mm)))
    return (
        "both images name one frame of reference: their own coordinates were one of the starts, not taken as proven;"
        f" the target lies {moved:.1f} mm from where they would put it",
    )


def _own_target_words(here: dict[str, Structure], plan: Plan) -> tuple[str, ...]:
    """How far the middle of the target as the image itself shows it lies from the carried point: an independent look.

    here: the structures of the image before any was carried.
    """
    own = here.get(plan.target.structure)
    if own is None or own.presence is not Presence.PRESENT or own.carried_from:
        return ()
    apart = float(np.linalg.norm(np.subtract(inner_point(own), plan.target.point_mm)))
    return (f"the middle of {own.name} as this image shows it lies {apart:.1f} mm from the carried target point",)


def _structure_words(here: dict[str, Structure], brought: list[Structure], made_on: str) -> str:
    own = sum(one.presence is not Presence.UNKNOWN and not one.carried_from for one in here.values())
    return f"structures: {own} of this image itself, {len(brought)} carried over from {made_on}"


def _point(carry: Transform, point_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    return _triple(carry.apply(point_mm))


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _rows(transform: Transform) -> tuple[Row, Row, Row, Row]:
    rows = [(float(a), float(b), float(c), float(d)) for a, b, c, d in transform.matrix]
    return rows[0], rows[1], rows[2], rows[3]


def _free_id(case: Case, wanted: str) -> str:
    number, free = 1, wanted
    while free in case.plans:
        number += 1
        free = f"{wanted}-{number}"
    return free
