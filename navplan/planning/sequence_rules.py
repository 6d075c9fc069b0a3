"""Rules of order along a way: what a person checks in two views while the needle goes in, checked on the labels.

Front, side and height are the patient's axes: y to the back, x to the left, z to the head. Widths are those of the
structure in the slices about each point, so a curved canal is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.model.device import Device
from navplan.model.finding import TICK
from navplan.model.protocol import Sequence, SequenceRule, fits
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_of, occupancy_at
from navplan.planning.depth_in_bone import depth_at_least_mm, depths_about_mm, depths_at_least_mm
from navplan.planning.situation import OTHER_FRAME, OTHER_FRAME_REMEDY, Situation

STEP_MM = 0.5
SEEN_MM = 30.0  # of the way, before its end, at whose heights a structure must be labelled (unsourced)
REACH_MM = 3.0  # beyond a needle's surface, in which a pedicle's wall is looked for
FAR_OUT_MM = 20.0  # out of a pedicle: as good as not through it
_ON_OUTLINES = (Sequence.BESIDE_UNTIL_PAST_FRONT, Sequence.NEVER_MEDIAL, Sequence.NOT_ABOVE)
PEDICLE_DEEP_MM = 10.0  # behind the canal's front: where a way is in the pedicle, if it is in one (unsourced)
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
        return _finding(rule, Verdict.WARN, f"{rule.name}: {rule.words}", TICK)
    found = _structures_of(rule, situation)
    if not found:
        words = f"{rule.name}: {rule.structure} is not in the case"
        return _finding(rule, Verdict.NOT_EVALUATED, words, "Segment it, or outline it")
    if not all(situation.same_frame(one) for one in found):
        return _finding(rule, Verdict.NOT_EVALUATED, f"{rule.name}: {rule.structure} {OTHER_FRAME}", OTHER_FRAME_REMEDY)
    if rule.rule is Sequence.THROUGH_PEDICLE:
        return _pedicle(rule, trajectory, situation, found[0])
    points, radius = swept_points(trajectory), trajectory.device.radius_mm
    wrong = np.zeros(len(points), dtype=bool)
    covered = np.zeros(len(points), dtype=bool)
    for one in found:
        outline = _outline(one)
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
    near_end = np.arange(len(points)) >= len(points) - int(SEEN_MM / STEP_MM)
    if not covered[near_end].all():
        words = f"{rule.name}: {rule.structure} is not labelled at every height of the way's last {SEEN_MM:g} mm"
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
        points = boundary_of(structure).centres_mm
        assert structure.grid is not None
        half = np.abs(structure.grid.axes * structure.grid.spacing_mm).sum(axis=1) / 2
        self.top_mm = float(points[:, 2].max() + half[2])
        slab = max(2.0 * half[2], 1.5)
        self._from = float(points[:, 2].min() - slab)
        heights = np.arange(self._from, self.top_mm + slab, STEP_MM)
        self._low, self._high, self._front = (np.full(len(heights), value) for value in (np.inf, -np.inf, np.inf))
        order = np.argsort(points[:, 2])
        sorted_points = points[order]
        first, last = (np.searchsorted(sorted_points[:, 2], heights + step) for step in (-slab, slab))
        for n in np.flatnonzero(last > first):
            here = sorted_points[first[n] : last[n]]
            self._low[n], self._high[n] = here[:, 0].min() - half[0], here[:, 0].max() + half[0]
            self._front[n] = here[:, 1].min() - half[1]

    def _at(self, heights: NDArray[np.float64], table: NDArray[np.float64], nothing: float) -> NDArray[np.float64]:
        index = np.rint((heights - self._from) / STEP_MM).astype(int)
        known = (index >= 0) & (index < len(table))
        return np.where(known, table[np.clip(index, 0, len(table) - 1)], nothing)

    def about(
        self, points: NDArray[np.float64], radius: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Of each point (..., 3): whether the needle there is within the width, whether it is not wholly past the
        front, and whether the structure has anything at that height."""
        low = self._at(points[..., 2], self._low, np.inf)
        high = self._at(points[..., 2], self._high, -np.inf)
        within = (low - radius < points[..., 0]) & (points[..., 0] < high + radius)
        behind = points[..., 1] + radius > self.front_mm(points[..., 2])
        return within, behind, np.isfinite(low)

    def front_mm(self, heights: NDArray[np.float64]) -> NDArray[np.float64]:
        """y of its front at heights, infinite where there is nothing of it."""
        return self._at(heights, self._front, np.inf)


