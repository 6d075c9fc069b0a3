"""The fast projector against the one by rays, closed forms, and what any projector must do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.special import ndtr

from navplan.fluoroscopy.anatomy import binned
from navplan.fluoroscopy.packed import GAP, _pack, pack
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.shear_warp import _add_planes, _to_detector, principal_axis, slice_integrals
from navplan.geometry import compiled
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.grid import Grid
from navplan_phantoms.primitives import Box, Capsule, Sphere
from tests.fluoroscopy.test_project import (
    CARM,
    COARSE,
    FEW,
    SMALL,
    away_from_edges,
    away_from_silhouette,
    flips,
    grid_about,
    rotations,
    scene,
    smooth_field,
    true_chords,
    views,
    voxels_of,
)

SAME = np.arange(-32768, 32768).astype(np.int16)
STEEP = (ViewAngles(0, 0), ViewAngles(90, 0), ViewAngles(-30, 15), ViewAngles(40, -30), ViewAngles(0, 42))


def counted(values):
    """int16 counts of values, and what one count is."""
    scale = float(np.abs(values).max()) / 32767
    return np.rint(values / scale).astype(np.int16), scale


def sliced(values, grid, beam, detector, outer_above=-32768):
    """The image by slices, as `line_integrals` has it by rays."""
    counts, scale = counted(values)
    return slice_integrals(pack(counts, principal_axis(grid, beam), SAME, scale, outer_above), grid, beam, detector)


def like_tissue(grid, seed):
    """About 1, with speckle that a scanner has blurred, falling to 0 towards the grid's ends."""
    values = 1.0 + gaussian_filter(np.random.default_rng(seed).normal(0.0, 0.6, grid.shape), 1.0)
    for axis, count in enumerate(grid.shape):
        near = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / 6, 0, 1)
        values *= (near**2 * (3 - 2 * near)).reshape([-1 if axis == other else 1 for other in range(3)])
    return values.astype(np.float32)


def apart(image, reference):
    """Relative to the whole reference, as FLUORO's tables have it."""
    return float(np.linalg.norm(image - reference) / np.linalg.norm(reference))


@FEW
@given(views, rotations, flips, st.integers(0, 99))
def test_it_agrees_with_rays_in_any_view_of_any_grid(angles, rotation, flip, seed):
    grid = grid_about((5, -3, 2), rotation, (1.0, 1.5, 3.0), 30.0, flip)
    values = like_tissue(grid, seed)
    beam = Beam.of(angles, (0, 0, 0), CARM)
    image = sliced(values, grid, beam, SMALL)
    assert image is not None and apart(image, line_integrals(values, grid, beam, SMALL)) < 1e-3


