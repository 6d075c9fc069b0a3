"""Slices as numbers: each pixel is the place that it says it is, in any orientation, and outlines run where they do."""

from __future__ import annotations

import numpy as np
import pytest
from contourpy import contour_generator
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.conventions import orientation_letters
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.view.plane_values import (
    NOTHING,
    Cut,
    PlaneValues,
    native_slice,
    plane_outlines,
    plane_values,
    slice_count,
    slice_through,
)
from navplan.view.slices import SlicePlane, axial_plane, sample
from navplan_phantoms.primitives import Capsule, Sphere
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solid_base import Solid

SPACING_MM, SHAPE = (1.5, 2.0, 3.0), (34, 28, 20)
DIRECTIONS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
ORIENTATIONS = ("LPS", "RAS", "LAS", "RPI", "PSR", "SAL", "oblique")
SOLIDS: dict[str, Solid] = {
    "liver": Sphere((-3.0, 2.0, 1.0), 14.0),
    "aorta": Capsule((8.0, 9.0, -30.0), (10.0, 5.0, 30.0), 4.5),
    "lesion": Sphere((-5.0, 0.0, 4.0), 5.0),
}


def grid_of(orientation: str, spacing: ArrayLike = SPACING_MM, shape: tuple[int, int, int] = SHAPE) -> Grid:
    """A grid about the origin. The last turns by 12 degrees about a slanted axis."""
    if orientation == "oblique":
        axes = Rotation.from_rotvec(np.radians(12) * np.array([1.0, 2.0, -1.0]) / np.sqrt(6)).as_matrix()
    else:
        axes = np.array([DIRECTIONS[letter] for letter in orientation], dtype=float).T
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(affine, shape)


def volume_of(grid: Grid, **facts: object) -> Volume:
    """Values that no two places share by chance."""
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    x, y, z = np.moveaxis(points, -1, 0)
    values = 7.0 * x - 13.0 * y + 23.0 * z + 0.3 * x * z
    return Volume(np.rint(values).astype(np.int16), grid, "CT", "HU", Acquisition(**facts))


def structure_of(name: str, grid: Grid) -> Structure:
    part = rasterise(SOLIDS[name], grid.affine, grid.shape)
    own = grid.crop(part.offset, part.occupancy.shape)
    return Structure(name, Presence.PRESENT, part.occupancy, own, True, grid, "ct", "analytic", tuple(grid.spacing_mm))


@pytest.fixture(params=ORIENTATIONS)
def orientation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# slices as they were taken


@pytest.mark.parametrize("cut", list(Cut))
def test_every_pixel_is_the_voxel_at_its_point(orientation: str, cut: Cut) -> None:
    volume = volume_of(grid_of(orientation))
    for number in range(slice_count(volume.grid, cut)):
        found = native_slice(volume, cut, number)
        points = found.points_mm()
        indices = volume.grid.indices(points)
        np.testing.assert_allclose(indices, np.rint(indices), atol=1e-6)  # nothing between voxels
        np.testing.assert_array_equal(found.values, np.rint(sample(volume, points)).astype(np.int16))
        assert (found.number, found.count) == (number, slice_count(volume.grid, cut))


def test_the_patients_left_is_at_the_right_front_up_and_head_up(orientation: str) -> None:
    volume = volume_of(grid_of(orientation))
    letters = {}
    for cut in Cut:
        plane = native_slice(volume, cut, 3).plane
        right, down = np.asarray(plane.right), np.asarray(plane.down)
        letters[cut] = [orientation_letters(way)[0] for way in (-right, right, -down, down)]
        assert plane.title == cut.name.lower()
    assert letters == {
        Cut.AXIAL: ["R", "L", "A", "P"], Cut.CORONAL: ["R", "L", "S", "I"], Cut.SAGITTAL: ["A", "P", "S", "I"],
    }  # fmt: skip


def test_one_bright_voxel_is_seen_where_it_is(orientation: str) -> None:
    """At the patient's left, in front, towards the head: at the right and top of the pictures."""
    grid = grid_of(orientation)
    place = np.rint(grid.indices((15.0, -12.0, 14.0))).astype(int)
    voxels = np.zeros(grid.shape, np.int16)
    voxels[tuple(place)] = 1000
    volume, at = Volume(voxels, grid), grid.points_mm(place)
    for cut in Cut:
        number = slice_through(grid, cut, at)
        found = native_slice(volume, cut, number)
        ((row, column),) = np.argwhere(found.values == 1000)
        np.testing.assert_allclose(found.points_mm()[row, column], at, atol=1e-6)
        height, width = found.values.shape
        assert row < height / 2
        assert (column < width / 2) if cut is Cut.SAGITTAL else (column > width / 2)
        beside = [native_slice(volume, cut, other).values.max() for other in (number - 1, number + 1)]
        assert beside == [0, 0]


