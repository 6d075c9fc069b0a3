"""Electronic shutters: which part of the panel a monitor shows.

A real system shows a field with round corners, and its operator closes the shutters to what there is to see. Here they
close by themselves, where the CT ends inside the body or is missed altogether, so that nothing that was never imaged
looks like open air, and where there is air alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from navplan.fluoroscopy.anatomy import Anatomy
from navplan.geometry.carm import Beam, Detector

ROUND = 1.15  # radius of the round field, in half sides of the panel: the corners are cut, the sides are not
LOOKED_AT = 64  # pixels along the longer side that the shutters are set by
OPEN_AIR = 0.2  # attenuation of about 1 cm of water: below it a ray counts as air
AIR_SHARE = 0.97  # of a row or column, in air alone
AIR_LEFT = 0.04  # of the panel's side: so much air stays in the picture
LEAST_OPEN = 0.35  # of the panel: where less is whole they stay open, and the picture's words say what is missing
EDGE_SHARE = 0.025  # of the panel's side: how wide a shutter's edge is
BLADE_GREY, GLOW_GREY = 26.0, 34.0  # what a shutter looks like, and what most scatter adds to that


class Shutters:
    """What of a panel is shown. shown: (rows, cols); sides: first and last (exclusive) row and column."""

    def __init__(self, detector: Detector, sides: tuple[int, int, int, int], glow: NDArray[np.float32]) -> None:
        """glow: (rows, cols) scatter that lies over the shutters, in any unit."""
        self.sides = sides
        counts = ((detector.rows, sides[:2]), (detector.cols, sides[2:]))
        wide = EDGE_SHARE * max(detector.rows, detector.cols)
        down, across = (_through(count, first, last, wide) for count, (first, last) in counts)
        field, through = round_field(detector), down[:, None] * across
        self.shown = field & (through > 0.0)
        self._changed = np.flatnonzero(~field | (through < 1.0))
        self._through = np.where(field, through, 0.0).ravel()[self._changed].astype(np.float32)
        blade = BLADE_GREY + GLOW_GREY * glow.ravel()[self._changed] / max(float(glow.max()), 1e-9)
        self._blade = np.where(field.ravel()[self._changed], blade, 0.0) * (1.0 - self._through)

    def close(self, pixels: NDArray[np.uint8]) -> None:
        """Darken grey values (rows, cols) where they are closed."""
        flat = pixels.reshape(-1)
        flat[self._changed] = self._blade + self._through * flat[self._changed]


def shutters(
    anatomy: Anatomy, beam: Beam, detector: Detector, attenuation: NDArray[np.float32], scatter: NDArray[np.float32]
) -> Shutters:
    """Closed to the largest rectangle about the middle of the panel in which the CT leaves nothing out, without the air
    at its sides. Where it leaves out the middle itself, or most, they stay open, but for the round field. attenuation,
    scatter: (rows, cols), of the same view."""
    step = max(1, -(-max(detector.rows, detector.cols) // LOOKED_AT))
    coarse = Detector(detector.rows // step, detector.cols // step, detector.pixel_mm * step)
    missed = median_filter(~anatomy.covered(beam, coarse), size=3, mode="nearest")  # without specks
    picked = [np.minimum((np.arange(n) + 0.5) * many / n, many - 1).astype(int)
              for n, many in zip(missed.shape, attenuation.shape, strict=True)]  # fmt: skip
    sides = _largest_rectangle(missed)
    if (sides[1] - sides[0]) * (sides[3] - sides[2]) < LEAST_OPEN * missed.size:
        sides = (0, missed.shape[0], 0, missed.shape[1])
    sides = _without_air(attenuation[np.ix_(*picked)] < OPEN_AIR, sides)
    top, bottom, left, right = (round(side * many / n) for side, n, many in zip(
        sides, np.repeat(missed.shape, 2), np.repeat(attenuation.shape, 2), strict=True))  # fmt: skip
    return Shutters(detector, (top, bottom, left, right), scatter)


def round_field(detector: Detector) -> NDArray[np.bool_]:
    """(rows, cols) a panel without its corners."""
    down, across = (np.arange(n) - (n - 1) / 2 for n in (detector.rows, detector.cols))
    radius = ROUND * max(detector.rows, detector.cols) / 2
    return np.asarray(down[:, None] ** 2 + across**2 <= radius**2)


def _through(count: int, first: int, last: int, wide: float) -> NDArray[np.float64]:
    """(count,) what a pair of shutters lets through, closed before `first` and from `last`, 0 and `count`: open."""
    place = np.arange(count) + 0.5
    before = np.full(count, np.inf) if first == 0 else place - first
    behind = np.full(count, np.inf) if last == count else last - place
    return np.asarray(np.clip(np.minimum(before, behind) / wide, 0.0, 1.0))


def _largest_rectangle(missed: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First and last (exclusive) row and column of the largest rectangle about the middle without a missed ray."""
    rows, cols = missed.shape
    middle, centre = rows // 2, cols // 2
    best, whole = 0, (0, rows, 0, cols)
    found = whole
    if missed[middle, centre]:
        return whole
    above = np.logical_or.accumulate(missed[middle::-1], axis=0)  # any from the middle up to so many rows above
    below = np.logical_or.accumulate(missed[middle:], axis=0)
    for up, upper in enumerate(above):
        bad = upper | below  # (rows below, cols)
        left = centre - np.argmax(np.pad(bad[:, centre::-1], ((0, 0), (0, 1)), constant_values=True), axis=1) + 1
        right = centre + np.argmax(np.pad(bad[:, centre:], ((0, 0), (0, 1)), constant_values=True), axis=1)
        area = np.where(bad[:, centre], 0, (right - left) * (up + 1 + np.arange(len(below))))
        down = int(area.argmax())
        if area[down] > best:
            best, found = int(area[down]), (middle - up, middle + down + 1, int(left[down]), int(right[down]))
    return found


def _without_air(air: NDArray[np.bool_], sides: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """A rectangle without what is air alone at its sides, but for a rim."""
    top, bottom, left, right = sides
    inside = air[top:bottom, left:right]
    rows, cols = (np.flatnonzero(inside.mean(axis=axis) < AIR_SHARE) for axis in (1, 0))
    if not rows.size or not cols.size:
        return sides
    rim = round(AIR_LEFT * max(air.shape))
    return (
        max(top, top + int(rows[0]) - rim), min(bottom, top + int(rows[-1]) + 1 + rim),
        max(left, left + int(cols[0]) - rim), min(right, left + int(cols[-1]) + 1 + rim),
    )  # fmt: skip
