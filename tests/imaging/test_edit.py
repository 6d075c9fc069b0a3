"""Edits of masks against solids whose truth is known, on grids of any orientation and spacing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.imaging.edit import (
    filled_between_slices,
    grown,
    moved_mm,
    painted,
    smoothed,
    threshold_in_ball,
    without_islands,
)
from navplan.imaging.edit_grids import common_region, inside, onto, same_lattice, with_room
from navplan.model.volume import Volume

CENTRE = np.array([3.2, -7.1, 40.4])
GRIDS = {
    "even": ((1.0, 1.0, 1.0), (0, 0, 0)),
    "thick slices": ((0.8, 0.8, 3.0), (0, 0, 0)),
    "turned": ((0.7, 1.1, 2.0), (20, -35, 50)),
    "head to feet": ((0.9, 0.9, 2.5), (180, 0, 0)),
}


def grid_of(name, half_mm=32.0):
    spacing, angles = GRIDS[name]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    shape = np.ceil(2 * half_mm / np.asarray(spacing)).astype(int)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((shape - 1) / 2) + 0.3
    return Grid(affine, tuple(shape))


def radii(grid, centre=CENTRE):
    centres = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.linalg.norm(centres - centre, axis=-1)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("radius", "mm"), [(15, 2.0), (15, 5.0), (12, 0.7), (20, 9.3), (15, -2.0), (20, -7.5)])
def test_a_ball_grown_or_shrunk_is_a_ball_within_half_a_voxel(name, radius, mm):
    grid = grid_of(name)
    distance = radii(grid)
    result = grown(distance <= radius, grid, mm)
    half = grid.spacing_mm.max() / 2
    assert result[distance <= radius + mm - half].all()
    assert not result[distance > radius + mm + half].any()
    volume = np.count_nonzero(result) * np.prod(grid.spacing_mm)
    assert (volume * 3 / 4 / np.pi) ** (1 / 3) == pytest.approx(radius + mm, abs=0.7 * half)


@pytest.mark.parametrize("name", GRIDS)
def test_shrinking_undoes_growing_within_half_a_voxel(name):
    grid = grid_of(name)
    distance = radii(grid)
    back = grown(grown(distance <= 14, grid, 4.0), grid, -4.0)
    half = grid.spacing_mm.max() / 2
    assert back[distance <= 14 - half].all() and not back[distance > 14 + half].any()


def test_less_than_half_a_voxel_grows_nothing_and_a_flat_face_moves_by_whole_voxels():
    grid = Grid(np.diag([1.0, 1.0, 3.0, 1.0]), (20, 20, 12))
    box = np.zeros(grid.shape, dtype=bool)
    box[8:12, 8:12, 4:7] = True
    assert (grown(box, grid, 0.45) == box).all()
    once = grown(box, grid, 1.6)
    assert once[6:14, 10, 5].all() and once[:, 10, 5].sum() == 8 and once[10, 10, :].sum() == 5  # 1.5 mm to a slice


def test_shrinking_leaves_what_goes_on_where_nobody_looked():
    grid = Grid(np.eye(4), (20, 20, 20))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[5:15, 5:15, 5:12] = True
    beyond = np.zeros(grid.shape, dtype=bool)
    beyond[:, :, 12:] = True
    assert not grown(mask, grid, -2)[:, :, 11].any()
    kept = grown(mask, grid, -2, beyond)
    assert kept[8:12, 8:12, 11].all() and not kept[:, :, 12:].any()


def test_smoothing_keeps_the_volume_and_says_how_far_it_moved():
    grid = grid_of("even")
    distance = radii(grid)
    rough = (distance <= 15) ^ ((np.abs(distance - 15) < 1) & (np.random.default_rng(1).random(grid.shape) < 0.15))
    rough = without_islands(rough, grid)
    result = smoothed(rough, grid, 2.0)
    assert np.count_nonzero(result) == pytest.approx(np.count_nonzero(rough), rel=0.01)
    assert result[distance <= 14].all() and not result[distance > 16].any()
    rms, inwards, outwards = moved_mm(rough, result, grid)
    assert 0 < rms < 1.5 and inwards <= 3 and outwards <= 3
    thin = np.zeros(grid.shape, dtype=bool)
    thin[:, 30, 30] = True
    assert not smoothed(thin, grid, 3.0).any()
    assert moved_mm(thin, np.zeros_like(thin), grid)[0] == np.inf


def test_islands():
    grid = Grid(np.diag([2.0, 1.0, 1.0, 1.0]), (30, 30, 30))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:12, 2:12, 2:12] = True  # 2 ml
    mask[12, 12, 12] = True  # touches by a corner
    mask[20:25, 20:25, 20:30] = True  # 0.5 ml
    mask[28, 2, 2] = True
    assert without_islands(mask, grid).sum() == 1001
    assert without_islands(mask, grid, least_ml=0.5).sum() == 1251
    assert without_islands(mask, grid, least_ml=0.51).sum() == 1001
    assert without_islands(mask, grid, containing_mm=(56, 2, 2)).sum() == 1
    for wrong in ({"containing_mm": (0, 0, 0)}, {"containing_mm": (900, 0, 0)}, {"least_ml": 0}, {"least_ml": np.nan}):
        with pytest.raises(InputError):
            without_islands(mask, grid, **wrong)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cone_is_filled_between_its_slices_within_a_voxel(axis):
    spacing = np.array([0.9, 1.1, 1.0])
    spacing[axis] = 2.5
    shape = np.array([60, 60, 60])
    shape[axis] = 21
    grid = Grid(np.diag([*spacing, 1.0]), tuple(shape))
    centres = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    middle = (shape - 1) * spacing / 2
    across = [n for n in range(3) if n != axis]
    shift = 0.2 * centres[..., axis]
    off = np.hypot(centres[..., across[0]] - middle[across[0]] - shift + 5, centres[..., across[1]] - middle[across[1]])
    outside = off - (20 - 0.3 * centres[..., axis])
    cone = outside <= 0
    drawn = np.zeros_like(cone)
    picked = [slice(None)] * 3
    picked[axis] = slice(0, None, 5)
    drawn[tuple(picked)] = cone[tuple(picked)]
    result, gap = filled_between_slices(drawn, grid, axis)
    assert gap == pytest.approx(12.5)
    assert result[outside < -1.1].all() and not result[outside > 1.1].any()
    assert (result[tuple(picked)] == cone[tuple(picked)]).all()
    with pytest.raises(InputError, match="none missing"):
        filled_between_slices(result, grid, axis)


@pytest.mark.parametrize("name", GRIDS)
def test_a_brush_is_a_ball_a_stroke_a_capsule_and_a_disc_stays_in_its_slice(name):
    grid = grid_of(name)
    none = np.zeros(grid.shape, dtype=bool)
    ball = painted(none, grid, CENTRE, 8.0)
    assert (ball == (radii(grid) <= 8.0)).all()
    ends = np.array([CENTRE - [10, 4, 2], CENTRE + np.array([6, 9, 8])])
    stroke = painted(none, grid, ends, 5.0)
    centres = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    along = ends[1] - ends[0]
    part = np.clip((centres - ends[0]) @ along / (along @ along), 0, 1)
    assert (stroke == (np.linalg.norm(centres - ends[0] - part[..., None] * along, axis=-1) <= 5.0)).all()
    disc = painted(none, grid, CENTRE, 8.0, flat=2)
    assert len(np.unique(np.argwhere(disc)[:, 2])) == 1 and disc.sum() * np.prod(grid.spacing_mm[:2]) > 180
    assert not painted(ball, grid, CENTRE, 8.0, on=False).any()
    assert painted(none, grid, CENTRE + 0.2, 0.01).sum() == 1
    assert not painted(none, grid, CENTRE + 500, 8.0).any()


def test_a_threshold_counts_in_its_ball_alone():
    grid = grid_of("turned")
    distance = radii(grid)
    other = radii(grid, CENTRE + np.array([18, 0, 0]))
    voxels = np.where((distance <= 6) | (other <= 6), 80, 20).astype(np.int16)
    mask, part = threshold_in_ball(Volume(voxels, grid), CENTRE, 10.0, 50, 100)
    there = onto(mask, part, grid, outward=False)
    assert (there == (distance <= 6)).all() and np.prod(part.shape) < np.prod(grid.shape) / 4
    for centre, radius, low, high in [
        (CENTRE, 0, 1, 2), (CENTRE, np.nan, 1, 2), (CENTRE, 5, 2, 1), (CENTRE, 5, np.nan, 1), (CENTRE + 300, 5, 1, 2),
        ([1, 2], 5, 1, 2), ([1, 2, np.inf], 5, 1, 2),
    ]:  # fmt: skip
        with pytest.raises(InputError):
            threshold_in_ball(Volume(voxels, grid), centre, radius, low, high)


def test_masks_of_different_crops_and_lattices_meet():
    image = grid_of("turned")
    distance = radii(image)
    small = image.crop((20, 10, 5), (50, 40, 20))
    part = distance[20:70, 10:50, 5:25] <= 9
    assert same_lattice(small, image).tolist() == [20, 10, 5]
    there = onto(part, small, image, outward=False)
    assert (there[20:70, 10:50, 5:25] == part).all() and there.sum() == part.sum()
    other = grid_of("even")
    assert same_lattice(image, other) is None
    ball, thin = distance <= 12, np.zeros(image.shape, dtype=bool)
    moved = onto(ball, image, other, outward=False)
    wide = onto(ball, image, other, outward=True)
    away = radii(other)
    assert moved[away <= 12 - 1.3].all() and not moved[away > 12 + 1.3].any() and (wide | moved == wide).all()
    thin[:, 29, 16] = True
    coarse = np.diag([6.0, 6.0, 6.0, 1.0])
    coarse[:3, 3] = CENTRE - 30
    touched = onto(thin, image, Grid(coarse, (11, 11, 11)), outward=True)
    assert len(np.argwhere(touched)) > 5
    with pytest.raises(MismatchError):
        onto(ball, Grid(image.affine, image.shape, "1.2"), Grid(image.affine, image.shape, "1.3"), True)


def test_room_ends_where_the_image_ends():
    image = Grid(np.diag([1.0, 1.0, 2.0, 1.0]), (40, 40, 20))
    part = image.crop((2, 10, 10), (5, 5, 5))
    mask = np.random.default_rng(2).random(part.shape) < 0.5
    larger, grid = with_room(mask, part, image, 4.0)
    assert same_lattice(grid, image).tolist() == [0, 5, 7] and grid.shape == (12, 15, 11)
    assert (onto(larger, grid, part, False) == mask).all()
    larger, grid = with_room(mask, part, image, 1.0, [[30, 30, 30]])
    assert grid.shape == (31, 23, 8) and larger.sum() == mask.sum()
    turned = grid_of("turned")
    _, beyond = with_room(mask, turned.crop((2, 10, 10), (5, 5, 5)), turned, 1e3)
    assert same_lattice(beyond, turned).tolist() == [0, 0, 0] and beyond.shape == turned.shape
    assert inside(image, part).sum() == 125 and inside(image, part)[2:7, 10:15, 10:15].all()


def test_the_region_in_which_both_were_looked_for():
    image = Grid(np.diag([1.0, 1.0, 2.0, 1.0]), (40, 40, 20))
    first, second = image.crop((0, 0, 5), (40, 40, 15)), image.crop((10, 0, 0), (30, 40, 10))
    assert common_region(image, first) is first and common_region(first, image) is first
    both = common_region(first, second)
    assert same_lattice(both, image).tolist() == [10, 0, 5] and both.shape == (30, 40, 5)
    for other in (image.crop((10, 0, 0), (30, 40, 5)), grid_of("turned")):
        with pytest.raises(InputError):
            common_region(first, other)


@pytest.mark.parametrize("mm", [0, np.nan, np.inf, -np.inf])
def test_senseless_lengths_are_refused(mm):
    grid = Grid(np.eye(4), (5, 5, 5))
    mask = np.ones((5, 5, 5), dtype=bool)
    for change in (grown, smoothed, lambda mask, grid, mm: painted(mask, grid, (1, 1, 1), mm)):
        with pytest.raises(InputError):
            change(mask, grid, mm)
