"""The live scene in a process of its own, for a page that must not wait for it. No VTK on this side of the pipe.

One thread speaks with the process: it sends a request, waits for its reply, and takes the next. What is waiting
meanwhile is thinned: of several draws for one client only the newest is made, and of what the scene is told only what
nothing later replaces. What the scene was told last is kept here, and told again to a process that takes the place of
one that died.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pickle import PicklingError
from typing import Any

from navplan.app.scene_child import Reply, serve
from navplan.errors import InputError, NavplanError
from navplan.view.camera import Camera

_log = logging.getLogger(__name__)
_MOST_DEATHS = 3  # in a row, without one picture
_LAST_SECONDS = 3.0
_LONGEST_S = 120.0  # for one answer; opening a case of 90 structures takes 5

# What the scene is told, in the order in which it is told again, and what a later telling leaves nothing of.
_TOLD = (
    "open_case", "set_hidden", "set_colours", "show_way", "move_needle", "paint_skin_map", "show_carm", "show_cursor",
    "show_fused",
)  # fmt: skip


class SceneProcessDied(NavplanError):
    """The scene's process ended before it answered; it is started again, unless it was closed or ends each time."""


class Superseded(NavplanError):
    """A picture that is not made, because its client has asked for a newer one."""


class SceneNotCurrent(NavplanError):
    """A picture that is not made, because the scene could not take in something that it was told before."""


class _NoWindow(Exception):
    """The process could not make its window, and says why."""


@dataclass(eq=False)
class _Request:
    method: str
    arguments: tuple[Any, ...]
    client: str | None = None  # of a draw
    loop: asyncio.AbstractEventLoop | None = None  # None: nobody waits for the answer
    future: asyncio.Future[Any] | None = None
    needs_all: bool = field(default=False)  # refused while something that was told before has failed

    @property
    def is_told(self) -> bool:
        return self.future is None

    def answer(self, value: Any) -> None:
        self._settle(lambda future: future.set_result(value))

    def fail(self, error: Exception) -> None:
        self._settle(lambda future: future.set_exception(error))

    def _settle(self, settle: Callable[[asyncio.Future[Any]], None]) -> None:
        future, loop = self.future, self.loop
        if future is None or loop is None:
            return
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(lambda: None if future.done() else settle(future))


