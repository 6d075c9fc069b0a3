"""Which structures a scene shows: those near the needle, the bones around, and whatever decides the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import distance_points_to_segment
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.safety import Finding, SafetyReport, Verdict
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory

_MOST_ORGANS = 15
_MOST_DECIDING = 8
_DECIDING_REACH_MM = 25.0
_ORGAN_REACH_MM = 110.0
_BONE_REACH_MM = 140.0
_NEVER_SOLID = (Tissue.SKIN, Tissue.OUTSIDE, Tissue.FAT, Tissue.MUSCLE, Tissue.LUNG)
_GHOSTS = (Tissue.LUNG, Tissue.ORGAN)
_BONES = (Tissue.BONE, Tissue.CARTILAGE)
UNNAMED_BONE = "bone"
_SAME_PLACE_MM = 10.0
_ENOUGH_NAMED_BONES = 3
_coarse_points: WeakKeyDictionary[Structure, NDArray[np.float64]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ShownStructures:
    """Names by role. deciding: what the verdict hangs on or a label names: never hidden, whatever its tissue.

    bones: with their distance from the shaft (mm); ghost: at most one lung or organ that the needle goes through.
    """

    target: str
    deciding: tuple[str, ...]
    organs: tuple[str, ...]
    bones: dict[str, float]
    ghost: str

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (self.target, *self.deciding, *self.organs, *self.bones, self.ghost)))


def nearest_findings(report: SafetyReport, count: int = 2) -> tuple[Finding, ...]:
    """The findings that a picture names: those that fail come first, then the smallest clearances.

    Bone by threshold is the same place as the rib that has a label of its own: the named one stands for both, unless
    the verdict on the other is worse.
    """
    with_place = [finding for finding in report.clearances if finding.nearest_mm is not None]
    ordered = sorted(with_place, key=lambda finding: finding.verdict is not Verdict.FAIL)
    return tuple(finding for finding in ordered if not _named_elsewhere(finding, ordered))[:count]


def _named_elsewhere(finding: Finding, findings: Sequence[Finding]) -> bool:
    """Whether a finding on unnamed bone lies where a named bone, judged no better, has its nearest point."""
    if finding.structure != UNNAMED_BONE or finding.nearest_mm is None:
        return False
    here = np.asarray(finding.nearest_mm)
    return any(
        anatomy_of(other.structure).tissue in _BONES
        and other.structure != UNNAMED_BONE
        and other.verdict.rank <= finding.verdict.rank
        and other.nearest_mm is not None
        and float(np.linalg.norm(np.asarray(other.nearest_mm) - here)) <= _SAME_PLACE_MM
        for other in findings
    )


def choose_structures(
    structures: Mapping[str, Structure], trajectory: Trajectory | None, report: SafetyReport | None, target: str
) -> ShownStructures:
    """What to draw for one trajectory (None: all that is worth seeing), from the structures that are present."""
    present = {name: structure for name, structure in structures.items() if structure.occupancy is not None}
    deciding = deciding_structures(report, present, target)
    distances = {
        name: shaft_distance_mm(structure, trajectory) if trajectory is not None else 0.0
        for name, structure in present.items()
        if may_be_solid(structure)
    }
    bones = {
        name: distance
        for name, distance in distances.items()
        if present[name].anatomy.tissue in _BONES and distance < _BONE_REACH_MM and name not in deciding
    }
    named = {*bones, *(name for name in deciding if present[name].anatomy.tissue in _BONES)} - {UNNAMED_BONE}
    if len(named) >= _ENOUGH_NAMED_BONES:  # two surfaces in one place make a mottled one
        bones.pop(UNNAMED_BONE, None)
    ghost = _ghost(report, present, trajectory, {*deciding, target}) if trajectory is not None else ""
    others = [
        name
        for name in sorted(distances, key=lambda name: (not _is_lesion(present[name]), distances[name]))
        if present[name].anatomy.tissue not in _BONES
        and distances[name] < _ORGAN_REACH_MM
        and name not in (*deciding, target, ghost)
    ]
    return ShownStructures(target, deciding, tuple(others[:_MOST_ORGANS]), bones, ghost)


def may_be_solid(structure: Structure) -> bool:
    """Whether a structure is worth drawing as an opaque body, so far as no verdict hangs on it."""
    return structure.anatomy.tissue not in _NEVER_SOLID


def is_bone(structure: Structure) -> bool:
    """Whether it is bone or cartilage."""
    return structure.anatomy.tissue in _BONES


def _is_lesion(structure: Structure) -> bool:
    return structure.anatomy.tissue is Tissue.LESION


def shaft_distance_mm(structure: Structure, trajectory: Trajectory) -> float:
    """Rough distance from shaft to structure, for choosing what to draw only: a voxel in every 3 mm is looked at."""
    if structure.occupancy is None or structure.grid is None:
        return float("inf")
    points = _coarse_points.get(structure)
    if points is None:
        step = np.maximum(1, np.floor(3.0 / structure.grid.spacing_mm)).astype(int)
        found = np.argwhere(structure.occupancy[:: step[0], :: step[1], :: step[2]] > 0) * step
        points = structure.grid.points_mm(found) if len(found) else structure.voxel_centres_mm()
        _coarse_points[structure] = points
    distance, _ = distance_points_to_segment(points, trajectory.entry_mm, trajectory.swept_end_mm)
    return float(distance.min())


def deciding_structures(
    report: SafetyReport | None, present: Mapping[str, Structure], target: str
) -> tuple[str, ...]:
    """What a report's verdict hangs on, of the structures that are present: the nearest ones and the worst judged."""
    if report is None:
        return ()
    names = [finding.structure for finding in nearest_findings(report)]
    if report.verdict is not Verdict.PASS:
        worst = [finding for finding in report.of(report.verdict) if _near(finding)]
        names += [finding.structure for finding in worst if not _named_elsewhere(finding, report.clearances)]
    return tuple(dict.fromkeys(name for name in names if name in present and name != target))[:_MOST_DECIDING]


