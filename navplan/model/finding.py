"""One thing that was judged, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from navplan.errors import InputError

THIN = "thinner than the voxels"  # the gap of a clearance whose interval is not proven: the structure may go on unseen
FOUND_IN_PART = "found in part only"  # the gap of a structure whose maker says that more of it may be there
UNLABELLED = "explained by no label"  # the gap of tissue that the shaft meets
NOT_LOOKED_FOR = "that the protocol keeps clear of, not looked for or not found"
TICK = "Tick it when it is done"  # the remedy of a rule that a person follows: nothing closes it before
ROUNDING = 1e-6  # of a tenth: what a sum of binary fractions may miss a tenth by
WORTH_NAMING = 0.01  # probability of touching a structure from which an open item names it


class Verdict(StrEnum):
    """Worst first: FAIL, NOT_EVALUATED, WARN, PASS. What was not computed is never safe."""

    FAIL = "FAIL"
    NOT_EVALUATED = "NOT_EVALUATED"
    WARN = "WARN"
    PASS = "PASS"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of them; NOT_EVALUATED for none at all."""
    return min(verdicts, key=lambda verdict: verdict.rank, default=Verdict.NOT_EVALUATED)


@dataclass(frozen=True)
class Interval:
    """A length known to lie in [low_mm, high_mm]. NaN and infinite ends are refused: they are NOT_EVALUATED, not a
    length."""

    low_mm: float
    high_mm: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low_mm) and np.isfinite(self.high_mm)) or self.low_mm > self.high_mm + 1e-9:
            raise InputError(f"interval [{self.low_mm}, {self.high_mm}] mm", "two finite ends, low <= high")

    def __str__(self) -> str:
        return f"{tenth_below(self.low_mm):.1f} to {tenth_above(self.high_mm):.1f} mm"


def tenth_below(mm: float) -> float:
    """Rounded down to .1 mm: a distance is never told larger than it is."""
    return float(np.floor(mm * 10.0 + ROUNDING)) / 10.0


def tenth_above(mm: float) -> float:
    """Rounded up to .1 mm."""
    return float(np.ceil(mm * 10.0 - ROUNDING)) / 10.0


class FindingKind(StrEnum):
    """What a finding is about."""

    CLEARANCE = "clearance"
    CONTACT = "contact"
    PRESENCE = "presence"
    NOT_IMAGED = "not_imaged"
    IMAGE_EDGE = "image_edge"
    IMAGE_READING = "image_reading"
    CROSSING = "crossing"
    PUNCTURES = "punctures"
    TARGET = "target"
    SKIN = "skin"
    DEVICE = "device"
    SIDE = "side"
    PATIENT = "patient"
    ABLATION = "ablation"
    RULES = "rules"
    IMAGE = "image"
    ERROR_MODEL = "error_model"


@dataclass(frozen=True)
class Finding:
    """One thing that was judged, and how.

    distance: clearance needle surface to structure surface, as an interval (None: no distance applies or none is
    known).
    nearest_mm: the structure's nearest point; needle_mm: the axis point it is nearest to (LPS mm); at_depth_mm: its
    depth.
    crossed_mm: length of the swept shaft inside the structure's voxels. remedy: the one step that would close the
    gap; gap: the gap in a few words, the same for all findings that the same step closes.
    part: of the needle that distance and crossed_mm are about, where it is not all of it.
    """

    kind: FindingKind
    verdict: Verdict
    words: str
    structure: str = ""
    distance: Interval | None = None
    required_mm: float | None = None
    breach_probability: float | None = None
    nearest_mm: tuple[float, float, float] | None = None
    needle_mm: tuple[float, float, float] | None = None
    at_depth_mm: float | None = None
    crossed_mm: float = 0.0
    source: str = ""
    remedy: str = ""
    gap: str = ""
    part: str = ""
