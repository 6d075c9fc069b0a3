"""All that the page shows, as plain data; the page computes nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.table_angles import POSITION_WORDS, table_angles
from navplan.model.anatomy import Tissue
from navplan.model.open_items import OpenItem, OpenLine
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, PlannedMargin, SafetyReport, worst
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.why_not import limit_line
from navplan.session.editing import last_edit, last_undone
from navplan.session.fusion import fusion_document
from navplan.session.made_of import made_of, who_made
from navplan.session.path_strip import path_strip
from navplan.session.segmenters_offered import offered_in
from navplan.session.session import Session
from navplan.session.shown import Shown
from navplan.session.steps import approval_words, steps
from navplan.view.colours import TARGET, VERDICT_SYMBOLS, VERDICT_WORDS, anatomy_colour, spoken, spoken_words
from navplan.view.near_structures import nearest_findings
from navplan.view.scene_writing import angle_words, pretty


def document(session: Session) -> dict[str, Any]:
    """The session as the page shows it. A way that cannot be judged is told, never shown with an old verdict."""
    with session.lock:
        refusal, shown = "", None
        try:
            shown = session.shown()
        except InputError as error:
            refusal = str(error)
        plan = session.plan_now()
        return {
            "case": _case(session),
            "choices": _choices(session),
            "draft": {**asdict(session.draft), "undo": session.history.can_undo, "redo": session.history.can_redo},
            "steps": [
                {"id": one.id, "state": one.state.value, "told": [asdict(told) for told in one.told]}
                for one in steps(session, shown)
            ],
            "structures": _structures(session, shown),
            "segmenters": offered_in(session),
            "fusion": fusion_document(session),
            "plan": _plan(session, plan) if plan is not None else None,
            "way": way_document(shown) if shown is not None else None,
            "approvals": _approvals(session, shown),
            "looks": {"hidden": list(session.hidden), "colours": session.colours},
            "refusal": refusal,
            "unsaved": session.unsaved,
            "notes": session.notes,
        }


def _case(session: Session) -> dict[str, Any]:
    case = session.case
    named = {"id": case.id, "folder": session.folder.name, "key": session.key, "revision": case.revision}
    if not case.volumes:
        return {**named, "images": []}
    image_id, volume = session.image()
    acquisition = volume.acquisition
    position = session.draft.patient_position or acquisition.patient_position
    return {
        **named, "images": list(case.volumes), "image": image_id, "last_edit": last_edit(session),
        "last_undone": last_undone(session),
        "modality": volume.modality, "quantity": volume.quantity,
        "date": acquisition.date[:10], "known": bool(acquisition.patient_digest),
        "imaged_position": acquisition.patient_position,
        "position": position, "position_words": POSITION_WORDS.get(position, ""),
        "side": {"L": "left", "R": "right"}.get(session.draft.side, session.draft.side),
        "level": session.draft.level,
        "spacing_mm": [round(float(value), 3) for value in volume.grid.spacing_mm],
        "shape": list(volume.grid.shape),
        "middle_mm": [round(float(value), 2) for value in volume.grid.corners_mm().mean(axis=0)],
        "findings": [
            {"severity": str(one.severity), "words": one.words, "means": one.means} for one in acquisition.quality
        ],
    }  # fmt: skip


def _choices(session: Session) -> dict[str, Any]:
    protocols = registry.protocols()
    chosen = protocols.get(session.draft.protocol)
    installed = registry.devices()
    return {
        "protocols": [{"id": one.id, "title": one.title} for one in protocols.values()],
        "sided": chosen.sided if chosen else True,
        "levels": list(chosen.levels) if chosen else [],
        "devices": [
            {"id": id, "name": installed[id].name} for id in (chosen.devices if chosen else ()) if id in installed
        ],
        "guidance": [model.id for model in chosen.error_models] if chosen else [],
        "positions": [{"id": id, "words": words} for id, words in POSITION_WORDS.items()],
        "plans": [
            {"id": plan.id, "target": plan.target.structure, "ways": len(plan.trajectories)}
            for plan in session.case.plans.values()
        ],
    }


def _structures(session: Session, shown: Shown | None) -> list[dict[str, Any]]:
    """Lesions first, then as the verdict has them, then by name."""
    if not session.case.volumes:
        return []
    found = shown.ranked.report.findings if shown is not None else ()
    by_name: dict[str, list[Finding]] = {}
    for finding in found:
        by_name.setdefault(finding.structure, []).append(finding)
    here = session.case.structures_of(session.image()[0])
    who = who_made(session.case.audit, session.image()[0])
    rows = [
        {**_structure(one, by_name.get(name, [])), "made": made_of(one, who.get(name))} for name, one in here.items()
    ]
    return sorted(rows, key=lambda row: (not row["lesion"], row["low_mm"] if row["low_mm"] is not None else 1e6,
                                         row["spoken"]))  # fmt: skip


def _structure(structure: Structure, findings: Sequence[Finding]) -> dict[str, Any]:
    """With the worst verdict on it, and the nearest of its distances."""
    lesion = structure.anatomy.tissue is Tissue.LESION
    distances = [one.distance for one in findings if one.distance is not None]
    distance = min(distances, key=lambda one: one.low_mm, default=None)
    return {
        "name": structure.name, "spoken": spoken(structure.name), "presence": structure.presence.value,
        "colour": TARGET if lesion else anatomy_colour(structure.name), "lesion": lesion,
        "drawn": structure.presence is Presence.PRESENT and structure.anatomy.tissue is not Tissue.OUTSIDE,
        "origin": structure.origin, "verdict": worst([one.verdict for one in findings]).value if findings else "",
        "interval": str(distance) if distance is not None else "",
        "low_mm": round(distance.low_mm, 1) if distance is not None else None,
    }  # fmt: skip


def _plan(session: Session, plan: Plan) -> dict[str, Any]:
    counts = plan.skin_map.counts() if plan.skin_map is not None else {}
    return {
        "id": plan.id, "protocol": plan.protocol.title, "target": plan.target.structure,
        "target_mm": list(plan.target.point_mm), "side": plan.side, "guidance": plan.error_model.id,
        "answers": session.answers_request(plan), "notes": [spoken_words(words) for words in plan.notes],
        "ways": [
            way_row(number, one, report, plan)
            for number, (one, report) in enumerate(zip(plan.trajectories, session.reports(plan), strict=True))
        ],
        "counts": [{"words": spoken_words(words), "count": count} for words, count in list(counts.items())[:12]],
    }  # fmt: skip


def way_row(number: int, ranked: RankedTrajectory, report: SafetyReport | None, plan: Plan) -> dict[str, Any]:
    """One line of the table of ways, as it is judged now; not evaluated where there is no report of now."""
    report = report if report is not None else SafetyReport(())
    way = ranked.trajectory
    in_plane, tilt = angle_words(way, plan.patient_position)
    short = table_angles(way.entry_mm, way.target_mm, plan.patient_position).short_words
    nearest = report.clearances
    return {
        "number": number, **verdict_words(report), "depth_mm": round(ranked.trajectory.depth_mm),
        "in_plane": in_plane, "tilt": tilt, "angles": short, "device": ranked.trajectory.device.name,
        "clearance_mm": round(nearest[0].distance.low_mm, 1) if nearest and nearest[0].distance else None,
        "nearest": spoken(nearest[0].structure) if nearest else "",
        "hit": report.hit_probability, "open": len(report.open_items),
        "entry_mm": list(ranked.trajectory.entry_mm), "desirability": round(ranked.desirability, 3),
    }  # fmt: skip


def verdict_words(report: SafetyReport) -> dict[str, str]:
    """A verdict as value, word and symbol: never a colour alone."""
    return {
        "verdict": report.verdict.value, "word": VERDICT_WORDS[report.verdict],
        "symbol": VERDICT_SYMBOLS[report.verdict],
    }  # fmt: skip


def way_document(shown: Shown) -> dict[str, Any]:
    """The way that is looked at: geometry, verdict, findings, and the strip along it."""
    report = shown.ranked.report
    in_plane, tilt = angle_words(shown.way, shown.plan.patient_position)
    return {
        "key": shown.key, "number": shown.number, "moved": shown.moved, "provisional": shown.provisional,
        **verdict_words(report),
        "headline": spoken_words(pretty(report.headline)), "in_plane": in_plane, "tilt": tilt,
        "hit": report.hit_probability, "guidance": report.error_model,
        **geometry(shown.way), "device": shown.way.device.name,
        "nearest": [_near(one) for one in nearest_findings(report, 2)],
        "zone": _zone(report.ablation),
        "open": [
            {**_open(one if len(one.lines) > 1 else one.lines[0]), "lines": [_open(line) for line in one.lines]}
            for one in report.open_items
        ],
        "to_tick": [spoken_words(one.words) for one in report.to_tick],
        "findings": [_finding(one) for one in _told(report.findings)],
        "acknowledge": to_acknowledge(report),
        "strip": path_strip(shown),
    }  # fmt: skip


def _zone(planned: PlannedMargin | None) -> dict[str, Any] | None:
    """An ablation's zone for pictures: half axes along the needle and across it, derated, and whole (0: not told)."""
    if planned is None:
        return None
    return {
        "centre_mm": list(planned.centre_mm), "direction": list(planned.direction),
        "derated_mm": [planned.along_mm, planned.across_mm],
        "whole_mm": [planned.whole_along_mm, planned.whole_across_mm],
    }  # fmt: skip


