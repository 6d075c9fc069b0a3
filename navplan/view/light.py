"""Light: three lights fixed to the camera, and occlusion baked into the colour of each vertex."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.grid import Grid
from navplan.model.structure import Structure

# Direction towards the light in the camera's frame (right, up, towards the viewer), intensity, colour.
_LIGHTS: tuple[tuple[tuple[float, float, float], float, tuple[float, float, float]], ...] = (
    ((-0.60, 0.75, 0.75), 0.80, (1.0, 0.965, 0.91)),  # warm key from the upper left
    ((0.90, 0.10, 0.55), 0.30, (0.80, 0.90, 1.0)),  # cool fill from the right
    ((0.0, 0.0, 1.0), 0.20, (1.0, 1.0, 1.0)),  # headlight
)
_REACHES_MM = (3.0, 8.0)  # blur of the occupancy: creases, and the shade of whole neighbours
_STRENGTHS = (0.60, 0.75)


def fix_lights_to_camera(renderer: Any) -> None:
    """Replace the lights of a vtkRenderer by the three of the house."""
    from vtkmodules.vtkRenderingCore import vtkLight

    renderer.RemoveAllLights()
    renderer.AutomaticLightCreationOff()
    for direction, intensity, colour in _LIGHTS:
        light = vtkLight()
        light.SetLightTypeToCameraLight()
        light.SetPosition(*direction)
        light.SetFocalPoint(0, 0, 0)
        light.SetIntensity(intensity)
        light.SetColor(*colour)
        renderer.AddLight(light)


class OcclusionField:
    """How much solid anatomy lies around a place, on a cubic grid about a centre.

    structures: what casts shade; centre_mm (3,) LPS, radius_mm: half the side of the cube; spacing_mm: of its grid.
    """

    def __init__(
        self, structures: Iterable[Structure], centre_mm: ArrayLike, radius_mm: float, spacing_mm: float = 2.5
    ) -> None:
        from scipy.ndimage import gaussian_filter

        side = int(np.ceil(2 * radius_mm / spacing_mm)) + 1
        affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        affine[:3, 3] = np.asarray(centre_mm, dtype=float) - radius_mm
        self.grid = Grid(affine, (side, side, side))
        solid = np.zeros(self.grid.shape, dtype=np.float32)
        for structure in structures:
            _add_occupancy(solid, self.grid, structure)
        np.clip(solid, 0, 1, out=solid)
        self.solid = solid
        self._blurred = [gaussian_filter(solid, reach / spacing_mm, truncate=2.5) for reach in _REACHES_MM]

    def shade(self, points_mm: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) factor 0.25..1 for the colour at points (N, 3) with outward unit normals (N, 3)."""
        from scipy.ndimage import map_coordinates

        lit = np.ones(len(points_mm))
        for blurred, reach, strength in zip(self._blurred, _REACHES_MM, _STRENGTHS, strict=True):
            ahead = self.grid.indices(points_mm + 1.3 * reach * normals)
            found = map_coordinates(blurred, ahead.T, order=1, mode="constant")
            # A flat wall still gives 0.10 at 1.3 sigma in front of it: only what exceeds that is a neighbour.
            lit *= 1.0 - strength * np.clip((found - 0.08) / 0.62, 0.0, 1.0)
        return np.clip(lit, 0.25, 1.0)


def _add_occupancy(solid: NDArray[np.float32], grid: Grid, structure: Structure) -> None:
    """Add a structure's occupancy 0..1, averaged over the cells of an axis-parallel grid."""
    if structure.occupancy is None or structure.grid is None:
        return
    step = np.maximum(1, np.floor(0.5 * grid.spacing_mm / structure.grid.spacing_mm)).astype(int)
    occupancy = structure.occupancy[:: step[0], :: step[1], :: step[2]]
    filled = np.argwhere(occupancy > 0)
    cells = np.round(grid.indices(structure.grid.points_mm(filled * step))).astype(int)
    inside = ((cells >= 0) & (cells < grid.shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(cells[inside].T), grid.shape)
    share = float((structure.grid.spacing_mm * step).prod() / grid.spacing_mm.prod())
    weights = occupancy[tuple(filled[inside].T)] / 255.0 * share
    solid += np.bincount(flat, weights, minlength=solid.size).reshape(solid.shape).astype(np.float32)
