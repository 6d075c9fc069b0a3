"""Off-screen rendering with PyVista, imported here only when a picture is asked for.

Depth peeling and multi-sampling exclude each other: with the default multi-samples translucent surfaces vanish without
a word. So multi-samples are 0 and a picture is rendered larger and averaged down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.view.camera import Camera
from navplan.view.colours import GROUND_HIGH, GROUND_LOW, Colour
from navplan.view.light import fix_lights_to_camera
from navplan.view.meshes import PaintedMesh

_PEELS = 4  # a chest with 100,000 translucent triangles: 6 differ nowhere from 8, 4 by at most 5 of 255


def render(
    camera: Camera,
    size: tuple[int, int],
    *,
    solid: Sequence[PaintedMesh],
    clear: Sequence[PaintedMesh] = (),
    shiny: Sequence[PaintedMesh] = (),
    halos: Sequence[PaintedMesh] = (),
    through: Sequence[PaintedMesh] = (),
    ground: tuple[Colour, Colour] = (GROUND_LOW, GROUND_HIGH),
    oversampling: float = 1.5,
) -> NDArray[np.uint8]:
    """A picture (height, width, 3) uint8 of size (width, height).

    solid: opaque anatomy; clear: translucent, by its alpha; shiny: opaque with strong highlights; halos: opaque without
    light, turned inside out, so that only their far side is seen; through: drawn last, over everything, without light.
    """
    import pyvista
    from vtkmodules.vtkRenderingCore import vtkRenderer

    with _quiet_window_choice():
        window_size = [round(size[0] * oversampling), round(size[1] * oversampling)]
        plotter = pyvista.Plotter(off_screen=True, window_size=window_size, lighting="none")
        base, window = plotter.renderer, plotter.render_window
        window.SetMultiSamples(0)
        window.SetAlphaBitPlanes(1)
        window.SetNumberOfLayers(2)
        low, high = ([value / 255 for value in colour] for colour in ground)
        plotter.set_background(low, top=high)
        front = vtkRenderer()  # a layer that is painted last, over all else, in its own order
        front.SetLayer(1)
        front.SetUseOIT(False)
        window.AddRenderer(front)
        _aim(base, camera)
        front.SetActiveCamera(base.GetActiveCamera())
        plotter.enable_depth_peeling(_PEELS, 0.0)
        for renderer in (base, front):
            fix_lights_to_camera(renderer)
        for mesh in solid:
            _add(base, mesh, specular=0.14)
        for mesh in shiny:
            _add(base, mesh, specular=0.9)
        for mesh in halos:
            _add(base, mesh, unlit=True, cull="back")
        for mesh in clear:
            _add(base, mesh, specular=0.05, translucent=True)
        for mesh in through:
            _add(front, mesh, unlit=True, translucent=True, cull="back")
        base.ResetCameraClippingRange()
        window.Render()
        picture = _grabbed(window)
        plotter.close()
    if picture.shape[:2] == (size[1], size[0]):
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _aim(renderer: Any, camera: Camera) -> None:
    active = renderer.GetActiveCamera()
    active.SetPosition(*camera.position_mm)
    active.SetFocalPoint(*camera.focal_mm)
    active.SetViewUp(*camera.up)
    active.SetViewAngle(camera.view_angle_deg)


def _add(
    renderer: Any,
    mesh: PaintedMesh,
    specular: float = 0.0,
    unlit: bool = False,
    translucent: bool = False,
    cull: str = "",
) -> None:
    if len(mesh.triangles) == 0:
        return
    import pyvista

    data = pyvista.PolyData.from_regular_faces(mesh.points_mm.astype(np.float32), mesh.triangles)
    data.GetPointData().SetNormals(pyvista.convert_array(np.ascontiguousarray(mesh.normals, dtype=np.float32)))
    channels = [mesh.rgb, 255 * mesh.alpha[:, None]] if translucent else [mesh.rgb]
    data.point_data["colour"] = np.clip(np.round(np.concatenate(channels, axis=1)), 0, 255).astype(np.uint8)
    mapper = pyvista.DataSetMapper(data)
    mapper.SetColorModeToDirectScalars()
    mapper.SetScalarModeToUsePointFieldData()
    mapper.SelectColorArray("colour")
    actor = pyvista.Actor(mapper)
    look = actor.GetProperty()
    look.SetInterpolationToPhong()
    look.SetAmbient(1.0 if unlit else 0.5 if specular > 0.5 else 0.09)
    look.SetDiffuse(0.0 if unlit else 0.6 if specular > 0.5 else 0.95)
    look.SetSpecular(0.0 if unlit else specular)
    look.SetSpecularPower(60 if specular > 0.5 else 22)
    look.SetFrontfaceCulling(cull == "front")
    look.SetBackfaceCulling(cull == "back")
    if translucent:
        actor.ForceTranslucentOn()
    renderer.AddActor(actor)


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