class SceneProcess:
    """A live scene behind a pipe, started at once. Methods are those of LiveScene and "open_case", FOLDER, IMAGE_ID."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []
        self._state: dict[str, tuple[Any, ...]] = {}
        self._failures: dict[str, Exception] = {}
        self._wake_reader, self._wake_writer = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self._woken = False
        self._deaths = 0
        self._end = ""  # why nothing is answered any more
        self._process: Any = None
        self._thread = threading.Thread(target=self._keep_one_running, name="scene process", daemon=True)
        self._thread.start()

    @property
    def process_id(self) -> int | None:
        """Of the process that runs now, if one does."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    async def ready(self) -> None:
        """Wait until all that the scene was told is taken in. Raises as `draw` does."""
        await self._ask("triangles", (), needs_all=True)

    async def draw(self, camera: Camera, size: tuple[int, int], moving: bool, client: str = "") -> bytes:
        """A picture as JPEG, of everything that the scene was told before.

        Raises Superseded when the same client asks for a newer one before this is begun, SceneNotCurrent when something
        that was told before was refused or failed, SceneProcessDied, and InputError for a size that is refused.
        """
        return (await self.draw_told(camera, size, moving, client))[0]

    async def draw_told(
        self, camera: Camera, size: tuple[int, int], moving: bool, client: str = ""
    ) -> tuple[bytes, tuple[str, ...], dict[str, Any] | None]:
        """See `draw`; with the picture the names of what is faded in it, and what is to be written over it about a
        second image (`fusion_writing.fused_told`; None: there is none)."""
        jpeg, faded, second = await self._ask("draw", (camera, size, moving), client=client, needs_all=True)
        return jpeg, faded, second

    async def pick(
        self, camera: Camera, size: tuple[int, int], x_px: float, y_px: float, skin_only: bool = False
    ) -> tuple[tuple[float, float, float], str] | None:
        """See LiveScene.pick. Raises as `draw` does."""
        found: tuple[tuple[float, float, float], str] | None = await self._ask(
            "pick", (camera, size, x_px, y_px, skin_only), needs_all=True
        )
        return found

    async def ask(self, method: str, *arguments: Any) -> Any:
        """What a method or property of LiveScene gives. Raises what it raises, or SceneProcessDied."""
        return await self._ask(method, arguments)

    def tell(self, method: str, *arguments: Any) -> None:
        """Have the scene take something in before the next draw, without waiting for it.

        If that fails, draws raise SceneNotCurrent until the same is told again and succeeds. "open_case" leaves nothing
        of what was told before it. Raises InputError for a method that is not for telling.
        """
        if method not in _TOLD:
            raise InputError(f"the scene told {method!r}", ", ".join(_TOLD))
        self._put(_Request(method, arguments))

    def close(self) -> None:
        """End the process; whoever still waits gets SceneProcessDied."""
        self._finish("the scene's process was closed")
        if self._process is not None and self._process.is_alive():
            self._process.terminate()  # it may be at something long, and holds nothing that is not here
        self._thread.join(2 * _LAST_SECONDS)

    async def _ask(
        self, method: str, arguments: tuple[Any, ...], client: str | None = None, needs_all: bool = False
    ) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._put(_Request(method, arguments, client, loop, future, needs_all))
        return await future

    def _put(self, request: _Request) -> None:
        with self._lock:
            if self._end:
                request.fail(SceneProcessDied(self._end))
                return
            if request.client is not None:
                for older in [other for other in self._waiting if other.client == request.client]:
                    older.fail(Superseded("a newer picture was asked for"))
                    self._waiting.remove(older)
            if request.method in _TOLD:
                for replaced in _replaced_by(request):
                    self._state.pop(replaced, None)
                self._state[request.method] = request.arguments
            self._waiting.append(request)
            self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._wake_writer.send_bytes(b"!")

    def _take(self) -> _Request | None:
        """The next request, what a later one replaces left out."""
        with self._lock:
            while self._waiting:
                request = self._waiting.pop(0)
                if request.future is not None and request.future.cancelled():
                    continue
                if request.is_told and self._is_replaced(request):
                    continue
                return request
            if self._woken:
                self._woken = False
                self._wake_reader.recv_bytes()
            return None

    def _is_replaced(self, request: _Request) -> bool:
        for later in self._waiting:
            if request.method in _replaced_by(later):
                return True
            if not later.is_told:
                return False
        return False

    def _keep_one_running(self) -> None:
        try:
            while not self._end:
                self._run_one()
        except Exception as error:
            _log.exception("the scene's process is given up")
            self._finish(f"the scene's process could not be kept running: {error}")
        self._fail_waiting(self._end)

    def _run_one(self) -> None:
        """From the start of a process to its end, be it that it dies or that it is closed."""
        context = multiprocessing.get_context("spawn")
        connection, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, os.getpid()), name="navplan scene", daemon=True)
        process.start()
        theirs.close()
        self._process = process
        try:
            self._speak(connection)
        except (EOFError, OSError, _NoWindow) as error:
            process.join(_LAST_SECONDS)
            if not self._end:
                self._died(f"ended by itself ({str(error) or f'exit code {process.exitcode}'})")
        finally:
            connection.close()
            process.join(_LAST_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def _died(self, how: str) -> None:
        self._deaths += 1
        _log.warning("the scene's process %s", how)  # what waits is for the next one
        if self._deaths >= _MOST_DEATHS:
            self._finish(f"the scene's process {how}, {self._deaths} times in a row without a picture")

    def _speak(self, connection: Connection) -> None:
        """Serve requests until the end. Raises EOFError, OSError or _NoWindow when the process has died."""
        kind, content = connection.recv()
        if kind != "value":
            raise _NoWindow(content)
        with self._lock:  # what waits to be told is part of the state
            self._waiting = [request for request in self._waiting if not request.is_told]
            state = sorted(self._state.items(), key=lambda item: _TOLD.index(item[0]))
        self._failures.clear()
        for method, arguments in state:
            self._exchange(connection, _Request(method, arguments))
        while not self._end:
            request = self._take()
            if request is None:
                if connection in wait([connection, self._wake_reader]):
                    connection.recv()  # it says nothing without being asked: this is its end
                continue
            try:
                self._exchange(connection, request)
            except (EOFError, OSError):
                request.fail(SceneProcessDied(self._end or "the scene's process ended while it worked on this"))
                raise
            if request.client is not None:
                self._deaths = 0

    def _exchange(self, connection: Connection, request: _Request) -> None:
        if request.needs_all and self._failures:
            words = "; ".join(f"{method}: {error}" for method, error in self._failures.items())
            request.fail(SceneNotCurrent(f"the scene could not be brought up to date: {words}"))
            return
        try:
            connection.send((request.method, request.arguments))
        except (PicklingError, TypeError, AttributeError, ValueError) as error:
            self._settle(request, ("failed", f"{type(error).__name__}: {error}"))
            return
        if not connection.poll(_LONGEST_S):
            _log.warning("the scene's process gives no answer to %s and is ended", request.method)
            self._process.kill()
        self._settle(request, connection.recv())

    def _settle(self, request: _Request, reply: Reply) -> None:
        kind, content = reply
        if kind == "value":
            for repaired in _replaced_by(request):
                self._failures.pop(repaired, None)
            request.answer(content)
            return
        error = content[0](*content[1:]) if kind == "refused" else NavplanError(content)
        if request.is_told or request.method in _TOLD:
            self._failures[request.method] = error
            _log.warning("the scene could not take in %s: %s", request.method, error)
        request.fail(error)

    def _fail_waiting(self, why: str) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.fail(SceneProcessDied(why))

    def _finish(self, why: str) -> None:
        with self._lock:
            self._end = self._end or why
            self._wake()


def _replaced_by(request: _Request) -> tuple[str, ...]:
    """Of what methods a request leaves nothing, itself among them."""
    if request.method == "open_case":
        return _TOLD
    if request.method == "show_way":
        moving = len(request.arguments) > 2 and request.arguments[2]
        return ("show_way", "move_needle") if moving else ("show_way", "move_needle", "paint_skin_map")
    return (request.method,)
