"""A program in a process group of its own: its lines as they come, and nothing of it left behind."""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from navplan.errors import Cancelled

GRACE_S = 2.0  # between the request to stop and the end by force
LOOK_S = 0.1  # how often it is looked whether somebody wants it stopped
LINES_KEPT = 200


@dataclass(frozen=True)
class Ended:
    """code: exit code, negative for a signal; lines: the last ones that it printed, both outputs together."""

    code: int
    lines: tuple[str, ...]


def run(command: Sequence[str], line: Callable[[str], None], stop: threading.Event) -> Ended:
    """Run a program to its end; `line` is called here for each line that it prints (lines may end in CR).

    Whatever ends this function (also an interrupt, or an error in `line`) ends the program and all that it started in
    its process group. Raises Cancelled once `stop` is set, OSError for a program that cannot be started.
    """
    if stop.is_set():
        raise Cancelled(f"{os.path.basename(command[0])} was stopped before it began")
    process = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=os.name == "posix",
    )  # fmt: skip
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), name="program-output", daemon=True)
    kept: deque[str] = deque(maxlen=LINES_KEPT)

    def take(wait_s: float) -> bool:
        try:
            text = lines.get(timeout=wait_s) if wait_s else lines.get_nowait()
        except queue.Empty:
            return False
        if text is None:
            return False
        kept.append(text)
        line(text)
        return True

    try:
        reader.start()
        while process.poll() is None:
            if stop.is_set():
                raise Cancelled(f"{os.path.basename(command[0])} was stopped")
            take(LOOK_S)
    finally:
        _end(process)
        reader.join(GRACE_S)
        if not reader.is_alive() and process.stdout is not None:
            process.stdout.close()
    while take(0.0):
        pass
    return Ended(process.returncode, tuple(kept))


def _read(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun = ""
    while chunk := os.read(process.stdout.fileno(), 1 << 16):
        *whole, begun = re.split(r"[\r\n]+", begun + decoder.decode(chunk))
        for text in whole:
            if text.strip():
                lines.put(text.rstrip())
    if begun.strip():
        lines.put(begun.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to stop, then end it by force: also the workers of a program that has ended itself."""
    if process.poll() is None:
        _tell(process, force=False)
        until = time.monotonic() + GRACE_S
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
    _tell(process, force=True)
    process.wait()


def _tell(process: subprocess.Popen[bytes], force: bool) -> None:
    if sys.platform == "win32":
        if process.poll() is None:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies alone may not be told
        os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
