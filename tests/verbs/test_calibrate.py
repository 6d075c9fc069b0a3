"""calibrate: tips and registrations from files, to files, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from navplan.errors import ChoiceError, FileFormatError, GeometryError, InputError
from navplan.files.calibration_files import read_points, read_poses, read_registration, read_tool
from navplan.model.case import Case
from navplan.model.trajectory import Trajectory
from navplan.navigation.tool import TrackedTool
from navplan.verbs.calibrate import UNKNOWN_AXIS_DEG, landmarks, pivot, save_tool, tool_of
from navplan.verbs.navigate import registration_of
from tests.planning.scenes import case_of, grid_of
from tests.verbs.test_navigate import NEEDLE

TIP, REST = np.array([1.0, -2.0, 150.0]), np.array([100.0, -50.0, -1200.0])
MARKS = np.array([[0, 0, 0], [100, 0, 0], [0, 90, 0], [0, 0, 80], [50, 60, 70.0], [-40, 30, 20]])
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def swung(count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(2)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.uniform(-0.5, 0.5, (count, 3))).as_matrix()
    poses[:, :3, 3] = REST - poses[:, :3, :3] @ TIP + rng.normal(0, 0.05, (count, 3))
    return poses


def test_the_tip_from_a_folder_a_table_and_a_list(tmp_path: Path) -> None:
    poses = swung()
    folder = tmp_path / "poses"
    folder.mkdir()
    for n, matrix in enumerate(poses):
        np.savetxt(folder / f"{n:03}.txt", matrix, fmt="%.17g")
    rows = [",".join(map(repr, matrix.ravel().tolist())) for matrix in poses]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    (tmp_path / "b.csv").write_text("\n".join([",".join("abcdefghijklmnop"), *rows]))
    (tmp_path / "a.json").write_text(json.dumps(poses.tolist()))
    (tmp_path / "b.json").write_text(json.dumps({"poses": poses.tolist()}))
    for file in (folder, *(tmp_path / name for name in ("a.csv", "b.csv", "a.json", "b.json"))):
        assert_allclose(read_poses(file), poses, rtol=0, atol=0)
        assert np.linalg.norm(pivot(file).tip_mm - TIP) < 0.2


def test_a_tool_is_read_as_it_was_written_and_ages(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(swung().tolist()))
    found = pivot(tmp_path / "a.json")
    made = tool_of(found, identity="probe", length_mm=151.0, axis=(0.0, 0.0, 2.0), axis_error_deg=0.3)
    save_tool(tmp_path / "tool.toml", made, NOW)
    read = read_tool(tmp_path / "tool.toml", 5000.0, NOW + timedelta(hours=1))
    assert read == TrackedTool(**{**vars(made), "calibrated_s": 1400.0})
    assert read.axis == (0.0, 0.0, 1.0) and read.tip_error_mm == found.tip_error_mm
    unknown = tool_of(found, length_mm=150.0)
    assert unknown.axis_error_deg == UNKNOWN_AXIS_DEG
    assert_allclose(unknown.axis, found.tip_mm / np.linalg.norm(found.tip_mm))
    for wrong in ({}, {"length_mm": 1.0, "axis": (0, 0, 1)}, {"length_mm": 1.0, "axis_error_deg": 1.0}):
        with pytest.raises(InputError):
            tool_of(found, **wrong)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""), ("a.csv", "1,2,3\n"), ("a.csv", ",".join("0" * 16) + "\n" + ",".join("x" * 16)),
        ("a.json", "{}"), ("a.json", "[[1, 2]]"), ("a.json", "not"), ("a.json", "[null]"), ("a.json", '{"poses": 3}'),
        ("a.dat", "1 2"), ("none.csv", None),
    ],
)  # fmt: skip
def test_files_of_no_poses_are_refused(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError):
        read_poses(tmp_path / name)


def test_a_pose_that_is_none_is_refused(tmp_path: Path) -> None:
    poses = swung()
    poses[3, 0, 0] = np.nan
    rows = [",".join(map(repr, matrix.ravel().tolist())) for matrix in poses]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(GeometryError):
        pivot(tmp_path / "a.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileFormatError):
        pivot(empty)


def table(path: Path, points: np.ndarray, names: str = "") -> Path:
    head = "name,x,y,z" if names else "x,y,z"
    rows = [",".join([*([name] if names else []), *map(repr, map(float, point))]) for name, point in
            zip(names or " " * len(points), points, strict=True)]  # fmt: skip
    path.write_text("\n".join([head, *rows]))
    return path


def moved(noise_mm: float = 0.3) -> np.ndarray:
    turn = Rotation.from_rotvec((0.3, -0.4, 0.9)).as_matrix()
    return MARKS @ turn.T + (10, 20, 30) + np.random.default_rng(1).normal(0, noise_mm / np.sqrt(3), MARKS.shape)


def test_landmarks_pair_by_name_by_order_and_in_one_file(tmp_path: Path) -> None:
    touched = moved()
    fixed = table(tmp_path / "fixed.csv", MARKS, "abcdef")
    turned = table(tmp_path / "moving.csv", touched[::-1], "fedcba")
    one = landmarks(fixed, turned, (30.0, 30.0, 30.0))
    assert one.registration.names == tuple("abcdef") and not one.registration.doubts
    other = landmarks(table(tmp_path / "f.csv", MARKS), table(tmp_path / "m.csv", touched), (30.0, 30.0, 30.0))
    rows = [",".join(map(repr, map(float, (*a, *b)))) for a, b in zip(touched, MARKS, strict=True)]
    (tmp_path / "pairs.csv").write_text("\n".join(["from_x,from_y,from_z,to_x,to_y,to_z", *rows]))
    third = landmarks(tmp_path / "pairs.csv", target_mm=(30.0, 30.0, 30.0))
    for found in (one, other, third):
        assert_allclose(found.registration.transform.apply(touched), MARKS, atol=1.0)
        assert 0 < found.registration.errors_mm["target"] < 1.5
        assert (found.registration.left_out_mm >= found.registration.residuals_mm).all()


def test_a_registration_is_read_as_it_was_written_and_ages(tmp_path: Path) -> None:
    fixed, moving = table(tmp_path / "f.csv", MARKS), table(tmp_path / "m.csv", moved())
    made = landmarks(fixed, moving)
    made.save(tmp_path / "r.json", NOW)
    told = read_registration(tmp_path / "r.json", 100.0, NOW + timedelta(seconds=40))
    assert told.made_s == 60.0 and told.reference == "Reference"
    assert told.patient_mm.tobytes() == MARKS.tobytes() and told.reference_mm.tobytes() == made.reference_mm.tobytes()
    way = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 50.0), NEEDLE)
    read = registration_of(tmp_path / "r.json", way, 100.0)
    assert_allclose(read.transform.matrix, made.registration.transform.matrix, rtol=0, atol=0)
    assert set(read.errors_mm) == {"target", "entry"}
    ahead = read_registration(tmp_path / "r.json", 100.0, NOW - timedelta(seconds=40))
    assert ahead.made_s == 140.0  # ahead of the clock, and refused as that


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        ("x,y,z\n1,2,3\n", "x,y,z\n1,2,3\n4,5,6\n"), ("name,x,y,z\na,1,2,3\n", "x,y,z\n1,2,3\n"),
        ("name,x,y,z\na,1,2,3\n", "name,x,y,z\nb,1,2,3\n"), ("x,y,z\n1,2,3\n", "x,y,z\n1,2,3\n"),
        ("x,y\n1,2\n", "x,y,z\n1,2,3\n"), ("x,y,z\n1,2,nan\n", "x,y,z\n1,2,3\n"), ("", "x,y,z\n1,2,3\n"),
        ("name,x,y,z\na,1,2,3\na,4,5,6\n", "name,x,y,z\na,1,2,3\na,4,5,6\n"),
        ("name,x,y,z\n,1,2,3\n", "x,y,z\n1,2,3\n"),
    ],
)  # fmt: skip
def test_points_that_give_no_registration_are_refused(tmp_path: Path, fixed: str, moving: str) -> None:
    (tmp_path / "f.csv").write_text(fixed)
    (tmp_path / "m.csv").write_text(moving)
    with pytest.raises(InputError):
        landmarks(tmp_path / "f.csv", tmp_path / "m.csv")


@pytest.mark.parametrize("text", ["", "a", "{}", "[]", '{"format": "navplan transform"}', "null"])
def test_other_files_are_no_tool_and_no_registration(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(FileFormatError):
        read_registration(tmp_path / "a", 0.0)
    with pytest.raises(FileFormatError):
        read_tool(tmp_path / "a", 0.0)
    with pytest.raises(FileFormatError):
        read_points(tmp_path / "a")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tip_mm = [", "tip_mm = [1, "), ("tip_error_mm = ", "tip_error_mm = -"), ("length_mm = ", "length_mm = nan #"),
        ("axis = [", "axis = [0,0,0] # "), ("calibrated = ", "calibrated = 3 #"), ("axis", "axes"),
        ("calibrated = 2026-01-02T03:04:05+00:00", "calibrated = 2026-01-02T03:04:05"), ("device", "spare"),
    ],
)  # fmt: skip
def test_a_tools_file_with_a_fault_is_refused(tmp_path: Path, old: str, new: str) -> None:
    tool = TrackedTool("Needle", "n18", 150.0, (0.0, 0.1, 150.0), (0.0, 0.0, 1.0), 0.1, 0.1, 0.0)
    save_tool(tmp_path / "a.toml", tool, NOW)
    text = (tmp_path / "a.toml").read_text()
    assert old in text
    (tmp_path / "a.toml").write_text(text.replace(old, new, 1) if old != "axis" else text.replace("axis =", "axes ="))
    with pytest.raises(FileFormatError):
        read_tool(tmp_path / "a.toml", 0.0)


@pytest.mark.parametrize(
    ("text", "words"), [("x,y,z\n1,2\n", "point 1 is 1, 2, missing"), ("a,b\n1,2\n", "point 1 is missing"),
                        ("x,y,z\n1,2,3\n1,up,3\n", "point 2 is 1, up, 3")],
)  # fmt: skip
def test_a_point_that_is_none_is_named_by_its_row(tmp_path, text, words):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(FileFormatError, match=words):
        read_points(tmp_path / "points.csv")


def scene() -> Case:
    return case_of(grid=grid_of((3.0, 3.0, 3.0)))


def test_a_registration_carries_the_image_that_its_landmarks_were_picked_in(tmp_path: Path) -> None:
    case = scene()
    within = 0.7 * MARKS
    fixed, moving = table(tmp_path / "f.csv", within, "abcdef"), table(tmp_path / "m.csv", within + 5.0, "abcdef")
    made = landmarks(fixed, moving, case=case)
    digest = case.volumes["ct"].digest
    assert made.registration.image is not None and made.registration.image.digest == digest
    made.save(tmp_path / "r.json", NOW)
    told = read_registration(tmp_path / "r.json", 100.0, NOW)
    assert told.image == made.registration.image and told.image.id == "ct"
    way = Trajectory((0.0, 0.0, 0.0), (0.0, 0.0, 50.0), NEEDLE)
    read = registration_of(tmp_path / "r.json", way, 100.0)
    assert read.image == told.image and read.place_of("c") == tuple(within[2])
    landmarks(fixed, moving).save(tmp_path / "none.json", NOW)
    assert read_registration(tmp_path / "none.json", 100.0, NOW).image is None


def test_a_landmark_that_the_image_does_not_hold_was_not_picked_there(tmp_path: Path) -> None:
    points = 0.7 * MARKS
    points[3] += (0.0, 0.0, 2000.0)
    fixed, moving = table(tmp_path / "f.csv", points, "abcdef"), table(tmp_path / "m.csv", points, "abcdef")
    with pytest.raises(InputError, match=r"landmark d at .* outside image ct"):
        landmarks(fixed, moving, case=scene())
    with pytest.raises(ChoiceError, match="mr"):
        landmarks(fixed, moving, case=scene(), image="mr")


@pytest.mark.parametrize(
    "image", ['"ct"', '{"id": "ct"}', '{"id": "ct", "digest": ""}', '{"id": 3, "digest": "a"}', "[]"]
)
def test_an_image_that_is_none_makes_no_registration(tmp_path: Path, image: str) -> None:
    landmarks(table(tmp_path / "f.csv", MARKS), table(tmp_path / "m.csv", moved())).save(tmp_path / "r.json", NOW)
    text = (tmp_path / "r.json").read_text()
    assert '"image": null' in text
    (tmp_path / "r.json").write_text(text.replace('"image": null', f'"image": {image}'))
    with pytest.raises(FileFormatError):
        read_registration(tmp_path / "r.json", 0.0, NOW)
