"""What a registration says of its error, place by place."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class ErrorMap(Protocol):
    """A map of a registration's error: of landmarks (`navplan.geometry.landmarks.LandmarkFit`) or of images
    (`navplan.imaging.registration_map.ImageErrorMap`)."""

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error, mm, at points (K, 3), LPS mm of the image that is registered to."""
        ...
