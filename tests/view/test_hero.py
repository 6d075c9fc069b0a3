"""The strip, the sheet, and the verb that writes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.model.safety import PathSection
from navplan.planning.boundary import boundary_of
from navplan.planning.margins import margins
from navplan.verbs.scene import scene
from navplan.view.hero import compose_hero
from navplan.view.straightened_path import clearance_curves, straightened_path, surface_ticks


def test_curves_are_the_planners_margins(case, plan):
    way = plan.best.trajectory
    curves = clearance_curves(case.structures, way, ["rib_left_6", "aorta", "not_there"])
    assert curves.names == ("rib_left_6", "aorta")
    bounds = [boundary_of(case.structures[name]) for name in curves.names]
    whole = margins(bounds, [way.entry_mm], [way.swept_end_mm])
    assert np.allclose(curves.low_mm.min(axis=0), whole.low_mm(way.device.radius_mm)[0], atol=1e-6)
    assert (curves.low_mm <= curves.high_mm).all()
    assert curves.depths_mm[0] > 0 and curves.depths_mm[-1] < way.swept_depth_mm


def test_pleura_and_capsule_are_ticked_where_they_are_entered():
    path = (
        PathSection("unlabelled", 0, 30), PathSection("lung_lower_lobe_left", 30, 38),
        PathSection("lung_mass_left", 38, 50), PathSection("lung_lower_lobe_left", 50, 55),
    )  # fmt: skip
    assert surface_ticks(path) == [(30, "pleura")]
    path = (
        PathSection("unlabelled", 0, 25), PathSection("liver", 25, 40), PathSection("hepatic_vein", 40, 42),
        PathSection("liver", 42, 60),
    )  # fmt: skip
    assert surface_ticks(path) == [(25, "capsule of liver")]


def test_the_strip_follows_the_trajectory(case, plan):
    volume = case.volumes["ct"]
    first, second = (
        straightened_path(volume, case.structures, ranked, target="lung_mass_left", size=(800, 200))
        for ranked in plan.trajectories
    )
    assert first.shape == (200, 800, 3)
    assert (first != second).any(axis=2).mean() > 0.05
    with pytest.raises(InputError, match="400 x 120"):
        straightened_path(volume, case.structures, plan.best, size=(100, 100))


def test_the_sheet_holds_all_its_parts(case, plan):
    shot = np.zeros((64, 64, 3), dtype=np.uint8)
    shot[..., 1] = 250
    sheet = compose_hero(case, plan, fluoroscopy=shot, fluoroscopy_words=("down the needle",), size=(960, 600))
    assert sheet.shape == (600, 960, 3)
    assert ((sheet[..., 1] > 240) & (sheet[..., 0] < 10)).sum() > 10_000  # the fluoroscopy, in its place
    for part in (sheet[60:460, :570], sheet[60:255, 590:], sheet[270:460, 590:760], sheet[480:]):
        assert part.std() > 15
    for bad in (np.zeros((4, 4)), np.zeros(4, dtype=np.uint8)):
        with pytest.raises(InputError, match="fluoroscopy"):
            compose_hero(case, plan, fluoroscopy=bad)
    with pytest.raises(InputError, match="960 x 600"):
        compose_hero(case, plan, fluoroscopy=shot, size=(320, 240))
    with pytest.raises(InputError, match="ranks"):
        compose_hero(case, plan, 9, fluoroscopy=shot)


def test_the_verb_writes_a_whole_picture(case, plan, tmp_path):
    out = scene(case, plan=plan, out=tmp_path / "scene.png", size=(480, 360))
    with Image.open(out) as picture:
        assert picture.size == (480, 360) and picture.format == "PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["scene.png"]


@pytest.mark.parametrize("name", ["scene.jpg", "scene.obj", "scene"])
def test_a_kind_of_file_that_is_none_of_ours_is_refused(case, plan, tmp_path, name):
    with pytest.raises(FileFormatError, match=r"\.png or \.html or \.glb"):
        scene(case, plan=plan, out=tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["scene.html", "scene.glb"])
@pytest.mark.parametrize("asked", [{"hero": True}, {"size": (640, 480)}])
def test_a_page_and_meshes_have_no_sheet_and_no_size(case, plan, tmp_path, name, asked):
    with pytest.raises(InputError, match=r"\.png"):
        scene(case, plan=plan, out=tmp_path / name, **asked)
    assert not list(tmp_path.iterdir())


def test_the_verb_refuses_what_does_not_belong_together(case, plan, tmp_path):
    other = replace(plan, provenance=replace(plan.provenance, image_digest="0" * 64))
    with pytest.raises(MismatchError, match="made on"):
        scene(case, plan=other, out=tmp_path / "scene.png")
    with pytest.raises(InputError, match="without a plan"):
        scene(case, out=tmp_path / "scene.png", hero=True)
    with pytest.raises(InputError):
        scene(case, plan=plan, out=tmp_path / "no_folder" / "scene.png", size=(320, 240))
    assert not list(tmp_path.iterdir())
