"""A needle's direction as a person reads it on a block's top face: an angle to its normal, and a compass."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError

STEEPEST_DEG = 89.0


def compass_of(direction: ArrayLike) -> tuple[float, float]:
    """Angle to the face's normal (0: straight in, -z) and where the tip goes: clockwise from +y, seen from above (from
    +z), 0 to 360; 0 where the needle goes straight in. direction: (3,), towards the tip, of any length. Degrees."""
    x, y, z = np.asarray(direction, dtype=np.float64) / np.linalg.norm(np.asarray(direction, dtype=np.float64))
    across = float(np.hypot(x, y))
    angle = float(np.degrees(np.arctan2(across, -z)))
    return angle, 0.0 if across < 1e-9 else float(np.degrees(np.arctan2(x, y)) % 360.0)


def along_compass(angle_deg: float, compass_deg: float) -> NDArray[np.float64]:
    """(3,) unit direction towards the tip; see `compass_of`. Raises GeometryError: not finite, or an angle that is not
    from 0 to 89 degrees."""
    if not (np.isfinite(angle_deg) and np.isfinite(compass_deg)) or not 0.0 <= angle_deg <= STEEPEST_DEG:
        raise GeometryError(
            f"a needle at {angle_deg} degrees to the face's normal, compass {compass_deg}",
            f"0 to {STEEPEST_DEG:g} degrees, 0 straight in",
        )
    angle, compass = np.radians([angle_deg, compass_deg])
    across = np.sin(angle)
    return np.array([across * np.sin(compass), across * np.cos(compass), -np.cos(angle)])
