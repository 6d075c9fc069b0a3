"""Marks and words that lie over a fluoroscopic image, kept apart from its pixels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.fluoroscopy.image import FluoroImage, needle_ends_mm
from navplan.fluoroscopy.smooth import blurred
from navplan.fluoroscopy.solid import STEPS_BLURRED, Solid
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.conventions import orientation_letters
from navplan.model.trajectory import Trajectory

SIDE_SEEN = 0.2  # as in `orientation_letters`: sides that an edge shows less of are not named there
SHADOW_EDGE = 0.5  # voxels that a ray runs inside a structure at the edge of its shadow
LEAST_OUTLINE = 8  # points; shorter ones are specks
LEAST_NEEDLE_PX = 2.0  # a needle narrower than this in the image gets a line over it, so that it can be found


class Role(StrEnum):
    """What a mark stands for; it decides its colour."""

    TARGET = "target"
    NEEDLE = "needle"
    TIP = "tip"
    SCALE = "scale"
    PATH = "path"
    OUTLINE = "outline"
    ERROR = "error"


class Pictured(Protocol):
    """What marks are cast by: a beam in the frame of what is marked, and the pixels behind it."""

    @property
    def beam(self) -> Beam: ...
    @property
    def detector(self) -> Detector: ...


class Place(StrEnum):
    """Where a side letter stands: at an edge, or for the side that faces the detector."""

    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"
    DETECTOR = "detector"


@dataclass(frozen=True)
class Mark:
    """A line through continuous pixel indices (column, row); whole numbers are pixel centres. name: of the structure
    that an outline is of."""

    role: Role
    points: tuple[tuple[float, float], ...]
    name: str = ""


@dataclass(frozen=True)
class Overlay:
    """What lies over an image.

    marks: lines; sides: the patient's side at each edge of the image ("L", "R", "A", "P", "S", "I", or several, the
    main one first); scale_words: length of the scale bar; lines: of text, top down; warnings: the same, seen first;
    marker: what a lead letter would say, "L" or "R", and where it stands.
    """

    marks: tuple[Mark, ...]
    sides: dict[Place, str]
    scale_words: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    marker: tuple[str, Place] = ("", Place.LEFT)


class Worst:
    """Warnings of several pictures, each once: of those that differ by their number alone the one with the largest."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, str]] = {}
        self._varied: set[str] = set()

    def add(self, warnings: Iterable[str]) -> None:
        """Those of one picture."""
        for words in warnings:
            number = re.search(r"-?\d+(?= (%|mm))", words)
            alike, value = re.sub(r"-?\d+ (%|mm)", r"\1", words), float(number[0]) if number else 0.0
            before = self._found.get(alike)
            if before is not None and before[1] != words:
                self._varied.add(alike)
            if before is None or value > before[0]:
                self._found[alike] = value, words

    @property
    def words(self) -> tuple[str, ...]:
        """In the order in which they came first."""
        return tuple(
            f"{words}, at worst" if alike in self._varied else words for alike, (_, words) in self._found.items()
        )


def _points(values: ArrayLike) -> tuple[tuple[float, float], ...]:
    return tuple((float(column), float(row)) for column, row in np.asarray(values, dtype=np.float64))


def _seen(image: Pictured, column_row: ArrayLike) -> bool:
    column, row = np.asarray(column_row, dtype=np.float64)
    return bool(-0.5 <= column <= image.detector.cols - 0.5 and -0.5 <= row <= image.detector.rows - 0.5)


def side_letters(image: FluoroImage) -> dict[Place, str]:
    """The patient's side at each edge of the image: columns run along u, rows along -v."""
    right, up = image.beam.columns, image.beam.up
    return {
        Place.LEFT: orientation_letters(-right), Place.RIGHT: orientation_letters(right),
        Place.TOP: orientation_letters(up), Place.BOTTOM: orientation_letters(-up),
    }  # fmt: skip


