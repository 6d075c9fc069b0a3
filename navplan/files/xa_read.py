"""Angiographic and fluoroscopic images of a C-arm (XA and Enhanced XA): pictures, and where each was taken from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.geometry.carm import ViewAngles

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

MOST_FRAMES, MOST_PIXELS = 10_000, 8192
_NARROWEST_MM, _WIDEST_MM = 0.01, 10.0


@dataclass(frozen=True, eq=False)
class XaRun:
    """A run as its file tells it. angles: patient angles p of each picture, None where the file has none; lengths in
    mm, None where it does not say; patient_position: DICOM code or ""; turned_deg: how the detector is turned about the
    beam (Enhanced XA), 0 where it does not say. `picture` decodes one."""

    path: Path
    rows: int
    cols: int
    angles: tuple[ViewAngles | None, ...]
    sid_mm: float | None
    sod_mm: float | None
    pixel_mm: float | None
    patient_position: str
    turned_deg: float
    frame_time_ms: float | None
    simulated: bool
    _inverted: bool
    _deep: bool = False

    @property
    def frames(self) -> int:
        """How many pictures."""
        return len(self.angles)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """What the file does not say of its geometry."""
        said = {"angles": self.angles[0], "SID": self.sid_mm, "SOD": self.sod_mm, "pixel spacing": self.pixel_mm}
        return tuple(name for name, value in said.items() if value is None)

    def picture(self, number: int) -> NDArray[np.uint8]:
        """(rows, cols) uint8 of picture `number` (0 the first), dense dark, its values stretched to the grey scale.

        Raises InputError for another number, FileFormatError for pixels that cannot be decoded.
        """
        from pydicom.pixels import pixel_array

        if not 0 <= number < self.frames:
            raise InputError(f"picture {number + 1} of {self.path.name}", f"1 to {self.frames}")
        try:
            values = np.asarray(pixel_array(self.path, index=number), dtype=np.float64)
        except Exception as error:  # decoders raise errors of many kinds
            words = f"{self.path.name}, picture {number + 1}: {error}"
            raise FileFormatError(words, "pixels that can be read") from error
        if values.shape != (self.rows, self.cols):
            raise FileFormatError(f"a picture of {values.shape} in {self.path.name}", f"{(self.rows, self.cols)}, grey")
        low, high = float(values.min()), float(values.max())
        if self._deep or high > 255 or low < 0:
            values = (values - low) * (255.0 / max(high - low, 1e-9))
        return np.asarray(np.rint(255.0 - values if self._inverted else values), dtype=np.uint8)


def read_xa(path: str | os.PathLike[str]) -> XaRun:
    """Of a file of one shot or run. Raises FileFormatError for a file that is none, or contradicts itself."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    target = Path(path)
    try:
        data = pydicom.dcmread(target, stop_before_pixels=True)
    except (OSError, InvalidDicomError, EOFError, ValueError) as error:
        raise FileFormatError(f"{target.name}: {error}", "a DICOM file of XA images") from error
    try:
        return _run(target, data)
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise FileFormatError(f"{target.name}: {error}", "complete XA or Enhanced XA attributes") from error


def _run(path: Path, data: FileDataset) -> XaRun:
    from pydicom.uid import EnhancedXAImageStorage, XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

    kinds = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, EnhancedXAImageStorage)
    kind = data.get("SOPClassUID", "")
    if kind not in kinds:
        raise FileFormatError(f"{path.name}: {getattr(kind, 'name', kind) or 'no SOP class'}", "XA, RF or Enhanced XA")
    rows, cols, count = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames", 1))
    if not (1 <= rows <= MOST_PIXELS and 1 <= cols <= MOST_PIXELS and 1 <= count <= MOST_FRAMES):
        raise FileFormatError(f"{path.name}: {count} pictures of {rows} x {cols}", "up to 10000 of up to 8192 x 8192")
    if int(data.get("SamplesPerPixel", 1)) != 1:
        raise FileFormatError(f"{path.name}: a picture in colour", "grey values")
    read = _enhanced if kind == EnhancedXAImageStorage else _classic
    angles, sid, sod, spacing = read(path, data, count)
    if spacing is not None and abs(spacing[0] - spacing[1]) > 0.01 * spacing[0]:
        raise FileFormatError(f"{path.name}: pixels of {spacing[0]:g} x {spacing[1]:g} mm", "square pixels")
    if sid is not None and sod is not None and not 0.0 < sod < sid:
        raise FileFormatError(f"{path.name}: SID {sid:g} mm, SOD {sod:g} mm", "0 < SOD < SID")
    pixel = None if spacing is None else float(spacing[0])
    if pixel is not None and not _NARROWEST_MM <= pixel <= _WIDEST_MM:
        raise FileFormatError(f"{path.name}: pixels of {pixel:g} mm", f"{_NARROWEST_MM:g} to {_WIDEST_MM:g} mm")
    return XaRun(
        path, rows, cols, angles, sid, sod, pixel, str(data.get("PatientPosition") or ""), _turned(data),
        _number(data.get("FrameTime")), "SIMULATED" in str(data.get("PatientName", "")),
        data.get("PhotometricInterpretation") == "MONOCHROME1", int(data.get("BitsStored", 8)) > 8,
    )  # fmt: skip


