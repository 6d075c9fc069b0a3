"""The anatomy of a live scene: a display surface for each structure, made once; joined for drawing and picking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.grid import Grid
from navplan.imaging.surfaces import Surface, display_surface, surface_of
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import Colour, anatomy_colour
from navplan.view.finer_meshes import with_short_edges
from navplan.view.light import OcclusionField
from navplan.view.live_pick import MeshHits
from navplan.view.meshes import cutaway, ghost, joined, painted
from navplan.view.near_structures import UNNAMED_BONE, ShownStructures, is_bone, may_be_solid
from navplan.view.render import Look, SceneWindow
from navplan.view.scene import volume_reach
from navplan.view.scene_carried import band_shade, banded_surface
from navplan.view.scene_meshes import GHOST_MM, GHOST_ORGAN, structure_colour, whole_surface
from navplan.view.scene_planes import ImagePlanes, left_before

_BONE_MM2, _ORGAN_MM2, _FINE_MM2 = 12.0, 24.0, 4.0  # area of a triangle
_LONGEST_EDGE_MM = 12.0  # so that no point is farther than 7 mm from a corner
_BONE_GRID_MM, _ORGAN_GRID_MM, _LARGE_GRID_MM, _FINE_GRID_MM = 2.7, 3.2, 4.0, 1.4
_LARGE_MM2 = 40_000.0  # of surface: cut from a coarser grid
_MOST_TRIANGLES, _MOST_FINE, _MOST_GHOST, _LEAST = 40_000, 20_000, 6_000, 200
_MOST_ORGANS = 15  # of these a scene shows at once
_COUNTED_MM, _POOLED_MM = 3.0, 1.6
_SOLID_FROM = 0.5  # what has less alpha is seen through, and picked through


@dataclass(frozen=True, eq=False)
class _Part:
    """A structure's surface, with its shade (N,) 0..1."""

    surface: Surface
    shade: NDArray[np.float64]


