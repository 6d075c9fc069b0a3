"""Pixels of DICOM frames as the values that they stand for, and which of them are padding."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.tag import BaseTag
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from navplan.errors import FileFormatError
from navplan.files.dicom_facts import numbers, text
from navplan.files.dicom_frames import Frame
from navplan.files.image_files import HIGHEST_PADDING_HU, settled_voxels
from navplan.files.jpeg_stream import check_stream

GREY = ("MONOCHROME2", "MONOCHROME1")  # which of them says how to show the values, not what they are
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
SCALE = ("RescaleSlope", "RescaleIntercept")
INT16 = (-32768, 32767)
LEAST_SLOPE, MOST_SLOPE, MOST_INTERCEPT = 1e-6, 1e4, 1e6  # of HU: far beyond any scanner's
WHOLE = 2**30  # slopes and intercepts beyond are no whole numbers of HU
JPEG_2000 = (JPEG2000, JPEG2000Lossless)
PIXEL_DATA = b"\xe0\x7f\x10\x00"  # its tag in a little-endian file


def read_file(path: Path, opened: BinaryIO | None = None, **options: Any) -> pydicom.Dataset:
    """A file by pydicom, opened already or not. Raises FileFormatError, whatever is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked here, value by value
            return pydicom.dcmread(path if opened is None else opened, **options)
    except pydicom.errors.InvalidDicomError as error:
        raise FileFormatError(f"{path.name}: not a DICOM file", "a file with the DICOM prefix") from error
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error
    except Exception as error:  # pydicom raises many kinds for a damaged file
        words = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path.name}: a damaged DICOM file ({words})", "a whole file") from error


def read_header(path: Path, tags: list[BaseTag]) -> tuple[pydicom.Dataset, int | None]:
    """Some of a file's header, and where its pixels begin, if they are plain 16-bit ones. Raises FileFormatError."""
    try:
        with path.open("rb") as file:
            header = read_file(path, file, stop_before_pixels=True, specific_tags=tags)
            return header, _plain_at(file, header, text(header.file_meta, "TransferSyntaxUID"))
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error


def _plain_at(file: BinaryIO, header: pydicom.Dataset, syntax: str) -> int | None:
    """With a file that stands before its pixel data."""
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian) or text(header, "BitsAllocated") != "16":
        return None
    if text(header, "SamplesPerPixel") != "1" or text(header, "NumberOfFrames") not in ("", "1"):
        return None
    rows, columns = (numbers(header, keyword, 1) for keyword in ("Rows", "Columns"))
    at, start = file.tell(), file.read(12)
    long = syntax == ExplicitVRLittleEndian
    if rows is None or columns is None or start[:4] != PIXEL_DATA or (long and start[4:6] not in (b"OW", b"OB")):
        return None
    length = int.from_bytes(start[8:12] if long else start[4:8], "little")
    begin = at + (12 if long else 8)
    if length != 2 * int(rows[0]) * int(columns[0]) or getattr(header.get_item("Rows"), "is_implicit_VR", None) is long:
        return None  # the latter: a file that is not written as its transfer syntax says
    file.seek(begin + length)
    behind = file.read(4)  # a tag that comes after, or the end; anything else is a file that was put together wrong
    group, element = int.from_bytes(behind[:2], "little"), int.from_bytes(behind[2:], "little")
    return begin if not behind or (group, element) > (0x7FE0, 0x10) else None


def is_colour(header: pydicom.Dataset) -> bool:
    """Whether its pixels are colours, of which only the brightness is kept."""
    return text(header, "PhotometricInterpretation") in COLOURS


