"""Whether the patient lies on the skin that would be the way in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.lines import unit
from navplan.planning.entry_candidates import NO_ROOM, TABLE, comes_from_below, down_direction
from navplan.planning.entry_search import SearchResult

MUCH_SHORTER = 0.67  # of the depth of the best way: from there on another position is worth a word (unsourced)


def other_position_words(
    found: SearchResult, positions: Sequence[str] = (), patient_position: str = ""
) -> tuple[str, ...]:
    """One sentence where the patient lies on skin much nearer to the target than the best way's entry; else none.

    It says how many entries the position hides (from the table's side, or without room for a hand above the table),
    how deep the target lies below the nearest of them, and in which of the protocol's `positions`, head or feet first
    as in `patient_position`, that one would be free of the table. Hidden entries were not judged further: bone may lie
    below them.
    """
    skin = found.skin_map
    hidden = [(words, np.flatnonzero(skin.reason == n)) for n, words in enumerate(skin.reasons)]
    hidden = [(words, entries) for words, entries in hidden if words in (TABLE, NO_ROOM) and len(entries)]
    if not hidden:
        return ()
    points = skin.points_mm[np.concatenate([entries for _, entries in hidden])]
    depths_mm = np.linalg.norm(points - found.target_mm, axis=1)
    nearest = int(np.argmin(depths_mm))
    best_mm = found.trajectories[0].trajectory.depth_mm if found.trajectories else np.inf
    if depths_mm[nearest] > MUCH_SHORTER * best_mm:
        return ()
    reasons = ", ".join(f"{len(entries)} {words}" for words, entries in hidden)
    best = f"the best way here is {best_mm:.0f} mm deep" if found.trajectories else "no way was found here"
    freeing = _positions_that_free(points[nearest], found.target_mm, positions, patient_position)
    named = f" {' or '.join(freeing)}" if freeing else ""
    return (
        f"the patient's position hides {len(points)} entries ({reasons}), the nearest {depths_mm[nearest]:.0f} mm from "
        f"the target, and {best}: consider another position (--position{named}), on an image taken in it",
    )


def _positions_that_free(
    entry_mm: NDArray[np.float64], target_mm: NDArray[np.float64], positions: Sequence[str], patient_position: str
) -> list[str]:
    """The positions, head or feet first as now, in which a needle through this entry does not come from below."""
    direction = unit(target_mm - entry_mm)
    return [
        position
        for position in positions
        if position in DOWN_BY_PATIENT_POSITION
        and position != patient_position
        and position[:2] == patient_position[:2]
        and not comes_from_below(direction, down_direction(position))
    ]
