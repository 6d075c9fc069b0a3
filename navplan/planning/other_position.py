"""Whether the patient lies on the skin that would be the way in."""

from __future__ import annotations

import numpy as np

from navplan.planning.entry_candidates import NO_ROOM, TABLE
from navplan.planning.entry_search import SearchResult

MUCH_SHORTER = 0.67  # of the depth of the best way: from there on another position is worth a word (unsourced)


def other_position_words(found: SearchResult) -> tuple[str, ...]:
    """One sentence where the patient lies on skin much nearer to the target than the best way's entry; else none."""
    skin = found.skin_map
    below = np.isin(skin.reason, [n for n, words in enumerate(skin.reasons) if words in (TABLE, NO_ROOM)])
    if not below.any():
        return ()
    nearest_mm = float(np.linalg.norm(skin.points_mm[below] - found.target_mm, axis=1).min())
    best_mm = found.trajectories[0].trajectory.depth_mm if found.trajectories else np.inf
    if nearest_mm > MUCH_SHORTER * best_mm:
        return ()
    best = f"the best way here is {best_mm:.0f} mm deep" if found.trajectories else "no way was found here"
    return (
        f"the patient lies on skin {nearest_mm:.0f} mm from the target, {best}: "
        "consider another position (--position), on an image taken in it",
    )
