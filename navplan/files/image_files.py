"""Image files of one volume each: NIfTI, NRRD and MetaImage. DICOM is read by dicom_read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.files.metaimage import read_metaimage
from navplan.files.nifti import LABEL_MAP, read_nifti
from navplan.files.nrrd import read_nrrd
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition, QualityFinding, Severity
from navplan.model.volume import Volume

FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}
HIGHEST_PADDING_HU = -1500.0  # nothing in a body or in air has a lower CT number
SMALLEST_PADDED_SHARE = 0.005
LOWEST_AIR_HU = -700.0  # an image whose darkest voxels are above this shows no air: not taken for CT unasked


@dataclass(frozen=True, eq=False)
class ImageArray:
    """What a file holds: array[i, j, k] as stored (or [n, i, j, k], layers), its grid, header pairs, and findings."""

    array: NDArray[Any]
    grid: Grid
    format: str
    header: dict[str, str] = field(default_factory=dict)
    findings: tuple[QualityFinding, ...] = ()


def format_of(path: str | Path) -> str:
    """ "NIfTI", "NRRD" or "MetaImage" by the file's name, "" for any other."""
    name = Path(path).name.lower()
    return next((words for suffix, words in FORMATS.items() if name.endswith(suffix)), "")


def check_there(path: Path) -> None:
    """Raises InputError where there is no such file or folder, or the system does not let it be seen."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise InputError(f"{path}: no such file or folder", "a file or folder with images", "Check the path") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", "a path that can be read") from error


def read_image_array(path: str | Path) -> ImageArray:
    """Any of the formats, values as they are stored: for label maps too.

    Raises FileFormatError or GeometryError, see the readers; InputError where there is no such file.
    """
    path = Path(path)
    check_there(path)
    kind = format_of(path)
    if kind == "NIfTI":
        array, grid, findings = read_nifti(path)
        return ImageArray(array, grid, kind, {}, findings)
    if kind == "NRRD":
        array, grid, header = read_nrrd(path)
        return ImageArray(array, grid, kind, header)
    if kind == "MetaImage":
        return ImageArray(*read_metaimage(path), kind)
    raise FileFormatError(f"{path.name}: an unknown kind of file", "DICOM, or " + " ".join(FORMATS))


def read_image_file(path: str | Path, modality: str = "") -> Volume:
    """A volume from NIfTI, NRRD or MetaImage. These formats do not say what was measured: `modality` states it.

    Where neither the caller nor the header does, an image that shows air at its CT number is taken for CT, any other
    becomes "OT" with a warning. Raises InputError for what is no image of one volume.
    """
    path = Path(path)
    found = read_image_array(path)
    if found.array.ndim != 3 or _says_labels(found):
        raise FileFormatError(f"{path.name}: labels or several layers", "one image", "Read it as labels")
    if min(found.grid.shape) < 2:
        sizes = "x".join(str(n) for n in found.grid.shape)
        raise FileFormatError(f"{path.name}: {sizes} voxels, not a volume", "at least two along each axis")
    voxels = settled_voxels(found.array, path.name)
    stated = modality or found.header.get("modality", "")
    findings = found.findings
    if not stated and float(voxels.min()) > LOWEST_AIR_HU:
        words = "The file does not say what was measured and its values show no air: not taken for CT."
        findings += (QualityFinding("modality_unknown", Severity.WARN, words),)
        stated = "OT"
    stated = stated or "CT"
    is_ct = stated == "CT"
    acquisition = Acquisition(
        modality=stated,
        source=found.format,
        padding_hu=detected_padding_hu(voxels) if is_ct else None,
        quality=findings,
    )
    return Volume(voxels, found.grid, stated, "HU" if is_ct else "signal", acquisition)


def _says_labels(found: ImageArray) -> bool:
    return any(key.startswith("Segment0") for key in found.header) or LABEL_MAP in {f.code for f in found.findings}


def settled_voxels(array: NDArray[Any], name: str = "the image") -> NDArray[Any]:
    """int16 where every value is a whole number that fits, else float32; axes and memory order are kept.

    Raises InputError for NaN, infinite or non-numeric values.
    """
    if array.dtype.kind not in "iufb":
        raise InputError(f"{name}: values of type {array.dtype}", "whole or real numbers")
    if array.dtype == np.int16:
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(f"{name}: {bad} voxels that are NaN or infinite", "finite values", "Repair the image first")
    low, high = float(array.min()), float(array.max())
    if low >= -32768 and high <= 32767 and (array.dtype.kind != "f" or bool((array == np.rint(array)).all())):
        return array.astype(np.int16)
    if max(abs(low), abs(high)) > float(np.finfo(np.float32).max):
        raise InputError(f"{name}: values up to {max(abs(low), abs(high)):.3g}", "values that float32 can hold")
    return array.astype(np.float32)


def detected_padding_hu(voxels: NDArray[Any]) -> float | None:
    """The value written outside the field of view: the smallest, if it is below all tissue and air and frequent."""
    lowest = float(voxels.min())
    if lowest > HIGHEST_PADDING_HU:
        return None
    share = float(np.count_nonzero(voxels == voxels.min())) / voxels.size
    return lowest if share >= SMALLEST_PADDED_SHARE else None


def patient_digest(salt: str, patient_id: str, issuer: str = "", birth_date: str = "") -> str:
    """SHA-256 of salt, patient ID, issuer and birth date; "" (identity unknown) without a patient ID."""
    if not patient_id.strip():
        return ""
    parts = (salt, patient_id.strip(), issuer.strip(), birth_date.strip())
    return hashlib.sha256("|".join(parts).encode("utf-8")).hexdigest()
