"""Where the tip of a tracked tool is, from poses of the tool while its tip rests in one place.

Each pose says R_i t + p_i = q: t the tip in the tool's frame, q the place in the tracker's. Both follow from one linear
system, [R_i | -I] (t, q) = -p_i (the algebraic one-step method; of the methods compared by Yaniv 2015, Proc SPIE 9415
941527, the one that holds with RANSAC against outliers). Consensus: from three poses each, the system whose median
residual is least (Rousseeuw 1984, J Am Stat Assoc 79:871), so that no threshold has to be known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.model.pose import pose_fault

FEWEST_POSES = 12  # (unsourced)
LEAST_CONE_DEG = 10.0  # by which the tool has to be tilted about each of two axes, from end to end (unsourced)
LEAST_SHARE = 0.6  # of the poses that have to agree: with 30 % outliers and some bad luck (unsourced)
TRIALS, SEED = 400, 20151  # of three poses: of 30 % outliers 1 in 3 is good, so none in 400 with 1e-72
MEDIAN_SQUARE = 2.36597  # of a chi-squared of three degrees of freedom: median |r|^2 over sigma^2
KEPT_SIGMAS = 3.3682  # 99 % of three-dimensional normal residuals lie within
LEAST_KEPT_MM = 0.05  # residuals below are never outliers
LARGEST_RMS_MM = 3.0  # of a coordinate of the residuals: more, and the tip did not rest (unsourced)


@dataclass(frozen=True, eq=False)
class Pivot:
    """tip_mm: (3,) in the tool's frame; place_mm: (3,) where the tip rested, in the tracker's. residuals_mm: (N,) of
    all poses; inliers: (N,) which were used. rms_mm: root mean square of a residual's coordinate over the inliers;
    tip_error_mm: standard error of the tip, all three coordinates together. singular: (6,) singular values of the
    system over the root of its poses; cone_deg: by how much the tool was tilted about its second axis of motion."""

    tip_mm: NDArray[np.float64]
    place_mm: NDArray[np.float64]
    residuals_mm: NDArray[np.float64]
    inliers: NDArray[np.bool_]
    rms_mm: float
    tip_error_mm: float
    singular: NDArray[np.float64]
    cone_deg: float

    @property
    def condition(self) -> float:
        """The largest singular value over the smallest."""
        return float(self.singular[0] / self.singular[-1])

    @property
    def words(self) -> str:
        """ "tip (0.0, 0.0, 150.1) mm +- 0.05 mm, 188 of 200 poses, ..." """
        x, y, z = self.tip_mm
        return (
            f"tip ({x:.2f}, {y:.2f}, {z:.2f}) mm +- {self.tip_error_mm:.2f} mm, {int(self.inliers.sum())} of "
            f"{len(self.inliers)} poses, {self.rms_mm:.2f} mm RMS a coordinate, cone {self.cone_deg:.0f} deg, "
            f"condition {self.condition:.1f}"
        )


def pivot_calibration(tracker_from_tool: ArrayLike | Sequence[ArrayLike], robust: bool = True) -> Pivot:
    """The tip from poses (N, 4, 4), rigid, mm. robust: find outliers first; otherwise all poses count.

    Raises GeometryError for fewer than FEWEST_POSES poses, one that is none (not finite, mirrored, scaled), a tool that
    was held still or turned about one axis only, poses of which too few agree on one place, or none that does.
    """
    poses = np.asarray(tracker_from_tool, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or len(poses) < FEWEST_POSES:
        raise GeometryError(f"poses of shape {poses.shape}", f"{FEWEST_POSES} or more matrices (4, 4)")
    for number, pose in enumerate(poses):
        fault = pose_fault(pose)
        if fault:
            raise GeometryError(f"pose {number}, with {fault}", "rigid poses", "Leave it out")
    turns, shifts = poses[:, :3, :3], poses[:, :3, 3]
    inliers = _consensus(turns, shifts) if robust else np.ones(len(poses), dtype=bool)
    if inliers.sum() < max(LEAST_SHARE * len(poses), FEWEST_POSES):
        raise GeometryError(
            f"{int(inliers.sum())} of {len(poses)} poses agree on one place of the tip",
            f"{LEAST_SHARE:.0%} of them and {FEWEST_POSES} at least",
            "Keep the tip in one place, and repeat",
        )
    cone_deg = _refuse_little_motion(turns[inliers])
    solution, singular = _one_step(turns[inliers], shifts[inliers])
    residuals = _residuals(turns, shifts, solution)
    found = _told(turns, residuals, inliers, solution, singular, cone_deg)
    if not found.rms_mm <= LARGEST_RMS_MM:
        raise GeometryError(
            f"a tip that did not rest: residuals of {found.rms_mm:.1f} mm RMS a coordinate",
            f"{LARGEST_RMS_MM:g} mm at most", "Keep the tip in one place, and repeat",
        )  # fmt: skip
    return found


def _told(
    turns: NDArray[np.float64], residuals: NDArray[np.float64], inliers: NDArray[np.bool_],
    solution: NDArray[np.float64], singular: NDArray[np.float64], cone_deg: float,
) -> Pivot:  # fmt: skip
    squares = float((residuals[inliers] ** 2).sum())
    count = int(inliers.sum())
    variance = squares / (3 * count - 6)
    system = _system(turns[inliers])
    covariance = variance * np.linalg.inv(system.T @ system)
    return Pivot(
        solution[:3], solution[3:], residuals, inliers, float(np.sqrt(squares / (3 * count))),
        float(np.sqrt(np.trace(covariance[:3, :3]))), singular / np.sqrt(count), cone_deg,
    )  # fmt: skip


def _system(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3N, 6)"""
    minus = np.broadcast_to(-np.eye(3), turns.shape)
    return np.concatenate([turns, minus], axis=2).reshape(-1, 6)


