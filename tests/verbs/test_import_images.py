"""import and inspect: into a case, or one clear message and nothing changed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest

import navplan as nv
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.files.dicom_write import write_ct_slices
from navplan.files.nifti import write_nifti
from navplan.files.nrrd import write_nrrd
from navplan.geometry.grid import Grid
from navplan.imaging.age_and_frame import frame_findings
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case

SHAPE = (12, 11, 10)


def a_grid() -> Grid:
    affine = np.diag([0.8, 0.8, 2.0, 1.0])
    affine[:3, 3] = (1, 2, 3)
    return Grid(affine, SHAPE)


def voxels_of(seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)


def series(folder: Path, seed=0, patient="P1", **facts) -> Path:
    facts = {"patient_position": "HFS", "date": "2025-01-02", "slice_thickness_mm": 2.0, **facts}
    write_ct_slices(
        voxels_of(seed), a_grid().affine, folder, acquisition=Acquisition(**facts), patient_id=patient,
        patient_name="DOE^JANE", seed_uid=f"s{seed}{patient}",
    )  # fmt: skip
    return folder


def askew(folder: Path) -> None:
    """Moves one slice aside, so that the series is refused."""
    path = sorted(folder.iterdir())[2]
    header = pydicom.dcmread(path)
    header.ImagePositionPatient[0] += 1.0
    header.save_as(path)


def nifti(path: Path, seed=0) -> Path:
    write_nifti(path, voxels_of(seed), a_grid())
    return path


def test_a_series_becomes_an_image_with_its_quality(tmp_path: Path):
    case = nv.import_images(series(tmp_path / "s"))
    name, volume = case.image()
    assert name == "ct" and np.array_equal(volume.voxels, voxels_of())
    assert case.patient_digest == volume.acquisition.patient_digest and len(case.salt) >= 32
    assert {found.code for found in volume.acquisition.quality} >= {"thin_slab"}
    (entry,) = case.audit
    assert entry.action == "import" and entry.details["images"]["ct"]["series"] == volume.acquisition.series_uid
    assert "DOE" not in json.dumps(entry.details) and "P1" not in json.dumps(entry.details)


def test_a_salt_of_its_own_for_each_case(tmp_path: Path):
    series(tmp_path / "s")
    one, other = (nv.import_images(tmp_path / "s") for _ in range(2))
    assert one.patient_digest != other.patient_digest


def test_a_second_image_of_the_same_patient_goes_beside_the_first(tmp_path: Path):
    case = nv.import_images(series(tmp_path / "s"))
    case = nv.import_images(series(tmp_path / "t", seed=1), case)
    case = nv.import_images(nifti(tmp_path / "a.nii.gz", 2), case, image_id="control")
    assert list(case.volumes) == ["ct", "ct_2", "control"] and len(case.audit) == 3


def test_another_patient_is_refused(tmp_path: Path):
    case = nv.import_images(series(tmp_path / "s"))
    with pytest.raises(MismatchError, match="another patient"):
        nv.import_images(series(tmp_path / "t", patient="P2"), case)


def test_several_patients_in_one_folder_need_a_choice(tmp_path: Path):
    series(tmp_path / "all" / "s")
    series(tmp_path / "all" / "t", patient="P2")
    with pytest.raises(ChoiceError, match="2 patients"):
        nv.import_images(tmp_path / "all")
    uids = [summary.uid for summary in nv.inspect(tmp_path / "all")]
    assert len(nv.import_images(tmp_path / "all", series=uids[1]).volumes) == 1


def test_what_imports_is_imported_and_each_refusal_is_named(tmp_path: Path, caplog):
    series(tmp_path / "all" / "good")
    bad = series(tmp_path / "all" / "bad", seed=1)
    askew(bad)
    (tmp_path / "all" / "text.dcm").write_text("no DICOM\n")
    with caplog.at_level(logging.WARNING, "navplan"):
        case = nv.import_images(tmp_path / "all")
    assert list(case.volumes) == ["ct"]
    (words,) = case.audit[0].details["refused"].values()
    assert "straight row" in words and "straight row" in caplog.text and "text.dcm" in caplog.text
    assert "unread_files" in {found.code for found in case.image()[1].acquisition.quality}
    found = {summary.kind: summary for summary in nv.inspect(tmp_path / "all") if summary.refusal}
    assert "not importable: slices that do not lie" in str(found["DICOM"])
    assert "straight row" in found["DICOM"].refusal and "not a DICOM file" in found["file"].refusal


def test_when_nothing_imports_the_reasons_are_given(tmp_path: Path):
    for name, seed in (("s", 0), ("t", 1)):
        askew(series(tmp_path / "all" / name, seed))
    with pytest.raises(InputError, match=r"nothing that can be imported .*straight row.*straight row"):
        nv.import_images(tmp_path / "all")
    with pytest.raises(InputError, match=r"^slices that do not lie in one straight row"):
        nv.import_images(tmp_path / "all" / "s")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd"])
def test_one_file_imports(tmp_path: Path, name: str):
    if name.endswith("nrrd"):
        write_nrrd(tmp_path / name, voxels_of(), a_grid())
    else:
        nifti(tmp_path / name)
    case = nv.import_images(tmp_path / name, patient_position="HFP", date="2025-03-04", slice_thickness_mm=2)
    facts = case.image()[1].acquisition
    assert (facts.patient_position, facts.date, facts.slice_thickness_mm) == ("HFP", "2025-03-04", 2.0)
    codes = {found.code for found in facts.quality}
    assert not codes & {"date_unknown", "patient_position_unknown", "slice_thickness_unknown"}
    assert case.patient_digest == ""
    assert np.array_equal(case.image()[1].voxels, voxels_of()) and "a.n" not in json.dumps(case.audit[0].details)


def test_what_the_file_does_not_say_is_a_finding(tmp_path: Path):
    codes = {found.code for found in nv.import_images(nifti(tmp_path / "a.nii")).image()[1].acquisition.quality}
    assert codes >= {"date_unknown", "patient_position_unknown", "slice_thickness_unknown"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patient_position": "HFP"}, "patient position HFP stated"),
        ({"date": "2025-01-03"}, "date 2025-01-03 stated"),
        ({"slice_thickness_mm": 3.0}, "slice thickness 3.0 stated"),
        ({"patient_position": "UPSIDE"}, "UPSIDE"),
        ({"date": "yesterday"}, "yesterday"),
        ({"slice_thickness_mm": -1.0}, "slice thickness"),
        ({"slice_thickness_mm": float("nan")}, "slice thickness"),
        ({"image_id": "../x"}, "id"),
        ({"series": "1.2.3"}, "no series"),
    ],
)
def test_an_option_that_contradicts_or_makes_no_sense_is_refused(tmp_path: Path, options, words):
    with pytest.raises(InputError, match=words):
        nv.import_images(series(tmp_path / "s"), **options)


def test_an_option_that_agrees_is_fine(tmp_path: Path):
    nv.import_images(series(tmp_path / "s"), patient_position="HFS", date="2025-01-02", slice_thickness_mm=2.0)


def test_the_same_image_is_not_imported_twice(tmp_path: Path):
    case = nv.import_images(series(tmp_path / "s"))
    with pytest.raises(InputError, match="already in the case"):
        nv.import_images(tmp_path / "s", case)
    with pytest.raises(InputError, match="already in the case"):
        nv.import_images(nifti(tmp_path / "b.nii"), nv.import_images(nifti(tmp_path / "a.nii")))


def test_a_taken_id_or_one_id_for_two_images(tmp_path: Path):
    case = nv.import_images(series(tmp_path / "all" / "s"))
    with pytest.raises(ChoiceError, match="taken"):
        nv.import_images(nifti(tmp_path / "a.nii", 3), case, image_id="ct")
    series(tmp_path / "all" / "t", seed=1)
    with pytest.raises(ChoiceError, match="2 images"):
        nv.import_images(tmp_path / "all", image_id="x")


def test_a_folder_of_several_image_files_needs_a_choice(tmp_path: Path):
    nifti(tmp_path / "a.nii")
    assert len(nv.import_images(tmp_path).volumes) == 1
    nifti(tmp_path / "labels.nii", 1)
    with pytest.raises(ChoiceError, match=r"a\.nii"):
        nv.import_images(tmp_path)
    assert len(nv.import_images(tmp_path, series="labels.nii").volumes) == 1
    assert {summary.uid for summary in nv.inspect(tmp_path)} == {"a.nii", "labels.nii"}


def test_where_a_file_could_not_be_read_nothing_is_known_and_it_is_named(tmp_path: Path, caplog):
    sorted(series(tmp_path / "s").iterdir())[4].write_bytes(b"")
    with caplog.at_level(logging.WARNING, "navplan"):
        volume = nv.import_images(tmp_path / "s").image()[1]
    padding = volume.acquisition.padding_hu
    assert (volume.voxels[:, :, 4] == padding).all() and (volume.voxels[:, :, 5] != padding).any()
    assert {"missing_slices", "unread_files"} <= {found.code for found in volume.acquisition.quality}
    assert "CT0005.dcm" in caplog.text
    askew(tmp_path / "s")
    with pytest.raises(InputError, match=r"straight row.*could not be read: CT0005\.dcm"):
        nv.import_images(tmp_path / "s")


def test_one_part_of_a_series_or_all_of_them(tmp_path: Path):
    for number in (1, 2):
        for path in sorted(series(tmp_path / "all" / str(number), number).iterdir()):
            header = pydicom.dcmread(path)
            header.SeriesInstanceUID, header.AcquisitionNumber = "1.2.9", number
            header.save_as(path)
    assert [one.uid for one in nv.inspect(tmp_path / "all")] == ["1.2.9#1", "1.2.9#2"]
    both = nv.import_images(tmp_path / "all", series="1.2.9")
    assert list(both.volumes) == ["ct", "ct_2"]
    second = nv.import_images(tmp_path / "all", series="1.2.9#2")
    assert second.image()[1].digest == both.volumes["ct_2"].digest
    added = nv.import_images(tmp_path / "all", second, series="1.2.9#1")
    assert {one.digest for one in added.volumes.values()} == {one.digest for one in both.volumes.values()}
    with pytest.raises(InputError, match="already in the case"):
        nv.import_images(tmp_path / "all", added, series="1.2.9#1")
    with pytest.raises(InputError, match="gaps of -1"):
        nv.import_images(tmp_path / "all", bridge_gaps_mm=-1)


@pytest.mark.parametrize("kind", ["none", "empty", "text", "cut"])
def test_a_bad_path_gets_one_clear_message(tmp_path: Path, kind: str):
    path = tmp_path / "x.dcm"
    if kind == "empty":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello\n" * 100)
    elif kind == "cut":
        path = tmp_path / "x.nii.gz"
        path.write_bytes(nifti(tmp_path / "a.nii.gz").read_bytes()[:500])
    case = Case()
    for verb in (nv.import_images, nv.inspect):
        if kind == "cut" and verb is nv.inspect:
            assert "ends early" in nv.inspect(path)[0].refusal
        elif kind == "text" and verb is nv.inspect:
            assert nv.inspect(path)[0].refusal == "x.dcm: not a DICOM file"
        else:
            with pytest.raises(InputError) as caught:
                verb(path)
            assert caught.value.exit_code == 2 and "x." in str(caught.value)
    assert case.volumes == {}


def test_inspect_changes_nothing_and_tells_the_geometry(tmp_path: Path):
    folder = series(tmp_path / "s")
    before = sorted(path.read_bytes() for path in folder.iterdir())
    (summary,) = nv.inspect(folder)
    assert summary.grid is not None and summary.grid.spacing_mm == pytest.approx([0.8, 0.8, 2.0])
    assert (summary.kind, summary.modality, summary.slices, summary.refusal) == ("DICOM", "CT", 10, "")
    assert summary.quality and summary.acquisition is not None and summary.acquisition.patient_position == "HFS"
    assert "position HFS, date 2025-01-02, thickness 2 mm" in str(summary) and "not importable" not in str(summary)
    assert before == sorted(path.read_bytes() for path in folder.iterdir())


def words_of(volume, code: str) -> list[str]:
    return [found.words for found in volume.acquisition.quality if found.code == code]


def test_the_age_is_told_in_days(tmp_path: Path):
    days = 12
    taken = datetime.now() - timedelta(days=days)
    (summary,) = nv.inspect(series(tmp_path / "s", date=f"{taken:%Y-%m-%d}"))
    assert f"Taken on {taken:%Y-%m-%d}: 12 days" in str(summary) and "Means: " in str(summary)
    ahead = datetime.now() + timedelta(days=9)
    (volume,) = nv.import_images(series(tmp_path / "t", date=f"{ahead:%Y-%m-%d}")).volumes.values()
    assert len(words_of(volume, "date_ahead")) == 1 and words_of(volume, "age") == []


def test_every_finding_of_an_import_says_what_it_means(tmp_path: Path):
    for case in (nv.import_images(series(tmp_path / "s")), nv.import_images(nifti(tmp_path / "a.nii"))):
        assert all(found.means for found in case.image()[1].acquisition.quality)


def test_whether_frames_of_reference_are_shared_is_told(tmp_path: Path):
    series(tmp_path / "both" / "a", seed=1)
    series(tmp_path / "both" / "b", seed=2)
    first, second = nv.inspect(tmp_path / "both")
    assert {"frame_other"} <= {found.code for found in first.quality} & {found.code for found in second.quality}
    one, other = nv.import_images(tmp_path / "both").volumes.values()
    assert words_of(one, "frame_other") == []
    assert words_of(other, "frame_other") == ["Another frame of reference than ct."]
    case = nv.import_images(nifti(tmp_path / "c.nii", 3), nv.import_images(series(tmp_path / "d", seed=4)))
    assert len(words_of(case.volumes["ct_2"], "frame_unknown")) == 1
    (alone,) = nv.inspect(tmp_path / "d")
    assert not {found.code for found in alone.quality} & {"frame_other", "frame_shared", "frame_unknown"}


def test_images_of_one_frame(tmp_path: Path):
    found = frame_findings(replace(a_grid(), frame_uid="1.2"), {"mr": replace(a_grid(), frame_uid="1.2")})
    assert [(one.code, one.words) for one in found] == [("frame_shared", "Same frame of reference as mr.")]
