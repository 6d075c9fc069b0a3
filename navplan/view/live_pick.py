"""Where a line of sight meets a mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.view.meshes import PaintedMesh

_TOLERANCE_MM = 1e-3


class MeshHits:
    """A mesh that is asked many times, through a search tree over its triangles."""

    def __init__(self, mesh: PaintedMesh) -> None:
        from vtkmodules.vtkCommonDataModel import vtkStaticCellLocator

        from navplan.view.render import polydata

        self._locator = vtkStaticCellLocator()
        self._empty = len(mesh.triangles) == 0
        self._locator.SetDataSet(polydata(mesh.points_mm, mesh.triangles))
        if not self._empty:
            self._locator.BuildLocator()

    def along(self, start_mm: ArrayLike, end_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points (K, 3) where a line between two points meets the mesh, nearest first, and the triangles (K,)."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkIdList, vtkPoints

        points, cells = vtkPoints(), vtkIdList()
        points.SetDataTypeToDouble()
        start, end = np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64)
        if self._empty or not self._locator.IntersectWithLine(
            start.tolist(), end.tolist(), _TOLERANCE_MM, points, cells
        ):
            return np.zeros((0, 3)), np.zeros(0, dtype=np.int64)
        found = np.array(vtk_to_numpy(points.GetData()), dtype=np.float64)
        triangles = np.array([cells.GetId(place) for place in range(cells.GetNumberOfIds())], dtype=np.int64)
        order = np.argsort(np.linalg.norm(found - start, axis=1), kind="stable")
        return found[order], triangles[order]
