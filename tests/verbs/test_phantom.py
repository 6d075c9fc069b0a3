"""phantom: a case, and files that come back as the same image."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import navplan as nv
from navplan.errors import ChoiceError, InputError
from navplan.files.image_files import read_image_array
from navplan.model.structure import Presence
from navplan.verbs.phantom import write_phantom


class BallPhantom:
    """A ball in air: small enough to be made in no time."""

    name, description = "ball", "a ball of soft tissue in air"

    @classmethod
    def population(cls, seed: int) -> BallPhantom:
        ball = cls()
        ball.radius = 15.0 + seed
        return ball

    radius = 15.0

    def make(self, spacing_mm=(1.0, 1.0, 1.0), orientation="LPS", seed=0, hard_labels=False, rigid_motion=None):
        if orientation not in ("LPS", "RAS", "tilted"):
            raise ValueError(f"orientation {orientation!r}")
        shape = tuple(int(48 / step) for step in spacing_mm)
        affine = np.diag([*spacing_mm, 1.0])
        if orientation == "RAS":
            affine[:2] *= -1
        affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
        if orientation == "tilted":
            affine[:3, 1] = np.array([0, np.cos(0.2), np.sin(0.2)]) * spacing_mm[1]
        affine = (np.eye(4) if rigid_motion is None else rigid_motion) @ affine
        index = np.moveaxis(np.indices(shape), 0, -1)
        centre = affine[:3, :3] @ (np.array(shape) - 1) / 2 + affine[:3, 3]
        radius = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - centre, axis=-1)
        occupancy = np.clip((self.radius + 0.9 - radius) * 200, 0, 255).astype(np.uint8)
        voxels = np.where(radius < self.radius, 40, -1000) + np.random.default_rng(seed).integers(-5, 5, shape)
        low, high = np.argwhere(occupancy).min(0), np.argwhere(occupancy).max(0) + 1
        crop = occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        if hard_labels:
            crop = np.where(crop >= 128, 255, 0).astype(np.uint8)
        part = SimpleNamespace(offset=tuple(int(n) for n in low), occupancy=crop)
        outside = SimpleNamespace(offset=(0, 0, 0), occupancy=np.zeros((1, 1, 1), dtype=np.uint8))
        return SimpleNamespace(
            voxels=voxels.astype(np.int16), affine=affine, structures={"body": part, "spleen": outside},
            truth={"radius_mm": self.radius, "grid": {"orthogonal": orientation != "tilted"}}, modality="CT",
            patient_position="HFS",
        )  # fmt: skip


@pytest.fixture(autouse=True)
def ball(monkeypatch):
    from navplan.extend import registry

    load = registry.load
    monkeypatch.setattr(registry, "load", lambda group, name: BallPhantom() if name == "ball" else load(group, name))


def test_a_phantom_is_a_case_with_known_structures():
    case = nv.phantom("ball", spacing_mm=(2, 2, 3), date="2025-01-02")
    name, volume = case.image()
    body = case.structures["body"]
    assert name == "ct" and volume.acquisition.patient_position == "HFS" and volume.acquisition.date == "2025-01-02"
    assert volume.acquisition.slice_thickness_mm == 3.0 and volume.acquisition.quality
    assert body.fractional and body.boundary_sigma_mm == 0.0 and body.boundary_source == "analytic"
    assert body.evaluated_in is not None and body.evaluated_in.same_as(volume.grid)
    assert body.resolution_mm.tolist() == [2, 2, 3]
    assert body.grid is not None and np.allclose(body.voxel_centres_mm().mean(0), 0, atol=0.3)
    assert case.structures["spleen"].presence is Presence.UNKNOWN
    assert case.patient_digest and case.audit[0].action == "phantom"
    assert case.patient_digest == nv.phantom("ball").patient_digest
    assert not nv.phantom("ball", hard_labels=True).structures["body"].fractional


def test_the_date_is_today_unless_told():
    from datetime import datetime

    assert nv.phantom("ball").image()[1].acquisition.date == datetime.now().date().isoformat()


def test_a_rigid_motion_moves_the_grid():
    motion = np.eye(4)
    motion[:3, 3] = (10, 20, 30)
    still, moved = nv.phantom("ball").image()[1], nv.phantom("ball", rigid_motion=motion).image()[1]
    assert np.allclose(moved.grid.affine, motion @ still.grid.affine)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nv.phantom("nosuch"), "nosuch"),
        (lambda: nv.phantom("ball", orientation="XYZ"), "XYZ"),
        (lambda: nv.phantom("ball", orientation="tilted"), "tilted"),
        (lambda: nv.phantom("ball", date="soon"), "soon"),
        (lambda: nv.phantom("ball", spacing_mm=("a", "b", "c")), "phantom 'ball'"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("format", ["dicom", "nifti", "nrrd"])
@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_what_is_written_comes_back(tmp_path: Path, format: str, orientation: str):
    (folder,) = write_phantom("ball", tmp_path / "out", format=format, orientation=orientation, spacing_mm=(2, 2, 3))
    image = folder / "image" if format == "dicom" else next(folder.glob("image.*"))
    case = nv.import_images(image)
    volume, made = case.image()[1], nv.phantom("ball", orientation=orientation, spacing_mm=(2, 2, 3)).image()[1]
    assert np.array_equal(volume.voxels, made.voxels)
    assert np.abs(volume.grid.corners_mm() - made.grid.corners_mm()).max() < 1e-3
    labels = read_image_array(folder / "labels.seg.nrrd")
    assert labels.grid.shape == made.grid.shape and labels.header["Segment0_ID"] == "body"
    exact = read_image_array(folder / "occupancy" / "body.nrrd")
    body = nv.phantom("ball", orientation=orientation, spacing_mm=(2, 2, 3)).structures["body"]
    assert np.array_equal(exact.array, body.occupancy)
    assert json.loads((folder / "truth.json").read_text())["radius_mm"] == 15
    assert not list(tmp_path.glob(".*"))


def test_a_tilted_stack_is_written_sheared_and_read_straight(tmp_path: Path):
    (folder,) = write_phantom("ball", tmp_path / "out", orientation="tilted", spacing_mm=(2, 2, 2))
    volume = nv.import_images(folder / "image").image()[1]
    assert "tilted_stack" in {found.code for found in volume.acquisition.quality}
    inside = volume.grid.points_mm(np.argwhere(volume.voxels > -300))
    centre = np.mean(inside, axis=0)
    radii = np.linalg.norm(inside - centre, axis=1)
    assert (
        radii.max() < 15 + 2.5
        and abs((len(inside) * np.prod(volume.grid.spacing_mm)) / (4 / 3 * np.pi * 15**3) - 1) < 0.1
    )
    with pytest.raises(InputError, match="dicom"):
        write_phantom("ball", tmp_path / "other", orientation="tilted", format="nrrd")


def test_a_population_is_one_folder_each(tmp_path: Path):
    folders = write_phantom("ball", tmp_path / "out", population=3, seed=2, spacing_mm=(4, 4, 4))
    radii = [json.loads((folder / "truth.json").read_text())["radius_mm"] for folder in folders]
    assert radii == [17, 18, 19] and folders[0].name == "ball_001"
    ids = {nv.import_images(folder / "image").patient_digest for folder in folders}
    assert len(ids) == 3


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    with pytest.raises(ChoiceError, match="format"):
        write_phantom("ball", tmp_path / "out", format="png")
    with pytest.raises(InputError, match="population"):
        write_phantom("ball", tmp_path / "out", population=-1)
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        write_phantom("ball", full)
    import navplan.files.durable as durable

    def broken(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write_whole", broken)
    with pytest.raises(InputError, match="No space left"):
        write_phantom("ball", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["full"] and (full / "precious").read_text() == "mine"


def test_the_abdomen_that_ships_is_a_case():
    case = nv.phantom("abdomen", spacing_mm=(6, 6, 8), seed=1)
    assert {"body", "liver"} <= set(case.structures) and case.image()[1].modality == "CT"
    assert all(one.fractional for one in case.structures.values() if one.presence is Presence.PRESENT)
