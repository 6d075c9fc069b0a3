"""What a broken or hostile OpenIGTLink peer sends: spoilt messages of every kind, and bytes that never were one."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from benchmarks.openigtlink_messages import Random, message
from navplan_openigtlink.codec import TYPES, encode
from navplan_openigtlink.crc import crc64
from navplan_openigtlink.header import HEADER_SIZE, Header, read_header, write_header

EXTREMES = (0, 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
SIZES = (2**64 - 1, 2**63, 2**40, 2**32, 2**28 + 1, 2**28, 2**27, 2**24, 2**16, 1)


def with_crc(header: Header, body: bytes) -> bytes:
    """A message of a header's type and version whose size and CRC are right."""
    return write_header(Header(header.version, header.type, header.device, 0, len(body), crc64(body))) + body


def valid(random: Random) -> bytes:
    """A message that nothing is wrong with."""
    return encode(message(random))


def flipped(random: Random) -> bytes:
    """One to eight bits turned over, anywhere."""
    raw = bytearray(valid(random))
    for bit in random.integers(0, 8 * len(raw), int(random.integers(1, 9))):
        raw[bit // 8] ^= 1 << int(bit % 8)
    return bytes(raw)


def flipped_under_right_crc(random: Random) -> bytes:
    """The same in the body, with a CRC that fits: only the reading of the fields can tell."""
    raw = valid(random)
    body = bytearray(raw[HEADER_SIZE:])
    for bit in random.integers(0, 8 * len(body), int(random.integers(1, 9))) if body else ():
        body[bit // 8] ^= 1 << int(bit % 8)
    return with_crc(read_header(raw), bytes(body))


def extreme_numbers(random: Random) -> bytes:
    """Counts and sizes inside a body replaced by extreme ones, under a right CRC."""
    raw = valid(random)
    body = bytearray(raw[HEADER_SIZE:])
    for _ in range(int(random.integers(1, 4))):
        if len(body) >= 4:
            at = int(random.integers(0, min(len(body) - 3, 80)))
            layout = str(random.choice([">I", ">H", ">B", "<I"]))
            value = int(random.choice(EXTREMES)) % 256 ** struct.calcsize(layout)
            struct.pack_into(layout, body, at, value)
    return with_crc(read_header(raw), bytes(body))


def cut(random: Random) -> bytes:
    """A message that ends before its end."""
    raw = valid(random)
    return raw[: int(random.integers(1, len(raw)))]


def cut_under_right_crc(random: Random) -> bytes:
    """A body that is shorter than its fields, or longer, under a right size and CRC."""
    raw = valid(random)
    body = raw[HEADER_SIZE:]
    if random.random() < 0.5:
        return with_crc(read_header(raw), body[: int(random.integers(0, len(body) + 1))])
    return with_crc(read_header(raw), body + random.bytes(int(random.integers(1, 300))))


def hostile_size(random: Random) -> bytes:
    """A header that announces far more than comes, or far less."""
    raw = valid(random)
    header = read_header(raw)
    size = int(random.choice(np.array(SIZES, dtype=np.uint64)))
    return write_header(Header(header.version, header.type, header.device, 0, size, header.crc)) + raw[HEADER_SIZE:]


def other_body(random: Random) -> bytes:
    """Random bytes as the body of a known type, under a right CRC."""
    type_ = str(random.choice([*TYPES, "GET_IMAGE", "STT_TDATA", "RTS_TDATA", "STP_QTDATA"]))
    version = int(random.integers(1, 4))
    return with_crc(Header(version, type_, "x", 0, 0, 0), random.bytes(int(random.integers(0, 400))))


def swapped_type(random: Random) -> bytes:
    """The body of one type under the name of another."""
    raw = valid(random)
    header = read_header(raw)
    type_ = str(random.choice([*TYPES, "NDARRAY", "BIND"]))
    return with_crc(Header(int(random.integers(1, 4)), type_, header.device, 0, 0, 0), raw[HEADER_SIZE:])


def noise(random: Random) -> bytes:
    """Random bytes."""
    return random.bytes(int(random.integers(1, 600)))


def noise_after_a_message(random: Random) -> bytes:
    """A message that nothing is wrong with, and random bytes behind it."""
    return valid(random) + noise(random)


def other_protocol(random: Random) -> bytes:
    """What else may knock at a port: HTTP, TLS, SSH, DICOM."""
    return [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: scanner\r\nAccept: */*\r\n\r\n",
        bytes.fromhex("16030100c8010000c40303") + random.bytes(180),
        b"SSH-2.0-OpenSSH_9.6\r\n" + random.bytes(64),
        bytes.fromhex("0100000000cd00010000") + b"ANY-SCP".ljust(16) + b"SCANNER".ljust(16) + bytes(150),
    ][int(random.integers(0, 4))]


KINDS: dict[str, Callable[[Random], bytes]] = {
    "bits flipped": flipped,
    "bits of the body flipped, CRC right": flipped_under_right_crc,
    "extreme counts and sizes in the body, CRC right": extreme_numbers,
    "cut": cut,
    "body too short or too long, CRC right": cut_under_right_crc,
    "hostile size in the header": hostile_size,
    "random body of a known type, CRC right": other_body,
    "body of another type, CRC right": swapped_type,
    "random bytes": noise,
    "random bytes behind a good message": noise_after_a_message,
    "another protocol": other_protocol,
    "nothing wrong": valid,
}
