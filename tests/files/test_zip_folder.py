"""Archives: unpacked and gone again, or refused before anything is written."""

from __future__ import annotations

import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.errors import InputError
from navplan.files import zip_folder
from navplan.files.dicom_write import write_ct_slices
from navplan.files.zip_folder import unpacked
from navplan.model.acquisition import Acquisition

VOXELS = np.random.default_rng(1).integers(-1000, 1000, (12, 11, 6)).astype(np.int16)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where archives are unpacked: empty again after every test, whatever came of it."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def named(path: Path, name: str, mode: int = 0, data: bytes = b"x") -> Path:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def slices(folder: Path) -> list[Path]:
    return list(
        write_ct_slices(
            VOXELS, np.diag([0.7, 0.8, 2.0, 1.0]), folder, acquisition=Acquisition(patient_position="HFS"),
            patient_id="P1", patient_name="A", seed_uid="zip",
        )
    )  # fmt: skip


def packed(path: Path, files: list[Path], under: str = "series/") -> Path:
    return zipped(path, **{f"{under}{file.name}": file.read_bytes() for file in files})


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught, unpacked(path):
        pass
    return str(caught.value)


def test_a_series_in_an_archive_is_read(tmp_path: Path):
    path = packed(tmp_path / "s.ZIP", slices(tmp_path / "s"))
    assert np.array_equal(nv.import_images(path).image()[1].voxels, VOXELS)
    assert [one.refusal for one in nv.inspect(path)] == [""]


def test_archives_in_a_folder_belong_to_what_lies_beside_them(tmp_path: Path):
    files = slices(tmp_path / "s")
    packed(tmp_path / "s" / "a.zip", files[:2])
    packed(tmp_path / "s" / "b.zip", files[2:3])
    for file in files[:3]:
        file.unlink()
    assert np.array_equal(nv.import_images(tmp_path / "s").image()[1].voxels, VOXELS)


def test_an_image_file_in_an_archive_is_read(tmp_path: Path):
    from navplan.files.nifti import write_nifti
    from navplan.geometry.grid import Grid

    write_nifti(tmp_path / "i.nii.gz", VOXELS, Grid(np.eye(4), VOXELS.shape))
    path = packed(tmp_path / "i.zip", [tmp_path / "i.nii.gz"], "")
    assert np.array_equal(nv.import_images(path).image()[1].voxels, VOXELS)


@pytest.mark.parametrize(
    "name",
    [
        "../a.dcm", "a/../../b.dcm", "/etc/a.dcm", "\\a.dcm", "..\\a.dcm", "C:\\a.dcm", "C:a.dcm", "a/..", "//h/a",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str):
    assert "file named" in refusal(named(tmp_path / "a.zip", name))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zip", "unpacked"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int):
    assert "link or a device" in refusal(named(tmp_path / "a.zip", "a.dcm", kind | 0o644, b"/etc/passwd"))


def patched(path: Path, offset: int, local_offset: int, value: bytes) -> Path:
    """A field of the central directory, and of the local header, overwritten."""
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", offset), (b"PK\x03\x04", local_offset)):
        start = data.index(signature) + at
        data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


def test_an_encrypted_archive_is_refused(tmp_path: Path):
    assert "an encrypted archive" in refusal(patched(zipped(tmp_path / "a.zip", a=b"x"), 8, 6, struct.pack("<H", 1)))


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zip_folder, "MOST_MEMBERS", 3)
    assert "4 files" in refusal(zipped(tmp_path / "a.zip", **{str(n): b"" for n in range(4)}))


def test_a_bomb_is_refused_and_an_empty_image_is_none(tmp_path: Path):
    bomb = zipped(tmp_path / "bomb.zip", a=bytes(101 * 2**20))
    assert "bytes that unpack to" in refusal(bomb)
    small = zipped(tmp_path / "small.zip", a=bytes(2**20))
    with unpacked(small) as found:
        assert (found.folders[0] / "a").stat().st_size == 2**20


def test_what_is_too_large_for_the_limit_or_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = zipped(tmp_path / "a.zip", a=os.urandom(3000))
    monkeypatch.setattr(zip_folder, "MOST_BYTES", 2999)
    assert "unpacked" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unpacked"))
    monkeypatch.setattr(zip_folder, "SPARE_BYTES", 2**60)
    assert "free" in refusal(path)


