"""The freehand card: one printed page from which a needle is set without a tracker.

A card is used by hand, so its verdict and its breach figures are those of a needle placed freehand. Where the protocol
has no error model for that, the verdict of the card is NOT_EVALUATED.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from navplan.geometry.table_angles import POSITION_WORDS, TableAngles, table_frame
from navplan.model.case import Case
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan
from navplan.model.protocol import is_unsourced
from navplan.model.safety import FindingKind, SafetyReport, Verdict
from navplan.reports.approval_rows import ApprovalLine, approval_line, approval_rows
from navplan.reports.entry_position import EntryPosition
from navplan.reports.needle_setting import AHEAD_MM, NeedleSetting, needle_setting
from navplan.reports.pictures import Picture
from navplan.reports.protractor import Drawing, depth_ruler, in_plane_protractor, scale_bar, tilt_protractor
from navplan.reports.safety_table import ClearanceRow, ItemRow, brief_rows, clearance_row
from navplan.reports.templates import page, style
from navplan.reports.wording import Badge, Sources, badge, named, percent, short, stated
from navplan.view.colours import spoken_words

FREEHAND = "freehand"
ITEMS_SHOWN = 4
NAMES_SHOWN = 6
LONGEST_APPROVAL = 85  # letters of each part of it
LONGEST_ITEM = 120  # letters: what is longer is told in full in the report


@dataclass(frozen=True)
class Row:
    """One number with its name; key: it is set at the table."""

    name: str
    value: str
    key: bool = False


@dataclass(frozen=True)
class CardContent:
    """Everything that is printed on a card."""

    case_id: str
    title: str
    side: str
    target: str
    position: str
    breath: str
    image_words: str
    number: int
    count: int
    device: str
    badge: Badge
    headline: str
    judged_for: str
    approval: ApprovalLine
    items: tuple[ItemRow, ...]
    more_items: int
    not_imaged: str
    entry_rows: tuple[Row, ...]
    cautions: tuple[str, ...]
    in_plane_big: str
    in_plane_words: str
    tilt_big: str
    tilt_words: str
    depth_rows: tuple[Row, ...]
    throw_words: str
    stop_words: str
    planes: tuple[Picture, ...]
    dangers: tuple[ClearanceRow, ...]
    breach_title: str
    ruler: Drawing | None
    in_plane: Drawing
    tilt: Drawing
    bar: Drawing
    upright_bar: Drawing
    foot: str


def freehand_model(plan: Plan) -> ErrorModel | None:
    """The protocol's error model for a needle held by hand; None where it has none."""
    return next((model for model in plan.protocol.error_models if model.id == FREEHAND), None)


