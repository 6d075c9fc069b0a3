"""The solid of a training block: where its material is, and the closed surface of it for a printer.

A field that is negative in the material is sampled on a grid and contoured cell by cell; each vertex is then moved
along its grid edge to where the field itself is zero. Every triangle stays in its own cell, so that none crosses
another, and every vertex lies on the true surface: what is left is the sag of a triangle's side in a round wall. A
channel is made wider by half of the largest sag, so that it is as much too wide here as too narrow there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.surfaces import Surface, cell_by_cell
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock

COARSEST_MM, FINEST_MM = 0.5, 0.28  # of the grid
SAG_MM = 0.06  # at most, of a triangle's side in a channel's round wall
MOST_POINTS = 80_000_000  # of the grid
ENGRAVED_MM, STROKE_MM, LETTER_MM = 1.0, 1.2, 7.0  # deep; wide; high
PIT_MM = 3.5
_CLEAR_MM = 2.0  # by which a hole is carried on beyond the face that it opens in
_KEPT = 0.002  # of a grid edge, that a vertex stays away from its ends
_STROKES: dict[str, tuple[tuple[float, float], ...]] = {  # of letters in a square, pen down all the time
    "H": ((0.1, 0), (0.1, 1), (0.1, 0.5), (0.7, 0.5), (0.7, 1), (0.7, 0)),
    "F": ((0.1, 0), (0.1, 1), (0.7, 1), (0.1, 1), (0.1, 0.5), (0.6, 0.5)),
    "L": ((0.1, 1), (0.1, 0), (0.7, 0)),
    "R": ((0.1, 0), (0.1, 1), (0.55, 1), (0.7, 0.88), (0.7, 0.62), (0.55, 0.5), (0.1, 0.5), (0.4, 0.5), (0.7, 0)),
    "P": ((0.1, 0), (0.1, 1), (0.55, 1), (0.7, 0.88), (0.7, 0.62), (0.55, 0.5), (0.1, 0.5)),
    "A": ((0.0, 0), (0.4, 1), (0.8, 0), (0.64, 0.4), (0.16, 0.4)),
}
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Hole:
    """low, high: (3,) box outside of which it is nothing."""

    low: Array
    high: Array

    def at(self, points: Array) -> Array:
        """(N,) negative inside."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _Channel(_Hole):
    """A round hole with a flat bottom."""

    bottom: Array
    out: Array
    length: float
    radius: float

    def at(self, points: Array) -> Array:
        offset = points - self.bottom
        along = offset @ self.out
        aside = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0.0)) - self.radius
        return np.asarray(np.maximum(np.maximum(aside, -along), along - self.length))


@dataclass(frozen=True, eq=False)
class _Cone(_Hole):
    """A pit of 90 degrees."""

    apex: Array
    out: Array
    length: float

    def at(self, points: Array) -> Array:
        offset = points - self.apex
        along = offset @ self.out
        aside = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0.0))
        return np.asarray(np.maximum((aside - along) * np.sqrt(0.5), along - self.length))


@dataclass(frozen=True, eq=False)
class _Letter(_Hole):
    """Strokes (K, 2) engraved in the top face, down to z."""

    strokes: Array
    bottom: float

    def at(self, points: Array) -> Array:
        near = np.full(len(points), np.inf)
        for a, b in zip(self.strokes[:-1], self.strokes[1:], strict=True):
            step = b - a
            offset = points[:, :2] - a
            share = np.clip(offset @ step / (step @ step), 0.0, 1.0)
            near = np.minimum(near, np.linalg.norm(offset - share[:, None] * step, axis=1))
        return np.asarray(np.maximum(near - STROKE_MM / 2.0, self.bottom - points[:, 2]))


class BlockSolid:
    """Where a block's material is. step_mm: of the grid that it is contoured on, 0 for the block as it is meant."""

    def __init__(self, block: TrainingBlock, step_mm: float = 0.0) -> None:
        self.block, self.size = block, np.asarray(block.size_mm, dtype=np.float64)
        self._holes = tuple(_holes(block, step_mm))

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) of points (N, 3), block frame: negative in the material, positive outside, a lower bound of the distance
        (in mm) away from its surface."""
        field = self._box(points_mm)
        for hole in self._holes:
            near = ((points_mm >= hole.low) & (points_mm <= hole.high)).all(axis=1)
            field[near] = np.maximum(field[near], -hole.at(points_mm[near]))
        return field

    def on_grid(self, grid: Grid) -> NDArray[np.float32]:
        """The same [i, j, k] at the voxel centres of a grid along the block's axes (block frame for patient)."""
        axes = [grid.origin_mm[n] + np.arange(grid.shape[n]) * grid.spacing_mm[n] for n in range(3)]
        x, y, z = (axis.reshape([-1 if n == at else 1 for n in range(3)]) for at, axis in enumerate(axes))
        field = np.maximum(np.maximum(np.abs(x - self.size[0] / 2) - self.size[0] / 2,
                                      np.abs(y - self.size[1] / 2) - self.size[1] / 2),
                           self._bevel(x, y)).astype(np.float32)  # fmt: skip
        field = np.maximum(field, (np.abs(z - self.size[2] / 2) - self.size[2] / 2).astype(np.float32))
        for hole in self._holes:
            part = tuple(
                slice(int(np.searchsorted(axis, hole.low[n])), int(np.searchsorted(axis, hole.high[n], "right")))
                for n, axis in enumerate(axes)
            )
            inside = field[part]
            if inside.size:
                for n, plane in enumerate(axes[2][part[2]]):
                    flat = np.stack(np.meshgrid(axes[0][part[0]], axes[1][part[1]], [plane], indexing="ij"), axis=-1)
                    found = -hole.at(flat.reshape(-1, 3)).reshape(inside.shape[:2])
                    inside[:, :, n] = np.maximum(inside[:, :, n], found)
        return np.asarray(field)

    def _box(self, points: Array) -> Array:
        aside = np.abs(points - self.size / 2) - self.size / 2
        return np.asarray(np.maximum(aside.max(axis=1), self._bevel(points[:, 0], points[:, 1])))

    def _bevel(self, x: Array, y: Array) -> Array:
        return np.asarray((x + y - (self.size[0] + self.size[1] - self.block.bevel_mm)) * np.sqrt(0.5))


