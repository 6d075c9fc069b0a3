"""Reading and writing the fields of a body, each read checked against what is left."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan_openigtlink.fault import MessageError


class Reader:
    """Takes fields off the front of a body. what: the message's type, for the words of an error."""

    def __init__(self, data: bytes | bytearray | memoryview, what: str) -> None:
        self._data, self._at, self.what = memoryview(data), 0, what

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self._at

    def take(self, size: int, field: str) -> memoryview:
        """The next bytes, not copied. Raises MessageError where there are fewer."""
        if size > self.left:
            raise MessageError(f"{self.what} with {self.left} bytes where {field} should be", f"{size} bytes")
        self._at += size
        return self._data[self._at - size : self._at]

    def unpack(self, layout: str, field: str) -> tuple[int, ...]:
        """Big-endian whole numbers by a layout of `struct`."""
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout), field))

    def floats(self, count: int, field: str) -> NDArray[np.float64]:
        """(count,) big-endian 32-bit numbers."""
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            return np.frombuffer(self.take(4 * count, field), dtype=">f4").astype(np.float64)

    def finite(self, count: int, field: str) -> NDArray[np.float64]:
        """The same, where NaN and infinity make no sense."""
        found = self.floats(count, field)
        if not np.isfinite(found).all():
            raise MessageError(f"{self.what} with {field} that is not finite", "finite numbers")
        return found

    def whole(self, count: int, field: str) -> NDArray[np.uint32]:
        """(count,) big-endian 32-bit whole numbers."""
        return np.frombuffer(self.take(4 * count, field), dtype=">u4").astype(np.uint32)

    def text(self, size: int, field: str) -> str:
        """A field of fixed size, up to the first zero."""
        return text(self.take(size, field))

    def count(self, size: int, limit: int) -> int:
        """How many records of one size are left. Raises MessageError for a part of one, and for more than the limit:
        each becomes an object that is several times as large."""
        if self.left % size or self.left // size > limit:
            raise MessageError(f"{self.what} with {self.left} bytes", f"{size} for each of at most {limit} records")
        return self.left // size

    def end(self) -> None:
        """Raises MessageError where bytes are left."""
        if self.left:
            raise MessageError(f"{self.what} with {self.left} bytes too many", "a body that ends with its last field")


def text(data: bytes | memoryview) -> str:
    """Text up to the first zero: UTF-8 (of which ASCII is a part), else Latin-1, which takes any bytes."""
    plain = bytes(data).split(b"\0", 1)[0]
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        return plain.decode("latin-1")


def text_field(words: str, size: int, field: str) -> bytes:
    """Text in a field of fixed size, zeros behind it: UTF-8, or Latin-1 where that alone fits and `text` reads it so.

    Raises InputError where it does not fit.
    """
    data = words.encode("utf-8", "replace")
    if len(data) > size:
        latin = words.encode("latin-1", "replace")
        data = latin if text(latin) == words else data
    if len(data) > size or b"\0" in data:
        raise InputError(f"{field} {words!r} of {len(data)} bytes", f"at most {size} bytes, none of them zero")
    return data.ljust(size, b"\0")


def float_field(values: ArrayLike) -> bytes:
    """Big-endian 32-bit numbers. Raises InputError for what they cannot hold."""
    plain = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        found = plain.astype(">f4")
    if (np.isinf(found) & np.isfinite(plain)).any():
        raise InputError("a number above 3.4e38", "what 32 bits hold")
    return found.tobytes()


def whole_field(layout: str, field: str, *values: int) -> bytes:
    """Big-endian whole numbers by a layout of `struct`. Raises InputError for one that does not fit."""
    try:
        return struct.pack(">" + layout, *values)
    except struct.error as error:
        raise InputError(f"{field} {values}: {error}", "whole numbers that their fields hold") from error
