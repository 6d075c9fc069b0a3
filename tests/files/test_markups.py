"""Lines for and from 3D Slicer: the coordinate system and the units are stated, or the line is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_examples import make_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navplan.errors import FileFormatError, InputError
from navplan.files.markups import plan_lines, read_line, write_lines

coordinates = st.floats(-1e4, 1e4)
points = st.tuples(coordinates, coordinates, coordinates)


def drawn(**changes: Any) -> dict[str, Any]:
    """A line as 3D Slicer saves it, with these keys changed (None: taken out)."""
    control = {
        "id": "1", "label": "L-1", "description": "", "associatedNodeID": "vtkMRMLScalarVolumeNode1",
        "position": [10.0, -20.0, 30.0], "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
        "selected": True, "locked": False, "visibility": True, "positionStatus": "defined",
    }  # fmt: skip
    markup = {
        "type": "Line", "coordinateSystem": "LPS", "coordinateUnits": "mm", "locked": False,
        "controlPoints": [control, {**control, "id": "2", "position": [11.5, -70, 33.25]}], "measurements": [],
    }  # fmt: skip
    return {key: value for key, value in {**markup, **changes}.items() if value is not None}


def saved(tmp_path: Path, *markups: Any) -> Path:
    path = tmp_path / "my line.mrk.json"
    path.write_text(json.dumps({"@schema": "https://...", "markups": list(markups)}), encoding="utf-8")
    return path


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(points, points, st.text(st.characters(exclude_categories=["Cs"]), min_size=1)), min_size=1))
def test_round_trip(quick_folder: Path, lines: list[Any]) -> None:
    lines = [line for line in lines if np.linalg.norm(np.subtract(line[0], line[1])) > 1e-3]
    path = quick_folder / "lines äöü.mrk.json"
    write_lines(path, lines)
    if lines:
        assert read_line(path) == lines


def test_what_is_written_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mrk.json"
    write_lines(path, [((1, 2, 3), np.array([4.0, 5.0, 6.0]), "way")])
    document = json.loads(path.read_text())
    assert "/markups-schema-v1.0.3.json" in document["@schema"]
    line = document["markups"][0]
    assert (line["type"], line["coordinateSystem"], line["coordinateUnits"]) == ("Line", "LPS", "mm")
    assert [point["position"] for point in line["controlPoints"]] == [[1, 2, 3], [4, 5, 6]]
    assert [point["label"] for point in line["controlPoints"]] == ["entry", "target"]


def test_a_plan_as_lines() -> None:
    plan = make_plan(np.random.default_rng(1))
    lines = plan_lines(plan)
    assert [line[:2] for line in lines] == [(w.trajectory.entry_mm, w.trajectory.target_mm) for w in plan.trajectories]
    assert lines[0][2].startswith("plan-1 1: WARN, ")


@pytest.mark.parametrize("system", ["LPS", "lps", "1", 1])
def test_a_line_in_lps(tmp_path: Path, system: Any) -> None:
    line = read_line(saved(tmp_path, drawn(coordinateSystem=system)))
    assert line == [((10.0, -20.0, 30.0), (11.5, -70.0, 33.25), "my line")]


@pytest.mark.parametrize("system", ["RAS", "ras", "0", 0])
def test_a_line_in_ras(tmp_path: Path, system: Any) -> None:
    line = read_line(saved(tmp_path, drawn(coordinateSystem=system, name="way")))
    assert line == [((-10.0, 20.0, 30.0), (-11.5, 70.0, 33.25), "way")]


def test_units_as_a_coded_term(tmp_path: Path) -> None:
    assert read_line(saved(tmp_path, drawn(coordinateUnits=["mm", "UCUM", "millimeter"])))


def test_points_that_are_not_defined_do_not_count(tmp_path: Path) -> None:
    first, second = drawn()["controlPoints"]
    preview = {**first, "positionStatus": "preview", "position": [0, 0, 0]}
    unset = {**first, "positionStatus": "undefined", "position": None}
    del second["positionStatus"]  # as the schema has it, defined unless said otherwise
    assert len(read_line(saved(tmp_path, drawn(controlPoints=[first, unset, second, preview])))) == 1
    with pytest.raises(FileFormatError, match="1 defined"):
        read_line(saved(tmp_path, drawn(controlPoints=[first, preview])))


POINT = {"position": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"coordinateSystem": None}, "coordinateSystem is not stated"),
        ({"coordinateSystem": "IJK"}, "coordinateSystem 'IJK'"),
        ({"coordinateSystem": 2}, "coordinateSystem 2"),
        ({"coordinateSystem": True}, "coordinateSystem True"),
        ({"coordinateSystem": ["LPS"]}, "coordinateSystem"),
        ({"coordinateUnits": None}, 'coordinateUnits are not stated.*"coordinateUnits": "mm"'),
        ({"coordinateUnits": "um"}, "coordinateUnits 'um'"),
        ({"coordinateUnits": "cm"}, "coordinateUnits 'cm'"),
        ({"coordinateUnits": ["um", "UCUM", "micrometer"]}, "coordinateUnits"),
        ({"type": "Curve"}, "type 'Curve'"),
        ({"type": None}, "type None"),
        ({"controlPoints": None}, "without control points"),
        ({"controlPoints": [1, 2]}, "without control points"),
        ({"controlPoints": []}, "0 defined"),
        ({"controlPoints": [POINT] * 3}, "3 defined"),
        ({"controlPoints": [POINT, POINT]}, "zero length"),
        ({"controlPoints": [POINT, {"position": [1, 2]}]}, "point 2: position"),
        ({"controlPoints": [POINT, {"position": [1, 2, "3"]}]}, "point 2: position"),
        ({"controlPoints": [POINT, {"position": [1, 2, True]}]}, "point 2: position"),
        ({"controlPoints": [POINT, {"position": [1, 2, None]}]}, "point 2: position"),
        ({"controlPoints": [POINT, {"position": [1, 2, 10**400]}]}, "point 2: position"),
        ({"controlPoints": [POINT, {}]}, "point 2: position"),
        ({"controlPoints": [POINT, {"position": [1, 2, float("nan")]}]}, "NaN"),
        ({"controlPoints": [POINT, {"position": [1, 2, float("inf")]}]}, "Infinity"),
    ],
)
def test_lines_that_do_not_say_where_they_lie_are_refused(tmp_path: Path, changes: Any, told: str) -> None:
    with pytest.raises(FileFormatError, match=told) as caught:
        read_line(saved(tmp_path, drawn(), drawn(**changes)))
    assert caught.value.exit_code == 2


def test_a_number_too_large_for_a_float(tmp_path: Path) -> None:
    path = saved(tmp_path, drawn())
    path.write_text(path.read_text().replace("11.5", "1e999"))
    with pytest.raises(FileFormatError, match="position"):
        read_line(path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"markups": []}', '{"markups": [1]}', '{"markups": {}}', "[" * 9**6]
)
def test_files_that_are_no_markups(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.mrk.json"
    path.write_text(content)
    with pytest.raises(FileFormatError):
        read_line(path)


def test_files_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError):
        read_line(tmp_path / "a.mrk.json")
    with pytest.raises(InputError, match="cannot write"):
        write_lines(tmp_path / "nowhere" / "a.mrk.json", [])
    with pytest.raises(FileFormatError, match="finite"):
        write_lines(tmp_path / "a.mrk.json", [((0, 0, float("nan")), (1, 1, 1), "x")])
    assert not list(tmp_path.iterdir())
