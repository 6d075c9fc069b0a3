"""Whether single slices make one volume, by their positions in the headers and never by a tag for tilt or spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError
from navplan.geometry.grid import ORTHOGONALITY_TOLERANCE

SAME_DIRECTION = 2e-4  # largest difference of a direction cosine between slices of one orientation
SAME_SPACING = 1e-4  # largest relative difference of pixel spacing
SAME_PLACE_MM = 0.01
LARGEST_DEVIATION_MM = 0.1  # of a slice from its place in an even stack; also at most a tenth of the gap
LARGEST_TILT_DEG = 35.0  # CT gantries tilt up to 30 degrees


@dataclass(frozen=True)
class SlicePlacement:
    """Where one slice lies: LPS mm of its first pixel's centre, directions of its rows and columns, DICOM spacing.

    spacing_mm: (between rows, between columns), DICOM's order; size: (rows, columns).
    """

    position_mm: tuple[float, float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class SliceStack:
    """An even stack: slices in the `order` of their places along the normal.

    affine: (4, 4) index (column, row, slice) -> LPS mm, right-handed; sheared by tilt_deg where that is not 0.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    tilt_deg: float


def stack_slices(slices: Sequence[SlicePlacement]) -> SliceStack:
    """The stack that these slices make.

    Raises GeometryError for fewer than two slices, slices of several sizes, spacings or orientations, all or some at
    one place, a missing slice, uneven gaps, and a tilt that no gantry has.
    """
    first = slices[0]
    _check_alike(slices)
    rows = np.array([one.row_direction for one in slices])
    columns = np.array([one.column_direction for one in slices])
    row, column = rows[0] / np.linalg.norm(rows[0]), columns[0] / np.linalg.norm(columns[0])
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    positions = np.array([one.position_mm for one in slices])
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    positions, heights = positions[order], heights[order]
    _check_even(positions, heights)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    cosine = min(1.0, abs(float(step @ normal)) / float(np.linalg.norm(step)))
    sideways = float(np.linalg.norm(step - (step @ normal) * normal) / np.linalg.norm(step))
    tilt_deg = float(np.degrees(np.arccos(cosine))) if sideways > ORTHOGONALITY_TOLERANCE else 0.0
    if tilt_deg > LARGEST_TILT_DEG:
        raise GeometryError(
            f"slices stacked {tilt_deg:.0f} degrees off their normal", f"at most {LARGEST_TILT_DEG:.0f} degrees"
        )
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing_mm[1]
    affine[:3, 1] = column * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    shape = (first.size[1], first.size[0], len(slices))
    return SliceStack(tuple(int(index) for index in order), affine, shape, tilt_deg)


def _check_alike(slices: Sequence[SlicePlacement]) -> None:
    first = slices[0]
    if len(slices) < 2:
        raise GeometryError("a single slice", "a volume of at least 2", "Give the folder that holds the whole series")
    sizes = {one.size for one in slices}
    if len(sizes) > 1:
        listed = ", ".join(f"{columns}x{rows}" for rows, columns in sorted(sizes))
        raise GeometryError(f"slices of several sizes ({listed})", "one size")
    directions = np.array([(*one.row_direction, *one.column_direction) for one in slices])
    positions = np.array([one.position_mm for one in slices])
    lengths = np.linalg.norm(directions.reshape(-1, 3), axis=1)
    right = np.abs(np.einsum("ij,ij->i", directions[:, :3], directions[:, 3:])).max()
    if not np.isfinite(positions).all() or not (np.abs(lengths - 1).max() < 1e-3 and right < ORTHOGONALITY_TOLERANCE):
        raise GeometryError(
            "slice positions or directions that make no sense", "finite values, unit vectors, right angles"
        )
    if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
        groups = len(np.unique(np.round(directions, 2), axis=0))
        raise GeometryError(
            f"slices of mixed orientation ({max(groups, 2)} directions in one series)",
            "parallel slices",
            f"Split the series by orientation; the first slice has {np.round(_directions(first), 3).tolist()}",
        )
    spacings = np.array([one.spacing_mm for one in slices])
    alike = np.ptp(spacings, axis=0).max() <= SAME_SPACING * spacings.max()
    if not np.isfinite(spacings).all() or spacings.min() <= 0 or not alike:
        raise GeometryError(f"pixel spacings from {spacings.min():g} to {spacings.max():g} mm", "one positive spacing")


def _directions(placement: SlicePlacement) -> tuple[float, ...]:
    return (*placement.row_direction, *placement.column_direction)


def _check_even(positions: NDArray[np.float64], heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    together = int(np.count_nonzero(gaps < SAME_PLACE_MM))
    if together == len(gaps):
        raise GeometryError(f"{len(heights)} slices all at one place", "a volume: slices one above the other")
    if together:
        raise GeometryError(
            f"{together} slices at a place that another slice has",
            "one slice at each place",
            "Remove the copies, or choose one of the phases that were stored together",
        )
    even = positions[0] + np.arange(len(positions))[:, None] * (positions[-1] - positions[0]) / (len(positions) - 1)
    typical = float(np.median(gaps))
    if np.linalg.norm(positions - even, axis=1).max() <= min(LARGEST_DEVIATION_MM, 0.1 * typical):
        return
    least = float(gaps.min())
    multiples = gaps / least
    widest = int(np.argmax(gaps))
    place = f"between {heights[widest]:.2f} and {heights[widest + 1]:.2f} mm along the normal"
    if np.abs(multiples - np.round(multiples)).max() < 0.1 and round(multiples.max()) > 1:
        missing = int(np.round(multiples).sum()) - len(gaps)
        raise GeometryError(
            f"{missing} missing slice{'s' * (missing > 1)}: gaps of {least:.3g} mm, but {gaps.max():.3g} mm {place}",
            "every slice of the series",
            "Export the series again, complete",
        )
    if gaps.max() - least <= LARGEST_DEVIATION_MM:
        raise GeometryError("slices that do not lie in one straight row", "one direction from each slice to the next")
    raise GeometryError(
        f"uneven gaps between slices, from {least:.3g} to {gaps.max():.3g} mm, the widest {place}",
        "one gap",
        "Use a reconstruction with even gaps",
    )
