"""The table under the patient: where its top must stand for the isocentre to be where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.carm import CArm
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION

ALONG_MM = 700.0  # of the table to each side of the isocentre; where its ends are is not known
POINTS_APART_MM = 40.0


@dataclass(frozen=True, eq=False)
class TablePlace:
    """below_mm: the top's upper face under the isocentre; aside_mm: the isocentre to the patient's left of the table's
    middle; points_mm: (N, 3) LPS, on the top's faces; faults: what of it the table does not reach."""

    below_mm: float
    aside_mm: float
    points_mm: NDArray[np.float64]
    faults: tuple[str, ...]

    @property
    def words(self) -> str:
        """Of the isocentre: "table top (without mattress) 118 mm below it, moved 34 mm to the patient's right" """
        side = "right" if self.aside_mm > 0.0 else "left"
        aside = f", moved {abs(self.aside_mm):.0f} mm to the patient's {side}" if abs(self.aside_mm) >= 0.5 else ""
        where = "below" if self.below_mm >= 0.0 else "above"
        return f"table top (without mattress) {abs(self.below_mm):.0f} mm {where} it{aside}"


def table_under(
    body_mm: NDArray[np.float64], isocentre_mm: NDArray[np.float64], patient_position: str, carm: CArm
) -> TablePlace | None:
    """The table's top touches the lowest of the body and lies level, the body in the middle of its width.

    body_mm: (N, 3) points of the body's surface, LPS. None where the position is not stated or the CT shows no body.
    How far along the patient the table must move is not told: no image says where the head lies.
    """
    if not patient_position or not len(body_mm):
        return None
    down = np.asarray(DOWN_BY_PATIENT_POSITION[patient_position])
    left = np.array([1.0, 0.0, 0.0]) if abs(down[0]) < 0.5 else np.array([0.0, 1.0, 0.0])
    top_mm = float((body_mm @ down).max())
    across = body_mm @ left
    middle_mm = float(across.min() + across.max()) / 2.0
    below, aside = top_mm - float(isocentre_mm @ down), float(isocentre_mm @ left) - middle_mm
    table = carm.table
    lowest, highest = table.below_isocentre_mm
    faults = []
    if not lowest <= below <= highest:
        reach = f"it goes from {lowest:g} to {highest:g}"
        faults.append(f"The table would stand {below:.0f} mm below the isocentre; {reach}")
    if abs(aside) > table.aside_mm:
        faults.append(f"The table would stand {abs(aside):.0f} mm aside; it goes to {table.aside_mm:g}")
    steps = [
        np.linspace(-half, half, 1 + round(2 * half / POINTS_APART_MM)) for half in (table.wide_mm / 2, ALONG_MM)
    ]
    faces = np.array([0.0, table.thick_mm / 2, table.thick_mm])
    wide, long, deep = (one.reshape(-1, 1) for one in np.meshgrid(*steps, faces, indexing="ij"))
    at = np.array([0.0, 0.0, float(isocentre_mm[2])]) + left * middle_mm + down * top_mm
    points = at + wide * left + long * np.array([0.0, 0.0, 1.0]) + deep * down
    return TablePlace(below, aside, points, tuple(faults))
