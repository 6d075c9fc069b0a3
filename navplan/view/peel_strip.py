"""A strip at the picture's edge that keeps depth peeling going.

VTK (9.7) ends depth peeling when a pass wrote nothing, and does not count what lies over opaque surfaces. Where these
are behind all that is translucent, as image planes are, only the front-most translucent layer was drawn. So opaque
meshes are cut off two pixels from the picture's left edge, and layers that nobody sees stand there, to be counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.view.camera import Camera
from navplan.view.meshes import PaintedMesh, joined

STRIP_PX = 2
_UNSEEN = 1.0 / 255.0  # alpha
_APART = 2e-3  # of the distance to the focal point


def strip_layers(camera: Camera, size: tuple[int, int], count: int) -> PaintedMesh:
    """So many layers in the strip of a picture of size (width, height), about as far as the focal point."""
    away = float(np.linalg.norm(np.subtract(camera.position_mm, camera.focal_mm)))
    ends = [(x, size[1] / 2 + y) for x, y in ((0.2, -8), (STRIP_PX - 0.2, -8), (STRIP_PX - 0.2, 8), (0.2, 8))]
    sights = np.array([camera.sight(x, y, size) for x, y in ends])
    corners = np.array([(0, 1, 2), (0, 2, 3)])
    normals, dark = np.tile(camera.axes[2], (4, 1)), np.zeros((4, 3))
    return joined(
        [
            PaintedMesh(
                np.asarray(camera.position_mm) + sights * away * (1 + n * _APART), normals, corners, dark,
                np.full(4, _UNSEEN),
            )
            for n in range(count)
        ]
    )  # fmt: skip


def cut_off(mappers: Iterable[Any], camera: Camera | None, size: tuple[int, int]) -> None:
    """Leave the strip of a picture of size (width, height) free of what these mappers draw; None: cut nothing off."""
    from vtkmodules.vtkCommonDataModel import vtkPlane

    for mapper in mappers:
        mapper.RemoveAllClippingPlanes()
        if camera is None:
            continue
        edge, plane = camera.sight(STRIP_PX, size[1] / 2, size), vtkPlane()
        normal = np.cross(edge, camera.axes[1])
        plane.SetOrigin(*camera.position_mm)
        plane.SetNormal(*(normal if normal @ camera.axes[0] > 0 else -normal))
        mapper.AddClippingPlane(plane)


def without_strip(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with what is beside the strip in its place."""
    found = picture.copy()
    found[:, : STRIP_PX + 1] = picture[:, STRIP_PX + 1 : STRIP_PX + 2]
    return found