@pytest.mark.parametrize("angles", STEEP)
@pytest.mark.parametrize("order", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_it_agrees_with_rays_on_grids_of_every_handedness(angles, order):
    grid = grid_about((0, 10, -20), Rotation.from_euler("xyz", (4, -7, 12), degrees=True), (0.9, 0.9, 2.0), 50.0, order)
    values = like_tissue(grid, 3) + voxels_of(Sphere((8.0, 5.0, -12.0), 30.0), grid, 2.0)
    beam = Beam.of(angles, (0, 0, 0), CARM)
    image = sliced(values, grid, beam, Detector(96, 128, 1.6))
    assert image is not None
    assert apart(image, line_integrals(values, grid, beam, Detector(96, 128, 1.6))) < 5e-4
    mirrored = image[:, ::-1]
    assert apart(mirrored, line_integrals(values, grid, beam, Detector(96, 128, 1.6))) > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_chords_of_spheres_boxes_and_tubes_to_two_thousandths_of_the_longest(seed):
    """But near silhouettes, edges and the tube's rim, where the voxels' blur changes what the true chord would be."""
    beam, rotation, spacing, centre, flip = scene(seed + 50, 0.6, 1.1)
    sigma, turn = spacing.max(), Rotation.random(random_state=seed + 149).as_matrix()
    away = turn @ np.array([0.0, 0.0, 40.0])
    sphere, box = Sphere(centre, 55.0), Box(centre, (56.0, 46.0, 36.0), turn)
    tube, inner = (Capsule(centre - away, centre + away, radius) for radius in (20.0, 12.0))
    grid = grid_about(centre, rotation, spacing, 82.0 + 4 * sigma, flip)
    for solid, far in (
        (sphere, away_from_silhouette(sphere, beam, COARSE, 10.0)),
        (box, away_from_edges(box, beam, COARSE, 5 * sigma)),
        (tube, true_chords(inner, beam, COARSE) > 0.0),
    ):
        values = soft_rim(tube, grid, sigma) if solid is tube else voxels_of(solid, grid, sigma)
        image, chords = sliced(values, grid, beam, COARSE), true_chords(solid, beam, COARSE)
        assert image is not None and far.any()
        assert (np.abs(image - chords) / chords.max())[far].max() < (4e-3 if solid is tube else 2e-3)


def soft_rim(solid, grid, sigma_mm):
    """[i, j, k] float32: a solid blurred as where its surface is flat."""
    points = grid.points_mm(np.stack(np.indices(grid.shape), axis=-1)).reshape(-1, 3)
    return ndtr(-solid.signed_distance_mm(points) / sigma_mm).reshape(grid.shape).astype(np.float32)


def test_what_is_air_is_left_out_and_nothing_else():
    rng = np.random.default_rng(2)
    counts = np.zeros((40, 37, 90), dtype=np.int16)
    counts[5:30, 3:35, 10:20] = rng.integers(1, 900, (25, 32, 10))
    counts[5:30, 3:35, 60:85] = rng.integers(1, 900, (25, 32, 25))
    counts[8, 20, 40] = 7
    counts[0, 0, 0] = counts[39, 36, 89] = 5  # corners count too
    grid = Grid(np.diag([1.0, 1.2, 0.8, 1.0]), counts.shape)
    for axis, angles in ((0, ViewAngles(90, 0)), (1, ViewAngles(0, 0)), (2, ViewAngles(0, 88))):
        packed = pack(counts, axis, SAME, 1.0, -32768)
        assert packed.samples.size < 0.6 * counts.size and packed.filled is not None
        beam = Beam.of(angles, grid.points_mm((np.asarray(grid.shape) - 1) / 2), CARM)
        image = slice_integrals(packed, grid, beam, SMALL, 0.05)  # hard-edged voxels need a fine base plane
        assert image is not None and apart(image, line_integrals(counts, grid, beam, SMALL)) < 1e-3


def test_rows_end_at_their_outermost_tissue_and_keep_what_is_inside():
    hu = np.full((80, 1, 1), -990, dtype=np.int16)  # noisy air
    hu[20:60], hu[20], hu[59] = -980, 40, 40  # a bulla between two walls
    table = np.maximum(SAME.astype(np.int32) + 1000, 0).astype(np.int16)
    packed = pack(hu, 1, table, 1.0, -950)  # rows along i
    assert packed.first.tolist() == [20] and int(packed.samples.sum()) == 2 * 1040 + 38 * 20
    assert int(pack(hu, 1, table, 1.0, -32768).samples.sum()) == 2 * 1040 + 38 * 20 + 40 * 10


def test_zeros_between_two_runs_are_left_out_from_a_gap_on():
    for gap in (GAP - 1, GAP, GAP + 1, 3 * GAP):
        counts = np.zeros((100, 1, 1), dtype=np.int16)
        counts[3], counts[4 + gap] = 9, 8
        packed = pack(counts, 1, SAME, 1.0, -32768)  # rows along i
        assert packed.first.size == (1 if gap < GAP else 2)
        assert int(packed.samples.sum()) == 17 and packed.samples[0] == packed.samples[-1] == 0


def test_nothing_gives_zero_and_what_lies_beside_the_beam_too():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 20.0)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CARM)
    empty = pack(np.zeros(grid.shape, np.int16), 1, SAME, 1.0, -32768)
    assert empty.filled is None
    blank = slice_integrals(empty, grid, beam, SMALL)
    assert blank is not None and blank.max() == 0.0
    beside = Beam.of(ViewAngles(0, 0), (400, 0, 0), CARM)
    image = slice_integrals(pack(np.ones(grid.shape, np.int16), 1, SAME, 1.0, -32768), grid, beside, SMALL)
    assert image is None or image.max() == 0.0


def test_it_says_none_where_slices_cannot_tell():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 20.0)
    packed = pack(np.ones(grid.shape, np.int16), 1, SAME, 1.0, -32768)
    for shift in (CARM.sid_mm - CARM.sod_mm, -CARM.sod_mm, CARM.sid_mm, -CARM.sod_mm - 60.0):
        assert slice_integrals(packed, grid, Beam.of(ViewAngles(0, 0), (0, shift, 0), CARM), SMALL) is None