class LiveAnatomy:
    """Opaque structures, what of them is faded to show the needle, and one ghost.

    faded: the names of those that are partly faded, as the scene was last looked at.
    """

    def __init__(self, window: SceneWindow) -> None:
        self._solid, self._thin, self._ghost = (window.add(look) for look in (Look.SOLID, Look.CLEAR, Look.CLEAR))
        self._parts: dict[tuple[str, bool], _Part] = {}
        self._structures: dict[str, Structure] = {}
        self._obstacles: OcclusionField | None = None
        self._areas_mm2: dict[str, float] = {}
        self._crowd = 1.0
        self._names: list[str] = []
        self._ghost_mesh, self._mesh = joined([]), joined([])
        self._kept = np.zeros(0, dtype=bool)
        self._first_triangle = np.zeros(1, dtype=np.int64)
        self._hits: MeshHits | None = None
        self.faded: tuple[str, ...] = ()

    @property
    def structures(self) -> Mapping[str, Structure]:
        """Those that are present in the image."""
        return self._structures

    @property
    def triangles(self) -> int:
        """How many are drawn."""
        return len(self._mesh.triangles) + len(self._ghost_mesh.triangles)

    def open(self, volume: Volume, structures: Mapping[str, Structure]) -> None:
        """Draw structures of this image from now on; surfaces of what is not among them are given up."""
        self._structures = {name: found for name, found in structures.items() if found.occupancy is not None}
        worth = {name: structure for name, structure in self._structures.items() if may_be_solid(structure)}
        self._obstacles = OcclusionField(worth.values(), *volume_reach(volume), spacing_mm=4.0)
        self._areas_mm2 = {name: _area_mm2(structure) for name, structure in self._structures.items()}
        self._crowd = _crowd({name: worth[name] for name in worth if name != UNNAMED_BONE}, self._areas_mm2)
        self._parts.clear()  # the shade of each comes from all

    def show(
        self, shown: ShownStructures, colours: Mapping[str, Colour], hidden: frozenset[str], hurried: bool = False
    ) -> None:
        """Choose what is drawn. colours: instead of those of the house; hidden: not drawn, whatever is shown.

        What decides is drawn finer than the rest; hurried: only where its finer surface is there already.
        """
        kept = [name for name in (*shown.deciding, shown.target) if name in self._structures]
        names = [*kept, *shown.organs, *shown.bones]
        self._names = [name for name in names if name not in hidden]
        finer = [name for name in kept if self._most(name, True) > self._most(name, False)]
        fine = [name for name in finer if not hurried or name == shown.target or (name, True) in self._parts]
        parts = self._parts_of(self._names, fine)
        meshes = []
        for name in self._names:
            part = parts[name]
            meshes.append(painted(part.surface, colours.get(name, structure_colour(name, shown)), part.shade))
        self._mesh = joined(meshes)
        counts = [len(mesh.points_mm) if len(mesh.triangles) else 0 for mesh in meshes]
        self._kept = np.repeat(np.asarray([name in kept for name in self._names], dtype=bool), counts)
        self._first_triangle = np.cumsum([0, *(len(mesh.triangles) for mesh in meshes)])
        self._hits = None
        self._solid.set_mesh(self._mesh)
        self._ghost_mesh = joined([])
        if shown.ghost and shown.ghost not in hidden:
            surface = display_surface(self._structures[shown.ghost], spacing_mm=GHOST_MM, max_triangles=_MOST_GHOST)
            self._ghost_mesh = painted(surface, colours.get(shown.ghost, anatomy_colour(shown.ghost)))
        self._ghost.set_mesh(self._ghost_mesh)

    def target_mm(self, name: str) -> NDArray[np.float64] | None:
        """(N, 3) points of a target's surface, None for one that is not drawn."""
        part = self._parts.get((name, True), self._parts.get((name, False))) if name in self._names else None
        return None if part is None else part.surface.points_mm

    def look_from(
        self, camera_mm: ArrayLike, seen_mm: NDArray[np.float64], planes: ImagePlanes | None = None
    ) -> None:
        """Fade what hides the points that must be seen (N, 3), and image planes."""
        alpha = np.ones(len(self._mesh.points_mm))
        fading = ~self._kept
        alpha[fading] = cutaway(self._mesh.points_mm[fading], camera_mm, seen_mm)
        alpha[fading] *= left_before(planes, self._mesh.points_mm[fading], camera_mm)
        solid, thin = replace(self._mesh, alpha=alpha).split()
        self._solid.set_triangles(solid.triangles)
        self._thin.set_mesh(thin.without_idle_points())
        faded = np.asarray((alpha < 0.995)[self._mesh.triangles].any(axis=1))
        ends = pairwise(self._first_triangle)
        self.faded = tuple(
            name for name, (first, last) in zip(self._names, ends, strict=True) if faded[first:last].any()
        )
        if len(self._ghost_mesh.triangles):
            ghostly = ghost(self._ghost_mesh, camera_mm, *GHOST_ORGAN)
            self._ghost.set_colours(ghostly.rgb, ghostly.alpha)

    def first_hit(
        self, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], seen_mm: NDArray[np.float64],
        planes: ImagePlanes | None = None,
    ) -> tuple[NDArray[np.float64], str] | None:  # fmt: skip
        """Where a line of sight (two points (3,), the first the camera's) first meets what is not faded, and its name.

        seen_mm, planes: what must be seen from there, as in look_from.
        """
        if self._hits is None:
            self._hits = MeshHits(self._mesh)
        points, triangles = self._hits.along(start_mm, end_mm)
        if not len(points):
            return None
        owner = np.searchsorted(self._first_triangle, triangles, side="right") - 1
        alpha = cutaway(points, start_mm, seen_mm) * left_before(planes, points, start_mm)
        alpha[self._kept[self._mesh.triangles[triangles, 0]]] = 1.0
        for point, place, opacity in zip(points, owner, alpha, strict=True):
            if opacity >= _SOLID_FROM:
                return point, self._names[place]
        return None

    def _parts_of(self, names: Sequence[str], fine: Sequence[str]) -> dict[str, _Part]:
        """Surfaces by name; those that are missing are made by two threads."""
        keys = {name: (name, name in fine) for name in names}
        missing = [key for key in keys.values() if key not in self._parts]
        with ThreadPoolExecutor(2) as pool:
            self._parts.update(zip(missing, pool.map(lambda key: self._part(*key), missing), strict=True))
        return {name: self._parts[key] for name, key in keys.items()}

    def _most(self, name: str, fine: bool) -> int:
        """How many triangles a structure may have."""
        area = self._areas_mm2[name]
        most = area / (_triangle_mm2(self._structures[name]) * self._crowd)
        return max(_LEAST, round(min(area / _FINE_MM2, _MOST_FINE) if fine else most))

    def _part(self, name: str, fine: bool) -> _Part:
        structure, area = self._structures[name], self._areas_mm2[name]
        if fine:
            grid = _FINE_GRID_MM if area < _LARGE_MM2 else _ORGAN_GRID_MM
        else:
            organ = _ORGAN_GRID_MM if area < _LARGE_MM2 else _LARGE_GRID_MM
            grid = _BONE_GRID_MM if is_bone(structure) else organ
        count = self._most(name, fine)
        coarse = None if fine else surface_of(*_pooled(structure), spacing_mm=grid, max_triangles=count)
        surface = whole_surface(structure, grid, count, coarse)
        surface = banded_surface(structure, with_short_edges(surface, _LONGEST_EDGE_MM))
        assert self._obstacles is not None
        shade = self._obstacles.shade(surface.points_mm, surface.normals)
        return _Part(surface, shade * band_shade(structure, surface.points_mm))


