"""Images made ready for fusion: in voxels of one size, smoothed, in bins of intensity, without couch and padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_padding
from navplan.imaging.registration_images import AIR_HU, ReducedImage, block_means, reduced
from navplan.model.structure import Structure
from navplan.model.volume import Volume

LEVELS_MM = ((8.0, 5.0), (5.0, 3.0), (2.5, 1.5))  # voxels and smoothing of the search, coarse and fine images
BINS = 32
PAD = 2
FEWEST_VOXELS = 500
ALL_BODY = 0.97  # of a CT: so much of it body means that air was taken for lung, or there is none
TISSUE_HU, SHEET_MM = -400.0, 8.0  # half the thickness that a couch has not
RIM_MM = 10.0  # of air around the body that takes part: the skin is an edge too
KNOTS = np.linspace(0.0, 1.0, 65)  # of the map of intensities to bins


@dataclass(frozen=True, eq=False)
class FusionImage:
    """values: float32 [i, j, k] in bins (PAD to PAD + BINS - 1); body, known: bool, what is inside the patient, and
    what the image shows at all (no padding); kind: modality; taking_part: (N, 3) the voxels of the body and a rim
    of air around it, where the image shows something."""

    values: NDArray[np.float32]
    body: NDArray[np.bool_]
    known: NDArray[np.bool_]
    grid: Grid
    kind: str
    taking_part: NDArray[np.int64]

    @cached_property
    def centre_mm(self) -> NDArray[np.float64]:
        """(3,) LPS: the centre of the body."""
        return self.grid.points_mm(np.argwhere(self.body & self.known).mean(axis=0))

    @cached_property
    def body_points_mm(self) -> NDArray[np.float64]:
        """(K, 3) up to 2000 points all over the body, at which maps are compared."""
        inside = np.argwhere(self.body & self.known)
        return self.grid.points_mm(inside[:: max(len(inside) // 2000, 1)])

    @cached_property
    def size_mm(self) -> NDArray[np.float64]:
        """(3,) of the box of what takes part, along L, P, S."""
        points = self.grid.points_mm(self.taking_part)
        return np.asarray(points.max(axis=0) - points.min(axis=0))

    @property
    def shown_mm3(self) -> float:
        """Volume of what takes part."""
        return float(np.prod(self.grid.spacing_mm)) * len(self.taking_part)

    def samples(self, count: int, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Points (N, 3), LPS mm, about `count` of them evenly over what takes part, each somewhere in its voxel, and
        the bins (N,) of the image there."""
        rng = np.random.default_rng(seed)
        where = self.taking_part
        if len(where) > count:
            where = where[(np.arange(count) * (len(where) / count)).astype(np.int64)]
        else:
            where = np.repeat(where, max(round(count / max(len(where), 1)), 1), axis=0)
        at = np.clip(where + rng.uniform(-0.5, 0.5, where.shape), 0, np.asarray(self.grid.shape) - 1)
        values = ndimage.map_coordinates(self.values, at.T, order=1, mode="nearest")
        return np.ascontiguousarray(self.grid.points_mm(at)), np.floor(values + 0.5).astype(np.int32)


def fusion_images(volume: Volume, mask: Structure | None = None) -> tuple[FusionImage, FusionImage, FusionImage]:
    """A volume for the search of starts, for coarse and for fine results, in voxels of about LEVELS_MM.

    mask: what of the image is to count (default: the patient's body, which is found). Raises InputError where none is
    found, nothing is shown, or the image has no contrast.
    """
    fine = reduced(volume, mask, LEVELS_MM[-1][0])
    body, values = fine.body, fine.values
    if mask is None and fine.kind == "CT" and body.mean() > ALL_BODY:
        body = _thick_parts(values, fine.grid)
        values = np.where(ndimage.binary_dilation(body), values, np.float32(AIR_HU))
    known = _shown(volume, fine.grid)
    if np.count_nonzero(known & body) < FEWEST_VOXELS:
        raise InputError("an image that shows next to nothing of a body", "an image that shows the patient's body")
    found = []
    for spacing_mm, smooth_mm in LEVELS_MM[:-1]:
        level = ReducedImage(values, body, fine.grid, fine.kind).coarser(spacing_mm)
        shown = ReducedImage(known.astype(np.float32), body, fine.grid, fine.kind).coarser(spacing_mm)
        found.append(_in_bins(level, shown.values > 0.99, smooth_mm))
    last = _in_bins(ReducedImage(values, body, fine.grid, fine.kind), known, LEVELS_MM[-1][1])
    return found[0], found[1], last


def _in_bins(image: ReducedImage, known: NDArray[np.bool_], smooth_mm: float) -> FusionImage:
    """Smoothed by a Gaussian of that sigma; intensities half by rank, so that soft tissue has bins, half by value."""
    smoothed = _smoothed(image.values, known, smooth_mm / image.grid.spacing_mm)
    distance = ndimage.distance_transform_edt(~image.body, sampling=image.grid.spacing_mm)
    taking_part = np.argwhere((distance <= RIM_MM) & known)
    knots = np.quantile(smoothed[tuple(taking_part.T)], KNOTS) if len(taking_part) else np.zeros(1)
    span = knots[-1] - knots[0]
    if span <= 0:
        raise InputError("an image with one value all over", "an image with contrast")
    even = 0.5 * KNOTS + 0.5 * (knots - knots[0]) / span
    values = np.interp(smoothed, knots, even) * (BINS - 1) + PAD
    bins = np.ascontiguousarray(values, dtype=np.float32)
    return FusionImage(bins, image.body, known, image.grid, image.kind, taking_part)


def _shown(volume: Volume, grid: Grid) -> NDArray[np.bool_]:
    """Which voxels of the reduced grid show something: not the padding of a CT, and of other images not the regions of
    one lowest value that reach the edge of the image (filled in when it was made orthogonal, say)."""
    i, j, k = (max(1, round(float(mm / own))) for mm, own in zip(grid.spacing_mm, volume.grid.spacing_mm, strict=True))
    values = np.asarray(volume.voxels)
    if volume.modality == "CT" and volume.quantity == "HU":
        return np.asarray(block_means(find_padding(volume), volume.grid, (i, j, k))[0] < 0.01)
    empty = block_means(values == values.min(), volume.grid, (i, j, k))[0] > 0.99
    labels, count = ndimage.label(ndimage.binary_opening(np.pad(empty, 1, mode="edge"))[1:-1, 1:-1, 1:-1])
    outer = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            outer[np.unique(np.take(labels, end, axis=axis))] = True
    outer[0] = False
    return np.asarray(~ndimage.binary_dilation(outer[labels], iterations=1))


def _thick_parts(hu: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """The body on a CT cut so small that the air around it might be lung: tissue that no sheet of a couch is."""
    tissue = ndimage.gaussian_filter(hu, 1.0) > TISSUE_HU
    distance = ndimage.distance_transform_edt(np.pad(tissue, 1, mode="edge"), sampling=grid.spacing_mm)[
        1:-1, 1:-1, 1:-1
    ]
    labels, count = ndimage.label(distance > SHEET_MM)
    if count == 0:
        return tissue
    core = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    body = (ndimage.distance_transform_edt(~core, sampling=grid.spacing_mm) <= SHEET_MM * 1.2) & tissue
    return np.stack([ndimage.binary_fill_holes(body[:, :, k]) for k in range(body.shape[2])], axis=2)


def _smoothed(values: NDArray[np.float32], known: NDArray[np.bool_], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """By what is known alone."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(known, values, np.float32(0)), sigma)
    return np.asarray(np.where(known, total / np.maximum(weight, 1e-3), values), dtype=np.float32)
