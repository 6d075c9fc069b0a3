"""How likely a needle that strays touches something, and how likely it hits its target.

The needle is taken to keep its direction of error along its whole length while the amount scales with sigma(s), the
standard deviation along each lateral axis at depth s (navplan.model.error_model).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import ncx2

from navplan.geometry.lines import perpendicular_axes
from navplan.model.error_model import ErrorModel
from navplan.planning.boundary import Boundary

RADIUS_95_2D = 2.4477468306808166  # sqrt(-2 ln 0.05): 95 % of an isotropic 2-D normal lies within this many sigma
_SECTORS = 720


def breach_wall(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a flat wall at a distance from the axis; rho: needle radius. Phi(-(D - rho)/sigma)."""
    return float(ndtr(-(distance_mm - rho_mm) / sigma_mm))


def breach_crossing_tube(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a tube that crosses the needle at a right angle; rho: tube and needle radius together."""
    return float(ndtr((rho_mm - distance_mm) / sigma_mm) - ndtr((-rho_mm - distance_mm) / sigma_mm))


def breach_parallel_tube(distance_mm: float, rho_mm: float, sigma_mm: float) -> float:
    """P(breach) of a sphere, or of a tube parallel to the needle: a non-central chi-squared of 2 degrees of freedom."""
    return float(ncx2.cdf(rho_mm**2 / sigma_mm**2, 2, distance_mm**2 / sigma_mm**2))


def hit_probability(radius_mm: float, sigma_mm: float) -> float:
    """P(lateral error at the tip < radius): Rayleigh, 1 - exp(-r^2 / 2 sigma^2)."""
    return float(-np.expm1(-(radius_mm**2) / (2 * sigma_mm**2)))


def breach_probability(
    boundary: Boundary,
    start_mm: NDArray[np.float64],
    end_mm: NDArray[np.float64],
    radius_mm: float,
    error: ErrorModel,
) -> float:
    """Upper bound of P(the straying needle touches the structure anywhere between start and end).

    Seen along the needle, each boundary voxel (a disc of needle radius and of how far beyond its centre the structure
    may go on, Boundary.below_mm) is divided by sigma at its depth. Where the error of the structure's own outline is
    known, it adds to sigma as an independent one. In each of the directions of error the nearest disc gives the number
    of sigmas zeta; beyond it all counts as touched. P = mean over directions of exp(-zeta^2 / 2): for a wall this is
    Craig's form of Phi(-x), and exact (Craig, MILCOM 1991); for all else it is an upper bound.
    """
    length = float(np.linalg.norm(end_mm - start_mm))
    direction = (end_mm - start_mm) / length
    offset = boundary.centres_mm - start_mm
    depth = offset @ direction
    reach = radius_mm + boundary.below_mm
    keep = (depth > -reach) & (depth < length + reach)
    if not keep.any():
        return 0.0
    sigma = np.hypot(error.sigma_mm(np.clip(depth[keep], 0.0, length)), boundary.structure.boundary_sigma_mm or 0.0)
    first, second = perpendicular_axes(direction)
    across = np.stack([offset[keep] @ first, offset[keep] @ second], axis=1) / sigma[:, None]
    distance, size = np.linalg.norm(across, axis=1), reach / sigma
    if (distance <= size).any():
        return 1.0
    near = distance - size < 8.0
    angle = np.arctan2(across[near, 1], across[near, 0])
    half = np.arcsin(np.minimum(size[near] / distance[near], 1.0))
    return _swept_fraction(angle, half, (distance - size)[near], distance[near], size[near])


def _swept_fraction(
    angle: NDArray[np.float64],
    half_width: NDArray[np.float64],
    nearest: NDArray[np.float64],
    distance: NDArray[np.float64],
    size: NDArray[np.float64],
) -> float:
    """Mean over directions of exp(-zeta^2/2), zeta the distance along that direction to the first disc."""
    width = 2 * np.pi / _SECTORS
    zeta = np.full(_SECTORS, np.inf)
    order = np.argsort(nearest)
    angle, half_width, distance, size = angle[order], half_width[order], distance[order], size[order]
    low = np.floor((angle - half_width) / width).astype(int)
    high = np.floor((angle + half_width) / width).astype(int)
    for step in range(int((high - low).max(initial=0)) + 1):
        sector = low + step
        on = sector <= high
        middle = (sector[on] + 0.5) * width
        turn = np.clip(
            np.abs(middle - angle[on]) - width / 2, 0.0, half_width[on]
        )  # the sector's edge nearest the disc's middle
        along = distance[on] * np.cos(turn) - np.sqrt(
            np.maximum(size[on] ** 2 - (distance[on] * np.sin(turn)) ** 2, 0.0)
        )
        np.minimum.at(zeta, sector[on] % _SECTORS, along)
    return float(np.exp(-(zeta**2) / 2).mean())
