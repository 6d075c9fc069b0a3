"""A scene as a binary glTF 2.0 file, for other programs: each structure a node of its name, colours at the vertices.

Coordinates in the meshes are LPS mm. One node above all of them turns these into what glTF asks for: metres, Y upwards
(the patient's head), the face towards +Z. What depends on the viewer's place (cutaway, rim of the ghost) is not in it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.view.colours import HALO, VERDICT_WORDS
from navplan.view.meshes import PaintedMesh
from navplan.view.scene_fusion import Fused, carried_legend
from navplan.view.scene_parts import FIRST_SIZE, Role, SceneParts, scene_parts
from navplan.view.scene_words import facts
from navplan.view.scene_writing import FOR_RESEARCH, pretty

_FLOAT, _UINT32, _UINT16 = 5126, 5125, 5123
_ARRAY, _INDICES = 34962, 34963
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_UPRIGHT = [-float(np.sqrt(0.5)), 0.0, 0.0, float(np.sqrt(0.5))]  # x, y, z, w: a quarter turn about x, z becomes y
_OPAQUE, _CLEAR, _METAL, _MARKS, _IMAGE = range(5)
_MATERIALS = (
    {"name": "anatomy", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.65}},
    {
        "name": "ghost", "alphaMode": "BLEND", "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9},
    },
    {"name": "needle", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.3}},
    {
        "name": "marks", "extensions": {"KHR_materials_unlit": {}},
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    },
    {
        "name": "image", "doubleSided": True, "extensions": {"KHR_materials_unlit": {}},
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    },
)  # fmt: skip


def scene_glb(
    case: Case, plan: Plan | None = None, trajectory: int = 0, *, image_id: str = "", fused: Fused | None = None
) -> bytes:
    """The file's bytes. Raises what `scene_parts` raises."""
    return glb_of(scene_parts(case, plan, trajectory, image_id=image_id, fused=fused))


def glb_of(scene: SceneParts) -> bytes:
    """The bytes of a scene."""
    made = _Gltf()
    for part in scene.parts:
        made.add(part.name, *_standing_alone(part.role, part.mesh))
    if scene.needle:
        wanted = scene.camera.millimetres_per_pixel(FIRST_SIZE[1])
        _, needle = min(scene.needle, key=lambda one: abs(np.log(one[0] / wanted)))
        made.add("needle", needle.shiny, _METAL)
        made.add("gaps to the nearest", _without(needle.gaps, HALO), _MARKS)
        made.add("95 % of needles", replace(needle.cone, alpha=np.full(len(needle.cone.alpha), 0.18)), _CLEAR)
    told: dict[str, object] = {"facts": list(facts(scene)), "purpose": FOR_RESEARCH}
    banded = [words for _, words in carried_legend(scene.structures, scene.shown.names, scene.fused)]
    if scene.fused is not None:
        told["second image"] = [words for words, _ in scene.fused.words]
    if banded:
        told["carried"] = banded
    if scene.ranked is not None:
        told["verdict"] = VERDICT_WORDS[scene.ranked.verdict]
        told["headline"] = pretty(scene.ranked.report.headline)
        told["judged"] = scene.ranked.report.checked_on[:10]
    return made.file(told)


def _standing_alone(role: Role, mesh: PaintedMesh) -> tuple[PaintedMesh, int]:
    """A part as it is drawn where nobody knows the camera, and its material."""
    if role is Role.SKIN:
        return replace(mesh, alpha=0.08 + 0.13 * mesh.alpha), _CLEAR
    if role is Role.GHOST:
        return replace(mesh, alpha=np.full(len(mesh.alpha), 0.15)), _CLEAR
    if role is Role.UPTAKE:
        return replace(mesh, alpha=np.full(len(mesh.alpha), 0.35)), _CLEAR
    if role is Role.PLANE:
        return mesh, _IMAGE
    return mesh, _CLEAR if role in (Role.ENTRIES, Role.CARRIED) else _OPAQUE


