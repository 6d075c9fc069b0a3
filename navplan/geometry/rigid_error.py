"""How a small rigid motion moves points, and within what distance a point stays whose motion is known by a covariance.

To first order a point p about a middle m moves by J (turn, shift), J = [-(p - m)x, 1]; with the motion's covariance C
its own is J C J'. Used for landmarks (`navplan.geometry.landmarks`) and surfaces (`navplan.geometry.surface_fit`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SURE = 0.95


def motion_of(arms_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3, 6) how points at arms (K, 3) about the middle move with a small turn (radians) and a shift (mm)."""
    found = np.zeros((len(arms_mm), 3, 6))
    x, y, z = arms_mm.T
    found[:, 0, 1], found[:, 0, 2], found[:, 1, 2] = z, -y, x
    found[:, 1, 0], found[:, 2, 0], found[:, 2, 1] = -z, y, -x
    found[:, :, 3:] = np.eye(3)
    return found


def carried_covariance(arms_mm: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 3, 3) mm2, of points at arms (K, 3) under a motion of covariance (6, 6)."""
    motion = motion_of(arms_mm)
    return np.asarray(motion @ covariance @ motion.transpose(0, 2, 1))


def within_mm(covariance_mm2: NDArray[np.float64], free: float = np.inf) -> NDArray[np.float64]:
    """(K,) the distance that an error of covariance (K, 3, 3), mean 0, keeps in 95 of 100.

    free: how many residuals the size of the covariance was estimated from; fewer make the distance larger (Fisher's F
    in place of chi-square). Exact where the error is alike along one, two or three axes and nothing along the others;
    between, the square is taken as a chi-square of the same mean and variance (Welch 1938, Biometrika 29:350).
    """
    from scipy.stats import chi2, f

    total = np.trace(covariance_mm2, axis1=1, axis2=2)
    squared = np.einsum("kij,kji->k", covariance_mm2, covariance_mm2)
    ways = np.clip(total**2 / np.maximum(squared, 1e-300), 1.0, 3.0)
    table = np.linspace(1.0, 3.0, 81)
    ratio = chi2.ppf(SURE, table) / table if np.isinf(free) else f.ppf(SURE, table, free)
    return np.sqrt(total * np.interp(ways, table, ratio))
