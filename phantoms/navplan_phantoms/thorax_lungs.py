"""The lungs of the chest phantom: lobes between their fissures, effusion, bulla, vessels and nodules.

LPS mm; round figures of an adult. A lobe's label holds what lies inside it: nodules, bulla and vessels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from navplan_phantoms.anatomy_parts import Part
from navplan_phantoms.solid_base import FloatArray, unit
from navplan_phantoms.solids import Difference, HalfSpace, Inflated, Intersection, Solid, Sphere, Tube, Union
from navplan_phantoms.thorax_anatomy import in_the_lungs_way
from navplan_phantoms.thorax_wall import (
    CAGE,
    LUNG_MARGIN,
    SIDES,
    cage,
    rib_necks,
    rib_z,
    wall_normal,
    wall_point,
)

LUNG_HU, FISSURE_HU, BULLA_HU, NODULE_HU, VESSEL_HU, EFFUSION_HU = -850.0, -650.0, -970.0, 35.0, 40.0, 8.0
FISSURE_MM, GAP_MM = 1.2, 0.05
# Lower limit of the pleural space: lower at the back than in front.
RECESS = HalfSpace((0.0, 0.0, -98.0), (0.0, -0.33, -1.0))
# The right lung floats on the effusion: its hull is that of the cage, moved forwards and up by this.
EFFUSION_SHIFT = (0.0, -13.0, 7.0)

# Planes of the fissures: a point, and the normal to the upper side.
FISSURES = {
    "fissure_oblique_left": ((40.0, 2.5, 27.0), (0.08, -0.634, 0.773)),
    "fissure_oblique_right": ((-40.0, 4.0, 14.0), (-0.08, -0.62, 0.785)),
    "fissure_horizontal_right": ((-60.0, -30.0, 24.0), (0.08, 0.05, 1.0)),
}
LOBES = {
    "lung_upper_lobe_left": (("fissure_oblique_left", 1.0),),
    "lung_lower_lobe_left": (("fissure_oblique_left", -1.0),),
    "lung_upper_lobe_right": (("fissure_oblique_right", 1.0), ("fissure_horizontal_right", 1.0)),
    "lung_middle_lobe_right": (("fissure_oblique_right", 1.0), ("fissure_horizontal_right", -1.0)),
    "lung_lower_lobe_right": (("fissure_oblique_right", -1.0),),
}
# Vessels of each lobe: vertices and radii.
VESSELS = {
    "lung_upper_lobe_left": (
        (((51.0, -6.0, 71.0), (60.0, -16.0, 84.0), (66.0, -20.0, 102.0), (66.0, -18.0, 114.0)), (4.2, 3.4, 2.6, 1.5)),
        (((55.0, -18.0, 36.0), (68.0, -40.0, 20.0), (84.0, -56.0, 8.0)), (3.8, 3.0, 1.5)),
        (((60.0, -16.0, 84.0), (80.0, 6.0, 92.0), (90.0, 12.0, 96.0)), (3.0, 2.2, 1.4)),
    ),
    "lung_lower_lobe_left": (
        (((48.0, 18.0, 26.0), (54.0, 28.0, 8.0), (66.0, 38.0, -18.0), (76.0, 44.0, -48.0)), (4.4, 3.8, 2.8, 1.5)),
        (((54.0, 28.0, 8.0), (76.0, 22.0, -8.0), (96.0, 14.0, -24.0)), (3.2, 2.4, 1.4)),
        (((54.0, 28.0, 8.0), (70.0, 48.0, 14.0), (82.0, 54.0, 18.0)), (2.8, 2.0, 1.3)),
    ),
    "lung_upper_lobe_right": (
        (
            ((-50.0, -2.0, 58.0), (-56.0, -10.0, 72.0), (-60.0, -18.0, 95.0), (-57.0, -18.0, 116.0)),
            (4.2, 3.4, 2.6, 1.5),
        ),
        (((-56.0, -10.0, 72.0), (-78.0, 10.0, 76.0), (-94.0, 20.0, 80.0)), (3.0, 2.2, 1.4)),
        (((-52.0, -8.0, 46.0), (-68.0, -34.0, 44.0), (-86.0, -50.0, 46.0)), (3.4, 2.4, 1.4)),
    ),
    "lung_middle_lobe_right": ((((-56.0, -16.0, 11.0), (-66.0, -40.0, 4.0), (-78.0, -58.0, 0.0)), (3.2, 2.4, 1.4)),),
    "lung_lower_lobe_right": (
        (((-52.0, 20.0, 8.0), (-58.0, 28.0, -6.0), (-68.0, 36.0, -22.0), (-74.0, 38.0, -40.0)), (4.4, 3.6, 2.6, 1.5)),
        (((-58.0, 28.0, -6.0), (-80.0, 24.0, -16.0), (-98.0, 16.0, -26.0)), (3.0, 2.2, 1.4)),
    ),
}

NODULE_LEFT_RADIUS, NODULE_RIGHT_RADIUS, BULLA_RADIUS = 7.0, 5.0, 14.0
NODULE_LEFT_DEG, NODULE_LEFT_RIBS, NODULE_LEFT_TO_PLEURA = 86.0, (8, 9), 3.0
NODULE_RIGHT_FROM_AXIS = 13.0
BULLA_DEG, BULLA_Z, BULLA_TO_PLEURA = 96.0, 108.0, 1.0


def fissure_plane(name: str) -> tuple[FloatArray, FloatArray]:
    """A point of the fissure's middle plane and its unit normal to the upper side."""
    point, normal = FISSURES[name]
    return np.array(point), unit(normal)


