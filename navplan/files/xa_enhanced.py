"""Enhanced X-Ray Angiographic Image (PS3.3 A.47): each picture with angles of its own, the patient's and the machine's.

The machine's angles (C.8.19.6.13) are those of the arm in the room, whatever the patient's position, with a third one
for a picture that is turned, as that of a mobile arm is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.files.dicom_write import decimal_string, uid_of
from navplan.files.xa_write import DGY_PER_UGY, PULSE_MS, Frame, Run, collimated_px, empty_file
from navplan.geometry.carm import Beam, angles_of, on_the_table

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

# How this kind calls the plane: planes in the acquisition, which of them (PS3.3 C.8.19.2).
PLANE_WORDS = {
    "SINGLE PLANE": ("SINGLE PLANE", "MONOPLANE"), "BIPLANE A": ("BIPLANE", "PLANE A"),
    "BIPLANE B": ("BIPLANE", "PLANE B"),
}  # fmt: skip


def enhanced_xa_dataset(run: Run) -> FileDataset:
    """One file of one or more pictures. This kind has no overlay plane for the side letter: each picture's label names
    it, and its orientation the patient's sides."""
    from pydicom.dataset import Dataset
    from pydicom.uid import EnhancedXAImageStorage

    found = empty_file(run, EnhancedXAImageStorage)
    detector = run.first.detector
    found.ImageType = ["DERIVED", "PRIMARY", "FLUOROSCOPY", "NONE"]
    now = datetime.now()
    moment = now.strftime("%Y%m%d%H%M%S.%f")
    found.ContentDate, found.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S.%f")
    found.AcquisitionDateTime, found.AcquisitionDuration = moment, len(run.frames) * run.frame_time_ms
    found.AcquisitionNumber = 1
    found.DeviceSerialNumber, found.SoftwareVersions = "none: simulated", _version()
    found.ContentQualification = "RESEARCH"
    found.PlanesInAcquisition, found.PlaneIdentification = PLANE_WORDS[run.plane]
    found.PixelIntensityRelationship, found.PresentationLUTShape = "OTHER", "IDENTITY"
    found.AcquisitionContextSequence = []
    if run.kv is not None:
        found.KVP = decimal_string(run.kv)
    found.RadiationSetting, found.RadiationMode = "SC", "PULSED"
    found.XRayReceptorType, found.DetectorType = "DIGITAL_DETECTOR", "SCINTILLATOR"
    found.PhysicalDetectorSize = [detector.rows * detector.pixel_mm, detector.cols * detector.pixel_mm]
    found.PositionerType = "CARM"
    found.CArmPositionerTabletopRelationship = "YES" if run.patient_position else "NO"
    if run.patient_position:
        _patient_in_the_room(found, run)
    found.ExposureInmAs, found.AveragePulseWidth = run.mas, PULSE_MS
    found.ExposureTimeInms = PULSE_MS * sum(frame.pulses for frame in run.frames)
    found.XRayTubeCurrentInmA = run.mas / found.ExposureTimeInms * 1e3
    found.AcquiredImageAreaDoseProduct = run.dap_ugy_cm2 * DGY_PER_UGY
    found.NumberOfFrames = len(run.frames)
    shared = Dataset()
    _shared(shared, run)
    if run.patient_position:
        size = run.first.pixel_at_isocentre_mm
        shared.ProjectionPixelCalibrationSequence = _one(
            DistanceObjectToTableTop=0.0, ObjectPixelSpacingInCenterOfBeam=[size, size],
        )  # fmt: skip
        shared.TablePositionSequence = _one(
            TableTopVerticalPosition=0.0, TableTopLongitudinalPosition=0.0, TableTopLateralPosition=0.0,
            TableHorizontalRotationAngle=0.0, TableHeadTiltAngle=0.0, TableCradleTiltAngle=0.0,
        )  # fmt: skip
    found.SharedFunctionalGroupsSequence = [shared]
    found.PerFrameFunctionalGroupsSequence = [
        _per_frame(run, frame, number, now) for number, frame in enumerate(run.frames)
    ]
    return found


def _patient_in_the_room(found: Dataset, run: Run) -> None:
    """What a file must say once it tells angles in the room: the table stands in the isocentre, level."""
    head_first, supine = run.patient_position.startswith("HF"), run.patient_position.endswith("S")
    detector = run.first.detector
    found.PositionOfIsocenterProjection = [(detector.rows - 1) / 2, (detector.cols - 1) / 2]
    found.FrameOfReferenceUID, found.PositionReferenceIndicator = uid_of(run.seed, "frame"), ""
    found.SynchronizationFrameOfReferenceUID = uid_of(run.seed, "clock")
    found.SynchronizationTrigger, found.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
    lying = _one(CodeValue="102538003", CodingSchemeDesignator="SCT", CodeMeaning="recumbent")
    way, meaning = ("40199007", "supine") if supine else ("1240000", "prone")
    lying[0].PatientOrientationModifierCodeSequence = _one(
        CodeValue=way, CodingSchemeDesignator="SCT", CodeMeaning=meaning
    )
    found.PatientOrientationCodeSequence = lying
    del found.PatientPosition  # the same in other words, which may not stand beside them
    gantry, meaning = ("102540008", "headfirst") if head_first else ("102541007", "feet-first")
    found.PatientGantryRelationshipCodeSequence = _one(
        CodeValue=gantry, CodingSchemeDesignator="SCT", CodeMeaning=meaning
    )


def _version() -> str:
    from importlib.metadata import version

    return version("navplan")


