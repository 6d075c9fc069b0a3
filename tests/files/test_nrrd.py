"""NRRD: what is written comes back; what is damaged is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from navplan.errors import FileFormatError, GeometryError, InputError
from navplan.files.nrrd import read_nrrd, write_nrrd
from navplan.geometry.grid import Grid

SIGNED_AXES = [
    (order, signs) for order in [(0, 1, 2), (1, 2, 0), (2, 1, 0)] for signs in [(1, 1, 1), (-1, -1, 1), (1, -1, -1)]
]
SMALL = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def a_grid(shape=(4, 5, 6), spacing=(0.7, 0.8, 2.5), turned_deg=(10.0, -20.0, 30.0), frame="1.2.3") -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() * spacing
    affine[:3, 3] = (-12.3, 45.6, -789.0)
    return Grid(affine, shape, frame)


def an_array(shape=(4, 5, 6), dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


@SMALL
@given(
    axes=st.sampled_from(SIGNED_AXES),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 3),
    dtype=st.sampled_from(["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", ">i2"]),
    mapped=st.booleans(),
)
def test_what_is_written_is_read_in_any_orientation_spacing_and_type(tmp_path: Path, axes, spacing, dtype, mapped):
    order, signs = axes
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs * np.array(spacing)
    affine[:3, 3] = (1.5, -2.25, 300.125)
    grid = Grid(affine, (3, 4, 5), "1.2.840.1")
    array = an_array(grid.shape, dtype)
    write_nrrd(tmp_path / "a.nrrd", array, grid, {"first": "a\nb\\n"})
    found, where, header = read_nrrd(tmp_path / "a.nrrd", mmap=mapped)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(found, array)
    assert np.array_equal(where.affine, grid.affine) and where.frame_uid == "1.2.840.1"
    assert header == {"first": "a\nb\\n"}


def test_a_memory_map_is_read_only_with_i_fastest(tmp_path: Path):
    write_nrrd(tmp_path / "a.nrrd", an_array(), a_grid())
    found, _, _ = read_nrrd(tmp_path / "a.nrrd", mmap=True)
    assert isinstance(found, np.memmap) and found.flags.f_contiguous and not found.flags.writeable


def test_layers_come_back_in_front(tmp_path: Path):
    layers = an_array((3, 4, 5, 6), np.uint8)
    write_nrrd(tmp_path / "a.nrrd", layers, a_grid())
    found, grid, _ = read_nrrd(tmp_path / "a.nrrd")
    assert np.array_equal(found, layers) and grid.same_as(a_grid())


@pytest.mark.parametrize("packed", [False, True])
def test_simpleitk_and_navplan_read_each_other(tmp_path: Path, packed: bool):
    array, grid = an_array(), a_grid(frame="")
    write_nrrd(tmp_path / "ours.nrrd", array, grid)
    image = sitk.ReadImage(str(tmp_path / "ours.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image).T, array)
    assert np.allclose(image.TransformIndexToPhysicalPoint((3, 2, 1)), grid.points_mm([3, 2, 1]))
    sitk.WriteImage(image, str(tmp_path / "theirs.nrrd"), packed)
    found, where, _ = read_nrrd(tmp_path / "theirs.nrrd")
    assert np.array_equal(found, array) and where.same_as(grid)


def test_right_anterior_superior_becomes_lps(tmp_path: Path):
    write_nrrd(tmp_path / "a.nrrd", an_array(), a_grid())
    text = (tmp_path / "a.nrrd").read_bytes().replace(b"left-posterior-superior", b"right-anterior-superior")
    (tmp_path / "b.nrrd").write_bytes(text)
    _, ras, _ = read_nrrd(tmp_path / "b.nrrd")
    assert np.allclose(ras.points_mm([1, 2, 3]), a_grid().points_mm([1, 2, 3]) * (-1, -1, 1))


def header_of(*changes: tuple[str, str], data: bytes = bytes(240)) -> bytes:
    lines = {
        "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 5 6",
        "space directions": "(1,0,0) (0,1,0) (0,0,2)", "endian": "little", "encoding": "raw", "space origin": "(0,0,0)",
    }  # fmt: skip
    lines |= dict(changes)
    return (
        b"NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in lines.items() if value).encode() + b"\n" + data
    )


def test_the_plain_header_of_these_tests_is_read(tmp_path: Path):
    (tmp_path / "a.nrrd").write_bytes(header_of())
    array, grid, _ = read_nrrd(tmp_path / "a.nrrd")
    assert array.shape == (4, 5, 6) and grid.spacing_mm.tolist() == [1, 1, 2]


def test_a_detached_header_with_its_data_beside_it(tmp_path: Path):
    (tmp_path / "a.nhdr").write_bytes(header_of(("data file", "a.raw.gz"), ("encoding", "gzip"), data=b""))
    array = an_array()
    (tmp_path / "a.raw.gz").write_bytes(gzip.compress(array.tobytes(order="F"), mtime=0))
    assert np.array_equal(read_nrrd(tmp_path / "a.nhdr")[0], array)


@pytest.mark.parametrize(
    ("changes", "data", "words"),
    [
        ((), bytes(239), "cut short"),
        ((), bytes(241), "longer"),
        ((("encoding", "gzip"),), gzip.compress(bytes(240), mtime=0)[:-9], "ends early"),
        ((("encoding", "gzip"),), gzip.compress(bytes(100), mtime=0), "cut short"),
        ((("encoding", "gzip"), ("sizes", "40000 40000 40000")), gzip.compress(bytes(240), mtime=0), "compressed data"),
        ((("encoding", "hex"),), bytes(240), "encoding"),
        ((("type", "block"),), bytes(240), "type"),
        ((("endian", ""),), bytes(240), "endian"),
        ((("space", ""),), bytes(240), "space"),
        ((("space", "scanner-xyz"),), bytes(240), "space"),
        ((("space units", '"cm" "cm" "cm"'),), bytes(240), "units"),
        ((("sizes", "4 5"),), bytes(240), "sizes"),
        ((("sizes", "4 5 -6"),), bytes(240), "sizes"),
        ((("sizes", "4 5 six"),), bytes(240), "sizes"),
        ((("space directions", "none (1,0,0) (0,1,0)"),), bytes(240), "directions"),
        ((("space directions", "(1,0) (0,1) (1,1)"),), bytes(240), "vector"),
        ((("space origin", ""),), bytes(240), "origins"),
        ((("data file", "../../secret.raw"),), b"", "beside"),
        ((("data file", "missing.raw"),), b"", "missing.raw"),
        ((("data file", "LIST"),), b"", "several files"),
        ((("encoding", "ascii"),), b"1 2 three", "numbers"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path, changes, data, words):
    (tmp_path / "a.nrrd").write_bytes(header_of(*changes, data=data))
    with pytest.raises(FileFormatError, match=words):
        read_nrrd(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    "directions", ["(1,0,0) (0,0,0) (0,0,1)", "(1,0,0) (0.5,1,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)"]
)
def test_a_singular_sheared_or_unfinished_grid_is_refused(tmp_path: Path, directions: str):
    (tmp_path / "a.nrrd").write_bytes(header_of(("space directions", directions)))
    with pytest.raises(GeometryError):
        read_nrrd(tmp_path / "a.nrrd")


@pytest.mark.parametrize("content", [b"", b"just a text\n", b"NRRD0009\n\n", b"NRRD0004\n" + b"x" * 100])
def test_what_is_no_nrrd_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.nrrd").write_bytes(content)
    with pytest.raises(FileFormatError):
        read_nrrd(tmp_path / "a.nrrd")


def test_writing_fails_clearly_and_leaves_what_was_there(tmp_path: Path):
    with pytest.raises(InputError, match="no_folder"):
        write_nrrd(tmp_path / "no_folder" / "a.nrrd", an_array(), a_grid())
    write_nrrd(tmp_path / "a.nrrd", an_array(), a_grid())
    before = (tmp_path / "a.nrrd").read_bytes()
    with pytest.raises(FileFormatError):
        write_nrrd(tmp_path / "a.nrrd", an_array((2, 2, 2)), a_grid())
    with pytest.raises(FileFormatError):
        write_nrrd(tmp_path / "a.nrrd", an_array(dtype=complex), a_grid())
    with pytest.raises(FileFormatError, match="header key"):
        write_nrrd(tmp_path / "a.nrrd", an_array(), a_grid(), {"a: b": "x"})
    assert (tmp_path / "a.nrrd").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
