"""A needle in the beam: a steel rod of its true diameter, drawn from its geometry and not from voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.carm import Beam, Detector
from navplan.geometry.lines import unit

LEAST_SUBPIXELS, MOST_SUBPIXELS = 4, 24  # a side; more for a needle that is thin against a pixel


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


@dataclass(frozen=True, eq=False)
class RodInBeam:
    """pixels: (N,) flat indices of the pixels that may see it; chords_mm: (N, M) of evenly spread rays in each."""

    pixels: NDArray[np.int64]
    chords_mm: NDArray[np.float64]


def rod_in_beam(beam: Beam, detector: Detector, hub_mm: ArrayLike, tip_mm: ArrayLike, diameter_mm: float) -> RodInBeam:
    """How far rays run inside a solid rod with flat ends; none where it is outside the picture or behind the source.

    The bevel is not drawn.
    """
    nothing = RodInBeam(np.zeros(0, dtype=np.int64), np.zeros((0, 1)))
    hub_and_tip = np.stack([np.asarray(hub_mm, dtype=np.float64), np.asarray(tip_mm, dtype=np.float64)])
    ends = beam.project(hub_and_tip, detector)
    reach = np.linalg.norm(hub_and_tip - beam.source_mm, axis=1).min()
    if not np.isfinite(ends).all() or reach < 1.0:
        return nothing
    to_detector = float(np.linalg.norm(beam.detector_centre_mm - beam.source_mm))
    wide_px = diameter_mm * to_detector / (reach * detector.pixel_mm)
    margin = 2.0 + 1.5 * wide_px
    size = np.array([detector.cols, detector.rows])
    low = np.clip(np.floor(ends.min(axis=0) - margin), 0, size).astype(int)
    high = np.clip(np.ceil(ends.max(axis=0) + margin) + 1, low, size).astype(int)
    across, down = (np.arange(first, last, dtype=np.float64) for first, last in zip(low, high, strict=True))
    along = ends[1] - ends[0]
    squared = float(along @ along)
    x, y = across[None, :] - ends[0, 0], down[:, None] - ends[0, 1]
    at = np.clip((x * along[0] + y * along[1]) / squared, 0.0, 1.0) if squared > 1e-12 else np.zeros(x.shape)
    rows, columns = np.nonzero((x - at * along[0]) ** 2 + (y - at * along[1]) ** 2 <= margin**2)
    if not rows.size:
        return nothing
    cuts = int(np.clip(np.ceil(4.0 / wide_px), LEAST_SUBPIXELS, MOST_SUBPIXELS))
    fine = (np.arange(cuts) + 0.5) / cuts - 0.5
    lower, right = (shift.ravel() for shift in np.meshgrid(fine, fine, indexing="ij"))
    points = beam.pixels_mm(across[columns][:, None] + right, down[rows][:, None] + lower, detector).reshape(-1, 3)
    chords = rod_chords_mm(beam.source_mm, unit(points - beam.source_mm), hub_mm, tip_mm, diameter_mm / 2)
    pixels = (rows + low[1]) * detector.cols + columns + low[0]
    return RodInBeam(pixels.astype(np.int64), chords.reshape(rows.size, -1))
