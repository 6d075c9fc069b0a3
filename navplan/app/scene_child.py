"""What runs in the scene's own process: one live scene that is told, asked and drawn through a pipe."""

from __future__ import annotations

import io
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from navplan.app.memory import few_heaps, give_back
from navplan.errors import InputError, NavplanError

_QUALITY_MOVING, _QUALITY_STILL = 60, 90
_LOOKS_FOR_PARENT_S = 5.0
_PLANE_PIXEL_MM = 1.2
_PAUSE_S = 1.0  # without a request: time to tidy up

Reply = tuple[str, Any]  # ("value", it), ("refused", (class, received, expected, remedy)) or ("failed", words)


def serve(connection: Connection, parent_id: int) -> None:
    """Answer requests (method, arguments) one by one until the pipe ends, or the process that asks does.

    The first message says that the scene's window is there. Each request has one reply.
    """
    few_heaps()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    with suppress(EOFError, ConnectionError):
        try:
            stage = _Stage()
        except Exception as error:
            connection.send(("failed", f"{type(error).__name__}: {error}"))
            raise
        connection.send(("value", os.getpid()))
        while _asked(connection, parent_id):
            connection.send(_answer(stage, connection))


def _asked(connection: Connection, parent_id: int) -> bool:
    """Wait for a request; False when the parent is gone, though some other process still holds its end of the pipe."""
    if connection.poll(_PAUSE_S):
        return True
    give_back()
    while not connection.poll(_LOOKS_FOR_PARENT_S):
        if os.getppid() != parent_id:
            return False
    return True


def _answer(stage: _Stage, connection: Connection) -> Reply:
    try:
        method, arguments = connection.recv()
        return "value", stage.perform(method, arguments)
    except (EOFError, ConnectionError):
        raise
    except InputError as error:
        return "refused", (type(error), error.received, error.expected, error.remedy)
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"


class _Stage:
    """The live scene, with what a process of its own adds: it opens the case, and its pictures are JPEG."""

    def __init__(self) -> None:
        from navplan.view.live_scene import LiveScene

        self._scene = LiveScene()
        self._case: tuple[Any, str] | None = None  # with the image that is shown
        self._refused = ""  # why no second image is shown that was asked for
        self._own: dict[str, Callable[..., Any]] = {
            "open_case": self._open_case, "draw": self._draw, "show_fused": self._show_fused,
        }  # fmt: skip

    def perform(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Call a method by name, or read a property."""
        if method in self._own:
            return self._own[method](*arguments)
        if method.startswith("_") or not hasattr(self._scene, method):
            raise InputError(f"the scene asked for {method!r}", "a public method or property of LiveScene")
        found = getattr(self._scene, method)
        return found(*arguments) if callable(found) else found

    def _open_case(self, folder: str, image_id: str = "") -> Any:
        from navplan.files.case_folder import open_case_folder

        case = open_case_folder(folder)
        image_id, volume = case.image(image_id)
        self._case, self._refused = (case, image_id), ""
        return self._scene.show_anatomy(volume, case.structures_of(image_id))

    def _show_fused(self, asked: Any) -> None:
        """Show a second image as it is asked for (Fused), or none. What is refused is told with the picture."""
        from navplan.view.scene_fusion import fused_scene

        self._refused = ""
        if asked is None or self._case is None:
            self._scene.show_fused(None)
            return
        try:
            self._scene.show_fused(fused_scene(*self._case, asked, finest_mm=_PLANE_PIXEL_MM))
        except NavplanError as error:
            self._scene.show_fused(None)
            self._refused = str(error)

    def _told_of_second(self) -> dict[str, Any] | None:
        """What is to be written over the picture about a second image; None where there is none."""
        from navplan.view.fusion_writing import fused_told, refused_told

        fused = self._scene.fused
        if fused is None:
            return refused_told(self._refused) if self._refused else None
        return fused_told(replace(fused, target_mm=self._scene.target_mm))

    def _draw(self, camera: Any, size: tuple[int, int], moving: bool) -> tuple[bytes, tuple[str, ...], Any]:
        from PIL import Image

        file = io.BytesIO()
        picture = Image.fromarray(self._scene.picture(camera, size, moving))
        if moving:
            picture.save(file, "JPEG", quality=_QUALITY_MOVING)
        else:
            picture.save(file, "JPEG", quality=_QUALITY_STILL, subsampling="4:4:4")
        return file.getvalue(), self._scene.faded, self._told_of_second()
