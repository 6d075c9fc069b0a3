"""Of a DICOM object with structures: whose it is, where it lies, which images it was drawn on, what made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pydicom import Dataset, dcmread

from navplan.errors import FileFormatError, MismatchError
from navplan.files.coded_names import items
from navplan.files.dicom_facts import identity_digest, text
from navplan.files.structures_in import Wanted

MADE_BY = {"MANUAL": "manual", "SEMIAUTOMATIC": "semiautomatic", "AUTOMATIC": "automatic"}


def read_object(path: Path) -> Dataset:
    """All of a DICOM file. Raises FileFormatError where it cannot be read."""
    try:
        return dcmread(path, force=True)
    except Exception as error:  # pydicom raises many kinds for a damaged file
        raise FileFormatError(f"{path.name}: {error}", "a DICOM file that can be read") from error


def check_patient(header: Dataset, wanted: Wanted, what: str) -> None:
    """Raises MismatchError where the patient is known of both the object and the image, and another.

    Without the case's salt the two cannot be compared."""
    if not wanted.salt:
        return
    own, image = identity_digest(header, wanted.salt), wanted.volume.acquisition.patient_digest
    if own and image and own != image:
        raise MismatchError(f"{what} of another patient than the image's", "the same patient", "Choose the right file")


def check_frame(frames: Iterable[str], wanted: Wanted, what: str, images: int) -> tuple[str, ...]:
    """A note of who says that the object lies in the image's frame of reference, where the files do not prove it.

    They do by the same frame, or where the object names images of this series (`images`: how many).

    Raises MismatchError where frames of reference are named, and none is the image's, and where nothing proves it and
    nobody stands for it.
    """
    own = wanted.grid.frame_uid
    named = sorted({frame for frame in frames if frame})
    if named and own and own not in named:
        raise MismatchError(
            f"{what} in frame of reference {', '.join(named)}",
            f"the image's, {own}",
            "Register its image first, or choose the image that it was made on",
        )
    if (named and own) or images:
        return ()
    silent = "the image names no frame of reference" if not own else "the file names no frame of reference"
    if not wanted.same_frame_by.strip():
        raise MismatchError(
            f"{what} for this image, and {silent}: nothing says that they are of one patient and place",
            "one frame of reference, or images of this series named in the file",
            "Import the image from its DICOM files; or look at the outlines and say who stands for it:"
            " --same-frame --by WHO (same_frame_by)",
        )
    return (f"{silent}: that the two lie in one is the word of {wanted.same_frame_by.strip()}",)


def images_named(references: Iterable[Dataset], series_uid: str, instances: str) -> int:
    """How many images of a series a list of references names, by the sequence that holds them."""
    named: set[str] = set()
    for one in references:
        if series_uid and text(one, "SeriesInstanceUID") == series_uid:
            named |= {text(image, "ReferencedSOPInstanceUID") for image in items(one, instances)}
    return len(named - {""})


def maker(header: Dataset, *first: str) -> str:
    """What made it: the words given, then manufacturer, model and software of the object. Never a person's name."""
    words = [*first, *(text(header, key) for key in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"))]
    told = list(dict.fromkeys(re.sub(r"\s+", " ", word.replace("\\", " ")).strip() for word in words))
    return ", ".join(word[:64] for word in told if word and word.lower() not in ("manufacturer", "unknown"))


def day_of(header: Dataset, *keywords: str) -> str:
    """The first of some dates as ISO 8601, "" where none can be read."""
    for keyword in keywords:
        try:
            return datetime.strptime(text(header, keyword)[:8], "%Y%m%d").date().isoformat()
        except ValueError:
            continue
    return ""
