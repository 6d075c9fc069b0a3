"""A scene as data: every mesh with its part in it, for a page or a file that something else draws. No VTK window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.surfaces import Surface, display_surface
from navplan.model.case import Case
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.camera import Camera
from navplan.view.colours import anatomy_colour
from navplan.view.light import OcclusionField
from navplan.view.meshes import PaintedMesh, painted
from navplan.view.near_structures import ShownStructures, choose_structures, nearest_findings
from navplan.view.scene import anatomy_camera, camera_at, no_such_trajectory, volume_reach
from navplan.view.scene_carried import band_shade, banded_surface
from navplan.view.scene_fusion import Fused, FusedScene, carried_legend, fused_scene
from navplan.view.scene_meshes import (
    GHOST_MM,
    NeedleMeshes,
    needle_meshes,
    skin_surface,
    structure_colour,
    whole_surface,
)
from navplan.view.scene_words import LegendRow, legend
from navplan.view.skin_paint import SkinPainter

FIRST_SIZE = (1600, 1200)  # of the picture that the first camera is chosen for
_SHADE_REACH_MM = 150.0
_FINE_MM, _COARSE_MM = 1.2, 2.2  # grids of the surfaces near the needle, and of the others
_MOST_OF_ONE, _MOST_OF_FINE, _LEAST_OF_ONE = 40_000, 10_000, 800
_MOST_OF_SKIN, _MOST_OF_GHOST = 24_000, 10_000
_MOST_TRIANGLES = 180_000  # of all anatomy
_SIZES_MM = np.geomspace(0.02, 4.0, 25)  # of a pixel, for which the needle is drawn as thick as it has to be
PLANE_PIXEL_MM = 1.5  # of an image plane
_BESIDE_MM = 25.0  # from where the planes cross to what of them is to be seen
_OFF_PX = 0.25  # by which a point of the needle may be off between two of those that are kept


class Role(StrEnum):
    """What a part is to the scene. A TARGET and what is DECIDING are never hidden."""

    TARGET = "target"
    DECIDING = "deciding"
    ORGAN = "organ"
    BONE = "bone"
    GHOST = "ghost"
    SKIN = "skin"
    ENTRIES = "entries"
    PLANE = "plane"
    CARRIED = "carried"
    UPTAKE = "uptake"


@dataclass(frozen=True, eq=False)
class ScenePart:
    """One structure, the skin, the discs of its entries, or of a second image a plane, what was carried, its uptake.

    mesh.alpha: 1 for anatomy, planes and uptake; of the skin how strongly a vertex is painted (0 bare), of the discs
    and of what was carried their own.
    """

    name: str
    role: Role
    mesh: PaintedMesh

    @property
    def never_hidden(self) -> bool:
        """Whether the verdict hangs on it, or it is what the needle is for."""
        return self.role in (Role.TARGET, Role.DECIDING)


@dataclass(frozen=True, eq=False)
class SceneParts:
    """All of a scene but its words.

    structures: those of the image, by name. camera: where to look from first. shaft_mm: (2, 3) ends of what must not be
    hidden: the needle, or a line through where image planes cross; spots_mm: (N, 3) more of it, on the target, nearest
    in the dangers named, and on the planes. needle: sizes of a pixel (mm, rising), each with the needle as it is drawn
    there; between two sizes every point moves straight from one to the other. Without a plan there is no plan, no
    ranked way and no needle. fused: of a second image.
    """

    volume: Volume
    structures: Mapping[str, Structure]
    shown: ShownStructures
    camera: Camera
    parts: tuple[ScenePart, ...]
    plan: Plan | None = None
    ranked: RankedTrajectory | None = None
    nearest: tuple[Finding, ...] = ()
    shaft_mm: NDArray[np.float64] | None = None
    spots_mm: NDArray[np.float64] | None = None
    needle: tuple[tuple[float, NeedleMeshes], ...] = ()
    fused: FusedScene | None = None

    @property
    def legend(self) -> tuple[LegendRow, ...]:
        """What its colours mean."""
        return (*legend(self), *carried_legend(self.structures, self.shown.names, self.fused))

    @property
    def undrawn(self) -> tuple[str, ...]:
        """Names of what decides, the target among it, that is in the image and too thin for a surface."""
        drawn = {part.name for part in self.parts}
        wanted = [name for name in (*self.shown.deciding, self.shown.target) if name in self.structures]
        return tuple(n for n in wanted if n not in drawn and self.structures[n].occupancy is not None)


def scene_parts(
    case: Case, plan: Plan | None = None, trajectory: int = 0, *, image_id: str = "", fused: Fused | None = None
) -> SceneParts:
    """What draw_scene draws, as meshes: of a way of a plan, or of the anatomy alone.

    image_id: "" takes the plan's image or the only one. At most about 180,000 triangles of anatomy. fused: a second
    image, see `Fused`.

    Raises InputError for a trajectory that the plan does not have, ChoiceError for the image, and as `fused_scene`.
    """
    if plan is not None and not 0 <= trajectory < len(plan.trajectories):
        raise no_such_trajectory(plan, trajectory)
    image_id, volume = case.image(image_id or (plan.provenance.image_id if plan else ""))
    structures = case.structures_of(image_id)
    aimed = plan.trajectories[trajectory].trajectory.target_mm if plan is not None else None
    both = fused_scene(case, image_id, fused, plan, aimed, PLANE_PIXEL_MM) if fused is not None else None
    if plan is None:
        return _anatomy_alone(volume, structures, both)
    ranked = plan.trajectories[trajectory]
    way = ranked.trajectory
    shown = choose_structures(structures, way, ranked.report, plan.target.structure)
    nearest = nearest_findings(ranked.report)
    target = structures.get(shown.target)
    has_target = target is not None and target.occupancy is not None
    solid = [*shown.deciding, *shown.organs, *shown.bones]
    near = [name for name in (*solid, shown.target) if name in structures]
    shade = OcclusionField([structures[name] for name in near], way.point_at_mm(0.7 * way.depth_mm), _SHADE_REACH_MM)
    parts = _anatomy(structures, shown, [*solid, *([shown.target] if has_target else [])], shade)
    if shown.ghost:
        surface = display_surface(structures[shown.ghost], spacing_mm=GHOST_MM, max_triangles=_MOST_OF_GHOST)
        parts.append(ScenePart(shown.ghost, Role.GHOST, painted(surface, anatomy_colour(shown.ghost))))
    parts += _skin(structures, volume, plan) + _fused(both)
    camera = camera_at(structures, shown, way, nearest, plan.patient_position, FIRST_SIZE)
    aim = next((part.mesh.points_mm for part in parts if part.role is Role.TARGET), None)
    return SceneParts(
        volume, structures, shown, camera, _not_empty(parts), plan, ranked, nearest,
        shaft_mm=np.stack([way.point_at_mm(0.0), way.swept_end_mm]),
        spots_mm=np.concatenate([_spots(nearest, aim), _on_planes(both)]),
        needle=_needle(way, plan.error_model, nearest, camera, ranked.report.ablation), fused=both,
    )  # fmt: skip


def _fused(fused: FusedScene | None) -> list[ScenePart]:
    if fused is None:
        return []
    parts = [ScenePart(f"{one.plane.title} plane", Role.PLANE, one.mesh) for one in fused.planes.planes]
    for mark, mesh in zip(fused.marks, fused.carried, strict=True):
        parts.append(ScenePart(f"{mark.name} from {mark.image}", Role.CARRIED, mesh))
    if fused.uptake is not None:
        parts.append(ScenePart(f"uptake of {fused.pair.second}", Role.UPTAKE, fused.uptake))
    return parts


def _on_planes(fused: FusedScene | None) -> NDArray[np.float64]:
    """(4, 3) places beside the planes' crossing that are to be seen; none without planes."""
    if fused is None or not fused.planes.planes:
        return np.zeros((0, 3))
    return np.asarray(fused.planes.centre_mm) + _BESIDE_MM * np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])


