"""Messages to bytes and back: known bytes, round trips of every kind, and bytes that are no message."""

from __future__ import annotations

import math
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.openigtlink_messages import MAKERS, message, same
from navplan.errors import InputError
from navplan_openigtlink.codec import decode, encode
from navplan_openigtlink.crc import crc64
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import HEADER_SIZE, Header, read_header, seconds_of, timestamp_of, write_header
from navplan_openigtlink.messages import (
    Attribute,
    Capability,
    Image,
    Line,
    Lines,
    Mesh,
    Message,
    Point,
    Points,
    Position,
    QuaternionTrackingData,
    Request,
    Status,
    Text,
    TrackedMatrix,
    TrackedQuaternion,
    TrackingData,
    Transform,
    Unknown,
)

# The matrix of the reference library's test data (github.com/openigtlink/OpenIGTLink, Testing/igtlutil), as sent.
COLUMNS = bytes.fromhex(
    "bf7473cd3e4959e6be63dd98 be4959e63e12491b3f7852d6 3e63dd983f7852d6bdc830ae 42383660419bc46742383660"
)
MATRIX = np.eye(4)
MATRIX[:3] = np.frombuffer(COLUMNS, ">f4").reshape(4, 3).T
SEVEN = struct.unpack(">7f", bytes.fromhex("42383660419bc46742383660 00000000 3f13cd3a3f13cd3a3eaaaaab"))
AGES = {"First patient age": "22", "Second patient age": "25"}
CUBE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
SIDES = [(0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
RED, GREEN, BLUE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)


def point(number: int, colour: tuple[int, int, int, int], ras: tuple[float, float, float], size: float) -> Point:
    lps = (-ras[0], -ras[1], ras[2])
    return Point(f"POINT_DESCRIPTION_{number}", lps, "Landmark", colour, size, "IMAGE_0")


def line(number: int, colour: tuple[int, int, int, int], first: float, size: float) -> Line:
    entry, target = (-first, -first - 5, first + 10), (-first - 15, -first - 20, first + 25)
    return Line(f"TRAJECTORY_DESCRIPTION_{number}", entry, target, "TRAJECTORY", colour, size, "IMAGE_0")


# Bodies of the reference library's test data: what they say, their size and their CRC as its headers have it.
GOLDEN = {
    "transform": (Message(Transform(MATRIX)), 0x30, 0xF6DD2B8EB4DF6DD2),
    "transform with metadata": (
        Message(Transform(MATRIX), version=2, message_id=1, metadata=AGES), 0x75, 0xF698F64FDAE266DD,
    ),
    "status": (Message(Status(15, 10, "ACTUATOR_DISABLED", "Actuator A is disabled.")), 0x36, 0x98EE43EED8E431CF),
    "string": (Message(Text("Welcome to OpenIGTLink")), 0x1A, 0xCEF1B42A701104D4),
    "position": (
        Message(Position(SEVEN[:3], SEVEN[3:])), 0x1C, 0x6BC8D6282B79A3A1,
    ),
    "tdata": (
        Message(TrackingData(tuple(TrackedMatrix(f"Tracker{n}", MATRIX) for n in range(3)))), 0xD2, 0x5C7CEBFD27676877,
    ),
    "tdata with metadata": (
        Message(
            TrackingData(tuple(TrackedMatrix(f"Tracker{n}", MATRIX) for n in range(3))),
            version=2, message_id=1, metadata=AGES,
        ),
        0x117, 0xBD309E0E33101C37,
    ),
    "point": (
        Message(Points(
            (point(0, RED, (10, 15, 20), 5), point(1, GREEN, (25, 30, 35), 3), point(2, BLUE, (40, 45, 50), 1))
        )),
        0x198, 0xA55CC62D99C18210,
    ),
    "trajectory": (
        Message(Lines((line(0, RED, 10, 5), line(1, GREEN, 40, 2.5), line(2, BLUE, 70, 0)))), 0x1C2, 0x6205A36618577630,
    ),
    "polydata": (
        Message(Mesh(
            CUBE * (-1, -1, 1), polygons=np.array([v for side in SIDES for v in (4, *side)], np.uint32),
            attributes=(Attribute("attr", 0, np.arange(8.0)[:, None]),),
        )),
        0x12C, 0x73DDDFC80C48C62B,
    ),
    "capability": (Message(Capability(("IMAGE", "GET_IMAGE", "TRANSFORM", "GET_TRANS"))), 0x30, 0x6957E29E2B35EA1E),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_bodies_are_the_reference_library_s(name: str):
    sent, size, crc = GOLDEN[name]
    header = read_header(encode(sent))
    assert (header.body_size, header.crc) == (size, crc)
    assert same(decode(encode(sent)).content, sent.content)


def test_a_whole_message_of_the_reference_library():
    device, stamp = b"DeviceName", bytes.fromhex("00000000499602d2")
    raw = b"\0\1" + b"TRANSFORM".ljust(12, b"\0") + device.ljust(20, b"\0") + stamp
    raw += bytes.fromhex("0000000000000030 f6dd2b8eb4df6dd2") + COLUMNS
    assert encode(Message(Transform(MATRIX), "DeviceName", 0x499602D2)) == raw
    read = decode(raw)
    assert read.device == "DeviceName" and read.version == 1
    assert isinstance(read.content, Transform) and np.array_equal(read.content.matrix, MATRIX)


def test_the_crc_is_that_of_ecma_182():
    assert crc64(b"") == 0
    assert crc64(b"123456789") == 0x6C40DF5F0B497347  # the check value of CRC-64/ECMA-182


@pytest.mark.parametrize("size", [1023, 1024, 1025, 4159, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 77])
def test_the_crc_of_long_bodies_is_the_one_of_the_plain_rule(size: int):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    cut = size // 3
    small = data[:1000]
    register = 0
    for byte in small:  # bit by bit
        register ^= byte << 56
        for _ in range(8):
            register = ((register << 1) ^ (0x42F0E1EBA9EA3693 if register >> 63 else 0)) & (2**64 - 1)
    assert crc64(small) == register
    zeros = bytes(size - cut)  # linear: the CRC of a sum is the sum of the CRCs
    front, back = data[:cut] + zeros, bytes(cut) + data[cut:]
    assert crc64(front) ^ crc64(back) == crc64(data)
    assert crc64(bytes(5000) + small) == crc64(small)  # zeros in front change nothing


def test_qtdata_by_hand():
    tool = TrackedQuaternion("needle", (1.0, -2.0, 0.5), (0.0, 0.0, 0.0, 1.0))
    body = b"needle".ljust(20, b"\0") + b"\2\0" + struct.pack(">7f", 1, -2, 0.5, 0, 0, 0, 1)
    assert encode(Message(QuaternionTrackingData((tool,))))[HEADER_SIZE:] == body


def test_requests_by_hand():
    start = encode(Message(Request("STT", "TDATA", 50, "CAMERA")))
    assert start[2:14] == b"STT_TDATA\0\0\0" and start[HEADER_SIZE:] == b"\0\0\0\x32" + b"CAMERA".ljust(32, b"\0")
    for request, name in [
        (Request("GET", "TRANSFORM"), b"GET_TRANSFOR"), (Request("GET", "CAPABILITY"), b"GET_CAPABIL\0"),
        (Request("STP", "QTDATA"), b"STP_QTDATA\0\0"),
    ]:  # fmt: skip
        raw = encode(Message(request))
        assert raw[2:14] == name and len(raw) == HEADER_SIZE and decode(raw).content == request
    assert encode(Message(Request("RTS", "TDATA", failed=True)))[HEADER_SIZE:] == b"\1"


def test_an_image_by_hand_in_ras_and_in_lps():
    """2 x 3 x 1 voxels of 2 x 3 x 4 mm along x, y, z of RAS; the first one's centre at (10, 20, 30) mm RAS."""
    body = struct.pack(">HBBBB3H", 1, 1, 4, 1, 1, 2, 3, 1) + struct.pack(">12f", 2, 0, 0, 0, 3, 0, 0, 0, 4, 11, 23, 30)
    body += struct.pack(">6H", 0, 0, 0, 2, 3, 1) + struct.pack(">6h", 1, 2, 3, 4, 5, -6)

    def whole(body: bytes) -> bytes:
        return write_header(Header(1, "IMAGE", "ct", 0, len(body), crc64(body))) + body

    image = decode(whole(body)).content
    assert isinstance(image, Image) and image.ras and image.whole
    assert np.allclose(image.affine, [[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])
    assert image.voxels[1, 0, 0] == 2 and image.voxels[0, 1, 0] == 3 and image.voxels[1, 2, 0] == -6
    in_lps = decode(whole(body[:5] + b"\2" + body[6:])).content
    assert isinstance(in_lps, Image) and not in_lps.ras
    assert np.allclose(in_lps.affine, [[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_comes_back_as_it_was(kind: str, version: int):
    random = np.random.default_rng([version, *kind.encode()])
    for _ in range(25):
        sent = message(random, kind, version)
        raw = encode(sent)
        read = decode(raw)
        assert same(sent, read), (sent, read)
        if kind not in ("IMAGE", "STRING"):  # an image's centre is rounded to 32 bits
            assert encode(read) == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_one_error(data: bytes):
    with pytest.raises(MessageError):
        decode(data)


@given(st.sampled_from(sorted([*MAKERS, "IMAGE"])), st.integers(0, 2**32), st.data())
def test_any_body_under_a_right_crc_is_a_message_or_one_error(kind: str, seed: int, data: st.DataObject):
    raw = bytearray(encode(message(np.random.default_rng(seed), kind)))
    header, body = read_header(raw), raw[HEADER_SIZE:]
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            at = data.draw(st.integers(0, len(body) - 1))
            body[at : at + data.draw(st.integers(1, 4))] = data.draw(st.binary(max_size=5))
    mended = write_header(Header(header.version, header.type, "x", 0, len(body), crc64(body))) + body
    try:
        read = decode(mended)
    except MessageError as error:
        assert error.received and error.expected
    else:
        encode(read)


def mended(raw: bytes, body: bytes) -> bytes:
    """A message's header over another body."""
    header = read_header(raw)
    return write_header(Header(header.version, header.type, header.device, 0, len(body), crc64(body))) + body


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "unknown"])
def test_every_cut_and_every_flipped_bit_is_told(kind: str):
    raw = encode(message(np.random.default_rng(5), kind, 2))
    for size in range(0, len(raw), max(1, len(raw) // 60)):
        with pytest.raises(MessageError):
            decode(raw[:size])
    with pytest.raises(MessageError):
        decode(raw + b"\0")
    for bit in range(8 * HEADER_SIZE, 8 * len(raw), max(1, len(raw) // 20)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MessageError, match="CRC"):
            decode(flipped)


@pytest.mark.parametrize("size", [2**64 - 1, 2**63, 2**32, 256 * 1024 * 1024 + 1])
def test_a_body_that_is_too_large_is_refused_by_its_header(size: int):
    header = write_header(Header(1, "IMAGE", "", 0, size, 0))
    with pytest.raises(MessageError, match="at most"):
        read_header(header)


@pytest.mark.parametrize(
    ("content", "body", "words"),
    [
        (Mesh(CUBE), struct.pack(">10I", 2**32 - 1, *[0] * 9), "a point"),
        (Mesh(CUBE), struct.pack(">10I", 0, 0, 0, 0, 0, 1, 2**32 - 4, 0, 0, 0), "polygons"),
        (Mesh(CUBE), struct.pack(">10I", *[0] * 9, 2**32 - 1), "attributes"),
        (Mesh(CUBE), struct.pack(">10I4I", 0, 0, 0, 0, 0, 1, 16, 0, 0, 0, 3, 0, 1, 2), "points that are not there"),
        (Mesh(CUBE), struct.pack(">10I2I", 0, 0, 0, 0, 0, 2, 8, 0, 0, 0, 5, 0), "middle of a cell"),
        (Mesh(CUBE), struct.pack(">10IBBI", *[0] * 9, 1, 0, 0, 2**32 - 1) + b"a\0", "no components"),
        (Image(np.zeros((1, 1, 1)), np.eye(4)), struct.pack(">HBBBB3H", 1, 1, 11, 2, 2, *[65535] * 3)
         + struct.pack(">12f", *[1.0] * 12) + struct.pack(">6H", 0, 0, 0, *[65535] * 3), "bytes of voxels"),
        (Image(np.zeros((1, 1, 1)), np.eye(4)), struct.pack(">HBBBB3H", 1, 1, 3, 2, 2, 2, 2, 2)
         + struct.pack(">12f", *[1.0] * 12) + struct.pack(">6H", 1, 1, 1, 2, 2, 2) + bytes(8), "lies in the image"),
        (Image(np.zeros((1, 1, 1)), np.eye(4)), struct.pack(">HBBBB3H", 1, 1, 3, 2, 2, 1, 1, 1)
         + struct.pack(">12f", *[math.nan] * 12) + struct.pack(">6H", 0, 0, 0, 1, 1, 1) + bytes(1), "not finite"),
        (Points(()), bytes(64 + 32 + 4) + struct.pack(">4f", math.inf, 0, 0, 0) + bytes(20), "not finite"),
        (Points(()), bytes(135), "136"),
        (Lines(()), bytes(150), "kind 0"),
        (Text(""), struct.pack(">HH", 3, 10) + b"short", "10 bytes"),
        (Text(""), struct.pack(">HH", 106, 1) + b"\xff", "UTF-8"),
        (Position((0, 0, 0)), bytes(13), "12, 24 or 28"),
        (Capability(()), bytes(11), "12"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_hostile_counts_are_refused_before_anything_is_allocated(content, body: bytes, words: str):
    raw = mended(encode(Message(content)), body)
    tracemalloc.start()
    try:
        with pytest.raises(MessageError, match=words):
            decode(raw)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_metadata_that_does_not_fit_is_refused():
    raw = encode(Message(Transform(np.eye(4)), version=2, metadata={"a": "1"}))
    body = bytearray(raw[HEADER_SIZE:])
    for at, value in [(0, 11), (0, 65535), (2, 65535), (4, 255), (60, 255), (69, 200)]:
        changed = bytearray(body)
        changed[at : at + 2] = struct.pack(">H", value)
        with pytest.raises(MessageError):
            decode(mended(raw, bytes(changed)))
    twice = body[:60] + struct.pack(">H", 2) + 2 * struct.pack(">HHI", 1, 3, 1) + b"a1a2"
    twice[2:8] = struct.pack(">HI", 18, 4)
    with pytest.raises(MessageError, match="twice"):
        decode(mended(raw, bytes(twice)))


def test_what_the_protocol_cannot_carry_is_refused():
    for bad in [
        Message(Transform(np.eye(4)), "a name of more than twenty bytes"),
        Message(Transform(np.eye(4)), metadata={"a": "b"}),
        Message(Transform(np.eye(4)), version=4),
        Message(Transform(np.full((4, 4), 1e39))),
        Message(Image(np.zeros((1, 1, 1), np.int64), np.eye(4))),
        Message(Text("x" * 65536)),
        Message(Status(70000)),
        Message(Points((Point("n", (math.nan, 0, 0)),))),
        Message(Mesh(CUBE, polygons=np.array([3, 0, 1, 8], np.uint32))),
        Message(Request("PUT", "IMAGE")),
        Message(Unknown("A_TYPE_THAT_IS_LONG", b"")),
    ]:
        with pytest.raises(InputError):
            encode(bad)


def test_time_stamps_keep_fractions_and_say_none():
    assert timestamp_of(math.nan) == 0 and math.isnan(seconds_of(0))
    for time_s in (0.5, 1.25, 1_700_000_000.123456, 2.0**32 - 0.5):
        assert seconds_of(timestamp_of(time_s)) == pytest.approx(time_s, abs=1e-6)
    assert timestamp_of(1.5) == (1 << 32) + (1 << 31)
    with pytest.raises(InputError):
        timestamp_of(-1.0)


def test_names_in_other_encodings_are_read():
    raw = bytearray(encode(Message(Transform(np.eye(4)), "Zeiger")))
    raw[14:34] = b"Z\xe4hler".ljust(20, b"\0")
    assert decode(raw).device == "Zähler"
    long = "äöü" * 6  # 36 bytes in UTF-8, 18 in Latin-1
    assert decode(encode(Message(Transform(np.eye(4)), long))).device == long
    for no_way_back in ("Ã¤" * 9, "針" * 9):  # Latin-1 bytes that are read as UTF-8, and letters that it has not
        with pytest.raises(InputError, match="20 bytes"):
            encode(Message(Transform(np.eye(4)), no_way_back))


def test_triangles_of_a_mesh():
    made = Mesh.of_triangles(CUBE, np.array([[0, 1, 2], [4, 5, 6]]))
    read = decode(encode(Message(made))).content
    assert isinstance(read, Mesh) and read.triangles.tolist() == [[0, 1, 2], [4, 5, 6]]
    assert np.array_equal(read.points_mm, CUBE)
    with pytest.raises(InputError):
        _ = Mesh(CUBE, polygons=np.array([4, 0, 1, 2, 3], np.uint32)).triangles
