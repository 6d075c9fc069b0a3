"""A server of the learner's page alone: no case, no trame; what `navplan train` opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from navplan.app.guard import Guard, guarded
from navplan.app.memory import few_heaps
from navplan.app.rehearsal import PAGE, RehearsalPages
from navplan.app.server import unknown
from navplan.model.scenario import Scenario


class RehearsalApp:
    """On one port; 0 for a free one, and `port` is then that. token: "" for this machine alone; ready: called with the
    port that was taken; first: the scenario that is begun at once, with a seed and a difficulty."""

    def __init__(
        self, pages: RehearsalPages, host: str = "127.0.0.1", port: int = 0, token: str = "",
        ready: Callable[[int], None] = lambda port: None, first: Scenario | None = None, seed: int = 0,
        difficulty: str = "",
    ) -> None:  # fmt: skip
        self.pages, self.host, self.port, self._ready = pages, host, port, ready
        self.guard = Guard(token)
        self._first, self._seed, self._difficulty = first, seed, difficulty

    def run(self) -> None:
        """Serve until interrupted."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until cancelled."""
        few_heaps()
        application = web.Application(middlewares=[guarded(self.guard)])
        application.add_routes([web.get("/", _to_page), *self.pages.routes(), web.static("/__navplan", PAGE)])
        application.add_routes([web.route("*", "/api/{rest:.*}", unknown)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port)
            await site.start()
            self.port = int(runner.addresses[0][1])
            if self._first is not None:
                self.pages.make(self._first, self._seed, self._difficulty)
            self._ready(self.port)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


async def _to_page(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/rehearsal")
