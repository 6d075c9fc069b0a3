"""The analytic solids, in one place.

Sphere, Capsule, Box, Cylinder, HalfSpace, Ellipsoid, Inflated, RoundCone and Tube have an exact signed distance
outside, and so has a Union. Intersection and Difference give a lower bound outside: see
`certified.segment_distance_bounds_mm`.
"""

from navplan_phantoms.combinations import Difference, Intersection, Union
from navplan_phantoms.ellipsoid import Ellipsoid, Inflated
from navplan_phantoms.primitives import Box, Capsule, Cylinder, HalfSpace, Sphere
from navplan_phantoms.solid_base import ConvexSolid, Solid
from navplan_phantoms.tube import RoundCone, Tube

__all__ = [
    "Box",
    "Capsule",
    "ConvexSolid",
    "Cylinder",
    "Difference",
    "Ellipsoid",
    "HalfSpace",
    "Inflated",
    "Intersection",
    "RoundCone",
    "Solid",
    "Sphere",
    "Tube",
    "Union",
]
