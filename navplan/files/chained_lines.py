"""JSON lines, each chained to the one before: a changed byte is found, and a torn end.

A line begins with the first 32 digits of the SHA-256 of the sum before and its own text. A line goes to the system at
once, so that what a killed program wrote is there; what was torn off behind the last line break is cut on reading. The
disk is waited for at the beginning and at the end only: a power failure may cost seconds. The last line, "end", says
that nothing was lost. Numbers that are not finite are text, since JSON has none; all others read back to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from navplan.errors import FileFormatError, InputError
from navplan.files.durable import sync_descriptor, writing
from navplan.files.whole_file import whole_file

log = logging.getLogger(__name__)

LARGEST_BYTES = 2 << 30
FIRST_SUM, SUM_DIGITS = "0" * 32, 32
END = {"kind": "end"}
_OPENING = b'{"sum":"'


class ChainedWriter:
    """Writes a file of chained lines, the head at once, whole or not at all. fault: why it no longer writes, "" while
    it does: a full disk must not stop what is told of, but it is said. called: what the file is to a person.

    Raises InputError where the file is there already or cannot be made.
    """

    def __init__(self, path: str | Path, head: dict[str, Any], called: str) -> None:
        self.path, self.fault, self._called = Path(path), "", called
        if self.path.exists():
            raise InputError(f"{self.path} is there already", "a new file", f"Choose another name for the {called}")
        first, self._sum = _line(FIRST_SUM, head)
        with whole_file(self.path) as file:
            file.write(first)
        with writing(self.path.parent):
            self._file: IO[bytes] | None = self.path.open("ab")

    def write_line(self, told: dict[str, Any]) -> None:
        """One more line; nothing after `close` or a fault."""
        if self._file is None:
            return
        line, self._sum = _line(self._sum, told)
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self.fault = f"the {self._called} stopped: {error.strerror or error}"
            log.warning("%s: %s", self.path.name, self.fault)
            file, self._file = self._file, None
            try:
                file.close()
            except OSError:
                log.debug("and it cannot be closed")

    def close(self) -> None:
        """Say that this was all, and have it on the disk; may be called twice."""
        if self._file is None:
            return
        self.write_line(END)
        file, self._file = self._file, None
        if file is not None:
            with file:
                sync_descriptor(file.fileno())


@dataclass(frozen=True, eq=False)
class ChainedLines:
    """A file whose sums are right. lines: bodies without their sums, the head first, without the end; torn: a last line
    was cut off; ended: it was finished as it should be, so nothing is missing at its end."""

    path: Path
    lines: tuple[bytes, ...]
    torn: bool
    ended: bool


def chained(tellings: Iterable[dict[str, Any]]) -> bytes:
    """All lines of a finished file, its end included, for one that is written in one piece."""
    found, total = [], FIRST_SUM
    for told in (*tellings, END):
        line, total = _line(total, told)
        found.append(line)
    return b"".join(found)


def read_chained(path: str | Path, expected: str, largest: int = LARGEST_BYTES) -> ChainedLines:
    """Read a file and prove its sums. Raises FileFormatError for what is none, was changed, is larger than so many
    bytes, or has no whole first line."""
    path = Path(path)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= largest else b""
    except OSError as error:
        raise FileFormatError(f"{path}: {error.strerror or error}", expected) from error
    if size > largest:
        raise FileFormatError(f"{path.name}: {size} bytes", f"at most {largest}")
    *lines, rest = data.split(b"\n")
    total, bodies = FIRST_SUM, []
    for number, line in enumerate(lines, 1):
        said = line[len(_OPENING) : len(_OPENING) + SUM_DIGITS]
        body = b"{" + line[len(_OPENING) + SUM_DIGITS + 2 :]
        total = _sum(total, body)
        if line != _OPENING + total.encode() + b'",' + body[1:]:
            what = "is no line of one" if not said else "was changed, or a line before it is missing"
            raise FileFormatError(f"{path.name}: line {number} {what}", expected)
        bodies.append(body)
    if not bodies:
        raise FileFormatError(f"{path.name} without a first line", expected)
    ended = len(bodies) > 1 and bodies[-1] == _body(END)
    return ChainedLines(path, tuple(bodies[: -1 if ended else None]), bool(rest), ended)


def as_json(value: Any) -> Any:
    """A value as a line holds it: floats that are not finite as text, tuples as lists."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    if isinstance(value, dict):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value


def _body(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode("ascii")


def _line(before: str, told: dict[str, Any]) -> tuple[bytes, str]:
    """A line, and the sum of all up to it."""
    body = _body(told)
    total = _sum(before, body)
    return _OPENING + total.encode() + b'",' + body[1:] + b"\n", total


def _sum(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()[:SUM_DIGITS]
