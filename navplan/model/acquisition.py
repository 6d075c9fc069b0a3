"""What an image is, apart from its voxels."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum

from navplan.errors import InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION

CONTRAST_GIVEN = "contrast given, phase not stated"


class Severity(StrEnum):
    """How much a quality finding matters: INFO is told, WARN limits the verdict, REFUSE stops the import."""

    INFO = "INFO"
    WARN = "WARN"
    REFUSE = "REFUSE"


@dataclass(frozen=True)
class QualityFinding:
    """One thing that was looked at in an image: a code, how much it matters, the words for a person, and what it means
    for planning ("" in files of earlier versions)."""

    code: str
    severity: Severity
    words: str
    means: str = ""

    @property
    def told(self) -> str:
        """Words and meaning in one line."""
        return f"{self.words} Means: {self.means}" if self.means else self.words


@dataclass(frozen=True)
class Acquisition:
    """How an image was made. No name, birth date or identifier; "" and None mean that the source does not say.

    patient_position: DICOM Patient Position ("HFS"); date: ISO 8601 of the acquisition; slice_thickness_mm: of the
    detector's slice, not the distance between slices; padding_hu: value written where nothing was reconstructed.
    patient_digest: salted digest of patient ID, issuer and birth date, "" when the identity is unknown.
    laterality: "left" or "right", where the header says that a paired part of that side was imaged.
    """

    series_uid: str = ""
    study_uid: str = ""
    modality: str = ""
    description: str = ""
    patient_position: str = ""
    date: str = ""
    kernel: str = ""
    slice_thickness_mm: float | None = None
    contrast_phase: str = ""
    breath_state: str = ""
    padding_hu: float | None = None
    source: str = ""
    patient_digest: str = ""
    quality: tuple[QualityFinding, ...] = ()
    laterality: str = ""

    def __post_init__(self) -> None:
        if self.patient_position and self.patient_position not in DOWN_BY_PATIENT_POSITION:
            raise InputError(
                f"patient position {self.patient_position!r}",
                " ".join(DOWN_BY_PATIENT_POSITION),
                "State it with --patient-position",
            )
        try:
            self.day()
        except ValueError as error:
            raise InputError(f"the acquisition date {self.date!r}", "ISO 8601, as in 2026-11-24T10:30:00") from error

    def day(self) -> datetime.date | None:
        """The day of the acquisition, None where the source does not say."""
        return datetime.datetime.fromisoformat(self.date).date() if self.date else None
