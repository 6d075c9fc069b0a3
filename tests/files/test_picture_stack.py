"""PNG and TIFF pictures become a volume where all that they do not say is stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import navplan as nv
from navplan.cli import main
from navplan.errors import InputError

STATED = {"spacing_mm": (0.5, 0.7, 2.0), "slices": "feet to head", "modality": "CT"}
GREY = np.random.default_rng(2).integers(0, 256, (12, 5, 6)).astype(np.uint8)  # [slice, row, column]


def pictures(folder: Path, planes: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir()
    for number, plane in enumerate(planes):
        Image.fromarray(plane).save(folder / f"slice{number}.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_values_lie_as_stated(tmp_path: Path, suffix: str, kind: type):
    planes = GREY.astype(kind) * (200 if kind is np.uint16 else 1)
    volume = nv.import_images(pictures(tmp_path / "p", planes, suffix), **STATED).image()[1]
    assert np.array_equal(volume.voxels, planes.T) and volume.quantity == "signal" and volume.modality == "CT"
    assert np.allclose(volume.grid.points_mm((1, 2, 3)), (0.5, 1.4, 6.0))  # left, back, head
    assert "picture_stack" in {finding.code for finding in volume.acquisition.quality}


def test_slices_from_the_head_down_are_turned_round(tmp_path: Path):
    volume = nv.import_images(pictures(tmp_path / "p", GREY), **{**STATED, "slices": "head to feet"}).image()[1]
    assert np.array_equal(volume.voxels, GREY[::-1].T)


def test_pages_of_one_file_are_slices(tmp_path: Path):
    first, *others = [Image.fromarray(plane) for plane in GREY]
    first.save(tmp_path / "all.tiff", save_all=True, append_images=others)
    assert np.array_equal(nv.import_images(tmp_path / "all.tiff", **STATED).image()[1].voxels, GREY.T)


def test_of_colours_the_brightness_is_kept_and_said(tmp_path: Path):
    colours = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
    volume = nv.import_images(pictures(tmp_path / "p", colours), **STATED).image()[1]
    assert np.abs(volume.voxels - (colours @ [0.299, 0.587, 0.114]).T).max() <= 0.5
    assert "colours" in {finding.code for finding in volume.acquisition.quality}


@pytest.mark.parametrize(
    ("left_out", "words"),
    [("slices", "how they follow"), ("modality", "what was measured"), ("spacing_mm", "how large their pixels")],
)
def test_what_is_not_stated_is_asked_for(tmp_path: Path, left_out: str, words: str):
    stated = {name: value for name, value in STATED.items() if name != left_out}
    with pytest.raises(InputError, match=words):
        nv.import_images(pictures(tmp_path / "p", GREY), **stated)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, 1, float("nan")), (1, 1), (1, 1, -2), (1, 1, 1e9)])
def test_a_spacing_that_makes_no_sense_is_refused(tmp_path: Path, spacing):
    with pytest.raises(InputError, match="spacing"):
        nv.import_images(pictures(tmp_path / "p", GREY), **{**STATED, "spacing_mm": spacing})


@pytest.mark.parametrize("filled_up", [False, True])
def test_pictures_that_do_not_belong_together_are_refused(tmp_path: Path, monkeypatch, filled_up: bool):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", filled_up)  # as another library may have set it
    folder = pictures(tmp_path / "p", GREY)
    Image.fromarray(GREY[0, :4]).save(folder / "slice3.png")
    with pytest.raises(InputError, match=r"slice3\.png: 6x4 pixels beside 6x5"):
        nv.import_images(folder, **STATED)
    Image.fromarray(GREY[0].astype(np.uint16)).save(folder / "slice3.png")
    with pytest.raises(InputError, match="several kinds"):
        nv.import_images(folder, **STATED)
    (folder / "slice3.png").write_bytes((folder / "slice2.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"slice3\.png: a picture that cannot be read"):
        nv.import_images(folder, **STATED)
    Image.fromarray(GREY[0]).save(folder / "slice3.tif")
    with pytest.raises(InputError, match="one kind of file"):
        nv.import_images(folder, **STATED)
    Image.fromarray(GREY[0].astype(np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(InputError, match="kind F"):
        nv.import_images(tmp_path / "f.tif", **STATED)


def test_a_picture_alone_and_a_folder_without_any_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="at least 2"):
        nv.import_images(pictures(tmp_path / "p", GREY[:1]), **STATED)
    (tmp_path / "e").mkdir()
    with pytest.raises(InputError, match="no picture"):
        nv.import_images(tmp_path / "e", **STATED)
    with pytest.raises(InputError, match="with --spacing and --slices"):
        nv.import_images(tmp_path / "p", modality="CT")


def test_pictures_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = pictures(tmp_path / "p", GREY)
    case = str(tmp_path / "case")
    given = ["import", str(folder), "--case", case, "--spacing", "0.5", "0.7", "2", "--modality", "US"]
    assert main(given) == 2 and "--slices" in capsys.readouterr().err
    assert main([*given, "--slices", "head to feet"]) == 0
    assert "as stated" in capsys.readouterr().out


def test_pictures_in_an_archive(tmp_path: Path):
    import shutil

    pictures(tmp_path / "p", GREY)
    path = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "p")
    assert np.array_equal(nv.import_images(path, **STATED).image()[1].voxels, GREY.T)