def _without(mesh: PaintedMesh, colour: tuple[int, int, int]) -> PaintedMesh:
    """Without the triangles of one colour."""
    other = (mesh.rgb != np.asarray(colour, dtype=np.float64)).any(axis=1)
    return replace(mesh, triangles=mesh.triangles[other[mesh.triangles].all(axis=1)]).without_idle_points()


class _Gltf:
    """Grows by one mesh after the other."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._views: list[dict[str, object]] = []
        self._accessors: list[dict[str, object]] = []
        self._meshes: list[dict[str, object]] = []
        self._names: list[str] = []

    def add(self, name: str, mesh: PaintedMesh, material: int) -> None:
        """A node of this name; nothing where the mesh is empty."""
        if not len(mesh.triangles):
            return
        points = np.ascontiguousarray(mesh.points_mm, dtype="<f4")
        bounds = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
        attributes = {
            "POSITION": self._accessor(points, _FLOAT, "VEC3", _ARRAY, bounds),
            "NORMAL": self._accessor(_units(mesh.normals), _FLOAT, "VEC3", _ARRAY),
            "COLOR_0": self._accessor(_linear(mesh), _UINT16, "VEC4", _ARRAY, {"normalized": True}),
        }
        corners = self._accessor(mesh.triangles.astype("<u4").reshape(-1, 1), _UINT32, "SCALAR", _INDICES)
        self._meshes.append(
            {"name": name, "primitives": [{"attributes": attributes, "indices": corners, "material": material}]}
        )
        self._names.append(name)

    def file(self, extras: dict[str, object]) -> bytes:
        """All of it, in two chunks."""
        nodes: list[dict[str, object]] = [{"name": name, "mesh": place} for place, name in enumerate(self._names)]
        root = {"name": "LPS mm", "rotation": _UPRIGHT, "scale": [0.001] * 3, "children": list(range(len(nodes)))}
        described = {
            "asset": {"version": "2.0", "generator": f"navplan {version('navplan')}"},
            "extensionsUsed": ["KHR_materials_unlit"],
            "scene": 0,
            "scenes": [{"nodes": [len(nodes)], "extras": extras}],
            "nodes": [*nodes, root],
            "meshes": self._meshes,
            "materials": list(_MATERIALS),
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._bytes)}],
        }
        text = json.dumps(described, allow_nan=False, separators=(",", ":")).encode("utf-8")
        chunks = b"".join(
            len(data).to_bytes(4, "little") + kind.to_bytes(4, "little") + data
            for data, kind in ((text + b" " * (-len(text) % 4), _JSON_CHUNK), (bytes(self._bytes), _BINARY_CHUNK))
        )
        return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks

    def _accessor(
        self,
        values: NDArray[np.generic],
        component: int,
        shape: str,
        target: int,
        more: dict[str, object] | None = None,
    ) -> int:
        data = np.ascontiguousarray(values).tobytes()
        self._views.append({"buffer": 0, "byteOffset": len(self._bytes), "byteLength": len(data), "target": target})
        self._bytes += data + bytes(-len(data) % 4)
        self._accessors.append(
            {
                "bufferView": len(self._views) - 1, "componentType": component, "count": len(values), "type": shape,
                **(more or {}),
            }
        )  # fmt: skip
        return len(self._accessors) - 1


def _units(normals: NDArray[np.float64]) -> NDArray[np.float32]:
    """Of length 1, as glTF demands."""
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, normals / np.maximum(lengths, 1e-6), (0.0, 0.0, 1.0)).astype("<f4")


def _linear(mesh: PaintedMesh) -> NDArray[np.uint16]:
    """(N, 4) 0..65535: colours of vertices are linear in glTF (IEC 61966-2-1 undone), alpha as it is."""
    screen = np.clip(mesh.rgb / 255, 0, 1)
    linear = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4)
    return np.round(65535 * np.concatenate([linear, np.clip(mesh.alpha, 0, 1)[:, None]], axis=1)).astype("<u2")
