"""An event loop in a thread of its own, so that no caller ever waits for the network."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)
CLOSING_S = 3.0


class Background:
    """Runs one coroutine until it ends or `close` is called."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            log.exception("%s ended", self._thread.name)
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._work())
        self._ready.set()
        try:
            await self._task
        except asyncio.CancelledError:
            log.debug("%s was closed", self._thread.name)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have the loop call a function soon; nothing where it has ended."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(function, *arguments)
            except RuntimeError:  # the loop is closed
                log.debug("%s has ended", self._thread.name)

    @property
    def running(self) -> bool:
        """Whether the work goes on."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop; may be called twice."""
        if self._task is not None:
            self.call(self._task.cancel)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSING_S)
