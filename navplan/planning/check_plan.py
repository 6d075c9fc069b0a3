"""The judgement of one trajectory: every finding, and from them the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.anatomy import Tissue
from navplan.model.finding import FOUND_IN_PART
from navplan.model.safety import THIN, Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.planning.ablation import ablation
from navplan.planning.boundary import crossed_mm, occupancy_at
from navplan.planning.circumstances import carried, device, frames, gauge, in_doubt, presence, request, rules
from navplan.planning.criteria import walk
from navplan.planning.entry_candidates import RE_ENTRY
from navplan.planning.entry_place import entry
from navplan.planning.expected_labels import expected_labels
from navplan.planning.image_fitness import image
from navplan.planning.image_reading import read_image
from navplan.planning.margins import Margins, margins
from navplan.planning.other_needles import crowding
from navplan.planning.sequence_rules import sequence
from navplan.planning.situation import OTHER_FRAME, OTHER_FRAME_REMEDY, Risk, Situation
from navplan.planning.sub_voxel import surface_distance
from navplan.planning.target_judgement import target
from navplan.planning.tip_contact import shaft_ends_mm
from navplan.planning.tip_resting import contact_finding, rests
from navplan.planning.tissue_map import path_sections
from navplan.planning.uncertainty import (
    RADIUS_95_2D,
    SIGMAS_95_ONE_SIDED,
    ball_probability,
    breach_probability,
    hit_probability,
)

STRAYS_REMEDY = "Check the needle with a control scan before this depth"


def judge(trajectory: Trajectory, situation: Situation) -> SafetyReport:
    """All findings on the whole swept shaft (skin to the end of the throw), the path through the tissues, the
    verdict."""
    start, end = np.asarray(trajectory.entry_mm, dtype=np.float64), trajectory.swept_end_mm
    sigma_mm = float(situation.error_model.sigma_mm(trajectory.depth_mm))
    measured = margins(situation.boundaries, [start], [end])
    path = path_sections(situation.tissues, situation.image, start, end)
    outside = _outside_regions(trajectory, situation)
    findings: list[Finding] = []
    for n, risk in enumerate(situation.risks):
        findings += clear_or_resting(trajectory, situation, risk, measured, n, outside[n])
    findings += presence(situation)
    findings += expected_labels(trajectory, situation)
    findings += frames(situation)
    findings += carried(situation)
    findings += in_doubt(situation)
    findings.append(entry(trajectory, situation))
    findings += read_image(trajectory, situation)
    findings += _crossings(trajectory, situation)
    findings += target(trajectory, situation)
    findings += request(situation)
    findings += situation.which_way_round
    findings += situation.labels_fit_image
    findings += image(trajectory, situation, findings)
    ablated = ablation(trajectory, situation)
    findings += ablated.findings
    findings += rules(situation)
    findings += sequence(trajectory, situation)
    findings.append(device(trajectory, situation.devices))
    findings += gauge(trajectory.device)
    beside = crowding(trajectory, situation.others, situation.target.structure)
    findings += [] if beside is None else [beside]
    findings.append(
        Finding(
            FindingKind.ERROR_MODEL,
            Verdict.PASS,
            f"{situation.error_model.name}: sigma {sigma_mm:.1f} mm at the target{_depth_words(situation)}",
            source=situation.error_model.source,
        )
    )
    return SafetyReport(
        findings=tuple(sorted(findings, key=_worst_and_nearest_first)),
        path=path,
        hit_probability=_hit(trajectory, situation),
        error_model=situation.error_model.id,
        error_model_source=situation.error_model.source,
        max_breach_probability=situation.protocol.max_breach_probability.value,
        image_digest=situation.image.digest,
        checked_on=situation.today,
        ablation=ablated.margin,
    )


def _depth_words(situation: Situation) -> str:
    depth_mm = situation.error_model.depth_sigma_mm
    return f", {depth_mm:.1f} mm along the needle" if depth_mm else ""


def _worst_and_nearest_first(finding: Finding) -> tuple[int, float]:
    return finding.verdict.rank, finding.distance.low_mm if finding.distance else -np.inf


def _outside_regions(trajectory: Trajectory, situation: Situation) -> list[bool]:
    """`outside_region` of each risk; most were looked for in the same region."""
    asked = [(risk.boundary.structure.evaluated_in, risk.required_mm) for risk in situation.risks]
    found: dict[tuple[bytes, tuple[int, ...], float], bool] = {}
    answers = []
    for region, required_mm in asked:
        assert region is not None
        key = region.affine.tobytes(), region.shape, required_mm
        if key not in found:
            found[key] = outside_region(trajectory, situation, region, required_mm)
        answers.append(found[key])
    return answers


def outside_region(trajectory: Trajectory, situation: Situation, region: Grid, required_mm: float) -> bool:
    """Whether shaft, throw, 95 % error cone, 95 % of ends or required clearance leave the region in which a structure
    was looked for."""
    beyond_mm = SIGMAS_95_ONE_SIDED * situation.error_model.end_sigma_mm(trajectory.direction)
    depths = np.linspace(0.0, trajectory.swept_depth_mm + beyond_mm, 32)
    needle = trajectory.device.radius_mm
    cone = RADIUS_95_2D * situation.error_model.sigma_mm(depths)
    radius = needle + np.maximum(cone, required_mm)  # nearer than required it would be unseen beyond the region
    points = np.asarray(trajectory.entry_mm) + depths[:, None] * trajectory.direction
    index, margin = region.indices(points), _inward(radius, depths)[:, None] / region.spacing_mm
    upper = np.asarray(region.shape) - 0.5
    return not bool(((index >= -0.5 + margin) & (index <= upper - margin)).all())


def _inward(radius_mm: NDArray[np.float64], depths_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """At the skin the cone is outside the body on one side: there it counts only as far in as the needle is deep."""
    return np.minimum(radius_mm, depths_mm)


def clear_or_resting(
    trajectory: Trajectory, situation: Situation, risk: Risk, measured: Margins, column: int, outside_region: bool
) -> list[Finding]:
    """The clearance of the whole swept needle; where the tip may rest on the structure, that of the shaft and what the
    tip does."""
    start, end = np.asarray(trajectory.entry_mm, dtype=np.float64), trajectory.swept_end_mm
    whole = _clearance(trajectory, situation, risk, measured, column, outside_region, end)
    depths = None if whole.distance is None else rests(trajectory, risk, whole.distance.low_mm)
    if depths is None or depths.high_mm[0] <= 0 or risk.contact is None:
        return [whole]
    shaft_end = shaft_ends_mm(start[None], end[None], risk.contact)[0]
    shaft = margins([risk.boundary], [start], [shaft_end])
    clear = _clearance(trajectory, situation, risk, shaft, 0, outside_region, shaft_end)
    near_edge = _edge_decides(risk, start, end, trajectory.device.radius_mm, float(measured.centre_mm[0, column]))
    why = "cut by the edge of the image near the tip" if near_edge else ""
    why = clear.words if clear.verdict is Verdict.NOT_EVALUATED else why
    part = f"shaft, to {risk.contact.tip_mm:g} mm from the tip"
    return [replace(clear, words=f"{part}: {clear.words}", part=part), contact_finding(trajectory, risk, depths, why)]


def _clearance(
    trajectory: Trajectory,
    situation: Situation,
    risk: Risk,
    measured: Margins,
    column: int,
    outside_region: bool,
    end: NDArray[np.float64],
) -> Finding:
    """end: of the part of the swept axis that was measured, the whole or its shaft."""
    boundary, structure = risk.boundary, risk.boundary.structure
    radius = trajectory.device.radius_mm
    start = np.asarray(trajectory.entry_mm, dtype=np.float64)
    voxel = boundary.centres_mm[measured.nearest[0, column]]
    interval, nearest, along = _narrowed(measured, column, start, end, radius)
    crossed = crossed_mm(structure, start, end) if interval.low_mm <= 0 else 0.0
    breach = breach_probability(boundary, start, end, radius, situation.error_model)
    allowed = situation.protocol.max_breach_probability.value
    words, verdict, remedy, gap = f"{interval}", Verdict.PASS, "", ""
    if crossed > 0 or interval.high_mm < risk.required_mm:
        verdict, remedy = Verdict.FAIL, "Choose another way in"
        words = (
            f"the shaft runs {crossed:.1f} mm inside it"
            if crossed
            else f"{interval}, at least {risk.required_mm:g} mm required"
        )
    elif not situation.same_frame(structure):
        verdict, words, gap, remedy = Verdict.NOT_EVALUATED, OTHER_FRAME, OTHER_FRAME, OTHER_FRAME_REMEDY
    elif outside_region:
        verdict, words = Verdict.NOT_EVALUATED, "shaft or error cone leave the region in which it was looked for"
        gap = "looked for only in a region that shaft or error cone leave"
        remedy = "Segment the whole image, or choose a way inside the region"
    elif _edge_decides(risk, start, end, radius, float(measured.centre_mm[0, column])):
        verdict, words = (
            Verdict.NOT_EVALUATED,
            f"cut by the edge of the image within {risk.required_mm:g} mm of the shaft",
        )
        remedy = "Take an image that shows it whole"
    elif not boundary.locally_thick(voxel):
        verdict, words = (
            Verdict.WARN,
            f"{THIN} ({boundary.diagonal_mm:.1f} mm) at its nearest point; {interval} is not proven",
        )
        remedy, gap = "Look at the reformats; fractional or finer labels would bound it", THIN
        if breach > allowed:
            words += f"; touched with a probability of up to {breach:.0%} by a needle that strays"
            remedy = f"{STRAYS_REMEDY}. {remedy}"
    elif interval.low_mm < risk.required_mm:
        verdict, words = Verdict.WARN, f"{interval}: {risk.required_mm:g} mm are not proven"
        remedy = "Choose a wider way, or finer labels"
    elif breach > allowed:
        verdict, words = (
            Verdict.WARN,
            f"{interval}; touched with a probability of up to {breach:.0%} by a needle that strays",
        )
        remedy, gap = STRAYS_REMEDY, "within reach of a needle that strays"
    elif structure.incomplete:
        verdict, words = Verdict.WARN, f"{interval} to what was found of it; the rest may lie nearer"
        remedy, gap = "Look for the rest along the way in the image", FOUND_IN_PART
    return Finding(
        kind=FindingKind.CLEARANCE,
        verdict=verdict,
        words=words,
        structure=structure.name,
        distance=interval,
        required_mm=risk.required_mm,
        breach_probability=breach,
        nearest_mm=_triple(nearest),
        needle_mm=_triple(trajectory.point_at_mm(along)),
        at_depth_mm=along,
        crossed_mm=crossed,
        source=risk.source,
        remedy=remedy,
        gap=gap,
    )


def _narrowed(
    measured: Margins, column: int, start: NDArray[np.float64], end: NDArray[np.float64], radius_mm: float
) -> tuple[Interval, NDArray[np.float64], float]:
    """The clearance, the structure's nearest point, and how deep the needle is nearest to it: from the surface inside
    the voxels where the labels tell it, else from the voxels."""
    boundary = measured.boundaries[column]
    interval = measured.interval(0, column, radius_mm)
    nearest, along = boundary.centres_mm[measured.nearest[0, column]], float(measured.along_mm[0, column])
    surface = surface_distance(boundary, start, end)
    if surface is None:
        return interval, nearest, along
    low = max(interval.low_mm, surface.low_mm - radius_mm)
    high = max(min(interval.high_mm, surface.high_mm - radius_mm), interval.low_mm)
    return Interval(min(low, high), high), np.asarray(surface.nearest_mm), surface.along_mm


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _edge_decides(
    risk: Risk, start: NDArray[np.float64], end: NDArray[np.float64], radius_mm: float, voxels_mm: float
) -> bool:
    """Whether the nearest place where the image's edge cuts the structure is closer than the required clearance.
    voxels_mm: from the axis to the nearest of all its boundary voxels."""
    boundary = risk.boundary
    if voxels_mm - boundary.diagonal_mm - radius_mm >= risk.required_mm or not boundary.cut.any():
        return False
    cut = boundary.centres_mm[boundary.cut]
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / length
    offset = cut - start
    along = np.clip(offset @ direction, 0.0, length)
    nearest = float(np.linalg.norm(offset - along[:, None] * direction, axis=1).min())
    return nearest - boundary.diagonal_mm - radius_mm < risk.required_mm


def _crossings(trajectory: Trajectory, situation: Situation) -> list[Finding]:
    """What the needle crosses by the protocol's leave, and how often it punctures the pleura."""
    start, end = np.asarray(trajectory.entry_mm, dtype=np.float64), trajectory.swept_end_mm
    findings = []
    for name in situation.crossable:
        rule = situation.protocol.may_cross(name, situation.side)
        crossed = crossed_mm(situation.structures[name], start, end) if rule else 0.0
        if rule and crossed > 0:
            words = f"crossed over {crossed:.1f} mm, as the protocol allows"
            findings.append(
                Finding(FindingKind.CROSSING, Verdict.PASS, words, name, crossed_mm=crossed, source=rule.source)
            )
    aim = np.asarray(trajectory.target_mm, dtype=np.float64)
    beyond_mm = trajectory.swept_depth_mm - trajectory.depth_mm
    walked = walk(situation.tissues, start[None], aim, situation.target.structure, situation.host, beyond_mm)[0]
    limit = situation.protocol.pleura_punctures_max
    count = int(walked[2])
    if limit is not None and not _lung_known(situation):
        findings.append(
            Finding(
                FindingKind.PUNCTURES,
                Verdict.NOT_EVALUATED,
                "no lung is known: pleural punctures cannot be counted",
                remedy="Segment the lungs",
            )
        )
    elif limit is not None:
        words = f"{count} pleural puncture{'s' if count != 1 else ''}, {limit} allowed"
        verdict = Verdict.PASS if count <= limit else Verdict.FAIL
        findings.append(
            Finding(FindingKind.PUNCTURES, verdict, words, source=situation.protocol.pleura_punctures_source)
        )
    if walked[4] > 1:
        words, remedy = (
            f"the way {RE_ENTRY}: through an arm or a fold of skin",
            "Move it aside, or choose another way in",
        )
        findings.append(Finding(FindingKind.CROSSING, Verdict.FAIL, words, remedy=remedy))
    if walked[5]:
        findings.append(
            Finding(
                FindingKind.CROSSING,
                Verdict.FAIL,
                "the path goes from one lobe of the lung to another: a fissure is crossed",
                "fissure",
                source="polradiol 41197",
                remedy="Choose a way through one lobe",
            )
        )
    return findings