def side_marker(image: FluoroImage) -> tuple[str, Place]:
    """ "L" or "R" and where it stands: the patient's side at the right edge, or in a view from the side, which has
    neither there, the side that faces the detector; of a picture turned on its side that at the top."""
    toward = image.beam.detector_centre_mm - image.beam.source_mm
    places = (
        (Place.RIGHT, float(image.beam.columns[0])), (Place.DETECTOR, float(toward[0] / np.linalg.norm(toward))),
        (Place.TOP, float(image.beam.up[0])),
    )  # fmt: skip
    place, share = next((one for one in places if abs(one[1]) > SIDE_SEEN), places[0])
    return ("L" if share > 0.0 else "R"), place


def outline_marks(image: FluoroImage, solid: Solid) -> list[Mark]:
    """The outlines of a structure's shadow, where the image shows anything: not outside, nor behind a collimator."""
    return shadow_outline(image.beam, image.detector, image.pixel_at_isocentre_mm, solid, image.shown)


def shadow_outline(
    beam: Beam, detector: Detector, pixel_mm: float, solid: Solid, shown: NDArray[np.bool_]
) -> list[Mark]:
    """The outlines of a structure's shadow in a beam of the structure's frame. pixel_mm: of the detector, where the
    structure is; shown: (rows, cols) where the picture shows anything."""
    from contourpy import contour_generator
    from scipy.ndimage import binary_dilation

    spacing = solid.grid.spacing_mm
    shadow = solid.length_mm(beam, detector) > SHADOW_EDGE * float(spacing.min())
    if not shadow.any():
        return []
    sigma_px = STEPS_BLURRED * float(spacing.max()) / pixel_mm
    smooth = blurred(shadow.astype(np.float32), sigma_px)  # without the steps of its voxels
    near = binary_dilation(smooth >= 0.5, iterations=int(np.ceil(sigma_px)) + 1)
    seen = np.maximum(smooth, shadow & ~near)  # what is too thin for that stays as it is
    lines = (np.asarray(line) - 1.0 for line in contour_generator(z=np.pad(seen, 1)).lines(0.5))  # closed at the edge
    pieces = (piece for line in lines for piece in _where_shown(line, shown))
    return [Mark(Role.OUTLINE, _points(piece), solid.name) for piece in pieces if len(piece) >= LEAST_OUTLINE]


def _where_shown(line: NDArray[np.float64], shown: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Of a line (N, 2) of columns and rows the parts that the image shows."""
    columns, rows = (np.clip(np.rint(line[:, n]).astype(int), 0, shown.shape[1 - n] - 1) for n in (0, 1))
    seen = shown[rows, columns]
    if seen.all():
        return [line]
    parts = np.split(np.arange(len(line)), np.flatnonzero(np.diff(seen)) + 1)
    return [line[part] for part in parts if seen[part[0]]]


def path_marks(image: FluoroImage, trajectory: Trajectory) -> list[Mark]:
    """The way still to go, from the tip to the target, and a tick across the way where it enters the skin."""
    tip = trajectory.point_at_mm(trajectory.tip_depth_mm)
    ends = image.beam.project(np.stack([trajectory.entry_mm, trajectory.target_mm, tip]), image.detector)
    if not np.isfinite(ends).all():
        return []
    entry, target, at_tip = ends
    marks = []
    if np.linalg.norm(target - at_tip) > image.detector.cols / 80:  # beyond the ring about the tip
        marks.append(Mark(Role.PATH, _points([at_tip, target])))
    along = target - entry
    length = float(np.linalg.norm(along))
    if length > image.detector.cols / 40 and _seen(image, entry):
        across = np.array([-along[1], along[0]]) / length * image.detector.cols / 60
        marks.append(Mark(Role.PATH, _points([entry - across, entry + across])))
    return marks


def _cross(column: float, row: float, size: float) -> list[Mark]:
    """Four strokes around a point, which itself stays free."""
    return [
        Mark(Role.TARGET, ((column + x * size * 0.4, row + y * size * 0.4), (column + x * size, row + y * size)))
        for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]


def target_marks(image: Pictured, target_mm: ArrayLike) -> list[Mark]:
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