@pytest.mark.parametrize("cut", list(Cut))
def test_the_step_leads_to_the_next_slice(orientation: str, cut: Cut) -> None:
    volume = volume_of(grid_of(orientation))
    first, second = (native_slice(volume, cut, number) for number in (4, 5))
    moved = np.asarray(second.plane.centre_mm) - np.asarray(first.plane.centre_mm)
    np.testing.assert_allclose(moved, first.step_mm * first.plane.into, atol=1e-6)
    assert abs(first.step_mm) == pytest.approx(first.thick_mm)
    spacing = sorted([*first.pixel_mm, first.thick_mm])
    assert spacing == pytest.approx(sorted(SPACING_MM))


@pytest.mark.parametrize("cut", list(Cut))
def test_the_slice_through_a_point_is_the_nearest(orientation: str, cut: Cut) -> None:
    volume = volume_of(grid_of(orientation))
    rng = np.random.default_rng(3)
    for point in rng.uniform(-20, 20, (20, 3)):
        found = native_slice(volume, cut, slice_through(volume.grid, cut, point))
        apart = abs(float((point - np.asarray(found.plane.centre_mm)) @ found.plane.into))
        assert apart <= abs(found.step_mm) / 2 + 1e-6
    for far in ((1e5, 1e5, 1e5), (-1e5, -1e5, -1e5)):
        assert slice_through(volume.grid, cut, far) in (0, slice_count(volume.grid, cut) - 1)


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1), st.floats(0, 180))
@example((0.0, 0.5, 0.21875), 133.0)
@settings(max_examples=60)
def test_however_the_image_lies_the_three_cuts_are_three(axis: tuple[float, float, float], turned_deg: float) -> None:
    """Else two views would show the same slices, and one direction could not be looked at."""
    turn = Rotation.from_rotvec(np.radians(turned_deg) * np.asarray(axis) / np.linalg.norm(axis)).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn * np.asarray(SPACING_MM)
    volume = volume_of(Grid(affine, (5, 6, 7)))
    planes = [native_slice(volume, cut, 2).plane for cut in Cut]
    across = np.abs([[float(a.into @ b.into) for a in planes] for b in planes])
    np.testing.assert_allclose(across, np.eye(3), atol=1e-6)


# slabs


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("slab_mm", [0.0, 1.0, 6.1, 13.0, 1000.0])
def test_a_slab_shows_the_greatest_of_its_slices(orientation: str, cut: Cut, slab_mm: float) -> None:
    volume = volume_of(grid_of(orientation))
    count = slice_count(volume.grid, cut)
    for number in (0, 5, count - 1):
        found = native_slice(volume, cut, number, slab_mm)
        single = native_slice(volume, cut, number)
        beside = int(slab_mm / single.thick_mm / 2)
        chosen = range(max(number - beside, 0), min(number + beside + 1, count))
        expected = np.max([native_slice(volume, cut, other).values for other in chosen], axis=0)
        np.testing.assert_array_equal(found.values, expected)
        np.testing.assert_allclose(found.plane.centre_mm, single.plane.centre_mm)
        if len(chosen) == 2 * beside + 1:
            assert found.thick_mm == pytest.approx(len(chosen) * single.thick_mm)


@pytest.mark.parametrize("slab_mm", [-1.0, 1000.1, float("nan"), float("inf")])
def test_a_slab_that_is_no_length_is_refused(slab_mm: float) -> None:
    with pytest.raises(InputError, match="slab"):
        native_slice(volume_of(grid_of("LPS")), Cut.AXIAL, 3, slab_mm)


@pytest.mark.parametrize("number", [-1, SHAPE[2], 10**9])
def test_a_slice_that_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(InputError, match=f"0 to {SHAPE[2] - 1}"):
        native_slice(volume_of(grid_of("LPS")), Cut.AXIAL, number)


# what is not known