def _one(**values: object) -> list[Dataset]:
    """A sequence of one item."""
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return [item]


def _shared(shared: Dataset, run: Run) -> None:
    carm, detector = run.first.carm, run.first.detector
    shared.XAXRFFrameCharacteristicsSequence = _one(
        FrameType=["DERIVED", "PRIMARY", "FLUOROSCOPY", "NONE"],
        DerivationDescription="Simulated from a CT; tube, panel and dose are assumptions",
        AcquisitionDeviceProcessingDescription="grey scale of a monitor, simulated",
        AcquisitionDeviceProcessingCode="",
    )
    wide, tall = detector.cols * detector.pixel_mm, detector.rows * detector.pixel_mm
    shared.FieldOfViewSequence = _one(
        FieldOfViewShape="RECTANGLE", FieldOfViewDimensionsInFloat=[tall, wide], FieldOfViewOrigin=[0.0, 0.0],
        FieldOfViewRotation="0", FieldOfViewHorizontalFlip="NO",
    )  # fmt: skip
    shared.FramePixelDataPropertiesSequence = _one(
        FrameType=["DERIVED", "PRIMARY", "FLUOROSCOPY", "NONE"],
        ImagerPixelSpacing=[decimal_string(detector.pixel_mm)] * 2, PixelIntensityRelationship="OTHER",
        PixelIntensityRelationshipSign=1, GeometricalProperties="UNIFORM", ImageProcessingApplied="MULTI_BAND_FLTR",
    )  # fmt: skip
    shared.FrameVOILUTSequence = _one(WindowCenter="128", WindowWidth="256")
    whole = _one(CodeValue="38266002", CodingSchemeDesignator="SCT", CodeMeaning="Entire body")
    shared.FrameAnatomySequence = _one(FrameLaterality="U", AnatomicRegionSequence=whole)
    shared.FrameDetectorParametersSequence = _one(DetectorActiveTime=decimal_string(PULSE_MS))
    shared.XRayGeometrySequence = _one(
        DistanceSourceToDetector=decimal_string(carm.sid_mm), DistanceSourceToIsocenter=carm.sod_mm,
        EstimatedRadiographicMagnificationFactor=decimal_string(carm.sid_mm / carm.sod_mm),
    )  # fmt: skip
    edges = collimated_px(run)
    if edges is not None:
        shared.CollimatorShapeSequence = _one(
            CollimatorShape="RECTANGULAR", CollimatorLeftVerticalEdge=edges[0], CollimatorRightVerticalEdge=edges[1],
            CollimatorUpperHorizontalEdge=edges[2], CollimatorLowerHorizontalEdge=edges[3],
        )  # fmt: skip
    shared.IrradiationEventIdentificationSequence = _one(IrradiationEventUID=uid_of(run.seed, "event"))


def _per_frame(run: Run, frame: Frame, number: int, start: datetime) -> Dataset:
    from pydicom.dataset import Dataset

    found = Dataset()
    moment = start + timedelta(milliseconds=number * run.frame_time_ms)
    found.FrameContentSequence = _one(
        FrameAcquisitionNumber=number + 1, FrameReferenceDateTime=moment.strftime("%Y%m%d%H%M%S.%f"),
        FrameAcquisitionDateTime=moment.strftime("%Y%m%d%H%M%S.%f"), FrameAcquisitionDuration=PULSE_MS * frame.pulses,
        FrameLabel=f"SIMULATED; side marker {frame.marker[0]} at the {frame.marker[1].value}"[:64],
    )  # fmt: skip
    found.PositionerPositionSequence = _one(
        PositionerPrimaryAngle=decimal_string(frame.angles.primary_deg),
        PositionerSecondaryAngle=decimal_string(frame.angles.secondary_deg),
    )
    found.FrameAcquisitionSequence = _one(
        KVP=decimal_string(frame.kv), XRayTubeCurrentInmA=frame.mas / PULSE_MS * 1e3,
    )  # fmt: skip
    found.PatientOrientationInFrameSequence = _one(PatientOrientation=list(frame.letters))
    if run.patient_position:
        primary, secondary, turned = isocentre_angles(frame.beam, run.patient_position)
        found.IsocenterReferenceSystemSequence = _one(
            PositionerIsocenterPrimaryAngle=primary, PositionerIsocenterSecondaryAngle=secondary,
            PositionerIsocenterDetectorRotationAngle=turned, TableXPositionToIsocenter=0.0,
            TableYPositionToIsocenter=0.0, TableZPositionToIsocenter=0.0, TableHorizontalRotationAngle=0.0,
            TableHeadTiltAngle=0.0, TableCradleTiltAngle=0.0,
        )  # fmt: skip
    return found


def isocentre_angles(beam: Beam, patient_position: str) -> tuple[float, float, float]:
    """Primary, secondary and detector rotation angle of PS3.3 C.8.19.6.13.1.2, degrees, with the room's X to the left
    and its Z to the head of a supine, head-first patient. The rotation is right-handed about the axis towards the
    source, as the others are about theirs: clockwise as the picture is seen (so read by PySkinDose too; the standard
    has it in a drawing)."""
    columns, toward = on_the_table(np.stack([beam.columns, _toward(beam)]), patient_position)
    angles = angles_of(toward)
    turned = float(np.degrees(np.arctan2(-columns @ angles.up, columns @ angles.columns)))
    return angles.primary_deg, angles.secondary_deg, turned


def _toward(beam: Beam) -> NDArray[np.float64]:
    away = beam.detector_centre_mm - beam.source_mm
    return np.asarray(away / np.linalg.norm(away))
