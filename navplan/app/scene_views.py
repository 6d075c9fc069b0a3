"""The 3-D scene of a session for its pages: what is told to the scene's process, and what a page asks of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
from aiohttp import web

from navplan.app.actions import arguments_of
from navplan.app.pictures import answered, numbers
from navplan.app.scene_process import SceneProcess, Superseded
from navplan.errors import InputError
from navplan.fluoroscopy.carms import carms
from navplan.geometry.carm import Beam, Detector, ViewAngles
from navplan.model.plan import SkinMap
from navplan.session.asked import length_of, point_of, text_of
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.view.camera import Camera
from navplan.view.colours import spoken, spoken_words
from navplan.view.scene_fusion import Fused

HELD_S = 6.0  # a page that drags tells so every two seconds
_DETECTOR = Detector(3, 3, 100.0)  # a panel 300 mm wide


class SceneViews:
    """Handlers of the scene. Nothing is drawn of a case or a way that the session no longer has."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._process: SceneProcess | None = None
        self._told: dict[str, Any] = {}
        self._fused: tuple[str, Fused] | None = None  # what a page asked for last, over the image that was looked at
        self._loop: asyncio.AbstractEventLoop | None = None
        self._put_back: asyncio.TimerHandle | None = None

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/api/scene", answered(self.picture)), web.post("/api/pick", answered(self.pick)),
            web.post("/api/drop", answered(self.drop)), web.post("/api/carm", answered(self.carm)),
            web.post("/api/cursor", answered(self.cursor)), web.post("/api/fused", answered(self.fused)),
        ]  # fmt: skip

    def start(self) -> None:
        """Start the process, and have it open the case."""
        self._process, self._loop = SceneProcess(), asyncio.get_running_loop()
        self._loop.run_in_executor(None, self.show)

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await asyncio.to_thread(self._process.close)

    def show(self) -> None:
        """Have the scene show what the session shows now."""
        session, process = self.session, self._process
        if process is None:
            return
        with session.lock:
            if not session.case.volumes:
                return
            image_id, volume = session.image()
            digests = tuple(sorted((name, s.digest) for name, s in session.case.structures_of(image_id).items()))
            try:
                shown = session.shown()
            except InputError:
                shown = None
            looks = (tuple(session.hidden), tuple(sorted(session.colours.items())))
        if self._is_new("case", (volume.digest, digests)):
            self._told = {"case": self._told["case"]}
            process.tell("open_case", str(session.folder), image_id)
            if self._fused is not None and self._fused[0] == image_id:
                process.tell("show_fused", self._fused[1])
        if self._is_new("looks", looks):
            process.tell("set_hidden", list(looks[0]))
            process.tell("set_colours", dict(looks[1]))
        if self._is_new("way", shown):
            if shown is None:
                process.tell("show_way", None)
            else:
                process.tell("show_way", shown.plan, shown.ranked)

    def follow(self, shown: Shown, skin_map: SkinMap | None = None) -> None:
        """While a person drags: the way as it would be, and the skin as it may be judged then. A drag that is heard of
        no more, because its page was closed, is put back: the picture is of the session's way, not of a hand's."""
        if self._process is not None:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._wait_for_more)
            self._told.pop("way", None)
            self._process.tell("show_way", replace(shown.plan, skin_map=None, trajectories=()), shown.ranked, True)
            if skin_map is not None:
                self._process.tell("paint_skin_map", skin_map)

    def without_findings(self) -> None:
        """The planned way without the lines to what lay nearest to it: what is nearest to a tracked needle is another
        thing, and told elsewhere."""
        shown = self.session.shown()
        if self._process is not None and shown is not None:
            self._process.tell("move_needle", shown.way.entry_mm, shown.way.target_mm)

    def show_again(self) -> None:
        """The way with all that was found of it."""
        self._told.pop("way", None)
        self.show()

    def _wait_for_more(self) -> None:
        if self._put_back is not None:
            self._put_back.cancel()
        loop = asyncio.get_running_loop()
        self._put_back = loop.call_later(HELD_S, lambda: loop.run_in_executor(None, self.show))

    def _is_new(self, what: str, value: Any) -> bool:
        new = what not in self._told or self._told[what] != value
        self._told[what] = value
        return new

    def _running(self) -> SceneProcess:
        if self._process is None:
            raise InputError("a scene before its process runs", "a moment's patience")
        return self._process

    async def picture(self, request: web.Request) -> web.Response:
        """The scene as JPEG: width, height (px), moving (0 or 1), camera (JSON; the scene's own without), tab."""
        query, process = request.query, self._running()
        size = (int(numbers(query.get("width", ""), 1)[0]), int(numbers(query.get("height", ""), 1)[0]))
        camera = _camera(query["camera"]) if "camera" in query else await process.ask("default_camera", size)
        try:
            moving = query.get("moving") == "1"
            jpeg, faded, second = await process.draw_told(camera, size, moving, query.get("tab", "")[:40])
        except Superseded:
            return web.Response(status=204)
        headers = {"X-Camera": json.dumps(_as_plain(camera))}
        headers["X-Told"] = json.dumps([spoken(name) for name in faded])
        if second is not None:
            headers["X-Second"] = json.dumps(second)
        return web.Response(body=jpeg, content_type="image/jpeg", headers=headers)

    async def pick(self, request: web.Request) -> web.Response:
        """What lies under a pixel: its point (LPS mm), name, and words; of the skin, what the search says there."""
        asked = await arguments_of(request)
        camera = _camera(json.dumps(asked.get("camera")))
        width, height, x, y = (length_of(asked.get(key), key) for key in ("width", "height", "x", "y"))
        skin = bool(asked.get("skin"))
        found = await self._running().pick(camera, (int(width), int(height)), x, y, skin)
        if found is None:
            return web.json_response({"point": None})
        place, name = found
        return web.json_response({"point": list(place), "name": name, "words": self._words(name, place)})

    def _words(self, name: str, place: Any) -> str:
        plan = self.session.plan_now()
        if name != "skin" or plan is None or plan.skin_map is None:
            return spoken(name)
        from navplan.planning.why_not import reason_on_map

        reason = reason_on_map(plan.skin_map, place)
        return spoken_words(str(reason)) if reason.apart_mm < 8.0 else spoken(name)

    async def drop(self, request: web.Request) -> web.Response:
        """A hand let go of the needle and moved nothing: show it where it is."""
        await asyncio.to_thread(self.show)
        return web.json_response({})

    async def carm(self, request: web.Request) -> web.Response:
        """Draw the C-arm at these patient angles about the target, or none."""
        asked = await arguments_of(request)
        process = self._running()
        if not asked:
            process.tell("show_carm", None)
            return web.json_response({})
        known, name = carms(), str(asked.get("carm") or "generic")
        if name not in known:
            raise InputError(f"C-arm {name[:40]!a}", ", ".join(known))
        angles = ViewAngles(length_of(asked.get("primary"), "an angle"), length_of(asked.get("secondary"), "an angle"))
        shown = await asyncio.to_thread(self.session.shown)
        _, volume = self.session.image()
        middle = shown.way.target_mm if shown is not None else volume.grid.corners_mm().mean(axis=0)
        middle = point_of(asked.get("at")) or middle
        beam = Beam.of(angles, middle, known[name])
        corners = beam.pixels_mm(np.array([-0.5, 2.5, 2.5, -0.5]), np.array([-0.5, -0.5, 2.5, 2.5]), _DETECTOR)
        process.tell("show_carm", beam.source_mm, corners, np.asarray(middle, dtype=np.float64))
        return web.json_response({})

    async def cursor(self, request: web.Request) -> web.Response:
        """Mark a point, or none."""
        self._running().tell("show_cursor", point_of((await arguments_of(request)).get("point")))
        return web.json_response({})


    async def fused(self, request: web.Request) -> web.Response:
        """Show a second image in planes, or none: over, mode, alpha, window, map, cell, first_window, at, uptake."""
        asked = _fused(await arguments_of(request))
        image_id = self.session.image()[0] if asked is not None else ""
        self._fused = None if asked is None else (image_id, asked)
        self._running().tell("show_fused", asked)
        return web.json_response({})


