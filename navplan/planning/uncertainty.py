"""How likely a needle that strays touches something, and how likely it hits its target.

The needle is taken to keep its direction of error along its whole length while the amount scales with sigma(s), the
standard deviation along each lateral axis at depth s (navplan.model.error_model); where the anatomy moves as well,
along its own two axes across the needle.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.compiled import compiled
from navplan.geometry.lines import perpendicular_axes
from navplan.model.error_model import ErrorModel
from navplan.planning.boundary import Boundary

RADIUS_95_2D = 2.4477468306808166  # sqrt(-2 ln 0.05): 95 % of an isotropic 2-D normal lies within this many sigma
_SECTORS, _QUADRATURE = 720, 64


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
        points, parts = np.polynomial.legendre.leggauss(_QUADRATURE)
        reach = min(radius_mm, 8.0 * float(sigma))
        at = points * reach
        share = parts * reach * np.exp(-0.5 * (at / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
        squares = np.add.outer(squares, at**2).ravel()
        weights = np.multiply.outer(weights, share).ravel()
    left = np.sqrt(np.maximum(radius_mm**2 - squares, 0.0))
    return float(np.clip(weights @ (2.0 * ndtr(left / last) - 1.0), 0.0, 1.0))


def breach_probability(
    boundary: Boundary,
    start_mm: NDArray[np.float64],
    end_mm: NDArray[np.float64],
    radius_mm: float,
    error: ErrorModel,
) -> float:
    """Upper bound of P(the straying needle touches the structure anywhere between start and end).

    Seen along the needle, each boundary voxel (a disc of needle radius and of how far beyond its centre the structure
    may go on, Boundary.below_mm) is divided by sigma at its depth, on each of the two axes along which the anatomy's
    motion is independent by its own (and the disc by the smaller). Where the error of the structure's own outline is
    known, it adds to sigma as an independent one. In each of the directions of error the nearest disc gives the number
    of sigmas zeta; beyond it all counts as touched. P = mean over directions of exp(-zeta^2 / 2): for a wall this is
    Craig's form of Phi(-x), and exact (Craig, MILCOM 1991); for all else it is an upper bound.
    """
    length = float(np.linalg.norm(end_mm - start_mm))
    direction = (end_mm - start_mm) / length
    axes, motion_mm = _axes(*direction.tolist()), np.zeros(2)
    if any(error.motion_sigma_mm):
        across, motion_mm = error.across(direction)
        axes = np.stack([*across, direction])
    zeta = _nearest_in_sectors(
        boundary.centres_mm,
        boundary.voxels.block_start,
        boundary.voxels.block_mm,
        np.ascontiguousarray(start_mm, dtype=np.float64),
        axes,
        length,
        radius_mm + boundary.below_mm,
        np.asarray(
            [
                error.entry_sigma_mm, np.radians(error.angle_sigma_deg), boundary.structure.boundary_sigma_mm or 0.0,
                error.bend_sigma_per_mm / 2.0, *motion_mm,
            ]
        ),
        _SECTORS,
    )
    return float(np.exp(-(zeta**2) / 2).mean())


@lru_cache(maxsize=8)  # one needle is asked about many structures
def _axes(x: float, y: float, z: float) -> NDArray[np.float64]:
    """(3, 3) two axes across a unit direction, and the direction, in rows."""
    direction = np.asarray([x, y, z])
    return np.stack([*perpendicular_axes(direction), direction])


@compiled()
def _nearest_in_sectors(
    centres: NDArray[np.float64],
    block_start: NDArray[np.int64],
    blocks: NDArray[np.float64],
    start: NDArray[np.float64],
    axes: NDArray[np.float64],
    length: float,
    reach: float,
    sigmas: NDArray[np.float64],
    sectors: int,
) -> NDArray[np.float64]:
    """Number of sigmas to the first disc in each of the directions of error; 0 where a disc covers the axis. Discs
    farther than 8 sigma count as never. Blocks of discs come nearest first; what others hide is passed over.

    sigmas: entry, angle, outline, half the curvature's, and of the anatomy's motion along the first and second axis."""
    zeta = np.full(sectors, np.inf)
    alike = sigmas[4] == sigmas[5]  # then a direction in mm is one in sigmas, at every depth
    width = 2 * np.pi / sectors
    nearest = np.empty(len(blocks))  # sigmas below which no disc of a block begins
    for block in range(len(blocks)):
        x, y, z = blocks[block, 0] - start[0], blocks[block, 1] - start[1], blocks[block, 2] - start[2]
        depth, ball = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2], blocks[block, 3]
        if depth + ball < -reach or depth - ball > length + reach:
            nearest[block] = np.inf
            continue
        a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
        b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
        deepest = min(max(depth + ball, 0.0), length)
        square = sigmas[0] ** 2 + (deepest * sigmas[1]) ** 2 + sigmas[2] ** 2 + (deepest * deepest * sigmas[3]) ** 2
        square += max(sigmas[4], sigmas[5]) ** 2
        nearest[block] = max(np.sqrt(a * a + b * b) - ball - reach - 1e-6, 0.0) / np.sqrt(square)
    for block in np.argsort(nearest):
        if nearest[block] >= 8.0:
            break
        x, y, z = blocks[block, 0] - start[0], blocks[block, 1] - start[1], blocks[block, 2] - start[2]
        a = x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]
        b = x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]
        distance, ball = np.sqrt(a * a + b * b), blocks[block, 3] + reach + 1e-6
        # Is it hidden, wherever it could be seen, by what is nearer?
        if alike and nearest[block] > 0.0 and distance > ball:
            angle, half = np.arctan2(b, a), np.arcsin(ball / distance)
            hidden = True
            for sector in range(int(np.floor((angle - half) / width)), int(np.floor((angle + half) / width)) + 1):
                hidden = hidden and zeta[sector % sectors] <= nearest[block]
            if hidden:
                continue
        for v in range(block_start[block], block_start[block + 1]):
            x, y, z = centres[v, 0] - start[0], centres[v, 1] - start[1], centres[v, 2] - start[2]
            depth = x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]
            if not -reach < depth < length + reach:
                continue
            at = min(max(depth, 0.0), length)
            square = sigmas[0] ** 2 + (at * sigmas[1]) ** 2 + sigmas[2] ** 2 + (at * at * sigmas[3]) ** 2
            first, second = np.sqrt(square + sigmas[4] ** 2), np.sqrt(square + sigmas[5] ** 2)
            a = (x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]) / first
            b = (x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]) / second
            distance, size = np.sqrt(a * a + b * b), reach / min(first, second)
            if distance <= size:
                zeta[:] = 0.0
                return zeta
            if distance - size >= 8.0:
                continue
            angle, half = np.arctan2(b, a), np.arcsin(size / distance)
            low, high = int(np.floor((angle - half) / width)), int(np.floor((angle + half) / width))
            for sector in range(low, high + 1):
                here = sector % sectors
                if zeta[here] <= distance - size:
                    continue
                # the sector's edge nearest the disc's middle
                turn = min(max(abs((sector + 0.5) * width - angle) - width / 2, 0.0), half)
                across = distance * np.sin(turn)
                zeta[here] = min(zeta[here], distance * np.cos(turn) - np.sqrt(max(size * size - across * across, 0.0)))
    return zeta
