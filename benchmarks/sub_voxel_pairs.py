"""Pairs of solids that labels cannot tell apart: the same share in every voxel, bit for bit, but other distances.

Whoever tells the distance from the labels tells one interval for both of a pair. If it never leaves the truth out, it
is at least as wide as the two truths lie apart. Also: what the shares tell of a solid of which nothing is assumed.

The pairs lie in voxels of 1 mm along the axes of LPS, whose corners are at whole millimetres; a sample lies in the
middle of each of samples^3 parts of a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.sub_voxel_scenes import truth_mm
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import boundary_of
from navplan.planning.check_plan import _narrowed as narrowed
from navplan.planning.margins import margins
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solids import Box, Capsule, Difference, HalfSpace, Intersection, RoundCone, Solid, Sphere, Union

HALF = 12  # voxels of the grid to either side
FAR = 3.0  # mm from the origin to where the axes pass


@dataclass(frozen=True, eq=False)
class Pair:
    """one, other: solids with the same labels of samples^3 samples; start, end: an axis past them, (3,) LPS mm."""

    name: str
    one: Solid
    other: Solid
    samples: int
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def labels(self) -> tuple[Structure, Structure]:
        """Fractional labels of both, each on the whole grid."""
        affine = np.eye(4)
        affine[:3, 3] = 0.5 - HALF
        grid = Grid(affine, (2 * HALF, 2 * HALF, 2 * HALF))
        found = []
        for solid in (self.one, self.other):
            part = rasterise(solid, affine, grid.shape, self.samples)
            whole = np.zeros(grid.shape, np.uint8)
            whole[tuple(slice(o, o + n) for o, n in zip(part.offset, part.occupancy.shape, strict=True))] = (
                part.occupancy
            )
            found.append(Structure("structure", Presence.PRESENT, whole, grid, True, grid))
        return found[0], found[1]

    def truths_mm(self) -> tuple[float, float]:
        """Distances of the axis to both; of a cut solid the bound that is nearer to the other's distance."""
        one, other = (truth_mm(solid, self.start, self.end) for solid in (self.one, self.other))
        return (one[1], other[0]) if one[0] < other[0] else (one[0], other[1])

    def interval_mm(self) -> tuple[float, float]:
        """What a report tells of the axis, of either."""
        measured = margins([boundary_of(self.labels()[0])], [self.start], [self.end])
        told = narrowed(measured, 0, self.start, self.end, 0.0)[0]
        return told.low_mm, told.high_mm


def pairs() -> list[Pair]:
    """What is thinner than a voxel, moved inside it by whole samples; edges and corners; a spike with and without its
    tip."""
    turned = np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 2**0.5]]).T / 2**0.5
    plates = [Box((x, 0.1, 0.1), (0.12, 6.0, 6.0)) for x in (0.175, 0.8)]
    wires = [Capsule((x, 0.5, -5.2), (x, 0.5, 5.3), 0.12) for x in (0.17, 0.795)]
    balls = [Sphere((x, 0.5, 0.5), 0.25) for x in (0.305, 0.68)]
    edges = [Box((a - 4, a - 4, 0.1), (4.0, 4.0, 6.0)) for a in (0.38, 0.62)]
    corners = [Box((a - 4, a - 4, a - 4), (4.0, 4.0, 4.0)) for a in (0.38, 0.62)]
    sharp = Box((0.81 - 4, 0.81 - 4, 0.1), (4.0, 4.0, 6.0))
    beside = Difference(sharp, Box((2.5, 2.5, 0.0), (2.5, 2.5, 9.0)))
    voxels = Box((0.47, 0.47, 0.1), (0.47, 0.47, 6.0))  # that the edge runs through
    bevelled = Union(beside, Intersection(voxels, HalfSpace((0.503, 0.503, 0.0), turned[:, 0])))
    spikes = [RoundCone((-8.0, 0.5, 0.5), (x, 0.5, 0.5), 1.5321, tip) for x, tip in ((0.91, 0.0174), (0.4, 0.1041))]
    x, diagonal, corner = np.eye(3)[0], np.array([1.0, 1.0, 0.0]) / 2**0.5, np.ones(3) / 3**0.5
    across = np.array([0.0, 0.0, 1.0])
    return [
        _pair("a plate of .24 mm", plates, 8, x, across, 0.5),
        _pair("a wire of .24 mm", wires, 8, x, across, 0.5),
        _pair("a ball of .5 mm", balls, 8, x, across, 0.5),
        _pair("a spike with its tip and without", spikes, 8, x, across, 0.5),
        _pair("an edge and a bevelled one", [sharp, bevelled], 8, diagonal, across, 0.0),
        _pair("a right-angled edge", edges, 4, diagonal, across, 0.0),
        _pair("a right-angled corner", corners, 4, corner, np.array([1.0, -1.0, 0.0]), 0.0),
    ]


def _pair(
    name: str,
    solids: list[Solid] | list[Box] | list[Capsule] | list[Sphere] | list[RoundCone],
    samples: int,
    towards: NDArray[np.float64],
    along: NDArray[np.float64],
    middle: float,
) -> Pair:
    place = FAR * towards + middle * (1.0 - np.abs(np.sign(towards)))
    return Pair(name, solids[0], solids[1], samples, place - 7.0 * along, place + 7.0 * along)


def told_by_shares_mm(
    labels: Structure, samples: int, start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[float, float]:
    """Between what the distance of an axis to any solid with these shares of samples^3 samples may lie, and does lie
    for some: the samples that each voxel counts may all be its nearest ones, or its farthest."""
    assert labels.grid is not None and labels.occupancy is not None
    spacing = labels.grid.spacing_mm
    index = np.argwhere(labels.occupancy)
    centres = labels.grid.points_mm(index)
    away = _axis_distance(centres, start, end)
    near = away <= away.min() + labels.grid.diagonal_mm
    counts = np.rint(labels.occupancy[tuple(index[near].T)] * (samples**3 / 255.0)).astype(int)
    steps = np.moveaxis(np.indices((samples,) * 3), 0, -1).reshape(-1, 3)
    offsets = (((steps + 0.5) / samples - 0.5) * spacing) @ labels.grid.axes.T
    sorted_away = np.sort(_axis_distance(centres[near][:, None] + offsets, start, end), axis=1)[counts > 0]
    if not len(sorted_away):
        return float(away.min() - labels.grid.diagonal_mm / 2), float(away.min())
    farthest = sorted_away[np.arange(len(sorted_away)), samples**3 - counts[counts > 0]]
    return float(sorted_away[:, 0].min()), float(farthest.min())


def _axis_distance(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    along = end - start
    share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * along, axis=-1))
