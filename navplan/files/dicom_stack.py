"""Whether single slices make one volume, by their positions in the headers and never by a tag for tilt or spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError
from navplan.geometry.grid import ORTHOGONALITY_TOLERANCE

SAME_DIRECTION = 2e-4  # largest difference of a direction cosine between slices of one orientation
SAME_SPACING = 1e-4  # largest relative difference of pixel spacing
SAME_PLACE_MM = 0.01
LARGEST_DEVIATION_MM = 0.1  # of a slice from its place in an even stack; also at most a tenth of the gap
LARGEST_TILT_DEG = 35.0  # CT gantries tilt up to 30 degrees
MOST_SLID = 8.0  # widths of a slice that a tilt moves the last one by: beyond, most of the volume would be empty
WIDE = 1.5  # a gap so many times the usual one is no sampling: something was left out
REGULAR_RUN = 3  # so many like gaps in a row are how this part was sampled
LIKE = 0.1  # largest relative difference of like gaps
MOST_SLICES = 20_000  # of the even grid that an uneven stack is brought to
MOST_ADDED = 16  # slices of that grid for each that there is: most of a wider stack would be unknown
FINEST = 0.25  # of the usual gap: the even grid is no finer


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
    """Slices in the `order` of their places along the normal, on an even grid.

    affine: (4, 4) index (column, row, slice) -> LPS mm, right-handed; sheared by tilt_deg where that is not 0; shape:
    of the grid. places: (N,) of each slice on the grid's third axis, in slices; None where the stack is even, slice n
    at n. heights_mm: (N,) of the slices along their normal; wide: numbers of slices behind which a gap is too wide to
    be how the series was sampled. tilt_deg: by positions.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    tilt_deg: float
    places: NDArray[np.float64] | None = None
    heights_mm: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    wide: tuple[int, ...] = ()

    def gap_mm(self, number: int) -> float:
        """From slice `number` to the next, along the normal."""
        return float(self.heights_mm[number + 1] - self.heights_mm[number])


def stack_slices(slices: Sequence[SlicePlacement]) -> SliceStack:
    """The stack that these slices make, uneven gaps and tilt included.

    Raises GeometryError for fewer than two slices, slices of several sizes, spacings or orientations, all or some at
    one place, slices that do not lie in one row, and a tilt that no gantry has.
    """
    first = slices[0]
    _check_alike(slices)
    row, column, normal = _axes(first)
    positions, heights, order = _sorted(slices, normal)
    _check_apart(heights)
    total = float(heights[-1] - heights[0])
    slope = (positions[-1] - positions[0]) / total  # mm for each mm along the normal
    cosine = min(1.0, abs(float(slope @ normal)) / float(np.linalg.norm(slope)))
    sideways = float(np.linalg.norm(slope - (slope @ normal) * normal) / np.linalg.norm(slope))
    tilt_deg = float(np.degrees(np.arccos(cosine))) if sideways > ORTHOGONALITY_TOLERANCE else 0.0
    if tilt_deg > LARGEST_TILT_DEG:
        raise GeometryError(
            f"slices stacked {tilt_deg:.0f} degrees off their normal", f"at most {LARGEST_TILT_DEG:.0f} degrees"
        )
    slid = total * np.abs([slope @ column, slope @ row]) / np.array(first.spacing_mm) / np.array(first.size)
    if tilt_deg > 0 and slid.max() > MOST_SLID:
        raise GeometryError(
            f"a tilted stack that slides its slices by {slid.max():.0f} times their width",
            f"at most {MOST_SLID:g} times",
        )
    in_row = positions[0] + (heights - heights[0])[:, None] * slope
    gaps = np.diff(heights)
    if np.linalg.norm(positions - in_row, axis=1).max() > min(LARGEST_DEVIATION_MM, 0.1 * float(np.median(gaps))):
        raise GeometryError("slices that do not lie in one straight row", "one direction from each slice to the next")
    places, count = (None, len(slices)) if _even(heights) else _on_a_grid(heights)
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing_mm[1]
    affine[:3, 1] = column * first.spacing_mm[0]
    affine[:3, 2] = slope * total / (count - 1)
    affine[:3, 3] = positions[0]
    wide = np.flatnonzero(_wide(gaps)) if places is not None else ()
    return SliceStack(
        tuple(int(index) for index in order), affine, (first.size[1], first.size[0], count), tilt_deg, places,
        heights, tuple(int(n) for n in wide),
    )  # fmt: skip