def card_content(
    case: Case, plan: Plan, number: int, report: SafetyReport, planes: tuple[Picture, ...], made_by: str
) -> CardContent:
    """The card of trajectory `number` (from 0).

    report: newly made, with the protocol's freehand error model where it has one (see `freehand_model`). The report
    that the plan itself holds of that trajectory has to be made now, too: approvals are held against it.
    """
    trajectory = plan.trajectories[number].trajectory
    setting = needle_setting(case, plan, trajectory, report)
    image_id, volume = case.image(plan.provenance.image_id)
    model = freehand_model(plan)
    judged = model is not None and report.error_model == model.id
    items = [_shortened(row) for row in brief_rows(report)]
    not_imaged = [
        named(f.structure.replace("*", "").strip("_")) for f in report.findings if f.kind is FindingKind.NOT_IMAGED
    ]
    approvals = approval_rows(case, plan, number)
    shown = ITEMS_SHOWN - bool(approvals)  # who approved the way takes the room of an item
    sources = Sources()
    return CardContent(
        case_id=case.id,
        title=plan.protocol.title,
        side=f"{plan.side} {plan.level}".strip(),
        target=named(plan.target.structure) if plan.target.structure else "a point",
        position=f"{plan.patient_position}: {POSITION_WORDS[plan.patient_position]}".upper(),
        breath=setting.breath_state,
        image_words=f"image {image_id}, {stated(volume.acquisition.date[:10], 'date')}, digest {short(volume.digest)}",
        number=number + 1,
        count=len(plan.trajectories),
        device=trajectory.device.name,
        badge=badge(report.verdict if judged else Verdict.NOT_EVALUATED),
        headline=_headline(report, judged),
        judged_for=_judged_for(plan, model, report, trajectory.depth_mm),
        approval=approval_line(approvals, _approved_for(plan, report, judged), LONGEST_APPROVAL),
        items=tuple(items[:shown]),
        more_items=max(0, len(items) - shown),
        not_imaged=_listed(list(dict.fromkeys(not_imaged))),
        entry_rows=_entry_rows(setting),
        cautions=_cautions(setting),
        in_plane_big=_in_plane_big(setting.angles),
        in_plane_words=_in_plane_words(setting.angles),
        tilt_big=f"{abs(setting.angles.tilt_deg):.0f}° tilt",
        tilt_words=_tilt_words(setting.angles),
        depth_rows=_depth_rows(setting),
        throw_words=_throw_words(setting),
        planes=planes,
        dangers=tuple(clearance_row(danger.finding, trajectory, sources) for danger in setting.dangers),
        breach_title="touched, freehand" if judged else f"touched, {plan.error_model.name}",
        ruler=_ruler(setting),
        in_plane=in_plane_protractor(setting.angles, table_frame(plan.patient_position)),
        tilt=tilt_protractor(setting.angles),
        bar=scale_bar(100),
        upright_bar=scale_bar(50, upright=True),
        stop_words=f"Pleura and capsule: about ± {volume.grid.diagonal_mm / 2:.0f} mm (voxels), without breath.",
        foot=_foot(plan, report, made_by, setting),
    )


def card_html(content: CardContent) -> str:
    """The card as a page of its own."""
    return page("freehand_card.html", card=content, style=style())


def _headline(report: SafetyReport, judged: bool) -> str:
    headline = spoken_words(report.headline.replace(">=", "≥").replace(" - ", " · "))
    return headline if judged else f"Not evaluated for a needle held by hand · as planned: {report.verdict}, {headline}"


def _judged_for(plan: Plan, model: ErrorModel | None, report: SafetyReport, depth_mm: float) -> str:
    if model is None:
        return (
            f"The protocol has no error model for a needle held by hand: the figures below hold for "
            f"{plan.error_model.name} only."
        )
    unsourced = ", its numbers in part unsourced" if is_unsourced(model.source) else ""
    words = f"Judged for {model.name}: sigma {float(model.sigma_mm(depth_mm)):.1f} mm at the target{unsourced}."
    if report.hit_probability is not None:
        words += f" It hits the target with at least {percent(report.hit_probability)}."
    if plan.error_model.id != model.id:
        words += (
            f" The plan was made for {plan.error_model.name}; this card was judged again, uncorrected by control scans."
        )
    return words


def _approved_for(plan: Plan, report: SafetyReport, judged: bool) -> str:
    """An approval is of the way as it was planned: where that is not by hand, it is not of what the card is for."""
    by_hand = judged and report.error_model == plan.error_model.id
    return "" if by_hand else f"for {plan.error_model.name}, NOT for a needle held by hand"


def _shortened(row: ItemRow) -> ItemRow:
    return replace(row, words=_cut(row.words), remedy=_cut(row.remedy))


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST_ITEM else words[:LONGEST_ITEM].rsplit(" ", 1)[0] + " … (report)"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more (report)" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _entry_rows(setting: NeedleSetting) -> tuple[Row, ...]:
    entry, way = setting.entry, setting.trajectory
    z = way.entry_mm[2]
    rows = [
        Row("z (DICOM, LPS)", f"{z:.1f} mm", key=True),
        Row("slice", _slice_words(entry)),
        Row("from the midline", _middle_words(entry), key=True),
    ]
    if entry.below_top_mm is not None:
        rows.append(Row("below top of skin", f"{entry.below_top_mm:.0f} mm", key=entry.height_matters))
    for marker in entry.markers:
        along = "head" if marker.along_mm > 0 else "feet"
        words = f"{marker.across}, {abs(marker.along_mm):.0f} mm to the {along}"
        rows.append(Row(f"from {named(marker.name)}", words, key=True))
    to_target = way.target_mm[2] - z
    side = "head" if to_target > 0 else "feet"
    where = "in the entry's slice" if abs(to_target) < 0.5 else f"{abs(to_target):.0f} mm to the {side}"
    rows.append(Row("target", f"{where}, slice {entry.target_slice.number}"))
    return tuple(rows)


