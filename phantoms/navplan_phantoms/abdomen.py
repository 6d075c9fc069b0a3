"""The abdomen phantom: a CT of the upper abdomen in the portal-venous phase, its structures and the truth."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan_phantoms.abdomen_anatomy import AbdomenAnatomy, abdomen_anatomy
from navplan_phantoms.abdomen_truth import abdomen_truth
from navplan_phantoms.anatomy_parts import AbdomenShape, Part
from navplan_phantoms.grids import GANTRY_TILT_DEG, PhantomGrid, phantom_grid
from navplan_phantoms.rasterise import FULL, CroppedOccupancy, hard_occupancy, rasterise
from navplan_phantoms.result import PhantomResult, PhantomStructure
from navplan_phantoms.solid_base import FloatArray, as_rigid

AIR_HU = -1000.0
LOWEST_HU, HIGHEST_HU = -1024, 3071
_ORDINARY_SIZE_MM = (380.0, 300.0, 260.0)
_BORDER_MM = 12.0
MOST_THREADS = 4


@dataclass(frozen=True)
class AbdomenPhantom:
    """An adult's upper abdomen, head first and supine on a table, with one lesion in the right lobe of the liver.

    >>> result = AbdomenPhantom().make(spacing_mm=(4.0, 4.0, 4.0))
    >>> result.voxels.shape
    (95, 75, 65)
    """

    name: ClassVar[str] = "abdomen"
    description: ClassVar[str] = "CT of the upper abdomen with a lesion in the right lobe of the liver (portal-venous)"
    shape: AbdomenShape = field(default_factory=AbdomenShape)

    @classmethod
    def population(cls, seed: int) -> Self:
        """Another patient: size, fat, lesion's diameter and place vary modestly; the same seed, the same patient."""
        return cls(AbdomenShape.varied(seed))

    def make(
        self,
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 2.0),
        orientation: str = "LPS",
        seed: int = 0,
        noise_hu: float = 12.0,
        hard_labels: bool = False,
        rigid_motion: ArrayLike | None = None,
    ) -> PhantomResult:
        """Draw the phantom.

        `spacing_mm` goes with the index axes i, j, k; `orientation` names where they point to (LPS, RAS, LAS and the
        other letter triples), or is "oblique" (a rotated orthogonal grid) or "tilted" (the stack of a tilted gantry:
        its affine is sheared, and the truth says so with every slice's position). `seed` and `noise_hu` (standard
        deviation) make the noise. `hard_labels` gives labels sampled at voxel centres (0 or 255), which may miss thin
        structures, instead of fractional occupancy. `rigid_motion` (4x4) moves patient, table and grid together.
        A structure outside the image is not in `structures`. Raises ValueError for input that makes no sense.
        """
        if not 0.0 <= noise_hu <= 500.0:
            raise ValueError(f"noise_hu must be between 0 and 500, received {noise_hu}")
        motion = np.eye(4) if rigid_motion is None else as_rigid(rigid_motion)
        anatomy = abdomen_anatomy(self.shape)
        grid = phantom_grid(spacing_mm, orientation, _field_of_view_mm(anatomy))
        affine = motion @ grid.affine
        image, structures = _paint(anatomy.moved(motion), affine, grid.shape, hard_labels)
        truth = abdomen_truth(self.shape, motion)
        truth["phantom"] = self.name
        truth["structures_outside_image"] = sorted(set(truth["structures"]) - set(structures))
        truth["labels"] = {
            "fractional": not hard_labels,
            "note": "body holds all within the skin; liver holds the lesion and the vessels inside it; others disjoint",
        }
        truth["image"] = {"noise_hu": noise_hu, "seed": seed, "orientation": orientation}
        truth["grid"] = _grid_truth(affine, grid)
        return PhantomResult(
            voxels=_with_noise(image, noise_hu, seed),
            affine=affine,
            structures=structures,
            truth=truth,
            modality="CT",
            patient_position="HFS",
        )


def _field_of_view_mm(anatomy: AbdomenAnatomy) -> tuple[float, float, float]:
    """Size (x, y, z) around the origin: the ordinary one, or what a large patient and the table need."""
    body, table = anatomy.solid("body").bounds_mm(), anatomy.solid("couch").bounds_mm()
    scale = anatomy.shape.scale
    across = 2.0 * (float(np.abs(body[:, 0]).max()) + _BORDER_MM)
    deep = 2.0 * (float(table[1, 1]) + _BORDER_MM)
    return max(_ORDINARY_SIZE_MM[0], across), max(_ORDINARY_SIZE_MM[1], deep), _ORDINARY_SIZE_MM[2] * scale


def _paint(
    anatomy: AbdomenAnatomy, affine: FloatArray, shape: tuple[int, int, int], hard_labels: bool
) -> tuple[NDArray[np.float32], dict[str, PhantomStructure]]:
    """Mean CT numbers (partial volume by occupancy, later parts over earlier ones) and the labelled structures."""
    image = np.full(shape, AIR_HU, dtype=np.float32)
    structures = {}

    def drawn(part: Part) -> CroppedOccupancy:
        return rasterise(part.solid, affine, shape, mark_touched=part.labelled)

    with ThreadPoolExecutor(max_workers=min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        crops = list(pool.map(drawn, anatomy.parts))
    for part, crop in zip(anatomy.parts, crops, strict=True):
        if crop.occupancy.size == 0:
            continue
        _blend(image[crop.slices], crop.occupancy, part.hu)
        if part.labelled:
            label: CroppedOccupancy = hard_occupancy(part.solid, affine, crop) if hard_labels else crop
            structures[part.name] = PhantomStructure(label.offset, label.occupancy, part.concept, part.side, part.hu)
    return image, structures


def _blend(window: NDArray[np.float32], occupancy: NDArray[np.uint8], hu: float) -> None:
    """Paint `hu` into a window of the image, in proportion to the occupancy."""
    full = occupancy == FULL
    window[full] = hu
    partial = (occupancy > 0) & ~full
    fraction = occupancy[partial].astype(np.float32) / FULL
    window[partial] += (hu - window[partial]) * fraction


def _with_noise(image: NDArray[np.float32], noise_hu: float, seed: int) -> NDArray[np.int16]:
    """Add Gaussian noise, a little smooth within the slice, and round to whole HU; the first index runs fastest."""
    noise = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
    for axis in (0, 1):
        noise = 0.5 * noise + 0.25 * (np.roll(noise, 1, axis=axis) + np.roll(noise, -1, axis=axis))
    smoothing = 0.375  # standard deviation that two passes of (1/4, 1/2, 1/4) leave of 1
    noise *= noise_hu / smoothing
    noise += image
    return np.asfortranarray(np.rint(np.clip(noise, LOWEST_HU, HIGHEST_HU)).astype(np.int16))


def _grid_truth(affine: FloatArray, grid: PhantomGrid) -> dict[str, Any]:
    """The grid in plain numbers; for a sheared stack also its slices' positions."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    truth: dict[str, Any] = {
        "affine": affine.tolist(),
        "shape": list(grid.shape),
        "spacing_mm": spacing.tolist(),
        "orthogonal": grid.orthogonal,
    }
    if not grid.orthogonal:
        slices = np.arange(grid.shape[2])
        truth["gantry_tilt_deg"] = GANTRY_TILT_DEG
        truth["slice_positions_lps_mm"] = (affine[:3, 3] + slices[:, None] * affine[:3, 2]).tolist()
        truth["note"] = "The slices are tilted and stacked along the table: no orthogonal grid holds this stack."
    return truth
