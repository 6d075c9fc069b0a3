"""A needle in the beam: a steel rod of its true diameter, drawn from its geometry and not from voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.fluoroscopy.materials import STEEL_PER_MM
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.lines import distance_points_to_segment, unit

LEAST_SUBPIXELS, MOST_SUBPIXELS = 5, 24  # a side; more for a needle that is thin against a pixel


def rod_chords_mm(
    origin_mm: ArrayLike, directions: ArrayLike, start_mm: ArrayLike, end_mm: ArrayLike, radius_mm: float
) -> NDArray[np.float64]:
    """(N,) mm that rays from origin (3,) along unit directions (N, 3) run inside a solid rod with flat ends."""
    start = np.asarray(start_mm, dtype=np.float64)
    axis = unit(np.asarray(end_mm, dtype=np.float64) - start)
    length = float(np.linalg.norm(np.asarray(end_mm, dtype=np.float64) - start))
    rays = np.asarray(directions, dtype=np.float64)
    offset = np.asarray(origin_mm, dtype=np.float64) - start
    slope, height = rays @ axis, float(offset @ axis)  # along the rod: height + t slope
    across, beside = rays - slope[:, None] * axis, offset - height * axis  # across it: beside + t across
    squared = np.einsum("ij,ij->i", across, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = -(across @ beside) / squared
        nearest = beside + middle[:, None] * across
        half = np.sqrt((radius_mm**2 - np.einsum("ij,ij->i", nearest, nearest)) / squared)
        ends = np.stack([-height / slope, (length - height) / slope])
    parallel = squared < 1e-18  # straight down the rod: inside all the way, or not at all
    within = float(beside @ beside) <= radius_mm**2
    low = np.where(parallel, -np.inf if within else np.inf, middle - half)
    high = np.where(parallel, np.inf if within else -np.inf, middle + half)
    level = np.abs(slope) < 1e-12  # square across the rod: between the ends all the way, or not at all
    between = 0.0 <= height <= length
    first = np.where(level, -np.inf if between else np.inf, ends.min(axis=0))
    last = np.where(level, np.inf if between else -np.inf, ends.max(axis=0))
    chord = np.minimum(high, last) - np.maximum(np.maximum(low, first), 0.0)
    return np.asarray(np.where(np.isnan(chord), 0.0, np.maximum(chord, 0.0)))


def needle_line_integrals(
    beam: Beam, detector: Detector, hub_mm: ArrayLike, tip_mm: ArrayLike, diameter_mm: float
) -> NDArray[np.float32]:
    """(rows, cols) float32: what the needle adds to the line integrals of attenuation.

    Each pixel has -log of the mean intensity over its own area. The tissue that the needle displaces is left in: an
    error of 2 %. The bevel is not drawn.
    """
    image = np.zeros((detector.rows, detector.cols), dtype=np.float32)
    hub_and_tip = np.stack([np.asarray(hub_mm, dtype=np.float64), np.asarray(tip_mm, dtype=np.float64)])
    ends = beam.project(hub_and_tip, detector)
    reach = np.linalg.norm(hub_and_tip - beam.source_mm, axis=1).min()
    to_detector = float(np.linalg.norm(beam.detector_centre_mm - beam.source_mm))
    if not np.isfinite(ends).all() or reach < 1.0:
        return image
    row, column = (index.ravel() for index in np.indices(image.shape))
    points = np.stack([column, row, np.zeros_like(row)], axis=1)
    hub, tip = np.append(ends[0], 0.0), np.append(ends[1], 0.0)
    wide_px = diameter_mm * to_detector / (reach * detector.pixel_mm)
    margin = 2.0 + 1.5 * wide_px
    if float(np.linalg.norm(tip - hub)) > 1e-6:
        away = distance_points_to_segment(points, hub, tip)[0]
    else:
        away = np.linalg.norm(points - tip, axis=1)
    near = np.flatnonzero(away <= margin)
    if not near.size:
        return image
    cuts = int(np.clip(np.ceil(4.0 / wide_px), LEAST_SUBPIXELS, MOST_SUBPIXELS))
    fine = (np.arange(cuts) + 0.5) / cuts - 0.5
    down, right = (shift.ravel() for shift in np.meshgrid(fine, fine, indexing="ij"))
    pixels = beam.pixels_mm(column[near, None] + right, row[near, None] + down, detector).reshape(-1, 3)
    chords = rod_chords_mm(beam.source_mm, unit(pixels - beam.source_mm), hub_mm, tip_mm, diameter_mm / 2)
    transmitted = np.exp(-STEEL_PER_MM * chords).reshape(len(near), -1).mean(axis=1)
    image.ravel()[near] = -np.log(transmitted)
    return image
