"""Where the count of the vertebrae can begin without a seed: the sacrum, the last and the first pair of ribs.

Each may mislead: a transitional vertebra, a rib more or less. All limits are starting values without a published
source, set on one chest and one abdomen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask
from navplan.imaging.ribs import FIRST_SHORTER, LAST_SHORTER, ROOT_BELOW, Rib
from navplan.imaging.vertebrae import LEVELS, AboutCourse, SpineCourse, odd_gap

WING_MM, WING_AHEAD_MM = (30.0, 50.0), (-10.0, 25.0)  # beside, before the canal: the wings of the sacrum
WING = 0.25  # of that place that bone fills, on both sides
WINGS_HIGH_MM = 20.0  # over which it does so
L5_ABOVE_MM = (3.0, 35.0)  # its pedicles above the top of the wings
SACRUM = "the sacrum"
FREE = 2  # vertebrae in the image without a rib, beyond the last or first pair


@dataclass(frozen=True)
class Anchor:
    """A vertebra (number, 1 = the lowest pair of pedicles) whose level the image's extent tells, and by what."""

    number: int
    level: str
    by: str


def find_anchors(bone: Mask, about: AboutCourse, course: SpineCourse, ribs: list[Rib]) -> list[Anchor]:
    """What tells a level in this image, from below upwards; none where nothing does."""
    found = [_above_sacrum(bone, about, course), _last_rib(course, ribs), _first_rib(course, ribs)]
    return [anchor for anchor in found if anchor is not None]


def agreed(anchors: list[Anchor]) -> bool:
    """Whether all of them give every vertebra the same level: with a level missed between them, or too many, not."""
    return len({LEVELS.index(anchor.level) - anchor.number for anchor in anchors}) <= 1


def _above_sacrum(bone: Mask, about: AboutCourse, course: SpineCourse) -> Anchor | None:
    high = np.ones(len(course.along_mm), dtype=bool)
    deep = (about.ahead_mm > WING_AHEAD_MM[0]) & (about.ahead_mm < WING_AHEAD_MM[1])
    point = np.clip(np.rint(np.interp(about.along_mm, course.along_mm, np.arange(len(high)))), 0, len(high) - 1)
    for side in (1, -1):
        beside = (side * about.left_mm > WING_MM[0]) & (side * about.left_mm < WING_MM[1])
        place = beside & deep[None]
        full = _profile((place & bone).sum(axis=0), point, len(high))
        room = _profile(place.sum(axis=0), point, len(high))
        high &= full > WING * np.maximum(room, 1e-6)
    runs, count = ndimage.label(high)
    long = [n for n in range(1, count + 1) if np.ptp(course.along_mm[runs == n]) >= WINGS_HIGH_MM]
    if not long:
        return None
    top = float(course.along_mm[runs == long[-1]].max())
    above = course.along_mm[course.pedicles] - top
    first = int(np.argmax(above > L5_ABOVE_MM[0]))
    if not L5_ABOVE_MM[0] < above[first] <= L5_ABOVE_MM[1]:
        return None
    return Anchor(first + 1, "vertebrae_L5", SACRUM)


def _profile(count: NDArray[np.intp], point: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    sums = np.bincount(point.ravel().astype(np.intp), weights=count.ravel(), minlength=length)
    return np.asarray(ndimage.gaussian_filter1d(sums, 4.0))


def _last_rib(course: SpineCourse, ribs: list[Rib]) -> Anchor | None:
    numbers = []
    for side in ("left", "right"):
        rooted = _rooted(ribs, side)
        if len(rooted) < 2 or rooted[0].cut or rooted[0].reach_mm > LAST_SHORTER * rooted[1].reach_mm:
            return None
        numbers.append(_beside(course, rooted[0]))
    # With fewer vertebrae below it may be any rib, whose lower neighbours were not found.
    if numbers[0] is None or numbers[0] != numbers[1] or numbers[0] <= FREE:
        return None
    return Anchor(numbers[0], "vertebrae_T12", "the last ribs")


def _first_rib(course: SpineCourse, ribs: list[Rib]) -> Anchor | None:
    numbers = []
    for side in ("left", "right"):
        rooted = _rooted(ribs, side)
        if len(rooted) < 2 or rooted[-1].cut or rooted[-1].reach_mm > FIRST_SHORTER * rooted[-2].reach_mm:
            return None
        numbers.append(_beside(course, rooted[-1]))
    if numbers[0] is None or numbers[0] != numbers[1] or not 1 <= numbers[0] <= len(course.pedicles) - FREE:
        return None
    return Anchor(numbers[0], "vertebrae_T1", "the first ribs")


def _rooted(ribs: list[Rib], side: str) -> list[Rib]:
    return sorted((r for r in ribs if r.side == side and not np.isnan(r.root_mm)), key=lambda rib: rib.root_mm)


def _beside(course: SpineCourse, rib: Rib) -> int | None:
    """Number of the vertebra beside a rib's root; one above the highest or below the lowest that was found, too."""
    at = course.along_mm[course.pedicles]
    gaps = np.diff(at)
    steps = np.concatenate([[at[0] - gaps[0]], at, [at[-1] + gaps[-1]]])
    if not steps[0] <= rib.root_mm <= steps[-1]:
        return None
    place = float(np.interp(rib.root_mm, steps, np.arange(len(steps)))) + ROOT_BELOW
    low = min(max(int(place) - 1, 0), len(gaps) - 1)
    return None if odd_gap(gaps, low) else int(np.rint(place))