_OUTLINES: WeakKeyDictionary[Structure, _Outline] = WeakKeyDictionary()


def _outline(structure: Structure) -> _Outline:
    if structure not in _OUTLINES:
        _OUTLINES[structure] = _Outline(structure)
    return _OUTLINES[structure]


def pedicle_out_mm(
    points: NDArray[np.float64], radius: float, vertebra: Structure, canal: Structure, proven: bool = False
) -> NDArray[np.float64]:
    """(N,) how far needles along points (N, M, 3), from the skin on, leave the bone between the canal's front and
    PEDICLE_DEEP_MM behind it, mm; infinite where one does not pass there. What lies before the needle has gone into the
    bone by its radius is the entry, no breach. proven: at most so far, by what voxels bound, not about so far."""
    found = np.full(len(points), np.inf)
    judged = _in_pedicle(points, radius, vertebra, canal)
    if not judged.any():
        return found
    out = np.full(judged.shape, -np.inf)
    out[judged] = radius - (depths_at_least_mm if proven else depths_about_mm)(vertebra, points[judged])
    passes = judged.any(axis=1)
    found[passes] = np.maximum(out[passes].max(axis=1), 0.0)
    return found


def _in_pedicle(
    points: NDArray[np.float64], radius: float, vertebra: Structure, canal: Structure
) -> NDArray[np.bool_]:
    """Which of points (N, M, 3) along needles lie between the canal's front and PEDICLE_DEEP_MM behind it, and are no
    mere entry into the bone."""
    fronts = _outline(canal).front_mm(points[..., 2])
    zone = (points[..., 1] >= fronts) & (points[..., 1] <= fronts + PEDICLE_DEEP_MM)
    bone = np.zeros(zone.shape, dtype=bool)
    bone[zone] = occupancy_at(vertebra, points[zone]) >= MOSTLY_INSIDE
    entered = np.where(bone.any(axis=1), bone.argmax(axis=1), 0)
    step = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    begun = np.where(bone.any(axis=1), entered + np.ceil(radius / np.maximum(step, 1e-6)), 0)
    first_seen = np.arange(zone.shape[1]) < begun[:, None]
    surely_entry = first_seen & ((entered > zone.argmax(axis=1))[:, None])
    return np.asarray(zone & ~surely_entry)


def surely_inside_pedicle(trajectory: Trajectory, vertebra: Structure, canal: Structure) -> bool:
    """Whether a way's needle is proven to stay in the bone where `pedicle_grade` looks at it: Gertzbein's grade A."""
    points, radius = swept_points(trajectory), trajectory.device.radius_mm
    looked_at = np.flatnonzero(_in_pedicle(points[None], radius, vertebra, canal)[0])
    if len(looked_at) < 2:
        return False
    first, last = points[looked_at[0]], points[looked_at[-1]]
    return depth_at_least_mm(vertebra, first, last, radius + REACH_MM) >= radius


def pedicle_grade(trajectory: Trajectory, vertebra: Structure, canal: Structure) -> PedicleGrade | None:
    """Of a way into a vertebral body past its canal: how far the needle's surface leaves the bone between the canal's
    front and PEDICLE_DEEP_MM behind it; None where it does not pass there. Grades: Gertzbein and Robbins 1990, Spine
    15:11-14."""
    breach = float(pedicle_out_mm(swept_points(trajectory)[None], trajectory.device.radius_mm, vertebra, canal)[0])
    if not np.isfinite(breach):
        return None
    if breach < 0.05:
        return PedicleGrade(0.0, "A")
    return PedicleGrade(breach, next(letter for most, letter in GRADES[1:] if breach < most))


