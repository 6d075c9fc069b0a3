"""What arrived, as the page offers it: into the case that is open, or a new one; never while it still comes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.files.dicom_inbox import Inbox
from navplan.files.dicom_write import write_ct_slices
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.session.arrivals import QUIET_S, Arrivals, free_folder, quiet_words
from navplan.session.document import document
from navplan.session.session import Session
from navplan.verbs.case_verbs import open_case, save_case

FACTS = Acquisition(modality="CT", patient_position="HFS", date="2026-05-06T07:08:09", slice_thickness_mm=2.0)
SHAPE = (8, 7, 6)


def arrive(inbox: Path, seed: str, patient: str = "P1", most: int = 99, quiet: bool = True) -> str:
    """Objects of a series into the inbox, as if nothing had come since: the study's UID."""
    made = inbox.parent / f"made-{seed}"
    if not made.exists():
        voxels = np.random.default_rng(len(seed)).integers(-1000, 1000, SHAPE).astype(np.int16)
        affine = np.diag([1.0, 1.0, 2.0, 1.0])
        write_ct_slices(
            voxels, affine, made, acquisition=FACTS, patient_id=patient, patient_name="SECRET^JANE", seed_uid=seed,
            birth_date="19700101", frame_uid="1.2.3.4",
        )  # fmt: skip
    with Inbox(inbox, free_bytes=1) as kept:
        for path in sorted(made.iterdir())[:most]:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            found = kept.keep(path.read_bytes(), str(header.SOPClassUID), str(header.SOPInstanceUID))
    if quiet:
        age(inbox / found.study_uid, 3600.0)
    return found.study_uid


def age(study: Path, seconds: float) -> None:
    for folder in study.iterdir():
        os.utime(folder, (time.time() - seconds,) * 2)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Of a new case, without an image."""
    save_case(Case(), tmp_path / "case", "new")
    return Session(tmp_path / "case")


@pytest.fixture
def arrivals(session: Session, inbox: Path) -> Arrivals:
    return Arrivals(session, inbox)


def test_a_case_without_an_image_can_be_shown(session: Session) -> None:
    told = document(session)
    assert told["case"]["images"] == [] and told["case"]["key"] == session.key


def test_nothing_has_arrived(arrivals: Arrivals, inbox: Path) -> None:
    assert arrivals.told() == []
    inbox.mkdir()
    (inbox / "notes.txt").write_text("x")
    (inbox / "1.2.3").mkdir()
    assert arrivals.told() == []


def test_a_study_is_offered_without_a_name_and_imported(arrivals: Arrivals, session: Session, inbox: Path) -> None:
    study = arrive(inbox, "a")
    (told,) = arrivals.told()
    assert (told["uid"], told["objects"], told["ready"], told["quiet"]) == (study, SHAPE[2], True, "1 h")
    assert (told["modalities"], told["date"], told["series"][0]["image"]) == (["CT"], "2026-05-06", "")
    assert "SECRET" not in str(told) and "P1" not in str(told)
    assert arrivals.take_in(study) == {"images": ["ct"], "refused": []}
    (told,) = arrivals.told()
    assert (told["series"][0]["image"], told["series"][0]["since"]) == ("ct", 0)
    kept = open_case(session.folder)
    assert kept.image()[1].grid.shape == SHAPE and session.draft.image_id == "ct"
    assert "SECRET" not in str(kept.audit)
    assert document(session)["case"]["images"] == ["ct"]


def test_what_still_comes_is_not_imported(arrivals: Arrivals, session: Session, inbox: Path) -> None:
    study = arrive(inbox, "a", most=3, quiet=False)
    assert (arrivals.told()[0]["ready"], arrivals.told()[0]["quiet"]) == (False, "")
    for take in (arrivals.take_in, arrivals.take_as_new):
        with pytest.raises(InputError, match="still arriving"):
            take(study)
    age(inbox / study, QUIET_S + 0.1)
    assert arrivals.told()[0]["ready"]
    assert session.case.revision == 1 and not (session.folder.parent / "case-2").exists()


def test_what_came_after_the_import_is_told(arrivals: Arrivals, session: Session, inbox: Path) -> None:
    study = arrive(inbox, "a", most=4)
    arrivals.take_in(study)
    arrive(inbox, "a")
    assert arrivals.told()[0]["series"][0]["since"] == SHAPE[2] - 4
    again = Arrivals(Session(session.folder), inbox)  # the record keeps it
    assert again.told()[0]["series"][0]["since"] == SHAPE[2] - 4
    with pytest.raises(InputError, match="already in the case"):
        arrivals.take_in(study)


def test_another_patient_goes_into_a_case_of_its_own(arrivals: Arrivals, session: Session, inbox: Path) -> None:
    arrivals.take_in(arrive(inbox, "a"))
    other = arrive(inbox, "b", patient="P2")
    with pytest.raises(MismatchError):
        arrivals.take_in(other)
    assert list(session.case.volumes) == ["ct"]
    folder = arrivals.take_as_new(other)
    assert folder == session.folder.parent / "case-2"
    assert list(open_case(folder).volumes) == ["ct"]
    assert Session(folder).key != session.key
    assert free_folder(session.folder).name == "case-3"


@pytest.mark.parametrize("study", ["", "..", "1.2.3", "../case", "x" * 300, None, 7, ["1"]])
def test_what_is_not_in_the_inbox_cannot_be_had(arrivals: Arrivals, inbox: Path, study: object) -> None:
    there = arrive(inbox, "a")
    with pytest.raises(InputError):
        arrivals.take_in(study)  # type: ignore[arg-type]
    with pytest.raises(ChoiceError):
        arrivals.take_in(there, "1.2.3")


def test_a_case_that_another_program_changed_meanwhile_is_read_anew(
    arrivals: Arrivals, session: Session, inbox: Path
) -> None:
    study = arrive(inbox, "a")
    save_case(open_case(session.folder), session.folder, "elsewhere", {})
    with pytest.raises(InputError, match="read again"):
        arrivals.take_in(study)
    assert arrivals.take_in(study)["images"] == ["ct"]


def test_quiet_in_steps() -> None:
    assert [quiet_words(seconds) for seconds in (0, 0.9, 1, 7.2, 59, 60, 3599, 3600, 1e5, 1e6)] == [
        "", "", "1 s", "5 s", "45 s", "1 min", "59 min", "1 h", "27 h", "11 d",
    ]  # fmt: skip
