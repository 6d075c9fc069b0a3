"""The parts of a case to data files and entries of case.json; parts that have not changed keep their files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from navplan.errors import InputError
from navplan.files.case_manifest import (
    CaseManifest,
    EditEntry,
    GridEntry,
    PlanEntry,
    VolumeEntry,
    proven,
    structure_entry,
)
from navplan.files.markups import markups_bytes, plan_lines
from navplan.files.nrrd import read_nrrd, write_nrrd
from navplan.files.plan_json import SkinMapFile, plan_bytes, skin_map_bytes
from navplan.files.registration_files import registration_entry
from navplan.files.staged_files import StagedFiles
from navplan.files.structure_files import (
    Segmentation,
    StoredVoxels,
    is_hard,
    segmentations,
    write_occupancy,
    write_segmentation,
)
from navplan.model.case import Case, Edited
from navplan.model.plan import Plan
from navplan.model.structure import Structure
from navplan.model.volume import Volume, array_digest


def manifest_of(case: Case, before: CaseManifest | None, staged: StagedFiles, revision: int) -> CaseManifest:
    """Write what is new in a case, and list all of it. Raises OSError, InputError."""
    volumes = {name: _volume_entry(name, volume, before, staged) for name, volume in case.volumes.items()}
    stored = _stored_voxels(case.structures, before, staged)
    structures = {key: structure_entry(structure, stored.get(key)) for key, structure in case.structures.items()}
    plans = {name: _plan_entry(plan, staged) for name, plan in case.plans.items()}
    edits, undone = (tuple(_edit_entry(edit, before, staged) for edit in kept) for kept in (case.edits, case.undone))
    frames = {volume.grid.frame_uid for volume in case.volumes.values()}
    return proven(
        CaseManifest.model_construct(
            None,
            revision=revision,
            id=case.id,
            patient_digest=case.patient_digest,
            salt=case.salt,
            frames=tuple(sorted(frame for frame in frames if frame)),
            volumes=volumes,
            structures=structures,
            plans=plans,
            registrations={key: registration_entry(one, staged) for key, one in case.registrations.items()},
            edits=edits,
            undone=undone,
            files=dict(sorted(staged.files.items())),
        )
    )


def _volume_entry(image_id: str, volume: Volume, before: CaseManifest | None, staged: StagedFiles) -> VolumeEntry:
    grid = GridEntry.of(volume.grid)
    old = before.volumes.get(image_id) if before is not None else None
    if old is not None and old.digest == volume.digest and old.grid == grid and staged.keep(old.file):
        name = old.file
    else:
        name = staged.put("volumes", image_id, ".nrrd", lambda path: _write_proven(path, volume))
    return VolumeEntry.model_construct(
        None,
        file=name,
        digest=volume.digest,
        grid=grid,
        modality=volume.modality,
        quantity=volume.quantity,
        acquisition=volume.acquisition,
    )


def _write_proven(path: Path, volume: Volume) -> None:
    """Write the voxels, and read them again: a plan relies on their digest."""
    write_nrrd(path, volume.voxels, volume.grid)
    voxels, _, _ = read_nrrd(path, mmap=True)
    if array_digest(voxels, volume.grid.affine) != volume.digest:
        raise InputError(f"voxels of type {volume.voxels.dtype} that read back otherwise", "int16 or float32")


def _stored_voxels(
    structures: Mapping[str, Structure], before: CaseManifest | None, staged: StagedFiles
) -> dict[str, StoredVoxels]:
    """Where the voxels of each present structure lie. A source's file is kept if it holds just the same structures.

    All by the case's keys: a name may stand for one structure on each image.
    """
    old_files: dict[str, set[str]] = {}
    for key, entry in (before.structures if before is not None else {}).items():
        if entry.stored is not None:
            old_files.setdefault(entry.stored.file, set()).add(key)
    key_of = {(structure.image_id, structure.name): key for key, structure in structures.items()}
    stored: dict[str, StoredVoxels] = {}
    for segmentation in segmentations(structures.values()):
        keys = [key_of[structure.image_id, structure.name] for structure in segmentation.structures]
        kept = _kept(segmentation, keys, before, old_files, staged)
        stored |= kept if kept is not None else dict(zip(keys, _written(segmentation, staged), strict=True))
    return stored


def _kept(
    segmentation: Segmentation, keys: list[str], before: CaseManifest | None, old_files: dict[str, set[str]],
    staged: StagedFiles,
) -> dict[str, StoredVoxels] | None:  # fmt: skip
    if before is None:
        return None
    old = {key: before.structures[key] for key in keys if key in before.structures}
    files = {entry.stored.file for entry in old.values() if entry.stored is not None}
    if set(old) != set(keys) or len(files) != 1 or old_files[next(iter(files))] != set(keys):
        return None
    kept: dict[str, StoredVoxels] = {}
    for key, structure in zip(keys, segmentation.structures, strict=True):
        entry = old[key]
        same_grid = structure.grid is not None and entry.grid == GridEntry.of(structure.grid)
        if entry.digest != structure.digest or entry.stored is None or not same_grid:
            return None
        kept[key] = entry.stored
    return kept if staged.keep(*files, *(place.exact for place in kept.values() if place.exact)) else None


def _written(segmentation: Segmentation, staged: StagedFiles) -> list[StoredVoxels]:
    places: list[tuple[int, int]] = []
    file = staged.put(
        "structures", segmentation.stem, ".seg.nrrd", lambda path: places.extend(write_segmentation(path, segmentation))
    )
    stored = []
    for structure, start, (layer, label) in zip(segmentation.structures, segmentation.starts, places, strict=True):
        exact = ""
        if structure.occupancy is not None and not is_hard(structure.occupancy):
            exact = staged.put(
                "structures",
                f"{segmentation.stem}.{structure.name}",
                ".occupancy.nrrd",
                partial(write_occupancy, structure=structure),
            )
        stored.append(StoredVoxels(file=file, layer=layer, label=label, start=start, exact=exact))
    return stored


def _edit_entry(edit: Edited, before: CaseManifest | None, staged: StagedFiles) -> EditEntry:
    """What undoing or redoing brings back, in a file of its own: it goes when that edit goes."""
    if edit.before is None or edit.before.occupancy is None or edit.before.grid is None:
        told = None if edit.before is None else structure_entry(edit.before, None)
        return EditEntry.model_construct(None, key=edit.key, words=edit.words, before=told)
    grid = GridEntry.of(edit.before.grid)
    for old in (*before.edits, *before.undone) if before is not None else ():
        known = old.before
        if known is None or known.stored is None or known.digest != edit.before.digest or known.grid != grid:
            continue
        if staged.keep(*filter(None, (known.stored.file, known.stored.exact))):
            return EditEntry.model_construct(
                None, key=edit.key, words=edit.words, before=structure_entry(edit.before, known.stored)
            )
    (alone,) = segmentations([edit.before])
    (stored,) = _written(alone, staged)
    return EditEntry.model_construct(None, key=edit.key, words=edit.words, before=structure_entry(edit.before, stored))


def _plan_entry(plan: Plan, staged: StagedFiles) -> PlanEntry:
    skin_file, reference = "", None
    if plan.skin_map is not None:
        data = skin_map_bytes(plan.skin_map)
        skin_file = _put_bytes(staged, plan.id, ".npz", data)
        digest = hashlib.sha256(data).hexdigest()
        reference = SkinMapFile(file=skin_file.partition("/")[2], sha256=digest, reasons=plan.skin_map.reasons)
    return PlanEntry(
        file=_put_bytes(staged, plan.id, ".json", plan_bytes(plan, reference)),
        lines=_put_bytes(staged, plan.id, ".mrk.json", markups_bytes(plan_lines(plan))),
        skin_map=skin_file,
    )


def _put_bytes(staged: StagedFiles, stem: str, suffix: str, data: bytes) -> str:
    """As StagedFiles.put, for bytes at hand: nothing is written where they are listed already."""
    return staged.put("plans", stem, suffix, lambda path: _write(path, data))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
