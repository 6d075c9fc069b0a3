"""The lumbar phantom: five lumbar vertebrae with all their processes on a sacrum, for views and ways to the spine.

Round figures of an adult, the same for all five vertebrae (see `lumbar_spine`); not measurements of one person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.grids import PhantomGrid, phantom_grid
from navplan_phantoms.lumbar_spine import (
    LEVELS,
    SIDES,
    arc_frame,
    bone,
    disc,
    foramen,
    nerve_root,
    spinal_canal,
)
from navplan_phantoms.lumbar_truth import lumbar_truth
from navplan_phantoms.painting import grid_truth, paint, with_noise
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import FloatArray, as_rigid, move_point
from navplan_phantoms.solids import Ellipsoid, HalfSpace, Intersection, Solid, Tube

CORTEX_MM = 1.3
FIELD_MM = (270.0, 220.0, 290.0)
FIELD_MIDDLE_Z_MM = -35.0
# CT numbers without contrast agent: round assumptions.
FAT_HU, MUSCLE_HU, CORTICAL_HU, CANCELLOUS_HU = -100.0, 55.0, 850.0, 190.0
SAC_HU, ROOT_HU, DISC_HU, VESSEL_HU, KIDNEY_HU, BOWEL_HU = 25.0, 30.0, 90.0, 40.0, 30.0, 25.0
# Psoas, by turn along the lumbar arc (rad): to the side and to the back of the bodies' middle (mm).
_PSOAS = ((0.3, 27.0, 8.0), (0.1, 33.0, 6.0), (-0.1, 40.0, 2.0), (-0.2, 44.0, -6.0), (-0.42, 54.0, -34.0))


@dataclass(frozen=True)
class LumbarPhantom:
    """An adult's lumbar spine in a slim trunk, head first and supine, without a table and without contrast agent."""

    name: ClassVar[str] = "lumbar-spine"
    description: ClassVar[str] = "CT of L1 to S3: bones, discs, sac, nerve roots, foramina, great vessels, kidneys"

    def make(
        self,
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
        orientation: str = "LPS",
        seed: int = 0,
        noise_hu: float = 15.0,
        hard_labels: bool = False,
        rigid_motion: ArrayLike | None = None,
    ) -> PhantomResult:
        """Draw the phantom; arguments as those of the abdomen phantom.

        truth (LPS mm, unit vectors): `vertebrae`, `sacrum`, and by level and side `pedicles`, `safe_triangles`,
        `medial_branch_targets`, `facet_recesses` and `nerve_roots`; `discs`, `spinal_canal`. Raises ValueError for
        input that makes no sense.
        """
        if not 0.0 <= noise_hu <= 500.0:
            raise ValueError(f"noise_hu must be between 0 and 500, received {noise_hu}")
        motion = np.eye(4) if rigid_motion is None else as_rigid(rigid_motion)
        grid = _grid(spacing_mm, orientation)
        affine = motion @ grid.affine
        parts = [replace(part, solid=part.solid.moved(motion)) for part in self.parts()]
        image, structures = paint(parts, affine, grid.shape, hard_labels)
        truth: dict[str, Any] = {
            "phantom": self.name,
            **self.told(motion),
            "labels": {"fractional": not hard_labels, "note": "body holds all within the skin; all others disjoint"},
            "image": {"noise_hu": noise_hu, "seed": seed, "orientation": orientation},
            "grid": grid_truth(affine, grid),
        }
        return PhantomResult(
            voxels=with_noise(image, noise_hu, seed), affine=affine, structures=structures, truth=truth, modality="CT",
            patient_position="HFS",
        )  # fmt: skip

    def parts(self) -> list[Part]:
        """All parts in painting order, in LPS before any motion."""
        return lumbar_parts()

    def told(self, motion: FloatArray) -> dict[str, Any]:
        """What is known of them after the 4x4 motion, for JSON."""
        return lumbar_truth(motion)


def _grid(spacing_mm: tuple[float, float, float], orientation: str) -> PhantomGrid:
    """A grid around the middle of the field, which lies below L3."""
    grid = phantom_grid(spacing_mm, orientation, FIELD_MM)
    affine = grid.affine.copy()
    affine[2, 3] += FIELD_MIDDLE_Z_MM
    return replace(grid, affine=affine)


