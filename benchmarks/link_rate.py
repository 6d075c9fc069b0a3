"""Poses a second over OpenIGTLink, navplan's client and pyigtl's beside each other: `python -m benchmarks.link_rate`.

One server (navplan's) sends --rate TRANSFORM messages a second for --seconds, each with its number in it, to one client
after the other; each is asked every millisecond, as a guidance loop would. Received: of those that were sent; delay:
from sending to having the pose in hand. Both in one process, on one machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from threading import Thread

import numpy as np
import pyigtl

from navplan_openigtlink.client import Client
from navplan_openigtlink.messages import Message, Transform
from navplan_openigtlink.server import Server

HERE, ASKED_EVERY_S = "127.0.0.1", 0.001


def _send(server: Server, count: int, rate: float, sent_s: list[float]) -> None:
    matrix, begin = np.eye(4), time.perf_counter()
    for number in range(count):
        wait = begin + number / rate - time.perf_counter()
        if wait > 0.0:
            time.sleep(wait)
        matrix[0, 3] = number
        sent_s.append(time.perf_counter())
        server.send(Message(Transform(matrix.copy()), "NeedleToTracker"))


def measured(server: Server, ask: Callable[[], list[int]], count: int, rate: float) -> str:
    """One row: how many of `count` poses came to who asks, and how late."""
    sent_s: list[float] = []
    sender = Thread(target=_send, args=(server, count, rate, sent_s))
    seen: dict[int, float] = {}
    sender.start()
    quiet_from = time.perf_counter()
    while sender.is_alive() or time.perf_counter() - quiet_from < 0.5:
        for number in ask():
            if number not in seen:
                seen[number] = time.perf_counter()
                quiet_from = seen[number]
        time.sleep(ASKED_EVERY_S)
    sender.join()
    late = np.array([seen[n] - sent_s[n] for n in seen]) * 1e3
    took = sent_s[-1] - sent_s[0]
    return f"{count / took:.0f} | {len(seen):,} of {count:,} | {np.median(late):.2f} | {np.percentile(late, 99):.2f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    count = round(options.rate * options.seconds)
    print("| client | sent a second | received | delay, ms: median | 99 % |\n|---|---|---|---|---|")
    with closing(Server(port=0)) as server:
        with closing(Client(HERE, server.port)) as ours:
            _until(lambda: bool(server.clients()))

            def poses() -> list[int]:
                return [round(pose.matrix[0, 3]) for pose in ours.poses() if pose.matrix is not None]

            print(f"| navplan | {measured(server, poses, count, options.rate)}")
        _until(lambda: not server.clients())
        theirs = pyigtl.OpenIGTLinkClient(HERE, server.port)
        _until(lambda: bool(server.clients()))

        def latest() -> list[int]:
            return [round(one.matrix[0, 3]) for one in theirs.get_latest_messages() if hasattr(one, "matrix")]

        print(f"| pyigtl {version('pyigtl')} | {measured(server, latest, count, options.rate)}")
        theirs.stop()


def _until(true: Callable[[], bool]) -> None:
    end = time.perf_counter() + 5.0
    while not true() and time.perf_counter() < end:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
