"""Tumour near its organ's surface: left out of the margin on request (quantitative ablation margin, QAM)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.model.ablation import AblationMargin
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.protocol import fits
from navplan.planning.situation import Situation

AROUND_MM = 12.0  # of the tumour, besides what is left out: as far as the organ's surface is looked for
_INSIDE = (Tissue.VESSEL, Tissue.LESION)  # of the organ, or running out of it: no surface of it


def far_from_capsule(situation: Situation, points_mm: NDArray[np.float64], asked: AblationMargin) -> NDArray[np.bool_]:
    """(N,) which points of a tumour (N, 3), LPS mm, count: those farther than asked.leave_out_capsule_mm from the
    surface of the organ that its labels show. All where nothing is asked to be left out.

    The surface is measured to the centres of the voxels beyond it, so that too little is left out and not too much;
    holes in the organ's labels are none.
    """
    from scipy.ndimage import label
    from scipy.spatial import cKDTree

    within = asked.leave_out_capsule_mm
    if within <= 0 or not len(points_mm):
        return np.ones(len(points_mm), dtype=bool)
    tissues = situation.tissues
    grid = tissues.grid
    index = grid.indices(points_mm)
    margin = (within + AROUND_MM) / grid.spacing_mm
    first = np.clip(np.floor(index.min(axis=0) - margin).astype(int), 0, np.asarray(grid.shape) - 1)
    last = np.clip(np.ceil(index.max(axis=0) + margin).astype(int) + 1, 1, grid.shape)
    labels = tissues.labels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    own = np.asarray([_of_the_organ(name, asked.organ, situation) for name in tissues.names])
    outside, count = label(~own[labels])
    reaches_out = np.zeros(count + 1, dtype=bool)  # a hole in the labels is closed all around
    for axis in range(3):
        for side in (0, -1):
            reaches_out[np.unique(np.take(outside, side, axis=axis))] = True
    reaches_out[0] = False
    beyond = grid.points_mm(np.argwhere(reaches_out[outside]) + first)
    if not len(beyond):
        return np.ones(len(points_mm), dtype=bool)
    away, _ = cKDTree(beyond).query(points_mm)
    return np.asarray(away > within)


def _of_the_organ(name: str, organ: str, situation: Situation) -> bool:
    return name == situation.target.structure or fits(name, organ) or anatomy_of(name).tissue in _INSIDE
