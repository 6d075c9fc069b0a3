"""One writer at a time in a case folder.

The lock is the system's own (flock, on Windows LockFile through msvcrt) on a small file that stays in the folder. The
system lets go of it when the process ends in whatever way, so a killed writer leaves no stale lock behind; the file's
text only tells people who writes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from navplan.errors import CaseFolderError

LOCK_FILE = "case.lock"
_BUSY = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
_LOCKED_BYTE = 1 << 20  # far behind the text: Windows lets nobody read a locked byte


@contextlib.contextmanager
def writer_lock(folder: Path, wait_s: float = 1.0) -> Iterator[None]:
    """Hold the folder's writer lock; wait up to wait_s for another writer to end.

    Raises CaseFolderError while another writer holds it or where the file system has no locks, OSError where the folder
    can't be written to.
    """
    until = time.monotonic() + wait_s
    while True:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if _taken(descriptor, folder):
                _sign(descriptor)
                yield
                return
            if time.monotonic() >= until:
                raise CaseFolderError(
                    f"{folder} is being written by another program ({_holder(descriptor)})",
                    "one writer at a time",
                    "Wait until it has finished, then try again; nothing was changed",
                )
        finally:
            os.close(descriptor)  # and with it the lock
        time.sleep(0.02)


def _taken(descriptor: int, folder: Path) -> bool:
    """Whether the lock is ours, and on the file that is in the folder now: a save that failed takes its file away."""
    try:
        _lock(descriptor)
        return os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK_FILE))
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise CaseFolderError(
            f"the file system of {folder} has no locks ({error.strerror or error})",
            "a disk on which files can be locked",
            "Keep the case on a local disk",
        ) from error


def _sign(descriptor: int) -> None:
    """Who holds it, for the other's message; without space for it the lock holds all the same."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} since {now}\n".encode())


def _holder(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        text = os.read(descriptor, 200).decode("ascii", errors="replace").split("\n")[0].strip()
    except OSError:
        text = ""
    return text or "it has not said which"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
