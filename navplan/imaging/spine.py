"""The segmenter ct-spine: the spinal canal, the vertebrae by level and the ribs by number, as far as either is sure."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.anchors import SACRUM, Anchor, agreed, find_anchors
from navplan.imaging.bones import find_bone
from navplan.imaging.canal import find_canal
from navplan.imaging.canonical import Mask
from navplan.imaging.midline import midline_mm
from navplan.imaging.ribs import Rib, find_ribs, rib_names
from navplan.imaging.vertebrae import LEVELS, SpineCourse, about_course, levels, part_vertebrae, spine_course
from navplan.imaging.working import WorkingCt
from navplan.model.structure import Structure
from navplan.model.volume import Volume

log = logging.getLogger(__name__)

CANAL = "spinal_canal"
SEED_OFF_MM = 50.0  # furthest that a seed in a vertebra lies from the canal's middle
ENDS = (1, 12)  # ribs that a count begins from: named only where the image itself tells them


@dataclass(frozen=True, eq=False)
class _Spine:
    """What is found before anything is named."""

    bone: Mask
    canal: Mask
    course: SpineCourse | None
    rib_numbers: NDArray[np.int16]
    ribs: list[Rib]
    anchors: list[Anchor]


class CtSpineSegmenter:
    """Entry point `navplan.segmenters`: ct-spine.

    spinal_canal (cord, fluid, roots and epidural fat), unknown where none is found. Vertebrae counted from a seed in
    one of them, named by the caller (vertebrae_L1), or without a seed from what the image's extent tells: the vertebra
    above the sacrum is taken for L5, the one of the last ribs for T12, of the first ribs for T1; where two of these
    disagree none is named. Each structure's origin says what was counted from. Where a level may have been missed or
    seen twice, the levels beyond come back as unknown. Ribs beside named vertebrae are rib_left_7; others
    rib_unnumbered_left_1 and so on from above; of the twelve of a side those that are not named are unknown. The first
    and the last rib are only named where the image tells a level.

    A patient with a vertebra or a rib more or less is only noticed where two of these, or one and the seed, disagree:
    a warning says so, and the ribs then have no number. The sacrum is not parted.
    """

    name = "ct-spine"
    description = "Spinal canal, vertebrae and ribs on CT, by level from a seed or from the image's extent"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """Canal, ribs, and the vertebrae where the extent tells a level. Raises InputError for an image that is not CT
        in Hounsfield units."""
        ct = WorkingCt.of(volume, image_id, self.name)
        spine = _found(ct)
        structures = [ct.structure(spine.canal, CANAL, "automatic")]
        if spine.course is None:
            return structures
        if not spine.anchors:
            log.warning("no level is named: neither sacrum nor first or last ribs tell one. Name one with a seed")
            return structures + _ribs(ct, spine, {}, "automatic", "")
        told = _told(spine.anchors)
        if not agreed(spine.anchors):
            log.warning("no level is named: %s give different counts. Name one with a seed", told)
            return structures + _ribs(ct, spine, {}, "automatic", "")
        log.warning("levels counted from %s; a transitional vertebra or a rib more or less shifts them: check", told)
        first = spine.anchors[0]
        number = min(first.number, len(spine.course.pedicles))  # the last ribs' vertebra may lie above the pedicles
        level = LEVELS[LEVELS.index(first.level) + number - first.number]
        return structures + _named(ct, spine, number, level, "automatic", f"levels counted from {told}")

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """Canal, vertebrae and ribs; seeds_mm (1, 3) LPS mm in the vertebra `structure`.

        Raises InputError: an image that is not CT, more than one seed, a name that is no vertebra of C1 to L5, no canal
        or no vertebra found, or a seed that is not beside them.
        """
        if structure not in LEVELS:
            raise InputError(f"a seed in {structure or 'what has no name'}", "one in a vertebra: --as vertebrae_L1")
        if len(seeds_mm) != 1:
            raise InputError(f"{len(seeds_mm)} seeds", "one, in the vertebra that is named")
        ct = WorkingCt.of(volume, image_id, self.name)
        spine = _found(ct)
        if not spine.canal.any():
            raise InputError("no spinal canal found", "a CT that shows one in axial slices")
        if spine.course is None:
            raise InputError("fewer than two vertebrae found", "two or more")
        course = spine.course
        seed = ct.indices(seeds_mm)[0] * np.asarray(ct.step)
        point = int(np.argmin(np.abs(((seed - course.middle_mm) * course.up).sum(axis=1))))
        off = float(np.linalg.norm(seed - course.middle_mm[point]))
        if off > SEED_OFF_MM:
            raise InputError(f"a seed {off:.0f} mm from the spinal canal", f"one in {structure}")
        heights = course.along_mm[course.pedicles]
        middles = heights - 0.2 * np.median(np.diff(heights))  # a vertebra's middle lies a little below its pedicles
        seeded = int(np.argmin(np.abs(middles - course.along_mm[point]))) + 1
        how = f"levels counted from a seed in {structure}"
        return [ct.structure(spine.canal, CANAL), *_named(ct, spine, seeded, structure, "semiautomatic", how)]


def _found(ct: WorkingCt) -> _Spine:
    bone = find_bone(ct.hu, ct.body, ct.step)
    canal, middle, _ = find_canal(ct.hu, bone, midline_mm(bone, ct.body, ct.step), ct.step)
    none = np.zeros(bone.shape, dtype=np.int16)
    if np.count_nonzero(np.isfinite(middle[:, 0])) < 2:
        return _Spine(bone, canal, None, none, [], [])
    course = spine_course(ct.hu, middle, ct.step)
    if len(course.pedicles) < 2:
        return _Spine(bone, canal, None, none, [], [])
    about = about_course(course, bone.shape, ct.step)
    numbers, ribs = find_ribs(ct.hu, bone, about, ct.step)
    anchors = find_anchors(bone, about, course, ribs)
    lowest = max((course.along_mm[course.pedicles[a.number - 1]] for a in anchors if a.by == SACRUM), default=-np.inf)
    ribs = [rib for rib in ribs if rib.high_mm > lowest]  # not a piece of the pelvis
    return _Spine(bone, canal, course, numbers, ribs, anchors)


def _told(anchors: list[Anchor]) -> str:
    return " and ".join(f"{anchor.by} ({anchor.level.removeprefix('vertebrae_')})" for anchor in anchors)


def _named(ct: WorkingCt, spine: _Spine, number: int, level: str, made_by: str, how: str) -> list[Structure]:
    """Vertebrae and ribs, counted from vertebra `number`, which is `level`."""
    course = spine.course
    assert course is not None
    count = LEVELS.index(level) - number
    against = [anchor for anchor in spine.anchors if LEVELS.index(anchor.level) - anchor.number != count]
    if against:
        how += f", against {_told(against)}"
        log.warning("%s: the ribs have no number, check the count", how)
    named, unsure = levels(course.along_mm[course.pedicles], number, level)
    vertebrae = part_vertebrae(spine.bone, spine.canal, course, ct.step)
    found = [ct.structure(vertebrae == n, name, made_by, how=how) for n, name in sorted(named.items(), reverse=True)]
    nothing = np.zeros_like(spine.canal)
    found += [ct.structure(nothing, name, made_by, how=how) for name in unsure]
    return found + _ribs(ct, spine, {} if against else named, made_by, how)


def _ribs(ct: WorkingCt, spine: _Spine, named: dict[int, str], made_by: str, how: str) -> list[Structure]:
    if not spine.ribs:
        return []
    assert spine.course is not None
    names, doubts = rib_names(spine.course, named, spine.ribs)
    for doubt in doubts:
        log.warning("%s: not numbered", doubt)
    if not spine.anchors:
        names = {n: name for n, name in names.items() if int(name.split("_")[2]) not in ENDS}
    for side in ("left", "right"):
        others = [rib for rib in spine.ribs if rib.side == side and rib.number not in names]
        for place, rib in enumerate(sorted(others, key=lambda one: -one.high_mm), start=1):
            names[rib.number] = f"rib_unnumbered_{side}_{place}"
    every = [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)]
    nothing = np.zeros_like(spine.canal)
    found = [ct.structure(spine.rib_numbers == n, name, made_by, how=how) for n, name in names.items()]
    return found + [ct.structure(nothing, name, made_by, how=how) for name in every if name not in names.values()]
