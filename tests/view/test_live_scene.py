"""The live scene by its pixels: whatever was changed before, it shows what it should, as a still of its own would."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from navplan.errors import GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.view.camera import Camera
from navplan.view.colours import TARGET, VERDICT_COLOURS
from navplan.view.live_scene import LiveScene
from navplan.view.near_structures import nearest_findings
from navplan.view.scene import render_scene

SIZE = (480, 360)
CARM = ((0, 800, 0), ((-150, -400, 150), (150, -400, 150), (150, -400, -150), (-150, -400, -150)), (0, 0, 0))
pytestmark = pytest.mark.xdist_group("render")


def scene_of(case, plan=None, number: int = 0) -> LiveScene:
    scene = LiveScene()
    scene.show_anatomy(case.volumes["ct"], case.structures)
    if plan is not None:
        scene.show_way(plan, plan.trajectories[number])
    return scene


@pytest.fixture(scope="module")
def scene(case, plan) -> LiveScene:
    return scene_of(case, plan)


@pytest.fixture(autouse=True)
def as_planned(scene, case, plan):
    """Each test starts from the same scene, which others have used."""
    scene.set_hidden(())
    scene.set_colours({})
    scene.show_carm(None)
    scene.show_cursor(None)
    scene.show_way(plan, plan.best)


@pytest.fixture(scope="module")
def camera(case, plan) -> Camera:
    return render_scene(case, plan, size=SIZE, oversampling=1).camera


@pytest.fixture(scope="module")
def still(case, plan, camera):
    return scene_of(case, plan).picture(camera, SIZE)


def differing(first, second, by: int = 40) -> np.ndarray:
    """(H, W) where two pictures differ."""
    return np.abs(first.astype(int) - second).max(axis=2) > by


def places(camera, points_mm, size) -> np.ndarray:
    """(N, 2) whole pixels, column then row, of those points that are in the picture."""
    found = np.round(camera.project(points_mm, size)).astype(int)
    return found[((found >= 0) & (found < size)).all(axis=1)]


def colours_at(picture, camera, points_mm) -> np.ndarray:
    height, width = picture.shape[:2]
    column, row = places(camera, points_mm, (width, height)).T
    return picture[row, column].astype(int)


def turned(camera, degrees: float) -> Camera:
    right, _, back = camera.axes
    angle = np.radians(degrees)
    way = np.cos(angle) * back + np.sin(angle) * right
    return replace(camera, position_mm=tuple((np.asarray(camera.focal_mm) + camera.distance_mm * way).tolist()))


def shaft_mm(way: Trajectory, first_mm: float = -15.0) -> np.ndarray:
    return way.point_at_mm(0) + np.outer(np.linspace(first_mm, way.tip_depth_mm - 1, 60), way.direction)


@pytest.mark.parametrize("moving", [False, True])
def test_needle_and_target_are_seen(scene, case, plan, camera, moving):
    picture = scene.picture(camera, SIZE, moving)
    assert picture.shape == ((180, 240, 3) if moving else (360, 480, 3)) and picture.dtype == np.uint8
    needle = colours_at(picture, camera, shaft_mm(plan.best.trajectory))
    assert (needle.min(axis=1) > (90 if moving else 130)).mean() > 0.75


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_target_is_seen_from_all_sides(scene, case, plan, camera, moving, degrees):
    view = turned(camera, degrees)
    picture = scene.picture(view, SIZE, moving)
    found = colours_at(picture, view, case.structures[plan.target.structure].voxel_centres_mm())
    alike = found @ np.asarray(TARGET) / np.maximum(np.linalg.norm(found, axis=1) * np.linalg.norm(TARGET), 1)
    assert (alike > 0.96).mean() > 0.5


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_dangers_are_seen_opaque_where_they_are_nearest(scene, case, plan, camera, place, moving, degrees):
    """Fails when a structure that a limit hangs on is not visible, or is seen through."""
    finding = nearest_findings(plan.best.report)[place]
    view, green = turned(camera, degrees), (0, 255, 0)
    scene.set_colours({finding.structure: green})
    centres = case.structures[finding.structure].voxel_centres_mm()
    near = centres[np.linalg.norm(centres - finding.nearest_mm, axis=1) < 12]
    red, seen, blue = colours_at(scene.picture(view, SIZE, moving), view, near).T
    assert (seen > 1.8 * np.maximum(red, blue)).mean() > 0.4


def test_an_image_without_structures_can_be_shown(case, camera):
    empty = scene_of(replace(case, structures={}))
    assert empty.picture(camera, SIZE).max() < 80  # the ground alone


def test_what_the_verdict_hangs_on_is_neither_hidden_nor_faded(scene, case, plan):
    way = Trajectory((4.0, 66.0, 2.0), (4.0, -10.0, 2.0), plan.best.trajectory.device, tip_short_of_target_mm=11.0)
    crossed = Finding(
        FindingKind.CLEARANCE, Verdict.FAIL, "aorta crossed", "aorta", Interval(-0.7, -0.7), 5.0,
        nearest_mm=(4.0, 24.0, 2.0), needle_mm=(4.0, 24.0, 2.0), at_depth_mm=42.0, crossed_mm=20.0,
    )  # fmt: skip
    bad = replace(plan.best, trajectory=way, report=SafetyReport((crossed,), error_model="made up"))
    scene.set_colours({"aorta": (0, 255, 0)})
    assert scene.set_hidden({"aorta", "rib_left_5"}) == ()
    view = scene.default_camera(SIZE)
    assert not greens(scene.picture(view, SIZE))
    assert "aorta" in scene.show_way(plan, bad, moving=True).deciding
    assert scene.set_hidden({"aorta", "rib_left_5", "lung_mass_left"}) == ("aorta", "lung_mass_left")
    view = scene.default_camera(SIZE)
    for moving in (True, False):
        assert greens(scene.picture(view, SIZE, moving)) > (100 if moving else 400)
        assert "aorta" not in scene.faded
    scene.show_way(plan, plan.best)  # on which nothing hangs on the aorta: what a person wished holds again
    assert not greens(scene.picture(view, SIZE))


def greens(picture) -> int:
    """How many pixels show something that is coloured (0, 255, 0)."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return int(((green > 60) & (green > 2.5 * red) & (green > 2.5 * blue)).sum())


