"""Shots beside a CT in some pose, at one size of pixels and voxels: what the search for the pose looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.fluoroscopy.drr import ProjectedCt
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.patches import PatchedShot, covered
from navplan.fluoroscopy.rigid_pose import Matrix, beam_seen_from

NEAR_MM = 25.0  # of a patch's middle from where a place is cast, in the patient
FARTHEST_MM = 15.0  # that a patch's own shift is believed
MARGIN_PX = 2.0  # that Sobel and interpolation reach beyond a pixel


@dataclass(frozen=True)
class Size:
    """pixel_mm: in the patient; patch_mm: likewise; voxel_mm: of the CT."""

    pixel_mm: float
    patch_mm: float
    voxel_mm: float


@dataclass(frozen=True, eq=False)
class ComparedView:
    """One shot at one size."""

    ct: ProjectedCt
    shot: KnownShot
    patched: PatchedShot
    size: Size
    pixel_mm: float  # in the patient

    @staticmethod
    def of(ct: ProjectedCt, shot: KnownShot, size: Size, centre_mm: ArrayLike) -> ComparedView:
        """centre_mm: about where the patient is, in the frame of the C-arm."""
        normal = np.cross(shot.beam.columns, shot.beam.up)
        depth = float((np.asarray(centre_mm) - shot.beam.source_mm) @ normal) / shot.beam.distance_mm
        smaller = float(np.clip(depth, 0.05, 1.0))
        coarse = shot.coarser(size.pixel_mm / smaller)
        pixel = coarse.detector.pixel_mm * smaller
        patched = PatchedShot.of(coarse.values, max(4, round(size.patch_mm / pixel)))
        ct.size(size.voxel_mm)
        return ComparedView(ct, coarse, patched, size, pixel)

    def image(self, pose: Matrix) -> NDArray[np.float32]:
        """The CT as the shot would show it in a pose."""
        return self.ct.image(pose, self.shot.beam, self.shot.detector, self.size.voxel_mm)

    def mask(self, pose: Matrix) -> NDArray[np.bool_]:
        """(rows, cols) what the shot shows and the CT holds (see `covered`)."""
        if not self.ct.cut.any():
            return self.patched.seen
        grid = self.ct.size(self.size.voxel_mm)
        beam, detector = beam_seen_from(pose, self.shot.beam), self.shot.detector
        source = grid.indices(beam.source_mm)
        corner, right, down = grid.indices(beam.pixels_mm([0, 1, 0], [0, 0, 1], detector))
        margin = 1.0 + MARGIN_PX * self.pixel_mm / grid.spacing_mm
        return covered(
            self.patched.seen, source, corner - source, right - corner, down - corner, grid.shape, self.ct.cut,
            self.ct.ends, margin,
        )  # fmt: skip

    def patch_middles(self) -> NDArray[np.float64]:
        """(patches, 2) column and row of their middles, in pixels of `shot`."""
        side, top, left, down, across = self.patched.layout
        row, column = np.meshgrid(np.arange(down), np.arange(across), indexing="ij")
        return np.stack([left + (column + 0.5) * side - 0.5, top + (row + 0.5) * side - 0.5], axis=-1).reshape(-1, 2)

    def local_shift_mm(
        self, points_mm: NDArray[np.float64], shifts_mm: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> float:
        """Root mean square, by weight, of the patches' own shifts (patches, 2) near where points (K, 3) of the C-arm's
        frame are cast; of all patches where none is near."""
        cast = self.shot.beam.project(points_mm, self.shot.detector)
        off = np.linalg.norm(self.patch_middles()[:, None] - cast[None], axis=-1).min(axis=1) * self.pixel_mm
        near = np.where(off <= NEAR_MM, weights, 0.0)
        used = near if near.sum() > 0.0 else weights
        square = np.minimum((shifts_mm**2).sum(axis=1), FARTHEST_MM**2)
        return float(np.sqrt((used * square).sum() / max(used.sum(), 1e-9)))

    def score(self, pose: Matrix) -> float:
        """How alike, -1 to 1."""
        return self.patched.score(self.image(pose), self.mask(pose))


def compared(ct: ProjectedCt, shots: Sequence[KnownShot], size: Size, centre_mm: ArrayLike) -> list[ComparedView]:
    """The shots at one size."""
    return [ComparedView.of(ct, shot, size, centre_mm) for shot in shots]


def mean_score(views: Sequence[ComparedView], pose: Matrix) -> float:
    """Mean over the views."""
    return float(np.mean([view.score(pose) for view in views]))
