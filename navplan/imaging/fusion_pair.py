"""Two images made ready for fusion, and the maps between them in the direction in which they are computed.

Points are sampled in the image that shows less of the body (a cropped MR inside a CT), so that nearly all of them fall
into the other one whatever the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.fusion_images import FusionImage, fusion_images
from navplan.imaging.fusion_search import Level, Matrix, apart
from navplan.model.structure import Structure
from navplan.model.volume import Volume

POINTS = (2_000, 6_000, 60_000)  # of the search, the coarse and the fine images
LAST_POINTS = (240_000, 900_000)  # of the fine images, at least and at most, for the last descent of the result alone
COARSE_MM = 4.0  # voxels above it: what such images show was told by the fine points already
BLOCKS = 4.0  # along each side of the box, of the halves that are registered by themselves
SMALLER = 0.6  # of what the fixed image shows: then the moving one is sampled


@dataclass(frozen=True, eq=False)
class FusionPair:
    """fixed, moving: the images in three sizes of voxels; voxel_mm: the largest edge of the voxels of both;
    diagonal_mm: the larger diagonal."""

    fixed: tuple[FusionImage, ...]
    moving: tuple[FusionImage, ...]
    voxel_mm: float
    diagonal_mm: float

    @staticmethod
    def of(
        fixed: Volume, moving: Volume, fixed_mask: Structure | None = None, moving_mask: Structure | None = None
    ) -> FusionPair:
        """Raises InputError as `fusion_images` does."""
        edges = [float(one.grid.spacing_mm.max()) for one in (fixed, moving)]
        diagonals = [one.grid.diagonal_mm for one in (fixed, moving)]
        return FusionPair(
            fusion_images(fixed, fixed_mask), fusion_images(moving, moving_mask), max(edges), max(diagonals)
        )

    @cached_property
    def turned(self) -> bool:
        """Whether the moving image is the one that is sampled."""
        return self.moving[-1].shown_mm3 < SMALLER * self.fixed[-1].shown_mm3

    @cached_property
    def levels(self) -> tuple[Level, Level, Level]:
        """The sampled image to the other one, for the search, coarse and fine."""
        first, second = (self.moving, self.fixed) if self.turned else (self.fixed, self.moving)
        made = [Level.of(one, other, count) for one, other, count in zip(first, second, POINTS, strict=True)]
        return made[0], made[1], made[2]

    @cached_property
    def last(self) -> Level:
        """The fine level with more points, where they tell more."""
        fine = self.levels[-1]
        if self.voxel_mm > COARSE_MM:
            return fine
        held = int(np.clip(len(fine.sampled.taking_part), *LAST_POINTS))
        more = Level.of(fine.sampled, fine.other, held)
        return more if len(more.points_mm) > 1.2 * len(fine.points_mm) else fine

    @cached_property
    def _back(self) -> Level:
        fine = self.levels[-1]
        return Level.of(fine.other, fine.sampled, 2 * POINTS[-1])

    def back(self, other_from_sampled: Matrix) -> Level:
        """The other way round, fine: by the points of the other image that the sampled one shows under a map."""
        whole, shown = self._back, self.levels[-1].sampled
        inverse = np.linalg.inv(other_from_sampled)
        at = np.rint(shown.grid.indices(whole.points_mm @ inverse[:3, :3].T + inverse[:3, 3])).astype(np.int64)
        inside = np.asarray(((at >= 0) & (at < np.asarray(shown.known.shape))).all(axis=1))
        inside[inside] = shown.known[tuple(at[inside].T)]
        return Level(whole.sampled, whole.other, np.ascontiguousarray(whole.points_mm[inside]), whole.bins[inside])

    @cached_property
    def halves(self) -> tuple[Level, Level]:
        """The fine level by its points in every other block of the body, and by the rest."""
        fine = self.levels[-1]
        size = fine.sampled.size_mm / BLOCKS
        blocks = np.floor((fine.points_mm - fine.points_mm.min(axis=0)) / size).astype(np.int64).sum(axis=1) % 2 == 0
        first, second = (
            Level(fine.sampled, fine.other, np.ascontiguousarray(fine.points_mm[one]), fine.bins[one])
            for one in (blocks, ~blocks)
        )
        return first, second

    def computed(self, fixed_from_moving: Matrix) -> Matrix:
        """A map fixed_from_moving as other_from_sampled."""
        return fixed_from_moving if self.turned else np.asarray(np.linalg.inv(fixed_from_moving))

    def told(self, other_from_sampled: Matrix) -> Matrix:
        """A map other_from_sampled as fixed_from_moving."""
        return self.computed(other_from_sampled)

    def body_mm(self) -> NDArray[np.float64]:
        """(K, 3) points of the sampled image's body: places at which maps other_from_sampled are compared."""
        return self.levels[-1].sampled.body_points_mm

    def apart_mm(self, first: Matrix, second: Matrix) -> float:
        """How far two maps other_from_sampled lie apart, mean over the body."""
        return float(apart(self.body_mm(), first, second).mean())
