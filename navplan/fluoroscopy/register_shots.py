"""The pose of a CT from one shot or several with known geometry: 2-D/3-D registration.

From coarse to fine: two searches by evolution (CMA-ES) on small pictures, each brought on by least squares; two of all
searches must end in the same place; then least squares on finer pictures. Similarity: see `patches`; covariance: see
`refine_pose`; what is good enough: see `shot_registration`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import Cancelled, GeometryError, InputError
from navplan.fluoroscopy.compared import ComparedView, Size, compared, mean_score
from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.evolution import evolve
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.refine_pose import Refined, refine
from navplan.fluoroscopy.rigid_pose import (
    Matrix,
    apart_mm,
    apply,
    difference,
    inverse,
    moved,
    point_motion,
    refuse_not_rigid,
)
from navplan.fluoroscopy.shot_landmarks import ShotLandmark, pose_from_landmarks
from navplan.fluoroscopy.shot_registration import (
    SAME_MM,
    ShotRegistration,
    ViewFit,
    across_and_along_mm,
    angle_between_deg,
    moved_across_mm,
    poor_in_depth,
    poor_in_plane,
)
from navplan.geometry.transform import Transform
from navplan.model.volume import Volume

SEARCH, MIDDLE, FINE = Size(5.0, 60.0, 6.0), Size(2.0, 30.0, 2.5), Size(1.0, 20.0, 1.4)
SPREAD = 7.0  # mm and degrees: three of them are the 20 that a start may be off
POPULATION, GENERATIONS, STOP = 32, 30, 0.15  # STOP: of SPREAD
FENCE, FENCE_COST = 35.0, 0.02  # mm and degrees that the search is kept within, and what beyond costs
SEARCHES, MOST_SEARCHES = 2, 4
COARSE_STEPS, MIDDLE_STEPS, FINE_STEPS = 10, 15, 4
ABOUT_MM = 50.0  # half the cube that places are taken from where none is given
# Patches are not quite independent, and voxels are smooth: set on shots of other seeds than the report's.
WIDER, FLOOR = 2.0, 0.1  # times the covariance; share of the CT's voxel diagonal that no pose is better known than
# Two views share half of what they disagree about, and where only one of them tells they cannot disagree; so do parts
# of a picture, and their own shifts are told to first order.
HIDDEN = 2.0  # times what a view or a part would go by itself: the error that this is a sign of
NO_DEVICE = 0.2  # correlation of a patch below which it shows something else

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class _Found:
    pose: Matrix
    score: float


def register_shots(
    volume: Volume | ProjectedCt,
    shots: Sequence[KnownShot],
    start: ArrayLike | None,
    *,
    landmarks: Sequence[ShotLandmark] | None = None,
    places_mm: ArrayLike | None = None,
    progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False,
    seed: int = 0,
) -> ShotRegistration:
    """The rigid map carm_from_ct of LPS mm, judged at places (K, 3) of the CT.

    volume: a CT, or one made ready (`ProjectedCt`) for several registrations. shots: one or more, of a patient that did
    not move between them, all in one frame. start: (4, 4) a rough carm_from_ct, within about 20 mm and 20 degrees; or
    None, with landmarks, whose pose is the start. places_mm: default a cube of 100 mm about the middle of what the
    views show. seed: of the search; the same seed gives the same pose.

    Raises InputError without shots or start, for landmarks that fit no pose, GeometryError for a start that is not
    rigid or shows no view the CT, Cancelled when `cancelled` says so. A pose that is not good enough is not an error:
    see `good` and `reasons`.
    """
    clock, cpu = time.perf_counter(), time.process_time()
    if not shots:
        raise InputError("no picture", "one or two with known geometry")
    progress("getting the CT ready", 0.0)
    ct = volume if isinstance(volume, ProjectedCt) else ProjectedCt(volume)
    first = None if start is None else refuse_not_rigid(start, "a start")
    if landmarks:
        first = pose_from_landmarks(landmarks, shots, first).pose
    if first is None:
        raise InputError("neither a start nor landmarks", "a rough pose within 20 mm and 20 degrees, or landmarks")
    centre = _middle(ct, shots, first)
    places = _places(places_mm, first, centre)
    search, middle = compared(ct, shots, SEARCH, centre), compared(ct, shots, MIDDLE, centre)
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "poses") as pool:
        each = _Looks(pool, cancelled)
        found: list[_Found] = []
        for number in range(MOST_SEARCHES):
            progress("searching", 0.1 + 0.1 * number)
            found.append(_search(search, middle, first, centre, (seed, number), each))
            if number + 1 >= SEARCHES and _twice(found, places):
                break
        best = max(found, key=lambda one: one.score)
        progress("refining", 0.7)
        at_middle = refine(middle, best.pose, centre, MIDDLE_STEPS, each)
        fine = refine(compared(ct, shots, FINE, centre), at_middle.pose, centre, FINE_STEPS, each)
    last = fine if apart_mm(fine.pose, at_middle.pose, places) < SAME_MM else at_middle
    progress("done", 1.0)
    times = (time.perf_counter() - clock, time.process_time() - cpu)
    return _judged(ct, shots, middle, first, centre, places, found, at_middle, last, times, len(shots) * each.count)


def _judged(
    ct: ProjectedCt, shots: Sequence[KnownShot], views_at_middle: list[ComparedView], start: Matrix,
    centre: NDArray[np.float64],
    places: NDArray[np.float64], found: list[_Found], middle: Refined, last: Refined, times: tuple[float, float],
    pictures: int,
) -> ShotRegistration:  # fmt: skip
    covariance = WIDER * last.covariance
    here = apply(last.pose, places)
    alones = [moved_across_mm(six, centre, here, shot) for six, shot in zip(middle.shifts_mm, shots, strict=True)]
    strife = HIDDEN * max(alones) if len(shots) > 1 else 0.0
    local = [
        view.local_shift_mm(here, shifts, weights)
        for view, shifts, weights in zip(views_at_middle, middle.patch_shifts_mm, middle.weights, strict=True)
    ]
    floor = FLOOR * ct.volume.grid.diagonal_mm
    covariance[:3, :3] += np.eye(3) * (floor**2 + strife**2 + (HIDDEN * max(local)) ** 2) / 3.0
    views = []
    for number, shot in enumerate(shots):
        across, _ = across_and_along_mm(covariance, centre, here, shot)
        alone = alones[number] if len(shots) > 1 else 0.0
        told = middle.correlations[number]
        strange = float(np.mean(told[np.isfinite(told)] < NO_DEVICE)) if np.isfinite(told).any() else 1.0
        fit = (middle.scores[number], middle.shares_seen[number], across, alone, local[number], strange)
        views.append(ViewFit(shot.name, *fit))
    best = max(found, key=lambda one: one.score)
    others = sorted(apart_mm(best.pose, one.pose, places) for one in found if one is not best)
    change = difference(last.pose, start, centre)
    shift, turn = float(np.linalg.norm(change[:3])), float(np.linalg.norm(change[3:]))
    motion = point_motion(here, centre)
    mtre = float(np.sqrt(np.trace(motion @ covariance @ motion.transpose(0, 2, 1), axis1=1, axis2=2).mean()))
    depth = max(across_and_along_mm(covariance, centre, here, shot)[1] for shot in shots)
    in_plane = poor_in_plane(views, _twice(found, places), others[0] if others else 0.0, shift, turn, middle.converged)
    in_depth = poor_in_depth(angle_between_deg(shots, centre), mtre, depth)
    transform = Transform(
        last.pose, "carm", "ct", datetime.now(UTC).isoformat(timespec="seconds"), "2-D/3-D registration", mtre
    )
    return ShotRegistration(
        transform, covariance, centre, tuple(views), mtre, depth, len(found), others[-1] if others else 0.0, shift,
        turn, not in_plane and not in_depth, not in_plane, (*in_plane, *in_depth), *times, pictures,
    )  # fmt: skip


def _twice(found: Sequence[_Found], places: NDArray[np.float64]) -> bool:
    """Whether the best result was found by another search too."""
    best = max(found, key=lambda one: one.score)
    return any(one is not best and apart_mm(one.pose, best.pose, places) < SAME_MM for one in found)


class _Looks:
    """As `map`, in a pool's threads, in order; counts the poses looked at, and stops when asked to."""

    def __init__(self, pool: ThreadPoolExecutor, cancelled: Callable[[], bool]) -> None:
        self._pool, self._cancelled, self.count = pool, cancelled, 0

    def __call__(self, call: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        if self._cancelled():
            raise Cancelled("2-D/3-D registration was stopped")
        many = list(items)
        self.count += len(many)
        return list(self._pool.map(call, many))


def _search(
    search: list[ComparedView], middle: list[ComparedView], start: Matrix, centre: NDArray[np.float64],
    seed: tuple[int, int], each: _Looks,
) -> _Found:  # fmt: skip
    def values(places: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = each(lambda six: mean_score(search, moved(six, centre, start)), places)
        beyond = np.maximum(np.abs(places) - FENCE, 0.0).sum(axis=1)
        return np.asarray(FENCE_COST * beyond - np.array(scores))

    number = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
    evolved = evolve(values, np.zeros(6), np.full(6, SPREAD), POPULATION, GENERATIONS, number, STOP)
    near = refine(search, moved(evolved.mean, centre, start), centre, COARSE_STEPS, each)
    there = refine(middle, near.pose, centre, MIDDLE_STEPS, each)
    return _Found(there.pose, there.score)


def _middle(ct: ProjectedCt, shots: Sequence[KnownShot], pose: Matrix) -> NDArray[np.float64]:
    """(3,) in the frame of the C-arm: the point of the CT's box nearest to all middle rays."""
    box = apply(pose, ct.volume.grid.corners_mm())
    centre = box.mean(axis=0)
    normal, right = 1e-3 * np.eye(3), 1e-3 * centre  # of one ray alone: next to the middle of the CT
    for shot in shots:
        ray = shot.beam.detector_centre_mm - shot.beam.source_mm
        ray = ray / np.linalg.norm(ray)
        across = np.eye(3) - np.outer(ray, ray)
        normal, right = normal + across, right + across @ shot.beam.source_mm
    middle = np.linalg.solve(normal, right)
    index = ct.volume.grid.indices(apply(inverse(pose), middle))
    if not ((index > -0.5) & (index < np.asarray(ct.volume.grid.shape) - 0.5)).all():
        raise GeometryError(
            f"a start that puts the CT's middle at {np.round(centre).tolist()} mm, beside the middle of the pictures",
            "a start under which the pictures show the CT",
            "Start nearer by hand, or by landmarks",
        )
    for shot in shots:
        depth = (middle - shot.beam.source_mm) @ np.cross(shot.beam.columns, shot.beam.up) / shot.beam.distance_mm
        if not 0.05 < depth < 1.0:
            raise GeometryError(
                f"a start that puts the CT beyond the panel or behind the source of {shot.name or 'a picture'}",
                "a patient between source and panel",
            )
    return np.asarray(middle)


def _places(places_mm: ArrayLike | None, pose: Matrix, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3) of the CT."""
    if places_mm is None:
        cube = np.stack(np.meshgrid(*[[-ABOUT_MM, 0.0, ABOUT_MM]] * 3), axis=-1).reshape(-1, 3)
        return apply(inverse(pose), centre + cube)
    places = np.atleast_2d(np.asarray(places_mm, dtype=np.float64))
    if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
        raise GeometryError(f"places of shape {places.shape}", "finite points (K, 3) of the CT")
    return places
