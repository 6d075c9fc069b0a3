"""NRRD files (.nrrd, .nhdr): read strictly, written raw so that they can be memory-mapped.

Format: teem's "Definition of NRRD File Format", NRRD0001 to NRRD0005. `space origin` is the centre of the first sample,
`space directions` are the steps between samples, the first axis is the fastest one in the file.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError
from navplan.files.whole_file import whole_file
from navplan.geometry.conventions import lps_from_ras_affine
from navplan.geometry.grid import Grid

FRAME_KEY = "frame of reference uid"
LARGEST_HEADER = 1 << 20
LARGEST_INFLATION = 1100  # DEFLATE gives at most 1032 bytes for one; a header that promises more is wrong
_LPS_FROM_SPACE = {
    "left-posterior-superior": np.eye(4), "lps": np.eye(4),
    "right-anterior-superior": lps_from_ras_affine(np.eye(4)), "ras": lps_from_ras_affine(np.eye(4)),
    "left-anterior-superior": np.diag([1.0, -1.0, 1.0, 1.0]), "las": np.diag([1.0, -1.0, 1.0, 1.0]),
}  # fmt: skip
_DTYPE_NAMES = {
    "int8": "signed char, int8, int8_t", "uint8": "uchar, unsigned char, uint8, uint8_t",
    "int16": "short, short int, signed short, signed short int, int16, int16_t",
    "uint16": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "int32": "int, signed int, int32, int32_t", "uint32": "uint, unsigned int, uint32, uint32_t",
    "int64": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "uint64": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "float32": "float", "float64": "double",
}  # fmt: skip
_DTYPES = {name: np.dtype(dtype) for dtype, names in _DTYPE_NAMES.items() for name in names.split(", ")}
_WRITTEN_TYPES = {np.dtype(dtype): names.split(", ")[-1] for dtype, names in _DTYPE_NAMES.items()}


@dataclass
class _Header:
    fields: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    data_offset: int = 0


def write_nrrd(path: str | Path, array_ijk: NDArray[Any], grid: Grid, header: dict[str, str] | None = None) -> None:
    """Write array[i, j, k] (or array[n, i, j, k]: n layers) in LPS, raw and little-endian; whole or not at all.

    `header` becomes `key:=value` lines. Raises FileFormatError for a type that NRRD does not know or a shape that is
    not the grid's, InputError where the file cannot be written.
    """
    dtype = array_ijk.dtype
    if (
        dtype.newbyteorder("=") not in _WRITTEN_TYPES
        or array_ijk.shape[-3:] != grid.shape
        or array_ijk.ndim not in (3, 4)
    ):
        raise FileFormatError(
            f"an array of {dtype} and shape {array_ijk.shape} on {grid!r}",
            "numbers of 8 to 64 bits of the grid's shape",
        )
    layers = array_ijk.ndim == 4
    vectors = [_vector(grid.affine[:3, axis]) for axis in range(3)]
    lines = [
        "NRRD0005",
        f"type: {_WRITTEN_TYPES[dtype.newbyteorder('=')]}",
        f"dimension: {array_ijk.ndim}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in array_ijk.shape),
        "space directions: " + " ".join((["none"] if layers else []) + vectors),
        "kinds: " + " ".join((["list"] if layers else []) + ["domain"] * 3),
        "endian: little",
        "encoding: raw",
        'space units: "mm" "mm" "mm"',
        f"space origin: {_vector(grid.origin_mm)}",
    ]
    pairs = dict(header or {})
    if grid.frame_uid:
        pairs[FRAME_KEY] = grid.frame_uid
    for key, value in pairs.items():
        if not key or ":" in key or "\n" in key or key.startswith("#"):
            raise FileFormatError(f"the header key {key!r}", "a name without a colon or a line break")
        lines.append(f"{key}:=" + value.replace("\\", "\\\\").replace("\n", "\\n"))
    text = ("\n".join(lines) + "\n\n").encode("utf-8")
    little = array_ijk.astype(dtype.newbyteorder("<"), copy=False)
    with whole_file(path) as file:
        file.write(text)
        file.write(np.ascontiguousarray(little.T).data)


def read_nrrd(path: str | Path, mmap: bool = False) -> tuple[NDArray[Any], Grid, dict[str, str]]:
    """Array [i, j, k] (or [n, i, j, k] for a list of layers), its grid in LPS mm, and the `key:=value` pairs.

    With `mmap`, raw native data is a read-only memory map, else it is read. Raises FileFormatError for anything that is
    cut short, too long, or not understood; GeometryError for a singular or sheared grid.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error
    kinds, sizes, grid = _geometry(header, path)
    if FRAME_KEY in header.pairs:
        grid = Grid(grid.affine, grid.shape, header.pairs.pop(FRAME_KEY))
    array = _read_data(path, header, sizes, mmap)
    if len(sizes) == 4 and kinds.index(False) == 3:  # layers as the slowest axis
        array = np.moveaxis(array, 3, 0)
    return array, grid, header.pairs


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _bad(path: Path, what: str, expected: str, remedy: str = "") -> FileFormatError:
    return FileFormatError(f"{path.name}: {what}", expected, remedy)


