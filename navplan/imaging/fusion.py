"""Images of one patient in one frame: rigid or affine maps between CT, MR and PET, found, judged, with their error.

    found = register_images(ct, mr)
    found.transform            # fixed_from_moving
    found.good                 # every check was computed, and passed
    found.error_map.error_mm(points)

Normalised mutual information on three sizes of voxels (navplan.imaging.fusion_search), from the centres of the bodies,
the images' own coordinates and a search over turns and shifts, or from a map or landmarks that are given. Nothing is
drawn at random but where a point lies in its voxel, from a fixed seed, and every sum is made in one thread: the same
images give the same bits. `navplan.imaging.register` is for a plan carried to another CT, judged at its target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import Cancelled, GeometryError, InputError
from navplan.geometry.error_map import ErrorMap
from navplan.geometry.landmarks import fit_landmarks
from navplan.geometry.transform import Transform
from navplan.imaging.fusion_checks import Agreement, Check, FusionErrorMap, agreement, checks_of, local_check
from navplan.imaging.fusion_local import local_shifts
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import Found, Matrix, globally, optimised, rigid_about
from navplan.model.structure import Structure
from navplan.model.volume import Volume

Kind = Literal["rigid", "affine"]
Progress = Callable[[str, float], None]
FOUND_HERE = "registration by normalised mutual information"
LANDMARKS = 1.0  # limit of their root mean square distance, in the largest voxel edge
LEAST_LANDMARK_MM = 5.0  # as a person sets them


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Points seen in both images: fixed_mm and moving_mm (N, 3), LPS mm, N of 3 or more, not on a line. weights: (N,),
    1 / the mean square error of each, in any unit; None: alike. names: one each, or none."""

    fixed_mm: NDArray[np.float64]
    moving_mm: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundRegistration:
    """transform: fixed_from_moving, its expected error the mean over the body of the fixed image (or of what the moving
    one shows of it); error_map: that error at any point of the fixed image; checks: see
    `navplan.imaging.fusion_checks`; start: what led to the map; kind: rigid or affine."""

    transform: Transform
    error_map: ErrorMap
    checks: tuple[Check, ...]
    start: str
    kind: Kind

    @property
    def good(self) -> bool:
        """Whether every check was computed, and passed."""
        return bool(self.checks) and all(one.verdict == "passed" for one in self.checks)

    @property
    def words(self) -> str:
        """One line for a person."""
        failed = [f"{one.name} ({one.words})" for one in self.checks if one.verdict != "passed"]
        verdict = "every check passed" if self.good else "NOT good enough: " + "; ".join(failed)
        return (
            f"{self.transform.origin}, from {self.start}: {self.transform.expected_error_mm:.1f} mm expected; {verdict}"
        )


