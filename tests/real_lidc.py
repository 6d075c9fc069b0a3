"""The real chest CT as a case: image, AI labels, the four readers' mass, and what ct-basic computes. For tests.

The readers' contours are polygons in LPS mm on axial slices; a voxel belongs to a reader's mass if its centre lies
inside the polygon, and to the consensus if at least half of the readers say so.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment

FOLDER = "lidc0001_chest_ct"
IMAGE_ID = "ct"
MASS = "mass"
AI_RESOLUTION_MM = 1.5  # the grid that TotalSegmentator works on


def mass_votes(folder: Path, grid: Grid) -> NDArray[np.uint8]:
    """How many readers call each voxel [i, j, k] of an axial grid mass."""
    votes = np.zeros(grid.shape, dtype=np.uint8)
    for reader in json.loads((folder / "lidc0001_nodules.json").read_text())["annotations"]:
        mask = np.zeros(grid.shape, dtype=bool)
        for contour in reader["contours"]:
            points = np.asarray(contour["xy_mm"], dtype=float)
            inside = _filled(points, contour["z_mm"], grid)
            mask |= inside if contour["inclusion"] else False
        for contour in reader["contours"]:
            if not contour["inclusion"]:
                mask &= ~_filled(np.asarray(contour["xy_mm"], dtype=float), contour["z_mm"], grid)
        votes += mask
    return votes


def _filled(points_mm: NDArray[np.float64], z_mm: float, grid: Grid) -> NDArray[np.bool_]:
    corners = grid.indices(np.column_stack([points_mm, np.full(len(points_mm), z_mm)]))
    level = round(float(corners[0, 2]))
    if not np.allclose(corners[:, 2], level, atol=0.1):
        raise ValueError("contours need an axial grid that has a slice where each contour lies")
    low = np.floor(corners[:, :2].min(axis=0)).astype(int)
    high = np.ceil(corners[:, :2].max(axis=0)).astype(int) + 1
    across, down = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]), indexing="ij")
    centres = np.column_stack([across.ravel(), down.ravel()])
    mask = np.zeros(grid.shape, dtype=bool)
    inside = Polygon(corners[:, :2]).contains_points(centres).reshape(across.shape)
    mask[low[0] : high[0], low[1] : high[1], level] = inside
    return mask


def mass_mask(folder: Path, grid: Grid) -> NDArray[np.bool_]:
    """The mass where at least half of the readers agree."""
    readers = len(json.loads((folder / "lidc0001_nodules.json").read_text())["annotations"])
    return mass_votes(folder, grid) * 2 >= readers


@cache
def lidc_case(real_images: Path) -> Case:
    """Image "ct", what ct-basic finds, the AI labels over it, and the structure "mass". Computed once a process."""
    folder = real_images / FOLDER
    case = import_images(folder / "cxr_int16.nii.gz", image_id=IMAGE_ID, patient_position="HFS")
    case = segment(case, "ct-basic")
    case = segment(
        case,
        labels=folder / "mask.nii.gz",
        names=folder / "structures.csv",
        working_resolution_mm=AI_RESOLUTION_MM,
    )
    grid = case.volumes[IMAGE_ID].grid
    mask = mass_mask(folder, grid)
    mass = structure_from_mask(
        mask, grid, MASS, IMAGE_ID, "four readers, half agree", grid, [float(mm) for mm in grid.spacing_mm]
    )
    return case.with_structures(mass)
