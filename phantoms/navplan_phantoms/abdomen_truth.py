"""The truth of the abdomen phantom: parameters, volumes, and straight ways with their distances and chords.

Everything here comes from the analytic solids, nothing from voxels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from navplan_phantoms.abdomen_anatomy import AbdomenAnatomy, abdomen_anatomy
from navplan_phantoms.anatomy_parts import AbdomenShape
from navplan_phantoms.certified import sampled_volume_mm3, segment_distance_bounds_mm
from navplan_phantoms.solid_base import FloatArray, Solid, move_point, unit
from navplan_phantoms.trunk import rib_vertices

# Straight ways from the skin, in mm of the unscaled patient: the sensible one by its direction out of the lesion, then
# ways to the lesion through the point of a structure, then one that passes through the colon below the liver.
SENSIBLE_DIRECTION = (-0.97, 0.10, -0.22)
POINTS_ON_THE_WAY = {
    "through_aorta": (10.0, 2.0, 0.0),
    "through_lung": (-125.0, 22.0, 40.0),
    "through_kidney": (-66.0, 36.0, -30.0),
    "through_gallbladder": (-44.0, -44.0, -22.0),
    "through_rib": rib_vertices(10, "right")[-6],
}
COLON_TARGET, COLON_DIRECTION = (-60.0, -18.0, -72.0), (-0.93, -0.1, -0.36)
# Width of the distances' bounds: mm, and as a part of the distance.
WAY_TOLERANCE_MM, WAY_TOLERANCE = 0.05, 0.004
VOLUME_CELLS = 40_000
# Eight skin markers: angle around the trunk from the left side (degrees, towards the front) and height (mm).
MARKERS = ((90, 60), (40, 75), (140, 50), (0, 20), (90, -70), (50, -45), (130, -80), (180, -10))


def skin_point(body: Solid, inside: ArrayLike, direction: ArrayLike) -> FloatArray:
    """Where a ray from a point inside leaves the body."""
    start = np.asarray(inside, dtype=np.float64)
    axis = unit(direction)
    intervals = body.line_intervals_mm(start, axis)
    leave = float(intervals[(intervals[:, 0] <= 0.0) & (intervals[:, 1] >= 0.0)][0, 1])
    return start + leave * axis


@lru_cache(maxsize=8)
def reference_ends(shape: AbdomenShape) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Skin point and end of each reference way, before any rigid motion."""
    anatomy = abdomen_anatomy(shape)
    target = lesion_centre(anatomy)
    directions = {"sensible": np.array(SENSIBLE_DIRECTION)}
    for name, point in POINTS_ON_THE_WAY.items():
        directions[name] = np.array(point) * shape.scale - target
    body = anatomy.solid("body")
    ends = {name: (skin_point(body, target, direction), target) for name, direction in directions.items()}
    beyond_colon = np.array(COLON_TARGET) * shape.scale
    ends["through_colon"] = skin_point(body, beyond_colon, COLON_DIRECTION), beyond_colon
    return ends


def lesion_centre(anatomy: AbdomenAnatomy) -> FloatArray:
    """Centre (3,) mm of the lesion."""
    return np.array(anatomy.solid("lesion").bounds_mm().mean(axis=0))


def way_truth(anatomy: AbdomenAnatomy, start: FloatArray, stop: FloatArray) -> dict[str, Any]:
    """Length of a straight way, its distance bounds to every labelled structure and its chord through each (mm)."""
    distances, chords = {}, {}
    for part in anatomy.parts:
        if not part.labelled:
            continue
        lower, upper = segment_distance_bounds_mm(part.solid, start, stop, WAY_TOLERANCE_MM, WAY_TOLERANCE)
        distances[part.name] = {"lower_mm": lower, "upper_mm": upper}
        chord = part.solid.chord_mm(start, stop) if upper == 0.0 else 0.0
        if chord > 0.0:
            chords[part.name] = chord
    length = float(np.linalg.norm(stop - start))
    return {"length_mm": length, "distances": distances, "chords_mm": chords}


@lru_cache(maxsize=8)
def _invariant_truth(shape: AbdomenShape) -> tuple[dict[str, Any], dict[str, Any]]:
    """What no rigid motion changes: the ways' lengths, distances and chords, and the volumes."""
    anatomy = abdomen_anatomy(shape)
    ways = {name: way_truth(anatomy, *ends) for name, ends in reference_ends(shape).items()}
    volumes = {}
    for part in anatomy.parts:
        if part.labelled:
            closed_form = part.solid.volume_mm3()
            sampled = (closed_form, 0.0) if closed_form is not None else sampled_volume_mm3(part.solid, VOLUME_CELLS)
            volumes[part.name] = {"volume_mm3": sampled[0], "volume_standard_error_mm3": sampled[1]}
    return ways, volumes


def abdomen_truth(shape: AbdomenShape, motion: FloatArray) -> dict[str, Any]:
    """Lesion, structures, reference ways and skin markers of the patient after the rigid motion, for JSON."""
    anatomy = abdomen_anatomy(shape)
    moved = anatomy.moved(motion)
    ways, volumes = _invariant_truth(shape)
    structures = {}
    for part in moved.parts:
        if part.labelled:
            about = {"concept": part.concept, "side": part.side, "hu": part.hu, "solid": part.solid.parameters()}
            structures[part.name] = {**about, **volumes[part.name], "closed_form_distance": part.solid.exact_outside}
    reference = {}
    for name, ends in reference_ends(shape).items():
        start, stop = (move_point(motion, end).tolist() for end in ends)
        reference[name] = {"start_lps_mm": start, "stop_lps_mm": stop, **ways[name]}
    return {
        "shape": {
            "scale": shape.scale,
            "fat_thickness_mm": shape.fat_thickness_mm,
            "lesion_shift_mm": list(shape.lesion_shift_mm),
        },
        "lesion": {
            "centre_lps_mm": move_point(motion, lesion_centre(anatomy)).tolist(),
            "mean_diameter_mm": shape.lesion_diameter_mm,
            **volumes["lesion"],
        },
        "structures": structures,
        "reference_ways": reference,
        "skin_markers_lps_mm": [move_point(motion, point).tolist() for point in marker_points(anatomy)],
        "rigid_motion": motion.tolist(),
    }


def marker_points(anatomy: AbdomenAnatomy) -> list[FloatArray]:
    """Eight points on the skin, neither flat nor centred."""
    body, scale = anatomy.solid("body"), anatomy.shape.scale
    points = []
    for angle_deg, height in MARKERS:
        angle = np.radians(angle_deg)
        direction = np.array([np.cos(angle), -np.sin(angle), 0.0])
        points.append(skin_point(body, np.array([0.0, 0.0, height * scale]), direction))
    return points
