"""Live guidance for the pages: started and stopped by requests, its frames pushed as server-sent events.

To each page goes the newest frame, once the one before is written: a page that is slow gets fewer, not older ones.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from navplan.app.actions import arguments_of
from navplan.app.guard import HEADERS
from navplan.app.packing import packed
from navplan.app.pictures import answered, as_json, binary, numbers
from navplan.errors import InputError
from navplan.navigation.frames import PoseError
from navplan.session.asked import length_of, text_of
from navplan.session.guiding import RECORDED, SIMULATED, Guiding
from navplan.session.session import Session
from navplan.view.plane_values import plane_outlines, plane_values
from navplan.view.slices import needle_planes

PLANES = ("along", "square", "across")
PLANE_PX, ACROSS_MM, ALONG_MM = 300, 80.0, 110.0
MOST_BESIDE = 20
IDLE_S = 1.0  # between two words that nothing runs
LARGEST_TEXT = 500_000  # letters of a file that a page sends
QUEUED_BYTES = 16_384  # of frames that wait in a line: four or so


class GuideStream:
    """Handlers of the guidance of one session. begun, over: called in a thread when it starts and when it was
    stopped."""

    def __init__(
        self, session: Session, begun: Callable[[], None] = lambda: None, over: Callable[[], None] = lambda: None
    ) -> None:
        self.guiding, self._begun, self._over = Guiding(session), begun, over
        self._lines: set[asyncio.Event] = set()  # of each page that listens: something new is there
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.guiding.listeners.append(self._wake)

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.post("/api/guide/start", answered(self.start)), web.post("/api/guide/stop", answered(self.stop)),
            web.post("/api/guide/wish", answered(self.wish)), web.post("/api/guide/touch", answered(self.touch)),
            web.post("/api/guide/lead", answered(self.lead)),
            web.post("/api/guide/breath", answered(self.breath)), web.get("/api/guide/plane", answered(self.plane)),
            web.get("/api/guide/trackers", answered(self.trackers)),
            web.get("/api/guide/frames", answered(self.frames)),
        ]  # fmt: skip

    def close(self) -> None:
        """End guidance, and every page's line."""
        self._ended = True
        self.guiding.stop()
        self._wake()

    async def ended(self, application: web.Application) -> None:
        """The server is about to end: it waits for every line."""
        self._ended = True
        self._tell_lines()

    def _tell_lines(self) -> None:
        for line in self._lines:
            line.set()

    def _wake(self) -> None:
        """From the thread that steps."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell_lines)

    async def trackers(self, request: web.Request) -> web.Response:
        """The trackers that are installed."""
        from navplan.extend import registry

        known = dict.fromkeys((SIMULATED, *registry.names(registry.TRACKERS)))
        return as_json({"trackers": [name for name in known if name != RECORDED]})

    async def start(self, request: web.Request) -> web.Response:
        """Follow the way that is looked at: tracker and address; of a tracker that is real also the names of tool and
        reference as it has them, or what `navplan calibrate` wrote of both (tool_toml, registration_json), and the
        error of one of its poses (error_mm, error_deg). beside: ids of plans whose needles are placed already; record:
        true to keep all of it in the case's folder."""
        asked = await arguments_of(request)
        beside, record = asked.get("beside", []), asked.get("record", False)
        if not isinstance(beside, list) or len(beside) > MOST_BESIDE or not isinstance(record, bool):
            raise InputError(f"beside {str(beside)[:40]!a}, record {str(record)[:40]!a}", "ids of plans; true or false")
        of_plans = tuple(text_of(one, "beside", 200) for one in beside)
        words = {key: text_of(asked.get(key, ""), key, 200) for key in ("tracker", "address", "tool", "reference")}
        known = await asyncio.to_thread(self._known, asked, words)
        await asyncio.to_thread(self.guiding.start, words["tracker"] or SIMULATED, words["address"],
                                beside=of_plans, record=record, **known)  # fmt: skip
        await asyncio.to_thread(self._begun)
        return as_json(self.guiding.latest()[1])

    def _known(self, asked: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
        """What guidance is told of tool, patient and tracker; what is left out is not known."""
        from navplan.files.calibration_files import read_tool
        from navplan.verbs.navigate import registration_of

        known: dict[str, Any] = {"tool_name": words["tool"]}
        if words["reference"]:
            known["reference"] = words["reference"]
        if asked.get("error_mm") is not None:
            known["tracker_error"] = PoseError(
                length_of(asked["error_mm"], "the tracker's error"), length_of(asked.get("error_deg"), "its turn's")
            )
        shown = self.guiding.session.shown()
        with tempfile.TemporaryDirectory(prefix="navplan-") as kept:
            if asked.get("tool_toml"):
                known["tool"] = read_tool(_kept(kept, "tool.toml", asked["tool_toml"]), time.monotonic())
            if asked.get("registration_json") and shown is not None:
                path = _kept(kept, "registration.json", asked["registration_json"])
                known["registration"] = registration_of(path, shown.way, time.monotonic())
                known["reference"] = known["registration"].transform.source
        return known

    async def stop(self, request: web.Request) -> web.Response:
        """End it."""
        await asyncio.to_thread(self.guiding.stop)
        await asyncio.to_thread(self._over)
        return as_json({"running": False})

    async def wish(self, request: web.Request) -> web.Response:
        """Move a rehearsal's needle: depth_mm, aside_mm and tilt_deg (two each), seen. Gives the frame's number."""
        asked = await arguments_of(request)
        changes: dict[str, Any] = {}
        if "depth_mm" in asked:
            changes["depth_mm"] = length_of(asked["depth_mm"], "a depth")
        for key in ("aside_mm", "tilt_deg"):
            if key in asked:
                pair = asked[key]
                if not isinstance(pair, list) or len(pair) != 2:
                    raise InputError(f"{key} {str(pair)[:40]!a}", "two numbers")
                changes[key] = (length_of(pair[0], key), length_of(pair[1], key))
        if "seen" in asked:
            if not isinstance(asked["seen"], bool):
                raise InputError(f"seen {str(asked['seen'])[:40]!a}", "true or false")
            changes["seen"] = asked["seen"]
        self.guiding.wish(**changes)
        return as_json({"frame": self.guiding.latest()[0]})

    async def lead(self, request: web.Request) -> web.Response:
        """The tip is being led to a checkpoint, by its name; "": no longer. Meanwhile nothing tells where it is."""
        name = text_of((await arguments_of(request)).get("name", ""), "name", 200)
        await asyncio.to_thread(self.guiding.lead_to, name)
        return as_json({})

    async def touch(self, request: web.Request) -> web.Response:
        """Where the tip is now is that checkpoint."""
        name = text_of((await arguments_of(request)).get("name", ""), "name", 200)
        await asyncio.to_thread(self.guiding.touch, name)
        return as_json({})

    async def breath(self, request: web.Request) -> web.Response:
        """The patient breathes as in the image, says who."""
        who = text_of((await arguments_of(request)).get("who", ""), "who", 200)
        await asyncio.to_thread(self.guiding.breathe, who)
        return as_json({})

    async def frames(self, request: web.Request) -> web.StreamResponse:
        """The frames, until the page goes or the server ends; while nothing runs, that nothing does."""
        self._loop = asyncio.get_running_loop()
        line = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        news = asyncio.Event()
        self._lines.add(news)
        try:
            await line.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=QUEUED_BYTES)
            sent = -1
            while not self._ended:
                news.clear()
                number, told = self.guiding.latest()
                if number != sent or not told["running"]:
                    sent = number
                    now = {**told, "sent_ms": round(1000 * time.monotonic())}
                    await line.write(f"data: {json.dumps(now, allow_nan=False)}\n\n".encode())
                try:
                    await asyncio.wait_for(news.wait(), IDLE_S)
                except TimeoutError:
                    continue
        except (ConnectionError, OSError):
            pass  # the page went
        finally:
            self._lines.discard(news)
        return line

    async def plane(self, request: web.Request) -> web.Response:
        """A plane of the tracked needle as it lies now: kind, shape (width / height of its place). 204 where the needle
        is not known to lie."""
        kind = request.query.get("kind", "")
        if kind not in PLANES:
            raise InputError(f"plane {kind[:40]!a}", ", ".join(PLANES))
        shape = min(max(numbers(request.query.get("shape", "1"), 1)[0], 0.25), 4.0)
        return await asyncio.to_thread(self._plane, kind, shape)

    def _plane(self, kind: str, shape: float) -> web.Response:
        found = self.guiding.tracked()
        if found is None:
            return web.Response(status=204)
        plane, way = needle_planes(found.line, found.depth_mm)[PLANES.index(kind)], found.planned.way
        least_mm = ACROSS_MM if kind == "across" else max(ALONG_MM, 1.35 * way.depth_mm)
        size = round(PLANE_PX * max(shape, 1.0)), round(PLANE_PX * max(1.0 / shape, 1.0))
        here = found.planned.situation
        values = plane_values(here.image, plane, size, least_mm / PLANE_PX)
        return binary(packed(values, plane_outlines(values, here.structures), frame=found.number))


def _kept(folder: str, name: str, text: Any) -> Path:
    """The text of a file that was chosen in the page, as a file."""
    path = Path(folder) / name
    path.write_text(text_of(text, name, LARGEST_TEXT), encoding="utf-8")
    return path
