"""The report of one trajectory: what is open first, then everything that was measured, drawn, and not evaluated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest

from navplan.fluoroscopy.shot import FluoroShot
from navplan.geometry.table_angles import POSITION_WORDS, table_angles
from navplan.model.case import Case
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.reports.ablation_section import AblationSection, ablation_section
from navplan.reports.approval_rows import ApprovalLine, ApprovalRow, approval_line, approval_rows
from navplan.reports.freehand_card import CardContent
from navplan.reports.pictures import Picture
from navplan.reports.safety_table import FAR_MM, SafetyTable, safety_table
from navplan.reports.structure_makers import MakerRow, maker_rows
from navplan.reports.templates import page, style
from navplan.reports.wording import (
    DASH,
    Badge,
    Sources,
    badge,
    named,
    percent,
    point_words,
    short,
    stated,
)
from navplan.view.colours import spoken_words
from navplan.view.straightened_path import surface_ticks

Fact = tuple[str, str]
NEVER = (
    "bending of the needle beyond the error model; movement of organs between image and puncture; vessels and nerves "
    "that no label holds; coagulation; whether the sample will be diagnostic"
)


@dataclass(frozen=True)
class PathRow:
    """A stretch of the way."""

    tissue: str
    from_mm: str
    to_mm: str
    length_mm: str
    hu: str
    remark: str


@dataclass(frozen=True)
class AlternativeRow:
    """Another way of the plan, judged anew."""

    number: int
    shown: bool
    badge: Badge
    headline: str
    in_plane: str
    tilt: str
    depth: str
    hit: str
    desirability: str


@dataclass(frozen=True)
class ShotRow:
    """The angles of a fluoroscopic view."""

    name: str
    words: str
    patient: str
    dial: str
    reach: str
    purpose: str


@dataclass(frozen=True)
class Drawn:
    """The pictures of a report; gaps: what could not be drawn and why."""

    planes: tuple[tuple[Picture, ...], ...]
    scene: Picture | None = None
    path: Picture | None = None
    shots: tuple[tuple[FluoroShot, Picture], ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report shows."""

    case_id: str
    plan_id: str
    title: str
    number: int
    count: int
    badge: Badge
    headline: str
    plan_words: str
    approval: ApprovalLine
    approvals: tuple[ApprovalRow, ...]
    table: SafetyTable
    far_mm: str
    never: str
    plan_facts: tuple[Fact, ...]
    request_facts: tuple[Fact, ...]
    ablation: AblationSection | None
    hit_words: str
    advice: tuple[str, ...]
    diameter: str
    max_breach: str
    path_rows: tuple[PathRow, ...]
    scene: Picture | None
    path_picture: Picture | None
    planes: tuple[tuple[Picture, ...], ...]
    shots: tuple[Picture, ...]
    shot_rows: tuple[ShotRow, ...]
    gaps: tuple[str, ...]
    alternatives: tuple[AlternativeRow, ...]
    skin_rows: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    image_facts: tuple[Fact, ...]
    quality: tuple[tuple[str, str, str], ...]
    makers: tuple[MakerRow, ...]
    error_facts: tuple[Fact, ...]
    checklist: tuple[str, ...]
    bleeding: tuple[str, ...]
    notes: tuple[str, ...]
    remarks: str
    provenance: tuple[Fact, ...]
    sources: tuple[str, ...]


