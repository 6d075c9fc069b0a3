"""A connection to a tracker, or to anything else that sends OpenIGTLink, which comes back by itself when it is lost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

from navplan.model.pose import ToolPose
from navplan_openigtlink.background import Background
from navplan_openigtlink.codec import encode
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import BODY_LIMIT
from navplan_openigtlink.mailbox import Mailbox
from navplan_openigtlink.messages import Message
from navplan_openigtlink.poses import Poses
from navplan_openigtlink.sender_clock import SenderClock
from navplan_openigtlink.stream import STALL_S, notice_when_dead, read_message

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClientSettings:
    """How a client behaves. Times in s.

    silence_s: after which a tool is MISSING, and `fault` says that nothing comes; first_pause_s, longest_pause_s:
    before it connects again, twice as long each time until a message comes; stall_s: that a message which has begun may
    stop for; poses, messages: room in its queues; body_limit: bytes of one message; keep_messages: whether `messages`
    gives what comes.
    """

    silence_s: float = 0.5
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    connect_s: float = 5.0
    stall_s: float = STALL_S
    poses: int = 8192
    messages: int = 1024
    body_limit: int = BODY_LIMIT
    keep_messages: bool = False


@dataclass(frozen=True, eq=False)
class Arrival:
    """A message, when it came (s, monotonic clock of this machine), and who sent it ("HOST:PORT")."""

    message: Message
    time_s: float
    sender: str


class Client:
    """A navplan.model.seams.TrackerLink. Every method returns at once, from any thread.

    greeting: messages that are sent after each connection (STT_TDATA).
    """

    def __init__(
        self, host: str, port: int, greeting: tuple[Message, ...] = (), settings: ClientSettings | None = None
    ) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port = host, port
        self._greeting = tuple(encode(message) for message in greeting)
        self._settings = settings or ClientSettings()
        self._poses: Mailbox[ToolPose] = Mailbox("poses", self._settings.poses)
        self._messages: Mailbox[Arrival] = Mailbox("messages", self._settings.messages, self._settings.body_limit)
        self._lock = threading.Lock()  # of the tools, the words and the times below
        self._tools = Poses()
        self._words = "connecting"
        self._ends: deque[str] = deque(maxlen=256)
        self._last_s = time.monotonic()
        self._writer: asyncio.StreamWriter | None = None
        self._clock = SenderClock(False)
        self._closed = False
        self._background = Background(f"OpenIGTLink from {self.address}", self._work)

    def poses(self) -> list[ToolPose]:
        """What has come since the last call, oldest first, and a MISSING pose of each tool that has fallen silent."""
        with self._lock:
            found = self._poses.take()
            if not self._closed:
                found += self._tools.silent(time.monotonic(), self._settings.silence_s)
        return found

    def messages(self) -> list[Arrival]:
        """All messages since the last call, where the settings keep them."""
        return self._messages.take()

    def fault(self) -> str:
        """Why nothing comes, or what was lost; "" where all is well."""
        if self._closed:
            return "closed"
        if not self._background.running:
            return f"{self.address}: the connection's thread ended"
        with self._lock:
            quiet = time.monotonic() - self._last_s
            words = [self._words, self._tools.status]
        if not words[0] and quiet > self._settings.silence_s:
            words[0] = f"connected, but nothing came for {quiet:.1f} s"
        words += [self._poses.fault(), self._messages.fault()]
        return "; ".join(f"{self.address}: {part}" for part in words if part)

    def ends(self) -> list[str]:
        """Why connections ended, or were not made, since the last call, oldest first."""
        with self._lock:
            found = list(self._ends)
            self._ends.clear()
        return found

    def send(self, message: Message) -> bool:
        """Send a message; False where there is no connection, or the other side does not read.

        Raises InputError for one that cannot be sent.
        """
        data = encode(message)
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > self._settings.body_limit:
            return False
        self._background.call(writer.write, data)
        return True

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        self._closed = True
        self._background.close()

    async def _work(self) -> None:
        pause, told = self._settings.first_pause_s, ""
        while True:
            began = time.monotonic()
            why = await self._one_connection()
            now = time.monotonic()
            with self._lock:
                self._ends.append(why)
                for pose in self._tools.ended(now, why):
                    self._poses.put(pose)
                if self._last_s > began:  # a message came: begin with short pauses again
                    pause = self._settings.first_pause_s
                self._words = f"{why}; connecting again in {pause:.1f} s"
            log.log(logging.DEBUG if why == told else logging.WARNING, "%s: %s", self.address, why)
            told = why
            await asyncio.sleep(pause)
            pause = min(2.0 * pause, self._settings.longest_pause_s)

    async def _one_connection(self) -> str:
        """Read until the connection ends; says why it did."""
        try:
            async with asyncio.timeout(self._settings.connect_s):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except TimeoutError:
            return f"no answer within {self._settings.connect_s:g} s"
        except OSError as error:
            return f"no connection ({error.strerror or error})"
        try:
            notice_when_dead(writer)
            self._clock = SenderClock.of(writer)
            for data in self._greeting:
                writer.write(data)
            self._writer = writer
            with self._lock:
                self._words = ""
            while True:
                came = await read_message(reader, self._settings.body_limit, self._settings.stall_s)
                if came is None:
                    return "the sender closed the connection"
                self._arrived(*came)
        except MessageError as error:
            return f"closed the connection: {error}"
        except OSError as error:
            return f"the connection broke ({error.strerror or error})"
        except Exception as error:  # a fault of this program ends a connection, not the thread
            log.exception("%s", self.address)
            return f"closed the connection: {type(error).__name__}: {error}"
        finally:
            self._writer = None
            writer.transport.abort()

    def _arrived(self, message: Message, size: int) -> None:
        now = time.monotonic()
        measured_s = self._clock.measured_s(message.sent_s, now, time.time())
        with self._lock:
            for pose in self._tools.of(message, now, measured_s):
                self._poses.put(pose)
            self._last_s = now
        if self._settings.keep_messages:
            self._messages.put(Arrival(message, now, self.address), memory_of(message, size))


def memory_of(message: Message, size: int) -> int:
    """About how many bytes a message takes in memory: many small records take more than on the wire."""
    return size if message.type == "IMAGE" else 8 * size
