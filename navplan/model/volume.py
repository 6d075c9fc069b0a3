"""An image: voxels on a grid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition


def array_digest(array: NDArray[Any], affine: NDArray[np.float64]) -> str:
    """SHA-256 over dtype, shape, affine (to 1e-6 mm) and values in C order of [k, j, i], little-endian; 0 for -0 mm."""
    sha = hashlib.sha256()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    sha.update(f"{little.dtype.str} {array.shape} {(np.round(affine, 6) + 0.0).tolist()}".encode())
    sha.update(np.ascontiguousarray(little.T).data)
    return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Volume:
    """voxels[i, j, k] (i fastest in memory: a transposed view of the C-ordered [k, j, i] array) on a Grid.

    voxels: int16 for whole Hounsfield units, else float32; a read-only view of the caller's array is kept.
    modality: "CT", "MR", ...; quantity: "HU", "signal", ...

    Raises GeometryError when shape and grid differ, InputError for NaN or infinite voxels.
    """

    voxels: NDArray[Any]
    grid: Grid
    modality: str = "CT"
    quantity: str = "HU"
    acquisition: Acquisition = field(default_factory=Acquisition)

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        if voxels.shape != self.grid.shape:
            raise GeometryError(f"voxels of shape {voxels.shape} on {self.grid!r}", "the same shape")
        if voxels.dtype.kind == "f":
            bad = int(np.count_nonzero(~np.isfinite(voxels)))
            if bad:
                raise InputError(
                    f"{bad} voxels that are NaN or infinite", "finite values", "Repair the image before it is used"
                )
        view = voxels.view()
        view.flags.writeable = False
        object.__setattr__(self, "voxels", view)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over dtype, shape, affine and voxels: plans name the image they were made on by it."""
        return array_digest(self.voxels, self.grid.affine)
