"""How deep a structure reaches into an ablation zone, or out of it: surface to surface, as an interval.

A margin between voxels is optimistic (spheres with a true margin of 5.00 mm: 5.10 at 1 mm, up to 5.73 at .7 x .7 x
2.5). Here the zone is exact (`ablation_zone`), and the structure is what its labels bound (`boundary`): D of the
nearest voxel's centre gives [D - below, D + above], the depth being no steeper than 1 mm a mm. The least margin of a
tumour lies on its surface, the depth being concave.

Labels that say how full each voxel is bound more. With e the direction in which a voxel's content matters (out of the
zone for a tumour, towards it for a neighbour) and h the plane across e that leaves the stated share of the voxel behind
it (planes as in `sub_voxel`; Scardovelli and Zaleski, J Comput Phys 164:228, 2000):

- no shape with that share lies wholly behind h, so it holds a point at h or beyond: the optimistic end is that point's,
  by the tangent of the concave depth (tumour), or by the corners of the voxel's part beyond h (neighbour);
- it reaches to h and what `facing_planes` allows besides (measured in docs/sub-voxel.md: samples, bends, edges), and
  never out of the voxel: the pessimistic end is that of the voxel's part up to there.

The wider of the two never counts: the interval is at most that of the voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import Interval
from navplan.planning.ablation_zone import Ellipsoid
from navplan.planning.boundary import Boundary, flat_in_file_order
from navplan.planning.facing_planes import facing_planes
from navplan.planning.sub_voxel import TOLD_TO, plane_settings, samples_told

FAR_MM = 1000.0  # a point so far away sees a voxel along one direction
_CORNERS = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_EDGES = np.asarray([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


@dataclass(frozen=True, eq=False)
class DepthInterval:
    """The least depth of a structure in a zone (a margin), or the distance between the two, as an interval; the voxel
    that decides, LPS mm, its own depth there; whether the labels prove the pessimistic end."""

    interval: Interval
    voxel_mm: NDArray[np.float64]
    centre_depth_mm: float
    proven: bool


def margin_in(zone: Ellipsoid, boundary: Boundary, counted: NDArray[np.bool_] | None = None) -> DepthInterval:
    """Minimal ablative margin of a target in a zone, negative where it sticks out.

    counted: (M,) which of the boundary's voxels count, all where None; at least one must. Of a part the interval is
    that of the voxels: what lies beside it tells nothing of it.
    """
    centres = boundary.centres_mm if counted is None else boundary.centres_mm[counted]
    depth = zone.depth_mm(centres)
    least = int(np.argmin(depth))
    low, high = float(depth[least]) - boundary.below_mm, float(depth[least]) + boundary.above_mm
    near = depth < depth[least] + 2.0 * boundary.diagonal_mm
    if _tells_shares(boundary) and counted is None:
        indices = _touched_around(boundary, boundary.voxels.indices[near])
        inner, outer = _bounds_by_shares(zone, boundary, indices, outward=True)
        low, high = max(low, outer), min(high, inner)
    proven = bool(boundary.thick_at(centres[near]).all())
    return DepthInterval(Interval(min(low, high), high), centres[least], float(depth[least]), proven)


def distance_to(zone: Ellipsoid, boundary: Boundary, fine_within_mm: float = np.inf) -> DepthInterval:
    """Distance from a zone's surface to a structure's, negative where the structure reaches into the zone (then: how
    deep). What lies farther than fine_within_mm for sure keeps the voxels' interval."""
    centres = _nearest_blocks(zone, boundary)
    away = -zone.depth_mm(centres)
    least = int(np.argmin(away))
    low, high = float(away[least]) - boundary.below_mm, float(away[least]) + boundary.above_mm
    near = away < away[least] + 2.0 * boundary.diagonal_mm
    if _tells_shares(boundary) and low <= fine_within_mm:
        grid = boundary.structure.grid
        assert grid is not None
        indices = _touched_around(boundary, np.rint(grid.indices(centres[near])).astype(np.int64))
        inner, outer = _bounds_by_shares(zone, boundary, indices, outward=False)
        low, high = max(low, -outer), min(high, -inner)
    proven = bool(boundary.thick_at(centres[least][None])[0])
    return DepthInterval(Interval(min(low, high), high), centres[least], -float(away[least]), proven)


