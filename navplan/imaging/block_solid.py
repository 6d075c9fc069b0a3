"""The solid of a training block: where its material is, and the closed surface of it for a printer.

A field that is negative in the material is sampled on a grid and contoured cell by cell; each vertex is then moved
along its grid edge to where the field itself is zero. Every triangle stays in its own cell, so that none crosses
another, and every vertex lies on the true surface; flat parts are then joined. What is left is the sag of a triangle's
side in a round wall: a channel is made wider by half of the largest, so that it is as much too wide as too narrow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, map_coordinates

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.surfaces import Surface, cell_by_cell, flat_parts_joined, smooth_field
from navplan.imaging.voxelise import check_closed
from navplan.model.block import TrainingBlock
from navplan.model.structure import Structure

COARSEST_MM, FINEST_MM = 0.5, 0.28  # of the grid
FLAT_MM = 0.001  # by which a vertex that is taken away may lie off the plane of those about it
SAG_MM = 0.06  # at most, of a triangle's side in a channel's round wall
MOST_POINTS = 80_000_000  # of the grid
ENGRAVED_MM, STROKE_MM, LETTER_MM = 1.0, 1.2, 7.0  # deep; wide; high
PIT_MM = 3.5
FLOOR_MM, POST_MM, STANDING_MM, MOST_POSTS = 5.0, 2.5, 0.7, 12  # of a box for gel; radius of a post; field's step
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
class _Hole(ABC):
    """low, high: (3,) box outside of which it is nothing."""

    low: Array
    high: Array

    @abstractmethod
    def at(self, points: Array) -> Array:
        """(N,) negative inside."""


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


@dataclass(frozen=True, eq=False)
class _Standing(_Hole):
    """What stands in a box for gel: a structure, by its smooth field on a grid of the patient."""

    patient_from_block: Array
    field: NDArray[np.float32]
    grid: Grid

    def at(self, points: Array) -> Array:
        there = points @ self.patient_from_block[:3, :3].T + self.patient_from_block[:3, 3]
        return np.asarray(map_coordinates(self.field, self.grid.indices(there).T, order=1, mode="nearest"))


class BlockSolid:
    """Where a block's material is. step_mm: of the grid that it is contoured on, 0 for the block as it is meant;
    standing: structures in its box for gel; posts (N, 3): tops of posts from the floor, block frame."""

    def __init__(
        self, block: TrainingBlock, step_mm: float = 0.0, standing: Sequence[Structure] = (),
        posts_mm: Array | None = None,
    ) -> None:  # fmt: skip
        self.block, self.size = block, np.asarray(block.size_mm, dtype=np.float64)
        self._holes = tuple(_holes(block, step_mm))
        self._standing = [_standing(block, one) for one in standing] if block.wall_mm > 0.0 else []
        self._added: list[_Hole] = [*self._standing]
        if block.wall_mm > 0.0:
            for top in np.zeros((0, 3)) if posts_mm is None else posts_mm:
                foot, up = np.array([top[0], top[1], 0.5 * FLOOR_MM]), np.array([0.0, 0.0, 1.0])
                bounds = _bounds(np.stack([foot, top]), POST_MM)
                self._added.append(_Channel(*bounds, foot, up, float(top[2] - foot[2]), POST_MM))

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) of points (N, 3), block frame: negative in the material, positive outside, a lower bound of the distance
        (in mm) away from its surface."""
        box = self._box(points_mm)
        field = np.maximum(box, -self._cavity(*points_mm.T))
        for one in self._added:
            near = ((points_mm >= one.low) & (points_mm <= one.high)).all(axis=1)
            field[near] = np.minimum(field[near], np.maximum(one.at(points_mm[near]), box[near]))
        for hole in self._holes:
            near = ((points_mm >= hole.low) & (points_mm <= hole.high)).all(axis=1)
            field[near] = np.maximum(field[near], -hole.at(points_mm[near]))
        return field

    def part_at(self, points_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) what is at points (N, 3), block frame: -1 no material, 0 the box and its posts, from 1 on which of the
        structures that stand in it."""
        part = np.where(self.at(points_mm) < 0.0, 0, -1)
        for number, one in enumerate(self._standing, 1):
            near = (part == 0) & ((points_mm >= one.low) & (points_mm <= one.high)).all(axis=1)
            part[np.flatnonzero(near)[one.at(points_mm[near]) < 0.0]] = number
        return part

    def on_grid(self, grid: Grid) -> NDArray[np.float32]:
        """The same [i, j, k] at the voxel centres of a grid along the block's axes (block frame for patient)."""
        axes = [grid.origin_mm[n] + np.arange(grid.shape[n]) * grid.spacing_mm[n] for n in range(3)]
        x, y, z = (axis.reshape([-1 if n == at else 1 for n in range(3)]) for at, axis in enumerate(axes))
        field = np.maximum(np.maximum(np.abs(x - self.size[0] / 2) - self.size[0] / 2,
                                      np.abs(y - self.size[1] / 2) - self.size[1] / 2),
                           self._bevel(x, y)).astype(np.float32)  # fmt: skip
        box = np.maximum(field, (np.abs(z - self.size[2] / 2) - self.size[2] / 2).astype(np.float32))
        field = np.maximum(box, -self._cavity(x, y, z).astype(np.float32))
        for one in self._added:
            for part, found in _planes(one, axes):
                field[part] = np.minimum(field[part], np.maximum(found, box[part]))
        for hole in self._holes:
            for part, found in _planes(hole, axes):
                field[part] = np.maximum(field[part], -found)
        return np.asarray(field)

    def _cavity(self, x: Array, y: Array, z: Array) -> Array:
        """Of a box for gel: negative inside, open above."""
        wall = self.block.wall_mm
        if not wall > 0.0:
            return np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), np.inf)
        wide, long = self.size[0] / 2, self.size[1] / 2
        aside = np.maximum(np.abs(x - wide) - wide, np.abs(y - long) - long)
        return np.asarray(np.maximum(aside + wall, FLOOR_MM - z))

    def _box(self, points: Array) -> Array:
        aside = np.abs(points - self.size / 2) - self.size / 2
        return np.asarray(np.maximum(aside.max(axis=1), self._bevel(points[:, 0], points[:, 1])))

    def _bevel(self, x: Array, y: Array) -> Array:
        return np.asarray((x + y - (self.size[0] + self.size[1] - self.block.bevel_mm)) * np.sqrt(0.5))


