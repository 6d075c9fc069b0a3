"""ct-vessel and ct-vessels on analytic vessels: how far centreline and radius lie from the truth, as lines of the page.

Tubes, bends, tapers and branches in tissue, partial volume by sub-voxels, blurred and noisy, on two voxel sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from navplan.errors import InputError
from navplan.imaging.vessel import grown_vessel
from navplan.imaging.vessel_line import VesselLine, measured_tree
from navplan.imaging.vesselness import find_tubes
from navplan.imaging.vessels_in_part import ELSEWHERE

LUMEN_HU, TISSUE_HU, NOISE_HU, BLUR_MM = 300.0, 40.0, 15.0, 0.5
SIZE_MM = (60.0, 60.0, 80.0)
FINER = 3  # sub-voxels along each axis
STEPS = {"1 x 1 x 1": (1.0, 1.0, 1.0), "0.7 x 0.7 x 2.5": (0.7, 0.7, 2.5)}
MOST_UNSEEDED_MM = 6.0  # ct-vessels looks for no wider ones
END_MM, END_RADII = 6.0, 1.5  # of the line's ends left out: a line's end turns into a corner of the vessel's


@dataclass(frozen=True)
class Shape:
    """name; its centreline (n, 3) mm, radius (n,) mm, and those of what branches off."""

    name: str
    line_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    branch_mm: NDArray[np.float64]
    branch_radius_mm: float = 0.0


def shapes() -> list[Shape]:
    """The shapes, centres between 10 mm and the box's other end."""
    t = np.linspace(0, 1, 800)
    upright = np.column_stack([30.3 + 0 * t, 29.6 + 0 * t, 8 + 64 * t])
    oblique = np.column_stack([15 + 30 * t, 20 + 18 * t, 10 + 60 * t])
    angle = np.pi * t
    bend = np.column_stack([30 - 15 * np.cos(angle), 30 + 0 * t, 30 + 25 * np.sin(angle)])
    none = np.zeros((0, 3))
    branch = np.column_stack([30 + 25 * t, 30 + 0 * t, 40 + 18 * t])
    found = [
        Shape(f"{name}, r {radius:g}", line, np.full(800, radius), none)
        for radius in (1.0, 1.5, 2.0, 3.0, 6.0, 12.0)
        for name, line in (("upright", upright), ("oblique", oblique), ("bend of 15 to 25 mm", bend))
        if not (radius == 12.0 and line is bend)
    ]
    found.append(Shape("tapered, r 6 to 2", oblique, 6 - 4 * t, none))
    found.append(Shape("r 6 with a branch of r 3", upright, np.full(800, 6.0), branch, 3.0))
    return found


def image_of(shape: Shape, step: tuple[float, float, float], seed: int = 0) -> NDArray[np.float32]:
    """HU [i, j, k] on voxels whose first centre lies at 0 mm."""
    size = [int(mm / s) for mm, s in zip(SIZE_MM, step, strict=True)]
    axes = [(np.arange(n * FINER) + 0.5) * s / FINER - s / 2 for n, s in zip(size, step, strict=True)]
    share = np.zeros([n * FINER for n in size], dtype=np.float32)
    lines = [(shape.line_mm, shape.radius_mm)]
    if len(shape.branch_mm):
        lines.append((shape.branch_mm, np.full(len(shape.branch_mm), shape.branch_radius_mm)))
    for line, radius in lines:
        low, high = line.min(axis=0) - radius.max() - 1, line.max(axis=0) + radius.max() + 1
        box = tuple(slice(*np.searchsorted(axis, (a, b))) for axis, a, b in zip(axes, low, high, strict=True))
        grid = np.stack(np.meshgrid(*(axis[part] for axis, part in zip(axes, box, strict=True)), indexing="ij"), -1)
        away, nearest = cKDTree(line).query(grid.reshape(-1, 3), distance_upper_bound=radius.max() + 0.5)
        inside = away <= radius[np.minimum(nearest, len(radius) - 1)]
        share[box] = np.maximum(share[box], inside.reshape(grid.shape[:3]))
    shape_of = [part for n in size for part in (n, FINER)]
    values = share.reshape(shape_of).mean(axis=(1, 3, 5)) * (LUMEN_HU - TISSUE_HU) + TISSUE_HU
    values = ndimage.gaussian_filter(values, [BLUR_MM / s for s in step])
    return np.asarray(values + np.random.default_rng(seed).normal(0, NOISE_HU, values.shape), dtype=np.float32)


def errors(shape: Shape, step: tuple[float, float, float], seeded: bool = True) -> dict[str, NDArray[np.float64]] | str:
    """Of the lines in mm: off the truth's centrelines, radius minus the truth's, and the share of the truth's length
    that lies in them (within its radius and a voxel of a line); or why nothing came. Not seeded: of ct-vessels."""
    hu = image_of(shape, step)
    seed = np.rint(shape.line_mm[400] / step).astype(np.intp)
    try:
        region = np.ones(hu.shape, dtype=bool)
        mask = grown_vessel(hu, region, seed[None], step) if seeded else find_tubes(hu, region, ELSEWHERE, step)
        tree = measured_tree(hu, mask, step)
    except InputError as error:
        return f"refused: {error.received}"
    kept = [_without_ends(line, max(END_MM, END_RADII * float(np.median(line.radius_mm)))) for line in tree]
    points, measured = np.concatenate([one.points_mm for one in kept]), np.concatenate([one.radius_mm for one in kept])
    if not len(points):
        return "too short"
    truth = np.concatenate([shape.line_mm, shape.branch_mm])
    radius = np.concatenate([shape.radius_mm, np.full(len(shape.branch_mm), shape.branch_radius_mm)])
    away, nearest = cKDTree(truth).query(points)
    back, _ = cKDTree(np.concatenate([line.points_mm for line in tree])).query(truth)
    covered = (back < radius + max(step)).mean()
    return {"off": away, "radius": measured - radius[nearest], "covered": np.array([covered])}


def _without_ends(line: VesselLine, end_mm: float) -> VesselLine:
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line.points_mm, axis=0), axis=1))])
    inner = (run > end_mm) & (run < run[-1] - end_mm)
    return VesselLine(line.points_mm[inner], line.radius_mm[inner])


def lines() -> list[str]:
    """The table in Markdown."""
    found = [
        "| segmenter | vessel, mm | voxels, mm | centreline off: mean, 95 %, max, mm"
        " | radius off: mean, 95 %, max, mm | length |",
        "|---|---|---|---|---|--:|",
    ]
    for seeded in (True, False):
        for step_name, step in STEPS.items():
            for shape in shapes():
                if not seeded and float(shape.radius_mm.max()) > MOST_UNSEEDED_MM:
                    continue
                start = f"| `{'ct-vessel' if seeded else 'ct-vessels'}` | {shape.name} | {step_name} |"
                got = errors(shape, step, seeded)
                if isinstance(got, str):
                    found.append(f"{start} {got} | | |")
                    continue
                off, radius = got["off"], got["radius"]
                found.append(
                    f"{start} {off.mean():.2f}, {np.percentile(off, 95):.2f}, {off.max():.2f} |"
                    f" {radius.mean():+.2f}, {np.percentile(np.abs(radius), 95):.2f}, {np.abs(radius).max():.2f} |"
                    f" {got['covered'][0]:.0%} |"
                )
    return found


if __name__ == "__main__":
    print("\n".join(lines()))
