"""Whether a way meets its target, and whether the target may be one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import distance_points_to_segment
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import MOSTLY_INSIDE, Boundary, crossed_mm, occupancy_at
from navplan.planning.situation import Situation

POINT_MET_MM = 1.0  # how far from the swept axis a bare target point may lie


def target(trajectory: Trajectory, situation: Situation) -> list[Finding]:
    """Findings on the target: FAIL where it is missed or kept clear by the protocol; PASS only where meeting it is
    proven, over more than the diagonal of the voxels that outline it."""
    name = situation.target.structure
    if not name:
        return [_point(trajectory, situation)]
    boundary = situation.target_boundary
    start = np.asarray(trajectory.entry_mm, dtype=np.float64)
    inside = 0.0 if boundary is None else crossed_mm(boundary.structure, start, trajectory.swept_end_mm)
    if boundary is None or not inside:
        words = "the swept path does not meet it"
        return [_finding(Verdict.FAIL, words, "Choose another target point", name), *_unfit(situation, name)]
    aimed = np.asarray([trajectory.target_mm, situation.target_mm])
    verdict, words, remedy = Verdict.PASS, f"met over {inside:.1f} mm", ""
    if (occupancy_at(boundary.structure, aimed) < MOSTLY_INSIDE).any():
        verdict, words = Verdict.WARN, "the point aimed at lies outside it, though the swept path meets it"
        remedy = "Choose another target point"
    elif inside < boundary.diagonal_mm or _depth_inside_mm(boundary, aimed[0]) <= 0:
        verdict, words = Verdict.WARN, f"{words}: not proven with voxels of {boundary.diagonal_mm:.1f} mm"
        remedy = "Aim at its middle, or look at the reformats"
    return [_finding(verdict, words, remedy, name, inside), *_unfit(situation, name)]


def _depth_inside_mm(boundary: Boundary, aim_mm: NDArray[np.float64]) -> float:
    """How deep a point inside is proven to lie below the surface."""
    return float(np.linalg.norm(boundary.centres_mm - aim_mm, axis=1).min()) - boundary.diagonal_mm / 2


def _finding(verdict: Verdict, words: str, remedy: str, name: str = "", crossed: float = 0.0) -> Finding:
    return Finding(FindingKind.TARGET, verdict, words, name, crossed_mm=crossed, remedy=remedy)


def _point(trajectory: Trajectory, situation: Situation) -> Finding:
    missed, _ = distance_points_to_segment(situation.target_mm[None], trajectory.entry_mm, trajectory.swept_end_mm)
    if missed[0] > POINT_MET_MM:
        words = f"the swept path passes the target point at {missed[0]:.1f} mm"
        return _finding(Verdict.FAIL, words, "Choose another way in")
    words = "a bare point: nothing tells that it lies in the lesion"
    return _finding(Verdict.WARN, words, "Name a structure as target")


def _unfit(situation: Situation, name: str) -> list[Finding]:
    """A target that the protocol keeps the needle away from, or an organ that it says nothing of: being aimed at makes
    an aorta no lesion."""
    protocol, side = situation.protocol, situation.side
    limit = None if protocol.sided and not side else protocol.limit_for(name, side)
    if limit is not None:
        words = f"the protocol keeps the needle {limit.min_clearance_mm:g} mm away from it: it is no target"
        return [
            Finding(
                FindingKind.TARGET, Verdict.FAIL, words, name, required_mm=limit.min_clearance_mm, source=limit.source,
                remedy="Check the target, or choose the protocol of this biopsy",
            )
        ]  # fmt: skip
    tissue = anatomy_of(name).tissue
    if tissue in (Tissue.LESION, Tissue.OTHER) or protocol.may_cross(name, side) is not None:
        return []
    words = f"a target that is no lesion ({tissue}) and that the protocol does not name"
    return [Finding(FindingKind.TARGET, Verdict.WARN, words, name, remedy="Check the target and the protocol")]