def _slice_words(entry: EntryPosition) -> str:
    here = entry.entry_slice
    return f"{here.number}/{here.count} from feet, {here.number_from_head} from head"


def _middle_words(entry: EntryPosition) -> str:
    return "not known" if entry.from_middle is None else str(entry.from_middle)


def _cautions(setting: NeedleSetting) -> tuple[str, ...]:
    words = list(setting.entry.cautions)
    if setting.entry.height_matters and setting.entry.below_top_mm is not None:
        words.append("The skin is steep here: set the height as well as the offset")
    if setting.outside_mm < 0:
        words.append(f"THE NEEDLE IS {-setting.outside_mm:.0f} mm TOO SHORT")
    return tuple(words)


def _in_plane_big(angles: TableAngles) -> str:
    return f"{angles.from_vertical_deg:.0f}° from vertical" if angles.in_plane_known else "no in-plane angle"


def _in_plane_words(angles: TableAngles) -> str:
    if not angles.in_plane_known or not angles.hub_side:
        return angles.in_plane_words
    below = "; hub BELOW the level of the entry" if angles.from_vertical_deg > 90 else ""
    return f"hub towards the patient's {angles.hub_side.upper()}{below}"


def _tilt_words(angles: TableAngles) -> str:
    return f"hub towards the {angles.tilt_side.upper()}" if angles.tilt_side else "whole needle in the scan plane"


def _depth_rows(setting: NeedleSetting) -> tuple[Row, ...]:
    rows = [
        Row(f"{'SET STOP: ' if stop.sets_stop else ''}{stop.name}", f"{stop.depth_mm:.0f}", key=stop.sets_stop)
        for stop in setting.stops
    ]  # fmt: skip
    if not any(stop.name.startswith("pleura") for stop in setting.stops):
        rows.append(Row("pleura", "no label"))
    rows.append(Row(f"left outside (of {setting.trajectory.device.length_mm:.0f})", f"{setting.outside_mm:.0f}"))
    return tuple(rows)


def _throw_words(setting: NeedleSetting) -> str:
    way = setting.trajectory
    if way.device.throw_mm:
        beyond = way.swept_depth_mm - way.depth_mm
        words = f"Throw {way.device.throw_mm:.0f} mm: ends {beyond:.0f} mm beyond the target"
    elif abs(way.tip_short_of_target_mm) > 0.05:
        side = "short of" if way.tip_short_of_target_mm > 0 else "BEYOND"
        words = f"The tip stands {abs(way.tip_short_of_target_mm):.0f} mm {side} the target"
        words += ": the zone's centre lies there" if way.device.zones else ""
    else:
        words = "No throw: ends at the target"
    if setting.ends_in:
        words += f", in {named(setting.ends_in)}"
    if setting.ahead is None:
        return f"{words}. Straight ahead: nothing labelled for {AHEAD_MM:.0f} mm."
    return f"{words}. Straight ahead: {named(setting.ahead.structure)} after {setting.ahead.beyond_mm:.0f} mm."


def _ruler(setting: NeedleSetting) -> Drawing | None:
    marks = [(0.0, "skin"), *((stop.depth_mm, f"{stop.name} {stop.depth_mm:.0f}") for stop in setting.stops)]
    return depth_ruler(marks, math.ceil(setting.trajectory.swept_depth_mm / 5) * 5.0)


def _foot(plan: Plan, report: SafetyReport, made_by: str, setting: NeedleSetting) -> str:
    tip = next((stop.name for stop in setting.stops if stop.sets_stop), "tip")
    return (
        f"Ruler: lay the needle's tip on “{tip}” and put the depth stop at “skin”. "
        f"Plan {plan.id}, judged {report.checked_on[:16].replace('T', ' ')} UTC, {made_by}."
    )
