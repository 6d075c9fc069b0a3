"""Off-screen rendering with VTK, imported here only when a picture is asked for.

Depth peeling and multi-sampling exclude each other: with the default multi-samples translucent surfaces vanish without
a word. So multi-samples are 0 and a picture is rendered larger and averaged down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.view.camera import Camera
from navplan.view.colours import GROUND_HIGH, GROUND_LOW, Colour
from navplan.view.light import fix_lights_to_camera
from navplan.view.meshes import PaintedMesh
from navplan.view.peel_strip import cut_off, strip_layers, without_strip

PEELS = 4  # a chest with 100,000 translucent triangles: 6 differ nowhere from 8, 4 by at most 5 of 255


class Look(Enum):
    """How a mesh is drawn.

    SOLID: opaque anatomy; CLEAR: translucent, by its alpha; SHINY: opaque with strong highlights; HALO: opaque without
    light, turned inside out, so that only its far side is seen; IMAGE: opaque, without light, seen from both sides;
    THROUGH: drawn last, over everything, without light.
    """

    SOLID = "solid"
    CLEAR = "clear"
    SHINY = "shiny"
    HALO = "halo"
    IMAGE = "image"
    THROUGH = "through"


_SPECULAR = {Look.SOLID: 0.14, Look.CLEAR: 0.05, Look.SHINY: 0.9, Look.HALO: 0.0, Look.IMAGE: 0.0, Look.THROUGH: 0.0}


def render(
    camera: Camera,
    size: tuple[int, int],
    *,
    solid: Sequence[PaintedMesh],
    clear: Sequence[PaintedMesh] = (),
    shiny: Sequence[PaintedMesh] = (),
    halos: Sequence[PaintedMesh] = (),
    through: Sequence[PaintedMesh] = (),
    images: Sequence[PaintedMesh] = (),
    ground: tuple[Colour, Colour] = (GROUND_LOW, GROUND_HIGH),
    oversampling: float = 1.5,
) -> NDArray[np.uint8]:
    """A picture (height, width, 3) uint8 of size (width, height) of meshes, each drawn as its Look says."""
    import pyvista

    with _quiet_window_choice():
        plotter = pyvista.Plotter(off_screen=True, lighting="none")
    window = SceneWindow(ground, plotter.render_window, plotter.renderer)
    looks = {
        Look.SOLID: solid, Look.SHINY: shiny, Look.HALO: halos, Look.IMAGE: images, Look.CLEAR: clear,
        Look.THROUGH: through,
    }  # fmt: skip
    for look, meshes in looks.items():
        for mesh in meshes:
            window.add(look).set_mesh(mesh)
    picture = window.draw(camera, size, oversampling=oversampling)
    plotter.close()
    return picture


class SceneWindow:
    """An off-screen window that keeps what it draws, so that a moved camera costs a rendering and nothing else.

    window, renderer: of VTK, made here by default.
    """

    def __init__(
        self, ground: tuple[Colour, Colour] = (GROUND_LOW, GROUND_HIGH), window: Any = None, renderer: Any = None
    ) -> None:
        import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  its classes take the place of the abstract ones
        from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

        with _quiet_window_choice():
            self._window = window or vtkRenderWindow()
        self._base, self._front = renderer or vtkRenderer(), vtkRenderer()
        self._solids: list[DrawnMesh] = []
        self._opaque: list[DrawnMesh] = []
        self._strip: DrawnMesh | None = None
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetAlphaBitPlanes(1)
        self._window.SetNumberOfLayers(2)
        if not self._window.HasRenderer(self._base):
            self._window.AddRenderer(self._base)
        self._front.SetLayer(1)  # painted last, over all else, in its own order
        self._front.SetUseOIT(False)
        self._window.AddRenderer(self._front)
        self._front.SetActiveCamera(self._base.GetActiveCamera())
        low, high = ([value / 255 for value in colour] for colour in ground)
        self._base.SetBackground(low)
        self._base.SetBackground2(high)
        self._base.GradientBackgroundOn()
        for part in (self._base, self._front):
            fix_lights_to_camera(part)

    def add(self, look: Look) -> DrawnMesh:
        """An empty mesh that is drawn from now on."""
        mesh = DrawnMesh(look)
        if look is Look.SOLID:
            self._solids.append(mesh)
        if look not in (Look.CLEAR, Look.THROUGH):
            self._opaque.append(mesh)
        (self._front if look is Look.THROUGH else self._base).AddActor(mesh.actor)
        return mesh

    def draw(
        self,
        camera: Camera,
        size: tuple[int, int],
        *,
        peels: int = PEELS,
        oversampling: float = 1.0,
        smooth_edges: bool = False,
        outsides_only: bool = False,
    ) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 of size (width, height).

        peels: layers of translucent surfaces in their right order; 0: blended in no order, which is quicker and differs
        by 1 of 255 in the mean. oversampling: rendered so much larger and averaged down; smooth_edges: cheaper than
        that (FXAA). outsides_only: what is opaque is not drawn from within, where it is cut open, which is quicker.
        """
        for mesh in self._solids:
            mesh.actor.GetProperty().SetBackfaceCulling(outsides_only)
        active = self._base.GetActiveCamera()
        active.SetPosition(*camera.position_mm)
        active.SetFocalPoint(*camera.focal_mm)
        active.SetViewUp(*camera.up)
        active.SetViewAngle(camera.view_angle_deg)
        self._base.SetUseDepthPeeling(peels > 0)
        self._base.SetMaximumNumberOfPeels(max(peels, 1))
        self._base.SetOcclusionRatio(0.0)
        last_is_empty = not any(actor.GetVisibility() for actor in self._front.GetActors())
        self._front.SetUseFXAA(smooth_edges)  # smooths the whole picture, but is left out where its layer is empty
        self._base.SetUseFXAA(smooth_edges and last_is_empty)
        pixels = (round(size[0] * oversampling), round(size[1] * oversampling))
        stripped = self._stripped(camera, pixels, peels)
        self._window.SetSize(*pixels)
        self._base.ResetCameraClippingRange()
        with _quiet_window_choice():
            self._window.Render()
        picture = _grabbed(self._window)
        if stripped:
            picture = without_strip(picture)
        if picture.shape[:2] == (size[1], size[0]):
            return picture
        from PIL import Image

        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))

    def _stripped(self, camera: Camera, size: tuple[int, int], peels: int) -> bool:
        """Make the strip that keeps peeling going, where image planes stand behind what is translucent."""
        wanted = peels > 0 and any(mesh.look is Look.IMAGE and mesh.drawn for mesh in self._opaque)
        if self._strip is None and not wanted:
            return False
        if self._strip is None:
            self._strip = self.add(Look.CLEAR)
        self._strip.show(wanted)
        if wanted:
            self._strip.set_mesh(strip_layers(camera, size, 2 * peels))
        cut_off([mesh.mapper for mesh in self._opaque], camera if wanted else None, size)
        return wanted

    def close(self) -> None:
        """Give back the window's memory."""
        self._window.Finalize()


