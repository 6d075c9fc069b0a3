"""Fluoroscopy of a rehearsal: the patient is projected once for each place of the C-arm, the needle into every picture.

What moves with breath does not move in these pictures; a patient who moved on the table does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.image import Rod, View
from navplan.fluoroscopy.smooth import blurred
from navplan.geometry.carm import Detector, ViewAngles
from navplan.geometry.conventions import orientation_letters
from navplan.model.device import Device
from navplan.model.volume import Volume
from navplan.session.rehearsing_hand import machine_of
from navplan.session.rehearsing_scan import needle_line_mm
from navplan.training.actions import MoveCarm
from navplan.training.needle_path import NeedlePath

KEPT_VIEWS, COARSER = 6, 4
PIECES = 4  # of a bent needle: of 25 mm, off by less than .1 mm where it bends 4 mm in 100
IODINE_G_PER_ML = 0.3  # of undiluted contrast medium (300 mg/ml)
BLUR_MM = 1.0  # of the medium's points
SIDE_SEEN = 0.3  # of a beam's direction along left and right, from which the side at the detector is told


@dataclass(frozen=True, eq=False)
class Contrast:
    """points_mm: (N, 3) LPS; ml: (N,) at each of them."""

    points_mm: NDArray[np.float64]
    ml: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: (rows, cols) uint8, high attenuation dark; letters: at left, right, top and bottom; marker: the patient's
    side at the detector in a view from the side, else ""; pixel_mm: in the plane through the isocentre; kv, mas: of a
    pulse; pulses: averaged."""

    pixels: NDArray[np.uint8]
    letters: tuple[str, str, str, str]
    marker: str
    pixel_mm: float
    standing: MoveCarm
    kv: int
    mas: float
    pulses: int


class Xray:
    """Thread-safe. volume: the patient's CT; position: DICOM code of how he lies, "" where it is not stated."""

    def __init__(self, volume: Volume, position: str) -> None:
        self.anatomy, self.position = Anatomy(volume), position
        self._views: OrderedDict[tuple[object, ...], View] = OrderedDict()
        self._lock = threading.Lock()

    def view(self, standing: MoveCarm, moved_mm: NDArray[np.float64]) -> View:
        """The anatomy as it is seen so; moved_mm: (3,) LPS, by which the patient lies elsewhere than at first."""
        at = np.asarray(standing.isocentre_mm) - moved_mm
        key = (standing.primary_deg, standing.secondary_deg, *at.tolist(), standing.field_mm, standing.zoom_mm)
        with self._lock:
            if key not in self._views:
                angles = ViewAngles(standing.primary_deg, standing.secondary_deg)
                made = View(self.anatomy, angles, at, machine_of(standing), self.position)
                cut = self._cut(made) & made.in_field
                if cut.any():
                    made.leave_out(cut)
                self._views[key] = made
            self._views.move_to_end(key)
            while len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)
            return self._views[key]

    def _cut(self, view: View) -> NDArray[np.bool_]:
        """(rows, cols) where the CT ends inside the body, on coarse pixels: an arm that is turned waits for it."""
        fine = view.detector
        coarse = Detector(fine.cols // COARSER, fine.rows // COARSER, fine.pixel_mm * COARSER)
        return np.asarray(self.anatomy.cut(view.beam, coarse).repeat(COARSER, axis=0).repeat(COARSER, axis=1))

    def picture(
        self, standing: MoveCarm, moved_mm: NDArray[np.float64], path: NeedlePath | None, device: Device,
        contrast: Contrast | None, frame: int, pulses: int = 1,
    ) -> Picture:  # fmt: skip
        """One pulse, or a last image hold of more, with the needle as it lies and contrast medium where it is."""
        view = self.view(standing, moved_mm)
        rods = rods_of(path, device.length_mm, device.diameter_mm) if path is not None else []
        media = {} if contrast is None else {"iodine": iodine_mm(view, contrast)}
        pixels = view.pixels(view.added(rods=rods, media=media) if rods or media else None, frame, pulses)
        beam, toward = view.beam, view.beam.detector_centre_mm - view.beam.source_mm
        aside = float(toward[0] / np.linalg.norm(toward))
        right, up = beam.columns, beam.up
        letters = tuple(orientation_letters(one) for one in (-right, right, up, -up))
        at_isocentre = view.carm.at_isocentre_mm(view.detector.pixel_mm)
        return Picture(
            pixels, (letters[0], letters[1], letters[2], letters[3]),
            ("L" if aside > 0 else "R") if abs(aside) > SIDE_SEEN else "", at_isocentre, standing,
            view.exposure.tube.kv, view.exposure.mas, pulses,
        )  # fmt: skip


def iodine_mm(view: View, contrast: Contrast) -> NDArray[np.float32]:
    """(rows, cols) g/cm3 times mm of iodine on each ray: each of the medium's points blurred a little, since between
    them there is nothing."""
    detector, beam = view.detector, view.beam
    found = np.zeros((detector.rows, detector.cols), np.float32)
    columns, rows = np.rint(beam.project(contrast.points_mm, detector)).astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < detector.cols) & (rows < detector.rows)
    pixel_mm = view.carm.at_isocentre_mm(detector.pixel_mm)
    each_mm = 1000.0 * contrast.ml[inside] / pixel_mm**2
    np.add.at(found, (rows[inside], columns[inside]), (IODINE_G_PER_ML * each_mm).astype(np.float32))
    return blurred(found, BLUR_MM / pixel_mm)


def rods_of(path: NeedlePath, length_mm: float, diameter_mm: float) -> list[Rod]:
    """The needle, bent as it lies, in straight pieces."""
    line = needle_line_mm(path, length_mm, PIECES)
    return [
        (start, end, diameter_mm) for start, end in pairwise(line)
        if np.linalg.norm(end - start) > 1e-6
    ]  # fmt: skip
