"""The limits of live guidance, as data: each number with its source, or "unsourced"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from navplan.errors import InputError
from navplan.model.protocol import UNSOURCED, is_unsourced

SOURCES = {
    "tool_frozen_s": "longest of a tool in real recordings 0.17 s (PlusLibData); the limit itself unsourced",
    "reference_frozen_s": "longest of a reference in real recordings 0.5 s (PlusLibData); the limit itself unsourced",
}


@dataclass(frozen=True)
class GuidanceLimits:
    """pose_age: of tool and reference; registration_age, checkpoint_age: since the registration, and since the last
    checkpoint that held; checkpoint: how far off it may be; at_entry: nearer to the planned entry a place is that
    entry; reference_moved: farther than that has the reference carried entry or target since a checkpoint, with breath
    in its gate, and it has to be checked again. tip_age, tip_error: of the tip's calibration; landmark_error: no
    landmark is known better; landmark_residual, landmark_left_out, target_error: of the registration, the last also of
    what checkpoints leave unseen.

    hand_speed, hand_turn, jump: faster and farther than a hand moves is a jump, and of the reference farther than a
    patient does (reference_speed, reference_turn); settle: how long no fault must be seen before a pose counts again.
    reference_hidden: longer out of sight, and it may have been knocked meanwhile. tool_frozen, reference_frozen: the
    same matrix for longer is no measurement. latency: of what was sent, over the quickest seen; clock_step: by which
    two clocks may part at once, and the longest that nothing may be asked.

    bending: of the tip from where a straight shaft would have it. breath_age, stated_age: of a breath signal, of what a
    person stated. off_line, off_angle: from the planned line and direction, beyond which what was judged of that line
    no longer holds; overshoot: past the planned depth. length: of the tool against the plan's. clear_after: how long an
    alarm stays when its cause is gone. sources: by name; what is not there is unsourced.

    Raises InputError for a limit that is not above 0 and finite.
    """

    pose_age_s: float = 0.1
    registration_age_s: float = 4 * 3600.0
    checkpoint_age_s: float = 600.0
    checkpoint_mm: float = 2.0
    at_entry_mm: float = 5.0
    reference_moved_mm: float = 5.0
    tip_age_s: float = 12 * 3600.0
    tip_error_mm: float = 0.5
    landmark_error_mm: float = 0.5
    landmark_residual_mm: float = 3.0
    landmark_left_out_mm: float = 6.0
    target_error_mm: float = 5.0
    hand_speed_mm_s: float = 1500.0
    hand_turn_deg_s: float = 720.0
    reference_hidden_s: float = 30.0
    reference_speed_mm_s: float = 150.0
    reference_turn_deg_s: float = 90.0
    jump_mm: float = 3.0
    jump_deg: float = 3.0
    settle_s: float = 0.5
    tool_frozen_s: float = 0.25
    reference_frozen_s: float = 1.0
    latency_s: float = 0.15
    clock_step_s: float = 0.5
    bending_mm: float = 2.0
    breath_age_s: float = 0.2
    stated_age_s: float = 20.0
    off_line_mm: float = 5.0
    off_angle_deg: float = 5.0
    overshoot_mm: float = 2.0
    length_mm: float = 2.0
    clear_after_s: float = 0.5
    sources: Mapping[str, str] = field(default_factory=lambda: dict(SOURCES))

    def __post_init__(self) -> None:
        for name in self.names:
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"limit {name} of {getattr(self, name)}", "a number above 0")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all limits."""
        return tuple(one.name for one in fields(self) if one.name != "sources")

    def source(self, name: str) -> str:
        """Where a limit comes from."""
        return self.sources.get(name, UNSOURCED)

    @property
    def unsourced(self) -> tuple[str, ...]:
        """The names of those that no published source gives."""
        return tuple(name for name in self.names if is_unsourced(self.source(name)))
