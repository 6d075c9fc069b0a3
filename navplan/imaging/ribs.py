"""Ribs on CT: the long thin bones that begin beside the spine, parted from vertebrae, shoulder and each other.

Outside a tube about the spine most ribs are pieces of bone of their own. What hangs together with others (a scapula,
the sternum) comes apart at higher thresholds: the lowest at which a piece looks like a rib is taken. All limits are
starting values without a published source, set on one chest and one abdomen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.bones import BONE_HU
from navplan.imaging.canonical import Mask, labelled
from navplan.imaging.vertebrae import DEEP_MM, LEVELS, AboutCourse, SpineCourse, odd_gap
from navplan.imaging.working import Step

THRESHOLDS_HU = (BONE_HU, 200.0, 250.0, 300.0, 400.0)
TUBE_MM, TUBE_BACK_MM = 28.0, 62.0  # the spine with the roots of the ribs: to each side, behind
ROOT_MM = 34.0  # a rib's end by the spine comes this near to the canal's middle
ROOT_AHEAD_MM = (-35.0, 30.0)  # where that end lies before the canal's middle
RIB_CM3 = (0.6, 30.0)
REACHES_MM = 60.0  # beside the canal's middle: a transverse process does not
LONG_MM = 30.0  # in an axial slice's plane
LOOSE_LONG_MM, LOOSE_REACHES_MM = 40.0, 100.0  # of a piece without its root: its diagonal; vessels of a lung do not
GROWN_MM = 4.0
ROOT_BELOW = 0.15  # of the gap between pedicles: a rib's root lies this much below its vertebra's
FITS = 0.35  # of that gap, to each side
LAST_SHORTER, FIRST_SHORTER = 0.8, 0.95  # how far the last or first rib reaches, of its neighbour's reach


@dataclass(frozen=True)
class Rib:
    """One rib: number in the array of ribs, side "left" or "right".

    root_mm: along the course, NaN without a root in the image; reach_mm: furthest beside the canal; high_mm: its
    middle; cut: whether it reaches the lowest or the highest slice.
    """

    number: int
    side: str
    root_mm: float
    reach_mm: float
    high_mm: float
    cut: bool


def find_ribs(
    hu: NDArray[np.float32], bone: Mask, about: AboutCourse, step: Step
) -> tuple[NDArray[np.int16], list[Rib]]:
    """Number of the rib at each voxel [left, posterior, superior], 0 elsewhere, and the ribs.

    bone: with its marrow, as find_bone gives it.
    """
    numbers = np.zeros(bone.shape, dtype=np.int16, order="F")
    deep = (about.ahead_mm > -TUBE_BACK_MM) & (about.ahead_mm < DEEP_MM)
    outside = bone & ~((np.abs(about.left_mm) < TUBE_MM) & deep)
    ribs: list[Rib] = []
    voxel_cm3 = float(np.prod(step)) / 1000
    for threshold in THRESHOLDS_HU:
        labels, _ = labelled(outside & (hu > threshold) & (numbers == 0))
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            sides = [(part.stop - part.start) * mm for part, mm in zip(box, step, strict=True)]
            if float(np.hypot(sides[0], sides[1])) < LONG_MM:
                continue
            piece = labels[box] == number
            volume = np.count_nonzero(piece) * voxel_cm3
            if not RIB_CM3[0] <= volume <= RIB_CM3[1]:
                continue
            rib = _rib(piece, box, about, len(ribs) + 1)
            if rib is None or rib.reach_mm < REACHES_MM:
                continue
            long = float(np.linalg.norm(sides)) >= LOOSE_LONG_MM and rib.reach_mm >= LOOSE_REACHES_MM
            if np.isnan(rib.root_mm) and not (long and threshold == THRESHOLDS_HU[0]):
                continue
            numbers[box][piece] = rib.number
            ribs.append(rib)
    return _grown(numbers, outside, hu, step), ribs


def _rib(piece: Mask, box: tuple[slice, slice, slice], about: AboutCourse, number: int) -> Rib | None:
    left = about.left_mm[box][piece]
    if (left > 0).any() and (left < 0).any():
        return None
    flat = (about.ahead_mm[box[1:]], about.along_mm[box[1:]])
    ahead, along = (np.broadcast_to(part[None], piece.shape)[piece] for part in flat)
    root = np.abs(left) < ROOT_MM
    at = float(along[root].mean()) if root.any() else np.nan
    if root.any() and not ROOT_AHEAD_MM[0] <= float(ahead[root].mean()) <= ROOT_AHEAD_MM[1]:
        return None
    side = "left" if float(left.mean()) > 0 else "right"
    cut = box[2].start == 0 or box[2].stop == about.left_mm.shape[2]
    return Rib(number, side, at, float(np.abs(left).max()), float(along.mean()), cut)


def _grown(numbers: NDArray[np.int16], outside: Mask, hu: NDArray[np.float32], step: Step) -> NDArray[np.int16]:
    """Each rib with the bone about it, a layer of voxels at a time, as far as no other bone's dense part is nearer."""
    grown = np.where(outside & (hu > THRESHOLDS_HU[-1]) & (numbers == 0), np.int16(-1), numbers)
    for _ in range(max(1, round(GROWN_MM / min(step)))):
        before = grown.copy(order="K")
        for axis in range(3):
            for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
                to, come = (tuple(part if n == axis else slice(None) for n in range(3)) for part in (here, there))
                free = (grown[to] == 0) & (before[come] != 0) & outside[to]
                grown[to][free] = before[come][free]
    return np.maximum(grown, 0)


