"""The scene as binary glTF, read back by VTK's reader and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.view.colours import VERDICT_WORDS
from navplan.view.scene_glb import scene_glb
from navplan.view.scene_parts import scene_parts
from navplan.view.scene_writing import pretty


@pytest.fixture(scope="module")
def glb(case, plan) -> bytes:
    return scene_glb(case, plan)


@pytest.fixture(scope="module")
def described(glb) -> dict:
    length = int.from_bytes(glb[12:16], "little")
    return json.loads(glb[20 : 20 + length])


def read_back(path) -> list:
    """The meshes of a file in their order, in the coordinates of its world, as VTK's reader gives them."""
    from vtkmodules.vtkIOGeometry import vtkGLTFReader

    reader = vtkGLTFReader()
    reader.SetFileName(str(path))
    reader.Update()
    blocks, found = reader.GetOutput().NewIterator(), []
    while not blocks.IsDoneWithTraversal():
        found.append(blocks.GetCurrentDataObject())
        blocks.GoToNextItem()
    return found


def test_vtk_reads_what_was_written(glb, described, case, plan, tmp_path):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    path = tmp_path / "scene.glb"
    path.write_bytes(glb)
    scene = scene_parts(case, plan)
    meshes = read_back(path)
    names = [mesh["name"] for mesh in described["meshes"]]
    assert names[: len(scene.parts)] == [part.name for part in scene.parts]
    assert set(names[len(scene.parts) :]) == {"needle", "gaps to the nearest", "95 % of needles"}
    assert len(meshes) == len(names)
    for part, mesh in zip(scene.parts, meshes, strict=False):
        x, y, z = part.mesh.points_mm.T / 1000
        assert np.allclose(vtk_to_numpy(mesh.GetPoints().GetData()), np.stack([x, z, -y], axis=1), atol=1e-6)
        corners = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
        assert np.array_equal(corners, part.mesh.triangles)
        normals = vtk_to_numpy(mesh.GetPointData().GetArray("NORMAL"))
        assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
        colours = vtk_to_numpy(mesh.GetPointData().GetArray("COLOR_0"))
        screen = np.where(
            colours[:, :3] <= 0.0031308, 12.92 * colours[:, :3], 1.055 * colours[:, :3] ** (1 / 2.4) - 0.055
        )
        assert np.allclose(255 * screen, part.mesh.rgb, atol=0.5)


def test_the_needle_lies_where_it_is_planned(glb, described, plan, tmp_path):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    path = tmp_path / "scene.glb"
    path.write_bytes(glb)
    place = [mesh["name"] for mesh in described["meshes"]].index("needle")
    x, z, minus_y = vtk_to_numpy(read_back(path)[place].GetPoints().GetData()).T * 1000
    points, way = np.stack([x, -minus_y, z], axis=1), plan.best.trajectory
    depths = (points - way.entry_mm) @ np.asarray(way.direction)
    assert depths.max() == pytest.approx(way.swept_depth_mm, abs=0.1)
    assert depths.min() == pytest.approx(way.tip_depth_mm - way.device.length_mm - 16, abs=0.5)


def test_the_file_is_whole_and_aligned(glb, described):
    assert glb[:4] == b"glTF" and int.from_bytes(glb[4:8], "little") == 2
    assert int.from_bytes(glb[8:12], "little") == len(glb) and len(glb) % 4 == 0
    size = described["buffers"][0]["byteLength"]
    for view in described["bufferViews"]:
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= size
    for accessor in described["accessors"]:
        if "min" in accessor:
            assert np.isfinite([*accessor["min"], *accessor["max"]]).all()


def test_skin_and_cone_are_seen_through_and_anatomy_is_not(described):
    materials = {
        mesh["name"]: described["materials"][mesh["primitives"][0]["material"]] for mesh in described["meshes"]
    }
    for name in ("skin", "entries", "lung_left", "95 % of needles"):
        assert materials[name]["alphaMode"] == "BLEND"
    for name in ("aorta", "lung_mass_left", "needle", "gaps to the nearest"):
        assert materials[name].get("alphaMode", "OPAQUE") == "OPAQUE"


def test_it_says_the_verdict_and_nothing_of_who_the_patient_is(glb, described, plan):
    extras = described["scenes"][0]["extras"]
    assert extras["verdict"] == VERDICT_WORDS[plan.best.verdict]
    assert extras["headline"] == pretty(plan.best.report.headline)
    assert extras["purpose"] == "Research and training" and extras["judged"] == "2000-01-01"
    assert plan.provenance.image_digest.encode() not in glb and plan.id.encode() not in glb


def test_the_anatomy_alone_has_no_needle_and_no_verdict(case):
    glb = scene_glb(case)
    described = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
    names = {mesh["name"] for mesh in described["meshes"]}
    assert "aorta" in names and "needle" not in names
    assert "verdict" not in described["scenes"][0]["extras"]


def test_a_trajectory_that_is_not_there_is_refused(case, plan):
    with pytest.raises(InputError, match="ranks"):
        scene_glb(case, plan, 9)
