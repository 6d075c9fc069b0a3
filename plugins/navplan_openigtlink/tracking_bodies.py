"""TRANSFORM, TDATA, QTDATA and POSITION: numbers as the sender tells them, in the sender's frame, NaN included.

Layouts: Documents/Protocol transform.md, trackingdata.md, qtrackingdata.md (names of 20 bytes, as the reference library
has them), position.md. A matrix is sent column by column without its last row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import (
    Position,
    QuaternionTrackingData,
    TrackedMatrix,
    TrackedQuaternion,
    TrackingData,
    Transform,
)
from navplan_openigtlink.wire import Reader, float_field, text_field, whole_field

_NAME, _TDATA, _QTDATA = 20, 70, 50  # bytes: of a name, of one tool
_LIMIT = 1024  # tools


def read_transform(reader: Reader) -> Transform:
    """48 bytes."""
    return Transform(_matrix(reader))


def write_transform(content: Transform) -> bytes:
    """48 bytes."""
    return _columns(content.matrix)


def read_tracking_data(reader: Reader) -> TrackingData:
    """70 bytes for each tool."""
    return TrackingData(tuple(_tracked_matrix(reader) for _ in range(reader.count(_TDATA, _LIMIT))))


def write_tracking_data(content: TrackingData) -> bytes:
    """70 bytes for each tool."""
    return b"".join(_head(tool.name, tool.kind) + _columns(tool.matrix) for tool in content.tools)


def read_quaternion_data(reader: Reader) -> QuaternionTrackingData:
    """50 bytes for each tool."""
    return QuaternionTrackingData(tuple(_tracked_quaternion(reader) for _ in range(reader.count(_QTDATA, _LIMIT))))


def write_quaternion_data(content: QuaternionTrackingData) -> bytes:
    """50 bytes for each tool."""
    return b"".join(
        _head(tool.name, tool.kind) + float_field((*tool.position_mm, *tool.quaternion)) for tool in content.tools
    )


def read_position(reader: Reader) -> Position:
    """12 bytes without direction, 24 with the quaternion's x, y and z (w follows from length 1), 28 with all four."""
    if reader.left not in (12, 24, 28):
        raise MessageError(f"POSITION with {reader.left} bytes", "12, 24 or 28")
    x, y, z, *turn = reader.floats(reader.left // 4, "position").tolist()
    if not turn:
        return Position((x, y, z))
    if len(turn) == 3:
        turn.append(float(np.sqrt(max(1.0 - sum(part * part for part in turn), 0.0))))
    return Position((x, y, z), (turn[0], turn[1], turn[2], turn[3]))


def write_position(content: Position) -> bytes:
    """28 bytes, 12 without a quaternion."""
    return float_field((*content.position_mm, *(content.quaternion or ())))


def _tracked_matrix(reader: Reader) -> TrackedMatrix:
    name, kind = reader.text(_NAME, "name"), reader.unpack("BB", "kind")[0]
    return TrackedMatrix(name, _matrix(reader), kind)


def _tracked_quaternion(reader: Reader) -> TrackedQuaternion:
    name, kind = reader.text(_NAME, "name"), reader.unpack("BB", "kind")[0]
    x, y, z, qx, qy, qz, w = reader.floats(7, "position and quaternion").tolist()
    return TrackedQuaternion(name, (x, y, z), (qx, qy, qz, w), kind)


def _head(name: str, kind: int) -> bytes:
    return text_field(name, _NAME, "tool") + whole_field("BB", "kind", kind, 0)


def _matrix(reader: Reader) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3] = reader.floats(12, "matrix").reshape(4, 3).T
    return matrix


def _columns(matrix: NDArray[np.float64]) -> bytes:
    if tuple(matrix[3]) != (0.0, 0.0, 0.0, 1.0):
        raise InputError(f"a matrix with last row {matrix[3].tolist()}", "0 0 0 1, which is not sent")
    return float_field(np.asarray(matrix)[:3].T)