def check_pixels(header: pydicom.Dataset, name: str, hounsfield: bool) -> None:
    """Raises FileFormatError for pixels whose values would not be known."""
    colour = text(header, "PhotometricInterpretation")
    samples = text(header, "SamplesPerPixel")
    many = "3" if colour in COLOURS[:-1] else "1"
    if not (samples in ("1", "") and colour in GREY) and not (
        colour in COLOURS and samples == many and not hounsfield
    ):
        raise FileFormatError(f"{name}: pixels that are {colour or 'of unknown kind'}", "grey values")
    bits = [numbers(header, keyword, 1) for keyword in ("BitsAllocated", "BitsStored", "HighBit")]
    if None in bits or bits[0] not in ((8,), (16,), (32,)) or bits[2] != ((bits[1] or (0,))[0] - 1,):
        raise FileFormatError(f"{name}: bits allocated, stored and high {bits}", "8, 16 or 32 bits, the low ones used")
    if text(header, "PixelRepresentation") not in ("0", "1"):
        words = text(header, "PixelRepresentation")[:16] or "missing"
        raise FileFormatError(f"{name}: PixelRepresentation {words}", "0 (without sign) or 1 (with)")
    if "ModalityLUTSequence" in header:
        raise FileFormatError(f"{name}: values behind a look-up table", "RescaleSlope and RescaleIntercept")
    scale = [numbers(header, keyword, 1) for keyword in SCALE]
    broken = [k for k, one in zip(SCALE, scale, strict=True) if one is None and (hounsfield or text(header, k))]
    if scale[0] == (0.0,) or broken:
        raise FileFormatError(
            f"{name}: RescaleSlope {text(header, 'RescaleSlope') or 'missing'}, "
            f"RescaleIntercept {text(header, 'RescaleIntercept') or 'missing'}",
            "two numbers, the first not 0",
        )
    (slope,), (intercept,) = scale[0] or (1.0,), scale[1] or (0.0,)
    if hounsfield and not (LEAST_SLOPE <= abs(slope) <= MOST_SLOPE and abs(intercept) <= MOST_INTERCEPT):
        raise FileFormatError(
            f"{name}: RescaleSlope {slope:g}, RescaleIntercept {intercept:g}",
            f"{LEAST_SLOPE:g} to {MOST_SLOPE:g} and up to {MOST_INTERCEPT:g}, that Hounsfield units can have",
        )


def read_voxels(
    frames: Sequence[Frame], size: tuple[int, int], factor: float, told: Callable[[float], None]
) -> tuple[NDArray[Any], float | None]:
    """Rescaled values [i, j, k] of frames in their order, times `factor`, and the value of padding where the headers
    name one that cannot be taken for air. size: (rows, columns); told: gets the share that is done.

    Raises FileFormatError for a frame that cannot be read.
    """
    scales = [_rescale(frame.header) for frame in frames]
    whole = factor == 1.0 and all(value == int(value) and abs(value) < WHOLE for scale in scales for value in scale)
    voxels = np.empty((0, 0, 0))
    padding: float | None = None
    stored_of = _Reader(size)
    for k, (frame, (slope, intercept)) in enumerate(zip(frames, scales, strict=True)):
        stored = stored_of(frame)
        if k == 0:  # a header that lies about the size was found out before room is made for it
            voxels = _room((len(frames), *size), np.int16 if whole else np.float32)
        padded = _padding_in(stored, frame.header)
        values = _scaled(stored, slope, intercept, whole)
        if values.dtype.kind == "f" and factor != 1.0:
            values *= factor
        if whole and values.dtype != np.int16 and (values.min() < INT16[0] or values.max() > INT16[1]):
            whole, voxels = False, voxels.astype(np.float32)
        if padded is not None and padded.any():
            if padding is None:
                padding = float(values[padded].min())
            if padding <= HIGHEST_PADDING_HU:
                values[padded] = padding
        voxels[k] = values
        told((k + 1) / len(frames))
    usable = padding is not None and padding <= HIGHEST_PADDING_HU
    return (voxels.T if whole else settled_voxels(voxels.T)), padding if usable else None


def _room(shape: tuple[int, ...], kind: type) -> NDArray[Any]:
    try:
        return np.empty(shape, dtype=kind)
    except MemoryError as error:
        size = "x".join(str(n) for n in shape[::-1])
        raise FileFormatError(f"{size} voxels, for which there is no memory", "a smaller series") from error


def same_picture(one: Frame, other: Frame, size: tuple[int, int]) -> bool:
    """Whether two frames hold the same stored values. Raises FileFormatError."""
    stored_of = _Reader(size)
    return np.array_equal(stored_of(one), stored_of(other))


def _rescale(header: pydicom.Dataset) -> tuple[float, float]:
    slope, intercept = numbers(header, "RescaleSlope", 1), numbers(header, "RescaleIntercept", 1)
    return (1.0 if slope is None else slope[0]), (0.0 if intercept is None else intercept[0])


