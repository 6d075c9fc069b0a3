"""Broken and hostile OpenIGTLink peers beside good ones: is anything lost there, does anything else give way?

    python -m benchmarks.fuzz_openigtlink --messages 10000 [--seed 1] [--out docs/openigtlink.md]

Each of the messages (benchmarks/openigtlink_hostile.py) is decoded, then sent to a live server by a client of its own,
and to a live client by a server of its own. All the while a good client of that server gets numbered poses and sends
numbered texts, and a good server's client, beside the one that is attacked, gets numbered poses as well.

Exit code: 0; 1 if anything was lost or out of order at a good peer, a decoder raised anything else than its one error,
or a thread ended.
"""

from __future__ import annotations

import argparse
import logging
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.openigtlink_hostile import KINDS
from navplan.model.pose import PoseStatus, ToolPose
from navplan_openigtlink.client import Client, ClientSettings
from navplan_openigtlink.codec import decode, encode
from navplan_openigtlink.crc import crc64
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.messages import Message, Text, Transform
from navplan_openigtlink.server import Server, ServerSettings

HERE = "127.0.0.1"
START = "<!-- figures -->"
PACE_S = 0.002  # between two numbered poses
PATIENCE_S = 30.0  # that only a program that hangs needs
ROOMY = ClientSettings(silence_s=PATIENCE_S, poses=1_000_000, messages=1_000_000)
HASTY = ClientSettings(first_pause_s=0.001, longest_pause_s=0.001, stall_s=1.0, keep_messages=True)


@dataclass
class Good:
    """Numbered poses through one server to one client."""

    name: str
    server: Server
    client: Client
    sent_s: list[float] = field(default_factory=list)
    came: list[ToolPose] = field(default_factory=list)

    def send(self) -> None:
        """The next pose; its number is its x, mm."""
        matrix = np.eye(4)
        matrix[0, 3] = len(self.sent_s)
        self.sent_s.append(time.monotonic())
        self.server.send(Message(Transform(matrix), "good"))

    def take(self) -> None:
        """What has come of them."""
        self.came += [pose for pose in self.client.poses() if pose.tool == "good"]

    @property
    def numbers(self) -> list[int]:
        """Of the poses that came, in their order."""
        return [int(pose.matrix[0, 3]) for pose in self.came if pose.matrix is not None]

    @property
    def lost(self) -> int:
        """Poses that never came, that came out of order, or that were no pose."""
        bad = sum(pose.status is not PoseStatus.OK for pose in self.came)
        right = sum(a == b for a, b in zip(self.numbers, range(len(self.sent_s)), strict=False))
        return bad + len(self.sent_s) - right

    @property
    def delays_ms(self) -> np.ndarray:
        """From the call that sends to the time that a pose has, both of this machine's monotonic clock."""
        return np.array([1000.0 * (p.time_s - self.sent_s[n]) for p, n in zip(self.came, self.numbers, strict=True)])


