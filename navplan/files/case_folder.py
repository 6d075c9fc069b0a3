"""A case as a folder that survives a kill at any moment.

    case.json              the only commit point: what it lists is the case
    audit.jsonl            who did what, hash-chained
    case.lock              held by the one writer
    volumes/*.nrrd         images, raw, memory-mapped when opened
    structures/*.seg.nrrd  label maps, one a source and lattice; *.occupancy.nrrd: fractional structures, exact
    plans/*.json           with *.mrk.json (lines for 3D Slicer) and *.npz (skin maps)

A save writes new data files under names of their own, has them on the disk, adds to audit.jsonl, and then replaces
case.json. Whatever case.json does not list is ignored, and swept by the next one who may write.
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from navplan.errors import CaseFolderError, InputError, MismatchError
from navplan.files import audit_log, case_writing
from navplan.files.audit_log import AUDIT_FILE, AuditMark
from navplan.files.case_lock import LOCK_FILE, writer_lock
from navplan.files.case_manifest import (
    CASE_FILE,
    CaseManifest,
    EditEntry,
    StructureEntry,
    VolumeEntry,
    manifest_bytes,
    read_manifest,
    structure_of,
)
from navplan.files.durable import folder_made, safe_id, write_whole, writing
from navplan.files.nrrd import read_nrrd
from navplan.files.plan_json import read_plan
from navplan.files.registration_files import registration_of
from navplan.files.staged_files import StagedFiles, only_leftovers, sweep, unlisted, verify
from navplan.files.structure_files import read_array, read_occupancy
from navplan.model.case import AuditEntry, Case, Edited, structure_key
from navplan.model.plan import Plan
from navplan.model.registration import ImageRegistration
from navplan.model.structure import Structure
from navplan.model.volume import Volume


def open_case_folder(folder: str | Path) -> Case:
    """The case in a folder; its images are memory-mapped, every listed file is checked against its SHA-256.

    Raises InputError where there is no case, CaseFolderError for one that is damaged, was changed by another program,
    or has a newer schema.
    """
    root = Path(folder).absolute()
    while True:
        manifest = read_manifest(root)
        try:
            case = _loaded(root, manifest)
            break
        except InputError:
            if read_manifest(root).revision == manifest.revision:
                raise  # else another program saved meanwhile, and swept what this revision listed: read the new one
    _tidy(root, manifest)
    return case


def save_case_folder(
    case: Case, folder: str | Path = "", action: str = "", details: Mapping[str, Any] | None = None, who: str = ""
) -> Case:
    """Write a case to its folder, or to a new one, as one new revision; what has not changed is not written again.

    action, details: what the audit log is told (plain data, nothing that identifies the patient); who: "" for the
    system's user. Gives back the case with its folder, revision and audit trail.

    Raises InputError where the folder can't be written to or belongs to something else, CaseFolderError while another
    writer is at it or after another one has changed it, MismatchError for parts of another patient. The folder is then
    as it was.
    """
    if not (str(folder) or case.folder):
        raise InputError("a case that was never saved, and no folder", "a folder to save it into")
    root = Path(folder or case.folder).absolute()
    _check_parts(case)
    updating = bool(case.folder) and root.resolve() == Path(case.folder).resolve()
    if not updating:
        _check_free(root)
    said = AuditEntry(
        datetime.now(UTC).isoformat(timespec="seconds"), who or _user(), action or "save", dict(details or {})
    )
    with writing(root), folder_made(root), writer_lock(root), _lock_file_taken_back(root):
        if updating:
            before = read_manifest(root)
            recorded = audit_log.read_audit(root, before.audit, before.revision, before.state())
        else:
            _check_free(root)
            before, recorded = None, ()
        audit = tuple(audit_log.plain(entry) for entry in case.audit)
        if before is not None and (before.revision != case.revision or audit[: len(recorded)] != recorded):
            raise CaseFolderError(
                f"{root} was changed meanwhile (it is at revision {before.revision}, this case is at {case.revision})",
                "the revision that was opened",
                "Open the case again and repeat the step; nothing was changed",
            )
        new = audit[len(recorded) :]
        if action or not new:
            new = (*new, audit_log.plain(said))
        revision = _commit(root, case, before, new)
    return replace(case, folder=str(root), revision=revision, audit=(*recorded, *new))


def _commit(root: Path, case: Case, before: CaseManifest | None, new: tuple[AuditEntry, ...]) -> int:
    """Data files, audit log, case.json, in this order; an error before case.json is replaced takes all of it back."""
    staged = StagedFiles(root, before.files if before is not None else {})
    mark = before.audit if before is not None else AuditMark()
    revision = (before.revision if before is not None else 0) + 1
    try:
        manifest = case_writing.manifest_of(case, before, staged, revision)
        staged.settle()
        mark = audit_log.appended(root, mark, new, revision, manifest.state())
        manifest = manifest.model_copy(update={"audit": mark})
        data = manifest_bytes(manifest)
    except BaseException:
        _take_back(root, staged, before)
        raise
    try:
        write_whole(root / CASE_FILE, data)
    except BaseException:
        if not _is_current(root, revision):
            _take_back(root, staged, before)
            raise
        # case.json is replaced and only the folder's own synchronisation failed: the revision stands
    with contextlib.suppress(KeyboardInterrupt):  # the revision stands: too late to stop
        sweep(root, manifest.files)
    return revision


def _take_back(root: Path, staged: StagedFiles, before: CaseManifest | None) -> None:
    staged.roll_back()
    with contextlib.suppress(OSError):
        if before is not None:
            audit_log.cut(root, before.audit)
        else:
            (root / AUDIT_FILE).unlink(missing_ok=True)


def _is_current(root: Path, revision: int) -> bool:
    try:
        return read_manifest(root).revision == revision
    except InputError:
        return False


def _loaded(root: Path, manifest: CaseManifest) -> Case:
    entries = audit_log.read_audit(root, manifest.audit, manifest.revision, manifest.state())
    verify(root, manifest.files)
    array_of = cache(lambda name: read_array(root / _listed(root, manifest, name)))
    try:
        case = Case(
            id=manifest.id,
            volumes={name: _volume(root, manifest, entry) for name, entry in manifest.volumes.items()},
            structures={name: _structure(entry, array_of) for name, entry in manifest.structures.items()},
            edits=tuple(_edit(edit, array_of) for edit in manifest.edits),
            undone=tuple(_edit(edit, array_of) for edit in manifest.undone),
            plans={name: _plan(root, manifest, name) for name in manifest.plans},
            registrations={key: _registration(root, manifest, key) for key in manifest.registrations},
            patient_digest=manifest.patient_digest,
            salt=manifest.salt,
            audit=entries,
            folder=str(root),
            revision=manifest.revision,
        )
        _check_parts(case)
    except CaseFolderError:
        raise
    except InputError as error:
        raise CaseFolderError(f"{root}: {error.received}", error.expected, error.remedy) from error
    return case


def _edit(entry: EditEntry, array_of: Callable[[str], Any]) -> Edited:
    return Edited(entry.key, entry.words, None if entry.before is None else _structure(entry.before, array_of))


def _structure(entry: StructureEntry, array_of: Callable[[str], Any]) -> Structure:
    occupancy = None
    if entry.stored is not None and entry.grid is not None:
        occupancy = read_occupancy(entry.stored, entry.grid.grid(), array_of)
    return structure_of(entry, occupancy)


def _listed(root: Path, manifest: CaseManifest, name: str) -> str:
    if name not in manifest.files:
        raise CaseFolderError(f"{root}: case.json uses {name!r}, which it does not list", "only listed files")
    return name


def _volume(root: Path, manifest: CaseManifest, entry: VolumeEntry) -> Volume:
    voxels, stored_grid, _ = read_nrrd(root / _listed(root, manifest, entry.file), mmap=True)
    grid = entry.grid.grid()
    if not grid.same_as(stored_grid):
        raise CaseFolderError(f"{root}: {entry.file} lies elsewhere than case.json says", f"{grid!r}")
    return Volume(voxels, grid, entry.modality, entry.quantity, entry.acquisition)


def _plan(root: Path, manifest: CaseManifest, plan_id: str) -> Plan:
    entry = manifest.plans[plan_id]
    for name in filter(None, (entry.lines, entry.skin_map)):
        _listed(root, manifest, name)
    plan = read_plan(root / _listed(root, manifest, entry.file))
    if plan.id != plan_id:
        raise CaseFolderError(f"{root}: {entry.file} is the plan {plan.id!r}", f"the plan {plan_id!r}")
    return plan


def _registration(root: Path, manifest: CaseManifest, key: str) -> ImageRegistration:
    entry = manifest.registrations[key]
    return registration_of(entry, root / _listed(root, manifest, entry.file))


def _check_parts(case: Case) -> None:
    """One patient, names that can be files, structures, plans and registrations under their own names, of images that
    are there."""
    for key, registration in case.registrations.items():
        if key != registration.key:
            raise InputError(f"registration {registration.key!r} under the name {key!r}", "its own name")
        missing = {registration.fixed, registration.moving} - set(case.volumes)
        if missing:
            raise InputError(f"a registration of {', '.join(sorted(missing))}", "images of the case")
    for image_id, volume in case.volumes.items():
        safe_id(image_id, "an image")
        _check_patient(f"image {image_id}", volume.acquisition.patient_digest, case.patient_digest)
    for plan_id, plan in case.plans.items():
        safe_id(plan.id, "a plan")
        _check_patient(f"plan {plan_id}", plan.provenance.patient_digest, case.patient_digest)
        if plan.id != plan_id:
            raise InputError(f"plan {plan.id!r} under the name {plan_id!r}", "its own id")
    for key, structure in case.structures.items():
        if key not in (structure.name, structure_key(structure)):
            raise InputError(f"structure {structure.name!r} under the name {key!r}", "its own name")


def _check_patient(what: str, digest: str, expected: str) -> None:
    if digest and digest != expected:
        raise MismatchError(f"{what} of another patient", "parts of the patient of this case")


def _check_free(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file", "a folder, or a name that is free")
    if (root / CASE_FILE).exists():
        raise InputError(f"{root} holds a case already", "a new or empty folder", "Open it, or choose another name")
    with writing(root):
        if root.is_dir() and not only_leftovers(root, LOCK_FILE, AUDIT_FILE):
            raise InputError(f"{root} is not empty and no case", "a new or empty folder", "Choose another name")


@contextlib.contextmanager
def _lock_file_taken_back(root: Path) -> Iterator[None]:
    """Leave no lock file where no case came to be. Used inside the lock: those who wait for it see that it is gone."""
    try:
        yield
    except BaseException:
        if not (root / CASE_FILE).exists():
            with contextlib.suppress(OSError):
                (root / LOCK_FILE).unlink()
        raise


def _tidy(root: Path, manifest: CaseManifest) -> None:
    """Sweep what no revision lists and cut a torn audit line, if nobody writes and the folder may be written to."""
    if not unlisted(root, manifest.files) and not audit_log.has_torn_end(root, manifest.audit):
        return
    with contextlib.suppress(OSError, InputError), writer_lock(root, wait_s=0.0):
        current = read_manifest(root)
        sweep(root, current.files)
        audit_log.cut(root, current.audit)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
