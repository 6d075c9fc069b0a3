"""Pictures of a C-arm as DICOM XA files, as a machine would write them: for tests of what reads real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid

from navplan.geometry.carm import CArm, ViewAngles


def grey_of(line_integrals: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Line integrals of any scale as 8 bits, dense dark, nothing of it black or white."""
    low, high = np.percentile(line_integrals, [0.5, 99.5])
    return np.rint(1.0 + 253.0 * (1.0 - np.clip((line_integrals - low) / (high - low), 0.0, 1.0))).astype(np.uint8)


def save_xa_picture(
    path: Path, grey: NDArray[np.uint8], angles: ViewAngles, pixel_mm: float, *, carm: CArm | None = None,
    patient_id: str = "", geometry: bool = True,
) -> Path:  # fmt: skip
    """One picture (rows, cols) or a run (N, rows, cols) of one view; geometry: whether SID, SOD and pixel are said."""
    arm, pictures = carm or CArm(), grey.reshape(-1, *grey.shape[-2:])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = XRayAngiographicImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.Modality, found.PatientName, found.PatientID, found.PatientPosition = "XA", "A^B", patient_id, "HFS"
    found.PositionerPrimaryAngle, found.PositionerSecondaryAngle = str(angles.primary_deg), str(angles.secondary_deg)
    if geometry:
        found.DistanceSourceToDetector, found.DistanceSourceToPatient = str(arm.sid_mm), str(arm.sod_mm)
        found.ImagerPixelSpacing = [str(pixel_mm)] * 2
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.Rows, found.Columns = pictures.shape[1:]
    if len(pictures) > 1:
        found.NumberOfFrames, found.FrameTime = len(pictures), "100"
    data = pictures.tobytes()
    found.PixelData = data + b"\0" * (len(data) % 2)
    found.save_as(path, enforce_file_format=True)
    return path
