"""The wall of the chest phantom: skin, fat and muscle, ribs with their cartilages, sternum, scapulae and clavicles.

LPS mm, the origin in the middle of the chest near T8. The cage is a parallel body of one ellipsoid, narrow at the top,
its top leaning back; everything on it is placed by a direction around the trunk, a height and a margin. Round figures
of an adult with raised arms, assumptions and not measurements of one person.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from navplan_phantoms.anatomy_parts import Part, unlabelled
from navplan_phantoms.organs import turned
from navplan_phantoms.solid_base import FloatArray
from navplan_phantoms.solids import (
    Capsule,
    Difference,
    Ellipsoid,
    HalfSpace,
    Inflated,
    Intersection,
    Solid,
    Tube,
    Union,
)
from navplan_phantoms.thorax_spine import VERTEBRA_Z, spine_y, vertebral_radius

SIDES = {"left": 1.0, "right": -1.0}
CAGE = Ellipsoid((0.0, -6.0, -45.0), (85.0, 40.0, 160.0), turned(about_x_deg=-5.0))
TRUNK = Ellipsoid((0.0, 0.0, -40.0), (100.0, 45.0, 420.0))
LUNG_MARGIN, CAVITY_MARGIN, RIB_MARGIN = 44.0, 45.5, 52.0
SCAPULA_MARGINS = (58.5, 63.0)
MUSCLE_MARGIN, FAT_MARGIN, SKIN_MARGIN = 57.0, 70.0, 72.0
RIB_RADIUS, CARTILAGE_RADIUS, STERNUM_RADIUS, CORTEX = 5.0, 4.5, 5.5, 1.6

SKIN_HU, FAT_HU, MUSCLE_HU, CORTICAL_HU, CANCELLOUS_HU, CARTILAGE_HU = 30.0, -100.0, 55.0, 650.0, 220.0, 110.0

# Where the bone of a rib ends (degrees around the trunk from the back) and how far it has sunk there (mm).
RIB_ENDS = {
    1: (150.0, 36.0), 2: (159.0, 50.0), 3: (158.0, 62.0), 4: (156.0, 68.0), 5: (153.0, 71.0), 6: (149.0, 74.0),
    7: (143.0, 76.0), 8: (135.0, 75.0), 9: (126.0, 72.0), 10: (114.0, 66.0), 11: (84.0, 45.0), 12: (46.0, 28.0),
}  # fmt: skip
RIB_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
             "twelfth")  # fmt: skip
FIRST_WALL_DEG, TUBERCLE_X = 10.0, 29.0
# Height at which the cartilage of a rib meets the sternum; the eighth to tenth meet the cartilage above.
STERNAL_Z = {1: 108.0, 2: 80.0, 3: 60.0, 4: 42.0, 5: 27.0, 6: 13.0, 7: 0.0}
STERNAL_X = 24.0


def cage(margin: float) -> Inflated:
    """All within `margin` mm of the cage's core: 44 are the lungs, 52 the middle of the ribs."""
    return Inflated(CAGE, margin)


@lru_cache(maxsize=8192)
def _wall(angle_deg: float, z: float, margin: float) -> tuple[FloatArray, FloatArray]:
    angle = np.radians(angle_deg)
    low, high = -1.5, 1.5
    point = normal = np.zeros(3)
    for _ in range(48):
        rise = 0.5 * (low + high)
        normal = np.array((np.sin(angle) * np.cos(rise), np.cos(angle) * np.cos(rise), np.sin(rise)))
        scaled = CAGE.semi_axes * normal
        point = CAGE.centre + CAGE.rotation @ (CAGE.semi_axes * scaled / np.linalg.norm(scaled) + margin * normal)
        low, high = (rise, high) if point[2] < z else (low, rise)
    return point, CAGE.rotation @ normal


def wall_point(angle_deg: float, side: float, z: float, margin: float) -> FloatArray:
    """The point (3,) on the cage's parallel surface at that height whose normal is turned so far from the back."""
    return _wall(angle_deg, z, margin)[0] * (side, 1.0, 1.0)


