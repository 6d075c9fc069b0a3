"""Findings on what surrounds a way: what is known of the anatomy, the request, the needle. The image has a module of
its own: `navplan.planning.image_fitness`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.device import NEEDLE_DIAMETER_MM, Device
from navplan.model.finding import FOUND_IN_PART
from navplan.model.finding import NOT_LOOKED_FOR as NOT_LOOKED_FOR
from navplan.model.protocol import LESS_THAN_HALF, HardLimit, Need, fits
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.device_choice import LENGTH_RESERVE_MM as LENGTH_RESERVE_MM
from navplan.planning.device_choice import length_finding
from navplan.planning.how_the_patient_lay import how_the_patient_lay
from navplan.planning.image_fitness import UNPROVEN, UNPROVEN_REMEDY
from navplan.planning.level import level
from navplan.planning.situation import OTHER_FRAME, OTHER_FRAME_REMEDY, Situation

NEVER_ABSENT = (Tissue.VESSEL, Tissue.HEART, Tissue.AIRWAY, Tissue.NERVE, Tissue.BONE)  # of those that are required
NEAR_MIDDLE_MM = 25.0  # of the body: what lies nearer is on neither side for sure
THINNER_THAN_ITS_GAUGE = 0.95  # of the nominal diameter: below it a device's numbers contradict each other (unsourced)


def presence(situation: Situation) -> list[Finding]:
    """What the protocol asks for and the case does not know; what no image shows; what was listed and not found."""
    findings = []
    applied = False
    for limit in situation.protocol.hard:
        shown = limit.structure.replace("{side}", situation.side or "*")
        shown = shown.replace("{other}", {"left": "right", "right": "left"}.get(situation.side, "*"))
        fitting = [s for s in situation.structures.values() if fits(s.name, limit.structure, situation.side)]
        known = [s for s in fitting if s.presence is not Presence.UNKNOWN]
        missing = [s.name for s in fitting if s.presence is Presence.UNKNOWN]
        applied |= bool(known) and limit.needs is not Need.NOT_IMAGED
        generic = shown.replace("*", "").strip("_")
        if limit.needs is Need.NOT_IMAGED:
            findings.append(
                Finding(
                    FindingKind.NOT_IMAGED,
                    Verdict.WARN,
                    limit.note or "no image shows it",
                    shown,
                    source=limit.source,
                    remedy="Acknowledge it by name before approval",
                )
            )
        elif limit.needs is Need.REQUIRED and known and not _covers(known, limit.structure, generic):
            words = f"only {', '.join(s.name for s in known)} stated to be absent, the rest of it is unknown"
            findings.append(
                Finding(
                    FindingKind.PRESENCE,
                    Verdict.NOT_EVALUATED,
                    words,
                    shown,
                    required_mm=limit.min_clearance_mm,
                    source=limit.source,
                    remedy="Segment the rest",
                )
            )
        elif limit.needs is Need.REQUIRED and not known:
            name = missing[0] if missing else generic
            findings.append(
                Finding(
                    FindingKind.PRESENCE,
                    Verdict.NOT_EVALUATED,
                    "required by the protocol and unknown in this case",
                    shown,
                    required_mm=limit.min_clearance_mm,
                    source=limit.source,
                    remedy=_remedy(name),
                )
            )
        elif missing and limit.needs is Need.REQUIRED:
            findings.append(
                Finding(
                    FindingKind.PRESENCE,
                    Verdict.WARN,
                    f"unknown: {', '.join(missing)}",
                    shown,
                    source=limit.source,
                    remedy="Segment them, or state that they are absent",
                    gap="listed without a voxel",
                )
            )
        elif missing or not known:
            findings.append(
                Finding(
                    FindingKind.PRESENCE,
                    Verdict.WARN,
                    f"not looked for, or not found: {', '.join(missing) or generic}; the protocol keeps clear of it",
                    missing[0] if len(missing) == 1 else generic,
                    required_mm=limit.min_clearance_mm,
                    source=limit.source,
                    remedy="Look for them along the way in the image; segment what is near, state the rest absent",
                    gap=NOT_LOOKED_FOR,
                )
            )
        in_part = [structure for structure in known if structure.incomplete]
        stated = any(s.presence is Presence.ABSENT and s.name == generic for s in known)
        if in_part and not stated and limit.needs is not Need.NOT_IMAGED:
            findings.append(_found_in_part(in_part, shown, generic, limit))
        for structure in known:
            if structure.presence is Presence.ABSENT and limit.needs is not Need.NOT_IMAGED:
                words = f"stated to be absent by {structure.stated_by}, {structure.stated_on}"
                findings.append(Finding(FindingKind.PRESENCE, Verdict.PASS, words, structure.name))
    if not applied:
        findings.append(
            Finding(
                FindingKind.RULES,
                Verdict.NOT_EVALUATED,
                f"none of the protocol's {len(situation.protocol.hard)} hard limits fits a structure of this case",
                remedy="Segment what the protocol keeps clear, or choose the protocol of this region",
            )
        )
    return findings


def _found_in_part(in_part: list[Structure], shown: str, generic: str, limit: HardLimit) -> Finding:
    """Structures of which more may be there than was found: no way is free of them because it is clear of what was."""
    reasons = dict.fromkeys(structure.incomplete for structure in in_part)
    names = ", ".join(structure.name for structure in in_part)
    required = limit.needs is Need.REQUIRED
    absent = anatomy_of(generic).tissue not in NEVER_ABSENT and all(structure.name != generic for structure in in_part)
    words = f", or state that there is no more: navplan segment CASE --absent {generic} --by WHO" if absent else ""
    return Finding(
        FindingKind.PRESENCE,
        Verdict.NOT_EVALUATED if required else Verdict.WARN,
        f"{names} found in part ({'; '.join(reasons)}): a way that is clear of it may still meet the rest",
        shown,
        required_mm=limit.min_clearance_mm,
        source=limit.source,
        remedy=f"Look for the rest along the way in the image and outline it (navplan edit ... --whole-image){words}",
        gap=FOUND_IN_PART,
    )


def _remedy(name: str) -> str:
    """What closes the gap of a required structure that is unknown."""
    if anatomy_of(name).tissue in NEVER_ABSENT:
        return "Segment it"
    return f"Segment it, or state that it is absent: navplan segment CASE --absent {name} --by WHO"


def _covers(known: list[Structure], pattern: str, generic: str) -> bool:
    """Whether what is known answers for a pattern: something of it is there, or all of it is stated to be absent.

    All of it: the very name, the name that stands for the whole pattern ("bulla" for bulla*), or both sides.
    """
    sides = {structure.side for structure in known}
    return (
        "*" not in pattern
        or any(structure.presence is Presence.PRESENT or structure.name == generic for structure in known)
        or {"left", "right"} <= sides
    )


def frames(situation: Situation) -> list[Finding]:
    """Target, body and what may be crossed, where they were drawn in another frame of reference than the image's."""
    names = {situation.target.structure, "body", *situation.crossable}
    other = [
        name
        for name in sorted(names & situation.structures.keys())
        if not situation.same_frame(situation.structures[name])
    ]
    return [
        Finding(
            FindingKind.PRESENCE, Verdict.NOT_EVALUATED, OTHER_FRAME, name, remedy=OTHER_FRAME_REMEDY, gap=OTHER_FRAME
        )
        for name in other
    ]


