"""The page's server: trame carries the document to every open page, aiohttp the pictures and actions.

The page itself is one Vue component in navplan/app/page; nothing is fetched from elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from navplan.app.actions import Actions
from navplan.app.fluoro_shots import FluoroShots
from navplan.app.fusion_pictures import FusionPictures
from navplan.app.guard import Guard, Handler, guarded
from navplan.app.guide_stream import GuideStream
from navplan.app.interactive_actions import InteractiveActions
from navplan.app.memory import few_heaps
from navplan.app.pictures import Pictures, as_json
from navplan.app.real_shots import RealShotPictures
from navplan.app.rehearsal import RehearsalPages
from navplan.app.scene_views import SceneViews
from navplan.app.segment_runs import SegmentRuns
from navplan.errors import InputError
from navplan.extend import registry
from navplan.model.structure import Structure
from navplan.session.arrivals import Arrivals
from navplan.session.document import document
from navplan.session.interactive import OUTLINE, Interactive
from navplan.session.session import Session
from navplan.training.attempt import Attempt
from navplan.verbs.attempts import keep_attempt
from navplan.verbs.training import Rehearsal

PAGE = Path(__file__).with_name("page")
ATTEMPTS = "attempts"  # beside the case: what was rehearsed from its page

LEAVE_S = 0.3  # for the answer to reach the page before the server ends


class App:
    """One session on one port; 0 for a free one, and `port` is then that. token: "" for this machine alone. ready:
    called with the port that was taken.

    arrivals: the inbox that the page offers, if any. Once `run` came back, `next_case` is the folder of the case that
    the page asked for: a new session, a new app and a new scene serve it, so that nothing of one case is kept for the
    next. guard: of the app before, whose browsers go on.
    """

    def __init__(
        self, session: Session, host: str = "127.0.0.1", port: int = 0, token: str = "",
        ready: Callable[[int], None] = lambda port: None, arrivals: Arrivals | None = None, guard: Guard | None = None,
    ) -> None:  # fmt: skip
        self.session, self.host, self.port, self.token, self._ready = session, host, port, token, ready
        self.arrivals = arrivals
        self.next_case: Path | None = None
        self.guard = guard or Guard(token)
        self.actions = Actions(session, self._push)
        self.pictures = Pictures(session)
        self.fusion = FusionPictures(session)
        self.scene = SceneViews(session)
        self.guide = GuideStream(session, self.scene.without_findings, self.scene.show_again)
        self.shots = FluoroShots(session, self.actions.refresh, self.guide.guiding)
        self.real_shots = RealShotPictures(session, self.actions.told, self.actions.stopping)
        self.rehearsal = RehearsalPages(lambda: list(registry.scenarios().values()), self._kept_attempt)
        self.actions.more["register_shots"] = self.real_shots.register
        self.interactive = InteractiveActions(Interactive(session), self._push, self.actions.refresh)
        self.pictures.also_outlined = self._drawn
        self.segments = SegmentRuns(session, self._push, self.actions.refresh)
        self.actions.after.append(self.scene.show)
        self.actions.while_dragged.append(self.scene.follow)
        if arrivals is not None:
            self.actions.more |= {"import_arrived": arrivals.take_in, "open_arrived": self._open_arrived}
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve until interrupted."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until cancelled; the scene's process ends with it."""
        few_heaps()
        os.environ["TRAME_ARGS"] = "--server"  # trame would read the arguments of navplan's own command line
        os.environ["WSLINK_READY_MSG"] = ""
        from trame.app import get_server

        server = self._server = get_server(f"navplan-{id(self)}", client_type="vue3")
        from trame_client import module
        from trame_client.module import vue3

        server.enable_module(module)
        server.enable_module(
            {
                "serve": {"__navplan": str(PAGE)},
                "module_scripts": ["__navplan/page.js"],
                "styles": [f"__navplan/{one}.css" for one in ("style", "guide", "anatomy", "fusion", "shots")],
                "vue_use": ["navplanPage"],
            }
        )
        state = server.state
        state.trame__title = "navplan"
        state.trame__favicon = "__navplan/icon.svg"
        given = " ".join(f':{one}="{one}"' for one in ("doc", "progress", "inbox", "interactive", "segmenting"))
        page = f"<navplan-page {given}></navplan-page>"
        state.trame__template_main = page
        state.trame__template_error = page  # what was seen stays when the connection goes; the page says that it went
        state.trame__template_error_reconnect = page
        state.doc = await asyncio.to_thread(document, self.session)
        state.progress = {}
        state.segmenting = self.segments.segmenting.told()
        state.inbox = await asyncio.to_thread(self._inbox)
        state.interactive = await asyncio.to_thread(self.interactive.interactive.told)
        server.controller.on_server_bind.add(self._bound)
        server.controller.on_server_ready.add(lambda **_: self._begun(server.port))
        self._index = index_page(Path(vue3.www))
        started = server.start(
            port=self.port, host=self.host, exec_mode="coroutine", open_browser=False, show_connection_info=False,
            disable_logging=True, timeout=0, thread=threading.current_thread() is not threading.main_thread(),
        )  # fmt: skip
        self._loop = asyncio.get_running_loop()
        telling = (
            self._tell_progress(), self._tell_inbox(state.inbox), self.segments.tell(), self.interactive.keep_telling(),
        )  # fmt: skip
        told = [asyncio.create_task(one) for one in telling]
        try:
            await started
        finally:
            for one in told:
                one.cancel()
            self.guide.close()
            self.interactive.interactive.close()
            await self.segments.close()
            await self.scene.close()

    def _bound(self, wslink_server: Any) -> None:
        application: web.Application = wslink_server.app
        application.middlewares.append(guarded(self.guard))
        application.middlewares.append(of_case(self.session))
        application.add_routes([web.get("/", self._page), web.get("/index.html", self._page)])
        application.add_routes([web.get("/alive", self._alive), web.post("/paraview/", self._where)])
        parts = (
            self.pictures, self.fusion, self.shots, self.actions, self.scene, self.guide, self.segments,
            self.interactive, self.real_shots, self.rehearsal,
        )  # fmt: skip
        for part in parts:
            application.add_routes(part.routes())
        application.add_routes([web.route("*", "/api/{rest:.*}", unknown)])
        application.on_shutdown.append(self.guide.ended)
        self.scene.start()

    def _kept_attempt(self, ready: Rehearsal, attempt: Attempt) -> str:
        return str(keep_attempt(ready, attempt, self.session.folder / ATTEMPTS))

    def _begun(self, port: int) -> None:
        self.port = port
        self._ready(port)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._index, content_type="text/html")

    async def _alive(self, request: web.Request) -> web.Response:
        """That the server lives, and with which case."""
        return web.json_response({"alive": True, "case": self.session.key})

    async def _where(self, request: web.Request) -> web.Response:
        """Where trame's socket is: what its client asks first."""
        scheme = "wss" if request.secure else "ws"
        return web.json_response({"sessionURL": f"{scheme}://{request.host}/ws", "id": "navplan"})

    def _push(self, changes: dict[str, Any]) -> None:
        with self._server.state as state:
            for key, value in changes.items():
                state[key] = value

    def _drawn(self, image_id: str) -> dict[str, Structure]:
        """What is being drawn in an image and not accepted yet."""
        found = self.interactive.interactive.structure(image_id)
        return {} if found is None else {OUTLINE: found}

    async def _tell_progress(self) -> None:
        """Long work tells how far it is, four times a second."""
        told: dict[str, Any] = {}
        while True:
            await asyncio.sleep(0.25)
            if self.actions.progress != told:
                told = dict(self.actions.progress)
                self._push({"progress": told})

    def _inbox(self) -> list[dict[str, Any]] | None:
        return None if self.arrivals is None else self.arrivals.told()

    async def _tell_inbox(self, told: list[dict[str, Any]] | None) -> None:
        """What arrived, once a second where it changed."""
        while self.arrivals is not None:
            await asyncio.sleep(1.0)
            found = await asyncio.to_thread(self._inbox)
            if found != told:
                told = found
                self._push({"inbox": told})

    def _open_arrived(self, study: Any, series: Any = "") -> dict[str, str]:
        """Import into a new case, and serve that one from then on."""
        if self.arrivals is None or self._loop is None:
            raise InputError("a study to open, and no inbox", "navplan serve CASE --inbox DIR")
        if self.guide.guiding.running:
            raise InputError("another case while guidance runs", "guidance that was stopped", "Stop it first")
        self.next_case = self.arrivals.take_as_new(study, series)
        self._loop.call_soon_threadsafe(self._loop.call_later, LEAVE_S, self._leave)
        return {"opened": self.next_case.name}

    def _leave(self) -> None:
        self.actions.stop_work()
        self._leaving = asyncio.get_running_loop().create_task(self._server.stop())


