"""POLYDATA: points and cells; RAS on the wire (as 3D Slicer's models are), LPS in the messages.

Layout: Documents/Protocol/polydata.md, ten numbers of 4 bytes, points, four lists of cells, then attributes: their
heads (kind, components, number), their names with a zero behind each, a zero more where those come to an odd size,
their values. Sizes of cells are in bytes. Vectors and normals among the attributes are passed on as they come.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.conventions import lps_from_ras_points
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import Attribute, Mesh
from navplan_openigtlink.wire import Reader, float_field, text, whole_field

_KINDS = ("vertices", "lines", "polygons", "strips")
_NAME_LIMIT = 255  # bytes
_ATTRIBUTE_LIMIT = 4096


def read_mesh(reader: Reader) -> Mesh:
    """Raises MessageError where counts, sizes and body do not fit, or a cell names a point that is not there."""
    points, *cells, attributes = reader.unpack("10I", "counts")
    found = lps_from_ras_points(reader.finite(3 * points, "a point").reshape(-1, 3)) + 0.0
    lists = []
    for kind, number, size in zip(_KINDS, cells[0::2], cells[1::2], strict=True):
        if size % 4:
            raise MessageError(f"POLYDATA with {kind} of {size} bytes", "a multiple of 4")
        flat = reader.whole(size // 4, kind)
        fault = _cells_fault(flat, number, points)
        if fault:
            raise MessageError(f"POLYDATA with {kind} that {fault}", f"{number} cells of points below {points}")
        lists.append(flat)
    return Mesh(found, lists[0], lists[1], lists[2], lists[3], _read_attributes(reader, attributes))


def write_mesh(content: Mesh) -> bytes:
    """Raises InputError for cells that do not fit the points."""
    points = np.asarray(content.points_mm, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"points of shape {points.shape}", "finite (n, 3) LPS mm")
    head, body = [len(points)], float_field(lps_from_ras_points(points) + 0.0)  # its own inverse
    for kind in _KINDS:
        flat = np.asarray(getattr(content, kind))
        number = _number(flat)
        fault = _cells_fault(flat, number, len(points))
        if fault:
            raise InputError(f"{kind} that {fault}", f"(count, index, ...) of points below {len(points)}")
        head += [number, 4 * len(flat)]
        body += flat.astype(">u4").tobytes()
    return whole_field("10I", "counts", *head, len(content.attributes)) + body + _attribute_bytes(content.attributes)


def _read_attributes(reader: Reader, count: int) -> tuple[Attribute, ...]:
    if count > _ATTRIBUTE_LIMIT:
        raise MessageError(f"POLYDATA with {count} attributes", f"at most {_ATTRIBUTE_LIMIT}")
    heads = [reader.unpack("BBI", "an attribute's head") for _ in range(count)]
    if any(components == 0 for _, components, _ in heads):
        raise MessageError("POLYDATA with an attribute of no components", "at least 1")
    names = [_name(reader) for _ in range(count)]
    if sum(size for _, size in names) % 2:
        reader.take(1, "padding")
    return tuple(
        Attribute(name, kind, reader.floats(number * components, f"attribute {name!r}").reshape(number, components))
        for (kind, components, number), (name, _) in zip(heads, names, strict=True)
    )


def _name(reader: Reader) -> tuple[str, int]:
    """A name and its size with the zero."""
    data = b""
    while len(data) <= _NAME_LIMIT:
        byte = bytes(reader.take(1, "an attribute's name"))
        if byte == b"\0":
            return text(data), len(data) + 1
        data += byte
    raise MessageError("POLYDATA with a name of an attribute that does not end", f"at most {_NAME_LIMIT} bytes")


def _attribute_bytes(attributes: tuple[Attribute, ...]) -> bytes:
    heads, names, values = b"", b"", b""
    for one in attributes:
        name = one.name.encode("utf-8")
        if len(name) > _NAME_LIMIT or b"\0" in name or np.ndim(one.values) != 2:
            raise InputError(f"attribute {one.name!r} of shape {np.shape(one.values)}", "a short name, (n, components)")
        heads += whole_field("BBI", "attribute", one.kind, one.values.shape[1], one.values.shape[0])
        names += name + b"\0"
        values += float_field(one.values)
    return heads + names + (b"\0" if len(names) % 2 else b"") + values


def _number(flat: NDArray[np.integer]) -> int:
    """Cells in a flat list, as far as its counts lead."""
    return _walked(flat)[1]


def _walked(flat: NDArray[np.integer]) -> tuple[bytearray, int, bool]:
    """Where the cells' counts stand (1 there), how many there are, and whether the last one is whole."""
    heads, number, at = bytearray(len(flat)), 0, 0
    counts = np.ascontiguousarray(flat).data
    while at < len(counts):
        heads[at] = 1
        number, at = number + 1, at + int(counts[at]) + 1
    return heads, number, at == len(counts)


def _cells_fault(flat: NDArray[np.integer], number: int, points: int) -> str:
    """What is wrong with a flat list of cells, "" where nothing is."""
    if not len(flat):
        return "are not there" if number else ""
    each = int(flat[0]) + 1
    if number * each == len(flat) and (flat[::each] == each - 1).all():  # all of one kind, as they mostly are
        indices = flat.reshape(number, each)[:, 1:]
    else:
        heads, cells, whole = _walked(flat)
        if not whole:
            return "end in the middle of a cell"
        if cells != number:
            return f"are {cells}"
        indices = flat[np.frombuffer(heads, dtype=np.uint8) == 0]
    return "name points that are not there" if indices.size and indices.max() >= points else ""
