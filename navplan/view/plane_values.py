"""Slices as numbers: what a page needs to draw a slice itself, window it, zoom into it and measure on it.

Two kinds: the slices of the image as they were taken, turned to radiological convention, and planes of any direction,
interpolated. Both give values in the image's own quantity (HU for CT, SUV for PET), as whole steps of it: a window is
chosen where it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import permutations
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import compiled
from navplan.geometry.grid import Grid
from navplan.model.anatomy import Tissue
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import flat_in_file_order
from navplan.view.slices import SlicePlane, sample
from navplan.view.windows import step_of

NOTHING = np.iinfo(np.int16).min  # outside the image, or padding


class Cut(Enum):
    """Anatomical planes: the patient axis (LPS) that they are square to, and their directions to right and down."""

    AXIAL = (2, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    CORONAL = (1, (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    SAGITTAL = (0, (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


@dataclass(frozen=True, eq=False)
class PlaneValues:
    """values (H, W) int16, NOTHING where nothing is known. plane: through the middle of the picture; pixel_mm: (width,
    height) of a pixel; thick_mm: of the slice or slab; number, count: which slice of how many (0 of 0 for a plane that
    is no slice of the image); step_mm: to the slice of the next number, along `plane.into`, negative to the viewer;
    step: what a 1 in values stands for, in the image's quantity.
    """

    values: NDArray[np.int16]
    plane: SlicePlane
    pixel_mm: tuple[float, float]
    thick_mm: float
    number: int = 0
    count: int = 0
    step_mm: float = 0.0
    step: float = 1.0

    def points_mm(self) -> NDArray[np.float64]:
        """(H, W, 3) LPS points of the pixel centres."""
        height, width = self.values.shape
        x = (np.arange(width) - (width - 1) / 2) * self.pixel_mm[0]
        y = (np.arange(height) - (height - 1) / 2) * self.pixel_mm[1]
        return (
            np.asarray(self.plane.centre_mm)
            + x[None, :, None] * np.asarray(self.plane.right)
            + y[:, None, None] * np.asarray(self.plane.down)
        )


@dataclass(frozen=True)
class _Turn:
    """How the array lies in a cut: the array axis across the slices, to the right and down, and which of the last two
    run the other way."""

    through: int
    right: int
    down: int
    right_flipped: bool
    down_flipped: bool


def _turn(grid: Grid, cut: Cut) -> _Turn:
    axis, right, down = cut.value
    axes = grid.axes
    # the array's axes as a whole are given to the patient's: cut by cut, two cuts might take the same one
    along = max(permutations(range(3)), key=lambda order: sum(abs(axes[n, order[n]]) for n in range(3)))
    through, to_right, to_down = along[axis], along[int(np.argmax(np.abs(right)))], along[int(np.argmax(np.abs(down)))]
    flipped = [float(axes[:, a] @ np.asarray(d)) < 0 for a, d in ((to_right, right), (to_down, down))]
    return _Turn(through, to_right, to_down, flipped[0], flipped[1])


def slice_count(grid: Grid, cut: Cut) -> int:
    """How many slices an image has in a cut."""
    return grid.shape[_turn(grid, cut).through]


def slice_through(grid: Grid, cut: Cut, point_mm: ArrayLike) -> int:
    """The number of the slice that is nearest to a point (3,) LPS mm."""
    turn = _turn(grid, cut)
    number = round(float(grid.indices(point_mm)[turn.through]))
    return min(max(number, 0), grid.shape[turn.through] - 1)


def native_slice(volume: Volume, cut: Cut, number: int, slab_mm: float = 0.0) -> PlaneValues:
    """A slice as it was taken, or the greatest values (maximum intensity projection) of a slab about it.

    Raises InputError for a slice that the image does not have, or a slab that is no length.
    """
    grid, turn = volume.grid, _turn(volume.grid, cut)
    if not 0 <= number < grid.shape[turn.through]:
        raise InputError(f"{cut.name.lower()} slice {number}", f"0 to {grid.shape[turn.through] - 1}")
    if not 0.0 <= slab_mm <= 1000.0:
        raise InputError(f"a slab of {slab_mm} mm", "0 to 1000 mm")
    beside = int(slab_mm / grid.spacing_mm[turn.through] / 2)
    chosen: list[slice] = [slice(None)] * 3
    chosen[turn.through] = slice(max(number - beside, 0), number + beside + 1)
    values = volume.voxels[tuple(chosen)].max(axis=turn.through)
    values = _upright(values, turn)
    middle = (np.asarray(grid.shape, dtype=np.float64) - 1) / 2
    middle[turn.through] = number
    spacing, axes = grid.spacing_mm, grid.axes
    right = axes[:, turn.right] * (-1 if turn.right_flipped else 1)
    down = axes[:, turn.down] * (-1 if turn.down_flipped else 1)
    plane = SlicePlane(_triple(grid.points_mm(middle)), _triple(right), _triple(down), cut.name.lower())
    thick = float(spacing[turn.through]) * (2 * beside + 1)
    pixel = (float(spacing[turn.right]), float(spacing[turn.down]))
    step = float(spacing[turn.through] * (axes[:, turn.through] @ plane.into))
    whole = _as_int16(values, volume)
    return PlaneValues(whole, plane, pixel, thick, number, grid.shape[turn.through], step, step_of(volume))


def plane_values(volume: Volume, plane: SlicePlane, size: tuple[int, int], pixel_mm: float) -> PlaneValues:
    """Values on any plane, (width, height) px of pixel_mm; linear between voxels. Raises InputError without pixels."""
    if min(size) < 2 or max(size) > 4096 or not pixel_mm > 0:
        raise InputError(f"a plane of {size[0]} x {size[1]} px of {pixel_mm} mm", "2 to 4096 px of more than 0 mm")
    whole = sampled_steps(volume, plane.points_mm(size, pixel_mm))
    thick = float(np.abs(volume.grid.axes.T @ plane.into) @ volume.grid.spacing_mm)
    return PlaneValues(whole, plane, (pixel_mm, pixel_mm), thick, step=step_of(volume))


def sampled_steps(volume: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.int16]:
    """Values at points (..., 3), linear between voxels, in whole steps (`step_of`); NOTHING where nothing is known."""
    values = sample(volume, points_mm) / step_of(volume)
    known = np.isfinite(values)
    whole = np.full(values.shape, NOTHING, dtype=np.int16)
    whole[known] = np.clip(np.rint(values[known]), NOTHING + 1, -NOTHING - 1).astype(np.int16)
    return whole


def plane_outlines(found: PlaneValues, structures: Mapping[str, Structure]) -> dict[str, NDArray[np.float32]]:
    """For each structure that a plane meets, its outline as pieces (K, 4) from x, y to x, y px, straight runs
    in one; where it goes on, one piece begins where the one before ends."""
    drawn = {
        name: structure
        for name, structure in structures.items()
        if structure.occupancy is not None and structure.anatomy.tissue not in (Tissue.SKIN, Tissue.OUTSIDE)
    }
    if not drawn:
        return {}
    boxes = _on_picture(found, np.stack([_corners(structure) for structure in drawn.values()]))
    pieces = {
        name: _outline(found, structure, *box)
        for (name, structure), box in zip(drawn.items(), boxes, strict=True)
        if box is not None
    }
    return {name: lines for name, lines in pieces.items() if len(lines)}


_CORNERS: WeakKeyDictionary[Structure, NDArray[np.float64]] = WeakKeyDictionary()
_Box = tuple[int, int, int, int]


def _corners(structure: Structure) -> NDArray[np.float64]:
    if structure not in _CORNERS:
        assert structure.grid is not None
        _CORNERS[structure] = structure.grid.corners_mm()
    return _CORNERS[structure]


def _on_picture(found: PlaneValues, corners_mm: NDArray[np.float64]) -> list[_Box | None]:
    """Of boxes with these corners (S, 8, 3), where on the picture they may be met: left, right, top, bottom px, one
    beyond its edge; None where the plane, or the picture, does not meet them."""
    plane, (height, width) = found.plane, found.values.shape
    offset = corners_mm - np.asarray(plane.centre_mm)
    across = offset @ plane.into
    x = offset @ np.asarray(plane.right) / found.pixel_mm[0] + (width - 1) / 2
    y = offset @ np.asarray(plane.down) / found.pixel_mm[1] + (height - 1) / 2
    left, right = np.maximum(np.floor(x.min(axis=1)) - 1, -1), np.minimum(np.ceil(x.max(axis=1)) + 1, width)
    top, bottom = np.maximum(np.floor(y.min(axis=1)) - 1, -1), np.minimum(np.ceil(y.max(axis=1)) + 1, height)
    met = (across.min(axis=1) <= 0) & (across.max(axis=1) >= 0) & (right - left >= 1) & (bottom - top >= 1)
    edges = np.stack([left, right, top, bottom], axis=1).astype(int).tolist()
    return [tuple(edge) if here else None for edge, here in zip(edges, met.tolist(), strict=True)]


def _outline(
    found: PlaneValues, structure: Structure, left: int, right: int, top: int, bottom: int
) -> NDArray[np.float32]:
    """Where a structure's cut is half full, sampled only where its box meets the picture."""
    grid, occupancy, plane = structure.grid, structure.occupancy, found.plane
    assert grid is not None and occupancy is not None
    height, width = found.values.shape
    xs, ys = np.arange(left, right + 1) - (width - 1) / 2, np.arange(top, bottom + 1) - (height - 1) / 2
    to_index = np.linalg.inv(grid.affine[:3, :3])
    start = to_index @ (np.asarray(plane.centre_mm) - grid.origin_mm)
    step_x = to_index @ (np.asarray(plane.right) * found.pixel_mm[0])
    step_y = to_index @ (np.asarray(plane.down) * found.pixel_mm[1])
    cut = _straight_cut(occupancy, start, step_x, step_y, xs, ys)
    if cut is None:
        cut = _slanted_cut(flat_in_file_order(occupancy), np.asarray(grid.shape), start, step_x, step_y, xs, ys)
    return np.asarray(_pieces(cut, float(left), float(top)))


