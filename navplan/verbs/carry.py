"""carry: structures that were seen on one image, brought to another one by their registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.imaging.warp import warped
from navplan.model.case import Case
from navplan.model.registration import ImageRegistration
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.carried_plan import carried_structure, motion_doubt
from navplan.verbs.situation import audited

Progress = Callable[[str, float], None]
MOST_POINTS = 100_000  # of a structure that are asked how far off they may be
UNKNOWN_ERROR = "how far off the registration may be there is not known"


def carry(
    case: Case, moving: str, fixed: str, structures: Sequence[str] = (), *,
    progress: Progress = lambda words, share: None,
) -> Case:  # fmt: skip
    """The case with structures of image `moving` as they lie on image `fixed`, by the registration of the two.

    structures: names; all that are present or stated to be absent without them. What the image `fixed` has by itself is
    kept, unless it is unknown or was carried. A rigid or affine map moves a structure's own grid; one that bends looks
    its voxels up on the image's grid. The outline's error grows by the largest expected error at it.

    A carried structure can forbid a way and cannot free one. One by a registration that is not good enough, that
    nobody checked, or whose error there is not known, leaves it NOT_EVALUATED.

    Raises ChoiceError for images that nobody registered and names of what image `moving` does not show by itself;
    MismatchError for images that were registered with other voxels; InputError where nothing is left to carry;
    GeometryError for a map that folds.
    """
    registration = case.registration(fixed, moving)
    image, source = case.volumes[fixed], case.volumes[moving]
    there = case.structures_of(moving)
    wanted = _wanted(there, structures, moving)
    own = {
        name for name, one in case.structures_of(fixed).items()
        if one.presence is not Presence.UNKNOWN and not one.carried_from and one.image_id == fixed
    }  # fmt: skip
    doubt = registration.doubt_where_known
    moved = motion_doubt(source.acquisition, image.acquisition)
    if registration.field is None and moved not in doubt:  # one that bends follows what moved
        doubt = "; ".join(filter(None, (doubt, moved)))
    brought: list[Structure] = []
    left: list[Structure] = []
    for number, structure in enumerate(wanted):
        progress(structure.name, number / len(wanted))
        found = None if structure.name in own else _carried(structure, registration, image, doubt)
        (left if found is None else brought).append(found or structure)
    if not brought:
        raise InputError(
            f"nothing to carry: {', '.join(one.name for one in left)} on image {fixed} itself, or beside it",
            "structures that the image has not by itself",
        )
    errors = {one.name: round(one.carried_error_mm, 2) for one in brought}
    return audited(
        case.with_structures(*brought), "carry", moving=moving, fixed=fixed, registration=registration.made_with,
        good=registration.good, doubt=doubt, error_mm=errors, left=[one.name for one in left],
    )  # fmt: skip


def _wanted(there: dict[str, Structure], names: Sequence[str], moving: str) -> list[Structure]:
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ChoiceError(f"{', '.join(unknown)} on image {moving}", ", ".join(sorted(there)) or "none")
    seen = {
        name: one for name, one in sorted(there.items())
        if one.presence is not Presence.UNKNOWN and not one.carried_from
    }  # fmt: skip
    not_seen = [name for name in names if name not in seen]
    if not_seen:
        why = ", ".join(
            f"{name} ({f'carried from image {there[name].carried_from}' if there[name].carried_from else 'unknown'})"
            for name in not_seen
        )
        raise ChoiceError(f"{why} on image {moving}", ", ".join(seen) or "none", "Carry what an image shows by itself")
    if not seen:
        raise InputError(f"nothing to carry: image {moving} shows no structure by itself", "a structure seen on it")
    return [one for name, one in seen.items() if not names or name in names]


def _carried(
    structure: Structure, registration: ImageRegistration, image: Volume, doubt: str
) -> Structure | None:
    """The structure on the fixed image; None where it lies beside it."""
    frame, error_mm, unknown = image.grid.frame_uid, 0.0, False
    if structure.occupancy is not None and structure.grid is not None:
        points = structure.voxel_centres_mm()
        points = registration.to_fixed(points[:: max(len(points) // MOST_POINTS, 1)])
        if not image.grid.contains(points).any():
            return None
        errors = registration.error_mm(points)
        unknown = bool(np.isnan(errors).any())
        error_mm = float(np.nanmax(errors)) if not np.isnan(errors).all() else 0.0
    doubt = "; ".join(filter(None, (doubt, UNKNOWN_ERROR if unknown else "")))
    straight = registration.field is None or structure.occupancy is None
    if straight and structure.occupancy is not None:
        try:
            return carried_structure(structure, registration.transform, registration.fixed, frame, doubt, error_mm)
        except GeometryError:  # an affine map that shears: no grid of its own
            straight = False
    if straight:  # stated to be absent: of the patient, where the other image was looked at
        return replace(
            structure, evaluated_in=None, image_id=registration.fixed, carried_from=registration.moving,
            carried_doubt=doubt,
        )  # fmt: skip
    found = warped(structure, registration, image.grid)
    if found is None:
        return None
    occupancy, grid, region = found
    coarser = np.maximum(structure.resolution_mm.max(), image.grid.spacing_mm)
    bent = replace(
        structure, occupancy=occupancy, grid=Grid(grid.affine, grid.shape, frame), fractional=False,
        evaluated_in=Grid(region.affine, region.shape, frame),
        working_resolution_mm=(float(coarser[0]), float(coarser[1]), float(coarser[2])),
    )  # fmt: skip
    stays = replace(registration.transform, matrix=np.eye(4))
    return carried_structure(bent, stays, registration.fixed, frame, doubt, error_mm)
