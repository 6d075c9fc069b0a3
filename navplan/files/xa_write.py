"""Simulated fluoroscopy as DICOM: X-Ray Angiographic Image Storage (PS3.3 A.14), one file a shot or run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from navplan.errors import InputError
from navplan.files.dicom_write import SYNTHETIC, decimal_string, uid_of
from navplan.geometry.conventions import orientation_letters

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from navplan.fluoroscopy.shot import FluoroShot

_DICOM_LETTER = {"S": "H", "I": "F"}  # head and feet are H and F there
DGY_PER_UGY = 1e-5


def xa_dataset(shots: Sequence[FluoroShot], *, frame_time_ms: float = 133.3, seed_uid: str = "") -> FileDataset:
    """A data set of one shot, or of a run of shots of one detector, machine and patient position.

    Angles are the patient's (PS3.3 C.8.7.5.1.2); a run's are the first frame's and increments to it. Raises InputError
    for no shot, or shots that are no run.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.tag import Tag
    from pydicom.uid import UID, ExplicitVRLittleEndian, XRayAngiographicImageStorage

    if not shots:
        raise InputError("no shot", "at least one")
    first = shots[0]
    alike = {(shot.image.detector, shot.image.carm, shot.patient_position) for shot in shots}
    if len(alike) > 1 or not 1.0 <= frame_time_ms <= 60_000.0:
        raise InputError(
            f"{len(shots)} shots of {len(alike)} settings, {frame_time_ms} ms apart",
            "one detector, C-arm and patient position, 1 to 60000 ms apart",
        )
    image, carm, exposure = first.image, first.image.carm, first.image.exposure
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = XRayAngiographicImageStorage, ExplicitVRLittleEndian
    pixels = np.stack([shot.pixels for shot in shots])
    seed = seed_uid or f"{datetime.now().isoformat()} {os.getpid()}"
    meta.MediaStorageSOPInstanceUID = UID(uid_of(seed, "image"))
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = XRayAngiographicImageStorage, meta.MediaStorageSOPInstanceUID
    found.ImageType = ["DERIVED", "SECONDARY", "SINGLE PLANE"]
    found.Modality, found.Manufacturer, found.ManufacturerModelName = "XA", "navplan", "simulated"
    found.StudyDate = found.StudyTime = found.AccessionNumber = found.ReferringPhysicianName = ""
    found.PatientName, found.PatientID, found.PatientBirthDate, found.PatientSex = "SIMULATED", "", "", ""
    found.StudyInstanceUID, found.SeriesInstanceUID = uid_of(seed, "study"), uid_of(seed, "series")
    found.StudyID, found.SeriesNumber, found.InstanceNumber = "1", 1, 1
    found.SeriesDescription = SYNTHETIC
    found.DerivationDescription = "Simulated from a CT; tube, panel and dose are assumptions. Not of a patient"
    made = f"{image.pulses} pulses averaged a picture; {exposure.words}"
    found.ImageComments = f"SIMULATED, research and training only. {first.words}. {made}"[:1024]
    found.Laterality = ""
    found.BurnedInAnnotation, found.LossyImageCompression = "NO", "00"
    found.PatientOrientation = [
        "".join(_DICOM_LETTER.get(letter, letter) for letter in orientation_letters(direction))
        for direction in (image.beam.columns, -image.beam.up)
    ]
    if first.patient_position:
        found.PatientPosition = first.patient_position
    found.SamplesPerPixel, found.PhotometricInterpretation, found.PixelIntensityRelationship = 1, "MONOCHROME2", "DISP"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.Rows, found.Columns = pixels.shape[1:]
    found.KVP, found.RadiationSetting, found.RadiationMode = decimal_string(exposure.tube.kv), "SC", "PULSED"
    found.ExposureInuAs = round(1e3 * sum(shot.image.exposure.mas * shot.image.pulses for shot in shots))
    total = sum(shot.image.exposure.dap_ugy_cm2 * shot.image.pulses for shot in shots)
    found.ImageAndFluoroscopyAreaDoseProduct = decimal_string(total * DGY_PER_UGY)
    found.ImagerPixelSpacing = [decimal_string(image.detector.pixel_mm)] * 2
    found.DistanceSourceToDetector, found.DistanceSourceToPatient = (
        decimal_string(carm.sid_mm), decimal_string(carm.sod_mm),
    )  # fmt: skip
    found.EstimatedRadiographicMagnificationFactor = decimal_string(carm.sid_mm / carm.sod_mm)
    found.PositionerType = "CARM"
    found.PositionerPrimaryAngle = decimal_string(first.angles.primary_deg)
    found.PositionerSecondaryAngle = decimal_string(first.angles.secondary_deg)
    moving = any(shot.angles != first.angles for shot in shots)
    found.PositionerMotion = "DYNAMIC" if moving else "STATIC"
    if moving:
        found.PositionerPrimaryAngleIncrement = [
            decimal_string(_turn(shot.angles.primary_deg - first.angles.primary_deg)) for shot in shots
        ]
        found.PositionerSecondaryAngleIncrement = [
            decimal_string(shot.angles.secondary_deg - first.angles.secondary_deg) for shot in shots
        ]
    if len(shots) > 1:
        found.NumberOfFrames, found.FrameTime = len(shots), decimal_string(frame_time_ms)
        found.FrameIncrementPointer = Tag(0x0018, 0x1063)
        found.RecommendedDisplayFrameRate = max(1, round(1e3 / frame_time_ms))
    data = pixels.tobytes()
    found.PixelData = data + b"\0" * (len(data) % 2)
    return found


def _turn(degrees: float) -> float:
    """The same turn, the short way."""
    return (degrees + 180.0) % 360.0 - 180.0


def save_xa(shots: Sequence[FluoroShot], path: str | os.PathLike[str], *, frame_time_ms: float = 133.3) -> Path:
    """Write a shot or a run, whole or not at all, replacing what had that name."""
    from navplan.files.whole_file import whole_file

    target = Path(path)
    found = xa_dataset(shots, frame_time_ms=frame_time_ms)
    with whole_file(target) as file:
        found.save_as(file, enforce_file_format=True)
    return target
