"""On which side the couch is found: on drawn images, and on every real CT whose couch is in the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import navplan as nv
from navplan.geometry.grid import Grid
from navplan.imaging.couch import couch_side
from navplan.model.volume import Volume

BEHIND, BEFORE = (0, 1, 0), (0, -1, 0)
SPACING_MM = (1.6, 1.6, 4.0)
HALF_MM = np.array([180.0, 160.0, 80.0])
REAL = {
    "lidc0001_chest_ct": "cxr_int16.nii.gz",
    "crlm1004_abdomen_ct": "",
    "ts_abdomen_pelvis_ct": "example_ct.nii.gz",
    "ts_thorax_cta_dissection": "example_ct.nii.gz",
    "sts002_ct_mr_pet": "CT/image",
}


def drawn(couch: bool = True, blanket: bool = False, strap_mm: float = 0.0, tube: bool = False) -> Volume:
    """An oval body of 260 x 180 mm; a couch behind it; a blanket before it, that lies otherwise on each slice; a taut
    strap before it, so wide along the body; a tube of 8 mm along it."""
    shape = tuple(int(n) for n in np.ceil(2 * HALF_MM / SPACING_MM))
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = -HALF_MM
    grid = Grid(affine, (shape[0], shape[1], shape[2]))
    x, y, z = (np.asarray(axis) for axis in grid.points_mm(np.indices(shape).reshape(3, -1).T).T.reshape(3, *shape))
    voxels = np.random.default_rng(1).normal(-1000.0, 25.0, shape)
    voxels[(x / 130.0) ** 2 + (y / 90.0) ** 2 <= 1.0] = 30.0
    if couch:
        voxels[_arc(x, y, 400.0, 100.0, 4.0)] = -150.0
    if blanket:
        lifted = 110.0 + 20.0 * np.sin(z / 6.0) + 8.0 * np.sin(x / 15.0 + z)
        voxels[(np.abs(y + lifted) < 2.5) & (np.abs(x) < 140.0)] = -300.0
    if strap_mm:
        voxels[(np.abs(z) < strap_mm / 2) & _arc(x, -y, 400.0, 100.0, 4.0)] = -150.0
    if tube:
        voxels[np.hypot(x - 20.0, y + 110.0) < 4.0] = 100.0
    return Volume(np.asfortranarray(np.rint(voxels).astype(np.int16)), grid)


def _arc(x: NDArray[np.float64], y: NDArray[np.float64], radius: float, at: float, thick: float) -> NDArray[np.bool_]:
    """A trough that curves upwards to either side, its lowest point `at` mm behind the middle."""
    from_axis = np.hypot(x, y - (at - radius))
    return np.asarray((np.abs(from_axis - radius) < thick / 2) & (np.abs(x) < 160.0) & (y > 0))


def turned(volume: Volume, turn: NDArray[np.float64]) -> Volume:
    """The same about the image's middle."""
    middle = volume.grid.corners_mm().mean(axis=0)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, middle - turn @ middle
    return replace(volume, grid=Grid(motion @ volume.grid.affine, volume.grid.shape, volume.grid.frame_uid))


def about_z(degrees: float) -> NDArray[np.float64]:
    """(3, 3) from left towards posterior."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


@pytest.mark.parametrize(
    ("degrees", "side"), [(0, BEHIND), (180, BEFORE), (90, (-1, 0, 0)), (-90, (1, 0, 0)), (8, BEHIND)]
)
def test_the_couch_is_found_however_the_patient_lies(degrees: float, side: tuple[int, int, int]) -> None:
    assert couch_side(turned(drawn(), about_z(degrees))) == side


def test_what_lies_on_the_patient_is_no_couch() -> None:
    assert couch_side(drawn(blanket=True, tube=True)) == BEHIND
    assert couch_side(drawn(couch=False, blanket=True, tube=True)) is None
    assert couch_side(drawn(couch=False, strap_mm=50.0)) is None
    assert couch_side(drawn(strap_mm=160.0)) is None  # a plate before and a couch behind: not told


def test_nothing_is_told_without_a_couch_of_few_slices_or_of_what_is_no_ct() -> None:
    volume = drawn()
    few = Volume(np.asfortranarray(volume.voxels[:, :, :10]), volume.grid.crop((0, 0, 0), (*volume.grid.shape[:2], 10)))
    assert couch_side(drawn(couch=False)) is None
    assert couch_side(few) is None
    assert couch_side(replace(volume, quantity="signal", modality="MR")) is None
    empty = Volume(np.full((4, 4, 40), -1000, np.int16), Grid(np.diag([1.0, 1.0, 4.0, 1.0]), (4, 4, 40)))
    assert couch_side(empty) is None


@pytest.mark.parametrize("name", REAL)
def test_every_real_ct_with_a_couch_shows_a_patient_on_the_back(name: str, real_images: Path) -> None:
    volume = nv.import_images(real_images / name / REAL[name], image_id="ct").volumes["ct"]
    assert couch_side(volume) == BEHIND
    assert couch_side(turned(volume, about_z(180.0))) == BEFORE


@pytest.mark.parametrize("name", [name for name in REAL if name != "sts002_ct_mr_pet"])
def test_however_a_real_ct_is_cut_no_wrong_side_is_told(name: str, real_images: Path) -> None:
    volume = nv.import_images(real_images / name / REAL[name], image_id="ct").volumes["ct"]
    told = []
    for axis in range(2):
        for share in np.linspace(0.05, 0.6, 12):
            for low in (True, False):
                kept = [int(n) for n in volume.grid.shape]
                kept[axis] = int(kept[axis] * (1 - share))
                start = [0, 0, 0]
                start[axis] = 0 if low else volume.grid.shape[axis] - kept[axis]
                box = tuple(slice(first, first + size) for first, size in zip(start, kept, strict=True))
                i, j, k = kept
                grid = volume.grid.crop((start[0], start[1], start[2]), (i, j, k))
                told.append(couch_side(replace(volume, voxels=volume.voxels[box], grid=grid)))
    assert BEHIND in told and set(told) <= {BEHIND, None}