def _planes(one: _Hole, axes: Sequence[Array]) -> Iterator[tuple[tuple[slice, slice, int], NDArray[np.float32]]]:
    """A hole's values on the planes of a grid that its box meets: where, and what."""
    x, y, z = (
        slice(int(np.searchsorted(axis, one.low[n])), int(np.searchsorted(axis, one.high[n], "right")))
        for n, axis in enumerate(axes)
    )
    shape = (x.stop - x.start, y.stop - y.start)
    for k in range(z.start, z.stop) if min(shape) > 0 else ():
        flat = np.stack(np.meshgrid(axes[0][x], axes[1][y], axes[2][k : k + 1], indexing="ij"), axis=-1)
        yield (x, y, k), one.at(flat.reshape(-1, 3)).reshape(shape).astype(np.float32)


def _standing(block: TrainingBlock, structure: Structure) -> _Standing:
    field, grid = smooth_field(structure, STANDING_MM)
    corners = block.transform.inverse().apply(grid.points_mm(np.argwhere(field < 0.0)))
    return _Standing(*_bounds(corners, 2.0 * STANDING_MM), block.transform.matrix, field, grid)


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


def block_surface(block: TrainingBlock, standing: Sequence[Structure] = ()) -> Surface:
    """The closed surface of a block, block frame, outward. standing: structures in its box for gel; what of them would
    float gets a post. Raises InputError for a block that would take too fine a grid, or too many posts."""
    narrow = min([way.channel_mm for way in block.ways if way.channel_mm > 0.0], default=np.inf)
    step = float(np.clip(np.sqrt(SAG_MM * 4.0 / 3.0 * narrow), FINEST_MM, COARSEST_MM))
    solid, grid, field = solid_with_posts(block, step, standing)
    indices, triangles = cell_by_cell(field)
    points, triangles = flat_parts_joined(_onto(solid, indices, grid), triangles, FLAT_MM)
    check_closed(triangles, f"block {block.id}")
    return Surface(points, _normals(points, triangles), triangles)


def solid_with_posts(
    block: TrainingBlock, step: float, standing: Sequence[Structure] = ()
) -> tuple[BlockSolid, Grid, NDArray[np.float32]]:
    """A block's solid, each part that would float on a post, and its field on a grid of that step (mm). Raises
    InputError for too fine a grid, or too many posts."""
    solid = BlockSolid(block, step, standing)
    origin = -np.array([1.2718, 1.3141, 1.4142]) * step  # no face of the block on a plane of the grid
    shape = np.ceil((solid.size - origin) / step).astype(int) + 2
    if int(np.prod(shape)) > MOST_POINTS:
        raise InputError(
            f"a block of {' x '.join(f'{mm:.0f}' for mm in block.size_mm)} mm with details for a grid of {step:.2f} mm",
            "a smaller one", "Choose fewer ways with --trajectory, or a thicker device",
        )  # fmt: skip
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = origin
    grid = Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])))
    field = solid.on_grid(grid)
    posts = _posts(field, grid)
    if len(posts):
        solid = BlockSolid(block, step, standing, posts)
        field = solid.on_grid(grid)
    return solid, grid, field


def _posts(field: NDArray[np.float32], grid: Grid) -> Array:
    """(N, 3) tops of posts under whatever does not hang together with the block's first voxel of material."""
    labels, count = label(field < 0.0)
    if count < 2:
        return np.zeros((0, 3))
    whole = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    tops = []
    for number, part in enumerate(find_objects(labels), 1):
        if number != whole:
            voxels = np.argwhere(labels[part] == number)
            lowest = voxels[voxels[:, 2] == voxels[:, 2].min()]
            middle = lowest[np.linalg.norm(lowest - lowest.mean(axis=0), axis=1).argmin()]
            tops.append(grid.points_mm(middle + np.asarray([one.start for one in part])) + np.array([0.0, 0.0, 2.0]))
    if len(tops) > MOST_POSTS:
        raise InputError(f"{len(tops)} pieces that would float", f"at most {MOST_POSTS}", "Leave out --structure")
    return np.asarray(tops)


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

