"""What lies on the skin, or over it, where a needle would go in: drapes, dressings, leads, stomas, ports, scars.

Only what is labelled can be found: CT shows dressings and drapes badly or not at all, and they are put on after it.

- What the protocol names in `entry_not_on`, and all that lies outside the body (Tissue.OUTSIDE): no entry there.
- Any other mark of the skin (Tissue.SKIN: a scar, a tattoo): the entry is possible, and a person has to look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import unit
from navplan.model.anatomy import Tissue
from navplan.model.protocol import fits
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import occupancy_at
from navplan.planning.entry_candidates import HUB_MM, SkinPoints, lies_as_imaged
from navplan.planning.situation import Situation

NEAR_MM = 5.0  # beyond half a voxel: an entry this close to what lies on the skin is on it (unsourced)
WHOLE_SURFACE = ("body", "skin")
OF_THE_TABLE = ("couch*", "table*", "cushion*")  # they stay behind where the patient will lie otherwise


@dataclass(frozen=True, eq=False)
class Cover:
    """One structure on or over the skin: whether an entry is forbidden there (else: a person has to look), whether
    the protocol says so, and which of the entries lie on it; through: which needles, outside, would pass through it."""

    name: str
    forbidden: bool
    by_protocol: bool
    on: NDArray[np.bool_]
    through: NDArray[np.bool_]


def covers(
    situation: Situation, entries_mm: NDArray[np.float64], target_mm: NDArray[np.float64], needle_mm: float
) -> list[Cover]:
    """What is labelled at entries (N, 3) to a target point (3,), LPS mm, for a needle of this length; those that cover
    none are left out."""
    found = []
    as_imaged = lies_as_imaged(situation.image, situation.patient_position)
    for name, structure in situation.structures.items():
        kind = structure.anatomy.tissue
        by_protocol = any(fits(name, pattern, situation.side) for pattern in situation.protocol.entry_not_on)
        at_skin = by_protocol or kind is Tissue.OUTSIDE or (kind is Tissue.SKIN and name not in WHOLE_SURFACE)
        stays = not as_imaged and any(fits(name, pattern) for pattern in OF_THE_TABLE)
        if not at_skin or stays or structure.presence is not Presence.PRESENT:
            continue
        on = _near(structure, entries_mm)
        through = np.zeros_like(on)
        if kind is Tissue.OUTSIDE:
            through = _passed(structure, entries_mm, target_mm, needle_mm, ~on)
        if on.any() or through.any():
            found.append(Cover(name, by_protocol or kind is Tissue.OUTSIDE, by_protocol, on, through))
    return found


def rule_out_by_cover(
    skin: SkinPoints, situation: Situation, target_mm: NDArray[np.float64], needle_mm: float
) -> SkinPoints:
    """Mark the entries that are still open and not free."""
    reason, names = skin.reason.copy(), list(skin.reasons)
    still = np.flatnonzero(reason == -1)
    for cover in covers(situation, skin.points_mm[still], target_mm, needle_mm) if len(still) else ():
        if cover.forbidden:
            names.append(f"skin not free: {cover.name}")
            covered = still[cover.on | cover.through]
            reason[covered[reason[covered] == -1]] = len(names) - 1
    return SkinPoints(skin.points_mm, skin.outward, reason, tuple(names))


def _near(structure: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (N, 3) lie in a structure or within NEAR_MM and half a voxel of one of its voxels' centres."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree

    assert structure.grid is not None and structure.occupancy is not None
    reach_mm = NEAR_MM + structure.grid.diagonal_mm / 2
    near = np.zeros(len(points_mm), dtype=bool)
    index = structure.grid.indices(points_mm)
    margin = reach_mm / structure.grid.spacing_mm
    close = ((index >= -margin) & (index <= np.asarray(structure.grid.shape) - 1 + margin)).all(axis=1)
    if not close.any():
        return near
    low = np.maximum(np.floor(index[close].min(axis=0) - margin).astype(int), 0)
    high = np.ceil(index[close].max(axis=0) + margin).astype(int) + 1
    part = structure.occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] > 0
    shell = np.argwhere(part & ~binary_erosion(part)) + low
    if len(shell):
        distance, _ = cKDTree(structure.grid.points_mm(shell)).query(points_mm[close], distance_upper_bound=reach_mm)
        near[close] = np.isfinite(distance) | (occupancy_at(structure, points_mm[close]) > 0)
    return near


def _passed(
    structure: Structure,
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    needle_mm: float,
    which: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which needles (N,), outside the skin, would pass through a structure with shaft or hub on their way in."""
    assert structure.grid is not None
    passed = np.zeros(len(entries_mm), dtype=bool)
    rows = np.flatnonzero(which & (np.linalg.norm(entries_mm - target_mm, axis=1) > 0))
    if not len(rows):
        return passed
    away = unit(entries_mm[rows] - target_mm)
    first, last = _depths_in_box(structure, entries_mm[rows], away)
    first, last = np.maximum(first, 0.0), np.minimum(last, needle_mm + HUB_MM)
    step_mm = float(structure.grid.spacing_mm.min()) / 2
    for n in range(int(np.ceil(max(float((last - first).max()), 0.0) / step_mm)) + 1):
        out_mm = first + n * step_mm
        open_rows = np.flatnonzero((out_mm <= last) & ~passed[rows])
        points = entries_mm[rows[open_rows]] + out_mm[open_rows, None] * away[open_rows]
        passed[rows[open_rows[occupancy_at(structure, points) > 0]]] = True
    return passed


def _depths_in_box(
    structure: Structure, starts_mm: NDArray[np.float64], directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where rays enter and leave the box of a structure's voxels (mm along each, (N,)); first > last where they miss
    it."""
    grid = structure.grid
    assert grid is not None
    start = grid.indices(starts_mm)
    along = grid.indices(starts_mm + directions) - start
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)
    to_low, to_high = (-0.5 - start) / along, (np.asarray(grid.shape) - 0.5 - start) / along
    return np.minimum(to_low, to_high).max(axis=1), np.maximum(to_low, to_high).min(axis=1)
