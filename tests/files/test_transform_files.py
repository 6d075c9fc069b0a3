"""Transforms from files: which way they map, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from navplan.errors import FileFormatError, MismatchError
from navplan.files.transform_files import read_landmark_rows, read_transform

MATRIX = [[0.0, -1.0, 0.0, 10.0], [1.0, 0.0, 0.0, -20.0], [0.0, 0.0, 1.0, 30.0], [0.0, 0.0, 0.0, 1.0]]


def write_json(path: Path, **changes: object) -> Path:
    document = {"format": "navplan transform", "target": "today", "source": "ct", "matrix": MATRIX, **changes}
    path.write_text(json.dumps(document))
    return path


def test_json_says_which_way_it_maps(tmp_path: Path) -> None:
    forth = read_transform(write_json(tmp_path / "a.json"), "today", "ct", 2.0)
    assert np.allclose(forth.matrix, MATRIX)
    assert forth.expected_error_mm == 2.0
    back = read_transform(write_json(tmp_path / "b.json", target="ct", source="today"), "today", "ct", 2.0)
    assert np.allclose(back.matrix @ np.array(MATRIX), np.eye(4))
    assert (back.target, back.source) == ("today", "ct")


def test_itk_maps_points_of_the_image_to_carry_to_to_the_plans_own(tmp_path: Path) -> None:
    itk = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3, (5.0, 6.0, 7.0))
    sitk.WriteTransform(itk, str(tmp_path / "t.tfm"))
    found = read_transform(tmp_path / "t.tfm", "today", "ct", 1.0)
    point = (40.0, -50.0, 60.0)
    assert np.allclose(found.apply(itk.TransformPoint(point)), point)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="other_from_ct"):
        read_transform(write_json(tmp_path / "other.json", target="other"), "today", "ct", 1.0)
    for name, text in (("a.json", "[]"), ("b.json", '{"format": "x"}'), ("c.tfm", "no"), ("d.xyz", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileFormatError):
            read_transform(tmp_path / name, "today", "ct", 1.0)
    with pytest.raises(FileFormatError):
        read_transform(tmp_path / "missing.tfm", "today", "ct", 1.0)
    bent = sitk.BSplineTransformInitializer(sitk.Image(64, 64, 64, sitk.sitkUInt8), [3, 3, 3])
    bent.SetParameters(np.random.default_rng(0).normal(0, 3, len(bent.GetParameters())).tolist())
    sitk.WriteTransform(bent, str(tmp_path / "bent.tfm"))
    with pytest.raises(FileFormatError, match=r"bends|linear"):
        read_transform(tmp_path / "bent.tfm", "today", "ct", 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from_x,from_y,from_z,to_x,to_y,to_z,wieght\n1,2,3,4,5,6,7\n", "'wieght'"),
        ("from_x,from_y,from_z,to_x,to_y\n1,2,3,4,5\n", "without to_z"),
        ("from_x,from_y,from_z,to_x,to_y,to_z\n1,2,3,4,5,6,7\n", "more values"),
        ("from_x,from_y,from_z,to_x,to_y,to_z\n1,2,3,4,5\n", "cut short"),
    ],
)  # fmt: skip
def test_columns_that_are_not_known_and_rows_that_are_not_whole_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(FileFormatError, match=said):
        read_landmark_rows(tmp_path / "pairs.csv")
