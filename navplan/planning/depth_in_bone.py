"""How deep an axis surely runs inside a bone: the distance from it to the nearest that is not the bone.

What is not the bone is a structure as well, with the rest of each voxel as its share; so the bounds of distances
(navplan.planning.boundary, navplan.planning.sub_voxel) hold for it. A voxel that looks full may hold a sliver of it
between the samples that its share was counted from: so much comes off, half their distance along the voxel's edge
from the surface that the shares tell, a whole one along its diagonal from what the voxels bound.
"""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from navplan.model.structure import Structure
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_of, boundary_voxels, occupancy_at, voxels_below
from navplan.planning.margins import margins
from navplan.planning.sub_voxel import samples_told, surface_distance

_FULL = 255


def depths_at_least_mm(bone: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) of many points (N, 3) LPS mm: how deep they surely lie in the bone by what its voxels bound, negative where
    they may lie outside: then as far as they may."""
    boundary = boundary_of(bone)
    inside = occupancy_at(bone, points_mm) > 0
    depths = np.full(len(points_mm), -np.inf)
    depths[inside] = _unfilled(bone, _FULL if bone.fractional else 1).query(points_mm[inside])[0] - boundary.below_mm
    doubtful = depths <= 0.0
    depths[doubtful] = -(_filled(bone, 1).query(points_mm[doubtful])[0] + boundary.above_mm)
    return depths


def depths_about_mm(bone: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) about how deep points (N, 3) LPS mm lie in the bone, negative outside: to half way between the last voxel
    that it mostly fills and the first that it does not. No bound."""
    grid = bone.grid
    assert grid is not None
    inside = occupancy_at(bone, points_mm) >= MOSTLY_INSIDE
    depths = np.empty(len(points_mm))
    for here, sign in ((inside, 1.0), (~inside, -1.0)):
        if here.any():
            tree = _unfilled(bone, MOSTLY_INSIDE) if sign > 0 else _filled(bone, MOSTLY_INSIDE)
            away, which = tree.query(points_mm[here])
            line = (tree.data[which] - points_mm[here]) / np.maximum(away, 1e-9)[:, None]
            step = np.linalg.norm((line @ grid.axes) * grid.spacing_mm, axis=1)
            depths[here] = sign * np.maximum(away - step / 2, 0.0)
    return depths


_UNFILLED: WeakKeyDictionary[Structure, dict[int, cKDTree]] = WeakKeyDictionary()
_FILLED: WeakKeyDictionary[Structure, dict[int, cKDTree]] = WeakKeyDictionary()


def _unfilled(bone: Structure, least: int) -> cKDTree:
    """The voxels in and around a bone that are less full than `least`."""
    kept = _UNFILLED.setdefault(bone, {})
    if least not in kept:
        kept[least] = voxels_below(bone, least)
    return kept[least]


def _filled(bone: Structure, least: int) -> cKDTree:
    """The bone's boundary among the voxels at least so full."""
    kept = _FILLED.setdefault(bone, {})
    if least not in kept:
        assert bone.grid is not None and bone.occupancy is not None
        kept[least] = cKDTree(boundary_voxels(bone.occupancy, bone.grid, least).centres_mm)
    return kept[least]


def depth_at_least_mm(
    bone: Structure, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], reach_mm: float
) -> float:
    """Lower bound of the distance from an axis (start, end: (3,) LPS mm) to what is not the bone, at most reach_mm; 0
    where that is not bounded, or the axis is not wholly inside."""
    around = _around(bone, start_mm, end_mm, reach_mm)
    if around is None:
        return reach_mm
    boundary = boundary_of(around)
    measured = margins([boundary], [start_mm], [end_mm])
    nearest = boundary.centres_mm[measured.nearest[0, 0]]
    low = measured.interval(0, 0, 0.0).low_mm if boundary.locally_thick(nearest) else 0.0
    if around.fractional:
        assert around.grid is not None
        samples, edge_mm = samples_told(boundary), float(around.grid.spacing_mm.max())
        surface = surface_distance(boundary, start_mm, end_mm)
        told = 0.0 if surface is None else surface.low_mm - 0.5 * edge_mm / samples
        low = max(low - around.grid.diagonal_mm / samples, told)
    return float(np.clip(low, 0.0, reach_mm))


def _around(
    bone: Structure, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], reach_mm: float
) -> Structure | None:
    """What is not the bone, within reach of an axis; None where all is bone. Beyond the bone's own grid nothing is."""
    assert bone.grid is not None and bone.occupancy is not None
    ends = bone.grid.indices(np.stack([start_mm, end_mm]))
    wide = np.ceil(reach_mm / bone.grid.spacing_mm) + 2
    low = np.floor(ends.min(axis=0) - wide).astype(int)
    high = np.ceil(ends.max(axis=0) + wide).astype(int) + 1
    rest = np.full(high - low, _FULL, dtype=np.uint8)
    first, last = np.maximum(low, 0), np.minimum(high, bone.occupancy.shape)
    if (last > first).all():
        there = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        here = tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))
        rest[here] = _FULL - bone.occupancy[there] if bone.fractional else _FULL * (bone.occupancy[there] == 0)
    if not rest.any():
        return None
    i, j, k = (int(n) for n in rest.shape)
    x, y, z = (int(n) for n in low)
    return replace(bone, name=f"around_{bone.name}", occupancy=rest, grid=bone.grid.crop((x, y, z), (i, j, k)))
