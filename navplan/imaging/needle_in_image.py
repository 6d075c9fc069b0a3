"""The needle that a CT shows: its axis and its tip, found near where it was planned.

Bright voxels near the planned axis, a line through many of them (random pairs, then the weighted axis of those beside
it), and along that line the contrast to a ring about it, which is high where the needle is and falls to half at its
tip. Thin bright things that are not straight, and thick ones (bone), have no such contrast. Published for this kind of
search: within 2 degrees and 1 mm (PMC8035571).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from navplan.errors import InputError
from navplan.geometry.lines import perpendicular_axes, unit
from navplan.model.volume import Volume

BRIGHT_HU = 350.0  # steel of 1 mm in a slice of 5 mm comes to more
CONTRAST_HU = 200.0  # of the needle to the ring about it
RING_MM = 4.0
AWAY_MM, TURNED_DEG = 40.0, 30.0  # of the plan, that a needle is still looked for
BESIDE_MM = 1.5  # of a line, that a voxel still belongs to it
GAP_MM, SHORTEST_MM = 6.0, 20.0
PAIRS, LINES, MOST_VOXELS, STEP_MM = 3000, 24, 20_000, 0.25


@dataclass(frozen=True, eq=False)
class FoundNeedle:
    """tip_mm: (3,) LPS; direction: (3,) unit vector from the hub to the tip; seen_mm: length that the image shows;
    tip_error_mm, angle_error_deg: of one standard deviation, from the voxels and from how the line fits them."""

    tip_mm: NDArray[np.float64]
    direction: NDArray[np.float64]
    seen_mm: float
    tip_error_mm: float
    angle_error_deg: float

    def point_at_mm(self, before_tip_mm: float) -> NDArray[np.float64]:
        """(3,) on the axis, so far from the tip towards the hub."""
        return np.asarray(self.tip_mm - before_tip_mm * self.direction)


def find_needle(
    volume: Volume, entry_mm: NDArray[np.float64], target_mm: NDArray[np.float64], outside_mm: float = 120.0
) -> FoundNeedle:
    """The needle near a planned way (LPS mm), which may also be seen up to outside_mm before the skin.

    Raises InputError where none is seen within AWAY_MM and TURNED_DEG of the plan.
    """
    along = unit(target_mm - entry_mm)
    start, length = entry_mm - outside_mm * along, float(np.linalg.norm(target_mm - entry_mm)) + outside_mm + 30.0
    points, weights = _bright(volume, start, along, length)
    squeeze = _squeeze(volume)
    tip, direction, middle, seen = np.zeros(3), along, start, 0.0
    for line in _likely_lines(points, weights, along, squeeze):
        for _ in range(4):
            line = _fitted(points, weights, *line, squeeze)
        end, long_mm, plateau = _ends(volume, *line)
        if plateau >= CONTRAST_HU and long_mm > seen and line[1] @ along >= np.cos(np.radians(TURNED_DEG)):
            tip, seen, (middle, direction) = end, long_mm, line
    if seen < SHORTEST_MM:
        raise _none_found()
    voxel = float(np.linalg.norm(volume.grid.axes.T @ direction * volume.grid.spacing_mm))
    near = _beside(points, middle, direction, squeeze)
    across = points[near] - middle
    across -= (across @ direction)[:, None] * direction
    scatter = float(np.sqrt((across**2).sum(axis=1).mean() / 2.0)) if near.any() else BESIDE_MM
    lateral = scatter / np.sqrt(max(near.sum() / 8.0, 1.0))  # neighbouring voxels err together
    angle = float(np.degrees(lateral / (seen / 3.5)))
    return FoundNeedle(tip, direction, seen, float(np.hypot(voxel / 4.0, lateral)), angle)


def _none_found() -> InputError:
    return InputError(
        f"no needle within {AWAY_MM:g} mm and {TURNED_DEG:g} degrees of the plan",
        f"an image that shows a straight needle over {SHORTEST_MM:g} mm at least",
        "Look at the image: is the needle in it, and is it the plan of this needle?",
    )


def _bright(
    volume: Volume, start: NDArray[np.float64], along: NDArray[np.float64], length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) LPS mm and weights (N,) of bright voxels near the planned axis, the brightest where there are many."""
    grid = volume.grid
    ends = np.stack([start, start + length * along])
    reach = AWAY_MM + np.abs(grid.spacing_mm).max()
    edges = np.stack([ends.min(0) - reach, ends.max(0) + reach], axis=1)
    index = grid.indices(np.stack(np.meshgrid(*edges), -1).reshape(-1, 3))
    low = np.clip(np.floor(index.min(0)).astype(int), 0, np.asarray(grid.shape) - 1)
    high = np.clip(np.ceil(index.max(0)).astype(int) + 1, 1, grid.shape)
    part = np.asarray(volume.voxels[low[0] : high[0], low[1] : high[1], low[2] : high[2]], dtype=np.float32)
    found = np.argwhere(part > BRIGHT_HU)
    if not len(found):
        return np.empty((0, 3)), np.empty(0)
    points, values = grid.points_mm(found + low), part[tuple(found.T)]
    offset = points - start
    depth = offset @ along
    away = np.linalg.norm(offset - depth[:, None] * along, axis=1)
    keep = (away <= AWAY_MM) & (depth >= 0.0) & (depth <= length)
    points, values = points[keep], values[keep]
    if len(points) > MOST_VOXELS:
        brightest = np.argpartition(-values, MOST_VOXELS)[:MOST_VOXELS]
        points, values = points[brightest], values[brightest]
    return points, np.minimum(values, 3000.0).astype(np.float64)


