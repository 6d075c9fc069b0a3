"""Real fluoroscopic pictures for the page: taken in as files, shown with the CT behind them, registered."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from navplan.app.actions import arguments_of
from navplan.app.guard import LARGEST_PICTURE_BYTES
from navplan.app.packing import packed_real
from navplan.app.pictures import answered, as_json, binary, numbers
from navplan.errors import InputError
from navplan.files.durable import file_stem
from navplan.session.real_shots import RealShots
from navplan.session.session import Session

Progress = Callable[[str, float], None]


class RealShotPictures:
    """Handlers of one session's pictures. progress, stopping: of long actions (`Actions`)."""

    def __init__(self, session: Session, progress: Progress, stopping: Callable[[], bool]) -> None:
        self.shots = RealShots(session)
        self._progress, self._stopping = progress, stopping
        self._files = tempfile.TemporaryDirectory(prefix="navplan-shots-")
        self._count = 0

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/api/shots", answered(self.told)), web.post("/api/shots/load", answered(self.load)),
            web.post("/api/shots/choose", answered(self.choose)), web.post("/api/shots/remove", answered(self.remove)),
            web.get("/api/shots/picture", answered(self.picture)), web.post("/api/shots/tip", answered(self.tip)),
        ]  # fmt: skip

    def register(self, shift: Any = None, turn: Any = None) -> dict[str, Any]:
        """The action "register_shots"."""
        return self.shots.register(shift, turn, progress=self._progress, cancelled=self._stopping)

    async def told(self, request: web.Request) -> web.Response:
        """What is loaded, and what was found."""
        return as_json(await asyncio.to_thread(self.shots.told))

    async def load(self, request: web.Request) -> web.Response:
        """A file, as the body: name, for people. Kept until the server ends, in a folder of its own."""
        self._count += 1
        folder = Path(self._files.name) / str(self._count)
        folder.mkdir()
        path, size = folder / file_stem(request.query.get("name", "")[:80]), 0
        with path.open("wb") as file:
            while part := await request.content.readany():
                size += len(part)
                if size > LARGEST_PICTURE_BYTES:
                    raise InputError(
                        f"a file of more than {LARGEST_PICTURE_BYTES // 1_000_000} MB", "a run that is shorter",
                        "Use navplan register-shots, which reads it where it is",
                    )  # fmt: skip
                file.write(part)
        try:
            await asyncio.to_thread(self.shots.load, path)
        except BaseException:
            path.unlink()
            raise
        return await self.told(request)

    async def choose(self, request: web.Request) -> web.Response:
        """Another picture of a run: number (of the shot, from 0), picture (from 1)."""
        given = await arguments_of(request)
        await asyncio.to_thread(self.shots.choose, given.get("number"), given.get("picture"))
        return await self.told(request)

    async def remove(self, request: web.Request) -> web.Response:
        """Take a shot away: number."""
        await asyncio.to_thread(self.shots.remove, (await arguments_of(request)).get("number"))
        return await self.told(request)

    async def tip(self, request: web.Request) -> web.Response:
        """The tip as marked: marks, [[row, column], [row, column]]."""
        marks = (await arguments_of(request)).get("marks")
        return as_json(await asyncio.to_thread(self.shots.tip, marks))

    async def picture(self, request: web.Request) -> web.Response:
        """A shot: number, shift and turn (x,y,z) of a start or found=1, moving=1 for a coarse one."""
        query = request.query
        number = int(numbers(query.get("number", "0"), 1)[0])
        shift, turn = (list(numbers(query.get(key, "0,0,0"), 3)) for key in ("shift", "turn"))
        flags = query.get("found") == "1", query.get("moving") == "1"
        one = await asyncio.to_thread(self.shots.picture, number, shift, turn, *flags)
        layers = np.concatenate([one.grey, one.ct, one.edges])
        return binary(packed_real(one, layers, found=flags[0], moving=flags[1]))
