"""Images of a patient who moved: deformations that are known at every point, and images made by them.

A deformation is given where the moving image lies: it shows at M y what the fixed one shows at y + v(y). The place of a
point of the fixed image is found by iteration, to a thousandth of a millimetre.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.fusion_scenes import as_mr
from navplan.geometry.grid import Grid
from navplan.imaging.body import find_body
from navplan.model.volume import Volume

Points = NDArray[np.float64]
Field = Callable[[Points], Points]
KINDS = ("none", "breathing", "bulge", "bent")
BREATH_MM = np.array([1.0, -4.0, 12.0])  # left, back, head: what the diaphragm moves


@dataclass(frozen=True, eq=False)
class Deformation:
    """v: (N, 3) to (N, 3), mm; motion: (4, 4) of the whole patient afterwards, fixed to moving image."""

    v: Field
    motion: NDArray[np.float64]

    def moving_from_fixed(self, points_mm: Points) -> Points:
        """(N, 3) where points of the fixed image lie in the moving one."""
        there = points_mm.copy()
        for _ in range(60):
            there = points_mm - self.v(there)
        return np.asarray(there @ self.motion[:3, :3].T + self.motion[:3, 3])

    def fixed_from_moving(self, points_mm: Points) -> Points:
        """(N, 3) the other way round, exact."""
        back = np.linalg.inv(self.motion)
        there = points_mm @ back[:3, :3].T + back[:3, 3]
        return np.asarray(there + self.v(there))


@dataclass(frozen=True, eq=False)
class Body:
    """Of a fixed image: how deep (mm) its points lie under the skin, on a grid; middle and size (3,) mm; back: the
    middle of the spine in left and back direction."""

    depth: NDArray[np.float32]
    grid: Grid
    middle_mm: Points
    size_mm: Points
    spine_mm: Points

    @staticmethod
    def of(ct: Volume) -> Body:
        """Raises InputError where no body is found."""
        factors = [max(round(5.0 / mm), 1) for mm in ct.grid.spacing_mm]
        mask = np.asarray(find_body(ct).body)[:: factors[0], :: factors[1], :: factors[2]]
        affine = ct.grid.affine.copy()
        affine[:3, :3] *= factors
        grid = Grid(affine, (mask.shape[0], mask.shape[1], mask.shape[2]))
        closed = np.pad(mask, ((1, 1), (1, 1), (0, 0)))
        depth = np.stack(
            [ndimage.distance_transform_edt(one, sampling=grid.spacing_mm[:2]) for one in np.moveaxis(closed, 2, 0)],
            axis=2,
        )[1:-1, 1:-1]
        depth = ndimage.gaussian_filter(depth.astype(np.float32), 8.0 / grid.spacing_mm)
        points = grid.points_mm(np.argwhere(mask))
        low, high = points.min(axis=0), points.max(axis=0)
        spine = np.array([(low[0] + high[0]) / 2, high[1] - 0.25 * (high[1] - low[1]), 0.0])
        return Body(depth, grid, (low + high) / 2, high - low, spine)

    def depth_mm(self, points_mm: Points) -> NDArray[np.float64]:
        """(N,) under the skin, 0 outside."""
        at = self.grid.indices(points_mm)
        return np.asarray(ndimage.map_coordinates(self.depth, at.T, order=1, mode="nearest"), dtype=np.float64)

    def random_points(self, rng: np.random.Generator, count: int) -> Points:
        """(count, 3) inside."""
        inside = np.argwhere(self.depth > 2.0)
        chosen = inside[rng.integers(0, len(inside), count)]
        return self.grid.points_mm(chosen + rng.uniform(-0.5, 0.5, chosen.shape))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    held = np.clip(values, 0.0, 1.0)
    return held * held * (3.0 - 2.0 * held)


def field(kind: str, body: Body, rng: np.random.Generator, diaphragm_mm: float | None = None) -> tuple[Field, str]:
    """One of KINDS in a body, and words of it. diaphragm_mm: its height (S); above it, what moves fades to the top of
    the image within the lungs; None: all of the image lies at or below it.

    breathing: BREATH_MM inside, times 0.7 to 1.1, nothing at the spine and at the skin (12 mm over about 40); bulge: 6
    to 14 mm, by a Gaussian of 22 to 40 mm; bent: the whole body along a bow, 3 to 7 degrees at each end, to any side.
    """
    if kind == "none":
        return lambda points: np.zeros_like(points), "nothing"
    if kind == "breathing":
        size = rng.uniform(0.7, 1.1)
        top = body.middle_mm[2] + body.size_mm[2] / 2

        def breathing(points: Points) -> Points:
            inside = _smooth((body.depth_mm(points) - 8.0) / 40.0)
            off_spine = points[:, :2] - body.spine_mm[:2]
            inside = inside * (1.0 - np.exp(-(off_spine**2).sum(axis=1) / (2 * 28.0**2)))
            if diaphragm_mm is not None:
                inside = inside * _smooth((top - points[:, 2]) / (top - diaphragm_mm))
            return np.asarray(inside[:, None] * BREATH_MM * size)

        return breathing, f"breathing, {12 * size:.0f} mm"
    if kind == "bulge":
        deep = body.random_points(rng, 200)
        middle = deep[int(np.argmax(body.depth_mm(deep) * rng.uniform(0.5, 1.0, len(deep))))]
        way = rng.normal(size=3)
        width = rng.uniform(22.0, 40.0)
        size = min(rng.uniform(6.0, 14.0), 0.55 * width)
        way *= size / np.linalg.norm(way)
        return (
            lambda points: np.exp(-((points - middle) ** 2).sum(axis=1) / (2 * width**2))[:, None] * way,
            f"bulge, {size:.0f} mm over {width:.0f}",
        )
    assert kind == "bent"
    half = body.size_mm[2] / 2
    degrees, turn = rng.uniform(3.0, 7.0), rng.uniform(0.0, 2 * np.pi)
    way = np.array([np.cos(turn), np.sin(turn), 0.0])

    def bent(points: Points) -> Points:
        height = (points[:, 2] - body.middle_mm[2]) / half
        moved = (np.radians(degrees) * half / 2 * height**2)[:, None] * way
        moved[:, 2] -= np.radians(degrees) * height * ((points - body.middle_mm) @ way)
        return np.asarray(moved)

    return bent, f"bent, {degrees:.0f} deg at each end"


def deformed(
    fixed: Volume, made: Deformation, spacing_mm: NDArray[np.float64], contrast: str, noise: float,
    rng: np.random.Generator,
) -> Volume:  # fmt: skip
    """What the moving image shows, in voxels of other edges along L, P, S, in a box that holds the patient.

    contrast: "CT" or "MR" (`as_mr`); noise: sigma of HU of the CT, beyond what the fixed image has.
    """
    corners = fixed.grid.corners_mm() @ made.motion[:3, :3].T + made.motion[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = low + spacing_mm / 2
    grid = Grid(affine, (shape[0], shape[1], shape[2]))
    wider = np.maximum(spacing_mm / fixed.grid.spacing_mm, 1.0)
    values = ndimage.gaussian_filter(np.asarray(fixed.voxels, dtype=np.float32), 0.35 * np.sqrt(wider**2 - 1.0))
    moved = np.empty(shape, dtype=np.float32)
    plane = np.moveaxis(np.indices((*shape[:2], 1)), 0, -1).reshape(-1, 3)
    for k in range(shape[2]):
        plane[:, 2] = k
        at = fixed.grid.indices(made.fixed_from_moving(grid.points_mm(plane)))
        inside = ((at >= -0.5) & (at <= np.asarray(fixed.grid.shape) - 0.5)).all(axis=1)
        there = ndimage.map_coordinates(values, at.T, order=1, mode="nearest")
        moved[:, :, k] = np.where(inside, there, -2048.0).reshape(shape[:2])
    shown = moved > -1500
    moved = np.where(shown, moved + rng.normal(0.0, noise, moved.shape).astype(np.float32), moved)
    ct = replace(fixed, voxels=np.rint(moved).astype(np.int16), grid=grid)
    return as_mr(ct, rng) if contrast == "MR" else ct
