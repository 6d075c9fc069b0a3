"""A CT on the grid that growing from seeds works on: canonical order, at most 1.5 mm where the image is finer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.imaging.body import WORKING_SPACING_MM, find_body
from navplan.imaging.canonical import CanonicalOrder, Mask, coarser, finer, labelled, working_factors
from navplan.imaging.label_map import structure_from_mask
from navplan.imaging.segment import HIGHEST_HU, LOWEST_HU, image_resolution_mm
from navplan.model.structure import Structure
from navplan.model.volume import Volume

Step = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class WorkingCt:
    """hu [left, posterior, superior] float32 and body, on steps of `step` mm; the image that they come from."""

    volume: Volume
    image_id: str
    segmenter: str
    order: CanonicalOrder
    factors: tuple[int, int, int]
    step: Step
    hu: NDArray[np.float32]
    body: Mask

    @staticmethod
    def of(volume: Volume, image_id: str, segmenter: str) -> WorkingCt:
        """Raises InputError for an image that is not CT in Hounsfield units."""
        if volume.modality != "CT" or volume.quantity != "HU":
            raise InputError(
                f"{segmenter} on an image of modality {volume.modality or '?'}, values {volume.quantity or '?'}",
                "CT in Hounsfield units",
            )
        order = CanonicalOrder.of(volume.grid)
        spacing = order.spacing_mm(volume.grid)
        factors = working_factors(spacing, WORKING_SPACING_MM)
        step = (spacing[0] * factors[0], spacing[1] * factors[1], spacing[2] * factors[2])
        hu = coarser(np.clip(order.apply(volume.voxels), LOWEST_HU, HIGHEST_HU), factors)
        body = coarser(order.apply(find_body(volume).body), factors) > 0.5
        return WorkingCt(volume, image_id, segmenter, order, factors, step, hu, body)

    def indices(self, points_mm: NDArray[np.float64]) -> NDArray[np.intp]:
        """(n, 3) voxels of the working grid that hold points (n, 3) LPS mm, kept inside it."""
        indices = self.volume.grid.indices(points_mm)[:, self.order.order]
        full = np.asarray([self.volume.grid.shape[axis] for axis in self.order.order])
        indices = np.where(self.order.flipped, full - 1 - indices, indices)
        return np.clip(np.floor((indices + 0.5) / self.factors), 0, np.asarray(self.hu.shape) - 1).astype(np.intp)

    def points_mm(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) LPS mm of working-grid indices (n, 3)."""
        full = np.asarray([self.volume.grid.shape[axis] for axis in self.order.order])
        fine = (np.asarray(indices, dtype=np.float64) + 0.5) * self.factors - 0.5
        fine = np.where(self.order.flipped, full - 1 - fine, fine)
        return self.volume.grid.points_mm(fine[:, np.argsort(self.order.order)])

    def structure(self, mask: Mask, name: str, made_by: str = "semiautomatic", how: str = "") -> Structure:
        """A working-grid mask as a structure of the image; unknown where it is empty. how: said with its origin."""
        shape = [self.volume.grid.shape[axis] for axis in self.order.order]
        steps = np.asarray(self.volume.grid.spacing_mm).copy()
        for axis, factor in zip(self.order.order, self.factors, strict=True):
            steps[axis] *= factor
        resolution = np.maximum(image_resolution_mm(self.volume), steps)
        full = self.order.undo(np.asarray(finer(mask, self.factors, tuple(shape))))
        made_with = f"{self.segmenter} {_version()}"
        origin = f"{made_with}; {how}" if how else made_with
        found = structure_from_mask(
            full, self.volume.grid, name, self.image_id, origin, self.volume.grid, [float(mm) for mm in resolution]
        )
        return replace(found, made_by=made_by, made_with=made_with)


def ball(shape: tuple[int, ...], centres: NDArray[np.intp], radius_mm: float, step: Step) -> Mask:
    """Voxels of an array within radius_mm of any of `centres` (n, 3); the centres' own voxels always."""
    found = np.zeros(shape, dtype=bool, order="F")
    for centre in np.asarray(centres):
        low = [max(0, int(c - radius_mm / s)) for c, s in zip(centre, step, strict=True)]
        high = [min(n, int(c + radius_mm / s) + 1) for c, s, n in zip(centre, step, shape, strict=True)]
        axes = [(np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, centre, step, strict=True)]
        square = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
        found[low[0] : high[0], low[1] : high[1], low[2] : high[2]] |= square <= radius_mm**2
        found[tuple(centre)] = True
    return found


def parts_near(mask: Mask, seeds: NDArray[np.intp], reach_mm: float, step: Step) -> Mask:
    """The connected parts of a mask that come within reach_mm of a seed (n, 3)."""
    labels, count = labelled(mask)
    touched = np.zeros(count + 1, dtype=bool)
    touched[np.unique(labels[ball(mask.shape, seeds, reach_mm, step)])] = True
    touched[0] = False
    return np.asarray(touched[labels])


def _version() -> str:
    try:
        return version("navplan")
    except PackageNotFoundError:
        return "0"
