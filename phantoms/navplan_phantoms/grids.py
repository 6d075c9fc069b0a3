"""Grids of a CT by orientation: three letters, an oblique one, and the sheared stack of a tilted gantry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from navplan_phantoms.solid_base import FloatArray

GANTRY_TILT_DEG = 14.0
OBLIQUE_DEG = (12.0, -8.0, 17.0)
_AXIS_OF_LETTER = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}


@dataclass(frozen=True, eq=False)
class PhantomGrid:
    """An affine (4x4, index to LPS mm, voxel centres), its shape, and whether its axes are orthogonal."""

    affine: FloatArray
    shape: tuple[int, int, int]
    orthogonal: bool


def _turn(axis: int, degrees: float) -> FloatArray:
    """Rotation about one coordinate axis."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix[first, first] = matrix[second, second] = cosine
    matrix[second, first], matrix[first, second] = sine, -sine
    return matrix


def axis_directions(orientation: str) -> FloatArray:
    """Unit directions of the index axes as columns (3x3, LPS).

    `orientation` is three letters of L/R, A/P, S/I, each naming where an index axis POINTS TO ("LPS": i to the left, j
    to the back, k to the head), or "oblique" (LPS turned about x, y and z), or "tilted" (slices tilted about x, stacked
    along z: not orthogonal). Raises ValueError for anything else.
    """
    if orientation == "oblique":
        about_x, about_y, about_z = (_turn(axis, angle) for axis, angle in enumerate(OBLIQUE_DEG))
        return about_z @ about_y @ about_x
    if orientation == "tilted":
        directions = _turn(0, GANTRY_TILT_DEG)
        directions[:, 2] = (0.0, 0.0, 1.0)
        return directions
    letters = [_AXIS_OF_LETTER.get(letter) for letter in orientation]
    columns = [found for found in letters if found is not None]
    if len(orientation) != 3 or sorted(axis for axis, _ in columns) != [0, 1, 2]:
        raise ValueError(
            f"orientation {orientation!r}: expected three letters of L/R, A/P and S/I such as LPS or RAS, "
            "or oblique, or tilted"
        )
    directions = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(columns):
        directions[axis, column] = sign
    return directions


def phantom_grid(
    spacing_mm: tuple[float, float, float], orientation: str, field_of_view_mm: tuple[float, float, float]
) -> PhantomGrid:
    """A grid around the origin that spans the field of view (x, y, z); `spacing_mm` goes with the index axes i, j, k.

    Raises ValueError for a spacing that is not three numbers between 0.2 and 20 mm or an unknown orientation.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (3,) or not bool(np.all((spacing >= 0.2) & (spacing <= 20.0))):
        raise ValueError(f"spacing {spacing_mm!r}: expected three numbers between 0.2 and 20 mm")
    directions = axis_directions(orientation)
    main_axes = np.abs(directions).argmax(axis=0)
    counts = np.maximum(1, np.ceil(np.asarray(field_of_view_mm)[main_axes] / spacing - 1e-9)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = -affine[:3, :3] @ (0.5 * (counts - 1))
    i, j, k = (int(count) for count in counts)
    return PhantomGrid(affine, (i, j, k), orientation != "tilted")
