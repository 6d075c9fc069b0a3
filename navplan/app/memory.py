"""What a long-lived process of the app does so that its memory does not creep."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8  # of glibc's malloc.h
HEAPS = 2


def few_heaps() -> None:
    """glibc keeps a heap for each thread that asks for memory at the same time as another, and gives back little of
    them: pictures made on a dozen threads would each leave a hole in another heap. Elsewhere: nothing."""
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)
    except (AttributeError, OSError, TypeError):  # no glibc
        return


def give_back() -> None:
    """Return freed memory to the system, which glibc mostly keeps: tens of ms, for a moment in which nobody waits."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return
