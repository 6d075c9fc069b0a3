"""Marks and words that lie over a fluoroscopic image, kept apart from its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from navplan.fluoroscopy.image import FluoroImage, needle_ends_mm
from navplan.geometry.conventions import orientation_letters
from navplan.model.trajectory import Trajectory

LEAST_NEEDLE_PX = 2.0  # a needle narrower than this in the image gets a line over it, so that it can be found


class Role(StrEnum):
    """What a mark stands for; it decides its colour."""

    TARGET = "target"
    NEEDLE = "needle"
    TIP = "tip"
    SCALE = "scale"


class Place(StrEnum):
    """Where a side letter stands."""

    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"


@dataclass(frozen=True)
class Mark:
    """A line through continuous pixel indices (column, row); whole numbers are pixel centres."""

    role: Role
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Overlay:
    """What lies over an image.

    marks: lines; sides: the patient's side at each edge of the image ("L", "R", "A", "P", "S", "I", or several, the
    main one first); scale_words: length of the scale bar; lines: of text, top down; warnings: the same, seen first.
    """

    marks: tuple[Mark, ...]
    sides: dict[Place, str]
    scale_words: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def _points(values: ArrayLike) -> tuple[tuple[float, float], ...]:
    return tuple((float(column), float(row)) for column, row in np.asarray(values, dtype=np.float64))


def _seen(image: FluoroImage, column_row: ArrayLike) -> bool:
    column, row = np.asarray(column_row, dtype=np.float64)
    return bool(-0.5 <= column <= image.detector.cols - 0.5 and -0.5 <= row <= image.detector.rows - 0.5)


def side_letters(image: FluoroImage) -> dict[Place, str]:
    """The patient's side at each edge of the image: columns run along u, rows along -v."""
    right, up = image.beam.columns, image.beam.up
    return {
        Place.LEFT: orientation_letters(-right), Place.RIGHT: orientation_letters(right),
        Place.TOP: orientation_letters(up), Place.BOTTOM: orientation_letters(-up),
    }  # fmt: skip


def _cross(column: float, row: float, size: float) -> list[Mark]:
    """Four strokes around a point, which itself stays free."""
    return [
        Mark(Role.TARGET, ((column + x * size * 0.4, row + y * size * 0.4), (column + x * size, row + y * size)))
        for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]


def target_marks(image: FluoroImage, target_mm: ArrayLike) -> list[Mark]:
    """A cross with an open middle about a target (3,); nothing where it is outside the image."""
    column, row = image.beam.project(target_mm, image.detector)
    return _cross(column, row, image.detector.cols / 24) if _seen(image, (column, row)) else []


def needle_marks(image: FluoroImage, trajectory: Trajectory) -> list[Mark]:
    """A ring about the tip, and a line along the shaft where it is too thin in the image to be found."""
    hub_mm, tip_mm = needle_ends_mm(trajectory)
    hub, tip = image.beam.project(np.stack([hub_mm, tip_mm]), image.detector)
    marks = []
    turn = np.linspace(0.0, 2.0 * np.pi, 25)
    if _seen(image, tip):
        radius = image.detector.cols / 80
        marks.append(Mark(Role.TIP, _points(tip + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1))))
    if trajectory.device.diameter_mm / image.pixel_at_isocentre_mm < LEAST_NEEDLE_PX and np.isfinite(hub).all():
        marks.append(Mark(Role.NEEDLE, _points([hub, tip])))
    return marks


def scale_bar(image: FluoroImage) -> tuple[Mark, str]:
    """A bar at the lower left and its length, true in the plane through the isocentre."""
    wide_mm = image.detector.cols * image.pixel_at_isocentre_mm
    length_mm = max((size for size in (1, 2, 5, 10, 20, 50, 100) if size <= wide_mm / 3), default=1)
    start, row = 0.04 * image.detector.cols, 0.95 * image.detector.rows
    bar = Mark(Role.SCALE, ((start, row), (start + length_mm / image.pixel_at_isocentre_mm, row)))
    return bar, f"{length_mm} mm at the isocentre"
