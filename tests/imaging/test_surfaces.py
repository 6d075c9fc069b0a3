"""Display surfaces: true volume, no terraces, outward on every grid, open where the image cuts the body."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.shares_fit import share_behind
from navplan.imaging.skin_surface import body_surface
from navplan.imaging.surfaces import Surface, display_surface
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan_phantoms.ellipsoid import Ellipsoid
from navplan_phantoms.primitives import Capsule, Sphere
from navplan_phantoms.rasterise import rasterise

SLICES_MM = (0.8, 0.8, 2.5)


def grid_of(axes: np.ndarray, spacing: tuple[float, float, float], side_mm: float) -> Grid:
    shape = tuple(int(np.ceil(side_mm / step)) for step in spacing)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(affine, shape)


def structure_of(inside, grid: Grid, name: str = "liver") -> Structure:
    points = grid.points_mm(np.stack(np.indices(grid.shape), axis=-1))
    occupancy = np.where(inside(points), np.uint8(255), np.uint8(0))
    return Structure(name, Presence.PRESENT, occupancy, grid, evaluated_in=grid)


def ball(radius: float):
    return lambda points: np.linalg.norm(points, axis=-1) < radius


def rotation(angle: float) -> np.ndarray:
    tilt = np.array([(1, 0, 0), (0, np.cos(angle), -np.sin(angle)), (0, np.sin(angle), np.cos(angle))])
    turn = np.array([(np.cos(angle), -np.sin(angle), 0), (np.sin(angle), np.cos(angle), 0), (0, 0, 1)])
    return tilt @ turn


@pytest.mark.parametrize("axes", [np.eye(3), np.diag([-1.0, 1, 1]), np.diag([1.0, -1, -1]), rotation(0.5)])
def test_a_ball_keeps_its_volume_and_turns_outward_on_every_grid(axes):
    surface = display_surface(structure_of(ball(18), grid_of(axes, SLICES_MM, 50)))
    assert surface.volume_mm3 == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.03)
    outward = np.einsum("ij,ij->i", surface.normals, surface.points_mm) / np.linalg.norm(surface.points_mm, axis=1)
    assert outward.min() > 0.9


def test_thick_slices_leave_no_terraces():
    surface = display_surface(structure_of(ball(18), grid_of(np.eye(3), SLICES_MM, 50)), max_triangles=10**6)
    radius = np.linalg.norm(surface.points_mm, axis=1)
    assert np.abs(radius - 18).max() < 1.3  # a terrace would be off by a slice: 2.5 mm
    assert radius.std() < 0.45


@pytest.mark.parametrize("along", [0, 1, 2])
def test_the_thick_axis_may_be_any(along):
    spacing = np.roll((2.5, 0.8, 0.8), along)
    surface = display_surface(structure_of(ball(15), grid_of(np.eye(3), tuple(spacing), 44)))
    assert np.abs(np.linalg.norm(surface.points_mm, axis=1) - 15).max() < 1.5


def test_a_rod_as_thin_as_two_voxels_is_not_thinned():
    def rod(points):
        return (np.hypot(points[..., 0], points[..., 1]) < 2.0) & (np.abs(points[..., 2]) < 20)

    structure = structure_of(rod, grid_of(np.eye(3), (1.0, 1.0, 1.0), 50), "rib_left_6")
    voxels = structure.occupancy.sum() / 255
    assert display_surface(structure).volume_mm3 == pytest.approx(voxels, rel=0.1)


def test_fractional_occupancy_counts_by_its_share():
    grid = grid_of(np.eye(3), (1.0, 1.0, 1.0), 40)
    points = grid.points_mm(np.stack(np.indices(grid.shape), axis=-1))
    occupancy = np.clip(255 * (12.5 - np.linalg.norm(points, axis=-1)), 0, 255).astype(np.uint8)
    structure = Structure("liver", Presence.PRESENT, occupancy, grid, fractional=True, evaluated_in=grid)
    assert display_surface(structure).volume_mm3 == pytest.approx(occupancy.sum() / 255, rel=0.03)


def test_decimation_keeps_to_the_limit():
    structure = structure_of(ball(18), grid_of(np.eye(3), SLICES_MM, 50))
    assert len(display_surface(structure, max_triangles=2000).triangles) <= 2000


def test_a_box_cuts_a_part_out_and_may_leave_nothing():
    structure = structure_of(ball(18), grid_of(np.eye(3), SLICES_MM, 50))
    half = display_surface(structure, centre_mm=(18, 0, 0), radius_mm=18.0)
    assert half.volume_mm3 == pytest.approx(0.5 * 4 / 3 * np.pi * 18**3, rel=0.1)
    assert len(display_surface(structure, centre_mm=(500, 0, 0), radius_mm=10.0).triangles) == 0


def test_what_has_no_voxels_or_no_spacing_is_refused():
    with pytest.raises(InputError, match="unknown"):
        display_surface(Structure("liver", Presence.UNKNOWN))
    with pytest.raises(InputError, match="spacing"):
        display_surface(structure_of(ball(5), grid_of(np.eye(3), (1.0, 1.0, 1.0), 20)), spacing_mm=0.0)


def tube_volume(hu_outside: int = -1000) -> Volume:
    grid = grid_of(np.eye(3), (2.0, 2.0, 3.0), 120)
    x, y, _ = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    hu = np.where(np.hypot(x, y) < 45, 40, hu_outside)
    hu[(np.hypot(x, y) < 20)] = -800  # a lung: inside, not skin
    return Volume(hu.astype(np.int16), grid)


def check_open_tube(surface: Surface) -> None:
    used = surface.points_mm[np.unique(surface.triangles)]
    assert np.abs(np.hypot(used[:, 0], used[:, 1]) - 45).max() < 3.0
    assert len(used) > 500


def test_skin_is_the_outside_only_and_open_at_the_end_slices():
    check_open_tube(body_surface(tube_volume()))


def test_skin_of_a_labelled_body_is_the_same():
    volume = tube_volume()
    body = structure_of(lambda p: np.hypot(p[..., 0], p[..., 1]) < 45, volume.grid, "body")
    check_open_tube(body_surface(volume, body))


def test_there_is_no_skin_where_padding_begins():
    volume = tube_volume(hu_outside=-2048)
    assert len(body_surface(volume).triangles) == 0


def test_an_image_of_air_is_refused():
    volume = tube_volume()
    with pytest.raises(InputError, match="HU"):
        body_surface(Volume(np.full(volume.grid.shape, -1000, dtype=np.int16), volume.grid))


@pytest.mark.parametrize("solid", [
    Sphere((0.2, -0.3, 0.4), 2.0), Sphere((0.2, -0.3, 0.4), 15.0), Capsule((-6.1, 2, 0.3), (6, -2.4, 3), 1.5),
    Ellipsoid((0.4, 0.1, 0), (18, 11, 8)),
])  # fmt: skip
@pytest.mark.parametrize("axes", [np.eye(3), rotation(0.5)])
def test_a_surface_from_shares_lies_within_a_tenth_of_a_millimetre(solid, axes):
    grid = grid_of(axes, (1.0, 1.0, 1.0), 50)
    drawn = rasterise(solid, grid.affine, grid.shape, 8)
    part = grid.crop(drawn.offset, drawn.occupancy.shape)
    told = Structure("liver", Presence.PRESENT, drawn.occupancy, part, fractional=True, evaluated_in=grid)
    surface = display_surface(told, spacing_mm=0.5, max_triangles=10**7)
    assert np.abs(solid.signed_distance_mm(surface.points_mm)).max() < 0.1
    assert surface.volume_mm3 == pytest.approx(drawn.occupancy.sum() / 255, rel=0.07)


@pytest.mark.parametrize("normal", [(1, 0, 0), (0, 1, 1), (3, 2, 1), (-1, 4, 2)])
def test_the_share_behind_a_plane_is_the_counted_one(normal):
    unit = np.asarray(normal) / np.linalg.norm(normal)
    edges = np.array([0.7, 1.0, 2.5])
    inside = (np.stack(np.indices((80, 80, 80)), axis=-1).reshape(-1, 3) + 0.5) / 80 - 0.5
    offset = np.array([-2.0, -0.3, -0.05, 0.0, 0.2, 0.6, 2.0])
    counted = [(inside * edges @ unit < -one).mean() for one in offset]
    assert share_behind(offset, np.tile(np.abs(unit) * edges, (7, 1))) == pytest.approx(counted, abs=0.02)