def register_images(
    fixed: Volume,
    moving: Volume,
    *,
    kind: Kind = "rigid",
    start: Literal["auto"] | ArrayLike | Transform | LandmarkPairs = "auto",
    fixed_mask: Structure | None = None,
    moving_mask: Structure | None = None,
    own_coordinates: bool = True,
    fixed_name: str = "fixed",
    moving_name: str = "moving",
    judged: bool = True,
    pair: FusionPair | None = None,
    progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> FoundRegistration:
    """The map fixed_from_moving of LPS mm, judged.

    start: "auto", a map fixed_from_moving (4, 4), or landmarks; the result is then the best near it, and what the
    search finds elsewhere only judges it. fixed_mask, moving_mask: what of an image is to count (default: the body,
    which is found). own_coordinates: whether to start, among others, from where the images lie by their own
    coordinates. judged: False leaves out all checks; the result then tells an infinite error and is never good.
    pair: the images made ready, by who has them already.
    progress: words and the share that is done; cancelled: asked between steps.

    Raises InputError for an image in which nothing is found, GeometryError for a start that is no map or for landmarks
    that determine none, Cancelled. A result that is not good enough is no error: see `FoundRegistration.good`.
    """
    if kind not in ("rigid", "affine"):
        raise InputError(f"a registration of kind {kind!r}", "rigid or affine")

    def stop(words: str, share: float) -> None:
        if cancelled():
            raise Cancelled("the registration was stopped")
        progress(words, share)

    landmarks = start if isinstance(start, LandmarkPairs) else None
    stop("images", 0.0)
    given = _given(start)
    pair = pair or FusionPair.of(fixed, moving, fixed_mask, moving_mask)
    elsewhere = []
    if judged or given is None:
        elsewhere = _elsewhere(pair, own_coordinates, kind, lambda share: stop("starts", 0.1 + 0.6 * share))
    if given is not None:
        name, matrix = given
        found = globally(pair.levels, [(name, pair.computed(matrix))], False, kind == "affine", lambda share: None)[0]
    else:
        found = elsewhere[0]
    found = _at_last(pair, found, kind)
    stop("checks", 0.7)
    if not judged:
        return _unjudged(pair, found, kind, (fixed_name, moving_name))
    made = _judged(pair, found, elsewhere, kind, landmarks, (fixed_name, moving_name), f"{kind} {FOUND_HERE}")
    stop("done", 1.0)
    return made


def judge_registration(
    fixed: Volume,
    moving: Volume,
    matrix: ArrayLike | Transform,
    *,
    landmarks: LandmarkPairs | None = None,
    fixed_mask: Structure | None = None,
    moving_mask: Structure | None = None,
    own_coordinates: bool = True,
    fixed_name: str = "fixed",
    moving_name: str = "moving",
) -> FoundRegistration:
    """A map fixed_from_moving that somebody gives, left as it is and judged as one that is found here.

    Raises InputError and GeometryError as `register_images` does.
    """
    _checked(matrix)
    return Judge(fixed, moving, fixed_mask, moving_mask, own_coordinates)(
        matrix, landmarks=landmarks, names=(fixed_name, moving_name)
    )


class Judge:
    """Judges any number of maps between the same two images: what does not depend on the map is computed once."""

    def __init__(
        self, fixed: Volume, moving: Volume, fixed_mask: Structure | None = None, moving_mask: Structure | None = None,
        own_coordinates: bool = True,
    ) -> None:  # fmt: skip
        self._pair = FusionPair.of(fixed, moving, fixed_mask, moving_mask)
        self._elsewhere = _elsewhere(self._pair, own_coordinates, "rigid", lambda share: None)

    def best(self, names: tuple[str, str] = ("fixed", "moving")) -> FoundRegistration:
        """The rigid map that `register_images` finds without a start."""
        found = _at_last(self._pair, self._elsewhere[0], "rigid")
        return _judged(self._pair, found, self._elsewhere, "rigid", None, names, f"rigid {FOUND_HERE}")

    def __call__(
        self, matrix: ArrayLike | Transform, *, landmarks: LandmarkPairs | None = None,
        names: tuple[str, str] = ("fixed", "moving"),
    ) -> FoundRegistration:  # fmt: skip
        """The map fixed_from_moving, judged."""
        _, given = _checked(matrix)
        turn = given[:3, :3]
        kind: Kind = "rigid" if np.abs(turn.T @ turn - np.eye(3)).max() < 1e-3 else "affine"
        stated = matrix.expected_error_mm if isinstance(matrix, Transform) else None
        found = Found(self._pair.computed(given), 0.0, "the given map")
        return _judged(self._pair, found, self._elsewhere, kind, landmarks, names, "a given map", stated or 0.0, given)


def _given(start: ArrayLike | Transform | LandmarkPairs) -> tuple[str, Matrix] | None:
    if isinstance(start, str):
        if start != "auto":
            raise InputError(f"a start {start!r}", "auto, a 4x4 map or landmarks")
        return None
    if isinstance(start, LandmarkPairs):
        return "landmarks", fit_landmarks(start.fixed_mm, start.moving_mm, weights=start.weights).matrix
    return _checked(start)


def _checked(matrix: ArrayLike | Transform) -> tuple[str, Matrix]:
    if isinstance(matrix, Transform):
        return "the given map", matrix.matrix
    try:
        values = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError("a map that is no array of numbers", "a 4x4 matrix") from None
    return "the given map", Transform(values, "fixed", "moving").matrix


def _elsewhere(pair: FusionPair, own_coordinates: bool, kind: Kind, stop: Callable[[float], None]) -> list[Found]:
    """What is found without being told anything, the best first."""
    search = pair.levels[0]
    centre, to = search.sampled.centre_mm, search.other.centre_mm
    starts = [("the centres of the bodies", rigid_about(np.zeros(3), centre, to))]
    if own_coordinates:
        starts.append(("the images' own coordinates", np.eye(4)))
    return globally(pair.levels, starts, True, kind == "affine", stop)


def _at_last(pair: FusionPair, found: Found, kind: Kind) -> Found:
    """The result after one more descent, with more points where the image holds them."""
    if pair.last is pair.levels[-1]:
        return found
    return replace(found, matrix=optimised(pair.last, found.matrix, kind == "affine"))


def _judged(
    pair: FusionPair, found: Found, elsewhere: Sequence[Found], kind: Kind, landmarks: LandmarkPairs | None,
    names: tuple[str, str], origin: str, stated_mm: float = 0.0, given: Matrix | None = None,
) -> FoundRegistration:  # fmt: skip
    told = pair.told(found.matrix) if given is None else given
    agree = agreement(pair, found.matrix, elsewhere, kind == "affine")
    checks = checks_of(pair, found.matrix, agree, kind == "affine")
    fine, over = pair.levels[-1], found.matrix
    local = local_shifts(fine.sampled, fine.other, lambda points: points @ over[:3, :3].T + over[:3, 3])
    checks.append(local_check(pair, local))
    if landmarks is not None:
        there = Transform(told, *names).apply(landmarks.moving_mm)
        checks.append(landmark_check(there, landmarks.fixed_mm, pair.voxel_mm))
    error_map = FusionErrorMap(found.matrix, agree, pair.diagonal_mm / 2, pair.turned, local, stated_mm)
    transform = Transform(told, *names, datetime.now(UTC).isoformat(timespec="seconds"), origin)
    body = pair.body_mm()
    at = transform.apply(body) if pair.turned else body
    expected = float(error_map.error_mm(at).mean())
    return FoundRegistration(
        replace(transform, expected_error_mm=expected), error_map, tuple(checks), found.start, kind
    )


def given_map(matrix: ArrayLike | Transform, names: tuple[str, str]) -> FoundRegistration:
    """A map fixed_from_moving as somebody gives it, without a check. Raises GeometryError for what is none."""
    start, values = _checked(matrix)
    turn = values[:3, :3]
    kind: Kind = "rigid" if np.abs(turn.T @ turn - np.eye(3)).max() < 1e-3 else "affine"
    nothing = FusionErrorMap(np.asarray(np.linalg.inv(values)), Agreement((), (), (), ()), 0.0, False, None)
    return FoundRegistration(Transform(values, *names), nothing, (), start, kind)


def _unjudged(pair: FusionPair, found: Found, kind: Kind, names: tuple[str, str]) -> FoundRegistration:
    nothing = Agreement((), (), (), ())
    error_map = FusionErrorMap(found.matrix, nothing, pair.diagonal_mm / 2, pair.turned, None)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    transform = Transform(pair.told(found.matrix), *names, date, f"{kind} {FOUND_HERE}", np.inf)
    return FoundRegistration(transform, error_map, (), found.start, kind)


def landmark_check(found_mm: ArrayLike, seen_mm: ArrayLike, voxel_mm: float) -> Check:
    """Whether landmarks lie where a map puts them: two lists (N, 3), LPS mm of one image. Raises GeometryError for
    lists that do not fit."""
    first, second = (np.asarray(one, dtype=np.float64) for one in (found_mm, seen_mm))
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 3 or not len(first):
        raise GeometryError(f"landmarks of shapes {first.shape} and {second.shape}", "two lists of as many points")
    off = np.linalg.norm(first - second, axis=1)
    value, limit = float(np.sqrt((off**2).mean())), max(LANDMARKS * voxel_mm, LEAST_LANDMARK_MM)
    return Check(
        "landmarks",
        value,
        limit,
        f"landmarks lie off by {value:.1f} mm (root mean square), at most {limit:.1f} allowed",
    )
