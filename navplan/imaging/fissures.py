"""Pulmonary fissures on CT, as far as they show: thin bright sheets in the lung, and what goes on in their plane.

The second derivatives of the smoothed image tell a sheet from a tube: one strong negative eigenvalue and two weak ones
(a plate filter, as in R. Wiemker, T. Bülow, T. Blaffert: Unsupervised extraction of the pulmonary interlobar fissures
from high resolution thoracic CT data, International Congress Series 1281, 2005). On slices of 2 mm and more much of a
fissure does not show: a sheet that is not found says nothing.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from navplan.imaging.canonical import Mask, box_of, eroded

Step = tuple[float, float, float]

# Starting values without a published source but the filter's form, set on one chest CT of 2.5 mm slices whose lobes are
# labelled, and on phantoms.
SIGMA_MM = 1.0  # of the smoothing before the derivatives
LUNG_HU = (-1000.0, -400.0)  # what the filter sees is clipped to it, so that vessels and wall do not outshine a fissure
PARENCHYMA_HU = -600.0  # smoothed; brighter is a vessel
FROM_PLEURA_MM = 2.5
CURVED_HU_MM2 = 4.0  # least second derivative across the sheet
SHEETNESS = 0.4  # least (strongest - second) / (strongest + second) of the eigenvalues
SAME_WAY = 0.9  # |cosine| of the normals of neighbours in one sheet
SHEET_MM3 = 800.0  # smallest sheet that stands for itself
PART_MM3 = 120.0  # smallest that is joined to one
UPWARD = 0.25  # least |share of the normal along head-feet|: no fissure stands upright along the body's length
FLATNESS = 0.25  # largest spread of a sheet's voxels off a bent plane, as a share of the spread across its breadth
# How far a part may lie from a sheet, how far off its plane, and how turned (|cosine|).
JOIN_MM, JOIN_OFF_MM, JOIN_WAY = 15.0, 3.0, 0.85


def find_fissures(hu: NDArray[np.float32], lung: Mask, step: Step) -> Mask:
    """The voxels [left, posterior, superior] of the fissures that show in one lung; empty where none does.

    hu: CT numbers on steps of `step` mm; lung: one lung with the vessels inside it.
    """
    found = np.zeros(lung.shape, dtype=bool, order="F")
    box = box_of(lung, 4)
    if box is None or min(lung[box].shape) < 5:
        return found
    at, normals = _plates(hu[box], lung[box], step)
    parts = _parts(lung[box].shape, at, normals)
    sizes = np.bincount(parts) * float(np.prod(step)) if len(parts) else np.zeros(0)
    places = at * np.asarray(step)
    sheets = {
        int(number): _Sheet(places[parts == number], normals[parts == number])
        for number in np.flatnonzero(sizes >= PART_MM3)
    }
    chosen = {n for n, sheet in sheets.items() if sizes[n] >= SHEET_MM3 and sheet.like_a_fissure}
    fresh = set(chosen)
    while fresh:
        joined = {
            n for n, sheet in sheets.items()
            if n not in chosen and any(sheets[other].goes_on_in(sheet) for other in fresh)
        }  # fmt: skip
        chosen |= joined
        fresh = joined
    inside = np.zeros(lung[box].shape, dtype=bool, order="F")
    inside[tuple(at[np.isin(parts, list(chosen))].T)] = True
    found[box] = inside
    return found


class _Sheet:
    """A connected sheet: its places (n, 3) in mm, its mean normal, and whether it is flat and lies as a fissure may."""

    def __init__(self, places: NDArray[np.float64], normals: NDArray[np.float32]) -> None:
        self.places = places
        self.normal = np.linalg.eigh(normals.T @ normals)[1][:, 2].astype(np.float64)
        off = places - places.mean(axis=0)
        values, axes = np.linalg.eigh(off.T @ off / len(places))
        height, across, along = (off @ axes).T
        bowl = np.stack([np.ones_like(height), across, along, across**2, along**2, across * along], axis=1)
        rest = height - bowl @ np.linalg.lstsq(bowl, height, rcond=None)[0]
        flat = float(rest.std()) <= FLATNESS * float(np.sqrt(values[1]))
        self.like_a_fissure = flat and abs(float(self.normal[2])) >= UPWARD

    def goes_on_in(self, other: _Sheet) -> bool:
        """Whether another sheet that may be a fissure lies beside this one, in the plane of its nearest piece."""
        if not other.like_a_fissure or abs(float(self.normal @ other.normal)) < JOIN_WAY:
            return False
        middle = other.places.mean(axis=0)
        away = np.linalg.norm(self.places - middle, axis=1)
        near = self.places[away < JOIN_MM + float(np.linalg.norm(other.places - middle, axis=1).max())]
        return len(near) > 3 and abs(float((middle - near.mean(axis=0)) @ self.normal)) < JOIN_OFF_MM


def _plates(hu: NDArray[np.float32], lung: Mask, step: Step) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Indices (n, 3) of the voxels that lie in a thin bright sheet, and the unit normals (n, 3) of it."""
    smooth = ndimage.gaussian_filter(np.clip(hu, *LUNG_HU), SIGMA_MM / np.asarray(step))
    where = np.nonzero(eroded(lung, FROM_PLEURA_MM, step) & (smooth < PARENCHYMA_HU))
    second = np.empty((len(where[0]), 3, 3), dtype=np.float32)
    for first, slope in enumerate(np.gradient(smooth, *step)):
        for other in range(first, 3):
            bend = np.gradient(slope, step[other], axis=other)[where]
            second[:, first, other] = second[:, other, first] = bend
    values, vectors = np.linalg.eigh(second)
    strongest = -values[:, 0]
    rest = np.abs(values[:, 1:]).max(axis=1)
    keep = (strongest > CURVED_HU_MM2) & (strongest - rest > SHEETNESS * (strongest + rest))
    return np.stack(where, axis=1)[keep], vectors[keep, :, 0]


def _parts(shape: tuple[int, ...], at: NDArray[np.intp], normals: NDArray[np.float32]) -> NDArray[np.int32]:
    """(n,) number of the part of each voxel: neighbours (26) whose normals agree belong together."""
    if not len(at):
        return np.zeros(0, dtype=np.int32)
    number = np.full(np.asarray(shape) + 2, -1, dtype=np.int32)
    number[tuple((at + 1).T)] = np.arange(len(at))
    ends: list[NDArray[np.intp]] = []
    others: list[NDArray[np.int32]] = []
    for offset in product((-1, 0, 1), repeat=3):
        if offset <= (0, 0, 0):
            continue
        beside = number[tuple((at + 1 + np.asarray(offset)).T)]
        here = np.flatnonzero(beside >= 0)
        agree = np.abs((normals[here] * normals[beside[here]]).sum(axis=1)) > SAME_WAY
        ends.append(here[agree])
        others.append(beside[here[agree]])
    rows, columns = np.concatenate(ends), np.concatenate(others)
    graph = sparse.coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(len(at), len(at)))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1], dtype=np.int32)
