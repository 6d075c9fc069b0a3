"""STATUS, STRING, CAPABILITY and requests (GET_, STT_, STP_, RTS_).

Layouts: Documents/Protocol status.md, string.md, capability.md, trackingdata.md, qtrackingdata.md.
"""

from __future__ import annotations

from navplan.errors import InputError
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import ASCII, UTF8, decoded
from navplan_openigtlink.messages import Capability, Request, Status, Text
from navplan_openigtlink.wire import Reader, text_field, whole_field

ACTIONS = ("GET", "STT", "STP", "RTS")
_TIMED = ("TDATA", "QTDATA")  # their STT_ has an interval and a frame
_CUT = {"TRANSFOR": "TRANSFORM", "CAPABIL": "CAPABILITY"}  # cut to fit the header's 12 characters
_WORDS_LIMIT = 65_536  # bytes, of a status
_REQUEST_LIMIT = 4096  # bytes, of a request that has a body of its own


def read_status(reader: Reader) -> Status:
    """Code (2 bytes), subcode (8, signed), name (20), words to the end."""
    code, subcode = reader.unpack("Hq", "code")
    if reader.left > _WORDS_LIMIT:
        raise MessageError(f"STATUS with {reader.left} bytes of words", f"at most {_WORDS_LIMIT}")
    return Status(code, subcode, reader.text(20, "name"), reader.text(reader.left, "words"))


def write_status(content: Status) -> bytes:
    """The words end with a zero where there are any."""
    words = content.words.encode("utf-8")
    if b"\0" in words:
        raise InputError(f"words {content.words!r}", "text without zeros")
    return (
        whole_field("Hq", "status", content.code, content.subcode)
        + text_field(content.name, 20, "status name")
        + (words + b"\0" if words else b"")
    )


def read_text(reader: Reader) -> Text:
    """Encoding (2 bytes), length (2), text."""
    encoding, length = reader.unpack("HH", "encoding and length")
    return Text(decoded(bytes(reader.take(length, "text")), encoding, "STRING"), encoding)


def write_text(content: Text) -> bytes:
    """At most 65,535 bytes; text that is no ASCII goes as UTF-8."""
    encoding = UTF8 if content.encoding == ASCII and not content.text.isascii() else content.encoding
    try:
        data = content.text.encode("utf-8" if encoding in (ASCII, UTF8) else "latin-1")
    except UnicodeEncodeError as error:
        raise InputError(f"text for encoding {encoding}: {error}", "characters that it has") from error
    return whole_field("HH", "encoding and length", encoding, len(data)) + data


def read_capability(reader: Reader) -> Capability:
    """12 bytes for each type."""
    return Capability(tuple(reader.text(12, "type") for _ in range(reader.count(12, 4096))))


def write_capability(content: Capability) -> bytes:
    """12 bytes for each type."""
    return b"".join(text_field(name, 12, "type") for name in content.types)


def is_request(type_: str) -> bool:
    """Whether a header's type is a request's."""
    return type_[:4] in {f"{action}_" for action in ACTIONS} and len(type_) > 4


def read_request(type_: str, reader: Reader) -> Request:
    """Empty for GET_ and STP_; a status byte for RTS_; interval (4 bytes) and frame (32) for STT_TDATA, STT_QTDATA."""
    action, of = type_[:3], _CUT.get(type_[4:], type_[4:])
    if action == "STT" and of in _TIMED and reader.left:
        (interval,) = reader.unpack("I", "interval")
        return Request(action, of, interval, reader.text(32, "frame") if reader.left else "")
    if action == "RTS" and reader.left == 1:
        return Request(action, of, failed=reader.unpack("B", "status")[0] != 0)
    if reader.left > _REQUEST_LIMIT:
        raise MessageError(f"{type_} with {reader.left} bytes", f"at most {_REQUEST_LIMIT}")
    return Request(action, of, body=bytes(reader.take(reader.left, "body")))


def write_request(content: Request) -> bytes:
    """The body of a request."""
    if content.action not in ACTIONS or not content.of:
        raise InputError(f"request {content.action!r} of {content.of!r}", f"{', '.join(ACTIONS)} of a type")
    if content.action == "STT" and content.of in _TIMED:
        return whole_field("I", "interval", content.interval_ms) + text_field(content.coordinates, 32, "frame")
    if content.action == "RTS" and not content.body:
        return whole_field("B", "status", int(content.failed))
    return content.body
