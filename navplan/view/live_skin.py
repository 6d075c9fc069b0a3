"""The skin of a live scene: a ghost painted with a map of entries, repainted while a target is dragged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.model.plan import SkinMap
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import anatomy_colour
from navplan.view.live_pick import MeshHits
from navplan.view.meshes import joined, painted
from navplan.view.render import Look, SceneWindow
from navplan.view.scene_meshes import skin_surface
from navplan.view.scene_planes import ImagePlanes, left_before
from navplan.view.skin_paint import SkinPainter, ghost_dots, ghost_skin

_MOST_TRIANGLES = 16_000  # a ghost is smooth; the discs on it say where it is free


class LiveSkin:
    """The skin of one image and the discs of its candidates."""

    def __init__(self, window: SceneWindow) -> None:
        self._drawn, self._dots_drawn = window.add(Look.CLEAR), window.add(Look.CLEAR)
        self._painter = SkinPainter(joined([]), sparse=True)
        self._skin, self._strength = self._painter.tint(None)
        self._dots = self._painter.dots(None)
        self._hits: MeshHits | None = None

    @property
    def triangles(self) -> int:
        """How many are drawn."""
        return len(self._skin.triangles) + len(self._dots.triangles)

    @property
    def is_there(self) -> bool:
        """Whether the image has a skin."""
        return len(self._skin.triangles) > 0

    def open(self, volume: Volume, structures: Mapping[str, Structure]) -> None:
        """Draw the skin of this image, bare. An image in which no body is found has none."""
        skin = painted(skin_surface(structures, volume, _MOST_TRIANGLES), anatomy_colour("skin")).without_idle_points()
        self._painter, self._hits = SkinPainter(skin, sparse=True), None
        self._drawn.set_mesh(skin)
        self.paint(None)

    def paint(self, skin_map: SkinMap | None) -> None:
        """Paint it with a map, or leave it bare."""
        self._skin, self._strength = self._painter.tint(skin_map)
        self._dots = self._painter.dots(skin_map)
        self._dots_drawn.set_mesh(self._dots)

    def look_from(
        self, camera_mm: ArrayLike, seen_mm: NDArray[np.float64], planes: ImagePlanes | None = None
    ) -> None:
        """Denser where it turns away from the camera; bare in front of the points that must be seen (N, 3), fainter in
        front of image planes."""
        alpha = ghost_skin(self._skin, self._strength, camera_mm, seen_mm)
        self._drawn.set_colours(self._skin.rgb, alpha * left_before(planes, self._skin.points_mm, camera_mm))
        if len(self._dots.triangles):
            alpha = ghost_dots(self._dots, camera_mm, seen_mm)
            self._dots_drawn.set_colours(self._dots.rgb, alpha * left_before(planes, self._dots.points_mm, camera_mm))

    def show(self, shown: bool) -> None:
        """Hide it, or show it again."""
        self._drawn.show(shown)
        self._dots_drawn.show(shown)

    def first_hit(self, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(3,) where a line of sight first meets the skin."""
        if self._hits is None:
            self._hits = MeshHits(self._skin)
        points, _ = self._hits.along(start_mm, end_mm)
        return points[0] if len(points) else None