def carried(situation: Situation) -> list[Finding]:
    """Structures that this image was not searched for: a registration brought them from another one. They can forbid a
    way; that it is free of them they cannot prove, and not at all where the patient lay or breathed otherwise."""
    findings = []
    for structure in situation.structures.values():
        if structure.carried_from:
            stated = "stated to be absent" if structure.presence is Presence.ABSENT else "seen"
            doubt = f"; {structure.carried_doubt}" if structure.carried_doubt else ""
            findings.append(
                Finding(
                    FindingKind.PRESENCE,
                    Verdict.NOT_EVALUATED if structure.carried_doubt else Verdict.WARN,
                    f"{stated} on image {structure.carried_from}, not on this one{doubt}",
                    structure.name,
                    remedy=f"Segment image {situation.image_id} itself, and compare the two on the reformats",
                    gap=f"carried over from image {structure.carried_from} by a registration{doubt}",
                )
            )
    return findings


def in_doubt(situation: Situation) -> list[Finding]:
    """Structures whose maker doubts their outline: another organ may lie there under this name, and what lies beside it
    may be cut off or left out. Nobody can prove a way beside one; a person acknowledges it by name."""
    return [
        Finding(
            FindingKind.PRESENCE,
            Verdict.NOT_EVALUATED,
            f"outline in doubt: {structure.outline_doubt}",
            structure.name,
            remedy="Compare the outline with the image; segment or draw it anew where it is wrong",
            gap="whose outline is in doubt",
        )
        for structure in situation.structures.values()
        if structure.outline_doubt and structure.presence is Presence.PRESENT
    ]


