"""Triangles of VTK's XML polygonal data (.vtp), serial: text, base64 or raw, plain or packed with zlib.

Format: "XML File Formats" of the VTK documentation. What a block's header says of lengths is checked against its bytes.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from navplan.files.mesh_formats import fans

_TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4", "Int64": "i8",
    "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_APPENDED = re.compile(rb"<AppendedData\s+encoding\s*=\s*\"(raw|base64)\"\s*>\s*_", re.DOTALL)
_LARGEST = 1 << 31  # bytes of an array


def read_vtp(data: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
    """Points, triangles (polygons as fans; strips are refused), and the text of a field named SPACE, "" for none.

    Raises ValueError, zlib.error or ElementTree.ParseError.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("a document type of its own")
    appended, encoding = b"", ""
    found = _APPENDED.search(data)
    if found:
        end = data.rfind(b"</AppendedData>")
        appended, encoding = data[found.end() : end if end > 0 else len(data)], found[1].decode()
        data = data[: found.start()] + b"</VTKFile>"
    root = ElementTree.fromstring(data)
    if root.tag != "VTKFile" or root.get("type") != "PolyData":
        raise ValueError(f"{root.tag} of type {root.get('type')}")
    arrays = _Arrays(root, appended, encoding)
    points, triangles, start = [], [], 0
    for piece in root.iter("Piece"):
        place = piece.find("Points/DataArray")
        if place is None:
            continue
        if int(piece.get("NumberOfStrips", "0")):
            raise ValueError("triangle strips")
        here = arrays.of(place).astype(np.float64).reshape(-1, 3)
        corners, ends = (piece.find(f"Polys/DataArray[@Name='{name}']") for name in ("connectivity", "offsets"))
        if corners is not None and ends is not None:
            numbers, offsets = arrays.of(corners).astype(np.int64), arrays.of(ends).astype(np.int64)
            if (np.diff(offsets, prepend=0) < 0).any() or (offsets.size and offsets[-1] != numbers.size):
                raise ValueError("polygons whose ends do not fit their corners")
            polygons = [part.tolist() for part in np.split(numbers, offsets[:-1])] if offsets.size else []
            found_here = fans(polygons)
            if found_here.size and not 0 <= found_here.min() <= found_here.max() < len(here):
                raise ValueError("a corner that is no point")
            triangles.append(found_here + start)
        points.append(here)
        start += len(here)
    space = root.find(".//FieldData/Array[@Name='SPACE']")
    return (
        np.concatenate(points) if points else np.zeros((0, 3)),
        np.concatenate(triangles) if triangles else np.zeros((0, 3), dtype=np.int64),
        "" if space is None else _words(arrays, space),
    )


def _words(arrays: _Arrays, array: Any) -> str:
    return bytes(arrays.of(array, "Int8").astype(np.uint8).tolist()).rstrip(b"\0").decode("ascii", "replace").strip()


class _Arrays:
    def __init__(self, root: Any, appended: bytes, encoding: str) -> None:
        self._order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self._length = np.dtype(self._order + _TYPES[root.get("header_type", "UInt32")])
        packer = root.get("compressor", "")
        if packer not in ("", "vtkZLibDataCompressor"):
            raise ValueError(f"packed by {packer}")
        self._packed, self._appended, self._encoding = bool(packer), appended, encoding

    def of(self, array: Any, kind: str = "") -> NDArray[Any]:
        """The numbers of a DataArray."""
        name = kind or array.get("type", "")
        if name not in _TYPES:
            raise ValueError(f"numbers of type {name!r}")
        form = array.get("format", "ascii")
        if form == "ascii":
            words = (array.text or "").split()
            if name.startswith("Float"):
                return np.array([float(word) for word in words])
            return np.array([int(word) for word in words], dtype=np.int64)
        if form == "binary":
            read = self._base64((array.text or "").strip().encode("ascii", "replace"))
        elif form == "appended":
            at = int(array.get("offset", "-1"))
            if not 0 <= at < len(self._appended):
                raise ValueError("an offset outside the appended data")
            tail = self._appended[at:]
            read = self._raw(tail) if self._encoding == "raw" else self._base64(tail)
        else:
            raise ValueError(f"the format {form!r}")
        return np.frombuffer(read, self._order + _TYPES[name])

    def _base64(self, text: bytes) -> bytes:
        """Header and data are encoded one after the other where the data is packed, together where not."""
        if not self._packed:
            size = self._numbers(self._decoded(text, self._length.itemsize), 1)[0]
            return self._raw(self._decoded(text, self._length.itemsize + size))
        count = self._numbers(self._decoded(text, self._length.itemsize), 1)[0]
        head = self._decoded(text, self._length.itemsize * (3 + count))
        used = (len(head) + 2) // 3 * 4
        return self._unpacked(head, self._decoded(text[used:], sum(self._numbers(head, 3 + count)[3:])))

    @staticmethod
    def _decoded(text: bytes, size: int) -> bytes:
        if not 0 <= size <= _LARGEST or (size + 2) // 3 * 4 > len(text):
            raise ValueError("fewer bytes than an array states")
        return base64.b64decode(text[: (size + 2) // 3 * 4], validate=True)[:size]

    def _raw(self, data: bytes) -> bytes:
        step = self._length.itemsize
        count = self._numbers(data, 1)[0]
        if not self._packed:
            if not 0 <= count <= len(data) - step:
                raise ValueError("fewer bytes than an array states")
            return data[step : step + count]
        if not 0 <= count <= len(data) // step:
            raise ValueError("fewer bytes than an array states")
        return self._unpacked(data, data[step * (3 + count) :])

    def _unpacked(self, head: bytes, data: bytes) -> bytes:
        count, block, last = self._numbers(head, 3)
        sizes = self._numbers(head, 3 + count)[3:]
        if count * block > _LARGEST or sum(sizes) > len(data):
            raise ValueError("fewer bytes than an array states")
        parts, at = [], 0
        for n, size in enumerate(sizes):
            wanted = last if n == count - 1 and last else block
            part = zlib.decompressobj().decompress(data[at : at + size], wanted + 1)
            if len(part) != wanted:
                raise ValueError("a block of another size than it states")
            parts.append(part)
            at += size
        return b"".join(parts)

    def _numbers(self, data: bytes, count: int) -> list[int]:
        if count < 0 or count * self._length.itemsize > len(data):
            raise ValueError("fewer bytes than an array states")
        return [int(number) for number in np.frombuffer(data, self._length, count)]
