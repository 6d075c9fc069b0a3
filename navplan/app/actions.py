"""What a person does, as requests: each is one call of the session; then every open page gets the new document."""

from __future__ import annotations

import asyncio
import inspect
import json
import tempfile
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from navplan.app.pictures import answered, as_json
from navplan.errors import Cancelled, InputError
from navplan.model.draft import Point
from navplan.model.plan import SkinMap
from navplan.session.asked import point_of
from navplan.session.document import document, way_document
from navplan.session.editing import edit, redo_edit, undo_edit
from navplan.session.fusion import carry_structures, register_images
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.verbs.situation import now

LARGEST_BODY_BYTES = 1_000_000
_STOPPED: ContextVar[threading.Event] = ContextVar("stopped")  # of the action that this thread or task works at
PAGES = ("report.html", "report.pdf", "freehand-card.html", "freehand-card.pdf")


class Actions:
    """Handlers of the actions of one session. push: called with the new document; after: called before that, in a
    thread; while_dragged: called with the way, and the skin's map, that a drag would lead to."""

    def __init__(self, session: Session, push: Callable[[dict[str, Any]], None]) -> None:
        self.session, self._push = session, push
        self._at_work: set[threading.Event] = set()  # of each action that is not done, to be set where it is to stop
        self.progress: dict[str, Any] = {}
        self._pages = tempfile.TemporaryDirectory(prefix="navplan-")
        self._made_pages: dict[tuple[str, str], Path] = {}
        self.after: list[Callable[[], None]] = []
        self.more: dict[str, Callable[..., Any]] = {}  # actions of other parts, by name
        self.while_dragged: list[Callable[[Shown, SkinMap | None], None]] = []

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.post("/api/act/{name}", answered(self.act)), web.post("/api/live", answered(self.live)),
            web.post("/api/why", answered(self.why)), web.post("/api/compare", answered(self.compare)),
            web.get("/api/document", answered(self.whole)), web.get("/api/page/{key}/{name}", answered(self.page)),
        ]  # fmt: skip

    async def whole(self, request: web.Request) -> web.Response:
        """The document as it is now."""
        return as_json(await asyncio.to_thread(document, self.session))

    async def act(self, request: web.Request) -> web.Response:
        """One action by its name, with its arguments as JSON; the answer says what else a page should know."""
        arguments = await arguments_of(request)
        name = request.match_info["name"]
        if name == "cancel":
            self.stop_work()
            return as_json({})
        known: dict[str, Callable[..., Any]] = {
            "choose": self.session.choose, "aim_at": self._aim_at, "plan": self._plan,
            "take_way": self.session.take_way, "move": self._move, "put_back": self.session.put_back,
            "keep_moved": self._keep_moved,
            "approve": self._approve, "withdraw": self.session.withdraw, "remark": self.session.remark,
            "state_absent": self.session.state_absent, "looks": self.session.look,
            "undo": self.session.undo, "redo": self.session.redo,
            "reload": self.session.reload, "report": self._report, "card": self._card,
            "edit": partial(edit, self.session), "undo_edit": partial(undo_edit, self.session),
            "redo_edit": partial(redo_edit, self.session), "carry": self._carry, "register": self._register,
            **self.more,
        }  # fmt: skip
        if name not in known:
            raise InputError(f"action {name[:60]!a}", ", ".join(sorted(known)))
        action = bound(known[name], arguments)
        stopped = threading.Event()
        self._at_work.add(stopped)
        _STOPPED.set(stopped)
        try:
            result = await asyncio.to_thread(action)
        finally:
            self._at_work.discard(stopped)
            if not self._at_work:
                self.progress = {}
            await self.refresh()
        return as_json(result if isinstance(result, dict) else {})

    def stop_work(self) -> None:
        """Have every long action stop, with nothing changed."""
        for work in self._at_work:
            work.set()

    async def refresh(self) -> None:
        """Give every page the document as it is now."""
        made = await asyncio.to_thread(document, self.session)
        for call in self.after:
            await asyncio.to_thread(call)
        self._push({"doc": made, "progress": self.progress})

    async def live(self, request: web.Request) -> web.Response:
        """The way while its entry or aim is dragged; nothing is changed."""
        arguments = await arguments_of(request)
        entry, aim = (point_of(arguments.get(key)) for key in ("entry", "aim"))
        return as_json(await asyncio.to_thread(self._live, entry, aim))

    def _live(self, entry: Point | None, aim: Point | None) -> dict[str, Any]:
        found = self.session.live(entry, aim)
        for call in self.while_dragged:
            call(found, self.session.provisional_map(found) if aim is not None else None)
        return way_document(found)

    async def why(self, request: web.Request) -> web.Response:
        """What stands against an entry on the skin."""
        entry = point_of((await arguments_of(request)).get("entry"))
        if entry is None:
            raise InputError("no entry", "LPS mm of a point on the skin")
        return as_json(await asyncio.to_thread(self.session.why_not, entry))

    async def compare(self, request: web.Request) -> web.Response:
        """Two ways side by side."""
        arguments = await arguments_of(request)
        return as_json(await asyncio.to_thread(self.session.compare, arguments.get("a"), arguments.get("b")))

    async def page(self, request: web.Request) -> web.StreamResponse:
        """A report or card that was made before."""
        made = self._made_pages.get((request.match_info["key"], request.match_info["name"]))
        if made is None:
            raise web.HTTPNotFound()
        return web.FileResponse(made)

    def stopping(self) -> bool:
        """Whether the action that this thread works at is to stop."""
        stopped = _STOPPED.get(None)
        return stopped is not None and stopped.is_set()

    def told(self, words: str, share: float) -> None:
        """How far the action of this thread is. Raises Cancelled where it is to stop."""
        if self.stopping():
            raise Cancelled("stopped; nothing was changed")
        self.progress = {"words": words, "share": share}

    def _plan(self) -> None:
        self.session.plan(self.told)

    def _carry(self, moving: Any, fixed: Any, structures: Any = ()) -> dict[str, Any]:
        return carry_structures(self.session, moving, fixed, structures, progress=self.told)

    def _register(self, fixed: Any, moving: Any, kind: Any = "rigid", structure: Any = "") -> None:
        register_images(self.session, fixed, moving, kind, structure, progress=self.told)

    def _aim_at(self, point: Any) -> None:
        found = point_of(point)
        if found is None:
            raise InputError("no point to aim at", "LPS mm")
        self.session.aim_at(found)

    def _move(self, entry: Any = None, aim: Any = None) -> None:
        self.session.move(point_of(entry), point_of(aim))

    def _keep_moved(self) -> dict[str, str]:
        return {"plan": self.session.keep_moved().id}

    def _approve(self, seen: Any, who: Any, reason: Any = "", acknowledge: Any = ()) -> None:
        """What was before the eyes of whoever approves is approved, or nothing."""
        with self.session.lock:
            self.session.as_seen(seen)
            self.session.approve(who, reason, acknowledge)

    def _report(self, seen: Any) -> dict[str, Any]:
        return self._made(seen, card_only=False)

    def _card(self, seen: Any) -> dict[str, Any]:
        return self._made(seen, card_only=True)

    def _made(self, seen: Any, card_only: bool) -> dict[str, Any]:
        """A report or card of the way that is looked at, to be opened by the page."""
        from secrets import token_hex

        self.session.as_seen(seen)
        key = token_hex(8)
        folder = Path(self._pages.name) / key
        made = self.session.report(folder, card_only, self.told)
        pages = [path for path in made.paths if path.name in PAGES]
        self._made_pages.update({(key, path.name): path for path in pages})
        return {"key": key, "pages": [path.name for path in pages], "notes": made.notes, "when": now()}


def bound(action: Callable[..., Any], arguments: dict[str, Any]) -> Callable[[], Any]:
    """The call of an action. Raises InputError for arguments that it does not have, or lacks."""
    try:
        given = inspect.signature(action).bind(**arguments)
    except TypeError as error:
        had = ", ".join(sorted(arguments))[:200] or "none"
        raise InputError(f"arguments {had!a}: {str(error)[:200]!a}", "those of the action") from error
    return lambda: action(*given.args, **given.kwargs)


async def arguments_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises InputError for anything else."""
    body = b""
    while len(body) <= LARGEST_BODY_BYTES and (part := await request.content.readany()):
        body += part
    try:
        found = json.loads(body or b"{}") if len(body) <= LARGEST_BODY_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError("a request that is no JSON object", "the page's own requests")
    return found
