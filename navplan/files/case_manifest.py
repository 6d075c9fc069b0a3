"""case.json: what a case folder holds. It is the only commit point: what it doesn't list isn't there.

Geometry and acquisition facts are kept exactly (as JSON numbers that read back bit for bit); voxels, label maps and
plans are files that it lists with their size and SHA-256. No names, birth dates or identifiers of the patient.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from navplan.errors import CaseFolderError, InputError
from navplan.files.audit_log import AuditMark
from navplan.files.staged_files import FileEntry
from navplan.files.strict_json import StrictDocument, canonical, document_of, members_of, parsed, written
from navplan.files.structure_files import StoredVoxels
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.acquisition import Acquisition
from navplan.model.registration import RegistrationCheck
from navplan.model.structure import Structure

CASE_FILE = "case.json"
SCHEMA_VERSION = 1
LARGEST_CASE_FILE = 64 << 20
Row = tuple[float, float, float, float]


class GridEntry(StrictDocument):
    """A Grid: affine by rows (index of voxel centre to LPS mm), shape, frame of reference UID."""

    affine: tuple[Row, Row, Row, Row]
    shape: tuple[int, int, int]
    frame_uid: str

    @staticmethod
    def of(grid: Grid) -> GridEntry:
        """The entry of a grid."""
        return GridEntry(affine=_rows(grid.affine), shape=grid.shape, frame_uid=grid.frame_uid)

    def grid(self) -> Grid:
        """The grid of an entry. Raises GeometryError for one that makes no sense."""
        return Grid(np.array(self.affine), self.shape, self.frame_uid)


class VolumeEntry(StrictDocument):
    """An image: its file, the digest of its voxels, its grid and how it was made."""

    file: str
    digest: str
    grid: GridEntry
    modality: str
    quantity: str
    acquisition: Acquisition


class PlanEntry(StrictDocument):
    """A plan: its JSON, the lines for 3D Slicer, and its skin map ("" for none)."""

    file: str
    lines: str
    skin_map: str


if TYPE_CHECKING:

    class StructureEntry(StrictDocument):
        """All fields of a Structure but its voxels, and where they are stored."""

        grid: GridEntry | None
        evaluated_in: GridEntry | None
        digest: str
        stored: StoredVoxels | None

    class TransformEntry(StrictDocument):
        """All fields of a Transform."""

        matrix: tuple[Row, Row, Row, Row]

else:
    StructureEntry = document_of(
        Structure, "StructureEntry", without=("occupancy", "grid", "evaluated_in"),
        grid=GridEntry | None, evaluated_in=GridEntry | None, digest=str, stored=StoredVoxels | None,
    )  # fmt: skip
    TransformEntry = document_of(Transform, "TransformEntry", without=("matrix",), matrix=tuple[Row, Row, Row, Row])


class EditEntry(StrictDocument):
    """An edit that can be undone, or redone: the key, what was done, and the structure that this brings back."""

    key: str
    words: str
    before: StructureEntry | None


class RegistrationEntry(StrictDocument):
    """An image's place in the frame of another; the .npz holds errors_mm, and displacement_mm with its own grid."""

    fixed: str
    moving: str
    kind: str
    transform: TransformEntry
    checks: tuple[RegistrationCheck, ...]
    fixed_digest: str
    moving_digest: str
    made_with: str
    made_on: str
    file: str
    error_grid: GridEntry
    field_grid: GridEntry | None


ADDED_TO_STRUCTURES = {
    "carried_from": "", "carried_error_mm": 0.0, "carried_doubt": "",
    "made_by": "", "made_with": "", "made_on": "", "confidence": None, "incomplete": "",
    "outline_doubt": "",
}  # fmt: skip
ADDED_TO_ACQUISITIONS = {"laterality": ""}
ADDED_TO_QUALITY = {"means": ""}


