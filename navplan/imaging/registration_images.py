"""Images made ready for registration: smaller, without couch; and how alike two of them are under a rigid map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_body
from navplan.model.structure import Structure
from navplan.model.volume import Volume

AIR_HU, HIGHEST_HU = -1000.0, 1000.0  # values beyond say no more of where things are
SOFT_HU = (-200.0, 300.0)  # where anatomy differs from person to person; for the correlation
BINS = 32
RIM_MM = 8.0  # of air around the body that takes part: the skin is an edge too
LARGEST_POINTS = 60_000


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """values float32 [i, j, k] on a grid, body: bool [i, j, k]; outside the body a CT holds air. kind: modality."""

    values: NDArray[np.float32]
    body: NDArray[np.bool_]
    grid: Grid
    kind: str

    def coarser(self, spacing_mm: float) -> ReducedImage:
        """The same in voxels of about that size."""
        factors = _factors(self.grid, spacing_mm)
        values, grid = block_means(self.values, self.grid, factors)
        body, _ = block_means(self.body.astype(np.float32), self.grid, factors)
        return ReducedImage(values, body >= 0.5, grid, self.kind)

    @cached_property
    def near_body(self) -> NDArray[np.bool_]:
        """The body and a rim of air around it."""
        distance = ndimage.distance_transform_edt(~self.body, sampling=self.grid.spacing_mm)
        return np.asarray(distance <= RIM_MM)

    @cached_property
    def near_indices(self) -> NDArray[np.int64]:
        """(N, 3) the voxels of `near_body`."""
        return np.argwhere(self.near_body)

    @cached_property
    def centre_mm(self) -> NDArray[np.float64]:
        """(3,) LPS: the centre of the body."""
        return self.grid.points_mm(np.argwhere(self.body).mean(axis=0))

    def as_sitk(self) -> sitk.Image:
        """The values as SimpleITK has them (LPS too)."""
        return _sitk(self.values, self.grid)

    def mask_as_sitk(self) -> sitk.Image:
        """`near_body` as SimpleITK's mask."""
        return _sitk(self.near_body.astype(np.uint8), self.grid)


