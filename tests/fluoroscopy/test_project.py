"""The projector against analytic chords, a double-precision reference, and properties that any projector has."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from scipy.special import erf, ndtr

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.project import cut_at_edge, line_integrals, rays
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.grid import Grid
from navplan_phantoms.primitives import Box, Sphere

CARM = CArm()
SMALL = Detector(40, 44, 4.0)
COARSE = Detector(30, 33, 6.0)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
rotations = st.tuples(*[st.floats(-180, 180)] * 3).map(lambda angles: Rotation.from_euler("zyx", angles, degrees=True))
views = st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(lambda angles: ViewAngles(*angles))
flips = st.tuples(*[st.sampled_from([-1, 1])] * 3)


def grid_about(centre_mm, rotation, spacing_mm, half_size_mm, handedness=(1, 1, 1)):
    """A grid of any orientation whose box holds a cube of that half size about a point."""
    axes = rotation.as_matrix() * handedness
    shape = tuple(int(n) for n in 2 * np.ceil(half_size_mm / np.asarray(spacing_mm)) + 4)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(affine, shape)


def blurred(solid, points, sigma_mm):
    """The solid's density as a scanner with a Gaussian point spread sees it, in closed form; points (..., 3)."""
    offset = points - solid.centre
    if isinstance(solid, Sphere):
        r, width = np.maximum(np.linalg.norm(offset, axis=-1), 1e-3), np.sqrt(2) * sigma_mm
        inner, outer = (r - solid.radius) / width, (r + solid.radius) / width
        rim = sigma_mm / (np.sqrt(2 * np.pi) * r) * (np.exp(-(inner**2)) - np.exp(-(outer**2)))
        return 0.5 * (erf(outer) - erf(inner)) - rim
    local = offset @ solid.rotation
    high, low = (local + solid.half_sizes) / sigma_mm, (local - solid.half_sizes) / sigma_mm
    return np.prod(ndtr(high) - ndtr(low), axis=-1)


def voxels_of(solid, grid, sigma_mm):
    """[i, j, k] float32: the blurred solid at the voxel centres."""
    slabs = [np.stack(np.broadcast_arrays(i, *np.indices(grid.shape[1:])), axis=-1) for i in range(grid.shape[0])]
    return np.stack([blurred(solid, grid.points_mm(slab), sigma_mm) for slab in slabs]).astype(np.float32)


def true_chords(solid, beam, detector):
    """(rows, cols) mm by the solid's own closed form, which shares no code with the projector."""
    row, column = np.meshgrid(np.arange(detector.rows), np.arange(detector.cols), indexing="ij")
    ends = beam.pixels_mm(column, row, detector).reshape(-1, 3)
    return np.array([solid.chord_mm(beam.source_mm, end) for end in ends]).reshape(row.shape)


def reference_integrals(values, grid, beam, detector, steps_a_voxel=10):
    """Trilinear interpolation at a tenth of the smallest spacing along each ray, in double precision, 0 outside."""
    padded = np.pad(values.astype(np.float64), 1)
    direction, lengths = rays(beam, detector)
    middle = float(np.linalg.norm(grid.corners_mm().mean(axis=0) - beam.source_mm))
    reach = float(np.linalg.norm(grid.corners_mm()[0] - grid.corners_mm()[7])) / 2 + 2 * grid.diagonal_mm
    step = float(grid.spacing_mm.min()) / steps_a_voxel
    at = np.arange(max(middle - reach, step / 2), min(middle + reach, float(lengths.max())), step)
    image = np.zeros(lengths.shape)
    for row in range(detector.rows):
        points = beam.source_mm + direction[row, :, None, :] * at[:, None]
        indices = grid.indices(points) + 1.0
        samples = map_coordinates(padded, np.moveaxis(indices, -1, 0), order=1, mode="constant")
        image[row] = (samples * (at <= lengths[row, :, None])).sum(axis=1) * step
    return image


def away_from_silhouette(sphere, beam, detector, band_mm):
    """Pixels whose ray passes the sphere's surface at more than band_mm."""
    direction, _ = rays(beam, detector)
    offset = sphere.centre - beam.source_mm
    along = direction @ offset
    return np.abs(np.sqrt(np.maximum(offset @ offset - along**2, 0.0)) - sphere.radius) > band_mm


def away_from_edges(box, beam, detector, band_mm):
    """Pixels whose ray passes every edge of a box at more than band_mm, and grazes no face (sine above .2)."""
    direction, _ = rays(beam, detector)
    corners = np.array([[(-1, 1)[bit >> axis & 1] for axis in range(3)] for bit in range(8)]) * box.half_sizes
    far = np.abs(direction @ box.rotation).min(axis=-1) > 0.2
    for one, two in [(a, b) for a in range(8) for b in range(a) if (corners[a] != corners[b]).sum() == 1]:
        for share in np.linspace(0, 1, 80):
            local = corners[one] + share * (corners[two] - corners[one])
            point = box.centre + box.rotation @ local - beam.source_mm
            far &= point @ point - (direction @ point) ** 2 > band_mm**2
    return far