class CaseManifest(StrictDocument):
    """The whole of case.json."""

    format: Literal["navplan case"] = "navplan case"
    schema_version: int = SCHEMA_VERSION
    revision: int
    id: str
    patient_digest: str
    salt: str
    frames: tuple[str, ...]
    volumes: dict[str, VolumeEntry]
    structures: dict[str, StructureEntry]
    plans: dict[str, PlanEntry]
    registrations: dict[str, RegistrationEntry]
    files: dict[str, FileEntry]
    audit: AuditMark = AuditMark()
    edits: tuple[EditEntry, ...] = ()
    undone: tuple[EditEntry, ...] = ()

    def state(self) -> str:
        """SHA-256 of all but the part about the audit log: the log's last line vouches for it.

        Members that came later count only where they say something: older folders stay proven.
        """
        told = self.model_dump(mode="json", exclude={"audit"})
        for name in ("edits", "undone"):
            if not told[name]:
                del told[name]
        facts = [entry["acquisition"] for entry in told["volumes"].values()]
        for entries, added in (
            (told["structures"].values(), ADDED_TO_STRUCTURES),
            (facts, ADDED_TO_ACQUISITIONS),
            ([finding for one in facts for finding in one["quality"]], ADDED_TO_QUALITY),
        ):
            for entry in entries:
                for name, silent in added.items():
                    if entry[name] == silent:
                        del entry[name]
        return hashlib.sha256(canonical(told)).hexdigest()


def _rows(matrix: Any) -> tuple[Row, Row, Row, Row]:
    rows = [(float(row[0]), float(row[1]), float(row[2]), float(row[3])) for row in np.asarray(matrix)]
    return rows[0], rows[1], rows[2], rows[3]


def structure_entry(structure: Structure, stored: StoredVoxels | None) -> StructureEntry:
    """The entry of a structure whose voxels are stored there."""
    values = members_of(structure, StructureEntry)
    for name in ("grid", "evaluated_in"):
        grid: Grid | None = getattr(structure, name)
        values[name] = None if grid is None else GridEntry.of(grid)
    return StructureEntry.model_construct(None, **{**values, "digest": structure.digest, "stored": stored})


def structure_of(entry: StructureEntry, occupancy: Any) -> Structure:
    """The structure of an entry and its voxels. Raises InputError where they do not fit."""
    values = {name: getattr(entry, name) for name in StructureEntry.model_fields if name not in ("digest", "stored")}
    for name in ("grid", "evaluated_in"):
        values[name] = None if values[name] is None else values[name].grid()
    return Structure(**values, occupancy=occupancy)


def transform_entry(transform: Transform) -> TransformEntry:
    """The entry of a transform."""
    return TransformEntry.model_construct(
        None, **{**members_of(transform, TransformEntry), "matrix": _rows(transform.matrix)}
    )


def transform_of(entry: TransformEntry) -> Transform:
    """The transform of an entry."""
    values = {name: getattr(entry, name) for name in TransformEntry.model_fields}
    return Transform(**{**values, "matrix": np.array(entry.matrix)})


def manifest_bytes(manifest: CaseManifest) -> bytes:
    """case.json. Raises InputError for what JSON can't hold."""
    return written(manifest, CASE_FILE)


def proven(manifest: CaseManifest) -> CaseManifest:
    """The manifest as it will be read again. Raises InputError naming the key of what JSON can't hold."""
    return parsed(CaseManifest, manifest_bytes(manifest), CASE_FILE, InputError)


def read_manifest(folder: Path) -> CaseManifest:
    """case.json of a folder. Raises InputError for no case, CaseFolderError for a damaged or newer one."""
    path = folder / CASE_FILE
    if not folder.exists():
        raise InputError(f"no folder {folder}", "a case folder")
    if not path.is_file():
        raise InputError(
            f"{folder} is no case folder: it has no {CASE_FILE}", "a folder that navplan made", "Import images into one"
        )
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_CASE_FILE else b""
        head = json.loads(data)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", "a case that can be read") from error
    except (ValueError, RecursionError) as error:
        raise CaseFolderError(f"{path} is damaged ({error})", "JSON", "Bring the folder back from a copy") from error
    if not isinstance(head, dict) or head.get("format") != "navplan case":
        raise InputError(f"{path} is not a case of navplan", "a case folder")
    version = head.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CaseFolderError(
            f"{folder} was written by a newer navplan (schema {version})",
            f"schema {SCHEMA_VERSION} at most",
            "Install a newer navplan; nothing was changed",
        )
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise CaseFolderError(f"{path}: schema version {version!r}", f"{SCHEMA_VERSION}")
    return parsed(CaseManifest, data, str(path), CaseFolderError)
