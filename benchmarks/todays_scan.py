"""A plan on the chest CT, carried to today's scan with the needle half way in: how far off, and what corrects it.

    python -m benchmarks.todays_scan CASE [--protocol lung-biopsy --target mass --side L] [--seeds 3] [--out PAGE.md]

Today's scan is the case's own image, turned, shifted and breathed in (a shift to the feet that grows towards the
diaphragm), in slices of 5 mm, without a label, with a needle in it that went in a few degrees off. Where each point has
gone is therefore known. What is told (registration's error, tip, correction) is compared with it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.geometry.lines import distance_points_to_segment, perpendicular_axes, unit
from navplan.model.case import Case
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import open_case
from navplan.verbs.needle import needle_in
from navplan.verbs.plan import plan
from navplan.verbs.transfer import transfer

THICK_MM, STEEL_HU, MOST_HU = 5.0, 8000.0, 3071.0
NEEDLE_MM = 170.0


class Motion:
    """Where a point of the planning image lies today: turned about the middle, shifted, and moved by the breath."""

    def __init__(
        self, middle_mm: NDArray[np.float64], low_mm: float, rng: np.random.Generator, breath_mm: float
    ) -> None:
        turns = np.radians(rng.uniform(-6.0, 6.0, 3))
        self.turn = np.eye(3)
        for axis, angle in enumerate(turns):
            one = np.eye(3)
            first, second = (axis + 1) % 3, (axis + 2) % 3
            one[first, first] = one[second, second] = np.cos(angle)
            one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
            self.turn = one @ self.turn
        self.shift, self.middle = rng.uniform(-15.0, 15.0, 3), middle_mm
        self.low_mm, self.breath_mm = low_mm, breath_mm

    def breath(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) of the planning image: to the feet and a little to the front, most at the image's lower end."""
        share = np.exp(-((points[..., 2] - self.low_mm) / 90.0) ** 2)
        return share[..., None] * self.breath_mm * np.array([0.0, -0.25, -1.0])

    def there(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Today's place of points (..., 3)."""
        moved = points + self.breath(points) - self.middle
        return np.asarray(moved @ self.turn.T + self.middle + self.shift)

    def back(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The planning image's place of today's points, by fixed-point steps (the breath is smooth)."""
        still = (points - self.shift - self.middle) @ self.turn + self.middle
        found = still
        for _ in range(12):
            found = still - self.breath(found)
        return np.asarray(found)


def todays(
    volume: Volume, motion: Motion, tip: NDArray[np.float64], hub: NDArray[np.float64], rng: np.random.Generator
) -> Volume:
    """The image after the motion, in slices of THICK_MM averaged over their thickness, with the needle."""
    spacing = np.array([*np.asarray(volume.grid.spacing_mm)[:2], THICK_MM])
    corners = motion.there(volume.grid.corners_mm())
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, side = (low + high) / 2, np.minimum(high - low, np.asarray(volume.grid.shape) * volume.grid.spacing_mm)
    shape = tuple(int(n) for n in np.ceil(side / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = middle - (np.asarray(shape) - 1) / 2 * spacing
    grid, values = Grid(affine, shape), np.asarray(volume.voxels)
    hu = np.empty(shape, dtype=np.float32)
    for k in range(shape[2]):
        index = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), [float(k)], indexing="ij"), axis=-1)
        layers = []
        for part in (-0.3, 0.0, 0.3):
            points = grid.points_mm(index[:, :, 0] + np.array([0.0, 0.0, part]))
            at = volume.grid.indices(motion.back(points)).reshape(-1, 3).T
            layers.append(map_coordinates(values, at, output=np.float32, order=1, mode="constant", cval=-1000.0))
        hu[:, :, k] = np.mean(layers, axis=0).reshape(shape[:2])
    _paint(hu, grid, tip, hub)
    hu += rng.normal(0.0, 12.0, shape)
    acquisition = replace(volume.acquisition, slice_thickness_mm=THICK_MM)
    return Volume(np.rint(np.clip(hu, -1024, MOST_HU)).astype(np.int16), grid, acquisition=acquisition)


def _paint(hu: NDArray[np.float32], grid: Grid, tip: NDArray[np.float64], hub: NDArray[np.float64]) -> None:
    """The needle's share of each voxel, by 6 x 6 x 10 samples."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    ends = grid.indices(np.stack([tip, hub]))
    low, high = np.floor(ends.min(0)).astype(int) - 4, np.ceil(ends.max(0)).astype(int) + 5
    low, high = np.clip(low, 0, grid.shape), np.clip(high, 0, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    at = grid.points_mm(index[box])
    near = distance_points_to_segment(at.reshape(-1, 3), hub, tip)[0].reshape(at.shape[:3]) < 5.0
    share = np.zeros(int(near.sum()))
    for i, j, k in np.ndindex(6, 6, 10):
        step = ((np.array([i, j, k]) + 0.5) / [6, 6, 10] - 0.5) * grid.spacing_mm
        share += (distance_points_to_segment(at[near] + step, hub, tip)[0] <= 0.735) / 360.0
    part = hu[box]
    part[near] += share * (STEEL_HU - part[near])


def one(case: Case, way: Trajectory, plan_id: str, seed: int, breath_mm: float) -> list[str]:
    """A row: what was done, what was told, what is true."""
    rng = np.random.default_rng(seed)
    image_id = case.plans[plan_id].provenance.image_id
    volume = case.volumes[image_id]
    corners = volume.grid.corners_mm()
    motion = Motion(corners.mean(axis=0), float(corners[:, 2].min()), rng, breath_mm)
    skin, target = (motion.there(np.asarray(point)) for point in (way.entry_mm, way.target_mm))
    planned = unit(target - skin)
    across = perpendicular_axes(planned)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    off = np.tan(np.radians(rng.uniform(2.0, 7.0))) * (np.cos(turn) * across[0] + np.sin(turn) * across[1])
    direction = unit(planned + off)
    tip = skin + 0.5 * way.depth_mm * direction
    scan = todays(volume, motion, tip, tip - NEEDLE_MM * direction, rng)
    with_scan = replace(case, volumes={**case.volumes, "today": scan})
    begin = time.perf_counter()
    try:
        done = transfer(with_scan, plan_id, "today")
        found = needle_in(done.case, done.plan)
    except InputError as error:
        return [str(seed), f"{breath_mm:g}", "refused: " + str(error).split(". Expected")[0][:110], "", "", "", "", ""]
    spent = time.perf_counter() - begin
    made = done.plan.trajectories[0].trajectory
    target_off = float(np.linalg.norm(np.asarray(made.target_mm) - target))
    told = done.plan.carried.expected_error_mm if done.plan.carried else np.nan
    tip_off = float(np.linalg.norm(found.needle.tip_mm - tip))
    angle_off = float(np.degrees(np.arccos(np.clip(found.needle.direction @ direction, -1.0, 1.0))))
    pivot = found.correction.from_mm
    on = direction if found.correction.turn_deg == 0.0 else unit(np.asarray(made.target_mm) - pivot)
    true_pivot = tip - found.correction.withdraw_mm * direction
    end = true_pivot + (found.correction.advance_mm + made.tip_short_of_target_mm) * on
    missed = float(np.linalg.norm(np.cross(target - true_pivot, on))), float(np.linalg.norm(end - target))
    before = float(np.linalg.norm(np.cross(target - tip, direction)))
    return [
        str(seed), f"{breath_mm:g}", f"{told:.1f}", f"{target_off:.1f}", f"{tip_off:.1f} / {angle_off:.1f}",
        found.correction.words, f"{before:.1f} -> {missed[1]:.1f}", f"{spent:.0f} s",
    ]  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--protocol", default="lung-biopsy")
    parser.add_argument("--target", default="mass")
    parser.add_argument("--side", default="L")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    case = open_case(options.case)
    made = plan(case, options.protocol, options.target, side=options.side)
    case = case.with_plan(made)
    lines = [
        "| seed | breath, mm | error told, mm | true, mm | tip / angle off, mm / deg | correction |"
        " miss before -> after, mm | took |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for seed in range(options.seeds):
        for breath in (0.0, 8.0, 16.0):
            lines.append("| " + " | ".join(one(case, made.best.trajectory, made.id, seed, breath)) + " |")
            print(lines[-1], flush=True)
    if options.out:
        head = options.out.read_text(encoding="utf-8").split("<!-- figures -->")[0] if options.out.exists() else ""
        options.out.write_text(head + "<!-- figures -->\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
