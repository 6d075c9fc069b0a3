"""Pictures that are no slices: radiographs, runs of a C-arm, plain ultrasound. Looked at, never stacked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from navplan.errors import FileFormatError, InputError
from navplan.files.dicom_facts import numbers, text
from navplan.files.dicom_pixels import is_colour, read_file

_STORAGE = "1.2.840.10008.5.1.4.1.1."
PICTURES = {
    f"{_STORAGE}1": "a computed radiograph", f"{_STORAGE}1.1": "a digital radiograph",
    f"{_STORAGE}12.1": "an angiographic run", f"{_STORAGE}12.1.1": "an angiographic run",
    f"{_STORAGE}12.2": "a fluoroscopic run", f"{_STORAGE}6.1": "an ultrasound picture",
    f"{_STORAGE}3.1": "an ultrasound run",
}  # fmt: skip
ULTRASOUND = (f"{_STORAGE}6.1", f"{_STORAGE}3.1")
MOST_FRAMES, MOST_PIXELS = 10_000, 65_535
CENTIMETRES = 3.0  # PhysicalUnitsX Direction of an ultrasound region (PS3.3 C.8.5.5.1.15)


@dataclass(frozen=True, eq=False)
class Pictures:
    """One file of pictures.

    kind: in words; pixel_mm: height and width of a pixel, None where the file does not say; measured_at: where that
    holds: "the detector" (anatomy is smaller), "the patient, calibrated", "the ultrasound region", "" where there is
    none; side: DICOM laterality, "" when not said.
    """

    path: Path
    kind: str
    count: int
    rows: int
    columns: int
    pixel_mm: tuple[float, float] | None
    measured_at: str
    view: str
    side: str
    colour: bool
    inverted: bool

    @property
    def words(self) -> str:
        """For a line of text."""
        many = f"{self.count} pictures" if self.count > 1 else "one picture"
        size = "size of a pixel not said"
        if self.pixel_mm is not None:
            size = f"pixels of {self.pixel_mm[0]:.3g} x {self.pixel_mm[1]:.3g} mm at {self.measured_at}"
        seen = ", ".join(part for part in (self.view, self.side and f"side {self.side}") if part)
        return f"{many} of {self.columns} x {self.rows}, {size}{f', {seen}' if seen else ''}"

    def picture(self, number: int = 0) -> NDArray[np.uint8]:
        """(rows, columns) uint8, or (rows, columns, 3) of colours, of picture `number` (0 the first), dense dark as on
        a monitor, grey values stretched between their least and largest.

        Raises InputError for another number, FileFormatError for pixels that cannot be decoded.
        """
        from pydicom.pixels import pixel_array

        if not 0 <= number < self.count:
            raise InputError(f"picture {number + 1} of {self.path.name}", f"1 to {self.count}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a decoder's own words: what matters is refused here
                values = np.asarray(pixel_array(self.path, index=number))
        except Exception as error:  # decoders raise errors of many kinds
            words = " ".join(str(error).split())[:200]
            raise FileFormatError(
                f"{self.path.name}, picture {number + 1}: {words}", "pixels that can be read"
            ) from error
        if values.shape[:2] != (self.rows, self.columns) or values.ndim != (3 if self.colour else 2):
            raise FileFormatError(f"{self.path.name}: a picture of {values.shape}", f"{(self.rows, self.columns)}")
        if self.colour:
            return np.asarray(values[..., :3] if values.dtype == np.uint8 else values[..., :3] >> 8, dtype=np.uint8)
        low, high = float(values.min()), float(values.max())
        grey = (values.astype(np.float64) - low) * (255.0 / max(high - low, 1e-9))
        return np.asarray(np.rint(255.0 - grey if self.inverted else grey), dtype=np.uint8)


def read_pictures(path: str | Path) -> Pictures:
    """Of a file of CR, DX, XA, RF or plain ultrasound. Raises FileFormatError for another one, or one that is damaged.

    Where a C-arm stood is read by `xa_read`.
    """
    path = Path(path)
    return pictures_of(path, read_file(path, stop_before_pixels=True))


def pictures_of(path: Path, header: Dataset) -> Pictures:
    """The same, of a header that was read. Raises FileFormatError."""
    kind = text(header, "SOPClassUID")
    if kind not in PICTURES:
        raise FileFormatError(f"{path.name}: no picture of CR, DX, XA, RF or ultrasound", "one of these")
    sides = [numbers(header, keyword, 1) for keyword in ("Rows", "Columns")]
    count = (numbers(header, "NumberOfFrames", 1) or (1.0,))[0]
    if None in sides or not 1 <= count <= MOST_FRAMES or not all(one and 1 <= one[0] <= MOST_PIXELS for one in sides):
        raise FileFormatError(
            f"{path.name}: {count:g} pictures of {text(header, 'Rows') or '?'} x {text(header, 'Columns') or '?'}",
            f"1 to {MOST_FRAMES} pictures with rows and columns",
        )
    rows, columns = (int(one[0]) for one in sides if one is not None)
    pixel_mm, measured_at = _pixel_mm(header, kind in ULTRASOUND)
    return Pictures(
        path, PICTURES[kind], int(count), rows, columns, pixel_mm, measured_at, text(header, "ViewPosition"),
        text(header, "ImageLaterality") or text(header, "Laterality"), is_colour(header),
        text(header, "PhotometricInterpretation") == "MONOCHROME1",
    )  # fmt: skip


def _pixel_mm(header: Dataset, ultrasound: bool) -> tuple[tuple[float, float] | None, str]:
    if ultrasound:
        regions: list[Any] = list(header.get("SequenceOfUltrasoundRegions") or ())
        found = {_region_mm(region) for region in regions}
        one = found.pop() if len(found) == 1 else None
        return (one, "the ultrasound region") if one is not None else (None, "")
    calibrated, panel = numbers(header, "PixelSpacing", 2), numbers(header, "ImagerPixelSpacing", 2)
    for values, words in ((calibrated, "the patient, calibrated"), (panel, "the detector")):
        if values is not None and min(values) > 0 and not (values is calibrated and values == panel):
            return (values[0], values[1]), words
    return None, ""


def _region_mm(region: Dataset) -> tuple[float, float] | None:
    units = [numbers(region, f"PhysicalUnits{axis}Direction", 1) for axis in "YX"]
    deltas = [numbers(region, f"PhysicalDelta{axis}", 1) for axis in "YX"]
    if units != [(CENTIMETRES,)] * 2 or None in deltas:
        return None
    tall, wide = (abs(delta[0]) * 10.0 for delta in deltas if delta is not None)
    return (tall, wide) if min(tall, wide) > 0 else None
