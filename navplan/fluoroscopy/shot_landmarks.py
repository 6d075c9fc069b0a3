"""A pose from points of a CT that were marked in shots: perspective n points, from one view or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.rigid_pose import Matrix, apply, moved

FEWEST_POINTS, FEWEST_IN_ONE_VIEW = 3, 4  # three points of one view fit up to four poses
LEAST_SPREAD_MM = 5.0  # across a line through them
LARGEST_RESIDUAL_MM = 12.0  # root mean square in the patient: a pair was mixed up


@dataclass(frozen=True)
class ShotLandmark:
    """A point of the CT, LPS mm, and where it was marked: number of the shot, column and row of its pixels."""

    ct_mm: tuple[float, float, float]
    shot: int
    column: float
    row: float
    name: str = ""


@dataclass(frozen=True, eq=False)
class LandmarkPose:
    """pose: (4, 4) carm from CT; residuals_mm: (N,) of each landmark from its ray, in the patient."""

    pose: Matrix
    residuals_mm: NDArray[np.float64]

    @property
    def rms_mm(self) -> float:
        """Root mean square; no measure of how good the pose is elsewhere."""
        return float(np.sqrt((self.residuals_mm**2).mean()))


def pose_from_landmarks(
    landmarks: Sequence[ShotLandmark], shots: Sequence[KnownShot], start: Matrix | None = None
) -> LandmarkPose:
    """The pose under which the points lie nearest to the rays on which they were marked.

    Least squares of the distances from the rays, from the start if there is one and from each of the 24 ways to lay
    axes along axes, with the shift that fits best. Raises InputError for too few landmarks, GeometryError for points on
    a line or no finite numbers, InputError for landmarks that fit no pose.
    """
    points = np.array([mark.ct_mm for mark in landmarks], dtype=np.float64).reshape(-1, 3)
    pixels = np.array([(mark.column, mark.row) for mark in landmarks], dtype=np.float64).reshape(-1, 2)
    if not (np.isfinite(points).all() and np.isfinite(pixels).all()):
        raise GeometryError("landmarks that are not finite", "points in mm and pixels")
    wrong = [mark.shot for mark in landmarks if not 0 <= mark.shot < len(shots)]
    if wrong:
        raise InputError(f"a landmark in shot {wrong[0]} of {len(shots)}", f"0 to {len(shots) - 1}")
    different, views = np.unique(points, axis=0), {mark.shot for mark in landmarks}
    fewest = FEWEST_POINTS if len(views) > 1 else FEWEST_IN_ONE_VIEW
    if len(different) < fewest:
        raise InputError(
            f"{len(different)} landmarks in {len(views)} view{'s' * (len(views) > 1)}",
            f"{FEWEST_POINTS} different ones in two views, {FEWEST_IN_ONE_VIEW} in one",
        )
    spread = np.linalg.svd(different - different.mean(axis=0), compute_uv=False)[1] / np.sqrt(len(different))
    if spread < LEAST_SPREAD_MM:
        raise GeometryError(f"landmarks within {spread:.1f} mm of a line", f"{LEAST_SPREAD_MM:g} mm or more across it")
    sources = np.array([shots[mark.shot].beam.source_mm for mark in landmarks])
    ends = np.array([
        shots[mark.shot].beam.pixels_mm(mark.column, mark.row, shots[mark.shot].detector) for mark in landmarks
    ])  # fmt: skip
    rays = ends - sources
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]

    def off(pose: Matrix) -> NDArray[np.float64]:
        return np.einsum("nij,nj->ni", across, apply(pose, points) - sources)

    middle = points.mean(axis=0)
    starts = [] if start is None else [start]
    for turn in _axes_along_axes():
        pose = np.eye(4)
        pose[:3, :3] = turn
        wanted = np.einsum("nij,nj->i", across, sources - points @ turn.T)
        pose[:3, 3] = np.linalg.lstsq(across.sum(axis=0), wanted, rcond=None)[0]
        starts.append(pose)
    best: LandmarkPose | None = None
    for pose in starts:
        centre = apply(pose, middle)
        found = least_squares(lambda six, p=pose, c=centre: off(moved(six, c, p)).ravel(), np.zeros(6), max_nfev=60)
        fitted = moved(found.x, centre, pose)
        if (((apply(fitted, points) - sources) * rays).sum(axis=1) <= 0.0).any():
            continue  # behind the source
        one = LandmarkPose(fitted, np.linalg.norm(off(fitted), axis=1))
        if best is None or one.rms_mm < best.rms_mm:
            best = one
    if best is None or best.rms_mm > LARGEST_RESIDUAL_MM:
        told = "no pose" if best is None else f"no pose better than {best.rms_mm:.0f} mm"
        raise InputError(
            f"landmarks that fit {told}",
            f"pairs that fit within {LARGEST_RESIDUAL_MM:g} mm",
            "Check the pairs: one may be mixed up, or marked in another picture",
        )
    return best


def _axes_along_axes() -> list[NDArray[np.float64]]:
    """The 24 turns that take axes to axes."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), order] = signs
            if np.linalg.det(turn) > 0.0:
                found.append(turn)
    return found