def _one_step(
    turns: NDArray[np.float64], shifts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tip and place (6,), and the system's singular values (6,)."""
    solution, _, _, singular = np.linalg.lstsq(_system(turns), -shifts.ravel(), rcond=None)
    return np.asarray(solution, dtype=np.float64), np.asarray(singular, dtype=np.float64)


def _residuals(
    turns: NDArray[np.float64], shifts: NDArray[np.float64], solution: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(turns @ solution[:3] + shifts - solution[3:], axis=1))


def _consensus(turns: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) which poses agree with the three whose median residual is least, refined until nothing changes."""
    rng = np.random.default_rng(SEED)
    chosen = np.stack([rng.choice(len(turns), 3, replace=False) for _ in range(TRIALS)])
    minus = np.broadcast_to(-np.eye(3), (TRIALS, 3, 3, 3))
    systems = np.concatenate([turns[chosen], minus], axis=3).reshape(TRIALS, 9, 6)
    solutions = np.einsum("nij,nj->ni", np.linalg.pinv(systems, rcond=1e-6), -shifts[chosen].reshape(TRIALS, 9))
    tips = np.einsum("nij,mj->mni", turns, solutions[:, :3]) + shifts[None] - solutions[:, None, 3:]
    medians = np.median((tips**2).sum(axis=2), axis=1)
    kept = _near(_residuals(turns, shifts, solutions[int(np.argmin(medians))]))
    for _ in range(20):
        refined = _near(_residuals(turns, shifts, _one_step(turns[kept], shifts[kept])[0]))
        if np.array_equal(refined, kept):
            break
        kept = refined
    return kept


def _near(residuals: NDArray[np.float64]) -> NDArray[np.bool_]:
    sigma = float(np.median(residuals)) / np.sqrt(MEDIAN_SQUARE)
    return np.asarray(residuals <= max(KEPT_SIGMAS * sigma, LEAST_KEPT_MM))


def _refuse_little_motion(turns: NDArray[np.float64]) -> float:
    """How far the tool was tilted about the second of its axes of motion, end to end, deg. Turns about one axis leave
    the tip free along it; and a still tool anywhere."""
    middle = Rotation.from_matrix(turns).mean()
    vectors = np.degrees((middle.inv() * Rotation.from_matrix(turns)).as_rotvec())
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    first, second = (float(np.ptp(vectors @ axis)) for axis in axes[:2])
    if first < LEAST_CONE_DEG:
        raise GeometryError(
            f"a tool that was held still: it turned by {first:.1f} deg in all", f"{LEAST_CONE_DEG:g} deg or more",
            "Swing it about its tip in all directions",
        )  # fmt: skip
    if second < LEAST_CONE_DEG:
        raise GeometryError(
            f"a tool that turned about one axis only: {first:.1f} deg about it, {second:.1f} deg across",
            f"{LEAST_CONE_DEG:g} deg or more across", "Swing it about its tip in all directions",
        )  # fmt: skip
    return second
