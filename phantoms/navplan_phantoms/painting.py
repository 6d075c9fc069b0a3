"""Parts made into an image and its labels, noise on top, and a grid told in plain numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan_phantoms.anatomy_parts import Part
from navplan_phantoms.grids import GANTRY_TILT_DEG, PhantomGrid
from navplan_phantoms.rasterise import FULL, CroppedOccupancy, hard_occupancy, rasterise
from navplan_phantoms.result import PhantomStructure
from navplan_phantoms.solid_base import FloatArray

AIR_HU = -1000.0
LOWEST_HU, HIGHEST_HU = -1024, 3071
MOST_THREADS = 4


def paint(
    parts: Sequence[Part], affine: FloatArray, shape: tuple[int, int, int], hard_labels: bool
) -> tuple[NDArray[np.float32], dict[str, PhantomStructure]]:
    """Mean CT numbers (partial volume by occupancy, later parts over earlier ones) and the labelled structures."""
    image = np.full(shape, AIR_HU, dtype=np.float32)
    structures = {}

    def drawn(part: Part) -> CroppedOccupancy:
        return rasterise(part.solid, affine, shape, mark_touched=part.labelled)

    with ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        crops = list(pool.map(drawn, parts))
    for part, crop in zip(parts, crops, strict=True):
        if crop.occupancy.size == 0:
            continue
        _blend(image[crop.slices], crop.occupancy, part.hu)
        if part.labelled:
            label: CroppedOccupancy = hard_occupancy(part.solid, affine, crop) if hard_labels else crop
            structures[part.name] = PhantomStructure(label.offset, label.occupancy, part.concept, part.side, part.hu)
    return image, structures


def _blend(window: NDArray[np.float32], occupancy: NDArray[np.uint8], hu: float) -> None:
    """Paint `hu` into a window of the image, in proportion to the occupancy."""
    full = occupancy == FULL
    window[full] = hu
    partial = (occupancy > 0) & ~full
    fraction = occupancy[partial].astype(np.float32) / FULL
    window[partial] += (hu - window[partial]) * fraction


def with_noise(image: NDArray[np.float32], noise_hu: float, seed: int) -> NDArray[np.int16]:
    """Add Gaussian noise, a little smooth within the slice, and round to whole HU; the first index runs fastest."""
    noise = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
    for axis in (0, 1):
        noise = 0.5 * noise + 0.25 * (np.roll(noise, 1, axis=axis) + np.roll(noise, -1, axis=axis))
    smoothing = 0.375  # standard deviation that two passes of (1/4, 1/2, 1/4) leave of 1
    noise *= noise_hu / smoothing
    noise += image
    return np.asfortranarray(np.rint(np.clip(noise, LOWEST_HU, HIGHEST_HU)).astype(np.int16))


def grid_truth(affine: FloatArray, grid: PhantomGrid) -> dict[str, Any]:
    """The grid in plain numbers; for a sheared stack also its slices' positions."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    truth: dict[str, Any] = {
        "affine": affine.tolist(),
        "shape": list(grid.shape),
        "spacing_mm": spacing.tolist(),
        "orthogonal": grid.orthogonal,
    }
    if not grid.orthogonal:
        slices = np.arange(grid.shape[2])
        truth["gantry_tilt_deg"] = GANTRY_TILT_DEG
        truth["slice_positions_lps_mm"] = (affine[:3, 3] + slices[:, None] * affine[:3, 2]).tolist()
        truth["note"] = "The slices are tilted and stacked along the table: no orthogonal grid holds this stack."
    return truth
