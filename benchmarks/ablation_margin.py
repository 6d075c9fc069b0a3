"""Do a stated ablative margin, and a distance to the zone, hold the truth? Analytic solids as labels.

    python -m benchmarks.ablation_margin [--scenes 780] [--first 20000] [--hard]

Balls, capsules and boxes on grids in any direction (voxels of .5 to 1.2 mm, a fifth of .7 x .7 x 2.5), in or beside
ellipsoids in any direction. Truth: a box's margin is that of its corners, since the depth is concave; of a ball or a
capsule it is that of very many points; distances of capsules are those of their axis, of boxes a minimisation.

Exit code: 0; 1 if any interval was violated.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.planning.ablation_margin import distance_to, margin_in
from navplan.planning.ablation_zone import Ellipsoid
from navplan.planning.boundary import boundary_of
from navplan_phantoms.primitives import Box, Capsule, Sphere
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solid_base import Solid

Array = NDArray[np.float64]
SHAPES, MODES = ("sphere", "capsule", "box"), ("margin", "distance")
POINTS = 200_000
SAMPLED_MM = 0.02  # what the truth of a ball or a capsule, sampled, may be off


def unit(rng: np.random.Generator) -> Array:
    """A direction."""
    found = rng.standard_normal(3)
    return np.asarray(found / np.linalg.norm(found))


def solid_with_truth(
    shape: str, mode: str, centre: Array, zone: Ellipsoid, rng: np.random.Generator
) -> tuple[Solid, float]:
    """A solid about a point, and its margin in the zone or its distance to it."""
    (x, y, z), ball = centre, rng.standard_normal((POINTS, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    if shape == "box":
        half = rng.uniform(2, 8, 3)
        corners = centre + np.stack(np.meshgrid(*[(-1, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * half
        solid: Solid = Box((x, y, z), (half[0], half[1], half[2]))
        if mode == "margin":
            return solid, float(zone.depth_mm(corners).min())
        within = list(zip(centre - half, centre + half, strict=True))
        found = [
            minimize(
                lambda p: -zone.depth_mm(p[None])[0], centre + rng.uniform(-1, 1, 3) * half, method="L-BFGS-B",
                jac=lambda p: zone.depth_and_normal(p[None])[1][0], bounds=within,
                options={"ftol": 1e-14, "gtol": 1e-10},
            ).fun
            for _ in range(4)
        ]  # fmt: skip
        return solid, float(min(found))
    radius = float(rng.uniform(2, 8))
    end = centre + rng.uniform(-8, 8, 3) if shape == "capsule" else centre
    solid = Capsule((x, y, z), tuple(end), radius) if shape == "capsule" else Sphere((x, y, z), radius)
    if mode == "margin":
        points = np.concatenate([centre + radius * ball, end + radius * ball])
        return solid, float(zone.depth_mm(points).min())
    axis = centre + np.linspace(0, 1, 20_001)[:, None] * (end - centre)
    return solid, float(-zone.depth_mm(axis).max()) - radius


def labels_of(solid: Solid, centre: Array, spacing: Array, turn: Array, samples: int, hard: bool) -> Structure | None:
    """The solid on a turned grid; None where no voxel's centre lies in it."""
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    shape = np.ceil(70.0 / spacing).astype(int)
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))
    part = rasterise(solid, grid.affine, grid.shape, samples)
    own, occupancy = grid.crop(part.offset, part.occupancy.shape), part.occupancy
    if hard:
        points = own.points_mm(np.moveaxis(np.indices(occupancy.shape), 0, -1)).reshape(-1, 3)
        inside = solid.signed_distance_mm(points).reshape(occupancy.shape) <= 0
        occupancy = np.where(inside, 255, 0).astype(np.uint8)
    if not occupancy.any():
        return None
    x, y, z = spacing.tolist()
    return Structure("x", Presence.PRESENT, occupancy, own, not hard, grid, working_resolution_mm=(x, y, z))


def main() -> int:
    """Make the scenes, count what lies outside its interval, and tell how wide the intervals are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=780)
    parser.add_argument("--first", type=int, default=20_000)
    parser.add_argument("--hard", action="store_true", help="labels by voxel centre")
    options = parser.parse_args()
    widths: dict[tuple[str, str], list[float]] = {}
    violated = unproven = 0
    for seed in range(options.first, options.first + options.scenes):
        rng = np.random.default_rng(seed)
        shape, mode = SHAPES[seed % 3], MODES[seed // 3 % 2]
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0] if rng.random() > 0.3 else np.eye(3)
        turn[:, 0] *= np.sign(np.linalg.det(turn))
        spacing = rng.uniform(0.5, 1.2, 3) if rng.random() > 0.2 else np.asarray([0.7, 0.7, 2.5])
        zone = Ellipsoid(rng.uniform(-2, 2, 3), unit(rng), rng.uniform(8, 25), rng.uniform(8, 20))
        away = rng.uniform(-6, 6, 3) if mode == "margin" else unit(rng) * rng.uniform(10, 35)
        centre = zone.centre_mm + away
        solid, truth = solid_with_truth(shape, mode, centre, zone, rng)
        labels = labels_of(solid, centre, spacing, turn, (4, 8)[seed % 2], options.hard)
        if labels is None or (mode == "distance" and truth < 0 and shape != "box"):
            continue  # how deep a capsule reaches in is not told by its axis
        found = (margin_in if mode == "margin" else distance_to)(zone, boundary_of(labels))
        if not found.proven:
            unproven += 1
            continue
        low, high = found.interval.low_mm, found.interval.high_mm
        widths.setdefault((mode, shape), []).append(high - low)
        slack = 1e-4 if shape == "box" or mode == "distance" else SAMPLED_MM
        if not low - 1e-6 - slack * (mode == "distance") <= truth <= high + slack:
            violated += 1
            print(f"seed {seed}: {mode} of a {shape}: {truth:.4f} outside {low:.4f} to {high:.4f} mm")
    print(f"{violated} of {sum(map(len, widths.values()))} intervals violated; {unproven} not proven, and said so")
    for (mode, shape), values in sorted(widths.items()):
        print(f"{mode:9} {shape:8} {len(values):4}  width, mm: median {np.median(values):.2f}, 99 % ", end="")
        print(f"{np.percentile(values, 99):.2f}, largest {max(values):.2f}")
    return int(violated > 0)


if __name__ == "__main__":
    sys.exit(main())
