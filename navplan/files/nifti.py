"""NIfTI-1 and NIfTI-2 files (.nii, .nii.gz): read strictly, affine in LPS; written as NIfTI-1.

Format: nifti1.h and nifti2.h of the NIfTI Data Format Working Group. Their world is RAS mm; index (0, 0, 0) is a
voxel's centre. The header is read here and not by SimpleITK, which makes a sheared or damaged affine orthogonal
without a word.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import FileFormatError, GeometryError
from navplan.files.whole_file import whole_file
from navplan.geometry.conventions import lps_from_ras_affine
from navplan.geometry.grid import Grid
from navplan.model.acquisition import QualityFinding, Severity

LARGEST_INFLATION = 1100  # DEFLATE gives at most 1032 bytes for one
LABEL_INTENT = 1002
LABEL_MAP = "label_map"  # code of the finding that a file says its values are labels
SAME_AFFINE_MM = 0.1  # qform and sform that put a corner farther apart than this are told
_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_TYPE_CODES = {np.dtype(name): code for code, name in _TYPES.items()}
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}


@dataclass(frozen=True)
class _Header:
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    vox_offset: int
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    q_offset: tuple[float, ...]
    rows: tuple[float, ...]
    intent: int
    byte_order: str


def read_nifti(path: str | Path) -> tuple[NDArray[Any], Grid, tuple[QualityFinding, ...]]:
    """Array [i, j, k], its grid in LPS mm, and what was noticed about the header.

    Values are scaled by scl_slope and scl_inter where these say so (float64), else they keep the file's type. The sform
    counts where its code is above 0, else the qform. Raises FileFormatError for a file that is cut short, damaged, not
    three-dimensional or without an orientation; GeometryError for an affine that is singular, not finite or sheared.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                start = stream.read(544)
                header = _read_header(path, start)
                shape = _shape(path, header)
                dtype = np.dtype(header.byte_order + _TYPES[header.datatype])
                need = int(np.prod(np.array(shape, dtype=object))) * dtype.itemsize
                available = path.stat().st_size * (LARGEST_INFLATION if packed else 1)
                _check_size(path, min(available, need), need)  # before memory is asked for
                stream.seek(header.vox_offset)
                data = stream.read(need + 1)  # one more: the end, and with it gzip's check sum, is reached
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(
            f"{path.name}: compressed data that ends early or is damaged ({error})",
            "a whole gzip file",
            "Copy it again from its source",
        ) from error
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error
    _check_size(path, len(data), need)
    grid, findings = _grid(path, header, shape)
    if header.intent == LABEL_INTENT:
        findings += (QualityFinding(LABEL_MAP, Severity.INFO, "The file says that its values are labels."),)
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if header.slope not in (0.0, 1.0) or (header.slope == 1.0 and header.intercept != 0.0):
        flat = flat * header.slope + header.intercept
    return cast("NDArray[Any]", flat.reshape(shape, order="F")), grid, findings


