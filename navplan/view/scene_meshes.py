"""What a scene consists of, for a still and for the live one: the needle's meshes, the skin, colours of anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.imaging.skin_surface import body_surface
from navplan.imaging.surfaces import EMPTY_SURFACE, Surface, display_surface
from navplan.model.error_model import ErrorModel
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.camera import Camera
from navplan.view.colours import CONTEXT_BONE, HALO, TARGET, Colour, anatomy_colour, context_colour, mixed
from navplan.view.meshes import PaintedMesh, ghost, joined
from navplan.view.near_structures import ShownStructures
from navplan.view.needle_meshes import (
    depth_ticks,
    drawn_radius_mm,
    error_cone,
    gap_lines,
    needle_body,
    needle_hub,
    throw_body,
    zone_shell,
)

GHOST_MM = 3.5  # grid of the surfaces that are drawn as ghosts
_KEPT_SHARE, _FINEST_MM = 0.6, 0.5  # of the volume; of grids
GHOST_ORGAN = (0.03, 0.35)  # alpha of a ghost that faces the viewer, and of its rim


@dataclass(frozen=True, eq=False)
class NeedleMeshes:
    """shiny: needle, ticks, throw, hub; halos: their dark edges; cone: where 95 % of needles are, its alpha still to be
    set; hidden: shaft, ticks and throw as they show through what covers them; gaps: to the nearest dangers."""

    shiny: PaintedMesh
    halos: PaintedMesh
    cone: PaintedMesh
    hidden: PaintedMesh
    gaps: PaintedMesh

    def cone_inside(self, camera_mm: ArrayLike) -> PaintedMesh:
        """The cone among the anatomy."""
        return ghost(self.cone, camera_mm, 0.08, 0.40)

    def cone_in_front(self, camera_mm: ArrayLike) -> PaintedMesh:
        """The cone's rim over all else."""
        return ghost(self.cone, camera_mm, 0.02, 0.55)


def needle_meshes(
    way: Trajectory, error_model: ErrorModel, nearest: tuple[Finding, ...], camera: Camera, height_px: int,
    zone: PlannedMargin | None = None,
) -> NeedleMeshes:  # fmt: skip
    """The needle as thick as a picture of this height needs it, its marks as large. zone: an ablation's, drawn about it
    as the cone is."""
    pixel = camera.millimetres_per_pixel(height_px)
    radius = drawn_radius_mm(way, camera, height_px)
    rings, edges = depth_ticks(way, radius, pixel)
    shaft = joined([needle_body(way, radius), rings, throw_body(way, radius, mixed(TARGET, (255, 255, 255), 0.55))])
    return NeedleMeshes(
        shiny=joined([shaft, needle_hub(way, radius)]),
        halos=joined([needle_body(way, radius, 1.8 * pixel, HALO), edges]),
        cone=joined([error_cone(way, error_model), *([zone_shell(zone)] if zone else [])]),
        hidden=replace(shaft, alpha=np.full(len(shaft.alpha), 0.42)),
        gaps=gap_lines(nearest, pixel),
    )


def must_be_seen(
    way: Trajectory, nearest: tuple[Finding, ...], target_mm: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Points (N, 3) along the needle, on the target's surface (points (M, 3)), and nearest in the dangers named."""
    start, end = way.point_at_mm(0.0), way.swept_end_mm
    shaft = start + np.linspace(0, 1, 40)[:, None] * (end - start)
    places = [finding.nearest_mm for finding in nearest if finding.nearest_mm is not None]
    aim = np.zeros((0, 3)) if target_mm is None else target_mm[:: max(1, len(target_mm) // 24)]
    return np.concatenate([shaft, np.asarray(places).reshape(-1, 3), aim])


def structure_colour(name: str, shown: ShownStructures) -> Colour:
    """Bone beyond 25 mm of the shaft darkened, other anatomy muted a little, what decides in its full colour."""
    if name == shown.target:
        return TARGET
    if name in shown.bones:
        dark = 1.0 - 0.45 * float(np.clip((shown.bones[name] - 25.0) / 45.0, 0, 1))
        return mixed((0, 0, 0), context_colour(name), dark)
    colour = anatomy_colour(name)
    return colour if name in shown.deciding or name == shown.ghost else mixed(colour, CONTEXT_BONE, 0.10)


def whole_surface(
    structure: Structure, spacing_mm: float, max_triangles: int, first_try: Surface | None = None
) -> Surface:
    """The surface on a grid of this spacing, or of a half, a quarter... where a thin structure would vanish on it.

    first_try: a surface made of it already.
    """
    assert structure.occupancy is not None and structure.grid is not None
    volume = float(structure.occupancy.sum(dtype=np.float64)) / 255.0 * float(structure.grid.spacing_mm.prod())
    surface = first_try or display_surface(structure, spacing_mm=spacing_mm, max_triangles=max_triangles)
    best = surface
    while abs(surface.volume_mm3) < _KEPT_SHARE * volume and spacing_mm > _FINEST_MM:
        spacing_mm /= 2
        surface = display_surface(structure, spacing_mm=spacing_mm, max_triangles=max_triangles)
        best = max(best, surface, key=lambda one: abs(one.volume_mm3))
    return best


def skin_surface(structures: Mapping[str, Structure], volume: Volume, max_triangles: int = 60_000) -> Surface:
    """The skin around a labelled body, else from the image where that is a CT, else around a labelled skin; else none.

    A label "skin" is often a layer of a voxel or two, too thin for the grid that it is drawn on.
    """
    body = structures.get("body")
    if body is not None and body.occupancy is not None:
        return body_surface(volume, body, spacing_mm=GHOST_MM, max_triangles=max_triangles)
    if volume.quantity == "HU":
        return body_surface(volume, spacing_mm=GHOST_MM, max_triangles=max_triangles)
    skin = structures.get("skin")
    if skin is not None and skin.occupancy is not None:
        return body_surface(volume, skin, spacing_mm=GHOST_MM, max_triangles=max_triangles)
    return EMPTY_SURFACE
