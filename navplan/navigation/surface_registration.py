"""The patient registered by points that a tip traced over the skin: trimmed point-to-plane ICP from several starts.

It refines a registration that landmarks brought near, and never stands alone: a body is nearly a cylinder, along which
a surface slides. Point to plane: Chen and Medioni 1992, Image Vis Comput 10:145; trimmed: Chetverikov et al. 2005,
Image Vis Comput 23:299. What slides is told by the least singular value of the system (Gelfand et al. 2003, 3DIM).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.transform import Transform
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import PATIENT, PatientRegistration

FEWEST_POINTS = 30  # (unsourced)
KEPT = 0.8  # of the points; the rest may lie on what the image does not show (unsourced)
KEPT_VARIANCE = 0.438  # of normal residuals is left in the nearest 80 %: 1 - 2 x phi(x) / 0.8, Phi(x) = 0.9
ROUNDS, STILL_MM = 60, 1e-4
STARTS_DEG = 8.0  # each start is turned by it about one axis, either way (unsourced)
SLIDES = 0.05  # least singular value of the system, of arms scaled to 1: less, and it slides (unsourced)
OTHER_MM, AS_GOOD = 3.0, 1.15  # a fit so far away whose residual is within this factor is as likely (unsourced)


@dataclass(frozen=True, eq=False)
class SurfaceFit:
    """matrix: (4, 4) patient_from_reference; rms_mm: root mean square distance of the kept points to the surface;
    kept: (N,); least: least singular value of the system. error_mm: a map of the error, to first order, of points with
    independent normal errors that leave such residuals: what the surface itself is off is not in it."""

    matrix: NDArray[np.float64]
    rms_mm: float
    kept: NDArray[np.bool_]
    least: float
    middle_mm: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error, mm, at points (K, 3) of the patient."""
        arms = np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - self.middle_mm
        motion = np.concatenate([-_cross(arms), np.broadcast_to(np.eye(3), (len(arms), 3, 3))], axis=2)
        return np.sqrt(np.einsum("kij,jl,kil->k", motion, self.covariance, motion))


