"""The report on a real chest CT: the mass of the readers, its needle, a card that fits one page."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon
from scipy.ndimage import binary_fill_holes, binary_opening, find_objects, label

import navplan as nv
from navplan.geometry.grid import Grid
from navplan.geometry.table_angles import table_angles
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import SafetyReport
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume
from navplan.verbs.plan import provenance_of
from navplan.verbs.situation import device_of, target_of

KEPT = (
    "rib_left_",
    "scapula_left",
    "aorta",
    "heart",
    "lung_",
    "pulmonary_vein",
    "trachea",
    "spinal_cord",
    "vertebrae_T",
)


@pytest.fixture(scope="module")
def chest(real_images):
    folder = real_images / "lidc0001_chest_ct"
    image = sitk.ReadImage(str(folder / "cxr_int16.nii.gz"))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:3, :2] *= 2.0  # every second voxel across: half as sharp, and a quarter of the work
    voxels = sitk.GetArrayFromImage(image).T[::2, ::2]
    grid = Grid(affine, voxels.shape)
    facts = Acquisition(patient_position="HFS", padding_hu=-2048.0, slice_thickness_mm=2.5)
    case = Case("chest", {"ct": Volume(voxels, grid, acquisition=facts)})
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "mask.nii.gz"))).T[::2, ::2]
    names = {int(row["id"]): row["structure"] for row in csv.DictReader((folder / "structures.csv").open())}
    boxes = find_objects(labels.astype(np.int32))
    found = [
        hard(names[number], labels[box] == number, grid, [part.start for part in box])
        for number, box in enumerate(boxes, start=1)
        if box is not None and names[number].startswith(KEPT)
    ]
    body = binary_opening(voxels > -400, iterations=2)
    parts, _ = label(body)
    body = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    for k in range(body.shape[2]):
        body[:, :, k] = binary_fill_holes(body[:, :, k])
    stated = [
        Structure(name, Presence.ABSENT, stated_by="a test", stated_on="2026-11-24") for name in ("bulla", "fissure")
    ]
    return case.with_structures(*found, hard("body", body, grid), readers_mass(folder, grid), *stated)


def hard(name, mask, grid, start=(0, 0, 0)) -> Structure:
    occupancy = (mask * 255).astype(np.uint8)
    return Structure(name, Presence.PRESENT, occupancy, grid.crop(start, mask.shape), False, grid, "ct", "label map")


def readers_mass(folder, grid) -> Structure:
    """Voxels that at least two readers outlined."""
    votes = np.zeros(grid.shape, dtype=np.uint8)
    for annotation in json.loads((folder / "lidc0001_nodules.json").read_text())["annotations"]:
        for contour in annotation["contours"]:
            points = np.array([[x, y, contour["z_mm"]] for x, y in contour["xy_mm"]])
            index = grid.indices(points)
            low, high = np.floor(index.min(axis=0)).astype(int), np.ceil(index.max(axis=0)).astype(int) + 1
            i, j = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij")
            inside = Polygon(index[:, :2]).contains_points(np.c_[i.ravel(), j.ravel()]).reshape(i.shape)
            votes[low[0] : high[0], low[1] : high[1], round(index[0, 2])] += inside
    return hard("mass", votes >= 2, grid)


@pytest.fixture(scope="module")
def drawn_plan(chest) -> Plan:
    """A way from the left back, between the ribs; the stored report is empty."""
    from navplan.extend import registry

    rules = registry.protocol("lung-biopsy")
    aim = target_of(dict(chest.structures), "mass")
    body = chest.structures["body"]
    outward = np.array([0.95, 0.31, 0.0]) / np.linalg.norm([0.95, 0.31, 0.0])
    steps = np.arange(0.0, 200.0, 0.5)
    index = np.rint(body.grid.indices(np.asarray(aim.point_mm) + steps[:, None] * outward)).astype(int)
    inside = ((index >= 0) & (index < body.occupancy.shape)).all(axis=1)
    inside[inside] = body.occupancy[tuple(index[inside].T)] > 127
    entry = np.asarray(aim.point_mm) + steps[int(np.argmin(inside)) - 1] * outward
    way = Trajectory(tuple(entry.tolist()), aim.point_mm, device_of(rules), 11.0)
    ranked = RankedTrajectory(way, {"depth_mm": way.depth_mm}, 0.5, SafetyReport(()))
    return Plan(
        "by-hand", rules, Target(aim.point_mm, "mass"), "left", "HFS", "", rules.error_model("navigated"), (ranked,),
        replace(provenance_of(chest, "ct"), made_on="2026-11-24"),
    )  # fmt: skip


@pytest.mark.slow
def test_report_on_a_real_chest(chest, drawn_plan, tmp_path):
    made = nv.report(chest, drawn_plan, tmp_path)
    names = {path.name for path in made.paths}
    assert {"report.html", "freehand-card.html", "ap.png", "lateral.png", "bullseye.png"} <= names
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    way = drawn_plan.best.trajectory
    angles = table_angles(way.entry_mm, way.target_mm, "HFS")
    assert angles.hub_side == "left" and f"{angles.from_vertical_deg:.0f}° from vertical" in html
    assert "left lung lower lobe" in html and "pleura at" in html and "unsourced" in html
    assert "bulla: stated to be absent by a test" in html and "intercostal bundle" in html
    assert "freehand under CT" in html and "electromagnetic navigation" in html
    assert "lung window" in html and "soft tissue window" in html
    if "report.pdf" not in names or shutil.which("pdfinfo") is None:
        pytest.skip("without WeasyPrint or pdfinfo the pages are not counted")
    for name, most in (("freehand-card.pdf", 1), ("report.pdf", 10)):
        told = subprocess.run(["pdfinfo", str(tmp_path / name)], check=True, capture_output=True, text=True).stdout
        pages = int(next(line.split()[1] for line in told.splitlines() if line.startswith("Pages")))
        assert 1 <= pages <= most
