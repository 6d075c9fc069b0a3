"""How narrow a label is at its widest, and which CT number it has: looked up once, kept as long as the label is."""

from __future__ import annotations

from itertools import product
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import unit
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

SAMPLES = 4000  # voxels inside a label, evenly spread
HALF, SURELY_INSIDE = 128, 250  # of 255
FEWEST = 20  # voxels surely inside: fewer tell no CT number
AROUND = unit(np.asarray([step for step in product((-1.0, 0.0, 1.0), repeat=3) if any(step)]))  # (26, 3)

_WIDE: WeakKeyDictionary[Structure, dict[float, bool]] = WeakKeyDictionary()
_HU: WeakKeyDictionary[Structure, tuple[ReferenceType[Volume], float | None]] = WeakKeyDictionary()


def narrower_than(structure: Structure, width_mm: float) -> bool:
    """Whether no ball of this diameter fits into a present structure, as far as 4000 of its voxels and 26 directions
    tell. The edge of its grid counts as outside."""
    kept = _WIDE.setdefault(structure, {})
    if width_mm not in kept:
        kept[width_mm] = not _ball_fits(structure, width_mm / 2)
    return kept[width_mm]


def _ball_fits(structure: Structure, radius_mm: float) -> bool:
    occupancy, grid = structure.occupancy, structure.grid
    if structure.presence is not Presence.PRESENT or occupancy is None or grid is None:
        return True  # nothing is known to be narrow
    extent_mm = grid.spacing_mm * grid.shape
    if extent_mm.min() < 2 * radius_mm:
        return False
    inside = _spread(np.argwhere(occupancy >= HALF))
    reach = np.vstack([AROUND, 0.5 * AROUND]) * radius_mm @ np.linalg.inv(grid.affine[:3, :3]).T
    fits = np.ones(len(inside), dtype=bool)
    for step in reach:
        index = np.rint(inside + step).astype(int)
        within = ((index >= 0) & (index < grid.shape)).all(axis=1)
        fits &= within
        fits[within] &= occupancy[tuple(index[within].T)] >= HALF
        if not fits.any():
            return False
    return True


def median_hu(image: Volume, structure: Structure) -> float | None:
    """The median CT number well inside a present label; None where too little of it lies in the image."""
    kept = _HU.get(structure)
    if kept is None or kept[0]() is not image:
        kept = (ref(image), _looked_up(image, structure))
        _HU[structure] = kept
    return kept[1]


def _looked_up(image: Volume, structure: Structure) -> float | None:
    occupancy, grid = structure.occupancy, structure.grid
    if structure.presence is not Presence.PRESENT or occupancy is None or grid is None:
        return None
    inside = _spread(np.argwhere(occupancy >= SURELY_INSIDE))
    index = np.rint(image.grid.indices(grid.points_mm(inside))).astype(int)
    index = index[((index >= 0) & (index < image.grid.shape)).all(axis=1)]
    return float(np.median(image.voxels[tuple(index.T)])) if len(index) >= FEWEST else None


def _spread(voxels: NDArray[np.int_]) -> NDArray[np.int_]:
    """At most SAMPLES of them, evenly."""
    return voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), SAMPLES)).astype(int)]
