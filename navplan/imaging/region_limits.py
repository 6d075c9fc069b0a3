"""What a structure of a name can be on CT, and why an outline may be another structure's.

Beyond the largest volume nothing is given at all. An outline that fits its name badly (too small, too flat, on the
other side), or that came out only with a narrower band of CT numbers, is given in doubt: it says so itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, box_of, dilated
from navplan.imaging.working import Step
from navplan.model.anatomy import side_of


@dataclass(frozen=True)
class Limits:
    """Of one kind of structure: largest volume, reach from the nearest seed, how thick a bridge is cut (its radius).

    The largest volumes are about twice what is large in an adult: beyond them something else is in it. An adult's is
    hardly smaller than least_cm3, somewhere at least least_deep_mm deep (the radius of a ball inside it), and that ball
    is hardly less than least_compact of its volume: unsourced starting values, 0 = not asked. side: where it lies, ""
    for both or either; a side in the name counts more.
    """

    most_cm3: float
    reach_mm: float
    opening_mm: float
    opening_share: float = 0.4  # of the depth at the seeds: bridges thinner than that are cut
    in_lung: bool = False  # it may lie there
    enhances: bool = False  # unevenly, with contrast: cortex before medulla
    caged: bool = False  # within the ribs: what lies between and outside them is not it
    least_cm3: float = 0.0
    least_deep_mm: float = 0.0
    least_compact: float = 0.0
    side: str = ""
    below_heart: bool = False  # the heart may rest on it


LIMITS = {
    "liver": Limits(
        4000.0, 220.0, 6.0, caged=True, least_cm3=500.0, least_deep_mm=25.0, least_compact=0.1, side="right",
        below_heart=True,
    ),
    "spleen": Limits(1500.0, 150.0, 5.0, caged=True, least_cm3=50.0, least_deep_mm=10.0, side="left"),
    "kidney": Limits(400.0, 110.0, 4.0, enhances=True, caged=True, least_cm3=40.0, least_deep_mm=7.0),
    "lesion": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "mass": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "nodule": Limits(250.0, 60.0, 2.0, 0.7, in_lung=True),
    "": Limits(4000.0, 220.0, 3.0),
}
PLAIN_HU = 65.0  # organs, blood and muscle without contrast lie below it, all of them
BONE_MM, BONE_SHARE = 4.0, 0.08  # muscle lies on bone with more of its surface than an organ on the ribs
MIDDLE_MM = 10.0  # of the body's middle: on neither side


def limits_of(structure: str) -> Limits:
    """The limits of the first kind whose word is in the name (kidney_left, lesion_2); the widest for another name.

    A lesion of an organ (liver_lesion) is a lesion.
    """
    kinds = sorted(LIMITS, key=lambda word: word not in ("lesion", "mass", "nodule"))
    return next((LIMITS[word] for word in kinds if word and word in structure), LIMITS[""])


def doubts_of(region: Mask, body: Mask, name: str, step: Step) -> tuple[str, ...]:
    """Why a region [left, posterior, superior] may not be what its name says, each in words; () where nothing speaks
    against it, which proves little."""
    limits = limits_of(name)
    found = []
    volume_cm3 = np.count_nonzero(region) * float(np.prod(step)) / 1000
    if volume_cm3 < limits.least_cm3:
        found.append(f"{volume_cm3:.0f} cm³ is small for it: at least {limits.least_cm3:.0f} expected")
    if limits.least_deep_mm:
        deep = _deepest_mm(region, step)
        compact = 4 / 3 * np.pi * deep**3 / 1000 / max(volume_cm3, 1e-6)
        if deep < limits.least_deep_mm:
            found.append(f"nowhere thicker than {2 * deep:.0f} mm: {2 * limits.least_deep_mm:.0f} expected")
        if compact < limits.least_compact:
            found.append(f"branched: the largest ball inside is {compact:.0%} of it")
    side = side_of(name) or limits.side
    off_mm = _left_of_middle_mm(region, body, step)
    if side and (off_mm if side == "left" else -off_mm) < MIDDLE_MM:
        lies = "left" if off_mm > 0 else "right"
        found.append(f"its middle lies {abs(off_mm):.0f} mm {lies} of the body's, expected on the {side}")
    return tuple(found)


def doubts_of_density(region: Mask, hu: NDArray[np.float32], bone: Mask, step: Step) -> tuple[str, ...]:
    """Why an organ's region in hu [left, posterior, superior] may hold muscle, blood or gut, in words; () for none."""
    box = box_of(region, tuple(int(BONE_MM / spacing) + 2 for spacing in step))
    if box is None:
        return ()
    found = []
    inside = region[box]
    median = float(np.median(hu[box][inside]))
    if median < PLAIN_HU:
        found.append(f"at {median:.0f} HU it is not told from muscle, blood and gut without contrast that touch it")
    shell = dilated(inside, max(BONE_MM, 1.01 * max(step)), step) & ~inside
    share = float((shell & bone[box]).sum()) / max(1.0, float(shell.sum()))
    if share > BONE_SHARE:
        found.append(f"{share:.0%} of its surface lies on bone, as a muscle's does")
    return tuple(found)


def _deepest_mm(region: Mask, step: Step) -> float:
    box = box_of(region, 1)
    if box is None:
        return 0.0
    return float(np.max(ndimage.distance_transform_edt(region[box], sampling=step)))


def _left_of_middle_mm(region: Mask, body: Mask, step: Step) -> float:
    """How far a region's centre lies to the left of the middle of the body in the slices that hold the region."""
    slices = np.flatnonzero(region.any(axis=(0, 1)))
    across = np.flatnonzero(body[:, :, slices].any(axis=(1, 2)))
    if not slices.size or not across.size:
        return 0.0
    here = region.sum(axis=(1, 2))
    centre = float(np.average(np.arange(len(here)), weights=here))
    return (centre - float(across[0] + across[-1]) / 2) * step[0]
