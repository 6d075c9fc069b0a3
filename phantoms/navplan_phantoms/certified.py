"""Bounds of distances and estimates of volumes for any solid, closed form or not.

Both search an octree with the signed distance alone: a cell whose centre is farther from the surface than its half
diagonal is wholly inside or wholly outside.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.solid_base import FloatArray, Solid, as_vector, point_to_segment_mm

_CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
_FIRST_DIVISION = 8


def _first_cells(bounds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres (N, 3) and common half size (3,) of the cells that fill a finite box."""
    if not bool(np.all(np.isfinite(bounds))):
        raise ValueError("this search needs a solid of finite size")
    size = np.maximum(bounds[1] - bounds[0], 1e-9)
    counts = np.maximum(1, np.round(_FIRST_DIVISION * size / size.max())).astype(int)
    axes = [low + (np.arange(n) + 0.5) * extent / n for low, n, extent in zip(bounds[0], counts, size, strict=True)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return centres, 0.5 * size / counts


def _split(centres: FloatArray, half: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Replace every cell by its eight octants."""
    return (centres[:, None, :] + _CORNERS * half).reshape(-1, 3), 0.5 * half


def segment_distance_bounds_mm(
    solid: Solid,
    start: ArrayLike,
    stop: ArrayLike,
    tolerance_mm: float = 0.02,
    relative_tolerance: float = 0.0,
    maximum_cells: int = 400_000,
) -> tuple[float, float]:
    """Lower and upper bound (mm) of the distance between the segment start-stop and the solid.

    Equal where the solid has an exact distance or the segment enters it. Otherwise branch and bound: a cell that may
    hold a point of the solid bounds the distance from below, a cell whose centre is in the solid bounds it from above.
    Ends when the two are within `tolerance_mm`, or `relative_tolerance` times the distance, of each other, or when
    `maximum_cells` would be passed; the bounds hold either way.
    """
    first, last = as_vector(start), as_vector(stop)
    direct = solid.segment_distance_mm(first, last)
    if solid.exact_outside or (direct == 0.0 and solid.chord_mm(first, last) > 0.0):
        return direct, direct
    centres, half = _first_cells(solid.bounds_mm())
    lower, upper = direct, math.inf
    while True:
        diagonal = float(np.linalg.norm(half))
        signed = solid.signed_distance_mm(centres)
        distance = point_to_segment_mm(centres, first, last)
        inside = signed <= 0.0
        if bool(inside.any()):
            upper = min(upper, float(distance[inside].min()))
        possible = (signed <= diagonal) & (distance - diagonal <= upper)
        if not bool(possible.any()):
            return lower, upper
        lower = max(lower, min(upper, float((distance[possible] - diagonal).min())))
        if upper - lower <= max(tolerance_mm, relative_tolerance * lower) or 8 * int(possible.sum()) > maximum_cells:
            return lower, upper
        centres, half = _split(centres[possible], half)


def sampled_volume_mm3(solid: Solid, maximum_cells: int = 150_000) -> tuple[float, float]:
    """Volume of a finite solid and its estimated standard error (mm^3).

    Cells wholly inside count in full. The last cells at the surface are sampled at one random point each (fixed seed),
    which is unbiased; the standard error is that of stratified sampling, at most half a cell for each cell.
    """
    centres, half = _first_cells(solid.bounds_mm())
    volume = 0.0
    while True:
        signed = solid.signed_distance_mm(centres)
        diagonal = float(np.linalg.norm(half))
        cell = 8.0 * float(np.prod(half))
        volume += cell * int(np.count_nonzero(signed < -diagonal))
        centres = centres[np.abs(signed) <= diagonal]
        if len(centres) * 8 > maximum_cells or len(centres) == 0:
            break
        centres, half = _split(centres, half)
    jitter = np.random.default_rng(0).uniform(-1.0, 1.0, size=centres.shape) * half
    inside = solid.contains(centres + jitter)
    cell = 8.0 * float(np.prod(half))
    return volume + cell * int(np.count_nonzero(inside)), 0.5 * cell * math.sqrt(len(centres))
