"""The truth of the lumbar phantom: points and axes that procedures of the spine aim at, from the model itself.

Points and directions are LPS (mm; unit vectors), after the rigid motion. Nothing comes from voxels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from navplan_phantoms.lumbar_spine import (
    DISC_HEIGHT_MM,
    HALF_HEIGHT_MM,
    LEVELS,
    PEDICLE_RADIUS_MM,
    ROOT_RADIUS_MM,
    SAC_OFFSET_MM,
    SAC_RADIUS_MM,
    SIDE_RODS,
    SIDES,
    bone,
    canal_axis,
    disc_frame,
    nerve_root,
    place,
    sacral_place,
)
from navplan_phantoms.solid_base import FloatArray, move_point, unit

# In a vertebra's own axes: where along y nothing but the pedicle's two rods is left of the bone, and a point under the
# pedicle, lateral of its 6 o'clock, above and behind the root.
ISTHMUS_Y_MM = 18.0
SAFE_TRIANGLE_MM = (17.5, 19.5, -4.4)
FACET_RECESS_MM = (14.0, 33.0, -28.8)  # under the inferior articular process, on the back of the pars below
HIATUS_MM = (0.0, 19.5, -74.0)  # in the sacrum's own axes: in the canal, where its roof has ended


def lumbar_truth(motion: FloatArray) -> dict[str, Any]:
    """Vertebrae, sacrum, pedicles, targets beside the foramina, discs and canal after the 4x4 motion, for JSON."""
    sided = {
        key: {level: {side: make(motion, level, side) for side in SIDES} for level in LEVELS}
        for key, make in (
            ("pedicles", _pedicle),
            ("safe_triangles", _safe_triangle),
            ("medial_branch_targets", _medial_branch),
            ("nerve_roots", _root),
        )
    }
    sacral = motion @ sacral_place()
    return {
        "vertebrae": {f"vertebrae_{level}": _told(motion @ place(level)) for level in LEVELS},
        "sacrum": {
            "superior_endplate_lps_mm": sacral[:3, 3].tolist(),
            "superior": sacral[:3, 2].tolist(),
            "anterior": (-sacral[:3, 1]).tolist(),
            "hiatus_lps_mm": move_point(sacral, np.array(HIATUS_MM)).tolist(),
        },
        "facet_recesses": {
            level: {side: _recess(motion, level, below, side) for side in SIDES} for level, below in pairwise(LEVELS)
        },
        **sided,
        "discs": {f"disc_{level}": _disc(motion, level) for level in LEVELS},
        "spinal_canal": {
            "axis_lps_mm": move_point(motion, canal_axis()).tolist(),
            "width_mm": 2.0 * (SAC_RADIUS_MM + SAC_OFFSET_MM),
            "depth_mm": 2.0 * SAC_RADIUS_MM,
        },
    }


def _told(at: FloatArray) -> dict[str, list[float]]:
    up = at[:3, 2]
    return {
        "centre_lps_mm": at[:3, 3].tolist(), "superior": up.tolist(), "anterior": (-at[:3, 1]).tolist(),
        "left": at[:3, 0].tolist(), "superior_endplate_lps_mm": (at[:3, 3] + HALF_HEIGHT_MM * up).tolist(),
        "inferior_endplate_lps_mm": (at[:3, 3] - HALF_HEIGHT_MM * up).tolist(),
    }  # fmt: skip


def pedicle_axis(level: str, side: str) -> tuple[FloatArray, FloatArray]:
    """Centre of the isthmus (3,) and the unit direction from back to front, in LPS before any motion."""
    rods = SIDE_RODS["pedicle"]
    front, back = (np.mean([rod[end] for rod in rods], axis=0) * (SIDES[side], 1.0, 1.0) for end in (0, 1))
    along = (ISTHMUS_Y_MM - back[1]) / (front[1] - back[1])
    frame = place(level)
    return move_point(frame, back + along * (front - back)), frame[:3, :3] @ unit(front - back)


def _pedicle(motion: FloatArray, level: str, side: str) -> dict[str, Any]:
    """Two rods, one above the other: the width is that of the waist between them, through the isthmus' centre."""
    centre, forward = pedicle_axis(level, side)
    inside = bone(level).line_intervals_mm(centre, forward)
    behind = float(inside[(inside[:, 0] < 0.0) & (inside[:, 1] > 0.0)][0, 0])
    low, high = SIDE_RODS["pedicle"]
    apart = high[0][2] - low[0][2]
    return {
        "entry_lps_mm": move_point(motion, centre + behind * forward).tolist(),
        "isthmus_lps_mm": move_point(motion, centre).tolist(),
        "direction": (motion[:3, :3] @ forward).tolist(),
        "width_mm": 2.0 * math.sqrt(PEDICLE_RADIUS_MM**2 - (0.5 * apart) ** 2),
        "widest_mm": 2.0 * PEDICLE_RADIUS_MM,
        "height_mm": apart + 2.0 * PEDICLE_RADIUS_MM,
    }


