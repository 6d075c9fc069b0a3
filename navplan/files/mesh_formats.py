"""Triangles of STL, OBJ and PLY files, read by their bytes: no length in a file is believed before it is checked.

Formats: STL as 3D Systems gave it out (binary records of 50 bytes, or text); OBJ by Wavefront's Advanced Visualizer,
appendix B1; PLY by G. Turk, The PLY polygon file format, 1994. Polygons become fans of triangles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
_LARGEST_HEADER = 1 << 16


def read_stl(data: bytes) -> Mesh:
    """Points, three a triangle, and triangles. Raises ValueError."""
    count = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if len(data) == 84 + 50 * count:
        corners = np.frombuffer(data, _STL, count, 84)["corners"].reshape(-1, 3)
    else:
        if not data.lstrip()[:5].lower() == b"solid" or b"endsolid" not in data.lower():
            raise ValueError(f"{len(data)} bytes for {count} triangles, and no text from solid to endsolid")
        words = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", data)
        if len(words) != 3 * len(re.findall(rb"outer\s+loop", data)):
            raise ValueError("a loop without three corners")
        corners = np.array(words, dtype="S").astype(np.float64).reshape(-1, 3)
    return np.asarray(corners, dtype=np.float64), np.arange(len(corners), dtype=np.int64).reshape(-1, 3)


def read_obj(data: bytes) -> Mesh:
    """Points and triangles; texture and normals are left out. Raises ValueError."""
    points: list[list[float]] = []
    polygons: list[list[int]] = []
    for line in data.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        words = line.split()
        if not words or words[0] not in ("v", "f"):
            continue
        if words[0] == "v":
            if len(words) < 4:
                raise ValueError(f"the point {line[:40]!r}")
            points.append([float(word) for word in words[1:4]])
        else:
            numbers = [int(word.partition("/")[0]) for word in words[1:]]
            if 0 in numbers:
                raise ValueError("a corner numbered 0")
            polygons.append([number - 1 if number > 0 else len(points) + number for number in numbers])
    return np.array(points, dtype=np.float64).reshape(-1, 3), fans(polygons)


def read_ply(data: bytes) -> Mesh:
    """Points and triangles of the elements `vertex` and `face`. Raises ValueError."""
    head = re.match(rb"ply\r?\n(.*?)end_header\r?\n", data[:_LARGEST_HEADER], re.DOTALL)
    if head is None:
        raise ValueError("no header from ply to end_header")
    kind, elements = _ply_header(head[1].decode("ascii", "replace"))
    tables: dict[str, Any]
    if kind == "ascii":
        tables = _ply_text(data[head.end() :], elements)
    elif kind in ("binary_little_endian", "binary_big_endian"):
        tables = _ply_binary(data, head.end(), elements, "<" if kind == "binary_little_endian" else ">")
    else:
        raise ValueError(f"the format {kind!r}")
    if "vertex" not in tables or "face" not in tables:
        raise ValueError("no element vertex, or no element face")
    return np.asarray(tables["vertex"], dtype=np.float64).reshape(-1, 3), fans(tables["face"])


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list)  # name, type, type of a list's length or ""

    @property
    def corners(self) -> int:
        """Which property lists a face's corners."""
        for n, (name, _, length) in enumerate(self.properties):
            if length and name in ("vertex_indices", "vertex_index"):
                return n
        raise ValueError(f"no vertex_indices in {self.name}")

    def place(self, axis: str) -> int:
        """Which property is a coordinate."""
        for n, (name, _, length) in enumerate(self.properties):
            if name == axis and not length:
                return n
        raise ValueError(f"no {axis} in {self.name}")


def _ply_header(text: str) -> tuple[str, list[_Element]]:
    kind, elements = "", list[_Element]()
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3:
            kind = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal():
            elements.append(_Element(words[1], int(words[2])))
        elif words[0] == "property" and elements and len(words) in (3, 5):
            listed = len(words) == 5
            if listed != (words[1] == "list") or not {*words[1 + listed : -1]} <= set(_TYPES):
                raise ValueError(f"the line {line[:60]!r}")
            elements[-1].properties.append((words[-1], _TYPES[words[-2]], _TYPES[words[2]] if listed else ""))
        else:
            raise ValueError(f"the line {line[:60]!r}")
    return kind, elements


