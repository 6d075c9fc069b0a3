"""Single pictures of DICOM objects, classic or multi-frame, each with a header of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from navplan.errors import FileFormatError
from navplan.files.dicom_facts import numbers, text

MULTI_FRAME = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130", "6.2")
)  # enhanced and legacy-converted CT, MR and PET, 3-D ultrasound
ULTRASOUND_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
MOST_FRAMES = 20_000
SHARED, EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_AS_CLASSIC = {  # attributes of functional groups, and where a classic header has the same
    "EffectiveEchoTime": "EchoTime",
    "FrameType": "ImageType",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "ImagePositionVolume": "ImagePositionPatient",
    "ImageOrientationVolume": "ImageOrientationPatient",
}
_COPIED = frozenset((
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleIntercept",
    "RescaleSlope", "RescaleType", "DiffusionBValue", "NominalPercentageOfCardiacPhase", "StackID",
    "ConvolutionKernel", *_AS_CLASSIC,
))  # fmt: skip
_ONLY_IN = {  # what decides where a frame lies, and its values, counts nowhere else
    "ImagePositionPatient": "PlanePositionSequence", "ImageOrientationPatient": "PlaneOrientationSequence",
    "ImagePositionVolume": "PlanePositionVolumeSequence", "ImageOrientationVolume": "PlaneOrientationVolumeSequence",
    "PixelSpacing": "PixelMeasuresSequence", "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}  # fmt: skip
_FIRST_OF = frozenset(("DiffusionGradientOrientation",))


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: its file, its number in it (None where the file holds just one), and what is said of it.

    pixels_at: where in the file its 16-bit pixels begin, little-endian and plain; None where a decoder is needed.
    """

    path: Path
    header: Dataset
    number: int | None = None
    pixels_at: int | None = None

    @property
    def instance(self) -> tuple[str, int | None]:
        """What no two pictures share: SOP Instance UID and number."""
        return text(self.header, "SOPInstanceUID") or str(self.path), self.number


def frames_of(path: Path, header: Dataset, pixels_at: int | None = None) -> tuple[Frame, ...]:
    """The pictures of a file; pixels_at counts for a file of one.

    Raises FileFormatError for a multi-frame object that does not tell of each frame.
    """
    if text(header, "SOPClassUID") not in MULTI_FRAME:
        return (Frame(path, header, None, pixels_at),)
    count = int((numbers(header, "NumberOfFrames", 1) or (0,))[0])
    groups = _items(path, header, EACH)
    if not 1 <= count <= MOST_FRAMES or len(groups) != count:
        raise FileFormatError(
            f"{path.name}: {count} frames, and functional groups of {len(groups)}",
            f"one for each frame, at most {MOST_FRAMES} frames",
        )
    shared = next(iter(_items(path, header, SHARED)), Dataset())
    try:
        return tuple(Frame(path, _flat(header, shared, group), number) for number, group in enumerate(groups))
    except Exception as error:  # pydicom raises many kinds for a damaged value
        words = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path.name}: broken functional groups ({words})", "a whole file") from error


def _items(path: Path, header: Dataset, keyword: str) -> list[Dataset]:
    try:
        return [item for item in header.get(keyword) or () if isinstance(item, Dataset)]
    except Exception as error:  # as above
        raise FileFormatError(f"{path.name}: {keyword} that cannot be read", "a sequence") from error


def _flat(header: Dataset, shared: Dataset, group: Dataset) -> Dataset:
    """A header as a classic file of this one frame would have it."""
    own = {_AS_CLASSIC.get(key, key): value for part in (shared, group) for key, value in _values(part)}
    flat = Dataset()
    for element in header:
        if element.keyword not in (SHARED, EACH, "NumberOfFrames", *own):
            flat.add(element)
    flat.file_meta = header.file_meta
    for keyword, value in own.items():
        setattr(flat, keyword, value)
    return flat


def _values(group: Dataset) -> Iterator[tuple[str, Any]]:
    """Of a functional group: what a classic header has, too. A maker's own copies of it (Philips keeps some, half a
    pixel off) do not count."""
    for macro in group:
        if macro.VR != "SQ" or macro.tag.is_private or not macro.value:
            continue
        for element in macro.value[0]:
            if element.keyword in _COPIED and _ONLY_IN.get(element.keyword, macro.keyword) == macro.keyword:
                yield element.keyword, element.value
            elif element.VR == "SQ" and element.value:
                for inner in element.value[0]:
                    if (inner.keyword in _COPIED and inner.keyword not in _ONLY_IN) or inner.keyword in _FIRST_OF:
                        yield inner.keyword, inner.value
