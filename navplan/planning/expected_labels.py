"""Labels that others of their kind suggest: the other scapula, rib 7 between ribs 6 and 8, a heart between two lungs.

A label that was left out leaves no trace of its own: where the needle only grazes what it stood for, neither a rule nor
the image may tell. What is expected here is anatomy; how near it has to be to matter is unsourced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.situation import Situation

NEAR_MM = 25.0  # of the place where it is expected: there the needle may meet it
PAIRED = (
    "scapula_*", "clavicula_*", "humerus_*", "hip_*", "femur_*", "kidney_left", "kidney_right", "adrenal_gland_*",
    "lung_left", "lung_right", "lung_upper_lobe_*", "lung_lower_lobe_*", "subclavian_artery_*",
    "common_carotid_artery_*", "brachiocephalic_vein_*", "iliac_artery_*", "iliac_vena_*",
)  # fmt: skip
SUGGESTED = "suggested by others of their kind, not looked for or not found"
_NUMBERED = re.compile(r"(.*?)(\d+)")
_Box = NDArray[np.float64]  # (2, 3) LPS mm: lowest and highest corner
_BOXES: WeakKeyDictionary[Structure, _Box] = WeakKeyDictionary()


def expected_labels(trajectory: Trajectory, situation: Situation) -> list[Finding]:
    """A WARN for each label that the case should have near the needle, and neither has nor calls absent."""
    known = {name: s for name, s in situation.structures.items() if s.presence is not Presence.UNKNOWN}
    present = {name: s for name, s in known.items() if s.presence is Presence.PRESENT and s.grid is not None}
    depths = np.arange(0.0, trajectory.swept_depth_mm, 2.0)
    shaft = np.asarray(trajectory.entry_mm) + depths[:, None] * trajectory.direction
    found = {}
    for name, why, box in (*_partners(present), *_between(present), *_heart(present)):
        if name not in known and name not in found and name != situation.target.structure and _near(shaft, box):
            found[name] = Finding(
                FindingKind.PRESENCE, Verdict.WARN, f"no such label, though {why}", name,
                remedy="Look for it along the way in the image; segment it, or state that it is absent", gap=SUGGESTED,
            )  # fmt: skip
    return list(found.values())


def _partners(present: dict[str, Structure]) -> Iterator[tuple[str, str, _Box]]:
    """The same on the other side, mirrored at the middle of the body."""
    body = present.get("body")
    if body is None:
        return
    middle = float(_box(body)[:, 0].mean())
    for name, structure in present.items():
        if structure.side and any(fnmatchcase(name, pattern) for pattern in PAIRED):
            other = "right" if structure.side == "left" else "left"
            low, high = _box(structure)
            box = np.array([[2 * middle - high[0], *low[1:]], [2 * middle - low[0], *high[1:]]])
            yield re.sub(rf"(^|_){structure.side}(?=_|$)", rf"\g<1>{other}", name), f"{name} is there", box


def _between(present: dict[str, Structure]) -> Iterator[tuple[str, str, _Box]]:
    """A number that is missing between two numbers."""
    series: dict[str, dict[int, Structure]] = {}
    for name, structure in present.items():
        if numbered := _NUMBERED.fullmatch(name):
            series.setdefault(numbered[1], {})[int(numbered[2])] = structure
    for stem, members in series.items():
        numbers = sorted(members)
        for before, after in pairwise(numbers):
            box = _around([members[before], members[after]])
            for missing in range(before + 1, after):
                yield f"{stem}{missing}", f"{stem}{before} and {stem}{after} are there", box


def _heart(present: dict[str, Structure]) -> Iterator[tuple[str, str, _Box]]:
    lungs = [structure for name, structure in present.items() if name == "lung" or name.startswith("lung_")]
    if {"left", "right"} <= {lung.side for lung in lungs}:
        yield "heart", "both lungs are there", _around(lungs)


def _box(structure: Structure) -> _Box:
    """Of the grid that holds a structure, which is cropped to it."""
    if structure not in _BOXES:
        assert structure.grid is not None
        corners = structure.grid.corners_mm()
        _BOXES[structure] = np.stack([corners.min(axis=0), corners.max(axis=0)])
    return _BOXES[structure]


def _around(structures: list[Structure]) -> _Box:
    boxes = np.stack([_box(structure) for structure in structures])
    return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])


def _near(points_mm: NDArray[np.float64], box: _Box) -> bool:
    outside = np.maximum(np.maximum(box[0] - points_mm, points_mm - box[1]), 0.0)
    return bool((np.linalg.norm(outside, axis=1) <= NEAR_MM).any())
