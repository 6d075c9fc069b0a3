"""The body mask: couch outside, air inside, padding neither, in any orientation."""

from itertools import permutations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.imaging.body import find_body, find_padding
from navplan.imaging.canonical import CanonicalOrder, coarser, dilated, eroded, finer
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice, make_chest

COARSE = (5.0, 5.0, 6.0)


def turned(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same image with its array axes permuted and flipped, and the affine to match."""
    voxels = volume.voxels.transpose(order)
    affine = volume.grid.affine.copy()
    affine[:3, :3] = affine[:3, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
            voxels = np.flip(voxels, axis)
    grid = Grid(affine, voxels.shape, volume.grid.frame_uid)
    return Volume(voxels, grid, volume.modality, volume.quantity, volume.acquisition)


def turned_array(array, order, flips):
    result = array.transpose(order)
    for axis, flip in enumerate(flips):
        if flip:
            result = np.flip(result, axis)
    return result


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 4.0), (1.4, 1.4, 8.0), (0.9, 1.1, 10.0)])
def test_body_is_what_lies_inside_the_skin(spacing):
    chest = make_chest(chest_grid(spacing))
    found = find_body(chest.volume)
    assert dice(found.body, chest.truth["body"]) > 0.985
    for name in ("lung_left", "lung_right", "trachea", "bone"):
        assert found.body[chest.truth[name]].all()
    assert not found.padding.any()
    behind = chest.volume.grid.points_mm(np.argwhere(found.body))[:, 1].max()
    assert behind < 110 + 1.5 * spacing[1]  # couch top and foam begin at 116 mm


def test_each_voxel_is_body_or_air_or_padding():
    found = find_body(make_chest(chest_grid((4.0, 4.0, 5.0), (360.0, 360.0, 100.0)), padded=True).volume)
    assert (found.body.astype(int) + found.outside_air + found.padding == 1).all()


def test_padding_is_neither_body_nor_air_where_the_field_of_view_cuts_the_body():
    chest = make_chest(chest_grid((3.0, 3.0, 5.0), (280.0, 280.0, 100.0)), padded=True)
    found = find_body(chest.volume)
    assert (found.padding == chest.truth["padding"]).all()
    assert dice(found.body, chest.truth["body"]) > 0.985
    assert found.body[ndimage.binary_dilation(found.padding) & chest.truth["body"]].mean() > 0.99


@pytest.mark.parametrize("padded", [True, False])
def test_lung_that_a_small_field_of_view_cuts_is_inside(padded):
    chest = make_chest(chest_grid((2.0, 2.0, 5.0), (130.0, 130.0, 60.0), (110.0, 0.0, 0.0)), padded=padded)
    lung = chest.truth["lung_left"]
    assert lung[0].any() or padded
    found = find_body(chest.volume)
    assert found.body[lung].all()
    assert dice(found.body, chest.truth["body"]) > 0.98


def test_air_between_arm_and_chest_is_outside_though_a_ring_closes_around_it():
    chest = make_chest(chest_grid((3.0, 3.0, 4.0), (420.0, 420.0, 160.0)), arch=True)
    gap = chest.truth["gap"]
    assert gap.any()
    found = find_body(chest.volume)
    assert found.body[gap].mean() < 0.02
    assert found.body[chest.truth["lung_left"]].all()


def test_nothing_but_air_has_no_body():
    grid = chest_grid((8.0, 8.0, 8.0))
    rng = np.random.default_rng(1)
    air = Volume(np.rint(rng.normal(-1000, 10, grid.shape)).astype(np.int16), grid)
    assert not find_body(air).body.any()


@settings(max_examples=8, deadline=None)
@given(order=st.sampled_from(list(permutations(range(3)))), flips=st.tuples(*[st.booleans()] * 3))
def test_same_body_however_the_array_is_stored(order, flips):
    volume = make_chest(chest_grid(COARSE, (360.0, 360.0, 100.0)), padded=True).volume
    plain, other = find_body(volume), find_body(turned(volume, order, flips))
    for name in ("body", "outside_air", "padding"):
        assert (turned_array(getattr(plain, name), order, flips) == getattr(other, name)).all()


def test_corners_with_the_value_of_air_are_padding_only_where_air_varies():
    volume = make_chest(chest_grid((4.0, 4.0, 8.0), (400.0, 400.0, 40.0))).volume
    voxels = np.array(volume.voxels)
    middle = (np.asarray(voxels.shape[:2]) - 1) / 2
    i, j = np.indices(voxels.shape[:2])
    corners = np.hypot(i - middle[0], j - middle[1]) > voxels.shape[0] / 2 * 1.02
    voxels[corners] = -1024
    assert (find_padding(Volume(voxels, volume.grid))[corners]).mean() > 0.97
    flat = np.where(volume.voxels < -500, -1000, volume.voxels).astype(np.int16)
    assert not find_padding(Volume(flat, volume.grid)).any()


def test_stated_padding_counts_where_it_fills_the_corners():
    volume = make_chest(chest_grid((4.0, 4.0, 8.0), (400.0, 400.0, 40.0)), padded=True).volume
    voxels = np.where(volume.voxels == -2048, -1200, volume.voxels).astype(np.int16)
    found = find_padding(Volume(voxels, volume.grid, acquisition=Acquisition(padding_hu=-1200.0)))
    assert (found == (voxels == -1200)).mean() > 0.999


@settings(max_examples=25, deadline=None)
@given(order=st.sampled_from(list(permutations(range(3)))), flips=st.tuples(*[st.booleans()] * 3))
def test_canonical_order_points_left_posterior_superior_and_back(order, flips):
    grid = chest_grid((30.0, 35.0, 40.0))
    volume = Volume(np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape), grid)
    other = turned(volume, order, flips)
    canonical = CanonicalOrder.of(other.grid)
    assert (canonical.apply(other.voxels) == volume.voxels).all()
    assert (canonical.undo(canonical.apply(other.voxels)) == other.voxels).all()
    assert np.allclose(canonical.spacing_mm(other.grid), grid.spacing_mm)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    radius_mm=st.floats(0.0, 6.0),
    spacing=st.tuples(*[st.floats(0.7, 5.0)] * 3),
)
def test_morphology_is_that_of_itk(seed, shape, radius_mm, spacing):
    mask = np.random.default_rng(seed).random(shape) > 0.9
    radius = [int(radius_mm / step + 1e-6) for step in spacing]
    room = max(radius) + 1
    padded = sitk.GetImageFromArray(np.ascontiguousarray(np.pad(mask, room).T.astype(np.uint8)))
    inner = tuple(slice(room, room + size) for size in shape)
    grown = sitk.GetArrayFromImage(sitk.BinaryDilate(padded, radius, sitk.sitkBall)).T[inner] > 0
    assert (dilated(mask, radius_mm, spacing) == grown).all()
    filled = sitk.GetImageFromArray(np.ascontiguousarray(np.pad(~mask, room, constant_values=True).T.astype(np.uint8)))
    shrunk = sitk.GetArrayFromImage(sitk.BinaryErode(filled, radius, sitk.sitkBall)).T[inner] > 0
    assert (eroded(~mask, radius_mm, spacing) == shrunk).all()  # the mask is taken to go on outside


def test_coarser_is_the_mean_of_blocks_and_finer_gives_the_shape_back():
    array = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    coarse = coarser(array, (2, 1, 3))
    assert coarse.shape == (3, 4, 1)
    assert coarse[1, 2, 0] == array[2:4, 2, :].mean()
    assert coarse[2, 0, 0] == array[4, 0, :].mean()
    assert finer(coarse, (2, 1, 3), array.shape).shape == array.shape