def _ply_text(data: bytes, elements: Sequence[_Element]) -> dict[str, list[list[float]]]:
    lines = [words for line in data.decode("ascii", "replace").splitlines() if (words := line.split())]
    tables: dict[str, list[list[float]]] = {}
    start = 0
    for element in elements:
        rows = lines[start : start + element.count]
        if len(rows) < element.count:
            raise ValueError(f"{len(rows)} of {element.count} rows of {element.name}")
        start += element.count
        if element.name in ("vertex", "face"):
            tables[element.name] = [_picked(element, _row_of_words(element, row)) for row in rows]
    return tables


def _row_of_words(element: _Element, words: list[str]) -> list[list[float]]:
    row, at = [], 0
    for _, _, length in element.properties:
        size = int(words[at]) if length and at < len(words) else 1
        at += 1 if length else 0
        if size < 0 or at + size > len(words):
            raise ValueError(f"a row of {element.name} that is too short")
        row.append([float(word) for word in words[at : at + size]])
        at += size
    return row


def _picked(element: _Element, row: list[list[float]]) -> list[float]:
    if element.name == "vertex":
        return [row[element.place(axis)][0] for axis in "xyz"]
    return row[element.corners]


def _ply_binary(
    data: bytes, start: int, elements: Sequence[_Element], order: str
) -> dict[str, NDArray[np.float64] | list[list[float]]]:
    tables: dict[str, NDArray[np.float64] | list[list[float]]] = {}
    for element in elements:
        lists = [n for n, (_, _, length) in enumerate(element.properties) if length]
        parts: list[Any] = []
        for n, (_, kind, length) in enumerate(element.properties):
            parts += [(f"n{n}", order + length), (f"p{n}", order + kind, 3)] if length else [(f"p{n}", order + kind)]
        fixed = np.dtype(parts)
        size = fixed.itemsize * element.count
        whole = len(data) - start >= size and size > 0
        rows = np.frombuffer(data, fixed, element.count, start) if whole else None
        if rows is not None and all((rows[f"n{n}"] == 3).all() for n in lists):
            start += size
            if element.name == "vertex":
                tables["vertex"] = np.stack([rows[f"p{element.place(a)}"] for a in "xyz"], axis=1).astype(np.float64)
            elif element.name == "face":
                tables["face"] = np.asarray(rows[f"p{element.corners}"], dtype=np.float64)
            continue
        if element.count and not lists:
            raise ValueError(f"too few bytes for {element.count} rows of {element.name}")
        table = []
        for _ in range(element.count):
            row, start = _row_of_bytes(element, data, start, order)
            table.append(_picked(element, row) if element.name in ("vertex", "face") else [])
        tables[element.name] = table
    return tables


def _row_of_bytes(element: _Element, data: bytes, at: int, order: str) -> tuple[list[list[float]], int]:
    row = []
    for _, kind, length in element.properties:
        size = 1
        if length:
            size = int(np.frombuffer(data, order + length, 1, at)[0])
            at += np.dtype(length).itemsize
        step = np.dtype(kind).itemsize * size
        if size < 0 or at + step > len(data):
            raise ValueError(f"too few bytes for a row of {element.name}")
        row.append(np.frombuffer(data, order + kind, size, at).tolist())
        at += step
    return row, at


def fans(polygons: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangles (M, 3) of polygons, each as a fan about its first corner; lines and points are left out."""
    if isinstance(polygons, np.ndarray):
        return polygons.astype(np.int64)
    triangles = [(one[0], one[n], one[n + 1]) for one in polygons for n in range(1, len(one) - 1)]
    return np.array(triangles, dtype=np.float64).astype(np.int64).reshape(-1, 3)