def _near(finding: Finding) -> bool:
    """Whether a finding is about something at the needle, so that seeing it explains the verdict."""
    near = finding.distance is not None and finding.distance.low_mm < _DECIDING_REACH_MM
    return finding.verdict is Verdict.FAIL or finding.crossed_mm > 0 or near


def _ghost(
    report: SafetyReport | None, present: Mapping[str, Structure], trajectory: Trajectory, drawn: set[str]
) -> str:
    """The lung or organ that the needle goes through longest; without a report, the one that holds the target."""
    lengths: dict[str, float] = {}
    for section in report.path if report is not None else ():
        lengths[section.structure] = lengths.get(section.structure, 0.0) + section.to_mm - section.from_mm
    if not lengths:
        depths = np.linspace(0, trajectory.depth_mm, 60)
        lengths = {name: float(_inside(structure, trajectory, depths).sum()) for name, structure in present.items()}
    through = {
        name: length
        for name, length in lengths.items()
        if length > 0
        and name in present
        and name not in drawn
        and present[name].anatomy.tissue in (Tissue.LUNG, Tissue.ORGAN)
    }
    return max(through, key=lambda name: through[name], default="")


def _inside(structure: Structure, trajectory: Trajectory, depths_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the shaft's axis lies in a voxel of the structure, at depths (N,)."""
    if structure.occupancy is None or structure.grid is None:
        return np.zeros(len(depths_mm), dtype=bool)
    points = np.asarray(trajectory.entry_mm) + np.outer(depths_mm, trajectory.direction)
    cells = np.round(structure.grid.indices(points)).astype(int)
    inside = ((cells >= 0) & (cells < structure.grid.shape)).all(axis=1)
    found = np.zeros(len(depths_mm), dtype=bool)
    found[inside] = structure.occupancy[tuple(cells[inside].T)] > 127
    return found