def _read_header(file: IO[bytes], path: Path) -> _Header:
    header, total = _Header(), 0
    first = file.readline(64)
    if not (first.startswith(b"NRRD000") and first[7:8] in b"12345" and not first[8:].strip()):
        raise _bad(
            path, "no NRRD header", "a first line NRRD0001 to NRRD0005", "Check that the file is what its name says"
        )
    for raw in iter(lambda: file.readline(LARGEST_HEADER), b""):
        total += len(raw)
        if total > LARGEST_HEADER:
            raise _bad(path, "a header without an end", "an empty line after at most 1 MB")
        line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
        if not line:
            break
        if line.startswith("#"):
            continue
        name, pair, value = line.partition(":=")
        plain, colon, text = line.partition(":")
        if pair and len(plain) >= len(name):
            header.pairs[name.strip()] = _unescaped(value)
        elif colon:
            key = " ".join(plain.lower().split()).replace("datafile", "data file").replace("lineskip", "line skip")
            header.fields[key.replace("byteskip", "byte skip")] = text.strip()
        else:
            raise _bad(path, f"the header line {line[:60]!r}", "field: value, or key:=value")
    header.data_offset = file.tell()
    return header


def _unescaped(value: str) -> str:
    return value.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


def _numbers(path: Path, header: _Header, name: str) -> list[int]:
    try:
        return [int(word) for word in header.fields[name].split()]
    except (KeyError, ValueError) as error:
        raise _bad(path, f"{name}: {header.fields.get(name, 'missing')}", f"whole numbers as {name}") from error


def _vectors(path: Path, text: str) -> list[list[float] | None]:
    found: list[list[float] | None] = []
    rest = text.strip()
    while rest:
        if rest.startswith("none"):
            found.append(None)
            rest = rest[4:].strip()
            continue
        inside, closed, after = rest[1:].partition(")")
        try:
            vector = [float(number) for number in inside.split(",")]
        except ValueError:
            vector = []
        if not rest.startswith("(") or not closed or len(vector) != 3:
            raise _bad(path, f"the vector {rest[:40]!r}", "three numbers in brackets, (x,y,z)")
        found.append(vector)
        rest = after.strip()
    return found


