"""Registrations in a case folder: the maps in case.json, expected errors and displacements in an .npz beside."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import CaseFolderError
from navplan.files.case_manifest import GridEntry, RegistrationEntry, transform_entry, transform_of
from navplan.model.displacement import DisplacementField
from navplan.model.registration import ErrorGrid, ImageRegistration

if TYPE_CHECKING:
    from navplan.files.staged_files import StagedFiles


READ_ERRORS = (
    OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, MemoryError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def registration_entry(registration: ImageRegistration, staged: StagedFiles) -> RegistrationEntry:
    """The entry of a registration, whose arrays are written."""
    arrays = {"errors_mm": np.ascontiguousarray(registration.errors.mm)}
    if registration.field is not None:
        arrays["displacement_mm"] = np.ascontiguousarray(registration.field.mm)

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    field = registration.field
    return RegistrationEntry.model_construct(
        None,
        fixed=registration.fixed,
        moving=registration.moving,
        kind=registration.kind,
        transform=transform_entry(registration.transform),
        checks=registration.checks,
        fixed_digest=registration.fixed_digest,
        moving_digest=registration.moving_digest,
        made_with=registration.made_with,
        made_on=registration.made_on,
        file=staged.put("registrations", registration.key, ".npz", write),
        error_grid=GridEntry.of(registration.errors.grid),
        field_grid=None if field is None else GridEntry.of(field.grid),
    )


def registration_of(entry: RegistrationEntry, path: Path) -> ImageRegistration:
    """The registration of an entry and its arrays. Raises CaseFolderError for arrays that cannot be read, InputError
    and GeometryError for what does not fit."""
    names = ["errors_mm"] + (["displacement_mm"] if entry.field_grid is not None else [])
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays: list[NDArray[np.float32]] = [held[name] for name in names]
    except READ_ERRORS as error:
        raise CaseFolderError(f"{path.name}: {error}", "the arrays of a registration") from error
    field = None if entry.field_grid is None else DisplacementField(arrays[1], entry.field_grid.grid())
    return ImageRegistration(
        entry.fixed, entry.moving, entry.kind, transform_of(entry.transform),
        ErrorGrid(arrays[0], entry.error_grid.grid()), entry.checks, entry.fixed_digest, entry.moving_digest,
        entry.made_with, entry.made_on, field,
    )  # fmt: skip
