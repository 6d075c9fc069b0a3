"""What a DICOM header says about the worth of an image: kernel, contrast medium, side, part, how the patient lay.

Headers are typed by people and changed by tools: what they say is told, and set against itself; what an image shows
counts more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from pydicom import Dataset

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.imaging.quality_codes import ARTERIAL_S, VENOUS_S, told
from navplan.model.acquisition import CONTRAST_GIVEN, QualityFinding, Severity

Text = Callable[[Dataset, str], str]

HEADER_QUALITY_TAGS = [
    "ContrastBolusRoute", "ContrastBolusStartTime", "Laterality", "ImageLaterality", "BodyPartExamined",
]  # fmt: skip
SIDES = {"L": "left", "R": "right"}
NO_AGENT = ("", "NO", "NONE", "N", "0", "NATIVE", "WITHOUT", "NON CONTRAST", "NO CONTRAST", "NONCONTRAST")
BY_MOUTH = ("ORAL", "RECTAL", "PO")
PARTS = {
    "ABDOMEN", "ABDOMENPELVIS", "ARM", "BREAST", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CSPINE", "CTSPINE",
    "EXTREMITY", "FEMUR", "HEAD", "HEADNECK", "HEART", "HIP", "KIDNEY", "KNEE", "LEG", "LIVER", "LSPINE", "LSSPINE",
    "LUNG", "NECK", "NECKCHEST", "PANCREAS", "PELVIS", "SHOULDER", "SPINE", "SSPINE", "THIGH", "THORAX", "TLSPINE",
    "TSPINE", "WHOLEBODY",
}  # PS3.16 annex L, and what scanners write; other words are not repeated: a name may stand there
LONGEST_DELAY_S = 1800.0  # beyond it one of the two times is of something else
AXIAL = 0.8  # cosine of the slices' normal and the body's axis: tilted slices are axial too
DOWNWARDS = 0.5  # cosine: a picture that is turned by a quarter does not run down
SIEMENS = re.compile(r"[A-Z][a-z]?(\d\d)[a-z]{0,2}$")  # B30f, Br40d, I70f, Hr68
SIEMENS_SHARP = 50
CANON = re.compile(r"FC(\d\d)$")
CANON_SHARP, CANON_SOFT = ((30, 39), (50, 59), (80, 89)), ((1, 29), (40, 49))
SHARP_NAMES = {
    "LUNG", "BONE", "BONE+", "BONEPLUS", "EDGE", "EDGE+", "ULTRA", "HD LUNG", "HD BONE",  # GE
    "C", "D", "E", "L", "YC", "YD", "YE",  # Philips
}  # fmt: skip
SOFT_NAMES = {"STANDARD", "STND", "SOFT", "DETAIL", "A", "B", "UA", "UB", "YA", "YB"}


def header_quality(headers: Sequence[Dataset], text: Text) -> tuple[QualityFinding, ...]:
    """Findings on the headers of one series, in the order of its slices. text: a value as plain words, "" for none."""
    return (
        *_kernel(headers[0], text), *_contrast(headers[0], text), *_position(headers, text),
        *_laterality(headers, text), *_body_part(headers[0], text),
    )  # fmt: skip


def contrast_words(header: Dataset, text: Text) -> str:
    """What the header says of contrast medium in the blood, "" for nothing."""
    agent = text(header, "ContrastBolusAgent").upper()
    if agent in NO_AGENT:
        return ""
    routes = [word for word in re.split(r"[^A-Z]+", text(header, "ContrastBolusRoute").upper()) if word]
    by_mouth = bool(routes) and all(word in BY_MOUTH for word in routes)
    return "contrast medium by mouth alone" if by_mouth else CONTRAST_GIVEN


def laterality(headers: Sequence[Dataset], text: Text) -> str:
    """The one side that the headers name: "left", "right", or "" for none, both, or different ones."""
    named = _sides(headers, text)
    return named.pop() if len(named) == 1 else ""


def kernel_kind(name: str) -> str:
    """ "sharp" (for lung or bone), "soft", or "" where the name is not known."""
    name = name.split("\\")[0].strip()
    upper = name.upper()
    if upper in SHARP_NAMES or upper in SOFT_NAMES:
        return "sharp" if upper in SHARP_NAMES else "soft"
    canon, siemens = CANON.match(upper), SIEMENS.match(name)
    if canon:
        number = int(canon[1])
        kinds = [("sharp", ranges) for ranges in CANON_SHARP] + [("soft", ranges) for ranges in CANON_SOFT]
        return next((kind for kind, (first, last) in kinds if first <= number <= last), "")
    if siemens:
        return "sharp" if int(siemens[1]) >= SIEMENS_SHARP else "soft"
    return ""


def _kernel(header: Dataset, text: Text) -> tuple[QualityFinding, ...]:
    if text(header, "Modality") != "CT":
        return ()
    name = text(header, "ConvolutionKernel").replace("\\", " ")[:24]
    kind = kernel_kind(text(header, "ConvolutionKernel"))
    if kind == "sharp":
        return (told("kernel_sharp", Severity.WARN, f"Kernel {name}: sharp, for lung or bone."),)
    words = f"Kernel {name}: its name is not known here." if name else "The header states no kernel."
    return () if kind else (told("kernel_unknown", Severity.INFO, words),)


def _contrast(header: Dataset, text: Text) -> tuple[QualityFinding, ...]:
    started, taken = (_seconds(text(header, tag)) for tag in ("ContrastBolusStartTime", "AcquisitionTime"))
    if contrast_words(header, text) != CONTRAST_GIVEN or started is None or taken is None:
        return ()
    delay = taken - started
    if not 0 < delay < LONGEST_DELAY_S:
        return ()
    phase = "arterial" if delay <= ARTERIAL_S else "portal-venous" if delay <= VENOUS_S else "delayed"
    words = f"Taken {delay:.0f} s after the injection began, by the header: {phase}."
    return (told("contrast_delay", Severity.INFO, words),)


def _seconds(time: str) -> float | None:
    """Of a DICOM time (PS3.5 TM: HHMMSS.FFFFFF), after midnight."""
    found = re.match(r"(\d\d)(\d\d)(\d\d(?:\.\d+)?)$", time)
    return None if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def _position(headers: Sequence[Dataset], text: Text) -> tuple[QualityFinding, ...]:
    positions = sorted({text(header, "PatientPosition").upper() for header in headers} - {""})
    if len(positions) > 1:
        words = f"Slices state different patient positions: {', '.join(one[:8] for one in positions[:4])}."
        return (told("positions_differ", Severity.WARN, words),)
    down = DOWN_BY_PATIENT_POSITION.get(positions[0]) if positions else None
    try:
        directions = [float(word) for word in text(headers[0], "ImageOrientationPatient").split("\\")]
    except ValueError:
        return ()
    if down is None or len(directions) != 6 or text(headers[0], "Modality") != "CT":
        return ()
    row, column = np.asarray(directions[:3]), np.asarray(directions[3:])
    if abs(float(np.cross(row, column)[2])) < AXIAL or float(column @ np.asarray(down)) > DOWNWARDS:
        return ()
    derived = "DERIVED" in text(headers[0], "ImageType").upper()
    words = f"The header says {positions[0]}, but down in the picture is not down for a patient who lies so."
    return (told("position_contradicts_orientation", Severity.INFO if derived else Severity.WARN, words),)


def _sides(headers: Sequence[Dataset], text: Text) -> set[str]:
    values = {text(header, tag).upper() for header in headers for tag in ("Laterality", "ImageLaterality")}
    return {SIDES[value] for value in values if value in SIDES}


def _laterality(headers: Sequence[Dataset], text: Text) -> tuple[QualityFinding, ...]:
    named = sorted(_sides(headers, text))
    if len(named) > 1:
        return (told("laterality_contradicts", Severity.WARN, "The header calls the image left, and right."),)
    return tuple(told("laterality", Severity.INFO, f"The header calls the image one of the {side} side.")
                 for side in named)  # fmt: skip


def _body_part(header: Dataset, text: Text) -> tuple[QualityFinding, ...]:
    part = re.sub(r"[^A-Z]", "", text(header, "BodyPartExamined").upper())
    return (told("body_part", Severity.INFO, f"The header names the part: {part}."),) if part in PARTS else ()
