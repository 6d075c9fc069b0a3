"""register: how one image of the case lies in the frame of another, with its error place by place and its checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.registration import KINDS, ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.structure import Structure
from navplan.planning.carried_plan import motion_doubt
from navplan.verbs.register_kinds import BY_IMAGES, ENGINES, FOUND_BY, Asked, found_by
from navplan.verbs.register_kinds import shared_structures as shared_structures
from navplan.verbs.situation import audited

if TYPE_CHECKING:
    from navplan.imaging.fusion import FoundRegistration
    from navplan.model.volume import Volume

Progress = Callable[[str, float], None]
STEP_MM = 10.0  # of the grid on which the expected error is kept
FOLLOWED_BY = " (--kind deformable follows them)"
LEAST_THICK_MM = 12.0  # of an image that is searched: 6 mm held too few samples for the search, 12 mm enough (measured)
ANEW = "the images were registered anew since it was carried: carry it again"
PASSED = {"passed": True, "failed": False, "not computed": None}


def register(
    case: Case, fixed: str, moving: str, *, kind: str = "rigid", engine: str = "navplan", landmarks: str | Path = "",
    structure: str = "", mask: str = "", own_coordinates: bool = False, start: str | Path = "", given: str | Path = "",
    progress: Progress = lambda words, share: None, cancelled: Callable[[], bool] = lambda: False,
) -> Case:  # fmt: skip
    """The case with the place of image `moving` in the frame of image `fixed`. Both images are left as they are.

    kind: rigid, affine or deformable (from the rigid one), found by the images; landmarks, by pairs of points alone;
    surface, by that of `structure` (the body without one), which both images show; vertebrae, each rigidly by itself
    (`navplan.verbs.register_vertebrae`). engine: what finds displacements, navplan or elastix, of a deformable one.
    landmarks: a CSV file of pairs (files.transform_files.read_landmark_rows: from = moving, to = fixed), of the kinds
    by images to start from, which are then a check as well. mask: a structure that alone counts, on each image that
    shows it, of the kinds by images; without one the bodies, where the case has them. own_coordinates: nothing is
    searched, and the images' own coordinates are judged, or taken to bend from; only for images that name one frame of
    reference. start: a file with a map fixed_from_moving (files.transform_files.read_transform) to search near, as it
    was laid by hand, of the kinds by images; given: one that is judged as it is, nothing is searched.

    A result that is not good enough is kept, with its reasons: what is carried by it is in doubt. A linear one of
    images that say other breath states or positions (`planning.carried_plan.motion_doubt`) is not good enough: organs
    move.

    Raises ChoiceError for an unknown image or structure; MismatchError for images of two patients; InputError for one
    image twice, another kind or engine, what does not go together, images too thin or in which nothing is found;
    MissingComponentError for elastix that is not installed; Cancelled.
    """
    _refuse(kind, engine, structure, mask, own_coordinates)
    _refuse_starts(kind, {"landmarks": landmarks, "own coordinates": own_coordinates, "a start": start, "a map": given})
    fixed, first = case.image(fixed)
    moving, second = case.image(moving)
    if fixed == moving:
        raise InputError(f"image {fixed} to itself", "two images")
    identities = (first.acquisition.patient_digest, second.acquisition.patient_digest)
    if all(identities) and identities[0] != identities[1]:
        raise MismatchError(f"images {fixed} and {moving} of two patients", "images of one patient")
    asked = Asked(fixed, moving, kind, engine, landmarks, structure, mask, own_coordinates, start, given)
    if kind in (*BY_IMAGES, "vertebrae"):
        _refuse_thin(fixed, first)
        _refuse_thin(moving, second)
    if kind == "vertebrae":
        from navplan.verbs.register_vertebrae import register_vertebrae

        return with_registered(case, register_vertebrae(case, fixed, moving, asked.pairs, progress, cancelled))
    found, field = found_by(case, asked, progress, cancelled)
    made = ImageRegistration(
        fixed, moving, "given" if given or (own_coordinates and field is None) else kind, found.transform,
        _errors(found, first), tuple(_check(one) for one in found.checks), first.digest, second.digest,
        _how(asked, found), found.transform.date, field,
    )  # fmt: skip
    moved = motion_doubt(second.acquisition, first.acquisition)
    if moved and field is None and made.checks:
        failed = RegistrationCheck("motion", f"{moved}{FOLLOWED_BY}", unit="", passed=False)
        made = replace(made, checks=(*made.checks, failed))
    return with_registered(case, made)


def with_registered(case: Case, made: ImageRegistration) -> Case:
    """The case with a registration that was found, and a line in its record. What was carried between the two images
    before is in doubt from here on: it lies where another map put it. Raises MismatchError where the case no longer
    holds the images that were registered."""
    kept = case.with_registration(made).with_structures(*_carried_before(case, made))
    kept.registration(made.fixed, made.moving)
    expected = made.transform.expected_error_mm
    return audited(
        kept, "register", fixed=made.fixed, moving=made.moving, kind=made.kind, good=made.good, doubt=made.doubt,
        expected_error_mm=None if expected is None else round(expected, 2), made_with=made.made_with,
    )  # fmt: skip


def _carried_before(case: Case, made: ImageRegistration) -> list[Structure]:
    """Structures that an earlier registration carried from one of the images to the other, with that doubt."""
    pair = {made.fixed, made.moving}
    if not any({one.fixed, one.moving} == pair for one in case.registrations.values()):
        return []
    return [
        replace(one, carried_doubt="; ".join(filter(None, (one.carried_doubt, ANEW))))
        for image_id in sorted(pair) for one in case.structures_of(image_id).values()
        if {one.image_id, one.carried_from} == pair and ANEW not in one.carried_doubt
    ]  # fmt: skip


def _refuse(kind: str, engine: str, structure: str, mask: str, own_coordinates: bool) -> None:
    """Raises InputError for what does not go together: none of it is left out in silence."""
    if kind not in FOUND_BY:
        raise InputError(f"a registration of kind {kind!r}", ", ".join(FOUND_BY))
    if engine not in ENGINES or (engine != ENGINES[0] and kind != "deformable"):
        raise InputError(f"engine {engine!r} for a {kind} registration", "navplan; or elastix for a deformable one")
    if structure and kind != "surface":
        raise InputError(f"structure {structure!r} for a {kind} registration", "a surface registration; or a mask")
    if mask and kind not in BY_IMAGES:
        raise InputError(f"a mask for a {kind} registration", ", ".join(BY_IMAGES))
    if own_coordinates and (kind not in ("rigid", "deformable") or (mask and kind == "rigid")):
        words = f"own coordinates for a {kind} registration" + (" with a mask" if mask else "")
        raise InputError(words, "the kind rigid, which judges them, or deformable, which begins there")


def _refuse_starts(kind: str, asked: dict[str, object]) -> None:
    """Raises InputError for two places to begin from, or one that the kind does not take."""
    chosen = [words for words, one in asked.items() if one]
    if len(chosen) > 1:
        raise InputError(f"a registration from {' and '.join(chosen)}", "one of them")
    if asked["a start"] and kind not in BY_IMAGES:
        raise InputError(f"a start for a {kind} registration", ", ".join(BY_IMAGES))
    if asked["a map"] and kind != "rigid":
        raise InputError(f"a map as it is for a {kind} registration", "no kind: it is judged as it is")


def _refuse_thin(name: str, image: Volume) -> None:
    """Raises InputError for a slice or a thin slab, which says too little of where it lies across."""
    size = np.asarray(image.grid.shape) * image.grid.spacing_mm
    if min(image.grid.shape) < 2 or float(size.min()) < LEAST_THICK_MM:
        raise InputError(
            f"image {name} of {' x '.join(str(n) for n in image.grid.shape)} voxels, {size.min():g} mm thick",
            f"two slices or more, {LEAST_THICK_MM:g} mm thick or more", "Use --kind landmarks, or a thicker image",
        )  # fmt: skip


def _errors(found: FoundRegistration, fixed: Volume) -> ErrorGrid:
    """The expected error on a coarse grid over the fixed image; not known where nothing was judged."""
    size = np.asarray(fixed.grid.shape) * fixed.grid.spacing_mm
    count = np.maximum(np.ceil(size / STEP_MM).astype(int), 1) + 1
    affine = fixed.grid.affine.copy()
    affine[:3, :3] = fixed.grid.axes * STEP_MM
    affine[:3, 3] = fixed.grid.points_mm(np.full(3, -0.5))
    grid = Grid(affine, (int(count[0]), int(count[1]), int(count[2])), fixed.grid.frame_uid)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))
    errors = np.asarray(found.error_map.error_mm(points), dtype=np.float32).reshape(grid.shape)
    return ErrorGrid(np.where(np.isfinite(errors), errors, np.float32(np.nan)), grid)


def _how(asked: Asked, found: FoundRegistration) -> str:
    """Method and start, in the words that are kept with the map."""
    if asked.given:
        return "a given map, judged as it is"
    if asked.own_coordinates and asked.kind == "rigid":
        return "the images' own coordinates, judged as they are"
    return f"{found.transform.origin}, from {found.start}"


def _check(one: object) -> RegistrationCheck:
    from navplan.imaging.fusion_checks import Check

    assert isinstance(one, Check)
    return RegistrationCheck(one.name, one.words, one.value, one.limit, "", PASSED[one.verdict])


assert set(FOUND_BY) <= set(KINDS)