@compiled()
def _pieces(cut: NDArray[np.uint8], left: float, top: float) -> NDArray[np.float32]:
    """(K, 4) marching squares at half: pieces of the line, corner values linear between pixel centres; one after the
    other along each line, straight runs in one."""
    rows, columns = cut.shape
    found, edges = np.empty((256, 4), np.float32), np.empty((256, 2), np.int64)
    count = 0
    ends, on = np.empty((4, 2)), np.empty(4, np.int64)
    for j in range(rows - 1):
        for i in range(columns - 1):
            a, b, c, d = cut[j, i], cut[j, i + 1], cut[j + 1, i + 1], cut[j + 1, i]
            kind = (a > 127) + 2 * (b > 127) + 4 * (c > 127) + 8 * (d > 127)
            if kind == 0 or kind == 15:
                continue
            met = 0
            if (a > 127) != (b > 127):
                ends[met, 0], ends[met, 1] = i + (127.5 - a) / (np.float64(b) - a), j
                on[met] = 2 * (j * columns + i)
                met += 1
            if (b > 127) != (c > 127):
                ends[met, 0], ends[met, 1] = i + 1, j + (127.5 - b) / (np.float64(c) - b)
                on[met] = 2 * (j * columns + i + 1) + 1
                met += 1
            if (c > 127) != (d > 127):
                ends[met, 0], ends[met, 1] = i + (127.5 - d) / (np.float64(c) - d), j + 1
                on[met] = 2 * ((j + 1) * columns + i)
                met += 1
            if (d > 127) != (a > 127):
                ends[met, 0], ends[met, 1] = i, j + (127.5 - a) / (np.float64(d) - a)
                on[met] = 2 * (j * columns + i) + 1
                met += 1
            if count + 2 > len(found):
                larger = np.empty((2 * len(found), 4), np.float32)
                larger[:count] = found[:count]
                more = np.empty((2 * len(found), 2), np.int64)
                more[:count] = edges[:count]
                found, edges = larger, more
            for pair in range(met // 2):
                # of four ends (two corners in, opposite each other) neighbours are joined so that full corners part
                first, second = 2 * pair, 2 * pair + 1
                if met == 4 and kind == 5:
                    first, second = (0, 3) if pair == 0 else (1, 2)
                found[count, 0], found[count, 1] = left + ends[first, 0], top + ends[first, 1]
                found[count, 2], found[count, 3] = left + ends[second, 0], top + ends[second, 1]
                edges[count, 0], edges[count, 1] = on[first], on[second]
                count += 1
    mate = np.full(2 * count, -1, np.int64)  # of end 2 k + e of piece k the end of another on the same edge of a cell
    order = np.argsort(edges[:count].copy().reshape(2 * count))
    for n in range(2 * count - 1):
        one, other = order[n], order[n + 1]
        if edges[one // 2, one % 2] == edges[other // 2, other % 2]:
            mate[one], mate[other] = other, one
    lines, length = np.empty((count, 4), np.float32), 0
    done = np.zeros(count, np.bool_)
    for turn in range(2):  # lines with ends first, then closed ones
        for n in range(2 * count):
            if done[n // 2] or (turn == 0 and mate[n] >= 0):
                continue
            end, fresh = n, True
            while end >= 0 and not done[end // 2]:
                piece, flipped = end // 2, end % 2
                done[piece] = True
                x0, y0 = found[piece, 2 * flipped], found[piece, 2 * flipped + 1]
                x1, y1 = found[piece, 2 - 2 * flipped], found[piece, 3 - 2 * flipped]
                straight = False
                if not fresh:
                    u, v = lines[length - 1, 2] - lines[length - 1, 0], lines[length - 1, 3] - lines[length - 1, 1]
                    straight = abs(u * (y1 - y0) - v * (x1 - x0)) < 1e-4 and u * (x1 - x0) + v * (y1 - y0) > 0
                if straight:
                    lines[length - 1, 2], lines[length - 1, 3] = x1, y1
                else:
                    lines[length, 0], lines[length, 1], lines[length, 2], lines[length, 3] = x0, y0, x1, y1
                    length += 1
                fresh = False
                end = mate[2 * piece + 1 - flipped]
    return lines[:length].copy()


@compiled()
def _slanted_cut(
    occupancy: NDArray[np.uint8],
    shape: NDArray[np.int64],
    start: NDArray[np.float64],
    step_x: NDArray[np.float64],
    step_y: NDArray[np.float64],
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """(H, W) occupancy, linear between voxels, 0 outside."""
    cut = np.zeros((len(ys), len(xs)), np.uint8)
    for row in range(len(ys)):
        for column in range(len(xs)):
            u = start[0] + step_x[0] * xs[column] + step_y[0] * ys[row]
            v = start[1] + step_x[1] * xs[column] + step_y[1] * ys[row]
            w = start[2] + step_x[2] * xs[column] + step_y[2] * ys[row]
            i, j, k = int(np.floor(u)), int(np.floor(v)), int(np.floor(w))
            if i < -1 or j < -1 or k < -1 or i >= shape[0] or j >= shape[1] or k >= shape[2]:
                continue
            total = 0.0
            for corner in range(8):
                p, q, r = i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)
                if p < 0 or q < 0 or r < 0 or p >= shape[0] or q >= shape[1] or r >= shape[2]:
                    continue
                weight = (u - i if corner & 1 else 1 - u + i) * (v - j if corner >> 1 & 1 else 1 - v + j)
                weight *= w - k if corner >> 2 else 1 - w + k
                total += weight * occupancy[(r * shape[1] + q) * shape[0] + p]
            cut[row, column] = np.uint8(total + 0.5)
    return cut


def _straight_cut(
    occupancy: NDArray[np.uint8],
    start: NDArray[np.float64],
    step_x: NDArray[np.float64],
    step_y: NDArray[np.float64],
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
) -> NDArray[np.uint8] | None:
    """(H, W) occupancy taken as it is, where pixels fall on voxels; None where they do not."""
    axis_x, axis_y = int(np.argmax(np.abs(step_x))), int(np.argmax(np.abs(step_y)))
    if axis_x == axis_y:
        return None
    unit_x, unit_y = np.zeros(3), np.zeros(3)
    unit_x[axis_x], unit_y[axis_y] = np.sign(step_x[axis_x]), np.sign(step_y[axis_y])
    first = start + step_x * xs[0] + step_y * ys[0]
    whole = np.rint(first)
    if np.abs(step_x - unit_x).max() * len(xs) > 0.05 or np.abs(step_y - unit_y).max() * len(ys) > 0.05:
        return None
    if np.abs(first - whole)[[axis_x, axis_y]].max() > 0.05:
        return None
    through = 3 - axis_x - axis_y
    at = int(np.rint(first[through]))
    cut = np.zeros((len(ys), len(xs)), dtype=np.uint8)
    if not 0 <= at < occupancy.shape[through]:
        return cut
    chosen: list[int | slice] = [slice(None)] * 3
    chosen[through] = at
    flat = occupancy[tuple(chosen)]
    flat = flat if axis_y < axis_x else flat.T  # rows first
    flat = flat[::-1] if unit_y[axis_y] < 0 else flat
    flat = flat[:, ::-1] if unit_x[axis_x] < 0 else flat
    # where the first voxel of what was turned so falls on the picture
    row, column = (
        round(float(-whole[axis] if unit[axis] > 0 else whole[axis] - (occupancy.shape[axis] - 1)))
        for axis, unit in ((axis_y, unit_y), (axis_x, unit_x))
    )
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + flat.shape[0], len(ys)), min(column + flat.shape[1], len(xs))
    if bottom > top and right > left:
        cut[top:bottom, left:right] = flat[top - row : bottom - row, left - column : right - column]
    return cut


def _upright(values: NDArray[np.generic], turn: _Turn) -> NDArray[np.generic]:
    """(H, W), rows downwards, from a cut with two array axes in their order."""
    upright = values if turn.down < turn.right else values.T
    upright = upright[::-1] if turn.down_flipped else upright
    return upright[:, ::-1] if turn.right_flipped else upright


def _as_int16(values: NDArray[np.generic], volume: Volume) -> NDArray[np.int16]:
    padding = volume.acquisition.padding_hu
    known = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    if padding is not None:
        known &= values.astype(np.float64) > padding
    if values.dtype == np.int16:
        whole = np.array(values, dtype=np.int16)
    else:
        steps = np.rint(np.nan_to_num(values.astype(np.float64)) / step_of(volume))
        whole = np.clip(steps, NOTHING + 1, -NOTHING - 1).astype(np.int16)
    whole[~known] = NOTHING
    return whole


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
