"""The abdomen phantom: a CT of the upper abdomen in the portal-venous phase, its structures and the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.abdomen_anatomy import AbdomenAnatomy, abdomen_anatomy
from navplan_phantoms.abdomen_truth import abdomen_truth
from navplan_phantoms.anatomy_parts import AbdomenShape
from navplan_phantoms.grids import phantom_grid
from navplan_phantoms.painting import grid_truth, paint, with_noise
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import as_rigid

_ORDINARY_SIZE_MM = (380.0, 300.0, 260.0)
_BORDER_MM = 12.0
_SMALL: dict[str, Any] = {"lesion_diameter_mm": 13.0, "lesion_centre_mm": (-100.0, -25.0, -20.0)}


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
        image, structures = paint(anatomy.moved(motion).parts, affine, grid.shape, hard_labels)
        truth = abdomen_truth(self.shape, motion)
        truth["phantom"] = self.name
        truth["structures_outside_image"] = sorted(set(truth["structures"]) - set(structures))
        truth["labels"] = {
            "fractional": not hard_labels,
            "note": "body holds all within the skin; liver holds the lesion and the vessels inside it; others disjoint",
        }
        truth["image"] = {"noise_hu": noise_hu, "seed": seed, "orientation": orientation}
        truth["grid"] = grid_truth(affine, grid)
        return PhantomResult(
            voxels=with_noise(image, noise_hu, seed),
            affine=affine,
            structures=structures,
            truth=truth,
            modality="CT",
            patient_position="HFS",
        )


@dataclass(frozen=True)
class SmallLesionPhantom(AbdomenPhantom):
    """The same patient with a lesion of 13 mm amid the front of the right lobe, its middle 20 mm below the liver's
    surface, 35 mm and more from kidney, gallbladder, bowel and large vessels: what one ablation probe can cover.

    >>> SmallLesionPhantom().shape.lesion_diameter_mm
    13.0
    """

    name: ClassVar[str] = "abdomen-small-lesion"
    description: ClassVar[str] = "CT of the upper abdomen with a lesion of 13 mm amid the liver, as one probe ablates"
    shape: AbdomenShape = field(default_factory=lambda: AbdomenShape(**_SMALL))

    @classmethod
    def population(cls, seed: int) -> Self:
        """Another patient of size and fat that vary, the lesion as small, and there but for a few mm."""
        return cls(replace(AbdomenShape.varied(seed), **_SMALL))


def _field_of_view_mm(anatomy: AbdomenAnatomy) -> tuple[float, float, float]:
    """Size (x, y, z) around the origin: the ordinary one, or what a large patient and the table need."""
    body, table = anatomy.solid("body").bounds_mm(), anatomy.solid("couch").bounds_mm()
    scale = anatomy.shape.scale
    across = 2.0 * (float(np.abs(body[:, 0]).max()) + _BORDER_MM)
    deep = 2.0 * (float(table[1, 1]) + _BORDER_MM)
    return max(_ORDINARY_SIZE_MM[0], across), max(_ORDINARY_SIZE_MM[1], deep), _ORDINARY_SIZE_MM[2] * scale
