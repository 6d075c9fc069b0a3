"""Series that are not one even stack of single pictures: gaps, copies, several volumes in one, frames in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, PositronEmissionTomographyImageStorage, generate_uid

from navplan.errors import InputError
from navplan.files.dicom_read import FILL_HU, read_series
from navplan.files.dicom_scan import DicomSeries, find_series
from navplan.files.dicom_write import write_ct_slices
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

COUNT, STEP_MM = 9, 2.0
MR = "1.2.840.10008.5.1.4.1.1.4"


def smooth(count: int = COUNT) -> np.ndarray:
    """A ramp along every axis: linear interpolation gives it back exactly."""
    i, j, k = np.indices((8, 7, count))
    return (10 * i - 20 * j + 40 * k).astype(np.int16)


def written(folder: Path, voxels: np.ndarray | None = None, tilt: float = 0.0) -> Path:
    affine = np.diag([0.7, 0.8, STEP_MM, 1.0])
    affine[1, 2] = tilt
    write_ct_slices(
        smooth() if voxels is None else voxels, affine, folder, acquisition=Acquisition(patient_position="HFS"),
        patient_id="P1", patient_name="DOE^JANE", seed_uid="t", frame_uid="1.2.3.4",
    )  # fmt: skip
    return folder


def changed(folder: Path, change) -> Path:
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        header = pydicom.dcmread(path)
        change(number, header)
        header.save_as(path)
    return folder


def drop(folder: Path, *numbers: int) -> Path:
    for path in [sorted(folder.glob("*.dcm"))[number] for number in numbers]:
        path.unlink()
    return folder


def only(folder: Path) -> DicomSeries:
    (series,) = find_series(folder)[0]
    return series


def codes(volume: Volume) -> set[str]:
    return {finding.code for finding in volume.acquisition.quality}


def test_where_slices_are_missing_nothing_is_known_unless_the_gap_is_accepted(tmp_path: Path):
    folder = drop(written(tmp_path / "s"), 4, 5)
    volume = read_series(only(folder))
    assert volume.grid.shape == (8, 7, COUNT) and volume.acquisition.padding_hu == FILL_HU
    known = [k for k in range(COUNT) if k not in (4, 5)]
    assert np.array_equal(volume.voxels[:, :, known], smooth()[:, :, known])
    assert (volume.voxels[:, :, [4, 5]] == FILL_HU).all() and "missing_slices" in codes(volume)
    assert (read_series(only(folder), bridge_mm=5.9).voxels[:, :, 4] == FILL_HU).all()
    bridged = read_series(only(folder), bridge_mm=6.0)
    assert np.abs(bridged.voxels - smooth()).max() <= 1 and "bridged_gap" in codes(bridged)
    assert "missing_slices" not in codes(bridged)


def test_missing_slices_of_another_kind_of_image_are_refused_unless_accepted(tmp_path: Path):
    folder = changed(drop(written(tmp_path / "s"), 4), lambda _, header: setattr(header, "SOPClassUID", MR))
    with pytest.raises(InputError, match=r"gap between slices of 4 mm.*--bridge-gaps"):
        read_series(only(folder))
    assert read_series(only(folder), bridge_mm=4.0).grid.shape[2] == COUNT


@pytest.mark.parametrize("tilt", [0.0, 0.6])
def test_uneven_gaps_are_brought_to_an_even_grid_by_positions(tmp_path: Path, tilt: float):
    heights = np.array([0, 2, 4.4, 6.1, 8.9, 10.5, 13.0, 15.0, 17.3])
    voxels = np.rint(smooth(1) + 20 * heights).astype(np.int16)

    def place(number: int, header: Dataset) -> None:
        header.ImagePositionPatient = [0, round(tilt * heights[number] / 2, 6), float(heights[number])]

    volume = read_series(only(changed(written(tmp_path / "s", voxels, tilt), place)))
    assert volume.grid.spacing_mm[2] == pytest.approx(17.3 / round(17.3 / 1.6)) and "uneven_slices" in codes(volume)
    inner = np.argwhere(volume.voxels[1:-1, 1:-2] > FILL_HU) + np.array([1, 1, 0])
    x, y, z = volume.grid.points_mm(inner).T
    expected = 10 * x / 0.7 - 20 * (y - tilt * z / 2) / 0.8 + 20 * z
    found = volume.voxels[tuple(inner.T)]
    assert len(inner) > 200 and np.abs(found - expected).max() < 1.6


def test_a_part_that_was_sampled_coarsely_is_no_gap(tmp_path: Path):
    heights = [0, 1, 2, 3, 4, 9, 14, 19, 24]
    folder = changed(
        written(tmp_path / "s"), lambda n, header: setattr(header, "ImagePositionPatient", [0, 0, heights[n]])
    )
    volume = read_series(only(folder))
    assert volume.grid.shape[2] == 25 and "missing_slices" not in codes(volume)


def test_copies_are_left_out_and_two_pictures_of_one_name_refused(tmp_path: Path):
    folder = written(tmp_path / "s")
    path = sorted(folder.glob("*.dcm"))[2]
    (folder / "nested").mkdir()
    (folder / "nested" / "copy.dcm").write_bytes(path.read_bytes())
    volume = read_series(only(folder))
    assert np.array_equal(volume.voxels, smooth()) and "copies" in codes(volume)
    header = pydicom.dcmread(path)
    header.PixelData = bytes(len(header.PixelData))
    header.save_as(folder / "nested" / "copy.dcm")
    with pytest.raises(InputError, match="two pictures"):
        read_series(only(folder))


SPLITS = {
    "echo time": ("EchoTime", ["30", "90"], MR), "b-value": ("DiffusionBValue", [0.0, 800.0], MR),
    "phase": ("TemporalPositionIdentifier", [1, 2], MR), "acquisition": ("AcquisitionNumber", [1, 2], ""),
    "type": ("ImageType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]], MR),
}  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_what_was_stored_together_comes_apart(tmp_path: Path, name: str):
    keyword, values, kind = SPLITS[name]
    for number, value in enumerate(values):
        folder = written(tmp_path / "s" / str(number), smooth() + 1000 * np.int16(number))

        def mark(_: int, header: Dataset, value=value) -> None:
            setattr(header, keyword, value)
            header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            if kind:
                header.SOPClassUID = kind

        changed(folder, mark)
    series, unread = find_series(tmp_path)
    assert [one.number for one in series] == [1, 2] and not unread and all(name in one.part for one in series)
    for number, one in enumerate(series):
        volume = read_series(one)
        assert np.array_equal(volume.voxels, smooth() + 1000 * number) and name in volume.acquisition.description
        assert one.name == f"{one.uid}#{number + 1}"


def test_one_acquisition_behind_the_other_stays_one_volume_and_interleaved_ones_come_apart(tmp_path: Path):
    folder = written(tmp_path / "s")
    changed(folder, lambda n, header: setattr(header, "AcquisitionNumber", 1 + n // 3))
    assert np.array_equal(read_series(only(folder)).voxels, smooth())
    other = written(tmp_path / "t")

    def beside(number: int, header: Dataset) -> None:
        header.AcquisitionNumber = 9
        header.ImagePositionPatient = [0, 0, STEP_MM * number + 0.7]
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    changed(other, beside)
    changed(folder, lambda _, header: setattr(header, "AcquisitionNumber", 1))
    assert [len(one.frames) for one in find_series(tmp_path)[0]] == [COUNT, COUNT]


def test_directions_of_three_slices_and_more_come_apart(tmp_path: Path):
    folder = written(tmp_path / "s")

    def turn(number: int, header: Dataset) -> None:
        if number < 4:
            header.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
            header.ImagePositionPatient = [0, 3 * number, 0]

    changed(folder, turn)
    series, _ = find_series(folder)
    assert sorted(read_series(one).grid.shape[2] for one in series) == [4, 5]


def test_a_scout_in_the_series_is_left_to_itself(tmp_path: Path):
    def scout(number: int, header: Dataset) -> None:
        if number == 8:
            header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            header.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    volume, alone = find_series(changed(written(tmp_path / "s"), scout))[0]
    assert np.array_equal(read_series(volume).voxels, smooth()[:, :, :8])
    with pytest.raises(InputError, match="scout"):
        read_series(alone)


def enhanced(folder: Path, count: int = COUNT) -> Path:
    """The series as one multi-frame file, frames in no order."""
    headers = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    order = np.random.default_rng(3).permutation(count)
    one = headers[0]
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    one.NumberOfFrames = count
    one.PixelData = b"".join(headers[n].PixelData for n in order)
    shared, each = Dataset(), []
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [Dataset()], [Dataset()]
    shared.PixelValueTransformationSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = one.PixelSpacing
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = one.ImageOrientationPatient
    shared.PixelValueTransformationSequence[0].RescaleSlope = one.RescaleSlope
    shared.PixelValueTransformationSequence[0].RescaleIntercept = one.RescaleIntercept
    for n in order:
        group = Dataset()
        group.PlanePositionSequence = [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = headers[n].ImagePositionPatient
        each.append(group)
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence = [shared], each
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(one, keyword)
    path = folder.parent / "enhanced.dcm"
    one.save_as(path)
    return path


def test_frames_of_one_file_are_read_by_their_functional_groups(tmp_path: Path):
    path = enhanced(written(tmp_path / "s"))
    volume = read_series(only(path))
    assert np.array_equal(volume.voxels, smooth()) and np.allclose(volume.grid.spacing_mm, (0.7, 0.8, STEP_MM))
    header = pydicom.dcmread(path)
    del header.PerFrameFunctionalGroupsSequence[3]
    header.save_as(path)
    found, unread = find_series(path)
    assert not found and "functional groups of 8" in unread[0].reason


def test_how_grey_values_are_shown_does_not_change_them(tmp_path: Path):
    folder = changed(
        written(tmp_path / "s"), lambda _, header: setattr(header, "PhotometricInterpretation", "MONOCHROME1")
    )
    assert np.array_equal(read_series(only(folder)).voxels, smooth())


def test_bits_beyond_those_stored_are_none_of_the_values(tmp_path: Path):
    def mark(_: int, header: Dataset) -> None:
        pixels = np.frombuffer(header.PixelData, "<i2") & 0xFFF
        header.BitsStored, header.HighBit, header.PixelRepresentation = 12, 11, 1
        header.PixelData = (pixels | 0x5000).astype("<u2").tobytes()

    folder = changed(written(tmp_path / "s"), mark)
    assert np.array_equal(read_series(only(folder)).voxels, smooth())


def pet(folder: Path, **changes) -> Volume:
    def mark(_: int, header: Dataset) -> None:
        header.SOPClassUID, header.Modality, header.Units = PositronEmissionTomographyImageStorage, "PT", "BQML"
        header.RescaleSlope, header.RescaleIntercept, header.PatientWeight = "100", "0", "70"
        header.DecayCorrection, header.SeriesDate, header.SeriesTime = "START", "20240506", "110000"
        header.AcquisitionDate, header.AcquisitionTime = "20240506", "110230"
        drug = Dataset()
        drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = "350000000", "6586.2"
        drug.RadiopharmaceuticalStartDateTime = "20240506100000"
        for keyword, value in changes.items():
            setattr(drug if keyword.startswith("Radio") else header, keyword, value)
        header.RadiopharmaceuticalInformationSequence = [drug]

    return read_series(only(changed(written(folder, np.abs(smooth())), mark)))


def test_pet_is_in_suv_where_all_that_it_needs_is_said(tmp_path: Path):
    volume = pet(tmp_path / "a")
    left_bq = 350e6 * 2 ** (-3600 / 6586.2)
    assert volume.quantity == "SUV" and volume.voxels.max() == pytest.approx(
        float(np.abs(smooth()).max()) * 100 * 70_000 / left_bq, rel=1e-5
    )
    at_injection = pet(tmp_path / "b", DecayCorrection="ADMIN")
    assert at_injection.voxels.max() == pytest.approx(float(np.abs(smooth()).max()) * 100 * 70_000 / 350e6, rel=1e-5)
    assert pet(tmp_path / "c", Units="GML").voxels.max() == float(np.abs(smooth()).max()) * 100
    for number, (keyword, value) in enumerate((
        ("PatientWeight", ""), ("RadionuclideTotalDose", "0"), ("Units", "CNTS"), ("DecayCorrection", "NONE"),
        ("RadiopharmaceuticalStartDateTime", "20240506120000"), ("SeriesTime", "120000"), ("PatientWeight", "70000"),
    )):  # fmt: skip
        without = pet(tmp_path / f"d{number}", **{keyword: value})
        assert without.quantity == "signal" and "no_suv" in codes(without), keyword


def test_reading_tells_how_far_it_is_and_can_be_stopped(tmp_path: Path):
    folder = written(tmp_path / "s")
    told: list[float] = []
    series = find_series(folder, lambda words, share: told.append(share))[0][0]
    read_series(series, progress=lambda words, share: told.append(share))
    assert told[0] == 0.0 and told[-1] == 1.0

    def stop(words: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_series(folder, stop)
    with pytest.raises(KeyboardInterrupt):
        read_series(series, progress=stop)
