"""What the undegraded zone comes near to: kept, missed or not known, by the lines that clearances are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.ablation import AblationMargin, AblationZone, Protection
from navplan.model.anatomy import Tissue
from navplan.model.protocol import UNSOURCED, fits
from navplan.model.safety import THIN, Finding, FindingKind, Interval, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation_margin import DepthInterval, distance_to
from navplan.planning.ablation_zone import Ellipsoid, zone_of
from navplan.planning.boundary import Boundary, boundary_of
from navplan.planning.circumstances import NOT_LOOKED_FOR
from navplan.planning.situation import OTHER_FRAME, OTHER_FRAME_REMEDY, UNDECLARED, Situation

BODY = "body"
TELL_MM = 30.0  # what passes and lies farther is told together
NEARER = "Choose another way, a smaller zone, or keep it away (fluid, gas, a balloon)"
SINK = "Look whether it is wider than 3 mm: it cools what lies beside it; longer or more ablations, or another way"


def neighbours(
    trajectory: Trajectory, situation: Situation, zone: AblationZone, asked: AblationMargin
) -> list[Finding]:
    """Findings on every present structure that is a risk or protected, and on what is protected and not known."""
    shape = zone_of(trajectory, zone, derated=False)
    risks = {risk.name: risk.boundary for risk in situation.risks}
    findings, kept = [], []
    for name, structure in situation.structures.items():
        if structure.presence is not Presence.PRESENT or name == situation.target.structure:
            continue
        rule = _rule(name, asked, situation.side)
        vessel = structure.anatomy.tissue is Tissue.VESSEL and rule is None
        if rule is None and name not in risks and not vessel:
            continue
        boundary = risks.get(name) or boundary_of(structure)
        fine = max(TELL_MM, rule.min_clearance_mm if rule else 0.0)
        found = _to_the_skin(shape, boundary) if name == BODY else distance_to(shape, boundary, fine)
        finding = (
            _heat_sink(structure, found, asked)
            if vessel
            else _protected(situation, structure, boundary, shape, found, rule)
        )
        if finding.verdict is Verdict.PASS and found.interval.low_mm > TELL_MM:
            kept.append(finding)
        else:
            findings.append(finding)
    if kept:
        nearest = min(kept, key=lambda one: one.distance.low_mm if one.distance else np.inf)
        words = f"{len(kept)} more structures farther than {TELL_MM:.0f} mm from the undegraded zone"
        words += f", of them {nearest.structure} nearest"
        findings.append(Finding(FindingKind.ABLATION, Verdict.PASS, words, distance=nearest.distance))
    return findings + _unknown(situation, asked)


def _rule(name: str, asked: AblationMargin, side: str) -> Protection | None:
    """The protection that fits a structure's name; of several the widest."""
    fitting = [rule for rule in asked.protection if fits(name, rule.structure, side)]
    return max(fitting, key=lambda rule: rule.min_clearance_mm, default=None)


def _unknown(situation: Situation, asked: AblationMargin) -> list[Finding]:
    """What is to be protected and nobody looked for; of what the protocol has a limit for, its own finding tells."""
    limited = {limit.structure for limit in situation.protocol.hard}
    known = [s.name for s in situation.structures.values() if s.presence is not Presence.UNKNOWN]
    return [
        Finding(
            FindingKind.ABLATION, Verdict.WARN,
            "not looked for, or not found; the protocol protects it from the zone",
            rule.structure.replace("*", "").strip("_"), required_mm=rule.min_clearance_mm, source=rule.source,
            remedy="Look for it around the zone in the image; segment it, or state it absent", gap=NOT_LOOKED_FOR,
        )
        for rule in asked.protection
        if rule.structure not in limited and not any(fits(name, rule.structure, situation.side) for name in known)
    ]  # fmt: skip


