"""Whether the target lies at the vertebral level that was requested, and how sure the count is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from navplan.model.protocol import LEVELS
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_of, occupancy_at
from navplan.planning.situation import Situation

PREFIX = "vertebrae_"
ANCHORS = ("sacrum", "vertebrae_C2", "vertebrae_C1", "rib_left_12", "rib_right_12", "rib_left_1", "rib_right_1")
NEAREST_MM = 25.0  # a target farther from every labelled vertebra is at none of them (unsourced)
# Named by the upper one of two vertebrae:
LEVEL_WITH = ("disc", "intervertebral_disc", "vertebrae", "foramen", "nerve_root", "facet_joint")
BETWEEN_MM = 3.0  # by which a target between two vertebrae may be nearer to one of them (unsourced)
ABOVE_SACRUM_MM = 28.0  # by which the middle of L5 may lie above the sacrum's top (unsourced)
AS_NEAR_MM = 6.0  # what lies this much farther away than the nearest is as near: joints, discs, foramina (unsourced)


@dataclass(frozen=True)
class _Vertebra:
    level: str
    away_mm: float
    height_mm: float


def level(situation: Situation) -> list[Finding]:
    """One finding where the protocol asks for a level, none elsewhere; one more where nothing anchors the count.

    FAIL: another vertebra is clearly nearer than the requested one, or the target, or the disc that holds it, is
    labelled with another level. WARN: another is a little nearer, or the target lies between two and the lower one was
    requested; no sacrum, C1, C2, first or twelfth rib is labelled that the count could begin from. NOT_EVALUATED: no
    level was requested, none is labelled near the target, or the labels are not in the order of the spine.
    """
    protocol, asked = situation.protocol, situation.level
    if not protocol.levels:
        return []
    found = sorted(_vertebrae(situation), key=lambda one: one.away_mm)
    if not asked:
        lies = f"; the target lies at {found[0].level}" if found and found[0].away_mm <= NEAREST_MM else ""
        return [_finding(Verdict.NOT_EVALUATED, f"no level was requested{lies}", "State it with --level")]
    if not found or found[0].away_mm > NEAREST_MM:
        words = f"requested {asked}; no labelled vertebra within {NEAREST_MM:g} mm of the target"
        return [_finding(Verdict.NOT_EVALUATED, words, "Segment the vertebrae, each under its name: vertebrae_L4")]
    disordered = _out_of_order(found)
    if disordered:
        words = f"the labels {disordered} are not in the order of the spine"
        return [_finding(Verdict.NOT_EVALUATED, words, "Check the labels' names against the image")]
    named = _named(situation)
    if named and named[1] != asked:
        words = f"requested {asked}, the target lies in {named[0]}"
        return [_finding(Verdict.FAIL, words, "Check the request and the target: of a disc or a root the upper level")]
    near = [one.level for one in found if one.away_mm <= found[0].away_mm + AS_NEAR_MM]
    if asked not in near:
        words = f"requested {asked}, the target lies at {found[0].level}"
        return [_finding(Verdict.FAIL, words, "Check the request, the target and the count of the vertebrae")]
    between = _between(found)
    if named or asked == (between[0] if between else found[0].level):
        first = _finding(Verdict.PASS, f"{asked}, as requested")
    elif between:
        words = f"requested {asked}; the target lies between {' and '.join(between)}, where {between[0]} is the level"
        first = _finding(Verdict.WARN, words, "Look at the level in the image: of a disc or a root it is the upper one")
    else:
        words = f"requested {asked}; {found[0].level} is a little nearer"
        first = _finding(Verdict.WARN, words, "Look at the level in the image")
    return [first, *_anchored(situation, found)]


def _named(situation: Situation) -> tuple[str, str] | None:
    """What is labelled with a level and is the target, or a disc that holds it; and that level. Necks are left out:
    their roots are named by the lower vertebra."""
    for name, one in situation.structures.items():
        stem, at, _ = name.partition("_" + next((word for word in name.split("_") if word in LEVELS), "-"))
        number = at.removeprefix("_")
        if not at or stem not in LEVEL_WITH or number.startswith("C") or one.presence is not Presence.PRESENT:
            continue
        is_disc = stem.endswith("disc")
        holds = is_disc and float(occupancy_at(one, situation.target_mm[None])[0]) >= MOSTLY_INSIDE
        if holds or name == situation.target.structure:
            return name, number
    return None


def _between(found: list[_Vertebra]) -> tuple[str, str] | tuple[()]:
    """The two neighbours that the target lies between, the upper one first; () where it lies at or in one."""
    if len(found) < 2 or found[0].away_mm <= 0 or found[1].away_mm - found[0].away_mm > BETWEEN_MM:
        return ()
    upper, lower = sorted(found[:2], key=lambda one: LEVELS.index(one.level))
    neighbours = LEVELS.index(lower.level) - LEVELS.index(upper.level) == 1
    return (upper.level, lower.level) if neighbours else ()


def _finding(verdict: Verdict, words: str, remedy: str = "") -> Finding:
    return Finding(FindingKind.SIDE, verdict, words, remedy=remedy)


def _vertebrae(situation: Situation) -> list[_Vertebra]:
    found = []
    for name, one in situation.structures.items():
        number = name.removeprefix(PREFIX)
        named = number != name and number in LEVELS
        if not (named and one.presence is Presence.PRESENT and situation.same_frame(one)):
            continue
        boundary = boundary_of(one)
        inside = float(occupancy_at(one, situation.target_mm[None])[0]) >= MOSTLY_INSIDE
        away = 0.0 if inside else float(np.linalg.norm(boundary.centres_mm - situation.target_mm, axis=1).min())
        found.append(_Vertebra(number, away, float(boundary.centres_mm[:, 2].mean())))
    return found


def _out_of_order(found: list[_Vertebra]) -> str:
    """Two neighbours of the count that do not lie one below the other, "" where all do."""
    in_count = sorted(found, key=lambda one: LEVELS.index(one.level))
    wrong = ((one, below) for one, below in pairwise(in_count) if one.height_mm <= below.height_mm)
    return next((f"{one.level} and {below.level}" for one, below in wrong), "")


def _anchored(situation: Situation, found: list[_Vertebra]) -> list[Finding]:
    known = {name: one for name, one in situation.structures.items() if one.presence is Presence.PRESENT}
    anchors = [name for name in ANCHORS if name in known]
    if not anchors:
        words = "nothing that the count of the vertebrae begins from is labelled: sacrum, C1, C2, first or twelfth rib"
        return [_finding(Verdict.WARN, words, "Count on an image that shows one of them")]
    told = _beside_the_sacrum(known["sacrum"], found) if "sacrum" in known else ""
    if told:
        return [_finding(Verdict.WARN, told, "Count from above as well: a transitional vertebra, or a label too many")]
    return []


def _beside_the_sacrum(sacrum: Structure, found: list[_Vertebra]) -> str:
    """What lies next above the sacrum, where that is not L5, or L5 where it lies too high; "" where neither is told."""
    top_mm = float(boundary_of(sacrum).centres_mm[:, 2].max())
    moveable = [one for one in found if not one.level.startswith("S")]
    lowest = min(moveable, key=lambda one: one.height_mm, default=None)
    if lowest is not None and lowest.level == "L5" and lowest.height_mm > top_mm + ABOVE_SACRUM_MM:
        return f"the middle of L5 lies {lowest.height_mm - top_mm:.0f} mm above the sacrum: one is missing between"
    if lowest is None or lowest.level == "L5" or lowest.height_mm > top_mm + 45.0:
        return ""
    return f"{lowest.level} is labelled next above the sacrum, where L5 should be"
