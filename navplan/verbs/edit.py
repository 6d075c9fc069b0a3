"""edit, undo_edit and redo_edit: a structure changed by hand, told in the record, and brought back bit for bit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from navplan.errors import ChoiceError, InputError
from navplan.model.case import AuditEntry, Case, Edited
from navplan.model.structure import Presence, Structure

if TYPE_CHECKING:
    from navplan.model.volume import Volume
    from navplan.verbs.edit_steps import Piece

log = logging.getLogger(__name__)

EDITED = "edited: "
LONGEST_STORY = 6  # parts of made_with that are kept; the record has all of them


def edit(
    case: Case,
    structure: str,
    steps: Sequence[tuple[str, Any]] = (),
    *,
    image: str = "",
    save_as: str = "",
    by: str = "",
    whole_image: bool = False,
    **more: Any,
) -> Case:
    """The case with a structure changed by one operation, or by several in their order: one edit, undone as one.

    Operations, as (name, value) in `steps` or as keywords; lengths in mm, places LPS:
    grow_mm, shrink_mm, smooth_mm: mm. islands: "largest", a volume in ml (all parts of at least that), or (x, y, z) in
    the part that stays. fill_slices: "axial", "coronal" or "sagittal". threshold: (low, high, x, y, z, radius), adds
    the voxels of the image from low to high in a ball. paint, erase: (x, y, z, radius), or more places before the
    radius: a stroke. union, minus, intersect: the name of another present structure of the image.

    save_as: name of a new structure, `structure` then stays as it is. by: who edits. whole_image: `by` says that the
    whole image was looked through for it; else what was not there before counts as looked for where it is drawn, and an
    edited structure where it was looked for before.

    The result is hard labels. threshold, paint and union may begin with a structure that is unknown, absent or new. One
    that loses its last voxel is unknown, never absent.

    Raises InputError: no operation or an unknown one, numbers that make no sense, an operation that changes no voxel or
    has none to work on, places beside the image, a new structure with nothing in it; ChoiceError: no such structure.
    """
    from navplan.files.structure_names import canonical_name
    from navplan.verbs.edit_steps import STEPS, Around, Piece, piece_of

    todo = [*steps, *more.items()]
    unknown = [name for name, _ in todo if name not in STEPS]
    if unknown or not todo:
        raise InputError(f"edit with {', '.join(unknown)[:80] or 'no operation'}", ", ".join(STEPS))
    if whole_image and not by.strip():
        raise InputError("the whole image looked through by nobody", "who looked", "Say who with --by")
    image_id, volume = case.image(image)
    here = case.structures_of(image_id)
    name, new_name = canonical_name(structure), canonical_name(save_as or structure)
    before = here.get(name)
    _check_begin(before, name, new_name, todo[0][0], here)
    around = Around(volume, here)
    piece = piece_of(before) if before is not None and before.presence is Presence.PRESENT else Piece()
    volumes = [piece.ml]
    for step, value in todo:
        if piece.mask is None and piece.words:
            raise InputError(f"{step} of {name}, of which {piece.words[-1]} leaves nothing", "voxels to work on")
        piece = STEPS[step](piece, value, around)
        volumes.append(piece.ml)
    if piece.mask is None and new_name != name:
        raise InputError(f"{new_name} with no voxel ({', '.join(piece.words)})", "a new structure with at least one")
    done = _structure(piece, before, new_name, image_id, volume, {step for step, _ in todo}, whole_image)
    notes = [*piece.notes, *_region_notes(done)]
    for note in notes:
        log.warning("%s", note)
    details = {
        "image": image_id, "structure": new_name, "from": name, "was": _told(before),
        "replaced": _told(here.get(new_name)), "operations": list(piece.words),
        "ml": [round(ml, 3) for ml in volumes], "presence": str(done.presence),
        "whole_image": whole_image, "cut": done.cut_by_edge, "notes": notes,
    }  # fmt: skip
    entry = AuditEntry(_now(), by.strip() or "navplan", "edit", details)
    return case.with_edited(done, ", ".join(piece.words)).with_audit(entry)


def undo_edit(case: Case, structure: str = "", *, image: str = "", by: str = "") -> Case:
    """The case with the structure of the last edit (or of the last one of this structure) as it was before, exactly.

    Undone can be the last edits that the case keeps (MOST_EDITS), and not what something else than an edit replaced
    since. Raises InputError where there is nothing to undo.
    """
    undone, last = case.without_edit(_key_of(case.edits, structure, image))
    details = {"structure": last.key, "undone": last.words, "is": _told(undone.structures.get(last.key))}
    return undone.with_audit(AuditEntry(_now(), by.strip() or "navplan", "undo edit", details))


def redo_edit(case: Case, structure: str = "", *, image: str = "", by: str = "") -> Case:
    """The case with the edit that was undone last (or the last one of this structure) done again, exactly.

    Redone can be what was undone (MOST_EDITS) of a structure that nothing changed since. Raises InputError where there
    is nothing to redo.
    """
    redone, last = case.with_redone(_key_of(case.undone, structure, image))
    details = {"structure": last.key, "redone": last.words, "is": _told(redone.structures.get(last.key))}
    return redone.with_audit(AuditEntry(_now(), by.strip() or "navplan", "redo edit", details))


def _key_of(edits: Sequence[Edited], structure: str, image: str) -> str:
    """The key that a person means among those of edits; "" where no structure is named."""
    from navplan.files.structure_names import canonical_name

    keys = {edit.key for edit in edits}
    if not structure or structure in keys:
        return structure
    name = canonical_name(structure)
    return next((one for one in (f"{name}@{image}", name) if one in keys), name)


def _check_begin(before: Structure | None, name: str, new_name: str, first: str, here: dict[str, Structure]) -> None:
    from navplan.verbs.edit_steps import MAKING

    there = here.get(new_name)
    if new_name != name and there is not None and there.presence is Presence.PRESENT:
        raise InputError(f"{new_name}, which is there already", "a new name", "Edit it under its own name instead")
    if before is not None and before.presence is Presence.PRESENT:
        return
    if first not in MAKING:
        have = ", ".join(sorted(key for key, one in here.items() if one.presence is Presence.PRESENT))
        what = f"no structure {name!r} of this image" if before is None else f"{name}, which is {before.presence}"
        raise ChoiceError(f"{first} of {what}", f"a present structure: {have or 'there is none'}")


def _structure(
    piece: Piece, before: Structure | None, name: str, image_id: str, volume: Volume, steps: set[str], whole_image: bool
) -> Structure:
    from navplan.imaging.label_map import structure_from_mask
    from navplan.verbs.edit_steps import drawn_region

    words = EDITED + ", ".join(piece.words)
    base = before if before is not None and before.presence is Presence.PRESENT else None
    region = volume.grid if whole_image else piece.region
    if piece.mask is None or piece.grid is None:
        return Structure(name, Presence.UNKNOWN, evaluated_in=region, image_id=image_id, origin=words)
    region = region or drawn_region(piece.mask, piece.grid, volume.grid)
    made = structure_from_mask(piece.mask, piece.grid, name, image_id, words, region, piece.resolution_mm)
    by_hand = steps <= {"paint", "erase"} and (base is None or base.made_by == "manual")
    if base is not None:
        made = replace(
            made, carried_from=base.carried_from, carried_error_mm=base.carried_error_mm,
            carried_doubt=base.carried_doubt, incomplete="" if whole_image else base.incomplete,
            outline_doubt=base.outline_doubt,
        )  # fmt: skip
    return replace(
        made, boundary_sigma_mm=piece.sigma_mm, boundary_source=piece.source,
        made_by="manual" if by_hand else "semiautomatic", made_with=_story(base, words), made_on=_now()[:10],
    )  # fmt: skip


def _story(base: Structure | None, words: str) -> str:
    """What it was made with, then what was done to it."""
    parts = [] if base is None else (base.made_with or base.origin).split("; ")
    parts = [part for part in parts if part]
    if len(parts) >= LONGEST_STORY:
        parts = [parts[0], "...", *parts[-(LONGEST_STORY - 3) :]]
    return "; ".join([*parts, words])


def _region_notes(structure: Structure) -> list[str]:
    if structure.grid is None or structure.evaluated_in is None:
        return [f"{structure.name} has no voxel left and is unknown, not absent"]
    points = structure.voxel_centres_mm()
    beyond = int((~structure.evaluated_in.contains(points, -1e-6)).sum())
    if not beyond:
        return []
    return [f"{structure.name}: {beyond} voxels lie beyond the region that was looked at, which stays as it was"]


def _told(structure: Structure | None) -> str:
    if structure is None:
        return "not there"
    source = structure.stated_by or structure.origin
    return f"{structure.presence}{f' ({source})' if source else ''}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
