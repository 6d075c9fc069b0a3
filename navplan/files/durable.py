"""Files that survive: written whole or not at all, and on the disk before anything relies on them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from navplan.errors import InputError

LONGEST_ID = 80
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
_SEPARATORS = set('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # device names on Windows


def safe_id(name: str, what: str) -> str:
    """`name`, if it can be the name of a file on every system. Raises InputError otherwise, saying `what` it names."""
    bad = (
        not name
        or len(name) > LONGEST_ID
        or any(letter in _SEPARATORS or not letter.isprintable() for letter in name)
        or name[0] in " ."
        or name[-1] in " ."
        or _RESERVED.fullmatch(name) is not None
    )
    if bad:
        raise InputError(
            f"the id {name[:LONGEST_ID]!r} of {what}",
            f"1 to {LONGEST_ID} letters, digits, - _ or . that do not begin or end with a dot",
        )
    return name


def file_stem(name: str) -> str:
    """ASCII letters, digits, - _ and . of a name, the rest as _: the readable part of a data file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:60] or "data"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Have a file's content on the disk before this returns."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """fsync; on macOS also out of the drive's own cache."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Have a folder's list of names on the disk. Windows has no such call, some network disks refuse it."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def replace_file(unfinished: Path, final: Path) -> None:
    """Give a finished file its name, in one step. On Windows a reader may hold the old file for a moment: try again."""
    for attempt in range(20):
        try:
            os.replace(unfinished, final)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == 19:
                raise
            time.sleep(0.05)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside it first, then on the disk, then renamed. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            sync_descriptor(file.fileno())
        replace_file(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def folder_made(root: Path) -> Iterator[None]:
    """Make the folder; when the block fails, take away the folders that were made, as far as they are empty."""
    made = [path for path in (root, *root.parents) if not path.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn the system's refusals (no permission, disk full) into one InputError that names the place."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write in {where}: {error.strerror or error}",
            "a folder that may be written to, with free space",
            "Nothing was changed",
        ) from error
