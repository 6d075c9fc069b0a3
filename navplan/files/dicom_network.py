"""DICOM over the network (PS3.7, PS3.8): a listener that puts what it is sent into an inbox, and C-ECHO.

The protocol is pynetdicom's; what a peer may cost is bounded here: connections, the size and the time of one PDU,
what it may send before it is answered. No log line holds anything but counts, UIDs and statuses.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pynetdicom
from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import _config, evt
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from navplan.errors import InputError
from navplan.files.dicom_inbox import NOT_UNDERSTOOD, Inbox, KeptObject, NotKept

# All that pydicom and its decoders read but Deflated, which may unpack to a thousand times its size; whoever offers it
# offers Implicit VR Little Endian too (PS3.5, section 10).
TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit,
    JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000,
    HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K,
]  # fmt: skip
LONGEST_AE_TITLE, LONGEST_COMMENT = 16, 64
MOST_CONNECTIONS = 32
# Of pynetdicom's own count, in which a connection that closed without a word stays for REQUEST_S.
MOST_ASSOCIATIONS = 4 * MOST_CONNECTIONS
REQUEST_S = 5.0  # for the request of an association to come
IDLE_S = 30.0  # a PDU must be whole by then, and the next one begun
PDU_BYTES = 131_072  # that a peer is told to keep to
LARGEST_PDU_BYTES = 1 << 20  # that is read at all: a request for an association may be larger than a piece of data
SUCCESS = 0x0000
# Linux alone. Without it each object waits 40 ms: the sender for a receipt, this system for something to put it on.
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)

log = logging.getLogger(__name__)
# Its own messages hold what peers call themselves, and whatever they send.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
logging.getLogger("pynetdicom").propagate = False


@dataclass
class Tally:
    """What came since the start: objects kept, sent again though they were there, refused, by reason; connections
    that were closed because a peer went beyond its bounds."""

    kept: int = 0
    known: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    closed: int = 0
    studies: dict[str, int] = field(default_factory=dict)  # objects kept, by study UID


class Listener:
    """C-STORE and C-ECHO on one port, each association in a thread of its own, into an inbox that is entered already.

    require_ae_title: refuse whoever calls another title. idle_s: how long a peer may take for one PDU, and be silent
    between two. Raises InputError for a title or a port that cannot be had.
    """

    def __init__(
        self, inbox: Inbox, port: int, ae_title: str = "NAVPLAN", host: str = "127.0.0.1",
        require_ae_title: bool = False, idle_s: float = IDLE_S,
    ) -> None:  # fmt: skip
        self.inbox, self.host, self.idle_s = inbox, host, idle_s
        self.tally = Tally()
        self._counting = threading.Lock()
        self._lines: dict[Any, _Line] = {}
        entity = pynetdicom.AE(checked_title(ae_title))
        entity.maximum_associations, entity.maximum_pdu_size = MOST_ASSOCIATIONS, PDU_BYTES
        entity.acse_timeout = min(idle_s, REQUEST_S)
        entity.dimse_timeout = entity.network_timeout = idle_s
        entity.require_called_aet = require_ae_title
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened), (evt.EVT_CONN_CLOSE, self._closed), (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
        ]  # fmt: skip
        if not 0 <= port <= 65535:
            raise InputError(f"port {port}", "0 to 65535")
        try:
            server = entity.start_server((host, port), block=False, evt_handlers=handlers)
        except OSError as error:
            raise InputError(
                f"{host}, port {port}: {error.strerror or error}", "an address of this machine and a port that is free",
                "Choose another; port 0 takes a free one",
            ) from error  # fmt: skip
        assert server is not None  # it does not block
        self._server: Any = server
        self.port = int(server.server_address[1])

    def stop(self) -> None:
        """Close the port and every connection; of an object that was not whole yet nothing stays."""
        server, self._server = self._server, None
        if server is None:
            return
        for line in list(self._lines.values()):
            line.close()
        server.shutdown()
        until = time.monotonic() + 5.0
        while self._lines and time.monotonic() < until:
            time.sleep(0.01)

    def _opened(self, event: evt.Event) -> None:
        line = _Line(event.assoc.dul.socket, self)
        with self._counting:
            ended = [one for one in self._lines if one.ident is not None and not one.is_alive()]
            for one in ended:  # a fault of the protocol's reader tells of no end
                del self._lines[one]
            full = len(self._lines) >= MOST_CONNECTIONS
            self._lines[event.assoc] = line
        if full:
            self.beyond("too many connections")
            line.close()

    def _closed(self, event: evt.Event) -> None:
        with self._counting:
            line = self._lines.pop(event.assoc, None)
        if line is not None:
            line.free()

    def beyond(self, words: str) -> None:
        """Count and log a connection that is closed because of its peer."""
        log.warning("inbox: connection closed: %s", words)
        with self._counting:
            self.tally.closed += 1

    def _store(self, event: evt.Event) -> Any:
        try:
            request: Any = event.request
            kept = self.inbox.keep(
                event.encoded_dataset(), str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
            )
        except NotKept as refusal:
            return self._refused(refusal.status, refusal.words)
        except Exception as fault:  # whatever it is, it ends with this object; its words may hold values
            return self._refused(NOT_UNDERSTOOD, f"a fault: {type(fault).__name__}")
        else:
            self._count(kept)
            return SUCCESS
        finally:
            line = self._lines.get(event.assoc)
            if line is not None and event.assoc.dimse.msg_queue.empty():
                line.unanswered_bytes = 0

    def _count(self, kept: KeptObject) -> None:
        with self._counting:
            tally = self.tally
            tally.kept, tally.known = tally.kept + kept.new, tally.known + (not kept.new)
            tally.studies[kept.study_uid] = tally.studies.get(kept.study_uid, 0) + kept.new
        log.info("inbox: %s %s", "kept" if kept.new else "had already", kept.instance_uid)

    def _refused(self, status: int, words: str) -> Any:
        log.warning("inbox: refused with 0x%04X: %s", status, words)
        with self._counting:
            self.tally.refused[words] = self.tally.refused.get(words, 0) + 1
        answer = Dataset()
        answer.Status, answer.ErrorComment = status, words[:LONGEST_COMMENT]
        return answer


class _Line:
    """One connection: reads for pynetdicom, whose own way has no limit of size or time."""

    def __init__(self, reader: Any, listener: Listener) -> None:
        self._socket: socket.socket = reader.socket
        self._listener = listener
        self.unanswered_bytes = 0
        self._socket.settimeout(listener.idle_s)
        reader.recv = self.read

    def read(self, count: int) -> bytearray:
        """So many bytes, or those before the peer closed. Raises OSError where it asks for too much or takes too
        long; pynetdicom then closes the connection."""
        self.unanswered_bytes += count
        most = 2 * self._listener.inbox.largest_bytes + LARGEST_PDU_BYTES
        if count > LARGEST_PDU_BYTES or self.unanswered_bytes > most:
            self._give_up("more bytes than an object may have")
        until = time.monotonic() + self._listener.idle_s
        found = bytearray()
        while len(found) < count:
            left_s = until - time.monotonic()
            if left_s <= 0:
                self._give_up("too slow")
            self._socket.settimeout(left_s)
            if _QUICK_ACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            try:
                part = self._socket.recv(min(count - len(found), 65536))
            except TimeoutError:
                self._give_up("too slow")
            if not part:
                break
            found += part
        self._socket.settimeout(self._listener.idle_s)
        return found

    def _give_up(self, words: str) -> None:
        self._listener.beyond(words)
        self.close()
        raise OSError(words)

    def close(self) -> None:
        """From any thread: whoever reads ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def free(self) -> None:
        """Once nobody reads any more."""
        with contextlib.suppress(OSError):
            self._socket.close()