def _sitk(array: NDArray[np.float32] | NDArray[np.uint8], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetOrigin(grid.origin_mm.tolist())
    image.SetDirection(grid.axes.ravel().tolist())
    return image


def reduced(volume: Volume, body: Structure | None, spacing_mm: float) -> ReducedImage:
    """A volume in voxels of about that size, the couch replaced by air on CT.

    Raises InputError where a CT shows no body, and for an image of another kind with nothing in it.
    """
    factors = _factors(volume.grid, spacing_mm)
    ct = volume.modality == "CT" and volume.quantity == "HU"
    values = np.asarray(volume.voxels)
    means, grid = block_means(np.clip(values, AIR_HU, HIGHEST_HU) if ct else values, volume.grid, factors)
    if body is not None and body.occupancy is not None:
        mask = _sampled(body, grid)
    elif ct:
        mask = find_body(Volume(means, grid, "CT", "HU", volume.acquisition)).body
    else:
        mask = means > np.percentile(means, 5) + 0.05 * (np.percentile(means, 99) - np.percentile(means, 5))
    if np.count_nonzero(mask) < 500:
        raise InputError("an image in which no body is found", "an image that shows the patient's body")
    if ct:
        means = np.where(mask | _rim(mask, grid), means, np.float32(AIR_HU))
    return ReducedImage(means.astype(np.float32), np.asarray(mask), grid, "CT" if ct else volume.modality)


def _rim(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Two voxels around the body, so that its edge keeps its own slope."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=1))


def _factors(grid: Grid, spacing_mm: float) -> tuple[int, int, int]:
    i, j, k = (max(round(float(spacing_mm / mm)), 1) for mm in grid.spacing_mm)
    return min(i, grid.shape[0]), min(j, grid.shape[1]), min(k, grid.shape[2])


def block_means(
    values: NDArray[np.generic], grid: Grid, factors: tuple[int, int, int]
) -> tuple[NDArray[np.float32], Grid]:
    """Means of blocks of voxels, and their grid; an incomplete block at the end is left out."""
    shape = tuple(n // f for n, f in zip(values.shape, factors, strict=True))
    means = np.empty((shape[2], shape[1], shape[0]), dtype=np.float32).T
    for k in range(shape[2]):
        slab = values[: shape[0] * factors[0], : shape[1] * factors[1], k * factors[2] : (k + 1) * factors[2]]
        parts = slab.astype(np.float32).reshape(shape[0], factors[0], shape[1], factors[1], factors[2])
        means[:, :, k] = parts.mean(axis=(1, 3, 4))
    affine = grid.affine.copy()
    affine[:3, :3] *= factors
    affine[:3, 3] = grid.points_mm((np.asarray(factors) - 1) / 2)
    return means, Grid(affine, (shape[0], shape[1], shape[2]), grid.frame_uid)


def _sampled(body: Structure, grid: Grid) -> NDArray[np.bool_]:
    assert body.grid is not None and body.occupancy is not None
    mask = np.zeros(grid.shape, dtype=bool)
    plane = np.stack(np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), [0], indexing="ij"), axis=-1)
    for k in range(grid.shape[2]):
        index = np.rint(body.grid.indices(grid.points_mm(plane + np.array([0, 0, k])))).astype(int)
        inside = ((index >= 0) & (index < body.occupancy.shape)).all(axis=-1)
        found = np.zeros(inside.shape, dtype=bool)
        found[inside] = body.occupancy[tuple(index[inside].T)] >= 128
        mask[:, :, k : k + 1] = found
    return mask


@dataclass(frozen=True)
class Similarity:
    """mutual_information in nats over the points that both images show; correlation of soft tissue inside both bodies
    (None across kinds of images); overlap: share of the smaller body's points that both show; outline: Dice of the two
    bodies where both images reach."""

    mutual_information: float
    correlation: float | None
    overlap: float
    outline: float

    @property
    def score(self) -> float:
        """For ranking: mutual information, less where little of the smaller body is shared."""
        return self.mutual_information * min(1.0, self.overlap / 0.8)


def similarity(
    fixed: ReducedImage, moving: ReducedImage, moving_from_fixed: NDArray[np.float64],
    within: NDArray[np.int64] | None = None,
) -> Similarity:  # fmt: skip
    """How alike two images are under a rigid map (4, 4) of LPS mm; `within`: only at these voxels (N, 3) of the fixed
    image (default: its body and a rim)."""
    where = fixed.near_indices if within is None else within
    index = where[:: max(len(where) // LARGEST_POINTS, 1)]
    points = fixed.grid.points_mm(index) @ moving_from_fixed[:3, :3].T + moving_from_fixed[:3, 3]
    at = moving.grid.indices(points)
    inside = ((at >= 0) & (at <= np.asarray(moving.grid.shape) - 1)).all(axis=1)
    if np.count_nonzero(inside) < 100:
        return Similarity(0.0, None, 0.0, 0.0)
    each_mm3 = float(np.prod(fixed.grid.spacing_mm)) * len(where) / len(index)
    whole_mm3 = float(np.prod(moving.grid.spacing_mm)) * len(moving.near_indices)
    smaller = min(float(len(index)), whole_mm3 / each_mm3)
    first = fixed.values[tuple(index[inside].T)].astype(np.float64)
    second = ndimage.map_coordinates(moving.values, at[inside].T, order=1, mode="nearest").astype(np.float64)
    in_fixed = fixed.body[tuple(index[inside].T)]
    in_moving = moving.body[tuple(np.rint(at[inside]).astype(int).T)]
    both = in_fixed & in_moving
    correlation = None
    if fixed.kind == moving.kind == "CT" and np.count_nonzero(both) > 100:
        with np.errstate(invalid="ignore"):  # all alike: no correlation
            soft = np.corrcoef(np.clip(first[both], *SOFT_HU), np.clip(second[both], *SOFT_HU))[0, 1]
        correlation = float(np.nan_to_num(soft))
    bodies = int(np.count_nonzero(in_fixed)) + int(np.count_nonzero(in_moving))
    outline = 2 * int(np.count_nonzero(both)) / max(bodies, 1)
    overlap = int(np.count_nonzero(inside)) / max(smaller, 1.0)
    return Similarity(_mutual_information(first, second), correlation, min(overlap, 1.0), outline)


def _mutual_information(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    joint, _, _ = np.histogram2d(first, second, bins=BINS)
    joint /= joint.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / apart[filled])).sum())
