"""Whether a way starts where the skin is, and whether a needle could be brought there.

Clearances are measured from the entry on: a way that starts inside the body would be judged without what lies before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import occupancy_at
from navplan.planning.entry_candidates import (
    GRAZING,
    NO_ROOM,
    TABLE,
    SkinPoints,
    access_rules,
    down_direction,
    lies_as_imaged,
    rule_out,
    skin_points,
)
from navplan.planning.situation import Situation
from navplan.planning.skin_not_free import Cover, covers

ON_SKIN_MM = 3.0  # beyond the resolution of the body's outline: how far from it a way may start (unsourced)
AT_SKIN_MM = 1.0  # beyond half a voxel: a way that starts deeper leaves out tissue (unsourced)
SURROUNDINGS_MM = 15.0  # of the body around an entry: as far as its normal is smoothed, and more


def on_skin_mm(body: Structure) -> float:
    """How far from the outline of the body a way may start."""
    return ON_SKIN_MM + float(body.resolution_mm.max())


def skin_near(situation: Situation, body: Structure, point_mm: NDArray[np.float64]) -> SkinPoints | None:
    """The skin within `on_skin_mm` of an LPS point (3,), each point with what makes it no skin; None where there is
    none."""
    reach = on_skin_mm(body)
    part = _around(body, point_mm, reach + SURROUNDINGS_MM)
    if part is None:
        return None
    skin = skin_points(part, situation.image, point_mm, reach, spacing_mm=1.0)
    return skin if len(skin.points_mm) else None


def _around(body: Structure, point_mm: NDArray[np.float64], half_mm: float) -> Structure | None:
    """The part of a structure in a box about a point, None where it has no voxel there."""
    assert body.grid is not None and body.occupancy is not None
    middle, half = body.grid.indices(point_mm), half_mm / body.grid.spacing_mm
    low = np.clip(np.floor(middle - half).astype(int), 0, body.occupancy.shape)
    high = np.clip(np.ceil(middle + half).astype(int) + 1, 0, body.occupancy.shape)
    if (high <= low).any():
        return None
    part = body.occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if not part.any():
        return None
    return replace(body, occupancy=part, grid=body.grid.crop(low, part.shape))


def entry(trajectory: Trajectory, situation: Situation) -> Finding:
    """The finding on the place of entry."""
    body = situation.structures.get("body")
    if body is None or body.presence is not Presence.PRESENT:
        words = "no outline of the body: nothing tells that the way starts on the skin"
        return _skin(Verdict.NOT_EVALUATED, words, "Run: navplan segment CASE --segmenter ct-basic")
    start = np.asarray(trajectory.entry_mm, dtype=np.float64)
    skin = skin_near(situation, body, start)
    if skin is None:
        words = f"starts more than {on_skin_mm(body):.0f} mm from the skin: what lies before is not judged"
        return _skin(Verdict.NOT_EVALUATED, words, "Let the way start on the skin")
    nearest = int(np.argmin(np.linalg.norm(skin.points_mm - start, axis=1)))
    if skin.reason[nearest] >= 0:
        words = f"starts on the {skin.reasons[skin.reason[nearest]]}"
        return _skin(Verdict.NOT_EVALUATED, words, "Choose another way in, or take an image that shows the skin")
    aim = np.asarray(trajectory.target_mm, dtype=np.float64)
    marks = covers(situation, start[None], aim, trajectory.device.length_mm)
    forbidden = next((cover for cover in marks if cover.forbidden), None)
    if forbidden is not None:
        return _not_free(forbidden)
    one = SkinPoints(skin.points_mm[nearest][None], skin.outward[nearest][None], np.full(1, -1, dtype=np.int16), ())
    as_imaged = lies_as_imaged(situation.image, situation.patient_position)
    needle_mm = trajectory.device.length_mm
    known = situation.patient_position in DOWN_BY_PATIENT_POSITION
    down = down_direction(situation.patient_position) if known else np.zeros(3)
    rules = access_rules(situation.image, body, aim, down, needle_mm, as_imaged)
    access = rule_out(one, [(words, rule) for words, rule in rules if words != TABLE])
    if access.reason[0] >= 0:
        words = access.reasons[access.reason[0]]
        return _skin(Verdict.WARN if words in (GRAZING, NO_ROOM) else Verdict.FAIL, words, "Choose another way in")
    apart_mm = float(np.linalg.norm(skin.points_mm[nearest] - start))
    assert body.grid is not None
    if occupancy_at(body, start[None])[0] and apart_mm > AT_SKIN_MM + body.grid.diagonal_mm / 2:
        words = f"starts {apart_mm:.0f} mm below the skin: what lies before is not judged"
        return _skin(Verdict.WARN, words, "Let the way start on the skin")
    if marks:
        words = f"starts on {', '.join(cover.name for cover in marks)}: nothing tells whether the skin will do there"
        return _skin(Verdict.WARN, words, "Look at the skin, or choose another way in")
    return _skin(Verdict.PASS, "starts on the skin", "")


def _not_free(cover: Cover) -> Finding:
    """An entry where something lies on the skin, or hangs over it."""
    if not cover.on[0]:
        words = f"skin not free: the needle would pass through {cover.name} outside the skin"
    else:
        words = f"skin not free: {cover.name} lies at the entry"
    words += ", where the protocol allows no entry" * cover.by_protocol
    return _skin(Verdict.FAIL, words, "Choose another way in, or take away what can be taken away and image anew")


def _skin(verdict: Verdict, words: str, remedy: str) -> Finding:
    return Finding(FindingKind.SKIN, verdict, words, remedy=remedy)
