"""How well a way suits the room: slices, gantry, operator and C-arm. For many ways at once.

out_of_plane_mm    how far the needle's ends lie apart along the body: within a slice's thickness one image shows it all
gantry_room_mm     between the hub with the hand that holds it and the bore, while the needle is in place
operator_reach_mm  how far inside the nearer edge of the table the hub lies, when seen from above
carm_beyond_deg    how far the bull's-eye view of the needle is beyond the C-arm's reach, 0 = within it
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.carm import POSITIONS_WITH_A_DIAL, CArm, dials_of
from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.planning.entry_candidates import HUB_MM

GANTRY_BORE_MM = 700.0  # diameter (unsourced)
TABLE_WIDTH_MM = 430.0  # (unsourced)
NO_DIAL_DEG = 180.0  # of a patient on the side, for whom dial angles are not told: no view is known to be in reach


def reach_metrics(
    entries_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    device: Device,
    grid: Grid,
    patient_position: str,
    carm: CArm | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Each (N,) of the ways from entries (N, 3) to the target, LPS mm. grid: of the image, whose middle is taken as the
    middle of bore and table; the body's axis is the LPS z axis."""
    outward = entries_mm - target_mm
    depth = np.linalg.norm(outward, axis=1)
    outward = outward / depth[:, None]
    outside = np.maximum(device.length_mm + device.stands_short_mm - depth, 0.0)
    hub = entries_mm + (outside + HUB_MM)[:, None] * outward
    middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
    sideways = 0 if patient_position[2:] in ("S", "P") or len(patient_position) < 3 else 1
    aside = np.abs(hub[:, sideways] - middle[sideways])
    return {
        "out_of_plane_mm": np.abs(entries_mm[:, 2] - target_mm[2]),
        "gantry_room_mm": GANTRY_BORE_MM / 2 - np.linalg.norm((hub - middle)[:, :2], axis=1),
        "operator_reach_mm": np.maximum(TABLE_WIDTH_MM / 2 - aside, 0.0),
        "carm_beyond_deg": _beyond_reach_deg(outward, patient_position, carm or CArm()),
    }


def _beyond_reach_deg(outward: NDArray[np.float64], patient_position: str, carm: CArm) -> NDArray[np.float64]:
    """Of the view along each needle, detector on the entry's side or opposite, whichever is nearer to reach."""
    if patient_position not in POSITIONS_WITH_A_DIAL:
        return np.full(len(outward), NO_DIAL_DEG)
    sides = [carm.beyond_deg(*dials_of(toward, patient_position, carm)) for toward in (outward, -outward)]
    return np.minimum(*sides)
