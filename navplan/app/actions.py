"""What a person does, as requests: each is one call of the session; then every open page gets the new document."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from navplan.app.pictures import answered
from navplan.errors import Cancelled, InputError
from navplan.model.draft import Point
from navplan.model.plan import SkinMap
from navplan.session.document import document, way_document
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.verbs.situation import now

PAGES = ("report.html", "report.pdf", "freehand-card.html", "freehand-card.pdf")


class Actions:
    """Handlers of the actions of one session. push: called with the new document; tell_scene: after what it shows."""

    def __init__(self, session: Session, push: Callable[[dict[str, Any]], None]) -> None:
        self.session, self._push = session, push
        self._cancel = threading.Event()
        self.progress: dict[str, Any] = {}
        self._pages = tempfile.TemporaryDirectory(prefix="navplan-")
        self.after: list[Callable[[], None]] = []
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
        return web.json_response(await asyncio.to_thread(document, self.session))

    async def act(self, request: web.Request) -> web.Response:
        """One action by its name, with its arguments as JSON; the answer says what else a page should know."""
        arguments = await arguments_of(request)
        name = request.match_info["name"]
        if name == "cancel":
            self._cancel.set()
            return web.json_response({})
        known: dict[str, Callable[..., Any]] = {
            "choose": self.session.choose, "aim_at": self._aim_at, "plan": self._plan,
            "take_way": self.session.take_way, "move": self._move, "put_back": self.session.put_back,
            "keep_moved": self._keep_moved,
            "approve": self.session.approve, "withdraw": self.session.withdraw, "remark": self.session.remark,
            "state_absent": self.session.state_absent, "looks": self.session.look,
            "undo": self.session.undo, "redo": self.session.redo,
            "reload": self.session.reload, "report": self._report, "card": self._card,
        }  # fmt: skip
        if name not in known:
            raise InputError(f"action {name!r}", ", ".join(sorted(known)))
        self._cancel.clear()
        try:
            result = await asyncio.to_thread(_called, known[name], arguments)
        finally:
            self.progress = {}
            await self.refresh()
        return web.json_response(result if isinstance(result, dict) else {})

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
        return web.json_response(await asyncio.to_thread(self._live, entry, aim))

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
        return web.json_response(await asyncio.to_thread(self.session.why_not, entry))

    async def compare(self, request: web.Request) -> web.Response:
        """Two ways side by side."""
        arguments = await arguments_of(request)
        return web.json_response(await asyncio.to_thread(self.session.compare, arguments.get("a"), arguments.get("b")))

    async def page(self, request: web.Request) -> web.StreamResponse:
        """A report or card that was made before."""
        key, name = request.match_info["key"], request.match_info["name"]
        folder = Path(self._pages.name) / key
        if not key.isalnum() or name not in PAGES or not (folder / name).is_file():
            raise web.HTTPNotFound()
        return web.FileResponse(folder / name)

    def _told(self, words: str, share: float) -> None:
        """From the working thread."""
        if self._cancel.is_set():
            raise Cancelled("stopped; nothing was changed")
        self.progress = {"words": words, "share": share}

    def _plan(self) -> None:
        self.session.plan(self._told)

    def _aim_at(self, point: Any) -> None:
        found = point_of(point)
        if found is None:
            raise InputError("no point to aim at", "LPS mm")
        self.session.aim_at(found)

    def _move(self, entry: Any = None, aim: Any = None) -> None:
        self.session.move(point_of(entry), point_of(aim))

    def _keep_moved(self) -> dict[str, str]:
        return {"plan": self.session.keep_moved().id}

    def _report(self) -> dict[str, Any]:
        return self._made(card_only=False)

    def _card(self) -> dict[str, Any]:
        return self._made(card_only=True)

    def _made(self, card_only: bool) -> dict[str, Any]:
        """A report or card of the way that is looked at, to be opened by the page."""
        from secrets import token_hex

        key = token_hex(8)
        folder = Path(self._pages.name) / key
        made = self.session.report(folder, card_only, self._told)
        return {"key": key, "pages": [path.name for path in made.paths if path.name in PAGES], "notes": made.notes,
                "when": now()}  # fmt: skip


def _called(action: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return action(**arguments)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InputError(f"arguments {sorted(arguments)}", "those of the action") from error


async def arguments_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises InputError for anything else."""
    body = await request.content.read(1_000_001)
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or len(body) > 1_000_000:
        raise InputError("a request that is no JSON object", "the page's own requests")
    return found


def point_of(value: Any) -> Point | None:
    """Three numbers, or None where nothing was given. Raises InputError for anything else."""
    if value is None:
        return None
    numbers = [float(part) for part in value] if _is_point(value) else []
    if len(numbers) != 3:
        raise InputError(f"a point {str(value)[:60]}", "three finite LPS coordinates in mm")
    return numbers[0], numbers[1], numbers[2]


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(part, int | float) and not isinstance(part, bool) and abs(part) < 1e6 for part in value
    )
