"""The error of a registration of two images as a map: how far off it is expected to be at any place.

Each part of `ErrorParts` is asked at the place itself. By how much two maps differ grows with the distance from where
they agree best, so that what a restart, another start or the way back disagree about far from the target counts there.
The surroundings are looked at at a handful of places that the caller names (`look_at`): a place within SHARED_MM of
some of them takes the largest of theirs; any other, or one whose surroundings the images do not show, the largest of
all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.error_map import ErrorMap
from navplan.imaging.registration_error import LOCAL_MM, ErrorParts, surroundings_shift_mm
from navplan.imaging.registration_images import ReducedImage

FEW_PLACES = 16  # half a second each
SHARED_MM = LOCAL_MM / 2  # most of two balls of LOCAL_MM so near each other is one


@dataclass(frozen=True, eq=False)
class ImageErrorMap:
    """fixed, moving: the two images, and the map between them moving_from_fixed (4, 4); others: maps that other starts
    and restarts gave; back: fixed_from_moving as found the other way round (None: not asked); floor_mm: half the
    diagonal of the larger voxel; stated: what the giver of a map says of its error, a number or a map."""

    fixed: ReducedImage
    moving: ReducedImage
    moving_from_fixed: NDArray[np.float64]
    others: tuple[NDArray[np.float64], ...]
    back: NDArray[np.float64] | None
    floor_mm: float
    stated: ErrorMap | float | None = None
    _looked: list[tuple[NDArray[np.float64], float | None]] = field(default_factory=list)

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) expected error at points (K, 3), LPS mm of the fixed image."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        return np.asarray([self.parts_at(point).expected_mm for point in points])

    def parts_at(self, point_mm: NDArray[np.float64]) -> ErrorParts:
        """What the expected error at a place (3,) of the fixed image is made of."""
        point = np.asarray(point_mm, dtype=np.float64)
        everywhere = self.everywhere(point[None])[0]
        return ErrorParts(
            floor_mm=self.floor_mm, inverse_mm=float(everywhere[0]), starts_mm=float(everywhere[1]),
            local_mm=self._local_mm(point), stated_mm=self._stated_mm(point),
        )  # fmt: skip

    def everywhere(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K, 2) the parts that every place has at no cost: the way back, and other starts."""
        points = np.column_stack([points_mm, np.ones(len(points_mm))])
        there = points @ self.moving_from_fixed.T
        inverse = np.zeros(len(points)) if self.back is None else np.linalg.norm((there @ self.back.T - points), axis=1)
        starts = [np.linalg.norm((points @ other.T - there), axis=1) for other in self.others]
        return np.column_stack([inverse, np.max(starts, axis=0, initial=0.0) if starts else np.zeros(len(points))])

    def look_at(self, points_mm: NDArray[np.float64], most: int = FEW_PLACES) -> None:
        """Look at the surroundings of places (K, 3), where it was not done nearby, until `most` are known."""
        for point in points_mm:
            if len(self._looked) < most and not any(
                np.linalg.norm(point - seen) <= SHARED_MM for seen, _ in self._looked
            ):
                found = surroundings_shift_mm(self.fixed, self.moving, self.moving_from_fixed, point)
                self._looked.append((point, found))

    def _local_mm(self, point: NDArray[np.float64]) -> float:
        """By how much the surroundings of a place would lie elsewhere."""
        near = [shift for seen, shift in self._looked if np.linalg.norm(point - seen) <= SHARED_MM]
        known = [shift for shift in near if shift is not None]
        return max(known or [shift for _, shift in self._looked if shift is not None], default=0.0)

    def _stated_mm(self, point: NDArray[np.float64]) -> float | None:
        if self.stated is None or isinstance(self.stated, float):
            return self.stated
        return float(self.stated.error_mm(point[None])[0])
