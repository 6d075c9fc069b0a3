"""The skin as a ghost, painted with what the planner found out about each entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.model.plan import SkinMap
from navplan.view.colours import anatomy_colour, free_colour, reason_colour
from navplan.view.meshes import PaintedMesh, cutaway, ghost, joined

_DOT_STEP_MM = 6.0
_ON_SKIN_MM = 8.0  # a candidate farther from the drawn skin has no disc


class SkinPainter:
    """Paints one skin with one map after another; where the candidates lie on it is found out once for the same points.

    skin: its points, normals and triangles; sparse: fewer and simpler discs where entries are ruled out.
    """

    def __init__(self, skin: PaintedMesh, sparse: bool = False) -> None:
        self.skin, self._sparse = skin, sparse
        self._bare = np.tile(np.asarray(anatomy_colour("skin"), dtype=np.float64), (len(skin.points_mm), 1))
        self._used: NDArray[np.int64] = np.unique(skin.triangles)
        self._places: _Places | None = None

    def tint(self, skin_map: SkinMap | None) -> tuple[PaintedMesh, NDArray[np.float64]]:
        """The skin tinted with a map, and how strongly each vertex is painted: (N,) 0 bare, .45 excluded, 1 best."""
        rgb, strength = self._bare.copy(), np.zeros(len(self._bare))
        places = self._found(skin_map)
        if skin_map is None or places is None:
            return replace(self.skin, rgb=rgb), strength
        nearest = places.nearest
        free = skin_map.reason[nearest] < 0
        rank = _ranked(skin_map)[nearest]
        rgb[places.painted] = np.where(free[:, None], free_colour(rank), _by_reason(skin_map)[skin_map.reason[nearest]])
        strength[places.painted] = np.where(free, 0.6 + 0.4 * rank, 0.45) * places.edge
        return replace(self.skin, rgb=rgb), strength

    def dots(self, skin_map: SkinMap | None) -> PaintedMesh:
        """A disc for the best candidate of every 6 mm of skin: green by rank if free, else in its blocker's colour."""
        places = self._found(skin_map)
        if skin_map is None or places is None:
            return joined([])
        chosen = places.best_of_each_cell(np.where(skin_map.reason < 0, skin_map.desirability, np.float32(-1)))
        rank = _ranked(skin_map)
        free, shut = chosen[skin_map.reason[chosen] < 0], chosen[skin_map.reason[chosen] >= 0]
        colours = _by_reason(skin_map)
        if self._sparse:
            shut = shut[places.every_other[shut]]
        return joined(
            [
                self._discs(places, free, 0.9 + 0.8 * rank[free], free_colour(rank[free]), 0.35 + 0.6 * rank[free], 10),
                self._discs(
                    places, shut, np.full(len(shut), 0.65), colours[skin_map.reason[shut]], np.full(len(shut), 0.4),
                    6 if self._sparse else 10,
                ),
            ]
        )  # fmt: skip

    def _discs(
        self,
        places: _Places,
        chosen: NDArray[np.int64],
        radii_mm: NDArray[np.float64],
        rgb: NDArray[np.float64],
        alpha: NDArray[np.float64],
        sides: int,
    ) -> PaintedMesh:
        vertices = self._used[places.vertex[chosen]]
        normals = self.skin.normals[vertices]
        return _discs(self.skin.points_mm[vertices] + 0.8 * normals, normals, radii_mm, rgb, alpha, sides)

    def _found(self, skin_map: SkinMap | None) -> _Places | None:
        if skin_map is None or len(skin_map.points_mm) == 0 or len(self._used) == 0:
            return None
        if self._places is None or not np.array_equal(self._places.points_mm, skin_map.points_mm):
            self._places = _Places(skin_map.points_mm, self.skin.points_mm, self._used)
        return self._places