def _hit(trajectory: Trajectory, situation: Situation) -> float | None:
    """Probability that the lateral error, that of the depth, and the target's own motion, leave the tip within the
    largest ball about the target point inside the target."""
    boundary = situation.target_boundary
    if boundary is None:
        return None
    aim = np.asarray(trajectory.target_mm, dtype=np.float64)
    if not occupancy_at(boundary.structure, aim[None])[0]:
        return 0.0
    distance = float(np.linalg.norm(boundary.centres_mm - aim, axis=1).min()) - boundary.diagonal_mm / 2
    model, direction = situation.error_model, trajectory.direction
    sigma = float(model.needle_sigma_mm(trajectory.depth_mm))
    if not any(model.motion_sigma_mm) and not model.depth_sigma_mm:
        return hit_probability(max(distance, 0.0), sigma)
    across = np.hypot(sigma, model.across(direction)[1])
    return ball_probability(distance, (*across, model.end_sigma_mm(direction)))


def _lung_known(situation: Situation) -> bool:
    """Whether a lung of the side of the procedure (any lung where it has none) is present."""
    lungs = [
        s for s in situation.structures.values() if s.anatomy.tissue is Tissue.LUNG and s.presence is Presence.PRESENT
    ]
    return any(s.side in ("", situation.side) or not situation.side for s in lungs)
