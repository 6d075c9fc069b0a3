"""Placeholder until the scene's process is here."""

from __future__ import annotations

from aiohttp import web

from navplan.session.session import Session


class SceneViews:
    def __init__(self, session: Session) -> None:
        self.session = session

    def routes(self) -> list[web.RouteDef]:
        return []

    def show(self) -> None: ...

    def start(self) -> None: ...

    async def close(self) -> None: ...
