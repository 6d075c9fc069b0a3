"""Classic DICOM series (one slice a file) to volumes: right, or refused with the reason."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.dicom_facts import HEADER_TAGS, acquisition_of, identity_digest, numbers, placement, text
from navplan.files.dicom_stack import SliceStack, stack_slices
from navplan.files.image_files import HIGHEST_PADDING_HU, check_there, detected_padding_hu, format_of, settled_voxels
from navplan.geometry.grid import Grid
from navplan.imaging.resample import straighten_stack
from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.volume import Volume

READABLE = {
    "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.128": "PT",
}  # fmt: skip
MULTI_FRAME = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130")
)  # fmt: skip
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
NEVER_DICOM = frozenset((
    ".txt", ".json", ".xml", ".csv", ".tsv", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".md", ".html",
    ".log", ".zip", ".gz",
))  # fmt: skip
FILL_HU = -2048


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """The files of one series, as they were found; nothing is promised about their geometry yet."""

    uid: str
    paths: tuple[Path, ...]
    headers: tuple[pydicom.Dataset, ...]

    @property
    def modality(self) -> str:
        """DICOM Modality of the first file."""
        return text(self.headers[0], "Modality")


@dataclass(frozen=True)
class UnreadFile:
    """A file that may have been meant as DICOM and could not be read, with the reason."""

    path: Path
    reason: str


def find_series(path: str | Path) -> tuple[tuple[DicomSeries, ...], tuple[UnreadFile, ...]]:
    """The DICOM series under a folder (or of one file), largest first, and files that could not be read.

    Raises InputError where there is no such path or the folder may not be read.
    """
    path = Path(path)
    check_there(path)
    groups: dict[str, list[tuple[Path, pydicom.Dataset]]] = {}
    unread: list[UnreadFile] = []
    for file in [path] if path.is_file() else _files_under(path):
        try:
            header = _read(file, stop_before_pixels=True, specific_tags=HEADER_TAGS)
        except FileFormatError as error:
            if path.is_file() or not _is_side_note(file):
                unread.append(UnreadFile(file, error.received))
            continue
        if text(header.file_meta, "MediaStorageSOPClassUID") == DIRECTORY_CLASS:
            continue
        if uid := text(header, "SeriesInstanceUID"):
            groups.setdefault(uid, []).append((file, header))
        else:
            unread.append(UnreadFile(file, f"{file.name}: a DICOM file that is cut short, or of no series"))
    series = [
        DicomSeries(uid, tuple(file for file, _ in found), tuple(header for _, header in found))
        for uid, found in groups.items()
    ]
    return tuple(sorted(series, key=lambda one: (-len(one.paths), one.uid))), tuple(unread)


def series_stack(series: DicomSeries) -> SliceStack:
    """Check everything that the headers say, and give the geometry, without reading a voxel.

    Raises an InputError with the reason where the series is not one volume that can be read here.
    """
    _check_kind(series)
    _check_belonging(series)
    named = zip(series.headers, series.paths, strict=True)
    return stack_slices([placement(header, path.name) for header, path in named])


def read_series(series: DicomSeries, salt: str = "") -> Volume:
    """The volume of a series; a tilted stack is made orthogonal (see imaging.resample), with a finding that says so.

    HU are RescaleSlope x stored + RescaleIntercept, slice by slice. Raises an InputError with the reason for a series
    that is refused.
    """
    stack = series_stack(series)
    headers = [series.headers[index] for index in stack.order]
    modality = READABLE[text(headers[0], "SOPClassUID")]
    voxels, padding = _voxels(series, stack)
    is_ct = modality == "CT"
    if padding is None and is_ct:
        padding = detected_padding_hu(voxels)
    findings: tuple[QualityFinding, ...] = ()
    affine = stack.affine
    if stack.tilt_deg > 0:
        padding = FILL_HU if padding is None else padding
        voxels, affine = straighten_stack(voxels, affine, padding if is_ct else 0, padding if is_ct else None)
        words = f"Stack tilted by {stack.tilt_deg:.1f} degrees (by positions): slices moved within their planes."
        findings = (QualityFinding("tilted_stack", Severity.INFO, words),)
    acquisition = acquisition_of(headers, salt, padding if is_ct else None)
    acquisition = replace(acquisition, modality=modality, quality=acquisition.quality + findings)
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    grid = Grid(affine, shape, text(headers[0], "FrameOfReferenceUID"))
    return Volume(voxels, grid, modality, "HU" if is_ct else "signal", acquisition)


def _files_under(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}", "a folder that can be read") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.suffix.lower() not in NEVER_DICOM and not format_of(file):
                yield file


def _is_side_note(path: Path) -> bool:
    """A LICENSE, a README: plain text whose name does not say that it is DICOM."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    text_only = b"\0" not in start and start.decode("utf-8", errors="ignore").encode() in (
        start,
        start[:-1],
        start[:-2],
    )
    return path.suffix.lower() not in (".dcm", ".ima", ".dicom") and text_only


def _read(path: Path, **options: Any) -> pydicom.Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked here, value by value
            return pydicom.dcmread(path, **options)
    except InvalidDicomError as error:
        raise FileFormatError(f"{path.name}: not a DICOM file", "a file with the DICOM prefix") from error
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error
    except Exception as error:  # pydicom raises many kinds for a damaged file
        raise FileFormatError(f"{path.name}: a damaged DICOM file ({error})", "a whole file") from error


