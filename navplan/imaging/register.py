"""Rigid registration of two images of one patient, with an error that is estimated and not hoped for.

Mattes mutual information (Mattes et al., IEEE TMI 22:120, 2003) as in SimpleITK, at two resolutions, from several
starts: where the images lie by their own coordinates, the centres of the two bodies one over the other, that shifted
along the patient and turned. Everything is sampled regularly and runs in one thread: the same images give the same map.

What is told of the result (navplan.imaging.registration_error): how far the starts, perturbed restarts and the
registration the other way round agree at the place of interest, and whether the surroundings of that place alone would
lie elsewhere. Organs that moved against the rest of the body are no rigid motion; the last of these sees large ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.error_map import ErrorMap
from navplan.geometry.transform import Transform
from navplan.imaging.registration_error import (
    LEAST_OVERLAP,
    ErrorParts,
    agreement_mm,
    apart_mm,
    refuse_poor,
)
from navplan.imaging.registration_images import BINS, ReducedImage, Similarity, reduced, similarity
from navplan.imaging.registration_map import ImageErrorMap
from navplan.model.structure import Structure
from navplan.model.volume import Volume

SEARCH_MM, COARSE_MM, FINE_MM = 8.0, 5.0, 3.0  # voxels of the search of starts and of the two levels
SAMPLES = 20_000  # of the fixed image, a level
TURNS_DEG = ((0.0, 0.0), (0.0, 20.0), (0.0, -20.0), (15.0, 0.0), (-15.0, 0.0), (0.0, 180.0))  # about x (L), z (S)
SHIFTS_MM = tuple(float(mm) for mm in range(-192, 193, 32))  # along the patient: images seldom show the same part
STARTS = 3  # optimised, of those that the search finds best, beside the moments' and the images' own coordinates
NEAR_MM, NEAR_DEG = 24.0, 12.0  # starts nearer than that are one
PERTURBED = ((3.0, (4.0, -3.0, 5.0)), (-3.0, (-3.0, 4.0, -5.0)))  # degrees about each axis, mm: restarts of the result
FOUND_HERE = "rigid registration by Mattes mutual information"
Pair = tuple[ReducedImage, ReducedImage]
Matrix = NDArray[np.float64]
SAME_SCORE = 0.97  # of the best one's mutual information: from there on a result counts as a rival


@dataclass(frozen=True, eq=False)
class Registration:
    """What was found. transform: fixed_from_moving, rigid, with the expected error at the place of interest.

    parts: what the error is made of; alike: how alike the two images are under it; start: which start led to it;
    error_map: the error at any place of the fixed image.
    """

    transform: Transform
    parts: ErrorParts
    alike: Similarity
    start: str
    error_map: ImageErrorMap

    @property
    def words(self) -> str:
        """One line for a person: method, start, error with its parts, likeness."""
        alike = "" if self.alike.correlation is None else f"; correlation {self.alike.correlation:.2f}"
        return (
            f"{self.transform.origin}, from {self.start}: expected error {self.transform.expected_error_mm:.1f} mm at"
            f" the target ({self.parts.words}){alike}"
        )


def register_rigid(
    fixed: Volume,
    moving: Volume,
    place_mm: ArrayLike,
    *,
    fixed_name: str = "fixed",
    moving_name: str = "moving",
    fixed_body: Structure | None = None,
    moving_body: Structure | None = None,
    own_coordinates: bool = True,
) -> Registration:
    """The rigid map fixed_from_moving of LPS mm, judged at a place (3,) in LPS mm of the moving image.

    fixed_body, moving_body: the patient's outline, where it is known; on CT it is found where it is not. What lies
    outside (the couch) takes no part. own_coordinates: whether to start from the images' own coordinates as well (one
    frame of reference, one visit); they are a start like any other.

    Raises InputError for a place outside the moving image, and for a result that is not good enough: too large an
    error, images that are not alike, a turn that no patient makes between two scans, starts that disagree.
    """
    place = _place(place_mm, moving)
    fine = (reduced(fixed, fixed_body, FINE_MM), reduced(moving, moving_body, FINE_MM))
    found, maps = _registered(fine, _starts(fine, own_coordinates))
    best = found[0]
    from_moving = _inverse(best.matrix)
    again = [_optimised(fine, _perturbed(best.matrix, fine[0].centre_mm, *how), 1.0) for how in PERTURBED]
    agree = [one.matrix for one in found[1:]] + again
    turned = (fine[1], fine[0])
    back = _optimised(turned, _perturbed(from_moving, fine[1].centre_mm, *PERTURBED[0]), 1.0)
    here = np.asarray(from_moving @ np.append(place, 1.0))[:3]
    found_map = ImageErrorMap(*fine, best.matrix, tuple(agree), back, _floor_mm(fixed, moving))
    found_map.look_at(here[None])
    parts = found_map.parts_at(here)
    rivals = [one.matrix for one in maps if one.alike.score >= SAME_SCORE * max(two.alike.score for two in maps)]
    found_here = similarity(*fine, best.matrix)
    refuse_poor(found_here, best.matrix, parts.expected_mm, agreement_mm(best.matrix, rivals, here))
    return _registration(best.matrix, parts, found_here, best.start, FOUND_HERE, (fixed_name, moving_name), found_map)


def registration_given(
    fixed: Volume,
    moving: Volume,
    place_mm: ArrayLike,
    given: Transform,
    *,
    fixed_body: Structure | None = None,
    moving_body: Structure | None = None,
    stated_map: ErrorMap | None = None,
) -> Registration:
    """A map fixed_from_moving that somebody gives, with its expected_error_mm as stated, looked at on the images.

    The images have to be alike under it, and this registration, started from it, has to stay near it: within three
    times the stated error, at the place (3,) in LPS mm of the moving image. stated_map: what the giver says of other
    places (default: the same).

    Raises InputError for a map that is not rigid or states no error, and as `register_rigid` does; it says so where the
    inverse of the map would fit.
    """
    place = _place(place_mm, moving)
    refuse_not_rigid(given)
    stated = given.expected_error_mm
    if stated is None or not 0 < stated < np.inf:
        raise InputError("a transform without an expected error", "its error at the target in mm", "Add --error-mm E")
    fine = (reduced(fixed, fixed_body, FINE_MM), reduced(moving, moving_body, FINE_MM))
    matrix = _inverse(given.matrix)
    alike, other_way = similarity(*fine, matrix), similarity(*fine, given.matrix)
    if other_way.score > 1.1 * alike.score and apart_mm(matrix, given.matrix, fine[0].centre_mm) > 2 * stated:
        raise InputError(
            "a transform under which the images do not fit, while they fit under its inverse",
            f"one that takes points of {given.source} to {given.target}",
            "Give the transform the other way round",
        )
    own = _optimised(fine, matrix, 1.0)
    here = np.asarray(given.matrix @ np.append(place, 1.0))[:3]
    found_map = ImageErrorMap(
        *fine, matrix, (own,), None, _floor_mm(fixed, moving), float(stated) if stated_map is None else stated_map
    )
    found_map.look_at(here[None])
    parts = replace(found_map.parts_at(here), stated_mm=stated)
    refuse_poor(alike, matrix, parts.expected_mm)
    if parts.starts_mm > max(3 * stated, parts.floor_mm):
        raise InputError(
            f"a transform stated to be right to {stated:g} mm, and {parts.starts_mm:.1f} mm from where the images fit",
            "one that the images bear out",
            "Check it, or state its error with --error-mm",
        )
    return _registration(
        matrix, parts, alike, "the file", given.origin or "a given transform", (given.target, given.source), found_map
    )


def refuse_not_rigid(given: Transform) -> None:
    """Raises InputError unless a map is a rotation and a shift."""
    turn = given.matrix[:3, :3]
    if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
        raise InputError(
            f"a transform {given.target}_from_{given.source} that scales, shears or mirrors", "a rotation and a shift"
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """One result: the map moving_from_fixed, how alike the images are under it, the start that led there."""

    matrix: Matrix
    alike: Similarity
    start: str


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _place(place_mm: ArrayLike, moving: Volume) -> NDArray[np.float64]:
    place = np.asarray(place_mm, dtype=np.float64)
    if place.shape != (3,) or not moving.grid.contains(place):
        raise InputError(f"the place {place.tolist()} mm", f"a point inside {moving.grid!r}")
    return place


def _registration(
    moving_from_fixed: Matrix, parts: ErrorParts, alike: Similarity, start: str, origin: str, names: tuple[str, str],
    error_map: ImageErrorMap,
) -> Registration:  # fmt: skip
    transform = Transform(
        _inverse(moving_from_fixed),
        names[0],
        names[1],
        datetime.now(UTC).isoformat(timespec="seconds"),
        origin,
        parts.expected_mm,
    )
    return Registration(transform, parts, alike, start, error_map)


def _floor_mm(fixed: Volume, moving: Volume) -> float:
    return float(max(fixed.grid.diagonal_mm, moving.grid.diagonal_mm)) / 2


def _starts(fine: Pair, own_coordinates: bool) -> list[tuple[str, Matrix]]:
    """The moments' start and the images' own coordinates, and the best of all shifted and turned ones."""
    pair = (fine[0].coarser(SEARCH_MM), fine[1].coarser(SEARCH_MM))
    centre = pair[0].centre_mm
    moments = _rigid(np.zeros(3), centre, pair[1].centre_mm - centre)
    starts = [("the centres of the bodies", moments)]
    if own_coordinates:
        starts.append(("the images' own coordinates", np.eye(4)))
    tried = []
    for turn in TURNS_DEG:
        for shift in SHIFTS_MM:
            offset = pair[1].centre_mm - centre + (0.0, 0.0, shift)
            matrix = _rigid(np.array([turn[0], 0.0, turn[1]]), centre, offset)
            alike = similarity(*pair, matrix)
            if alike.overlap >= LEAST_OVERLAP / 2:
                tried.append(
                    (alike.score, f"centres shifted by {shift:g} mm, turned by {max(turn, key=abs):g} deg", matrix)
                )
    tried.sort(key=lambda one: -one[0])
    for _, name, matrix in tried:
        if len(starts) >= STARTS + 1 + own_coordinates:
            break
        if all(apart_mm(matrix, other, centre) > NEAR_MM or _turn_deg(matrix, other) > NEAR_DEG for _, other in starts):
            starts.append((name, matrix))
    return starts


def _registered(fine: Pair, starts: list[tuple[str, Matrix]]) -> tuple[list[_Found], list[_Found]]:
    """The results of the fine level, best first, and those of the coarse level, of every start."""
    coarse = (fine[0].coarser(COARSE_MM), fine[1].coarser(COARSE_MM))
    maps = [
        _Found(matrix, similarity(*coarse, matrix), name)
        for name, matrix in ((name, _optimised(coarse, start, 4.0)) for name, start in starts)
    ]
    maps.sort(key=lambda one: -one.alike.score)
    near = [one for one in maps if one.alike.score >= SAME_SCORE * maps[0].alike.score][:2]
    found = [
        _Found(matrix, similarity(*fine, matrix), one.start)
        for one, matrix in ((one, _optimised(fine, one.matrix, 1.0)) for one in near)
    ]
    found.sort(key=lambda one: -one.alike.score)
    return found, maps


def _rigid(turn_deg: NDArray[np.float64], centre_mm: NDArray[np.float64], offset_mm: NDArray[np.float64]) -> Matrix:
    """Turns about x, then y, then z through a centre, then a shift."""
    turn = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre_mm - turn @ centre_mm + offset_mm
    return matrix


def _perturbed(matrix: Matrix, centre_mm: NDArray[np.float64], turn_deg: float, shift_mm: ArrayLike) -> Matrix:
    return np.asarray(matrix @ _rigid(np.full(3, turn_deg), centre_mm, np.asarray(shift_mm, dtype=np.float64)))


def _turn_deg(first: Matrix, second: Matrix) -> float:
    turn = first[:3, :3].T @ second[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1.0, 1.0))))


def _optimised(pair: Pair, start: Matrix, first_step: float) -> Matrix:
    """The map moving_from_fixed where the mutual information is largest, from a start; the start where none is found.

    first_step: of the regular step gradient descent, in units of physical shift (mm).
    """
    fixed, moving = pair
    transform = sitk.Euler3DTransform()
    transform.SetCenter(fixed.centre_mm.tolist())
    transform.SetMatrix(start[:3, :3].ravel().tolist(), 1e-6)
    centre = fixed.centre_mm
    transform.SetTranslation((start[:3, :3] @ centre + start[:3, 3] - centre).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    count = int(np.prod(fixed.grid.shape))
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / count), 1)
    method.SetMetricFixedMask(fixed.mask_as_sitk())
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(first_step, 0.005, 120, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums of several threads differ from run to run
    try:
        method.Execute(fixed.as_sitk(), moving.as_sitk())
    except RuntimeError:  # too few points in both images: no way on from here
        return start
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - turn @ centre
    return matrix
