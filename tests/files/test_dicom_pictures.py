"""Radiographs, runs and plain ultrasound: what they say of themselves, and their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import navplan as nv
from navplan.errors import InputError

STORAGE = "1.2.840.10008.5.1.4.1.1."
GREY = (np.arange(60).reshape(6, 10) * 60).astype(np.uint16)


def picture(path: Path, kind: str, pixels: np.ndarray = GREY, **facts) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = STORAGE + kind
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = generate_uid(), generate_uid(), "XX"
    colour = pixels.shape[-1] == 3
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if pixels.ndim == 3 + colour:
        data.NumberOfFrames = len(pixels)
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    data.PixelData = pixels.tobytes()
    for keyword, value in facts.items():
        setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)
    return path


def test_a_radiograph_says_where_its_pixels_are_measured(tmp_path: Path):
    plain = nv.pictures(picture(tmp_path / "a", "1.1", ImagerPixelSpacing=[0.14, 0.14], ViewPosition="PA"))
    assert plain.pixel_mm == (0.14, 0.14) and plain.measured_at == "the detector"
    assert plain.words == "one picture of 10 x 6, pixels of 0.14 x 0.14 mm at the detector, PA"
    copied = nv.pictures(picture(tmp_path / "b", "1", ImagerPixelSpacing=[0.14, 0.14], PixelSpacing=[0.14, 0.14]))
    assert copied.measured_at == "the detector"
    calibrated = nv.pictures(picture(tmp_path / "c", "1", ImagerPixelSpacing=[0.14, 0.14], PixelSpacing=[0.1, 0.1]))
    assert calibrated.pixel_mm == (0.1, 0.1) and "calibrated" in calibrated.measured_at
    assert nv.pictures(picture(tmp_path / "d", "1")).pixel_mm is None


def test_pictures_are_dense_dark_whatever_the_file_says(tmp_path: Path):
    usual = nv.pictures(picture(tmp_path / "a", "12.2", np.stack([GREY, GREY[::-1]])))
    assert usual.count == 2 and usual.picture(0)[0, 0] == 0 and usual.picture(1)[0, 9] > 200
    turned = nv.pictures(picture(tmp_path / "b", "1", PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(turned.picture(), 255 - usual.picture(0))
    with pytest.raises(InputError, match="1 to 2"):
        usual.picture(2)


def test_ultrasound_is_measured_in_its_region_and_may_be_in_colour(tmp_path: Path):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, -0.03
    colours = np.dstack([GREY, GREY, GREY]).astype(np.uint8)
    found = nv.pictures(picture(tmp_path / "a", "6.1", colours, SequenceOfUltrasoundRegions=[region]))
    assert found.pixel_mm == pytest.approx((0.3, 0.2)) and np.array_equal(found.picture(), colours)
    region.PhysicalUnitsYDirection = 4  # seconds: a Doppler trace
    assert nv.pictures(picture(tmp_path / "b", "6.1", colours, SequenceOfUltrasoundRegions=[region])).pixel_mm is None


def test_they_are_listed_and_never_stacked(tmp_path: Path):
    picture(tmp_path / "a", "1.1", ImagerPixelSpacing=[0.14, 0.14])
    (found,) = nv.inspect(tmp_path)
    assert "no volume (one picture of 10 x 6, pixels of 0.14" in found.refusal
    with pytest.raises(InputError, match="no volume"):
        nv.import_images(tmp_path)


def test_damaged_ones_are_refused(tmp_path: Path):
    path = picture(tmp_path / "a", "1")
    for keyword, value in (("Rows", 0), ("NumberOfFrames", "0"), ("SOPClassUID", STORAGE + "2")):
        header = pydicom.dcmread(path)
        setattr(header, keyword, value)
        header.save_as(tmp_path / "bad")
        with pytest.raises(InputError):
            nv.pictures(tmp_path / "bad")
    header = pydicom.dcmread(path)
    header.PixelData = header.PixelData[:40]
    header.save_as(tmp_path / "cut")
    with pytest.raises(InputError, match="picture 1"):
        nv.pictures(tmp_path / "cut").picture()
    with pytest.raises(InputError, match="no such file"):
        nv.pictures(tmp_path / "none")