def _side_of_the_body(situation: Situation) -> Finding:
    """A side that was asked for where the organ is not paired: compared with where the target lies in the body."""
    asked, body = situation.requested_side, situation.structures.get("body")
    across = None
    if body is not None and body.occupancy is not None and body.grid is not None:
        index = np.rint(body.grid.indices(situation.target_mm)).astype(int)
        inside = (index >= 0).all() and (index < body.occupancy.shape).all()
        slab = np.argwhere(body.occupancy[:, :, index[2]] >= 128) if inside else np.empty((0, 2))
        if len(slab):
            ends = body.grid.points_mm(np.column_stack([slab, np.full(len(slab), index[2])]))[:, 0]
            across = float(situation.target_mm[0] - (ends.min() + ends.max()) / 2)
    if across is None:
        words = f"requested {asked}; no body to compare it with"
        return Finding(FindingKind.SIDE, Verdict.NOT_EVALUATED, words, remedy="Segment the body: --segmenter ct-basic")
    lies = "left" if across > 0 else "right"
    told = f"the target lies {abs(across):.0f} mm {lies} of the body's middle"
    if abs(across) <= NEAR_MIDDLE_MM:
        words = f"requested {asked}; {told}: too near it to tell"
        return Finding(FindingKind.SIDE, Verdict.WARN, words, remedy="Check the request and the target")
    if lies != asked:
        remedy = "Check the request, the target and the image's orientation; a lobe is no side: then leave --side out"
        return Finding(FindingKind.SIDE, Verdict.FAIL, f"requested {asked}, {told}", remedy=remedy)
    return Finding(FindingKind.SIDE, Verdict.PASS, f"{asked}, as requested: {told}")


def request(situation: Situation) -> list[Finding]:
    """Side, level, patient position, breath state, identity."""
    findings = level(situation)
    if situation.protocol.sided:
        if not situation.side:
            findings.append(
                Finding(
                    FindingKind.SIDE,
                    Verdict.NOT_EVALUATED,
                    "the side of the target is not known",
                    remedy="State it with --side",
                )
            )
        elif not situation.requested_side:
            findings.append(
                Finding(
                    FindingKind.SIDE,
                    Verdict.WARN,
                    f"{situation.side}, found from the target; nobody stated it",
                    remedy="State it with --side",
                )
            )
        elif situation.requested_side != situation.side:
            words = f"requested {situation.requested_side}, the target lies {situation.side}"
            findings.append(
                Finding(
                    FindingKind.SIDE,
                    Verdict.FAIL,
                    words,
                    remedy="Check the request, the target and the image's orientation",
                )
            )
        else:
            findings.append(Finding(FindingKind.SIDE, Verdict.PASS, f"{situation.side}, as requested"))
    elif situation.requested_side:
        findings.append(_side_of_the_body(situation))
    findings += how_the_patient_lay(situation)
    allowed = situation.protocol.patient_positions
    if allowed and situation.patient_position not in allowed:
        words = f"position {situation.patient_position} is none of the protocol's ({', '.join(allowed)})"
        findings.append(Finding(FindingKind.PATIENT, Verdict.WARN, words, remedy="Check the protocol"))
    breath = situation.image.acquisition.breath_state
    if situation.breath_state and not breath:
        words = f"procedure in {situation.breath_state}, and the image does not say in which breath state it was taken"
        findings.append(Finding(FindingKind.PATIENT, Verdict.WARN, words, remedy="Compare with the planning scan"))
    if breath and situation.breath_state and breath != situation.breath_state:
        words = f"image in {breath}, procedure in {situation.breath_state}: organs move"
        findings.append(Finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED, words, remedy="Use the same breath state"))
    if not situation.patient_known:
        findings.append(
            Finding(
                FindingKind.PATIENT,
                Verdict.WARN,
                "the image does not say whose it is",
                remedy=UNPROVEN_REMEDY,
                gap=UNPROVEN,
            )
        )
    return findings




def rules(situation: Situation) -> list[Finding]:
    """What stands behind the protocol: whether it has been shown to work, and which numbers are the hospital's own."""
    protocol = situation.protocol
    findings = []
    for change in protocol.changes:
        bold = LESS_THAN_HALF in change
        remedy = "Compare the number with its source: centimetres for millimetres?" if bold else ""
        verdict = Verdict.WARN if bold else Verdict.PASS
        findings.append(Finding(FindingKind.RULES, verdict, f"own number: {change}", remedy=remedy))
    if protocol.unproven:
        words = f"the protocol {protocol.id} is unproven: no case shows yet that its rules fit the procedure"
        findings.append(
            Finding(FindingKind.RULES, Verdict.WARN, words, remedy="Read every rule of it before you rely on one")
        )
    return findings


def device(trajectory: Trajectory, devices: Sequence[Device] = ()) -> Finding:
    """Whether the needle is long enough; `devices` are those to name where it is not."""
    return length_finding(trajectory, devices)


def gauge(device: Device) -> list[Finding]:
    """A device that says that it is thinner than its gauge: margins are measured from its surface."""
    nominal_mm = NEEDLE_DIAMETER_MM.get(device.gauge)
    if nominal_mm is None or device.diameter_mm >= THINNER_THAN_ITS_GAUGE * nominal_mm:
        return []
    words = f"{device.name} is said to be {device.diameter_mm:g} mm wide, {device.gauge} G is {nominal_mm:g} mm"
    remedy = "Measure the widest part that follows the path, introducer included"
    return [Finding(FindingKind.DEVICE, Verdict.WARN, words, remedy=remedy)]
