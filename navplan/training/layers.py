"""Layers that no label names: ligamentum flavum behind the spinal canal, the epidural layer and the thecal sac in it.

Schematic: shells of one thickness about the labelled canal, the ligament where bone lets a needle through from behind.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.geometry.grid import Grid
from navplan.model.structure import Structure
from navplan.planning.boundary import MOSTLY_INSIDE

CANAL = "spinal_canal"
FLAVUM_MM, EPIDURAL_MM = 4.0, 3.0  # of the layers before and within the canal (schematic)
NONE, FLAVUM_LAYER, EPIDURAL_LAYER, SAC_LAYER = 0, 1, 2, 3
_PAD = 6


class CanalLayers:
    """canal: the labelled spinal canal."""

    def __init__(self, canal: Structure) -> None:
        assert canal.grid is not None and canal.occupancy is not None
        self.grid: Grid = canal.grid
        self._mask = np.pad(canal.occupancy >= MOSTLY_INSIDE, _PAD)

    @cached_property
    def depth_mm(self) -> NDArray[np.float64]:
        """How deep in the canal (negative: how far outside) voxel centres lie, with a rim of _PAD voxels."""
        spacing = self.grid.spacing_mm
        inside = ndimage.distance_transform_edt(self._mask, sampling=spacing)
        outside = ndimage.distance_transform_edt(~self._mask, sampling=spacing)
        half = 0.5 * float(spacing.min())
        return np.asarray(np.where(self._mask, inside - half, half - outside))

    @cached_property
    def _back(self) -> tuple[int, int, float, NDArray[np.float64]]:
        """The grid's axes that run from front to back and along the canal, the sign of the first, and where along it
        the canal's middle lies in each slice across the second."""
        axes = self.grid.axes
        back = int(np.argmax(np.abs(axes[1])))
        along = max((axis for axis in range(3) if axis != back), key=lambda axis: abs(float(axes[2, axis])))
        places = np.argwhere(self._mask)
        count = np.bincount(places[:, along], minlength=self._mask.shape[along])
        total = np.bincount(places[:, along], weights=places[:, back], minlength=self._mask.shape[along])
        seen = np.flatnonzero(count)
        middles = np.interp(np.arange(len(count)), seen, total[seen] / count[seen])
        return back, along, float(np.sign(axes[1, back])), middles

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) the layer at points (N, 3): NONE, FLAVUM_LAYER, EPIDURAL_LAYER or SAC_LAYER, whatever is labelled
        there."""
        at = self.grid.indices(points_mm) + _PAD
        last = np.asarray(self._mask.shape) - 1
        near = ((at >= 0) & (at <= last)).all(axis=1)
        found = np.zeros(len(at), dtype=np.int64)
        if not near.any():
            return found
        close = at[near]
        deep = ndimage.map_coordinates(self.depth_mm, close.T, order=1, mode="nearest")
        back, along, sign, middles = self._back
        behind = (close[:, back] - np.interp(close[:, along], np.arange(len(middles)), middles)) * sign > 0.0
        here = [deep > EPIDURAL_MM, deep > 0.0, (deep > -FLAVUM_MM) & behind]
        found[near] = np.select(here, [SAC_LAYER, EPIDURAL_LAYER, FLAVUM_LAYER], NONE)
        return found

    def voxels(self, layer: int) -> NDArray[np.float64]:
        """(M, 3) LPS centres of the canal's voxels in a layer."""
        deep = self.depth_mm
        inside = (deep > EPIDURAL_MM) if layer == SAC_LAYER else (deep > 0.0) & (deep <= EPIDURAL_MM)
        return np.asarray(self.grid.points_mm(np.argwhere(inside) - _PAD))
