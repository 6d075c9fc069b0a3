"""What a structure measures in its image: volume and the image's values inside."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from navplan.errors import MismatchError
from navplan.model.structure import Structure
from navplan.model.volume import Volume


def figures(volume: Volume, structure: Structure) -> dict[str, float]:
    """volume_cm3, and mean, sd, p05, median, p95 of the image's values (CT: HU) in voxels of at least half occupancy.

    A structure that lies on another lattice is read at the nearest voxel of the image. Values are NaN-free; a structure
    without such a voxel, or wholly beside the image, raises MismatchError.
    """
    if structure.occupancy is None or structure.grid is None:
        raise MismatchError(f"{structure.name} without voxels", "a structure that is present")
    centres = structure.grid.points_mm(np.argwhere(structure.occupancy >= 128))
    indices = np.rint(volume.grid.indices(centres)).astype(int) if len(centres) else np.zeros((0, 3), dtype=int)
    inside = ((indices >= 0) & (indices < volume.grid.shape)).all(axis=1)
    if not inside.any():
        raise MismatchError(f"{structure.name} has no voxel that is half full in the image", "one")
    values = volume.voxels[tuple(indices[inside].T)].astype(np.float64)
    low, median, high = np.percentile(values, [5, 50, 95])
    filled = float(structure.occupancy.sum(dtype=np.float64)) / 255
    return {
        "volume_cm3": round(filled * float(np.prod(structure.grid.spacing_mm)) / 1000, 3),
        "mean": round(float(values.mean()), 1),
        "sd": round(float(values.std()), 1),
        "p05": round(float(low), 1),
        "median": round(float(median), 1),
        "p95": round(float(high), 1),
    }


def figures_words(measured: Mapping[str, float]) -> str:
    """54.6 cm³; values 41 ± 12, 5 % to 95 %: 20 to 60"""
    return (
        f"{measured['volume_cm3']:.1f} cm³; values {measured['mean']:.0f} ± {measured['sd']:.0f},"
        f" 5 % to 95 %: {measured['p05']:.0f} to {measured['p95']:.0f}"
    )