def beyond(name: str, side: float, distance_mm: float) -> HalfSpace:
    """What lies at least so far above (side 1) or below (-1) a fissure's middle plane."""
    point, normal = fissure_plane(name)
    return HalfSpace(point + side * distance_mm * normal, -side * normal)


@lru_cache(maxsize=2)
def pleural_space(side: str) -> Difference:
    """All of one side inside the cage that belongs to neither mediastinum, spine nor diaphragm."""
    sign = SIDES[side]
    medial = HalfSpace((sign * 4.0, 0.0, 0.0), (-sign, 0.0, 0.0))
    return Difference(Intersection(medial, RECESS, cage(LUNG_MARGIN)), *in_the_lungs_way(), rib_necks(side, 1.5))


def _floating(margin: float) -> Inflated:
    """The hull of the right lung in front of its effusion."""
    motion = np.eye(4)
    motion[:3, 3] = EFFUSION_SHIFT
    return Inflated(CAGE.moved(motion), margin)


def _lung(side: str, *limits: HalfSpace) -> Solid:
    """The part of a lung within half-spaces."""
    if side == "left":
        return Intersection(*limits, pleural_space(side))
    return Intersection(*limits, _floating(LUNG_MARGIN), pleural_space(side))


def lobe(name: str) -> Solid:
    """A lobe, without the fissures beside it."""
    side = name.rsplit("_", 1)[1]
    return _lung(side, *(beyond(fissure, above, 0.5 * FISSURE_MM + GAP_MM) for fissure, above in LOBES[name]))


def fissure(name: str) -> Solid:
    """A fissure: a sheet of even thickness through a lung."""
    side = name.rsplit("_", 1)[1]
    limits = [beyond(name, above, -0.5 * FISSURE_MM) for above in (1.0, -1.0)]
    if "horizontal" in name:
        limits.append(beyond("fissure_oblique_right", 1.0, 0.5 * FISSURE_MM + GAP_MM))
    return _lung(side, *limits)


def effusion() -> Difference:
    """The fluid behind and below the right lung."""
    return Difference(pleural_space("right"), _floating(LUNG_MARGIN + GAP_MM))


def vessels() -> Union:
    """The larger vessels in both lungs."""
    return Union(*(Tube(line, radii) for lines in VESSELS.values() for line, radii in lines))


def nodule_left() -> Sphere:
    """In the left lower lobe under the pleura, half-way between two ribs."""
    z = 0.5 * sum(rib_z(number, NODULE_LEFT_DEG) for number in NODULE_LEFT_RIBS)
    margin = LUNG_MARGIN - NODULE_LEFT_TO_PLEURA - NODULE_LEFT_RADIUS
    return Sphere(wall_point(NODULE_LEFT_DEG, 1.0, z, margin), NODULE_LEFT_RADIUS)


def way_out_of_nodule_left() -> FloatArray:
    """The unit direction (3,) from the left nodule straight to the wall."""
    return wall_normal(NODULE_LEFT_DEG, 1.0, float(nodule_left().centre[2]), LUNG_MARGIN)


def nodule_right() -> Sphere:
    """Deep in the right upper lobe, in front and to the side of a vessel."""
    line = np.array(VESSELS["lung_upper_lobe_right"][0][0][1:3])
    along, forwards = unit(line[1] - line[0]), np.array((-0.7, -0.7, 0.0))
    across = unit(forwards - (forwards @ along) * along)
    return Sphere(line.mean(axis=0) + NODULE_RIGHT_FROM_AXIS * across, NODULE_RIGHT_RADIUS)


def bulla() -> Sphere:
    """A thin-walled bubble under the pleura, at the side of the right upper lobe."""
    return Sphere(wall_point(BULLA_DEG, -1.0, BULLA_Z, LUNG_MARGIN - BULLA_TO_PLEURA - BULLA_RADIUS), BULLA_RADIUS)


def lungs() -> list[Part]:
    """Lobes, fissures, effusion, and what lies in the lobes, in painting order."""
    parts = []
    for name in LOBES:
        where, side = name.removeprefix("lung_").rsplit("_", 1)
        concept = f"{where.replace('_', ' ').capitalize()} of {side} lung"
        parts.append(Part(name, lobe(name), LUNG_HU, concept, side))
    for name in FISSURES:
        _, kind, side = name.split("_")
        parts.append(Part(name, fissure(name), FISSURE_HU, f"{kind.capitalize()} fissure of {side} lung", side))
    return [
        *parts,
        Part("pleural_effusion_right", effusion(), EFFUSION_HU, "Pleural effusion", "right"),
        Part("lung_vessels", vessels(), VESSEL_HU, "Vessels in the lungs"),
        Part("bulla_right_1", bulla(), BULLA_HU, "Bulla", "right"),
        Part("nodule_left", nodule_left(), NODULE_HU, "Nodule of left lower lobe", "left"),
        Part("nodule_right", nodule_right(), NODULE_HU, "Nodule of right upper lobe", "right"),
    ]
