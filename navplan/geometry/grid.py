"""Where the voxels of an image are, without the voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError

ORTHOGONALITY_TOLERANCE = 1e-3  # largest |cosine| between two axes that still counts as orthogonal
SMALLEST_SPACING_MM, LARGEST_SPACING_MM, FARTHEST_MM = 1e-3, 1e4, 1e7  # beyond them a unit was mistaken


@dataclass(frozen=True, eq=False)
class Grid:
    """An orthogonal grid of voxel centres.

    affine: (4, 4) float64, maps the index (i, j, k) of a voxel CENTRE to LPS mm; column n is array axis n.
    shape: number of voxels along i, j, k.
    frame_uid: frame of reference UID; "" when the source names none.

    Raises GeometryError: affine not finite, singular, of voxels that no image has, or its axes not orthogonal (a tilted
    series must be resampled first).
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    frame_uid: str = ""

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(
                f"an affine of shape {affine.shape} with values {affine.ravel().tolist()}", "a finite 4x4 affine"
            )
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"a grid of shape {shape}", "three sizes of at least 1")
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        if spacing.min() < 1e-9 or not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryError(
                "a singular affine", "three axes of non-zero length", "Check the geometry in the file's header"
            )
        if not SMALLEST_SPACING_MM <= spacing.min() <= spacing.max() <= LARGEST_SPACING_MM or (
            np.abs(affine[:3, 3]).max() > FARTHEST_MM
        ):
            sizes, origin = (" x ".join(f"{value:.3g}" for value in values) for values in (spacing, affine[:3, 3]))
            raise GeometryError(
                f"voxels of {sizes} mm at ({origin}) mm",
                f"voxels of {SMALLEST_SPACING_MM:g} to {LARGEST_SPACING_MM:g} mm, within {FARTHEST_MM:g} mm",
                "Check the unit of length in the file's header",
            )
        axes = affine[:3, :3] / spacing
        cosines = np.abs(axes.T @ axes - np.eye(3))
        if cosines.max() > ORTHOGONALITY_TOLERANCE:
            raise GeometryError(
                f"a sheared grid (cosine between axes {cosines.max():.3f})",
                "orthogonal axes",
                "Resample a tilted series first",
            )
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """(3,) distance between voxel centres along i, j, k."""
        return self._spacing_mm.copy()

    @property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) unit direction of each array axis in LPS, in columns."""
        return self._axes.copy()

    @cached_property
    def _spacing_mm(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    @cached_property
    def _axes(self) -> NDArray[np.float64]:
        return np.asarray(self.affine[:3, :3] / self._spacing_mm)

    @cached_property
    def _from_mm(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine[:3, :3]).T)

    @cached_property
    def diagonal_mm(self) -> float:
        """Length of the spacing vector: the voxel's diagonal |s|."""
        return float(np.linalg.norm(self.spacing_mm))

    @property
    def origin_mm(self) -> NDArray[np.float64]:
        """(3,) LPS position of the centre of voxel (0, 0, 0)."""
        return np.asarray(self.affine[:3, 3])

    def points_mm(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Continuous indices (..., 3) to LPS mm."""
        return np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def indices(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """LPS points (..., 3) to continuous indices; voxel centres fall on whole numbers."""
        offset = np.asarray(points_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.asarray(offset @ self._from_mm)

    def contains(self, points_mm: ArrayLike, margin_mm: float = 0.0) -> NDArray[np.bool_]:
        """Whether points (..., 3) lie at least margin_mm inside the box of all voxels (to their outer faces)."""
        indices = self.indices(points_mm)
        margin = margin_mm / self.spacing_mm
        upper = np.asarray(self.shape) - 0.5
        return np.asarray(((indices >= -0.5 + margin) & (indices <= upper - margin)).all(axis=-1))

    def crop(self, start: ArrayLike, shape: ArrayLike) -> Grid:
        """The part that begins at voxel `start` and holds `shape` voxels; indices may lie outside (padding)."""
        first = np.asarray(start, dtype=np.float64)
        affine = self.affine.copy()
        affine[:3, 3] = self.points_mm(first)
        sizes = [int(n) for n in np.asarray(shape)]
        return Grid(affine, (sizes[0], sizes[1], sizes[2]), self.frame_uid)

    def corners_mm(self) -> NDArray[np.float64]:
        """(8, 3) outer corners of the box of all voxels, LPS."""
        upper = np.asarray(self.shape) - 0.5
        return self.points_mm([[(-0.5, upper[axis])[bit >> axis & 1] for axis in range(3)] for bit in range(8)])

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same shape, frame and voxel positions to a tolerance."""
        return (
            self.shape == other.shape
            and self.frame_uid == other.frame_uid
            and bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)
        )

    def __repr__(self) -> str:
        sizes = "x".join(str(n) for n in self.shape)
        spacing = "x".join(f"{s:.3g}" for s in self.spacing_mm)
        return f"Grid({sizes} voxels of {spacing} mm, origin {np.round(self.origin_mm, 2).tolist()} LPS)"
