"""accept_drawn: a structure that a person drew and a program completed, into the case under a name, by somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from navplan.errors import InputError
from navplan.model.case import AuditEntry, Case
from navplan.model.structure import Presence, Structure
from navplan.verbs.situation import now


def accept_drawn(
    case: Case,
    drawn: Structure,
    name: str,
    *,
    by: str,
    licence: str = "",
    prompts: Sequence[str] = (),
    whole_image: bool = False,
) -> Case:
    """The case with a drawn structure under a name; `undo_edit` takes it back.

    drawn: PRESENT, of an image of the case. by: who drew it. licence: of what completed it; prompts: what was drawn, in
    words; both go into the record. whole_image: `by` says that the whole image was looked through for it; else it
    counts as looked for where it is drawn, one voxel about it, and nowhere else. It is semiautomatic, of today.

    Raises InputError: nobody's, nothing drawn, a name that is none or is there already, an image that is not there.
    """
    from navplan.files.structure_names import canonical_name
    from navplan.verbs.edit_steps import drawn_region

    called = canonical_name(name)
    if not by.strip():
        raise InputError(f"{called}, drawn by nobody", "who drew it")
    if drawn.presence is not Presence.PRESENT or drawn.occupancy is None or drawn.grid is None:
        raise InputError(f"{called} with no voxel", "a structure with at least one", "Draw it first")
    image_id, volume = case.image(drawn.image_id)
    before = case.structures_of(image_id).get(called)
    if before is not None and before.presence is Presence.PRESENT:
        raise InputError(f"{called}, which is there already", "a new name")
    when = now()
    made_with = drawn.made_with or drawn.origin
    region = volume.grid if whole_image else drawn_region(drawn.occupancy > 0, drawn.grid, volume.grid)
    done = replace(
        drawn, name=called, made_by="semiautomatic", made_with=made_with, made_on=when[:10], evaluated_in=region
    )
    ml = float((drawn.occupancy / 255.0).sum() * drawn.grid.spacing_mm.prod()) / 1000
    details = {
        "image": image_id, "structure": called, "was": "not there" if before is None else str(before.presence),
        "made_with": made_with, "licence": licence, "prompts": list(prompts), "ml": round(ml, 3),
        "whole_image": whole_image, "cut": done.cut_by_edge,
    }  # fmt: skip
    words = f"drawn with {made_with}"
    return case.with_edited(done, words).with_audit(AuditEntry(when, by.strip(), "draw interactively", details))
