"""A chest from analytic solids, with couch, noise and a field of view, on any grid; its truth by voxel centres."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.volume import Volume

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Chest:
    """An image and its truth: name -> mask [i, j, k]."""

    volume: Volume
    truth: dict[str, Mask] = field(default_factory=dict)


def chest_grid(
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 4.0),
    extent_mm: tuple[float, float, float] = (420.0, 320.0, 160.0),
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """An axial grid in LPS around the chest."""
    shape = tuple(round(extent / spacing) for extent, spacing in zip(extent_mm, spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [c - (n - 1) / 2 * s for c, n, s in zip(centre_mm, shape, spacing_mm, strict=True)]
    return Grid(affine, (shape[0], shape[1], shape[2]), "1.2.3")


def make_chest(
    grid: Grid,
    *,
    touching: bool = False,
    padded: bool = False,
    arch: bool = False,
    windpipe: bool = True,
    contrast_hu: float = 60.0,
    seed: int = 0,
    thickness_mm: float | None = None,
) -> Chest:
    """A chest around the origin.

    touching: the lungs meet in front. padded: -2048 outside the circle that fits. arch: an arm over the front, with a
    ring of air under it in the middle slices. contrast_hu: of the aorta.
    """
    points = grid.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(points, -1, 0)
    body = (x / 165) ** 2 + (y / 110) ** 2 <= 1
    left = ((x - 75) / 55) ** 2 + ((y + 5) / 75) ** 2 + (z / 130) ** 2 <= 1
    right = ((x + 75) / 58) ** 2 + ((y + 5) / 78) ** 2 + (z / 130) ** 2 <= 1
    if touching:
        bridge = (np.abs(y + 25) < 5) & (np.abs(z) < 20)
        left |= bridge & (x >= 0) & (x < 80)
        right |= bridge & (x < 0) & (x > -80)
    from_spine = np.hypot(x, y - 60)
    spine = from_spine <= 22
    marrow = from_spine <= 18
    canal = np.hypot(x, y - 70) <= 5.0
    aorta = np.hypot(x - 8, y - 22) <= 11
    tube = np.hypot(x, y + 2) <= 8
    values = np.full(grid.shape, -1000.0)
    values[(y > 116) & (y < 119) & (np.abs(x) < 200)] = -100.0  # couch top
    values[(y > 119) & (y < 150) & (np.abs(x) < 200)] = -940.0  # its foam
    values[body] = 40.0
    values[left | right] = -860.0
    values[spine] = 900.0
    values[marrow] = 220.0
    values[canal] = 20.0
    values[aorta] = contrast_hu
    lumen = tube & (z > -20) if windpipe else np.zeros_like(tube)
    values[lumen] = -1000.0
    gap = np.zeros_like(body)
    if arch:
        around = np.hypot(x / 90, (y + 110) / 60)
        arm = (around <= 1) & (around > 0.75) & (np.abs(z) < 40) & ~body
        gap = (around <= 0.75) & (np.abs(z) < 40) & ~body
        values[arm] = 40.0
        body = body | arm
    rng = np.random.default_rng(seed)
    voxels = np.rint(values + rng.normal(0, 12, grid.shape)).astype(np.int16)
    padding = np.zeros_like(body)
    if padded:
        size = min(grid.shape[0] * grid.spacing_mm[0], grid.shape[1] * grid.spacing_mm[1])
        middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
        padding = np.hypot(x - middle[0], y - middle[1]) > size / 2
        voxels[padding] = -2048
    truth = {
        "body": body & ~padding,
        "lung_left": left & ~spine & ~aorta & ~lumen & ~padding,
        "lung_right": right & ~spine & ~aorta & ~lumen & ~padding,
        "bone": spine & ~canal,
        "canal": canal,
        "aorta": aorta,
        "trachea": lumen,
        "padding": padding,
        "gap": gap,
    }
    volume = Volume(voxels, grid, "CT", "HU", Acquisition(slice_thickness_mm=thickness_mm))
    return Chest(volume, truth)


def dice(first: Mask, second: Mask) -> float:
    """Overlap, 1 for equal masks."""
    return 2.0 * np.count_nonzero(first & second) / max(1, np.count_nonzero(first) + np.count_nonzero(second))
