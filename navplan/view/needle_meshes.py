"""The needle, its error cone and the gaps to its nearest dangers, as meshes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navplan.model.error_model import ErrorModel
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.trajectory import Trajectory
from navplan.view.camera import Camera
from navplan.view.colours import HALO, NEEDLE, VERDICT_COLOURS, Colour
from navplan.view.meshes import PaintedMesh, ball, joined, repeated, turned_body

END_SIGMAS = 1.6449  # 95 % of a normal distribution lie below it
CONE_SIGMAS = 2.4477  # 95 % of a two-dimensional normal distribution lies within: sqrt(-2 ln 0.05)
CONE_COLOUR: Colour = (150, 205, 255)
ZONE_COLOUR: Colour = (90, 230, 255)  # of no anatomy and no verdict
_LEAST_WIDTH_PX = 3.0
_ROOM_PX = 20.0  # from ring to ring, for rings of full size
_HUB: Colour = (120, 134, 150)


def drawn_radius_mm(trajectory: Trajectory, camera: Camera, height_px: int) -> float:
    """The true radius, or what makes the needle 3 px wide at the depth of the focal point."""
    return max(trajectory.device.radius_mm, 0.5 * _LEAST_WIDTH_PX * camera.millimetres_per_pixel(height_px))


def needle_body(trajectory: Trajectory, radius_mm: float, grow_mm: float = 0.0, colour: Colour = NEEDLE) -> PaintedMesh:
    """From hub to tip with its point; grow_mm: thicker and longer by this (for the halo)."""
    hub = min(0.0, trajectory.tip_depth_mm - trajectory.device.length_mm)
    tip, radius = trajectory.tip_depth_mm, radius_mm + grow_mm
    depths = [hub, hub, tip - 3.0 * radius_mm, tip + grow_mm]
    return turned_body(
        trajectory.entry_mm, trajectory.direction, depths, [0, radius, radius, 0.15 * radius], colour,
        inside_out=grow_mm > 0,
    )  # fmt: skip


def needle_hub(trajectory: Trajectory, radius_mm: float) -> PaintedMesh:
    """The hub at the needle's outer end, as a plain grip."""
    end = min(0.0, trajectory.tip_depth_mm - trajectory.device.length_mm)
    grip = max(2.6, 2.0 * radius_mm)
    depths = [end - 16.0, end - 16.0, end - 4.0, end, end]
    return turned_body(trajectory.entry_mm, trajectory.direction, depths, [0, grip, grip, 0.5 * grip, 0], _HUB)


def throw_body(trajectory: Trajectory, radius_mm: float, colour: Colour) -> PaintedMesh:
    """What the tip sweeps when the device fires: thinner than the needle, from tip to swept end."""
    depths = [trajectory.tip_depth_mm, trajectory.swept_depth_mm]
    return turned_body(trajectory.entry_mm, trajectory.direction, depths, [0.6 * radius_mm, 0.45 * radius_mm], colour)


def depth_ticks(trajectory: Trajectory, radius_mm: float, pixel_mm: float) -> tuple[PaintedMesh, PaintedMesh]:
    """Rings every 10 mm below the skin, every fifth larger; with their dark edges. Smaller where they would touch."""
    depths: NDArray[np.float64] = np.arange(0.0, trajectory.tip_depth_mm - 2.0, 10.0)
    fifth = np.arange(len(depths)) % 5 == 0
    pixel_mm *= float(np.clip(10.0 / pixel_mm / _ROOM_PX, 0.3, 1.0))
    thick = 1.3 * pixel_mm
    rings: list[PaintedMesh] = []
    edges: list[PaintedMesh] = []
    for chosen, tall_px in ((fifth, 6.5), (~fifth, 4.0)):
        offsets, tall = depths[chosen, None] * trajectory.direction, radius_mm + pixel_mm * tall_px
        for half, height, colour, found in (
            (thick, tall, NEEDLE, rings),
            (2.2 * thick, tall + 1.3 * pixel_mm, HALO, edges),
        ):
            profile = [-half, -half, half, half]
            radii = [0.0, height, height, 0.0]
            inward = found is edges
            ring = turned_body(trajectory.entry_mm, trajectory.direction, profile, radii, colour, inside_out=inward)
            found.append(repeated(ring, offsets))
    return joined(rings), joined(edges)


def error_cone(trajectory: Trajectory, error_model: ErrorModel) -> PaintedMesh:
    """The surface that holds 95 % of needles at each depth, from the skin to the swept end, or as deep as 95 % of them
    get where the depth of the stop is uncertain."""
    deepest_mm = trajectory.swept_depth_mm + END_SIGMAS * error_model.depth_sigma_mm
    depths: NDArray[np.float64] = np.linspace(0.0, deepest_mm, 24)
    radii = CONE_SIGMAS * error_model.sigma_mm(depths)
    return turned_body(trajectory.entry_mm, trajectory.direction, depths, radii, CONE_COLOUR, sides=64)


def zone_shell(planned: PlannedMargin) -> PaintedMesh:
    """The surface of the derated ablation zone, an ellipsoid of revolution."""
    turn = np.linspace(0.0, np.pi, 33)
    depths, radii = -planned.along_mm * np.cos(turn), planned.across_mm * np.sin(turn)
    return turned_body(planned.centre_mm, planned.direction, depths, radii, ZONE_COLOUR, sides=64)


def gap_lines(findings: Sequence[Finding], pixel_mm: float) -> PaintedMesh:
    """A line from the needle to each nearest point, with a dot at both ends, in the verdict's colour."""
    parts = []
    for finding in findings:
        if finding.nearest_mm is None or finding.needle_mm is None:
            continue
        start, end = np.asarray(finding.needle_mm), np.asarray(finding.nearest_mm)
        length = float(np.linalg.norm(end - start))
        colour = VERDICT_COLOURS[finding.verdict]
        if length > 1e-6:
            line = [0.0, length]
            for width, tint in ((3.4, HALO), (2.0, colour)):
                parts.append(
                    turned_body(
                        start, (end - start) / length, line, [width * pixel_mm] * 2, tint, 12, inside_out=tint is HALO
                    )
                )
        parts += [
            ball(end, 5.2 * pixel_mm, HALO),
            ball(end, 3.8 * pixel_mm, colour),
            ball(start, 2.6 * pixel_mm, colour),
        ]
    return joined(parts)
