"""register: how one image of the case lies in the frame of another, with its error place by place and its checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.registration import KINDS, ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.structure import Presence, Structure
from navplan.verbs.situation import audited

if TYPE_CHECKING:
    from navplan.imaging.fusion import FoundRegistration, LandmarkPairs
    from navplan.model.volume import Volume

Progress = Callable[[str, float], None]
STEP_MM = 10.0  # of the grid on which the expected error is kept
FOUND_BY = ("rigid", "affine", "landmarks", "surface", "vertebrae")
BODY = "body"
PASSED = {"passed": True, "failed": False, "not computed": None}


def register(
    case: Case, fixed: str, moving: str, *, kind: str = "rigid", landmarks: str | Path = "",
    structure: str = "", own_coordinates: bool = False, progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Case:  # fmt: skip
    """The case with the place of image `moving` in the frame of image `fixed`. Both images are left as they are.

    kind: rigid or affine, found by the images; landmarks, by pairs of points alone; surface, by that of
    `structure` (the body without one), which both images show; vertebrae, each rigidly by itself
    (`navplan.verbs.register_vertebrae`). landmarks: a CSV file of pairs
    (files.transform_files.read_landmark_rows: from = moving, to = fixed), of kind rigid and affine to start from, which
    are then a check as well. own_coordinates: nothing is searched, and
    the images' own coordinates are judged; only for images that name one frame of reference.

    A result that is not good enough is kept, with its reasons: what is carried by it is in doubt. The bodies of both
    images are what counts where the case has them.

    Raises ChoiceError for an unknown image; MismatchError for images of two patients; InputError for one image twice,
    another kind, images in which nothing is found; Cancelled.
    """
    if kind not in FOUND_BY:
        raise InputError(f"a registration of kind {kind!r}", ", ".join(FOUND_BY))
    fixed, first = case.image(fixed)
    moving, second = case.image(moving)
    if fixed == moving:
        raise InputError(f"image {fixed} to itself", "two images")
    identities = (first.acquisition.patient_digest, second.acquisition.patient_digest)
    if all(identities) and identities[0] != identities[1]:
        raise MismatchError(f"images {fixed} and {moving} of two patients", "images of one patient")
    if kind == "vertebrae" and not own_coordinates:
        from navplan.verbs.register_vertebrae import register_vertebrae

        start = _pairs(landmarks) if landmarks else None
        return with_registered(case, register_vertebrae(case, fixed, moving, start, progress, cancelled))
    found = _found(case, fixed, moving, kind, landmarks, structure, own_coordinates, progress, cancelled)
    made = ImageRegistration(
        fixed, moving, "given" if own_coordinates else kind, found.transform, _errors(found, first),
        tuple(_check(one) for one in found.checks), first.digest, second.digest,
        f"{found.transform.origin}, from {found.start}", found.transform.date,
    )  # fmt: skip
    return with_registered(case, made)


def with_registered(case: Case, made: ImageRegistration) -> Case:
    """The case with a registration that was found, and a line in its record. Raises MismatchError where the case no
    longer holds the images that were registered."""
    kept = case.with_registration(made)
    kept.registration(made.fixed, made.moving)
    expected = made.transform.expected_error_mm
    return audited(
        kept, "register", fixed=made.fixed, moving=made.moving, kind=made.kind, good=made.good, doubt=made.doubt,
        expected_error_mm=None if expected is None else round(expected, 2), made_with=made.made_with,
    )  # fmt: skip


def _found(
    case: Case, fixed: str, moving: str, kind: str, landmarks: str | Path, structure: str, own_coordinates: bool,
    progress: Progress, cancelled: Callable[[], bool],
) -> FoundRegistration:  # fmt: skip
    from navplan.imaging.fusion import LandmarkPairs, judge_registration, register_images
    from navplan.imaging.landmark_fusion import register_landmarks

    first, second = case.volumes[fixed], case.volumes[moving]
    masks = [_body(case, image_id) for image_id in (fixed, moving)]
    one_frame = bool(first.grid.frame_uid) and first.grid.frame_uid == second.grid.frame_uid
    if own_coordinates:
        if not one_frame:
            raise InputError(
                f"the own coordinates of images {fixed} and {moving}, which name no common frame of reference",
                "images of one frame of reference",
                "Register them without --own-coordinates",
            )
        return judge_registration(
            first, second, np.eye(4), fixed_mask=masks[0], moving_mask=masks[1], fixed_name=fixed, moving_name=moving
        )
    start: LandmarkPairs | str = _pairs(landmarks) if landmarks else "auto"
    if kind == "landmarks":
        if not isinstance(start, LandmarkPairs):
            raise InputError("a registration by landmarks without any", "a CSV file of pairs", "Use --landmarks FILE")
        return register_landmarks(first, second, start, fixed, moving)
    if kind == "surface":
        return _by_surface(case, fixed, moving, structure or BODY, start)
    return register_images(
        first, second, kind="affine" if kind == "affine" else "rigid", start=start, fixed_mask=masks[0],
        moving_mask=masks[1], own_coordinates=one_frame, fixed_name=fixed, moving_name=moving, progress=progress,
        cancelled=cancelled,
    )  # fmt: skip


def _by_surface(
    case: Case, fixed: str, moving: str, name: str, start: LandmarkPairs | str
) -> FoundRegistration:
    from navplan.geometry.landmarks import fit_landmarks
    from navplan.imaging.surface_fusion import register_surfaces

    there = [shared_structures(case, image_id, image_id) for image_id in (fixed, moving)]
    if any(name not in one for one in there):
        both = ", ".join(sorted(set(there[0]) & set(there[1])))
        raise ChoiceError(
            f"{name}, which images {fixed} and {moving} do not both show by themselves", both or "none is on both",
            "Segment it on both, and name it with --structure",
        )  # fmt: skip
    near = None if isinstance(start, str) else fit_landmarks(start.fixed_mm, start.moving_mm, weights=start.weights)
    return register_surfaces(there[0][name], there[1][name], None if near is None else near.matrix, fixed, moving)


def shared_structures(case: Case, first: str, second: str) -> dict[str, Structure]:
    """Structures that image `first` shows by itself, and image `second` too; those of `first`, by name."""
    found = [
        {
            name: one for name, one in case.structures_of(image_id).items()
            if one.presence is Presence.PRESENT and not one.carried_from and one.image_id == image_id
        }
        for image_id in (first, second)
    ]  # fmt: skip
    return {name: one for name, one in found[0].items() if name in found[1]}


def _pairs(path: str | Path) -> LandmarkPairs:
    from navplan.files.transform_files import read_landmark_rows
    from navplan.imaging.fusion import LandmarkPairs

    rows = read_landmark_rows(path)
    return LandmarkPairs(rows.to_mm, rows.from_mm, rows.weights, rows.names)


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