def scene(seed, finest_mm, coarsest_mm):
    """Random view, volume orientation, spacing and centre."""
    random = np.random.default_rng(seed)
    spacing = random.uniform(finest_mm, coarsest_mm, 3)
    beam = Beam.of(ViewAngles(random.uniform(-180, 180), random.uniform(-90, 90)), (0, 0, 0), CARM)
    return beam, Rotation.random(random_state=seed), spacing, random.uniform(-10, 10, 3), random.choice([-1, 1], 3)


@pytest.mark.parametrize("seed", range(4))
def test_chords_of_a_sphere_to_a_thousandth_of_the_longest(seed):
    """But for a rim of 10 mm, where the voxels' own blur (.6 voxel) changes what the true chord would be."""
    beam, rotation, spacing, centre, flip = scene(seed, 0.5, 0.8)
    sphere, sigma = Sphere(centre, 60.0), 0.6 * spacing.max()
    grid = grid_about(centre, rotation, spacing, 60.0 + 5 * sigma, flip)
    image = line_integrals(voxels_of(sphere, grid, sigma), grid, beam, COARSE)
    chords = true_chords(sphere, beam, COARSE)
    error = np.abs(image - chords) / chords.max()
    assert error[away_from_silhouette(sphere, beam, COARSE, 10.0)].max() < 1e-3
    assert np.sqrt((error**2).mean()) < 1e-2  # the rim too


@pytest.mark.parametrize("seed", range(4))
def test_chords_of_a_box_to_a_thousandth_of_the_longest(seed):
    """But near its edges (5 sigma) and along faces that a ray only grazes."""
    beam, rotation, spacing, centre, flip = scene(seed + 50, 0.6, 1.1)
    box = Box(centre, (56.0, 46.0, 36.0), Rotation.random(random_state=seed + 99).as_matrix())
    sigma = spacing.max()
    grid = grid_about(centre, rotation, spacing, 82.0 + 4 * sigma, flip)
    image = line_integrals(voxels_of(box, grid, sigma), grid, beam, COARSE)
    chords = true_chords(box, beam, COARSE)
    error = np.abs(image - chords) / chords.max()
    far = away_from_edges(box, beam, COARSE, 5 * sigma)
    assert far.any() and error[far].max() < 1e-3


@pytest.mark.parametrize("seed", range(2))
def test_every_pixel_of_a_blurred_solid_to_a_thousandth_of_the_largest(seed):
    """No pixel left out: against the closed-form density, integrated along the ray in steps of .5 mm."""
    beam, rotation, spacing, centre, flip = scene(seed + 200, 0.5, 0.8)
    turn = Rotation.random(random_state=seed).as_matrix()
    solid = Sphere(centre, 45.0) if seed % 2 else Box(centre, (40.0, 33.0, 26.0), turn)
    grid = grid_about(centre, rotation, spacing, 80.0, flip)
    image = line_integrals(voxels_of(solid, grid, 4.0), grid, beam, COARSE)
    direction, _ = rays(beam, COARSE)
    middle = float(np.linalg.norm(solid.centre - beam.source_mm))
    along = np.arange(middle - 90, middle + 90, 0.5)[:, None]
    truth = [[blurred(solid, beam.source_mm + along * ray, 4.0).sum() * 0.5 for ray in row] for row in direction]
    assert np.abs(image - truth).max() < 1e-3 * np.max(truth)


def test_a_reference_in_double_precision_agrees_even_with_thick_slices():
    detector = Detector(24, 24, 6.0)
    for spacing, angles in (
        ((0.7, 0.7, 5.0), ViewAngles(0, 0)),
        ((0.7, 0.7, 5.0), ViewAngles(35, 40)),
        ((2.0, 0.8, 1.0), ViewAngles(90, -20)),
        ((1.0, 1.0, 1.0), ViewAngles(0, 85)),
    ):
        grid = grid_about((5, 0, -5), Rotation.from_euler("xyz", (10, -20, 30), degrees=True), spacing, 45.0)
        values = voxels_of(Sphere((5.0, 0.0, -5.0), 30.0), grid, 3.0)
        beam = Beam.of(angles, (0, 0, 0), CARM)
        image = line_integrals(values, grid, beam, detector)
        reference = reference_integrals(values, grid, beam, detector)
        assert np.abs(image - reference).max() < 1e-3 * reference.max()


