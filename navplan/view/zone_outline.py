"""An ablation's zone in a slice: the derated zone, which has to cover the tumour, as a solid line; the whole one, which
has to spare the neighbours, dashed.

A plane cuts an ellipsoid in an ellipse. With offsets x = (right, down) in the plane and w from the zone's centre to the
plane's, (w + B x)^T M (w + B x) = 1 is x^T G x + 2 g.x + c = 0, whose middle is -G^-1 g.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import Finding, PlannedMargin, Verdict
from navplan.model.trajectory import Trajectory
from navplan.view.needle_meshes import ZONE_COLOUR

if TYPE_CHECKING:
    from PIL import ImageDraw

    from navplan.view.slices import SlicePlane

SIDES = 180
LINE_PX, HALO_PX, DASH_PX, GAP_PX = 2.4, 1.4, 9.0, 6.0
ZONE_WORDS = "ablation zone: solid, derated, to cover the target; dashed, whole, to spare the neighbours"


def middle_depth_mm(planned: PlannedMargin, way: Trajectory) -> float:
    """How deep below the skin the zone's middle lies, along the needle."""
    return float(np.subtract(planned.centre_mm, way.entry_mm) @ way.direction)


def beside_zone(findings: Sequence[Finding], planned: PlannedMargin | None) -> tuple[Finding, ...]:
    """Of the needle's clearances those that are drawn as rings: beside a zone only what does not pass, as one would
    take a wide ring for what is heated."""
    return tuple(one for one in findings if planned is None or one.verdict is not Verdict.PASS)


def zone_outline(planned: PlannedMargin, plane: SlicePlane, whole: bool = False) -> NDArray[np.float64]:
    """(SIDES + 1, 3) LPS mm, closed, where a plane cuts the derated zone, or the whole one; (0, 3) where it does not,
    or where its size is not told."""
    along, across = (
        (planned.whole_along_mm, planned.whole_across_mm) if whole else (planned.along_mm, planned.across_mm)
    )
    if min(along, across) <= 0.0:
        return np.zeros((0, 3))
    axis = np.asarray(planned.direction, dtype=np.float64)
    shape = np.outer(axis, axis) / along**2 + (np.eye(3) - np.outer(axis, axis)) / across**2
    basis = np.column_stack([plane.right, plane.down])
    offset = np.asarray(plane.centre_mm) - np.asarray(planned.centre_mm)
    across_plane, slope = basis.T @ shape @ basis, basis.T @ shape @ offset
    middle = -np.linalg.solve(across_plane, slope)
    size = 1.0 - float(offset @ shape @ offset) + float(middle @ across_plane @ middle)
    if size <= 0.0:
        return np.zeros((0, 3))
    turn = np.linspace(0.0, 2.0 * np.pi, SIDES + 1)
    circle = np.sqrt(size) * np.stack([np.cos(turn), np.sin(turn)])
    found = middle[:, None] + np.linalg.solve(np.linalg.cholesky(across_plane).T, circle)
    return np.asarray(np.asarray(plane.centre_mm) + (basis @ found).T)


def draw_zone(
    draw: ImageDraw.ImageDraw,
    plane: SlicePlane,
    planned: PlannedMargin,
    size: tuple[int, int],
    millimetres_per_pixel: float,
    finer: int,
) -> None:
    """Both zones on a picture of size (width, height) px that is drawn `finer` times as large."""
    for whole in (True, False):
        outline = zone_outline(planned, plane, whole)
        if not len(outline):
            continue
        seen = (plane.pixels(outline, size, millimetres_per_pixel)[:, :2] + 0.5) * finer
        for line in dashes(seen, DASH_PX * finer, GAP_PX * finer) if whole else [seen]:
            points = [(float(x), float(y)) for x, y in line]
            draw.line(points, fill=(0, 0, 0, 150), width=round((LINE_PX + HALO_PX) * finer), joint="curve")
            draw.line(points, fill=(*ZONE_COLOUR, 255), width=round(LINE_PX * finer), joint="curve")


def dashes(line: NDArray[np.float64], dash: float, gap: float) -> list[NDArray[np.float64]]:
    """Pieces (K, 2) of a line (N, 2), each `dash` long and at least `gap` apart, in equal parts of the whole."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(int(at[-1] // (dash + gap)), 1)
    period = at[-1] / count
    found = []
    for start in np.arange(count) * period:
        end = start + dash * period / (dash + gap)
        places = np.concatenate([[start], at[(at > start) & (at < end)], [end]])
        found.append(np.stack([np.interp(places, at, line[:, n]) for n in range(2)], axis=1))
    return found
