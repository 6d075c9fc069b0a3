"""Segmenters from the page: begin, stop, and how far the run is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from navplan.app.actions import arguments_of
from navplan.app.pictures import answered, as_json
from navplan.errors import InputError
from navplan.session.segmenting import Segmenting
from navplan.session.session import Session

PERIOD_S = 0.25


class SegmentRuns:
    """push: called with what the page is told; refresh: gives every page the document once the case has changed."""

    def __init__(
        self, session: Session, push: Callable[[dict[str, Any]], None], refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self.segmenting = Segmenting(session)
        self._push, self._refresh = push, refresh

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.post("/api/segment/start", answered(self.start)), web.post("/api/segment/stop", answered(self.stop)),
        ]  # fmt: skip

    async def start(self, request: web.Request) -> web.Response:
        """Begin: segmenter, and for one from seeds structure and seeds (LPS mm); who. The answer comes at once."""
        arguments = await arguments_of(request)
        unknown = set(arguments) - {"segmenter", "structure", "seeds", "who"}
        if unknown or "segmenter" not in arguments:
            raise InputError(f"arguments {sorted(arguments)!a:.80}", "segmenter, structure, seeds, who")
        await asyncio.to_thread(lambda: self.segmenting.start(**arguments))
        return as_json({})

    async def stop(self, request: web.Request) -> web.Response:
        """End the run; nothing is changed."""
        await asyncio.to_thread(self.segmenting.stop)
        return as_json({})

    async def tell(self) -> None:
        """Tell the pages, for ever: the document first, so that a run that is done is seen."""
        told: dict[str, Any] = self.segmenting.told()
        while True:
            await asyncio.sleep(PERIOD_S)
            now = self.segmenting.told()
            if now == told:
                continue
            if now["state"] == "done":
                await self._refresh()
            told = now
            self._push({"segmenting": told})

    async def close(self) -> None:
        """End whatever runs."""
        await asyncio.to_thread(self.segmenting.close)
