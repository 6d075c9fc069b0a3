"""NIfTI and MetaImage: round trips, agreement with SimpleITK, refusals."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from navplan.errors import FileFormatError, GeometryError, InputError
from navplan.files.image_files import detected_padding_hu, patient_digest, read_image_file, settled_voxels
from navplan.files.metaimage import read_metaimage
from navplan.files.nifti import read_nifti, write_nifti
from navplan.geometry.grid import Grid

SMALL = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_grid(turned_deg=(10.0, -20.0, 30.0), spacing=(0.7, 0.8, 2.5), mirrored=False, shape=(4, 5, 6)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() * spacing
    affine[:3, 2] *= -1 if mirrored else 1
    affine[:3, 3] = (-12.3, 45.6, -789.0)
    return Grid(affine, shape)


def an_array(shape=(4, 5, 6), dtype=np.int16):
    return np.random.default_rng(0).integers(-1000, 1000, shape).astype(dtype)


@SMALL
@given(
    turned=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 8)] * 3),
    mirrored=st.booleans(),
    dtype=st.sampled_from(["i1", "u1", "i2", "u2", "i4", "f4", "f8"]),
    name=st.sampled_from(["a.nii", "a.nii.gz"]),
)
def test_what_is_written_is_read_in_any_orientation(tmp_path: Path, turned, spacing, mirrored, dtype, name):
    grid, array = a_grid(turned, spacing, mirrored), an_array(dtype=dtype)
    write_nifti(tmp_path / name, array, grid)
    found, where, findings = read_nifti(tmp_path / name)
    assert found.dtype == array.dtype and np.array_equal(found, array)
    assert np.abs(where.corners_mm() - grid.corners_mm()).max() < 2e-3
    assert findings == ()  # qform and sform agree
    image = sitk.ReadImage(str(tmp_path / name))
    assert np.allclose(image.TransformIndexToPhysicalPoint((3, 2, 1)), where.points_mm([3, 2, 1]), atol=2e-3)


@pytest.mark.parametrize(("name", "packed"), [("a.nii.gz", True), ("a.mha", False), ("a.mha", True), ("a.mhd", False)])
def test_files_that_simpleitk_writes(tmp_path: Path, name: str, packed: bool):
    grid, array = a_grid(mirrored=True), an_array()
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetDirection(grid.axes.ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / name), packed)
    volume = read_image_file(tmp_path / name)
    assert np.array_equal(volume.voxels, array) and volume.modality == "CT"
    assert np.abs(volume.grid.corners_mm() - grid.corners_mm()).max() < 1e-3


def header(tmp_path: Path, **changes) -> Path:
    """A .nii file with some of its header bytes changed: offset -> (format, values)."""
    write_nifti(tmp_path / "a.nii", an_array(), a_grid())
    data = bytearray((tmp_path / "a.nii").read_bytes())
    for place, (form, *values) in changes.items():
        struct.pack_into("<" + form, data, int(place[2:]), *values)
    (tmp_path / "b.nii").write_bytes(data)
    return tmp_path / "b.nii"


def test_the_scale_is_applied(tmp_path: Path):
    found, _, _ = read_nifti(header(tmp_path, at112=("2f", 0.5, 10.0)))
    assert np.allclose(found, an_array() * 0.5 + 10)


def test_metres_become_millimetres(tmp_path: Path):
    _, grid, _ = read_nifti(header(tmp_path, at123=("b", 1)))
    assert np.allclose(grid.spacing_mm, np.array([0.7, 0.8, 2.5]) * 1000)


def test_the_qform_counts_where_there_is_no_sform(tmp_path: Path):
    _, grid, findings = read_nifti(header(tmp_path, at254=("h", 0), at280=("12f", *[7.0] * 12)))
    assert np.abs(grid.corners_mm() - a_grid().corners_mm()).max() < 1e-3 and findings == ()


def test_a_qform_elsewhere_is_told(tmp_path: Path):
    _, grid, findings = read_nifti(header(tmp_path, at268=("f", 40.0)))
    assert [finding.code for finding in findings] == ["two_orientations"]
    assert np.abs(grid.corners_mm() - a_grid().corners_mm()).max() < 1e-3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at252": ("2h", 0, 0)}, "no orientation"),
        ({"at40": ("8h", 4, 4, 5, 3, 2, 1, 1, 1)}, "three-dimensional"),
        ({"at40": ("8h", 2, 4, 30, 1, 1, 1, 1, 1)}, "three-dimensional"),
        ({"at40": ("8h", 3, 4, 5, 7, 1, 1, 1, 1)}, "cut short"),
        ({"at40": ("8h", 3, 4, 5, 5, 1, 1, 1, 1)}, "longer"),
        ({"at40": ("8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)}, "cut short"),
        ({"at70": ("h", 128)}, "type"),
        ({"at108": ("f", float("nan"))}, "offset"),
        ({"at112": ("f", float("inf"))}, "slope"),
        ({"at123": ("b", 5)}, "unit"),
        ({"at344": ("4s", b"ni1\0")}, "no NIfTI header"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path, changes, words):
    with pytest.raises(FileFormatError, match=words):
        read_nifti(header(tmp_path, **changes))


@pytest.mark.parametrize(
    "row", [(0.0, 0.0, 0.0, 5.0), (float("nan"), 0.0, 0.0, 5.0), (0.7, 0.7, 0.0, 0.0), (float("inf"), 0, 0, 0)]
)
def test_a_singular_sheared_or_unfinished_affine_is_refused(tmp_path: Path, row):
    with pytest.raises(GeometryError, match="sform"):
        read_nifti(header(tmp_path, at280=("4f", *row)))


def test_a_cut_file_is_refused(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz", an_array((40, 40, 40)), a_grid(shape=(40, 40, 40)))
    whole = (tmp_path / "a.nii.gz").read_bytes()
    for kept in (0, 1, 10, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.nii.gz").write_bytes(whole[:kept])
        with pytest.raises(FileFormatError):
            read_image_file(tmp_path / "cut.nii.gz")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    (tmp_path / "cut.nii.gz").write_bytes(damaged)
    with pytest.raises(FileFormatError):
        read_image_file(tmp_path / "cut.nii.gz")


def test_more_than_the_header_says_is_refused(tmp_path: Path):
    write_nifti(tmp_path / "a.nii", an_array(), a_grid())
    packed = gzip.compress((tmp_path / "a.nii").read_bytes() + b"\0")
    (tmp_path / "b.nii.gz").write_bytes(packed)
    with pytest.raises(FileFormatError, match="longer"):
        read_nifti(tmp_path / "b.nii.gz")


def test_metaimage_refusals(tmp_path: Path):
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n"
    place = "Offset = 0 0 0\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n"
    good = (head + place + "ElementDataFile = LOCAL\n").encode()
    path = tmp_path / "a.mha"
    path.write_bytes(good + bytes(16))
    assert read_metaimage(path)[0].shape == (2, 2, 2)
    for bad in (
        good + bytes(15), good + bytes(17), good[:30], b"", (head + "ElementDataFile = LOCAL\n").encode() + bytes(16),
        good.replace(b"NDims = 3", b"NDims = 4") + bytes(16), good.replace(b"= 2 2 2", b"= 2 2 -2") + bytes(16),
        good.replace(b"MET_SHORT", b"MET_BLOB") + bytes(16), good.replace(b"LOCAL", b"/etc/x.raw"),
        good.replace(b"NDims", b"CompressedData = True\nNDims") + bytes(16),
        good.replace(b"NDims", b"Kinds = domain domain list\nNDims") + bytes(16),
        good.replace(b"ElementSpacing = 1", b"ElementSpacing = nan") + bytes(16),
    ):  # fmt: skip
        path.write_bytes(bad)
        with pytest.raises(FileFormatError):
            read_metaimage(path)
    path.write_bytes(good.replace(b"1 0 0 0 1 0", b"1 0 0 1 0 0") + bytes(16))
    with pytest.raises(GeometryError):
        read_metaimage(path)


def test_nan_voxels_are_refused(tmp_path: Path):
    array = an_array(dtype=np.float32)
    array[1, 2, 3] = np.nan
    write_nifti(tmp_path / "a.nii", array, a_grid())
    with pytest.raises(InputError, match="1 voxels that are NaN"):
        read_image_file(tmp_path / "a.nii")


def test_whole_numbers_become_int16_and_fractions_float32():
    assert settled_voxels(np.array([[[-1024.0, 3071.0]]])).dtype == np.int16
    assert settled_voxels(np.array([[[0.5]]])).dtype == np.float32
    assert settled_voxels(np.array([[[40000]]], dtype=np.uint16)).dtype == np.float32
    with pytest.raises(InputError):
        settled_voxels(np.array([[[1e300]]]))
    with pytest.raises(InputError):
        settled_voxels(np.array([[[1j]]]))


def test_padding_is_found_only_where_nothing_else_can_be():
    voxels = np.zeros((10, 10, 10), dtype=np.int16)
    assert detected_padding_hu(voxels) is None
    voxels[0] = -1024  # air, for all that is known
    assert detected_padding_hu(voxels) is None
    voxels[0] = -2048
    assert detected_padding_hu(voxels) == -2048
    voxels[0] = 0
    voxels[0, 0, 0] = -3000  # one odd voxel
    assert detected_padding_hu(voxels) is None


def test_an_image_without_air_is_not_taken_for_ct(tmp_path: Path):
    write_nifti(tmp_path / "a.nii", np.abs(an_array()), a_grid())
    volume = read_image_file(tmp_path / "a.nii")
    assert (volume.modality, volume.quantity) == ("OT", "signal")
    assert [finding.code for finding in volume.acquisition.quality] == ["modality_unknown"]
    assert read_image_file(tmp_path / "a.nii", "CT").quantity == "HU"


def test_labels_and_flat_files_are_no_images(tmp_path: Path):
    with pytest.raises(FileFormatError, match="labels"):
        read_image_file(header(tmp_path, at68=("h", 1002)))
    write_nifti(tmp_path / "flat.nii", an_array((4, 5, 1)), a_grid(shape=(4, 5, 1)))
    with pytest.raises(FileFormatError, match="not a volume"):
        read_image_file(tmp_path / "flat.nii")
    (tmp_path / "a.xyz").write_bytes(b"x")
    with pytest.raises(FileFormatError, match="unknown kind"):
        read_image_file(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="no such file"):
        read_image_file(tmp_path / "none.nii")


def test_identity_is_salted_and_unknown_without_an_id():
    assert patient_digest("s", "") == "" == patient_digest("s", "  ", "issuer", "19700101")
    digests = {
        patient_digest(*words) for words in [("s", "1"), ("t", "1"), ("s", "1", "a"), ("s", "1", "", "19700101")]
    }
    assert len(digests) == 4 and all("1970" not in digest for digest in digests)
