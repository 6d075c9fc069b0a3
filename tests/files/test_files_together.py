"""Files that belong together are replaced together, or none is."""

from __future__ import annotations

import pytest

from navplan.errors import InputError
from navplan.files.files_together import write_together

OLD = {"a.html": b"old a", "b.pdf": b"old b", "shots/c.png": b"old c"}
NEW = {name: data.replace(b"old", b"new") for name, data in OLD.items()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shots").mkdir()
    assert write_together(tmp_path, OLD) == tuple(tmp_path / name for name in OLD)
    return tmp_path


def found(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_are_replaced_and_nothing_else_is_left(folder):
    write_together(folder, NEW)
    assert found(folder) == NEW


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_disk_that_fails_at_any_file_leaves_all_as_they_were(folder, monkeypatch, failing):
    count = 0

    def full_disk(descriptor):
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("navplan.files.files_together.sync_descriptor", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_together(folder, NEW)
    assert found(folder) == OLD


def test_a_folder_of_that_name_is_refused(folder):
    (folder / "d.html").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_together(folder, {**NEW, "d.html": b"new d"})
    assert found(folder) == OLD


def test_a_folder_that_does_not_exist_is_refused(folder):
    with pytest.raises(InputError, match="cannot write"):
        write_together(folder / "missing", NEW)
