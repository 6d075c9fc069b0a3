"""The spine of the chest phantom: T1 to L1 along a kyphosis, simple vertebrae, discs and the canal.

LPS mm; round figures of an adult: heights of the vertebrae growing from 19 to 30 mm, radius of the bodies from 12 to
17.5 mm, a kyphosis whose deepest point is at T7 to T8.
"""

from __future__ import annotations

import itertools

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.solid_base import FloatArray, move_point
from navplan_phantoms.solids import Capsule, Cylinder, Solid, Tube, Union

VERTEBRA_Z = {
    "T1": 147.5, "T2": 128.0, "T3": 108.0, "T4": 87.5, "T5": 66.5, "T6": 45.0, "T7": 23.0, "T8": 0.5, "T9": -22.5,
    "T10": -46.5, "T11": -71.5, "T12": -98.5, "L1": -128.5,
}  # fmt: skip
DISC_MM, CORTEX_MM = 5.0, 1.6
CANAL_RADIUS, CANAL_BEHIND_MM = 5.5, 7.5
BONE_HU, MARROW_HU, DISC_HU, CANAL_HU, MUSCLE_HU = 500.0, 190.0, 85.0, 25.0, 55.0


def spine_y(z: float) -> float:
    """Where the bodies' middle lies at a height."""
    return 46.0 - 18.0 * ((z - 10.0) / 130.0) ** 2


def vertebral_radius(z: float) -> float:
    """Radius of the bodies, growing downwards."""
    return float(np.interp(z, [-130.0, 150.0], [17.5, 12.0]))


def frame(z: float) -> FloatArray:
    """4x4: from a vertebra's own axes (x left, y back, z up along the spine) to LPS."""
    slope = -36.0 * (z - 10.0) / 130.0**2
    found = np.eye(4)
    found[:3, 2] = np.array((0.0, slope, 1.0)) / np.hypot(1.0, slope)
    found[:3, 1] = np.cross(found[:3, 2], (1.0, 0.0, 0.0))
    found[:3, 3] = (0.0, spine_y(z), z)
    return found


def half_height(name: str) -> float:
    """Half the height of a body: what the discs leave of the distances to its neighbours."""
    heights = list(VERTEBRA_Z.values())
    at = list(VERTEBRA_Z).index(name)
    steps = [heights[i] - heights[i + 1] for i in (at - 1, at) if 0 <= i < len(heights) - 1]
    return 0.5 * (min(steps) - DISC_MM)


def vertebra(name: str) -> Union:
    """Body, pedicles, laminae, transverse processes and a spinous process that slopes down, in LPS."""
    z = VERTEBRA_Z[name]
    radius, half, lumbar = vertebral_radius(z), half_height(name), name.startswith("L")
    arch = radius + 11.0
    parts: list[Solid] = [Cylinder((0.0, 0.0, -half), (0.0, 0.0, half), radius)]
    for sign in (1.0, -1.0):
        joint = (sign * 11.5, arch, 2.0)
        parts.append(Capsule((sign * 10.5, radius - 4.0, 4.0), joint, 3.5))
        parts.append(Capsule((sign * 10.5, arch + 1.0, -1.0), (0.0, arch + 7.5, -4.0), 3.0))
        parts.append(Capsule(joint, (sign * 11.0, arch + 1.5, -6.0), 3.5))
        parts.append(Capsule(joint, (sign * (34.0 if lumbar else 17.0), arch + 5.0, 3.0), 3.0))
    tip = (0.0, arch + 26.0, -8.0) if lumbar else (0.0, arch + 22.0, -20.0)
    parts.append(Capsule((0.0, arch + 8.0, -4.0), tip, 3.0))
    return Union(*parts).moved(frame(z))


def canal_line() -> FloatArray:
    """The middle (M, 3) of the canal."""
    heights = np.linspace(185.0, -165.0, 26)
    behind = [(0.0, vertebral_radius(float(z)) + CANAL_BEHIND_MM, 0.0) for z in heights]
    return np.array([move_point(frame(float(z)), np.array(b)) for z, b in zip(heights, behind, strict=True)])


def spine() -> list[Part]:
    """Vertebrae, discs (painted only) and the canal."""
    parts = []
    for upper, lower in itertools.pairwise(VERTEBRA_Z):
        top, bottom = ((0.0, spine_y(VERTEBRA_Z[name]), VERTEBRA_Z[name]) for name in (upper, lower))
        disc = Cylinder(top, bottom, vertebral_radius(VERTEBRA_Z[upper]) - 0.5)
        parts.append(unlabelled(f"disc_{upper}", disc, DISC_HU))
    for name, z in VERTEBRA_Z.items():
        half, radius = half_height(name) - CORTEX_MM, vertebral_radius(z) - CORTEX_MM
        marrow = Cylinder((0.0, 0.0, -half), (0.0, 0.0, half), radius).moved(frame(z))
        parts.append(Part(f"vertebrae_{name}", vertebra(name), BONE_HU, f"{name} vertebra"))
        parts.append(unlabelled(f"vertebrae_{name}_marrow", marrow, MARROW_HU))
    beside = [unlabelled("paraspinal_muscle", tube, MUSCLE_HU) for tube in spine_clearance()[1:]]
    epidural = unlabelled("epidural_fat", Tube(canal_line(), CANAL_RADIUS + 2.0), -100.0)
    return [*beside, epidural, *parts, Part("spinal_canal", Tube(canal_line(), CANAL_RADIUS), CANAL_HU, "Dural sac")]


def spine_clearance() -> tuple[Tube, ...]:
    """What lungs and organs leave to the bodies, the rib heads and the necks of the ribs."""
    heights = np.linspace(185.0, -165.0, 18)
    lines = []
    for shift, behind, radius in ((0.0, 0.0, 3.0), (14.0, 9.0, 18.0), (-14.0, 9.0, 18.0)):
        bodies = [vertebral_radius(float(z)) for z in heights]
        line = [
            (shift, spine_y(float(z)) + (b + behind if shift else 0.0), z) for z, b in zip(heights, bodies, strict=True)
        ]
        lines.append(Tube(line, radius if shift else np.array(bodies) + radius))
    return tuple(lines)
