"""The bronchi beyond the main ones on CT: a front that walks down the dark lumens from the windpipe.

The front is walked layer by layer; where it parts, each part is a branch of its own. A branch ends where it leaks: its
layer becomes wider than a branch may be beside the one it came from, or no wall lies about it. What had grown since
the width was last right is taken back. Thresholds go from dark to less dark, each from what the one before left, so
that a wide airway leaks nowhere and a narrow one, whose blur is brighter, is still followed.
(Explosion control as in K. Mori et al., Automated anatomical labeling of the bronchial branch, IEEE TMI 19, 2000, and
T. Schlathölter et al., Simultaneous segmentation and tree reconstruction of the airways, SPIE 4684, 2002.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from navplan.imaging.canonical import Mask, box_of

Step = tuple[float, float, float]
Flat = NDArray[np.int64]

# Starting values without a published source, set on one chest CT of 2.5 mm slices by eye.
THRESHOLDS_HU = (-950.0, -930.0, -910.0, -890.0, -870.0)
WIDER = 1.6  # largest layer of a branch, as a share of what is usual in it and before it
LEAST_MM2 = 14.0  # a layer of this size is no leak, whatever came before: it is a few voxels
FIRST_MM2 = 250.0  # largest layer of what leaves the trunk: a main bronchus
WALLS_HU = (140.0, 100.0, 60.0)  # by which what lies around a branch is on average brighter than the lung, at least
SHORTEST_MM = 6.0  # a branch that ends earlier is left out
MOST_PARTS = 3  # into which one branch may part at once; more are a sponge, the lung
MOST_BRANCH_MM = 80.0  # no branch runs so far without parting


@dataclass(eq=False)
class Branch:
    """Layers of flat indices from near to far; usual_mm2: of a layer, in it or before it, whichever is narrower."""

    layers: list[Flat]
    parent: Branch | None
    usual_mm2: float
    children: int = 0


def find_bronchi(hu: NDArray[np.float32], lungs: Mask, trunk: Mask, step: Step) -> tuple[Mask, list[float]]:
    """Lumens [left, posterior, superior] beyond the trunk, and the lengths of their branches in mm, roughly.

    hu: CT numbers on steps of `step` mm; lungs: both, with what lies in them; trunk: windpipe and main bronchi.
    """
    found = np.zeros(hu.shape, dtype=bool, order="F")
    box = box_of(lungs | trunk, 2)
    if box is None or not trunk.any():
        return found, []
    walk = _Walk(hu[box], trunk[box], float(np.median(hu[lungs])) if lungs.any() else -850.0, step)
    for wall_hu in WALLS_HU:
        for threshold in THRESHOLDS_HU:
            walk.down(threshold, wall_hu)
    tree = np.zeros(walk.shape, dtype=bool)
    for branch in walk.branches:
        for layer in branch.layers:
            tree.ravel()[layer] = True
    found[box] = tree[1:-1, 1:-1, 1:-1]
    return found, [len(branch.layers) * walk.layer_mm for branch in walk.branches]


class _Walk:
    """The branches that were found so far, on an array with a bright border."""

    def __init__(self, hu: NDArray[np.float32], trunk: Mask, lung_hu: float, step: Step) -> None:
        padded = np.pad(np.ascontiguousarray(hu), 1, constant_values=3000.0)
        self.shape = padded.shape
        self.hu, self.lung_hu = padded.ravel(), lung_hu
        self.layer_mm = float(np.prod(step)) ** (1 / 3)
        self.voxel_mm2 = float(np.prod(step)) / self.layer_mm
        strides = np.asarray([self.shape[1] * self.shape[2], self.shape[2], 1])
        self.around = np.asarray([offset @ strides for offset in np.argwhere(np.ones((3, 3, 3))) - 1])
        self.faces = np.concatenate([strides, -strides])
        self.taken = np.pad(np.ascontiguousarray(trunk), 1).ravel()
        self.trunk = Branch([np.flatnonzero(self.taken)], None, FIRST_MM2 / WIDER)
        self.branches: list[Branch] = []

    def down(self, threshold_hu: float, wall_hu: float) -> None:
        """Go on from the trunk and from the end of every branch, into what is darker than the threshold."""
        fresh: list[Branch] = []
        queue = [self.trunk, *self.branches]
        while queue:
            parent = queue.pop()
            for start in self._next(parent.layers[-1], threshold_hu):
                branch, parts = self._walked(Branch([start], parent, parent.usual_mm2), threshold_hu)
                if not branch.layers or not self._walled(branch, wall_hu):
                    self._free(branch)
                    continue
                parent.children += 1
                fresh.append(branch)
                if parts:
                    queue.append(branch)
        self._keep(fresh)

    def _next(self, layer: Flat, threshold_hu: float) -> list[Flat]:
        """The connected parts of what lies next to a layer, is dark enough and was not taken; they are taken now."""
        beside = np.unique((layer[:, None] + self.faces).ravel())
        beside = beside[~self.taken[beside] & (self.hu[beside] < threshold_hu)]
        self.taken[beside] = True
        if len(beside) < 2:
            return [beside] if len(beside) else []
        other = np.searchsorted(beside, beside[:, None] + self.around)
        other = np.minimum(other, len(beside) - 1)
        here, column = np.nonzero(beside[other] == beside[:, None] + self.around)
        graph = sparse.coo_matrix((np.ones(len(here)), (here, other[here, column])), shape=(len(beside),) * 2)
        count, part = sparse.csgraph.connected_components(graph, directed=False)
        return [beside[part == number] for number in range(count)]

    def _walked(self, branch: Branch, threshold_hu: float) -> tuple[Branch, bool]:
        """The branch to its end, and whether it parts there. A leak is given back, and what led to it."""
        sizes = [len(branch.layers[0]) * self.voxel_mm2]
        while True:
            limit = max(LEAST_MM2, WIDER * _typical(branch.usual_mm2, sizes[:-1]))
            leaks = sizes[-1] > limit or len(sizes) * self.layer_mm > MOST_BRANCH_MM
            parts = [] if leaks else self._next(branch.layers[-1], threshold_hu)
            if leaks or len(parts) > MOST_PARTS:
                for part in parts:
                    self.taken[part] = False
                self._give_back(branch, sizes)
                return branch, False
            if len(parts) != 1:
                for part in parts:
                    self.taken[part] = False
                branch.usual_mm2 = _typical(branch.usual_mm2, sizes)
                return branch, bool(parts)
            branch.layers.append(parts[0])
            sizes.append(len(parts[0]) * self.voxel_mm2)

    def _give_back(self, branch: Branch, sizes: list[float]) -> None:
        """Leave out the layers behind the narrowest: from there on the branch widened."""
        least = int(np.argmin(sizes))
        for layer in branch.layers[least + 1 :] if sizes[least] < sizes[-1] else branch.layers:
            self.taken[layer] = False
        branch.layers = branch.layers[: least + 1] if sizes[least] < sizes[-1] else []

    def _keep(self, fresh: list[Branch]) -> None:
        """Take over the branches that are long enough and have a wall about them; from the ends inwards."""
        for branch in reversed(fresh):
            if branch.children or len(branch.layers) * self.layer_mm >= SHORTEST_MM:
                self.branches.append(branch)
                continue
            self._free(branch)
            if branch.parent is not None:
                branch.parent.children -= 1

    def _free(self, branch: Branch) -> None:
        for layer in branch.layers:
            self.taken[layer] = False

    def _walled(self, branch: Branch, wall_hu: float) -> bool:
        """Whether what lies about a branch is brighter than lung is: a wall, and an artery beside it."""
        inside = np.concatenate(branch.layers)
        shell = np.unique((inside[:, None] + self.around).ravel())
        shell = shell[~self.taken[shell]]
        return len(shell) > 0 and float(self.hu[shell].mean()) >= self.lung_hu + wall_hu


def _typical(before_mm2: float, sizes: list[float]) -> float:
    """How wide a branch is: its median layer past the first two, no wider than the one before it."""
    return min(before_mm2, float(np.median(sizes[2:]))) if len(sizes) > 4 else before_mm2
