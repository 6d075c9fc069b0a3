"""The parts of one patient of the abdomen phantom, in painting order, and the table under them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms import organs, trunk
from navplan_phantoms.anatomy_parts import AbdomenShape, Part
from navplan_phantoms.solid_base import FloatArray, Solid
from navplan_phantoms.solids import Capsule, Difference, Ellipsoid, HalfSpace, Intersection

COUCH_HU = -300.0
COUCH_RADIUS = 360.0
COUCH_THICKNESS = 9.0
COUCH_HALF_LENGTH = 400.0


@dataclass(frozen=True, eq=False)
class AbdomenAnatomy:
    """All parts (later ones lie over earlier ones) with the shape that they were made from."""

    shape: AbdomenShape
    parts: tuple[Part, ...]

    def part(self, name: str) -> Part:
        """The part of that name; raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def solid(self, name: str) -> Solid:
        """The solid of the part of that name; raises KeyError."""
        return self.part(name).solid

    def moved(self, motion: ArrayLike) -> AbdomenAnatomy:
        """The same patient and table after a 4x4 rigid motion."""
        return replace(self, parts=tuple(replace(part, solid=part.solid.moved(motion)) for part in self.parts))


def lesion(shape: AbdomenShape) -> Ellipsoid:
    """A slightly flattened ball in the right lobe; the mean of its diameters is the shape's."""
    centre: FloatArray = (np.array(shape.lesion_centre_mm) + shape.lesion_shift_mm) * shape.scale
    radius = 0.5 * shape.lesion_diameter_mm
    return Ellipsoid(centre, radius * np.array([1.0, 0.94, 1.06]), organs.turned(about_z_deg=25.0, about_y_deg=15.0))


def couch(shape: AbdomenShape) -> Intersection:
    """A thin table top, hollow like a trough, that the back touches."""
    body = trunk.layers(shape.fat_thickness_mm / shape.scale)[0].solid.scaled(shape.scale)
    back = float(body.bounds_mm()[1, 1]) + 0.5
    axis = back - COUCH_RADIUS
    foot, head = (0.0, axis, -COUCH_HALF_LENGTH), (0.0, axis, COUCH_HALF_LENGTH)
    trough = Difference(
        Capsule(foot, head, COUCH_RADIUS + COUCH_THICKNESS),
        Capsule(foot, head, COUCH_RADIUS),
    )
    return Intersection(trough, HalfSpace((0.0, back - 42.0, 0.0), (0.0, -1.0, 0.0)))


@lru_cache(maxsize=8)
def abdomen_anatomy(shape: AbdomenShape) -> AbdomenAnatomy:
    """Build the patient of that shape, lying on the table, in LPS mm."""
    patient = [
        *trunk.layers(shape.fat_thickness_mm / shape.scale),
        *trunk.muscles(),
        *organs.organs(),
        *trunk.ribs(),
        *trunk.spine(),
    ]
    parts = [replace(part, solid=part.solid.scaled(shape.scale)) for part in patient]
    parts.append(Part("lesion", lesion(shape), organs.LESION_HU, "Neoplasm of liver"))
    parts.insert(0, Part("couch", couch(shape), COUCH_HU, "Table top"))
    return AbdomenAnatomy(shape, tuple(parts))
