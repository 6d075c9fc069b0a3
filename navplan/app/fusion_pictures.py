"""A second image for the page: its own slices beside those of the first, and what is known at the cursor."""

from __future__ import annotations

import asyncio

import numpy as np
from aiohttp import web

from navplan.app.packing import packed
from navplan.app.pictures import answered, as_json, binary, cut_of, point
from navplan.model.draft import Point
from navplan.session.fusion import at_point, laid_over, place_known
from navplan.session.session import Session
from navplan.view.plane_values import Cut, native_slice, plane_outlines, slice_through


class FusionPictures:
    """Handlers of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/api/fusion/at", answered(self.at)), web.get("/api/fusion/slice", answered(self.slice)),
            web.get("/api/fusion/back", answered(self.back)),
        ]  # fmt: skip

    async def at(self, request: web.Request) -> web.Response:
        """See `at_point`: over, at=x,y,z of the image that is looked at."""
        query = request.query
        place = point(query.get("at", ""))
        return as_json(await asyncio.to_thread(at_point, self.session, query.get("over", ""), place))

    async def slice(self, request: web.Request) -> web.Response:
        """A slice of the second image itself, through the place of a point of the first: over, cut, at=x,y,z. In its
        header cursor_mm: that place, in the second image."""
        query = request.query
        cut, at, over = cut_of(query.get("cut", "")), point(query.get("at", "")), query.get("over", "")
        return await asyncio.to_thread(self._slice, over, cut, at)

    def _slice(self, over: str, cut: Cut, at: Point) -> web.Response:
        session = self.session
        volume, pair = laid_over(session, session.image()[0], over)
        there = pair.to_second(np.asarray(at))
        cursor = place_known(there)
        found = native_slice(volume, cut, slice_through(volume.grid, cut, there))
        own = {name: one for name, one in session.case.structures_of(over).items() if one.image_id == over}
        return binary(packed(found, plane_outlines(found, own), cursor_mm=cursor, quantity=volume.quantity))

    async def back(self, request: web.Request) -> web.Response:
        """The place in the first image of a point of the second: over, at=x,y,z."""
        over, at = request.query.get("over", ""), point(request.query.get("at", ""))
        pair = laid_over(self.session, self.session.image()[0], over)[1]
        found = await asyncio.to_thread(pair.to_first, np.asarray(at))
        return as_json({"at_mm": place_known(found)})
