"""The skin as a ghost, painted with what the planner found out about each entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from navplan.model.plan import SkinMap
from navplan.view.colours import anatomy_colour, free_colour, reason_colour
from navplan.view.meshes import PaintedMesh, joined

_DOT_STEP_MM = 6.0


def paint_skin(skin: PaintedMesh, skin_map: SkinMap | None) -> tuple[PaintedMesh, NDArray[np.float64]]:
    """The skin tinted with its map, and how strongly each vertex is painted: (N,) 0 bare, 0.45 excluded, 1 the best."""
    rgb = np.tile(np.asarray(anatomy_colour("skin"), dtype=np.float64), (len(skin.points_mm), 1))
    strength = np.zeros(len(skin.points_mm))
    if skin_map is None or len(skin_map.points_mm) == 0 or len(skin.points_mm) == 0:
        return replace(skin, rgb=rgb), strength
    from scipy.spatial import cKDTree

    tree = cKDTree(skin_map.points_mm)
    reach = _reach_mm(tree, skin_map.points_mm)
    distance, nearest = tree.query(skin.points_mm, distance_upper_bound=1.6 * reach)
    painted = np.isfinite(distance)
    nearest = nearest[painted]
    by_reason = np.array([reason_colour(words) for words in skin_map.reasons] or [(0, 0, 0)], dtype=np.float64)
    free = skin_map.reason[nearest] < 0
    rank = _ranked(skin_map)[nearest]
    rgb[painted] = np.where(free[:, None], free_colour(rank), by_reason[np.maximum(skin_map.reason[nearest], 0)])
    edge = np.clip((1.6 - distance[painted] / reach) / 0.6, 0, 1)
    strength[painted] = np.where(free, 0.6 + 0.4 * rank, 0.45) * edge
    return replace(skin, rgb=rgb), strength


def entry_dots(skin: PaintedMesh, skin_map: SkinMap | None) -> PaintedMesh:
    """A disc for the best candidate of every 6 mm of skin: green by rank where free, else in its blocker's colour."""
    if skin_map is None or len(skin_map.points_mm) == 0 or len(skin.triangles) == 0:
        return joined([])
    from scipy.spatial import cKDTree

    order = np.argsort(-skin_map.desirability, kind="stable")
    cells = np.floor(skin_map.points_mm[order] / _DOT_STEP_MM).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    chosen = order[first]
    used = np.unique(skin.triangles)
    distance, nearest = cKDTree(skin.points_mm[used]).query(skin_map.points_mm[chosen])
    chosen, nearest = chosen[distance < 8.0], used[nearest[distance < 8.0]]
    normals = skin.normals[nearest]
    free = skin_map.reason[chosen] < 0
    rank = _ranked(skin_map)[chosen]
    by_reason = np.array([reason_colour(words) for words in skin_map.reasons] or [(0, 0, 0)], dtype=np.float64)
    rgb = np.where(free[:, None], free_colour(rank), by_reason[np.maximum(skin_map.reason[chosen], 0)])
    radius = np.where(free, 0.9 + 0.8 * rank, 0.65)
    return _discs(skin.points_mm[nearest] + 0.8 * normals, normals, radius, rgb, np.where(free, 0.35 + 0.6 * rank, 0.4))


def _discs(
    centres_mm: NDArray[np.float64],
    normals: NDArray[np.float64],
    radii_mm: NDArray[np.float64],
    rgb: NDArray[np.float64],
    alpha: NDArray[np.float64],
) -> PaintedMesh:
    """Flat discs of ten corners each, facing their normals."""
    if not len(centres_mm):
        return joined([])
    sides = 10
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    first = np.cross(helper, normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normals, first)
    angle = np.arange(sides) * (2 * np.pi / sides)
    around = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
    points = centres_mm[:, None] + radii_mm[:, None, None] * around
    fan = np.stack([np.zeros(sides - 2), np.arange(1, sides - 1), np.arange(2, sides)], axis=1).astype(np.int64)
    triangles = (np.arange(len(centres_mm))[:, None, None] * sides + fan).reshape(-1, 3)
    each = np.repeat(np.arange(len(centres_mm)), sides)
    return PaintedMesh(points.reshape(-1, 3), normals[each], triangles, rgb[each], alpha[each])


def _reach_mm(tree: object, points_mm: NDArray[np.float64]) -> float:
    """How far apart candidates stand: 90th percentile of the distance to the nearest other one, at least 2 mm."""
    if len(points_mm) < 2:
        return 4.0
    some = points_mm[:: max(1, len(points_mm) // 2000)]
    distance, _ = tree.query(some, k=2)  # type: ignore[attr-defined]
    return max(2.0, float(np.percentile(distance[:, 1], 90)))


def _ranked(skin_map: SkinMap) -> NDArray[np.float64]:
    """(N,) desirability stretched so that the best free entry is 1 and the worst 0."""
    free = skin_map.reason < 0
    rank = np.zeros(len(free))
    if free.any():
        values = skin_map.desirability[free].astype(np.float64)
        low, high = float(values.min()), float(values.max())
        rank[free] = (values - low) / (high - low) if high > low else 1.0
    return rank
