"""audit.jsonl: who did what, each line chained to the one before by its SHA-256.

A line is one JSON object: when, who, action, details, the revision that the action made, the SHA-256 of that
revision's case.json (without its part about this file), the hash of the line before, and its own. case.json counts only
the lines up to its last hash; anything behind them was never committed (a torn last line, a save that was killed) and
is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from navplan.errors import CaseFolderError, InputError
from navplan.files.durable import sync_descriptor
from navplan.files.strict_json import StrictDocument, canonical
from navplan.model.case import AuditEntry

AUDIT_FILE = "audit.jsonl"
FIRST_HASH = "0" * 64


class AuditMark(StrictDocument):
    """How much of the log is committed: lines, bytes, the last line's hash, and the state that it vouches for."""

    entries: int = 0
    bytes: int = 0
    last_hash: str = FIRST_HASH


def plain(entry: AuditEntry) -> AuditEntry:
    """The entry as it will be read again (tuples become lists). Raises InputError if its details are no plain data."""
    return AuditEntry(entry.when, entry.who, entry.action, json.loads(canonical(entry.details)))


def appended(folder: Path, mark: AuditMark, entries: Sequence[AuditEntry], revision: int, state: str) -> AuditMark:
    """Write the entries behind the committed lines, on the disk when this returns. Raises OSError, InputError."""
    lines, last = b"", mark.last_hash
    for entry in entries:
        line = {
            "when": entry.when, "who": entry.who, "action": entry.action, "details": entry.details,
            "revision": revision, "state": state, "previous": last,
        }  # fmt: skip
        last = hashlib.sha256(canonical(line)).hexdigest()
        lines += canonical({**line, "hash": last}) + b"\n"
    with _opened(folder) as file:
        file.truncate(mark.bytes)
        file.seek(mark.bytes)
        file.write(lines)
        file.flush()
        sync_descriptor(file.fileno())
    return AuditMark(entries=mark.entries + len(entries), bytes=mark.bytes + len(lines), last_hash=last)


def cut(folder: Path, mark: AuditMark) -> None:
    """Cut off what is behind the committed lines. Raises OSError."""
    path = folder / AUDIT_FILE
    if path.exists() and path.stat().st_size > mark.bytes:
        with path.open("r+b") as file:
            file.truncate(mark.bytes)
            sync_descriptor(file.fileno())


def has_torn_end(folder: Path, mark: AuditMark) -> bool:
    """Whether there is something behind the committed lines."""
    path = folder / AUDIT_FILE
    return path.exists() and path.stat().st_size > mark.bytes


def read_audit(folder: Path, mark: AuditMark, revision: int, state: str) -> tuple[AuditEntry, ...]:
    """The committed entries. Raises CaseFolderError when the chain is broken, or vouches for another case.json."""
    try:
        data = (folder / AUDIT_FILE).read_bytes()[: mark.bytes] if mark.bytes else b""
    except OSError as error:
        raise _broken(folder, f"it cannot be read ({error.strerror or error})") from error
    lines = data.split(b"\n")[:-1]
    if len(data) != mark.bytes or len(lines) != mark.entries or not (data.endswith(b"\n") or not data):
        raise _broken(folder, f"{len(lines)} lines in {len(data)} bytes, not {mark.entries} in {mark.bytes}")
    entries, last, line = [], FIRST_HASH, {}
    for number, text in enumerate(lines, 1):
        line = _checked(folder, number, text, last)
        last = line["hash"]
        entries.append(AuditEntry(line["when"], line["who"], line["action"], line["details"]))
    if last != mark.last_hash:
        raise _broken(folder, "its last hash is not the one in case.json")
    if line and (line["revision"], line["state"]) != (revision, state):
        raise CaseFolderError(
            f"{folder}: case.json is not the one that its last change wrote (revision {revision})",
            "a case.json that only navplan has changed",
            "Bring the folder back from a copy",
        )
    return tuple(entries)


def _checked(folder: Path, number: int, text: bytes, previous: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
        claimed = line.pop("hash")
        right = line["previous"] == previous and hashlib.sha256(canonical(line)).hexdigest() == claimed
        known = {key: line[key] for key in ("when", "who", "action", "details", "revision", "state")}
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise _broken(folder, f"line {number} cannot be read") from error
    if not right:
        raise _broken(folder, f"line {number} was changed, or a line before it is missing")
    return {**known, "hash": claimed}


def _broken(folder: Path, what: str) -> CaseFolderError:
    return CaseFolderError(
        f"{folder / AUDIT_FILE}: {what}", "the record as navplan wrote it", "Bring the folder back from a copy"
    )


def _opened(folder: Path) -> Any:
    descriptor = os.open(folder / AUDIT_FILE, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    return os.fdopen(descriptor, "r+b")
