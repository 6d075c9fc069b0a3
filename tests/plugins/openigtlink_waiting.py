"""Waiting for what another thread brings; no test is judged by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

HERE = "127.0.0.1"


def until(found: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """What `found` gives as soon as it is true; fails after a time that only a broken program needs."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.002)
    raise AssertionError("it never came")


def collect(link: Any, count: int, take: str = "messages") -> list[Any]:
    found: list[Any] = []
    until(lambda: found.extend(getattr(link, take)()) or len(found) >= count)
    return found
