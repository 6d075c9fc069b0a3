"""The other side: dcmtk's storescu, a line that breaks or hangs in the middle, and a sender that says whatever it is
told to say."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

PATIENCE_S = 20.0


def storescu(port: int, *paths: Path, called: str = "NAVPLAN", more: tuple[str, ...] = ()) -> Any:
    """Run storescu on files or folders; what it gave back."""
    where = ("127.0.0.1", str(port), *map(str, paths))
    return subprocess.run(
        ["storescu", "-aec", called, "+sd", "+r", *more, *where], capture_output=True, text=True, timeout=60
    )


def has_dcmtk() -> bool:
    return shutil.which("storescu") is not None and shutil.which("echoscu") is not None


def objects_in(inbox: Path) -> dict[str, Path]:
    """The objects of an inbox by SOP Instance UID."""
    return {path.stem: path for path in inbox.rglob("*.dcm")}


def others_in(inbox: Path) -> list[str]:
    """Files of an inbox that are no objects, its lock left out."""
    files = [path for path in inbox.rglob("*") if path.is_file() and path.name != "case.lock"]
    return [path.name for path in files if path.suffix != ".dcm" or path.name.startswith(".")]


def data_set_of(path: Path) -> bytes:
    """The encoded data set of a file, without its meta information: found by its own means, not navplan's."""
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        pydicom.filereader._read_file_meta_info(file)
        return file.read()


def until(what: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What it gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        time.sleep(0.02)
    return found


@contextmanager
def line_to(port: int, lets_through: int, then: str) -> Iterator[int]:
    """A port from which so many PDUs of data, and half of one more, go on to another; then the line is closed
    ("closed") or stays open, silent ("silent")."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(PATIENCE_S)

    def carry() -> None:
        with listening.accept()[0] as sender, socket.create_connection(("127.0.0.1", port)) as receiver:
            answers = threading.Thread(target=_copied, args=(receiver, sender))
            answers.start()
            _copied_until(sender, receiver, lets_through)
            if then == "silent":
                over.wait(PATIENCE_S)
            for one in (sender, receiver):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            answers.join(PATIENCE_S)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        over.set()
        thread.join(PATIENCE_S)
        listening.close()
        assert not thread.is_alive()


def _copied(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _copied_until(source: socket.socket, target: socket.socket, most: int) -> None:
    """PDU by PDU (PS3.8, section 9.3); those of a data set are larger than those of a command."""
    passed = 0
    with suppress(OSError), source.makefile("rb") as reading:
        while len(head := reading.read(6)) == 6:
            body = reading.read(int.from_bytes(head[2:], "big"))
            is_data = head[0] == 4 and len(body) > 1000
            if is_data and passed == most:
                target.sendall(head + body[: len(body) // 2])
                return
            passed += is_data
            target.sendall(head + body)


@contextmanager
def association(port: int, syntax: str, title: str = "NAVPLAN") -> Iterator[Any]:
    """An association of pynetdicom's for CT images in one transfer syntax."""
    entity = AE("SENDER")
    entity.add_requested_context(CTImageStorage, syntax)
    entity.acse_timeout = entity.dimse_timeout = PATIENCE_S
    found = entity.associate("127.0.0.1", port, ae_title=title)
    try:
        yield found
    finally:
        if found.is_established:
            found.release()