def rib_names(course: SpineCourse, named: dict[int, str], ribs: list[Rib]) -> tuple[dict[int, str], list[str]]:
    """Number of a rib (of `ribs`) -> its name, rib_left_7 where that is sure; and what is in doubt, in words.

    named: number of the vertebra (1 = lowest) -> level, for those that are sure. A rib takes its vertebra's number
    where its root lies beside it, or one further by the same gap than a rib that does; others stay without a name.
    """
    at = course.along_mm[course.pedicles]
    sure = sorted(named)
    names: dict[int, str] = {}
    doubts: list[str] = []
    if len(sure) < 2:
        return names, doubts
    along = at[np.asarray(sure) - 1]
    places = np.asarray([LEVELS.index(named[number]) for number in sure])
    gaps = np.diff(along)
    steps = np.concatenate([[along[0] - gaps[0]], along, [along[-1] + gaps[-1]]])
    counts = np.concatenate([[places[0] - 1], places, [places[-1] + 1]])
    found: dict[str, dict[int, Rib]] = {"left": {}, "right": {}}
    for side, mine in found.items():
        rooted = sorted((r for r in ribs if r.side == side and not np.isnan(r.root_mm)), key=lambda r: r.root_mm)
        roots = np.asarray([r.root_mm for r in rooted])
        share = np.interp(roots, steps, counts) + ROOT_BELOW
        inside = (roots >= steps[0]) & (roots <= steps[-1])
        place = [int(np.rint(s)) if ok else None for s, ok in zip(share, inside, strict=True)]
        fits = [ok and abs(s - np.rint(s)) <= FITS for s, ok in zip(share, inside, strict=True)]
        even = [not odd_gap(np.diff(roots), n) for n in range(len(roots) - 1)]
        order = range(len(rooted))
        for n, before in [*((n, n - 1) for n in order), *((n, n + 1) for n in reversed(order))]:
            if fits[n] or not 0 <= before < len(rooted) or not fits[before] or not even[min(n, before)]:
                continue
            on = place[before]
            assert on is not None
            counted = on + n - before
            if place[n] in (None, counted) or abs(share[n] - counted) < 0.6:
                place[n], fits[n] = counted, True
        taken = [p for p, ok in zip(place, fits, strict=True) if ok]
        for rib, p, ok in zip(rooted, place, fits, strict=True):
            if ok and p is not None and taken.count(p) == 1 and 1 <= _rib_number(p) <= 12:
                mine[_rib_number(p)] = rib
            elif ok and p is not None and taken.count(p) == 1 and 0 <= p < len(LEVELS):
                doubts.append(f"a {side} rib beside {LEVELS[p].removeprefix('vertebrae_')}")
            elif ok:
                doubts.append(f"two {side} ribs beside one vertebra")
    gap = float(np.median(gaps))
    for number in set(found["left"]) & set(found["right"]):
        if abs(found["left"][number].root_mm - found["right"][number].root_mm) > 0.6 * gap:
            doubts.append(f"ribs {number} begin at different heights")
            del found["left"][number], found["right"][number]
    for side, mine in found.items():
        names |= {rib.number: f"rib_{side}_{number}" for number, rib in mine.items()}
    return names, doubts


def _rib_number(place: int) -> int:
    return LEVELS.index("vertebrae_C7") - place
