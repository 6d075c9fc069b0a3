"""Which segmenters an image can be given to, and the names that those which start from seeds are offered for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from navplan.extend import registry
from navplan.imaging.vertebrae import LEVELS
from navplan.model.protocol import Need, fits
from navplan.model.seams import SeededSegmenter, Segmenter
from navplan.model.structure import Presence
from navplan.session.session import Session
from navplan.view.colours import spoken

# What the segmenters that ship are offered for. A plugin says it itself: `offers`, a sequence of canonical names.
OFFERS: dict[str, Sequence[str]] = {
    "ct-region": (
        "liver", "lesion", "spleen", "kidney_left", "kidney_right", "gallbladder", "nodule", "mass", "urinary_bladder",
    ),
    "ct-vessel": ("aorta", "portal_vein", "inferior_vena_cava", "pulmonary_artery"),
    "ct-vessels": ("liver_vessels",),
    "ct-spine": tuple(LEVELS),
    "mr-spine": ("spinal_cord",),
    "mr-region": ("liver", "lesion", "spleen", "kidney_left", "kidney_right"),
}  # fmt: skip
SIDES = {"L": "left", "R": "right"}
FIRST = "ct-basic"  # what a plan needs at all: body and skin


def offered(modality: str) -> dict[str, list[dict[str, Any]]]:
    """For images of a modality: `whole`, segmenters without seeds, the basic one first; `seeded`, with the names that
    they are offered for. One that does not load is there with its `error`."""
    whole, seeded = [], []
    for info in registry.available(registry.SEGMENTERS):
        row: dict[str, Any] = {"segmenter": info.name, "error": info.error, "description": ""}
        if info.error:
            whole.append(row)
            continue
        made = registry.load(registry.SEGMENTERS, info.name)
        if made.modality and made.modality != modality:
            continue
        row["description"] = made.description
        if isinstance(made, Segmenter):
            whole.append(row)
        if isinstance(made, SeededSegmenter):
            seeded.append({**row, "names": [str(name) for name in getattr(made, "offers", OFFERS.get(info.name, ()))]})
    whole.sort(key=lambda row: (bool(row["error"]), row["segmenter"] != FIRST))
    return {"whole": whole, "seeded": seeded}


def offered_in(session: Session) -> dict[str, list[dict[str, Any]]]:
    """The same for the image that a session looks at. Each name says whether the image has it, and whether the chosen
    procedure requires it."""
    if not session.case.volumes:
        return {"whole": [], "seeded": []}
    image_id, volume = session.image()
    found = offered(volume.modality)
    here = session.case.structures_of(image_id)
    rules = registry.protocols().get(session.draft.protocol)
    side = SIDES.get(session.draft.side, session.draft.side)
    required = [limit.structure for limit in rules.hard if limit.needs is Need.REQUIRED] if rules else []
    for row in found["seeded"]:
        row["names"] = [
            {
                "name": name, "spoken": spoken(name),
                "present": name in here and here[name].presence is Presence.PRESENT,
                "required": any(fits(name, pattern, side) for pattern in required),
            }
            for name in row["names"]
        ]  # fmt: skip
    return found
