"""The truth of the chest phantom: lesions, fissures, ribs, clearances and ways, from the solids and never from voxels.

Points and directions are LPS (mm; unit vectors), after the rigid motion.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from navplan_phantoms.solid_base import FloatArray, Solid, move_point
from navplan_phantoms.solids import Inflated, Sphere
from navplan_phantoms.thorax_anatomy import MASS
from navplan_phantoms.thorax_lungs import (
    BULLA_TO_PLEURA,
    EFFUSION_SHIFT,
    FISSURE_MM,
    FISSURES,
    NODULE_LEFT_RIBS,
    NODULE_LEFT_TO_PLEURA,
    bulla,
    fissure_plane,
    nodule_left,
    nodule_right,
    vessels,
    way_out_of_nodule_left,
)
from navplan_phantoms.thorax_spine import VERTEBRA_Z, frame
from navplan_phantoms.thorax_wall import RIB_ENDS, SIDES, SKIN_MARGIN, TRUNK, rib, rib_line, rib_radius


def chest_truth(motion: FloatArray) -> dict[str, Any]:
    """Everything that is known about the chest after the 4x4 motion, for JSON."""
    planes = {}
    for name in FISSURES:
        point, normal = fissure_plane(name)
        planes[name] = {
            "point_lps_mm": move_point(motion, point).tolist(),
            "upwards": (motion[:3, :3] @ normal).tolist(),
            "thickness_mm": FISSURE_MM,
        }
    ribs = {
        f"rib_{side}_{number}": {
            "line_lps_mm": move_point(motion, rib_line(number, side)).tolist(),
            "radius_mm": rib_radius(number),
        }
        for side in SIDES
        for number in RIB_ENDS
    }
    vertebrae = {
        f"vertebrae_{level}": {
            "centre_lps_mm": (motion @ frame(z))[:3, 3].tolist(),
            "superior": (motion @ frame(z))[:3, 2].tolist(),
        }
        for level, z in VERTEBRA_Z.items()
    }
    shift = np.array(EFFUSION_SHIFT)
    return {
        "lesions": _lesions(motion),
        "fissures": planes,
        "pleural_effusion_right": {
            "thickest_mm": float(np.linalg.norm(shift)),
            "thickest_towards": (motion[:3, :3] @ (-shift / np.linalg.norm(shift))).tolist(),
            "note": "the gap between the cage's inner surface and the same surface shifted; zero where the wall's "
            "outward normal is square to that direction",
        },
        "ribs": ribs,
        "vertebrae": vertebrae,
        "clearances_mm": dict(_clearances()),
        "reference_ways": {"nodule_left": _way_to_nodule_left(motion)},
    }


def _lesions(motion: FloatArray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, ball, lobe in (
        ("nodule_left", nodule_left(), "lung_lower_lobe_left"),
        ("nodule_right", nodule_right(), "lung_upper_lobe_right"),
        ("bulla_right_1", bulla(), "lung_upper_lobe_right"),
    ):
        found[name] = {
            "centre_lps_mm": move_point(motion, ball.centre).tolist(),
            "diameter_mm": 2.0 * ball.radius,
            "volume_mm3": ball.volume_mm3(),
            "lobe": lobe,
        }
    found["mass_mediastinum"] = {
        "centre_lps_mm": move_point(motion, MASS.centre).tolist(),
        "semi_axes_mm": MASS.semi_axes.tolist(),
        "axes_as_columns": (motion[:3, :3] @ MASS.rotation).tolist(),
        "volume_mm3": MASS.volume_mm3(),
    }
    return found


@lru_cache(maxsize=1)
def _clearances() -> dict[str, float]:
    """Distances between surfaces, exact: from balls to the pleura, to tubes and to the fissures' sheets."""
    left, right = nodule_left(), nodule_right()
    found = {
        "nodule_left to pleura": NODULE_LEFT_TO_PLEURA,
        "bulla_right_1 to pleura": BULLA_TO_PLEURA,
        "nodule_right to lung_vessels": _from_ball(right, vessels()),
        "nodule_left to lung_vessels": _from_ball(left, vessels()),
    }
    for number in NODULE_LEFT_RIBS:
        found[f"nodule_left to rib_left_{number}"] = _from_ball(left, rib(number, "left"))
    for ball, name, fissure in (
        (left, "nodule_left", "fissure_oblique_left"),
        (right, "nodule_right", "fissure_horizontal_right"),
    ):
        point, normal = fissure_plane(fissure)
        found[f"{name} to {fissure}"] = abs(float((ball.centre - point) @ normal)) - ball.radius - 0.5 * FISSURE_MM
    return found


def _from_ball(ball: Sphere, solid: Solid) -> float:
    return float(solid.signed_distance_mm(ball.centre[None])[0]) - ball.radius


def _way_to_nodule_left(motion: FloatArray) -> dict[str, Any]:
    """From the skin straight through the wall, square to the pleura, to the middle of the nodule."""
    ball, outwards = nodule_left(), way_out_of_nodule_left()
    inside = Inflated(TRUNK, SKIN_MARGIN).line_intervals_mm(ball.centre, outwards)
    length = float(inside[(inside[:, 0] < 0.0) & (inside[:, 1] > 0.0)][0, 1])
    start = ball.centre + length * outwards
    ribs = {f"rib_left_{number}": rib(number, "left").segment_distance_mm(start, ball.centre) for number in RIB_ENDS}
    return {
        "start_lps_mm": move_point(motion, start).tolist(),
        "stop_lps_mm": move_point(motion, ball.centre).tolist(),
        "length_mm": length,
        "aerated_lung_mm": NODULE_LEFT_TO_PLEURA,
        "distances_mm": {name: distance for name, distance in ribs.items() if distance < 40.0},
    }
