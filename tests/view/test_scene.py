"""Scenes by their pixels: needle, target and dangers are there, always, and the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.view.camera import Camera
from navplan.view.colours import TARGET
from navplan.view.near_structures import choose_structures
from navplan.view.scene import draw_scene, render_scene

SIZE = (480, 360)


@pytest.fixture(scope="module")
def view(case, plan):
    return render_scene(case, plan, size=SIZE)


def pixels_at(picture, camera, points_mm):
    height, width = picture.shape[:2]
    places = np.round(camera.project(points_mm, (width, height))).astype(int)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    return picture[places[inside, 1], places[inside, 0]].astype(int)


def likeness(pixels, colour):
    """Cosine between colours, so that shade does not matter."""
    wanted = np.asarray(colour, dtype=float)
    lengths = np.maximum(np.linalg.norm(pixels, axis=-1) * np.linalg.norm(wanted), 1e-9)
    return (pixels @ wanted) / lengths


def test_the_needle_is_seen_from_outside_to_its_tip(view, plan):
    way = plan.best.trajectory
    shaft = way.point_at_mm(0) + np.outer(np.linspace(-15, way.tip_depth_mm - 1, 60), way.direction)
    found = pixels_at(view.picture, view.camera, shaft)
    assert len(found) > 50
    assert (found.min(axis=1) > 130).mean() > 0.8  # near white, but for the edges of ticks and the gaps' dots


def test_the_needle_is_never_thinner_than_three_pixels(case, plan, view):
    axes, eye = view.camera.axes, np.asarray(view.camera.focal_mm)
    far = Camera(tuple(eye + 3000 * axes[2]), tuple(eye), tuple(axes[1]))
    small = render_scene(case, plan, size=SIZE, camera=far)
    way = plan.best.trajectory
    x, y = small.camera.project([way.point_at_mm(-30)], SIZE)[0]
    patch = small.picture[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13].astype(int).min(axis=2)
    along = small.camera.project([way.point_at_mm(-30), way.point_at_mm(-29)], SIZE)
    steep = abs(along[1, 1] - along[0, 1]) > abs(along[1, 0] - along[0, 0])
    widths = (patch > 110).sum(axis=1 if steep else 0)
    assert np.median(widths[widths > 0]) >= 3


def test_the_target_is_seen_in_its_colour(view, case, plan):
    lesion = case.structures[plan.target.structure]
    found = pixels_at(view.picture, view.camera, lesion.voxel_centres_mm())
    assert (likeness(found, TARGET) > 0.97).mean() > 0.5


@pytest.mark.parametrize("place", [0, 1])
def test_the_nearest_two_are_seen_where_they_are_nearest(view, case, plan, place):
    finding = view.nearest[place]
    without = {name: s for name, s in case.structures.items() if name != finding.structure}
    bare = render_scene(replace(case, structures=without), plan, size=SIZE, camera=view.camera)
    x, y = np.round(view.camera.project([finding.nearest_mm], SIZE)[0]).astype(int)
    around = (slice(y - 25, y + 26), slice(x - 25, x + 26))
    changed = np.abs(view.picture[around].astype(int) - bare.picture[around]).max(axis=2) > 40
    assert changed.mean() > 0.1


def test_the_skin_is_seen_as_a_ghost_and_the_error_cone_too(view, case, plan):
    image = case.volumes["ct"]
    air = replace(image, voxels=np.full_like(image.voxels, -1000), quantity="none")
    bare = render_scene(replace(case, volumes={"ct": air}), plan, size=SIZE, camera=view.camera)
    assert (np.abs(view.picture.astype(int) - bare.picture).max(axis=2) > 3).mean() > 0.15
    wide = replace(plan, error_model=replace(plan.error_model, entry_sigma_mm=6.0))
    other = render_scene(case, wide, size=SIZE, camera=view.camera)
    assert (np.abs(view.picture.astype(int) - other.picture).max(axis=2) > 3).sum() > 300


def through_the_aorta(plan) -> Trajectory:
    best = plan.best.trajectory
    return Trajectory((4.0, 66.0, 2.0), (4.0, -10.0, 2.0), best.device, tip_short_of_target_mm=11.0)


def test_what_the_verdict_hangs_on_is_never_faded(case, plan):
    way = through_the_aorta(plan)
    crossed = Finding(
        FindingKind.CLEARANCE, Verdict.FAIL, "aorta crossed", "aorta", Interval(-0.7, -0.7), 5.0,
        nearest_mm=(4.0, 24.0, 2.0), needle_mm=(4.0, 24.0, 2.0), at_depth_mm=42.0, crossed_mm=20.0,
    )  # fmt: skip
    report = SafetyReport((crossed,), error_model="made up")
    bad = replace(plan, trajectories=(replace(plan.best, trajectory=way, report=report),))
    seen = render_scene(case, bad, size=SIZE)
    assert "aorta" in seen.shown.deciding and "aorta" not in seen.faded
    without = {name: structure for name, structure in case.structures.items() if name != "aorta"}
    bare = render_scene(replace(case, structures=without), bad, size=SIZE, camera=seen.camera)
    assert (np.abs(seen.picture.astype(int) - bare.picture).max(axis=2) > 40).sum() > 500
    shaft = way.point_at_mm(0) + np.outer(np.linspace(34, 50, 20), way.direction)
    outside = pixels_at(bare.picture, seen.camera, shaft).min(axis=1).mean()
    inside = pixels_at(seen.picture, seen.camera, shaft)
    assert inside.max(axis=1).mean() > 110 and outside > 110  # the needle shows through it


def test_the_same_scene_is_the_same_picture(view, case, plan):
    assert np.array_equal(render_scene(case, plan, size=SIZE).picture, view.picture)


def test_another_trajectory_is_another_picture(case, plan):
    first, second = (draw_scene(case, plan, number, size=SIZE) for number in (0, 1))
    assert first.shape == (360, 480, 3) and first.dtype == np.uint8
    assert (first != second).any(axis=2).mean() > 0.2


def test_verdict_and_words_stand_on_the_picture(case, plan):
    passed = replace(plan.best, report=replace(plan.best.report, findings=plan.best.report.findings[:3]))
    assert passed.verdict is Verdict.PASS
    other = replace(plan, trajectories=(passed,))
    first, second = (draw_scene(case, chosen, size=SIZE)[:40] for chosen in (plan, other))
    assert (first != second).any(axis=2).mean() > 0.05


def test_without_a_plan_the_anatomy_is_drawn(case):
    picture = draw_scene(case, size=SIZE)
    assert (picture.max(axis=2) > 120).mean() > 0.05


def test_triangles_stay_below_the_limit(view):
    assert 1000 < view.triangles <= 450_000


def test_the_view_shows_the_needle_from_the_side_and_the_table_below(view, plan):
    way, back = plan.best.trajectory, view.camera.axes[2]
    assert abs(float(back @ way.direction)) < 0.75
    assert view.camera.axes[1] @ (0, 1, 0) > 0 or view.camera.axes[1] @ (0, 0, 1) > 0.5  # prone: the back is up


@pytest.mark.parametrize("number", [-1, 7])
def test_a_trajectory_that_is_not_there_is_refused(case, plan, number):
    with pytest.raises(InputError, match="ranks"):
        draw_scene(case, plan, number)


def test_refusals(case, plan):
    with pytest.raises(InputError, match="no way in"):
        draw_scene(case, replace(plan, trajectories=()))
    with pytest.raises(InputError, match="320 x 240"):
        draw_scene(case, plan, size=(100, 100))
    with pytest.raises(ChoiceError, match="no_such"):
        draw_scene(case, plan, image_id="no_such")


def test_only_the_near_organs_and_bones_are_chosen(case, plan):
    shown = choose_structures(case.structures, plan.best.trajectory, plan.best.report, plan.target.structure)
    assert shown.target == "lung_mass_left" and shown.ghost == "lung_left"
    assert set(shown.deciding) <= {name for name in case.structures if name.startswith("rib_left")}
    assert "aorta" in shown.organs and "lung_right" not in shown.organs