def test_padding_is_nothing_in_slices_slabs_and_planes() -> None:
    grid = grid_of("LPS")
    whole = volume_of(grid, padding_hu=-2000.0)
    voxels = np.array(whole.voxels)
    voxels[:6], voxels[6:8, :5], voxels[8, 0] = -2000, -2048, -1999
    volume = Volume(voxels, grid, "CT", "HU", whole.acquisition)
    for slab in (0.0, 9.0):
        values = native_slice(volume, Cut.AXIAL, 5, slab).values
        assert (values[:, :6] == NOTHING).all() and (values[:5, 6:8] == NOTHING).all()
        assert (values[:, 9:] != NOTHING).all()
    assert native_slice(volume, Cut.AXIAL, 5).values[0, 8] == -1999
    slanted = plane_values(volume, axial_plane((-20.0, 0.0, 0.5)), (40, 30), 0.7)
    known = np.isfinite(sample(volume, slanted.points_mm()))
    np.testing.assert_array_equal(slanted.values != NOTHING, known)
    assert known.any() and not known.all()


def test_numbers_that_are_too_large_end_at_the_largest_and_are_never_nothing() -> None:
    grid = grid_of("LPS")
    voxels = np.array(volume_of(grid).voxels, dtype=np.float32)
    voxels[4, 4, 5], voxels[5, 4, 5], voxels[6, 4, 5] = 1e9, -1e9, 0.5
    values = native_slice(Volume(voxels, grid), Cut.AXIAL, 5).values
    assert (values[4, 4], values[4, 5]) == (32767, -32767)
    assert abs(int(values[4, 6])) <= 1


# planes of any direction

