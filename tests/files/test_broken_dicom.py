"""Broken series: refused, or right by an independent reading; and what the fuzzer found once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless
from test_dicom_intake import changed, codes, enhanced, only, smooth, written

from benchmarks.broken_dicom import base_series
from benchmarks.fuzz_intake import DEFECTS, run_case
from navplan.errors import InputError
from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
from navplan.files.jpeg_stream import frame_of

CASES = 150


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return base_series(tmp_path_factory.mktemp("bases"), None)


def assert_no_defect(bases: list[Path], number: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_case(number, seed, bases, Path(folder))
    assert outcome.what not in DEFECTS, outcome


def test_a_short_campaign(bases: list[Path]):
    for number in range(CASES):
        assert_no_defect(bases, number, 7)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31))
def test_any_other_case(bases: list[Path], seed: int):
    assert_no_defect(bases, 0, seed)


def refused(folder: Path, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_series(only(folder))


@pytest.mark.parametrize("value", [2, 17, 65535])
def test_a_sign_that_is_neither_is_refused(tmp_path: Path, value: int):
    def lie(_: int, header: Dataset) -> None:
        header.PixelRepresentation = value

    refused(changed(written(tmp_path / "s"), lie), "PixelRepresentation")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("RescaleIntercept", "1e30"), ("RescaleSlope", "1e30"), ("RescaleSlope", "1e-9"), ("RescaleIntercept", "-2e6")],
)
def test_scales_that_no_scanner_has_are_refused(tmp_path: Path, keyword: str, value: str):
    refused(changed(written(tmp_path / "s"), lambda _, header: setattr(header, keyword, value)), "that Hounsfield")


def test_a_position_that_a_maker_repeats_elsewhere_does_not_count(tmp_path: Path):
    path = enhanced(written(tmp_path / "s"))
    header = pydicom.dcmread(path)
    for group in header.PerFrameFunctionalGroupsSequence:
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        other = Dataset()
        other.ImagePositionPatient = [5, 6, 7]
        other.RescaleSlope = "3"
        block.add_new(0x0F, "SQ", [other])
        group.ReferencedImageSequence = [Dataset()]
        group.ReferencedImageSequence[0].ImagePositionPatient = [1, 2, 3]
    header.save_as(path)
    volume = read_series(only(path))
    assert np.array_equal(volume.voxels, smooth()) and np.allclose(volume.grid.points_mm((0, 0, 0)), 0)


def test_what_is_put_together_behind_the_pixels_is_not_read_as_it_lies(tmp_path: Path):
    folder = written(tmp_path / "s")
    assert all(frame.pixels_at is not None for frame in only(folder).frames)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes() + b"\x28\x00\x10\x00US\x02\x00\x01\x00")
    assert all(frame.pixels_at is None for frame in only(folder).frames)


def test_a_wide_stack_of_few_slices_is_refused(tmp_path: Path):
    def move(number: int, header: Dataset) -> None:
        header.ImagePositionPatient = [0, 0, 2.0 * number + (900 if number == 8 else 0)]

    refused(changed(written(tmp_path / "s"), move), "gaps ask for")


def test_a_tilt_that_would_make_a_volume_of_nothing_is_refused(tmp_path: Path):
    def shrink(_: int, header: Dataset) -> None:
        header.PixelSpacing = [0.001, 0.001]

    refused(changed(written(tmp_path / "s", tilt=0.6), shrink), "slides its slices by 686 times")


def test_a_slice_at_a_hole_that_lies_between_planes_is_kept(tmp_path: Path):
    heights = np.array([0, 2.3, 4.2, 6.5, 8.9, 24.3, 26.6, 28.5, 30.7])

    def place(number: int, header: Dataset) -> None:
        header.ImagePositionPatient = [0, 0, float(heights[number])]

    voxels = np.rint(smooth(1) + 20 * heights).astype(np.int16)
    volume = read_series(only(changed(written(tmp_path / "s", voxels), place)))
    assert "missing_slices" in codes(volume)
    for number in (4, 5):
        k = round(heights[number] / float(volume.grid.spacing_mm[2]))
        assert np.abs(volume.voxels[:, :, k].astype(int) - voxels[:, :, number]).max() <= 25


def test_a_size_is_proven_before_room_is_made(tmp_path: Path):
    def lie(_: int, header: Dataset) -> None:
        header.Rows = header.Columns = 65535

    refused(changed(written(tmp_path / "s"), lie), "pixel data that cannot be read")


def test_a_damaged_value_in_a_functional_group_is_named(tmp_path: Path):
    path = enhanced(written(tmp_path / "s"))
    data = path.read_bytes()
    at = data.rindex(b"\x20\x00\x32\x00DS") + 8
    path.write_bytes(data[:at] + b"x" + data[at + 1 :])
    found, unread = find_series(path)
    assert not found and "broken functional groups" in unread[0].reason


STREAM = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xf7\x00\x0b\x0c\x00\x07\x00\x08\x01\x01\x11\x00"


def test_what_a_jpeg_stream_says():
    found = frame_of(STREAM)
    assert found is not None and (found.rows, found.columns, found.samples, found.bits) == (7, 8, 1, 12)
    assert frame_of(b"") is None and frame_of(STREAM[:12]) is None and frame_of(b"\xff\xd8\x00" * 9) is None


def test_a_stream_of_another_picture_never_reaches_the_decoder(tmp_path: Path):
    def pack(_: int, header: Dataset) -> None:
        header.PixelData = pydicom.encaps.encapsulate([STREAM + b"\xff\xd9\x00"])
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = JPEGLSLossless
        header.BitsStored, header.HighBit = 12, 11
        header.Columns = 100

    refused(changed(written(tmp_path / "s"), pack), "a JPEG stream of 8x7 pixels of 1 x 12 bits.*100x7")
