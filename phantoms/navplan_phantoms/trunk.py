"""The trunk: skin, fat and muscle as parallel bodies of one ellipsoid, and the skeleton inside them.

All numbers are mm of the unscaled patient in LPS, the origin at mid-trunk near the lower edge of T12. They are round
figures that look like an adult's, not measurements of one.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.solids import Capsule, Cylinder, Difference, Ellipsoid, Inflated, Solid, Tube, Union

CORE = Ellipsoid((0.0, 0.0, 60.0), (100.0, 45.0, 420.0))
MUSCLE_MARGIN = 50.0
RIB_MARGIN = 42.5
CAVITY_MARGIN = 35.0
SKIN_THICKNESS = 2.0
RIB_RADIUS = 5.0
SIDES = {"left": 1.0, "right": -1.0}

VERTEBRA_Z = {
    "T7": 154.0, "T8": 127.0, "T9": 100.0, "T10": 72.0, "T11": 43.0, "T12": 13.0,
    "L1": -18.0, "L2": -50.0, "L3": -83.0, "L4": -117.0,
}  # fmt: skip
DRAWN_VERTEBRAE = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")

# Where a rib ends (degrees around the trunk from the back, 90 is the mid-axillary line) and how far it has sunk there.
RIB_ENDS = {7: (158.0, 52.0), 8: (148.0, 56.0), 9: (136.0, 58.0), 10: (122.0, 56.0), 11: (76.0, 38.0), 12: (38.0, 22.0)}
RIB_NUMBER_WORDS = {7: "seventh", 8: "eighth", 9: "ninth", 10: "tenth", 11: "eleventh", 12: "twelfth"}

SKIN_HU, FAT_HU, MUSCLE_HU = 40.0, -100.0, 60.0
CORTICAL_HU, CANCELLOUS_HU, CARTILAGE_HU, DISC_HU, CORD_HU = 700.0, 250.0, 110.0, 80.0, 40.0


def spine_y(z: float) -> float:
    """Centre of the vertebral bodies: the lumbar ones lie a little farther forward."""
    return 33.0 - 6.0 * math.exp(-(((z + 85.0) / 60.0) ** 2))


def vertebral_radius(z: float) -> float:
    """Radius of the vertebral bodies, growing downwards."""
    return float(np.interp(z, [-120.0, 130.0], [23.0, 16.5]))


def wall_point(angle_deg: float, side: float, z: float, margin: float) -> tuple[float, float, float]:
    """The point of the parallel body whose outward normal is turned by `angle_deg` from the back."""
    shrink = math.sqrt(1.0 - ((z - CORE.centre[2]) / CORE.semi_axes[2]) ** 2)
    a, b = CORE.semi_axes[0] * shrink, CORE.semi_axes[1] * shrink
    across, back = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    support = math.hypot(a * across, b * back)
    return side * (a * a * across / support + margin * across), b * b * back / support + margin * back, z


def layers(fat_thickness: float) -> list[Part]:
    """Skin (the label `body` is all within it), fat, muscle, and the fat of the cavity."""
    skin = MUSCLE_MARGIN + fat_thickness
    return [
        Part("body", Inflated(CORE, skin), SKIN_HU, "Body"),
        unlabelled("subcutaneous_fat", Inflated(CORE, skin - SKIN_THICKNESS), FAT_HU),
        unlabelled("abdominal_wall", Inflated(CORE, MUSCLE_MARGIN), MUSCLE_HU),
        unlabelled("cavity_fat", Inflated(CORE, CAVITY_MARGIN), FAT_HU),
    ]


def erector_spinae(side: str, margin: float = 0.0) -> Tube:
    """The long muscle beside the spine, enlarged by `margin` mm."""
    return Tube([(SIDES[side] * 32.0, 72.0, z) for z in (-160.0, 160.0)], [21.0 + margin, 15.0 + margin])


def muscles() -> list[Part]:
    """Erector spinae and psoas, painted without labels."""
    parts = []
    for side, sign in SIDES.items():
        erector = erector_spinae(side)
        psoas = Tube(
            [(sign * 27.0, 30.0, 0.0), (sign * 38.0, 27.0, -60.0), (sign * 48.0, 20.0, -150.0)], [5.0, 14.0, 21.0]
        )
        crus = Tube([(sign * 12.0, 8.0, 45.0), (sign * 17.0, 14.0, 0.0), (sign * 17.0, 12.0, -45.0)], [4.0, 4.0, 2.5])
        parts += [
            unlabelled(f"erector_spinae_{side}", erector, MUSCLE_HU),
            unlabelled(f"psoas_{side}", psoas, MUSCLE_HU),
        ]
        parts.append(unlabelled(f"crus_{side}", crus, MUSCLE_HU))
    return parts


def rib_vertices(number: int, side: str, extra_depth: float = 0.0) -> list[tuple[float, float, float]]:
    """Centre line of a rib from its joint with the spine, around the trunk and down."""
    sign = SIDES[side]
    end_deg, drop = RIB_ENDS[number]
    top = VERTEBRA_Z[f"T{number}"] + 6.0
    y, radius = spine_y(top), vertebral_radius(top)
    line = [(sign * (radius + 4.0), y + radius * 0.8, top), (sign * 38.0, y + radius + 22.0, top - 4.0)]
    count = max(4, round((end_deg - 12.0) / 9.0))
    for step in range(count + 1):
        fraction = step / count
        angle = 12.0 + fraction * (end_deg - 12.0)
        line.append(wall_point(angle, sign, top - 6.0 - (drop - 6.0) * fraction**0.85, RIB_MARGIN - extra_depth))
    return line


def ribs() -> list[Part]:
    """Ribs 7 to 12 on both sides, a hard shell around a softer core, and the cartilages of 7 to 10."""
    parts = []
    for side in SIDES:
        for number in RIB_ENDS:
            line = rib_vertices(number, side)
            radius = RIB_RADIUS if number < 12 else RIB_RADIUS - 0.5
            name = f"rib_{side}_{number}"
            concept = f"{side.capitalize()} {RIB_NUMBER_WORDS[number]} rib"
            parts.append(Part(name, Tube(line, radius), CORTICAL_HU, concept, side))
            parts.append(unlabelled(f"{name}_marrow", Tube(line, radius - 1.8), CANCELLOUS_HU))
        tips = [rib_vertices(number, side)[-1] for number in (10, 9, 8, 7)]
        sternal = wall_point(176.0, SIDES[side], 112.0, RIB_MARGIN)
        margin = Tube([*tips[:1], *(_beyond(tip) for tip in tips[1:]), sternal], 4.5)
        cartilage = Difference(margin, *(Tube(rib_vertices(n, side), RIB_RADIUS + 0.2) for n in (10, 9, 8, 7)))
        parts.insert(0, Part(f"costal_cartilages_{side}", cartilage, CARTILAGE_HU, "Costal cartilage", side))
    return parts


def _beyond(tip: tuple[float, float, float]) -> tuple[float, float, float]:
    """A point of the costal margin just past a rib's tip."""
    x, y, z = tip
    return x * 0.96, y, z


