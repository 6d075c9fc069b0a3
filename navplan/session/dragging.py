"""The skin map while a person drags the target: the search's coarse ranking on the points of the plan's map."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from navplan.model.plan import SkinMap
from navplan.planning.drag import DragMap, drag_map, provisional
from navplan.planning.situation import Situation
from navplan.planning.ways import TOO_SHORT, too_short
from navplan.session.shown import Shown

IN_THE_WAY = "{name}: in the way"


class Dragging:
    """Keeps what a drag needs for the plan that is looked at; it is made in the background when first asked for."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "drag map")
        self._of: SkinMap | None = None
        self._map: Future[DragMap] | None = None

    def prepare(self, shown: Shown) -> None:
        """Begin to make the map for a way's plan, unless it is there or being made."""
        skin_map = shown.plan.skin_map
        if skin_map is None or skin_map is self._of or not len(skin_map.points_mm):
            return
        low, high = skin_map.points_mm.min(axis=0), skin_map.points_mm.max(axis=0)
        aim = shown.situation.target_mm
        boundaries = shown.situation.boundaries
        self._of = skin_map
        self._map = self._pool.submit(drag_map, boundaries, np.minimum(low, aim), np.maximum(high, aim))

    def skin_map(self, shown: Shown) -> SkinMap | None:
        """The plan's map for the aim of a way that is being dragged; None as long as it is not ready."""
        self.prepare(shown)
        skin_map = shown.plan.skin_map
        if skin_map is None or self._map is None or not self._map.done():
            return None
        return provisional_map(skin_map, shown.situation, shown, self._map.result())


def provisional_map(skin_map: SkinMap, situation: Situation, shown: Shown, kept: DragMap) -> SkinMap:
    """What the search ruled out for other reasons than a clearance stays ruled out, and where the needle is too short
    now; the rest is ranked by the coarse clearances, and named after the structure that misses its limit by most."""
    aim, device = np.asarray(shown.way.target_mm), shown.way.device
    by_place = np.isnan(skin_map.shortfall_mm) & (skin_map.reason >= 0)
    short = too_short(shown.situation, device, skin_map.points_mm) & ~by_place  # the aim is deeper, or elsewhere
    names = [boundary.structure.name for boundary in situation.boundaries]
    reasons = (*skin_map.reasons, *(IN_THE_WAY.format(name=name) for name in names), TOO_SHORT)
    reason = np.where(short, len(reasons) - 1, skin_map.reason).astype(np.int16)
    shortfall = np.full(len(reason), np.nan, dtype=np.float32)
    value = np.zeros(len(reason), dtype=np.float32)
    asked = np.flatnonzero(~(by_place | short))
    rough = provisional(situation, device, kept, skin_map.points_mm[asked], aim)
    free = rough.likely_free
    reason[asked] = np.where(free, -1, len(skin_map.reasons) + rough.worst)
    shortfall[asked] = np.where(free, np.nan, rough.missed_mm)
    value[asked] = np.where(free, rough.value, 0.0)
    return replace(skin_map, reason=reason, reasons=reasons, shortfall_mm=shortfall, desirability=value)