def _tells_shares(boundary: Boundary) -> bool:
    structure = boundary.structure
    assert structure.grid is not None
    own = boundary.diagonal_mm <= structure.grid.diagonal_mm * 1.001
    return structure.fractional and own and not structure.carried_from


def _nearest_blocks(zone: Ellipsoid, boundary: Boundary) -> NDArray[np.float64]:
    """(N, 3) centres of the boundary voxels in the blocks that may hold the one nearest to (or deepest in) the zone,
    and all that lie two diagonals farther."""
    blocks, starts = boundary.voxels.block_mm, boundary.voxels.block_start
    depth, radius = zone.depth_mm(blocks[:, :3]), blocks[:, 3]
    near = -depth - radius <= (-depth + radius).min() + 2.0 * boundary.diagonal_mm
    rows = np.concatenate([np.arange(starts[b], starts[b + 1]) for b in np.flatnonzero(near)])
    return boundary.centres_mm[rows]


def _touched_around(boundary: Boundary, indices: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N, 3) indices of the touched voxels among given ones and the 26 around each: beside an oblique wall a voxel that
    is partly filled may have six touched neighbours, and is no boundary voxel."""
    occupancy = boundary.structure.occupancy
    assert occupancy is not None
    steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    around = (indices.astype(np.int64)[:, None] + steps).reshape(-1, 3)
    around = around[((around >= 0) & (around < occupancy.shape)).all(axis=1)]
    flat = np.unique(np.ravel_multi_index(tuple(around.T), occupancy.shape))
    places = np.stack(np.unravel_index(flat, occupancy.shape), axis=1)
    return np.asarray(places[occupancy[tuple(places.T)] > 0], dtype=np.int64)


def _bounds_by_shares(
    zone: Ellipsoid, boundary: Boundary, indices: NDArray[np.int64], outward: bool
) -> tuple[float, float]:
    """Depths that bound the extreme one (least if outward, else greatest) of what voxels (N, 3) hold: that of a point
    that is surely theirs, and one that nothing of theirs exceeds."""
    structure = boundary.structure
    assert structure.grid is not None and structure.occupancy is not None
    grid, spacing = structure.grid, structure.grid.spacing_mm
    centres = grid.points_mm(indices)
    depth, normal = zone.depth_and_normal(centres)
    towards = normal if outward else -normal
    shares = structure.occupancy[tuple(indices.T)] / 255.0
    told = 0.5 / samples_told(boundary) * float(spacing.max())
    sure = np.flatnonzero(shares >= 2.0 * TOLD_TO)  # one that is just marked may hold its point a little outside itself
    plane = plane_offset_mm(shares - 0.6 * TOLD_TO, np.abs(towards @ grid.axes) * spacing) - told
    reaches = _Reach(boundary)
    if outward:
        inner = float((depth - plane)[sure].min(initial=np.inf))
        outer = inner
        bound = _least_in_boxes(zone, centres, grid.axes, spacing)
        for n in np.argsort(bound):
            if bound[n] >= outer:
                break
            limit = reaches.mm(indices[n], centres[n], towards[n])
            part = _part_of_voxel(centres[n], towards[n], limit, grid.axes, spacing)
            outer = min(outer, float(zone.depth_mm(part).min()))
        return inner, outer
    inner = -np.inf
    for n in sure[np.argsort(-(depth + plane)[sure])][:64]:  # those that reach deepest: any of them is a bound
        part = _part_of_voxel(centres[n], -towards[n], -float(plane[n]), grid.axes, spacing)
        inner = max(inner, float(zone.depth_mm(part).min()))
    outer = inner
    bound = depth + (np.abs(towards @ grid.axes) * spacing).sum(axis=1) / 2.0
    for n in np.argsort(-bound):
        if bound[n] <= outer:
            break
        outer = max(outer, float(depth[n] + reaches.mm(indices[n], centres[n], towards[n])))
    return inner, outer


def plane_offset_mm(shares: NDArray[np.float64], widths_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) where the plane across a direction lies, from the middle of a box, that leaves a share (N,) of it behind
    it. widths_mm: (N, 3) extents of the box's three edges along the direction."""
    total = widths_mm.sum(axis=1)
    width = np.maximum(widths_mm, 1e-3 * total[:, None])
    total = width.sum(axis=1)
    below, above = np.zeros(len(shares)), total.copy()
    pairs = width[:, [0, 0, 1]] + width[:, [1, 2, 2]]
    volume = 6.0 * width.prod(axis=1)
    for _ in range(40):
        z = (below + above) / 2
        filled = z**3 - (np.maximum(z[:, None] - width, 0.0) ** 3).sum(axis=1)
        filled += (np.maximum(z[:, None] - pairs, 0.0) ** 3).sum(axis=1)
        less = filled / volume < shares
        below, above = np.where(less, z, below), np.where(less, above, z)
    return np.asarray((below + above) / 2 - total / 2)


