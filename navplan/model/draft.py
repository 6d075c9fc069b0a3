"""What a person at work on a case has chosen and not yet approved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.errors import GeometryError

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Draft:
    """Choices, each "" (or None) where nothing was chosen yet. Small and plain, so that it can be undone and kept.

    target: name of a structure; aim_mm: LPS mm, a point of it (or a bare point) that the person chose. way: which way
    of plan_id is looked at, from 0; entry_mm, moved_aim_mm: where the person moved that way's entry and aim to.
    remarks: the person's own.

    Raises GeometryError for points that are not three finite numbers.
    """

    image_id: str = ""
    protocol: str = ""
    target: str = ""
    aim_mm: Point | None = None
    side: str = ""
    device: str = ""
    guidance: str = ""
    patient_position: str = ""
    plan_id: str = ""
    way: int = 0
    entry_mm: Point | None = None
    moved_aim_mm: Point | None = None
    remarks: str = ""
    level: str = ""

    def __post_init__(self) -> None:
        for name in ("aim_mm", "entry_mm", "moved_aim_mm"):
            point = getattr(self, name)
            if point is not None and (len(point) != 3 or not np.isfinite(point).all()):
                raise GeometryError(f"{name} {point}", "three finite LPS coordinates in mm")

    @property
    def moved(self) -> bool:
        """Whether the way is no longer where the search put it."""
        return self.entry_mm is not None or self.moved_aim_mm is not None