def _squeeze(volume: Volume) -> NDArray[np.float64]:
    """(3, 3) map of LPS mm in which a little more than a voxel is BESIDE_MM along each axis where it is more: a needle
    between thick slices is seen in both."""
    grid = volume.grid
    thick = np.maximum(1.1 * np.asarray(grid.spacing_mm) / BESIDE_MM, 1.0)
    return np.asarray(grid.axes @ np.diag(1.0 / thick) @ grid.axes.T)


def _likely_lines(
    points: NDArray[np.float64], weights: NDArray[np.float64], along: NDArray[np.float64], squeeze: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Points and directions of lines, of random pairs, with bright voxels beside them over the longest unbroken
    stretches; at most LINES, none much like another."""
    if len(points) < 8:
        return []
    rng = np.random.default_rng(20_210_401)
    chance = (weights - BRIGHT_HU + 1.0) ** 2  # metal is brighter than bone
    chance /= chance.sum()
    first, second = (rng.choice(len(points), PAIRS, p=chance) for _ in range(2))
    step = points[second] - points[first]
    far = np.linalg.norm(step, axis=1)
    step[far > 0] /= far[far > 0, None]
    step *= np.sign(step @ along)[:, None]
    fits = (far >= SHORTEST_MM * 0.75) & (step @ along >= np.cos(np.radians(TURNED_DEG)))
    lines = list(zip(points[first[fits]], step[fits], strict=True))
    scores = []
    for origin, direction in lines:
        near = _beside(points, origin, direction, squeeze)
        scores.append(_unbroken(np.sort((points[near] - origin) @ direction)))
    chosen: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for n in np.argsort(-np.asarray(scores)):
        if len(chosen) == LINES or scores[n] < SHORTEST_MM * 0.75:
            break
        origin, direction = lines[n]
        if not any(direction @ other > 0.998 and _away(origin, at, other) < 4.0 for at, other in chosen):
            chosen.append(lines[n])
    return chosen


def _away(point: NDArray[np.float64], origin: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.cross(point - origin, direction)))


def _beside(
    points: NDArray[np.float64], origin: NDArray[np.float64], direction: NDArray[np.float64],
    squeeze: NDArray[np.float64],
) -> NDArray[np.bool_]:  # fmt: skip
    offset = (points - origin) @ squeeze
    depth = offset @ unit(squeeze @ direction)
    return np.asarray((offset**2).sum(axis=1) - depth**2 <= BESIDE_MM**2)


def _unbroken(depths: NDArray[np.float64]) -> float:
    """Of sorted depths, the longest stretch without a gap of more than GAP_MM."""
    if len(depths) < 2:
        return 0.0
    breaks = np.flatnonzero(np.diff(depths) > GAP_MM)
    begins, ends = np.r_[0, breaks + 1], np.r_[breaks, len(depths) - 1]
    return float((depths[ends] - depths[begins]).max())


def _fitted(
    points: NDArray[np.float64], weights: NDArray[np.float64], middle: NDArray[np.float64],
    direction: NDArray[np.float64], squeeze: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """The weighted axis of the voxels beside a line."""
    near = _beside(points, middle, direction, squeeze)
    some, weight = points[near], weights[near] - BRIGHT_HU + 1.0
    centre = weight @ some / weight.sum()
    offset = (some - centre) * np.sqrt(weight)[:, None]
    axis = np.linalg.svd(offset, full_matrices=False)[2][0]
    return centre, np.asarray(axis * np.sign(axis @ direction))


def _ends(
    volume: Volume, middle: NDArray[np.float64], direction: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, float]:
    """Tip, length seen and contrast: the needle goes on from the middle both ways while it is brighter than a ring."""
    depths = np.arange(-250.0, 250.0, STEP_MM)
    axis = middle + depths[:, None] * direction
    one, two = perpendicular_axes(direction)
    turns = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
    ring = RING_MM * (np.cos(turns)[:, None] * one + np.sin(turns)[:, None] * two)
    values = np.asarray(volume.voxels)

    def at(where: NDArray[np.float64]) -> NDArray[np.float64]:
        index = volume.grid.indices(where.reshape(-1, 3)).T
        found = map_coordinates(values, index, output=np.float32, order=1, mode="constant", cval=-1024.0)
        return np.asarray(found.reshape(where.shape[:-1]), dtype=np.float64)

    contrast = at(axis) - np.median(at(axis[:, None, :] + ring), axis=1)
    here = int(np.argmin(np.abs(depths)))
    bright = contrast >= CONTRAST_HU
    gap = int(GAP_MM / STEP_MM)
    last, first = _runs_to(bright[here:], gap) + here, here - _runs_to(bright[here::-1], gap)
    plateau = float(np.median(contrast[max(first, last - int(15.0 / STEP_MM)) : last + 1])) if last > first else 0.0
    half = last
    while half < len(contrast) - 1 and contrast[half] > plateau / 2.0:
        half += 1
    while half > first and contrast[half] < plateau / 2.0:
        half -= 1
    return np.asarray(axis[half]), float(depths[half] - depths[first]), plateau


def _runs_to(bright: NDArray[np.bool_], gap: int) -> int:
    """The last bright place before more than `gap` that are not."""
    last = 0
    for n in np.flatnonzero(bright):
        if n - last > gap:
            break
        last = int(n)
    return last
