"""A second image over a slice: the values that are known analytically, at the places where they are, in each mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import ChoiceError, InputError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.registration import ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.volume import Volume
from navplan.view.colours import QUIET_TEXT
from navplan.view.fusion import EDGE_COLOUR, STRIPES_SHARE, Mode, Over, over_image
from navplan.view.slices import SlicePlane, axial_plane, coronal_plane, sagittal_plane, sample, slice_picture
from navplan.view.windows import coloured, default_map, default_window, step_of

GOOD = (RegistrationCheck("starts", "starts agree", 0.4, 2.0, passed=True),)
SIZE, PIXEL = (121, 101), 1.0


def grid(spacing_mm: float, count: int, centre=(0.0, 0.0, 0.0)) -> Grid:
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.asarray(centre) - spacing_mm * (count - 1) / 2
    return Grid(affine, (count, count, count))


def tie_of(map_: Transform, case: Case, checks=GOOD, error_mm: float = 1.25) -> ImageRegistration:
    errors = ErrorGrid(np.full((9, 9, 9), error_mm, dtype=np.float32), grid(30.0, 9))
    digests = case.volumes["ct"].digest, case.volumes["pet"].digest
    return ImageRegistration("ct", "pet", "rigid", map_, errors, checks, *digests, "by hand", "2026-01-01")


@pytest.fixture(scope="module")
def case() -> Case:
    """A CT of 40 HU, and a PET, turned and shifted, whose SUV grows linearly along the CT's x, y and z: 4 in the
    middle, by 0.05 a mm to the left, 0.02 to the back, -0.01 to the head. It shows a cube of 93 mm."""
    turn = Rotation.from_euler("xyz", (25, -15, 40), degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, (12.0, -7.0, 33.0)
    map_ = Transform(matrix, "ct", "pet")
    there = grid(3.0, 31, map_.inverse().apply(np.zeros(3)))
    in_ct = map_.apply(there.points_mm(np.moveaxis(np.indices(there.shape), 0, -1)))
    suv = suv_at(in_ct).astype(np.float32)
    volumes = {
        "ct": Volume(np.full((81, 81, 81), 40, dtype=np.int16), grid(2.0, 81)),
        "pet": Volume(suv, there, "PT", "SUV"),
    }
    made = Case(volumes=volumes)
    return made.with_registration(tie_of(map_, made))


def suv_at(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return 4.0 + points @ np.array([0.05, 0.02, -0.01])


def painted(case: Case, plane: SlicePlane, over: Over) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The picture, and the SUV that it is of (NaN where PET shows nothing)."""
    points = plane.points_mm(SIZE, PIXEL)
    first = sample(case.volumes["ct"], points)
    seen = over.values_at(points)
    at = over.volume.grid.indices(case.registration("ct", "pet").to_moving(points))
    inside = ((at >= 0) & (at <= 30)).all(axis=2)  # the half voxel beyond is as its rim
    np.testing.assert_allclose(seen[inside], suv_at(points)[inside], atol=1e-4)
    np.testing.assert_array_equal(np.isnan(seen), ((at < -0.5) | (at > 30.5)).any(axis=2))
    return over.painted(first, coloured(first, (40.0, 400.0)), points), seen


@pytest.mark.parametrize("plane", [axial_plane((3, -4, 5)), coronal_plane((0, 0, 0)), sagittal_plane((1, 1, -6))])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_blend_is_the_sum_of_both_by_their_shares(case: Case, plane: SlicePlane, alpha: float) -> None:
    over = over_image(case, "ct", "pet", alpha=alpha, colours="grey", window=(5.0, 10.0))
    found, suv = painted(case, plane, over)
    known = ~np.isnan(suv)
    assert 0.1 < known.mean() < 0.95
    expected = (1 - alpha) * 127.5 + alpha * 25.5 * suv[known]
    np.testing.assert_allclose(found[known], expected[:, None].repeat(3, axis=1), atol=1e-6)


@pytest.mark.parametrize("mode", list(Mode))
def test_where_the_second_image_shows_nothing_nothing_of_it_is_painted(case: Case, mode: Mode) -> None:
    over = over_image(case, "ct", "pet", mode, cell_mm=15.0)
    found, suv = painted(case, axial_plane((0, 0, 0)), over)
    outside = np.isnan(suv)
    colours = {tuple(rgb) for rgb in np.round(found[outside]).astype(int).tolist()}
    mixed = [STRIPES_SHARE * np.array(QUIET_TEXT) + (1 - STRIPES_SHARE) * level for level in (127.5, 0)]
    striped = {tuple(np.round(one).astype(int).tolist()) for one in mixed}
    allowed = {(128, 128, 128)} | striped
    if mode in (Mode.CHECKERBOARD, Mode.SPLIT):
        allowed |= {(0, 0, 0)}  # its turn, and nothing there
    assert colours <= allowed and colours & striped