def is_even(slices: Sequence[SlicePlacement]) -> bool:
    """Whether slices of one orientation lie one at each place, evenly."""
    if len(slices) < 2:
        return False
    _, heights, _ = _sorted(slices, _axes(slices[0])[2])
    return bool(np.diff(heights).min() >= SAME_PLACE_MM) and _even(heights)


def places_differ(slices: Sequence[SlicePlacement]) -> bool:
    """Whether no two slices of one orientation lie at one place."""
    if len(slices) < 2:
        return True
    _, heights, _ = _sorted(slices, _axes(slices[0])[2])
    return bool(np.diff(heights).min() >= SAME_PLACE_MM)


def span_mm(slices: Sequence[SlicePlacement]) -> tuple[float, float]:
    """The lowest and the highest place of slices of one orientation along their normal."""
    _, heights, _ = _sorted(slices, _axes(slices[0])[2])
    return float(heights[0]), float(heights[-1])


def _axes(first: SlicePlacement) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    row, column = np.array(first.row_direction), np.array(first.column_direction)
    with np.errstate(invalid="ignore", divide="ignore"):
        row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
        normal = np.cross(row, column)
        return row, column, normal / np.linalg.norm(normal)


def _sorted(
    slices: Sequence[SlicePlacement], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    positions = np.array([one.position_mm for one in slices])
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    return positions[order], heights[order], order


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


def _check_apart(heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    together = int(np.count_nonzero(gaps < SAME_PLACE_MM))
    if together == len(gaps):
        raise GeometryError(f"{len(heights)} slices all at one place", "a volume: slices one above the other")
    if together:
        raise GeometryError(
            f"{together} slices at a place that another slice has",
            "one slice at each place",
            "Nothing in the headers tells them apart: store the phases as series of their own",
        )


def _even(heights: NDArray[np.float64]) -> bool:
    even = np.linspace(heights[0], heights[-1], len(heights))
    allowed = min(LARGEST_DEVIATION_MM, 0.1 * float(np.median(np.diff(heights))))
    return bool(np.abs(heights - even).max() <= allowed)


def _wide(gaps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Gaps in which something was left out: wider than the usual one, and not how this part was sampled."""
    wide = gaps > WIDE * float(np.median(gaps))
    # of two kinds of gaps in equal number neither is usual: the narrow one is
    wide |= gaps > WIDE * float(np.sort(gaps)[(len(gaps) - 1) // 2])
    for n in np.flatnonzero(wide):
        like = np.abs(gaps - gaps[n]) <= LIKE * gaps[n]
        first, last = n, n
        while first > 0 and like[first - 1]:
            first -= 1
        while last + 1 < len(gaps) and like[last + 1]:
            last += 1
        wide[n] = last - first + 1 < REGULAR_RUN
    return wide


def _on_a_grid(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Places of uneven slices on an even grid that is as fine as their least gap, and how many slices that has.

    Where all gaps are whole multiples of the least one, every slice lies on the grid.
    """
    gaps, total = np.diff(heights), float(heights[-1] - heights[0])
    step = max(float(gaps.min()), FINEST * float(np.median(gaps)))
    many = np.rint(gaps / step)
    if np.abs(gaps - many * step).max() <= LARGEST_DEVIATION_MM and many.min() >= 1:
        places = np.concatenate([[0.0], np.cumsum(many)])
        if np.abs(places * total / places[-1] + heights[0] - heights).max() <= LARGEST_DEVIATION_MM:
            return _limited(places)
    return _limited((heights - heights[0]) / total * round(total / step))


def _limited(places: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    count = round(float(places[-1])) + 1
    most = min(MOST_SLICES, MOST_ADDED * len(places))
    if count > most:
        raise GeometryError(f"{len(places)} slices whose gaps ask for {count}", f"at most {most}")
    return places, count
