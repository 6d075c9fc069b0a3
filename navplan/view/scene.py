"""The three-dimensional scene of one trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.surfaces import Surface
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.camera import Camera, camera_on, choose_camera
from navplan.view.colours import anatomy_colour
from navplan.view.light import OcclusionField
from navplan.view.meshes import PaintedMesh, cutaway, ghost, joined, painted
from navplan.view.near_structures import ShownStructures, choose_structures, nearest_findings
from navplan.view.render import render
from navplan.view.scene_carried import band_shade, banded_surface
from navplan.view.scene_fusion import Fused, FusedScene, before_planes, fused_clear, fused_images, fused_scene
from navplan.view.scene_meshes import (
    GHOST_MM,
    GHOST_ORGAN,
    must_be_seen,
    needle_meshes,
    skin_surface,
    structure_colour,
    whole_surface,
)
from navplan.view.skin_paint import SkinPainter, ghost_dots, ghost_skin

_SHADE_REACH_MM = 150.0
_FINE_MM, _COARSE_MM = 1.2, 2.2
FUSED_REACH, FUSED_ABOVE = 1.35, 0.7  # where planes stand in it: farther off, and more from above


@dataclass(frozen=True, eq=False)
class SceneView:
    """A scene without its writing: picture (H, W, 3), camera, who is shown, and who was faded to see the needle.

    triangles: how many were drawn; fused: what of a second image.
    """

    picture: NDArray[np.uint8]
    camera: Camera
    shown: ShownStructures
    nearest: tuple[Finding, ...] = ()
    faded: tuple[str, ...] = ()
    ranked: RankedTrajectory | None = None
    triangles: int = 0
    structures: dict[str, Structure] = field(default_factory=dict)
    fused: FusedScene | None = None


def draw_scene(
    case: Case,
    plan: Plan | None = None,
    trajectory: int = 0,
    *,
    size: tuple[int, int] = (1600, 1200),
    camera: Camera | None = None,
    image_id: str = "",
    headline: bool = True,
    fused: Fused | None = None,
) -> NDArray[np.uint8]:
    """The scene with its writing: (height, width, 3) uint8.

    size: (width, height) px; camera: None chooses one; image_id: "" takes the plan's image or the only one;
    headline: whether the bar with verdict and headline is written on top; fused: a second image, see `Fused`.

    Raises InputError for a trajectory that the plan does not have or a size below 320 x 240, ChoiceError for the image;
    and what `fused_scene` raises.
    """
    from navplan.view.scene_writing import write_on_scene

    view = render_scene(case, plan, trajectory, size=size, camera=camera, image_id=image_id, fused=fused)
    _, volume = case.image(image_id or (plan.provenance.image_id if plan else ""))
    return write_on_scene(view, volume, plan, headline=headline)


def render_scene(
    case: Case,
    plan: Plan | None = None,
    trajectory: int = 0,
    *,
    size: tuple[int, int] = (1600, 1200),
    camera: Camera | None = None,
    image_id: str = "",
    oversampling: float = 1.5,
    fused: Fused | None = None,
) -> SceneView:
    """The scene without writing; the same refusals as draw_scene."""
    if min(size[0] / 4, size[1] / 3) < 80:
        raise InputError(f"a picture of {size[0]} x {size[1]} px", "at least 320 x 240")
    if plan is not None and not 0 <= trajectory < len(plan.trajectories):
        raise no_such_trajectory(plan, trajectory)
    image_id, volume = case.image(image_id or (plan.provenance.image_id if plan else ""))
    structures = case.structures_of(image_id)
    aim = plan.trajectories[trajectory].trajectory.target_mm if plan is not None else None
    both = fused_scene(case, image_id, fused, plan, aim) if fused is not None else None
    if plan is None:
        return _render_anatomy(volume, structures, size, camera, oversampling, both)
    ranked = plan.trajectories[trajectory]
    return _render_trajectory(volume, structures, plan, ranked, size, camera, oversampling, both)


def no_such_trajectory(plan: Plan, trajectory: int) -> InputError:
    """What to say when a plan has no trajectory of that number."""
    if not plan.trajectories:
        return InputError(
            f"plan {plan.id}, which found no way in", "a plan with a trajectory", "Draw the anatomy without the plan"
        )
    return InputError(f"trajectory {trajectory}", f"0 to {len(plan.trajectories) - 1}, as plan {plan.id} ranks them")


def _render_trajectory(
    volume: Volume,
    structures: dict[str, Structure],
    plan: Plan,
    ranked: RankedTrajectory,
    size: tuple[int, int],
    camera: Camera | None,
    oversampling: float,
    fused: FusedScene | None,
) -> SceneView:
    way = ranked.trajectory
    shown = choose_structures(structures, way, ranked.report, plan.target.structure)
    nearest = nearest_findings(ranked.report)
    middle = way.point_at_mm(0.7 * way.depth_mm)
    solid_names = [*shown.deciding, *shown.organs, *shown.bones]
    shading = [structures[name] for name in [*solid_names, shown.target] if name in structures]
    obstacles = OcclusionField(shading, middle, _SHADE_REACH_MM)
    camera = camera or camera_at(structures, shown, way, nearest, plan.patient_position, size)
    eye = camera.position_mm
    target = structures.get(shown.target)
    target_mesh = None
    if target is not None and target.occupancy is not None:
        target_mesh = _anatomy_mesh(target, shown, obstacles)
    seen = must_be_seen(way, nearest, target_mesh.points_mm if target_mesh is not None else None)
    solid, clear, faded = [], [], []
    for name in solid_names:
        mesh = _anatomy_mesh(structures[name], shown, obstacles)
        if name not in shown.deciding:
            mesh = replace(mesh, alpha=cutaway(mesh.points_mm, eye, seen) * before_planes(fused, mesh.points_mm, eye))
        opaque, thin = mesh.split()
        solid.append(opaque)
        if len(thin.triangles):
            clear.append(thin)
            faded.append(name)
    if target_mesh is not None:
        solid.append(target_mesh)
    painter = SkinPainter(painted(skin_surface(structures, volume), anatomy_colour("skin")))
    skin, strength = painter.tint(plan.skin_map)
    dots = painter.dots(plan.skin_map)
    thinner = before_planes(fused, skin.points_mm, eye)
    clear.append(replace(skin, alpha=ghost_skin(skin, strength, eye, seen) * thinner))
    clear.append(replace(dots, alpha=ghost_dots(dots, eye, seen) * before_planes(fused, dots.points_mm, eye)))
    if shown.ghost:
        organ = painted(_surface(structures[shown.ghost], GHOST_MM), anatomy_colour(shown.ghost))
        clear.append(ghost(organ, eye, *GHOST_ORGAN))
    needle = needle_meshes(way, plan.error_model, nearest, camera, size[1], ranked.report.ablation)
    clear += [needle.cone_inside(eye), *fused_clear(fused, eye)]
    picture = render(
        camera, size, solid=[joined(solid)], clear=[joined(clear)], shiny=[needle.shiny], halos=[needle.halos],
        through=[needle.cone_in_front(eye), needle.hidden, needle.gaps], oversampling=oversampling,
        images=fused_images(fused),
    )  # fmt: skip
    count = sum(len(mesh.triangles) for mesh in (*solid, *clear))
    return SceneView(picture, camera, shown, nearest, tuple(faded), ranked, count, structures, fused)


def camera_at(
    structures: Mapping[str, Structure],
    shown: ShownStructures,
    way: Trajectory,
    nearest: tuple[Finding, ...],
    patient_position: str,
    size: tuple[int, int],
) -> Camera:
    """The view of a way among what is shown with it, for a picture of size (width, height)."""
    solid = [structures[name] for name in [*shown.deciding, *shown.organs, *shown.bones]]
    obstacles = OcclusionField(solid, way.point_at_mm(0.7 * way.depth_mm), _SHADE_REACH_MM, spacing_mm=3.0)
    places = [finding.nearest_mm for finding in nearest if finding.nearest_mm is not None]
    return choose_camera(way, patient_position, places, obstacles, size[0] / size[1])


def _render_anatomy(
    volume: Volume, structures: dict[str, Structure], size: tuple[int, int], camera: Camera | None, oversampling: float,
    fused: FusedScene | None,
) -> SceneView:  # fmt: skip
    """Without a plan: what is present, and the skin as a ghost."""
    present = {name: structure for name, structure in structures.items() if structure.occupancy is not None}
    shown = choose_structures(present, None, None, "")
    middle, reach = volume_reach(volume)
    obstacles = OcclusionField([present[name] for name in [*shown.organs, *shown.bones]], middle, reach, spacing_mm=4.0)
    camera = camera or anatomy_camera(volume, fused)
    solid, faded, clear = [], [], []
    for name in [*shown.organs, *shown.bones]:
        mesh = _anatomy_mesh(present[name], shown, obstacles)
        opaque, thin = replace(mesh, alpha=before_planes(fused, mesh.points_mm, camera.position_mm)).split()
        solid.append(opaque)
        if len(thin.triangles):
            clear.append(thin)
            faded.append(name)
    skin = painted(skin_surface(present, volume), anatomy_colour("skin"))
    bare = ghost_skin(skin, np.zeros(len(skin.points_mm)), camera.position_mm, np.zeros((0, 3)))
    clear += [replace(skin, alpha=bare), *fused_clear(fused, camera.position_mm)]
    picture = render(
        camera, size, solid=[joined(solid)], clear=[joined(clear)], images=fused_images(fused),
        oversampling=oversampling,
    )  # fmt: skip
    return SceneView(picture, camera, shown, faded=tuple(faded), structures=structures, fused=fused)


def anatomy_camera(volume: Volume, fused: FusedScene | None = None) -> Camera:
    """The view of an image without a way; a little farther off where planes stand in it, as wide as the image is."""
    middle, reach = volume_reach(volume)
    position = volume.acquisition.patient_position
    if fused is None:
        return camera_on(middle, reach, position)
    return camera_on(middle, FUSED_REACH * reach, position, FUSED_ABOVE)


def volume_reach(volume: Volume) -> tuple[NDArray[np.float64], float]:
    """An image's middle (3,) and half its longest side, mm."""
    corners = volume.grid.corners_mm()
    return corners.mean(axis=0), 0.5 * float(np.ptp(corners, axis=0).max())


def _surface(structure: Structure, spacing_mm: float) -> Surface:
    return whole_surface(structure, spacing_mm, max_triangles=40_000)


def _anatomy_mesh(structure: Structure, shown: ShownStructures, obstacles: OcclusionField) -> PaintedMesh:
    name = structure.name
    far = name in shown.organs or shown.bones.get(name, 0.0) >= 25
    surface = banded_surface(structure, _surface(structure, _COARSE_MM if far else _FINE_MM))
    shade = obstacles.shade(surface.points_mm, surface.normals) * band_shade(structure, surface.points_mm)
    return painted(surface, structure_colour(name, shown), shade)
