"""The learner's page of a rehearsal: what it asks for. One rehearsal at a time; every open page shows that one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from navplan.app.actions import arguments_of
from navplan.app.packing import headed, packed
from navplan.app.pictures import answered, as_json, binary, cut_of, numbers, point
from navplan.errors import InputError
from navplan.model.scenario import Scenario
from navplan.session.asked import number_of, text_of
from navplan.session.rehearsing import Rehearsing
from navplan.session.rehearsing_hand import carm_words
from navplan.session.rehearsing_scan import scan_along, scan_slice
from navplan.session.rehearsing_told import replay, told
from navplan.training.attempt import Attempt
from navplan.verbs.training import Rehearsal, rehearsal_of
from navplan.view.plane_values import native_slice, plane_values, slice_through
from navplan.view.slices import needle_planes

PAGE = Path(__file__).with_name("page")
ON_THE_WAY = ("along", "square")  # planes of the expert's way
WAY_PX = 300


class RehearsalPages:
    """Handlers. offered: the scenarios to choose from; kept: where a finished attempt goes, in words; making: how a
    scenario is made ready."""

    def __init__(
        self, offered: Callable[[], Sequence[Scenario]], kept: Callable[[Rehearsal, Attempt], str] | None = None,
        making: Callable[..., Rehearsal] = rehearsal_of,
    ) -> None:  # fmt: skip
        self._offered, self._kept, self._making = offered, kept, making
        self.now: Rehearsing | None = None
        self._ready: Rehearsal | None = None
        self._progress: dict[str, Any] | None = None
        self._failed = ""
        self._lock = threading.Lock()
        self._pulse_s: dict[int, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/rehearsal", self.page), web.get("/api/rehearsal/state", answered(self.state)),
            web.post("/api/rehearsal/begin", answered(self.begin)), web.post("/api/rehearsal/act", answered(self.act)),
            web.post("/api/rehearsal/press", answered(self.press)),
            web.get("/api/rehearsal/frame", answered(self.frame)),
            web.get("/api/rehearsal/slice", answered(self.slice)),
            web.get("/api/rehearsal/replay", answered(self.replay)),
            web.get("/api/rehearsal/plane", answered(self.plane)),
        ]  # fmt: skip

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page itself."""
        return web.Response(text=(PAGE / "rehearsal.html").read_text(encoding="utf-8"), content_type="text/html")

    async def state(self, request: web.Request) -> web.Response:
        """What is there: scenarios to choose from, one being made ready, or the rehearsal in hand."""
        return as_json(await asyncio.to_thread(self._state))

    def _state(self) -> dict[str, Any]:
        if self._progress is not None:
            return {"state": "making", **self._progress}
        if self.now is None:
            choices = [
                {
                    "id": one.id, "title": one.title, "words": one.words,
                    "difficulties": [difficulty.name for difficulty in one.difficulties],
                }
                for one in self._offered()
            ]  # fmt: skip
            return {"state": "choose", "scenarios": choices, "failed": self._failed}
        self.now.met()
        return told(self.now)

    async def begin(self, request: web.Request) -> web.Response:
        """A scenario by its id (scenario; "" for the list again), seed and difficulty: made ready behind the page.
        instead_of: the key of the attempt that the page shows; one that goes on in another page is not thrown away."""
        asked = await arguments_of(request)
        wanted = text_of(asked.get("scenario", ""), "scenario", 200)
        seed = number_of(asked.get("seed", 0), "seed")
        difficulty = text_of(asked.get("difficulty", ""), "difficulty", 200)
        if seed < 0:
            raise InputError(f"seed {seed}", "0 or more")
        self._refuse_to_lose(text_of(asked.get("instead_of", ""), "instead_of", 200))
        if not wanted:
            with self._lock:
                self.now = None
            return as_json(await asyncio.to_thread(self._state))
        found = {one.id: one for one in await asyncio.to_thread(self._offered)}
        if wanted not in found:
            raise InputError(f"scenario {wanted[:60]!a}", ", ".join(sorted(found)))
        if difficulty:
            found[wanted].at(difficulty)  # refused here, in words
        self.make(found[wanted], seed, difficulty)
        return as_json(await asyncio.to_thread(self._state))

    def _refuse_to_lose(self, instead_of: str) -> None:
        now = self.now
        if now is not None and now.attempt.ending is None and now.attempt.log and instead_of != now.key:
            raise InputError(
                f"a new rehearsal while an attempt goes on in another page ({len(now.attempt.log)} actions)",
                "the end of that one", "Finish it, or begin anew from its page",
            )  # fmt: skip

    def make(self, scenario: Scenario, seed: int, difficulty: str = "") -> None:
        """Begin to make a scenario ready, in a thread. Raises InputError while another is being made."""
        with self._lock:
            if self._progress is not None:
                raise InputError("a rehearsal while another is made ready", "one at a time", "Wait for it")
            self._progress = {"words": "patient", "share": 0.0, "title": scenario.title}
        threading.Thread(target=self._make, args=(scenario, seed, difficulty), daemon=True).start()

    def _make(self, scenario: Scenario, seed: int, difficulty: str) -> None:
        def progress(words: str, share: float) -> None:
            self._progress = {"words": words, "share": share, "title": scenario.title}

        try:
            if self._ready is None or self._ready.scenario != scenario:
                self._ready = self._making(scenario, progress=progress)
            ready = self._ready
            kept = None if self._kept is None else lambda attempt: self._put(ready, attempt)
            now = Rehearsing(ready, seed, difficulty, kept)
            if now.xrayed:
                progress("fluoroscopy", 0.9)
                for plane in now.planes:  # so that the first press of the pedal waits for nothing
                    standing = now.attempt.carm(plane)
                    assert standing is not None
                    now.xray().view(standing, now.attempt.moved_mm)
            self.now, self._failed = now, ""
        except InputError as error:
            self.now, self._failed = None, str(error)
        except Exception as error:
            import logging

            logging.getLogger("navplan.app").exception("scenario %s", scenario.id)
            self.now, self._failed = None, f"a fault of navplan ({type(error).__name__}); the log says more"
        finally:
            self._progress = None

    def _put(self, ready: Rehearsal, attempt: Attempt) -> str:
        """An attempt that cannot be written must not be lost without a word."""
        assert self._kept is not None
        try:
            return self._kept(ready, attempt)
        except (InputError, OSError) as error:
            return f"NOT SAVED: {error}"

    async def act(self, request: web.Request) -> web.Response:
        """What a hand does (`Rehearsing.act`); the answer is the state after it."""
        asked = await arguments_of(request)
        return as_json(await asyncio.to_thread(self._act, asked))

    def _act(self, asked: dict[str, Any]) -> dict[str, Any]:
        now = self._meant(asked)
        now.act(asked)
        return told(now)

    async def press(self, request: web.Request) -> web.Response:
        """The X-ray pedal: plane (0, 1, 2 for both; null: let go), pulses_per_s."""
        asked = await arguments_of(request)
        now, plane, rate = self._meant(asked), asked.get("plane"), asked.get("pulses_per_s", 15.0)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or isinstance(plane, bool):
            raise InputError("a pedal without numbers", "plane and pulses_per_s")
        await asyncio.to_thread(now.press, plane, float(rate))
        return as_json(await asyncio.to_thread(told, now))

    async def frame(self, request: web.Request) -> web.Response:
        """The picture of a plane (plane, after: the number of the one before): while X-rays are on the next pulse, else
        the one that is held; 204 where there is no newer one."""
        now = self._going()
        plane, after = (int(numbers(request.query.get(key, "0"), 1)[0]) for key in ("plane", "after"))
        if now.pedal is not None:
            due = self._pulse_s.get(plane, 0.0) + 1.0 / now.pulses_per_s
            await asyncio.sleep(min(max(0.0, due - time.monotonic()), 1.0))
            self._pulse_s[plane] = max(due, time.monotonic() - 1.0 / now.pulses_per_s)
        return await asyncio.to_thread(self._frame, now, plane, after)

    def _frame(self, now: Rehearsing, plane: int, after: int) -> web.Response:
        found = now.frame(plane)
        if found is None or (not found[1] and found[0] == after):
            return web.Response(status=204)
        number, live, seen = found
        words, dials = carm_words(seen.standing, now.position)
        header = {
            "number": number, "live": live, "width": seen.pixels.shape[1], "height": seen.pixels.shape[0],
            "letters": seen.letters, "marker": seen.marker, "pixel_mm": seen.pixel_mm, "words": words,
            "dial_words": dials, "exposure": f"{seen.kv} kV, {seen.mas:.2g} mAs",
            "time_s": round(now.time_s, 1), "pulses": seen.pulses,
        }  # fmt: skip
        return binary(headed(header, seen.pixels))

    async def slice(self, request: web.Request) -> web.Response:
        """A slice: of ("plan", or the number of a control scan), cut (axial, coronal, sagittal; of a scan also along),
        at=x,y,z."""
        return await asyncio.to_thread(self._slice, dict(request.query))

    def _slice(self, query: dict[str, str]) -> web.Response:
        now = self._going()
        of, cut, at = query.get("of", "plan"), query.get("cut", "axial"), point(query.get("at", ""))
        patient, device = now.ready.patient, now.ready.way.device
        if of == "plan":
            volume = now.ready.situation.image
            which = cut_of(cut)
            return binary(packed(native_slice(volume, which, slice_through(volume.grid, which, at)), {}))
        number = int(numbers(of, 1)[0])
        if not 1 <= number <= len(now.scans):
            raise InputError(f"control scan {number}", f"1 to {len(now.scans)}" if now.scans else "none was taken")
        scan = now.scans[number - 1]
        if cut == "along":
            along = scan_along(scan, patient, device)
            return web.Response(status=204) if along is None else binary(packed(along, {}))
        return binary(packed(scan_slice(scan, patient, cut_of(cut), at, device), {}))

    async def replay(self, request: web.Request) -> web.Response:
        """Each step of the finished attempt."""
        return as_json(await asyncio.to_thread(replay, self._ended()))

    async def plane(self, request: web.Request) -> web.Response:
        """A plane of the image on the expert's way: kind. Only once the attempt is over."""
        kind = request.query.get("kind", "")
        if kind not in ON_THE_WAY:
            raise InputError(f"plane {kind[:40]!a}", ", ".join(ON_THE_WAY))
        return await asyncio.to_thread(self._plane, self._ended(), kind)

    def _plane(self, now: Rehearsing, kind: str) -> web.Response:
        way = now.ready.way
        plane = needle_planes(way)[ON_THE_WAY.index(kind)]
        wide_mm = max(130.0, 1.6 * way.depth_mm)
        found = plane_values(now.ready.situation.image, plane, (WAY_PX, WAY_PX), wide_mm / WAY_PX)
        return binary(packed(found, {}))

    def _going(self) -> Rehearsing:
        if self.now is None:
            raise InputError("no rehearsal in hand", "a scenario", "Choose one")
        return self.now

    def _meant(self, asked: dict[str, Any]) -> Rehearsing:
        """The rehearsal in hand, if it is the one that the page shows (attempt, its key)."""
        now = self._going()
        if asked.pop("attempt", None) != now.key:
            raise InputError("an action at another attempt than that in hand", "the page as it is now", "Load it anew")
        return now

    def _ended(self) -> Rehearsing:
        now = self._going()
        if now.attempt.ending is None:
            raise InputError("a replay of an attempt that goes on", "one that is finished", "Finish it first")
        return now
