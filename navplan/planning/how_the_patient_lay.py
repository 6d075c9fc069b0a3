"""How the patient lay: what the image's header says, what the procedure asks for, and where the couch is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.imaging.couch import couch_side
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.situation import Situation
from navplan.planning.which_way_round import middle_mm

COUCHES = ("couch", "table")  # how labels of one begin
NOT_UNDER = "does not lie under a patient who lies so"
LOOK_AT_IT = "Look at the couch in the image; import it anew with the position that is true"


def how_the_patient_lay(situation: Situation) -> list[Finding]:
    """Header against procedure, and both against the couch: labelled, or seen in the voxels of a CT. Where
    neither is there, nothing contradicts the header: `header_alone` says so."""
    imaged, asked = situation.image.acquisition.patient_position, situation.patient_position
    if not imaged:
        words, remedy = "the image does not say how the patient lay", "State it at import with --patient-position"
        findings = [Finding(FindingKind.PATIENT, Verdict.WARN, words, remedy=remedy)]
    elif imaged != asked:
        words = f"image taken {imaged}, procedure {asked}: organs move"
        remedy = "Take a planning scan in the position of the procedure"
        findings = [Finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED, words, remedy=remedy)]
    else:
        findings = []
    return [*findings, *_couch(situation, imaged)]


def _couch(situation: Situation, imaged: str) -> list[Finding]:
    position = imaged or situation.patient_position
    down, labelled = DOWN_BY_PATIENT_POSITION.get(position), _labelled(situation.structures)
    if down is None:
        return []
    says = f"the image says {imaged}" if imaged else f"the procedure is {position}"
    if labelled is not None:
        couch, body = labelled
        if float((middle_mm(couch) - middle_mm(body)) @ np.asarray(down)) <= 0:
            words = f"{says}, but {couch.name} {NOT_UNDER}"
            return [Finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED, words, couch.name, remedy=LOOK_AT_IT)]
    side = couch_side(situation.image)
    if side is not None and side != down:
        words = f"{says}, but the couch that the image shows {NOT_UNDER}"
        return [Finding(FindingKind.PATIENT, Verdict.NOT_EVALUATED, words, remedy=LOOK_AT_IT)]
    return []


def header_alone(image: Volume, structures: Mapping[str, Structure]) -> str:
    """Words where an image states a position that neither a labelled couch nor one in its voxels bears out; else ""."""
    imaged = image.acquisition.patient_position
    if not imaged or couch_side(image) is not None or _labelled(structures) is not None:
        return ""
    return f"{imaged} rests on the header alone: no couch is seen in the image, and none is labelled"


def _labelled(structures: Mapping[str, Structure]) -> tuple[Structure, Structure] | None:
    """The labelled couch and the body, where both are present."""
    couch = next((one for name, one in structures.items() if name.startswith(COUCHES)), None)
    body = structures.get("body")
    if couch is None or body is None or {body.presence, couch.presence} != {Presence.PRESENT}:
        return None
    return couch, body