def _at(motion: FloatArray, level: str, side: str, local: tuple[float, float, float] | FloatArray) -> FloatArray:
    """A point of a vertebra's own axes (x to the side) in LPS."""
    return move_point(motion @ place(level), np.asarray(local) * (SIDES[side], 1.0, 1.0))


def _safe_triangle(motion: FloatArray, level: str, side: str) -> dict[str, Any]:
    point = _at(np.eye(4), level, side, SAFE_TRIANGLE_MM)[None]
    return {
        "point_lps_mm": move_point(motion, point[0]).tolist(),
        "to_bone_mm": float(bone(level).signed_distance_mm(point)[0]),
        "to_root_mm": float(nerve_root(level, side).signed_distance_mm(point)[0]),
        "note": "under the pedicle, lateral of its 6 o'clock, above and behind the root",
    }


def _recess(motion: FloatArray, level: str, below: str, side: str) -> dict[str, Any]:
    point = _at(np.eye(4), level, side, FACET_RECESS_MM)[None]
    return {
        "point_lps_mm": move_point(motion, point[0]).tolist(),
        "to_upper_mm": float(bone(level).signed_distance_mm(point)[0]),
        "to_lower_mm": float(bone(below).signed_distance_mm(point)[0]),
        "note": "the lower recess of the facet joint under the level, between the bones of both",
    }


def _medial_branch(motion: FloatArray, level: str, side: str) -> dict[str, Any]:
    """The bottom of the groove, where the surfaces of the articular and the transverse process meet in front view."""
    above = LEVELS[LEVELS.index(level) - 1] if level != LEVELS[0] else "T12"
    return {
        "point_lps_mm": _at(motion, level, side, groove()).tolist(),
        "nerve": f"medial branch of {above}",
        "note": "groove between the superior articular and the transverse process",
    }


def groove() -> FloatArray:
    """The groove (3,) in a vertebra's own axes, x to the side: on both processes' surfaces, at their axes' depth."""
    (joint,), (across,) = SIDE_RODS["superior articular process"], SIDE_RODS["transverse process"]
    up, out = unit(np.subtract(joint[1], joint[0])), unit(np.subtract(across[1], across[0]))
    lateral, above = np.array((up[2], 0.0, -up[0])), unit(np.array((-out[2], 0.0, out[0])))
    # Two lines in the plane of x and z, each shifted by its rod's radius; the depth is that of the transverse process.
    first, second = np.array(joint[0]) + joint[2] * lateral, np.array(across[0]) + across[2] * above
    sides = np.array(((up[0], -out[0]), (up[2], -out[2])))
    along = np.linalg.solve(sides, (second - first)[[0, 2]])
    return np.array(second + along[1] * out)


def _root(motion: FloatArray, level: str, side: str) -> dict[str, Any]:
    line = move_point(motion, nerve_root(level, side).vertices)
    return {"line_lps_mm": line.tolist(), "radius_mm": ROOT_RADIUS_MM}


def _disc(motion: FloatArray, level: str) -> dict[str, Any]:
    frame = motion @ disc_frame(level)
    return {
        "centre_lps_mm": frame[:3, 3].tolist(),
        "superior": frame[:3, 2].tolist(),
        "height_mm": DISC_HEIGHT_MM if level == LEVELS[-1] else _arc_gap_mm(),
    }


def _arc_gap_mm() -> float:
    """Height of a disc on the arc, in its middle."""
    upper, lower = place("L3"), place("L4")
    gap = upper[:3, 3] - lower[:3, 3] - HALF_HEIGHT_MM * (upper[:3, 2] + lower[:3, 2])
    return float(np.linalg.norm(gap))