def test_the_checkerboards_fields_are_as_large_as_asked_for(case: Case) -> None:
    over = over_image(case, "ct", "pet", Mode.CHECKERBOARD, cell_mm=12.0, colours="inverse")
    found, suv = painted(case, axial_plane((0, 0, 0)), over)
    x = np.arange(SIZE[0]) - (SIZE[0] - 1) / 2
    y = np.arange(SIZE[1]) - (SIZE[1] - 1) / 2
    second = (np.floor(x / 12.0)[None, :] + np.floor(y / 12.0)[:, None]) % 2 == 1
    known = ~np.isnan(suv)
    np.testing.assert_allclose(found[known & ~second], 127.5)
    np.testing.assert_allclose(found[known & second][:, 0], 255 - 25.5 * suv[known & second], atol=1e-6)
    row = np.flatnonzero(known.all(axis=1) | known[:, 30:90].all(axis=1))[0]
    turns = np.flatnonzero(np.diff((found[row, 30:90] != 127.5).any(axis=1)))
    assert set(np.diff(turns)) == {12}


def test_a_split_has_the_second_image_at_the_right_of_the_line(case: Case) -> None:
    over = over_image(case, "ct", "pet", Mode.SPLIT, split_mm=10.0, colours="grey")
    found, suv = painted(case, axial_plane((0, 0, 0)), over)
    x = np.broadcast_to(np.arange(SIZE[0]) - (SIZE[0] - 1) / 2, suv.shape)
    known = ~np.isnan(suv)
    np.testing.assert_allclose(found[known & (x <= 10)], 127.5)
    np.testing.assert_allclose(found[known & (x > 10)][:, 0], 25.5 * suv[known & (x > 10)], atol=1e-6)


def two_spots() -> Case:
    """A CT, and an MR by the same coordinates with one bright ball: at the left, in front, towards the head."""
    where = grid(2.0, 61)
    where = Grid(where.affine, where.shape, "1.2.3")
    points = where.points_mm(np.moveaxis(np.indices(where.shape), 0, -1))
    ball = np.linalg.norm(points - (24.0, -20.0, 16.0), axis=-1) < 9
    mr = Volume(np.where(ball, 900, 100).astype(np.int16), where, "MR", "signal")
    return Case(volumes={"ct": Volume(np.full(where.shape, -160, dtype=np.int16), where), "mr": mr})


@pytest.mark.parametrize("mode", [Mode.BLEND, Mode.EDGES])
def test_left_stays_left_front_stays_up(mode: Mode) -> None:
    case = two_spots()
    over = over_image(case, "ct", "mr", mode, alpha=1.0, colours="grey", window=(500.0, 800.0))
    sides = {axial_plane: (24, -20), coronal_plane: (24, -16), sagittal_plane: (-20, -16)}
    for plane, (right, down) in sides.items():
        centre = {axial_plane: (0, 0, 16), coronal_plane: (0, -20, 0), sagittal_plane: (24, 0, 0)}[plane]
        points = plane(centre).points_mm(SIZE, PIXEL)
        first = sample(case.volumes["ct"], points)
        found = over.painted(first, coloured(first, (40.0, 400.0)), points)
        y, x = np.nonzero((found == EDGE_COLOUR).all(axis=2) if mode is Mode.EDGES else found[..., 0] > 200)
        assert np.mean(x) - 60 == pytest.approx(right, abs=0.7) and np.mean(y) - 50 == pytest.approx(down, abs=0.7)


def test_edges_run_where_the_second_image_changes() -> None:
    case = two_spots()
    points = axial_plane((0, 0, 16)).points_mm(SIZE, 1.5 * PIXEL)
    first = sample(case.volumes["ct"], points)
    over = over_image(case, "ct", "mr", Mode.EDGES, window=(400.0, 1000.0))
    assert np.isnan(over.values_at(points)).mean() > 0.2
    found = over.painted(first, coloured(first, (40.0, 400.0)), points)
    y, x = np.nonzero((found != 0).any(axis=2) & ~np.isnan(over.values_at(points)))
    away = np.hypot((x - 60) * 1.5 - 24.0, (y - 50) * 1.5 + 20.0)
    assert len(away) > 25 and np.abs(away - 9.0).max() < 2.0  # the rim of what MR shows is no edge
    flat = over_image(case, "ct", "mr", Mode.EDGES, window=(0.0, 100_000.0))
    drawn = flat.painted(first, coloured(first, (40.0, 400.0)), points)
    assert not (drawn == EDGE_COLOUR).all(axis=2).any()


# what it is shown in


