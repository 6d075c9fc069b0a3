"""The segmenter ct-spine: the spinal canal, and from a seed in one vertebra the vertebrae, numbered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.bones import find_bone
from navplan.imaging.canal import find_canal
from navplan.imaging.canonical import Mask
from navplan.imaging.midline import midline_mm
from navplan.imaging.vertebrae import LEVELS, levels, part_vertebrae, spine_course
from navplan.imaging.working import WorkingCt
from navplan.model.structure import Structure
from navplan.model.volume import Volume

CANAL = "spinal_canal"
SEED_OFF_MM = 50.0  # furthest that a seed in a vertebra lies from the canal's middle


class CtSpineSegmenter:
    """Entry point `navplan.segmenters`: ct-spine.

    Without a seed: spinal_canal (cord, fluid, roots and epidural fat), unknown where none is found. With one seed in a
    vertebra, named by the caller (vertebrae_L1): the canal and the vertebrae, counted from that one up and down. Where
    a level may have been missed or seen twice, the levels beyond come back as unknown. The sacrum is not parted, no
    level is named without a seed, and a patient with a rib or a lumbar vertebra more or less is not noticed.
    """

    name = "ct-spine"
    description = "Spinal canal on CT; from a seed in a named vertebra, the vertebrae by level"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """The spinal canal. Raises InputError for an image that is not CT in Hounsfield units."""
        ct = WorkingCt.of(volume, image_id, self.name)
        return [ct.structure(_canal(ct)[1], CANAL, "automatic")]

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """Canal and vertebrae; seeds_mm (1, 3) LPS mm in the vertebra `structure`.

        Raises InputError: an image that is not CT, more than one seed, a name that is no vertebra of C1 to L5, no canal
        or no vertebra found, or a seed that is not beside them.
        """
        if structure not in LEVELS:
            raise InputError(f"a seed in {structure or 'what has no name'}", "one in a vertebra: --as vertebrae_L1")
        if len(seeds_mm) != 1:
            raise InputError(f"{len(seeds_mm)} seeds", "one, in the vertebra that is named")
        ct = WorkingCt.of(volume, image_id, self.name)
        bone, canal, middle = _canal(ct)
        if not canal.any():
            raise InputError("no spinal canal found", "a CT that shows one in axial slices")
        course = spine_course(ct.hu, middle, ct.step)
        if len(course.pedicles) < 2:
            raise InputError(f"{len(course.pedicles)} vertebrae found", "two or more")
        seed = ct.indices(seeds_mm)[0] * np.asarray(ct.step)
        point = int(np.argmin(np.abs(((seed - course.middle_mm) * course.up).sum(axis=1))))
        off = float(np.linalg.norm(seed - course.middle_mm[point]))
        if off > SEED_OFF_MM:
            raise InputError(f"a seed {off:.0f} mm from the spinal canal", f"one in {structure}")
        named, unsure = levels(course.along_mm[course.pedicles], float(course.along_mm[point]), structure)
        number = part_vertebrae(bone, canal, course, ct.step)
        found = [ct.structure(canal, CANAL)]
        found += [ct.structure(number == n, name) for n, name in sorted(named.items(), reverse=True)]
        nothing = np.zeros_like(canal)
        return found + [ct.structure(nothing, name) for name in unsure]


def _canal(ct: WorkingCt) -> tuple[Mask, Mask, NDArray[np.float64]]:
    bone = find_bone(ct.hu, ct.body, ct.step)
    canal, middle, _ = find_canal(ct.hu, bone, midline_mm(bone, ct.body, ct.step), ct.step)
    return bone, canal, middle