@FEW
@given(views, rotations, st.tuples(*[st.floats(-300, 300)] * 3))
def test_a_rigid_motion_of_everything_leaves_the_image_unchanged(angles, motion, shift):
    grid = grid_about((0, 0, 0), Rotation.from_euler("y", 15, degrees=True), (1.0, 1.5, 2.0), 30.0)
    values = np.abs(smooth_field(grid, 5))
    beam, turn, affine = Beam.of(angles, (0, 0, 0), CARM), motion.as_matrix(), np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, shift
    moved = Beam(
        turn @ beam.source_mm + shift, turn @ beam.detector_centre_mm + shift, turn @ beam.columns, turn @ beam.up
    )
    still = sliced(values, grid, beam, SMALL)
    image = sliced(values, Grid(affine @ grid.affine, grid.shape), moved, SMALL)
    assert still is not None and image is not None and np.abs(image - still).max() < 1e-4 * np.abs(still).max()


def test_a_single_row_a_single_column_and_a_single_slice_can_be_asked_for():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 20.0)
    values = np.abs(smooth_field(grid, 1))
    for detector in (Detector(1, 40, 2.0), Detector(40, 1, 2.0), Detector(1, 1, 2.0)):
        image = sliced(values, grid, Beam.of(ViewAngles(10, 5), (0, 0, 0), CARM), detector)
        rays = line_integrals(values, grid, Beam.of(ViewAngles(10, 5), (0, 0, 0), CARM), detector)
        assert image is not None and np.allclose(image, rays, atol=5e-3 * rays.max())
    flat = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (30, 1, 30))
    thin = np.full(flat.shape, 3.0, np.float32)
    beam = Beam.of(ViewAngles(0, 0), (29, 0, 29), CArm())
    image, rays = sliced(thin, flat, beam, SMALL), line_integrals(thin, flat, beam, SMALL)
    assert image is not None and abs(image[20, 22] - rays[20, 22]) < 1e-3 * rays[20, 22]


def test_binned_voxels_keep_their_place_and_sum():
    grid = grid_about((3, 4, 5), Rotation.from_euler("x", 30, degrees=True), (0.7, 0.7, 2.0), 20.0)
    values = (1000 * np.abs(smooth_field(grid, 4))).astype(np.int16)
    coarse, wide = binned(values, grid, (1.4, 1.4, 1.4))
    assert np.allclose(wide.spacing_mm, (1.4, 1.4, 2.0)) and coarse.dtype == np.int16
    before = np.average(
        grid.points_mm(np.stack(np.indices(grid.shape), -1)).reshape(-1, 3), axis=0, weights=values.ravel()
    )
    after = np.average(
        wide.points_mm(np.stack(np.indices(wide.shape), -1)).reshape(-1, 3), axis=0, weights=coarse.ravel()
    )
    assert np.allclose(before, after, atol=0.1)
    assert (binned(values, grid, (0.5, 0.5, 0.5))[0] == values).all()
    padded = np.where(values > 900, np.int16(77), values)
    assert binned(padded, grid, (1.4,) * 3, 77.0)[0].mean() < binned(padded, grid, (1.4,) * 3)[0].mean()


def test_the_compiled_kernels_agree_with_the_plain_functions(monkeypatch):
    grid = grid_about((0, 0, 0), Rotation.from_euler("z", 9, degrees=True), (4.0, 4.0, 5.0), 30.0)
    values = np.abs(smooth_field(grid, 8))
    beam, few = Beam.of(ViewAngles(12, 8), (0, 0, 0), CARM), Detector(12, 14, 8.0)
    fast = sliced(values, grid, beam, few)
    for module, kernel in (("packed", _pack), ("shear_warp", _add_planes), ("shear_warp", _to_detector)):
        assert isinstance(kernel, compiled.CompiledKernel)
        monkeypatch.setattr(f"navplan.fluoroscopy.{module}.{kernel.__name__}", kernel.python)
    plain = sliced(values, grid, beam, few)
    assert fast is not None and plain is not None and np.allclose(fast, plain, rtol=1e-5, atol=1e-5 * fast.max())


def test_a_sharp_edge_along_the_rays_leaves_no_amount_below_nothing():
    """The cubic step to the detector overshoots there; a negative amount has no attenuation."""
    grid = Grid(np.diag([1.0, 1.0, 1.0, 1.0]), (60, 60, 60))
    values = np.ones(grid.shape, np.float32)
    beam = Beam.of(ViewAngles(0, 0), (29.5, 29.5, 59.75), CARM)
    for finest in (0.25, 1.0):
        counts, scale = counted(values)
        image = slice_integrals(pack(counts, 1, SAME, scale, -32768), grid, beam, Detector(128, 128, 0.6), finest)
        assert image is not None and image.min() == 0.0 and image.max() < 1.1 * 60 * 1.1
