"""The chest phantom: a CT of the trunk from T1 to L1, its structures and the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.anatomy_parts import Part
from navplan_phantoms.grids import PhantomGrid, phantom_grid
from navplan_phantoms.painting import grid_truth, paint, with_noise
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import as_rigid
from navplan_phantoms.thorax_anatomy import abdomen, mediastinum
from navplan_phantoms.thorax_lungs import lungs
from navplan_phantoms.thorax_spine import spine
from navplan_phantoms.thorax_truth import chest_truth
from navplan_phantoms.thorax_wall import bones_in_front, ribs, shoulder_girdle, wall

FIELD_MM = (372.0, 258.0, 320.0)
FIELD_MIDDLE_Z_MM = 10.0


@dataclass(frozen=True)
class ChestPhantom:
    """An adult's chest at the end of a breath in, head first and supine, arms raised, without table or contrast agent.

    >>> ChestPhantom().make(spacing_mm=(8.0, 8.0, 8.0)).voxels.shape
    (47, 33, 40)
    """

    name: ClassVar[str] = "chest"
    description: ClassVar[str] = "CT of the chest: lobes, fissures, ribs, mediastinum, two nodules, a mass, an effusion"

    def make(
        self,
        spacing_mm: tuple[float, float, float] = (1.5, 1.5, 1.5),
        orientation: str = "LPS",
        seed: int = 0,
        noise_hu: float = 15.0,
        hard_labels: bool = False,
        rigid_motion: ArrayLike | None = None,
    ) -> PhantomResult:
        """Draw the phantom; arguments as those of the abdomen phantom.

        truth (LPS mm): `lesions`, `fissures` (planes), `ribs` (middle lines), `vertebrae`, `clearances` and
        `reference_ways`. Raises ValueError for input that makes no sense.
        """
        if not 0.0 <= noise_hu <= 500.0:
            raise ValueError(f"noise_hu must be between 0 and 500, received {noise_hu}")
        motion = np.eye(4) if rigid_motion is None else as_rigid(rigid_motion)
        grid = _grid(spacing_mm, orientation)
        affine = motion @ grid.affine
        parts = [replace(part, solid=part.solid.moved(motion)) for part in chest_parts()]
        image, structures = paint(parts, affine, grid.shape, hard_labels)
        truth: dict[str, Any] = {
            "phantom": self.name,
            **chest_truth(motion),
            "labels": {
                "fractional": not hard_labels,
                "note": "body holds all within the skin; a lobe holds its nodule, bulla and vessels; others disjoint",
            },
            "image": {"noise_hu": noise_hu, "seed": seed, "orientation": orientation},
            "grid": grid_truth(affine, grid),
        }
        return PhantomResult(
            voxels=with_noise(image, noise_hu, seed), affine=affine, structures=structures, truth=truth, modality="CT",
            patient_position="HFS",
        )  # fmt: skip


def _grid(spacing_mm: tuple[float, float, float], orientation: str) -> PhantomGrid:
    """A grid around the middle of the field, a little above the origin."""
    grid = phantom_grid(spacing_mm, orientation, FIELD_MM)
    affine = grid.affine.copy()
    affine[2, 3] += FIELD_MIDDLE_Z_MM
    return replace(grid, affine=affine)


@lru_cache(maxsize=1)
def chest_parts() -> tuple[Part, ...]:
    """All parts in painting order, in LPS before any motion."""
    inside = (*mediastinum(), *abdomen(), *lungs())
    return (*wall(), *inside, *spine(), *ribs(), *bones_in_front(), *shoulder_girdle())
