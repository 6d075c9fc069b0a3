"""Simulated fluoroscopy as DICOM, one file a shot or run: X-Ray Angiographic Image (PS3.3 A.14) or the enhanced one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.files.dicom_write import SYNTHETIC, decimal_string, uid_of
from navplan.geometry.conventions import orientation_letters

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

    from navplan.fluoroscopy.image import FluoroImage
    from navplan.fluoroscopy.overlay import Place
    from navplan.fluoroscopy.shot import FluoroShot
    from navplan.geometry.carm import Beam, ViewAngles

_DICOM_LETTER = {"S": "H", "I": "F"}  # head and feet are H and F there
DGY_PER_UGY = 1e-5
PULSE_MS = 5.0  # assumed
PLANES = ("SINGLE PLANE", "BIPLANE A", "BIPLANE B")


@dataclass(frozen=True, eq=False)
class Frame:
    """What a file keeps of one shot. mas, dap_ugy_cm2: of one of its pulses; marker: side letter and where it stands;
    letters: of the patient's side at the picture's right and bottom (PS3.3 C.7.6.1.1.1)."""

    pixels: NDArray[np.uint8]
    angles: ViewAngles
    kv: int
    mas: float
    dap_ugy_cm2: float
    pulses: int
    marker: tuple[str, Place]
    letters: tuple[str, str]
    beam: Beam


@dataclass(frozen=True, eq=False)
class Run:
    """Shots of one detector, machine and patient position, without what a file does not need."""

    frames: tuple[Frame, ...]
    first: FluoroImage
    patient_position: str
    words: str
    told: str
    frame_time_ms: float
    plane: str
    seed: str

    @property
    def kv(self) -> int | None:
        """The tube voltage of all pictures, None where they differ."""
        return self.frames[0].kv if len({frame.kv for frame in self.frames}) == 1 else None

    @property
    def mas(self) -> float:
        """Of all pulses."""
        return sum(frame.mas * frame.pulses for frame in self.frames)

    @property
    def dap_ugy_cm2(self) -> float:
        """Of all pulses."""
        return sum(frame.dap_ugy_cm2 * frame.pulses for frame in self.frames)


def run_of(
    shots: Iterable[FluoroShot], frame_time_ms: float = 133.3, plane: str = PLANES[0], seed_uid: str = ""
) -> Run:
    """Raises InputError for no shot, or shots that are no run."""
    if plane not in PLANES or not 1.0 <= frame_time_ms <= 60_000.0:
        raise InputError(f"plane {plane!r}, {frame_time_ms} ms", f"{', '.join(PLANES)}, 1 to 60000 ms apart")
    from navplan.fluoroscopy.overlay import Worst

    first: FluoroShot | None = None
    last: FluoroShot | None = None
    frames: list[Frame] = []
    warned = Worst()
    for shot in shots:
        last = shot
        warned.add(shot.overlay.warnings)
        first = first or shot
        if (shot.image.detector, shot.image.carm, shot.patient_position) != (
            first.image.detector, first.image.carm, first.patient_position,
        ):  # fmt: skip
            raise InputError("shots of more than one setting", "one detector, C-arm and patient position")
        one = shot.image.exposure
        frames.append(
            Frame(
                shot.pixels, shot.angles, one.tube.kv, one.mas, one.dap_ugy_cm2, shot.image.pulses,
                shot.overlay.marker, _letters(shot.image.beam), shot.image.beam,
            )
        )  # fmt: skip
    if first is None or last is None:
        raise InputError("no shot", "at least one")
    seed = seed_uid or f"{datetime.now().isoformat()} {os.getpid()}"
    return Run(
        tuple(frames), first.image, first.patient_position, first.words, _told(last, warned.words), frame_time_ms,
        plane, seed,
    )  # fmt: skip


def _told(last: FluoroShot, warned: Sequence[str]) -> str:
    """Warnings of all pictures, media first of all, then what the last picture's words say of view, needles, dose."""
    lines = sorted(last.overlay.lines[1:-1], key=lambda words: not words.startswith("Filled"))
    media = [words for words in lines if words.startswith("Filled")]
    return ". ".join([*media, *(f"! {words}" for words in warned), *lines[len(media) :]])


def _letters(beam: Beam) -> tuple[str, str]:
    right, down = (
        "".join(_DICOM_LETTER.get(letter, letter) for letter in orientation_letters(direction))
        for direction in (beam.columns, -beam.up)
    )
    return right, down


