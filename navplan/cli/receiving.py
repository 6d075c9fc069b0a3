"""pacs: listen for what other DICOM nodes send, and ask a node whether it answers."""

from __future__ import annotations

import signal
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from navplan.cli.output import Output
from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.files.dicom_network import Listener

DONE = 0
LINE_S = 1.0
NOT_LOOPBACK = (
    "the port is open to other machines: DICOM as spoken here is neither encrypted nor does it ask who sends;"
    " whoever reaches it can send, and whoever is on the way can read. Only in a network that you trust"
)


def do_pacs(options: Namespace, output: Output) -> int:
    """Listen, or C-ECHO."""
    return _listen(options, output) if options.what == "listen" else _echo(options, output)


def _listen(options: Namespace, output: Output) -> int:
    """Until Ctrl-C or SIGTERM: a line a second while objects come, and the count at the end."""
    from navplan.app.guard import is_loopback
    from navplan.verbs.pacs import arrived, listen

    if not options.inbox:
        raise InputError("an empty --inbox", "a folder", 'For the folder that you are in, write "."')
    if not is_loopback(options.host):
        output.message(f"Warning: {NOT_LOOPBACK}.")
    with _until_stopped() as stopped:
        with listen(
            options.inbox, options.port, ae_title=options.ae_title, host=options.host,
            require_ae_title=options.require_ae_title,
        ) as listener:  # fmt: skip
            place = f"{options.host}, port {listener.port}, as {options.ae_title}"
            output.line(f"listening on {place}, into {options.inbox}")
            output.message("Stop it with Ctrl-C.")
            told = _Told(output, listener)
            while not stopped.wait(LINE_S):
                told.news()
        told.news()
    tally, studies = listener.tally, arrived(options.inbox)
    refused = sum(tally.refused.values())
    text = f"{tally.kept} objects kept, {tally.known} sent again, {refused} refused"
    result = {
        "inbox": options.inbox, "port": listener.port, "kept": tally.kept, "known": tally.known,
        "refused": tally.refused, "connections_closed": tally.closed,
        "studies": [
            {
                "uid": one.uid, "folder": one.folder, "objects": one.objects, "came_now": tally.studies.get(one.uid, 0),
                "series": [vars(series) for series in one.series],
            }
            for one in studies
        ],
    }  # fmt: skip
    output.result(text, result)
    return DONE


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM, which are the way to end it, never in the middle of a write."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {one: signal.signal(one, lambda *_: stopped.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for one, how in before.items():
            signal.signal(one, how)


class _Told:
    """What was printed of a listener's count."""

    def __init__(self, output: Output, listener: Listener) -> None:
        self._output, self._listener = output, listener
        self._studies: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def news(self) -> None:
        """A line for each study that grew, and for each reason why something was refused."""
        tally = self._listener.tally
        for uid, count in dict(tally.studies).items():
            if count != self._studies.get(uid, 0):
                self._output.line(f"study {uid}: {count} objects came")
        for words, count in dict(tally.refused).items():
            if count != self._refused.get(words, 0):
                self._output.line(f"refused: {count} x {words}")
        self._studies, self._refused = dict(tally.studies), dict(tally.refused)


def _echo(options: Namespace, output: Output) -> int:
    from navplan.verbs.pacs import echo

    host, port = place_of(options.place)
    took_ms = echo(host, port, ae_title=options.ae_title, called=options.called)
    output.result(f"{host}, port {port} answers: {took_ms:.0f} ms", {"host": host, "port": port, "ms": took_ms})
    return DONE


def place_of(words: str) -> tuple[str, int]:
    """HOST:PORT, [IPV6]:PORT. Raises InputError."""
    host, _, port = words.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise InputError(f"{words[:80]!r}", "HOST:PORT")
    return host, int(port)
