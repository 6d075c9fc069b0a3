"""A trunk on MR from analytic solids: partial volumes, a coil's falling sensitivity, Rician noise; its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid

Mask = NDArray[np.bool_]
T1 = {"skin": 250, "fat": 900, "muscle": 300, "marrow": 600, "bone": 20, "fluid": 120, "cord": 320, "lesion": 480}
T2 = {"skin": 200, "fat": 500, "muscle": 150, "marrow": 260, "bone": 20, "fluid": 900, "cord": 380, "lesion": 750}
FINER = 3  # samples of a voxel along each axis


@dataclass(frozen=True, eq=False)
class MrScene:
    """The image, and name -> mask [i, j, k] of the voxels that are at least half full."""

    volume: Volume
    truth: dict[str, Mask]
    dark_fluid: bool = False


def make_mr(
    weighting: dict[str, int],
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 4.0),
    extent_mm: tuple[float, float, float] = (300.0, 230.0, 90.0),
    *,
    noise: float = 12.0,
    bias: float = 3.0,
    unit: float = 1.0,
    bridge: bool = False,
    seed: int = 0,
) -> MrScene:
    """A trunk about the origin, its cord at (2 sin(z / 30), 60) mm and a lesion of 15 mm radius at (-50, -10, 0).

    noise: SD of each part of the complex signal, before `unit`, which all values are multiplied by. bias: how many
    times brighter the back is than the front. bridge: muscle as bright as the lesion, which touches it on one side.
    """
    grid = chest_grid(spacing_mm, extent_mm)
    fine = chest_grid(
        tuple(mm / FINER for mm in spacing_mm), tuple(n * mm for n, mm in zip(grid.shape, spacing_mm, strict=True))
    )
    axes = [fine.origin_mm[n] + np.arange(fine.shape[n]) * fine.spacing_mm[n] for n in range(3)]
    x, y, z = (axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    signal = np.zeros(fine.shape, dtype=np.float32)
    body = (x / 125) ** 2 + (y / 95) ** 2 + 0 * z <= 1
    signal[body] = weighting["skin"]
    signal[(x / 123) ** 2 + (y / 93) ** 2 + 0 * z <= 1] = weighting["fat"]
    signal[(x / 108) ** 2 + (y / 80) ** 2 + 0 * z <= 1] = weighting["muscle"]
    lungs = ((np.abs(x) - 62) / 26) ** 2 + ((y + 30) / 30) ** 2 + ((z - 60) / 70) ** 2 <= 1
    fat_about = ((x + 50) / 26) ** 2 + ((y + 10) / 24) ** 2 + (z / 24) ** 2 <= 1
    lesion = ((x + 50) / 15) ** 2 + ((y + 10) / 15) ** 2 + (z / 15) ** 2 <= 1
    signal[lungs] = 0
    signal[fat_about] = weighting["fat"]
    if bridge:
        signal[(x < -35) & (x > -110) & (np.abs(y + 10) < 60) & (np.abs(z) < 30)] = weighting["lesion"]
    signal[lesion] = weighting["lesion"]
    middle = 2 * np.sin(z / 30)
    across, back = x - middle, y - 60
    signal[(across / 20) ** 2 + (back / 16) ** 2 <= 1] = weighting["marrow"]
    signal[(across / 12) ** 2 + (back / 10) ** 2 <= 1] = weighting["bone"]
    canal = (across / 10.5) ** 2 + (back / 8.5) ** 2 <= 1
    signal[canal] = weighting["fluid"]
    cord = (across / 6) ** 2 + ((back + 1) / 4.5) ** 2 <= 1
    signal[cord] = weighting["cord"]
    signal *= bias ** ((y / 95 - 1) / 2)
    rng = np.random.default_rng(seed)
    mean = _mean(signal)
    noisy = np.hypot(mean + rng.normal(0, noise, mean.shape), rng.normal(0, noise, mean.shape))
    truth = {"body": body, "cord": cord, "canal": canal, "lesion": lesion, "lungs": lungs}
    voxels = np.asarray(noisy * unit, dtype=np.float32)
    return MrScene(
        Volume(voxels, grid, "MR", "signal"),
        {name: _mean(mask) >= 0.5 for name, mask in truth.items()},
        weighting is T1,
    )


def _mean(fine: NDArray[np.generic]) -> NDArray[np.float32]:
    shape = [size for n in fine.shape for size in (n // FINER, FINER)]
    return np.asarray(fine.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32))


def noise_only(grid: Grid, sd: float = 20.0) -> Volume:
    """Rayleigh noise without any tissue."""
    parts = np.random.default_rng(5).normal(0, sd, (2, *grid.shape))
    return Volume(np.hypot(*parts).astype(np.float32), grid, "MR", "signal")
