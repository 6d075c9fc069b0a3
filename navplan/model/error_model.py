"""How far the needle may stray from its plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError


@dataclass(frozen=True)
class ErrorModel:
    """Lateral placement error, isotropic across the needle, normal with sigma(s) at depth s below the skin:

        sigma(s)^2 = entry_sigma_mm^2 + (s * angle_sigma)^2

    (the entry point and the angle as independent errors; a covariance of the two is taken as zero).
    source: where both numbers come from; it is printed wherever they decide something.
    """

    id: str
    name: str
    entry_sigma_mm: float
    angle_sigma_deg: float
    source: str

    def __post_init__(self) -> None:
        if not (0 < self.entry_sigma_mm < 50 and 0 <= self.angle_sigma_deg < 30 and self.source):
            raise InputError(
                f"error model {self.id}: {self.entry_sigma_mm} mm, {self.angle_sigma_deg} deg, source {self.source!r}",
                "entry sigma 0-50 mm, angle sigma 0-30 deg, and a source",
            )

    def sigma_mm(self, depth_mm: ArrayLike) -> NDArray[np.float64]:
        """Standard deviation along each lateral axis at depths below the skin, mm."""
        return np.hypot(self.entry_sigma_mm, np.asarray(depth_mm, dtype=np.float64) * np.radians(self.angle_sigma_deg))
