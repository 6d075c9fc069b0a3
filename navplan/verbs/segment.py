"""segment and absent: structures computed, read from labels, or stated to be absent by a person."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from navplan.errors import InputError
from navplan.imaging.figures import figures
from navplan.model.case import AuditEntry, Case
from navplan.model.seams import SeededSegmenter, Segmenter
from navplan.model.structure import Presence, Structure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from navplan.model.volume import Volume

log = logging.getLogger(__name__)

SEGMENTERS = "navplan.segmenters"


def segment(
    case: Case,
    segmenter: str = "",
    *,
    labels: str | Path | None = None,
    names: str | Path | Mapping[int, str] | None = None,
    image: str = "",
    working_resolution_mm: float | Sequence[float] | None = None,
    prefix: str = "",
    structure: str = "",
    space: str = "",
    same_frame_by: str = "",
    seeds_mm: ArrayLike | None = None,
) -> Case:
    """The case with structures that a segmenter computes, or that are read from a file.

    segmenter: its name, see `navplan plugins`. seeds_mm: (n, 3) or (3,) LPS mm on the image, for a segmenter that
    starts from points; `structure` then names what it finds.
    labels: a label map (NIfTI, NRRD, .seg.nrrd, MetaImage) or a folder of one file a structure; a DICOM SEG or
    RTSTRUCT; a closed mesh (.stl, .obj, .ply, .vtp; mm) or a folder of them.
    names: a table (.csv, .json, .toml) or label -> name. image: id, where there are several. working_resolution_mm: of
    who made the labels, one number or three along the label map's axes; where it is not said, the worst plausible one
    counts. prefix: put before each name. structure: name of the one structure in a mask or mesh, or from seeds.
    space: "LPS" or "RAS" of a mesh's coordinates, where the file does not say. same_frame_by: who stands for it
    that a SEG or RTSTRUCT is of this patient and place, where neither a frame of reference nor the image's series says.

    A listed label without voxels comes in as unknown, never as absent, and is named in the record. What is unknown
    replaces nothing that is present or stated to be absent; what is present replaces a structure of the same name on
    the same image.

    From seeds, the record holds the seeds, and of each structure its volume in cm³ and its values in the image.

    Raises InputError: neither or both of segmenter and labels, see read_structures; seeds beside the image, for a
    segmenter that takes none, or missing for one that needs them; what the segmenter refuses.
    MismatchError for labels of another frame of reference or patient, or beside the image; ChoiceError for an unknown
    segmenter or image.
    """
    if bool(segmenter) == (labels is not None):
        raise InputError(
            "a segmenter and labels" if segmenter else "neither a segmenter nor labels",
            "exactly one of them",
            "Give the name of a segmenter, or a file of labels",
        )
    image_id, volume = case.image(image)
    if labels is None:
        if names is not None or space or same_frame_by or working_resolution_mm is not None:
            raise InputError("names, a space, frame or resolution for a segmenter", "them only together with labels")
        seeds = checked_seeds(seeds_mm, volume)
        if structure and seeds is None:
            raise InputError(f"the name {structure} for a segmenter without seeds", "it with seeds or labels only")
        found = computed(segmenter, volume, image_id, seeds, structure)
        return with_computed(case, _prefixed(found, prefix), image_id, segmenter, seeds)
    if seeds_mm is not None:
        raise InputError("seeds with labels", "seeds for a segmenter", "Leave them out")
    from navplan.files.structures_in import read_structures

    read = read_structures(
        labels, volume, image_id, names=names, structure=structure,
        working_resolution_mm=working_resolution_mm, space=space, salt=case.salt,
        same_frame_by=same_frame_by,
    )  # fmt: skip
    details = {"image": image_id, "labels_sha256": list(read.sha256), "notes": list(read.notes)}
    return _added(case, _prefixed(list(read.structures), prefix), image_id, details)


def _prefixed(found: list[Structure], prefix: str) -> list[Structure]:
    return [replace(one, name=f"{prefix.rstrip('_')}_{one.name}") for one in found] if prefix else found


def absent(case: Case, name: str, by: str, image: str = "") -> Case:
    """The case with a person's word that a structure is not there: an organ that was taken out, a fissure not seen.

    name: of the structure; by: who looked. Raises InputError where nobody is named or the structure is in the case with
    voxels: what is labelled is not absent, and a wrong label is to be removed by who made it.
    """
    from navplan.files.structure_names import canonical_name

    if not by.strip():
        raise InputError(f"{name} said to be absent by nobody", "who looked", "Say who with --by")
    image_id, volume = case.image(image)
    known = canonical_name(name)
    there = case.structures_of(image_id).get(known)
    if there is not None and there.presence is Presence.PRESENT and not there.carried_from:
        raise InputError(
            f"{known} said to be absent, but it is in the case, from {there.origin or 'an unknown source'}",
            "a structure without voxels",
            "Correct the labels and read them again",
        )
    now = _now()
    stated = Structure(
        known,
        Presence.ABSENT,
        evaluated_in=volume.grid,
        image_id=image_id,
        origin="stated",
        stated_by=by.strip(),
        stated_on=now,
    )
    details = {"image": image_id, "structure": known}
    return case.with_structures(stated).with_audit(AuditEntry(now, by.strip(), "absent", details))


def checked_seeds(seeds_mm: ArrayLike | None, volume: Volume) -> NDArray[np.float64] | None:
    """Seeds as (n, 3) LPS mm, None where none are given. Raises InputError for what is none, or beside the image."""
    if seeds_mm is None:
        return None
    try:
        seeds = np.atleast_2d(np.asarray(seeds_mm, dtype=np.float64))
    except (TypeError, ValueError):
        seeds = np.zeros((0, 0))
    if seeds.ndim != 2 or seeds.shape[1] != 3 or not len(seeds) or not np.isfinite(seeds).all():
        raise InputError(f"seeds {seeds_mm}", "points of three finite LPS coordinates in mm")
    outside = seeds[~volume.grid.contains(seeds)]
    if len(outside):
        corners = volume.grid.corners_mm()
        raise InputError(
            f"a seed at {outside[0].tolist()} mm, beside the image",
            f"a point of the image, between {corners.min(axis=0).round().tolist()}"
            f" and {corners.max(axis=0).round().tolist()} mm (LPS)",
        )
    return seeds


def _run(made: Any, volume: Volume, image_id: str, seeds: NDArray[np.float64] | None, structure: str) -> Any:
    from navplan.files.structure_names import canonical_name

    if seeds is None:
        if not isinstance(made, Segmenter):
            raise InputError(f"segmenter {made.name} without a seed", "one or more: --seed=X,Y,Z (LPS mm)")
        return made.segment(volume, image_id)
    if not isinstance(made, SeededSegmenter):
        raise InputError(f"seeds for segmenter {made.name}, which takes none", "no seed")
    return made.segment_from(volume, image_id, seeds, canonical_name(structure) if structure else "")


def computed(
    segmenter: str,
    volume: Volume,
    image_id: str,
    seeds: NDArray[np.float64] | None = None,
    structure: str = "",
    ready: Callable[[Any], Any] = lambda made: made,
) -> list[Structure]:
    """What a segmenter finds in an image, without a case: to be put into one by `with_computed`.

    ready: called with the segmenter before it runs, gives the one that runs. Raises as `segment` does.
    """
    from navplan.extend.registry import load

    loaded = load(SEGMENTERS, segmenter)
    made = ready(loaded() if isinstance(loaded, type) else loaded)
    if made.modality and made.modality != volume.modality:
        raise InputError(f"segmenter {segmenter} on {volume.modality or 'an unknown modality'}", made.modality)
    found: list[Structure] = _run(made, volume, image_id, seeds, structure)
    wrong = [one.name for one in found if one.presence is Presence.ABSENT or one.image_id not in ("", image_id)]
    if wrong:
        raise InputError(
            f"segmenter {segmenter}: {', '.join(wrong)} absent or of another image",
            "structures of this image, present or unknown",
            "Only a person states that something is absent",
        )
    today = _now()[:10]
    return [
        replace(
            one, image_id=image_id, made_by=one.made_by or "automatic", made_with=one.made_with or one.origin,
            made_on=one.made_on or today,
        )
        for one in found
    ]  # fmt: skip


def with_computed(
    case: Case,
    found: list[Structure],
    image_id: str,
    segmenter: str,
    seeds: NDArray[np.float64] | None = None,
    by: str = "navplan",
) -> Case:
    """The case with what `computed` gave, by the rules of `segment`; one structure from seeds can be undone as an edit.

    by: who had it made, for the record.
    """
    details: dict[str, Any] = {"image": image_id, "segmenter": found[0].origin if found else segmenter}
    if seeds is not None:
        volume = case.volumes[image_id]
        details["seeds_mm"] = seeds.tolist()
        details["figures"] = {one.name: figures(volume, one) for one in found if one.presence is Presence.PRESENT}
    words = f"{segmenter} from {len(seeds)} seed{'s' * (len(seeds) > 1)}" if seeds is not None else ""
    return _added(case, found, image_id, details, words if len(found) == 1 else "", by)


def _added(
    case: Case, found: list[Structure], image_id: str, details: dict[str, Any], undone_as: str = "", by: str = "navplan"
) -> Case:
    from navplan.files.coded_names import is_known

    added, replaced, kept = [], [], []
    here = case.structures_of(image_id)
    for one in found:
        there = here.get(one.name)
        if there is not None and there.presence is not Presence.UNKNOWN:
            if one.presence is Presence.UNKNOWN:
                kept.append(one.name)
                continue
            replaced.append(f"{one.name} ({there.presence}, {there.origin or there.stated_by})")
        added.append(one)
    present = [one.name for one in found if one.presence is Presence.PRESENT]
    empty = [one.name for one in found if one.presence is Presence.UNKNOWN]
    unnamed = [name for name in present if name.removeprefix("label_").isdigit()]
    unmapped = [one.name for one in found if one.name not in unnamed and not is_known(one.name)]
    cut = [one.name for one in found if one.cut_by_edge]
    doubts = {one.name: one.outline_doubt for one in found if one.outline_doubt}
    if doubts:
        details["outline_doubts"] = doubts
    details |= {
        "present": present, "empty": empty, "unnamed": unnamed, "unmapped": unmapped, "cut": cut,
        "replaced": replaced, "kept": kept,
    }  # fmt: skip
    if empty:
        log.warning(
            "%d of %d listed structures have no voxel and are unknown: %s", len(empty), len(found), ", ".join(empty)
        )
    if unnamed:
        log.warning("labels without a name, taken as risks: %s", ", ".join(unnamed))
    if unmapped:
        log.warning("names that navplan does not know, kept as they are: %s", ", ".join(unmapped))
    if replaced:
        log.warning("replaced: %s", ", ".join(replaced))
    for name, why in doubts.items():
        log.warning("%s: outline in doubt: %s", name, why)
    for note in details.get("notes", ()):
        log.warning("%s", note)
    with_new = case.with_edited(added[0], undone_as) if undone_as and added else case.with_structures(*added)
    return with_new.with_audit(AuditEntry(_now(), by, "segment", details))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
