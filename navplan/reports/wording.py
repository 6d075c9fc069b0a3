"""How numbers, verdicts and sources are written in reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from navplan.model.protocol import UNSOURCED, is_unsourced
from navplan.model.safety import Finding, Interval, Verdict
from navplan.view.colours import VERDICT_SYMBOLS, VERDICT_WORDS, spoken

NOT_CLINICAL = "for research and training, not for clinical use"
DASH = "–"


@dataclass(frozen=True)
class Badge:
    """A verdict as symbol, word and style: never a colour alone."""

    symbol: str
    word: str
    style: str


def badge(verdict: Verdict) -> Badge:
    """The badge of a verdict."""
    return Badge(VERDICT_SYMBOLS[verdict], VERDICT_WORDS[verdict], verdict.value.lower())


@dataclass
class Sources:
    """Sources in the order in which a report first names them: printed as numbers, listed at its end."""

    listed: list[str] = field(default_factory=list)

    def mark(self, source: str) -> str:
        """ "[3]", "unsourced", or "[3] in part unsourced" for a source; a dash for none."""
        words = source.strip()
        if not words:
            return DASH
        if words == UNSOURCED:
            return UNSOURCED
        if words not in self.listed:
            self.listed.append(words)
        number = f"[{self.listed.index(words) + 1}]"
        return f"{number} in part {UNSOURCED}" if is_unsourced(words) else number


def interval_words(interval: Interval | None) -> str:
    """ "3.6 to 8.1", in mm; a dash where none is known."""
    return DASH if interval is None else f"{interval.low_mm:.1f} to {interval.high_mm:.1f}"


def clearance_words(finding: Finding) -> str:
    """The clearance in mm; how far the shaft runs inside where it does."""
    if finding.crossed_mm > 0:
        return f"INSIDE over {finding.crossed_mm:.1f}"
    return interval_words(finding.distance)


def percent(share: float | None, upper_bound: bool = False) -> str:
    """A probability for a person: never 0 % or 100 % where it is not, an upper bound rounded up; a dash where none was
    computed."""
    if share is None:
        return DASH
    if share < 0.001:
        return "< 0.1 %"
    if share > 0.999 and share < 1:
        return "> 99.9 %"
    digits = 1 if share < 0.10 else 0
    steps = 100.0 * share * 10**digits
    value = math.ceil(round(steps, 6)) / 10**digits if upper_bound else 100.0 * share
    return f"{'≤ ' if upper_bound else ''}{value:.{digits}f} %"


def short(identifier: str, letters: int = 12) -> str:
    """The first letters of a digest, the last ones of a UID."""
    if not identifier:
        return "not stated"
    if len(identifier) <= letters:
        return identifier
    return f"…{identifier[-letters:]}" if "." in identifier else f"{identifier[:letters]}…"


def stated(words: str, what: str = "") -> str:
    """A fact, or that the image does not state it."""
    return words or f"{what} not stated".strip()


def point_words(point_mm: tuple[float, float, float]) -> str:
    """An LPS point, with the sides of the patient instead of bare signs."""
    x, y, z = point_mm
    return f"L {x:.1f}   P {y:.1f}   S {z:.1f}"


def named(structure: str) -> str:
    """A structure's canonical name as words."""
    return "tissue without a label" if structure == "unlabelled" else spoken(structure)
