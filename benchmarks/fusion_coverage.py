"""Fusion's expected error against true ones: patients who moved between two images by known deformations.

    python -m benchmarks.fusion_coverage [--real IMAGES] [--kind rigid] [--world abdomen] [--trials 2] [--workers 1]
        [--keep FILE] [--out docs/fusion-coverage.md]

Worlds are anatomies times deformations (`benchmarks.known_deformations`); each trial has a seed, and is registered by
each kind of map. --keep: a file to which each result is written, and from which those that are there are read instead
of run; all that it holds is told. Exit code 1 where fewer than 95 % of all points are covered.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.fusion_trials import MARK, images, table
from benchmarks.known_deformations import KINDS, Body, Deformation, deformed, field
from navplan.geometry.grid import Grid
from navplan.imaging.deformable import FoundDeformable, register_deformable
from navplan.imaging.fusion import FoundRegistration, register_images
from navplan.model.volume import Volume

FIRST_SEED = 1101
PHANTOMS = ("abdomen", "chest", "lumbar")
REAL = "real chest"
MAPS = ("rigid", "affine", "deformable")
SPACING_MM, NOISE_HU = (2.5, 2.5, 2.5), 15.0
MOST_TURN_DEG, MOST_SHIFT_MM = 20.0, 60.0
POINTS = 2000
STATED, MOVED_MM = 0.95, 3.0
PAGE = Path(__file__).with_name("fusion_coverage_page.md")


@dataclass(frozen=True)
class Result:
    """covered: share of points; covered_moved: of those that lie off by more than MOVED_MM, None without any; true_mm,
    told_mm: medians of true and told error; true_95_mm, told_95_mm: what 95 of 100 stay under."""

    world: str
    deformation: str
    contrast: str
    seed: int
    map: str
    covered: float
    covered_moved: float | None
    moved: float
    true_mm: float
    true_95_mm: float
    told_mm: float
    told_95_mm: float
    flags: tuple[str, ...]
    seconds: float


@cache
def patient(world: str, folder: Path | None) -> tuple[Volume, NDArray[np.float64]]:
    """The fixed image without noise of a phantom, or the real one; points (N, 3) of structures, LPS mm."""
    if world == REAL:
        assert folder is not None
        return images(folder, "chest")[0], np.zeros((0, 3))
    from navplan_phantoms.abdomen import AbdomenPhantom
    from navplan_phantoms.lumbar import LumbarPhantom
    from navplan_phantoms.thorax import ChestPhantom

    make = {"abdomen": AbdomenPhantom, "chest": ChestPhantom, "lumbar": LumbarPhantom}[world]
    made = make().make(spacing_mm=SPACING_MM, noise_hu=0.0)
    shape = made.voxels.shape
    grid = Grid(made.affine, (shape[0], shape[1], shape[2]))
    rng, places = np.random.default_rng(0), []
    for name, one in made.structures.items():
        inside = np.argwhere(one.occupancy >= 128)
        if name not in ("body", "skin") and len(inside):
            places.append(inside[rng.integers(0, len(inside), 40)] + np.asarray(one.offset))
    return Volume(made.voxels, grid, "CT", "HU"), grid.points_mm(np.concatenate(places))


def scene(
    world: str, kind: str, seed: int, folder: Path | None
) -> tuple[Volume, Volume, Deformation, NDArray[np.float64], str, str]:
    """Fixed and moving image, what lies between them, points (N, 3) of the fixed one, words, and the contrast."""
    rng = np.random.default_rng([seed, *world.encode(), *kind.encode()])
    ct, places = patient(world, folder)
    body = Body.of(ct)
    diaphragm = body.middle_mm[2] - 0.25 * body.size_mm[2] if "chest" in world else None
    v, words = field(kind, body, rng, diaphragm)
    axis, way = (one / np.linalg.norm(one) for one in rng.normal(size=(2, 3)))
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(axis * np.radians(rng.uniform(0, MOST_TURN_DEG))).as_matrix()
    motion[:3, 3] = body.middle_mm - motion[:3, :3] @ body.middle_mm + way * rng.uniform(0, MOST_SHIFT_MM)
    made = Deformation(v, motion)
    contrast = ("CT", "MR")[(seed + KINDS.index(kind) + len(world)) % 2]
    spacing = ct.grid.spacing_mm * np.exp(rng.uniform(0.0, np.log(1.5), 3))
    moving = deformed(ct, made, spacing, contrast, NOISE_HU, rng)
    if world != REAL:
        noise = np.rint(rng.normal(0.0, NOISE_HU, ct.voxels.shape))
        ct = replace(ct, voxels=(np.asarray(ct.voxels) + noise).astype(np.int16))
    points = np.concatenate([body.random_points(rng, POINTS), places])
    return ct, moving, made, points, words, contrast


def to_moving(found: FoundRegistration) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The map of points of the fixed image."""
    return found.to_moving if isinstance(found, FoundDeformable) else found.transform.inverse().apply


