"""The scene of the real chest CT: what must be seen is seen, within the limits of a still."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon
from scipy.ndimage import find_objects

from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.view.colours import TARGET
from navplan.view.scene import SceneView, render_scene

BY_HAND = Path(__file__).parents[1] / "view" / "plan_by_hand.py"
NEAR = ("rib_left_*", "vertebrae_T*", "scapula_left", "aorta", "heart", "lung_lower_lobe_left", "pulmonary_vein")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scene real")]


def plan_by_hand(*arguments, **named):
    spec = importlib.util.spec_from_file_location("plan_by_hand", BY_HAND)
    module = sys.modules.setdefault("plan_by_hand", importlib.util.module_from_spec(spec))
    if not hasattr(module, "plan_by_hand"):
        spec.loader.exec_module(module)
    return module.plan_by_hand(*arguments, **named)


def grid_of(image: sitk.Image) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Grid(affine, image.GetSize())


def mass(folder: Path, grid: Grid) -> Structure:
    """Where at least two of the readers drew the mass."""
    votes = np.zeros(grid.shape, dtype=np.uint8)
    for reader in json.loads((folder / "lidc0001_nodules.json").read_text())["annotations"]:
        for contour in reader["contours"]:
            outline = np.asarray(contour["xy_mm"])
            line = grid.indices(np.column_stack([outline, np.full(len(outline), contour["z_mm"])]))
            first, last = np.floor(line.min(axis=0)).astype(int), np.ceil(line.max(axis=0)).astype(int) + 1
            cells = np.stack(
                np.meshgrid(*[np.arange(a, b) for a, b in zip(first[:2], last[:2], strict=True)], indexing="ij"),
                axis=-1,
            )
            inside = Polygon(line[:, :2]).contains_points(cells.reshape(-1, 2)).reshape(cells.shape[:2])
            votes[first[0] : last[0], first[1] : last[1], round(line[0, 2])] += inside.astype(np.uint8)
    return structure("lung_mass_left", votes >= 2, grid, (0, 0, 0))


def structure(name: str, mask: np.ndarray, grid: Grid, start: tuple[int, int, int]) -> Structure:
    found = np.argwhere(mask)
    first, last = found.min(axis=0), found.max(axis=0) + 1
    part = mask[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    own = grid.crop(np.add(start, first), part.shape)
    occupancy = np.where(part, np.uint8(255), np.uint8(0))
    return Structure(name, Presence.PRESENT, occupancy, own, evaluated_in=grid, image_id="ct")


@pytest.fixture(scope="module")
def chest(real_images: Path) -> Case:
    folder = real_images / "lidc0001_chest_ct"
    image = sitk.ReadImage(str(folder / "cxr_int16.nii.gz"))
    grid, labels = grid_of(image), sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "mask.nii.gz"))).T
    with (folder / "structures.csv").open() as rows:
        names = {int(row["id"]): row["structure"] for row in csv.DictReader(rows)}
    structures = {}
    for number, box in enumerate(find_objects(labels), start=1):
        name = names.get(number, "")
        if box is not None and any(Path(name).match(pattern) for pattern in NEAR):
            start = tuple(part.start for part in box)
            structures[name] = structure(name, labels[box] == number, grid, start)
    structures["lung_mass_left"] = mass(folder, grid)
    acquisition = Acquisition(patient_position="HFS", date="2000-01-01")
    return Case("lidc", {"ct": Volume(sitk.GetArrayFromImage(image).T, grid, acquisition=acquisition)}, structures)


@pytest.fixture(scope="module")
def plan(chest: Case):
    return plan_by_hand(chest, "lung_mass_left", reach_mm=70.0)


@pytest.fixture(scope="module")
def view(chest: Case, plan) -> SceneView:
    return render_scene(chest, plan, size=(800, 600), oversampling=1.0)


def colours_at(view: SceneView, points_mm: np.ndarray) -> np.ndarray:
    places = np.round(view.camera.project(points_mm, (800, 600))).astype(int)
    inside = ((places >= 0) & (places < (800, 600))).all(axis=1)
    return view.picture[places[inside, 1], places[inside, 0]].astype(int)


def test_needle_and_mass_are_seen(view, chest, plan):
    way = plan.best.trajectory
    shaft = way.point_at_mm(0) + np.outer(np.linspace(-15, way.tip_depth_mm - 1, 80), way.direction)
    assert (colours_at(view, shaft).min(axis=1) > 120).mean() > 0.8
    found = colours_at(view, chest.structures["lung_mass_left"].voxel_centres_mm())
    alike = found @ np.asarray(TARGET) / np.maximum(np.linalg.norm(found, axis=1) * np.linalg.norm(TARGET), 1)
    assert (alike > 0.97).mean() > 0.5


def test_the_scene_stays_a_still(view):
    assert 50_000 < view.triangles <= 450_000
    assert len(view.shown.organs) <= 15 and len(view.nearest) == 2


def test_the_ribs_that_decide_are_shown_and_not_faded(view):
    assert set(view.shown.deciding) >= {finding.structure for finding in view.nearest}
    assert not set(view.faded) & set(view.shown.deciding)


def test_skin_ends_where_the_field_of_view_ends(chest):
    from navplan.imaging.skin_surface import body_surface

    skin = body_surface(chest.volumes["ct"], spacing_mm=5.0)
    used = skin.points_mm[np.unique(skin.triangles)]
    centre = chest.volumes["ct"].grid.corners_mm().mean(axis=0)
    radius = np.hypot(*(used - centre)[:, :2].T)
    assert (radius > 178.5).mean() < 0.02  # the field of view is a circle of 180 mm
