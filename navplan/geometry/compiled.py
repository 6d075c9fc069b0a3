"""The one decorator that makes a numba kernel: compiled at the first call, cached where the disk allows it.

A module that holds a parallel kernel says `from navplan.geometry.compiled import compiled, prange`: a plain `range`
until numba is loaded, so that no import pays for numba.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

prange = range
_ONE_AT_A_TIME = threading.RLock()  # numba's workqueue threading layer aborts on concurrent use


class CompiledKernel:
    """A function that numba compiles when it is first called; `.python` is the plain function."""

    def __init__(self, python: Callable[..., Any], options: dict[str, Any]) -> None:
        self.python, self._options = python, options
        self._dispatcher: Any = None
        self.__doc__, self.__name__ = python.__doc__, python.__name__

    def _compile(self, cache: bool = True) -> Any:
        import numba

        self.python.__globals__["prange"] = numba.prange
        try:
            return numba.njit(cache=cache, **self._options)(self.python)
        except RuntimeError:  # no folder that a cache could be written to (a read-only install without a home)
            return numba.njit(cache=False, **self._options)(self.python)

    def __call__(self, *arguments: Any) -> Any:
        if self._dispatcher is not None and self._dispatcher.signatures and not self._options.get("parallel"):
            return self._dispatcher(*arguments)
        with _ONE_AT_A_TIME:
            if self._dispatcher is None:
                self._dispatcher = self._compile()
            try:
                return self._dispatcher(*arguments)
            except OSError:  # the cache folder vanished or is full
                self._dispatcher = self._compile(cache=False)
                return self._dispatcher(*arguments)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], CompiledKernel]:
    """Decorate a self-contained numeric function: `@compiled(parallel=True)`. Kernels do not call one another."""
    return lambda python: CompiledKernel(python, {"fastmath": False, **options})