def report_content(
    case: Case, plan: Plan, number: int, judged: tuple[RankedTrajectory, ...], drawn: Drawn, made_by: str
) -> ReportContent:
    """The report on trajectory `number` (from 0). judged: all trajectories of the plan, with reports made now."""
    ranked = judged[number]
    image_id, volume = case.image(plan.provenance.image_id)
    sources = Sources()
    table = safety_table(ranked.report, ranked.trajectory, case.structures_of(image_id), sources)
    limit = plan.protocol.max_breach_probability
    angles = table_angles(ranked.trajectory.entry_mm, ranked.trajectory.target_mm, plan.patient_position)
    hit = ranked.report.hit_probability
    hit_told = f"at least {percent(hit)}, {plan.error_model.name}" if hit is not None else "not computed"
    approvals = approval_rows(case, replace(plan, trajectories=judged), number)
    error_facts, request_facts = _error_facts(plan, ranked, sources), _request_facts(plan, ranked, sources)
    bleeding = _bleeding(plan, sources)
    return ReportContent(
        case_id=case.id, plan_id=plan.id, title=plan.protocol.title, number=number + 1, count=len(judged),
        badge=badge(ranked.verdict), headline=headline_words(ranked),
        plan_words=f"In plane: {angles.in_plane_words}. Tilt: {angles.tilt_words}. Skin to target "
        f"{ranked.trajectory.depth_mm:.0f} mm. Hit probability {hit_told}.",
        approval=approval_line(approvals), approvals=approvals, advice=plan.notes[1:], remarks=plan.remarks.strip(),
        ablation=ablation_section(ranked.report, sources),
        table=table, far_mm=f"{FAR_MM:.0f}", never=NEVER, plan_facts=_plan_facts(plan, ranked),
        hit_words=_hit_words(plan, ranked), diameter=f"{ranked.trajectory.device.diameter_mm:g} mm",
        max_breach=f"{percent(limit.value)} ({sources.mark(limit.source)})", path_rows=_path_rows(ranked),
        scene=drawn.scene, path_picture=drawn.path, planes=drawn.planes,
        shots=tuple(picture for _, picture in drawn.shots), shot_rows=_shot_rows(plan, drawn), gaps=drawn.gaps,
        alternatives=_alternatives(plan, judged, number), skin_rows=_skin_rows(plan),
        image_facts=_image_facts(image_id, volume),
        quality=tuple((str(found.severity), found.words, found.means) for found in volume.acquisition.quality),
        makers=maker_rows(case.structures_of(image_id).values()),
        checklist=plan.protocol.checklist, notes=(*plan.notes, *plan.protocol.notes),
        provenance=_provenance(plan, ranked, made_by), sources=tuple(sources.listed),
        error_facts=error_facts, request_facts=request_facts, bleeding=bleeding,
    )  # fmt: skip


def report_html(content: ReportContent, card: CardContent) -> str:
    """The report as one page that holds all its pictures; the card is its last page."""
    return page("report.html", r=content, card=card, style=style())


def headline_words(ranked: RankedTrajectory) -> str:
    """The report's headline with typographic signs and names as words."""
    return spoken_words(ranked.report.headline.replace(">=", "≥").replace(" - ", " · "))


def _plan_facts(plan: Plan, ranked: RankedTrajectory) -> tuple[Fact, ...]:
    way = ranked.trajectory
    angles = table_angles(way.entry_mm, way.target_mm, plan.patient_position)
    return (
        ("Entry, LPS mm", point_words(way.entry_mm)),
        ("Target, LPS mm", point_words(way.target_mm)),
        ("In-plane angle", f"{angles.in_plane_words} ({angles.from_vertical_deg:.1f}°)"),
        ("Cranio-caudal tilt", f"{angles.tilt_words} ({abs(angles.tilt_deg):.1f}°)"),
        ("Skin to target", f"{way.depth_mm:.1f} mm"),
        *_tip_facts(way),
        ("Needle left outside", f"{way.device.length_mm - way.tip_depth_mm:.1f} mm"),
        (f"Hit probability at least, {plan.error_model.name}", percent(ranked.report.hit_probability)),
    )  # fmt: skip


def _tip_facts(way: Trajectory) -> tuple[Fact, ...]:
    if way.device.zones:
        beyond = -way.tip_short_of_target_mm
        where = f"{abs(beyond):.1f} mm {'beyond' if beyond >= 0 else 'before'} the target point"
        return (("Tip", f"{way.tip_depth_mm:.1f} mm below the skin, {where}"),)
    return (
        ("Tip before firing", f"{way.tip_depth_mm:.1f} mm below the skin"),
        ("Tip after firing", f"{way.swept_depth_mm:.1f} mm below the skin"),
    )


