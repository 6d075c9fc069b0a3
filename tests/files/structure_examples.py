"""Images, SEGs and RTSTRUCTs for tests: written into a folder as DICOM and read again."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
from navplan.files.dicom_write import write_ct_slices
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Structure
from navplan.model.volume import Volume

FRAME = "1.2.3.4"
LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
KIDNEY, LIVER = Code("64033007", "SCT", "Kidney"), Code("10200004", "SCT", "Liver")
TISSUE = Code("85756007", "SCT", "Tissue")
ORGAN = Code("123037004", "SCT", "Anatomical Structure")


def image_in(folder: Path, affine: NDArray[np.float64], shape=(14, 12, 8)) -> tuple[Volume, list[Dataset]]:
    """An image as navplan reads it, and its slices."""
    voxels = np.random.default_rng(1).integers(-100, 100, shape).astype(np.int16)
    facts = Acquisition(patient_position="HFS", date="2024-05-06T07:08:09", slice_thickness_mm=2.0)
    write_ct_slices(
        voxels, affine, folder, acquisition=facts, patient_id="P1", patient_name="DOE^JANE", seed_uid=str(folder),
        frame_uid=FRAME,
    )  # fmt: skip
    (series,), _ = find_series(folder)
    return read_series(series, "salt"), [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]


def segment_description(number: int, label: str, kind: Code = TISSUE, side: Code | None = None):
    described = hd.seg.SegmentDescription(number, label, ORGAN, kind, "MANUAL")
    if side is not None:
        code = hd.sr.CodedConcept(side.value, side.scheme_designator, side.meaning)
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [code]
    return described


def seg_file(path: Path, slices: list[Dataset], arrays: list[NDArray], described: list, kind="BINARY", **more) -> Path:
    """arrays: one [k, j, i] a segment, in the order of the slices."""
    pixels = np.stack(arrays, axis=-1)
    seg = hd.seg.Segmentation(
        slices, pixels, kind, described, generate_uid(), 7, generate_uid(), 1, "Acme", "Drawer", "3.1", "S1",
        content_creator_name="ROE^RICHARD", **more,
    )  # fmt: skip
    seg.save_as(path)
    return path


def mask_on(grid: Grid, structure: Structure) -> NDArray[np.uint8]:
    """Its occupancy, voxel by voxel of another grid."""
    result = np.zeros(grid.shape, dtype=np.uint8)
    if structure.occupancy is not None:
        index = grid.indices(structure.voxel_centres_mm())
        assert np.abs(index - np.rint(index)).max() < 1e-3
        result[tuple(np.rint(index).astype(int).T)] = structure.occupancy[structure.occupancy > 0]
    return result


def rtstruct_file(path: Path, volume: Volume, regions: list[dict], frame: str = FRAME, series: bool = True) -> Path:
    """regions: {name, contours: [(N, 3) LPS mm], kind: geometric type or one a contour, type, code, frame, number}."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Modality, file.Manufacturer, file.StructureSetDate = "RTSTRUCT", "Acme", "20240102"
    file.OperatorsName, file.SoftwareVersions = "ROE^RICHARD", "5"
    if series:
        named, study, frames = Dataset(), Dataset(), Dataset()
        named.SeriesInstanceUID = volume.acquisition.series_uid
        image = Dataset()
        image.ReferencedSOPInstanceUID = generate_uid()
        named.ContourImageSequence = [image]
        study.RTReferencedSeriesSequence = [named]
        frames.FrameOfReferenceUID, frames.RTReferencedStudySequence = frame, [study]
        file.ReferencedFrameOfReferenceSequence = [frames]
    rois, drawn, said = [], [], []
    for index, region in enumerate(regions, start=1):
        roi, contours, observed = Dataset(), Dataset(), Dataset()
        roi.ROINumber = contours.ReferencedROINumber = observed.ReferencedROINumber = index
        roi.ROIName, roi.ROIGenerationAlgorithm = region["name"], "MANUAL"
        roi.ReferencedFrameOfReferenceUID = region.get("frame", frame)
        observed.ObservationNumber, observed.RTROIInterpretedType = index, region.get("type", "ORGAN")
        kinds = region.get("kind", "CLOSED_PLANAR")
        items = []
        for n, points in enumerate(region.get("contours", [])):
            one = Dataset()
            one.ContourGeometricType = kinds if isinstance(kinds, str) else kinds[n]
            one.NumberOfContourPoints = len(points)
            one.ContourData = [f"{value:.6f}"[:16] for value in np.ravel(points)]
            items.append(one)
        if "contours" in region:
            contours.ContourSequence = items
        rois.append(roi), drawn.append(contours), said.append(observed)
    file.StructureSetROISequence, file.ROIContourSequence, file.RTROIObservationsSequence = rois, drawn, said
    file.save_as(path)
    return path