_Read = tuple[tuple[ViewAngles | None, ...], float | None, float | None, tuple[float, float] | None]


def _classic(path: Path, data: FileDataset, count: int) -> _Read:
    first = _number(data.get("PositionerPrimaryAngle")), _number(data.get("PositionerSecondaryAngle"))
    angles: tuple[ViewAngles | None, ...] = (None,) * count
    if first[0] is not None and first[1] is not None:
        offsets = []
        for keyword in ("PositionerPrimaryAngleIncrement", "PositionerSecondaryAngleIncrement"):
            given = data.get(keyword)
            values = np.zeros(0) if given is None else np.atleast_1d(np.asarray(given, dtype=np.float64))
            if len(values) not in (0, 1, count):
                raise FileFormatError(f"{path.name}: {len(values)} {keyword} of {count} pictures", "one, or one each")
            if len(values) == 0:
                offsets.append(np.zeros(count))
            else:  # one value: the mean change a picture; else offsets from the first (PS3.3 C.8.7.5.1.3)
                offsets.append(values[0] * np.arange(count) if len(values) == 1 and count > 1 else values)
        angles = tuple(ViewAngles(first[0] + a, first[1] + b) for a, b in zip(*offsets, strict=True))
    spacing = data.get("ImagerPixelSpacing")
    return (
        angles, _positive(data.get("DistanceSourceToDetector")), _positive(data.get("DistanceSourceToPatient")),
        None if spacing is None or len(spacing) != 2 else (float(spacing[0]), float(spacing[1])),
    )  # fmt: skip


def _enhanced(path: Path, data: FileDataset, count: int) -> _Read:
    frames = data.PerFrameFunctionalGroupsSequence
    if len(frames) != count:
        raise FileFormatError(f"{path.name}: {len(frames)} frame groups of {count} pictures", "one each")
    shared = data.SharedFunctionalGroupsSequence[0]
    angles = []
    for frame in frames:
        place = _group(frame, shared, "PositionerPositionSequence")
        first = None if place is None else _number(place.get("PositionerPrimaryAngle"))
        second = None if place is None else _number(place.get("PositionerSecondaryAngle"))
        angles.append(None if first is None or second is None else ViewAngles(first, second))
    geometry = _group(frames[0], shared, "XRayGeometrySequence")
    pixels = _group(frames[0], shared, "FramePixelDataPropertiesSequence")
    spacing = None if pixels is None else pixels.get("ImagerPixelSpacing")
    return (
        tuple(angles),
        None if geometry is None else _positive(geometry.get("DistanceSourceToDetector")),
        None if geometry is None else _positive(geometry.get("DistanceSourceToIsocenter")),
        None if spacing is None or len(spacing) != 2 else (float(spacing[0]), float(spacing[1])),
    )  # fmt: skip


def _turned(data: FileDataset) -> float:
    frames, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    if not frames or not shared:
        return 0.0
    place = _group(frames[0], shared[0], "IsocenterReferenceSystemSequence")
    return 0.0 if place is None else _number(place.get("PositionerIsocenterDetectorRotationAngle")) or 0.0


def _group(frame: Any, shared: Any, keyword: str) -> Any:
    found = frame.get(keyword) or shared.get(keyword)
    return found[0] if found else None


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"a number that is {number}")
    return number


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0.0 else None