def write_nifti(path: str | Path, array_ijk: NDArray[Any], grid: Grid) -> None:
    """Write array[i, j, k] as NIfTI-1, gzip'd where the name ends in .gz; sform and qform both hold the grid.

    The header keeps 32-bit floats: positions are exact to about 1e-4 mm, the frame of reference is lost. Raises
    FileFormatError for a type or shape that does not fit.
    """
    path = Path(path)
    dtype = array_ijk.dtype.newbyteorder("=")
    if array_ijk.shape != grid.shape or dtype not in _TYPE_CODES or max(grid.shape) > 32767:
        raise FileFormatError(
            f"an array of {array_ijk.dtype} and shape {array_ijk.shape} on {grid!r}", "numbers of the grid's shape"
        )
    affine = lps_from_ras_affine(grid.affine)
    quaternion, qfac = _quaternion(affine[:3, :3] / grid.spacing_mm)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *grid.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, _TYPE_CODES[dtype], dtype.itemsize * 8)
    struct.pack_into("<8f", header, 76, qfac, *grid.spacing_mm, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, 1, 1)
    struct.pack_into("<6f", header, 256, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    voxels = np.ascontiguousarray(array_ijk.astype(dtype.newbyteorder("<"), copy=False).T).data
    with whole_file(path) as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", compresslevel=4, fileobj=file, mtime=0) as packed:
                packed.write(bytes(header))
                packed.write(voxels)
        else:
            file.write(bytes(header))
            file.write(voxels)


def _check_size(path: Path, found: int, need: int) -> None:
    if found != need:
        word = "cut short" if found < need else "longer than its header says"
        raise FileFormatError(
            f"{path.name}: {found} bytes of image data", f"{need}", f"The file is {word}: copy it again from its source"
        )


def _read_header(path: Path, data: bytes) -> _Header:
    for order in "<>":
        size = struct.unpack_from(order + "i", data)[0] if len(data) >= 352 else 0
        if size == 348 and data[344:348] == b"n+1\0":
            return _header_1(data, order)
        if size == 540 and len(data) == 544 and data[4:8] == b"n+2\0":
            return _header_2(data, order)
    raise FileFormatError(
        f"{path.name}: no NIfTI header",
        "a .nii or .nii.gz file in one piece",
        "Check that the file is what its name says",
    )


def _header_1(data: bytes, order: str) -> _Header:
    def at(code: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + code, data, offset)

    offset, slope, intercept = at("3f", 108)
    intent, datatype = at("h", 68)[0], at("h", 70)[0]
    qform_code, sform_code = at("2h", 252)
    return _Header(
        at("8h", 40), datatype, at("8f", 76), _whole(offset), slope, intercept, data[123],
        qform_code, sform_code, at("3f", 256), at("3f", 268), at("12f", 280), intent, order,
    )  # fmt: skip


def _header_2(data: bytes, order: str) -> _Header:
    def at(code: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + code, data, offset)

    slope, intercept = at("2d", 152)
    units, intent = at("2i", 500)
    qform_code, sform_code = at("2i", 344)
    return _Header(
        at("8q", 16), at("h", 12)[0], at("8d", 80), at("q", 144)[0], slope, intercept, units,
        qform_code, sform_code, at("3d", 352), at("3d", 376), at("12d", 400), intent, order,
    )  # fmt: skip


def _whole(offset: float) -> int:
    return int(offset) if np.isfinite(offset) else -1


def _shape(path: Path, header: _Header) -> tuple[int, int, int]:
    dimensions = header.dim[0]
    sizes = header.dim[1 : 1 + dimensions] if 1 <= dimensions <= 7 else ()
    if len(sizes) < 3 or min(sizes) < 1 or any(size != 1 for size in sizes[3:]):
        raise FileFormatError(
            f"{path.name}: an image of size {'x'.join(str(size) for size in sizes) or header.dim}",
            "one three-dimensional volume",
            "Write the volume that is meant into a file of its own",
        )
    if header.datatype not in _TYPES:
        raise FileFormatError(f"{path.name}: values of type code {header.datatype}", "whole or real numbers")
    smallest = 348 if header.vox_offset < 540 else 540
    if not smallest <= header.vox_offset < 1 << 62 or not np.isfinite([header.slope, header.intercept]).all():
        raise FileFormatError(
            f"{path.name}: data offset {header.vox_offset}, slope {header.slope}, intercept {header.intercept}",
            "a header with finite values and a place in the file",
        )
    return sizes[0], sizes[1], sizes[2]


def _grid(path: Path, header: _Header, shape: tuple[int, int, int]) -> tuple[Grid, tuple[QualityFinding, ...]]:
    if header.units & 7 not in _MM_PER_UNIT:
        raise FileFormatError(f"{path.name}: unit code {header.units & 7} for lengths", "mm, metres or micrometres")
    scale = np.diag([_MM_PER_UNIT[header.units & 7]] * 3 + [1.0])
    affines: dict[str, NDArray[np.float64]] = {}
    if header.sform_code > 0:
        affines["sform"] = np.vstack([np.reshape(header.rows, (3, 4)), (0, 0, 0, 1)])
    if header.qform_code > 0:
        affines["qform"] = _affine_of_qform(path, header)
    if not affines:
        raise FileFormatError(
            f"{path.name}: no orientation (sform and qform codes are 0)",
            "a header that says where left and right are",
            "Convert it again from its DICOM source",
        )
    used, affine = next(iter(affines.items()))
    if not np.isfinite(affine).all():
        raise GeometryError(f"{path.name}: a {used} with values that are not finite", "finite values")
    try:
        grid = Grid(lps_from_ras_affine(scale @ affine), shape)
    except GeometryError as error:
        raise GeometryError(f"{path.name}, {used}: {error.received}", error.expected, error.remedy) from error
    findings: tuple[QualityFinding, ...] = ()
    if len(affines) == 2:
        try:
            other = Grid(lps_from_ras_affine(scale @ affines["qform"]), shape)
            apart = float(np.linalg.norm(grid.corners_mm() - other.corners_mm(), axis=1).max())
        except GeometryError:
            apart = np.inf
        if apart > SAME_AFFINE_MM:
            words = f"sform and qform differ by {apart:.3g} mm; the sform is used."
            findings = (QualityFinding("two_orientations", Severity.WARN, words),)
    return grid, findings


def _affine_of_qform(path: Path, header: _Header) -> NDArray[np.float64]:
    """Index -> RAS by nifti1.h, method 2."""
    vector = np.array(header.quaternion, dtype=np.float64)
    rest = 1.0 - float(vector @ vector)
    if not rest > -1e-3:
        raise GeometryError(f"{path.name}: qform quaternion {vector.tolist()}", "a quaternion of length 1")
    if rest < 1e-7:
        vector, rest = vector / np.linalg.norm(vector), 0.0
    a, (b, c, d) = float(np.sqrt(rest)), vector
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    affine = np.eye(4)
    qfac = -1.0 if header.pixdim[0] < 0 else 1.0
    affine[:3, :3] = rotation * np.array([header.pixdim[1], header.pixdim[2], qfac * header.pixdim[3]])
    affine[:3, 3] = header.q_offset
    return affine


def _quaternion(rotation: ArrayLike) -> tuple[tuple[float, float, float], float]:
    """(b, c, d) with a >= 0, and qfac, of orthonormal columns."""
    from scipy.spatial.transform import Rotation

    matrix = np.array(rotation, dtype=np.float64)
    qfac = -1.0 if np.linalg.det(matrix) < 0 else 1.0
    matrix[:, 2] *= qfac
    b, c, d, _ = Rotation.from_matrix(matrix).as_quat(canonical=True)
    return (float(b), float(c), float(d)), qfac