def _protected(
    situation: Situation,
    structure: Structure,
    boundary: Boundary,
    shape: Ellipsoid,
    found: DepthInterval,
    rule: Protection | None,
) -> Finding:
    required = rule.min_clearance_mm if rule else 0.0
    source = rule.source if rule else UNDECLARED
    interval = found.interval
    told = f"{interval} from the undegraded zone"
    if interval.high_mm < 0:
        told = f"the undegraded zone reaches {-interval.high_mm:.1f} to {-interval.low_mm:.1f} mm into it"
    words, verdict, remedy, gap = told, Verdict.PASS, "", ""
    if interval.high_mm < required:
        verdict = Verdict.WARN if rule and rule.warn_only else Verdict.FAIL
        words, remedy = f"{told}, at least {required:g} mm asked", NEARER
    elif not situation.same_frame(structure):
        verdict, words, gap, remedy = Verdict.NOT_EVALUATED, OTHER_FRAME, OTHER_FRAME, OTHER_FRAME_REMEDY
    elif structure.evaluated_in is not None and leaves(shape, structure.evaluated_in, required):
        verdict, gap = Verdict.NOT_EVALUATED, "looked for only in a region that the undegraded zone leaves"
        words, remedy = f"{gap}; of what is seen: {told}", "Segment the whole image, or take a longer one"
    elif _cut_decides(shape, boundary, required):
        verdict, words = Verdict.NOT_EVALUATED, f"cut by the edge of the image within {required:g} mm of the zone"
        remedy = "Take an image that shows it whole"
    elif not found.proven:
        verdict, gap = Verdict.WARN, THIN
        words, remedy = f"{THIN} at its nearest point; {told} is not proven", "Look at the reformats"
    elif interval.low_mm < required:
        verdict, words, remedy = Verdict.WARN, f"{told}: {required:g} mm are not proven", NEARER
    if rule and rule.note and verdict is not Verdict.PASS:
        words = f"{words}. {rule.note.rstrip('.')}"
    return _finding(structure, found, verdict, words, required, source, remedy, gap)


def _heat_sink(structure: Structure, found: DepthInterval, asked: AblationMargin) -> Finding:
    """A vessel in the zone, or that near to it that it may be."""
    near = found.interval.low_mm < asked.heat_sink_mm or (asked.heat_sink_mm == 0.0 and found.interval.low_mm <= 0)
    place = "in the undegraded zone" if found.interval.high_mm < 0 else f"{found.interval} from the undegraded zone"
    words = f"heat sink: {place}" if near else place
    return _finding(
        structure, found, Verdict.WARN if near else Verdict.PASS, words, asked.heat_sink_mm,
        asked.heat_sink_source or UNSOURCED, SINK if near else "", "",
    )  # fmt: skip


def _finding(
    structure: Structure,
    found: DepthInterval,
    verdict: Verdict,
    words: str,
    required_mm: float,
    source: str,
    remedy: str,
    gap: str,
) -> Finding:
    x, y, z = found.voxel_mm.tolist()
    return Finding(
        FindingKind.ABLATION, verdict, words, structure.name, distance=found.interval, required_mm=required_mm,
        nearest_mm=(x, y, z), source=source, remedy=remedy, gap=gap,
    )  # fmt: skip


def _to_the_skin(shape: Ellipsoid, boundary: Boundary) -> DepthInterval:
    """Of a zone inside the body to its outline: to the outermost voxels, whose surface lies within a diagonal. Where
    the image's edge cuts the body there is no skin; a body without an outline of its own: its cut ones."""
    centres = boundary.centres_mm[~boundary.cut] if not boundary.cut.all() else boundary.centres_mm
    away = -shape.depth_mm(centres)
    least = int(np.argmin(away))
    interval = Interval(float(away[least]) - boundary.diagonal_mm, float(away[least]) + boundary.diagonal_mm)
    return DepthInterval(interval, centres[least], -float(away[least]), True)


def leaves(shape: Ellipsoid, region: Grid, more_mm: float) -> bool:
    """Whether a zone, or what lies nearer to it than more_mm, leaves a grid's voxels."""
    middle = region.indices(shape.centre_mm)
    reach = np.asarray([shape.reach_mm(axis) + more_mm for axis in region.axes.T]) / region.spacing_mm
    upper: NDArray[np.float64] = np.asarray(region.shape) - 0.5
    return bool(((middle - reach < -0.5) | (middle + reach > upper)).any())


def _cut_decides(shape: Ellipsoid, boundary: Boundary, required_mm: float) -> bool:
    """Whether the nearest place where the image's edge cuts the structure is closer to the zone than required."""
    if not boundary.cut.any() or boundary.structure.name == BODY:
        return False
    nearest = float((-shape.depth_mm(boundary.centres_mm[boundary.cut])).min())
    return nearest - boundary.diagonal_mm < required_mm
