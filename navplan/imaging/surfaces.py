"""Surfaces for looking at, made from occupancy. They are smoothed, so no margin is ever measured on them.

A label drawn on thick slices has steps as high as a slice. They go because the surface is not taken from the label but
from a signed distance in each slice, interpolated between slices (shape-based interpolation: Raya and Udupa, IEEE Trans
Med Imaging 1990;9:32-42), smoothed equally in all directions, and cut at the level that keeps the label's volume.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.shares_fit import fitted_to_shares
from navplan.model.structure import Structure

_KEPT_SURFACES = 256
_kept: OrderedDict[tuple[Any, ...], Surface] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed triangle mesh: points_mm (N, 3) LPS, normals (N, 3) outward units, triangles (M, 3) indices."""

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    triangles: NDArray[np.int64]

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume by the divergence theorem; negative where the triangles turn inward."""
        a, b, c = (self.points_mm[self.triangles[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


EMPTY_SURFACE = Surface(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))


def display_surface(
    structure: Structure,
    *,
    spacing_mm: float = 1.0,
    max_triangles: int = 40_000,
    centre_mm: ArrayLike | None = None,
    radius_mm: float | None = None,
) -> Surface:
    """The smooth surface of a present structure, or of its part inside a box of half-width radius_mm around centre_mm.

    spacing_mm: of the isotropic grid that the surface is cut from; max_triangles: decimated to at most this.
    A part that the box leaves out is closed with a flat cap. An empty part gives a surface without points.

    Raises InputError for a structure without voxels, or spacing_mm <= 0.
    """
    if structure.occupancy is None or structure.grid is None:
        raise InputError(f"the surface of {structure.name}, which is {structure.presence}", "a present structure")
    if not spacing_mm > 0:
        raise InputError(f"a surface spacing of {spacing_mm} mm", "more than 0 mm")
    box = None if centre_mm is None else tuple(np.round(np.asarray(centre_mm, dtype=float), 3).tolist())
    key = (structure.digest, spacing_mm, max_triangles, box, radius_mm)
    if key not in _kept:
        occupancy, grid = _cropped(structure.occupancy, structure.grid, centre_mm, radius_mm)
        _kept[key] = surface_of(occupancy, grid, spacing_mm=spacing_mm, max_triangles=max_triangles)
        while len(_kept) > _KEPT_SURFACES:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def surface_of(
    occupancy: NDArray[np.uint8], grid: Grid, spacing_mm: float = 1.0, max_triangles: int = 40_000
) -> Surface:
    """The smooth surface of occupancy uint8 [i, j, k] on a grid."""
    if not occupancy.any():
        return EMPTY_SURFACE
    distance, fine = _smooth_distance(occupancy, grid, spacing_mm)
    return surface_at(distance, fine, _level_of_volume(distance, fine, occupancy, grid), max_triangles)


def surface_at(field: NDArray[np.float32], grid: Grid, level: float, max_triangles: int) -> Surface:
    """The surface where a field [i, j, k] on an isotropic grid, smaller inside, reaches a level."""
    indices, triangles = _contour(field, level, max_triangles)
    if len(triangles) == 0:
        return EMPTY_SURFACE
    normals = _gradient(field, indices) @ grid.axes.T
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-9, normals / np.maximum(length, 1e-9), (0.0, 0.0, 1.0))
    if np.linalg.det(grid.axes) > 0:  # vtkFlyingEdges3D turns its triangles towards the lower values: inward
        triangles = triangles[:, ::-1]
    return Surface(grid.points_mm(indices), normals, np.ascontiguousarray(triangles))


def cell_by_cell(field: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Where a field [i, j, k], smaller inside, is zero: vertices (N, 3), continuous indices on grid edges, and triangles
    (M, 3) that face outward on a right-handed grid, none taken away: each lies in one cell."""
    indices, triangles = _contour(field, 0.0, np.iinfo(np.int64).max)
    return indices, np.ascontiguousarray(triangles[:, ::-1])


