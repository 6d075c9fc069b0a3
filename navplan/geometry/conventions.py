"""Foreign coordinate conventions, each converted here and nowhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # its own inverse


def lps_from_ras_affine(affine_ras: ArrayLike) -> NDArray[np.float64]:
    """(4, 4) index -> RAS mm (NIfTI, 3D Slicer) to index -> LPS mm; the other way round is the same product."""
    return np.asarray(LPS_FROM_RAS @ np.asarray(affine_ras, dtype=np.float64))


def lps_from_ras_points(points_ras_mm: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 3) in RAS mm to LPS mm; its own inverse."""
    return np.asarray(points_ras_mm, dtype=np.float64) * (-1.0, -1.0, 1.0)


def orientation_letters(direction_lps: ArrayLike) -> str:
    """The patient's side that a direction (3,) points to, largest component first: "L", "RA", "PSL"."""
    vector = np.asarray(direction_lps, dtype=np.float64)
    vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    names = ("LR", "PA", "SI")
    order = np.argsort(-np.abs(vector))
    return "".join(names[axis][0 if vector[axis] > 0 else 1] for axis in order if abs(vector[axis]) > 0.2)


# The direction towards the table in LPS, by DICOM Patient Position (PS3.3 C.7.3.1.1.2): head or feet first is the same.
DOWN_BY_PATIENT_POSITION: dict[str, tuple[float, float, float]] = {
    "HFS": (0, 1, 0), "FFS": (0, 1, 0), "HFP": (0, -1, 0), "FFP": (0, -1, 0),
    "HFDR": (-1, 0, 0), "FFDR": (-1, 0, 0), "HFDL": (1, 0, 0), "FFDL": (1, 0, 0),
}  # fmt: skip
