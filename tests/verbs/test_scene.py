"""The verb and its command: what is written for which ending, judged anew, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli import main
from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.verbs.scene import scene
from tests.planning.scenes import case_of, grid_of

PLAIN = str(Path(__file__).parents[1] / "cli" / "plain-biopsy.toml")
pytestmark = pytest.mark.xdist_group("render")


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(grid=grid_of((4.0, 4.0, 4.0)))


@pytest.fixture(scope="module")
def plan(case) -> Plan:
    return nv.plan(case, PLAIN, "lesion")


def described(glb: bytes) -> dict:
    return json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])


@pytest.mark.parametrize("name, start", [("scene.png", b"\x89PNG"), ("scene.html", b"<!doctype html>"),
                         ("scene.glb", b"glTF"), ("SCENE.HTML", b"<!doctype html>")])  # fmt: skip
def test_the_ending_chooses_what_is_written(case, plan, tmp_path, name, start):
    path = scene(case, plan=plan, out=tmp_path / name)
    assert path == tmp_path / name and path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["scene.html", "scene.glb"])
def test_no_stored_verdict_is_written(case, plan, tmp_path, name):
    """A plan whose file says PASS of a way through the aorta."""
    through = replace(plan.best.trajectory, entry_mm=(89.0, 68.0, 0.0))
    passed = replace(
        plan.best.report,
        findings=tuple(replace(finding, verdict=Verdict.PASS) for finding in plan.best.report.findings),
    )
    forged = replace(plan, trajectories=(replace(plan.best, trajectory=through, report=passed),))
    assert forged.best.verdict is Verdict.PASS
    data = scene(case, plan=forged, out=tmp_path / name).read_bytes()
    if name.endswith("glb"):
        assert described(data)["scenes"][0]["extras"]["verdict"] == "FAIL"
    else:
        assert b'data-verdict="FAIL"' in data and b"<h1><strong>FAIL</strong>Crosses " in data


def test_the_way_that_is_asked_for_is_the_one_that_is_drawn(case, plan, tmp_path):
    pages = [scene(case, plan=plan, trajectory=n, out=tmp_path / "page.html").read_text() for n in (0, 1)]
    depths = [f"skin to target {plan.trajectories[n].trajectory.depth_mm:.0f} mm" for n in (0, 1)]
    assert depths[0] in pages[0] and depths[1] in pages[1] and pages[0] != pages[1]


@pytest.mark.parametrize("name", ["scene.html", "scene.glb"])
def test_refusals_leave_nothing_behind(case, plan, tmp_path, name):
    with pytest.raises(InputError, match="hero sheet as"):
        scene(case, plan=plan, out=tmp_path / name, hero=True)
    with pytest.raises(InputError, match="size in pixels"):
        scene(case, plan=plan, out=tmp_path / name, size=(800, 600))
    with pytest.raises(InputError, match="ranks"):
        scene(case, plan=plan, trajectory=50, out=tmp_path / name)
    voxels = np.array(case.volumes["ct"].voxels) + np.int16(1)
    other = replace(case, volumes={"ct": replace(case.volumes["ct"], voxels=voxels)})
    with pytest.raises(MismatchError, match="made on"):
        scene(other, plan=plan, out=tmp_path / name)
    with pytest.raises(FileFormatError, match=r"\.png or \.html or \.glb"):
        scene(case, plan=plan, out=tmp_path / "scene.obj")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError):
        scene(case, plan=plan, out=tmp_path / "no" / name)


def test_a_file_that_is_there_stays_when_the_new_one_fails(case, plan, tmp_path):
    path = scene(case, plan=plan, out=tmp_path / "scene.html")
    before = path.read_bytes()
    with pytest.raises(InputError):
        scene(case, plan=plan, trajectory=50, out=path)
    assert path.read_bytes() == before


def test_the_command_writes_the_page(case, plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, page = tmp_path / "case", tmp_path / "page.html"
    nv.save_case(case.with_plan(plan), folder)
    assert main(["scene", str(folder), "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(page)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["scene", str(folder), "--hero", "--out", str(page), "--quiet"]) == 2
    assert main(["scene", str(folder), "--out", str(tmp_path / "page.htm"), "--quiet"]) == 2
    assert str(folder) not in page.read_text(encoding="utf-8")
