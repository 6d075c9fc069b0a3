"""Simulated fluoroscopy for the page: shots of the case's image, from where the page's C-arm stands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from navplan.app.packing import packed_shot
from navplan.app.pictures import answered, binary, numbers, point
from navplan.errors import InputError
from navplan.fluoroscopy.exposure import Dose
from navplan.fluoroscopy.monitor import program_named
from navplan.geometry.carm import bullseye
from navplan.session.guiding import Guiding
from navplan.session.session import Session

if TYPE_CHECKING:
    from navplan.fluoroscopy.anatomy import Anatomy
    from navplan.fluoroscopy.image import Machine
    from navplan.fluoroscopy.shot import Subject
    from navplan.fluoroscopy.solid import Solid
    from navplan.model.structure import Structure
    from navplan.model.volume import Volume
    from navplan.session.shown import Shown

NEAREST = 3  # structures whose outlines are drawn, with the target's
GUIDED = ("down the plan", "AP", "lateral")  # views of the tracked needle
EVERYWHERE = ("body", "bone", "skin")  # whose outlines would hide the picture


class FluoroShots:
    """Handlers of one session's shots. seen: called when a person has a shot before them for the first time."""

    def __init__(self, session: Session, seen: Callable[[], Awaitable[None]], guiding: Guiding | None = None) -> None:
        self.session, self._seen, self._guiding = session, seen, guiding
        self.dose = Dose()  # of all stills since the server started
        self._prepared: Anatomy | None = None
        self._solids: dict[str, tuple[Structure, Solid]] = {}
        self._one_at_a_time = threading.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [
            web.get("/api/fluoro", answered(self.fluoro)), web.get("/api/guide/fluoro", answered(self.guided)),
        ]  # fmt: skip

    async def guided(self, request: web.Request) -> web.Response:
        """The tracked needle as it lies now, coarse and fast, the planned target in the middle: view (one of GUIDED),
        size (px). 204 where the needle's place is not known."""
        view, size = request.query.get("view", GUIDED[0]), int(numbers(request.query.get("size", "256"), 1)[0])
        if view not in GUIDED or not 64 <= size <= 512:
            raise InputError(f"a shot {view[:40]!a} of {size} px", f"{', '.join(GUIDED)}; 64 to 512 px")
        return await asyncio.to_thread(self._guided, view, size)

    def _guided(self, view: str, size: int) -> web.Response:
        from navplan.fluoroscopy.shot import subject_of, take_shots
        from navplan.verbs.navigate import tracked_way

        found = self._guiding.tracked() if self._guiding is not None else None
        needle = tracked_way(found.frame, found.planned.way.device) if found is not None else None
        if found is None or needle is None:
            return web.Response(status=204)
        way, plan = found.planned.way, found.planned.plan
        anatomy = self._anatomy(found.planned.situation.image)
        angles: Any = bullseye(way.direction) if view == GUIDED[0] else view
        position = plan.patient_position or anatomy.volume.acquisition.patient_position
        subject = subject_of(anatomy, way.target_mm, None, position, plan.provenance.image_id, needles=(needle,))
        shot = take_shots(subject, (angles,), _machine({}, size), True)[0]
        return binary(packed_shot(shot, True, frame=found.number))

    async def fluoro(self, request: web.Request) -> web.Response:
        """A shot: view (words, "LAO 30 CRA 15") or find (a purpose), size (px), moving (1: coarse and fast), carm (a
        name), at (x,y,z: the isocentre, default the target), field (mm, a collimated square; 0 open), zoom (mm of the
        panel; 0 the whole), outlines (1)."""
        query = request.query
        size = int(numbers(query.get("size", "384"), 1)[0])
        if not 64 <= size <= 1024:
            raise InputError(f"a shot of {size} px", "64 to 1024 px")
        answer = await asyncio.to_thread(self._shot, dict(query), size)
        if self.session.saw("fluoroscopy"):
            await self._seen()
        return answer

    def _anatomy(self, volume: Volume) -> Anatomy:
        """Of the image that shots are taken of, prepared once."""
        from navplan.fluoroscopy.anatomy import Anatomy

        with self._one_at_a_time:
            if self._prepared is None or self._prepared.volume is not volume:
                self._prepared = Anatomy(volume)
                self._solids.clear()
            return self._prepared

    def _shot(self, query: Mapping[str, str], size: int) -> web.Response:
        from navplan.fluoroscopy.purposes import purposes_about, view_for
        from navplan.fluoroscopy.shot import subject_of, take_shots

        session = self.session
        with session.lock:
            shown = session.shown()
            image_id, volume = session.image()
            structures = session.case.structures_of(image_id)
        moving = query.get("moving") == "1"
        machine = _machine(query, size)
        anatomy = self._anatomy(volume)
        way = shown.way if shown is not None else None
        position = shown.plan.patient_position if shown is not None else session.draft.patient_position
        position = position or volume.acquisition.patient_position
        view: Any = query.get("view", "bullseye")[:40]
        if way is None and view.lower() == "bullseye":
            view = "AP"
        isocentre: Any = point(query["at"]) if query.get("at") else None
        if query.get("find"):
            view, isocentre = view_for(query["find"][:80], anatomy, way, structures, position, machine.carm)
        outlines = self._outlines(shown, structures) if query.get("outlines") == "1" and not moving else ()
        subject: Subject = subject_of(anatomy, isocentre, way, position, image_id, outlines=outlines)
        shot = take_shots(subject, (view,), machine, moving)[0]
        if not moving:
            with self._one_at_a_time:
                self.dose += shot.image.dose
        purposes = purposes_about(subject.isocentre_mm, structures, way is not None)
        at = subject.isocentre_mm.tolist()
        return binary(packed_shot(shot, moving, so_far=self.dose.words, purposes=purposes, isocentre=at))

    def _outlines(self, shown: Shown | None, structures: Mapping[str, Structure]) -> tuple[Solid, ...]:
        """Of the target and of what is nearest to the needle."""
        from navplan.fluoroscopy.solid import Solid

        if shown is None:
            return ()
        named = [finding.structure for finding in shown.ranked.report.clearances]
        nearest = [name for name in named if name not in EVERYWHERE][:NEAREST]
        found = []
        with self._one_at_a_time:
            for name in dict.fromkeys((shown.plan.target.structure, *nearest)):
                structure = structures.get(name)
                if structure is None or structure.occupancy is None:
                    continue
                if name not in self._solids or self._solids[name][0] is not structure:
                    self._solids[name] = structure, Solid(structure)
                found.append(self._solids[name][1])
        return tuple(found)


def _machine(query: Mapping[str, str], size: int) -> Machine:
    from navplan.fluoroscopy.carms import carms
    from navplan.fluoroscopy.image import Machine
    from navplan.fluoroscopy.shot import DETECTOR_SIDE_MM
    from navplan.geometry.carm import Detector

    known, name = carms(), query.get("carm", "generic")
    if name not in known:
        raise InputError(f"C-arm {name[:40]!a}", ", ".join(known))
    side, zoom = numbers(query.get("field", "0"), 1)[0], numbers(query.get("zoom", "0"), 1)[0]
    if side < 0.0 or not (zoom == 0.0 or 40.0 <= zoom <= DETECTOR_SIDE_MM):
        words = f"a field of {side:g} mm, {zoom:g} mm of the panel"
        raise InputError(words, f"0 or more, 0 or 40 to {DETECTOR_SIDE_MM:g}")
    program = program_named(query.get("program", "general"))
    detector = Detector(size, size, (zoom or DETECTOR_SIDE_MM) / size)
    return Machine(known[name], detector, field_mm=(side, side) if side else None, program=program)
