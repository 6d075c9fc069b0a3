"""Real images: right against a second reader and against published ground truth, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import navplan as nv
from navplan.errors import InputError
from navplan.files.image_files import read_image_array, read_image_file
from navplan.model.volume import Volume


def only(path: Path, **options) -> Volume:
    return nv.import_images(path, **options).image()[1]


def codes(volume: Volume) -> set[str]:
    return {found.code for found in volume.acquisition.quality}


@pytest.mark.parametrize(
    "folder",
    [
        "crlm1004_abdomen_ct/CRLM-CT-1004/image", "lego_phantom_ct/LegoPhantom", "sts002_ct_mr_pet/CT/image",
        "sts002_ct_mr_pet/MR_T1/image", "sts002_ct_mr_pet/PET/image", "dicom_nasty/generic/compressed/001",
        "dicom_nasty/generic/compressed_j2k/001", "dicom_nasty/generic/compressed_jpeg/001",
        "dicom_nasty/generic/compressed_jpegls/001", "dicom_nasty/generic/compressed_rle/001",
    ],
)  # fmt: skip
def test_well_formed_series_agree_with_simpleitk(real_images: Path, folder: str):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(real_images / folder)))
    image, volume = reader.Execute(), only(real_images / folder)
    assert np.abs(sitk.GetArrayFromImage(image).T.astype(np.float64) - volume.voxels).max() < 1e-5
    last = [size - 1 for size in volume.grid.shape]
    assert np.allclose(image.TransformIndexToPhysicalPoint(last), volume.grid.points_mm(last), atol=1e-4)


@pytest.mark.parametrize(
    ("folder", "truth"),
    [
        ("generic/anatomical/001", "generic/anatomical/001_ground_truth.nii.gz"),
        ("generic/anatomical/002_non_isotropic", "generic/anatomical/002_non_isotropic_ground_truth.nii.gz"),
        ("failing/slicecount/001", "failing/slicecount/001_ground_truth.nii.gz"),
    ],
)
def test_values_lie_where_the_ground_truth_has_them(real_images: Path, folder: str, truth: str):
    volume, known = only(real_images / "dicom_nasty" / folder), read_image_array(real_images / "dicom_nasty" / truth)
    indices = np.moveaxis(np.indices(volume.grid.shape), 0, -1).reshape(-1, 3)
    found = known.grid.indices(volume.grid.points_mm(indices))
    whole = np.rint(found).astype(int)
    assert np.abs(found - whole).max() < 0.01
    assert np.abs(volume.voxels[tuple(indices.T)] - known.array[tuple(whole.T)].astype(np.float64)).max() < 1e-4


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("dicom_nasty/failing/sliceorientation", "mixed orientation"),
        ("dicom_nasty/failing/notavolume", "all at one place"),
        ("xa_run", "angiographic run .* no volume .96 pictures"),
        ("sts002_ct_mr_pet/CT/mask", "RT Structure Set"),
        ("tracking_plus/SpinePhantomFreehand.igs.mha", "time sequence"),
        ("spine_mr_sct/labels.nii.gz", "labels"),
    ],
)
def test_what_is_no_good_volume_is_refused_with_the_reason(real_images: Path, folder: str, words: str):
    with pytest.raises(InputError, match=words):
        nv.import_images(real_images / folder)


def test_a_hole_stays_a_hole_in_a_real_series_until_its_gap_is_accepted(real_images: Path):
    folder = real_images / "dicom_nasty/failing/sliceincrement/001"
    volume, bridged = only(folder), only(folder, bridge_gaps_mm=10.0)
    assert volume.grid.shape[2] == 5 and "missing_slices" in codes(volume)
    assert (volume.voxels[:, :, 3] == volume.acquisition.padding_hu).all()
    assert "bridged_gap" in codes(bridged) and not (bridged.voxels[:, :, 3] == volume.acquisition.padding_hu).all()


def test_a_tilted_gantry_keeps_every_slice_where_it_was(real_images: Path):
    import pydicom

    folder = real_images / "dicom_nasty/failing/gantrytilting/001"
    volume = only(folder)
    assert "tilted_stack" in codes(volume) and volume.acquisition.padding_hu == -2048
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        stored = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        index = volume.grid.indices(np.array(header.ImagePositionPatient, dtype=float))
        assert abs(index[2] - round(index[2])) < 1e-3 and abs(index[0]) < 1e-6
        column, part = int(np.floor(index[1] + 1e-6)), index[1] - np.floor(index[1] + 1e-6)
        rows = np.arange(1, header.Rows)
        expected = (1 - part) * stored[rows] + part * stored[rows - 1] if part > 1e-5 else stored[rows]
        found = volume.voxels[:, column + rows, round(index[2])].T
        assert np.abs(found - expected).max() <= 0.5001


def test_the_chest_ct_is_read_with_its_padding(real_images: Path):
    volume = only(real_images / "lidc0001_chest_ct/cxr_int16.nii.gz")
    assert volume.voxels.dtype == np.int16 and volume.grid.shape == (512, 512, 133)
    assert volume.acquisition.padding_hu == -2048 and np.mean(volume.voxels[:, :, ::20] == -2048) > 0.2
    assert {"cut_at_edge", "slice_thickness_unknown", "date_unknown", "patient_position_unknown"} <= codes(volume)
    image = sitk.ReadImage(str(real_images / "lidc0001_chest_ct/cxr_int16.nii.gz"))
    assert np.allclose(image.TransformIndexToPhysicalPoint((500, 10, 100)), volume.grid.points_mm([500, 10, 100]))
    assert volume.voxels[200, 300, 60] == image[200, 300, 60]


def test_facts_of_the_abdomen_ct(real_images: Path):
    facts = only(real_images / "crlm1004_abdomen_ct").acquisition
    assert (facts.patient_position, facts.date[:10], facts.slice_thickness_mm) == ("FFS", "1994-11-22", 5.0)
    assert facts.kernel == "STANDARD" and facts.padding_hu == -3024 and "CRLM" not in repr(facts)


def test_the_lego_scan_says_that_slices_were_left_out(real_images: Path):
    volume = only(real_images / "lego_phantom_ct")
    assert "unmeasured_gaps" in codes(volume) and volume.grid.spacing_mm == pytest.approx([0.390625, 0.390625, 1.875])


def test_images_of_one_patient_go_into_one_case(real_images: Path):
    case = nv.import_images(real_images / "sts002_ct_mr_pet")
    assert set(case.volumes) == {"ct", "mr", "pt"} and len(case.audit[0].details["refused"]) == 3
    assert len({volume.grid.frame_uid for volume in case.volumes.values()}) == 1
    assert case.volumes["mr"].quantity == "signal" and case.volumes["pt"].voxels.dtype == np.float32


@pytest.mark.parametrize(
    "name", ["ts_abdomen_pelvis_ct/example_ct.nii.gz", "ts_thorax_cta_dissection/example_ct.nii.gz"]
)
def test_other_ct_files(real_images: Path, name: str):
    image, volume = sitk.ReadImage(str(real_images / name)), read_image_file(real_images / name)
    assert volume.modality == "CT"
    assert np.abs(sitk.GetArrayFromImage(image).T - volume.voxels).max() < 1e-3
    last = [size - 1 for size in volume.grid.shape]
    assert np.allclose(image.TransformIndexToPhysicalPoint(last), volume.grid.points_mm(last), atol=1e-3)