def vertebra(name: str) -> Union:
    """A vertebra: body, pedicles, laminae, transverse and spinous processes around the canal."""
    z = VERTEBRA_Z[name]
    y, radius = spine_y(z), vertebral_radius(z)
    half_height = 0.5 * (26.0 if name.startswith("L") else 22.0)
    back, arch = y + radius, y + radius + 11.0
    parts: list[Solid] = [Cylinder((0.0, y, z - half_height), (0.0, y, z + half_height), radius)]
    for sign in SIDES.values():
        joint = (sign * 14.0, arch, z)
        parts.append(Capsule((sign * 13.0, back - 5.0, z + 4.0), joint, 4.0))
        parts.append(Capsule(joint, (0.0, arch + 9.0, z - 4.0), 3.5))
        parts.append(Capsule(joint, (sign * (36.0 if name.startswith("L") else 23.0), arch + 5.0, z + 2.0), 3.5))
    parts.append(Capsule((0.0, arch + 9.0, z - 4.0), (0.0, min(arch + 24.0, 90.0), z - 16.0), 3.0))
    return Union(*parts)


def spine() -> list[Part]:
    """Vertebrae T8 to L4, the discs between them, and the cord in its canal."""
    parts = []
    for upper, lower in itertools.pairwise(DRAWN_VERTEBRAE):
        top, bottom = VERTEBRA_Z[upper], VERTEBRA_Z[lower]
        radius = vertebral_radius(bottom) - 0.5
        disc = Cylinder((0.0, spine_y(top), top), (0.0, spine_y(bottom), bottom), radius)
        parts.append(unlabelled(f"disc_{upper}_{lower}", disc, DISC_HU))
    for name in DRAWN_VERTEBRAE:
        z = VERTEBRA_Z[name]
        y, radius, half = spine_y(z), vertebral_radius(z), 0.5 * (26.0 if name.startswith("L") else 22.0)
        marrow = Cylinder((0.0, y, z - half + 1.8), (0.0, y, z + half - 1.8), radius - 1.8)
        parts.append(Part(f"vertebrae_{name}", vertebra(name), CORTICAL_HU - 150.0, f"{name} vertebra"))
        parts.append(unlabelled(f"vertebrae_{name}_marrow", marrow, CANCELLOUS_HU - 30.0))
    canal = [(0.0, spine_y(z) + vertebral_radius(z) + 8.5, z) for z in np.linspace(-160.0, 160.0, 17)]
    parts.append(Part("spinal_cord", Tube(canal, 6.0), CORD_HU, "Spinal cord"))
    return parts


def spine_clearance(radius: float) -> Tube:
    """A tube around the vertebral bodies, cut out of organs that must not reach the spine."""
    return Tube([(0.0, spine_y(z), z) for z in np.linspace(-200.0, 260.0, 24)], radius)
