"""The needle of a live scene, with its error cone, its marks and the lines to the nearest dangers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.model.error_model import ErrorModel
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.trajectory import Trajectory
from navplan.view.camera import Camera
from navplan.view.colours import TARGET
from navplan.view.meshes import ball
from navplan.view.render import Look, SceneWindow
from navplan.view.scene_meshes import NeedleMeshes, must_be_seen, needle_meshes

_AIM_MM, _AIM_PX = 2.5, 4.0
ZOOMED = 1e-3  # from this share on, what is as wide as some pixels is made anew


class LiveNeedle:
    """One way, or none. It is made anew when it has moved or the picture's scale has changed."""

    def __init__(self, window: SceneWindow) -> None:
        self._shiny, self._halos = window.add(Look.SHINY), window.add(Look.HALO)
        self._cone, self._aim = window.add(Look.CLEAR), window.add(Look.SOLID)
        self._rim, self._hidden, self._gaps = (window.add(Look.THROUGH) for _ in range(3))
        self._way: tuple[Trajectory, ErrorModel, tuple[Finding, ...]] | None = None
        self._zone: PlannedMargin | None = None
        self._target_mm: NDArray[np.float64] | None = None
        self._meshes: NeedleMeshes | None = None
        self._pixel_mm = 0.0

    def show(
        self,
        way: Trajectory,
        error_model: ErrorModel,
        nearest: tuple[Finding, ...],
        target_mm: NDArray[np.float64] | None,
        zone: PlannedMargin | None = None,
    ) -> None:
        """Draw a way. nearest: with lines to these; target_mm: points (N, 3) of the drawn target, None where none is
        drawn: the point aimed at is marked then; zone: an ablation's, as it was judged for this way."""
        self._zone = zone
        self._way, self._target_mm, self._meshes = (way, error_model, nearest), target_mm, None
        self._set_shown(True)

    def hide(self) -> None:
        """Draw no way."""
        self._way = self._target_mm = self._meshes = None
        self._set_shown(False)

    @property
    def must_be_seen_mm(self) -> NDArray[np.float64]:
        """(N, 3) what the anatomy has to leave free."""
        if self._way is None:
            return np.zeros((0, 3))
        return must_be_seen(self._way[0], self._way[2], self._target_mm)

    def look_from(self, camera: Camera, height_px: int) -> None:
        """Wide enough for a picture of this height, the cone's rim towards the camera."""
        if self._way is None:
            return
        pixel = camera.millimetres_per_pixel(height_px)
        if self._meshes is None or abs(pixel / self._pixel_mm - 1) > ZOOMED:
            self._make(camera, height_px, pixel)
        assert self._meshes is not None
        for drawn, mesh in (
            (self._cone, self._meshes.cone_inside(camera.position_mm)),
            (self._rim, self._meshes.cone_in_front(camera.position_mm)),
        ):
            drawn.set_colours(mesh.rgb, mesh.alpha)

    def _make(self, camera: Camera, height_px: int, pixel_mm: float) -> None:
        assert self._way is not None
        self._meshes, self._pixel_mm = needle_meshes(*self._way, camera, height_px, self._zone), pixel_mm
        for drawn, mesh in (
            (self._shiny, self._meshes.shiny), (self._halos, self._meshes.halos), (self._cone, self._meshes.cone),
            (self._rim, self._meshes.cone), (self._hidden, self._meshes.hidden), (self._gaps, self._meshes.gaps),
        ):  # fmt: skip
            drawn.set_mesh(mesh)
        self._aim.set_mesh(ball(self._way[0].target_mm, max(_AIM_MM, _AIM_PX * pixel_mm), TARGET))
        self._aim.show(self._target_mm is None)

    def _set_shown(self, shown: bool) -> None:
        for drawn in (self._shiny, self._halos, self._cone, self._rim, self._hidden, self._gaps, self._aim):
            drawn.show(shown)