def empty_file(run: Run, sop_class: str) -> FileDataset:
    """What both kinds of file begin with."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(uid_of(run.seed, f"image {run.plane}"))
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = UID(sop_class), meta.MediaStorageSOPInstanceUID
    found.Modality, found.Manufacturer, found.ManufacturerModelName = "XA", "navplan", "simulated"
    found.StudyDate = found.StudyTime = found.AccessionNumber = found.ReferringPhysicianName = ""
    found.PatientName, found.PatientID, found.PatientBirthDate, found.PatientSex = "SIMULATED^", "", "", ""
    found.StudyInstanceUID, found.SeriesInstanceUID = uid_of(run.seed, "study"), uid_of(run.seed, "series")
    found.StudyID, found.SeriesNumber = "1", 1
    found.InstanceNumber = 1 + max(PLANES.index(run.plane) - 1, 0)
    found.SeriesDescription = SYNTHETIC
    found.DerivationDescription = "Simulated from a CT; tube, panel and dose are assumptions. Not of a patient"
    pulses = run.frames[0].pulses
    made = f"{pulses} pulses averaged a picture" if pulses > 1 else "one pulse a picture"
    comments = f"SIMULATED, research and training only. {run.words}. {made}. {run.told}"
    found.ImageComments = comments if len(comments) <= 1024 else comments[:1020] + " ..."
    found.BurnedInAnnotation, found.LossyImageCompression = "NO", "00"
    if run.patient_position:
        found.PatientPosition = run.patient_position
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.Rows, found.Columns = run.frames[0].pixels.shape
    data = b"".join(frame.pixels.tobytes() for frame in run.frames)
    found.PixelData = data + b"\0" * (len(data) % 2)
    return found


def xa_dataset(run: Run) -> FileDataset:
    """X-Ray Angiographic Image. Angles are the patient's (PS3.3 C.8.7.5.1.2); a run's are the first frame's and offsets
    from it (C.8.7.5.1.3). The picture is taken to stand heads up: that of a mobile arm turns, which only the enhanced
    kind can say."""
    from pydicom.tag import Tag
    from pydicom.uid import XRayAngiographicImageStorage

    found, carm, detector = empty_file(run, XRayAngiographicImageStorage), run.first.carm, run.first.detector
    frames, angles = run.frames, run.frames[0].angles
    found.ImageType = ["DERIVED", "SECONDARY", run.plane]
    alike = len({frame.letters for frame in frames}) == 1  # a turning arm's pictures have no orientation in common
    found.Laterality, found.PatientOrientation = "", list(frames[0].letters) if alike else []
    found.PixelIntensityRelationship = "DISP"
    found.KVP = None if run.kv is None else decimal_string(run.kv)
    found.RadiationSetting, found.RadiationMode = "SC", "PULSED"
    time_ms = max(1, round(PULSE_MS * sum(frame.pulses for frame in frames)))
    found.ExposureInuAs, found.Exposure = round(1e3 * run.mas), round(run.mas)
    found.ExposureTime, found.XRayTubeCurrent = time_ms, round(1e3 * run.mas / time_ms)
    found.ImageAndFluoroscopyAreaDoseProduct = decimal_string(run.dap_ugy_cm2 * DGY_PER_UGY)
    found.ImagerPixelSpacing = [decimal_string(detector.pixel_mm)] * 2
    found.DistanceSourceToDetector, found.DistanceSourceToPatient = (
        decimal_string(carm.sid_mm), decimal_string(carm.sod_mm),
    )  # fmt: skip
    found.EstimatedRadiographicMagnificationFactor = decimal_string(carm.sid_mm / carm.sod_mm)
    found.PositionerPrimaryAngle = decimal_string(angles.primary_deg)
    found.PositionerSecondaryAngle = decimal_string(angles.secondary_deg)
    moving = any(frame.angles != angles for frame in frames)
    found.PositionerMotion = "DYNAMIC" if moving else "STATIC"
    if moving:
        turns = np.unwrap([frame.angles.primary_deg - angles.primary_deg for frame in frames], period=360.0)
        found.PositionerPrimaryAngleIncrement = [decimal_string(turn) for turn in turns]
        found.PositionerSecondaryAngleIncrement = [
            decimal_string(frame.angles.secondary_deg - angles.secondary_deg) for frame in frames
        ]
    _shutter(found, run)
    if len(frames) > 1:
        found.NumberOfFrames, found.FrameTime = len(frames), decimal_string(run.frame_time_ms)
        found.FrameIncrementPointer = Tag(0x0018, 0x1063)
        found.RecommendedDisplayFrameRate = max(1, round(1e3 / run.frame_time_ms))
    _marker_overlay(found, run)
    return found


def collimated_px(run: Run) -> tuple[int, int, int, int] | None:
    """Left, right, upper and lower edge of the collimated field, columns and rows counted from 1; None where open."""
    detector, (wide, tall) = run.first.detector, run.first.exposure.field_mm
    cols, rows = (min(round(mm / detector.pixel_mm), n) for mm, n in ((wide, detector.cols), (tall, detector.rows)))
    if (cols, rows) == (detector.cols, detector.rows):
        return None
    left, top = (detector.cols - cols) // 2, (detector.rows - rows) // 2
    return left, left + cols + 1, top, top + rows + 1


def _shutter(found: Dataset, run: Run) -> None:
    edges = collimated_px(run)
    if edges is not None:
        found.CollimatorShape = "RECTANGULAR"
        found.CollimatorLeftVerticalEdge, found.CollimatorRightVerticalEdge = edges[:2]
        found.CollimatorUpperHorizontalEdge, found.CollimatorLowerHorizontalEdge = edges[2:]


def marker_bits(frame: Frame) -> NDArray[np.uint8]:
    """(rows, cols) 0 or 1: the side letter as it would stand in lead: at the upper right for the side there, at the top
    in the middle for the side there, at the upper left for the side that faces the detector."""
    from PIL import Image, ImageDraw, ImageFont

    from navplan.fluoroscopy.overlay import Place

    rows, cols = frame.pixels.shape
    plane, size = Image.new("1", (cols, rows)), max(8, min(rows, cols) // 14)
    letter, place = frame.marker
    edge = size // 2
    at, anchor = {
        Place.RIGHT: ((cols - edge, edge), "rt"), Place.TOP: ((cols // 2, edge), "mt"),
        Place.DETECTOR: ((edge, edge), "lt"),
    }[place]  # fmt: skip
    ImageDraw.Draw(plane).text(at, letter, fill=1, anchor=anchor, font=ImageFont.load_default(size))
    return np.asarray(plane, dtype=np.uint8)


def _marker_overlay(found: Dataset, run: Run) -> None:
    """An overlay plane (PS3.3 C.9.2) with the side letter: it can be switched off, and the pixels stay as they are.
    One for all pictures where they agree, else one each."""
    one_for_all = len({frame.marker for frame in run.frames}) == 1
    planes = [marker_bits(frame).ravel() for frame in (run.frames[:1] if one_for_all else run.frames)]
    bits = np.packbits(np.concatenate(planes), bitorder="little").tobytes()
    found.add_new(0x60000010, "US", found.Rows)
    found.add_new(0x60000011, "US", found.Columns)
    if not one_for_all:
        found.add_new(0x60000015, "IS", len(planes))
        found.add_new(0x60000051, "US", 1)
    found.add_new(0x60000022, "LO", "Side marker")
    found.add_new(0x60000040, "CS", "G")
    found.add_new(0x60000050, "SS", [1, 1])
    found.add_new(0x60000100, "US", 1)
    found.add_new(0x60000102, "US", 0)
    found.add_new(0x60001500, "LO", "L or R")
    found.add_new(0x60003000, "OW", bits + b"\0" * (len(bits) % 2))


def save_xa(
    shots: Iterable[FluoroShot], path: str | os.PathLike[str], *, frame_time_ms: float = 133.3, enhanced: bool = False
) -> Path:
    """Write a shot or a run, whole or not at all, replacing what had that name. enhanced: as Enhanced XA Image."""
    from navplan.files.whole_file import whole_file
    from navplan.files.xa_enhanced import enhanced_xa_dataset

    target = Path(path)
    with whole_file(target) as file:  # before the first shot is taken: a place that cannot be written to is told now
        run = run_of(shots, frame_time_ms)
        found = enhanced_xa_dataset(run) if enhanced else xa_dataset(run)
        whole = BytesIO()  # pydicom would wrap a full disk's error into its own
        found.save_as(whole, enforce_file_format=True)
        file.write(whole.getbuffer())
    return target


def save_biplane(planes: tuple[FluoroShot, FluoroShot], path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write both planes of a biplane system, as NAME-A.dcm and NAME-B.dcm, each naming the other; both or none."""
    from pydicom.dataset import Dataset

    from navplan.files.files_together import write_together

    target = Path(path)
    seed = f"{datetime.now().isoformat()} {os.getpid()}"
    runs = [run_of([shot], plane=plane, seed_uid=seed) for shot, plane in zip(planes, PLANES[1:], strict=True)]
    files = [xa_dataset(run) for run in runs]
    for one, other in (files, files[::-1]):
        named = Dataset()
        named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = other.SOPClassUID, other.SOPInstanceUID
        one.ReferencedImageSequence = [named]
    written = {}
    for file, letter in zip(files, "AB", strict=True):
        stream = BytesIO()
        file.save_as(stream, enforce_file_format=True)
        written[f"{target.stem}-{letter}.dcm"] = stream.getvalue()
    one_path, other_path = write_together(target.parent, written)
    return one_path, other_path
