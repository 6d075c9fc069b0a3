"""What stands around a body: the header of 58 bytes, and from header version 2 on what surrounds the content in it.

Header (Documents/Protocol/header.md), big-endian: version (2 bytes), type (12), device name (20), time stamp (8:
seconds since 1970 UTC in the upper half, fractions of 2^-32 s in the lower one, 0 for none), size of the body (8), CRC
of the body (8). Protocol versions 1 and 2 write header version 1; version 3 writes 2, and splits the body
(v3_proposal.md and the reference library's headers): extended header of 12 bytes (its own size, size of the metadata's
index, size of the metadata, message number), content, index of the metadata (count, then key size, value encoding,
value size for each), metadata. A header version 3 is read as 2.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from navplan.errors import InputError
from navplan_openigtlink.crc import crc64
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.wire import Reader, text, text_field, whole_field

HEADER_SIZE = 58
BODY_LIMIT = 256 * 1024 * 1024  # bytes
VERSIONS = (1, 2, 3)
ASCII, UTF8 = 3, 106  # IANA MIBenum
_LAYOUT = struct.Struct(">H12s20sQQQ")
_EXTENDED = 12


@dataclass(frozen=True)
class Header:
    """version: of the header; timestamp: 32.32 bits, 0 for none; body_size in bytes."""

    version: int
    type: str
    device: str
    timestamp: int
    body_size: int
    crc: int


def read_header(data: bytes | bytearray | memoryview, body_limit: int = BODY_LIMIT) -> Header:
    """The header in the first 58 bytes. Raises MessageError."""
    if len(data) < HEADER_SIZE:
        raise MessageError(f"{len(data)} bytes", f"a header of {HEADER_SIZE} bytes")
    version, type_, device, timestamp, size, crc = _LAYOUT.unpack(bytes(data[:HEADER_SIZE]))
    if version not in VERSIONS:
        raise MessageError(f"header version {version}", "1, 2 or 3: an OpenIGTLink message")
    name = text(type_)
    if not name or not name.isascii() or not name.isprintable() or " " in name:
        raise MessageError(f"a message of type {name!r}", "letters, digits and _")
    if size > body_limit:
        raise MessageError(f"{name} that announces a body of {size} bytes", f"at most {body_limit}")
    return Header(version, name, text(device), timestamp, size, crc)


def write_header(header: Header) -> bytes:
    """The 58 bytes. Raises InputError for names that are too long."""
    if header.version not in VERSIONS:
        raise InputError(f"header version {header.version}", "1, 2 or 3")
    return (
        whole_field("H", "header version", header.version)
        + text_field(header.type, 12, "type")
        + text_field(header.device, 20, "device name")
        + whole_field("QQQ", "time stamp, size, CRC", header.timestamp, header.body_size, header.crc)
    )


def check_body(header: Header, body: bytes | bytearray | memoryview) -> None:
    """Raises MessageError where the body's size or CRC is not the header's."""
    if len(body) != header.body_size:
        raise MessageError(f"{header.type} with a body of {len(body)} bytes", f"{header.body_size}, as its header says")
    found = crc64(body)
    if found != header.crc:
        raise MessageError(f"{header.type} with CRC {found:016x}", f"{header.crc:016x}, as its header says")


def open_body(header: Header, body: bytes | bytearray | memoryview) -> tuple[memoryview, int, dict[str, str]]:
    """Content, message number and metadata of a body. Raises MessageError."""
    view = memoryview(body)
    if header.version == 1:
        return view, 0, {}
    reader = Reader(view, header.type)
    own, index_size, values_size, number = reader.unpack("HHII", "extended header")
    if own < _EXTENDED:
        raise MessageError(f"{header.type} with an extended header of {own} bytes", f"{_EXTENDED} or more")
    reader.take(own - _EXTENDED, "the rest of the extended header")
    content = reader.take(max(reader.left - index_size - values_size, 0), "content")
    index = Reader(reader.take(index_size, "index of the metadata"), header.type)
    values = Reader(reader.take(values_size, "metadata"), header.type)
    return content, number, _metadata(index, values)


def _metadata(index: Reader, values: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    if not index.left and not values.left:
        return found
    (count,) = index.unpack("H", "number of metadata")
    for _ in range(count):
        key_size, encoding, value_size = index.unpack("HHI", "index of the metadata")
        key = bytes(values.take(key_size, "key"))
        value = bytes(values.take(value_size, "value"))
        name = key.decode("utf-8", "replace")
        if name in found:
            raise MessageError(f"{index.what} with metadata {name!r} twice", "keys that are given once")
        found[name] = decoded(value, encoding, f"{index.what}, metadata {name!r}")
    index.end()
    values.end()
    return found


def close_body(content: bytes, version: int, number: int, metadata: Mapping[str, str]) -> bytes:
    """The body around a content. Raises InputError for metadata that the header version cannot carry."""
    if version == 1:
        if metadata or number:
            raise InputError("metadata or a message number with header version 1", "header version 2")
        return content
    index, values = whole_field("H", "number of metadata", len(metadata)), b""
    for key, value in metadata.items():
        name, data = key.encode("utf-8"), value.encode("utf-8")
        index += whole_field("HHI", "metadata", len(name), ASCII if value.isascii() else UTF8, len(data))
        values += name + data
    extended = whole_field("HHII", "extended header", _EXTENDED, len(index), len(values), number)
    return extended + content + index + values


def decoded(data: bytes, encoding: int, where: str) -> str:
    """Text in an encoding by its MIBenum: ASCII and UTF-8; of any other each byte is kept as Latin-1."""
    if encoding not in (ASCII, UTF8):
        return data.decode("latin-1")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MessageError(f"{where}: text that is no {'ASCII' if encoding == ASCII else 'UTF-8'}", "text") from error


def timestamp_of(time_s: float) -> int:
    """The time stamp of seconds since 1970 UTC; 0 (none) for NaN. Raises InputError for a time outside 1970 to 2106."""
    if math.isnan(time_s):
        return 0
    if not 0.0 <= time_s < 2.0**32:
        raise InputError(f"a time of {time_s} s", "seconds since 1970, before 2106")
    seconds = math.floor(time_s)
    return (seconds << 32) + min(int((time_s - seconds) * 2.0**32), 2**32 - 1)


def seconds_of(timestamp: int) -> float:
    """Seconds since 1970 UTC of a time stamp, NaN where there is none."""
    return (timestamp >> 32) + (timestamp & (2**32 - 1)) / 2.0**32 if timestamp else math.nan
