"""Where a training block lies about planned ways, and where its pits are: so that no turn and no mirror fits them too.

The pattern of pits differs from block to block: it is drawn from what the block holds, so that one block is not taken
for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from navplan.errors import InputError
from navplan.model.block import BlockMark, BlockWay, Point, Row, TrainingBlock
from navplan.model.trajectory import Trajectory

SIDE_MM, FLOOR_MM = 18.0, 8.0  # of material beside the ways, where pits and letters are, and below them
LEAST_MM = 50.0  # wide
BEVEL_MM = 12.0
STEEPEST_DEG = 60.0  # that a way may lean from the top face's normal
LEAST_APART_MM = 2.0  # by which a wrong pairing of the pits must miss, root mean square
BED_MM = (220.0, 220.0, 250.0)  # of a common printer (unsourced)
BALL_MM, CLEARANCE_MM = 5.0, 0.4  # of a ball, and of a channel over its device, in diameter (unsourced: try a piece)
PIT_MM = 3.5  # deep, and as wide to each side: a cone of 90 degrees
WALL_MM = 0.8  # between two channels, that a printer can make (unsourced)
_TRIES = 60
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))  # of +, - along each patient axis


@dataclass(frozen=True)
class BlockSizes:
    """What may be chosen: ball_mm: diameter of the balls; clearance_mm: of a channel over its device, in diameter;
    channels: whether the ways are holes; bed_mm: the printer's. Raises InputError."""

    ball_mm: float = BALL_MM
    clearance_mm: float = CLEARANCE_MM
    channels: bool = True
    bed_mm: Point = BED_MM

    def __post_init__(self) -> None:
        if not 3.0 <= self.ball_mm <= 8.0:
            raise InputError(f"balls of {self.ball_mm} mm", "3 to 8 mm in diameter")
        if not 0.0 <= self.clearance_mm <= 2.0:
            raise InputError(f"a clearance of {self.clearance_mm} mm", "0 to 2 mm in diameter")
        if not all(np.isfinite(self.bed_mm)) or min(self.bed_mm) < LEAST_MM:
            raise InputError(f"a printer's bed of {self.bed_mm} mm", f"{LEAST_MM:g} mm or more each way")


def design_block(
    ways: Sequence[tuple[int, Trajectory]], plan_id: str, image_id: str, image_digest: str, sizes: BlockSizes
) -> TrainingBlock:
    """A block about ways of one plan: (which one, counted from 1, and its trajectory), the first of which has its entry
    on the top face. Raises InputError: no way, one that leans too far to come through the top face, or a block larger
    than the bed."""
    if not ways:
        raise InputError("a block without a way", "one way or more of a plan")
    turn, letters = _axes(ways[0][1].direction)
    places = [
        (number, way, turn.T @ np.asarray(way.entry_mm), turn.T @ way.point_at_mm(way.tip_depth_mm),
         turn.T @ np.asarray(way.target_mm))
        for number, way in ways
    ]  # fmt: skip
    top = float(places[0][2][2])
    crossed = [_on_top(number, entry, tip, top) for number, _, entry, tip, _ in places]
    deep = np.asarray([point for _, _, _, tip, target in places for point in (tip, target)])
    flat = np.vstack([np.asarray(crossed), deep])[:, :2]
    low, high = flat.min(axis=0) - SIDE_MM, flat.max(axis=0) + SIDE_MM
    wide = np.ceil(np.maximum(high - low, LEAST_MM))
    corner = np.append((low + high - wide) / 2.0, 0.0)
    height = float(np.ceil(top - deep[:, 2].min() + FLOOR_MM))
    corner[2] = top - height
    size = (float(wide[0]), float(wide[1]), height)
    _refuse_large(size, sizes.bed_mm)
    made = tuple(
        BlockWay(
            f"way{number}", number, way.device.id, way.device.diameter_mm, _point(on_top - corner),
            _point(tip - corner), _point(target - corner), _point(entry - corner),
            way.device.diameter_mm + sizes.clearance_mm if sizes.channels else 0.0,
        )
        for (number, way, entry, tip, target), on_top in zip(places, crossed, strict=True)
    )  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, turn @ corner
    digest = hashlib.sha256(repr((image_digest, made, size, sizes)).encode()).hexdigest()
    marks, apart = _marks(size, sizes.ball_mm, int(digest[:8], 16))
    rows = [_row(row) for row in matrix]
    return TrainingBlock(
        digest[:12], plan_id, image_id, image_digest, size, BEVEL_MM, letters, (rows[0], rows[1], rows[2], rows[3]),
        sizes.ball_mm, sizes.clearance_mm, apart, marks, made, tuple(_meeting(made)),
    )  # fmt: skip


def apart_mm(points_mm: NDArray[np.float64]) -> float:
    """What is left over, root mean square, by the best wrong pairing of points (N, 3) with themselves: by any other
    order, turned, or by any order, mirrored. N up to 7."""
    middle = points_mm - points_mm.mean(axis=0)
    orders = np.asarray(list(permutations(range(len(points_mm)))))
    cross = np.einsum("oni,nj->oij", middle[orders], middle)
    turned = np.linalg.svd(cross, compute_uv=False)
    proper = np.sign(np.linalg.det(cross))
    gains = np.stack([turned[:, 0] + turned[:, 1] + sign * proper * turned[:, 2] for sign in (1.0, -1.0)])
    gains[0, 0] = -np.inf  # as it is: the first order, not mirrored
    left = 2.0 * ((middle**2).sum() - gains.max()) / len(points_mm)
    return float(np.sqrt(max(left, 0.0)))


