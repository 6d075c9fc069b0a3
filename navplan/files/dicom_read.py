"""DICOM series to volumes: right, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.uid import UID

from navplan.errors import FileFormatError, GeometryError, MismatchError
from navplan.files.dicom_facts import acquisition_of, identity_digest, numbers, placement, text
from navplan.files.dicom_frames import MULTI_FRAME, ULTRASOUND_VOLUME
from navplan.files.dicom_pictures import PICTURES, pictures_of
from navplan.files.dicom_pixels import check_pixels, is_colour, read_voxels, same_picture
from navplan.files.dicom_scan import DicomSeries
from navplan.files.dicom_stack import SliceStack, stack_slices
from navplan.files.dicom_suv import suv_factor
from navplan.files.image_files import detected_padding_hu
from navplan.geometry.grid import Grid
from navplan.imaging.resample import evenly_spaced, straighten_stack
from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.volume import Volume

_STORAGE = "1.2.840.10008.5.1.4.1.1."
READABLE = {
    **{f"{_STORAGE}{tail}": "CT" for tail in ("2", "2.1", "2.2")},
    **{f"{_STORAGE}{tail}": "MR" for tail in ("4", "4.1", "4.3", "4.4")},
    **{f"{_STORAGE}{tail}": "PT" for tail in ("128", "128.1", "130")},
    ULTRASOUND_VOLUME: "US",
    f"{_STORAGE}7": "SC",  # secondary capture, where it says where its slices lie
}
FILL_HU = -2048


def series_stack(series: DicomSeries) -> SliceStack:
    """Check everything that the headers say, and give the geometry, without reading a voxel.

    Raises an InputError with the reason where the series is not one volume that can be read here.
    """
    _check_kind(series)
    _check_belonging(series)
    return stack_slices([placement(frame.header, frame.path.name) for frame in series.frames])


def read_series(
    series: DicomSeries, salt: str = "", bridge_mm: float = 0.0,
    progress: Callable[[str, float], None] = lambda words, share: None,
) -> Volume:  # fmt: skip
    """The volume of a series.

    HU are RescaleSlope x stored + RescaleIntercept, slice by slice; of PET SUV by body weight where the headers allow.
    A tilted stack is made orthogonal and an uneven one even, by the slices' positions (imaging.resample), each with a
    finding that says so. bridge_mm: interpolate across wide gaps up to so many mm; in wider ones a CT holds padding,
    another image is refused. progress: may raise to stop.

    Raises an InputError with the reason for a series that is refused.
    """
    stack = series_stack(series)
    _check_copies(series, (stack.shape[1], stack.shape[0]))
    frames = [series.frames[index] for index in stack.order]
    headers = [frame.header for frame in frames]
    modality = READABLE[text(headers[0], "SOPClassUID")]
    is_ct = modality == "CT"
    factor, why_not = suv_factor(headers) if modality == "PT" else (None, "")
    findings: list[QualityFinding] = [*_copied(series), *_kind(headers[0], modality, why_not)]
    left_open = tuple(number for number in stack.wide if stack.gap_mm(number) > bridge_mm)
    if left_open and not is_ct:
        raise GeometryError(
            f"{_gap_words(stack, left_open)}: slices are missing", "every slice of the series",
            "Export the series again, complete, or accept that it is interpolated: --bridge-gaps MM",
        )  # fmt: skip
    voxels, padding = read_voxels(
        frames, (stack.shape[1], stack.shape[0]), factor or 1.0, lambda share: progress("slices", share)
    )
    if padding is None and is_ct:
        padding = detected_padding_hu(voxels)
    affine = stack.affine
    if stack.places is not None or stack.tilt_deg > 0:
        padding = FILL_HU if padding is None else padding
    fill, hole = (padding, padding) if is_ct else (0.0, None)
    if stack.places is not None:
        voxels = evenly_spaced(voxels, stack.places, stack.shape[2], left_open, fill or 0.0, hole)
        findings += _uneven(stack, left_open)
    if stack.tilt_deg > 0:
        voxels, affine = straighten_stack(voxels, affine, fill or 0.0, hole)
        words = f"Stack tilted by {stack.tilt_deg:.1f} degrees (by positions): slices moved within their planes."
        findings.append(QualityFinding("tilted_stack", Severity.INFO, words))
    acquisition = acquisition_of(headers, salt, padding if is_ct else None)
    described = f"{acquisition.description} ({series.part})".strip() if series.part else acquisition.description
    acquisition = replace(
        acquisition, modality=modality, description=described, quality=(*acquisition.quality, *findings)
    )
    grid = Grid(affine, (voxels.shape[0], voxels.shape[1], voxels.shape[2]), text(headers[0], "FrameOfReferenceUID"))
    quantity = "HU" if is_ct else "SUV" if factor is not None else "signal"
    return Volume(voxels, grid, modality, quantity, acquisition)


def _check_kind(series: DicomSeries) -> None:
    kinds = {text(header, "SOPClassUID") for header in series.headers}
    if len(kinds) > 1:
        raise FileFormatError("several kinds of object in one series", "one kind")
    kind = kinds.pop()
    what = f"{UID(kind).name or 'an object without a class'} ({series.modality or 'no modality'})"
    if kind in PICTURES:
        told = pictures_of(series.frames[0].path, series.frames[0].header).words
        more = f" and {len(series.frames) - 1} more files" if len(series.frames) > 1 else ""
        raise FileFormatError(
            f"{PICTURES[kind]} ({series.modality}), which is no volume ({told}{more})",
            "CT, MR, PET or 3-D ultrasound slices",
            "A run of a C-arm is shown beside a simulated one by: navplan fluoro CASE --like FILE",
        )
    if kind not in READABLE:
        raise FileFormatError(what, "CT, MR, PET or 3-D ultrasound images")
    for frame in series.frames:
        header, name = frame.header, frame.path.name
        if kind not in MULTI_FRAME and (numbers(header, "NumberOfFrames", 1) or (1,))[0] > 1:
            raise FileFormatError(f"{name}: several frames in one file of a single-frame kind", "one slice")
        check_pixels(header, name, READABLE[kind] == "CT")
    if any("MOSAIC" in text(header, "ImageType").upper().split("\\") for header in series.headers):
        raise FileFormatError("mosaics: many slices tiled in one picture", "one slice in each picture")
    if any("LOCALIZER" in text(header, "ImageType").upper().split("\\") for header in series.headers):
        raise FileFormatError("a localizer (scout) image", "a volume of slices")


def _check_belonging(series: DicomSeries) -> None:
    if len({identity_digest(header, "") for header in series.headers}) > 1:
        raise MismatchError("slices of several patients in one series", "one patient")
    for keyword, words in (("FrameOfReferenceUID", "frames of reference"), ("PatientPosition", "patient positions")):
        found = {text(header, keyword) for header in series.headers}
        if len(found) > 1:
            raise MismatchError(f"slices of {len(found)} {words} in one series", "one", "Split the series")


def _check_copies(series: DicomSeries, size: tuple[int, int]) -> None:
    for one, other in series.copies:
        if not same_picture(one, other, size):
            raise FileFormatError(
                f"{one.path.name} and {other.path.name}: one SOP Instance UID, but two pictures", "a UID for each",
                "Leave out the one that is wrong",
            )  # fmt: skip


def _copied(series: DicomSeries) -> list[QualityFinding]:
    if not series.copies:
        return []
    words = f"{len(series.copies)} copies of slices left out: the same values under the same UIDs."
    return [QualityFinding("copies", Severity.INFO, words)]


def _kind(header: Any, modality: str, why_not: str) -> list[QualityFinding]:
    """What the values are not."""
    found = []
    if why_not:
        words = f"No SUV: {why_not}. Values are as stored."
        found.append(QualityFinding("no_suv", Severity.WARN, words))
    if is_colour(header):
        words = "Colours, of which the brightness was kept: a picture of an image, not what was measured."
        found.append(QualityFinding("colours", Severity.WARN, words))
    elif modality == "SC":
        words = "A secondary capture: values may be those of a screen, not what was measured."
        found.append(QualityFinding("secondary_capture", Severity.WARN, words))
    if modality == "US":
        words = "Axes of the ultrasound volume, not of the patient: register it before you rely on a side."
        found.append(QualityFinding("own_axes", Severity.WARN, words))
    return found


def _gap_words(stack: SliceStack, numbered: Sequence[int]) -> str:
    widest = max(numbered, key=stack.gap_mm)
    start, end = stack.heights_mm[widest : widest + 2]
    many = f"{len(numbered)} wide gaps between slices, the widest" if len(numbered) > 1 else "a gap between slices"
    return f"{many} of {stack.gap_mm(widest):.3g} mm (from {start:.2f} to {end:.2f} mm along the normal)"


def _uneven(stack: SliceStack, left_open: Sequence[int]) -> list[QualityFinding]:
    """What was done to an uneven stack."""
    gaps = np.diff(stack.heights_mm)
    words = f"Gaps between slices from {gaps.min():.3g} to {gaps.max():.3g} mm: brought to an even grid by positions."
    found = [QualityFinding("uneven_slices", Severity.INFO, words)]
    bridged = [number for number in stack.wide if number not in left_open]
    if bridged:
        words = f"{_gap_words(stack, bridged).capitalize()}, accepted: what lies there was interpolated."
        found.append(QualityFinding("bridged_gap", Severity.WARN, words))
    if left_open:
        words = f"{_gap_words(stack, left_open).capitalize()}: slices are missing, nothing is known there."
        found.append(QualityFinding("missing_slices", Severity.WARN, words))
    return found