def test_a_still_looks_as_the_reports_still_does(scene, case, plan, camera):
    report = render_scene(case, plan, size=SIZE, camera=camera)
    still = scene.picture(camera, SIZE)
    assert np.abs(still.astype(int) - report.picture).mean() < 5
    assert differing(still, report.picture).mean() < 0.05
    assert scene.faded == report.faded and scene.shown == report.shown


def test_a_moving_picture_looks_as_the_still_does(scene, camera, still):
    from PIL import Image

    moving = np.asarray(Image.fromarray(scene.picture(camera, SIZE, moving=True)).resize(SIZE))
    assert np.abs(moving.astype(int) - still).mean() < 6


def test_a_picture_does_not_depend_on_those_before(scene, plan, camera, still):
    scene.picture(turned(camera, 60), SIZE, moving=True)
    scene.picture(turned(camera, -40), (200, 300))
    scene.show_way(plan, plan.trajectories[1])
    scene.picture(camera, SIZE)
    scene.show_way(None)
    scene.picture(camera, SIZE)
    scene.show_way(plan, plan.best)
    scene.move_needle(plan.trajectories[1].trajectory.entry_mm, plan.target.point_mm)
    scene.paint_skin_map(None)
    scene.set_hidden({"skin", "aorta"})
    scene.set_colours({"aorta": (0, 255, 0)})
    scene.show_carm(*CARM)
    scene.show_cursor((40, 0, 0))
    assert differing(scene.picture(camera, SIZE, moving=True), still[::2, ::2]).any()
    scene.set_hidden(())
    scene.set_colours({})
    scene.show_carm(None)
    scene.show_cursor(None)
    scene.show_way(plan, plan.best)
    scene.picture(camera, SIZE, moving=True)
    assert np.array_equal(scene.picture(camera, SIZE), still)


@pytest.mark.parametrize("moving", [False, True])
def test_a_dragged_needle_is_where_it_was_put_and_its_old_clearances_are_gone(scene, plan, camera, still, moving):
    best = plan.best.trajectory
    entry = np.asarray(plan.trajectories[1].trajectory.entry_mm)
    scene.move_needle(entry, best.target_mm)
    picture = scene.picture(camera, SIZE, moving)
    way = Trajectory(tuple(entry.tolist()), best.target_mm, best.device, best.tip_short_of_target_mm)
    assert (colours_at(picture, camera, shaft_mm(way)).min(axis=1) > 90).mean() > 0.75
    assert (colours_at(picture, camera, shaft_mm(best)[:20]).min(axis=1) > 90).mean() < 0.3
    for finding in nearest_findings(plan.best.report):
        dot, colour = [finding.nearest_mm], np.asarray(VERDICT_COLOURS[finding.verdict])
        assert np.abs(colours_at(still, camera, dot) - colour).max() < 12
        assert np.abs(colours_at(picture, camera, dot) - colour).max() > 24


def test_a_needle_dragged_close_to_its_target_stands_still_outside_of_it(scene, plan, camera):
    best = plan.best.trajectory
    near = np.asarray(best.target_mm) - 4.0 * best.direction
    scene.move_needle(near, best.target_mm)
    scene.picture(camera, SIZE, moving=True)
    with pytest.raises(GeometryError):
        scene.move_needle(best.target_mm, best.target_mm)


