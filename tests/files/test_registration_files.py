"""Arrays of a registration that were damaged: one clear error of the case folder, whatever is wrong with them."""

import io
import struct
import zipfile

import numpy as np
import pytest

from navplan.errors import CaseFolderError
from navplan.files.case_manifest import GridEntry, RegistrationEntry, transform_entry
from navplan.files.registration_files import registration_of
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform

GRID = Grid(np.diag([10.0, 10, 10, 1]), (8, 8, 8))
ENTRY = RegistrationEntry.model_construct(
    None, fixed="ct", moving="mr", kind="rigid", transform=transform_entry(Transform(np.eye(4), "ct", "mr")), checks=(),
    fixed_digest="", moving_digest="", made_with="", made_on="", file="a.npz", error_grid=GridEntry.of(GRID),
    field_grid=None,
)  # fmt: skip


def whole() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, errors_mm=np.random.default_rng(0).random(GRID.shape).astype(np.float32))
    return stream.getvalue()


def garbled() -> bytes:
    held = bytearray(whole())
    held[200:240] = b"\xff" * 40
    return bytes(held)


def too_large() -> bytes:
    shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 100), }".ljust(117) + "\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as held:
        held.writestr("errors_mm.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(shape)) + shape.encode())
    return stream.getvalue()


def one_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(GRID.shape, dtype=np.float32))
    return stream.getvalue()


@pytest.mark.parametrize("made", [garbled, too_large, one_array, lambda: whole()[:300], lambda: b"words"])
def test_damaged_arrays_are_one_clear_error(tmp_path, made):
    path = tmp_path / "a.npz"
    path.write_bytes(whole())
    assert registration_of(ENTRY, path).errors.mm.shape == GRID.shape
    path.write_bytes(made())
    with pytest.raises(CaseFolderError, match=r"a\.npz"):
        registration_of(ENTRY, path)