class _Places:
    """How candidates and a skin's vertices lie to each other.

    painted (V,): vertices that have a candidate near; nearest (P,), edge (P,): that candidate, and 0..1 how fully it
    paints; vertex (N,): the vertex nearest to each candidate, of those in use; every_other (N,): a chequered half.
    """

    def __init__(
        self, points_mm: NDArray[np.float64], vertices_mm: NDArray[np.float64], used: NDArray[np.int64]
    ) -> None:
        from scipy.spatial import cKDTree

        self.points_mm = points_mm.copy()
        tree = cKDTree(points_mm)
        reach = _reach_mm(tree, points_mm)
        distance, nearest = tree.query(vertices_mm, distance_upper_bound=1.6 * reach)
        self.painted = np.isfinite(distance)
        self.nearest = nearest[self.painted]
        self.edge = np.clip((1.6 - distance[self.painted] / reach) / 0.6, 0, 1)
        distance, self.vertex = cKDTree(vertices_mm[used]).query(points_mm)
        on_skin = np.flatnonzero(distance < _ON_SKIN_MM)
        cells = np.floor(points_mm / _DOT_STEP_MM).astype(np.int64)
        self.every_other = cells.sum(axis=1) % 2 == 0
        order = on_skin[np.lexsort(cells[on_skin].T)]
        self._by_cell = order
        new = np.ones(len(order), dtype=bool)
        new[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
        self._starts = np.flatnonzero(new)
        self._cell = np.cumsum(new) - 1

    def best_of_each_cell(self, desirability: NDArray[np.float32]) -> NDArray[np.int64]:
        """The first of the most desirable candidates of each cell, of those on the skin."""
        if not len(self._by_cell):
            return self._by_cell
        values = desirability[self._by_cell]
        best = np.flatnonzero(values == np.maximum.reduceat(values, self._starts)[self._cell])
        _, first = np.unique(self._cell[best], return_index=True)
        return self._by_cell[best[first]]


def ghost_skin(
    skin: PaintedMesh, strength: NDArray[np.float64], camera_mm: ArrayLike, seen_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) alpha of the skin as a ghost: more where it is painted, but for the sight lines to what must be seen."""
    bare = ghost(skin, camera_mm, 0.03, 0.30).alpha
    return np.clip(bare + 0.13 * strength * cutaway(skin.points_mm, camera_mm, seen_mm, 26.0, 0.0), 0, 1)


def ghost_dots(dots: PaintedMesh, camera_mm: ArrayLike, seen_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) alpha of the discs, but for the sight lines to what must be seen."""
    return dots.alpha * cutaway(dots.points_mm, camera_mm, seen_mm, 22.0, 0.0)


def _discs(
    centres_mm: NDArray[np.float64],
    normals: NDArray[np.float64],
    radii_mm: NDArray[np.float64],
    rgb: NDArray[np.float64],
    alpha: NDArray[np.float64],
    sides: int,
) -> PaintedMesh:
    """Flat discs of so many corners each, facing their normals."""
    if not len(centres_mm):
        return joined([])
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


def _reach_mm(tree: Any, points_mm: NDArray[np.float64]) -> float:
    """How far apart candidates stand: 90th percentile of the distance to the nearest other one, at least 2 mm."""
    if len(points_mm) < 2:
        return 4.0
    some = points_mm[:: max(1, len(points_mm) // 2000)]
    distance, _ = tree.query(some, k=2)
    return max(2.0, float(np.percentile(distance[:, 1], 90)))


def _by_reason(skin_map: SkinMap) -> NDArray[np.float64]:
    """(R, 3) the colour of each reason; (1, 3) black where there is none."""
    return np.array([reason_colour(words) for words in skin_map.reasons] or [(0, 0, 0)], dtype=np.float64)


def _ranked(skin_map: SkinMap) -> NDArray[np.float64]:
    """(N,) desirability stretched so that the best free entry is 1 and the worst 0."""
    free = skin_map.reason < 0
    rank = np.zeros(len(free))
    if free.any():
        values = skin_map.desirability[free].astype(np.float64)
        low, high = float(values.min()), float(values.max())
        rank[free] = (values - low) / (high - low) if high > low else 1.0
    return rank
