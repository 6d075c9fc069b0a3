"""Random OpenIGTLink messages of every kind, seeded, and whether two messages say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from navplan_openigtlink.messages import (
    Attribute,
    Capability,
    Content,
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

Random = np.random.Generator
LETTERS = "abcXYZ019_- äµ針"
SCALARS = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")


def words(random: Random, size: int) -> str:
    """Text of at most so many UTF-8 bytes, with letters of one, two and three bytes."""
    text = "".join(random.choice(list(LETTERS), size=int(random.integers(0, size + 1))))
    return text.encode()[:size].decode("utf-8", "ignore")


def numbers(random: Random, count: int, largest: float = 500.0) -> tuple[float, ...]:
    """Numbers that 32 bits hold exactly."""
    return tuple(float(value) for value in random.uniform(-largest, largest, count).astype(np.float32))


def rigid(random: Random) -> np.ndarray:
    """A (4, 4) rigid map whose numbers 32 bits hold."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, random.uniform(-500, 500, 3)
    return matrix.astype(np.float32).astype(np.float64)


def quaternion(random: Random) -> tuple[float, float, float, float]:
    """x, y, z, w of length 1."""
    parts = random.normal(size=4)
    x, y, z, w = (float(part) for part in (parts / np.linalg.norm(parts)).astype(np.float32))
    return x, y, z, w


def colour(random: Random) -> tuple[int, int, int, int]:
    """Red, green, blue, opacity."""
    red, green, blue, opacity = (int(part) for part in random.integers(0, 256, 4))
    return red, green, blue, opacity


def image(random: Random) -> Image:
    """A small image, whole or a part, with one component or several, in RAS or LPS on the wire."""
    shape = [int(n) for n in random.integers(1, 9, 3)]
    components = int(random.choice([1, 1, 3]))
    kind = np.dtype(random.choice(SCALARS))
    voxels = random.integers(0, 100, (*shape, components) if components > 1 else shape).astype(kind)
    affine = rigid(random) @ np.diag([*random.uniform(0.2, 5.0, 3), 1.0])
    if random.random() < 0.5:
        return Image(voxels, affine, ras=bool(random.random() < 0.5))
    offset = tuple(int(n) for n in random.integers(0, 5, 3))
    size = tuple(o + n + int(random.integers(0, 3)) for o, n in zip(offset, shape, strict=True))
    return Image(voxels, affine, (size[0], size[1], size[2]), (offset[0], offset[1], offset[2]), random.random() < 0.5)


def mesh(random: Random) -> Mesh:
    """Points with cells of every kind, and an attribute."""
    count = int(random.integers(3, 20))

    def cells(sizes: list[int]) -> np.ndarray:
        return np.array([v for n in sizes for v in (n, *random.integers(0, count, n))], dtype=np.uint32)

    mixed = [int(n) for n in random.integers(3, 6, int(random.integers(0, 8)))]
    return Mesh(
        np.array([numbers(random, 3) for _ in range(count)]),
        cells([1] * int(random.integers(0, 3))), cells([2] * int(random.integers(0, 3))), cells(mixed),
        cells([4] * int(random.integers(0, 2))),
        (Attribute(words(random, 20), 0, np.array([numbers(random, 2) for _ in range(count)])),),
    )  # fmt: skip


def _points(random: Random) -> Points:
    return Points(tuple(
        Point(words(random, 64), numbers(random, 3), words(random, 32), colour(random), numbers(random, 1)[0],
              words(random, 20))
        for _ in range(random.integers(0, 5))
    ))  # fmt: skip


def _lines(random: Random) -> Lines:
    made = []
    for _ in range(random.integers(0, 5)):
        ends: list[Any] = [numbers(random, 3), numbers(random, 3)]
        missing = int(random.integers(0, 3))
        if missing < 2:
            ends[missing] = None
        made.append(Line(words(random, 64), *ends, words(random, 32), colour(random), 1.5, words(random, 20)))
    return Lines(tuple(made))


def _request(random: Random) -> Request:
    action = str(random.choice(["GET", "STT", "STP", "RTS"]))
    of = str(random.choice(["TDATA", "QTDATA", "TRANSFORM", "IMAGE", "POINT", "STATUS", "CAPABILITY", "POLYDATA"]))
    if (action, of) != ("GET", "CAPABILITY") and of == "CAPABILITY":
        of = "STRING"
    if action == "STT" and of in ("TDATA", "QTDATA"):
        return Request(action, of, int(random.integers(0, 1000)), words(random, 32))
    return Request(action, of, failed=action == "RTS" and bool(random.random() < 0.5))


MAKERS: dict[str, Callable[[Random], Content]] = {
    "TRANSFORM": lambda r: Transform(rigid(r)),
    "TDATA": lambda r: TrackingData(
        tuple(TrackedMatrix(f"tool {n}", rigid(r), int(r.integers(1, 5))) for n in range(r.integers(0, 5)))
    ),
    "QTDATA": lambda r: QuaternionTrackingData(
        tuple(
            TrackedQuaternion(f"tool {n}", numbers(r, 3), quaternion(r), int(r.integers(1, 5)))  # type: ignore[arg-type]
            for n in range(r.integers(0, 5))
        )
    ),
    "POSITION": lambda r: Position(numbers(r, 3), quaternion(r) if r.random() < 0.8 else None),  # type: ignore[arg-type]
    "STATUS": lambda r: Status(int(r.integers(0, 20)), int(r.integers(-(2**62), 2**62)), words(r, 20), words(r, 80)),
    "STRING": lambda r: Text(words(r, 200), int(r.choice([3, 106]))),
    "POINT": _points,
    "TRAJ": _lines,
    "IMAGE": image,
    "POLYDATA": mesh,
    "CAPABILITY": lambda r: Capability(("IMAGE", "GET_IMAGE", "TRANSFORM")[: int(r.integers(0, 4))]),
    "request": _request,
    "unknown": lambda r: Unknown("NDARRAY", r.bytes(int(r.integers(0, 200)))),
}


def message(random: Random, kind: str = "", version: int = 0) -> Message:
    """A message of a kind (a key of MAKERS, any for ""), of a header version (any for 0)."""
    kind = kind or str(random.choice(list(MAKERS)))
    version = version or int(random.integers(1, 4))
    content = MAKERS[kind](random)
    if isinstance(content, Text) and not content.text.isascii():
        content = Text(content.text, 106)
    extra = {f"key {n}": words(random, 30) for n in range(random.integers(0, 4))} if version > 1 else {}
    number = int(random.integers(0, 2**32)) if version > 1 else 0
    return Message(content, words(random, 20), int(random.integers(0, 2**63)), version, number, extra)


def same(one: Any, other: Any) -> bool:
    """Whether two messages, or parts of them, say the same; affines within what 32 bits leave of them (1e-3 mm)."""
    if isinstance(one, np.ndarray):
        if one.shape != np.shape(other):
            return False
        return np.allclose(one, other, rtol=1e-5, atol=1e-3) if one.dtype.kind == "f" else bool((one == other).all())
    if is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and all(
            same(getattr(one, part.name), getattr(other, part.name)) for part in fields(one)
        )
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
