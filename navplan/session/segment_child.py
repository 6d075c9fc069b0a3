"""What runs in a process of its own: one segmenter, once, so that nothing waits for it and it can be ended.

Messages to the parent: ("told", words, share), ("note", words), then one of ("found", structures),
("refused", (class, received, expected, remedy)), ("failed", words).
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import Cancelled, InputError
from navplan.model.volume import Volume

LOOKS_S, LAST_SECONDS = 1.0, 8.0


@dataclass(frozen=True, eq=False)
class Asked:
    """segmenter: its name; seeds: (n, 3) LPS mm, None for one that takes none; structure: name of what they lie in."""

    segmenter: str
    volume: Volume
    image_id: str
    seeds: NDArray[np.float64] | None
    structure: str


def serve(connection: Connection, parent_id: int) -> None:
    """Receive what is asked, run it, and send what it gives. Ends at once when told to, or when the parent is gone; a
    segmenter with `cancel` is asked to stop first, so that it can end what it started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    made: list[Any] = []
    try:
        asked = connection.recv()
    except (EOFError, ConnectionError):
        return
    work = threading.Thread(target=_run, args=(asked, connection, made), daemon=True)
    work.start()
    while work.is_alive() and not _told_to_stop(connection, parent_id):
        continue
    for one in made if work.is_alive() else ():
        if hasattr(one, "cancel"):
            with suppress(Exception):
                one.cancel()
            work.join(LAST_SECONDS)
    os._exit(0)  # whatever still computes


def _told_to_stop(connection: Connection, parent_id: int) -> bool:
    try:
        return (connection.poll(LOOKS_S) and connection.recv() == "stop") or os.getppid() != parent_id
    except (EOFError, ConnectionError):
        return True


def _run(asked: Asked, connection: Connection, made: list[Any]) -> None:
    from navplan.verbs.segment import computed

    send = _Sender(connection)
    logging.getLogger("navplan").addHandler(_Notes(send))

    def ready(one: Any) -> Any:
        made.append(_telling(one, send))
        return made[-1]

    try:
        found = computed(asked.segmenter, asked.volume, asked.image_id, asked.seeds, asked.structure, ready)
        send("found", found)
    except InputError as error:
        send("refused", (type(error).__name__, error.received, error.expected, error.remedy))
    except Cancelled as error:
        send("failed", str(error))
    except MemoryError:
        send("failed", "not enough memory")
    except Exception as error:  # a plugin is foreign code
        logging.getLogger("navplan").exception("segmenter %s", asked.segmenter)
        send("failed", f"{type(error).__name__}: {error}"[:400])


def _telling(made: Any, send: _Sender) -> Any:
    """A segmenter whose class takes `progress`, with one; else itself."""
    try:
        takes = "progress" in inspect.signature(type(made)).parameters
    except (TypeError, ValueError):
        takes = False
    return type(made)(progress=lambda words, share: send("told", str(words), float(share))) if takes else made


class _Sender:
    """Sends from any thread; a parent that is gone hears nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def __call__(self, *message: Any) -> None:
        with self._lock, suppress(OSError):
            self._connection.send(message)


class _Notes(logging.Handler):
    """Warnings are for the person who looks at the result."""

    def __init__(self, send: _Sender) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send it as a note."""
        self._send("note", record.getMessage())
