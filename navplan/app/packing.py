"""Slices and planes as bytes for the page: a header in JSON, outlines (float32), values (int16), those of a second."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.overlay import Place
from navplan.fluoroscopy.shot import FluoroShot
from navplan.geometry.carm import dial_words
from navplan.geometry.conventions import orientation_letters
from navplan.session.real_shots import ShotPicture
from navplan.view.plane_values import NOTHING, PlaneValues
from navplan.view.shot_overlay import outline_tints


@dataclass(frozen=True, eq=False)
class Second:
    """A second image over a slice: values (H, W) int16, NOTHING where it shows none, each so many steps of its
    quantity; image: its id; tie: by what it lies over the first."""

    values: NDArray[np.int16]
    image: str
    step: float
    quantity: str
    tie: str


def packed(
    found: PlaneValues, outlines: Mapping[str, NDArray[np.float32]], second: Second | None = None, **more: Any
) -> bytes:
    """u32 length of the header (little endian; with its padding a multiple of 4), header, pieces (K, 4), values (H, W),
    the second image's values (H, W) where `over` in the header is not null.

    In the header: plane (LPS mm, unit vectors), pixel_mm, letters at left, right, top and bottom, and for each outline
    its name and number of pieces.
    """
    plane, right, down = found.plane, np.asarray(found.plane.right), np.asarray(found.plane.down)
    names = list(outlines)
    height, width = found.values.shape
    header = {
        "title": plane.title, "width": width, "height": height, "centre_mm": list(plane.centre_mm),
        "right": list(plane.right), "down": list(plane.down), "into": plane.into.tolist(),
        "pixel_mm": list(found.pixel_mm), "thick_mm": found.thick_mm, "number": found.number, "count": found.count,
        "step_mm": found.step_mm, "step": found.step,
        "nothing": int(NOTHING),
        "letters": [orientation_letters(-right), orientation_letters(right), orientation_letters(-down),
                    orientation_letters(down)],
        "outlines": [[name, len(outlines[name])] for name in names],
        "over": None if second is None else {
            "image": second.image, "step": second.step, "quantity": second.quantity, "tie": second.tie,
        },
        **more,
    }  # fmt: skip
    pieces = [np.ascontiguousarray(outlines[name], dtype="<f4").tobytes() for name in names]
    values = np.ascontiguousarray(found.values, dtype="<i2").tobytes()
    over = b"" if second is None else np.ascontiguousarray(second.values, dtype="<i2").tobytes()
    return b"".join([_head(header), *pieces, values, over])


def headed(header: Mapping[str, Any], pixels: NDArray[np.uint8]) -> bytes:
    """A header of the caller's own, then pixels (rows, cols) uint8."""
    return b"".join([_head(header), np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()])


def packed_shot(shot: FluoroShot, moving: bool = False, **more: Any) -> bytes:
    """Header as above, then pixels (rows, cols) uint8. In the header: words, angles, marks in pixels, side letters, and
    whether it is a coarse one of an arm that is being swung."""
    from navplan.fluoroscopy.picture import outlined

    tints = outlined(shot.overlay)
    overlay, detector, dial = shot.overlay, shot.image.detector, shot.dial
    header = {
        "width": detector.cols, "height": detector.rows, "words": shot.words,
        "moving": moving, "primary_deg": shot.angles.primary_deg, "secondary_deg": shot.angles.secondary_deg,
        "dial": dial_words(dial, shot.image.carm.kinematics) if dial is not None else "", "reachable": shot.reachable,
        "position": shot.patient_position,
        "marks": [
            {"role": mark.role.value, "points": mark.points, "name": mark.name, "tint": tints.get(mark.name, "")}
            for mark in overlay.marks
        ],
        "marker": [overlay.marker[0], overlay.marker[1].value], "dose": shot.image.dose.words,
        "letters": [overlay.sides[place] for place in (Place.LEFT, Place.RIGHT, Place.TOP, Place.BOTTOM)],
        "scale_words": overlay.scale_words, "lines": overlay.lines, "warnings": overlay.warnings, **more,
    }  # fmt: skip
    return b"".join([_head(header), np.ascontiguousarray(shot.pixels, dtype=np.uint8).tobytes()])


def packed_real(shot: ShotPicture, layers: NDArray[np.uint8], **more: Any) -> bytes:
    """Header as above, then layers (3 rows, cols) uint8: a real picture, the CT behind it, and the CT's edges. In the
    header: rows, marks in pixels, side letters, and what a pixel is at the isocentre."""
    tints = outline_tints(shot.marks)
    rows, cols = shot.grey.shape
    header = {
        "width": cols, "height": len(layers), "rows": rows, "words": shot.words, "letters": shot.letters,
        "right": shot.right, "up": shot.up, "pixel_mm": shot.pixel_mm,
        "marks": [
            {"role": mark.role.value, "points": mark.points, "name": mark.name, "tint": tints.get(mark.name, "")}
            for mark in shot.marks
        ],
        **more,
    }  # fmt: skip
    return b"".join([_head(header), np.ascontiguousarray(layers, dtype=np.uint8).tobytes()])


def _head(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text
