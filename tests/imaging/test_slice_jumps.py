"""Motion between slices: a planted shift, a slice left out, one repeated; nothing for a body that changes evenly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.imaging.quality import check_quality
from navplan.imaging.slice_jumps import Jump, slice_jumps
from navplan.model.acquisition import Acquisition, Severity
from navplan.model.volume import Volume

SHAPE, SPACING = (160, 130, 40), (1.5, 1.5, 3.0)
AT = 20


def voxels_of() -> np.ndarray:
    """A body that swells and leans along its length, with organs that come and go."""
    x, y, z = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    rng = np.random.default_rng(0)
    width, depth = 90 + 10 * np.sin(z / 40), 70 + 6 * np.cos(z / 30)
    body = ((x - 120 - 0.08 * z) / width) ** 2 + ((y - 97) / depth) ** 2 < 1
    voxels = np.where(body, 40.0, -1000.0)
    for _ in range(150):
        centre = rng.uniform((60, 50, 0), (180, 150, 120))
        size = rng.uniform((4, 4, 20), (15, 15, 60))
        organ = sum(((axis - c) / s) ** 2 for axis, c, s in zip((x, y, z), centre, size, strict=True)) < 1
        voxels[organ & body] = rng.choice([-100, 0, 90, 150, 300])
    return np.rint(voxels + rng.normal(0, 8, SHAPE)).astype(np.int16)


def image(voxels: np.ndarray, order: tuple[int, int, int] = (0, 1, 2)) -> Volume:
    affine = np.diag([*SPACING, 1.0])
    turned = np.eye(4)
    turned[:3, :3] = affine[:3, :3][:, order]
    array = np.transpose(voxels, order)
    shape = (array.shape[0], array.shape[1], array.shape[2])
    facts = Acquisition(patient_position="HFS", date="2025-01-02", slice_thickness_mm=3.0)
    return Volume(array, Grid(turned, shape), acquisition=facts)


def shifted(voxels: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate([voxels[:, :, :AT], np.roll(voxels[:, :, AT:], 2, axis=axis)], axis=2)


def repeated(voxels: np.ndarray) -> np.ndarray:
    copy = voxels.copy()
    copy[:, :, AT] = copy[:, :, AT - 1]
    return copy


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    return voxels_of()


def test_nothing_where_the_body_changes_evenly(good: np.ndarray) -> None:
    assert slice_jumps(image(good)) == ()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_shift_of_3_mm_is_told(good: np.ndarray, axis: int, order: tuple[int, int, int]) -> None:
    (jump,) = slice_jumps(image(shifted(good, axis), order))
    assert (jump.kind, jump.below) == ("shift", AT - 1) and jump.size == pytest.approx(3.0, abs=0.8)


def test_a_slice_left_out_is_told(good: np.ndarray) -> None:
    (jump,) = slice_jumps(image(np.delete(good, AT, axis=2)))
    assert (jump.kind, jump.below) == ("step", AT - 1)


def test_a_slice_repeated_is_told_once(good: np.ndarray) -> None:
    volume = image(repeated(good))
    assert Jump("repeated", 2, AT - 1, 0.0) in slice_jumps(volume)
    found = [one for one in check_quality(volume) if one.severity is Severity.WARN]
    assert [(one.code, one.severity) for one in found] == [("slice_repeated", Severity.WARN)]
    assert "Slice 21 of 40" in found[0].words and found[0].means


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_hole_of_padding_is_no_jump(good: np.ndarray, order: tuple[int, int, int]) -> None:
    voxels = good.copy()
    voxels[:, :, 20:22] = -2048
    whole = image(voxels, order)
    assert slice_jumps(replace(whole, acquisition=replace(whole.acquisition, padding_hu=-2048.0))) == ()
    assert slice_jumps(whole) != ()  # without its word it is


def test_few_slices_and_empty_ones_tell_nothing(good: np.ndarray) -> None:
    assert slice_jumps(image(good[:, :, :8])) == ()
    assert slice_jumps(image(np.full(SHAPE, -1000, np.int16))) == ()