def _cross(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3, 3) of v x."""
    found = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    found[:, 0, 1], found[:, 0, 2], found[:, 1, 2] = -z, y, -x
    found[:, 1, 0], found[:, 2, 0], found[:, 2, 1] = z, -y, x
    return found


def register_surface(
    near: PatientRegistration, touched_mm: ArrayLike, skin_mm: ArrayLike, outward: ArrayLike, made_s: float,
    limits: GuidanceLimits | None = None,
) -> PatientRegistration:  # fmt: skip
    """Refine a registration by points (N, 3) traced over the skin (reference's frame) against the image's skin: points
    (M, 3) with unit normals (M, 3), patient frame, mm.

    What speaks against it is a doubt: a residual above the landmarks' limit, another fit nearly as good. Raises
    GeometryError for too few points, shapes that do not fit, NaN, and points that slide along the surface.
    """
    limits = limits or GuidanceLimits()
    touched, skin, normals = (np.asarray(values, dtype=np.float64) for values in (touched_mm, skin_mm, outward))
    finite = all(np.isfinite(values).all() for values in (touched, skin, normals))
    if touched.ndim != 2 or touched.shape[1:] != (3,) or len(touched) < FEWEST_POINTS or not finite:
        raise GeometryError(f"{len(touched)} points traced over the skin", f"{FEWEST_POINTS} finite ones, (N, 3)")
    if skin.shape != normals.shape or skin.ndim != 2 or skin.shape[1:] != (3,) or len(skin) < FEWEST_POINTS:
        raise GeometryError(f"skin of shapes {skin.shape} and {normals.shape}", "as many points as normals, (M, 3)")
    tree, about = cKDTree(skin), near.transform.apply(touched).mean(axis=0)
    least = limits.landmark_error_mm**2 / 3.0  # mm2, along one axis
    found = [_fitted(start, touched, tree, normals, least) for start in _starts(near.transform.matrix, about)]
    best = min(found, key=lambda fit: fit.rms_mm)
    if best.least < SLIDES:
        raise GeometryError(
            f"points that slide along the skin (least singular value {best.least:.3f})", f"{SLIDES:g} or more",
            "Trace over parts that bend differently",
        )  # fmt: skip
    doubts = list(near.doubts)
    if not best.rms_mm <= limits.landmark_residual_mm:
        doubts.append(f"the skin lies {best.rms_mm:.1f} mm off, at most {limits.landmark_residual_mm:g} mm allowed")
    at = touched @ best.matrix[:3, :3].T + best.matrix[:3, 3]
    for fit in found:
        apart = float(np.linalg.norm(touched @ fit.matrix[:3, :3].T + fit.matrix[:3, 3] - at, axis=1).max())
        if apart > OTHER_MM and fit.rms_mm <= AS_GOOD * best.rms_mm:
            doubts.append(f"the skin fits nearly as well {apart:.0f} mm elsewhere")
            break
    carried = Transform(best.matrix, PATIENT, near.transform.source, origin="skin")
    return PatientRegistration(
        carried, best, made_s, near.names, doubts=tuple(doubts), landmarks_mm=near.landmarks_mm, image=near.image
    )


def _starts(matrix: NDArray[np.float64], about_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """As it is, and turned about the traced points' middle, about each axis either way."""
    found = [matrix]
    for axis in np.eye(3):
        for sign in (1.0, -1.0):
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_rotvec(sign * np.radians(STARTS_DEG) * axis).as_matrix()
            turn[:3, 3] = about_mm - turn[:3, :3] @ about_mm
            found.append(turn @ matrix)
    return found


def _fitted(
    matrix: NDArray[np.float64], touched: NDArray[np.float64], tree: cKDTree, normals: NDArray[np.float64],
    least_mm2: float,
) -> SurfaceFit:  # fmt: skip
    count = int(np.ceil(KEPT * len(touched)))
    for _ in range(ROUNDS):
        kept, rows, off, middle, scale = _system(matrix, touched, tree, normals, count)
        step = -np.linalg.lstsq(rows, off, rcond=1e-8)[0]
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(step[:3] / scale).as_matrix()
        turn[:3, 3] = middle - turn[:3, :3] @ middle + step[3:]
        matrix = turn @ matrix
        if np.linalg.norm(step) < STILL_MM:
            break
    kept, rows, off, middle, scale = _system(matrix, touched, tree, normals, count)
    rms = float(np.sqrt((off**2).mean()))
    least = float(np.linalg.svd(rows, compute_uv=False)[-1] / np.sqrt(count))
    scaling = np.diag([1 / scale] * 3 + [1.0] * 3)
    variance = max(float((off**2).sum()) / (count - 6) / KEPT_VARIANCE, least_mm2)
    covariance = scaling @ np.linalg.pinv(rows.T @ rows) @ scaling * variance
    return SurfaceFit(matrix, rms, kept, least, middle, covariance)


def _system(
    matrix: NDArray[np.float64], touched: NDArray[np.float64], tree: cKDTree, normals: NDArray[np.float64], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Which points are kept (N,), rows (K, 6) of how each distance to its plane changes with a turn (times the arms'
    length) and a shift, the distances (K,), the points' middle, and their arms' length."""
    at = touched @ matrix[:3, :3].T + matrix[:3, 3]
    away, nearest = tree.query(at)
    kept = np.zeros(len(at), dtype=bool)
    kept[np.argsort(away, kind="stable")[:count]] = True
    points, facing = at[kept], normals[nearest[kept]]
    middle = points.mean(axis=0)
    scale = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    off = ((points - np.asarray(tree.data)[nearest[kept]]) * facing).sum(axis=1)
    rows = np.concatenate([np.cross(points - middle, facing) / scale, facing], axis=1)
    return kept, rows, off, middle, scale
