"""Very many ways in to one target, judged by the broad phase: what is ruled out and why, what the rest is worth.

The search calls it with the whole skin, the refinement with a few points beside the best, the app with the one point
under the cursor: what is ruled out is ruled out by the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.model.device import Device
from navplan.planning.ablation_ways import METRIC as MARGIN
from navplan.planning.ablation_ways import margins_over_goal_mm
from navplan.planning.boundary import Boundary, occupancy_at
from navplan.planning.broad_phase import broad_distances
from navplan.planning.criteria import desirability, path_metrics, walk
from navplan.planning.device_choice import reach_mm
from navplan.planning.entry_candidates import (
    RE_ENTRY,
    Rule,
    SkinPoints,
    access_rules,
    body_structure,
    down_direction,
    lies_as_imaged,
    rule_out,
)
from navplan.planning.margins import margins
from navplan.planning.other_needles import too_close
from navplan.planning.reach import reach_metrics
from navplan.planning.sequence_rules import broken, out_of_pedicle_mm
from navplan.planning.situation import Situation
from navplan.planning.skin_not_free import rule_out_by_cover
from navplan.planning.tip_resting import tips_resting

TOO_SHORT = "the needle is too short"
MEETS_NEEDLE = "another needle is in the way"
FISSURE = "a fissure is crossed"
AT_ONCE = 65536  # ways whose clearances are in memory together
RIB_FAR_MM = 30.0  # beyond it a rib above says nothing of its lower edge


@dataclass(frozen=True, eq=False)
class Ways:
    """N ways from skin points to a target.

    skin: the points, each with the reason that rules it out (-1: free); shortfall_mm (N,): by how much the limit that
    is missed worst is missed, NaN where that is no length. open_rows (K,): the ways whose clearances were measured;
    free_rows (F,): the free ways;
    metrics: by name, (F,); scores (F, C): desirability by criterion; value (F,): their weighted mean.
    """

    skin: SkinPoints
    shortfall_mm: NDArray[np.float32]
    open_rows: NDArray[np.int64]
    free_rows: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    scores: NDArray[np.float64]
    value: NDArray[np.float64]


def swept_ends_mm(
    entries_mm: NDArray[np.float64], target_mm: NDArray[np.float64], device: Device
) -> NDArray[np.float64]:
    """(N, 3) the farthest points that the tip reaches: a needle that fires stands short of the target by half its
    throw, if the way is that long (navplan.planning.entry_search.trajectory_to)."""
    span = target_mm - entries_mm
    depth = np.maximum(np.linalg.norm(span, axis=1), 1e-9)
    short = np.minimum(device.stands_short_mm, np.maximum(depth - 1.0, 0.0))
    return np.asarray(entries_mm + ((depth - short + device.throw_mm) / depth)[:, None] * span)


def try_ways(situation: Situation, device: Device, skin: SkinPoints) -> Ways:
    """Judge each skin point as an entry to the situation's target."""
    target = situation.target_mm
    skin = rule_out_outside(situation, device, skin)
    open_rows = np.flatnonzero(skin.reason == -1)
    entries = skin.points_mm[open_rows]
    reason, shortfall, least = _worst_limits(situation, device, entries)
    names = [limit_words(situation, column) for column in range(len(situation.risks))]
    walked = walk(situation.tissues, entries, target, situation.target.structure, situation.host, device.ends_beyond_mm)
    for words, bad in rules_of_the_path(situation, walked):
        names.append(words)
        reason[(reason == -1) & bad] = len(names) - 1
    if situation.protocol.sequence_rules:
        left = np.flatnonzero(reason == -1)
        for words, bad in broken(situation, device, entries[left]):
            names.append(words)
            reason[left[bad & (reason[left] == -1)]] = len(names) - 1
    merged, all_shortfall = skin.reason.copy(), np.full(len(skin.points_mm), np.nan, dtype=np.float32)
    ruled_out = reason >= 0
    merged[open_rows[ruled_out]] = (reason[ruled_out] + len(skin.reasons)).astype(np.int16)
    all_shortfall[open_rows] = shortfall
    free = np.flatnonzero(reason == -1)
    metrics = path_metrics(situation.tissues, entries[free], target, situation.host, walked[free])
    metrics |= reach_metrics(entries[free], target, device, situation.image.grid, situation.patient_position)
    metrics["clearance_mm"] = least[free]
    if any(soft.metric == "rib_above_mm" for soft in situation.protocol.soft):
        metrics["rib_above_mm"] = rib_above_mm(situation, device, entries[free])
    if any(soft.metric == "pedicle_out_mm" for soft in situation.protocol.soft):
        metrics["pedicle_out_mm"] = out_of_pedicle_mm(situation, device, entries[free])
    if any(soft.metric == MARGIN for soft in situation.protocol.soft):
        metrics[MARGIN] = margins_over_goal_mm(situation, device, entries[free])
    soft = situation.protocol.soft
    scores = np.stack([desirability(s, metrics[s.metric]) for s in soft], axis=1) if soft else np.zeros((len(free), 0))
    weights = np.asarray([s.weight for s in soft])
    return Ways(
        SkinPoints(skin.points_mm, skin.outward, merged, (*skin.reasons, *names)),
        all_shortfall,
        open_rows,
        open_rows[free],
        metrics,
        scores,
        scores @ weights / max(float(weights.sum()), 1e-12),
    )


