"""The lines along the middle of a vessel's mask: from end to end, and of each branch.

Shortest paths whose cost is length / depth², so that they keep to the middle; at a fork the line goes on where most
volume lies (radius² times length), and the rest is a branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from navplan.errors import InputError
from navplan.imaging.canonical import Mask, labelled
from navplan.imaging.working import Step

LEAST_BRANCH_MM = 4.0  # beyond the wall of what it leaves
LEAST_PART_MM = 8.0  # length of a separate part that gets a line
Line = tuple[NDArray[np.intp], NDArray[np.float64]]


def depth_mm(mask: Mask, step: Step) -> NDArray[np.float64]:
    """Distance in mm of every voxel of a mask to the nearest voxel's centre outside; 0 outside.

    On a vessel's centreline it is the vessel's radius, to about half a voxel.
    """
    away = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1), sampling=step))
    return away[1:-1, 1:-1, 1:-1]


def centreline(mask: Mask, step: Step) -> Line:
    """The line along the middle of the largest part of a mask, between the two ends furthest apart in it.

    Gives voxels (n, 3) in order, next to each other, and the radius in mm (n,) at each. Raises InputError for an empty
    mask.
    """
    labels, count = labelled(mask)
    if count == 0:
        raise InputError("a centreline of nothing", "a mask with a voxel")
    part = labels == int(np.argmax(np.bincount(labels.ravel("K"))[1:])) + 1
    graph = _Graph.of(part, step)
    chosen = graph.between(*graph.ends())
    return graph.voxels[chosen], graph.deep[chosen]


def branches(mask: Mask, step: Step) -> list[Line]:
    """A line for each vessel of a mask, as centreline gives them: of each separate part of 8 mm and more the one with
    most volume, then its branches, from the wall of what they leave; in no order of importance.

    Raises InputError for an empty mask.
    """
    labels, count = labelled(mask, np.ones((3, 3, 3), dtype=bool))
    if count == 0:
        raise InputError("centrelines of nothing", "a mask with a voxel")
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if float(np.linalg.norm([(s.stop - s.start) * w for s, w in zip(box, step, strict=True)])) < LEAST_PART_MM:
            continue
        part = labels[box] == number
        low = np.asarray([s.start for s in box])
        found += [(voxels + low, deep) for voxels, deep in _tree(_Graph.of(part, step), step)]
    return found


@dataclass(frozen=True, eq=False)
class _Graph:
    """A part's voxels (n, 3), the depth (n,) of each, and its neighbours' distances: plain, and over depth²."""

    voxels: NDArray[np.intp]
    deep: NDArray[np.float64]
    plain: csr_array
    costly: csr_array

    @staticmethod
    def of(part: Mask, step: Step) -> _Graph:
        depth = depth_mm(part, step)
        voxels = np.argwhere(part)
        number = np.full(part.shape, -1, dtype=np.intp)
        number[tuple(voxels.T)] = np.arange(len(voxels))
        rows, columns, lengths = [], [], []
        for offset in np.ndindex(3, 3, 3):
            shift = np.asarray(offset) - 1
            if tuple(shift) <= (0, 0, 0):
                continue
            other = voxels + shift
            fits = ((other >= 0) & (other < part.shape)).all(axis=1)
            ends = np.full(len(voxels), -1)
            ends[fits] = number[tuple(other[fits].T)]
            start = np.flatnonzero(ends >= 0)
            rows.append(start)
            columns.append(ends[start])
            lengths.append(np.full(len(start), float(np.linalg.norm(shift * step))))
        row, column, length = np.concatenate(rows), np.concatenate(columns), np.concatenate(lengths)
        deep = depth[tuple(voxels.T)]
        cost = length / (0.5 * (deep[row] + deep[column])) ** 2
        size = (len(voxels), len(voxels))
        plain = coo_array((length, (row, column)), shape=size).tocsr()
        costly = coo_array((cost, (row, column)), shape=size).tocsr()
        return _Graph(voxels, deep, plain, costly)

    def ends(self) -> tuple[int, int]:
        """The two voxels furthest apart in it."""
        first = int(np.argmax(dijkstra(self.plain, directed=False, indices=0)))
        return first, int(np.argmax(dijkstra(self.plain, directed=False, indices=first)))

    def between(self, first: int, second: int) -> NDArray[np.intp]:
        """The voxels along the middle from one to another."""
        _, before = dijkstra(self.costly, directed=False, indices=first, return_predecessors=True)
        path = [second]
        while path[-1] != first:
            path.append(int(before[path[-1]]))
        return np.asarray(path[::-1])


def _tree(graph: _Graph, step: Step) -> list[Line]:
    line = graph.between(*graph.ends())
    third = max(1, len(line) // 3)
    root = int(line[0] if graph.deep[line[:third]].mean() >= graph.deep[line[-third:]].mean() else line[-1])
    far, before = dijkstra(graph.costly, directed=False, indices=root, return_predecessors=True)
    places = graph.voxels * np.asarray(step)
    order = np.argsort(far, kind="stable").tolist()
    parent = before.tolist()
    length = np.linalg.norm(places - places[np.maximum(before, 0)], axis=1)
    value = (length * graph.deep**2).tolist()
    for node in order[1:]:
        value[node] += value[parent[node]]
    best, follows = list(value), [-1] * len(order)
    for node in order[:0:-1]:
        above = parent[node]
        if follows[above] < 0 or best[node] > best[above]:
            best[above], follows[above] = max(best[node], best[above]), node
    children: dict[int, list[int]] = {}
    for node in order[1:]:
        if follows[parent[node]] != node:
            children.setdefault(parent[node], []).append(node)
    found: list[Line] = []
    taken = np.zeros((0, 3))
    radius = np.zeros(0)
    waiting = [root]
    while waiting:
        waiting.sort(key=lambda node: best[node] - value[node])
        path = [waiting.pop()]
        while follows[path[-1]] >= 0:
            path.append(follows[path[-1]])
        own = np.asarray(path)
        if len(taken):
            away, nearest = cKDTree(taken).query(places[own])
            beyond = away - radius[nearest]
            if beyond[-1] < LEAST_BRANCH_MM:
                continue
            own = own[int(np.flatnonzero(beyond <= 0)[-1]) + 1 if (beyond <= 0).any() else 0 :]
        if len(own) > 1:
            found.append((graph.voxels[own], graph.deep[own]))
            taken, radius = np.concatenate([taken, places[own]]), np.concatenate([radius, graph.deep[own]])
        waiting += [child for node in path for child in children.get(node, ())]
    return found
