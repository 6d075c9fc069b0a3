"""phantom: a digital phantom as a case, or written as files with the truth beside them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.errors import ChoiceError, InputError
from navplan.model.case import AuditEntry, Case

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from navplan.geometry.grid import Grid
    from navplan.model.acquisition import Acquisition
    from navplan.model.seams import PhantomResult
    from navplan.model.structure import Structure

PATIENT_ID = "PHANTOM"
SALT = "phantom"  # a phantom's identity is no secret: two cases of it are the same patient
IMAGE_ID = "ct"
UNPAIRED_BODY_PARTS = ("abdomen", "chest", "pelvis", "head", "neck")
FORMATS = ("dicom", "nifti", "nrrd")
LARGEST_POPULATION = 1000


def phantom(
    name: str = "abdomen",
    *,
    spacing_mm: Sequence[float] = (1.5, 1.5, 2.0),
    orientation: str = "LPS",
    seed: int = 0,
    hard_labels: bool = False,
    rigid_motion: ArrayLike | None = None,
    date: str = "",
) -> Case:
    """A phantom as a case: its image "ct" and the structures as they are known, with fractional occupancy.

    orientation: where the index axes point (LPS, RAS, LAS ...) or "oblique". hard_labels: labels sampled at voxel
    centres. rigid_motion: (4, 4), moves patient and grid together. date: ISO 8601, today by default.

    Raises ChoiceError for an unknown phantom; InputError for a spacing, orientation or motion that makes no sense, and
    for "tilted", whose stack no orthogonal grid holds: write that as DICOM and import it.
    """
    made = _made(name, spacing_mm, orientation, seed, hard_labels, rigid_motion)
    if not _orthogonal(made):
        raise InputError(
            f"orientation {orientation!r} for a case",
            "an orthogonal grid: LPS, RAS, LAS, oblique",
            "Write it with: navplan phantom NAME --out DIR --format dicom, and import that",
        )
    return _case(name, made, hard_labels, date, seed)


def write_phantom(
    name: str,
    out: str | Path,
    *,
    format: str = "dicom",
    spacing_mm: Sequence[float] = (1.5, 1.5, 2.0),
    orientation: str = "LPS",
    seed: int = 0,
    hard_labels: bool = False,
    population: int = 0,
    date: str = "",
) -> tuple[Path, ...]:
    """Write image, labels and truth.json into a new folder, whole or not at all; gives back the folder.

    image/ (DICOM) or image.nii.gz or image.nrrd; labels.seg.nrrd on the image's grid (a voxel at least half full
    belongs to the structure); occupancy/NAME.nrrd with the exact fractions; truth.json. "tilted" needs DICOM and has no
    labels, since no orthogonal grid holds them. population: that many patients, one folder each, from `seed` on.

    Raises ChoiceError or InputError as `phantom` does; InputError for an unknown format or a folder that is not empty.
    """
    out = Path(out).absolute()
    if format not in FORMATS:
        raise ChoiceError(f"format {format!r}", ", ".join(FORMATS))
    if not 0 <= population <= LARGEST_POPULATION:
        raise InputError(f"a population of {population}", f"0 to {LARGEST_POPULATION}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder", "a new folder", "Choose another --out")
    from navplan.files.durable import writing

    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
        try:
            folders = [f"{name}_{number:03d}" for number in range(1, population + 1)] or [""]
            for number, folder in enumerate(folders):
                person = seed + number if population else None
                made = _made(name, spacing_mm, orientation, seed + number, hard_labels, None, person)
                target = unfinished / folder if folder else unfinished
                target.mkdir(exist_ok=True)
                _write(made, target, name, format, hard_labels, date, seed + number, person)
            unfinished.chmod(0o755)
            if out.exists():
                out.rmdir()
            unfinished.rename(out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return tuple(out / folder if folder else out for folder in folders)


def _made(
    name: str, spacing_mm: Sequence[float], orientation: str, seed: int, hard_labels: bool, motion: ArrayLike | None,
    person: int | None = None,
) -> PhantomResult:  # fmt: skip
    from navplan.extend.registry import PHANTOMS, load

    maker: Any = load(PHANTOMS, name)
    if person is not None:
        if not hasattr(maker, "population"):
            raise InputError(f"a population of the phantom {name!r}", "a phantom that comes in variants")
        maker = maker.population(person)
    options: dict[str, Any] = {"hard_labels": True} if hard_labels else {}
    if motion is not None:
        options["rigid_motion"] = motion
    try:
        return maker.make(spacing_mm=tuple(spacing_mm), orientation=orientation, seed=seed, **options)
    except (ValueError, TypeError) as error:  # what a phantom says of input that it cannot use
        raise InputError(f"phantom {name!r}: {error}", "a spacing and orientation that it knows") from error


def _orthogonal(made: PhantomResult) -> bool:
    return bool(made.truth.get("grid", {}).get("orthogonal", True))


def _acquisition(name: str, made: PhantomResult, date: str) -> Acquisition:
    import numpy as np

    from navplan.files.image_files import patient_digest
    from navplan.model.acquisition import Acquisition

    across = np.cross(made.affine[:3, 0], made.affine[:3, 1])
    thickness_mm = abs(float(made.affine[:3, 2] @ across)) / float(np.linalg.norm(across))
    return Acquisition(
        modality=made.modality,
        description=f"{name} phantom",
        patient_position=made.patient_position,
        date=_checked_date(date) or datetime.now().date().isoformat(),
        slice_thickness_mm=round(thickness_mm, 6),
        source="phantom",
        patient_digest=patient_digest(SALT, PATIENT_ID),
    )


def _checked_date(date: str) -> str:
    try:
        if date:
            datetime.fromisoformat(date)
    except ValueError as error:
        raise InputError(f"the date {date!r}", "YYYY-MM-DD, also with a time") from error
    return date


def _structures(made: PhantomResult, grid: Grid, hard_labels: bool) -> list[Structure]:
    from navplan.model.structure import Presence, Structure

    spacing = grid.spacing_mm
    structures = []
    for label, part in made.structures.items():
        if not part.occupancy.any():
            structures.append(Structure(label, Presence.UNKNOWN, image_id=IMAGE_ID, origin="phantom"))
            continue
        structures.append(
            Structure(
                label,
                Presence.PRESENT,
                part.occupancy,
                grid.crop(part.offset, part.occupancy.shape),
                fractional=not hard_labels,
                evaluated_in=grid,
                image_id=IMAGE_ID,
                origin="phantom",
                working_resolution_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
                boundary_sigma_mm=0.0,
                boundary_source="analytic",
            )
        )
    return structures


def _case(name: str, made: PhantomResult, hard_labels: bool, date: str, seed: int) -> Case:
    from navplan.geometry.grid import Grid
    from navplan.imaging.quality import check_quality
    from navplan.model.volume import Volume

    shape = (made.voxels.shape[0], made.voxels.shape[1], made.voxels.shape[2])
    grid = Grid(made.affine, shape)
    volume = Volume(made.voxels, grid, made.modality, "HU", _acquisition(name, made, date))
    volume = replace(volume, acquisition=replace(volume.acquisition, quality=check_quality(volume)))
    case = Case(id=f"{name}-phantom", salt=SALT).with_volume(IMAGE_ID, volume)
    case = case.with_structures(*_structures(made, grid, hard_labels))
    details = {"phantom": name, "seed": seed, "hard_labels": hard_labels, "image": IMAGE_ID}
    return case.with_audit(AuditEntry(datetime.now(UTC).isoformat(timespec="seconds"), "navplan", "phantom", details))


def _write(
    made: PhantomResult, out: Path, name: str, format: str, hard_labels: bool, date: str, seed: int, person: int | None
) -> None:
    from navplan.files.durable import write_whole

    acquisition = _acquisition(name, made, date)
    patient_id = PATIENT_ID if person is None else f"{PATIENT_ID}-{person}"
    if format == "dicom":
        from navplan.files.dicom_write import write_ct_slices

        body_part = name.upper() if name in UNPAIRED_BODY_PARTS else ""
        write_ct_slices(
            made.voxels, made.affine, out / "image", acquisition=acquisition, patient_id=patient_id,
            patient_name=f"PHANTOM^{name.upper()}", body_part=body_part,
            seed_uid=f"{name} {seed} {made.affine.tolist()}",
        )  # fmt: skip
    elif not _orthogonal(made):
        raise InputError("a tilted stack as one image file", "format dicom, which gives each slice its own place")
    if _orthogonal(made):
        _write_orthogonal(made, out, name, format, hard_labels, acquisition)
    write_whole(out / "truth.json", json.dumps(made.truth, indent=1, allow_nan=False).encode())


def _write_orthogonal(
    made: PhantomResult, out: Path, name: str, format: str, hard_labels: bool, acquisition: Acquisition
) -> None:
    from navplan.files.structure_files import Segmentation, write_occupancy, write_segmentation

    case = _case(name, made, hard_labels, acquisition.date, 0)
    volume = case.volumes[IMAGE_ID]
    if format == "nifti":
        from navplan.files.nifti import write_nifti

        write_nifti(out / "image.nii.gz", volume.voxels, volume.grid)
    elif format == "nrrd":
        from navplan.files.nrrd import write_nrrd

        write_nrrd(out / "image.nrrd", volume.voxels, volume.grid, {"modality": acquisition.modality})
    present = [structure for structure in case.structures.values() if structure.grid is not None]
    starts = tuple(made.structures[structure.name].offset for structure in present)
    write_segmentation(out / "labels.seg.nrrd", Segmentation("labels", volume.grid, tuple(present), starts))
    if not hard_labels:
        (out / "occupancy").mkdir()
        for structure in present:
            write_occupancy(out / "occupancy" / f"{structure.name}.nrrd", structure)
