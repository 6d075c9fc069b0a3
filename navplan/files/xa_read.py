"""Angiographic and fluoroscopic images of a C-arm (XA and Enhanced XA): pictures, and where each was taken from."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.geometry.carm import ViewAngles

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

MOST_FRAMES, MOST_PIXELS, LEAST_PIXELS, LONGEST_OVER_SHORTEST = 10_000, 8192, 16, 8
_NARROWEST_MM, _WIDEST_MM, _SHORTEST_MM, _LONGEST_MM = 0.01, 10.0, 100.0, 5000.0


@dataclass(frozen=True)
class XaPlace:
    """Where one picture was taken from. angles: patient angles p; lengths in mm; None what the file does not say;
    turned_deg: how the detector is turned about the beam (Enhanced XA), 0 where it does not say."""

    rows: int
    cols: int
    patient_position: str
    angles: ViewAngles | None
    sid_mm: float | None
    sod_mm: float | None
    pixel_mm: float | None
    turned_deg: float = 0.0

    @property
    def missing(self) -> tuple[str, ...]:
        """What the file does not say of its geometry."""
        said = {"angles": self.angles, "SID": self.sid_mm, "SOD": self.sod_mm, "pixel spacing": self.pixel_mm}
        return tuple(name for name, value in said.items() if value is None)


@dataclass(frozen=True, eq=False)
class XaRun:
    """A run as its file tells it: where each picture was taken from. `picture` decodes one."""

    path: Path
    places: tuple[XaPlace, ...]
    frame_time_ms: float | None
    simulated: bool
    _inverted: bool = False
    _deep: bool = False

    @property
    def frames(self) -> int:
        """How many pictures."""
        return len(self.places)

    def place(self, number: int) -> XaPlace:
        """Of picture `number` (0 the first). Raises InputError for another number."""
        if not 0 <= number < self.frames:
            raise InputError(f"picture {number + 1} of {self.path.name}", f"1 to {self.frames}")
        return self.places[number]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """(rows, cols) uint8 of picture `number` (0 the first), dense dark, its values stretched to the grey scale.

        Raises InputError for another number, FileFormatError for pixels that cannot be decoded.
        """
        from pydicom.pixels import pixel_array

        place = self.place(number)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a decoder's own words: what matters is refused here
                values = np.asarray(pixel_array(self.path, index=number), dtype=np.float64)
        except Exception as error:  # decoders raise errors of many kinds
            words = f"{self.path.name}, picture {number + 1}: {_first_line(error)}"
            raise FileFormatError(words, "pixels that can be read") from error
        if values.shape != (place.rows, place.cols):
            words = f"a picture of {values.shape} in {self.path.name}"
            raise FileFormatError(words, f"{(place.rows, place.cols)}, grey")
        low, high = float(values.min()), float(values.max())
        if self._deep or high > 255 or low < 0:
            values = (values - low) * (255.0 / max(high - low, 1e-9))
        return np.asarray(np.rint(255.0 - values if self._inverted else values), dtype=np.uint8)


def read_xa(path: str | os.PathLike[str]) -> XaRun:
    """Of a file of one shot or run. Raises FileFormatError for a file that is none, or contradicts itself."""
    import pydicom

    target = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _run(target, pydicom.dcmread(target, stop_before_pixels=True))
    except InputError:
        raise
    except Exception as error:  # a file that lies may make pydicom raise anything
        raise FileFormatError(f"{target.name}: {_first_line(error)}", "a DICOM file of XA images") from error


def patient_of_xa(path: str | os.PathLike[str], salt: str) -> str:
    """Whose the pictures of a file are: a digest as an image's `patient_digest`, "" where the file names no patient or
    there is no salt. Raises FileFormatError."""
    import pydicom

    from navplan.files.dicom_facts import identity_digest

    if not salt:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return identity_digest(pydicom.dcmread(path, stop_before_pixels=True), salt)
    except Exception as error:  # a file that lies may make pydicom raise anything
        raise FileFormatError(f"{Path(path).name}: {_first_line(error)}", "a DICOM file of XA images") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _run(path: Path, data: FileDataset) -> XaRun:
    from pydicom.uid import EnhancedXAImageStorage, XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

    kinds = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, EnhancedXAImageStorage)
    kind = data.get("SOPClassUID", "")
    if kind not in kinds:
        raise FileFormatError(f"{path.name}: {getattr(kind, 'name', kind) or 'no SOP class'}", "XA, RF or Enhanced XA")
    rows, cols, count = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames", 1))
    if not (1 <= count <= MOST_FRAMES and min(rows, cols) >= LEAST_PIXELS and max(rows, cols) <= MOST_PIXELS):
        raise FileFormatError(f"{path.name}: {count} pictures of {rows} x {cols}", "up to 10000 of 16 to 8192 pixels")
    if max(rows, cols) > LONGEST_OVER_SHORTEST * min(rows, cols):
        raise FileFormatError(f"{path.name}: pictures of {rows} x {cols}", "sides of up to 8 to 1")
    shown = str(data.get("PhotometricInterpretation", ""))
    if int(data.get("SamplesPerPixel", 1)) != 1 or shown not in ("MONOCHROME1", "MONOCHROME2"):
        raise FileFormatError(f"{path.name}: a picture in colour ({shown or 'not said'})", "grey values")
    read = _enhanced if kind == EnhancedXAImageStorage else _classic
    position = str(data.get("PatientPosition") or "") or _position_of_codes(data)
    places = tuple(XaPlace(rows, cols, position, *one) for one in read(path, data, count))
    for place in places:
        sid, sod, pixel = place.sid_mm, place.sod_mm, place.pixel_mm
        if not (sid is None or _SHORTEST_MM <= sid <= _LONGEST_MM) or (sid and sod and not sod < sid):
            raise FileFormatError(f"{path.name}: SID {sid} mm, SOD {sod} mm", "SOD < SID, 100 to 5000 mm")
        if pixel is not None and not _NARROWEST_MM <= pixel <= _WIDEST_MM:
            raise FileFormatError(f"{path.name}: pixels of {pixel:g} mm", f"{_NARROWEST_MM:g} to {_WIDEST_MM:g} mm")
    return XaRun(
        path, places, _number(data.get("FrameTime")), "SIMULATED" in str(data.get("PatientName", "")),
        shown == "MONOCHROME1", int(data.get("BitsStored", 8)) > 8,
    )  # fmt: skip


_LYING = {"40199007": "S", "1240000": "P"}
_GANTRY = {"102540008": "HF", "102541007": "FF"}


def _position_of_codes(data: FileDataset) -> str:
    """ "HFS" of the codes that enhanced files have instead (PS3.16 CID 20, 21); "" where they say something else."""
    lying = _group(data, {}, "PatientOrientationCodeSequence")
    how = _group(lying, {}, "PatientOrientationModifierCodeSequence").get("CodeValue", "")
    gantry = _group(data, {}, "PatientGantryRelationshipCodeSequence").get("CodeValue", "")
    return _GANTRY[gantry] + _LYING[how] if gantry in _GANTRY and how in _LYING else ""


_Read = list[tuple[ViewAngles | None, float | None, float | None, float | None, float]]


def _classic(path: Path, data: FileDataset, count: int) -> _Read:
    first = _number(data.get("PositionerPrimaryAngle")), _number(data.get("PositionerSecondaryAngle"))
    angles: list[ViewAngles | None] = [None] * count
    if first[0] is not None and first[1] is not None:
        offsets = []
        for keyword in ("PositionerPrimaryAngleIncrement", "PositionerSecondaryAngleIncrement"):
            given = data.get(keyword)
            values = np.zeros(0) if given is None else np.atleast_1d(np.asarray(given, dtype=np.float64))
            if len(values) not in (0, 1, count) or not np.isfinite(values).all():
                raise FileFormatError(f"{path.name}: {len(values)} {keyword} of {count} pictures", "one, or one each")
            if len(values) == 0:
                offsets.append(np.zeros(count))
            else:  # one value: the mean change a picture; else offsets from the first (PS3.3 C.8.7.5.1.3)
                offsets.append(values[0] * np.arange(count) if len(values) == 1 and count > 1 else values)
        angles = [ViewAngles(first[0] + a, first[1] + b) for a, b in zip(*offsets, strict=True)]
    _refuse_mirrored(path, data)
    sid, sod = _positive(data.get("DistanceSourceToDetector")), _positive(data.get("DistanceSourceToPatient"))
    pixel = _pixel(path, data.get("ImagerPixelSpacing"))
    return [(one, sid, sod, pixel, 0.0) for one in angles]


def _enhanced(path: Path, data: FileDataset, count: int) -> _Read:
    frames, groups = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    if not frames or len(frames) != count or not groups:
        words = f"{path.name}: {len(frames or ())} frame groups of {count} pictures"
        raise FileFormatError(words, "one each, and shared ones")
    found: _Read = []
    for frame in frames:
        place = _group(frame, groups[0], "PositionerPositionSequence")
        first, second = _number(place.get("PositionerPrimaryAngle")), _number(place.get("PositionerSecondaryAngle"))
        geometry = _group(frame, groups[0], "XRayGeometrySequence")
        pixels = _group(frame, groups[0], "FramePixelDataPropertiesSequence")
        room = _group(frame, groups[0], "IsocenterReferenceSystemSequence")
        _refuse_mirrored(path, _group(frame, groups[0], "FieldOfViewSequence"))
        found.append((
            None if first is None or second is None else ViewAngles(first, second),
            _positive(geometry.get("DistanceSourceToDetector")), _positive(geometry.get("DistanceSourceToIsocenter")),
            _pixel(path, pixels.get("ImagerPixelSpacing")),
            _number(room.get("PositionerIsocenterDetectorRotationAngle")) or 0.0,
        ))  # fmt: skip
    return found


def _group(frame: Any, shared: Any, keyword: str) -> Any:
    found = frame.get(keyword) or shared.get(keyword)
    return found[0] if found else {}


def _refuse_mirrored(path: Path, group: Any) -> None:
    if str(group.get("FieldOfViewHorizontalFlip") or "NO").strip() != "NO":
        words = f"{path.name}: a mirrored picture (Field of View Horizontal Flip)"
        raise FileFormatError(words, "one as the panel saw it")


def _pixel(path: Path, given: Any) -> float | None:
    """The side of square pixels, mm; None where nothing is said."""
    if given is None or given == "":
        return None
    values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    if values.shape != (2,) or not np.isfinite(values).all() or abs(values[0] - values[1]) > 0.01 * abs(values[0]):
        raise FileFormatError(f"{path.name}: pixel spacing {list(values)} mm", "two equal sides")
    return float(values[0])


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