SLANTED = [
    SlicePlane((1.0, -2.0, 3.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    SlicePlane((0.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, -1.0)),
    SlicePlane((-2.0, 1.0, 2.5), tuple(Rotation.from_euler("xyz", (20, 35, 50), True).apply((1, 0, 0))),
               tuple(Rotation.from_euler("xyz", (20, 35, 50), True).apply((0, 1, 0)))),
]  # fmt: skip


@pytest.mark.parametrize("plane", SLANTED)
def test_a_plane_shows_what_lies_at_its_points(orientation: str, plane: SlicePlane) -> None:
    volume = volume_of(grid_of(orientation))
    found = plane_values(volume, plane, (80, 60), 0.9)
    expected = sample(volume, found.points_mm())
    known = np.isfinite(expected)
    np.testing.assert_array_equal(found.values[known], np.rint(expected[known]).astype(np.int16))
    assert (found.values[~known] == NOTHING).all() and known.any() and not known.all()
    assert found.values.shape == (60, 80) and found.pixel_mm == (0.9, 0.9) and (found.number, found.count) == (0, 0)
    np.testing.assert_allclose(found.points_mm(), plane.points_mm((80, 60), 0.9))


@pytest.mark.parametrize(
    ("size", "pixel_mm"),
    [((1, 50), 1.0), ((50, 5000), 1.0), ((50, 50), 0.0), ((50, 50), -1.0), ((50, 50), float("nan"))],
)
def test_a_plane_without_pixels_is_refused(size: tuple[int, int], pixel_mm: float) -> None:
    with pytest.raises(InputError, match="2 to 4096 px"):
        plane_values(volume_of(grid_of("LPS")), SLANTED[0], size, pixel_mm)


# outlines


def occupancy_at(structure: Structure, found: PlaneValues) -> NDArray[np.float64]:
    """(H, W) occupancy, linear between voxels, none beyond them, on a rim of two pixels more than the picture."""
    assert structure.grid is not None and structure.occupancy is not None
    height, width = found.values.shape
    rim = PlaneValues(np.zeros((height + 4, width + 4), np.int16), found.plane, found.pixel_mm, found.thick_mm)
    indices = np.moveaxis(structure.grid.indices(rim.points_mm()), -1, 0)
    return np.asarray(map_coordinates(structure.occupancy, indices, np.float64, 1, "grid-constant", 0.0))


def apart_px(points: NDArray[np.float64], pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) from points (N, 2) to the nearest of straight pieces (K, 4)."""
    start, along = pieces[:, :2], pieces[:, 2:] - pieces[:, :2]
    share = ((points[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return np.asarray(np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1))


def assert_as_contourpy(structure: Structure, found: PlaneValues, within_px: float = 0.1) -> int:
    """Every end of a piece lies on contourpy's line, and every point of that line on a piece; how many pieces."""
    pieces = plane_outlines(found, {structure.name: structure}).get(structure.name, np.zeros((0, 4), np.float32))
    lines = [line - 2.0 for line in contour_generator(z=occupancy_at(structure, found)).lines(127.5)]
    height, width = found.values.shape
    inside = [line[((line >= -1) & (line <= (width, height))).all(axis=1)] for line in lines]
    if not any(len(line) for line in inside):
        assert len(pieces) == 0
        return 0
    theirs = np.concatenate([np.hstack([line[:-1], line[1:]]) for line in lines])
    mine = pieces.astype(np.float64)
    assert apart_px(mine.reshape(-1, 2), theirs).max() < within_px
    assert apart_px(np.concatenate(inside), mine).max() < within_px
    return len(pieces)


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("name", SOLIDS)
def test_outlines_of_slices_run_where_contourpy_has_them(orientation: str, cut: Cut, name: str) -> None:
    grid = grid_of(orientation)
    volume, structure = volume_of(grid), structure_of(name, grid)
    count = slice_count(grid, cut)
    drawn = [assert_as_contourpy(structure, native_slice(volume, cut, number)) for number in range(0, count, 3)]
    assert sum(drawn) > 10


@pytest.mark.parametrize("plane", SLANTED)
@pytest.mark.parametrize("name", SOLIDS)
def test_outlines_of_slanted_planes_run_where_contourpy_has_them(
    orientation: str, plane: SlicePlane, name: str
) -> None:
    grid = grid_of(orientation)
    volume, structure = volume_of(grid), structure_of(name, grid)
    for pixel_mm in (0.5, 1.3):
        assert assert_as_contourpy(structure, plane_values(volume, plane, (70, 60), pixel_mm)) > 10


def test_outlines_of_labels_coarser_than_the_image_do_so_too() -> None:
    volume = volume_of(grid_of("RAS"))
    structure = structure_of("liver", grid_of("LPS", (3.1, 2.7, 4.3), (17, 18, 14)))
    for cut in Cut:
        middle = slice_count(volume.grid, cut) // 2
        assert assert_as_contourpy(structure, native_slice(volume, cut, middle)) > 10


def test_a_structure_that_the_pictures_edge_cuts_is_outlined_up_to_it() -> None:
    grid = grid_of("LPS")
    structure = structure_of("liver", grid)
    plane = plane_values(volume_of(grid), axial_plane((-3.0, 14.0, 1.0)), (30, 20), 0.8)
    assert assert_as_contourpy(structure, plane) > 5


def test_an_outline_is_the_solids_own_to_a_fraction_of_a_voxel(orientation: str) -> None:
    """The truth, not another program: a sphere's cut is a circle of known radius."""
    grid = grid_of(orientation)
    solid = SOLIDS["liver"]
    assert isinstance(solid, Sphere)
    for plane in SLANTED:
        found = plane_values(volume_of(grid), plane, (90, 90), 0.5)
        pieces = plane_outlines(found, {"liver": structure_of("liver", grid)})["liver"].astype(float)
        x, y = (pieces[:, :2] - 44.5).T * 0.5
        points = np.asarray(plane.centre_mm) + np.stack([x, y], axis=1) @ np.asarray([plane.right, plane.down])
        off = np.abs(solid.signed_distance_mm(points))
        assert np.median(off) < 0.2 and off.max() < 0.9


def test_only_what_is_met_and_has_an_inside_is_outlined() -> None:
    grid = grid_of("LPS")
    lesion = structure_of("lesion", grid)
    assert lesion.occupancy is not None
    named = {
        "lesion": lesion,
        "skin": Structure("skin", Presence.PRESENT, lesion.occupancy, lesion.grid, evaluated_in=grid, image_id="ct"),
        "couch": Structure("couch", Presence.PRESENT, lesion.occupancy, lesion.grid, evaluated_in=grid, image_id="ct"),
        "appendix": Structure("appendix", Presence.UNKNOWN, image_id="ct"),
    }
    for middle, met in (((0.0, 0.0, 4.0), {"lesion"}), ((0.0, 0.0, -20.0), set()), ((200.0, 0.0, 4.0), set())):
        found = plane_values(volume_of(grid), axial_plane(middle), (60, 60), 1.0)
        assert plane_outlines(found, named).keys() == met