def access_rules_of(situation: Situation, needle_mm: float) -> list[tuple[str, Rule]]:
    """What a needle of this length cannot be brought to (navplan.planning.entry_candidates.access_rules)."""
    return access_rules(
        situation.image,
        body_structure(situation.structures),
        situation.target_mm,
        down_direction(situation.patient_position),
        needle_mm,
        lies_as_imaged(situation.image, situation.patient_position),
    )


def rule_out_outside(situation: Situation, device: Device, skin: SkinPoints) -> SkinPoints:
    """Mark what is ruled out before a needle is in: table, room, what lies on the skin, other needles, its length."""
    skin = rule_out(skin, access_rules_of(situation, device.length_mm))
    skin = rule_out_by_cover(skin, situation, situation.target_mm, device.length_mm)
    rules: list[tuple[str, Rule]] = [(TOO_SHORT, lambda points, normals: too_short(situation, device, points))]
    if situation.others:
        rules.insert(0, (MEETS_NEEDLE, lambda points, normals: would_meet(situation, device, points)))
    return rule_out(skin, rules)


def would_meet(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether another needle is in the way."""
    return too_close(entries_mm, situation.target_mm, device, situation.others, situation.target.structure)


def too_short(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether the needle does not reach, with the reserve left outside."""
    return np.asarray(np.linalg.norm(entries_mm - situation.target_mm, axis=1) > reach_mm(device))


def clearances_low_mm(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, S) lower ends of the clearances of the whole swept shaft; where one is so large that neither limit nor wish
    asks for it, a lower bound of it. Where a tip rests on a structure by the protocol's leave, those of the shaft."""
    below = np.asarray([boundary.below_mm for boundary in situation.boundaries])
    wishes = [max(s.ideal, s.limit) for s in situation.protocol.soft if s.metric == "clearance_mm"]
    asked = np.maximum(situation.required_mm, max(wishes, default=0.0)) if len(below) else below
    ends = swept_ends_mm(entries_mm, situation.target_mm, device)
    distance = broad_distances(situation.blocks, entries_mm, ends, asked + below + device.radius_mm + 1.0)
    distance -= below.astype(np.float32) + np.float32(1e-4)  # the rounding of below itself
    np.maximum(distance, 0.0, out=distance)
    distance -= np.float32(device.radius_mm) + np.float32(1e-6)
    for column, rests in tips_resting(situation, entries_mm, ends, device.radius_mm, distance).items():
        distance[rests.rows, column] = rests.shaft_low_mm
    return distance


def _worst_limits(
    situation: Situation, device: Device, entries_mm: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
    """For each way (N,) the structure whose limit is missed worst (-1: none), by how much (NaN: none), and the smallest
    clearance. A limit counts as kept only at the interval's lower end. In parts: millions of ways fit into memory."""
    count = len(entries_mm)
    reason, shortfall = np.full(count, -1), np.full(count, np.nan, dtype=np.float32)
    least = np.full(count, np.inf)
    required = situation.required_mm.astype(np.float32)
    for first in range(0, count if len(required) else 0, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        low = clearances_low_mm(situation, device, entries_mm[part])
        least[part] = low.min(axis=1)
        np.subtract(required, low, out=low)
        worst = np.argmax(low, axis=1)
        by = low[np.arange(len(low)), worst]
        reason[part] = np.where(by > 0, worst, -1)
        shortfall[part] = np.where(by > 0, by, np.nan)
    return reason, shortfall, least


def limit_words(situation: Situation, column: int) -> str:
    """How a limit that is missed is called."""
    risk = situation.risks[column]
    return f"{risk.name}: less than {risk.required_mm:g} mm" if risk.required_mm else f"{risk.name}: in the way"


def rules_of_the_path(situation: Situation, walked: NDArray[np.float64]) -> list[tuple[str, NDArray[np.bool_]]]:
    """What else rules ways out, in words, and which of them (navplan.planning.criteria.walk)."""
    limit = situation.protocol.pleura_punctures_max
    most = np.inf if limit is None else limit
    return [
        (RE_ENTRY, walked[:, 4] > 1),
        (f"more than {limit} pleural puncture{'' if limit == 1 else 's'}", walked[:, 2] > most),
        (FISSURE, walked[:, 5] > 0),
    ]


def rib_above_mm(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) clearance to the nearest rib that lies on the head's side of the needle, at most RIB_FAR_MM: the bundle runs
    under its lower edge."""
    found = np.full(len(entries_mm), RIB_FAR_MM)
    ribs = [b for b in situation.boundaries if b.structure.name.startswith("rib")]
    if not ribs or not len(entries_mm):
        return found
    ends = swept_ends_mm(entries_mm, situation.target_mm, device)
    measured = margins(ribs, entries_mm, ends)
    direction = (ends - entries_mm) / np.linalg.norm(ends - entries_mm, axis=1, keepdims=True)
    for column, rib in enumerate(ribs):
        height = _height_of_nearest(rib, measured.nearest[:, column])
        low = np.maximum(measured.centre_mm[:, column] - rib.below_mm, 0.0) - device.radius_mm
        nearest = entries_mm + measured.along_mm[:, column, None] * direction
        above = height > nearest[:, 2]
        above |= occupancy_at(rib.structure, nearest) > 0  # a rib that is met keeps nothing
        found = np.where(above, np.minimum(found, low), found)
    return found


def _height_of_nearest(boundary: Boundary, nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(boundary.centres_mm[nearest, 2])
