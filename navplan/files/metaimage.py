"""MetaImage files (.mha, .mhd): read strictly. ITK writes them in LPS mm, the offset is the first voxel's centre."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError
from navplan.geometry.grid import Grid

LARGEST_HEADER = 1 << 20
LARGEST_INFLATION = 1100  # DEFLATE gives at most 1032 bytes for one
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def read_metaimage(path: str | Path) -> tuple[NDArray[Any], Grid]:
    """Array [i, j, k] and its grid in LPS mm.

    Raises FileFormatError for a file that is cut short, not one volume of numbers, or has no orientation; GeometryError
    for a singular or sheared grid.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        fields, start = _read_header(path, data)
        if fields["ElementDataFile"] != "LOCAL":
            data, start = _detached(path, fields["ElementDataFile"]).read_bytes(), 0
    except OSError as error:
        raise FileFormatError(f"{path.name}: {error.strerror or error}", "a file that can be read") from error
    sizes = [int(size) for size in _numbers(path, fields, "DimSize", 3)]
    dtype = _dtype(path, fields)
    need = int(np.prod(np.array(sizes, dtype=object))) * dtype.itemsize
    data = data[start:]
    if fields.get("CompressedData", "False").lower() == "true":
        data = _inflated(path, data, need)
    if len(data) != need:
        word = "cut short" if len(data) < need else "longer than its header says"
        raise FileFormatError(f"{path.name}: {len(data)} bytes of image data", f"{need}", f"The file is {word}")
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    affine = np.eye(4)
    # The matrix is written axis by axis: its rows are the directions of i, j and k.
    directions = np.reshape(_numbers(path, fields, "TransformMatrix", 9), (3, 3)).T
    affine[:3, :3] = directions * np.array(_numbers(path, fields, "ElementSpacing", 3))
    affine[:3, 3] = _numbers(path, fields, "Offset", 3)
    grid = Grid(affine, (sizes[0], sizes[1], sizes[2]))
    return cast("NDArray[Any]", flat.reshape(grid.shape, order="F")), grid


def _read_header(path: Path, data: bytes) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        end = data.find(b"\n", position, LARGEST_HEADER)
        name, equals, value = data[position : max(end, position)].decode("utf-8", errors="replace").partition("=")
        if end < 0 or not equals:
            raise FileFormatError(f"{path.name}: no MetaImage header", "lines of the form Name = value")
        fields[name.strip()] = value.strip()
        position = end + 1
    for old, new in (("Position", "Offset"), ("Origin", "Offset"), ("Orientation", "TransformMatrix")):
        if old in fields:
            fields.setdefault(new, fields[old])
    if (
        fields.get("NDims") != "3"
        or "list" in fields.get("Kinds", "")
        or any(name.startswith("Seq_") for name in fields)
    ):
        raise FileFormatError(f"{path.name}: {fields.get('NDims', 'no')} dimensions or a time sequence", "one volume")
    return fields, position


def _detached(path: Path, name: str) -> Path:
    if name.upper().startswith("LIST") or "%" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise FileFormatError(f"{path.name}: data file {name}", "one data file beside the header")
    return path.parent / name


def _numbers(path: Path, fields: dict[str, str], name: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in fields.get(name, "").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise FileFormatError(f"{path.name}: {name} = {fields.get(name, 'missing')}", f"{count} finite numbers")
    if name == "DimSize" and not all(1 <= size < 1 << 31 and size == int(size) for size in numbers):
        raise FileFormatError(f"{path.name}: DimSize = {fields[name]}", "whole numbers of at least 1")
    if name == "ElementSpacing" and min(numbers) <= 0:
        raise FileFormatError(
            f"{path.name}: ElementSpacing = {fields[name]}", "numbers above 0: axes turn by the matrix"
        )
    return numbers


def _dtype(path: Path, fields: dict[str, str]) -> np.dtype[Any]:
    kind = fields.get("ElementType", "missing")
    plain = fields.get("ElementNumberOfChannels", "1") == "1" and fields.get("BinaryData", "True").lower() == "true"
    if kind not in _TYPES or not plain or fields.get("HeaderSize", "0") != "0":
        raise FileFormatError(f"{path.name}: elements of {kind}", "one binary number for each voxel")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    return np.dtype((">" if big else "<") + _TYPES[kind])


def _inflated(path: Path, data: bytes, need: int) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(data, min(need, LARGEST_INFLATION * len(data)) + 1)
        if len(found) == need and not unpacking.eof:
            found += unpacking.decompress(unpacking.unconsumed_tail, 1)
        if not unpacking.eof and len(found) <= need:
            raise FileFormatError(f"{path.name}: compressed data that ends early", f"{need} bytes when unpacked")
    except zlib.error as error:
        raise FileFormatError(f"{path.name}: damaged compressed data ({error})", "a whole file") from error
    return found
