"""The grid that growing from seeds works on: canonical order, at most 1.5 mm where the image is finer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.body import WORKING_SPACING_MM, find_body
from navplan.imaging.canonical import CanonicalOrder, Mask, coarser, finer, labelled, working_factors
from navplan.imaging.label_map import structure_from_mask
from navplan.imaging.segment import HIGHEST_HU, LOWEST_HU, image_resolution_mm
from navplan.model.structure import Structure
from navplan.model.volume import Volume

Step = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class WorkingGrid:
    """An image in canonical order [left, posterior, superior], `factors` of its voxels in one of `step` mm."""

    volume: Volume
    image_id: str
    segmenter: str
    order: CanonicalOrder
    factors: tuple[int, int, int]
    step: Step

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """The image's own number of voxels along the canonical axes."""
        left, posterior, superior = (int(self.volume.grid.shape[axis]) for axis in self.order.order)
        return left, posterior, superior

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the working grid along the canonical axes."""
        left, posterior, superior = (-(-n // by) for n, by in zip(self.full_shape, self.factors, strict=True))
        return left, posterior, superior

    def indices(self, points_mm: NDArray[np.float64]) -> NDArray[np.intp]:
        """(n, 3) voxels of the working grid that hold points (n, 3) LPS mm, kept inside it."""
        indices = self.volume.grid.indices(points_mm)[:, self.order.order]
        indices = np.where(self.order.flipped, np.asarray(self.full_shape) - 1 - indices, indices)
        return np.clip(np.floor((indices + 0.5) / self.factors), 0, np.asarray(self.shape) - 1).astype(np.intp)

    def points_mm(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) LPS mm of working-grid indices (n, 3)."""
        fine = (np.asarray(indices, dtype=np.float64) + 0.5) * self.factors - 0.5
        fine = np.where(self.order.flipped, np.asarray(self.full_shape) - 1 - fine, fine)
        return self.volume.grid.points_mm(fine[:, np.argsort(self.order.order)])

    def slab(self, low: int, high: int) -> Grid:
        """The part of the image's grid that the working grid's axial planes low to high, inclusive, cover."""
        axis, by, full = self.order.order[2], self.factors[2], self.full_shape[2]
        first, end = low * by, min((high + 1) * by, full)
        if self.order.flipped[2]:
            first, end = full - end, full - first
        start, shape = [0, 0, 0], list(self.volume.grid.shape)
        start[axis], shape[axis] = first, end - first
        return self.volume.grid.crop(start, shape)

    def structure(
        self, mask: Mask, name: str, made_by: str = "semiautomatic", *, evaluated_in: Grid | None = None,
        doubt: str = "", how: str = "",
    ) -> Structure:  # fmt: skip
        """A working-grid mask as a structure of the image, looked for in all of it or in evaluated_in; unknown where it
        is empty. doubt: see outline_doubt; how: said with its origin."""
        steps = np.asarray(self.volume.grid.spacing_mm).copy()
        for axis, factor in zip(self.order.order, self.factors, strict=True):
            steps[axis] *= factor
        resolution = np.maximum(image_resolution_mm(self.volume), steps)
        full = self.order.undo(np.asarray(finer(mask, self.factors, self.full_shape)))
        made_with = f"{self.segmenter} {_version()}"
        origin = f"{made_with}; {how}" if how else made_with
        found = structure_from_mask(
            full,
            self.volume.grid,
            name,
            self.image_id,
            origin,
            evaluated_in or self.volume.grid,
            [float(mm) for mm in resolution],
        )
        return replace(found, made_by=made_by, made_with=made_with, outline_doubt=doubt)


@dataclass(frozen=True, eq=False)
class WorkingCt(WorkingGrid):
    """hu [left, posterior, superior] float32 and body, on steps of `step` mm; the image that they come from."""

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
        factors, step = working_steps(order.spacing_mm(volume.grid), WORKING_SPACING_MM)
        hu = coarser(np.clip(order.apply(volume.voxels), LOWEST_HU, HIGHEST_HU), factors)
        body = coarser(order.apply(find_body(volume).body), factors) > 0.5
        return WorkingCt(volume, image_id, segmenter, order, factors, step, hu, body)


def working_steps(spacing_mm: Step, at_most_mm: float) -> tuple[tuple[int, int, int], Step]:
    """How many voxels along each axis make one of the working grid, and its spacing in mm; see working_factors."""
    factors = working_factors(spacing_mm, at_most_mm)
    return factors, (spacing_mm[0] * factors[0], spacing_mm[1] * factors[1], spacing_mm[2] * factors[2])


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