def _scaled(stored: NDArray[Any], slope: float, intercept: float, whole: bool) -> NDArray[Any]:
    if whole and slope == 1.0 and stored.dtype.itemsize <= 2:
        low, high = int(stored.min()) + intercept, int(stored.max()) + intercept
        fits = INT16[0] <= low and high <= INT16[1]
        return np.add(stored, int(intercept), dtype=np.int16 if fits else np.int32, casting="unsafe")
    return np.asarray(stored.astype(np.float64) * slope + intercept)


class _Reader:
    """Stored values [row, column] of frames of one size, colours as their brightness; a file is opened once in a row.

    Raises FileFormatError for a frame that cannot be read.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._opened: tuple[Path, pydicom.Dataset] | None = None

    def __call__(self, frame: Frame) -> NDArray[Any]:
        name, size = frame.path.name, self._size
        try:
            pixels = self._decoded(frame) if frame.pixels_at is None else _plain(frame, frame.pixels_at, size)
        except FileFormatError:
            raise
        except BaseException as error:  # pydicom and its decoders raise many kinds
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of those in Rust
                raise
            raise FileFormatError(
                f"{name}: pixel data that cannot be read ({' '.join(str(error).split())[:200]})",
                f"{size[0]}x{size[1]} pixels",
                "The file may be cut short: copy it again from its source",
            ) from error
        if pixels.shape != size:
            raise FileFormatError(f"{name}: pixels of shape {pixels.shape}", f"{size}")
        return pixels

    def _decoded(self, frame: Frame) -> NDArray[Any]:
        if self._opened is None or self._opened[0] != frame.path:
            self._opened = frame.path, read_file(frame.path)
        data = self._opened[1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_stream(data, frame.number or 0, frame.path.name)
            pixels = _stored(data, frame.number)
            return _brightness(pixels, data) if is_colour(frame.header) else pixels


def _plain(frame: Frame, at: int, size: tuple[int, int]) -> NDArray[Any]:
    """16-bit pixels as they lie in the file; bits beyond those stored are none of the value's."""
    signed = text(frame.header, "PixelRepresentation") == "1"
    pixels = np.fromfile(frame.path, "<i2" if signed else "<u2", size[0] * size[1], offset=at)
    if pixels.size != size[0] * size[1]:
        raise ValueError(f"{2 * pixels.size} bytes")
    spare = 16 - int(text(frame.header, "BitsStored") or "16")
    if spare > 0:
        pixels = (pixels << spare) >> spare
    return pixels.reshape(size)


def _padding_in(pixels: NDArray[Any], header: pydicom.Dataset) -> NDArray[np.bool_] | None:
    """Which stored values are padding; None where the header names no value for it."""
    value = numbers(header, "PixelPaddingValue", 1)
    if value is None:
        return None
    limit = numbers(header, "PixelPaddingRangeLimit", 1) or value
    ends = sorted(_as_stored(number, header) for number in (value[0], limit[0]))
    if ends[0] == ends[1] == int(ends[0]):
        return np.asarray(pixels == int(ends[0]))
    return np.asarray((pixels >= ends[0]) & (pixels <= ends[1]))


def _stored(data: pydicom.Dataset, number: int | None) -> NDArray[Any]:
    """Of a frame, or of all. Of decoders that share a syntax the one that survives a broken stream."""
    from pydicom.pixels import pixel_array

    plugin = "pylibjpeg" if data.file_meta.get("TransferSyntaxUID") in JPEG_2000 else ""
    return np.asarray(pixel_array(data, index=number, decoding_plugin=plugin))


def _brightness(pixels: NDArray[Any], data: pydicom.Dataset) -> NDArray[Any]:
    if text(data, "PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels = apply_color_lut(pixels, data)
        pixels = pixels >> 8 if pixels.dtype.itemsize > 1 else pixels
    return np.asarray(np.rint(pixels[..., :3] @ LUMA), dtype=np.int16)


def _as_stored(number: float, header: pydicom.Dataset) -> float:
    """A padding value that was written with the wrong sign (65536 too much or too little), as the pixels have it."""
    signed = text(header, "PixelRepresentation") == "1"
    bits = (numbers(header, "BitsAllocated", 1) or (16,))[0]
    if signed and number >= 2 ** (bits - 1):
        return number - 2**bits
    return number + 2**bits if not signed and number < 0 else number