def _cropped(
    occupancy: NDArray[np.uint8], grid: Grid, centre_mm: ArrayLike | None, radius_mm: float | None
) -> tuple[NDArray[np.uint8], Grid]:
    if centre_mm is None or radius_mm is None:
        return occupancy, grid
    middle, reach = grid.indices(centre_mm), radius_mm / grid.spacing_mm
    first = np.clip(np.floor(middle - reach), 0, grid.shape).astype(int)
    last = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape).astype(int)
    if (last <= first).any():
        return np.zeros((1, 1, 1), dtype=np.uint8), grid.crop((0, 0, 0), (1, 1, 1))
    part = occupancy[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    return part, grid.crop(first, part.shape)


def _smooth_distance(occupancy: NDArray[np.uint8], grid: Grid, spacing_mm: float) -> tuple[NDArray[np.float32], Grid]:
    """Signed distance (negative inside), smoothed, on an isotropic grid along the same axes."""
    import SimpleITK as sitk

    coarse = float(grid.spacing_mm.max())
    margin = np.ceil(2.5 * max(coarse, spacing_mm) / grid.spacing_mm).astype(int)
    padded = np.pad(occupancy, [(m, m) for m in margin])
    padded_grid = grid.crop(-margin, padded.shape)
    thick = int(np.argmax(grid.spacing_mm))
    if coarse > 1.5 * float(np.sort(grid.spacing_mm)[1]):
        distance = _distance_in_slices(padded >= 128, padded_grid, thick)
    else:
        distance = _maurer(padded >= 128, padded_grid.spacing_mm)
    partial = (padded > 0) & (padded < 255)  # the share of a voxel says where in it the surface lies
    distance[partial] = (0.5 - padded[partial] / np.float32(255.0)) * np.float32(padded_grid.spacing_mm.mean())
    np.clip(distance, -3 * coarse - 3, 3 * coarse + 3, out=distance)
    image = sitk.GetImageFromArray(np.ascontiguousarray(distance.T))
    image.SetSpacing(padded_grid.spacing_mm.tolist())
    image = isotropic(image, spacing_mm, outside=float(distance.max()))
    image = sitk.SmoothingRecursiveGaussian(image, max(0.55 * coarse, 0.6 * spacing_mm))
    affine = padded_grid.affine.copy()
    affine[:3, :3] = padded_grid.axes * spacing_mm
    smooth = sitk.GetArrayFromImage(image).T
    fine = Grid(affine, (smooth.shape[0], smooth.shape[1], smooth.shape[2]))
    if partial.any() and spacing_mm <= 1.5 * float(grid.spacing_mm.min()):  # coarser could not show it
        smooth = fitted_to_shares(smooth, fine, padded, padded_grid)
    return smooth, fine


def isotropic(image: Any, spacing_mm: float, outside: float) -> Any:
    """A SimpleITK image with origin 0 and no rotation, linearly interpolated to cubic voxels."""
    import SimpleITK as sitk

    extent = (np.asarray(image.GetSize()) - 1) * np.asarray(image.GetSpacing())
    size = (np.ceil(extent / spacing_mm).astype(int) + 1).tolist()
    axes = np.eye(3).ravel().tolist()
    transform, linear = sitk.Transform(), sitk.sitkLinear
    return sitk.Resample(image, size, transform, linear, [0.0] * 3, [spacing_mm] * 3, axes, outside, sitk.sitkFloat32)


def _maurer(inside: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Signed distance in mm, zero half a voxel outside the outermost voxel centres."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(inside.T).astype(np.uint8))
    image.SetSpacing(spacing_mm.tolist())
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(sitk.GetArrayFromImage(distance).T - np.float32(spacing_mm.min() / 2), dtype=np.float32)


def _distance_in_slices(inside: NDArray[np.bool_], grid: Grid, thick: int) -> NDArray[np.float32]:
    """The in-slice signed distance; a slice without the structure counts as one slice spacing outside.

    Each slice is measured in the box of its part of the structure; outside it the distance is a bound, clipped later.
    """
    from scipy.ndimage import distance_transform_edt

    spacing = np.delete(grid.spacing_mm, thick)
    reach = 3 * float(grid.spacing_mm.max()) + 3
    margin = np.ceil(reach / spacing).astype(int)
    distance = np.full(inside.shape, reach, dtype=np.float32)
    slices, results = np.moveaxis(inside, thick, 0), np.moveaxis(distance, thick, 0)
    half = np.float32(spacing.min() / 2)
    for part, result in zip(slices, results, strict=True):
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if rows.size == 0:
            result[...] = grid.spacing_mm[thick]
            continue
        box = tuple(
            slice(max(0, found[0] - pad), found[-1] + pad + 1)
            for found, pad in ((rows, margin[0]), (columns, margin[1]))
        )
        solid = part[box]
        to_solid, to_free = (distance_transform_edt(mask, sampling=spacing) for mask in (~solid, solid))
        result[box] = np.where(solid, half - to_free, to_solid - half)
    return distance


def _level_of_volume(distance: NDArray[np.float32], fine: Grid, occupancy: NDArray[np.uint8], grid: Grid) -> float:
    """The level that encloses the label's volume: smoothing alone would thin ribs and vessels."""
    wanted = float(occupancy.sum(dtype=np.float64)) / 255.0 * float((grid.spacing_mm / fine.spacing_mm).prod())
    step, reach = float(fine.spacing_mm[0]), float(grid.spacing_mm.max())
    within = int(np.count_nonzero(distance < -reach - step / 2))
    near = distance[np.abs(distance) <= reach + step / 2]
    low, high = -reach, reach
    for _ in range(12):  # halving; a voxel counts by the share of it that a flat surface at this distance leaves inside
        level = 0.5 * (low + high)
        inside = within + float(np.clip(0.5 + (level - near) / step, 0.0, 1.0).sum())
        low, high = (low, level) if inside > wanted else (level, high)
    return 0.5 * (low + high)


def _contour(
    distance: NDArray[np.float32], level: float, max_triangles: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices as continuous indices (N, 3) and triangles (M, 3), decimated."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkQuadricDecimation

    image = vtkImageData()
    image.SetDimensions(*distance.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(distance.ravel(order="F")))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, level)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    mesh = edges.GetOutput()
    count = mesh.GetNumberOfPolys()
    if count > max_triangles:
        decimate = vtkQuadricDecimation()
        decimate.SetInputData(mesh)
        decimate.SetTargetReduction(1.0 - max_triangles / count)
        decimate.Update()
        mesh = decimate.GetOutput()
    if mesh.GetNumberOfPolys() == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return points, triangles


def _gradient(distance: NDArray[np.float32], indices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Central differences of the distance at continuous indices (N, 3), per index step."""
    from scipy.ndimage import map_coordinates

    gradient = np.empty_like(indices)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 0.75
        ahead = map_coordinates(distance, (indices + step).T, order=1, mode="nearest")
        behind = map_coordinates(distance, (indices - step).T, order=1, mode="nearest")
        gradient[:, axis] = ahead - behind
    return gradient
