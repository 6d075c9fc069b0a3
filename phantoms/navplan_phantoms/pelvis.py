"""The lumbar phantom with the iliac bones beside its sacrum, for ways to the sacroiliac joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.lumbar import CANCELLOUS_HU, CORTEX_MM, CORTICAL_HU, LumbarPhantom
from navplan_phantoms.lumbar_spine import SACRAL_CONES, SIDES, bone, sacral_place
from navplan_phantoms.solid_base import FloatArray, move_point
from navplan_phantoms.solids import Difference, RoundCone, Solid, Union

JOINT_MM = 2.5  # of cartilage and joint space between sacrum and ilium: a round figure
# Cones of one side in the sacrum's own axes: from, radius, to, radius; the joint's outer wall above and below, the back
# spines over it, the wing outwards and forwards, the crest.
_ILIAC_CONES = (
    ((57.0, 15.0, -8.0), 9.0, (55.0, 16.0, -28.0), 10.0),
    ((55.0, 16.0, -28.0), 10.0, (46.0, 17.0, -50.0), 8.0),
    ((57.0, 15.0, -8.0), 9.0, (52.0, 30.0, -26.0), 7.0),
    ((52.0, 30.0, -26.0), 7.0, (48.0, 25.0, -47.0), 6.0),
    ((57.0, 14.0, -14.0), 9.0, (78.0, -24.0, -4.0), 6.0),
    ((57.0, 15.0, -2.0), 8.0, (76.0, -14.0, 14.0), 5.0),
    ((55.0, 14.0, -30.0), 9.0, (70.0, -22.0, -34.0), 9.0),
)
# Amid the lower third of the joint space, where it opens to the back.
JOINT_POINT_MM = (39.7, 20.0, -50.0)


def ilium(side: str, thinner_mm: float = 0.0) -> Solid:
    """One iliac bone in LPS, JOINT_MM away from the sacrum; thinner_mm: what is left inside its cortex."""
    sign = SIDES[side]

    def cones(rows: tuple[Any, ...], wider_mm: float) -> list[Solid]:
        return [
            RoundCone((sign * a[0], *a[1:]), (sign * b[0], *b[1:]), first + wider_mm, second + wider_mm)
            for a, first, b, second in rows
        ]

    beside = Union(*cones(SACRAL_CONES, JOINT_MM + thinner_mm))
    return Difference(Union(*cones(_ILIAC_CONES, -thinner_mm)), beside).moved(sacral_place())


@dataclass(frozen=True)
class PelvisPhantom(LumbarPhantom):
    """The same spine with both iliac bones, cut off above the hips."""

    name: ClassVar[str] = "lumbar-pelvis"
    description: ClassVar[str] = "The lumbar spine with the iliac bones: for the sacroiliac joints"

    def parts(self) -> list[Part]:
        """Those of the spine and the iliac bones."""
        found = super().parts()
        for side in SIDES:
            found.append(Part(f"hip_{side}", ilium(side), CORTICAL_HU, f"{side.capitalize()} hip bone", side))
            found.append(unlabelled(f"inside hip_{side}", ilium(side, CORTEX_MM), CANCELLOUS_HU))
        return found

    def told(self, motion: FloatArray) -> dict[str, Any]:
        """The truth of the spine, and `sacroiliac_joints` by side."""
        joints = {}
        for side, sign in SIDES.items():
            point = move_point(sacral_place(), np.array(JOINT_POINT_MM) * (sign, 1.0, 1.0))
            joints[side] = {
                "point_lps_mm": move_point(motion, point).tolist(),
                "to_sacrum_mm": float(bone("sacrum").signed_distance_mm(point[None])[0]),
                "to_ilium_mm": float(ilium(side).signed_distance_mm(point[None])[0]),
                "note": "amid the lower third of the joint, where it opens to the back",
            }
        return {**super().told(motion), "sacroiliac_joints": joints}
