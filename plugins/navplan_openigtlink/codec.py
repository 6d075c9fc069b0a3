"""Messages to bytes and back.

Decoding is total: bytes give a message or a MessageError, nothing else, and nothing is allocated that the bytes that
are there do not fill.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from navplan.errors import InputError
from navplan_openigtlink.crc import crc64
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import (
    BODY_LIMIT,
    HEADER_SIZE,
    Header,
    check_body,
    close_body,
    open_body,
    read_header,
    write_header,
)
from navplan_openigtlink.image_body import read_image, write_image
from navplan_openigtlink.mesh_body import read_mesh, write_mesh
from navplan_openigtlink.messages import Content, Message, Request, Unknown
from navplan_openigtlink.plain_bodies import (
    is_request,
    read_capability,
    read_request,
    read_status,
    read_text,
    write_capability,
    write_request,
    write_status,
    write_text,
)
from navplan_openigtlink.point_bodies import read_lines, read_points, write_lines, write_points
from navplan_openigtlink.tracking_bodies import (
    read_position,
    read_quaternion_data,
    read_tracking_data,
    read_transform,
    write_position,
    write_quaternion_data,
    write_tracking_data,
    write_transform,
)
from navplan_openigtlink.wire import Reader

_BODIES: dict[str, tuple[Callable[[Reader], Content], Callable[[Any], bytes]]] = {
    "TRANSFORM": (read_transform, write_transform),
    "TDATA": (read_tracking_data, write_tracking_data),
    "QTDATA": (read_quaternion_data, write_quaternion_data),
    "POSITION": (read_position, write_position),
    "STATUS": (read_status, write_status),
    "STRING": (read_text, write_text),
    "POINT": (read_points, write_points),
    "TRAJ": (read_lines, write_lines),
    "IMAGE": (read_image, write_image),
    "POLYDATA": (read_mesh, write_mesh),
    "CAPABILITY": (read_capability, write_capability),
}
TYPES = tuple(_BODIES)


def encode(message: Message) -> bytes:
    """The bytes of a message. Raises InputError for what the protocol cannot carry."""
    content = message.content
    if isinstance(content, Request):
        inner = write_request(content)
    elif isinstance(content, Unknown):
        inner = content.body
    else:
        inner = _BODIES[content.type][1](content)
    body = close_body(inner, message.version, message.message_id, message.metadata)
    if len(body) > BODY_LIMIT:
        raise InputError(f"{message.type} of {len(body)} bytes", f"at most {BODY_LIMIT}")
    header = Header(message.version, message.type, message.device, message.timestamp, len(body), crc64(body))
    return write_header(header) + body


def decode(data: bytes | bytearray | memoryview, body_limit: int = BODY_LIMIT) -> Message:
    """The one message that the bytes are. Raises MessageError."""
    header = read_header(data, body_limit)
    return decode_body(header, memoryview(data)[HEADER_SIZE:])


def decode_body(header: Header, body: bytes | bytearray | memoryview) -> Message:
    """The message of a header and its body. Raises MessageError."""
    check_body(header, body)
    inner, number, metadata = open_body(header, body)
    reader = Reader(inner, header.type)
    try:
        content = _content(header.type, reader)
    except InputError as error:  # a content that its class refuses
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"{header.type}: {error.received}", error.expected) from error
    reader.end()
    return Message(content, header.device, header.timestamp, header.version, number, metadata)


def _content(type_: str, reader: Reader) -> Content:
    if type_ in _BODIES:
        return _BODIES[type_][0](reader)
    if is_request(type_):
        return read_request(type_, reader)
    return Unknown(type_, bytes(reader.take(reader.left, "body")))
