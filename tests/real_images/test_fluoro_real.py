"""Simulated fluoroscopy of a real chest CT: anatomy where a radiologist expects it."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.geometry.carm import Detector
from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

WIDE = Detector(192, 192, 2.6)


def read(path):
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image).T
    return voxels, Grid(affine, voxels.shape)


@pytest.fixture(scope="module")
def chest(real_images):
    voxels, grid = read(real_images / "lidc0001_chest_ct" / "cxr_int16.nii.gz")
    return Volume(voxels, grid)


@pytest.fixture(scope="module")
def mass(real_images):
    annotations = json.loads((real_images / "lidc0001_chest_ct" / "lidc0001_nodules.json").read_text())["annotations"]
    return np.mean([annotation["centre_lps_mm"] for annotation in annotations], axis=0)


@pytest.fixture(scope="module")
def views(chest):
    middle = chest.grid.points_mm((np.asarray(chest.grid.shape) - 1) / 2)
    names = ("AP", "lateral", "LAO 30 CRA 15")
    return dict(zip(names, take_shots(subject_of(chest, middle), names, Machine(detector=WIDE)), strict=True))


def mean_of(shot, points_mm, half=3):
    column, row = shot.image.beam.project(points_mm, WIDE).round().astype(int)
    return float(shot.attenuation[row - half : row + half + 1, column - half : column + half + 1].mean())


def test_lungs_are_bright_spine_and_liver_dark_in_ap(views):
    shot = views["AP"]
    lung_right = mean_of(shot, (-75.0, 0.0, -130.0))
    lung_left = mean_of(shot, (95.0, 0.0, -130.0))
    spine, below_right_dome = mean_of(shot, (8.0, 50.0, -130.0)), mean_of(shot, (-75.0, 0.0, -270.0))
    assert max(lung_right, lung_left) < 0.75 * min(spine, below_right_dome)


def test_the_heart_lies_on_the_side_marked_left(views):
    shot = views["AP"]
    assert shot.overlay.sides["right"] == "L" and shot.overlay.sides["left"] == "R"
    left, right = mean_of(shot, (60.0, 0.0, -200.0)), mean_of(shot, (-60.0, 0.0, -190.0))
    assert left > 1.2 * right


def test_the_attenuation_are_those_of_a_person(views):
    for shot in views.values():
        body = shot.attenuation[60:130, 60:130]
        assert 1.0 < np.median(body) < 8.0 and shot.attenuation.max() < 12.0
        assert np.isfinite(shot.attenuation).all() and shot.attenuation.min() >= 0.0


def test_what_is_missing_is_told(views):
    assert all(any("padding" in words for words in shot.overlay.warnings) for shot in views.values())
    assert any("CT ends" in words for words in views["AP"].overlay.warnings)


def test_the_mass_is_denser_than_the_lung_about_it_in_an_oblique_view(chest, mass):
    shot = take_shots(subject_of(chest, mass), ("LAO 30 CRA 15",), Machine(detector=Detector(192, 192, 1.6)))[0]
    middle = shot.attenuation[92:100, 92:100].mean()
    about = [shot.attenuation[rows, columns].mean() for rows, columns in (
        (slice(70, 76), slice(92, 100)), (slice(116, 122), slice(92, 100)), (slice(92, 100), slice(70, 76)),
    )]  # fmt: skip
    assert np.allclose(shot.image.beam.project(mass, shot.image.detector), 95.5)
    assert middle > max(about) + 0.1, (middle, about)