def _pooled(structure: Structure) -> tuple[NDArray[np.uint8], Grid]:
    """Occupancy averaged over blocks of voxels up to _POOLED_MM wide: as good for a coarse surface, and sooner done."""
    assert structure.occupancy is not None and structure.grid is not None
    step = np.maximum(1, np.floor(_POOLED_MM / structure.grid.spacing_mm)).astype(int)
    missing = -np.asarray(structure.grid.shape) % step
    full = np.pad(structure.occupancy, [(0, count) for count in missing])
    i, j, k = (np.asarray(full.shape) // step).tolist()
    blocks = full.reshape(i, step[0], j, step[1], k, step[2]).mean(axis=(1, 3, 5), dtype=np.float32)
    affine = structure.grid.affine.copy()
    affine[:3, :3] *= step
    affine[:3, 3] = structure.grid.points_mm((step - 1) / 2)
    return np.round(blocks).astype(np.uint8), Grid(affine, (i, j, k))


def _crowd(structures: Mapping[str, Structure], areas_mm2: Mapping[str, float]) -> float:
    """By how much triangles must be larger than wished so that the bones and the largest organs stay within limits."""
    wished = {name: areas_mm2[name] / _triangle_mm2(structure) for name, structure in structures.items()}
    bones = sum(count for name, count in wished.items() if is_bone(structures[name]))
    organs = sorted((count for name, count in wished.items() if not is_bone(structures[name])), reverse=True)
    return max(1.0, (bones + sum(organs[:_MOST_ORGANS])) / _MOST_TRIANGLES)


def _triangle_mm2(structure: Structure) -> float:
    return _BONE_MM2 if is_bone(structure) else _ORGAN_MM2


def _area_mm2(structure: Structure) -> float:
    """Of its surface, roughly: from the faces of voxels in every 3 mm, two thirds of which a smooth surface has."""
    if structure.occupancy is None or structure.grid is None:
        return 0.0
    step = np.maximum(1, np.round(_COUNTED_MM / structure.grid.spacing_mm)).astype(int)
    solid = np.pad(structure.occupancy[:: step[0], :: step[1], :: step[2]] > 127, 1).view(np.int8)
    sides = structure.grid.spacing_mm * step
    faces = [np.count_nonzero(np.diff(solid, axis=axis)) * sides.prod() / sides[axis] for axis in range(3)]
    return float(sum(faces)) / 1.5
