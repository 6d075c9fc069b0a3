"""Ways in which benchmarks/fuzz_intake.py breaks DICOM files that need no reading of them: bytes, lengths, syntaxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

SYNTAXES = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    JPEG2000, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, "1.2.3", "",
)  # fmt: skip
Random = np.random.Generator


def some_files(random: Random, folder: Path) -> list[Path]:
    """All, or one or two of them."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    some = (0, 1, 1, 2)[int(random.integers(4))]
    return list(random.choice(np.array(paths, dtype=object), min(some, len(paths)), replace=False)) if some else paths


def pick(random: Random, some: Sequence[Any]) -> Any:
    """One of some."""
    return some[int(random.integers(len(some)))]


def nested(random: Random, folder: Path) -> None:
    """sequences within sequences, up to 2000 deep"""
    depth = pick(random, [1, 30, 500, 2000])
    tag = pick(random, ["SharedFunctionalGroupsSequence", "ReferencedImageSequence", "ModalityLUTSequence"])
    start = {
        "SharedFunctionalGroupsSequence": b"\x00\x52\x29\x92", "ReferencedImageSequence": b"\x08\x00\x40\x11",
        "ModalityLUTSequence": b"\x28\x00\x00\x30",
    }[tag]  # fmt: skip
    opened = b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * (depth if random.integers(2) else 0)
    for path in some_files(random, folder):
        data = path.read_bytes()
        at = data.find(b"\xe0\x7f\x10\x00")
        at = len(data) if at < 0 else at
        path.write_bytes(data[:at] + (start + opened) * depth + closed + data[at:])


def transferred(random: Random, folder: Path) -> None:
    """transfer syntax lied about"""
    syntax = pick(random, SYNTAXES)
    for path in some_files(random, folder):
        data = path.read_bytes()
        try:
            old = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID).encode()
        except Exception:
            continue
        new = str(syntax).encode()[: len(old)].ljust(len(old), b"\0")
        at = data.find(b"\x02\x00\x10\x00UI")
        length = int.from_bytes(data[at + 6 : at + 8], "little")
        value = str(syntax).encode()
        value += b"\0" * (len(value) % 2)
        if at >= 0 and length >= len(old) and random.integers(2):
            data = data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + length :]
        else:
            data = data.replace(old, new, 1)
        path.write_bytes(data)


def lengths(random: Random, folder: Path) -> None:
    """lengths of elements made huge, or wrong"""
    for path in some_files(random, folder):
        data = bytearray(path.read_bytes())
        for _ in range(int(random.integers(1, 4))):
            kind = pick(random, [b"US", b"DS", b"UI", b"LO", b"SQ", b"OW", b"OB", b"CS", b"IS", b"SH", b"UN"])
            at = data.find(kind, int(random.integers(132, max(133, min(len(data), 6000)))))
            if at < 0 or at + 10 > len(data):
                continue
            long = kind in (b"SQ", b"OW", b"OB", b"UN")
            start, size = (at + 4, 4) if long else (at + 2, 2)
            value = pick(random, [0, 1, 3, 255, 256 ** min(size, 2) - 1, 256**size - 1, 256**size - 2,
                                   256**size // 2, 256**size // 4])  # fmt: skip
            data[start : start + size] = value.to_bytes(size, "little")
        path.write_bytes(data)


def header_bytes(random: Random, folder: Path) -> None:
    """bytes of the header overwritten"""
    _overwrite(random, folder, 4000)


def any_bytes(random: Random, folder: Path) -> None:
    """bytes anywhere overwritten"""
    _overwrite(random, folder, 1 << 30)


def _overwrite(random: Random, folder: Path, reach: int) -> None:
    for path in some_files(random, folder):
        data = bytearray(path.read_bytes())
        if data:
            for at in random.integers(0, min(len(data), reach), int(random.integers(1, 30))):
                data[at] = int(random.integers(256))
        path.write_bytes(data)


def cut(random: Random, folder: Path) -> None:
    """files cut short, emptied, or with a part moved"""
    for path in some_files(random, folder):
        data = path.read_bytes()
        at, to = sorted(int(one) for one in random.integers(0, len(data) + 1, 2))
        kind = int(random.integers(4))
        path.write_bytes((data[:at], data[:at] + data[to:], data[:to] + data[at:], b"")[kind])
