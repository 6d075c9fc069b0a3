"""register: how one image of the case lies in the frame of another, with its error place by place and its checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.displacement import DisplacementField
from navplan.model.registration import KINDS, ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.structure import Presence, Structure
from navplan.planning.carried_plan import motion_doubt
from navplan.verbs.situation import audited

if TYPE_CHECKING:
    from navplan.imaging.fusion import FoundRegistration
    from navplan.model.volume import Volume

Progress = Callable[[str, float], None]
STEP_MM = 10.0  # of the grid on which the expected error is kept
FOUND_BY = ("rigid", "affine", "deformable")
ENGINES = ("navplan", "elastix")
FOLLOWED_BY = " (--kind deformable follows them)"
PASSED = {"passed": True, "failed": False, "not computed": None}


def register(
    case: Case, fixed: str, moving: str, *, kind: str = "rigid", engine: str = "navplan", landmarks: str | Path = "",
    own_coordinates: bool = False, progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Case:  # fmt: skip
    """The case with the place of image `moving` in the frame of image `fixed`. Both images are left as they are.

    kind: rigid, affine or deformable (from the rigid one), found by the images. engine: what finds displacements,
    navplan or elastix, of a deformable one. landmarks: a CSV file of pairs (files.transform_files.read_landmarks:
    from = moving, to = fixed) to start from, which are then a check as well. own_coordinates: nothing is searched, and
    the images' own coordinates are judged, or taken to bend from; only for images that name one frame of reference.

    A result that is not good enough is kept, with its reasons: what is carried by it is in doubt. The bodies of both
    images are what counts where the case has them. A linear one of images that say other breath states or positions
    (`planning.carried_plan.motion_doubt`) is not good enough: organs move.

    Raises ChoiceError for an unknown image; MismatchError for images of two patients; InputError for one image twice,
    another kind or engine, images in which nothing is found; MissingComponentError for
    elastix that is not installed; Cancelled.
    """
    if kind not in FOUND_BY:
        raise InputError(f"a registration of kind {kind!r}", " or ".join(FOUND_BY))
    if engine not in ENGINES or (engine != ENGINES[0] and kind != "deformable"):
        raise InputError(f"engine {engine!r} for a {kind} registration", "navplan; or elastix for a deformable one")
    fixed, first = case.image(fixed)
    moving, second = case.image(moving)
    if fixed == moving:
        raise InputError(f"image {fixed} to itself", "two images")
    identities = (first.acquisition.patient_digest, second.acquisition.patient_digest)
    if all(identities) and identities[0] != identities[1]:
        raise MismatchError(f"images {fixed} and {moving} of two patients", "images of one patient")
    found, field = _found(case, fixed, moving, kind, engine, landmarks, own_coordinates, progress, cancelled)
    checks = tuple(_check(one) for one in found.checks)
    moved = motion_doubt(second.acquisition, first.acquisition)
    if moved and field is None and checks:
        checks = (*checks, RegistrationCheck("motion", f"{moved}{FOLLOWED_BY}", unit="", passed=False))
    made = ImageRegistration(
        fixed, moving, "given" if own_coordinates and field is None else kind, found.transform, _errors(found, first),
        checks, first.digest, second.digest, f"{found.transform.origin}, from {found.start}", found.transform.date,
        field,
    )  # fmt: skip
    return with_registered(case, made)


def with_registered(case: Case, made: ImageRegistration) -> Case:
    """The case with a registration that was found, and a line in its record. Raises MismatchError where the case no
    longer holds the images that were registered."""
    kept = case.with_registration(made)
    kept.registration(made.fixed, made.moving)
    return audited(
        kept, "register", fixed=made.fixed, moving=made.moving, kind=made.kind, good=made.good, doubt=made.doubt,
        expected_error_mm=round(made.transform.expected_error_mm or 0.0, 2), made_with=made.made_with,
    )  # fmt: skip


def _found(
    case: Case, fixed: str, moving: str, kind: str, engine: str, landmarks: str | Path, own_coordinates: bool,
    progress: Progress, cancelled: Callable[[], bool],
) -> tuple[FoundRegistration, DisplacementField | None]:  # fmt: skip
    from navplan.files.transform_files import read_landmarks
    from navplan.imaging.deformable import register_deformable
    from navplan.imaging.fusion import LandmarkPairs, judge_registration, register_images

    first, second = case.volumes[fixed], case.volumes[moving]
    masks = [_body(case, image_id) for image_id in (fixed, moving)]
    one_frame = bool(first.grid.frame_uid) and first.grid.frame_uid == second.grid.frame_uid
    if own_coordinates and not one_frame:
        raise InputError(
            f"the own coordinates of images {fixed} and {moving}, which name no common frame of reference",
            "images of one frame of reference",
            "Register them without --own-coordinates",
        )
    if own_coordinates and kind != "deformable":
        found = judge_registration(
            first, second, np.eye(4), fixed_mask=masks[0], moving_mask=masks[1], fixed_name=fixed, moving_name=moving
        )
        return found, None
    start: LandmarkPairs | NDArray[np.float64] | str = "auto"
    if own_coordinates:
        start = np.eye(4)
    elif landmarks:
        pairs = read_landmarks(landmarks)
        start = LandmarkPairs(pairs[1], pairs[0])
    if kind == "deformable":
        bent = register_deformable(
            first, second, engine=engine, start=start, fixed_mask=masks[0], moving_mask=masks[1],
            own_coordinates=one_frame, fixed_name=fixed, moving_name=moving, progress=progress, cancelled=cancelled,
        )  # fmt: skip
        return bent, bent.field
    found = register_images(
        first, second, kind="affine" if kind == "affine" else "rigid", start=start, fixed_mask=masks[0],
        moving_mask=masks[1], own_coordinates=one_frame, fixed_name=fixed, moving_name=moving, progress=progress,
        cancelled=cancelled,
    )  # fmt: skip
    return found, None


def _body(case: Case, image_id: str) -> Structure | None:
    found = case.structures_of(image_id).get("body")
    return found if found is not None and found.presence is Presence.PRESENT and not found.carried_from else None


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


def _check(one: object) -> RegistrationCheck:
    from navplan.imaging.fusion_checks import Check

    assert isinstance(one, Check)
    return RegistrationCheck(one.name, one.words, one.value, one.limit, "", PASSED[one.verdict])


assert set(FOUND_BY) <= set(KINDS)
