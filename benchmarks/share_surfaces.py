"""How far the surface that is drawn from shares of voxels lies from the analytic one.

    python -m benchmarks.share_surfaces [--voxel 1 1 1] [--scenes 40]

Solids of random place, direction and size, and the parts of the abdominal phantom, on voxels of that size (mm); the
surface is cut at half a voxel's edge. The distance is signed, outside positive, over all vertices.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from navplan.geometry.grid import Grid
from navplan.imaging.surfaces import display_surface
from navplan.model.structure import Presence, Structure
from navplan_phantoms.abdomen_anatomy import abdomen_anatomy
from navplan_phantoms.anatomy_parts import AbdomenShape
from navplan_phantoms.ellipsoid import Ellipsoid
from navplan_phantoms.primitives import Capsule, Sphere
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solid_base import Solid
from navplan_phantoms.tube import RoundCone

SEED = 9000
SAMPLES = 8  # each way in a voxel
PARTS = ("liver", "lesion", "spleen", "kidney_left", "kidney_right", "gallbladder", "aorta", "stomach")


def solids(kind: str, count: int) -> Iterator[Solid]:
    """Solids whose smallest radius is 1.5 mm or more, within 30 mm of the origin."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        centre, along = rng.uniform(-2, 2, 3), rng.normal(size=3)
        along *= rng.uniform(4, 12) / np.linalg.norm(along)
        if kind == "ball":
            yield Sphere(centre, rng.uniform(1.5, 20))
        elif kind == "ellipsoid":
            turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            yield Ellipsoid(centre, rng.uniform(5, 20, 3), turn * np.sign(np.linalg.det(turn)))
        elif kind == "capsule":
            yield Capsule(centre - along, centre + along, rng.uniform(1.5, 6))
        else:
            thick = rng.uniform(3, 6)
            yield RoundCone(centre - along, centre + along, thick, thick - rng.uniform(0, 1.5))


def grid_around(solid: Solid, voxel_mm: tuple[float, float, float]) -> Grid:
    """The grid of such voxels, three of them wider than the solid's box on each side."""
    low, high = np.asarray(solid.bounds_mm()[0]), np.asarray(solid.bounds_mm()[1])
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = low - 3 * np.asarray(voxel_mm)
    count = np.ceil((high - low) / voxel_mm).astype(int) + 7
    return Grid(affine, (int(count[0]), int(count[1]), int(count[2])))


def errors_mm(solid: Solid, voxel_mm: tuple[float, float, float]) -> np.ndarray:
    """Signed distance of the drawn surface's vertices to the solid's."""
    grid = grid_around(solid, voxel_mm)
    drawn = rasterise(solid, grid.affine, grid.shape, SAMPLES)
    structure = Structure(
        "liver", Presence.PRESENT, drawn.occupancy, grid.crop(drawn.offset, drawn.occupancy.shape),
        fractional=True, evaluated_in=grid,
    )  # fmt: skip
    surface = display_surface(structure, spacing_mm=min(voxel_mm) / 2, max_triangles=10**8)
    return np.asarray(solid.signed_distance_mm(surface.points_mm))


def row(name: str, found: list[np.ndarray]) -> str:
    """One line: how many surfaces; mean, root mean square, 95th percentile and largest of the distance, mm."""
    all_ = np.concatenate(found)
    far, rms = np.abs(all_), np.sqrt((all_**2).mean())
    numbers = " | ".join(f"{value:.3f}" for value in (all_.mean(), rms, np.percentile(far, 95), far.max()))
    return f"| {name} | {len(found)} | {numbers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxel", nargs=3, type=float, default=(1.0, 1.0, 1.0), metavar="MM")
    parser.add_argument("--scenes", type=int, default=40)
    options = parser.parse_args()
    voxel = tuple(options.voxel)
    print("| solid | surfaces | mean | RMS | 95 % | largest, mm |\n|---|--:|--:|--:|--:|--:|")
    for kind in ("ball", "ellipsoid", "capsule", "cone"):
        print(row(kind, [errors_mm(solid, voxel) for solid in solids(kind, options.scenes)]), flush=True)
    anatomy = abdomen_anatomy(AbdomenShape())
    for name in PARTS:
        print(row(f"phantom's {name}", [errors_mm(anatomy.solid(name), voxel)]), flush=True)


if __name__ == "__main__":
    main()