def _spots(nearest: tuple[Finding, ...], target_mm: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The nearest points of the dangers that are named, and eight of the target's, each far from those before it."""
    places = [finding.nearest_mm for finding in nearest if finding.nearest_mm is not None]
    found = [np.asarray(place, dtype=np.float64) for place in places]
    if target_mm is not None and len(target_mm):
        away = np.linalg.norm(target_mm - target_mm.mean(axis=0), axis=1)
        for _ in range(8):
            found.append(target_mm[away.argmax()])
            away = np.minimum(away, np.linalg.norm(target_mm - found[-1], axis=1))
    return np.array(found).reshape(-1, 3)


def _anatomy_alone(volume: Volume, structures: Mapping[str, Structure], fused: FusedScene | None) -> SceneParts:
    present = {name: structure for name, structure in structures.items() if structure.occupancy is not None}
    shown = choose_structures(present, None, None, "")
    names = [*shown.organs, *shown.bones]
    middle, reach = volume_reach(volume)
    shade = OcclusionField([present[name] for name in names], middle, reach, spacing_mm=4.0)
    parts = _anatomy(present, shown, names, shade) + _skin(present, volume, None) + _fused(fused)
    ends = None
    if fused is not None and fused.planes.planes:
        ends = np.asarray(fused.planes.centre_mm) + _BESIDE_MM * np.array([(0, 0, 1.0), (0, 0, -1.0)])
    return SceneParts(
        volume, present, shown, anatomy_camera(volume, fused), _not_empty(parts), shaft_mm=ends,
        spots_mm=_on_planes(fused), fused=fused,
    )  # fmt: skip


def _not_empty(parts: Sequence[ScenePart]) -> tuple[ScenePart, ...]:
    return tuple(part for part in parts if len(part.mesh.triangles))


def _anatomy(
    structures: Mapping[str, Structure], shown: ShownStructures, names: Sequence[str], shade: OcclusionField
) -> list[ScenePart]:
    parts = []
    for name, surface in _surfaces(structures, shown, names).items():
        surface = banded_surface(structures[name], surface)
        lit = shade.shade(surface.points_mm, surface.normals) * band_shade(structures[name], surface.points_mm)
        parts.append(ScenePart(name, _role(name, shown), painted(surface, structure_colour(name, shown), lit)))
    return parts


def _role(name: str, shown: ShownStructures) -> Role:
    if name == shown.target:
        return Role.TARGET
    if name in shown.deciding:
        return Role.DECIDING
    return Role.BONE if name in shown.bones else Role.ORGAN


def _surfaces(
    structures: Mapping[str, Structure], shown: ShownStructures, names: Sequence[str]
) -> dict[str, Surface]:
    """On the grids of a still, with fewer triangles where those are too many together: all alike, so that none is
    coarser than the others, but for what decides."""
    most = {name: _MOST_OF_FINE if name in (*shown.deciding, shown.target) else _MOST_OF_ONE for name in names}
    made = {name: _surface(structures[name], shown, most[name]) for name in names}
    counts = {name: len(made[name].triangles) for name in names if most[name] == _MOST_OF_ONE}
    left = _MOST_TRIANGLES - sum(len(made[name].triangles) for name in names if name not in counts)
    for name, count in thinned(counts, left).items():
        if count < counts[name]:
            made[name] = _surface(structures[name], shown, count)
    return made


def _surface(structure: Structure, shown: ShownStructures, most: int) -> Surface:
    far = structure.name in shown.organs or shown.bones.get(structure.name, 0.0) >= 25
    return whole_surface(structure, _COARSE_MM if far else _FINE_MM, most)


def thinned(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Counts that together are no more than `total`, each made smaller by the same share, but none below 800."""
    few = {name: count for name, count in counts.items() if count <= _LEAST_OF_ONE}
    while True:
        rest = {name: count for name, count in counts.items() if name not in few}
        left = total - sum(min(count, _LEAST_OF_ONE) for count in few.values())
        share = min(1.0, left / max(sum(rest.values()), 1))
        small = {name: count for name, count in rest.items() if count * share < _LEAST_OF_ONE}
        if not small:
            return {name: min(c, _LEAST_OF_ONE) if name in few else int(c * share) for name, c in counts.items()}
        few |= small


def _skin(structures: Mapping[str, Structure], volume: Volume, plan: Plan | None) -> list[ScenePart]:
    bare = painted(skin_surface(structures, volume, _MOST_OF_SKIN), anatomy_colour("skin")).without_idle_points()
    painter = SkinPainter(bare, sparse=True)
    skin_map = plan.skin_map if plan is not None else None
    skin, strength = painter.tint(skin_map)
    dots = painter.dots(skin_map)
    return [ScenePart("skin", Role.SKIN, replace(skin, alpha=strength)), ScenePart("entries", Role.ENTRIES, dots)]


def _needle(
    way: Trajectory, error_model: ErrorModel, nearest: tuple[Finding, ...], camera: Camera,
    zone: PlannedMargin | None = None,
) -> tuple[tuple[float, NeedleMeshes], ...]:  # fmt: skip
    """The needle at those sizes of a pixel between which its points move in proportion to that size."""
    now = camera.millimetres_per_pixel(FIRST_SIZE[1])
    back = np.subtract(camera.position_mm, camera.focal_mm)
    drawn = []
    for size in _SIZES_MM:
        x, y, z = np.asarray(camera.focal_mm) + back * (size / now)
        there = replace(camera, position_mm=(float(x), float(y), float(z)))
        drawn.append(needle_meshes(way, error_model, nearest, there, FIRST_SIZE[1], zone))
    points = np.stack([np.concatenate([mesh.points_mm for mesh in moving_meshes(each)]) for each in drawn])
    kept = _bends(_SIZES_MM, points, 0, len(drawn) - 1)
    return tuple((float(_SIZES_MM[place]), drawn[place]) for place in kept)


def moving_meshes(needle: NeedleMeshes) -> tuple[PaintedMesh, PaintedMesh, PaintedMesh, PaintedMesh]:
    """What of a needle changes with the size of a pixel."""
    return needle.shiny, needle.halos, needle.hidden, needle.gaps


def _bends(sizes: NDArray[np.float64], points: NDArray[np.float64], first: int, last: int) -> list[int]:
    """Places of the sizes to keep, the first and the last among them, so that what lies between is on straight lines.

    points: (K, N, 3) mm, one row a size. Found as Douglas and Peucker simplify a line.
    """
    if last - first < 2:
        return [first, last]
    inner = slice(first + 1, last)
    share = ((sizes[inner] - sizes[first]) / (sizes[last] - sizes[first]))[:, None, None]
    straight = points[first] + share * (points[last] - points[first])
    off_px = np.linalg.norm(points[inner] - straight, axis=2).max(axis=1, initial=0.0) / sizes[inner]
    if off_px.max() <= _OFF_PX:
        return [first, last]
    middle = first + 1 + int(off_px.argmax())
    return _bends(sizes, points, first, middle)[:-1] + _bends(sizes, points, middle, last)
