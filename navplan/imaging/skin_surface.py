"""The skin for looking at: of a body that is labelled, or found in a CT. No margin is measured on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.surfaces import Surface, isotropic, surface_at
from navplan.model.structure import Structure
from navplan.model.volume import Volume

SKIN_HU = -300.0  # between air and skin (unsourced)
_PAD = 2  # the body is closed where the image cuts it; those faces are taken away afterwards


def body_surface(
    volume: Volume, body: Structure | None = None, *, spacing_mm: float = 3.0, max_triangles: int = 60_000
) -> Surface:
    """The outside of a labelled body, or without one of everything in a CT denser than SKIN_HU: the largest piece.

    Holes (lungs, bowel) are filled. Where the body is cut by the image's edge or by padding there is no skin: those
    triangles are left out and the surface is open there. Raises InputError when there is no body in the image.
    """
    if body is not None and body.occupancy is not None and body.grid is not None:
        values, grid = _shrunken(body.occupancy.astype(np.float32), body.grid, spacing_mm, outside=0.0)
        solid, level, full = values > 127.5, 127.5, 255.0
    else:
        values, grid = _shrunken(
            np.clip(volume.voxels, -1000, 100).astype(np.float32), volume.grid, spacing_mm, -1000.0
        )
        solid, level, full = _largest_piece(values > SKIN_HU), SKIN_HU, 100.0
    if not solid.any():
        raise InputError(f"no voxel above {SKIN_HU:g} HU", "a CT of a body")
    field, fine = _field(values, _filled(solid, grid), grid, level, full, spacing_mm)
    surface = surface_at(field, fine, 0.0, max_triangles)
    return _without_image_edge(surface, volume, reach_mm=1.5 * float(grid.spacing_mm.max()))


def _shrunken(
    values: NDArray[np.float32], grid: Grid, spacing_mm: float, outside: float
) -> tuple[NDArray[np.float32], Grid]:
    """Averaged over whole voxels to about spacing_mm, with a rim of `outside`."""
    import SimpleITK as sitk

    shrink = np.maximum(1, np.round(spacing_mm / grid.spacing_mm)).astype(int)
    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image = sitk.ConstantPad(sitk.BinShrink(image, shrink.tolist()), [_PAD] * 3, [_PAD] * 3, outside)
    coarse = sitk.GetArrayFromImage(image).T
    affine = grid.affine.copy()
    affine[:3, :3] *= shrink
    affine[:3, 3] = grid.points_mm((shrink - 1) / 2 - shrink * _PAD)
    return coarse, Grid(affine, (coarse.shape[0], coarse.shape[1], coarse.shape[2]))


def _largest_piece(dense: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece after an opening, which parts body and couch where they only touch."""
    import SimpleITK as sitk

    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(dense.T).astype(np.uint8))
    opened = sitk.BinaryMorphologicalOpening(image, [1, 1, 1])
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(opened), sortByObjectSize=True)
    return np.ascontiguousarray(sitk.GetArrayFromImage(pieces).T == 1)


def _filled(solid: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """With everything enclosed in a slice across the body: an image that ends in a lung leaves no hole there."""
    from scipy.ndimage import binary_fill_holes

    filled = solid.copy()
    slices = np.moveaxis(filled, int(np.argmax(np.abs(grid.axes[2]))), 0)
    for index in range(len(slices)):
        slices[index] = binary_fill_holes(slices[index])
    return filled


def _field(
    values: NDArray[np.float32], solid: NDArray[np.bool_], grid: Grid, level: float, full: float, spacing_mm: float
) -> tuple[NDArray[np.float32], Grid]:
    """A smooth field, negative in the body and zero where the values are `level`, on a cubic grid."""
    import SimpleITK as sitk
    from scipy.ndimage import binary_dilation, binary_erosion

    empty = float(values.min())
    inner = (slice(_PAD, -_PAD),) * 3
    core = binary_erosion(np.pad(solid[inner], _PAD, mode="edge")) & solid  # what the image cuts is not peeled
    shell = np.where(core, full, np.where(binary_dilation(solid), values, empty))
    image: Any = sitk.GetImageFromArray(np.ascontiguousarray((level - shell).T.astype(np.float32)))
    image.SetSpacing(grid.spacing_mm.tolist())
    image = sitk.SmoothingRecursiveGaussian(isotropic(image, spacing_mm, outside=level - empty), 0.9 * spacing_mm)
    field = sitk.GetArrayFromImage(image).T
    affine = grid.affine.copy()
    affine[:3, :3] = grid.axes * spacing_mm
    return field, Grid(affine, (field.shape[0], field.shape[1], field.shape[2]))


def _without_image_edge(surface: Surface, volume: Volume, reach_mm: float) -> Surface:
    """Without the triangles that face the image's edge or padding: there the body goes on, unseen."""
    from scipy.ndimage import map_coordinates

    outside = surface.points_mm + reach_mm * surface.normals
    padding = volume.acquisition.padding_hu
    if padding is None and volume.quantity == "HU":
        padding = -1500.0  # air is -1000; nothing that a scanner measures lies as low
    seen = volume.grid.contains(outside)
    if padding is not None:
        indices = volume.grid.indices(outside).T
        seen &= map_coordinates(volume.voxels, indices, order=0, mode="nearest") > padding
    return Surface(surface.points_mm, surface.normals, surface.triangles[seen[surface.triangles].all(axis=1)])
