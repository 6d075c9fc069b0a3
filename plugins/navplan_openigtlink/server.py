"""Sends messages to several clients (3D Slicer, a robot, a second screen), and gives what they send.

It listens on this machine alone unless told otherwise: the protocol knows neither users nor encryption.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from navplan.errors import InputError
from navplan_openigtlink.background import Background
from navplan_openigtlink.client import Arrival, memory_of
from navplan_openigtlink.codec import TYPES, encode
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import BODY_LIMIT
from navplan_openigtlink.mailbox import Mailbox
from navplan_openigtlink.messages import OK_CODE, Capability, Message, Request, Status
from navplan_openigtlink.stream import STALL_S, notice_when_dead, read_message

log = logging.getLogger(__name__)
PORT = 18944  # what 3D Slicer and PLUS propose
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServerSettings:
    """How a server behaves.

    clients: at most; body_limit: bytes of one message that a client sends; waiting, waiting_bytes: what may wait for
    one client before it is let go; keep_messages: whether `messages` gives what clients send; messages: room for it.
    """

    clients: int = 16
    body_limit: int = 16 * 1024 * 1024
    waiting: int = 4096
    waiting_bytes: int = BODY_LIMIT
    stall_s: float = STALL_S
    keep_messages: bool = False
    messages: int = 1024


@dataclass(eq=False)
class _Peer:
    """One client. queue: bytes that wait for it; intervals_s, last_s, stopped: by type, what it asked for."""

    name: str
    writer: asyncio.StreamWriter
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    queue: deque[bytes] = field(default_factory=deque)
    waiting: int = 0
    why: str = ""
    intervals_s: dict[str, float] = field(default_factory=dict)
    last_s: dict[tuple[str, str], float] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)


class Server:
    """Listens from the moment it is made. Every method returns at once, from any thread.

    Raises InputError where host and port cannot be listened on. port 0: any free one, see `port`.
    """

    def __init__(self, host: str = LOOPBACK, port: int = PORT, settings: ServerSettings | None = None) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            raise InputError(f"no listening on {host}:{port} ({error})", "a free port of this machine") from error
        self.port: int = self._socket.getsockname()[1]
        self._settings = settings or ServerSettings()
        self._lock = threading.Lock()  # of the peers, what is kept and who was let go
        self._peers: list[_Peer] = []
        self._kept: dict[tuple[str, str], bytes] = {}
        self._let_go: deque[tuple[str, str]] = deque(maxlen=256)
        self._messages: Mailbox[Arrival] = Mailbox("messages", self._settings.messages, 16 * self._settings.body_limit)
        self._closed = False
        self._background = Background(f"OpenIGTLink at {host}:{self.port}", self._work)

    def send(self, message: Message, *, keep: bool = False) -> int:
        """Send a message to all clients; gives to how many. Raises InputError for one that cannot be sent.

        keep: also to each client that comes later, and to each that asks for it (GET_), until a message of the same
        type and device takes its place. A client that asked for an interval (STT_TDATA) or for silence (STP_) gets
        what it asked for. One that does not fetch what waits for it is let go.
        """
        data, now = encode(message), time.monotonic()
        with self._lock:
            if keep:
                self._kept[message.type, message.device] = data
            meant = [peer for peer in self._peers if _wanted(peer, message, now)]
            for peer in meant:
                self._queue(peer, data)
        return len(meant)

    def forget(self, type_: str, device: str) -> None:
        """Keep a message no longer."""
        with self._lock:
            self._kept.pop((type_, device), None)

    def messages(self) -> list[Arrival]:
        """What clients have sent since the last call, where the settings keep it."""
        return self._messages.take()

    def clients(self) -> list[str]:
        """Who is connected, "HOST:PORT" each."""
        with self._lock:
            return [peer.name for peer in self._peers]

    def let_go(self) -> list[tuple[str, str]]:
        """Clients that were let go since the last call for what they sent or did not fetch, each with the reason."""
        with self._lock:
            found = list(self._let_go)
            self._let_go.clear()
        return found

    def fault(self) -> str:
        """What is wrong, until `let_go` and `messages` have been called; "" where all is well."""
        if self._closed:
            return "closed"
        if not self._background.running:
            return "the server's thread ended"
        with self._lock:
            gone = [f"let go of {name}: {why}" for name, why in list(self._let_go)[-1:]]
        return "; ".join([*gone, *filter(None, [self._messages.fault()])])

    def close(self) -> None:
        """Close all connections and the port; may be called twice."""
        self._closed = True
        self._background.close()
        self._socket.close()

    def _queue(self, peer: _Peer, data: bytes) -> None:
        """With the lock held."""
        if peer.queue and (
            len(peer.queue) >= self._settings.waiting or peer.waiting + len(data) > self._settings.waiting_bytes
        ):
            peer.why = peer.why or f"it does not fetch what is sent: {len(peer.queue)} messages wait"
            self._background.call(peer.writer.transport.abort)
            return
        peer.queue.append(data)
        peer.waiting += len(data)
        self._background.call(peer.wake.set)

    async def _work(self) -> None:
        server = await asyncio.start_server(self._welcome, sock=self._socket)
        try:
            await asyncio.Event().wait()  # until it is cancelled
        finally:
            server.close()
            with self._lock:
                for peer in self._peers:
                    peer.writer.transport.abort()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = (writer.get_extra_info("peername") or ("unknown", 0))[:2]
        peer = _Peer(f"{host}:{port}", writer)
        with self._lock:
            full = len(self._peers) >= self._settings.clients
            if full:
                self._let_go.append((peer.name, f"{self._settings.clients} clients are connected already"))
            else:
                self._peers.append(peer)
                for data in self._kept.values():
                    self._queue(peer, data)
        if full:
            writer.transport.abort()
            return
        sender, why = asyncio.ensure_future(self._send_all(peer)), ""
        try:
            notice_when_dead(writer)
            why = await self._read_all(peer, reader)
        finally:
            sender.cancel()
            writer.transport.abort()
            why = peer.why or why
            with self._lock:
                self._peers.remove(peer)
                if why:
                    self._let_go.append((peer.name, why))
        if why:
            log.warning("OpenIGTLink: let go of %s: %s", peer.name, why)

    async def _read_all(self, peer: _Peer, reader: asyncio.StreamReader) -> str:
        """Read until the client goes (then "") or has to."""
        try:
            while True:
                came = await read_message(reader, self._settings.body_limit, self._settings.stall_s)
                if came is None:
                    return ""
                message, size = came
                if isinstance(message.content, Request):
                    self._answer(peer, message, message.content)
                if self._settings.keep_messages:
                    self._messages.put(Arrival(message, time.monotonic(), peer.name), memory_of(message, size))
        except MessageError as error:
            return str(error)
        except OSError as error:
            log.info("OpenIGTLink: %s went (%s)", peer.name, error.strerror or error)
            return ""
        except Exception as error:  # a fault of this program ends one connection, not the others
            log.exception("%s", peer.name)
            return f"{type(error).__name__}: {error}"

    async def _send_all(self, peer: _Peer) -> None:
        try:
            while True:
                await peer.wake.wait()
                peer.wake.clear()
                while True:
                    with self._lock:
                        if not peer.queue:
                            break
                        data = peer.queue.popleft()
                        peer.waiting -= len(data)
                    peer.writer.write(data)
                    await peer.writer.drain()
        except OSError as error:
            log.info("OpenIGTLink: %s went (%s)", peer.name, error.strerror or error)

    def _answer(self, peer: _Peer, message: Message, request: Request) -> None:
        of, device = request.of, message.device
        with self._lock:
            answers = self._answers(peer, request, device)
            for data in answers:
                self._queue(peer, data)
        if not answers:
            log.debug("OpenIGTLink: %s asked %s of %s", peer.name, request.action, of)

    def _answers(self, peer: _Peer, request: Request, device: str) -> list[bytes]:
        """With the lock held: what goes back to the client that asked."""
        of = request.of
        if request.action == "GET":
            if of == "CAPABILITY":
                return [encode(Message(Capability(TYPES), device))]
            if of == "STATUS":
                return [encode(Message(Status(OK_CODE, 0, "OK"), device))]
            kept = [data for (type_, name), data in self._kept.items() if type_ == of and device in ("", name)]
            return kept or [encode(Message(Request("RTS", of, failed=True), device))]
        if request.action == "STT":
            peer.stopped.discard(of)
            peer.intervals_s[of] = request.interval_ms / 1000.0
        elif request.action == "STP":
            peer.stopped.add(of)
        else:
            return []
        return [encode(Message(Request("RTS", of), device))]


def _wanted(peer: _Peer, message: Message, now_s: float) -> bool:
    """Whether a client wants a message now; notes when it got one of its kind."""
    if message.type in peer.stopped:
        return False
    interval = peer.intervals_s.get(message.type, 0.0)
    if interval:
        key = message.type, message.device
        if now_s - peer.last_s.get(key, float("-inf")) < interval:
            return False
        peer.last_s[key] = now_s
    return True