@dataclass
class Outcome:
    """What became of the messages, and of the good peers. kind -> count, but for `good`."""

    sent: Counter[str] = field(default_factory=Counter)
    decoded: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    server_refused: Counter[str] = field(default_factory=Counter)
    client_refused: Counter[str] = field(default_factory=Counter)
    hung: Counter[str] = field(default_factory=Counter)
    good: list[Good] = field(default_factory=list)
    texts_sent: int = 0
    texts_lost: int = 0
    ended: int = 0
    memory_mib: float = 0.0
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether anything gave way that may not."""
        lost = sum(good.lost for good in self.good) + self.texts_lost + self.ended
        return bool(lost or self.crashed.total() or self.hung.total())


def hostile(messages: int, seed: int) -> list[tuple[str, bytes]]:
    """Kind and bytes, each kind as often."""
    random = np.random.default_rng(seed)
    kinds = list(KINDS)
    return [(kind, KINDS[kind](random)) for kind in (kinds[n % len(kinds)] for n in range(messages))]


def campaign(messages: int, seed: int) -> Outcome:
    """Do all of it."""
    outcome, attacks = Outcome(), hostile(messages, seed)
    began, memory = time.monotonic(), _memory_mib()
    attacked = Server(port=0, settings=ServerSettings(clients=8, stall_s=1.0, keep_messages=True, messages=1_000_000))
    other = Server(port=0)
    good = Client(HERE, attacked.port, settings=ROOMY)
    beside = Client(HERE, other.port, settings=ROOMY)
    outcome.good = [
        Good("client of the attacked server", attacked, good),
        Good("client beside the attacked client", other, beside),
    ]
    _until(lambda: attacked.clients() and other.clients())
    threads = [
        threading.Thread(target=_attack_server, args=(attacked, attacks, outcome)),
        threading.Thread(target=_attack_client, args=(attacks, outcome)),
    ]
    for thread in threads:
        thread.start()
    for kind, data in attacks:
        outcome.sent[kind] += 1
        _decode(kind, data, outcome)
    texts: list[str] = []
    while any(thread.is_alive() for thread in threads):
        for one in outcome.good:
            one.send()
            one.take()
        outcome.texts_sent += good.send(Message(Text(str(outcome.texts_sent)), "numbered"))
        texts += _numbered(attacked)
        time.sleep(PACE_S)
    for one in outcome.good:
        _until(lambda one=one: one.take() or len(one.came) >= len(one.sent_s))
    _until(lambda: texts.extend(_numbered(attacked)) or len(texts) >= outcome.texts_sent)
    outcome.texts_lost = sum(a != str(n) for n, a in enumerate(texts)) + outcome.texts_sent - len(texts)
    outcome.ended = sum(not one._background.running for one in (attacked, other, good, beside))
    for closing in (good, beside, attacked, other):
        closing.close()
    outcome.memory_mib, outcome.seconds = _memory_mib() - memory, time.monotonic() - began
    return outcome


def _numbered(server: Server) -> list[str]:
    """The good client's texts among what the server got."""
    came = [arrival.message for arrival in server.messages()]
    return [m.content.text for m in came if m.device == "numbered" and isinstance(m.content, Text)]


def _decode(kind: str, data: bytes, outcome: Outcome) -> None:
    try:
        encode(decode(data))
        outcome.decoded[kind] += 1
    except MessageError:
        outcome.refused[kind] += 1
    except Exception as error:
        print(f"{kind}: {type(error).__name__}: {error}: {data.hex()}", file=sys.stderr)
        outcome.crashed[kind] += 1


def _attack_server(server: Server, attacks: Iterable[tuple[str, bytes]], outcome: Outcome) -> None:
    """Each message from a client of its own, which waits for the server to close; what `let_go` says is counted."""
    for kind, data in attacks:
        with socket.create_connection((HERE, server.port), timeout=PATIENCE_S) as peer:
            try:
                peer.sendall(data)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 16):
                    pass
            except TimeoutError:
                outcome.hung[kind] += 1
            except OSError:
                pass  # closed with what it had not read
        outcome.server_refused[kind] += len(server.let_go())


def _attack_client(attacks: Iterable[tuple[str, bytes]], outcome: Outcome) -> None:
    """Each message from a server to a client that connects again and again; what its `ends` say is counted."""
    with socket.create_server((HERE, 0)) as place:
        place.settimeout(PATIENCE_S)
        victim = Client(HERE, place.getsockname()[1], settings=HASTY)
        for kind, data in attacks:
            try:
                peer, _ = place.accept()
            except TimeoutError:
                outcome.hung[kind] += 1
                continue
            with peer:
                peer.settimeout(PATIENCE_S)
                try:
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(1 << 16):
                        pass
                except TimeoutError:
                    outcome.hung[kind] += 1
                except OSError:
                    pass  # closed with what it had not read
            outcome.client_refused[kind] += sum(why.startswith("closed the connection") for why in victim.ends())
            victim.poses()
            victim.messages()
        outcome.ended += not victim._background.running
        victim.close()


