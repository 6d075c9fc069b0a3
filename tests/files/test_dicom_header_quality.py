"""What headers say of an image's worth: each fault is told, a good header tells none."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from navplan.files.dicom_facts import acquisition_of
from navplan.files.dicom_header_quality import kernel_kind
from navplan.model.acquisition import CONTRAST_GIVEN, Acquisition, Severity

SUPINE, PRONE = [1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]


def header(**values: object) -> Dataset:
    made = Dataset()
    good = {
        "Modality": "CT", "ConvolutionKernel": "B30f", "PatientPosition": "HFS", "SliceThickness": 2.0,
        "ImageOrientationPatient": SUPINE, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    }  # fmt: skip
    for name, value in {**good, **values}.items():
        setattr(made, name, value)
    return made


def facts(*headers: Dataset) -> Acquisition:
    return acquisition_of(headers, "salt", None)


def codes(*headers: Dataset) -> dict[str, Severity]:
    found = facts(*headers).quality
    assert all(one.means for one in found)
    return {one.code: one.severity for one in found}


def test_a_good_header_tells_nothing() -> None:
    assert codes(header(), header()) == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("B30f", "soft"), ("B70f", "sharp"), ("Br40d\\3", "soft"), ("I70f", "sharp"), ("Hr68", "sharp"),
     ("STANDARD", "soft"), ("BONEPLUS", "sharp"), ("LUNG", "sharp"), ("B", "soft"), ("YC", "sharp"), ("FC51", "sharp"),
     ("FC13", "soft"), ("FC30", "sharp"), ("FC70", ""), ("000000", ""), ("my own", "")],
)  # fmt: skip
def test_kernels_by_their_names(name: str, kind: str) -> None:
    assert kernel_kind(name) == kind


def test_a_sharp_kernel_is_a_warning_and_an_unknown_one_is_told() -> None:
    assert codes(header(ConvolutionKernel=["B70f", "3"])) == {"kernel_sharp": Severity.WARN}
    assert codes(header(ConvolutionKernel="own")) == {"kernel_unknown": Severity.INFO}
    assert codes(header(ConvolutionKernel="")) == {"kernel_unknown": Severity.INFO}
    assert codes(header(Modality="MR", ConvolutionKernel="")) == {}


@pytest.mark.parametrize("position", ["HFP", "FFP", "HFDR", "FFDL"])
def test_a_position_that_the_picture_contradicts(position: str) -> None:
    assert codes(header(PatientPosition=position)) == {"position_contradicts_orientation": Severity.WARN}
    derived = header(PatientPosition=position, ImageType=["DERIVED", "SECONDARY"])
    assert codes(derived) == {"position_contradicts_orientation": Severity.INFO}


def test_positions_that_the_picture_bears_out() -> None:
    assert codes(header(PatientPosition="FFS")) == {}
    assert codes(header(PatientPosition="HFP", ImageOrientationPatient=PRONE)) == {}
    coronal = [1, 0, 0, 0, 0, -1]
    assert codes(header(PatientPosition="HFP", ImageOrientationPatient=coronal)) == {}


def test_slices_of_several_positions() -> None:
    assert codes(header(), header(PatientPosition="HFP")) == {"positions_differ": Severity.WARN}


def test_sides() -> None:
    left = header(Laterality="L")
    assert facts(left, left).laterality == "left" and codes(left) == {"laterality": Severity.INFO}
    both = (left, header(ImageLaterality="R"))
    assert facts(*both).laterality == "" and codes(*both) == {"laterality_contradicts": Severity.WARN}
    assert facts(header(Laterality="")).laterality == "" and facts(header(ImageLaterality="B")).laterality == ""


def test_only_known_parts_are_repeated() -> None:
    assert codes(header(BodyPartExamined="CHEST")) == {"body_part": Severity.INFO}
    assert codes(header(BodyPartExamined="DOE JANE")) == {}


@pytest.mark.parametrize(("delay", "phase"), [(30, "arterial"), (75, "portal-venous"), (290, "delayed")])
def test_the_time_since_the_injection(delay: int, phase: str) -> None:
    taken = f"10{delay // 60:02d}{delay % 60:02d}.5"
    given = header(ContrastBolusAgent="OMNI", ContrastBolusStartTime="100000", AcquisitionTime=taken)
    (found,) = facts(given).quality
    assert found.code == "contrast_delay" and phase in found.words and facts(given).contrast_phase == CONTRAST_GIVEN


def test_no_time_is_told_that_makes_no_sense() -> None:
    for started, taken in (("100000", "095959"), ("100000", "120000"), ("nine", "100030")):
        assert codes(header(ContrastBolusAgent="A", ContrastBolusStartTime=started, AcquisitionTime=taken)) == {}


def test_contrast_by_mouth_and_none_are_not_contrast_in_the_blood() -> None:
    assert facts(header(ContrastBolusAgent="GASTRO", ContrastBolusRoute="ORAL")).contrast_phase != CONTRAST_GIVEN
    assert facts(header(ContrastBolusAgent="NONE")).contrast_phase == ""
    assert facts(header(ContrastBolusAgent="A & B", ContrastBolusRoute="Oral & IV")).contrast_phase == CONTRAST_GIVEN
