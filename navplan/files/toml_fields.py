"""TOML files whose words are the fields of dataclasses: their text, and the checks that all such readers share."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Protocol, get_args

from navplan.errors import FileFormatError, InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST_FILE_BYTES = 1_000_000


class Readable(Protocol):
    """A file on disk or inside an installed package."""

    @property
    def name(self) -> str:
        """Its name without the folder."""
        ...

    def read_bytes(self) -> bytes:
        """All of it."""
        ...


def toml_text(path: Path | Readable) -> str:
    """All of a file. Raises InputError where it cannot be read, FileFormatError for one too large or not in UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", "a TOML file that can be read") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise FileFormatError(f"{path}: {len(content)} bytes", f"a TOML file of at most {LARGEST_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not text in UTF-8 ({error.reason})", "a TOML file in UTF-8") from error


@cache
def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Made when a file is read: pydantic takes a quarter of a second, and not every process reads one."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def key_words(*steps: str | int) -> str:
    """hard[3].source, counted from 1 as a person counts the tables of a file."""
    return "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def dataclass_of(hint: Any) -> Any:
    """The dataclass inside `tuple[X, ...]`, `X | None` or X, or None."""
    if is_dataclass(hint):
        return hint
    if isinstance(hint, UnionType) or get_args(hint):
        return next((found for part in get_args(hint) if (found := dataclass_of(part)) is not None), None)
    return None
