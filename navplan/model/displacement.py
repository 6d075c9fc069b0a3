"""A map that bends: displacements on a coarse grid, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError
from navplan.geometry.grid import Grid

_ROUNDS, _NEWTON_ROUNDS, _SETTLED_MM = 60, 30, 1e-3
_HALVINGS = 6  # of a step that leads no nearer


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """What a deformable registration adds to the linear map: mm (I, J, K, 3) float32 at the voxel centres of a grid,
    LPS of the fixed image. It counts as nothing beyond the grid."""

    mm: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        array = np.asarray(self.mm)
        if array.shape != (*self.grid.shape, 3) or array.dtype != np.float32 or not np.isfinite(array).all():
            raise GeometryError(
                f"displacements {array.dtype} {array.shape} on {self.grid!r}", "finite float32 vectors, one a voxel"
            )
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, "mm", view)

    @cached_property
    def volumes(self) -> NDArray[np.float64]:
        """(I, J, K) determinant of the map's derivative: 1 where nothing changes, 0 or less where it folds; -inf on a
        grid too small to tell."""
        if min(self.grid.shape) < 2:
            return np.full(self.grid.shape, -np.inf)
        per_mm = [np.gradient(self.mm, axis=axis) / self.grid.spacing_mm[axis] for axis in range(3)]
        along = np.stack(per_mm, axis=-1) @ self.grid.axes.T  # derivative along x, y, z of each component
        return np.asarray(np.linalg.det(np.eye(3) + along))

    @property
    def least_volume(self) -> float:
        """The least of `volumes`."""
        return float(self.volumes.min())

    def at(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) displacement at points (..., 3), linear between voxels."""
        from scipy.ndimage import map_coordinates  # not before it is asked for: opening a case needs none of it

        points = np.asarray(points_mm, dtype=np.float64)
        at = self.grid.indices(points.reshape(-1, 3)).T
        parts = [map_coordinates(self.mm[..., axis], at, np.float64, order=1, mode="constant") for axis in range(3)]
        return np.stack(parts, axis=-1).reshape(points.shape)


def inverted(field: DisplacementField, straight_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points p with p + field(p) = straight_mm (..., 3), to a thousandth of a mm; NaN at each point where none is
    found, or one where the field folds.

    The fixed-point iteration first (Chen et al., Med Phys 35:81, 2008); where that does not settle, Newton's steps,
    halved where they lead no nearer.
    """
    wanted = np.asarray(straight_mm, dtype=np.float64).reshape(-1, 3)
    found = wanted.copy()
    for _ in range(_ROUNDS):
        step = wanted - field.at(found) - found
        found += step
        if np.abs(step).max(initial=0.0) < _SETTLED_MM:
            break
    off = wanted - field.at(found) - found
    left = np.flatnonzero(~(np.abs(off).max(axis=1, initial=0.0) < _SETTLED_MM))
    if len(left):
        found[left] = _by_newton(field, wanted[left])
    at = np.rint(np.nan_to_num(field.grid.indices(found), nan=-1.0)).astype(np.int64)
    within = ((at >= 0) & (at < np.asarray(field.grid.shape))).all(axis=1)
    folds = np.zeros(len(found), dtype=bool)
    folds[within] = field.volumes[tuple(at[within].T)] <= 0
    found[folds] = np.nan
    return found.reshape(np.shape(straight_mm))


def _by_newton(field: DisplacementField, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    half = float(field.grid.spacing_mm.min()) / 2
    found = wanted.copy()
    off = wanted - field.at(found) - found
    size = np.linalg.norm(off, axis=1)
    for _ in range(_NEWTON_ROUNDS):
        going = size >= _SETTLED_MM / 2
        if not going.any():
            break
        slopes = np.stack(
            [(field.at(found + way) - field.at(found - way)) / (2 * half) for way in half * np.eye(3)], axis=-1
        ) + np.eye(3)
        slopes[~(np.abs(np.linalg.det(slopes)) > 1e-6)] = np.eye(3)
        step = np.linalg.solve(slopes, off[..., None])[..., 0]
        for halving in range(_HALVINGS):
            tried = found + step * 0.5**halving
            then = wanted - field.at(tried) - tried
            better = going & (np.linalg.norm(then, axis=1) < size)
            found[better], off[better] = tried[better], then[better]
            size[better] = np.linalg.norm(then[better], axis=1)
            going &= ~better
    found[~(size < _SETTLED_MM)] = np.nan
    return found
