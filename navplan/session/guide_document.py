"""A frame of live guidance as plain data for the page. What may not be used now is null: nothing of before is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.model.finding import Verdict, tenth_above, tenth_below
from navplan.model.trajectory import Trajectory
from navplan.navigation.alarms import Alarm
from navplan.navigation.approach import Approach
from navplan.navigation.guidance import GuidanceFrame
from navplan.navigation.live_margin import StructureMargin
from navplan.view.colours import VERDICT_SYMBOLS, VERDICT_WORDS, spoken, spoken_words

MOST_MARGINS = 5


def frame_document(frame: GuidanceFrame, way: Trajectory, across: NDArray[np.float64]) -> dict[str, Any]:
    """What is known at one moment, towards a planned way. across: unit vectors (2, 3) to the right and down of the
    probe's eye, that the bull's-eye is drawn in."""
    at = frame.approach
    reasons = [{**_graded(one.verdict), "id": one.id, "words": spoken_words(one.words)} for one in frame.reasons]
    first = reasons[0]["words"] if reasons else _without_reason(frame)
    return {
        **_graded(frame.verdict), "first": first, "reasons": reasons[:8],
        "more": max(sum(one.count for one in frame.reasons) - 1, 0),
        "tone": frame.tone, "alarms": [_alarm(one, frame.now_s) for one in _in_order(frame)],
        "at": None if at is None else _approach(at, way, frame, across),
        "margins": [_margin(one) for one in _nearest(frame.margins)], "judged": len(frame.margins),
        "error": frame.error.words if frame.error is not None and frame.error.known else "",
        "age_ms": round(1000 * frame.age_s) if np.isfinite(frame.age_s) else None,
        "checkpoint": frame.checkpoint,
    }  # fmt: skip


def not_evaluated(words: str) -> dict[str, Any]:
    """A frame of which nothing is known, and why."""
    grade = _graded(Verdict.NOT_EVALUATED)
    return {
        **grade, "first": words, "more": 0, "reasons": [{**grade, "id": "guidance", "words": words}], "tone": "double",
        "alarms": [{**grade, "id": "guidance", "words": words, "for_s": 0.0, "clearing": False}], "at": None,
        "margins": [], "judged": 0, "error": "", "age_ms": None, "checkpoint": "",
    }  # fmt: skip


def _graded(verdict: Verdict) -> dict[str, str]:
    return {"verdict": verdict.value, "word": VERDICT_WORDS[verdict], "symbol": VERDICT_SYMBOLS[verdict]}


def _without_reason(frame: GuidanceFrame) -> str:
    if frame.alarms:
        return f"{spoken_words(frame.alarms[0].words)} (until a moment ago)"
    least = frame.nearest
    return f"{spoken(least.name)}: {tenth_below(least.low_mm)} mm and more" if least is not None else ""


def _alarm(alarm: Alarm, now_s: float) -> dict[str, Any]:
    return {
        **_graded(alarm.verdict), "id": alarm.id, "words": spoken_words(alarm.words),
        "for_s": round(max(now_s - alarm.since_s, 0.0), 1), "clearing": alarm.cleared_s is not None,
    }  # fmt: skip


def _in_order(frame: GuidanceFrame) -> list[Alarm]:
    """The worst first; of the same grade what is no structure's, then the structures from near to far."""
    near = {f"margin:{one.name}": one.low_mm for one in frame.margins}
    return sorted(frame.alarms, key=lambda one: (one.verdict.rank, near.get(one.id, -np.inf)))


def _nearest(margins: Sequence[StructureMargin]) -> list[StructureMargin]:
    """First what fails or is not evaluated, then what has the least to spare, whatever its grade: a structure that is
    thin but far away does not take the place of one that is near."""

    def order(one: StructureMargin) -> tuple[int, float]:
        rank = one.verdict.rank if one.verdict in (Verdict.FAIL, Verdict.NOT_EVALUATED) else len(Verdict)
        return rank, one.low_mm - one.required_mm

    return sorted(margins, key=order)[:MOST_MARGINS]


def _margin(one: StructureMargin) -> dict[str, Any]:
    """A lower end is rounded down, an upper one up."""
    known = np.isfinite(one.low_mm)
    return {
        **_graded(one.verdict), "name": one.name, "spoken": spoken(one.name), "words": spoken_words(one.words),
        "low_mm": tenth_below(one.low_mm) if known else None,
        "high_mm": tenth_above(one.high_mm) if np.isfinite(one.high_mm) else None,
        "required_mm": one.required_mm,
    }  # fmt: skip


def _approach(at: Approach, way: Trajectory, frame: GuidanceFrame, across: NDArray[np.float64]) -> dict[str, Any]:
    entry, target = np.asarray(way.entry_mm), np.asarray(way.target_mm)
    return {
        "to_target_mm": _tenth(at.to_target_mm), "target_distance_mm": _tenth(at.target_distance_mm),
        "cross_track_mm": _tenth(at.cross_track_mm), "entry_aside_mm": _tenth(at.entry_aside_mm),
        "target_aside_mm": _tenth(at.target_aside_mm), "entry_distance_mm": _tenth(at.entry_distance_mm),
        "angle_deg": _tenth(at.angle_deg), "depth_mm": _tenth(at.depth_mm), "ahead_mm": _tenth(at.ahead_mm),
        "inserted_mm": None if frame.inserted_mm is None else _tenth(frame.inserted_mm),
        "bent_mm": None if frame.bent_mm is None else _tenth(frame.bent_mm),
        "tip_at": _tenths(across @ (at.tip_mm - entry)), "entry_at": _tenths(_passes(at, entry, way, across)),
        "target_at": _tenths(_passes(at, target, way, across)),
        "tip_mm": at.tip_mm.tolist(), "direction": at.direction.tolist(), "end_mm": at.end_mm.tolist(),
        "hub_mm": (at.tip_mm - way.device.length_mm * at.direction).tolist(),
    }  # fmt: skip


def _passes(
    at: Approach, place: NDArray[np.float64], way: Trajectory, across: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """(2,) where the needle's line meets the plane through a place square to the planned way, beside that place; None
    where it runs along that plane."""
    slope = float(at.direction @ way.direction)
    if slope < 0.05:
        return None
    met = at.tip_mm + float((place - at.tip_mm) @ way.direction) / slope * at.direction
    return np.asarray(across @ (met - place))


def _tenths(pair: NDArray[np.float64] | None) -> list[float] | None:
    return None if pair is None else [_tenth(value) for value in pair]


def _tenth(value: float) -> float:
    return round(float(value), 1)
