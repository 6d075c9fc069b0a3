"""How likely a needle that strays touches something, and how likely it hits its target.

The needle is taken to keep its direction of error along its whole length while the amount scales with sigma(s), the
standard deviation along each lateral axis at depth s (navplan.model.error_model); where the anatomy moves as well,
along its own two axes across the needle. How far along the needle its end lies off is independent of that.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.lines import perpendicular_axes
from navplan.model.error_model import ErrorModel
from navplan.planning.boundary import Boundary
from navplan.planning.straying_discs import nearest_discs, nearest_ellipses

RADIUS_95_2D = 2.4477468306808166  # sqrt(-2 ln 0.05): 95 % of an isotropic 2-D normal lies within this many sigma
SIGMAS_95_ONE_SIDED = 1.6448536269514722  # 95 % of a normal error lie below it
_SECTORS, _QUADRATURE = 720, 64
_NEVER_BEYOND = np.zeros(1)
_BEYOND = np.asarray([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0])  # sigmas: none ends farther


def breach_wall(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a flat wall at a distance from the axis; rho: needle radius. Phi(-(D - rho)/sigma)."""
    from scipy.special import ndtr

    return float(ndtr(-(distance_mm - rho_mm) / sigma_mm))


def breach_crossing_tube(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a tube that crosses the needle at a right angle; rho: tube and needle radius together."""
    from scipy.special import ndtr

    return float(ndtr((rho_mm - distance_mm) / sigma_mm) - ndtr((-rho_mm - distance_mm) / sigma_mm))


def breach_parallel_tube(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a sphere, or of a tube parallel to the needle: a non-central chi-squared of 2 degrees of freedom."""
    from scipy.special import chndtr

    return float(chndtr(rho_mm**2 / sigma_mm**2, 2, distance_mm**2 / sigma_mm**2))


def hit_probability(radius_mm: float, sigma_mm: float) -> float:
    """P(lateral error at the tip < radius): Rayleigh, 1 - exp(-r^2 / 2 sigma^2)."""
    return float(-np.expm1(-(radius_mm**2) / (2 * sigma_mm**2)))


def ball_probability(radius_mm: float, sigmas_mm: ArrayLike) -> float:
    """P(a normal error with independent sigmas (2,) or (3,), one an axis, stays within a ball of a radius): the closed
    form along the axis of the largest, Gauss and Legendre's rule over the others."""
    from scipy.special import ndtr

    sigmas = np.sort(np.asarray(sigmas_mm, dtype=np.float64))
    sigmas = sigmas[sigmas > 1e-9]
    if radius_mm <= 0.0 or not sigmas.size:
        return float(radius_mm > 0.0)
    rest, last = sigmas[:-1], float(sigmas[-1])
    squares, weights = np.zeros(1), np.ones(1)
    for sigma in rest:
        points, parts = _legendre()
        reach = min(radius_mm, 8.0 * float(sigma))
        at = points * reach
        share = parts * reach * np.exp(-0.5 * (at / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
        squares = np.add.outer(squares, at**2).ravel()
        weights = np.multiply.outer(weights, share).ravel()
    left = np.sqrt(np.maximum(radius_mm**2 - squares, 0.0))
    return float(np.clip(weights @ (2.0 * ndtr(left / last) - 1.0), 0.0, 1.0))


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of Gauss and Legendre's rule, made once: they take a third as long as a way's judgement."""
    return np.polynomial.legendre.leggauss(_QUADRATURE)


def breach_probability(
    boundary: Boundary,
    start_mm: NDArray[np.float64],
    end_mm: NDArray[np.float64],
    radius_mm: float,
    error: ErrorModel,
) -> float:
    """Upper bound of P(the straying needle touches the structure anywhere between start and end, or as far beyond the
    end as it goes by error).

    Seen along the needle, each boundary voxel (a disc of needle radius and of how far beyond its centre the structure
    may go on, Boundary.below_mm) is divided by sigma at its depth, on each of the two axes along which the anatomy's
    motion is independent by its own. Where the error of the structure's own outline is known, it adds to sigma as an
    independent one. In each of the directions of error the nearest disc gives the number of sigmas zeta; beyond it all
    counts as touched. P = mean over directions of exp(-zeta^2 / 2): for a wall this is Craig's form of Phi(-x), and
    exact (Craig, MILCOM 1991); for all else it is an upper bound.

    Beyond the end: `_with_ends`. A needle that stops early by error counts as one that stops as planned.
    """
    length = float(np.linalg.norm(end_mm - start_mm))
    direction = (end_mm - start_mm) / length
    axes, motion_mm = _axes(*direction.tolist()), np.zeros(2)
    if any(error.motion_sigma_mm):
        across, motion_mm = error.across(direction)
        axes = np.stack([*across, direction])
    kernel = nearest_discs if motion_mm[0] == motion_mm[1] else nearest_ellipses
    shared = (boundary.centres_mm, boundary.voxels.block_start, boundary.voxels.block_mm)
    way = (np.ascontiguousarray(start_mm, dtype=np.float64), axes)
    sigmas = np.asarray(
        [
            error.entry_sigma_mm, np.radians(error.angle_sigma_deg), boundary.structure.boundary_sigma_mm or 0.0,
            error.bend_sigma_per_mm / 2.0, *motion_mm,
        ]
    )  # fmt: skip
    reach_mm, end_sigma_mm = radius_mm + boundary.below_mm, error.end_sigma_mm(direction)
    ends_mm = length + end_sigma_mm * (_NEVER_BEYOND if end_sigma_mm == 0.0 else _BEYOND)
    zeta, first_mm = kernel(*shared, *way, ends_mm, reach_mm, sigmas, _SECTORS)
    met = np.flatnonzero(np.isfinite(first_mm[1:])) + 1
    if not len(met):
        return float(np.exp(-(zeta[0] ** 2) / 2).mean())
    later = (first_mm[met] - length) / end_sigma_mm
    together = np.abs(axes[:2] @ (np.asarray(error.motion_sigma_mm) ** 2 * direction)).max() > 1e-9
    return _with_ends(zeta[[0, *met]], later, bool(together))


def _with_ends(zeta: NDArray[np.float64], later: NDArray[np.float64], any_dependence: bool) -> float:
    """Upper bound of P(touch) of a needle that ends later than planned.

    zeta (K + 1, sectors): row 0 of discs that are passed as planned, row k of those that a needle meets which ends
    `later[k - 1]` standard deviations or more beyond, ascending. With E_k = mean exp(-zeta^2 / 2) over the nearest of
    rows 0 to k and Q_k = Phi(-later_k): where lateral error and that of the end are independent,
    P = E_0 + sum (E_k - E_{k-1}) Q_k, exact for a wall across the end. Where the anatomy's motion moves both together,
    whatever their dependence, P <= E_j + Q_{j+1} for every j (a touch is in rows up to j, or needs an end beyond), and
    the least of these counts.
    """
    from scipy.special import ndtr

    touched = np.exp(-(np.minimum.accumulate(zeta, axis=0) ** 2) / 2).mean(axis=1)
    late = ndtr(-later)
    if any_dependence:
        return float(min((touched + np.append(late, 0.0)).min(), 1.0))
    return float(touched[0] + np.diff(touched) @ late)


@lru_cache(maxsize=8)  # one needle is asked about many structures
def _axes(x: float, y: float, z: float) -> NDArray[np.float64]:
    """(3, 3) two axes across a unit direction, and the direction, in rows."""
    direction = np.asarray([x, y, z])
    return np.stack([*perpendicular_axes(direction), direction])