def _request_facts(plan: Plan, ranked: RankedTrajectory, sources: Sources) -> tuple[Fact, ...]:
    device, protocol = ranked.trajectory.device, plan.protocol
    return (
        ("Protocol", f"{protocol.title} ({protocol.id}, version {protocol.version})"),
        ("Target", named(plan.target.structure) if plan.target.structure else "a bare point"),
        ("Side", plan.side or "none stated"),
        *([("Level", plan.level or "none stated")] if protocol.levels else []),
        ("Patient position", f"{plan.patient_position}, {POSITION_WORDS[plan.patient_position]}"),
        ("Breath state", plan.breath_state or "as in the image"),
        ("Device", f"{device.name}; throw {device.throw_mm:g} mm {sources.mark(device.source)}"),
        ("Guidance", plan.error_model.name),
        *(("Own number", change) for change in protocol.changes),
    )  # fmt: skip


def _hit_words(plan: Plan, ranked: RankedTrajectory) -> str:
    if ranked.report.hit_probability is None:
        return "Hit probability: not computed, since the target is a bare point."
    return (
        f"Hit probability: that the lateral error at the target's depth under “{plan.error_model.name}”, uncorrected, "
        "stays within the largest ball about the target point that fits into the target: a lower bound, far "
        f"below the true one where the target is long or its labels coarse. {_depth_in_it(plan.error_model)}"
    )


def _depth_in_it(model: ErrorModel) -> str:
    if not model.depth_sigma_mm:
        return "Depth is not in it."
    return f"The depth of the stop is in it, sigma {model.depth_sigma_mm:g} mm."


def _path_rows(ranked: RankedTrajectory) -> tuple[PathRow, ...]:
    way = ranked.trajectory
    marks = [*surface_ticks(ranked.report.path), (way.depth_mm, "target point")]
    if way.tip_short_of_target_mm > 0:
        marks.append((way.tip_depth_mm, "tip before firing"))
    rows = []
    for number, section in enumerate(ranked.report.path):
        last = number == len(ranked.report.path) - 1
        inside = [
            f"{words} at {depth:.0f} mm" for depth, words in sorted(marks)
            if section.from_mm <= depth < section.to_mm or (last and depth >= section.to_mm)
        ]  # fmt: skip
        rows.append(PathRow(
            named(section.structure), f"{section.from_mm:.1f}", f"{section.to_mm:.1f}",
            f"{section.to_mm - section.from_mm:.1f}", DASH if section.mean_hu is None else f"{section.mean_hu:.0f}",
            "; ".join(inside),
        ))  # fmt: skip
    return tuple(rows)


def _shot_rows(plan: Plan, drawn: Drawn) -> tuple[ShotRow, ...]:
    purposes = {_letters(view.name): view.purpose for view in plan.protocol.views}
    rows = []
    for shot, picture in drawn.shots:
        patient = f"{shot.angles.primary_deg:+.1f} / {shot.angles.secondary_deg:+.1f}"
        dial = DASH if shot.dial is None else f"{shot.dial.primary_deg:+.1f} / {shot.dial.secondary_deg:+.1f}"
        reach = {True: "yes", False: "NO", None: "not known"}[shot.reachable]
        purpose = purposes.get(_letters(shot.name), "")
        rows.append(ShotRow(picture.title, shot.words, patient, dial, reach, purpose))
    return tuple(rows)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _alternatives(plan: Plan, judged: tuple[RankedTrajectory, ...], number: int) -> tuple[AlternativeRow, ...]:
    if len(judged) < 2:
        return ()
    rows = []
    for place, ranked in enumerate(judged):
        way = ranked.trajectory
        angles = table_angles(way.entry_mm, way.target_mm, plan.patient_position)
        rows.append(AlternativeRow(
            place + 1, place == number, badge(ranked.verdict), headline_words(ranked), angles.in_plane_words,
            angles.tilt_words, f"{way.depth_mm:.0f}", percent(ranked.report.hit_probability),
            f"{ranked.desirability:.2f}",
        ))  # fmt: skip
    return tuple(rows)


