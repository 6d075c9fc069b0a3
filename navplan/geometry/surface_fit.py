"""Points on a surface: trimmed point-to-plane ICP from one start, and what of the motion the surface leaves open.

Point to plane: Chen and Medioni 1992, Image Vis Comput 10:145; trimmed: Chetverikov et al. 2005, Image Vis Comput
23:299. What slides is told by the least singular value of the system (Gelfand et al. 2003, 3DIM).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from navplan.geometry.rigid_error import carried_covariance

KEPT = 0.8  # of the points; the rest may lie on what the other surface does not show (unsourced)
ROUNDS, STILL_MM = 60, 1e-4


@dataclass(frozen=True, eq=False)
class SurfaceFit:
    """matrix: (4, 4) surface_from_points; rms_mm: root mean square distance of the kept points to the surface; kept:
    (N,); least: least singular value of the system, of arms scaled to 1; open: (6,) the motion that it belongs to, a
    turn about middle_mm and a shift. error_mm: a map of the error, to first order, of points with independent normal
    errors that leave such residuals: what the surface itself is off is not in it."""

    matrix: NDArray[np.float64]
    rms_mm: float
    kept: NDArray[np.bool_]
    least: float
    open: NDArray[np.float64]
    middle_mm: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error, mm, at points (K, 3) on the side of the surface."""
        return np.sqrt(np.trace(self.covariance_mm2(points_mm), axis1=1, axis2=2))

    def covariance_mm2(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K, 3, 3) of the error at points (K, 3) on the side of the surface."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        return carried_covariance(points - self.middle_mm, self.covariance)


def fit_surface(
    start: NDArray[np.float64], points_mm: NDArray[np.float64], tree: cKDTree, normals: NDArray[np.float64],
    kept: float = KEPT, least_mm2: float = 0.0, rounds: int = ROUNDS,
) -> SurfaceFit:  # fmt: skip
    """The rigid map of points (N, 3), near a start (4, 4), to a surface: its points in a tree, unit normals (M, 3).

    kept: the share of points, the nearest, that count; least_mm2: of a point's error along the normal, which is taken
    to be no less.
    """
    matrix, count = start, max(int(np.ceil(kept * len(points_mm))), 7)
    for _ in range(rounds):
        _, rows, off, middle, scale = _system(matrix, points_mm, tree, normals, count)
        step = -np.linalg.lstsq(rows, off, rcond=1e-8)[0]
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(step[:3] / scale).as_matrix()
        turn[:3, 3] = middle - turn[:3, :3] @ middle + step[3:]
        matrix = turn @ matrix
        if np.linalg.norm(step) < STILL_MM:
            break
    used, rows, off, middle, scale = _system(matrix, points_mm, tree, normals, count)
    _, values, ways = np.linalg.svd(rows, full_matrices=False)
    scaling = np.diag([1 / scale] * 3 + [1.0] * 3)
    variance = max(float((off**2).sum()) / (count - 6) / _variance_kept(kept), least_mm2)
    covariance = scaling @ np.linalg.pinv(rows.T @ rows) @ scaling * variance
    rms = float(np.sqrt((off**2).mean()))
    return SurfaceFit(matrix, rms, used, float(values[-1] / np.sqrt(count)), scaling @ ways[-1], middle, covariance)


def _variance_kept(share: float) -> float:
    """Of normal residuals, what is left in the nearest share: 1 - 2 x phi(x) / share, Phi(x) = (1 + share) / 2."""
    if share >= 1.0:
        return 1.0
    edge = float(norm.ppf((1.0 + share) / 2.0))
    return float(1.0 - 2.0 * edge * norm.pdf(edge) / share)


def _system(
    matrix: NDArray[np.float64], points: NDArray[np.float64], tree: cKDTree, normals: NDArray[np.float64], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Which points are kept (N,), rows (K, 6) of how each distance to its plane changes with a turn (times the arms'
    length) and a shift, the distances (K,), the points' middle, and their arms' length."""
    at = points @ matrix[:3, :3].T + matrix[:3, 3]
    away, nearest = tree.query(at)
    kept = np.zeros(len(at), dtype=bool)
    kept[np.argsort(away, kind="stable")[:count]] = True
    near, facing = at[kept], normals[nearest[kept]]
    middle = near.mean(axis=0)
    scale = float(np.sqrt(((near - middle) ** 2).sum(axis=1).mean()))
    off = ((near - np.asarray(tree.data)[nearest[kept]]) * facing).sum(axis=1)
    rows = np.concatenate([np.cross(near - middle, facing) / scale, facing], axis=1)
    return kept, rows, off, middle, scale
