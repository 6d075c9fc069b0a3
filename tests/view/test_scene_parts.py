"""A scene as meshes: nothing that decides is lost, few triangles, few bytes, a needle right at every size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.errors import InputError
from navplan.view.meshes import ball, joined
from navplan.view.packed_meshes import PackedMeshes
from navplan.view.scene_meshes import needle_meshes
from navplan.view.scene_parts import Role, moving_meshes, scene_parts, thinned
from navplan.view.scene_words import facts, open_words


@pytest.fixture(scope="module")
def scene(case, plan):
    return scene_parts(case, plan)


def test_all_that_is_shown_has_a_part_and_its_role(scene):
    roles = {part.name: part.role for part in scene.parts}
    assert roles["lung_mass_left"] is Role.TARGET and roles["lung_left"] is Role.GHOST and roles["aorta"] is Role.ORGAN
    assert {name for name, role in roles.items() if role is Role.DECIDING} == set(scene.shown.deciding)
    assert {name for name, role in roles.items() if role is Role.BONE} == set(scene.shown.bones)
    assert {"skin", "entries"} <= set(roles)
    assert scene.undrawn == ()


def test_what_decides_and_has_no_surface_is_told(scene):
    name = scene.shown.deciding[0]
    bare = replace(scene, parts=tuple(part for part in scene.parts if part.name != name))
    assert bare.undrawn == (name,)
    assert any("not drawn" in words for words in facts(bare))


def test_what_is_open_is_told_and_what_no_image_shows(scene):
    told = open_words(scene.ranked.report)
    assert any("intercostal bundle: no image shows it" in one.words for one in told)
    report = scene.ranked.report
    assert len(told) == len(report.open_items) + 1
    for one, item in zip(told, report.open_items, strict=False):
        assert len(one.lines) == (len(item.lines) if len(item.lines) > 1 else 0)


@pytest.mark.parametrize("pixel_mm", [0.05, 0.21, 0.47, 0.66, 1.3, 3.1])
def test_between_two_sizes_the_needle_is_what_it_would_be(scene, pixel_mm):
    sizes = [size for size, _ in scene.needle]
    after = next(place for place, size in enumerate(sizes) if size > pixel_mm)
    share = (pixel_mm - sizes[after - 1]) / (sizes[after] - sizes[after - 1])
    back = np.subtract(scene.camera.position_mm, scene.camera.focal_mm)
    there = np.asarray(scene.camera.focal_mm) + back * pixel_mm / scene.camera.millimetres_per_pixel(1200)
    camera = replace(scene.camera, position_mm=tuple(there.tolist()))
    right = needle_meshes(scene.ranked.trajectory, scene.plan.error_model, scene.nearest, camera, 1200)
    before, later = (moving_meshes(scene.needle[place][1]) for place in (after - 1, after))
    for wanted, first, second in zip(moving_meshes(right), before, later, strict=True):
        drawn = (1 - share) * first.points_mm + share * second.points_mm
        assert np.linalg.norm(drawn - wanted.points_mm, axis=1).max() < 0.3 * pixel_mm


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=60), st.integers(50_000, 400_000))
def test_triangles_are_shared_out_alike_and_fit(counts, total):
    named = {str(place): count for place, count in enumerate(counts)}
    kept = thinned(named, total)
    assert sum(kept.values()) <= total
    if sum(counts) <= total:
        assert kept == {name: count for name, count in named.items()}
    shares = [kept[name] / count for name, count in named.items() if kept[name] > 800]
    assert not shares or max(shares) - min(shares) < 2 / 800
    assert all(kept[name] >= min(count, 800) for name, count in named.items())


def test_a_mesh_is_packed_to_a_65000th_of_its_box_and_normals_to_a_degree():
    mesh = joined([ball((10.0, -20.0, 300.0), 40.0, (200, 100, 50), 0.5), ball((-90.0, 0.0, 250.0), 3.0, (1, 2, 3))])
    packed = PackedMeshes()
    packed.add(ball((0, 0, 0), 1, (0, 0, 0)))
    told = packed.add(mesh, replace(mesh, points_mm=mesh.points_mm + 5))
    data, count = packed.data, len(mesh.points_mm)
    assert told["vertices"] == count and told["corners"] == mesh.triangles.size and not told["wide"]
    places, dress, corners = told["at"]
    assert all(start % 4 == 0 for start in told["at"])
    for frame, moved_mm in enumerate((0, 5)):
        raw = np.frombuffer(data, "<u2", 3 * count, places + 6 * count * frame).reshape(count, 3)
        found = np.asarray(told["low"]) + raw / 65535 * np.asarray(told["size"])
        assert np.abs(found - mesh.points_mm - moved_mm).max() < max(told["size"]) / 65535
    worn = np.frombuffer(data, np.uint8, 6 * count, dress).reshape(count, 6)
    x, y = worn[:, :2].view(np.int8).astype(float).T / 127
    z = 1 - np.abs(x) - np.abs(y)
    fold = np.maximum(-z, 0)
    normal = np.stack([x - np.sign(x) * fold, y - np.sign(y) * fold, z], axis=1)
    cosine = (normal * mesh.normals).sum(axis=1) / np.linalg.norm(normal, axis=1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 1.5
    assert (worn[0, 2:] == (200, 100, 50, 128)).all()
    assert np.array_equal(np.frombuffer(data, "<u2", mesh.triangles.size, corners), mesh.triangles.ravel())


def test_many_vertices_are_numbered_with_four_bytes():
    many = joined([ball((number, 0, 0), 1.0, (9, 9, 9)) for number in range(200)])
    assert len(many.points_mm) > 65_536
    packed = PackedMeshes()
    told = packed.add(many)
    assert told["wide"]
    assert np.array_equal(np.frombuffer(packed.data, "<u4", many.triangles.size, told["at"][2]), many.triangles.ravel())


def test_shapes_of_other_triangles_are_refused():
    mesh = ball((0, 0, 0), 1.0, (9, 9, 9))
    with pytest.raises(InputError, match="same vertices"):
        PackedMeshes().add(mesh, replace(mesh, triangles=mesh.triangles[:-1]))