def broken(
    situation: Situation, device: Device, entries_mm: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """For many ways to the situation's target: each computed rule in words, and which ways (N,) break it. A rule whose
    structure is not in the case breaks none: the judgement says so."""
    points = _many_points(situation, device, entries_mm)
    found = []
    for rule in situation.protocol.sequence_rules:
        wrong = np.zeros(len(entries_mm), dtype=bool)
        for one in _structures_of(rule, situation) if rule.rule in _ON_OUTLINES else []:
            outline = _outline(one)
            if rule.rule is Sequence.NOT_ABOVE:
                wrong |= (points[..., 2] > outline.top_mm).any(axis=1)
                continue
            within, behind, _ = outline.about(points, device.radius_mm)
            wrong |= (within & (behind if rule.rule is Sequence.BESIDE_UNTIL_PAST_FRONT else True)).any(axis=1)
        found.append((f"against the rule: {rule.name}", wrong))
    return found


def out_of_pedicle_mm(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) of ways to the situation's target, as `pedicle_out_mm` proves it, at most FAR_OUT_MM: also where nothing
    tells."""
    rules = [rule for rule in situation.protocol.sequence_rules if rule.rule is Sequence.THROUGH_PEDICLE]
    bones, canals = [one for rule in rules for one in _structures_of(rule, situation)], _canals(situation)
    if not bones or not canals or not len(entries_mm):
        return np.full(len(entries_mm), FAR_OUT_MM)
    points = _many_points(situation, device, entries_mm)
    return np.minimum(pedicle_out_mm(points, device.radius_mm, bones[0], canals[0], True), FAR_OUT_MM)


def _many_points(situation: Situation, device: Device, entries_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M, 3) along each way, from the skin to where its tip gets to, at most STEP_MM apart."""
    span = situation.target_mm - entries_mm
    depth = np.maximum(np.linalg.norm(span, axis=1), 1e-9)
    swept = depth - np.minimum(device.stands_short_mm, np.maximum(depth - 1.0, 0.0)) + device.throw_mm
    share = np.linspace(0.0, 1.0, 2 + int(swept.max(initial=0.0) / STEP_MM))
    return np.asarray(entries_mm[:, None] + (swept / depth)[:, None, None] * share[:, None] * span[:, None])


def _structures_of(rule: SequenceRule, situation: Situation) -> list[Structure]:
    return [
        one for name, one in situation.structures.items()
        if one.presence is Presence.PRESENT and fits(name, rule.structure, situation.side)
    ]  # fmt: skip


def _canals(situation: Situation) -> list[Structure]:
    return [
        one for name, one in situation.structures.items()
        if one.presence is Presence.PRESENT and name.startswith(("spinal_canal", "spinal_cord", "dural_sac"))
    ]  # fmt: skip


def _pedicle(rule: SequenceRule, trajectory: Trajectory, situation: Situation, vertebra: Structure) -> Finding:
    canals = _canals(situation)
    if not canals:
        words = f"{rule.name}: the spinal canal is not in the case"
        return _finding(rule, Verdict.NOT_EVALUATED, words, "Segment it, or outline it", vertebra.name)
    found = pedicle_grade(trajectory, vertebra, canals[0])
    if found is None:
        words = f"{rule.name}: the way does not pass the pedicle"
        return _finding(rule, Verdict.WARN, words, "Look whether it is meant to be parapedicular", vertebra.name)
    words = f"{rule.name}: Gertzbein grade {found.grade}, {found.breach_mm:.1f} mm out of the bone"
    voxel_mm = boundary_of(vertebra).diagonal_mm
    if found.grade == "A" and not surely_inside_pedicle(trajectory, vertebra, canals[0]):
        words = f"{rule.name}: Gertzbein grade A, not proven with voxels of {voxel_mm:.1f} mm across"
        return _finding(rule, Verdict.WARN, words, "Look at it on thin slices across the needle", vertebra.name)
    if found.grade == "A":
        return _finding(rule, Verdict.PASS, f"{rule.name}: inside the bone, Gertzbein grade A", "", vertebra.name)
    verdict = Verdict.WARN if found.grade == "B" else Verdict.FAIL
    return _finding(rule, verdict, words, "Choose a way nearer the pedicle's axis", vertebra.name)
