"""DICOM series: what is well-formed is read right, everything else is refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
from navplan.files.dicom_write import write_ct_series, write_ct_slices
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

SHAPE = (7, 6, 5)
FACTS = Acquisition(patient_position="HFS", date="2024-05-06T07:08:09", slice_thickness_mm=2.0, kernel="B30f")
SMALL = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_grid(turned_deg=(0.0, 0.0, 0.0), spacing=(0.7, 0.8, 2.0), mirrored=False) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() * spacing
    affine[:3, 2] *= -1 if mirrored else 1
    affine[:3, 3] = (-12.3, 45.6, -789.0)
    return Grid(affine, SHAPE, "1.2.3.4")


def voxels_of(seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1024, 3071, SHAPE).astype(np.int16)


def write(folder: Path, grid: Grid | None = None, voxels=None, **facts) -> Path:
    facts = {"acquisition": FACTS, "patient_id": "P1", "patient_name": "DOE^JANE", "seed_uid": "t", **facts}
    grid = grid or a_grid()
    write_ct_slices(voxels_of() if voxels is None else voxels, grid.affine, folder, frame_uid="1.2.3.4", **facts)
    return folder


def edit(folder: Path, change: Callable[[int, pydicom.Dataset], None], only: int | None = None) -> Path:
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        if only is None or number == only:
            header = pydicom.dcmread(path)
            change(number, header)
            header.save_as(path)
    return folder


def read(folder: Path) -> Volume:
    series, _ = find_series(folder)
    assert len(series) == 1
    return read_series(series[0], "salt")


@SMALL
@given(
    turned=st.tuples(*[st.floats(-180, 180)] * 3), spacing=st.tuples(*[st.floats(0.2, 8)] * 3), mirrored=st.booleans()
)
def test_what_is_written_is_read_in_any_orientation(tmp_path_factory, turned, spacing, mirrored):
    grid, voxels = a_grid(turned, spacing, mirrored), voxels_of()
    volume = read(write(tmp_path_factory.mktemp("series") / "new", grid, voxels))
    assert volume.voxels.dtype == np.int16 and volume.grid.frame_uid == "1.2.3.4"
    indices = np.moveaxis(np.indices(SHAPE), 0, -1).reshape(-1, 3)
    found = volume.grid.indices(grid.points_mm(indices))
    assert np.abs(found - np.rint(found)).max() < 1e-6
    assert np.array_equal(volume.voxels[tuple(np.rint(found).astype(int).T)], voxels[tuple(indices.T)])


def test_simpleitk_reads_the_same(tmp_path: Path):
    folder = write(tmp_path / "s", a_grid((5, -10, 15)))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, volume = reader.Execute(), read(folder)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, volume.voxels)
    assert np.allclose(image.TransformIndexToPhysicalPoint((6, 5, 4)), volume.grid.points_mm([6, 5, 4]), atol=1e-6)


def test_facts_without_a_name(tmp_path: Path):
    folder = write(tmp_path / "s", acquisition=Acquisition(patient_position="FFP", date="2024-05-06T07:08:09"))
    edit(folder, lambda _, header: setattr(header, "SeriesDescription", "Jane thorax"))
    facts = read(folder).acquisition
    assert (facts.patient_position, facts.date, facts.slice_thickness_mm) == ("FFP", "2024-05-06T07:08:09", None)
    assert facts.description == "" and len(facts.patient_digest) == 64
    assert "doe" not in repr(facts).lower() and "P1" not in repr(facts)
    edit(folder, lambda _, header: setattr(header, "PatientID", ""))
    assert read(folder).acquisition.patient_digest == ""


def test_the_order_of_files_and_instance_numbers_does_not_matter(tmp_path: Path):
    folder = write(tmp_path / "s")
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        path.rename(folder / f"{(number * 3) % 5}")
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.InstanceNumber = 7
        header.save_as(path)
    assert np.array_equal(read(folder).voxels, voxels_of())


def test_rescale_slice_by_slice(tmp_path: Path):
    def rescale(number: int, header: pydicom.Dataset) -> None:
        header.RescaleSlope, header.RescaleIntercept = str(1 + number % 2), str(-number)

    found = read(edit(write(tmp_path / "s"), rescale)).voxels
    numbers = np.arange(SHAPE[2])
    assert np.array_equal(found, voxels_of().astype(int) * (1 + numbers % 2) - numbers) and found.dtype == np.int16
    found = read(edit(tmp_path / "s", lambda _, header: setattr(header, "RescaleSlope", "0.5"))).voxels
    assert found.dtype == np.float32 and np.allclose(found, voxels_of() * 0.5 - numbers)
    found = read(edit(tmp_path / "s", lambda _, header: setattr(header, "RescaleSlope", "100"))).voxels
    assert found.dtype == np.float32 and np.allclose(found, voxels_of() * 100.0 - numbers)


def test_padding_counts_only_where_it_cannot_be_air(tmp_path: Path):
    voxels = voxels_of()
    voxels[0] = -2000
    folder = write(tmp_path / "s", voxels=voxels, acquisition=Acquisition(padding_hu=-2000))
    assert read(folder).acquisition.padding_hu == -2000
    edit(folder, lambda number, header: setattr(header, "RescaleIntercept", str(-1024 - number)))
    volume = read(folder)
    assert volume.acquisition.padding_hu == -3024 and (volume.voxels[0] == -3024).all()
    voxels[0] = -1024
    air = write(tmp_path / "t", voxels=voxels, acquisition=Acquisition(padding_hu=-1024))
    assert read(air).acquisition.padding_hu is None


def test_compressed_and_implicit_files(tmp_path: Path):
    folder = write(tmp_path / "s")
    edit(folder, lambda _, header: header.compress(RLELossless))
    assert np.array_equal(read(folder).voxels, voxels_of())
    folder = write(tmp_path / "t")
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        header.save_as(path, implicit_vr=True, little_endian=True)
    assert np.array_equal(read(folder).voxels, voxels_of())


@pytest.mark.parametrize("tilt_deg", [14.0, -22.0])
def test_a_tilted_stack_is_straightened_by_its_positions(tmp_path: Path, tilt_deg: float):
    affine = np.array(a_grid().affine)
    affine[:3, :2] = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix() @ affine[:3, :2]
    points = np.moveaxis(np.indices(SHAPE), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    ramp = np.rint(points @ (3.0, 20.0, 20.0) + 15000).astype(np.int16)
    write_ct_slices(ramp, affine, tmp_path / "s", acquisition=FACTS, patient_id="", patient_name="", seed_uid="t")
    volume = read(tmp_path / "s")
    assert [finding.code for finding in volume.acquisition.quality] == ["tilted_stack"]
    here = volume.grid.points_mm(np.moveaxis(np.indices(volume.grid.shape), 0, -1)) @ (3.0, 20.0, 20.0) + 15000
    held = volume.voxels != volume.acquisition.padding_hu
    assert held.mean() > 0.5 and np.abs(volume.voxels - here)[held].max() <= 1.01


def drop(number: int) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.glob("*.dcm"))[number].unlink()


def move(number: int, by_mm: float, axis: int = 2) -> Callable[[Path], None]:
    def shift(_: int, header: pydicom.Dataset) -> None:
        position = list(header.ImagePositionPatient)
        position[axis] += by_mm
        header.ImagePositionPatient = position

    return lambda folder: edit(folder, shift, number)


def tag(keyword: str, value, only: int | None = None) -> Callable[[Path], None]:
    def change(_: int, header: pydicom.Dataset) -> None:
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)

    return lambda folder: edit(folder, change, only)


def same_place(folder: Path) -> None:
    edit(folder, lambda _, header: setattr(header, "ImagePositionPatient", [0, 0, -2]), 2)
    edit(folder, lambda _, header: setattr(header, "ImagePositionPatient", [0, 0, -2]), 3)


def cut(share: float) -> Callable[[Path], None]:
    def shorten(folder: Path) -> None:
        path = sorted(folder.glob("*.dcm"))[2]
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)] if share < 1 else data[:-1])

    return shorten


def fewer_pixels(folder: Path) -> None:
    edit(folder, lambda _, header: setattr(header, "PixelData", header.PixelData[:-20]), 2)


BAD = {
    "all at one place": (tag("ImagePositionPatient", [0, 0, 0]), "all at one place"),
    "two slices at one place": (same_place, "another slice has"),
    "one slice askew": (move(2, 1.0, 0), "one straight row"),
    "mixed orientation": (tag("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], 2), "mixed orientation"),
    "nonsense directions": (tag("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "no sense"),
    "zero directions": (tag("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]), "no sense"),
    "slices along their own plane": (tag("ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), "one place|degrees off"),
    "no position": (tag("ImagePositionPatient", None, 1), "ImagePositionPatient"),
    "no orientation": (tag("ImageOrientationPatient", None, 1), "ImageOrientationPatient"),
    "no spacing": (tag("PixelSpacing", None, 1), "PixelSpacing"),
    "zero spacing": (tag("PixelSpacing", [0, 0]), "spacing"),
    "several spacings": (tag("PixelSpacing", [1, 1], 1), "spacing"),
    "several frames of reference": (tag("FrameOfReferenceUID", "1.9", 1), "frames of reference"),
    "several patients": (tag("PatientID", "P2", 1), "patients"),
    "several positions": (tag("PatientPosition", "FFS", 1), "patient positions"),
    "no rescale": (tag("RescaleSlope", None), "RescaleSlope"),
    "zero slope": (tag("RescaleSlope", "0"), "RescaleSlope"),
    "colour": (tag("PhotometricInterpretation", "RGB"), "RGB"),
    "several frames in a file": (tag("NumberOfFrames", 3), "several frames"),
    "not an image": (tag("SOPClassUID", "1.2.840.10008.5.1.4.1.1.481.3"), "RT Structure Set"),
    "two kinds": (tag("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", 1), "several kinds"),
    "mosaics": (tag("ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "mosaics"),
    "scout": (tag("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), "scout"),
    "odd bits": (tag("HighBit", 11), "bits"),
    "pixel data cut": (cut(0.99), "cannot be read"),
    "last byte missing": (cut(1), "cannot be read"),
    "pixel data short": (fewer_pixels, "cannot be read"),
    "size that does not fit": (tag("Rows", 600), "cannot be read"),
    "no pixel data": (tag("PixelData", None, 3), "cannot be read"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_bad_series_is_refused_with_the_reason(tmp_path: Path, case: str):
    spoil, words = BAD[case]
    folder = write(tmp_path / "s")
    spoil(folder)
    with pytest.raises(InputError, match=words):
        read(folder)


def test_a_file_that_is_no_dicom_is_named(tmp_path: Path):
    folder = write(tmp_path / "s")
    (folder / "text.dcm").write_text("this is a text\n" * 100)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "cut").write_bytes(sorted(folder.glob("CT*"))[0].read_bytes()[:200])
    (folder / "LICENSE").write_text("Copyright © somebody")
    (folder / "notes.txt").write_text("a note")
    series, unread = find_series(folder)
    assert len(series) == 1 and {file.path.name for file in unread} >= {"text.dcm", "empty.dcm"}
    assert not {file.path.name for file in unread} & {"LICENSE", "notes.txt"}
    assert np.array_equal(read_series(series[0]).voxels, voxels_of())


@pytest.mark.parametrize("share", [0, 0.05, 0.1, 0.11, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_a_header_cut_anywhere_is_refused(tmp_path: Path, share: float):
    folder = write(tmp_path / "s")
    path = sorted(folder.glob("*.dcm"))[4]
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    series, unread = find_series(folder)
    if not unread:  # enough was left for a header: then it is the series that is refused
        with pytest.raises(InputError):
            for one in series:
                read_series(one)


def test_damaged_bytes_never_give_another_error(tmp_path: Path):
    folder = write(tmp_path / "s")
    path = sorted(folder.glob("*.dcm"))[2]
    whole = path.read_bytes()
    noise = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in noise.integers(132, len(whole) - 450, 4):
            damaged[place] = noise.integers(256)
        path.write_bytes(damaged)
        series, _ = find_series(folder)
        for one in series:
            try:
                read_series(one)
            except InputError:
                continue


def test_no_such_path_and_an_empty_folder(tmp_path: Path):
    with pytest.raises(InputError, match="no such"):
        find_series(tmp_path / "none")
    assert find_series(tmp_path) == ((), ())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the system's own rules do not bind root")
def test_what_may_not_be_read_is_said(tmp_path: Path):
    folder = write(tmp_path / "s")
    path = sorted(folder.glob("*.dcm"))[2]
    path.chmod(0)
    assert [file.path for file in find_series(folder)[1]] == [path]
    folder.chmod(0)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            find_series(folder)
    finally:
        folder.chmod(0o755)


def test_two_series_in_one_folder_stay_apart(tmp_path: Path):
    folder = write(tmp_path / "s")
    uid = generate_uid()
    for path in write(tmp_path / "t", voxels=voxels_of(1)).iterdir():
        header = pydicom.dcmread(path)
        header.SeriesInstanceUID = uid
        header.save_as(folder / f"b{path.name}")
    found = {one.uid: read_series(one).voxels for one in find_series(folder)[0]}
    assert len(found) == 2 and np.array_equal(found[uid], voxels_of(1))


def test_only_ct_in_hounsfield_units_is_written(tmp_path: Path):
    facts = {"patient_id": "", "patient_name": "", "seed_uid": "t"}
    signal = Volume(voxels_of(), a_grid(), "MR", "signal")
    with pytest.raises(InputError, match="MR"):
        write_ct_series(signal, tmp_path / "s", **facts)
    with pytest.raises(InputError, match="fractions"):
        write_ct_series(Volume(voxels_of() + np.float32(0.5), a_grid()), tmp_path / "s", **facts)
    paths = write_ct_series(Volume(voxels_of(), a_grid()), tmp_path / "s", **facts)
    assert len(paths) == SHAPE[2] and read(tmp_path / "s").acquisition.patient_digest == ""
    with pytest.raises(InputError, match="not empty"):
        write_ct_series(Volume(voxels_of(), a_grid()), tmp_path / "s", **facts)


def test_the_same_input_gives_the_same_files(tmp_path: Path):
    one, other = write(tmp_path / "s"), write(tmp_path / "t")
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_a_file_of_one_slice_is_no_volume(tmp_path: Path):
    folder = write(tmp_path / "s")
    with pytest.raises(InputError, match="single slice"):
        read_series(find_series(next(folder.glob("*.dcm")))[0][0])


def test_find_names_a_single_bad_file(tmp_path: Path):
    (tmp_path / "README").write_text("hello")
    _, unread = find_series(tmp_path / "README")
    assert [file.reason for file in unread] == ["README: not a DICOM file"]