def _holes(block: TrainingBlock, step_mm: float) -> Iterator[_Hole]:
    top = block.size_mm[2]
    for way in block.ways:
        if way.channel_mm > 0.0:
            bottom, out, radius = np.asarray(way.tip_mm), -way.direction, way.channel_mm / 2.0
            radius += 0.5 * _sag_mm(radius, step_mm)
            length = way.depth_mm + _CLEAR_MM + radius * np.tan(np.radians(way.angle_deg))
            yield _Channel(*_bounds(np.stack([bottom, bottom + length * out]), radius), bottom, out, length, radius)
    for mark in block.marks:
        apex, out, length = np.asarray(mark.pit_mm), np.asarray(mark.out), PIT_MM + _CLEAR_MM
        yield _Cone(*_bounds(np.stack([apex, apex + length * out]), length), apex, out, length)
    x, y = block.size_mm[0], block.size_mm[1]
    inset, half = 3.0 + LETTER_MM / 2.0, LETTER_MM / 2.0
    for letter, middle in zip(
        block.letters, ((x - inset, y / 2), (inset, y / 2), (x / 2, y - inset), (x / 2, inset)), strict=False
    ):
        strokes = (np.asarray(_STROKES[letter]) - (0.4, 0.5)) * LETTER_MM + middle
        low = np.append(np.asarray(middle) - half - STROKE_MM, top - ENGRAVED_MM - STROKE_MM)
        high = np.append(np.asarray(middle) + half + STROKE_MM, top + _CLEAR_MM)
        yield _Letter(low, high, strokes, top - ENGRAVED_MM)


def _sag_mm(radius: float, step_mm: float) -> float:
    """The largest, of a side that is as long as a cell's diagonal."""
    return 3.0 * step_mm**2 / (8.0 * radius)


def _bounds(points: Array, radius: float) -> tuple[Array, Array]:
    return points.min(axis=0) - radius - 1.0, points.max(axis=0) + radius + 1.0


def block_surface(block: TrainingBlock) -> Surface:
    """The closed surface of a block, block frame, outward. Raises InputError for a block that would take too fine a
    grid."""
    narrow = min([way.channel_mm for way in block.ways if way.channel_mm > 0.0], default=np.inf)
    step = float(np.clip(np.sqrt(SAG_MM * 4.0 / 3.0 * narrow), FINEST_MM, COARSEST_MM))
    solid = BlockSolid(block, step)
    origin = -np.array([1.2718, 1.3141, 1.4142]) * step  # no face of the block on a plane of the grid
    shape = np.ceil((solid.size - origin) / step).astype(int) + 2
    if int(np.prod(shape)) > MOST_POINTS:
        raise InputError(
            f"a block of {' x '.join(f'{mm:.0f}' for mm in block.size_mm)} mm with channels of {narrow:.2f} mm",
            "a smaller one", "Choose fewer ways with --trajectory, or a thicker device",
        )  # fmt: skip
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = origin
    grid = Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))
    indices, triangles = cell_by_cell(solid.on_grid(grid))
    points = _onto(solid, indices, grid)
    found = Surface(points, _normals(points, triangles), triangles)
    check_closed(triangles, f"block {block.id}")
    return found


def _onto(solid: BlockSolid, indices: Array, grid: Grid) -> Array:
    """Vertices on grid edges, moved along their edges to where the field is zero (false position, Illinois)."""
    axis = np.abs(indices - np.rint(indices)).argmax(axis=1)
    rows = np.arange(len(indices))
    ends = [np.rint(indices), np.rint(indices)]
    ends[0][rows, axis] = np.floor(indices[rows, axis])
    ends[1][rows, axis] = ends[0][rows, axis] + 1.0
    low, high = (grid.points_mm(end) for end in ends)
    f_low, f_high = solid.at(low), solid.at(high)
    a, b = np.zeros(len(indices)), np.ones(len(indices))
    share = np.clip(indices[rows, axis] - ends[0][rows, axis], 0.0, 1.0)
    crossed = f_low * f_high < 0.0
    for _ in range(12):
        value = solid.at(low + share[:, None] * (high - low))
        same = (value < 0.0) == (f_low < 0.0)
        a, b = np.where(same, share, a), np.where(same, b, share)
        f_high = np.where(same, 0.5 * f_high, value)
        f_low = np.where(same, value, 0.5 * f_low)
        fresh = (a * f_high - b * f_low) / np.where(np.abs(f_high - f_low) < 1e-12, 1.0, f_high - f_low)
        share = np.where(crossed & (np.abs(value) > 1e-5), np.clip(fresh, a, b), share)
        if float(np.abs(value[crossed]).max(initial=0.0)) < 1e-4:
            break
    share = np.clip(share, _KEPT, 1.0 - _KEPT)
    return np.asarray(low + share[:, None] * (high - low))


def _normals(points: Array, triangles: NDArray[np.int64]) -> Array:
    """(N, 3) outward, weighted by the triangles' areas."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    total = np.stack([
        np.bincount(triangles.ravel(), weights=np.repeat(across[:, n], 3), minlength=len(points)) for n in range(3)
    ], axis=1)  # fmt: skip
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))

