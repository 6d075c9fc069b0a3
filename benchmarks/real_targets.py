"""Label maps of the targets that two real CTs lack, for the commands: the chest's mass and an invented liver lesion.

    python benchmarks/real_targets.py mass IMAGES/lidc0001_chest_ct mass.nii.gz
    python benchmarks/real_targets.py ball IMAGES/ts_abdomen_pelvis_ct invented_lesion.nii.gz

mass: where at least half of the four readers' contours agree. ball: 18 mm wide, deep in the right liver. THERE IS NO
LESION in that patient: the ball is made up, so that there is something to aim at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from navplan.files.nifti import read_nifti, write_nifti
from navplan.geometry.grid import Grid

CHEST_IMAGE = "cxr_int16.nii.gz"
ABDOMEN_IMAGE = "example_ct.nii.gz"
BALL_CENTRE_MM = (-80.0, -165.0, 397.0)  # LPS
BALL_DIAMETER_MM = 18.0
# On crlm1004_abdomen_ct, LPS: 8 mm wide, darker than the liver about it, on two slices. One reader's eye, no label.
METASTASIS_MM = (-108.5, 35.5, -269.0)


def ball_mask(grid: Grid) -> NDArray[np.bool_]:
    """Voxels whose centre lies in the invented ball."""
    offsets = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T) - BALL_CENTRE_MM
    return (np.linalg.norm(offsets, axis=1) <= BALL_DIAMETER_MM / 2).reshape(grid.shape)


def write_target(which: str, folder: Path, out: Path) -> None:
    """The label map of the "mass" or the "ball", on the grid of the folder's image."""
    if which == "mass":
        from tests.real_lidc import mass_mask

        _, grid, _ = read_nifti(folder / CHEST_IMAGE)
        mask = mass_mask(folder, grid)
    else:
        _, grid, _ = read_nifti(folder / ABDOMEN_IMAGE)
        mask = ball_mask(grid)
    write_nifti(out, mask.astype(np.uint8), grid)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("mass", "ball"):
        sys.exit(__doc__)
    write_target(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