def _check_kind(series: DicomSeries) -> None:
    kinds = {text(header, "SOPClassUID") for header in series.headers}
    if len(kinds) > 1:
        raise FileFormatError("several kinds of object in one series", "one kind")
    kind = kinds.pop()
    what = f"{UID(kind).name or 'an object without a class'} ({series.modality or 'no modality'})"
    if kind in MULTI_FRAME:
        raise FileFormatError(
            f"{what}: a multi-frame object, which is not read yet",
            "one slice in each file",
            "Export the series as classic (single-frame) images",
        )
    if kind not in READABLE:
        raise FileFormatError(what, "CT, MR or PET images, one slice in each file")
    for header, path in zip(series.headers, series.paths, strict=True):
        _check_pixels(header, path.name)
    if any("LOCALIZER" in text(header, "ImageType").upper().split("\\") for header in series.headers):
        raise FileFormatError("a localizer (scout) image", "a volume of slices")


def _check_pixels(header: pydicom.Dataset, name: str) -> None:
    if (numbers(header, "NumberOfFrames", 1) or (1,))[0] > 1:
        raise FileFormatError(f"{name}: several frames in one file, which is not read yet", "one slice in each file")
    colour = text(header, "PhotometricInterpretation")
    if text(header, "SamplesPerPixel") not in ("1", "") or colour != "MONOCHROME2":
        raise FileFormatError(f"{name}: pixels that are {colour or 'of unknown kind'}", "grey values, MONOCHROME2")
    bits = [numbers(header, keyword, 1) for keyword in ("BitsAllocated", "BitsStored", "HighBit")]
    if None in bits or bits[0] not in ((8,), (16,), (32,)) or bits[2] != ((bits[1] or (0,))[0] - 1,):
        raise FileFormatError(f"{name}: bits allocated, stored and high {bits}", "8, 16 or 32 bits, the low ones used")
    if "ModalityLUTSequence" in header:
        raise FileFormatError(f"{name}: values behind a look-up table", "RescaleSlope and RescaleIntercept")
    scale = [numbers(header, keyword, 1) for keyword in ("RescaleSlope", "RescaleIntercept")]
    if scale[0] == (0.0,) or (None in scale and READABLE[text(header, "SOPClassUID")] == "CT"):
        raise FileFormatError(
            f"{name}: RescaleSlope {text(header, 'RescaleSlope') or 'missing'}, "
            f"RescaleIntercept {text(header, 'RescaleIntercept') or 'missing'}",
            "both, to give Hounsfield units",
        )


def _rescale(header: pydicom.Dataset) -> tuple[float, float]:
    slope, intercept = numbers(header, "RescaleSlope", 1), numbers(header, "RescaleIntercept", 1)
    return (1.0 if slope is None else slope[0]), (0.0 if intercept is None else intercept[0])


def _check_belonging(series: DicomSeries) -> None:
    if len({identity_digest(header, "") for header in series.headers}) > 1:
        raise MismatchError("slices of several patients in one series", "one patient")
    for keyword, words in (("FrameOfReferenceUID", "frames of reference"), ("PatientPosition", "patient positions")):
        found = {text(header, keyword) for header in series.headers}
        if len(found) > 1:
            raise MismatchError(f"slices of {len(found)} {words} in one series", "one", "Split the series")


def _voxels(series: DicomSeries, stack: SliceStack) -> tuple[NDArray[Any], float | None]:
    """Rescaled voxels [i, j, k], and the value of padding where the headers name one that cannot be taken for air."""
    scales = [_rescale(header) for header in series.headers]
    whole = all(value == int(value) for scale in scales for value in scale)
    columns, rows, count = stack.shape
    voxels = np.empty((count, rows, columns), dtype=np.int16 if whole else np.float32)
    padding: float | None = None
    for k, index in enumerate(stack.order):
        stored, padded = _stored(series.paths[index], (rows, columns))
        slope, intercept = scales[index]
        values = stored * slope + intercept
        if whole and (values.min() < -32768 or values.max() > 32767):
            whole, voxels = False, voxels.astype(np.float32)
        if padded is not None and padded.any():
            if padding is None:
                padding = float(values[padded].min())
            if padding <= HIGHEST_PADDING_HU:
                values[padded] = padding
        voxels[k] = values
    usable = padding is not None and padding <= HIGHEST_PADDING_HU
    return (voxels.T if whole else settled_voxels(voxels.T)), padding if usable else None


def _stored(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Stored values [row, column] of one file, and which of them are padding."""
    header = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = header.pixel_array
    except Exception as error:  # pydicom and its decoders raise many kinds
        raise FileFormatError(
            f"{path.name}: pixel data that cannot be read ({' '.join(str(error).split())[:200]})",
            f"{size[0]}x{size[1]} pixels",
            "The file may be cut short: copy it again from its source",
        ) from error
    if pixels.shape != size:
        raise FileFormatError(f"{path.name}: pixels of shape {pixels.shape}", f"{size}")
    value = numbers(header, "PixelPaddingValue", 1)
    if value is None:
        return pixels.astype(np.float64), None
    limit = numbers(header, "PixelPaddingRangeLimit", 1) or value
    ends = sorted(_as_stored(number, header) for number in (value[0], limit[0]))
    return pixels.astype(np.float64), (pixels >= ends[0]) & (pixels <= ends[1])


def _as_stored(number: float, header: pydicom.Dataset) -> float:
    """A padding value that was written with the wrong sign (65536 too much or too little), as the pixels have it."""
    signed = text(header, "PixelRepresentation") == "1"
    bits = (numbers(header, "BitsAllocated", 1) or (16,))[0]
    if signed and number >= 2 ** (bits - 1):
        return number - 2**bits
    return number + 2**bits if not signed and number < 0 else number
