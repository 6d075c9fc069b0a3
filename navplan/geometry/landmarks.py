"""A rigid map from pairs of landmarks, and the map of its error: how far off it is expected to be at any point.

To first order, for any weights and any covariance of the landmarks' own error (FLE): Danilchenko and Fitzpatrick 2011,
IEEE Trans Med Imaging 30:679 (PMC4607070). What is left over at the landmarks (FRE) says how large that error is, and
nothing of how good the map is at a target: the two are independent (Fitzpatrick 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError

FEWEST, LEAST_SPREAD_MM = 3, 5.0  # landmarks; and how far they must lie from one line
SURE = 0.95  # of the upper bound of the landmarks' error that few residuals leave open


def target_error_mm(
    landmarks_mm: ArrayLike, points_mm: ArrayLike, fle_covariance_mm2: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """(K,) expected (root mean square) error at points (K, 3) of a map fitted to landmarks (N, 3), mm.

    fle_covariance_mm2: (3, 3), the same for all, of the localisation error; or one number, the mean square error of a
    landmark, alike along each axis. weights: (N,), default 1. Sigma = J (A'WA)^-1 A'W S W A (A'WA)^-1 J', with A the
    motion of each landmark, J that of the point, about the landmarks' weighted middle.

    Raises GeometryError for fewer than three landmarks, or landmarks on a line.
    """
    landmarks, points = np.atleast_2d(np.asarray(landmarks_mm, float)), np.atleast_2d(np.asarray(points_mm, float))
    fle = np.asarray(fle_covariance_mm2, dtype=np.float64)
    covariance = np.eye(3) * float(fle) / 3.0 if fle.ndim == 0 else fle
    weight = np.ones(len(landmarks)) if weights is None else np.asarray(weights, dtype=np.float64)
    _refuse_few(landmarks)
    middle = weight @ landmarks / weight.sum()
    motion = [_motion(point - middle) for point in landmarks]
    normal = sum(w * a.T @ a for w, a in zip(weight, motion, strict=True))
    spread = sum(w * w * a.T @ covariance @ a for w, a in zip(weight, motion, strict=True))
    inverse = np.linalg.inv(normal)
    of_motion = inverse @ spread @ inverse
    each = [_motion(point - middle) for point in points]
    return np.sqrt([float(np.trace(j @ of_motion @ j.T)) for j in each])


def _motion(arm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 6) how a point at an arm moves with a small turn and a shift."""
    x, y, z = arm
    return np.array([[0, z, -y, 1, 0, 0], [-z, 0, x, 0, 1, 0], [y, -x, 0, 0, 0, 1]], dtype=np.float64)


def _refuse_few(landmarks: NDArray[np.float64]) -> None:
    many = len(landmarks) >= FEWEST and bool(np.isfinite(landmarks).all())
    if not many or np.linalg.svd(landmarks - landmarks.mean(axis=0), compute_uv=False)[1] < 1e-9:
        raise GeometryError(f"{len(landmarks)} landmarks", "three or more finite ones that do not lie on a line")


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """matrix: (4, 4), `to` from `source`, rigid; residuals_mm: (N,) what is left at each pair; fre_mm: their root mean
    square; left_out_mm: (N,) by how much each pair lies off the map of the others, NaN where three are left too few.
    least_mm: no landmark is taken to be known better, however well they agree."""

    matrix: NDArray[np.float64]
    to_mm: NDArray[np.float64]
    residuals_mm: NDArray[np.float64]
    left_out_mm: NDArray[np.float64]
    least_mm: float = 0.0

    @property
    def fre_mm(self) -> float:
        """Of no use as an accuracy: see the module."""
        return float(np.sqrt((self.residuals_mm**2).mean()))

    @property
    def fle_mm(self) -> float:
        """Root mean square error of a landmark: an upper bound at SURE, from the residuals, <FRE^2> = (1 - 2/N) <FLE^2>
        (Fitzpatrick, West and Maurer 1998), of which 3N - 6 are free."""
        from scipy.stats import chi2

        count = len(self.residuals_mm)
        free = 3 * count - 6
        low = float(chi2.ppf(1.0 - SURE, free))
        return max(float(self.fre_mm / np.sqrt(1.0 - 2.0 / count) * np.sqrt(free / low)), self.least_mm)

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error at points (K, 3) of `to`: the map of the registration's error."""
        return target_error_mm(self.to_mm, points_mm, self.fle_mm**2)


def fit_landmarks(to_mm: ArrayLike, source_mm: ArrayLike, least_mm: float = 0.0) -> LandmarkFit:
    """The rigid map of points (N, 3) to theirs, in the sense of least squares (Arun 1987, with the determinant's sign).

    least_mm: see `LandmarkFit`. Raises GeometryError for other shapes, fewer than three pairs, points that are not
    finite or lie on a line.
    """
    to, source = np.asarray(to_mm, dtype=np.float64), np.asarray(source_mm, dtype=np.float64)
    if to.shape != source.shape or to.ndim != 2 or to.shape[1] != 3:
        raise GeometryError(f"landmarks of shapes {to.shape} and {source.shape}", "two lists of as many points")
    for points in (to, source):
        _refuse_few(points)
        across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[1] / np.sqrt(len(points))
        if across < LEAST_SPREAD_MM:
            raise GeometryError(
                f"landmarks within {across:.1f} mm of a line", f"a spread of {LEAST_SPREAD_MM:g} mm or more across it"
            )
    matrix = _fitted(to, source)
    left_out = np.full(len(to), np.nan)
    for n in range(len(to)) if len(to) > FEWEST else []:
        rest = np.arange(len(to)) != n
        left_out[n] = np.linalg.norm(_carried(_fitted(to[rest], source[rest]), source[n : n + 1]) - to[n])
    residuals = np.linalg.norm(_carried(matrix, source) - to, axis=1)
    return LandmarkFit(matrix, to, residuals, left_out, least_mm)


def _fitted(to: NDArray[np.float64], source: NDArray[np.float64]) -> NDArray[np.float64]:
    centre_to, centre = to.mean(axis=0), source.mean(axis=0)
    u, _, vt = np.linalg.svd((source - centre).T @ (to - centre_to))
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(vt.T @ u.T)))])
    matrix = np.eye(4)
    matrix[:3, :3] = vt.T @ flip @ u.T
    matrix[:3, 3] = centre_to - matrix[:3, :3] @ centre
    return matrix


def _carried(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