def _skin_rows(plan: Plan) -> tuple[tuple[tuple[str, str], tuple[str, str]], ...]:
    if plan.skin_map is None:
        return ()
    counted = [(spoken_words(words), str(count)) for words, count in plan.skin_map.counts().items()]
    half = (len(counted) + 1) // 2
    return tuple(zip_longest(counted[:half], counted[half:], fillvalue=("", "")))


def _image_facts(image_id: str, volume: Volume) -> tuple[Fact, ...]:
    facts, grid = volume.acquisition, volume.grid
    spacing = " x ".join(f"{value:.2f}" for value in grid.spacing_mm)
    thickness = "not stated" if facts.slice_thickness_mm is None else f"{facts.slice_thickness_mm:g} mm"
    return (
        ("Image", f"{image_id}: {volume.modality}, {' x '.join(str(n) for n in grid.shape)} voxels of {spacing} mm"),
        ("Date", stated(facts.date[:16].replace("T", " "))),
        ("Patient position", stated(facts.patient_position)),
        ("Slice thickness", thickness),
        ("Kernel", stated(facts.kernel)),
        ("Contrast phase", stated(facts.contrast_phase)),
        ("Breath state", stated(facts.breath_state)),
        ("Frame of reference", short(grid.frame_uid)),
        ("Series", short(facts.series_uid)),
        ("Identity", "known by a digest alone" if facts.patient_digest else "the image does not say whose it is"),
    )


def _error_facts(plan: Plan, ranked: RankedTrajectory, sources: Sources) -> tuple[Fact, ...]:
    model, limit = plan.error_model, plan.protocol.max_breach_probability
    sigma = float(model.sigma_mm(ranked.trajectory.depth_mm))
    return (
        ("Guidance", f"{model.name} ({model.id})"),
        ("Entry and angle", f"sigma {model.entry_sigma_mm:g} mm and {model.angle_sigma_deg:g}° on each axis"),
        *_bend_and_motion(model),
        ("At the target", f"sigma {sigma:.1f} mm; 95 % of needles within {2.448 * sigma:.1f} mm of the line"),
        ("Source", model.source),
        ("Probability allowed", f"{percent(limit.value)} that a structure is touched ({sources.mark(limit.source)})"),
    )


def _bend_and_motion(model: ErrorModel) -> tuple[Fact, ...]:
    found: list[Fact] = []
    if model.depth_sigma_mm:
        found.append(("Depth of the stop", f"sigma {model.depth_sigma_mm:g} mm along the needle"))
    if model.bend_sigma_per_mm:
        found.append(("Bending", f"sigma of the curvature {model.bend_sigma_per_mm:g} per mm"))
    if any(model.motion_sigma_mm):
        side, front, head = model.motion_sigma_mm
        found.append(("Motion of the anatomy", f"sigma {side:g} mm sideways, {front:g} front-back, {head:g} head-foot"))
    return tuple(found)


def _bleeding(plan: Plan, sources: Sources) -> tuple[str, ...]:
    risk = plan.protocol.bleeding_risk
    if risk is None:
        return ()
    return (
        f"Risk category: {risk.category} {sources.mark(risk.source)}",
        f"INR at most {risk.inr_max}; measured: ________ on: ____________",
        f"Platelets at least {risk.platelets_min}; measured: ________ on: ____________",
        "Anticoagulants and platelet inhibitors looked through: ____________",
    )


def _time(when: str) -> str:
    return f"{when[:19].replace('T', ' ')} UTC" if when.endswith("+00:00") else when


def _provenance(plan: Plan, ranked: RankedTrajectory, made_by: str) -> tuple[Fact, ...]:
    made = plan.provenance
    return (
        ("Judged", f"{_time(ranked.report.checked_on)}, on image digest {short(ranked.report.image_digest)}"),
        ("Report made by", made_by),
        ("Plan made", f"{_time(made.made_on)}, by {made.made_by}, on image digest {short(made.image_digest)}"),
        ("Structures at planning", f"{len(made.structure_digests)}"),
        ("Protocol's provenance", plan.protocol.provenance or "not stated"),
    )  # fmt: skip
