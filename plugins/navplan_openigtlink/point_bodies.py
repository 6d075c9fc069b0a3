"""POINT and TRAJ: RAS on the wire (what 3D Slicer takes them for), LPS in the messages.

Layouts: Documents/Protocol point.md (136 bytes each), trajectory.md (150 bytes each).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.conventions import lps_from_ras_points
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import Colour, Line, Lines, Point, Point3, Points
from navplan_openigtlink.wire import Reader, float_field, text_field, whole_field

_POINT, _LINE = 136, 150  # bytes
_LIMIT = 65_536
_ENTRY, _TARGET, _BOTH = 1, 2, 3  # kinds of a line


def read_points(reader: Reader) -> Points:
    """Raises MessageError for coordinates that are not finite."""
    return Points(tuple(_point(reader) for _ in range(reader.count(_POINT, _LIMIT))))


def write_points(content: Points) -> bytes:
    """136 bytes for each."""
    return b"".join(
        _names(point.name, point.group)
        + whole_field("BBBB", "colour", *point.colour)
        + _wire(point.position_mm)
        + float_field(point.diameter_mm)
        + text_field(point.owner, 20, "owner")
        for point in content.points
    )


def read_lines(reader: Reader) -> Lines:
    """Raises MessageError for coordinates that are not finite, and for an unknown kind."""
    return Lines(tuple(_line(reader) for _ in range(reader.count(_LINE, _LIMIT))))


def write_lines(content: Lines) -> bytes:
    """150 bytes for each; a point that is None is sent as zeros, and its kind says so."""
    return b"".join(_line_bytes(line) for line in content.lines)


def _point(reader: Reader) -> Point:
    name, group = reader.text(64, "name"), reader.text(32, "group")
    colour = _colour(reader)
    position = _lps(reader.finite(3, "a position"))
    diameter = float(reader.finite(1, "a diameter")[0])
    return Point(name, position, group, colour, diameter, reader.text(20, "owner"))


def _line(reader: Reader) -> Line:
    name, group = reader.text(64, "name"), reader.text(32, "group")
    kind, _ = reader.unpack("BB", "kind")
    if kind not in (_ENTRY, _TARGET, _BOTH):
        raise MessageError(f"TRAJ with a line of kind {kind}", "1 (entry), 2 (target) or 3 (both)")
    colour = _colour(reader)
    entry, target = reader.floats(3, "entry"), reader.floats(3, "target")
    diameter = float(reader.finite(1, "a diameter")[0])
    return Line(
        name, None if kind == _TARGET else _checked(entry), None if kind == _ENTRY else _checked(target), group, colour,
        diameter, reader.text(20, "owner"),
    )  # fmt: skip


def _line_bytes(line: Line) -> bytes:
    kind = _TARGET if line.entry_mm is None else _ENTRY if line.target_mm is None else _BOTH
    return (
        _names(line.name, line.group)
        + whole_field("BBBBBB", "kind and colour", kind, 0, *line.colour)
        + _wire(line.entry_mm or (0.0, 0.0, 0.0))
        + _wire(line.target_mm or (0.0, 0.0, 0.0))
        + float_field(line.diameter_mm)
        + text_field(line.owner, 20, "owner")
    )


def _names(name: str, group: str) -> bytes:
    return text_field(name, 64, "name") + text_field(group, 32, "group")


def _colour(reader: Reader) -> Colour:
    red, green, blue, opacity = reader.unpack("BBBB", "colour")
    return red, green, blue, opacity


def _checked(ras: NDArray[np.float64]) -> Point3:
    if not np.isfinite(ras).all():
        raise MessageError("TRAJ with a point that is not finite", "finite numbers")
    return _lps(ras)


def _lps(ras: NDArray[np.float64]) -> Point3:
    x, y, z = (lps_from_ras_points(ras) + 0.0).tolist()  # no -0
    return x, y, z


def _wire(lps_mm: Point3) -> bytes:
    if not np.isfinite(lps_mm).all():
        raise InputError(f"a point at {lps_mm}", "finite LPS coordinates in mm")
    return float_field(lps_from_ras_points(lps_mm) + 0.0)  # its own inverse
