"""The lumbar phantom: five lumbar vertebrae with all their processes, for views of the spine.

Round figures of an adult's L3, the same for all five, on an arc of 380 mm radius (a lordosis of 23 degrees from L1 to
L5); not measurements of one person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.grids import phantom_grid
from navplan_phantoms.painting import grid_truth, paint, with_noise
from navplan_phantoms.result import PhantomResult
from navplan_phantoms.solid_base import FloatArray, as_rigid
from navplan_phantoms.solids import Capsule, Ellipsoid, HalfSpace, Intersection, Solid, Union

LEVELS = ("L1", "L2", "L3", "L4", "L5")
ARC_RADIUS_MM, STEP_MM = 380.0, 38.0
HALF_HEIGHT_MM, CORTEX_MM = 14.0, 1.3
FIELD_MM = (270.0, 220.0, 220.0)
FAT_HU, MUSCLE_HU, CORTICAL_HU, CANCELLOUS_HU = -100.0, 55.0, 850.0, 190.0

# Rods of one side (x counts from the midline) and of the midline: from, to, radius; local mm, x to the side, y to the
# back, z to the head, from the middle of the body.
_SIDE_RODS = {
    "pedicle": (((15.0, 12.0, 2.5), (14.5, 26.0, 2.5), 4.2), ((15.0, 12.0, 7.5), (14.5, 26.0, 7.5), 4.2)),
    "superior articular process": (((17.0, 25.0, 5.0), (20.0, 25.0, 18.0), 4.5),),
    "pars": (((16.0, 27.0, 5.0), (13.5, 33.0, -12.0), 4.0),),
    "inferior articular process": (((13.5, 33.5, -12.0), (13.5, 33.5, -23.0), 4.5),),
    "lamina": (((13.0, 30.0, -1.0), (3.0, 37.0, -4.0), 3.4), ((13.0, 32.0, -8.0), (3.0, 39.0, -10.0), 3.4)),
    "transverse process": (((17.0, 24.0, 5.0), (43.0, 30.0, 7.0), 3.5),),
}
_MIDLINE_RODS = (((0.0, 38.0, -4.0), (0.0, 66.0, -9.0), 3.2), ((0.0, 39.0, -9.0), (0.0, 66.0, -14.0), 3.2),
                 ((0.0, 39.0, -13.0), (0.0, 64.0, -19.0), 3.2))  # fmt: skip


@dataclass(frozen=True)
class LumbarPhantom:
    """An adult's lumbar spine in a slim trunk, head first and supine, without a table."""

    name: ClassVar[str] = "lumbar-spine"
    description: ClassVar[str] = "CT of L1 to L5 with pedicles, laminae and all processes, for fluoroscopic views"

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

        truth["vertebrae"][name]: centre of the body (LPS mm), unit vectors superior, anterior and left, and the
        endplates' middles. Raises ValueError for input that makes no sense.
        """
        if not 0.0 <= noise_hu <= 500.0:
            raise ValueError(f"noise_hu must be between 0 and 500, received {noise_hu}")
        motion = np.eye(4) if rigid_motion is None else as_rigid(rigid_motion)
        grid = phantom_grid(spacing_mm, orientation, FIELD_MM)
        affine = motion @ grid.affine
        parts = [Part(p.name, p.solid.moved(motion), p.hu, p.concept, p.side, p.labelled) for p in _parts()]
        image, structures = paint(parts, affine, grid.shape, hard_labels)
        truth: dict[str, Any] = {
            "phantom": self.name,
            "vertebrae": {f"vertebrae_{level}": _told(motion @ place(level)) for level in LEVELS},
            "labels": {"fractional": not hard_labels},
            "image": {"noise_hu": noise_hu, "seed": seed, "orientation": orientation},
            "grid": grid_truth(affine, grid),
        }
        return PhantomResult(
            voxels=with_noise(image, noise_hu, seed), affine=affine, structures=structures, truth=truth, modality="CT",
            patient_position="HFS",
        )  # fmt: skip


def place(level: str) -> FloatArray:
    """4x4: from a vertebra's own axes to the patient's LPS."""
    turn = (LEVELS.index("L3") - LEVELS.index(level)) * STEP_MM / ARC_RADIUS_MM
    cosine, sine = np.cos(turn), np.sin(turn)
    found = np.eye(4)
    found[:3, 1], found[:3, 2] = (0.0, cosine, -sine), (0.0, sine, cosine)
    found[:3, 3] = (0.0, ARC_RADIUS_MM * (1.0 - cosine) - 10.0, ARC_RADIUS_MM * sine)
    return found


def vertebra(thinner_mm: float = 0.0) -> Solid:
    """One vertebra in its own axes; thinner_mm: what is left inside a cortex of that thickness."""
    half = HALF_HEIGHT_MM - thinner_mm
    body = Intersection(
        Ellipsoid((0.0, 0.0, 0.0), (24.0 - thinner_mm, 17.0 - thinner_mm, 60.0)),
        HalfSpace((0.0, 0.0, half), (0.0, 0.0, 1.0)),
        HalfSpace((0.0, 0.0, -half), (0.0, 0.0, -1.0)),
    )
    rods = [
        Capsule((side * a[0], *a[1:]), (side * b[0], *b[1:]), radius - thinner_mm)
        for side in (1.0, -1.0)
        for pieces in _SIDE_RODS.values()
        for a, b, radius in pieces
    ]
    return Union(body, *rods, *(Capsule(a, b, radius - thinner_mm) for a, b, radius in _MIDLINE_RODS))


def _parts() -> list[Part]:
    skin = (122.0, 98.0, 420.0)
    parts = [
        Part("body", Ellipsoid((0.0, 0.0, 0.0), skin), FAT_HU, "body"),
        unlabelled("muscle", Ellipsoid((0.0, 0.0, 0.0), tuple(axis - 12.0 for axis in skin)), MUSCLE_HU),
    ]
    for level in LEVELS:
        parts.append(Part(f"vertebrae_{level}", vertebra().moved(place(level)), CORTICAL_HU, f"{level} vertebra"))
        parts.append(unlabelled(f"inside {level}", vertebra(CORTEX_MM).moved(place(level)), CANCELLOUS_HU))
    return parts


def _told(at: FloatArray) -> dict[str, list[float]]:
    up = at[:3, 2]
    return {
        "centre_lps_mm": at[:3, 3].tolist(), "superior": up.tolist(), "anterior": (-at[:3, 1]).tolist(),
        "left": at[:3, 0].tolist(), "superior_endplate_lps_mm": (at[:3, 3] + HALF_HEIGHT_MM * up).tolist(),
        "inferior_endplate_lps_mm": (at[:3, 3] - HALF_HEIGHT_MM * up).tolist(),
    }  # fmt: skip
