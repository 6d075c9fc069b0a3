"""session.json beside case.json: what a person was doing, so that a closed tab or a killed server loses nothing.

It is no part of a case: case.json does not list it, and a case without it, or with one that cannot be read, opens all
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from navplan.errors import FileFormatError
from navplan.files.durable import write_whole
from navplan.files.strict_json import document_of, parsed, written
from navplan.model.draft import Draft

NAME = "session.json"
LARGEST_BYTES = 4_000_000


@dataclass(frozen=True)
class _Kept:
    """drafts: of an undo history; at: which of them is in force."""

    drafts: tuple[Draft, ...]
    at: int


_SessionDocument = document_of(_Kept, "SessionDocument", format=Literal["navplan session"], schema_version=Literal[1])


def write_session(folder: Path, drafts: tuple[Draft, ...], at: int) -> None:
    """Keep the drafts of an undo history and which of them is in force; of more than can be read again, the oldest go,
    and where these hold the one in force, all others.

    Raises OSError, or InputError for a draft that no file can hold; the old file then stays.
    """
    data = _bytes(drafts, at)
    while len(data) > LARGEST_BYTES and len(drafts) > 1:
        fewer = min(len(drafts) - 1, max(1, round(len(drafts) * 0.9 * LARGEST_BYTES / len(data))))
        drafts, at = (drafts[-fewer:], at - len(drafts) + fewer) if at >= len(drafts) - fewer else ((drafts[at],), 0)
        data = _bytes(drafts, at)
    write_whole(folder / NAME, data)


def _bytes(drafts: tuple[Draft, ...], at: int) -> bytes:
    document = _SessionDocument.model_construct(None, format="navplan session", schema_version=1, drafts=drafts, at=at)
    return written(document, NAME)


def read_session(folder: Path) -> tuple[tuple[Draft, ...], int]:
    """The drafts, and which of them is in force; ((), 0) where there is no file. Raises FileFormatError."""
    path = folder / NAME
    if not path.is_file():
        return (), 0
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise FileFormatError(f"{NAME} of more than {LARGEST_BYTES} bytes", "a file as navplan writes it")
    document = parsed(_SessionDocument, data, NAME)
    found = _Kept(**{one.name: getattr(document, one.name) for one in fields(_Kept)})
    return found.drafts, min(max(found.at, 0), max(len(found.drafts) - 1, 0))