def _axes(direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str, str, str, str]]:
    """The block's axes in the patient, in columns, and what its sides are called: up is the patient's side that the
    needle comes from, +y his head, or his front where the needle comes along him."""
    axis = int(np.argmax(np.abs(direction)))
    up, y = np.zeros(3), np.zeros(3)
    up[axis] = -np.sign(direction[axis])
    y[2 if axis != 2 else 1] = 1.0 if axis != 2 else -1.0
    turn = np.stack([np.cross(y, up), y, up], axis=1)
    x_name, y_name, up_name = (_called(turn[:, n]) for n in range(3))
    return turn, (x_name, _called(-turn[:, 0]), y_name, _called(-turn[:, 1]), up_name)


def _called(axis: NDArray[np.float64]) -> str:
    n = int(np.argmax(np.abs(axis)))
    return _LETTERS[n][0 if axis[n] > 0 else 1]


def _on_top(number: int, entry: NDArray[np.float64], tip: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    along = (tip - entry) / np.linalg.norm(tip - entry)
    leans = float(np.degrees(np.arccos(np.clip(-along[2], -1.0, 1.0))))
    if leans > STEEPEST_DEG:
        raise InputError(
            f"way {number}, which leans {leans:.0f} degrees from the normal of the block's top face",
            f"at most {STEEPEST_DEG:g} degrees", "Put it in a block of its own",
        )  # fmt: skip
    return np.asarray(entry + along * (top - entry[2]) / along[2])


def _meeting(ways: Sequence[BlockWay]) -> Iterator[str]:
    """Which channels run into each other, in words."""
    share = np.linspace(0.0, 1.0, 201)[:, None]
    for one, other in combinations([way for way in ways if way.channel_mm > 0.0], 2):
        first, second = (np.subtract(way.tip_mm, way.top_mm) * share + way.top_mm for way in (one, other))
        near = cdist(first, second) < (one.channel_mm + other.channel_mm) / 2.0 + WALL_MM
        if near.any():
            depth = float(share[near.any(axis=1)][0, 0]) * one.depth_mm
            yield f"the channels of {one.name} and {other.name} meet {depth:.0f} mm deep: a needle may slip across"


def _refuse_large(size: Point, bed: Point) -> None:
    flat, on_bed = sorted(size[:2]), sorted(bed[:2])
    if flat[0] > on_bed[0] or flat[1] > on_bed[1] or size[2] > bed[2]:
        told = " x ".join(f"{mm:.0f}" for mm in size)
        raise InputError(
            f"a block of {told} mm", f"one that fits a bed of {' x '.join(f'{mm:.0f}' for mm in bed)} mm",
            "Choose fewer ways with --trajectory, or a larger printer with --bed X Y Z",
        )  # fmt: skip


def _marks(size: Point, ball_mm: float, seed: int) -> tuple[tuple[BlockMark, ...], float]:
    """Three pits on top, at the corners that are not bevelled, and one in each of three sides."""
    rng = np.random.default_rng(seed)
    best: tuple[tuple[BlockMark, ...], float] = ((), -1.0)
    x, y, z = size
    for _ in range(_TRIES):
        a, b, c = rng.integers(6, 12, (3, 2)).astype(float)
        up = rng.uniform(0.25, 0.8, 3).round(2) * z
        across = rng.uniform(0.25, 0.75, 3).round(2)
        places = [
            ((a[0], a[1], z), (0, 0, 1)), ((x - b[0], b[1], z), (0, 0, 1)), ((c[0], y - c[1], z), (0, 0, 1)),
            ((0, across[0] * y, up[0]), (-1, 0, 0)), ((x, across[1] * (y - BEVEL_MM - 8), up[1]), (1, 0, 0)),
            ((across[2] * x, 0, up[2]), (0, -1, 0)),
        ]  # fmt: skip
        marks = tuple(_mark(f"F{n}", place, out, ball_mm) for n, (place, out) in enumerate(places, 1))
        apart = apart_mm(np.asarray([one.ball_mm for one in marks]))
        if apart > best[1]:
            best = (marks, apart)
    if best[1] < LEAST_APART_MM:
        raise InputError(
            f"pits that a wrong pairing fits to {best[1]:.1f} mm", f"{LEAST_APART_MM:g} mm or more",
            "A fault of the pattern: choose other ways",
        )  # fmt: skip
    return best


def _mark(name: str, place: Sequence[float], out: Sequence[float], ball_mm: float) -> BlockMark:
    """A pit in a face: its deepest point, and the middle of a ball that rests in its cone of 90 degrees, a diagonal of
    the ball's radius above it."""
    outward = np.asarray(out, dtype=np.float64)
    pit = np.asarray(place, dtype=np.float64) - PIT_MM * outward
    return BlockMark(name, _point(pit), _point(pit + np.sqrt(0.5) * ball_mm * outward), _point(outward))


def _point(place: NDArray[np.float64]) -> Point:
    a, b, c = (round(float(one), 6) + 0.0 for one in place)
    return a, b, c


def _row(row: NDArray[np.float64]) -> Row:
    a, b, c, d = (float(one) + 0.0 for one in row)
    return a, b, c, d
