"""A picture whose geometry is known, as 2-D/3-D registration takes it; and what a picture without geometry can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.like import Taken
from navplan.geometry.carm import Beam, CArm, Detector, view_words

FEWEST_PX = 24  # of a picture's shorter side
LEAST_SEEN = 0.1  # of a picture that must not be shut away
SHUT_SHARE, SHUT_RIM_PX = 0.002, 3  # of the picture: a black piece from its edge that is smaller is none; about it


@dataclass(frozen=True, eq=False)
class KnownShot:
    """values: (rows, cols) float32 that grow with what a ray passes: best the line integrals, -log of the signal over
    the open beam; an offset and a slow slope do no harm. NaN: nothing there (a shutter). beam: in the frame of the
    C-arm, mm. name: for a person.

    Raises GeometryError for another shape than the detector's, a panel nearer than the source or too few pixels;
    InputError for a picture that holds one value alone or that is shut away.
    """

    values: NDArray[np.float32]
    beam: Beam
    detector: Detector
    name: str = ""

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float32)
        shape = (self.detector.rows, self.detector.cols)
        if values.shape != shape:
            raise GeometryError(f"a picture of {values.shape} of a detector of {shape}", "the same rows and columns")
        if min(shape) < FEWEST_PX or abs(self.beam.distance_mm) < 10.0:
            raise GeometryError(
                f"a picture of {shape}, its panel {abs(self.beam.distance_mm):g} mm from the source",
                f"{FEWEST_PX} rows and columns or more, a panel away from the source",
            )
        values[~np.isfinite(values)] = np.nan
        seen = np.isfinite(values)
        if seen.mean() < LEAST_SEEN or not float(np.ptp(values[seen])) > 0.0:
            raise InputError(
                f"a picture {self.name!r} of {100 * seen.mean():.0f} % finite values"
                + (", all the same" if seen.any() else ""),
                "an X-ray picture of the patient",
            )
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def coarser(self, pixel_mm: float) -> KnownShot:
        """Means of as many pixels as come to about pixel_mm on the panel, fewer where too few would be left; what is
        left over at the edges is cut off. A mean of less than half its pixels is NaN."""
        most = min(self.detector.rows, self.detector.cols) // FEWEST_PX
        many = max(1, min(round(pixel_mm / self.detector.pixel_mm), most))
        rows, cols = self.detector.rows // many, self.detector.cols // many
        top, left = (self.detector.rows - rows * many) // 2, (self.detector.cols - cols * many) // 2
        part = self.values[top : top + rows * many, left : left + cols * many].reshape(rows, many, cols, many)
        seen = np.isfinite(part)
        count = seen.sum(axis=(1, 3))
        sums = np.where(seen, part, 0.0).sum(axis=(1, 3), dtype=np.float64)
        values = np.where(2 * count >= many * many, sums / np.maximum(count, 1), np.nan).astype(np.float32)
        middle = self.beam.pixels_mm(left + (cols * many - 1) / 2, top + (rows * many - 1) / 2, self.detector)
        return KnownShot(
            values,
            replace(self.beam, detector_centre_mm=middle),
            Detector(rows, cols, self.detector.pixel_mm * many),
            self.name,
        )


@dataclass(frozen=True)
class WhatCanBeTold:
    """missing: what the picture does not say; told, not_told: sentences for a person."""

    missing: tuple[str, ...]
    told: tuple[str, ...]
    not_told: tuple[str, ...]

    @property
    def in_mm(self) -> bool:
        """Whether anything can be measured in mm."""
        return not self.missing


def what_can_be_told(place: Taken) -> WhatCanBeTold:
    """What a picture's own geometry allows, and what it does not. Nothing is put in the place of what is missing."""
    missing, told, not_told = set(place.missing), [], []
    if place.angles is not None:
        words = view_words(place.angles)
        told.append(f"the direction of the view, {words}: pictures simulated from there can be laid beside it")
    else:
        not_told.append("the direction of the view")
    told.append("where things lie in the picture, in pixels, and their order along a row or a column")
    if place.sid_mm is not None and place.pixel_mm is not None:
        told.append("under what angle from the source two points of the picture lie apart")
    else:
        not_told.append("angles between rays, since " + _lacks(missing & {"SID", "pixel spacing"}))
    if place.pixel_mm is not None:
        told.append("lengths on the panel, in mm")
    if missing:
        not_told.append("lengths in the patient, a needle's tip or the CT's pose, in mm: " + _lacks(missing))
    else:
        told.append("with the place of the isocentre in the patient or a second view: the CT's pose and a tip, in mm")
    return WhatCanBeTold(place.missing, tuple(told), tuple(not_told))


def _lacks(names: set[str]) -> str:
    return "the picture does not say its " + " and ".join(sorted(names))


def refuse_unknown_geometry(place: Taken) -> None:
    """Raises InputError for a picture whose angles, SID, SOD or pixel spacing are not said: with what it lacks, and
    what can still be told of it."""
    found = what_can_be_told(place)
    if found.missing:
        raise InputError(
            f"a picture that does not say its {', '.join(found.missing)}",
            "a picture with angles, SID, SOD and pixel spacing: nothing in mm follows from it otherwise",
            f"Take a picture that says them, or calibrate the C-arm; told without them: {'; '.join(found.told)}",
        )


def shot_as_told(place: Taken, picture: NDArray[np.uint8], name: str = "") -> KnownShot:
    """A picture (rows, cols) of grey values, dense dark, in the frame of its own isocentre along the patient's axes.

    Grey values rise about as line integrals do; their curve costs likeness, not place. What is shut away (see
    `shut_away`) counts as nothing. Raises InputError as `refuse_unknown_geometry` does, and for a picture that is
    turned about its beam.
    """
    refuse_unknown_geometry(place)
    if abs(place.turned_deg) > 1.0:
        raise InputError(f"a picture turned by {place.turned_deg:g} degrees about its beam", "one that is not turned")
    assert place.angles is not None and place.pixel_mm is not None  # nothing is missing
    carm = CArm(sid_mm=place.sid_mm or 0.0, sod_mm=place.sod_mm or 0.0)
    beam = Beam.of(place.angles, np.zeros(3), carm)
    detector = Detector(place.rows, place.cols, place.pixel_mm)
    values = 255.0 - np.asarray(picture, np.float32)
    values[shut_away(np.asarray(picture))] = np.nan
    return KnownShot(values, beam, detector, name)


def shut_away(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(rows, cols) what a collimator, a shutter or a round field leaves black: pieces of the darkest grey value there
    can be (0) that reach the picture's edge, with a narrow rim. Tissue that is black as well tells nothing either."""
    black = picture == 0
    pieces, count = label(black)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    at_edge = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    shut = np.isin(pieces, [one for one in at_edge if one and sizes[one] > SHUT_SHARE * picture.size])
    return np.asarray(binary_dilation(shut, iterations=SHUT_RIM_PX)) if shut.any() else shut
