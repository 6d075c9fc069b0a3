"""register --kind vertebrae: each vertebra rigidly by itself, all of them as one registration that bends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from navplan.errors import Cancelled, InputError, NavplanError
from navplan.geometry.landmarks import fit_landmarks
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.image_pair import image_pair
from navplan.model.protocol import LEVELS
from navplan.model.registration import ImageRegistration, RegistrationCheck
from navplan.model.structure import Presence, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from navplan.imaging.fusion import LandmarkPairs
    from navplan.imaging.spine_field import SpineMap
    from navplan.imaging.vertebra_fusion import VertebraFit

Progress = Callable[[str, float], None]
PREFIX = "vertebrae_"
NAMED_MM = 15.0  # by which a vertebra's middle may lie from the one of its name on the other image (unsourced)
SHARE_SEARCH = 0.5  # of the progress


def register_vertebrae(
    case: Case, fixed: str, moving: str, start: LandmarkPairs | None, progress: Progress,
    cancelled: Callable[[], bool],
) -> ImageRegistration:  # fmt: skip
    """The spine of image `moving` in the frame of `fixed`, vertebra by vertebra of those that `fixed` has.

    It starts from the case's registration of the two, from landmarks, or from a search. A vertebra that is not found is
    named in a check that concerns it alone; how far off it may be is not known. Raises InputError where the fixed image
    has no vertebra, or none of them is found.
    """
    from navplan.imaging.spine_field import spine_map
    from navplan.imaging.vertebra_fusion import fitted_vertebrae

    vertebrae = _vertebrae(case, fixed)
    if not vertebrae:
        raise InputError(
            f"image {fixed} without a vertebra of its own", f"structures {PREFIX}L1 ... of image {fixed}",
            "Segment the vertebrae, or register the other way round: a registration counts both ways",
        )  # fmt: skip

    def stop(words: str, share: float) -> None:
        if cancelled():
            raise Cancelled("the registration was stopped")
        progress(words, SHARE_SEARCH + (1.0 - SHARE_SEARCH) * share)

    origin, whole = _whole(case, fixed, moving, start, progress, cancelled)
    first, second = case.volumes[fixed], case.volumes[moving]
    fits = fitted_vertebrae(first, second, vertebrae, np.asarray(np.linalg.inv(whole)), stop)
    good = [one for one in fits if one.good]
    if not good:
        told = "; ".join(f"{_level(one.name)}: {', '.join(one.reasons)}" for one in fits)
        raise InputError(f"no vertebra of image {fixed} that is found on image {moving}: {told}", "one or more")
    made = spine_map(first.grid, fits, vertebrae)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    inside = np.concatenate([one.inside_mm for one in good])
    errors = made.errors.error_mm(inside)
    transform = Transform(
        made.fixed_from_moving, fixed, moving, now, "vertebrae, each rigidly by itself", float(np.nanmean(errors))
    )
    found = ImageRegistration(
        fixed, moving, "vertebrae", transform, made.errors, (), first.digest, second.digest,
        f"{transform.origin}, from {origin}", now, made.field,
    )  # fmt: skip
    checks = _checks(fits, made, len(good)) + _names(case, found, vertebrae)
    return ImageRegistration(
        fixed, moving, "vertebrae", transform, made.errors, tuple(checks), first.digest, second.digest,
        found.made_with, now, made.field,
    )  # fmt: skip


def _vertebrae(case: Case, image_id: str) -> list[Structure]:
    """Those that the image shows, from the head down."""
    there = case.structures_of(image_id)
    named = [there.get(f"{PREFIX}{level}") for level in LEVELS]
    return [
        one for one in named
        if one is not None and one.presence is Presence.PRESENT and one.image_id == image_id and not one.carried_from
    ]  # fmt: skip


def _level(name: str) -> str:
    return name.removeprefix(PREFIX)


def _whole(
    case: Case, fixed: str, moving: str, start: LandmarkPairs | None, progress: Progress, cancelled: Callable[[], bool]
) -> tuple[str, NDArray[np.float64]]:
    """Words, and a map fixed_from_moving (4, 4) of the whole."""
    from navplan.imaging.fusion import register_images

    if start is None:
        try:
            kept = image_pair(case, fixed, moving).registration
        except NavplanError:  # none, or of other voxels
            kept = None
        if kept is not None:
            matrix = kept.transform.matrix if kept.fixed == fixed else np.asarray(np.linalg.inv(kept.transform.matrix))
            points = case.volumes[moving].grid.corners_mm()
            there = points @ matrix[:3, :3].T + matrix[:3, 3]
            return f"the registration of kind {kept.kind} that the case had", fit_landmarks(there, points).matrix
    first, second = case.volumes[fixed], case.volumes[moving]
    one_frame = bool(first.grid.frame_uid) and first.grid.frame_uid == second.grid.frame_uid
    found = register_images(
        first, second, start="auto" if start is None else start, own_coordinates=one_frame, judged=False,
        progress=lambda words, share: progress(words, SHARE_SEARCH * share), cancelled=cancelled,
    )  # fmt: skip
    return found.start, found.transform.matrix


def _checks(fits: list[VertebraFit], made: SpineMap, good: int) -> list[RegistrationCheck]:
    lost = ", ".join(_level(one.name) for one in fits if not one.good)
    words = f"{good} of {len(fits)} vertebrae found" + (f"; how far off is NOT known at {lost}" if lost else "")
    checks = [RegistrationCheck("vertebrae", words, good, (len(fits) + 1) // 2, "", 2 * good >= len(fits))]
    least = made.field.least_volume
    checks.append(
        RegistrationCheck("fold", f"least volume that is left of any place: {least:.2f}", least, 0.0, "", least > 0)
    )
    for one in fits:
        if one.good:
            words = f"{_level(one.name)}: {one.moved_mm:.1f} mm from where the whole would put it; {one.told}"
            checks.append(RegistrationCheck(one.name, words, one.moved_mm, None, "mm", True))
        else:
            words = f"{_level(one.name)} is NOT known: {'; '.join(one.reasons)}"
            checks.append(RegistrationCheck(one.name, words, None, None, "mm", False, local=True))
    return checks


def _names(case: Case, found: ImageRegistration, vertebrae: list[Structure]) -> list[RegistrationCheck]:
    """Whether a vertebra lies on the one that is called alike on the other image; no check where that names none."""
    there = {one.name: one.voxel_centres_mm().mean(axis=0) for one in _vertebrae(case, found.moving)}
    wrong, asked = [], 0
    for one in vertebrae:
        points = one.voxel_centres_mm()
        errors = found.error_mm(points)
        if one.name not in there or np.isnan(errors).mean() > 0.5:
            continue
        asked += 1
        middle = found.to_moving(points).mean(axis=0)
        off = float(np.linalg.norm(middle - there[one.name]))
        nearest = min(there, key=lambda name: float(np.linalg.norm(middle - there[name])))
        if nearest != one.name or off > NAMED_MM:
            lies = f"{_level(one.name)} lies on {_level(nearest)} of image {found.moving}"
            wrong.append(f"{lies}, {off:.0f} mm from its own")
    if not asked:
        return []
    words = f"{asked} vertebrae of both images lie on those of their names" if not wrong else "; ".join(wrong)
    return [RegistrationCheck("names", words, len(wrong), 0, "", not wrong)]
