"""The one decorator that makes a numba kernel: compiled at the first call, cached where the disk allows it.

Kernels let other threads run while they work: `by_rows` shares the rows of a long task among a few of them. (numba's
own `parallel=True` takes three times as long to compile, and its threads spin between calls.) A module that still
holds such a kernel says `from navplan.geometry.compiled import compiled, prange`: a plain `range` until numba is
loaded, so that no import pays for numba.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

prange = range
THREADS = 4
FEW_ROWS = 256  # of them one thread is as fast
_ONE_AT_A_TIME = threading.RLock()  # compiling; and numba's workqueue threading layer aborts on concurrent use


class CompiledKernel:
    """A function that numba compiles when it is first called; `.python` is the plain function."""

    def __init__(self, python: Callable[..., Any], options: dict[str, Any]) -> None:
        self.python, self._options = python, options
        self._dispatcher: Any = None
        self._ready = False  # compiled, for some types of arguments at least
        self.__doc__, self.__name__ = python.__doc__, python.__name__

    def _compile(self, cache: bool = True) -> Any:
        import numba

        self.python.__globals__["prange"] = numba.prange
        try:
            return numba.njit(cache=cache, **self._options)(self.python)
        except RuntimeError:  # no folder that a cache could be written to (a read-only install without a home)
            return numba.njit(cache=False, **self._options)(self.python)

    def __call__(self, *arguments: Any) -> Any:
        if self._ready:
            return self._call(arguments)
        with _ONE_AT_A_TIME:
            if self._dispatcher is None:
                self._dispatcher = self._compile()
            found = self._call(arguments)
            self._ready = not self._options.get("parallel")
            return found

    def _call(self, arguments: tuple[Any, ...]) -> Any:
        try:
            return self._dispatcher(*arguments)
        except OSError:  # the cache folder vanished or is full
            self._dispatcher = self._compile(cache=False)
            return self._dispatcher(*arguments)


@cache
def _pool() -> ThreadPoolExecutor:
    """Kernels alone run in it: none of them waits for another."""
    return ThreadPoolExecutor(THREADS, "rows")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a fork


def compiled(**options: Any) -> Callable[[Callable[..., Any]], CompiledKernel]:
    """Decorate a self-contained numeric function: `@compiled()`. Kernels do not call one another."""
    return lambda python: CompiledKernel(python, {"fastmath": False, "nogil": True, **options})


def by_rows(kernel: Callable[..., Any], rows: Sequence[NDArray[Any]], *shared: Any, least: int = FEW_ROWS) -> Any:
    """kernel(*rows, *shared), the rows (arrays of one length) shared among THREADS threads in parts of at least
    `least`; what the kernel returns, an array or a tuple of them, one row each, put together again."""
    count = len(rows[0])
    parts = min(4 * THREADS, count // least)
    if parts < 2:
        return kernel(*rows, *shared)
    edges = [count * part // parts for part in range(parts + 1)]
    found = list(
        _pool().map(
            lambda part: kernel(*(values[edges[part] : edges[part + 1]] for values in rows), *shared), range(parts)
        )
    )
    if isinstance(found[0], tuple):
        return tuple(np.concatenate(pieces) for pieces in zip(*found, strict=True))
    return np.concatenate(found)
