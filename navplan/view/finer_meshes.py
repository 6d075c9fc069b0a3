"""Surfaces with shorter edges: what is painted or faded at the corners of triangles needs corners where it changes."""

from __future__ import annotations

import numpy as np

from navplan.imaging.surfaces import Surface
from navplan.view.render import polydata


def with_short_edges(surface: Surface, longest_mm: float) -> Surface:
    """The same surface, its edges halved until none is longer: what is cut away is found at the corners of triangles,
    and a decimated one may be so large that none of its corners lies where it has to be cut."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkFiltersModeling import vtkAdaptiveSubdivisionFilter

    if not len(surface.triangles):
        return surface
    data = polydata(surface.points_mm, surface.triangles)
    data.GetPointData().SetNormals(numpy_to_vtk(np.ascontiguousarray(surface.normals, dtype=np.float32)))
    halving = vtkAdaptiveSubdivisionFilter()
    halving.SetInputData(data)
    halving.SetMaximumEdgeLength(longest_mm)
    halving.SetMaximumTriangleArea(longest_mm**2)
    halving.Update()
    found = halving.GetOutput()
    normals = vtk_to_numpy(found.GetPointData().GetNormals()).astype(np.float64)
    return Surface(
        vtk_to_numpy(found.GetPoints().GetData()).astype(np.float64),
        normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9),
        vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64),
    )