def wall_normal(angle_deg: float, side: float, z: float, margin: float) -> FloatArray:
    """The outward unit normal (3,) there."""
    return _wall(angle_deg, z, margin)[1] * (side, 1.0, 1.0)


def rib_z(number: int, angle_deg: float) -> float:
    """Height of a rib's middle at an angle around the trunk."""
    end_deg, drop = RIB_ENDS[number]
    fraction = (angle_deg - FIRST_WALL_DEG) / (end_deg - FIRST_WALL_DEG)
    return VERTEBRA_Z[f"T{number}"] + 5.0 - 4.0 - (drop - 4.0) * fraction


def rib_radius(number: int) -> float:
    return RIB_RADIUS if 1 < number < 12 else RIB_RADIUS - 0.5


def rib_line(number: int, side: str) -> FloatArray:
    """The middle (M, 3) of a rib: head beside the vertebra, neck, and around the wall, down to its end in front."""
    sign, end_deg = SIDES[side], RIB_ENDS[number][0]
    top = VERTEBRA_Z[f"T{number}"] + 5.0
    y, radius = spine_y(top), vertebral_radius(top)
    line = [np.array((sign * (radius + 6.5), y + 3.0, top))]
    first = next(a for a in range(6, 90) if abs(wall_point(a, sign, top - 2.0, RIB_MARGIN)[0]) >= TUBERCLE_X)
    count = max(4, round((end_deg - first) / 10.0))
    for angle in np.linspace(first, end_deg, count + 1):
        line.append(wall_point(float(angle), sign, rib_z(number, float(angle)), RIB_MARGIN))
    return np.array(line)


def rib(number: int, side: str, thinner_mm: float = 0.0) -> Tube:
    """A rib, or what is left of it inside a cortex of that thickness."""
    return Tube(rib_line(number, side), rib_radius(number) - thinner_mm)


def rib_necks(side: str, margin_mm: float) -> Union:
    """Heads and necks of one side's ribs, enlarged: they lie inside the cage's hull, cut out of what meets them."""
    lines = ((rib_line(number, side), rib_radius(number) + margin_mm) for number in RIB_ENDS)
    return Union(*(Capsule(line[0], line[1], radius) for line, radius in lines))


def ribs() -> list[Part]:
    """Ribs 1 to 12 on both sides with a softer core, and under them the cartilages, one label a side."""
    parts = []
    for side in SIDES:
        parts.append(Part(f"costal_cartilages_{side}", cartilages(side), CARTILAGE_HU, "Costal cartilage", side))
    for side in SIDES:
        for number in RIB_ENDS:
            name, concept = f"rib_{side}_{number}", f"{side.capitalize()} {RIB_WORDS[number - 1]} rib"
            parts.append(Part(name, rib(number, side), CORTICAL_HU, concept, side))
            parts.append(unlabelled(f"{name}_marrow", rib(number, side, CORTEX), CANCELLOUS_HU))
    return parts


def cartilages(side: str) -> Solid:
    """Cartilages 1 to 7 from rib to sternum; the eighth to tenth each to the one above."""
    sign, tubes = SIDES[side], []
    for number, sternal_z in STERNAL_Z.items():
        end_deg = RIB_ENDS[number][0]
        low = rib_z(number, end_deg)
        start = wall_point(end_deg, sign, low, RIB_MARGIN)
        middle = wall_point(0.5 * (end_deg + 170.0), sign, 0.35 * low + 0.65 * sternal_z - 3.0, RIB_MARGIN)
        end = wall_point(180.0, sign, sternal_z, RIB_MARGIN) + np.array((sign * STERNAL_X, 1.5, 0.0))
        tubes.append(Tube([start, middle, end], CARTILAGE_RADIUS))
    for number in (8, 9, 10):
        ends = [(RIB_ENDS[n][0], rib_z(n, RIB_ENDS[n][0])) for n in (number, number - 1)]
        above = wall_point(ends[1][0] + 4.0, sign, ends[1][1] + 1.0, RIB_MARGIN)
        between = wall_point(ends[0][0] + 6.0, sign, ends[0][1] + 1.0, RIB_MARGIN)
        tubes.append(Tube([wall_point(*ends[0][:1], sign, ends[0][1], RIB_MARGIN), between, above], CARTILAGE_RADIUS))
    bones = [Tube(rib_line(number, side)[-4:], rib_radius(number) + 0.1) for number in range(1, 11)]
    return Difference(Union(*tubes), *bones, sternum(-0.1))