def test_the_limit_holds_for_all_archives_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zip_folder, "MOST_BYTES", 1500)
    (tmp_path / "f").mkdir()
    for name in "ab":
        zipped(tmp_path / "f" / f"{name}.zip", a=os.urandom(1000))
    with unpacked(tmp_path / "f") as found:
        assert len(found.folders) == 2 and "b.zip" in found.left_out[0].reason


def test_a_size_that_lies_is_refused(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", a=os.urandom(3000))
    assert "damaged" in refusal(patched(path, 24, 22, struct.pack("<I", 100)))


def test_archives_in_archives_are_named_and_not_read(tmp_path: Path):
    files = slices(tmp_path / "s")
    inner = packed(tmp_path / "inner.zip", files)
    outer = packed(tmp_path / "outer.zip", [*files, inner])
    assert any("archive in an archive" in one.refusal for one in nv.inspect(outer))
    volume = nv.import_images(outer).image()[1]
    assert "unread_files" in {finding.code for finding in volume.acquisition.quality}
    with pytest.raises(InputError, match="archive in an archive"):
        nv.import_images(packed(tmp_path / "only.zip", [inner]))


def test_a_bad_archive_beside_a_series_is_named(tmp_path: Path):
    slices(tmp_path / "s")
    (tmp_path / "s" / "bad.zip").write_bytes(b"PK no archive")
    named(tmp_path / "s" / "evil.zip", "../a")
    reasons = " ".join(one.refusal for one in nv.inspect(tmp_path / "s"))
    assert "bad.zip: not a zip" in reasons and "evil.zip: a file named" in reasons
    volume = nv.import_images(tmp_path / "s").image()[1]
    assert "unread_files" in {finding.code for finding in volume.acquisition.quality}


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.dcm", b"1")
        archive.writestr("a.dcm", b"2")
    assert "two files" in refusal(path)
    assert "Expected" in refusal(zipped(tmp_path / "b.zip", **{"a": b"1", "a/b": b"2"}))


@pytest.mark.parametrize("raw", [b"\xff\xfe\x80.dcm", b"\x80" * 300 + b".dcm", "Göğüs BT.dcm".encode(), b"a\x01\n.dcm"])
@pytest.mark.parametrize("utf8", [False, True])
def test_names_in_odd_encodings_do_no_harm(tmp_path: Path, raw: bytes, utf8: bool):
    path = zipped(tmp_path / "a.zip", **{"n" * len(raw): b"data"})
    data = path.read_bytes().replace(b"n" * len(raw), raw)
    path.write_bytes(data)
    if utf8:
        patched(path, 8, 6, struct.pack("<H", 0x800))
    try:
        with unpacked(path) as found:
            (file,) = found.folders[0].rglob("*.dcm")
            assert file.read_bytes() == b"data"
    except InputError as error:
        assert "damaged archive" in str(error) and utf8  # bytes that are no UTF-8


def test_what_is_broken_anywhere_is_refused_or_read(tmp_path: Path):
    files = slices(tmp_path / "s")[:2]
    good = packed(tmp_path / "good.zip", files).read_bytes()
    random = np.random.default_rng(5)
    for case in range(300):
        data = bytearray(good)
        if case % 3 == 0:
            data = data[: random.integers(1, len(data))]
        for _ in range(int(random.integers(1, 6))):
            directory = len(data) - int(random.integers(1, min(len(data), 400)))
            data[directory if case % 2 else int(random.integers(len(data)))] = int(random.integers(256))
        path = tmp_path / "broken.zip"
        path.write_bytes(data)
        try:
            with unpacked(path) as found:
                assert all(
                    file.resolve().is_relative_to(tmp_path / "unpacked") for file in found.folders[0].rglob("*")
                )
        except InputError:
            continue


def test_nothing_stays_when_the_work_is_stopped(tmp_path: Path):
    path = packed(tmp_path / "s.zip", slices(tmp_path / "s"))

    def stop(words: str, share: float) -> None:
        if "headers" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nv.import_images(path, progress=stop)
