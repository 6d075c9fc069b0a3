"""What a DICOM header says about an image: geometry of a slice and facts of the acquisition, without a name in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from navplan.errors import FileFormatError
from navplan.files.dicom_header_quality import HEADER_QUALITY_TAGS, contrast_words, header_quality, laterality
from navplan.files.dicom_stack import SlicePlacement
from navplan.files.image_files import patient_digest
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.acquisition import Acquisition, QualityFinding, Severity

HEADER_TAGS = [Tag(keyword) for keyword in (
    "SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "StudyDate", "SeriesDate", "AcquisitionDate",
    "ContentDate", "AcquisitionDateTime", "AcquisitionTime", "SeriesTime", "StudyTime", "ContentTime",
    "SeriesDescription", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "ContrastBolusAgent",
    "SliceThickness",
    "ConvolutionKernel", "PatientPosition", "StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames",
    "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "RescaleType",
    "LossyImageCompression", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "EchoNumbers",
    "DiffusionBValue", "DiffusionGradientOrientation", "NominalPercentageOfCardiacPhase", "TriggerTime",
    "InversionTime", "StackID", "SequenceName", "KVP", "FrameReferenceTime", "Units", "SUVType", "DecayCorrection",
    "PatientWeight", "RadiopharmaceuticalInformationSequence", "ImagerPixelSpacing", "SequenceOfUltrasoundRegions",
    "ViewPosition", *HEADER_QUALITY_TAGS,
)]  # fmt: skip
_DATES = (
    ("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"),
)  # fmt: skip


PLAIN = frozenset(("AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))  # written as letters in a file


@cache
def _tag_of(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag)


def text(header: Dataset, keyword: str) -> str:
    """A value as plain words, several joined by a backslash; "" where it is missing or cannot be read."""
    tag, usual = _tag_of(keyword)
    try:
        raw = header.get_item(tag) if tag in header else None
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):  # as in the file: quick, for many of them
            kind = raw.VR or usual
            if kind in PLAIN and raw.value.isascii():
                return "\\".join(part.strip(" \0") for part in raw.value.decode("ascii").split("\\"))
            if kind == "US" and len(raw.value) == 2:
                return str(int.from_bytes(raw.value, "little" if raw.is_little_endian else "big"))
        with disable_value_validation():  # what matters is checked here, value by value
            value: Any = header.get(keyword)
        if value is None:
            return ""
        if isinstance(value, MultiValue | list | tuple):
            return "\\".join(str(one) for one in value)
        return str(value).strip()
    except Exception:  # pydicom raises many kinds for a damaged value
        return ""


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Finite numbers of a value, None where there are not `count` of them."""
    words = text(header, keyword).split("\\")
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        return None
    return found if len(found) == count and bool(np.isfinite(found).all()) else None


def placement(header: Dataset, name: str) -> SlicePlacement:
    """Where a slice lies. Raises FileFormatError, naming the file, where the header does not say."""
    found: dict[str, tuple[float, ...]] = {}
    for keyword, count in (
        ("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2), ("Rows", 1), ("Columns", 1),
    ):  # fmt: skip
        values = numbers(header, keyword, count)
        if values is None:
            raise FileFormatError(
                f"{name}: {keyword} {text(header, keyword) or 'missing'!r}",
                f"{count} finite number{'s' if count > 1 else ''}",
                "Without it the slice has no place",
            )
        found[keyword] = values
    directions = found["ImageOrientationPatient"]
    return SlicePlacement(
        cast("tuple[float, float, float]", found["ImagePositionPatient"]),
        cast("tuple[float, float, float]", directions[:3]),
        cast("tuple[float, float, float]", directions[3:]),
        cast("tuple[float, float]", found["PixelSpacing"]),
        (int(found["Rows"][0]), int(found["Columns"][0])),
    )


def identity_digest(header: Dataset, salt: str) -> str:
    """Salted digest of patient ID, issuer and birth date, "" where there is no patient ID."""
    return patient_digest(
        salt, text(header, "PatientID"), text(header, "IssuerOfPatientID"), text(header, "PatientBirthDate")
    )


def acquisition_of(headers: Sequence[Dataset], salt: str, padding_hu: float | None) -> Acquisition:
    """The facts of one series. What slices disagree on is left unsaid."""
    first = headers[0]
    thicknesses = [
        values[0] for header in headers if (values := numbers(header, "SliceThickness", 1)) and values[0] > 0
    ]
    positions = {text(header, "PatientPosition").upper() for header in headers}
    position = positions.pop() if len(positions) == 1 else ""
    dates = sorted(date for header in headers if (date := acquisition_date(header)))
    findings: tuple[QualityFinding, ...] = ()
    if any(text(header, "LossyImageCompression") == "01" for header in headers):
        findings = (QualityFinding("lossy", Severity.WARN, "Lossy compression: values are not those measured."),)
    if text(first, "Modality") == "CT" and text(first, "RescaleType").upper() not in ("", "HU"):
        words = f"The header calls the values {text(first, 'RescaleType')[:16]}, not HU."
        findings += (QualityFinding("not_said_to_be_hu", Severity.WARN, words),)
    findings += header_quality(headers, text)
    return Acquisition(
        series_uid=text(first, "SeriesInstanceUID"),
        study_uid=text(first, "StudyInstanceUID"),
        modality=text(first, "Modality"),
        description=_description(first),
        patient_position=position if position in DOWN_BY_PATIENT_POSITION else "",
        date=dates[0] if dates else "",
        kernel=text(first, "ConvolutionKernel"),
        slice_thickness_mm=max(thicknesses) if len(thicknesses) == len(headers) else None,
        contrast_phase=contrast_words(first, text),
        padding_hu=padding_hu,
        source="DICOM",
        patient_digest=identity_digest(first, salt),
        quality=findings,
        laterality=laterality(headers, text),
    )


def acquisition_date(header: Dataset) -> str:
    """ISO 8601 date, with the time where it is known, of the acquisition, else of what comes nearest to it; else ""."""
    stamps = [text(header, "AcquisitionDateTime")]
    stamps += [text(header, day) + text(header, time) for day, time in _DATES if text(header, day)]
    for stamp in stamps:
        digits = re.match(r"\d*", stamp.replace(".", "", 2) if stamp[4:5] == "." else stamp)
        plain = digits.group() if digits else ""
        for length, pattern, written in ((14, "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S"), (8, "%Y%m%d", "%Y-%m-%d")):
            try:
                return datetime.strptime(plain[:length], pattern).strftime(written)
            except ValueError:
                continue
    return ""


def _description(header: Dataset) -> str:
    """The series description, unless it repeats a part of the patient's name or identifiers."""
    words = text(header, "SeriesDescription")
    private = re.split(
        r"[\^=\s]+", " ".join(text(header, tag) for tag in ("PatientName", "PatientID", "PatientBirthDate"))
    )
    return "" if any(len(one) > 2 and one.lower() in words.lower() for one in private) else words