def _until(done: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done() and time.monotonic() < end:
        time.sleep(0.005)


def _memory_mib() -> float:
    """The most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def speed() -> dict[str, float]:
    """Poses a second from a server to a client's `poses`, messages a second of the codec, bytes a second of the CRC."""
    message = Message(Transform(np.eye(4)), "needle")
    raw, count = encode(message), 20_000
    began = time.perf_counter()
    for _ in range(count):
        encode(message)
    coded = time.perf_counter()
    for _ in range(count):
        decode(raw)
    read = time.perf_counter()
    server = Server(port=0, settings=ServerSettings(waiting=count + 1))
    client = Client(HERE, server.port, settings=ROOMY)
    _until(server.clients)
    first, came = time.perf_counter(), 0
    for _ in range(count):
        server.send(message)
    while came < count and time.perf_counter() - first < PATIENCE_S:
        came += len(client.poses())
        time.sleep(0.001)
    through = time.perf_counter() - first
    client.close()
    server.close()
    data = np.random.default_rng(0).integers(0, 256, 1 << 26, dtype=np.uint8).tobytes()
    crc_began = time.perf_counter()
    crc64(data)
    return {
        "TRANSFORM encoded a second": count / (coded - began),
        "TRANSFORM decoded a second": count / (read - coded),
        "TRANSFORM a second from `Server.send` to `Client.poses`": came / through,
        "CRC, MB a second (64 MiB)": len(data) / 1e6 / (time.perf_counter() - crc_began),
    }


def page(outcome: Outcome, figures: dict[str, float], messages: int, seed: int) -> str:
    """The tables."""
    lines = [
        f"Written by `python -m benchmarks.fuzz_openigtlink --messages {messages} --seed {seed}`,"
        f" {outcome.seconds:.0f} s.",
        "",
        "| sent | messages | read | refused | any other error | server let go | client closed | hung |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = (
        outcome.sent, outcome.decoded, outcome.refused, outcome.crashed, outcome.server_refused,
        outcome.client_refused, outcome.hung,
    )  # fmt: skip
    for kind in KINDS:
        lines.append(f"| {kind} | " + " | ".join(f"{column[kind]:,}" for column in columns) + " |")
    lines.append("| **all** | " + " | ".join(f"{column.total():,}" for column in columns) + " |")
    lines += [
        "",
        "Good peers meanwhile:",
        "",
        "| peer | sent | lost, out of order or no pose | delay, ms: median | 99 % | largest |",
        "|---|---|---|---|---|---|",
    ]
    for good in outcome.good:
        delays = good.delays_ms
        figures_of = " | ".join(f"{value:.2f}" for value in (*np.percentile(delays, (50, 99)), delays.max()))
        lines.append(f"| {good.name} | {len(good.sent_s):,} | {good.lost} | {figures_of} |")
    lines += [
        f"| the same client's texts to the server | {outcome.texts_sent:,} | {outcome.texts_lost} | | | |",
        "",
        f"Threads that ended: {outcome.ended}. Memory above that at the start, at most: {outcome.memory_mib:.0f} MiB.",
        "",
        "| speed, alone | |",
        "|---|---|",
        *(f"| {name} | {value:,.0f} |" for name, value in figures.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it, print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Markdown file whose figures are written anew")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)  # each of the bad peers would be a line
    outcome = campaign(chosen.messages, chosen.seed)
    figures = speed()
    tables = page(outcome, figures, chosen.messages, chosen.seed)
    print(tables)
    if chosen.out:
        before = chosen.out.read_text("utf-8").split(START)[0]
        chosen.out.write_text(f"{before}{START}\n\n{tables}", encoding="utf-8")
    return int(outcome.failed)


if __name__ == "__main__":
    sys.exit(main())
