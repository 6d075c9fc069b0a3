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
from navplan.geometry.rigid_error import SURE, carried_covariance, motion_of, within_mm

FEWEST, LEAST_SPREAD_MM = 3, 5.0  # landmarks; and how far they must lie from one line


def target_error_mm(
    landmarks_mm: ArrayLike, points_mm: ArrayLike, fle_covariance_mm2: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """(K,) expected (root mean square) error at points (K, 3) of a map fitted to landmarks (N, 3), mm.

    fle_covariance_mm2: (3, 3), the same for all, of the localisation error; one number, the mean square error of a
    landmark, alike along each axis; or (N,) numbers, one for each. weights: (N,), default 1. Sigma = J C J', see
    `motion_covariance`.

    Raises GeometryError for fewer than three landmarks, or landmarks on a line.
    """
    points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
    covariance, middle = motion_covariance(landmarks_mm, fle_covariance_mm2, weights)
    spread = carried_covariance(points - middle, covariance)
    return np.sqrt(np.trace(spread, axis1=1, axis2=2))


def motion_covariance(
    landmarks_mm: ArrayLike, fle_covariance_mm2: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """C (6, 6) of the turn and the shift about the landmarks' weighted middle (3,), and that middle, LPS mm.

    C = (A'WA)^-1 A'W S W A (A'WA)^-1, with A the motion of each landmark. Arguments and errors: `target_error_mm`.
    """
    landmarks = np.atleast_2d(np.asarray(landmarks_mm, dtype=np.float64))
    fle = np.asarray(fle_covariance_mm2, dtype=np.float64)
    each = fle if fle.ndim == 2 else np.eye(3) * np.broadcast_to(fle, len(landmarks))[:, None, None] / 3.0
    weight = np.ones(len(landmarks)) if weights is None else np.asarray(weights, dtype=np.float64)
    _refuse_few(landmarks)
    middle = weight @ landmarks / weight.sum()
    motion = motion_of(landmarks - middle)
    turned = motion.transpose(0, 2, 1)
    inverse = np.linalg.inv(np.einsum("n,nij,njk->ik", weight, turned, motion))
    spread = np.einsum("n,nij->ij", weight**2, turned @ each @ motion)
    return np.asarray(inverse @ spread @ inverse), middle


def _refuse_few(landmarks: NDArray[np.float64]) -> None:
    many = len(landmarks) >= FEWEST and bool(np.isfinite(landmarks).all())
    if not many or np.linalg.svd(landmarks - landmarks.mean(axis=0), compute_uv=False)[1] < 1e-9:
        raise GeometryError(f"{len(landmarks)} landmarks", "three or more finite ones that do not lie on a line")


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """matrix: (4, 4), `to` from `source`, rigid; residuals_mm: (N,) what is left at each pair; fre_mm: their root mean
    square; left_out_mm: (N,) by how much each pair lies off the map of the others, NaN where three are left too few.
    least_mm: no landmark is taken to be known better, however well they agree and however much it weighs. weights:
    (N,), of mean 1; a landmark's mean square error is taken to go by its inverse. None: alike."""

    matrix: NDArray[np.float64]
    to_mm: NDArray[np.float64]
    residuals_mm: NDArray[np.float64]
    left_out_mm: NDArray[np.float64]
    least_mm: float = 0.0
    weights: NDArray[np.float64] | None = None

    @property
    def fre_mm(self) -> float:
        """Of no use as an accuracy: see the module."""
        return float(np.sqrt((self.residuals_mm**2).mean()))

    @property
    def fle_mm(self) -> float:
        """Root mean square error of a landmark (of weight 1): an upper bound at SURE, from the residuals."""
        from scipy.stats import chi2

        low = float(chi2.ppf(1.0 - SURE, self.free))
        return max(self._estimated_mm * float(np.sqrt(self.free / low)), self._least_mm)

    @property
    def free(self) -> int:
        """How many of the residuals' numbers are free: 3 N - 6."""
        return 3 * len(self.residuals_mm) - 6

    @property
    def _estimated_mm(self) -> float:
        """<FRE^2> = (1 - 2/N) <FLE^2> (Fitzpatrick, West and Maurer 1998, IEEE Trans Med Imaging 17:694)."""
        return float(np.sqrt((self._weights * self.residuals_mm**2).sum() / (len(self.residuals_mm) - 2)))

    @property
    def _least_mm(self) -> float:
        """Of a landmark of weight 1, so that the heaviest is not known better than to least_mm."""
        return self.least_mm * float(np.sqrt(self._weights.max()))

    @property
    def _weights(self) -> NDArray[np.float64]:
        return np.ones(len(self.residuals_mm)) if self.weights is None else self.weights

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error at points (K, 3) of `to`: the map of the registration's error."""
        return target_error_mm(self.to_mm, points_mm, self.fle_mm**2 / self._weights, self._weights)

    def error_95_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) within what distance of the truth in 95 of 100, at points (K, 3) of `to`.

        The residuals say how large the landmarks' error is, and are independent of the error at the point: their ratio
        is Fisher's. No less than by landmarks of least_mm.
        """
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        unit, middle = motion_covariance(self.to_mm, 1.0 / self._weights, self._weights)
        spread = carried_covariance(points - middle, unit)
        return np.maximum(
            self._estimated_mm * within_mm(spread, float(self.free)), self._least_mm * within_mm(spread)
        )


def fit_landmarks(
    to_mm: ArrayLike, source_mm: ArrayLike, least_mm: float = 0.0, weights: ArrayLike | None = None
) -> LandmarkFit:
    """The rigid map of points (N, 3) to theirs, in the sense of least squares (Arun 1987, with the determinant's sign).

    least_mm: see `LandmarkFit`; weights: (N,), more than 0, by how much each square counts (1 / its mean square error,
    in any unit). Raises GeometryError for other shapes and weights, fewer than three pairs, points that are not finite
    or lie on a line.
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
    weight = np.ones(len(to)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != (len(to),) or not np.isfinite(weight).all() or not (weight > 0).all():
        raise GeometryError(f"weights {weight.tolist()} of {len(to)} landmarks", "one finite number above 0 for each")
    matrix = _fitted(to, source, weight)
    left_out = np.full(len(to), np.nan)
    for n in range(len(to)) if len(to) > FEWEST else []:
        rest = np.arange(len(to)) != n
        without = _fitted(to[rest], source[rest], weight[rest])
        left_out[n] = np.linalg.norm(_carried(without, source[n : n + 1]) - to[n])
    residuals = np.linalg.norm(_carried(matrix, source) - to, axis=1)
    return LandmarkFit(
        matrix, to, residuals, left_out, least_mm, None if weights is None else weight / weight.mean()
    )


def _fitted(
    to: NDArray[np.float64], source: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    share = weight / weight.sum()
    centre_to, centre = share @ to, share @ source
    u, _, vt = np.linalg.svd((source - centre).T @ ((to - centre_to) * share[:, None]))
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(vt.T @ u.T)))])
    matrix = np.eye(4)
    matrix[:3, :3] = vt.T @ flip @ u.T
    matrix[:3, 3] = centre_to - matrix[:3, :3] @ centre
    return matrix


def _carried(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
