"""CT series as DICOM: one CT Image Storage file a slice (PS3.3 A.3), for phantoms and other simulated images."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat, format_number_as_ds

from navplan.errors import GeometryError, InputError
from navplan.files.durable import writing
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

SYNTHETIC = "Simulated image, not of a patient"


def write_ct_series(
    volume: Volume, folder: str | Path, *, patient_id: str, patient_name: str, seed_uid: str, birth_date: str = ""
) -> tuple[Path, ...]:
    """Write a CT volume as a series into a new or empty folder; gives back the files in slice order.

    See write_ct_slices. Raises InputError for what is no CT in whole Hounsfield units.
    """
    if volume.modality != "CT" or volume.quantity != "HU":
        raise InputError(f"an image of {volume.modality} ({volume.quantity})", "CT in Hounsfield units")
    return write_ct_slices(
        volume.voxels, volume.grid.affine, folder, acquisition=volume.acquisition, patient_id=patient_id,
        patient_name=patient_name, seed_uid=seed_uid, birth_date=birth_date, frame_uid=volume.grid.frame_uid,
    )  # fmt: skip


def write_ct_slices(
    voxels: NDArray[Any],
    affine: NDArray[np.float64],
    folder: str | Path,
    *,
    acquisition: Acquisition,
    patient_id: str,
    patient_name: str,
    seed_uid: str,
    birth_date: str = "",
    frame_uid: str = "",
    body_part: str = "",
) -> tuple[Path, ...]:
    """Write whole HU [i, j, k] with any affine whose i and j are at right angles: a tilted (sheared) stack too.

    Each slice gets its own position, the columns i and j of the affine are its orientation. All UIDs follow from
    `seed_uid`, unless the acquisition or `frame_uid` names them: the same input gives the same files. body_part: an
    unpaired one in DICOM's terms (PS3.16 annex L), such as ABDOMEN.

    Raises InputError for values that are not whole or do not fit in 16 bits, or a folder that is not empty or cannot
    be written to; GeometryError for slices that are not rectangular.
    """
    folder = Path(folder)
    whole = np.asarray(voxels)
    if whole.dtype.kind == "f" and not np.array_equal(whole, np.rint(whole)):
        raise InputError("an image with fractions of a Hounsfield unit", "whole numbers")
    if whole.min() < -32768 or whole.max() > 32767:
        raise InputError(f"values from {whole.min()} to {whole.max()}", "values of 16 bits")
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    row, column = (affine[:3, :2] / spacing).T
    if abs(float(row @ column)) > 1e-6:
        raise GeometryError("slices whose rows and columns are not at right angles", "right angles within each slice")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: a folder that is not empty", "a new or empty folder")
    common = _common(
        acquisition, patient_id, patient_name, birth_date, seed_uid, frame_uid or uid_of(seed_uid, "frame")
    )
    if body_part:
        common.BodyPartExamined = body_part
    else:
        common.Laterality = ""
    common.Rows, common.Columns = whole.shape[1], whole.shape[0]
    common.PixelSpacing = [decimal_string(spacing[1]), decimal_string(spacing[0])]
    common.ImageOrientationPatient = [decimal_string(value) for value in (*row, *column)]
    if acquisition.padding_hu is not None and float(acquisition.padding_hu).is_integer():
        common.PixelPaddingValue = int(acquisition.padding_hu)
    paths = tuple(folder / f"CT{k + 1:04d}.dcm" for k in range(whole.shape[2]))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for k, path in enumerate(paths):
            position = affine[:3, 3] + k * affine[:3, 2]
            pixels = np.ascontiguousarray(whole[:, :, k].T).astype("<i2")
            _write_slice(path, common, k, position, pixels, uid_of(seed_uid, f"slice {k}"))
    return paths


def _write_slice(
    path: Path, common: Dataset, k: int, position: NDArray[np.float64], pixels: NDArray[np.int16], uid: str
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.update(common)
    image.SOPInstanceUID = UID(uid)
    image.InstanceNumber = k + 1
    image.ImagePositionPatient = [decimal_string(value) for value in position]
    image.PixelData = pixels.tobytes()
    image.save_as(path, enforce_file_format=True)


def _common(
    acquisition: Acquisition, patient_id: str, patient_name: str, birth_date: str, seed_uid: str, frame_uid: str
) -> Dataset:
    """What all slices of the series say alike."""
    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"
    common.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    common.SOPClassUID = CTImageStorage
    common.Modality = "CT"
    day, time = _day_and_time(acquisition.date)
    for what in ("Study", "Series", "Acquisition", "Content"):
        setattr(common, f"{what}Date", day)
        setattr(common, f"{what}Time", time)
    common.AccessionNumber = common.ReferringPhysicianName = ""
    common.StudyID = "1"
    common.Manufacturer, common.ManufacturerModelName = "navplan", "simulated"
    common.StudyDescription, common.SeriesDescription = SYNTHETIC, acquisition.description or SYNTHETIC
    common.DerivationDescription = SYNTHETIC
    common.PatientName, common.PatientID, common.PatientBirthDate, common.PatientSex = (
        patient_name, patient_id, birth_date, "",
    )  # fmt: skip
    common.PatientPosition = acquisition.patient_position
    common.StudyInstanceUID = acquisition.study_uid or uid_of(seed_uid, "study")
    common.SeriesInstanceUID = acquisition.series_uid or uid_of(seed_uid, "series")
    common.FrameOfReferenceUID, common.PositionReferenceIndicator = frame_uid, ""
    common.SeriesNumber = common.AcquisitionNumber = 1
    common.KVP = None
    if acquisition.slice_thickness_mm is None:
        common.SliceThickness = None
    else:
        common.SliceThickness = decimal_string(acquisition.slice_thickness_mm)
    if acquisition.kernel:
        common.ConvolutionKernel = acquisition.kernel.split("\\")
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    common.BitsAllocated, common.BitsStored, common.HighBit, common.PixelRepresentation = 16, 16, 15, 1
    common.RescaleIntercept, common.RescaleSlope, common.RescaleType = decimal_string(0.0), decimal_string(1.0), "HU"
    return common


def decimal_string(value: float) -> DSfloat:
    """A decimal string of at most 16 characters, as exact as that allows."""
    return DSfloat(format_number_as_ds(float(value) + 0.0))


def uid_of(seed: str, what: str) -> str:
    return str(generate_uid(entropy_srcs=["navplan", seed, what]))


def _day_and_time(date: str) -> tuple[str, str]:
    """DICOM date and time of an ISO 8601 date; empty where it is unknown."""
    if not date:
        return "", ""
    moment = datetime.fromisoformat(date)
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S") if "T" in date or " " in date else ""