def of_case(session: Session) -> Any:
    """The middleware that refuses whatever a page asks for that still shows the case before: nothing of one patient is
    drawn, or done, in a page of another."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("X-Navplan-Case", session.key) != session.key:
            return as_json({"error": "Another case is served here now: load the page again."}, 409)
        return await handler(request)

    return middleware


async def unknown(request: web.Request) -> web.Response:
    """What is asked of the page's server and not there, or not by this method."""
    return as_json({"error": f"Nothing answers {request.method[:20]} {request.path[:100]!a}."}, 404)


def index_page(www: Path) -> str:
    """trame's first page with navplan's own head and first sight; its assets are named after their content."""
    assets = re.findall(r'(?:src|href)="\./(assets/[\w.-]+)"', (www / "index.html").read_text(encoding="utf-8"))
    scripts = "".join(f'<script type="module" src="./{name}"></script>' for name in assets if name.endswith(".js"))
    styles = "".join(f'<link rel="stylesheet" href="./{name}">' for name in assets if name.endswith(".css"))
    words = json.loads((PAGE / "words.json").read_text(encoding="utf-8"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><base href=".">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="__navplan/icon.svg"><title>navplan</title>'
        f'<script src="vue.global.js"></script>{scripts}{styles}'
        '<link rel="stylesheet" href="__navplan/style.css"></head>'
        f'<body><div id="app"><main class="np-first"><h1>navplan</h1><p>{words["loading"]}</p></main></div>'
        "</body></html>"
    )
