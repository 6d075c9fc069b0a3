"""Cord and canal on MR: two closed outlines about a centre, plane by plane.

From a centre in an axial plane the signal is read along rays. The outline is the closed path over the rays that has
the largest sum of signed slopes. The cord's
outline is darker inside where fluid is bright (T2), brighter inside where it is dark (T1); the canal's is the next
slope of the other sign. Slopes are taken per local signal: no unit, and a coil's falling sensitivity does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from navplan.imaging.closed_path import closed_path
from navplan.imaging.working import Step

Array = NDArray[np.float64]

RAYS, RAY_STEP_MM, RAY_MM = 48, 0.5, 18.0
CORD_MM = (2.0, 10.0)  # radius of the cord along a ray from its middle: conus to the widest cervical half
BEYOND_MM = (0.5, 9.0)  # from the cord's outline to the canal's
STEP_PRICE = 0.015  # of RAY_STEP_MM in or out from one ray to the next; a fluid's slope is about .2
RING_MM = 2.5  # beyond the cord's outline, where fluid is looked for
LEAST_RAY = 0.08  # (fluid - cord) / (fluid + cord) from which a ray shows fluid
RADII = np.arange(RAY_STEP_MM, RAY_MM, RAY_STEP_MM)
ANGLES = np.arange(RAYS) * 2 * np.pi / RAYS
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1)


@dataclass(frozen=True, eq=False)
class Outlines:
    """Of n planes: cord and canal, (n, RAYS) mm from the centres; contrast (n,), of the fluid over the cord, -1 to 1.

    sure: (n,) the share of rays on which fluid stands out from the cord; shut: on which the canal's outline does.
    unrest: (n,) SD over mean of the signal in the cord; level: (n,) its mean.
    """

    cord: Array
    canal: Array
    contrast: Array
    sure: Array
    shut: Array
    unrest: Array
    level: Array

    @property
    def area_mm2(self) -> Array:
        """(n,) of the cord."""
        return area_mm2(self.cord)


def area_mm2(radii: Array) -> Array:
    """Area of outlines (..., RAYS) by the shoelace formula."""
    return np.asarray((radii * np.roll(radii, -1, axis=-1)).sum(axis=-1) * np.sin(2 * np.pi / RAYS) / 2)


def centroid_mm(radii: Array) -> Array:
    """(..., 2) centre of area of outlines (..., RAYS), from their own centre."""
    return np.asarray(
        (radii[..., None] ** 3 * DIRECTIONS).sum(axis=-2) / 3 / np.maximum((radii**2).sum(axis=-1)[..., None] / 2, 1e-9)
    )


def hull(radii: Array) -> Array:
    """Outlines (n, RAYS) to the convex hulls of their corners: a canal is convex, but for dark roots at its wall."""
    result = radii.copy()
    for n, outline in enumerate(radii):
        sides = ConvexHull(np.maximum(outline, RAY_STEP_MM)[:, None] * DIRECTIONS).equations
        along = DIRECTIONS @ sides[:, :2].T
        result[n] = np.where(along > 1e-9, -sides[:, 2] / np.maximum(along, 1e-9), np.inf).min(axis=1)
    return result


def polar(signal: NDArray[np.float32], step: Step, planes: NDArray[np.intp], centres_mm: Array) -> Array:
    """Signal (n, RAYS, radii) about centres (n, 2) mm (left, posterior, from the first voxel's centre) in n planes.

    Beyond the array the edge's value goes on.
    """
    at = centres_mm[:, None, None, :] + RADII[None, None, :, None] * DIRECTIONS[None, :, None, :]
    where = [at[..., 0] / step[0], at[..., 1] / step[1], np.broadcast_to(planes[:, None, None], at.shape[:3])]
    return np.asarray(ndimage.map_coordinates(signal, where, order=1, mode="nearest"), dtype=np.float64)


def outlines(rays: Array, sign: int, smooth_planes: float = 0.0) -> Outlines:
    """The outlines in polar signal (n, RAYS, radii); sign +1: fluid brighter than the cord, -1: darker.

    smooth_planes: SD of the smoothing over planes, in planes; neighbours have to lie about the same middle line.
    """
    sigma = (smooth_planes, 0.7, 0.75 / RAY_STEP_MM)
    soft = ndimage.gaussian_filter(rays, sigma, mode=("nearest", "wrap", "nearest"))
    near = soft[:, :, CORD_MM[1] >= RADII]
    level = np.percentile(near, 75, axis=(1, 2))[:, None, None] + 1e-9
    slope = np.gradient(soft, axis=2) / level
    first = closed_path(np.where((CORD_MM[0] <= RADII) & (CORD_MM[1] >= RADII), sign * slope, -9.0), STEP_PRICE)
    beyond = RADII[None, None, :] - RADII[first][:, :, None]
    allowed = (beyond >= BEYOND_MM[0]) & (beyond <= BEYOND_MM[1])
    second = closed_path(np.where(allowed, -sign * slope, -9.0), STEP_PRICE)
    inside = beyond < -0.5
    within = np.where(inside, soft, 0).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)
    spread = np.where(inside, (soft - within[:, None, None]) ** 2, 0).sum(axis=(1, 2))
    unrest = np.sqrt(spread / np.maximum(inside.sum(axis=(1, 2)), 1)) / (within + 1e-9)
    ring = np.where((beyond >= 0) & (beyond <= RING_MM), sign * soft, -np.inf).max(axis=2) * sign
    rim = np.where(inside, (RADII[first] / 2)[:, :, None] <= RADII, False)
    rim_mean = np.where(rim, soft, 0).sum(axis=2) / np.maximum(rim.sum(axis=2), 1)
    apart = (ring - rim_mean) / (ring + rim_mean + 1e-9)
    out = RADII[None, None, :] - RADII[second][:, :, None]
    outer = np.where((out >= 0) & (out <= RING_MM), -sign * soft, -np.inf).max(axis=2) * -sign
    closes = sign * (ring - outer) / (ring + outer + 1e-9)
    return Outlines(
        _between(sign * slope, first), _between(-sign * slope, second), np.median(apart, axis=1),
        (sign * apart > LEAST_RAY).mean(axis=1), (closes > LEAST_RAY).mean(axis=1), unrest, within,
    )  # fmt: skip


def _between(slope: Array, index: NDArray[np.intp]) -> Array:
    """Radius of the largest slope to a part of a step, by the parabola through it and its neighbours."""
    at = np.clip(index, 1, slope.shape[2] - 2)
    low, here, high = (np.take_along_axis(slope, (at + by)[:, :, None], axis=2)[:, :, 0] for by in (-1, 0, 1))
    bend = low - 2 * here + high
    shift = np.where(bend < -1e-9, np.clip(0.5 * (low - high) / np.minimum(bend, -1e-9), -0.5, 0.5), 0.0)
    return np.asarray(RADII[at] + shift * RAY_STEP_MM)
