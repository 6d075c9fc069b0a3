"""DICOM RTSTRUCT to structures: each region's closed planar contours on the slices of the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from navplan.errors import FileFormatError, MismatchError
from navplan.files.coded_names import CodedName, coded_name, codes, items, names_for
from navplan.files.dicom_facts import numbers, text
from navplan.files.dicom_origin import (
    MADE_BY,
    check_frame,
    check_patient,
    day_of,
    images_named,
    maker,
    read_object,
)
from navplan.files.durable import file_sha256
from navplan.files.structures_in import StructuresRead, Wanted
from navplan.geometry.grid import Grid
from navplan.imaging.contours import fill_contours, plane_axis, usual_distance_mm
from navplan.imaging.label_map import structure_from_mask
from navplan.model.structure import WORST_PLAUSIBLE_RESOLUTION_MM, Presence, Structure

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_TYPES = {"EXTERNAL": CodedName("body", "", "EXTERNAL"), "SUPPORT": CodedName("couch", "", "SUPPORT")}


@dataclass(frozen=True, eq=False)
class _Region:
    """One ROI: contours (N, 3) LPS mm; left_out: other geometric types, with their number."""

    number: int
    label: str
    name: str
    kind: str
    frame: str
    algorithm: str
    contours: tuple[NDArray[np.float64], ...]
    left_out: tuple[str, ...]


def read_rtstruct(path: Path, wanted: Wanted) -> StructuresRead:
    """All regions, hard, on the image's grid. A region without closed contours, of another frame of reference than the
    image's, askew to its slices or wholly beside it is unknown, never absent, and the notes say why.

    Region that was looked at: the image where the file names its series, else the slices that the file has contours on.
    Resolution, where nobody states it: the worst plausible, and across the slices at least the contours' distance.

    Raises FileFormatError: damaged contours, no region; MismatchError: another patient, no region in the image's frame
    of reference, none that meets the image; InputError: a name for one structure, and several regions.
    """
    header = read_object(path)
    what = f"the RTSTRUCT {path.name}"
    check_patient(header, wanted, what)
    notes: list[str] = []
    regions = _regions(header, wanted, notes, path.name)
    references = [
        series
        for frame in items(header, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]
    named = images_named(references, wanted.volume.acquisition.series_uid, "ContourImageSequence")
    notes = [*check_frame([one.frame for one in regions], wanted, what, named), *notes]
    digest = file_sha256(path)
    region = wanted.grid if named else _slices_with_contours(regions, wanted.grid)
    if not named:
        notes.append("it names no image of this series: the region is the slices that have contours")
    usual = _usual_distance_mm(regions, wanted.grid)
    made_with, made_on = maker(header), day_of(header, "StructureSetDate", "SeriesDate", "InstanceCreationDate")
    structures = []
    for one in regions:
        structure, told = _structure(one, wanted, region, f"RTSTRUCT {digest[:16]}", usual)
        notes += [f"{one.name}: {words}" for words in told]
        made_by = MADE_BY.get(one.algorithm.upper(), "")
        structures.append(replace(structure, made_by=made_by, made_with=made_with, made_on=made_on))
    drawn = [one for one in regions if one.contours]
    if drawn and all(one.presence is Presence.UNKNOWN for one in structures):
        raise MismatchError(
            f"{what}: none of {len(drawn)} regions with contours meets the image ({'; '.join(notes)})",
            "contours on the image's slices", "Choose the image that it was drawn on",
        )  # fmt: skip
    return StructuresRead(tuple(structures), tuple(notes), (digest,))


def _regions(header: Dataset, wanted: Wanted, notes: list[str], name: str) -> list[_Region]:
    rois = {_integer(one, "ROINumber", name): one for one in items(header, "StructureSetROISequence")}
    if not rois:
        raise FileFormatError(f"{name}: no region of interest in it", "at least one")
    drawn: dict[int, list[Dataset]] = {}
    for one in items(header, "ROIContourSequence"):
        drawn.setdefault(_integer(one, "ReferencedROINumber", name), []).extend(items(one, "ContourSequence"))
    orphans = sorted(set(drawn) - set(rois))
    if orphans:
        raise FileFormatError(f"{name}: contours of regions {orphans}, which it does not list", "regions that it lists")
    said = {_integer(one, "ReferencedROINumber", name): one for one in items(header, "RTROIObservationsSequence")}
    names = _names(rois, said, wanted, notes)
    result = []
    for number, roi in sorted(rois.items()):
        contours, left_out = [], Counter[str]()
        for one in drawn.get(number, []):
            kind = text(one, "ContourGeometricType").upper()
            points = _points(one, f"{name}: region {number}")
            if kind not in _CLOSED:
                left_out[f"{kind or 'untyped'} contours"] += 1
            elif len(points) < 3:
                left_out["contours of fewer than three points"] += 1
            else:
                contours.append(points)
        result.append(
            _Region(
                number, text(roi, "ROIName"), names[number],
                text(said.get(number, Dataset()), "RTROIInterpretedType").upper(),
                text(roi, "ReferencedFrameOfReferenceUID"), text(roi, "ROIGenerationAlgorithm"),
                tuple(contours), tuple(f"{count} {words}" for words, count in left_out.items()),
            )
        )  # fmt: skip
    return result


def _names(
    rois: dict[int, Dataset], said: dict[int, Dataset], wanted: Wanted, notes: list[str]
) -> dict[int, str]:
    kind = "RTROIIdentificationCodeSequence"

    def coded(number: int) -> CodedName:
        observed = said.get(number, Dataset())
        marks = codes(observed, kind, "SegmentedPropertyTypeModifierCodeSequence")
        found = coded_name(codes(observed, kind), marks)
        if found.name or found.side or found.doubt:
            return found
        return _TYPES.get(text(observed, "RTROIInterpretedType").upper(), found)

    labels = {number: text(roi, "ROIName") for number, roi in rois.items()}
    return names_for("region", labels, coded, wanted.structure, wanted.names, notes)


def _structure(
    one: _Region, wanted: Wanted, region: Grid, origin: str, usual_mm: float | None
) -> tuple[Structure, list[str]]:
    """The structure of a region, and what is to be said of it."""
    told = [f"left out: {words}" for words in one.left_out]
    unknown = Structure(one.name, Presence.UNKNOWN, evaluated_in=region, image_id=wanted.image_id, origin=origin)
    if one.frame and wanted.grid.frame_uid and one.frame != wanted.grid.frame_uid:
        return unknown, [*told, "drawn in another frame of reference, so it is unknown here"]
    if not one.contours:
        return unknown, [*told, "listed without a closed contour, so it is unknown"]
    axis = plane_axis(one.contours, wanted.grid)
    if axis is None:
        return unknown, [*told, "drawn on planes askew to the image's slices, so it is unknown here"]
    filled = fill_contours(one.contours, wanted.grid, axis, usual_mm)
    told += filled.notes
    if not filled.mask.any():
        return unknown, [*told, "no voxel of the image lies inside its contours, so it is unknown here"]
    stated = wanted.working_resolution_mm
    resolution = np.array(np.broadcast_to(WORST_PLAUSIBLE_RESOLUTION_MM if stated is None else stated, 3), dtype=float)
    resolution[axis] = max(float(resolution[axis]), filled.spacing_mm)
    return structure_from_mask(
        filled.mask, wanted.grid, one.name, wanted.image_id, origin, region, [float(mm) for mm in resolution]
    ), told


def _usual_distance_mm(regions: Sequence[_Region], grid: Grid) -> float | None:
    """The usual distance of planes in the whole file: what a region of one plane is taken to be thick."""
    distances = []
    for one in regions:
        axis = plane_axis(one.contours, grid) if one.contours else None
        if axis is not None:
            places = {round(float(grid.indices(points)[:, axis].mean()), 2) for points in one.contours}
            step = float(grid.spacing_mm[axis])
            distance = usual_distance_mm([at * step for at in places], 0.02 * step)
            distances += [distance] if distance is not None else []
    return float(np.median(distances)) if distances else None


def _slices_with_contours(regions: Sequence[_Region], grid: Grid) -> Grid:
    """The image's slices from the first to the last plane of any region; the image where there are none in it."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for one in regions:
        axis = plane_axis(one.contours, grid) if one.contours else None
        if axis is not None:
            places = [float(grid.indices(points)[:, axis].mean()) for points in one.contours]
            low[axis], high[axis] = min(low[axis], *places), max(high[axis], *places)
    upper = np.asarray(grid.shape) - 1
    first = np.where(np.isfinite(low), np.clip(np.rint(low), 0, upper), 0).astype(int)
    last = np.where(np.isfinite(high), np.clip(np.rint(high), 0, upper), upper).astype(int)
    return grid.crop(first, np.maximum(last - first + 1, 1))


def _points(contour: Dataset, where: str) -> NDArray[np.float64]:
    words = text(contour, "ContourData")
    try:
        values = np.array([float(word) for word in words.split("\\") if word.strip()])
    except ValueError as error:
        raise FileFormatError(f"{where}: contour data {words[:40]!r}", "numbers") from error
    if values.size % 3 or not np.isfinite(values).all():
        raise FileFormatError(f"{where}: {values.size} coordinates in a contour", "finite triples x, y, z in mm")
    stated = numbers(contour, "NumberOfContourPoints", 1)
    if stated is not None and int(stated[0]) != values.size // 3:
        raise FileFormatError(f"{where}: a contour of {values.size // 3} points", f"{int(stated[0])}, as it states")
    return values.reshape(-1, 3)


def _integer(item: Dataset, keyword: str, name: str) -> int:
    found = numbers(item, keyword, 1)
    if found is None or found[0] != int(found[0]):
        raise FileFormatError(f"{name}: {keyword} {text(item, keyword)!r}", "a whole number")
    return int(found[0])
