"""A second image in a live scene: its planes, what was carried from it, where it takes up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.view.meshes import ghost, joined
from navplan.view.render import Look, SceneWindow
from navplan.view.scene_carried import UPTAKE_ALPHA, UPTAKE_RIM
from navplan.view.scene_fusion import FusedScene
from navplan.view.scene_planes import ImagePlanes


class LiveFusion:
    """Nothing is drawn before `show`."""

    def __init__(self, window: SceneWindow) -> None:
        self._planes, self._carried = window.add(Look.IMAGE), window.add(Look.CLEAR)
        self._uptake = window.add(Look.CLEAR)
        self.fused: FusedScene | None = None

    @property
    def planes(self) -> ImagePlanes | None:
        """Those that are drawn."""
        return None if self.fused is None else self.fused.planes

    def show(self, fused: FusedScene | None) -> None:
        """Draw this, and nothing of what was drawn before; None: nothing."""
        self.fused = fused
        empty = joined([])
        self._planes.set_mesh(fused.planes.mesh if fused is not None else empty)
        self._carried.set_mesh(joined(fused.carried) if fused is not None else empty)
        self._uptake.set_mesh(fused.uptake if fused is not None and fused.uptake is not None else empty)

    def look_from(self, camera_mm: NDArray[np.float64]) -> None:
        """The surface of uptake, denser where it turns away from the camera."""
        if self.fused is not None and self.fused.uptake is not None and len(self.fused.uptake.triangles):
            seen = ghost(self.fused.uptake, camera_mm, UPTAKE_ALPHA, UPTAKE_RIM)
            self._uptake.set_colours(seen.rgb, seen.alpha)
