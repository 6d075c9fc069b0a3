"""Why there is no way in, and what would open one: everything that rules entries out, ranked by how many it alone holds
shut.

An entry that two things rule out opens only when both give way; pairs are named where nothing alone opens any.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.device import Device
from navplan.planning.criteria import walk
from navplan.planning.entry_candidates import (
    BLOCKED_OUTSIDE,
    ENTRY_SPACING_MM,
    GRAZING,
    NO_ROOM,
    RE_ENTRY,
    TABLE,
    SkinPoints,
)
from navplan.planning.situation import Situation
from navplan.planning.skin_not_free import rule_out_by_cover
from navplan.planning.ways import (
    FISSURE,
    MEETS_NEEDLE,
    TOO_SHORT,
    access_rules_of,
    clearances_low_mm,
    limit_words,
    rules_of_the_path,
    too_short,
    would_meet,
)

MOST = 5  # blockers told
OF_TISSUE = {
    Tissue.BONE: "tilt the needle or the gantry, or image in another breath state: ribs move",
    Tissue.CARTILAGE: "tilt, or let the protocol allow cartilage to be crossed",
    Tissue.LUNG: "image in another breath state: the lung moves out of the way in expiration",
    Tissue.BOWEL: "push it aside (hydrodissection), or turn the patient so that it falls away",
    Tissue.ORGAN: "push it aside (hydrodissection), or image in another breath state",
    Tissue.MUSCLE: "tilt, or let the protocol allow it to be crossed",
    Tissue.FAT: "tilt, or let the protocol allow it to be crossed",
    Tissue.LESION: "aim at it, or let the protocol allow it to be crossed",
    Tissue.IMPLANT: "tilt; it cannot be moved",
}
UNMOVABLE = "tilt, or choose another target point: it cannot be moved"
OF_RULE = {
    TABLE: "turn the patient, on an image taken so",
    NO_ROOM: "turn or raise the patient, on an image taken so",
    GRAZING: "choose another target point",
    BLOCKED_OUTSIDE: "move the arm, or turn the patient, on an image taken so",
    TOO_SHORT: "take a longer needle",
    MEETS_NEEDLE: "place this needle before the other one",
    FISSURE: "choose another target point, or image in another breath state",
    RE_ENTRY: "move what is re-entered (an arm, a skin fold) aside",
}


@dataclass(frozen=True)
class Blocker:
    """What holds entries shut (one thing, or two together): without it `entries` would be free, over skin_cm2 of skin,
    the nearest of them nearest_mm from the target; remedy: what opens them."""

    names: tuple[str, ...]
    entries: int
    skin_cm2: float
    nearest_mm: float
    remedy: str

    def __str__(self) -> str:
        without = "it" if len(self.names) == 1 else "them"
        entries = f"{self.entries} entr{'y' if self.entries == 1 else 'ies'} ({self.skin_cm2:.1f} cm2 of skin)"
        return (
            f"{' and '.join(self.names)}: without {without} {entries} would be free, the nearest"
            f" {self.nearest_mm:.0f} mm deep. To open: {self.remedy}"
        )


def blockers(situation: Situation, device: Device, skin: SkinPoints) -> tuple[Blocker, ...]:
    """What would open the most, first; skin: the points as they are before anything is ruled out."""
    rows = np.flatnonzero(skin.reason == -1)
    if not len(rows):
        return ()
    here = SkinPoints(skin.points_mm[rows], skin.outward[rows], skin.reason[rows], skin.reasons)
    names, remedies, masks = _all_rules(situation, device, here)
    shut = np.stack(masks, axis=1)
    depth_mm = np.linalg.norm(here.points_mm - situation.target_mm, axis=1)
    count = shut.sum(axis=1)
    found = []
    for column in range(len(names)):
        alone = shut[:, column] & (count == 1)
        if alone.any():
            found.append(_blocker((names[column],), alone, depth_mm, remedies[column]))
    if not found:
        involved = np.flatnonzero((shut & (count == 2)[:, None]).any(axis=0))
        for first, second in combinations(involved, 2):
            both = shut[:, first] & shut[:, second] & (count == 2)
            if both.any():
                remedy = " and ".join(dict.fromkeys((remedies[first], remedies[second])))
                found.append(_blocker((names[first], names[second]), both, depth_mm, remedy))
    return tuple(sorted(found, key=lambda blocker: (-blocker.entries, blocker.names))[:MOST])


def _blocker(names: tuple[str, ...], which: NDArray[np.bool_], depth_mm: NDArray[np.float64], remedy: str) -> Blocker:
    entries = int(which.sum())
    return Blocker(names, entries, entries * ENTRY_SPACING_MM**2 / 100, float(depth_mm[which].min()), remedy)


def _all_rules(
    situation: Situation, device: Device, skin: SkinPoints
) -> tuple[list[str], list[str], list[NDArray[np.bool_]]]:
    """Words, remedy and mask (N,) of everything that rules entries out, each on its own."""
    rules: list[tuple[str, str, NDArray[np.bool_]]] = []
    entries, target = skin.points_mm, situation.target_mm
    for words, rule in access_rules_of(situation, device.length_mm):
        rules.append((words, OF_RULE[words], rule(entries, skin.outward)))
    covered = rule_out_by_cover(skin, situation, target, device.length_mm)
    for number in range(len(skin.reasons), len(covered.reasons)):
        rules.append((covered.reasons[number], "take it away and image anew", covered.reason == number))
    rules.append((MEETS_NEEDLE, OF_RULE[MEETS_NEEDLE], would_meet(situation, device, entries)))
    rules.append((TOO_SHORT, OF_RULE[TOO_SHORT], too_short(situation, device, entries)))
    low = clearances_low_mm(situation, device, entries)
    for column, risk in enumerate(situation.risks):
        remedy = OF_TISSUE.get(anatomy_of(risk.name).tissue, UNMOVABLE)
        rules.append((limit_words(situation, column), remedy, low[:, column] < risk.required_mm))
    walked = walk(situation.tissues, entries, target, situation.target.structure, situation.host, device.ends_beyond_mm)
    for words, bad in rules_of_the_path(situation, walked):
        rules.append((words, OF_RULE.get(words, "image in another breath state, or choose another target point"), bad))
    met = [rule for rule in rules if rule[2].any()] or rules[:1]
    return [rule[0] for rule in met], [rule[1] for rule in met], [rule[2] for rule in met]