def checked_title(words: str) -> str:
    """An application entity's title (PS3.5, section 6.2, AE). Raises InputError."""
    plain = words.strip()
    if not plain or len(plain) > LONGEST_AE_TITLE or not plain.isascii() or not plain.isprintable() or "\\" in plain:
        raise InputError(f"the AE title {words[:40]!r}", f"1 to {LONGEST_AE_TITLE} printable ASCII characters, no \\")
    return plain


def echo(host: str, port: int, ae_title: str = "NAVPLAN", called: str = "ANY-SCP", wait_s: float = 10.0) -> float:
    """C-ECHO: milliseconds until the answer. Raises InputError where nobody answers, or not so."""
    entity = pynetdicom.AE(checked_title(ae_title))
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = wait_s
    entity.add_requested_context(Verification)
    place = f"{host}, port {port}"
    try:
        association = entity.associate(host, port, ae_title=checked_title(called))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{place}: {error}", "an address that can be reached") from error
    if not association.is_established:
        what = "the association was refused: a wrong AE title?" if association.is_rejected else "nobody answers"
        raise InputError(f"{place}: {what}", "a DICOM node that knows this one")
    try:
        asked_s = time.perf_counter()
        status = association.send_c_echo()
        took_ms = 1000 * (time.perf_counter() - asked_s)
    finally:
        association.release()
    found = status.get("Status")
    if found != SUCCESS:
        said = "no answer" if found is None else f"status 0x{int(found):04X}"
        raise InputError(f"{place}: {said} to C-ECHO", "status 0x0000")
    return took_ms
