"""What a person draws for an interactive segmenter, as a page sends it: checked, and in words for the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from navplan.errors import InputError
from navplan.extend.interactive_checks import PROMPTS
from navplan.model.draft import Point
from navplan.session.asked import point_of, text_of

FEWEST = {"point": 1, "scribble": 1, "lasso": 3, "box": 2}
MOST = {"point": 1, "scribble": 4000, "lasso": 4000, "box": 2}


@dataclass(frozen=True)
class Mark:
    """A prompt as it was drawn, LPS mm; positive False: no part of it. normal: square to the slice it was drawn on."""

    kind: str
    positive: bool
    points: tuple[Point, ...]
    normal: Point | None = None

    @property
    def words(self) -> str:
        """For the record: "point in it at (-61.0, 12.5, 84.0)", "lasso not in it, 42 points"."""
        of = "in it" if self.positive else "not in it"
        if self.kind != "point":
            return f"{self.kind} {of}, {len(self.points)} points"
        return f"point {of} at ({', '.join(f'{value:.1f}' for value in self.points[0])})"


def mark_of(kind: Any, points: Any, positive: Any, normal: Any = None) -> Mark:
    """Raises InputError for a kind that there is not, a number of points beside FEWEST and MOST, points or a normal
    that are none."""
    kind = text_of(kind, "a prompt")
    if kind not in PROMPTS:
        raise InputError(f"a prompt {kind[:60]!a}", ", ".join(PROMPTS))
    if not isinstance(positive, bool):
        raise InputError(f"positive {str(positive)[:60]!a}", "true or false")
    if not isinstance(points, list | tuple) or not FEWEST[kind] <= len(points) <= MOST[kind]:
        raise InputError(f"a {kind} of another number of points", f"{FEWEST[kind]} to {MOST[kind]} points")
    places = tuple(point_of(one, "a point of it") for one in points)
    known = tuple(one for one in places if one is not None)
    if len(known) < len(places):
        raise InputError("no point", "three LPS coordinates in mm")
    square_to = point_of(normal, "a normal")
    if square_to is not None and not any(square_to):
        raise InputError("a normal of no length", "a direction, LPS")
    return Mark(kind, positive, known, square_to)