def sternum(thinner_mm: float = 0.0) -> Union:
    """Manubrium, body and xiphoid: tubes side by side along the front wall."""
    pieces = []
    for z_to_x in (((118.0, 22.0), (98.0, 20.0), (82.0, 13.0)), ((80.0, 12.0), (30.0, 14.0), (-4.0, 8.0))):
        for share in np.linspace(-1.0, 1.0, 9):
            line = [wall_point(180.0, 1.0, z, RIB_MARGIN + 1.0) + np.array((share * x, 0.0, 0.0)) for z, x in z_to_x]
            pieces.append(Tube(line, STERNUM_RADIUS - thinner_mm))
    xiphoid = [wall_point(180.0, 1.0, z, RIB_MARGIN + 1.0) for z in (-4.0, -30.0)]
    pieces.append(Tube(xiphoid, [STERNUM_RADIUS - thinner_mm, 3.5 - thinner_mm]))
    return Union(*pieces)


def scapula(side: str, thinner_mm: float = 0.0) -> Intersection:
    """A curved triangular plate behind the ribs, its lower corner swung outwards as with raised arms."""
    sign = SIDES[side]
    inner, outer = SCAPULA_MARGINS
    corners = [wall_point(angle, sign, z, outer) for angle, z in ((28.0, 104.0), (62.0, -2.0), (84.0, 96.0))]
    facing = wall_normal(55.0, sign, 66.0, outer)
    middle = np.mean(corners, axis=0)
    planes = []
    for first, second in zip(corners, (*corners[1:], corners[0]), strict=True):
        outward = np.cross(second - first, facing)
        outward *= np.sign(outward @ (first - middle)) / np.linalg.norm(outward)
        planes.append(HalfSpace(first - thinner_mm * outward, outward))
    front = HalfSpace(middle, -facing)
    behind = HalfSpace(middle - 45.0 * facing, front.normal)
    return Intersection(
        *planes, behind, cage(outer - thinner_mm), Difference(cage(outer + 20.0), cage(inner + thinner_mm))
    )


def shoulder_girdle() -> list[Part]:
    """Scapulae and clavicles."""
    parts = []
    for side, sign in SIDES.items():
        parts.append(Part(f"scapula_{side}", scapula(side), CORTICAL_HU - 150.0, f"{side.capitalize()} scapula", side))
        start = wall_point(180.0, sign, 124.0, RIB_MARGIN + 2.0) + np.array((sign * 30.0, 0.0, 8.0))
        line = [start, (sign * 62.0, start[1] + 6.0, 146.0), (sign * 98.0, -14.0, 152.0), (sign * 126.0, 2.0, 160.0)]
        name, concept = f"clavicula_{side}", f"{side.capitalize()} clavicle"
        parts.append(Part(name, Tube(line, [6.5, 5.5, 5.5, 6.0]), CORTICAL_HU, concept, side))
        parts.append(unlabelled(f"{name}_marrow", Tube(line, [4.5, 3.5, 3.5, 4.0]), CANCELLOUS_HU))
    return parts


def wall() -> list[Part]:
    """Skin (the label `body` is all within it), fat, muscle and the fat inside the cage, in painting order."""
    return [
        Part("body", Inflated(TRUNK, SKIN_MARGIN), SKIN_HU, "Body"),
        unlabelled("subcutaneous_fat", Inflated(TRUNK, FAT_MARGIN), FAT_HU),
        unlabelled("chest_wall", Inflated(TRUNK, MUSCLE_MARGIN), MUSCLE_HU),
        unlabelled("cavity_fat", cage(CAVITY_MARGIN), FAT_HU),
    ]


def bones_in_front() -> list[Part]:
    """The sternum with its marrow."""
    return [
        Part("sternum", sternum(), CORTICAL_HU - 150.0, "Sternum"),
        unlabelled("sternum_marrow", sternum(CORTEX), CANCELLOUS_HU - 60.0),
    ]