def test_an_ablations_zone_is_drawn_until_the_needle_moves(scene, plan, camera, still):
    best = plan.best
    zone = SimpleNamespace(
        centre_mm=best.trajectory.target_mm, direction=tuple(best.trajectory.direction.tolist()), along_mm=30.0,
        across_mm=25.0,
    )  # fmt: skip
    scene.show_way(plan, replace(best, report=replace(best.report, ablation=zone)))
    drawn = scene.picture(camera, SIZE)
    assert differing(drawn, still).sum() > 1000
    scene.move_needle(best.trajectory.entry_mm, best.trajectory.target_mm)
    moved = scene.picture(camera, SIZE)
    scene.show_way(plan, best)
    scene.move_needle(best.trajectory.entry_mm, best.trajectory.target_mm)
    assert np.array_equal(moved, scene.picture(camera, SIZE))


def test_after_a_hand_has_let_go_it_looks_as_if_it_had_not_moved(case, plan, camera, still):
    fresh = scene_of(case)
    fresh.show_way(plan, plan.trajectories[1])
    fresh.show_way(plan, plan.best, moving=True)  # what decides now has no fine surface yet
    fresh.picture(camera, SIZE, moving=True)
    fresh.paint_skin_map(None)
    fresh.show_way(plan, plan.best)
    assert np.array_equal(fresh.picture(camera, SIZE), still)


def test_the_skin_is_repainted(scene, plan, camera, still):
    skin_map = plan.skin_map
    free = replace(
        skin_map, reason=np.full_like(skin_map.reason, -1), desirability=np.ones_like(skin_map.desirability)
    )
    scene.paint_skin_map(free)
    greener = scene.picture(camera, SIZE).astype(int)[..., 1] - still[..., 1]
    assert (greener > 8).mean() > 0.03
    scene.paint_skin_map(plan.skin_map)
    assert np.array_equal(scene.picture(camera, SIZE), still)


def test_structures_are_hidden_and_coloured_by_name(scene, case, plan, camera, still):
    aorta = case.structures["aorta"].voxel_centres_mm()
    scene.set_colours({"aorta": (0, 60, 255)})
    blue = scene.picture(camera, SIZE)
    changed = differing(blue, still)
    assert changed.sum() > 300
    _, columns = np.nonzero(changed)
    covered = places(camera, aorta, SIZE)
    assert covered[:, 0].min() - 3 <= columns.min() and columns.max() <= covered[:, 0].max() + 3
    assert scene.set_hidden(["aorta", "skin"]) == ()
    scene.set_colours({})
    hidden = scene.picture(camera, SIZE)
    assert differing(hidden, still).sum() > 300
    assert differing(hidden, still, by=2).mean() > differing(blue, still, by=2).mean() + 0.1  # the skin is everywhere


def test_the_carm_and_the_cursor_come_and_go(scene, camera, still):
    wide = replace(camera, view_angle_deg=100.0)
    before = scene.picture(wide, SIZE)
    scene.show_carm(*CARM)
    assert differing(scene.picture(wide, SIZE), before, by=15).sum() > 300
    scene.show_carm(None)
    assert np.array_equal(scene.picture(wide, SIZE), before)
    point = (30.0, -10.0, 5.0)
    scene.show_cursor(point)
    rows, columns = np.nonzero(differing(scene.picture(camera, SIZE), still))
    x, y = camera.project([point], SIZE)[0]
    assert 8 < len(rows) < 900 and np.abs(columns - x).max() < 16 and np.abs(rows - y).max() < 16
    scene.show_cursor(None)
    assert np.array_equal(scene.picture(camera, SIZE), still)


def test_a_cursor_changes_nothing_but_its_place_without_a_way_too(scene, camera):
    scene.show_way(None)
    bare = scene.picture(camera, SIZE)
    scene.show_cursor(camera.focal_mm)
    rows, columns = np.nonzero(differing(scene.picture(camera, SIZE), bare, by=2))
    assert len(rows) > 8 and np.abs(columns - SIZE[0] / 2).max() < 18 and np.abs(rows - SIZE[1] / 2).max() < 18


def test_what_is_picked_lies_under_the_pixel(scene, case, plan, camera):
    scene.picture(turned(camera, 50), SIZE)  # a pick looks with its own camera
    rng = np.random.default_rng(3)
    names = set()
    for x, y in rng.uniform((0, 0), SIZE, size=(120, 2)):
        found = scene.pick(camera, SIZE, x, y)
        if found is None:
            continue
        point, name = found
        names.add(name)
        assert np.allclose(camera.project([point], SIZE)[0], (x, y), atol=0.1)
        if name != "skin":
            centres = case.structures[name].voxel_centres_mm()
            assert np.linalg.norm(centres - point, axis=1).min() < 5
            skin = scene.pick(camera, SIZE, x, y, skin_only=True)
            assert skin is None or skin[1] == "skin"
    assert {"skin", "aorta"} <= names or len(names) > 4
    target = camera.project([plan.target.point_mm], SIZE)[0]
    assert scene.pick(camera, SIZE, *target)[1] == plan.target.structure
    assert scene.pick(replace(camera, view_angle_deg=140.0), SIZE, 2, 2) is None


