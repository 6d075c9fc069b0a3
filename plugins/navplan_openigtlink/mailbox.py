"""What waits between two threads: bounded, the oldest goes first where it is full, and it says so."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Mailbox(Generic[_Item]):
    """A queue of at most `limit` items and `size_limit` bytes; for several threads.

    what: its items' name, for the words of `fault`.
    """

    def __init__(self, what: str, limit: int, size_limit: int = 1 << 62) -> None:
        self._what, self._limit, self._size_limit = what, limit, size_limit
        self._items: deque[tuple[_Item, int]] = deque()
        self._lock = threading.Lock()
        self._size = 0
        self._lost = 0  # since the last take
        self._lost_before = 0  # between the last two takes

    def put(self, item: _Item, size: int = 0) -> None:
        """At the end; the oldest go where it is full."""
        with self._lock:
            self._items.append((item, size))
            self._size += size
            while len(self._items) > self._limit or (self._size > self._size_limit and len(self._items) > 1):
                self._size -= self._items.popleft()[1]
                self._lost += 1

    def take(self) -> list[_Item]:
        """All that waits, oldest first."""
        with self._lock:
            found = [item for item, _ in self._items]
            self._items.clear()
            self._size = 0
            self._lost_before, self._lost = self._lost, 0
        return found

    def fault(self) -> str:
        """What was lost since the last but one take, "" where nothing was."""
        with self._lock:
            lost = self._lost + self._lost_before
        return f"{lost} {self._what} were lost: more came than were fetched (room for {self._limit})" if lost else ""