def _fused(asked: dict[str, Any]) -> Fused | None:
    """What a page asks for. Raises InputError for what is of another kind."""
    if not asked:
        return None
    unknown = sorted(set(asked) - {"over", "mode", "alpha", "window", "map", "cell", "first_window", "at", "uptake"})
    if unknown:
        raise InputError(f"arguments {unknown!a:.80}", "over, mode, alpha, window, map, cell, first_window, at, uptake")
    windows = [_window(asked.get(key), key) for key in ("window", "first_window")]
    return Fused(
        text_of(asked.get("over"), "a second image", 200), text_of(asked.get("mode", "blend"), "a mode", 40),
        length_of(asked.get("alpha", 0.5), "an alpha"), windows[0], text_of(asked.get("map", ""), "a colour map", 40),
        length_of(asked.get("cell", 20.0), "a field"), windows[1], point_of(asked.get("at")),
        None if asked.get("uptake") is None else length_of(asked["uptake"], "an SUV"),
    )  # fmt: skip


def _window(value: Any, what: str) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{what} {value!a:.60}", "level and width")
    return length_of(value[0], what), length_of(value[1], what)


def _camera(text: str) -> Camera:
    """A camera from the page's JSON: position, focal (LPS mm), up, angle (degrees)."""
    try:
        found = json.loads(text)
        position, focal, up = (point_of(found[key], key) for key in ("position", "focal", "up"))
        angle = length_of(found["angle"], "an angle")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"a camera {text[:80]!a}", "position, focal, up and angle") from error
    if position is None or focal is None or up is None or not 1.0 <= angle <= 120.0:
        raise InputError(f"a camera {text[:80]!a}", "three points of three numbers, an angle of 1 to 120 degrees")
    return Camera(position, focal, up, angle)


def _as_plain(camera: Camera) -> dict[str, Any]:
    return {
        "position": list(camera.position_mm), "focal": list(camera.focal_mm), "up": list(camera.up),
        "angle": camera.view_angle_deg,
    }  # fmt: skip