def trial(world: str, kind: str, seed: int, name: str, folder: Path | None) -> Result:
    """One patient, by one kind of map."""
    fixed, moving, made, points, words, contrast = scene(world, kind, seed, folder)
    begin = time.perf_counter()
    if name == "deformable":
        found: FoundRegistration = register_deformable(fixed, moving, own_coordinates=False)
    else:
        found = register_images(fixed, moving, kind="affine" if name == "affine" else "rigid", own_coordinates=False)
    spent = time.perf_counter() - begin
    true = np.linalg.norm(to_moving(found)(points) - made.moving_from_fixed(points), axis=1)
    told = found.error_map.error_mm(points)
    covered, moved = true <= told, true > MOVED_MM
    return Result(
        world, words, contrast, seed, name, float(covered.mean()),
        float(covered[moved].mean()) if moved.any() else None, float(moved.mean()), float(np.median(true)),
        float(np.quantile(true, STATED)), float(np.median(told)), float(np.quantile(told, STATED)),
        tuple(one.name for one in found.checks if one.verdict != "passed"), spent,
    )  # fmt: skip


def kept(path: Path | None) -> dict[tuple[str, str, int, str], Result]:
    """Those of a file."""
    if path is None or not path.exists():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        one = Result(**{**row["result"], "flags": tuple(row["result"]["flags"])})
        found[one.world, row["kind"], one.seed, one.map] = one
    return found


def summary(name: str, results: list[Result]) -> list[str]:
    """A row of the first table."""

    def of(key: str) -> NDArray[np.float64]:
        return np.array([getattr(one, key) for one in results], dtype=np.float64)

    moved = [(one.covered_moved, one.moved) for one in results if one.covered_moved is not None]
    share = np.average([a for a, _ in moved], weights=[b for _, b in moved]) if moved else np.nan
    good = [one for one in results if not one.flags]
    return [
        name, str(len(results)), f"{100 * of('covered').mean():.1f}",
        "" if np.isnan(share) else f"{100 * share:.1f}", f"{100 * of('covered').min():.1f}",
        f"{int((of('covered') < STATED).sum())}",
        f"{np.median(of('true_mm')):.1f} / {np.median(of('true_95_mm')):.1f}",
        f"{np.median(of('told_mm')):.1f} / {np.median(of('told_95_mm')):.1f}", str(len(good)),
        f"{max(one.true_95_mm for one in good):.1f}" if good else "",
    ]  # fmt: skip


HEAD = (
    "", "trials", "covered, %", "covered where it moved, %", "worst trial, %", "trials under 95 %",
    "true error, median / 95 of 100, mm", "told, median / 95 of 100, mm", "called good",
    "most of their true errors (95 of 100), mm",
)  # fmt: skip
HEAD_OF_ALL = ("world", "moved by", "contrast", "seed", "map", "covered, %", "where it moved, %", "true, mm",
               "told, mm", "checks", "s")  # fmt: skip


def row(one: Result) -> list[str]:
    """A row of the second table."""
    moved = "" if one.covered_moved is None else f"{100 * one.covered_moved:.0f}"
    return [
        one.world, one.deformation, one.contrast, str(one.seed), one.map, f"{100 * one.covered:.1f}", moved,
        f"{one.true_mm:.1f} / {one.true_95_mm:.1f}", f"{one.told_mm:.1f} / {one.told_95_mm:.1f}",
        ", ".join(one.flags) or "good", f"{one.seconds:.0f}",
    ]  # fmt: skip


def summaries(results: list[Result]) -> Iterator[list[str]]:
    """Rows of the first table: by map, then by map and deformation, then by map and world."""
    for name in MAPS:
        mine = [one for one in results if one.map == name]
        if not mine:
            continue
        yield summary(f"**{name}**", mine)
        for words in ("nothing", "breathing", "bulge", "bent"):
            part = [one for one in mine if one.deformation.startswith(words)]
            if part:
                yield summary(f"{name}, {words}", part)
        for world in (*PHANTOMS, REAL):
            part = [one for one in mine if one.world == world]
            if part:
                yield summary(f"{name}, {world}", part)


def main() -> int:
    """Runs the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="IMAGES")
    parser.add_argument("--world", choices=(*PHANTOMS, REAL), action="append")
    parser.add_argument("--deformation", choices=KINDS, action="append")
    parser.add_argument("--map", choices=MAPS, action="append")
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="the first one")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    worlds = given.world or [*PHANTOMS, *([REAL] if given.real else [])]
    there = kept(given.keep)
    told = dict(there)
    with ProcessPoolExecutor(given.workers) as pool:
        asked = [
            (world, kind, seed, name)
            for name in given.map or MAPS
            for seed in range(given.seed, given.seed + given.trials)
            for world in worlds
            for kind in given.deformation or KINDS
        ]
        jobs = {one: pool.submit(trial, *one, given.real) for one in asked if one not in there}
        for one in asked:
            found = there[one] if one in there else jobs[one].result()
            told[one] = found
            print(" | ".join(row(found)), flush=True)
            if given.keep and one in jobs:
                with given.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"kind": one[1], "result": asdict(found)}) + "\n")
    results = list(told.values())
    found_table = table(HEAD, list(summaries(results))) + "\n\n" + table(HEAD_OF_ALL, [row(one) for one in results])
    print(found_table)
    if given.out:
        given.out.write_text(PAGE.read_text(encoding="utf-8").replace(MARK, found_table), encoding="utf-8")
    return 0 if np.mean([one.covered for one in results]) >= STATED else 1


if __name__ == "__main__":
    raise SystemExit(main())
