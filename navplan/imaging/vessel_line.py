"""A vessel's centreline and radius between the voxels, from the image's own values about a line of voxels.

At each point the plane across the line is read along rays; the wall is where the value is half-way between the lumen
and what lies around it there. The radius is that of the circle of the same area, the centre that of the wall's points.
A lumen hardly wider than a voxel never shows its full value, so that its radius comes out too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.imaging.canonical import Mask
from navplan.imaging.vessel_tree import branches, centreline
from navplan.imaging.working import Step, WorkingCt
from navplan.model.structure import Structure
from navplan.model.volume import Volume

RAYS, RAY_STEP_MM = 24, 0.2
REACH, MARGIN_MM = 1.7, 2.0  # of the radius and beyond: how far a ray looks for tissue
DIRECTION_RADII, LINE_MM = 1.0, 1.5  # smoothing along the line: of its direction, in radii; of its points, in mm
ROUNDS = 3
INTO_BRANCH, INTO_BRANCH_MM = 1.4, 0.5  # of the median ray: a longer one runs into a branch, and tells no wall


@dataclass(frozen=True, eq=False)
class VesselLine:
    """points_mm (n, 3), in order along the vessel, and radius_mm (n,) at each."""

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]


def vessel_line(volume: Volume, vessel: Structure) -> VesselLine:
    """The longest line of a present vessel on a CT, LPS mm, between its two ends furthest apart; branches are left out.

    Raises InputError for an image that is not CT, or a structure without voxels on it.
    """
    ct, mask = _mask_of(volume, vessel)
    return _in_the_image(ct, measured_line(ct.hu, mask, ct.step))


def vessel_tree(volume: Volume, vessel: Structure) -> tuple[VesselLine, ...]:
    """The lines of a present vessel on a CT, LPS mm: of its separate parts and of each branch, from the wall of what it
    leaves. Raises InputError as vessel_line does."""
    ct, mask = _mask_of(volume, vessel)
    return tuple(_in_the_image(ct, line) for line in measured_tree(ct.hu, mask, ct.step))


def _mask_of(volume: Volume, vessel: Structure) -> tuple[WorkingCt, Mask]:
    ct = WorkingCt.of(volume, vessel.image_id, "vessel-line")
    mask = np.zeros(ct.hu.shape, dtype=bool)
    if vessel.occupancy is None or vessel.grid is None:
        raise InputError(f"the centreline of {vessel.name}, which is {vessel.presence}", "a present structure")
    mask[tuple(ct.indices(vessel.grid.points_mm(np.argwhere(vessel.occupancy >= 128))).T)] = True
    return ct, mask


def _in_the_image(ct: WorkingCt, line: VesselLine) -> VesselLine:
    return VesselLine(ct.points_mm(line.points_mm / ct.step), line.radius_mm)


def measured_line(hu: NDArray[np.float32], mask: Mask, step: Step) -> VesselLine:
    """The line of a vessel's mask in hu [left, posterior, superior]; points in mm from the first voxel's centre.

    Raises InputError for an empty mask.
    """
    return _measured(hu, *centreline(mask, step), step)


def measured_tree(hu: NDArray[np.float32], mask: Mask, step: Step) -> list[VesselLine]:
    """As measured_line, of every part and branch. Raises InputError for an empty mask."""
    return [_measured(hu, voxels, depth, step) for voxels, depth in branches(mask, step)]


def _measured(
    hu: NDArray[np.float32], voxels: NDArray[np.intp], depth: NDArray[np.float64], step: Step
) -> VesselLine:
    points, radius = voxels * np.asarray(step), np.maximum(depth, min(step))
    for _ in range(ROUNDS):
        if len(points) < 3:
            break
        along = np.gradient(_smoothed(points, DIRECTION_RADII * float(np.median(radius))), axis=0)
        points, radius = _across(hu, points, along, radius, step)
        points = _smoothed(points, LINE_MM)
    return VesselLine(points, ndimage.median_filter(radius, 5, mode="nearest"))


def _smoothed(points: NDArray[np.float64], sigma_mm: float) -> NDArray[np.float64]:
    if len(points) < 3:
        return points
    between = float(np.linalg.norm(np.diff(points, axis=0), axis=1).mean())
    return np.asarray(ndimage.gaussian_filter1d(points, sigma_mm / max(between, 1e-6), axis=0, mode="nearest"))


def _across(
    hu: NDArray[np.float32],
    points: NDArray[np.float64],
    along: NDArray[np.float64],
    radius: NDArray[np.float64],
    step: Step,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    helper = np.eye(3)[np.argmin(np.abs(along), axis=1)]
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    rays = np.cos(angles)[:, None, None] * first + np.sin(angles)[:, None, None] * second  # (rays, n, 3)
    reach = REACH * radius + MARGIN_MM
    steps = int(np.ceil(reach.max() / RAY_STEP_MM))
    away = np.arange(steps) * RAY_STEP_MM
    places = points + rays[:, None] * away[:, None, None]  # (rays, steps, n, 3)
    index = np.moveaxis(places / np.asarray(step), -1, 0)
    values = ndimage.map_coordinates(hu, index, order=1, mode="nearest")
    inside = np.median(values[:, :3], axis=(0, 1))
    beyond = np.where(away[:, None] <= reach, values, np.inf)
    around = np.median(beyond.min(axis=1), axis=0)
    low = values < (inside + around) / 2
    found = low.any(axis=1)
    ends = np.where(found, np.maximum(low.argmax(axis=1) - 0.5, 0.5) * RAY_STEP_MM, np.nan)
    ends[:, found.sum(axis=0) < RAYS // 2] = radius[found.sum(axis=0) < RAYS // 2]
    ends = np.where(ends > INTO_BRANCH * np.nanmedian(ends, axis=0) + INTO_BRANCH_MM, np.nan, ends)
    ends = np.where(np.isnan(ends), np.nanmedian(ends, axis=0), ends)
    ends = np.clip(ends, 0.25 * np.median(ends, axis=0), 2 * np.median(ends, axis=0))
    moved = points + (rays * ends[..., None]).mean(axis=0)
    return moved, np.sqrt((ends**2).mean(axis=0))