def _geometry(header: _Header, path: Path) -> tuple[list[bool], list[int], Grid]:
    """Which axes are spatial, all sizes, and the grid of the spatial ones."""
    fields = header.fields
    dimension, sizes = _numbers(path, header, "dimension"), _numbers(path, header, "sizes")
    space = fields.get("space", "").lower()
    if space not in _LPS_FROM_SPACE:
        raise _bad(
            path, f"space: {fields.get('space', 'missing')}", "left-posterior-superior or right-anterior-superior",
            "Save it from a program that writes the patient's orientation",
        )  # fmt: skip
    units = [unit.strip('"').lower() for unit in fields.get("space units", "").split()]
    if any(unit not in ("mm", "millimeter", "millimetre", "") for unit in units):
        raise _bad(path, f"space units: {fields['space units']}", "mm")
    directions = _vectors(path, fields.get("space directions", ""))
    origins = _vectors(path, fields.get("space origin", ""))
    spatial = [vector is not None for vector in directions]
    steps = [vector for vector in directions if vector is not None]
    if len(dimension) != 1 or len(sizes) != dimension[0] or len(directions) != len(sizes) or min(sizes, default=0) < 1:
        raise _bad(
            path, f"sizes {sizes}, dimension {dimension}, {len(directions)} directions", "as many of each, at least 1"
        )
    if len(steps) != 3 or len(origins) != 1 or origins[0] is None or spatial not in (
        [True] * 3, [False, True, True, True], [True, True, True, False],
    ):  # fmt: skip
        raise _bad(
            path, f"{len(steps)} directions in space and {len(origins)} origins", "three directions and an origin"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.array(steps).T
    affine[:3, 3] = origins[0]
    shape = [size for size, inside in zip(sizes, spatial, strict=True) if inside]
    return spatial, sizes, Grid(_LPS_FROM_SPACE[space] @ affine, (shape[0], shape[1], shape[2]))


def _read_data(path: Path, header: _Header, sizes: list[int], mmap: bool) -> NDArray[Any]:
    fields = header.fields
    dtype = _DTYPES.get(" ".join(fields.get("type", "").lower().split()))
    encoding = fields.get("encoding", "").lower()
    endian = fields.get("endian", "").lower()
    if dtype is None:
        raise _bad(path, f"type: {fields.get('type', 'missing')}", "a whole number of 8 to 64 bits, float or double")
    if dtype.itemsize > 1 and endian not in ("little", "big") and encoding not in ("text", "txt", "ascii"):
        raise _bad(path, f"endian: {fields.get('endian', 'missing')}", "little or big")
    dtype = dtype.newbyteorder(">" if endian == "big" else "<")
    count = int(np.prod(np.array(sizes, dtype=object)))
    source, offset = path, header.data_offset
    if "data file" in fields:
        source, offset = _detached(path, fields["data file"]), 0
    lines, skip = (_skipped(path, fields.get(name, "") or "0", name) for name in ("line skip", "byte skip"))
    if lines < 0:
        raise _bad(path, f"line skip: {lines}", "a whole number of lines")
    try:
        available = source.stat().st_size
        with source.open("rb") as file:
            file.seek(offset)
            for _ in range(lines):
                if not file.readline():
                    break
            offset = file.tell()
            if encoding == "raw":
                offset = available - count * dtype.itemsize if skip == -1 else offset + skip
                _check_size(path, available - offset, count * dtype.itemsize)
                if mmap and dtype.isnative:
                    return np.memmap(source, dtype, "r", offset, tuple(sizes), "F")
                file.seek(offset)
                flat = np.fromfile(file, dtype, count)
            elif encoding in ("text", "txt", "ascii"):
                flat = np.array(file.read().split(), dtype=np.float64).astype(dtype.newbyteorder("="))
            elif encoding in ("gzip", "gz", "bzip2", "bz2"):
                flat = _inflate(path, file, encoding, count, dtype, skip, available)
            else:
                raise _bad(path, f"encoding: {fields.get('encoding', 'missing')}", "raw, gzip, bzip2 or text")
    except OSError as error:
        raise _bad(path, f"data in {source.name}: {error.strerror or error}", "a file that can be read") from error
    except ValueError as error:
        raise _bad(path, f"data that cannot be read ({error})", "numbers") from error
    _check_size(path, flat.size, count, "values")
    return cast("NDArray[Any]", flat.astype(dtype.newbyteorder("="), copy=False).reshape(sizes, order="F"))


def _skipped(path: Path, text: str, name: str) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise _bad(path, f"{name}: {text[:40]}", "a whole number") from error
    if not -1 <= number < 1 << 62:
        raise _bad(path, f"{name}: {number}", "a place in the file")
    return number


def _detached(path: Path, name: str) -> Path:
    if name.startswith("LIST") or (len(name.split()) > 1 and "%" in name):
        raise _bad(path, "data spread over several files", "one data file", "Save it as one .nrrd file")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise _bad(path, f"data file {name}", "a data file beside the header")
    return path.parent / name


def _inflate(
    path: Path, file: IO[bytes], encoding: str, count: int, dtype: np.dtype[Any], skip: int, available: int
) -> NDArray[Any]:
    need = count * dtype.itemsize
    deflate = encoding in ("gzip", "gz")
    if deflate and need > LARGEST_INFLATION * available:
        raise _bad(
            path, f"{available} bytes of compressed data", f"{need} bytes when unpacked", "The file is cut short"
        )
    try:
        with gzip.GzipFile(fileobj=file) if deflate else bz2.BZ2File(file) as unpacked:
            unpacked.read(max(skip, 0))
            data = unpacked.read(need + 1)  # one more: the end, and with it the check sum, is reached
    except (EOFError, zlib.error, OSError) as error:
        raise _bad(
            path, f"compressed data that ends early or is damaged ({error})", f"{need} bytes when unpacked"
        ) from error
    _check_size(path, len(data), need)
    return np.frombuffer(data, dtype)


def _check_size(path: Path, found: int, expected: int, what: str = "bytes of image data") -> None:
    if found != expected:
        word = "cut short" if found < expected else "longer than its header says"
        raise _bad(path, f"{found} {what}", f"{expected}", f"The file is {word}: copy it again from its source")