class DrawnMesh:
    """A mesh in a SceneWindow. It can be given other points, triangles or colours, be hidden, and be drawn again."""

    def __init__(self, look: Look) -> None:
        from vtkmodules.vtkCommonDataModel import vtkPolyData
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self.look = look
        self._data, self.mapper, self.actor = vtkPolyData(), vtkPolyDataMapper(), vtkActor()
        self.mapper.SetInputData(self._data)
        self.mapper.SetColorModeToDirectScalars()
        self.mapper.SetScalarModeToUsePointFieldData()
        self.mapper.SelectColorArray("colour")
        self.actor.SetMapper(self.mapper)
        unlit, shiny = look in (Look.HALO, Look.IMAGE, Look.THROUGH), look is Look.SHINY
        surface = self.actor.GetProperty()
        surface.SetInterpolationToPhong()
        surface.SetAmbient(1.0 if unlit else 0.5 if shiny else 0.09)
        surface.SetDiffuse(0.0 if unlit else 0.6 if shiny else 0.95)
        surface.SetSpecular(_SPECULAR[look])
        surface.SetSpecularPower(60 if shiny else 22)
        surface.SetBackfaceCulling(look in (Look.HALO, Look.THROUGH))
        if self._translucent:
            self.actor.ForceTranslucentOn()
        self._shown, self._filled = True, False
        self._show()

    def set_mesh(self, mesh: PaintedMesh) -> None:
        """Take the place of what was drawn."""
        from vtkmodules.util.numpy_support import numpy_to_vtk

        self._data.ShallowCopy(polydata(mesh.points_mm, mesh.triangles))
        self._data.GetPointData().SetNormals(numpy_to_vtk(np.ascontiguousarray(mesh.normals, dtype=np.float32)))
        self.set_colours(mesh.rgb, mesh.alpha)
        self._filled = len(mesh.triangles) > 0
        self._show()

    def set_triangles(self, triangles: NDArray[np.int64]) -> None:
        """Draw these triangles (M, 3) of the same points."""
        self._data.SetPolys(_cells(triangles))
        self._filled = len(triangles) > 0
        self._show()

    def set_colours(self, rgb: NDArray[np.floating], alpha: NDArray[np.floating]) -> None:
        """Paint the same points: rgb (N, 3) 0..255, alpha (N,) 0..1, which only translucent looks heed."""
        from vtkmodules.util.numpy_support import numpy_to_vtk

        channels = [rgb, 255 * alpha[:, None]] if self._translucent else [rgb]
        colour = numpy_to_vtk(np.clip(np.round(np.concatenate(channels, axis=1)), 0, 255).astype(np.uint8))
        colour.SetName("colour")
        self._data.GetPointData().AddArray(colour)

    def show(self, shown: bool) -> None:
        """Hide it, or show it again."""
        self._shown = shown
        self._show()

    @property
    def drawn(self) -> bool:
        """Whether there is anything of it to be seen."""
        return self._shown and self._filled

    @property
    def _translucent(self) -> bool:
        return self.look in (Look.CLEAR, Look.THROUGH)

    def _show(self) -> None:
        self.actor.SetVisibility(self.drawn)


def polydata(points_mm: NDArray[np.floating], triangles: NDArray[np.int64]) -> Any:
    """A vtkPolyData of points (N, 3) and triangles (M, 3)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    points, data = vtkPoints(), vtkPolyData()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(points_mm, dtype=np.float32)))
    data.SetPoints(points)
    data.SetPolys(_cells(triangles))
    return data


def _cells(triangles: NDArray[np.int64]) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import VTK_ID_TYPE
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    cells = vtkCellArray()
    corners = np.ascontiguousarray(triangles, dtype=np.int64).ravel()
    cells.SetData(3, numpy_to_vtk(corners, array_type=VTK_ID_TYPE))
    return cells


def _grabbed(window: Any) -> NDArray[np.uint8]:
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

    width, height = window.GetSize()
    pixels = vtkUnsignedCharArray()
    window.GetPixelData(0, 0, width - 1, height - 1, 0, pixels, 0)
    return np.asarray(vtk_to_numpy(pixels).reshape(height, width, 3)[::-1].copy(), dtype=np.uint8)


@contextmanager
def _quiet_window_choice() -> Iterator[None]:
    """VTK tries X first and complains before it takes EGL or OSMesa: warnings are silent meanwhile, errors are not."""
    from vtkmodules.vtkCommonCore import vtkLogger

    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)