def test_what_is_faded_is_picked_through(scene, plan, camera):
    for degrees in range(0, 360, 30):
        view = turned(camera, degrees)
        scene.picture(view, SIZE)
        eye = np.asarray(view.position_mm)
        for point in shaft_mm(plan.best.trajectory, 0.0)[::6]:
            found = scene.pick(view, SIZE, *view.project([point], SIZE)[0])
            if found is not None and found[1] not in {"skin", *scene.shown.deciding, scene.shown.target}:
                assert np.linalg.norm(found[0] - eye) > np.linalg.norm(point - eye) - 4.0


def test_its_own_view_is_that_of_the_reports_still(scene, case, plan, camera):
    own = scene.default_camera(SIZE)
    assert np.allclose(own.position_mm, camera.position_mm) and np.allclose(own.focal_mm, camera.focal_mm)
    scene.show_way(None)
    anatomy = render_scene(case, size=SIZE, oversampling=1).camera
    assert np.allclose(scene.default_camera(SIZE).position_mm, anatomy.position_mm)


def test_a_bare_point_is_marked_where_no_structure_is_aimed_at(scene, plan, camera):
    bare = replace(plan, target=replace(plan.target, structure=""))
    scene.show_way(bare, plan.best)
    way = plan.best.trajectory
    found = colours_at(scene.picture(camera, SIZE), camera, np.asarray(way.target_mm) + np.zeros((1, 3)))[0]
    assert found @ np.asarray(TARGET) / (np.linalg.norm(found) * np.linalg.norm(TARGET)) > 0.95


def test_triangles_stay_below_what_can_be_moved(scene):
    assert 1000 < scene.triangles <= 100_000


@pytest.mark.parametrize("wide", [1, 2, 6])
def test_what_is_thin_is_drawn_too(case, wide):
    affine = np.diag([0.6, 0.6, 0.6, 1.0])
    affine[:3, 3] = (-30.0, -20.0, 0.0)
    grid = Grid(affine, (100, wide, wide))
    solid = np.full(grid.shape, 255, dtype=np.uint8)
    lead = Structure("metal", Presence.PRESENT, solid, grid, evaluated_in=case.volumes["ct"].grid, image_id="ct")
    scene = LiveScene()
    scene.show_anatomy(case.volumes["ct"], {"metal": lead})
    scene.set_colours({"metal": (0, 255, 0)})
    middle = np.asarray((0.0, -20.0, 0.0))
    view = Camera(tuple(middle - (0.0, 200.0, 0.0)), tuple(middle), (0.0, 0.0, 1.0))
    seen = greens(scene.picture(view, SIZE))
    scene.close()
    length_px = 60 / view.millimetres_per_pixel(SIZE[1])
    assert seen > 0.7 * length_px * 0.6 * wide / view.millimetres_per_pixel(SIZE[1])


def test_no_edge_is_too_long_to_be_cut_away(case):
    from navplan.imaging.surfaces import display_surface
    from navplan.view.finer_meshes import with_short_edges

    tube = display_surface(case.structures["aorta"], spacing_mm=2.6, max_triangles=300)
    fine = with_short_edges(tube, 12.0)

    def longest_mm(surface):
        corners = surface.points_mm[surface.triangles]
        return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max()

    assert longest_mm(tube) > 20 and longest_mm(fine) < 12.01
    assert np.isclose(fine.volume_mm3, tube.volume_mm3, rtol=1e-4)
    assert np.allclose(np.linalg.norm(fine.normals, axis=1), 1)


def test_refusals(scene, case, plan, camera):
    with pytest.raises(InputError, match="64 to 4096"):
        scene.picture(camera, (10, 300))
    with pytest.raises(InputError, match="detector"):
        scene.show_carm((0, 0, 0))
    with pytest.raises(GeometryError):
        scene.show_carm((0, 0, 0), np.zeros((4, 3)), (0, 0, 0))
    with pytest.raises(GeometryError):
        scene.show_cursor((0, np.nan, 0))
    scene.show_way(None)
    with pytest.raises(InputError, match="show_way first"):
        scene.move_needle((0, 0, 0), (0, 0, 9))
    empty = LiveScene()
    with pytest.raises(InputError, match="show_anatomy first"):
        empty.show_way(plan, plan.best)
    with pytest.raises(InputError, match="show_anatomy first"):
        empty.default_camera(SIZE)
    empty.close()
