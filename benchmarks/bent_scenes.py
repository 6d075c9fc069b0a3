"""Images that bent between them, with what bent them: a small trunk of analytic shapes, and smooth breathing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

SIZE_MM = np.array([250.0, 190.0, 230.0])
LOBES = ((-55.0, 20.0, -70.0), 30.0), ((35.0, 0.0, -75.0), 52.0)  # spleen; liver: centre, radius, mm


def breathing(
    low_mm: NDArray[np.float64], high_mm: NDArray[np.float64], most_mm: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Displacements (..., 3) at points (..., 3) of a box: most_mm towards the feet below the diaphragm, the belly a
    third of that forwards, less to the sides; nothing at the rim of the box's ellipse."""

    def displacement(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        middle, half = (low_mm + high_mm) / 2, (high_mm - low_mm) / 2
        x, y, z = np.moveaxis((points_mm - middle) / half, -1, 0)
        up = (z + 1.0) / 2.0
        low = 1.0 / (1.0 + np.exp((up - 0.45) / 0.12))
        found = np.zeros(points_mm.shape)
        found[..., 0] = 0.15 * most_mm * x * np.exp(-(x**2 + y**2)) * low
        belly = np.exp(-(((y + 0.6) / 0.35) ** 2) - ((up - 0.5) / 0.3) ** 2 - (x / 0.6) ** 2)
        found[..., 1] = 0.35 * most_mm * belly
        found[..., 2] = -most_mm * low * np.clip(1.4 * (1.0 - x**2 - y**2), 0.0, 1.0)
        return found

    return displacement


def trunk_hu(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """HU (...) at points (..., 3) of a trunk with lungs, ribs, spine, liver, spleen and 60 balls inside."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    hu = np.full(x.shape, -1000.0)
    hu[(x / 120) ** 2 + (y / 85) ** 2 < 1] = -90.0
    hu[(x / 108) ** 2 + (y / 74) ** 2 < 1] = 40.0
    for side in (-50.0, 50.0):
        hu[((x - side) / 42) ** 2 + (y / 55) ** 2 + ((z - 60) / 95) ** 2 < 1] = -820.0
    for (centre, radius), value in zip(LOBES, (55.0, 70.0), strict=True):
        hu[((points_mm - centre) ** 2).sum(axis=-1) < radius**2] = value
    hu[(x / 18) ** 2 + ((y - 60) / 14) ** 2 < 1] = 350.0
    rng = np.random.default_rng(3)
    for _ in range(60):
        centre, radius = rng.uniform((-95, -60, -110), (95, 60, 110)), rng.uniform(4.0, 11.0)
        hu[((points_mm - centre) ** 2).sum(axis=-1) < radius**2] += rng.choice((-60.0, 90.0, 160.0))
    rim = np.abs((x / 112) ** 2 + (y / 78) ** 2 - 0.93) < 0.06
    for level in range(-100, 101, 26):
        hu[rim & (np.abs(z - level - 0.2 * y) < 5)] = 500.0
    return hu


def trunk_grid(spacing_mm: float) -> Grid:
    """Of cubes, about the middle of the trunk."""
    count = (SIZE_MM / spacing_mm).astype(int)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -(count - 1) * spacing_mm / 2
    return Grid(affine, (int(count[0]), int(count[1]), int(count[2])))


def trunk(
    spacing_mm: float, motion: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None, seed: int = 1
) -> Volume:
    """The trunk as a CT with 15 HU of noise; bent: its place p shows what lies at p + motion(p)."""
    grid = trunk_grid(spacing_mm)
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    there = points if motion is None else points + motion(points)
    noise = np.random.default_rng(seed).normal(0.0, 15.0, grid.shape)
    return Volume(np.rint(trunk_hu(there) + noise).astype(np.int16), grid, "CT", "HU")
