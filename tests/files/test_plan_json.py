"""A plan reads back as it was written, or is refused with the key that is wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_examples import assert_same, make_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navplan.errors import FileFormatError, InputError
from navplan.files.plan_json import SCHEMA_VERSION, read_plan, write_plan
from navplan.model.plan import Plan


@pytest.fixture
def plan() -> Plan:
    return make_plan(np.random.default_rng(3), "Läsion 1")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 50), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9))
def test_round_trip(quick_folder: Path, seed: int, candidates: int, value: float, words: str) -> None:
    plan = make_plan(np.random.default_rng(seed), "plan", candidates)
    way = replace(plan.trajectories[0], metrics={words.encode(errors="replace").decode(): value})
    plan = replace(plan, trajectories=(way, *plan.trajectories[1:]))
    write_plan(quick_folder / "a plan.json", plan)
    assert_same(plan, read_plan(quick_folder / "a plan.json"))


def test_the_same_plan_gives_the_same_bytes(plan: Plan, tmp_path: Path) -> None:
    first, second = write_plan(tmp_path / "a.json", plan), write_plan(tmp_path / "b.json", plan)
    assert first[1].read_bytes() == second[1].read_bytes()
    write_plan(tmp_path / "a.json", read_plan(tmp_path / "a.json"))
    assert first[0].read_text() == second[0].read_text().replace('"b.', '"a.')


def test_numbers_of_numpy_are_written_as_numbers(plan: Plan, tmp_path: Path) -> None:
    way = replace(plan.trajectories[0], metrics={"a": np.float32(0.1), "b": np.int64(3)}, desirability=np.float64(0.5))
    write_plan(tmp_path / "a.json", replace(plan, trajectories=(way,)))
    assert read_plan(tmp_path / "a.json").trajectories[0].metrics == {"a": float(np.float32(0.1)), "b": 3.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "1", None])
def test_what_is_no_finite_number_is_not_written(plan: Plan, tmp_path: Path, value: Any) -> None:
    write_plan(tmp_path / "a.json", plan)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    way = replace(plan.trajectories[1], metrics={"depth_mm": value})
    with pytest.raises(InputError, match=r"trajectories\[1\]\.metrics\.depth_mm"):
        write_plan(tmp_path / "a.json", replace(plan, trajectories=(plan.trajectories[0], way)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_nan_in_an_optional_number_does_not_become_unknown(plan: Plan, tmp_path: Path) -> None:
    way = plan.trajectories[0]
    finding = replace(way.report.findings[0], required_mm=float("nan"))
    bad = replace(plan, trajectories=(replace(way, report=replace(way.report, findings=(finding,))),))
    with pytest.raises(InputError, match="required_mm"):
        write_plan(tmp_path / "a.json", bad)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("trajectories", 0, "metrics", "depth_mm"), float("nan"), r"trajectories\[0\]\.metrics\.depth_mm.*finite"),
        (("trajectories", 0, "trajectory", "entry_mm"), [1.0, 2.0], r"entry_mm\[2\].*[Rr]equired"),
        (("trajectories", 0, "trajectory", "entry_mm"), [1.0, 2.0, "3"], r"entry_mm\[2\]"),
        (("trajectories", 0, "report", "findings", 0, "verdict"), "SAFE", r"verdict.*SAFE"),
        (("trajectories", 0, "report", "findings", 0, "distance", "low_mm"), 99.0, "interval"),
        (("trajectories", 0, "trajectory", "device", "length_mm"), 9999.0, "length"),
        (("protocol", "max_breach_probability", "value"), 7.0, "breach probability"),
        (("protocol", "unknown"), 1, r"protocol\.unknown"),
        (("approvals", 0, "verdict"), "FAIL", "approval of a way that is FAIL"),
        (("approvals", 0, "who"), " ", "who says so"),
        (("approvals", 0, "when"), "2024-01-02T03:04:05", "time zone"),
        (("approvals", 0, "judged_on", "needle"), "abc", "SHA-256"),
        (("approvals", 0, "withdrawn", "reason"), "", "without a reason"),
        (("approvals", 0, "certain"), True, r"approvals\[0\]\.certain"),
        (("remarks",), None, "remarks"),
        (("side",), 1, "side"),
        (("target",), None, "target"),
        (("id",), "../plan", "the id"),
        (("schema_version",), SCHEMA_VERSION + 1, "newer navplan"),
        (("schema_version",), None, "schema version None"),
        (("format",), "a plan", "is no plan"),
        (("skin_map", "file"), "../a.npz", "beside the plan"),
        (("skin_map", "file"), "gone.npz", "cannot be read"),
        (("skin_map", "sha256"), "0", "is not the skin map"),
        (("skin_map", "reasons"), [], "reason"),
    ],
)
def test_bad_plans_are_refused_by_key(plan: Plan, tmp_path: Path, path: tuple[Any, ...], value: Any, told: str) -> None:
    file = write_plan(tmp_path / "a.json", plan)[0]
    document = json.loads(file.read_text(encoding="utf-8"))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_plan(file)


def test_every_key_that_has_no_default_is_needed(plan: Plan, tmp_path: Path) -> None:
    file = write_plan(tmp_path / "a.json", plan)[0]
    document = json.loads(file.read_text(encoding="utf-8"))
    for key in document.keys() - {"notes", "carried", "approvals", "remarks", "level"}:
        file.write_text(json.dumps({name: value for name, value in document.items() if name != key}))
        with pytest.raises(FileFormatError):
            read_plan(file)


@pytest.mark.parametrize("damage", ["empty", "half", "binary", "list", "markups", "none"])
def test_files_that_are_no_plans(plan: Plan, tmp_path: Path, damage: str) -> None:
    file = write_plan(tmp_path / "a.json", plan)[0]
    data = file.read_bytes()
    contents = {
        "empty": b"", "half": data[: len(data) // 2], "binary": bytes(range(256)), "list": b"[]",
        "markups": b'{"markups": []}',
    }  # fmt: skip
    if damage == "none":
        file.unlink()
    else:
        file.write_bytes(contents[damage])
    with pytest.raises(FileFormatError, match="drawn in another program" if damage == "markups" else None):
        read_plan(file)


def test_a_changed_skin_map_is_refused(plan: Plan, tmp_path: Path) -> None:
    file, skin_map = write_plan(tmp_path / "a.json", plan)
    data = bytearray(skin_map.read_bytes())
    data[len(data) // 2] ^= 1
    skin_map.write_bytes(data)
    with pytest.raises(FileFormatError, match="not the skin map"):
        read_plan(file)


def test_writing_over_a_plan_leaves_one_skin_map(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "a.0.npz").write_bytes(b"not ours")
    write_plan(tmp_path / "a.json", plan)
    write_plan(tmp_path / "b.json", plan)
    write_plan(tmp_path / "a.json", make_plan(np.random.default_rng(5), "other"))
    assert len(list(tmp_path.glob("a.*.npz"))) == 2 and read_plan(tmp_path / "a.json").id == "other"
    write_plan(tmp_path / "a.json", replace(plan, skin_map=None))
    assert [path.name for path in tmp_path.glob("a.*.npz")] == ["a.0.npz"]
    assert_same(plan, read_plan(tmp_path / "b.json"))


def test_names_and_folders_that_cannot_be_written(plan: Plan, tmp_path: Path) -> None:
    for name in ("plan.mrk.json", "plan.txt", "plan"):
        with pytest.raises(InputError, match=r"ends in \.json"):
            write_plan(tmp_path / name, plan)
    with pytest.raises(InputError, match="cannot write"):
        write_plan(tmp_path / "nowhere" / "plan.json", plan)
    with pytest.raises(InputError, match="the id"):
        write_plan(tmp_path / "plan.json", replace(plan, id="a/b"))
    assert not list(tmp_path.iterdir())


def test_a_plan_of_an_earlier_navplan_opens_and_nobody_has_approved_it(tmp_path: Path) -> None:
    """Written before plans held approvals and remarks."""
    for file in Path(__file__).parent.glob("plan_of_0_1_0*"):
        shutil.copy(file, tmp_path)
    old = read_plan(tmp_path / "plan_of_0_1_0.json")
    assert old.approvals == () and old.remarks == ""
    assert_same(old.trajectories, make_plan(np.random.default_rng(3), "biopsy", 5, "a note").trajectories)
    write_plan(tmp_path / "again.json", old)
    assert_same(old, read_plan(tmp_path / "again.json"))