def smooth_field(grid, seed):
    """Random numbers on a grid, without sharp edges."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=grid.shape)
    return gaussian_filter(noise, 2.0, mode="constant").astype(np.float32) * 10


@FEW
@given(views, rotations, st.tuples(*[st.floats(-300, 300)] * 3), rotations, st.integers(0, 99))
def test_a_rigid_motion_of_everything_leaves_the_image_unchanged(angles, motion, shift, rotation, seed):
    grid = grid_about((0, 0, 0), rotation, (1.0, 1.5, 3.0), 30.0)
    values = smooth_field(grid, seed)
    beam = Beam.of(angles, (0, 0, 0), CARM)
    turn = motion.as_matrix()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, shift
    moved = Beam(
        turn @ beam.source_mm + shift, turn @ beam.detector_centre_mm + shift, turn @ beam.columns, turn @ beam.up
    )
    still = line_integrals(values, grid, beam, SMALL)
    image = line_integrals(values, Grid(affine @ grid.affine, grid.shape), moved, SMALL)
    assert np.abs(image - still).max() < 1e-4 * np.abs(still).max()


@FEW
@given(views, st.permutations([0, 1, 2]), flips, st.integers(0, 99))
def test_the_order_and_direction_of_the_voxels_in_memory_change_nothing(angles, order, flip, seed):
    grid = grid_about((0, 0, 0), Rotation.from_euler("z", 20, degrees=True), (1.0, 1.5, 3.0), 30.0)
    values = smooth_field(grid, seed)
    affine, turned = grid.affine.copy(), values
    for axis in range(3):
        if flip[axis] < 0:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
            affine[:3, axis] *= -1
    affine[:, :3] = affine[:, :3][:, list(order)]
    turned = turned.transpose(order)
    beam = Beam.of(angles, (5, 0, 0), CARM)
    image = line_integrals(turned, Grid(affine, turned.shape), beam, SMALL)
    assert np.abs(image - line_integrals(values, grid, beam, SMALL)).max() < 1e-4 * np.abs(image).max()


def test_a_border_of_zeros_changes_nothing():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 20.0)
    values = np.ones(grid.shape, dtype=np.float32)
    for angles in (ViewAngles(0, 0), ViewAngles(77, 33), ViewAngles(-45, 45)):
        beam = Beam.of(angles, (0, 0, 0), CARM)
        image = line_integrals(np.pad(values, 3), grid.crop((-3, -3, -3), np.add(grid.shape, 6)), beam, SMALL)
        assert np.allclose(image, line_integrals(values, grid, beam, SMALL), rtol=1e-5, atol=1e-5)


def test_images_add_up_and_types_agree():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 1.5, 2.0), 25.0)
    beam = Beam.of(ViewAngles(20, 10), (0, 0, 0), CARM)
    numbers = np.random.default_rng(1).integers(0, 250, grid.shape)
    images = [line_integrals(numbers.astype(kind), grid, beam, SMALL) for kind in ("f4", "f8", "i2", "u1", "i8")]
    for image in images[1:]:
        assert np.allclose(image, images[0], rtol=1e-5)
    ones = line_integrals(np.ones(grid.shape, dtype=bool), grid, beam, SMALL)
    doubled = line_integrals(2.0 * numbers - 7.0, grid, beam, SMALL)
    assert np.allclose(doubled, 2.0 * images[0] - 7.0 * ones, rtol=1e-4, atol=1e-2)


def test_only_what_lies_between_source_and_detector_counts():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 20.0)
    values = np.ones(grid.shape, dtype=np.float32)
    for shift in (CARM.sid_mm - CARM.sod_mm + 60, -CARM.sod_mm - 60):  # behind the detector, behind the source
        beam = Beam.of(ViewAngles(0, 0), (0, shift, 0), CARM)
        assert line_integrals(values, grid, beam, SMALL).max() == 0.0
    inside = Beam.of(ViewAngles(0, 0), (0, -CARM.sod_mm, 0), CARM)  # the source in the middle: half the way
    half = line_integrals(values, grid, inside, SMALL)[20, 22]
    assert abs(half - grid.shape[1] * 2.0 / 2) <= 2.0


def test_volumes_beside_the_beam_give_zero():
    grid = grid_about((1000, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 10.0)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CARM)
    assert line_integrals(np.ones(grid.shape), grid, beam, SMALL).max() == 0.0
    assert not cut_at_edge(np.ones(grid.shape), grid, beam, SMALL, 0.5).any()


def test_rays_through_tissue_at_the_end_of_the_image_are_marked():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 40.0)
    values = np.zeros(grid.shape, dtype=np.float32)
    values[8:-8, 8:-8, :] = 1.0  # a body that goes on beyond the top and bottom slices
    cut = cut_at_edge(values, grid, Beam.of(ViewAngles(0, 0), (0, 0, 0), CARM), SMALL, 0.5)
    rows = np.flatnonzero(cut.any(axis=1))
    assert cut.any() and not cut[SMALL.rows // 2].any()
    assert {rows.min(), rows.max()} == {SMALL.rows - 1 - rows.max(), SMALL.rows - 1 - rows.min()}
    values[:, :, :4], values[:, :, -4:] = 0.0, 0.0
    assert not cut_at_edge(values, grid, Beam.of(ViewAngles(0, 0), (0, 0, 0), CARM), SMALL, 0.5).any()


def test_values_that_cannot_be_projected_are_refused():
    grid = grid_about((0, 0, 0), Rotation.identity(), (2.0, 2.0, 2.0), 10.0)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CARM)
    with pytest.raises(GeometryError, match="same shape"):
        line_integrals(np.ones((3, 3, 3)), grid, beam, SMALL)
    values = np.ones(grid.shape)
    values[5, 5, 5] = np.nan
    with pytest.raises(InputError, match="NaN"):
        line_integrals(values, grid, beam, Detector(64, 64, 0.5))