def test_windows_and_colours_are_those_of_the_kind(case: Case) -> None:
    pet, mr = case.volumes["pet"], two_spots().volumes["mr"]
    assert default_window(case.volumes["ct"]) == (40.0, 400.0) and default_window(pet) == (5.0, 10.0)
    assert [default_map(pet), default_map(pet, over=False), default_map(mr)] == ["hot", "inverse", "grey"]
    rng = np.random.default_rng(3)
    noise = Volume(np.where(rng.random((40, 40, 40)) < 0.5, 0, rng.uniform(100, 300, (40, 40, 40))).astype(np.float32),
                   grid(1.0, 40), "MR", "signal")  # fmt: skip
    level, width = default_window(noise)
    assert level - width / 2 == pytest.approx(102, abs=1) and level + width / 2 == pytest.approx(298, abs=1)
    constant = Volume(np.full((3, 3, 3), 7.0, dtype=np.float32), grid(1.0, 3), "MR", "signal")
    assert default_window(constant)[1] > 0


def test_suv_in_the_hot_map() -> None:
    values = np.array([-1.0, 0.0, 3.75, 7.5, 10.0, 40.0, np.nan])
    found = coloured(values, (5.0, 10.0), "hot")
    white = [255, 255, 255]
    assert found.tolist() == [[0, 0, 0], [0, 0, 0], [255, 0, 0], [255, 255, 0], white, white, [0, 0, 0]]
    assert coloured(values, (5.0, 10.0), "inverse")[1].tolist() == white


def test_a_step_loses_nothing_of_a_suv(case: Case) -> None:
    assert step_of(case.volumes["pet"]) == 0.001 and step_of(case.volumes["ct"]) == 1.0
    hot = replace(case.volumes["pet"], voxels=case.volumes["pet"].voxels * np.float32(20))
    assert step_of(hot) == 0.01 and float(hot.voxels.max()) / step_of(hot) < 32_767


# what is said of it


def words_of(case: Case, **how) -> list[str]:
    points = axial_plane((0, 0, 0)).points_mm(SIZE, PIXEL)
    return over_image(case, "ct", "pet", **how).words(sample(case.volumes["ct"], points), points)


def test_the_ties_quality_and_error_are_always_said(case: Case) -> None:
    assert words_of(case) == [
        "pet over ct, blend 50 %, SUV 0 to 10", "✓ good registration",
        "in the middle off by up to 1.2 mm, in 95 of 100", "striped: no pet there",
    ]  # fmt: skip
    assert words_of(case, mode="split")[0] == "pet over ct, split ct | pet, SUV 0 to 10"
    found = case.registration("ct", "pet")
    failed = replace(found, checks=(replace(GOOD[0], passed=False, words="starts differ by 9 mm"),))
    assert words_of(case.with_registration(failed))[1] == "! not good enough: starts differ by 9 mm"
    unknown = replace(found, errors=ErrorGrid(np.full((9, 9, 9), np.nan, dtype=np.float32), grid(30.0, 9)))
    assert "error in the middle not known" in words_of(case.with_registration(unknown))
    framed = two_spots()
    points = axial_plane((0, 0, 0)).points_mm((50, 50), PIXEL)
    told = over_image(framed, "ct", "mr", "checkerboard").words(np.zeros((50, 50)), points)
    assert told[0].startswith("mr over ct, checkerboard of 20 mm") and len(told) == 2
    assert told[1] == "? only one frame of reference: not registered, error not known"


def test_a_picture_carries_it(case: Case) -> None:
    plain = slice_picture(case.volumes["ct"], axial_plane((0, 0, 0)), size=(320, 240), width_mm=120.0)
    over = over_image(case, "ct", "pet", alpha=0.4, colours="grey")
    found = slice_picture(case.volumes["ct"], axial_plane((0, 0, 0)), size=(320, 240), width_mm=120.0, over=over)
    assert plain[120, 160].tolist() == [128] * 3
    np.testing.assert_allclose(found[120, 160], 0.6 * 127.5 + 0.4 * 25.5 * 4.0, atol=1)
    assert (plain[30:70, :160] != found[30:70, :160]).any(axis=2).mean() > 0.1  # the words
    alone = slice_picture(case.volumes["pet"], axial_plane(case.registration("ct", "pet").to_moving([0.0, 0.0, 0.0])),
                          size=(320, 240), width_mm=60.0)  # fmt: skip
    np.testing.assert_allclose(alone[120, 160], 255 - 25.5 * 4.0, atol=1.5)  # SUV 0 to 10, inverse grey


@pytest.mark.parametrize(
    "bad",
    [{"mode": "mix"}, {"alpha": 1.5}, {"alpha": float("nan")}, {"colours": "pink"}, {"cell_mm": 0.0},
     {"window": (5.0, 0.0)}, {"split_mm": float("inf")}],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(case: Case, bad: dict) -> None:
    with pytest.raises((ChoiceError, InputError)):
        over_image(case, "ct", "pet", **bad)
