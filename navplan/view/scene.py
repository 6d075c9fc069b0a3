"""The three-dimensional scene of one trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.skin_surface import body_surface
from navplan.imaging.surfaces import EMPTY_SURFACE, Surface, display_surface
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import Finding
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.camera import Camera, camera_on, choose_camera
from navplan.view.colours import CONTEXT_BONE, HALO, TARGET, Colour, anatomy_colour, context_colour, mixed
from navplan.view.light import OcclusionField
from navplan.view.meshes import PaintedMesh, cutaway, ghost, joined, painted
from navplan.view.near_structures import ShownStructures, choose_structures, nearest_findings
from navplan.view.needle_meshes import (
    depth_ticks,
    drawn_radius_mm,
    error_cone,
    gap_lines,
    needle_body,
    needle_hub,
    throw_body,
)
from navplan.view.render import render
from navplan.view.skin_paint import entry_dots, paint_skin

_SHADE_REACH_MM = 150.0
_FINE_MM, _COARSE_MM, _GHOST_MM = 1.2, 2.2, 3.5


@dataclass(frozen=True, eq=False)
class SceneView:
    """A scene without its writing: picture (H, W, 3), camera, who is shown, and who was faded to see the needle.

    triangles: how many were drawn.
    """

    picture: NDArray[np.uint8]
    camera: Camera
    shown: ShownStructures
    nearest: tuple[Finding, ...] = ()
    faded: tuple[str, ...] = ()
    ranked: RankedTrajectory | None = None
    triangles: int = 0
    structures: dict[str, Structure] = field(default_factory=dict)


def draw_scene(
    case: Case,
    plan: Plan | None = None,
    trajectory: int = 0,
    *,
    size: tuple[int, int] = (1600, 1200),
    camera: Camera | None = None,
    image_id: str = "",
    headline: bool = True,
) -> NDArray[np.uint8]:
    """The scene with its writing: (height, width, 3) uint8.

    size: (width, height) px; camera: None chooses one; image_id: "" takes the plan's image or the only one;
    headline: whether the bar with verdict and headline is written on top.

    Raises InputError for a trajectory that the plan does not have or a size below 320 x 240, ChoiceError for the image.
    """
    from navplan.view.scene_writing import write_on_scene

    view = render_scene(case, plan, trajectory, size=size, camera=camera, image_id=image_id)
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
) -> SceneView:
    """The scene without writing; the same refusals as draw_scene."""
    if min(size[0] / 4, size[1] / 3) < 80:
        raise InputError(f"a picture of {size[0]} x {size[1]} px", "at least 320 x 240")
    if plan is not None and not 0 <= trajectory < len(plan.trajectories):
        raise no_such_trajectory(plan, trajectory)
    image_id, volume = case.image(image_id or (plan.provenance.image_id if plan else ""))
    structures = case.structures_of(image_id)
    if plan is None:
        return _render_anatomy(volume, structures, size, camera, oversampling)
    ranked = plan.trajectories[trajectory]
    return _render_trajectory(volume, structures, plan, ranked, size, camera, oversampling)


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
) -> SceneView:
    way = ranked.trajectory
    shown = choose_structures(structures, way, ranked.report, plan.target.structure)
    nearest = nearest_findings(ranked.report)
    middle = way.point_at_mm(0.7 * way.depth_mm)
    solid_names = [*shown.deciding, *shown.organs, *shown.bones]
    shading = [structures[name] for name in [*solid_names, shown.target] if name in structures]
    obstacles = OcclusionField(shading, middle, _SHADE_REACH_MM)
    if camera is None:
        kept = OcclusionField([structures[name] for name in solid_names], middle, _SHADE_REACH_MM, spacing_mm=3.0)
        places = [finding.nearest_mm for finding in nearest if finding.nearest_mm is not None]
        camera = choose_camera(way, plan.patient_position, places, kept, size[0] / size[1])
    pixel = camera.millimetres_per_pixel(size[1])
    radius = drawn_radius_mm(way, camera, size[1])
    target = structures.get(shown.target)
    target_mesh = None
    if target is not None and target.occupancy is not None:
        target_mesh = _shaded(_surface(target, _FINE_MM), TARGET, obstacles)
    seen = _must_be_seen(way.point_at_mm(0.0), way.swept_end_mm, nearest, target_mesh)
    solid, clear, faded = [], [], []
    for name in solid_names:
        mesh = _anatomy_mesh(structures[name], name, shown, obstacles)
        if name not in shown.deciding:
            mesh = replace(mesh, alpha=cutaway(mesh.points_mm, camera.position_mm, seen))
        opaque, thin = mesh.split()
        solid.append(opaque)
        if len(thin.triangles):
            clear.append(thin)
            faded.append(name)
    if target_mesh is not None:
        solid.append(target_mesh)
    skin, strength = paint_skin(painted(_skin(structures, volume), anatomy_colour("skin")), plan.skin_map)
    bare = ghost(skin, camera.position_mm, 0.03, 0.30)
    tint = 0.13 * strength * cutaway(skin.points_mm, camera.position_mm, seen, 26.0, 0.0)
    clear.append(replace(bare, alpha=np.clip(bare.alpha + tint, 0, 1)))
    dots = entry_dots(skin, plan.skin_map)
    clear.append(replace(dots, alpha=dots.alpha * cutaway(dots.points_mm, camera.position_mm, seen, 22.0, 0.0)))
    if shown.ghost:
        organ = painted(_surface(structures[shown.ghost], _GHOST_MM), anatomy_colour(shown.ghost))
        clear.append(ghost(organ, camera.position_mm, 0.03, 0.35))
    cone = error_cone(way, plan.error_model)
    clear.append(ghost(cone, camera.position_mm, 0.08, 0.40))
    rings, edges = depth_ticks(way, radius, pixel)
    needle, tail = needle_body(way, radius), throw_body(way, radius, mixed(TARGET, (255, 255, 255), 0.55))
    hidden = joined([needle, rings, tail])
    picture = render(
        camera, size, solid=[joined(solid)], clear=[joined(clear)],
        shiny=[needle, rings, tail, needle_hub(way, radius)],
        halos=[needle_body(way, radius, 1.8 * pixel, HALO), edges],
        through=[
            ghost(cone, camera.position_mm, 0.02, 0.55),
            replace(hidden, alpha=np.full(len(hidden.alpha), 0.42)),
            gap_lines(nearest, pixel),
        ],
        oversampling=oversampling,
    )  # fmt: skip
    count = sum(len(mesh.triangles) for mesh in (*solid, *clear))
    return SceneView(picture, camera, shown, nearest, tuple(faded), ranked, count, structures)


def _render_anatomy(
    volume: Volume, structures: dict[str, Structure], size: tuple[int, int], camera: Camera | None, oversampling: float
) -> SceneView:
    """Without a plan: what is present, and the skin as a ghost."""
    present = {name: structure for name, structure in structures.items() if structure.occupancy is not None}
    shown = choose_structures(present, None, None, "")
    corners = volume.grid.corners_mm()
    middle, reach = corners.mean(axis=0), 0.5 * float(np.ptp(corners, axis=0).max())
    obstacles = OcclusionField([present[name] for name in [*shown.organs, *shown.bones]], middle, reach, spacing_mm=4.0)
    camera = camera or camera_on(middle, reach, volume.acquisition.patient_position)
    solid = [_anatomy_mesh(present[name], name, shown, obstacles) for name in [*shown.organs, *shown.bones]]
    skin = painted(_skin(present, volume), anatomy_colour("skin"))
    clear = [ghost(skin, camera.position_mm, 0.03, 0.30)]
    picture = render(camera, size, solid=[joined(solid)], clear=clear, oversampling=oversampling)
    return SceneView(picture, camera, shown, structures=structures)


def _must_be_seen(
    start: NDArray[np.float64], end: NDArray[np.float64], nearest: tuple[Finding, ...], target: PaintedMesh | None
) -> NDArray[np.float64]:
    """Points (N, 3) along the needle, on the target, and the nearest points of the dangers that are named."""
    shaft = start + np.linspace(0, 1, 40)[:, None] * (end - start)
    places = [finding.nearest_mm for finding in nearest if finding.nearest_mm is not None]
    aim = np.zeros((0, 3)) if target is None else target.points_mm[:: max(1, len(target.points_mm) // 24)]
    return np.concatenate([shaft, np.asarray(places).reshape(-1, 3), aim])


def _surface(structure: Structure, spacing_mm: float) -> Surface:
    return display_surface(structure, spacing_mm=spacing_mm, max_triangles=40_000)


def _shaded(surface: Surface, colour: Colour, obstacles: OcclusionField) -> PaintedMesh:
    return painted(surface, colour, obstacles.shade(surface.points_mm, surface.normals))


def _anatomy_mesh(structure: Structure, name: str, shown: ShownStructures, obstacles: OcclusionField) -> PaintedMesh:
    """In its colour; bone beyond 25 mm of the shaft darkened, other anatomy muted a little with distance."""
    far = shown.bones.get(name, 0.0)
    surface = _surface(structure, _FINE_MM if far < 25 and name not in shown.organs else _COARSE_MM)
    if name in shown.bones:
        dark = 1.0 - 0.45 * float(np.clip((far - 25.0) / 45.0, 0, 1))
        return _shaded(surface, mixed((0, 0, 0), context_colour(name), dark), obstacles)
    colour = anatomy_colour(name)
    return _shaded(surface, colour if name in shown.deciding else mixed(colour, CONTEXT_BONE, 0.10), obstacles)


def _skin(structures: dict[str, Structure], volume: Volume) -> Surface:
    """The skin from its structure, else from the image where that is a CT; else none."""
    for name in ("skin", "body"):
        structure = structures.get(name)
        if structure is not None and structure.occupancy is not None:
            return body_surface(volume, structure, spacing_mm=_GHOST_MM)
    if volume.quantity == "HU":
        return body_surface(volume, spacing_mm=_GHOST_MM)
    return EMPTY_SURFACE
