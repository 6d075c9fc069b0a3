"""Whether the labels lie as their names say: left ones left, the breastbone in front of the spine, the head above.

Labels that were mirrored, swapped or made on another image, and an image that is mirrored, upside down or of a patient
who lay otherwise than its header says, all leave masks that look right one by one. Names and places are compared here;
the tolerances are unsourced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue
from navplan.model.protocol import LEVELS
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure

OVER_THE_MIDDLE_MM = 5.0  # by which what is sided may lie on the other side of the spine beside it
ORGAN_OVER_MM = 10.0  # by which liver, spleen or heart may: also of front and back, head and feet
ORDER_MM = 3.0  # by which a rib may lie above the one before it
LOOKED_AT = 40_000  # voxels of a structure's box, evenly spread, from which its middle is found
SIDED = (
    "rib_*", "scapula_*", "clavicula_*", "humerus_*", "hip_*", "femur_*", "kidney_*", "adrenal_gland_*", "lung_*",
    "autochthon_*", "iliopsoas_*", "psoas_*", "gluteus_*", "costal_cartilages_*", "pleural_effusion_*", "foramen_*",
    "nerve_root_*", "facet_joint_*", "sacroiliac_joint_*", "ureter_*", "renal_*", "subclavian_*", "fissure_*",
)  # fmt: skip
NEVER_SIDED = ("liver_*", "hepatic_*", "portal_*", "bile_*", "heart_*", "*ventricle*", "*atrium*")  # lobes, chambers
IN_FRONT = ("sternum", "heart", "trachea", "liver", "stomach", "aorta")  # of the vertebrae beside them
ABOVE = (("heart", "liver"), ("lung_left", "spleen"), ("lung_right", "kidney_right"), ("liver", "urinary_bladder"))
CHECK_LABELS = "Compare the labels with the image: mirrored, their names swapped, or of another image?"
CHECK_IMAGE = "Compare the image with the patient and the archive: its orientation, and how the patient lay"

_Point = NDArray[np.float64]
_MIDDLES: WeakKeyDictionary[Structure, _Point] = WeakKeyDictionary()


def which_way_round(structures: Mapping[str, Structure]) -> tuple[Finding, ...]:
    """NOT_EVALUATED for left and right, front and back, head and feet that names and places tell differently; WARN
    where one organ alone lies on its other side, or ribs are out of order. Nothing where all agree, or nothing is
    labelled that could tell."""
    present = {name: one for name, one in structures.items() if one.presence is Presence.PRESENT}
    spine = _spine(present)
    return (
        *_sides(present, spine), *_organs(present, spine), *_front(present, spine), *_head(present, spine),
        *_ribs(present),
    )  # fmt: skip


def _sides(present: dict[str, Structure], spine: dict[str, _Point]) -> Iterator[Finding]:
    wrong: dict[str, str] = {}
    for name, one in present.items():
        if not one.side or any(fnmatchcase(name, pattern) for pattern in NEVER_SIDED):
            continue
        outwards = 1.0 if one.side == "left" else -1.0
        other = "right" if one.side == "left" else "left"
        if any(fnmatchcase(name, pattern) for pattern in SIDED):
            middle = _middle_beside(present, spine, one)
            off_mm = 0.0 if middle is None else outwards * float(middle_mm(one)[0] - middle[0])
            if off_mm < -OVER_THE_MIDDLE_MM:
                wrong[name] = f"{-off_mm:.0f} mm {other} of the {'spine' if spine else 'body'}'s middle"
                continue
        partner = present.get("_".join(other if word == one.side else word for word in name.split("_")))
        if partner is not None and partner.name not in wrong:
            off_mm = outwards * float(middle_mm(one)[0] - middle_mm(partner)[0])
            if off_mm < -OVER_THE_MIDDLE_MM:
                wrong[name] = f"{-off_mm:.0f} mm {other} of {partner.name}"
    if wrong:
        told = [f"{name} lies {where}" for name, where in wrong.items()]
        more = f", and {len(told) - 3} more" if len(told) > 3 else ""
        words = f"left and right contradict the names: {', '.join(told[:3])}{more}"
        yield Finding(FindingKind.SIDE, Verdict.NOT_EVALUATED, words, remedy=CHECK_LABELS)


def _organs(present: dict[str, Structure], spine: dict[str, _Point]) -> Iterator[Finding]:
    """Liver, spleen, heart or great vessels on the wrong side: situs inversus is rare, a mirrored image is not."""
    odd = []
    aorta, cava = present.get("aorta"), present.get("inferior_vena_cava")
    if aorta is not None and cava is not None and middle_mm(aorta)[0] - middle_mm(cava)[0] < -OVER_THE_MIDDLE_MM:
        odd.append(("aorta", "aorta lies right of inferior_vena_cava"))
    for name, outwards, lies in (("liver", -1.0, "left"), ("spleen", 1.0, "right"), ("heart", 1.0, "right")):
        middle = _middle_beside(present, spine, present[name]) if name in present else None
        if middle is not None and outwards * float(middle_mm(present[name])[0] - middle[0]) < -ORGAN_OVER_MM:
            odd.append((name, f"{name} lies {lies} of the middle"))
    if odd:
        sure = "liver" in {name for name, _ in odd} or len(odd) > 1
        yield Finding(
            FindingKind.SIDE, Verdict.NOT_EVALUATED if sure else Verdict.WARN,
            f"{', '.join(words for _, words in odd)}: a mirrored image or mirrored labels, else situs inversus"
            f"{'' if sure else ' or a shifted organ'}",
            remedy=CHECK_IMAGE,
        )  # fmt: skip


def _front(present: dict[str, Structure], spine: dict[str, _Point]) -> Iterator[Finding]:
    behind = []
    known = [name for name in IN_FRONT if name in present] if spine else []
    for name in known:
        at = middle_mm(present[name])
        if at[1] - _nearest(spine, at)[1] > ORGAN_OVER_MM:
            behind.append(name)
    words = f"{', '.join(behind)} behind the spine"
    body = present.get("body")
    if not known and spine and body is not None:
        at = middle_mm(body)
        if at[1] - _nearest(spine, at)[1] > ORGAN_OVER_MM:
            behind, words = ["body"], "the spine lies in the front half of the body"
    if behind and 2 * len(behind) >= len(known):
        yield Finding(
            FindingKind.PATIENT, Verdict.NOT_EVALUATED,
            f"front and back contradict the labels: {words}: the patient lay otherwise than the image says,"
            " or it is turned",
            remedy=CHECK_IMAGE,
        )  # fmt: skip


def _head(present: dict[str, Structure], spine: dict[str, _Point]) -> Iterator[Finding]:
    counted = sorted((name for name in spine if name.startswith("vertebrae_")), key=_count)
    pairs = [(counted[0], counted[-1])] if len(counted) > 1 else []
    pairs += [pair for pair in ABOVE if pair[0] in present and pair[1] in present]
    heights_mm = [float((middle_mm(present[upper]) - middle_mm(present[lower]))[2]) for upper, lower in pairs]
    above = zip(pairs, heights_mm, strict=True)
    wrong = [f"{upper} lies below {lower}" for (upper, lower), mm in above if mm < -ORGAN_OVER_MM]
    if wrong and 2 * len(wrong) >= len(pairs):
        words = f"head and feet contradict the labels: {', '.join(wrong[:3])}"
        yield Finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED, words, remedy=CHECK_IMAGE)


def _ribs(present: dict[str, Structure]) -> Iterator[Finding]:
    """Neighbours of which the one with the higher number lies higher, by both of its ends: the image may cut one."""
    for side in ("left", "right"):
        ribs = [present[name] for number in range(1, 13) if (name := f"rib_{side}_{number}") in present]
        for upper, lower in pairwise(ribs):
            if (_ends_mm(lower) - _ends_mm(upper) > ORDER_MM).all():
                words = f"the labels {upper.name} and {lower.name} are not in the order of the ribs"
                yield Finding(FindingKind.SIDE, Verdict.WARN, words, remedy=CHECK_LABELS)


def _ends_mm(structure: Structure) -> NDArray[np.float64]:
    """(2,) the lowest and the highest height of the box of a structure."""
    assert structure.grid is not None
    heights = structure.grid.corners_mm()[:, 2]
    return np.asarray([heights.min(), heights.max()])


def _count(name: str) -> int:
    return LEVELS.index(name.removeprefix("vertebrae_"))


def _spine(present: dict[str, Structure]) -> dict[str, _Point]:
    """Middles of vertebrae and sacrum."""
    bones = ("sacrum", *(f"vertebrae_{level}" for level in LEVELS))
    return {name: middle_mm(present[name]) for name in bones if name in present}


def _nearest(spine: dict[str, _Point], at: _Point) -> _Point:
    return min(spine.values(), key=lambda one: abs(float(one[2] - at[2])))


def _middle_beside(present: dict[str, Structure], spine: dict[str, _Point], one: Structure) -> _Point | None:
    """Of the vertebra at a structure's height, since spines are curved; of the body where no vertebra is labelled."""
    if spine:
        return _nearest(spine, middle_mm(one))
    body = present.get("body")
    return None if body is None or one.anatomy.tissue is Tissue.SKIN else middle_mm(body)


def middle_mm(structure: Structure) -> _Point:
    """Of a present structure, LPS mm, from voxels evenly spread over its box. Kept as long as the structure is."""
    if structure not in _MIDDLES:
        assert structure.occupancy is not None and structure.grid is not None
        step = max(1, int(np.ceil((structure.occupancy.size / LOOKED_AT) ** (1 / 3))))
        seen = structure.occupancy[::step, ::step, ::step] >= 128
        if not seen.any():
            step, seen = 1, structure.occupancy > 0
        index = [float(np.mean(at)) * step for at in np.nonzero(seen)]
        _MIDDLES[structure] = structure.grid.points_mm(np.asarray(index))
    return _MIDDLES[structure]
