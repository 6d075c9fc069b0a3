"""The kinds of registration that `register` offers, each found by what it is found by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure

if TYPE_CHECKING:
    from navplan.imaging.fusion import FoundRegistration, LandmarkPairs
    from navplan.model.displacement import DisplacementField

Progress = Callable[[str, float], None]
BY_IMAGES = ("rigid", "affine", "deformable")
FOUND_BY = (*BY_IMAGES, "landmarks", "surface", "vertebrae")
ENGINES = ("navplan", "elastix")
BODY = "body"


@dataclass(frozen=True)
class Asked:
    """What `register` was asked for; see there."""

    fixed: str
    moving: str
    kind: str
    engine: str
    landmarks: str | Path
    structure: str
    mask: str
    own_coordinates: bool
    start: str | Path = ""
    given: str | Path = ""

    def transform(self, path: str | Path) -> Transform:
        """fixed_from_moving of a file. Raises FileFormatError, MismatchError, GeometryError (no inverse)."""
        from navplan.files.transform_files import read_transform

        try:
            return read_transform(path, self.fixed, self.moving, None)
        except np.linalg.LinAlgError as error:
            raise GeometryError(f"{Path(path).name}: a map without an inverse", "a rigid or affine map") from error

    @cached_property
    def pairs(self) -> LandmarkPairs | None:
        """Those of the file of landmarks, None without one. Raises InputError, FileFormatError."""
        from navplan.files.transform_files import read_landmark_rows
        from navplan.imaging.fusion import LandmarkPairs

        if not self.landmarks:
            return None
        rows = read_landmark_rows(self.landmarks)
        return LandmarkPairs(rows.to_mm, rows.from_mm, rows.weights, rows.names)


def found_by(
    case: Case, asked: Asked, progress: Progress, cancelled: Callable[[], bool]
) -> tuple[FoundRegistration, DisplacementField | None]:
    """The map of every kind but vertebrae, and what it adds to its linear part where it bends. Raises as `register`."""
    from navplan.imaging.landmark_fusion import refuse_landmarks, register_landmarks

    first, second = case.volumes[asked.fixed], case.volumes[asked.moving]
    if asked.pairs is not None:
        refuse_landmarks(first, second, asked.pairs, asked.fixed, asked.moving)
    if asked.kind == "landmarks":
        if asked.pairs is None:
            raise InputError("a registration by landmarks without any", "a CSV file of pairs", "Use --landmarks FILE")
        return register_landmarks(first, second, asked.pairs, asked.fixed, asked.moving), None
    if asked.kind == "surface":
        return _by_surface(case, asked), None
    return _by_images(case, asked, progress, cancelled)


def _by_images(
    case: Case, asked: Asked, progress: Progress, cancelled: Callable[[], bool]
) -> tuple[FoundRegistration, DisplacementField | None]:
    from navplan.imaging.deformable import register_deformable
    from navplan.imaging.fusion import judge_registration, register_images

    first, second = case.volumes[asked.fixed], case.volumes[asked.moving]
    one_frame = bool(first.grid.frame_uid) and first.grid.frame_uid == second.grid.frame_uid
    if asked.own_coordinates and not one_frame:
        raise InputError(
            f"the own coordinates of images {asked.fixed} and {asked.moving}, which name no common frame of reference",
            "images of one frame of reference",
            "Register them without --own-coordinates",
        )
    masks = _masks(case, asked)
    if asked.given or (asked.own_coordinates and asked.kind != "deformable"):
        given = asked.transform(asked.given) if asked.given else np.eye(4)
        judged = judge_registration(
            first, second, given, fixed_mask=masks[0], moving_mask=masks[1], fixed_name=asked.fixed,
            moving_name=asked.moving,
        )  # fmt: skip
        return judged, None
    start: LandmarkPairs | NDArray[np.float64] | Transform | str = asked.pairs or "auto"
    if asked.start:
        start = asked.transform(asked.start)
    elif asked.own_coordinates:
        start = np.eye(4)
    if asked.kind == "deformable":
        bent = register_deformable(
            first, second, engine=asked.engine, start=start, fixed_mask=masks[0], moving_mask=masks[1],
            own_coordinates=one_frame, fixed_name=asked.fixed, moving_name=asked.moving, progress=progress,
            cancelled=cancelled,
        )  # fmt: skip
        return bent, bent.field
    found = register_images(
        first, second, kind="affine" if asked.kind == "affine" else "rigid", start=start, fixed_mask=masks[0],
        moving_mask=masks[1], own_coordinates=one_frame, fixed_name=asked.fixed, moving_name=asked.moving,
        progress=progress, cancelled=cancelled,
    )  # fmt: skip
    return found, None


def _masks(case: Case, asked: Asked) -> list[Structure | None]:
    """What counts on each image: the mask where the image shows it by itself, else its body, else None."""
    both = [_own(case, one) for one in (asked.fixed, asked.moving)]
    if asked.mask and not any(asked.mask in one for one in both):
        there = ", ".join(sorted(set(both[0]) | set(both[1])))
        raise ChoiceError(f"{asked.mask}, on neither {asked.fixed} nor {asked.moving}", there or "none is on either")
    return [one.get(asked.mask) or one.get(BODY) for one in both]


def _by_surface(case: Case, asked: Asked) -> FoundRegistration:
    from navplan.geometry.landmarks import fit_landmarks
    from navplan.imaging.surface_fusion import register_surfaces

    name = asked.structure or BODY
    there = [_own(case, one) for one in (asked.fixed, asked.moving)]
    if any(name not in one for one in there):
        both = ", ".join(sorted(set(there[0]) & set(there[1])))
        raise ChoiceError(
            f"{name}, which images {asked.fixed} and {asked.moving} do not both show by themselves",
            both or "none is on both", "Segment it on both, and name it with --structure",
        )  # fmt: skip
    near = asked.pairs and fit_landmarks(asked.pairs.fixed_mm, asked.pairs.moving_mm, weights=asked.pairs.weights)
    return register_surfaces(there[0][name], there[1][name], near.matrix if near else None, asked.fixed, asked.moving)


def shared_structures(case: Case, first: str, second: str) -> dict[str, Structure]:
    """Structures that image `first` shows by itself, and image `second` too; those of `first`, by name."""
    also = _own(case, second)
    return {name: one for name, one in _own(case, first).items() if name in also}


def _own(case: Case, image_id: str) -> dict[str, Structure]:
    return {
        name: one for name, one in case.structures_of(image_id).items()
        if one.presence is Presence.PRESENT and not one.carried_from and one.image_id == image_id
    }  # fmt: skip
