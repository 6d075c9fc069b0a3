"""A structure drawn by prompts, for the pages: requests that return at once, and what it is at told to every page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from navplan.app.actions import arguments_of, bound
from navplan.app.pictures import answered, as_json
from navplan.errors import InputError
from navplan.session.interactive import Interactive

TOLD_S = 0.2  # between two looks at how far it is


class InteractiveActions:
    """Handlers of the drawing of one session. push: called with what changed for the pages; changed: awaited once the
    case has a new structure."""

    def __init__(
        self, interactive: Interactive, push: Callable[[dict[str, Any]], None], changed: Callable[[], Awaitable[None]]
    ) -> None:
        self.interactive, self._push, self._changed = interactive, push, changed
        self._told: dict[str, Any] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [web.post("/api/interactive/{name}", answered(self.act))]

    async def act(self, request: web.Request) -> web.Response:
        """One action by its name, with its arguments as JSON; the answer is what `Interactive.told` says then."""
        arguments = await arguments_of(request)
        name, drawing = request.match_info["name"], self.interactive
        known: dict[str, Callable[..., None]] = {
            "begin": drawing.begin, "prompt": drawing.prompt, "undo": drawing.undo, "reset": drawing.reset,
            "stop": drawing.stop, "accept": drawing.accept, "cancel": drawing.cancel,
        }  # fmt: skip
        if name not in known:
            raise InputError(f"action {name[:60]!a}", ", ".join(sorted(known)))
        await asyncio.to_thread(bound(known[name], arguments))
        if name == "accept":
            await self._changed()
        return as_json(await self.tell())

    async def tell(self) -> dict[str, Any]:
        """Give every page what is new."""
        told = await asyncio.to_thread(self.interactive.told)
        if told != self._told:
            self._told = told
            self._push({"interactive": told})
        return told

    async def keep_telling(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TOLD_S)
            await self.tell()
