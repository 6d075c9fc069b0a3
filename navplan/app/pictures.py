"""What the page draws, one picture a request: slices and planes of the needle.

The page holds cursor, zoom, window and camera; the server keeps none of it. Each handler answers with the picture or
with the words of the error.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from aiohttp import web

from navplan.app.packing import Second, packed
from navplan.errors import InputError, NavplanError
from navplan.model.draft import Point
from navplan.model.structure import Structure
from navplan.session.fusion import laid_over
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.view.plane_values import (
    Cut,
    PlaneValues,
    native_slice,
    plane_outlines,
    plane_values,
    sampled_steps,
    slice_through,
)
from navplan.view.slices import SlicePlane, needle_planes
from navplan.view.windows import step_of
from navplan.view.zone_outline import middle_depth_mm

PLANES = ("along", "square", "across", "strip")
_PLANE_PX, _STRIP_HALF_MM, _STRIP_PX_MM = 300, 14.0, 0.5


def numbers(text: str, count: int) -> tuple[float, ...]:
    """So many numbers of a size that lengths and pixels have, divided by commas. Raises InputError."""
    try:
        found = tuple(float(part) for part in text.split(",", count))
    except ValueError:
        found = ()
    if len(found) != count or not all(abs(value) < 1e6 for value in found):
        raise InputError(f"{text[:80]!a}", f"{count} finite numbers divided by commas, below a million")
    return found


def point(text: str) -> Point:
    """LPS mm "x,y,z"."""
    x, y, z = numbers(text, 3)
    return x, y, z


def cut_of(text: str) -> Cut:
    """A cut by its name. Raises InputError."""
    names = {cut.name.lower(): cut for cut in Cut}
    if text not in names:
        raise InputError(f"cut {text[:40]!a}", ", ".join(names))
    return names[text]


class Pictures:
    """Handlers of the pictures of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.also_outlined: Callable[[str], dict[str, Structure]] = lambda image_id: {}  # beside the image's own

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/api/slice", answered(self.slice)), web.get("/api/plane", answered(self.plane)),
        ]  # fmt: skip

    async def slice(self, request: web.Request) -> web.Response:
        """A slice as it was taken, through a point: cut, at=x,y,z, slab (mm), over (a second image; not in a slab)."""
        query = request.query
        cut, at, slab = cut_of(query.get("cut", "")), point(query.get("at", "")), numbers(query.get("slab", "0"), 1)[0]
        session = self.session
        image_id, volume = session.image()
        number = slice_through(volume.grid, cut, at)
        found = native_slice(volume, cut, number, slab)
        outlines = plane_outlines(found, {**session.case.structures_of(image_id), **self.also_outlined(image_id)})
        second, revision = query.get("over", ""), session.case.revision
        over = await asyncio.to_thread(self._over, image_id, second, found) if second else {}
        return binary(packed(found, outlines, revision=revision, **over))

    async def plane(self, request: web.Request) -> web.Response:
        """A plane of the needle: kind, depth (mm, for `across`), shape (width / height of its place), over (a second
        image)."""
        query = request.query
        kind = query.get("kind", "")
        if kind not in PLANES:
            raise InputError(f"plane {kind[:40]!a}", ", ".join(PLANES))
        depth = numbers(query["depth"], 1)[0] if "depth" in query else None
        shape = min(max(numbers(query.get("shape", "1"), 1)[0], 0.25), 4.0)
        return await asyncio.to_thread(self._plane, kind, depth, shape, query.get("over", ""))

    def _over(self, first: str, second: str, found: PlaneValues) -> dict[str, Any]:
        """A second image's values at the pixels of a slice or plane of the first, as `packed` takes them, or why they
        cannot be found there; nothing where none is asked for."""
        if not second:
            return {}
        volume, pair = laid_over(self.session, first, second)
        there = pair.to_second(found.points_mm())
        if np.isnan(there).all():  # a map that bends, taken backwards, where it cannot be
            return {"over_refused": "the registration bends and cannot be taken backwards here"}
        values = sampled_steps(volume, there)
        return {"second": Second(values, second, step_of(volume), volume.quantity, pair.tie.value)}

    def _plane(self, kind: str, depth_mm: float | None, shape: float, second: str) -> web.Response:
        with self.session.lock:
            shown = self.session.shown()
        if shown is None:
            raise InputError("a plane of a needle", "a plan with a way in", "Search the ways in first")
        image = shown.situation.image
        if kind == "strip":
            return binary(packed(_strip(shown), {}))
        zone = shown.ranked.report.ablation
        if depth_mm is None and zone is not None:  # through the middle of what is ablated
            depth_mm = middle_depth_mm(zone, shown.way)
        plane = needle_planes(shown.way, depth_mm)[PLANES.index(kind)]
        least_mm = 80.0 if kind == "across" else max(110.0, 1.35 * shown.way.depth_mm)  # the shorter side shows this
        size = round(_PLANE_PX * max(shape, 1.0)), round(_PLANE_PX * max(1.0 / shape, 1.0))
        found = plane_values(image, plane, size, least_mm / _PLANE_PX)
        over = self._over(shown.plan.provenance.image_id, second, found)
        return binary(packed(found, plane_outlines(found, shown.situation.structures), **over))


def _strip(shown: Shown) -> PlaneValues:
    """The image along the needle, skin at the left, as the straightened path shows it."""
    from navplan.view.straightened_path import BEFORE_MM, BEYOND_MM

    way = shown.way
    long = BEFORE_MM + max(way.swept_depth_mm, way.depth_mm) + BEYOND_MM
    size = (max(16, round(long / _STRIP_PX_MM)), round(2 * _STRIP_HALF_MM / _STRIP_PX_MM))
    first = needle_planes(way)[0]
    down = np.cross(first.into, way.direction)
    middle = way.point_at_mm(long / 2 - BEFORE_MM)
    plane = SlicePlane(_triple(middle), _triple(way.direction), _triple(down), "strip")
    return plane_values(shown.situation.image, plane, size, _STRIP_PX_MM)


def answered(handler: Any) -> Any:
    """With navplan's own refusals as an answer 400 in words, and what else goes wrong as 500 without its innards."""

    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            found: web.StreamResponse = await handler(request)
            return found
        except NavplanError as error:
            return as_json({"error": str(error)}, 400)
        except (web.HTTPException, asyncio.CancelledError):
            raise
        except Exception as error:
            import logging

            logging.getLogger("navplan.app").exception("%s", request.path)
            words = f"a fault of navplan ({type(error).__name__}); the log says more"
            return as_json({"error": words}, 500)

    return wrapped


def as_json(found: Any, status: int = 200) -> web.Response:
    """Plain data as JSON that every browser reads: no NaN, no infinity."""
    return web.json_response(found, status=status, dumps=partial(json.dumps, allow_nan=False))


def binary(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="application/octet-stream")


def _triple(values: Any) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
