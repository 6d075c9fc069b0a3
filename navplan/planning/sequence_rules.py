"""Rules of order along a way: what a person checks in two views while the needle goes in, checked on the labels.

Front, side and height are the patient's axes: y to the back, x to the left, z to the head. Widths are those of the
structure in the slices about each point, so a curved canal is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from navplan.model.protocol import Sequence, SequenceRule, fits
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_of, occupancy_at
from navplan.planning.situation import Situation

STEP_MM = 0.5
PEDICLE_DEEP_MM = 14.0  # behind the canal's front: where a way is in the pedicle, if it is in one (unsourced)
GRADES = ((0.0, "A"), (2.0, "B"), (4.0, "C"), (6.0, "D"), (np.inf, "E"))  # Gertzbein: 0, below 2, 4, 6 mm, and more


@dataclass(frozen=True)
class PedicleGrade:
    """How far the needle's surface leaves the bone of the vertebra in the pedicle, mm, and Gertzbein's letter."""

    breach_mm: float
    grade: str


def sequence(trajectory: Trajectory, situation: Situation) -> list[Finding]:
    """A finding for each rule of order of the protocol. NOT_EVALUATED where its structure is not in the case."""
    return [_judged(rule, trajectory, situation) for rule in situation.protocol.sequence_rules]


def _judged(rule: SequenceRule, trajectory: Trajectory, situation: Situation) -> Finding:
    if rule.rule is Sequence.PERSON:
        return _finding(rule, Verdict.WARN, f"{rule.name}: {rule.words}", "Tick it when it is done")
    found = [
        one for name, one in situation.structures.items()
        if one.presence is Presence.PRESENT and fits(name, rule.structure, situation.side)
    ]  # fmt: skip
    if not found:
        words = f"{rule.name}: {rule.structure} is not in the case"
        return _finding(rule, Verdict.NOT_EVALUATED, words, "Segment it, or outline it")
    if rule.rule is Sequence.THROUGH_PEDICLE:
        return _pedicle(rule, trajectory, situation, found[0])
    points, radius = swept_points(trajectory), trajectory.device.radius_mm
    wrong = np.zeros(len(points), dtype=bool)
    covered = np.zeros(len(points), dtype=bool)
    for one in found:
        outline = _Outline(one)
        if rule.rule is Sequence.NOT_ABOVE:
            wrong |= points[:, 2] > outline.top_mm
            covered[:] = True
            continue
        within, behind, seen = outline.about(points, radius)
        covered |= seen
        wrong |= within & (behind if rule.rule is Sequence.BESIDE_UNTIL_PAST_FRONT else True)
    if wrong.any():
        depth = float(STEP_MM * np.argmax(wrong))
        words = f"{rule.name}: broken from {depth:.0f} mm below the skin on ({rule.words})"
        return _finding(rule, Verdict.FAIL, words, "Choose another way in", found[0].name)
    if not covered.any():
        words = f"{rule.name}: {rule.structure} is not labelled at the height of the way"
        return _finding(rule, Verdict.NOT_EVALUATED, words, "Segment it there", found[0].name)
    return _finding(rule, Verdict.PASS, f"{rule.name}: kept all along ({rule.words})", "", found[0].name)


def swept_points(trajectory: Trajectory) -> NDArray[np.float64]:
    """(N, 3) LPS mm along the axis, skin to the end of the throw, STEP_MM apart."""
    depths = np.arange(0.0, trajectory.swept_depth_mm + STEP_MM / 2, STEP_MM)
    return np.asarray(trajectory.entry_mm + depths[:, None] * trajectory.direction)


def _finding(rule: SequenceRule, verdict: Verdict, words: str, remedy: str, structure: str = "") -> Finding:
    return Finding(FindingKind.RULES, verdict, words, structure, source=rule.source, remedy=remedy)


class _Outline:
    """A structure's width and front at each height, from the voxels that hold any of it, to their outer faces."""

    def __init__(self, structure: Structure) -> None:
        boundary = boundary_of(structure)
        assert structure.grid is not None
        half = np.abs(structure.grid.axes * structure.grid.spacing_mm).sum(axis=1) / 2
        self._points, self._half = boundary.centres_mm, half
        self.top_mm = float(self._points[:, 2].max() + half[2])
        self._slab = max(2.0 * half[2], 1.5)

    def about(
        self, points: NDArray[np.float64], radius: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Of each point: whether the needle there is within the width, whether it is not wholly past the front, and
        whether the structure has anything at that height."""
        within, behind, seen = (np.zeros(len(points), dtype=bool) for _ in range(3))
        heights = self._points[:, 2]
        for n, (x, y, z) in enumerate(points):
            here = self._points[np.abs(heights - z) <= self._slab]
            if not len(here):
                continue
            seen[n] = True
            low, high = here[:, 0].min() - self._half[0], here[:, 0].max() + self._half[0]
            within[n] = low - radius < x < high + radius
            behind[n] = y + radius > here[:, 1].min() - self._half[1]
        return within, behind, seen

    def front_mm(self, z: float) -> float:
        """y of its front at a height, infinite where there is nothing of it."""
        here = self._points[np.abs(self._points[:, 2] - z) <= self._slab]
        return float(here[:, 1].min() - self._half[1]) if len(here) else np.inf


def pedicle_grade(trajectory: Trajectory, vertebra: Structure, canal: Structure) -> PedicleGrade | None:
    """Of a way into a vertebral body past its canal: how far the needle's surface leaves the bone between the canal's
    front and PEDICLE_DEEP_MM behind it; None where it does not pass there. Grades: Gertzbein and Robbins 1990, Spine
    15:11-14."""
    outline, points = _Outline(canal), swept_points(trajectory)
    fronts = np.array([outline.front_mm(float(z)) for z in points[:, 2]])
    zone = points[(points[:, 1] >= fronts) & (points[:, 1] <= fronts + PEDICLE_DEEP_MM)]
    if not len(zone):
        return None
    away, _ = cKDTree(boundary_of(vertebra).centres_mm).query(zone)
    inside = occupancy_at(vertebra, zone) >= MOSTLY_INSIDE
    depth = np.where(inside, away, -away)
    breach = max(0.0, float((trajectory.device.radius_mm - depth).max()))
    if breach < 0.05:
        return PedicleGrade(0.0, "A")
    return PedicleGrade(breach, next(letter for most, letter in GRADES[1:] if breach < most))


def _pedicle(rule: SequenceRule, trajectory: Trajectory, situation: Situation, vertebra: Structure) -> Finding:
    canals = [
        one for name, one in situation.structures.items()
        if one.presence is Presence.PRESENT and name.startswith(("spinal_canal", "spinal_cord", "dural_sac"))
    ]  # fmt: skip
    if not canals:
        words = f"{rule.name}: the spinal canal is not in the case"
        return _finding(rule, Verdict.NOT_EVALUATED, words, "Segment it, or outline it", vertebra.name)
    found = pedicle_grade(trajectory, vertebra, canals[0])
    if found is None:
        words = f"{rule.name}: the way does not pass the pedicle"
        return _finding(rule, Verdict.WARN, words, "Look whether it is meant to be parapedicular", vertebra.name)
    words = f"{rule.name}: Gertzbein grade {found.grade}, {found.breach_mm:.1f} mm out of the bone"
    if found.grade == "A":
        return _finding(rule, Verdict.PASS, f"{rule.name}: inside the bone, Gertzbein grade A", "", vertebra.name)
    verdict = Verdict.WARN if found.grade == "B" else Verdict.FAIL
    return _finding(rule, verdict, words, "Choose a way nearer the pedicle's axis", vertebra.name)