def _open(one: OpenItem | OpenLine) -> dict[str, str]:
    return {"words": spoken_words(one.words), "remedy": spoken_words(one.remedy), "verdict": one.verdict.value}


def geometry(way: Trajectory) -> dict[str, Any]:
    """Points (LPS mm) and sizes that a picture of the needle needs."""
    hub = way.point_at_mm(min(0.0, way.tip_depth_mm - way.device.length_mm))
    return {
        "entry_mm": list(way.entry_mm), "target_mm": list(way.target_mm),
        "tip_mm": [float(value) for value in way.point_at_mm(way.tip_depth_mm)],
        "swept_end_mm": [float(value) for value in way.swept_end_mm], "hub_mm": [float(value) for value in hub],
        "depth_mm": round(way.depth_mm, 1), "diameter_mm": way.device.diameter_mm,
    }  # fmt: skip


def to_acknowledge(report: SafetyReport) -> list[dict[str, str]]:
    """What a person has to acknowledge by name before the way can be approved."""
    from navplan.verbs.approve import to_be_acknowledged

    return [{"name": name, "spoken": spoken_words(name)} for name in to_be_acknowledged(report)]


def _told(findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if one.words or one.distance is not None]


def _near(finding: Finding) -> dict[str, Any]:
    distance = finding.distance
    return {
        "name": finding.structure, "spoken": spoken(finding.structure), "verdict": finding.verdict.value,
        "interval": str(distance), "low_mm": distance.low_mm if distance is not None else None,
        "nearest_mm": list(finding.nearest_mm or ()), "needle_mm": list(finding.needle_mm or ()),
        "at_depth_mm": finding.at_depth_mm, "required_mm": finding.required_mm,
    }  # fmt: skip


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value, "verdict": finding.verdict.value, "symbol": VERDICT_SYMBOLS[finding.verdict],
        "structure": finding.structure, "line": spoken_words(limit_line(finding)),
        "remedy": spoken_words(finding.remedy), "breach": finding.breach_probability,
        "at_depth_mm": finding.at_depth_mm,
    }  # fmt: skip


def _approvals(session: Session, shown: Shown | None) -> dict[str, Any]:
    if shown is None:
        return {"stands": False, "rows": []}
    stands, rows = approval_words(session, shown)
    return {"stands": stands, "rows": rows}
