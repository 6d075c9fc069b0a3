"""Who made a structure, with what, when, how sure, and where it ends, for the page's list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from navplan.model.case import AuditEntry
from navplan.model.structure import Presence, Structure

_NAMED = ("edit", "undo edit", "redo edit", "absent")  # actions whose record names one structure
NOBODY = "navplan"  # whom the record names where no person was told


def who_made(audit: Sequence[AuditEntry], image_id: str) -> dict[str, AuditEntry]:
    """Of each structure of an image the last entry of the record that says that it was made or changed."""
    found: dict[str, AuditEntry] = {}
    for entry in audit:
        if entry.details.get("image", image_id) != image_id:
            continue
        if entry.action in _NAMED:
            found[str(entry.details.get("structure", "")).split("@")[0]] = entry
        elif entry.action == "segment":
            found |= {str(name): entry for name in entry.details.get("present", ())}
    return found


def made_of(structure: Structure, entry: AuditEntry | None) -> dict[str, Any]:
    """how: manual, semiautomatic, automatic, or "" where nobody says; with: program or origin; on: the day; by: the
    person in the record; confidence, None where its maker gives none; cut: whether an edge of where it was looked for
    cuts it; ml: its volume; stated: who says that it is absent, and when."""
    person = entry.who if entry is not None and entry.who != NOBODY else ""
    volume = round(structure.volume_ml, 2) if structure.presence is Presence.PRESENT else None
    return {
        "how": structure.made_by, "with": structure.made_with or structure.origin, "on": structure.made_on[:10],
        "by": person, "confidence": structure.confidence, "cut": structure.cut_by_edge, "ml": volume,
        "stated": f"{structure.stated_by}, {structure.stated_on[:10]}" if structure.stated_by else "",
        "carried_from": structure.carried_from,
    }  # fmt: skip
