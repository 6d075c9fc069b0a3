"""What a person outlines before five real CTs can be planned on, as masks: targets, and what no label map holds.

Written as label maps and read back by `navplan segment --labels FILE --structure NAME`, like anybody's outlines:

    python -m benchmarks.real_outlines kidney_lower_pole IMAGES out.nii.gz

mass: where at least half of four readers agree. ball: invented, THERE IS NO LESION in that patient. The rest is cut
from the network's labels by planes and closings, and looked at in the image: rough outlines of one reader, no truth.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, binary_fill_holes, iterate_structure

from benchmarks.real_targets import ABDOMEN_IMAGE, CHEST_IMAGE, ball_mask
from navplan.files.nifti import read_nifti, write_nifti
from navplan.geometry.grid import Grid

CHEST, ABDOMEN = "lidc0001_chest_ct", "ts_abdomen_pelvis_ct"
ABDOMEN_LABELS = "example_seg_fast_force_split.nii.gz"
STONE_HU, CORTEX_HU = 250, 130

Mask = NDArray[np.bool_]


@cache
def _labels(folder: Path) -> tuple[NDArray[np.generic], Grid, dict[str, int]]:
    voxels, grid, _ = read_nifti(folder / ABDOMEN_LABELS)
    names = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return voxels, grid, {name: int(number) for number, name in names.items()}


def _label(folder: Path, name: str) -> Mask:
    voxels, _, numbers = _labels(folder)
    return np.asarray(voxels == numbers[name])


def _within(folder: Path, low_mm: tuple[float, float, float], high_mm: tuple[float, float, float]) -> Mask:
    """Voxels whose centre lies in a box, LPS mm."""
    _, grid, _ = _labels(folder)
    points = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T)
    inside = ((points >= low_mm) & (points <= high_mm)).all(axis=1)
    return np.asarray(inside.reshape(grid.shape))


def _closed(mask: Mask, voxels: int) -> Mask:
    """Holes and bays of an axial slice filled, up to twice as many voxels wide."""
    disc = iterate_structure(np.ones((3, 3), bool), voxels)
    return np.stack([binary_closing(mask[:, :, k], disc) for k in range(mask.shape[2])], axis=2)


def mass(images: Path) -> tuple[Mask, Grid]:
    """The chest's mass, half of the readers agreeing."""
    from tests.real_lidc import mass_mask

    _, grid, _ = read_nifti(images / CHEST / CHEST_IMAGE)
    return mass_mask(images / CHEST, grid), grid


def ball(images: Path) -> tuple[Mask, Grid]:
    """The invented lesion of the liver."""
    _, grid, _ = read_nifti(images / ABDOMEN / ABDOMEN_IMAGE)
    return ball_mask(grid), grid


def kidney_lower_pole(images: Path) -> tuple[Mask, Grid]:
    """The lowest centimetre of the right kidney: cortex to take a sample from."""
    folder = images / ABDOMEN
    box = _within(folder, (-110.0, -170.0, 285.0), (-30.0, -80.0, 302.0))
    return _label(folder, "kidney_right") & box, _labels(folder)[1]


def renal_pelvis(images: Path) -> tuple[Mask, Grid]:
    """The right kidney's sinus with all that lies in it: what the kidney's outline encloses and its label lacks, from
    the lowest calyx up (below it bays of the cortex are no sinus), and the stone in that calyx."""
    folder = images / ABDOMEN
    kidney = _label(folder, "kidney_right")
    heights = _within(folder, (-110.0, -175.0, 311.0), (-25.0, -80.0, 392.0))
    image, grid, _ = read_nifti(folder / ABDOMEN_IMAGE)
    return ((_closed(kidney, 4) & ~kidney) | (kidney & (image > STONE_HU))) & heights, grid


def iliac_wing(images: Path) -> tuple[Mask, Grid]:
    """The front part of the right iliac wing, below the crest: the same, supine."""
    folder = images / ABDOMEN
    box = _within(folder, (-160.0, -190.0, 218.0), (-90.0, -150.0, 240.0))
    return _label(folder, "hip_right") & box, _labels(folder)[1]


def back_of_ilium(images: Path) -> tuple[Mask, Grid]:
    """The right iliac bone behind, below the posterior superior spine: marrow to take a sample from, prone."""
    folder = images / ABDOMEN
    box = _within(folder, (-95.0, -110.0, 225.0), (-50.0, -60.0, 245.0))
    return _label(folder, "hip_right") & box, _labels(folder)[1]


def front_of_l3(images: Path) -> tuple[Mask, Grid]:
    """Front part of the body of L3, left of the middle: where cement is wanted."""
    folder = images / ABDOMEN
    box = _within(folder, (2.0, -160.0, 305.0), (22.0, -138.0, 326.0))
    return _label(folder, "vertebrae_L3") & box, _labels(folder)[1]


def spinal_canal(images: Path) -> tuple[Mask, Grid]:
    """From L2 to L4: what the rings of bone enclose, and the label of cord and sac between the rings."""
    folder = images / ABDOMEN
    bone = np.logical_or.reduce([_label(folder, f"vertebrae_L{number}") for number in (1, 2, 3, 4, 5)])
    rings = np.stack([binary_fill_holes(bone[:, :, k]) for k in range(bone.shape[2])], axis=2) & ~bone
    heights = _within(folder, (-30.0, -130.0, 262.0), (40.0, -70.0, 365.0))
    return (rings | _label(folder, "spinal_cord")) & ~bone & heights, _labels(folder)[1]


def l3_with_cortex(images: Path) -> tuple[Mask, Grid]:
    """L3 with the cortex that the network's label leaves out: voxels beside it, as dense as bone, in no other label."""
    folder = images / ABDOMEN
    bone, voxels = _label(folder, "vertebrae_L3"), _labels(folder)[0]
    image, grid, _ = read_nifti(folder / ABDOMEN_IMAGE)
    beside = binary_dilation(bone, np.ones((3, 3, 3), bool)) & (voxels == 0) & ~spinal_canal(images)[0]
    return bone | (beside & (image > CORTEX_HU)), grid


OUTLINES: dict[str, Callable[[Path], tuple[Mask, Grid]]] = {
    "mass": mass, "ball": ball, "kidney_lower_pole": kidney_lower_pole, "renal_pelvis": renal_pelvis,
    "iliac_wing": iliac_wing, "back_of_ilium": back_of_ilium, "front_of_L3": front_of_l3,
    "L3_with_cortex": l3_with_cortex, "spinal_canal": spinal_canal,
}  # fmt: skip


def write_outline(which: str, images: Path, out: Path) -> Path:
    """An outline as a label map on the grid of its image."""
    mask, grid = OUTLINES[which](images)
    write_nifti(out, mask.astype(np.uint8), grid)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in OUTLINES:
        sys.exit(f"{__doc__}\n{', '.join(OUTLINES)}")
    write_outline(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