def _least_in_boxes(
    zone: Ellipsoid, centres: NDArray[np.float64], axes: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) least depth in voxels about centres (N, 3): in a corner."""
    corners = centres[:, None] + (_CORNERS * spacing) @ axes.T
    return zone.depth_mm(corners.reshape(-1, 3)).reshape(len(centres), 8).min(axis=1)


def _part_of_voxel(
    centre: NDArray[np.float64],
    towards: NDArray[np.float64],
    limit_mm: float,
    axes: NDArray[np.float64],
    spacing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(K, 3) corners of the part of a voxel that lies no farther than limit_mm from its centre along a direction."""
    corners = (_CORNERS * spacing) @ axes.T
    height = corners @ towards - limit_mm
    first, last = _EDGES[:, 0], _EDGES[:, 1]
    crossed = (height[first] < 0) != (height[last] < 0)
    a, b = first[crossed], last[crossed]
    share = height[a] / (height[a] - height[b])
    cuts = corners[a] + share[:, None] * (corners[b] - corners[a])
    found = np.concatenate([corners[height <= 0], cuts])
    if not len(found):  # the limit lies before the voxel: its nearest corner
        found = corners[[int(np.argmin(height))]]
    return np.asarray(centre + found)


class _Reach:
    """How far along a direction, from its centre, what a voxel of a boundary holds may reach (`facing_planes`, seen
    from far away)."""

    def __init__(self, boundary: Boundary) -> None:
        structure = boundary.structure
        assert structure.grid is not None and structure.occupancy is not None
        self.spacing = structure.grid.spacing_mm
        self.axes = np.ascontiguousarray(structure.grid.axes.T)
        self.occupancy = flat_in_file_order(structure.occupancy)
        self.shape = np.asarray(structure.occupancy.shape, dtype=np.int64)
        self.aside2 = float((self.spacing**2).sum()) / 4.0
        self.settings = plane_settings(samples_told(boundary), float(self.spacing.max()))

    def mm(self, index: NDArray[np.int64], centre: NDArray[np.float64], towards: NDArray[np.float64]) -> float:
        """Of the voxel at an index (3,) with its centre (3,) along a unit direction (3,)."""
        half = float((np.abs(self.axes @ towards) * self.spacing).sum()) / 2.0
        across = np.zeros(3)
        thin = int(np.argmin(np.abs(towards)))
        across[thin - 1], across[thin - 2] = towards[thin - 2], -towards[thin - 1]
        across /= np.linalg.norm(across)
        start = centre + FAR_MM * towards
        _, lows, _ = facing_planes(
            centre[None].copy(), index[None].copy(), self.occupancy, self.shape, self.axes, self.spacing, start, across,
            1e-6, self.settings,
        )  # fmt: skip
        if not np.isfinite(lows[0]):
            return half
        return min(half, FAR_MM - float(np.sqrt(max(float(lows[0]) ** 2 - self.aside2, 0.0))))