def lumbar_parts() -> list[Part]:
    """All parts in painting order, in LPS before any motion; but for `body`, labels are disjoint."""
    sided = [(side, level) for side in SIDES for level in LEVELS]
    bones = [(f"vertebrae_{level}", level, f"{level} vertebra") for level in LEVELS]
    parts = _soft_parts()
    parts.append(unlabelled("epidural fat", spinal_canal(4.5), FAT_HU))
    parts += [Part(f"disc_{level}", disc(level), DISC_HU, f"Disc under {level}") for level in LEVELS]
    parts += [Part(f"foramen_{level}_{side}", foramen(level, side), FAT_HU, "Intervertebral foramen", side)
              for side, level in sided]  # fmt: skip
    parts.append(Part("spinal_canal", spinal_canal(), SAC_HU, "Dural sac"))
    parts += [Part(f"nerve_root_{level}_{side}", nerve_root(level, side), ROOT_HU, f"{level} nerve root", side)
              for side, level in sided]  # fmt: skip
    for name, key, concept in [*bones, ("sacrum", "sacrum", "Sacrum")]:
        parts.append(Part(name, bone(key), CORTICAL_HU, concept))
        parts.append(unlabelled(f"inside {name}", bone(key, CORTEX_MM), CANCELLOUS_HU))
    return parts


def _soft_parts() -> list[Part]:
    """Skin, muscle, the fat in front of the spine with bowel in it, psoas, vessels and kidneys."""
    skin = (122.0, 98.0, 420.0)
    cavity = Intersection(Ellipsoid((0.0, 0.0, 0.0), (99.0, 76.0, 408.0)), HalfSpace((0.0, 27.0, 0.0), (0.0, 1.0, 0.0)))
    parts = [
        Part("body", Ellipsoid((0.0, 0.0, 0.0), skin), FAT_HU, "body"),
        unlabelled("muscle", Ellipsoid((0.0, 0.0, 0.0), tuple(axis - 12.0 for axis in skin)), MUSCLE_HU),
        unlabelled("cavity fat", cavity, FAT_HU),
        *_bowel(),
    ]
    for side, sign in SIDES.items():
        psoas = [_on_arc(turn, (sign * x, y, 0.0)) for turn, x, y in _PSOAS]
        parts.append(unlabelled(f"psoas {side}", Tube(psoas, [6.0, 11.0, 14.0, 16.0, 15.0]), MUSCLE_HU))
        kidney = _kidney(sign)
        parts.append(Part(f"kidney_{side}", kidney, KIDNEY_HU, f"{side.capitalize()} kidney", side))
        sinus = Ellipsoid(kidney.centre - (sign * 14.0, 3.0, 0.0), (13.0, 8.0, 25.0), kidney.rotation)
        parts.append(unlabelled(f"renal sinus {side}", sinus, FAT_HU + 20.0))
    aorta = [_on_arc(turn, (9.0, -29.0, 0.0)) for turn in np.linspace(0.4, -0.13, 12)]
    cava = [_on_arc(turn, (-14.0, -28.0, 0.0)) for turn in np.linspace(0.4, -0.17, 12)]
    parts.append(Part("aorta", Tube(aorta, 9.0), VESSEL_HU, "Aorta"))
    parts.append(Part("inferior_vena_cava", Tube(cava, 10.0), VESSEL_HU, "Inferior vena cava"))
    return parts


def _on_arc(turn: float, local: tuple[float, float, float]) -> FloatArray:
    return move_point(arc_frame(turn), np.array(local))


def _kidney(sign: float) -> Ellipsoid:
    """A kidney beside L1 to L3, its upper pole nearer to the midline; the right one lies a little lower."""
    tilt = sign * np.radians(9.0)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    rotation = np.array(((cosine, 0.0, -sine), (0.0, 1.0, 0.0), (sine, 0.0, cosine)))
    return Ellipsoid((sign * 67.0, 3.0, 42.0 if sign > 0 else 34.0), (24.0, 21.0, 52.0), rotation)


def _bowel() -> list[Part]:
    """Loops in front of everything, painted without a label."""
    loops: list[Solid] = []
    for row, z in enumerate((-150.0, -112.0, -74.0, -36.0, 2.0, 40.0, 78.0)):
        across = np.linspace(-62.0, 62.0, 7) * (1.0 if row % 2 == 0 else -1.0)
        line = [(float(x), -54.0 + (7.0 if step % 2 else -1.0), z + (9.0 if step % 2 else -5.0))
                for step, x in enumerate(across)]  # fmt: skip
        loops.append(Tube(line, 12.0))
    return [unlabelled(f"bowel {row}", loop, BOWEL_HU) for row, loop in enumerate(loops)]
